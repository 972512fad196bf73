"""Records in, matplotlib Axes out: each role has one colour, one marker and one hatch in all figures.

The colours hold on a white and on a dark page: each has a contrast of at least 3 : 1 (WCAG 2.2, criterion 1.4.11) with
white, and with the page and the cell of JupyterLab's dark theme.
Every function draws on `ax` (if it is None, on new Axes) and returns the Axes; it changes nothing global.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.patheffects import withStroke
from matplotlib.ticker import MaxNLocator, NullFormatter, ScalarFormatter

from w2s_lab import metrics
from w2s_lab.records import Comparison, Evaluation, Snapshot, accuracy_interval, mean_pgr

SIZE, SMALL = 13, 11  # points: labels, ticks, legends and titles; notes inside the axes
MIN_SLICE = 5  # examples; a slice with fewer is left out
GREY = "#767676"  # 4.5 : 1 on white, so that words may be written in it; words on a dark page are written in its ink
HALO = [withStroke(linewidth=3, foreground="white")]  # keeps a number readable where a line passes behind it
FRACTION = (0, 1)

History = Sequence[Snapshot]


@dataclass(frozen=True)
class Role:
    """How all figures draw one role: its name in legends, its colour, marker, hatch and line."""

    name: str
    color: str
    marker: str
    hatch: str
    line: str = "-"


# After Okabe & Ito (2008), orange and red darker, pink greyer; colour-blind people tell them apart as well as those.
ROLE: dict[str, Role] = {
    "weak": Role("weak supervisor", "#CF8000", "s", "//", "--"),
    "student": Role("strong student", "#0072B2", "o", ".", "-"),
    "ceiling": Role("strong ceiling", "#009E73", "^", "\\\\", "-."),
    "truth": Role("truth", "#000000", "D", "", ":"),
    "random": Role("random errors (control)", "#BE7EA6", "X", "xx", "-"),
    "same": Role("student = weak supervisor", "#C23C28", "v", "++", "-"),  # agreement, and imitation of weak errors
}


def styled_axes(ax: Axes | None, figsize: tuple[float, float] = (7.5, 5.5)) -> Axes:
    """`ax`, or the Axes of a new figure of `figsize` inches, with ticks readable from the back row and no box."""
    ax = plt.subplots(figsize=figsize, layout="constrained")[1] if ax is None else ax
    ax.tick_params(labelsize=SIZE)
    ax.spines[["top", "right"]].set_visible(False)
    return ax


def legend_below(ax: Axes, *, empty: str = "", pad: float = 4.4, columns: int = 1) -> None:
    """Draw the legend below the x label, where it covers no data; without entries, write `empty` into the axes.

    `pad` is the distance below the axes in letter heights.
    """
    if ax.get_legend_handles_labels()[0]:
        position = {"loc": "upper center", "bbox_to_anchor": (0.5, 0), "borderaxespad": pad}
        ax.legend(**position, ncols=columns, fontsize=SIZE, frameon=False, handlelength=2.4)
    else:
        ax.text(0.5, 0.5, empty, transform=ax.transAxes, ha="center", va="center", fontsize=SIZE)


def _comparisons(result: Comparison | Sequence[Comparison]) -> list[Comparison]:
    comparisons = [result] if isinstance(result, Comparison) else list(result)
    if not comparisons or len({comparison.weak.task for comparison in comparisons}) != 1:
        raise ValueError(f"{len(comparisons)} comparisons given; expected at least one, and all of the same task")
    return comparisons


def _histories(histories: History | Sequence[History]) -> list[History]:
    given = list(histories)
    if not given:
        raise ValueError("no history given; expected one sequence of snapshots for each seed")
    return [given] if isinstance(given[0], Snapshot) else given


# -- accuracy of the three roles ---------------------------------------------------------------------------------


def mean_accuracy(evaluations: Sequence[Evaluation]) -> metrics.Interval:
    """Mean accuracy with its 95 % interval: Wilson for one evaluation, Student-t (cut to [0, 1]) for several seeds."""
    interval = accuracy_interval(evaluations)
    low, high = np.clip([interval.low, interval.high], *FRACTION).tolist()
    return metrics.Interval(interval.mean, low, high, interval.n)


def pgr_text(result: Comparison | Sequence[Comparison]) -> str:
    """Two lines of text: the PGR with its 95 % interval, and the kind of interval.

    One comparison: bootstrap over test examples. Several: mean and Student-t over the seeds that have a PGR, and the
    number of these seeds (see `records.mean_pgr`).
    """
    comparisons = _comparisons(result)
    pgr, undefined = mean_pgr(comparisons)
    if pgr is None:
        return "PGR undefined: ceiling not above\nthe weak supervisor"
    interval = "[no interval]" if pgr.low is None else f"[{pgr.low:.2f}, {pgr.high:.2f}]"
    seeds = f"{pgr.n} of {len(comparisons)} seeds" if undefined else f"{pgr.n} seeds"
    over = f"mean over {seeds}, 95 % Student-t"
    if pgr.n == 1:
        over = f"95 % bootstrap over {len(comparisons[0].weak):,} test examples" + f", {seeds}" * bool(undefined)
    return f"PGR {pgr.mean:.2f} {interval}\n{over}"


def accuracy_bars(result: Comparison | Sequence[Comparison], ax: Axes | None = None) -> Axes:
    """Accuracy of weak supervisor, strong student and strong ceiling, with 95 % intervals; the PGR in the title.

    One comparison: one bar for each role. Several (seeds): for each role a large dot at the mean, and the seeds beside
    it as small open dots; a grey line joins the dots of one seed.
    """
    comparisons, ax = _comparisons(result), styled_axes(ax)
    keys, several = ("weak", "student", "ceiling"), len(comparisons) > 1
    table = np.array([[getattr(comparison, key).accuracy for key in keys] for comparison in comparisons])
    lowest = table.min()
    if several:
        _seed_dots(ax, table, [ROLE[key] for key in keys])
    for x, role in enumerate(ROLE[key] for key in keys):
        interval = mean_accuracy([getattr(comparison, keys[x]) for comparison in comparisons])
        lowest = min(lowest, interval.low)
        if not several:
            light = {"facecolor": f"{role.color}55", "edgecolor": role.color, "hatch": role.hatch, "linewidth": 1.5}
            ax.bar(x, interval.mean, 0.62, label=role.name, **light)
        _mean_dot(ax, x + 0.1 if several else x, interval, role, above=not several)
    ax.set(xlim=(-0.5, 3.0), ylim=(0, 1.09), xticks=range(3))
    ax.set_xticklabels([ROLE[key].name.replace(" ", "\n") for key in keys], fontsize=SIZE)
    answers = comparisons[0].weak.task.answers
    if several:
        ax.set_ylim(max(0, min(lowest, 1 / len(answers) if answers else 1) - 0.05), 1.03)
    _chance(ax, answers)
    measure = "accuracy" if answers else "exact matches"
    ax.set_ylabel(f"{measure} (fraction of test examples)", fontsize=SIZE)
    ax.set_title(pgr_text(comparisons), fontsize=SIZE)
    return ax


def role_dots(accuracy: Mapping[str, Sequence[float]], ax: Axes | None = None, *, chance: float | None = None) -> Axes:
    """Accuracy of several roles from plain numbers: the mean with its interval, and every seed as a small open dot.

    Args:
        accuracy: key of ROLE -> fraction of each seed, with the seeds in the same order for all.
        chance: a dotted line.

    Raises:
        ValueError: there is no role, or the roles have different numbers of seeds.
    """
    if not accuracy or len({len(values) for values in accuracy.values()}) != 1:
        raise ValueError(f"role_dots: {len(accuracy)} roles; expected at least one, all with as many seeds")
    ax, roles = styled_axes(ax), [ROLE[key] for key in accuracy]
    _seed_dots(ax, np.array(list(accuracy.values()), dtype=float).T, roles)
    for x, (role, values) in enumerate(zip(roles, accuracy.values(), strict=True)):
        _mean_dot(ax, x + 0.1, metrics.mean_interval(values), role)
        ax.plot([], [], role.marker, color=role.color, markeredgecolor="black", markersize=11, label=role.name)
    lowest = min(min(values) for values in accuracy.values())
    if chance is not None:
        ax.axhline(chance, color=GREY, linestyle=":", linewidth=2, label="chance", zorder=0)
    ax.set(xlim=(-0.5, len(roles) - 0.3), ylim=(min(lowest, 1.0 if chance is None else chance) - 0.05, 1.04))
    ax.set_xticks(range(len(roles)), [role.name.replace(" ", "\n") for role in roles], fontsize=SIZE)
    ax.set_ylabel("accuracy (fraction of test examples)", fontsize=SIZE)
    legend_below(ax, pad=3.4)
    return ax


def _seed_dots(ax: Axes, table: np.ndarray, roles: Sequence[Role]) -> None:
    """Small open dots for `table` [seeds, columns], left of each column; a line joins one seed's dots; nan is a gap."""
    positions = np.arange(table.shape[1]) - 0.14
    for row in table:
        ax.plot(positions, row, color="#BBBBBB", linewidth=1, zorder=1)
    for x, role, values in zip(positions, roles, table.T, strict=True):
        open_dot = {"facecolors": "white", "edgecolors": role.color, "linewidths": 1.5, "zorder": 2}
        ax.scatter([x] * len(values), values, 36, marker=role.marker, label="_one seed", **open_dot)


def _mean_dot(ax: Axes, x: float, interval: metrics.Interval, role: Role, *, above: bool = False) -> None:
    """A large dot, its interval if there is one, and the number beside the dot or above the interval."""
    low, high = (interval.mean, interval.mean) if interval.low is None else (interval.low, interval.high)
    ends = None if interval.low is None else [[max(0, interval.mean - low)], [max(0, high - interval.mean)]]
    style = {"color": role.color, "ecolor": "black", "markeredgecolor": "black", "zorder": 3}
    ax.errorbar(x, interval.mean, ends, marker=role.marker, markersize=11, capsize=5, linewidth=1.8, **style)
    y = high if above else interval.mean
    at = {"xytext": (0, 9), "ha": "center"} if above else {"xytext": (11, 0), "va": "center"}
    at |= {"textcoords": "offset points", "path_effects": HALO, "fontsize": SIZE, "zorder": 4}
    ax.annotate(f"{interval.mean:.2f}", (x, y), **at)


def _chance(ax: Axes, answers: tuple[str, ...] | None) -> None:
    """A dotted line at 1 / K for a closed list of K answers."""
    if answers:
        ax.axhline(1 / len(answers), color=GREY, linestyle=":", linewidth=1.5, zorder=0)
        at = {"transform": ax.get_yaxis_transform(), "ha": "right", "va": "bottom", "path_effects": HALO}
        ax.text(1, 1 / len(answers), f"chance\n1 of {len(answers)}", **at, fontsize=SMALL, color=GREY, zorder=4)


def pgr_dots(
    conditions: Mapping[str, Sequence[float | None]], ax: Axes | None = None, *, roles: Mapping[str, str] | None = None
) -> Axes:
    """PGR under several conditions: mean with its 95 % Student-t interval, and every seed as a small open dot.

    Args:
        conditions: name -> PGR of each seed, with the seeds in the same order for all; None where it is undefined
            (left out of the mean; the number of seeds is then written below the name).
        roles: name -> key of ROLE; conditions that are not named here are drawn as the strong student.

    Raises:
        ValueError: there is no condition, or the conditions have different numbers of seeds.
    """
    if not conditions or len({len(values) for values in conditions.values()}) != 1:
        raise ValueError(f"pgr_dots: {len(conditions)} conditions; expected at least one, all with as many seeds")
    ax, looks = styled_axes(ax), [ROLE[(roles or {}).get(name, "student")] for name in conditions]
    table = np.array(list(conditions.values()), dtype=float).T
    _seed_dots(ax, table, looks)
    names = []
    for x, (name, role) in enumerate(zip(conditions, looks, strict=True)):
        defined = table[~np.isnan(table[:, x]), x]
        if len(defined):
            _mean_dot(ax, x + 0.1, metrics.mean_interval(defined), role)
        names.append(name if len(defined) == len(table) else f"{name}\n({len(defined)} of {len(table)} seeds)")
    for role, y in ((ROLE["weak"], 0), (ROLE["ceiling"], 1)):
        as_good = f"{y}: as good as the {role.name}"
        ax.axhline(y, color=role.color, linestyle=role.line, linewidth=2.2, zorder=0, label=as_good)
    ax.set_xlim(-0.5, len(names) - 0.3)
    ax.margins(y=0.1)
    ax.set_xticks(range(len(names)), names, fontsize=SIZE - 1 if len(names) > 3 else SIZE)
    ax.set_ylabel("performance gap recovered (PGR)", fontsize=SIZE)
    seeds = f"mean over {len(table)} seeds, 95 % Student-t" if len(table) > 1 else "one seed"
    ax.set_title(f"PGR by condition\n{seeds}", fontsize=SIZE)
    legend_below(ax, pad=1.6 + 1.25 * max(name.count("\n") + 1 for name in names))
    return ax


# -- over the course of training ---------------------------------------------------------------------------------


def _curve(
    ax: Axes, histories: list[History], value: Callable[[Evaluation], float | None], role: Role, label: str
) -> list[tuple[float, float]]:
    """Draw and return the mean over seeds of `value` against examples seen; several seeds also get a thin line each.

    The mean is taken at the steps where every seed has a value, so that it never jumps because a seed drops out. Seeds
    without any value (with no weak error to imitate) are left out, and the label says so.
    """
    seeds = []
    for history in histories:
        watched = [(snapshot, value(snapshot.evaluation)) for snapshot in history if snapshot.evaluation]
        seeds.append({snapshot.step: (snapshot.examples_seen, y) for snapshot, y in watched if y is not None})
    kept = [seed for seed in seeds if seed]
    if len(kept) < len(seeds):
        label += f" ({len(kept)} of {len(seeds)} seeds)"
    if len(kept) > 1:
        for seed in kept:
            ax.plot(*zip(*seed.values(), strict=True), color=role.color, linestyle=role.line, linewidth=1, alpha=0.4)
    # matched by step: at one step, seeds have seen slightly different numbers of examples, since an epoch's short batch
    # comes at different steps
    common = sorted(set.intersection(*map(set, kept))) if kept else []
    mean = [tuple(np.mean([seed[step] for seed in kept], axis=0).tolist()) for step in common]
    if mean:
        style = {"color": role.color, "linestyle": role.line, "marker": role.marker}
        every = max(1, len(mean) // 12)
        ax.plot(*zip(*mean, strict=True), label=label, linewidth=3, markersize=8, markevery=every, **style)
    return mean


def _training_axes(ax: Axes, seeds: int, what: str) -> None:
    ax.set_xlabel("training examples seen (repeats counted)", fontsize=SIZE)
    ax.set_title(f"{what}\n" + ("one seed" if seeds == 1 else f"bold: mean over {seeds} seeds"), fontsize=SIZE)
    ax.xaxis.set_major_locator(MaxNLocator(5, integer=True))


def learning_curves(
    histories: History | Sequence[History],
    ax: Axes | None = None,
    *,
    weak: float | None = None,
    ceiling: float | None = None,
) -> Axes:
    """The student on the watched examples during training: its accuracy and its agreement with the weak supervisor.

    Args:
        histories: for each seed, the snapshots of its training; those without an evaluation are skipped.
        weak, ceiling: accuracy of the weak supervisor and of the strong ceiling (fractions), as horizontal lines.
    """
    histories, ax = _histories(histories), styled_axes(ax)
    mean = _curve(ax, histories, lambda e: e.accuracy, ROLE["student"], "student: accuracy")
    _curve(ax, histories, lambda e: e.agreement, ROLE["same"], "student: agreement with weak")
    for role, y in ((ROLE["weak"], weak), (ROLE["ceiling"], ceiling)):
        if y is not None:
            ax.axhline(y, color=role.color, linestyle=role.line, linewidth=2.2, label=f"{role.name}: accuracy")
    lowest = min((float(np.min(line.get_ydata())) for line in ax.get_lines()), default=0.0)
    ax.set_ylim(max(-0.12, lowest - 0.35 * (1 - lowest)), 1.03)  # room for the words at the bottom
    if mean:
        _mark_best(ax, mean)
    ax.set_ylabel("fraction of examples", fontsize=SIZE)
    _training_axes(ax, len(histories), "the strong student while it trains")
    legend_below(ax, empty="no snapshot was evaluated")
    return ax


def _mark_best(ax: Axes, mean: Sequence[tuple[float, float]]) -> None:
    """Draw a star on the highest point of the mean, and say below it that only an oracle can choose this snapshot."""
    trained = [point for point in mean if point[0] > 0] or mean  # no rule chooses the untrained model
    seen, best = max(trained, key=lambda point: point[1])
    ax.plot(seen, best, marker="*", markersize=20, color="white", markeredgecolor="black", linestyle="", zorder=5)
    right = seen > (mean[0][0] + mean[-1][0]) / 2
    foot = (seen, ax.get_ylim()[0] + 0.03 * np.ptp(ax.get_ylim()))
    at = {"ha": "right" if right else "left", "va": "bottom", "fontsize": SIZE, "path_effects": HALO, "zorder": 4}
    ax.plot([seen, seen], [foot[1], best], color=GREY, linewidth=1, zorder=1)
    words = f"best snapshot\n(an oracle's choice): {best:.2f}"
    ax.annotate(words, foot, (-5 if right else 5, 0), textcoords="offset points", **at)


def error_curves(histories: History | Sequence[History], ax: Axes | None = None) -> Axes:
    """Imitation and correction during training: the student's answers where its weak supervisor is wrong.

    Args:
        histories: for each seed, the snapshots of its training; those without an evaluation are skipped.
    """
    histories, ax = _histories(histories), styled_axes(ax)
    _curve(ax, histories, lambda e: e.imitation, ROLE["same"], "imitation: repeats the weak error")
    _curve(ax, histories, lambda e: e.correction, ROLE["student"], "correction: gives the true answer")
    ax.set_ylim(-0.03, 1.03)
    ax.set_ylabel("fraction of weak errors", fontsize=SIZE)
    _training_axes(ax, len(histories), "the student where the weak supervisor is wrong")
    legend_below(ax, empty="undefined: no weak errors are known")
    return ax


# -- slices, calibration, pre-training ---------------------------------------------------------------------------


def slice_dots(comparisons: Comparison | Sequence[Comparison], ax: Axes | None = None) -> Axes:
    """Accuracy of the three roles for each tag, mean over comparisons, the student's best slice on top.

    A tag is left out if a comparison has fewer than MIN_SLICE examples of it; the axis label counts such tags.
    """
    comparisons, ax = _comparisons(comparisons), styled_axes(ax)
    roles = ("weak", "student", "ceiling")
    tables = {role: [getattr(comparison, role).by_slice() for comparison in comparisons] for role in roles}
    sizes = {
        tag: [table.get(tag, (0, 0))[1] for table in tables["student"]]
        for tag in sorted({tag for table in tables["student"] for tag in table})
    }
    kept = [tag for tag, n in sizes.items() if min(n) >= MIN_SLICE]
    mean = {role: {tag: float(np.mean([table[tag][0] for table in tables[role]])) for tag in kept} for role in roles}
    kept.sort(key=mean["student"].__getitem__)
    for y, tag in enumerate(kept):
        values = [mean[role][tag] for role in roles]
        ax.plot([min(values), max(values)], [y, y], color="#BBBBBB", linewidth=2, zorder=1)
    for key, nudge in zip(roles, (-0.16, 0.0, 0.16), strict=True) if kept else ():  # equal values stay visible
        role, x = ROLE[key], [mean[key][tag] for tag in kept]
        style = {"color": role.color, "edgecolors": "black", "linewidths": 0.6, "zorder": 3}
        ax.scatter(x, np.arange(len(kept)) + nudge, 110, marker=role.marker, label=role.name, **style)
    several = len(comparisons) > 1
    counts = {tag: f"{min(n)}" if min(n) == max(n) else f"{min(n)} to {max(n)}" for tag, n in sizes.items()}
    ax.set_yticks(range(len(kept)), [f"{tag}\n(n = {counts[tag]})" for tag in kept], fontsize=SIZE)
    ax.set(xlim=(-0.03, 1.05), ylim=(-0.6, max(1, len(kept)) - 0.4))
    left_out = len(sizes) - len(kept)
    note = f"{left_out} {'slice' if left_out == 1 else 'slices'} with fewer than {MIN_SLICE} examples left out"
    ax.set_xlabel("accuracy (fraction of the slice)" + (f"\n{note}" if left_out else ""), fontsize=SIZE)
    ax.set_title("accuracy by slice\n" + (f"mean over {len(comparisons)} seeds" if several else ""), fontsize=SIZE)
    ax.grid(axis="x", color="#DDDDDD")
    ax.set_axisbelow(True)
    legend_below(ax, empty="no slice is large enough", pad=5.8 if left_out else 4.4)
    return ax


def reliability(evaluation: Evaluation, ax: Axes | None = None, *, role: str = "student") -> Axes:
    """Reliability diagram: accuracy against confidence, with the number of examples in each bin.

    It shows whether the model is right as often as it is sure (see `metrics.calibration`).

    Raises:
        ValueError: the evaluation has no probabilities, since the task is open, or no examples.
    """
    if evaluation.calibration is None or evaluation.calibration.ece is None:
        raise ValueError("reliability: the evaluation has no probabilities; expected one of a closed task, not empty")
    ax, calibration, look = styled_axes(ax), evaluation.calibration, ROLE[role]
    light = {"facecolor": f"{look.color}40", "edgecolor": look.color, "hatch": look.hatch, "linewidth": 1}
    widths, heights = [b.high - b.low for b in calibration.bins], [b.accuracy for b in calibration.bins]
    ax.bar([b.low for b in calibration.bins], heights, widths, align="edge", **light)
    ax.plot(FRACTION, FRACTION, color="black", linestyle=":", linewidth=2, label="calibrated: as often right as sure")
    dots = {"linestyle": "", "color": look.color, "marker": look.marker, "markeredgecolor": "black", "markersize": 9}
    ax.plot([b.confidence for b in calibration.bins], heights, **dots, label=f"{look.name}, examples of one bin")
    for b in calibration.bins:
        middle = (b.low + b.high) / 2
        ax.text(middle, 0.02, f"{b.count}", ha="center", fontsize=SMALL, path_effects=HALO, zorder=4)
    first = min((b.low for b in calibration.bins), default=0)
    ax.set(xlim=(max(0, first - 0.05), 1.01), ylim=(0, 1.04))
    ax.set_xlabel("confidence (probability of its own answer)", fontsize=SIZE)
    ax.set_ylabel("accuracy (fraction of the bin)", fontsize=SIZE)
    title = f"expected calibration error {calibration.ece:.3f}\nnumbers at the bottom: examples in the bin"
    ax.set_title(title, fontsize=SIZE)
    legend_below(ax)
    return ax


def loss_against_size(cards: Sequence[Mapping], ax: Axes | None = None) -> Axes:
    """Held-out loss of pre-trained models against their number of parameters (log scale).

    Args:
        cards: for each model `name`, `parameters`, `held_out_loss` (nats per token) and `tokens_seen`.

    Raises:
        ValueError: there is no card.
    """
    if not cards:
        raise ValueError("loss_against_size: no card given; expected at least one pre-trained model")
    ax = styled_axes(ax)
    size, loss = [card["parameters"] for card in cards], [card["held_out_loss"] for card in cards]
    ax.scatter(size, loss, 110, color=GREY, marker="P", edgecolors="black", zorder=3)
    ax.set_xscale("log")
    room = max(0.05, 0.25 * (max(loss) - min(loss)))
    ax.set(xlim=(min(size) / 2.2, max(size) * 2.2), ylim=(min(loss) - room, max(loss) + 1.2 * room))
    ax.xaxis.set_minor_formatter(NullFormatter())
    ax.yaxis.set_major_formatter(ScalarFormatter(useOffset=False))
    ax.set_xlabel("parameters", fontsize=SIZE)
    ax.set_ylabel("held-out loss (nats per token)", fontsize=SIZE)
    ax.set_title("pre-trained models, with the tokens each has read", fontsize=SIZE)
    ax.grid(color="#DDDDDD")
    ax.set_axisbelow(True)
    labels = [f"{card['name']}\n{card['tokens_seen'] / 1e6:.3g} M tokens" for card in cards]
    label_points(ax, list(zip(size, loss, labels, strict=True)))
    return ax


def label_points(ax: Axes, points: Sequence[tuple[float, float, str]]) -> None:
    """Write the text of each (x, y, text) at the first position around its point where it covers no text or point."""
    figure = ax.figure.get_figure(root=True)
    figure.draw_without_rendering()  # the layout moves the axes only when it is drawn
    taken = [ax.transData.transform((x, y)) + np.array([[-9], [9]]) * figure.dpi / 72 for x, y, _ in points]
    around = [(0, 1), (0, -1), (1, 0), (-1, 0), (1, 1), (-1, 1), (1, -1), (-1, -1)]
    offsets = [(dx * far, dy * far) for far in (11, 26, 44, 66) for dx, dy in around]
    frame = ax.get_window_extent().get_points()
    look = {"fontsize": SIZE, "path_effects": HALO, "zorder": 4}
    for x, y, words in points:
        for dx, dy in offsets:
            sides = {"ha": ("right", "center", "left")[np.sign(dx) + 1]}
            sides |= {"va": ("top", "center", "bottom")[np.sign(dy) + 1]}
            text = ax.annotate(words, (x, y), (dx, dy), textcoords="offset points", **look, **sides)
            box = text.get_window_extent().get_points()
            inside = (box[0] >= frame[0]).all() and (box[1] <= frame[1]).all()
            if inside and not any((box[0] < b[1]).all() and (b[0] < box[1]).all() for b in taken):
                break
            if (dx, dy) != offsets[-1]:
                text.remove()
        taken.append(box)


# -- the figure of a run -----------------------------------------------------------------------------------------


def report_figure(
    comparisons: Comparison | Sequence[Comparison],
    histories: History | Sequence[History] | None = None,
    *,
    title: str | None = None,
) -> Figure:
    """The figure of `w2s-lab run`: accuracies, learning curves where there are histories, accuracy by slice.

    The figure is not registered in pyplot, so it needs neither a screen nor closing. It has 150 dots per inch.
    """
    comparisons = _comparisons(comparisons)
    panels = 3 if histories else 2
    figure = Figure(figsize=(5.4 * panels, 7), dpi=150, layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.subplots(1, panels)
    accuracy_bars(comparisons, axes[0])
    if histories:
        weak = mean_accuracy([comparison.weak for comparison in comparisons]).mean
        ceiling = mean_accuracy([comparison.ceiling for comparison in comparisons]).mean
        learning_curves(histories, axes[1], weak=weak, ceiling=ceiling)
    slice_dots(comparisons, axes[-1])
    figure.get_layout_engine().set(wspace=0.06)
    if title:
        figure.suptitle(title, fontsize=SIZE + 3)
    return figure
