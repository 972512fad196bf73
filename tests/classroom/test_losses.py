"""The loss explorer, targets in closed form, seeds and findings: each moves its controls and says what is true."""

import json
import math
import re

import numpy as np
import pytest
import torch
from pictures import stored

from w2s_lab import assets
from w2s_lab.classroom import findings_view, loss_explorer, relabelling_view, seed_count, temperature_view
from w2s_lab.classroom.dashboards.seed_count import unpaired_effect
from w2s_lab.classroom.dashboards.target_view import QUANTILES
from w2s_lab.experiments.effects import paired_effect
from w2s_lab.objective import AuxiliaryConfidence, Targets
from w2s_lab.records import Example, LabelledSet, Task
from w2s_lab.studies import losses

STEPS = [0, 24, 48]


def made(seeds: int = 3) -> dict:
    """A made-up result of the study's shape, in which every run ends elsewhere."""
    rows = []
    for place, dial in enumerate(losses.dials()):
        for seed in range(seeds):
            end = 0.8 + 0.003 * place + 0.01 * seed + 0.001 * ((7 * place + 3 * seed) % 5)
            names = {"dial": dial.name, "value": dial.value, "schedule": dial.schedule, "answers": dial.answers}
            levels = {"weak": 0.7, "ceiling": 0.99, "end": end, "best": end, "pgr": (end - 0.7) / 0.29}
            curves = {"accuracy": [0.5, 0.75, end], "agreement": [0.5, 0.6, 0.8], "imitation": [0.4, 0.3, 1 - end]}
            rows.append(names | levels | curves | {"seed": seed, "steps": STEPS, "kl": [0.6, 0.3, 0.01 * place + 0.02]})
    return {"true answers": 40, "rows": json.loads(json.dumps(rows))}


def numbers(text: str) -> list[float]:
    return [float(found) for found in re.findall(r"[-+]?\d+\.\d+", text)]


def series(panel, name: str):
    return next(s for s in panel.view.charts[0].series if s.name == name)


# -- the dials of the losses -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("dial", ["lambda", "temperature", "alpha"])
def test_each_position_of_a_dial_shows_its_own_run(dial):
    study = made()
    panel = loss_explorer(dial, study)
    for value in panel.controls["value"].options:
        panel.set(value=value[1])
        schedule = "constant" if dial == "lambda" else ""
        own = losses.rows_at(study["rows"], losses.Dial(dial, value[1], schedule))
        assert len(own) == 3
        assert series(panel, "this student").y[-1] == pytest.approx(np.mean([row["end"] for row in own]))
        assert f"accuracy {np.mean([row['end'] for row in own]):.3f}" in panel.view.says
        assert panel.view.charts[1].marks[0].at == value[1]
        assert sum(s.faint for s in panel.view.charts[0].series) == 3


def test_schedule_and_set_choose_the_run():
    study = made()
    panel = loss_explorer("lambda", study).set(value=4.0, schedule="cosine", answers=losses.TRUTH)
    own, alone = (
        losses.rows_at(study["rows"], losses.Dial("lambda", value, "cosine", losses.TRUTH)) for value in (4.0, 0.0)
    )
    assert series(panel, "this student").y[-1] == pytest.approx(np.mean([row["end"] for row in own]))
    assert series(panel, "student of the true answers alone").y[-1] == pytest.approx(
        np.mean([row["end"] for row in alone])
    )
    effect = paired_effect("", [row["end"] for row in own], [row["end"] for row in alone])
    assert numbers(panel.view.says)[-3:] == pytest.approx([effect.mean, effect.low, effect.high], abs=6e-4)
    assert "40 true answers" in [label for label, _ in panel.controls["answers"].options]
    panel.set(value=0.0)
    assert panel.view.says.endswith("This is the true answers alone.")
    assert "This is plain weak labels." in loss_explorer("lambda", study).view.says


@pytest.mark.parametrize("show", ["accuracy", "imitation", "agreement", "kl"])
def test_what_is_shown_is_what_was_measured(show):
    study = made()
    panel = loss_explorer("alpha", study).set(value=0.75, show=show)
    own = losses.rows_at(study["rows"], losses.Dial("alpha", 0.75))
    assert series(panel, "this student").y == pytest.approx(np.mean([row[show] for row in own], axis=0))
    marks = {mark.role: mark.at for mark in panel.view.charts[0].marks}
    assert marks == ({"weak": pytest.approx(0.7), "ceiling": pytest.approx(0.99)} if show == "accuracy" else {})
    low, high = panel.view.charts[0].y_range
    assert low <= min(s_y for row in own for s_y in row[show]) and max(row[show][0] for row in own) <= high


def test_a_dial_that_is_not_there():
    with pytest.raises(ValueError, match="dial is 'beta'; expected one of lambda, temperature, alpha"):
        loss_explorer("beta", made())
    rows = [row for row in made()["rows"] if row["dial"] == "lambda"]
    with pytest.raises(ValueError, match=r"no row of the dial 'temperature'\. Hint: w2s-lab study losses"):
        loss_explorer("temperature", {"true answers": 40, "rows": rows})


@pytest.mark.skipif(not (assets.RESULTS / "losses.json").is_file(), reason="the study was not run")
@pytest.mark.parametrize("dial", ["lambda", "temperature", "alpha"])
def test_the_shipped_study_can_be_explored(dial):
    panel = loss_explorer(dial)
    assert len(panel.controls["value"].options) == len(loss_explorer(dial, made()).controls["value"].options)
    assert stored(panel)["text/plain"] == panel.summary


# -- targets in closed form ------------------------------------------------------------------------------------------


def labels(confidences: list[float], *, soft: bool = True) -> LabelledSet:
    task = Task("t", ("good", "bad"))
    examples = tuple(Example("i", f"x{i} $5", "bad") for i in range(len(confidences)))
    answers = tuple("good" if p > 0.5 else "bad" for p in confidences)
    return LabelledSet(task, examples, answers, np.array([[p, 1 - p] for p in confidences]) if soft else None)


def test_a_temperature_on_one_label():
    panel = temperature_view(labels([0.8, 0.6, 0.1]), rows=[0, 2]).set(temperature=2.0)
    bars = panel.view.charts[0].bars
    roots = np.sqrt([0.8, 0.2])
    assert [bar.value for bar in bars][::2] == pytest.approx([0.8, 0.2])
    assert [bar.value for bar in bars][1::2] == pytest.approx(roots / roots.sum())
    q = (roots / roots.sum())[0]
    assert f"{-q * math.log(q) - (1 - q) * math.log(1 - q):.3f} nats, of at most 0.693" in panel.view.says
    assert "gives “good” 0.667, the supervisor 0.800" in panel.view.says and "the truth is “bad”" in panel.view.says
    panel.set(example=2, temperature=1.0)
    assert "gives “bad” 0.900, the supervisor 0.900" in panel.view.says


def test_the_examples_offered_go_from_sure_to_unsure():
    confidences = list(np.linspace(0.5, 0.99, 40))
    panel = temperature_view(labels(confidences))
    found = [confidences[row] for _, row in panel.controls["example"].options]
    assert len(found) == len(QUANTILES) and found == sorted(found, reverse=True)
    with pytest.raises(ValueError, match="has no distributions"):
        temperature_view(labels(confidences, soft=False))


@pytest.mark.parametrize("own", [0.3, 0.7])
@pytest.mark.parametrize("alpha", [0.0, 0.25, 1.0])
def test_the_picture_of_relabelling_is_the_package_s_loss(own, alpha):
    """Its target and its pull are those of `AuxiliaryConfidence` on a batch whose balance puts the threshold there."""
    weak, threshold = 0.35, 0.5
    panel = relabelling_view().set(alpha=alpha, weak=weak, own=own, threshold=threshold)
    batch = torch.tensor([own, 1 - own], dtype=torch.float64)  # the other example lies on the other side
    logit = torch.logit(batch).requires_grad_()
    log_probs = torch.stack([torch.nn.functional.logsigmoid(logit), torch.nn.functional.logsigmoid(-logit)], -1)
    targets = Targets(torch.tensor([[weak, 1 - weak]] * 2, dtype=torch.float64), torch.tensor([0, 0]), (0.5, 0.5), 1.0)
    AuxiliaryConfidence(alpha, 0.0)(log_probs, targets).sum().backward()
    pull = float(logit.grad[0])
    bars = {bar.label: bar.value for bar in panel.view.charts[1].bars}
    assert bars["own prediction"] - bars["target"] == pytest.approx(pull, abs=1e-6)
    assert f"{pull:+.3f}" in panel.view.says
    assert ("lowers" if pull > 0 else "raises") in panel.view.says


def test_the_step_lies_at_the_threshold():
    panel = relabelling_view().set(alpha=0.5, weak=0.2, own=0.6, threshold=0.55)
    line = series(panel, "target")
    assert line.x == (0.0, 0.55, 0.55, 1.0) and line.y == pytest.approx((0.1, 0.1, 0.6, 0.6))
    assert {bar.label: bar.value for bar in panel.view.charts[1].bars}["hardened"] == 1.0
    panel.set(threshold=0.65)
    assert {bar.label: bar.value for bar in panel.view.charts[1].bars}["target"] == pytest.approx(0.1)
    assert "“negative”" in panel.view.says


# -- seeds and findings ----------------------------------------------------------------------------------------------


def study_of(treated: list[float], control: list[float]) -> dict:
    sides = {"a method": treated, "plain weak labels": control}
    rows = [
        {"grid": "g", "method": name, "seed": seed, "accuracy": value}
        for name, values in sides.items()
        for seed, value in enumerate(values)
    ]
    return {"rows": rows[::-1]}


def test_pairing_takes_out_what_the_seeds_share():
    control = [0.80, 0.90, 0.85, 0.95]
    treated = [c + gain for c, gain in zip(control, (0.020, 0.025, 0.022, 0.019), strict=True)]
    panel = seed_count(study_of(treated, control), ("a method",), grid="g")
    assert [count for count in panel.controls["seeds"].options] == [2, 3, 4]
    for n in (2, 3, 4):
        panel.set(seeds=n)
        paired = paired_effect("", treated[:n], control[:n])
        apart = unpaired_effect("", treated[:n], control[:n])
        assert numbers(panel.view.says) == pytest.approx(
            [paired.mean, paired.low, paired.high, apart.mean, apart.low, apart.high], abs=6e-4
        )
        assert apart.high - apart.low > 2 * (paired.high - paired.low)
    assert "it helps" in panel.view.says and "one cannot tell" in panel.view.says


def test_the_shipped_methods_have_their_own_controls():
    panel = seed_count()
    panel.set(method="confidence loss 0.5")
    assert panel.view.says.startswith("confidence loss 0.5 against soft labels, ")
    panel.set(method="soft labels")
    assert panel.view.says.startswith("soft labels against plain weak labels, ")


def test_seeds_that_are_not_there():
    with pytest.raises(ValueError, match="0 seeds of 'another' on grid 'g'; expected at least 2"):
        seed_count(study_of([0.1, 0.2], [0.1, 0.2]), ("another",), grid="g")


def test_findings_by_word_and_verdict():
    panel = findings_view(("confidence",))
    assert panel.view.html.count("<tr>") == 1 + 5  # four claims and "The same, where ..."
    assert "minus soft labels" in panel.view.html and "at the end: reproduced *" in panel.view.html
    assert "Bootstrapping" not in panel.view.html and "Bootstrapping" in findings_view().view.html
    everything = findings_view()
    for shown, verdict in ((panel, "reproduced"), (everything, "conditions not met"), (everything, "reproduced")):
        count = int(re.search(rf"(\d+) {verdict}", shown.view.says)[1])
        shown.set(verdict=verdict)
        assert shown.view.html.count("<tr>") == 1 + count and f"Shown: {count}." in shown.view.says
    assert "[−" in everything.view.html and "[-" not in everything.view.html
    assert "✓ reproduced *" in everything.view.html and "Holm" in everything.view.says
    bundle, _ = panel._repr_mimebundle_()
    assert "<table>" in bundle["text/html"] and bundle["text/plain"] == panel.summary
    with pytest.raises(ValueError, match="no claim is about unicorns"):
        findings_view(("unicorns",))
