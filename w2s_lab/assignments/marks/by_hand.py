"""Answers in words: a sheet for the person who reads them, and its points back into the marks."""

import math
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from w2s_lab.assignments.marks.csv_files import (
    csv_rows,
    decimal,
    number_text,
    printable,
    protected,
    unprotected,
    write_rows,
)
from w2s_lab.assignments.records import UNREAD, Assignment, Marks, Result

HAND_COLUMNS = ("student", "question", "points", "comment", "of", "answer")
CELL = 30_000  # letters; Excel's cells hold 32,767


def write_hand_sheet(assignment: Assignment, marks: Sequence[Marks], path: Path) -> int:
    """Write a sheet for answers in words: student, question, points (to fill in), comment (to fill in), of, answer.

    The rows go question by question, the easiest order for reading. What was filled in in an existing sheet is kept.
    Returns the number of answers that still have no points.

    Raises:
        ValueError: the existing sheet cannot be read; it is left unchanged.
    """
    before = _read_hand_sheet(assignment, marks, path) if Path(path).exists() else {}
    rows, empty = [HAND_COLUMNS], 0
    for question in assignment.questions:
        for one in marks if question.by_hand else ():
            for result in one.results:
                if result.question == question.name:
                    known = (None if result.state in (UNREAD, "failed") else result.points, "")
                    points, comment = before.get((one.student, question.name), known)
                    empty += points is None and result.state == UNREAD
                    filled = ["" if points is None else number_text(points), protected(comment)]
                    answer = result.given or f"({result.says})" * bool(result.says)
                    words = [number_text(result.of), protected(_fitting(printable(answer)))]
                    rows.append([protected(one.student), protected(question.name), *filled, *words])
    write_rows(path, rows, "utf-8-sig")
    return empty


def _fitting(answer: str) -> str:
    """What fits into a cell; says so where that is not all."""
    more = "\n(cut here: the notebook holds more)"
    return answer if len(answer) <= CELL else answer[: CELL - len(more)] + more


def with_hand_marks(assignment: Assignment, marks: Sequence[Marks], path: Path) -> list[Marks]:
    """`marks` with the points and comments of a filled-in sheet (see `write_hand_sheet`).

    A row without points changes nothing. The student is told the comment. Points may have a decimal
    point or a comma.

    Raises:
        ValueError: a column is missing, a student or question is unknown or named twice, or points are no number from 0
            to the question's points; the message names file and line.
    """
    found = _read_hand_sheet(assignment, marks, path)

    def read(one: Marks, result: Result) -> Result:
        points, comment = found.get((one.student, result.question), (None, ""))
        if points is None:
            return result
        state = "right" if math.isclose(points, result.of) else "wrong"
        return replace(result, points=points, state=state, says=comment)

    return [replace(one, results=tuple(read(one, result) for result in one.results)) for one in marks]


def _read_hand_sheet(
    assignment: Assignment, marks: Sequence[Marks], path: Path
) -> dict[tuple[str, str], tuple[float | None, str]]:
    """(student, question) -> points (None: not filled in) and comment."""
    rows = csv_rows(path)
    columns = [cell.strip().casefold() for cell in rows[0][1]] if rows else []
    missing = [name for name in HAND_COLUMNS[:4] if name not in columns]
    if missing:
        raise ValueError(f"{path}, line 1: no column {', '.join(missing)}; expected {', '.join(HAND_COLUMNS[:4])}")
    by_hand = [question.name for question in assignment.questions if question.by_hand]
    students = {one.student.strip(): one for one in marks}
    found = {}
    for row, (line, cells) in enumerate(rows[1:], start=2):
        cell = dict.fromkeys(columns, "") | dict(zip(columns, cells, strict=False))
        place = f"{path}, line {line}" + f" (row {row})" * (row != line)
        one, name = students.get(unprotected(cell["student"].strip())), unprotected(cell["question"].strip())
        if one is None:
            raise ValueError(f'{place}: student "{cell["student"]}" has no submission. Hint: keep the names as written')
        if name not in by_hand:
            raise ValueError(
                f'{place}: question "{cell["question"]}" is not one that is read by hand; '
                f"expected {', '.join(by_hand) or 'none: this assignment has no answers in words'}"
            )
        if (one.student, name) in found:
            raise ValueError(f'{place}: "{name}" of {one.student} is there twice; expected one row for each answer')
        points = _hand_points(cell["points"], one.question(name)[1], place)
        found[one.student, name] = (points, unprotected(cell["comment"].strip()))
    return found


def _hand_points(text: str, of: float, place: str) -> float | None:
    if not text.strip():
        return None
    points = decimal(text.strip())
    if not 0 <= points <= of + 1e-9:  # also where it is nan
        raise ValueError(f"{place}: points {text.strip()!r}; expected a number from 0 to {number_text(of)}")
    return min(points, of)
