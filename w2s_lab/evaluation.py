"""Evaluate one model; compare three."""

from w2s_lab.labelling import weak_labels
from w2s_lab.language_model import LanguageModel
from w2s_lab.records import Comparison, Evaluation, LabelledSet


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
