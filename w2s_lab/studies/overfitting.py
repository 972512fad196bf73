"""Epochs x learning rate x label noise: when does a student begin to learn its supervisor's errors?"""

import math
from collections.abc import Sequence
from dataclasses import astuple, replace

from matplotlib.figure import Figure

from w2s_lab.experiments.procedure import Bench, Plan
from w2s_lab.experiments.store import Store
from w2s_lab.figures.study_plots import stopping_dots
from w2s_lab.methods.simulated import random_errors
from w2s_lab.metrics import mean_interval
from w2s_lab.recipe import Recipe
from w2s_lab.records import LabelledSet
from w2s_lab.studies.figures import one, overfitting_figure
from w2s_lab.studies.mechanism import stopped, trusted_accuracy
from w2s_lab.studies.study import (
    EPOCH,
    SIZES,
    Rows,
    Setting,
    Study,
    bench,
    cell,
    column,
    mean_of,
    rounded,
    select,
)
from w2s_lab.system.jobs import Job
from w2s_lab.training.stopping import recovered

RATES = (5e-5, 2e-4)
NOISE = ("weak labels", "40 % random errors")  # for as many random errors as weak ones, see `mechanism`
PLAN = Plan(recipe=Recipe(epochs=6, learning_rate=RATES[0], eval_every=EPOCH))


def _labels(own: Bench, noise: str) -> LabelledSet:
    if noise == NOISE[0]:
        return own.labels
    return random_errors(own.splits.student_train, 1 - float(noise.split()[0]) / 100, seed=own.seed)


def _stages(setting: Setting) -> list[list[Job]]:
    seeds = range(setting.seeds)
    shared = [Job(f"seed {s}", cell, (_shared, setting, s)) for s in seeds]
    grid = [
        Job(f"{noise}, {rate:g}, seed {s}", cell, (_curve, setting, noise, rate, s))
        for s in seeds
        for noise in NOISE
        for rate in RATES
    ]
    return [shared, grid]


def _shared(store: Store, device: str, seed: int) -> Rows:
    bench(store, "sentiment", replace(PLAN, device=device), seed, SIZES).ceiling  # noqa: B018
    return []


def _curve(store: Store, device: str, noise: str, rate: float, seed: int) -> Rows:
    own = bench(store, "sentiment", replace(PLAN, device=device), seed, SIZES)
    outcome = own.student(_labels(own, noise), replace(own.plan.recipe, learning_rate=rate))
    names = {"noise": noise, "rate": rate, "seed": seed, "label_accuracy": outcome.label_accuracy}
    rows = [
        names
        | {
            "epochs": epoch,
            "accuracy": snapshot.evaluation.accuracy,
            "agreement": snapshot.evaluation.agreement,
            "imitation": snapshot.evaluation.imitation,
        }
        for epoch, snapshot in enumerate(outcome.curve)
    ]
    if noise == NOISE[0]:
        rules = stopped(outcome, trusted_accuracy(own), SIZES.student_train)
        rows[-1] |= {f"recovered by {r}": recovered(at, outcome.curve[-1], outcome.best) for r, at in rules.items()}
    return rows


def curves(rows: Rows) -> dict[tuple[float, str], list[tuple[float, float, float]]]:
    """(learning rate, noise) -> for each number of epochs, mean accuracy and agreement over seeds.

    The agreement is nan for random errors: no supervisor gave these labels, so there is none to agree with.
    """
    found = {}
    for rate in RATES:
        for noise in NOISE:
            own = [select(rows, rate=rate, noise=noise, epochs=epoch) for epoch in range(PLAN.recipe.epochs + 1)]
            found[rate, noise] = [
                (float(epoch), _mean(cells, "accuracy"), _mean(cells, "agreement") if noise == NOISE[0] else math.nan)
                for epoch, cells in enumerate(own)
            ]
    return found


def _mean(rows: Sequence[dict], name: str) -> float:
    return mean_interval([row[name] for row in rows]).mean


def _finish(rows: Rows) -> tuple[dict, str, dict[str, Figure]]:
    found = curves(rows)
    lines = [f"{'labels':<22}{'rate':>8}" + "".join(f"{e:>8}" for e in range(PLAN.recipe.epochs + 1)) + "   accuracy"]
    for (rate, noise), points in found.items():
        lines.append(f"{noise:<22}{rate:>8g}" + "".join(f"{accuracy:>8.3f}" for _, accuracy, _ in points))
    ends = select(rows, noise=NOISE[0], epochs=PLAN.recipe.epochs)
    rules = {name: column(ends, name) for name in ends[0] if name.startswith("recovered by ")}
    lines += ["", "share of the oracle's gain over training to the end that a rule of stopping recovers"]
    for name in rules:
        at = mean_of(ends, name)
        interval = "" if at["low"] is None else f"[{at['low']:.2f}, {at['high']:.2f}]"
        lines.append(f"{name:<30}{'undefined' if at['mean'] is None else format(at['mean'], '.2f'):>8} {interval}")
    right = {noise: _mean(select(rows, noise=noise), "label_accuracy") for noise in NOISE}
    facts = {"task": "sentiment", "sizes": astuple(SIZES), **PLAN.to_dict(), "rates": RATES, "rows": rounded(rows)}
    facts["stopping"] = {name: mean_of(ends, name) for name in rules}
    figures = {"overfitting.png": overfitting_figure(found, right)}
    if any(value is not None for values in rules.values() for value in values):
        figures["stopping.png"] = one(stopping_dots, {n.removeprefix("recovered by "): v for n, v in rules.items()})
    return facts, "\n".join(lines), figures


STUDY = Study("overfitting", "when does a student begin to learn its supervisor's errors?", 8, _stages, _finish)
