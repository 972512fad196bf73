"""The race: students in turns, buttons that obey, errors in words; no clock decides anything here."""

import threading
import time

import pytest

from w2s_lab import classroom as room
from w2s_lab.classroom.dashboards import race as module
from w2s_lab.classroom.dashboards.race import Race
from w2s_lab.records import Evaluation, Snapshot, Task

TASK = Task("t", ("no", "yes"))


def snapshot(step, right):
    """Of a student that is right on so many of four examples."""
    said = ("yes",) * right + ("no",) * (4 - right)
    return Snapshot(step, step, None, Evaluation(TASK, tuple("abcd"), said, ("yes",) * 4))


def wait(condition):
    end = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < end, "it did not happen"
        time.sleep(0.002)


@pytest.fixture
def order():
    """Steps in the order in which they were taken: (role, step)."""
    return []


@pytest.fixture
def gate():
    """While it is closed, no student takes a further step: a race that is under way stays so."""
    opened = threading.Event()
    opened.set()
    return opened


@pytest.fixture
def race(order, gate):
    def lane(step, name, right):
        yield snapshot(0, 1)
        for number in range(1, 4):
            gate.wait(60)
            order.append((name, number))
            step(name, number)
            yield snapshot(number, right)

    made = Race(lambda step: {name: lane(step, name, right) for name, right in (("student", 2), ("random", 4))},
                steps=3, level=0.5)  # fmt: skip
    yield made
    made.close()


def curves(race):
    race.refresh()
    return {series.style.name: list(series.y) for series in race.view.charts[0].series}


def test_nobody_moves_before_the_start_and_both_move_in_turns(race, order):
    wait(lambda: order)
    time.sleep(0.05)
    assert race.state == "ready" and len(order) == 1 and race.view.says.startswith("Press Start.")
    assert race.buttons["Anew"].disabled
    race.start()
    race.thread.join(60)
    assert order == [("student", 1), ("random", 1), ("student", 2), ("random", 2), ("student", 3), ("random", 3)]
    assert race.state == "finished" and race.done == {"student": 3, "random": 3}
    assert [y for y in curves(race).values()] == [[0.25, 0.5, 0.5, 0.5], [0.25, 1.0, 1.0, 1.0]]
    assert race.view.says.startswith("At the end.") and "0.500 at step 3" in race.view.says


def test_it_stops_within_a_step_and_goes_on(race, order, gate):
    gate.clear()
    race.start()
    assert race.busy and race.buttons["Start"].description == "Stop"
    race.start()
    gate.set()
    wait(lambda: order)
    held = len(order)
    time.sleep(0.05)
    assert race.state == "stopped" and len(order) <= held + 1
    assert not race.busy and race.buttons["Start"].description == "Go on"
    race.start()
    race.thread.join(60)
    assert race.state == "finished" and len(order) == 6


def test_anew_forgets_the_race_and_ends_its_thread(race, order, gate):
    race.start()
    race.thread.join(60)
    old = race.thread
    gate.clear()
    race.start()  # after the end: anew
    assert race.thread is not old and race.busy
    gate.set()
    race.thread.join(60)
    assert race.state == "finished" and len(order) == 12
    race.anew()
    assert race.state == "ready" and race.done["random"] == 0
    running = race.thread
    race.close()
    running.join(60)
    assert not running.is_alive()


def test_a_race_that_is_stopped_in_its_last_step_waits_with_its_end():
    """Who presses Go on wants to see the end, and not another race."""
    last, held = threading.Event(), threading.Event()

    def lane(step, name):
        yield snapshot(0, 1)
        step(name, 1)
        if name == "random":
            last.set()
            held.wait(60)
        yield snapshot(1, 3)

    race = Race(lambda step: {name: lane(step, name) for name in ("student", "random")}, steps=1, level=0.5)
    race.start()
    assert last.wait(60)
    race.start()
    held.set()
    wait(lambda: len(race.history["random"]) == 2)
    time.sleep(0.05)
    own = race.thread
    assert race.state == "stopped" and own.is_alive()
    race.start()
    own.join(60)
    assert race.thread is own and race.state == "finished" and race.done == {"student": 1, "random": 1}


def test_what_goes_wrong_is_said_and_can_be_tried_again():
    tries = []

    def lanes(step):
        tries.append(step)
        raise ValueError("no such model")

    race = Race(lanes, steps=3, level=0.5)
    race.thread.join(60)
    race.refresh()
    assert race.state == "failed" and "ValueError: no such model" in race.view.says
    race.start()
    race.thread.join(60)
    assert len(tries) == 2 and not [one for one in threading.enumerate() if one.name == "race"]


@pytest.mark.slow
def test_the_pocket_race_trains_both_students_from_the_same_model_on_as_many_errors(monkeypatch):
    monkeypatch.setattr(module, "WATCHED", 20)
    monkeypatch.setattr(module, "EVERY", 1)
    from w2s_lab.training import loop

    seen, steps = {}, loop.training_steps

    def spied(model, labelled, recipe, **options):
        seen[labelled.source] = (model, model.digest), labelled, recipe
        return steps(model, labelled, recipe, **options)

    monkeypatch.setattr(loop, "training_steps", spied)
    race = room.race()
    race.start()
    wait(lambda: all(len(one) > 2 for one in race.history.values()) or race.state == "failed")
    race.close()
    race.thread.join(60)
    assert race.error is None
    ((first, digest), weak, _), ((second, other_digest), random, recipe) = seen.values()
    assert weak.label_accuracy == random.label_accuracy and weak.ids == random.ids and weak.answers != random.answers
    assert digest == other_digest and first.network is not second.network
    assert race.steps == recipe.steps(len(weak))[0]
    student, other = race.history.values()
    assert student[0].evaluation.predictions == other[0].evaluation.predictions  # the same model at the start
