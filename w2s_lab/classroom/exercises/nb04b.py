"""Exercises of notebook 04b: when to stop, gain and misfit."""

from collections.abc import Callable
from functools import cache

import numpy as np

from w2s_lab.classroom.exercises.exercise import Exercise
from w2s_lab.classroom.toolkit.measured import measured
from w2s_lab.records import Comparison, Evaluation, Snapshot, Task
from w2s_lab.studies.study import gain_and_misfit
from w2s_lab.training import stopping

_TASK = Task("sentiment", ("negative", "positive"))


def stop_at(trusted):
    return 1 + int(np.argmax(trusted[1:]))


def squared_gain_and_misfit(weak, student, truth):
    def distance(a, b):
        return ((a - b) ** 2).sum(-1).mean()

    gain = distance(weak, truth) - distance(student, truth)
    return gain, distance(student, weak)


# -- the package's own computations, with the arguments of the exercises -----------------------------------------------


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
