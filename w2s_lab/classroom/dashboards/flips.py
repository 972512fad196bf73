"""Flips: which answers a student changes while it trains, and whether to the truth or to the weak supervisor's error.

A changed answer is of one of four kinds (see `KINDS`): the new answer is compared with the weak label and with the
truth. A correction that becomes an imitation is overfitting to weak errors (Burns et al. 2023, arXiv 2312.09390),
seen in one example.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from html import escape
from types import MappingProxyType

import numpy as np

from w2s_lab.classroom.toolkit.chart import Chart, Mark, Series
from w2s_lab.classroom.toolkit.panel import Panel, View, choice, stops, table
from w2s_lab.classroom.toolkit.worlds import Worlds, in_both_worlds
from w2s_lab.experiments.store import Store
from w2s_lab.figures.plots import GREY, ROLE, Role
from w2s_lab.records import Evaluation, Example, LabelledSet, Snapshot

KINDS = MappingProxyType({
    "corrected": "now the truth, where the weak supervisor is wrong",
    "imitated": "now the weak supervisor's error",
    "learnt": "now the truth, which the weak supervisor says too",
    "own error": "now an error that the weak supervisor does not make",
})  # fmt: skip
COLOR = MappingProxyType({
    "corrected": ROLE["student"].color,
    "imitated": ROLE["same"].color,
    "learnt": ROLE["ceiling"].color,
    "own error": ROLE["random"].color,
})  # fmt: skip
SHOWN = 6  # flips in the table: slider, curves and table on one screen
NEAR = 0.12  # of the axis: marks that are nearer than this share one word
BEFORE = Role("compared with", GREY, "", "")


@dataclass(frozen=True)
class Flip:
    """One example whose answer changed between two moments of a training.

    Attributes:
        example: with its text, tags and true answer.
        before, after: the student's answers.
        weak: the weak supervisor's answer.
    """

    example: Example
    before: str
    after: str
    weak: str

    @property
    def truth(self) -> str:
        return self.example.answer

    @property
    def kind(self) -> str:
        """A key of KINDS."""
        return kind_of(self.after, self.weak, self.truth)


def kind_of(after: str, weak: str, truth: str) -> str:
    """What an answer was changed to, as a key of KINDS."""
    if after == truth:
        return "learnt" if after == weak else "corrected"
    return "imitated" if after == weak else "own error"


def flips(before: Snapshot, after: Snapshot, watch: LabelledSet) -> tuple[Flip, ...]:
    """The watched examples whose answer differs at the two moments, in the order of `watch`.

    Args:
        before, after: snapshots evaluated on these examples, with the weak supervisor's labels as reference.
        watch: the examples, with their texts.

    Raises:
        ValueError: a snapshot was not evaluated on these examples, or without the weak supervisor's labels.
    """
    old, new = (_evaluation(snapshot, watch) for snapshot in (before, after))
    rows = zip(watch.examples, old.predictions, new.predictions, new.reference, strict=True)
    return tuple(Flip(example, a, b, weak) for example, a, b, weak in rows if a != b)


def count_kinds(found: Sequence[Flip]) -> dict[str, int]:
    """How many flips there are of each kind: all keys of KINDS, 0 included."""
    counts = Counter(flip.kind for flip in found)
    return {kind: counts[kind] for kind in KINDS}


def flip_inspector(history: Sequence[Snapshot], watch: LabelledSet, store: Store | None = None) -> Panel | Worlds:
    """A slider over the snapshots of a training: which answers changed, to what, and on which examples.

    The curves are correction and imitation (of the weak supervisor's errors) and accuracy (of all watched examples).
    Below them are the flips of the kind chosen, each with the weak label, the truth, and a row of dots: one for each
    snapshot, full where the student was right on this example, empty where it was wrong.

    Args:
        history: snapshots of one training, evaluated on `watch` with the weak supervisor's labels as reference.
        watch: the examples, with their texts.
        store: with one, a switch to film reviews that people wrote, on which a linear probe learns; None: none.

    Raises:
        ValueError: fewer than two snapshots, other examples, or no weak labels to compare with.
    """
    history = tuple(history)
    if len(history) < 2:
        raise ValueError(f"flip_inspector: {len(history)} snapshots; expected at least two. Hint: a smaller eval_every")
    evaluations = [_evaluation(snapshot, watch) for snapshot in history]
    right = np.array([evaluation.correct for evaluation in evaluations])  # [snapshots, examples]
    place = {example.id: row for row, example in enumerate(watch.examples)}
    steps = [snapshot.step for snapshot in history]
    best = 1 + int(right[1:].mean(1).argmax())  # never snapshot 0, the untrained model
    errors = sum(weak != example.answer for weak, example in zip(evaluations[0].reference, watch.examples, strict=True))
    label = "fraction (all; weak errors)"
    chart_of_all = Chart(
        "optimizer steps", label, _curves(steps, evaluations), x_range=(steps[0], steps[-1]), height=250
    )
    tags = sorted({tag for example in watch.examples for tag in example.tags})

    def draw(step: int, compared_with: str, kind: str, tag: str) -> View:
        now = steps.index(step)
        then = {"previous": max(0, now - 1), "first": 0, "best": best}[compared_with]
        found = flips(history[then], history[now], watch)
        kept = [f for f in found if (kind in ("all", f.kind)) and (tag in ("all", *f.example.tags))]
        says = _says(history[then], history[now], compared_with, len(watch), count_kinds(found), errors)
        chart = replace(chart_of_all, marks=_marks(steps, then, now), said=says)
        return View(says, (chart,), _chips(count_kinds(found)) + _listed(kept, right, place, now, kind, tag))

    moments = [(f"the {word} snapshot", word) for word in ("previous", "first", "best")]
    kinds = [("all flips", "all"), *((f"{kind}: {words}", kind) for kind, words in KINDS.items())]
    controls = {
        "step": stops("step", steps, steps[-1]),
        "compared_with": choice("compared with", moments, "best"),
        "kind": choice("show", kinds, "imitated", width="440px"),
        "tag": choice("tag", [("all", "all"), *((tag, tag) for tag in tags)], width="220px"),
    }
    panel = Panel("Flip inspector: which answers change, and to what", controls, draw)
    return in_both_worlds(panel, store, lambda real: flip_inspector(real.history, real.test))


def _evaluation(snapshot: Snapshot, watch: LabelledSet) -> Evaluation:
    found = snapshot.evaluation
    if found is None or found.ids != watch.ids:
        what = "was not evaluated" if found is None else f"was evaluated on {len(found)} other examples"
        raise ValueError(
            f"flips: the snapshot at step {snapshot.step} {what}; expected an evaluation of these {len(watch)}. "
            "Hint: give the set that the training had as `watch`"
        )
    if found.reference is None:
        raise ValueError(
            f"flips: the snapshot at step {snapshot.step} does not know the weak supervisor's labels. "
            "Hint: train with the weak labels of the watched set as `reference`"
        )
    return found


def _curves(steps: Sequence[int], evaluations: Sequence[Evaluation]) -> tuple[Series, ...]:
    drawn = [("truth", "accuracy", [e.accuracy for e in evaluations])]
    if evaluations[0].imitation is not None:
        drawn += [
            ("same", "imitation", [e.imitation for e in evaluations]),
            ("student", "correction", [e.correction for e in evaluations]),
        ]
    return tuple(Series(steps, values, role, label) for role, label, values in drawn)


def _marks(steps: Sequence[int], then: int, now: int) -> tuple[Mark, ...]:
    if then == now:
        return (Mark(steps[now], "now"),)
    near = abs(steps[now] - steps[then]) < NEAR * (steps[-1] - steps[0])
    return Mark(steps[then], "" if near else "before", role=BEFORE), Mark(steps[now], "now")


def _says(then: Snapshot, now: Snapshot, name: str, n: int, counts: dict[str, int], errors: int) -> str:
    evaluation, changed = now.evaluation, sum(counts.values())
    kinds = ", ".join(f"{count} {kind}{'s' * (kind == 'own error' and count != 1)}" for kind, count in counts.items())
    found = f"Step {now.step} against step {then.step} (the {name} snapshot): {changed} of {n} answers differ: {kinds}."
    found += f" Accuracy {evaluation.accuracy:.3f} (then {then.evaluation.accuracy:.3f})"
    if evaluation.imitation is None:
        return f"{found}; the weak supervisor makes no error."
    before = then.evaluation.imitation
    return f"{found}; imitation {evaluation.imitation:.2f} of {errors} weak errors (then {before:.2f})."


def _chips(counts: dict[str, int]) -> str:
    """The counts as bars of their colours, side by side, with number and word."""
    look = "display:inline-block;margin:2px 14px 2px 0;padding:0 0 0 8px;font-size:14px;border-left:10px solid"
    shown = "".join(f'<span style="{look} {COLOR[kind]}"><b>{n}</b> {kind}</span>' for kind, n in counts.items())
    return f'<div style="margin:4px 0">{shown}</div>'


def _listed(kept: Sequence[Flip], right: np.ndarray, place: dict[str, int], now: int, kind: str, tag: str) -> str:
    where = "" if tag == "all" else f" with the tag {tag}"
    what = f"{'flips' if kind == 'all' else kind}{where}"
    if not kept:
        return f'<p style="font-size:14px">No flip of this kind here ({escape(what)}).</p>'
    rows = [
        (
            escape(flip.example.input or flip.example.instruction),
            escape(", ".join(flip.example.tags)),
            escape(flip.weak),
            escape(flip.truth),
            f"{escape(flip.before)}&nbsp;→ <b>{escape(flip.after)}</b>",
            _course(right[:, place[flip.example.id]], now),
        )
        for flip in kept[:SHOWN]
    ]
    more = f" (the first {SHOWN} of {len(kept)})" if len(kept) > SHOWN else ""
    head = ("input", "tags", "weak", "truth", "student", "course")
    return table(head, rows, caption=f"{escape(what)}{more}; course: ● right, ○ wrong, snapshot by snapshot")


def _course(right: np.ndarray, now: int) -> str:
    """A dot for each snapshot, the present one in a box."""
    dots = ["●" if value else "○" for value in right]
    dots[now] = f'<span style="outline:1.5px solid">{dots[now]}</span>'
    words = f"right at {int(right.sum())} of {len(right)} snapshots"
    look = "font-size:11px;letter-spacing:-1px;white-space:nowrap"
    return f'<span aria-label="{words}" style="{look}">{"".join(dots)}</span>'
