"""Every method against its control, paired by seed: does it help, does it hurt, or is that uncertain?

A method is one line on a `Bench`; a rule of selection is one entry of `selection.RULES`. All students of one task take
the same number of optimizer steps, whatever the size of their set, so that no method wins because it trains less.
Methods that keep half of the labels are compared with a random half, of the same balance of answers where the rule
shifts it; the confidence loss with its own zero, which is soft labels; an ensemble of supervisors that each saw a third
of the truth with one of them, and its weights with equal ones; and the others with plain (hard) weak labels.
Effects are those at the end of training and at the snapshot that trusted examples choose.
"""

import math
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import asdict, astuple, dataclass, replace
from functools import partial
from typing import Any

from matplotlib.figure import Figure

from w2s_lab.data.sources import SplitSizes
from w2s_lab.experiments.effects import Effect, Slope, effects_table, family_values, paired_effect, slope
from w2s_lab.experiments.procedure import Bench, Outcome, Plan, hard
from w2s_lab.experiments.store import Store
from w2s_lab.figures.study_plots import cascade_plot
from w2s_lab.methods.cascade import cascade, cascade_curve, fit_threshold, flops_per_item
from w2s_lab.methods.ensembles import average, log_odds_weights, stack, vote
from w2s_lab.methods.probe import features, fit_probe, predict, ridge_probe
from w2s_lab.methods.selection import BUILTIN, RULES, Rule, keep, random_scores
from w2s_lab.methods.simulated import class_conditional_errors, random_errors, systematic_errors
from w2s_lab.models.loading import load_model
from w2s_lab.objective import AuxiliaryConfidence, Distillation, Loss, SoftTargets
from w2s_lab.recipe import Recipe
from w2s_lab.records import Comparison, LabelledSet
from w2s_lab.studies.figures import misfit_figure, moments_figure, one
from w2s_lab.studies.measures import AT_END, AT_TRUSTED
from w2s_lab.studies.study import (
    EPOCH,
    SIZES,
    Rows,
    Setting,
    Study,
    bench,
    cell,
    column,
    distance,
    mean_of,
    numbers,
    one_hot,
    outcome_numbers,
    rounded,
    select,
)
from w2s_lab.system.jobs import Job
from w2s_lab.training.evaluation import score
from w2s_lab.training.labelling import token_targets

TRUSTED = "trained on the trusted examples alone"
ONE_THIRD, THIRDS = "one that saw a third of the truth", "average of 3 (thirds of the truth)"  # equally weak members
PLAIN, SOFT, RANDOM = "plain weak labels", "soft labels", "random half"  # plain: hard labels, maximum likelihood
ADAPT = Recipe(epochs=1, learning_rate=8e-4)
USUAL = Plan(recipe=Recipe(epochs=3, learning_rate=5e-5, eval_every=EPOCH))
OPEN_RECIPE = Recipe(epochs=4, learning_rate=1e-3, eval_every=2 * EPOCH)


@dataclass(frozen=True)
class Method:
    """One method.

    Attributes:
        group: heading in tables and figures.
        learn: from a bench to the student's outcome.
        control: name of the method that it is compared with.
    """

    group: str
    learn: Callable[[Bench], Outcome]
    control: str = PLAIN


# -- what the methods are made of --------------------------------------------------------------------------------


def with_loss(own: Bench, loss: Loss) -> Outcome:
    """A student trained on the weak labels with another loss."""
    return own.student(own.labels, replace(own.plan.recipe, loss=loss))


def second_labels(own: Bench) -> LabelledSet:
    """The labels of another supervisor, which was trained on the same examples in another order."""
    return own.labels_of(own.supervisor(seed=own.seed + 1000))[0]


HELPERS: dict[str, Callable[[Bench], Any]] = {  # what some rules of selection need
    "supervisor": Bench.supervisor,
    "other": second_labels,
    "student": lambda b: b.train(b.strong, b.labels, replace(b.plan.recipe, epochs=1), "student after one epoch"),
    "seed": lambda b: b.seed,
}


def kept(own: Bench, rule: Rule, **options) -> LabelledSet:
    """The half of the weak labels that a rule ranks first; by agreement, those on which a second supervisor agrees."""
    scores = rule(own.labels, **{name: HELPERS[name](own) for name in rule.asks})
    if rule.name == "agreement":
        return own.labels.take(scores > 0, f"{own.labels.source}, where a second supervisor agrees")
    return keep(own.labels, scores, 0.5, by=rule.name, **options)


def half(own: Bench, rule: Rule, **options) -> Outcome:
    """A student of what a rule keeps, in as many steps as one of all weak labels."""
    return as_long(own, kept(own, rule, **options))


def matched(own: Bench, rule: Rule) -> Outcome:
    """A student of labels drawn at random, of each answer as many as the rule keeps."""
    chance, wanted, rows = random_scores(own.labels, seed=own.seed), Counter(kept(own, rule).answers), []
    for answer, count in sorted(wanted.items()):
        own_rows = [i for i, said in enumerate(own.labels.answers) if said == answer]
        rows += sorted(own_rows, key=lambda i: -chance[i])[:count]
    return as_long(own, own.labels.take(sorted(rows), f"{own.labels.source}, at random, balanced as by {rule.name}"))


def as_long(own: Bench, labels: LabelledSet) -> Outcome:
    """A student of fewer (or more) labels, in as many optimizer steps as one of all weak labels."""
    recipe = own.plan.recipe if labels.probs is not None else hard(own.plan.recipe)
    steps, _ = recipe.steps(len(own.splits.student_train))
    return own.student(labels, recipe.lasting(steps, len(labels)))


def by_seed(own: Bench) -> list[tuple[LabelledSet, LabelledSet]]:
    """Labels of three supervisors, each trained on the same examples in another order."""
    return [own.weak_labels, *(own.labels_of(own.supervisor(seed=own.seed + 1000 * i)) for i in (1, 2))]


def by_data(own: Bench) -> list[tuple[LabelledSet, LabelledSet]]:
    """Labels of three supervisors that each learnt from a third of the truth."""
    truth = own.splits.supervisor_train
    recipe = replace(own.plan.weak_recipe, epochs=3 * own.plan.weak_recipe.epochs)
    return [own.labels_of(own.supervisor(truth=truth.take(range(i, len(truth), 3)), recipe=recipe)) for i in range(3)]


def by_size(own: Bench) -> list[tuple[LabelledSet, LabelledSet]]:
    """Labels of three supervisors: the usual one, and those fine-tuned from the rungs below and above it."""
    return [own.weak_labels, *(own.labels_of(own.supervisor(start)) for start in ("pocket-xs", "pocket-m"))]


Members = Callable[[Bench], list[tuple[LabelledSet, LabelledSet]]]


def weighted_members(own: Bench, members: Members) -> Outcome:
    """A student of the mean of several supervisors, weighted by their results on the trusted examples.

    Equal weights, where these find none of them better than guessing.
    """
    sets = members(own)
    weights = log_odds_weights([own.trusted(watched) for _, watched in sets])
    return own.student(average([labels for labels, _ in sets], weights=weights if weights.any() else None))


def stacked_members(own: Bench, members: Members) -> Outcome:
    """A student of a logistic regression on several supervisors, fitted on the trusted examples."""
    sets = members(own)
    return own.student(stack([labels for labels, _ in sets], [own.trusted(watched) for _, watched in sets]))


def bootstrapped(own: Bench) -> Outcome:
    """Weak, medium, strong: each model learns from the labels of the one before."""
    middle = own.train("pocket-m", own.labels, replace(own.plan.recipe, learning_rate=1e-4), "student in the middle")
    return own.student(own.store.labels(middle, own.splits.student_train))


def class_conditional(own: Bench) -> Outcome:
    """As many errors as the supervisor makes, in examples of the first answer only; fewer if these are too few."""
    truth = own.splits.student_train
    first, others = own.splits.task.answers[0], own.splits.task.answers[1:]
    share = truth.answers.count(first) / len(truth)
    wrong = min(0.45, (1 - own.labels.label_accuracy) / share)
    rows = {first: {first: 1 - wrong} | {other: wrong / len(others) for other in others}}
    return own.student(class_conditional_errors(truth, rows | {o: {o: 1.0} for o in others}, seed=own.seed))


def systematic(own: Bench) -> Outcome:
    """As many errors as the supervisor makes, all in the slices on which it is worst."""
    truth, right = own.splits.student_train, own.labels.label_accuracy
    tags, hit = [], 0
    for tag, _ in sorted(score(own.labels).by_slice().items(), key=lambda found: found[1][0]):
        tags.append(tag)
        hit = sum(not set(tags).isdisjoint(example.tags) for example in truth.examples)
        if hit >= (1 - right) * len(truth):
            break
    return own.student(systematic_errors(truth, tags, right, seed=own.seed))


def distilled_by_token(own: Bench, loss: Loss) -> Outcome:
    """Soft labels of an open task: the supervisor's next-token distributions."""
    return own.student(token_targets(own.supervisor(), own.labels), replace(own.plan.recipe, loss=loss))


LOSSES, SELECTION, ENSEMBLES, START, ERRORS = (
    "losses",
    "selection",
    "ensembles",
    "another start",
    "simulated supervisors",
)


# Rules that shift the balance of answers, or keep another number than half -> the control that does so, too.
MATCHED = {"IFD": "at random, balanced as high IFD", "agreement": "at random, as many as agree"}


def halves(rules: Sequence[str]) -> dict[str, Method]:
    """A method for each rule, which keeps half of the labels; the random half is the control of the others."""
    found = {}
    for rule in map(RULES.__getitem__, rules):
        control = PLAIN if rule.half == RANDOM else MATCHED.get(rule.name, RANDOM)
        found[rule.half] = Method(SELECTION, partial(half, rule=rule), control)
        if rule.name == "confidence":
            found[f"{rule.half}, balanced"] = Method(SELECTION, partial(half, rule=rule, balanced=True), control)
        if rule.name in MATCHED:
            found[control] = Method(SELECTION, partial(matched, rule=rule))
    return found


METHODS: dict[str, Method] = {
    PLAIN: Method("", lambda b: b.student(b.labels)),
    SOFT: Method(LOSSES, lambda b: with_loss(b, SoftTargets())),
    "soft labels, temperature 2": Method(LOSSES, lambda b: with_loss(b, SoftTargets(2.0))),
    "weak labels + KL, cosine to 0": Method(LOSSES, lambda b: with_loss(b, Distillation(1.0, "cosine"))),
    "confidence loss 0.5": Method(LOSSES, lambda b: with_loss(b, AuxiliaryConfidence(0.5)), SOFT),
    "confidence loss 0.75": Method(LOSSES, lambda b: with_loss(b, AuxiliaryConfidence(0.75)), SOFT),
    **halves(BUILTIN),
    "vote of 3 (order)": Method(ENSEMBLES, lambda b: b.student(vote([w for w, _ in by_seed(b)]))),
    "average of 3 (order)": Method(ENSEMBLES, lambda b: b.student(average([w for w, _ in by_seed(b)]))),
    ONE_THIRD: Method(ENSEMBLES, lambda b: b.student(by_data(b)[0][0])),
    THIRDS: Method(ENSEMBLES, lambda b: b.student(average([w for w, _ in by_data(b)])), ONE_THIRD),
    "weighted average of 3 (thirds)": Method(ENSEMBLES, partial(weighted_members, members=by_data), THIRDS),
    "stacking of 3 (thirds)": Method(ENSEMBLES, partial(stacked_members, members=by_data), THIRDS),
    "weighted average (xs, s, m)": Method(ENSEMBLES, partial(weighted_members, members=by_size)),
    "stacking (xs, s, m)": Method(ENSEMBLES, partial(stacked_members, members=by_size)),
    "bootstrapping through pocket-m": Method(START, bootstrapped),
    TRUSTED: Method(START, lambda b: as_long(b, b.splits.validation)),
    "adapted to the inputs": Method(START, lambda b: b.student(b.labels, start=b.adapted(b.plan.strong, ADAPT))),
    "random errors": Method(
        ERRORS,
        lambda b: b.student(random_errors(b.splits.student_train, b.labels.label_accuracy, seed=b.seed)),
    ),
    "errors in one class": Method(ERRORS, class_conditional),
    "errors in the hard slices": Method(ERRORS, systematic, "random errors"),
    # open tasks
    "token by token": Method(LOSSES, lambda b: distilled_by_token(b, SoftTargets())),
    "weak answers + token KL": Method(LOSSES, lambda b: distilled_by_token(b, Distillation(1.0, "cosine"))),
}


def method(name: str) -> Method:
    """The method of this name; it may also keep half of the labels by a rule that a user has registered."""
    return METHODS[name] if name in METHODS else halves([*RULES])[name]


@dataclass(frozen=True)
class Grid:
    """Methods measured on one task with one pair of models."""

    name: str
    task: str
    plan: Plan
    methods: tuple[str, ...]
    sizes: SplitSizes = SIZES

    @property
    def names(self) -> tuple[str, ...]:
        """The methods; on the grid that has all methods, also the rules that users have registered."""
        more = [name for name in RULES if name not in BUILTIN] if self.methods == CLOSED else []
        return (*self.methods, *halves(more))

    def control(self, name: str) -> str:
        """What a method is compared with here: an open task has no balance of answers to match."""
        control = method(name).control
        return control if control in self.names else RANDOM


OPEN = ("token by token", "weak answers + token KL", "likeliest half, per token")
CLOSED = tuple(name for name in METHODS if name not in OPEN)
GAP = (PLAIN, SOFT, "confidence loss 0.5")  # does the confidence loss help only where the gap is large?
DECISIONS = (
    *GAP,
    RANDOM,
    "confident half",
    "average of 3 (order)",
    "bootstrapping through pocket-m",
    "adapted to the inputs",
    "random errors",
    TRUSTED,
)
LEARNT = replace(  # models learn to name the topic in fine-tuning only, at a higher rate
    USUAL, weak_recipe=Recipe(epochs=8, learning_rate=2e-3), recipe=replace(USUAL.recipe, learning_rate=1e-3)
)
ABLE = replace(USUAL, weak_recipe=Recipe(epochs=8, learning_rate=1e-3))  # a supervisor that is trained further
UNTAUGHT = replace(  # random weights; of 5e-4, 1e-3, 2e-3 and 4e-3, this is the rate of the best ceiling in validation
    USUAL, strong="scratch:pocket-l", recipe=replace(USUAL.recipe, epochs=8, learning_rate=5e-4)
)
GRIDS = (
    Grid("sentiment", "sentiment", USUAL, CLOSED),
    Grid("sentiment, small gap", "sentiment", ABLE, GAP),
    Grid("sentiment, no pre-training", "sentiment", UNTAUGHT, (PLAIN, "random errors")),
    Grid("helpdesk", "helpdesk", USUAL, DECISIONS, replace(SIZES, supervisor_train=1000)),
    Grid(
        "summary",
        "summary",
        Plan("pocket-m", "pocket-l", OPEN_RECIPE, OPEN_RECIPE),
        (PLAIN, OPEN[0], RANDOM, OPEN[2], "high IFD", "adapted to the inputs"),
        replace(SIZES, supervisor_train=1000),
    ),
    Grid("topic", "topic", LEARNT, (PLAIN, "adapted to the inputs"), SplitSizes(700, 1500, 700, 100)),
)


# Gain and misfit compare a student with its own supervisor: only methods with labels of that one supervisor are here.
# With two answers, the half with the widest margin is the confident half: the same students, which count once.
SAME = "half with the widest margin"
MISFIT = {
    "plain weak labels": (PLAIN,),
    "other losses": tuple(name for name in CLOSED if METHODS[name].group == LOSSES),
    "selected weak labels": tuple(name for name in CLOSED if METHODS[name].group == SELECTION and name != SAME),
    "linear probe, ridge": ("linear probe, ridge",),
}
MISFIT_GRIDS = ("sentiment", "sentiment, small gap")


# -- the study ---------------------------------------------------------------------------------------------------


def _stages(setting: Setting) -> list[list[Job]]:
    cells = [(number, seed) for number in range(len(GRIDS)) for seed in range(setting.seeds)]
    first = [Job(f"{GRIDS[n].name}, seed {s}, shared", cell, (_shared, setting, n, s)) for n, s in cells]
    second = [
        Job(f"{GRIDS[n].name}, seed {s}, {name}", cell, (_method, setting, n, s, name))
        for n, s in cells
        for name in GRIDS[n].names
        if name != PLAIN
    ]
    return [first, second]


def _bench(store: Store, device: str, number: int, seed: int) -> Bench:
    grid = GRIDS[number]
    return bench(store, grid.task, replace(grid.plan, device=device), seed, grid.sizes)


def _shared(store: Store, device: str, number: int, seed: int) -> Rows:
    """Train what several methods need, so that no two jobs train it at once; measure what needs no other training."""
    own, grid = _bench(store, device, number, seed), GRIDS[number]
    names = {"grid": grid.name, "seed": seed}
    outcome = METHODS[PLAIN].learn(own)
    rows = [names | {"method": PLAIN, "examples": len(own.labels)} | outcome_numbers(outcome)]
    if grid.methods == CLOSED:
        by_seed(own), by_data(own), by_size(own)
        rows += [names | row for row in (*_probes(own), _cascade(own, outcome))]
    return rows


def _method(store: Store, device: str, number: int, seed: int, name: str) -> Rows:
    own = _bench(store, device, number, seed)
    outcome = method(name).learn(own)
    return [{"grid": GRIDS[number].name, "seed": seed, "method": name} | outcome_numbers(outcome)]


def _probes(own: Bench) -> Rows:
    """A student made of frozen features and a linear probe; its ceiling is the same probe fitted on the truth."""
    network = load_model(own.plan.strong, device=own.plan.device)
    train, test = features(network, own.splits.student_train), features(network, own.splits.test)
    rows = []
    for name, fit in (
        ("linear probe, logistic", lambda labels, soft: fit_probe(train, labels, C=0.01)),
        ("linear probe, ridge", lambda labels, soft: ridge_probe(train, labels, alpha=100.0, soft=soft)),
    ):
        student, ceiling = (
            score(predict(fit(labels, labels.probs is not None), test, own.splits.test), own.reference)
            for labels in (own.labels, own.splits.student_train)
        )
        found = numbers(Comparison(score(own.reference, own.reference), student, ceiling))
        found["ceiling_distance"] = distance(ceiling.probs, one_hot(ceiling))  # of the class from the truth
        rows.append({"method": name, "label_accuracy": own.labels.label_accuracy} | found)
    return rows


def _cascade(own: Bench, outcome: Outcome) -> dict:
    """The weak supervisor answers where it is confident, else the student; trusted examples set the threshold."""
    student = own.train(own.strong, own.labels, own.plan.recipe, "strong student", watch=own.watch,
                        reference=own.watched)  # fmt: skip
    answered, n = own.store.labels(student, own.watch), len(own.splits.test)
    cost = tuple(flops_per_item(m, own.splits.test) for m in (load_model(own.plan.weak, device="cpu"), student))
    strong_test = answered.take(range(n))
    threshold = fit_threshold(own.trusted(own.watched), own.trusted(answered), tolerance=0.01)
    mixed, asked = cascade(own.reference, strong_test, threshold)
    curve = cascade_curve(own.reference, strong_test, cost=cost)
    return {
        "method": "cascade",
        "accuracy": score(mixed).accuracy,
        "weak": outcome.comparison.weak.accuracy,
        "student": outcome.comparison.student.accuracy,
        "threshold": threshold,
        "asked": asked / n,
        "cost": cost,
        "curve": [  # JSON has no infinity: None is the threshold that always asks the strong model
            [None if value == math.inf else float(f"{value:.5g}") for value in astuple(point)]
            for point in (*curve[: -1 : max(1, len(curve) // 25)], curve[-1])
        ],
    }


MOMENTS = {"at the end": AT_END, "at the trusted snapshot": AT_TRUSTED}


def effects_of(rows: Rows, accuracy: str = AT_END) -> dict[str, list[Effect]]:
    """Grid -> what each method changes in test accuracy, paired by seed; `accuracy` is one of `MOMENTS`."""
    found = {}
    for grid in GRIDS:
        found[grid.name] = []
        for name in grid.names[1:]:
            treated = select(rows, grid=grid.name, method=name)
            control = select(rows, grid=grid.name, method=grid.control(name))
            if treated:
                effect = paired_effect(name, column(treated, accuracy), column(control, accuracy))
                found[grid.name].append(effect)
    return found


def misfit_points(rows: Rows) -> dict[str, list[tuple[float, float, int]]]:
    """Kind of student, a key of MISFIT -> (misfit, gain, seed) of each student of one supervisor's labels."""
    own = [row for row in rows if row["grid"] in MISFIT_GRIDS]
    return {
        kind: [(row["misfit"], row["gain"], row["seed"]) for row in own if row["method"] in names]
        for kind, names in MISFIT.items()
    }


def misfit_slope(rows: Rows) -> Slope:
    """Gain on misfit, over the fine-tuned students of one supervisor's labels; the interval is clustered by seed."""
    tuned = [name for kind, names in MISFIT.items() if "probe" not in kind for name in names]
    own = [row for row in rows if row["grid"] in MISFIT_GRIDS and row["method"] in tuned]
    return slope(column(own, "misfit"), column(own, "gain"), clusters=[row["seed"] for row in own])


def _finish(rows: Rows) -> tuple[dict, str, dict[str, Figure]]:
    effects = {moment: effects_of(rows, name) for moment, name in MOMENTS.items()}
    texts, table = [], {}
    for grid in GRIDS:
        own = select(rows, grid=grid.name, method=PLAIN)
        where = {name: mean_of(own, name) for name in ("weak", "accuracy", "ceiling", "pgr", "best_accuracy")}
        end, trusted = (_facts(grid, found[grid.name]) for found in effects.values())
        table[grid.name] = {
            "plain": where,
            "seeds": len(own),
            "effects": end,
            "effects at the trusted snapshot": trusted,
        }
        head = f"{grid.name}: weak {where['weak']['mean']:.3f}, student of plain weak labels "
        head += f"{where['accuracy']['mean']:.3f}, ceiling {where['ceiling']['mean']:.3f}; {len(own)} seeds"
        texts += [head]
        for moment, found in effects.items():
            texts += [moment, effects_table(found[grid.name]), ""]
    facts = {
        "grids": {grid.name: {"sizes": astuple(grid.sizes), **grid.plan.to_dict()} for grid in GRIDS},
        "adapt": ADAPT.to_dict(),
        "summary": table,
        "gain against misfit": asdict(misfit_slope(rows)),
        "rows": rounded(sorted(rows, key=lambda row: (row["grid"], row["method"], row["seed"]))),
    }
    probes = [_line(rows, name) for name in ("linear probe, logistic", "linear probe, ridge", "cascade")]
    return facts, "\n".join([*texts, *probes]), _figures(rows, effects)


def _facts(grid: Grid, effects: list[Effect]) -> list[dict]:
    """The effects of one grid at one moment, which are one family of tests, as JSON values."""
    return [one | {"control_name": grid.control(one["name"])} for one in family_values(effects)]


def _figures(rows: Rows, effects: dict[str, dict[str, list[Effect]]]) -> dict[str, Figure]:
    first, groups, others = GRIDS[0].name, {}, {}
    for moment, found in effects.items():
        own = groups.setdefault(moment, {})
        for effect in found[first]:
            own.setdefault(method(effect.name).group, []).append(effect)
        others[moment] = {name: rest for name, rest in found.items() if name != first and rest}
    control = (
        f"{PLAIN}\n(selection: {RANDOM}, or as many of each answer at random; confidence loss: {SOFT};\n"
        "thirds: one of the three, weights: equal ones; errors in the hard slices: random errors)"
    )
    curve = select(rows, method="cascade")[0]["curve"]
    return {
        "methods.png": moments_figure(groups, control),
        "methods-tasks.png": moments_figure(others, control),
        "misfit.png": misfit_figure(misfit_points(rows)),
        "cascade.png": one(cascade_plot, [(1.01 if at is None else at, cost, right) for at, _, cost, right in curve]),
    }


def _line(rows: Rows, name: str) -> str:
    found = select(rows, grid=GRIDS[0].name, method=name)
    means = {key: mean_of(found, key)["mean"] for key in ("weak", "accuracy", "ceiling", "pgr", "asked")}
    words = ", ".join(f"{key} {value:.3f}" for key, value in means.items() if value is not None)
    return f"{name:<24}{words}"


STUDY = Study("methods", "what does each method change, against plain weak labels?", 8, _stages, _finish)
