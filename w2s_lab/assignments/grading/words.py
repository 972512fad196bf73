"""Finds what a student wrote in words, wherever it was written, for the person who reads it.

An answer has a cell of its own. Students also write into the next cell or into a copy, turn the cell into code, or
replace it by one without metadata. So a reader gets the answer's cells and what the student wrote around them; where
nothing is written there, all that the student wrote elsewhere.
"""

import ast
from collections.abc import Callable, Sequence

from w2s_lab.assignments.authoring.handout import ANSWER_STUB, points_line, points_table
from w2s_lab.assignments.grading.submissions import SubmittedCell, definitions
from w2s_lab.assignments.records import UNREAD, Assignment, Question, Result

LONGEST = 200_000  # characters of an answer
KINDS = {"code": "a code cell", "markdown": "a Markdown cell", "raw": "a raw cell"}
NOTHING = "(nothing is written in the cell of this answer)"
NO_CELL = "(no cell is marked as this answer)"


def kind_in_words(cell: SubmittedCell) -> str:
    """What type of cell it is, for a student."""
    return KINDS[cell.kind]


def answer_in_words(question: Question, cells: Sequence[SubmittedCell], assignment: Assignment) -> Result:
    """What a person will read of an answer in words.

    The answer's cells are found by their id, or by the line with the question's name; a neighbour counts if it holds a
    line that the handout does not have. Whatever the student wrote is given to the reader, with where it stood.
    """
    own = [place for place, cell in enumerate(cells) if _is_of(cell, question)]
    handout = _handout_lines(assignment)
    names = {one.name for one in assignment.questions}
    others = [one for one in assignment.questions if one.by_hand and one is not question]

    def is_writing(place: int) -> bool:
        """Whether a student wrote a cell, and as text: not one that answers another question."""
        cell = cells[place]
        is_code = cell.kind == "code" and (
            cell.grade_id or names & set(definitions(cell)) or not _is_prose(cell.source)
        )
        return bool(_lines(cell) - handout) and not is_code and not any(_is_of(cell, one) for one in others)

    written = [place for place in own if _lines(cells[place]) - handout]
    around = _neighbours(own, cells, is_writing)
    title = question.title or question.name
    if not written and not around:
        around = [place for place in range(len(cells)) if is_writing(place)]
        if not around and not own:
            says = "there is no cell with this answer"
            return Result(title, question.name, "failed", 0.0, question.points, says=says)
    shown = sorted({*written, *around})
    if len(shown) == 1 and shown == own and cells[shown[0]].kind == "markdown":
        pieces = [cells[shown[0]].source]
    else:
        pieces = [] if written else [NOTHING if own else NO_CELL]
        pieces += [f"{_where(place, own, cells)}\n{cells[place].source}" for place in shown]
    return Result(title, question.name, UNREAD, 0.0, question.points, given=_cut("\n\n".join(pieces)))


def _is_of(cell: SubmittedCell, question: Question) -> bool:
    if cell.grade_id == question.cell:
        return True
    named = points_line(question).rpartition(": ")[0] + ": "
    lines = [] if cell.kind == "code" else cell.source.splitlines()
    return any(line.lstrip("#* ").startswith(named) or f"({question.name}): " in line for line in lines)


def _neighbours(own: list[int], cells: Sequence[SubmittedCell], is_writing: Callable[[int], bool]) -> list[int]:
    """Places before and after the answer's cells, up to the first that the student did not write."""
    found = []
    for start in own:
        for step in (-1, 1):
            place = start + step
            while 0 <= place < len(cells) and (is_writing(place) or place in own or not cells[place].source.strip()):
                found += [place] if is_writing(place) and place not in own else []
                place += step
    return found


def _where(place: int, own: list[int], cells: Sequence[SubmittedCell]) -> str:
    """In brackets, where a piece of text stood."""
    kind = KINDS[cells[place].kind]
    if place in own:
        what = "the cell of this answer" if place == own[0] else "another cell of this answer"
        return f"[{what}]" if cells[place].kind == "markdown" else f"[{what}, {kind}]"
    near = min(own, key=lambda one: abs(one - place), default=None)
    side = "" if near is None else " below" if place > near else " above"
    return f"[cell {place + 1}, {kind}{side}]"


def _handout_lines(assignment: Assignment) -> set[str]:
    """All lines of text that students get."""
    added = [points_table(assignment), ANSWER_STUB, *map(points_line, assignment.questions)]
    return {_plain(line) for text in (*assignment.given, *added) for line in text.splitlines()} | {""}


def _lines(cell: SubmittedCell) -> set[str]:
    return {_plain(line) for line in cell.source.splitlines()} - {""}


def _plain(line: str) -> str:
    return " ".join(line.strip(" \t#*_>").split())


def _is_prose(source: str) -> bool:
    """Whether a code cell is text: no Python, or nothing but comments and strings."""
    try:
        parts = ast.parse(source).body
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return True
    return all(isinstance(one, ast.Expr) and isinstance(one.value, (ast.Constant, ast.Name)) for one in parts)


def _cut(text: str) -> str:
    return text if len(text) <= LONGEST else f"{text[:LONGEST]}\n(cut: the notebook holds more)"
