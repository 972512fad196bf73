"""Makes the recordings that the demos show: `python -m w2s_lab.classroom.demos.record [NAME ...]`, without names all.

The trainings are of one seed, and the store keeps them. *english* reads what `w2s-lab fetch` gets, and records places
in a plane and numbers; people's sentences stay out of it.
"""

import sys
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

from w2s_lab.classroom.dashboards.error_simulator import error_simulator
from w2s_lab.classroom.dashboards.flips import KINDS, count_kinds, flip_inspector, flips
from w2s_lab.classroom.dashboards.race import WATCHED
from w2s_lab.classroom.dashboards.selection_explorer import selection_explorer
from w2s_lab.classroom.dashboards.token_viewer import token_viewer
from w2s_lab.classroom.dashboards.why_it_works import RECIPE, TESTS, why_it_works
from w2s_lab.classroom.toolkit.chart import Bar, BarChart
from w2s_lab.classroom.toolkit.panel import Panel, View
from w2s_lab.classroom.toolkit.recorded import recording, write_recording
from w2s_lab.data.sources import load_splits
from w2s_lab.experiments.procedure import Bench, Plan, split_curve
from w2s_lab.experiments.store import Store
from w2s_lab.methods.selection import scores
from w2s_lab.recipe import Recipe
from w2s_lab.records import content_key

POOL = 1000  # weak labels to choose from
HIGH, MOST = 360, 0.3  # of the flips: pixels of the curves, the end of the bars' axis
LOOK = dict(zip(KINDS, ("student", "same", "ceiling", "random"), strict=True))  # kind of flip -> whose colour


@dataclass(frozen=True)
class Material:
    """What the recordings are made of: one seed of the sentiment task."""

    store: Store

    @cached_property
    def bench(self) -> Bench:
        """Its parts, with the first TESTS test examples."""
        splits = load_splits("sentiment", seed=0)
        return Bench(replace(splits, test=splits.test.take(range(TESTS))), Plan(), self.store, seed=0)

    @cached_property
    def features(self) -> tuple[Any, Any]:
        """Of the strong model, for the student's inputs and for the test examples."""
        splits = self.bench.splits
        return tuple(self.store.features(self.bench.strong, part) for part in (splits.student_train, splits.test))


def _tokens(source: Material) -> dict[str, Any]:
    """The token viewer: examples with wrong weak labels, under three models."""
    bench = source.bench
    few = bench.labels.take(range(960))
    recipe = Recipe(epochs=1, learning_rate=1e-4, batch_size=16)
    student = source.store.train(bench.strong, few, recipe, role="strong student, briefly")
    wrong = [row for row, label in enumerate(few.answers) if label != few.examples[row].answer]
    models = {"weak": bench.supervisor(), "strong, before": bench.strong, "student": student}
    return recording(token_viewer(models, few.take(wrong[:6])), ("example", "model", "answer", "masked"))


def _why(source: Material) -> dict[str, Any]:
    """The plane of truth and habit, step by step."""
    return recording(why_it_works(source.store).pocket, ("step", "learns"))


def _errors(source: Material) -> dict[str, Any]:
    """The error simulator."""
    panel = error_simulator(source.features, source.bench.labels, source.bench.reference)
    return recording(panel, ("kind", "rate"))


def _flips(source: Material) -> dict[str, Any]:
    """The curves of the flip inspector, on the student of *why*, with the flips since its best step as bars."""
    bench = source.bench
    watched = {"watch": bench.watch, "reference": bench.watched}
    model = bench.train(bench.strong, bench.labels, RECIPE, "strong student", **watched)
    curve, test = split_curve(model.history, bench.splits)[0], bench.splits.test
    inspector, best = flip_inspector(curve, test), max(curve[1:], key=lambda one: one.evaluation.accuracy)

    def draw(step: int) -> View:
        view, now = inspector.set(step=step).view, next(one for one in curve if one.step == step)
        counts = count_kinds(found := flips(best, now, test))
        bars = tuple(Bar(kind, count / len(test), LOOK[kind]) for kind, count in counts.items())
        seen = next((one for one in found if one.kind == "imitated"), None)
        says = view.says
        if seen:
            says += f" One of the imitated: {seen.example.input!r}, {seen.before} at the best step, {seen.after} now."
        flipped = BarChart("changed answers (fraction)", bars, (0.0, MOST), said=says)
        return View(says, (replace(view.charts[0], said=says, height=HIGH), flipped))

    return recording(Panel(inspector.title, {"step": inspector.controls["step"]}, draw), ("step",))


def _choosing(source: Material) -> dict[str, Any]:
    """The selection explorer, with the probes of all fractions."""
    pool, bench = source.bench.labels.take(range(POOL)), source.bench
    explorer = selection_explorer(pool, scores(pool), source.features[0][:POOL], bench.splits.test, source.features[1])
    for rule in explorer.selection.scores:
        for balanced in (False, True):
            explorer.sweep(rule, balanced=balanced)

    def draw(**values: Any) -> View:
        view = explorer.set(**values).view
        curves, shares = view.charts
        short = tuple(replace(bar, label=bar.label.removeprefix("labelled "), note="") for bar in shares.bars)
        return replace(view, charts=(curves, replace(shares, x_label="share kept / share of all", bars=short)))

    names = ("kept", "rule", "balanced")
    return recording(Panel(explorer.title, {name: explorer.controls[name] for name in names}, draw), names)


def _english(source: Material) -> dict[str, Any]:
    """The plane of *why* for probes of SmolLM2 on film reviews."""
    panel = why_it_works(source.store).set(world="real English").real
    return recording(panel, ("step", "learns"))


def _labels(source: Material) -> dict[str, Any]:
    """The supervisor's labels that `race` begins with."""
    bench = source.bench
    digits = [str(bench.labels.task.answers.index(answer)) for answer in bench.labels.answers]
    right = bench.reference.take(range(WATCHED)).label_accuracy
    return {"seed": bench.seed, "of": content_key(bench.labels.ids), "labels": "".join(digits), "level": right,
            "steps": RECIPE.steps(len(digits))[0]}  # fmt: skip


RECORDINGS: dict[str, Callable[[Material], dict[str, Any]]] = {
    "labels": _labels, "tokens": _tokens, "why": _why, "errors": _errors, "flips": _flips, "choosing": _choosing,
    "english": _english,
}  # fmt: skip


def main(names: list[str]) -> None:
    """Make these recordings; none: all.

    Raises:
        ValueError: there is no recording of that name.
    """
    if unknown := set(names) - set(RECORDINGS):
        raise ValueError(f"there is no recording {min(unknown)!r}; expected some of {', '.join(RECORDINGS)}")
    source = Material(Store())
    for name in names or RECORDINGS:
        write_recording(name, RECORDINGS[name](source))


if __name__ == "__main__":
    main(sys.argv[1:])
