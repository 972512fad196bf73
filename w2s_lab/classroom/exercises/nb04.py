"""Exercises of notebook 04: flips, errors at random places, when to stop, gain and misfit."""

from collections.abc import Callable
from functools import cache

import numpy as np

from w2s_lab.classroom.dashboards.flips import KINDS, Flip, count_kinds
from w2s_lab.classroom.exercises.exercise import Exercise
from w2s_lab.classroom.toolkit.measured import measured
from w2s_lab.records import Comparison, Evaluation, Example, Snapshot, Task
from w2s_lab.studies.study import gain_and_misfit
from w2s_lab.training import stopping

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


def stop_at(trusted):
    return 1 + int(np.argmax(trusted[1:]))


def squared_gain_and_misfit(weak, student, truth):
    def distance(a, b):
        return ((a - b) ** 2).sum(-1).mean()

    gain = distance(weak, truth) - distance(student, truth)
    return gain, distance(student, weak)


# -- the package's own computations, with the arguments of the exercises -----------------------------------------------


def _examples(truth) -> tuple[Example, ...]:
    return tuple(Example("Like it?", f"review {i}", answer) for i, answer in enumerate(truth))


def _flips_key(before, after, weak, truth) -> dict[str, int]:
    rows = zip(_examples(truth), before, after, weak, strict=True)
    return count_kinds([Flip(example, b, a, w) for example, b, a, w in rows if a != b])


def _stop_key(trusted) -> int:
    ids = tuple(map(str, range(20)))
    truth = ("positive",) * 20

    def snapshot(step: int, accuracy: float) -> Snapshot:
        right = round(20 * accuracy)
        said = ("positive",) * right + ("negative",) * (20 - right)
        return Snapshot(step, 32 * step, None, Evaluation(_TASK, ids, said, truth))

    return stopping.best_on([snapshot(step, accuracy) for step, accuracy in enumerate(trusted)], ids).step


def _misfit_key(weak, student, truth) -> tuple[float, float]:
    ids = tuple(map(str, range(len(truth))))
    answers = tuple(_TASK.answers[k] for k in truth.argmax(-1))

    def evaluation(probs: np.ndarray) -> Evaluation:
        return Evaluation(_TASK, ids, tuple(_TASK.answers[k] for k in probs.argmax(-1)), answers, None, probs)

    found = gain_and_misfit(Comparison(evaluation(weak), evaluation(student), evaluation(truth)))
    return found["gain"], found["misfit"]


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


def _accuracies(rng: np.random.Generator) -> tuple[list[float]]:
    """Eight accuracies on 20 trusted examples: the untrained model leads, and the best one after it is there twice."""
    trusted = (rng.choice(np.arange(8, 16), 8, replace=False) / 20).tolist()
    trusted[0] = 19 / 20
    first = int(rng.integers(1, 6))
    trusted[first] = trusted[int(rng.integers(first + 2, 8))] = 17 / 20
    return (trusted,)


def _distributions(rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    weak, student = (rng.dirichlet((1.0, 1.0), 6) for _ in range(2))
    return weak, student, np.eye(2)[rng.integers(0, 2, 6)]


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


def _gain_misfit(reduce, *, power=2, root=False, to_truth=False, sign=1):
    """The mistake of another distance, or of another pair of tables."""

    def made(weak, student, truth):
        def distance(a, b):
            each = (np.abs(a - b) ** power).sum(-1)
            return reduce(np.sqrt(each) if root else each)

        gain = sign * (distance(weak, truth) - distance(student, truth))
        return gain, distance(student, truth if to_truth else weak)

    return made


# -- the open task -----------------------------------------------------------------------------------------------------


def my_stop(trusted, agreement, weak):
    best = 1
    for now in range(2, len(trusted)):
        if trusted[now] > trusted[best]:
            best = now
        elif now - best >= 3:
            break
    return best


PATIENCE = 3  # snapshots after the chosen one, until a rule has to know


@cache
def _courses() -> tuple[tuple[list[float], list[float], float, list[float]], ...]:
    """Of each seed of the study `tilt`: trusted accuracies, agreements, the supervisor's accuracy, test accuracies."""
    rows = [r for r in measured("tilt")["rows"] if (r["world"], r["labels"]) == ("pocket world", "weak labels")]
    found = []
    for seed in sorted({row["seed"] for row in rows}):
        own = [row for row in rows if row["seed"] == seed]
        lists = ([row[name] for row in own] for name in ("trusted_accuracy", "agreement", "accuracy"))
        trusted, agreement, test = lists
        found.append((trusted, agreement, own[0]["weak"], test))
    return tuple(found)


def _chosen(call: Callable) -> list[int]:
    return [call(list(trusted), list(agreement), weak) for trusted, agreement, weak, _ in _courses()]


def _part_of_the_gain(call: Callable) -> float:
    """Mean over the courses: (chosen - end) / (best - end), in test accuracy."""
    pairs = zip(_chosen(call), (test for *_, test in _courses()), strict=True)
    return float(np.mean([(test[at] - test[-1]) / (max(test[1:]) - test[-1]) for at, test in pairs]))


def _decides_in_time(call: Callable) -> bool:
    """The same choice where the course ends PATIENCE snapshots after it."""
    seen = zip(_courses(), _chosen(call), strict=True)
    return all(call(t[: at + PATIENCE + 1], a[: at + PATIENCE + 1], weak) == at for (t, a, weak, _), at in seen)


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
        stop_at,
        _accuracies,
        key=_stop_key,
        mistakes=(
            ("You allowed snapshot 0, the untrained model. Never choose it: look at snapshots 1, 2, … only.",
             lambda trusted: int(np.argmax(trusted))),
            ("You left out snapshot 0 and then forgot it in the count: add 1 to the place in the shorter list.",
             lambda trusted: int(np.argmax(trusted[1:]))),
            ("Among equals you took the last. Later snapshots have learnt more of the weak errors: take the first.",
             lambda trusted: len(trusted) - 1 - int(np.argmax(trusted[:0:-1]))),
            ("You returned the accuracy. Return the number of the snapshot.", lambda trusted: max(trusted[1:])),
        ),
        hints=(
            "The place of the largest number, not the number.",
            "np.argmax gives the first of equals. Of trusted[1:], and then one must be added.",
        ),
    ),
    Exercise(
        squared_gain_and_misfit,
        _distributions,
        key=_misfit_key,
        mistakes=(
            ("You summed over the examples; both are means over examples (a sum over answers inside).",
             _gain_misfit(np.sum)),
            ("You took the mean over answers as well: with two answers everything is half of what it should be.",
             _gain_misfit(lambda each: each.mean() / 2)),
            ("Sign: the gain is the supervisor's distance from the truth minus the student's.",
             _gain_misfit(np.mean, sign=-1)),
            ("Your misfit is the student's distance from the truth. Misfit is how far it is from its supervisor.",
             _gain_misfit(np.mean, to_truth=True)),
            ("You took a square root. The theorem is about squared distances; only they obey Pythagoras.",
             _gain_misfit(np.mean, root=True)),
            ("You summed absolute differences. Square them instead.", _gain_misfit(np.mean, power=1)),
        ),
        hints=(
            "A distance of two tables [N, K]: square the differences, sum over K answers, mean over N examples.",
            "Gain: distance(weak, truth) − distance(student, truth). It is above 0 where the student is nearer.",
            "Misfit: distance(student, weak). Return gain, misfit, in this order.",
        ),
    ),
    Exercise(
        my_stop,
        lambda rng: _courses()[int(rng.integers(len(_courses())))][:3],
        criteria=(
            ("it returns the number of a snapshot, never 0, the untrained model",
             lambda call, trusted, *_: all(0 < at < len(trusted) and at == int(at) for at in _chosen(call))),
            ("on average over eight recorded trainings, it saves at least 70 % of the oracle's gain over the end",
             lambda call, *_: _part_of_the_gain(call) >= 0.7),
            ("in no training is the chosen snapshot more than 0.02 below the last one",
             lambda call, *_: all(test[at] >= test[-1] - 0.02
                                  for (*_, test), at in zip(_courses(), _chosen(call), strict=True))),
            (f"what comes more than {PATIENCE} snapshots after the chosen one does not change the choice",
             lambda call, *_: _decides_in_time(call)),
        ),
        hints=(
            "Go through the snapshots in order, remember the best trusted accuracy so far, and its number.",
            "Stop when the best one is three snapshots old. Agreement above `weak` may be a second sign.",
        ),
    ),
)  # fmt: skip
