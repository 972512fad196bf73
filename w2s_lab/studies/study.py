"""What a study is, and how one is run: jobs give rows of numbers, and these become a JSON file and figures."""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.figure import Figure

from w2s_lab.data.sources import SplitSizes, load_splits
from w2s_lab.experiments.effects import LEVEL, Effect, equivalence_p
from w2s_lab.experiments.procedure import Bench, Outcome, Plan, hard
from w2s_lab.experiments.report import versions
from w2s_lab.experiments.store import Store
from w2s_lab.metrics import mean_interval
from w2s_lab.models.language_model import LanguageModel
from w2s_lab.records import Comparison, Evaluation, LabelledSet
from w2s_lab.studies.rows import Rows, column, select  # noqa: F401  (handed on)
from w2s_lab.system.files import replacing
from w2s_lab.system.jobs import Job, run_jobs
from w2s_lab.system.registry import plugins

SIZES = SplitSizes(supervisor_train=1500, student_train=1500, test=1000, validation=100)
EPOCH = 47  # optimizer steps in a pass over 1,500 examples
NOTHING = 0.01  # an effect (fraction of test examples, or PGR) counts as none if it is surely within ± this
POCKET, REAL = "pocket world", "real English"  # the worlds
REPRODUCED, NOT_REPRODUCED, CANNOT_TELL = "reproduced", "not reproduced", "cannot tell here"
UNMET = "conditions not met"


@dataclass(frozen=True)
class Setting:
    """Where a study runs, and over how many seeds.

    Attributes:
        store: folder of finished work; on a cluster, one that all machines share.
        device: auto, cpu or cuda.
        seeds: seeds 0 to seeds - 1.
    """

    store: str
    device: str
    seeds: int


@dataclass(frozen=True)
class Finding:
    """One published claim and how it is measured here.

    Attributes:
        claim: in one sentence.
        source: who says so.
        quantity: what is measured, and where.
        study: name of the result file.
        measure: from the rows of that file to the effect over seeds that the verdict is of. For the effect of a method,
            this is its effect at the snapshot that trusted examples choose.
        sign: +1 where the claim says that the effect is above 0, -1 below.
        because: a verdict and the reason for it; the reason is shown only while the computed verdict is this one.
        unit: what the mean and the interval of the effect are taken over.
        control: what the effect is a difference from; empty where `quantity` says it.
        at_end: from the rows to the same effect at the end of training; None where the claim names its own moment.
        world: the claims of one world are one table, and a family of tests at each moment.
        condition: from the rows to a sentence that says which condition of the claim is not met and how far it is from
            true; an empty one where all are met. None: the claim has no condition that could fail here.
        margin: an effect that is surely nearer to 0 counts as none; None where it has no such margin, such as a slope.
        beside: the claim of the pocket world that this one repeats in another world, word for word; empty: none.
    """

    claim: str
    source: str
    quantity: str
    study: str
    measure: Callable[[Rows], Effect]
    sign: int = 1
    because: tuple[str, str] = ("", "")
    unit: str = "seeds"
    control: str = ""
    at_end: Callable[[Rows], Effect] | None = None
    world: str = POCKET
    condition: Callable[[Rows], str] | None = None
    margin: float | None = NOTHING
    beside: str = ""

    def verdict(self, effect: Effect) -> str:
        """reproduced, not reproduced, or cannot tell here; that the conditions are met is taken for granted."""
        if effect.low is None:
            return CANNOT_TELL
        low, high = sorted(self.sign * end for end in (effect.low, effect.high))
        if low > 0:
            return REPRODUCED
        return NOT_REPRODUCED if high < 0 or self.equivalent(effect) else CANNOT_TELL

    def equivalent(self, effect: Effect) -> bool:
        """Whether the effect is surely within the margin of 0: two one-sided t-tests, each at 5 %."""
        p = None if self.margin is None else equivalence_p(effect, self.margin)
        return p is not None and p <= LEVEL


@dataclass(frozen=True)
class Study:
    """A named grid of measurements.

    Attributes:
        name: of the command and of the files.
        about: the question of the study, in one line.
        seeds: the usual number of seeds.
        stages: from a setting to lists of jobs; those of one list may run at the same time, in any order.
        finish: from the rows of all jobs to plain JSON values, a text for people and figures by file name.
        claims: `w2s-lab study findings` shows them after the kit's own claims. The `study` of each is this `name`, and
            the JSON values must hold "rows".
    """

    name: str
    about: str
    seeds: int
    stages: Callable[[Setting], Sequence[Sequence[Job]]]
    finish: Callable[[Rows], tuple[dict, str, dict[str, Figure]]]
    claims: tuple[Finding, ...] = ()


def cell(function: Callable[..., Rows], setting: Setting, *arguments: Any) -> tuple[Rows, list[str]]:
    """One job: what `function(store, device, *arguments)` measured, and the keys of the trainings that it asked for."""
    store = Store(setting.store)
    rows = function(store, setting.device, *arguments)
    return rows, store.asked


def run_study(
    study: Study, *, seeds: int, workers: int, store: str, output: Path, device: str = "auto", ray: str | None = None
) -> tuple[str, list[Path]]:
    """Run those parts of a study that the store does not hold yet, and write the results of the whole study to files.

    Args:
        study: the study to run.
        seeds: how many seeds.
        workers: number of processes on this machine.
        store: see `Setting`.
        output: folder for JSON and figures.
        device: auto, cpu or cuda.
        ray: address of a Ray cluster, instead of processes on this machine.

    Returns:
        A text for people, and the files written.
    """
    rows, asked = [], []
    stages = study.stages(Setting(store, device, seeds))
    for number, stage in enumerate(stages, start=1):
        description = study.name if len(stages) == 1 else f"{study.name} {number}/{len(stages)}"
        for found, keys in run_jobs(stage, workers=workers, ray=ray, description=description).values():
            rows += found
            asked += keys
    facts, text, figures = study.finish(rows)
    trainings = {"asked for": len(asked), "different": len(set(asked)), "saved": len(asked) - len(set(asked))}
    command = " ".join(["w2s-lab study", study.name, f"--seeds {seeds}", *(f"--import {name}" for name in plugins())])
    facts = {"command": command, "versions": versions(), "trainings": trainings, **facts}
    path = output / f"{study.name}.json"
    with replacing(path) as new:
        new.write_text(json.dumps(facts, indent=1) + "\n", encoding="utf-8")
    paths = [path, *_draw(figures, output)]
    saved = f"{len(asked):,} trainings asked for, {len(set(asked)):,} different ones: {trainings['saved']:,} saved"
    return f"{text}\n\n{saved}", paths


def redraw(study: Study, output: Path) -> list[Path]:
    """Draw a study's figures again from its file in `output`, without any training; returns the files written.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: it does not hold the rows that the figures are made of.
    """
    path = output / f"{study.name}.json"
    facts = json.loads(path.read_text(encoding="utf-8"))
    if "rows" not in facts:
        raise ValueError(
            f"{path} holds no rows to draw from. Hint: w2s-lab study {study.name} draws its figures; "
            "finished trainings come from the store"
        )
    return _draw(study.finish(facts["rows"])[2], output)


def _draw(figures: Mapping[str, Figure], output: Path) -> list[Path]:
    for name, figure in figures.items():
        with replacing(output / name) as new:
            figure.savefig(new, dpi=150, format="png")
    return [output / name for name in figures]


# -- rows of numbers ---------------------------------------------------------------------------------------------


def bench(store: Store, task: str, plan: Plan, seed: int, sizes: SplitSizes = SIZES) -> Bench:
    """The bench of a built-in task, with a split and an order of the examples drawn from `seed`."""
    return Bench(load_splits(task, seed=seed, sizes=sizes), plan, store, seed)


def learn(own: Bench, labels: LabelledSet, steps: int, *, start: LanguageModel | None = None) -> Outcome:
    """A student of these labels by maximum likelihood, in about `steps` optimizer steps for any number of labels."""
    return own.student(labels, hard(own.plan.recipe).lasting(steps, len(labels)), start=start)


def learn_twice(own: Bench, first: tuple[LabelledSet, int], then: tuple[LabelledSet, int]) -> Outcome:
    """Two trainings, of which the second one continues the first; `first` and `then` are (labels, optimizer steps)."""
    labels, steps = first
    recipe = hard(own.plan.recipe).lasting(steps, len(labels))
    begun = own.train(own.strong, labels, recipe, "first of two trainings")
    begun.network.to("cpu")  # until its turn comes again
    return learn(own, *then, start=begun)


def numbers(comparison: Comparison) -> dict[str, float | None]:
    """The numbers of a comparison; fractions, and Brier scores for `gain` and `misfit`."""
    student = comparison.student
    found = {
        "weak": comparison.weak.accuracy,
        "accuracy": student.accuracy,
        "ceiling": comparison.ceiling.accuracy,
        "pgr": comparison.pgr,
        "agreement": student.agreement,
        "imitation": student.imitation,
        "correction": student.correction,
    }
    return found | gain_and_misfit(comparison)


def gain_and_misfit(comparison: Comparison) -> dict[str, float]:
    """Gain: how much nearer the student is to the truth than its supervisor; misfit: its distance from the supervisor.

    Squared distances of the probabilities (Brier scores), as in Charikar et al. (2024, arXiv 2405.15116), where the
    gain is at least the misfit if the student is the best one in a convex class. Empty for an open task.
    """
    weak, student = comparison.weak, comparison.student
    if weak.probs is None or student.probs is None:
        return {}
    truth = one_hot(student)
    gain = distance(weak.probs, truth) - distance(student.probs, truth)
    return {"gain": gain, "misfit": distance(student.probs, weak.probs)}


def one_hot(evaluation: Evaluation) -> np.ndarray:
    """[N, K] the true answers as distributions."""
    places = {answer: k for k, answer in enumerate(evaluation.task.answers)}
    return np.eye(len(places))[[places[answer] for answer in evaluation.truth]]


def distance(first: np.ndarray, second: np.ndarray) -> float:
    """Mean over examples of the squared distance of two tables of distributions [N, K]."""
    return float(((first - second) ** 2).sum(-1).mean())


def outcome_numbers(outcome: Outcome) -> dict[str, float | None]:
    """`numbers` at the end, and accuracy and PGR at the best and at the trusted snapshot."""
    best, trusted = outcome.best, outcome.trusted_choice
    return numbers(outcome.comparison) | {
        "label_accuracy": outcome.label_accuracy,
        "best_accuracy": best.evaluation.accuracy,
        "best_pgr": outcome.pgr_at(best),
        "trusted_accuracy": trusted and trusted.evaluation.accuracy,
        "trusted_pgr": trusted and outcome.pgr_at(trusted),
    }


def mean_of(rows: Rows, name: str) -> dict[str, float | None]:
    """Mean and 95 % t interval of one number over the rows in which it is defined, as plain JSON values."""
    return asdict(mean_interval([value for value in column(rows, name) if value is not None]))


def rounded(rows: Sequence[Mapping[str, Any]], digits: int = 5) -> Rows:
    """The rows with their numbers rounded, to keep a result file small."""
    return [
        {name: round(value, digits) if isinstance(value, float) else value for name, value in row.items()}
        for row in rows
    ]
