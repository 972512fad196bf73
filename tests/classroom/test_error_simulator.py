"""The error simulator: every fit is the package's own, errors lie where they were asked for, and the panel follows."""

import numpy as np
import pytest
from pictures import stored

from w2s_lab import classroom as room
from w2s_lab import metrics
from w2s_lab.classroom.dashboards.error_simulator import EXAMPLES, LOOK, Simulator, error_simulator, simulator_panel
from w2s_lab.methods import probe
from w2s_lab.methods.simulated import class_conditional_errors, random_errors, slice_errors, systematic_errors
from w2s_lab.records import Example, LabelledSet, Task
from w2s_lab.training.labelling import weak_labels

TASK = Task("sentiment", ("negative", "positive"))
N, M, HARD = 300, 200, 0.4  # training and test examples; share of the hard slice


def world(n: int, seed: int) -> tuple[LabelledSet, np.ndarray]:
    """Examples whose features tell the truth and the slice, with some noise."""
    rng = np.random.default_rng(seed)
    truth, hard = rng.integers(0, 2, n), rng.random(n) < HARD
    examples = [
        Example("?", f"{seed}-{i}", TASK.answers[t], ("hard",) if h else ("easy",))
        for i, (t, h) in enumerate(zip(truth, hard, strict=True))
    ]
    sign = 2.0 * truth - 1
    signal = np.stack([sign, hard, sign * hard], axis=1)
    features = np.hstack([signal, rng.normal(size=(n, 5))]) + rng.normal(0, 0.3, (n, 8))
    return LabelledSet.ground_truth(TASK, examples), features.astype(np.float32)


@pytest.fixture(scope="module")
def parts() -> tuple[np.ndarray, LabelledSet, np.ndarray, LabelledSet]:
    (train, features), (test, test_features) = world(N, 1), world(M, 2)
    labels, reference = (slice_errors(one, {"hard": 0.4}, otherwise=0.95, seed=0) for one in (train, test))
    return features, labels, test_features, reference


@pytest.fixture(scope="module")
def simulator(parts) -> Simulator:
    return Simulator(*parts)


@pytest.fixture
def panel(simulator):
    return simulator_panel(simulator)


def truth_of(labels: LabelledSet) -> LabelledSet:
    return LabelledSet.ground_truth(TASK, labels.examples)


def test_it_finds_where_the_supervisor_errs(simulator, parts):
    _, labels, _, _ = parts
    assert simulator.slices == ("hard",) and simulator.kinds == ("random", "class", "slice")
    wrong = [e.answer for e, a in zip(labels.examples, labels.answers, strict=True) if a != e.answer]
    assert simulator.class_ == max(TASK.answers, key=wrong.count)
    assert {simulator.class_, simulator.instead} == set(TASK.answers)
    hard = min(np.mean(["hard" in e.tags for e in one.examples]) for one in (labels, parts[3]))
    assert simulator.most == pytest.approx(min(hard, 0.45), abs=0.0101) and simulator.most <= hard


@pytest.mark.parametrize("kind", ["random", "class", "slice"])
@pytest.mark.parametrize("rate", [0.0, 0.1, 0.27])
def test_a_fit_is_the_package_s_own(simulator, parts, kind, rate):
    features, labels, test_features, reference = parts
    found = simulator.fit(kind, rate, seed=3)
    wrong = []
    for seed, one in ((3, truth_of(labels)), (4, truth_of(reference))):
        if kind == "random":
            wrong.append(random_errors(one, 1 - rate, seed=seed))
        elif kind == "slice":
            wrong.append(systematic_errors(one, ("hard",), 1 - rate, seed=seed))
        else:
            within = rate * len(one) / one.answers.count(simulator.class_)
            table = {simulator.class_: {simulator.class_: 1 - within, simulator.instead: within}}
            wrong.append(class_conditional_errors(one, table, seed=seed))
    fitted = probe.fit_probe(features, wrong[0], C=0.01)
    on_train, on_test = (
        probe.predict(fitted, x, one).answers for x, one in ((features, labels), (test_features, reference))
    )
    assert found.kind == kind and found.label_accuracy == wrong[0].label_accuracy == pytest.approx(1 - rate, abs=2 / N)
    assert found.accuracy == metrics.accuracy(on_test, truth_of(reference).answers)
    assert found.imitation == metrics.imitation(on_test, wrong[1].answers, truth_of(reference).answers)
    assert found.memorised == metrics.imitation(on_train, wrong[0].answers, truth_of(labels).answers)
    assert (found.imitation is None) == (rate == 0)


def test_random_errors_cost_less_than_as_many_systematic_ones(simulator):
    rate = simulator.most
    found = {kind: np.mean([simulator.fit(kind, rate, seed=s).accuracy for s in range(3)]) for kind in simulator.kinds}
    assert found["random"] > found["slice"] + 0.05 and found["random"] > found["class"] + 0.05


def test_every_move_shows_what_a_fit_says(panel, simulator):
    weak = simulator.fit_weak()
    for kind, rate, draw in (("random", 0.1, 0), ("slice", 0.25, 1), ("class", 0.2, 4), ("slice", 0.0, 9)):
        panel.set(kind=kind, rate=rate, draw=draw)
        now, control = (simulator.fit(name, rate, seed=draw) for name in (kind, "random"))
        says = panel.view.says
        assert f"{round(N * (1 - now.label_accuracy))} of {N} labels are wrong" in says
        assert f"test examples is {now.accuracy:.3f}" in says
        assert (f"random places {control.accuracy:.3f}" in says) == (kind != "random")
        assert f"give {weak.accuracy:.3f}" in says
        dot = panel.view.charts[0].series[-1]
        assert (dot.x, dot.y, dot.style) == ([rate], [now.accuracy], LOOK[kind])
        assert panel.view.charts[0].marks[0].at == rate
        for value in (now.accuracy, control.accuracy, weak.accuracy, now.memorised):
            assert ("undefined" if value is None else f"{value:.3f}") in panel.view.html
    assert "imitation of such errors" not in panel.view.says  # no errors, no imitation


def test_the_curves_were_fitted_with_the_first_draw(panel, simulator):
    curves = {series.name: series for series in panel.view.charts[0].series if series.line}
    for kind in simulator.kinds:
        own = curves[LOOK[kind].name]
        assert own.x[0] == 0 and own.x[-1] == simulator.most
        assert own.y == [simulator.fit(kind, rate).accuracy for rate in own.x]


def test_it_is_seen_and_read_without_a_kernel(panel):
    assert panel.set(kind="slice").view.says in stored(panel)["text/plain"]


def test_without_slices_there_are_two_kinds(parts):
    features, labels, test_features, reference = parts
    plain = [LabelledSet(TASK, tuple(Example("?", e.input, e.answer) for e in one.examples), one.answers)
             for one in (labels, reference)]  # fmt: skip
    simulator = Simulator(features, plain[0], test_features, plain[1])
    assert simulator.kinds == ("random", "class") and simulator.slices == ()
    assert len(simulator_panel(simulator).controls["kind"].options) == 2
    with pytest.raises(ValueError, match="kind is 'slice'; expected one of random, class"):
        simulator.fit("slice", 0.1)


def test_a_model_and_three_answers(llama, closed_set):
    train, test = closed_set.take(range(30)), closed_set.take(range(30, 48))
    labels, reference = (weak_labels(llama, one) for one in (train, test))
    panel = error_simulator(llama, labels, reference)
    assert f"of {len(train)} labels are wrong" in panel.view.says and len(train) < EXAMPLES
    found = probe.fit_probe(probe.features(llama, train), labels, C=0.01)
    accuracy = probe.predict(found, probe.features(llama, test), test).label_accuracy
    assert f"give {accuracy:.3f}" in panel.view.says


def test_it_says_what_is_wrong(simulator, parts, open_set):
    features, labels, test_features, reference = parts
    with pytest.raises(ValueError, match=r"features have shape \(10, 8\); expected \[300, d\]"):
        Simulator(features[:10], labels, test_features, reference)
    with pytest.raises(ValueError, match=r"rate is 0\.9; expected a fraction from 0 to"):
        simulator.fit("random", 0.9)
    with pytest.raises(ValueError, match="the task 'echo' is open"):
        Simulator(np.zeros((12, 3)), open_set, np.zeros((12, 3)), open_set)


def test_the_front_door():
    assert room.error_simulator is error_simulator
