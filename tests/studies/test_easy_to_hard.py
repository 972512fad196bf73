"""The studies of easy and hard cases: by hand, in small from end to end, and what is said of their numbers."""

import json
from dataclasses import replace

import numpy as np
import pytest
from places import ROOT

from w2s_lab.data.sources import SplitSizes
from w2s_lab.experiments.procedure import Plan
from w2s_lab.recipe import Recipe
from w2s_lab.records import Evaluation, Example, LabelledSet, Splits, Task
from w2s_lab.studies import both_worlds, easy_to_hard, mechanism, real_probe, study
from w2s_lab.studies.easy_to_hard import ALL, EASY, MIXED, SUPERVISOR, WEAK, WORDS

RESULTS = ROOT / "data" / "results"
TASK = Task("t", ("no", "yes"))
STUDIES = {one.name: one for one in (easy_to_hard.STUDY, easy_to_hard.REAL_STUDY)}


def part(name: str, truth: str, kinds: str) -> LabelledSet:
    """One letter an example: n or y, and e for easy, h or k for two kinds of hard ones."""
    words, tags = {"n": "no", "y": "yes"}, {"e": "plain", "h": "hard", "k": "knotty"}
    pairs = enumerate(zip(truth, kinds, strict=True))
    return LabelledSet.ground_truth(
        TASK, [Example("?", f"{name} {i} {words[true]}", words[true], (tags[kind],)) for i, (true, kind) in pairs]
    )


def said(inputs: LabelledSet, letters: str) -> LabelledSet:
    answers = tuple({"n": "no", "y": "yes"}[letter] for letter in letters)
    return LabelledSet(TASK, inputs.examples, answers, source="by hand")


def cases() -> easy_to_hard.Cases:
    train, test = part("train", "nnyyny", "eheehe"), part("test", "nnyyyy", "eehhke")
    splits = Splits(part("own", "ny", "ee"), train, test, part("trusted", "nyny", "hehe"))
    labels, reference = said(train, "ynyynn"), said(test, "nynnny")
    tables = (np.arange(6.0)[:, None], np.arange(6.0)[:, None])
    return easy_to_hard.Cases(3, splits, labels, reference, easy_to_hard._plain, 3, *tables)


def test_what_each_student_learns():
    own = cases()
    found = {
        arm: ([one.input[6] for one in labels.examples], labels.label_accuracy) for arm, labels in own.given.items()
    }
    assert found == {
        EASY: (["0", "2", "3"], 1.0),
        MIXED: (["0", "1", "2"], 1.0),
        WEAK: (["0", "2", "3"], 2 / 3),
        ALL: (list("012345"), 1.0),
    }
    assert own.trusted(EASY) == own.trusted(WEAK) == own.splits.validation.take([1, 3]).ids
    assert own.trusted(MIXED) == own.trusted(ALL) == own.splits.validation.take([0, 1]).ids
    more = replace(own, learnt=5)
    with pytest.raises(ValueError, match="4 easy cases; expected 5"):
        assert more.given


def test_a_student_at_both_moments_by_hand():
    own = cases()
    examples = (*own.splits.test.examples, *own.splits.validation.examples)
    watch = LabelledSet.ground_truth(TASK, examples)

    def student(letters: str) -> Evaluation:
        return Evaluation(TASK, watch.ids, said(watch, letters).answers, watch.answers)

    # test n n y y y y (easy easy hard hard knotty easy), trusted n y n y (hard easy hard easy)
    course = [(1, student("nnnnyy" + "yyyn")), (2, student("nyyyyn" + "yyyy")), (3, student("nnyynn" + "nyny"))]
    row = easy_to_hard.student_row(own, EASY, own.given[EASY], course)
    assert (row["easy"], row["hard"], row["of hard"], row["of knotty"]) == pytest.approx((2 / 3, 2 / 3, 1, 0))
    assert row["chosen"] == 2  # the first of equals on the easy trusted examples
    assert (row["trusted_easy"], row["trusted_hard"], row["trusted_of knotty"]) == pytest.approx((1 / 3, 1, 1))
    assert np.array(row["curve"]) == pytest.approx(np.array([(1, 1, 1 / 3), (2, 1 / 3, 1), (3, 2 / 3, 2 / 3)]))
    assert easy_to_hard.student_row(own, MIXED, own.given[MIXED], course)["chosen"] == 3


def test_supervisor_words_and_guess_by_hand():
    supervisor, words = easy_to_hard.others(cases())
    assert (supervisor["arm"], supervisor["easy"], supervisor["hard"]) == (SUPERVISOR, pytest.approx(2 / 3), 0)
    assert supervisor["trusted_hard"] == 0 and supervisor["guess"] == 1  # every hard test example is yes
    assert words["arm"] == WORDS and words["hard"] == 1  # the answer is a word of the input


def test_the_claims_are_differences():
    sun, mixed, correction, cover = easy_to_hard.STUDY.claims
    rows = [
        {"arm": EASY, "seed": 0, "trusted_hard": 0.9, "hard": 0.8},
        {"arm": WORDS, "seed": 0, "trusted_hard": 0.4, "hard": 0.4},
        {"arm": MIXED, "seed": 0, "trusted_hard": 0.95, "hard": 0.96},
        {"arm": WEAK, "seed": 0, "trusted_hard": 0.7, "hard": 0.6, "trusted_easy": 0.99, "easy": 0.97},
        {"arm": SUPERVISOR, "seed": 0, "trusted_easy": 0.96, "easy": 0.96, "guess": 0.52},
    ]
    found = [(one.measure(rows).mean, one.at_end(rows).mean) for one in (sun, mixed, correction, cover)]
    assert found == [pytest.approx(one) for one in ((0.5, 0.4), (-0.05, -0.16), (0.03, 0.01), (0.18, 0.08))]


@pytest.mark.slow
@pytest.mark.parametrize("name", list(STUDIES))
def test_the_study_of_easy_cases_from_end_to_end(name, tmp_path, monkeypatch):
    monkeypatch.setattr(study, "run_jobs", lambda jobs, **options: {j.name: j.function(*j.arguments) for j in jobs})
    quick = Recipe(epochs=1, learning_rate=1e-3, eval_every=2)
    monkeypatch.setattr(mechanism, "PLAN", Plan("pocket-xs", "pocket-xs", Recipe(epochs=6), quick, "cpu"))
    tiny = SplitSizes(supervisor_train=64, student_train=128, test=120, validation=40)
    small = {"SIZES": tiny, "REAL_SIZES": tiny, "LEARNT": 48, "REAL_LEARNT": 24, "STEPS": 4, "EVERY": 2, "LAYER": 1}
    for attribute, value in small.items():
        monkeypatch.setattr(easy_to_hard, attribute, value)
    monkeypatch.setattr(easy_to_hard, "_clear_and_short", easy_to_hard._plain)
    for attribute, value in {"MODEL": "pocket-s", "TASK": "sentiment", "SUPERVISOR": "bag-of-words:60"}.items():
        monkeypatch.setattr(real_probe, attribute, value)
    real_probe.states_of.cache_clear()
    options = {"seeds": 2, "workers": 1, "store": str(tmp_path / "runs"), "output": tmp_path, "device": "cpu"}
    text, paths = study.run_study(STUDIES[name], **options)
    rows = json.loads(paths[0].read_text())["rows"]
    assert [path.name for path in paths] == [f"{name}.json", f"{name}.png"] and all(
        arm in text for arm in (EASY, WORDS)
    )
    for seed in (0, 1):
        own = [row for row in rows if row["seed"] == seed]
        assert sum(row["question"] == "students" for row in own) == 6
        bounds = [row for row in own if row["question"] == "expansion"]
        assert [row["answer"] for row in bounds] == ["positive", "negative"]
        for row in bounds:  # as many right labels as the supervisor gives
            assert row["good"] + row["bad"] + row["outside"] > 40
            assert row["label_error"] == pytest.approx(row["bad"] / (row["good"] + row["bad"]), abs=1e-4)
    real_probe.states_of.cache_clear()


# -- the page ----------------------------------------------------------------------------------------------------

SHOWN = ("trusted_easy", "trusted_hard", "easy", "hard")
BOUNDS = ("label_error", "good_to_bad", "correction_bound", "covered_error")
BOUNDS += ("hard_to_good", "hard_to_bad", "coverage_bound", "uncovered_error")


def rows_of(name: str, question: str) -> list[dict]:
    rows = json.loads((RESULTS / f"{name}.json").read_text())["rows"]
    return [row for row in rows if row["question"] == question]


def students_table(name: str) -> str:
    """A line for each student, and for the supervisor: means over seeds with intervals."""
    lines, rows = [], rows_of(name, "students")
    for arm in (*easy_to_hard.STUDENTS, WORDS, SUPERVISOR):
        own = study.select(rows, arm=arm)
        shown = [both_worlds._ended(study.mean_of(own, column)) for column in SHOWN]
        lines.append(f"| {arm} | {' | '.join(shown)} |")
    return "\n".join(lines)


def bounds_table() -> str:
    """A line for each world and true answer: means over the seeds in which a number is defined, and their number."""
    lines = []
    for one in STUDIES.values():
        rows = rows_of(one.name, "expansion")
        for answer in dict.fromkeys(row["answer"] for row in rows):
            own, cells = study.select(rows, answer=answer), []
            for name in BOUNDS:
                mean = study.mean_of(own, name)
                of = f" ({mean['n']} of {len(own)})" if mean["n"] < len(own) else ""
                cells.append("undefined" if mean["mean"] is None else f"{mean['mean']:.2f}{of}")
            lines.append(f"| {one.claims[0].world} | {answer} | {' | '.join(cells)} |")
    return "\n".join(lines)


def section() -> str:
    page = (ROOT / "docs" / "findings.md").read_text(encoding="utf-8")
    return page.partition("## Easy to hard")[2].partition("\n## ")[0]


def test_the_page_shows_what_easy_cases_teach():
    assert all(students_table(name) in section() for name in STUDIES) and bounds_table() in section()


def test_what_is_said_of_easy_and_hard_cases_is_in_the_rows():
    def mean(name: str, arm: str, column: str) -> dict:
        return study.mean_of(study.select(rows_of(name, "students"), arm=arm), column)

    def percent(name: str, arm: str, column: str) -> str:
        return f"{100 * mean(name, arm, column)['mean']:.0f} %"

    pocket, real = STUDIES
    said = [percent(pocket, arm, "hard") for arm in (EASY, WORDS, WEAK, SUPERVISOR)]
    said += [percent(pocket, arm, "trusted_easy") for arm in (WEAK, SUPERVISOR)]
    said += [percent(real, arm, "trusted_hard") for arm in (EASY, WORDS)]
    said += [percent(real, arm, "trusted_easy") for arm in (WEAK, SUPERVISOR)]
    assert said == ["96 %", "31 %", "89 %", "59 %", "99 %", "97 %", "80 %", "60 %", "89 %", "82 %"]
    assert all(number in section() for number in said)
    assert all(row["curve"][0][1] > 0.97 for row in study.select(rows_of(pocket, "students"), arm=EASY))
    lost = {
        kind: mean(pocket, EASY, f"of {kind}")["mean"] - mean(pocket, WEAK, f"of {kind}")["mean"]
        for kind in ("negated", "although", "but-overall", "reported-and-wrong", "double-negation")
    }
    assert max(lost, key=lost.get) == "double-negation"
    effects = [
        (one.measure(rows), one.at_end(rows))
        for rows, one in ((rows_of(name, "students"), STUDIES[name].claims[1]) for name in STUDIES)
    ]
    assert effects[0][0].high < 0 < effects[0][1].high  # pocket world: where trusted examples choose, not at the end
    assert -0.025 < effects[1][0].low < 0 < effects[1][0].high
    assert mean(real, EASY, "trusted_easy")["low"] > mean(real, MIXED, "trusted_easy")["high"]
    assert abs(mean(real, WEAK, "hard")["mean"] - mean(real, SUPERVISOR, "hard")["mean"]) < 0.01
    rows = rows_of(real, "expansion")
    promised = [
        row for row in rows if row["correction_bound"] is not None and row["correction_bound"] < row["label_error"]
    ]
    kept = [row for row in promised if row["covered_error"] < row["label_error"]]
    above = [row for row in rows if row["covered_error"] > row["correction_bound"]]
    assert (len(promised), len(kept), len(above), len(rows)) == (32, 26, 32, 40)
    undefined = [row for row in rows_of(pocket, "expansion") if row["coverage_bound"] is None]
    assert len(undefined) > 8 and all(
        0.8 < study.mean_of(rows_of(n, "expansion"), "good_to_bad")["mean"] < 1.1 for n in STUDIES
    )
