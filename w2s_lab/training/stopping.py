"""When to stop: rules that choose a snapshot of a training without looking at the test set.

A student that trains on weak labels is often best before the end of its training, when it has learnt the task but not
yet the supervisor's errors (Burns et al. 2023, arXiv 2312.09390). `oracle` looks at the truth, so it is not a rule to
use but a bound for the others. A history is the list of snapshots of one training, in order. No rule chooses step 0,
the untrained model.
"""

from collections.abc import Sequence

from w2s_lab.records import Evaluation, Snapshot


def oracle(history: Sequence[Snapshot], *, ids: Sequence[str] | None = None) -> Snapshot:
    """The snapshot with the highest accuracy on the watched examples; of several, the first.

    It needs the true answers, and so is an upper bound for the rules below, which do without them.

    Args:
        history: snapshots with an evaluation.
        ids: count only these watched examples, such as those of the test set; None: all.

    Raises:
        ValueError: no examples were watched, or one of `ids` was not.
    """
    return max(_trained(history, "oracle"), key=lambda snapshot: _watched(snapshot, ids, "oracle").accuracy)


def best_on(history: Sequence[Snapshot], ids: Sequence[str]) -> Snapshot:
    """The snapshot with the highest accuracy on a few trusted examples among the watched ones; of several, the first.

    This is early stopping with a validation set.

    Args:
        history: snapshots with an evaluation.
        ids: the trusted examples, whose true answers a person has checked.

    Raises:
        ValueError: `ids` is empty, no examples were watched, or one of `ids` was not.
    """
    if not len(ids):
        raise ValueError("best_on: ids is empty; expected the ids of at least one trusted example")
    return max(_trained(history, "best_on"), key=lambda snapshot: _watched(snapshot, ids, "best_on").accuracy)


def at_agreement(history: Sequence[Snapshot], supervisor_accuracy: float) -> Snapshot:
    """The last snapshot before the agreement with the supervisor exceeds the supervisor's accuracy for good.

    A perfect student agrees with its supervisor exactly as often as the supervisor is right. Let a be the fraction of
    inputs where the supervisor is right (`supervisor_accuracy`), and A the agreement. The student can agree with right
    labels on at most a fraction a of the inputs, so on at least A - a of them it repeats an error. As long as A <= a,
    nothing proves imitation; where A > a, imitation is certain. The rule therefore takes the last snapshot with A <= a:
    if A exceeds a and later falls back, the training may go on. (A rule that takes the snapshot whose A is nearest to a
    might choose one where imitation is already certain.)

    The rule needs no true answers, only an estimate of one number, for instance from a few trusted examples. If A never
    exceeds a, the rule takes the last snapshot; if A always does, the snapshot with the lowest A (of several, the
    first).

    Args:
        history: snapshots with an evaluation against the supervisor's labels, on inputs that the student does not
            learn.
        supervisor_accuracy: fraction of the supervisor's labels that are right, or an estimate of it.

    Raises:
        ValueError: `supervisor_accuracy` is not a fraction, or a snapshot has no labels of the supervisor to compare
            with.
    """
    if not 0 <= supervisor_accuracy <= 1:
        raise ValueError(f"at_agreement: supervisor_accuracy is {supervisor_accuracy}; expected a fraction from 0 to 1")
    agreements = []
    for snapshot in (trained := _trained(history, "at_agreement")):
        agreement = _watched(snapshot, None, "at_agreement").agreement
        if agreement is None:
            raise ValueError(
                f"at_agreement: the snapshot at step {snapshot.step} was evaluated without the supervisor's labels. "
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
    """The part of the oracle's gain that a rule reaches: (acc chosen - acc end) / (acc oracle - acc end).

    0: as good as training to the end; 1: as good as the oracle; negative: worse than training to the end. None where
    the oracle gains nothing.

    Args:
        chosen, end, oracle: the rule's snapshot, the last one, and the oracle's.
        ids: count only these watched examples, as for `oracle`; None: all.

    Raises:
        ValueError: no examples were watched, or one of `ids` was not.
    """
    values = [_watched(snapshot, ids, "recovered").accuracy for snapshot in (chosen, end, oracle)]
    return (values[0] - values[1]) / (values[2] - values[1]) if values[2] > values[1] else None


def _trained(history: Sequence[Snapshot], who: str) -> list[Snapshot]:
    """The snapshots without step 0."""
    trained = [snapshot for snapshot in history if snapshot.step > 0]
    if not trained:
        raise ValueError(f"{who}: the history has {len(history)} snapshots, none of them after step 0")
    return trained


def _watched(snapshot: Snapshot, ids: Sequence[str] | None, who: str) -> Evaluation:
    """The evaluation of this snapshot, restricted to the examples with these ids."""
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
