"""How much memory and time a plan takes, and whether it fits, as a table, before anything is loaded or downloaded."""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from w2s_lab.data.sources import SplitSizes
from w2s_lab.experiments.procedure import Plan, check_plan, hard
from w2s_lab.methods.labellers import is_labeller, layer_of, true_labels
from w2s_lab.objective import NextToken
from w2s_lab.planning.estimate import (
    CHARACTERS,
    GB,
    RESERVE,
    UTILISATION,
    Device,
    Estimate,
    Texts,
    estimate_labelling,
    estimate_training,
    find_device,
)
from w2s_lab.planning.hub_models import RESTRICTED, Architecture, UnknownSize, architecture
from w2s_lab.recipe import LoRA, Recipe
from w2s_lab.records import Example, Task
from w2s_lab.system.record import Record

REMEDIES = (  # first those that change only the time, then those that change what is trained
    ("gradient checkpointing", {"gradient_checkpointing": True}),
    ("a LoRA", {"lora": LoRA()}),
    ("a LoRA and gradient checkpointing", {"lora": LoRA(), "gradient_checkpointing": True}),
)


FREE = Estimate(*[0] * 10)  # fitted and asked in less time than loading a model takes


@dataclass(frozen=True)
class CostRow(Record):
    """A line of the table: what is done, by which model, at what cost (None: the model's size is unknown).

    A supervisor that is no language model has no model and the cost `FREE`.
    """

    what: str
    name: str
    model: Architecture | None
    estimate: Estimate | None


def plan_estimate(
    plan: Plan, sizes: SplitSizes, texts: Texts, device: Device, *, inputs: int | None = None
) -> list[CostRow]:
    """The memory and time that each part of the procedure takes, for one seed.

    Args:
        plan: models and recipes; its device does not matter here.
        sizes: examples of each part of the split.
        texts: lengths of prompts and answers.
        device: what it would run on.
        inputs: number of unlabelled inputs to adapt to, if the plan adapts; None: those of supervisor and student.
    """
    weak, strong = None if is_labeller(plan.weak) else _known(plan.weak), _known(plan.strong)
    # models that wait for their turn are in main memory, in float32
    idle_weak, idle_strong = (4 * model.parameters if model and device.name == "cpu" else 0 for model in (weak, strong))
    watched = sizes.test + sizes.validation
    rounds = plan.recipe.snapshots(sizes.student_train)

    def training(what: str, model: Architecture | None, recipe: Recipe, examples: int, beside: float) -> CostRow:
        name = plan.weak_name if what.startswith("weak") else plan.strong
        found = model and estimate_training(model, recipe, device, texts, examples=examples, beside=beside)
        return CostRow(what, name, model, found)

    def labelling(what: str, of: CostRow, recipe: Recipe, examples: int, beside: float, times: int = 1) -> CostRow:
        found = of.model and estimate_labelling(
            of.model, recipe, device, texts, examples=examples, times=times, beside=beside
        )
        return replace(of, what=what, estimate=found)

    adaptations = []
    if plan.adapt:
        recipe, inputs = replace(plan.adapt, loss=NextToken()), inputs or sizes.supervisor_train + sizes.student_train
        adaptations = [
            training(f"{role} model adapted", model, recipe, inputs, idle_weak + idle_strong)
            for role, model in (("weak", weak), ("strong", strong))
            if role == "strong" or not is_labeller(plan.weak)
        ]
    merged = [replace(recipe, lora=None) for recipe in (plan.weak_recipe, plan.recipe)]
    if is_labeller(plan.weak):
        labellings = [
            _asked(plan, "weak supervisor", strong, true_labels(plan.weak, sizes.supervisor_train), device, texts),
            _asked(plan, "weak labels", strong, sizes.student_train + watched, device, texts),
        ]
    else:
        own = training("weak supervisor", weak, plan.weak_recipe, sizes.supervisor_train, idle_weak + idle_strong)
        labellings = [own, labelling("weak labels", own, merged[0], sizes.student_train + watched, idle_strong)]
    student = training("strong student", strong, plan.recipe, sizes.student_train, idle_strong)
    ceiling = training(
        "strong ceiling", strong, hard(plan.recipe, closed=texts.choices > 0), sizes.student_train, idle_strong
    )
    adam = student.estimate.optimizer if student.estimate else 0  # is in memory at every snapshot
    return [
        *adaptations,
        *labellings,
        student,
        labelling(f"  evaluated {rounds} times", student, plan.recipe, watched, idle_strong + adam, rounds),
        ceiling,
        labelling("  evaluated once", ceiling, merged[1], sizes.test, idle_strong),
    ]


def _asked(plan: Plan, what: str, strong: Architecture | None, examples: int, device: Device, texts: Texts) -> CostRow:
    """What a supervisor that is no language model takes: for an early exit, the strong model up to its layer."""
    layer = layer_of(plan.weak)
    if layer is None or not examples:
        return CostRow(what, plan.weak_name, None, FREE)
    if strong is None:
        return CostRow(what, plan.weak_name, None, None)
    found = estimate_labelling(strong, replace(plan.recipe, lora=None), device, texts, examples=examples)
    share = min(1.0, layer / strong.layers)
    found = replace(found, flops=share * found.flops, seconds=share * found.seconds)
    return CostRow(what, plan.weak_name, strong, found)


def _known(name: str) -> Architecture | None:
    try:
        return architecture(name)
    except UnknownSize:
        return None


# -- the table ---------------------------------------------------------------------------------------------------


def dry_run_table(
    plan: Plan,
    sizes: SplitSizes,
    examples: Sequence[Example],
    choices: Sequence[str] | None,
    *,
    seeds: int = 1,
    device: str | Device = "auto",
) -> str:
    """The estimate of a plan as text: a table, whether it fits and what to change if not, licences.

    Args:
        plan: models and recipes.
        sizes: examples of each part of the split.
        examples: all examples of the task, for their length.
        choices: the task's closed list of answers; None: free text.
        seeds: how many runs.
        device: auto, cpu, cuda, mps, or a card of `estimate.DEVICES`, which need not be in this machine.

    Raises:
        ValueError: there is no such device, or a loss or the supervisor of the plan does not fit such a task.
    """
    check_plan(plan, Task("dry run", tuple(choices) if choices else None), sizes.supervisor_train)
    device = find_device(device) if isinstance(device, str) else device
    texts = Texts.of(examples, choices)
    inputs = len(examples) - sizes.test - sizes.validation
    rows = plan_estimate(plan, sizes, texts, device, inputs=inputs)
    minutes = sum(row.estimate.seconds for row in rows if row.estimate) / 60
    known = all(row.estimate for row in rows)
    total = _minutes(minutes) if known else "unknown"
    lines = [f"an estimate for {_card(device)}; nothing has been loaded", ""]
    cells = [("", "model", "parameters", "memory, GB", "minutes"), *map(_cells, rows), ("one seed", "", "", "", total)]
    if seeds > 1:
        cells.append((f"{seeds} seeds", "", "", "", _minutes(seeds * minutes) if known else "unknown"))
    lines += _aligned(cells)
    lines += ["", *_verdict(plan, sizes, texts, device, rows), ""]
    lines.append(
        f"Assumed: {CHARACTERS} characters per token, {UTILISATION:.0%} of the device's peak speed. A real run takes\n"
        "a third to three times as long; loading and downloading come on top."
    )
    lines.append(_licences(plan))
    return "\n".join(lines)


def _card(device: Device) -> str:
    memory = f"{device.memory / GB:.0f} GB, " if device.memory else ""
    precision = device.precision("auto")
    speed = device.speed(precision) / 1e12
    return f"{device.name} ({memory}{f'{speed:.0f}' if speed >= 10 else f'{speed:.2g}'} TFLOP/s in {precision})"


def _cells(row: CostRow) -> tuple[str, ...]:
    if row.estimate is None:
        return (row.what, row.name, "unknown", "unknown", "unknown")
    found = row.estimate
    if row.model is None:
        return (row.what, row.name, "none", "-", _minutes(found.seconds / 60))
    memory = f"{found.memory / GB:.1f}" if found.memory >= GB / 10 else f"{found.memory / GB:.2f}"
    return (row.what, row.name, f"{row.model.parameters / 1e6:,.1f} M", memory, _minutes(found.seconds / 60))


def _minutes(value: float) -> str:
    return f"{value:,.0f}" if value >= 10 else f"{value:.1f}" if value >= 0.1 else "< 0.1"


def _aligned(table: Sequence[tuple[str, ...]]) -> Iterable[str]:
    """Two columns of words, the others of numbers."""
    widths = [max(map(len, column)) for column in zip(*table, strict=True)]
    for row in table:
        words = [cell.ljust(width) for cell, width in zip(row[:2], widths[:2], strict=True)]
        numbers = [cell.rjust(width) for cell, width in zip(row[2:], widths[2:], strict=True)]
        yield "   ".join([*words, *numbers]).rstrip()


def _verdict(plan: Plan, sizes: SplitSizes, texts: Texts, device: Device, rows: list[CostRow]) -> Iterable[str]:
    """Whether the plan fits; if not, the smallest change with which its estimate fits."""
    for name in plan.models:
        try:
            architecture(name)
        except UnknownSize as error:
            yield f"Whether it fits cannot be said: {error}."
            return
    largest = max(rows, key=lambda row: row.estimate.memory)
    if device.memory is None:
        yield f"It needs {largest.estimate.memory / GB:.1f} GB of memory; how much there is, this system does not say."
        return
    failing = [row for row in rows if not row.estimate.fits]
    if not failing:
        yield f"It fits: at most {largest.estimate.memory / GB:.1f} of {device.memory / GB:.0f} GB."
        yield "Labels and evaluations take many examples at a time, and fewer where memory is short."
        for row in rows:
            if row.what.startswith(("weak s", "strong")) and row.estimate.rows < row.estimate.wanted_rows:
                yield (
                    f"The {row.what} learns from {row.estimate.rows} of the {row.estimate.wanted_rows} examples of a "
                    "batch at a time, since more do not fit; the gradient is the same."
                )
        return
    worst = max(failing, key=lambda row: row.estimate.memory)
    yield (
        f"It does not fit into {device.memory / GB:.0f} GB, {RESERVE:.0%} of them kept free: the {_name(worst, rows)} "
        f"takes {worst.estimate.memory / GB:.1f} GB even one example at a time."
    )
    for remedy, changes in REMEDIES:
        adapt = plan.adapt and replace(plan.adapt, **changes)
        changed = replace(plan, recipe=replace(plan.recipe, **changes), adapt=adapt)
        if any(row.name == plan.weak_name for row in failing):
            changed = replace(changed, weak_recipe=replace(plan.weak_recipe, **changes))
        tried = plan_estimate(changed, sizes, texts, device)
        if changed != plan and all(row.estimate.fits for row in tried):
            yield f"With {remedy} it would fit ({max(row.estimate.memory for row in tried) / GB:.1f} GB)."
            return
    needed = math.ceil(worst.estimate.memory / (1 - RESERVE) / GB)
    yield f"No recipe makes it fit: take a smaller strong model, or a device with {needed} GB or more."


def _name(row: CostRow, rows: list[CostRow]) -> str:
    """The name of a row in a sentence."""
    return f"{rows[rows.index(row) - 1].what}, evaluated," if row.what.startswith(" ") else row.what


def _licences(plan: Plan) -> str:
    """One sentence that names the licences and what they restrict."""
    found = []
    for name in dict.fromkeys(plan.models):
        model = _known(name)
        licence = model.licence if model else "unknown here, see its page on the Hub"
        limits = f" ({RESTRICTED[licence]})" if licence in RESTRICTED else ""
        found.append(f"{name}: {licence}{limits}")
    return f"Licences: {'; '.join(found)}."
