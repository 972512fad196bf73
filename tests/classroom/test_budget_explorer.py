"""The budget explorer: what it calls affordable, best and next, against plain loops over the study's rows."""

import math
from statistics import fmean, stdev

import pytest
from pictures import stored

from w2s_lab.classroom.dashboards.budget_explorer import best_affordable, budget_explorer, measured_grid
from w2s_lab.classroom.toolkit.measured import measured
from w2s_lab.methods import mixing
from w2s_lab.methods.mixing import Measured

STUDY = measured("budget")
GRID = measured_grid(STUDY)


def rows(human: int, weak: int, way: str = "mixed in") -> list[float]:
    found = [r for r in STUDY["rows"] if (r["human"], r["weak_labels"], r["way"]) == (human, weak, way)]
    return [row["accuracy"] for row in found]


def test_the_grid_has_the_studys_means_and_standard_errors():
    assert [[p.human, p.weak] for p in GRID] == [point[:2] for point in STUDY["grid"]]
    for point, (human, weak, accuracy, _) in zip(GRID, STUDY["grid"], strict=True):
        own = rows(human, weak)
        assert point.accuracy == pytest.approx(accuracy, abs=1e-5) == pytest.approx(fmean(own), abs=1e-5)
        assert point.error == pytest.approx(stdev(own) / math.sqrt(len(own)))
    (last,) = measured_grid(STUDY, "last")
    assert (last.human, last.weak) == (100, 1500) and last.accuracy == pytest.approx(fmean(rows(100, 1500, "last")))


@pytest.mark.parametrize("budget", (100, 600, 1500, 3000, 20_000))
@pytest.mark.parametrize("price", (1, 10, 100))
def test_the_best_that_can_be_paid(price, budget):
    def cost(point: Measured) -> float:
        return point.human * price + point.weak * 1.0

    paid = [point for point in GRID if cost(point) <= budget]
    found = best_affordable(GRID, budget, human_cost=price, weak_cost=1.0)
    if not paid:
        assert found is None
    else:
        most = max(point.accuracy for point in paid)
        assert found == min((p for p in paid if p.accuracy == most), key=cost)


def test_prices_and_budget_move_the_picture_and_the_sentence():
    panel = budget_explorer(STUDY).set(human_price=10.0, weak_price=1.0, budget=1000.0)
    paid = [p for p in GRID if 10 * p.human + p.weak <= 1000]
    best = max(paid, key=lambda p: p.accuracy)
    assert panel.view.says.startswith(f"With 1,000 units, {len(paid)} of {len(GRID)} measured plans can be paid.")
    assert f"{best.human:,} human and {best.weak:,} weak labels, accuracy {best.accuracy:.3f}" in panel.view.says
    series = {s.name: s for s in panel.view.charts[0].series}
    assert len(series["too dear"].x) == len(GRID) - len(paid)
    assert list(series["the best that can be paid"].x) == [10 * best.human + best.weak]
    front = mixing.frontier(GRID, human_cost=10.0, weak_cost=1.0)
    line = series["frontier: the most for the money"]
    assert {p.accuracy for p in front} == set(line.y) and line.y[-1] == front[-1].accuracy
    panel.set(human_price=100.0)
    assert list(next(s for s in panel.view.charts[0].series if s.name.startswith("the best")).x) != [1000]


def test_the_next_purchase_is_that_of_mixing():
    panel = budget_explorer(STUDY).set(human_price=100.0, weak_price=1.0, budget=500.0)
    at = next(p for p in GRID if (p.human, p.weak) == (0, 500))
    human, weak = mixing.next_unit(GRID, at, human_cost=100.0, weak_cost=1.0)
    assert f"{human.per_unit * 100:+.4f} ± {human.error * 100:.4f}" in panel.view.html
    assert f"{weak.to.accuracy - at.accuracy:+.3f}" in panel.view.html and "1,000 more weak labels" in panel.view.html


def test_too_little_money_says_so_and_the_end_of_the_grid_too():
    panel = budget_explorer(STUDY).set(human_price=100.0, weak_price=5.0, budget=100.0)
    assert panel.view.says == f"With 100 units, 0 of {len(GRID)} measured plans can be paid." and not panel.view.html
    panel.set(human_price=1.0, budget=12_000.0)
    assert "the grid ends here" in panel.view.html


def test_a_sure_gain_names_the_kind_of_label():
    made = {"task": "made up", "rows": []}
    for human, weak, accuracy in ((0, 100, 0.7), (50, 100, 0.9), (0, 200, 0.71), (50, 200, 0.9)):
        for seed in range(3):
            row = {"human": human, "weak_labels": weak, "way": "mixed in", "seed": seed, "ceiling": 0.95}
            made["rows"].append(row | {"accuracy": accuracy + seed / 10_000})
    panel = budget_explorer(STUDY, made).set(task="made up", human_price=10.0, weak_price=1.0, budget=150.0)
    assert panel.view.says.endswith("From there the next unit helps most in human labels: +0.040 per 100 units.")
    panel.set(task="sentiment")
    assert f"of {len(GRID)} measured plans" in panel.view.says


def test_stored_it_is_a_picture_and_words():
    found = stored(budget_explorer())
    assert found["text/plain"].startswith("Budget explorer [task sentiment, human price 10, weak price 1")
