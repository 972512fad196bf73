"""Compares a learner's function with the package's own on random and on chosen inputs, and says what is wrong.

The package is the answer key. What is wrong is said in this order: what the function did (it raised, printed, returned
nothing, changed its arguments); the exercise's own mistakes; slips that all exercises share (see `slips`); and the
first value that differs.
"""

import contextlib
import copy
import dis
import inspect
import io
import sys
import traceback
from collections.abc import Callable
from dataclasses import dataclass
from itertools import combinations

import numpy as np

from w2s_lab.assignments.equality import same
from w2s_lab.assignments.forms import Form, as_form
from w2s_lab.classroom.exercises.exercise import Exercise
from w2s_lab.classroom.exercises.slips import in_short, what_is_wrong

ROUNDS = 5  # random inputs
# What a stub consists of, in the Pythons from 3.11 to 3.14.
BLANK = {"RESUME", "NOP", "LOAD_CONST", "LOAD_SMALL_INT", "RETURN_CONST", "RETURN_VALUE", "COPY_FREE_VARS"}
WHY = (
    ("math domain error", "a logarithm or root of a negative number, or the logarithm of 0"),
    ("expected a positive input", "a logarithm of 0 or of a negative number"),
    ("expected a nonnegative input", "a root of a negative number"),
    ("out of range", "places are counted from 0, so the last of n is n - 1"),
    ("out of bounds", "places are counted from 0, so the last of n is n - 1"),
    ("positional argument", "the checker calls the function with the arguments that its stub has"),
    ("NoneType", "something is None; some functions, such as list.sort, return nothing"),
    ("division by zero", "what you divide by is 0 for this input"),
    ("'list' and 'list'", "lists have no arithmetic; go through them together with zip, or make arrays of them"),
    ("must match the size of tensor", "the shapes do not fit; after a sum, keepdim=True keeps them fitting"),
    ("cannot be multiplied", "@ is the matrix product; * multiplies entry by entry"),
    ("nonzero on 0d", "== compares a list as a whole; np.array(the list) is compared entry by entry"),
)


@dataclass(frozen=True)
class Verdict:
    """What a check found.

    Attributes:
        state: "right", "wrong" or "not attempted yet".
        says: what is to be said about it.
        input: the arguments for which the function is wrong; None where it is not, or was not called.
    """

    state: str
    says: str
    input: tuple | None = None


@dataclass(frozen=True)
class _Call:
    """A call of a learner's function: its arguments, what came back, what it printed, which arguments it changed."""

    arguments: tuple
    result: object
    printed: str
    changed: tuple[str, ...]


def judge(exercise: Exercise, function: Callable, *, seed: int = 0) -> Verdict:
    """Compare a learner's function with the package's; `assignments.equality` says what is equal."""
    if not callable(function):
        return Verdict("wrong", f"{exercise.id} is {in_short(function)}; expected a function: its name, without ()")
    asked = [exercise.inputs(np.random.default_rng([seed, round_])) for round_ in range(ROUNDS)]
    asked = [*exercise.cases, *asked[: 1 if exercise.criteria else ROUNDS]]
    calls = []
    for arguments in asked:
        try:
            calls.append(_call(exercise, function, arguments))
        except Exception as error:
            return Verdict("wrong", _raised(exercise, function, error), arguments)
    if all(call.result is None or call.result is Ellipsis for call in calls):
        if _is_stub(function):
            says = "Replace the body of the function by your own, and run it and its check again."
            return Verdict("not attempted yet", says)
        if exercise.criteria or any(_wanted(exercise, a) is not None for a in asked):
            return Verdict("wrong", _returns_nothing(exercise, calls[0]), asked[0])
    sys.stdout.write(calls[0].printed)  # of one call, as the learner would see it
    return _judge_by_criteria(exercise, function, calls) if exercise.criteria else _compared(exercise, calls)


def _call(exercise: Exercise, function: Callable, arguments: tuple) -> _Call:
    own, printed = copy.deepcopy(arguments), io.StringIO()
    with contextlib.redirect_stdout(printed):
        result = function(*own)
    names = inspect.signature(exercise.answer).parameters
    pairs = zip(names, arguments, own, strict=False)
    changed = tuple(name for name, before, after in pairs if not same(as_form(before), as_form(after), 0.0))
    return _Call(arguments, result, printed.getvalue(), changed)


def _wanted(exercise: Exercise, arguments: tuple) -> Form:
    return as_form((exercise.key or exercise.answer)(*copy.deepcopy(arguments)))


def _is_stub(function: Callable) -> bool:
    """Whether the body is empty, or a single constant such as ...: nothing is computed in it."""
    code = getattr(function, "__code__", None)
    return code is not None and all(one.opname in BLANK for one in dis.get_instructions(code))


def _returns_nothing(exercise: Exercise, call: _Call) -> str:
    if call.printed:
        shown = " ".join(call.printed.split())[:60]
        return f"Your function prints `{shown}`, and returns nothing. Write `return` where it prints."
    if call.changed:
        many = " and ".join(f"`{name}`" for name in call.changed)
        return f"Your function changes {many} in place, and returns nothing. Leave it as it is, and return a new value."
    return "Your function computes something and returns nothing. Is `return` missing in its last line?"


def _judge_by_criteria(exercise: Exercise, function: Callable, calls: list[_Call]) -> Verdict:
    """Each criterion on each input; a criterion that one input misses is missed."""
    met, missed = [], []
    for words, test in exercise.criteria:
        for call in calls:
            try:
                with contextlib.redirect_stdout(io.StringIO()):
                    good = bool(test(function, *copy.deepcopy(call.arguments)))
            except Exception as error:
                if missed:  # it is what the criterion before says that stands in the way
                    good = False
                    break
                why = f"there is no key {error}" if isinstance(error, KeyError) else f"{type(error).__name__}: {error}"
                says = f"What you returned, {in_short(call.result)}, cannot be read ({why}). Expected: {words}."
                return Verdict("wrong", says, call.arguments)
            if not good:
                break
        (met if good else missed).append(words)
    if missed:
        says = f"{len(met)} of {len(exercise.criteria)} criteria met. Still open: {'; '.join(missed)}."
        return Verdict("wrong", says)
    return _unchanged(calls) or Verdict("right", f"All {len(met)} criteria are met: {'; '.join(met)}.")


def _compared(exercise: Exercise, calls: list[_Call]) -> Verdict:
    given = []
    for call in calls:
        try:
            given.append(as_form(call.result))
        except Exception as error:
            kind = type(call.result).__name__
            says = f"Your function returned a value of type {kind} that cannot be compared: {error}."
            return Verdict("wrong", says, call.arguments)
    asked = [call.arguments for call in calls]
    wanted = [_wanted(exercise, arguments) for arguments in asked]
    wrong = [i for i in range(len(calls)) if not same(given[i], wanted[i], exercise.tolerance)]
    if not wrong:
        count = len(exercise.cases)
        chosen = f" and {count} chosen one{'s' if count > 1 else ''}" if count else ""
        right = Verdict("right", f"Your function and the package's agree on {ROUNDS} random inputs{chosen}.")
        return _unchanged(calls) or right
    for words, mistake in exercise.mistakes:
        made = [as_form(mistake(*copy.deepcopy(arguments))) for arguments in asked]
        if all(same(a, b, exercise.tolerance) for a, b in zip(given, made, strict=True)):
            return Verdict("wrong", words, asked[wrong[0]])
    names = tuple(inspect.signature(exercise.answer).parameters)
    if words := _other_arguments(exercise, given, asked, names):
        return Verdict("wrong", words, asked[wrong[0]])
    says, at = what_is_wrong(given, wanted, asked, names, exercise.tolerance)
    return Verdict("wrong", says, asked[at])


def _other_arguments(exercise: Exercise, given: list[Form], asked: list[tuple], names: tuple[str, ...]) -> str:
    """A message where the values are right for other arguments: two are exchanged, or a place is counted from 1."""

    def fits(change: Callable[[list], list]) -> bool:
        try:
            made = [as_form(exercise.answer(*change(list(copy.deepcopy(arguments))))) for arguments in asked]
        except Exception:
            return False
        return all(same(a, b, exercise.tolerance) for a, b in zip(given, made, strict=True))

    for i, j in combinations(range(len(asked[0])), 2):
        if fits(lambda a, i=i, j=j: [*a[:i], a[j], *a[i + 1 : j], a[i], *a[j + 1 :]]):
            return f"`{names[i]}` and `{names[j]}` are exchanged: your value is right for them the other way round."
    for i, argument in enumerate(asked[0]):
        if type(argument) is int and fits(lambda a, i=i: [*a[:i], a[i] - 1, *a[i + 1 :]]):
            return f"Off by one: your value is that of `{names[i]}` - 1. Places and counts begin at 0."
    return ""


def _unchanged(calls: list[_Call]) -> Verdict | None:
    """A verdict where a function gives the right values and spoils its arguments for whoever uses them next."""
    call = next((call for call in calls if call.changed), None)
    if call is None:
        return None
    name = call.changed[0]
    says = f"The value is right, but your function changes its argument `{name}`. Work on a copy of it."
    return Verdict("wrong", says, call.arguments)


def _raised(exercise: Exercise, function: Callable, error: Exception) -> str:
    name = getattr(function, "__name__", "")
    lines = [frame for frame in traceback.extract_tb(error.__traceback__) if frame.name == name]
    where = f" in its line `{lines[-1].line}`" if lines and lines[-1].line else ""
    why = next((f" Hint: {words}." for sign, words in WHY if sign in str(error)), "")
    return f"Your function raised {type(error).__name__}: {str(error).rstrip('.')}{where}.{why}"
