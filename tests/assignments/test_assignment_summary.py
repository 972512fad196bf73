"""What the instructor reads: numbers that can be counted by hand, and a figure for one submission or hundreds."""

import io
import random
from dataclasses import replace

import matplotlib.pyplot as plt
import numpy as np
import pytest
from test_assignment_exports import ASSIGNMENT, graded

from w2s_lab.assignments.marks.similar import CAVEAT, Twin
from w2s_lab.assignments.marks.summary import distribution, fractions, summary_text, totals
from w2s_lab.assignments.records import Assignment, Check, Marks, Question, Result


def given(marks: Marks, value: str) -> Marks:
    """The same marks, with another value given to the first check."""
    return replace(marks, results=(replace(marks.results[0], given=value), *marks.results[1:]))


CLASS = [
    graded("ada"),
    given(graded("bob", loss="wrong"), "0.33333333"),
    given(graded("carl", loss="wrong", secret="wrong"), "0.33333"),
    given(graded("dora", loss="wrong", secret="failed", pgr="failed"), '"a\x1b[31m"'),
]


def test_the_table_can_be_counted_by_hand():
    lines = summary_text(ASSIGNMENT, CLASS).splitlines()
    assert lines[0] == "Two hours with a weak supervisor: 4 submissions, 12 points"
    table = {line[:24].strip(): line[24:].split() for line in lines[2:7]}
    assert table["The loss of a batch"] == ["4", "1.50", "1.00", "25%", "50%"]
    assert table["How much of the gap?"] == ["3", "2.25", "3.00", "75%", "25%"]
    assert table["Why is it distillation?"] == ["5", "–", "–", "–", "–", "4", "to", "read"]
    assert table["total"][0] == "12" and table["total"][-2:] == ["25%", "25%"]
    assert max(map(len, lines)) <= 110


def test_fractions_leave_out_what_is_still_to_read():
    found = fractions(ASSIGNMENT, CLASS)
    assert found == {"batch_loss": [1.0, 0.5, 0.0, 0.0], "pgr": [1.0, 1.0, 1.0, 0.0], "why": []}
    assert totals(ASSIGNMENT, CLASS) == pytest.approx([1, 5 / 7, 3 / 7, 0])
    unreadable = Marks("eve", "eve.ipynb", (), ("The file is not a notebook.",))
    assert fractions(ASSIGNMENT, [unreadable])["why"] == [0] and totals(ASSIGNMENT, [unreadable]) == [0]


def test_hardest_checks_and_common_wrong_answers():
    text = summary_text(ASSIGNMENT, CLASS)
    hardest = text.partition("hardest checks\n")[2].splitlines()
    assert hardest[0].split(maxsplit=2) == ["25%", "met", "batch_loss: two answers of one token"]
    assert hardest[1].startswith("   50% met  batch_loss: answers of different lengths")
    assert "2 × 0.3333" in text and "\x1b" not in text  # equal but for digits that nobody means
    assert '1 × "a"' not in text


def test_what_failed_technically_is_said_once_for_each_reason():
    file = "the file is not JSON"
    lost = [replace(result, state="failed", says=file) for result in graded().results]
    marks = [Marks(f"e{i}", "f", tuple(lost), (f"Nothing could be graded: {file}.",)) for i in range(6)]
    text = " ".join(summary_text(ASSIGNMENT, [*CLASS, *marks]).split())
    assert "6 × Nothing could be graded: the file is not JSON. (e0, e1, e2, e3, …)" in text
    assert text.count(file) == 1
    assert "1 × batch_loss: ValueError: SECRET_GIVEN (dora)" in text  # the instructor may know


def test_pairs_never_stand_without_the_caveat():
    pair = Twin(("ada", "bob"), 0.934, ("vote: top = sorted(counts) (2 of 4)",))
    text = summary_text(ASSIGNMENT, CLASS, [pair])
    assert f"pairs that are alike ({CAVEAT})\n  0.93  ada and bob\n        vote: top" in text
    assert "alike" not in summary_text(ASSIGNMENT, CLASS)


def test_a_long_list_is_cut_and_says_so():
    marks = [replace(graded(f"s{i}"), notes=(f"Code cell {i} failed.",)) for i in range(40)]
    text = summary_text(ASSIGNMENT, marks)
    assert "and 25 more reasons" in text and text.count("Code cell") == 15


@pytest.mark.parametrize("marks", [[], [graded()], [Marks("eve", "f", ())]])
def test_small_classes(marks):
    text = summary_text(ASSIGNMENT, marks)
    assert text.startswith(f"Two hours with a weak supervisor: {len(marks)} submission")


def made_up(submissions: int, questions: int) -> tuple[Assignment, list[Marks]]:
    """A class of random marks; the last question is read by hand, for some."""
    draw = random.Random(submissions + questions)
    asked = [
        Question(f"q{i}", f"q{i}", 4, title="A long title with $ in it that goes on" * (i % 2))
        for i in range(questions)
    ]
    asked[-1] = replace(asked[-1], by_hand=True)
    checks = tuple(Check(f"{q.name} {j}", q.name, "f()", points=2) for q in asked[:-1] for j in range(2))
    marks = []
    for i in range(submissions):
        results = [Result(c.name, c.question, "wrong", draw.choice([0.0, 1.0, 2.0]), 2) for c in checks]
        state = draw.choice(["to read", "wrong"])
        results.append(Result("words", asked[-1].name, state, 0.0 if state == "to read" else 3.0, 4))
        marks.append(Marks(f"s{i}", "f", tuple(results)))
    return replace(ASSIGNMENT, questions=tuple(asked), checks=checks), marks


@pytest.mark.parametrize(("submissions", "questions"), [(1, 3), (3, 15), (300, 3), (300, 15), (2, 1)])
def test_the_figure_fits_any_class(submissions, questions):
    before = plt.get_fignums()
    assignment, marks = made_up(submissions, questions)
    figure = distribution(assignment, marks)
    assert plt.get_fignums() == before  # nothing global is changed
    figure.savefig(io.BytesIO(), dpi=40)
    left, right = figure.axes
    assert left.get_xlabel() == "fraction of the question's points" and right.get_ylabel() == "submissions"
    assert sum(bar.get_height() for bar in right.patches) == pytest.approx(len(totals(assignment, marks)))
    assert questions - 1 <= len(left.get_yticklabels()) <= questions
    box = figure.bbox
    for text in [*figure.texts, *left.texts, *right.texts, left.title, right.title, *left.get_yticklabels()]:
        extent = text.get_window_extent()
        assert box.x0 - 1 <= extent.x0 and extent.x1 <= box.x1 + 1 and extent.y1 <= box.y1 + 1, text.get_text()
        assert text.get_fontsize() >= 11


def test_the_bars_are_the_shares():
    figure = distribution(ASSIGNMENT, CLASS)
    left = figure.axes[0]
    rows = {base: [bar for bar in left.patches if bar.get_y() == base] for base in (1, 0)}
    tall = [bar.get_height() for bar in rows[1]]  # batch_loss: two have 0, one 0.5, one 1
    assert np.array(tall) / max(bar.get_height() for bar in rows[0]) == pytest.approx([2 / 3, 1 / 3, 1 / 3])
    assert [round(bar.get_x(), 1) for bar in rows[1]] == [0.0, 0.5, 0.9]
    assert "tallest bar 75%" in left.get_title()


def test_answers_that_nobody_has_read_are_left_out_of_the_figure():
    figure = distribution(ASSIGNMENT, CLASS)
    left, right = figure.axes
    assert len(left.get_yticklabels()) == 2 and "not read yet, and left out: " in figure.get_suptitle()
    assert right.get_xlabel() == "fraction of the points read so far"
    done = [replace(one, results=tuple(replace(r, state="right") for r in one.results)) for one in CLASS]
    figure = distribution(ASSIGNMENT, done)
    assert len(figure.axes[0].get_yticklabels()) == 3 and "left out" not in figure.get_suptitle()
    assert figure.axes[1].get_xlabel() == "fraction of all points (12)"
    words = replace(ASSIGNMENT, questions=ASSIGNMENT.questions[-1:], checks=())
    only = [replace(one, results=one.results[-1:]) for one in CLASS]
    assert totals(words, only) == [] and "nothing is read yet" in distribution(words, only).axes[1].get_title()
    assert "–" in summary_text(words, only)


@pytest.mark.parametrize("marks", [[], [graded()]])
def test_nothing_to_draw_is_an_error(marks):
    with pytest.raises(ValueError, match="expected at least one"):
        distribution(replace(ASSIGNMENT, questions=()) if marks else ASSIGNMENT, marks)
