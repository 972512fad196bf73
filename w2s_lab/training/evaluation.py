"""Evaluate one model; compare three; keep snapshots as JSON."""

from dataclasses import replace

import numpy as np

from w2s_lab.models.language_model import LanguageModel
from w2s_lab.records import Comparison, Evaluation, LabelledSet, Snapshot
from w2s_lab.system.border import check_arguments
from w2s_lab.training.labelling import OnRows, weak_labels


def evaluate(
    model: LanguageModel,
    test: LabelledSet,
    reference: LabelledSet | None = None,
    *,
    on_rows: OnRows | None = None,
) -> Evaluation:
    """The model's answers on the test examples, beside their true answers.

    Args:
        model: any model: weak supervisor, strong student or strong ceiling.
        test: examples with true answers; the set's own labels are not used.
        reference: the weak supervisor's labels of the same examples, for agreement, imitation and correction.
        on_rows: called from time to time with (examples answered, examples in all), for a progress bar.

    Raises:
        ValueError: an example has no true answer, or `reference` holds other examples.
    """
    check_arguments(evaluate, locals())
    return score(weak_labels(model, test, on_rows=on_rows), reference)


def score(answers: LabelledSet, reference: LabelledSet | None = None) -> Evaluation:
    """The answers of a labelled set, taken as a model's predictions, beside the true answers of its examples.

    Raises:
        ValueError: an example has no true answer, or `reference` holds other examples.
    """
    check_arguments(score, locals())
    if reference is not None and reference.ids != answers.ids:
        raise ValueError("score: the reference labels belong to other examples than the predictions")
    truth = LabelledSet.ground_truth(answers.task, answers.examples)
    return Evaluation(
        answers.task,
        answers.ids,
        answers.answers,
        truth.answers,
        reference.answers if reference else None,
        answers.probs,
        tuple(example.tags for example in answers.examples),
    )


def compare(weak: LanguageModel, student: LanguageModel, ceiling: LanguageModel, test: LabelledSet) -> Comparison:
    """Evaluate weak supervisor, strong student and strong ceiling on the same test examples."""
    check_arguments(compare, locals())
    reference = weak_labels(weak, test)
    return Comparison(
        score(reference, reference), evaluate(student, test, reference), evaluate(ceiling, test, reference)
    )


def snapshot_to_json(snapshot: Snapshot) -> dict:
    """Plain JSON values. Of the evaluation they hold only the model's answers; the watched set holds the rest."""
    evaluation = snapshot.evaluation
    return {
        "step": snapshot.step,
        "examples_seen": snapshot.examples_seen,
        "train_loss": snapshot.train_loss,
        "predictions": evaluation and evaluation.predictions,
        "probs": None if evaluation is None or evaluation.probs is None else evaluation.probs.tolist(),
    }


def snapshot_from_json(row: dict, watch: LabelledSet | None, reference: LabelledSet | None) -> Snapshot:
    """The snapshot behind `snapshot_to_json`, given the watched examples and their weak labels."""
    evaluation = None
    if watch is not None:
        probs = None if row["probs"] is None else np.array(row["probs"])
        evaluation = score(replace(watch, answers=tuple(row["predictions"]), probs=probs, log_prob=None), reference)
    return Snapshot(row["step"], row["examples_seen"], row["train_loss"], evaluation)
