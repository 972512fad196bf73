"""A forecast adds up what a run does, and a run that follows it ends exactly at its total."""

from dataclasses import astuple, replace

import pytest
import torch

from w2s_lab.data.sources import SplitSizes, load_splits, read_examples
from w2s_lab.experiments.procedure import Plan, weak_to_strong
from w2s_lab.experiments.store import Store
from w2s_lab.models.loading import load_model
from w2s_lab.objective import AuxiliaryConfidence, SoftTargets
from w2s_lab.planning import forecast as module
from w2s_lab.planning.forecast import (
    ANSWERED,
    Course,
    Pace,
    Part,
    forecast,
    guessed_pace,
    measured_pace,
    parts_of_seed,
    quick_enough,
    seconds_of,
    still_to_do,
)
from w2s_lab.recipe import LoRA, Recipe

SIZES = SplitSizes(supervisor_train=24, student_train=24, test=12, validation=4)
PLAN = Plan(
    weak="pocket-xs",
    strong="pocket-s",
    weak_recipe=Recipe(epochs=1, batch_size=8),
    recipe=Recipe(epochs=2, batch_size=8, learning_rate=1e-4, eval_every=2),
    device="cpu",
)
PACE = Pace(step=2.0, row=0.1, keep=3.0)


@pytest.fixture(scope="module")
def splits():
    return load_splits("sentiment", seed=0, sizes=SIZES)


# -- arithmetic ------------------------------------------------------------------------------------------------------


def test_a_training_with_its_evaluations_by_hand():
    part = Part("strong student", PACE, steps=4, grid=3, rows=10)
    assert part.seconds == 4 * 2 + (1 + 2) * 10 * 0.1 + 3  # evaluated at steps 0, 3 and 4
    assert part.after(0, 5) == pytest.approx(0.5)
    assert part.after(1, 0) == part.after(0, 10) + 2
    assert part.after(3, 10) == part.after(4, 0) - 2 == pytest.approx(3 * 2 + 2)
    assert part.after(4, 10) == part.seconds - 3  # what is left is to write it
    assert Part("strong student", PACE, steps=4).seconds == 4 * 2 + 3  # nobody watches


def test_long_trainings_also_write_checkpoints():
    assert Part("x", replace(PACE, keep=0), steps=100).seconds == pytest.approx(100 * 2 * 1.05)


def test_labels_by_hand():
    part = Part("weak labels", PACE, rows=30)
    assert (part.seconds, part.after(0, 10), part.after(0, 99)) == (pytest.approx(3), pytest.approx(1), part.seconds)


def test_the_parts_are_those_of_the_procedure():
    found = parts_of_seed(PLAN, SIZES, PACE)
    assert [(part.role, part.steps, part.rows) for part in found] == [
        ("weak supervisor", 3, 0), ("weak labels", 0, 24), ("weak labels", 0, 16),
        ("strong student", 6, 16), ("strong ceiling", 6, 0), ("strong ceiling", 0, 12),
    ]  # fmt: skip
    assert found[3].grid == 2 and found[3].pace == PACE and found[0].pace.step < PACE.step
    adapted = parts_of_seed(replace(PLAN, adapt=Recipe(epochs=2, batch_size=10)), SIZES, PACE, inputs=45)
    assert [(part.role, part.steps) for part in adapted[:3]] == [("adapted to the inputs", 10)] * 2 + [
        ("weak supervisor", 3)
    ]
    without = parts_of_seed(replace(PLAN, weak="bag-of-words:24"), SIZES, PACE)
    assert [part.role for part in without] == ["strong student", "strong ceiling", "strong ceiling"]


def test_a_slow_machine_gets_fewer_examples():
    sizes = SplitSizes(1500, 480, 300, 100)
    for step, expected in ((0.5, 480), (2.2, 360), (3.0, 240), (60, 240)):
        plan = replace(PLAN, weak="bag-of-words", recipe=Recipe(epochs=1, batch_size=8, eval_every=20))
        found = quick_enough(plan, sizes, Pace(step, 0.02, 0))
        assert astuple(found) == (1500, expected, 300, 100)
        if step < 60:
            assert seconds_of(parts_of_seed(plan, found, Pace(step, 0.02, 0))) <= 300


# -- measured --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "recipe",
    [PLAN.recipe, replace(PLAN.recipe, loss=SoftTargets()), replace(PLAN.recipe, loss=AuxiliaryConfidence()),
     replace(PLAN.recipe, lora=LoRA(rank=2))],
)  # fmt: skip
def test_a_measurement_counts_and_leaves_the_model_alone(recipe, splits):
    model, ticks = load_model("pocket-s", device="cpu"), iter([10.0, 11.0, 14.0, 20.0, 20.0 + 3 * 24])
    before = {name: value.clone() for name, value in model.network.state_dict().items()}
    found = measured_pace(model, splits.student_train, recipe, device="cpu", loading=4, clock=lambda: next(ticks))
    assert len(splits.student_train) < ANSWERED
    assert found == Pace(step=2.0, row=3.0, keep=8, measured=True)  # the first step is a warm-up
    after = model.network.state_dict()
    assert after.keys() == before.keys() and all(torch.equal(before[name], after[name]) for name in before)
    assert all(parameter.grad is None for parameter in model.network.parameters())


def test_a_guess_grows_with_the_model():
    small, large = guessed_pace(10**6, 32), guessed_pace(10**8, 32)
    assert small.step < large.step and small.row < large.row and not large.measured


# -- how far it has come -----------------------------------------------------------------------------------------------


def follow(course: Course, store: Store, splits, seed: int, seen: list) -> None:
    """Run the procedure, and look at the course at every report."""

    def report(method):
        def call(role: str, done: int, of: int) -> None:
            method(seed, role, done, of)
            seen.append((course.done, course.skipped, role))

        return call

    weak_to_strong(splits, PLAN, store, seed=seed, on_step=report(course.on_step), on_rows=report(course.on_rows))


def test_a_run_never_goes_back_and_ends_at_the_total(splits, tmp_path):
    course, seen = Course([parts_of_seed(PLAN, SIZES, PACE)] * 2), []
    for seed in (0, 1):
        follow(course, Store(tmp_path), splits, seed, seen)
    done = [one for one, _, _ in seen]
    assert done == sorted(done) and done[0] > 0 and done[-1] == pytest.approx(course.total)
    assert course.skipped == 0
    assert [role for _, _, role in seen[:4]] == ["weak supervisor"] * 3 + ["weak labels"]
    assert seen[5][2] == "strong student"  # the untrained student's answers come before its first step
    course.end()
    assert course.done == course.total and course.skipped == 0


def test_what_is_stored_is_skipped(splits, tmp_path):
    store, seen = Store(tmp_path), []
    follow(Course([parts_of_seed(PLAN, SIZES, PACE)]), store, splits, 0, [])
    course = Course([parts_of_seed(PLAN, SIZES, PACE)] * 2)
    follow(course, store, splits, 0, seen)
    assert not seen and course.done == 0
    follow(course, store, splits, 1, seen)
    assert seen[0][0] > seen[0][1] == pytest.approx(course.total / 2)
    assert seen[-1][0] == pytest.approx(course.total) and seen[-1][1] == pytest.approx(course.total / 2)
    everything = Course([parts_of_seed(PLAN, SIZES, PACE)])
    everything.end()
    assert everything.done == everything.skipped == everything.total


def test_a_stopped_training_begins_where_it_was():
    course = Course([parts_of_seed(PLAN, SIZES, PACE)])
    course.on_step(0, "strong student", 5, 6)
    before = sum(part.seconds for part in parts_of_seed(PLAN, SIZES, PACE)[:3])
    student = parts_of_seed(PLAN, SIZES, PACE)[3]
    assert course.done == pytest.approx(before + student.after(5, 0))
    assert course.skipped == pytest.approx(before + student.after(4, 0))


def test_reports_that_belong_to_no_part_change_nothing():
    course = Course([parts_of_seed(PLAN, SIZES, PACE)])
    course.on_step(0, "somebody else", 1, 6)
    course.on_step(1, "strong student", 1, 6)
    course.on_rows(0, "weak labels", 1, 99)
    assert course.done == course.skipped == 0


# -- what the store holds ----------------------------------------------------------------------------------------------


def test_what_is_still_to_do(splits, tmp_path, monkeypatch):
    store, todo = Store(tmp_path), parts_of_seed(PLAN, SIZES, PACE)
    assert still_to_do(todo, splits, PLAN, store, seed=0) == list(range(6)) and not list(tmp_path.iterdir())
    real = Store.train

    def stop_at_the_ceiling(self, *args, role, **options):
        if role == "strong ceiling":
            raise KeyboardInterrupt
        return real(self, *args, role=role, **options)

    monkeypatch.setattr(Store, "train", stop_at_the_ceiling)
    with pytest.raises(KeyboardInterrupt):
        weak_to_strong(splits, PLAN, store, seed=0)
    monkeypatch.setattr(Store, "train", real)
    assert still_to_do(todo, splits, PLAN, store, seed=0) == [4, 5]
    weak_to_strong(splits, PLAN, store, seed=0)
    monkeypatch.setattr(module, "training_steps", lambda *args, **options: pytest.fail("trained"))
    assert still_to_do(todo, splits, PLAN, store, seed=0) == []
    assert still_to_do(todo, splits, PLAN, store, seed=1) == list(range(6))


# -- the whole forecast ------------------------------------------------------------------------------------------------


@pytest.fixture
def paces(monkeypatch) -> list[Pace]:
    """The paces that measurements will find, one after the other."""
    found = []
    monkeypatch.setattr(module, "measured_pace", lambda *args, **options: found.pop(0))
    return found


def predict(store: Store, **options) -> module.Forecast:
    task, examples, _ = read_examples("sentiment")
    plan = replace(PLAN, recipe=Recipe(epochs=1, batch_size=8, learning_rate=5e-5, eval_every=20))
    options = {
        "seeds": 3,
        "strong": load_model("pocket-s", device="cpu"),
        "sizes": SplitSizes(32, 480, 20, 4),
    } | options
    return forecast(plan, options.pop("sizes"), (task, examples), store, **options)


def test_it_is_said_in_one_line(tmp_path, paces):
    paces.append(Pace(1.2, 0.035, 0, measured=True))
    found = predict(Store(tmp_path))
    assert found.sizes.student_train == 480 and found.measured and found.course.total > 3 * 2 * 60 * 1.2
    minutes = f"{round(found.course.total / 30) / 2:g}"
    assert found.text == (
        "pocket-s, 0 M parameters: full fine-tuning, 480 labels once, batches of 8, rate 5e-5; measured here 1.2 s a "
        f"step and 35 ms a test example: about {minutes} minutes for 3 seeds (--sizes 32,480,20,4 fixes these numbers)"
    )


@pytest.mark.parametrize(
    ("seconds", "said"),
    [(0.0021, "2.1 ms"), (0.099, "99 ms"), (0.0999, "0.1 s"), (1.234, "1.2 s"), (9.96, "10 s"), (183, "183 s")],
)
def test_seconds_in_words(seconds, said):
    assert module._seconds(seconds) == said


def test_the_choice_is_kept(tmp_path, paces):
    paces += [Pace(3, 0.02, 0, measured=True), Pace(0.1, 0.02, 0, measured=True)]
    first, again = predict(Store(tmp_path)), predict(Store(tmp_path))  # the second time the machine is idle
    assert first.sizes == again.sizes == SplitSizes(32, 240, 20, 4) and not paces
    assert "more than 240 labels would take too long here" in first.text and "240 labels once" in first.text


def test_sizes_that_the_user_gave_stay(tmp_path, paces):
    paces.append(Pace(100, 1, 0, measured=True))
    found = predict(Store(tmp_path), fixed=True, seeds=1)
    assert found.sizes.student_train == 480 and "--sizes" not in found.text and "for 1 seed" in found.text
    assert not (tmp_path / "choices").exists()


def test_a_small_model_is_not_measured(tmp_path, paces):
    found = predict(Store(tmp_path), strong=None)
    assert found.text is None and not found.measured and found.course.total > 0 and not list(tmp_path.iterdir())
