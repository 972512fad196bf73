"""Choosing labels live: what the picture shows is what an independent computation says of the same selection."""

from dataclasses import replace

import numpy as np
import pytest
from pictures import stored
from sklearn.linear_model import LogisticRegression

from w2s_lab import classroom as room
from w2s_lab.classroom.dashboards.selection_explorer import FRACTIONS, STRENGTH, SelectionExplorer
from w2s_lab.methods.selection import RULES, keep, random_scores
from w2s_lab.records import Example, LabelledSet, Task

TASK = Task("verdict", ("negative", "positive"))
POOL, TEST = 200, 120


def reviews(n: int, kind: str) -> tuple[Example, ...]:
    return tuple(
        Example("Good?", f"{kind} {i}", TASK.answers[i % 2], ("plain",) if i % 5 else ("odd", "late")) for i in range(n)
    )


def states(examples: tuple[Example, ...], seed: int) -> np.ndarray:
    """[N, 6] of which the first two tell the truth, with noise."""
    rng = np.random.default_rng(seed)
    truth = np.array([2.0 * (example.answer == "positive") - 1 for example in examples])
    table = rng.normal(size=(len(examples), 6))
    table[:, :2] += truth[:, None]
    return table.astype(np.float32)


@pytest.fixture(scope="module")
def world() -> dict:
    """A pool with wrong labels where the tag is "odd", a test set, their features and two rules."""
    pool, test = reviews(POOL, "pool"), reviews(TEST, "test")
    flipped = {"negative": "positive", "positive": "negative"}
    answers = tuple(flipped[e.answer] if "odd" in e.tags else e.answer for e in pool)
    rng = np.random.default_rng(3)
    sure = rng.uniform(0.5, 0.9, POOL) + 0.5 * np.array([answer == "positive" for answer in answers])
    oracle = np.array([0.0 if "odd" in e.tags else 1.0 for e in pool]) + 0.1 * rng.uniform(size=POOL)
    return {
        "labels": LabelledSet(TASK, pool, answers, source="weak labels of a test"),
        "scores": {"sure": sure, "oracle": oracle},
        "features": states(pool, 1),
        "test": LabelledSet.ground_truth(TASK, test),
        "test_features": states(test, 2),
    }


@pytest.fixture
def panel(world) -> SelectionExplorer:
    return room.selection_explorer(**world, draws=3)


def probed(world: dict, part: LabelledSet) -> float:
    """Test accuracy of scikit-learn's own logistic regression on standardised features."""
    rows = [world["labels"].ids.index(example_id) for example_id in part.ids]
    x = world["features"][rows].astype(float)
    mean, scale = x.mean(0), x.std(0)
    fitted = LogisticRegression(C=STRENGTH).fit((x - mean) / scale, part.answers)
    return fitted.score((world["test_features"] - mean) / scale, world["test"].answers)


def line(panel: SelectionExplorer, place: int) -> dict[float, float]:
    series = panel.view.charts[0].series[place]
    return dict(zip(series.x, series.y, strict=True))


@pytest.mark.parametrize(
    ("rule", "balanced", "kept"), [("oracle", False, 0.3), ("oracle", True, 0.7), ("sure", True, 0.5)]
)
def test_a_move_fits_a_probe_of_what_is_kept(panel, world, rule, balanced, kept):
    panel.set(rule=rule, balanced=balanced, kept=kept)
    part = keep(world["labels"], world["scores"][rule], kept, balanced=balanced)
    accuracy = probed(world, part)
    assert line(panel, 2)[kept] == pytest.approx(accuracy, abs=1e-9)
    assert line(panel, 0)[kept] == part.label_accuracy
    assert f"{accuracy:.3f} of the test examples" in panel.view.says and f"{len(part)} labels," in panel.view.says
    assert panel.view.charts[0].marks[0].at == kept


def test_bars_show_which_answers_and_slices_are_kept(panel, world):
    panel.set(rule="sure", kept=0.3)
    part = keep(world["labels"], world["scores"]["sure"], 0.3)
    bars = {bar.label: bar for bar in panel.view.charts[1].bars}
    assert list(bars) == ["labelled negative", "labelled positive", "late", "odd", "plain"]
    odd = sum("odd" in example.tags for example in part.examples)
    assert bars["odd"].note == f"({odd} of {POOL // 5})"
    assert bars["odd"].value == pytest.approx((odd / 60) / 0.2)
    assert bars["labelled negative"].value == 0 and "0% say negative" in panel.view.says
    panel.set(balanced=True)
    assert {bar.label: bar.value for bar in panel.view.charts[1].bars}["labelled negative"] == pytest.approx(1.0)


def test_the_control_is_random_parts_of_the_same_size(panel, world):
    band = panel.view.charts[0].series[1]
    draws = [probed(world, keep(world["labels"], random_scores(world["labels"], seed=s), 0.4)) for s in range(3)]
    at = FRACTIONS.index(0.4)
    assert band.y[at] == pytest.approx(np.mean(draws)) and band.role == "random"
    assert (band.low[at], band.high[at]) == pytest.approx((min(draws), max(draws)))


def test_dots_appear_where_the_slider_has_been(panel):
    assert list(line(panel, 2)) == [0.5]
    panel.set(kept=0.6)
    assert list(line(panel, 2)) == [0.5, 0.6]
    panel.set(rule="oracle")
    assert list(line(panel, 2)) == [0.6]
    panel.sweep("sure", balanced=True)
    assert list(line(panel, 2)) == list(FRACTIONS)
    assert panel.controls["kept"].value == 0.6 and panel.controls["rule"].value == "sure"


def test_a_rule_may_refuse(world):
    scores = {"picky": np.where(np.arange(POOL) < 30, 1.0, -np.inf)}
    panel = room.selection_explorer(**world | {"scores": scores}, draws=2)
    assert "30 labels (100 were asked for, the rule refuses the rest)" in panel.view.says
    assert np.isfinite(line(panel, 2)[0.5])


def test_stored_it_is_a_picture_and_words(panel):
    bundle = stored(panel)
    assert bundle["text/plain"].startswith(
        "Which labels to keep [rule sure, balanced as the ranking has them, kept 50%]"
    )
    assert panel._picture.value.count("aria-label") == 2


def test_without_scores_it_takes_the_registered_rules(world):
    probs = np.full((POOL, 2), 0.5) + np.linspace(-0.4, 0.4, POOL)[:, None] * [1, -1]
    known = replace(world["labels"], probs=probs)
    panel = room.selection_explorer(**world | {"labels": known, "scores": None}, draws=2)
    assert list(panel.selection.scores) == ["confidence", "margin"]
    assert panel.view.says.endswith(f" confidence: {RULES['confidence'].about}")


def test_errors(world):
    many = LabelledSet.ground_truth(TASK, reviews(1001, "many"))
    for change, words in (
        ({"labels": many}, "1,001 labels; expected at most 1,000"),
        ({"scores": {}}, "scores is empty"),
        ({"scores": {"short": [1.0]}}, r"short has shape \(1,\); expected \(200,\)"),
        ({"features": world["features"][:5]}, "features has 5 rows; expected 200"),
        ({"test_features": world["features"]}, "test_features has 200 rows; expected 120"),
    ):
        with pytest.raises(ValueError, match=words):
            room.selection_explorer(**world | change)
