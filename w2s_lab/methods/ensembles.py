"""Several weak supervisors: combine the labels that they give the same examples into one labelled set.

Xiao & Zhu (2025, arXiv 2501.09223), section 4.2.5 (fig. 4.5d). The sets may list the examples in any order: they are
matched by id, and the result has the order of the first. It does not keep the sets' loss weights and token targets.
"""

import math
from collections.abc import Sequence

import numpy as np

from w2s_lab.methods.selection import aligned
from w2s_lab.records import LabelledSet
from w2s_lab.system.border import check_arguments

FLOOR = 1e-6  # lowest probability before a logarithm: in float32, a sure supervisor gives the other answers 0


def vote(sets: Sequence[LabelledSet], *, weights: Sequence[float] | None = None) -> LabelledSet:
    """For each example, the answer that most supervisors give; answers of an open task are equal if their strings are.

    A tie goes to the tied answer with the highest (weighted) mean probability over the supervisors that have probs; if
    that is a tie too, to the answer of the supervisor that comes first. In an open task no supervisor has probs.

    Args:
        sets: the supervisors' labels.
        weights: [M] how many votes each supervisor has, such as `log_odds_weights`; None: one each.

    Returns:
        `probs` are the shares of the votes (None for an open task), `log_prob` is the log of the winner's share.

    Raises:
        ValueError: the sets hold different examples, or `weights` is not M numbers from 0 up, one of them above 0.
    """
    check_arguments(vote, locals())
    matched, shares = _matched(sets), _shares(weights, len(sets))
    first, choices = matched[0], matched[0].task.answers
    scaled = [share * labels.probs for share, labels in zip(shares, matched, strict=True) if labels.probs is not None]
    support = np.sum(scaled, axis=0) if scaled else None  # orders the answers as the mean would
    answers, won, probs = [], [], np.zeros((len(first), len(choices or ())))
    for row, row_answers in enumerate(zip(*(labels.answers for labels in matched), strict=True)):
        votes: dict[str, float] = {}  # in the order of the supervisors
        for answer, share in zip(row_answers, shares, strict=True):
            votes[answer] = votes.get(answer, 0.0) + share
        tied = [answer for answer, count in votes.items() if math.isclose(count, max(votes.values()))]
        preference = dict.fromkeys(tied, 0.0) if support is None else dict(zip(choices, support[row], strict=True))
        answers.append(max(tied, key=preference.get))  # of equals, the first
        won.append(votes[answers[-1]])
        probs[row] = [votes.get(answer, 0.0) for answer in choices or ()]
    source = f"{'majority' if weights is None else 'weighted'} vote of {_names(sets)}"
    log_prob = np.log(np.array(won, dtype=float))
    return LabelledSet(first.task, first.examples, tuple(answers), probs if choices else None, log_prob, source)


def average(sets: Sequence[LabelledSet], *, weights: Sequence[float] | None = None) -> LabelledSet:
    """The (weighted) mean of the supervisors' distributions, and its likeliest answer.

    Args:
        sets: the supervisors' labels of a closed task.
        weights: [M] relative weights; None: equal ones.

    Returns:
        `probs` is the mean [N, K], y_hat its argmax (of equals, the first in `task.answers`), `log_prob` the log of
        y_hat's mean probability: among the listed answers, not among all strings as for a single supervisor.

    Raises:
        ValueError: the sets hold different examples, one has no probs, or `weights` is not M numbers from 0 up, one of
            them above 0.
    """
    check_arguments(average, locals())
    matched, shares = _matched(sets), _shares(weights, len(sets))
    probs = np.einsum("m,mnk->nk", shares, _distributions(matched, "average"))
    return _most_likely(matched[0], probs, f"{'mean' if weights is None else 'weighted mean'} of {_names(sets)}")


def log_odds_weights(trusted: Sequence[LabelledSet]) -> np.ndarray:
    """Each supervisor's weight in a `vote`, [M]: log(p (K - 1) / (1 - p)), with its accuracy p on trusted examples.

    The vote with these weights is Bayes' rule if the supervisors err independently with known p, all wrong answers are
    equally likely, and all K answers are equally frequent: no other function of the votes is right more often. For two
    answers this is the result of Nitzan & Paroush (1982, International Economic Review 23; see Berend & Kontorovich
    2014, arXiv 1312.0451). Supervisors that learnt from the same examples do not err independently.

    p is estimated as (right + 1) / (n + K), which is Laplace's rule with one example added for each answer. A
    supervisor that is always right thus has a finite weight, and a supervisor without trusted examples has weight 0,
    as for guessing. A supervisor worse than guessing would have a negative weight, and gets 0 instead.

    Args:
        trusted: each supervisor's labels of the same examples, with known truth.

    Raises:
        ValueError: the task is open or has a single answer, a truth is unknown, or the sets hold different examples.
    """
    matched = _matched(trusted)
    k = len(matched[0].task.answers or ())
    if k < 2:
        size = "is open" if matched[0].task.answers is None else f"has {k} answer"
        raise ValueError(f"log_odds_weights: the task {matched[0].task.name!r} {size}; expected a list of at least 2")
    truth = LabelledSet.ground_truth(matched[0].task, matched[0].examples).answers
    right = np.array([sum(a == t for a, t in zip(labels.answers, truth, strict=True)) for labels in matched])
    p = (right + 1) / (len(truth) + k)
    return np.log(p * (k - 1) / (1 - p)).clip(min=0.0)


def stack(sets: Sequence[LabelledSet], trusted_sets: Sequence[LabelledSet], *, C: float = 1.0) -> LabelledSet:
    """Stacked generalization (Wolpert 1992): a logistic regression predicts the truth from all supervisors' labels.

    Its features are the supervisors' log-probabilities of all answers, side by side, [N, M K], in nats, those below
    1e-6 raised to it. It is fitted on trusted examples that no supervisor was trained on, and applied to `sets`.
    An answer that is true for no trusted example gets probability 0: the regression cannot learn it.

    Args:
        sets: each supervisor's labels of a closed task.
        trusted_sets: the same supervisors' labels, in the same order, of a small set with known truth.
        C: inverse strength of the L2 penalty, as in scikit-learn.

    Returns:
        `probs` [N, K] of the regression, y_hat its argmax, `log_prob` the log of y_hat's probability.

    Raises:
        ValueError: there are not as many trusted sets as sets, the sets hold different examples, one has no probs, a
            true answer is unknown, or the trusted examples have fewer than two different true answers.
    """
    check_arguments(stack, locals())
    if len(sets) != len(trusted_sets):
        raise ValueError(f"stack: {len(trusted_sets)} trusted sets for {len(sets)} sets; expected one per supervisor")
    matched, trusted = _matched(sets), _matched(trusted_sets)
    task = matched[0].task
    if trusted[0].task != task:
        raise ValueError(f"stack: the trusted sets belong to {trusted[0].task}; expected {task}")
    trusted_features, features = (_features(_distributions(labels, "stack")) for labels in (trusted, matched))
    truth = LabelledSet.ground_truth(task, trusted[0].examples).answers
    if len(set(truth)) < 2:
        raise ValueError(
            f"stack: the truths of the {len(truth)} trusted examples are {sorted(set(truth))}; expected at least two "
            "different ones. Hint: more trusted examples, or `average`, which needs none"
        )
    numbers = [task.answers.index(answer) for answer in truth]
    from sklearn.linear_model import LogisticRegression  # a second to import

    regression = LogisticRegression(C=C, max_iter=2000).fit(trusted_features, numbers)
    probs = np.zeros((len(matched[0]), len(task.answers)))
    if len(probs):
        probs[:, regression.classes_] = regression.predict_proba(features)
    return _most_likely(matched[0], probs, f"stack of {_names(sets)}, fitted on {len(truth)} trusted examples")


# -- inside ------------------------------------------------------------------------------------------------------


def _matched(sets: Sequence[LabelledSet]) -> list[LabelledSet]:
    """All sets in the order of the first."""
    if not sets:
        raise ValueError("an ensemble of 0 sets; expected at least one labelled set")
    return [sets[0], *(aligned(labels, sets[0]) for labels in sets[1:])]


def _shares(weights: Sequence[float] | None, m: int) -> np.ndarray:
    """[M] weights scaled to sum to 1."""
    values = np.ones(m) if weights is None else np.asarray(weights, dtype=float)
    if values.shape != (m,) or not (np.isfinite(values) & (values >= 0)).all() or not values.sum() > 0:
        raise ValueError(
            f"weights are {values.tolist()}; expected {m} finite numbers from 0 up, at least one above 0. Hint: "
            "log_odds_weights are all 0 where no supervisor does better than guessing"
        )
    return values / values.sum()


def _distributions(sets: Sequence[LabelledSet], asking: str) -> np.ndarray:
    """The distributions of all supervisors, [M, N, K]."""
    for labels in sets:
        if labels.probs is None:
            raise ValueError(
                f"{asking}: the set ({labels.source}) has no probs; expected labels from weak_labels on a task with a "
                "closed list. Hint: `vote` needs answers only"
            )
    return np.stack([labels.probs for labels in sets])


def _features(distributions: np.ndarray) -> np.ndarray:
    """[M, N, K] distributions to [N, M K] log-probabilities."""
    m, n, k = distributions.shape
    return np.log(distributions.clip(min=FLOOR)).transpose(1, 0, 2).reshape(n, m * k)


def _most_likely(like: LabelledSet, probs: np.ndarray, source: str) -> LabelledSet:
    """The examples of `like`, labelled by the argmax of `probs`."""
    answers = tuple(like.task.answers[k] for k in probs.argmax(-1))
    return LabelledSet(like.task, like.examples, answers, probs, np.log(probs.max(-1)), source)


def _names(sets: Sequence[LabelledSet]) -> str:
    return "[" + "; ".join(labels.source for labels in sets) + "]"
