"""The self-instruct flywheel: propose, label, filter, add to the pool, train again; with its health after each round.

Self-Instruct (Wang et al. 2022, arXiv 2212.10560) grows a pool of tasks from a language model's own samples. A loop
that learns from its own output without care narrows and drifts: models trained on text that models wrote first lose
the tails of the real distribution (model collapse, Shumailov et al. 2023, arXiv 2305.17493). `HEALTHY` is a careful
loop, `DEGRADING` a careless one, and `MENDED` shows which change repairs which damage.
"""

import math
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
import torch

from w2s_lab.data.world import World
from w2s_lab.methods import proposals
from w2s_lab.models.language_model import LanguageModel
from w2s_lab.recipe import Recipe
from w2s_lab.records import Evaluation, Example, LabelledSet, Splits
from w2s_lab.system.record import Record, fraction
from w2s_lab.training import loop
from w2s_lab.training.evaluation import score
from w2s_lab.training.labelling import in_pieces, weak_labels

# ROUGE-L F1. Two long reviews that differ in one word reach 0.9. At the 0.7 of Self-Instruct, a pool of 1,500 real
# inputs of the sentiment task refuses 858 of 1,000 other real inputs, among them all of the construction
# reported-and-wrong and all but one double negation: this would change the distribution, not clean it. At 0.9 the pool
# refuses 94, and every construction stays.
NEAR_DUPLICATE = 0.9
LABELLERS = ("supervisor", "student")
SEED_EXAMPLES = 100  # true answers: with them alone the student reaches about 0.8, where it has most to gain

FineTune = Callable[[LanguageModel, LabelledSet, Recipe], LanguageModel]
Label = Callable[[LanguageModel, LabelledSet], LabelledSet]


@dataclass(frozen=True)
class FlywheelRecipe(Record):
    """The settings of a flywheel.

    Attributes:
        rounds: number of rounds after round 0, in which the pool is the seed pool.
        proposals: number of inputs that the generator proposes in each round.
        temperature: temperature of the generator's sampling; below 1, it prefers texts that are already likely.
        valid: refuse proposals that are no inputs of the task.
        duplicates: refuse proposals that are already in the pool, or whose ROUGE-L F1 with an input of the pool or with
            an accepted proposal is at least this number; None: accept repeats, each of which counts in the loss.
        min_confidence: refuse answers to which the labeller gives less probability; None: accept all answers.
        balanced: accept the answers in the shares that they have in the seed pool.
        keep_seed: the pool is the seed pool and all proposals accepted so far; if False, only the proposals accepted
            in the last round.
        trains_generator: the generator continues to learn, from the texts accepted in the round (and, with `keep_seed`,
            from those of the seed pool).
        labeller: who labels the proposals: "supervisor", or "student" (the student of the round before).
        paraphrases: fraction of the proposals whose instruction is paraphrased.
        student: recipe of the student, which starts from its pre-trained model in each round.
        generator: recipe of the generator's further learning.

    Raises:
        ValueError: a setting is out of range.
    """

    rounds: int = 4
    proposals: int = 300
    temperature: float = 1.0
    valid: bool = True
    duplicates: float | None = NEAR_DUPLICATE
    min_confidence: float | None = None
    balanced: bool = False
    keep_seed: bool = True
    trains_generator: bool = False
    labeller: str = "supervisor"
    paraphrases: float = 0.0
    student: Recipe = field(default_factory=lambda: Recipe(epochs=2, learning_rate=5e-5))
    generator: Recipe = field(default_factory=lambda: Recipe(epochs=2, learning_rate=3e-4))

    def __post_init__(self) -> None:
        for name, legal in (
            ("rounds", self.rounds >= 0),
            ("proposals", self.proposals >= 1),
            ("temperature", self.temperature > 0),
            ("duplicates", self.duplicates is None or 0 < self.duplicates <= 1),
            ("min_confidence", self.min_confidence is None or 0 <= self.min_confidence <= 1),
            ("labeller", self.labeller in LABELLERS),
            ("paraphrases", 0 <= self.paraphrases <= 1),
        ):
            if not legal:
                raise ValueError(f"FlywheelRecipe: {name} is {getattr(self, name)!r} (see help(FlywheelRecipe))")


# Only new inputs, sampled at temperature 1; only answers that the supervisor is sure of; the real examples stay.
HEALTHY = FlywheelRecipe(min_confidence=0.8, balanced=True)

# The loop learns from its own output: the generator from its likeliest texts, the student from its own answers.
DEGRADING = FlywheelRecipe(
    temperature=0.5,
    valid=False,
    duplicates=None,
    keep_seed=False,
    trains_generator=True,
    labeller="student",
)

# Two things go wrong, and no single change repairs both. Temperature 1 restores the variety of the proposals, and with
# it the perplexity, but the student still ends up giving nearly the same answer to everything. Checking the answers
# repairs the labels, but the proposals still narrow. Refusing duplicates or keeping the seed repairs neither.
_CHECKED = {"labeller": "supervisor", "min_confidence": HEALTHY.min_confidence, "balanced": True}
MENDED: dict[str, FlywheelRecipe] = {
    "temperature 1": replace(DEGRADING, temperature=1.0),
    "no duplicates": replace(DEGRADING, duplicates=NEAR_DUPLICATE),
    "seed kept": replace(DEGRADING, keep_seed=True),
    "answers checked": replace(DEGRADING, **_CHECKED),
    "temperature 1, answers checked": replace(DEGRADING, temperature=1.0, **_CHECKED),
    "temperature 1, answers checked, seed kept": replace(DEGRADING, temperature=1.0, keep_seed=True, **_CHECKED),
}


@dataclass(frozen=True, eq=False)
class Round(Record):
    """One round of the flywheel, with its health. Fractions lie in [0, 1]; an undefined value is None.

    Attributes:
        number: number of the round; in round 0 there is only the seed pool, and nothing is proposed.
        evaluation: evaluation of this round's student on the test set.
        perplexity: perplexity of the world's real documents under the generator after this round; see `perplexity`.
        pool: the labelled set that the student learnt. Equal examples are merged; their number is the weight.
        proposed: the proposed texts; empty in round 0.
        accepted: the labelled proposals that passed every filter, equal ones merged in the same way; None in round 0,
            and if no proposal passed.
        removed: filter -> how many proposals it removed; its keys are the filters in use.
        fraction_valid: fraction of the proposals that are inputs of the task, whether or not that filter is used.
        duplicate_rate: fraction of the proposals that have the text of an earlier proposal of the same round.
    """

    number: int
    evaluation: Evaluation
    perplexity: float | None
    pool: LabelledSet
    proposed: tuple[str, ...] = ()
    accepted: LabelledSet | None = None
    removed: dict[str, int] = field(default_factory=dict)
    fraction_valid: float | None = None
    duplicate_rate: float | None = None

    @property
    def accepted_count(self) -> int:
        """How many proposals passed every filter, repeats counted."""
        return len(self.proposed) - sum(self.removed.values())

    @property
    def label_accuracy(self) -> float | None:
        """Fraction of right labels among the accepted proposals whose true answer the world knows, repeats counted."""
        if self.accepted is None:
            return None
        counted = zip(self.accepted.examples, self.accepted.answers, _weights(self.accepted), strict=True)
        judged = [(example.answer == answer, weight) for example, answer, weight in counted if example.answer]
        return sum(right * weight for right, weight in judged) / sum(w for _, w in judged) if judged else None

    @property
    def answer_shares(self) -> dict[str, float]:
        """Answer -> its share of the accepted proposals, repeats counted; empty if none was accepted."""
        return {} if self.accepted is None else _shares(self.accepted)

    def to_dict(self) -> dict:
        """Every number of the round, as plain JSON values."""
        return {
            "round": self.number,
            "accuracy": self.evaluation.accuracy,
            "slices": {tag: accuracy for tag, (accuracy, _) in self.evaluation.by_slice().items()},
            "label_accuracy": self.label_accuracy,
            "fraction_valid": self.fraction_valid,
            "duplicate_rate": self.duplicate_rate,
            "distinct_1": proposals.distinct(self.proposed, 1),
            "distinct_2": proposals.distinct(self.proposed, 2),
            "answer_shares": self.answer_shares,
            "perplexity": self.perplexity,
            "removed": self.removed,
            "proposed": len(self.proposed),
            "accepted": self.accepted_count,
            "pool": len(self.pool),
        }

    def _summary(self) -> str:
        words = [f"round {self.number}: accuracy {fraction(self.evaluation.accuracy)}", f"pool of {len(self.pool):,}"]
        if self.proposed:
            words += [f"{len(self.proposed):,} proposed, {self.accepted_count:,} accepted"]
            words += [f"label accuracy {fraction(self.label_accuracy)}"]
        return ", ".join(words)


def flywheel(
    generator: LanguageModel,
    supervisor: LanguageModel,
    student: LanguageModel,
    seed_pool: LabelledSet,
    test: LabelledSet,
    world: World,
    recipe: FlywheelRecipe,
    *,
    seed: int,
    fine_tune: FineTune = loop.train,
    adapt: FineTune = loop.adapt,
    label: Label = weak_labels,
) -> Iterator[Round]:
    """Run the flywheel and yield every round with its health; to stop it, leave the loop.

    In each round, the generator proposes inputs, and filters check their texts. The labeller answers the inputs that
    remain, and filters check the answers. The examples that remain go into the pool. The student, from its pre-trained
    start, learns the pool. If the recipe says so, the generator continues to learn. A text of the test set is always
    refused. If no proposal is accepted, the round keeps the pool and the student of the round before.

    Args:
        generator: samples texts.
        supervisor: labels proposals if the recipe says so.
        student: the pre-trained start of every student.
        seed_pool: the labelled examples before the first round. The proposals take their instructions from it, and a
            balanced recipe its shares of answers.
        test: every student is scored on this set.
        world: tells which texts are inputs of the task; its true answers serve the health numbers only.
        recipe: the settings.
        seed: random seed of the sampling. The order of the examples in a training comes from the recipe's own seeds.
        fine_tune, adapt, label: `training.train`, `training.adapt` and `labelling.weak_labels`, or those of a store.

    Yields:
        Round 0, then `recipe.rounds` further rounds.

    Raises:
        ValueError: a recipe filters by confidence, and the labels come without probabilities (an open task).
    """
    pool, current = seed_pool, fine_tune(student, seed_pool, recipe.student)
    yield Round(0, score(label(current, test)), perplexity(generator, world.documents), pool)
    instructions = sorted({example.instruction for example in seed_pool.examples})
    for number in range(1, recipe.rounds + 1):
        proposed = _propose(generator, instructions, world, recipe, seed=seed * 1_009 + number)
        labeller = supervisor if recipe.labeller == "supervisor" else current
        accepted, removed = _sift(proposed, pool, test, seed_pool, world, recipe, lambda x, by=labeller: label(by, x))
        if accepted is not None:
            pool = merged([pool, accepted] if recipe.keep_seed else [accepted])
            current = fine_tune(student, pool, recipe.student)
            if recipe.trains_generator:
                texts = merged([seed_pool, accepted]) if recipe.keep_seed else accepted
                generator = adapt(generator, texts, recipe.generator)
        texts = tuple(example.input for example in proposed)
        yield Round(
            number,
            score(label(current, test)),
            perplexity(generator, world.documents),
            pool,
            texts,
            accepted,
            removed,
            fraction_valid=sum(map(world.accepts, texts)) / len(texts),
            duplicate_rate=1 - len(set(texts)) / len(texts),
        )


def flywheel_rows(
    seed: int,
    recipe: FlywheelRecipe,
    *,
    splits: Splits,
    world: World,
    generator: LanguageModel,
    supervisor: LanguageModel,
    student: LanguageModel,
    seed_examples: int = SEED_EXAMPLES,
    **roles: FineTune | Label,
) -> list[dict]:
    """The health of every round (see `Round.to_dict`), with `seed`, as plain JSON rows for a study.

    The seed pool is the first `seed_examples` examples of `splits.supervisor_train`, with their true answers. `seed`
    also fixes the order of the examples in every training. `roles` are `fine_tune`, `adapt` and `label` of `flywheel`.

    Raises:
        ValueError: `supervisor_train` has fewer than `seed_examples` examples; or as for `flywheel`.
    """
    if seed_examples > len(splits.supervisor_train):
        raise ValueError(
            f"flywheel_rows: seed_examples is {seed_examples}; expected at most the {len(splits.supervisor_train)} "
            "examples of supervisor_train"
        )
    seeded = {"student": replace(recipe.student, seed=seed), "generator": replace(recipe.generator, seed=seed)}
    pool = splits.supervisor_train.take(range(seed_examples), source="seed examples")
    models = generator, supervisor, student
    rounds = flywheel(*models, pool, splits.test, world, replace(recipe, **seeded), seed=seed, **roles)
    return [{"seed": seed, **turn.to_dict()} for turn in rounds]


def _propose(
    generator: LanguageModel, instructions: Sequence[str], world: World, recipe: FlywheelRecipe, *, seed: int
) -> list[Example]:
    """Proposals, with the answer and tags that the world knows; the answer serves the health numbers only."""
    count = recipe.proposals
    texts = proposals.sample_texts(generator, count, accepts=world.accepts, temperature=recipe.temperature, seed=seed)
    asked = proposals.paraphrased(instructions, count, share=recipe.paraphrases, seed=seed)
    facts = [world.parse(text) or Example("", text) for text in texts]
    return [replace(fact, instruction=instruction) for fact, instruction in zip(facts, asked, strict=True)]


def _sift(
    proposed: list[Example],
    pool: LabelledSet,
    test: LabelledSet,
    seed_pool: LabelledSet,
    world: World,
    recipe: FlywheelRecipe,
    label: Callable[[LabelledSet], LabelledSet],
) -> tuple[LabelledSet | None, dict[str, int]]:
    """The proposals that pass all filters, labelled (equal ones once); and filter -> how many it removed."""
    removed: dict[str, int] = {}
    pool_texts, test_texts = ([example.input for example in labelled.examples] for labelled in (pool, test))
    steps = {"test input": lambda texts: proposals.unseen(texts, test_texts)}
    if recipe.valid:
        steps["invalid"] = lambda texts: proposals.valid(texts, world.accepts)
    if recipe.duplicates is not None:
        steps["repeated"] = lambda texts: proposals.without_repeats(texts, pool_texts)
        steps["near duplicate"] = lambda texts: proposals.without_near_duplicates(texts, pool_texts, recipe.duplicates)
    for name, step in steps.items():
        kept = step([example.input for example in proposed])
        proposed, removed[name] = [proposed[i] for i in kept.rows], kept.removed

    different = tuple({example.id: example for example in proposed}.values())
    if not different:
        return None, removed
    unlabelled = (seed_pool.task.answers or ("",))[0]
    labels = label(LabelledSet(seed_pool.task, different, (unlabelled,) * len(different), source="proposals"))
    rows = [labels.ids.index(example.id) for example in proposed]
    if recipe.min_confidence is not None:
        sure = set(proposals.confident(labels, recipe.min_confidence).rows)
        kept = proposals.Kept.where([row in sure for row in rows])
        rows, removed["unsure"] = [rows[i] for i in kept.rows], kept.removed
    if recipe.balanced:
        kept = proposals.balanced([labels.answers[row] for row in rows], _shares(seed_pool))
        rows, removed["out of balance"] = [rows[i] for i in kept.rows], kept.removed
    times = Counter(rows)
    if not times:
        return None, removed
    taken = labels.take(sorted(times))
    weight = None if max(times.values()) == 1 else np.array([times[row] for row in sorted(times)])
    return replace(taken, weight=weight), removed


# -- sets ------------------------------------------------------------------------------------------------------------


def _weights(labelled: LabelledSet) -> Sequence[float]:
    return [1.0] * len(labelled) if labelled.weight is None else labelled.weight.tolist()


def _shares(labelled: LabelledSet) -> dict[str, float]:
    """Answer -> its share of the set, weights counted; for a closed task every answer of the list."""
    counts = dict.fromkeys(labelled.task.answers or (), 0.0)
    for answer, weight in zip(labelled.answers, _weights(labelled), strict=True):
        counts[answer] = counts.get(answer, 0.0) + weight
    return {answer: count / sum(counts.values()) for answer, count in counts.items()}


def merged(sets: Sequence[LabelledSet]) -> LabelledSet:
    """All examples of several sets of one task, with answers and weights but without probabilities.

    An example that occurs in several sets is taken once, with the answer of the first and the sum of the weights.
    """
    rows: dict[str, tuple[Example, str]] = {}
    weight: Counter[str] = Counter()
    for labelled in sets:
        for example, answer, times in zip(labelled.examples, labelled.answers, _weights(labelled), strict=True):
            rows.setdefault(example.id, (example, answer))
            weight[example.id] += times
    examples, answers = zip(*rows.values(), strict=True)
    weights = None if set(weight.values()) == {1.0} else np.array([weight[example_id] for example_id in rows])
    source = " + ".join(dict.fromkeys(labelled.source for labelled in sets))
    return LabelledSet(sets[0].task, examples, answers, source=source, weight=weights)


@torch.no_grad()
def perplexity(model: LanguageModel, documents: Sequence[str]) -> float | None:
    """exp(-sum log Pr(token | the tokens before it in its document) / tokens), over all tokens of all documents.

    The start token is given, and the end of a document is not predicted. None if there are no documents.
    """
    if not documents:
        return None
    examples = [Example("", document) for document in documents]
    start, rows = model.encode_documents(examples, model.window)

    def log_probs(numbers: list[int]) -> list[tuple[int, float]]:
        scores = model.log_prob([start] * len(numbers), [rows[i] for i in numbers])
        return list(zip(numbers, scores.tolist(), strict=True))

    scored = in_pieces(log_probs, [len(row) + 1 for row in rows], model)
    return math.exp(-math.fsum(score for _, score in scored) / sum(map(len, rows)))
