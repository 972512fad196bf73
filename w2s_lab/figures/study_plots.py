"""The results of studies as figures: plain values in, matplotlib Axes out, in the style of `plots`.

Every function draws on `ax` (if it is None, on new Axes; panels on `figure`) and returns the Axes; it changes nothing
global. New Axes are as large as their names and numbers need; Axes that you give should be about that size. Fractions
lie in [0, 1].
"""

from collections.abc import Hashable, Mapping, Sequence
from itertools import cycle

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import Normalize
from matplotlib.figure import Figure, SubFigure
from matplotlib.patches import Rectangle
from matplotlib.ticker import EngFormatter, LogLocator, MaxNLocator, NullFormatter, ScalarFormatter

from w2s_lab.experiments.effects import Effect, difference, holm, slope
from w2s_lab.figures.plots import GREY, HALO, ROLE, SIZE, SMALL, Role, label_points, legend_below, styled_axes
from w2s_lab.metrics import mean_interval

# Chosen like those of ROLE, and none of them stands for a role.
# The marker of a verdict points to the side of 0 on which the difference lies.
VERDICT = {
    "helps": Role("helps: the interval lies above 0", "#7A4AE6", ">", ""),
    "hurts": Role("hurts: the interval lies below 0", "#E8557F", "<", ""),
    "cannot tell": Role("cannot tell: the interval holds 0", GREY, "o", ""),
}
# Things without a role (strategies, groups, configurations) take these looks in the order in which they are given.
SERIES = (
    Role("", "#7A4AE6", "o", "", "-"),
    Role("", "#E8557F", "v", "", "--"),
    Role("", "#8C9820", "^", "", "-."),
    Role("", "#2A8058", "s", "", ":"),
    Role("", "#AA4A90", "D", "", "-"),
    Role("", "#5F94E0", "X", "", "--"),
    Role("", "#000000", "P", "", "-."),
)
# The health of a flywheel: key of a round -> title of its panel, with the unit.
HEALTH = {
    "test_accuracy": "test accuracy\n(fraction of examples)",
    "label_accuracy": "label accuracy\n(fraction of labels)",
    "duplicate_rate": "duplicate rate\n(fraction of proposals)",
    "distinct_2": "distinct-2\n(fraction of word pairs)",
    "document_perplexity": "perplexity of real documents\n(per token)",
    "answer_balance": "answer balance\n(1: all equally often)",
}

Point = tuple[float, float, float | None, float | None]  # cost, accuracy, low and high end of its interval


# -- one line per method -----------------------------------------------------------------------------------------


def effect_dots(
    effects: Sequence[Effect] | Mapping[str, Sequence[Effect]],
    ax: Axes | None = None,
    *,
    control_name: str,
    quantity: str = "accuracy (fraction of test examples)",
    by_mean: bool = False,
) -> Axes:
    """The effect of each method: mean paired difference with its 95 % interval, one method a line, from top to bottom.

    Args:
        effects: the effects in order, or heading -> effects. A star marks the verdicts that survive Holm's correction
            for all of them.
        control_name: name of the control that the methods are compared with, such as "plain weak labels".
        quantity: what was measured, with its unit.
        by_mean: sort by the mean (within each heading), the largest on top, instead of keeping the order.

    Raises:
        ValueError: there is no effect.
    """
    groups = effects if isinstance(effects, Mapping) else {"": effects}
    everything = [effect for group in groups.values() for effect in group]
    if not everything:
        raise ValueError("effect_dots: no effect given; expected at least one")
    rows: list[str | Effect] = []
    for heading, group in groups.items():
        order = sorted(group, key=lambda e: -np.inf if e.mean is None else e.mean, reverse=True) if by_mean else group
        rows += [*([heading] if heading else []), *order]
    survives = {id(effect): star for effect, star in zip(everything, holm(everything), strict=True)}
    names = [row if isinstance(row, str) else row.name + _counted(row.n, row.undefined) for row in rows]
    ax = styled_axes(ax, (8 + 0.1 * max(map(len, names)), 2.6 + 0.36 * len(rows)))
    ax.axvline(0, color="black", linestyle=":", linewidth=2, zorder=0, label=f"0: as good as {control_name}")
    for y, row in enumerate(rows):
        if isinstance(row, Effect):
            look, words = VERDICT[row.verdict], _minus(difference(row)) + " *" * survives[id(row)]
            if row.mean is not None:
                _across(ax, y, row.mean, row.low, row.high, look, is_open=row.verdict == "cannot tell")
            _beside(ax, y, words)
    shown = {effect.verdict for effect in everything if effect.mean is not None}
    for verdict in (verdict for verdict in VERDICT if verdict in shown):
        look = VERDICT[verdict]
        _key(ax, look, look.name, is_open=verdict == "cannot tell")
    _lines(ax, names, headings=[y for y, row in enumerate(rows) if isinstance(row, str)])
    ax.set_xlabel(f"difference in {quantity}", fontsize=SIZE)
    tests = sum(effect.p is not None for effect in everything)
    most, least = (pick(e.n + e.undefined for e in everything) for pick in (max, min))
    seeds = f"{most} seeds" if most == least else f"{least} to {most} seeds"
    title = f"paired by seed, {seeds}, 95 % Student-t"
    if any(survives.values()):
        title += f"\n* survives Holm's correction for {tests} comparison{'s' * (tests != 1)}"
    ax.set_title(title, fontsize=SIZE)
    legend_below(ax)
    return ax


def seed_curves(
    curves: Mapping[str, tuple[Role, Sequence[Sequence[tuple[float, float]]]]],
    ax: Axes | None = None,
    *,
    quantity: str,
    lines: Mapping[str, tuple[Role, float]] | None = None,
) -> Axes:
    """A quantity along the training under several conditions: bold the mean over seeds, thin each seed.

    Args:
        curves: name -> its look, and for each seed the points (examples seen, value); the seeds share their examples.
        quantity: what the values are, with its unit.
        lines: name -> look and height of a horizontal line.

    Raises:
        ValueError: there is no curve, or the points of two seeds lie at different numbers of examples.
    """
    if not curves or not all(seeds for _, seeds in curves.values()):
        raise ValueError("seed_curves: a condition without a curve; expected one for each seed")
    ax = styled_axes(ax, (9, 6.5))
    for name, (look, seeds) in curves.items():
        tables = np.array(seeds, dtype=float) if len({len(seed) for seed in seeds}) == 1 else None
        if tables is None or np.ptp(tables[:, :, 0], axis=0).any():
            raise ValueError(f"seed_curves: the seeds of {name!r} have points at different numbers of examples")
        style = {"color": look.color, "linestyle": look.line}
        for table in tables if len(tables) > 1 else ():
            ax.plot(*table.T, linewidth=1, alpha=0.35, **style)
        label = f"{name} ({len(tables)} seed{'s' * (len(tables) != 1)})"
        ax.plot(*tables.mean(0).T, linewidth=3, marker=look.marker, markersize=8, label=label, **style)
    for name, (look, height) in (lines or {}).items():
        ax.axhline(height, color=look.color, linestyle=look.line, linewidth=2.2, label=name, zorder=0)
    ax.set_xlabel("training examples seen (repeats counted)", fontsize=SIZE)
    ax.set_ylabel(quantity, fontsize=SIZE)
    legend_below(ax)
    return ax


def stopping_dots(rules: Mapping[str, Sequence[float | None]], ax: Axes | None = None) -> Axes:
    """How much of the oracle's gain each stopping rule recovers: mean, 95 % Student-t interval, and every seed.

    Args:
        rules: name -> for each seed (accuracy at the rule's snapshot - at the end) / (at the best snapshot - at the
            end); None where the best snapshot is the last one. The mean is meaningful only if the gains (the
            denominators) are well above 0.

    Raises:
        ValueError: there is no rule, or the rules have different numbers of seeds.
    """
    if not rules or len({len(values) for values in rules.values()}) != 1:
        raise ValueError(f"stopping_dots: {len(rules)} rules; expected at least one, all with as many seeds")
    ax, look = styled_axes(ax, (10, 3 + 0.6 * len(rules))), ROLE["student"]
    small = {"facecolors": "white", "edgecolors": look.color, "linewidths": 1.5, "zorder": 2}
    names = []
    for y, (name, values) in enumerate(rules.items()):
        defined = [value for value in values if value is not None]
        interval = mean_interval(defined)
        names.append(name + _counted(interval.n, len(values) - interval.n))
        ax.scatter(defined, [y + 0.22] * interval.n, 36, marker=look.marker, **small)
        if interval.mean is not None:
            _across(ax, y, interval.mean, interval.low, interval.high, look)
        _beside(ax, y, "undefined" if interval.mean is None else _minus(f"{interval.mean:.2f}"))
    for x, color, line, words in ((0, GREY, "--", "the end of the training"), (1, "black", ":", "the oracle's choice")):
        ax.axvline(x, color=color, linestyle=line, linewidth=2.2, zorder=0, label=f"{x}: as good as {words}")
    _key(ax, look, "mean over seeds, 95 % Student-t" if len(values) > 1 else "one seed")
    if len(values) > 1:
        ax.scatter([], [], 36, marker=look.marker, **small, label="one seed")
    _lines(ax, names)
    ax.set_xlabel("fraction of the oracle's gain recovered", fontsize=SIZE)
    ax.set_title("when to stop: gain over the end of the training,\nthe best snapshot's gain = 1", fontsize=SIZE)
    legend_below(ax)
    return ax


def _across(
    ax: Axes, y: float, mean: float, low: float | None, high: float | None, look: Role, *, is_open: bool = False
) -> None:
    """A dot at height y, with its interval if there is one."""
    ends = None if low is None or high is None else [[max(0, mean - low)], [max(0, high - mean)]]
    style = {"color": look.color, "markerfacecolor": "white" if is_open else look.color, "markeredgecolor": look.color}
    style |= {"marker": look.marker, "markersize": 10, "markeredgewidth": 1.8, "capsize": 4, "linewidth": 2.2}
    ax.errorbar(mean, y, xerr=ends, **style, zorder=3)


def _key(ax: Axes, look: Role, label: str, *, is_open: bool = False) -> None:
    """A legend entry for dots that are drawn one by one."""
    face = "white" if is_open else look.color
    style = {"color": look.color, "markerfacecolor": face, "markeredgecolor": look.color, "markeredgewidth": 1.8}
    ax.plot([], [], marker=look.marker, markersize=10, linewidth=2.2, label=label, **style)


def _beside(ax: Axes, y: float, words: str) -> None:
    """Words to the right of the axes, on the line of height y."""
    ax.text(1.02, y, words, transform=ax.get_yaxis_transform(), va="center", fontsize=SIZE)


def _minus(words: str) -> str:
    """The words with the minus sign that the axes use; a hyphen is easily overlooked."""
    return words.replace("-", "\N{MINUS SIGN}")


def _counted(n: int, undefined: int) -> str:
    return f" ({n} of {n + undefined} seeds)" if undefined else ""


def _lines(ax: Axes, names: Sequence[str], *, headings: Sequence[int] = ()) -> None:
    """Write the names down the left side, headings in bold; a pale line leads the eye from each name to its dot."""
    ax.set_yticks(range(len(names)), names, fontsize=SIZE)
    ax.set_ylim(len(names) - 0.4, -0.6)
    ax.tick_params(axis="y", length=0)
    ax.spines["left"].set_visible(False)
    for y in range(len(names)):
        if y in headings:
            ax.get_yticklabels()[y].set_fontweight("bold")
        else:
            ax.axhline(y, color="#E6E6E6", linewidth=1, zorder=-1)
    ax.margins(x=0.08)
    ax.xaxis.set_major_locator(MaxNLocator(5, steps=(1, 2, 5, 10)))


# -- weak x strong -----------------------------------------------------------------------------------------------


def heat_map(
    values: Sequence[Sequence[float | None]],
    weak_names: Sequence[str],
    strong_names: Sequence[str],
    ax: Axes | None = None,
    *,
    quantity: str = "performance gap recovered (PGR)",
    notes: Sequence[Sequence[str]] | None = None,
    centre: float | None = 0.0,
    limit: float = 1.0,
) -> Axes:
    """One number for every pair of models, written into its cell; the smallest pair at the lower left.

    Orange is below `centre` and purple above it; from a distance of `limit` on, the colour stays the same. Both ends
    print dark on a grey printer, so each number carries its sign.

    Args:
        values: [weak, strong]; None where undefined (hatched, with the word), nan where not measured (a dash).
        weak_names, strong_names: names of the rows and columns, from the smallest model to the largest.
        quantity: name of the quantity.
        notes: [weak, strong] a second, smaller line in a cell, such as its interval; "" for none.
        centre: the value drawn white; None for a quantity without such a value, such as an accuracy: pale to dark.
        limit: distance from `centre` at which the colour is darkest.

    Raises:
        ValueError: the table is not [weak, strong].
    """
    shape = len(weak_names), len(strong_names)
    for name, table in (("values", values), ("notes", notes)):
        if table is not None and (len(table) != shape[0] or any(len(row) != shape[1] for row in table)):
            raise ValueError(f"heat_map: {name} has rows of length {[len(row) for row in table]}; expected {shape}")
    rows, columns = shape
    ax = styled_axes(ax, (3.6 + 1.45 * columns, 2.2 + 0.95 * rows))
    table = np.array([[np.nan if value is None else value for value in row] for row in values], dtype=float)
    if centre is None:
        measured = table[np.isfinite(table)] if np.isfinite(table).any() else np.array([0.0, 1.0])
        colours, extend, sign = Normalize(measured.min(), measured.max()), "neither", ""
    else:
        colours, sign = Normalize(centre - limit, centre + limit), "+"
        beyond = bool(np.any(table < colours.vmin)), bool(np.any(table > colours.vmax))
        extend = {(False, False): "neither", (True, False): "min", (False, True): "max"}.get(beyond, "both")
    image = ax.imshow(table, cmap="Blues" if centre is None else "PuOr", norm=colours, origin="lower", aspect="auto")
    for i, j in np.ndindex(*shape):
        if values[i][j] is None:
            ax.add_patch(Rectangle((j - 0.5, i - 0.5), 1, 1, facecolor="white", edgecolor="#AAAAAA", hatch="//"))
            ax.text(j, i, "undefined", ha="center", va="center", fontsize=SIZE, path_effects=HALO)
        elif np.isfinite(table[i, j]):
            note = notes[i][j] if notes else ""
            colour = _readable_on(image.cmap(colours(table[i, j])))
            style = {"ha": "center", "va": "center", "color": colour}
            ax.text(j, i + (0.14 if note else 0), _minus(f"{table[i, j]:{sign}.2f}"), fontsize=SIZE + 1, **style)
            if note:
                ax.text(j, i - 0.2, note, fontsize=SMALL, **style)
        else:
            ax.text(j, i, "\N{EN DASH}", ha="center", va="center", fontsize=SIZE, color=GREY)
    ax.set_xticks(range(columns), strong_names, fontsize=SIZE)
    ax.set_yticks(range(rows), weak_names, fontsize=SIZE)
    ax.tick_params(length=0)
    ax.spines[:].set_visible(False)
    ax.set_xticks(np.arange(columns + 1) - 0.5, minor=True)
    ax.set_yticks(np.arange(rows + 1) - 0.5, minor=True)
    ax.grid(which="minor", color="white", linewidth=2)
    ax.tick_params(which="minor", length=0)
    empty = any(value is not None and np.isnan(value) for row in values for value in row)
    ax.set_xlabel("strong student" + "\n\N{EN DASH}: not measured" * empty, fontsize=SIZE)
    ax.set_ylabel("weak supervisor", fontsize=SIZE)
    bar = ax.figure.colorbar(image, ax=ax, extend=extend)
    bar.set_label(quantity, fontsize=SIZE)
    bar.ax.tick_params(labelsize=SIZE)
    return ax


def _readable_on(background: Sequence[float]) -> str:
    """Black or white, whichever has the higher contrast (WCAG 2: relative luminance) on an RGBA colour."""
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in background[:3]]
    luminance = float(np.dot([0.2126, 0.7152, 0.0722], linear))
    return "black" if (luminance + 0.05) / 0.05 > 1.05 / (luminance + 0.05) else "white"


# -- one quantity against another --------------------------------------------------------------------------------


def misfit_scatter(
    misfit: Sequence[float | None],
    gain: Sequence[float | None],
    ax: Axes | None = None,
    *,
    groups: Sequence[str] | None = None,
    clusters: Sequence[Hashable] | None = None,
    unit: str = "fraction of test examples",
) -> Axes:
    """Is the student better by as much as it disagrees with its supervisor? One point for each student.

    Charikar et al. (2024, arXiv 2405.15116): gain = misfit, for the squared error and under their conditions. If both
    are counted in examples, the gain cannot exceed the misfit: the student can be better only where the two differ.

    Args:
        misfit: distance between student and weak supervisor; a point with None is left out, and the legend counts it.
        gain: how much better the student is than the supervisor, in the same unit.
        groups: name of each point's group; each group has its own marker and colour.
        clusters: the seed of each point; the interval of the slope is then clustered by it. None: independent points.
        unit: the unit of both.

    Raises:
        ValueError: the lengths differ, or no point is defined.
    """
    groups = ["one student"] * len(misfit) if groups is None else list(groups)
    if len(groups) != len(misfit):
        raise ValueError(f"misfit_scatter: {len(groups)} groups for {len(misfit)} points; expected one for each")
    fit = slope(misfit, gain, clusters=clusters)
    if not fit.n:
        raise ValueError(f"misfit_scatter: none of {len(misfit)} points is defined; expected at least one")
    ax = styled_axes(ax, (8, 7.5))
    for look, group in zip(cycle(SERIES), dict.fromkeys(groups)):
        points = [
            (x, y)
            for x, y, its_group in zip(misfit, gain, groups, strict=True)
            if its_group == group and x is not None and y is not None
        ]
        if points:
            style = {"color": look.color, "marker": look.marker, "edgecolors": "black", "linewidths": 0.6, "zorder": 3}
            ax.scatter(*zip(*points, strict=True), 70, label=group, alpha=0.85, **style)
    shown = [x for x, y in zip(misfit, gain, strict=True) if x is not None and y is not None]
    ends = np.array([min(0, *shown), max(shown) * 1.05])
    ax.axhline(0, color="#BBBBBB", linewidth=1, zorder=0)
    ax.plot(ends, ends, color="black", linestyle=":", linewidth=2.2, zorder=1, label="gain = misfit")
    if fit.slope is not None:
        interval = "" if fit.low is None else f" [{fit.low:.2f}, {fit.high:.2f}]"
        points = f"{fit.n} of {fit.n + fit.undefined} points" if fit.undefined else f"{fit.n} points"
        points += f" of {fit.clusters} seeds" if fit.clusters else ""
        related = "" if fit.correlation is None else f", correlation {fit.correlation:.2f}"
        words = f"least squares through {points}:\nslope {fit.slope:.2f}{interval}{related}"
        span = np.array([min(shown), max(shown)])
        ax.plot(span, fit.intercept + fit.slope * span, color=GREY, linewidth=3, zorder=2, label=words)
    ax.set_xlabel(f"misfit: student against weak supervisor\n({unit})", fontsize=SIZE)
    ax.set_ylabel(f"gain: student over weak supervisor\n({unit})", fontsize=SIZE)
    ax.set_title("gain against misfit", fontsize=SIZE)
    legend_below(ax, pad=5.8)
    return ax


def gap_scatter(gaps: Sequence[float], changes: Sequence[float], seeds: Sequence[int], ax: Axes | None = None) -> Axes:
    """What the confidence loss changes, over the gap between supervisor and ceiling; a point a student.

    Args:
        gaps: ceiling minus supervisor, fraction of test examples.
        changes: accuracy with the confidence loss minus that with soft labels, at the trusted snapshot.
        seeds: of the points; the interval of the slope is clustered by them.

    Raises:
        ValueError: the lengths differ.
    """
    fit = slope(gaps, changes, clusters=seeds)
    ax = styled_axes(ax, (8, 7.5))
    look = SERIES[0]
    style = {"color": look.color, "marker": look.marker, "edgecolors": "black", "linewidths": 0.6, "zorder": 3}
    ax.scatter(gaps, changes, 70, label="one student", alpha=0.85, **style)
    ax.axhline(0, color=GREY, linestyle=":", linewidth=2.2, zorder=1, label="no change")
    if fit.slope is not None:
        interval = "" if fit.low is None else f" [{fit.low:.2f}, {fit.high:.2f}]"
        words = f"least squares through {fit.n} points of {fit.clusters} seeds:\nslope {fit.slope:.2f}{interval}"
        span = np.array([min(gaps), max(gaps)])
        ax.plot(span, fit.intercept + fit.slope * span, color="black", linewidth=3, zorder=2, label=_minus(words))
    ax.set_xlabel("gap: ceiling minus supervisor\n(accuracy, fraction of test examples)", fontsize=SIZE)
    ax.set_ylabel("change of accuracy at the trusted snapshot", fontsize=SIZE)
    ax.set_title("confidence loss against its own zero, soft labels", fontsize=SIZE)
    legend_below(ax, pad=5.8)
    return ax


def consistency_by_size(
    curves: Mapping[str, Sequence[Mapping[int, float | None]]],
    ax: Axes | None = None,
    *,
    size: str = "nearest labels that vote (log scale)",
) -> Axes:
    """Does a student err where the plurality of its neighbourhood errs? Against the size of the neighbourhood.

    Args:
        curves: name of the student -> for each seed: size -> error consistency (`metrics.error_consistency`). The dots
            are means over the seeds that have one, with 95 % Student-t intervals.
        size: what the sizes are.
    """
    ax = styled_axes(ax, (8, 7))
    sizes = sorted({k for seeds in curves.values() for seed in seeds for k in seed})
    for look, (name, seeds) in zip(SERIES, curves.items(), strict=False):
        found = [mean_interval([seed[k] for seed in seeds if seed[k] is not None]) for k in sizes]
        ends = [(0, 0) if i.low is None else (i.mean - i.low, i.high - i.mean) for i in found]
        style = {"color": look.color, "linestyle": look.line, "marker": look.marker, "markersize": 10, "capsize": 4}
        ax.errorbar(sizes, [i.mean for i in found], yerr=np.transpose(ends), linewidth=2.8, label=name, **style)
    ax.axhline(0, color="black", linestyle=":", linewidth=2, label="errors in common by chance alone", zorder=0)
    ax.set_xscale("log")
    ax.set_xticks(sizes, [f"{k:,}" for k in sizes])
    ax.xaxis.set_minor_formatter(NullFormatter())
    ax.set_ylim(top=1)
    ax.set_xlabel(size, fontsize=SIZE)
    ax.set_ylabel("error consistency with the plurality\n(Cohen's kappa; 1: the same errors)", fontsize=SIZE)
    legend_below(ax)
    return ax


def predicted_scatter(
    predicted: Mapping[str, Mapping[str, float]], measured: Mapping[str, float], ax: Axes | None = None
) -> Axes:
    """Accuracy of a student against what was predicted for it, a point for each slice; on the diagonal the two agree.

    Args:
        predicted: name of the prediction -> slice -> accuracy.
        measured: slice -> accuracy of the student; the slice's name stands beside its points, which a line joins.
    """
    ax = styled_axes(ax, (8, 7))
    for name, height in measured.items():
        ends = [found[name] for found in predicted.values()]
        ax.plot([min(ends), max(ends)], [height, height], color="#BBBBBB", linewidth=1.2, zorder=1)
    for look, (name, found) in zip(SERIES[2:], predicted.items(), strict=False):
        style = {"color": look.color, "marker": look.marker, "edgecolors": "black", "linewidths": 0.6, "zorder": 3}
        ax.scatter(list(found.values()), [measured[one] for one in found], 90, label=name, **style)
    ax.plot([0, 1], [0, 1], color="black", linestyle=":", linewidth=2.2, zorder=2, label="measured = predicted")
    ax.set(xlim=(0.15, 1.04), ylim=(0.15, 1.07), aspect="equal")
    ax.set_xlabel("predicted accuracy (fraction of a slice)", fontsize=SIZE)
    ax.set_ylabel("measured accuracy (fraction of a slice)", fontsize=SIZE)
    legend_below(ax)
    first = next(iter(predicted.values()))
    label_points(ax, [(first[name], height, name) for name, height in measured.items()])
    return ax


def frontier(points: Sequence[tuple[float, float]]) -> list[tuple[float, float]]:
    """The (cost, accuracy) points that no other point beats, sorted by cost; equal points count once.

    One point beats another if it is cheaper and at least as accurate, or as cheap and more accurate. The frontier is
    chosen by measured accuracy, so it favours points that were lucky in the measurement.
    """
    best: list[tuple[float, float]] = []
    for cost, accuracy in sorted(points, key=lambda point: (point[0], -point[1])):
        if not best or accuracy > best[-1][1]:
            best.append((cost, accuracy))
    return best


def cost_curve(
    strategies: Mapping[str, Sequence[Point]],
    ax: Axes | None = None,
    *,
    unit: str = "cost (one weak label = 1)",
    log: bool = False,
    ceiling: float | None = None,
) -> Axes:
    """What a budget buys: accuracy against cost for each way of spending it, and the frontier over all of them.

    Args:
        strategies: name -> (cost, accuracy, low, high) of each point; low and high are None where there is no interval.
        unit: the label of the cost axis.
        log: a logarithmic cost axis.
        ceiling: accuracy of the strong ceiling, as a horizontal line.

    Raises:
        ValueError: there is no point, or a cost is not above 0 on a logarithmic axis.
    """
    everything = [(point[0], point[1]) for points in strategies.values() for point in points]
    if not everything:
        raise ValueError(f"cost_curve: no point in {len(strategies)} strategies; expected at least one")
    if log and min(everything)[0] <= 0:
        raise ValueError(f"cost_curve: a cost of {min(everything)[0]}; expected above 0 for log=True")
    ax = styled_axes(ax, (9, 7))
    for look, (name, points) in zip(cycle(SERIES), strategies.items()):
        if not points:
            continue
        ordered = sorted(points, key=lambda point: point[0])
        cost, accuracy = [point[0] for point in ordered], [point[1] for point in ordered]
        ends = [
            [np.nan if end is None else end for end in column]
            for column in ([point[2] for point in ordered], [point[3] for point in ordered])
        ]
        bars = np.maximum(0, [np.subtract(accuracy, ends[0]), np.subtract(ends[1], accuracy)])
        style = {"color": look.color, "marker": look.marker, "linestyle": look.line, "zorder": 3}
        ax.errorbar(cost, accuracy, bars, **style, markersize=8, linewidth=2.2, elinewidth=1.5, capsize=3, label=name)
    if log:
        ax.set_xscale("log")
        ax.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
        ax.xaxis.set_major_formatter(ScalarFormatter())
        ax.xaxis.set_minor_formatter(NullFormatter())
    best = frontier(everything)
    end = (max(everything)[0], best[-1][1])  # a larger budget buys at least the last accuracy
    style = {"color": "#F0E442", "linewidth": 9, "alpha": 0.8, "zorder": 1, "solid_joinstyle": "round"}
    ax.plot(*zip(*best, end, strict=True), **style, drawstyle="steps-post", label="frontier: the most for the money")
    if ceiling is not None:
        role = ROLE["ceiling"]
        ax.axhline(ceiling, color=role.color, linestyle=role.line, linewidth=2.2, zorder=0, label=role.name)
    ax.set_xlabel(unit, fontsize=SIZE)
    ax.set_ylabel("accuracy (fraction of test examples)", fontsize=SIZE)
    ax.set_title("what a budget buys", fontsize=SIZE)
    legend_below(ax)
    return ax


def cascade_plot(
    rows: Sequence[tuple[float, float, float]],
    ax: Axes | None = None,
    *,
    weak: tuple[float, float] | None = None,
    strong: tuple[float, float] | None = None,
    marks: int = 4,
) -> Axes:
    """Weak model first, strong model where the weak one is not sure: accuracy against mean cost per example.

    The dotted line is the control: a coin, not the confidence, chooses which model answers.

    Args:
        rows: (threshold, cost, accuracy) of the cascade, cost in FLOPs per example; the strong model is asked where the
            confidence of the weak model lies below the threshold.
        weak, strong: (cost, accuracy) of each model alone; None: those of the cheapest and the most expensive row.
        marks: number of thresholds written beside the curve, evenly spaced in cost.

    Raises:
        ValueError: fewer than two rows.
    """
    if len(rows) < 2:
        raise ValueError(f"cascade_plot: {len(rows)} rows; expected at least two, from all weak to all strong")
    ax, student = styled_axes(ax, (8.5, 6.5)), ROLE["student"]
    rows = sorted(rows, key=lambda row: row[1])
    weak, strong = weak or rows[0][1:], strong or rows[-1][1:]
    cost, accuracy = [row[1] for row in rows], [row[2] for row in rows]
    ax.plot(cost, accuracy, color=student.color, linewidth=3, label="cascade: the weak model answers where it is sure")
    control = {"color": GREY, "linestyle": ":", "linewidth": 2.2, "label": "control: a coin chooses the model"}
    ax.plot(*zip(weak, strong, strict=True), **control, zorder=1)
    inner = np.linspace(cost[0], cost[-1], marks + 2)[1:-1]
    chosen = sorted({int(np.argmin(np.abs(np.subtract(cost, position)))) for position in inner} - {0, len(rows) - 1})
    dots = {"marker": student.marker, "markersize": 9, "markeredgecolor": "black", "linestyle": ""}
    at = [cost[i] for i in chosen], [accuracy[i] for i in chosen]
    ax.plot(*at, color=student.color, **dots, label="confidence threshold, beside its dot")
    ends = []
    for key, point in (("weak", weak), ("ceiling", strong)):
        role, words = ROLE[key], "weak model alone" if key == "weak" else "strong model alone"
        style = {"color": role.color, "marker": role.marker, "markeredgecolor": "black", "linestyle": ""}
        ax.plot(*point, **style, markersize=13, zorder=4)
        ends.append((*point, words))
    ax.margins(x=0.12, y=0.16)
    ax.xaxis.set_major_formatter(EngFormatter())
    ax.xaxis.set_major_locator(MaxNLocator(5))
    ax.set_xlabel("mean cost (FLOPs per example)", fontsize=SIZE)
    ax.set_ylabel("accuracy (fraction of test examples)", fontsize=SIZE)
    ax.set_title("cascade at inference", fontsize=SIZE)
    legend_below(ax)
    label_points(ax, [*ends, *((cost[i], accuracy[i], f"{rows[i][0]:.2f}") for i in chosen)])
    return ax


# -- panels ------------------------------------------------------------------------------------------------------


def overfitting_panels(
    curves: Mapping[tuple[float, float | str], Sequence[tuple[float, float, float]]],
    figure: Figure | SubFigure | None = None,
    *,
    label_accuracy: Mapping[float | str, float] | None = None,
) -> np.ndarray:
    """Overfitting to weak errors: accuracy falls while agreement rises. One panel for each learning rate and noise.

    Args:
        curves: (learning rate, label noise) -> (epochs, mean accuracy, mean agreement with the supervisor that
            gave the labels) in the order of training; noise is the fraction of wrong labels, or a name.
        label_accuracy: label noise -> accuracy of the labels, a horizontal line. A student that agrees with every label
            has this accuracy.

    Returns:
        [learning rates, label noises] Axes, both ascending (names in the order given).

    Raises:
        ValueError: there is no curve.
    """
    if not curves:
        raise ValueError("overfitting_panels: no curve given; expected one for each learning rate and label noise")
    rates, noises = (_ascending(key[i] for key in curves) for i in (0, 1))
    figure = _figure(figure, (2.2 + 3.5 * len(noises), 1.9 + 2.5 * len(rates)))
    axes = figure.subplots(len(rates), len(noises), sharex=True, sharey=True, squeeze=False)
    for ax, (rate, noise) in zip(axes.flat, ((rate, noise) for rate in rates for noise in noises), strict=True):
        styled_axes(ax)
        ax.grid(color="#E6E6E6")
        if (rate, noise) not in curves:
            ax.text(0.5, 0.5, "not measured", transform=ax.transAxes, ha="center", va="center", fontsize=SIZE)
            continue
        epochs, accuracy, agreement = zip(*curves[rate, noise], strict=True)
        for role, y, label in (
            (ROLE["student"], accuracy, "accuracy (student = truth)"),
            (ROLE["same"], agreement, "agreement (student = weak label)"),
        ):
            style = {"color": role.color, "linestyle": role.line, "marker": role.marker, "markersize": 7}
            ax.plot(epochs, y, **style, markevery=max(1, len(y) // 8), linewidth=2.6, label=label)
        if label_accuracy is not None and noise in label_accuracy:
            role = ROLE["weak"]
            words = "accuracy of the weak labels"
            ax.axhline(label_accuracy[noise], color=role.color, linestyle=role.line, linewidth=2.2, label=words)
    for ax, noise in zip(axes[0], noises, strict=True):
        ax.set_title(f"label noise {noise:g}" if isinstance(noise, float | int) else noise, fontsize=SIZE)
    for ax, rate in zip(axes[:, 0], rates, strict=True):
        ax.set_ylabel(f"learning rate\n{rate:g}", fontsize=SIZE)
    axes[0, 0].xaxis.set_major_locator(MaxNLocator(4, integer=True))
    figure.supxlabel("epochs", fontsize=SIZE)
    figure.supylabel("fraction of test examples", fontsize=SIZE)
    _common_legend(figure, axes)
    return axes


def flywheel_panels(
    configurations: Mapping[str, Sequence[Mapping[str, float | None]]],
    figure: Figure | SubFigure | None = None,
    *,
    health: Mapping[str, str] = HEALTH,
) -> np.ndarray:
    """The health of a self-instruct flywheel, round by round: one panel for each measure, one line per configuration.

    Args:
        configurations: name -> for each round, from round 0 (the seed pool), key of `health` -> value; a value that is
            missing or None (no proposal was labelled in round 0) is a gap in the line.
        health: key -> title of its panel, with the unit.

    Returns:
        [rows, 3] Axes; unused ones are hidden.

    Raises:
        ValueError: there is no round, or a measure has no value at all.
    """
    if not any(configurations.values()):
        raise ValueError("flywheel_panels: no round given; expected at least one configuration with its rounds")
    for key in health:
        if all(health_now.get(key) is None for rounds in configurations.values() for health_now in rounds):
            raise ValueError(f"flywheel_panels: no round has a value of {key!r}; expected those of {list(health)}")
    rows = -(-len(health) // 3)
    figure = _figure(figure, (14, 1.6 + 3.3 * rows))
    axes = figure.subplots(rows, 3, sharex=True, squeeze=False)
    for ax in axes.flat[len(health) :]:
        ax.set_visible(False)
    for ax, (key, title) in zip(axes.flat, health.items(), strict=False):
        styled_axes(ax)
        for look, (name, rounds) in zip(cycle(SERIES), configurations.items()):
            values = [np.nan if health_now.get(key) is None else health_now[key] for health_now in rounds]
            style = {"color": look.color, "linestyle": look.line, "marker": look.marker, "markersize": 8}
            ax.plot(range(len(values)), values, **style, linewidth=2.6, label=name)
        ax.set_title(title, fontsize=SIZE)
        ax.grid(color="#E6E6E6")
        ax.margins(y=0.12)
        ax.xaxis.set_major_locator(MaxNLocator(6, integer=True))
        ax.yaxis.set_major_locator(MaxNLocator(5))
    figure.supxlabel("round", fontsize=SIZE)
    _common_legend(figure, axes)
    return axes


def _figure(figure: Figure | SubFigure | None, figsize: tuple[float, float]) -> Figure | SubFigure:
    return plt.figure(figsize=figsize, layout="constrained") if figure is None else figure


def _ascending(values) -> list:
    """Each value once: numbers in ascending order, then names in the order given."""
    unique = list(dict.fromkeys(values))
    return sorted(v for v in unique if not isinstance(v, str)) + [v for v in unique if isinstance(v, str)]


def _common_legend(figure: Figure | SubFigure, axes: np.ndarray) -> None:
    """One legend above all panels, with each label once."""
    entries = {}
    for ax in axes.flat:
        entries |= {label: handle for handle, label in zip(*ax.get_legend_handles_labels(), strict=True)}
    position = {"loc": "outside upper center", "ncols": min(len(entries), 3)}
    figure.legend(entries.values(), entries, **position, fontsize=SIZE, frameon=False, handlelength=3)
