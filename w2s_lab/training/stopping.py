"""When to stop: choosing a moment of a training without looking at the test set.

A student that trains on weak labels is often best before its end, when it has learnt the task and not yet the
supervisor's errors (Burns et al. 2023, arXiv 2312.09390, section 5.1.1). `oracle` knows that moment, and is not
allowed; the other choices are. A history is the snapshots of one training, in order; step 0, before any training, is
never chosen.
"""

from collections.abc import Sequence

from w2s_lab.records import Evaluation, Snapshot


def oracle(history: Sequence[Snapshot], *, ids: Sequence[str] | None = None) -> Snapshot:
    """The snapshot with the best accuracy against the truth of what was watched, the first of equals.

    What no one can know who has no truth: the bound for the choices below. `ids`: only these watched examples count,
    such as those of the test set. Raises ValueError where nothing was watched, or an id was not.
    """
    return max(_trained(history, "oracle"), key=lambda snapshot: _watched(snapshot, ids, "oracle").accuracy)


def best_on(history: Sequence[Snapshot], ids: Sequence[str]) -> Snapshot:
    """The snapshot with the best accuracy on a small trusted part of what was watched, the first of equals.

    Early stopping with a validation set: `ids` are its examples, whose truth somebody has checked.

    Raises:
        ValueError: `ids` is empty, nothing was watched, or an id was not.
    """
    if not len(ids):
        raise ValueError("best_on: ids is empty; expected the ids of at least one trusted example")
    return max(_trained(history, "best_on"), key=lambda snapshot: _watched(snapshot, ids, "best_on").accuracy)


def at_agreement(history: Sequence[Snapshot], supervisor_accuracy: float) -> Snapshot:
    """The last snapshot before the agreement with the supervisor exceeds the supervisor's accuracy for good.

    A perfect student agrees with its supervisor exactly as often as the supervisor is right. Let a be the fraction of
    inputs where the supervisor is right, `supervisor_accuracy`, and A the agreement. At most a of the agreement is with
    right labels, so at least A - a of all inputs are repeated errors: as long as A <= a nothing proves imitation,
    beyond it imitation is certain. Hence the last snapshot with A <= a; a crossing that is taken back ends nothing.
    (The snapshot whose A is nearest to a would be another rule; it may lie where imitation is certain already.)

    Needs no truth but an estimate of one number, for instance from a few trusted examples. Where A never exceeds a, it
    is the last snapshot; where it always does, the one with the lowest A, the first of equals.

    Args:
        history: snapshots with an evaluation against the supervisor's labels, of inputs that were not trained on.
        supervisor_accuracy: fraction of the supervisor's labels that are right, or an estimate of it.

    Raises:
        ValueError: not a fraction, or a snapshot does not know the supervisor's labels.
    """
    if not 0 <= supervisor_accuracy <= 1:
        raise ValueError(f"at_agreement: supervisor_accuracy is {supervisor_accuracy}; expected a fraction from 0 to 1")
    agreements = []
    for snapshot in (trained := _trained(history, "at_agreement")):
        agreement = _watched(snapshot, None, "at_agreement").agreement
        if agreement is None:
            raise ValueError(
                f"at_agreement: the snapshot at step {snapshot.step} does not know the supervisor's labels. "
                "Hint: train with the weak labels of the watched set as `reference`"
            )
        agreements.append(agreement)
    below = [row for row, agreement in enumerate(agreements) if agreement <= supervisor_accuracy + 1e-12]
    return trained[below[-1] if below else agreements.index(min(agreements))]


def at_examples(history: Sequence[Snapshot], examples: int) -> Snapshot:
    """The last snapshot that has seen at most `examples` examples (repeats counted): a budget fixed in advance.

    Raises:
        ValueError: the first snapshot has seen more.
    """
    trained = _trained(history, "at_examples")
    affordable = [snapshot for snapshot in trained if snapshot.examples_seen <= examples]
    if not affordable:
        raise ValueError(
            f"at_examples: examples is {examples}, but the first snapshot has seen {trained[0].examples_seen}. "
            "Hint: a smaller eval_every in the recipe takes earlier snapshots"
        )
    return affordable[-1]


def recovered(chosen: Snapshot, end: Snapshot, oracle: Snapshot, *, ids: Sequence[str] | None = None) -> float | None:
    """How much of what stopping can gain the choice has gained: (acc chosen - acc end) / (acc oracle - acc end).

    0: as good as training to the end; 1: as good as the oracle; negative: worse than not stopping at all. None where
    the oracle gains nothing. The same `ids` as for `oracle`: which watched examples count.
    """
    values = [_watched(snapshot, ids, "recovered").accuracy for snapshot in (chosen, end, oracle)]
    return (values[0] - values[1]) / (values[2] - values[1]) if values[2] > values[1] else None


def _trained(history: Sequence[Snapshot], who: str) -> list[Snapshot]:
    """The snapshots but step 0."""
    found = [snapshot for snapshot in history if snapshot.step > 0]
    if not found:
        raise ValueError(f"{who}: the history has {len(history)} snapshots, none of them after step 0")
    return found


def _watched(snapshot: Snapshot, ids: Sequence[str] | None, who: str) -> Evaluation:
    """What was watched at this moment; of that, the examples with these ids."""
    evaluation = snapshot.evaluation
    if evaluation is None or not len(evaluation):
        raise ValueError(
            f"{who}: the snapshot at step {snapshot.step} has no evaluation. Hint: train with a set to `watch`"
        )
    if ids is None:
        return evaluation
    try:
        return evaluation.take(ids)
    except KeyError as missing:
        raise ValueError(
            f"{who}: example {missing} was not watched. Hint: train with a `watch` that has the trusted examples too"
        ) from None
