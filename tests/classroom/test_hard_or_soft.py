"""Hard and soft labels of a real model: the panel shows the study's numbers, or says that there are none yet."""

import numpy as np
import pytest
from pictures import stored
from real_results import results
from scipy import stats

from w2s_lab import assets
from w2s_lab import classroom as room
from w2s_lab.classroom.dashboards.hard_or_soft import ARMS, NOT_MEASURED, SHOW
from w2s_lab.studies import real_tuning


@pytest.fixture(scope="module")
def study() -> dict:
    return results()["real-tuning"]


def runs(study: dict, arm: str) -> list[dict]:
    return [row for row in study["rows"] if row["question"] == "students" and row["arm"] == arm]


def test_the_made_up_rows_are_of_the_studys_form(study):
    assert set(ARMS.values()) <= set(real_tuning.ARMS)
    assert "undefined" not in real_tuning.real_tuning_text(study["rows"])


@pytest.mark.parametrize("labels", list(ARMS))
@pytest.mark.parametrize(("show", "place"), list(SHOW.items()))
def test_the_curves_are_those_of_the_study(study, labels, show, place):
    panel = room.hard_or_soft(study).set(labels=labels, show=show)
    own = runs(study, ARMS[labels])
    chart = panel.view.charts[0]
    *seeds, other, mean = chart.series
    assert [list(s.y) for s in seeds] == [[point[place] for point in row["curve"]] for row in own]
    assert mean.y == pytest.approx(np.mean([[p[place] for p in row["curve"]] for row in own], axis=0))
    (name,) = set(ARMS) - {labels}
    assert other.y[-1] == pytest.approx(np.mean([row["curve"][-1][place] for row in runs(study, ARMS[name])]))
    levels = [np.mean([row[role] for row in own]) for role in ("weak", "ceiling")] if place == 1 else []
    assert [mark.at for mark in chart.marks] == pytest.approx(levels)


def test_the_effect_is_paired_by_seed(study):
    panel = room.hard_or_soft(study)
    hard, soft = ([row["accuracy"] for row in runs(study, arm)] for arm in ARMS.values())
    off = np.subtract(soft, hard)
    low, high = stats.t.interval(0.95, len(off) - 1, off.mean(), stats.sem(off))
    assert f"accuracy {np.mean(soft):.3f} at the end, mean of 5 seeds" in panel.view.says
    assert f"{off.mean():+.3f} [{low:+.3f}, {high:+.3f}]" in panel.view.says
    assert [bar.value for bar in panel.view.charts[1].bars] == pytest.approx([np.mean(hard), np.mean(soft)])
    assert stored(panel)["text/plain"].startswith("Hard or soft weak labels")


def test_without_the_file_it_says_that_nothing_was_measured(tmp_path, monkeypatch):
    monkeypatch.setattr(assets, "RESULTS", tmp_path)
    panel = room.hard_or_soft()
    assert panel.view.says == NOT_MEASURED and "w2s-lab study real-tuning" in panel.view.says
    assert panel._repr_mimebundle_()[0]["text/plain"].endswith(NOT_MEASURED)


def test_a_study_without_an_arm_is_refused(study):
    rows = [row for row in study["rows"] if row["arm"] != "soft weak labels"]
    with pytest.raises(ValueError, match="hard_or_soft: 0 runs with soft labels; expected some"):
        room.hard_or_soft(study | {"rows": rows})
