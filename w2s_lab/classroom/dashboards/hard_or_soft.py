"""Hard and soft weak labels on real English: curves of trainings that were done once (the study `real-tuning`)."""

from collections.abc import Mapping, Sequence

import numpy as np

from w2s_lab import assets
from w2s_lab.classroom.toolkit.chart import Bar, BarChart, Chart, Mark, Series
from w2s_lab.classroom.toolkit.measured import measured
from w2s_lab.classroom.toolkit.panel import Panel, View, choice
from w2s_lab.experiments.effects import difference, paired_effect
from w2s_lab.figures.plots import GREY, Role
from w2s_lab.metrics import mean_interval
from w2s_lab.studies.rows import select

STUDY = "real-tuning"
ARMS = {"hard labels ŷ": "weak labels", "soft labels": "soft weak labels"}  # in the menu -> arm of the study
SHOW = {"accuracy (fraction of test examples)": 1, "imitation of weak errors (fraction)": 2}  # -> place in a point
OTHER = Role("the other labels", GREY, "s", "", "--")
TITLE = "Hard or soft weak labels, a real model on film reviews"
NOT_MEASURED = (
    "This has not been measured yet: there is no data/results/real-tuning.json. `w2s-lab study real-tuning` makes it, "
    "in hours on a laptop."
)


def hard_or_soft(study: Mapping | None = None) -> Panel:
    """The student's curve with hard or with soft weak labels, the other one beside it, and where all of them end.

    Args:
        study: a result such as `classroom.measured("real-tuning")`; None: that one. Where it has not been measured yet,
            the panel says so.

    Raises:
        ValueError: the study lacks an arm, or its seeds have snapshots at different moments.
    """
    if study is None:
        if not (assets.RESULTS / f"{STUDY}.json").is_file():
            return Panel(TITLE, {}, lambda: View(NOT_MEASURED))
        study = measured(STUDY)
    students = [row for row in study["rows"] if row["question"] == "students"]
    rows = {name: select(students, arm=arm) for name, arm in ARMS.items()}
    for name, own in rows.items():
        if not own or len({tuple(point[0] for point in row["curve"]) for row in own}) != 1:
            raise ValueError(f"hard_or_soft: {len(own)} runs with {name}; expected some, with equal moments")
    hard, soft = rows.values()
    shared = {row["seed"] for row in hard} & {row["seed"] for row in soft}
    ends = [[row["accuracy"] for row in own if row["seed"] in shared] for own in (hard, soft)]
    effect = paired_effect("soft labels", ends[1], ends[0])

    def draw(labels: str, show: str) -> View:
        (other,) = set(ARMS) - {labels}
        end = mean_interval([row["accuracy"] for row in rows[labels]])
        says = f"{labels}: accuracy {end.mean:.3f} at the end, mean of {end.n} seeds. Soft minus hard, paired by seed: "
        says += f"{difference(effect)}{'' if effect.low is None else ', 95 % t interval over seeds'}."
        return View(says, (_curves(rows[labels], rows[other], show, says), _ends(rows)))

    controls = {
        "labels": choice("labels", list(ARMS), "soft labels", width="220px"),
        "show": choice("show", list(SHOW), width="380px"),
    }
    return Panel(TITLE, controls, draw)


def _curves(own: Sequence[Mapping], other: Sequence[Mapping], show: str, said: str) -> Chart:
    """Each seed faint, the mean bold, the mean of the other labels dashed."""
    place = SHOW[show]

    def line(row: Mapping) -> list[float | None]:
        return [point[place] for point in row["curve"]]

    def mean(rows: Sequence[Mapping]) -> list[float | None]:
        return [None if None in at else float(np.mean(at)) for at in zip(*map(line, rows), strict=True)]

    seen, also = ([point[0] for point in rows[0]["curve"]] for rows in (own, other))
    found = [Series(seen, line(row), "student", "", points=False, faint=True) for row in own]
    found.append(Series(also, mean(other), OTHER, points=False))
    found.append(Series(seen, mean(own), "student", "this student"))
    marks = ()
    if place == 1:
        levels = {role: float(np.mean([row[role] for row in own])) for role in ("weak", "ceiling")}
        words = {"weak": "weak supervisor", "ceiling": "strong ceiling"}
        marks = tuple(Mark(at, f"{words[r]} {at:.2f}", across=True, role=r) for r, at in levels.items())
    limits = (0.45, 1.0) if place == 1 else (0.0, 1.0)
    return Chart("training examples seen", show, tuple(found), marks, y_range=limits, height=270, said=said)


def _ends(rows: Mapping[str, Sequence[Mapping]]) -> BarChart:
    """Accuracy at the end, with its interval over seeds."""
    found = {name: mean_interval([row["accuracy"] for row in own]) for name, own in rows.items()}
    bars = tuple(Bar(name, end.mean, "student", end.low, end.high) for name, end in found.items())
    return BarChart("accuracy at the end (fraction), 95 % t interval over seeds", bars)
