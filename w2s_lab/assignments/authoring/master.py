"""Reads a master: a notebook with nbgrader's markup and a TOML file beside it, with more checks, titles and minutes.

This module does not run a master's code. Every mistake in a master raises a ValueError that an instructor can act on:
it names the file, the cell and the line.
"""

import ast
import difflib
import math
import re
import tomllib
from dataclasses import dataclass
from pathlib import Path

from nbformat import NotebookNode

from w2s_lab import assets
from w2s_lab.assignments.authoring.asserts import checks_of, mentions, spread
from w2s_lab.assignments.authoring.markup import MasterCell, Region, read_master_cells, top_level_span
from w2s_lab.assignments.records import Assignment, Check, Question

DEFINITIONS = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)
ASSIGNED = (ast.Assign, ast.AnnAssign, ast.AugAssign, ast.NamedExpr)
TOP_KEYS = ("minutes", "question", "check")
QUESTION_KEYS = ("name", "title", "minutes")
CHECK_KEYS = (
    "question", "name", "call", "setup", "points", "seconds", "hidden", "tolerance", "hint", "expect", "wanted",
    "criterion",
)  # fmt: skip


@dataclass(frozen=True)
class Master:
    """A master with its notebook.

    Attributes:
        assignment: what grading needs.
        notebook: as in the file.
        cells: one for each of the notebook's, in its order.
        names: number of a cell -> name of its question, for solutions, checks and answers in words.
        more: the checks of the TOML file.
    """

    assignment: Assignment
    notebook: NotebookNode
    cells: tuple[MasterCell, ...]
    names: dict[int, str]
    more: tuple[Check, ...] = ()


def read_assignment(path: Path) -> Assignment:
    """Read a master `NAME.ipynb`, and `NAME.toml` beside it if it exists.

    Marks and metadata are nbgrader's. A notebook that lost all its metadata in an editor can still be read: solutions
    are found by their marks; checks by theirs, or because a cell right after a solution has only setup and asserts
    (each assert is then worth 1 point). Answers in words are not found, since only metadata say how many points they
    have.

    Raises:
        ValueError: for the instructor, with the file, the cell and the line: what is wrong, what was expected, a hint.
    """
    return read_master(path).assignment


def read_master(path: Path) -> Master:
    """Like `read_assignment`, but with the notebook."""
    path = assets.user_path(path)
    notebook, cells = read_master_cells(path)
    names = _names(cells)
    known = {names[cell.number]: cell for cell in cells if cell.kind in ("solution", "words")}
    depends = {names[cell.number] for cell in cells if cell.kind == "solution"}
    for cell in cells:
        if cell.kind in ("solution", "code"):
            depends = spread(cell.tree().body, depends)
    checks: dict[str, list[Check]] = {name: [] for name in known}
    for cell in cells:
        if cell.kind == "checks":
            own = checks[names[cell.number]]
            own += checks_of(cell, question=names[cell.number], depends=depends, first=len(own) + 1)
    facts, more, minutes = _read_toml(path.with_suffix(".toml"), known, depends)
    for check in more:
        checks[check.question].append(check)
    _refuse_twins(check for own in checks.values() for check in own)
    questions = tuple(_question(name, cell, checks[name], facts.get(name, {})) for name, cell in known.items())
    if not questions:
        raise ValueError(
            f"{path.name}: no question. Hint: put ### BEGIN SOLUTION and ### END SOLUTION around a solution"
        )
    assignment = Assignment(
        name=path.stem,
        title=_title(notebook) or path.stem,
        path=path,
        questions=questions,
        checks=tuple(check for own in checks.values() for check in own),
        cells=tuple(cell.source for cell in cells if cell.kind in ("solution", "code")),
        minutes=minutes,
        given=tuple("\n".join(cell.outside()) for cell in cells),
    )
    return Master(assignment, notebook, cells, names, more)


def _names(cells: tuple[MasterCell, ...]) -> dict[int, str]:
    """Which question each cell belongs to; checks belong to the last solution before them."""
    names: dict[int, str] = {}
    last = ""
    for cell in cells:
        if cell.kind == "solution":
            name = last = name_of(cell)
        elif cell.kind == "words":
            name = cell.grade_id
            if not name:
                raise ValueError(f"{cell.where()}: an answer in words has no grade_id. Hint: give it one, such as why")
        elif cell.kind == "checks":
            if not last:
                raise ValueError(
                    f"{cell.where()}: checks before any solution. Hint: put them below the cell they check"
                )
            names[cell.number] = last
            continue
        else:
            continue
        if name in names.values():
            first = next(number for number, other in names.items() if other == name)
            raise ValueError(f"{cell.where()}: question {name!r} is that of cell {first} already. Hint: rename one")
        names[cell.number] = name
    return names


def name_of(cell: MasterCell) -> str:
    """The one function or variable that a solution cell's regions define; names with a leading _ are helpers.

    Raises:
        ValueError: none, or several.
    """
    tree = cell.tree()
    names = list(dict.fromkeys(name for region in cell.regions for name in owners(cell, region, tree)[1]))
    names = [name for name in names if not name.startswith("_")] or names
    if len(names) == 1:
        return names[0]
    found = f"several names ({', '.join(names)})" if names else "no name"
    raise ValueError(
        f"{cell.where()}: the solution defines {found}, expected one function or variable. "
        "Hint: one question a cell; call helpers _something, or put them into a cell of their own"
    )


def owners(cell: MasterCell, region: Region, tree: ast.Module | None = None) -> tuple[str, tuple[str, ...]]:
    """Where a region is, and the names that it defines.

    Returns:
        "in a definition" (part of a function or class), "in a statement" (part of a dict, say) or "at top level"; and
        the names that are defined by what it holds.
    """
    first, last = region.start + 1, region.end - 1
    kinds, names = set(), []
    for statement in (tree or cell.tree()).body:
        start, end = top_level_span(statement)
        if end < first or start > last:
            continue
        if first <= start and end <= last:
            kinds.add("at top level")
            names += _assigned([statement])
        elif isinstance(statement, DEFINITIONS):
            kinds.add("in a definition")
            names.append(statement.name)
        else:
            nested = [node for node in ast.walk(statement) if isinstance(node, ast.stmt)]
            inner = _assigned([node for node in nested if first <= node.lineno - 1 and node.end_lineno - 1 <= last])
            kinds.add("at top level" if inner else "in a statement")
            names += inner or _assigned([statement])
    kind = next((kind for kind in ("in a definition", "in a statement", "at top level") if kind in kinds), "")
    return kind, tuple(dict.fromkeys(names))


def _assigned(statements: list[ast.stmt]) -> list[str]:
    """Names that statements assign or define, from left to right; without those of loops and inside functions."""
    found = []
    for statement in statements:
        if isinstance(statement, DEFINITIONS):
            found.append(statement.name)
            continue
        for node in ast.walk(statement):
            if isinstance(node, ASSIGNED):
                targets = node.targets if isinstance(node, ast.Assign) else [node.target]
                found += [
                    part.id
                    for target in targets
                    for part in ast.walk(target)
                    if isinstance(part, ast.Name) and isinstance(part.ctx, ast.Store)
                ]
            elif isinstance(node, DEFINITIONS):
                found.append(node.name)
    return found


def _question(name: str, cell: MasterCell, checks: list[Check], facts: dict) -> Question:
    by_hand = cell.kind == "words"
    if not checks and not by_hand:
        raise ValueError(
            f"{cell.where()}: question {name!r} has no check. "
            f'Hint: add a cell of asserts below it, or [[check]] with question = "{name}" in the TOML file'
        )
    points = cell.points if by_hand else math.fsum(check.points for check in checks)
    if points is None:
        raise ValueError(f"{cell.where()}: nothing says how many points this answer is worth. Hint: set its metadata")
    return Question(
        name=name,
        cell=cell.grade_id or name.replace("_", "-"),
        points=points,
        minutes=facts.get("minutes"),
        by_hand=by_hand,
        title=facts.get("title", name),
    )


def _refuse_twins(checks) -> None:
    seen = set()
    for check in checks:
        if check.name in seen:
            raise ValueError(f"two checks are called {check.name!r}. Hint: students tell them apart by their names")
        seen.add(check.name)


def _title(notebook: NotebookNode) -> str:
    for cell in notebook.cells:
        heading = re.search(r"^# +(.+?)\s*#*$", cell.source, re.MULTILINE) if cell.cell_type == "markdown" else None
        if heading:
            return heading[1].strip()
    return ""


# --- the TOML file ---


def _read_toml(
    path: Path, known: dict[str, MasterCell], depends: set[str]
) -> tuple[dict[str, dict], tuple[Check, ...], float | None]:
    """Titles and minutes of questions by name, checks, and minutes of the assignment; nothing if there is no file."""
    try:
        text = path.read_text(encoding="utf-8")
        tables = tomllib.loads(text)
    except FileNotFoundError:
        return {}, (), None
    except (OSError, UnicodeDecodeError) as error:
        raise ValueError(f"{path} cannot be read as text in UTF-8 ({error}). Hint: save it anew") from error
    except tomllib.TOMLDecodeError as error:
        raise ValueError(f"{path.name}: this is no TOML ({error}). Hint: text stands between quotes") from error
    _refuse_keys(tables, TOP_KEYS, path.name)
    for key in ("question", "check"):
        if not isinstance(tables.get(key, []), list) or not all(isinstance(one, dict) for one in tables.get(key, [])):
            raise ValueError(f"{path.name}: {key} is no list of tables. Hint: write [[{key}]], with two brackets")
    facts: dict[str, dict] = {}
    for number, table in enumerate(tables.get("question", []), 1):
        where = _where(path.name, text, "question", number, table)
        _refuse_keys(table, QUESTION_KEYS, where)
        name = _known(table, "name", known, where)
        if name in facts:
            raise ValueError(f"{where}: question {name!r} stands here twice. Hint: put its lines together")
        facts[name] = {key: _text(table, key, where) for key in ("title",) if key in table}
        if "minutes" in table:
            facts[name]["minutes"] = _positive(table, "minutes", where)
    checks = []
    for number, table in enumerate(tables.get("check", []), 1):
        where = _where(path.name, text, "check", number, table)
        checks.append(_read_check(table, where, known, depends))
        if checks[-1].name in {check.name for check in checks[:-1]}:
            raise ValueError(
                f"{where}: another check has the name {checks[-1].name!r}. Hint: students tell them apart by it"
            )
    return facts, tuple(checks), _positive(tables, "minutes", path.name) if "minutes" in tables else None


def _read_check(table: dict, where: str, known: dict[str, MasterCell], depends: set[str]) -> Check:
    _refuse_keys(table, CHECK_KEYS, where)
    question = _known(table, "question", known, where)
    if known[question].kind == "words":
        raise ValueError(
            f"{where}: {question!r} is an answer in words, which a person reads. Hint: take the check away"
        )
    name, call = _text(table, "name", where), _text(table, "call", where)
    setup = _text(table, "setup", where, default="").strip("\n")
    body = _python(setup, "exec", "setup", where).body
    names = spread(body, depends)
    if not mentions(_python(call, "eval", "call", where), names):
        raise ValueError(
            f"{where}: call is {call!r}, which uses nothing that a student writes. Hint: call {question}, for example"
        )
    ways = [key for key in ("expect", "wanted", "criterion") if key in table]
    if len(ways) > 1:
        raise ValueError(f"{where}: {' and '.join(ways)} together, expected one at most. Hint: keep the plainest")
    wanted = _expression(table["expect"], where) if "expect" in table else None
    if "wanted" in table:
        wanted = _text(table, "wanted", where).strip()
        _python(wanted, "eval", "wanted", where)
    criterion = _text(table, "criterion", where).strip() if "criterion" in table else None
    if criterion is not None and not mentions(_python(criterion, "eval", "criterion", where), {"given"}):
        raise ValueError(f"{where}: criterion is {criterion!r}. Hint: what the call gave is called `given` in it")
    numbers = {key: _positive(table, key, where) for key in ("points", "seconds") if key in table}
    if "tolerance" in table:
        numbers["tolerance"] = _positive(table, "tolerance", where, zero=True)
    hidden = table.get("hidden", True)
    if not isinstance(hidden, bool):
        raise ValueError(f"{where}: hidden is {hidden!r}, expected true or false. Hint: without quotes")
    hint = _text(table, "hint", where, default="").strip()
    words = {"wanted": wanted, "criterion": criterion, "setup": setup, "hidden": hidden, "hint": hint}
    return Check(name=name.strip(), question=question, call=call.strip(), **words, **numbers)


def _where(file: str, text: str, key: str, number: int, table: dict) -> str:
    """A table of the TOML file in words, with the line of its heading."""
    heads = [line for line, row in enumerate(text.split("\n"), 1) if re.match(rf"\s*\[\[\s*{key}\s*\]\]", row)]
    name = table.get("name")
    named = f" ({name})" if isinstance(name, str) else ""
    return f"{file}, {key} {number}{named}" + (f", line {heads[number - 1]}" if number <= len(heads) else "")


def _refuse_keys(table: dict, keys: tuple[str, ...], where: str) -> None:
    for key in table:
        if key not in keys:
            near = difflib.get_close_matches(key, keys, 1)
            hint = f"did you mean {near[0]}?" if near else "is it below the right [[heading]]?"
            raise ValueError(f"{where}: unknown key {key!r}, expected one of {', '.join(keys)}. Hint: {hint}")


def _known(table: dict, key: str, known: dict[str, MasterCell], where: str) -> str:
    name = _text(table, key, where)
    if name not in known:
        raise ValueError(
            f"{where}: {key} is {name!r}, expected one of {', '.join(known)}. "
            "Hint: a question has the name of the function or variable that it asks for"
        )
    return name


def _text(table: dict, key: str, where: str, default: str | None = None) -> str:
    value = table.get(key, default)
    if not isinstance(value, str) or (default is None and not value.strip()):
        found = f"is {value!r}" if key in table else "is missing"
        raise ValueError(f'{where}: {key} {found}, expected a text. Hint: {key} = "..."')
    return value


def _positive(table: dict, key: str, where: str, zero: bool = False) -> float:
    value = table[key]
    fits = isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value)
    if not fits or value < 0 or (value == 0 and not zero):
        kind = "a number of 0 or more" if zero else "a number above 0"
        raise ValueError(f"{where}: {key} is {value!r}, expected {kind}. Hint: {key} = 2, without quotes")
    return float(value)


def _python(code: str, mode: str, key: str, where: str) -> ast.AST:
    try:
        return ast.parse(code.strip() if mode == "eval" else code, mode=mode)
    except (SyntaxError, ValueError) as error:
        said = getattr(error, "msg", None) or error
        kind = "a Python expression" if mode == "eval" else "Python statements, without magics"
        raise ValueError(
            f"{where}: {key} is {code!r}, expected {kind} ({said}). Hint: try it in the notebook"
        ) from error


def _expression(value: object, where: str) -> str:
    """A plain TOML value as a Python expression."""
    if isinstance(value, dict):
        return "{" + ", ".join(f"{key!r}: {_expression(item, where)}" for key, item in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(_expression(item, where) for item in value) + "]"
    if isinstance(value, float) and not math.isfinite(value):
        return f"float('{value}')"
    if isinstance(value, (bool, int, float, str)):
        return repr(value)
    raise ValueError(f"{where}: expect is {value!r}, a date or time. Hint: write it as a text, or use wanted")
