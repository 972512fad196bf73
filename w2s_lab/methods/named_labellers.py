"""The labellers that the kit names: a bag of words, VADER's lexicon, an early exit of the strong model."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cache
from typing import Any

import numpy as np

from w2s_lab.methods.probe import Probe, choose, fit_probe, predict
from w2s_lab.records import LabelledSet

States = Callable[[LabelledSet, int], np.ndarray]  # inputs and a layer of the strong model -> [N, d]


@dataclass(frozen=True)
class NamedLabeller:
    """An entry of `LABELLERS`.

    Attributes:
        usage: how it is written, such as "layer:K[:N]".
        make: from the numbers after the name to what `labeller` takes, and the number of true labels (None: all).
        answers: the closed list that it needs, in any order; empty: any task.
        packages: whose versions decide what it answers.
    """

    usage: str
    make: Callable[..., tuple[Any, int | None]]
    answers: tuple[str, ...] = ()
    packages: tuple[str, ...] = ()


def bag_of_words(examples: int | None = None) -> tuple[Any, int | None]:
    """Multinomial naive Bayes on the counts of the words of the input; the instruction plays no part."""
    from sklearn.feature_extraction.text import CountVectorizer
    from sklearn.naive_bayes import MultinomialNB
    from sklearn.pipeline import make_pipeline

    return make_pipeline(CountVectorizer(), MultinomialNB()), examples


def vader(text: str) -> dict[str, float]:
    """VADER: a lexicon of rated words, with rules for negation, emphasis and punctuation. It never saw a label.

    Its compound score c, from -1 to 1, is read as Pr(positive) = (1 + c) / 2. This is a score and not calibrated. A
    text without any word of the lexicon has c = 0: both answers get 0.5, and the one that stands first in the task's
    list is taken. Its authors are those who had the sentences of `w2s-lab fetch film-reviews` rated (Hutto & Gilbert
    2014), so on these it is not independent of the data.
    """
    compound = _vader_analyzer().polarity_scores(text)["compound"]
    return {"negative": (1 - compound) / 2, "positive": (1 + compound) / 2}


@cache
def _vader_analyzer() -> Any:
    from vaderSentiment.vaderSentiment import SentimentIntensityAnalyzer

    return SentimentIntensityAnalyzer()


@dataclass(frozen=True)
class EarlyExit:
    """A logistic probe on the mean state after `layer` blocks of the strong model: what it knows early on.

    The strength of the regularisation is chosen by `probe.choose`: cross-validation within the true examples that it
    learns.
    """

    layer: int

    def learn(self, name: str, truth: LabelledSet, states: States | None) -> "FittedExit":
        """The probe, fitted.

        Raises:
            ValueError: the task is open, there are fewer than three examples, or there are no states.
        """
        if states is None:
            raise ValueError(
                f"{name} needs the strong model. Hint: Bench(...).supervisor(), or "
                'states=lambda inputs, layer: probe.features(strong, inputs, layer=layer, pool="mean")'
            )
        table = states(truth, self.layer)
        strength = choose({self.layer: table}, truth).C
        return FittedExit(name, self.layer, fit_probe(table, truth, C=strength), states)


@dataclass(frozen=True, eq=False)
class FittedExit:
    """An `EarlyExit` that has learnt."""

    name: str
    layer: int
    probe: Probe
    states: States

    def answer(self, inputs: LabelledSet) -> LabelledSet:
        """The probe's answers and probabilities."""
        found = predict(self.probe, self.states(inputs, self.layer), inputs)
        return replace(found, source=f"weak labels of {self.name}")


BUILTIN = {
    "bag-of-words": NamedLabeller("bag-of-words[:N]", bag_of_words, packages=("scikit-learn",)),
    "vader": NamedLabeller("vader", lambda: (vader, None), ("negative", "positive"), ("vaderSentiment",)),
    "layer": NamedLabeller("layer:K[:N]", lambda layer, n=None: (EarlyExit(layer), n), packages=("scikit-learn",)),
}
