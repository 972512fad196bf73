"""The probe explorer: its paths are the package's probes, its ceiling is one for all, and the panel follows."""

import numpy as np
import pytest
from pictures import stored

from w2s_lab import classroom as room
from w2s_lab import metrics
from w2s_lab.classroom.dashboards.probe_explorer import (
    ERRORS,
    READING,
    STRENGTHS,
    ProbeLab,
    fit_path,
    probe_explorer,
)
from w2s_lab.methods import probe
from w2s_lab.methods.simulated import random_errors
from w2s_lab.records import Example, LabelledSet, Task

TASK = Task("sentiment", ("negative", "positive"))
N, M, D = 200, 150, 24


def world(n: int, seed: int) -> tuple[LabelledSet, np.ndarray]:
    """Examples whose features tell the truth with some noise."""
    rng = np.random.default_rng(seed)
    truth = rng.integers(0, 2, n)
    examples = [Example("?", f"{seed}-{i}", TASK.answers[t]) for i, t in enumerate(truth)]
    features = rng.normal(size=(n, D))
    features[:, 0] += 1.5 * (2 * truth - 1)
    return LabelledSet.ground_truth(TASK, examples), features.astype(np.float32)


(TRAIN, FEATURES), (TEST, TEST_FEATURES) = world(N, 1), world(M, 2)
LABELS = {n: tuple(random_errors(one, right, seed=n) for one in (TRAIN, TEST)) for n, right in ((50, 0.6), (500, 0.8))}
STATES = {
    "with": {1: (FEATURES[:, ::-1] * 3 + 2, TEST_FEATURES[:, ::-1] * 3 + 2), 2: (FEATURES, TEST_FEATURES)},
    "without": {2: (FEATURES + 0.5, TEST_FEATURES)},
}


@pytest.fixture(scope="module")
def lab() -> ProbeLab:
    return ProbeLab(STATES, LABELS, seed=3)


@pytest.fixture
def panel():
    return probe_explorer(STATES, LABELS, layer=2, seed=3)


@pytest.mark.parametrize("errors", ERRORS)
def test_a_path_is_the_package_s_probes(lab, errors):
    labels, reference = LABELS[500]
    given = {"weak": labels, "random": random_errors(TRAIN, labels.label_accuracy, seed=3), "truth": TRAIN}[errors]
    path = lab.path(errors, 500, "with", 2)
    assert [one.C for one in path] == list(STRENGTHS)
    for one in path:
        fitted = probe.fit_probe(FEATURES, given, C=one.C)
        said, again = (probe.predict(fitted, *pair) for pair in ((TEST_FEATURES, TEST), (FEATURES, TRAIN)))
        assert one.accuracy == pytest.approx(said.label_accuracy, abs=1.5 / M)
        assert one.agreement == pytest.approx(metrics.accuracy(said.answers, reference.answers), abs=1.5 / M)
        wanted = metrics.imitation(said.answers, reference.answers, TEST.answers)
        assert one.imitation == pytest.approx(wanted, abs=2 / 30)
        wanted = metrics.imitation(again.answers, given.answers, TRAIN.answers)
        assert (one.memorised is None) == (wanted is None) == (errors == "truth")
        assert wanted is None or one.memorised == pytest.approx(wanted, abs=2 / 40)


def test_the_coefficients_are_those_of_the_package():
    standard = (FEATURES - FEATURES.mean(0)) / FEATURES.std(0)
    positive = np.array([answer == "positive" for answer in TRAIN.answers])
    for C, weights in zip(STRENGTHS, fit_path(standard.astype(float), positive), strict=True):
        wanted = probe.fit_probe(FEATURES, TRAIN, C=C)
        assert weights[:-1] == pytest.approx(wanted.coef[1], abs=0.02)
        assert weights[-1] == pytest.approx(wanted.intercept[1], abs=0.02)


def test_the_ceiling_does_not_depend_on_the_supervisor(lab):
    few, many = (lab.path("truth", amount, "with", 2) for amount in LABELS)
    assert [one.accuracy for one in few] == [one.accuracy for one in many]
    assert [one.agreement for one in few] != [one.agreement for one in many]


def test_every_move_shows_what_a_path_says(panel, lab):
    for moved in (
        {"true_answers": 50, "learns": "random", "layer": 1, "instruction": "with", "C": 1e-2},
        {"true_answers": 500, "learns": "weak", "layer": 2, "instruction": "without", "C": 3e-2},
    ):
        panel.set(**moved)
        at = (moved["true_answers"], moved["instruction"], moved["layer"])
        own, ceiling = (
            next(one for one in lab.path(errors, *at) if moved["C"] == one.C) for errors in (moved["learns"], "truth")
        )
        weak, says, chart = lab.weak(at[0]), panel.view.says, panel.view.charts[0]
        assert f"weak {weak:.3f}, student {own.accuracy:.3f}, ceiling {ceiling.accuracy:.3f}" in says
        assert f"PGR {metrics.pgr(weak, own.accuracy, ceiling.accuracy):.2f}" in says
        assert f"repeats {own.imitation:.3f} of" in says and f"layer {at[2]}" in panel.summary
        assert [(mark.at, mark.across) for mark in chart.marks] == [(weak, True), (moved["C"], False)]
        drawn = {series.style.name: (series.faint, series.y) for series in chart.series}
        assert len(drawn) == 3 and sum(faint for faint, _ in drawn.values()) == 1
        assert f"{own.accuracy:.3f}" in panel.view.html


def test_features_that_are_missing_are_said(panel):
    panel.set(layer=1, instruction="without")
    assert "no features of layer 1" in panel.view.says and panel.view.charts == ()
    panel.set(layer=2)
    assert panel.view.charts


def test_a_wording_is_read_when_it_is_first_chosen(panel):
    """Words and a bar say so meanwhile; it is read once, and then the pictures are the same."""
    heard = []

    def read(report):
        report(150, 200)
        heard.append(lazy.children[-1].value)
        return STATES["without"]

    lazy = probe_explorer({"with": STATES["with"], "without": read}, LABELS, layer=2, seed=3)
    assert not heard
    for C in STRENGTHS[:2]:
        assert lazy.set(instruction="without", C=C).view.says == panel.set(instruction="without", C=C).view.says
        assert lazy.children[-1].value == panel.children[-1].value
    assert len(heard) == 1 and READING in heard[0] and '<progress aria-label="done" value="0.8"' in heard[0]


def test_a_wording_of_other_examples_is_refused_when_it_is_read():
    lab = ProbeLab({"with": STATES["with"], "without": lambda report: {2: (TEST_FEATURES, FEATURES)}}, LABELS)
    assert not lab.knows("without") and not lab.has("without", 2)
    with pytest.raises(ValueError, match="expected 200 and 150"):
        lab.read("without")
    assert not lab.knows("without")


def test_without_a_gap_the_pgr_is_undefined():
    perfect = {100: (TRAIN, TEST)}
    panel = room.probe_explorer({"with": {1: STATES["with"][1]}}, perfect)
    assert "the PGR is undefined" in panel.view.says and "repeats undefined" in panel.view.says


def test_it_is_seen_and_read_without_a_kernel(panel):
    assert panel.view.says in stored(panel)["text/plain"]


def test_what_does_not_fit_is_refused():
    for states, labels in (({}, LABELS), (STATES, {}), ({"with": {}}, LABELS)):
        with pytest.raises(ValueError, match="expected at least one of each"):
            ProbeLab(states, labels)
    with pytest.raises(ValueError, match="expected 200 and 150"):
        ProbeLab({"with": {1: (FEATURES[1:], TEST_FEATURES)}}, LABELS)
    three = Task("three", ("a", "b", "c"))
    sets = tuple(LabelledSet.ground_truth(three, [Example("?", f"{n}", "a")]) for n in "xy")
    with pytest.raises(ValueError, match="does not have two answers"):
        ProbeLab({"with": {1: (FEATURES[:1], FEATURES[:1])}}, {5: sets})
    lab = ProbeLab(STATES, LABELS)
    with pytest.raises(ValueError, match="expected one of weak, random, truth"):
        lab.path("soft", 50, "with", 1)
    with pytest.raises(ValueError, match="no features of layer 1"):
        lab.path("weak", 50, "without", 1)
