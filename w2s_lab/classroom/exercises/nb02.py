"""Exercises of notebook 02: a label, its confidence, and what the confidence is worth."""

import numpy as np
import torch

from w2s_lab import metrics, objective
from w2s_lab.classroom.exercises.exercise import Exercise, of_the_result
from w2s_lab.classroom.toolkit.measured import measured

ANSWERS, LENGTH = 8, 4  # of the closed lists that are drawn


def most_likely_answer(token_log_probs, mask):
    scores = torch.where(mask, token_log_probs, 0.0).sum(dim=-1)
    return int(scores.argmax())


def answer_distribution(log_probs):
    weights = torch.exp(log_probs - log_probs.max())
    return weights / weights.sum()


def calibration_error(confidence, correct):
    owner = np.minimum((confidence * 10).astype(int), 9)
    error = 0.0
    for b in np.unique(owner):
        rows = owner == b
        error += rows.mean() * abs(correct[rows].mean() - confidence[rows].mean())
    return error


def _key_most_likely(token_log_probs: torch.Tensor, mask: torch.Tensor) -> int:
    """The package's score of K answers, on logits of two words, the first of which has just these log-probabilities."""
    logits = torch.stack([token_log_probs, torch.log1p(-token_log_probs.exp())], dim=-1)
    return int(objective.sequence_log_prob(logits, torch.zeros_like(mask, dtype=torch.long), mask).argmax())


def _sums(lp: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
    return torch.where(mask, lp, 0.0).sum(-1)


_LIST_MISTAKES = (
    (
        "You compared means per token. Pr(y|x) is a product over all tokens of y, so its logarithm is a sum: an answer "
        "does not get likelier by being long.",
        lambda lp, mask: int((_sums(lp, mask) / mask.sum(-1)).argmax()),
    ),
    (
        "The mask is missing: what comes after the end of a short answer is padding, not a part of it.",
        lambda lp, mask: int(lp.sum(-1).argmax()),
    ),
    (
        "You looked at the first token alone: that is a greedy choice. The likeliest answer may begin less well.",
        lambda lp, mask: int(lp[:, 0].argmax()),
    ),
    (
        "This is the least likely answer of the list.",
        lambda lp, mask: int(_sums(lp, mask).argmin()),
    ),
    (
        "You added probabilities; they are multiplied, so it is their logarithms that are added.",
        lambda lp, mask: int(torch.where(mask, lp.exp(), 0.0).sum(-1).argmax()),
    ),
)


def _closed_list(rng: np.random.Generator) -> tuple[torch.Tensor, torch.Tensor]:
    """Eight answers of one to four tokens, drawn until every mistake leads to an answer of its own, and a wrong one."""
    while True:
        lengths = rng.integers(1, LENGTH + 1, ANSWERS)
        mask = torch.tensor(np.arange(LENGTH) < lengths[:, None])
        lp = torch.tensor(np.log(rng.uniform(0.05, 0.95, mask.shape)), dtype=torch.float32)
        wrong = [mistake(lp, mask) for _, mistake in _LIST_MISTAKES]
        if _key_most_likely(lp, mask) not in wrong and len(set(wrong)) == len(wrong):
            return lp, mask


def _log_probs(rng: np.random.Generator) -> tuple[torch.Tensor]:
    return (torch.tensor(-rng.uniform(0.2, 6.0, int(rng.integers(2, 6))), dtype=torch.float32),)


def _judged(rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Forty confidences in four or five bins, surer than right in some and less sure in others."""
    confidence = np.concatenate([rng.uniform(0.51, 0.59, 16), rng.uniform(0.61, 0.99, 24)])
    right = rng.uniform(size=40) < np.where(confidence < 0.6, 0.8, confidence - 0.2)
    right[:4], right[-4:] = True, False
    return confidence, right


def _bins(confidence: np.ndarray, correct: np.ndarray) -> list[tuple[float, float, float]]:
    """Share, accuracy and mean confidence of each bin that is not empty."""
    found = metrics.calibration(confidence, correct).bins
    return [(b.count / len(correct), b.accuracy, b.confidence) for b in found]


# -- the open task -----------------------------------------------------------------------------------------------------


def reading_plan():
    return {
        "plain": 70,
        "negated": 50,
        "although": 45,
        "reported-and-wrong": 45,
        "but-overall": 15,
        "double-negation": 15,
    }


READ, POOL = 250, 1500  # labels that a person can read, of so many
ALL, EACH = 0.05, 0.15  # half widths of 95 % intervals


def _slices() -> dict[str, tuple[float, float]]:
    """Construction -> (its share of all reviews, which part of its labels is right), as three runs found them."""
    found = {name: own for name, own in measured("run-sentiment")["slices"].items() if name != "rare-word"}
    total = sum(own["examples"] for own in found.values())
    return {name: (own["examples"] / total, own["weak supervisor"]) for name, own in found.items()}


def _half_width(plan: dict, *, of: str = "") -> float:
    """Of the share of right labels in one slice, or in all (a weighted mean of the slices)."""
    found = {of: (1.0, _slices()[of][1])} if of else _slices()
    return 1.96 * sum(share**2 * p * (1 - p) / plan[name] for name, (share, p) in found.items()) ** 0.5


EXERCISES = (
    Exercise(
        most_likely_answer,
        _closed_list,
        key=_key_most_likely,
        mistakes=(
            *_LIST_MISTAKES,
            (
                "You set the padding to the probability 0, so every answer with padding has the product 0. Padding "
                "counts as 1 in a product, as 0 in a sum of logarithms.",
                lambda lp, mask: int((lp.exp() * mask).prod(-1).argmax()),
            ),
        ),
        hints=(
            "Compute one number per answer, log Pr(y|x). Then return the place of the largest.",
            "A row holds more places than a short answer has tokens; `mask` says which ones count.",
            "torch.where(mask, token_log_probs, 0.0).sum(dim=-1), then argmax.",
        ),
    ),
    Exercise(
        answer_distribution,
        _log_probs,
        key=objective.answer_probs,
        mistakes=(
            (
                "These are the probabilities among all texts that could be written. Over the closed list they must add "
                "up to 1: divide by their sum.",
                lambda lp: lp.exp(),
            ),
            (
                "You divided the logarithms by their sum. Take exp first; and the order came out upside down.",
                lambda lp: lp / lp.sum(),
            ),
            (
                "Powers of 2: the log-probabilities are in nats, so it is exp, not 2 to the power of.",
                lambda lp: (2.0**lp) / (2.0**lp).sum(),
            ),
            (
                "You divided by the largest, so the likeliest answer has 1. Divide by the sum.",
                lambda lp: (lp - lp.max()).exp(),
            ),
            (
                "These are still logarithms: you took log-softmax. Return the probabilities.",
                lambda lp: lp.log_softmax(-1),
            ),
        ),
        hints=(
            "A probability is exp of its logarithm.",
            "The answers of the list are all there is: scale the probabilities so that they add up to 1.",
            "It is a softmax. Subtract the maximum first: else, where all are very low, every exp is 0.",
        ),
    ),
    Exercise(
        calibration_error,
        _judged,
        key=lambda confidence, correct: metrics.calibration(confidence, correct).ece,
        cases=((np.array([0.55, 0.7, 0.95, 0.97, 1.0]), np.array([True, False, True, True, False])),),  # 1 is in a bin
        mistakes=(
            (
                "All bins weigh alike in your answer. A bin counts by its share of the labels.",
                lambda c, r: float(np.mean([abs(right - sure) for _, right, sure in _bins(c, r)])),
            ),
            (
                "The differences cancel: too sure in one bin, not sure enough in another. Take absolute values.",
                lambda c, r: sum(share * (right - sure) for share, right, sure in _bins(c, r)),
            ),
            (
                "The differences cancel: too sure in one bin, not sure enough in another. Take absolute values within "
                "each bin, before you add.",
                lambda c, r: abs(float(r.mean() - c.mean())),
            ),
            (
                "This is the worst bin alone. The expected calibration error is the mean over the labels.",
                lambda c, r: max(abs(right - sure) for _, right, sure in _bins(c, r)),
            ),
            (
                "You compared each single label, right or wrong, with its confidence. One label alone cannot be right "
                "in 70 % of the cases: compare within bins.",
                lambda c, r: float(np.abs(r - c).mean()),
            ),
            (
                "You took the lower edge of each bin for its confidence. Take the mean confidence of the labels in it.",
                lambda c, r: sum(share * abs(right - int(sure * 10) / 10) for share, right, sure in _bins(c, r)),
            ),
            (
                "You took the middle of each bin for its confidence. Take the mean confidence of the labels in it.",
                lambda c, r: sum(share * abs(right - int(sure * 10) / 10 - 0.05) for share, right, sure in _bins(c, r)),
            ),
            (
                "A label with confidence 1 is in none of your bins. It belongs to the last one, from 0.9 to 1.",
                lambda c, r: (c < 1).mean() * metrics.calibration(c[c < 1], r[c < 1]).ece,
            ),
        ),
        hints=(
            "Ten bins: a label with confidence 0.63 is in the bin from 0.6 to 0.7, number int(0.63 * 10).",
            "In each bin: the fraction that is right, the mean confidence, and the absolute value of their difference.",
            "Add these differences, each times the bin's share of the labels (rows.mean()).",
        ),
    ),
    Exercise(
        reading_plan,
        lambda rng: (),
        criteria=of_the_result(
            (
                (
                    f"a whole number of labels, at least 1, for each of {', '.join(reading_plan())}",
                    lambda plan: plan.keys() == _slices().keys() and all(n == int(n) >= 1 for n in plan.values()),
                ),
                (f"at most {READ} labels in all", lambda plan: sum(plan.values()) <= READ),
                (
                    f"no more of a construction than there are among {POOL:,} labels",
                    lambda plan: all(plan[name] <= POOL * share for name, (share, _) in _slices().items()),
                ),
                (
                    f"the share of right labels in each construction is known to ± {EACH} (95 %)",
                    lambda plan: all(_half_width(plan, of=name) <= EACH for name in _slices()),
                ),
                (f"the share of right labels in all is known to ± {ALL} (95 %)", lambda plan: _half_width(plan) <= ALL),
            )
        ),
        hints=(
            "A share near one half needs the most labels: 1.96 · √(p(1 − p)/n), about 43 for ± 0.15.",
            "The large construction decides how well the whole is known: its part of the error is its share of all "
            "reviews times its own.",
        ),
    ),
)
