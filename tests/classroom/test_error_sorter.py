"""The error sorter: the rule, the counts, the buttons, and no sentence in what a stored notebook keeps."""

from dataclasses import replace

import pytest
from pictures import stored

from w2s_lab import classroom as room
from w2s_lab.classroom.dashboards.error_sorter import KINDS, OPEN, corrections, error_sorter, kind_by_words, words_of
from w2s_lab.records import Example, LabelledSet, Task

TASK = Task("reviews", ("negative", "positive"))
TEXTS = (
    ("this is not funny at all", "negative"), ("not a bad evening <b>out</b>", "positive"),
    ("slow, but warm", "positive"), ("a joy from start to end", "positive"),
    ("it is n't dull, nor is it long", "positive"),
    ("what a treat for the sleepless", "negative"), ("never a dull moment", "positive"), ("plain bad", "negative"),
)  # fmt: skip
TEST = LabelledSet.ground_truth(TASK, [Example("?", text, answer) for text, answer in TEXTS])
OTHER = {"negative": "positive", "positive": "negative"}


def flipped(rows: set[int]) -> LabelledSet:
    return replace(TEST, answers=tuple(OTHER[a] if i in rows else a for i, a in enumerate(TEST.answers)))


WEAK, STUDENT = flipped({0, 1, 2, 5, 6}), flipped({0, 3, 5})  # corrects 1, 2 and 6
BY_WORDS = [kind_by_words(words_of(text)) for text, _ in TEXTS]


@pytest.fixture
def panel():
    return error_sorter(WEAK, STUDENT, BY_WORDS)


def test_the_rule():
    assert BY_WORDS == [
        "negation", "double negation", "mixed", "other", "double negation", "other", "double negation", "other",
    ]  # fmt: skip
    assert words_of("Isn’t it? It is n't.") == ["isn't", "it", "it", "isn't"]
    assert "irony" not in {kind_by_words(list(words)) for words in (["not", "bad"], ["but"], ["a"], ["no"])}


def test_what_is_corrected():
    assert corrections(BY_WORDS, WEAK.answers, STUDENT.answers, TEST.answers) == {
        "negation": (0, 1), "double negation": (2, 2), "mixed": (1, 1), "other": (0, 1)
    }  # fmt: skip


def test_the_learner_sorts_with_the_buttons(panel):
    controls = panel.controls
    assert controls["sentence"].max == 5 and controls["kind"].value == OPEN
    assert "sort it first" in panel.view.html
    controls["kind"].value = "irony"
    assert panel.sorted == {TEST.ids[0]: "irony"} and "✗ the same error" in panel.view.html
    panel.next()
    assert (controls["sentence"].value, controls["kind"].value) == (2, OPEN)
    assert "&lt;b&gt;out&lt;/b&gt;" in panel.view.html and len(panel.sorted) == 1
    controls["kind"].value = "double negation"
    assert "✓ corrected" in panel.view.html
    controls["sentence"].value = 1  # turned back: the kind that was given, and nothing sorted anew
    assert controls["kind"].value == "irony" and len(panel.sorted) == 2
    panel.next()
    assert controls["sentence"].value == 3
    assert panel.counts == {"irony": (0, 1), "double negation": (1, 1)}
    controls["sentence"].value = 2
    controls["kind"].value = OPEN  # taken back
    assert panel.counts == {"irony": (0, 1)}


def test_after_the_last_comes_the_first_that_is_open(panel):
    panel.sort({2: "negation", 3: "mixed", 5: "other"})
    panel.controls["sentence"].value = 4
    panel.controls["kind"].value = "irony"
    panel.next()
    assert panel.controls["sentence"].value == 1
    panel.sort({1: "other"}).next()
    assert panel.controls["sentence"].value == 1 and "5 of 5 errors sorted by you" in panel.view.says


def test_the_bars_are_the_learner_s_above_the_rule_s(panel):
    panel.sort({1: "irony", 3: "mixed"})
    bars = panel.view.charts[0].bars
    assert [bar.label for bar in bars[:2]] == ["mixed, by you", "irony, by you"]
    assert {bar.label: bar.value for bar in bars[2:]} == {
        "negation, by words": 0.0, "double negation, by words": 1.0, "mixed, by words": 1.0, "other, by words": 0.0
    }  # fmt: skip


def test_without_a_rule_there_is_nothing_to_see_before_the_first(panel):
    panel = room.error_sorter(WEAK, STUDENT, most=3)
    assert panel.view.charts == () and panel.controls["sentence"].max == 3
    assert [bar.label for bar in panel.sort({1: "other"}).view.charts[0].bars] == ["other, by you"]


def test_no_sentence_is_in_what_a_stored_notebook_keeps(panel):
    """Words and picture; live, the sentence is in the panel's table."""
    for kind in KINDS:
        bundle = stored(panel.sort({1: kind}))
        assert set(bundle) - {"application/vnd.jupyter.widget-view+json"} == {"text/plain", "image/png"}
        kept = bundle["text/plain"] + "".join(chart.svg() for chart in panel.view.charts)
        assert not [text for text, _ in TEXTS if text in kept] and panel.view.says in bundle["text/plain"]
    assert TEXTS[0][0] in panel.view.html


def test_what_does_not_fit_is_refused(panel):
    with pytest.raises(ValueError, match="makes no error"):
        error_sorter(TEST, STUDENT)
    with pytest.raises(ValueError, match="other examples"):
        error_sorter(WEAK, STUDENT.take(range(3)))
    with pytest.raises(ValueError, match="expected 1 to 5 and one of"):
        panel.sort({6: "other"})
    with pytest.raises(ValueError, match="kind 'odd'"):
        panel.sort({1: "odd"})
