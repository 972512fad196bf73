"""PGR over the ladder: every weak <= strong pair, with plain weak labels and with the confidence loss.

A rung is fine-tuned the same way with every partner, so that pairs differ in their models only. Each supervisor, each
ceiling and each set of weak labels is made once for all pairs in which it takes part.
"""

from collections.abc import Sequence
from dataclasses import asdict, astuple, replace
from itertools import combinations_with_replacement

from matplotlib.figure import Figure

from w2s_lab.experiments.effects import paired_effect, slope
from w2s_lab.experiments.procedure import Bench, Plan
from w2s_lab.experiments.store import Store
from w2s_lab.metrics import mean_interval
from w2s_lab.objective import AuxiliaryConfidence
from w2s_lab.recipe import Recipe
from w2s_lab.studies.figures import scaling_figure
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
    outcome_numbers,
    rounded,
    select,
)
from w2s_lab.system.jobs import Job

# Peak learning rates, lower for larger models. Supervisors make 3 passes over the truth. With the rates of `RATES`,
# students and ceilings learn the task in 2 passes, even from labels of which a third is wrong.
WEAK_RATES = {"pocket-xs": 3e-3, "pocket-s": 5e-4, "pocket-m": 1e-4, "pocket-l": 5e-5, "pocket-xl": 2e-5}
RATES = WEAK_RATES | {"pocket-l": 1e-4, "pocket-xl": 5e-5}
PAIRS = tuple(combinations_with_replacement(RATES, 2))
# The pairs on which the confidence loss is also measured: quick students, and supervisors that leave a gap.
COMPARED = tuple(
    (weak, strong) for weak in ("pocket-xs", "pocket-s") for strong in ("pocket-s", "pocket-m", "pocket-l")
)
LOSSES = {"plain weak labels": None, "confidence loss 0.5": AuxiliaryConfidence(0.5)}


def plan(weak: str, strong: str, device: str = "auto") -> Plan:
    """The plan of a pair: every rung has its own learning rate, and supervisors train one epoch longer."""
    weak_recipe = Recipe(epochs=3, learning_rate=WEAK_RATES[weak], eval_every=EPOCH)
    recipe = Recipe(epochs=2, learning_rate=RATES[strong], eval_every=EPOCH)
    return Plan(weak, strong, weak_recipe, recipe, device)


def _bench(store: Store, device: str, weak: str, strong: str, seed: int) -> Bench:
    return bench(store, "sentiment", plan(weak, strong, device), seed, SIZES)


def _stages(setting: Setting) -> list[list[Job]]:
    seeds = range(setting.seeds)
    alone = [Job(f"{name}, seed {s}", cell, (_alone, setting, name, s)) for name in reversed(RATES) for s in seeds]
    pairs = [
        Job(f"{weak} to {strong}, {loss}, seed {s}", cell, (_pair, setting, weak, strong, loss, s))
        for weak, strong in reversed(PAIRS)
        for loss in (LOSSES if (weak, strong) in COMPARED else (next(iter(LOSSES)),))
        for s in seeds
    ]
    return [alone, pairs]


def _alone(store: Store, device: str, name: str, seed: int) -> Rows:
    """The results of a rung as weak supervisor and as strong ceiling."""
    own = _bench(store, device, name, name, seed)
    own.ceiling  # noqa: B018
    return []


def _pair(store: Store, device: str, weak: str, strong: str, loss: str, seed: int) -> Rows:
    own = _bench(store, device, weak, strong, seed)
    recipe = own.plan.recipe if LOSSES[loss] is None else replace(own.plan.recipe, loss=LOSSES[loss])
    return [{"weak_model": weak, "strong_model": strong, "loss": loss, "seed": seed}
            | outcome_numbers(own.student(own.labels, recipe))]  # fmt: skip


SHOWN = ("weak", "accuracy", "ceiling", "pgr", "imitation")


def _cell(rows: Rows, weak: str, strong: str) -> dict:
    """What was found for one pair."""
    plain, confident = (select(rows, weak_model=weak, strong_model=strong, loss=loss) for loss in LOSSES)
    right, supervisor = column(plain, "accuracy"), column(plain, "weak")
    treated = column(confident, "accuracy") or [None] * len(plain)
    return {
        "weak": weak,
        "strong": strong,
        "gap": asdict(mean_interval([row["ceiling"] - row["weak"] for row in plain])),
        "plain": {name: mean_of(plain, name) for name in SHOWN},
        "student above supervisor": paired_effect("student above supervisor", right, supervisor).to_dict(),
        "confidence": paired_effect("confidence loss 0.5", treated, right).to_dict(),
    }


def _table(cells: Sequence[dict]) -> str:
    def number(value: float | None, form: str = ".3f") -> str:
        return "-" if value is None else format(value, form)

    heads = ("supervisor", "student", "ceiling", "PGR", "imitation", "confidence loss")
    lines = [f"{'weak':<11}{'strong':<11}" + "".join(f"{head:>17}" for head in heads)]
    for found in cells:
        values = [number(found["plain"][name]["mean"]) for name in SHOWN]
        values.append(number(found["confidence"]["mean"], "+.3f"))
        lines.append(f"{found['weak']:<11}{found['strong']:<11}" + "".join(f"{value:>17}" for value in values))
    return "\n".join(lines)


def _finish(rows: Rows) -> tuple[dict, str, dict[str, Figure]]:
    plain, confident = LOSSES
    cells = [_cell(rows, weak, strong) for weak, strong in PAIRS]
    one_each = select(rows, loss=plain)
    trainings = 3 * len(one_each) + len(select(rows, loss=confident))
    facts = {
        "task": "sentiment",
        "sizes": astuple(SIZES),
        "rates": RATES,
        "rates of supervisors": WEAK_RATES,
        "recipe": plan(*PAIRS[-1]).recipe.to_dict(),
        "cells": cells,
        "confidence against gap": asdict(
            slope([c["gap"]["mean"] for c in cells], [c["confidence"]["mean"] for c in cells])
        ),
        "gain against misfit": asdict(
            slope(column(one_each, "misfit"), column(one_each, "gain"), clusters=column(one_each, "seed"))
        ),
        "trainings if each pair made its own": trainings,
        "rows": rounded(rows),
    }
    return facts, _table(cells), {"scaling.png": scaling_figure(cells, list(RATES))}


STUDY = Study("scaling", "how does the recovered gap change with the sizes of the two models?", 3, _stages, _finish)
