"""Training sets from several sources: joined, weighted, mended with trusted labels; what they cost, what they bring."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from w2s_lab.records import Example, LabelledSet


def join(first: LabelledSet, second: LabelledSet, *, source: str | None = None) -> LabelledSet:
    """The rows of both, one behind the other.

    Where only one of them has weights, those of the other are 1. Where only one has probabilities, those of the other
    are 1 for its own answers. `log_prob` and `token_targets` are kept where both have them.

    Raises:
        ValueError: the tasks differ, or an example is in both.
    """
    if first.task != second.task:
        raise ValueError(f"join: {first.source!r} belongs to task {first.task}, {second.source!r} to {second.task}")
    known = set(first.ids)
    if twice := [example_id for example_id in second.ids if example_id in known]:
        raise ValueError(
            f"join: {len(twice)} examples are in both sets: {', '.join(twice[:3])}{', ...' if len(twice) > 3 else ''}. "
            "Hint: with_truth(weak, trusted) lets trusted labels take the place of weak ones"
        )
    name = source or f"{first.source} + {second.source}"
    if not len(first) or not len(second):
        return replace(first if len(first) else second, source=name)
    sides = (first, second)

    def one_has(field: str) -> bool:
        return any(getattr(side, field) is not None for side in sides)

    def both_have(field: str) -> bool:
        return all(getattr(side, field) is not None for side in sides)

    return LabelledSet(
        first.task,
        first.examples + second.examples,
        first.answers + second.answers,
        np.concatenate([_probs(side) for side in sides]) if one_has("probs") else None,
        np.concatenate([side.log_prob for side in sides]) if both_have("log_prob") else None,
        source=name,
        weight=np.concatenate([_weight(side) for side in sides]) if one_has("weight") else None,
        token_targets=first.token_targets + second.token_targets if both_have("token_targets") else None,
    )


def weighted(labels: LabelledSet, weight: float | Sequence[float] | Mapping[str, float]) -> LabelledSet:
    """The same labels, counting `weight` times as much in the loss as before.

    Args:
        labels: N labels; weights that they have already are multiplied.
        weight: one number; or N of them; or tag -> number, where an example with several of these tags takes the one
            that is named first, and one with none of them stays as it is.

    Raises:
        ValueError: another number than N of them, a weight is not a number from 0 up, or no example has a tag.
    """
    if isinstance(weight, Mapping):
        known = {tag for example in labels.examples for tag in example.tags}
        for tag in weight:
            if tag not in known:
                expected = ", ".join(sorted(known))
                raise ValueError(f"weighted: no example has the tag {tag!r}; expected one of {expected}")
        factor = [next((w for tag, w in weight.items() if tag in e.tags), 1.0) for e in labels.examples]
        name = ", ".join(f"{tag} x {w:g}" for tag, w in weight.items())
    else:
        factor = weight
        name = f"x {weight:g}" if np.ndim(weight) == 0 else "weighted one by one"
    factor = np.asarray(factor, dtype=float)
    if factor.ndim and factor.shape != (len(labels),):
        raise ValueError(f"weighted: weight has shape {factor.shape}; expected one number, or {len(labels)} of them")
    return replace(labels, weight=_weight(labels) * factor, source=f"{labels.source} ({name})")


def with_truth(labels: LabelledSet, truth: LabelledSet, *, weight: float = 1.0) -> LabelledSet:
    """Weak labels with some trusted ones: these replace the weak labels of the same examples, and are added elsewhere.

    The rows of `labels` keep their places; what is added follows. Fields that only one of them has: see `join`.
    For n trusted labels of the student's own examples, give `splits.student_train.take(rows)`.

    Args:
        labels: weak labels.
        truth: trusted labels, matched by the examples' ids; also one of a new policy, where `labels` follow the old.
        weight: how much more a trusted label counts in the loss than a weak one.

    Raises:
        ValueError: the tasks differ, or `weight` is not a number from 0 up.
    """
    trusted = set(truth.ids)
    name = f"{labels.source}, {len(truth)} of {truth.source} (x {weight:g})"
    rest = labels.take([row for row, example_id in enumerate(labels.ids) if example_id not in trusted])
    # a weight of 1 is no weight: the set stays the same training set as without
    mixed = join(rest, truth if weight == 1 else weighted(truth, weight), source=name)
    row_of = {example_id: row for row, example_id in enumerate(mixed.ids)}
    ids = dict.fromkeys((*labels.ids, *truth.ids))
    return mixed.take([row_of[example_id] for example_id in ids])


def without(labels: LabelledSet, condition: str | Callable[[Example], bool]) -> LabelledSet:
    """The labels of all examples but those with a tag (`condition` is its name) or for which `condition` holds.

    How many were dropped is said in `source`; 0 of them where none has the tag.
    """
    tagged = isinstance(condition, str)
    dropped = np.array([condition in e.tags if tagged else bool(condition(e)) for e in labels.examples], dtype=bool)
    what = f" tagged {condition}" if tagged else ""
    return labels.take(~dropped, source=f"{labels.source}, without {dropped.sum()} of {len(labels)} examples{what}")


@dataclass(frozen=True)
class Measured:
    """A training set of so many human and weak labels, and the accuracy of the student that learnt from it.

    Attributes:
        human: number of human labels.
        weak: number of weak labels.
        accuracy: of the student, a fraction; over several seeds, their mean.
        error: standard error of the accuracy; 0 where unknown.
    """

    human: int
    weak: int
    accuracy: float
    error: float = 0.0


@dataclass(frozen=True)
class Gain:
    """Accuracy per unit of money, from one point of a grid to the next with more labels of one kind.

    Attributes:
        per_unit: accuracy (a fraction) per unit of money; negative where more labels hurt.
        error: its standard error.
        to: the point that was compared with.
    """

    per_unit: float
    error: float
    to: Measured


def cost(human: int, weak: int, *, human_cost: float, weak_cost: float) -> float:
    """Money for so many human and weak labels at these prices per label; ValueError where one is below 0."""
    for name, value in (("human", human), ("weak", weak), ("human_cost", human_cost), ("weak_cost", weak_cost)):
        if not value >= 0:
            raise ValueError(f"cost: {name} is {value}; expected a number from 0 up")
    return human * human_cost + weak * weak_cost


def frontier(points: Sequence[Measured], *, human_cost: float, weak_cost: float) -> tuple[Measured, ...]:
    """The Pareto frontier, cheapest first: points where whatever costs no more has a lower accuracy.

    Of points with the same cost and accuracy, the first.
    """

    def price(point: Measured) -> float:
        return cost(point.human, point.weak, human_cost=human_cost, weak_cost=weak_cost)

    found: list[Measured] = []
    for point in sorted(points, key=lambda point: (price(point), -point.accuracy)):
        if not found or point.accuracy > found[-1].accuracy:
            found.append(point)
    return tuple(found)


def cheapest(points: Sequence[Measured], accuracy: float, *, human_cost: float, weak_cost: float) -> Measured | None:
    """The cheapest point with at least this accuracy, a quality floor; None where there is none."""
    best = frontier(points, human_cost=human_cost, weak_cost=weak_cost)
    return next((point for point in best if point.accuracy >= accuracy), None)


def next_unit(
    points: Sequence[Measured], at: Measured, *, human_cost: float, weak_cost: float
) -> tuple[Gain | None, Gain | None]:
    """Where the next unit of money helps most: the gain from more human labels, and that from more weak labels.

    Finite differences on a grid of measured points: to the next larger number of human labels with as many weak ones,
    divided by what these labels cost, and the other way round. A difference that is not well above its error says
    nothing.

    Args:
        points: measured on a grid human x weak.
        at: one of them.
        human_cost, weak_cost: price of one label, above 0.

    Returns:
        (human, weak); None where the grid ends.

    Raises:
        ValueError: `at` is not one of the points, two points lie at the same place, or a price is not above 0.
    """
    for name, price in (("human_cost", human_cost), ("weak_cost", weak_cost)):
        if not price > 0:
            raise ValueError(f"next_unit: {name} is {price}; expected a price above 0, or no unit of it can be bought")
    grid = {(point.human, point.weak): point for point in points}
    if len(grid) != len(points):
        raise ValueError(f"next_unit: {len(points)} points at {len(grid)} places; expected one at each")
    if at not in points:
        raise ValueError(f"next_unit: {at} is not one of the {len(points)} points")

    def gain(more: list[Measured]) -> Gain | None:
        if not more:
            return None
        to = min(more, key=lambda point: point.human + point.weak)
        paid = cost(to.human - at.human, to.weak - at.weak, human_cost=human_cost, weak_cost=weak_cost)
        return Gain((to.accuracy - at.accuracy) / paid, float(np.hypot(to.error, at.error)) / paid, to)

    return (
        gain([point for point in points if point.weak == at.weak and point.human > at.human]),
        gain([point for point in points if point.human == at.human and point.weak > at.weak]),
    )


def _weight(labels: LabelledSet) -> np.ndarray:
    return np.ones(len(labels)) if labels.weight is None else labels.weight


def _probs(labels: LabelledSet) -> np.ndarray:
    """[N, K]: those of whoever labelled, or 1 for the answer."""
    if labels.probs is not None:
        return labels.probs
    choices = labels.task.answers
    return np.eye(len(choices))[[choices.index(answer) for answer in labels.answers]]
