"""Errors made on purpose: as many as asked for, where asked for."""

from collections import Counter
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import chisquare
from sklearn.feature_extraction.text import CountVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import cross_val_score

from w2s_lab.methods.simulated import (
    class_conditional_errors,
    random_errors,
    slice_errors,
    systematic_errors,
    word_errors,
)
from w2s_lab.records import Example, LabelledSet, Task

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


# class-conditional errors


def confusion_of(labels: LabelledSet) -> Counter:
    return Counter((example.answer, answer) for example, answer in zip(labels.examples, labels.answers, strict=True))


def per_class(*counts: int) -> LabelledSet:
    answers = [answer for answer, n in zip(CHOICES, counts, strict=True) for _ in range(n)]
    return LabelledSet.ground_truth(
        Task("toy", CHOICES), [Example("Say.", str(i), answer) for i, answer in enumerate(answers)]
    )


def test_the_confusion_table_is_met_exactly():
    """7 a's at .5, .3, .2 are 3.5, 2.1, 1.4, so 3, 2, 1 and one more for the first; 10 b's are 2.5 and 7.5, a tie."""
    truth = per_class(7, 10, 3, 0)
    confusion = {"a": {"a": 0.5, "b": 0.3, "d": 0.2}, "b": {"a": 0.25, "b": 0.75}}
    found = class_conditional_errors(truth, confusion, seed=0)
    expected = {("a", "a"): 4, ("a", "b"): 2, ("a", "d"): 1, ("b", "a"): 3, ("b", "b"): 7, ("c", "c"): 3}
    assert confusion_of(found) == expected
    assert found.ids == truth.ids and found.probs is None and found.log_prob is None
    assert "a 0.500, b 0.750, c 1.000" in found.source


@settings(max_examples=60, deadline=None)
@given(
    counts=st.lists(st.integers(0, 40), min_size=4, max_size=4),
    weights=st.lists(st.lists(st.integers(1, 9), min_size=4, max_size=4), min_size=4, max_size=4),
    seed=st.integers(0, 2**31),
)
def test_every_count_is_less_than_one_off(counts, weights, seed):
    table = np.array(weights) / np.sum(weights, -1, keepdims=True)
    found = confusion_of(class_conditional_errors(per_class(*counts), table, seed=seed))
    for i, true in enumerate(CHOICES):
        assert sum(found[true, given_] for given_ in CHOICES) == counts[i]
        for k, given_ in enumerate(CHOICES):
            assert abs(found[true, given_] - counts[i] * table[i, k]) < 1


def test_a_mapping_and_a_table_say_the_same():
    truth = truths(50)
    table = np.eye(4)
    table[1] = [0.2, 0.3, 0.1, 0.4]
    mapping = {"b": dict(zip(CHOICES, table[1].tolist(), strict=True))}
    first = class_conditional_errors(truth, table, seed=4)
    assert first.answers == class_conditional_errors(truth, mapping, seed=4).answers
    assert first.answers != class_conditional_errors(truth, mapping, seed=5).answers


def test_the_places_of_class_conditional_errors_are_random():
    truth, places = per_class(40, 0, 0, 0), np.zeros(40)
    for seed in range(200):
        answers = class_conditional_errors(truth, {"a": {"a": 0.75, "c": 0.25}}, seed=seed).answers
        places += np.array(answers) == "c"
    assert places.sum() == 200 * 10 and chisquare(places).pvalue > 1e-4


@pytest.mark.parametrize(
    ("confusion", "message"),
    [
        ({"a": {"a": 0.5, "b": 0.4}}, r"given for 'a' are \[0.5, 0.4.*sum to 1"),
        ({"a": {"a": 1.5, "b": -0.5}}, r"given for 'a' are \[1.5, -0.5.*from 0 up"),
        ({"a": {"x": 1.0}}, "'x' is not an answer of the task"),
        ({"y": {"a": 1.0}}, "'y' is not an answer of the task"),
        (np.eye(3), r"shape \(3, 3\); expected \(4, 4\)"),
        (np.full((4, 4), np.nan), "sum to 1"),
    ],
)
def test_a_confusion_that_is_none_raises(confusion, message):
    with pytest.raises(ValueError, match=message):
        class_conditional_errors(truths(10), confusion, seed=0)


# errors by slice


def tagged(*slices: tuple[int, tuple[str, ...]]) -> LabelledSet:
    """So many examples with these tags, for each pair; answers in turn."""
    tags = [own for n, own in slices for _ in range(n)]
    examples = [Example("Say.", str(i), CHOICES[i % 4], own) for i, own in enumerate(tags)]
    return LabelledSet.ground_truth(Task("toy", CHOICES), examples)


def right(labels: LabelledSet) -> np.ndarray:
    return np.array([e.answer == a for e, a in zip(labels.examples, labels.answers, strict=True)])


def test_each_slice_has_its_accuracy():
    """20 negated (5 of them rare too, so negated), 10 rare, 30 others: 6, 5 and 27 right."""
    truth = tagged((15, ("negated",)), (5, ("rare", "negated")), (10, ("rare", "x")), (30, ()))
    found = slice_errors(truth, {"negated": 0.3, "rare": 0.5}, otherwise=0.9, seed=1)
    assert [int(part.sum()) for part in np.split(right(found), [20, 30])] == [6, 5, 27]
    assert found.ids == truth.ids and "negated 0.300, rare 0.500, otherwise 0.900" in found.source
    first_named = slice_errors(truth, {"rare": 0.0, "negated": 1.0}, seed=1)
    assert not right(first_named)[15:30].any() and right(first_named)[:15].all() and right(first_named)[30:].all()


def test_a_slice_is_mistaken_always_in_the_same_way():
    found = slice_errors(tagged((12, ("odd",)), (8, ())), {"odd": 0.0}, seed=0)
    wrong = {(true, given_) for true, given_ in confusion_of(found) if true != given_}
    assert wrong == {("a", "b"), ("b", "c"), ("c", "d"), ("d", "a")}


def test_without_slices_what_is_otherwise_holds():
    assert right(slice_errors(tagged((20, ("odd",))), {}, otherwise=0.25, seed=0)).sum() == 5


@settings(max_examples=60, deadline=None)
@given(
    sizes=st.tuples(*[st.integers(1, 30)] * 4), accuracy=st.floats(0, 1), other=st.floats(0, 1), seed=st.integers(0, 99)
)
def test_counts_by_slice_are_exact(sizes, accuracy, other, seed):
    truth = tagged((sizes[0], ("p",)), (sizes[1], ("q",)), (sizes[2], ("q", "p")), (sizes[3], ()))
    found = right(slice_errors(truth, {"p": accuracy, "q": other}, seed=seed))
    is_p, is_q = (np.array([tag in e.tags for e in truth.examples]) for tag in "pq")
    assert found[is_p].sum() == round(accuracy * is_p.sum())
    assert found[is_q & ~is_p].sum() == round(other * (is_q & ~is_p).sum())
    assert found[~is_p & ~is_q].all()


def test_systematic_errors_are_as_many_as_random_ones_and_all_in_the_slices():
    truth = tagged((15, ("negated",)), (5, ("rare", "negated")), (10, ("rare",)), (30, ("plain",)))
    found = systematic_errors(truth, ["negated", "rare"], 0.7, seed=2)
    assert found.label_accuracy == random_errors(truth, 0.7, seed=2).label_accuracy == 42 / 60
    assert right(found)[30:].all() and (~right(found)[:30]).sum() == 18
    assert "systematic errors in negated, rare, label accuracy 0.700" in found.source
    assert found.answers != systematic_errors(truth, ["negated", "rare"], 0.7, seed=3).answers
    assert not right(systematic_errors(truth, ["negated", "rare"], 0.5, seed=2))[:30].any()


def test_slices_too_small_for_the_errors_raise():
    truth = tagged((4, ("odd",)), (16, ()))
    assert systematic_errors(truth, ["odd"], 0.8, seed=0).label_accuracy == 0.8
    with pytest.raises(ValueError, match=r"takes 5 errors, but only 4 of 20.*at least 0\.800"):
        systematic_errors(truth, ["odd"], 0.75, seed=0)


def test_a_tag_that_no_example_has_raises():
    truth = tagged((4, ("odd",)), (16, ("even",)))
    with pytest.raises(ValueError, match="slice_errors: no example has the tag 'off'; expected one of even, odd"):
        slice_errors(truth, {"off": 0.5}, seed=0)
    with pytest.raises(ValueError, match="systematic_errors: no example has the tag 'off'"):
        systematic_errors(truth, ["odd", "off"], 0.9, seed=0)
    for none in ("odd", ()):
        with pytest.raises(ValueError, match="sequence of at least one tag"):
            systematic_errors(truth, none, 0.9, seed=0)


def test_fractions_and_tasks_are_checked(open_set):
    truth = tagged((4, ("odd",)), (16, ("even",)))
    with pytest.raises(ValueError, match=r"accuracy of 'odd' is 1\.5"):
        slice_errors(truth, {"odd": 1.5}, seed=0)
    with pytest.raises(ValueError, match="otherwise is -1"):
        slice_errors(truth, {}, otherwise=-1, seed=0)
    with pytest.raises(ValueError, match="accuracy is 2"):
        systematic_errors(truth, ["odd"], 2, seed=0)
    for call in (
        lambda: class_conditional_errors(open_set, {}, seed=0),
        lambda: slice_errors(open_set, {}, seed=0),
        lambda: systematic_errors(open_set, ["odd"], 0.5, seed=0),
    ):
        with pytest.raises(ValueError, match="'echo' is open"):
            call()


def test_all_start_from_the_truth_of_the_examples():
    truth = tagged((8, ("odd",)), (8, ()))
    wrong = replace(truth, answers=("d",) * 16, source="someone")
    for make in (
        lambda labels: class_conditional_errors(labels, {"a": {"b": 1.0}}, seed=3),
        lambda labels: slice_errors(labels, {"odd": 0.5}, seed=3),
        lambda labels: systematic_errors(labels, ["odd"], 0.8, seed=3),
    ):
        assert make(wrong).digest == make(truth).digest != truth.digest


def reviews(*rows: tuple[str, str]) -> LabelledSet:
    task = Task("mood", ("bad", "good"))
    return LabelledSet.ground_truth(task, [Example("Judge.", text, answer) for text, answer in rows])


def test_errors_by_words_follow_the_most_telling_words_first():
    guide = reviews(("fine work", "good"), ("fine cast", "good"), ("dull work", "bad"), ("dull fine plot", "bad"))
    # shares among good and bad: fine 1, 0.5; dull 0, 1; cast 0.5, 0; plot 0, 0.5; work 0.5, 0.5
    truth = reviews(
        ("never dull", "good"), ("dull", "bad"), ("fine but long", "bad"), ("the cast is lost", "bad"), ("odd", "good")
    )  # fmt: skip
    assert word_errors(truth, 0.8, guide=guide).answers == ("bad", "bad", "bad", "bad", "good")
    assert word_errors(truth, 0.4, guide=guide).answers == ("bad", "bad", "good", "good", "good")
    assert word_errors(truth, 1.0, guide=guide).answers == truth.answers
    with pytest.raises(ValueError, match="the words make 3 errors; expected 4"):
        word_errors(truth, 0.2, guide=guide)


def test_errors_by_words_are_as_many_as_asked_for_and_can_be_told_from_the_text():
    rng = np.random.default_rng(0)
    vocabulary = [f"word{i}" for i in range(30)]
    weight = rng.normal(size=30)

    def some(n: int) -> LabelledSet:
        chosen = [rng.choice(30, 6, replace=False) for _ in range(n)]
        text = [" ".join(vocabulary[i] for i in one) for one in chosen]
        mood = ["good" if weight[one].sum() + rng.normal() > 0 else "bad" for one in chosen]
        return reviews(*dict(zip(text, mood, strict=True)).items())

    guide, truth = some(400), some(400)
    labels = word_errors(truth, 0.75, guide=guide)
    assert round(labels.label_accuracy * len(truth)) == round(0.75 * len(truth))
    counts = CountVectorizer()
    table = counts.fit_transform([example.input for example in truth.examples])
    wrong = right(labels) == 0
    odds = [
        cross_val_score(LogisticRegression(), table, target, cv=5, scoring="roc_auc").mean()
        for target in (wrong, right(random_errors(truth, 0.75, seed=0)) == 0)
    ]
    assert odds[0] > 0.58 > odds[1]


def test_errors_by_words_need_two_answers(open_set):
    three = tagged((8, ("odd",)))
    for truth in (three, open_set):
        with pytest.raises(ValueError, match="word_errors"):
            word_errors(truth, 0.5, guide=truth)
