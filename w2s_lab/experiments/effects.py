"""The effect of a method, paired by seed: the difference, its interval, and a verdict corrected for several tests.

All statistics are over training seeds. An undefined value is None, never 0.
"""

import math
from collections.abc import Hashable, Sequence
from dataclasses import asdict, dataclass

import numpy as np

from w2s_lab.metrics import mean_interval
from w2s_lab.system.record import Record

LEVEL = 0.05  # two-sided; the intervals are 95 %
VERDICTS = ("helps", "hurts", "cannot tell")
ROUNDING = 1e-12  # differences of accuracies that vary by less than this are equal


@dataclass(frozen=True)
class Effect(Record):
    """Treated minus control, over the seeds that have both values, in their unit (accuracy and PGR: fractions).

    Attributes:
        name: name of the method.
        mean: mean of the n paired differences; None for n = 0.
        low, high: 95 % Student-t interval of that mean; None for n < 2, of width 0 where all differences are equal.
        n: seeds used.
        undefined: seeds left out because one of the two values was None.
        p: p value of the two-sided paired t-test of "no difference"; None for n < 2. If all differences are equal, 1 if
            they are 0, else 0. The test assumes normal differences; two or three that happen to agree prove little.
        treated, control: mean values over the same n seeds; None for n = 0.
    """

    name: str
    mean: float | None
    low: float | None
    high: float | None
    n: int
    undefined: int
    p: float | None
    treated: float | None = None
    control: float | None = None

    @property
    def verdict(self) -> str:
        """One of VERDICTS: the interval lies above 0, below 0, or contains 0 (also if there is no interval)."""
        if self.low is None or self.high is None or self.low <= 0 <= self.high:
            return "cannot tell"
        return "helps" if self.low > 0 else "hurts"

    def _numbers(self) -> dict:
        return {"verdict": self.verdict}

    def _summary(self) -> str:
        return f"{self.name!r}: {difference(self)} over {self.n} seeds, {self.verdict}"


def paired_effect(name: str, treated: Sequence[float | None], control: Sequence[float | None]) -> Effect:
    """The effect of the treatment: mean difference, 95 % interval and p value of the paired t-test (Student, 1908).

    Pairing by seed removes what both values share (split, supervisor, first weights), so that far fewer seeds suffice.
    A larger value counts as better: of a loss or an error rate, give the negative, or the verdict is reversed.

    Args:
        name: name of the method.
        treated, control: [seeds] values, the same seeds in the same order; None where undefined (a PGR without a gap).

    Raises:
        ValueError: the lengths differ, or a value is neither None nor finite.
    """
    if len(treated) != len(control):
        raise ValueError(
            f"{name}: {len(treated)} treated and {len(control)} control values; expected one of each for every seed, "
            "with None where one is undefined"
        )
    for side, values in (("treated", treated), ("control", control)):
        for seed, value in enumerate(values):
            if value is not None and not math.isfinite(value):
                raise ValueError(f"{name}: {side}[{seed}] is {value}; expected a finite number, or None if undefined")
    pairs = [(t, c) for t, c in zip(treated, control, strict=True) if t is not None and c is not None]
    undefined = len(treated) - len(pairs)
    if not pairs:
        return Effect(name, None, None, None, 0, undefined, None)
    means = [float(side) for side in np.mean(pairs, axis=0)]
    differences = [t - c for t, c in pairs]
    if len(pairs) > 1 and np.ptp(differences) <= ROUNDING:
        mean = float(np.mean(differences)) if max(map(abs, differences)) > ROUNDING else 0.0
        return Effect(name, mean, mean, mean, len(pairs), undefined, float(mean == 0), *means)
    interval = mean_interval(differences)
    from scipy import stats  # a second to import

    p = float(stats.ttest_rel(*zip(*pairs, strict=True)).pvalue) if interval.n > 1 else None
    return Effect(name, interval.mean, interval.low, interval.high, interval.n, undefined, p, *means)


def equivalence_p(effect: Effect, margin: float) -> float | None:
    """p value of "the effect is at least `margin` away from 0", by two one-sided t-tests (Schuirmann, 1987).

    At most 0.05 exactly where the 90 % interval lies inside of ± margin. None for n < 2.

    Args:
        effect: over n independent seeds; the standard error is that of its 95 % interval.
        margin: above 0, in the unit of the effect.
    """
    if effect.mean is None or effect.low is None or effect.high is None:
        return None
    from scipy import stats  # a second to import

    nearest, half = margin - abs(effect.mean), (effect.high - effect.low) / 2
    if not half:  # all differences are equal
        return float(nearest <= 0)
    error = half / stats.t.ppf(1 - LEVEL / 2, effect.n - 1)
    return float(stats.t.sf(nearest / error, effect.n - 1))


def holm_adjusted(p_values: Sequence[float | None]) -> list[float | None]:
    """p values of one family of tests, adjusted so that P(any false rejection) stays below the level. Holm (1979).

    The i-th smallest of m values (from 0) is multiplied by m - i, raised to the value before it if it is smaller, and
    cut at 1. The tests may depend on each other, as tests against one control do. None (no test was made) stays None
    and does not count in m.

    Raises:
        ValueError: a p value is outside [0, 1].
    """
    for i, p in enumerate(p_values):
        if p is not None and not 0 <= p <= 1:
            raise ValueError(f"p_values[{i}] is {p}; expected a probability, or None where no test was made")
    made = sorted((p, i) for i, p in enumerate(p_values) if p is not None)
    adjusted: list[float | None] = [None] * len(p_values)
    largest = 0.0
    for rank, (p, i) in enumerate(made):
        largest = max(largest, min(1.0, p * (len(made) - rank)))
        adjusted[i] = largest
    return adjusted


def holm(effects: Sequence[Effect], *, level: float = LEVEL) -> list[bool]:
    """For each effect of one table, whether its verdict survives Holm's correction for all of them.

    True needs a verdict other than "cannot tell" and an adjusted p of at most `level`. At the default level, among
    twenty methods that do nothing about one gets a verdict by luck; with the correction, one table in twenty has any.
    """
    adjusted = holm_adjusted([effect.p for effect in effects])
    return [
        effect.verdict != "cannot tell" and p is not None and p <= level
        for effect, p in zip(effects, adjusted, strict=True)
    ]


# -- as text -----------------------------------------------------------------------------------------------------


def number(value: float | None, *, signed: bool = False) -> str:
    """Three decimals, or "undefined" for None. A signed -0.0002 is "-0.000": the verdict depends on the side of 0."""
    if value is None:
        return "undefined"
    return f"{value + 0.0:{'+' if signed else ''}.3f}"  # + 0.0 turns -0.0 into 0.0


def difference(effect: Effect) -> str:
    """The mean with its interval, such as "+0.021 [+0.004, +0.038]"."""
    if effect.low is None or effect.high is None:
        return number(effect.mean, signed=True)
    return f"{number(effect.mean, signed=True)} [{number(effect.low, signed=True)}, {number(effect.high, signed=True)}]"


def family_values(effects: Sequence[Effect]) -> list[dict]:
    """Effects that are one family of tests, as JSON values: each with its verdict, and whether it survives `holm`."""
    stars = zip(effects, holm(effects), strict=True)
    return [asdict(effect) | {"verdict": effect.verdict, "holm": star} for effect, star in stars]


def effects_table(effects: Sequence[Effect]) -> str:
    """Aligned text for the terminal, one line per effect, with a star where the verdict survives Holm's correction.

    Columns: method, seeds ("7 of 8" where some are undefined), mean of the treated, mean of the control, difference
    with its 95 % interval, verdict. Raises ValueError where there is no effect.
    """
    if not effects:
        raise ValueError("effects_table: no effect given; expected at least one")
    headers = ("method", "seeds", "treated", "control", "difference, 95 % interval", "verdict")
    rows = [
        (
            effect.name,
            f"{effect.n} of {effect.n + effect.undefined}" if effect.undefined else f"{effect.n}",
            number(effect.treated),
            number(effect.control),
            difference(effect),
            effect.verdict + " *" * survives,
        )
        for effect, survives in zip(effects, holm(effects), strict=True)
    ]
    widths = [max(map(len, column)) for column in zip(headers, *rows, strict=True)]
    left = (0, 4, 5)

    def line(cells: Sequence[str]) -> str:
        aligned = [
            cell.ljust(width) if column in left else cell.rjust(width)
            for column, (cell, width) in enumerate(zip(cells, widths, strict=True))
        ]
        return "  ".join(aligned).rstrip()

    tests = sum(effect.p is not None for effect in effects)
    note = f"paired by seed; * survives Holm's correction for {tests} comparison{'s' * (tests != 1)}"
    return "\n".join([line(headers), *map(line, rows), note])


def markdown_table(headers: Sequence[str], rows: Sequence[Sequence[object]]) -> str:
    """A table in Markdown: columns of numbers are aligned to the right, None is an empty cell, | is escaped.

    Raises:
        ValueError: a row and the headers differ in length.
    """
    for i, row in enumerate(rows):
        if len(row) != len(headers):
            raise ValueError(f"markdown_table: row {i} has {len(row)} cells; expected {len(headers)}, one per header")

    def line(cells: Sequence[object]) -> str:
        texts = ["" if cell is None else " ".join(str(cell).split()).replace("|", "\\|") for cell in cells]
        return f"| {' | '.join(texts)} |"

    numeric = [
        any(cell is not None for cell in column) and all(isinstance(cell, int | float | None) for cell in column)
        for column in (zip(*rows, strict=True) if rows else [()] * len(headers))
    ]
    return "\n".join([line(headers), line(["---:" if right else "---" for right in numeric]), *map(line, rows)])


# -- one quantity against another --------------------------------------------------------------------------------


@dataclass(frozen=True)
class Slope(Record):
    """The least-squares line y = intercept + slope x through n points, and Pearson's correlation.

    Attributes:
        slope, intercept: None with fewer than two different x.
        low, high: 95 % Student-t interval of the slope; None for n < 3 and for fewer than 2 clusters. Without clusters
            it assumes independent points (n - 2 degrees of freedom); with them it is that of the cluster-robust
            standard error, with one degree of freedom less than there are clusters.
        correlation: in [-1, 1]; None where x or y does not vary.
        n: points used.
        undefined: points left out because x or y was None.
        p: of the two-sided t-test of "slope 0"; None where there is no interval.
        clusters: how many clusters the points come from; None where they count as independent.
    """

    slope: float | None
    low: float | None
    high: float | None
    intercept: float | None
    correlation: float | None
    n: int
    undefined: int
    p: float | None = None
    clusters: int | None = None


def slope(x: Sequence[float | None], y: Sequence[float | None], *, clusters: Sequence[Hashable] | None = None) -> Slope:
    """Fit y on x by least squares (`scipy.stats.linregress`), as for gain against misfit.

    Under the conditions of Charikar et al. (2024, arXiv 2405.15116), the gain in squared error is at least the misfit:
    no point lies below a line of slope 1 through the origin.

    Args:
        x, y: [N] values, point by point; None where undefined.
        clusters: [N] what the points share, such as a seed; the interval then allows for errors that points of one
            cluster have in common (Liang and Zeger, 1986, with the usual correction for few clusters, as in Cameron and
            Miller, 2015). None: the points are independent.

    Raises:
        ValueError: the lengths differ, or a value is neither None nor finite.
    """
    if len(x) != len(y):
        raise ValueError(f"slope: {len(x)} values of x and {len(y)} of y; expected one of each for every point")
    if clusters is not None and len(clusters) != len(x):
        raise ValueError(f"slope: {len(clusters)} clusters for {len(x)} points; expected one for every point")
    used = [i for i, (a, b) in enumerate(zip(x, y, strict=True)) if a is not None and b is not None]
    points = np.array([(x[i], y[i]) for i in used], dtype=float)
    n, undefined = len(points), len(x) - len(points)
    if not np.isfinite(points).all():
        i = int(np.argmin(np.isfinite(points).all(axis=1)))
        raise ValueError(f"slope: point {tuple(points[i].tolist())}; expected finite numbers, or None if undefined")
    if n < 2 or np.ptp(points[:, 0]) == 0:
        return Slope(None, None, None, None, None, n, undefined)
    from scipy import stats  # a second to import

    fit = stats.linregress(*points.T)
    error, freedom, count = float(fit.stderr), n - 2, None
    if clusters is not None:
        own = [clusters[i] for i in used]
        count = len(set(own))
        error, freedom = _clustered_error(points, fit.intercept + fit.slope * points[:, 0], own), count - 1
    low = high = p = None
    if n > 2 and freedom > 0:
        half = float(stats.t.ppf(1 - LEVEL / 2, freedom)) * error
        low, high = float(fit.slope) - half, float(fit.slope) + half
        p = float(2 * stats.t.sf(abs(fit.slope) / error, freedom)) if error else float(fit.slope == 0)
    correlation = None if np.ptp(points[:, 1]) == 0 else float(fit.rvalue)
    return Slope(float(fit.slope), low, high, float(fit.intercept), correlation, n, undefined, p, count)


def _clustered_error(points: np.ndarray, fitted: np.ndarray, clusters: Sequence[Hashable]) -> float:
    """Cluster-robust standard error of the least-squares slope through points [N, 2]."""
    away, rest = points[:, 0] - points[:, 0].mean(), points[:, 1] - fitted
    score: dict[Hashable, float] = {}
    for cluster, one in zip(clusters, away * rest, strict=True):
        score[cluster] = score.get(cluster, 0.0) + one
    n, groups = len(points), len(score)
    few = groups / (groups - 1) * (n - 1) / (n - 2) if groups > 1 and n > 2 else math.nan
    return float(math.sqrt(few * sum(one**2 for one in score.values())) / (away**2).sum())
