"""The self-instruct flywheel, round by round: one that improves, one that degrades, and what mends it.

A grown pool is also a longer training. So the last student has two controls: the student of the seed pool after as many
passes, and after as many optimizer steps, as near as whole passes allow.
"""

from dataclasses import replace

from matplotlib.figure import Figure

from w2s_lab.data.sources import SplitSizes
from w2s_lab.experiments.effects import effects_table, family_values, paired_effect
from w2s_lab.experiments.procedure import Bench, Plan
from w2s_lab.experiments.store import Store
from w2s_lab.methods.flywheel import DEGRADING, HEALTHY, MENDED, SEED_EXAMPLES, FlywheelRecipe, flywheel_rows
from w2s_lab.models.language_model import LanguageModel
from w2s_lab.models.loading import load_model
from w2s_lab.objective import NextToken
from w2s_lab.pocket.parser import sentiment_world
from w2s_lab.recipe import Recipe
from w2s_lab.records import LabelledSet
from w2s_lab.studies.figures import flywheel_figure
from w2s_lab.studies.study import Rows, Setting, Study, bench, cell, column, mean_of, rounded, select
from w2s_lab.system.jobs import Job
from w2s_lab.training.evaluation import score

SIZES = SplitSizes(supervisor_train=1500, student_train=100, test=500, validation=0)
CONFIGURATIONS: dict[str, FlywheelRecipe] = {"healthy": HEALTHY, "degrading": DEGRADING} | MENDED
DRAWN = ("healthy", "degrading", "temperature 1", "answers checked", "temperature 1, answers checked")
MEASURES = ("accuracy", "label_accuracy", "duplicate_rate", "distinct_2", "perplexity", "answer_balance")


def _stages(setting: Setting) -> list[list[Job]]:
    seeds = range(setting.seeds)
    shared = [Job(f"supervisor, seed {s}", cell, (_shared, setting, s)) for s in seeds]
    turns = [Job(f"{name}, seed {s}", cell, (_turn, setting, name, s)) for s in seeds for name in CONFIGURATIONS]
    return [shared, turns]


def _shared(store: Store, device: str, seed: int) -> Rows:
    bench(store, "sentiment", Plan(device=device), seed, SIZES).supervisor()
    return []


def _turn(store: Store, device: str, name: str, seed: int) -> Rows:
    own = bench(store, "sentiment", Plan(device=device), seed, SIZES)

    def fine_tune(model: LanguageModel, labels: LabelledSet, recipe: Recipe, *, role: str = "student") -> LanguageModel:
        return store.train(model, labels, replace(recipe, seed=seed), role=f"{role} of the flywheel")

    def go_on(model: LanguageModel, inputs: LabelledSet, recipe: Recipe) -> LanguageModel:
        return fine_tune(model, inputs, replace(recipe, loss=NextToken()), role="generator")

    strong = load_model(own.plan.strong, device=device)
    found = flywheel_rows(
        seed,
        CONFIGURATIONS[name],
        splits=own.splits,
        world=sentiment_world(),
        generator=strong,
        supervisor=own.supervisor(),
        student=strong,
        fine_tune=fine_tune,
        adapt=go_on,
        label=store.labels,
        seed_examples=SEED_EXAMPLES,
    )
    found[-1]["as_many_steps"] = as_many_steps(own, CONFIGURATIONS[name].student, found[-1]["pool"])
    return [
        {"configuration": name, "seed": seed, "answer_balance": _balance(row["answer_shares"])} | _flat(row)
        for row in found
    ]


def as_many_steps(own: Bench, recipe: Recipe, size: int) -> float:
    """Test accuracy of a student of the seed pool alone, in as many optimizer steps as one of a pool of this size."""
    pool = own.splits.supervisor_train.take(range(SEED_EXAMPLES))
    longer = recipe.lasting(recipe.steps(size)[0], len(pool))
    student = own.train(own.plan.strong, pool, longer, "student of the seed pool, as many steps")
    return score(own.store.labels(student, own.splits.test)).accuracy


def _flat(row: dict) -> dict:
    """The row with its slices as numbers of their own."""
    slices = {f"slice {tag}": accuracy for tag, accuracy in row["slices"].items()}
    return (
        {name: value for name, value in row.items() if name not in ("slices", "removed")}
        | slices
        | {f"removed: {why}": count for why, count in row["removed"].items()}
    )


def _balance(shares: dict[str, float]) -> float | None:
    """The rarest answer's share times the number of answers: 1 if all are equally frequent, 0 if one is missing."""
    return len(shares) * min(shares.values()) if shares else None


def _rounds(rows: Rows, name: str) -> list[dict[str, float | None]]:
    """For each round, the means over seeds."""
    found = []
    for number in range(CONFIGURATIONS[name].rounds + 1):
        own = select(rows, configuration=name, round=number)
        found.append({measure: mean_of(own, measure)["mean"] for measure in MEASURES})
    return found


def _finish(rows: Rows) -> tuple[dict, str, dict[str, Figure]]:
    means = {name: _rounds(rows, name) for name in CONFIGURATIONS}
    last = max(row["round"] for row in rows)
    ends = {name: select(rows, configuration=name, round=last) for name in CONFIGURATIONS}
    begun = select(rows, configuration="healthy", round=0)
    effects = [paired_effect(n, column(e, "accuracy"), column(begun, "accuracy")) for n, e in ends.items()]
    longer = [paired_effect(n, column(e, "accuracy"), column(e, "as_many_steps")) for n, e in ends.items()]
    heads = ("accuracy", "label accuracy", "duplicates", "distinct-2", "perplexity", "balance")
    lines = [f"{f'after round {last}':<44}" + "".join(f"{head:>16}" for head in heads)]
    for name, rounds in means.items():
        values = ["-" if rounds[-1][m] is None else f"{rounds[-1][m]:.3f}" for m in MEASURES]
        lines.append(f"{name:<44}" + "".join(f"{value:>16}" for value in values))
    facts = {
        "task": "sentiment",
        "configurations": {name: recipe.to_dict() for name, recipe in CONFIGURATIONS.items()},
        "means": means,
        "end against seed pool": family_values(effects),
        "end against as many steps on the seed pool": family_values(longer),
        "rows": rounded(rows),
    }
    names = {"accuracy": "test_accuracy", "perplexity": "document_perplexity"}
    drawn = {n: [{names.get(k, k): v for k, v in one.items()} for one in means[n]] for n in DRAWN if n in means}
    head = "test accuracy after the last round; control: the seed pool alone, as many"
    text = "\n".join([*lines, "", f"{head} passes", effects_table(effects), "", f"{head} steps", effects_table(longer)])
    return facts, text, {"flywheel.png": flywheel_figure(drawn)}


STUDY = Study("flywheel", "does a self-instruct flywheel improve or degrade, and what mends it?", 8, _stages, _finish)
