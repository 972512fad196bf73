"""Exercises of notebook 03: the curves, the schedule, and how sure one may be of a PGR."""

import math
from collections.abc import Callable

import numpy as np
from scipy.special import stdtrit

from w2s_lab import metrics
from w2s_lab.classroom.exercises.exercise import Exercise
from w2s_lab.recipe import Recipe
from w2s_lab.training.loop import learning_rate_at


def accuracy_and_agreement(snapshots, weak, truth):
    curve = []
    for answers in snapshots:
        right = sum(a == t for a, t in zip(answers, truth, strict=True)) / len(answers)
        same = sum(a == w for a, w in zip(answers, weak, strict=True)) / len(answers)
        curve.append((right, same))
    return curve


def schedule_rates(steps, peak, warmup):
    rates = []
    for step in range(steps):
        if step < warmup:
            rates.append(peak * (step + 1) / warmup)
        else:
            done = (step - warmup) / (steps - warmup)  # from 0 to nearly 1
            rates.append(peak * 0.5 * (1 + math.cos(math.pi * done)))
    return rates


def resampled_pgrs(weak, student, ceiling, rows):
    weak, student, ceiling = (np.asarray(right)[rows].mean(axis=1) for right in (weak, student, ceiling))
    return (student - weak) / (ceiling - weak)


def pgr_over_seeds(pgrs, t):
    defined = [pgr for pgr in pgrs if pgr is not None]
    mean = sum(defined) / len(defined)
    half = t * np.std(defined, ddof=1) / math.sqrt(len(defined))
    return mean, mean - half, mean + half, len(pgrs) - len(defined)


def _three_snapshots(rng: np.random.Generator) -> tuple[list[list[str]], list[str], list[str]]:
    truth = rng.choice(["good", "bad"], 12)
    other = np.where(truth == "good", "bad", "good")
    weak = np.where(rng.permutation(12) < 4, other, truth)
    snapshots = [np.where(rng.random(12) < share, truth, other).tolist() for share in (0.5, 0.7, 0.9)]
    return snapshots, weak.tolist(), truth.tolist()


def _schedule(rng: np.random.Generator) -> tuple[int, float, int]:
    return int(rng.integers(20, 40)), float(rng.uniform(1e-4, 1e-3)), int(rng.integers(3, 8))


def _rates(steps: int, peak: float, warmup: int) -> list[float]:
    recipe = Recipe(learning_rate=peak, warmup_fraction=warmup / steps)
    return [learning_rate_at(step, steps, recipe) for step in range(steps)]


def _items(rng: np.random.Generator, level: int = 46) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    weak, student, ceiling = ((rng.permutation(60) < right).astype(int) for right in (33, level, 57))
    return weak, student, ceiling, rng.integers(0, 60, (8, 60))


def _resampled(weak: np.ndarray, student: np.ndarray, ceiling: np.ndarray, rows: np.ndarray) -> np.ndarray:
    return np.array([metrics.pgr(weak[own].mean(), student[own].mean(), ceiling[own].mean()) for own in rows])


def _seeds(rng: np.random.Generator) -> tuple[list[float | None], float]:
    n = int(rng.integers(4, 8))
    pgrs: list[float | None] = rng.uniform(-0.3, 1.2, n).round(3).tolist()
    pgrs[0], pgrs[1] = -0.25, 1.1  # not clipped
    pgrs.insert(int(rng.integers(0, n)), None)
    return pgrs, float(stdtrit(n - 1, 0.975))


def _over_seeds(pgrs: list[float | None], t: float) -> tuple[float, float, float, int]:
    found = metrics.mean_interval([pgr for pgr in pgrs if pgr is not None])
    return found.mean, found.low, found.high, sum(pgr is None for pgr in pgrs)


def _interval(values: list[float], t: float, undefined: int, *, ddof: int = 1, n: float | None = None) -> tuple:
    mean, half = np.mean(values), t * np.std(values, ddof=ddof) / math.sqrt(n or len(values))
    return mean, mean - half, mean + half, undefined


def _defined(pgrs: list[float | None]) -> list[float]:
    return [pgr for pgr in pgrs if pgr is not None]


# -- the open task -----------------------------------------------------------------------------------------------------


def my_schedule(steps, peak):
    warmup = max(2, steps // 5)
    rise = [peak * (step + 1) / warmup for step in range(warmup)]
    fall = [peak * (1 - (step + 1) / (steps - warmup)) for step in range(steps - warmup)]
    return rise + fall


LENGTHS = (8, 40, 400)  # steps of a training


def _rates_are(test: Callable[[np.ndarray], bool]) -> Callable[..., bool]:
    """A criterion of a schedule: `test` of its rates, as fractions of the peak, for trainings of several lengths."""
    return lambda call, _, peak: all(test(np.asarray(call(steps, peak), dtype=float) / peak) for steps in LENGTHS)


EXERCISES = (
    Exercise(
        accuracy_and_agreement,
        _three_snapshots,
        key=lambda snapshots, weak, truth: [
            (metrics.accuracy(answers, truth), metrics.accuracy(answers, weak)) for answers in snapshots
        ],
        mistakes=(
            (
                "The right numbers in the wrong order: accuracy (against truth) comes first, agreement second.",
                lambda snapshots, weak, truth: [
                    (metrics.accuracy(answers, weak), metrics.accuracy(answers, truth)) for answers in snapshots
                ],
            ),
            (
                "Your second number looks only at the supervisor's errors: that is imitation. Agreement counts all.",
                lambda snapshots, weak, truth: [
                    (metrics.accuracy(answers, truth), metrics.imitation(answers, weak, truth)) for answers in snapshots
                ],
            ),
            (
                "Your second number is the supervisor's own accuracy. Agreement compares the student with it.",
                lambda snapshots, weak, truth: [
                    (metrics.accuracy(answers, truth), metrics.accuracy(weak, truth)) for answers in snapshots
                ],
            ),
        ),
        hints=(
            "Go over the snapshots; each is a list with the student's answer to every watched example.",
            "Accuracy: how often answer and truth are equal. Agreement: how often answer and weak are equal.",
            "`sum(a == b for a, b in zip(first, second)) / len(first)`, twice, and append the pair.",
        ),
    ),
    Exercise(
        schedule_rates,
        _schedule,
        key=_rates,
        mistakes=(
            (
                "Your first rate is 0, so the first step would move nothing. The warm-up starts at peak / warmup.",
                lambda steps, peak, warmup: [
                    peak * step / warmup if step < warmup else rate
                    for step, rate in enumerate(_rates(steps, peak, warmup))
                ],
            ),
            (
                "There is no warm-up: the first `warmup` rates should rise to the peak in equal parts.",
                lambda steps, peak, warmup: [
                    peak if step < warmup else rate for step, rate in enumerate(_rates(steps, peak, warmup))
                ],
            ),
            (
                "The cosine itself runs from 1 to −1, and a negative rate climbs. Lift it: 0.5 (1 + cos …).",
                lambda steps, peak, warmup: [
                    rate if step < warmup else peak * math.cos(math.pi * (step - warmup) / (steps - warmup))
                    for step, rate in enumerate(_rates(steps, peak, warmup))
                ],
            ),
            (
                "Your cosine counts from the first step, so the rate jumps where the warm-up ends. Count from there.",
                lambda steps, peak, warmup: [
                    rate if step < warmup else peak * 0.5 * (1 + math.cos(math.pi * step / steps))
                    for step, rate in enumerate(_rates(steps, peak, warmup))
                ],
            ),
        ),
        hints=(
            "Two cases: the step is one of the first `warmup`, or it is not.",
            "Warm-up: peak · (step + 1) / warmup, so that the last of these steps has the peak.",
            "After it, with p = (step − warmup) / (steps − warmup): peak · 0.5 · (1 + cos(π p)).",
        ),
        tolerance=1e-9,
    ),
    Exercise(
        resampled_pgrs,
        _items,
        key=_resampled,
        cases=tuple(_items(np.random.default_rng(level), level) for level in (33, 57)),  # PGRs below 0 and above 1
        mistakes=(
            (
                "You resampled the student alone. All three models are scored on the same resample: it is paired.",
                lambda w, s, c, rows: (s[rows].mean(1) - w.mean()) / (c.mean() - w.mean()),
            ),
            (
                "You divided by the gap of the full sample; each resample has a gap of its own.",
                lambda w, s, c, rows: (s[rows].mean(1) - w[rows].mean(1)) / (c.mean() - w.mean()),
            ),
            (
                "You averaged over the resamples, item by item. Average over the items of each resample: axis 1.",
                lambda w, s, c, rows: (s[rows].mean(0) - w[rows].mean(0)) / (c[rows].mean(0) - w[rows].mean(0) + 1e-12),
            ),
            (
                "You divided by the ceiling, not by the gap between ceiling and weak supervisor.",
                lambda w, s, c, rows: (s[rows].mean(1) - w[rows].mean(1)) / c[rows].mean(1),
            ),
        ),
        hints=(
            "`weak[rows]` has the shape of `rows`: for each resample, whether the supervisor was right on its items.",
            "`weak[rows].mean(axis=1)` is the supervisor's accuracy in each resample. The same for the other two.",
            "Then the PGR as always: (student − weak) / (ceiling − weak), with arrays of B numbers each.",
        ),
    ),
    Exercise(
        pgr_over_seeds,
        _seeds,
        key=_over_seeds,
        mistakes=(
            (
                "You counted an undefined PGR as 0. Undefined is not 0: leave these seeds out, and say how many.",
                lambda pgrs, t: _interval([pgr or 0.0 for pgr in pgrs], t, len(pgrs) - len(_defined(pgrs))),
            ),
            (
                "That is the spread of single seeds. The mean of n seeds is surer: divide by the square root of n.",
                lambda pgrs, t: _interval(_defined(pgrs), t, len(pgrs) - len(_defined(pgrs)), n=1),
            ),
            (
                "The standard deviation of a sample divides by n − 1: ddof=1.",
                lambda pgrs, t: _interval(_defined(pgrs), t, len(pgrs) - len(_defined(pgrs)), ddof=0),
            ),
            (
                "You clipped the PGRs to [0, 1]. Below its supervisor a student has a negative PGR; that must show.",
                lambda pgrs, t: _interval(np.clip(_defined(pgrs), 0, 1).tolist(), t, len(pgrs) - len(_defined(pgrs))),
            ),
            (
                "The last number is how many PGRs are undefined, not how many are defined.",
                lambda pgrs, t: _interval(_defined(pgrs), t, len(_defined(pgrs))),
            ),
        ),
        hints=(
            "First keep only the PGRs that are not None; n is how many are left.",
            "The half width is t · s / √n, where s is the standard deviation with n − 1: `np.std(values, ddof=1)`.",
            "Return four things: mean, mean − half, mean + half, and the number of None.",
        ),
    ),
    Exercise(
        my_schedule,
        lambda rng: (8, 5e-4),
        criteria=(
            (
                "one rate for each step, none below 0",
                lambda call, _, peak: all(len(call(n, peak)) == n and min(call(n, peak)) >= 0 for n in LENGTHS),
            ),
            ("the highest rate is the peak", _rates_are(lambda rates: np.isclose(rates.max(), 1))),
            ("the first rate is above 0 and at most half of the peak", _rates_are(lambda rates: 0 < rates[0] <= 0.5)),
            ("the last rate is at most a tenth of the peak", _rates_are(lambda rates: rates[-1] <= 0.1)),
            (
                "from one step to the next the rate changes by half of the peak at most",
                _rates_are(lambda rates: np.abs(np.diff(rates)).max() <= 0.5 + 1e-9),
            ),
        ),
        hints=(
            "Any shape will do that rises, reaches the peak once, and comes down: lines, cosines, stairs.",
            "Try it with 8 steps: a warm-up of two steps is half of the peak, then the peak.",
        ),
    ),
)
