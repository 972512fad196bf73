"""The cascade under the hand: the point, the bars and the words follow the threshold."""

import numpy as np
import pytest
from pictures import stored

from w2s_lab import classroom as room
from w2s_lab.classroom.dashboards.cascade_explorer import CASCADE, HERE, UNIT
from w2s_lab.methods.cascade import cascade, cascade_curve
from w2s_lab.records import Example, LabelledSet, Task

TASK = Task("verdict", ("negative", "positive"))
N = 200
WEAK, STRONG = 2e6, 16e6  # FLOPs


def said(right: np.ndarray, sure: np.ndarray | None, source: str) -> LabelledSet:
    """A model's labels, right where `right`, with its confidence."""
    examples = tuple(Example("Good?", f"review {i}", "positive") for i in range(N))
    probs = (
        None if sure is None else np.where(right[:, None], np.stack([1 - sure, sure], 1), np.stack([sure, 1 - sure], 1))
    )
    return LabelledSet(TASK, examples, tuple("positive" if r else "negative" for r in right), probs, source=source)


@pytest.fixture(scope="module")
def models() -> tuple[LabelledSet, LabelledSet, LabelledSet]:
    """A calibrated weak supervisor, a surer ensemble, and a strong model, right on nine of ten."""
    rng = np.random.default_rng(0)
    sure = rng.uniform(0.5, 1.0, N)
    weak = said(rng.uniform(size=N) < sure, sure, "weak")
    ensemble = said(rng.uniform(size=N) < 0.5 + sure / 2, 0.5 + sure / 2 - 1e-3, "three of them")
    strong = said(rng.uniform(size=N) < 0.9, None, "strong")
    return weak, ensemble, strong


@pytest.fixture
def panel(models):
    weak, ensemble, strong = models
    return room.cascade_explorer({"one": (weak, WEAK, 0.8), "three": (ensemble, 3 * WEAK, None)}, strong, STRONG)


def here(panel) -> tuple[float, float]:
    (series,) = (s for s in panel.view.charts[0].series if s.style is HERE)
    return series.x[0], series.y[0]


@pytest.mark.parametrize("threshold", [0.5, 0.66, 0.9, 1.0])
def test_the_point_is_the_cascade_with_this_threshold(panel, models, threshold):
    panel.set(threshold=threshold)
    mixed, asked = cascade(models[0], models[2], threshold)
    assert here(panel) == pytest.approx(((WEAK + asked / N * STRONG) / UNIT, mixed.label_accuracy))
    assert f"answers {asked / N:.0%} of the items: accuracy {mixed.label_accuracy:.3f}" in panel.view.says
    panel.set(across="asked")
    assert here(panel) == pytest.approx((asked / N, mixed.label_accuracy))


def test_it_says_when_it_is_dearer_than_the_strong_model_alone(panel):
    assert "dearer" not in panel.set(threshold=0.6).view.says
    assert "dearer than the strong model alone" in panel.set(threshold=1.0).view.says


def test_bars_tell_who_is_right_where(panel, models):
    weak, _, strong = models
    panel.set(threshold=0.75)
    ask = weak.probs.max(1) < 0.75
    right, good = (np.array(one.answers) == "positive" for one in (weak, strong))
    bars = {bar.label: bar for bar in panel.view.charts[1].bars}
    assert bars["sure: weak answers"].value == pytest.approx(right[~ask].mean())
    assert bars["unsure: weak would say"].value == pytest.approx(right[ask].mean())
    assert bars["unsure: strong answers"].value == pytest.approx(good[ask].mean())
    assert bars["cascade"].value == pytest.approx(np.where(ask, good, right).mean())
    assert bars["unsure: strong answers"].note == f"(of {ask.sum()})"
    panel.set(threshold=0.5)
    assert {bar.label: bar.value for bar in panel.view.charts[1].bars}["unsure: strong answers"] is None


def test_the_curve_and_the_fitted_threshold(panel, models):
    curve = cascade_curve(models[0], models[2], cost=(WEAK, STRONG))
    (series,) = (s for s in panel.view.charts[0].series if s.style is CASCADE)
    assert list(series.y) == [point.accuracy for point in curve]
    assert list(series.x) == pytest.approx([point.cost / UNIT for point in curve])
    _, asked = cascade(models[0], models[2], 0.8)
    assert panel.view.charts[0].marks[0].at == pytest.approx((WEAK + asked / N * STRONG) / UNIT)
    assert f"fitted on held-out truth asks {asked / N:.0%}" in panel.view.says


def test_another_weak_side(panel, models):
    panel.set(threshold=0.9, weak_side="three")
    mixed, asked = cascade(models[1], models[2], 0.9)
    assert here(panel) == pytest.approx(((3 * WEAK + asked / N * STRONG) / UNIT, mixed.label_accuracy))
    assert not panel.view.charts[0].marks and "fitted" not in panel.view.says


def test_with_one_weak_side_there_is_no_menu_for_it(models):
    panel = room.cascade_explorer({"one": (models[0], WEAK, None)}, models[2], STRONG)
    assert list(panel.controls) == ["threshold", "across"]
    bundle = stored(panel)
    assert bundle["text/plain"].startswith(
        "Cascade: who answers? [threshold 0.8, across cost per item]: Asked below 0.80"
    )
    assert panel._picture.value.count("aria-label") == 2


def test_errors(models):
    with pytest.raises(ValueError, match="sides is empty; expected at least one"):
        room.cascade_explorer({}, models[2], STRONG)
    with pytest.raises(ValueError, match="has no probs"):
        room.cascade_explorer({"strong": (models[2], WEAK, None)}, models[0], STRONG)
