"""The tilt against geometry made by hand: known angles, scale, turns, exchanged classes, and what has no angle."""

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression

from w2s_lab.methods.tilt import LEAST, decision_line, habit_plane
from w2s_lab.records import Example, LabelledSet, Task

TASK = Task("verdict", ("no", "yes"))
N, D = 600, 12


def direction(degrees: float) -> np.ndarray:
    return np.array([np.cos(np.radians(degrees)), np.sin(np.radians(degrees))])


@pytest.fixture(scope="module")
def points() -> np.ndarray:
    return np.random.default_rng(0).normal(size=(N, 2)) * (3.0, 1.3)


def labelled(truth: np.ndarray, given: np.ndarray) -> LabelledSet:
    examples = [Example("?", str(i), TASK.answers[int(one)]) for i, one in enumerate(truth)]
    return LabelledSet(TASK, examples, tuple(TASK.answers[int(one)] for one in given))


@pytest.fixture(scope="module")
def world() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Features of different units; the first tells the truth, the supervisor goes by the first and by twice the second.

    Standardised, the supervisor's direction is at an angle of arctan 2 to the truth's, and up is the second feature.
    """
    rng = np.random.default_rng(1)
    standard = rng.normal(size=(N, D))
    truth, given = standard[:, 0] > 0, standard @ np.eye(D)[:2].T @ (1.0, 2.0) > 0
    return standard * np.linspace(1, 50, D) + np.linspace(-9, 9, D), truth, given


# -- the line


@pytest.mark.parametrize("degrees", [-150, -90, -30, 0, 30, 60, 90, 120])
@pytest.mark.parametrize("shift", [0.0, 1.0])
def test_answers_of_a_known_tilt_give_that_tilt(points, degrees, shift):
    line = decision_line(points, points @ direction(degrees) + shift > 0)
    assert line.tilt == pytest.approx(degrees, abs=2) and line.given > 0.99
    assert (line.across, line.up) == pytest.approx(direction(degrees), abs=0.04)
    assert line.offset == pytest.approx(shift, abs=0.1)


def test_noisy_answers_give_the_tilt_of_what_they_follow():
    rng = np.random.default_rng(3)
    points = rng.normal(size=(20_000, 2))
    line = decision_line(points, points @ direction(40) + rng.logistic(size=20_000) > 0)
    assert line.tilt == pytest.approx(40, abs=3) and 0.6 < line.given < 0.8


def test_the_given_share_is_counted_on_the_second_answer_s_side(points):
    second = points @ direction(20) + 0.5 > 0
    second[:60] ^= True
    line = decision_line(points, second)
    side = points[:, 0] * line.across + points[:, 1] * line.up + line.offset > 0
    assert line.given == np.mean(side == second) < 0.95


@pytest.mark.parametrize("unit", [1e-4, 1e5])
def test_the_unit_and_the_origin_play_no_part(points, unit):
    second = points @ direction(33) > 0.4
    line, other = decision_line(points, second), decision_line(unit * (points - points[0]), second)
    assert other.tilt == pytest.approx(line.tilt, abs=1e-4) and other.given == line.given


def test_a_turn_of_the_points_turns_the_line(points):
    second = points @ direction(10) > 0.4
    turned = points @ np.stack([direction(50), direction(140)])
    assert decision_line(turned, second).tilt == pytest.approx(decision_line(points, second).tilt + 50, abs=1e-3)


def test_exchanged_answers_point_the_other_way(points):
    second = points @ direction(25) > 0.4
    line, other = decision_line(points, second), decision_line(points, ~second)
    assert abs(line.tilt - other.tilt) == pytest.approx(180, abs=1e-3)
    assert decision_line(-points, ~second).tilt == pytest.approx(line.tilt, abs=1e-3)


def test_where_there_is_no_line_there_is_none(points):
    rng = np.random.default_rng(4)
    assert decision_line(points, np.ones(N, dtype=bool)) is None
    assert decision_line(points, np.zeros(N, dtype=bool)) is None
    second = rng.random(N) < 0.2  # has nothing to do with the points: the line does no better than "no"
    assert decision_line(points, second) is None
    on_a_line = np.outer(np.linspace(-1, 1, N), (1.0, 2.0))
    assert decision_line(on_a_line, on_a_line[:, 0] > 0) is None
    assert decision_line(np.ones((N, 2)), second) is None


def test_what_cannot_be_a_line_is_refused(points):
    second = points[:, 0] > 0
    with pytest.raises(ValueError, match=f"{LEAST - 1} points; expected at least {LEAST}"):
        decision_line(points[: LEAST - 1], second[: LEAST - 1])
    with pytest.raises(ValueError, match=r"shapes \(600, 2\) and \(599,\)"):
        decision_line(points, second[1:])
    with pytest.raises(ValueError, match=r"expected \[N, 2\]"):
        decision_line(points[:, :1], second)
    with pytest.raises(ValueError, match="finite"):
        decision_line(np.where(points > 2, np.nan, points), second)


# -- the plane


def test_the_plane_is_made_of_two_logistic_regressions(world):
    features, truth, given = world
    plane = habit_plane(features, labelled(truth, given), C=0.05)
    standard = (features - features.mean(0)) / features.std(0)
    wanted, habit = (LogisticRegression(C=0.05, tol=1e-8).fit(standard, y).coef_[0] for y in (truth, given))
    q, r = np.linalg.qr(np.stack([wanted, habit], 1))
    across, up = (q * np.sign(np.diag(r))).T
    assert plane.across == pytest.approx(across, abs=1e-3) and plane.up == pytest.approx(up, abs=1e-3)
    assert plane.points(features) == pytest.approx(standard @ np.stack([across, up], 1), abs=1e-2)


def test_across_is_the_truth_and_up_the_habit(world):
    features, truth, given = world
    plane = habit_plane(features, labelled(truth, given))
    assert plane.across[0] > 0.97 and plane.up[1] > 0.97
    points = plane.points(features)
    assert decision_line(points, truth).tilt == pytest.approx(0, abs=5)
    assert decision_line(points, given).tilt == pytest.approx(np.degrees(np.arctan(2)), abs=5)


def test_units_of_the_features_play_no_part(world):
    features, truth, given = world
    labels = labelled(truth, given)
    found = habit_plane(features, labels).points(features)
    other = features * np.linspace(1e-3, 1e3, D) + np.arange(D)
    assert habit_plane(other, labels).points(other) == pytest.approx(found, abs=1e-3)


def test_with_exchanged_classes_the_tilt_is_the_same(world):
    features, truth, given = world
    said = given.copy()
    said[:150] = truth[:150]
    tilts = []
    for exchanged in (False, True):
        plane = habit_plane(features, labelled(truth ^ exchanged, given ^ exchanged))
        tilts.append(decision_line(plane.points(features), said ^ exchanged).tilt)
    assert tilts[0] == pytest.approx(tilts[1], abs=1e-3) and 20 < tilts[0] < 65


def test_the_plane_reads_other_examples_in_the_same_units(world):
    features, truth, given = world
    plane = habit_plane(features, labelled(truth, given))
    assert plane.points(features[5:8]) == pytest.approx(plane.points(features)[5:8])
    with pytest.raises(ValueError, match=r"shape \(600, 11\); expected \[N, 12\]"):
        plane.points(features[:, 1:])


def test_without_two_classes_or_a_habit_there_is_no_plane(world):
    features, truth, given = world
    with pytest.raises(ValueError, match="the truth of 600 examples: one answer only"):
        habit_plane(features, labelled(np.ones(N), given))
    with pytest.raises(ValueError, match="the labels of 600 examples: one answer only"):
        habit_plane(features, labelled(truth, np.zeros(N)))
    for same in (truth, ~truth):
        with pytest.raises(ValueError, match="expected a supervisor with errors"):
            habit_plane(features, labelled(truth, same))
    three = Task("three", ("a", "b", "c"))
    with pytest.raises(ValueError, match="expected two answers"):
        habit_plane(features[:1], LabelledSet.ground_truth(three, [Example("?", "x", "a")]))
    with pytest.raises(ValueError, match="a row per example"):
        habit_plane(features[1:], labelled(truth, given))
