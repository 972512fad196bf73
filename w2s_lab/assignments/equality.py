"""What counts as equal, for the classroom's checker and for the grader: one table, and one function for it.

Both turn the two values into plain forms first (see `forms`) and compare those.

| what | equal to |
|---|---|
| a number | a number within the tolerance t, absolute and relative: abs(a - b) ≤ t · (1 + max(abs(a), abs(b))) |
| its type | does not matter: bool, int, float, Fraction, Decimal, NumPy's and torch's numbers, arrays and tensors without dimensions; True is 1, -0.0 is 0.0 |
| its precision | does not matter either: a float16 or bfloat16 is compared as the number that it is, with the same t |
| NaN | NaN, pandas' NA and NaT, nowhere else |
| an infinity | the infinity of the same sign |
| a complex number | a number, by the distance in the plane; NaN and infinities part by part; without an imaginary part it is its real part |
| a text | the same text, letter by letter: white space, capitals and Unicode's forms count; `np.str_` is a text |
| bytes | the same bytes, of `bytes`, `bytearray`, `memoryview`, `np.bytes_`; no text is equal to bytes |
| None | None |
| a sequence | a sequence of the same length, item by item, in order |
| its type | does not matter: list, tuple, namedtuple, array, tensor, Series and pandas' other arrays, range, deque, a dict's keys(), values() and items(), a generator (what it yields) |
| an array or tensor | an array, tensor or nested sequence of the same shape; dtype and device do not matter; an empty list has the shape [0] |
| a set | a set or frozenset with the same elements, whatever their order; the tolerance holds inside |
| a dict | a dict (any mapping) with the same keys and equal values, whatever the order; keys are compared by this table too, so `np.int64(1)`, 1 and 1.0 are one key, "1" is another |
| a DataFrame | a dict from a column's name to its values; the index does not count, nor does that of a Series |
| an object of a class | an object whose class has the same name and whose attributes are equal (of a dataclass: the fields that it compares; of an exception: its arguments) |
| a date or a moment | the same moment, of `date` (midnight), `datetime`, pandas' Timestamp, `np.datetime64` of any unit; with an offset it is told in UTC, and equal to none without |
| a path | a path with the same text |
| a time of day, time difference, dtype, slice | one of the same class with the same text |
| a function, a class, a module, an object without attributes | nothing, not even itself: there is nothing to compare |
"""  # noqa: E501

import json
import math
from collections import Counter, defaultdict
from fractions import Fraction

from scipy.sparse import csr_matrix
from scipy.sparse.csgraph import maximum_bipartite_matching

from w2s_lab.assignments.forms import BYTES, COMPLEX, OBJECT, PAIRS, SET, TENSOR, Form, as_form, tag

NUMBER, SEQUENCE, MAPPING = "number", "sequence", "mapping"
NEIGHBOURS = 100  # places to either side at which a partner is looked for, in sets and dicts


def equal(given: object, wanted: object, tolerance: float) -> bool:
    """Whether two Python values are equal by the table; raises what `as_form` raises."""
    return same(as_form(given), as_form(wanted), tolerance)


def same(given: Form, wanted: Form, tolerance: float) -> bool:
    """Whether two plain forms are equal by the table. Symmetric, and never raises for what `forms` makes."""
    sort = sort_of(wanted)
    if sort_of(given) != sort:
        return False
    if sort == NUMBER:
        return _near(given, wanted, tolerance)
    if sort == SEQUENCE:
        if TENSOR in (tag(given), tag(wanted)) and shape_of(given) != shape_of(wanted):
            return False
        return _all_same(items_of(given), items_of(wanted), tolerance)
    if sort == SET:
        return _paired(given[SET], wanted[SET], tolerance)
    if sort == MAPPING:
        return _same_mapping(given, wanted, tolerance)
    if sort == OBJECT:
        told = "of" in given and "of" in wanted and given[OBJECT] == wanted[OBJECT]
        return told and same(given["of"], wanted["of"], tolerance)
    return given == wanted  # None, texts, bytes


def sort_of(form: Form) -> str:
    """Which row of the table a form is in: forms of two sorts are never equal."""
    if isinstance(form, (bool, int, float)):
        return NUMBER
    if isinstance(form, list):
        return SEQUENCE
    if isinstance(form, dict):
        kind = tag(form)
        return {"": MAPPING, PAIRS: MAPPING, TENSOR: SEQUENCE, COMPLEX: NUMBER}.get(kind, kind)
    return type(form).__name__


def shape_of(form: Form) -> list[int]:
    """Of an array, or of nested lists by their first items; [] of what is no sequence."""
    if tag(form) == TENSOR:
        return form["shape"]
    if isinstance(form, list):
        return [len(form), *(shape_of(form[0]) if form else [])]
    return []


def items_of(form: Form) -> list:
    """The items of a sequence; those of an array know their own shape."""
    if isinstance(form, list):
        return form
    inner = form["shape"][1:]
    return [{**form, TENSOR: row, "shape": inner} for row in form[TENSOR]] if inner else form[TENSOR]


def _all_same(given: list, wanted: list, tolerance: float) -> bool:
    return len(given) == len(wanted) and all(map(same, given, wanted, [tolerance] * len(given)))


def _same_mapping(given: dict, wanted: dict, tolerance: float) -> bool:
    """Values under exactly equal keys belong together; the others find a partner within the tolerance."""
    if tag(given) == tag(wanted) == "":
        return given.keys() == wanted.keys() and all(same(given[key], wanted[key], tolerance) for key in wanted)
    if len(_pairs(given)) != len(_pairs(wanted)):
        return False
    sides, rest = (defaultdict(list), defaultdict(list)), ([], [])
    for form, side in zip((given, wanted), sides, strict=True):
        for pair in _pairs(form):
            side[_exact(pair[0])].append(pair)
    for key in sides[0].keys() | sides[1].keys():
        own = sides[0][key], sides[1][key]
        if key is not None and len(own[0]) == len(own[1]) == 1:
            if not same(own[0][0][1], own[1][0][1], tolerance):
                return False
        else:
            rest[0].extend(own[0])
            rest[1].extend(own[1])
    return _paired(*rest, tolerance)


def _pairs(form: dict) -> list[list]:
    return form[PAIRS] if PAIRS in form else [list(item) for item in form.items()]


# -- numbers -----------------------------------------------------------------------------------------------------------


def _near(a: Form, b: Form, tolerance: float) -> bool:
    if isinstance(a, dict) or isinstance(b, dict):
        return _near_complex(_parts(a), _parts(b), tolerance)
    if a == b:
        return True
    if a != a or b != b:  # NaN
        return a != a and b != b
    if math.inf in (abs(a), abs(b)):
        return False
    try:
        return abs(a - b) <= tolerance + tolerance * max(abs(a), abs(b))
    except OverflowError:  # an integer beyond all floats
        a, b, tolerance = map(Fraction, (a, b, tolerance))
        return abs(a - b) <= tolerance + tolerance * max(abs(a), abs(b))


def _parts(number: Form) -> list:
    return number[COMPLEX] if isinstance(number, dict) else [number, 0.0]


def _near_complex(a: list, b: list, tolerance: float) -> bool:
    try:
        if all(map(math.isfinite, [*a, *b])):
            if max(map(abs, [*a, *b])) > 1e300:  # so that no distance becomes infinite
                a, b = ([part / 4 for part in number] for number in (a, b))
            distance = math.hypot(a[0] - b[0], a[1] - b[1])
            return distance <= tolerance + tolerance * max(math.hypot(*a), math.hypot(*b))
    except OverflowError:
        return False  # an integer beyond all floats, and a number with an imaginary part
    return all(_near(x, y, tolerance) for x, y in zip(a, b, strict=True))


# -- without order -----------------------------------------------------------------------------------------------------


def _paired(given: list, wanted: list, tolerance: float) -> bool:
    """Whether each of one list can be given an equal partner of the other; exactly equal ones become partners first.

    A partner is looked for among the NEIGHBOURS next places after sorting by shape and numbers, which bounds the time;
    one is missed only where hundreds of items lie within the tolerance of each other.
    """
    if len(given) != len(wanted):
        return False
    keys = [[_exact(item) for item in items] for items in (given, wanted)]
    common = Counter(filter(None, keys[0])) & Counter(filter(None, keys[1]))
    given, wanted = (_without(items, own, common.copy()) for items, own in zip((given, wanted), keys, strict=True))
    if not wanted:
        return True
    given, wanted = sorted(given, key=_place), sorted(wanted, key=_place)
    if _all_same(given, wanted, tolerance):
        return True
    rows, columns = [], []
    for row, item in enumerate(wanted):
        nearby = range(max(0, row - NEIGHBOURS), min(len(given), row + NEIGHBOURS + 1))
        found = [column for column in nearby if same(given[column], item, tolerance)]
        if not found:
            return False
        rows += [row] * len(found)
        columns += found
    equal_ones = csr_matrix(([True] * len(rows), (rows, columns)), shape=(len(wanted), len(given)))
    return bool((maximum_bipartite_matching(equal_ones, perm_type="column") >= 0).all())


def _place(form: Form) -> tuple[str, list[float]]:
    """Where a form is among others: by what is in it besides numbers, then by its numbers from left to right."""
    numbers: list[float] = []

    def rest(form: Form) -> Form:
        if sort_of(form) == NUMBER:
            numbers.extend(map(_finite, _parts(form)))
            return 0
        if sort_of(form) == SEQUENCE:
            return [rest(item) for item in items_of(form)]
        return {key: rest(item) for key, item in form.items()} if isinstance(form, dict) else form

    return json.dumps(rest(form)), numbers


def _finite(number: float) -> float:
    """As a float that can be sorted; NaN is the smallest."""
    try:
        return float(number) if number == number else -math.inf
    except OverflowError:  # an integer beyond all floats
        return math.inf if number > 0 else -math.inf


def _without(items: list, keys: list[str | None], common: Counter) -> list:
    left = []
    for item, key in zip(items, keys, strict=True):
        if key and common[key]:
            common[key] -= 1
        else:
            left.append(item)
    return left


def _exact(form: Form) -> str | None:
    """A text that forms share where they are equal even without a tolerance; None for those that have none."""
    try:
        return json.dumps(_canonical(form))
    except ValueError:
        return None


def _canonical(form: Form) -> Form:
    if isinstance(form, (bool, int, float)):
        return int(form) if form == form and abs(form) != math.inf and form == int(form) else form
    if isinstance(form, list):
        return [_canonical(item) for item in form]
    if isinstance(form, dict) and tag(form) not in (BYTES, COMPLEX):
        raise ValueError
    return form
