"""One table of what is equal: its rows, its properties over all pairs of kinds, and the words for what differs."""

import array
import dataclasses
import datetime
import enum
import itertools
import math
import re
import sys
import types
from collections import Counter, OrderedDict, UserDict, UserList, UserString, defaultdict, deque, namedtuple
from decimal import Decimal
from fractions import Fraction
from pathlib import PurePath, PurePosixPath
from unittest.mock import Mock

import numpy as np
import pandas as pd
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from places import ROOT

from w2s_lab.assignments import equality
from w2s_lab.assignments.differences import apart, explain_difference, in_one_line, kind, look_alike, short
from w2s_lab.assignments.equality import equal, same
from w2s_lab.assignments.forms import MOST_DEPTH, as_form, plain
from w2s_lab.assignments.grading import values, worker
from w2s_lab.classroom.exercises import checks
from w2s_lab.classroom.exercises.exercise import Exercise

T = 1e-6
Point = namedtuple("Point", "x y")


@dataclasses.dataclass(frozen=True)
class Plan:
    human: int
    rule: str = "confidence"
    made: float = dataclasses.field(default=0.0, compare=False)


class Simple:
    def __init__(self, **own: object) -> None:
        self.__dict__.update(own)


class Slotted:
    __slots__ = ("left", "right")

    def __init__(self, left: object) -> None:
        self.left = left


class Sly:
    """Says yes to everything, and claims to be an array."""

    def __eq__(self, other):
        return True

    def __array__(self, *args, **kwargs):
        return np.array(1.0)

    def __float__(self):
        return 1.0


class Color(enum.Enum):
    RED = 1
    BLUE = 2


def read(value: object) -> object:
    """As the grader reads a value: plain JSON text, there and back."""
    return values.read(values.write(value))


# -- the rows of the table ---------------------------------------------------------------------------------------------

NAN = float("nan")
EQUAL = {
    "numbers of all types": (1, 1.0, True, Fraction(1), Decimal(1), np.int64(1), np.float32(1), np.bool_(True),
                             np.array(1), torch.tensor(1.0), torch.tensor(True), torch.tensor(1, dtype=torch.bfloat16),
                             1 + 0j, np.complex64(1), np.longdouble(1)),
    "halves": (0.5, Fraction(1, 2), Decimal("0.5"), np.float16(0.5), torch.tensor(0.5, dtype=torch.float16)),
    "within the tolerance": (0.1 + 0.2, 0.3, Decimal("0.3"), Fraction(3, 10)),
    "NaN": (NAN, np.float32("nan"), torch.tensor(NAN), Decimal("nan"), pd.NA, pd.NaT, np.datetime64("NaT")),
    "infinity": (math.inf, np.inf, Decimal("inf"), torch.tensor(math.inf)),
    "zero": (0, -0.0, 0.0, False),
    "complex": (1 + 2j, np.complex128(1 + 2j), torch.tensor(1 + 2j)),
    "large integers": (10**400, Fraction(10**400), Decimal(10) ** 400),
    "texts": ("a", np.str_("a"), UserString("a"), np.array("a")),
    "bytes": (b"a", np.bytes_(b"a"), bytearray(b"a"), memoryview(b"a")),
    "sequences": ([1, 2], (1, 2), np.array([1, 2]), torch.tensor([1.0, 2.0]), pd.Series([1, 2], index=[7, 8]),
                  range(1, 3), deque([1, 2]), {1: 0, 2: 0}.keys(), {0: 1, 1: 2}.values(), array.array("i", [1, 2]),
                  UserList([1, 2]), Point(1, 2), torch.Size([1, 2]), [np.int8(1), torch.tensor(2)],
                  np.array([1, 2], dtype=object), np.ma.array([1, 2]), pd.Index([1, 2])),
    "truth": ([True, False], np.array([True, False]), torch.tensor([1, 0]), np.array([1.0, 0.0])),
    "arrays": ([[1.0, 2.0], [3.0, 4.0]], np.array([[1, 2], [3, 4]]), torch.tensor([[1.0, 2.0], [3.0, 4.0]]),
               [torch.tensor([1, 2]), (3, 4)], torch.tensor([[1.0, 2], [3, 4]]).to_sparse()),
    "complex arrays": ([1j, 2], np.array([1j, 2]), torch.tensor([1j, 2])),
    "ragged": ([[1, 2], [3]], ((1, 2), (3,)), [np.array([1, 2]), np.array([3])]),
    "empty": ([], (), np.zeros(0), torch.zeros(0), range(0), {}.values(), np.array([], dtype=object)),
    "empty rows": ([[], []], np.zeros((2, 0)), [torch.zeros(0)] * 2),
    "sets": ({1, 2.0}, frozenset({True, 2}), {np.int64(1), 2}, {Fraction(1), 2 + 1e-9}),
    "dicts": ({1: "a", 2: "b"}, {2: "b", 1: "a"}, {np.int64(2): "b", np.float64(1): "a"}, UserDict({1: "a", 2: "b"}),
              OrderedDict([(2.0, "b"), (1.0, "a")]), types.MappingProxyType({1: "a", 2: "b"})),
    "counts": (Counter("aab"), {"b": 1, "a": 2}, defaultdict(int, a=2, b=1)),
    "tuple keys": ({(0, 1): 2.0, (1, 0): NAN}, {(np.int64(1), 0): NAN, (0, 1.0): 2}),
    "text keys with a tilde": ({"~set": 1}, {"~set": 1.0}),
    "frames": (pd.DataFrame({"a": [1, 2], 3: [0.5, NAN]}), {"a": [1, 2], 3: [0.5, NAN]}),
    "data": (Plan(100, made=1.0), Plan(100.0, made=2.0)),
    "objects": (Simple(a=1, b=[2]), Simple(b=(2.0,), a=True)),
    "slots": (Slotted(1), Slotted(1.0)),
    "members": (Color.RED, Color.RED),
    "dates": (datetime.date(2026, 1, 2), datetime.datetime(2026, 1, 2), pd.Timestamp("2026-01-02"),
              np.datetime64("2026-01-02"), np.datetime64("2026-01-02T00", "h"), np.datetime64("2026-01-02", "ns")),
    "moments": (datetime.datetime(2026, 1, 2, 3, 4, 5, 60), pd.Timestamp("2026-01-02 03:04:05.00006"),
                np.datetime64("2026-01-02T03:04:05.000060000")),
    "moments with an offset": (datetime.datetime(2026, 1, 2, tzinfo=datetime.UTC), pd.Timestamp("2026-01-02", tz="UTC"),
                               pd.Timestamp("2026-01-02 01:00", tz="Europe/Berlin")),
    "columns of dates": (pd.date_range("2026-01-02", periods=2),
                         pd.Series(pd.to_datetime(["2026-01-02", "2026-01-03"])),
                         np.array(["2026-01-02", "2026-01-03"], dtype="M8[D]"),
                         [datetime.date(2026, 1, 2), datetime.date(2026, 1, 3)]),
    "pandas' arrays of texts": (["a", "b"], pd.Series(["a", "b"]), pd.Series(["a", "b", "a"]).unique(),
                                pd.Categorical(["a", "b"]), pd.Series(["a", "b"]).astype("category"),
                                pd.Index(["a", "b"])),
    "pandas' arrays with holes": ([1, NAN], pd.array([1, None], dtype="Int64"), pd.Series([1, None], dtype="Int64")),
    "paths": (PurePosixPath("a/b"), PurePosixPath("a//b"), PurePath("a/b")),
    "errors": (ValueError("a", 1), ValueError("a", 1.0)),
    "patterns": (re.compile("a+"), re.compile("a+")),
    "odd tensors": ([1.0, 1.0], torch.ones(2).to(torch.float8_e4m3fn), torch.ones(2, requires_grad=True)),
    "dtypes": (torch.float32, torch.float32),
}  # fmt: skip
DIFFERENT = {
    "None is no number": (None, 0, NAN, "", [], set()),
    "texts are strict": ("a", "a ", "A", "\u00e4", "a\u0308", "\u0430", "a\u200b", b"a", ["a"]),
    "a text is no number": ("1", 1, b"1", {1}),
    "shapes": (np.zeros((0, 3)), np.zeros((0, 4)), np.zeros(0), np.zeros((3, 0)), np.zeros((1, 3, 0)), 0.0),
    "dimensions": (3.0, [3.0], [[3.0]], torch.zeros(1, 1, 1) + 3),
    "order": ([1, 2], [2, 1], {1, 2}, {1: 2}, [1, 2, 2]),
    "moments": (
        datetime.date(2026, 1, 2),
        datetime.date(2026, 1, 3),
        datetime.datetime(2026, 1, 2, 0, 0, 1),
        "2026-01-02",
        datetime.datetime(2026, 1, 2, tzinfo=datetime.UTC),
    ),
    "errors": (ValueError("a"), ValueError("b"), KeyError("a"), "a"),
    "large complex numbers": (1.5e308 + 1.5e308j, 0, 1j, -1.5e308 - 1.5e308j),
    "keys": ({1: "a"}, {"1": "a"}, {2: "a"}, {1: "b"}, {1: "a", 2: "b"}, {(1,): "a"}),
    "infinities": (math.inf, -math.inf, NAN, 1e308, -1e308, 10**400),
    "near, not near enough": (1.0, 1.0 + 1e-5, 1.0 - 1e-5, 1 + 1e-4j),
    "objects of another class": (Plan(1), Simple(human=1, rule="confidence"), Plan(2), {"human": 1}, (1, "confidence")),
    "members": (Color.RED, Color.BLUE, 3, "RED"),
    "dtypes": (torch.float32, torch.float64, np.dtype("float32"), "torch.float32"),
    "multiplicity": ({(1, 0.0), (1, 0.1)}, {(1, 0.0), (2, 0.1)}, {(1, 0.0)}),
}


@pytest.mark.parametrize("name", EQUAL)
def test_what_is_equal(name):
    for a, b in itertools.product(EQUAL[name], repeat=2):
        assert equal(a, b, T), (a, b)
        assert same(read(a), read(b), T)


@pytest.mark.parametrize("name", DIFFERENT)
def test_what_is_different(name):
    for a, b in itertools.permutations(DIFFERENT[name], 2):
        assert not equal(a, b, T), (a, b)
        assert not same(read(a), read(b), T)


def test_an_object_that_says_nothing_is_equal_to_nothing():
    for one in (len, int, math, lambda: 0, object(), Sly(), iter):
        assert not equal(one, one, T)
        assert "nothing can be compared" in explain_difference(as_form([one]), as_form([one]))
    assert not equal(Sly(), 1.0, T)


def test_a_generator_is_what_it_yields():
    assert equal((i * i for i in range(3)), [0, 1, 4], T)
    assert equal(map(str, range(2)), ["0", "1"], T) and equal(zip("ab", [1, 2], strict=True), [("a", 1), ("b", 2)], T)
    with pytest.raises(ValueError, match="too large: more than 500,000 values"):
        as_form(itertools.count())


def test_half_precision_is_compared_as_the_number_that_it_is():
    third = torch.tensor(1 / 3, dtype=torch.float16)
    assert not equal(third, 1 / 3, 1e-6) and equal(third, 1 / 3, 1e-3)


def test_what_cannot_be_written_is_refused_in_words():
    own: list = []
    own.append(own)
    for value, words in ((own, "nested more than 40 deep"), (10**5000, "thousands of digits"),
                         (torch.zeros(600_000), "too large"), (list(range(600_000)), "too large")):  # fmt: skip
        with pytest.raises(ValueError, match=words):
            as_form(value)
    deep: object = 1
    for _ in range(MOST_DEPTH):
        deep = [deep]
    assert same(read(deep), as_form(deep), 0)


def test_the_page_for_instructors_holds_the_table():
    rows = [line for line in equality.__doc__.splitlines() if line.startswith("|")]
    page = (ROOT / "docs" / "equality.md").read_text(encoding="utf-8").splitlines()
    assert len(rows) == 22 and [line for line in page if line.startswith("|")] == rows


def test_a_criterion_gets_ordinary_values():
    back = plain(read({(0, 1): {1, 2}, 3: np.eye(2), "plan": Plan(5), "raw": b"\x00"}))
    assert back[0, 1] == {1, 2} and back[3] == [[1, 0], [0, 1]] and back["plan"].human == 5 and back["raw"] == b"\x00"


# -- all pairs of kinds ------------------------------------------------------------------------------------------------

numbers = st.one_of(
    st.booleans(),
    st.integers(-3, 3),
    st.integers(),
    st.floats(),
    st.floats(width=16).map(np.float16),
    st.floats(-2, 2).map(np.float64),
    st.floats(width=32).map(torch.tensor),
    st.integers(-5, 5).map(np.int32),
    st.fractions(),
    st.decimals(),
    st.complex_numbers(),
    st.sampled_from(
        [10**400, -(10**400), 10**400 + 1, 1e308, math.inf, NAN, -0.0, np.longdouble(1) / 3, Decimal("1e99999")]
    ),
)
texts = st.one_of(
    st.text(max_size=6), st.sampled_from(["a", "a ", "a\u200b", "\u0430", "~set", "1"]), st.binary(max_size=3)
)
atoms = st.one_of(st.none(), numbers, texts, st.sampled_from([
    datetime.date(2026, 1, 1), torch.float32, Color.RED, Color.BLUE, len, Plan(1), Plan(1, "a"), PurePosixPath("a"),
    pd.NA, np.datetime64("2026-01-01"), pd.Timestamp("2026-01-01"), slice(1, 2), Ellipsis, ValueError("a"),
    re.compile("a"), "ValueError", "builtin_function_or_method",
]))  # fmt: skip
keys = st.one_of(
    st.integers(-2, 2), st.sampled_from("ab"), st.tuples(st.integers(0, 1), st.booleans()), st.floats(0, 1)
)
arrays = st.one_of(
    st.lists(st.integers(0, 3), max_size=3).map(np.zeros),
    st.lists(st.floats(-2, 2), max_size=4).map(np.array),
    st.lists(st.floats(-2, 2), max_size=4).map(torch.tensor),
    st.lists(st.booleans(), max_size=4).map(torch.tensor),
    st.lists(st.floats(-2, 2), min_size=4, max_size=4).map(lambda row: np.array(row, dtype=np.float32).reshape(2, 2)),
    st.lists(st.complex_numbers(max_magnitude=9), max_size=3).map(np.array),
    st.lists(st.sampled_from("ab"), max_size=3).map(np.array),
    st.lists(st.floats(-2, 2), max_size=4).map(lambda row: pd.Series(row, dtype=float)),
)


def containers(inner: st.SearchStrategy) -> st.SearchStrategy:
    few = st.lists(inner, max_size=4)
    return st.one_of(
        few,
        few.map(tuple),
        few.map(deque),
        few.map(lambda items: dict(enumerate(items)).values()),
        st.integers(0, 4).map(range),
        st.sets(keys, max_size=4),
        st.frozensets(keys, max_size=4),
        st.dictionaries(keys, inner, max_size=4),
        st.dictionaries(st.text(max_size=2), inner, max_size=4),
        st.tuples(inner, inner).map(lambda pair: Point(*pair)),
        inner.map(lambda item: Simple(a=item)),
        inner.map(Slotted),
        st.lists(st.floats(0, 1), max_size=3).map(lambda row: pd.DataFrame({"a": row, 1: row})),
    )


anything = st.recursive(st.one_of(atoms, arrays), containers, max_leaves=8)
FUZZ = settings(max_examples=400, deadline=None, suppress_health_check=list(HealthCheck))


def holds_nothing_comparable(form: object) -> bool:
    return "of which nothing can be compared" in explain_difference(form, form)


def check_words(a: object, b: object) -> None:
    """No message shows the same on both sides."""
    said = explain_difference(a, b)
    assert len(said) < 1_000
    for pattern in (r"Expected (.*); what came back is (.*)\.", r"Expected (.*); came back (.*)\."):
        found = re.search(pattern, said, re.DOTALL)
        if found:
            assert not look_alike(*found.groups()) or "looks like" in said, said
            assert found[1] != found[2]
            break
    else:
        assert "nothing can be compared" in said and (holds_nothing_comparable(a) or holds_nothing_comparable(b)), said


def agree_in_the_classroom(given_: object, wanted: object) -> bool:
    exercise = Exercise(lambda: None, lambda rng: (), key=lambda: wanted, tolerance=T)
    verdict = checks.judge(exercise, lambda: given_)
    found = re.search(r"[Rr]eturned (.*); expected (.*?)( \(.*\))?\.", verdict.says, re.DOTALL)
    assert not found or found[1] != found[2], verdict.says
    return verdict.state == "right"


@pytest.mark.slow
@FUZZ
@given(anything, anything)
def test_all_pairs(a, b):
    one, two = as_form(a), as_form(b)
    assert read(a) == one or values._encode(read(a)) == values._encode(one)  # NaN is not NaN to Python
    for tolerance in (0.0, T, 0.3):
        assert same(one, two, tolerance) == same(two, one, tolerance)
        assert same(one, one, tolerance) or holds_nothing_comparable(one)
        assert same(read(a), read(b), tolerance) == same(one, two, tolerance)
    plain(one)
    assert kind(one) and short(one)
    if not same(one, two, T):
        check_words(one, two)
    if a is not None and a is not Ellipsis:
        assert agree_in_the_classroom(a, b) == same(read(a), read(b), T)


@FUZZ
@given(anything)
def test_what_a_criterion_gets_is_what_came_back(a):
    form = as_form(a)
    text = values.write(a)
    if "~object" not in text and not re.search(r'"shape": \[[^]]*\b0\b', text):  # these become other Python values
        assert same(as_form(plain(form)), form, 0.0)


@FUZZ
@given(st.lists(st.tuples(st.floats(0, 1), st.integers(0, 2)), max_size=6, unique=True), st.randoms())
def test_order_of_sets_and_dicts_is_free(items, random):
    other = [(x + 1e-9, y) for x, y in items]
    random.shuffle(other)
    assert equal(set(items), set(other), T) or len(set(other)) < len(items)
    assert equal(dict.fromkeys(items, 1), dict.fromkeys(other, 1.0), T) or len(set(other)) < len(items)


def test_thousands_of_near_items_take_bounded_time():
    keys = [(i, i % 7) for i in range(3_000)]
    one = {key: key[0] / 7 for key in keys}
    other = {key: value + 1e-12 for key, value in reversed(one.items())}
    assert equal(one, other, T) and not equal(one, other | {(5, 5): 99.0}, T)
    assert equal(set(one.values()), set(other.values()), T)
    assert not equal(set(one.values()), {*list(other.values())[1:], 0.1234}, T)
    assert equal({(x, "a") for x in one.values()}, {(x, "a") for x in other.values()}, T)


# -- values that do not want to be read --------------------------------------------------------------------------------


class NoName(type):
    @property
    def __name__(cls):
        raise RuntimeError("no name")


class Nameless(metaclass=NoName):
    __slots__ = ()


class Evil:
    def __init__(self):
        self.inner = self

    def _raise(self, *_):
        raise KeyboardInterrupt

    __repr__ = __str__ = __eq__ = __len__ = __bool__ = __iter__ = __getitem__ = __format__ = _raise
    __hash__ = None


class Liar:
    __class__ = dict


class Hidden:
    def __getattribute__(self, name):
        raise SystemExit(name)


class Ten(list):
    def __len__(self):
        return 10**9

    def __iter__(self):
        raise KeyboardInterrupt


class Mute(Exception):
    def __str__(self):
        raise KeyboardInterrupt


def fails_half_way():
    yield 1
    raise Mute


ODD = {
    "evil": Evil(), "nameless": Nameless(), "liar": Liar(), "hidden": Hidden(), "ten": Ten([1, 2]), "mute": Mute("a"),
    "half": fails_half_way(), "endless": itertools.count(), "no data": torch.empty(3, device="meta"),
    "range": range(10**12), "mock": Mock(spec=dict), "model": torch.nn.Linear(1, 1), "text": "x" * 2_000_000,
    "digits": 10**5_000, "table": pd.DataFrame([[1, 2]], columns=["a", "a"]), "surrogate": "\ud800",
    "tensors": {torch.tensor(1), torch.tensor(1)}, "group": pd.DataFrame({"a": [1]}).groupby("a"),
}  # fmt: skip


@pytest.fixture
def room(monkeypatch):
    monkeypatch.setitem(sys.modules, "__main__", sys.modules["__main__"])
    return worker.Room()


@pytest.mark.parametrize("name", ODD)
def test_a_value_that_cannot_be_read_says_so_in_a_line(name, room):
    room.names["value"] = ODD[name]
    answer = room.call("", "value")
    if "value" in answer:
        form = values.read(answer["value"])
        assert len(kind(form)) <= 300 and len(short(form)) <= 200
        for wanted in (1, "a", [1], {"a": 1}, None):
            assert len(explain_difference(form, as_form(wanted))) < 1_000
    else:
        assert answer["type"] == "" and answer["error"].startswith("what came back ") and len(answer["error"]) < 500


def test_a_name_of_a_million_letters_stays_short():
    forged = values.read('{"~object": "' + "A" * 500_000 + '"}')
    assert len(explain_difference(forged, 1)) < 1_000 and len(explain_difference([forged], [1])) < 1_000


# -- independent references --------------------------------------------------------------------------------------------

small = st.floats(-1e6, 1e6)
near = st.tuples(small, st.sampled_from([0.0, 1e-9, 1e-7, 3e-7, 1e-5, 1e-3, 1.0]), st.booleans()).map(
    lambda made: (made[0], made[0] * (1 + made[1]) if made[2] else made[0] + made[1])
)


@FUZZ
@given(near | st.tuples(st.floats(), st.floats()), st.sampled_from([0.0, 1e-6, 1e-3, 0.1]))
def test_numbers_agree_with_math_and_numpy(pair, tolerance):
    a, b = pair
    with np.errstate(all="ignore"):
        either = any(np.isclose(x, y, rtol=tolerance, atol=tolerance, equal_nan=True) for x, y in ((a, b), (b, a)))
    assert equal(a, b, tolerance) == bool(either)
    if math.isclose(a, b, rel_tol=tolerance, abs_tol=tolerance):
        assert equal(a, b, tolerance)


@pytest.mark.slow
@FUZZ
@given(st.lists(near, min_size=1, max_size=5), st.sampled_from([1e-6, 1e-3]))
def test_arrays_agree_with_numpy_and_torch(pairs, tolerance):
    a, b = (np.array(side) for side in zip(*pairs, strict=True))

    def passes(test, *sides) -> bool:
        try:
            test(*sides, rtol=tolerance, atol=tolerance)
        except AssertionError:
            return False
        return True

    for test, of in ((np.testing.assert_allclose, np.asarray), (torch.testing.assert_close, torch.from_numpy)):
        if passes(test, of(a), of(b)) or passes(test, of(b), of(a)):
            assert equal(of(a), of(b), tolerance)
        if not passes(test, of(a), of(b)) and not passes(test, of(b), of(a)) and len(pairs) == 1:
            assert not equal(of(a), of(b), tolerance)


# -- words -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("given_", "wanted", "says"),
    [
        (2, 3, "Expected 3; what came back is 2."),
        ([1, 2], torch.tensor([1.0, 3.0]), "Expected [1.0, 3.0]; what came back is [1, 2]."),  # not: a list
        (
            [1],
            torch.tensor([1.0, 3.0]),
            "Expected a tensor or array of numbers, shape [2]; what came back is a list of 1",
        ),
        ("a ", "a", 'Expected "a"; came back "a ".'),
        ("a\u00a0b", "a b", 'Expected "a b"; came back "a\\xa0b".'),
        ("\u0430", "a", 'Expected "a"; came back "\\u0430".'),
        ({(0, 1): 2}, {(0, 1): 3}, "Expected {[0, 1]: 3}; what came back is {[0, 1]: 2}."),
        ({1: 0}, {"1": 0}, 'Expected {"1": 0}; what came back is {1: 0}.'),
        ({1, 2}, {1, 3}, "Expected {1, 3}; what came back is {1, 2}."),
        (np.zeros((0, 3)), [], "Expected a list of 0; what came back is a tensor or array of numbers, shape [0, 3]."),
        (Plan(1), Plan(2), 'Expected Plan({"human": 2, "rule": "confidence"}); what came back is Plan({"human": 1'),
        (None, 1, "Expected a number; what came back is nothing (None)."),
        (1.0000001, 1.00001, "Expected 1.00001; what came back is 1.0000001."),
    ],
)
def test_a_difference_is_told(given_, wanted, says):
    assert says in explain_difference(as_form(given_), as_form(wanted))


def test_a_difference_beyond_what_is_shown_is_shown():
    wanted, other = list(range(300)), [*range(299), 0]
    said = explain_difference(as_form(other), as_form(wanted))
    assert "looks like what was expected" in said and "299]" in said and " 0]" in said and len(said) < 400


def test_signs_that_cannot_be_seen_are_shown():
    assert apart("na\u00efve", "nai\u0308ve") == ("na\\xefve", "nai\\u0308ve")
    assert look_alike("a b", "a\u00a0b") and look_alike("ab", "a b") and not look_alike("ab", "ac")
    assert in_one_line({"~object": "f"}) == "<f>"
