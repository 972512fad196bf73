"""Ensembles against hand-computed cases, Bayes' rule by enumeration, and scikit-learn."""

import itertools
import math
from dataclasses import replace

import numpy as np
import pytest
from sklearn.ensemble import VotingClassifier
from sklearn.linear_model import LogisticRegression

from w2s_lab.methods.ensembles import average, log_odds_weights, stack, vote
from w2s_lab.records import Example, LabelledSet, Task
from w2s_lab.training.labelling import weak_labels

ABC = Task("toy", ("a", "b", "c"))
OPEN = Task("free")


def said(answers: str, probs=None, *, truth: str = "", task: Task = ABC, source: str = "weak") -> LabelledSet:
    examples = tuple(Example("Say.", str(i), (truth or answers)[i]) for i in range(len(answers)))
    return LabelledSet(
        task, examples, tuple(answers), None if probs is None else np.array(probs, dtype=float), None, source
    )


def noisy(n: int, accuracy: float, *, seed: int, truth: str) -> LabelledSet:
    """A supervisor that is right with `accuracy`; its probabilities are noisy, too."""
    rng = np.random.default_rng(seed)
    logits = rng.normal(size=(n, 3))
    true = np.array(["abc".index(t) for t in truth])
    logits[np.arange(n), np.where(rng.random(n) < accuracy, true, (true + rng.integers(1, 3, n)) % 3)] += 3
    probs = np.exp(logits) / np.exp(logits).sum(-1, keepdims=True)
    return said("".join("abc"[k] for k in probs.argmax(-1)), probs, truth=truth)


def truths(n: int, seed: int, letters: str = "abc") -> str:
    return "".join(np.random.default_rng(seed).choice(list(letters), n))


# vote


def test_the_majority_wins_and_shares_are_probabilities():
    found = vote([said("aab", source="s1"), said("abb", source="s2"), said("cbb", source="s3")])
    assert found.answers == ("a", "b", "b")
    np.testing.assert_allclose(found.probs, [[2 / 3, 0, 1 / 3], [1 / 3, 2 / 3, 0], [0, 1, 0]])
    np.testing.assert_allclose(found.log_prob, np.log([2 / 3, 2 / 3, 1]), atol=1e-12)
    assert found.source == "majority vote of [s1; s2; s3]"


def test_ties_go_to_the_higher_mean_probability_then_to_the_first_supervisor():
    first, second = [[0.6, 0.4, 0.0], [0.5, 0.3, 0.2]], [[0.1, 0.9, 0.0], [0.3, 0.5, 0.2]]
    assert vote([said("aa", first), said("bb", second)]).answers == ("b", "a")
    assert vote([said("bb", second), said("aa", first)]).answers == ("b", "b")
    assert vote([said("ca"), said("ab"), said("bc")]).answers == ("c", "a")  # nobody has probabilities
    assert vote([said("a"), said("b", [[0.2, 0.5, 0.3]])]).answers == ("b",)  # only one has


def test_a_loser_does_not_win_by_its_probability():
    sure = said("c", [[0.0, 0.0, 1.0]])
    hesitant = said("a", [[0.4, 0.3, 0.3]])
    assert vote([hesitant, hesitant, sure]).answers == ("a",)
    tied = [said("a", [[0.3, 0.2, 0.5]]), said("b", [[0.2, 0.3, 0.5]])]
    assert vote(tied).answers == ("a",)  # c is likeliest on average, and nobody voted for it


def test_weights_count_votes():
    sets = [said("a"), said("b"), said("b")]
    found = vote(sets, weights=[3, 1, 1])
    assert found.answers == ("a",)
    np.testing.assert_allclose(found.probs, [[0.6, 0.4, 0]])
    assert vote(sets, weights=[2, 1, 1]).answers == ("a",)  # a tie: the first
    assert vote(sets, weights=[1.9, 1, 1]).answers == ("b",)
    assert found.source.startswith("weighted vote of")


def test_a_supervisor_without_weight_breaks_no_tie():
    sets = [said("a", [[0.5, 0.4, 0.1]]), said("b", [[0.3, 0.6, 0.1]]), said("a", [[1, 0, 0]])]
    assert vote(sets, weights=[1, 1, 0]).answers == ("b",)


def test_the_vote_is_that_of_scikit_learn_where_there_is_no_tie():
    sets = [noisy(200, 0.6, seed=seed, truth="a" * 200) for seed in range(5)]
    weights = [1.0, 0.83, 0.71, 0.57, 0.44]  # no two groups weigh the same

    class Fixed:
        def __init__(self, labels):
            self.labels = np.array(["abc".index(answer) for answer in labels.answers])

        def predict(self, x):
            return self.labels

    classifier = VotingClassifier([(str(i), None) for i in range(5)], weights=weights)
    classifier.estimators_ = [Fixed(labels) for labels in sets]
    classifier.le_ = type("Identity", (), {"inverse_transform": staticmethod(lambda k: k)})
    expected = classifier.predict(np.zeros((200, 1)))
    assert vote(sets, weights=weights).answers == tuple("abc"[k] for k in expected)


def test_an_open_task_is_voted_on_by_strings():
    sets = [said("xyz", task=OPEN), said("xxw", task=OPEN), said("yxv", task=OPEN)]
    found = vote(sets)
    assert found.answers == ("x", "x", "z") and found.probs is None
    np.testing.assert_allclose(found.log_prob, np.log([2 / 3, 2 / 3, 1 / 3]))
    for other in (average, lambda s: stack(s, s)):
        with pytest.raises(ValueError, match="has no probs"):
            other(sets)
    with pytest.raises(ValueError, match="'free' is open"):
        log_odds_weights(sets)


# average


def test_the_mean_and_its_argmax():
    one, two = said("ab", [[0.5, 0.3, 0.2], [0.1, 0.8, 0.1]]), said("cb", [[0.1, 0.3, 0.6], [0.3, 0.4, 0.3]])
    found = average([one, two])
    np.testing.assert_allclose(found.probs, [[0.3, 0.3, 0.4], [0.2, 0.6, 0.2]])
    assert found.answers == ("c", "b")
    np.testing.assert_allclose(found.log_prob, np.log([0.4, 0.6]))
    weighted = average([one, two], weights=[6, 2])
    np.testing.assert_allclose(weighted.probs[0], [0.4, 0.3, 0.3])
    assert weighted.answers == ("a", "b")


def test_one_supervisor_alone_is_itself(llama, closed_set):
    alone = weak_labels(llama, closed_set)
    for found in (average([alone]), vote([alone])):
        assert found.answers == alone.answers and found.examples == alone.examples
    np.testing.assert_allclose(average([alone]).probs, alone.probs)


def test_two_models_on_the_tiny_task(llama, gpt2, closed_set):
    sets = [weak_labels(model, closed_set) for model in (llama, gpt2)]
    found = average(sets)
    np.testing.assert_allclose(found.probs, (sets[0].probs + sets[1].probs) / 2)
    assert found.ids == closed_set.ids and len(set(found.answers)) > 1


# matching


@pytest.mark.parametrize("combine", [vote, average])
def test_examples_are_matched_by_id_in_the_order_of_the_first(combine):
    truth = truths(30, 0)
    sets = [noisy(30, 0.6, seed=seed, truth=truth) for seed in range(3)]
    order = np.random.default_rng(1).permutation(30)
    mixed = [sets[0], sets[1].take(order), sets[2].take(order[::-1])]
    assert combine(mixed).digest == combine(sets).digest
    assert combine([sets[1].take(order), sets[0]]).ids == sets[1].take(order).ids


def test_matching_covers_weights_and_stacking():
    truth = truths(60, 0)
    sets = [noisy(60, 0.7, seed=seed, truth=truth) for seed in range(2)]
    order = np.random.default_rng(1).permutation(60)
    shuffled = [sets[0], sets[1].take(order)]
    np.testing.assert_allclose(log_odds_weights(shuffled), log_odds_weights(sets))
    np.testing.assert_allclose(stack(shuffled, shuffled).probs, stack(sets, sets).probs, atol=1e-9)


@pytest.mark.parametrize("combine", [vote, average, log_odds_weights, lambda sets: stack(sets, sets)])
def test_other_examples_or_no_sets_raise(combine):
    with pytest.raises(ValueError, match="lacks 1 examples"):
        combine([said("abc", np.eye(3)), said("ab", np.eye(3)[:2])])
    with pytest.raises(ValueError, match="0 sets"):
        combine([])


@pytest.mark.parametrize("combine", [vote, average])
@pytest.mark.parametrize("weights", [[1], [1, -1], [1, math.nan], [1, math.inf], [0, 0], [[1], [1]]])
def test_bad_weights_raise(combine, weights):
    with pytest.raises(ValueError, match="expected 2 finite numbers from 0 up"):
        combine([said("a", [[1, 0, 0]]), said("b", [[0, 1, 0]])], weights=weights)


def test_loss_weights_are_left_behind():
    weighted = replace(said("ab", np.eye(3)[:2]), weight=np.array([2.0, 3.0]))
    assert vote([weighted]).weight is None and average([weighted]).weight is None


# log-odds weights


def test_weights_by_hand():
    """Right 8, 0 and 3 times of 10, K = 3: p = 9/13, 1/13 and 4/13."""
    truth = "a" * 10
    sets = [said("a" * right + "b" * (10 - right), truth=truth) for right in (8, 0, 3)]
    np.testing.assert_allclose(log_odds_weights(sets), [math.log(2 * 9 / 4), 0, 0])
    two = Task("yes or no", ("a", "b"))
    binary = [said("a" * right + "b" * (10 - right), truth=truth, task=two) for right in (10, 7, 5)]
    np.testing.assert_allclose(log_odds_weights(binary), [math.log(11), math.log(8 / 4), 0], atol=1e-12)


def test_nothing_known_is_guessing():
    np.testing.assert_allclose(log_odds_weights([said(""), said("")]), [0, 0], atol=1e-12)


@pytest.mark.parametrize("k", [2, 3, 4])
def test_the_weighted_vote_is_bayes_rule(k):
    """Over all combinations of votes, the winner has the highest posterior under independent, even errors."""
    task, letters = Task("toy", tuple("abcd"[:k])), "abcd"[:k]
    right = (90, 78, 67, 55)
    trusted = [said("a" * r + "b" * (100 - r), truth="a" * 100, task=task) for r in right]
    weights = log_odds_weights(trusted)
    p = [(r + 1) / (100 + k) for r in right]
    for votes in itertools.product(letters, repeat=4):
        posterior = {
            y: math.prod(q if v == y else (1 - q) / (k - 1) for q, v in zip(p, votes, strict=True)) for y in letters
        }
        winner = vote([said(v, task=task) for v in votes], weights=weights).answers[0]
        assert posterior[winner] == pytest.approx(max(posterior.values())), votes


def test_a_task_without_choice_or_without_truth_has_no_weights():
    with pytest.raises(ValueError, match="has 1 answer; expected a list of at least 2"):
        log_odds_weights([said("a", task=Task("one", ("a",)))])
    with pytest.raises(ValueError, match="no true answer"):
        log_odds_weights([LabelledSet(ABC, (Example("Say.", "x"),), ("a",))])


# stacking


def test_the_stack_is_scikit_learns_regression_on_log_probabilities():
    trusted_truth, truth = truths(90, 0), truths(50, 1)
    trusted = [noisy(90, accuracy, seed=i, truth=trusted_truth) for i, accuracy in enumerate((0.6, 0.8))]
    sets = [noisy(50, accuracy, seed=i + 5, truth=truth) for i, accuracy in enumerate((0.6, 0.8))]
    reference = LogisticRegression(C=0.3, max_iter=5000).fit(
        np.hstack([np.log(labels.probs) for labels in trusted]), list(trusted_truth)
    )
    expected = reference.predict_proba(np.hstack([np.log(labels.probs) for labels in sets]))
    found = stack(sets, trusted, C=0.3)
    np.testing.assert_allclose(found.probs, expected, atol=1e-4)
    assert found.answers == tuple(reference.predict(np.hstack([np.log(labels.probs) for labels in sets])))
    np.testing.assert_allclose(found.log_prob, np.log(expected.max(-1)), atol=1e-4)
    assert found.source.endswith("fitted on 90 trusted examples")


def test_the_stack_learns_to_trust_who_is_right_and_to_undo_a_swap():
    """One supervisor calls every a b and every b a; a vote cannot use it, a regression can."""
    trusted_truth, truth = truths(200, 0, "ab"), truths(300, 1, "ab")

    def supervisors(text: str, seed: int) -> list[LabelledSet]:
        swapped = noisy(len(text), 0.95, seed=seed, truth=text.translate(str.maketrans("ab", "ba")))
        swapped = replace(
            swapped, examples=tuple(replace(e, answer=t) for e, t in zip(swapped.examples, text, strict=True))
        )
        return [swapped, *(noisy(len(text), 0.4, seed=seed + i, truth=text) for i in (1, 2))]

    sets, trusted = supervisors(truth, 10), supervisors(trusted_truth, 20)
    assert stack(sets, trusted).label_accuracy > 0.85
    assert vote(sets).label_accuracy < 0.5


def test_probabilities_of_zero_are_no_infinity():
    hard = [said("ab" * 10, np.eye(3)[[0, 1] * 10], truth="ab" * 10)]
    found = stack(hard, hard)
    assert found.answers == tuple("ab" * 10) and np.isfinite(found.log_prob).all()


def test_an_answer_that_is_never_the_truth_gets_probability_zero():
    trusted = [noisy(80, 0.7, seed=i, truth=truths(80, 3, "ac")) for i in range(2)]
    sets = [noisy(40, 0.7, seed=i + 9, truth=truths(40, 4)) for i in range(2)]
    found = stack(sets, trusted)
    np.testing.assert_array_equal(found.probs[:, 1], 0)
    np.testing.assert_allclose(found.probs.sum(-1), 1)
    assert set(found.answers) == {"a", "c"}


def test_too_little_to_fit_raises():
    sets = [noisy(20, 0.7, seed=0, truth="a" * 20)]
    with pytest.raises(ValueError, match=r"20 trusted examples are \['a'\].*at least two"):
        stack(sets, sets)
    with pytest.raises(ValueError, match="2 trusted sets for 1 sets"):
        stack(sets, sets * 2)
    other = [replace(sets[0], task=Task("other", ABC.answers))]
    with pytest.raises(ValueError, match="'other'"):
        stack(sets, other)


def test_stacking_nothing_gives_nothing():
    trusted = [noisy(30, 0.7, seed=0, truth=truths(30, 0))]
    found = stack([trusted[0].take([])], trusted)
    assert len(found) == 0 and found.probs.shape == (0, 3)
    assert len(vote([trusted[0].take([])])) == 0 and len(average([trusted[0].take([])])) == 0
