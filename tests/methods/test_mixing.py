"""Sets joined, weighted and mended, by hand; money against a plain search."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from w2s_lab.methods.mixing import (
    Measured,
    cheapest,
    cost,
    frontier,
    join,
    next_unit,
    weighted,
    with_truth,
    without,
)
from w2s_lab.records import Example, LabelledSet, Task, TokenTargets

TASK = Task("toy", ("a", "b"))


def example(name: str, answer: str = "a", *tags: str) -> Example:
    return Example("Say.", name, answer, tags)


FIRST = LabelledSet(
    TASK,
    (example("1", "a", "old"), example("2", "b", "old", "rare"), example("3", "b")),
    ("a", "a", "b"),
    np.array([[0.9, 0.1], [0.6, 0.4], [0.2, 0.8]]),
    np.array([-0.1, -0.5, -0.2]),
    "weak",
)
SECOND = LabelledSet(TASK, (example("4", "b"), example("5", "a")), ("b", "a"), source="human")
TOKENS = TokenTargets(np.array([[1, 2]]), np.array([[0.5, 0.25]]))


def test_joined_rows_keep_what_they_have():
    found = join(FIRST, SECOND)
    assert found.ids == FIRST.ids + SECOND.ids and found.answers == ("a", "a", "b", "b", "a")
    np.testing.assert_array_equal(found.probs, [[0.9, 0.1], [0.6, 0.4], [0.2, 0.8], [0, 1], [1, 0]])
    assert found.log_prob is None and found.weight is None and found.token_targets is None
    assert found.source == "weak + human" and join(FIRST, SECOND, source="mine").source == "mine"
    np.testing.assert_array_equal(join(SECOND, FIRST).probs, found.probs[[3, 4, 0, 1, 2]])


def test_fields_that_both_have_are_kept():
    second = replace(SECOND, probs=np.full((2, 2), 0.5), log_prob=np.array([-1.0, -2.0]), token_targets=(TOKENS,) * 2)
    found = join(replace(FIRST, token_targets=(TOKENS,) * 3), second)
    np.testing.assert_array_equal(found.log_prob, [-0.1, -0.5, -0.2, -1, -2])
    np.testing.assert_array_equal(found.probs[3:], 0.5)
    assert len(found.token_targets) == 5
    assert join(FIRST, second).token_targets is None


@pytest.mark.parametrize("which", ["first", "second", "both", "none"])
def test_missing_weights_are_one(which):
    first = replace(FIRST, weight=np.array([2.0, 3.0, 0.0])) if which in ("first", "both") else FIRST
    second = replace(SECOND, weight=np.array([5.0, 6.0])) if which in ("second", "both") else SECOND
    expected = {"first": [2, 3, 0, 1, 1], "second": [1, 1, 1, 5, 6], "both": [2, 3, 0, 5, 6], "none": None}[which]
    found = join(first, second).weight
    assert found is None if expected is None else found.tolist() == expected


def test_joining_nothing_takes_nothing_away():
    for found in (join(FIRST, SECOND.take([])), join(SECOND.take([]), FIRST), with_truth(FIRST, SECOND.take([]))):
        assert found.digest == FIRST.digest


def test_an_example_in_both_raises_with_its_id():
    both = LabelledSet(TASK, (example("9"), example("2")), ("a", "b"))
    with pytest.raises(ValueError, match=rf"1 examples are in both sets: {example('2').id}\. Hint: with_truth"):
        join(FIRST, both)
    with pytest.raises(ValueError, match=r"'weak' belongs to task .*'toy'.*'other'"):
        join(FIRST, LabelledSet(Task("other"), (), (), source="human"))


def test_open_tasks_join_too(open_set):
    halves = open_set.take(range(5)), replace(open_set.take(range(5, 12)), log_prob=-np.ones(7))
    found = join(*halves)
    assert found.digest == open_set.digest and found.log_prob is None


# weights


def test_weights_by_number_by_row_and_by_tag():
    assert weighted(FIRST, 2).weight.tolist() == [2, 2, 2]
    assert weighted(FIRST, [1, 2, 3]).weight.tolist() == [1, 2, 3]
    assert weighted(FIRST, {"old": 0.5, "rare": 4}).weight.tolist() == [0.5, 0.5, 1]
    assert weighted(FIRST, {"rare": 4, "old": 0.5}).weight.tolist() == [0.5, 4, 1]
    twice = weighted(weighted(FIRST, {"old": 0.5}), 10)
    assert twice.weight.tolist() == [5, 5, 10] and twice.source == "weak (old x 0.5) (x 10)"
    assert replace(twice, weight=None).digest == FIRST.digest


@pytest.mark.parametrize(
    ("weight", "message"),
    [
        ([1, 2], r"shape \(2,\); expected one number, or 3 of them"),
        (-1, r"a weight is -1\.0"),
        (float("nan"), "a weight is nan"),
        ({"new": 2}, "no example has the tag 'new'; expected one of old, rare"),
    ],
)
def test_weights_that_are_none_raise(weight, message):
    with pytest.raises(ValueError, match=message):
        weighted(FIRST, weight)


# truth among weak labels


def test_truth_replaces_by_id_and_is_added_elsewhere():
    truth = LabelledSet.ground_truth(TASK, (example("7", "a"), example("2", "b")))
    found = with_truth(FIRST, truth, weight=3)
    assert [e.input for e in found.examples] == ["1", "2", "3", "7"]
    assert found.answers == ("a", "b", "b", "a") and found.weight.tolist() == [1, 3, 1, 3]
    np.testing.assert_array_equal(found.probs, [[0.9, 0.1], [0, 1], [0.2, 0.8], [1, 0]])
    assert found.source == "weak, 2 of ground truth (x 3)"


def test_all_truth_is_the_truth_and_weight_one_is_no_weight():
    truth = LabelledSet.ground_truth(TASK, FIRST.examples)
    assert with_truth(replace(FIRST, probs=None, log_prob=None), truth).digest == truth.digest
    some = with_truth(replace(FIRST, probs=None, log_prob=None), truth.take([0]))
    assert some.weight is None and some.answers == FIRST.answers


def test_a_newer_policy_replaces_the_answer_and_the_example():
    new = LabelledSet.ground_truth(TASK, (example("1", "b", "rule-changed"),))
    found = with_truth(FIRST, new)
    assert found.answers[0] == found.examples[0].answer == "b" and found.examples[0].tags == ("rule-changed",)
    assert found.ids == FIRST.ids


def test_without_a_tag_or_a_condition():
    found = without(FIRST, "old")
    assert found.ids == FIRST.ids[2:] and found.source == "weak, without 2 of 3 examples tagged old"
    np.testing.assert_array_equal(found.probs, [[0.2, 0.8]])
    long = without(FIRST, lambda e: e.answer == "a")
    assert long.ids == FIRST.ids[1:] and long.source == "weak, without 1 of 3 examples"
    assert without(FIRST, "new").digest == FIRST.digest
    assert len(without(FIRST.take([]), "old")) == 0


# money

POINTS = (
    Measured(0, 100, 0.60, 0.03),
    Measured(0, 400, 0.64),
    Measured(50, 100, 0.70, 0.04),
    Measured(50, 400, 0.69),
    Measured(200, 100, 0.71),
    Measured(200, 400, 0.80),
)
PRICES = {"human_cost": 2.0, "weak_cost": 0.1}


def test_cost():
    assert cost(50, 400, **PRICES) == pytest.approx(140)
    assert cost(0, 0, **PRICES) == 0
    for name in ("human_cost", "weak_cost"):
        with pytest.raises(ValueError, match=f"{name} is -1"):
            cost(1, 1, **(PRICES | {name: -1}))
    with pytest.raises(ValueError, match="human is -5"):
        cost(-5, 1, **PRICES)


def test_the_frontier_by_hand():
    """10 money .60, 40 .64, 110 .70, 140 .69 (not worth it), 410 .71, 440 .80."""
    assert frontier(POINTS, **PRICES) == (POINTS[0], POINTS[1], POINTS[2], POINTS[4], POINTS[5])
    assert frontier(POINTS, human_cost=0, weak_cost=1) == (POINTS[4], POINTS[5])
    assert frontier([], **PRICES) == ()


def test_the_cheapest_above_a_floor():
    assert cheapest(POINTS, 0.65, **PRICES) == POINTS[2]
    assert cheapest(POINTS, 0.64, **PRICES) == POINTS[1]
    assert cheapest(POINTS, 0.81, **PRICES) is None


points = st.lists(st.builds(Measured, st.integers(0, 5), st.integers(0, 5), st.integers(0, 10).map(lambda n: n / 10)))


@settings(max_examples=100, deadline=None)
@given(points=points, human_cost=st.integers(0, 3), weak_cost=st.integers(0, 3), floor=st.floats(0, 1))
def test_the_frontier_is_what_nothing_dominates(points, human_cost, weak_cost, floor):
    prices = {"human_cost": human_cost, "weak_cost": weak_cost}

    def place(point):
        return cost(point.human, point.weak, **prices), point.accuracy

    def beaten(point):
        price, accuracy = place(point)
        others = map(place, points)
        return any((p <= price and a > accuracy) or (p < price and a >= accuracy) for p, a in others)

    found = frontier(points, **prices)
    assert [place(p) for p in found] == sorted({place(p) for p in points if not beaten(p)})
    enough = [place(p)[0] for p in points if p.accuracy >= floor]
    best = cheapest(points, floor, **prices)
    assert (place(best)[0] if best else None) == min(enough, default=None)


def test_where_the_next_unit_helps_most_by_hand():
    """From (0, 100): 50 human labels cost 100 and bring .10; 300 weak ones cost 30 and bring .04."""
    human, weak = next_unit(POINTS, POINTS[0], **PRICES)
    assert human.per_unit == pytest.approx(0.10 / 100) and human.to == POINTS[2]
    assert human.error == pytest.approx(0.05 / 100)
    assert weak.per_unit == pytest.approx(0.04 / 30) and weak.to == POINTS[1]
    human, weak = next_unit(POINTS, POINTS[2], **PRICES)
    assert human.to == POINTS[4] and human.per_unit == pytest.approx(0.01 / 300)
    assert weak.per_unit == pytest.approx(-0.01 / 30)
    assert next_unit(POINTS, POINTS[5], **PRICES) == (None, None)


def test_next_unit_checks_its_grid():
    with pytest.raises(ValueError, match=r"weak_cost is 0; expected a price above 0"):
        next_unit(POINTS, POINTS[0], human_cost=1, weak_cost=0)
    with pytest.raises(ValueError, match="is not one of the 6 points"):
        next_unit(POINTS, Measured(7, 7, 0.5), **PRICES)
    with pytest.raises(ValueError, match="7 points, but only 6 different pairs"):
        next_unit((*POINTS, POINTS[0]), POINTS[0], **PRICES)
