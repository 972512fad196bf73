"""Exercises of notebook 00: the words, as code."""

import numpy as np

from w2s_lab import metrics
from w2s_lab.classroom.exercises.exercise import Exercise


def gap_recovered(weak, student, ceiling):
    return (student - weak) / (ceiling - weak)


def imitates(student, weak, truth):
    wrong = [i for i in range(len(truth)) if weak[i] != truth[i]]
    return sum(student[i] == weak[i] for i in wrong) / len(wrong)


def _accuracies(rng: np.random.Generator) -> tuple[float, float, float]:
    weak, student, ceiling = np.sort(rng.uniform(0.5, 1.0, 3)).round(3).tolist()
    return weak, student, ceiling


def _answers(rng: np.random.Generator) -> tuple[list[str], list[str], list[str]]:
    truth = rng.choice(["good", "bad"], 12)
    other = np.where(truth == "good", "bad", "good")
    flip = rng.permutation(12)
    weak, student = truth.copy(), truth.copy()
    weak[flip[:5]] = other[flip[:5]]
    student[flip[2:7]] = other[flip[2:7]]
    return student.tolist(), weak.tolist(), truth.tolist()


EXERCISES = (
    Exercise(
        gap_recovered,
        _accuracies,
        key=metrics.pgr,
        cases=((0.7, 0.65, 0.9), (0.7, 0.95, 0.9)),  # below the supervisor, above the ceiling
        mistakes=(
            (
                "You cut the PGR off at 0 and 1. A student below its supervisor has a negative one, and one above the "
                "ceiling has more than 1: both are findings.",
                lambda w, s, c: min(1.0, max(0.0, (s - w) / (c - w))),
            ),
            (
                "You divided by the ceiling: the gap is what lies between the weak supervisor and the ceiling.",
                lambda w, s, c: (s - w) / c,
            ),
            (
                "This is the part of the gap that is still open, 1 − PGR.",
                lambda w, s, c: (c - s) / (c - w),
            ),
            (
                "You compared the student with the ceiling alone; the weak supervisor is where 0 is.",
                lambda w, s, c: s / c,
            ),
        ),
        hints=(
            "PGR is 0 where the student is as good as its supervisor, and 1 where it reaches the ceiling.",
            "Above the fraction line: what the student gained over the weak supervisor.",
            "Below it: what could have been gained, ceiling minus weak.",
        ),
    ),
    Exercise(
        imitates,
        _answers,
        key=metrics.imitation,
        mistakes=(
            (
                "This is agreement, over all examples. Imitation looks only at those where the weak one is wrong.",
                lambda s, w, t: sum(a == b for a, b in zip(s, w, strict=True)) / len(t),
            ),
            (
                "This is correction: where the student is right. Imitation counts where it repeats the error.",
                metrics.correction,
            ),
            (
                "You divided by all examples; divide by the number of the supervisor's errors.",
                lambda s, w, t: sum(a == b != c for a, b, c in zip(s, w, t, strict=True)) / len(t),
            ),
        ),
        hints=(
            "A conditional probability: first keep only the examples where weak differs from truth.",
            "Among those, count where student equals weak, and divide by how many those are.",
        ),
    ),
)
