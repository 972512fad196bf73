"""What does a budget of human and weak labels buy, and where does the next unit of money help most?"""

import math
from collections.abc import Mapping, Sequence
from html import escape
from statistics import fmean, stdev

from w2s_lab.classroom.toolkit.chart import Chart, Mark, Series
from w2s_lab.classroom.toolkit.measured import measured
from w2s_lab.classroom.toolkit.panel import Panel, View, choice, slider, table
from w2s_lab.figures.plots import GREY, ROLE, Role
from w2s_lab.figures.study_plots import SERIES
from w2s_lab.methods import mixing
from w2s_lab.methods.mixing import Gain, Measured

WAY = "mixed in"  # how the grid of the study uses its human labels
PER = 100  # units of money, for gains that can be read
SURE = 2.0  # standard errors: a difference that is smaller says nothing
OUT_OF_REACH = Role("too dear", GREY, "X", "")
FRONTIER = Role("frontier: the most for the money", GREY, "", "", "--")
BEST = Role("the best that can be paid", ROLE["same"].color, "D", "")


def measured_grid(study: Mapping, way: str = WAY) -> tuple[Measured, ...]:
    """The points of a budget study in which human labels are used in this way, with standard errors over seeds."""
    rows = [row for row in study["rows"] if row["way"] == way]
    places = sorted({(row["human"], row["weak_labels"]) for row in rows})
    found = []
    for human, weak in places:
        own = [row["accuracy"] for row in rows if (row["human"], row["weak_labels"]) == (human, weak)]
        error = stdev(own) / math.sqrt(len(own)) if len(own) > 1 else 0.0
        found.append(Measured(human, weak, fmean(own), error))
    return tuple(found)


def best_affordable(
    points: Sequence[Measured], budget: float, *, human_cost: float, weak_cost: float
) -> Measured | None:
    """The most accurate point that costs no more than the budget, the cheaper of equal ones; None if all cost more."""
    prices = {"human_cost": human_cost, "weak_cost": weak_cost}
    paid = [p for p in mixing.frontier(points, **prices) if mixing.cost(p.human, p.weak, **prices) <= budget]
    return paid[-1] if paid else None


def budget_explorer(*studies: Mapping) -> Panel:
    """Set the prices of a human and of a weak label and the budget: what can be paid, the frontier, the next unit.

    Args:
        studies: results such as `classroom.measured("budget")`, one for each task; none given: that one.
    """
    found = studies or (measured("budget"),)
    grids = {study["task"]: measured_grid(study) for study in found}
    ceilings = {study["task"]: fmean(row["ceiling"] for row in study["rows"]) for study in found}

    def draw(task: str, human_price: float, weak_price: float, budget: float) -> View:
        points, prices = grids[task], {"human_cost": human_price, "weak_cost": weak_price}
        best = best_affordable(points, budget, **prices)
        count = sum(mixing.cost(p.human, p.weak, **prices) <= budget for p in points)
        says = f"With {budget:,.0f} units, {count} of {len(points)} measured plans can be paid."
        if best is None:
            return View(says, (_chart(points, budget, None, prices, ceilings[task], says),))
        paid = mixing.cost(best.human, best.weak, **prices)
        says += f" The best: {_plan(best)}, accuracy {best.accuracy:.3f}, for {paid:,.0f}. "
        gains = dict(zip(("human", "weak"), mixing.next_unit(points, best, **prices), strict=True))
        says += _where(gains)
        html = _gains(best, gains)
        return View(says, (_chart(points, budget, best, prices, ceilings[task], says),), html)

    return Panel(
        "Budget explorer",
        {
            "task": choice("Task", list(grids), width="220px"),
            "human_price": slider("A human label costs", 10, 1, 100, 1, form=".0f"),
            "weak_price": slider("A weak label costs", 1, 0.1, 5, 0.1, form=".1f"),
            "budget": slider("Budget", 2000, 100, 12_000, 100, form=",.0f"),
        },
        draw,
    )


def _plan(point: Measured) -> str:
    return f"{point.human:,} human and {point.weak:,} weak labels"


def _chart(
    points: Sequence[Measured],
    budget: float,
    best: Measured | None,
    prices: Mapping[str, float],
    ceiling: float,
    said: str,
) -> Chart:
    """Accuracy against cost on a logarithmic axis, over the frontier; points out of reach are grey."""
    costs = {point: mixing.cost(point.human, point.weak, **prices) for point in points}
    lowest, dearest = min(costs.values()), max(costs.values())
    ends = min(lowest, budget) * 0.8, max(dearest, budget) * 1.25
    front = mixing.frontier(points, **prices)
    x, y = _stairs([(costs[p], p.accuracy) for p in front], ends[1])
    series = [Series(x, y, FRONTIER, points=False)]
    for look, weak in zip(SERIES, sorted({point.weak for point in points}), strict=False):
        own = [point for point in points if point.weak == weak and costs[point] <= budget]
        name = f"{weak:,} weak labels" if weak else "human labels only"
        series.append(Series([costs[p] for p in own], [p.accuracy for p in own], look, name, line=False))
    dear = [point for point in points if costs[point] > budget]
    series.append(Series([costs[p] for p in dear], [p.accuracy for p in dear], OUT_OF_REACH, line=False))
    marks = [Mark(budget, "budget"), Mark(ceiling, ROLE["ceiling"].name, across=True, role="ceiling")]
    if best:
        series.append(Series([costs[best]], [best.accuracy], BEST, line=False))
    low = min(point.accuracy for point in points) - 0.02
    label = "cost (units of money)"
    return Chart(label, "test accuracy (fraction)", tuple(series), tuple(marks), ends, (low, 1.005), True, said)


def _stairs(points: Sequence[tuple[float, float]], end: float) -> tuple[list[float], list[float]]:
    """A line that stays level until the next point: unspent money does not change the accuracy."""
    x, y = [points[0][0]], [points[0][1]]
    for cost, accuracy in points[1:]:
        x += [cost, cost]
        y += [y[-1], accuracy]
    return [*x, end], [*y, y[-1]]


def _verdict(gain: Gain) -> str:
    if abs(gain.per_unit) < SURE * gain.error:
        return "cannot tell"
    return "helps" if gain.per_unit > 0 else "hurts" if gain.per_unit < 0 else "no change"


def _where(gains: Mapping[str, Gain | None]) -> str:
    """Which kind of label the next unit of money should buy."""
    helps = {kind: gain for kind, gain in gains.items() if gain and _verdict(gain) == "helps"}
    if not helps:
        return "From there, no purchase that was measured surely helps: keep the money."
    kind = max(helps, key=lambda one: helps[one].per_unit)
    return f"From there the next unit helps most in {kind} labels: {helps[kind].per_unit * PER:+.3f} per {PER} units."


def _gains(at: Measured, gains: Mapping[str, Gain | None]) -> str:
    rows = []
    for kind, gain in gains.items():
        if gain is None:
            rows.append((f"more {kind} labels", "the grid ends here", "", ""))
            continue
        more = gain.to.human - at.human if kind == "human" else gain.to.weak - at.weak
        change = f"{gain.per_unit * PER:+.4f} ± {gain.error * PER:.4f}"
        rows.append((f"{more:,} more {kind} labels", f"{gain.to.accuracy - at.accuracy:+.3f}", change, _verdict(gain)))
    head = ("next purchase", "accuracy", f"per {PER} units (± 1 standard error)", "verdict")
    return table(head, [[escape(cell) for cell in row] for row in rows])
