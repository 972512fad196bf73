"""Evaluation against scikit-learn and by hand."""

from dataclasses import replace

import numpy as np
import pytest
from sklearn.metrics import accuracy_score

from w2s_lab.methods.simulated import random_errors
from w2s_lab.records import Comparison, Example, LabelledSet, Task
from w2s_lab.training.evaluation import compare, evaluate, score
from w2s_lab.training.labelling import weak_labels

TASK = Task("toy", ("yes", "no", "maybe"))
EXAMPLES = tuple(
    Example("Is it?", text, answer, tags)
    for text, answer, tags in [
        ("one", "yes", ("odd",)),
        ("two", "no", ("even",)),
        ("three", "maybe", ("odd", "long")),
        ("four", "yes", ("even",)),
        ("five", "no", ()),
    ]
)


def answers(*given: str, **more) -> LabelledSet:
    return LabelledSet(TASK, EXAMPLES, given, **more)


STUDENT = ("yes", "yes", "maybe", "no", "no")  # wrong on two and four
WEAK = ("no", "yes", "maybe", "maybe", "no")  # wrong on one, two and four


def test_score_by_hand():
    found = score(answers(*STUDENT), answers(*WEAK))
    assert found.task == TASK and found.ids == tuple(e.id for e in EXAMPLES)
    assert found.predictions == STUDENT and found.reference == WEAK
    assert found.truth == ("yes", "no", "maybe", "yes", "no")
    assert found.correct.tolist() == [True, False, True, False, True]
    assert found.accuracy == 3 / 5
    assert found.agreement == 3 / 5  # two, three, five
    assert found.imitation == 1 / 3  # of the three weak errors, the one on two
    assert found.correction == 1 / 3  # the one on one
    assert found.by_slice() == {"even": (0.0, 2), "long": (1.0, 1), "odd": (1.0, 2)}
    assert found.probs is None and found.calibration is None


def test_without_a_reference_there_is_no_agreement():
    found = score(answers(*STUDENT))
    assert (found.accuracy, found.agreement, found.imitation, found.correction) == (3 / 5, None, None, None)


def test_the_probabilities_go_along():
    probs = np.full((5, 3), 0.1) + 0.7 * np.eye(3)[[0, 0, 2, 1, 1]]
    found = score(answers(*STUDENT, probs=probs))
    np.testing.assert_array_equal(found.probs, probs)
    assert found.calibration.ece == pytest.approx(0.8 - 0.6)


@pytest.mark.parametrize("seed", range(5))
def test_score_against_scikit_learn(seed, closed_set):
    weak = random_errors(closed_set, 0.6, seed=seed)
    student = random_errors(closed_set, 0.8, seed=seed + 100)
    found, truth = score(student, weak), np.array(closed_set.answers)
    assert found.accuracy == pytest.approx(accuracy_score(truth, student.answers))
    assert found.agreement == pytest.approx(accuracy_score(weak.answers, student.answers))
    wrong = np.array(weak.answers) != truth
    ours, theirs = np.array(student.answers)[wrong], np.array(weak.answers)[wrong]
    assert found.imitation == pytest.approx(accuracy_score(theirs, ours))
    assert found.correction == pytest.approx(accuracy_score(truth[wrong], ours))
    for tag, (accuracy, n) in found.by_slice().items():
        rows = [tag in e.tags for e in closed_set.examples]
        assert n == sum(rows)
        assert accuracy == pytest.approx(accuracy_score(truth[rows], np.array(student.answers)[rows]))


def test_a_reference_of_other_examples_raises(closed_set):
    with pytest.raises(ValueError, match="other examples"):
        score(closed_set, closed_set.take(range(len(closed_set) - 1)))


def test_a_reference_in_another_order_raises(closed_set):
    with pytest.raises(ValueError, match="other examples"):
        score(closed_set, closed_set.take(range(len(closed_set))[::-1]))


def test_an_unknown_truth_raises():
    blind = LabelledSet(TASK, (replace(EXAMPLES[0], answer=None),), ("yes",))
    with pytest.raises(ValueError, match="no true answer"):
        score(blind)


def test_evaluate_is_the_score_of_the_models_own_answers(model, closed_set):
    labels, reference = weak_labels(model, closed_set), random_errors(closed_set, 0.5, seed=0)
    found = evaluate(model, closed_set, reference)
    assert found.predictions == labels.answers and found.truth == closed_set.answers
    assert found.reference == reference.answers
    assert found.accuracy == accuracy_score(closed_set.answers, labels.answers)
    np.testing.assert_array_equal(found.probs, labels.probs)
    assert evaluate(model, closed_set).agreement is None


def test_the_truth_is_in_the_examples_not_in_the_labels(llama, closed_set):
    """A set with wrong labels can be evaluated on: its labels are not what counts as true."""
    assert evaluate(llama, random_errors(closed_set, 0.3, seed=0)).truth == closed_set.answers


def test_evaluate_an_open_task(llama, open_set):
    found = evaluate(llama, open_set, open_set)
    assert found.truth == open_set.answers and found.probs is None
    assert found.accuracy == found.agreement == accuracy_score(open_set.answers, found.predictions)


def test_compare_scores_three_models_on_the_same_examples(llama, gpt2, closed_set):
    found = compare(llama, gpt2, llama, closed_set)
    weak, student = weak_labels(llama, closed_set), weak_labels(gpt2, closed_set)
    assert found.weak.predictions == found.ceiling.predictions == weak.answers
    assert found.student.predictions == student.answers
    assert found.weak.reference == found.student.reference == found.ceiling.reference == weak.answers
    assert found.weak.agreement == found.ceiling.agreement == 1
    assert found.student.agreement == accuracy_score(weak.answers, student.answers) < 1
    assert found.weak.ids == found.student.ids == found.ceiling.ids == closed_set.ids
    assert found.pgr is None  # the ceiling is not above the weak supervisor


def test_the_performance_gap_recovered_by_hand():
    ceiling = score(answers("yes", "no", "maybe", "yes", "yes"))  # 4 of 5
    from_weak = score(answers("no", "yes", "maybe", "maybe", "no"))  # 2 of 5
    student = score(answers(*STUDENT))  # 3 of 5
    assert Comparison(from_weak, student, ceiling).pgr == pytest.approx((0.6 - 0.4) / (0.8 - 0.4))
