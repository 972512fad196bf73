"""Why a student surpasses its supervisor, in one plane: across lies the truth, up what else the supervisor goes by.

The features are those of the student's own network before it has learnt a label. A student that takes up only what is
asked for draws an upright line between its answers; one that has learnt its supervisor's errors draws a tilted one. The
tilt is that angle. Both axes use the truth: the picture explains, and it detects nothing.
"""

import math
from dataclasses import dataclass

import numpy as np

from w2s_lab.methods.probe import fit_probe
from w2s_lab.records import LabelledSet
from w2s_lab.system.record import Record

LINE_C = 100.0  # for answers of a known tilt, a smaller one pulled lines upright; from 100 up by less than a degree
LEAST = 10  # points; a line through fewer of them says nothing
PARALLEL = 1e-3  # share of the supervisor's direction that is left beside the truth's; below it, there is no habit


@dataclass(frozen=True, eq=False)
class HabitPlane(Record):
    """Two orthogonal directions among standardised features. Made by `habit_plane`.

    Attributes:
        mean, scale: [d] of the features that it was made from.
        across: [d], of length 1: from the first answer of the task to the second one, as the truth has it.
        up: [d], of length 1: the same as the supervisor has it, without what of it lies in `across`.
    """

    mean: np.ndarray
    scale: np.ndarray
    across: np.ndarray
    up: np.ndarray

    def points(self, features: np.ndarray) -> np.ndarray:
        """Coordinates (across, up) of features [N, d] of the same network: [N, 2], in standard deviations."""
        if features.ndim != 2 or features.shape[1] != len(self.mean):
            raise ValueError(f"HabitPlane: features have shape {features.shape}; expected [N, {len(self.mean)}]")
        return (features - self.mean) / self.scale @ np.stack([self.across, self.up], 1)


def habit_plane(features: np.ndarray, labels: LabelledSet, *, C: float = 0.01) -> HabitPlane:
    """The plane of a supervisor's habit among the features of a network.

    Across is the direction of a logistic regression of the true answers on the standardised features. Up is that of the
    supervisor's labels, made orthogonal to the first one: what predicts its labels beside the truth.

    Args:
        features: [N, d], one row for each example of `labels`.
        labels: the supervisor's labels of a task with two answers, with the truth inside.
        C: of both regressions, as in `fit_probe`.

    Raises:
        ValueError: the task does not have two answers, the truth or the labels are all one answer, or the labels follow
            no other direction than the truth, such as labels that are all right.
    """
    if labels.task.answers is None or len(labels.task.answers) != 2:
        raise ValueError(f"habit_plane: the task {labels.task.name!r} has {labels.task.answers}; expected two answers")
    right = LabelledSet.ground_truth(labels.task, labels.examples)
    for name, one in (("the truth", right), ("the labels", labels)):
        if len(set(one.answers)) < 2:
            raise ValueError(f"habit_plane: {name} of {len(one)} examples: one answer only; expected both")
    truth, supervisor = (fit_probe(features, one, C=C) for one in (right, labels))
    across, habit = (np.subtract(*fitted.coef[::-1]) for fitted in (truth, supervisor))
    across = across / np.linalg.norm(across)
    up = habit - (habit @ across) * across
    if np.linalg.norm(up) <= PARALLEL * np.linalg.norm(habit):
        raise ValueError(
            "habit_plane: nothing but the direction of the truth predicts the labels; expected a supervisor with errors"
        )
    return HabitPlane(truth.mean, truth.scale, across, up / np.linalg.norm(up))


@dataclass(frozen=True)
class DecisionLine(Record):
    """The straight line in a plane that best parts a set of answers. Made by `decision_line`.

    The second answer lies where across * x + up * y + offset > 0; (across, up) has length 1.

    Attributes:
        across, up: the direction that the answers follow, at right angles to the line.
        offset: distance of the line from the origin, in the units of the points.
        given: fraction of the answers that the line gives again.
    """

    across: float
    up: float
    offset: float
    given: float

    @property
    def tilt(self) -> float:
        """Degrees between -180 and 180: 0 follows the truth, 90 the supervisor's habit, below 0 its opposite."""
        return math.degrees(math.atan2(self.up, self.across))


def decision_line(points: np.ndarray, second: np.ndarray) -> DecisionLine | None:
    """A logistic regression of answers on the coordinates of their inputs.

    Its direction does not depend on the unit of the plane, and turns with the points.

    Args:
        points: [N, 2] as of `HabitPlane.points`.
        second: [N] bool: the answer is the second one of the task.

    Returns:
        None where there is no such line, so that its tilt would mean nothing: all answers are the same, the points do
        not span the plane, or the line gives no more answers again than the commoner answer alone.

    Raises:
        ValueError: the shapes do not fit, there are fewer than LEAST points, or a coordinate is not finite.
    """
    points, second = np.asarray(points, dtype=np.float64), np.asarray(second, dtype=bool)
    if points.ndim != 2 or points.shape[1] != 2 or second.shape != (len(points),):
        raise ValueError(f"decision_line: shapes {points.shape} and {second.shape}; expected [N, 2] and [N]")
    if len(points) < LEAST or not np.isfinite(points).all():
        raise ValueError(f"decision_line: {len(points)} points; expected at least {LEAST}, and finite numbers")
    centre = points.mean(0)
    unit = math.sqrt(((points - centre) ** 2).mean())
    commoner = max(second.mean(), 1 - second.mean())
    if commoner == 1 or not unit > 0 or np.linalg.matrix_rank((points - centre) / unit, tol=1e-6) < 2:
        return None
    from sklearn.linear_model import LogisticRegression  # a second to import

    regression = LogisticRegression(C=LINE_C, solver="newton-cholesky").fit((points - centre) / unit, second)
    across, up = regression.coef_[0] / unit
    length = math.hypot(across, up)
    offset = float(regression.intercept_[0]) - across * centre[0] - up * centre[1]
    given = float(np.mean(second == (points @ (across, up) + offset > 0)))
    if not length > 0 or given <= commoner:
        return None
    return DecisionLine(float(across / length), float(up / length), float(offset / length), given)
