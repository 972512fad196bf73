"""The usual plan and the usual numbers of examples for a strong model: what it can learn from, and in what time.

A user's options win over everything here.
"""

from collections.abc import Iterator
from dataclasses import astuple, replace
from pathlib import Path

from w2s_lab.data.sources import SplitSizes
from w2s_lab.experiments.procedure import Plan
from w2s_lab.planning.hub_models import UnknownSize, architecture
from w2s_lab.recipe import LoRA, Recipe
from w2s_lab.records import Task

LARGE = 30_000_000  # parameters: from here on a pre-trained model gets the recipe below; the ladder ends far under it
LARGER = 600_000_000  # parameters: from here on a lower rate, as in openai/weak-to-strong (see `hub_models`)
ADAPTER_RATE = 10  # an adapter's rate over that of all weights (Schulman et al. 2025, LoRA Without Regret)
ON_A_CPU = SplitSizes(supervisor_train=1500, student_train=480, test=300, validation=100)
FEWER = (1000, 480, 360, 240)  # examples for the student, where more take too long; the last number always stays
SEED_SECONDS = 5 * 60  # three seeds in a quarter of an hour


def parameters_of(name: str) -> int | None:
    """The number of parameters of a model, before it is loaded; None where its config is not understood."""
    try:
        return architecture(name).parameters
    except UnknownSize:
        weights = sum(path.stat().st_size for path in Path(name).glob("*.safetensors")) if Path(name).is_dir() else 0
        return weights // 4 or None  # bytes


def is_large(name: str) -> bool:
    """Whether this model is pre-trained and far larger than the ladder; a model of the Hub of unknown size is."""
    if name.startswith("scratch:"):
        return False
    found = parameters_of(name)
    return found >= LARGE if found else "/" in name and not Path(name).exists()


def usual_plan(
    task: Task, strong: str | None = None, *, weak: str | None = None, lora: LoRA | None = None, labels: int = 1500
) -> Plan:
    """The usual plan for a task and, where they are large, for its models.

    A large model knows so much of a text that one pass over some hundred labels elicits it, in small batches and at a
    low rate. Beside it stands a supervisor that is weak on real text: a bag of words, on a closed task.

    Args:
        task: the task.
        strong: name of the strong model; None: of the ladder.
        weak: name of the supervisor; None: the usual one.
        lora: the adapter that student and ceiling learn; None: they learn all weights.
        labels: true answers that the supervisor can learn from.
    """
    plan = Plan.for_task(task)
    if strong is not None and is_large(strong):
        plan = replace(plan, strong=strong, recipe=_gentle(strong, lora))
        if task.answers is not None:
            plan = replace(plan, weak=f"bag-of-words:{min(labels, ON_A_CPU.supervisor_train)}")
    if weak is not None:
        plan = replace(plan, weak=weak, weak_recipe=_gentle(weak) if is_large(weak) else plan.weak_recipe)
    return plan


def _gentle(name: str, lora: LoRA | None = None) -> Recipe:
    """How a large model is fine-tuned on few labels."""
    rate = 1e-5 if (parameters_of(name) or 0) >= LARGER else 5e-5
    rate = rate if lora is None else ADAPTER_RATE * rate
    return Recipe(epochs=1, batch_size=8, learning_rate=rate, eval_every=20, lora=lora)


def usual_sizes(examples: int, strong: str | None, *, on_cpu: bool) -> SplitSizes:
    """The usual numbers of examples: `SplitSizes.of`, and fewer for a large model on a CPU."""
    usual = SplitSizes.of(examples)
    if strong is None or not (on_cpu and is_large(strong)):
        return usual
    return SplitSizes(*map(min, astuple(usual), astuple(ON_A_CPU)))


def fewer(sizes: SplitSizes) -> Iterator[SplitSizes]:
    """`sizes`, and then the same with fewer and fewer examples for the student."""
    yield sizes
    for number in FEWER:
        if number < sizes.student_train:
            yield replace(sizes, student_train=number)
