"""Plain forms: any Python value as None, truth values, numbers, texts, lists and dicts, which JSON can carry.

A submission's process and the grader's exchange plain forms only, and `equality.same` compares plain forms only: so no
method of a student's class ever runs on the grader's side. What has no JSON of its own is a dict with a tag:

    {"~tensor": [[1.0, 2.0]], "shape": [1, 2], "kind": "numbers"}   a tensor or an array of at least one dimension
    {"~set": [1, 2]}                                                a set
    {"~pairs": [[1, "a"], [[0, 1], "b"]]}                           a dict with keys that are not all texts
    {"~complex": [0.0, 1.0]}    {"~bytes": "00ff"}
    {"~object": "Plan", "of": {"human": 100}}                       an object, with its attributes or its text
    {"~object": "function"}                                         an object that says nothing of itself
"""

import array
import contextlib
import dataclasses
import datetime
import enum
import io
import json
import math
import re
import sys
import types
import uuid
from collections import UserString, deque
from collections.abc import ItemsView, Iterable, Iterator, KeysView, Mapping, Sequence, Set, ValuesView
from decimal import Decimal
from fractions import Fraction
from itertools import count
from pathlib import PurePath

import numpy as np
import torch

MOST_VALUES = 500_000  # numbers, texts and containers in one value
MOST_DEPTH = 40  # of lists in lists
MOST_BITS = 13_000  # of an integer, about 3,900 digits: Python reads no more than 4,300
TENSOR, OBJECT, PAIRS, SET, COMPLEX, BYTES = "~tensor", "~object", "~pairs", "~set", "~complex", "~bytes"
TAGS = (TENSOR, OBJECT, PAIRS, SET, COMPLEX, BYTES)
KINDS = ("numbers", "truth values")
Form = object  # None, bool, int, float, str, or a list or dict of forms

# Objects whose text says all there is to know.
TOLD_BY_TEXT = (
    datetime.time, datetime.timedelta, datetime.tzinfo, uuid.UUID, slice, re.Pattern,
    np.timedelta64, np.dtype, torch.dtype, torch.device,
)  # fmt: skip
COARSE = ("Y", "M", "W", "D", "h", "m")  # NumPy's units of time whose text leaves out the seconds
SAYS_NOTHING = (type, types.FunctionType, types.BuiltinFunctionType, types.MethodType, types.ModuleType)

# Bound now, before any code of a student's could put something else in their place.
_name_of = type.__dict__["__name__"].__get__  # whatever a metaclass says
_item, _tolist, _to_list = np.generic.item, np.ndarray.tolist, torch.Tensor.tolist
_detach, _dense, _double = torch.Tensor.detach, torch.Tensor.to_dense, torch.Tensor.double


class Refused(ValueError):
    """A value that is too large, too deep or too long to be compared; the message says so to its student."""


def as_form(value: object) -> Form:
    """The plain form of a value.

    Generators and other iterators are read to their end. The result shares nothing with the value.

    Raises:
        Refused: more than MOST_VALUES values, deeper than MOST_DEPTH (so also a list that holds itself), or an
            integer of more than MOST_BITS bits.
        Exception: what the value's own code raises, such as a generator that fails half-way.
    """
    return _form(value, 0, count(1))


def _form(value: object, depth: int, counter: Iterator[int]) -> Form:
    if depth > MOST_DEPTH:
        raise Refused(f"what came back is nested more than {MOST_DEPTH} deep")
    if next(counter) > MOST_VALUES:
        raise Refused(f"what came back is too large: more than {MOST_VALUES:,} values")
    if value is None or value is True or value is False:
        return value
    if isinstance(value, (int, np.integer)):
        return _integer(value)
    if isinstance(value, (float, np.floating)):
        return float.__float__(value) if isinstance(value, float) else float(value)
    if isinstance(value, (Fraction, Decimal)):
        return _exact_number(value)
    if isinstance(value, (str, UserString)):
        return str.__str__(value) if isinstance(value, str) else str(value)
    if isinstance(value, (bytes, bytearray, memoryview)):
        return {BYTES: bytes(value).hex()}
    if isinstance(value, (complex, np.complexfloating)):
        return _complex(complex(value))
    if isinstance(value, enum.Enum):
        return {OBJECT: _name(value), "of": _form(value.value, depth + 1, counter)}
    if isinstance(value, (datetime.date, np.datetime64)):
        return _moment(value)
    if isinstance(value, PurePath):
        return {OBJECT: "Path", "of": str(value)}
    if isinstance(value, TOLD_BY_TEXT):
        return {OBJECT: _name(value), "of": str(value)}
    if isinstance(value, np.generic):
        return _form(_item(value), depth + 1, counter)
    if isinstance(value, (torch.Tensor, np.ndarray)):
        return _array(value, depth, counter)
    if isinstance(value, list):
        return _list(list.__iter__(value), depth, counter)
    if isinstance(value, tuple):
        return _list(tuple.__iter__(value), depth, counter)
    if isinstance(value, dict):
        return _mapping(dict.items(value), depth, counter)
    return _other(value, depth, counter)


def _other(value: object, depth: int, counter: Iterator[int]) -> Form:
    """What is rarer: a table of pandas, a view, a set, an iterator, an object of a class."""
    pandas = sys.modules.get("pandas")  # not a dependency: who returns a Series has imported it
    if pandas is not None:
        if value is pandas.NA:
            return math.nan
        if isinstance(value, (pandas.Series, pandas.Index, pandas.api.extensions.ExtensionArray)):
            return _form(np.asarray(value), depth, counter)
        if isinstance(value, (pandas.Period, pandas.Interval)):
            return {OBJECT: _name(value), "of": str(value)}
        if isinstance(value, pandas.DataFrame):
            columns = [(name, value.iloc[:, place]) for place, name in enumerate(value.columns)]
            return _mapping(columns, depth, counter)
    if isinstance(value, Mapping):
        return _mapping(list(value.items()), depth, counter)
    if isinstance(value, (KeysView, ValuesView, ItemsView, Sequence, deque, array.array)):
        return _list(iter(value), depth, counter)
    if isinstance(value, Set):
        return {SET: sorted(_list(iter(value), depth, counter), key=json.dumps)}
    if isinstance(value, Iterator) and not isinstance(value, io.IOBase):
        return _list(value, depth, counter)
    if isinstance(value, BaseException):
        return {OBJECT: _name(value), "of": _list(value.args, depth, counter)}
    attributes = _attributes(value)
    if not attributes:
        return {OBJECT: _name(value)}
    return {OBJECT: _name(value), "of": _mapping(attributes.items(), depth, counter)}


def _name(value: object) -> str:
    return _name_of(type(value))[:60]


def _moment(value: datetime.date | np.datetime64) -> Form:
    """A moment in time: the same text for every class and unit that can name it. Without a time of day it is midnight;
    with an offset it is told in UTC; what is no moment (NaT) is NaN."""
    if value != value:
        return math.nan
    aware = isinstance(value, datetime.datetime) and value.utcoffset() is not None
    if isinstance(value, datetime.date):
        value = value.astimezone(datetime.UTC).replace(tzinfo=None) if aware else value
        value = value.to_datetime64() if hasattr(value, "to_datetime64") else np.datetime64(value)  # pandas has ns
    text = str(value.astype("M8[s]") if np.datetime_data(value.dtype)[0] in COARSE else value)
    text = text.rstrip("0").rstrip(".") if "." in text else text
    return {OBJECT: "datetime", "of": text + "Z" * aware}


def _integer(value: int) -> int:
    value = int.__int__(value) if isinstance(value, int) else int(value)
    if value.bit_length() > MOST_BITS:
        raise Refused("what came back is a number of thousands of digits")
    return value


def _exact_number(value: Fraction | Decimal) -> int | float:
    """A Fraction or a Decimal: an integer where it is one, else the nearest float."""
    if isinstance(value, Decimal):
        if value.is_nan():
            return math.nan
        if value.is_infinite() or abs(value.adjusted()) > 4_000:  # beyond all floats: do not write out its digits
            return math.copysign(math.inf if value.is_infinite() or value.adjusted() > 0 else 0.0, value)
        value = Fraction(value)
    if value.denominator == 1:
        return _integer(value.numerator)
    try:
        return float(value)
    except OverflowError:
        return _integer(round(value))


def _complex(value: complex) -> Form:
    return value.real if value.imag == 0 else {COMPLEX: [value.real, value.imag]}


def _array(value: "torch.Tensor | np.ndarray", depth: int, counter: Iterator[int]) -> Form:
    shape = [int(size) for size in value.shape]
    if math.prod(shape) > MOST_VALUES:
        raise Refused(f"what came back is too large: an array of shape {shape}")
    if depth + len(shape) > MOST_DEPTH:
        raise Refused(f"what came back is nested more than {MOST_DEPTH} deep")
    if isinstance(value, torch.Tensor):
        value = _detach(value)
        value = _dense(value) if value.layout != torch.strided else value
        value = _double(value) if value.is_floating_point() else value  # exact, and for every small type of number
        truth, imaginary, numbers = value.dtype == torch.bool, value.is_complex(), _to_list(value)
    elif isinstance(value, np.ma.MaskedArray):
        return _list(iter(value.tolist()), depth, counter) if shape else _form(value.tolist(), depth + 1, counter)
    elif value.dtype.kind in "biufc":
        if value.dtype.kind == "f":
            value = np.asarray(value, float)
        truth, imaginary, numbers = value.dtype == bool, value.dtype.kind == "c", _tolist(value)
    else:  # of texts, dates, objects: a list of what is in it
        items = np.asarray(value)
        return _list(iter(items), depth, counter) if shape else _form(items[()], depth + 1, counter)
    if imaginary:
        numbers = _form(numbers, depth, counter)
    if not shape:
        return numbers
    for _ in range(math.prod(shape)):
        if next(counter) > MOST_VALUES:
            raise Refused(f"what came back is too large: more than {MOST_VALUES:,} values")
    return {TENSOR: numbers, "shape": shape, "kind": KINDS[truth]}


def _list(items: Iterable, depth: int, counter: Iterator[int]) -> list:
    return [_form(item, depth + 1, counter) for item in items]


def _mapping(items: Iterable[tuple], depth: int, counter: Iterator[int]) -> dict:
    pairs = [[_form(key, depth + 1, counter), _form(item, depth + 1, counter)] for key, item in items]
    keys = [key for key, _ in pairs]
    if all(type(key) is str and not key.startswith("~") for key in keys) and len(set(keys)) == len(keys):
        return dict(pairs)
    return {PAIRS: pairs}


def _attributes(value: object) -> dict[str, object]:
    """Of an object of a class written in Python: its fields, or what is in its `__dict__` and `__slots__`."""
    if isinstance(value, SAYS_NOTHING):
        return {}
    if dataclasses.is_dataclass(value):
        names = [field.name for field in dataclasses.fields(value) if field.compare]
        return {name: getattr(value, name) for name in names if hasattr(value, name)}
    found: dict[str, object] = {}
    for base in type(value).__mro__:
        slots = base.__dict__.get("__slots__", ())
        for name in (slots,) if isinstance(slots, str) else tuple(slots):
            if name not in ("__dict__", "__weakref__"):
                with contextlib.suppress(AttributeError):
                    found[name] = getattr(value, name)
    own = getattr(value, "__dict__", None)
    return {**found, **own} if isinstance(own, dict) else found


# -- and back ----------------------------------------------------------------------------------------------------------


def tag(form: Form) -> str:
    """The tag of a form; "" where it has none."""
    return next((name for name in TAGS if name in form), "") if isinstance(form, dict) else ""


def plain(form: Form) -> object:
    """A form as ordinary Python, for criteria: tensors as lists of numbers, tuples as lists, an object as a namespace
    with its attributes, an object that says nothing as its type's name."""
    kind = tag(form)
    if kind == PAIRS:
        return {_hashable(key): plain(item) for key, item in form[PAIRS]}
    if kind == SET:
        return {_hashable(item) for item in form[SET]}
    if kind == COMPLEX:
        return complex(*form[COMPLEX])
    if kind == BYTES:
        return bytes.fromhex(form[BYTES])
    if kind == TENSOR:
        return plain(form[TENSOR])
    if kind == OBJECT:
        inner = plain(form["of"]) if "of" in form else form[OBJECT]
        return types.SimpleNamespace(**inner) if isinstance(inner, dict) and all(map(_is_text, inner)) else inner
    if isinstance(form, dict):
        return {key: plain(item) for key, item in form.items()}
    return [plain(item) for item in form] if isinstance(form, list) else form


def _is_text(key: object) -> bool:
    return isinstance(key, str)


def _hashable(form: Form) -> object:
    """What may be a key: lists as tuples, sets as frozensets."""
    if isinstance(form, list):
        return tuple(map(_hashable, form))
    if tag(form) == SET:
        return frozenset(map(_hashable, form[SET]))
    value = plain(form)
    return value if value.__hash__ else str(value)
