"""Who may choose rate and passes: the rules by hand on made rows, and the study in small."""

import json
from dataclasses import replace

import pytest
from places import ROOT

from w2s_lab.data.sources import SplitSizes, load_splits
from w2s_lab.experiments.procedure import Plan
from w2s_lab.experiments.store import Store
from w2s_lab.recipe import Recipe
from w2s_lab.studies import recipes, study
from w2s_lab.studies.measures import paired_by_seed


def grid_row(seed: int, rate: float, passes: int, accuracy: float, trusted: float) -> dict:
    return {"part": "grid", "seed": seed, "rate": rate, "passes": passes, "accuracy": accuracy, "trusted": trusted,
            "pgr": 2 * accuracy - 1}  # fmt: skip


def scored(part: str, seed: int, rate: float, passes: int, accuracy: float) -> dict:
    return {"part": part, "seed": seed, "rate": rate, "passes": passes, "accuracy": accuracy}


def test_each_rule_reads_its_own_truth_and_no_other():
    rows = [
        # test accuracy and trusted accuracy name different winners in seed 0
        grid_row(0, 5e-5, 0, 0.99, 0.99),  # untrained: never chosen
        grid_row(0, 5e-5, 1, 0.60, 0.90),
        grid_row(0, 5e-5, 3, 0.70, 0.60),
        grid_row(0, 1e-4, 1, 0.90, 0.70),
        grid_row(0, 1e-4, 6, 0.55, 0.50),
        scored("another split", 100, 5e-5, 1, 0.5),
        scored("another split", 100, 1e-4, 6, 0.8),
        scored("rehearsal", 0, 5e-5, 3, 0.7),
        scored("rehearsal", 0, 1e-4, 1, 0.7),  # equal: fewer passes
        scored("rehearsal", 0, 1e-4, 0, 0.9),
    ]
    picks = {rule: of[0] for rule, of in recipes.choices(rows).items()}
    assert list(picks.values()) == [(5e-5, 3), (1e-4, 6), (1e-4, 6), (1e-4, 1), (5e-5, 1), (1e-4, 1)]
    found = {rule: [row["accuracy"] for row in own] for rule, own in recipes.chosen(rows).items()}
    assert list(found.values()) == [[0.70], [0.55], [0.55], [0.90], [0.60], [0.90]]


def test_a_rehearsal_uses_no_example_of_the_students_or_of_the_test_set(monkeypatch):
    monkeypatch.setattr(recipes, "PARTS", (20, 30))
    real = load_splits("sentiment", seed=0, sizes=SplitSizes(64, 64, 40, 20))
    small = recipes.rehearsal_splits(real.supervisor_train, real.validation)
    used = [*small.supervisor_train.ids, *small.student_train.ids, *small.test.ids]
    assert used == list(real.supervisor_train.ids) and len(small.test) == 14
    assert small.validation == real.validation


@pytest.mark.slow
def test_the_study_of_recipes_from_end_to_end(tmp_path, monkeypatch):
    sizes = SplitSizes(supervisor_train=64, student_train=64, test=40, validation=20)
    plan = Plan("pocket-xs", "pocket-xs", Recipe(epochs=6, learning_rate=2e-3), Recipe(epochs=2, eval_every=2), "cpu")
    small = {"SIZES": sizes, "PLAN": plan, "RATES": (1e-3, 4e-3), "TRIAL": replace(sizes, test=50), "PARTS": (24, 30)}
    for name, value in small.items():
        monkeypatch.setattr(recipes, name, value)
    monkeypatch.setattr(study, "run_jobs", lambda jobs, **_: {job.name: job.function(*job.arguments) for job in jobs})
    store = tmp_path / "runs"
    text, paths = study.run_study(recipes.STUDY, seeds=2, workers=1, store=str(store), output=tmp_path, device="cpu")
    assert {path.name for path in paths} == {"recipes.json", "recipes.png"}
    rows = recipes._curve(Store(store), "cpu", 1e-3, 0)
    assert [row["passes"] for row in rows] == [0, 1, 2]
    assert rows[0]["trusted"] is not None and rows[2]["weak"] == rows[0]["weak"]
    for rule in ("another split, once", "a rehearsal", "100 trusted examples", recipes.ORACLE):
        assert rule in text


def test_the_pages_say_what_was_measured():
    facts = json.loads((ROOT / "data" / "results" / "recipes.json").read_text())
    page, front = ((ROOT / name).read_text() for name in ("docs/findings.md", "README.md"))
    assert facts["command"] == "w2s-lab study recipes --seeds 8" and len(facts["rules"]) == 6
    for rule, pgr in facts["rules"].items():
        assert pgr["n"] == 8
        assert f"| {rule} | {pgr['mean']:.2f} [{pgr['low']:.2f}, {pgr['high']:.2f}] |" in page
    pgr = facts["rules"][recipes.REHEARSAL]
    assert f"PGR {pgr['mean']:.2f} [{pgr['low']:.2f}, {pgr['high']:.2f}]" in front
    assert recipes.rehearsed(facts["rows"]).low > 0  # more than the default, as the page says
    other = {row["seed"]: row["pgr"] for row in recipes.chosen(facts["rows"])["another split, once"]}
    ours = {row["seed"]: row["pgr"] for row in recipes.chosen(facts["rows"])[recipes.REHEARSAL]}
    apart = paired_by_seed(ours, other)
    assert apart.low < 0 < apart.high  # and not to be told from the truth of another split
