"""PGR over four rungs of the ladder, each at a rate of its own; and over the gap, at one student.

Every training is as long: three passes over 1,500 examples, for supervisors, students and ceilings. A rung is
fine-tuned in the same way whoever its partner is, so that pairs differ in their models only. What the gap does is asked
of one student, since pairs of other sizes differ in more than their gap: its supervisors are one rung, trained for more
and more passes. Each supervisor, each ceiling and each set of weak labels is made once for all in which it takes part.
"""

from collections.abc import Sequence
from dataclasses import asdict, astuple, replace
from typing import Any

from matplotlib.figure import Figure

from w2s_lab.data.sources import SplitSizes
from w2s_lab.experiments.effects import Effect, Slope, difference, paired_effect, slope
from w2s_lab.experiments.procedure import Bench, Plan
from w2s_lab.experiments.store import Store
from w2s_lab.metrics import mean_interval
from w2s_lab.objective import AuxiliaryConfidence, SoftTargets
from w2s_lab.recipe import Recipe, rate_text
from w2s_lab.studies.figures import scaling_figure
from w2s_lab.studies.measures import AT_END, AT_TRUSTED
from w2s_lab.studies.study import (
    SIZES,
    Rows,
    Setting,
    Study,
    bench,
    cell,
    column,
    mean_of,
    outcome_numbers,
    rounded,
    select,
)
from w2s_lab.system.jobs import Job
from w2s_lab.training.evaluation import score

RECIPE = Recipe(epochs=3, eval_every=18)  # 141 steps, eight snapshots after the first
# Of these rates, each rung has the one at which, trained on the truth, it is right most often in `TRIED.validation`;
# the lowest of several. The seed is none of those that are measured.
CANDIDATES = {
    "pocket-xs": (1e-3, 2e-3, 4e-3, 8e-3),
    "pocket-s": (2.5e-4, 5e-4, 1e-3, 2e-3),
    "pocket-m": (1e-4, 2e-4, 4e-4, 8e-4),
    "pocket-l": (5e-5, 1e-4, 2e-4, 4e-4),
}
TRIED, TRIAL_SEED = SplitSizes(supervisor_train=1500, student_train=1, test=1, validation=500), 100
RATES = {"pocket-xs": 4e-3, "pocket-s": 2e-3, "pocket-m": 1e-4, "pocket-l": 1e-4}
# From pocket-m on, a supervisor makes next to no errors: these rungs supervise only students of their own size.
PAIRS = (
    *(("pocket-xs", strong) for strong in ("pocket-xs", "pocket-s", "pocket-m", "pocket-l")),
    *(("pocket-s", strong) for strong in ("pocket-s", "pocket-m", "pocket-l")),
    ("pocket-m", "pocket-m"),
    ("pocket-l", "pocket-l"),
)
STUDENT, SUPERVISOR, TEACHING_RATE = "pocket-l", "pocket-s", 1e-3
PASSES = (2, 4, 6, 8)  # of the supervisor over the truth: from a wide gap to a small one
HARD, SOFT, CONFIDENCE = "hard labels", "soft labels", "confidence loss 0.5"
LOSSES = {HARD: None, SOFT: SoftTargets(), CONFIDENCE: AuxiliaryConfidence(0.5)}


def plan(weak: str, strong: str, device: str = "auto") -> Plan:
    """The plan of a pair: every rung has its own learning rate, and all trainings are as long."""
    weak_recipe, recipe = (replace(RECIPE, learning_rate=RATES[name]) for name in (weak, strong))
    return Plan(weak, strong, weak_recipe, recipe, device)


def taught(passes: int, device: str = "auto") -> Plan:
    """The plan of the one student whose supervisor makes `passes` passes over the truth."""
    weak_recipe = replace(RECIPE, epochs=passes, learning_rate=TEACHING_RATE)
    return replace(plan(SUPERVISOR, STUDENT, device), weak_recipe=weak_recipe)


def _bench(store: Store, own: Plan, seed: int) -> Bench:
    return bench(store, "sentiment", own, seed, SIZES)


def _stages(setting: Setting) -> list[list[Job]]:
    seeds, supervisors = range(setting.seeds), dict.fromkeys(weak for weak, _ in reversed(PAIRS))
    first = [
        Job(f"{name} at {rate_text(rate)}", cell, (_rate, setting, name, rate))
        for name in reversed(RATES)
        for rate in CANDIDATES[name]
    ]
    first += [
        Job(f"{weak}, seed {s}", cell, (_labels, setting, plan(weak, weak), s)) for weak in supervisors for s in seeds
    ]
    first += [
        Job(f"{n} passes, seed {s}", cell, (_labels, setting, taught(n), s)) for n in reversed(PASSES) for s in seeds
    ]
    ceilings = {strong: weak for weak, strong in reversed(PAIRS)}
    second = [
        Job(f"ceiling of {strong}, seed {s}", cell, (_ceiling, setting, weak, strong, s))
        for strong, weak in ceilings.items()
        for s in seeds
    ]
    then = [
        Job(f"{weak} to {strong}, seed {s}", cell, (_pair, setting, weak, strong, s))
        for weak, strong in reversed(PAIRS)
        for s in seeds
    ]
    then += [
        Job(f"{n} passes, {loss}, seed {s}", cell, (_gap, setting, n, loss, s))
        for n in PASSES
        for loss in LOSSES
        for s in seeds
    ]
    return [first, second, then]


def _rate(store: Store, device: str, name: str, rate: float) -> Rows:
    """How often a rung, trained on the truth at this rate, is right in the validation set of the trial seed."""
    own_plan = replace(plan(name, name, device), weak_recipe=replace(RECIPE, learning_rate=rate))
    own = bench(store, "sentiment", own_plan, TRIAL_SEED, TRIED)
    right = score(store.labels(own.supervisor(), own.splits.validation)).accuracy
    return [{"part": "rates", "model": name, "rate": rate, "accuracy": right}]


def _labels(store: Store, device: str, own: Plan, seed: int) -> Rows:
    """The labels of a plan's supervisor, for all its students."""
    _bench(store, replace(own, device=device), seed).labels  # noqa: B018
    return []


def _ceiling(store: Store, device: str, weak: str, strong: str, seed: int) -> Rows:
    """A ceiling, for all students of this rung; whose reference it is measured with makes no difference to it."""
    _bench(store, plan(weak, strong, device), seed).ceiling  # noqa: B018
    return []


def _pair(store: Store, device: str, weak: str, strong: str, seed: int) -> Rows:
    own = _bench(store, plan(weak, strong, device), seed)
    names = {"part": "pairs", "weak_model": weak, "strong_model": strong, "seed": seed}
    return [names | outcome_numbers(own.student(own.labels))]


def _gap(store: Store, device: str, passes: int, loss: str, seed: int) -> Rows:
    own = _bench(store, taught(passes, device), seed)
    recipe = own.plan.recipe if LOSSES[loss] is None else replace(own.plan.recipe, loss=LOSSES[loss])
    names = {"part": "gaps", "passes": passes, "loss": loss, "seed": seed}
    return [names | outcome_numbers(own.student(own.labels, recipe))]


# -- what was found ----------------------------------------------------------------------------------------------


def chosen_rates(rows: Rows) -> dict[str, float]:
    """The rate of each rung that was tried: that of the highest accuracy; of several, the lowest."""
    found: dict[str, dict] = {}
    for row in sorted((row for row in rows if row["part"] == "rates"), key=lambda row: row["rate"]):
        best = found.setdefault(row["model"], row)
        found[row["model"]] = row if row["accuracy"] > best["accuracy"] else best
    return {name: row["rate"] for name, row in found.items()}


SHOWN = ("weak", "accuracy", "trusted_accuracy", "ceiling", "pgr", "trusted_pgr", "imitation")


def _cell(rows: Rows, **wanted: Any) -> dict:
    """What was found for the students of hard labels in the rows with these values."""
    own = select(rows, **wanted)
    right, supervisor = column(own, "accuracy"), column(own, "weak")
    return {
        "gap": asdict(mean_interval([row["ceiling"] - row["weak"] for row in own])),
        "plain": {name: mean_of(own, name) for name in SHOWN},
        "student above supervisor": paired_effect("student above supervisor", right, supervisor).to_dict(),
    }


def confidence_effect(rows: Rows, passes: int, accuracy: str = AT_END) -> Effect:
    """What the confidence loss changes against its own zero, soft labels, for one supervisor; paired by seed."""
    treated, control = (select(rows, part="gaps", passes=passes, loss=loss) for loss in (CONFIDENCE, SOFT))
    return paired_effect(f"{passes} passes", column(treated, accuracy), column(control, accuracy))


def confidence_slope(rows: Rows, accuracy: str = AT_END) -> Slope:
    """The same change on the gap between supervisor and ceiling; a point a student, clustered by seed."""
    gaps, changes, seeds = confidence_points(rows, accuracy)
    return slope(gaps, changes, clusters=seeds)


def confidence_points(rows: Rows, accuracy: str = AT_END) -> tuple[list[float], list[float], list[int]]:
    """Of each seed and supervisor: the gap, the change of accuracy by the confidence loss, and the seed."""
    treated, control = (select(rows, part="gaps", loss=loss) for loss in (CONFIDENCE, SOFT))
    soft = {(row["passes"], row["seed"]): row for row in control}
    pairs = [(row, soft[row["passes"], row["seed"]]) for row in treated if (row["passes"], row["seed"]) in soft]
    gaps = [row["ceiling"] - row["weak"] for row, _ in pairs]
    return gaps, [row[accuracy] - other[accuracy] for row, other in pairs], [row["seed"] for row, _ in pairs]


def scaling_text(cells: Sequence[dict], gaps: Sequence[dict]) -> str:
    """Both tables as aligned text."""

    def line(name: str, found: dict, *more: str) -> str:
        values = [found["plain"][key]["mean"] for key in SHOWN]
        return f"{name:<24}" + "".join(f"{'-' if v is None else format(v, '.3f'):>10}" for v in values) + "".join(more)

    heads = ("weak", "student", "trusted", "ceiling", "PGR", "trusted", "imitation")
    head = "".join(f"{head:>10}" for head in heads)
    lines = [f"{'pair':<24}{head}"] + [line(f"{found['weak']} to {found['strong']}", found) for found in cells]
    lines += ["", f"{SUPERVISOR} to {STUDENT}, by the supervisor's passes; last: {CONFIDENCE} minus {SOFT}, trusted"]
    lines += [line(f"{found['passes']} passes", found, f"   {difference(found['change'])}") for found in gaps]
    return "\n".join(lines)


def _finish(rows: Rows) -> tuple[dict, str, dict[str, Figure]]:
    pairs = [row for row in rows if row["part"] == "pairs"]
    cells = [{"weak": w, "strong": s} | _cell(pairs, weak_model=w, strong_model=s) for w, s in PAIRS]
    gaps = [{"passes": n} | _cell(rows, part="gaps", passes=n, loss=HARD) for n in PASSES]
    text = scaling_text(cells, [one | {"change": confidence_effect(rows, one["passes"], AT_TRUSTED)} for one in gaps])
    for one in gaps:
        one["confidence"] = confidence_effect(rows, one["passes"]).to_dict()
        one["confidence at the trusted snapshot"] = confidence_effect(rows, one["passes"], AT_TRUSTED).to_dict()
    facts = {
        "task": "sentiment",
        "sizes": astuple(SIZES),
        "rates": RATES,
        "rates tried": {"sizes": astuple(TRIED), "seed": TRIAL_SEED, "chosen": chosen_rates(rows)},
        "recipe": RECIPE.to_dict(),
        "supervisors": {"model": SUPERVISOR, "student": STUDENT, "learning rate": TEACHING_RATE, "passes": PASSES},
        "cells": cells,
        "gaps": gaps,
        "confidence against gap": asdict(confidence_slope(rows)),
        "confidence against gap, trusted": asdict(confidence_slope(rows, AT_TRUSTED)),
        "gain against misfit": asdict(
            slope(column(pairs, "misfit"), column(pairs, "gain"), clusters=column(pairs, "seed"))
        ),
        "trainings if each pair made its own": 3 * len(pairs),
        "rows": rounded(rows),
    }
    return facts, text, {"scaling.png": scaling_figure(cells, list(RATES), confidence_points(rows, AT_TRUSTED))}


STUDY = Study("scaling", "how does the recovered gap change with the models, and with the gap?", 8, _stages, _finish)
