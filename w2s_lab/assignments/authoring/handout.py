"""What a release adds to a notebook: points and minutes, stubs, and public checks from the TOML file."""

import ast
import re

from w2s_lab.assignments.authoring.markup import MasterCell, Region, dedented
from w2s_lab.assignments.authoring.master import Master, owners
from w2s_lab.assignments.marks.csv_files import number_text, points_text
from w2s_lab.assignments.records import Assignment, Check, Question

CODE_STUB = "...  # your code here"
INNER_STUB = "# your code here"
ANSWER_STUB = "*Your answer here.*"
LATER = "# More checks of this question run after you hand in."


def points_line(question: Question) -> str:
    """Name, points and minutes of a question, such as `batch_loss: 4 points, about 15 minutes`."""
    return f"{_named(question, '')}: {points_text(question.points)}{_about(question.minutes)}"


def points_table(assignment: Assignment) -> str:
    """All questions with their points and minutes, and the total, as a Markdown table."""
    timed = assignment.minutes is not None or any(question.minutes for question in assignment.questions)
    each = [question.minutes for question in assignment.questions]
    total = assignment.minutes if assignment.minutes is not None else None if None in each else sum(each)
    rows = [("question", "points", "minutes, about"), ("---",) * 3]
    for place, one in enumerate(assignment.questions, 1):
        rows.append(
            (f"{place}. {_named(one, '`')}".replace("|", "\\|"), number_text(one.points), _minutes(one.minutes))
        )
    rows.append(("**all**", f"**{number_text(assignment.points)}**", f"**{_minutes(total)}**" if total else ""))
    return "\n".join("| " + " | ".join(row if timed else row[:2]) + " |" for row in rows)


def _named(question: Question, quote: str) -> str:
    title = " ".join(question.title.split())
    name = f"{quote}{question.name}{quote}"
    return name if title == question.name else f"{title} ({name})"


def _minutes(minutes: float | None) -> str:
    return "" if minutes is None else number_text(minutes)


def _about(minutes: float | None) -> str:
    return "" if minutes is None else f", about {number_text(minutes)} minute{'' if minutes == 1 else 's'}"


def stub(cell: MasterCell, region: Region) -> list[str]:
    """The lines that replace a region of a solution in a student version.

    They run without an error: `...` inside a function or class, `NAME = None` at top level, a comment inside a
    statement.
    """
    inside = cell.inside(region)
    first = next((line for line in inside if line.strip() and not line.lstrip().startswith("#")), "")
    indent = re.match(r"\s*", first)[0]
    kind, names = owners(cell, region)
    if kind == "in a definition":
        return [indent + CODE_STUB]
    if kind == "in a statement":
        return [indent + INNER_STUB]
    shown = [name for name in names if not name.startswith("_")] or names
    return [f"{indent}{name} = None  # your answer" for name in shown]


def check_source(check: Check) -> str:
    """A public check of the TOML file as a cell that a student can run.

    If only the master's solution says what is wanted, the cell shows just the call, since a release runs no code of a
    master.
    """
    head = f"# {' '.join(check.name.split())} ({points_text(check.points)})"
    setup = [dedented(check.setup.split("\n"))] if check.setup.strip() else []
    hint = f", {check.hint!r}" if check.hint else ""
    if check.criterion is not None:
        body = [f"given = {check.call}", f"assert {check.criterion}{hint}"]
    elif check.wanted is None:
        body = [f"{check.call}  # compared after you hand in"]
    else:
        near = _literal(check.wanted)
        if near is None or not _numbers(near):
            body = [f"assert {_side(check.call)} == {_side(check.wanted)}{hint}"]
        else:
            close = f"{check.call}, {check.wanted}, rtol={check.tolerance:g}, atol={check.tolerance:g}"
            body = ["import numpy as np", "", f"assert np.allclose({close}){hint}"]
            return "\n".join([head, *body[:2], *setup, body[2]])
    return "\n".join([head, *setup, *body])


def _side(code: str) -> str:
    node = ast.parse(code, mode="eval").body
    plain = (ast.Call, ast.Name, ast.Constant, ast.Attribute, ast.Subscript, ast.List, ast.Tuple, ast.Dict, ast.Set)
    return code if isinstance(node, plain) else f"({code})"


def _literal(code: str) -> object:
    """The value of a literal; 0.0 for any other expression, which is assumed to be a number."""
    try:
        return ast.literal_eval(code)
    except (ValueError, TypeError, SyntaxError, MemoryError, RecursionError):
        return 0.0


def _numbers(value: object) -> bool:
    if isinstance(value, (list, tuple)):
        return bool(value) and all(map(_numbers, value))
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def added(master: Master) -> list[str]:
    """All texts that a release itself adds, one by one; they are public on purpose."""
    assignment = master.assignment
    pieces = [points_line(question) for question in assignment.questions]
    pieces += [points_table(assignment), *(check_source(check) for check in master.more if not check.hidden)]
    for cell in master.cells:
        if cell.kind == "solution":
            pieces += ["\n".join(stub(cell, region)) for region in cell.regions]
        elif cell.kind == "words":
            pieces += [ANSWER_STUB for _ in cell.regions]
        elif cell.kind == "checks":
            pieces.append(LATER)
    return pieces
