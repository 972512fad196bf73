"""The studies' figures, composed of functions of `study_plots`. They do not use pyplot: no figure has to be closed."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from w2s_lab.experiments.effects import Effect
from w2s_lab.figures import plots, study_plots
from w2s_lab.figures.plots import ROLE
from w2s_lab.studies.dials import WEAK_LABELS

GUESS = (ROLE["truth"], 0.5)  # of two answers


def figure_of(width: float, height: float) -> Figure:
    """An empty figure."""
    figure = Figure(figsize=(width, height), layout="constrained")
    FigureCanvasAgg(figure)
    return figure


def one(draw: Callable[..., Axes], *arguments, size: tuple[float, float] = (9, 7), **options) -> Figure:
    """A figure of one panel, drawn by a function of `study_plots`."""
    figure = figure_of(*size)
    draw(*arguments, figure.subplots(), **options)
    return figure


def effects_figure(effects: Mapping[str, Sequence[Effect]], control_name: str, **options) -> Figure:
    """The effects of methods, one line for each method."""
    return one(study_plots.effect_dots, effects, size=(11, _height(effects)), control_name=control_name, **options)


def _height(effects: Mapping[str, Sequence[Effect]]) -> float:
    """Of a panel with a line for each method and for each heading."""
    return 2.6 + 0.42 * (sum(map(len, effects.values())) + 1.4 * len(effects))


def moments_figure(effects: Mapping[str, Mapping[str, Sequence[Effect]]], control_name: str) -> Figure:
    """The effects of methods at several moments, side by side: moment -> heading -> effects of the same methods."""
    groups = next(iter(effects.values()))
    figure = figure_of(22, _height(groups))
    axes = figure.subplots(1, len(effects), sharex=True)
    for ax, (moment, found) in zip(axes, effects.items(), strict=True):
        study_plots.effect_dots(found, ax, control_name=control_name)
        ax.set_title(f"{moment}: {ax.get_title()}", fontsize=study_plots.SIZE)
    return figure


def misfit_figure(groups: Mapping[str, Sequence[tuple[float, float, int]]]) -> Figure:
    """Gain against misfit: name -> (misfit, gain, seed) of each student."""
    points = [(*point, name) for name, own in groups.items() for point in own]
    misfit, gain, seeds, names = zip(*points, strict=True)
    unit = "squared distance of the probabilities"
    figure = figure_of(9, 8)
    study_plots.misfit_scatter(misfit, gain, figure.subplots(), groups=names, clusters=seeds, unit=unit)
    return figure


DIALS = {"lambda": "hard and soft mixed (λ)", "temperature": "soft (T)", "alpha": "edited (α)"}


def agreement_figure(rows: Sequence[Mapping]) -> Figure:
    """Test accuracy against agreement with the supervisor, at the end; a point for each student of the study `losses`.

    Only students of weak labels are shown. A student without errors agrees as often as the supervisor is right.
    """
    shown = [row for row in rows if row["answers"] == WEAK_LABELS]
    figure = figure_of(7.5, 6)
    ax = plots.styled_axes(figure.subplots())
    for (dial, name), look in zip(DIALS.items(), study_plots.SERIES, strict=False):
        points = [(row["agreement"][-1], row["end"]) for row in shown if row["dial"] == dial]
        ax.plot(*zip(*points, strict=True), look.marker, color=look.color, markersize=9, label=name)
    perfect = sum(row["weak"] for row in shown) / len(shown)
    ax.axvline(perfect, color="black", linestyle=":", label="agreement of a perfect student")
    ax.set_xlabel("agreement with the supervisor (fraction)", fontsize=study_plots.SIZE)
    ax.set_ylabel("test accuracy (fraction)", fontsize=study_plots.SIZE)
    plots.legend_below(ax)
    return figure


def scaling_figure(
    cells: Sequence[Mapping], names: Sequence[str], confidence: tuple[Sequence[float], Sequence[float], Sequence[int]]
) -> Figure:
    """PGR with plain weak labels for every pair of rungs; what the confidence loss changes, over the gap.

    `confidence`: of each supervisor and seed, the gap, the change of accuracy, and the seed.
    """
    found = {(cell["weak"], cell["strong"]): cell["plain"]["pgr"]["mean"] for cell in cells}
    weak, strong = ([name for name in names if name in {pair[i] for pair in found}] for i in (0, 1))
    figure = figure_of(19, 7.6)
    left, right = figure.subplots(1, 2, width_ratios=(1.3, 1))
    study_plots.heat_map([[found.get((w, s), float("nan")) for s in strong] for w in weak], weak, strong, left)
    study_plots.gap_scatter(*confidence, right)
    return figure


def overfitting_figure(
    curves: Mapping[tuple[float, str], Sequence[tuple[float, float, float]]], label_accuracy: Mapping[str, float]
) -> Figure:
    """Accuracy and agreement against epochs, for each learning rate and kind of label noise."""
    rates, kinds = ({key[i] for key in curves} for i in (0, 1))
    figure = figure_of(max(13.0, 2.2 + 3.5 * len(kinds)), 1.9 + 2.5 * len(rates))  # room for the legend
    study_plots.overfitting_panels(curves, figure, label_accuracy=label_accuracy)
    return figure


def flywheel_figure(configurations: Mapping[str, Sequence[Mapping[str, float | None]]], **options) -> Figure:
    """The health of a flywheel over its rounds."""
    figure = figure_of(14, 1.6 + 3.3 * 2)
    study_plots.flywheel_panels(configurations, figure, **options)
    return figure


def leakage_figure(rows: Sequence[Mapping]) -> Figure:
    """Accuracies over the leakage of pre-training, and beside them what the model knew before any label."""
    stopped = replace(ROLE["student"], marker="D", line=":")
    roles = {
        "weak supervisor": (ROLE["weak"], "weak"),
        "strong student, at the end": (ROLE["student"], "accuracy"),
        "strong student, stopped on 100 trusted examples": (stopped, "trusted_accuracy"),
        "strong ceiling": (ROLE["ceiling"], "ceiling"),
    }
    before = {
        'the model says it, after "My verdict is"': (study_plots.SERIES[1], "said"),
        "a probe reads it, from the last token": (study_plots.SERIES[0], "readable"),
        "a probe reads it, from the mean over the input": (study_plots.SERIES[2], "readable_mean"),
    }
    shares, seeds = (sorted({row[name] for row in rows}) for name in ("leakage", "seed"))
    figure = figure_of(19, 9)
    titles = ("trained on 1,500 labels", "the verdict in the strong model, before any label")
    for ax, lines, title in zip(figure.subplots(1, 2, sharey=True), (roles, before), titles, strict=True):
        curves = {
            name: (
                look,
                [[(shares.index(row["leakage"]), row[key]) for row in rows if row["seed"] == seed] for seed in seeds],
            )
            for name, (look, key) in lines.items()
        }
        study_plots.seed_curves(curves, ax, quantity="accuracy (fraction of test examples)", lines={"a guess": GUESS})
        ax.set_xticks(range(len(shares)), [f"{100 * share:g} %" for share in shares])
        ax.set_xlabel("leakage: reviews closed by sentences that follow the verdict", fontsize=study_plots.SIZE)
        ax.set_title(title, fontsize=study_plots.SIZE)
    return figure


def majorities_figure(rows: Sequence[Mapping], moments: Sequence[str], shown: Sequence[str]) -> Figure:
    """Errors in common with each student, by size of neighbourhood; accuracy predicted against measured.

    Args:
        rows: of the study.
        moments: what the early and the late student are called.
        shown: names of the cells whose slices are shown.
    """
    named = dict(zip(("early", "late"), moments, strict=True))
    near = [row for row in rows if row["question"] == "cells" and row["kind"] == "neighbours"]
    seeds = sorted({row["seed"] for row in near})
    curves = {
        f"student, {moment}": [
            {row["size"]: row[f"consistency_{key}"] for row in near if row["seed"] == seed} for seed in seeds
        ]
        for key, moment in named.items()
    }
    figure = figure_of(22, 8.6)
    left, *others = figure.subplots(1, 3)
    study_plots.consistency_by_size(curves, left)
    left.set_title(f"mean and 95 % Student-t interval over {len(seeds)} seeds", fontsize=study_plots.SIZE)
    slices = [row for row in rows if row["question"] == "slices"]

    def means(name: str, **wanted: str) -> dict[str, float]:
        """Slice -> mean over seeds."""
        of: dict[str, list[float]] = {}
        for row in slices:
            if all(row[key] == value for key, value in wanted.items()):
                of.setdefault(row["slice"], []).append(row[name])
        return {tag: sum(found) / len(found) for tag, found in of.items()}

    for ax, (key, moment) in zip(others, named.items(), strict=True):
        predicted = {f"plurality of {name}": means("predicted", cells=name) for name in shown}
        study_plots.predicted_scatter(predicted, means(key), ax)
        ax.set_title(f"student, {moment}: mean over {len(seeds)} seeds", fontsize=study_plots.SIZE)
    return figure
