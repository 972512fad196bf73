"""lambda and its schedule, temperature, alpha: what does each dial of the losses change?

Eq. 4.13 of Xiao & Zhu (2025, arXiv 2501.09223) leaves open what the set D is. Here D is either the student's 1,500
inputs with their weak labels, or 100 of these inputs with their true answers. The KL divergence is always taken on the
inputs of D.
"""

from collections.abc import Sequence
from dataclasses import astuple, replace

import numpy as np
import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from w2s_lab.experiments.effects import difference, paired_effect
from w2s_lab.experiments.procedure import Bench, Plan, hard
from w2s_lab.experiments.store import Store
from w2s_lab.figures.plots import ROLE, SIZE, Role, styled_axes
from w2s_lab.figures.study_plots import SERIES
from w2s_lab.objective import kl_to_supervisor
from w2s_lab.records import Evaluation, LabelledSet, Snapshot
from w2s_lab.studies.dials import (
    ALPHAS,
    PLAIN,
    SCHEDULES,
    TEMPERATURES,
    TRUTH,
    WEAK_LABELS,
    WEIGHTS,
    Dial,
    dials,
    rows_at,
)
from w2s_lab.studies.figures import figure_of
from w2s_lab.studies.rows import Rows, column
from w2s_lab.studies.study import SIZES, Setting, Study, bench, cell, mean_of, rounded
from w2s_lab.system.jobs import Job

PLAN = Plan()  # the studies' usual one, with six snapshots on the way
FEW = 100  # true answers
CURVES = ("accuracy", "agreement", "imitation", "kl")


# -- one run -----------------------------------------------------------------------------------------------------


def training_set(own: Bench, answers: str) -> LabelledSet:
    """D: its inputs with their answers, and with the supervisor's distributions over the answers."""
    if answers == WEAK_LABELS:
        return own.labels
    truth = own.splits.student_train.take(range(FEW), f"{FEW} true answers, with a supervisor's distributions")
    return replace(truth, probs=own.labels.probs[:FEW])


def divergence(own: Bench, evaluation: Evaluation) -> float:
    """Mean KL(Pr^w || Pr^s) over the test inputs, in nats, both over the closed list of answers."""
    weak, student = torch.tensor(own.reference.probs), torch.tensor(evaluation.probs)
    return float(kl_to_supervisor(student.clamp_min(1e-12).log(), weak).mean())


def _stages(setting: Setting) -> list[list[Job]]:
    seeds = range(setting.seeds)
    shared = [Job(f"seed {s}", cell, (_shared, setting, s)) for s in seeds]
    grid = [
        Job(f"{d.name} {d.value:g} {d.schedule} on {d.answers}, seed {s}", cell, (_run, setting, d, s))
        for d in dials()
        for s in seeds
    ]
    return [shared, grid]


def _shared(store: Store, device: str, seed: int) -> Rows:
    own = bench(store, "sentiment", replace(PLAN, device=device), seed, SIZES)
    own.labels, own.ceiling  # noqa: B018
    return []


def _run(store: Store, device: str, dial: Dial, seed: int) -> Rows:
    own = bench(store, "sentiment", replace(PLAN, device=device), seed, SIZES)
    labels = training_set(own, dial.answers)
    steps, _ = own.plan.recipe.steps(SIZES.student_train)
    recipe = replace(hard(own.plan.recipe), loss=dial.loss).lasting(steps, len(labels))
    outcome = own.student(labels, recipe)
    names = {"dial": dial.name, "value": dial.value, "schedule": dial.schedule, "answers": dial.answers, "seed": seed}
    levels = {
        "weak": outcome.comparison.weak.accuracy,
        "ceiling": outcome.comparison.ceiling.accuracy,
        "label_accuracy": outcome.label_accuracy,
        "end": outcome.comparison.student.accuracy,
        "best": outcome.best.evaluation.accuracy,
        "pgr": outcome.comparison.pgr,
    }
    return [names | levels | curve(own, outcome.curve)]


def curve(own: Bench, snapshots: Sequence[Snapshot]) -> dict[str, list[float]]:
    """Optimizer steps, and at each snapshot accuracy, agreement, imitation (fractions) and KL (nats)."""
    found = [s.evaluation for s in snapshots]
    table = {name: [getattr(e, name) for e in found] for name in CURVES[:3]}
    table["kl"] = [divergence(own, e) for e in found]
    return {"steps": [s.step for s in snapshots]} | {
        name: [None if value is None else round(value, 4) for value in values] for name, values in table.items()
    }


# -- what was found ----------------------------------------------------------------------------------------------


def _table(rows: Rows) -> tuple[list[dict], str]:
    """For every position: means over seeds, and the change of accuracy against the same D without a dial, paired."""
    found, lines = [], [f"{'':<44}{'end':>7}{'best':>7}{'imitation':>11}{'KL':>7}   change of the end, 95 % interval"]
    for dial in dials():
        own = rows_at(rows, dial)
        if not own:
            continue
        control = rows_at(rows, replace(PLAIN, answers=dial.answers))
        effect = paired_effect("", column(own, "end"), column(control, "end"))
        ends = [{"imitation": row["imitation"][-1], "kl": row["kl"][-1]} for row in own]
        at = {name: mean_of(own, name)["mean"] for name in ("end", "best", "pgr")}
        at |= {name: mean_of(ends, name)["mean"] for name in ("imitation", "kl")}
        names = {name: own[0][name] for name in ("dial", "value", "schedule", "answers")}
        found.append(names | at | {"effect": effect.to_dict()})
        words = f"{dial.answers}, {dial.name} {dial.value:g} {dial.schedule}"
        change = "" if effect.low is None else difference(effect)
        imitation = "-" if at["imitation"] is None else f"{at['imitation']:.3f}"
        lines.append(f"{words:<44}{at['end']:>7.3f}{at['best']:>7.3f}{imitation:>11}{at['kl']:>7.3f}   {change}")
    return found, "\n".join(lines)


def _finish(rows: Rows) -> tuple[dict, str, dict[str, Figure]]:
    summary, text = _table(rows)
    facts = {"task": "sentiment", "sizes": astuple(SIZES), "true answers": FEW, **PLAN.to_dict(), "summary": summary}
    return facts | {"rows": rounded(rows)}, text, {"losses.png": losses_figure(rows)}


def losses_figure(rows: Rows) -> Figure:
    """Test accuracy at the end against lambda (for both D), temperature, alpha; dots are seeds, lines their means."""
    figure = figure_of(16, 11)
    axes = figure.subplots(2, 2, sharey=True).flat
    panels = dict(zip((WEAK_LABELS, TRUTH, "temperature", "alpha"), axes, strict=True))
    for answers, title in ((WEAK_LABELS, "D: the weak labels"), (TRUTH, f"D: {FEW} true answers")):
        for look, schedule in zip(SERIES, SCHEDULES, strict=False):
            _line(panels[answers], rows, [Dial("lambda", w, schedule, answers) for w in WEIGHTS], f"λ {schedule}", look)
        panels[answers].set_title(title, fontsize=SIZE)
        panels[answers].set_xlabel("λ at the beginning", fontsize=SIZE)
    for name, values, title, label in (
        ("temperature", TEMPERATURES, "soft labels", "temperature of the weak labels"),
        ("alpha", ALPHAS, "confidence loss", "α after the ramp"),
    ):
        _line(panels[name], rows, [Dial(name, value) for value in values], ROLE["student"].name, ROLE["student"])
        panels[name].set_title(title, fontsize=SIZE)
        panels[name].set_xlabel(label, fontsize=SIZE)
    for ax in panels.values():
        _levels(styled_axes(ax), rows)
    named = {label: line for ax in panels.values() for line, label in zip(*ax.get_legend_handles_labels(), strict=True)}
    place = {"loc": "outside upper center", "ncols": 3, "frameon": False}
    figure.legend(named.values(), named, fontsize=SIZE, **place)
    return figure


def _line(ax: Axes, rows: Rows, positions: Sequence[Dial], label: str, look: Role) -> None:
    """Mean accuracy at the end against the dial, at equal distances, with a dot for each seed."""
    own = {place: column(rows_at(rows, dial), "end") for place, dial in enumerate(positions) if rows_at(rows, dial)}
    style = {"color": look.color, "marker": look.marker, "linestyle": look.line, "linewidth": 2.6, "markersize": 9}
    ax.plot(list(own), [float(np.mean(ends)) for ends in own.values()], **style, label=label)
    for place, ends in own.items():
        ax.plot([place] * len(ends), ends, "o", color=look.color, alpha=0.35, markersize=5)
    ax.set_xticks(range(len(positions)), [f"{dial.value:g}" for dial in positions])


def _levels(ax: Axes, rows: Rows) -> None:
    """Weak supervisor, strong ceiling and the student of plain weak labels as lines."""
    plain = rows_at(rows, PLAIN)
    levels = {"weak": column(plain, "weak"), "ceiling": column(plain, "ceiling"), "student": column(plain, "end")}
    for role, values in levels.items():
        name = "student of plain weak labels" if role == "student" else ROLE[role].name
        look = {"color": ROLE[role].color, "linestyle": ":" if role == "student" else ROLE[role].line}
        ax.axhline(float(np.mean(values)), **look, linewidth=1.8, label=name)
    ax.set_ylabel("test accuracy at the end\n(fraction)", fontsize=SIZE)
    ax.grid(axis="y", color="#E6E6E6")


STUDY = Study("losses", "what does each dial of the losses change, against plain weak labels?", 8, _stages, _finish)
