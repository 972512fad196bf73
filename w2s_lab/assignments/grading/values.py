"""Plain forms as JSON text: written in a submission's process, read and compared in the grader's.

Only data crosses: whatever class a student returns, and whatever its operators do, nothing of it is ever called on
the grader's side. What counts as equal is said in `assignments.equality`.
"""

import json
import string
from functools import partial

from w2s_lab.assignments.differences import explain_difference, look_alike, short
from w2s_lab.assignments.equality import same
from w2s_lab.assignments.forms import (
    BYTES,
    COMPLEX,
    KINDS,
    MOST_BITS,
    MOST_DEPTH,
    OBJECT,
    PAIRS,
    SET,
    TENSOR,
    Form,
    Refused,
    as_form,
    plain,
)

__all__ = ["Refused", "explain_difference", "look_alike", "plain", "read", "same", "short", "write"]

MOST_TEXT = 1_000_000  # characters of one value
LEVELS = 3 * MOST_DEPTH + 5  # of JSON: a tag and its list come with each level of a value

# Bound now, before any code of a student's could put something else in their place.
_as_form, _encode = as_form, partial(json.JSONEncoder(check_circular=False).iterencode, _one_shot=True)


def write(value: object) -> str:
    """A value's plain form as JSON text.

    Raises:
        Refused: too long, too large or too deep.
        Exception: what the value's own code raises.
    """
    text = "".join(_encode(_as_form(value)))
    if len(text) > MOST_TEXT:
        raise Refused(f"what came back is too large: {len(text):,} characters of at most {MOST_TEXT:,}")
    return text


def read(text: str) -> Form:
    """The form of a text by `write`; raises ValueError where it is none, however a hostile process made it."""
    try:
        form = json.loads(text)
    except (ValueError, TypeError, RecursionError) as error:
        raise ValueError("what came back is no value that could be read") from error
    _refuse_unsound(form, 0)
    return form


def _refuse_unsound(form: object, depth: int) -> None:
    """Only what `write` writes: nothing too deep, no number of thousands of digits, no tag of another form."""
    if depth > LEVELS:
        raise ValueError("what came back is nested too deep")
    if type(form) is int and form.bit_length() > MOST_BITS:
        raise ValueError("what came back is a number of thousands of digits")
    if isinstance(form, dict) and any(key.startswith("~") for key in form) and not _has_a_form(form):
        raise ValueError("what came back has a form that no value has")
    for item in form.values() if isinstance(form, dict) else form if isinstance(form, list) else ():
        _refuse_unsound(item, depth + 1)


def _has_a_form(form: dict) -> bool:
    keys = form.keys()
    if keys == {TENSOR, "shape", "kind"}:
        sizes = form["shape"]
        sound = isinstance(sizes, list) and sizes and all(type(size) is int and size >= 0 for size in sizes)
        return bool(sound) and form["kind"] in KINDS and _fills(form[TENSOR], sizes)
    if keys == {OBJECT} or keys == {OBJECT, "of"}:
        return isinstance(form[OBJECT], str)
    if keys == {SET}:
        return isinstance(form[SET], list)
    if keys == {PAIRS}:
        return isinstance(form[PAIRS], list) and all(isinstance(pair, list) and len(pair) == 2 for pair in form[PAIRS])
    if keys == {COMPLEX}:
        parts = form[COMPLEX]
        return isinstance(parts, list) and len(parts) == 2 and all(type(part) is float for part in parts)
    if keys == {BYTES}:
        digits = form[BYTES]
        return isinstance(digits, str) and len(digits) % 2 == 0 and set(digits) <= set(string.hexdigits)
    return False


def _fills(rows: object, sizes: list[int]) -> bool:
    """Whether nested lists have exactly these sizes, with numbers in them."""
    if not sizes:
        return isinstance(rows, (bool, int, float)) or (isinstance(rows, dict) and rows.keys() == {COMPLEX})
    return isinstance(rows, list) and len(rows) == sizes[0] and all(_fills(row, sizes[1:]) for row in rows)
