"""Every named study from end to end with tiny sizes; rows and findings by hand; what is shipped."""

import hashlib
import itertools
import json
import re
from collections import Counter
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from places import ROOT
from scipy import stats

from w2s_lab.cli.commands import main
from w2s_lab.data.sources import SplitSizes, load_splits
from w2s_lab.experiments.effects import Effect
from w2s_lab.experiments.procedure import Outcome, Plan
from w2s_lab.experiments.store import Store
from w2s_lab.methods import probe
from w2s_lab.methods.flywheel import HEALTHY
from w2s_lab.objective import AuxiliaryConfidence, Distillation, MaximumLikelihood, NextToken, SoftTargets, Targets
from w2s_lab.recipe import Recipe
from w2s_lab.records import Comparison, Evaluation, Snapshot, Task
from w2s_lab.studies import (
    STUDIES,
    blind_spot,
    budget,
    easy_to_hard,
    findings,
    flywheel,
    leakage,
    losses,
    majorities,
    methods,
    overfitting,
    policy,
    real_methods,
    real_probe,
    real_tuning,
    recipes,
    scaling,
    study,
    tilt,
)

RESULTS = ROOT / "data" / "results"

TINY = SplitSizes(supervisor_train=64, student_train=64, test=40, validation=20)
QUICK = Recipe(epochs=1, learning_rate=1e-3, eval_every=2)
PLAN = Plan("pocket-xs", "pocket-xs", Recipe(epochs=6, learning_rate=2e-3), QUICK, "cpu")


def here(jobs, *, workers, ray, description):
    """All jobs in this process, where the sizes are tiny."""
    assert len({job.name for job in jobs}) == len(jobs)
    return {job.name: job.function(*job.arguments) for job in jobs}


@pytest.fixture
def tiny(monkeypatch):
    monkeypatch.setattr(study, "run_jobs", here)
    for module in (losses, overfitting, policy, scaling):
        monkeypatch.setattr(module, "SIZES", TINY)
    monkeypatch.setattr(budget, "SIZES", replace(TINY, student_train=60))
    monkeypatch.setattr(budget, "HUMAN", (0, 5, 20))
    monkeypatch.setattr(budget, "WEAK", (0, 30))
    monkeypatch.setattr(budget, "FEW", 5)
    monkeypatch.setattr(budget, "EPOCH", 2)
    monkeypatch.setattr(policy, "HUMAN", 10)
    monkeypatch.setattr(policy, "STEPS", 4)
    for module in (budget, losses, overfitting, policy):
        monkeypatch.setattr(module, "PLAN", PLAN)
    monkeypatch.setattr(overfitting, "RATES", (1e-3,))
    for name, few in (("WEIGHTS", (0.0, 1.0)), ("TEMPERATURES", (1.0, 2.0)), ("ALPHAS", (0.0, 0.5)), ("FEW", 20)):
        monkeypatch.setattr(losses, name, few)
    monkeypatch.setattr(scaling, "RECIPE", QUICK)
    monkeypatch.setattr(scaling, "TRIED", replace(TINY, student_train=2, test=2))
    monkeypatch.setattr(scaling, "CANDIDATES", {"pocket-xs": (5e-4, 1e-3), "pocket-s": (1e-3,)})
    monkeypatch.setattr(scaling, "RATES", {"pocket-xs": 1e-3, "pocket-s": 1e-3})
    monkeypatch.setattr(scaling, "PAIRS", (("pocket-xs", "pocket-xs"), ("pocket-xs", "pocket-s"), ("pocket-s",) * 2))
    monkeypatch.setattr(scaling, "SUPERVISOR", "pocket-xs")
    monkeypatch.setattr(scaling, "STUDENT", "pocket-s")
    monkeypatch.setattr(scaling, "PASSES", (1, 2))
    turning = replace(
        HEALTHY, rounds=1, proposals=12, min_confidence=None, balanced=False, student=QUICK, generator=QUICK
    )
    monkeypatch.setattr(flywheel, "SEED_EXAMPLES", 32)
    monkeypatch.setattr(flywheel, "SIZES", replace(TINY, student_train=1, validation=0))
    monkeypatch.setattr(
        flywheel, "CONFIGURATIONS", {"healthy": turning, "again": replace(turning, trains_generator=True)}
    )
    monkeypatch.setattr(methods, "GRIDS", tuple(replace(grid, plan=PLAN, sizes=TINY) for grid in methods.GRIDS))


@pytest.fixture
def pocket_for_real(monkeypatch):
    """The studies of real English, small and in the pocket world: the same code, and no download."""
    monkeypatch.setattr(study, "run_jobs", here)
    words = {"the task's": None, "none": "", "another": "Judge this."}
    small = {
        "MODEL": "pocket-s",
        "TASK": "sentiment",
        "OTHERS": ("sentiment",),
        "SECOND": "topic",
        "SECOND_SUPERVISORS": ("bag-of-words:40",),
        "SECOND_ARMS": ("weak labels", "random errors"),
        "SIZES": TINY,
        "ARMS": tuple(arm for arm in real_probe.ARMS if arm != "errors by words"),  # too few words here
        "LAYERS": (0, 1, 2),
        "CHOSEN": (1, 2),
        "WORDED": (1,),
        "WORDINGS": words,
        "SUPERVISORS": ("bag-of-words:30", "layer:1", "pocket-l"),
        "POCKET": QUICK,
        "POCKET_SEEDS": 1,
        "ZERO_SHOT": 30,
        "READ": 20,
    }
    for name, value in small.items():
        monkeypatch.setattr(real_probe, name, value)
    for name in ("MODEL", "TASK", "OTHERS", "SIZES"):
        monkeypatch.setattr(real_tuning, name, small[name])
    few = {"TASK": "sentiment", "SIZES": TINY, "LAYER": 2, "EARLY": 1, "FEW": 10, "MODEL": "pocket-s"}
    adaptation = {"ADAPT": replace(QUICK, loss=NextToken()), "ADAPT_TO": 30, "UNSEEN": 10}
    for name, value in {**few, **adaptation}.items():
        monkeypatch.setattr(real_methods, name, value)
    monkeypatch.setattr(real_tuning, "SUPERVISOR", "bag-of-words:30")
    monkeypatch.setattr(real_tuning, "ELSEWHERE", 20)
    once, thrice = replace(QUICK, batch_size=16), replace(QUICK, batch_size=16, epochs=3)
    arms = {
        "weak labels": real_tuning.Arm("weak labels", once, 2, "bag-of-words:30"),
        "random errors": real_tuning.Arm("random errors", once, 2, "bag-of-words:30"),
        "soft weak labels": real_tuning.Arm("soft weak labels", replace(once, loss=SoftTargets()), 2, "bag-of-words"),
        "weak labels, 3 passes": real_tuning.Arm("weak labels", thrice, 1, "bag-of-words:30"),
        "without instruction": real_tuning.Arm("weak labels", once, 1, "bag-of-words:30", instruction=""),
    }
    monkeypatch.setattr(real_tuning, "ONE", once)
    monkeypatch.setattr(real_tuning, "ARMS", arms)
    real_probe.states_of.cache_clear()
    yield
    real_probe.states_of.cache_clear()
    real_probe._worded.cache_clear()


@pytest.mark.slow
def test_the_study_of_probes_from_end_to_end(pocket_for_real, tmp_path, monkeypatch):
    text, facts = run("real-probe", tmp_path)
    rows = facts["rows"]
    counts = {question: sum(row["question"] == question for row in rows) for question in {r["question"] for r in rows}}
    # two seeds: 2 choices of 3 arms; 3 arms of 3 layers and 4 C; 1 text of 2 arms; 2 supervisors and one more once
    asked = {"arms": 12, "grid": 72, "transfer": 4, "supervisors": 5, "wordings": 6, "second": 4, "known": 3}
    assert counts == asked
    assert all(0 <= row["by_heart"] <= row["continued"] for row in rows if row["question"] == "known")
    arms = [row for row in rows if row["question"] == "arms"]
    assert {row["layer"] for row in arms} <= {1, 2} and {row["C"] for row in arms} <= set(probe.STRENGTHS)
    of = {(r["seed"], r["choice"], r["arm"]): r for r in arms}
    for seed in (0, 1):
        found = [of[seed, "held-out labels", arm] for arm in real_probe.ARMS]
        assert len({(row["weak"], row["ceiling"], row["label_accuracy"]) for row in found}) == 1  # one thing differs
        assert len({row["accuracy"] for row in found}) > 1
    for name in (*real_probe.ARMS, "pocket-l", "another", "before any training"):
        assert name in text
    monkeypatch.setattr("w2s_lab.methods.probe.features_of_layers", lambda *a, **o: pytest.fail("read again"))
    real_probe.states_of.cache_clear()
    assert run("real-probe", tmp_path) == (text, facts)


@pytest.mark.slow
def test_the_study_of_the_tilt_from_end_to_end(pocket_for_real, tmp_path, monkeypatch):
    small = {"MODEL": "pocket-s", "TASK": "sentiment", "LAYER": 1, "SUPERVISOR": "bag-of-words:30", "SIZES": TINY,
             "REAL_SIZES": TINY, "PLAN": replace(PLAN, weak="bag-of-words:30"), "SWING": (2,)}  # fmt: skip
    for name, value in small.items():
        monkeypatch.setattr(tilt, name, value)
    text, facts = run("tilt", tmp_path)
    rows = facts["rows"]
    assert Counter(
        (row["world"], row["labels"]) for row in rows
    ) == {  # two seeds; two snapshots, or a probe for each C
        (world, kind): 2 * moments
        for world, moments in ((study.POCKET, 2), (study.REAL, len(tilt.STRENGTHS)))
        for kind in tilt.LABELS
    }
    for world in (study.POCKET, study.REAL):
        for kind in tilt.LABELS:
            for seed in (0, 1):
                own = [r for r in rows if (r["world"], r["labels"], r["seed"]) == (world, kind, seed)]
                chosen = {moment: [row for row in own if row.get(moment)] for moment in tilt.MOMENTS}
                assert all(len(found) == 1 for found in chosen.values()) and chosen["last"] == own[-1:]
                later = [row for row in own if row.get("step") != 0]
                assert chosen["best"][0]["accuracy"] == max(row["accuracy"] for row in later)
                assert chosen["trusted"][0]["trusted_accuracy"] == max(row["trusted_accuracy"] for row in later)
    lines = [row for row in rows if row["tilt"] is not None]
    assert lines and all(row["away"] == abs(row["tilt"]) and 0.5 < row["given"] <= 1 for row in lines)
    assert len(facts["moments"]) == 12 and "oracle's choice" in text
    swung = next(row for row in facts["swing"] if (row["labels"], row["step"]) == ("weak labels", 2))
    own = [r for r in rows if (r["world"], r["labels"], r.get("step")) == (study.POCKET, "weak labels", 2)]
    assert swung["auc"]["mean"] == pytest.approx(np.mean([row["auc"] for row in own])) and swung["auc"]["n"] == 2
    assert swung["second"]["mean"] == pytest.approx(np.mean([row["second"] for row in own]))


@pytest.mark.slow
def test_the_study_of_methods_on_real_english_from_end_to_end(pocket_for_real, tmp_path, monkeypatch):
    text, facts = run("real-methods", tmp_path)
    of = {(row["seed"], row["method"]): row for row in facts["rows"] if row["question"] == "methods"}
    controls = {name: one for methods in real_methods.CONTROLS.values() for name, one in methods.items()}
    arms = {real_methods.TRUTH, *controls, *controls.values()}
    assert set(of) == {(seed, name) for seed in (0, 1) for name in arms}
    for row in of.values():
        assert len({of[row["seed"], name]["ceiling"] for name in arms}) == 1  # one thing differs
        (end,) = (point for point in row["curve"] if point[0] == real_methods.PATH[-1])
        assert end[1] == row["accuracy"]
        (chosen,) = (point for point in row["curve"] if point[0] == row["C"])
        assert chosen[1] == row["trusted_accuracy"]
        if row["method"] not in (real_methods.TRUSTED, real_methods.TRUSTED_FEW):
            assert chosen == max(row["curve"], key=lambda point: point[3])  # of the trusted examples, the first
    assert of[0, real_methods.RANDOM]["examples"] == of[0, real_methods.CONFIDENT]["examples"] == TINY.student_train / 2
    assert of[0, real_methods.TRUTH]["label_accuracy"] == 1 == of[0, real_methods.TRUSTED_FEW]["label_accuracy"]
    assert of[0, real_methods.TRUSTED_FEW]["examples"] == 10
    assert list(facts["effects"]) == list(real_methods.MOMENTS)
    effect = next(one for one in facts["effects"]["at the end of the course"] if one["name"] == real_methods.SMALL)
    apart = [of[s, real_methods.SMALL]["accuracy"] - of[s, real_methods.RANDOM]["accuracy"] for s in (0, 1)]
    assert effect["mean"] == pytest.approx(np.mean(apart), abs=1e-4)
    adapted, plain = of[0, real_methods.ADAPTED], of[0, real_methods.HARD]
    assert adapted["label_accuracy"] == plain["label_accuracy"] and adapted["curve"] != plain["curve"]
    (learnt,) = (row for row in facts["rows"] if row["question"] == "adaptation")
    assert learnt["texts"] == 10 and learnt["after"] != learnt["before"]
    texts, unseen = real_methods.reviews_of_no_test(2)
    tested = {one for s in (0, 1) for one in load_splits("sentiment", seed=s, sizes=TINY).test.ids}
    assert (len(texts), len(unseen)) == (30, 10) and not set(texts.ids) & {*unseen.ids, *tested}
    monkeypatch.setattr(real_methods, "ADAPT_TO", 6000)
    with pytest.raises(ValueError, match="examples are in no test set; the adaptation takes 6,010"):
        real_methods.reviews_of_no_test(2)
    assert all(name in text for name in arms) and (tmp_path / "real-methods.png").stat().st_size > 10_000


@pytest.mark.slow
def test_the_study_of_fine_tuning_from_end_to_end(pocket_for_real, tmp_path, monkeypatch):
    text, facts = run("real-tuning", tmp_path)
    students = [row for row in facts["rows"] if row["question"] == "students"]
    names = [(row["arm"], row["seed"], row["epochs"]) for row in students]
    assert len(names) == len(set(names)) == 2 + 1 + 6 + 1 + 1
    by = {(row["arm"], row["epochs"], row["seed"]): row for row in students}
    for seed in (0, 1):
        truth = by["truth", 1, seed]
        assert truth["accuracy"] == truth["ceiling"] == by["weak labels", 1, seed]["ceiling"]
        assert truth["label_accuracy"] == 1 and truth["pgr"] in (1, None)
        assert by["weak labels", 1, seed]["label_accuracy"] == by["random errors", 1, seed]["label_accuracy"] < 1
    assert [point[0] for point in by["weak labels", 1, 0]["curve"]] == [0, 32, 64]
    bare, worded = by["without instruction", 1, 0], by["weak labels", 1, 0]
    assert bare["weak"] == worded["weak"] and bare["label_accuracy"] == worded["label_accuracy"]  # words decide there
    assert bare["curve"][0] != worded["curve"][0]  # the untrained network reads another prompt
    moved = [row for row in facts["rows"] if row["question"] == "transfer"]
    assert {row["arm"] for row in moved} == {"weak labels", "random errors", "truth"} and len(moved) == 6
    assert facts["trainings"]["different"] == len(Store(tmp_path / "runs").runs())
    monkeypatch.setattr("w2s_lab.experiments.store.train", lambda *args, **options: pytest.fail("trained again"))
    assert run("real-tuning", tmp_path) == (text, facts)


def run(name: str, folder, seeds: int = 2) -> tuple[str, dict]:
    found = STUDIES[name]
    assert found.name == name and found.about.endswith("?")
    text, paths = study.run_study(
        found, seeds=seeds, workers=1, store=str(folder / "runs"), output=folder, device="cpu"
    )
    assert all(path.stat().st_size > 1000 for path in paths)
    assert [path.suffix for path in paths] == [".json"] + [".png"] * (len(paths) - 1)
    return text, json.loads(paths[0].read_text())


@pytest.mark.slow
@pytest.mark.parametrize("name", ["methods", "scaling", "overfitting", "losses", "budget", "policy", "flywheel"])
def test_a_study_from_end_to_end(name, tiny, tmp_path, monkeypatch):
    text, facts = run(name, tmp_path)
    assert facts["command"] == f"w2s-lab study {name} --seeds 2" and facts["versions"]["w2s-lab"]
    assert facts["trainings"]["different"] == len(Store(tmp_path / "runs").runs())
    assert {row["seed"] for row in facts["rows"] if "seed" in row} == {0, 1}
    monkeypatch.setattr("w2s_lab.experiments.store.train", lambda *args, **options: pytest.fail("trained again"))
    assert run(name, tmp_path) == (text, facts)  # from the store, to the last digit


def test_every_study_can_be_named():
    found = list(STUDIES.values())
    assert [one.name for one in found] == list(STUDIES)
    for one in found:
        names = [job.name for stage in one.stages(study.Setting("runs", "cpu", one.seeds)) for job in stage]
        assert len(set(names)) == len(names) > one.seeds - 1
    counted = {one.name: one.seeds for one in found}
    assert counted["methods"] >= 8 and counted["scaling"] >= 3


JOBS = {  # study -> how many jobs two seeds have, and the first digits of the SHA-256 of their names, one a line
    "mechanism": (2, "acc9502b1487"),
    "tilt": (5, "022037671f7d"),
    "methods": (106, "1c76308cde8e"),
    "scaling": (82, "14ea207cb416"),
    "pretrainings": (46, "6c27c34c4a15"),
    "overfitting": (10, "946d489e99c6"),
    "losses": (54, "efeacf6939ea"),
    "budget": (30, "6fd023acb135"),
    "policy": (18, "ff27e98a2510"),
    "flywheel": (18, "1c994db56542"),
}


@pytest.mark.parametrize("name", JOBS)
def test_the_jobs_of_a_shipped_study_stay_what_they_were(name):
    """Their names, in their order, are those of the runs that the result files come from."""
    stages = STUDIES[name].stages(study.Setting("runs", "cpu", 2))
    names = [job.name for stage in stages for job in stage]
    if name == "methods":  # a rule of selection that came later is measured, too
        rows = json.loads((RESULTS / "methods.json").read_text())["rows"]
        known = {"shared", *(row["method"] for row in rows)}
        names = [one for one in names if re.sub(r".*, seed \d+, ", "", one) in known]
    assert (len(names), hashlib.sha256("\n".join(names).encode()).hexdigest()[:12]) == JOBS[name]


def test_a_study_brings_its_claims(monkeypatch):
    claim = findings.Finding("It helps", "nobody", "accuracy", "mine", lambda rows: Effect("", 1, 0.5, 1.5, 2, 0, None))
    mine = study.Study("mine", "does it?", 2, lambda setting: [], lambda rows: ({}, "", {}), claims=(claim,))
    before = findings.all_findings()
    late = (*majorities.STUDY.claims, *majorities.REAL_STUDY.claims, *easy_to_hard.STUDY.claims)
    late += (*easy_to_hard.REAL_STUDY.claims, *blind_spot.CLAIMS)
    real = (*real_probe.CLAIMS, *real_methods.CLAIMS, *real_tuning.CLAIMS)
    assert before == (*findings.FINDINGS, *tilt.CLAIMS, *leakage.STUDY.claims, *recipes.CLAIMS, *real, *late)
    monkeypatch.setattr(STUDIES, "_entries", {**STUDIES._entries, "mine": mine})
    assert findings.all_findings() == (*before, claim)
    monkeypatch.setattr(STUDIES, "_entries", {"mine": mine})
    monkeypatch.setattr(findings, "FINDINGS", ())
    assert "| It helps | nobody | accuracy |" in findings.findings_table({"mine": {"rows": []}})


# -- rows ------------------------------------------------------------------------------------------------------------


def evaluation(predictions: str, probs: list[float] | None = None) -> Evaluation:
    """Answers a or b to four questions whose truth is "aabb"."""
    table = None if probs is None else np.array([[p, 1 - p] for p in probs])
    return Evaluation(Task("t", ("a", "b")), tuple("1234"), tuple(predictions), tuple("aabb"), tuple("abbb"), table)


def test_gain_and_misfit_by_hand():
    """Squared distances: the supervisor is .5 away on the second example only, the student nowhere."""
    weak, student = evaluation("abbb", [1, 0.5, 0, 0]), evaluation("aabb", [1, 1, 0, 0])
    found = study.gain_and_misfit(Comparison(weak, student, student))
    assert found == {"gain": pytest.approx(2 * 0.25 / 4), "misfit": pytest.approx(2 * 0.25 / 4)}
    worse = evaluation("abba", [1, 0, 0, 1])
    found = study.gain_and_misfit(Comparison(weak, worse, student))
    assert found == {"gain": pytest.approx(0.125 - 1.0), "misfit": pytest.approx((0.5 + 2.0) / 4)}
    assert study.gain_and_misfit(Comparison(evaluation("abbb"), evaluation("aabb"), student)) == {}


def test_the_trusted_snapshot_is_chosen_without_the_test_set():
    """The test set is answered best at step 2, the trusted examples at step 1; the training ends at step 3."""
    answers = {0: "bbbb", 1: "abbb", 2: "aabb", 3: "abab"}  # right: 2, 3, 4 and 2 of 4
    curve = tuple(Snapshot(step, 4 * step, None, evaluation(said)) for step, said in answers.items())
    weak, ceiling = evaluation("bbbb"), evaluation("aabb")
    outcome = Outcome(0, Comparison(weak, curve[-1].evaluation, ceiling), 0.5, curve, (0.5, 0.8, 0.7, 0.6))
    found = study.outcome_numbers(outcome)
    assert (found["accuracy"], found["best_accuracy"], found["trusted_accuracy"]) == (0.5, 1.0, 0.75)
    assert (found["pgr"], found["best_pgr"], found["trusted_pgr"]) == (0.0, 1.0, 0.5)


def test_numbers_of_a_comparison_by_hand():
    found = study.numbers(Comparison(evaluation("abbb"), evaluation("aaba"), evaluation("aabb")))
    expected = {"weak": 0.75, "accuracy": 0.75, "ceiling": 1.0, "pgr": 0.0}
    assert found == expected | {"agreement": 0.5, "imitation": 0.0, "correction": 1.0}


def test_rows_are_found_by_name_and_in_the_order_of_seeds():
    rows = [{"seed": 1, "a": "x", "v": 2.0}, {"seed": 0, "a": "x", "v": None}, {"seed": 0, "a": "y", "v": 5.123456789}]
    assert study.column(study.select(rows, a="x"), "v") == [None, 2.0]
    assert study.mean_of(study.select(rows, a="x"), "v") == {"mean": 2.0, "low": None, "high": None, "n": 1}
    assert study.rounded(rows)[2]["v"] == 5.12346


# -- findings --------------------------------------------------------------------------------------------------------


def finding(sign: int = 1, **options) -> findings.Finding:
    return findings.Finding("c", "s", "q", "methods", lambda rows: None, sign, **options)


@pytest.mark.parametrize(
    ("low", "high", "sign", "verdict"),
    [
        (0.02, 0.05, 1, "reproduced"),
        (-0.05, -0.02, 1, "not reproduced"),
        (-0.05, -0.02, -1, "reproduced"),
        (0.001, 0.005, -1, "not reproduced"),
        (-0.02, 0.05, 1, "cannot tell here"),
        (-0.009, 0.008, 1, "not reproduced"),  # surely next to nothing
        (None, None, 1, "cannot tell here"),
    ],
)
def test_a_verdict_is_computed(low, high, sign, verdict):
    mean = None if low is None else (low + high) / 2
    assert finding(sign).verdict(Effect("", mean, low, high, 8, 0, None)) == verdict


def test_equivalence_is_the_interval_of_90_percent():
    """Two one-sided tests at 5 % each: over 8 seeds, t is 1.895 where that of the 95 % interval is 2.365."""
    for half, verdict in ((0.0124, "not reproduced"), (0.0126, "cannot tell here")):
        effect = Effect("", 0.0, -half, half, 8, 0, 1.0)
        assert finding().verdict(effect) == verdict and (half * 1.8946 / 2.3646 < 0.01) == (half == 0.0124)
        assert finding(margin=None).verdict(effect) == "cannot tell here"


def claim(world: str, study_name: str, p: float, *, at_end: bool = False, unmet: str = "") -> findings.Finding:
    """An effect of +0.1 over 8 seeds, whose interval ends at +0.05, with any p value."""
    effect = Effect("", 0.1, 0.05, 0.15, 8, 0, p)
    options = {"at_end": lambda rows: effect} if at_end else {}
    condition = (lambda rows: unmet) if unmet else None
    return findings.Finding(
        f"{world} {p}", "s", "q", study_name, lambda rows: effect, world=world, condition=condition, **options
    )


def test_a_family_is_one_world_at_one_moment(monkeypatch):
    """Each claim brings two tests, of which the equivalence cannot be rejected here: 4 in `one`, 2 in `other`."""
    family = (
        claim("one", "a", 0.012, at_end=True),
        claim("one", "b", 0.02),
        claim("one", "b", 0.0001, unmet="The moon is not full."),  # no test at all
        claim("other", "b", 0.02),
    )
    monkeypatch.setattr(findings, "FINDINGS", family)
    monkeypatch.setattr(STUDIES, "_entries", {})
    results = {name: {"rows": []} for name in "ab"}
    found = findings.judged(results)
    # one: 0.012 * 4 = 0.048, 0.02 * 3 = 0.06; its end: 0.012 * 2; other: 0.02 * 2 = 0.04
    assert [one.survives for one in found] == [True, False, False, True]
    assert [one.verdict for one in found] == ["reproduced", "reproduced", "conditions not met", "reproduced"]
    assert found[0].end[1:] == ("reproduced", True) and found[1].end is None
    table, why = findings.findings_table(results), findings.reasons(results)
    assert table.count("4 tests") == table.count("2 tests (differences") == 1 and "2 at the end" in table
    assert why == "* **one 0.0001** (conditions not met). The moon is not full."


def test_a_claim_stands_beside_the_one_that_it_repeats(monkeypatch):
    first, second = claim("one", "a", 0.01, at_end=True), replace(claim("other", "b", 0.5), beside="one 0.01")
    monkeypatch.setattr(findings, "FINDINGS", (claim("one", "a", 0.5), first, second))
    monkeypatch.setattr(STUDIES, "_entries", {})
    results = {name: {"rows": []} for name in "ab"}
    found = [line for line in findings.worlds_table(results).splitlines() if line.startswith("| one")]
    effect = "+0.100 [+0.050, +0.150]"
    # of the four tests of its family, 4 * 0.01 survives; 0.5 does not
    assert found == [f"| one 0.01 | **reproduced** \\*: {effect} | **reproduced**: {effect} | q |"]
    monkeypatch.setattr(findings, "FINDINGS", (first,))
    assert findings.worlds_table(results) == ""


def test_what_a_claim_stands_beside_is_a_claim():
    known = {one.claim for one in findings.all_findings() if one.world == study.POCKET}
    named = [one for one in findings.all_findings() if one.beside]
    assert len(named) > 10 and all(one.beside in known and one.world == study.REAL for one in named)


def test_a_verdict_that_differs_at_the_end_is_shown():
    effect = Effect("", 0.1, 0.05, 0.15, 8, 0, 0.001)
    differs = findings.Judged(finding(), effect, "cannot tell here", False, "", (effect, "reproduced", True))
    assert findings.verdict_text(differs) == "**cannot tell here** (at the end: reproduced *)"
    same = replace(differs, verdict="reproduced", survives=True)
    assert findings.verdict_text(same) == "**reproduced** *"


def test_a_verdict_of_equivalence_survives_by_the_p_of_its_own_test():
    none = Effect("", 0.0, -0.004, 0.004, 8, 0, 1.0)
    wide = Effect("", 0.0, -0.0124, 0.0124, 8, 0, 1.0)
    assert findings.surviving([(finding(), none)]) == [True]  # p < 0.001, two tests
    assert findings.surviving([(finding(), wide)]) == [False]  # p 0.049, doubled
    assert findings.surviving([(finding(margin=None), wide)]) == [False]


def row(grid: str, method: str, seed: int, **values) -> dict:
    return {"grid": grid, "method": method, "seed": seed, **values}


def test_findings_are_paired_by_seed():
    rows = [row("sentiment", "plain weak labels", s, accuracy=a, pgr=p) for s, a, p in ((0, 0.8, 0.4), (1, 0.9, None))]
    rows = [one | {"trusted_accuracy": one["accuracy"] + 0.02} for one in rows]
    rows += [row("sentiment", "soft labels", s, accuracy=a, trusted_accuracy=a) for s, a in ((1, 0.91), (0, 0.82))]
    rows += [row("sentiment", "soft labels", 2, accuracy=0.1), row("helpdesk", "soft labels", 0, accuracy=0.0)]
    soft = next(f for f in findings.FINDINGS if f.claim.startswith("Soft labels"))
    effect, end = soft.measure(rows), soft.at_end(rows)
    assert (effect.mean, effect.n) == (pytest.approx(-0.005), 2)
    assert (end.mean, end.n) == (pytest.approx(0.015), 2)
    naive = findings.FINDINGS[0].measure(rows)
    assert (naive.mean, naive.n, naive.undefined) == (pytest.approx(0.4), 1, 1)


def test_the_control_of_the_confidence_loss_is_its_own_zero():
    """alpha 0 is training on soft labels: in the table, in the study's effects, and in `objective`."""
    rows = [
        row(grid, name, seed, accuracy=a + seed / 100, trusted_accuracy=a)
        for grid in ("sentiment", "sentiment, small gap", "helpdesk")
        for name, a in (("plain weak labels", 0.5), ("soft labels", 0.8), ("confidence loss 0.5", 0.9))
        for seed in (0, 1)
    ]
    own = [one for one in findings.FINDINGS if one.quantity.startswith("accuracy") and one.control == "soft labels"]
    assert len(own) == 3 and all(one.source.startswith("Burns") for one in own)
    for one in own:
        assert one.measure(rows).mean == one.at_end(rows).mean == pytest.approx(0.1)
    effects = {effect.name: effect.mean for effect in methods.effects_of(rows)["sentiment"]}
    assert effects == {"soft labels": pytest.approx(0.3), "confidence loss 0.5": pytest.approx(0.1)}


def test_conditions_are_measured_and_fall_where_they_are_met():
    def unmet(start: str, rows: list[dict]) -> str:
        return next(one for one in findings.FINDINGS if one.claim.startswith(start)).condition(rows)

    def probe(distances: list[float]) -> list[dict]:
        return [row("sentiment", "linear probe, ridge", s, ceiling_distance=d) for s, d in enumerate(distances)]

    assert unmet("The gain is at least", probe([0.0, 0.0, 0.0])) == ""
    says = unmet("The gain is at least", probe([0.02, 0.019, 0.021]))
    low, high = stats.t.interval(0.95, 2, 0.02, stats.sem([0.02, 0.019, 0.021]))
    assert f"0.020 [{low:.3f}, {high:.3f}]" in says
    for accuracies, met in (([0.5, 0.52, 0.49], False), ([0.75, 0.76, 0.77], True)):
        rows = [row("sentiment, no pre-training", "plain weak labels", s, ceiling=a) for s, a in enumerate(accuracies)]
        assert (unmet("Without pre-training", rows) == "") == met
    for larger, met in ((0.99, False), (0.999, True)):
        rows = [
            {"part": "pairs", "weak_model": "pocket-s", "strong_model": m, "seed": s, "ceiling": c + s / 1e4}
            for m, c in (("pocket-m", 0.99), ("pocket-l", larger))
            for s in range(3)
        ]
        assert (unmet("Larger students recover", rows) == "") == met


def test_the_slope_of_gain_on_misfit_is_clustered_by_seed():
    names = ("plain weak labels", "soft labels", "confident half", "confidence loss 0.5")
    rng = np.random.default_rng(0)
    rows = [
        row("sentiment", name, seed, misfit=0.1 * k + 0.01 * seed, gain=0.08 * k + 0.02 * rng.normal())
        for seed in range(5)
        for k, name in enumerate(names)
    ]
    found = next(one for one in findings.FINDINGS if one.claim.startswith("The more a student")).measure(rows)
    x, y, seeds = (np.array([one[key] for one in rows]) for key in ("misfit", "gain", "seed"))
    design = np.column_stack([np.ones(20), x])
    bread = np.linalg.inv(design.T @ design)
    rest = y - design @ bread @ design.T @ y
    scores = [design[seeds == s].T @ rest[seeds == s] for s in range(5)]
    meat = sum(np.outer(one, one) for one in scores)
    error = (5 / 4 * 19 / 18 * (bread @ meat @ bread)[1, 1]) ** 0.5
    assert found.high - found.mean == pytest.approx(2.776445 * error, rel=1e-6)  # t with 4 degrees of freedom
    assert found.p == pytest.approx(2 * stats.t.sf(found.mean / error, 4)) and found.n == 20


def test_the_slope_on_the_gap_is_of_differences_from_soft_labels_at_both_moments():
    """Each supervisor of each seed is a point; a seed without one of the two students gives none."""
    rng, rows, points = np.random.default_rng(0), [], []
    for passes, seed in itertools.product((2, 4, 8), range(4)):
        gap, gains = float(rng.uniform(0, 0.3)), rng.normal(0, 0.02, 2)
        for loss, more in (("hard labels", 0.7), ("soft labels", 0.0), ("confidence loss 0.5", 1.0)):
            found = {"accuracy": 0.8 + more * gains[0], "trusted_accuracy": 0.9 + more * gains[1]}
            names = {"part": "gaps", "passes": passes, "loss": loss, "seed": seed}
            rows.append(names | {"weak": 0.99 - gap, "ceiling": 0.99} | found)
        points.append((gap, *gains))
    rows.append(rows[-1] | {"seed": 9})
    claim = next(one for one in findings.FINDINGS if one.claim.startswith("The larger the gap"))
    gaps, end, trusted = zip(*points, strict=True)
    for measure, changes in ((claim.at_end, end), (claim.measure, trusted)):
        effect = measure(rows)
        assert effect.mean == pytest.approx(np.polyfit(gaps, changes, 1)[0]) and effect.n == 12
    found = scaling.confidence_effect([row for row in rows if row["seed"] < 9], 8, "trusted_accuracy")
    assert found.mean == pytest.approx(np.mean(trusted[8:])) and found.n == 4


def test_the_rates_of_the_ladder_are_those_that_were_right_most_often():
    rows = [
        {"part": "rates", "model": "a", "rate": r, "accuracy": x} for r, x in ((4e-3, 0.9), (1e-3, 0.8), (2e-3, 0.9))
    ]
    assert scaling.chosen_rates(rows) == {"a": 2e-3}  # of two that are level, the lower
    shipped = json.loads((RESULTS / "scaling.json").read_text())
    tried = {(row["model"], row["rate"]) for row in shipped["rows"] if row["part"] == "rates"}
    assert tried == {(name, rate) for name, rates in scaling.CANDIDATES.items() for rate in rates}
    assert scaling.chosen_rates(shipped["rows"]) == scaling.RATES == shipped["rates"]


@pytest.mark.slow
def test_what_is_shipped_says_what_was_measured(tmp_path, capsys):
    """Both pages hold the table that the shipped numbers give; the command changes nothing in them."""
    results = findings.read_results(RESULTS)
    table = findings.findings_table(results)
    for path in (RESULTS / "README.md", RESULTS.parents[1] / "docs" / "findings.md"):
        text = path.read_text(encoding="utf-8")
        place = text[text.index(findings.BEGIN) : text.index(findings.END)]
        assert place.count(table) == place.count(findings.worlds_table(results)) == 1
    shipped = [name for name in STUDIES if (RESULTS / f"{name}.json").is_file()]
    assert set(results) < set(shipped)
    for name in shipped:
        facts = json.loads((RESULTS / f"{name}.json").read_text())
        assert facts["command"].startswith(f"w2s-lab study {name}") and facts["versions"]["torch"]
        text = json.dumps(facts)
        assert "Infinity" not in text and "NaN" not in text
    folder = tmp_path / "data" / "results"
    folder.mkdir(parents=True)
    (folder / "README.md").write_text(f"before {findings.BEGIN} old {findings.END} after")
    assert main(["study", "findings", "--output", str(folder)]) == 2
    assert f"w2s-lab study {min(results)}" in capsys.readouterr().err
    for name in results:
        (folder / f"{name}.json").write_text(json.dumps(results[name]))
    assert main(["study", "findings", "--output", str(folder)]) == 0
    text = (folder / "README.md").read_text()
    assert table in text and text.startswith("before ") and text.endswith(" after") and " old " not in text
    (folder / "README.md").write_text("no place")
    assert main(["study", "findings", "--output", str(folder)]) == 2
    assert "no place for the findings" in capsys.readouterr().err


def test_reasons_belong_to_their_verdict():
    """A reason that was written for another verdict than the measured one would be left out in silence."""
    results = findings.read_results(RESULTS)
    for one in findings.judged(results):
        assert one.finding.because in (("", ""), (one.verdict, one.why)), one.finding.claim
        if one.verdict != "reproduced":
            assert one.why, f"no reason is given for: {one.finding.claim}"


ERRONEOUS = ("soft labels", "confidence loss 0.75", "confident half, balanced", "small loss after an epoch")


def test_what_the_reasons_say_is_in_the_rows():
    """The sentences of docs/findings.md are ours; what they say of numbers is looked up once more."""

    def mean(grid: str, name: str, key: str) -> float:
        return float(np.mean(study.column(study.select(rows, grid=grid, method=name), key)))

    rows = json.loads((RESULTS / "methods.json").read_text())["rows"]
    end, trusted = "accuracy", "trusted_accuracy"
    soft, confident, random, right = "soft labels", "confident half", "random half", "label_accuracy"
    lead = mean("sentiment", "confidence loss 0.5", end) - mean("sentiment", soft, end)
    assert mean("sentiment", "confidence loss 0.5", trusted) - mean("sentiment", soft, trusted) < lead / 2
    assert mean("sentiment", confident, "label_accuracy") > 0.99
    stopping = mean("sentiment", random, trusted) - mean("sentiment", random, end)
    assert stopping > 0.5 * (mean("sentiment", confident, end) - mean("sentiment", random, end))
    average = mean("sentiment", "average of 3 (order)", end) - mean("sentiment", "plain weak labels", end)
    left = mean("sentiment", "average of 3 (order)", trusted) - mean("sentiment", "plain weak labels", trusted)
    assert 0.4 < left / average < 0.6
    plain = "plain weak labels"
    assert mean("sentiment", plain, trusted) - mean("sentiment", plain, end) > average
    assert abs(mean("sentiment", "average of 3 (order)", right) - mean("sentiment", plain, right)) < 0.01
    assert mean("sentiment", "bootstrapping through pocket-m", right) - mean("sentiment", plain, right) > 0.03
    assert mean("summary", plain, end) < mean("summary", plain, "weak")
    assert abs(mean("sentiment", "high IFD", "label_accuracy") - mean("sentiment", random, "label_accuracy")) < 0.02
    assert mean("sentiment", methods.TRUSTED, end) > 0.985 > max(mean("sentiment", name, end) for name in ERRONEOUS)
    agree, drawn = "two supervisors agree", methods.MATCHED["agreement"]
    assert mean("sentiment", agree, "label_accuracy") - mean("sentiment", drawn, "label_accuracy") > 0.02
    assert mean("sentiment", agree, end) - mean("sentiment", drawn, end) < 0.01
    assert 0.025 < mean("sentiment", agree, end) - mean("sentiment", random, end) < 0.035
    untaught = "sentiment, no pre-training"
    plain, spared = (mean(untaught, name, end) for name in ("plain weak labels", "random errors"))
    assert spared < plain < mean(untaught, "plain weak labels", "weak")
    assert mean(untaught, "plain weak labels", "agreement") > mean(untaught, "plain weak labels", "ceiling")
    assert mean("helpdesk", soft, trusted) < mean("helpdesk", "plain weak labels", trusted)
    adapted, plain = (mean("helpdesk", name, trusted) for name in ("adapted to the inputs", "plain weak labels"))
    assert adapted < plain - 0.05


def test_what_the_reasons_on_real_english_say_is_in_the_rows():
    rows = json.loads((RESULTS / "real-methods.json").read_text())["rows"]
    end, trusted, right, imitation = "accuracy", "trusted_accuracy", "label_accuracy", "trusted_imitation"

    def mean(name: str, key: str) -> float:
        return float(np.mean(study.column(study.select(rows, method=name), key)))

    def course(name: str, place: int) -> float:
        return float(np.mean([row["curve"][place][1] for row in study.select(rows, method=name)]))

    sure, right_of_sure, wrong_sure = (
        study.mean_of(study.select(rows, question="labels"), key)["mean"]
        for key in ("sure", "sure_right", "wrong_sure")
    )
    assert 0.44 < sure < 0.5 and 0.25 < wrong_sure < 0.33 and right_of_sure < 0.9
    plain, soft, random = real_methods.HARD, real_methods.SOFT, real_methods.RANDOM
    assert mean(soft, "imitation") - mean(soft, imitation) > 0.03
    assert 0.8 < mean(real_methods.CONFIDENT, right) < 0.86
    assert mean(random, trusted) > mean(real_methods.CONFIDENT, end) > mean(random, end)
    shares = study.column(study.select(rows, method=real_methods.SMALL), "first_answer")
    assert sum(not 0.25 < share < 0.75 for share in shares) > len(shares) / 2
    assert mean(real_methods.BALANCED, right) > mean(real_methods.CONFIDENT, right)
    assert course(plain, 0) < mean(plain, "weak")  # the probe that ranks
    assert all(mean(real_methods.THIRDS, key) < mean(plain, key) for key in (right, trusted))
    assert mean(real_methods.SHARED, right) - mean(real_methods.SHARE, right) > 0.01
    assert abs(mean(real_methods.EARLIER, right) - mean(plain, right)) < 0.005
    assert mean(real_methods.EARLIER, imitation) - mean(plain, imitation) > 0.03
    (learnt,) = (row for row in rows if row["question"] == "adaptation")
    assert learnt["after"] < learnt["before"] / 2 and 0 < mean(real_methods.ADAPTED, end) - mean(plain, end) < 0.01
    stopping = {name: mean(name, trusted) - mean(name, end) for name in (plain, real_methods.TRUTH)}
    assert 0.15 < stopping[real_methods.TRUTH] / stopping[plain] < 0.25
    moments = json.loads((RESULTS / "real-methods.json").read_text())["effects"]
    ahead = [one["name"] for one in moments["where 100 trusted examples choose"] if one["verdict"] == "helps"]
    assert ahead == [real_methods.THIRDS]


@pytest.mark.parametrize("rule", methods.MATCHED)
def test_a_matched_control_has_as_many_of_each_answer(rule, closed_set, monkeypatch):
    """And they are drawn by the seed, not by the rule."""
    scores = np.linspace(-1, 1, len(closed_set))
    monkeypatch.setattr(methods, "as_long", lambda own, labels: labels)
    chosen = replace(methods.RULES[rule], score=lambda labels: scores)
    own = SimpleNamespace(labels=closed_set, seed=0)
    treated, control = methods.kept(own, chosen), methods.matched(own, chosen)
    assert Counter(control.answers) == Counter(treated.answers) and set(control.ids) <= set(closed_set.ids)
    assert set(control.ids) != set(treated.ids)
    own.seed = 1
    assert set(methods.matched(own, chosen).ids) != set(control.ids)
    assert methods.method(chosen.half).control == methods.MATCHED[rule] in methods.CLOSED


def test_a_claim_has_a_source():
    assert len({one.claim for one in findings.all_findings()}) == len(findings.all_findings()) >= 14
    assert all(one.source[-1] not in ",;" and one.quantity for one in findings.FINDINGS)


# -- the dials of the losses -----------------------------------------------------------------------------------------


def test_two_dials_that_mean_one_training_are_one_run():
    found = losses.dials()
    weights = 1 + (len(losses.WEIGHTS) - 1) * len(losses.SCHEDULES)  # each schedule of 0 is the same
    assert len(found) == len(set(found)) == 2 * weights + len(losses.TEMPERATURES) + len(losses.ALPHAS) - 1
    assert {losses.Dial("lambda", 0.0, schedule).run for schedule in losses.SCHEDULES} == {losses.PLAIN}
    assert losses.Dial("alpha", 0.0).run == losses.Dial("temperature", 1.0) in found
    asked = losses.Dial("lambda", 2.0, "cosine", losses.TRUTH)
    assert asked.run == asked and asked.loss == Distillation(2.0, "cosine")
    assert losses.PLAIN.loss == MaximumLikelihood() and losses.Dial("alpha", 0.75).loss == AuxiliaryConfidence(0.75)
    logits, probs = torch.randn(6, 3).log_softmax(-1), torch.rand(6, 3).softmax(-1)
    targets = Targets(probs, probs.argmax(-1), (0.3, 0.3, 0.4), 0.7)
    assert torch.allclose(AuxiliaryConfidence(0.0)(logits, targets), losses.Dial("alpha", 0.0).loss(logits, targets))


def test_rows_of_a_dial():
    plain = {"dial": "lambda", "value": 0.0, "schedule": "constant", "answers": "weak labels"}
    rows = [plain | {"seed": 1}, plain | {"seed": 0}, plain | {"seed": 0, "value": 2.0}]
    assert losses.rows_at(rows, losses.Dial("lambda", 0.0, "cosine")) == [rows[1], rows[0]]
    assert losses.rows_at(rows, losses.Dial("alpha", 0.5)) == []


def test_rules_that_people_take_over_are_right_and_counted():
    rows = json.loads((RESULTS / "policy.json").read_text())["rows"]
    share, right = policy.with_people(rows, "mixed", ["window", "defect"])
    parts, expected = [], []
    for seed in range(8):
        row = next(row for row in rows if row["arm"] == "mixed" and row["seed"] == seed)
        test = load_splits("helpdesk-v2", seed=seed, sizes=policy.SIZES).test
        theirs = [tag for example in test.examples for tag in example.tags if tag in ("window", "defect")]
        parts.append(len(theirs) / len(test))
        expected.append(row["accuracy"] + sum(1 - row[f"rule {tag}"] for tag in theirs) / len(test))
    assert share == pytest.approx(np.mean(parts)) and right == pytest.approx(np.mean(expected))
    assert policy.workload(["window", "defect"]) == pytest.approx(parts[0])
    with pytest.raises(ValueError, match="member, rule-changed share tickets"):
        policy.with_people(rows, "mixed", ["member", "rule-changed"])
