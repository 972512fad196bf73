"""What a student reads: exact points, nothing hidden, nothing of a submission that a page would act on."""

import re
from dataclasses import replace
from html.parser import HTMLParser

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from markdown_it import MarkdownIt
from test_assignment_exports import ASSIGNMENT, SECRET, SECRETS, graded

from w2s_lab.assignments.marks.by_hand import with_hand_marks
from w2s_lab.assignments.marks.csv_files import printable
from w2s_lab.assignments.marks.feedback import (
    feedback_html,
    feedback_markdown,
    markdown_escaped,
    markdown_said,
    opening,
    write_feedback,
)
from w2s_lab.assignments.records import Marks

EVIL = (
    "<script>alert(1)</script> [x](javascript:alert(1)) ![](http://evil.example/p.png) `a` $x$ \x1b[31m <img onerror=1>"
)
FORMATS = (feedback_html, feedback_markdown)


class Page(HTMLParser):
    """Tags, attributes and words of a page; complains about tags that do not match."""

    def __init__(self, text: str):
        super().__init__()
        self.tags, self.attributes, self.words, self.open = [], [], [], []
        self.feed(text)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag, attributes):
        self.tags.append(tag)
        self.attributes += attributes
        if tag not in ("meta", "br"):
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        if not self.open or self.open[-1] != "style":
            self.words.append(data)

    @property
    def text(self) -> str:
        return " ".join(" ".join(self.words).split())


def rendered(markdown: str) -> Page:
    """As a strict and as a generous reader shows it: HTML allowed, bare addresses linked."""
    return Page(MarkdownIt("js-default", {"html": True, "linkify": False}).render(markdown))


def evil() -> Marks:
    """A submission whose every text is hostile."""
    marks = graded(EVIL, loss="wrong", secret="wrong", pgr="failed", file=EVIL, notes=(EVIL, f"line 1\n{EVIL}"))
    results = tuple(replace(result, says=EVIL, given=EVIL * 2) for result in marks.results)
    return replace(marks, results=results)


@pytest.mark.parametrize("make", FORMATS)
def test_points_checks_and_hints_are_there(make):
    text = make(ASSIGNMENT, graded(loss="wrong", secret="failed", notes=("Cell 4 stopped: NameError.",)))
    shown = Page(text).text if make is feedback_html else rendered(text).text
    for words in (
        "3 of 12 points", "0 of 4 points", "3 of 3 points", "not met: two answers of one token",
        "A number was expected",
        "no answer: answers of different lengths (hidden check)", SECRET.hint, "Cell 4 stopped: NameError.",
        "the ceiling is not above the supervisor", "The loss of a batch", "A person reads this answer",
        "5 points are still open", "batch_loss([[-1.0], [-2.0]])",
    ):  # fmt: skip
        assert words in re.sub(r"\s*:", ":", shown), words


@pytest.mark.parametrize("make", FORMATS)
@pytest.mark.parametrize("state", ["right", "wrong", "failed"])
def test_nothing_of_a_hidden_check_but_its_name_and_hint(make, state):
    marks = graded(secret=state)
    slips = [f"ValueError: {SECRET.call}", SECRET.wanted, SECRET.criterion, "SECRET_SETUP = 41.5", "SECRET_GIVEN"]
    for slip in ("", *slips):
        hidden = replace(marks.results[1], says=slip)
        text = make(ASSIGNMENT, replace(marks, results=(marks.results[0], hidden, *marks.results[2:])))
        assert not any(secret in text for secret in SECRETS)
        assert "answers of different lengths" in text


def test_html_shows_hostile_text_as_text():
    page = Page(feedback_html(ASSIGNMENT, evil()))
    assert not {"script", "img", "a", "iframe", "link"} & set(page.tags)
    assert not [name for name, _ in page.attributes if name.startswith("on") or name in ("src", "href")]
    assert "<script>alert(1)</script>" in page.text and "\x1b" not in page.text


def test_markdown_shows_hostile_text_as_text():
    page = rendered(feedback_markdown(ASSIGNMENT, evil()))
    assert set(page.tags) <= {"h1", "h2", "p", "ul", "li", "strong", "br", "code"}
    assert page.text.count("<script>alert(1)</script> [x](javascript:alert(1))") >= 5


@settings(max_examples=300)
@given(st.text(alphabet=st.one_of(st.sampled_from("\\`*_{}[]<>#|~&!$^=:/.@+-1) \n\tw"), st.characters())))
def test_escaped_markdown_reads_as_it_was_written(text):
    page = rendered(f"* before: {markdown_escaped(text)}")
    assert set(page.tags) <= {"ul", "li"}
    assert page.text.split() == f"before: {printable(text)}".split()
    alone = rendered(markdown_escaped(text))
    assert set(alone.tags) <= {"p"}


@settings(max_examples=300)
@given(st.text(alphabet=st.one_of(st.sampled_from("``\\*_[]()<>#|&!-1 a"), st.characters())))
def test_code_in_what_is_said_is_code_and_nothing_else(text):
    page = rendered(f"* before: {markdown_said(text)}")
    assert set(page.tags) <= {"ul", "li", "code"}
    assert "".join("".join(page.words).split()) == "".join(
        f"before:{printable(re.sub('`([^`]+)`', _inside, text))}".split()
    )


def _inside(found: re.Match) -> str:
    return found[1]


def test_bare_addresses_do_not_become_links():
    assert markdown_escaped("http://a.b www.a.b me@a.b") == r"http\://a.b www\.a.b me\@a.b"


def test_html_asks_for_nothing_from_outside():
    text = feedback_html(ASSIGNMENT, graded(loss="wrong"))
    assert "default-src 'none'" in text and 'name="viewport"' in text and 'lang="en"' in text
    assert not re.findall(r"https?:|//\w|url\(|@import|<script|<link|src=", text)
    assert len(text) < 30_000


@pytest.mark.parametrize(
    ("marks", "words"),
    [
        (graded(), "All checks are met. Well done! 5 points are still open"),
        (graded(loss="wrong"), "1 of 2 questions is right in full."),
        (graded(loss="wrong", secret="wrong", pgr="wrong"), "no check is met yet"),
        (graded(loss="failed", secret="wrong", pgr="failed"), "no check is met yet"),
        (graded(loss="wrong", pgr="failed"), "Parts of it work."),
        (replace(graded(), results=()), "Nothing could be run yet."),
    ],
)
def test_the_opening_says_where_the_submission_stands(marks, words):
    assert opening(ASSIGNMENT, marks).startswith(words) or words in opening(ASSIGNMENT, marks)


def test_an_answer_that_was_read_shows_points_and_comment(tmp_path):
    path = tmp_path / "hand.csv"
    path.write_text("student,question,points,comment\nada,why,3.5,Where does <it> end?\n", "utf-8")
    (marks,) = with_hand_marks(ASSIGNMENT, [graded()], path)
    assert "Read by a person: 3.5 of 5 points." in Page(feedback_html(ASSIGNMENT, marks)).text
    assert "Where does <it> end?" in Page(feedback_html(ASSIGNMENT, marks)).text
    shown = rendered(feedback_markdown(ASSIGNMENT, marks)).text
    assert "10.5 of 12 points" in shown and "Where does <it> end?" in shown and "still open" not in shown


@pytest.mark.parametrize("make", FORMATS)
def test_one_reason_for_all_checks_is_said_once(make):
    one, why = graded(loss="failed", secret="failed"), "there is no `batch_loss` in the notebook"
    results = [replace(result, says=why, given="") if result.state == "failed" else result for result in one.results]
    results[3] = replace(results[3], state="failed", says="there is no cell with this answer")
    text = make(ASSIGNMENT, replace(one, results=tuple(results)))
    shown = Page(text).text if make is feedback_html else rendered(text).text
    assert len(re.findall("there is no ?batch_loss ?in", re.sub(" +", " ", shown))) == 1
    assert "2 checks" in shown and SECRET.name in shown and "Mean or sum?" not in shown
    assert "No answer was found." in shown and "there is no cell with this answer" in shown


def test_a_submission_without_results(tmp_path):
    marks = [Marks("eve", "eve.ipynb", (), ("The file is not a notebook.",)), graded("bob"), graded("a/b")]
    for html, markdown in write_feedback(ASSIGNMENT, marks, tmp_path / "feedback"):
        assert Page(html.read_text("utf-8")).text and markdown.read_text("utf-8").endswith("\n")
    assert len(list((tmp_path / "feedback").iterdir())) == 6
