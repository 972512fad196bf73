"""How much the outcomes of a procedure prove: is there a gap, does the student recover any of it, does a model learn?

A sentence on a run follows from these measures and from nothing else.
"""

import math
from collections.abc import Sequence

import numpy as np

from w2s_lab.experiments.procedure import Outcome
from w2s_lab.metrics import Interval, difference_interval, mean_interval
from w2s_lab.records import Evaluation, mean_pgr

ROLES = {"weak supervisor": "weak", "strong student": "student", "strong ceiling": "ceiling"}  # -> field of Comparison
NEARLY_ALL = 0.95  # of the answers, from which on a model is said to give one only
FINE, COARSE = 0.05, 0.2  # to know the gap to ± this is always enough; to know it less exactly never is
VERDICTS = ("recovers", "falls below", "cannot tell", "no gap", "nothing measured")


def verdict(outcomes: Sequence[Outcome]) -> str:
    """What the numbers allow to say of the student: one of `VERDICTS`.

    * "nothing measured": in every seed, all test examples have the same true answer.
    * "no gap": the ceiling is above the supervisor in no seed, so the PGR is undefined.
    * "recovers", "falls below": there are enough test examples (`too_few`); the intervals of the gap, of the PGR and of
      the student's gain over its supervisor do not contain 0; and gain and PGR are above, or below it.
    * "cannot tell": all else.
    """
    if all(map(one_truth, outcomes)):
        return "nothing measured"
    pgr, _ = mean_pgr([outcome.comparison for outcome in outcomes])
    if pgr is None:
        return "no gap"
    if too_few(outcomes) or gap_interval(outcomes).low <= 0 or pgr.low is None:
        return "cannot tell"
    gain = accuracy_gap(outcomes, "weak", "student")
    if min(gain.low, pgr.low) > 0:
        return "recovers"
    return "falls below" if max(gain.high, pgr.high) < 0 else "cannot tell"


def gap_interval(outcomes: Sequence[Outcome]) -> Interval:
    """The gap, accuracy of the strong ceiling minus that of the weak supervisor; see `difference`."""
    return accuracy_gap(outcomes, "weak", "ceiling")


def accuracy_gap(outcomes: Sequence[Outcome], first: str, second: str) -> Interval:
    """Mean over seeds of the second model's accuracy minus the first's, with its 95 % interval.

    One seed: over the test examples (Newcombe). Several: Student t over the seeds; or, where this is wider (a few seeds
    may happen to agree), the mean plus and minus `blur`.

    Args:
        outcomes: one a seed.
        first, second: weak, student or ceiling.
    """
    differences = [getattr(o.comparison, second).accuracy - getattr(o.comparison, first).accuracy for o in outcomes]
    if len(outcomes) == 1:
        return Interval(differences[0], *_over_examples(outcomes[0], first, second), 1)
    found, least = mean_interval(differences), blur(outcomes, first, second)
    return Interval(found.mean, min(found.low, found.mean - least), max(found.high, found.mean + least), found.n)


def blur(outcomes: Sequence[Outcome], first: str, second: str) -> float:
    """Half the 95 % interval of the mean `difference`, as far as the number of test examples is its cause."""
    intervals = [_over_examples(outcome, first, second) for outcome in outcomes]
    return float(np.mean([(high - low) / 2 for low, high in intervals])) / math.sqrt(len(outcomes))


def _over_examples(outcome: Outcome, first: str, second: str) -> tuple[float, float]:
    one, other = (getattr(outcome.comparison, name) for name in (first, second))
    return difference_interval(one.correct, other.correct)


def exactness(outcomes: Sequence[Outcome]) -> float:
    """How exactly, ±, the gap must be known to read a PGR: to half of itself, but within FINE and COARSE."""
    return min(COARSE, max(FINE, abs(gap_interval(outcomes).mean) / 2))


def too_few(outcomes: Sequence[Outcome]) -> bool:
    """The test examples are too few: they leave the gap open by more than `exactness`."""
    return blur(outcomes, "weak", "ceiling") > exactness(outcomes)


def undefined_pgr(outcomes: Sequence[Outcome]) -> dict[int, str]:
    """Seed -> why its PGR is undefined, for the seeds where it is."""
    found = {}
    for outcome in outcomes:
        weak, ceiling = outcome.comparison.weak.accuracy, outcome.comparison.ceiling.accuracy
        if outcome.comparison.pgr is None:
            how = "is below" if ceiling < weak else "is no better than" if weak < 1 else "can be no better than"
            found[outcome.seed] = f"the ceiling ({ceiling:.3f}) {how} the supervisor ({weak:.3f})"
    return found


def one_truth(outcome: Outcome) -> bool:
    """All test examples have the same true answer."""
    return len(set(outcome.comparison.weak.truth)) == 1


def only_answer(evaluation: Evaluation) -> tuple[str, float] | None:
    """The answer that a model gives (nearly) always, though it is not always right, and how often; else None.

    Nearly: the model gives other answers to at most 5 % of the examples, and less than half as often as it should.
    """
    answer, share = evaluation.commonest
    others = 1 - evaluation.truth.count(answer) / len(evaluation)
    only = others > 0 and (share == 1 or (share >= NEARLY_ALL and 1 - share < others / 2))
    return (answer, share) if only else None


def against_constant(evaluation: Evaluation) -> Interval:
    """Accuracy minus that of always giving the most frequent true answer, with its 95 % interval over test examples."""
    answer, baseline = evaluation.constant
    always = np.array(evaluation.truth, dtype=object) == answer
    return Interval(evaluation.accuracy - baseline, *difference_interval(always, evaluation.correct), 1)
