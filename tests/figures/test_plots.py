"""Figures: what is drawn are the records' numbers, in one look, readable, and without a trace in pyplot."""

import os
import subprocess
import sys
from itertools import combinations
from pathlib import Path

import matplotlib

matplotlib.use("Agg")

import matplotlib.pyplot as plt
import numpy as np
import pytest
from matplotlib.axes import Axes
from matplotlib.colors import to_hex
from matplotlib.figure import Figure
from matplotlib.text import Annotation, Text
from places import ROOT

from w2s_lab import metrics
from w2s_lab.figures import plots
from w2s_lab.figures.plots import ROLE
from w2s_lab.records import Comparison, Evaluation, Snapshot, Task

TASK = Task("sentiment", ("positive", "negative"))
OPEN = Task("summary")
TAGS = ("plain", "rare-word", "negated")
N = 60
CARDS = [
    {"name": name, "parameters": size, "held_out_loss": loss, "tokens_seen": tokens}
    for name, size, loss, tokens in (
        ("pocket-xs", 28_000, 3.9, 2e6),
        ("pocket-s", 130_000, 2.95, 2e6),
        ("pocket-m", 350_000, 2.60, 4e6),
        ("pocket-l", 950_000, 2.41, 6e6),
        ("pocket-l again", 960_000, 2.40, 6e6),
    )
]


@pytest.fixture(autouse=True)
def close_figures():
    yield
    plt.close("all")


def evaluation(seed: int, right: float, *, task: Task = TASK, reference: Evaluation | None = None) -> Evaluation:
    """Random answers, right in about a fraction `right` of N items; the same truth for every call."""
    rng, truth = np.random.default_rng(seed), ("positive", "negative") * (N // 2)
    other = {"positive": "negative", "negative": "positive"}
    predictions = tuple(t if rng.random() < right else other[t] for t in truth)
    sure = rng.uniform(0.5, 1, N)
    probs = np.array([(s, 1 - s) if p == "positive" else (1 - s, s) for p, s in zip(predictions, sure, strict=True)])
    tags = tuple((TAGS[i % 3], "rare-slice") if i < 4 else (TAGS[i % 3],) for i in range(N))
    ids = tuple(f"id-{i}" for i in range(N))
    answers = reference.predictions if reference else None
    return Evaluation(task, ids, predictions, truth, answers, None if task is OPEN else probs, tags)


def comparison(seed: int = 0, *, weak: float = 0.7, ceiling: float = 1.0, task: Task = TASK) -> Comparison:
    supervisor = evaluation(seed, weak, task=task)
    student = evaluation(seed + 50, 0.85, task=task, reference=supervisor)
    return Comparison(supervisor, student, evaluation(seed + 90, ceiling, task=task, reference=supervisor))


def history(seed: int = 0, points: int = 4, *, reference: bool = True, weak: float = 0.7) -> list[Snapshot]:
    supervisor = evaluation(seed, weak) if reference else None
    quality = (0.5, 0.95, 0.85, 0.75)[:points]
    found = [evaluation(seed * 7 + i, right, reference=supervisor) for i, right in enumerate(quality)]
    return [Snapshot(i * 10, i * 320, 1.0, e) for i, e in enumerate(found)]


SEEDS = [comparison(seed) for seed in range(4)]
HISTORIES = [history(seed) for seed in range(4)]


def words(ax: Axes) -> list[str]:
    return [text.get_text() for text in ax.findobj(Text) if text.get_visible() and text.get_text().strip()]


def line(ax: Axes, label: str):
    (found,) = [line for line in ax.get_lines() if line.get_label() == label]
    return found


def large_dots(ax: Axes) -> list[tuple[str, float, float]]:
    """(role's marker, mean, upper end) of the dots with an interval, from left to right."""
    found = []
    for bars in ax.containers:
        if isinstance(bars, matplotlib.container.ErrorbarContainer):
            dot, _, (whisker,) = bars.lines
            found.append((dot.get_marker(), dot.get_ydata()[0], *whisker.get_segments()[0][:, 1]))
    return found


CONDITIONS = {
    "weak labels,\nbest snapshot": [0.64, 0.76, None, 0.32],
    "weak labels,\nend": [0.18, 0.27, -0.02, 0.12],
    "random errors,\nend": [1.0, 0.98, 0.97, 1.02],
}
ROLES = {"weak": [0.79, 0.8, 0.78], "student": [0.9, 0.95, 0.91], "ceiling": [0.99, 1.0, 0.99]}

EVERY = {
    "accuracy_bars, one": lambda ax=None: plots.accuracy_bars(SEEDS[0], ax),
    "accuracy_bars, four": lambda ax=None: plots.accuracy_bars(SEEDS, ax),
    "pgr_dots": lambda ax=None: plots.pgr_dots(CONDITIONS, ax, roles={"random errors,\nend": "random"}),
    "role_dots": lambda ax=None: plots.role_dots(ROLES, ax, chance=0.5),
    "learning_curves": lambda ax=None: plots.learning_curves(HISTORIES, ax, weak=0.7, ceiling=0.99),
    "error_curves": lambda ax=None: plots.error_curves(HISTORIES, ax),
    "slice_dots": lambda ax=None: plots.slice_dots(SEEDS, ax),
    "reliability": lambda ax=None: plots.reliability(SEEDS[0].student, ax),
    "loss_against_size": lambda ax=None: plots.loss_against_size(CARDS, ax),
}


# -- all of them -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("draw", EVERY.values(), ids=EVERY)
def test_every_plot_is_labelled_and_readable_and_changes_nothing_global(draw):
    ax = plt.figure(figsize=(7, 5), layout="constrained").add_subplot()
    before, figures = dict(matplotlib.rcParams), plt.get_fignums()
    assert draw(ax) is ax
    assert dict(matplotlib.rcParams) == before and plt.get_fignums() == figures
    assert ax.get_ylabel() or len(ax.get_yticklabels()) > 1
    ax.figure.draw_without_rendering()
    axis_words = [ax.title, ax.xaxis.label, ax.yaxis.label, *ax.get_xticklabels(), *ax.get_yticklabels()]
    legend_words = ax.get_legend().get_texts() if ax.get_legend() else []
    assert all(text.get_fontsize() >= 12 for text in [*axis_words, *legend_words] if text.get_text())
    assert all(text.get_fontsize() >= 10 for text in ax.findobj(Text) if text.get_text().strip())
    assert draw() is not ax  # Axes of its own, where none are given


@pytest.mark.parametrize("draw", EVERY.values(), ids=EVERY)
def test_nothing_is_clipped_and_no_words_overlap(draw):
    ax = draw()
    figure = ax.figure
    figure.draw_without_rendering()
    texts = [t for t in ax.findobj(Text) if t.get_text().strip() and t.get_visible()]
    ticks = {*ax.get_xticklabels(which="both"), *ax.get_yticklabels(which="both")}
    texts = [t for t in texts if t not in ticks]
    boxes = {
        t: t.get_window_extent().shrunk(0.96, 0.9) if not isinstance(t, Annotation) else Text.get_window_extent(t)
        for t in texts
    }
    for text, box in boxes.items():
        inside = figure.bbox.x0 - 1 <= box.x0 and box.x1 <= figure.bbox.x1 + 1
        assert inside and figure.bbox.y0 - 1 <= box.y0 and box.y1 <= figure.bbox.y1 + 1, text.get_text()
    for (one, first), (two, second) in combinations(boxes.items(), 2):
        assert not first.overlaps(second), (one.get_text(), two.get_text())


def test_roles_differ_in_colour_and_in_shape():
    for field in ("name", "color", "marker"):
        assert len({getattr(role, field) for role in ROLE.values()}) == len(ROLE)
    hatches = [role.hatch for role in ROLE.values() if role.hatch]
    assert len(set(hatches)) == len(hatches) == len(ROLE) - 1


def test_a_role_looks_the_same_in_every_plot():
    bars, curves, slices = (EVERY[n]() for n in ("accuracy_bars, four", "learning_curves", "slice_dots"))
    assert [marker for marker, *_ in large_dots(bars)] == [ROLE[r].marker for r in ("weak", "student", "ceiling")]
    for key in ("weak", "ceiling"):
        assert line(curves, f"{ROLE[key].name}: accuracy").get_color() == ROLE[key].color
    assert line(curves, "student: accuracy").get_color() == ROLE["student"].color
    for key, dots in zip(("weak", "student", "ceiling"), slices.collections, strict=True):
        assert dots.get_label() == ROLE[key].name
        assert to_hex(dots.get_facecolor()[0]).upper() == ROLE[key].color
    both = [
        line(curves, "student: agreement with weak"),
        line(EVERY["error_curves"](), "imitation: repeats the weak error"),
    ]
    assert {(found.get_color(), found.get_marker()) for found in both} == {(ROLE["same"].color, ROLE["same"].marker)}


# -- accuracy ----------------------------------------------------------------------------------------------------


def test_one_comparison_shows_its_accuracies_wilson_intervals_and_pgr():
    one = SEEDS[0]
    ax = plots.accuracy_bars(one)
    heights = [patch.get_height() for patch in ax.patches]
    evaluations = (one.weak, one.student, one.ceiling)
    assert heights == pytest.approx([e.accuracy for e in evaluations])
    for (_, mean, low, high), e in zip(large_dots(ax), evaluations, strict=True):
        assert (mean, low, high) == pytest.approx((e.accuracy, *e.interval))
        assert f"{e.accuracy:.2f}" in words(ax)
    low, high = one.pgr_interval()
    assert ax.get_title() == f"PGR {one.pgr:.2f} [{low:.2f}, {high:.2f}]\n95 % bootstrap over {N} test examples"
    assert ax.get_ylabel() == "accuracy (fraction of test examples)"
    assert "chance\n1 of 2" in words(ax)


def test_several_comparisons_show_each_seed_and_student_t_intervals_within_0_and_1():
    ax = plots.accuracy_bars(SEEDS)
    seed_dots = [found for found in ax.collections if found.get_label().endswith("one seed")]
    for (_, mean, low, high), dots, role in zip(large_dots(ax), seed_dots, ("weak", "student", "ceiling"), strict=True):
        accuracies = [getattr(seed, role).accuracy for seed in SEEDS]
        wanted = metrics.mean_interval(accuracies)
        assert (mean, low, high) == pytest.approx((wanted.mean, max(0, wanted.low), min(1, wanted.high)))
        assert dots.get_offsets()[:, 1].tolist() == pytest.approx(accuracies)
        assert f"{wanted.mean:.2f}" in words(ax)
    joined = [list(found.get_ydata()) for found in ax.get_lines() if len(found.get_ydata()) == 3]
    assert joined == [[s.weak.accuracy, s.student.accuracy, s.ceiling.accuracy] for s in SEEDS]
    wanted = metrics.mean_interval([seed.pgr for seed in SEEDS])
    title = f"PGR {wanted.mean:.2f} [{wanted.low:.2f}, {wanted.high:.2f}]\nmean over 4 seeds, 95 % Student-t"
    assert ax.get_title() == title


def test_an_interval_over_seeds_is_cut_at_1():
    apart = [comparison(0, weak=0.1), comparison(1, weak=1.0)]
    found = plots.mean_accuracy([one.weak for one in apart])
    assert (found.low, found.high) == (0.0, 1.0)


def test_an_undefined_pgr_is_said_in_words():
    flat = comparison(0, weak=0.9, ceiling=0.3)
    assert flat.pgr is None
    assert plots.accuracy_bars(flat).get_title() == "PGR undefined: ceiling not above\nthe weak supervisor"
    assert plots.accuracy_bars([flat, flat]).get_title().startswith("PGR undefined")
    assert plots.accuracy_bars([*SEEDS, flat]).get_title().endswith("mean over 4 of 5 seeds, 95 % Student-t")
    assert plots.accuracy_bars([SEEDS[0], flat]).get_title().endswith("test examples, 1 of 2 seeds")


def test_an_unbounded_pgr_interval_is_said_in_words():
    close = comparison(0, weak=0.85, ceiling=0.9)
    assert close.pgr is not None and close.pgr_interval() is None
    assert "[no interval]" in plots.accuracy_bars(close).get_title()


def test_an_open_task_has_no_chance_line():
    ax = plots.accuracy_bars(comparison(task=OPEN))
    assert not [text for text in words(ax) if text.startswith("chance")]
    assert ax.get_ylabel() == "exact matches (fraction of test examples)"


def test_no_comparison_or_two_tasks_are_refused():
    for wrong in ([], [comparison(), comparison(task=OPEN)]):
        with pytest.raises(ValueError, match=f"{len(wrong)} comparisons given"):
            plots.accuracy_bars(wrong)


def test_pgr_dots_are_means_and_seeds_and_count_the_undefined():
    ax = EVERY["pgr_dots"]()
    for (_, mean, low, high), values in zip(large_dots(ax), CONDITIONS.values(), strict=True):
        wanted = metrics.mean_interval([value for value in values if value is not None])
        assert (mean, low, high) == pytest.approx((wanted.mean, wanted.low, wanted.high))
    assert [marker for marker, *_ in large_dots(ax)] == [ROLE[key].marker for key in ("student", "student", "random")]
    assert "weak labels,\nbest snapshot\n(3 of 4 seeds)" in words(ax)
    single = plots.pgr_dots({"end": [0.4], "undefined": [None]})
    assert "0.40" in words(single) and "undefined\n(0 of 1 seeds)" in words(single)
    with pytest.raises(ValueError, match="as many seeds"):
        plots.pgr_dots({"a": [0.1], "b": [0.1, 0.2]})


# -- training ----------------------------------------------------------------------------------------------------


def test_learning_curves_are_means_over_seeds_with_every_seed_thin_behind():
    ax = plots.learning_curves(HISTORIES, weak=0.7, ceiling=0.99)
    for label, value in (("accuracy", lambda e: e.accuracy), ("agreement with weak", lambda e: e.agreement)):
        table = np.array([[value(snapshot.evaluation) for snapshot in one] for one in HISTORIES])
        found = line(ax, f"student: {label}")
        assert found.get_xdata() == pytest.approx([0, 320, 640, 960])
        assert found.get_ydata() == pytest.approx(table.mean(0))
        thin = [list(seed.get_ydata()) for seed in ax.get_lines() if seed.get_linewidth() == 1]
        assert [row for row in table.tolist() if row in thin] == table.tolist()
    assert line(ax, "weak supervisor: accuracy").get_ydata()[0] == 0.7
    assert line(ax, "strong ceiling: accuracy").get_ydata()[0] == 0.99
    assert ax.get_ylabel() == "fraction of examples"


def test_the_best_epoch_is_marked_as_an_oracles_choice():
    ax = plots.learning_curves(HISTORIES)
    mean = np.mean([[snapshot.evaluation.accuracy for snapshot in one] for one in HISTORIES], axis=0)
    (star,) = [found for found in ax.get_lines() if found.get_marker() == "*"]
    assert (star.get_xdata()[0], star.get_ydata()[0]) == (320 * mean.argmax(), pytest.approx(mean.max()))
    assert f"best snapshot\n(an oracle's choice): {mean.max():.2f}" in words(ax)


def test_one_history_may_come_without_a_list_around_it():
    one, same = plots.learning_curves(HISTORIES[0]), plots.learning_curves(HISTORIES[:1])
    assert list(line(one, "student: accuracy").get_ydata()) == list(line(same, "student: accuracy").get_ydata())
    assert one.get_title().endswith("one seed")


def test_seeds_of_different_length_are_averaged_where_all_have_a_value():
    ax = plots.learning_curves([history(0), history(1, points=2)])
    assert list(line(ax, "student: accuracy").get_xdata()) == [0, 320]


def test_error_curves_are_imitation_and_correction():
    ax = plots.error_curves(HISTORIES)
    for label, field in (
        ("imitation: repeats the weak error", "imitation"),
        ("correction: gives the true answer", "correction"),
    ):
        wanted = np.mean([[getattr(s.evaluation, field) for s in one] for one in HISTORIES], axis=0)
        assert line(ax, label).get_ydata() == pytest.approx(wanted)
    assert ax.get_ylabel() == "fraction of weak errors"


def test_what_cannot_be_drawn_is_said():
    unknown = [history(seed, reference=False) for seed in range(2)]
    assert "undefined: no weak errors are known" in words(plots.error_curves(unknown))
    assert [text.get_text() for text in plots.learning_curves(unknown).get_legend().get_texts()] == [
        "student: accuracy"
    ]
    assert "no snapshot was evaluated" in words(plots.learning_curves([Snapshot(0, 0, None), Snapshot(1, 32, 0.7)]))
    some = plots.error_curves([history(0), history(1, weak=1.0)])  # a perfect supervisor makes no error to imitate
    assert line(some, "imitation: repeats the weak error (1 of 2 seeds)")
    with pytest.raises(ValueError, match="no history given"):
        plots.learning_curves([])


# -- slices, calibration, sizes ----------------------------------------------------------------------------------


def test_slices_are_sorted_means_and_small_ones_are_left_out_in_words():
    ax = plots.slice_dots(SEEDS)
    wanted = {
        role: {tag: np.mean([getattr(one, role).by_slice()[tag][0] for one in SEEDS]) for tag in TAGS}
        for role in ("weak", "student", "ceiling")
    }
    order = [text.get_text().split("\n")[0] for text in ax.get_yticklabels()]
    assert sorted(order) == sorted(TAGS) and "rare-slice" not in order
    for role, dots in zip(wanted, ax.collections, strict=True):
        assert dots.get_offsets()[:, 0].tolist() == pytest.approx([wanted[role][tag] for tag in order])
    assert [wanted["student"][tag] for tag in order] == sorted(wanted["student"].values())
    assert all(text.get_text().endswith(f"(n = {N // 3})") for text in ax.get_yticklabels())
    assert "1 slice with fewer than 5 examples left out" in ax.get_xlabel()


def test_records_without_tags_have_no_slices():
    bare = [
        Evaluation(TASK, e.ids, e.predictions, e.truth) for e in (SEEDS[0].weak, SEEDS[0].student, SEEDS[0].ceiling)
    ]
    assert "no slice is large enough" in words(plots.slice_dots(Comparison(*bare)))


def test_reliability_shows_the_bins():
    student = SEEDS[0].student
    ax, wanted = plots.reliability(student), student.calibration
    assert [patch.get_height() for patch in ax.patches] == pytest.approx([b.accuracy for b in wanted.bins])
    dots = line(ax, "strong student, examples of one bin")
    assert dots.get_xdata() == pytest.approx([b.confidence for b in wanted.bins])
    assert {str(b.count) for b in wanted.bins} <= set(words(ax))
    assert f"{wanted.ece:.3f}" in ax.get_title()
    weak = plots.reliability(SEEDS[0].weak, role="weak")
    assert to_hex(weak.patches[0].get_edgecolor()).upper() == ROLE["weak"].color
    with pytest.raises(ValueError, match="closed task"):
        plots.reliability(comparison(task=OPEN).student)


def test_models_lie_at_their_size_and_loss_on_a_log_scale():
    ax = plots.loss_against_size(CARDS)
    wanted = [(card["parameters"], card["held_out_loss"]) for card in CARDS]
    assert ax.collections[0].get_offsets().tolist() == [pytest.approx(point) for point in wanted]
    assert ax.get_xscale() == "log" and ax.get_ylabel() == "held-out loss (nats per token)"
    assert {"pocket-xs\n2 M tokens", "pocket-l again\n6 M tokens"} <= set(words(ax))
    assert len(plots.loss_against_size(CARDS[:1]).texts) == 1
    with pytest.raises(ValueError, match="no card given"):
        plots.loss_against_size([])


# -- the figure of a run -----------------------------------------------------------------------------------------


@pytest.mark.slow
def test_the_report_stays_out_of_pyplot(tmp_path):
    before = dict(matplotlib.rcParams)
    figure = plots.report_figure(SEEDS, HISTORIES, title="sentiment: pocket-s teaches pocket-l")
    figure.savefig(tmp_path / "figure.png")
    assert plt.get_fignums() == [] and dict(matplotlib.rcParams) == before
    assert type(figure) is Figure and figure.dpi == 150 and len(figure.axes) == 3
    assert figure.get_suptitle() == "sentiment: pocket-s teaches pocket-l"
    weak = np.mean([one.weak.accuracy for one in SEEDS])
    assert line(figure.axes[1], "weak supervisor: accuracy").get_ydata()[0] == pytest.approx(weak)
    width, height = plt.imread(tmp_path / "figure.png").shape[1::-1]
    assert width > 2000 and 2 < width / height < 3


def test_the_report_does_without_histories_and_with_one_undefined_comparison():
    figure = plots.report_figure(comparison(0, weak=0.9, ceiling=0.3))
    assert len(figure.axes) == 2 and figure.axes[0].get_title().startswith("PGR undefined")


@pytest.mark.slow
def test_the_report_needs_no_screen(tmp_path):
    code = "from test_plots import plots, SEEDS, HISTORIES; plots.report_figure(SEEDS, HISTORIES).savefig('figure.png')"
    here = Path(__file__).resolve().parent
    env = {
        name: value for name, value in os.environ.items() if name not in ("DISPLAY", "WAYLAND_DISPLAY", "MPLBACKEND")
    }
    env["PYTHONPATH"] = os.pathsep.join(map(str, [ROOT, ROOT / "tests", here]))
    subprocess.run([sys.executable, "-c", code], cwd=tmp_path, env=env, check=True, timeout=120)
    assert (tmp_path / "figure.png").stat().st_size > 10_000
