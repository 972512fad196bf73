"""Named studies: the procedure over many seeds, in parallel, with what was found written down."""

import json
import multiprocessing
import os
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import asdict, astuple, dataclass, replace
from pathlib import Path

import torch
from matplotlib.figure import Figure
from tqdm.auto import tqdm

from w2s_lab import plots
from w2s_lab.data import SplitSizes, load_splits
from w2s_lab.experiments import Outcome, Plan, random_error_control, weak_to_strong
from w2s_lab.metrics import mean_interval
from w2s_lab.recipe import Recipe
from w2s_lab.report import versions
from w2s_lab.store import Store

MECHANISM_SIZES = SplitSizes(supervisor_train=1500, student_train=1500, test=1000, validation=100)
MECHANISM_PLAN = Plan(recipe=Recipe(epochs=10, learning_rate=1e-4, eval_every=16))


@dataclass(frozen=True, eq=False)
class Pair:
    """One seed of the study: the student on weak labels and the student on random errors, paired by supervisor."""

    weak_labels: Outcome
    random_errors: Outcome


def _mechanism_seed(seed: int, store: str, device: str, threads: int) -> Pair:
    torch.set_num_threads(threads)
    plan = replace(MECHANISM_PLAN, device=device)
    splits = load_splits("sentiment", seed=seed, sizes=MECHANISM_SIZES)
    outcome = weak_to_strong(splits, plan, Store(store), seed=seed)
    return Pair(outcome, random_error_control(splits, plan, Store(store), outcome))


def mechanism(*, seeds: int, workers: int, store: str, output: Path, device: str = "auto") -> tuple[str, list[Path]]:
    """Does the built-in world show what it was built to show? A long fine-tuning on sentiment, several seeds.

    Every seed draws a new split and trains its own supervisor. Measured: PGR at the best snapshot (an oracle's choice),
    at the one that a trusted validation set chooses, and at the end; agreement and imitation along the way; the same
    student on labels with as many errors at random places.

    Returns:
        A text for people, and the files written: `mechanism.json` and `mechanism.png`.
    """
    workers = min(workers, seeds)
    threads = max(1, (os.cpu_count() or 1) // workers)
    pairs: dict[int, Pair] = {}
    # spawn: a forked child of a process that has used torch's threads may hang
    with ProcessPoolExecutor(workers, multiprocessing.get_context("spawn")) as pool:
        jobs = {pool.submit(_mechanism_seed, seed, store, device, threads): seed for seed in range(seeds)}
        for job in tqdm(as_completed(jobs), total=seeds, desc="mechanism", unit="seed"):
            pairs[jobs[job]] = job.result()
    ordered = [pairs[seed] for seed in range(seeds)]
    found = mechanism_numbers(ordered)
    output.mkdir(parents=True, exist_ok=True)
    facts = {
        "command": f"w2s-lab study mechanism --seeds {seeds}",
        "versions": versions(),
        "task": "sentiment",
        "sizes": astuple(MECHANISM_SIZES),
        **MECHANISM_PLAN.as_dict(),
        **found,
    }
    (output / "mechanism.json").write_text(json.dumps(facts, indent=1) + "\n")
    mechanism_figure(ordered).savefig(output / "mechanism.png", dpi=150)
    return mechanism_text(found), [output / "mechanism.json", output / "mechanism.png"]


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
