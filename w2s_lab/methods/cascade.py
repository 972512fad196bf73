"""A cascade at inference: the weak model answers where it is confident, and the strong model answers elsewhere.

Xiao & Zhu (2025, arXiv 2501.09223), section 4.2.5 (fig. 4.5e). Both models label the same examples beforehand, so that
another threshold needs no new computation. Examples are matched by id.
"""

import math
from dataclasses import dataclass

import numpy as np
import torch

from w2s_lab.methods.selection import aligned, confidence
from w2s_lab.models.language_model import LanguageModel, needs_language_model
from w2s_lab.records import LabelledSet
from w2s_lab.system.border import check_arguments
from w2s_lab.system.record import Record

POINTS = 101  # of a curve, at most


def cascade(weak: LabelledSet, strong: LabelledSet, threshold: float) -> tuple[LabelledSet, int]:
    """The weak answers where the weak confidence is at least `threshold`, the strong ones elsewhere.

    Args:
        weak: the weak model's labels of a closed task.
        strong: the strong model's labels of the same examples.
        threshold: on `selection.confidence`, a probability; 0 never asks the strong model, inf always does.

    Returns:
        (answers in the order of `weak`, number of items that the strong model was asked). In each row, `probs`
        and `log_prob` are those of the model that answered; None if one of the two sets has none.

    Raises:
        ValueError: `weak` has no probs, the sets hold different examples, or `threshold` is nan.
    """
    check_arguments(cascade, locals())
    if math.isnan(threshold):
        raise ValueError("cascade: threshold is nan; expected a number")
    strong_labels, asked = aligned(strong, weak), confidence(weak) < threshold

    def mixed(name: str) -> np.ndarray | None:
        a, b = getattr(weak, name), getattr(strong_labels, name)
        return None if a is None or b is None else np.where(asked if a.ndim == 1 else asked[:, None], b, a)

    answers = tuple(s if ask else w for w, s, ask in zip(weak.answers, strong_labels.answers, asked, strict=True))
    source = f"cascade of [{weak.source}; {strong.source}] at confidence {threshold:.6g}"
    labels = LabelledSet(weak.task, weak.examples, answers, mixed("probs"), mixed("log_prob"), source)
    return labels, int(asked.sum())


@dataclass(frozen=True)
class CascadePoint(Record):
    """A cascade with one threshold, on examples with known truth.

    Attributes:
        threshold: the strong model is asked where the weak confidence is below it; inf: always.
        asked: fraction of the items that the strong model is asked.
        cost: mean cost per item, in the unit of the given costs.
        accuracy: fraction of the answers that equal the truth.
    """

    threshold: float
    asked: float
    cost: float
    accuracy: float


def cascade_curve(weak: LabelledSet, strong: LabelledSet, *, cost: tuple[float, float]) -> tuple[CascadePoint, ...]:
    """Cost against accuracy over all thresholds that make a difference, from never asking the strong model to always.

    The thresholds are 0, the distinct weak confidences, and inf. If these are more than 101, the confidences are
    replaced by quantiles, so that the points are about evenly spaced in the fraction asked. Cost rises along the curve;
    accuracy need not.

    Args:
        weak, strong: labels of the same examples, whose truth is known; `weak` with probs.
        cost: (weak, strong) per item, such as FLOPs from `flops_per_item`. The weak model always runs, the strong one
            where it is asked: an item costs weak + asked * strong.

    Raises:
        ValueError: `weak` has no probs, the sets hold different examples or none, a truth is unknown, or a cost is not
            a finite number from 0 up.
    """
    check_arguments(cascade_curve, locals())
    if len(cost) != 2 or not all(math.isfinite(c) and c >= 0 for c in cost):
        raise ValueError(f"cascade_curve: cost is {cost}; expected two finite numbers from 0 up, (weak, strong)")
    if len(weak) == 0:
        raise ValueError(f"cascade_curve: the set ({weak.source}) is empty; expected at least one example")
    truth = np.array(LabelledSet.ground_truth(weak.task, weak.examples).answers, dtype=object)
    right, strong_right = (np.array(labels.answers, dtype=object) == truth for labels in (weak, aligned(strong, weak)))
    sure = confidence(weak)
    points = []
    for threshold in _thresholds(sure):
        ask = sure < threshold
        asked, accuracy = float(ask.mean()), float(np.where(ask, strong_right, right).mean())
        points.append(CascadePoint(threshold, asked, cost[0] + asked * cost[1], accuracy))
    return tuple(points)


def _thresholds(sure: np.ndarray) -> list[float]:
    """In rising order: 0 sends no item to the strong model, any other value the items below it, inf all.

    The first and the last do so for unseen items too.
    """
    between = np.unique(sure)[1:]
    if len(between) > POINTS - 2:
        inner = np.linspace(0, 1, POINTS)[1:-1]
        between = np.unique(np.quantile(sure, inner, method="higher"))
        between = between[between > sure.min()]
    return [0.0, *between.tolist(), math.inf]


def fit_threshold(weak_trusted: LabelledSet, strong_trusted: LabelledSet, *, tolerance: float = 0.0) -> float:
    """The threshold of the cheapest cascade whose accuracy is within `tolerance` of the best of the curve.

    Whatever the two models cost, the cheapest cascade is the one that asks the strong model least often; it has the
    lowest such threshold. The best of many thresholds looks better on these items than it is: measure it on others.

    Args:
        weak_trusted, strong_trusted: labels of the same held-out examples with known truth.
        tolerance: how much accuracy may be given up, a fraction (0.01: one item in a hundred).

    Raises:
        ValueError: `tolerance` is below 0 or nan, or as for `cascade_curve`.
    """
    if not tolerance >= 0:
        raise ValueError(f"fit_threshold: tolerance is {tolerance}; expected a fraction from 0 up")
    curve = cascade_curve(weak_trusted, strong_trusted, cost=(0.0, 1.0))
    enough = max(point.accuracy for point in curve) - tolerance - 1e-9  # rounding, far below one item
    return next(point.threshold for point in curve if point.accuracy >= enough)


def flops_per_item(model: LanguageModel, inputs: LabelledSet) -> float:
    """Floating-point operations to read one prompt, on average over the set: 2 x weights x prompt tokens.

    2 N per token for a forward pass is the count of Kaplan et al. (2020, arXiv 2001.08361): a multiplication and an
    addition per weight. The count includes the entries of all matrices except embeddings, which are only looked up; it
    includes the output head, even if the head shares its matrix with an embedding. It leaves out the products of
    queries, keys and values (about tokens / (6 width) of what a layer's matrices take), the arithmetic of norms, biases
    and activations, and the tokens of answers. It counts the head at every token, although only the last token needs
    it. It assumes that all weights are in use, which is wrong for a mixture of experts.

    Raises:
        ValueError: the set is empty.
    """
    needs_language_model(model, "flops_per_item")
    check_arguments(flops_per_item, locals())
    if len(inputs) == 0:
        raise ValueError(f"flops_per_item: the set ({inputs.source}) is empty; expected at least one example")
    network = model.network
    tables = [layer for layer in network.modules() if isinstance(layer, torch.nn.Embedding)]
    head = network.get_output_embeddings().weight
    apart = {id(weight) for weight in (head, *(table.weight for table in tables))}
    inner = sum(p.numel() for p in network.parameters() if p.ndim > 1 and id(p) not in apart)
    prompts, _ = model.encode_prompts(inputs.examples, model.window)
    return 2.0 * (inner + head.numel()) * float(np.mean([len(prompt) for prompt in prompts]))
