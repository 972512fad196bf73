"""Lambda and its schedule, temperature, alpha: sliders over trainings that were done once (the study `losses`)."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from w2s_lab.classroom.dashboards.hard_or_soft import hard_or_soft
from w2s_lab.classroom.toolkit.chart import Chart, Mark, Series
from w2s_lab.classroom.toolkit.measured import measured
from w2s_lab.classroom.toolkit.panel import Panel, View, choice, stops
from w2s_lab.experiments.effects import difference, paired_effect
from w2s_lab.figures.plots import GREY, Role
from w2s_lab.figures.study_plots import SERIES
from w2s_lab.studies.dials import (
    ALPHAS,
    PLAIN,
    SCHEDULES,
    TEMPERATURES,
    TRUTH,
    WEAK_LABELS,
    WEIGHTS,
    Dial,
    rows_at,
)

if TYPE_CHECKING:
    from w2s_lab.classroom.toolkit.worlds import Worlds

SYMBOL = {"lambda": "λ", "temperature": "T", "alpha": "α"}
VALUES = {"lambda": WEIGHTS, "temperature": TEMPERATURES, "alpha": ALPHAS}
TITLE = {
    "lambda": "λ: the supervisor's distribution beside the answers of D",
    "temperature": "T: soft labels, hardened or softened",
    "alpha": "α: the student's own hardened prediction in the target",
}
SHOW = {  # what is drawn over the training: its name, its range
    "accuracy": ("accuracy (fraction of test examples)", (0.45, 1.0)),
    "imitation": ("imitation of weak errors (fraction)", (0.0, 1.0)),
    "agreement": ("agreement with the supervisor (fraction)", (0.45, 1.0)),
    "kl": ("KL to the supervisor (nats per answer)", None),
}
REFERENCE = Role("student of plain weak labels", GREY, "s", "", "--")
ALONE = Role("student of the true answers alone", SERIES[3].color, "D", "", "-.")


def loss_explorer(dial: str = "lambda", study: Mapping | None = None, *, real: bool = False) -> "Panel | Worlds":
    """Move a dial of the loss over the values that were measured; see the student's curve, and where it ends.

    Args:
        dial: "lambda" (with its schedule and both sets D), "temperature" or "alpha".
        study: a result such as `classroom.measured("losses")`; None: that one.
        real: whether a switch leads to hard and soft labels on real English.

    Raises:
        ValueError: there is no such dial, or the study has no row of it.
    """
    if dial not in VALUES:
        raise ValueError(f"loss_explorer: dial is {dial!r}; expected one of {', '.join(VALUES)}")
    study = measured("losses") if study is None else study
    rows = study["rows"]
    values = [value for value in VALUES[dial] if rows_at(rows, Dial(dial, value, _first(dial)))]
    if not values:
        raise ValueError(f"loss_explorer: the study has no row of the dial {dial!r}. Hint: w2s-lab study losses")
    symbol = SYMBOL[dial]
    controls = {"value": stops(symbol, [(f"{v:g}", v) for v in values], values[0])}
    if dial == "lambda":
        sets = [("the weak labels", WEAK_LABELS), (f"{study['true answers']} true answers", TRUTH)]
        controls["schedule"] = choice("Schedule", SCHEDULES, width="220px")
        controls["answers"] = choice("D", sets, width="220px")
    controls["show"] = choice("Show", [(name, key) for key, (name, _) in SHOW.items()], width="380px")

    def draw(value: float, show: str, schedule: str = _first(dial), answers: str = WEAK_LABELS) -> View:
        at = Dial(dial, value, schedule, answers)
        own, alone = rows_at(rows, at), rows_at(rows, replace(PLAIN, answers=answers))
        says = _sentence(at, own, rows_at(rows, PLAIN), alone)
        line = [replace(at, value=v) for v in values]
        return View(says, (_curves(rows, own, alone, show, says), _ends(rows, line, value, says)))

    panel = Panel(TITLE[dial], controls, draw)
    if not real:
        return panel
    from w2s_lab.classroom.toolkit.worlds import worlds  # torch, which takes seconds

    return worlds(panel, hard_or_soft)


def _first(dial: str) -> str:
    return SCHEDULES[0] if dial == "lambda" else ""


def _mean(rows: Sequence[Mapping], name: str) -> list[float | None]:
    """Mean over seeds at each snapshot; None where it is undefined for one of them."""
    return [None if None in at else float(np.mean(at)) for at in zip(*(row[name] for row in rows), strict=True)]


def _curves(rows: Sequence[Mapping], own: Sequence[Mapping], alone: Sequence[Mapping], show: str, said: str) -> Chart:
    """The student over its training: each seed faint, their mean bold, and what it is compared with."""
    plain = rows_at(rows, PLAIN)
    found = [Series(row["steps"], row[show], "student", "", points=False, faint=True) for row in own]
    found.append(Series(plain[0]["steps"], _mean(plain, show), REFERENCE, points=False))
    if alone is not plain and alone[0]["answers"] == TRUTH:
        found.append(Series(alone[0]["steps"], _mean(alone, show), ALONE, points=False))
    found.append(Series(own[0]["steps"], _mean(own, show), "student", "this student"))
    name, limits = SHOW[show]
    limits = limits or (0.0, 1.05 * max(v for row in rows for v in row[show]))
    marks = _levels(plain) if show == "accuracy" else ()
    return Chart("optimizer steps", name, tuple(found), marks, y_range=limits, height=270, said=said)


def _levels(plain: Sequence[Mapping]) -> tuple[Mark, ...]:
    """Weak supervisor and strong ceiling, means over seeds."""
    levels = {role: float(np.mean([row[role] for row in plain])) for role in ("weak", "ceiling")}
    names = {"weak": "weak supervisor", "ceiling": "strong ceiling"}
    return tuple(Mark(at, f"{names[role]} {at:.2f}", across=True, role=role) for role, at in levels.items())


def _ends(rows: Sequence[Mapping], line: Sequence[Dial], value: float, said: str) -> Chart:
    """Accuracy at the end for every position of the dial; a band from the lowest seed to the highest."""
    ends = [[row["end"] for row in rows_at(rows, dial)] for dial in line]
    x = [dial.value for dial in line]
    low, high = [min(at) for at in ends], [max(at) for at in ends]
    series = Series(x, [float(np.mean(at)) for at in ends], "student", "", low=low, high=high)
    symbol, pad = SYMBOL[line[0].name], 0.03 * (max(x) - min(x))
    here, name = Mark(value, f"{symbol} {value:g}"), f"{symbol} (band: lowest to highest seed)"
    x_range, y_range = (min(x) - pad, max(x) + pad), (0.75, 1.0)
    return Chart(name, "accuracy at the end", (series,), (here,), x_range, y_range, height=210, said=said)


def _sentence(at: Dial, own: Sequence[Mapping], plain: Sequence[Mapping], alone: Sequence[Mapping]) -> str:
    what = f"{SYMBOL[at.name]} = {at.value:g}"
    what += f", {at.schedule}, D the {at.answers}" if at.name == "lambda" else ""
    end, imitation, kl = (float(np.mean(_last(own, name))) for name in ("accuracy", "imitation", "kl"))
    says = f"{what}: accuracy {end:.3f} at the end, mean of {len(own)} seeds; "
    says += f"imitation of weak errors {imitation:.2f}, KL to the supervisor {kl:.2f} nats. "
    control = alone if at.answers == TRUTH else plain
    name = "the true answers alone" if at.answers == TRUTH else "plain weak labels"
    if at.run == replace(PLAIN, answers=at.answers):
        return f"{says}This is {name}."
    effect = paired_effect(what, _last(own, "accuracy"), _last(control, "accuracy"))
    over = "" if effect.low is None else ", 95 % t interval over seeds"
    return f"{says}Against {name}, paired by seed: {difference(effect)}{over}."


def _last(rows: Sequence[Mapping], name: str) -> list[float]:
    return [row[name][-1] for row in rows]
