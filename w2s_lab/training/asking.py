"""Ask a model: one text or several, in one call."""

from collections.abc import Iterable, Sequence
from typing import Any, Literal, overload

import numpy as np

from w2s_lab.models.language_model import LanguageModel
from w2s_lab.models.loading import Start, load_model
from w2s_lab.records import Example, LabelledSet, Task
from w2s_lab.system.border import check_arguments, described
from w2s_lab.training.labelling import weak_labels

OPEN = "free text"  # in place of an answer that nobody has given yet


@overload
def answer(
    model: Start,
    text: str,
    *,
    instruction: str | None = ...,
    answers: Sequence[str] | None = ...,
    open_ended: bool = ...,
    probs: Literal[False] = ...,
) -> str: ...


@overload
def answer(
    model: Start,
    text: Iterable[str],
    *,
    instruction: str | None = ...,
    answers: Sequence[str] | None = ...,
    open_ended: bool = ...,
    probs: Literal[False] = ...,
) -> list[str]: ...


@overload
def answer(
    model: Start,
    text: str | Iterable[str],
    *,
    instruction: str | None = ...,
    answers: Sequence[str] | None = ...,
    open_ended: bool = ...,
    probs: bool,
) -> Any: ...


def answer(
    model: Start,
    text: str | Iterable[str],
    *,
    instruction: str | None = None,
    answers: Sequence[str] | None = None,
    open_ended: bool = False,
    probs: bool = False,
) -> Any:
    """The model's answer to a text, or its answers to several.

    A model that was trained here knows what it was asked, also after `save_model` and `load_model`: instruction and
    list of answers are then those of its training. Another one is asked the bare text, and answers in free words.

    Args:
        model: a model, a folder that `save_model` wrote, or whatever else `load_model` takes. To ask often, load it
            once: `model = load_model(folder)`.
        text: the input, or several.
        instruction: what is asked; None: that of the training, the most frequent one if there were several; none for
            a model that was not trained here.
        answers: the closed list to choose from; None: that of the training, if there is one.
        open_ended: answer in free words, even if the model was trained on a closed list.
        probs: return probabilities in place of the answer.

    Returns:
        The most likely answer, a text; or a list of them, if several texts were given. With `probs`, in the place of
            each answer a dict: answer -> Pr(answer | text), the most likely first; in free words it has one entry.

    Raises:
        TypeError: an argument or a text has the wrong type.
        ValueError: there is no such model, or `answers` has fewer than two or is given with `open_ended`.
    """
    check_arguments(answer, locals())
    texts = [text] if isinstance(text, str) else list(text)
    for row, one in enumerate(texts):
        if not isinstance(one, str):
            raise TypeError(f"answer: text[{row}] is {described(one)}; expected a text")
    loaded = model if isinstance(model, LanguageModel) else load_model(model)
    choices = _choices(loaded, answers, open_ended)
    asked = loaded.instruction if instruction is None else instruction
    first = choices[0] if choices else OPEN  # an answer that is not looked at
    examples = {one: Example(asked or "", str(one)) for one in dict.fromkeys(texts)}
    inputs = LabelledSet(Task("asked", choices), tuple(examples.values()), (first,) * len(examples))
    found = weak_labels(loaded, inputs) if examples else inputs
    given = dict(zip(examples, _said(found, probs), strict=True))
    return given[text] if isinstance(text, str) else [given[one] for one in texts]


def _choices(model: LanguageModel, answers: Sequence[str] | None, open_ended: bool) -> tuple[str, ...] | None:
    """The closed list, or None."""
    if answers is None:
        return None if open_ended or model.task is None else model.task.answers
    choices = tuple(dict.fromkeys(answers))
    if open_ended or len(choices) < 2:
        also = " with open_ended" if open_ended else ""
        raise ValueError(f"answer: answers is {list(answers)!r}{also}; expected two different ones, or no list")
    return choices


def _said(found: LabelledSet, probs: bool) -> list[Any]:
    """The answers, or their probabilities."""
    if not probs:
        return list(found.answers)
    if found.probs is None:
        likely = [] if found.log_prob is None else np.exp(found.log_prob).tolist()
        return [{one: value} for one, value in zip(found.answers, likely, strict=True)]
    rows = [dict(zip(found.task.answers or (), row, strict=True)) for row in found.probs.tolist()]
    return [dict(sorted(row.items(), key=lambda pair: -pair[1])) for row in rows]
