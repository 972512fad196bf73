"""Live training: buttons obey, curves grow, errors are said in words; no clock decides anything here."""

import asyncio
from collections.abc import Callable
from dataclasses import replace

import pytest
import torch
from pictures import stored

from w2s_lab import classroom as room
from w2s_lab.classroom import live_training as front_door
from w2s_lab.classroom.dashboards.live_training import LiveTraining, live_training
from w2s_lab.classroom.demos.screens import picture_at
from w2s_lab.objective import SoftTargets
from w2s_lab.recipe import Recipe
from w2s_lab.training.evaluation import evaluate
from w2s_lab.training.labelling import weak_labels
from w2s_lab.training.loop import train

RECIPE = Recipe(epochs=2, batch_size=8, learning_rate=1e-3, eval_every=2)
LONG = replace(RECIPE, epochs=12)


async def until(condition: Callable[[], bool]) -> None:
    """Wait for it, without blocking the event loop; a test that hangs is ended by `with_limit`."""
    while not condition():
        await asyncio.sleep(0.005)


def with_limit(coroutine) -> None:
    asyncio.run(asyncio.wait_for(coroutine, 120))


@pytest.fixture
def panel(llama, closed_set) -> LiveTraining:
    return live_training(
        llama, closed_set, RECIPE, watch=closed_set, reference=weak_labels(llama, closed_set), weak=0.4, ceiling=0.9
    )


def press(panel: LiveTraining, name: str) -> None:
    assert not panel.buttons[name].disabled, name
    panel.buttons[name].click()


def lines(panel: LiveTraining) -> dict[str, int]:
    """Label -> number of points, of the upper chart."""
    return {series.name: len(series.x) for series in panel.view.charts[0].series}


def test_it_trains_to_what_train_gives(panel, llama, closed_set):
    async def run():
        press(panel, "Start")
        assert panel.buttons["Start"].disabled and not panel.buttons["Stop"].disabled
        await panel.task

    with_limit(run())
    wanted = train(llama, closed_set, RECIPE, watch=closed_set)
    assert panel.state == "finished" and panel.done == panel.steps == 12
    assert [one.step for one in panel.history] == [one.step for one in wanted.history] == [0, 2, 4, 6, 8, 10, 12]
    assert panel.model.digest == wanted.digest and panel.model.history == panel.history
    assert panel.history[-1].train_loss == pytest.approx(wanted.history[-1].train_loss, rel=1e-4)
    assert panel.history[-1].evaluation.accuracy == pytest.approx(wanted.history[-1].evaluation.accuracy, abs=0.03)
    assert lines(panel) == {"accuracy (against truth)": 7, "agreement (with the weak supervisor)": 7}
    assert len(panel.view.charts[1].series[0].x) == 6  # there is no loss before the first step
    last = panel.history[-1].evaluation
    assert f"accuracy {last.accuracy:.3f}, agreement {last.agreement:.3f}" in panel.summary
    assert not panel.buttons["Start"].disabled and panel.buttons["Stop"].disabled
    assert "step 12 of 12" in panel._bar.value and "left" not in panel._bar.value


@pytest.mark.slow
def test_curves_grow_while_it_runs_and_the_sliders_stay_free(panel):
    async def run():
        panel.set(epochs=12, learning_rate=1e-4)
        press(panel, "Start")
        sizes, moved = set(), 0
        while panel.state == "running":
            sizes.add(len(panel.view.charts[0].series[0].x) if panel.view.charts[0].series else 0)
            panel.set(epochs=(1, 2)[moved % 2])  # for the next run; this one is not touched
            moved += 1
            await asyncio.sleep(0.005)
        assert panel.steps == 72 and panel.done == 72
        assert moved > 2 and len(sizes) > 1

    with_limit(run())


@pytest.mark.slow
def test_pause_holds_the_steps_and_goes_on(panel):
    async def run():
        panel.set(epochs=12)
        press(panel, "Start")
        await until(lambda: panel.done >= 3)
        press(panel, "Pause")
        assert panel.state == "paused" and panel.buttons["Pause"].description == "Go on"
        asked = panel.done
        await asyncio.sleep(0.5)
        assert panel.done <= asked + 1 < panel.steps  # at most the step that was under way
        await until(lambda: f"Paused at step {panel.done} of 72" in panel.view.says)
        press(panel, "Pause")
        assert panel.state == "running" and panel.buttons["Pause"].description == "Pause"
        await panel.task
        assert panel.state == "finished" and panel.done == 72 and panel.history[-1].step == 72

    with_limit(run())


@pytest.mark.parametrize("paused", [False, True])
def test_stop_obeys_and_keeps_the_model_of_the_last_snapshot(panel, llama, closed_set, paused):
    before = {name: value.clone() for name, value in llama.network.state_dict().items()}

    async def run():
        panel.set(epochs=12)
        press(panel, "Start")
        await until(lambda: panel.done >= 5)
        if paused:
            press(panel, "Pause")
            await asyncio.sleep(0.05)
        press(panel, "Stop")
        asked = panel.done
        await panel.task
        assert panel.done <= asked + 1  # the step that was under way

    with_limit(run())
    assert panel.state == "stopped" and 0 < panel.history[-1].step <= panel.done < panel.steps
    again = evaluate(panel.model, closed_set)
    assert torch.allclose(
        torch.tensor(again.probs), torch.tensor(panel.history[-1].evaluation.probs), rtol=1e-4, atol=1e-6
    )
    assert panel.model.history == panel.history
    assert all(torch.equal(value, before[name]) for name, value in llama.network.state_dict().items())
    assert panel.model.digest not in (llama.digest, train(llama, closed_set, LONG).digest)


def test_stop_may_be_followed_by_start(panel):
    async def run():
        panel.set(epochs=12)
        press(panel, "Start")
        await until(lambda: len(panel.history) >= 3)
        press(panel, "Stop")
        await panel.task
        first = panel.history
        panel.set(epochs=1)
        press(panel, "Start")
        await panel.task
        assert panel.state == "finished" and panel.steps == 6
        assert panel.before == first and panel.history[0].step == 0
        assert [series.faint for series in panel.view.charts[0].series] == [True, True, False, False]
        assert "Pale: the run before" in panel.view.says

    with_limit(run())


def test_an_error_is_said_in_words_and_the_buttons_stay_usable(llama, closed_set):
    recipe = replace(RECIPE, loss=SoftTargets())  # needs probabilities, which the truth has not
    labels = {"truth": closed_set, "weak labels": weak_labels(llama, closed_set)}
    panel = live_training(llama, labels, recipe, watch=closed_set)

    async def run():
        press(panel, "Start")
        await panel.task
        assert panel.state == "failed" and panel.model is None
        assert "SoftTargets needs the supervisor's probabilities" in panel.view.says
        assert panel.buttons["Stop"].disabled
        panel.set(labels="weak labels")
        press(panel, "Start")
        await panel.task
        assert panel.state == "finished" and panel.error is None

    with_limit(run())


def test_a_loss_that_explodes_is_said_too(panel, llama):
    broken = llama.copy()
    with torch.no_grad():
        next(iter(broken.network.parameters())).fill_(float("nan"))
    panel.start_model = broken

    async def run():
        press(panel, "Start")
        await panel.task

    with_limit(run())
    assert panel.state == "failed" and "NonFiniteLoss" in panel.view.says and not panel.buttons["Start"].disabled
    assert len(panel.history) == 1  # what was seen before it


def test_updates_are_at_least_a_rest_apart(panel, monkeypatch):
    """Between two updates of the screen by the task lies one sleep of a twentieth of a second."""
    told, sleep = [], asyncio.sleep
    update = panel._update
    monkeypatch.setattr(panel, "_update", lambda **options: (told.append("update"), update(**options)))

    async def rest(seconds):
        told.append(seconds)
        await sleep(0)

    async def run():
        panel.start()
        with monkeypatch.context() as patch:
            patch.setattr(asyncio, "sleep", rest)
            await panel.task

    with_limit(run())
    assert told[:1] == ["update"] and len(told) > 2
    assert told[1::2] == ["update"] * (len(told) // 2) and set(told[2::2]) == {1 / 20}


def test_a_task_that_is_cancelled_ends_the_thread(panel):
    async def run():
        panel.set(epochs=12)
        panel.start()
        await until(lambda: panel.done >= 1)
        panel.pause()
        panel.task.cancel()

    with_limit(run())
    assert panel.state == "stopped" and panel._halt.is_set() and panel._go.is_set()


def test_outside_an_event_loop_it_says_so(panel):
    with pytest.raises(RuntimeError, match="no running event loop"):
        panel.start()
    assert panel.state == "ready" and not panel.buttons["Start"].disabled


def test_the_stored_notebook_shows_the_example(llama, closed_set):
    history = train(llama, closed_set, RECIPE, watch=closed_set).history
    panel = live_training(llama, closed_set, RECIPE, watch=closed_set, example=history)
    bundle = stored(panel)
    assert "application/vnd.jupyter.widget-view+json" in bundle
    assert f"accuracy {history[-1].evaluation.accuracy:.3f}" in bundle["text/plain"]
    assert "A recorded example" in bundle["text/plain"] and "Press Start to train for 2 epochs" in bundle["text/plain"]
    assert (
        "Press Start to train for 1 epoch at a learning rate of 1e-3."
        in panel.set(epochs=1, learning_rate=1e-3).view.says
    )
    assert panel.view.charts[0].svg().count("<circle") >= len(history)


def test_nothing_to_learn_from(llama, closed_set):
    with pytest.raises(ValueError, match="no set to learn from"):
        live_training(llama, {}, RECIPE, watch=closed_set)
    assert front_door is live_training


def test_a_demo_page_starts_it_by_its_button_and_follows_it(panel):
    async def run():
        demo = room.demo(panel, room.reveal("Watch."))
        found = picture_at(demo, {}, "Start")
        assert found["busy"] and found["buttons"][0]["disabled"] and not found["buttons"][2]["disabled"]
        while found["busy"]:
            await asyncio.sleep(0.005)
            found = picture_at(demo, {})
        assert found["says"].startswith("Finished after 12 steps.") and not found["buttons"][0]["disabled"]

    with_limit(run())
