"""Weak labels against scoring one by one, and errors made on purpose."""

from collections import Counter
from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import chisquare

from w2s_lab import labelling
from w2s_lab.labelling import random_errors, weak_labels
from w2s_lab.language_model import LanguageModel
from w2s_lab.records import Example, LabelledSet, Task

# weak labels of a closed task


def one_by_one(model: LanguageModel, inputs: LabelledSet) -> np.ndarray:
    """[N, K] log Pr(y_k|x), each pair on its own."""
    prompts, _ = model.encode_prompts(inputs.examples, 200)
    answers = model.encode_answers(inputs.task.answers)
    with torch.no_grad():
        return np.array([[model.log_prob([p], [a]).item() for a in answers] for p in prompts])


def test_weak_labels_are_the_argmax_of_the_answers_scored_one_by_one(model, closed_set):
    labels, table = weak_labels(model, closed_set), one_by_one(model, closed_set)
    assert len(set(labels.answers)) > 1  # the model does not answer the same to everything
    assert labels.answers == tuple(closed_set.task.answers[i] for i in table.argmax(-1))
    np.testing.assert_allclose(labels.log_prob, table.max(-1), atol=1e-4)
    odds = np.exp(table - table.max(-1, keepdims=True))
    np.testing.assert_allclose(labels.probs, odds / odds.sum(-1, keepdims=True), atol=1e-5)


def test_probs_are_distributions_whose_mode_is_the_answer(model, closed_set):
    labels = weak_labels(model, closed_set)
    np.testing.assert_allclose(labels.probs.sum(-1), 1, atol=1e-6)
    assert labels.answers == tuple(closed_set.task.answers[i] for i in labels.probs.argmax(-1))


def test_labels_stay_with_their_examples(model, closed_set):
    """In the order of the examples, although batches are made by length."""
    labels = weak_labels(model, closed_set)
    assert labels.examples == closed_set.examples and labels.task == closed_set.task
    assert labels.source == f"weak labels of {model.name}"
    for i in (0, 17, 47):
        alone = weak_labels(model, closed_set.take([i]))
        assert alone.answers == labels.answers[i : i + 1]
        np.testing.assert_allclose(alone.probs[0], labels.probs[i], atol=1e-5)


@pytest.mark.parametrize("size", [1, 150, 1000])
def test_the_token_budget_changes_nothing(model, closed_set, size, monkeypatch):
    expected = weak_labels(model, closed_set)
    monkeypatch.setitem(labelling.TOKENS, "cpu", size)
    found = weak_labels(model, closed_set)
    assert found.answers == expected.answers
    np.testing.assert_allclose(found.probs, expected.probs, atol=1e-5)
    np.testing.assert_allclose(found.log_prob, expected.log_prob, atol=1e-4)


def test_the_order_of_the_examples_changes_nothing(model, closed_set):
    order = np.random.default_rng(0).permutation(len(closed_set))
    expected, found = weak_labels(model, closed_set).take(order), weak_labels(model, closed_set.take(order))
    assert found.ids == expected.ids and found.answers == expected.answers
    np.testing.assert_allclose(found.probs, expected.probs, atol=1e-5)
    np.testing.assert_allclose(found.log_prob, expected.log_prob, atol=1e-4)


def test_the_answers_of_the_inputs_are_not_looked_at(llama, closed_set):
    other = closed_set.task.answers[0]
    blind = LabelledSet(
        closed_set.task, tuple(replace(e, answer=None) for e in closed_set.examples), (other,) * len(closed_set)
    )
    assert weak_labels(llama, blind).digest == weak_labels(llama, closed_set).digest


def test_labelling_needs_no_gradient_and_no_randomness(gpt2, closed_set):
    before = torch.get_rng_state()
    weak_labels(gpt2, closed_set)
    assert torch.equal(torch.get_rng_state(), before)
    assert all(p.grad is None for p in gpt2.network.parameters())


def test_nothing_to_label(llama, closed_set, open_set):
    labels = weak_labels(llama, closed_set.take([]))
    assert len(labels) == 0 and labels.probs.shape == (0, 3) and labels.log_prob.shape == (0,)
    assert len(weak_labels(llama, open_set.take([]))) == 0


def test_prompt_and_answer_together_are_at_most_max_tokens(llama, closed_set):
    """An over-long input gets the label of the prefix that leaves room for the longest answer."""
    long = Example(closed_set.examples[0].instruction, "a great film, then a dull one " * 30)
    longest = max(map(len, llama.encode_answers(closed_set.task.answers)))
    (ids,), cut = llama.encode_prompts([long], 80 - longest)
    assert cut == 1 and len(ids) in (80 - longest, 79 - longest)
    narrow = replace(llama, max_tokens=80)
    labels = weak_labels(narrow, LabelledSet(closed_set.task, (long,), (closed_set.task.answers[0],)))
    with torch.no_grad():
        table = llama.log_probs([ids], llama.encode_answers(closed_set.task.answers))
    np.testing.assert_allclose(labels.probs[0], table.softmax(-1)[0].numpy(), atol=1e-6)


# weak labels of an open task


@pytest.mark.parametrize("beams", [1, 3])
def test_labels_of_an_open_task_are_generated(model, open_set, beams, monkeypatch):
    open_set = open_set.take(range(6))
    monkeypatch.setitem(labelling.TOKENS, "cpu", 300)
    labels = weak_labels(model, open_set, beams=beams)
    prompts, _ = model.encode_prompts(open_set.examples, 200)
    assert labels.ids == open_set.ids and labels.probs is None
    assert labels.answers == tuple(model.generate([p], beams=beams)[0] for p in prompts)
    with torch.no_grad():
        alone = [
            model.log_prob([p], model.encode_answers([a])).item() for p, a in zip(prompts, labels.answers, strict=True)
        ]
    np.testing.assert_allclose(labels.log_prob, alone, rtol=1e-4)


# random errors

CHOICES = ("a", "b", "c", "d")


def truths(n: int, choices: tuple[str, ...] = CHOICES) -> LabelledSet:
    return LabelledSet.ground_truth(
        Task("toy", choices), [Example("Say.", str(i), choices[i * i % len(choices)]) for i in range(n)]
    )


@settings(max_examples=60, deadline=None)
@given(n=st.integers(1, 60), accuracy=st.floats(0, 1), seed=st.integers(0, 2**31))
def test_exactly_as_many_answers_are_right_as_asked_for(n, accuracy, seed):
    truth = truths(n)
    found = random_errors(truth, accuracy, seed=seed)
    assert sum(a == e.answer for a, e in zip(found.answers, found.examples, strict=True)) == round(accuracy * n)
    assert found.ids == truth.ids
    assert found.probs is None and found.log_prob is None


def test_all_right_and_all_wrong():
    truth = truths(40)
    assert random_errors(truth, 1.0, seed=0).answers == truth.answers
    wrong = random_errors(truth, 0.0, seed=0)
    assert wrong.label_accuracy == 0 and set(wrong.answers) <= set(CHOICES)


def test_errors_are_uniform_over_the_other_answers_and_over_the_places():
    truth = truths(400)
    pairs, places = Counter(), np.zeros(400)
    for seed in range(60):
        found = random_errors(truth, 0.7, seed=seed)
        for i, (answer, right) in enumerate(zip(found.answers, truth.answers, strict=True)):
            if answer != right:
                pairs[right, answer] += 1
                places[i] += 1
    for right in set(truth.answers):
        counts = [pairs[right, other] for other in CHOICES if other != right]
        assert chisquare(counts).pvalue > 1e-4, (right, counts)
    assert chisquare(places).pvalue > 1e-4


def test_the_truth_is_that_of_the_examples_not_the_present_answers():
    truth = truths(30)
    relabelled = LabelledSet(truth.task, truth.examples, (CHOICES[0],) * 30, source="someone")
    assert random_errors(relabelled, 0.8, seed=3).digest == random_errors(truth, 0.8, seed=3).digest


def test_the_seed_decides():
    truth, before = truths(50), np.random.get_state()[1].copy()
    first = random_errors(truth, 0.6, seed=1)
    assert first.answers == random_errors(truth, 0.6, seed=1).answers
    assert first.answers != random_errors(truth, 0.6, seed=2).answers
    assert "0.600" in first.source
    np.testing.assert_array_equal(np.random.get_state()[1], before)


@pytest.mark.parametrize("accuracy", [-0.1, 1.01, float("nan")])
def test_an_accuracy_that_is_no_fraction_raises(accuracy):
    with pytest.raises(ValueError, match=r"accuracy is .*from 0 to 1"):
        random_errors(truths(5), accuracy, seed=0)


def test_an_open_task_has_no_wrong_answers_to_draw(open_set):
    with pytest.raises(ValueError, match="'echo' is open"):
        random_errors(open_set, 0.5, seed=0)


def test_an_unknown_truth_raises():
    blind = LabelledSet(Task("toy", CHOICES), (Example("Say.", "x"),), ("a",))
    with pytest.raises(ValueError, match="no true answer"):
        random_errors(blind, 0.5, seed=0)
