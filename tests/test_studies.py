"""Every named study from end to end with tiny sizes; the findings, by hand."""

import json
from dataclasses import replace
from importlib import import_module

import pytest

from w2s_lab.data import SplitSizes
from w2s_lab.experiments import Plan
from w2s_lab.recipe import Recipe
from w2s_lab.store import Store
from w2s_lab.studies import budget, methods, overfitting, policy, scaling, study

TINY = SplitSizes(supervisor_train=64, student_train=64, test=40, validation=20)
QUICK = Recipe(epochs=1, learning_rate=1e-3, eval_every=2)
PLAN = Plan("pocket-s", "pocket-s", Recipe(epochs=6, learning_rate=2e-3), QUICK, "cpu")


def here(jobs, *, workers, ray, description):
    """All jobs in this process, where the sizes are tiny."""
    assert len({job.name for job in jobs}) == len(jobs)
    return {job.name: job.function(*job.arguments) for job in jobs}


@pytest.fixture
def tiny(monkeypatch):
    monkeypatch.setattr(study, "run_jobs", here)
    for module in (methods, overfitting, policy, scaling):
        monkeypatch.setattr(module, "SIZES", TINY)
    monkeypatch.setattr(budget, "SIZES", replace(TINY, student_train=60))
    monkeypatch.setattr(budget, "HUMAN", (0, 5, 20))
    monkeypatch.setattr(budget, "WEAK", (0, 30))
    monkeypatch.setattr(budget, "FEW", 5)
    monkeypatch.setattr(budget, "EPOCH", 2)
    monkeypatch.setattr(policy, "HUMAN", 10)
    monkeypatch.setattr(policy, "STEPS", 4)
    for module in (budget, overfitting, policy):
        monkeypatch.setattr(module, "PLAN", PLAN)
    monkeypatch.setattr(overfitting, "RATES", (1e-3,))
    monkeypatch.setattr(scaling, "RATES", {"pocket-xs": 1e-3, "pocket-s": 1e-3})
    monkeypatch.setattr(scaling, "PAIRS", (("pocket-xs", "pocket-xs"), ("pocket-xs", "pocket-s"), ("pocket-s",) * 2))
    monkeypatch.setattr(methods, "GRIDS", tuple(replace(grid, plan=PLAN, seeds=2) for grid in methods.GRIDS))


def run(name: str, folder, seeds: int = 2) -> tuple[str, dict]:
    found = import_module(f"w2s_lab.studies.{name}").STUDY
    assert found.name == name and found.about.endswith("?")
    text, paths = study.run_study(
        found, seeds=seeds, workers=1, store=str(folder / "runs"), output=folder, device="cpu"
    )
    assert all(path.stat().st_size > 1000 for path in paths)
    assert [path.suffix for path in paths] == [".json"] + [".png"] * (len(paths) - 1)
    return text, json.loads(paths[0].read_text())


@pytest.mark.slow
@pytest.mark.parametrize("name", ["methods", "scaling", "overfitting", "budget", "policy"])
def test_a_study_from_end_to_end(name, tiny, tmp_path, monkeypatch):
    text, facts = run(name, tmp_path)
    assert facts["command"] == f"w2s-lab study {name} --seeds 2" and facts["versions"]["w2s-lab"]
    assert facts["trainings"]["different"] == len(Store(tmp_path / "runs").runs())
    assert {row["seed"] for row in facts["rows"]} == {0, 1}
    monkeypatch.setattr("w2s_lab.store.train", lambda *args, **options: pytest.fail("trained again"))
    assert run(name, tmp_path) == (text, facts)  # from the store, to the last digit
