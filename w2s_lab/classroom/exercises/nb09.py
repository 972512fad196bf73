"""Exercises of notebook 09: what plans cost, which are worth their money, and a pipeline of one's own."""

import math
from collections.abc import Callable, Mapping
from functools import cache

import numpy as np

from w2s_lab.classroom.dashboards.budget_explorer import measured_grid
from w2s_lab.classroom.dashboards.flywheel_health import DIALS, study_rounds
from w2s_lab.classroom.exercises.exercise import Exercise, of_the_result
from w2s_lab.classroom.toolkit.measured import measured
from w2s_lab.data.sources import SplitSizes, load_splits
from w2s_lab.methods import mixing, proposals
from w2s_lab.methods.mixing import Measured


def plan_costs(plans, human_cost, weak_cost, taught):
    found = []
    for human, weak in plans:
        paid = human + (taught if weak else 0)
        found.append(paid * human_cost + weak * weak_cost)
    return found


def pareto_frontier(costs, accuracies):
    kept, best = [], -math.inf
    for i in sorted(range(len(costs)), key=lambda i: costs[i]):
        if accuracies[i] > best:
            kept.append(i)
            best = accuracies[i]
    return kept


def cheapest_plan(costs, accuracies, floor):
    good = [i for i in range(len(costs)) if accuracies[i] >= floor]
    return min(good, key=lambda i: costs[i]) if good else None


def my_pipeline():
    return {
        "labels": {"human": 100, "weak": 500, "way": "mixed in"},
        "held_out": 120,
        "flywheel": {"run": "temperature 1, answers checked, seed kept", "rounds": 2},
        "near_duplicate": 0.9,
        "checks": ["test accuracy", "answer balance", "distinct-2"],
        "stop": "held-out accuracy",
        "control": {"human": 100, "weak": 0},
    }


# -- inputs ----------------------------------------------------------------------------------------------------------


def _plans(rng: np.random.Generator) -> tuple[list[tuple[int, int]], float, float, int]:
    human, weak = rng.integers(10, 500, 5).tolist(), rng.integers(100, 2000, 5).tolist()
    weak[int(rng.integers(5))] = 0
    plans = list(zip(human, weak, strict=True))
    return plans, float(rng.integers(5, 50)), float(rng.integers(1, 10)) / 10, int(rng.integers(500, 1500))


def _costs(rng: np.random.Generator) -> tuple[list[int], list[float]]:
    """In no order of costs; from the cheapest up: rise, fall, rise below the best, equal the best, rise, fall, rise."""
    costs = rng.choice(np.arange(10, 500), 9, replace=False)
    level = np.sort(rng.choice(np.arange(55, 100), 8, replace=False)) / 100
    accuracies = np.empty(9)
    accuracies[np.argsort(costs)] = level[[0, 3, 1, 2, 3, 5, 4, 6, 7]]
    return costs.tolist(), accuracies.tolist()


def _floors(rng: np.random.Generator) -> tuple[list[int], list[float], float]:
    """A floor that a plan of medium cost just reaches; now and then one that none reaches."""
    costs, accuracies = _costs(rng)
    middle = pareto_frontier(costs, accuracies)[1]
    return costs, accuracies, 0.999 if rng.random() < 0.2 else accuracies[middle]


# -- mistakes --------------------------------------------------------------------------------------------------------


def _priced(plans: list, human_cost: float, weak_cost: float, taught: int) -> list[float]:
    prices = {"human_cost": human_cost, "weak_cost": weak_cost}
    return [mixing.cost(human + (taught if weak else 0), weak, **prices) for human, weak in plans]


def _frontier_rows(costs: list[int], accuracies: list[float]) -> list[int]:
    points = [Measured(cost, 0, accuracy) for cost, accuracy in zip(costs, accuracies, strict=True)]
    return [points.index(point) for point in mixing.frontier(points, human_cost=1.0, weak_cost=1.0)]


def _cheapest_row(costs: list[int], accuracies: list[float], floor: float) -> int | None:
    points = [Measured(cost, 0, accuracy) for cost, accuracy in zip(costs, accuracies, strict=True)]
    found = mixing.cheapest(points, floor, human_cost=1.0, weak_cost=1.0)
    return None if found is None else points.index(found)


def _better_than_the_one_before(costs: list[int], accuracies: list[float]) -> list[int]:
    order = np.argsort(costs).tolist()
    return [i for place, i in enumerate(order) if not place or accuracies[i] > accuracies[order[place - 1]]]


def _with_ties(costs: list[int], accuracies: list[float]) -> list[int]:
    kept: list[int] = []
    for i in np.argsort(costs).tolist():
        if not kept or accuracies[i] >= accuracies[kept[-1]]:
            kept.append(i)
    return kept


def _in_the_order_given(costs: list[int], accuracies: list[float]) -> list[int]:
    return [i for i in range(len(costs)) if accuracies[i] > max(accuracies[:i], default=-math.inf)]


def _reaching(test: Callable[[float, float], bool], pick: Callable) -> Callable:
    def found(costs: list[int], accuracies: list[float], floor: float) -> object:
        good = [i for i in range(len(costs)) if test(accuracies[i], floor)]
        return pick(good, costs, accuracies) if good else None

    return found


def _at_least(accuracy: float, floor: float) -> bool:
    return accuracy >= floor


# -- the pipeline ----------------------------------------------------------------------------------------------------

HUMAN_COST, WEAK_COST = 20.0, 1.0
BUDGET, FLOOR = 6_500.0, 0.93
SYNTHETIC = 800  # examples that no person answered, at least
HALF_WIDTH = 0.05  # of the 95 % interval of an accuracy at the floor
PASS = 0.85  # of real inputs that a near-duplicate filter must let pass
PROPOSALS, LABELS, OUTCOME = {"duplicate rate", "distinct-2", "perplexity"}, {"answer balance"}, {"test accuracy"}


@cache
def _accuracies() -> Mapping[tuple[int, int, str], float]:
    """(human, weak, way) -> mean accuracy over seeds, as the budget study found it."""
    study = measured("budget")
    ways = dict.fromkeys(row["way"] for row in study["rows"])
    return {(p.human, p.weak, way): p.accuracy for way in ways for p in measured_grid(study, way)}


@cache
def _real_inputs_that_pass(threshold: float) -> float:
    """Of 300 real inputs, the fraction that a near-duplicate filter keeps beside 1,000 other real ones."""
    splits = load_splits("sentiment", seed=0, sizes=SplitSizes(1000, 300, 1, 0))
    pool, real = ([e.input for e in part.examples] for part in (splits.supervisor_train, splits.student_train))
    return len(proposals.without_near_duplicates(real, pool, threshold).rows) / len(real)


def _labels(plan: Mapping) -> tuple[int, int, str]:
    return tuple(plan["labels"][key] for key in ("human", "weak", "way"))


def _written(plan: Mapping) -> int:
    """Proposals of all rounds together; each is written and answered by models, at the price of a weak label."""
    return plan["flywheel"]["rounds"] * measured("flywheel")["configurations"]["healthy"]["proposals"]


def pipeline_cost(plan: Mapping) -> float:
    """Units of money for a plan's labels, its held-out truth and its proposals."""
    human, weak, _ = _labels(plan)
    prices = {"human_cost": HUMAN_COST, "weak_cost": WEAK_COST}
    return mixing.cost(human + plan["held_out"], weak + _written(plan), **prices)


def _stays_green(run: str, rounds: int) -> bool:
    """Whether no dial is red in any round of this run of the flywheel study."""
    study = measured("flywheel")
    if run not in study["configurations"] or not 1 <= rounds <= study["configurations"][run]["rounds"]:
        return False
    found = study_rounds(study, run)
    return not any(dial.is_red(found, number) for dial in DIALS for number in range(1, rounds + 1))


def _enough_held_out(count: int) -> bool:
    return count > 0 and 1.96 * math.sqrt(FLOOR * (1 - FLOOR) / count) <= HALF_WIDTH


def _is_control(plan: Mapping) -> bool:
    """Measured, without anything synthetic, and no dearer than the pipeline."""
    human, weak = plan["control"]["human"], plan["control"]["weak"]
    cost = mixing.cost(human + plan["held_out"], 0, human_cost=HUMAN_COST, weak_cost=WEAK_COST)
    return weak == 0 and (human, 0, "mixed in") in _accuracies() and cost <= pipeline_cost(plan)


CRITERIA = (
    (
        "`labels` is a plan that the budget study measured",
        lambda plan: _labels(plan) in _accuracies(),
    ),
    (
        f"human labels, held out ones too, at {HUMAN_COST:g}, weak labels and proposals at {WEAK_COST:g}: together at "
        f"most {BUDGET:,.0f}",
        lambda plan: pipeline_cost(plan) <= BUDGET,
    ),
    (
        f"the accuracy that was measured for `labels` is at least {FLOOR}",
        lambda plan: _accuracies().get(_labels(plan), 0.0) >= FLOOR,
    ),
    (
        f"at least {SYNTHETIC} synthetic examples (weak labels and proposals)",
        lambda plan: plan["labels"]["weak"] + _written(plan) >= SYNTHETIC,
    ),
    (
        "`flywheel` is a run of the study whose dials all stay green up to `rounds`",
        lambda plan: _stays_green(plan["flywheel"]["run"], plan["flywheel"]["rounds"]),
    ),
    (
        f"the near-duplicate filter refuses at a ROUGE-L below 1, and lets {PASS:.0%} of real inputs pass",
        lambda plan: 0 < plan["near_duplicate"] < 1 and _real_inputs_that_pass(plan["near_duplicate"]) >= PASS,
    ),
    (
        f"`held_out` is enough to know an accuracy of {FLOOR} to ± {HALF_WIDTH} (95 %)",
        lambda plan: _enough_held_out(plan["held_out"]),
    ),
    (
        "`checks` watches the outcome, the labels and the proposals: one dial of each at least",
        lambda plan: all(set(plan["checks"]) & some for some in (OUTCOME, LABELS, PROPOSALS)),
    ),
    (
        "`stop` looks at held-out truth",
        lambda plan: plan["stop"] == "held-out accuracy",
    ),
    (
        "`control` is a measured plan without anything synthetic that costs no more",
        _is_control,
    ),
)

EXERCISES = (
    Exercise(
        plan_costs,
        _plans,
        key=_priced,
        mistakes=(
            (
                "You forgot the supervisor: where there are weak labels, the truth that it learnt was paid for, too.",
                lambda plans, h, w, taught: [human * h + weak * w for human, weak in plans],
            ),
            (
                "You pay for the supervisor's truth in every plan; without weak labels no supervisor is needed.",
                lambda plans, h, w, taught: [(human + taught) * h + weak * w for human, weak in plans],
            ),
            (
                "The supervisor's examples are human labels: they cost the human price.",
                lambda plans, h, w, taught: [human * h + (weak + (taught if weak else 0)) * w for human, weak in plans],
            ),
            (
                "The two prices are swapped.",
                lambda plans, h, w, taught: _priced(plans, w, h, taught),
            ),
            (
                "This is the sum over the plans; return one number for each.",
                lambda plans, h, w, taught: sum(_priced(plans, h, w, taught)),
            ),
        ),
        hints=(
            "For one plan without weak labels: human * human_cost.",
            "With weak labels two things are added: weak * weak_cost, and the truth that the supervisor learnt.",
            "(human + (taught if weak else 0)) * human_cost + weak * weak_cost, for each plan.",
        ),
    ),
    Exercise(
        pareto_frontier,
        _costs,
        key=_frontier_rows,
        mistakes=(
            (
                "You compare with the plan just before; compare with the best of all cheaper ones.",
                _better_than_the_one_before,
            ),
            (
                "Of two equally accurate plans only the cheaper one is on the frontier: ask for more, not for as much.",
                _with_ties,
            ),
            (
                "You went through the plans in the order given: sort them by cost first.",
                _in_the_order_given,
            ),
            (
                "These are the plans from the cheapest to the dearest; drop those that a cheaper one equals or beats.",
                lambda costs, accuracies: np.argsort(costs).tolist(),
            ),
            (
                "These are the accuracies of the right plans; return their numbers in the list.",
                lambda costs, accuracies: [accuracies[i] for i in _frontier_rows(costs, accuracies)],
            ),
        ),
        hints=(
            "Go from the cheapest to the dearest, and remember the best accuracy so far.",
            "sorted(range(len(costs)), key=lambda i: costs[i]) gives the numbers of the plans by cost.",
            "Keep number i if accuracies[i] > best; then best = accuracies[i].",
        ),
    ),
    Exercise(
        cheapest_plan,
        _floors,
        key=_cheapest_row,
        cases=(([300, 100, 200], [0.7, 0.5, 0.6], 0.9),),  # no plan reaches the floor
        mistakes=(
            (
                "This is the most accurate plan. Above the floor, more accuracy is not asked for: take the cheapest.",
                _reaching(_at_least, lambda good, costs, accuracies: max(good, key=lambda i: accuracies[i])),
            ),
            (
                "This is the cheapest plan of all; first keep those that reach the floor.",
                lambda costs, accuracies, floor: int(np.argmin(costs)) if max(accuracies) >= floor else None,
            ),
            (
                "A plan exactly at the floor is good enough: at least, not above.",
                _reaching(lambda a, floor: a > floor, lambda good, costs, _: min(good, key=lambda i: costs[i])),
            ),
            (
                "This is its cost; return its number in the list.",
                _reaching(_at_least, lambda good, costs, accuracies: min(costs[i] for i in good)),
            ),
            (
                "You took the first in the list that reaches the floor; the list is not sorted by cost.",
                _reaching(_at_least, lambda good, costs, accuracies: good[0]),
            ),
        ),
        hints=(
            "First the numbers of all plans whose accuracy is at least the floor.",
            "Of those the one with the smallest cost: min(good, key=lambda i: costs[i]).",
            "Where none reaches the floor, return None.",
        ),
    ),
    Exercise(
        my_pipeline,
        lambda rng: (),
        criteria=of_the_result(CRITERIA),
        hints=(
            "Begin with `labels`: which measured plans with weak labels reach the floor, and at what price?",
            "How the human labels are used matters: look at the ways. For the flywheel, look at the dashboard of "
            "notebook 08: which runs stay green? For `held_out`: 1.96 · √(p(1 − p)/n).",
            "For example 100 human and 500 weak labels, mixed in; 120 held out; two rounds of the run with temperature "
            "1, answers checked, seed kept; 0.9; one check of each kind; a control of human labels alone.",
        ),
    ),
)
