"""What a loss needs of a labelled set, checked before anything is trained."""

import math
from collections.abc import Collection

import torch
from torch import Tensor

from w2s_lab.objective import LOSSES, NEEDS, Loss, Reading, Targets
from w2s_lab.records import LabelledSet, Task
from w2s_lab.system.randomness import OwnRandomness

WANTS = {  # of objective.NEEDS: what it is, and where it comes from
    "probs": ("the supervisor's probabilities", "weak_labels gives them, for a task with a closed list"),
    "token_targets": (
        "the supervisor's probabilities of the next tokens",
        "token_targets(weak, labels) gives them",
    ),
}


def reading_of(loss: Loss, *, closed: bool, offered: Collection[str] = NEEDS) -> Reading:
    """What the loss reads of a task with a closed list of answers, or of an open one.

    Raises:
        ValueError: the loss cannot learn from such a task; the message names losses that need only what is `offered`.
    """
    found = loss.reads(closed)
    if found is None:
        raise ValueError(
            f"{type(loss).__name__} cannot learn from {_kind(closed)} task, only from {_kind(not closed)} one. "
            f"Hint: losses that can: {', '.join(_others(closed, offered))}"
        )
    return found


def check_set(loss: Loss, labelled: LabelledSet) -> None:
    """`check_offer` of a labelled set."""
    offered = [name for name in WANTS if getattr(labelled, name) is not None]
    check_offer(loss, labelled.task, offered=offered, source=labelled.source)


def check_offer(loss: Loss, task: Task, *, offered: Collection[str], source: str) -> None:
    """Raise an error if a loss cannot be trained on a set of this task that has only `offered` of `objective.NEEDS`.

    Raises:
        ValueError: the loss cannot learn from such a task, needs more than the set has, or does not compute the loss of
            each row from made-up scores.
        TypeError: the loss does not compute a tensor from these scores.
    """
    closed = task.answers is not None
    reading_of(loss, closed=closed, offered=offered)
    for need in sorted(loss.needs(closed) - {*offered}):
        wanted, hint = WANTS[need]
        raise ValueError(
            f"{type(loss).__name__} needs {wanted} ({need}), but the set ({source}) of {_kind(closed)} task has none. "
            f"Hint: {hint}; or take a loss that needs none, such as {_others(closed, offered)[0]}"
        )
    _try_out(loss, closed=closed, choices=len(task.answers or ()))


def _others(closed: bool, offered: Collection[str]) -> list[str]:
    """Names of the built-in losses that need nothing of the labels but what is `offered`."""
    kinds = [one for one in LOSSES.values() if one().reads(closed) not in (None, "text")]
    return [one.__name__ for one in kinds if one().needs(closed) <= {*offered}]


def _kind(closed: bool) -> str:
    return "a closed" if closed else "an open"


def _try_out(loss: Loss, *, closed: bool, choices: int) -> None:
    """Compute the loss of four made-up rows; raises what `losses_of` raises."""
    rows, tokens, reading, needs = 4, 3, loss.reads(closed), loss.needs(closed)
    kept = 2 if "token_targets" in needs else 0
    shape = {"list": (rows, choices), "tokens": (rows, tokens, 1 + kept)}.get(reading, (rows,))
    scores = -torch.linspace(0.5, 2.5, math.prod(shape)).view(shape)
    probs = (rows, tokens, kept) if reading == "tokens" and kept else (rows, choices) if "probs" in needs else None
    listed = closed and reading != "text"
    targets = Targets(
        probs=probs and torch.full(probs, 1 / probs[-1]),
        answers=torch.arange(rows) % choices if listed else None,
        class_balance=[1 / choices] * choices if listed else None,
        progress=0.5,
        mask=torch.ones(rows, tokens, dtype=torch.bool) if reading == "tokens" else None,
    )
    with OwnRandomness(0):  # a loss of a user's own may draw
        losses_of(loss, scores.requires_grad_(), targets)


def losses_of(loss: Loss, scores: Tensor, targets: Targets) -> Tensor:
    """The loss of each row, [B], as the loss computes it.

    Raises:
        TypeError: the result is not a tensor.
        ValueError: the result has another shape, or does not depend on the scores.
    """
    found = loss(scores, targets)
    name = type(loss).__name__
    if not isinstance(found, Tensor):
        raise TypeError(f"{name} returned a {type(found).__name__}; expected a tensor with the loss of each row, [B]")
    if found.shape != scores.shape[:1]:
        hint = " Hint: no mean over the batch; the training takes it" if not found.shape else ""
        raise ValueError(
            f"{name} returned a tensor of shape {list(found.shape)} for {len(scores)} rows; expected "
            f"{list(scores.shape[:1])}, the loss of each row.{hint}"
        )
    if not found.requires_grad:
        raise ValueError(
            f"{name} returned losses without gradient: they do not depend on the scores, or were detached from them"
        )
    return found
