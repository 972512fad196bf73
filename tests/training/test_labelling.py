"""Weak labels against scoring one by one."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from w2s_lab.models.language_model import LanguageModel
from w2s_lab.records import Example, LabelledSet
from w2s_lab.training import labelling
from w2s_lab.training.labelling import weak_labels

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


def test_every_piece_is_reported(model, closed_set, monkeypatch):
    monkeypatch.setitem(labelling.TOKENS, "cpu", 150)
    seen = []
    weak_labels(model, closed_set, on_rows=lambda *event: seen.append(event))
    assert len(seen) > 3 and seen == sorted(set(seen)) and seen[-1] == (48, 48) and {of for _, of in seen} == {48}


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


@pytest.mark.slow
@pytest.mark.parametrize("beams", [1, 3])
def test_labels_of_an_open_task_are_generated(model, open_set, beams, monkeypatch):
    open_set = open_set.take(range(6))
    monkeypatch.setitem(labelling.GENERATED_TOKENS, "cpu", 300)  # several pieces
    labels = weak_labels(model, open_set, beams=beams)
    prompts, _ = model.encode_prompts(open_set.examples, 200)
    assert labels.ids == open_set.ids and labels.probs is None
    assert labels.answers == tuple(model.generate([p], beams=beams)[0] for p in prompts)
    with torch.no_grad():
        alone = [
            model.log_prob([p], model.encode_answers([a])).item() for p, a in zip(prompts, labels.answers, strict=True)
        ]
    np.testing.assert_allclose(labels.log_prob, alone, rtol=1e-4)
