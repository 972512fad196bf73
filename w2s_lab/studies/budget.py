"""n human labels at cost c_h, m weak labels at c_w: what does a budget buy, how are a few true labels best used?

Every student takes the same number of optimizer steps, whatever the size of its set (`use` names an exception). The
weak supervisor learnt true labels of other examples (`SIZES`). The costs are chosen afterwards, since a measured grid
can be priced in any way.
"""

from dataclasses import astuple, replace

from matplotlib.figure import Figure

from w2s_lab.data.sources import SplitSizes
from w2s_lab.experiments.effects import effects_table, paired_effect
from w2s_lab.experiments.procedure import Bench, Outcome, Plan
from w2s_lab.experiments.store import Store
from w2s_lab.figures.study_plots import cost_curve
from w2s_lab.methods.mixing import Measured, cost, frontier, join, weighted
from w2s_lab.recipe import Recipe
from w2s_lab.records import LabelledSet
from w2s_lab.studies.figures import one
from w2s_lab.studies.study import (
    EPOCH,
    Rows,
    Setting,
    Study,
    bench,
    cell,
    column,
    learn,
    learn_twice,
    mean_of,
    outcome_numbers,
    rounded,
    select,
)
from w2s_lab.system.jobs import Job

SIZES = SplitSizes(supervisor_train=1500, student_train=2500, test=1000, validation=100)
HUMAN, WEAK = (0, 30, 100, 1000), (0, 500, 1500)
PLAN = Plan(recipe=Recipe(epochs=3, learning_rate=5e-5, eval_every=EPOCH))
FEW = 100  # human labels with which the ways of using them are compared
WAYS = ("mixed in", "counted 5 times", "first", "last")
PRICES = (10.0, 100.0)  # of a human label, where a weak one costs 1


def parts(own: Bench, human: int, weak: int) -> tuple[LabelledSet, LabelledSet]:
    """`human` true labels and `weak` weak labels of other examples."""
    truth = own.splits.student_train
    return truth.take(range(human)), own.labels.take(range(max(HUMAN), max(HUMAN) + weak))


def use(own: Bench, human: int, weak: int, way: str) -> Outcome:
    """A student of true and weak labels, which are combined in one of `WAYS`.

    "mixed in": all in one set. "counted 5 times": also, but a true label weighs as much as 5 weak ones. "first" and
    "last": the true labels have a training of their own, before or after the weak labels, with a third of their steps.
    """
    truth, labels = parts(own, human, weak)
    steps = 3 * EPOCH
    if not weak or not human:
        return learn(own, truth if human else labels, steps)
    if way == "first":
        return learn_twice(own, (truth, EPOCH), (labels, steps))
    if way == "last":
        return learn_twice(own, (labels, steps), (truth, EPOCH))
    return learn(own, join(weighted(truth, 5.0) if way == "counted 5 times" else truth, labels), steps)


def _stages(setting: Setting) -> list[list[Job]]:
    seeds = range(setting.seeds)
    cells = [(h, w, WAYS[0]) for h in HUMAN for w in WEAK if h or w]
    cells += [(FEW, max(WEAK), way) for way in WAYS[1:]]
    shared = [Job(f"seed {s}", cell, (_shared, setting, s)) for s in seeds]
    grid = [Job(f"{h} human, {w} weak, {way}, seed {s}", cell, (_cell, setting, s, h, w, way))
            for s in seeds for h, w, way in cells]  # fmt: skip
    return [shared, grid]


def _bench(store: Store, device: str, seed: int) -> Bench:
    return bench(store, "sentiment", replace(PLAN, device=device), seed, SIZES)


def _shared(store: Store, device: str, seed: int) -> Rows:
    own = _bench(store, device, seed)
    own.ceiling, own.labels  # noqa: B018
    return []


def _cell(store: Store, device: str, seed: int, human: int, weak: int, way: str) -> Rows:
    outcome = use(_bench(store, device, seed), human, weak, way)
    return [{"human": human, "weak_labels": weak, "way": way, "seed": seed} | outcome_numbers(outcome)]


def points(rows: Rows, price: float) -> dict[str, list[tuple[float, float, float | None, float | None]]]:
    """Number of weak labels -> (cost, mean accuracy, ends of its interval) for each number of human labels."""
    found = {}
    for weak in WEAK:
        found[f"{weak:,} weak labels" if weak else "human labels only"] = [
            (cost(human, weak, human_cost=price, weak_cost=1.0), at["mean"], *within_fractions(at))
            for human in HUMAN
            if human or weak
            for at in [mean_of(select(rows, human=human, weak_labels=weak, way=WAYS[0]), "accuracy")]
        ]
    return found


def within_fractions(at: dict) -> tuple[float | None, float | None]:
    """The ends of an interval of accuracies, cut to [0, 1]."""
    return tuple(None if end is None else min(max(end, 0.0), 1.0) for end in (at["low"], at["high"]))


def _finish(rows: Rows) -> tuple[dict, str, dict[str, Figure]]:
    grid = [
        Measured(human, weak, mean_of(select(rows, human=human, weak_labels=weak, way=WAYS[0]), "accuracy")["mean"])
        for human in HUMAN
        for weak in WEAK
        if human or weak
    ]
    lines = [f"{'human labels':<14}" + "".join(f"{w:>10,} weak" for w in WEAK) + "   mean accuracy"]
    for human in HUMAN:
        found = {m.weak: m.accuracy for m in grid if m.human == human}
        lines.append(f"{human:<14,}" + "".join(f"{found[w]:>15.3f}" if w in found else f"{'-':>15}" for w in WEAK))
    mixed = column(select(rows, human=FEW, weak_labels=max(WEAK), way=WAYS[0]), "accuracy")
    only = {"weak labels alone": (0, max(WEAK)), "the truth alone": (FEW, 0)}
    others = {name: select(rows, human=h, weak_labels=w, way=WAYS[0]) for name, (h, w) in only.items()}
    others |= {way: select(rows, human=FEW, weak_labels=max(WEAK), way=way) for way in WAYS[1:]}
    effects = [paired_effect(name, column(found, "accuracy"), mixed) for name, found in others.items()]
    facts = {
        "task": "sentiment",
        "sizes": astuple(SIZES),
        **PLAN.to_dict(),
        "grid": [astuple(measured) for measured in grid],
        "ways": [effect.to_dict() for effect in effects],
        "frontier": {
            str(price): [astuple(m) for m in frontier(grid, human_cost=price, weak_cost=1.0)] for price in PRICES
        },
        "rows": rounded(rows),
    }
    ceiling = mean_of(rows, "ceiling")["mean"]
    figures = {
        f"budget-{price:.0f}.png": one(
            cost_curve, points(rows, price), unit=f"cost (a weak label 1, a human label {price:.0f})", log=True,
            ceiling=ceiling,
        )
        for price in PRICES
    }  # fmt: skip
    head = f"\n{FEW} true and {max(WEAK):,} weak labels; control: the truth mixed in"
    return facts, "\n".join([*lines, head, effects_table(effects)]), figures


STUDY = Study("budget", "what does a budget of human and weak labels buy?", 8, _stages, _finish)
