"""Learning rate and passes of the student: what is recovered with each, and who may choose them.

The student of weak labels is trained for six passes at each of three rates, and looked at after each pass. A rule picks
one rate and one number of passes, and is judged by the PGR there. The rules differ in the truth that they need:

* none: the default rate, stopped after three passes; or the rate at which the truth is learnt best (see `scaling`), to
  the end;
* the truth of another split, once: what is best on 500 examples of a seed that is not measured;
* the truth that the supervisor has had already: a *rehearsal*. A third of the supervisor's true examples trains a
  weaker supervisor; it labels one half of them for students, trained as long at each rate; the rest says what was best;
* 100 trusted examples of the same split.

The oracle looks at the test set, and bounds them all. Stopping early cuts a schedule of six passes short; a training
that was planned with fewer passes has a schedule of its own.
"""

from collections.abc import Sequence
from dataclasses import astuple, replace

import numpy as np
from matplotlib.figure import Figure

from w2s_lab.experiments.effects import Effect
from w2s_lab.experiments.procedure import Bench, Plan, hard, split_curve
from w2s_lab.experiments.store import Store
from w2s_lab.figures.study_plots import SIZE, heat_map
from w2s_lab.recipe import Recipe
from w2s_lab.records import LabelledSet, Splits
from w2s_lab.studies.figures import one
from w2s_lab.studies.measures import paired_by_seed
from w2s_lab.studies.study import (
    EPOCH,
    REPRODUCED,
    SIZES,
    Finding,
    Rows,
    Setting,
    Study,
    bench,
    cell,
    mean_of,
    rounded,
    select,
)
from w2s_lab.system.jobs import Job

RATES = (5e-5, 1e-4, 2e-4)
PLAN = Plan(recipe=Recipe(epochs=6, learning_rate=RATES[0], eval_every=EPOCH))
DEFAULT, BEST_FOR_TRUTH = (5e-5, 3), (1e-4, 6)  # (rate, passes)
TRIAL_SEED, TRIAL = 100, replace(SIZES, test=500)
PARTS = (500, 750)  # of the supervisor's examples in a rehearsal: for its supervisor, for its students; the rest scores
NOBODY = "nobody: the default rate, 3 passes"
REHEARSAL = "a rehearsal"
ORACLE = "the test set (an oracle)"


def _stages(setting: Setting) -> list[list[Job]]:
    seeds = range(setting.seeds)
    shared = [Job(f"seed {s}", cell, (_shared, setting, s)) for s in seeds]
    grid = [Job(f"rate {r:g}, seed {s}", cell, (_curve, setting, r, s)) for s in seeds for r in RATES]
    trial = [Job(f"another split, rate {r:g}, seed {TRIAL_SEED}", cell, (_trial, setting, r)) for r in RATES]
    rehearsal = [
        Job(f"rehearsal, rate {r:g}, seed {s}", cell, (_rehearsal, setting, r, s)) for s in seeds for r in RATES
    ]
    return [shared, grid + trial + rehearsal]


def _bench(store: Store, device: str, seed: int) -> Bench:
    return bench(store, "sentiment", replace(PLAN, device=device), seed, SIZES)


def _shared(store: Store, device: str, seed: int) -> Rows:
    own = _bench(store, device, seed)
    own.labels, own.ceiling  # noqa: B018
    return []


def _curve(store: Store, device: str, rate: float, seed: int) -> Rows:
    own = _bench(store, device, seed)
    outcome = own.student(own.labels, replace(hard(own.plan.recipe), learning_rate=rate))
    weak, ceiling = outcome.comparison.weak.accuracy, outcome.comparison.ceiling.accuracy
    return [
        {
            "part": "grid",
            "rate": rate,
            "passes": passes,
            "seed": seed,
            "weak": weak,
            "ceiling": ceiling,
            "accuracy": snapshot.evaluation.accuracy,
            "trusted": trusted,
            "pgr": outcome.pgr_at(snapshot),
        }
        for passes, (snapshot, trusted) in enumerate(zip(outcome.curve, outcome.trusted_curve, strict=True))
    ]


def _trial(store: Store, device: str, rate: float) -> Rows:
    own = bench(store, "sentiment", replace(PLAN, device=device), TRIAL_SEED, TRIAL)
    return _scored(own, replace(hard(own.plan.recipe), learning_rate=rate), "another split")


def rehearsal_splits(truth: LabelledSet, trusted: LabelledSet) -> Splits:
    """The supervisor's own true examples as a small world of weak supervisor, students and test examples.

    The trusted examples take the place of the validation set, which a rehearsal does not look at.
    """
    first, second = PARTS[0], sum(PARTS)
    return Splits(truth[:first], truth[first:second], truth[second:], trusted)


def _rehearsal(store: Store, device: str, rate: float, seed: int) -> Rows:
    real = _bench(store, device, seed)
    splits = rehearsal_splits(real.splits.supervisor_train, real.splits.validation)
    teaching, recipe = real.plan.weak_recipe, replace(hard(real.plan.recipe), learning_rate=rate)
    teaching = teaching.lasting(teaching.steps(SIZES.supervisor_train)[0], len(splits.supervisor_train))
    recipe = recipe.lasting(recipe.steps(SIZES.student_train)[0], len(splits.student_train))
    own = Bench(splits, replace(real.plan, weak_recipe=teaching), store, seed)
    return _scored(own, recipe, "rehearsal")


def _scored(own: Bench, recipe: Recipe, part: str) -> Rows:
    """How often a student of the weak labels is right in the test part, at the steps at which passes end."""
    labels = own.labels
    model = own.train(own.strong, labels, recipe, f"student, {part}", watch=own.watch)
    curve, _ = split_curve(model.history, own.splits)
    return [
        {
            "part": part,
            "rate": recipe.learning_rate,
            "passes": passes,
            "seed": own.seed,
            "label_accuracy": labels.label_accuracy,
            "accuracy": snapshot.evaluation.accuracy,
        }
        for passes, snapshot in enumerate(curve[: PLAN.recipe.epochs + 1])
    ]


def best(rows: Rows, score: str = "accuracy") -> tuple[float, int]:
    """(rate, passes) of the highest score; of equals the fewest passes, then the lowest rate. Never untrained."""
    found = max((row for row in rows if row["passes"]), key=lambda row: (row[score], -row["passes"], -row["rate"]))
    return found["rate"], found["passes"]


def choices(rows: Rows) -> dict[str, dict[int, tuple[float, int]]]:
    """Rule -> seed -> the (rate, passes) that it chooses."""
    seeds = sorted({row["seed"] for row in select(rows, part="grid")})
    trial = best(select(rows, part="another split"))
    return {
        NOBODY: dict.fromkeys(seeds, DEFAULT),
        "nobody: the rate of the truth, 6 passes": dict.fromkeys(seeds, BEST_FOR_TRUTH),
        "another split, once": dict.fromkeys(seeds, trial),
        REHEARSAL: {seed: best(select(rows, part="rehearsal", seed=seed)) for seed in seeds},
        "100 trusted examples": {seed: best(select(rows, part="grid", seed=seed), "trusted") for seed in seeds},
        ORACLE: {seed: best(select(rows, part="grid", seed=seed)) for seed in seeds},
    }


def chosen(rows: Rows) -> dict[str, Rows]:
    """Rule -> the rows of the grid that it chooses, one a seed; a choice that the grid does not hold is left out."""
    return {
        rule: [row for seed, (rate, passes) in picks.items()
               for row in select(rows, part="grid", seed=seed, rate=rate, passes=passes)]
        for rule, picks in choices(rows).items()
    }  # fmt: skip


def _finish(rows: Rows) -> tuple[dict, str, dict[str, Figure]]:
    lines = [f"{'who chooses rate and passes':<42}{'PGR':>7}  {'95 % interval':<18}rate and passes, by seed"]
    picked = chosen(rows)
    for rule, found in picked.items():
        at = mean_of(found, "pgr")
        interval = "" if at["low"] is None else f"[{at['low']:.2f}, {at['high']:.2f}]"
        picks = ", ".join(f"{row['rate']:g} x {row['passes']}" for row in found)
        lines.append(f"{rule:<42}{'-' if at['mean'] is None else format(at['mean'], '.2f'):>7}  {interval:<18}{picks}")
    facts = {
        "task": "sentiment",
        "sizes": astuple(SIZES),
        **PLAN.to_dict(),
        "rates": RATES,
        "trial": {"seed": TRIAL_SEED, "sizes": astuple(TRIAL), "chosen": best(select(rows, part="another split"))},
        "rehearsal": PARTS,
        "rules": {rule: mean_of(found, "pgr") for rule, found in picked.items()},
        "rows": rounded(rows),
    }
    return facts, "\n".join(lines), {"recipes.png": _figure(rows)}


def _figure(rows: Rows) -> Figure:
    passes = range(1, PLAN.recipe.epochs + 1)
    cells = [[mean_of(select(rows, part="grid", rate=rate, passes=n), "pgr") for n in passes] for rate in RATES]
    return one(_map, cells, passes, size=(13, 5.2))


def _map(cells: Sequence[Sequence[dict]], passes: Sequence[int], ax=None):
    """The mean PGR over seeds at each rate and after each pass, with its interval."""
    means = [[np.nan if at["mean"] is None else at["mean"] for at in row] for row in cells]
    notes = [["" if at["low"] is None else f"[{at['low']:.2f}, {at['high']:.2f}]" for at in row] for row in cells]
    ax = heat_map(
        means, [f"{rate:.0e}".replace("e-0", "e-") for rate in RATES], [str(n) for n in passes], ax, notes=notes
    )
    ax.set_xlabel("passes over 1,500 weak labels, of six", fontsize=SIZE)
    ax.set_ylabel("learning rate", fontsize=SIZE)
    return ax


def rehearsed(rows: Rows) -> Effect:
    """What the rehearsal's rate and passes recover beyond the default rate and 3 passes, in PGR, by seed."""
    found = chosen(rows)
    return paired_by_seed(*({row["seed"]: row["pgr"] for row in found[rule]} for rule in (REHEARSAL, NOBODY)))


CLAIMS = (
    Finding(
        "A rehearsal on the supervisor's own true examples chooses better than the default rate after 3 passes of 6",
        "this kit",
        "PGR at its rate and passes, hard labels, sentiment",
        "recipes",
        rehearsed,
        control="the default rate, stopped after 3 of 6 passes",
        because=(
            REPRODUCED,
            "The control is a course of six passes, cut short. The default recipe is planned for three passes and "
            "recovers about as much as the rehearsal.",
        ),
    ),
)
STUDY = Study("recipes", "which rate and how many passes, and who may choose them?", 8, _stages, _finish, CLAIMS)
