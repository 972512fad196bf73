"""Slips that people make in any exercise, found in what a function returned and in what was expected.

Each slip is a transformation of what was expected: where a learner's values equal the transformed ones on every input,
the message names the slip. Where none fits, the message shows the first value that differs.
"""

import math
from collections.abc import Callable, Sequence
from itertools import permutations

import numpy as np
import torch

from w2s_lab.assignments.differences import explain_difference, kind, look_alike
from w2s_lab.assignments.equality import MAPPING, NUMBER, SEQUENCE, same, shape_of, sort_of
from w2s_lab.assignments.forms import SET, TENSOR, Form, as_form, plain, tag

MOST_PARTS = 4  # of a tuple whose parts may have been exchanged
FACTORS = (
    (100.0, "Per cent: your numbers are 100 times those expected. Return a fraction."),
    (0.01, "Per cent: your numbers are a hundredth of those expected. Do not divide by 100."),
    (1 / math.log(2), "Your logarithms have the base 2 (bits). The kit counts in nats: use the natural logarithm."),
    (1 / math.log(10), "Your logarithms have the base 10. The kit counts in nats: use the natural logarithm."),
)
NUMERIC: tuple[tuple[str, Callable[[np.ndarray], np.ndarray]], ...] = (
    ("Sign: your numbers are right but for their sign.", lambda b: -b),
    ("Your numbers are 1 minus those expected: you counted the opposite.", lambda b: 1 - b),
    ("You cut your numbers off at 0 and 1. Return the value as it comes out, also outside.", lambda b: b.clip(0, 1)),
    ("You cut your numbers off at 0. Return the value as it comes out, also below 0.", lambda b: b.clip(0, None)),
    ("You cut your numbers off at 1. Return the value as it comes out, also above 1.", lambda b: b.clip(None, 1)),
    ("You took the logarithm once too often: return the values themselves.", lambda b: np.log(b)),
    ("You took exp once too often, or left out a logarithm: return the logarithm.", lambda b: np.exp(b)),
    ("You took the absolute value. Return the value with its sign.", lambda b: np.abs(b)),
    ("Upside down: your numbers are 1 divided by those expected.", lambda b: 1 / b),
    ("You rounded. Return the number as it is.", lambda b: b.round()),
    ("You rounded to two places. Return the number as it is.", lambda b: b.round(2)),
    ("You rounded to three places. Return the number as it is.", lambda b: b.round(3)),
)


def what_is_wrong(
    given: Sequence[Form], wanted: Sequence[Form], asked: Sequence[tuple], names: Sequence[str], tolerance: float
) -> tuple[str, int]:
    """What is wrong, in a sentence or two, and the number of the first input for which it is.

    Args:
        given: what the learner's function returned for each input.
        wanted: what was expected; differs from `given` for one input at least.
        asked: the inputs; each is the tuple of the arguments.
        names: the arguments' names.
        tolerance: absolute and relative, of numbers.
    """
    at = next(i for i in range(len(given)) if not same(given[i], wanted[i], tolerance))
    here, there, shown = given[at], wanted[at], f" Input: {_arguments(names, asked[at])}."
    if here is None or here == as_form(Ellipsis):
        return "Your function returned nothing for some inputs: is there a path without `return`?" + shown, at
    if words := _parts(given, wanted, tolerance) or _wrong_type(here, there, tolerance):
        return words + shown, at
    numbers = [(_numbers(a), _numbers(b)) for a, b in zip(given, wanted, strict=True)]
    a, b = numbers[at]
    if a is None or b is None:
        texts = in_short(plain(here)), in_short(plain(there))
        if look_alike(*texts):
            return explain_difference(here, there) + shown, at
        if kind(here) != kind(there):
            return f"You returned {kind(here)}; expected {kind(there)}.{shown}", at
        return f"You returned {texts[0]}; expected {texts[1]}.{shown}", at
    if a.shape != b.shape:
        return f"Shape: you returned {_shape(a)}; expected {_shape(b)}. {_axis(a, b, there, asked[at], names)}", at
    if not np.isfinite(a).all() and np.isfinite(b).all():
        return f"{_not_finite(a, asked[at], names)}{shown}", at
    if words := _same_slip(numbers, tolerance) or _same_factor(numbers) or _one_part(wanted, numbers, tolerance):
        return words, at
    if b.ndim == 2 and np.allclose(b.sum(-1), 1) and not np.allclose(a.sum(-1), 1):
        along = "Yours add up to 1 in each column: work along the last dimension." if np.allclose(a.sum(0), 1) else ""
        return f"Each row should add up to 1. {along or 'Divide each row by its own sum.'}{shown}", at
    return _first(a, b, here, there, tolerance) + shown, at


def _parts(given: Sequence[Form], wanted: Sequence[Form], tolerance: float) -> str:
    """A message where the values are right and stand in another order, in a mask, or are counted from 1."""
    pairs = list(zip(given, wanted, strict=True))
    if _exchanged(pairs, tolerance):
        return "Exchanged: you return the right values in another order than the one asked for."
    arrays = [(_numbers(a), _numbers(b)) for a, b in pairs]
    if all(a is not None and b is not None and a.ndim == b.ndim == 2 and a.T.shape == b.shape for a, b in arrays):
        if all(np.allclose(a.T, b, rtol=tolerance, atol=tolerance) for a, b in arrays):
            return "Rows and columns are exchanged: the values are right, and the table lies on its side."
    if all(a is not None and b is not None and a.ndim == b.ndim == 1 and set(a) <= {0.0, 1.0} for a, b in arrays):
        if all(np.array_equal(np.flatnonzero(a), b) for a, b in arrays) and any(len(a) != len(b) for a, b in arrays):
            return "You returned a mask of true and false. Return the numbers of the rows where it is true."
    if all(a is not None and b is not None and a.shape == b.shape and _whole(a) and _whole(b) for a, b in arrays):
        for step, words in ((1, "You count from 1: numbers of places begin at 0."), (-1, "You are one too low.")):
            if all(np.array_equal(a, b + step) for a, b in arrays):
                return f"Off by one, everywhere. {words}"
    return ""


def _exchanged(pairs: Sequence[tuple[Form, Form]], tolerance: float) -> bool:
    """Whether one other order of the parts of each tuple, or of each tuple in a dict, is right on all inputs."""
    if all(isinstance(a, dict) and isinstance(b, dict) and not tag(a) and a.keys() == b.keys() for a, b in pairs):
        pairs = [(a[key], b[key]) for a, b in pairs for key in b]
    sizes = {len(part) if isinstance(part, list) else 0 for pair in pairs for part in pair}
    if len(sizes) != 1 or not 2 <= (size := sizes.pop()) <= MOST_PARTS:
        return False
    orders = list(permutations(range(size)))
    return any(all(same([a[i] for i in order], b, tolerance) for a, b in pairs) for order in orders)


def _wrong_type(given: Form, wanted: Form, tolerance: float) -> str:
    """A sentence where the value is of another sort than the one that was expected."""
    if isinstance(given, str) and sort_of(wanted) == NUMBER:
        return f"Type: you returned the text {given!r}; expected a number. Do not format it."
    if tag(given) == SET and sort_of(wanted) == SEQUENCE:
        return "Type: you returned a set, which has no order and no repeats; expected a list."
    if sort_of(wanted) == MAPPING and sort_of(given) != MAPPING:
        return f"Type: you returned {kind(given)}; expected a dict with the keys {_keys(wanted)}."
    if sort_of(given) == sort_of(wanted) == MAPPING and _keys(given) != _keys(wanted):
        return f"Your dict has the keys {_keys(given)}; expected {_keys(wanted)}."
    if sort_of(given) == MAPPING and sort_of(wanted) == SEQUENCE:
        return f"Type: you returned a dict; expected {kind(wanted)}."
    if isinstance(given, list) and len(given) == 1 and tag(wanted) != TENSOR and same(given[0], wanted, tolerance):
        return "Type: you returned a list of one value, and the value is right. Return it without the list."
    return ""


def _keys(form: Form) -> str:
    return in_short(sorted(map(str, plain(form))))


def _whole(array: np.ndarray) -> bool:
    return array.size > 0 and bool(np.isfinite(array).all()) and bool((array == array.round()).all())


def _numbers(form: Form) -> np.ndarray | None:
    """A number, or numbers in a regular array or list; None for anything else."""
    if sort_of(form) not in (NUMBER, SEQUENCE):
        return None
    try:
        array = np.asarray(plain(form))
        return array.astype(float).reshape(shape_of(form)) if array.size == 0 or array.dtype.kind in "biuf" else None
    except (ValueError, OverflowError):  # ragged
        return None


def _same_slip(numbers: Sequence[tuple], tolerance: float) -> str:
    """The slip of NUMERIC that gives the learner's numbers on all inputs."""
    if any(a is None or b is None or a.shape != b.shape for a, b in numbers):
        return ""
    with np.errstate(all="ignore"):
        for words, slip in NUMERIC:
            if all(np.allclose(a, slip(b), rtol=tolerance, atol=tolerance) for a, b in numbers):
                return words
    return ""


def _same_factor(numbers: Sequence[tuple]) -> str:
    """All numbers of all inputs are off by one and the same factor."""
    if any(a is None or b is None or a.shape != b.shape for a, b in numbers):
        return ""
    a, b = (np.concatenate([pair[i].ravel() for pair in numbers]) for i in (0, 1))
    far = np.abs(b) > 1e-12
    if far.sum() < 3 or not np.isfinite(a).all() or np.any(np.abs(a[~far]) > 1e-9):
        return ""
    factor = a[far] / b[far]
    if not np.allclose(factor, factor[0], rtol=1e-4, atol=0) or factor[0] == 0 or abs(factor[0] - 1) < 1e-3:
        return ""
    known = (words for value, words in FACTORS if np.isclose(factor[0], value, rtol=1e-3))
    usual = f"Factor: all your numbers are {factor[0]:.4g} times those expected. Mean instead of sum, or another base?"
    return next(known, usual)


def _one_part(wanted: Sequence[Form], numbers: Sequence[tuple], tolerance: float) -> str:
    """The slip in one of the numbers of a tuple, where all others are right."""
    arrays = [array for pair in numbers for array in pair]
    if any(array is None for array in arrays) or not all(isinstance(b, list) for b in wanted):
        return ""
    shapes = {array.shape for array in arrays}
    if len(shapes) != 1:
        return ""
    (shape,) = shapes
    if len(shape) != 1 or not 2 <= shape[0] <= MOST_PARTS:
        return ""
    a, b = (np.stack([pair[i] for pair in numbers], -1) for i in (0, 1))  # [parts, inputs]
    off = [i for i in range(shape[0]) if not np.allclose(a[i], b[i], rtol=tolerance, atol=tolerance)]
    if len(off) != 1:
        return ""
    part = [(a[off[0]], b[off[0]])]
    words = _same_slip(part, tolerance) or _same_factor(part)
    return f"Number {off[0] + 1} of the {shape[0]} that you return is wrong. {words}" if words else ""


def _axis(a: np.ndarray, b: np.ndarray, wanted: Form, arguments: tuple, names: Sequence[str]) -> str:
    """Which dimension was summed instead of which, where an argument tells; else what is too much."""
    if a.shape == (1, *b.shape):
        return "There is one dimension too many."
    for name, argument in zip(names, arguments, strict=False):
        shape = tuple(getattr(argument, "shape", ()))
        left = {shape[:i] + shape[i + 1 :]: i for i in reversed(range(len(shape)))} if len(shape) > 1 else {}
        if a.shape in left and b.shape in left:
            return (
                f"Wrong axis: `{name}` has the shape {list(shape)}. You worked along dimension {left[a.shape]}; "
                f"work along dimension {left[b.shape]}."
            )
    if not b.shape:
        return "Return one number for all of them."
    if isinstance(wanted, list) and not a.shape:
        return f"Return {len(wanted)} values, not one."
    if a.ndim == b.ndim == 1:
        more = len(a) - len(b)
        return f"That is {abs(more)} too {'many' if more > 0 else 'few'}."
    return "Which dimension should be summed, or kept?"


def _not_finite(a: np.ndarray, arguments: tuple, names: Sequence[str]) -> str:
    if not np.isnan(a).any():
        return "An infinity came out. Is there log(0), or a division by 0?"
    for name, argument in zip(names, arguments, strict=False):
        array = np.asarray(argument) if isinstance(argument, (torch.Tensor, np.ndarray)) else np.ones(1)
        if array.dtype.kind == "f" and (array < 0).any():
            return f"NaN, not a number, came out. `{name}` has negative numbers; did you take a log or a root of them?"
        if array.dtype.kind == "f" and (array == 0).any():
            return f"NaN, not a number, came out. `{name}` holds zeros; is there 0 · log 0, or 0 / 0?"
    return (
        "NaN, not a number, came out: from 0 · log 0, from 0 / 0, from the mean of nothing, or from the logarithm or "
        "root of a negative number."
    )


def _first(a: np.ndarray, b: np.ndarray, given: Form, wanted: Form, tolerance: float) -> str:
    """The first of the numbers that differ."""
    agree = np.vectorize(lambda x, y: same(float(x), float(y), tolerance), otypes=[bool])(a, b)
    if agree.all():  # integers beyond what a float can tell apart
        return explain_difference(given, wanted)
    place = tuple(int(i) for i in np.argwhere(~agree)[0])
    where = f" at {list(place)}" if place else ""
    share = f" ({agree.mean():.0%} of the numbers agree)" if b.size > 1 else ""
    here, there = _two_numbers(float(a[place]), float(b[place]))
    return f"You returned {here}{where}; expected {there}{share}."


def _two_numbers(a: float, b: float) -> tuple[str, str]:
    """Two different numbers with as many digits as it takes to see that they differ."""
    texts = ((f"{a:.{digits}g}", f"{b:.{digits}g}") for digits in (6, 9, 12, 17))
    return next(pair for pair in texts if pair[0] != pair[1])


def _shape(array: np.ndarray) -> str:
    return f"{list(array.shape)}" if array.shape else "a single number"


def _arguments(names: Sequence[str], arguments: tuple) -> str:
    """`name = value` of each argument; values alone where the names do not fit."""
    most = 100 if len(arguments) < 2 else 50
    if len(names) != len(arguments):
        return ", ".join(in_short(value, most) for value in arguments)
    return ", ".join(f"{name} = {in_short(value, most)}" for name, value in zip(names, arguments, strict=True))


def in_short(value: object, most: int = 100) -> str:
    """A value in so many letters: a large array by its shape, the numbers of a small one to four digits."""
    if isinstance(value, torch.Tensor) and value.numel() > 8:
        return f"tensor {list(value.shape)}"
    if isinstance(value, np.ndarray) and value.size > 8:
        return f"array {list(value.shape)}"
    if isinstance(value, (torch.Tensor, np.ndarray)):
        value = value.tolist()
        value = [float(f"{x:.4g}") if type(x) is float else x for x in value] if isinstance(value, list) else value
    text = repr(value)
    return text if len(text) <= most else text[: most - 3] + "..."
