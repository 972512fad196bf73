"""Answers in words reach the person who reads them, wherever the student wrote them."""

import json

import masters
import nbformat
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from nbformat import v4

from w2s_lab.assignments.authoring.master import read_assignment
from w2s_lab.assignments.authoring.release import student_version
from w2s_lab.assignments.grading.submissions import read_cells
from w2s_lab.assignments.grading.words import NO_CELL, NOTHING, answer_in_words
from w2s_lab.assignments.marks.by_hand import CELL, _read_hand_sheet, write_hand_sheet
from w2s_lab.assignments.records import UNREAD, Marks

SAID = "Errors look random to the student, rules do not."
MAKE = {"code": v4.new_code_cell, "markdown": v4.new_markdown_cell, "raw": v4.new_raw_cell}


@pytest.fixture(scope="module")
def small(tmp_path_factory):
    """An assignment with two answers in words, its student version, and a folder for submissions."""
    folder = tmp_path_factory.mktemp("words")
    cells = [*masters.cells(), masters.text("## Last"), masters.words("## And now?\n\nSay what is next.\n\n### BEGIN "
             "SOLUTION\nMeasure.\n### END SOLUTION", "next"), masters.text("Done? Hand in.")]  # fmt: skip
    assignment = read_assignment(masters.write(folder, cells))
    return assignment, student_version(assignment), folder


def read(small, change):
    """The two results after a change of the student version's cells."""
    assignment, handout, folder = small
    cells = [nbformat.from_dict(cell) for cell in json.loads(json.dumps(handout))["cells"]]
    change(cells)
    path = folder / "work.ipynb"
    path.write_text(json.dumps(v4.new_notebook(cells=cells)), encoding="utf-8")
    found, _ = read_cells(path)
    return [answer_in_words(question, found, assignment) for question in assignment.questions if question.by_hand]


def place_of(cells, name):
    return next(i for i, cell in enumerate(cells) if cell["metadata"].get("nbgrader", {}).get("grade_id") == name)


def test_an_untouched_handout_says_that_nothing_is_written(small):
    assert [(one.state, one.given) for one in read(small, lambda cells: None)] == [(UNREAD, NOTHING)] * 2


def test_an_answer_in_its_cell_is_given_as_it_is(small):
    def write(cells):
        cells[place_of(cells, "why")]["source"] = SAID

    why, then = read(small, write)
    assert why.given == SAID and then.given == NOTHING


def test_without_a_cell_and_without_words_there_is_no_answer(small):
    why, _ = read(small, lambda cells: cells.pop(place_of(cells, "why")))
    assert (why.state, why.given) == ("failed", "")


WAYS = st.fixed_dictionaries({
    "where": st.sampled_from(["in it", "below it", "two below it", "above it", "a copy at the end", "far away"]),
    "kind": st.sampled_from(["code", "markdown", "raw"]),
    "metadata": st.booleans(),
    "heading": st.booleans(),
    "comment": st.booleans(),
    "question": st.sampled_from(["why", "next"]),
})  # fmt: skip


@settings(max_examples=150, deadline=None, suppress_health_check=list(HealthCheck))
@given(WAYS)
def test_what_was_written_reaches_the_reader(small, way):
    def write(cells):
        place = place_of(cells, way["question"])
        own = cells[place]
        said = f"# {SAID}" if way["comment"] and way["kind"] == "code" else SAID
        source = f"{own['source']}\n\n{said}" if way["heading"] and way["kind"] != "code" else said
        metadata = dict(own["metadata"]) if way["metadata"] else {}
        new = MAKE[way["kind"]](source, metadata=metadata if way["where"] in ("in it", "a copy at the end") else {})
        if way["where"] == "in it":
            cells[place] = new
        elif way["where"] == "above it":
            cells.insert(place, new)
        elif way["where"] == "two below it":
            cells[place + 1 : place + 1] = [v4.new_markdown_cell(""), new]
        elif way["where"] == "below it":
            cells.insert(place + 1, new)
        else:
            cells.append(new)

    result = read(small, write)[["why", "next"].index(way["question"])]
    assert result.state == UNREAD and SAID in result.given, (way, result)


def test_two_answers_in_words_are_not_mixed_up(small):
    def write(cells):
        for name in ("why", "next"):
            cells.insert(place_of(cells, name) + 1, v4.new_markdown_cell(f"My words about {name}."))

    why, then = read(small, write)
    assert "about why" in why.given and "about next" not in why.given
    assert "about next" in then.given and "about why" not in then.given


def test_code_is_not_taken_for_words(small):
    def write(cells):
        cells[place_of(cells, "why")]["source"] = SAID
        cells.insert(place_of(cells, "why") + 1, v4.new_code_cell("for i in range(3):\n    print(i)"))

    assert read(small, write)[0].given == SAID


def test_a_cell_that_lost_its_mark_is_shown_as_such(small):
    def write(cells):
        cells[place_of(cells, "why")] = v4.new_markdown_cell(SAID)

    why, _ = read(small, write)
    assert why.given.startswith(NO_CELL) and why.given.endswith(SAID)


def test_a_long_answer_is_cut_aloud(small, tmp_path):
    assignment = small[0]

    def write(cells):
        cells[place_of(cells, "why")]["source"] = "word " * 20_000

    marks = Marks("ada", "ada.ipynb", tuple(read(small, write)))
    write_hand_sheet(assignment, [marks], tmp_path / "by_hand.csv")
    text = (tmp_path / "by_hand.csv").read_text("utf-8-sig")
    assert "(cut here: the notebook holds more)" in text and len(text) < 2 * CELL
    assert _read_hand_sheet(assignment, [marks], tmp_path / "by_hand.csv")["ada", "why"] == (None, "")
