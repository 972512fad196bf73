"""Exercises of notebook 12: answers of cells, errors in common, and a forecast made before any training."""

from collections.abc import Mapping, Sequence
from functools import cache

import numpy as np

from w2s_lab import metrics
from w2s_lab.classroom.exercises.exercise import Exercise, of_the_result
from w2s_lab.classroom.toolkit.measured import measured
from w2s_lab.experiments.effects import Effect, paired_effect
from w2s_lab.methods.majorities import by_cells
from w2s_lab.records import Example, LabelledSet, Task
from w2s_lab.studies.study import column, mean_of, select

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


def my_forecast():
    return {
        "cells": "405 neighbours",
        "late": "5 neighbours",
        "real English": "cannot tell",
        "made of": ["weak labels", "pre-trained features"],
        "limits": [
            "The number of neighbours was chosen on another seed, with the truth.",
            "On which examples the early student errs is not predicted.",
        ],
    }


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


# -- the forecast ----------------------------------------------------------------------------------------------------


@cache
def _rows(study: str) -> tuple[Mapping, ...]:
    return tuple(row for row in measured(study)["rows"] if row["question"] == "cells")


def _without_truth() -> set[str]:
    """Cells that can be had where no true answer is known."""
    return {row["cells"] for row in _rows("majorities") if row["kind"] in ("neighbours", "clusters")}


def _against_supervisor(study: str, cells: str) -> Effect:
    own = select(list(_rows(study)), cells=cells)
    return paired_effect(cells, column(own, "predicted"), column(own, "weak"))


def _like_the_late_student(cells: str) -> float:
    """The lower end of the interval of the errors in common."""
    return mean_of(select(list(_rows("majorities")), cells=cells), "consistency_late")["low"]


CRITERIA = (
    (
        "`cells` are neighbours or clusters of the study majorities: cells that need no true answer",
        lambda plan: plan["cells"] in _without_truth(),
    ),
    (
        "in the pocket world the plurality in these `cells` is surely right more often than the supervisor",
        lambda plan: _against_supervisor("majorities", plan["cells"]).low > 0,
    ),
    (
        "`late` are neighbours or clusters with which the late student surely has a kappa above 0.5",
        lambda plan: plan["late"] in _without_truth() and _like_the_late_student(plan["late"]) > 0.5,
    ),
    (
        "`real English` says of the same `cells` no more than the study real-majorities: helps, hurts or cannot tell",
        lambda plan: plan["real English"] == _against_supervisor("real-majorities", plan["cells"]).verdict,
    ),
    (
        "`made of` names what such a forecast is computed from, and no more",
        lambda plan: set(plan["made of"]) == {"weak labels", "pre-trained features"},
    ),
    (
        "`limits` gives two reasons or more, in sentences",
        lambda plan: sum(len(reason.split()) >= 5 for reason in set(plan["limits"])) >= 2,
    ),
)

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
                "You subtracted chance, and did not divide by what chance leaves to reach, 1 − chance.",
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
    Exercise(
        my_forecast,
        lambda rng: (),
        criteria=of_the_result(CRITERIA),
        hints=(
            "The tables of this notebook and of docs/findings.md, *When a majority suffices*, have all that you need.",
            "Wide neighbourhoods beat the supervisor in the pocket world; narrow ones err as the late student does.",
            "Look at the interval of plurality minus supervisor on film reviews: does it hold 0?",
        ),
    ),
)
