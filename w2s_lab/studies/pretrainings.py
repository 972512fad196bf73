"""How much hangs on one pre-training? The main effects on each of three: the shipped one and two of other seeds.

A pre-training is pocket-s and pocket-l, each from first weights and documents of its own seed. All else is the same for
the three: the tokenizer, the splits, the recipes. Supervisor, student and ceiling come from one pre-training.
The further ones are made here, into the store, and are not shipped. `w2s-lab pretrain --seed` makes the same models.
"""

from dataclasses import astuple, replace
from pathlib import Path

from matplotlib.figure import Figure

from w2s_lab.experiments.effects import Effect, difference, markdown_table, paired_effect
from w2s_lab.experiments.procedure import Bench
from w2s_lab.experiments.store import Store
from w2s_lab.pocket.pretrain import LADDER, further, pretrain
from w2s_lab.studies.figures import effects_figure
from w2s_lab.studies.measures import AT_END, AT_TRUSTED
from w2s_lab.studies.methods import PLAIN, RANDOM, SIZES, SOFT, USUAL, method
from w2s_lab.studies.study import (
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

SEEDS = (0, 1, 2)  # of pre-training; 0 is the shipped one
PAIR = (USUAL.weak, USUAL.strong)
METHODS = (SOFT, "confidence loss 0.5", RANDOM, "confident half", "random errors")  # and PLAIN, and LONG
PASSES = 6  # twice as many as usual
LONG = f"plain weak labels, {PASSES} passes"


def _models(store: str | Path, seed: int) -> tuple[str, ...]:
    """Supervisor's and student's start: names of the ladder, or folders in the store."""
    if seed == 0:
        return PAIR
    return tuple(str(_place(store) / further(LADDER[name], seed).name) for name in PAIR)


def _place(store: str | Path) -> Path:
    return Path(store) / "pretrained"


def _stages(setting: Setting) -> list[list[Job]]:
    made = [
        Job(f"{name}, pre-training {p}", cell, (_pretrain, setting, name, p))
        for p in SEEDS
        if p
        for name in reversed(PAIR)
    ]
    cells = [(p, s) for p in SEEDS for s in range(setting.seeds)]
    # the student of plain weak labels comes first, and with it what all methods need
    shared = [Job(f"pre-training {p}, seed {s}, shared", cell, (_method, setting, p, s, PLAIN)) for p, s in cells]
    others = [
        Job(f"pre-training {p}, seed {s}, {name}", cell, (_method, setting, p, s, name))
        for p, s in cells
        for name in (*METHODS, LONG)
    ]
    return [made, shared, others]


def _pretrain(store: Store, device: str, name: str, seed: int) -> Rows:
    pretrain(LADDER[name], seed=seed, folder=_place(store.root), device=device)
    return []


def _bench(store: Store, device: str, pretraining: int, seed: int) -> Bench:
    weak, strong = _models(store.root, pretraining)
    return bench(store, "sentiment", replace(USUAL, weak=weak, strong=strong, device=device), seed, SIZES)


def _method(store: Store, device: str, pretraining: int, seed: int, name: str) -> Rows:
    own = _bench(store, device, pretraining, seed)
    longer = replace(own.plan.recipe, epochs=PASSES)
    outcome = own.student(own.labels, longer) if name == LONG else method(name).learn(own)
    return [{"pretraining": pretraining, "seed": seed, "method": name} | outcome_numbers(outcome)]


# -- what was found ----------------------------------------------------------------------------------------------

GAP, GAIN, OVERFITTING = "ceiling minus supervisor", "student minus supervisor", "end minus trusted snapshot"
LATER = f"the same, {PASSES} passes"


def main_effects(rows: Rows, pretraining: int) -> dict[str, Effect]:
    """Effect -> what one pre-training shows, in accuracy, paired by seed; methods at the trusted snapshot."""
    plain, longer = (select(rows, pretraining=pretraining, method=name) for name in (PLAIN, LONG))

    def within(name: str, treated: str, control: str, own: Rows = plain) -> Effect:
        return paired_effect(name, column(own, treated), column(own, control))

    found = [within(GAP, "ceiling", "weak"), within(GAIN, AT_TRUSTED, "weak"), within(OVERFITTING, AT_END, AT_TRUSTED)]
    found += [within(LATER, AT_END, AT_TRUSTED, longer)]
    for name in METHODS:
        if name != RANDOM:
            against = method(name).control
            own, control = (select(rows, pretraining=pretraining, method=one) for one in (name, against))
            label = f"{name} against {against}"
            found.append(paired_effect(label, column(own, AT_TRUSTED), column(control, AT_TRUSTED)))
    return {effect.name: effect for effect in found}


def _called(pretraining: int) -> str:
    """What tables and figures call a pre-training."""
    return f"seed {pretraining}" + (" (shipped)" if pretraining == 0 else "")


def pretrainings_table(rows: Rows) -> str:
    """In Markdown, a line for each effect and a column for each pre-training: mean and 95 % interval over the seeds."""
    found = {p: main_effects(rows, p) for p in SEEDS}
    lines = [(name, *(difference(found[p][name]) for p in SEEDS)) for name in found[SEEDS[0]]]
    return markdown_table(("effect on accuracy", *map(_called, SEEDS)), lines)


def levels(rows: Rows) -> list[dict]:
    """A row for each pre-training: means with 95 % intervals over the seeds that have the number."""
    names = ("weak", AT_END, AT_TRUSTED, "best_accuracy", "ceiling", "pgr", "trusted_pgr")
    return [
        {"pretraining": p, **{name: mean_of(select(rows, pretraining=p, method=PLAIN), name) for name in names}}
        for p in SEEDS
    ]


def _finish(rows: Rows) -> tuple[dict, str, dict[str, Figure]]:
    rows = rounded(sorted(rows, key=lambda row: (row["pretraining"], row["method"], row["seed"])))
    found = {p: main_effects(rows, p) for p in SEEDS}
    facts = {
        "task": "sentiment",
        "sizes": astuple(SIZES),
        **USUAL.to_dict(),
        "pretrainings": levels(rows),
        "effects": {p: [effect.to_dict() for effect in own.values()] for p, own in found.items()},
        "rows": rows,
    }
    groups = {name: [replace(found[p][name], name=_called(p)) for p in SEEDS] for name in found[SEEDS[0]]}
    figure = effects_figure(groups, "what the heading names")
    return facts, pretrainings_table(rows), {"pretrainings.png": figure}


ABOUT = "does what was found hold for other pre-trainings of the same pair?"
STUDY = Study("pretrainings", ABOUT, 8, _stages, _finish)
