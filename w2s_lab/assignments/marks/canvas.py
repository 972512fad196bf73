"""Canvas: marks as a file for its gradebook's import."""

import re
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from w2s_lab.assignments.marks.csv_files import csv_rows, decimal, number_text, printable, protected, write_rows
from w2s_lab.assignments.marks.exports import unread
from w2s_lab.assignments.records import Assignment, Marks

IDENTITY = ("Student", "ID", "SIS User ID", "SIS Login ID", "Section")  # Canvas' first columns
# A file as Canvas' "Download Submissions" names it: family and first name in one, user, attachment, its own name.
CANVAS_FILE = re.compile(r"(?P<name>[^\W_]+)(?:_LATE)?_(?P<id>\d+)_\d+_")
CANVAS_ASSIGNMENT = re.compile(r"(?P<title>.*)\s\(\d+\)")
# Canvas' import ignores columns with these words, since its own totals have these names.
CANVAS_TOTALS = re.compile("(Current|Final) (Score|Points|Grade)|Override (Score|Grade|Status)")
NAMES_SHOWN = 8  # students named in one sentence


@dataclass(frozen=True)
class _Roster:
    """A gradebook exported from Canvas: its rows as column -> cell (`students`), and its Points Possible (`points`)."""

    columns: tuple[str, ...]
    points: dict[str, str]
    students: tuple[dict[str, str], ...]

    @property
    def identity(self) -> tuple[str, ...]:
        return self.columns[: self.columns.index("Section") + 1]

    def column_of(self, assignment: Assignment) -> str | None:
        """The column of this assignment: its title, or its name, and the number that Canvas gave it."""
        wanted = {_key(assignment.title), _key(assignment.name)}
        for column in self.columns[len(self.identity) :]:
            found = CANVAS_ASSIGNMENT.fullmatch(column)
            if _key(found["title"] if found else column) in wanted:
                return column
        return None

    def find(self, one: Marks) -> list[dict[str, str]]:
        """The rows of this student, found by an id, else by the id in Canvas' file name, else by name."""
        student, logins = one.student.strip().casefold(), ("SIS Login ID", "SIS User ID", "ID")
        places = [CANVAS_FILE.match(text) for text in (one.student, Path(one.file).name)]
        places = [place for place in places if place]
        names = {_key(one.student), *(_key(place["name"]) for place in places)} - {""}
        ways = (
            lambda row: student and student in [row.get(column, "").strip().casefold() for column in logins],
            lambda row: row.get("ID", "").strip() in [place["id"] for place in places],
            lambda row: student and student == row.get("SIS Login ID", "").strip().casefold().partition("@")[0],
            lambda row: names & _names(row),
        )
        found = ([row for row in self.students if way(row)] for way in ways)
        return next((rows for rows in found if rows), [])


def _key(text: str) -> str:
    """A name for comparison: letters and digits only, without accents and capitals."""
    plain = unicodedata.normalize("NFKD", text).casefold()
    return "".join(sign for sign in plain if sign.isalnum())


def _names(row: dict[str, str]) -> set[str]:
    """A student's name as Canvas shows it ("Lovelace, Ada") and the other way round."""
    name = row.get("Student") or f"{row.get('LastName', '')}, {row.get('FirstName', '')}"
    family, _, first = name.partition(",")
    return {_key(name), _key(first + family)} - {""}


def _read_roster(path: Path) -> _Roster:
    rows = [cells for _, cells in csv_rows(path)]
    columns = tuple(cell.strip() for cell in rows[0]) if rows else ()
    if not {"ID", "Section"} <= set(columns) or not {"Student", "LastName"} & set(columns):
        raise ValueError(
            f"{path}: columns {', '.join(columns[:6]) or 'none'}; expected {', '.join(IDENTITY)}. "
            "Hint: in Canvas, Gradebook, Export, Export Entire Gradebook; do not change the file's first columns"
        )
    table = [dict(zip(columns, cells, strict=False)) for cells in rows[1:]]
    head = [row for row in table if "Points Possible" in row[columns[0]]]
    is_student = [row for row in table if row.get("ID", "").strip() and row not in head]
    return _Roster(columns, head[0] if head else {}, tuple(is_student))


def write_canvas(assignment: Assignment, marks: Sequence[Marks], path: Path, roster: Path | None = None) -> list[str]:
    """Write a CSV file for Canvas' Gradebook, Import; returns what a person should know before importing it.

    The first columns are Canvas' own (Student, ID, SIS User ID, SIS Login ID, Section), then the assignment's; the
    second row has the points possible. Canvas looks a student up by ID, then SIS User ID, then SIS Login ID, then name
    (its `gradebook_importer.rb`).

    Args:
        roster: a gradebook exported from Canvas. Submissions are matched to its students by SIS Login ID, SIS User ID
            or ID, by the ID in a file name of Canvas' download, or by name; the first columns are copied from it, and
            the assignment's column with its number, where it is there. A submission that matches no student, or
            several, is left out of the file and named in what is returned. Without a roster every submission is
            written.

    Raises:
        ValueError: the roster is no gradebook of Canvas.
    """
    known = _read_roster(roster) if roster is not None else _Roster(IDENTITY, {}, ())
    title = " ".join(assignment.title.split()) or assignment.name
    column, points, notes = known.column_of(assignment), number_text(assignment.points), []
    if column is None:
        notes.append(f'Canvas will ask what the column "{title}" is. Hint: choose the assignment there, or a new one')
        if CANVAS_TOTALS.search(title):
            notes.append(f'Canvas passes over a column called "{title}"; give the assignment another title')
    elif (there := known.points.get(column, "").strip()) and decimal(there) != round(assignment.points, 2):
        notes.append(f"{column} has {there} points in Canvas; the import changes them to {points}")
    rows: list[list[str]] = [[*known.identity, column or protected(title)]]
    rows.append(["    Points Possible", *[""] * (len(known.identity) - 1), points])
    placed, problems = _placed(known, marks) if roster is not None else (_unmatched(marks), [])
    rows += [
        [*(protected(row.get(name, "")) for name in known.identity), number_text(one.points)] for one, row in placed
    ]
    write_rows(path, rows, "utf-8")
    waiting = [one.student for one, _ in placed if unread(one)]
    if waiting:
        notes.append(f"answers in words are still to read, so these points are too few: {_named(waiting)}")
    return [*problems, *notes]


def _named(students: Sequence[str]) -> str:
    more = f" and {len(students) - NAMES_SHOWN} more" * (len(students) > NAMES_SHOWN)
    return ", ".join(printable(student) for student in students[:NAMES_SHOWN]) + more


def _unmatched(marks: Sequence[Marks]) -> list[tuple[Marks, dict[str, str]]]:
    """Without a roster: the ID if the file's name contains it, else the name, which may be a login."""
    placed = []
    for one in marks:
        found = CANVAS_FILE.match(one.student) or CANVAS_FILE.match(Path(one.file).name)
        known = {"ID": found["id"]} if found else {"SIS Login ID": one.student}
        placed.append((one, {"Student": found["name"] if found else one.student, **known}))
    return placed


def _placed(known: _Roster, marks: Sequence[Marks]) -> tuple[list[tuple[Marks, dict[str, str]]], list[str]]:
    """Each submission with its student's row, in the roster's order; and sentences about submissions without a row."""
    found = [known.find(one) for one in marks]
    missing = [one.student for one, rows in zip(marks, found, strict=True) if not rows]
    unclear = [one.student for one, rows in zip(marks, found, strict=True) if len(rows) > 1]
    takers: dict[int, list[Marks]] = {}
    for one, rows in zip(marks, found, strict=True):
        if len(rows) == 1:
            takers.setdefault(known.students.index(rows[0]), []).append(one)
    double = [one.student for ones in takers.values() if len(ones) > 1 for one in ones]
    placed = [(takers[i][0], known.students[i]) for i in sorted(takers) if len(takers[i]) == 1]
    tell = (
        (missing, "not in the roster, so not in the file; enter their points in Canvas by hand"),
        (unclear, "like several students of the roster, so not in the file; enter their points in Canvas by hand"),
        (double, "several submissions of one student, so none of them is in the file; remove all but one"),
    )
    notes = [f"{len(names)} {text}: {_named(names)}" for names, text in tell if names]
    claimed = [row for rows in found for row in rows]
    claimed += [row for row in known.students if "teststudent" in _names(row)]  # Canvas' own, in every course
    without = [row.get("Student") or row.get("LastName", "") for row in known.students if row not in claimed]
    if without:
        text = "of the roster without a submission; Canvas leaves their marks as they are"
        notes.append(f"{len(without)} {text}: {_named(without)}")
    return placed, notes
