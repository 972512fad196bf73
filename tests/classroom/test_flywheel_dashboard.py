"""The flywheel's dials, its dashboard and its diagram, against plain computations from the study's rows."""

from dataclasses import replace
from statistics import fmean

import pytest
from pictures import SVG, sound, stored

from w2s_lab.classroom.dashboards import flywheel_health
from w2s_lab.classroom.dashboards.flywheel_dashboard import ALL, MEAN, flywheel_dashboard
from w2s_lab.classroom.dashboards.flywheel_diagram import flywheel_diagram
from w2s_lab.classroom.dashboards.flywheel_health import DIALS, HealthDial, diagnosis, live_round, study_rounds
from w2s_lab.classroom.toolkit.measured import measured
from w2s_lab.methods.flywheel import Round
from w2s_lab.records import Evaluation, Example, LabelledSet, Task

STUDY = measured("flywheel")
TASK = Task("fruit", ("good", "bad"))
QUIET = {dial.key: value for dial, value in zip(DIALS, (0.8, 0.99, 0.9, 0.05, 0.3, 2.0), strict=True)}


def fruit(*texts: str) -> LabelledSet:
    return LabelledSet.ground_truth(TASK, [Example("Good?", text, text.split()[0]) for text in texts])


def turned(number: int, right: int, proposed: tuple[str, ...] = (), accepted: LabelledSet | None = None) -> Round:
    truth = ("good", "bad") * 5
    said = tuple(t if i < right else TASK.answers[t == "good"] for i, t in enumerate(truth))
    found = Evaluation(TASK, tuple(map(str, range(10))), said, truth)
    removed = {"invalid": 1, "unsure": 1} if proposed else {}
    health = {"fraction_valid": 0.75, "duplicate_rate": 0.25} if proposed else {}
    return Round(number, found, 2.0 + number, fruit("good plum", "bad pear"), proposed, accepted, removed, **health)


PROPOSED = ("good fig", "good fig", "good kiwi", "nonsense")
LIVE = [turned(0, 9), turned(1, 6, PROPOSED, fruit("good fig", "good kiwi"))]


# -- the dials -------------------------------------------------------------------------------------------------------


def test_rounds_of_a_study_are_means_over_the_seeds_that_have_a_value():
    rows = [row for row in STUDY["rows"] if row["configuration"] == "healthy" and row["round"] == 2]
    values = [row["label_accuracy"] for row in rows if row["label_accuracy"] is not None]
    assert 0 < len(values) < len(rows)  # a seed in which nothing was accepted
    assert study_rounds(STUDY, "healthy")[2]["label_accuracy"] == pytest.approx(fmean(values))
    assert study_rounds(STUDY, "healthy", 1)[2]["accuracy"] == next(r["accuracy"] for r in rows if r["seed"] == 1)
    assert study_rounds(STUDY, "healthy")[0]["duplicate_rate"] is None


@pytest.mark.parametrize(("name", "seed", "words"), [("sick", None, "'sick'; expected"), ("healthy", 99, "seed 99")])
def test_what_was_not_measured_is_said(name, seed, words):
    with pytest.raises(ValueError, match=words):
        study_rounds(STUDY, name, seed)


def test_a_dial_is_red_beyond_its_limit_absolute_or_against_round_0():
    rounds = [QUIET, QUIET | {"accuracy": 0.7, "perplexity": 2.2}, QUIET | {"accuracy": 0.76, "perplexity": 2.05}]
    accuracy = HealthDial("accuracy", "", -0.05, "below", against="minus")
    perplexity = HealthDial("perplexity", "", 1.05, "above", against="times")
    assert accuracy.at(rounds) == pytest.approx(0.75) and perplexity.at(rounds) == pytest.approx(2.1)
    assert [accuracy.is_red(rounds, n) for n in range(3)] == [False, True, False]
    assert [perplexity.is_red(rounds, n) for n in range(3)] == [False, True, False]
    assert HealthDial("accuracy", "", 0.7, "below").is_red(rounds, 1) is False  # at the limit it is not red
    assert accuracy.is_red([{"accuracy": None}], 0) is None


def test_red_since_looks_back_to_the_first_round_without_a_break():
    dial = HealthDial("distinct_2", "", 0.25, "below")
    rounds = [{"distinct_2": value} for value in (None, 0.2, 0.3, 0.2, 0.1)]
    assert [dial.red_since(rounds, n) for n in range(5)] == [None, 1, None, 3, 3]


def test_the_shipped_healthy_runs_have_no_red_dial_and_the_degrading_one_has_only_red_ones():
    for name in ("healthy", "temperature 1, answers checked, seed kept"):
        assert "No dial is red" in diagnosis(study_rounds(STUDY, name))
    last = study_rounds(STUDY, "degrading")
    assert all(dial.is_red(last, 4) for dial in DIALS)


def test_a_diagnosis_names_the_red_dials_their_rounds_and_what_they_mean():
    rounds = [QUIET | {"accepted": 0}, QUIET | {"distinct_2": 0.2, "accepted": 9}]
    rounds.append(QUIET | {"distinct_2": 0.1, "answer_balance": 0.3, "accepted": 9})
    assert diagnosis(rounds, 0).startswith("The seed pool alone")
    assert diagnosis(rounds, 1) == "Red since round 1: distinct-2 0.20. That is, the proposals become narrower."
    said = diagnosis(rounds)
    assert said.startswith("Red since round 1: distinct-2 0.10; since round 2: answer balance 0.30.")
    assert said.endswith("narrower and the labels drift.")
    assert "stands still" in diagnosis([QUIET, QUIET | {"accepted": 0}])


def test_a_live_round_has_what_the_dials_read():
    row = live_round(LIVE[1])
    assert row["accuracy"] == 0.6 and row["duplicate_rate"] == 0.25 and row["answer_balance"] == 0.0
    assert live_round(LIVE[0])["answer_balance"] is None
    assert {dial.key for dial in DIALS} <= row.keys()


# -- the dashboard ---------------------------------------------------------------------------------------------------


def test_controls_lead_to_what_the_study_found():
    panel = flywheel_dashboard(STUDY).set(run="temperature 1", round=3)
    rounds = study_rounds(STUDY, "temperature 1")
    assert panel.view.says == f"temperature 1, mean of 8 seeds, round 3 of 4. {diagnosis(rounds, 3)}"
    before = panel.view.charts[0].svg()
    panel.set(seed=1, round=1)
    assert f"seed 1, round 1 of 4. {diagnosis(study_rounds(STUDY, 'temperature 1', 1), 1)}" in panel.view.says
    assert panel.view.charts[0].svg() != before
    panel.set(seed=MEAN, show="duplicate_rate")
    chart = panel.view.charts[0]
    own = next(series for series in chart.series if series.name == "temperature 1")
    assert list(own.y) == [row["duplicate_rate"] for row in rounds]
    assert [mark.at for mark in chart.marks] == [1, 0.15] and chart.y_label.startswith("duplicate rate (")
    assert sum(series.faint for series in chart.series) == 8


def test_the_settings_of_a_run_are_below_its_picture():
    panel = flywheel_dashboard(STUDY, run="healthy")
    cells = dict(zip(*[iter(panel.view.html.replace("</td>", "").split("<td")[1:])] * 2, strict=True))
    settings = {key.rpartition(">")[2]: value.partition(">")[2].partition("<")[0] for key, value in cells.items()}
    assert settings["temperature of the sampling"] == "1" and settings["who answers"] == "supervisor"
    assert settings["the pool keeps the seed examples"] == "yes"


def test_a_live_run_shows_its_most_frequent_texts():
    panel = flywheel_dashboard(STUDY, live={"mine": LIVE}, run="mine")
    assert panel.view.says.startswith("mine, round 1 of 1. Red since round 1: test accuracy 0.60")
    assert "2 ×" in panel.view.html and "good fig" in panel.view.html and "refused" in panel.view.html
    panel.set(round=0)
    assert "nothing was proposed" in panel.view.html
    panel.set(show="perplexity", run="degrading", round=4).set(run="mine")  # no further than this run goes
    assert "round 1 of 1" in panel.view.says and panel.controls["round"].options == (0, 1)


def test_a_dial_without_a_value_says_so():
    panel = flywheel_dashboard(STUDY, run="healthy").set(seed=0, round=2, show=ALL)
    assert "no value" in panel.view.charts[0].svg() and "stands still" in panel.view.says


def test_stored_it_is_a_picture_and_words():
    panel = flywheel_dashboard(STUDY)
    found = stored(panel)
    assert found["text/plain"].startswith("Flywheel dashboard [run degrading, seed mean of all seeds")
    with pytest.raises(ValueError, match="no control 'speed'"):
        panel.set(speed=1)


# -- the diagram -----------------------------------------------------------------------------------------------------


def test_the_diagram_counts_what_became_of_the_proposals():
    flow = flywheel_diagram(LIVE[1], labeller="student")
    words = {box.words[0]: box.words[1:] for box in flow.boxes}
    assert words["generator"] == ("4 proposals",)
    assert words["filters on texts"] == ("1 removed", "3 left")
    assert words["labeller"] == ("the student", "3 answers ŷ")
    assert words["filters on answers"] == ("1 removed", "2 accepted")
    assert "4 texts, filters on texts remove 1, the student answers 3" in flow.said
    assert {text.text for text in sound(flow).iter(f"{SVG}text")} >= {line for box in flow.boxes for line in box.words}
    assert stored(flow)["text/plain"] == flow.said
    with pytest.raises(ValueError, match="round 0 has no proposals"):
        flywheel_diagram(LIVE[0])


def test_every_filter_of_the_flywheel_is_on_one_side_of_the_labeller():
    known = {name.removeprefix("removed: ") for row in STUDY["rows"] for name in row if name.startswith("removed: ")}
    texts = {"test input", "invalid", "repeated", "near duplicate"}
    assert known - texts == {"unsure", "out of balance"}
    one = replace(LIVE[1], removed=dict.fromkeys(texts, 0) | {"unsure": 2})
    assert flywheel_diagram(one).boxes[1].words[1] == "0 removed"


# -- the shipped studies ---------------------------------------------------------------------------------------------


def test_a_study_is_read_afresh_and_a_wrong_name_is_told():
    first = measured("flywheel")
    first["rows"].clear()
    assert measured("flywheel")["rows"]
    with pytest.raises(ValueError, match=r"no study 'nonsense'.*flywheel"):
        measured("nonsense")


def test_units_and_dials_belong_together():
    assert flywheel_health.UNITS.keys() == {dial.key for dial in DIALS}
