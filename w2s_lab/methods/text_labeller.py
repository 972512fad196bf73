"""What an object or a function gives for texts, read as answers and probabilities of a task, and checked."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from w2s_lab.records import LabelledSet, Task

TOLERANCE = 1e-4  # by which the probabilities of an input may miss the sum 1

Given = tuple[list[str], np.ndarray | None]  # N answers; [N, K] probabilities, or None


@dataclass(frozen=True, eq=False)
class TextLabeller:
    """What answers by the text of the input alone: the instruction plays no part.

    Attributes:
        name: for people to read.
        what: a fitted object with `predict`, or a function.
    """

    name: str
    what: Any

    def answer(self, inputs: LabelledSet) -> LabelledSet:
        """Its answers, checked.

        The most likely answer is taken, the first one of the task's list if several are; where the object's own
        `predict` says a less likely one, such as one with a threshold of its own, that one. What is not a text, such
        as the class 1, counts by its `str`.

        Raises:
            ValueError: it failed, or an answer or probability is not legal; the message names the input.
        """
        read = _answers_of_predict if hasattr(self.what, "predict") else _answers_of_calls
        texts = [example.input for example in inputs.examples]
        answers, probs = read(self.name, self.what, texts, inputs.task)
        log_prob = None
        if probs is not None:
            columns = [inputs.task.answers.index(answer) for answer in answers]
            with np.errstate(divide="ignore"):
                log_prob = np.log(probs[np.arange(len(probs)), columns])
        source = f"weak labels of {self.name}"
        return LabelledSet(inputs.task, inputs.examples, tuple(answers), probs, log_prob, source=source)


def _answers_of_predict(name: str, what: Any, texts: Sequence[str], task: Task) -> Given:
    """By an object with `predict`, and with `predict_proba` and `classes_` where it has them.

    Args:
        name: of the labeller, for messages.
        what: the object.
        texts: N inputs.
        task: of the answers.

    Raises:
        ValueError: it failed, or gave something that is not legal; the message names the input.
    """
    if not texts:
        return [], None
    given = _tried(name, what.predict, texts)
    if isinstance(given, str) or not hasattr(given, "__len__") or len(given) != len(texts):
        size = "" if isinstance(given, str) or not hasattr(given, "__len__") else f", {len(given)} in number,"
        raise ValueError(f"{name}: predict gave {given!r:.60}{size} for {len(texts)} inputs; expected one answer each")
    said = [_answer(name, value, text, task) for value, text in zip(given, texts, strict=True)]
    if task.answers is None or not (hasattr(what, "predict_proba") and hasattr(what, "classes_")):
        return said, None
    classes = [str(value) for value in what.classes_]
    if strange := [value for value in classes if value not in task.answers or classes.count(value) > 1]:
        raise ValueError(f"{name}: classes_ holds {strange[0]!r}; expected {_legal(task)}, each at most once")
    table = np.asarray(_numbers(name, _tried(name, what.predict_proba, texts)))
    check_probs(name, table, texts, len(classes))
    probs = np.zeros((len(texts), len(task.answers)))
    probs[:, [task.answers.index(value) for value in classes]] = table
    best = probs.argmax(-1)
    own = np.array([task.answers.index(answer) for answer in said])
    rows = np.arange(len(texts))
    chosen = np.where(probs[rows, own] < probs[rows, best] - 1e-9, own, best)
    return [task.answers[k] for k in chosen], probs


def _answers_of_calls(name: str, what: Callable[[str], Any], texts: Sequence[str], task: Task) -> Given:
    """By a function from a text to an answer, or to a dict from answers to probabilities; see `_answers_of_predict`."""
    given = [_tried(name, lambda one: what(one[0]), [text]) for text in texts]
    kinds = {isinstance(value, dict) for value in given}
    if len(kinds) == 2:
        raise ValueError(f"{name} gave {given[0]!r:.60} for one input and no such thing for another; expected one kind")
    if kinds != {True}:
        return [_answer(name, value, text, task) for value, text in zip(given, texts, strict=True)], None
    if task.answers is None:
        raise ValueError(f"{name} gave {given[0]!r:.60} for {_shown(texts[0])}; expected a text, as the task is open")
    probs = np.zeros((len(texts), len(task.answers)))
    for row, (value, text) in enumerate(zip(given, texts, strict=True)):
        for key, share in value.items():
            probs[row, task.answers.index(_answer(name, key, text, task))] += _numbers(name, share)
    check_probs(name, probs, texts, len(task.answers))
    return [task.answers[k] for k in probs.argmax(-1)], probs


def check_probs(name: str, probs: np.ndarray, texts: Sequence[str], columns: int) -> None:
    """Raise ValueError unless each row of a table [N, columns] is a distribution."""
    if probs.shape != (len(texts), columns):
        raise ValueError(f"{name} gave probabilities of shape {probs.shape}; expected {(len(texts), columns)}")
    legal = (np.isfinite(probs) & (probs >= 0)).all(-1) & (np.abs(probs.sum(-1) - 1) <= TOLERANCE)
    if not legal.all():
        row = int(np.flatnonzero(~legal)[0])
        shown = ", ".join(f"{value:g}" for value in probs[row])
        where = _shown(texts[row])
        raise ValueError(f"{name} gave the probabilities {shown} for {where}; expected numbers from 0 up, of sum 1")


def _answer(name: str, value: Any, text: str, task: Task) -> str:
    """The answer as a text; raises ValueError if it is not legal."""
    if isinstance(value, str) or (task.answers is not None and str(value) in task.answers):
        if task.answers is None or str(value) in task.answers:
            return str(value)
    raise ValueError(f"{name} answered {value!r:.60} to {_shown(text)}; expected {_legal(task)}")


def _legal(task: Task) -> str:
    return "a text" if task.answers is None else f"one of {', '.join(map(repr, task.answers))}"


def _shown(text: str) -> str:
    return f"{text[:40]!r}{'...' if len(text) > 40 else ''}"


def _numbers(name: str, given: Any) -> np.ndarray:
    try:
        return np.asarray(given, dtype=np.float64)
    except (TypeError, ValueError):
        raise ValueError(f"{name} gave {given!r:.60} as probabilities; expected numbers") from None


def _tried(name: str, call: Callable[[list[str]], Any], texts: Sequence[str]) -> Any:
    """What it gives for the texts; what it raises is passed on with the first text at which it fails alone."""
    try:
        return call(list(texts))
    except Exception as error:  # whatever a user's object raises
        where, found = f"on {len(texts)} inputs", error
        for text in texts:
            try:
                call([text])
            except Exception as one:
                where, found = f"on {_shown(text)}", one
                break
        raise ValueError(f"{name} failed {where}: {type(found).__name__}: {found}") from found
