"""An error inside a callback is told in the panel, and the panel stays usable."""

import ast
import asyncio
import threading
import time

import ipywidgets as widgets
import pytest
from hypothesis import given
from hypothesis import strategies as st
from places import ROOT

from w2s_lab import assets
from w2s_lab import classroom as room
from w2s_lab.classroom.exercises import EXERCISES, checks
from w2s_lab.classroom.toolkit import panel
from w2s_lab.classroom.toolkit.panel import Panel, View
from w2s_lab.classroom.toolkit.worlds import Worlds
from w2s_lab.recipe import Recipe


@pytest.fixture(autouse=True)
def own_progress(tmp_path, monkeypatch):
    monkeypatch.setenv(assets.PROGRESS_VARIABLE, str(tmp_path / "progress.json"))


def every_text(widget: widgets.Widget) -> str:
    """All HTML of a widget and of what is in it."""
    own = widget.value if isinstance(widget, (widgets.HTML, widgets.HTMLMath)) else ""
    return own + "".join(every_text(child) for child in getattr(widget, "children", ()))


def breaking_at(bad: float, error: Exception | None = None) -> Panel:
    def draw(x: float) -> View:
        if x == bad:
            raise error or ZeroDivisionError(f"no <picture> for {x}")
        return View(f"x is {x}")

    return Panel("A panel", {"x": panel.slider("x", 0, 0, 9, 1)}, draw)


def test_it_is_told_and_goes_when_it_is_mended():
    shown = breaking_at(3)
    shown.controls["x"].value = 3
    text = every_text(shown)
    assert "ZeroDivisionError: no &lt;picture&gt; for 3.0" in text and "x is 0" in text  # and what was there before
    assert "<details><summary>traceback</summary>" in text and "in draw" in text
    shown.controls["x"].value = 4
    text = every_text(shown)
    assert "x is 4.0" in text and "ZeroDivisionError" not in text and "traceback" not in text


def test_two_errors_are_told_one_at_a_time():
    def draw(x: float) -> View:
        raise ValueError(f"number {x}") if x else ValueError

    shown = Panel("A panel", {"x": panel.slider("x", 1, 0, 9, 1)}, lambda x: View("fine"))
    shown._draw = draw
    for x in (2, 3, 0):
        shown.set(x=x)
    text = every_text(shown)
    assert text.count('class="w2s-trouble"') == 1 and "number 2" not in text and "number 3" not in text


def test_a_panel_that_cannot_be_made_still_raises():
    with pytest.raises(ZeroDivisionError):
        breaking_at(0)


@given(st.text())
def test_any_words_of_an_error_are_shown(words):
    shown = breaking_at(3, ValueError(words))
    shown.controls["x"].value = 3
    every_text(shown).encode()
    assert "ValueError" in every_text(shown)


class Unprintable(Exception):
    def __str__(self) -> str:
        raise RuntimeError("not even that")


def test_an_error_that_has_no_words_is_told_too():
    shown = breaking_at(3, Unprintable())
    shown.controls["x"].value = 3
    assert "Unprintable" in every_text(shown)


def test_controls_that_move_in_two_threads_take_turns():
    now, most = [], []

    def draw(x: float, y: float) -> View:
        now.append(x)
        most.append(len(now))
        time.sleep(0.05)
        now.pop()
        return View(f"{x:g} and {y:g}")

    shown = Panel("A panel", {name: panel.slider(name, 0, 0, 9, 1) for name in "xy"}, draw)
    movers = [threading.Thread(target=lambda name=name: shown.set(**{name: 5})) for name in "xy"]
    for mover in movers:
        mover.start()
    for mover in movers:
        mover.join(10)
    assert max(most) == 1 and len(most) == 3 and shown.view.says == "5 and 5"


# -- of every kind of widget -------------------------------------------------------------------------------------------


def fail(*arguments: object, **options: object) -> None:
    raise ZeroDivisionError("on purpose")


def test_questions_and_guesses(monkeypatch):
    question = next(q for q in room.quiz("00").questions if q.question["kind"] == "one")
    monkeypatch.setattr("w2s_lab.classroom.quizzes._said", fail)
    question.choose("A").button.click()
    assert "on purpose" in every_text(question)
    monkeypatch.undo()
    question.button.click()
    assert ("on purpose" not in every_text(question) and "Right" in every_text(question)) or "Not yet" in every_text(
        question
    )

    guess = room.predict("t", "Which?", ["up", "down"])
    monkeypatch.setattr(guess, "_words", fail)
    guess.menu.value = "up"
    assert "on purpose" in every_text(guess)


def test_verdicts(monkeypatch):
    exercise = EXERCISES["gap_recovered"]
    shown = checks.VerdictView(exercise, checks.judge(exercise, exercise.answer))
    monkeypatch.setattr(checks, "known", fail)
    shown._hint.click()
    assert "on purpose" in every_text(shown) and "Right" in every_text(shown)


def test_worlds_keep_the_traceback_of_what_could_not_be_made():
    both = Worlds(breaking_at(3), fail)
    both.switch.value = "real English"
    assert "on purpose" in every_text(both) and "traceback" in every_text(both)
    assert both.shown is both.pocket and both.switch.value == "pocket world"


def test_live_training(llama, closed_set):
    class Broken:
        """Not a labelled set: the thread fails at its first line."""

        source = "nowhere"

        def __len__(self) -> int:
            return 8

    live = room.live_training(llama, closed_set, Recipe(epochs=1, batch_size=8), watch=closed_set.take(range(4)))
    live.buttons["Start"].click()  # without an event loop
    assert "no running event loop" in every_text(live)

    async def run() -> None:
        live.labelled = {"weak labels": Broken()}
        live.buttons["Start"].click()
        await asyncio.wait_for(live.task, 60)
        assert live.state == "failed" and live.error is not None
        text = every_text(live)
        assert type(live.error).__name__ in text and "traceback" in text and "_train" in text
        live.labelled = {"weak labels": closed_set.take(range(8))}
        live.buttons["Start"].click()
        await asyncio.wait_for(live.task, 60)
        assert live.state == "finished" and "traceback" not in every_text(live)

    asyncio.run(run())


@pytest.mark.parametrize("end", [SystemExit(3), KeyboardInterrupt()])
def test_a_thread_that_wants_to_leave_is_told_too(end, llama, closed_set):
    live = room.live_training(llama, closed_set, Recipe(epochs=1, batch_size=8), watch=closed_set.take(range(4)))

    def leave(*arguments: object, **options: object) -> None:
        raise end

    live.start_model = type("Model", (), {"copy": leave})()

    async def run() -> None:
        live.start()
        await asyncio.wait_for(live.task, 60)

    asyncio.run(run())
    assert live.state == "failed" and type(end).__name__ in every_text(live)


def test_a_picture_that_fails_while_a_training_runs_does_not_end_it(llama, closed_set, monkeypatch):
    live = room.live_training(llama, closed_set, Recipe(epochs=1, batch_size=8), watch=closed_set.take(range(4)))

    async def run() -> None:
        live.start()
        monkeypatch.setattr(live, "_draw", fail)
        await asyncio.wait_for(live.task, 60)

    asyncio.run(run())
    assert live.state == "finished" and "on purpose" in every_text(live)
    monkeypatch.undo()
    live.refresh()
    assert "Finished" in every_text(live) and "on purpose" not in every_text(live)


def test_every_callback_is_guarded():
    """Of a widget: what `observe` and `on_click` are given comes from `panel.guarded`."""
    found = 0
    for path in sorted((ROOT / "w2s_lab" / "classroom").rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if not (isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute)):
                continue
            if node.func.attr in ("observe", "on_click", "on_submit", "on_msg"):
                act = node.args[0]
                assert isinstance(act, ast.Call) and getattr(act.func, "id", "") == "guarded", f"{path}:{node.lineno}"
                found += 1
    assert found >= 12
