"""The objective and its variants, on tensors.

Weak-to-strong fine-tuning maximises the sum over inputs x of log Pr^s_theta(y_hat|x), where y_hat is the weak
supervisor's answer (Xiao & Zhu 2025, eq. 4.10). Everything here is a function of token logits or of a table
log Pr(y_k|x) of answers; nothing here knows a data set or a model.

The losses stand below the functions that they are made of: first what every loss must be able to say (`Loss`), then the
built-in ones, and at the end the list of them, from which the command line reads names and dials.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, Literal, Protocol, get_args, runtime_checkable

import torch
from torch import Tensor


def token_log_probs(logits: Tensor, targets: Tensor) -> Tensor:
    """log Pr(target token | everything before it), in nats.

    Args:
        logits: [..., T, V]; `logits[..., t, :]` predicts `targets[..., t]` (already shifted).
        targets: [..., T] token ids.

    Returns:
        [..., T], at most 0.
    """
    # not cross_entropy: its ignore_index would give one token id a special meaning
    precise = logits if logits.dtype == torch.float64 else logits.float()
    return precise.log_softmax(-1).gather(-1, targets[..., None])[..., 0]


def sequence_log_prob(logits: Tensor, targets: Tensor, mask: Tensor) -> Tensor:
    """log Pr(y|x) = sum over t of log Pr(y_t | x, y_<t), in nats per answer (the sum inside eq. 4.10).

    Args:
        logits: [B, T, V]; `logits[:, t]` predicts `targets[:, t]`.
        targets: [B, T] token ids.
        mask: [B, T], true at the answer's tokens, the end-of-answer token included. Prompt and padding are false:
            they carry no loss. Masking is explicit; no token id has a special meaning here.

    Returns:
        [B]
    """
    return torch.where(mask.bool(), token_log_probs(logits, targets), 0.0).sum(-1)


def answer_probs(log_probs: Tensor) -> Tensor:
    """Pr(y_k|x) over a closed list: softmax of the answers' sequence log-probabilities, [B, K] to [B, K]."""
    return log_probs.float().softmax(-1)


def expected_nll(log_probs: Tensor, target_probs: Tensor) -> Tensor:
    """-sum over k of q_k log Pr^s(y_k|x), in nats per answer, [B].

    With one-hot q this is the negative of eq. 4.10's summand. With q = Pr^w it is KL(Pr^w || Pr^s) + H(Pr^w), the
    distillation loss of eq. 4.12 up to a constant, the KL taken over all sequences: q is 0 outside the closed list,
    so the student also learns to keep its probability inside the list.

    Args:
        log_probs: [B, K] sequence log-probabilities of the answers under the student.
        target_probs: [B, K] target distributions q.
    """
    return -(target_probs * log_probs).sum(-1)


def entropy(probs: Tensor) -> Tensor:
    """H(q) = -sum over k of q_k log q_k, in nats, [..., K] to [...]."""
    return torch.special.entr(probs).sum(-1)


def kl_to_supervisor(log_probs: Tensor, weak_probs: Tensor) -> Tensor:
    """KL(Pr^w || Pr^s) over all sequences, in nats per answer: Loss_kd of eq. 4.12, [B].

    With y_hat drawn from Pr^w, E log Pr^s(y_hat|x) = -KL(Pr^w || Pr^s) - H(Pr^w): to maximise the objective on sampled
    weak labels is to minimise this.

    Args:
        log_probs: [B, K] sequence log-probabilities of the answers under the student.
        weak_probs: [B, K] the supervisor's distributions over the same answers.
    """
    return expected_nll(log_probs, weak_probs) - entropy(weak_probs)


def with_temperature(probs: Tensor, temperature: float) -> Tensor:
    """q_k proportional to p_k^(1/temperature): 1 changes nothing, towards 0 the labels harden. [..., K] to [..., K]."""
    return (probs.log() / temperature).softmax(-1)


def balanced_predictions(probs: Tensor, class_balance: Sequence[float]) -> Tensor:
    """Harden predictions so that the classes keep their balance within the batch.

    Burns et al. (2023, section 4.3) harden at the threshold that keeps the classes balanced. For two answers that
    threshold splits the batch at a quantile of the log-odds. The same rule for any number of answers: among all
    assignments that give answer k its share of the batch, the one with the largest total log-probability.

    Args:
        probs: [B, K] the student's own distributions.
        class_balance: K shares that sum to 1, such as the shares of the weak labels.

    Returns:
        [B] answer indices; answer k occurs B * class_balance[k] times, rounded by largest remainder.

    Raises:
        ValueError: `class_balance` is not K shares that sum to 1.
    """
    if len(class_balance) != probs.shape[-1] or abs(sum(class_balance) - 1) > 1e-6 or min(class_balance) < 0:
        raise ValueError(f"class_balance is {list(class_balance)}; expected {probs.shape[-1]} shares that sum to 1")
    exact = torch.tensor(class_balance, dtype=torch.float64) * len(probs)
    counts = exact.floor()
    short = len(probs) - int(counts.sum())
    counts[(exact - counts).argsort(descending=True, stable=True)[:short]] += 1
    value = probs.detach().cpu() if probs.device.type == "mps" else probs.detach()  # where there are no doubles
    value = value.double().clamp_min(1e-30).log()
    if len(counts) == 2:  # the quantile: a sort, where the general rule takes a second for 4,096 rows
        chosen = torch.zeros(len(probs), dtype=torch.long, device=value.device)
        chosen[(value[:, 1] - value[:, 0]).argsort(stable=True)[int(counts[0]) :]] = 1
        return chosen.to(probs.device)
    owner = torch.repeat_interleave(torch.arange(len(counts)), counts.long())
    value = value.cpu()[:, owner]
    from scipy.optimize import linear_sum_assignment  # takes a third of a second, and most losses do without

    rows, columns = linear_sum_assignment(value.numpy(), maximize=True)
    chosen = torch.empty(len(probs), dtype=torch.long)
    chosen[torch.from_numpy(rows)] = owner[torch.from_numpy(columns)]
    return chosen.to(probs.device)


# -- what a loss is ----------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Targets:
    """What a batch of B examples is to be taught. What a loss did not ask for is None.

    Attributes:
        probs: the supervisor's distributions: [B, K] over the list of answers; [B, T, M] over the next token, at each
            token of y_hat, where the loss reads tokens. None where the loss does not need them.
        answers: [B] numbers of the answers y_hat in the list; None for an open task.
        class_balance: K shares of the answers in the whole labelled set; None for an open task.
        progress: fraction of the training done.
        mask: [B, T] where the loss reads tokens: true at the tokens of y_hat, false at padding.
    """

    # None where the loss does not read them: typed by what it gets where it does
    probs: Tensor
    answers: Tensor
    class_balance: Sequence[float]
    progress: float = 0.0
    mask: Tensor | None = None


Reading = Literal["answer", "list", "tokens", "text"]
NEEDS = ("probs", "token_targets")  # what a loss may need of a labelled set, by the names of its fields


@runtime_checkable
class Loss(Protocol):
    """What is minimised: a frozen dataclass with these three methods. Its fields are its dials.

    Label smoothing as a user writes it, over the list of answers and without the supervisor's probabilities:

        @dataclass(frozen=True)
        class LabelSmoothing:
            epsilon: float = 0.1

            def reads(self, closed):
                return "list" if closed else None

            def needs(self, closed):
                return frozenset()

            def __call__(self, scores, targets):
                nll = -scores.gather(-1, targets.answers[:, None])[:, 0]
                return (1 - self.epsilon) * nll - self.epsilon * scores.mean(-1)

        recipe = w2s.Recipe(loss=LabelSmoothing(0.2))

    A loss may also have the class attribute `by_row = True` (no field): it promises that no row's loss looks at another
    row. A batch that is too large for the memory then goes through the network once, and not twice.
    """

    def reads(self, closed: bool) -> Reading | None:
        """Which log-probabilities of the student `scores` shall hold, for a closed list of answers or an open task.

        All are in nats, and a larger score is a more likely text.

        * "answer": log Pr^s(y_hat|x), [B].
        * "list": log Pr^s(y_k|x) of all K answers, [B, K]. They are not normalised over the list.
        * "tokens": [B, T, 1 + M]. At token t of y_hat, column 0 is log Pr^s(y_t|x, y_<t), and the columns behind it are
          those of the M tokens that the supervisor finds most likely there (M is 0 where the loss does not need
          "token_targets"). Answers end at the last position; `targets.mask` is false before them, and scores are 0.
        * "text": log Pr^s(input), [B]; the answer is not looked at.
        * None: the loss cannot learn from such a task.
        """
        ...

    def needs(self, closed: bool) -> frozenset[str]:
        """What the labelled set must hold: "probs" [B, K], "token_targets", or nothing. Only this reaches `targets`."""
        ...

    def __call__(self, scores: Tensor, targets: Targets) -> Tensor:
        """The loss of each row, [B], in nats per answer (per input for "text"), differentiable in `scores`."""
        ...


def check_loss(loss: Any) -> None:
    """Say in a sentence why something is no `Loss`.

    Raises:
        TypeError: it is a class, misses a method, or is no frozen dataclass.
        ValueError: it says of itself what no loss may say.
    """
    if isinstance(loss, type):
        raise TypeError(
            f"the loss is the class {loss.__name__}; expected a loss made from it, such as {loss.__name__}()"
        )
    name, hint = type(loss).__name__, "Hint: help(w2s_lab.objective.Loss) shows one of ten lines"
    missing = [method for method in ("reads", "needs", "__call__") if not callable(getattr(loss, method, None))]
    if missing:
        raise TypeError(f"{name} is no loss: it has no method {' and no method '.join(missing)}. {hint}")
    if "__dataclass_params__" not in vars(type(loss)):  # a subclass has to say so itself
        raise TypeError(f"{name} is no dataclass; expected @dataclass(frozen=True) above the class. {hint}")
    if not vars(type(loss))["__dataclass_params__"].frozen:
        raise TypeError(f"{name} is not frozen: it could change after it was named. Hint: @dataclass(frozen=True)")
    read = {closed: loss.reads(closed) for closed in (True, False)}
    for closed, reading in read.items():
        if reading not in (*get_args(Reading), None):
            legal = ", ".join(map(repr, get_args(Reading)))
            raise ValueError(f"{name}: reads(closed={closed}) is {reading!r}; expected {legal} or None. {hint}")
        needs = loss.needs(closed)
        if not isinstance(needs, set | frozenset) or not needs <= {*NEEDS}:
            legal = "a frozenset of " + " and ".join(map(repr, NEEDS))
            raise ValueError(f"{name}: needs(closed={closed}) is {needs!r}; expected {legal}, or an empty one. {hint}")
    if read[False] == "list":
        raise ValueError(f"{name}: reads(closed=False) is 'list', but an open task has no list; expected None there")
    if set(read.values()) == {None}:
        raise ValueError(f"{name} learns from neither kind of task: reads() is None for both. {hint}")


# -- the losses --------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class MaximumLikelihood:
    """-log Pr^s(y_hat|x), the plain objective (eq. 4.10). Works for closed and open tasks."""

    by_row = True

    def reads(self, closed: bool) -> Reading:
        """The answer y_hat alone."""
        return "answer"

    def needs(self, closed: bool) -> frozenset[str]:
        """Nothing but the answers."""
        return frozenset()

    def __call__(self, scores: Tensor, targets: Targets) -> Tensor:
        """[B] log-probabilities of y_hat to [B] losses, in nats per answer."""
        return -scores


@dataclass(frozen=True)
class NextToken:
    """-log Pr^s(input): next-token training on the unlabelled inputs, in nats per input; no answer is looked at.

    Burns et al. (2023, section 5.2.2, generative supervision) do this before the weak labels are seen.
    """

    by_row = True

    def reads(self, closed: bool) -> Reading:
        """The input."""
        return "text"

    def needs(self, closed: bool) -> frozenset[str]:
        """Nothing, not even the answers."""
        return frozenset()

    def __call__(self, scores: Tensor, targets: Targets) -> Tensor:
        """[B] log-probabilities of the inputs to [B] losses, in nats per input."""
        return -scores


class _FromProbabilities:
    """A closed list with the supervisor's distributions over it; no open task."""

    by_row = True

    def reads(self, closed: bool) -> Reading | None:
        """The list of answers."""
        return "list" if closed else None

    def needs(self, closed: bool) -> frozenset[str]:
        """The supervisor's probabilities."""
        return frozenset({"probs"}) if closed else frozenset()


class _FromProbabilitiesOrTokens(_FromProbabilities):
    """The same, and for an open task the supervisor's distributions over the next token, at each token of y_hat."""

    def reads(self, closed: bool) -> Reading:
        """The list of answers; the tokens of an open answer."""
        return "list" if closed else "tokens"

    def needs(self, closed: bool) -> frozenset[str]:
        """The supervisor's probabilities: of answers, or of tokens."""
        return frozenset({"probs" if closed else "token_targets"})


def _tempered(targets: Targets, temperature: float) -> Tensor:
    """The supervisor's distributions at a temperature; 0 at padding."""
    q = with_temperature(targets.probs, temperature)
    return q if targets.mask is None else torch.where(targets.mask[..., None], q, 0.0)


@dataclass(frozen=True)
class SoftTargets(_FromProbabilitiesOrTokens):
    """The supervisor's whole distribution as the target (eq. 4.12, up to the constant entropy H(Pr^w)).

    For an open task, the distributions over the next token, at each token of y_hat (see `labelling.token_targets`).

    Attributes:
        temperature: 1 keeps the weak probabilities; below 1 hardens, above 1 softens them.
    """

    temperature: float = 1.0

    def __post_init__(self) -> None:
        _within(self, temperature="above 0")

    def __call__(self, scores: Tensor, targets: Targets) -> Tensor:
        """[B, K] log-probabilities of the answers, or [B, T, 1 + M] of tokens, to [B] losses, in nats per answer."""
        q = _tempered(targets, self.temperature)
        return expected_nll(scores, q) if targets.mask is None else expected_nll(scores[..., 1:], q).sum(-1)


SCHEDULES = {
    "constant": lambda progress: 1.0,
    "linear": lambda progress: 1.0 - progress,
    "cosine": lambda progress: 0.5 * (1 + math.cos(math.pi * progress)),
}


@dataclass(frozen=True)
class Distillation(_FromProbabilitiesOrTokens):
    """-log Pr^s(y|x) + weight * KL(Pr^w || Pr^s): the answers of the set and the supervisor's distribution (eq. 4.13).

    Where the set's answers are the truth, the supervisor's distribution is an addition to them; where they are its own
    y_hat, hard and soft labels are mixed. For an open task the KL is that of the next token, at each token of y.

    Attributes:
        weight: lambda, of the KL at the beginning.
        schedule: "constant", "linear" to 0, or "cosine" to 0.
        temperature: of the supervisor's distribution, see `SoftTargets`.
    """

    weight: float = 1.0
    schedule: str = "constant"
    temperature: float = 1.0

    def __post_init__(self) -> None:
        _within(self, temperature="above 0", weight="from 0 up")
        if self.schedule not in SCHEDULES:
            raise ValueError(f"Distillation: schedule is {self.schedule!r}; expected one of {', '.join(SCHEDULES)}")

    def shares(self, progress: float) -> tuple[float, float]:
        """By how much y_hat itself and the supervisor's distribution count at `progress` (0 to 1)."""
        return 1.0, self.weight * SCHEDULES[self.schedule](progress)

    def __call__(self, scores: Tensor, targets: Targets) -> Tensor:
        """[B, K] log-probabilities of the answers, or [B, T, 1 + M] of tokens, to [B] losses, in nats per answer."""
        q = _tempered(targets, self.temperature)
        if targets.mask is None:
            nll, kl = -scores.gather(-1, targets.answers[:, None])[:, 0], kl_to_supervisor(scores, q)
        else:
            nll, kl = -scores[..., 0].sum(-1), kl_to_supervisor(scores[..., 1:], q).sum(-1)
        hard, soft = self.shares(targets.progress)
        return hard * nll + soft * kl


@dataclass(frozen=True)
class AuxiliaryConfidence(_FromProbabilities):
    """(1 - a) CE(f, f_w) + a CE(f, f_hat): part of the target is the student's own hardened prediction.

    Burns et al. (2023, section 4.3). The weight a grows linearly and continuously from 0.

    Attributes:
        max_weight: the weight a after the warm-up, in [0, 1].
        warmup_fraction: fraction of the training over which a grows from 0 to `max_weight`; 0: at once.
    """

    max_weight: float = 0.5
    warmup_fraction: float = 0.2
    by_row = False  # the classes are balanced over the whole batch

    def __post_init__(self) -> None:
        _within(self, max_weight="from 0 to 1", warmup_fraction="from 0 to 1")

    def weight(self, progress: float) -> float:
        """The weight a at `progress` (fraction of the training done, 0 to 1)."""
        return self.max_weight * (min(1.0, progress / self.warmup_fraction) if self.warmup_fraction else 1.0)

    def __call__(self, scores: Tensor, targets: Targets) -> Tensor:
        """[B, K] log-probabilities of the answers to [B] losses, in nats per answer."""
        own = balanced_predictions(answer_probs(scores), targets.class_balance)
        hardened = torch.nn.functional.one_hot(own, scores.shape[-1]).to(scores.dtype)
        a = self.weight(targets.progress)
        return (1 - a) * expected_nll(scores, targets.probs) + a * expected_nll(scores, hardened)


@dataclass(frozen=True)
class ProductTargets(_FromProbabilities):
    """-sum over k of q_k log Pr^s(y_k|x), with q_k proportional to p_k^beta * Pr^w(y_k|x)^alpha: the target is the
    product of the student's own prediction p and the weak label, so it is firm only where both are.

    p is the student's distribution over the list at this very step, taken as a constant: no gradient flows through it.
    `product_loss_fn` of openai/weak-to-strong (weak_to_strong/loss.py, released with Burns et al. 2023), whose
    `warmup_frac` has no effect and is left out. There log Pr^s is normalised over the list; here it is that of all
    sequences, as in every loss of this module.

    Attributes:
        alpha: exponent of the weak label's probabilities; 0 leaves them out.
        beta: exponent of the student's own probabilities; 0 leaves them out, and beta 0 with alpha 1 is `SoftTargets`.
    """

    alpha: float = 1.0
    beta: float = 1.0

    def __post_init__(self) -> None:
        _within(self, alpha="from 0 up", beta="from 0 up")

    def target(self, scores: Tensor, weak_probs: Tensor) -> Tensor:
        """q, [B, K], from [B, K] log-probabilities under the student and the weak label's distributions."""
        # pow before log: 0^0 is 1, while 0 * log 0 is not a number
        return (self.beta * scores.detach().log_softmax(-1) + weak_probs.pow(self.alpha).log()).softmax(-1)

    def __call__(self, scores: Tensor, targets: Targets) -> Tensor:
        """[B, K] log-probabilities of the answers to [B] losses, in nats per answer."""
        return expected_nll(scores, self.target(scores, targets.probs))


@dataclass(frozen=True)
class ConfidenceWindow(_FromProbabilities):
    """-sum over k of Pr^w(y_k|x) log Pr^s(y_k|x) where the student is unsure, and 0 where it is sure.

    The student is unsure where its largest probability within the list is below 1/K + radius. Rows where it is sure
    still count in the mean over the batch, so the step gets smaller as the student gets surer.
    `confidence_window_loss` of EleutherAI/w2s (w2s/loss.py), which has two answers and the threshold 0.5 + radius, and
    whose log Pr^s is normalised over the list. 1/K is the same for two answers; for more it is our extension.

    Attributes:
        radius: how far above chance (1/K) the student's largest probability may be for an example to be learnt.
    """

    radius: float = 0.15

    def __post_init__(self) -> None:
        _within(self, radius="above 0")

    def __call__(self, scores: Tensor, targets: Targets) -> Tensor:
        """[B, K] log-probabilities of the answers to [B] losses, in nats per answer."""
        unsure = answer_probs(scores.detach()).amax(-1) < 1 / scores.shape[-1] + self.radius
        return torch.where(unsure, expected_nll(scores, targets.probs), 0.0)


LOSSES: Mapping[str, type[Loss]] = MappingProxyType(
    {
        "ml": MaximumLikelihood,
        "soft": SoftTargets,
        "distillation": Distillation,
        "confidence": AuxiliaryConfidence,
        "product": ProductTargets,
        "window": ConfidenceWindow,
        "next-token": NextToken,
    }
)
"""The built-in losses by their name on the command line. A new one needs its class above and its line here."""

RANGES = {
    "above 0": lambda value: 0 < value < math.inf,
    "from 0 up": lambda value: 0 <= value < math.inf,
    "from 0 to 1": lambda value: 0 <= value <= 1,
}


def _within(loss: object, **ranges: str) -> None:
    """Raises ValueError that names the loss, the dial, its value and the legal ones."""
    for name, legal in ranges.items():
        if not RANGES[legal](getattr(loss, name)):
            finite = "" if legal == "from 0 to 1" else "finite "
            raise ValueError(
                f"{type(loss).__name__}: {name} is {getattr(loss, name)}; expected a {finite}number {legal}"
            )
