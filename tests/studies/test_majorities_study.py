"""The study of majorities: its measures by hand, and both worlds in small."""

import json

import numpy as np
import pytest
from places import ROOT

from w2s_lab.data.sources import SplitSizes
from w2s_lab.experiments.procedure import Plan
from w2s_lab.recipe import Recipe
from w2s_lab.records import Evaluation, Example, LabelledSet, Task
from w2s_lab.studies import both_worlds, majorities, mechanism, real_probe, study

RESULTS = ROOT / "data" / "results"
TASK = Task("t", ("no", "yes"))
TINY = SplitSizes(supervisor_train=64, student_train=64, test=40, validation=20)


def examples(name: str, truth: str, tags: str) -> tuple[Example, ...]:
    """One letter an example: n or y, and the tag."""
    words = {"n": "no", "y": "yes"}
    pairs = enumerate(zip(truth, tags, strict=True))
    return tuple(Example("?", f"{name}{i}", words[true], (tag,)) for i, (true, tag) in pairs)


def answers(said: str) -> tuple[str, ...]:
    return tuple({"n": "no", "y": "yes"}[letter] for letter in said)


def subject() -> majorities.Subject:
    """Six labels at 0, 1, 2 and 10, 11, 12; the majority of the first three is no, of the last three yes."""
    test = LabelledSet.ground_truth(TASK, examples("test", "nnyy", "abab"))

    def student(said: str) -> Evaluation:
        return Evaluation(TASK, test.ids, answers(said), test.answers)

    return majorities.Subject(
        seed=3,
        labels=LabelledSet(TASK, examples("train", "nnnyyn", "aabbab"), answers("ynnyyn")),
        table=np.array([[0.0], [1], [2], [10], [11], [12.0]]),
        test=test,
        of=np.array([[0.2], [1.9], [10.1], [12.3]]),
        reference=LabelledSet(TASK, test.examples, answers("ynyn")),
        students={"early": student("nnyy"), "late": student("ynyn")},
        known={"tag": lambda example: example.tags[0]},
    )


@pytest.fixture
def few(monkeypatch):
    small = {"NEIGHBOURS": (1, 3), "CLUSTERS": (2,), "WIDE": "3 neighbours", "NARROW": "1 neighbour"}
    for name, value in small.items():
        monkeypatch.setattr(majorities, name, value)


def test_predicted_and_measured_by_hand(few):
    rows = majorities.predicted_and_measured(subject())
    cells = {row["cells"]: row for row in rows if row["question"] == "cells"}
    assert list(cells) == ["1 neighbour", "3 neighbours", "2 clusters", "tag", majorities.OWN, majorities.TRUTH]
    assert [cells[name]["size"] for name in ("1 neighbour", "3 neighbours", "2 clusters", "tag")] == [1, 3, 2, 2]
    for name in ("3 neighbours", "2 clusters"):  # no no yes yes: right, as the early student
        row = cells[name]
        assert (row["predicted"], row["best"], row["predicted_imitation"]) == (1, 1, 0)
        assert (row["agreement_early"], row["agreement_late"]) == (1, 0.5)
        assert (row["consistency_early"], row["consistency_late"]) == (None, 0)
        assert (row["slice_error_early"], row["slice_error_late"]) == (0, 0.5)  # late: a 0.5, b 0.5
    row = cells["1 neighbour"]  # yes no yes no: the label beside each, as the late student
    assert (row["predicted"], row["predicted_imitation"], row["agreement_late"]) == (0.5, 1, 1)
    assert row["consistency_late"] == 1
    assert row["best"] == 0.75  # the truth beside the last one is no
    tied = cells["tag"]  # a: yes no yes, b: no yes no
    assert (tied["predicted"], tied["agreement_early"], tied["agreement_late"]) == (0.5, 0.5, 1)
    assert cells[majorities.OWN]["predicted"] == row["weak"] == row["late"] == 0.5
    assert cells[majorities.TRUTH]["predicted"] == row["early"] == 1
    slices = [row for row in rows if row["question"] == "slices" and row["cells"] == "1 neighbour"]
    assert [(row["slice"], row["examples"], row["predicted"], row["early"]) for row in slices] == [
        ("a", 2, 0.5, 1.0),
        ("b", 2, 0.5, 1.0),
    ]


def test_the_claims_are_differences_by_seed():
    wide, narrow = majorities.STUDY.claims
    shared = {"question": "cells", "weak": 0.75, "consistency_early": 0.1}
    rows = [
        {"cells": name, "seed": seed, "predicted": right + seed, "consistency_late": late, **shared}
        for name, right, late in (("405 neighbours", 0.9, 0.2), ("5 neighbours", 0.1, 0.9), ("1 neighbour", 0.2, 0.8))
        for seed in (0, 1)
    ]
    rows += [row | {"question": "slices", "predicted": 0.0} for row in rows]
    assert wide.measure(rows).mean == pytest.approx(0.9 + 0.5 - 0.75)
    assert narrow.measure(rows).mean == pytest.approx(0.9 - 0.1)


def test_the_cells_of_a_review_are_read_from_its_text():
    review = Example("?", "The plot is not good and the acting was not superb.", "negative")
    found = {name: cell_of(review) for name, cell_of in majorities.POCKET_CELLS.items()}
    assert found["verdict"] == "negative" and found["construction"] == "negated"
    assert found["construction and word"] == ("negated", "superb")
    with pytest.raises(ValueError, match="no review"):
        majorities.POCKET_CELLS["verdict"](Example("?", "Hello."))


@pytest.mark.slow
@pytest.mark.parametrize("name", ["majorities", "real-majorities"])
def test_the_study_of_majorities_from_end_to_end(name, few, tmp_path, monkeypatch):
    monkeypatch.setattr(study, "run_jobs", lambda jobs, **options: {j.name: j.function(*j.arguments) for j in jobs})
    quick = Recipe(epochs=1, learning_rate=1e-3, eval_every=2)
    monkeypatch.setattr(mechanism, "PLAN", Plan("pocket-xs", "pocket-xs", Recipe(epochs=6), quick, "cpu"))
    for module in (majorities, real_probe):
        monkeypatch.setattr(module, "SIZES", TINY)
    for attribute, value in {"MODEL": "pocket-s", "TASK": "sentiment", "SUPERVISOR": "bag-of-words:30"}.items():
        monkeypatch.setattr(real_probe, attribute, value)
    monkeypatch.setattr(majorities, "LAYER", 1)
    real_probe.states_of.cache_clear()
    options = {"seeds": 2, "workers": 1, "store": str(tmp_path / "runs"), "output": tmp_path, "device": "cpu"}
    text, paths = study.run_study(study_of(name), **options)
    rows = json.loads(paths[0].read_text())["rows"]
    assert {row["seed"] for row in rows} == {0, 1} and [path.name for path in paths] == [f"{name}.json", f"{name}.png"]
    own = [row for row in rows if row["question"] == "cells" and row["cells"] == majorities.OWN]
    assert all(row["predicted"] == row["weak"] and row["best"] == 1 for row in own)
    assert all(word in text for word in ("3 neighbours", "2 clusters", majorities.TRUTH))
    real_probe.states_of.cache_clear()


def study_of(name: str) -> study.Study:
    return {one.name: one for one in (majorities.STUDY, majorities.REAL_STUDY)}[name]


SHOWN = ("predicted", "best", "agreement_early", "agreement_late", "consistency_early", "consistency_late")


def lines_of(name: str) -> list[str]:
    """The table of a world in docs/findings.md: a line for each kind of cells, means over seeds, with two intervals."""
    rows = [row for row in json.loads((RESULTS / f"{name}.json").read_text())["rows"] if row["question"] == "cells"]
    lines = []
    for cells in dict.fromkeys(row["cells"] for row in rows):
        means = {column: study.mean_of(study.select(rows, cells=cells), column) for column in SHOWN}
        shown = [both_worlds._ended(means[c]) if c in ENDED else f"{means[c]['mean']:.2f}" for c in SHOWN]
        lines.append(f"| {cells} | {' | '.join(shown)} |")
    return lines


ENDED = ("predicted", "consistency_late")


@pytest.mark.parametrize("name", ["majorities", "real-majorities"])
def test_the_page_shows_what_was_measured(name):
    page = (ROOT / "docs" / "findings.md").read_text(encoding="utf-8")
    assert len(lines_of(name)) >= 14 and "\n".join(lines_of(name)) in page


def test_what_is_said_of_the_numbers_is_in_the_rows():
    """The sentences of docs/findings.md and the reasons of the claims, looked up once more."""

    def mean(name: str, cells: str, column: str) -> float:
        rows = json.loads((RESULTS / f"{name}.json").read_text())["rows"]
        return study.mean_of(study.select(rows, question="cells", cells=cells), column)["mean"]

    def gain(name: str, cells: str) -> float:
        return mean(name, cells, "predicted") - mean(name, cells, "weak")

    pocket, real = "majorities", "real-majorities"
    assert all(-0.02 < gain(pocket, f"{k} clusters") < 0 for k in majorities.CLUSTERS)
    kinds = [f"{k} neighbours" for k in majorities.NEIGHBOURS[1:]] + list(majorities.POCKET_CELLS)
    assert all(mean(pocket, cells, "consistency_early") < 0.25 for cells in kinds)
    rows = json.loads((RESULTS / "majorities.json").read_text())["rows"]
    negated = study.select(rows, question="slices", slice="negated", cells=majorities.NARROW)
    said = [f"{100 * study.mean_of(negated, column)['mean']:.0f} %" for column in ("predicted", "late")]
    said += [f"{100 * mean(pocket, majorities.WIDE, column):.0f} %" for column in ("weak", "predicted")]
    said += [f"{100 * mean(real, majorities.WIDE, 'best'):.0f} %"]
    section = (ROOT / "docs" / "findings.md").read_text(encoding="utf-8").partition("## When a majority")[2]
    assert said == ["43 %", "44 %", "80 %", "89 %", "82 %"]
    assert all(number in section.partition("\n## ")[0] for number in said)
    assert mean(pocket, majorities.OWN, "consistency_late") - mean(pocket, majorities.NARROW, "consistency_late") < 0.03
    assert all(0.02 < gain(real, f"{k} neighbours") < 0.03 for k in (45, 135)) and gain(real, majorities.WIDE) < 0.01
    assert all(gain(real, f"{k} clusters") < -0.05 for k in majorities.CLUSTERS)
    for k in majorities.NEIGHBOURS[1:]:
        early, late = (mean(real, f"{k} neighbours", f"consistency_{moment}") for moment in ("early", "late"))
        assert early > late + 0.1
    assert (
        mean(real, majorities.WIDE, "early") > mean(real, majorities.WIDE, "weak") > mean(real, majorities.WIDE, "late")
    )
