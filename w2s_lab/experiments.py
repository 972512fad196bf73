"""The procedure, from splits to performance gap recovered, and the study of its mechanism."""

from collections.abc import Callable, Sequence
from dataclasses import astuple, dataclass, replace

from w2s_lab.data import SplitSizes
from w2s_lab.evaluation import score
from w2s_lab.labelling import random_errors
from w2s_lab.language_model import LanguageModel
from w2s_lab.models import load_model
from w2s_lab.objective import MaximumLikelihood
from w2s_lab.recipe import Recipe
from w2s_lab.records import Comparison, Evaluation, LabelledSet, Snapshot, Splits, Task
from w2s_lab.store import Store

OnStep = Callable[[str, int, int], None]  # (role, optimizer steps done, of how many)


ELICITED = ("sentiment", "helpdesk", "helpdesk-v2")  # tasks whose answer is latent in the documents of pre-training


@dataclass(frozen=True)
class Plan:
    """Which models, trained how. The recipe of the student is the recipe of the ceiling: only the answers differ.

    A loss that needs the supervisor's probabilities is the student's alone: where there is only one answer to learn
    (the truth, or a random error), it is maximum likelihood.

    Attributes:
        weak: name of the model that becomes the weak supervisor.
        strong: name of the model that becomes the strong student and the strong ceiling.
        weak_recipe: for the weak supervisor.
        recipe: for the strong student and the strong ceiling.
        device: auto, cpu or cuda.
    """

    weak: str = "pocket-s"
    strong: str = "pocket-l"
    weak_recipe: Recipe = Recipe(epochs=4, learning_rate=5e-4)
    recipe: Recipe = Recipe(epochs=3, learning_rate=5e-5, eval_every=24)
    device: str = "auto"

    def as_dict(self) -> dict:
        """Plain JSON values, without the device."""
        recipes = {"weak_recipe": self.weak_recipe.as_dict(), "recipe": self.recipe.as_dict()}
        return {"weak": self.weak, "strong": self.strong, **recipes}

    @classmethod
    def for_task(cls, task: Task) -> "Plan":
        """The usual plan for a task.

        The defaults suit what the ladder knows from pre-training and only has to be asked for: a verdict, a decision.
        Everything else (to name the topic, or a thing in the input; text of another world) it has to learn in
        fine-tuning, at a higher learning rate, and pocket-s never learns to name a thing in the input.
        """
        if task.name in ELICITED:
            return cls()
        if task.answers is None:
            recipe = Recipe(epochs=6, learning_rate=1e-3)
            return cls("pocket-m", "pocket-l", weak_recipe=recipe, recipe=recipe)
        return cls(weak_recipe=Recipe(epochs=8, learning_rate=2e-3), recipe=Recipe(epochs=3, learning_rate=1e-3))


def default_sizes(examples: int) -> SplitSizes:
    """The usual shares of all examples, but at most what a laptop trains on in a minute or two."""
    usual, most = SplitSizes.of(examples), SplitSizes(1500, 1500, 1000, 100)
    return SplitSizes(*map(min, astuple(usual), astuple(most)))


@dataclass(frozen=True, eq=False)
class Outcome:
    """One run of the procedure.

    Attributes:
        seed: of the split and of the order of the examples.
        comparison: the three models on the test set, at the end of their trainings.
        label_accuracy: fraction of the weak labels that are right.
        curve: the student's snapshots, evaluated on the test set.
        trusted_curve: accuracy of the same snapshots on the small trusted validation set; None where it is empty.
    """

    seed: int
    comparison: Comparison
    label_accuracy: float
    curve: tuple[Snapshot, ...]
    trusted_curve: tuple[float | None, ...]

    @property
    def best(self) -> Snapshot:
        """The snapshot with the best test accuracy: an oracle's choice, since it looks at the test set."""
        return max(self.curve[1:], key=lambda snapshot: snapshot.evaluation.accuracy)

    @property
    def trusted_choice(self) -> Snapshot | None:
        """The snapshot that the validation set would have chosen, the first one if several are equally good.

        None where there are no validation examples.
        """
        if None in self.trusted_curve:
            return None
        return max(zip(self.curve[1:], self.trusted_curve[1:], strict=True), key=lambda pair: pair[1])[0]

    def at(self, snapshot: Snapshot) -> Comparison:
        """The comparison with the student as it was at this snapshot."""
        return replace(self.comparison, student=snapshot.evaluation)

    def pgr_at(self, snapshot: Snapshot) -> float | None:
        """Performance gap recovered by the student as it was at this snapshot."""
        return self.at(snapshot).pgr


def weak_to_strong(splits: Splits, plan: Plan, store: Store, *, seed: int, on_step: OnStep | None = None) -> Outcome:
    """The whole procedure, once: supervisor, weak labels, student, ceiling, comparison."""

    def fine_tune(start: LanguageModel, labelled: LabelledSet, recipe: Recipe, role: str, **watched) -> LanguageModel:
        report = on_step and (lambda done, steps: on_step(role, done, steps))
        recipe = replace(recipe, seed=seed)
        return store.train(start, labelled, recipe, role=role, on_step=report, device=plan.device, **watched)

    # Both at once: a strong model that cannot be loaded is said before anything is trained. Models that wait for their
    # turn are in main memory, and none stays on the device longer than it is needed: a GPU holds one at a time.
    weak, strong = (load_model(name, device="cpu") for name in (plan.weak, plan.strong))
    weak = fine_tune(weak, splits.supervisor_train, plan.weak_recipe, "weak supervisor")
    labels = store.labels(weak, splits.student_train)
    watch = both(splits.test, splits.validation)
    watched = store.labels(weak, watch)
    reference = watched.take(range(len(splits.test)))  # the test examples come first in `watch`
    del weak

    history = fine_tune(strong, labels, plan.recipe, "strong student", watch=watch, reference=watched).history
    ceiling = fine_tune(strong, splits.student_train, hard(plan.recipe), "strong ceiling")

    curve, trusted_curve = split_curve(history, splits)
    return Outcome(
        seed,
        Comparison(
            weak=score(reference, reference),
            student=curve[-1].evaluation,
            ceiling=score(store.labels(ceiling, splits.test), reference),
        ),
        labels.label_accuracy,
        curve,
        trusted_curve,
    )


def random_error_control(splits: Splits, plan: Plan, store: Store, outcome: Outcome) -> Outcome:
    """The same student on labels that are wrong just as often, but at random places.

    Everything else is taken from `outcome`: the split, the supervisor to compare with, the ceiling.
    """
    labels = random_errors(splits.student_train, outcome.label_accuracy, seed=outcome.seed)
    watch = both(splits.test, splits.validation)
    student = store.train(
        load_model(plan.strong, device="cpu"),
        labels,
        replace(hard(plan.recipe), seed=outcome.seed),
        role="student on random errors",
        watch=watch,
        device=plan.device,
    )
    curve, trusted_curve = split_curve(student.history, splits)
    comparison = replace(outcome.comparison, student=curve[-1].evaluation)
    return Outcome(outcome.seed, comparison, labels.label_accuracy, curve, trusted_curve)


def hard(recipe: Recipe) -> Recipe:
    """The recipe for labels without probabilities."""
    return replace(recipe, loss=MaximumLikelihood()) if recipe.loss.needs_probs else recipe


def both(first: LabelledSet, second: LabelledSet) -> LabelledSet:
    """The true answers of two sets of one task, one behind the other."""
    return LabelledSet.ground_truth(first.task, (*first.examples, *second.examples))


def split_curve(history: Sequence[Snapshot], splits: Splits) -> tuple[tuple[Snapshot, ...], tuple[float | None, ...]]:
    """Snapshots evaluated on test and validation together: those of the test set, and the validation accuracies."""

    def on(part: LabelledSet, snapshot: Snapshot) -> Evaluation:
        return snapshot.evaluation.take(part.ids)

    curve = tuple(replace(snapshot, evaluation=on(splits.test, snapshot)) for snapshot in history)
    return curve, tuple(on(splits.validation, snapshot).accuracy for snapshot in history)
