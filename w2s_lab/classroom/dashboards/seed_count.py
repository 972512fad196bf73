"""How many seeds a comparison needs, and what pairing saves: on the methods study."""

from collections.abc import Mapping, Sequence

import numpy as np

from w2s_lab.classroom.toolkit.chart import Chart, Mark, Series
from w2s_lab.classroom.toolkit.measured import measured
from w2s_lab.classroom.toolkit.panel import Panel, View, choice, stops
from w2s_lab.experiments.effects import Effect, difference, paired_effect
from w2s_lab.figures.plots import Role
from w2s_lab.figures.study_plots import SERIES
from w2s_lab.studies.methods import METHODS, PLAIN

PAIRED = Role("paired by seed", SERIES[0].color, "o", "", "-")
APART = Role("the two sides apart", SERIES[1].color, "v", "", "--")
OFFERED = ("confidence loss 0.5", "soft labels", "weak labels + KL, cosine to 0", "bootstrapping through pocket-m")


def unpaired_effect(name: str, treated: Sequence[float], control: Sequence[float]) -> Effect:
    """The difference of two means as if no seed were shared: Welch's t interval, 95 %, and its p value.

    Args:
        treated, control: [seeds] values, at least two on each side.
    """
    from scipy import stats  # a second to import

    test = stats.ttest_ind(treated, control, equal_var=False)
    low, high = test.confidence_interval(0.95)
    mean = float(np.mean(treated) - np.mean(control))
    return Effect(name, mean, float(low), float(high), len(treated), 0, float(test.pvalue))


def seed_count(study: Mapping | None = None, methods: Sequence[str] = OFFERED, *, grid: str = "sentiment") -> Panel:
    """The verdict on a method at the end of training after 2, 3, ... seeds: with pairing by seed, and without.

    A method is compared with its control in the study; the confidence loss, for example, with soft labels.

    Args:
        study: a result such as `classroom.measured("methods")`; None: that one.
        methods: which may be chosen.
        grid: of the study.

    Raises:
        ValueError: the study has no such method on that grid, or fewer than two seeds of it.
    """
    rows = [row for row in (measured("methods") if study is None else study)["rows"] if row["grid"] == grid]
    control_of = {name: METHODS[name].control if name in METHODS else PLAIN for name in methods}
    by_seed = {
        name: {row["seed"]: row["accuracy"] for row in rows if row["method"] == name}
        for name in dict.fromkeys((*control_of.values(), *methods))
    }
    for name, found in by_seed.items():
        if len(found) < 2:
            raise ValueError(f"seed_count: {len(found)} seeds of {name!r} on grid {grid!r}; expected at least 2")
    counts = list(range(2, min(len(found) for found in by_seed.values()) + 1))

    def effects(method: str, n: int) -> tuple[Effect, Effect]:
        seeds = sorted(by_seed[method].keys() & by_seed[control_of[method]].keys())[:n]
        sides = [[by_seed[name][seed] for seed in seeds] for name in (method, control_of[method])]
        return paired_effect(method, *sides), unpaired_effect(method, *sides)

    table = {method: [effects(method, n) for n in counts] for method in methods}

    def draw(method: str, seeds: int) -> View:
        paired, apart = table[method][counts.index(seeds)]
        says = f"{method} against {control_of[method]}, after {seeds} seeds: "
        says += f"paired {difference(paired)}, {_verdict(paired)}; "
        says += f"the two sides apart {difference(apart)}, {_verdict(apart)}."
        series = []
        for place, role in ((1, APART), (0, PAIRED)):
            own = [pair[place] for pair in table[method]]
            band = {"low": [e.low for e in own], "high": [e.high for e in own]}
            series.append(Series(counts, [e.mean for e in own], role, **band))
        marks = (Mark(0.0, "no difference", across=True), Mark(seeds, f"{seeds} seeds"))
        limits = (counts[0] - 0.2, counts[-1] + 0.2)
        chart = Chart("seeds", "change of test accuracy", tuple(series), marks, limits, (-0.2, 0.2), said=says)
        return View(says, (chart,))

    controls = {"method": choice("Method", methods, width="380px"), "seeds": stops("Seeds", counts, min(3, counts[-1]))}
    return Panel("How many seeds does it take?", controls, draw)


def _verdict(effect: Effect) -> str:
    return {"cannot tell": "one cannot tell"}.get(effect.verdict, f"it {effect.verdict}")
