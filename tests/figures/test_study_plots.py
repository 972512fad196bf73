"""Figures of the studies: what is drawn are the numbers given, in one look, readable, and without a trace in pyplot."""

from itertools import combinations

import matplotlib

matplotlib.use("Agg")

import matplotlib.pyplot as plt
import numpy as np
import pytest
from matplotlib.axes import Axes
from matplotlib.colors import to_hex
from matplotlib.container import ErrorbarContainer
from matplotlib.patches import Rectangle
from matplotlib.text import Annotation, Text

from w2s_lab.experiments.effects import Effect, difference, holm, paired_effect, slope
from w2s_lab.figures import study_plots
from w2s_lab.figures.plots import ROLE
from w2s_lab.figures.study_plots import HEALTH, SERIES, VERDICT
from w2s_lab.metrics import mean_interval

SEEDS = 8


@pytest.fixture(autouse=True)
def close_figures():
    yield
    plt.close("all")


def effect(name: str, mean: float, spread: float = 0.012, *, seed: int = 0, lost: int = 0) -> Effect:
    """A method that changes accuracies by `mean` on average, over SEEDS seeds, `lost` of them undefined."""
    rng = np.random.default_rng(seed)
    control = rng.normal(0.78, 0.02, SEEDS)
    noise = rng.normal(0, 1, SEEDS)
    treated = control + mean + spread * (noise - noise.mean()) / noise.std(ddof=1)
    return paired_effect(name, [None] * lost + treated[lost:].tolist(), control.tolist())


GROUPS = {
    "distillation": [
        effect("soft labels, temperature 1", 0.014, seed=1),
        effect("soft labels, temperature 2", 0.019, seed=2),
        effect("KL with λ linear to 0", 0.004, seed=3),
    ],
    "loss": [effect("auxiliary confidence loss", -0.021, seed=4), effect("small-loss selection", 0.009, seed=5)],
    "selection": [
        effect("half kept, by likelihood", -0.006, seed=6),
        effect("half kept, by confidence", -0.031, seed=7),
        effect("half kept, highest IFD", -0.058, 0.03, seed=8),
        effect("half kept, at random", -0.016, 0.02, seed=9),
    ],
    "ensembles": [
        effect("vote of five", 0.022, seed=10),
        effect("stacking of five", 0.024, 0.016, seed=11, lost=2),
    ],
    "other": [effect("bootstrapping over three sizes", 0.001, seed=12), effect("early stopping, trusted", 0.045)],
}
EFFECTS = [one for group in GROUPS.values() for one in group]
LADDER = ["pocket-xs", "pocket-s", "pocket-m", "pocket-l"]
PGR = [
    [0.02, 0.35, 0.42, 0.51],
    [np.nan, -0.08, 0.31, 0.44],
    [np.nan, np.nan, None, 0.22],
    [np.nan, np.nan, np.nan, -1.7],
]
PGR_NOTES = [
    ["±0.21", "±0.12", "±0.09", "±0.08"],
    ["", "±0.30", "±0.11", "±0.10"],
    ["", "", "", "±0.4"],
    ["", "", "", ""],
]


def misfits(seed: int = 0) -> tuple[list, list, list]:
    rng = np.random.default_rng(seed)
    misfit = rng.uniform(0.03, 0.22, 36)
    gain = 0.7 * misfit - 0.015 + rng.normal(0, 0.015, 36)
    return [*misfit, 0.1], [*gain, None], [("sentiment", "topic", "helpdesk")[i % 3] for i in range(37)]


def budget(high: float, rate: float, shift: float = 0.0) -> list[tuple]:
    costs = [64, 128, 256, 512, 1024, 2048]
    accuracies = [high - 0.35 * np.exp(-rate * i) + shift for i in range(len(costs))]
    return [(cost, a, a - 0.02, a + 0.02) for cost, a in zip(costs, accuracies, strict=True)]


STRATEGIES = {
    "all in weak labels": budget(0.83, 0.9),
    "all in human labels": budget(0.97, 0.33, -0.04),
    "half of each": budget(0.91, 0.5),
    "weak first, then human": budget(0.94, 0.55, -0.01),
}
CASCADE = [
    (t, 2.4e6 + 2.0e7 * share, 0.80 + 0.17 * (1 - (1 - share) ** 2.2))
    for t, share in zip(np.linspace(0.5, 1, 21), np.linspace(0, 1, 21) ** 1.5, strict=True)
]


def overfitting(rate: float, noise: float) -> list[tuple]:
    epochs = np.arange(0, 10.5, 0.5)
    learnt, memorised = 1 - np.exp(-epochs * rate * 2e4), 1 - np.exp(-epochs * rate * 2e3)
    accuracy = 0.5 + 0.46 * learnt - (noise * 0.8) * memorised * learnt
    agreement = 0.5 + (0.46 - 0.9 * noise) * learnt + (0.04 + 0.9 * noise) * memorised
    return list(zip(epochs.tolist(), accuracy.tolist(), agreement.tolist(), strict=True))


CURVES = {(rate, noise): overfitting(rate, noise) for noise in (0.1, 0.2, 0.3) for rate in (1e-3, 3e-4, 1e-4)}


def flywheel(drift: float) -> list[dict]:
    return [
        {
            "test_accuracy": 0.7 + 0.03 * r - drift * 0.012 * r**2,
            "label_accuracy": 0.9 - drift * 0.03 * r if r else None,
            "duplicate_rate": 0.05 + drift * 0.11 * r,
            "distinct_2": 0.42 - drift * 0.05 * r,
            "document_perplexity": 31 + drift * 6 * r,
            "answer_balance": 0.99 - drift * 0.09 * r,
        }
        for r in range(6)
    ]


CONFIGURATIONS = {"healthy": flywheel(0.1), "degrading": flywheel(1.0), "mended": flywheel(0.3)}
RULES = {
    "trusted set of 100": [0.9, 0.7, 1.0, 0.85, 0.6, None, 0.95, 0.8],
    "trusted set of 20": [0.5, 0.7, 0.2, 0.85, -0.3, None, 0.9, 0.4],
    "agreement levels off": [0.4, 0.35, 0.6, 0.2, 0.5, None, 0.1, 0.3],
    "one epoch": [0.7, 0.65, 0.8, 0.3, 0.6, None, 0.75, 0.2],
}

SEED_CURVES = {
    "weak labels": (ROLE["student"], [[(0, 0.4), (160, 0.8)], [(0, 0.6), (160, 0.8)]]),
    "random errors": (ROLE["random"], [[(0, 0.5), (160, 0.7)]]),
}
HEIGHTS = {"weak supervisor": (ROLE["weak"], 0.72)}
ONE_AXES = {
    "effect_dots": lambda ax=None: study_plots.effect_dots(GROUPS, ax, control_name="plain weak labels"),
    "heat_map": lambda ax=None: study_plots.heat_map(PGR, LADDER, LADDER, ax, notes=PGR_NOTES),
    "heat_map, accuracy": lambda ax=None: study_plots.heat_map(
        [[0.71, 0.8], [None, 0.93]], ["gpt2", "opt"], ["gpt2", "opt"], ax, quantity="accuracy", centre=None
    ),
    "misfit_scatter": lambda ax=None: study_plots.misfit_scatter(*misfits()[:2], ax, groups=misfits()[2]),
    "cost_curve": lambda ax=None: study_plots.cost_curve(STRATEGIES, ax, ceiling=0.97),
    "cost_curve, log": lambda ax=None: study_plots.cost_curve(STRATEGIES, ax, log=True),
    "cascade_plot": lambda ax=None: study_plots.cascade_plot(CASCADE, ax, strong=(2e7, 0.97)),
    "stopping_dots": lambda ax=None: study_plots.stopping_dots(RULES, ax),
    "seed_curves": lambda ax=None: study_plots.seed_curves(SEED_CURVES, ax, quantity="accuracy", lines=HEIGHTS),
}
PANELS = {
    "overfitting_panels": lambda figure=None: study_plots.overfitting_panels(
        CURVES, figure, label_accuracy={0.1: 0.9, 0.2: 0.8, 0.3: 0.7}
    ),
    "flywheel_panels": lambda figure=None: study_plots.flywheel_panels(CONFIGURATIONS, figure),
}


def words(where) -> list[str]:
    return [text.get_text() for text in where.findobj(Text) if text.get_visible() and text.get_text().strip()]


def line(ax: Axes, label: str):
    (found,) = [line for line in ax.get_lines() if line.get_label() == label]
    return found


def legend(where) -> list[str]:
    return [text.get_text() for text in where.get_texts()]


def dots_across(ax: Axes) -> list[tuple[float, float, list[float], str, str]]:
    """(height, mean, ends, marker, colour) of the dots drawn one by one, in the order they were drawn."""
    found = []
    for bars in ax.containers:
        if isinstance(bars, ErrorbarContainer):
            dot, _, whiskers = bars.lines
            ends = [float(x) for w in whiskers for x in w.get_segments()[0][:, 0]]
            found.append((dot.get_ydata()[0], dot.get_xdata()[0], ends, dot.get_marker(), dot.get_color()))
    return found


def shown(text: Text) -> bool:
    return bool(text.get_visible() and text.get_text().strip())


def check_readable(figure) -> None:
    """Nothing outside the figure, no words on other words, no letters below 10 points."""
    figure.draw_without_rendering()
    ticks = {t for ax in figure.axes for axis in (ax.xaxis, ax.yaxis) for t in axis.get_ticklabels(which="both")}
    texts = [t for t in figure.findobj(Text) if shown(t) and t not in ticks]
    boxes = {}
    for text in texts:
        box = Text.get_window_extent(text)
        boxes[text] = box if isinstance(text, Annotation) else box.shrunk(0.96, 0.9)
    labels = {t: t.get_window_extent() for t in ticks if shown(t) and any(t in drawn(ax) for ax in figure.axes)}
    for text, box in {**boxes, **labels}.items():
        assert text.get_fontsize() >= 10
        inside = figure.bbox.x0 - 1 <= box.x0 and box.x1 <= figure.bbox.x1 + 1
        assert inside and figure.bbox.y0 - 1 <= box.y0 and box.y1 <= figure.bbox.y1 + 1, text.get_text()
    for (one, first), (two, second) in combinations({**boxes, **labels}.items(), 2):
        assert not first.overlaps(second), (one.get_text(), two.get_text())


def drawn(ax: Axes) -> list[Text]:
    """The tick labels that lie within the axes' limits; matplotlib keeps a few beyond them, unseen."""
    found = []
    for axis, box in ((ax.xaxis, ax.get_xlim()), (ax.yaxis, ax.get_ylim())):
        low, high = sorted(box)
        for tick in axis.get_major_ticks():
            if low <= tick.get_loc() <= high:
                found.append(tick.label1)
    return found


# -- all of them -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("draw", ONE_AXES.values(), ids=ONE_AXES)
def test_every_plot_is_labelled_and_changes_nothing_global(draw):
    ax = plt.figure(figsize=(9, 7), layout="constrained").add_subplot()
    before, figures = dict(matplotlib.rcParams), plt.get_fignums()
    assert draw(ax) is ax
    assert dict(matplotlib.rcParams) == before and plt.get_fignums() == figures
    assert ax.get_xlabel() and (ax.get_ylabel() or len(ax.get_yticklabels()) > 1)
    axis_words = [ax.title, ax.xaxis.label, ax.yaxis.label, *ax.get_xticklabels(), *ax.get_yticklabels()]
    legend_words = ax.get_legend().get_texts() if ax.get_legend() else []
    assert all(text.get_fontsize() >= 13 for text in [*axis_words, *legend_words] if text.get_text())
    assert draw() is not ax  # Axes of its own, where none are given


@pytest.mark.parametrize("draw", PANELS.values(), ids=PANELS)
def test_panels_draw_on_the_figure_given(draw):
    figure = plt.figure(figsize=(12, 9), layout="constrained")
    before, figures = dict(matplotlib.rcParams), plt.get_fignums()
    axes = draw(figure)
    assert list(axes.flat) == figure.axes
    assert dict(matplotlib.rcParams) == before and plt.get_fignums() == figures
    assert draw()[0, 0].figure is not figure


@pytest.mark.parametrize("draw", [*ONE_AXES.values(), *PANELS.values()], ids=[*ONE_AXES, *PANELS])
def test_nothing_is_clipped_and_no_words_overlap(draw):
    check_readable(np.ravel(draw())[0].figure)


def test_the_check_notices_words_on_words_and_words_outside():
    ax = plt.subplots()[1]
    ax.text(0.5, 0.5, "one")
    ax.text(0.5, 0.5, "another")
    with pytest.raises(AssertionError, match="another"):
        check_readable(ax.figure)
    ax = plt.subplots()[1]
    ax.text(1.0, 0.5, "a long text that leaves the figure")
    with pytest.raises(AssertionError, match="leaves the figure"):
        check_readable(ax.figure)


def test_series_and_verdicts_differ_and_take_no_colour_of_a_role():
    taken = {role.color for key, role in ROLE.items() if key != "truth"}
    for looks in (SERIES, tuple(VERDICT.values())):
        for field in ("color", "marker"):
            assert len({getattr(look, field) for look in looks}) == len(looks)
        assert not taken & {look.color for look in looks}


# -- effects -----------------------------------------------------------------------------------------------------


def test_effects_are_dots_with_intervals_in_the_look_of_their_verdict():
    ax = study_plots.effect_dots(EFFECTS, control_name="plain weak labels")
    for y, (one, found) in enumerate(zip(EFFECTS, dots_across(ax), strict=True)):
        height, mean, ends, marker, colour = found
        assert (height, mean) == (y, one.mean) and ends == pytest.approx([one.low, one.high])
        assert (marker, colour) == (VERDICT[one.verdict].marker, VERDICT[one.verdict].color)
    assert {one.verdict for one in EFFECTS} == set(VERDICT)
    assert legend(ax.get_legend()) == ["0: as good as plain weak labels", *(look.name for look in VERDICT.values())]
    assert ax.get_xlabel() == "difference in accuracy (fraction of test examples)"
    assert list(line(ax, "0: as good as plain weak labels").get_xdata()) == [0, 0]
    assert ax.get_ylim()[0] > ax.get_ylim()[1]  # the first on top


def test_stars_are_those_of_holm_over_all_groups():
    ax = ONE_AXES["effect_dots"]()
    starred = [text.get_text().endswith(" *") for text in ax.texts]
    assert starred == holm(EFFECTS) and 0 < sum(starred) < len(starred)
    assert [text.get_text().removesuffix(" *") for text in ax.texts] == [
        difference(one).replace("-", "\N{MINUS SIGN}") for one in EFFECTS
    ]
    assert f"* survives Holm's correction for {len(EFFECTS)} comparisons" in ax.get_title()
    assert "8 seeds" in ax.get_title()


def test_groups_have_bold_headings_and_undefined_seeds_are_counted():
    ax = ONE_AXES["effect_dots"]()
    labels = ax.get_yticklabels()
    assert [text.get_text() for text in labels if text.get_fontweight() == "bold"] == list(GROUPS)
    assert [text.get_text() for text in labels][:4] == ["distillation", *(one.name for one in GROUPS["distillation"])]
    assert "stacking of five (6 of 8 seeds)" in [text.get_text() for text in labels]
    heights = {y: mean for y, mean, *_ in dots_across(ax)}
    names = [text.get_text().split(" (")[0] for text in labels]
    assert {names[y]: mean for y, mean in heights.items()} == {one.name: one.mean for one in EFFECTS}


def test_effects_may_be_sorted_by_their_mean_within_their_group():
    ax = study_plots.effect_dots(GROUPS, control_name="control", by_mean=True)
    names = [text.get_text().split(" (")[0] for text in ax.get_yticklabels()]
    wanted = []
    for heading, group in GROUPS.items():
        wanted += [heading, *(one.name for one in sorted(group, key=lambda one: -one.mean))]
    assert names == wanted


def test_effects_without_an_interval_or_without_a_value():
    few = [paired_effect("one seed", [0.8], [0.7]), paired_effect("never", [None], [0.7])]
    ax = study_plots.effect_dots(few, control_name="control", by_mean=True)
    ((_, mean, ends, *_),) = dots_across(ax)
    assert mean == pytest.approx(0.1) and ends == []
    assert [text.get_text() for text in ax.texts] == ["+0.100", "undefined"]
    assert "Holm" not in ax.get_title() and VERDICT["helps"].name not in legend(ax.get_legend())
    check_readable(ax.figure)
    for nothing in ([], {}, {"empty": []}):
        with pytest.raises(ValueError, match="no effect given"):
            study_plots.effect_dots(nothing, control_name="control")


def test_stopping_rules_show_mean_interval_and_every_seed():
    ax = ONE_AXES["stopping_dots"]()
    seeds = [dots.get_offsets().data for dots in ax.collections if len(dots.get_offsets())]
    seeds = [found for found in seeds if len(found) == SEEDS - 1]
    for y, (values, found, own) in enumerate(zip(RULES.values(), dots_across(ax), seeds, strict=True)):
        defined = [value for value in values if value is not None]
        wanted = mean_interval(defined)
        assert found[:2] == (y, pytest.approx(wanted.mean)) and found[2] == pytest.approx([wanted.low, wanted.high])
        assert own[:, 0].tolist() == defined
    names = [text.get_text() for text in ax.get_yticklabels()]
    assert names == [f"{name} (7 of 8 seeds)" for name in RULES]
    assert legend(ax.get_legend())[:2] == ["0: as good as the end of the training", "1: as good as the oracle's choice"]
    assert {"0.83", "0.46"} <= set(words(ax))


def test_stopping_rules_at_the_edges():
    ax = study_plots.stopping_dots({"one seed": [0.5], "never": [None]})
    assert [text.get_text() for text in ax.texts] == ["0.50", "undefined"]
    assert "never (0 of 1 seeds)" in words(ax) and legend(ax.get_legend())[-1] == "one seed"
    for wrong in ({}, {"a": [0.1], "b": [0.1, 0.2]}):
        with pytest.raises(ValueError, match=f"{len(wrong)} rules"):
            study_plots.stopping_dots(wrong)


def test_seed_curves_are_bold_in_the_mean_and_thin_for_each_seed():
    ax = ONE_AXES["seed_curves"]()
    bold = line(ax, "weak labels (2 seeds)")
    assert bold.get_xydata().tolist() == [[0, 0.5], [160, pytest.approx(0.8)]]
    thin = [one.get_xydata().tolist() for one in ax.get_lines() if one.get_linewidth() == 1]
    assert thin == [[[0, 0.4], [160, 0.8]], [[0, 0.6], [160, 0.8]]]
    assert legend(ax.get_legend()) == ["weak labels (2 seeds)", "random errors (1 seed)", "weak supervisor"]
    assert ax.get_ylabel() == "accuracy" and "examples seen" in ax.get_xlabel()
    look = ROLE["student"]
    for seeds in ([], [[(0, 0.4)], [(8, 0.4)]], [[(0, 0.4)], [(0, 0.4), (8, 0.5)]]):
        with pytest.raises(ValueError, match="seed_curves: "):
            study_plots.seed_curves({"a": (look, seeds)}, quantity="accuracy")


# -- pairs -------------------------------------------------------------------------------------------------------


def test_every_cell_says_its_number_or_why_there_is_none():
    ax = ONE_AXES["heat_map"]()
    at = {}
    for text in ax.texts:
        j, i = text.get_position()
        at.setdefault((round(i), round(j)), []).append(text.get_text())
    for i, j in np.ndindex(4, 4):
        value, note = PGR[i][j], PGR_NOTES[i][j]
        if value is None:
            assert at[i, j] == ["undefined"]
        elif np.isnan(value):
            assert at[i, j] == ["–"]
        else:
            wanted = f"{value:+.2f}".replace("-", "−")
            assert at[i, j] == ([wanted, note] if note else [wanted])
    hatched = [patch for patch in ax.patches if isinstance(patch, Rectangle) and patch.get_hatch()]
    assert [patch.get_xy() for patch in hatched] == [(1.5, 1.5)]
    assert ax.get_xlabel() == "strong student\n–: not measured" and ax.get_ylabel() == "weak supervisor"
    assert ax.get_ylim() == (-0.5, 3.5)  # the smallest at the bottom
    assert [text.get_text() for text in ax.get_yticklabels()] == LADDER


def test_colours_are_symmetrical_about_the_centre_and_the_bar_says_what_lies_beyond():
    ax = ONE_AXES["heat_map"]()
    (image,) = ax.images
    assert (image.norm.vmin, image.norm.vmax) == (-1, 1)
    low, middle, high = (np.array(image.cmap(image.norm(v))[:3]) for v in (-0.6, 0.0, 0.6))
    assert middle.min() > 0.94 and low[0] > low[2] and high[2] > high[0]  # white; orange below, purple above
    assert image.colorbar.extend == "min"
    assert image.colorbar.ax.get_ylabel() == "performance gap recovered (PGR)"
    for value, extend in ((0.4, "neither"), (1.4, "max")):
        plain = study_plots.heat_map([[value]], ["w"], ["s"])
        assert plain.images[0].colorbar.extend == extend and plain.get_xlabel() == "strong student"
    assert study_plots.heat_map([[1.4], [-3]], ["w", "m"], ["s"]).images[0].colorbar.extend == "both"


def test_the_numbers_can_be_read_on_every_colour():
    values = np.linspace(-1, 1, 21)
    ax = study_plots.heat_map([values.tolist()], ["w"], [str(i) for i in range(21)])
    (image,) = ax.images

    def luminance(colour) -> float:
        channels = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in colour[:3]]
        return float(np.dot([0.2126, 0.7152, 0.0722], channels))

    for value, text in zip(values, ax.texts, strict=True):
        light, dark = sorted([luminance(image.cmap(image.norm(value))), float(text.get_color() == "white")])[::-1]
        assert (light + 0.05) / (dark + 0.05) >= 4.5  # WCAG 2, level AA


def test_a_quantity_without_centre_runs_from_its_smallest_to_its_largest():
    ax = ONE_AXES["heat_map, accuracy"]()
    assert (ax.images[0].norm.vmin, ax.images[0].norm.vmax) == (0.71, 0.93)
    assert {"0.71", "0.93", "undefined"} <= set(words(ax))
    empty = study_plots.heat_map([[None]], ["w"], ["s"], centre=None)
    assert "undefined" in words(empty)


def test_a_heat_map_has_a_row_for_every_weak_and_a_column_for_every_strong_model():
    with pytest.raises(ValueError, match=r"values has rows of length \[2\]; expected \(1, 3\)"):
        study_plots.heat_map([[0.1, 0.2]], ["w"], ["a", "b", "c"])
    with pytest.raises(ValueError, match=r"notes has rows of length \[1\]"):
        study_plots.heat_map([[0.1, 0.2]], ["w"], ["a", "b"], notes=[["x"]])


# -- one quantity against another --------------------------------------------------------------------------------


def test_gain_against_misfit_with_the_fitted_line():
    misfit, gain, groups = misfits()
    ax, fit = ONE_AXES["misfit_scatter"](), slope(misfit, gain)
    assert [dots.get_label() for dots in ax.collections] == ["sentiment", "topic", "helpdesk"]
    for dots in ax.collections:
        wanted = [
            (x, y)
            for x, y, group in zip(misfit, gain, groups, strict=True)
            if group == dots.get_label() and y is not None
        ]
        assert dots.get_offsets().tolist() == [pytest.approx(point) for point in wanted]
    equal = line(ax, "gain = misfit")
    assert list(equal.get_xdata()) == list(equal.get_ydata())
    fitted = next(found for found in ax.get_lines() if found.get_label().startswith("least squares"))
    assert fitted.get_label() == (
        f"least squares through 36 of 37 points:\nslope {fit.slope:.2f} [{fit.low:.2f}, {fit.high:.2f}], "
        f"correlation {fit.correlation:.2f}"
    )
    rise = np.diff(fitted.get_ydata()) / np.diff(fitted.get_xdata())
    assert rise == pytest.approx(fit.slope)
    assert "(fraction of test examples)" in ax.get_xlabel() and "(fraction of test examples)" in ax.get_ylabel()


def test_the_fitted_line_is_clustered_by_seed():
    misfit, gain, _ = misfits()
    seeds = [i // 4 for i in range(len(misfit))]
    fit = slope(misfit, gain, clusters=seeds)
    ax = study_plots.misfit_scatter(misfit, gain, clusters=seeds)
    fitted = next(found for found in ax.get_lines() if found.get_label().startswith("least squares"))
    assert f"of 37 points of {fit.clusters} seeds:" in fitted.get_label()
    assert f"[{fit.low:.2f}, {fit.high:.2f}]" in fitted.get_label() and fit.high != slope(misfit, gain).high


def test_a_scatter_of_one_point_has_no_line_and_none_is_refused():
    ax = study_plots.misfit_scatter([0.1], [0.05])
    assert legend(ax.get_legend()) == ["one student", "gain = misfit"]
    with pytest.raises(ValueError, match="none of 1 points is defined"):
        study_plots.misfit_scatter([None], [0.1])
    with pytest.raises(ValueError, match="1 groups for 2 points"):
        study_plots.misfit_scatter([0.1, 0.2], [0.1, 0.2], groups=["a"])


def test_the_frontier_by_hand():
    points = [(1, 0.5), (2, 0.4), (2, 0.6), (3, 0.6), (4, 0.7), (4, 0.7), (1, 0.45)]
    assert study_plots.frontier(points) == [(1, 0.5), (2, 0.6), (4, 0.7)]
    assert study_plots.frontier([]) == []
    rng = np.random.default_rng(0)
    many = [tuple(point) for point in rng.random((60, 2)).tolist()]
    beaten = {p for p in many for q in many if q != p and q[0] <= p[0] and q[1] >= p[1]}
    assert study_plots.frontier(many) == sorted(set(many) - beaten)


def test_costs_and_accuracies_of_every_strategy_and_their_frontier():
    ax = ONE_AXES["cost_curve"]()
    bars = [found for found in ax.containers if isinstance(found, ErrorbarContainer)]
    for found, (name, points) in zip(bars, STRATEGIES.items(), strict=True):
        curve, _, (whiskers,) = found.lines
        assert found.get_label() == name
        assert list(zip(*curve.get_data(), strict=True)) == [pytest.approx(point[:2]) for point in points]
        ends = [segment[:, 1].tolist() for segment in whiskers.get_segments()]
        assert ends == [pytest.approx(point[2:]) for point in points]
    best = study_plots.frontier([point[:2] for points in STRATEGIES.values() for point in points])
    band = line(ax, "frontier: the most for the money")
    assert list(zip(*band.get_data(), strict=True))[: len(best)] == best
    assert band.get_xdata()[-1] == 2048 and band.get_drawstyle() == "steps-post"
    assert line(ax, "strong ceiling").get_ydata()[0] == 0.97
    assert ax.get_xlabel() == "cost (one weak label = 1)" and ax.get_xscale() == "linear"
    assert ONE_AXES["cost_curve, log"]().get_xscale() == "log"


def test_a_point_without_interval_is_drawn_without_and_bad_costs_are_refused():
    ax = study_plots.cost_curve({"a": [(20, 0.7, 0.6, 0.8), (10, 0.5, None, None)], "none": []})
    (bars,) = [found for found in ax.containers if isinstance(found, ErrorbarContainer)]
    curve, _, (whiskers,) = bars.lines
    assert list(curve.get_xdata()) == [10, 20]  # in the order of cost
    ends = [segment[:, 1].tolist() for segment in whiskers.get_segments() if len(segment)]
    assert ends == [pytest.approx([0.6, 0.8])]
    with pytest.raises(ValueError, match="no point in 1 strategies"):
        study_plots.cost_curve({"none": []})
    with pytest.raises(ValueError, match="a cost of 0; expected above 0"):
        study_plots.cost_curve({"a": [(0, 0.5, None, None)]}, log=True)


def test_the_cascade_runs_from_weak_to_strong_with_some_thresholds_beside_it():
    ax = ONE_AXES["cascade_plot"]()
    curve = line(ax, "cascade: the weak model answers where it is sure")
    assert list(zip(*curve.get_data(), strict=True)) == [row[1:] for row in CASCADE]
    control = line(ax, "control: a coin chooses the model")
    assert list(zip(*control.get_data(), strict=True)) == [CASCADE[0][1:], (2e7, 0.97)]
    dots = line(ax, "confidence threshold, beside its dot")
    beside = {text.xy: text.get_text() for text in ax.texts}
    assert len(dots.get_xdata()) == 4
    for x, y in zip(*dots.get_data(), strict=True):
        (threshold,) = [row[0] for row in CASCADE if row[1:] == (x, y)]
        assert beside[x, y] == f"{threshold:.2f}"
    assert beside[CASCADE[0][1:]] == "weak model alone" and beside[2e7, 0.97] == "strong model alone"
    assert ax.get_xlabel() == "mean cost (FLOPs per example)"


def test_a_cascade_needs_two_ends_and_takes_them_from_its_rows():
    rows = [(0.9, 30.0, 0.9), (0.5, 10.0, 0.7)]
    ax = study_plots.cascade_plot(rows)
    assert {text.xy: text.get_text() for text in ax.texts} == {
        (10.0, 0.7): "weak model alone",
        (30.0, 0.9): "strong model alone",
    }
    with pytest.raises(ValueError, match="1 rows; expected at least two"):
        study_plots.cascade_plot(rows[:1])


# -- panels ------------------------------------------------------------------------------------------------------


def test_overfitting_has_a_row_for_each_learning_rate_and_a_column_for_each_noise():
    axes = PANELS["overfitting_panels"]()
    assert axes.shape == (3, 3)
    assert [ax.get_title() for ax in axes[0]] == ["label noise 0.1", "label noise 0.2", "label noise 0.3"]
    assert [ax.get_ylabel() for ax in axes[:, 0]] == [
        f"learning rate\n{rate}" for rate in ("0.0001", "0.0003", "0.001")
    ]
    for i, rate in enumerate((1e-4, 3e-4, 1e-3)):
        for j, noise in enumerate((0.1, 0.2, 0.3)):
            epochs, accuracy, agreement = zip(*CURVES[rate, noise], strict=True)
            for label, y, role in (
                ("accuracy (student = truth)", accuracy, "student"),
                ("agreement (student = weak label)", agreement, "same"),
            ):
                found = line(axes[i, j], label)
                assert (tuple(found.get_xdata()), tuple(found.get_ydata())) == (epochs, y)
                assert to_hex(found.get_color()).upper() == ROLE[role].color
            assert line(axes[i, j], "accuracy of the weak labels").get_ydata()[0] == 1 - noise
    figure = axes[0, 0].figure
    assert len(figure.legends) == 1 and len(legend(figure.legends[0])) == 3
    assert {"epochs", "fraction of test examples"} <= set(words(figure))


def test_a_combination_that_was_not_measured_says_so():
    axes = study_plots.overfitting_panels({(1e-4, 0.2): [(0, 0.5, 0.5)], (1e-3, "by slice"): [(0, 0.5, 0.5)]})
    assert [ax.get_title() for ax in axes[0]] == ["label noise 0.2", "by slice"]
    assert [["not measured" in words(ax) for ax in row] for row in axes] == [[False, True], [True, False]]
    assert len(legend(axes[0, 0].figure.legends[0])) == 2
    with pytest.raises(ValueError, match="no curve given"):
        study_plots.overfitting_panels({})


def test_the_flywheel_has_a_panel_for_each_measure_and_a_line_for_each_configuration():
    axes = PANELS["flywheel_panels"]()
    assert [ax.get_title() for ax in axes.flat] == list(HEALTH.values())
    for ax, key in zip(axes.flat, HEALTH, strict=True):
        for look, (name, rounds) in zip(SERIES, CONFIGURATIONS.items(), strict=False):
            found = line(ax, name)
            wanted = [np.nan if one[key] is None else one[key] for one in rounds]
            np.testing.assert_array_equal(found.get_ydata(), wanted)
            assert list(found.get_xdata()) == list(range(6))
            assert (found.get_color(), found.get_marker()) == (look.color, look.marker)
    assert legend(axes[0, 0].figure.legends[0]) == list(CONFIGURATIONS)


def test_other_measures_may_be_watched_and_must_have_been_measured():
    rounds = {"only": [{"kept": 10}, {"kept": 12}], "shorter": [{"kept": 9}]}
    axes = study_plots.flywheel_panels(rounds, health={"kept": "proposals kept"})
    assert [ax.get_visible() for ax in axes.flat] == [True, False, False]
    assert list(line(axes[0, 0], "shorter").get_ydata()) == [9]
    with pytest.raises(ValueError, match="no round has a value of 'test_accuracy'"):
        study_plots.flywheel_panels(rounds)
    with pytest.raises(ValueError, match="no round given"):
        study_plots.flywheel_panels({"empty": []})


# -- majorities ------------------------------------------------------------------------------------------------------


def test_the_mean_of_the_seeds_that_have_an_error_consistency_is_drawn():
    ax = study_plots.consistency_by_size({"late": [{1: 0.8, 5: 0.6}, {1: 0.6, 5: None}]})
    (line,) = [one.lines[0] for one in ax.containers]
    assert line.get_xydata() == pytest.approx(np.array([[1, 0.7], [5, 0.6]]))
    assert [one.get_text() for one in ax.get_xticklabels()] == ["1", "5"] and "chance" in str(legend_of(ax))


def test_a_slice_that_was_predicted_right_lies_on_the_diagonal():
    ax = study_plots.predicted_scatter({"wide": {"plain": 0.9, "negated": 0.8}}, {"plain": 0.9, "negated": 0.4})
    (points,) = ax.collections
    np.testing.assert_allclose(points.get_offsets(), [[0.9, 0.9], [0.8, 0.4]])
    assert {one.get_text() for one in ax.texts} == {"plain", "negated"}


def legend_of(ax) -> list[str]:
    return [one.get_text() for one in ax.get_legend().get_texts()]
