"""Names that students choose: nobody's marks are lost or shared, and nothing in a name acts on a screen or a table."""

import csv
import os
import subprocess
import sys
import tempfile
import unicodedata
from collections import Counter
from pathlib import Path

import masters
import nbformat
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from w2s_lab.assignments.grading.submissions import Submission, file_stems, find_submissions
from w2s_lab.assignments.marks.by_hand import with_hand_marks, write_hand_sheet
from w2s_lab.assignments.marks.csv_files import protected, unprotected
from w2s_lab.assignments.names import for_disk, same_key, told_apart, visible
from w2s_lab.assignments.records import UNREAD, Assignment, Marks, Question, Result
from w2s_lab.cli.commands import main

ODD = [
    b"Jos\xe9",
    "José".encode(),
    unicodedata.normalize("NFD", "José").encode(),
    "😀".encode() * 63,
    b"=cmd|' /C calc'!A0",
    b"'=cmd|' /C calc'!A0",
    b"@SUM(1)",
    b"+1",
    b"-rf",
    b"\x1b]0;owned\x07\x1b[31mred",
    b"two\nlines\r\tand a tab",
    b"ada",
    b"ADA",
    b"ada (2)",
    b"ada ",
    b"CON",
    b"x" * 255,
    b" ",
    b"\xff\xfe",
    b"\\x1b",
    b"\x1b",
]
SHEET = Assignment("a", "A", Path("a.ipynb"), (Question("why", "why", 5, by_hand=True),), (), ())


def folders(place: Path, names: list[bytes]) -> list[Path]:
    """A folder for each name that this disk takes."""
    made = []
    for name in names:
        path = Path(os.fsdecode(os.fsencode(place) + b"/" + name))
        try:
            path.mkdir(parents=True)
        except OSError:
            continue
        made.append(path)
    return made


@pytest.mark.slow
def test_a_class_with_odd_names_is_graded_to_its_end(tmp_path, capsys):
    master = masters.write(tmp_path / "master", masters.cells(), masters.TOML)
    right = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell("share = 0.5")])
    wrong = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell("share = 7")])
    made = folders(tmp_path / "in", ODD)
    for number, path in enumerate(made):
        (path / "small.ipynb").write_text(nbformat.writes(right if number % 2 else wrong), encoding="utf-8")
    (tmp_path / "in" / "ada.ipynb").write_text(nbformat.writes(wrong), encoding="utf-8")
    words = ["assignment", "grade", str(tmp_path / "in"), "-o", str(tmp_path / "out"), "--master", str(master)]
    assert main([*words, "--as-root"]) == 0
    said, count = capsys.readouterr(), len(made) + 1
    assert f"graded {count} of {count}, 0 s left" in said.err
    table = (tmp_path / "out" / "gradebook.csv").read_text(encoding="utf-8-sig")
    rows = list(csv.DictReader(table.splitlines()))
    assert len(rows) == count == len({row["student"] for row in rows})
    assert Counter(row["share"] for row in rows) == {"2": len(made) // 2, "0": count - len(made) // 2}
    for text in (said.out, said.err, table, (tmp_path / "out" / "canvas.csv").read_text("utf-8")):
        assert not [sign for sign in text if unicodedata.category(sign) in ("Cc", "Cs") and sign not in "\r\n"]
    for folder, ending, each in (("marks", ".json", 1), ("gradescope", ".json", 1), ("feedback", "", 2)):
        files = [path for path in (tmp_path / "out" / folder).iterdir() if path.name.endswith(ending)]
        assert len(files) == each * count
    assert main([*words, "--as-root"]) == 0
    assert f"{count} of them graded before" in capsys.readouterr().out
    assert main(["assignment", "export", str(tmp_path / "out"), "--master", str(master)]) == 0


def test_a_notebook_beside_a_folder_of_its_name_takes_nobodys_number(tmp_path):
    for name in ("ada", "ada (2)"):
        (tmp_path / name).mkdir()
    (tmp_path / "ada.ipynb").write_text('{"cells": []}')
    found = find_submissions(tmp_path)
    assert [(one.student, one.file) for one in found] == [
        ("ada", "ada"), ("ada (2)", "ada (2)"), ("ada (3)", "ada.ipynb")
    ]  # fmt: skip
    assert ["there is another submission named ada" in one.notes for one in found] == [True, False, True]


def test_an_empty_hand_in_says_what_is_there(tmp_path):
    (tmp_path / "ada").mkdir()
    (tmp_path / "ada" / "work\x1b.rar").write_bytes(b"Rar!")
    [one] = find_submissions(tmp_path)
    assert one.problem == r"the folder holds no notebook (.ipynb), only work\x1b.rar"


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="root reads every folder")
def test_a_closed_folder_says_so(tmp_path):
    (tmp_path / "ada").mkdir(mode=0)
    [one] = find_submissions(tmp_path)
    (tmp_path / "ada").chmod(0o700)
    assert "cannot be read" in one.problem


# -- whatever a name is ------------------------------------------------------------------------------------------------

ANY = st.one_of(
    st.sampled_from(
        ["ada", "Ada", "ada (2)", "ada (3)", "é", "é", "ß", "ss", "=1", "'=1", "''=1", "\t=1", "con", "x."]
    ),
    st.text(max_size=8),
    st.text(st.sampled_from("a'=+-@ ()2\t\x1b\udce9"), max_size=6),
)


@given(st.lists(ANY, max_size=12), st.lists(ANY, max_size=3))
def test_names_become_distinct_and_only_where_they_must(names, taken):
    found = told_apart(names, taken)
    keys = [*map(same_key, found)]
    assert len(set(keys)) == len(keys) and not set(keys) & {same_key(name) for name in taken}
    used = Counter(map(same_key, [*names, *taken]))
    assert all(new == name for name, new in zip(names, found, strict=True) if used[same_key(name)] == 1)


@given(st.text())
def test_what_is_shown_or_written_holds_nothing_that_acts(text):
    assert not [sign for sign in visible(text) if unicodedata.category(sign) in ("Cc", "Cs", "Zl", "Zp")]
    name = for_disk(text)
    assert name and visible(name) == name and not set(name) & set('<>:"|?*\\/') and name == name.strip(" ").rstrip(".")
    assert for_disk(name) == name


@given(st.lists(ANY, max_size=12))
def test_file_names_are_safe_and_different(names):
    stems = file_stems([Submission(name, None, f"{number}") for number, name in enumerate(names)])
    assert len({same_key(stem) for stem in stems}) == len(names)
    assert all(len(stem.encode()) < 120 and for_disk(stem) == stem for stem in stems)


@given(ANY.filter(lambda text: "\0" not in text))
def test_a_protected_cell_is_no_formula_and_comes_back(text):
    assert unprotected(protected(text)) == text
    assert not protected(text).lstrip().startswith(("=", "+", "-", "@"))


@settings(max_examples=60, deadline=None)
@given(names=st.lists(ANY, min_size=1, max_size=8))
def test_points_by_hand_come_back_to_whom_they_were_given(names, tmp_path_factory):
    """Through the folder, the sheet and back."""
    folder = tmp_path_factory.mktemp("class")
    usable = [
        os.fsencode(name) for name in names if _encodable(name) and name.strip(". ") and not set(name) & set("/\0")
    ]
    made = folders(folder / "in", [name for name in usable if not name.startswith(b".")])
    if not made:
        return
    found = find_submissions(folder / "in")
    assert len({same_key(one.student) for one in found}) == len(found) == len(made)
    result = Result("why", "why", UNREAD, 0, 5)
    marks = [Marks(one.student, one.file, (result,)) for one in found]
    assert write_hand_sheet(SHEET, marks, folder / "sheet.csv") == len(marks)
    with (folder / "sheet.csv").open(encoding="utf-8-sig", newline="") as file:
        rows = list(csv.reader(file))
    for number, row in enumerate(rows[1:]):
        row[2] = str(number / 2)
    with (folder / "sheet.csv").open("w", encoding="utf-8-sig", newline="") as file:
        csv.writer(file).writerows(rows)
    read = with_hand_marks(SHEET, marks, folder / "sheet.csv")
    assert [one.points for one in read] == [number / 2 for number in range(len(marks))]


def _encodable(name: str) -> bool:
    try:
        return os.fsdecode(os.fsencode(name)) == name
    except UnicodeError:
        return False


# -- what a failed release leaves --------------------------------------------------------------------------------------


@pytest.mark.slow
@pytest.mark.parametrize(
    "old, new",
    [("sum(labels) / len(labels)", "7"), ("import math", "import math\nraise OSError('no')")],
)
def test_a_failed_release_leaves_nothing(old, new, tmp_path):
    cells = [nbformat.from_dict(cell) for cell in masters.cells()]
    for cell in cells:
        cell.source = cell.source.replace(old, new)
    master, temporary = masters.write(tmp_path, cells), Path(tempfile.mkdtemp())  # a socket's path is short
    words = [sys.executable, "-m", "w2s_lab", "assignment", "release", str(master), "-o", str(tmp_path / "out")]
    done = subprocess.run(words, env=os.environ | {"TMPDIR": str(temporary)}, capture_output=True, text=True)
    assert done.returncode == 2 and "small.ipynb" in done.stderr and "Traceback" not in done.stderr
    assert list(temporary.iterdir()) == [] and not (tmp_path / "out").exists()
    temporary.rmdir()


def test_a_long_path_of_the_temporary_folder_is_named(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / ("long" * 20)))
    (tmp_path / ("long" * 20)).mkdir()
    master = masters.write(tmp_path, masters.cells())
    assert main(["assignment", "release", str(master), "-o", str(tmp_path / "out")]) == 2
    assert "too long for a socket; expected at most 70 bytes. Hint: begin the command with TMPDIR=/tmp" in (
        capsys.readouterr().err
    )


def test_a_failed_release_leaves_nothing_while_this_process_goes_on(tmp_path):
    cells = masters.cells()
    cells[5].source = cells[5].source.replace("sum(labels) / len(labels)", "7")
    before = set(Path(tempfile.gettempdir()).glob("w2s-grade-*"))
    assert main(["assignment", "release", str(masters.write(tmp_path, cells)), "-o", str(tmp_path / "out")]) == 2
    assert set(Path(tempfile.gettempdir()).glob("w2s-grade-*")) <= before
