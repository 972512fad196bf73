"""The measures: pure functions of answers and of correctness, with their 95 % intervals.

Fractions lie in [0, 1] and are not per cent. An undefined value is None, never 0.
"""

import math
from collections import Counter
from collections.abc import Hashable, Sequence, Sized
from dataclasses import dataclass

import numpy as np
from scipy.special import ndtri, stdtrit  # of scipy.stats, which takes a second to import

from w2s_lab.system.record import Record

Z95 = float(ndtri(0.975))


def _same_length(**fields: Sized) -> int:
    """The common length of the named sequences; raises ValueError, naming them, where they differ."""
    lengths = {name: len(values) for name, values in fields.items()}
    if len(set(lengths.values())) > 1:
        sizes = ", ".join(f"{name} has {n}" for name, n in lengths.items())
        raise ValueError(f"expected sequences of one length, one entry per item; {sizes}")
    return next(iter(lengths.values()))


def accuracy(predictions: Sequence[Hashable], truth: Sequence[Hashable]) -> float | None:
    """Fraction of the N predictions that equal the truth; None for N = 0.

    With the weak supervisor's answers in place of the truth, this is the agreement.
    Raises ValueError where the lengths differ.
    """
    n = _same_length(predictions=predictions, truth=truth)
    return sum(bool(p == t) for p, t in zip(predictions, truth, strict=True)) / n if n else None


def wilson_interval(successes: int, n: int) -> tuple[float, float]:
    """Wilson score interval (1927), 95 %, of a proportion: `successes` out of `n` independent items.

    The interval lies within [0, 1]. For n = 0, where nothing is known, it is (0, 1).
    Raises ValueError unless 0 <= successes <= n.
    """
    if not 0 <= successes <= n:
        raise ValueError(f"successes is {successes} and n is {n}; expected 0 <= successes <= n")
    if n == 0:
        return 0.0, 1.0
    p, shrink = successes / n, 1 + Z95**2 / n
    middle = (p + Z95**2 / (2 * n)) / shrink
    half = Z95 / shrink * math.sqrt(p * (1 - p) / n + Z95**2 / (4 * n**2))
    # At 0 and n successes one end is exactly 0 or 1; floating point may miss it by a rounding error.
    return (0.0 if successes == 0 else middle - half), (1.0 if successes == n else middle + half)


def difference_interval(
    first_correct: Sequence[bool] | np.ndarray, second_correct: Sequence[bool] | np.ndarray
) -> tuple[float, float]:
    """95 % interval of the difference of two accuracies (second - first) on the same N items.

    Newcombe (1998, method 10): from the two Wilson intervals and the correlation between the two, so that it also holds
    for few items and for accuracies of 0 and 1. The interval lies within [-1, 1]; for N = 0 it is (-1, 1).

    Args:
        first_correct, second_correct: [N] bool, same items in the same order.

    Raises:
        ValueError: the lengths differ.
    """
    n = _same_length(first_correct=first_correct, second_correct=second_correct)
    if n == 0:
        return -1.0, 1.0
    first, second = np.asarray(first_correct, dtype=bool), np.asarray(second_correct, dtype=bool)
    right = int(first.sum()), int(second.sum())
    both, neither = int((first & second).sum()), int((~first & ~second).sum())
    covariance: float = both * neither - (right[0] - both) * (right[1] - both)
    if covariance > 0:
        covariance = max(covariance - n / 2, 0)
    spread = math.sqrt(math.prod(right) * math.prod(n - count for count in right))
    correlation = covariance / spread if spread else 0.0
    (p1, p2), (low1, high1), (low2, high2) = (r / n for r in right), *(wilson_interval(r, n) for r in right)

    def length(a: float, b: float) -> float:
        return math.sqrt(max(0.0, a * a - 2 * correlation * a * b + b * b))

    difference = (right[1] - right[0]) / n
    low, high = difference - length(p2 - low2, high1 - p1), difference + length(high2 - p2, p1 - low1)
    return max(-1.0, low), min(1.0, high)


def commonest(answers: Sequence[str]) -> tuple[str, float] | None:
    """The most frequent of N answers, in a tie the first by the alphabet, and its share; None for N = 0."""
    if not answers:
        return None
    answer, count = min(Counter(answers).items(), key=lambda item: (-item[1], item[0]))
    return answer, count / len(answers)


def imitation(predictions: Sequence[Hashable], weak: Sequence[Hashable], truth: Sequence[Hashable]) -> float | None:
    """P(student = weak | weak wrong): how often the student repeats an error of its supervisor.

    Three sequences of N answers. None where the weak supervisor is never wrong; ValueError where lengths differ.
    """
    _same_length(predictions=predictions, weak=weak, truth=truth)
    repeated = [bool(p == w) for p, w, t in zip(predictions, weak, truth, strict=True) if w != t]
    return sum(repeated) / len(repeated) if repeated else None


def correction(predictions: Sequence[Hashable], weak: Sequence[Hashable], truth: Sequence[Hashable]) -> float | None:
    """P(student = truth | weak wrong): how often the student is right where its supervisor is wrong.

    imitation + correction = 1 with two possible answers, and at most 1 with more (there are other errors to make).
    Three sequences of N answers. None where the weak supervisor is never wrong; ValueError where lengths differ.
    """
    _same_length(predictions=predictions, weak=weak, truth=truth)
    corrected = [bool(p == t) for p, w, t in zip(predictions, weak, truth, strict=True) if w != t]
    return sum(corrected) / len(corrected) if corrected else None


def auc(scores: Sequence[float] | np.ndarray, positive: Sequence[bool] | np.ndarray) -> float | None:
    """Area under the ROC curve: how often a positive example scores above a negative one; ties count half.

    Accuracy asks on which side of one half an example lies; this asks for the order alone. A model that leans towards
    one answer, with the right order, loses accuracy and no AUC. It is the Mann-Whitney statistic as a fraction.

    Args:
        scores: [N] probability of the positive answer, or anything that rises with it.
        positive: [N] whether the true answer is the positive one.

    Returns:
        A fraction; 0.5 for an order by chance. None where one of the two answers has no example.

    Raises:
        ValueError: the lengths differ.
    """
    _same_length(scores=scores, positive=positive)
    values, is_positive = np.asarray(scores, dtype=float), np.asarray(positive, dtype=bool)
    ones, zeros = int(is_positive.sum()), int((~is_positive).sum())
    if not ones or not zeros:
        return None
    _, place, counts = np.unique(values, return_inverse=True, return_counts=True)
    ranks = (np.cumsum(counts) - (counts - 1) / 2)[place]  # those of equal scores share the mean of their ranks
    return float((ranks[is_positive].sum() - ones * (ones + 1) / 2) / (ones * zeros))


def error_consistency(
    first_correct: Sequence[bool] | np.ndarray, second_correct: Sequence[bool] | np.ndarray
) -> float | None:
    """Do two answerers err on the same N items, beyond what their accuracies make likely? Cohen's kappa.

    (observed - expected) / (1 - expected): how often both are right or both wrong, against that of two that err
    independently with the same accuracies (Geirhos et al. 2020, arXiv 2006.16736). 1: on the same items; 0: as by
    chance; below 0: on other items. None where N is 0, and where both are always right or both always wrong.

    Args:
        first_correct, second_correct: [N] bool, same items in the same order.

    Raises:
        ValueError: the lengths differ.
    """
    if not _same_length(first_correct=first_correct, second_correct=second_correct):
        return None
    first, second = np.asarray(first_correct, dtype=bool), np.asarray(second_correct, dtype=bool)
    p, q = first.mean(), second.mean()
    expected = p * q + (1 - p) * (1 - q)
    return float(((first == second).mean() - expected) / (1 - expected)) if expected < 1 else None


def pgr(weak: float, student: float, ceiling: float) -> float | None:
    """Performance gap recovered: (student - weak) / (ceiling - weak).

    Xiao & Zhu (2025, arXiv 2501.09223), eq. 4.11. 0: as good as the weak supervisor; 1: as good as the strong ceiling.
    Not clipped, as in Burns et al. (2023): negative below the supervisor, above 1 beyond the ceiling.
    All three arguments are performances in the same unit. None where ceiling <= weak: there is no gap to recover.
    """
    return (student - weak) / (ceiling - weak) if ceiling > weak else None


def pgr_interval(
    weak_correct: Sequence[bool] | np.ndarray,
    student_correct: Sequence[bool] | np.ndarray,
    ceiling_correct: Sequence[bool] | np.ndarray,
    *,
    samples: int = 2000,
    seed: int = 0,
) -> tuple[float, float] | None:
    """95 % percentile bootstrap interval of the PGR over test items (not over training seeds).

    Paired: each resample draws N items with replacement, the same ones for all three models. Only the counts of the
    2 x 2 x 2 patterns (weak, student, ceiling right or wrong) matter, and those are multinomial, so they are drawn
    directly. That is the same distribution as drawing item by item.

    A resample whose ceiling is not above its weak supervisor has no PGR; just short of that point the PGR tends to
    plus or minus infinity. Dropping such resamples would make the interval too narrow, so each counts as -infinity for
    the lower end and as +infinity for the upper one. Hence more than 2.5 % of them make the interval unbounded: None.

    Args:
        weak_correct, student_correct, ceiling_correct: [N] bool, same items in the same order.
        samples: number of resamples, at least 40 (a 2.5 % tail must hold at least one).
        seed: random seed of the resampling.

    Returns:
        (low, high); None where the PGR is undefined on the full sample (also for N = 0), or where the interval is
            unbounded.

    Raises:
        ValueError: lengths differ, or `samples` is below 40.
    """
    n = _same_length(weak_correct=weak_correct, student_correct=student_correct, ceiling_correct=ceiling_correct)
    if samples < 40:
        raise ValueError(f"samples is {samples}; expected at least 40 for 2.5 % tails")
    right = np.array([weak_correct, student_correct, ceiling_correct], dtype=bool)
    if n == 0 or right[2].sum() <= right[0].sum():
        return None
    cells = np.bincount(np.array([1, 2, 4]) @ right, minlength=8)
    counts = np.random.default_rng(seed).multinomial(n, cells / n, size=samples)
    weak, student, ceiling = (counts @ (np.arange(8) >> bit & 1) for bit in range(3))
    gap = ceiling - weak
    values = (student - weak) / np.where(gap > 0, gap, 1)
    tail = int(0.025 * samples)
    low = np.sort(np.where(gap > 0, values, -np.inf))[tail]
    high = np.sort(np.where(gap > 0, values, np.inf))[-1 - tail]
    return (float(low), float(high)) if np.isfinite([low, high]).all() else None


@dataclass(frozen=True)
class Interval(Record):
    """Mean of `n` values with its 95 % interval, in the values' unit; the ends are None for n < 2, all for n = 0."""

    mean: float | None
    low: float | None
    high: float | None
    n: int


def mean_interval(values: Sequence[float]) -> Interval:
    """Mean over seeds and its 95 % Student-t interval; for paired comparisons, give the per-seed differences.

    Raises ValueError where a value is None or not finite.
    """
    for i, value in enumerate(values):
        if value is None or not math.isfinite(value):
            raise ValueError(
                f"values[{i}] is {value}; expected finite numbers. Where a quantity such as the PGR is undefined for "
                "some seeds, leave those seeds out on purpose and say how many"
            )
    n = len(values)
    if n < 2:
        return Interval(float(values[0]) if n else None, None, None, n)
    array = np.asarray(values, dtype=float)
    mean, half = float(array.mean()), float(stdtrit(n - 1, 0.975) * array.std(ddof=1) / math.sqrt(n))
    return Interval(mean, mean - half, mean + half, n)


@dataclass(frozen=True)
class Bin(Record):
    """One bar of the reliability diagram: `count` items with low <= confidence < high (the last bin includes 1).

    `confidence` is their mean confidence, `accuracy` the fraction of them that is right.
    """

    low: float
    high: float
    confidence: float
    accuracy: float
    count: int


@dataclass(frozen=True)
class Calibration(Record):
    """Expected calibration error (None if there are no items) and the non-empty bins of the reliability diagram."""

    ece: float | None
    bins: tuple[Bin, ...]


def calibration(
    confidence: Sequence[float] | np.ndarray, correct: Sequence[bool] | np.ndarray, *, bins: int = 10
) -> Calibration:
    """Is a model of confidence c right in a fraction c of the cases? Guo et al. (2017, arXiv 1706.04599, eq. 3).

    ECE = sum over bins b of n_b / N |accuracy_b - confidence_b|, over bins of equal width. Confidence 1 belongs to the
    last bin; empty bins are left out.

    Args:
        confidence: [N] the probability that the model gives to its own answer.
        correct: [N] whether that answer is right.
        bins: number of bins on [0, 1].

    Raises:
        ValueError: lengths differ, a confidence is outside [0, 1] by more than rounding, or `bins` is below 1.
    """
    n = _same_length(confidence=confidence, correct=correct)
    if bins < 1:
        raise ValueError(f"bins is {bins}; expected at least 1")
    sure, right = np.asarray(confidence, dtype=float), np.asarray(correct, dtype=bool)
    illegal = sure[~((sure >= -1e-6) & (sure <= 1 + 1e-6))]
    if len(illegal):
        raise ValueError(f"confidence {illegal[0]} found; expected probabilities from 0 to 1")
    sure = sure.clip(0, 1)  # a float32 softmax may sum to 1.0000001
    edges = np.arange(bins + 1) / bins
    owner = np.minimum(np.searchsorted(edges, sure, side="right") - 1, bins - 1)
    filled = []
    for b in np.unique(owner):
        rows = owner == b
        ends = float(edges[b]), float(edges[b + 1])
        filled.append(Bin(*ends, float(sure[rows].mean()), float(right[rows].mean()), int(rows.sum())))
    ece = sum(b.count / n * abs(b.accuracy - b.confidence) for b in filled) if n else None
    return Calibration(ece, tuple(filled))


def f1_macro(predictions: Sequence[Hashable], truth: Sequence[Hashable]) -> float | None:
    """Unweighted mean over classes of F1 = 2 TP / (2 TP + FP + FN), as scikit-learn's `f1_score(average="macro")`.

    The classes are those that occur in the predictions or in the truth. None for N = 0; ValueError where the lengths
    differ.
    """
    if not _same_length(predictions=predictions, truth=truth):
        return None
    predicted, true = Counter(predictions), Counter(truth)
    hits = Counter(t for p, t in zip(predictions, truth, strict=True) if p == t)
    # 2 TP + FP + FN = (TP + FP) + (TP + FN); above 0, since each class occurs somewhere.
    scores = [2 * hits[c] / (predicted[c] + true[c]) for c in predicted | true]
    return math.fsum(scores) / len(scores)


def summary_f1(predictions: Sequence[str], truth: Sequence[str]) -> float | None:
    """Micro F1 of short summaries such as "likes the plot, dislikes the acting".

    An answer is the multiset of its comma-separated parts, stripped of surrounding whitespace. Empty parts do not
    count; order does not matter; case does. A part that is predicted twice is right twice only if the truth has it
    twice. For each item, TP is the size of the intersection of the two multisets. F1 = 2 TP / (predicted parts + true
    parts), where each is first summed over all N items, so that longer summaries weigh more.

    Returns:
        A fraction; None where neither side has any part. Raises ValueError where the lengths differ.
    """
    _same_length(predictions=predictions, truth=truth)

    def parts(answer: str) -> Counter:
        return Counter(part.strip() for part in answer.split(",") if part.strip())

    pairs = [(parts(p), parts(t)) for p, t in zip(predictions, truth, strict=True)]
    hits = sum((p & t).total() for p, t in pairs)
    total = sum(p.total() + t.total() for p, t in pairs)
    return 2 * hits / total if total else None
