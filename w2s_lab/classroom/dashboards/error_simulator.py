"""A supervisor whose errors we choose, and a student that learns from it in milliseconds: random or systematic errors?

The student is a linear probe on the strong model's frozen features, fitted anew at every move of a slider. How many
labels are wrong and where they are wrong are two controls, so that the second can be changed alone.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import lru_cache

import numpy as np

from w2s_lab import metrics
from w2s_lab.classroom.toolkit.chart import Chart, Mark, Series
from w2s_lab.classroom.toolkit.panel import Panel, View, choice, slider, stops, table
from w2s_lab.classroom.toolkit.worlds import Worlds, in_both_worlds
from w2s_lab.experiments.store import Store
from w2s_lab.figures.plots import ROLE, Role
from w2s_lab.figures.study_plots import SERIES
from w2s_lab.methods import probe, simulated
from w2s_lab.models.language_model import LanguageModel
from w2s_lab.models.loading import load_model
from w2s_lab.records import LabelledSet

EXAMPLES = 1000  # to fit on: a fit takes about ten milliseconds
GRID = 9  # rates at which the curves are fitted beforehand
MOST = 0.45  # the largest fraction of wrong labels; with two answers, labels that are half wrong tell nothing
LOOK = {
    "random": replace(ROLE["random"], name="random places"),
    "class": Role("one class", SERIES[4].color, "D", "", "--"),
    "slice": Role("hard slices", SERIES[0].color, "^", "", "-"),
}
_WHERE = {"random": "at random places", "class": "all in one class", "slice": "all in the hard slices"}
_HEAD = {"random": "at random places", "class": "in one class", "slice": "in hard slices", "weak": "real weak labels"}


@dataclass(frozen=True)
class Simulated:
    """The result of one fit on chosen errors, in fractions.

    Attributes:
        kind: "random", "class" or "slice".
        label_accuracy: of the labels that the probe was fitted on.
        accuracy: of the probe on the test examples.
        imitation: P(probe = label | label wrong) on the test examples, where the simulated supervisor errs as often and
            in the same manner, at places drawn separately. None without errors.
        memorised: the same on the examples that the probe was fitted on. None without errors.
    """

    kind: str
    label_accuracy: float
    accuracy: float
    imitation: float | None
    memorised: float | None


class Simulator:
    """Features of training and test examples, and a weak supervisor's labels of both: what all fits share.

    Attributes:
        labels, reference: the real weak labels of the training and of the test examples; the truth is inside.
        class_, instead: the class in which the weak supervisor errs most often, and the wrong answer simulated for it.
        slices: tags whose fraction of right weak labels is below that of all, the worst first; empty if there is none.
        kinds: "random", "class" and, where there are slices, "slice".
        most: the highest rate of wrong labels that every kind can reach.

    Args:
        features, test_features: [N, d] and [M, d], a row for each example of `labels` and of `reference`.
        C: inverse strength of the probe's regularisation (see `probe.fit_probe`).

    Raises:
        ValueError: the task is open, a truth is unknown, or the features have other shapes.
    """

    def __init__(
        self,
        features: np.ndarray,
        labels: LabelledSet,
        test_features: np.ndarray,
        reference: LabelledSet,
        *,
        C: float = 0.01,
    ) -> None:
        for name, found, rows in (("features", features, labels), ("test_features", test_features, reference)):
            if found.ndim != 2 or len(found) != len(rows):
                raise ValueError(f"Simulator: {name} have shape {found.shape}; expected [{len(rows)}, d]")
        if labels.task.answers is None:
            raise ValueError(f"Simulator: the task {labels.task.name!r} is open; expected a closed list of answers")
        self.labels, self.reference, self.C = labels, reference, C
        self._features, self._test_features = features, test_features
        self._truth, self._test = (LabelledSet.ground_truth(s.task, s.examples) for s in (labels, reference))
        wrong = np.array(labels.answers, dtype=object) != np.array(self._truth.answers, dtype=object)
        self.class_, self.instead = _worst_class(self._truth, wrong)
        self.slices = _hard_slices(self._truth, self._test, wrong)
        self.kinds = ("random", "class", "slice") if self.slices else ("random", "class")
        shares = [_share(one, self.class_, self.slices) for one in (self._truth, self._test)]
        self.most = int(100 * min(MOST, *(value for pair in shares for value in pair if value))) / 100
        self._fit = lru_cache(maxsize=512)(self._fitted)

    def fit(self, kind: str, rate: float, *, seed: int = 0) -> Simulated:
        """Fit the probe on labels of which round(rate * N) are wrong, at places drawn with `seed`.

        Raises:
            ValueError: there is no such kind, or `rate` is not between 0 and `most`.
        """
        if kind not in self.kinds:
            raise ValueError(f"Simulator: kind is {kind!r}; expected one of {', '.join(self.kinds)}")
        if not 0 <= rate <= self.most:
            raise ValueError(f"Simulator: rate is {rate}; expected a fraction from 0 to {self.most}")
        return self._fit(kind, rate, seed)

    def _fitted(self, kind: str, rate: float, seed: int) -> Simulated:
        labels = self._wrong(self._truth, kind, rate, seed)
        supervisor = self._wrong(self._test, kind, rate, seed + 1)
        return self._learn(kind, labels, supervisor)

    def fit_weak(self) -> Simulated:
        """The same probe on the real weak labels; kind "weak"."""
        return self._learn("weak", self.labels, self.reference)

    def _learn(self, kind: str, labels: LabelledSet, supervisor: LabelledSet) -> Simulated:
        fitted = probe.fit_probe(self._features, labels, C=self.C)
        on_train, on_test = self._says(fitted, self._features), self._says(fitted, self._test_features)
        return Simulated(
            kind,
            labels.label_accuracy,
            metrics.accuracy(on_test, self._test.answers),
            metrics.imitation(on_test, supervisor.answers, self._test.answers),
            metrics.imitation(on_train, labels.answers, self._truth.answers),
        )

    def _says(self, fitted: probe.Probe, features: np.ndarray) -> list[str]:
        return [fitted.answers[k] for k in fitted.probs(features).argmax(-1)]

    def _wrong(self, truth: LabelledSet, kind: str, rate: float, seed: int) -> LabelledSet:
        if kind == "random":
            return simulated.random_errors(truth, 1 - rate, seed=seed)
        if kind == "slice":
            return simulated.systematic_errors(truth, self.slices, 1 - rate, seed=seed)
        within = min(1.0, rate * len(truth) / max(1, truth.answers.count(self.class_)))
        confusion = {self.class_: {self.class_: 1 - within, self.instead: within}}
        return simulated.class_conditional_errors(truth, confusion, seed=seed)


def error_simulator(
    model: str | LanguageModel | tuple[np.ndarray, np.ndarray],
    labels: LabelledSet,
    reference: LabelledSet,
    store: Store | None = None,
    *,
    C: float = 0.01,
) -> Panel | Worlds:
    """Sliders for how many labels are wrong, and where; a probe on the model's features is fitted at every move.

    The curves show the probe's accuracy on the test examples for each kind of errors; the dotted line shows the
    accuracy of its labels. The real weak labels are a point among the curves. The table compares the chosen errors with
    as many errors at random places.

    Args:
        model: the strong model, pre-trained, not fine-tuned; its features are computed once, which takes seconds. Or
            the features themselves: those of `labels` [N, d] and of `reference` [M, d].
        labels: a weak supervisor's labels of training examples; the first EXAMPLES are used.
        reference: the same supervisor's labels of test examples.
        store: with one, a switch to film reviews that people wrote; None: none.
        C: see `Simulator`.

    Raises:
        ValueError: see `Simulator`.
    """
    labels = labels.take(range(min(EXAMPLES, len(labels))))
    if isinstance(model, tuple):
        train, test = model[0][:EXAMPLES], model[1]
    else:
        model = load_model(model, device="cpu") if isinstance(model, str) else model
        train, test = (probe.features(model, one) for one in (labels, reference))
    return in_both_worlds(
        simulator_panel(Simulator(train, labels, test, reference, C=C)),
        store,
        lambda real: error_simulator(real.features, real.labels, real.reference, C=real.C),
    )


def simulator_panel(simulator: Simulator) -> Panel:
    """The panel of `error_simulator`, for features that have been computed already."""
    weak = simulator.fit_weak()
    rates = [round(rate, 2) for rate in np.linspace(0, simulator.most, GRID)]
    curves = [
        Series(rates, [simulator.fit(kind, rate).accuracy for rate in rates], LOOK[kind], points=False)
        for kind in simulator.kinds
    ]
    equal = Series(rates, [1 - rate for rate in rates], "truth", "as good as its labels", points=False)
    real = Series([1 - weak.label_accuracy], [weak.accuracy], "weak", "real weak labels", line=False)
    low = min(min(s.y) for s in (*curves, equal, real))
    y_range = (max(0.0, np.floor(10 * (low - 0.05)) / 10), 1.01)

    def draw(kind: str, rate: float, draw: int) -> View:
        rate = round(rate, 2)
        now = simulator.fit(kind, rate, seed=draw)
        control = now if kind == "random" else simulator.fit("random", rate, seed=draw)
        dot = Series([rate], [now.accuracy], LOOK[kind], "", line=False)
        says = _says(simulator, now, control, weak)
        chart = Chart(
            "fraction of labels that are wrong",
            "probe's accuracy on test",
            (equal, *curves, real, dot),
            (Mark(rate, f"{now.accuracy:.3f}"),),
            x_range=(0.0, simulator.most + 0.01),
            y_range=y_range,
            said=says,
        )
        return View(says, (chart,), _compared(now, control, weak))

    names = {
        "random": "at random places",
        "class": f"in one class: {simulator.class_} taken for {simulator.instead}",
        "slice": f"in the hard slices: {', '.join(simulator.slices)}",
    }
    controls = {
        "kind": choice("wrong labels", [(names[kind], kind) for kind in simulator.kinds], "random", width="580px"),
        "rate": slider("fraction wrong", min(round(1 - weak.label_accuracy, 2), simulator.most), 0.0,
                       simulator.most, 0.01),
        "draw": stops("draw", range(10), 0, width="220px"),
    }  # fmt: skip
    return Panel("Error simulator: how many labels are wrong, and where", controls, draw)


def _worst_class(truth: LabelledSet, wrong: np.ndarray) -> tuple[str, str]:
    """The true answer that is most often mislabelled (the first of equals), and the next one in the closed list."""
    answers = truth.task.answers
    right = np.array(truth.answers, dtype=object)
    counts = [int(wrong[right == answer].sum()) for answer in answers]
    worst = int(np.argmax(counts)) if any(counts) else int(np.argmax([truth.answers.count(a) for a in answers]))
    return answers[worst], answers[(worst + 1) % len(answers)]


def _hard_slices(truth: LabelledSet, test: LabelledSet, wrong: np.ndarray) -> tuple[str, ...]:
    """Tags of both sets whose share of wrong labels is above that of the whole, the worst first."""
    shares = {}
    for tag in {tag for example in test.examples for tag in example.tags}:
        rows = np.array([tag in example.tags for example in truth.examples])
        if rows.any() and wrong[rows].mean() > wrong.mean():
            shares[tag] = float(wrong[rows].mean())
    return tuple(sorted(shares, key=lambda tag: (-shares[tag], tag)))


def _share(labels: LabelledSet, class_: str, slices: Sequence[str]) -> tuple[float, float]:
    """Fractions of the examples: of this class, and in one of the slices."""
    inside = sum(any(tag in slices for tag in example.tags) for example in labels.examples)
    return labels.answers.count(class_) / len(labels), inside / len(labels)


def _says(simulator: Simulator, now: Simulated, control: Simulated, weak: Simulated) -> str:
    n = len(simulator.labels)
    count = round(n * (1 - now.label_accuracy))
    says = f"{count} of {n:,} labels are wrong (label accuracy {now.label_accuracy:.3f}), {_WHERE[now.kind]}. "
    says += f"The probe's accuracy on {len(simulator.reference):,} test examples is {now.accuracy:.3f}"
    says += "" if now.imitation is None else f", its imitation of such errors {now.imitation:.2f}"
    if now.kind != "random":
        says += f"; with as many errors at random places {control.accuracy:.3f}"
    return f"{says}. Real weak labels ({weak.label_accuracy:.3f} right) give {weak.accuracy:.3f}."


def _compared(now: Simulated, control: Simulated, weak: Simulated) -> str:
    """A table: the chosen errors, as many at random places, the real weak labels."""
    columns = [now, weak] if now.kind == "random" else [now, control, weak]
    head = ("", *(_HEAD[one.kind] for one in columns))
    rows = [
        ("label accuracy", *(_number(one.label_accuracy) for one in columns)),
        ("<b>probe: accuracy on test</b>", *(f"<b>{_number(one.accuracy)}</b>" for one in columns)),
        ("probe: imitation of such errors on test", *(_number(one.imitation) for one in columns)),
        ("probe: wrong labels it repeats in training", *(_number(one.memorised) for one in columns)),
    ]
    return table(head, rows)


def _number(value: float | None) -> str:
    return "undefined" if value is None else f"{value:.3f}"
