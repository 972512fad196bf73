"""Exercises of notebook 12: what a student answers that cannot tell examples apart, and whether two err alike."""

from collections.abc import Sequence

import numpy as np

from w2s_lab import metrics
from w2s_lab.classroom.exercises.exercise import Exercise
from w2s_lab.methods.majorities import by_cells
from w2s_lab.records import Example, LabelledSet, Task

ANSWERS = ("no", "unsure", "yes")


def answers_of_cells(labels, cells):
    votes = {}
    for label, cell in zip(labels, cells, strict=True):
        votes.setdefault(cell, []).append(label)
    most = {cell: max(sorted(set(own)), key=own.count) for cell, own in votes.items()}
    return [most[cell] for cell in cells]


def errors_in_common(first, second):
    p, q = sum(first) / len(first), sum(second) / len(second)
    same = sum(a == b for a, b in zip(first, second, strict=True)) / len(first)
    by_chance = p * q + (1 - p) * (1 - q)
    return (same - by_chance) / (1 - by_chance)


# -- the package's own computation, with the arguments of the exercise -------------------------------------------------


def _elected(labels: Sequence[str], cells: Sequence[int]) -> list[str]:
    examples = tuple(Example("", str(row), None) for row in range(len(labels)))
    given = LabelledSet(Task("cells", tuple(sorted(set(labels)))), examples, tuple(labels), source="an exercise")
    return list(by_cells(given, cells, given, cells).answers)


# -- random inputs -----------------------------------------------------------------------------------------------------


def _labels(rng: np.random.Generator) -> tuple[list[str], list[int]]:
    """Eighteen labels in four cells, one of them tied, in a mixed order."""
    tied = [("yes", 3), ("no", 3), ("yes", 3), ("no", 3)]
    rows = [*zip(rng.choice(ANSWERS, 14).tolist(), rng.integers(0, 3, 14).tolist(), strict=True), *tied]
    order = rng.permutation(len(rows))
    return [rows[i][0] for i in order], [rows[i][1] for i in order]


def _right(rng: np.random.Generator) -> tuple[list[bool], list[bool]]:
    """Thirty items; the two are right on different shares of them, and err together more often than by chance."""
    hard = rng.random(30) < 0.3
    first, second = (np.where(hard, rng.random(30) < 0.3, rng.random(30) < at) for at in (0.9, 0.8))
    first[:4], second[:4] = [True, True, False, False], [True, False, True, False]
    return first.tolist(), second.tolist()


# -- mistakes ----------------------------------------------------------------------------------------------------------


def _last_of_equals(labels: Sequence[str], cells: Sequence[int]) -> list[str]:
    own = {c: [label for label, cell in zip(labels, cells, strict=True) if cell == c] for c in cells}
    return [max(sorted(set(own[c]), reverse=True), key=own[c].count) for c in cells]


def _everywhere(labels: Sequence[str], cells: Sequence[int]) -> list[str]:
    return [max(sorted(set(labels)), key=list(labels).count)] * len(labels)


def _each_cell(labels: Sequence[str], cells: Sequence[int]) -> list[str]:
    said = dict(zip(cells, _elected(labels, cells), strict=True))
    return [said[cell] for cell in sorted(said)]


def _same(first: Sequence[bool], second: Sequence[bool]) -> float:
    return float(np.mean(np.array(first) == np.array(second)))


def _chance(first: Sequence[bool], second: Sequence[bool]) -> float:
    p, q = np.mean(first), np.mean(second)
    return p * q + (1 - p) * (1 - q)


EXERCISES = (
    Exercise(
        answers_of_cells,
        _labels,
        key=_elected,
        mistakes=(
            ("You take the most frequent of all labels. Each cell elects its own answer.", _everywhere),
            ("Between equally frequent answers, take the alphabetically first.", _last_of_equals),
            ("You return one answer for each cell. Return one for each example: that of its cell.", _each_cell),
            (
                "You return the labels themselves. That is a student that tells all examples apart.",
                lambda labels, cells: [*labels],
            ),
        ),
        hints=(
            "First collect the labels of each cell, in a dictionary from cell to list.",
            "The answer of a cell is the label that its list holds most often.",
            "max(sorted(set(own)), key=own.count) for the list `own` of a cell; then one answer for each example.",
        ),
    ),
    Exercise(
        errors_in_common,
        _right,
        key=metrics.error_consistency,
        mistakes=(
            ("This is how often both are right or both wrong. What would chance give?", _same),
            (
                "You took chance away, and did not divide by what is left to reach, 1 − chance.",
                lambda a, b: _same(a, b) - _chance(a, b),
            ),
            (
                "Two that err by chance are also wrong together: add (1 − p)(1 − q) to p q.",
                lambda a, b: (_same(a, b) - np.mean(a) * np.mean(b)) / (1 - np.mean(a) * np.mean(b)),
            ),
            ("This is what chance gives. Compare it with how often both are right or both wrong.", _chance),
        ),
        hints=(
            "p and q are the two accuracies; `same` is the fraction of items on which both are right or both wrong.",
            "By chance, both are right in p q of the cases and both wrong in (1 − p)(1 − q).",
            "(same − chance) / (1 − chance)",
        ),
    ),
)
