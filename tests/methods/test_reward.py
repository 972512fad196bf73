"""The reward model: against a minimiser of its objective, by hand, and what it gives up."""

import math

import numpy as np
import pytest
from scipy.optimize import minimize

from w2s_lab.methods.reward import Reward, fit_reward, given_up, prefer
from w2s_lab.records import Evaluation, Example, LabelledSet, Task

TASK = Task("preference", ("first", "second"))


def pairs(said: str) -> LabelledSet:
    """One letter a pair: f or s."""
    answers = tuple({"f": "first", "s": "second"}[letter] for letter in said)
    return LabelledSet(TASK, tuple(Example("?", f"pair {i}", "first") for i in range(len(said))), answers)


@pytest.mark.parametrize("C", [0.01, 1.0])
def test_the_fit_is_the_minimum_of_its_objective(C):
    rng = np.random.default_rng(0)
    first, second = rng.normal(3, [1, 2, 5], (40, 3)), rng.normal(3, [1, 2, 5], (40, 3))
    labels = pairs("".join(rng.choice(["f", "s"], 40)))
    scale = np.concatenate([first, second]).std(0)
    sign = np.array([1 if answer == "first" else -1 for answer in labels.answers])

    def objective(w: np.ndarray) -> float:
        apart = (first / scale) @ w - (second / scale) @ w
        return 0.5 * w @ w + C * np.log1p(np.exp(-sign * apart)).sum()

    found = fit_reward(first, second, labels, C=C)
    assert found.coef == pytest.approx(minimize(objective, np.zeros(3), tol=1e-12).x, abs=1e-3)
    other = {"first": "s", "second": "f"}
    turned = fit_reward(second, first, pairs("".join(other[answer] for answer in labels.answers)), C=C)
    assert turned.coef == pytest.approx(found.coef, abs=1e-3)  # which answer stands first does not matter


def test_preferences_by_hand():
    reward = Reward(np.array([2.0, 1.0]), np.array([1.0, -1.0]), "by hand")
    first, second = np.array([[4.0, 1], [0, 1], [2, 2]]), np.array([[2.0, 1], [0, 0], [0, 0]])
    assert reward.scores(first).tolist() == [1, -1, -1] and reward.scores(second).tolist() == [0, 0, 0]
    found = prefer(reward, first, second, pairs("sss"))
    assert found.answers == ("first", "second", "second")
    assert found.probs[:, 0] == pytest.approx([1 / (1 + math.exp(-1)), 1 / (1 + math.e), 1 / (1 + math.e)])
    with pytest.raises(ValueError, match=r"shape \(3, 1\)"):
        reward.scores(first[:, :1])


def test_what_is_given_up_by_hand():
    truth = ("first", "first", "first", "second", "second", "first")
    ids = tuple("abcdef")
    seen = ["second", "second", "second", "first", "second", None]  # a to d: conflicts

    def answers(letters: str) -> Evaluation:
        return Evaluation(TASK, ids, pairs(letters).answers, truth)

    knows = answers("ffsssf")  # all but c
    assert given_up(answers("ffffff"), knows, seen) == pytest.approx(1 / 3)  # a, b served, d given up
    assert given_up(answers("sssfsf"), knows, seen) == 1
    assert given_up(knows, knows, seen) == 0
    assert given_up(knows, answers("sssfss"), seen) is None  # nothing is known
    assert given_up(knows, knows, [None, *truth[1:]]) is None  # no conflict
    with pytest.raises(ValueError, match="same ones"):
        given_up(knows, knows, seen[:5])


def test_what_is_no_preference_is_refused():
    table = np.eye(3)
    with pytest.raises(ValueError, match="expected two"):
        fit_reward(table, table, LabelledSet(Task("t", ("a", "b", "c")), pairs("fff").examples, ("a",) * 3))
    with pytest.raises(ValueError, match="row for each pair"):
        fit_reward(table, table[:, :2], pairs("ffs"))
    with pytest.raises(ValueError, match="3 of 3 labels prefer the first"):
        fit_reward(table, -table, pairs("fff"))
    with pytest.raises(ValueError, match="C is 0"):
        fit_reward(table, -table, pairs("ffs"), C=0)
