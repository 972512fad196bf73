"""`w2s-lab assignment`, as an instructor uses it: release, collect, grade, read by hand, export."""

import csv
import json
import os
import re
import zipfile
from pathlib import Path

import nbformat
import pytest
from places import ROOT

from w2s_lab.assignments.authoring.master import read_assignment
from w2s_lab.assignments.authoring.release import release
from w2s_lab.assignments.grading.collect import collect
from w2s_lab.assignments.records import Marks
from w2s_lab.cli import assignment as assignment_command
from w2s_lab.cli.commands import main

MASTERS = ROOT / "notebooks" / "assignments"
MASTER = MASTERS / "two_hours.ipynb"


def solved(master: Path, released: Path, place: Path, leave_out: tuple[str, ...] = ()) -> None:
    """The student version, filled in with the master's solutions but for some questions."""
    notebook, ids = nbformat.read(released, as_version=4), {}
    for cell in nbformat.read(master, as_version=4).cells:
        ids[cell.metadata.get("nbgrader", {}).get("grade_id")] = cell.source
    for cell in notebook.cells:
        facts = cell.metadata.get("nbgrader", {})
        if facts.get("solution") and facts["grade_id"] not in leave_out:
            cell.source = ids[facts["grade_id"]] if cell.cell_type == "code" else cell.source + "\n\nBecause it does."
    place.parent.mkdir(parents=True, exist_ok=True)
    nbformat.write(notebook, place)


@pytest.fixture(scope="module")
def course(tmp_path_factory):
    """A released assignment and three submissions, as a platform's ZIP."""
    folder = tmp_path_factory.mktemp("course")
    assert main(["assignment", "release", str(MASTER), "-o", str(folder / "out")]) == 0
    released = folder / "out" / MASTER.name
    solved(MASTER, released, folder / "raw" / "full.ipynb")
    solved(MASTER, released, folder / "raw" / "half.ipynb", ("answer-log-probs", "vote-of-three"))
    with zipfile.ZipFile(folder / "all.zip", "w") as archive:
        archive.write(folder / "raw" / "full.ipynb", "lovelaceada_101_9001_two_hours.ipynb")
        archive.write(folder / "raw" / "half.ipynb", "hopperg_LATE_102_9002_two_hours-1.ipynb")
        archive.write(released, "turinga_103_9003_two_hours.ipynb")
        archive.writestr("../evil_104_9004_two_hours.ipynb", "{}")
        archive.writestr("__MACOSX/._x", "")
    return folder


def grade(course: Path, *more: str) -> int:
    root = ["--as-root"] if hasattr(os, "geteuid") and os.geteuid() == 0 else []
    return main(["assignment", "grade", str(course / "in"), "-o", str(course / "marks"), *root, *more])


def test_from_release_to_marks(course, capsys):
    assert main(["assignment", "collect", str(course / "all.zip"), "-o", str(course / "in")]) == 0
    said = capsys.readouterr().out
    assert "3 students" in said and "left out: ../evil_104" in said
    assert not (course / "evil_104_9004_two_hours.ipynb").exists()

    assert grade(course) == 0
    said = capsys.readouterr().out
    assert "3 submissions, 0 of them graded before" in said and "beyond that" in said
    assert "guards in force: limits, " in said
    rows = list(csv.DictReader((course / "marks" / "gradebook.csv").open(encoding="utf-8-sig")))
    assert {row["student"]: row["total"] for row in rows} == {
        "hopperg_102": "74",
        "lovelaceada_101": "94",
        "turinga_103": "0",
    }
    assert grade(course, "--master", str(MASTER)) == 0
    assert "3 submissions, 3 of them graded before" in capsys.readouterr().out

    sheet = course / "marks" / "by_hand.csv"
    rows = list(csv.DictReader(sheet.open(encoding="utf-8-sig")))
    for row in rows:
        row["points"], row["comment"] = {"lovelaceada_101": ("5", "Clear.")}.get(row["student"], ("0", ""))
    with sheet.open("w", newline="", encoding="utf-8-sig") as file:
        table = csv.DictWriter(file, rows[0])
        table.writeheader()
        table.writerows(rows)
    roster = course / "canvas.csv"
    roster.write_text(
        "Student,ID,SIS User ID,SIS Login ID,Section\n    Points Possible,,,,\n"
        '"Lovelace, Ada",101,u1,ada,A\n"Hopper, Grace",102,u2,grace,A\n"Turing, Alan",103,u3,alan,A\n'
    )
    assert main(["assignment", "export", str(course / "marks"), "--roster", str(roster)]) == 0
    table = list(csv.reader((course / "marks" / "canvas.csv").open(encoding="utf-8-sig")))
    assert [(row[0], row[-1]) for row in table[2:]] == [
        ("Lovelace, Ada", "99"), ("Hopper, Grace", "74"), ("Turing, Alan", "0")
    ]  # fmt: skip
    results = json.loads((course / "marks" / "gradescope" / "lovelaceada_101.json").read_text())
    assert results["score"] == 99
    assert "Clear." in (course / "marks" / "feedback" / "lovelaceada_101.html").read_text(encoding="utf-8")
    assert (course / "marks" / "distribution.png").stat().st_size > 10_000


def test_no_hidden_check_in_what_students_get(course, tmp_path):
    """Neither in the student version nor in the feedback on a submission that misses all of them."""
    released = course / "out" / MASTER.name
    (tmp_path / "in" / "turing").mkdir(parents=True)
    (tmp_path / "in" / "turing" / MASTER.name).write_bytes(released.read_bytes())
    assert grade(tmp_path, "--master", str(MASTER)) == 0
    hidden = [check for check in read_assignment(MASTER).checks if check.hidden]
    given = released.read_text(encoding="utf-8")
    for kind in ("html", "md"):
        given += (tmp_path / "marks" / "feedback" / f"turing.{kind}").read_text(encoding="utf-8")
    assert hidden
    for check in hidden:
        lines = [line.strip() for line in check.setup.splitlines() if len(line.strip()) > 25]
        for secret in [check.call, *lines]:
            assert len(secret) < 25 or secret not in given, secret


FEWER = {  # of `one_week`: what it trains on, and what its criteria then count
    ".ipynb": {"SplitSizes(600, 400, 300, 0)": "SplitSizes(300, 160, 60, 0)",
               "learning_rate=5e-4, batch_size=16": "learning_rate=1e-3, batch_size=8"},
    ".toml": {"== 300 ": "== 60 ", "/ 300 ": "/ 60 ", "[300 * ": "[60 * ", "<= 300\n": "<= 60\n"},
}  # fmt: skip


def with_fewer_reviews(master: Path, folder: Path) -> Path:
    """A copy whose trainings take a third of the time; in full they are tried in `test_assignments_shipped`."""
    folder.mkdir()
    for ending, changes in FEWER.items():
        text = master.with_suffix(ending).read_text(encoding="utf-8")
        for words, others in changes.items() if master.stem == "one_week" else ():
            assert words in text
            text = text.replace(words, others)
        (folder / master.with_suffix(ending).name).write_text(text, encoding="utf-8")
    return folder / master.name


@pytest.mark.slow
@pytest.mark.parametrize("master", sorted(MASTERS.glob("*.ipynb")), ids=lambda path: path.stem)
def test_shipped_masters_from_stub_to_full_marks(master, tmp_path, capsys):
    """Released, filled in, graded: all points that no person gives; the version as released: none."""
    master = with_fewer_reviews(master, tmp_path / "master")
    release(master, tmp_path / "out")
    solved(master, tmp_path / "out" / master.name, tmp_path / "in" / "full" / master.name)
    solved(master, tmp_path / "out" / master.name, tmp_path / "in" / "stub" / master.name, tuple(
        question.cell for question in read_assignment(master).questions
    ))  # fmt: skip
    assert grade(tmp_path, "--master", str(master)) == 0
    read = {path.stem: json.loads(path.read_text()) for path in (tmp_path / "marks" / "marks").glob("*.json")}
    full, stub = Marks.from_json(read["full"]), Marks.from_json(read["stub"])
    by_hand = sum(question.points for question in read_assignment(master).questions if question.by_hand)
    assert (full.points, full.of) == (100 - by_hand, 100) and stub.points == 0, capsys.readouterr().out


def test_as_root_it_refuses_and_says_why(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(os, "geteuid", lambda: 0, raising=False)
    assert main(["assignment", "grade", str(tmp_path), "-o", str(tmp_path / "out")]) == 2
    said = capsys.readouterr().err
    assert "as root" in said and "--as-root" in said and not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    "words, message",
    [
        (["grade", "nowhere", "-o", "out"], "nowhere is no folder"),
        (["grade", "empty", "-o", "out"], "there are no submissions in empty"),
        (["grade", "other", "-o", "out"], "fit none of the kit's own assignments"),
        (["grade", "other", "-o", "other/out"], "lies inside of other"),
        (["grade", "other", "-o", "out", "--master", "no.ipynb"], "no.ipynb"),
        (["export", "empty"], "there are no marks in empty"),
        (["collect", "other/a/x.ipynb", "-o", "out"], "is not a ZIP file"),
        (["release", "no.ipynb", "-o", "out"], "no.ipynb"),
    ],
)
def test_wrong_input_is_said_in_words(words, message, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(os, "geteuid", lambda: 1000, raising=False)
    Path("empty").mkdir()
    Path("other/a").mkdir(parents=True)
    nbformat.write(nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell("x = 1")]), "other/a/x.ipynb")
    assert main(["assignment", *words]) == 2
    assert message in capsys.readouterr().err


def test_release_writes_nothing_where_a_solution_fails(tmp_path, capsys):
    notebook = nbformat.read(MASTER, as_version=4)
    cell = next(c for c in notebook.cells if c.metadata.get("nbgrader", {}).get("grade_id") == "vote-of-three")
    cell.source = cell.source.replace("### BEGIN SOLUTION", "### BEGIN SOLUTION\n    return 0.5")
    nbformat.write(notebook, tmp_path / MASTER.name)
    (tmp_path / "two_hours.toml").write_bytes(MASTER.with_suffix(".toml").read_bytes())
    assert main(["assignment", "release", str(tmp_path / MASTER.name), "-o", str(tmp_path / "out")]) == 2
    assert "vote_of_three: the master's own solution gives 0.5" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_the_grader_finds_which_assignment_it_is(tmp_path):
    for master in sorted(MASTERS.glob("*.ipynb")):
        folder = tmp_path / master.stem / "ada"
        folder.mkdir(parents=True)
        (folder / "renamed.ipynb").write_bytes(master.read_bytes())
        assert assignment_command._assignment(None, tmp_path / master.stem).name == master.stem


# -- collect -----------------------------------------------------------------------------------------------------------


def archive(path: Path, names: list[str]) -> Path:
    with zipfile.ZipFile(path, "w") as opened:
        for name in names:
            opened.writestr(name, "{}")
    return path


@pytest.mark.parametrize(
    "names, places",
    [
        (["Ada Lovelace_7_assignsubmission_file_/a.ipynb"], ["Ada Lovelace_7/a.ipynb"]),
        (["lovelaceada_LATE_1_22_two_hours-2.ipynb"], ["lovelaceada_1/lovelaceada_LATE_1_22_two_hours-2.ipynb"]),
        (["course/ada/a.ipynb", "course/ben/sub/b.ipynb"], ["ada/a.ipynb", "ben/sub/b.ipynb"]),
        (["ada.ipynb", "ben.ipynb", ".DS_Store"], ["ada/ada.ipynb", "ben/ben.ipynb"]),
    ],
)
def test_archives_of_several_platforms(names, places, tmp_path):
    students, left_out = collect(archive(tmp_path / "x.zip", names), tmp_path / "out")
    found = sorted(str(path.relative_to(tmp_path / "out")) for path in (tmp_path / "out").rglob("*.ipynb"))
    assert found == places and left_out == [] and students == sorted({place.split("/")[0] for place in places})


def test_what_leads_out_of_the_folder_is_left_out(tmp_path):
    made = archive(tmp_path / "x.zip", ["ada/a.ipynb", "ben/../../../b.ipynb", "/etc/cron.d/c.ipynb"])
    link = zipfile.ZipInfo("eve/link.ipynb")
    link.external_attr = 0o120777 << 16
    with zipfile.ZipFile(made, "a") as opened:
        opened.writestr(link, "/etc/passwd")
    students, left_out = collect(made, tmp_path / "deep" / "out")
    assert students == ["ada"] and len(left_out) == 3
    assert [path.name for path in tmp_path.rglob("*") if path.is_file()] == ["x.zip", "a.ipynb"]
    with pytest.raises(ValueError, match="not empty"):
        collect(made, tmp_path / "deep" / "out")


def test_the_example_in_the_guide_works(tmp_path, capsys):
    """The cells and the TOML file that the instructor guide shows, released as they stand there."""
    guide = (MASTERS / "README.md").read_text(encoding="utf-8").partition("## Writing your own")[2]
    cells, [toml] = (
        re.findall(r"```python\n(.*?)```", guide, re.DOTALL),
        re.findall(r"```toml\n(.*?)```", guide, re.DOTALL),
    )
    kinds = [
        {"solution": True, "grade": False, "locked": False, "grade_id": "mean-loss"},
        {"solution": False, "grade": True, "locked": True, "grade_id": "test-mean-loss", "points": 4},
    ]
    made = [nbformat.v4.new_markdown_cell("# Means")]
    for cell, kind in zip(cells, kinds, strict=True):
        made.append(
            nbformat.v4.new_code_cell(cell, metadata={"nbgrader": {**kind, "schema_version": 3, "task": False}})
        )
    nbformat.write(nbformat.v4.new_notebook(cells=made), tmp_path / "means.ipynb")
    (tmp_path / "means.toml").write_text(toml)
    assert main(["assignment", "release", str(tmp_path / "means.ipynb"), "-o", str(tmp_path / "out")]) == 0
    assert "means: questions 1, points 7, checks 4" in capsys.readouterr().out
    given = (tmp_path / "out" / "means.ipynb").read_text()
    assert (
        "By hand: 3 divided by 2." in given and "One number is its own mean" not in given and "sum(losses)" not in given
    )
