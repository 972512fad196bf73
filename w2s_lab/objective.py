"""The objective and its variants, on tensors.

Weak-to-strong fine-tuning maximises the sum over inputs x of log Pr^s_theta(y_hat|x), where y_hat is the weak
supervisor's answer (Xiao & Zhu 2025, eq. 4.10). Everything here is a function of token logits or of a table
log Pr(y_k|x) of answers; nothing here knows a data set or a model.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from scipy.optimize import linear_sum_assignment
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


def expected_token_log_prob(logits: Tensor, tokens: Tensor, probs: Tensor, mask: Tensor) -> Tensor:
    """sum over t and v of q_t(v) log Pr^s(v | x, y_<t), in nats per answer: the token-level eq. 4.12, [B].

    Args:
        logits: [B, T, V] of the student; `logits[:, t]` predicts the answer's token t.
        tokens: [B, T, M] ids of the tokens on which the supervisor's distribution q_t lies.
        probs: [B, T, M] q_t.
        mask: [B, T], true at the answer's tokens.
    """
    at = logits.float().log_softmax(-1).gather(-1, tokens)
    return torch.where(mask.bool(), (probs * at).sum(-1), 0.0).sum(-1)


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
    owner = torch.repeat_interleave(torch.arange(len(counts)), counts.long())
    value = probs.detach().double().cpu().clamp_min(1e-30).log()[:, owner]
    rows, columns = linear_sum_assignment(value.numpy(), maximize=True)
    chosen = torch.empty(len(probs), dtype=torch.long)
    chosen[torch.from_numpy(rows)] = owner[torch.from_numpy(columns)]
    return chosen.to(probs.device)


@dataclass(frozen=True)
class Targets:
    """What a batch of B examples is to be taught, for a loss over a closed list of K answers.

    Attributes:
        probs: [B, K] the supervisor's distributions.
        answers: [B] numbers of the answers y_hat.
        class_balance: K shares of the answers in the whole labelled set.
        progress: fraction of the training done.
    """

    probs: Tensor
    answers: Tensor
    class_balance: Sequence[float]
    progress: float = 0.0


@dataclass(frozen=True)
class MaximumLikelihood:
    """-log Pr^s(y_hat|x), the plain objective (eq. 4.10). Works for closed and open tasks."""

    needs_probs = False


@dataclass(frozen=True)
class NextToken:
    """-log Pr^s(input): next-token training on the unlabelled inputs, in nats per input; no answer is looked at.

    Burns et al. (2023, section 5.2.2, generative supervision) do this before the weak labels are seen.
    """

    needs_probs = False


@dataclass(frozen=True)
class SoftTargets:
    """The supervisor's whole distribution as the target (eq. 4.12, up to the constant entropy H(Pr^w)).

    For an open task, the distributions over the next token, at each token of y_hat (see `labelling.token_targets`).

    Attributes:
        temperature: 1 keeps the weak probabilities; below 1 hardens, above 1 softens them.
    """

    temperature: float = 1.0
    needs_probs = True

    def __post_init__(self) -> None:
        _above_zero(self, "temperature")

    def shares(self, progress: float) -> tuple[float, float]:
        """By how much y_hat itself and the supervisor's distribution count."""
        return 0.0, 1.0

    def __call__(self, log_probs: Tensor, targets: Targets) -> Tensor:
        """[B, K] sequence log-probabilities under the student to [B] losses, in nats per answer."""
        return expected_nll(log_probs, with_temperature(targets.probs, self.temperature))


SCHEDULES = {
    "constant": lambda progress: 1.0,
    "linear": lambda progress: 1.0 - progress,
    "cosine": lambda progress: 0.5 * (1 + math.cos(math.pi * progress)),
}


@dataclass(frozen=True)
class Distillation:
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
    needs_probs = True

    def __post_init__(self) -> None:
        _above_zero(self, "temperature")
        if not 0 <= self.weight < math.inf:
            raise ValueError(f"Distillation: weight is {self.weight}; expected a finite number from 0 up")
        if self.schedule not in SCHEDULES:
            raise ValueError(f"Distillation: schedule is {self.schedule!r}; expected one of {', '.join(SCHEDULES)}")

    def shares(self, progress: float) -> tuple[float, float]:
        """By how much y_hat itself and the supervisor's distribution count at `progress` (0 to 1)."""
        return 1.0, self.weight * SCHEDULES[self.schedule](progress)

    def __call__(self, log_probs: Tensor, targets: Targets) -> Tensor:
        """[B, K] sequence log-probabilities under the student to [B] losses, in nats per answer."""
        hard, soft = self.shares(targets.progress)
        nll = -log_probs.gather(-1, targets.answers[:, None])[:, 0]
        return hard * nll + soft * kl_to_supervisor(log_probs, with_temperature(targets.probs, self.temperature))


@dataclass(frozen=True)
class AuxiliaryConfidence:
    """(1 - a) CE(f, f_w) + a CE(f, f_hat): part of the target is the student's own hardened prediction.

    Burns et al. (2023, section 4.3). The weight a grows linearly and continuously from 0.

    Attributes:
        max_weight: the weight a after the warm-up, in [0, 1].
        warmup_fraction: fraction of the training over which a grows from 0 to `max_weight`; 0: at once.
    """

    max_weight: float = 0.5
    warmup_fraction: float = 0.2
    needs_probs = True

    def __post_init__(self) -> None:
        for name in ("max_weight", "warmup_fraction"):
            if not 0 <= getattr(self, name) <= 1:
                raise ValueError(f"AuxiliaryConfidence: {name} is {getattr(self, name)}; expected a number from 0 to 1")

    def weight(self, progress: float) -> float:
        """The weight a at `progress` (fraction of the training done, 0 to 1)."""
        return self.max_weight * (min(1.0, progress / self.warmup_fraction) if self.warmup_fraction else 1.0)

    def __call__(self, log_probs: Tensor, targets: Targets) -> Tensor:
        """[B, K] sequence log-probabilities under the student to [B] losses, in nats per answer."""
        own = balanced_predictions(answer_probs(log_probs), targets.class_balance)
        hardened = torch.nn.functional.one_hot(own, log_probs.shape[-1]).to(log_probs.dtype)
        a = self.weight(targets.progress)
        return (1 - a) * expected_nll(log_probs, targets.probs) + a * expected_nll(log_probs, hardened)


def _above_zero(loss: object, name: str) -> None:
    if not getattr(loss, name) > 0:
        raise ValueError(f"{type(loss).__name__}: {name} is {getattr(loss, name)}; expected a number above 0")


Loss = MaximumLikelihood | SoftTargets | Distillation | AuxiliaryConfidence | NextToken
