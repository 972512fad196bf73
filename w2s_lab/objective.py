"""The objective and its variants, on tensors.

Weak-to-strong fine-tuning maximises the sum over inputs x of log Pr^s_theta(y_hat|x), where y_hat is the weak
supervisor's answer (Xiao & Zhu 2025, eq. 4.10). Everything here is a function of token logits or of a table
log Pr(y_k|x) of answers; nothing here knows a data set or a model.
"""

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


def with_temperature(probs: Tensor, temperature: float) -> Tensor:
    """q_k proportional to p_k^(1/temperature): 1 changes nothing, towards 0 the labels harden. [B, K] to [B, K]."""
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
class MaximumLikelihood:
    """-log Pr^s(y_hat|x), the plain objective (eq. 4.10). Works for closed and open tasks."""

    needs_probs = False


@dataclass(frozen=True)
class SoftTargets:
    """The supervisor's whole distribution as the target (eq. 4.12, up to the constant entropy H(Pr^w)).

    Attributes:
        temperature: 1 keeps the weak probabilities; below 1 hardens, above 1 softens them.
    """

    temperature: float = 1.0
    needs_probs = True

    def __post_init__(self) -> None:
        if not self.temperature > 0:
            raise ValueError(f"SoftTargets: temperature is {self.temperature}; expected a number above 0")

    def __call__(
        self, log_probs: Tensor, weak_probs: Tensor, progress: float, class_balance: Sequence[float]
    ) -> Tensor:
        """Mean loss over the batch, in nats per answer; `progress` and `class_balance` play no part."""
        return expected_nll(log_probs, with_temperature(weak_probs, self.temperature)).mean()


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

    def __call__(
        self, log_probs: Tensor, weak_probs: Tensor, progress: float, class_balance: Sequence[float]
    ) -> Tensor:
        """Mean loss over the batch, in nats per answer.

        Args:
            log_probs: [B, K] sequence log-probabilities under the student, with gradient.
            weak_probs: [B, K] the supervisor's distributions f_w.
            progress: fraction of the training done.
            class_balance: K shares for the hardening of the student's predictions.
        """
        own = balanced_predictions(answer_probs(log_probs), class_balance)
        hardened = torch.nn.functional.one_hot(own, log_probs.shape[-1]).to(log_probs.dtype)
        a = self.weight(progress)
        return ((1 - a) * expected_nll(log_probs, weak_probs) + a * expected_nll(log_probs, hardened)).mean()


Loss = MaximumLikelihood | SoftTargets | AuxiliaryConfidence
