"""Exercises: a learner's function is compared with the package's own on random inputs, and told what is wrong.

The package is the answer key. Each exercise knows the mistakes that people make in it, as functions: where a learner's
answers equal those of such a function on all inputs, the message names the mistake.
"""

import traceback
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from html import escape

import ipywidgets as widgets
import numpy as np
import torch
from IPython.display import display

from w2s_lab.assignments.differences import explain_difference, look_alike
from w2s_lab.assignments.equality import NUMBER, SEQUENCE, same, shape_of, sort_of
from w2s_lab.assignments.forms import Form, as_form, plain
from w2s_lab.classroom.exercises import EXERCISES
from w2s_lab.classroom.exercises.exercise import Exercise
from w2s_lab.classroom.progress import LearnerProgress, known, remember
from w2s_lab.classroom.toolkit.panel import MAX_WIDTH, guarded, with_fallback

ROUNDS = 5  # random inputs
TRIES = 3  # without success, then the solution may be seen


@dataclass(frozen=True)
class Verdict:
    """What a check found: "right", "wrong" or "not attempted yet", and what is to be said."""

    state: str
    says: str


def judge(exercise: Exercise, function: Callable, *, seed: int = 0) -> Verdict:
    """Compare a learner's function with the package's on random inputs; `assignments.equality` says what is equal."""
    if not callable(function):
        return Verdict("wrong", f"{exercise.id} is {_short(function)}; expected a function: its name, without ()")
    asked = [exercise.inputs(np.random.default_rng([seed, round_])) for round_ in range(ROUNDS)]
    returned, given = [], []
    for arguments in asked:
        try:
            returned.append(function(*_copies(arguments)))
        except Exception as error:
            return Verdict("wrong", _raised(exercise, function, error))
    if all(result is None or result is Ellipsis for result in returned):
        return Verdict("not attempted yet", "Replace the body of the function by your own, and run both cells again.")
    if exercise.criteria:
        return _judge_design(exercise, returned[0])
    for result in returned:
        try:
            given.append(as_form(result))
        except Exception as error:
            kind = type(result).__name__
            return Verdict("wrong", f"Your function returned a value of type {kind} that cannot be compared: {error}.")
    wanted = _forms(exercise.key or exercise.answer, asked)
    wrong = [place for place in range(ROUNDS) if not same(given[place], wanted[place], exercise.tolerance)]
    if not wrong:
        return Verdict("right", f"Your function and the package's agree on {ROUNDS} random inputs.")
    for words, mistake in exercise.mistakes:
        if all(same(a, b, exercise.tolerance) for a, b in zip(given, _forms(mistake, asked), strict=True)):
            return Verdict("wrong", words)
    first = wrong[0]
    return Verdict("wrong", _difference(given[first], wanted[first], asked[first], exercise.tolerance))


def _forms(function: Callable, asked: list[tuple]) -> list[Form]:
    return [as_form(function(*_copies(arguments))) for arguments in asked]


def _judge_design(exercise: Exercise, result: object) -> Verdict:
    met, missed = [], []
    for words, test in exercise.criteria:
        try:
            good = bool(test(result))
        except Exception as error:
            return Verdict("wrong", f"What you returned, {_short(result)}, cannot be read ({error}). Wanted: {words}.")
        (met if good else missed).append(words)
    if missed:
        return Verdict(
            "wrong", f"{len(met)} of {len(exercise.criteria)} criteria met. Still open: {'; '.join(missed)}."
        )
    return Verdict("right", f"All {len(met)} criteria are met: {'; '.join(met)}.")


def _copies(arguments: tuple) -> tuple:
    """Arguments that a learner's function may change without harm."""
    return tuple(a.clone() if isinstance(a, torch.Tensor) else a.copy() if hasattr(a, "copy") else a for a in arguments)


def _numbers(form: Form) -> np.ndarray | None:
    """A number, or numbers in a regular array or list; None for anything else."""
    if sort_of(form) not in (NUMBER, SEQUENCE):
        return None
    try:
        array = np.asarray(plain(form))
        return array.astype(float).reshape(shape_of(form)) if array.size == 0 or array.dtype.kind in "biuf" else None
    except (ValueError, OverflowError):  # ragged
        return None


def _difference(given: Form, wanted: Form, arguments: tuple, tolerance: float) -> str:
    """What is wrong, in kind first: type, shape, not a number, sign, factor; then the first place that differs."""
    a, b = _numbers(given), _numbers(wanted)
    on = f" Input: {', '.join(map(_short, arguments))}."
    if given is None or given == as_form(Ellipsis):
        return "Your function returned nothing for some inputs: is there a path without `return`?" + on
    if a is None or b is None:
        texts = _short(plain(given)), _short(plain(wanted))
        if look_alike(*texts):
            return explain_difference(given, wanted) + on
        return f"You returned {texts[0]}; expected {texts[1]}.{on}"
    if a.shape != b.shape:
        return f"Shape: you returned {_shape(a)}; expected {_shape(b)}. Which dimension should be summed, or kept?"
    if not np.isfinite(a).all() and np.isfinite(b).all():
        return "Not a number: an infinity or NaN came out. Is there log(0), or a division by 0?" + on
    if np.allclose(-a, b, rtol=tolerance, atol=tolerance):
        return "Sign: your numbers are right but for their sign."
    if b.size > 1 and np.all(np.abs(b) > 1e-12):
        factor = a / b
        if (
            np.allclose(factor, factor.flat[0], rtol=1e-4)
            and not np.isclose(factor.flat[0], (0.0, 1.0), atol=1e-3).any()
        ):
            what = f"Factor: all your numbers are {factor.flat[0]:.4g} times those expected."
            return f"{what} Mean instead of sum, or another base?"
    agree = np.vectorize(lambda x, y: same(float(x), float(y), tolerance), otypes=[bool])(a, b)
    if agree.all():  # integers beyond what a float can tell apart
        return explain_difference(given, wanted) + on
    place = tuple(int(i) for i in np.argwhere(~agree)[0])
    where = f" at {list(place)}" if place else ""
    share = f" ({agree.mean():.0%} of the numbers agree)" if b.size > 1 else ""
    here, there = _two_numbers(float(a[place]), float(b[place]))
    return f"You returned {here}{where}; expected {there}{share}.{on}"


def _two_numbers(a: float, b: float) -> tuple[str, str]:
    """Two different numbers with as many digits as it takes to see that they differ."""
    texts = ((f"{a:.{digits}g}", f"{b:.{digits}g}") for digits in (6, 9, 12, 17))
    return next(pair for pair in texts if pair[0] != pair[1])


def _shape(array: np.ndarray) -> str:
    return f"{list(array.shape)}" if array.shape else "a single number"


def _short(value: object) -> str:
    if isinstance(value, torch.Tensor) and value.numel() > 8:
        return f"tensor {list(value.shape)}"
    if isinstance(value, np.ndarray) and value.size > 8:
        return f"array {list(value.shape)}"
    text = repr(value.tolist() if isinstance(value, (torch.Tensor, np.ndarray)) else value)
    return text if len(text) <= 100 else text[:97] + "..."


def _raised(exercise: Exercise, function: Callable, error: Exception) -> str:
    name = getattr(function, "__name__", "")
    lines = [frame for frame in traceback.extract_tb(error.__traceback__) if frame.name == name]
    where = f" in its line `{lines[-1].line}`" if lines and lines[-1].line else ""
    return f"Your function raised {type(error).__name__}: {error}{where}."


class VerdictView(widgets.VBox):
    """A verdict, with the buttons Hint and Solution below it."""

    def __init__(self, exercise: Exercise, verdict: Verdict) -> None:
        self.exercise, self.verdict = exercise, verdict
        self._head, self._more = widgets.HTML(), widgets.HTML()
        self._hint = widgets.Button(description="Hint")
        self._solution = widgets.Button(description="Solution")
        self._hint.on_click(guarded(lambda _: self.hint(), self._more))
        self._solution.on_click(guarded(lambda _: self.solution(), self._more))
        self._remember()
        self._head.value = self.html
        self._label_buttons()
        box = widgets.HBox([self._hint, self._solution])
        super().__init__([self._head, box, self._more], layout=widgets.Layout(max_width=MAX_WIDTH))

    def _remember(self) -> None:
        def change(progress: LearnerProgress) -> None:
            facts = progress.exercise(self.exercise.id)
            facts["tries"] += 1
            facts["done"] = facts["done"] or self.verdict.state == "right"

        if self.verdict.state != "not attempted yet" and (words := remember(change)):
            warnings.warn(words, stacklevel=4)

    def _facts(self) -> dict:
        return known().exercise(self.exercise.id)

    @property
    def text(self) -> str:
        """The verdict in a line."""
        sign = {"right": "✓ Right", "wrong": "✗ Not yet"}.get(self.verdict.state, "· Not attempted yet")
        return f"{sign} ({self.exercise.id}). {self.verdict.says}"

    @property
    def html(self) -> str:
        color = {"right": "#009E73", "wrong": "#D55E00"}.get(self.verdict.state, "#888888")
        box = f"border-left:5px solid {color};padding:6px 12px;font-size:15px;line-height:1.45"
        sign, _, rest = self.text.partition(" (")
        return f'<div role="status" style="{box}"><b>{escape(sign)}</b> ({escape(rest)}</div>'

    def _label_buttons(self) -> None:
        facts, total = self._facts(), len(self.exercise.hints)
        self._hint.description = f"Hint ({min(facts['hints'], total)} of {total} seen)"
        self._hint.layout.width = "170px"
        self._hint.disabled = not total
        left = self.tries_left
        more = f" (after {left} more tr{'y' if left == 1 else 'ies'})" if left else ""
        self._solution.description = f"Solution{more}"
        self._solution.layout.width = "230px"

    @property
    def tries_left(self) -> int:
        """Tries before the solution may be seen; 0 after success."""
        facts = self._facts()
        return 0 if facts["done"] else max(0, TRIES - facts["tries"])

    def hint(self) -> str:
        """Show the next hint, or all of them again."""
        count = min(self._facts()["hints"] + 1, len(self.exercise.hints))
        seen = self.exercise.hints[:count]
        self._more.value = "".join(f"<p><b>Hint {i}.</b> {hint}</p>" for i, hint in enumerate(seen, 1))
        words = remember(lambda progress: progress.exercise(self.exercise.id).update(hints=count))
        self._more.value += f"<p>{escape(words)}</p>" if words else ""
        self._label_buttons()
        return "\n".join(seen)

    def solution(self) -> str:
        """Show the solution after success or three tries; before that, say how many remain."""
        if self.tries_left:
            found = f"The solution opens after success, or after {self.tries_left} more attempts with code of your own."
            self._more.value = f"<p>{found}</p>"
        else:
            found = self.exercise.solution
            self._more.value = f"<p>One way to write it:</p><pre>{escape(found)}</pre>"
        return found

    def _repr_mimebundle_(self, **options: object) -> dict:
        return with_fallback(super()._repr_mimebundle_(**options), self.text)


def check(function: Callable, name: str | None = None) -> VerdictView:
    """Check a learner's function of the exercise with its name, and remember the try.

    Raises:
        ValueError: there is no exercise of that name.
    """
    name = name or getattr(function, "__name__", str(function))
    if name not in EXERCISES:
        known = ", ".join(EXERCISES)
        raise ValueError(f"there is no exercise {name!r}: a function keeps the name of its stub. All: {known}")
    return VerdictView(EXERCISES[name], judge(EXERCISES[name], function))


def yours(function: Callable, name: str | None = None) -> Callable:
    """The learner's function if it passes its check, to go on with; until then the kit's, and a line says which.

    Nothing is remembered as a try.

    Raises:
        ValueError: there is no exercise of that name.
    """
    name = name or getattr(function, "__name__", str(function))
    if name not in EXERCISES:
        raise ValueError(f"there is no exercise {name!r}; expected one of {', '.join(EXERCISES)}")
    exercise = EXERCISES[name]
    if judge(exercise, function).state == "right":
        _say(f"Your own {name} is at work from here on.")
        return function
    _say(f"The kit's {name} stands in until yours passes its check.")
    return exercise.key or exercise.answer


def _say(words: str) -> None:
    """A line below the cell."""
    display({"text/plain": words}, raw=True)
