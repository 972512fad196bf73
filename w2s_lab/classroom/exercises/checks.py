"""Exercises: a learner's function is compared with the package's own on random inputs, and told what is wrong.

The package is the answer key. Each exercise knows the mistakes that people make in it, as functions: where a learner's
answers equal those of such a function on all inputs, the message names the mistake.
"""

import traceback
from collections.abc import Callable
from dataclasses import dataclass
from html import escape

import ipywidgets as widgets
import numpy as np
import torch

from w2s_lab.classroom.exercises import EXERCISES
from w2s_lab.classroom.exercises.exercise import Exercise
from w2s_lab.classroom.progress import load_progress
from w2s_lab.classroom.toolkit.panel import MAX_WIDTH, with_fallback

ROUNDS = 5  # random inputs
TRIES = 3  # without success, then the solution may be seen


@dataclass(frozen=True)
class Verdict:
    """What a check found: "right", "wrong" or "not attempted yet", and what is to be said."""

    state: str
    says: str


def judge(exercise: Exercise, function: Callable, *, seed: int = 0) -> Verdict:
    """Compare a learner's function with the package's on random inputs."""
    if not callable(function):
        return Verdict("wrong", f"{exercise.id} is {_short(function)}; expected a function: its name, without ()")
    asked = [exercise.inputs(np.random.default_rng([seed, round_])) for round_ in range(ROUNDS)]
    given = []
    for arguments in asked:
        try:
            given.append(function(*_copies(arguments)))
        except Exception as error:
            return Verdict("wrong", _raised(exercise, function, error))
    if all(result is None or result is Ellipsis for result in given):
        return Verdict("not attempted yet", "Replace the body of the function by your own, and run both cells again.")
    if exercise.criteria:
        return _judge_design(exercise, given[0])
    wanted = [(exercise.key or exercise.answer)(*_copies(arguments)) for arguments in asked]
    wrong = [place for place in range(ROUNDS) if not same(given[place], wanted[place], exercise.tolerance)]
    if not wrong:
        return Verdict("right", f"Your function and the package's agree on {ROUNDS} random inputs.")
    for words, mistake in exercise.mistakes:
        made = [mistake(*_copies(arguments)) for arguments in asked]
        if all(same(a, b, exercise.tolerance) for a, b in zip(given, made, strict=True)):
            return Verdict("wrong", words)
    return Verdict("wrong", _difference(given[wrong[0]], wanted[wrong[0]], asked[wrong[0]], exercise.tolerance))


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


def _plain(value: object) -> object:
    if isinstance(value, torch.Tensor):
        return value.detach().cpu().double().numpy()
    if isinstance(value, (bool, int, float, np.number, np.bool_, np.ndarray)):
        return np.asarray(value)
    return value


def same(given: object, wanted: object, tolerance: float) -> bool:
    """Numbers and arrays of one shape within the tolerance, NaN nowhere; sequences item by item; else equal."""
    given, wanted = _plain(given), _plain(wanted)
    if isinstance(wanted, np.ndarray):
        if not isinstance(given, np.ndarray) or given.shape != wanted.shape or given.dtype.kind not in "biuf":
            return False
        return bool(np.allclose(given.astype(float), wanted.astype(float), rtol=tolerance, atol=tolerance))
    if isinstance(wanted, (list, tuple)):
        if not isinstance(given, (list, tuple)) or len(given) != len(wanted):
            return False
        return all(same(a, b, tolerance) for a, b in zip(given, wanted, strict=True))
    if isinstance(wanted, dict):
        if not isinstance(given, dict) or given.keys() != wanted.keys():
            return False
        return all(same(given[key], wanted[key], tolerance) for key in wanted)
    return type(given) is type(wanted) and given == wanted


def _difference(given: object, wanted: object, arguments: tuple, tolerance: float) -> str:
    """What is wrong, in kind first: type, shape, not a number, sign, factor; then the first place that differs."""
    a, b = _plain(given), _plain(wanted)
    on = f" Input: {', '.join(map(_short, arguments))}."
    if given is None or given is Ellipsis:
        return "Your function returned nothing for some inputs: is there a path without `return`?" + on
    if not isinstance(b, np.ndarray) or not isinstance(a, np.ndarray):
        return f"You returned {_short(given)}; expected {_short(wanted)}.{on}"
    if a.shape != b.shape:
        return f"Shape: you returned {_shape(a)}; expected {_shape(b)}. Which dimension should be summed, or kept?"
    if a.dtype.kind not in "biuf":
        return f"You returned {_short(given)}; expected {_short(wanted)}.{on}"
    a, b = a.astype(float), b.astype(float)
    if not np.isfinite(a).all() and np.isfinite(b).all():
        return "Not a number: an infinity or NaN came out. Is there log(0), or a division by 0?" + on
    if np.allclose(-a, b, rtol=tolerance, atol=tolerance):
        return "Sign: your numbers are right but for their sign."
    if b.size > 1 and np.all(np.abs(b) > 1e-12):
        factor = a / b
        if np.allclose(factor, factor.flat[0], rtol=1e-4) and factor.flat[0] not in (0.0, 1.0):
            what = f"Factor: all your numbers are {factor.flat[0]:.4g} times those expected."
            return f"{what} Mean instead of sum, or another base?"
    place = tuple(int(i) for i in np.argwhere(~np.isclose(a, b, rtol=tolerance, atol=tolerance))[0])
    where = f" at {list(place)}" if place else ""
    agree = np.isclose(a, b, rtol=tolerance, atol=tolerance).mean()
    share = f" ({agree:.0%} of the numbers agree)" if b.size > 1 else ""
    return f"You returned {a[place]:.6g}{where}; expected {b[place]:.6g}{share}.{on}"


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


class Check(widgets.VBox):
    """A verdict, with the buttons Hint and Solution below it."""

    def __init__(self, exercise: Exercise, verdict: Verdict) -> None:
        self.exercise, self.verdict = exercise, verdict
        self._head, self._more = widgets.HTML(), widgets.HTML()
        self._hint = widgets.Button(description="Hint")
        self._solution = widgets.Button(description="Solution")
        self._hint.on_click(lambda _: self.hint())
        self._solution.on_click(lambda _: self.solution())
        self._remember()
        self._head.value = self.html
        self._label_buttons()
        box = widgets.HBox([self._hint, self._solution])
        super().__init__([self._head, box, self._more], layout=widgets.Layout(max_width=MAX_WIDTH))

    def _remember(self) -> None:
        progress = load_progress()
        facts = progress.exercise(self.exercise.id)
        if self.verdict.state == "not attempted yet":
            return
        facts["tries"] += 1
        facts["done"] = facts["done"] or self.verdict.state == "right"
        progress.save()

    def _facts(self) -> dict:
        return load_progress().exercise(self.exercise.id)

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
        progress = load_progress()
        facts = progress.exercise(self.exercise.id)
        facts["hints"] = min(facts["hints"] + 1, len(self.exercise.hints))
        progress.save()
        seen = self.exercise.hints[: facts["hints"]]
        self._more.value = "".join(f"<p><b>Hint {i}.</b> {hint}</p>" for i, hint in enumerate(seen, 1))
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


def check(function: Callable, name: str | None = None) -> Check:
    """Check a learner's function of the exercise with its name, and remember the try.

    Raises:
        ValueError: there is no exercise of that name.
    """
    name = name or getattr(function, "__name__", str(function))
    if name not in EXERCISES:
        known = ", ".join(EXERCISES)
        raise ValueError(f"there is no exercise {name!r}: a function keeps the name of its stub. All: {known}")
    return Check(EXERCISES[name], judge(EXERCISES[name], function))
