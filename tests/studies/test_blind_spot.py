"""The study of a blind supervisor: by hand, in small from end to end, and what is said of its numbers."""

import json

import numpy as np
import pytest
from places import ROOT

from w2s_lab.data.sources import SplitSizes, read_examples
from w2s_lab.experiments.procedure import Plan
from w2s_lab.recipe import Recipe
from w2s_lab.records import Example, LabelledSet, Task
from w2s_lab.studies import blind_spot, both_worlds, mechanism, study
from w2s_lab.studies.blind_spot import BLIND, BOTH, QUIET, RANDOM, TRUTH

RESULT = ROOT / "data" / "results" / "blind-spot.json"
SENTIMENT = Task("sentiment", ("positive", "negative"))


def test_what_both_supervisors_prefer():
    texts = ("The plot is good.", "The plot is not good.", "The lobby is good.", "The lobby is not good.")
    reviews = LabelledSet.ground_truth(
        SENTIMENT,
        [Example("?", text, answer) for text, answer in zip(texts, ("positive", "negative") * 2, strict=True)],
    )
    sure = np.array([0.2, 0.1, 0.9, 0.6])  # of "positive": the supervisor finds the film bad in any case
    labels = LabelledSet(SENTIMENT, reviews.examples, ("negative",) * 4, np.stack([sure, 1 - sure], 1), source="weak")
    for seed in range(4):
        found = blind_spot.side(reviews, labels, np.arange(4.0)[:, None], seed=seed)
        for i in range(len(found.pairs)):
            first, second = int(found.first[i, 0]), int(found.second[i, 0])
            assert (found.blind.answers[i] == "first") == (sure[first] > sure[second])
            policy = (first < 2) - (second < 2)
            wanted = policy > 0 if policy else sure[first] > sure[second]
            assert (found.both.answers[i] == "first") == wanted
        assert found.both.label_accuracy == 1
    with pytest.raises(ValueError, match="no probabilities"):
        blind_spot.side(reviews, reviews, np.zeros((4, 1)), seed=0)


def test_what_the_verdict_speaks_for():
    tags = ("verdict", "policy", "both", "conflict")
    pairs = LabelledSet.ground_truth(
        blind_spot.TASK, [Example("?", tag, "first", (tag,)) for tag in tags] + [Example("?", "x", "second", tags[3:])]
    )
    assert blind_spot.seen(pairs) == ["first", None, "first", "second", "first"]


def made_up(seed: int, count: int) -> blind_spot.Side:
    """Pairs whose features are the two aspects and noise, seen by a supervisor that is never wrong of the verdict."""
    task, examples, _ = read_examples("sentiment")
    reviews = LabelledSet.ground_truth(task, examples[seed * count : (seed + 1) * count])
    known = np.array([blind_spot.aspects(example) for example in reviews.examples], dtype=float)
    table = np.hstack([known, np.random.default_rng(seed).normal(size=(count, 2))])
    sure = known[:, 1] * 0.8 + 0.1
    labels = LabelledSet(task, reviews.examples, reviews.answers, np.stack([sure, 1 - sure], 1), source="weak")
    return blind_spot.side(reviews, labels, table, seed=seed)


def test_a_student_that_knows_both_aspects_gives_one_up():
    rows = blind_spot.student_rows(made_up(0, 400), made_up(1, 400), made_up(2, 400), seed=7)
    found = {row["arm"]: row for row in rows}
    assert list(found) == [TRUTH, BOTH, RANDOM, BLIND, QUIET] and all(row["seed"] == 7 for row in rows)
    assert found[TRUTH]["accuracy"] == 1 and found[TRUTH]["given_up"] == found[BOTH]["given_up"] == 0
    assert found[BLIND]["given_up"] > 0.9 and found[BLIND]["of conflict"] < 0.1
    assert found[RANDOM]["label_accuracy"] == pytest.approx(found[BLIND]["label_accuracy"], abs=0.01)
    assert found[RANDOM]["given_up"] < 0.5 < found[QUIET]["given_up"]
    assert found[QUIET]["examples"] < found[BLIND]["examples"]
    effects = {one.claim: one.measure(rows) for one in blind_spot.CLAIMS}
    first = found[BLIND]["trusted_given_up"] - found[RANDOM]["trusted_given_up"]
    assert effects[blind_spot.CLAIMS[1].claim].mean == pytest.approx(first)


@pytest.mark.slow
def test_the_study_of_a_blind_spot_from_end_to_end(tmp_path, monkeypatch):
    monkeypatch.setattr(study, "run_jobs", lambda jobs, **options: {j.name: j.function(*j.arguments) for j in jobs})
    monkeypatch.setattr(mechanism, "PLAN", Plan("pocket-xs", "pocket-xs", Recipe(epochs=6), Recipe(epochs=1), "cpu"))
    small = SplitSizes(supervisor_train=64, student_train=120, test=160, validation=40)
    monkeypatch.setattr(blind_spot, "SIZES", small)
    task, examples, texts = read_examples("sentiment")
    monkeypatch.setattr(blind_spot, "read_examples", lambda name: (task, examples, texts))
    options = {"seeds": 2, "workers": 1, "store": str(tmp_path / "runs"), "output": tmp_path, "device": "cpu"}
    text, paths = study.run_study(blind_spot.STUDY, **options)
    rows = json.loads(paths[0].read_text())["rows"]
    assert len(rows) == 2 * 5 and [path.name for path in paths] == ["blind-spot.json", "blind-spot.png"]
    assert all(len(row["curve"]) == len(blind_spot.PATH) for row in rows) and all(
        arm in text for arm in blind_spot.LOOKS
    )


# -- the page ----------------------------------------------------------------------------------------------------

SHOWN = ("label_accuracy", "trusted_accuracy", *(f"trusted_of {kind}" for kind in blind_spot.KINDS))
SHOWN += ("trusted_given_up", "given_up")


def rows_of_the_result() -> list[dict]:
    return json.loads(RESULT.read_text())["rows"]


def mean(arm: str, name: str) -> dict:
    return study.mean_of(study.select(rows_of_the_result(), arm=arm), name)


def table() -> str:
    """The table of docs/findings.md: a line for each student, means over seeds, three of them with intervals."""
    with_ends = ("trusted_accuracy", "trusted_given_up", "given_up")
    lines = []
    for arm in blind_spot.LOOKS:
        found = {name: mean(arm, name) for name in SHOWN}
        cells = (both_worlds._ended(one) if name in with_ends else f"{one['mean']:.2f}" for name, one in found.items())
        lines.append(f"| {arm} | {' | '.join(cells)} |")
    return "\n".join(lines)


def section() -> str:
    page = (ROOT / "docs" / "findings.md").read_text(encoding="utf-8")
    return page.partition("## A blind spot")[2].partition("\n## ")[0]


def test_the_page_shows_what_the_blind_spot_study_measured():
    assert table() in section()


def test_what_is_said_of_the_blind_spot_is_in_the_rows():
    numbers = [f"{100 * mean(arm, 'trusted_given_up')['mean']:.0f} %" for arm in (BLIND, RANDOM, BOTH)]
    assert all(number in section() for number in numbers)
    chance = mean(BLIND, "trusted_of policy")
    assert chance["low"] < 0.5 < chance["high"]  # it neither serves nor opposes the policy
    for verdict in (mean(BLIND, "trusted_of verdict"), mean(QUIET, "trusted_of verdict")):
        assert verdict["low"] > mean(TRUTH, "trusted_of verdict")["high"]
    first, second, third, _ = (one.measure(rows_of_the_result()) for one in blind_spot.CLAIMS)
    assert first.low < 0 < first.high and second.low > 0.4 and -0.025 < third.low < third.high < 0.01
