"""Supervisors that are no language models: a cheap classifier, a rule, a lexicon, an early exit of the strong model.

In practice rules and a cheap classifier often come first, and a language model learns from their labels. Whatever
answers inputs can supervise: `Plan(weak="bag-of-words:200")`, `Plan(weak=stars)` for a function `stars` from a text to
an answer, or `Plan(weak=make_pipeline(TfidfVectorizer(), LogisticRegression()))`.
"""

import copy
import difflib
import importlib.metadata
import importlib.util
import inspect
import re
import warnings
from dataclasses import replace
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

import numpy as np

from w2s_lab.methods.named_labellers import BUILTIN, EarlyExit, FittedExit, NamedLabeller, States
from w2s_lab.methods.text_labeller import TextLabeller, check_probs
from w2s_lab.models.language_model import LanguageModel
from w2s_lab.models.loading import ladder
from w2s_lab.records import LabelledSet, Task
from w2s_lab.system import parallel
from w2s_lab.system.registry import Registry
from w2s_lab.system.source import facts_of

HANDFUL = 4  # inputs that are asked twice


@runtime_checkable
class Labeller(Protocol):
    """What answers inputs, ready to do so.

    Attributes:
        name: for people to read, such as "bag-of-words:200".
    """

    name: str

    def answer(self, inputs: LabelledSet) -> LabelledSet:
        """The same examples with this labeller's answers, and with its probabilities `probs` where it has them.

        The answers of `inputs`, and the true answers of its examples, must not be looked at.
        """


# -- labellers with a name -------------------------------------------------------------------------------------------

LABELLERS: Registry[NamedLabeller] = Registry("labeller", BUILTIN)


def register_labeller(name: str, what: Any, *, replace: bool = False) -> None:
    """Give a labeller of your own a name, for `Plan(weak=NAME)` and `w2s-lab run --weak NAME`.

    Args:
        name: not that of a model, and without : / @ and blanks.
        what: anything that `labeller` takes. If it is fitted, `NAME:N` fits it on the first N true examples.
        replace: it may take the place of another one of this name.

    Raises:
        ValueError: another labeller has this name, the name is not legal, or `what` answers no inputs.
    """
    if not isinstance(name, str) or re.search(r"[:/@\s]", name) or name in (*ladder(), "scratch"):
        raise ValueError(
            f"the name of a labeller is {name!r}; expected a text without : / @ and blanks, and no model's"
        )
    _check_answers_inputs(what)
    if _is_fitted_here(what):
        entry = NamedLabeller(f"{name}[:N]", lambda n=None: (what, n))
    else:
        entry = NamedLabeller(name, lambda: (what, None))
    LABELLERS.register(name, entry, replace=replace)


# -- from a specification to a labeller ------------------------------------------------------------------------------


def is_labeller(weak: Any) -> bool:
    """Whether a supervisor is a labeller of this module and not a language model or the name of one."""
    if isinstance(weak, str):
        return weak.partition(":")[0] in LABELLERS
    return not isinstance(weak, LanguageModel | Path | tuple)


def check_spelling(weak: str) -> None:
    """Raise ValueError if this name of a supervisor, which is no labeller's, was probably meant to be one's."""
    name, colon, number = weak.partition(":")
    near = difflib.get_close_matches(name.lower(), LABELLERS, n=1)
    if near and (colon or not Path(weak).exists()) and weak not in ladder():
        raise ValueError(
            f"there is no supervisor {weak!r}; did you mean {near[0] + colon + number!r}? Expected a model, or one of "
            f"{', '.join(entry.usage for entry in LABELLERS.values())}"
        )


def labeller(weak: Any, truth: LabelledSet, *, states: States | None = None) -> Labeller:
    """A labeller that is ready to answer, fitted on these true examples if it has to learn. Your object stays as it is.

    Args:
        weak: a name of `LABELLERS`, with numbers behind colons; an object with `fit` and `predict`, such as a
            scikit-learn pipeline (a copy of it is fitted on the texts of the inputs and their answers); one with
            `predict` only; a function from a text to an answer, or to a dict from answers to probabilities; or a
            `Labeller`. To use a fitted pipeline as it is: `sklearn.frozen.FrozenEstimator(pipeline)`.
        truth: the supervisor's true examples.
        states: for "layer:K": from inputs and a layer of the strong model to the mean state of each input, [N, d].

    Raises:
        ValueError: it is none of these, does not fit the task, wants more true examples than there are, or cannot
            learn them.

    Warns:
        UserWarning: the true examples lack an answer of the closed list, which then never gets any probability.
    """
    check_labeller(weak, truth.task, len(truth))
    name, what, examples = _meaning(weak)
    if isinstance(what, Labeller):
        return what
    if not _is_fitted_here(what):
        return TextLabeller(name, what)
    truth = truth.take(range(len(truth) if examples is None else examples))
    if missing := [answer for answer in truth.task.answers or () if answer not in truth.answers]:
        warnings.warn(
            f"{name} learns {len(truth):,} true examples, and none has the answer {' or '.join(map(repr, missing))}: "
            "it cannot give this answer",
            stacklevel=2,
        )
    if isinstance(what, EarlyExit):
        return what.learn(name, truth, states)
    if hasattr(what, "get_params"):
        from sklearn.base import clone

        own = clone(what)
    else:
        own = copy.deepcopy(what)
    try:
        own.fit([example.input for example in truth.examples], list(truth.answers))
    except Exception as error:  # whatever a user's object raises
        raise ValueError(
            f"{name} could not learn {len(truth):,} true examples: {type(error).__name__}: {error}"
        ) from error
    return TextLabeller(name, own)


def labels_by(labeller: Labeller, inputs: LabelledSet) -> LabelledSet:
    """The labeller's labels of these inputs, checked.

    Raises:
        ValueError: they belong to other examples, or are not legal.

    Warns:
        UserWarning: it answers some inputs differently the second time.
    """
    found = _checked(labeller, inputs)
    if not isinstance(labeller, FittedExit):  # which gives the same, and would compute its features anew
        few = inputs.take(range(min(HANDFUL, len(inputs))))
        again = _checked(labeller, few) if few else few
        for row, text in enumerate(example.input for example in few.examples):
            first, second = found.take([row]), again.take([row])
            if first.answers != second.answers or not _alike(first.probs, second.probs):
                warnings.warn(
                    f"{labeller.name} answers differently the second time ({text[:40]!r}: {_said(first)}, then "
                    f"{_said(second)}): this run cannot be repeated exactly",
                    stacklevel=2,
                )
                break
    return parallel.from_main(lambda: found)  # processes at one training learn the same labels, even of a fickle rule


def _checked(labeller: Labeller, inputs: LabelledSet) -> LabelledSet:
    found = labeller.answer(inputs)
    if not isinstance(found, LabelledSet) or (found.task, found.ids) != (inputs.task, inputs.ids):
        given = "labels of other examples or another task" if isinstance(found, LabelledSet) else f"{found!r:.60}"
        raise ValueError(f"{labeller.name} gave {given}; expected a LabelledSet of the {len(inputs)} examples it got")
    if found.probs is not None:
        check_probs(
            labeller.name, found.probs, [example.input for example in inputs.examples], len(found.task.answers or ())
        )
    return replace(found, examples=inputs.examples)


def _alike(first: np.ndarray | None, second: np.ndarray | None) -> bool:
    if first is None or second is None:
        return first is second
    return np.allclose(first, second, atol=1e-4)


def _said(label: LabelledSet) -> str:
    return repr(label.answers[0]) + ("" if label.probs is None else f" with {label.probs.max():.4f}")


# -- what a plan says of its labeller --------------------------------------------------------------------------------


def check_labeller(weak: Any, task: Task, examples: int | None = None) -> None:
    """Raise ValueError, before anything is trained, if a labeller does not fit the task or the true examples.

    Args:
        weak: see `labeller`.
        task: of the labels.
        examples: how many true examples the supervisor has; None: unknown.
    """
    name, what, wanted = _meaning(weak)
    _check_answers_inputs(what)
    kind = LABELLERS[name.partition(":")[0]] if isinstance(weak, str) else None
    if kind and kind.answers and sorted(task.answers or ()) != sorted(kind.answers):
        have = ", ".join(task.answers) if task.answers else "free text"
        raise ValueError(f"{name} answers only {' or '.join(kind.answers)}; the answers of {task.name!r} are: {have}")
    if isinstance(what, EarlyExit) and task.answers is None:
        raise ValueError(f"{name} needs a closed list of answers; the task {task.name!r} is open")
    if kind and "vaderSentiment" in kind.packages and importlib.util.find_spec("vaderSentiment") is None:
        raise ValueError(f"{name} needs the package vaderSentiment. Hint: pip install 'w2s-lab[real]'")
    if wanted is not None and examples is not None and wanted > examples:
        raise ValueError(f"{name} wants {wanted:,} true examples, but the supervisor has {examples:,}. Hint: --sizes")


def true_labels(weak: Any, examples: int) -> int:
    """How many of the supervisor's true examples are learnt: all by a language model, none by a rule."""
    if not is_labeller(weak):
        return examples
    _, what, wanted = _meaning(weak)
    return (examples if wanted is None else wanted) if _is_fitted_here(what) else 0


def layer_of(weak: Any) -> int | None:
    """The layer of the strong model that an early exit reads; None for other supervisors."""
    what = _meaning(weak)[1] if is_labeller(weak) else None
    return what.layer if isinstance(what, EarlyExit) else None


def labeller_name(weak: Any) -> str:
    """A short name: the specification, or that of the function or class."""
    if isinstance(weak, str):
        return weak
    return str(getattr(weak, "name", None) or getattr(weak, "__name__", type(weak).__name__))


def labeller_facts(weak: Any) -> dict:
    """What it is, exactly, as plain JSON values: versions of packages; class and parameters; a digest of a function."""
    if isinstance(weak, str):
        kind = LABELLERS[weak.partition(":")[0]]
        versions = {name: importlib.metadata.version(name) for name in kind.packages}
        return {"name": weak, **(versions or facts_of(_meaning(weak)[1]))}
    return facts_of(weak)


def _meaning(weak: Any) -> tuple[str, Any, int | None]:
    """Name, what it is, and the number of true examples that it learns (None: all)."""
    if not isinstance(weak, str):
        return labeller_name(weak), weak, None
    name, *numbers = weak.split(":")
    kind = LABELLERS[name]
    try:
        if not all(re.fullmatch("[0-9]{1,9}", number) for number in numbers):
            raise TypeError
        bound = inspect.signature(kind.make).bind(*map(int, numbers))
    except TypeError:
        numbers = ", with whole numbers" if ":" in kind.usage else ""
        raise ValueError(f"{weak!r} is no labeller; expected {kind.usage}{numbers}") from None
    what, examples = kind.make(*bound.args)
    if examples == 0:
        raise ValueError(f"{weak!r} would learn nothing; expected {kind.usage} with N from 1 up")
    return weak, what, examples


def _is_fitted_here(what: Any) -> bool:
    return isinstance(what, EarlyExit) or (
        not isinstance(what, Labeller) and hasattr(what, "fit") and hasattr(what, "predict")
    )


def _check_answers_inputs(what: Any) -> None:
    """Raise ValueError unless `labeller` can make something of it."""
    if isinstance(what, type):
        raise ValueError(f"{what.__name__} is a class; expected an object, such as {what.__name__}()")
    known = isinstance(what, Labeller | EarlyExit) or hasattr(what, "predict") or callable(what)
    if not known or isinstance(what, str | LanguageModel):
        raise ValueError(
            f"{what!r:.60} answers no inputs; expected an object with fit and predict, a function from a text to an "
            f"answer, a w2s_lab.Labeller, or one of the names {', '.join(LABELLERS)}"
        )
