"""The procedure, from splits to performance gap recovered; and `Bench`, on which a method changes one part of it."""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property, partial
from typing import Any

import numpy as np

from w2s_lab.data.sources import tasks
from w2s_lab.experiments.store import Store
from w2s_lab.methods.labellers import (
    Labeller,
    check_labeller,
    check_spelling,
    is_labeller,
    labeller,
    labeller_facts,
    labeller_name,
    labels_by,
    true_labels,
)
from w2s_lab.models.language_model import LanguageModel
from w2s_lab.models.loading import Start, load_model, model_name
from w2s_lab.objective import MaximumLikelihood, NextToken
from w2s_lab.recipe import Recipe
from w2s_lab.records import Comparison, Evaluation, Example, LabelledSet, Snapshot, Splits, Task
from w2s_lab.system.border import check_arguments, check_fields
from w2s_lab.system.record import Record, abbreviated, fraction, shortened
from w2s_lab.training.evaluation import score
from w2s_lab.training.requirements import check_offer, check_set

OnStep = Callable[[str, int, int], None]  # (role, optimizer steps done, of how many)
OnRows = Callable[[str, int, int], None]  # (role, examples answered, of how many)


@dataclass(frozen=True)
class Plan(Record):
    """The models and their recipes. Strong student and strong ceiling share one recipe: only their answers differ.

    If the loss of a recipe needs the supervisor's probabilities, it is used only where the labels have them. Where they
    do not (the truth, or random errors), maximum likelihood takes its place. A loss that needs more than the weak
    labels of a task have is refused before anything is trained.

    Attributes:
        weak: name of the model that becomes the weak supervisor; or what supervises without being a language model, by
            a name such as "bag-of-words:200" or as an object (see `methods.labellers.labeller`).
        strong: the model that becomes the strong student and the strong ceiling. Both models may be given by name or
            as whatever else `load_model` takes: a folder, a `LanguageModel`, a pair (network, tokenizer).
        weak_recipe: for the weak supervisor, if that is a language model; others have no recipe.
        recipe: for the strong student and the strong ceiling.
        device: auto, cpu or cuda.
        adapt: for next-token training of both models on the unlabelled inputs, before any label; None: none. The loss
            is always `NextToken`.
    """

    weak: Start | Any = "pocket-s"
    strong: Start = "pocket-l"
    weak_recipe: Recipe = Recipe(epochs=4, learning_rate=5e-4)
    recipe: Recipe = Recipe(epochs=3, learning_rate=5e-5, eval_every=24)
    device: str = "auto"
    adapt: Recipe | None = None

    def __post_init__(self) -> None:
        check_fields(self)

    def to_dict(self) -> dict:
        """Plain JSON values, without the device. A supervisor that is no language model has `labeller`, no recipe."""
        if is_labeller(self.weak):
            supervisor = {"labeller": labeller_facts(self.weak)}
        else:
            supervisor = {"weak_recipe": self.weak_recipe.to_dict()}
        recipes = {**supervisor, "recipe": self.recipe.to_dict()}
        recipes |= {"adapt": replace(self.adapt, loss=NextToken()).to_dict()} if self.adapt else {}
        return {"weak": self.weak_name, "strong": model_name(self.strong), **recipes}

    @property
    def weak_name(self) -> str:
        """The supervisor's name: that of a model, or of a labeller."""
        return labeller_name(self.weak) if is_labeller(self.weak) else model_name(self.weak)

    @property
    def models(self) -> tuple[str, ...]:
        """The names of the language models: one or two."""
        strong = model_name(self.strong)
        return (strong,) if is_labeller(self.weak) else (model_name(self.weak), strong)

    def _summary(self) -> str:
        weak = "" if is_labeller(self.weak) else f" by {self.weak_recipe!r}"
        adapted = f", adapted by {self.adapt!r}" if self.adapt else ""
        strong = abbreviated(model_name(self.strong))
        return f"weak={abbreviated(self.weak_name)}{weak}, strong={strong} by {self.recipe!r}{adapted}"

    @classmethod
    def for_task(cls, task: Task) -> "Plan":
        """The usual plan for a task.

        The defaults suit answers that the models of the ladder know from pre-training, such as a verdict or a decision,
        so that fine-tuning only has to elicit them (`TaskSource.elicited`). Everything else (to name the topic, or a
        thing in the input; text of another world) these models have to learn in fine-tuning, at a higher learning rate;
        pocket-s never learns to name a thing in the input.
        """
        if task.name in tasks() and tasks()[task.name].elicited:
            return cls()
        if task.answers is None:
            recipe = Recipe(epochs=6, learning_rate=1e-3)
            return cls("pocket-m", "pocket-l", weak_recipe=recipe, recipe=recipe)
        return cls(weak_recipe=Recipe(epochs=8, learning_rate=2e-3), recipe=Recipe(epochs=3, learning_rate=1e-3))


@dataclass(frozen=True, eq=False)
class Outcome(Record):
    """One run of the procedure.

    Attributes:
        seed: of the split and of the order of the examples.
        comparison: the three models on the test set, at the end of their trainings.
        label_accuracy: fraction of the weak labels that are right.
        curve: the student's snapshots, evaluated on the test set.
        trusted_curve: accuracy of the same snapshots on the small trusted validation set; None where it is empty.
        learnt: "weak supervisor", "strong student" or "strong ceiling" -> answer -> number of training examples with
            it; without those who learn from no example, such as a lexicon. None: unknown.
    """

    seed: int
    comparison: Comparison
    label_accuracy: float
    curve: tuple[Snapshot, ...]
    trusted_curve: tuple[float | None, ...]
    learnt: Mapping[str, Mapping[str, int]] | None = None

    @property
    def best(self) -> Snapshot:
        """The snapshot with the best test accuracy: an oracle's choice, since it looks at the test set."""
        return max(self.curve[1:], key=lambda snapshot: snapshot.evaluation.accuracy)

    @property
    def trusted_choice(self) -> Snapshot | None:
        """The snapshot that the validation set would have chosen, the first one if several are equally good.

        None where there are no validation examples.
        """
        return snapshot_chosen(self.curve, self.trusted_curve)

    def at(self, snapshot: Snapshot) -> Comparison:
        """The comparison with the student as it was at this snapshot."""
        return replace(self.comparison, student=snapshot.evaluation)

    def pgr_at(self, snapshot: Snapshot) -> float | None:
        """Performance gap recovered by the student as it was at this snapshot."""
        return self.at(snapshot).pgr

    def _numbers(self) -> dict:
        return {"pgr": self.comparison.pgr, "best_step": self.best.step if len(self.curve) > 1 else None}

    def _rows(self) -> list[dict]:
        """A row a snapshot of the student: its numbers on the test set, and its accuracy on the trusted examples."""
        rows = zip(self.curve, self.trusted_curve, strict=True)
        return [{"seed": self.seed, **row._rows()[0], "trusted_accuracy": trusted} for row, trusted in rows]

    def _summary(self) -> str:
        return (
            f"seed {self.seed}: {self.comparison._summary()}, label accuracy {fraction(self.label_accuracy)}, "
            f"{len(self.curve)} snapshots"
        )


@dataclass(eq=False)
class Bench:
    """What all methods share for one seed: the split, the weak labels, the strong model and its ceiling.

    Every part is computed when it is first used, or read from the store if it was computed before. A method is then
    one line: `bench.student(keep(bench.labels, confidence(bench.labels), 0.5))`.

    Attributes:
        splits: the examples.
        plan: which models, trained how.
        store: where finished work is kept.
        seed: of the order of the examples in every training.
        unlabelled: inputs for the adaptation, where the plan has one; None: those of supervisor and student.
        on_step: called after every optimizer step, for a progress bar.
        on_rows: called during every labelling and every evaluation, for a progress bar.

    Raises:
        ValueError, TypeError: a loss of the plan cannot be trained on the labels that it would get.
    """

    splits: Splits
    plan: Plan
    store: Store
    seed: int
    unlabelled: LabelledSet | None = None
    on_step: OnStep | None = None
    on_rows: OnRows | None = None

    def __post_init__(self) -> None:
        check_fields(self)
        check_plan(self.plan, self.splits.task, len(self.splits.supervisor_train))

    def __repr__(self) -> str:
        return shortened(f"Bench(seed {self.seed}, {self.splits!r}, {self.plan!r}, {self.store!r})")

    def train(
        self,
        start: Start,
        labelled: LabelledSet,
        recipe: Recipe,
        role: str,
        *,
        seed: int | None = None,
        **watched,
    ) -> LanguageModel:
        """`Store.train` with this bench's seed (or another one) and device."""
        start = start if isinstance(start, LanguageModel) else load_model(start, device="cpu")
        report = {"on_step": self.on_step and partial(self.on_step, role), **self._rows(role)}
        recipe = replace(recipe, seed=self.seed if seed is None else seed)
        options = report | ({"share_start": True} if watched else {}) | watched
        return self.store.train(start, labelled, recipe, role=role, device=self.plan.device, **options)

    def _rows(self, role: str) -> dict[str, Callable[[int, int], None]]:
        """The option that reports answered examples under this role, where somebody asked for it."""
        return {"on_rows": partial(self.on_rows, role)} if self.on_rows else {}

    def adapted(self, start: Start, recipe: Recipe | None = None) -> LanguageModel:
        """A model after next-token training on the unlabelled inputs, by the plan's `adapt` recipe or another one.

        Without any recipe the model is returned unchanged. The adapted model is returned in main memory.
        """
        model = start if isinstance(start, LanguageModel) else load_model(start, device="cpu")
        recipe = recipe or self.plan.adapt
        if recipe is None:
            return model
        inputs = self.unlabelled or both(self.splits.supervisor_train, self.splits.student_train)
        model = self.train(model, inputs, replace(recipe, loss=NextToken()), "adapted to the inputs")
        model.network.to("cpu")
        return model

    @cached_property
    def strong(self) -> LanguageModel:
        """The model that becomes the strong student and the strong ceiling."""
        return self.adapted(self.plan.strong)

    @cached_property
    def watch(self) -> LabelledSet:
        """What snapshots are evaluated on: the test examples and, after them, the trusted validation examples."""
        return both(self.splits.test, self.splits.validation)

    def supervisor(
        self,
        start: Start | Any | None = None,
        truth: LabelledSet | None = None,
        *,
        recipe: Recipe | None = None,
        seed: int | None = None,
    ) -> LanguageModel | Labeller:
        """The weak supervisor; with arguments, one that differs in starting model, true examples, recipe or seed.

        Raises:
            ValueError: a supervisor that is no language model is given a recipe or a seed, or does not fit the task.
        """
        start, truth = self.plan.weak if start is None else start, truth or self.splits.supervisor_train
        if is_labeller(start):
            if recipe is not None or seed is not None:
                raise ValueError(f"{labeller_name(start)} is no language model: it has no recipe and no seed")
            return labeller(start, truth, states=self._states)
        return self.train(self.adapted(start), truth, recipe or self.plan.weak_recipe, "weak supervisor", seed=seed)

    def _states(self, inputs: LabelledSet, layer: int) -> np.ndarray:
        """The strong model's mean state after a layer, for each input, [N, d]."""
        return self.store.features(self.strong, inputs, layer=layer, pool="mean", **self._rows("weak labels"))

    def labels_of(self, supervisor: LanguageModel | Labeller) -> tuple[LabelledSet, LabelledSet]:
        """A supervisor's labels of the student's inputs and of the watched examples.

        Those of a language model are kept in the store; those of others are cheap and made anew.
        """
        label = labels_by
        if isinstance(supervisor, LanguageModel):
            label = partial(self.store.labels, **self._rows("weak labels"))
        return label(supervisor, self.splits.student_train), label(supervisor, self.watch)

    @cached_property
    def weak_labels(self) -> tuple[LabelledSet, LabelledSet]:
        """`labels_of` the plan's weak supervisor; raises ValueError if the plan's loss needs more than they have."""
        return self._labels_to_learn(self.supervisor())

    def _labels_to_learn(self, supervisor: LanguageModel | Labeller) -> tuple[LabelledSet, LabelledSet]:
        found = self.labels_of(supervisor)
        check_set(self.plan.recipe.loss, found[0])
        return found

    @property
    def labels(self) -> LabelledSet:
        """The weak labels of the student's inputs."""
        return self.weak_labels[0]

    @property
    def watched(self) -> LabelledSet:
        """The weak labels of the watched examples."""
        return self.weak_labels[1]

    @property
    def reference(self) -> LabelledSet:
        """The weak labels of the test examples."""
        return self.watched.take(range(len(self.splits.test)))

    def trusted(self, watched: LabelledSet) -> LabelledSet:
        """The labels of the trusted validation examples, out of one model's labels of all watched examples."""
        return watched.take(range(len(self.splits.test), len(watched)))

    @cached_property
    def ceiling(self) -> Evaluation:
        """The strong ceiling on the test examples."""
        recipe = hard(self.plan.recipe, closed=self.splits.task.answers is not None)
        model = self.train(self.strong, self.splits.student_train, recipe, "strong ceiling")
        return score(self.store.labels(model, self.splits.test, **self._rows("strong ceiling")), self.reference)

    def student(
        self,
        labels: LabelledSet,
        recipe: Recipe | None = None,
        *,
        start: Start | None = None,
        role: str = "strong student",
    ) -> Outcome:
        """A student of these labels, compared with the bench's weak supervisor and strong ceiling.

        Args:
            labels: what the student learns.
            recipe: how it is trained; None: by the plan's recipe, with maximum likelihood if the plan's loss needs
                probabilities that the labels do not have.
            start: the model that learns; None: the plan's strong one.
            role: for people to read.
        """
        check_arguments(Bench.student, locals())
        strong = self.strong if start is None else start
        if recipe is None:
            closed = labels.task.answers is not None
            recipe = self.plan.recipe if labels.probs is not None else hard(self.plan.recipe, closed=closed)
        watched = {"watch": self.watch, "reference": self.watched}
        model = self.train(strong, labels, recipe, role, **watched)
        curve, trusted = split_curve(model.history, self.splits)
        del model  # a GPU holds one model at a time
        comparison = Comparison(score(self.reference, self.reference), curve[-1].evaluation, self.ceiling)
        return Outcome(self.seed, comparison, labels.label_accuracy, curve, trusted, self._learnt(labels))

    def _learnt(self, labels: LabelledSet) -> dict[str, dict[str, int]]:
        """See `Outcome.learnt`."""
        truth = self.splits.supervisor_train
        seen = {
            "weak supervisor": truth.answers[: true_labels(self.plan.weak, len(truth))],
            "strong student": labels.answers,
            "strong ceiling": self.splits.student_train.answers,
        }
        return {role: dict(Counter(answers)) for role, answers in seen.items() if answers}


def weak_to_strong(
    splits: Splits,
    plan: Plan,
    store: Store,
    *,
    seed: int,
    unlabelled: LabelledSet | None = None,
    on_step: OnStep | None = None,
    on_rows: OnRows | None = None,
    strong: LanguageModel | None = None,
) -> Outcome:
    """The whole procedure, once: supervisor, weak labels, student, ceiling, comparison.

    `strong` is the plan's strong model, if it is in main memory already; the other options are those of `Bench`.
    """
    check_arguments(weak_to_strong, locals())
    bench = Bench(splits, plan, store, seed, unlabelled, on_step, on_rows)
    # Both are loaded and tried out now, so that an error comes before anything is trained. Models that are not in use
    # are in main memory, and none stays on the device longer than it is needed: a GPU holds one at a time.
    weak = plan.weak if is_labeller(plan.weak) else load_model(plan.weak, device="cpu")
    strong = strong or load_model(plan.strong, device="cpu")
    for model, recipe in ((weak, plan.weak_recipe), (strong, plan.recipe)):
        if isinstance(model, LanguageModel):
            tried = replace(model)
            tried.read_as(recipe)
            tried.try_out(generates=splits.task.answers is None)
    bench.strong = bench.adapted(strong)
    bench.weak_labels = bench._labels_to_learn(bench.supervisor(weak))
    del weak
    return bench.student(bench.labels)


def hard(recipe: Recipe, *, closed: bool = True) -> Recipe:
    """The recipe for labels without probabilities: with maximum likelihood if its loss needs probabilities."""
    return replace(recipe, loss=MaximumLikelihood()) if recipe.loss.needs(closed) else recipe


def check_plan(plan: Plan, task: Task, examples: int | None = None) -> None:
    """Raise an error, before anything is trained, if a loss or the supervisor of the plan does not fit this task.

    Whether a supervisor that is no language model gives probabilities is known when it has labelled.

    Args:
        plan: models, or a labeller and a model, and recipes.
        task: of the labels.
        examples: how many true examples the supervisor has; None: unknown.

    Raises:
        ValueError: a loss cannot learn from such a task, needs more than its labels have, or computes no loss a row;
            or the supervisor does not fit.
        TypeError: a loss does not compute a tensor.
    """
    if is_labeller(plan.weak):
        check_labeller(plan.weak, task, examples)
    else:
        if isinstance(plan.weak, str):
            check_spelling(plan.weak)
        check_offer(plan.weak_recipe.loss, task, offered=(), source="the supervisor's true answers")
    weak_labels_offer = () if task.answers is None else ("probs",)
    check_offer(plan.recipe.loss, task, offered=weak_labels_offer, source="weak labels")


def unlabelled(examples: Sequence[Example], splits: Splits) -> LabelledSet:
    """Inputs to adapt to: all examples that are neither test nor validation. Their answers play no part."""
    kept_apart = {*splits.test.ids, *splits.validation.ids}
    return LabelledSet.ground_truth(splits.task, [e for e in examples if e.id not in kept_apart])


def both(first: LabelledSet, second: LabelledSet) -> LabelledSet:
    """The true answers of two sets of one task, one after the other."""
    return LabelledSet.ground_truth(first.task, (*first.examples, *second.examples))


def split_curve(history: Sequence[Snapshot], splits: Splits) -> tuple[tuple[Snapshot, ...], tuple[float | None, ...]]:
    """Snapshots evaluated on test and validation together: those of the test set, and the validation accuracies."""

    def on(part: LabelledSet, snapshot: Snapshot) -> Evaluation:
        return snapshot.evaluation.take(part.ids)

    curve = tuple(replace(snapshot, evaluation=on(splits.test, snapshot)) for snapshot in history)
    return curve, tuple(on(splits.validation, snapshot).accuracy for snapshot in history)


def snapshot_chosen(curve: Sequence[Snapshot], trusted_curve: Sequence[float | None]) -> Snapshot | None:
    """The snapshot after step 0 that is most often right on the trusted examples, the first of equals; None without."""
    if None in trusted_curve:
        return None
    return max(zip(curve[1:], trusted_curve[1:], strict=True), key=lambda pair: pair[1])[0]
