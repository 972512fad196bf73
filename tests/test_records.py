"""The frozen records: what they carry, what they refuse, and what they derive."""

import json
from dataclasses import FrozenInstanceError, replace

import numpy as np
import pytest
from sklearn.dummy import DummyClassifier
from sklearn.metrics import accuracy_score, roc_auc_score

from w2s_lab import metrics
from w2s_lab.objective import AuxiliaryConfidence, MaximumLikelihood, SoftTargets
from w2s_lab.recipe import Recipe
from w2s_lab.records import (
    GROUND_TRUTH,
    Comparison,
    Evaluation,
    Example,
    LabelledSet,
    Splits,
    Task,
    content_key,
)

TASK = Task("sentiment", ("positive", "negative"))
OPEN = Task("summary")


def examples(*texts: str, answer: str | None = "positive") -> tuple[Example, ...]:
    return tuple(Example("is this review positive or negative?", text, answer, (f"tag-{text}",)) for text in texts)


def weakly_labelled() -> LabelledSet:
    probs = np.array([[0.9, 0.1], [0.2, 0.8], [0.6, 0.4]])
    answers = ("positive", "negative", "positive")
    return LabelledSet(TASK, examples("a", "b", "c"), answers, probs, np.log([0.9, 0.8, 0.6]), "weak supervisor")


# Example and Task


def test_an_id_names_the_input_and_not_what_is_known_about_it():
    example = Example("judge", "a fine film", "positive", ("plain",))
    assert example.id == replace(example, answer="negative").id == replace(example, answer=None, tags=()).id
    assert example.id != replace(example, input="a fine film ").id
    assert example.id != replace(example, instruction="rate").id
    assert Example("ab", "c").id != Example("a", "bc").id  # the border between the two parts counts


def test_an_id_is_the_same_in_every_process():
    # Written down, since `hash` of a string would differ between processes and a changed id orphans stored files.
    # In a shell: printf '["judge","gr\\u00f6\\u00dfe"]' | sha256sum | cut -c1-16
    assert Example("judge", "größe").id == content_key("judge", "größe") == "981f6f9d2c08c07a"


@pytest.mark.parametrize(
    ("record", "name"),
    [
        (examples("a")[0], "answer"),
        (TASK, "answers"),
        (weakly_labelled(), "answers"),
        (Recipe(), "epochs"),
        (Evaluation(TASK, ("1",), ("positive",), ("positive",)), "predictions"),
    ],
)
def test_records_are_frozen(record, name):
    before = getattr(record, name)
    with pytest.raises(FrozenInstanceError):
        setattr(record, name, None)
    assert getattr(record, name) is before


# LabelledSet


def test_ground_truth_takes_the_examples_own_answers():
    labels = LabelledSet.ground_truth(TASK, [*examples("a"), *examples("b", answer="negative")])
    assert labels.answers == ("positive", "negative") and labels.source == GROUND_TRUTH and len(labels) == 2
    assert labels.probs is None and labels.log_prob is None and labels.label_accuracy == 1.0


def test_ground_truth_names_an_example_without_one():
    (unknown,) = examples("who knows", answer=None)
    with pytest.raises(ValueError, match=f"example {unknown.id} .'who knows'.* has no true answer"):
        LabelledSet.ground_truth(TASK, [*examples("a"), unknown])


def test_label_accuracy_is_sklearns():
    labels = LabelledSet(TASK, examples("a", "b", "c"), ("positive", "negative", "positive"))
    truth = [example.answer for example in labels.examples]
    assert labels.label_accuracy == pytest.approx(accuracy_score(truth, labels.answers)) == pytest.approx(2 / 3)


def test_label_accuracy_is_undefined_where_a_truth_is_unknown():
    mixed = examples("a") + examples("b", answer=None)
    assert LabelledSet(TASK, mixed, ("positive", "positive")).label_accuracy is None
    assert LabelledSet(TASK, (), ()).label_accuracy is None


def test_a_labelled_set_says_what_does_not_fit():
    two = examples("a", "b")
    right = ("positive", "negative")
    with pytest.raises(ValueError, match=r"\(weak xs\): 2 examples but 1 answers"):
        LabelledSet(TASK, two, ("positive",), source="weak xs")
    with pytest.raises(ValueError, match=r"probs has shape \(2, 3\); expected \(2, 2\)"):
        LabelledSet(TASK, two, right, np.ones((2, 3)) / 3)
    with pytest.raises(ValueError, match=r"log_prob has shape \(3,\); expected \(2,\)"):
        LabelledSet(TASK, two, right, log_prob=np.zeros(3))
    with pytest.raises(ValueError, match=f"example {two[1].id} has answer 'neutral'; expected one of 'positive', 'neg"):
        LabelledSet(TASK, two, ("positive", "neutral"))
    with pytest.raises(ValueError, match=r"\(ground truth\): 1 examples occur twice"):
        LabelledSet(TASK, two + examples("a", answer="negative"), (*right, "positive"))


def test_an_open_task_takes_any_answer():
    labels = LabelledSet(OPEN, examples("a"), ("likes the plot, dislikes the acting",))
    assert labels.answers == ("likes the plot, dislikes the acting",)


def test_take_carries_every_field_in_the_order_asked_for():
    labels = weakly_labelled()
    part = labels.take([2, 0])
    assert part.task is labels.task and part.source == "weak supervisor"
    assert part.examples == (labels.examples[2], labels.examples[0])
    assert part.ids == (labels.ids[2], labels.ids[0])
    assert part.answers == ("positive", "positive")
    np.testing.assert_array_equal(part.probs, [[0.6, 0.4], [0.9, 0.1]])
    np.testing.assert_allclose(part.log_prob, np.log([0.6, 0.9]))
    assert labels.take(np.array([1]), "most confident third").source == "most confident third"
    assert len(labels) == 3 and labels.source == "weak supervisor"  # the original is as it was


def test_take_works_without_probabilities_and_for_nothing():
    assert LabelledSet.ground_truth(TASK, examples("a", "b")).take([1]).probs is None
    none = weakly_labelled().take([])
    assert len(none) == 0 and none.probs.shape == (0, 2) and none.log_prob.shape == (0,)


def test_take_refuses_to_repeat_an_example():
    with pytest.raises(ValueError, match="1 examples occur twice"):
        weakly_labelled().take([0, 0])


def test_a_digest_is_of_all_that_a_training_sees():
    labels = weakly_labelled()
    other_probs = labels.probs.copy()
    other_probs[1] = [0.20001, 0.79999]
    a, b, c = labels.examples
    changed = {
        "answer": replace(labels, answers=("positive", "negative", "negative")),
        "probs": replace(labels, probs=other_probs),
        "no probs": replace(labels, probs=None),
        "input": replace(labels, examples=(a, b, replace(c, input="d"))),
        "instruction": replace(labels, examples=(a, b, replace(c, instruction="rate"))),
        "order": labels.take([1, 0, 2]),
        "fewer": labels.take([0, 1]),
        "task's answers": replace(labels, task=Task("sentiment", ("positive", "negative", "neutral")), probs=None),
    }
    digests = {name: other.digest for name, other in changed.items()}
    assert labels.digest not in digests.values(), digests
    assert len(set(digests.values())) == len(digests), digests


def test_a_digest_is_of_nothing_else():
    labels = weakly_labelled()
    a, b, c = labels.examples
    assert replace(labels, source="somebody else").digest == labels.digest
    assert replace(labels, examples=(replace(a, answer="negative"), b, c)).digest == labels.digest  # the hidden truth
    assert replace(labels, probs=np.asfortranarray(labels.probs)).digest == labels.digest  # memory layout
    assert weakly_labelled().digest == labels.digest


# Splits


def four_parts() -> dict[str, LabelledSet]:
    names = ("supervisor_train", "student_train", "test", "validation")
    return {name: LabelledSet.ground_truth(TASK, examples(f"{name} 1", f"{name} 2")) for name in names}


def test_disjoint_splits_pass_and_know_their_task():
    assert Splits(**four_parts()).task is TASK


@pytest.mark.parametrize(
    ("first", "second"),
    [("supervisor_train", "student_train"), ("student_train", "test"), ("test", "validation")],
)
def test_overlapping_splits_name_the_example_and_both_parts(first, second):
    parts = four_parts()
    shared = parts[first].examples[1]
    parts[second] = LabelledSet.ground_truth(TASK, (replace(shared, answer="negative"), *parts[second].examples))
    with pytest.raises(ValueError, match=f"example {shared.id} is in {first} and in {second}"):
        Splits(**parts)


# Recipe


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("epochs", 0),
        ("batch_size", 0),
        ("learning_rate", 0.0),
        ("learning_rate", float("nan")),
        ("warmup_fraction", 1.5),
        ("weight_decay", -0.1),
        ("max_tokens", 7),
        ("eval_every", 0),
    ],
)
def test_a_recipe_names_the_illegal_field_and_its_value(name, value):
    with pytest.raises(ValueError, match=f"{name} is {value}"):
        Recipe(**{name: value})


def test_a_recipe_as_json_tells_the_losses_apart():
    losses = [MaximumLikelihood(), SoftTargets(), SoftTargets(2.0), AuxiliaryConfidence(), AuxiliaryConfidence(0.75)]
    texts = [json.dumps(Recipe(loss=loss).to_dict(), sort_keys=True) for loss in losses]
    assert len(set(texts)) == len(losses)
    assert json.loads(texts[2])["loss"] == {"name": "SoftTargets", "temperature": 2.0}
    assert json.loads(texts[0])["learning_rate"] == Recipe().learning_rate


# Evaluation


def evaluation(**changes) -> Evaluation:
    """Six items: the weak supervisor is wrong on the last four; of those the model imitates one and corrects three."""
    p, n = TASK.answers
    fields = {
        "task": TASK,
        "ids": tuple("abcdef"),
        "truth": (p, n, p, n, p, n),
        "reference": (p, n, n, p, n, p),
        "predictions": (p, p, n, n, p, n),
        "probs": np.array([[0.9, 0.1], [0.6, 0.4], [0.3, 0.7], [0.1, 0.9], [0.8, 0.2], [0.05, 0.95]]),
        "tags": (("plain",), ("plain", "rare"), ("negated",), ("negated",), ("plain",), ()),
    }
    return Evaluation(**{**fields, **changes})


def test_derived_values_are_sklearns():
    found = evaluation()
    assert found.accuracy == pytest.approx(accuracy_score(found.truth, found.predictions)) == pytest.approx(4 / 6)
    assert found.agreement == pytest.approx(accuracy_score(found.reference, found.predictions)) == pytest.approx(2 / 6)
    wrong = np.array(found.reference) != np.array(found.truth)
    student = np.array(found.predictions)[wrong]
    assert found.imitation == pytest.approx(accuracy_score(np.array(found.reference)[wrong], student)) == 1 / 4
    assert found.correction == pytest.approx(accuracy_score(np.array(found.truth)[wrong], student)) == 3 / 4
    assert found.interval == metrics.wilson_interval(4, 6)
    dummy = DummyClassifier(strategy="most_frequent").fit(found.truth, found.truth)
    assert found.constant[1] == dummy.score(found.truth, found.truth)
    assert found.commonest == (found.predictions[2], 3 / 6), "a tie goes by the alphabet"
    np.testing.assert_array_equal(found.correct, [True, False, False, True, True, True])
    assert found.correct.dtype == bool and len(found) == 6


def test_auc_is_that_of_the_second_answer_and_does_not_see_a_lean():
    found = evaluation()
    second = TASK.answers[1]
    truth = [answer == second for answer in found.truth]
    assert found.auc == pytest.approx(roc_auc_score(truth, found.probs[:, 1])) == found.to_dict()["auc"]
    leaning = np.log(found.probs) + np.array([3.0, 0.0])  # towards the first answer
    leaning = np.exp(leaning) / np.exp(leaning).sum(-1, keepdims=True)
    assert evaluation(probs=leaning).auc == pytest.approx(found.auc)
    assert evaluation(probs=None).auc is None
    assert evaluation(truth=(TASK.answers[0],) * 6, reference=None).auc is None


def test_calibration_is_of_the_predicted_answers_probability():
    found = evaluation()
    assert found.calibration == metrics.calibration([0.9, 0.6, 0.7, 0.9, 0.8, 0.95], found.correct)
    # Six items; gaps by hand: .6 wrong, .7 wrong, .8 right, and .9, .9, .95 right together.
    assert found.calibration.ece == pytest.approx((0.6 + 0.7 + 0.2 + 0.1 + 0.1 + 0.05) / 6)


def test_what_has_no_reference_or_no_distribution_is_undefined():
    found = evaluation(reference=None, probs=None)
    assert (found.agreement, found.imitation, found.correction, found.calibration) == (None,) * 4
    assert found.accuracy == pytest.approx(4 / 6)


def test_imitation_is_undefined_under_a_faultless_supervisor():
    found = evaluation(reference=evaluation().truth)
    assert found.imitation is None and found.correction is None
    assert found.agreement == found.accuracy


def test_by_slice_by_hand():
    found = evaluation().by_slice()
    assert list(found) == ["negated", "plain", "rare"]
    assert found == {"negated": (1 / 2, 2), "plain": (pytest.approx(2 / 3), 3), "rare": (0.0, 1)}
    assert evaluation(tags=None).by_slice() == {}


@pytest.mark.parametrize("name", ["ids", "predictions", "truth", "reference", "tags"])
def test_fields_of_different_lengths_are_refused(name):
    with pytest.raises(ValueError, match=r"Evaluation: .*different lengths \[5, 6\]"):
        evaluation(**{name: getattr(evaluation(), name)[:5]})


# Comparison


def with_right_answers(right: list[bool], ids: tuple[str, ...] | None = None) -> Evaluation:
    p, n = TASK.answers
    ids = ids or tuple(f"id {i}" for i in range(len(right)))
    return Evaluation(TASK, ids, tuple(p if r else n for r in right), (p,) * len(right))


def test_a_comparison_gives_the_pgr_and_its_interval():
    rights = [[i < count for i in range(100)] for count in (60, 75, 90)]
    found = Comparison(*map(with_right_answers, rights))
    assert found.pgr == pytest.approx((0.75 - 0.6) / (0.9 - 0.6))
    assert found.pgr_interval(samples=500, seed=3) == metrics.pgr_interval(*rights, samples=500, seed=3)
    low, high = found.pgr_interval()
    assert low < found.pgr < high


def test_a_comparison_without_a_gap_has_no_pgr():
    same = with_right_answers([True, False])
    found = Comparison(same, with_right_answers([True, True]), same)
    assert found.pgr is None and found.pgr_interval() is None


@pytest.mark.parametrize("odd", [0, 1, 2])
@pytest.mark.parametrize("ids", [("1", "2", "4"), ("1", "3", "2"), ("1", "2")])
def test_a_comparison_refuses_other_ids_or_another_order(odd, ids):
    parts = [with_right_answers([True, False, True], ("1", "2", "3")) for _ in range(3)]
    parts[odd] = with_right_answers([True, False, True][: len(ids)], ids)
    with pytest.raises(ValueError, match="scored on different examples"):
        Comparison(*parts)
