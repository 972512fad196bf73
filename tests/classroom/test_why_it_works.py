"""The picture of why it works: points by their labels, the line of the answers at a step, what it says, and Play."""

from dataclasses import replace

import numpy as np
import pytest
from pictures import sound, stored

from w2s_lab import classroom as room
from w2s_lab.classroom.dashboards import why_it_works
from w2s_lab.classroom.dashboards.why_it_works import FITTING, KINDS, LEARNING, SHOWN, Scene, wrong_labels
from w2s_lab.classroom.toolkit.worlds import LEAKAGE, POCKET, REAL
from w2s_lab.data.sources import SplitSizes
from w2s_lab.experiments.store import Store
from w2s_lab.methods.tilt import decision_line, habit_plane
from w2s_lab.records import Example, LabelledSet, Snapshot, Task
from w2s_lab.training.evaluation import score

TASK = Task("verdict", ("no", "yes"))
N, M, D, STEPS = 400, 200, 6, (0, 10, 20, 30)


def world(n: int, seed: int) -> tuple[np.ndarray, LabelledSet]:
    """Features, and labels of a supervisor that goes by the second feature as much as by the first, the truth."""
    features = np.random.default_rng(seed).normal(size=(n, D))
    examples = [Example("?", f"{seed}-{i}", TASK.answers[int(row[0] > 0)]) for i, row in enumerate(features)]
    return features, LabelledSet(TASK, examples, answers(features[:, 0] + features[:, 1]))


def answers(scores: np.ndarray) -> tuple[str, ...]:
    return tuple(TASK.answers[int(one > 0)] for one in scores)


FEATURES, LABELS = world(N, 1)
TESTS, REFERENCE = world(M, 2)
SAID = (np.ones(M), TESTS[:, 0] + 0.2 * TESTS[:, 1], TESTS[:, 0] + TESTS[:, 1], TESTS[:, 0] + 3 * TESTS[:, 1])
HISTORY = [
    Snapshot(step, step, None, score(replace(REFERENCE, answers=answers(said)), REFERENCE))
    for step, said in zip(STEPS, SAID, strict=True)
]


@pytest.fixture(scope="module")
def students() -> dict:
    given = wrong_labels(LABELS, seed=5)
    return {kind: (given[kind], HISTORY if kind == "weak" else HISTORY[:1] + HISTORY[1:2] * 3) for kind in KINDS}


@pytest.fixture
def panel(students):
    others = {
        kind: (labels, [replace(one, step=step) for one, step in zip(history, STEPS, strict=True)])
        for kind, (labels, history) in students.items()
    }
    return room.tilt_explorer((FEATURES, TESTS), others)


def drawn(panel) -> dict:
    return {series.name: series for series in panel.view.charts[0].series}


def test_the_points_are_the_first_inputs_by_label_and_whether_it_is_right(panel, students):
    points = habit_plane(FEATURES, LABELS).points(FEATURES)[:SHOWN]
    for kind in KINDS:
        panel.set(learns=kind)
        labels = students[kind][0].take(range(SHOWN))
        truth = np.array([example.answer for example in labels.examples])
        for answer in TASK.answers:
            for word, right in (("right", True), ("wrong", False)):
                rows = (np.array(labels.answers) == answer) & ((truth == answer) == right)
                series = drawn(panel)[f"label {answer}, {word}"]
                assert np.stack([series.x, series.y], 1) == pytest.approx(points[rows])
                assert series.style.marker == {"no": "o", "yes": "^"}[answer] and series.faint == right
    looks = {(one.style.color, one.style.marker) for one in drawn(panel).values() if not one.line}
    assert len(looks) == 4


@pytest.mark.parametrize("step", STEPS[1:])
def test_the_line_is_that_of_the_answers_at_the_step(panel, step):
    panel.set(step=step)
    points = habit_plane(FEATURES, LABELS).points(TESTS)
    said = HISTORY[STEPS.index(step)].evaluation
    line = decision_line(points, np.array(said.predictions) == "yes")
    series, says = drawn(panel)["the student now"], panel.view.says
    off = line.across * np.array(series.x) + line.up * np.array(series.y) + line.offset
    assert off == pytest.approx([0, 0], abs=1e-9)
    (x0, x1), (y0, y1) = panel.view.charts[0].ranges()
    assert np.hypot(*np.diff([series.x, series.y]).ravel()) > np.hypot(x1 - x0, y1 - y0)  # from edge to edge
    assert f"tilted by {line.tilt:.0f}°" in says and f"accounts for {line.given:.0%} of the student's answers" in says
    assert f"Accuracy on {M} test examples {said.accuracy:.3f}" in says
    assert (
        f"It answers no to {said.predictions.count('no') / M:.0%} of them; {said.truth.count('no') / M:.0%} are" in says
    )
    assert f"the supervisor's {REFERENCE.label_accuracy:.3f}" in says


def test_the_words_follow_the_numbers(panel):
    words = {
        10: ("nearly upright and follows the truth", "above", "its best step"),
        20: ("so it follows the", "level with", "best at step 10"),
        30: ("so it follows the supervisor's habit more than the truth", "below", "best at step 10"),
    }
    for step, (look, against, best) in words.items():
        says = panel.set(step=step).view.says
        assert (
            look in says
            and f", {against} the supervisor's" in says
            and best in says
            and "Both axes use the truth" in says
        )
    assert "there is no tilt" in panel.set(step=0).view.says and not drawn(panel)["the student now"].x


def test_a_degree_on_the_screen_is_a_degree(panel):
    chart = panel.view.charts[0]
    (x0, x1), (y0, y1) = chart.ranges()
    low = float(np.array(habit_plane(FEATURES, LABELS).points(FEATURES[:SHOWN]))[:, 1].min())
    assert y0 <= low and (x1 - x0) / (y1 - y0) == pytest.approx(592 / 290)
    root = sound(chart)
    places = [one for one in root.iter() if one.tag.endswith("svg") and one.get("x")]
    assert {(one.get("width"), one.get("height")) for one in places} == {("592.0", "290.0")}


def test_play_and_the_slider_move_together(panel):
    step, play, learns = panel.children[1].children
    assert type(play).__name__ == "Play" and play.value == len(STEPS) - 1 and step.value == STEPS[-1]
    play.value = 1
    assert step.value == STEPS[1] and f"Step {STEPS[1]}:" in panel.view.says
    panel.set(step=STEPS[2])
    assert play.value == 2 and learns.value == "weak"


def test_a_student_learns_when_it_is_first_chosen(students):
    """Words and a bar say so meanwhile; it learns once, and the picture is that of one that had learnt before."""
    before = room.tilt_explorer((FEATURES, TESTS), {"weak": students["weak"], "random": (LABELS, HISTORY)})
    heard = []

    def learn(report):
        words = panel.children[-1]
        assert FITTING in words.value
        report(2, 40)
        report(20, 40)
        heard.append(words.value)
        return HISTORY

    panel = room.tilt_explorer((FEATURES, TESTS), {"weak": students["weak"], "random": (LABELS, learn)})
    assert not heard
    for step in STEPS[:2]:
        views = [one.set(learns="random", step=step).view for one in (before, panel)]
        assert views[0].says == views[1].says and panel.children[-1].value == before.children[-1].value
        assert [chart.svg() for chart in views[0].charts] == [chart.svg() for chart in views[1].charts]
    assert len(heard) == 1 and '<progress aria-label="done" value="0.5"' in heard[0]


def test_a_student_that_cannot_learn_leaves_the_picture_and_may_try_again(students):
    tries = []

    def learn(report):
        tries.append(1)
        if len(tries) == 1:
            raise OSError("the disk is full")
        return HISTORY[:1] + HISTORY[2:] if len(tries) == 2 else HISTORY

    panel = room.tilt_explorer((FEATURES, TESTS), {"weak": students["weak"], "random": (LABELS, learn)})
    for said in ("OSError: the disk is full", "other steps than [0, 10, 20, 30]"):
        before = panel.view
        panel.set(learns="random")
        assert said in panel.children[-1].value and FITTING not in panel.children[-1].value and panel.view is before
        panel.set(learns="weak")
    assert panel.set(learns="random").view is not before and len(tries) == 3


def test_as_many_labels_are_wrong_in_every_kind():
    given = wrong_labels(LABELS, seed=5)
    assert list(given) == list(KINDS) and given["weak"] is LABELS
    wrong = {
        kind: [e.answer for e, a in zip(one.examples, one.answers, strict=True) if e.answer != a]
        for kind, one in given.items()
    }
    assert len({len(one) for one in wrong.values()}) == 1
    assert set(wrong["class"]) == {max(TASK.answers, key=wrong["weak"].count)} and set(wrong["random"]) == {"no", "yes"}


def test_it_is_seen_and_read_without_a_kernel(panel):
    assert panel.view.says in stored(panel)["text/plain"]


def test_what_does_not_fit_is_refused(students):
    with pytest.raises(ValueError, match="expected 'weak' among"):
        room.tilt_explorer((FEATURES, TESTS), {"random": students["random"]})
    with pytest.raises(ValueError, match="other steps than"):
        room.tilt_explorer((FEATURES, TESTS), {"weak": students["weak"], "class": (LABELS, HISTORY[:2])})
    alone = [replace(one, evaluation=replace(one.evaluation, reference=None)) for one in HISTORY]
    with pytest.raises(ValueError, match="step 0 was not compared with the supervisor's labels"):
        room.tilt_explorer((FEATURES, TESTS), {"weak": (LABELS, alone)})


# -- the leakage of pre-training ---------------------------------------------------------------------------------------


def scene(history=HISTORY) -> Scene:
    return Scene((FEATURES, TESTS), {"weak": (LABELS, history)})


def test_the_leakage_is_a_third_world_whose_networks_learn_when_they_are_chosen(monkeypatch, panel):
    """Each with the plane of its own features; the words say what it was told, and what is being made."""
    asked, noise = [], np.random.default_rng(3).normal(size=(N + M, D))
    blind = Scene((noise[:N], noise[N:]), {"weak": (LABELS, HISTORY)})

    def told(store, seed, share):
        if asked:
            assert LEARNING in both.shown.children[-1].value
        asked.append(share)
        return scene() if share == 1.0 else blind

    monkeypatch.setattr(why_it_works, "_pocket", lambda store, seed: panel)
    monkeypatch.setattr(why_it_works, "_told", told)
    both = room.why_it_works(None)
    assert both.switch.options == (POCKET, LEAKAGE, REAL) and asked == []
    both.set(world=LEAKAGE)
    dial = both.shown.controls["leakage"]
    assert [label for label, _ in dial.options] == ["0%", "5%", "25%", "100%"] and asked == [0.0]
    for share, read in ((0.0, blind.read), (1.0, scene().read)):
        says = both.set(leakage=share, step=STEPS[1]).shown.view.says
        assert f"In pre-training, {share:.0%} of the reviews were closed" in says
        assert f"right on {read:.0%} of the test examples" in says and LEARNING not in both.shown.children[-1].value
    assert asked == [0.0, 1.0] and scene().read > 0.9 > 0.6 > blind.read
    points = habit_plane(FEATURES, LABELS).points(FEATURES)[:SHOWN]
    drawn_here = np.concatenate([np.stack([s.x, s.y], 1) for s in both.shown.view.charts[0].series if not s.line])
    assert np.sort(drawn_here, 0) == pytest.approx(np.sort(points, 0))
    both.set(leakage=0.0, step=STEPS[-1])
    assert asked == [0.0, 1.0] and f"Step {STEPS[-1]}:" in both.shown.view.says


def test_a_network_whose_student_has_other_steps_is_refused():
    shifted = [replace(one, step=one.step + 1) for one in HISTORY]
    panel = why_it_works.leakage_explorer({0.0: scene, 1.0: lambda: scene(shifted)})
    before = panel.view
    panel.set(leakage=1.0)
    assert "leakage_explorer: steps [1, 11, 21, 31] at 1; expected [0, 10, 20, 30]" in panel.children[-1].value
    assert panel.view is before


@pytest.mark.slow
def test_the_student_of_a_share_learns_from_the_studys_checkpoint(tmp_path, monkeypatch):
    """As in the study, in small: the checkpoint of the share, the supervisor of all shares, few examples."""
    monkeypatch.setattr(why_it_works.leakage, "SIZES", SplitSizes(1500, 64, 100, 10))
    found = why_it_works._told(Store(tmp_path), 0, 0.0)
    runs = {run["role"]: run["start"] for run in Store(tmp_path).runs()}
    assert "pocket-m-0" in str(runs["strong student"]) and "pocket-s" in str(runs["weak supervisor"])
    assert len(found.steps) >= 2 and 0 <= found.read <= 1
