"""Exercises of notebook 11: words weighed, a choice without the test set, kinds of sentences, what is corrected."""

import numpy as np

from w2s_lab.classroom.dashboards.error_sorter import corrections, kind_by_words
from w2s_lab.classroom.exercises.exercise import Exercise, of_the_result
from w2s_lab.classroom.toolkit.measured import measured
from w2s_lab.experiments.effects import Effect, paired_effect
from w2s_lab.studies.study import column, select


def word_weights(positive, negative):
    def share(counts):
        return (counts + 1) / (counts.sum() + len(counts))

    return np.log(share(positive)) - np.log(share(negative))


def best_setting(scores):
    best = max(scores.values())
    return min(setting for setting, score in scores.items() if score == best)


def sentence_kinds(sentences, negations, faults, contrasts):
    def kind(words):
        negated = sum(word in negations for word in words)
        if negated:
            twice = negated > 1 or any(word in faults for word in words)
            return "double negation" if twice else "negation"
        return "mixed" if any(word in contrasts for word in words) else "other"

    return [kind(words) for words in sentences]


def corrected_by_kind(kinds, weak, student, truth):
    found = {}
    for kind, w, s, t in zip(kinds, weak, student, truth, strict=True):
        if w != t:
            corrected, errors = found.get(kind, (0, 0))
            found[kind] = (corrected + (s == t), errors + 1)
    return found


# -- the package's own computations, with the arguments of the exercises -----------------------------------------------


def _bayes_weights(positive: np.ndarray, negative: np.ndarray) -> np.ndarray:
    from sklearn.naive_bayes import MultinomialNB  # a second to import

    fitted = MultinomialNB().fit(np.array([negative, positive]), [0, 1])
    return fitted.feature_log_prob_[1] - fitted.feature_log_prob_[0]


def _bayes(smooth: float, vocabulary: bool = True):
    """The weights with another smoothing, or with one that forgets the vocabulary below the line."""

    def share(counts: np.ndarray) -> np.ndarray:
        return (counts + smooth) / (counts.sum() + smooth * len(counts) * vocabulary)

    return lambda positive, negative: np.log(share(positive) / share(negative))


# -- random inputs -----------------------------------------------------------------------------------------------------


def _counts(rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Of eight words; the two classes have different numbers of words, and each word occurs."""
    return rng.integers(1, 40, 8), rng.integers(1, 15, 8)


def _scores(rng: np.random.Generator) -> tuple[dict]:
    """Layers and values of C in no order, the best score there four times."""
    settings = [(int(layer), float(C)) for layer in (3, 9, 15) for C in (1e-4, 1e-3, 1e-2)]
    low, high = sorted(rng.choice([3, 9, 15], 2, replace=False).tolist())
    best = {(low, 1e-3), (low, 1e-2), (high, 1e-4), (high, 1e-2)}  # so that each way to break the tie is seen
    scores = {one: 0.8 if one in best else round(float(rng.uniform(0.5, 0.79)), 3) for one in settings}
    return ({settings[i]: scores[settings[i]] for i in rng.permutation(len(settings))},)


_SETS = ({"not", "never"}, {"bad", "dull"}, {"but", "yet"})
_SENTENCES = (
    "not bad but long", "never not dull", "not funny yet warm", "not never seen", "good but dull", "bad and dull",
    "warm and funny", "never a surprise", "yet it works",
)  # fmt: skip


def _sentences(rng: np.random.Generator) -> tuple:
    """All of the made-up sentences as lists of words, in another order each time."""
    return [_SENTENCES[i].split() for i in rng.permutation(len(_SENTENCES))], *_SETS


def _kinds_by_words(sentences, negations, faults, contrasts) -> list[str]:
    return [kind_by_words(words, negations, faults, contrasts) for words in sentences]


def _each(kind):
    """The mistake `kind(words, negations, faults, contrasts)`, in every sentence."""
    return lambda sentences, *sets: [kind(words, *sets) for words in sentences]


def _once(words, negations, faults, contrasts) -> str:
    """A second negation counts as none."""
    first = next((i for i, word in enumerate(words) if word in negations), 0)
    rest = [word for i, word in enumerate(words) if i == first or word not in negations]
    return kind_by_words(rest, negations, faults, contrasts)


def _contrast_first(words, negations, faults, contrasts) -> str:
    return "mixed" if set(words) & set(contrasts) else kind_by_words(words, negations, faults, contrasts)


def _fault_alone(words, negations, faults, contrasts) -> str:
    return "double negation" if set(words) & set(faults) else kind_by_words(words, negations, faults, contrasts)


def _answers(rng: np.random.Generator) -> tuple[list[str], ...]:
    """Twenty-four examples of three kinds; each kind has weak errors, corrected and not, and the student errs alone."""
    while True:
        kinds = rng.choice(["negation", "mixed", "other"], 24).tolist()
        weak, student, truth = (rng.choice(["negative", "positive"], 24).tolist() for _ in range(3))
        found = corrections(kinds, weak, student, truth)
        if len(found) == 3 and all(0 < corrected < errors for corrected, errors in found.values()):
            return kinds, weak, student, truth


def _repeated(kinds, weak, student, truth) -> dict:
    return {kind: (n - corrected, n) for kind, (corrected, n) in corrections(kinds, weak, student, truth).items()}


def _over_all(kinds, weak, student, truth) -> dict:
    """Right answers of the student among all examples of a kind."""
    rows = list(zip(kinds, student, truth, strict=True))
    return {k: (sum(s == t for q, s, t in rows if q == k), kinds.count(k)) for k in dict.fromkeys(kinds)}


def _shares(kinds, weak, student, truth) -> dict:
    return {kind: corrected / n for kind, (corrected, n) in corrections(kinds, weak, student, truth).items()}


def _differing(kinds, weak, student, truth) -> dict:
    """Counts every difference from the supervisor as a correction, out of all examples of the kind."""
    rows = list(zip(kinds, weak, student, strict=True))
    return {k: (sum(s != w for q, w, s in rows if q == k), kinds.count(k)) for k in dict.fromkeys(kinds)}


# -- the open task -----------------------------------------------------------------------------------------------------


def my_claim():
    return {
        "study": "real-tuning",
        "arm": "weak labels",
        "against": "supervisor",
        "mean": 0.11,
        "low": 0.09,
        "high": 0.13,
        "seeds": 5,
        "verdict": "helps",
        "limits": ["one small model", "one kind of supervisor"],
    }


LIMITS = (
    "one small model", "one kind of supervisor", "the model may have seen the sentences",
    "truth is a mean of ratings", "one pass over the labels",
)  # fmt: skip


def _measured_effect(claim: dict) -> Effect:
    """Accuracy of one arm minus that of the supervisor, or of another arm, paired by seed."""
    which = {"question": "arms", "choice": "held-out labels"}
    if claim["study"] == "real-tuning":
        which = {"question": "students", "epochs": 1}
    rows = [row for row in measured(claim["study"])["rows"] if which.items() <= row.items()]
    own = select(rows, arm=claim["arm"])
    against = (
        column(own, "weak")
        if claim["against"] == "supervisor"
        else column(select(rows, arm=claim["against"]), "accuracy")
    )
    return paired_effect(claim["arm"], column(own, "accuracy"), against)


def _numbers_agree(claim: dict) -> bool:
    effect = _measured_effect(claim)
    return all(abs(claim[part] - getattr(effect, part)) <= 0.01 for part in ("mean", "low", "high"))


EXERCISES = (
    Exercise(
        word_weights,
        _counts,
        key=_bayes_weights,
        mistakes=(
            ("The sign is turned: a word of positive reviews has a weight above 0.",
             lambda positive, negative: -_bayes_weights(positive, negative)),
            ("You took the counts as they are. Add 1 to each first: a word that one class never has would have an "
             "infinite weight.", _bayes(0.0)),
            ("You added 1 to each count, but not to the sum below the line: with V words the sum grows by V.",
             _bayes(1.0, vocabulary=False)),
            ("You compared counts, not shares: divide by the number of words in the class first.",
             lambda positive, negative: np.log((positive + 1) / (negative + 1))),
            ("That is the ratio of the shares. The weight is its logarithm.",
             lambda positive, negative: np.exp(_bayes_weights(positive, negative))),
        ),
        hints=(
            "A function of one array that gives the shares, called twice.",
            "share = (counts + 1) / (counts.sum() + len(counts))",
            "np.log(share of positive) - np.log(share of negative).",
        ),
    ),
    Exercise(
        best_setting,
        _scores,
        mistakes=(
            ("You returned the score. Return the pair (layer, C) that has it.", lambda scores: max(scores.values())),
            ("Among equals you took the first in the dictionary. Its order means nothing: take the lower layer.",
             lambda scores: max(scores, key=scores.get)),
            ("Among equals you took the higher layer, or the larger C. Take the lower layer, then the smaller C.",
             lambda scores: max(scores, key=lambda one: (scores[one], one))),
            ("Among equals you looked at C first. The lower layer comes first, then the smaller C.",
             lambda scores: min(scores, key=lambda one: (-scores[one], one[1], one[0]))),
        ),
        hints=(
            "Find the best score, then the settings that have it.",
            "Pairs are compared element by element: min of the pairs is the lower layer, then the smaller C.",
        ),
    ),
    Exercise(
        sentence_kinds,
        _sentences,
        key=_kinds_by_words,
        mistakes=(
            ("A negation beside a word for a fault (not bad) is a double negation.",
             _each(lambda words, n, f, c: kind_by_words(words, n, (), c))),
            ("Two negations in one sentence are a double negation.", _each(_once)),
            ("A sentence with a negation is never mixed: ask for the negation first.", _each(_contrast_first)),
            ("A word for a fault alone is no double negation: that takes a negation.", _each(_fault_alone)),
        ),
        hints=(
            "Count the words that are negations first.",
            "With a negation: double negation if there are two of them, or a word for a fault. Else negation.",
            "Without one: mixed if there is a word of contrast, else other.",
        ),
    ),
    Exercise(
        corrected_by_kind,
        _answers,
        key=corrections,
        mistakes=(
            ("You counted the student's right answers among all examples. Only those count where the supervisor is "
             "wrong.", _over_all),
            ("You counted the errors that the student repeats. Corrected are those where it gives the truth.",
             _repeated),
            ("You returned fractions. Return the pair (corrected, errors): three of four is not thirty of forty.",
             _shares),
            ("You counted every answer that differs from the supervisor's, also where the supervisor is right.",
             _differing),
        ),
        hints=(
            "Go through the four lists together, and pass over the examples where weak equals truth.",
            "found.get(kind, (0, 0)) is the pair so far; put the larger one back.",
            "The first number grows where student equals truth, the second one always.",
        ),
    ),
    Exercise(
        my_claim,
        lambda rng: (),
        criteria=of_the_result(
            (
                ("`study` is real-probe or real-tuning, `arm` one of its arms, `against` another one or 'supervisor'",
                 lambda claim: claim["study"] in ("real-probe", "real-tuning") and _measured_effect(claim).n > 1),
                ("`mean`, `low` and `high` are those of the difference in accuracy, paired by seed, to ± 0.01",
                 _numbers_agree),
                ("`seeds` is the number of their seeds", lambda claim: claim["seeds"] == _measured_effect(claim).n),
                ("`verdict` is no firmer than the interval: helps, hurts or cannot tell",
                 lambda claim: claim["verdict"] == _measured_effect(claim).verdict),
                ("`limits` names two reasons or more for which it may be otherwise elsewhere: " + ", ".join(LIMITS),
                 lambda claim: len(set(claim["limits"])) > 1 and set(claim["limits"]) <= set(LIMITS)),
            )
        ),
        hints=(
            "w2s.effects.paired_effect(name, treated, control) gives mean, low, high, n and verdict.",
            "The rows: question 'arms' with choice 'held-out labels' in real-probe; question 'students' with epochs 1 "
            "in real-tuning.",
        ),
    ),
)  # fmt: skip
