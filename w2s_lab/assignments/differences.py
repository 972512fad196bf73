"""Describes values in words: what kind a value is, and why it is not what was wanted.

All functions take plain forms (see `forms`). No message says "Expected X; what came back is X": where two texts look
alike, the message shows the signs from the place on where they differ, those that cannot be seen as their numbers.
"""

import json
import math
import unicodedata

from w2s_lab.assignments.equality import SEQUENCE, shape_of, sort_of
from w2s_lab.assignments.forms import BYTES, COMPLEX, OBJECT, PAIRS, SET, TENSOR, Form, tag
from w2s_lab.assignments.marks.csv_files import cut

SHOWN = 200  # letters of a value
KIND = 300  # letters of a kind: an object's name and a list in lists can be long
BEFORE, AFTER = 20, 60  # letters shown around the place where two values that look alike differ


def kind(form: Form) -> str:
    """What a value is, in words of at most KIND letters, without saying which."""
    return cut(_kind(form), KIND)


def _kind(form: Form) -> str:
    name = tag(form)
    if name == TENSOR:
        return f"a tensor or array of {form['kind']}, shape {form['shape']}"
    if name == OBJECT:
        return f"an object of type {ascii(form[OBJECT])[1:-1]}"
    if name == SET:
        return "a set"
    if name == COMPLEX:
        return "a complex number"
    if name == BYTES:
        return "bytes"
    if isinstance(form, dict):
        return "a dict"
    if form is None:
        return "nothing (None)"
    if isinstance(form, bool):
        return "True or False"
    if isinstance(form, (int, float)):
        return "not a number (NaN)" if form != form else "a number"
    if isinstance(form, str):
        return "a text"
    kinds = {_kind(item) for item in form}
    inner = f", each {next(iter(kinds))}" if len(kinds) == 1 else ""
    return f"a list of {len(form)}{inner}"


def in_one_line(form: Form) -> str:
    """On one line, all of it. What JSON can say is JSON; the rest is close to it: `{1, 2}`, `{[0]: "a"}`, `<type>`."""
    name = tag(form)
    if name == TENSOR:
        return in_one_line(form[TENSOR]) if math.prod(form["shape"]) else f"an empty array of shape {form['shape']}"
    if name == OBJECT:
        return f"{form[OBJECT]}({in_one_line(form['of'])})" if "of" in form else f"<{form[OBJECT]}>"
    if name == SET:
        return f"{{{', '.join(map(in_one_line, form[SET]))}}}" if form[SET] else "an empty set"
    if name == COMPLEX:
        return repr(complex(*form[COMPLEX]))
    if name == BYTES:
        return repr(bytes.fromhex(form[BYTES]))
    if isinstance(form, dict):
        pairs = form[PAIRS] if name else form.items()
        return f"{{{', '.join(f'{in_one_line(key)}: {in_one_line(item)}' for key, item in pairs)}}}"
    if isinstance(form, list):
        return f"[{', '.join(map(in_one_line, form))}]"
    return json.dumps(form, ensure_ascii=False)


def short(form: Form, most: int = SHOWN) -> str:
    """As one line for people."""
    return cut(in_one_line(form), most)


def look_alike(first: str, second: str) -> bool:
    """Whether a reader may take two texts for one: they are equal, or differ only in white space, accents, signs that
    cannot be seen, or letters of alphabets that share shapes (a Cyrillic a looks like a Latin one)."""
    if len(first) == len(second) and all(map(_shares_shape, first, second)):
        return True
    return _bare(first) == _bare(second)


def _shares_shape(first: str, second: str) -> bool:
    if first == second:
        return True
    scripts = [unicodedata.name(sign, "").partition(" ")[0] for sign in (first, second)]
    return set(scripts) <= {"LATIN", "GREEK", "CYRILLIC"} and not (first + second).isascii()


def _bare(text: str) -> str:
    text = unicodedata.normalize("NFKD", text)
    return "".join(
        sign for sign in text if sign.isprintable() and not sign.isspace() and not unicodedata.combining(sign)
    )


def apart(first: str, second: str) -> tuple[str, str]:
    """Two different texts around the place where they part, in ASCII, so that every sign can be seen."""
    first, second = (text.encode("ascii", "backslashreplace").decode() for text in (first, second))
    place = next(
        (i for i, (a, b) in enumerate(zip(first, second, strict=False)) if a != b), min(len(first), len(second))
    )
    start = max(0, place - BEFORE)

    def around(text: str) -> str:
        return "…" * (start > 0) + text[start : place + AFTER] + "…" * (len(text) > place + AFTER)

    return around(first), around(second)


def explain_difference(given: Form, wanted: Form) -> str:
    """Why a value is not what was wanted: by its kind where that differs, else by its value. Not for a hidden check:
    even a kind can carry out what a submission was called with."""
    kinds = kind(given), kind(wanted)
    if kinds[0] != kinds[1] and not _only_type(given, wanted):
        return f"Expected {kinds[1]}; what came back is {kinds[0]}."
    texts = in_one_line(given), in_one_line(wanted)
    cuts = cut(texts[0], SHOWN), cut(texts[1], SHOWN)
    if not look_alike(*cuts):
        return f"Expected {cuts[1]}; what came back is {cuts[0]}."
    if texts[0] == texts[1]:
        opaque = _opaque(given) or _opaque(wanted) or kinds[0]
        return f"What came back holds {opaque}, of which nothing can be compared."
    parts = apart(*texts)
    return (
        f"What came back looks like what was expected and differs from it. Expected {parts[1]}; came back {parts[0]}."
    )


def _only_type(given: Form, wanted: Form) -> bool:
    """Whether both are sequences of one shape, such as a list and an array: then their type is not what is wrong."""
    return sort_of(given) == sort_of(wanted) == SEQUENCE and shape_of(given) == shape_of(wanted)


def _opaque(form: Form) -> str:
    """The first object in a form that says nothing of itself, in words; "" where there is none."""
    if tag(form) == OBJECT and "of" not in form:
        return kind(form)
    items = form.values() if isinstance(form, dict) else form if isinstance(form, list) else ()
    return next(filter(None, map(_opaque, items)), "")
