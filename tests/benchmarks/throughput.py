"""Training throughput: the kit's loop beside transformers.Trainer and beside one example at a time.

    python -m tests.benchmarks.throughput --steps 60 --repeats 5 --sizes small,large --threads 2

All loops start from the same weights and take the same number of optimizer steps over the same examples, 32 a step,
with the same schedule; see loops.py. They take turns, so that a drift of the machine meets all of them.

* kit      `w2s_lab.training_steps`
* trainer  `transformers.Trainer`: labels masked with -100, padded to the longest of a random batch, its own optimizer
* singles  the loop of the first public weak-to-strong code: a forward pass for each of the 32 examples and one
           backward pass; logits at every position, as where that code reads the language model's head
* singles, answer only: logits only where the answer is predicted; near to that code's other head, a classifier of two
           classes on the last position, which computes no logits over the vocabulary
* kit, bfloat16: `Recipe(precision="bfloat16")`, which the kit takes by itself where it pays (not compared for equality)
"""

import json
import subprocess
import sys
from collections.abc import Sequence
from statistics import mean, median

import torch

from tests.places import ROOT
from w2s_lab.models.language_model import LanguageModel
from w2s_lab.recipe import Recipe
from w2s_lab.records import LabelledSet

from .common import (
    BATCH,
    SIZES,
    TokenCount,
    arguments,
    attainable,
    corpus,
    encoded,
    forget_peak_memory,
    needed_work,
    new_model,
    peak_memory,
    peaks,
    save,
    use_threads,
)
from .loops import LOOPS, Clock, differences

EVALUATED = 256  # examples, none of them trained on


def recipe(seed: int, device: torch.device | str = "cpu") -> Recipe:
    """One pass; the same for all loops. float32 on a CPU, for all but the loop that says otherwise."""
    precision = "float32" if device == "cpu" else "auto"
    return Recipe(epochs=1, batch_size=BATCH, learning_rate=5e-4, seed=seed, precision=precision)


@torch.no_grad()
def held_out_loss(model: LanguageModel, data: LabelledSet) -> float:
    """Mean of -log Pr(answer|prompt), in nats per answer."""
    prompts, answers = encoded(model, data)
    starts = range(0, len(prompts), BATCH)
    parts = [model.log_prob(prompts[i : i + BATCH], answers[i : i + BATCH]) for i in starts]
    return -float(torch.cat(parts).mean())


def measure(model: LanguageModel, train: LabelledSet, test: LabelledSet, names: Sequence[str], repeats: int) -> dict:
    """Name of the loop -> seconds and losses of every repeat, and the tokens that it computed in one."""
    results = {name: {"seconds": [], "train_loss": [], "test_loss": [], "computed": 0} for name in names}
    for name in names:  # first calls set things up
        LOOPS[name](model.copy(), train.take(range(2 * BATCH)), recipe(0, model.device.type), Clock(model.device))
    for repeat in range(repeats):
        for name in names:
            own, clock = model.copy(), Clock(model.device)
            with TokenCount(own.network) as count:
                loss = LOOPS[name](own, train, recipe(repeat, model.device.type), clock)
            results[name]["seconds"].append(clock.seconds)
            results[name]["train_loss"].append(loss)
            results[name]["test_loss"].append(held_out_loss(own, test))
            results[name]["computed"] = count.tokens
    return results


def memory_of(name: str, size: str, steps: int, device: str) -> dict[str, float]:
    """MB in use before a loop's first step and at its peak, in this process; on a GPU, of the GPU's memory."""
    model, (data, _) = new_model(SIZES[size], device=device), corpus()
    # libraries are loaded before it is looked at
    LOOPS[name](model.copy(), data.take(range(BATCH)), recipe(0, device), Clock(model.device))
    if device == "cuda":
        torch.cuda.reset_peak_memory_stats()
        before = torch.cuda.memory_allocated() / 1e6
    else:
        forget_peak_memory()
        before = peak_memory()
    LOOPS[name](model, data.take(range(steps * BATCH)), recipe(0, device), Clock(model.device))
    peak = torch.cuda.max_memory_allocated() / 1e6 if device == "cuda" else peak_memory()
    return {"before_MB": before, "peak_MB": peak}


def memory(name: str, size: str, steps: int, device: str) -> dict[str, float]:
    """`memory_of` in a process of its own."""
    code = "import sys, json; from tests.benchmarks.throughput import memory_of; "
    code += "print(json.dumps(memory_of(*json.loads(sys.argv[1]))))"
    call = json.dumps([name, size, steps, device])
    done = subprocess.run([sys.executable, "-c", code, call], cwd=ROOT, stdout=subprocess.PIPE, text=True, check=True)
    return json.loads(done.stdout.splitlines()[-1])


def show(size: str, results: dict, facts: dict) -> None:
    """One table, and what it means."""
    print(f"\n{size}: {facts['parameters']:,} parameters, vocabulary {SIZES[size].vocabulary:,}; {facts['data']}")
    print(f"{facts['steps']} steps of {BATCH} examples, {facts['repeats']} repeats, medians (range)")
    print(f"{'loop':22}{'examples/s':>22}{'kit is':>9}{'test loss':>11}{'needed/computed':>17}{'peak memory, MB':>22}")
    for name, row in results.items():
        rates = sorted(facts["examples"] / s for s in row["seconds"])
        use = row.get("memory")
        grown = f"{use['peak_MB']:.0f} (+{use['peak_MB'] - use['before_MB']:.0f})" if use else "not measured"
        print(
            f"{name:22}{f'{median(rates):.1f} ({rates[0]:.1f}-{rates[-1]:.1f})':>22}{row['kit_is']:>8.2f}x"
            f"{mean(row['test_loss']):>11.4f}{facts['needed_tokens'] / row['computed']:>17.2f}{grown:>22}"
        )
    rate = facts["kit_flops_per_s"]
    shares = ", ".join(f"{rate / peak:.1%} of the {name} peak" for name, peak in facts["peaks"].items())
    shares += f", {rate / facts['attainable']:.1%} of what its own matrix products reach alone"
    print(f"the kit does {rate / 1e9:.1f} GFLOP/s of needed work: {shares}")
    print("on one and the same batch, difference from the kit (loss in nats; gradient, relative):")
    for name, (loss, gradient) in facts["differences"].items():
        print(f"  {name:22}{loss:.1e}  {gradient:.1e}")


def main(argv: Sequence[str] | None = None) -> dict:
    """Measure, print, and return what was measured."""
    parser = arguments(
        __doc__,
        steps={"type": int, "default": 40, "help": "optimizer steps of a run (default 40)"},
        repeats={"type": int, "default": 5, "help": "runs of each loop (default 5)"},
        sizes={"default": "small,large", "help": f"comma-separated, of {', '.join(SIZES)}"},
        loops={"default": ";".join(LOOPS), "help": "semicolon-separated; default: all"},
        device={"default": "cpu", "choices": ("cpu", "cuda")},
        no_memory={"action": "store_true", "help": "do not start the processes that measure memory"},
    )
    options = parser.parse_args(argv)
    names = ["kit", *(name for name in options.loops.split(";") if name != "kit")]
    print(use_threads(options.threads))
    found = peaks(options.device, () if options.steps > 2 else (64,), 0.5 if options.steps > 2 else 0.01)
    print("best matrix product: " + ", ".join(f"{name} {rate / 1e9:.0f} GFLOP/s" for name, rate in found.items()))
    data, origin = corpus()
    if options.steps * BATCH > len(data) - EVALUATED:
        parser.error(f"--steps {options.steps}: there are examples for {(len(data) - EVALUATED) // BATCH} steps")
    train, test = data.take(range(options.steps * BATCH)), data.take(range(len(data) - EVALUATED, len(data)))
    everything = {}
    for size in options.sizes.split(","):
        model = new_model(SIZES[size], size, device=options.device)
        prompts, answers = encoded(model, train)
        work = needed_work(model, prompts, answers)
        results = measure(model, train, test, names, options.repeats)
        base = median(results["kit"]["seconds"])
        for name, row in results.items():
            row["kit_is"] = median(row["seconds"]) / base
            if not options.no_memory:
                row["memory"] = memory(name, size, min(options.steps, 10), options.device)
        facts = {
            "data": origin,
            "parameters": model.parameters,
            "steps": options.steps,
            "repeats": options.repeats,
            "examples": len(train),
            "needed_tokens": work.tokens,
            "needed_flops": work.flops,
            "kit_flops_per_s": work.flops / base,
            "peaks": found,
            "attainable": attainable(model, work.tokens // options.steps, sum(map(len, answers)) // options.steps),
            "differences": differences(model, train.take(range(BATCH)), recipe(0, options.device)),
        }
        show(size, results, facts)
        everything[size] = {"facts": facts, "loops": results}
    return save(everything, options.json)


if __name__ == "__main__":
    main()
