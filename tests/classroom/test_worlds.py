"""The switch between the pocket world and real English, what it says where something is missing, and the real parts."""

import numpy as np
import pytest
from pictures import stored

from w2s_lab import assets
from w2s_lab import classroom as room
from w2s_lab.classroom.toolkit import real_world
from w2s_lab.classroom.toolkit.panel import Panel, View, slider
from w2s_lab.classroom.toolkit.sketch import Sketch, Words
from w2s_lab.classroom.toolkit.worlds import MAKING, POCKET, REAL
from w2s_lab.experiments.store import Store
from w2s_lab.methods import probe

SENTENCE = "a sentence that somebody wrote about a film"


def panel(title: str, words: str) -> Panel:
    def draw(x: float) -> View:
        said = f"{words} at {x:.2f}"
        return View(said, (Sketch((Words(4, 20, said),), 30, said),), html=f"<p>{words}</p>")

    return Panel(title, {"x": slider("x", 0.5, 0.0, 1.0, 0.1)}, draw)


class Maker:
    """Makes the real panel, and counts how often it is asked to; fails as often as it is told to."""

    def __init__(self, *failures: Exception) -> None:
        self.failures, self.calls = list(failures), 0

    def __call__(self) -> Panel:
        self.calls += 1
        if self.failures:
            raise self.failures.pop(0)
        return panel("people's", SENTENCE)


def test_the_other_panel_is_made_once_and_when_it_is_chosen():
    make = Maker()
    both = room.worlds(panel("pocket's", "generated"), make)
    assert make.calls == 0 and both.shown is both.pocket and both.switch.value == POCKET
    both.set(x=0.25)
    for times in range(2):
        both.set(world=REAL)
        assert make.calls == 1 and both.shown is both.real and both._below.children == (both.real,) and not both.says
        both.set(x=0.75 - 0.25 * times)
        both.set(world=POCKET)
        assert both._below.children == (both.pocket,)
    assert (both.pocket.controls["x"].value, both.real.controls["x"].value) == (0.25, 0.5)


def test_it_says_what_it_is_doing_while_it_makes_it():
    seen = []
    both = room.worlds(panel("pocket's", "generated"), lambda: seen.append(both.says) or panel("people's", SENTENCE))
    both.set(world=REAL)
    assert seen == [MAKING] and both._note.value == ""


def test_the_switch_is_of_buttons_which_a_keyboard_reaches():
    both = room.worlds(panel("pocket's", "generated"), Maker())
    assert type(both.switch).__name__ == "ToggleButtons" and both.switch.options == (POCKET, REAL)
    assert len(both.switch.tooltips) == 2 and both.children[0] is both.switch


def test_an_error_is_said_and_breaks_nothing():
    make = Maker(RuntimeError("the disk is <full>"))
    both = room.worlds(panel("pocket's", "generated"), make).set(world=REAL)
    assert both.says == "✗ This could not be made. RuntimeError: the disk is <full>"
    assert "&lt;full&gt;" in both._note.value and 'role="status"' in both._note.value
    assert both.switch.value == POCKET and both.shown is both.pocket and both._below.children == (both.pocket,)
    both.set(x=0.75)
    assert "0.75" in both.pocket.view.says
    both.set(world=REAL)
    assert make.calls == 2 and both.shown is both.real and both.says == ""


def test_without_the_sentences_it_says_which_commands_get_them(tmp_path, monkeypatch):
    monkeypatch.setenv(assets.FETCHED_VARIABLE, str(tmp_path / "nothing"))
    real = room.real_english(Store(tmp_path / "runs"))
    for make in (lambda: room.label_browser(real.labels), lambda: room.label_browser(real.model)):
        both = room.worlds(panel("pocket's", "generated"), make).set(world=REAL)
        assert "`pip install 'w2s-lab[real]'`" in both.says and both.says.count(".") == 1
        assert "`w2s-lab fetch film-reviews smollm2-135m-q4`" in both.says
        assert both.shown is both.pocket


def test_what_is_stored_is_the_pocket_world_whatever_is_on_the_screen():
    both = room.worlds(panel("pocket's", "generated"), Maker())
    before = both._repr_mimebundle_()
    assert "application/vnd.jupyter.widget-view+json" in before[0]
    bundle, look = both.set(world=REAL)._repr_mimebundle_()
    assert bundle["text/plain"] == stored(both.pocket)["text/plain"] == both.summary
    assert (bundle["image/png"], look) == (before[0]["image/png"], before[1])
    assert SENTENCE not in str(bundle)


# -- the parts ---------------------------------------------------------------------------------------------------------


@pytest.fixture
def real(tmp_path, monkeypatch):
    """The real parts in small: a built-in task and a tiny model in their places."""
    for name, value in (("TASK", "sentiment"), ("MODEL", "pocket-xs"), ("TRUE_ANSWERS", 200), ("LAYER", 1)):
        monkeypatch.setattr(real_world, name, value)
    return room.real_english(Store(tmp_path), student=60, test=40)


def test_nothing_is_read_before_it_is_asked_for(real, monkeypatch):
    monkeypatch.setattr(real_world, "load_model", lambda *_, **__: pytest.fail("labels need no model"))
    assert not set(vars(real)) - {"store", "seed", "students", "tests", "C"}
    assert (len(real.labels), len(real.reference), len(real.test)) == (60, 40, 40)
    assert real.labels.examples == real.splits.student_train.examples and real.labels.probs.shape == (60, 2)
    assert len(real.splits.supervisor_train) == 200 and 0 < real.labels.label_accuracy < 1


@pytest.mark.slow
def test_features_are_those_of_the_layer_and_are_kept(real, monkeypatch):
    wanted = [probe.features(real.model, part, layer=1, pool="mean") for part in (real.splits.student_train, real.test)]
    for found, table in zip(real.features, wanted, strict=True):
        np.testing.assert_allclose(found, table, atol=1e-5)
    monkeypatch.setattr(probe, "features_of_layers", lambda *_, **__: pytest.fail("they are in the store"))
    again = room.real_english(real.store, student=60, test=40)
    assert np.array_equal(again.features[1], real.features[1])


def test_every_dashboard_takes_the_parts(real):
    words = [
        room.label_browser(real.labels).set(show="wrong").summary,
        room.error_simulator(real.features, real.labels, real.reference, C=real.C).summary,
        room.flip_inspector(real.history, real.test).summary,
        room.selection_explorer(real.labels, None, real.features[0], real.test, real.features[1], C=real.C).summary,
        room.temperature_view(real.labels).summary,
    ]
    assert all("60" in one for one in (words[0], words[1])) and "of 40 answers" in words[2] and "30 labels" in words[3]


def test_with_a_store_a_dashboard_has_the_switch(real):
    """Its other side is made of the parts of real English; without a store there is the panel alone."""
    both = room.label_browser(real.labels, real.store).set(show="right")
    assert both.pocket.controls["show"].value == "right" and both.real is None
    assert both.set(world=REAL).shown is both.real and both.real.controls["show"].value == "wrong"
    assert "in the whole set" in both.real.view.says and "600" in both.real.set(show="all").view.says
    warm = room.temperature_view(real.labels, real.store).set(temperature=5.0).set(world=REAL)
    assert warm.real.controls["temperature"].value == 3.0 and warm.pocket.title == warm.real.title
    losses = room.loss_explorer("temperature", real=True).set(world=REAL)
    assert losses.real.title == room.hard_or_soft().title != losses.pocket.title
    assert isinstance(room.label_browser(real.labels), Panel) and isinstance(room.loss_explorer("temperature"), Panel)


def test_the_history_is_gradient_descent_on_the_log_loss():
    """Long enough, and where the classes overlap, it ends at scikit-learn's own solution without regularisation."""
    from sklearn.linear_model import LogisticRegression

    from w2s_lab.records import Example, LabelledSet, Task

    rng, task = np.random.default_rng(0), Task("verdict", ("no", "yes"))
    table = rng.normal(size=(300, 4)).astype(np.float32)
    second = table @ [1.0, -0.5, 0.2, 0.0] + rng.normal(size=300) > 0.3
    answers = tuple(task.answers[int(one)] for one in second)
    examples = tuple(Example("?", str(i), answer) for i, answer in enumerate(answers))
    labels = LabelledSet(task, examples, answers)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(real_world, "RATE", 1.0)
        history = real_world.probe_history(table, labels, table, labels)
    fitted = LogisticRegression(C=1e9, max_iter=1000).fit(table, answers)
    assert history[-1].evaluation.predictions == tuple(fitted.predict(table))
    loss = -np.log(fitted.predict_proba(table)[np.arange(300), second.astype(int)]).mean()
    assert history[-1].train_loss == pytest.approx(loss, abs=1e-4)
    assert [one.step for one in history] == list(range(0, real_world.STEPS + 1, real_world.EVERY))
    assert history[0].train_loss is None and history[1].train_loss < np.log(2)
    assert history[-1].examples_seen == real_world.STEPS * 300


def test_the_real_names_are_those_that_can_be_fetched():
    from w2s_lab.data.fetch import FETCHABLE

    assert (FETCHABLE[real_world.TASK].kind, FETCHABLE[real_world.MODEL].kind) == ("data", "model")
