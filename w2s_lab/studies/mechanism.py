"""Do the built-in data show what they were built to show? A long fine-tuning on sentiment, several seeds.

Every seed draws a new split and trains its own supervisor. Measured: PGR at the best snapshot (an oracle's choice), at
the one that a trusted validation set chooses, and at the end; agreement and imitation along the way; the same student
on labels with as many errors at random places; and the results of stopping rules that need no test set.
"""

from collections.abc import Sequence
from dataclasses import asdict, astuple, dataclass, replace

from matplotlib.figure import Figure

from w2s_lab.experiments.procedure import Bench, Outcome, Plan, split_curve
from w2s_lab.experiments.store import Store
from w2s_lab.figures import plots
from w2s_lab.methods.simulated import random_errors
from w2s_lab.metrics import mean_interval
from w2s_lab.recipe import Recipe
from w2s_lab.records import Comparison, Snapshot
from w2s_lab.studies.study import SIZES, Rows, Setting, Study, bench, cell
from w2s_lab.system.jobs import Job
from w2s_lab.training.stopping import at_agreement, at_examples, recovered

PLAN = Plan(recipe=Recipe(epochs=10, learning_rate=1e-4, eval_every=16))


@dataclass(frozen=True, eq=False)
class Pair:
    """One seed of the study: the student on weak labels and the student on random errors, paired by supervisor.

    `supervisor_accuracy` is what the trusted validation examples say of the supervisor: an estimate.
    """

    weak_labels: Outcome
    random_errors: Outcome
    supervisor_accuracy: float


def _stages(setting: Setting) -> list[list[Job]]:
    return [[Job(f"seed {seed}", cell, (_seed, setting, seed)) for seed in range(setting.seeds)]]


def _seed(store: Store, device: str, seed: int) -> Rows:
    own = bench(store, "sentiment", replace(PLAN, device=device), seed, SIZES)
    outcome = own.student(own.labels)
    return [{"seed": seed, "pair": Pair(outcome, random_error_control(own, outcome), trusted_accuracy(own))}]


def trusted_accuracy(own: Bench) -> float:
    """The weak supervisor's accuracy on the trusted validation examples: an estimate of how often it is right."""
    return own.trusted(own.watched).label_accuracy


def random_error_control(own: Bench, outcome: Outcome) -> Outcome:
    """The same student on labels that are wrong just as often, but at random places."""
    labels = random_errors(own.splits.student_train, outcome.label_accuracy, seed=own.seed)
    model = own.train(own.strong, labels, own.plan.recipe, "student on random errors", watch=own.watch)
    curve, trusted = split_curve(model.history, own.splits)
    comparison = Comparison(outcome.comparison.weak, curve[-1].evaluation, outcome.comparison.ceiling)
    return Outcome(own.seed, comparison, labels.label_accuracy, curve, trusted)


def _finish(rows: Rows) -> tuple[dict, str, dict[str, Figure]]:
    pairs = [row["pair"] for row in sorted(rows, key=lambda row: row["seed"])]
    found = mechanism_numbers(pairs)
    facts = {"task": "sentiment", "sizes": astuple(SIZES), **PLAN.to_dict(), **found}
    return facts, mechanism_text(found), {"mechanism.png": mechanism_figure(pairs)}


def mechanism_numbers(pairs: Sequence[Pair]) -> dict:
    """Per-seed numbers and their means with 95 % t intervals over seeds, as plain JSON values."""
    rows = [_seed_numbers(pair) for pair in pairs]
    means = {
        name: asdict(mean_interval([row[name] for row in rows if row[name] is not None]))
        for name, value in rows[0].items()
        if name not in ("seed", "slices")
    }
    slices = {
        tag: {
            when: mean_interval([row["slices"][tag][when] for row in rows if tag in row["slices"]]).mean
            for when in ("weak", "student at best", "student at end", "ceiling")
        }
        for tag in sorted({tag for row in rows for tag in row["slices"]})
    }
    return {"means": means, "slices": slices, "seeds": rows}


def _seed_numbers(pair: Pair) -> dict:
    outcome, control = pair.weak_labels, pair.random_errors
    end, best, trusted = outcome.curve[-1], outcome.best, outcome.trusted_choice
    weak, ceiling = outcome.comparison.weak, outcome.comparison.ceiling
    numbers = {
        "seed": outcome.seed,
        "label_accuracy": outcome.label_accuracy,
        "weak_accuracy": weak.accuracy,
        "ceiling_accuracy": ceiling.accuracy,
        "random_pgr_at_best": control.pgr_at(control.best),
        "random_pgr_at_trusted": control.pgr_at(control.trusted_choice),
        "random_pgr_at_end": control.pgr_at(control.curve[-1]),
        "trusted_step": trusted.step,
        "best_step": best.step,
    }
    for when, snapshot in (("best", best), ("trusted", trusted), ("end", end)):
        numbers[f"student_accuracy_at_{when}"] = snapshot.evaluation.accuracy
        numbers[f"pgr_at_{when}"] = outcome.pgr_at(snapshot)
        numbers[f"agreement_at_{when}"] = snapshot.evaluation.agreement
        numbers[f"imitation_at_{when}"] = snapshot.evaluation.imitation
    for name in ("pgr", "agreement", "imitation"):
        numbers[f"{name}_end_minus_best"] = _difference(numbers[f"{name}_at_end"], numbers[f"{name}_at_best"])
    for when in ("end", "best"):
        numbers[f"random_minus_weak_pgr_at_{when}"] = _difference(
            numbers[f"random_pgr_at_{when}"], numbers[f"pgr_at_{when}"]
        )
    for rule, chosen in stopped(outcome, pair.supervisor_accuracy, SIZES.student_train).items():
        numbers[f"recovered by {rule}"] = recovered(chosen, end, best)
    evaluations = {
        "weak": weak,
        "student at best": best.evaluation,
        "student at end": end.evaluation,
        "ceiling": ceiling,
    }
    per_model = {when: evaluation.by_slice() for when, evaluation in evaluations.items()}
    numbers["slices"] = {
        tag: {when: found[tag][0] for when, found in per_model.items()} | {"examples": count}
        for tag, (_, count) in per_model["weak"].items()
    }
    return numbers


def stopped(outcome: Outcome, supervisor_accuracy: float, an_epoch: int) -> dict[str, Snapshot]:
    """The snapshot at which each stopping rule would have stopped a student; no rule looks at the test set's truth.

    Args:
        outcome: of the student.
        supervisor_accuracy: of its supervisor, as trusted examples estimate it.
        an_epoch: examples in a pass over the weak labels.
    """
    return {
        "trusted examples": outcome.trusted_choice,
        "agreement": at_agreement(outcome.curve, supervisor_accuracy),
        **{f"{n} epoch{'s' * (n > 1)}": at_examples(outcome.curve, n * an_epoch) for n in (1, 2, 3)},
    }


def _difference(value: float | None, less: float | None) -> float | None:
    return None if value is None or less is None else value - less


def mechanism_text(found: dict) -> str:
    """The means as aligned text."""
    lines = [f"{'':<34}{'mean':>9}  95 % interval over {len(found['seeds'])} seeds"]
    for name, row in found["means"].items():
        ends = "" if row["low"] is None else f"[{row['low']:.3f}, {row['high']:.3f}]"
        mean = "undefined" if row["mean"] is None else f"{row['mean']:.3f}"
        lines.append(f"{name.replace('_', ' '):<34}{mean:>9}  {ends}".rstrip())
    lines += ["", f"{'slice':<22}" + "".join(f"{when:>17}" for when in next(iter(found["slices"].values())))]
    lines += [
        f"{tag:<22}" + "".join(f"{value:>17.3f}" for value in row.values()) for tag, row in found["slices"].items()
    ]
    lines += ["", "The best snapshot is an oracle's choice: it is picked on the test set."]
    return "\n".join(lines)


def mechanism_figure(pairs: Sequence[Pair]) -> Figure:
    """Learning curves, what becomes of the supervisor's errors, and the control with random errors."""
    figure = Figure(figsize=(19, 6.8), layout="constrained")
    left, middle, right = figure.subplots(1, 3, width_ratios=(1, 1, 1.35))
    outcomes = [pair.weak_labels for pair in pairs]
    weak, ceiling = (
        mean_interval([getattr(o.comparison, role).accuracy for o in outcomes]).mean for role in ("weak", "ceiling")
    )
    plots.learning_curves([o.curve for o in outcomes], left, weak=weak, ceiling=ceiling)
    plots.error_curves([o.curve for o in outcomes], middle)
    controls = [pair.random_errors for pair in pairs]
    chosen, end = "random errors,\nchosen by\nvalidation", "random errors,\nend"
    plots.pgr_dots(
        {
            "weak labels,\nbest snapshot": [o.pgr_at(o.best) for o in outcomes],
            "weak labels,\nchosen by\nvalidation": [o.pgr_at(o.trusted_choice) for o in outcomes],
            "weak labels,\nend": [o.comparison.pgr for o in outcomes],
            chosen: [o.pgr_at(o.trusted_choice) for o in controls],
            end: [o.comparison.pgr for o in controls],
        },
        right,
        roles={chosen: "random", end: "random"},
    )
    return figure


STUDY = Study("mechanism", "does the built-in world show what it was built to show?", 8, _stages, _finish)
