"""Arguments of the wrong type, named where a user gives them: which argument, what it is, what was expected, a hint."""

import collections.abc
import inspect
import numbers
import os
import types
import typing
from collections.abc import Callable, Mapping, Sequence
from dataclasses import fields, is_dataclass
from functools import lru_cache
from typing import Any

import numpy as np

from w2s_lab.system.record import abbreviated

MAKES = {  # what is expected -> how a user gets one
    "Recipe": "w2s.Recipe(epochs=3, learning_rate=3e-4) makes one",
    "LabelledSet": "w2s.load_splits(source) reads a file, a DataFrame or a list of dicts, and its parts are such sets: "
    "splits.supervisor_train, splits.student_train, splits.test, splits.validation",
    "LanguageModel": "w2s.load_model(name) loads one; w2s.load_model((network, tokenizer)) takes those of transformers",
    "Store": 'w2s.Store() is the usual folder of finished work, w2s.Store("my_runs") another one',
    "Splits": "w2s.load_splits(source) makes them from the name of a task, a file, a DataFrame or a list of dicts",
    "SplitSizes": "give four whole numbers, such as (1500, 1500, 1000, 100), for supervisor, student, test, validation",
    "Plan": 'w2s.Plan(weak="pocket-s", strong="pocket-l") makes one',
    "Task": 'w2s.Task("reviews", ("positive", "negative")) makes one',
    "Example": 'w2s.Example("Is it good?", "a fine film", "yes") makes one',
    "Evaluation": "w2s.evaluate(model, test) makes one",
    "Comparison": "w2s.compare(weak, student, ceiling, test) makes one",
    "LoRA": "w2s.LoRA(rank=16) makes one",
    "bool": "write True or False, without quotes",
    "int": "write a whole number without quotes, such as 3",
    "float": "write a number without quotes, such as 3e-4",
}
STANDS_FOR = {"LanguageModel": "encode_prompts"}  # class -> what an object of another class needs to pass for one
WORDS = {int: "a whole number", float: "a number", str: "a text", bool: "True or False", type(None): "None"}


def check_arguments(function: Callable, given: Mapping[str, Any]) -> None:
    """Raise TypeError if an argument of a public function does not have the type of its annotation.

    To be called first in the function, with its `locals()`.
    """
    name = function.__qualname__.removesuffix(".__init__")
    hints = _hints(function)
    for argument, hint in hints.items():
        if argument in given and not fits(given[argument], hint):
            raise TypeError(_sentence(name, argument, given, hints))


def check_fields(record: Any) -> None:
    """The same for the fields of a frozen dataclass, at the start of its `__post_init__`.

    Numbers of numpy become Python's, so that the record can be written as JSON; a list becomes a tuple where one is
    expected.
    """
    for name, plain_types, element in _usual(type(record)):
        value = getattr(record, name)
        usual = type(value) in plain_types
        if not usual and not (element and type(value) is tuple and all(type(one) is element for one in value)):
            _check_field(record, name, value)


def _check_field(record: Any, name: str, value: Any) -> None:
    """The same for one field whose type is not plainly the expected one."""
    hints = _hints(type(record))
    if isinstance(value, np.generic) and not isinstance(value, str):
        value = value.item()
        object.__setattr__(record, name, value)
    elif isinstance(value, list) and fits(tuple(value), hints[name]) and not fits(value, hints[name]):
        value = tuple(value)
        object.__setattr__(record, name, value)
    if not fits(value, hints[name]):
        given = {one: getattr(record, one) for one in hints}
        raise TypeError(_sentence(type(record).__name__, name, given, hints))


@lru_cache(maxsize=256)
def _usual(kind: type) -> list[tuple[str, frozenset[type], type | None]]:
    """Of each field the types that need no closer look, and the type of a tuple's elements: a set has many examples."""
    found = []
    for name, hint in _hints(kind).items():
        kinds = [*_kinds(hint), *([type(None)] if fits(None, hint) else [])]
        elements = [typing.get_args(one)[0] for one in kinds if typing.get_origin(one) is tuple]
        element = elements[0] if elements and isinstance(elements[0], type) else None
        found.append((name, frozenset(one for one in kinds if isinstance(one, type) and one is not Any), element))
    return found


@lru_cache(maxsize=256)
def _hints(what: Any) -> dict[str, Any]:
    hints = typing.get_type_hints(what)
    hints.pop("return", None)
    if is_dataclass(what):
        return {field.name: hints[field.name] for field in fields(what)}
    variadic = (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD)
    free = {name for name, one in inspect.signature(what).parameters.items() if one.kind in variadic}
    return {name: hint for name, hint in hints.items() if name not in free}


def fits(value: Any, hint: Any) -> bool:
    """Whether a value has the type of an annotation; what cannot be checked fits."""
    if hint is Any:  # a class, since Python 3.11
        return True
    kind, inner = typing.get_origin(hint), typing.get_args(hint)
    if kind in (typing.Union, types.UnionType):
        return any(fits(value, one) for one in inner)
    if kind is typing.Literal:
        return value in inner
    if kind is collections.abc.Callable:
        return callable(value)
    if kind is not None:
        return _holds(value, kind, inner)
    if hint is None or hint is type(None):
        return value is None
    if hint is bool:
        return isinstance(value, bool | np.bool_)
    if hint in (int, float):
        tower = numbers.Integral if hint is int else numbers.Real
        return isinstance(value, tower) and not isinstance(value, bool | np.bool_)
    if not isinstance(hint, type) or getattr(hint, "_is_protocol", False):
        return True
    return isinstance(value, hint) or (hint.__name__ in STANDS_FOR and hasattr(value, STANDS_FOR[hint.__name__]))


def _holds(value: Any, kind: Any, inner: tuple) -> bool:
    """Whether a value is a container of this kind, with what it is said to hold."""
    if kind not in (tuple, list, dict, set, frozenset) and not isinstance(value, np.ndarray):
        known = kind in (collections.abc.Sequence, collections.abc.Iterable, collections.abc.Mapping)
        if known and (isinstance(value, str | bytes) or not isinstance(value, kind)):
            return False
    elif not isinstance(value, kind) and not isinstance(value, np.ndarray):
        return False
    if not isinstance(value, tuple | list) or {int, float} & {*inner}:
        return True  # others may be read only once; of numbers, the function says what it expects of them
    if kind is tuple and Ellipsis not in inner:
        return len(value) == len(inner) and all(map(fits, value, inner))
    return all(fits(one, inner[0]) for one in value)


def _sentence(where: str, argument: str, given: Mapping[str, Any], hints: Mapping[str, Any]) -> str:
    """What is wrong with an argument, with a hint."""
    value, hint = given[argument], hints[argument]
    text = f"{where}: {argument} is {described(value)}; expected {expected(hint)}"
    for other, its_hint in hints.items():
        both = other != argument and other in given and not fits(given[other], its_hint)
        if both and fits(value, its_hint) and fits(given[other], hint):
            return f"{text}. Hint: {argument} and {other} seem to be swapped"
    return f"{text}. Hint: {_advice(value, hint)}"


def _advice(value: Any, hint: Any) -> str:
    names = [_name(kind) for kind in _kinds(hint)]
    kind = type(value).__name__
    if "Recipe" in names and isinstance(value, Mapping):
        return "w2s.Recipe(**settings) makes one of a dict"
    if "LabelledSet" in names and kind == "Splits":
        return "give one of its parts, such as splits.student_train or splits.test"
    if "LabelledSet" in names and hasattr(value, "encode_prompts"):
        return "w2s.weak_labels(model, inputs) gives a model's labels; a model comes before labels in every call"
    if "LabelledSet" in names and kind == "Evaluation":
        return "an evaluation has answers and no inputs; give the set that was evaluated"
    if "LanguageModel" in names and isinstance(value, str | os.PathLike):
        return f"w2s.load_model({str(value)!r}) loads it"
    if "LanguageModel" in names and kind == "LabelledSet":
        return "a model comes before labels in every call"
    if isinstance(value, type):
        return f"give an object of the class, such as {value.__name__}(...)"
    return next((MAKES[name] for name in names if name in MAKES), "help() of the function describes every argument")


def _kinds(hint: Any) -> list[Any]:
    """The types of a union, without None; else the annotation itself."""
    if typing.get_origin(hint) in (typing.Union, types.UnionType):
        return [kind for one in typing.get_args(hint) if one is not type(None) for kind in _kinds(one)]
    return [hint]


def _name(kind: Any) -> str:
    return getattr(typing.get_origin(kind) or kind, "__name__", str(kind))


def expected(hint: Any) -> str:
    """An annotation in words."""
    words = [_words(kind) for kind in _kinds(hint)]
    if typing.get_origin(hint) in (typing.Union, types.UnionType) and fits(None, hint):
        words.append("None")
    words = list(dict.fromkeys(words))
    return words[0] if len(words) == 1 else f"{', '.join(words[:-1])} or {words[-1]}"


def _words(kind: Any) -> str:
    origin, inner = typing.get_origin(kind), typing.get_args(kind)
    if kind in WORDS:
        return WORDS[kind]
    if origin is typing.Literal:
        return " or ".join(map(repr, inner))
    if origin is tuple and Ellipsis not in inner:
        return f"a pair ({', '.join(map(_words, inner))})" if len(inner) == 2 else f"a tuple of {len(inner)}"
    if origin in (tuple, list, collections.abc.Sequence, collections.abc.Iterable):
        many = _words(inner[0]).removeprefix("a ").removeprefix("an ")
        return f"a {'tuple' if origin is tuple else 'list'} of {many}s"
    if origin is collections.abc.Mapping or origin is dict:
        return "a dict"
    if origin is collections.abc.Callable:
        return "a function"
    name = _name(kind)
    return "anything" if kind is Any else f"{'an' if name[:1] in 'AEIO' else 'a'} {name}"


def described(value: Any) -> str:
    """A value in a few words, with its type where that is not plain to see."""
    if value is None or isinstance(value, bool):
        return repr(value)
    if isinstance(value, type):
        return f"the class {value.__name__}"
    kind = type(value)
    library = kind.__module__.partition(".")[0]
    if isinstance(value, str):
        return f"the text {abbreviated(value)}"
    if isinstance(value, int | float | tuple | list | dict | set | np.ndarray | np.generic):
        return abbreviated(value)
    if hasattr(value, "shape") or library in ("pandas", "polars", "datasets", "pyarrow", "torch", "transformers"):
        shape = getattr(value, "shape", None)
        size = f" of shape {tuple(shape)}" if isinstance(shape, Sequence) else ""
        return f"a {library} {kind.__name__}{size}"
    if hasattr(value, "state_dict"):  # its repr would list its layers
        return f"a network, {kind.__name__}"
    if repr(value).startswith(f"{kind.__name__}("):
        return abbreviated(value)
    return f"{abbreviated(value)}, {'an' if kind.__name__[:1] in 'AEIO' else 'a'} {kind.__name__}"
