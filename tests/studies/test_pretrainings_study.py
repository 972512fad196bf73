"""The study of several pre-trainings: its effects by hand, itself in small, and what the page says of its numbers."""

import json
from dataclasses import replace

import pytest
from places import ROOT

from w2s_lab.data.sources import SplitSizes
from w2s_lab.experiments.effects import paired_effect
from w2s_lab.pocket import pretrain
from w2s_lab.recipe import Recipe
from w2s_lab.studies import both_worlds, methods, pretrainings, study
from w2s_lab.studies.study import select

RESULTS = ROOT / "data" / "results"
TINY = SplitSizes(supervisor_train=64, student_train=64, test=40, validation=20)


def test_the_effects_by_hand():
    """Two seeds. The student gains a tenth at the trusted snapshot and loses .04 after it; random errors gain .05."""
    rows = [
        {"pretraining": p, "seed": seed, "method": name, "weak": weak, "ceiling": weak + 0.2}
        | {"trusted_accuracy": weak + 0.1 + more, "accuracy": weak + 0.06 + more}
        for p in pretrainings.SEEDS
        for seed, weak in enumerate((0.7, 0.72))
        for name, more in (
            (methods.PLAIN, 0),
            ("random errors", 0.05),
            (pretrainings.LONG, 0),
            *((n, 0.01 * seed) for n in NAMES),
        )
    ]
    found = {name: effect.mean for name, effect in pretrainings.main_effects(rows, 1).items()}
    assert found == pytest.approx({
        pretrainings.GAP: 0.2,
        pretrainings.GAIN: 0.1,
        pretrainings.OVERFITTING: -0.04,
        pretrainings.LATER: -0.04,
        "soft labels against plain weak labels": 0.005,
        "confidence loss 0.5 against soft labels": 0.0,
        "confident half against random half": 0.0,
        "random errors against plain weak labels": 0.05,
    })  # fmt: skip
    line = "| student minus supervisor |" + 3 * " +0.100 [+0.100, +0.100] |"
    assert line in pretrainings.pretrainings_table(rows)


NAMES = ("soft labels", "confidence loss 0.5", "random half", "confident half")


@pytest.mark.slow
def test_the_study_from_end_to_end(tmp_path, monkeypatch):
    """The pair is made anew in small, and every model of a run comes from its own pre-training."""
    short = {name: replace(rung, layers=1, width=16, heads=2, tokens=8192) for name, rung in pretrain.LADDER.items()}
    monkeypatch.setattr(pretrainings, "LADDER", short)
    monkeypatch.setattr(pretrain, "HELD_OUT_TOKENS", 8192)
    monkeypatch.setattr(pretrain, "compiler_works", lambda device: False)
    monkeypatch.setattr(pretrainings, "SEEDS", (0, 1))
    monkeypatch.setattr(pretrainings, "SIZES", TINY)
    brief = Recipe(epochs=1, learning_rate=1e-3, eval_every=1)
    monkeypatch.setattr(pretrainings, "USUAL", replace(methods.USUAL, weak_recipe=brief, recipe=brief))
    monkeypatch.setattr(study, "run_jobs", lambda jobs, **options: {j.name: j.function(*j.arguments) for j in jobs})
    options = {"seeds": 2, "workers": 1, "store": str(tmp_path / "runs"), "output": tmp_path, "device": "cpu"}
    text, paths = study.run_study(pretrainings.STUDY, **options)
    facts = json.loads(paths[0].read_text())
    assert [path.name for path in paths] == ["pretrainings.json", "pretrainings.png"]
    made = sorted(path.name for path in (tmp_path / "runs" / "pretrained").iterdir())
    assert made == ["pocket-l-seed-1", "pocket-s-seed-1"]
    rows = facts["rows"]
    assert {(row["pretraining"], row["seed"]) for row in rows} == {(0, 0), (0, 1), (1, 0), (1, 1)}
    assert {row["method"] for row in rows} == {methods.PLAIN, *pretrainings.METHODS, pretrainings.LONG} and len(
        rows
    ) == 28
    for seed in (0, 1):
        shipped, own = ({row["weak"] for row in select(rows, pretraining=p, seed=seed)} for p in (0, 1))
        assert len(shipped) == len(own) == 1  # one supervisor for all methods
    known, fresh = (select(rows, pretraining=p, method=methods.PLAIN) for p in (0, 1))
    assert [row["weak"] for row in known] != [row["weak"] for row in fresh]
    assert "seed 0 (shipped)" in text and [one["pretraining"] for one in facts["pretrainings"]] == [0, 1]


# -- what is shipped -------------------------------------------------------------------------------------------------


def shipped() -> list[dict]:
    return json.loads((RESULTS / "pretrainings.json").read_text())["rows"]


def test_the_shipped_pair_is_that_of_the_methods():
    """The same trainings, so the same numbers."""
    known = json.loads((RESULTS / "methods.json").read_text())["rows"]
    for row in select(shipped(), pretraining=0):
        if row["method"] != pretrainings.LONG:
            (own,) = select(known, grid="sentiment", method=row["method"], seed=row["seed"])
            assert {name: own[name] for name in row if name != "pretraining"} | {"pretraining": 0} == row


def test_the_page_shows_what_was_measured():
    rows = shipped()
    page = (ROOT / "docs" / "findings.md").read_text(encoding="utf-8")
    assert pretrainings.pretrainings_table(rows) in page
    said = " ".join(page.split())
    found = pretrainings.levels(rows)
    for name in ("weak", "trusted_pgr"):
        words = [both_worlds._ended(one[name]) for one in found]
        assert f"{words[0]}, {words[1]} and {words[2]}" in said
    assert min(one["ceiling"]["low"] for one in found) > 0.99


def test_what_is_said_of_the_numbers_is_in_the_rows():
    rows = shipped()
    effects = [pretrainings.main_effects(rows, p) for p in pretrainings.SEEDS]

    def verdicts(name: str) -> list[str]:
        return [found[name].verdict for found in effects]

    assert {row["seed"] for row in rows} == set(range(8))
    for name in (pretrainings.GAP, pretrainings.GAIN):
        assert all(found[name].low > 0 for found in effects)
    assert [found[pretrainings.OVERFITTING].high < 0 for found in effects] == [True, False, False]
    assert effects[1][pretrainings.OVERFITTING].low > -0.01
    assert all(found[pretrainings.LATER].high < 0 for found in effects)
    for p in pretrainings.SEEDS:
        own = select(rows, pretraining=p, method=pretrainings.LONG)
        assert paired_effect("", [row["accuracy"] for row in own], [row["weak"] for row in own]).low > 0
    assert verdicts("random errors against plain weak labels") == ["helps", "cannot tell", "helps"]
    assert verdicts("confident half against random half") == ["cannot tell", "cannot tell", "helps"]
    for name in ("soft labels against plain weak labels", "confidence loss 0.5 against soft labels"):
        assert set(verdicts(name)) == {"cannot tell"}
    errors = [1 - one["weak"]["mean"] for one in pretrainings.levels(rows)]
    assert 0.28 < errors[1] / errors[0] < 0.38
