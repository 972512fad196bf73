"""Sentences of the pages that no table repeats: what they say of numbers, looked up in the rows once more."""

import json
import re
from dataclasses import asdict
from functools import cache

import numpy as np
import pytest
from places import ROOT

from w2s_lab.experiments.effects import Effect, difference
from w2s_lab.studies import methods, real_methods, recipes, scaling, tilt
from w2s_lab.studies.measures import AT_END, AT_TRUSTED, paired_by_seed, values_by_seed
from w2s_lab.studies.study import POCKET, mean_of, select


@cache
def facts(name: str) -> dict:
    return json.loads((ROOT / "data" / "results" / f"{name}.json").read_text(encoding="utf-8"))


def said(page: str) -> str:
    """A page on one line."""
    return " ".join((ROOT / page).read_text(encoding="utf-8").split())


def apart(study: str, name: str, treated: dict, control: dict, other: str | None = None) -> Effect:
    """A number of some rows minus one of others, by seed."""
    rows = facts(study)["rows"]
    return paired_by_seed(values_by_seed(rows, name, **treated), values_by_seed(rows, other or name, **control))


def ahead(effects: list[dict]) -> set[str]:
    """The remedies that help: no true answers instead of weak labels, and no errors of our own choice."""
    left_out = {methods.TRUSTED, real_methods.TRUSTED, "random errors"}
    return {one["name"] for one in effects if one["verdict"] == "helps"} - left_out


def test_how_many_remedies_are_left_when_students_are_stopped():
    found = facts("methods")["summary"]["sentiment"]
    end, stopped = (ahead(found[moment]) for moment in ("effects", "effects at the trusted snapshot"))
    real = [ahead(facts("real-methods")["effects"][moment]) for moment in real_methods.MOMENTS]
    counts = re.search(
        r"(\d+) of the (\d+) remedies .*? sentiment .*? (\d+) of (\d+) on real English", said("README.md")
    )
    assert [int(one) for one in counts.groups()] == [len(end & stopped), len(end), len(real[0] & real[1]), len(real[0])]
    starred = {one["name"] for one in found["effects at the trusted snapshot"] if one["holm"]}
    named = {  # how docs/findings.md calls those that have no star
        "small loss after an epoch": "the small-loss half",
        "soft labels, temperature 2": "soft labels at temperature 2",
        "weak labels + KL, cosine to 0": "weak labels with a KL term that falls to 0",
        "confident half, balanced": "the confident half with as many labels of each answer",
        "vote of 3 (order)": "the vote of three",
    }
    assert (end & stopped) - starred == set(named)
    assert all(words in said("docs/findings.md") for words in named.values())


def test_the_numbers_between_the_tables_are_those_of_the_rows():
    page = said("docs/findings.md")
    pairs = [select(facts("scaling")["rows"], weak_model="pocket-s", strong_model=f"pocket-{size}") for size in "ml"]
    end, stopped = ([mean_of(own, name)["mean"] for own in pairs] for name in ("pgr", "trusted_pgr"))
    assert "(PGR {:.2f} for pocket-m, {:.2f} for pocket-l)".format(*end) in page
    assert "stop them ({:.2f} and {:.2f})".format(*stopped) in page
    rows = select(facts("recipes")["rows"], part="grid", rate=recipes.BEST_FOR_TRUTH[0])
    one, two = (mean_of(select(rows, passes=passes), "pgr")["mean"] for passes in (1, 2))
    assert f"mean PGR is {one:.2f} after one pass and {two:.2f} after two" in page
    rows = select(facts("methods")["rows"], grid="helpdesk")
    taught, weak = (mean_of(select(rows, method=name), AT_END)["mean"] for name in (methods.TRUSTED, methods.PLAIN))
    assert (
        f"on the helpdesk task in {100 * taught:.0f} %, where students of weak labels reach {100 * weak:.0f} %" in page
    )
    agree, drawn = (
        {"grid": "sentiment", "method": name} for name in ("two supervisors agree", methods.MATCHED["agreement"])
    )
    assert difference(apart("methods", AT_TRUSTED, agree, drawn)) in page
    slices = facts("run-helpdesk")["slices"]["member"]
    assert (
        f"({100 * slices['weak supervisor']:.0f} % right)" in page
        and f"({100 * slices['strong student']:.0f} %)" in page
    )
    doubled = facts("mechanism")["slices"]["double-negation"]
    assert f"({100 * doubled['student at best']:.0f}% against {100 * doubled['weak']:.0f}%)" in page
    (learnt,) = (row for row in facts("real-methods")["rows"] if row["question"] == "adaptation")
    words = "perplexity of {texts} that it has not read falls from {before:.0f} to {after:.0f}"
    assert words.format(**learnt) in page
    adapted, plain = ({"question": "methods", "method": one} for one in (real_methods.ADAPTED, real_methods.HARD))
    assert f"gains {difference(apart('real-methods', AT_TRUSTED, adapted, plain))} over" in page
    window = {one["name"]: one for one in facts("policy")["by rule"]["window"]}
    for arm in ("human set last", "human set only"):
        assert "({mean:+.2f} [{low:+.2f}, {high:+.2f}])".format(**window[arm]) in page
        assert window[arm]["high"] < 0
    every = {one["name"]: one for one in facts("policy")["effects"]}
    assert "({mean:+.2f} [{low:+.2f}, {high:+.2f}])".format(**every["changed rule filtered"]) in page
    last, only = ({"arm": f"human set {when}"} for when in ("last", "only"))
    assert apart("policy", "accuracy", last, only).verdict == "cannot tell"


def test_random_weights_leave_hardly_a_gap():
    untaught = {"grid": "sentiment, no pre-training", "method": methods.PLAIN}
    gap = apart("methods", "ceiling", untaught, untaught, "weak")
    assert gap.low < 0 < gap.high and difference(gap) in said("docs/findings.md")
    gaps = [row["ceiling"] > row["weak"] for row in select(facts("methods")["rows"], **untaught)]
    assert (sum(gaps), len(gaps)) == (5, 8)


def test_gain_and_misfit_count_every_student_once():
    tuned = [name for kind, names in methods.MISFIT.items() if "probe" not in kind for name in names]
    rows = facts("methods")["rows"]
    own = [row for row in rows if row["grid"] in methods.MISFIT_GRIDS and row["method"] in tuned]
    students = {(name, tuple(values_by_seed(own, "misfit", grid="sentiment", method=name).values())) for name in tuned}
    assert len({misfits for _, misfits in students}) == len(tuned)  # no two methods have the same student in each seed
    found = methods.misfit_slope(rows)
    assert len(own) == found.n and facts("methods")["gain against misfit"] == asdict(found)
    alone = methods.misfit_slope(select(rows, grid="sentiment"))
    assert f"slope is {alone.slope:+.2f} [{alone.low:+.2f}, {alone.high:+.2f}]" in said("docs/findings.md")


def test_most_of_what_own_size_costs_is_of_one_rung():
    rows = [row for row in facts("scaling")["rows"] if row["part"] == "pairs"]
    lost = {
        name: apart("scaling", AT_END, own, own, "weak").mean
        for name in scaling.RATES
        for own in [{"part": "pairs", "weak_model": name, "strong_model": name}]
    }
    assert lost["pocket-s"] / sum(lost.values()) > 0.75
    assert all(mean_of(select(rows, weak_model=f"pocket-{size}"), "weak")["mean"] > 0.99 for size in "ml")


@pytest.mark.parametrize("kind", tilt.LABELS)
def test_the_first_swing_has_its_dip_at_one_of_two_steps(kind):
    for seed in range(8):
        rows = [
            row
            for row in select(facts("tilt")["rows"], world=POCKET, labels=kind, seed=seed)
            if 16 <= row["step"] <= 48
        ]
        assert min(rows, key=lambda row: row["accuracy"])["step"] in (32, 40)


def test_no_cells_of_clusters_are_seen_to_beat_the_supervisor():
    for k in (10, 20, 40, 80):
        own = {"question": "cells", "cells": f"{k} clusters"}
        gain = apart("majorities", "predicted", own, own, "weak")
        assert gain.low < gain.mean < 0 < gain.high


def test_what_is_said_of_real_english_is_in_the_rows():
    page = said("docs/real_english.md")
    second = select(facts("real-probe")["rows"], question="second")
    ratios = []
    for n in (50, 100, 400):
        own = select(second, supervisor=f"bag-of-words:{n}")
        random, weak = (mean_of(select(own, arm=arm), "pgr")["mean"] for arm in ("random errors", "weak labels"))
        ratios.append(round(2 * random / weak) / 2)
    assert (min(ratios), max(ratios)) == (1.5, 3) and "one and a half to three times as much of the gap" in page

    def tuned(treated: str, control: str, name: str = AT_END) -> Effect:
        return apart("real-tuning", name, *({"question": "students", "arm": arm} for arm in (treated, control)))

    assert tuned("errors by words", "weak labels").high < 0 < tuned("errors by words", "weak labels", AT_TRUSTED).high
    assert tuned("labels of bag-of-words:400", "weak labels").verdict == "cannot tell"
    for name in (AT_END, AT_TRUSTED):
        assert tuned("random errors, 3 passes", "weak labels, 3 passes", name).verdict == "cannot tell"
    gains = {}
    for study in ("real-tuning", "real-probe"):
        for task in ("product-reviews", "editorials", "short-messages"):
            own = {"question": "transfer", "arm": "weak labels", "task": task}
            gains[study, task] = apart(study, AT_END, own, own, "weak").verdict
    assert {where for where, verdict in gains.items() if verdict != "helps"} == {("real-probe", "short-messages")}
    shares = [
        float(one) / 100
        for one in re.search(r"alone is right in (\d+) % .*? (\d+) % .*? (\d+) % of the short", page).groups()
    ]
    counts = [re.search(rf"\| `{task}` (?:\| [\d,]+ ){{4}}\| ([\d,]+) \| ([\d,]+) ", page).groups()
              for task in ("product-reviews", "editorials", "short-messages")]  # fmt: skip
    for share, pair in zip(shares, counts, strict=True):
        numbers = [int(one.replace(",", "")) for one in pair]
        assert share == pytest.approx(max(numbers) / sum(numbers), abs=0.005)
    rows = select(facts("real-probe")["rows"], question="transfer", arm="weak labels", task="short-messages")
    assert mean_of(rows, AT_END)["high"] < shares[-1]
    assert np.mean([row["weak"] for row in rows]) < shares[-1]
