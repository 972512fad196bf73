"""How long a run takes on this machine, by a short measurement before it, and how far it has come.

`estimate` counts operations before anything is loaded, and may be wrong by a factor of three. Here the model is loaded:
it learns from a batch of the real examples and answers some of them, and what the run does is multiplied out.
"""

import contextlib
import json
import math
import time
import warnings
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import astuple, dataclass, replace
from functools import cache
from typing import Any

import numpy as np

from w2s_lab.data.classes import count
from w2s_lab.data.sources import SplitSizes, split_examples
from w2s_lab.experiments.procedure import Plan, hard, unlabelled, weak_to_strong
from w2s_lab.experiments.store import Store
from w2s_lab.methods.labellers import is_labeller, layer_of, true_labels
from w2s_lab.models.language_model import LanguageModel
from w2s_lab.models.loading import pick_device
from w2s_lab.planning.usual import SEED_SECONDS, fewer, parameters_of
from w2s_lab.recipe import Recipe, rate_text
from w2s_lab.records import Example, LabelledSet, Splits, Task, content_key
from w2s_lab.system import heap, parallel
from w2s_lab.training.checkpoint import SECONDS, SHARE, seconds_between
from w2s_lab.training.evaluation import snapshot_from_json
from w2s_lab.training.labelling import weak_labels
from w2s_lab.training.loop import training_key, training_steps
from w2s_lab.version import __version__

STEPS = 3  # optimizer steps of a measurement; the first is a warm-up
ANSWERED = 48  # examples that a measurement answers


@dataclass(frozen=True)
class Pace:
    """The seconds that a model takes.

    Attributes:
        step: for an optimizer step.
        row: for the answer to one example.
        keep: to write a finished training and to read it again.
        measured: on this machine; else guessed from the number of parameters, right in proportion only.
        pause: between two checkpoints.
    """

    step: float
    row: float
    keep: float
    measured: bool = False
    pause: float = SECONDS


def guessed_pace(parameters: int, batch_size: int) -> Pace:
    """About what two cores take for sentences; learning from an example takes as long as four answers."""
    row = 3e-4 + 3e-10 * parameters
    return Pace(4 * batch_size * row, row, 0.05 + 2e-8 * parameters, pause=seconds_between(12 * parameters))


def measured_pace(
    model: LanguageModel,
    labelled: LabelledSet,
    recipe: Recipe,
    *,
    device: str = "auto",
    loading: float = 0.0,
    clock: Callable[[], float] = time.perf_counter,
) -> Pace:
    """Let a copy of the model learn from one batch and answer some examples, all of about the mean length.

    Args:
        model: stays as it is.
        labelled: examples as the student gets them.
        recipe: of the student.
        device: where the run will take place.
        loading: seconds that loading the model took: a finished training is written, checked and loaded.
        clock: for tests.
    """
    labelled, recipe = _with_probs(labelled, recipe)
    lengths = np.array([len(example.input) for example in labelled.examples])
    typical = np.argsort(np.abs(lengths - lengths.mean()), kind="stable")
    batch = labelled.take(typical[: recipe.batch_size].tolist())
    copy, times = model.copy(), []
    copy.network.to(pick_device(device))
    for _ in training_steps(copy, batch, replace(recipe, epochs=STEPS), on_step=lambda *_: times.append(clock())):
        pass
    heap.give_back()  # the optimizer's memory is free
    begin, some = clock(), labelled.take(typical[:ANSWERED].tolist())
    weak_labels(copy, some)
    step, row = (times[-1] - times[0]) / (STEPS - 1), (clock() - begin) / len(some)
    learnt = sum(p.nbytes for p in copy.network.parameters() if recipe.lora is None)
    found = Pace(step, row, 2 * loading, measured=True, pause=seconds_between(3 * learnt))
    return parallel.from_main(lambda: found)  # all processes decide alike


def _with_probs(labelled: LabelledSet, recipe: Recipe) -> tuple[LabelledSet, Recipe]:
    """The set with even probabilities, where the loss needs some; what cannot be made up takes maximum likelihood."""
    answers = labelled.task.answers
    if answers and recipe.loss.needs(True) == {"probs"}:
        return replace(labelled, probs=np.full((len(labelled), len(answers)), 1 / len(answers))), recipe
    return labelled, hard(recipe, closed=answers is not None)


@dataclass(frozen=True)
class Part:
    """A training with its evaluations, or the answers to a set of examples.

    Attributes:
        role: as `on_step` and `on_rows` name it.
        pace: of the model.
        steps: optimizer steps; 0: it is no training.
        grid: steps between two evaluations.
        rows: examples that are answered, in a training at each evaluation.
    """

    role: str
    pace: Pace
    steps: int = 0
    grid: int = 1
    rows: int = 0

    @property
    def seconds(self) -> float:
        """From beginning to end."""
        if not self.steps:
            return self.rows * self.pace.row
        evaluations = 1 + math.ceil(self.steps / self.grid)
        return self._learning(self.steps) + evaluations * self.rows * self.pace.row + self.pace.keep

    def after(self, step: int, rows: int) -> float:
        """Up to a moment: after this optimizer step, and after this many examples of the evaluation that follows."""
        if not self.steps:
            return min(rows * self.pace.row, self.seconds)
        evaluations = 1 + (step - 1) // self.grid if step else 0
        return min(self._learning(step) + (evaluations * self.rows + rows) * self.pace.row, self.seconds)

    def _learning(self, steps: int) -> float:
        checkpoints = SHARE if self.steps * self.pace.step > self.pace.pause else 0
        return steps * self.pace.step * (1 + checkpoints)


def parts_of_seed(plan: Plan, sizes: SplitSizes, strong: Pace, *, inputs: int = 0) -> list[Part]:
    """What the procedure does for one seed, in its order.

    Args:
        plan: models and recipes.
        sizes: examples of each part of the split.
        strong: pace of the strong model by the plan's recipe.
        inputs: unlabelled inputs to adapt to, if the plan adapts.
    """
    weak, watched = _weak_pace(plan, strong), sizes.test + sizes.validation
    steps, grid = plan.recipe.steps(sizes.student_train)
    found, labelled = [], [sizes.student_train, watched]
    if plan.adapt:
        learners = (strong, plan.recipe), *([(weak, plan.weak_recipe)] if weak else [])
        for pace, recipe in learners:
            per_example = pace.step / recipe.batch_size
            pace = replace(pace, step=per_example * plan.adapt.batch_size)
            found.append(Part("adapted to the inputs", pace, plan.adapt.steps(inputs)[0]))
    if weak:
        found.append(Part("weak supervisor", weak, plan.weak_recipe.steps(sizes.supervisor_train)[0]))
    elif layer_of(plan.weak) is not None:  # an early exit: at most the whole strong model
        weak, labelled = strong, [true_labels(plan.weak, sizes.supervisor_train), *labelled]
    return [
        *found,
        *(Part("weak labels", weak, rows=rows) for rows in labelled if weak),
        Part("strong student", strong, steps, grid, watched),
        Part("strong ceiling", strong, steps),
        Part("strong ceiling", strong, rows=sizes.test),
    ]


def _weak_pace(plan: Plan, strong: Pace) -> Pace | None:
    """The supervisor's pace, in proportion to that of the strong model; None: it is no language model."""
    if is_labeller(plan.weak):
        return None
    weak, known = parameters_of(plan.weak), parameters_of(plan.strong)
    if weak is None or known is None:  # a size is unknown: at most as slow as the strong model
        return replace(strong, step=strong.step / plan.recipe.batch_size * plan.weak_recipe.batch_size)
    ours, theirs = guessed_pace(weak, plan.weak_recipe.batch_size), guessed_pace(known, plan.recipe.batch_size)
    return Pace(strong.step * ours.step / theirs.step, strong.row * ours.row / theirs.row, ours.keep)


def seconds_of(todo: Iterable[Part]) -> float:
    """The time that these parts take together."""
    return sum(part.seconds for part in todo)


def quick_enough(plan: Plan, sizes: SplitSizes, strong: Pace, *, inputs: int = 0) -> SplitSizes:
    """The sizes, with fewer examples for the student if a seed would take more than `SEED_SECONDS`."""
    for smaller in fewer(sizes):
        if seconds_of(parts_of_seed(plan, smaller, strong, inputs=inputs)) <= SEED_SECONDS:
            break
    return smaller


# -- what is stored already ----------------------------------------------------------------------------------------


class _Missing(Exception):
    """The store lacks what was asked of it."""


class _Reader(Store):
    """A store that does nothing: it finds what is there, without any weights, and raises `_Missing` at the rest."""

    def __init__(self, store: Store) -> None:
        super().__init__(store.root)
        self.shared = store.shared
        self.found: Counter = Counter()

    def train(self, start, labelled, recipe, *, role, watch=None, reference=None, device=None, **options):
        place = self.place(start, labelled, recipe, watch=watch, reference=reference, device=device)
        folder = self.stored(self.root / "trainings" / str(place))
        if place is None or not (folder / "run.json").is_file():
            raise _Missing
        self.found[role, recipe.steps(len(labelled))[0]] += 1
        rows = json.loads((folder / "curve.json").read_text(encoding="utf-8"))
        history = tuple(snapshot_from_json(row, watch, reference) for row in rows)
        model = replace(start, digest=training_key(start, labelled, recipe, device), history=history)
        model.read_as(recipe)
        if device:  # the weights stay where they are; what is asked for is what a model there would be asked
            model.precision = model.chosen_precision(model.precision, pick_device(device))
        return model

    def labels(self, model, inputs, *, beams=1, on_rows=None):
        if not self.stored(self.labels_path(model, inputs, beams=beams)).is_file():
            raise _Missing
        self.found[len(inputs)] += 1
        return super().labels(model, inputs, beams=beams)

    def features_of_layers(self, model, inputs, layers, *, pool="mean", on_rows=None):
        paths = [self.features_path(model, inputs, layer, pool=pool) for layer in layers]
        if not all(self.stored(path).is_file() for path in paths):
            raise _Missing
        self.found[len(inputs)] += 1
        return super().features_of_layers(model, inputs, layers, pool=pool)


def still_to_do(todo: Sequence[Part], splits: Splits, plan: Plan, store: Store, **options: Any) -> list[int]:
    """Numbers of those parts of one seed that the store does not hold yet; `options` are those of `weak_to_strong`."""
    reader = _Reader(store)
    # what is damaged is done again
    with contextlib.suppress(_Missing, OSError, ValueError, KeyError), warnings.catch_warnings(action="ignore"):
        weak_to_strong(splits, plan, reader, **options)
    left = []
    for number, part in enumerate(todo):
        key = (part.role, part.steps) if part.steps else part.rows
        if reader.found[key]:
            reader.found[key] -= 1
        else:
            left.append(number)
    return left


# -- how far it has come -------------------------------------------------------------------------------------------


class Course:
    """How far a run has come, in the seconds of its forecast.

    Parts that a store holds report nothing: they are passed over when a later part reports.

    Attributes:
        total: seconds of all parts.
        done: seconds of what lies behind, never more than `total`.
        skipped: seconds of that which took no time, since it was stored.
    """

    def __init__(self, seeds: Sequence[Sequence[Part]]) -> None:
        self.parts = [(seed, part) for seed, todo in enumerate(seeds) for part in todo]
        self.total = sum(part.seconds for _, part in self.parts)
        self.done = self.skipped = 0.0
        self._at, self._step, self._rows = -1, 0, 0

    def on_step(self, seed: int, role: str, done: int, steps: int) -> None:
        """After an optimizer step; as `procedure.OnStep`, with the number of the seed before it."""

        def fits(part: Part) -> bool:
            return part.role == role and part.steps == steps

        first = self._move(seed, fits, again=done > self._step)
        if first is None:
            return
        if first and done > 1 and self._step == 0:  # a stopped training goes on
            self.skipped += self.parts[self._at][1].after(done - 1, 0)
        self._report(done, 0)

    def on_rows(self, seed: int, role: str, done: int, of: int) -> None:
        """After some of the examples that are answered in a labelling or in an evaluation."""

        def fits(part: Part) -> bool:
            return part.role == role and part.rows == of

        training = self._at >= 0 and self.parts[self._at][1].steps > 0
        if self._move(seed, fits, again=training or done > self._rows) is not None:
            self._report(self._step, done)

    def end(self) -> None:
        """All of it is done."""
        self._pass_to(len(self.parts))
        self.done = self.total

    def _report(self, step: int, rows: int) -> None:
        self._step, self._rows = step, rows
        before = sum(part.seconds for _, part in self.parts[: self._at])
        self.done = min(before + self.parts[self._at][1].after(step, rows), self.total)

    def _move(self, seed: int, fits: Callable[[Part], bool], *, again: bool) -> bool | None:
        """Go to the part that reports; whether it is another one than before, None if there is no such part."""
        if self._at >= 0 and again and self.parts[self._at][0] == seed and fits(self.parts[self._at][1]):
            return False
        for place in range(self._at + 1, len(self.parts)):
            if self.parts[place][0] == seed and fits(self.parts[place][1]):
                self._pass_to(place)
                self._at, self._step, self._rows = place, 0, 0
                return True
        return None

    def _pass_to(self, place: int) -> None:
        self.skipped += sum(part.seconds for _, part in self.parts[self._at + 1 : place])


# -- before the run ------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Forecast:
    """What a run will do.

    Attributes:
        sizes: examples of each part of the split.
        course: its parts and their seconds.
        text: the same in one line; None for a small model, where it is not worth a line.
        measured: the seconds were measured on this machine.
    """

    sizes: SplitSizes
    course: Course
    text: str | None = None
    measured: bool = False


def forecast(
    plan: Plan,
    sizes: SplitSizes,
    data: tuple[Task, Sequence[Example]],
    store: Store,
    *,
    seeds: int,
    strong: LanguageModel | None = None,
    loading: float = 0.0,
    fixed: bool = False,
    say: Callable[[str], None] = lambda words: None,
) -> Forecast:
    """What a run will do, and how long it takes.

    Args:
        plan: models and recipes.
        sizes: examples of each part of the split.
        data: the task and all its examples.
        store: what is in it takes no time.
        seeds: how many runs.
        strong: the strong model, if it is so large that a measurement pays; None: the seconds are guessed.
        loading: seconds that it took to load it.
        fixed: the sizes are the user's; else the student gets fewer examples where the run would take too long. The
            choice is kept in the store, so that the same command goes on with the same examples.
        say: called with what begins.
    """
    task, examples = data
    inputs = len(examples) - sizes.test - sizes.validation
    pace = guessed_pace(strong.parameters if strong else parameters_of(plan.strong) or 10**6, plan.recipe.batch_size)
    if strong is None:
        return Forecast(sizes, Course([parts_of_seed(plan, sizes, pace, inputs=inputs)] * seeds))

    @cache
    def measured() -> Pace:
        say("measuring the speed")
        labelled = split_examples(task, examples, seed=0, sizes=sizes).student_train
        found = measured_pace(strong, labelled, plan.recipe, device=plan.device, loading=loading)
        heap.give_back()  # its copy of the model is gone
        return found

    def choose() -> list[int]:
        return list(astuple(quick_enough(plan, sizes, measured(), inputs=inputs)))

    chosen = sizes
    if not fixed:
        device = pick_device(plan.device).type
        key = content_key("sizes", task.name, len(examples), astuple(sizes), plan.to_dict(), device, __version__)
        chosen = SplitSizes(*store.chosen(key, choose))
    todo, left = parts_of_seed(plan, chosen, pace, inputs=inputs), []
    for seed in range(seeds):
        if left and left[-1]:  # seeds come one after the other: behind an unfinished one, nothing is stored
            left.append(range(len(todo)))
            continue
        splits = split_examples(task, examples, seed=seed, sizes=chosen)
        given = unlabelled(examples, splits) if plan.adapt else None
        left.append(still_to_do(todo, splits, plan, store, seed=seed, strong=strong, unlabelled=given))
    if any(left):
        pace = measured()
        todo = parts_of_seed(plan, chosen, pace, inputs=inputs)
    course = Course([[todo[number] for number in numbers] for numbers in left])
    text = _in_words(plan, chosen, strong.parameters, pace if any(left) else None, course.total, seeds)
    if not fixed:
        text += f" (--sizes {','.join(map(str, astuple(chosen)))} fixes these numbers"
        shorter = chosen.student_train < sizes.student_train
        text += f"; more than {chosen.student_train:,} labels would take too long here)" if shorter else ")"
    return Forecast(chosen, course, text, measured=True)


def _in_words(plan: Plan, sizes: SplitSizes, parameters: int, pace: Pace | None, seconds: float, seeds: int) -> str:
    recipe = plan.recipe
    what = f"LoRA of rank {recipe.lora.rank}" if recipe.lora else "full fine-tuning"
    times = {1: "once", 2: "twice"}.get(recipe.epochs, f"{recipe.epochs} times")
    text = f"{plan.strong}, {parameters / 1e6:,.0f} M parameters: {what}, {sizes.student_train:,} labels {times}, "
    text += f"batches of {recipe.batch_size}, rate {rate_text(recipe.learning_rate)}; "
    if pace is None:
        return text + "everything is stored already"
    minutes = "less than a minute" if seconds < 60 else f"about {_minutes(seconds)}"
    speed = f"{_seconds(pace.step)} a step and {_seconds(pace.row)} a test example"
    return text + f"measured here {speed}: {minutes} for {count(seeds, 'seed')}"


def _minutes(seconds: float) -> str:
    """Half minutes below ten, since a fifth of them matters there."""
    halves = round(seconds / 30)
    return count(halves // 2, "minute") if seconds >= 600 or halves % 2 == 0 else f"{halves / 2} minutes"


def _seconds(value: float) -> str:
    if value < 0.0995:
        return f"{1000 * value:.2g} ms"
    return f"{value:.0f} s" if value >= 9.95 else f"{value:.2g} s"
