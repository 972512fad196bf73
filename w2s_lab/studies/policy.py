"""Synthetic labels follow an outdated policy, a small human set the current one: what resolves the conflict?

The supervisor learnt helpdesk policy v1, which was in force when its examples were decided. People have decided a
hundred tickets under v2, which differs in one rule. Students are tested under v2, rule by rule, so that a regression
shows in the rule that it concerns.
"""

from collections.abc import Callable, Collection
from dataclasses import astuple, replace
from functools import cache

import numpy as np
from matplotlib.figure import Figure

from w2s_lab.data.sources import SplitSizes, load_splits
from w2s_lab.experiments.effects import effects_table, paired_effect
from w2s_lab.experiments.procedure import Bench, Outcome, Plan
from w2s_lab.experiments.store import Store
from w2s_lab.methods.mixing import with_truth, without
from w2s_lab.recipe import Recipe
from w2s_lab.records import LabelledSet
from w2s_lab.studies.figures import effects_figure
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

SIZES = SplitSizes(supervisor_train=1200, student_train=1500, test=1000, validation=100)
PLAN = Plan(recipe=Recipe(epochs=3, learning_rate=5e-5, eval_every=EPOCH))
HUMAN = 100
CHANGED = "rule-changed"  # the tag of tickets that the two policies decide by different rules
STEPS = 3 * EPOCH  # of a student; the human set gets a third of them in a training of its own


def human_set(own: Bench) -> LabelledSet:
    """The tickets that people decided under the current policy."""
    return own.splits.student_train.take(range(HUMAN))


ARMS: dict[str, Callable[[Bench], Outcome]] = {
    "weak labels only": lambda b: learn(b, b.labels, STEPS),
    "human set only": lambda b: learn(b, human_set(b), STEPS),
    "mixed": lambda b: learn(b, with_truth(b.labels, human_set(b)), STEPS),
    "mixed, human x 5": lambda b: learn(b, with_truth(b.labels, human_set(b), weight=5.0), STEPS),
    "human set first": lambda b: learn_twice(b, (human_set(b), STEPS // 3), (b.labels, STEPS)),
    "human set last": lambda b: learn_twice(b, (b.labels, STEPS), (human_set(b), STEPS // 3)),
    "changed rule filtered": lambda b: learn(b, with_truth(without(b.labels, CHANGED), human_set(b)), STEPS),
    "filtered, human x 5": lambda b: learn(b, with_truth(without(b.labels, CHANGED), human_set(b), weight=5.0), STEPS),
}
CONTROL = "weak labels only"


def conflict_bench(store: Store, device: str, seed: int) -> Bench:
    """The helpdesk under policy v2, with a weak supervisor that learnt policy v1."""
    own = bench(store, "helpdesk-v2", replace(PLAN, device=device), seed, SIZES)
    old_splits = load_splits("helpdesk", seed=seed, sizes=SIZES)
    old = {example.id: example.answer for example in old_splits.supervisor_train.examples}
    truth = own.splits.supervisor_train
    outdated = replace(truth, answers=tuple(old[i] for i in truth.ids), source="truth under policy v1")
    own.weak_labels = own.labels_of(own.supervisor(truth=outdated))
    return own


def workload(rules: Collection[str], seed: int = 0) -> float:
    """The fraction of a seed's test tickets that people decide who take over all tickets under these rules."""
    return float(np.mean([bool(set(rules) & set(tags)) for tags in _tags(seed)]))


def with_people(rows: Rows, arm: str, rules: Collection[str]) -> tuple[float, float]:
    """What comes of a training if people take over some rules for good, and are always right.

    Args:
        rows: of this study.
        arm: a key of ARMS.
        rules: whose tickets people decide; no ticket falls under two of them.

    Returns:
        The fraction of tickets that people decide, and the accuracy over all tickets; means over seeds.

    Raises:
        ValueError: rules share tickets, so the accuracy on those that are left is not known.
    """
    shares, right = [], []
    for row in select(rows, arm=arm):
        each = [workload([rule], row["seed"]) for rule in rules]
        shares.append(workload(rules, row["seed"]))
        if sum(each) > shares[-1] + 1e-9:
            raise ValueError(f"with_people: {', '.join(rules)} share tickets. Hint: name rules that exclude each other")
        mended = sum(part * (1 - row[f"rule {rule}"]) for rule, part in zip(rules, each, strict=True))
        right.append(row["accuracy"] + mended)
    return float(np.mean(shares)), float(np.mean(right))


@cache
def _tags(seed: int) -> tuple[tuple[str, ...], ...]:
    return tuple(example.tags for example in load_splits("helpdesk-v2", seed=seed, sizes=SIZES).test.examples)


def _stages(setting: Setting) -> list[list[Job]]:
    seeds = range(setting.seeds)
    shared = [Job(f"seed {s}", cell, (_shared, setting, s)) for s in seeds]
    return [shared, [Job(f"{arm}, seed {s}", cell, (_arm, setting, s, arm)) for s in seeds for arm in ARMS]]


def _shared(store: Store, device: str, seed: int) -> Rows:
    conflict_bench(store, device, seed).ceiling  # noqa: B018
    return []


def _arm(store: Store, device: str, seed: int, arm: str) -> Rows:
    outcome = ARMS[arm](conflict_bench(store, device, seed))
    slices = {f"rule {tag}": right for tag, (right, _) in outcome.comparison.student.by_slice().items()}
    supervisor = {f"weak {tag}": right for tag, (right, _) in outcome.comparison.weak.by_slice().items()}
    return [{"arm": arm, "seed": seed} | outcome_numbers(outcome) | slices | supervisor]


def _finish(rows: Rows) -> tuple[dict, str, dict[str, Figure]]:
    control = select(rows, arm=CONTROL)
    arms = {arm: select(rows, arm=arm) for arm in ARMS if arm != CONTROL}
    rules = sorted({name for row in rows for name in row if name.startswith("rule ")})
    effects = [
        paired_effect(arm, column(found, "accuracy"), column(control, "accuracy")) for arm, found in arms.items()
    ]
    per_rule = {
        rule.removeprefix("rule "): [paired_effect(arm, column(found, rule), column(control, rule))
                                     for arm, found in arms.items()]
        for rule in rules
    }  # fmt: skip
    head = f"{'accuracy under policy v2, by rule':<34}" + "".join(f"{r.removeprefix('rule '):>16}" for r in rules)
    lines = [head] + [
        f"{arm:<34}" + "".join(f"{mean_of(select(rows, arm=arm), rule)['mean']:>16.3f}" for rule in rules)
        for arm in ARMS
    ]
    facts = {
        "task": "helpdesk-v2, weak supervisor of policy v1",
        "human set": HUMAN,
        "sizes": astuple(SIZES),
        **PLAN.to_dict(),
        "effects": [effect.to_dict() for effect in effects],
        "by rule": {rule: [effect.to_dict() for effect in found] for rule, found in per_rule.items()},
        "rows": rounded(rows),
    }
    shown = {"all tickets": effects, "tickets under the changed rule": per_rule[CHANGED]}
    shown |= {"late tickets of members": per_rule["member"]} if "member" in per_rule else {}
    text = "\n".join([effects_table(effects), "", *lines])
    return facts, text, {"policy.png": effects_figure(shown, CONTROL)}


STUDY = Study("policy", "what mends labels of an outdated policy?", 8, _stages, _finish)
