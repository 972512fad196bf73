"""A figure's words hold the numbers that it was drawn from, in a notebook they stand beside every picture."""

import importlib
import re

import matplotlib.pyplot as plt
import numpy as np
import pytest
from IPython.core.interactiveshell import InteractiveShell

from w2s_lab import classroom
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
