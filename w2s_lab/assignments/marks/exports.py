"""Writes marks for other programs: a gradebook, Gradescope's results; and says what a student is told of a result.

Whatever a student can choose (a file name, an answer) is written so that no spreadsheet takes it for a formula.
"""

import json
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from w2s_lab.assignments.grading.submissions import file_stems
from w2s_lab.assignments.marks.csv_files import number_text, printable, protected, write_rows
from w2s_lab.assignments.records import HIDDEN_SAYS, UNREAD, Assignment, Marks, Result
from w2s_lab.system.files import replacing


def unread(marks: Marks) -> list[str]:
    """Names of the questions in words that nobody has read yet."""
    return list(dict.fromkeys(result.question for result in marks.results if result.state == UNREAD))


def write_gradebook(assignment: Assignment, marks: Sequence[Marks], path: Path) -> None:
    """A CSV file with one row for each submission: student, file, points per question, total, of, percent, notes.

    UTF-8 with a byte-order mark, so that Excel shows names as they are. An answer in words that nobody has read has an
    empty cell, not a zero, and the notes say so; total and percent leave it out.
    """
    own = ("student", "file", "total", "of", "percent", "notes")
    columns = [f"{q.name} (points)" if q.name in own else q.name for q in assignment.questions]
    rows: list[list[object]] = [["student", "file", *map(protected, columns), *own[2:]]]
    for one in marks:
        waiting = unread(one)
        notes = [f"to read by hand: {', '.join(waiting)}"] * bool(waiting) + [printable(note) for note in one.notes]
        points = ["" if q.name in waiting else number_text(one.question(q.name)[0]) for q in assignment.questions]
        percent = f"{100 * one.points / one.of:.1f}" if one.of else ""
        total = [number_text(one.points), number_text(one.of), percent]
        rows.append([protected(one.student), protected(one.file), *points, *total, protected("; ".join(notes))])
    write_rows(path, rows, "utf-8-sig")


def gradescope(assignment: Assignment, marks: Marks) -> dict:
    """What Gradescope reads as `results.json` (gradescope-autograders.readthedocs.io, Output Format).

    Once the marks are published, students see a hidden check's name, points and hint; no field contains anything of its
    call or its values. An answer to be read by hand has no score yet.
    """
    tests = [_test(assignment, number_, result) for number_, result in _numbered(assignment, marks)]
    waiting = unread(marks)
    lines = [printable(note) for note in marks.notes]
    lines += [f"A person still reads: {', '.join(waiting)}. These points come later."] if waiting else []
    record = {"score": round(marks.points, 4), "output": "\n".join(lines), "output_format": "text", "tests": tests}
    return record | {"visibility": "visible", "stdout_visibility": "hidden"}  # no time: a hidden call can choose it


def _numbered(assignment: Assignment, marks: Marks) -> list[tuple[str, Result]]:
    """Results with numbers such as 2.1: question and check."""
    seen: Counter[str] = Counter()
    order = {question.name: i for i, question in enumerate(assignment.questions, start=1)}
    pairs = []
    for result in marks.results:
        seen[result.question] += 1
        pairs.append((f"{order.get(result.question, len(order) + 1)}.{seen[result.question]}", result))
    return pairs


def _test(assignment: Assignment, number_: str, result: Result) -> dict:
    says = told(assignment, result) if result.state != UNREAD else "A person reads this answer."
    output = "\n".join(filter(None, [says, f"Hint: {result.hint}" if result.hint and result.state != "right" else ""]))
    test = {"name": printable(f"{result.question}: {result.check}"), "number": number_, "max_score": result.of}
    if result.state != UNREAD:
        test |= {"score": round(result.points, 4), "status": "passed" if result.state == "right" else "failed"}
    test |= {"output": printable(output), "output_format": "text", "name_format": "text"}
    return test | {"visibility": "after_published" if result.hidden else "visible"}


def write_gradescope(assignment: Assignment, marks: Sequence[Marks], folder: Path) -> list[Path]:
    """One `results.json` for each submission, as `folder/STUDENT.json`; returns them in the order of `marks`."""
    paths = [Path(folder) / f"{stem}.json" for stem in file_stems(marks)]
    for one, path in zip(marks, paths, strict=True):
        with replacing(path) as new:
            text = json.dumps(gradescope(assignment, one), indent=1, allow_nan=False)
            new.write_text(text + "\n", encoding="utf-8")
    return paths


def told(assignment: Assignment, result: Result) -> str:
    """What a student is told about a result.

    Of a hidden check that was asked, one sentence for each state (`HIDDEN_SAYS`), whatever the result holds. One that
    was not asked (there is no such function, the file could not be read) has its reason.
    """
    hidden = result.hidden or any(
        check.hidden for check in assignment.checks if (check.name, check.question) == (result.check, result.question)
    )
    return HIDDEN_SAYS[result.state] if hidden and result.given else printable(result.says)
