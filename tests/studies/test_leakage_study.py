"""The study of the leakage dial: its measures by hand, itself in small, and what the page says of its numbers."""

import json
from dataclasses import replace

import pytest
import torch
from places import ROOT

from w2s_lab.data.sources import SplitSizes
from w2s_lab.experiments.effects import paired_effect
from w2s_lab.models.loading import load_model
from w2s_lab.recipe import Recipe
from w2s_lab.studies import both_worlds, leakage, scaling, study
from w2s_lab.studies.study import REPRODUCED, mean_of, select

RESULTS = ROOT / "data" / "results"
TINY = SplitSizes(supervisor_train=64, student_train=64, test=40, validation=20)


def test_what_a_model_says_is_the_likelier_of_the_words():
    """Against the same network of transformers, one text at a time."""
    from transformers import AutoModelForCausalLM, AutoTokenizer

    folder = ROOT / "data" / "models" / "pocket-s"
    network, tokenizer = AutoModelForCausalLM.from_pretrained(folder).eval(), AutoTokenizer.from_pretrained(folder)
    texts = ["The plot is good.", "I did not find the menu great.", "The bed was awful and the view was bad.", "Hm."]
    truth = ["positive", "negative", "negative", "negative"]
    right = []
    for text, true in zip(texts, truth, strict=True):
        with torch.no_grad():
            logits = network(**tokenizer(f"{text} My verdict is", return_tensors="pt")).logits[0, -1]
        score = {word: float(logits[tokenizer(f" {word}")["input_ids"][-1]]) for word in ("positive", "negative")}
        right.append(max(score, key=score.__getitem__) == true)
    found = leakage.share_said(load_model("pocket-s", device="cpu"), texts, "My verdict is", truth)
    assert found == sum(right) / 4 > 0


def rows_of(gap: float) -> list[dict]:
    """Two seeds; the supervisor is right in 70 and 72 %, the student a tenth more often with full leakage."""
    return [
        {"part": "students", "leakage": share, "seed": seed, "weak": weak, "ceiling": weak + gap + 0.01 * seed}
        | {"accuracy": weak + 0.1 * share, "trusted_accuracy": weak + 0.02 + 0.1 * share + 0.001 * seed}
        for share in leakage.SHARES
        for seed, weak in enumerate((0.7, 0.72))
    ]


def test_the_claims_by_hand():
    profits, surpasses = leakage.CLAIMS
    rows = rows_of(gap=0.2)
    assert profits.measure(rows).mean == profits.at_end(rows).mean == pytest.approx(0.1)
    assert surpasses.measure(rows).mean == pytest.approx(0.0205) and surpasses.at_end(rows).mean == pytest.approx(0)
    assert surpasses.verdict(surpasses.measure(rows)) == REPRODUCED and surpasses.condition(rows) == ""
    assert "the ceiling minus the supervisor is +0.005" in surpasses.condition(rows_of(gap=0.0))


@pytest.mark.slow
def test_the_study_of_the_dial_from_end_to_end(tmp_path, monkeypatch):
    monkeypatch.setattr(study, "run_jobs", lambda jobs, **options: {j.name: j.function(*j.arguments) for j in jobs})
    monkeypatch.setattr(leakage, "SHARES", (0.0, 1.0))
    monkeypatch.setattr(leakage, "CANDIDATES", (5e-4, 1e-3))
    monkeypatch.setattr(leakage, "RATES", {0.0: 5e-4, 1.0: 1e-3})
    monkeypatch.setattr(leakage, "RECIPE", Recipe(epochs=1, learning_rate=1e-3, eval_every=1))
    monkeypatch.setattr(leakage, "SIZES", TINY)
    monkeypatch.setattr(leakage, "TRIED", replace(TINY, student_train=2, test=2))
    options = {"seeds": 2, "workers": 1, "store": str(tmp_path / "runs"), "output": tmp_path, "device": "cpu"}
    text, paths = study.run_study(leakage.STUDY, **options)
    facts = json.loads(paths[0].read_text())
    assert [path.name for path in paths] == ["leakage.json", "leakage.png"] and paths[1].stat().st_size > 1000
    by = {(row["leakage"], row["seed"]): row for row in select(facts["rows"], part="students")}
    assert sorted(by) == [(0.0, 0), (0.0, 1), (1.0, 0), (1.0, 1)]
    for seed in (0, 1):
        none, full = by[0.0, seed], by[1.0, seed]
        assert none["weak"] == full["weak"] and none["label_accuracy"] == full["label_accuracy"]  # one supervisor
        assert full["said"] > 0.9 > 0.7 > none["said"] and min(none["kind"], full["kind"]) > 0.9
        assert none["readable_mean"] < full["readable_mean"]
    assert facts["shares"][0]["ceiling"]["n"] == 2 and "100 %" in text
    assert set(facts["rates tried"]["chosen"]) == {"pocket-m-0", "pocket-m"}


# -- what is shipped -------------------------------------------------------------------------------------------------


def shipped() -> dict:
    return json.loads((RESULTS / "leakage.json").read_text())


def test_the_rates_are_those_that_were_chosen():
    facts = shipped()
    rates = {leakage.model_of(share): rate for share, rate in leakage.RATES.items()}
    assert scaling.chosen_rates(facts["rows"]) == facts["rates tried"]["chosen"] == rates
    tried = {(row["leakage"], row["rate"]) for row in facts["rows"] if row["part"] == "rates"}
    assert tried == {(share, rate) for share in leakage.SHARES for rate in leakage.CANDIDATES}


def test_every_model_that_takes_part_has_left_the_plateau():
    rows = select(shipped()["rows"], part="students")
    assert {row["leakage"] for row in rows} == set(leakage.SHARES) and len(rows) == 8 * len(leakage.SHARES)
    assert min(row["kind"] for row in rows) > 0.9


TABLE = ("weak", "accuracy", "trusted_accuracy", "ceiling", "pgr", "trusted_pgr", "said", "readable", "readable_mean")


def test_the_page_shows_what_was_measured():
    """The table in docs/findings.md: a line for each share, means over seeds with 95 % intervals."""
    rows, lines = shipped()["rows"], []
    for share in leakage.SHARES:
        own = select(rows, part="students", leakage=share)
        found = {name: mean_of(own, name) for name in TABLE}
        shown = [both_worlds._ended(one) if one["n"] == 8 else f"a gap in {one['n']} of 8" for one in found.values()]
        lines.append(f"| {100 * share:g} % | {' | '.join(shown)} |")
    page = (ROOT / "docs" / "findings.md").read_text(encoding="utf-8")
    assert "\n".join(lines) in page, "\n".join(lines)


def test_what_is_said_of_the_numbers_is_in_the_rows():
    """The sentences of docs/findings.md, looked up once more."""
    rows = shipped()["rows"]

    def effect(first: str, second: str, share: float):
        own = select(rows, part="students", leakage=share)
        return paired_effect("", [row[first] for row in own], [row[second] for row in own])

    for name in ("accuracy", "trusted_accuracy"):
        assert effect(name, "weak", 1.0).low > 0 > effect(name, "weak", 0.0).high
    assert effect("ceiling", "weak", 0.0).high < 0 and leakage.CLAIMS[1].condition(rows)
    for share in (0.0, 0.05, 0.25):
        found = {
            name: mean_of(select(rows, part="students", leakage=share), name)
            for name in (*TABLE, "imitation", "agreement")
        }
        assert found["said"]["low"] < 0.5 < found["said"]["high"]
        assert max(found[name]["high"] for name in ("readable", "readable_mean")) < 0.58
        assert 0.88 < found["imitation"]["mean"] < 0.92 and 0.88 < found["agreement"]["mean"] < 0.93
        assert effect("accuracy", "ceiling", share).verdict == "cannot tell"
    assert {row["said"] for row in select(rows, part="students", leakage=1.0)} == {1.0}
