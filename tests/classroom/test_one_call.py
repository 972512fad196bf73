"""Charts in one call: what is drawn is what was given, intervals by their formula, figures of the shipped results."""

from math import sqrt

import pytest
from pictures import stored

from w2s_lab import classroom as room
from w2s_lab.classroom.toolkit.one_call import _FIGURES
from w2s_lab.figures.plots import ROLE
from w2s_lab.figures.study_plots import SERIES


def wilson(right: float, n: int) -> tuple[float, float]:
    z = 1.959964
    middle, half = right + z * z / (2 * n), z * sqrt(right * (1 - right) / n + z * z / (4 * n * n))
    return (middle - half) / (1 + z * z / n), (middle + half) / (1 + z * z / n)


def test_bars_take_numbers_fractions_and_intervals():
    run = {"mean": 0.5, "low": 0.4, "high": 0.6, "n": 3}
    values = {"number": 0.2, "of 40": (0.75, 40), "mean": (0.3, 0.1, 0.4), "study": run, "none": None}
    chart = room.bars("fraction", values, marks={"a coin": 0.5})
    ends = {bar.label: (bar.value, bar.low, bar.high) for bar in chart.bars}
    assert ends.pop("of 40") == pytest.approx((0.75, *wilson(0.75, 40)), abs=1e-4)
    assert ends == {
        "number": (0.2, None, None), "mean": (0.3, 0.1, 0.4), "study": (0.5, 0.4, 0.6), "none": (None, None, None),
    }  # fmt: skip
    assert [(mark.text, mark.at) for mark in chart.marks] == [("a coin", 0.5)] and chart.x_range == (0.0, 1.0)
    assert "of 40 0.750" in stored(chart)["text/plain"] and "none undefined" in stored(chart)["text/plain"]


def test_the_axis_of_bars_holds_them_all():
    assert room.bars("nats", {"a": 20.0, "b": 3.0}).x_range == pytest.approx((0.0, 22.0))
    assert room.bars("gain", {"a": (-0.2, -0.5, 0.1)}).x_range == pytest.approx((-0.55, 1.0))


def test_each_bar_and_each_line_has_its_role():
    bars = room.bars("fraction", {"a": 0.1, "b": 0.2}, role=["weak", "same"]).bars
    assert [bar.style for bar in bars] == [ROLE["weak"], ROLE["same"]]
    curves = {"a": [0.1, 0.2], "b": [0.3, None]}
    named, others = (room.lines(("step", [1, 2]), "y", curves, role=role).series for role in (["weak", "truth"], ""))
    assert [one.style for one in named] == [ROLE["weak"], ROLE["truth"]]
    assert [one.style for one in others] == list(SERIES[:2])
    for call, words in ((room.bars, "bars: 1 roles for 2 bars"), (room.lines, "lines: 1 roles for 2 curves")):
        with pytest.raises(ValueError, match=words):
            given = ("fraction",) if call is room.bars else (("step", [1, 2]), "y")
            call(*given, curves if call is room.lines else {"a": 0.1, "b": 0.2}, role=["weak"])


def test_lines_have_their_marks_and_their_words():
    chart = room.lines(("step", [0, 8]), "accuracy", {"mine": [0.5, 0.9]}, across={"coin": 0.5}, up={"best": 8})
    assert [(mark.text, mark.at, mark.across) for mark in chart.marks] == [("coin", 0.5, True), ("best", 8, False)]
    assert [(list(one.x), list(one.y)) for one in chart.series] == [([0, 8], [0.5, 0.9])]
    assert "mine from 0.5 to 0.9" in stored(chart)["text/plain"]


def test_a_study_figure_has_the_points_of_its_study():
    rows = room.measured("losses")["rows"]
    (axes,) = room.study_figure("agreement and accuracy").axes
    drawn = {(x, y) for line in axes.get_lines()[:-1] for x, y in zip(*line.get_data(), strict=True)}
    assert drawn == {(row["agreement"][-1], row["end"]) for row in rows if row["answers"] == "weak labels"}
    (axes,) = room.study_figure("when to stop").axes
    names = [text.get_text() for text in axes.get_xticklabels()]
    assert names == ["weak labels,\nbest", "weak labels,\ntrusted", "weak labels,\nend", "random errors,\nend"]


def test_every_question_has_a_figure_and_another_one_is_refused():
    assert all(room.study_figure(question).axes for question in _FIGURES)
    with pytest.raises(ValueError, match="there is no 'tilt'; expected one of when to stop, when it begins"):
        room.study_figure("tilt")
