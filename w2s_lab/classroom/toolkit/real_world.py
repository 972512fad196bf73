"""What dashboards need of real English: sentences that people rated, a supervisor's labels, a model's features.

Nothing is read or computed before it is asked for; features are kept in the store.
"""

from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np

from w2s_lab.data import fetch
from w2s_lab.data.sources import SplitSizes, load_splits
from w2s_lab.experiments.store import Store
from w2s_lab.methods.labellers import labeller, labels_by
from w2s_lab.models.language_model import LanguageModel
from w2s_lab.models.loading import load_model
from w2s_lab.records import LabelledSet, Snapshot, Splits
from w2s_lab.training.evaluation import score

TASK, MODEL = "film-reviews", "smollm2-135m-q4"
SUPERVISOR, TRUE_ANSWERS = "bag-of-words", 1500
LAYER = 15  # the middle one of 30
C = 1e-3  # of a probe on its 576 features; with the pocket world's C such a probe overfits
COMMANDS = f"run `pip install 'w2s-lab[real]'` and `w2s-lab fetch {TASK} {MODEL}` in a terminal"
RATE, EVERY, STEPS = 0.03, 20, 400  # of the training that `history` shows


def fetched() -> bool:
    """Whether the sentences and the model are on this machine."""
    return fetch.here(TASK) and fetch.here(MODEL)


@dataclass(frozen=True, eq=False)
class RealEnglish:
    """Sentences of film reviews, a bag of words that supervises, and SmolLM2 as the strong model. See `real_english`.

    Attributes:
        store: keeps the features.
        seed: of the split.
        students, tests: how many examples the student and the test have.
        C: of a probe on these features.
    """

    store: Store
    seed: int
    students: int
    tests: int
    C: float = C

    @cached_property
    def splits(self) -> Splits:
        """The sentences: of the supervisor, of the student, of the test."""
        sizes = SplitSizes(TRUE_ANSWERS, self.students, self.tests, 0)
        return load_splits(TASK, seed=self.seed, sizes=sizes)

    @property
    def test(self) -> LabelledSet:
        """The test sentences with their truth."""
        return self.splits.test

    @cached_property
    def _both(self) -> tuple[LabelledSet, LabelledSet]:
        supervisor = labeller(SUPERVISOR, self.splits.supervisor_train)
        return labels_by(supervisor, self.splits.student_train), labels_by(supervisor, self.splits.test)

    @property
    def labels(self) -> LabelledSet:
        """The supervisor's labels of the student's sentences."""
        return self._both[0]

    @property
    def reference(self) -> LabelledSet:
        """The supervisor's labels of the test sentences."""
        return self._both[1]

    @cached_property
    def model(self) -> LanguageModel:
        """The strong model, pre-trained and not fine-tuned."""
        return load_model(MODEL, device="cpu")

    @cached_property
    def features(self) -> tuple[np.ndarray, np.ndarray]:
        """Mean states of layer LAYER, [N, d] and [M, d]: of the student's and of the test sentences."""
        parts = (self.splits.student_train, self.splits.test)
        return tuple(self.store.features(self.model, part, layer=LAYER, pool="mean") for part in parts)

    @cached_property
    def history(self) -> tuple[Snapshot, ...]:
        """A probe that learns the weak labels by gradient descent, evaluated on the test sentences while it does."""
        return probe_history(self.features[0], self.labels, self.features[1], self.reference)


def real_english(store: Store, *, seed: int = 0, student: int = 600, test: int = 400) -> RealEnglish:
    """The parts that dashboards need of real English; each is made when it is first asked for.

    The supervisor is a bag of words with TRUE_ANSWERS true answers. `labels` and `reference` need the sentences alone.
    For `features` the model reads every sentence once, in some tens of milliseconds each.

    Args:
        store: keeps the features.
        seed: of the split.
        student, test: how many sentences.

    Raises:
        FetchError: at the first use of what has not been fetched.
    """
    return RealEnglish(store, seed, student, test)


def probe_history(
    features: np.ndarray, labels: LabelledSet, test_features: np.ndarray, reference: LabelledSet
) -> tuple[Snapshot, ...]:
    """A linear probe from zero, trained by gradient descent on the log loss of all labels; a snapshot after each EVERY.

    It stops early where `fit_probe` regularises: the first steps are a probe with a small C, the later ones with a
    larger one.

    Args:
        features, test_features: [N, d] and [M, d].
        labels, reference: a supervisor's labels of both, of a task with two answers.
    """
    mean, scale = features.mean(0), features.std(0) + 1e-9
    train, test = ((table - mean) / scale for table in (features, test_features))
    answers = labels.task.answers
    target = np.array([answer == answers[1] for answer in labels.answers], dtype=float)
    coef, intercept, found, losses = np.zeros(train.shape[1]), 0.0, [], []
    for step in range(STEPS + 1):
        if step % EVERY == 0:
            second = test @ coef + intercept > 0
            said = replace(reference, answers=tuple(answers[int(one)] for one in second), probs=None, log_prob=None)
            loss = float(np.mean(losses)) if losses else None
            found.append(Snapshot(step, step * len(labels), loss, score(said, reference)))
            losses = []
        z = train @ coef + intercept
        losses.append(float(np.mean(np.logaddexp(0, z) - target * z)))
        error = 1 / (1 + np.exp(-z)) - target
        coef = coef - RATE * (train.T @ error) / len(train)
        intercept -= RATE * float(error.mean())
    return tuple(found)
