"""A cascade to try: move the threshold; see which model answers, at what cost, and how often the answer is right."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from w2s_lab.classroom.toolkit.chart import Bar, BarChart, Chart, Mark, Series
from w2s_lab.classroom.toolkit.panel import Panel, View, choice, slider
from w2s_lab.figures.plots import GREY, ROLE, Role
from w2s_lab.figures.study_plots import SERIES
from w2s_lab.methods.cascade import CascadePoint, cascade, cascade_curve
from w2s_lab.methods.selection import aligned, confidence
from w2s_lab.records import LabelledSet

CASCADE = Role("cascade, all thresholds", SERIES[0].color, "o", "")  # neither of the two models: a colour of its own
HERE = Role("this threshold", SERIES[0].color, "D", "")
COIN = Role("control: a coin chooses", GREY, "", "", ":")
UNIT = 1e6  # FLOPs
AXES = {"cost": "mean cost (million FLOPs per item)", "asked": "fraction of the items that the strong model is asked"}

WeakSide = tuple[LabelledSet, float, float | None]  # labels with probs, FLOPs per item, fitted threshold


@dataclass(frozen=True, eq=False)
class CascadePair:
    """A weak side and a strong model on the same items of known truth, with their costs (weak, strong) in FLOPs."""

    weak: LabelledSet
    strong: LabelledSet
    cost: tuple[float, float]

    @cached_property
    def curve(self) -> tuple[CascadePoint, ...]:
        """The cascade at all thresholds that change which items the strong model is asked."""
        return cascade_curve(self.weak, self.strong, cost=self.cost)

    @cached_property
    def right(self) -> tuple[np.ndarray, np.ndarray]:
        """[N] bool each: where the weak side is right, and where the strong model is."""
        truth = np.array([example.answer for example in self.weak.examples], dtype=object)
        both = (self.weak, aligned(self.strong, self.weak))
        return tuple(np.array(labels.answers, dtype=object) == truth for labels in both)

    def at(self, threshold: float) -> CascadePoint:
        """The cascade with this threshold."""
        answers, asked = cascade(self.weak, self.strong, threshold)
        share = asked / len(self.weak)
        return CascadePoint(threshold, share, self.cost[0] + share * self.cost[1], answers.label_accuracy)

    def alone(self, across: str) -> dict[str, tuple[float, float]]:
        """Role -> (x, accuracy) of each model alone: what a cascade has to beat."""
        places = (0.0, 1.0) if across == "asked" else (self.cost[0] / UNIT, self.cost[1] / UNIT)
        accuracies = (self.weak.label_accuracy, self.strong.label_accuracy)
        return dict(zip(("weak", "student"), zip(places, accuracies, strict=True), strict=True))


def cascade_explorer(sides: Mapping[str, WeakSide], strong: LabelledSet, strong_cost: float) -> Panel:
    """Choose the confidence below which the strong model is asked.

    Args:
        sides: name -> (labels with probs, FLOPs per item, threshold that was fitted on other examples or None) of the
            weak supervisor, and of ensembles if there are any.
        strong: the strong model's labels of the same examples, whose truth is known.
        strong_cost: FLOPs per item of the strong model; the weak side always runs, the strong one where it is asked.

    Raises:
        ValueError: there is no weak side, or as for `cascade.cascade_curve`.
    """
    if not sides:
        raise ValueError("cascade_explorer: sides is empty; expected at least one: {name: (labels, cost, threshold)}")
    pairs = {name: CascadePair(labels, strong, (cost, strong_cost)) for name, (labels, cost, _) in sides.items()}
    points = [point for pair in pairs.values() for point in pair.curve]
    y_range = _around([point.accuracy for point in points])
    x_range = {"asked": (0.0, 1.0), "cost": (0.0, 1.02 * max(point.cost for point in points) / UNIT)}
    low = math.floor(100 * min(confidence(labels).min() for labels, *_ in sides.values())) / 100

    def draw(threshold: float, across: str, weak_side: str = next(iter(sides))) -> View:
        pair, fitted = pairs[weak_side], sides[weak_side][-1]
        here, best = pair.at(threshold), None if fitted is None else pair.at(fitted)
        says = _words(pair, here, best)
        chart = Chart(
            AXES[across],
            "accuracy (fraction of items)",
            _series(pair, here, across),
            marks=() if best is None else (Mark(_x(best, across), f"fitted: {best.threshold:.3f}"),),
            x_range=x_range[across],
            y_range=y_range,
            height=260,
            said=says,
        )
        return View(says, (chart, _who(pair, threshold)))

    controls = {
        "threshold": slider("Ask below confidence", round(low + 0.6 * (1 - low), 2), low, 1.0, 0.01, width="400px"),
        "across": choice("Across", [("cost per item", "cost"), ("fraction asked", "asked")], width="220px"),
    }
    if len(sides) > 1:
        controls["weak_side"] = choice("Weak side", list(sides), width="280px")
    return Panel("Cascade: who answers?", controls, draw)


def _around(values: list[float]) -> tuple[float, float]:
    """A range that holds all values with a little room, in twentieths."""
    low, high = math.floor(20 * min(values) - 0.2) / 20, math.ceil(20 * max(values) + 0.2) / 20
    return max(0.0, low), min(1.0, high)


def _x(point: CascadePoint, across: str) -> float:
    return point.asked if across == "asked" else point.cost / UNIT


def _series(pair: CascadePair, here: CascadePoint, across: str) -> tuple[Series, ...]:
    alone = pair.alone(across)
    coin = list(alone.values())
    return (
        Series([x for x, _ in coin], [y for _, y in coin], COIN, points=False),
        Series([_x(p, across) for p in pair.curve], [p.accuracy for p in pair.curve], CASCADE, points=False),
        *(Series([x], [y], role, f"{ROLE[role].name} alone", line=False) for role, (x, y) in alone.items()),
        Series([_x(here, across)], [here.accuracy], HERE, line=False),
    )


def _who(pair: CascadePair, threshold: float) -> BarChart:
    """How often each model is right, on the items that the weak side answers and on those that it passes on."""
    ask, (weak, strong) = confidence(pair.weak) < threshold, pair.right

    def bar(label: str, hits: np.ndarray, rows: np.ndarray, role: str | Role) -> Bar:
        return Bar(label, float(hits[rows].mean()) if rows.any() else None, role, note=f"(of {int(rows.sum()):,})")

    bars = (
        bar("sure: weak answers", weak, ~ask, "weak"),
        bar("unsure: weak would say", weak, ask, "weak"),
        bar("unsure: strong answers", strong, ask, "student"),
        bar("cascade", np.where(ask, strong, weak), np.ones(len(ask), dtype=bool), CASCADE),
    )
    said = "; ".join(f"{b.label}: {'none' if b.value is None else f'{b.value:.3f} right'} {b.note}" for b in bars)
    return BarChart("right (fraction of the items)", bars, said=said)


def _words(pair: CascadePair, here: CascadePoint, fitted: CascadePoint | None) -> str:
    alone = f"weak alone {pair.weak.label_accuracy:.3f}, strong alone {pair.strong.label_accuracy:.3f}"
    says = (
        f"Asked below {here.threshold:.2f}, the strong model answers {here.asked:.0%} of the items: accuracy "
        f"{here.accuracy:.3f} ({alone}) at {here.cost / pair.cost[1]:.0%} of the strong model's cost."
    )
    if here.cost > pair.cost[1]:
        says += " That is dearer than the strong model alone: the weak one always runs too."
    if fitted is not None:
        says += f" The threshold fitted on held-out truth asks {fitted.asked:.0%} and reaches {fitted.accuracy:.3f}."
    return says
