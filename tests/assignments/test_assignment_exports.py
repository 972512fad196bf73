"""Marks as files for other programs: nothing is lost silently, nothing becomes a formula, nothing hidden comes out."""

import csv
import json
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from w2s_lab.assignments.grading.submissions import file_stems
from w2s_lab.assignments.marks.by_hand import with_hand_marks, write_hand_sheet
from w2s_lab.assignments.marks.canvas import write_canvas
from w2s_lab.assignments.marks.csv_files import number_text, printable, protected
from w2s_lab.assignments.marks.exports import gradescope, told, write_gradebook, write_gradescope
from w2s_lab.assignments.records import HIDDEN_SAYS, Assignment, Check, Marks, Question, Result

SECRET = Check(
    "answers of different lengths", "batch_loss", "batch_loss(SECRET_CALL, mask=7)", wanted="SECRET_WANTED",
    criterion="given > SECRET_CRITERION", setup="SECRET_SETUP = 41.5\nother = 2", points=2, hidden=True,
    hint="Is the sum over tokens, the mean over answers?",
)  # fmt: skip
SECRETS = ("SECRET_CALL", "SECRET_WANTED", "SECRET_CRITERION", "SECRET_SETUP", "SECRET_GIVEN", "41.5")
ASSIGNMENT = Assignment(
    name="two_hours",
    title="Two hours with a weak supervisor",
    path=Path("two_hours.ipynb"),
    questions=(
        Question("batch_loss", "batch-loss", 4, minutes=15, title="The loss of a batch"),
        Question("pgr", "pgr", 3, minutes=10, title="How much of the gap?"),
        Question("why", "why", 5, by_hand=True, title="Why is it distillation?"),
    ),
    checks=(
        Check("two answers of one token", "batch_loss", "batch_loss([[-1.0], [-2.0]])", points=2, hint="Mean or sum?"),
        SECRET,
        Check("the ceiling is not above the supervisor", "pgr", "pgr(0.8, 0.8, 0.8)", points=3),
    ),
    cells=(),
    minutes=120,
)


def graded(student: str = "ada", *, loss: str = "right", secret: str = "right", pgr: str = "right", **more) -> Marks:
    """One submission whose three checks have these states, and an answer in words."""
    hint = SECRET.hint
    says = {"right": "", "wrong": "A number was expected, another one came back.", "failed": "NameError: <script>"}
    results = (
        Result("two answers of one token", "batch_loss", loss, 2.0 * (loss == "right"), 2, says=says[loss],
               hint="Mean or sum?", given="" if loss == "right" else "1.25"),
        Result(SECRET.name, "batch_loss", secret, 2.0 * (secret == "right"), 2, hidden=True, says=says[secret],
               hint=hint, given="ValueError: SECRET_GIVEN" if secret == "failed" else "SECRET_GIVEN"),
        Result("the ceiling is not above the supervisor", "pgr", pgr, 3.0 * (pgr == "right"), 3, says=says[pgr],
               given="" if pgr == "right" else "0.0"),
        Result("why", "why", "to read", 0, 5, given="=Because the KL is\nminimised"),
    )  # fmt: skip
    return Marks(student, **({"file": f"{student}.ipynb", "results": results} | more))


def read(path: Path, encoding: str = "utf-8") -> list[list[str]]:
    with path.open(encoding=encoding, newline="") as file:
        return list(csv.reader(file))


# -- gradebook ---------------------------------------------------------------------------------------------------------


def test_gradebook_has_a_row_for_each_submission(tmp_path):
    marks = [graded(), graded("zoë", loss="wrong", secret="failed", notes=("cell 4 did not run",))]
    write_gradebook(ASSIGNMENT, marks, tmp_path / "gradebook.csv")
    assert (tmp_path / "gradebook.csv").read_bytes().startswith(b"\xef\xbb\xbf")  # Excel shows ë
    assert read(tmp_path / "gradebook.csv", "utf-8-sig") == [
        ["student", "file", "batch_loss", "pgr", "why", "total", "of", "percent", "notes"],
        ["ada", "ada.ipynb", "4", "3", "", "7", "12", "58.3", "to read by hand: why"],
        ["zoë", "zoë.ipynb", "0", "3", "", "3", "12", "25.0", "to read by hand: why; cell 4 did not run"],
    ]


def test_gradebook_of_an_unreadable_file_and_of_a_question_called_total(tmp_path):
    total = replace(ASSIGNMENT, questions=(*ASSIGNMENT.questions, Question("total", "total", 1)))
    write_gradebook(total, [Marks("eve", "eve.ipynb", (), ("The file is not a notebook.",))], tmp_path / "g.csv")
    header, row = read(tmp_path / "g.csv", "utf-8-sig")
    assert len(set(header)) == len(header) and "total (points)" in header
    assert row == ["eve", "eve.ipynb", "0", "0", "0", "0", "0", "0", "", "The file is not a notebook."]


@pytest.mark.parametrize(
    "name", ["=1+1", "+1", "-1", "@SUM(A1)", "\t=1", " =1", "\r=1", "＝1", '=HYPERLINK("http://x")']
)
def test_no_name_becomes_a_formula(tmp_path, name):
    marks = [graded(name, notes=(name,))]
    marks[0] = replace(marks[0], results=(*marks[0].results[:3], replace(marks[0].results[3], given=name)))
    write_gradebook(ASSIGNMENT, [replace(marks[0], results=marks[0].results[:3])], tmp_path / "gradebook.csv")
    write_canvas(ASSIGNMENT, marks, tmp_path / "canvas.csv")
    write_hand_sheet(ASSIGNMENT, marks, tmp_path / "hand.csv")
    cells = [cell for path in tmp_path.glob("*.csv") for row in read(path, "utf-8-sig") for cell in row]
    assert sum(cell.startswith("'") for cell in cells) >= 7
    assert not [cell for cell in cells if cell.lstrip()[:1] in tuple("=+-@＝＋－＠")]


@given(st.text())
def test_a_protected_cell_is_no_formula_and_loses_no_letter(text):
    cell = protected(text)
    assert not cell.lstrip().startswith(("=", "+", "-", "@"))
    assert cell.removeprefix("'" if cell != text.replace("\0", "") else "") == text.replace("\0", "")


def test_printable_takes_out_what_a_terminal_acts_on():
    assert printable("\x1b[31mred\x1b[0m \x1b]0;title\x07a\u202eb\x00\r\n\tc") == "red ab\n\tc"


@pytest.mark.parametrize(("points", "text"), [(3, "3"), (2.5, "2.5"), (1 / 3, "0.33"), (0.0, "0"), (100.0, "100")])
def test_points_for_people(points, text):
    assert number_text(points) == text


# -- Canvas ------------------------------------------------------------------------------------------------------------

ROSTER = """\
Student,ID,SIS User ID,SIS Login ID,Section,Old essay (77),Two hours with a weak supervisor (4711),Final Score
Manual Posting,,,,,,,
    Points Possible,,,,,10,12,(read only)
"Lovelace, Ada",1234,S1,ada,Monday,9,,90
"Hopper, Grace",1235,S2,grace@uni.edu,Monday,8,,80
"Noether, Emmy",1236,S3,emmy,Friday,7,,70
"Turing, Alan",1237,S4,alan,Friday,7,,70
"Kowalewskaja, Sofja",1238,S5,sofja,Friday,7,,70
"Müller, Jörg",1239,S6,jm1,Friday,7,,70
"Student, Test",1299,,abcdef0123,Monday,,,
"""


@pytest.fixture
def roster(tmp_path) -> Path:
    path = tmp_path / "roster.csv"
    path.write_text(ROSTER, encoding="utf-8")
    return path


def test_canvas_matches_by_every_way_and_says_the_rest(tmp_path, roster):
    names = ["ada", "S2", "1236", "turingalan_1237_56789_two_hours", "Sofja Kowalewskaja", "muller_jorg", "mallory"]
    notes = write_canvas(ASSIGNMENT, [graded(name, pgr="wrong") for name in names], tmp_path / "c.csv", roster)
    rows = read(tmp_path / "c.csv")
    assert rows[0] == ["Student", "ID", "SIS User ID", "SIS Login ID", "Section",
                       "Two hours with a weak supervisor (4711)"]  # fmt: skip
    assert rows[1] == ["    Points Possible", "", "", "", "", "12"]
    assert rows[2] == ["Lovelace, Ada", "1234", "S1", "ada", "Monday", "4"]
    assert [row[1] for row in rows[2:]] == ["1234", "1235", "1236", "1237", "1238", "1239"]
    assert "mallory" in notes[0] and "not in the roster" in notes[0]
    assert any("still to read" in note for note in notes)
    assert not any("without a submission" in note for note in notes)  # Canvas' own test student is nobody


def test_canvas_says_who_has_no_submission_and_who_has_two(tmp_path, roster):
    marks = [graded("ada"), graded("lovelaceada_LATE_1234_99_x"), graded("grace")]
    notes = write_canvas(ASSIGNMENT, marks, tmp_path / "c.csv", roster)
    assert [row[0] for row in read(tmp_path / "c.csv")[2:]] == ["Hopper, Grace"]
    text = "\n".join(notes)
    assert "several submissions of one student" in text and "ada, lovelaceada_LATE_1234_99_x" in text
    assert "4 of the roster without a submission" in text and "Test" not in text


def test_canvas_never_guesses_between_two_students(tmp_path):
    path = tmp_path / "r.csv"
    path.write_text('Student,ID,SIS User ID,SIS Login ID,Section\n"Li, Wei",1,9,a,x\n"Li, Wei",2,1,b,x\n', "utf-8")
    notes = write_canvas(ASSIGNMENT, [graded("Wei Li"), graded("1")], tmp_path / "c.csv", path)
    assert len(read(tmp_path / "c.csv")) == 2
    assert "2 like several students of the roster" in notes[0] and "Wei Li, 1" in notes[0]
    assert not any("without a submission" in note for note in notes)


def test_canvas_keeps_its_ids_apart_from_other_numbers(tmp_path, roster):
    """The first number of a downloaded file is the student, the second the upload."""
    write_canvas(ASSIGNMENT, [graded("x_1235_1234_f", file="x_1235_1234_f.ipynb")], tmp_path / "c.csv", roster)
    assert [row[1] for row in read(tmp_path / "c.csv")[2:]] == ["1235"]


def test_canvas_from_the_file_name_where_the_folder_says_nothing(tmp_path, roster):
    write_canvas(ASSIGNMENT, [graded("batch 1", file="b/noetheremmy_1236_5_f.ipynb")], tmp_path / "c.csv", roster)
    assert [row[0] for row in read(tmp_path / "c.csv")[2:]] == ["Noether, Emmy"]


def test_canvas_without_a_roster_writes_everybody(tmp_path):
    notes = write_canvas(ASSIGNMENT, [graded("ada"), graded("turingalan_1237_5_f")], tmp_path / "c.csv")
    rows = read(tmp_path / "c.csv")
    assert rows[2:] == [["ada", "", "", "ada", "", "7"], ["turingalan", "1237", "", "", "", "7"]]
    assert any("Canvas will ask" in note for note in notes)


def test_canvas_warns_where_the_import_would_change_the_points(tmp_path):
    path = tmp_path / "r.csv"
    path.write_text(ROSTER.replace(",10,12,", ",10,100,"), "utf-8")
    notes = write_canvas(ASSIGNMENT, [graded("ada")], tmp_path / "c.csv", path)
    assert any("has 100 points in Canvas; the import changes them to 12" in note for note in notes)
    totals = replace(ASSIGNMENT, title="Final Grade of the lab")
    assert any("passes over" in note for note in write_canvas(totals, [graded()], tmp_path / "c.csv"))


def test_canvas_reads_other_exports(tmp_path):
    """Semicolons, decimal commas, a byte-order mark, more columns, and family and first names apart."""
    path = tmp_path / "r.csv"
    path.write_text(
        "\ufeffLastName;FirstName;ID;SIS User ID;SIS Login ID;Integration ID;Root Account;Section;two_hours (5)\n"
        "    Points Possible;;;;;;;;12,0\nLovelace;Ada;1234;S1;ada;;uni.edu;Monday;\n", "utf-8",
    )  # fmt: skip
    notes = write_canvas(ASSIGNMENT, [graded("Ada Lovelace")], tmp_path / "c.csv", path)
    rows = read(tmp_path / "c.csv")
    assert rows[2] == ["Lovelace", "Ada", "1234", "S1", "ada", "", "uni.edu", "Monday", "7"]
    assert rows[0][-1] == "two_hours (5)" and not any("changes" in note for note in notes)


@pytest.mark.parametrize("text", ["", "name,points\nada,3\n", "Student,ID\n"])
def test_canvas_refuses_what_is_no_roster(tmp_path, text):
    path = tmp_path / "r.csv"
    path.write_text(text, "utf-8")
    with pytest.raises(ValueError, match="expected Student, ID"):
        write_canvas(ASSIGNMENT, [graded()], tmp_path / "c.csv", path)
    assert not (tmp_path / "c.csv").exists()


# -- Gradescope --------------------------------------------------------------------------------------------------------


def test_gradescope_has_the_documented_fields_and_no_secret():
    record = gradescope(ASSIGNMENT, graded(loss="wrong", secret="failed"))
    assert record["score"] == 3 and record["visibility"] == "visible"
    tests = record["tests"]
    allowed = {"score", "max_score", "status", "name", "name_format", "number", "output", "output_format", "visibility"}
    assert all(set(test) <= allowed for test in tests)
    assert [test["number"] for test in tests] == ["1.1", "1.2", "2.1", "3.1"]
    assert [test.get("status") for test in tests] == ["failed", "failed", "passed", None]
    assert [test.get("score") for test in tests] == [0, 0, 3, None]
    assert [test["visibility"] for test in tests] == ["visible", "after_published", "visible", "visible"]
    assert SECRET.hint in tests[1]["output"] and not any(secret in json.dumps(record) for secret in SECRETS)
    assert "Because the KL" not in json.dumps(record)
    assert sum(test.get("score", 0) for test in tests) == record["score"]


def test_of_a_hidden_check_only_its_state_is_told():
    for state in ("wrong", "failed"):
        for slip in (
            "ValueError: 41.5",
            "it took longer than 10 s",
            "signal 11",
            "A list came back.",
            "SECRET_GIVEN",
            "",
        ):
            result = replace(graded(secret=state).results[1], says=slip, given=f"given {slip}")
            assert told(ASSIGNMENT, result) == HIDDEN_SAYS[state]
            assert told(ASSIGNMENT, replace(result, hidden=False)) == HIDDEN_SAYS[state]  # the check itself is hidden
    unasked = replace(graded(secret="failed").results[1], says="there is no `batch_loss` in the notebook", given="")
    assert told(ASSIGNMENT, unasked) == unasked.says


def test_gradescope_tells_no_time():
    marks = replace(graded(), seconds=41.0, own_seconds=40.0)
    assert gradescope(ASSIGNMENT, marks) == gradescope(ASSIGNMENT, replace(marks, seconds=1.0, own_seconds=1.0))


def test_gradescope_writes_one_file_for_each(tmp_path):
    marks = [graded("ada"), graded("../../etc/passwd"), graded("Ada"), graded("a b"), graded("a?b"), graded("NUL")]
    paths = write_gradescope(ASSIGNMENT, marks, tmp_path / "out")
    assert len(set(str(path).casefold() for path in paths)) == len(marks)
    assert all(path.parent == tmp_path / "out" and json.loads(path.read_text("utf-8"))["tests"] for path in paths)


@settings(max_examples=50)
@given(st.lists(st.text(min_size=1), unique=True, min_size=1, max_size=8))
def test_file_names_are_safe_and_do_not_depend_on_the_order(names):
    marks = [Marks(name, "f.ipynb", ()) for name in names]
    stems = file_stems(marks)
    assert len({stem.casefold() for stem in stems}) == len(names)
    assert (
        not any(sign in stem for stem in stems for sign in '/\\:*?"<>|\0\n') and "" not in stems and ".." not in stems
    )
    assert file_stems(marks[::-1]) == stems[::-1]


# -- reading by hand ---------------------------------------------------------------------------------------------------


def fill(path: Path, values: dict[str, tuple[str, str]], **options) -> None:
    """Fill in points and comments as a person does with a spreadsheet."""
    rows = read(path, "utf-8-sig")
    for row in rows[1:]:
        row[2:4] = values.get(row[0], row[2:4])
    with path.open("w", newline="", encoding=options.pop("encoding", "utf-8-sig")) as file:
        csv.writer(file, **options).writerows(rows)


def test_hand_marks_go_out_and_come_back(tmp_path):
    path, marks = tmp_path / "hand.csv", [graded("ada"), graded("=bob"), graded("carl")]
    assert write_hand_sheet(ASSIGNMENT, marks, path) == 3
    rows = read(path, "utf-8-sig")
    assert rows[0] == ["student", "question", "points", "comment", "of", "answer"]
    assert rows[1] == ["ada", "why", "", "", "5", "'=Because the KL is\nminimised"]
    fill(path, {"ada": ("5", "Clear."), "'=bob": ("2,5", "-half of it")}, delimiter=";")
    read_marks = with_hand_marks(ASSIGNMENT, marks, path)
    last = [one.results[-1] for one in read_marks]
    assert [(r.points, r.state, r.says) for r in last[:2]] == [(5, "right", "Clear."), (2.5, "wrong", "-half of it")]
    assert read_marks[2] == marks[2] and read_marks[0].results[:3] == marks[0].results[:3]
    assert with_hand_marks(ASSIGNMENT, read_marks, path) == read_marks


def test_a_sheet_written_again_keeps_what_was_filled_in(tmp_path):
    path, marks = tmp_path / "hand.csv", [graded("ada"), graded("bob")]
    write_hand_sheet(ASSIGNMENT, marks, path)
    fill(path, {"ada": ("4", "=good")})
    before = with_hand_marks(ASSIGNMENT, marks, path)
    later = [*marks, graded("new")]
    assert write_hand_sheet(ASSIGNMENT, later, path) == 2
    assert with_hand_marks(ASSIGNMENT, later, path)[:2] == before and before[0].results[-1].says == "=good"


def test_an_answer_that_was_not_found_can_still_be_marked(tmp_path):
    path, one = tmp_path / "hand.csv", graded("ada")
    none = Result("Why?", "why", "failed", 0, 5, says="there is no cell with this answer")
    marks = [replace(one, results=(*one.results[:3], none))]
    assert write_hand_sheet(ASSIGNMENT, marks, path) == 0
    assert read(path, "utf-8-sig")[1] == ["ada", "why", "", "", "5", "(there is no cell with this answer)"]
    assert with_hand_marks(ASSIGNMENT, marks, path) == marks
    fill(path, {"ada": ("2", "It was in the next cell.")})
    assert with_hand_marks(ASSIGNMENT, marks, path)[0].points == one.points + 2


def test_a_sheet_saved_by_excel_without_utf8(tmp_path):
    path, marks = tmp_path / "hand.csv", [graded("Zoë")]
    write_hand_sheet(ASSIGNMENT, marks, path)
    fill(path, {"Zoë": ("1", "naïve")}, encoding="cp1252")
    assert with_hand_marks(ASSIGNMENT, marks, path)[0].results[-1].says == "naïve"


@pytest.mark.parametrize(
    ("line", "match"),
    [
        ("ada,why,6,", r"line 3.*'6'; expected a number from 0 to 5"),
        ("ada,why,-1,", "line 3.*from 0 to 5"),
        ("ada,why,nan,", "line 3.*from 0 to 5"),
        ("ada,why,five,", "line 3.*from 0 to 5"),
        ("mallory,why,5,", 'line 3: student "mallory" has no submission'),
        ("ada,pgr,3,", 'line 3: question "pgr" is not one that is read by hand; expected why'),
        ("bob,why,3,", "line 3.*bob is there twice"),
    ],
)
def test_wrong_rows_are_errors_that_name_the_line(tmp_path, line, match):
    path = tmp_path / "hand.csv"
    path.write_text(f"student,question,points,comment\nbob,why,3,fine\n{line}\n", "utf-8")
    with pytest.raises(ValueError, match=match):
        with_hand_marks(ASSIGNMENT, [graded("ada"), graded("bob")], path)
    before = path.read_bytes()
    with pytest.raises(ValueError, match="line 3"):
        write_hand_sheet(ASSIGNMENT, [graded("ada"), graded("bob")], path)
    assert path.read_bytes() == before


def test_the_line_is_right_after_an_answer_of_several_lines(tmp_path):
    path = tmp_path / "hand.csv"
    path.write_text('student,question,points,comment,answer\nbob,why,3,,"a\nb"\nada,why,9,,\n', "utf-8")
    with pytest.raises(ValueError, match=r"line 4 \(row 3\)"):
        with_hand_marks(ASSIGNMENT, [graded("ada"), graded("bob")], path)


@pytest.mark.parametrize("text", ["", "student,points\nada,3\n"])
def test_a_sheet_without_its_columns_is_refused(tmp_path, text):
    path = tmp_path / "hand.csv"
    path.write_text(text, "utf-8")
    with pytest.raises(ValueError, match=r"line 1: no column .*question"):
        with_hand_marks(ASSIGNMENT, [graded()], path)
