"""The procedure from splits to numbers: who learns what, who is scored on what, and what is printed."""

import json
from collections import Counter
from dataclasses import astuple, replace
from itertools import cycle, islice

import numpy as np
import pytest
import torch
from scipy import stats

from w2s_lab.data.sources import SplitSizes, builtin_tasks, load_splits
from w2s_lab.experiments import report
from w2s_lab.experiments import store as store_module
from w2s_lab.experiments.procedure import Bench, Outcome, Plan, weak_to_strong
from w2s_lab.experiments.report import ROLES, summarise, table
from w2s_lab.experiments.store import Store
from w2s_lab.methods.simulated import random_errors
from w2s_lab.models.loading import load_model
from w2s_lab.objective import AuxiliaryConfidence, MaximumLikelihood, NextToken, SoftTargets
from w2s_lab.recipe import Recipe
from w2s_lab.records import GROUND_TRUTH, Comparison, Evaluation, Snapshot, Task
from w2s_lab.studies import mechanism, study
from w2s_lab.training.labelling import weak_labels
from w2s_lab.training.loop import train

SIZES = SplitSizes(supervisor_train=48, student_train=40, test=30, validation=12)
PLAN = Plan(
    weak="pocket-s",
    strong="pocket-s",
    weak_recipe=Recipe(epochs=1, learning_rate=5e-4),
    recipe=Recipe(epochs=2, batch_size=16, learning_rate=3e-4, eval_every=2),
    device="cpu",
)


class WatchedStore(Store):
    """Remembers who was trained on what."""

    def __init__(self, root) -> None:
        super().__init__(root)
        self.trained = {}

    def train(self, start, labelled, recipe, *, role, **options):
        model = super().train(start, labelled, recipe, role=role, **options)
        self.trained[role] = (start, labelled, recipe, options, model)
        return model


@pytest.fixture(scope="module")
def splits():
    return load_splits("sentiment", seed=3, sizes=SIZES)


@pytest.fixture(scope="module")
def run(splits, tmp_path_factory) -> tuple[WatchedStore, Outcome]:
    store = WatchedStore(tmp_path_factory.mktemp("runs"))
    return store, weak_to_strong(splits, PLAN, store, seed=3)


def same_labels(a, b) -> bool:
    return a.ids == b.ids and a.answers == b.answers


# -- who learns what -------------------------------------------------------------------------------------------------


def test_the_supervisor_learns_the_truth_of_its_own_half(run, splits):
    start, labelled, recipe, _, _ = run[0].trained["weak supervisor"]
    assert same_labels(labelled, splits.supervisor_train) and labelled.source == GROUND_TRUTH
    assert (start.name, recipe) == ("pocket-s", replace(PLAN.weak_recipe, seed=3))


def test_the_student_learns_weak_labels_and_not_the_truth(run, splits):
    supervisor = run[0].trained["weak supervisor"][-1]
    _, labelled, _, _, _ = run[0].trained["strong student"]
    expected = weak_labels(supervisor, splits.student_train)
    assert same_labels(labelled, expected) and np.array_equal(labelled.probs, expected.probs)
    assert labelled.answers != splits.student_train.answers
    assert run[1].label_accuracy == pytest.approx(
        np.mean([a == e.answer for a, e in zip(expected.answers, splits.student_train.examples, strict=True)])
    )


def test_the_ceiling_learns_the_truth_of_the_same_examples_in_the_same_way(run, splits):
    student, ceiling = run[0].trained["strong student"], run[0].trained["strong ceiling"]
    assert ceiling[1].answers == tuple(example.answer for example in splits.student_train.examples)
    assert ceiling[1].ids == student[1].ids == splits.student_train.ids
    assert ceiling[2] == student[2] == replace(PLAN.recipe, seed=3)
    assert ceiling[0].digest == student[0].digest


def test_the_student_is_what_plain_training_gives(run, splits):
    supervisor = train(load_model("pocket-s", device="cpu"), splits.supervisor_train, replace(PLAN.weak_recipe, seed=3))
    labels = weak_labels(supervisor, splits.student_train)
    student = train(load_model("pocket-s", device="cpu"), labels, replace(PLAN.recipe, seed=3))
    stored = run[0].trained["strong student"][-1]
    assert student.digest == stored.digest
    ours, theirs = student.network.state_dict(), stored.network.state_dict()
    assert all(torch.equal(ours[name], theirs[name]) for name in theirs)


def test_all_three_are_scored_on_the_test_set(run, splits):
    comparison = run[1].comparison
    supervisor, ceiling = (run[0].trained[role][-1] for role in ("weak supervisor", "strong ceiling"))
    student = run[0].trained["strong student"][-1]
    for name, model in (("weak", supervisor), ("student", student), ("ceiling", ceiling)):
        evaluation = getattr(comparison, name)
        labels = weak_labels(model, splits.test)
        assert evaluation.ids == splits.test.ids
        assert evaluation.predictions == labels.answers
        assert evaluation.truth == splits.test.answers
        assert evaluation.reference == comparison.weak.predictions
    assert comparison.weak.agreement == 1.0


def test_an_outcome_counts_what_each_learnt(run, splits):
    trained = run[0].trained
    assert run[1].learnt == {role: Counter(trained[role][1].answers) for role in ROLES}
    assert run[1].learnt["strong ceiling"] == splits.class_counts()["student_train"]


@pytest.mark.parametrize(
    ("weak", "number"), [("bag-of-words:20", 20), ("bag-of-words", 48), (lambda text: "negative", 0)]
)
def test_a_supervisor_that_is_no_language_model_learnt_what_it_was_given(weak, number, splits, tmp_path):
    bench = Bench(splits, replace(PLAN, weak=weak, recipe=replace(PLAN.recipe, epochs=1)), Store(tmp_path), seed=0)
    learnt = bench.student(bench.labels).learnt
    assert learnt.get("weak supervisor", {}) == Counter(splits.supervisor_train.answers[:number])
    assert learnt["strong student"] == Counter(bench.labels.answers)


def test_the_curves_are_of_test_and_validation(run, splits):
    outcome, student = run[1], run[0].trained["strong student"][-1]
    assert [s.step for s in outcome.curve] == [0, 2, 4, 6] and len(outcome.trusted_curve) == 4
    for snapshot, trusted, whole in zip(outcome.curve, outcome.trusted_curve, student.history, strict=True):
        assert snapshot.evaluation.ids == splits.test.ids
        assert whole.evaluation.ids == (*splits.test.ids, *splits.validation.ids)
        right = whole.evaluation.correct
        assert snapshot.evaluation.accuracy == pytest.approx(right[: SIZES.test].mean())
        assert trusted == pytest.approx(right[SIZES.test :].mean())
    untrained = weak_labels(load_model("pocket-s", device="cpu"), splits.validation)
    assert outcome.trusted_curve[0] == untrained.label_accuracy
    assert outcome.curve[-1].evaluation is outcome.comparison.student


@pytest.mark.slow
def test_it_is_deterministic(run, splits, tmp_path):
    again, first = weak_to_strong(splits, PLAN, Store(tmp_path), seed=3), run[1]
    from_store = weak_to_strong(splits, PLAN, Store(run[0].root), seed=3)
    for other in (again, from_store):
        for name in ("weak", "student", "ceiling"):
            ours, theirs = getattr(first.comparison, name), getattr(other.comparison, name)
            assert ours.predictions == theirs.predictions and np.array_equal(ours.probs, theirs.probs)
        assert other.trusted_curve == first.trusted_curve and other.label_accuracy == first.label_accuracy
        assert [s.train_loss for s in other.curve] == [s.train_loss for s in first.curve]
    other_seed = weak_to_strong(splits, PLAN, Store(tmp_path), seed=4)
    assert [s.train_loss for s in other_seed.curve] != [s.train_loss for s in first.curve]


def test_progress_names_the_role(splits, tmp_path):
    seen = []
    weak_to_strong(splits, PLAN, Store(tmp_path), seed=3, on_step=lambda *event: seen.append(event))
    assert [event for event in seen if event[1] == event[2]] == [
        ("weak supervisor", 2, 2),
        ("strong student", 6, 6),
        ("strong ceiling", 6, 6),
    ]
    assert len(seen) == 14


def test_every_answer_is_reported_under_its_role(splits, tmp_path):
    seen = []
    weak_to_strong(splits, PLAN, Store(tmp_path), seed=3, on_rows=lambda *event: seen.append(event))
    assert [event for event in seen if event[1] == event[2]] == [
        ("weak labels", 40, 40),
        ("weak labels", 42, 42),
        *[("strong student", 42, 42)] * 4,
        ("strong ceiling", 30, 30),
    ]


def test_the_untrained_model_answers_once_for_all_students(run, splits, tmp_path, monkeypatch):
    """Both histories are those of trainings that share nothing."""
    store, answered = Store(tmp_path), []
    bench = Bench(splits, PLAN, store, seed=3)
    labels = [bench.labels, random_errors(splits.student_train, 0.8, seed=0)]
    real = store_module.weak_labels
    monkeypatch.setattr(
        store_module,
        "weak_labels",
        lambda model, *args, **options: answered.append(model.digest) or real(model, *args, **options),
    )
    options = {"watch": bench.watch, "reference": bench.watched}
    for one in labels:
        shared = bench.train(bench.strong, one, PLAN.recipe, "student", **options)
        alone = train(bench.strong, one, replace(PLAN.recipe, seed=3), **options)
        for ours, theirs in zip(shared.history, alone.history, strict=True):
            assert ours.evaluation.predictions == theirs.evaluation.predictions
            assert np.array_equal(ours.evaluation.probs, theirs.evaluation.probs)
    assert answered == [bench.strong.digest]


def test_a_strong_model_that_is_loaded_already_is_not_loaded_again(run, splits, monkeypatch):
    strong, loaded = load_model(PLAN.strong, device="cpu"), []
    monkeypatch.setattr(
        "w2s_lab.experiments.procedure.load_model",
        lambda name, **options: loaded.append(name) or load_model(name, **options),
    )
    again = weak_to_strong(splits, PLAN, Store(run[0].root), seed=3, strong=strong)
    assert loaded == [PLAN.weak] and again.comparison.pgr == run[1].comparison.pgr


@pytest.mark.slow
@pytest.mark.parametrize("loss", [SoftTargets(temperature=0.5), AuxiliaryConfidence()])
def test_only_the_student_learns_with_the_supervisors_probabilities(loss, splits, tmp_path):
    store, plan = WatchedStore(tmp_path), replace(PLAN, recipe=replace(PLAN.recipe, loss=loss))
    bench = Bench(splits, plan, store, seed=0)
    bench.student(bench.labels)
    bench.student(random_errors(splits.student_train, 0.8, seed=0), role="student on random errors")
    assert store.trained["strong student"][2].loss == loss
    for role in ("strong ceiling", "student on random errors"):
        assert store.trained[role][2] == replace(PLAN.recipe, loss=MaximumLikelihood(), seed=0)


@pytest.mark.slow
def test_both_models_adapt_to_the_inputs_before_any_label(splits, tmp_path):
    seen = []

    class Listing(Store):
        def train(self, start, labelled, recipe, *, role, **options):
            model = super().train(start, labelled, recipe, role=role, **options)
            seen.append((role, start.digest, model.digest, labelled, recipe))
            return model

    plan = replace(PLAN, weak="pocket-xs", adapt=Recipe(epochs=1, learning_rate=1e-3))
    plain = [load_model(name, device="cpu").digest for name in (plan.strong, plan.weak)]
    weak_to_strong(splits, plan, Listing(tmp_path), seed=3)
    assert [role for role, *_ in seen] == [
        "adapted to the inputs", "adapted to the inputs", "weak supervisor", "strong student", "strong ceiling"
    ]  # fmt: skip
    strong, weak, supervisor, student, ceiling = seen
    assert [strong[1], weak[1]] == plain
    assert supervisor[1] == weak[2] and student[1] == ceiling[1] == strong[2] and strong[2] != plain[0]
    for _, _, _, labelled, recipe in (strong, weak):
        assert recipe == replace(plan.adapt, loss=NextToken(), seed=3)
        assert labelled.ids == (*splits.supervisor_train.ids, *splits.student_train.ids)
    assert plan.to_dict()["adapt"]["loss"] == {"name": "NextToken"} and "adapt" not in PLAN.to_dict()


def test_a_bench_takes_what_was_made(run, splits, monkeypatch):
    """Weak labels, ceiling and student of the whole procedure serve every method on the bench."""
    monkeypatch.setattr("w2s_lab.experiments.store.train", lambda *args, **options: pytest.fail("trained again"))
    store = Store(run[0].root)
    bench = Bench(splits, PLAN, store, seed=3)
    again = bench.student(bench.labels)
    assert again.comparison.student.predictions == run[1].comparison.student.predictions
    assert bench.reference.ids == splits.test.ids and bench.ceiling.accuracy == run[1].comparison.ceiling.accuracy
    assert len(store.asked) == 3 == len(set(store.asked))
    bench.student(bench.labels)
    assert len(store.asked) == 4 and len(set(store.asked)) == 3


def test_a_strong_model_that_is_not_there_is_said_before_any_training(splits, tmp_path):
    with pytest.raises(ValueError, match="pocket-none"):
        weak_to_strong(splits, replace(PLAN, strong="pocket-none"), Store(tmp_path), seed=0)
    assert list(tmp_path.iterdir()) == []


def test_the_control_differs_in_the_place_of_the_errors_only(run, splits):
    store, outcome = run
    labels = random_errors(splits.student_train, outcome.label_accuracy, seed=3)
    control = Bench(splits, PLAN, store, seed=3).student(labels, role="student on random errors")
    student, other = store.trained["strong student"], store.trained["student on random errors"]
    assert other[1].ids == student[1].ids and other[2] == student[2] and other[0].digest == student[0].digest
    assert control.label_accuracy == outcome.label_accuracy == other[1].label_accuracy
    assert other[1].answers not in (student[1].answers, splits.student_train.answers)
    for name in ("weak", "ceiling"):
        assert getattr(control.comparison, name).predictions == getattr(outcome.comparison, name).predictions
    assert control.comparison.student is control.curve[-1].evaluation


def test_without_validation_there_is_no_trusted_choice(tmp_path):
    splits = load_splits("sentiment", seed=0, sizes=replace(SIZES, validation=0))
    outcome = weak_to_strong(splits, PLAN, Store(tmp_path), seed=0)
    assert outcome.trusted_curve == (None,) * 4 and outcome.trusted_choice is None
    summary = summarise([outcome], validation_examples=0)
    assert summary.trusted is None and summary.trusted_pgr is None
    assert "oracle" in table(summary, "t") and "trusted" not in table(summary, "t")


def test_plans_and_sizes():
    assert Plan.for_task(Task("sentiment", ("x", "y"))) == Plan()
    for unknown in (Task("a", ("x", "y")), Task("a")):  # not latent in the documents of pre-training
        learnt = Plan.for_task(unknown)
        assert learnt.recipe.learning_rate > Plan().recipe.learning_rate
        assert learnt.weak_recipe.learning_rate > Plan().weak_recipe.learning_rate
    usual = [name for name, task in builtin_tasks().items() if Plan.for_task(task) == Plan()]
    assert usual == ["sentiment", "helpdesk", "helpdesk-v2"]  # whose answer is latent there


# -- numbers, by hand ------------------------------------------------------------------------------------------------

TASK = Task("letters", ("a", "b"))
TRUTH = ("a", "b", "b", "a", "a", "b", "a", "b", "b", "a")
TAGS = tuple(("even",) if i % 2 == 0 else ("odd", "rare") if i == 9 else ("odd",) for i in range(10))


def answers(right: str) -> tuple[str, ...]:
    """ "1101..." -> the answers that are right where there is a 1."""
    return tuple(truth if digit == "1" else "ab"[truth == "a"] for digit, truth in zip(right, cycle(TRUTH)))


def evaluation(right: str, weak: str, task: Task = TASK) -> Evaluation:
    n = len(right)
    ids, truth, tags = tuple(f"x{i}" for i in range(n)), answers("1" * n), tuple(islice(cycle(TAGS), n))
    return Evaluation(task, ids, answers(right), truth, answers(weak), tags=tags)


def outcome_of(
    seed: int, weak: str, students: list[str], ceiling: str, trusted: list[float], labels=0.7, times=1
) -> Outcome:
    """Ten test examples, `times` over."""
    weak, ceiling, students = weak * times, ceiling * times, [student * times for student in students]
    curve = tuple(
        Snapshot(step, step * 8, None if step == 0 else 0.5, evaluation(s, weak)) for step, s in enumerate(students)
    )
    comparison = Comparison(evaluation(weak, weak), curve[-1].evaluation, evaluation(ceiling, weak))
    return Outcome(seed, comparison, labels, curve, tuple(trusted))


def first(times: int = 1) -> Outcome:
    return outcome_of(
        0,
        times=times,
        weak="1111100000",  # .5
        students=["1111111111", "1111111100", "1111111100", "1111110000"],  # 1. (untrained), .8, .8, .6
        ceiling="1111111110",  # .9
        trusted=[1.0, 0.4, 0.6, 0.6],
    )


def second() -> Outcome:
    return outcome_of(
        1,
        weak="1111110000",  # .6
        students=["0000000000", "1111110001", "1111111110"],  # 0., .7, .9
        ceiling="1111111100",  # .8
        trusted=[0.0, 0.9, 0.5],
        labels=0.5,
    )


def undefined() -> Outcome:
    """The ceiling is not above the supervisor."""
    return outcome_of(2, "1111111100", ["1111111100", "1111111110"], "1111111100", [0.5, 0.5])


def test_the_best_and_the_trusted_snapshot():
    outcome = first()
    assert outcome.best.step == 1  # the first of the two that are equally good, and never the untrained model
    assert outcome.trusted_choice.step == 2
    assert outcome.pgr_at(outcome.best) == pytest.approx((0.8 - 0.5) / 0.4)
    assert outcome.comparison.pgr == outcome.pgr_at(outcome.curve[-1]) == pytest.approx(0.25)


def t_interval(a: float, b: float) -> tuple[float, float, float]:
    mean, half = (a + b) / 2, stats.t.ppf(0.975, 1) * abs(a - b) / 2
    return mean, mean - half, mean + half


def ends(interval) -> tuple[float, float, float]:
    return interval.mean, interval.low, interval.high


def test_a_summary_over_two_seeds_by_hand():
    summary = summarise([first(), second()], validation_examples=10)
    assert summary.seeds == (0, 1) and summary.test_examples == 10 and summary.pgr_undefined == 0
    expected = {
        "weak supervisor": t_interval(0.5, 0.6),
        "strong student": t_interval(0.6, 0.9),
        "strong ceiling": t_interval(0.9, 0.8),
    }
    assert set(summary.accuracy) == set(expected) == set(ROLES)
    for role, numbers in expected.items():
        assert ends(summary.accuracy[role]) == pytest.approx(numbers), role
    assert ends(summary.pgr) == pytest.approx(t_interval(0.25, 1.5))
    assert ends(summary.agreement) == pytest.approx(t_interval(0.9, 0.7))
    assert ends(summary.imitation) == pytest.approx(t_interval(4 / 5, 1 / 4))
    assert ends(summary.correction) == pytest.approx(t_interval(1 / 5, 3 / 4))
    assert ends(summary.label_accuracy) == pytest.approx(t_interval(0.7, 0.5))
    assert ends(summary.best) == pytest.approx(t_interval(0.8, 0.9))
    assert ends(summary.best_pgr) == pytest.approx(t_interval(0.75, 1.5))
    assert ends(summary.trusted) == pytest.approx(t_interval(0.8, 0.7))
    assert ends(summary.trusted_pgr) == pytest.approx(t_interval(0.75, 0.5))
    assert summary.f1 == {}
    assert summary.slices == {
        "even": {
            "weak supervisor": pytest.approx((0.6 + 0.6) / 2),
            "strong student": pytest.approx((0.6 + 1.0) / 2),
            "strong ceiling": pytest.approx((1.0 + 0.8) / 2),
            "examples": 5,
        },
        "odd": {
            "weak supervisor": pytest.approx((0.4 + 0.6) / 2),
            "strong student": pytest.approx((0.6 + 0.8) / 2),
            "strong ceiling": pytest.approx((0.8 + 0.8) / 2),
            "examples": 5,
        },
        "rare": {"weak supervisor": 0.0, "strong student": 0.0, "strong ceiling": 0.0, "examples": 1},
    }
    assert json.loads(json.dumps(summary.to_dict()))["pgr"]["mean"] == pytest.approx(0.875)


def test_a_summary_of_one_seed_has_intervals_over_examples():
    outcome = first()
    summary = summarise([outcome], validation_examples=10)
    student = outcome.comparison.student
    assert ends(summary.accuracy["strong student"]) == (0.6, *student.interval)
    assert summary.accuracy["strong student"].n == 1
    assert summary.pgr.mean == pytest.approx(0.25)
    assert (summary.pgr.low, summary.pgr.high) == (outcome.comparison.pgr_interval() or (None, None))
    assert (summary.agreement.mean, summary.agreement.low) == (0.9, None)


def test_a_seed_without_a_gap_is_left_out_and_counted():
    summary = summarise([first(), undefined()], validation_examples=10)
    assert summary.pgr.mean == pytest.approx(0.25) and summary.pgr.n == 1
    assert summary.pgr_undefined == 1
    assert "undefined for 1 of 2 seeds" in " ".join(table(summary, "t").split())


def columns(text: str, name: str) -> list[str]:
    (line,) = (line for line in text.splitlines() if line.startswith(name + "  "))
    return line.removeprefix(name).split()


def test_a_table_holds_the_numbers():
    text = table(summarise([first(), second()], validation_examples=10), "letters: one supervises another")
    assert text.startswith("letters: one supervises another\n")
    assert "over 2 seeds" in text
    assert columns(text, "weak supervisor")[0] == "0.550"
    assert columns(text, "PGR")[0] == "0.875"
    assert columns(text, "strong student")[:3] == ["0.750", "[0.000,", "1.000]"]  # fractions stay fractions
    low, high = t_interval(0.25, 1.5)[1:]
    assert columns(text, "PGR")[1:3] == [f"[{low:.3f},", f"{high:.3f}]"]  # the PGR is no fraction
    assert columns(text, "even") == ["0.600", "0.800", "0.900", "5"]


@pytest.mark.parametrize("outcomes", [[first()], [first(), second()], [undefined()], [first(), undefined()]])
def test_a_table_is_aligned(outcomes):
    lines = table(summarise(outcomes, validation_examples=10), "title").splitlines()
    names = (*ROLES, "PGR", "agreement", "imitation", "correction")
    numbers = [line for line in lines if line.startswith(tuple(name + "  " for name in names))]
    assert len(numbers) == 7
    assert {len(line[:27].rstrip()) for line in numbers} == {27} and {line[27:29].strip() for line in numbers} == {""}
    slices = [line for line in lines if line.startswith(("slice", "even", "odd", "rare"))]
    assert len(slices) == 4 and len({len(line) for line in slices}) == 1
    assert all(line == line.rstrip() and len(line) <= 120 for line in lines)


def test_a_table_says_undefined():
    text = table(summarise([undefined()], validation_examples=10), "t")
    assert columns(text, "PGR")[0] == "undefined"
    assert "no gap to recover" in " ".join(text.split()) and "one seed" in text
    assert "None" not in text and "nan" not in text


def test_a_supervisor_without_errors_has_nothing_to_imitate():
    perfect = outcome_of(0, "1111111111", ["1111111111", "1111111110"], "1111111111", [1.0, 1.0], labels=1.0)
    text = table(summarise([perfect], validation_examples=10), "t")
    assert columns(text, "imitation")[0] == columns(text, "correction")[0] == "undefined"


@pytest.mark.parametrize(
    ("outcome", "said"),
    [
        (first(30), "recovers 25% of the gap between its supervisor and its own ceiling, 95 % interval"),
        (first(30), "; of the supervisor's errors it corrects 20% and repeats 80%."),
        (first(), "10 test examples are too few to say whether it recovers any"),
        (
            outcome_of(0, "1111100000", ["1" * 10, "1111000000"], "1" * 10, [0, 0], times=30),
            "ends below its own supervisor",
        ),
    ],
)
def test_the_help_reads_the_numbers(outcome, said):
    assert said in report.reading_help(summarise([outcome], validation_examples=10))


def test_an_open_task_is_scored_by_parts():
    open_task, ids = Task("open"), ("x0", "x1")
    truth = ("likes the plot, dislikes the bed", "likes the map")

    def said(*texts: str) -> Evaluation:
        return Evaluation(open_task, ids, texts, truth, ("likes the bed", "likes the map"), tags=(("t",), ("t",)))

    weak, ceiling = said("likes the bed", "likes the map"), said(*truth)
    student = said("likes the plot, likes the bed", "likes the map")  # 2 of 3 parts, and 3 to find
    curve = (Snapshot(0, 0, None, weak), Snapshot(1, 2, 0.1, student))
    outcome = Outcome(0, Comparison(weak, student, ceiling), 0.5, curve, (0.5, 0.5))
    summary = summarise([outcome], validation_examples=2)
    assert {role: interval.mean for role, interval in summary.f1.items()} == {
        "weak supervisor": pytest.approx(2 * 1 / (2 + 3)),
        "strong student": pytest.approx(2 * 2 / (3 + 3)),
        "strong ceiling": 1.0,
    }
    text = table(summary, "t")
    assert columns(text, "strong student")[-2:] == ["parts", "0.667"] and text.count("F1 of the parts") == 3


# -- the study of the mechanism --------------------------------------------------------------------------------------


def pairs() -> list[mechanism.Pair]:
    perfect = ["0000000000", "1111111110", "1111111100"]
    return [
        mechanism.Pair(first(), outcome_of(0, "1111100000", perfect, "1111111110", [0, 0, 0]), 0.5),
        mechanism.Pair(second(), outcome_of(1, "1111110000", perfect, "1111111100", [0, 0, 0], labels=0.5), 0.6),
    ]


def test_the_numbers_of_the_mechanism_by_hand():
    found = mechanism.mechanism_numbers(pairs())
    one, two = found["seeds"]
    assert (one["seed"], two["seed"]) == (0, 1)
    assert one["random_pgr_at_best"] == pytest.approx(1.0) and one["random_pgr_at_end"] == pytest.approx(0.3 / 0.4)
    assert (one["best_step"], one["trusted_step"], two["best_step"], two["trusted_step"]) == (1, 2, 2, 1)
    assert one["pgr_at_best"] == pytest.approx(0.75) and one["pgr_at_end"] == pytest.approx(0.25)
    assert one["pgr_end_minus_best"] == pytest.approx(-0.5) and two["pgr_end_minus_best"] == 0
    assert one["imitation_at_best"] == pytest.approx(2 / 5) and one["imitation_at_end"] == pytest.approx(4 / 5)
    assert one["agreement_end_minus_best"] == pytest.approx(0.9 - 0.7)
    assert one["random_minus_weak_pgr_at_end"] == pytest.approx(0.75 - 0.25)
    assert two["random_minus_weak_pgr_at_best"] == pytest.approx(1.5 - 1.5)
    assert one["slices"]["odd"] == {
        "weak": pytest.approx(0.4),
        "student at best": pytest.approx(0.8),
        "student at end": pytest.approx(0.6),
        "ceiling": pytest.approx(0.8),
        "examples": 5,
    }
    means = found["means"]
    mean, low, high = t_interval(0.25, 1.5)
    assert means["pgr_at_end"] == {"mean": pytest.approx(mean), "low": pytest.approx(low), "high": pytest.approx(high),
                                   "n": 2}  # fmt: skip
    assert means["label_accuracy"]["mean"] == pytest.approx(0.6)
    assert found["slices"]["even"]["student at end"] == pytest.approx((0.6 + 1.0) / 2)
    assert json.loads(json.dumps(found)) == found
    text = mechanism.mechanism_text(found)
    assert columns(text, "pgr at end")[0] == "0.875" and "2 seeds" in text


def test_the_mechanism_without_a_gap():
    """A seed whose PGR is undefined is left out of the means that need it, and out of no other."""
    pair = mechanism.Pair(undefined(), undefined(), 0.5)
    found = mechanism.mechanism_numbers([pair, *pairs()])
    assert found["means"]["pgr_at_end"]["n"] == found["means"]["pgr_end_minus_best"]["n"] == 2
    assert found["means"]["student_accuracy_at_end"]["n"] == 3
    alone = mechanism.mechanism_numbers([pair])
    assert alone["means"]["pgr_at_end"] == {"mean": None, "low": None, "high": None, "n": 0}
    assert columns(mechanism.mechanism_text(alone), "pgr at end") == ["undefined"]


def test_the_mechanism_figure_draws_every_seed():
    figure = mechanism.mechanism_figure(pairs())
    assert len(figure.axes) == 3
    assert all(ax.get_xlabel() or ax.get_ylabel() for ax in figure.axes)


@pytest.mark.slow
def test_the_mechanism_from_end_to_end(tmp_path, monkeypatch):
    monkeypatch.setattr(mechanism, "SIZES", SIZES)
    monkeypatch.setattr(mechanism, "PLAN", PLAN)
    monkeypatch.setattr(
        study, "run_jobs", lambda jobs, **options: {job.name: job.function(*job.arguments) for job in jobs}
    )
    runs, output = str(tmp_path / "runs"), tmp_path / "results"
    options = {"workers": 1, "store": runs, "output": output, "device": "cpu"}
    text, paths = study.run_study(mechanism.STUDY, seeds=2, **options)
    assert paths == [output / "mechanism.json", output / "mechanism.png"]
    assert paths[1].read_bytes().startswith(b"\x89PNG")
    facts = json.loads(paths[0].read_text())
    assert [row["seed"] for row in facts["seeds"]] == [0, 1]
    assert facts["sizes"] == list(astuple(SIZES)) and facts["recipe"] == PLAN.recipe.to_dict()
    assert mechanism.mechanism_text(facts) in text
    assert len(Store(runs).runs()) == 8  # supervisor, student, ceiling, control; two seeds
    assert facts["trainings"] == {"asked for": 8, "different": 8, "saved": 0}

    monkeypatch.setattr("w2s_lab.experiments.store.train", lambda *args, **options: pytest.fail("trained again"))
    assert study.run_study(mechanism.STUDY, seeds=2, **options)[0] == text
