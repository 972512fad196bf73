"""Which weak labels to keep: a rule, a fraction, balance, and a student that is fitted anew when a control moves.

The student is a linear probe on frozen features of the strong model (`w2s_lab.methods.probe`), so it learns in
milliseconds; it gains less than a fine-tuned one. The control at every size: probes of parts that were drawn at random.
"""

from collections.abc import Iterator, Mapping, Sequence

import numpy as np

from w2s_lab.classroom.toolkit.chart import Bar, BarChart, Chart, Mark, Series
from w2s_lab.classroom.toolkit.panel import Panel, View, choice, stops
from w2s_lab.figures.plots import ROLE, Role
from w2s_lab.methods.probe import fit_probe
from w2s_lab.methods.selection import RULES, keep, random_scores
from w2s_lab.methods.selection import scores as scores_of
from w2s_lab.records import LabelledSet

FRACTIONS = tuple(tenth / 10 for tenth in range(1, 11))
STRENGTH = 0.01  # C of the probe, as in the study of the methods
LABELS = Role("labels kept: right", ROLE["weak"].color, "s", "", "--")  # they are its labels
MANY = 1000  # labels; with more of them, a fit takes too long for a slider

Place = tuple[str, float, bool]  # rule, fraction, balanced


class Selection:
    """Probes of parts of one pool of weak labels.

    Attributes:
        labels: the pool, N weak labels.
        scores: rule -> [N], higher is kept first.
        parts: what is kept by rule, fraction and balance; fewer than asked for where a rule refuses the rest.
        fitted: the probes' test accuracies so far, by rule, fraction and balance.
        control: fraction -> test accuracies of probes of random parts.
        C: inverse strength of the probes' regularisation.
    """

    def __init__(
        self,
        labels: LabelledSet,
        scores: Mapping[str, Sequence[float]],
        features: np.ndarray,
        test: LabelledSet,
        test_features: np.ndarray,
        *,
        draws: int,
        seed: int,
        C: float = STRENGTH,
    ) -> None:
        self.labels, self.scores, self.C = labels, dict(scores), C
        self._features, self._test_features, self._truth = features, test_features, np.array(test.answers, dtype=object)
        self._row = {example_id: row for row, example_id in enumerate(labels.ids)}
        self.parts = {  # all of them now, so that a slider does not wait
            (rule, fraction, balanced): keep(labels, values, fraction, by=rule, balanced=balanced)
            for rule, values in scores.items()
            for fraction in FRACTIONS
            for balanced in (False, True)
        }
        self.fitted: dict[Place, float] = {}
        chance = [random_scores(labels, seed=seed + draw) for draw in range(draws)]
        self.control = {f: [self._probe(keep(labels, one, f)) for one in chance] for f in FRACTIONS}

    def accuracy(self, place: Place) -> float:
        """Test accuracy of a probe of that part, fitted when it is first asked for."""
        if place not in self.fitted:
            self.fitted[place] = self._probe(self.parts[place])
        return self.fitted[place]

    def _probe(self, part: LabelledSet) -> float:
        probe = fit_probe(self._features[[self._row[example_id] for example_id in part.ids]], part, C=self.C)
        said = np.array(probe.answers, dtype=object)[probe.probs(self._test_features).argmax(-1)]
        return float((said == self._truth).mean())

    def groups(self, part: LabelledSet) -> Iterator[tuple[str, int, int]]:
        """(name, how many are in the part, how many in the pool) of each answer and then of each slice."""
        for answer in self.labels.task.answers:
            yield f"labelled {answer}", part.answers.count(answer), self.labels.answers.count(answer)
        tags = sorted({tag for example in self.labels.examples for tag in example.tags})
        for tag in tags:
            yield tag, *(sum(tag in example.tags for example in one.examples) for one in (part, self.labels))


class SelectionExplorer(Panel):
    """The panel of `selection_explorer`; `sweep` walks along the fractions, so that the whole line is drawn."""

    def __init__(self, selection: Selection, rule: str) -> None:
        self.selection = selection
        fractions = [(f"{fraction:.0%}", fraction) for fraction in FRACTIONS]
        controls = {
            "rule": choice("Keep by", list(selection.scores), rule),
            "balanced": choice("Answers", [("as the ranking has them", False), ("in their shares", True)], False),
            "kept": stops("Kept fraction", fractions, 0.5, width="480px"),
        }
        super().__init__("Which labels to keep", controls, self._view)

    def sweep(self, rule: str | None = None, *, balanced: bool | None = None) -> "SelectionExplorer":
        """Fit the probes of all fractions for a rule, then go back to where the slider stood; returns the panel."""
        here = self.controls["kept"].value
        if rule is not None:
            self.set(rule=rule)
        if balanced is not None:
            self.set(balanced=balanced)
        for fraction in (*FRACTIONS, here):
            self.set(kept=fraction)
        return self

    def _view(self, rule: str, balanced: bool, kept: float) -> View:
        place = (rule, kept, balanced)
        self.selection.accuracy(place)
        return View(_words(self.selection, place), (_curves(self.selection, place), _shares(self.selection, place)))


def selection_explorer(
    labels: LabelledSet,
    scores: Mapping[str, Sequence[float]] | None,
    features: np.ndarray,
    test: LabelledSet,
    test_features: np.ndarray,
    *,
    rule: str | None = None,
    draws: int = 8,
    seed: int = 0,
    C: float = STRENGTH,
) -> SelectionExplorer:
    """Rule, kept fraction and balance as live controls; at each move a probe is fitted to what is kept.

    Args:
        labels: a pool of at most 1,000 weak labels with known truth (to look at; no rule sees it) of a closed task.
        scores: rule -> [N] scores, higher is kept first, such as `selection.scores` gives; None: of every registered
            rule that needs nothing but the labels. A registered rule is explained below the picture.
        features: [N, d] of the strong model, of `probe.features`.
        test: examples with their true answers.
        test_features: [M, d] of the same model.
        rule: the one that is shown first; None: the first.
        draws: random parts of each size, for the control.
        seed: of these draws.
        C: inverse strength of the probe's regularisation (see `probe.fit_probe`).

    Raises:
        ValueError: there are more than 1,000 labels, there is no rule, scores are not N numbers, or the features have
            more or fewer rows than there are examples.
    """
    if len(labels) > MANY:
        raise ValueError(
            f"selection_explorer: {len(labels):,} labels; expected at most {MANY:,}, so that a probe is fitted while a "
            f"slider moves. Hint: labels.take(range({MANY}))"
        )
    if scores is None:
        scores = scores_of(labels)
    if not scores:
        raise ValueError("selection_explorer: scores is empty; expected at least one rule: {name: [N] scores}")
    for name, values in scores.items():
        if np.shape(values) != (len(labels),):
            raise ValueError(f"selection_explorer: {name} has shape {np.shape(values)}; expected ({len(labels)},)")
    for name, table, inputs in (("features", features, labels), ("test_features", test_features, test)):
        if len(table) != len(inputs):
            raise ValueError(f"selection_explorer: {name} has {len(table)} rows; expected {len(inputs)}, as examples")
    selection = Selection(labels, scores, features, test, test_features, draws=draws, seed=seed, C=C)
    return SelectionExplorer(selection, next(iter(scores)) if rule is None else rule)


def _curves(selection: Selection, place: Place) -> Chart:
    rule, kept, balanced = place
    chance = [selection.control[fraction] for fraction in FRACTIONS]
    fitted = {f: selection.fitted[rule, f, balanced] for f in FRACTIONS if (rule, f, balanced) in selection.fitted}
    right = [selection.parts[rule, fraction, balanced].label_accuracy for fraction in FRACTIONS]
    band = {"low": [min(draws) for draws in chance], "high": [max(draws) for draws in chance], "points": False}
    drawn = f"probe of a random part ({len(chance[0])} draws)"
    return Chart(
        "kept fraction of the weak labels",
        "fraction right",
        (
            Series(FRACTIONS, right, LABELS, points=False),
            Series(FRACTIONS, [np.mean(draws) for draws in chance], "random", drawn, **band),
            Series(list(fitted), list(fitted.values()), "student", "probe of what is kept: test"),
        ),
        marks=(Mark(kept, f"{kept:.0%}: {selection.fitted[place]:.3f}"),),
        x_range=(0.0, 1.05),
        y_range=(0.4, 1.08),
        height=260,
    )


def _shares(selection: Selection, place: Place) -> BarChart:
    part, bars = selection.parts[place], []
    for name, inside, everywhere in selection.groups(part):
        ratio = (inside / len(part)) / (everywhere / len(selection.labels)) if everywhere else None
        bars.append(Bar(name, ratio, "weak", note=f"({inside} of {everywhere})"))
    marks = (Mark(1.0, "as in the pool"),)
    return BarChart("share among the kept / share in the pool", tuple(bars), x_range=(0.0, 2.0), marks=marks)


def _words(selection: Selection, place: Place) -> str:
    (rule, kept, balanced), part = place, selection.parts[place]
    chance, first = selection.control[kept], selection.labels.task.answers[0]
    shares = [one.answers.count(first) / len(one) for one in (part, selection.labels)]
    asked = round(kept * len(selection.labels))
    explained = f" {rule}: {RULES[rule].about}" if rule in RULES else ""
    fewer = f" ({asked} were asked for, the rule refuses the rest)" if len(part) < asked else ""
    return (
        f"The best {kept:.0%} by {rule}{', within each answer' if balanced else ''}: {len(part)} labels{fewer}, "
        f"{part.label_accuracy:.1%} of them right; {shares[0]:.0%} say {first}, of all labels {shares[1]:.0%}. "
        f"A probe of them is right on {selection.fitted[place]:.3f} of the test examples, probes of random parts of "
        f"that size on {min(chance):.3f} to {max(chance):.3f}.{explained}"
    )
