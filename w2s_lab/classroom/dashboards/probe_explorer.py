"""A student on sliders: a linear probe on the states of a real language model, fitted anew at every move.

Five things can be changed one at a time: how many true answers the supervisor had, whether the student learns its
labels or as many errors at random places, which layer is read, whether the model was told what is asked, and how
strongly the probe is held back. The whole path of C is fitted at once, so that overfitting is a line and not a point.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from scipy.optimize import minimize
from scipy.special import expit

from w2s_lab import metrics
from w2s_lab.classroom.toolkit.chart import Chart, Mark, Series
from w2s_lab.classroom.toolkit.panel import Panel, Report, View, choice, stops, table
from w2s_lab.methods.simulated import random_errors
from w2s_lab.records import LabelledSet

STRENGTHS = (1e-4, 3e-4, 1e-3, 3e-3, 1e-2, 3e-2, 1e-1)  # values of C, weak to strong fit
ERRORS = {"weak": "the supervisor's labels", "random": "as many errors, at random places", "truth": "the truth"}
ROLES = {"weak": ("student", "student of weak labels"), "random": ("random", "student of as many random errors"),
         "truth": ("ceiling", "student of the truth: strong ceiling")}  # fmt: skip

READING = (
    "The model reads all examples with this instruction. It takes about a minute for a thousand sentences the first "
    "time; the store then keeps what it has read."
)

Features = tuple[np.ndarray, np.ndarray]  # of the student's and of the test examples: [N, d], [M, d]
Layers = Mapping[int, Features]
States = Mapping[str, Layers | Callable[[Report | None], Layers]]


@dataclass(frozen=True)
class Fitted:
    """One probe on the test examples, in fractions.

    Attributes:
        C: inverse strength of its regularisation.
        accuracy: against the truth.
        agreement: with the supervisor.
        imitation: P(probe = supervisor | supervisor wrong); None where it is never wrong.
        memorised: of the wrong labels that it was fitted on, how many it gives again; None without wrong labels.
    """

    C: float
    accuracy: float
    agreement: float
    imitation: float | None
    memorised: float | None


def fit_path(features: np.ndarray, positive: np.ndarray, Cs: Sequence[float] = STRENGTHS) -> np.ndarray:
    """Logistic regressions along C, each started where the one before ended: [len(Cs), d + 1], the intercepts last.

    The objective is that of `probe.fit_probe`, and so is the result, up to where the solver stops. Its checks
    take longer than the fit: without them, the whole path takes about as long as one fit with them.

    Args:
        features: [N, d], standardised.
        positive: [N] bool, the label is the second answer of the task.
        Cs: rising.
    """
    sign, found = np.where(positive, 1.0, -1.0), []
    weights = np.zeros(features.shape[1] + 1)

    def loss(w: np.ndarray, C: float) -> tuple[float, np.ndarray]:
        z = sign * (features @ w[:-1] + w[-1])
        pull = -sign * expit(-z) / len(sign)
        decay = 1 / (C * len(sign))
        value = np.logaddexp(0, -z).mean() + 0.5 * decay * w[:-1] @ w[:-1]
        return value, np.append(features.T @ pull + decay * w[:-1], pull.sum())

    for C in Cs:
        weights = minimize(loss, weights, (C,), "L-BFGS-B", jac=True, options={"gtol": 1e-4, "maxiter": 500}).x
        found.append(weights)
    return np.array(found)


class ProbeLab:
    """What all fits share: features, and the labels of supervisors that learnt from more or fewer true answers.

    Attributes:
        wordings: names of the instructions, in the order given.
        layers: of the first wording.
        amounts: how many true answers a supervisor had, rising.
        examples, tests: how many the student has, and the test.

    Args:
        states: wording -> layer -> features of the student's and of the test examples; or wording -> a function that
            makes them when `read` asks for them (those of the first wording: now).
        labels: true answers -> the supervisor's labels of both, with the truth inside.
        seed: of the places of random errors.

    Raises:
        ValueError: there is nothing, the task does not have two answers, or features and labels do not fit.
    """

    def __init__(
        self,
        states: States,
        labels: Mapping[int, tuple[LabelledSet, LabelledSet]],
        *,
        seed: int = 0,
    ) -> None:
        if not labels or not states or not all(states.values()):
            layers = sum(len(made) for made in states.values() if not callable(made))
            raise ValueError(f"ProbeLab: {len(labels)} supervisors and {layers} layers; expected at least one of each")
        self._labels, self._states, self._seed = dict(sorted(labels.items())), {}, seed
        first = next(iter(self._labels.values()))
        self._truth = tuple(LabelledSet.ground_truth(one.task, one.examples) for one in first)
        self.answers = first[0].task.answers
        if self.answers is None or len(self.answers) != 2:
            raise ValueError(f"ProbeLab: the task {first[0].task.name!r} does not have two answers")
        self.examples, self.tests = map(len, first)
        self.wordings, self.amounts, self._makers = tuple(states), tuple(self._labels), dict(states)
        for place, (wording, layers) in enumerate(states.items()):
            if place == 0 or not callable(layers):
                self.read(wording)
        self.layers = tuple(self._states[self.wordings[0]])
        self._standard = lru_cache(maxsize=None)(self._standardised)
        self._weights = lru_cache(maxsize=None)(self._fitted)

    def knows(self, wording: str) -> bool:
        """Whether the features with this instruction have been made."""
        return wording in self._states

    def read(self, wording: str, report: Report | None = None) -> None:
        """Make the features with this instruction; `report` goes to the function that does.

        Raises:
            ValueError: they are of other numbers of examples than the labels.
        """
        made = self._makers[wording]
        layers = made(report) if callable(made) else made
        for train, test in layers.values():
            if len(train) != self.examples or len(test) != self.tests:
                raise ValueError(
                    f"ProbeLab: features of {len(train)} and {len(test)} examples; expected {self.examples} and "
                    f"{self.tests}"
                )
        self._states[wording] = layers

    def has(self, wording: str, layer: int) -> bool:
        """Whether there are features for it, of those that have been made."""
        return layer in self._states.get(wording, ())

    def weak(self, amount: int) -> float:
        """The supervisor's accuracy on the test examples."""
        return self._labels[amount][1].label_accuracy

    def label_accuracy(self, amount: int) -> float:
        """How many of the labels that the student learns are right."""
        return self._labels[amount][0].label_accuracy

    def path(self, errors: str, amount: int, wording: str, layer: int) -> tuple[Fitted, ...]:
        """The probes along STRENGTHS; fitted at the first call.

        Raises:
            ValueError: `errors` is no key of ERRORS, or there are no features of this layer and wording.
        """
        if errors not in ERRORS:
            raise ValueError(f"ProbeLab: errors is {errors!r}; expected one of {', '.join(ERRORS)}")
        if not self.has(wording, layer):
            raise ValueError(f"ProbeLab: there are no features of layer {layer} with {wording!r}")
        train, test = self._standard(wording, layer)
        learnt = self._learnt(errors, amount)
        weights = self._weights(errors, None if errors == "truth" else amount, wording, layer)  # one ceiling for all
        true, weak = (self._second(one) for one in (self._truth[1], self._labels[amount][1]))
        wrong = learnt != self._second(self._truth[0])
        found = []
        for C, w in zip(STRENGTHS, weights, strict=True):
            says, again = (table @ w[:-1] + w[-1] > 0 for table in (test, train))
            memorised = float((again == learnt)[wrong].mean()) if wrong.any() else None
            imitation = metrics.imitation(says.tolist(), weak.tolist(), true.tolist())
            found.append(Fitted(C, float((says == true).mean()), float((says == weak).mean()), imitation, memorised))
        return tuple(found)

    def _fitted(self, errors: str, amount: int | None, wording: str, layer: int) -> np.ndarray:
        return fit_path(self._standard(wording, layer)[0], self._learnt(errors, amount))

    def _learnt(self, errors: str, amount: int | None) -> np.ndarray:
        """[N] bool: the labels that the probe learns; for the truth, `amount` plays no part."""
        if errors == "truth":
            return self._second(self._truth[0])
        weak = self._labels[amount][0]
        if errors == "random":
            weak = random_errors(self._truth[0], weak.label_accuracy, seed=self._seed)
        return self._second(weak)

    def _second(self, labels: LabelledSet) -> np.ndarray:
        return np.array([answer == self.answers[1] for answer in labels.answers])

    def _standardised(self, wording: str, layer: int) -> Features:
        """Both tables with the mean and the standard deviation of the first."""
        train, test = (np.asarray(table, dtype=np.float64) for table in self._states[wording][layer])
        scale = train.std(0)
        scale[scale == 0] = 1.0
        return (train - train.mean(0)) / scale, (test - train.mean(0)) / scale


def probe_explorer(
    states: States,
    labels: Mapping[int, tuple[LabelledSet, LabelledSet]],
    *,
    layer: int | None = None,
    C: float = 1e-3,
    seed: int = 0,
) -> Panel:
    """Sliders for supervisor, layer, instruction and C; the curves are the probes' accuracies along C.

    Args:
        states: wording -> layer -> features of the student's and of the test examples; a layer may be missing. Or
            wording -> a function that makes them: it is called when the wording is first chosen (the first one: at
            once), with a function of (examples done, of how many) to tell how far it is, or None.
        labels: true answers of the supervisor -> its labels of both, with the truth inside.
        layer: where the slider begins; None: the middle one.
        C: where its slider begins, one of STRENGTHS.
        seed: of the places of random errors.

    Raises:
        ValueError: see `ProbeLab`.
    """
    lab = ProbeLab(states, labels, seed=seed)

    def draw(true_answers: int, learns: str, layer: int, instruction: str, C: float) -> View:
        if not lab.knows(instruction):
            with panel.working(READING) as report:
                lab.read(instruction, report)
        if not lab.has(instruction, layer):
            return View(f"There are no features of layer {layer} with the instruction {instruction!r}.")
        paths = {errors: lab.path(errors, true_answers, instruction, layer) for errors in ERRORS}
        says = _says(lab, paths, true_answers, learns, C)
        curves = [_curve(paths[errors], errors, errors in (learns, "truth")) for errors in ("truth", "random", "weak")]
        marks = (
            Mark(lab.weak(true_answers), "weak supervisor", across=True, role="weak"),
            Mark(C, f"C = {C:g}"),
        )
        chart = Chart(
            "C (right: the probe may fit its labels more closely)", "accuracy on test", tuple(curves), marks,
            x_range=(STRENGTHS[0] * 0.8, STRENGTHS[-1] * 1.25), y_range=(0.45, 1.0), log_x=True, said=says, height=300,
        )  # fmt: skip
        return View(says, (chart,), _compared(paths, C, lab, true_answers))

    middle = lab.layers[len(lab.layers) // 2] if layer is None else layer
    controls = {
        "true_answers": stops("supervisor's true labels", lab.amounts, lab.amounts[-1], width="360px"),
        "learns": choice("student learns", [(ERRORS[e], e) for e in ("weak", "random")], "weak", width="350px"),
        "layer": stops("layer", lab.layers, middle, width="230px"),
        "instruction": choice("instruction", lab.wordings, width="230px"),
        "C": stops("C", [(f"{c:g}", c) for c in STRENGTHS], C, width="230px"),
    }
    panel = Panel("Probe explorer: a student on the strong model's states", controls, draw)
    return panel


def _curve(path: Sequence[Fitted], errors: str, chosen: bool) -> Series:
    role, name = ROLES[errors]
    return Series([one.C for one in path], [one.accuracy for one in path], role, name, faint=not chosen)


def _at(path: Sequence[Fitted], C: float) -> Fitted:
    return next(one for one in path if one.C == C)


def _says(lab: ProbeLab, paths: Mapping, amount: int, learns: str, C: float) -> str:
    student, ceiling, weak = _at(paths[learns], C), _at(paths["truth"], C), lab.weak(amount)
    pgr = metrics.pgr(weak, student.accuracy, ceiling.accuracy)
    gap = "there is no gap, so the PGR is undefined" if pgr is None else f"PGR {pgr:.2f}"
    whose = f"{ERRORS[learns]} ({lab.label_accuracy(amount):.3f} of {lab.examples:,} labels right)"
    return (
        f"The student learns {whose}. On {lab.tests:,} test examples: weak "
        f"{weak:.3f}, student {student.accuracy:.3f}, ceiling {ceiling.accuracy:.3f}; {gap}. It repeats "
        f"{_number(student.imitation)} of the supervisor's errors."
    )


def _compared(paths: Mapping[str, Sequence[Fitted]], C: float, lab: ProbeLab, amount: int) -> str:
    """A table: the students of weak labels, of as many random errors, of the truth."""
    kinds = ("weak", "random", "truth")
    columns = [_at(paths[kind], C) for kind in kinds]
    pgrs = [metrics.pgr(lab.weak(amount), one.accuracy, columns[-1].accuracy) for one in columns[:2]]
    rows = [
        ("<b>accuracy on test</b>", *(f"<b>{one.accuracy:.3f}</b>" for one in columns)),
        ("PGR", *map(_number, pgrs), ""),
        ("agreement with the supervisor on test", *(f"{one.agreement:.3f}" for one in columns)),
        ("imitation of its errors on test", *(_number(one.imitation) for one in columns)),
        ("wrong labels that it repeats in training", *(_number(one.memorised) for one in columns)),
    ]
    return table(("student of", "weak labels", "random errors", "the truth"), rows)


def _number(value: float | None) -> str:
    return "undefined" if value is None else f"{value:.3f}"
