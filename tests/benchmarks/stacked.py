"""Several seeds of one small training: stacked into one, or one after the other?

    python -m tests.benchmarks.stacked --json data/results/stacked.json

Stacked: the weights of S seeds are tensors [S, ...]; torch.func.vmap over functional_call computes the S losses and
gradients of S batches at once, each seed with its own order of the examples; one AdamW updates them all; the gradient
of each seed is clipped on its own. One after the other: the kit's own loop. Same examples, schedule and start.

What all prompts begin with is read once in both. A stacked batch is as wide as the longest row of any seed, with masks
and positions made here.

Wall-clock times are medians over repeats, with their range; processor seconds (of all threads) say what the work takes
where others use the machine, too. "N processes": an estimate, the kit's time with one thread over N, for N cores that
each train a seed on their own.
"""

import os
import time
from collections.abc import Callable, Sequence
from statistics import median

import numpy as np
import torch
from torch import Tensor
from torch.func import functional_call, grad_and_value, vmap
from torch.nn.attention import SDPBackend, sdpa_kernel

from w2s_lab.data.sources import load_splits
from w2s_lab.models.language_model import LanguageModel
from w2s_lab.models.llama import who_sees
from w2s_lab.models.loading import load_model
from w2s_lab.models.rows import with_prefix_row
from w2s_lab.objective import sequence_log_prob
from w2s_lab.recipe import Recipe
from w2s_lab.records import LabelledSet
from w2s_lab.training.loop import batches, learning_rate_at, training_steps

from .common import BATCH, arguments, encoded, save, synchronize, use_threads

WORTH_IT = 3.0  # from this speed-up on, studies would stack their seeds
Trained = tuple[Tensor, dict[str, Tensor]]  # losses of every step [S, steps]; name -> weights [S, ...]


def recipe(seed: int) -> Recipe:
    """One pass in float32; the loss of every step is kept."""
    return Recipe(epochs=1, batch_size=BATCH, learning_rate=5e-4, seed=seed, eval_every=1, precision="float32")


# -- the two ways ------------------------------------------------------------------------------------------------


def one_after_the_other(model: LanguageModel, data: LabelledSet, seeds: int) -> tuple[Trained, list[float]]:
    """The kit's loop for each seed; seconds of all steps by the clock, and of the processor."""
    losses, weights, spent = [], [], [0.0, 0.0]
    for seed in range(seeds):
        own = model.copy()
        snapshots = training_steps(own, data, recipe(seed))
        next(snapshots)  # the untrained model
        found, seconds = measured(lambda snapshots=snapshots: [one.train_loss for one in snapshots], model.device)
        spent = [a + b for a, b in zip(spent, seconds, strict=True)]
        losses.append(found)
        weights.append({name: value.detach() for name, value in own.network.named_parameters()})
    stack = {name: torch.stack([one[name] for one in weights]) for name in weights[0]}
    return (torch.tensor(losses), stack), spent


def stacked(model: LanguageModel, data: LabelledSet, seeds: int) -> tuple[Trained, list[float]]:
    """All seeds at once."""
    model = model.copy()
    batch_of = StackedBatches(model, data, seeds)
    weights = {
        name: torch.stack([value.detach()] * seeds).requires_grad_() for name, value in model.network.named_parameters()
    }
    plan, steps = recipe(0), batch_of.steps
    optimizer = torch.optim.AdamW(weights.values(), lr=0.0, weight_decay=plan.weight_decay, fused=True)
    step_of_all = vmap(grad_and_value(batch_of.loss(model.network)))

    def train() -> list[Tensor]:
        losses = []
        for step in range(steps):
            for group in optimizer.param_groups:
                group["lr"] = learning_rate_at(step, steps, plan)
            gradients, loss = step_of_all({name: w.detach() for name, w in weights.items()}, *batch_of(step))
            clip(gradients, 1.0)
            for name, weight in weights.items():
                weight.grad = gradients[name]
            optimizer.step()
            losses.append(loss)
        return losses

    with sdpa_kernel(SDPBackend.MATH):  # vmap does the fused kernel row by row
        losses, seconds = measured(train, model.device)
    return (torch.stack(losses, 1).cpu(), {name: w.detach() for name, w in weights.items()}), seconds


class StackedBatches:
    """The batches of S seeds, step by step, as tensors with S in front; the prefix is the last row of each."""

    def __init__(self, model: LanguageModel, data: LabelledSet, seeds: int) -> None:
        self.model, (self.prompts, self.answers) = model, encoded(model, data, recipe(0).max_tokens)
        lengths = [len(p) + len(a) for p, a in zip(self.prompts, self.answers, strict=True)]
        self.rows = [batches(lengths, BATCH, np.random.default_rng(seed)) for seed in range(seeds)]
        self.steps = len(self.rows[0])
        first, last = min(self.prompts), max(self.prompts)  # in alphabetical order: what these two share, all share
        self.shared = [*(a == b for a, b in zip(first, last, strict=False)), False].index(False)
        self.width = max(map(len, self.answers))

    def __call__(self, step: int) -> tuple[Tensor, ...]:
        """ids [S, B + 1, L], may look at [S, B + 1, 1, L, P + L], positions, targets [S, B, T], which of them count."""
        rows = [row for order in self.rows for row in order[step]]
        ids, seen = self.padded([(self.prompts[row] + self.answers[row][:-1])[self.shared :] for row in rows])
        prefix = torch.tensor(self.prompts[0][: self.shared], device=ids.device)
        ids, seen = ids.unflatten(0, (-1, BATCH)), seen.unflatten(0, (-1, BATCH))
        both = [with_prefix_row(own, mask, prefix) for own, mask in zip(ids, seen, strict=True)]
        ids, seen = (torch.stack(parts) for parts in zip(*both, strict=True))
        length = ids.shape[-1]
        looks = torch.stack([who_sees(mask, length, self.shared, ids.device) for mask in seen])
        positions = (seen.cumsum(-1) - 1).clamp_min(0)[..., -length:]
        targets, counts = self.padded([self.answers[row] for row in rows])
        return ids, looks, positions, targets.unflatten(0, (-1, BATCH)), counts.unflatten(0, (-1, BATCH))

    def padded(self, rows: Sequence[list[int]]) -> tuple[Tensor, Tensor]:
        """Ids and 0/1 mask, padded on the left."""
        length = max(map(len, rows))
        ids = torch.tensor([[0] * (length - len(row)) + row for row in rows], device=self.model.device)
        mask = torch.tensor([[0] * (length - len(row)) + [1] * len(row) for row in rows], device=self.model.device)
        return ids, mask

    def loss(self, network: torch.nn.Module) -> Callable[..., Tensor]:
        """Mean loss of one seed's batch as a function of its weights, in nats per answer."""

        def loss(weights, ids, looks, positions, targets, counts) -> Tensor:
            inputs = {"input_ids": ids, "attention_mask": looks, "position_ids": positions}
            inputs |= {"shared": self.shared, "logits_to_keep": self.width}
            logits = functional_call(network, weights, (), inputs).logits
            return -sequence_log_prob(logits[:-1], targets, counts).mean()

        return loss


def clip(gradients: dict[str, Tensor], limit: float) -> None:
    """`torch.nn.utils.clip_grad_norm_`, for each seed on its own, in place."""
    norms = torch.stack([g.flatten(1).norm(dim=1) for g in gradients.values()]).norm(dim=0)
    factor = (limit / (norms + 1e-6)).clamp(max=1.0)
    for gradient in gradients.values():
        gradient.mul_(factor.view(-1, *[1] * (gradient.ndim - 1)))


# -- measuring ---------------------------------------------------------------------------------------------------


def measured(work: Callable[[], list], device: torch.device) -> tuple[list, list[float]]:
    """What a call returns; seconds by the clock, and of the processor."""
    synchronize(device)
    began = time.perf_counter(), time.process_time()
    found = work()
    synchronize(device)
    return found, [time.perf_counter() - began[0], time.process_time() - began[1]]


def difference(one: Trained, other: Trained) -> dict[str, float]:
    """Largest |difference| of the losses (nats per answer) and of the weights."""
    pairs = [(weight, other[1][name].to(weight.device)) for name, weight in one[1].items()]
    return {
        "loss": float((one[0] - other[0]).abs().max()),
        "weight": max(float((a - b).abs().max()) for a, b in pairs),
    }


def changed(model: LanguageModel, trained: Trained) -> float:
    """Largest change of a weight by training: what a difference of weights is to be compared with."""
    return max(
        float((trained[1][name] - value.detach()).abs().max()) for name, value in model.network.named_parameters()
    )


def compare(
    model: LanguageModel, data: LabelledSet, seeds: int, threads: Sequence[int], repeats: int
) -> tuple[dict, dict]:
    """Name of the way -> seconds of every repeat by the clock and of the processor; how far the results differ."""
    ways = {"one after the other": one_after_the_other, "stacked": stacked}
    found = {f"{name}, {n} threads": {"seconds": [], "processor": []} for name in ways for n in threads}
    results, before = {}, torch.get_num_threads()
    try:
        for repeat in range(repeats + 1):
            for n in threads:
                for name, way in ways.items():
                    torch.set_num_threads(n)
                    # the first calls set things up
                    trained, spent = way(model, data if repeat else data.take(range(2 * BATCH)), seeds)
                    if repeat:
                        results[name] = trained
                        for what, value in zip(found[f"{name}, {n} threads"].values(), spent, strict=True):
                            what.append(value)
    finally:
        torch.set_num_threads(before)
    facts = difference(*results.values()) | {"weight_change": changed(model, results["stacked"])}
    return found, facts


def summary(found: dict, facts: dict, threads: Sequence[int], seed_steps: int) -> dict:
    """Medians per seed-step, and what stacking gains against the best other way and against processes."""
    rows = {
        name: {what: median(values) / seed_steps for what, values in row.items()}
        | {"range": [min(row["seconds"]) / seed_steps, max(row["seconds"]) / seed_steps]}
        for name, row in found.items()
    }
    best = {
        way: min(row["seconds"] for name, row in rows.items() if name.startswith(way))
        for way in ("one after the other", "stacked")
    }
    alone = rows.get(f"one after the other, {min(threads)} threads")
    together = rows.get(f"stacked, {min(threads)} threads")
    processes = alone["seconds"] * min(threads) / max(threads)
    return {
        "seconds_per_seed_step": rows,
        "speedup": best["one after the other"] / best["stacked"],
        "speedup_in_processor_seconds": alone["processor"] / together["processor"],
        "speedup_against_processes": processes / best["stacked"],
        "difference": facts,
    }


def show(name: str, result: dict, threads: Sequence[int]) -> None:
    """One table."""
    print(f"\n{name}")
    for way, row in result["seconds_per_seed_step"].items():
        low, high = row["range"]
        print(
            f"  {way:32}{row['seconds'] * 1e3:9.1f} ms a seed-step ({low * 1e3:.1f}-{high * 1e3:.1f}), "
            f"{row['processor'] * 1e3:.1f} ms of processor"
        )
    print(
        f"  stacking is {result['speedup']:.2f}x as fast as one after the other "
        f"({result['speedup_in_processor_seconds']:.2f}x in processor seconds with {min(threads)} threads), "
        f"{result['speedup_against_processes']:.2f}x as fast as {max(threads)} processes; worth it from {WORTH_IT}x on"
    )
    facts = result["difference"]
    print(
        f"  largest difference: loss {facts['loss']:.1e} nats, weight {facts['weight']:.1e} "
        f"(training changed one by {facts['weight_change']:.1e})"
    )


def main(argv: Sequence[str] | None = None) -> dict:
    """Measure, print, and return what was measured."""
    parser = arguments(
        __doc__,
        models={"default": "pocket-xs,pocket-s,pocket-l", "help": "comma-separated: rungs of the ladder, or folders"},
        seeds={"default": "4,8", "help": "comma-separated (default 4,8)"},
        steps={"type": int, "default": 8, "help": "optimizer steps of each seed (default 8)"},
        repeats={"type": int, "default": 3, "help": "runs of each way (default 3)"},
        device={"default": "cpu", "choices": ("cpu", "cuda")},
    )
    options = parser.parse_args(argv)
    print(use_threads(options.threads))
    threads = sorted({1, torch.get_num_threads()}) if options.device == "cpu" else [torch.get_num_threads()]
    data = load_splits("sentiment", seed=0).supervisor_train
    if not 2 <= options.steps <= len(data) // BATCH:
        parser.error(f"--steps {options.steps}: expected 2 to {len(data) // BATCH}")
    data, results = data.take(range(options.steps * BATCH)), {}
    settings = {"steps": options.steps, "repeats": options.repeats, "batch": BATCH, "task": "sentiment"}
    for name in options.models.split(","):
        model = load_model(name, device=options.device)
        for seeds in map(int, options.seeds.split(",")):
            busy = os.getloadavg()[0] if hasattr(os, "getloadavg") else None
            found, facts = compare(model, data, seeds, threads, options.repeats)
            result = summary(found, facts, threads, seeds * options.steps)
            result |= {"parameters": model.parameters, "load_before": busy, "runs": found}
            results[f"{name}, {seeds} seeds"] = result
            save({"facts": settings, "results": results}, options.json)  # what there is, should it be stopped
            show(f"{name} ({model.parameters:,} parameters), {seeds} seeds, load {busy}", result, threads)
    return {"facts": settings, "results": results}


if __name__ == "__main__":
    main()
