"""What a loss teaches, example by example and in closed form: softened labels, and labels mixed with predictions."""

from collections.abc import Sequence

import numpy as np
import torch

from w2s_lab.classroom.toolkit.chart import Bar, BarChart, Chart, Mark, Series
from w2s_lab.classroom.toolkit.panel import Panel, View, choice, slider
from w2s_lab.classroom.toolkit.worlds import Worlds, in_both_worlds
from w2s_lab.experiments.store import Store
from w2s_lab.figures.plots import GREY, Role
from w2s_lab.figures.study_plots import SERIES
from w2s_lab.objective import entropy, with_temperature
from w2s_lab.records import LabelledSet

TARGET = Role("target", SERIES[0].color, "D", "", "-")
HARDENED = Role("hardened own prediction", SERIES[5].color, "X", "", ":")
SAME = Role("target = own prediction", GREY, "o", "", ":")
QUANTILES = (1.0, 0.75, 0.5, 0.25, 0.0)  # of the supervisor's confidence: the examples that are offered


def temperature_view(
    labels: LabelledSet, store: Store | None = None, *, rows: Sequence[int] | None = None
) -> Panel | Worlds:
    """The distribution of one weak label, and what a temperature makes of it as a target.

    Args:
        labels: weak labels with distributions.
        store: with one, a switch to film reviews that people wrote; None: none.
        rows: which of them may be chosen; None: five, from the most to the least confident one.

    Raises:
        ValueError: the labels have no distributions.
    """
    if labels.probs is None:
        raise ValueError(f"temperature_view: {labels.source!r} has no distributions; expected labels of a closed task")
    if rows is None:
        order = np.argsort(labels.probs.max(-1), kind="stable")
        rows = [int(order[round(q * (len(order) - 1))]) for q in QUANTILES]
    texts = [labels.examples[row].input for row in rows]
    options = [(text if len(text) <= 60 else f"{text[:57]}...", row) for text, row in zip(texts, rows, strict=True)]

    def draw(example: int, temperature: float) -> View:
        weak = torch.tensor(labels.probs[example])
        target = with_temperature(weak, temperature)
        bars = []
        for answer, before, after in zip(labels.task.answers, weak.tolist(), target.tolist(), strict=True):
            bars += [Bar(f"{answer}: supervisor", before, "weak"), Bar(f"{answer}: target", after, TARGET)]
        top = int(weak.argmax())
        own, most = labels.examples[example], float(np.log(len(weak)))
        says = f"T = {temperature:g}: the target gives “{labels.task.answers[top]}” {target[top]:.3f}, the supervisor "
        says += f"{weak[top]:.3f}. Entropy of the target {entropy(target):.3f} nats, of at most {most:.3f}. "
        says += f"The likeliest answer is the same at every temperature; the truth is “{own.answer}”."
        return View(says, (BarChart("probability of the answer", tuple(bars), said=says),))

    controls = {
        "example": choice("Review", options, width="600px"),
        "temperature": slider("Temperature", 1.0, 0.1, 8.0, 0.1, form=".1f"),
    }
    panel = Panel("One weak label as a target", controls, draw)
    return in_both_worlds(panel, store, lambda real: temperature_view(real.labels).set(temperature=3.0))


def relabelling_view() -> Panel:
    """The confidence loss on one example with two answers: (1 - a) * weak label + a * hardened own prediction.

    Burns et al. (2023, section 4.3). All values are probabilities of the first answer, "positive". The student's own
    prediction is hardened at a threshold; in a training, the class balance of a batch sets this threshold.
    """

    def draw(alpha: float, weak: float, own: float, threshold: float) -> View:
        hardened = float(own > threshold)
        target = (1 - alpha) * weak + alpha * hardened
        says = f"Target {1 - alpha:.2f} × {weak:.2f} + {alpha:.2f} × {hardened:g} = {target:.3f}: it says "
        says += f"“{_answer(target)}”, the supervisor “{_answer(weak)}”. "
        pull = "raises" if target > own else "lowers" if target < own else "does not move"
        says += f"The gradient on the log-odds is prediction − target = {own - target:+.3f}, so a step {pull} "
        says += f"the student's {own:.2f}."
        return View(says, (_steps(alpha, weak, own, threshold, says), _bars(weak, own, hardened, target, says)))

    controls = {
        "alpha": slider("α", 0.5, 0.0, 1.0, 0.05),
        "weak": slider("Weak label", 0.30, 0.0, 1.0, 0.05),
        "own": slider("Own prediction", 0.80, 0.0, 1.0, 0.05),
        "threshold": slider("Threshold", 0.50, 0.05, 0.95, 0.05),
    }
    return Panel("The confidence loss relabels", controls, draw)


def _answer(probability: float) -> str:
    return "positive" if probability > 0.5 else "negative" if probability < 0.5 else "undecided"


def _steps(alpha: float, weak: float, own: float, threshold: float, said: str) -> Chart:
    """The target for every prediction that the student could make: a step; the diagonal is target = prediction."""
    low, high = (1 - alpha) * weak, (1 - alpha) * weak + alpha
    series = (
        Series((0.0, 1.0), (0.0, 1.0), SAME, points=False),
        Series((0.0, threshold, threshold, 1.0), (low, low, high, high), TARGET, points=False),
        Series((own,), (high if own > threshold else low,), TARGET, "", line=False),
        Series((own,), (own,), "student", "own prediction", line=False),
    )
    words = (Mark(threshold, "threshold"), Mark(weak, "weak label", across=True, role="weak"))
    name, unit = "student's own Pr(positive)", (0.0, 1.0)
    return Chart(name, "target Pr(positive)", series, words, unit, unit, height=270, said=said)


def _bars(weak: float, own: float, hardened: float, target: float, said: str) -> BarChart:
    bars = (
        Bar("weak label", weak, "weak"),
        Bar("own prediction", own, "student"),
        Bar("hardened", hardened, HARDENED),
        Bar("target", target, TARGET),
    )
    return BarChart("Pr(positive)", bars, said=said)
