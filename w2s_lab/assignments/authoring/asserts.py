"""Turns the asserts of a cell of checks into calls into a submission.

The student's process computes the call, and another process computes the wanted value. So this module splits an assert
at its comparison: of `assert math.isclose(loss(x), 1.5, abs_tol=1e-3)`, the student's process gets only `loss(x)`.
"""

import ast
import math
from collections.abc import Iterable
from dataclasses import replace

from w2s_lab.assignments.authoring.markup import MasterCell
from w2s_lab.assignments.records import TOLERANCE, Check

FORMS = (
    "an assert compares what a student's code gives with what is wanted: `assert f(x) == 3`, "
    "`assert math.isclose(f(x), 1.5, abs_tol=1e-3)`, `assert f(x) < 1`; of a truth value, `assert f(x) == True`"
)
SIGNS = {
    **{ast.Lt: "<", ast.LtE: "<=", ast.Gt: ">", ast.GtE: ">=", ast.NotEq: "!="},
    **{ast.In: "in", ast.NotIn: "not in", ast.Is: "is", ast.IsNot: "is not"},
}
# Functions with a tolerance, each with its default; and the names of their options (NumPy, torch, math, pytest).
CLOSE = {"isclose": TOLERANCE, "allclose": 1e-5, "approx": TOLERANCE}
OPTIONS = {"rtol", "atol", "rel_tol", "abs_tol", "rel", "abs"}
EQUAL = {"array_equal", "equal"}
METHODS = {"equals", "equal"}  # of a table or series of pandas, of a tensor: `f(x).equals(table)`


def checks_of(cell: MasterCell, *, question: str, depends: set[str], first: int = 1) -> tuple[Check, ...]:
    """The checks of one cell, each with an equal share of the cell's points (1 each if the cell has none).

    Args:
        cell: one of checks.
        question: the name that they belong to.
        depends: names whose values depend on what a student writes.
        first: number of the cell's first check among its question's.

    Raises:
        ValueError: for the instructor: an assert of another form, inside a loop or a `with`; an assert that is right
            whatever a student writes; no assert at all.
    """
    found: list[Check] = []
    setup: list[tuple[str, bool]] = []  # statement, hidden
    tree = cell.tree()
    for statement in tree.body:
        hidden = any(statement.lineno - 1 in region for region in cell.regions)
        if hidden != any(statement.end_lineno - 1 in region for region in cell.regions):
            raise ValueError(f"{cell.where(statement.lineno)}: half of this statement is hidden. Hint: move the mark")
        if not isinstance(statement, ast.Assert):
            _refuse_nested(statement, cell)
            depends = spread([statement], depends)
            setup.append((ast.unparse(statement), hidden))
            continue
        where = cell.where(statement.lineno)
        for test in _parts(statement.test):
            found.append(
                Check(
                    name=f"{question}, check {first + len(found)}",
                    question=question,
                    setup="\n".join(text for text, behind in setup if hidden or not behind),
                    hidden=hidden,
                    hint=_hint(statement.msg, where),
                    **_read(test, where, depends),
                )
            )
    if not found:
        raise ValueError(f"{cell.where()}: no assert in this cell of checks. Hint: {FORMS}")
    share = 1.0 if cell.points is None else cell.points / len(found)
    return tuple(replace(check, points=share) for check in found)


def spread(statements: Iterable[ast.stmt], names: set[str]) -> set[str]:
    """The names whose values depend on `names` after the statements have run."""
    names = set(names)
    for one in statements:
        if not mentions(one, names):
            continue
        if isinstance(one, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)):
            names.add(one.name)
            continue
        for node in ast.walk(one):
            if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
                names.add(node.id)
            elif isinstance(node, (ast.Attribute, ast.Subscript)) and isinstance(node.ctx, ast.Store):
                names.add(_root(node))
            elif isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and isinstance(one, ast.Expr):
                names.add(_root(node.func))  # kept.append(f(x))
    return names - {""}


def mentions(node: ast.AST, names: set[str]) -> bool:
    return any(isinstance(part, ast.Name) and part.id in names for part in ast.walk(node))


def _root(node: ast.AST) -> str:
    while isinstance(node, (ast.Attribute, ast.Subscript)):
        node = node.value
    return node.id if isinstance(node, ast.Name) else ""


def _refuse_nested(statement: ast.stmt, cell: MasterCell) -> None:
    for node in ast.walk(statement):
        called = _called(node) if isinstance(node, ast.Call) else ""
        if isinstance(node, ast.Assert) or called.startswith("assert") or called == "raises":
            what = "an assert inside another statement" if isinstance(node, ast.Assert) else f"`{ast.unparse(node)}`"
            raise ValueError(
                f"{cell.where(node.lineno)}: {what} cannot be split into a call and what is wanted. Hint: write each "
                f"assert on a line of its own, at the left edge; {FORMS}"
            )


def _hint(message: ast.expr | None, where: str) -> str:
    if message is None:
        return ""
    if isinstance(message, ast.Constant) and isinstance(message.value, str):
        return message.value
    raise ValueError(f"{where}: the hint {ast.unparse(message)} is computed. Hint: write a plain text after the comma")


def _parts(test: ast.expr) -> list[ast.expr]:
    """`A and B` is two checks."""
    if isinstance(test, ast.BoolOp) and isinstance(test.op, ast.And):
        return [part for value in test.values for part in _parts(value)]
    return [test]


def _called(node: ast.AST) -> str:
    """The last part of a called name: `isclose` of `np.isclose(a, b)`."""
    function = node.func if isinstance(node, ast.Call) else None
    return function.attr if isinstance(function, ast.Attribute) else getattr(function, "id", "")


def _read(test: ast.expr, where: str, depends: set[str]) -> dict:
    """Call, what is wanted or the criterion, and the tolerance."""
    if _called(test) == "all" and isinstance(test.func, ast.Attribute) and not (test.args or test.keywords):
        test = test.func.value  # np.isclose(a, b).all()
    if isinstance(test, ast.Call) and _called(test) in {*CLOSE, *EQUAL} and len(test.args) >= 2:
        left, right, *rest = test.args
        tolerance = _tolerance(test, rest, where) if _called(test) in CLOSE else TOLERANCE
        listed = any(isinstance(side, (ast.List, ast.Tuple)) for side in (left, right))
        if listed and isinstance(test.func, ast.Attribute) and _root(test.func) in ("np", "numpy"):
            # NumPy makes arrays of both sides before it compares them.
            left, right = (
                ast.parse(f"{_root(test.func)}.asarray({ast.unparse(side)})").body[0].value for side in (left, right)
            )
        return _equal(left, right, tolerance, where, depends)
    if _called(test) in METHODS and isinstance(test.func, ast.Attribute) and len(test.args) == 1 and not test.keywords:
        return _equal(test.func.value, test.args[0], 0.0, where, depends)
    if not isinstance(test, ast.Compare):
        raise ValueError(f"{where}: `assert {ast.unparse(test)}` compares nothing. Hint: {FORMS}")
    if len(test.ops) > 1:
        raise ValueError(f"{where}: `{ast.unparse(test)}` compares more than two values. Hint: write two asserts")
    left, operator, right = test.left, test.ops[0], test.comparators[0]
    if isinstance(operator, ast.Eq):
        tolerance = TOLERANCE
        for near, far in ((left, right), (right, left)):
            if isinstance(near, ast.Call) and _called(near) == "approx" and near.args:
                left, right, tolerance = far, near.args[0], _tolerance(near, near.args[1:], where)
        return _equal(left, right, tolerance, where, depends)
    apart = _distance(left) if isinstance(operator, (ast.Lt, ast.LtE)) else None
    if apart and mentions(left, depends):  # abs(f(x) - 1.5) < 1e-3
        number = _number(right)
        if number is not None:
            return _equal(*apart, number, where, depends)
    sign = SIGNS[type(operator)]
    if sign.startswith("is") and not (isinstance(right, ast.Constant) and right.value in (None, True, False)):
        raise ValueError(f"{where}: `is` compares with None, True or False only. Hint: write == instead")
    if mentions(left, depends):
        return {"call": ast.unparse(left), "criterion": f"given {sign} ({ast.unparse(right)})"}
    _must_depend(right, test, where, depends)
    return {"call": ast.unparse(right), "criterion": f"({ast.unparse(left)}) {sign} given"}


def _equal(left: ast.expr, right: ast.expr, tolerance: float, where: str, depends: set[str]) -> dict:
    if not mentions(left, depends):
        left, right = right, left
    _must_depend(left, left, where, depends)
    return {"call": ast.unparse(left), "wanted": ast.unparse(right), "tolerance": tolerance}


def _must_depend(call: ast.expr, shown: ast.expr, where: str, depends: set[str]) -> None:
    if not mentions(call, depends):
        raise ValueError(
            f"{where}: `{ast.unparse(shown)}` uses nothing that a student writes, so it says nothing about an answer. "
            f"Hint: call one of {', '.join(sorted(depends))}"
        )


def _distance(node: ast.expr) -> tuple[ast.expr, ast.expr] | None:
    if isinstance(node, ast.Call) and _called(node) == "abs" and len(node.args) == 1:
        inner = node.args[0]
        if isinstance(inner, ast.BinOp) and isinstance(inner.op, ast.Sub):
            return inner.left, inner.right
    return None


def _tolerance(call: ast.Call, positional: list[ast.expr], where: str) -> float:
    """The largest tolerance given; in NumPy and torch, the relative and then the absolute one follow the two values."""
    given = [*positional, *(option.value for option in call.keywords if option.arg in OPTIONS)]
    odd = [option.arg for option in call.keywords if option.arg not in {*OPTIONS, "equal_nan", "nan_ok"}]
    if odd:
        raise ValueError(f"{where}: option {odd[0]!r} of {_called(call)} is not known here. Hint: give a tolerance")
    numbers = [_number(value) for value in given]
    if None in numbers:
        raise ValueError(
            f"{where}: the tolerance {ast.unparse(given[numbers.index(None)])} is no number of 0 or more. "
            "Hint: write it out, such as 1e-3"
        )
    return max(numbers) if numbers else CLOSE[_called(call)]


def _number(node: ast.expr) -> float | None:
    try:
        value = ast.literal_eval(node)
    except (ValueError, TypeError, SyntaxError, MemoryError, RecursionError):
        return None
    good = isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value) and value >= 0
    return float(value) if good else None
