"""Bars of how many are right: the fractions, and Wilson's interval by its formula."""

from math import sqrt

import pytest
from pictures import stored

from w2s_lab import classroom as room
from w2s_lab.records import LabelledSet
from w2s_lab.training.evaluation import score


@pytest.fixture
def spoilt(closed_set):
    """40 labels, every fourth of them wrong."""
    truth = closed_set.take(range(40))
    others = truth.task.answers
    wrong = [others[(others.index(a) + 1) % len(others)] if i % 4 == 0 else a for i, a in enumerate(truth.answers)]
    return score(LabelledSet(truth.task, truth.examples, tuple(wrong), source="weak labels of a test"))


def wilson(right: float, n: int) -> tuple[float, float]:
    z = 1.959964
    middle, half = right + z * z / (2 * n), z * sqrt(right * (1 - right) / n + z * z / (4 * n * n))
    return (middle - half) / (1 + z * z / n), (middle + half) / (1 + z * z / n)


def test_right_bars_have_the_accuracy_and_its_interval(spoilt):
    chart = room.right_bars({"all": spoilt})
    (bar,) = chart.bars
    assert (bar.label, bar.value) == ("all", 0.75)
    assert (bar.low, bar.high) == pytest.approx(wilson(0.75, 40), abs=1e-4)
    assert "all 0.750" in stored(chart)["text/plain"]


def test_slice_bars_rise_and_count(spoilt):
    bars, slices = room.slice_bars(spoilt).bars, spoilt.by_slice()
    assert [bar.value for bar in bars] == sorted(right for right, _ in slices.values())
    assert {bar.label for bar in bars} == {f"{tag} ({n})" for tag, (_, n) in slices.items()}
