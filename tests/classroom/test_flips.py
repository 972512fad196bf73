"""Flips: what an answer was changed to, and the inspector's slider, menus, table and fallback."""

from dataclasses import replace
from itertools import product

import numpy as np
import pytest
from pictures import stored

from w2s_lab import classroom as room
from w2s_lab.classroom.dashboards.flips import KINDS, SHOWN, count_kinds, flip_inspector, flips, kind_of
from w2s_lab.records import Example, LabelledSet, Snapshot, Task
from w2s_lab.training.evaluation import score

TASK = Task("fruit", ("apple", "pear", "plum"))
N, STEPS = 60, (0, 10, 20, 30, 40)


def random_answers(seed: int) -> tuple[str, ...]:
    return tuple(np.random.default_rng(seed).choice(TASK.answers, N).tolist())


@pytest.fixture(scope="module")
def watch() -> LabelledSet:
    truth = random_answers(100)
    tags = (("round",), ("long", "<b>odd</b>"), ())
    examples = [Example("Which?", f"no. {i} & <i>more</i>", answer, tags[i % 3]) for i, answer in enumerate(truth)]
    return LabelledSet.ground_truth(TASK, examples)


@pytest.fixture(scope="module")
def weak(watch) -> LabelledSet:
    return replace(watch, answers=random_answers(101), source="weak labels")


@pytest.fixture(scope="module")
def history(watch, weak) -> list[Snapshot]:
    said = [replace(watch, answers=random_answers(seed)) for seed in range(len(STEPS))]
    return [Snapshot(step, step, None, score(one, weak)) for step, one in zip(STEPS, said, strict=True)]


@pytest.fixture
def panel(history, watch):
    return flip_inspector(history, watch)


def by_hand(before: Snapshot, after: Snapshot) -> dict[str, int]:
    """Counted without the module under test."""
    old, new = before.evaluation, after.evaluation
    counts = dict.fromkeys(KINDS, 0)
    for a, b, w, t in zip(old.predictions, new.predictions, new.reference, new.truth, strict=True):
        if a != b:
            name = {(True, True): "learnt", (True, False): "corrected", (False, True): "imitated"}
            counts[name.get((b == t, b == w), "own error")] += 1
    return counts


def test_the_four_kinds():
    assert kind_of("plum", weak="plum", truth="plum") == "learnt"
    assert kind_of("plum", weak="pear", truth="plum") == "corrected"
    assert kind_of("pear", weak="pear", truth="plum") == "imitated"
    assert kind_of("apple", weak="pear", truth="plum") == "own error"
    assert kind_of("pear", weak="plum", truth="plum") == "own error"


def test_flips_are_the_answers_that_changed(history, watch):
    for before, after in product(history, history):
        found = flips(before, after, watch)
        pairs = zip(before.evaluation.predictions, after.evaluation.predictions, strict=True)
        changed = [place for place, (a, b) in enumerate(pairs) if a != b]
        assert [flip.example for flip in found] == [watch.examples[place] for place in changed]
        assert all(flip.before != flip.after and flip.truth == flip.example.answer for flip in found)
        assert count_kinds(found) == by_hand(before, after)
    assert count_kinds(()) == dict.fromkeys(KINDS, 0)


def test_every_move_shows_what_counting_says(panel, history):
    best = 1 + int(np.argmax([snapshot.evaluation.accuracy for snapshot in history[1:]]))
    for now, (word, then) in product(range(len(STEPS)), (("previous", None), ("first", 0), ("best", best))):
        before = history[max(0, now - 1) if then is None else then]
        panel.set(step=STEPS[now], compared_with=word, kind="all", tag="all")
        counts = by_hand(before, history[now])
        says = panel.view.says
        assert f"Step {STEPS[now]} against step {before.step} (the {word} snapshot)" in says
        assert f"{sum(counts.values())} of {N} answers differ" in says
        for kind, count in counts.items():
            assert f"{count} {kind}" in says and f"<b>{count}</b> {kind}" in panel.view.html
        assert f"Accuracy {history[now].evaluation.accuracy:.3f}" in says
        assert f"imitation {history[now].evaluation.imitation:.2f}" in says


def test_the_curves_are_those_of_the_history(panel, history):
    curves = {series.name: (list(series.x), list(series.y)) for series in panel.view.charts[0].series}
    for name in ("accuracy", "imitation", "correction"):
        assert curves[name] == (list(STEPS), [getattr(snapshot.evaluation, name) for snapshot in history])
    assert [mark.at for mark in panel.set(step=10, compared_with="first").view.charts[0].marks] == [0, 10]
    assert [mark.at for mark in panel.set(step=0).view.charts[0].marks] == [0]


def test_the_table_lists_the_kind_and_the_tag_chosen(panel, history, watch):
    panel.set(step=30, compared_with="first", kind="imitated", tag="round")
    wanted = [f for f in flips(history[0], history[3], watch) if f.kind == "imitated" and "round" in f.example.tags]
    assert 0 < len(wanted) <= SHOWN
    assert panel.view.html.count("<tr>") == 1 + len(wanted)
    for flip in wanted:
        assert f"{flip.before}&nbsp;→ <b>{flip.after}</b>" in panel.view.html
        assert flip.example.input.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;") in panel.view.html
    panel.set(kind="all", tag="all")
    assert panel.view.html.count("<tr>") == 1 + SHOWN and f"the first {SHOWN} of" in panel.view.html
    assert "<i>more</i>" not in panel.view.html and "<b>odd</b>" not in panel.view.html
    panel.set(step=0)
    assert "No flip of this kind" in panel.view.html and f"0 of {N} answers differ" in panel.view.says


def test_the_course_has_a_dot_for_each_snapshot(panel, history, watch):
    panel.set(step=20, compared_with="first", kind="all", tag="all")
    first = flips(history[0], history[2], watch)[0]
    row = watch.ids.index(first.example.id)
    right = [bool(snapshot.evaluation.correct[row]) for snapshot in history]
    assert f"right at {sum(right)} of {len(STEPS)} snapshots" in panel.view.html
    dots = ["●" if value else "○" for value in right]
    assert "".join(dots[:2]) + '<span style="outline:1.5px solid">' + dots[2] in panel.view.html


def test_it_is_seen_and_read_without_a_kernel(panel):
    assert panel.view.says in stored(panel)["text/plain"]


def test_a_supervisor_without_errors_has_no_imitation(watch):
    said = [replace(watch, answers=random_answers(seed)) for seed in (1, 2)]
    history = [Snapshot(step, step, None, score(one, watch)) for step, one in enumerate(said)]
    panel = flip_inspector(history, watch)
    assert "makes no error" in panel.view.says
    assert [series.name for series in panel.view.charts[0].series] == ["accuracy"]


def test_it_says_what_is_missing(history, watch, weak):
    with pytest.raises(ValueError, match="1 snapshots; expected at least two"):
        flip_inspector(history[:1], watch)
    with pytest.raises(ValueError, match=r"step 0 was evaluated on 60 other examples.*expected.*of these 30"):
        flip_inspector(history, watch.take(range(30)))
    with pytest.raises(ValueError, match="step 5 was not evaluated"):
        flips(history[0], Snapshot(5, 5, None), watch)
    with pytest.raises(ValueError, match=r"does not know the weak supervisor's labels.*reference"):
        flips(Snapshot(5, 5, None, score(weak)), history[0], watch)


def test_the_front_door():
    assert room.flip_inspector is flip_inspector and room.flips is flips and room.count_kinds is count_kinds
