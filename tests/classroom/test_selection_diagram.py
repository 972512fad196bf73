"""The flow of data selection: the counts in its boxes are those of the selection, in the picture and in words."""

import re

import numpy as np
import pytest
from pictures import SVG, sound, stored

from w2s_lab import classroom as room
from w2s_lab.classroom.dashboards.selection_diagram import Flow, flow
from w2s_lab.classroom.toolkit.svg import text_width
from w2s_lab.methods.selection import keep, random_scores
from w2s_lab.records import LabelledSet


@pytest.fixture
def labels(closed_set) -> LabelledSet:
    """40 weak labels, every fourth of them wrong."""
    truth = closed_set.take(range(40))
    others = ("positive", "negative", "hard to say")
    wrong = [others[(others.index(a) + 1) % 3] if row % 4 == 0 else a for row, a in enumerate(truth.answers)]
    return LabelledSet(truth.task, truth.examples, tuple(wrong), source="weak labels of a test")


@pytest.fixture
def scores() -> np.ndarray:
    """What is right comes first: rows 0, 4, 8 ... last."""
    return np.array([0.0 if row % 4 == 0 else 1.0 + row for row in range(40)])


def drawing(panel) -> Flow:
    return panel.view.charts[0]


def test_boxes_hold_the_counts_of_the_selection(labels, scores):
    panel = room.selection_diagram(labels, scores, rule="a test", models=("tiny", "small"))
    pool, weak, best, chance, student, other = (box.words for box in drawing(panel).boxes)
    control = keep(labels, random_scores(labels, seed=0), 0.5)
    assert pool[1] == "40 inputs x" and weak[1] == "tiny" and student[1] == other[1] == "small"
    assert best == ("keep the top 50%", "by a test", "20 labels ŷ", "100% of them right")
    assert chance[2:] == ("20 labels ŷ", f"{control.label_accuracy:.0%} of them right")
    assert "20 labels are left out" in drawing(panel).notes[-1][-1]


def test_the_slider_moves_the_counts(labels, scores):
    panel = room.selection_diagram(labels, scores, rule="a test")
    before = panel._picture.value
    panel.set(kept=0.9)
    assert drawing(panel).boxes[2].words[2:] == ("36 labels ŷ", "83% of them right")  # 30 right of 36
    assert panel._picture.value != before and "36 labels" in panel.view.says


def test_the_picture_says_what_it_shows(labels, scores):
    panel = room.selection_diagram(labels, scores, rule='"odd" <rule>')
    svg = panel._picture.value
    said = re.search('aria-label="([^"]*)"', svg)[1]
    assert said.startswith("The weak supervisor (pocket-s) labels a pool of 40 inputs")
    assert "<rule>" not in svg and svg.count("<rect") == 6
    bundle = stored(panel)
    assert bundle["text/plain"].startswith("Choosing data: the flow [kept 50%]: The weak supervisor")


def test_every_box_holds_its_words(labels, scores):
    flow = drawing(room.selection_diagram(labels, scores, rule="a test"))
    root = sound(flow)
    drawn = {text.text for text in root.iter(f"{SVG}text")}
    assert {words for box in flow.boxes for words in box.words} <= drawn
    for box in flow.boxes:
        assert max(text_width(words, bold=not row) for row, words in enumerate(box.words)) <= box.width


def test_truth_may_be_unknown(labels, scores):
    from dataclasses import replace

    unknown = replace(labels, examples=tuple(replace(example, answer=None) for example in labels.examples))
    panel = room.selection_diagram(unknown, scores, rule="a test")
    assert drawing(panel).boxes[2].words[-1] == "truth unknown"


def test_a_registered_rule_needs_no_scores(labels):
    from dataclasses import replace

    sure = replace(labels, log_prob=-np.arange(float(len(labels))))
    panel = room.selection_diagram(sure, rule="likelihood", fraction=0.2)
    assert panel.view.says == room.selection_diagram(sure, sure.log_prob, rule="likelihood", fraction=0.2).view.says
    with pytest.raises(ValueError, match=r"no selection rule 'likelyhood'.*Did you mean 'likelihood'"):
        room.selection_diagram(sure, rule="likelyhood")


def test_errors(labels, scores):
    with pytest.raises(ValueError, match=r"fraction is 0\.33; expected one of"):
        room.selection_diagram(labels, scores, rule="a test", fraction=0.33)
    with pytest.raises(ValueError, match="10 of the 20 examples of kept"):
        flow(labels.take(range(30)), labels.take(range(20, 40)), labels.take([0]), rule="a test", models=("a", "b"))
