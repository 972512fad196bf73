"""The self-instruct flywheel: propose, label, filter, add to the pool, retrain, and again; with its health per round.

Self-Instruct (Wang et al. 2022, arXiv 2212.10560) grows a pool of tasks from a language model's own samples. Where the
loop feeds on itself without care it narrows and drifts: models trained on what models wrote lose the tails of the real
distribution first (model collapse, Shumailov et al. 2023, arXiv 2305.17493). `HEALTHY` and `DEGRADING` show both, and
`MENDED` which change brings what back.
"""

import math
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, field, replace

import numpy as np
import torch

from w2s_lab.data.world import World
from w2s_lab.methods import proposals
from w2s_lab.models.language_model import LanguageModel
from w2s_lab.recipe import Recipe
from w2s_lab.records import Evaluation, Example, LabelledSet, Splits
from w2s_lab.training import loop
from w2s_lab.training.evaluation import score
from w2s_lab.training.labelling import in_pieces, weak_labels

# ROUGE-L F1. Two long reviews that differ in one word reach 0.9. At the 0.7 of Self-Instruct, a pool of 1,500 real
# inputs of the sentiment task refuses 858 of 1,000 other real inputs, and with them two constructions altogether
# (reported-and-wrong, and double negation but for one): it would change the distribution, not clean it. At 0.9 it
# refuses 94, and every construction stays.
NEAR_DUPLICATE = 0.9
LABELLERS = ("supervisor", "student")
SEED_EXAMPLES = 100  # true answers: the student alone gets to about 0.8 with them, and has most to gain

FineTune = Callable[[LanguageModel, LabelledSet, Recipe], LanguageModel]
Label = Callable[[LanguageModel, LabelledSet], LabelledSet]


@dataclass(frozen=True)
class FlywheelRecipe:
    """How a flywheel turns.

    Attributes:
        rounds: after round 0, which has the seed pool only.
        proposals: inputs proposed in each round.
        temperature: of the generator's sampling; below 1 it prefers what is likely already.
        valid: refuse proposals that are no inputs of the task.
        duplicates: refuse proposals that are in the pool already, or whose ROUGE-L F1 with an input of the pool or with
            an accepted one is at least this; None: repeats are welcome, and count in the loss as often as they occur.
        min_confidence: refuse answers to which the labeller gives less probability; None: all answers are welcome.
        balanced: accept the answers in the shares that they have in the seed pool.
        keep_seed: the pool is the seed and all that was ever accepted; else only what was accepted in the last round.
        trains_generator: the generator goes on learning, on the texts that were accepted in the round (and on those of
            the seed pool, if it is kept).
        labeller: who labels, "supervisor" or "student" (that of the round before).
        paraphrases: fraction of the proposals whose instruction is put in other words.
        student: how the student is fine-tuned, anew in each round, from its pre-trained start.
        generator: how the generator goes on learning.
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

    def as_dict(self) -> dict:
        """Plain JSON values."""
        return {**asdict(self), "student": self.student.as_dict(), "generator": self.generator.as_dict()}


# New inputs only, drawn as they come; answers of the supervisor, where it is sure; real examples stay in the pool.
HEALTHY = FlywheelRecipe(min_confidence=0.8, balanced=True)

# The loop feeds on itself: the generator on its likeliest texts, the student on its own answers.
DEGRADING = FlywheelRecipe(
    temperature=0.5,
    valid=False,
    duplicates=None,
    keep_seed=False,
    trains_generator=True,
    labeller="student",
)

# Two things go wrong, and no single change mends both: temperature 1 brings back the variety of the proposals, and
# perplexity with it, while the student still ends up giving nearly one answer to everything; checked answers mend the
# labels, while the proposals still narrow. Duplicates refused, or the seed kept, slow the decline but do not stop it.
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
class Round:
    """One turn of the flywheel and its health. Fractions are from 0 to 1; what is undefined is None.

    Attributes:
        number: 0 for the seed pool, where nothing is proposed.
        evaluation: the student of this round on the test set.
        perplexity: of the world's real documents under the generator as this round leaves it: see `perplexity`.
        pool: what the student learnt from; equal examples are one, which weighs as many.
        proposed: the proposed texts; empty in round 0.
        accepted: the labelled proposals that passed every filter, equal ones merged in the same way; None where none
            did, and in round 0.
        removed: filter -> how many proposals it removed; filters that are off are not in it.
        fraction_valid: of the proposals, how many are inputs of the task, whether that filter is on or off.
        duplicate_rate: of the proposals, how many have the text of an earlier proposal of the same round.
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
        """Of the accepted proposals whose truth the world knows, how many carry it, repeats counted."""
        if self.accepted is None:
            return None
        counted = zip(self.accepted.examples, self.accepted.answers, _weights(self.accepted), strict=True)
        known = [(example.answer == answer, weight) for example, answer, weight in counted if example.answer]
        return sum(right * weight for right, weight in known) / sum(weight for _, weight in known) if known else None

    @property
    def answer_shares(self) -> dict[str, float]:
        """Answer -> its share of the accepted proposals, repeats counted; empty where none was accepted."""
        return {} if self.accepted is None else _shares(self.accepted)

    def as_dict(self) -> dict:
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
    """Turn the flywheel, and yield the health of every round; leave the loop to stop it.

    A round: the generator proposes inputs; filters look at their texts; the labeller answers what is left; filters look
    at the answers; what is left goes into the pool; the student, from its pre-trained start, learns the pool anew; if
    the recipe says so, the generator goes on learning. A text of the test set is always refused. Where nothing is
    accepted, the round keeps the pool and the student of the round before.

    Args:
        generator: samples texts.
        supervisor: labels proposals where the recipe says so.
        student: the pre-trained start of every student.
        seed_pool: what there is before the first round. Its instructions are those of the proposals, its shares of
            answers those of a balanced recipe.
        test: every student is scored on it.
        world: tells inputs of the task from others, and knows truths, for the health numbers only.
        recipe: how.
        seed: of the sampling. The order of the examples in a training is that of the recipe's own seeds.
        fine_tune, adapt, label: `training.train`, `training.adapt` and `labelling.weak_labels`, or those of a store.

    Yields:
        Round 0, then one for each of `recipe.rounds`.

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
    """The health of every round (see `Round.as_dict`), with `seed`, as plain JSON rows for a study.

    The seed pool is the first `seed_examples` examples of the supervisor's own part of the split, with their true
    answers; `seed` is also that of the order of examples in every training. `roles`: fine_tune, adapt, label.
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
    return [{"seed": seed, **one.as_dict()} for one in rounds]


def _propose(
    generator: LanguageModel, instructions: Sequence[str], world: World, recipe: FlywheelRecipe, *, seed: int
) -> list[Example]:
    """Proposals, with what the world knows of each as answer and tags; the answer is for the health numbers only."""
    count = recipe.proposals
    texts = proposals.sample_texts(generator, count, accepts=world.accepts, temperature=recipe.temperature, seed=seed)
    asked = proposals.paraphrased(instructions, count, share=recipe.paraphrases, seed=seed)
    facts = [world.parse(text) or Example("", text) for text in texts]
    return [replace(fact, instruction=one) for fact, one in zip(facts, asked, strict=True)]


def _sift(
    proposed: list[Example],
    pool: LabelledSet,
    test: LabelledSet,
    seed_pool: LabelledSet,
    world: World,
    recipe: FlywheelRecipe,
    label: Callable[[LabelledSet], LabelledSet],
) -> tuple[LabelledSet | None, dict[str, int]]:
    """What passes the filters, labelled; and filter -> how many it removed. Equal examples are labelled once."""
    removed: dict[str, int] = {}
    known, tested = ([example.input for example in one.examples] for one in (pool, test))
    steps = {"test input": lambda texts: proposals.unseen(texts, tested)}
    if recipe.valid:
        steps["invalid"] = lambda texts: proposals.valid(texts, world.accepts)
    if recipe.duplicates is not None:
        steps["repeated"] = lambda texts: proposals.without_repeats(texts, known)
        steps["near duplicate"] = lambda texts: proposals.without_near_duplicates(texts, known, recipe.duplicates)
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

    An example that occurs in several of them is there once: with the answer of the first, and the sum of the weights.
    """
    rows: dict[str, tuple[Example, str]] = {}
    weight: Counter[str] = Counter()
    for one in sets:
        for example, answer, times in zip(one.examples, one.answers, _weights(one), strict=True):
            rows.setdefault(example.id, (example, answer))
            weight[example.id] += times
    examples, answers = zip(*rows.values(), strict=True)
    weights = None if set(weight.values()) == {1.0} else np.array([weight[example_id] for example_id in rows])
    source = " + ".join(dict.fromkeys(one.source for one in sets))
    return LabelledSet(sets[0].task, examples, answers, source=source, weight=weights)


@torch.no_grad()
def perplexity(model: LanguageModel, documents: Sequence[str]) -> float | None:
    """exp(-sum log Pr(token | what is before it in its document) / tokens), over all tokens of all documents.

    The start token is given, the end of a document is not predicted. None without documents.
    """
    if not documents:
        return None
    examples = [Example("", document) for document in documents]
    start, rows = model.encode_documents(examples, model.window)

    def look(numbers: list[int]) -> list[tuple[int, float]]:
        scores = model.log_prob([start] * len(numbers), [rows[i] for i in numbers])
        return list(zip(numbers, scores.tolist(), strict=True))

    found = in_pieces(look, [len(row) + 1 for row in rows], model)
    return math.exp(-math.fsum(score for _, score in found) / sum(map(len, rows)))
