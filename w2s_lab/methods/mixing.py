"""Training sets from several sources: join, weight and correct them; what their labels cost and what they gain."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from w2s_lab.records import Example, LabelledSet
from w2s_lab.system.border import check_arguments
from w2s_lab.system.record import Record


def join(first: LabelledSet, second: LabelledSet, *, source: str | None = None) -> LabelledSet:
    """The rows of both sets, those of `first` before those of `second`.

    If only one set has weights, the weights of the other are 1. If only one has probabilities, those of the other are
    1 for its own answers. `log_prob` and `token_targets` are kept only if both sets have them.

    Raises:
        ValueError: the tasks differ, or an example is in both.
    """
    check_arguments(join, locals())
    if first.task != second.task:
        raise ValueError(f"join: {first.source!r} belongs to task {first.task}, {second.source!r} to {second.task}")
    first_ids = set(first.ids)
    if twice := [example_id for example_id in second.ids if example_id in first_ids]:
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
        weight: one number, or N numbers, or tag -> number. An example with several of these tags takes the number of
            the tag that is named first; an example with none of them keeps its weight.

    Raises:
        ValueError: there are not N numbers, a weight is not a number from 0 up, or no example has one of the tags.
    """
    check_arguments(weighted, locals())
    if isinstance(weight, Mapping):
        known_tags = {tag for example in labels.examples for tag in example.tags}
        for tag in weight:
            if tag not in known_tags:
                expected = ", ".join(sorted(known_tags))
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
    """Weak labels with some trusted labels, which replace the weak labels of the same examples or are added.

    The rows of `labels` keep their order, and added rows follow them. `join` says what becomes of a field that only one
    of the sets has. For n trusted labels of the student's own examples, give `splits.student_train.take(rows)`.

    Args:
        labels: weak labels.
        truth: trusted labels, matched by the examples' ids. They may follow a new policy where `labels` follow the old.
        weight: how much more a trusted label counts in the loss than a weak one.

    Raises:
        ValueError: the tasks differ, or `weight` is not a number from 0 up.
    """
    trusted = set(truth.ids)
    name = f"{labels.source}, {len(truth)} of {truth.source} (x {weight:g})"
    untrusted = labels.take([row for row, example_id in enumerate(labels.ids) if example_id not in trusted])
    # a weight of 1 is left out: the set keeps the digest that it has without weights
    mixed = join(untrusted, truth if weight == 1 else weighted(truth, weight), source=name)
    row_of = {example_id: row for row, example_id in enumerate(mixed.ids)}
    ids = dict.fromkeys((*labels.ids, *truth.ids))
    return mixed.take([row_of[example_id] for example_id in ids])


def without(labels: LabelledSet, condition: str | Callable[[Example], bool]) -> LabelledSet:
    """The labels of all examples but those with a tag (`condition` is its name) or for which `condition` holds.

    `source` says how many examples were dropped; it is 0 if no example has the tag.
    """
    check_arguments(without, locals())
    tagged = isinstance(condition, str)
    dropped = np.array([condition in e.tags if tagged else bool(condition(e)) for e in labels.examples], dtype=bool)
    what = f" tagged {condition}" if tagged else ""
    return labels.take(~dropped, source=f"{labels.source}, without {dropped.sum()} of {len(labels)} examples{what}")


@dataclass(frozen=True)
class Measured(Record):
    """How many human and weak labels a training set has, and the accuracy of the student that learnt from it.

    Attributes:
        human: number of human labels.
        weak: number of weak labels.
        accuracy: accuracy of the student, a fraction; the mean if there are several seeds.
        error: standard error of the accuracy; 0 if unknown.
    """

    human: int
    weak: int
    accuracy: float
    error: float = 0.0


@dataclass(frozen=True)
class Gain(Record):
    """Accuracy per unit of money, from one point of a grid to the next with more labels of one kind.

    Attributes:
        per_unit: accuracy (a fraction) per unit of money; negative where more labels hurt.
        error: its standard error.
        to: the point at the other end of the step.
    """

    per_unit: float
    error: float
    to: Measured


def cost(human: int, weak: int, *, human_cost: float, weak_cost: float) -> float:
    """Total price of these numbers of labels at these prices per label; raises ValueError if a number is below 0."""
    for name, value in (("human", human), ("weak", weak), ("human_cost", human_cost), ("weak_cost", weak_cost)):
        if not value >= 0:
            raise ValueError(f"cost: {name} is {value}; expected a number from 0 up")
    return human * human_cost + weak * weak_cost


def frontier(points: Sequence[Measured], *, human_cost: float, weak_cost: float) -> tuple[Measured, ...]:
    """The Pareto frontier, cheapest first: the points for which all points that cost no more have a lower accuracy.

    Of points with the same cost and accuracy, it has the first.
    """

    def price(point: Measured) -> float:
        return cost(point.human, point.weak, human_cost=human_cost, weak_cost=weak_cost)

    best: list[Measured] = []
    for point in sorted(points, key=lambda point: (price(point), -point.accuracy)):
        if not best or point.accuracy > best[-1].accuracy:
            best.append(point)
    return tuple(best)


def cheapest(points: Sequence[Measured], accuracy: float, *, human_cost: float, weak_cost: float) -> Measured | None:
    """The cheapest point with at least this accuracy; None if there is no such point."""
    best = frontier(points, human_cost=human_cost, weak_cost=weak_cost)
    return next((point for point in best if point.accuracy >= accuracy), None)


def next_unit(
    points: Sequence[Measured], at: Measured, *, human_cost: float, weak_cost: float
) -> tuple[Gain | None, Gain | None]:
    """What the next unit of money gains: if it buys human labels, and if it buys weak labels.

    Both are finite differences on a grid of measured points. The first is the difference in accuracy from `at` to the
    point with the next larger number of human labels and as many weak labels, divided by the price of the added labels;
    the second does the same for weak labels. Trust a gain only if it is well above its error.

    Args:
        points: measured on a grid human x weak.
        at: one of them.
        human_cost, weak_cost: price of one label, above 0.

    Returns:
        (gain by human labels, gain by weak labels); None where the grid ends.

    Raises:
        ValueError: `at` is not one of the points, two points have equal numbers of labels, or a price is not above 0.
    """
    for name, price in (("human_cost", human_cost), ("weak_cost", weak_cost)):
        if not price > 0:
            raise ValueError(f"next_unit: {name} is {price}; expected a price above 0, or no unit of it can be bought")
    grid = {(point.human, point.weak): point for point in points}
    if len(grid) != len(points):
        raise ValueError(
            f"next_unit: {len(points)} points, but only {len(grid)} different pairs (human, weak); expected one point "
            "for each pair"
        )
    if at not in points:
        raise ValueError(f"next_unit: {at} is not one of the {len(points)} points")

    def gain(candidates: list[Measured]) -> Gain | None:
        if not candidates:
            return None
        to = min(candidates, key=lambda point: point.human + point.weak)
        paid = cost(to.human - at.human, to.weak - at.weak, human_cost=human_cost, weak_cost=weak_cost)
        return Gain((to.accuracy - at.accuracy) / paid, float(np.hypot(to.error, at.error)) / paid, to)

    return (
        gain([point for point in points if point.weak == at.weak and point.human > at.human]),
        gain([point for point in points if point.human == at.human and point.weak > at.weak]),
    )


def _weight(labels: LabelledSet) -> np.ndarray:
    return np.ones(len(labels)) if labels.weight is None else labels.weight


def _probs(labels: LabelledSet) -> np.ndarray:
    """The labeller's probabilities, [N, K]; if there are none, 1 for the answer."""
    if labels.probs is not None:
        return labels.probs
    choices = labels.task.answers
    return np.eye(len(choices))[[choices.index(answer) for answer in labels.answers]]
