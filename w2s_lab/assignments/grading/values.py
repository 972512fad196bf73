"""Values as plain JSON text: written in a submission's process, read and compared in the grader's.

Only data crosses: whatever class a student returns, and whatever its operators do, nothing of it is ever called on
the grader's side.
"""

import json
import math
from json.encoder import encode_basestring_ascii

import numpy as np
import torch

from w2s_lab.assignments.marks.csv_files import cut

MOST_TEXT = 1_000_000  # characters of one value
MOST_DEPTH = 40  # of lists in lists
TENSOR, OBJECT, PAIRS, SET = "~tensor", "~object", "~pairs", "~set"
KINDS = ("numbers", "truth values")

# Bound now, before any code of a student's could put something else in their place.
_item, _tolist, _to_list = np.generic.item, np.ndarray.tolist, torch.Tensor.tolist
_detach, _dense = torch.Tensor.detach, torch.Tensor.to_dense


def write(value: object) -> str:
    """A value as JSON text: None, truth, numbers, text, lists, tuples, dicts, sets, tensors and arrays; of anything
    else only its type's name.

    Raises:
        ValueError: too long or too deep.
    """
    parts: list[str] = []
    _write(value, parts.append, 0)
    text = "".join(parts)
    if len(text) > MOST_TEXT:
        raise ValueError(f"what came back is too large: {len(text):,} characters of at most {MOST_TEXT:,}")
    return text


def _write(value: object, put, depth: int) -> None:
    if depth > MOST_DEPTH:
        raise ValueError(f"what came back is nested more than {MOST_DEPTH} deep")
    if value is None or value is True or value is False:
        put({None: "null", True: "true", False: "false"}[value])
    elif isinstance(value, np.generic):
        _write(_item(value), put, depth + 1)
    elif isinstance(value, int):
        put(int.__repr__(value))
    elif isinstance(value, float):
        put({"nan": "NaN", "inf": "Infinity", "-inf": "-Infinity"}.get(float.__repr__(value), float.__repr__(value)))
    elif isinstance(value, str):
        put(encode_basestring_ascii(str.__str__(value)))
    elif isinstance(value, (list, tuple)):
        _sequence((list if isinstance(value, list) else tuple).__iter__(value), put, depth)
    elif isinstance(value, (set, frozenset)):
        put(f'{{"{SET}":')
        _sequence(iter(sorted(set(value), key=repr)), put, depth)
        put("}")
    elif isinstance(value, dict):
        _mapping(list(dict.items(value)), put, depth)
    elif isinstance(value, (torch.Tensor, np.ndarray)):
        _tensor(value, put, depth)
    else:
        put(f'{{"{OBJECT}":{encode_basestring_ascii(type(value).__name__[:60])}}}')


def _sequence(items, put, depth: int) -> None:
    put("[")
    for place, item in enumerate(items):
        put("," if place else "")
        _write(item, put, depth + 1)
    put("]")


def _mapping(items: list[tuple], put, depth: int) -> None:
    if not all(type(key) is str and not key.startswith("~") for key, _ in items):
        put(f'{{"{PAIRS}":')
        _sequence(iter(items), put, depth)
        put("}")
        return
    put("{")
    for place, (key, item) in enumerate(items):
        put(("," if place else "") + encode_basestring_ascii(key) + ":")
        _write(item, put, depth + 1)
    put("}")


def _tensor(value: "torch.Tensor | np.ndarray", put, depth: int) -> None:
    if isinstance(value, torch.Tensor):
        value = _detach(value)
        size, numbers = list(value.shape), (_dense(value) if value.layout != torch.strided else value)
        kind = KINDS[value.dtype == torch.bool]
    else:
        size, numbers, kind = list(value.shape), value, KINDS[value.dtype == bool]
    if math.prod(size) > MOST_TEXT // 2:
        raise ValueError(f"what came back is too large: an array of shape {size}")
    put(f'{{"{TENSOR}":')
    _write((_to_list if isinstance(value, torch.Tensor) else _tolist)(numbers), put, depth + 1)
    put(f',"shape":{size},"kind":"{kind}"}}')


def read(text: str) -> object:
    """The value of a text by `write`; raises ValueError where it is none, however a hostile process made it."""
    try:
        value = json.loads(text)
    except (ValueError, TypeError, RecursionError) as error:
        raise ValueError("what came back is no value that could be read") from error
    _refuse_unsound(value, 0)
    return value


def _refuse_unsound(value: object, depth: int) -> None:
    """Only what `write` writes: nothing too deep, no number beyond all floats, no tag of another form."""
    if depth > MOST_DEPTH + 2:
        raise ValueError("what came back is nested too deep")
    if type(value) is int and value.bit_length() > 1000:
        raise ValueError("what came back is a number of hundreds of digits")
    if isinstance(value, dict) and any(key.startswith("~") for key in value):
        forms = {
            TENSOR: value.keys() == {TENSOR, "shape", "kind"}
            and isinstance(value["shape"], list)
            and all(type(size) is int for size in value["shape"])
            and value["kind"] in KINDS,
            OBJECT: value.keys() == {OBJECT} and isinstance(value.get(OBJECT), str),
            SET: value.keys() == {SET} and isinstance(value.get(SET), list),
            PAIRS: value.keys() == {PAIRS}
            and isinstance(value.get(PAIRS), list)
            and all(isinstance(pair, list) and len(pair) == 2 for pair in value[PAIRS]),
        }
        if not any(forms.values()):
            raise ValueError("what came back has a form that no value has")
    for item in value.values() if isinstance(value, dict) else value if isinstance(value, list) else ():
        _refuse_unsound(item, depth + 1)


def _tag(value: object) -> str:
    if isinstance(value, dict):
        return next((tag for tag in (TENSOR, OBJECT, PAIRS, SET) if tag in value), "")
    return ""


def plain(value: object) -> object:
    """Without tags: tensors as lists of numbers, sets as lists, objects as their type's name."""
    tag = _tag(value)
    if tag == PAIRS:
        return {_key(key): plain(item) for key, item in value[PAIRS]}
    if tag:
        return plain(value[tag])
    if isinstance(value, dict):
        return {key: plain(item) for key, item in value.items()}
    return [plain(item) for item in value] if isinstance(value, list) else value


def _key(key: object) -> object:
    return tuple(map(_key, key)) if isinstance(key, list) else str(key) if isinstance(key, dict) else key


def same(given: object, wanted: object, tolerance: float) -> bool:
    """Numbers within the tolerance (NaN equals NaN), arrays of one shape, lists item by item, dicts key by key."""
    tags = _tag(given), _tag(wanted)
    if TENSOR in tags:
        # A tensor without dimensions is a number.
        if any(tag == "" and isinstance(value, dict | list) for tag, value in zip(tags, (given, wanted), strict=True)):
            return False
        sizes = [value["shape"] if tag else [] for tag, value in zip(tags, (given, wanted), strict=True)]
        return sizes[0] == sizes[1] and same(plain(given), plain(wanted), tolerance)
    if tags[0] != tags[1] or tags[1] == OBJECT:
        return False
    if tags[1] == SET:
        return _same_unordered(given[SET], wanted[SET], tolerance)
    if tags[1] == PAIRS:
        return _same_unordered(given[PAIRS], wanted[PAIRS], tolerance)
    if isinstance(wanted, (bool, int, float)):
        if not isinstance(given, (bool, int, float)):
            return False
        if math.isnan(given) or math.isnan(wanted):
            return math.isnan(given) and math.isnan(wanted)
        near = math.isfinite(given) and math.isfinite(wanted) and abs(given - wanted) <= tolerance * (1 + abs(wanted))
        return given == wanted or near
    if isinstance(wanted, list):
        return (
            isinstance(given, list)
            and len(given) == len(wanted)
            and all(same(a, b, tolerance) for a, b in zip(given, wanted, strict=True))
        )
    if isinstance(wanted, dict):
        return (
            isinstance(given, dict)
            and given.keys() == wanted.keys()
            and all(same(given[key], wanted[key], tolerance) for key in wanted)
        )
    return type(given) is type(wanted) and given == wanted


def _same_unordered(given: list, wanted: list, tolerance: float) -> bool:
    left = list(given)
    for item in wanted:
        match = next((place for place, other in enumerate(left) if same(other, item, tolerance)), None)
        if match is None:
            return False
        left.pop(match)
    return not left


def kind(value: object) -> str:
    """What a value is, in words, without saying which."""
    tag = _tag(value)
    if tag == TENSOR:
        shape = value["shape"]
        return f"a tensor or array of {value['kind']}, shape {shape}" if shape else "a number"
    if tag == OBJECT:
        return f"an object of type {value[OBJECT]}"
    if tag == SET:
        return "a set"
    if tag == PAIRS or isinstance(value, dict):
        return "a dict"
    if value is None:
        return "nothing (None)"
    if isinstance(value, bool):
        return "True or False"
    if isinstance(value, (int, float)):
        return "not a number (NaN)" if math.isnan(value) else "a number"
    if isinstance(value, str):
        return "a text"
    kinds = {kind(item) for item in value}
    inner = f", each {next(iter(kinds))}" if len(kinds) == 1 else ""
    return f"a list of {len(value)}{inner}"


def family(value: object) -> str:
    """A kind without sizes and names: what a hidden check lets through of what came back, so that no submission can
    carry out in a length or a name what it was called with."""
    tag = _tag(value)
    if tag == TENSOR:
        return "a tensor or array" if value["shape"] else "a number"
    if tag == OBJECT:
        return "an object of another type"
    return "a list" if isinstance(value, list) else kind(value)


def short(value: object, most: int = 200) -> str:
    """As one line for people."""
    return cut(json.dumps(plain(value), ensure_ascii=False), most)


def difference(given: object, wanted: object, *, hidden: bool) -> str:
    """Why a value is not what was wanted: in kind, and for what is not hidden by its value too."""
    kinds = kind(given), kind(wanted)
    if kinds[0] != kinds[1] and hidden:
        families = family(given), family(wanted)
        other = "one of another size or content" if families[0] == families[1] else families[0]
        return f"Expected {kinds[1]}; what came back is {other}."
    if kinds[0] != kinds[1]:
        return f"Expected {kinds[1]}; what came back is {kinds[0]}."
    if not hidden:
        return f"Expected {short(wanted)}; what came back is {short(given)}."
    if isinstance(wanted, dict) and not _tag(wanted) and isinstance(given, dict) and given.keys() != wanted.keys():
        return "What came back is a dict, as expected, but its keys are not those that the question names."
    return f"What came back is {kinds[0]}, as expected, but not the right one."
