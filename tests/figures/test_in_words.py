"""A figure's words hold the numbers that it was drawn from, in a notebook they stand beside every picture."""

import importlib
import re
from datetime import date

import matplotlib.pyplot as plt
import numpy as np
import pytest
from IPython.core.interactiveshell import InteractiveShell

from w2s_lab import classroom
from w2s_lab.experiments.effects import paired_effect
from w2s_lab.figures import plots, study_plots
from w2s_lab.figures.in_words import figure_in_words
from w2s_lab.figures.plots import ROLE
from w2s_lab.metrics import mean_interval


@pytest.fixture(autouse=True)
def close_figures():
    yield
    plt.close("all")


def test_dots_are_told_by_name_with_their_interval():
    values = {"weak": [0.7, 0.72, 0.71], "student": [0.8, 0.84, 0.85]}
    said = figure_in_words(plots.role_dots(values, chance=0.5).figure)
    for role, seeds in values.items():
        one = mean_interval(seeds)
        assert f"{ROLE[role].name} {one.mean:.3g} [{one.low:.3g}, {one.high:.3g}]" in said
    assert "chance at 0.5" in said and "accuracy (fraction of test examples)" in said


def test_a_curve_is_told_by_its_ends_and_its_highest_point_and_seeds_are_left_out():
    curves = {
        "weak labels": (ROLE["student"], [[(0, 0.5), (100, 0.9), (200, 0.8)], [(0, 0.5), (100, 0.94), (200, 0.7)]])
    }
    lines = {"weak supervisor": (ROLE["weak"], 0.72)}
    said = figure_in_words(study_plots.seed_curves(curves, quantity="accuracy", lines=lines).figure)
    assert "weak labels (2 seeds) from 0.5 at 0 to 0.75 at 200, highest 0.92 at 100; weak supervisor at 0.72." in said
    assert said.startswith("accuracy against training examples seen") and said.count("from") == 1


def test_what_a_notebook_draws_by_hand_is_told_too():
    figure, (left, middle, right) = plt.subplots(1, 3)
    left.hist(np.repeat([1.0, 2.0, 3.0], [5, 20, 10]), 30, label="gains")
    left.axvline(2.5, label="the middle")
    middle.scatter([1, 2, 4], [-0.5, 0.5, 2000], label="runs")
    middle.set_title("two lines\nof a title")
    right.imshow(np.array([[0.25, np.nan], [0.5, 0.75]]))
    figure.suptitle("Three panels")
    said = figure_in_words(figure)
    assert said.startswith(
        "Three panels. Panel 1 of 3: gains: 35 in 30 bars, the highest near 2.03; the middle at 2.5."
    )
    assert "two lines; of a title: runs: 3 points, across from 1 to 4, up from \N{MINUS SIGN}0.5 to 2,000." in said
    assert said.endswith("Panel 3 of 3: 2 × 2 fields from 0.25 to 0.75.")
    assert figure_in_words(plt.figure()) == "An empty figure."


def test_every_row_of_a_list_with_headings_is_told_after_its_heading():
    effects = {
        heading: [paired_effect(name, [0.5 + gain, 0.75 + gain], [0.5, 0.75]) for name in ("soft", "half")]
        for heading, gain in (("all", 0.125), ("changed rule", 0.25))
    }
    said = figure_in_words(study_plots.effect_dots(effects, control_name="plain").figure)
    for heading, gain in (("all", 0.125), ("changed rule", 0.25)):
        for name in ("soft", "half"):
            assert f"{heading}, {name} {gain:.3g} [" in said


def test_no_bar_and_no_point_is_lost():
    figure, (groups, lying, curve, dots) = plt.subplots(1, 4)
    groups.bar([-0.2, 0.8], [0.5, 0.6], 0.4, label="hard")
    groups.bar([0.2, 1.2], [0.7, 0.8], 0.4, label="soft")
    groups.set_xticks([0, 1], ["a", "b"])
    lying.barh(["low", "high"], [0.25, 0.75])
    curve.errorbar([1, 2, 3], [0.5, 0.9, 0.7], [0.1, np.nan, 0.1], label="student")
    dots.errorbar([1, 2], [0.5, 0.25], [0.125, 0.125])
    said = figure_in_words(figure)
    assert "hard, a 0.5; hard, b 0.6; soft, a 0.7; soft, b 0.8." in said
    assert "low 0.25; high 0.75." in said
    assert "student from 0.5 at 1 to 0.7 at 3, highest 0.9 at 2." in said
    assert said.endswith("1 0.5 [0.375, 0.625]; 2 0.25 [0.125, 0.375].")


def test_dates_words_and_missing_numbers_are_no_obstacle():
    figure, (days, words, nothing) = plt.subplots(1, 3)
    days.plot([date(2020, 1, 1), date(2020, 1, 3)], [1, 2], label="runs")
    words.plot(["first", "last"], [0.5, 1.0], label="course")
    nothing.axhline(np.nan, label="undefined")
    said = figure_in_words(figure)
    assert "runs from 1 at 18,262 to 2 at 18,264." in said and "course from 0.5 at 0 to 1 at 1." in said
    assert said.endswith("Panel 3 of 3: nothing is drawn.")


def test_a_notebook_gets_the_words_as_text_and_as_alternative_text():
    shell = InteractiveShell.instance()
    try:
        importlib.reload(classroom)
        figure = plots.role_dots({"weak": [0.7]}).figure
        data, metadata = shell.display_formatter.format(figure)
    finally:
        InteractiveShell.clear_instance()
    assert data["text/plain"] == metadata["image/png"]["alt"] == figure_in_words(figure)
    assert not re.search("<Figure|object at", data["text/plain"])
