"""Evaluate one model; compare three; keep snapshots as JSON."""

from dataclasses import replace

import numpy as np

from w2s_lab.models.language_model import LanguageModel
from w2s_lab.records import Comparison, Evaluation, LabelledSet, Snapshot
from w2s_lab.training.labelling import weak_labels


def evaluate(model: LanguageModel, test: LabelledSet, reference: LabelledSet | None = None) -> Evaluation:
    """What `model` answers on `test`; with the weak supervisor's labels of the same examples as `reference`."""
    return score(weak_labels(model, test), reference)


def score(answers: LabelledSet, reference: LabelledSet | None = None) -> Evaluation:
    """A labelled set, read as a model's predictions, against the truth inside its examples.

    Raises:
        ValueError: an example has no true answer, or `reference` holds other examples.
    """
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
    """Weak supervisor, strong student and strong ceiling on the same test examples."""
    reference = weak_labels(weak, test)
    return Comparison(
        score(reference, reference), evaluate(student, test, reference), evaluate(ceiling, test, reference)
    )


def snapshot_to_json(snapshot: Snapshot) -> dict:
    """Plain JSON values; of the evaluation only what the model said, since the rest is in the watched set."""
    evaluation = snapshot.evaluation
    return {
        "step": snapshot.step,
        "examples_seen": snapshot.examples_seen,
        "train_loss": snapshot.train_loss,
        "predictions": evaluation and evaluation.predictions,
        "probs": None if evaluation is None or evaluation.probs is None else evaluation.probs.tolist(),
    }


def snapshot_from_json(row: dict, watch: LabelledSet | None, reference: LabelledSet | None) -> Snapshot:
    """The snapshot, given the set that was watched and the weak labels of it."""
    evaluation = None
    if watch is not None:
        probs = None if row["probs"] is None else np.array(row["probs"])
        evaluation = score(replace(watch, answers=tuple(row["predictions"]), probs=probs, log_prob=None), reference)
    return Snapshot(row["step"], row["examples_seen"], row["train_loss"], evaluation)
