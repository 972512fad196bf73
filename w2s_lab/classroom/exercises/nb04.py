"""Exercises of notebook 04: flips, errors at random places, errors of one's own choice."""

from functools import cache

import numpy as np

from w2s_lab.classroom.dashboards.flips import KINDS, Flip, count_kinds
from w2s_lab.classroom.exercises.exercise import Exercise
from w2s_lab.data.sources import load_splits
from w2s_lab.methods import probe, simulated
from w2s_lab.models.loading import load_model
from w2s_lab.records import Example, LabelledSet, Task

_TASK = Task("sentiment", ("negative", "positive"))


def count_flips(before, after, weak, truth):
    counts = {"corrected": 0, "imitated": 0, "learnt": 0, "own error": 0}
    for b, a, w, t in zip(before, after, weak, truth, strict=True):
        if a == b:
            continue
        if a == t:
            counts["learnt" if a == w else "corrected"] += 1
        else:
            counts["imitated" if a == w else "own error"] += 1
    return counts


def wrong_at_random(truth, accuracy, seed):
    places = np.random.default_rng(seed).permutation(len(truth))
    answers = list(truth)
    for i in places[round(accuracy * len(truth)) :]:
        answers[i] = "negative" if truth[i] == "positive" else "positive"
    return answers


# -- the package's own computations, with the arguments of the exercises -----------------------------------------------


def _examples(truth) -> tuple[Example, ...]:
    return tuple(Example("Like it?", f"review {i}", answer) for i, answer in enumerate(truth))


def _flips_key(before, after, weak, truth) -> dict[str, int]:
    rows = zip(_examples(truth), before, after, weak, strict=True)
    return count_kinds([Flip(example, b, a, w) for example, b, a, w in rows if a != b])


# -- random inputs -----------------------------------------------------------------------------------------------------


def _answers(rng: np.random.Generator) -> tuple[list[str], ...]:
    """Thirty answers of three kinds, so that all four kinds of flips occur, and flips between two errors too."""
    choices = ("red", "green", "blue")
    while True:
        found = tuple(rng.choice(choices, 30).tolist() for _ in range(4))
        counts = _flips_key(*found)
        if len(set(counts.values())) == len(KINDS) and all(counts.values()):
            return found


def _truth(rng: np.random.Generator) -> tuple[list[str], float, int]:
    return rng.choice(_TASK.answers, 40).tolist(), round(float(rng.uniform(0.6, 0.9)), 2), int(rng.integers(1000))


def _all_wrong_answers(before, after, weak, truth) -> dict[str, int]:
    """The kinds of all answers, changed or not."""
    rows = zip(_examples(truth), before, after, weak, strict=True)
    return count_kinds([Flip(example, b, a, w) for example, b, a, w in rows])


def _swapped(before, after, weak, truth) -> dict[str, int]:
    return _flips_key(after, before, weak, truth)


def _weak_first(before, after, weak, truth) -> dict[str, int]:
    """Whatever equals the weak answer is called imitated, also where that answer is right."""
    counts = _flips_key(before, after, weak, truth)
    return {**counts, "imitated": counts["imitated"] + counts["learnt"], "learnt": 0}


def _truth_first(before, after, weak, truth) -> dict[str, int]:
    """Whatever equals the truth is called corrected, also where the weak supervisor is right."""
    counts = _flips_key(before, after, weak, truth)
    return {**counts, "corrected": counts["corrected"] + counts["learnt"], "learnt": 0}


# -- what holds for errors at random places, whatever the draw ---------------------------------------------------------


def _wrong(call, truth, accuracy, seed) -> np.ndarray:
    """[N] of true and false: which labels were made wrong."""
    return np.array([answer != true for answer, true in zip(call(list(truth), accuracy, seed), truth, strict=True)])


def _answers_of_each(call, truth, accuracy, seed) -> bool:
    answers = list(call(list(truth), accuracy, seed))
    return len(answers) == len(truth) and set(answers) <= set(_TASK.answers)


def _exactly_as_many(call, truth, accuracy, seed) -> bool:
    right = [int((~_wrong(call, truth, accuracy, one)).sum()) for one in range(seed, seed + 5)]
    return set(right) == {round(accuracy * len(truth))}


def _repeatable(call, truth, accuracy, seed) -> bool:
    return list(call(list(truth), accuracy, seed)) == list(call(list(truth), accuracy, seed))


def _other_seed_other_places(call, truth, accuracy, seed) -> bool:
    return len({tuple(_wrong(call, truth, accuracy, one).tolist()) for one in range(seed, seed + 5)}) > 1


def _any_place(call, truth, accuracy, seed) -> bool:
    """A place stays right in 300 draws with a probability of at most 0.9 ** 300, about 2e-14."""
    return bool(np.any([_wrong(call, truth, accuracy, one) for one in range(300)], axis=0).all())


# -- the open task -----------------------------------------------------------------------------------------------------


def my_errors(reviews, slices, truth, budget):
    other = {"positive": "negative", "negative": "positive"}
    labels, left = list(truth), {"positive": budget // 2, "negative": budget // 2}
    for i, answer in enumerate(truth):
        if {"reported-and-wrong", "but-overall"} & set(slices[i]) and left[answer]:
            labels[i] = other[answer]
            left[answer] -= 1
    return labels


LEARNT, TOLD = 600, 400  # reviews that the probe learns from, and new ones that it is asked about
BUDGET = LEARNT // 5  # about as many as the supervisor's
COST = 0.07  # in accuracy on new reviews, against as many errors at random places


@cache
def _reviews() -> tuple[LabelledSet, LabelledSet]:
    """The reviews that the probe learns from, and the new ones, with their truth."""
    splits = load_splits("sentiment", seed=0)
    return splits.student_train.take(range(LEARNT)), splits.test.take(range(TOLD))


@cache
def _features() -> list[np.ndarray]:
    """Of both, in `pocket-l` before it is fine-tuned: the notebook's strong model. This takes seconds, once."""
    model = load_model("pocket-l", device="cpu")
    return [probe.features(model, one) for one in _reviews()]


@cache
def _taught(labels: tuple[str, ...]) -> tuple[float, float]:
    """What a probe of these labels does: the share of the wrong ones that it repeats, its accuracy on new reviews."""
    given, new = _reviews()
    fitted = probe.fit_probe(_features()[0], LabelledSet(given.task, given.examples, labels), C=0.01)
    again, said = (
        np.array(probe.predict(fitted, table, one).answers)
        for table, one in zip(_features(), (given, new), strict=True)
    )
    wrong = np.array(labels) != given.answers
    repeated = float((again == labels)[wrong].mean()) if wrong.any() else 0.0
    return repeated, float((said == new.answers).mean())


@cache
def _at_random(count: int) -> float:
    """Accuracy on new reviews after `count` errors at random places, mean over five draws."""
    draws = (simulated.random_errors(_reviews()[0], 1 - count / LEARNT, seed=seed) for seed in range(5))
    return float(np.mean([_taught(draw.answers)[1] for draw in draws]))


def _within_the_budget(call, *given) -> bool:
    labels = list(call(*given))
    if len(labels) != LEARNT or not set(labels) <= set(_TASK.answers):
        return False
    return 0 < sum(label != answer for label, answer in zip(labels, _reviews()[0].answers, strict=True)) <= BUDGET


def _both_answers(call, *given) -> bool:
    """Of the wrong labels, at least two of five are positive, and at least two of five negative."""
    said = [label for label, answer in zip(call(*given), _reviews()[0].answers, strict=True) if label != answer]
    return min(said.count(answer) for answer in _TASK.answers) >= 0.4 * len(said) > 0


def _is_repeated(call, *given) -> bool:
    return _taught(tuple(call(*given)))[0] >= 0.5


def _costs_more(call, *given) -> bool:
    labels = tuple(call(*given))
    count = sum(label != answer for label, answer in zip(labels, _reviews()[0].answers, strict=True))
    return _taught(labels)[1] <= _at_random(count) - COST


EXERCISES = (
    Exercise(
        count_flips,
        _answers,
        key=_flips_key,
        mistakes=(
            ("You counted every answer. A flip is an answer that changed: compare before with after first.",
             _all_wrong_answers),
            ("Before and after are swapped: the kind is that of the answer after the flip.", _swapped),
            ("You called every flip to the weak answer imitated. Where the weak answer is right, the student learnt "
             "the truth: imitation is about the weak errors.", _weak_first),
            ("You called every flip to the truth corrected. Where the weak supervisor is right as well, there was "
             "nothing to correct: that one is learnt.", _truth_first),
        ),
        hints=(
            "Go through the four sequences together with zip, and pass over the answers that did not change.",
            "Ask two questions about the new answer: does it equal the truth? does it equal the weak answer?",
            "Truth and weak: learnt. Truth only: corrected. Weak only: imitated. Neither: own error.",
        ),
    ),
    Exercise(
        wrong_at_random,
        _truth,
        criteria=(
            ('one answer comes back for each that came in, "positive" or "negative"', _answers_of_each),
            ("exactly round(accuracy · N) labels stay right, whatever the seed (so draw places, not each label by a "
             "throw of its own)", _exactly_as_many),
            ("the same seed gives the same labels (np.random.default_rng(seed))", _repeatable),
            ("another seed makes other places wrong", _other_seed_other_places),
            ("each place is made wrong by some seed: if the list has an order, its last ones are no random places",
             _any_place),
        ),
        hints=(
            "One permutation of all places decides: the first round(accuracy · N) of them stay right.",
            "places = np.random.default_rng(seed).permutation(len(truth)); the wrong ones are "
            "places[round(accuracy * len(truth)):].",
            "Copy the list first, then replace the answer at each wrong place by the other one.",
        ),
    ),
    Exercise(
        my_errors,
        lambda rng: (
            [example.input for example in _reviews()[0].examples],
            [example.tags for example in _reviews()[0].examples],
            list(_reviews()[0].answers),
            BUDGET,
        ),
        criteria=(
            ('one answer comes back for each review, "positive" or "negative", and at least one and at most `budget` '
             "of them are wrong", _within_the_budget),
            ("of the wrong labels at least two of five are positive and at least two of five negative, so that "
             "counting answers gives nothing away", _both_answers),
            ("the probe repeats at least half of the wrong labels", _is_repeated),
            (f"on new reviews the probe's accuracy is at least {COST} lower than after as many errors at random places",
             _costs_more),
        ),
        hints=(
            "An error is learnt where a rule makes it, and where the student can see what the rule goes by. Begin with "
            "one slice: go through the places i and ask whether its name is in slices[i].",
            "If one slice is too small for the budget, take another one beside it, or a word of the reviews.",
            "Keep two counts, one for each true answer, and stop making either wrong at half of the budget.",
        ),
    ),
)  # fmt: skip
