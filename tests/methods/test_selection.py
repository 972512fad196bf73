"""Scores against hand-computed cases and a plain loop; what `keep` keeps, and in which order."""

import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from conftest import in_transformers
from hypothesis import given, settings
from hypothesis import strategies as st

from w2s_lab.methods import selection
from w2s_lab.models.language_model import LanguageModel
from w2s_lab.records import Example, LabelledSet, Task
from w2s_lab.training import labelling
from w2s_lab.training.labelling import weak_labels

ABC = Task("toy", ("a", "b", "c"))
PROBS = np.array([[0.7, 0.2, 0.1], [0.1, 0.3, 0.6], [0.25, 0.5, 0.25], [0.0, 1.0, 0.0]])


def toy(answers: str, probs: np.ndarray | None = None, log_prob: list[float] | None = None) -> LabelledSet:
    examples = tuple(Example("Say.", str(i), "a") for i in range(len(answers)))
    return LabelledSet(ABC, examples, tuple(answers), probs, None if log_prob is None else np.array(log_prob), "weak")


def echoed(open_set: LabelledSet) -> LabelledSet:
    """Every answer is the whole input: answers of many lengths."""
    return replace(open_set, answers=tuple(example.input for example in open_set.examples))


def one_by_one(model: LanguageModel, prompts: list[list[int]], answers: list[list[int]]) -> np.ndarray:
    """[N] log Pr(answer|prompt), each pair on its own, by the network's own loss over the answer's tokens."""
    found = []
    for prompt, answer in zip(prompts, answers, strict=True):
        ids = torch.tensor([prompt + answer])
        with torch.no_grad():
            loss = in_transformers(model.network)(
                input_ids=ids, labels=torch.tensor([[-100] * len(prompt) + answer])
            ).loss
        found.append(-loss.item() * len(answer))
    return np.array(found)


# scores from what the supervisor said


def test_scores_of_a_hand_made_set():
    labels = toy("acbb", PROBS, [-0.5, -1.0, -2.0, -0.1])
    np.testing.assert_allclose(selection.likelihood(labels), [-0.5, -1.0, -2.0, -0.1])
    np.testing.assert_allclose(selection.confidence(labels), [0.7, 0.6, 0.5, 1.0])
    np.testing.assert_allclose(selection.margin(labels), [0.5, 0.3, 0.25, 1.0])


def test_confidence_is_that_of_the_given_answer_and_margin_that_of_the_distribution():
    relabelled = toy("bbba", PROBS)
    np.testing.assert_allclose(selection.confidence(relabelled), [0.2, 0.3, 0.5, 0.0])
    np.testing.assert_allclose(selection.margin(relabelled), selection.margin(toy("acbb", PROBS)))


def test_token_likelihood_divides_by_the_tokens_with_the_end_token(llama, open_set):
    labels = replace(echoed(open_set), log_prob=-np.arange(1.0, 13.0))
    counts = [len(row) for row in llama.encode_answers(labels.answers)]
    assert len(set(counts)) > 1 and min(counts) >= 2  # at least a token and the end
    found = selection.token_likelihood(llama, labels)
    np.testing.assert_allclose(found, [-(i + 1) / counts[i] for i in range(12)])


def test_agreement_is_by_id_not_by_row():
    first, second = toy("abca"), toy("abac")
    np.testing.assert_array_equal(selection.agreement(first, second), [1, 1, 0, 0])
    np.testing.assert_array_equal(selection.agreement(first, second.take([3, 1, 0, 2])), [1, 1, 0, 0])


def test_other_examples_or_another_task_cannot_be_matched():
    with pytest.raises(ValueError, match=r"lacks 1 examples.*has 0 others"):
        selection.agreement(toy("abca"), toy("abc"))
    with pytest.raises(ValueError, match=r"lacks 0 examples.*has 1 others"):
        selection.agreement(toy("abc"), toy("abca"))
    other = replace(toy("abc"), task=Task("policy v2", ABC.answers))
    with pytest.raises(ValueError, match="policy v2"):
        selection.agreement(toy("abc"), other)


def test_random_scores_follow_their_seed_only():
    before = np.random.get_state()[1].copy()
    first = selection.random_scores(toy("abca" * 10), seed=1)
    assert first.shape == (40,) and len(set(first)) == 40 and first.min() >= 0 and first.max() < 1
    np.testing.assert_array_equal(first, selection.random_scores(toy("abca" * 10), seed=1))
    assert not np.array_equal(first, selection.random_scores(toy("abca" * 10), seed=2))
    np.testing.assert_array_equal(np.random.get_state()[1], before)


@pytest.mark.parametrize("score", [selection.likelihood, selection.confidence, selection.margin])
def test_labels_that_know_too_little_raise(score):
    with pytest.raises(ValueError, match=r"the set \(weak\) has no (probs|log_prob).*weak_labels"):
        score(toy("abc"))


def test_token_likelihood_needs_log_prob(llama):
    with pytest.raises(ValueError, match="has no log_prob"):
        selection.token_likelihood(llama, toy("abc"))


def test_a_single_answer_has_no_margin():
    labels = LabelledSet(Task("one", ("a",)), (Example("Say.", "x"),), ("a",), np.ones((1, 1)))
    with pytest.raises(ValueError, match="1 answer; expected at least 2"):
        selection.margin(labels)


def test_scores_of_an_empty_set_are_empty(llama, closed_set):
    nothing = weak_labels(llama, closed_set.take([]))
    for score in (selection.likelihood, selection.confidence, selection.margin):
        assert score(nothing).shape == (0,)
    for score in (selection.answer_log_prob, selection.ifd):
        assert score(llama, nothing).shape == (0,)


# scores that ask a model


def test_answer_log_prob_against_the_networks_own_loss(model, closed_set, monkeypatch):
    """The set's answers are the truth, not what the model would say; in many pieces, each in its place."""
    monkeypatch.setitem(labelling.TOKENS, "cpu", 150)
    prompts, _ = model.encode_prompts(closed_set.examples, 200)
    expected = one_by_one(model, prompts, model.encode_answers(closed_set.answers))
    np.testing.assert_allclose(selection.answer_log_prob(model, closed_set), expected, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("name", ["closed_set", "open_set"])
def test_under_the_supervisor_it_is_the_likelihood(model, name, request):
    labels = weak_labels(model, request.getfixturevalue(name))
    found = selection.answer_log_prob(model, labels)
    np.testing.assert_allclose(found, selection.likelihood(labels), rtol=1e-4, atol=1e-4)


def test_no_gradient_is_kept(llama, closed_set):
    selection.answer_log_prob(llama, closed_set)
    selection.ifd(llama, closed_set)
    assert all(p.grad is None for p in llama.network.parameters())


def test_long_inputs_are_cut_as_in_training(llama, closed_set):
    """So that there is room for the longest listed answer, whatever the given one is."""
    long = Example(closed_set.examples[0].instruction, "a great film, then a dull one " * 30)
    narrow = replace(llama, max_tokens=80)
    choices = llama.encode_answers(closed_set.task.answers)
    shortest = closed_set.task.answers[int(np.argmin([len(row) for row in choices]))]
    assert len({len(row) for row in choices}) > 1
    with pytest.warns(UserWarning, match="cut"):
        prompts, _ = narrow.encode_prompts([long], 80 - max(map(len, choices)))
    expected = one_by_one(llama, prompts, llama.encode_answers([shortest]))
    found = selection.answer_log_prob(narrow, LabelledSet(closed_set.task, (long,), (shortest,)))
    np.testing.assert_allclose(found, expected, rtol=1e-4)


@pytest.mark.parametrize("name", ["closed_set", "open_set"])
def test_ifd_is_the_ratio_of_two_perplexities(model, name, request):
    labels = request.getfixturevalue(name).take(range(12))
    labels = echoed(labels) if labels.task.answers is None else labels
    answers = model.encode_answers(labels.answers)
    prompts, _ = model.encode_prompts(labels.examples, 200)
    bare = model.tokenizer("Answer:")["input_ids"]
    with_x, alone = one_by_one(model, prompts, answers), one_by_one(model, [bare] * 12, answers)
    perplexity, perplexity_alone = (
        np.array([math.exp(-value / len(a)) for value, a in zip(values, answers, strict=True)])
        for values in (with_x, alone)
    )
    np.testing.assert_allclose(selection.ifd(model, labels), perplexity / perplexity_alone, rtol=1e-3)


def test_without_input_the_ifd_is_one(llama):
    bare = LabelledSet(Task("free"), (Example("", ""),), ("a great film",))
    np.testing.assert_allclose(selection.ifd(llama, bare), [1.0], rtol=1e-5)


def test_superfilter_drops_from_one_up_and_leaves_nan_to_be_noticed():
    found = selection.superfilter([0.2, 0.999, 1.0, 3.0, math.inf, math.nan])
    np.testing.assert_array_equal(found, [0.2, 0.999, -np.inf, -np.inf, -np.inf, np.nan])


def test_among_equal_answers_superfilter_reverses_the_likelihood(llama, closed_set):
    same = replace(closed_set, answers=(closed_set.task.answers[1],) * 48)
    ratios, log_prob = selection.ifd(llama, same), selection.answer_log_prob(llama, same)
    np.testing.assert_array_equal(np.argsort(ratios), np.argsort(-log_prob))
    ranked = selection.superfilter(ratios)
    assert 0 < np.isfinite(ranked).sum() < 48  # the model finds some easier, some harder for their input
    best = selection.keep(same, ranked, 1 / 48, by="ifd")
    assert best.ids == (same.ids[int(np.argmax(np.where(ratios < 1, ratios, 0)))],)


# keep


def test_the_best_are_kept_in_their_order_with_all_their_fields():
    labels = replace(toy("abca", PROBS, [-4.0, -1.0, -3.0, -2.0]), weight=np.array([1.0, 2.0, 3.0, 4.0]))
    kept = selection.keep(labels, selection.likelihood(labels), 0.5, by="likelihood")
    assert kept.ids == (labels.ids[1], labels.ids[3]) and kept.answers == ("b", "a")
    np.testing.assert_array_equal(kept.probs, PROBS[[1, 3]])
    np.testing.assert_array_equal(kept.log_prob, [-1.0, -2.0])
    np.testing.assert_array_equal(kept.weight, [2.0, 4.0])
    assert kept.source == "weak, the best 50 % by likelihood"


@settings(max_examples=80, deadline=None)
@given(
    scores=st.lists(st.sampled_from([0.1, 0.5, 1.0, 2.0]), min_size=1, max_size=40),
    fraction=st.floats(0.001, 1),
    balanced=st.booleans(),
)
def test_the_size_and_that_nothing_left_out_is_better(scores, fraction, balanced):
    labels = toy("".join("aab"[i % 3] for i in range(len(scores))))
    kept = selection.keep(labels, scores, fraction, balanced=balanced)
    assert len(kept) == max(1, round(fraction * len(scores)))
    score = dict(zip(labels.ids, scores, strict=True))
    inside = set(kept.ids)
    assert [i for i in labels.ids if i in inside] == list(kept.ids)
    for answers in ("a", "b") if balanced else ("ab",):
        mine = [i for i, answer in zip(labels.ids, labels.answers, strict=True) if answer in answers]
        worst = min((score[i] for i in mine if i in inside), default=math.inf)
        assert all(score[i] <= worst for i in mine if i not in inside) or worst == math.inf
    if balanced:
        for answer in "ab":
            exact = fraction * labels.answers.count(answer)
            assert abs(kept.answers.count(answer) - exact) < 1 or len(kept) == 1


def test_all_of_it():
    labels = toy("abca")
    assert selection.keep(labels, [1, 1, 1, 1], 1.0).digest == labels.digest


def test_ties_follow_neither_rows_nor_answers():
    """Half of 600 equal scores: the first rows, or one answer, would be an obvious bias."""
    labels = toy("a" * 300 + "b" * 300)
    kept = selection.keep(labels, np.ones(600), 0.5, by="confidence")
    assert 110 < kept.answers.count("a") < 190  # 150 expected, standard deviation 6
    reordered = labels.take(np.random.default_rng(0).permutation(600))
    assert set(selection.keep(reordered, np.ones(600), 0.5).ids) == set(kept.ids)
    relabelled = replace(labels, answers=("c",) * 600)
    assert selection.keep(relabelled, np.ones(600), 0.5).ids == kept.ids


def test_balanced_keeps_the_shares_where_one_answer_scores_higher():
    labels = toy("a" * 20 + "b" * 10 + "c" * 10)
    scores = np.r_[np.linspace(0.9, 1, 20), np.linspace(0.1, 0.2, 10), np.linspace(0.3, 0.4, 10)]
    assert set(selection.keep(labels, scores, 0.5).answers) == {"a"}
    kept = selection.keep(labels, scores, 0.5, by="confidence", balanced=True)
    assert [kept.answers.count(answer) for answer in "abc"] == [10, 5, 5]
    assert kept.ids == labels.take([*range(10, 20), *range(25, 30), *range(35, 40)]).ids
    assert kept.source == "weak, the best 50 % by confidence of each answer"


def test_balanced_shares_are_rounded_by_largest_remainder():
    labels = toy("a" * 5 + "b" * 3 + "c" * 2)  # 0.45 of each: 2.25, 1.35, 0.9; round(4.5) = 4
    kept = selection.keep(labels, np.zeros(10), 0.45, balanced=True)
    assert [kept.answers.count(answer) for answer in "abc"] == [2, 1, 1]


@pytest.mark.parametrize("balanced", [False, True])
def test_minus_infinity_is_never_kept(balanced):
    labels = toy("aabb")
    kept = selection.keep(labels, [0.5, -np.inf, -np.inf, -np.inf], 1.0, by="ifd", balanced=balanced)
    assert kept.ids == labels.ids[:1]
    with pytest.raises(ValueError, match="every ifd is -inf"):
        selection.keep(labels, np.full(4, -np.inf), 0.5, by="ifd", balanced=balanced)


def test_plus_infinity_comes_first():
    assert selection.keep(toy("abc"), [1e308, np.inf, 0], 0.3).answers == ("b",)


@pytest.mark.parametrize("fraction", [0, -0.1, 1.01, math.nan])
def test_a_fraction_out_of_range_raises(fraction):
    with pytest.raises(ValueError, match=r"fraction is .*above 0 and at most 1"):
        selection.keep(toy("abc"), [1, 2, 3], fraction)


def test_bad_scores_raise():
    with pytest.raises(ValueError, match=r"shape \(2,\); expected \(3,\)"):
        selection.keep(toy("abc"), [1, 2], 0.5)
    with pytest.raises(ValueError, match=r"shape \(3, 1\)"):
        selection.keep(toy("abc"), np.ones((3, 1)), 0.5)
    with pytest.raises(ValueError, match=r"row 1\) is nan"):
        selection.keep(toy("abc"), [1, math.nan, 3], 0.5)
    with pytest.raises(ValueError, match="empty"):
        selection.keep(toy(""), [], 0.5)


def test_an_open_task_has_no_classes_to_balance(open_set):
    with pytest.raises(ValueError, match=r"'echo' is open.*balanced=False"):
        selection.keep(open_set, np.ones(12), 0.5, balanced=True)
    assert len(selection.keep(open_set, np.ones(12), 0.5)) == 6
