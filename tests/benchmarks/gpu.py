"""Large models with random weights on a GPU: tokens per second, share of the bfloat16 peak, and memory.

    python -m tests.benchmarks.gpu --json gpu.json
    python -m tests.benchmarks.gpu --cpu-smoke

For each size (10^9 parameters) and vocabulary: a Llama-style model with grouped-query attention, widths like those of
published models, as many layers as make up the size. The kit fine-tunes it on made-up words, 32 examples a step, with
its precision "auto" (the passes in bfloat16, float32 masters). Then transformers.Trainer, with bf16=True, for its
memory and speed on the same examples; on request (--loops) the kit with rows padded on the left, too. Work is counted
as in common.needed_work: padding is none. Nothing is downloaded; torch, transformers and accelerate are needed, neither
Jupyter nor matplotlib.

A configuration that fails, for want of memory say, is reported, and the next one goes on. One that might not end within
--seconds, judged by those before it, is left out. The mark to reach is two fifths of the peak at 0.5 * 10^9.
"""

import gc
import sys
import time
from collections.abc import Sequence
from dataclasses import replace

import torch

from w2s_lab.models.language_model import LanguageModel
from w2s_lab.recipe import Recipe
from w2s_lab.records import LabelledSet

from .common import (
    BATCH,
    TASK,
    WORDS,
    Size,
    TokenCount,
    arguments,
    encoded,
    forget_peak_memory,
    needed_work,
    new_model,
    numbers,
    peak_memory,
    peaks,
    save,
    synthetic,
    use_threads,
)
from .loops import Clock, kit, trainer

# up to so many parameters: width, heads, heads of keys and values, width of the feed-forward block
WIDTHS = (
    (5e6, (32, 2, 1, 96)),
    (2e8, (512, 8, 4, 1408)),
    (9e8, (896, 14, 2, 4864)),
    (float("inf"), (1536, 12, 2, 8960)),
)
WARM_UP = 2  # steps
MARK = 0.4  # of the peak
LARGER = 3  # times as long as those before it a configuration may take: the sizes differ by 3 to 5


def left(model: LanguageModel, data: LabelledSet, recipe: Recipe, clock: Clock) -> float:
    """`kit` with rows padded on the left."""
    return kit(replace(model, padding="left"), data, recipe, clock)


LOOPS = {"kit": kit, "left": left, "trainer": trainer}
SMOKE = {"device": "cpu", "sizes": "0.00003", "vocabularies": "400", "tokens": 30, "steps": 1}


def shape(billions: float, vocabulary: int) -> Size:
    """The architecture whose number of parameters comes nearest, with at least one layer."""
    width, heads, kv_heads, hidden = next(widths for limit, widths in WIDTHS if billions * 1e9 <= limit)
    layer = 2 * width**2 + 2 * width * (width // heads * kv_heads) + 3 * width * hidden
    layers = max(1, round((billions * 1e9 - vocabulary * width) / layer))
    return Size(vocabulary, width, layers, heads, hidden, kv_heads)


def inputs(model: LanguageModel, tokens: int, examples: int) -> LabelledSet:
    """Made-up words; `tokens` is about the mean length of prompt and answer, spread like SST-2's lengths."""
    few = LabelledSet.ground_truth(TASK, synthetic(200, stretch=4.0))
    per_word = sum(map(len, encoded(model, few)[0])) / sum(len(e.input.split()) for e in few.examples)
    mean_words = sum(WORDS[1][2:5]) / 3
    return LabelledSet.ground_truth(TASK, synthetic(examples, stretch=max(0.2, tokens / per_word / mean_words)))


def reset_memory(device: str) -> None:
    """Free what earlier runs left, and start the peak anew."""
    gc.collect()
    if device == "cuda":
        torch.cuda.empty_cache()
        torch.cuda.reset_peak_memory_stats()
    else:
        forget_peak_memory()


def peak(device: str) -> float:
    """MB: of the GPU's memory, or of the process."""
    return torch.cuda.max_memory_allocated() / 1e6 if device == "cuda" else peak_memory()


def run(loop: str, size: Size, tokens: int, steps: int, checkpointing: bool, device: str) -> dict:
    """One loop on one configuration: speed of the steps after the first ones, and peak memory of all."""
    reset_memory(device)
    model = new_model(size, loop, device=device)
    recipe = Recipe(epochs=1, batch_size=BATCH, learning_rate=1e-5, max_tokens=4096)
    recipe = replace(recipe, gradient_checkpointing=checkpointing)
    data = inputs(model, tokens, BATCH * (steps + WARM_UP))
    LOOPS[loop](model, data.take(range(BATCH * WARM_UP)), recipe, Clock(model.device))
    train, clock = data.take(range(BATCH * WARM_UP, len(data))), Clock(model.device)
    with TokenCount(model.network) as count:
        LOOPS[loop](model, train, recipe, clock)
    work = needed_work(model, *encoded(model, train))
    return {
        "parameters": model.parameters,
        "tokens_per_s": work.tokens / clock.seconds,
        "flops_per_s": work.flops / clock.seconds,
        "needed_over_computed": work.tokens / count.tokens,
        "peak_MB": peak(device),
    }


def show(title: str, loop: str, result: dict) -> None:
    """One line."""
    if "error" in result:
        print(f"{title:18}{loop:10}{result['error']}", flush=True)
        return
    print(
        f"{title:18}{loop:10}{result['parameters'] / 1e9:>12.4f}{result['tokens_per_s']:>14,.0f}"
        f"{result['of_peak']:>12.1%}{result['needed_over_computed']:>17.2f}{result['peak_MB']:>12,.0f}",
        flush=True,
    )


def main(argv: Sequence[str] | None = None) -> dict:
    """Measure, print as it goes, and return what was measured; SystemExit 2 where there is no GPU."""
    parser = arguments(
        __doc__,
        sizes={"default": "0.1,0.5,1.5", "help": "10^9 parameters (default 0.1,0.5,1.5)"},
        vocabularies={"default": "50000", "help": "tokens, one or several numbers (default 50000)"},
        tokens={"type": int, "default": 256, "help": "mean length of prompt and answer (default 256)"},
        steps={"type": int, "default": 20, "help": "timed optimizer steps (default 20)"},
        loops={"default": "kit,trainer", "help": f"of {', '.join(LOOPS)} (default kit,trainer)"},
        seconds={"type": float, "default": 330.0, "help": "for all of it (default 330)"},
        checkpointing={"action": "store_true", "help": "the kit recomputes activations on the way back"},
        device={"default": "cuda", "choices": ("cuda", "cpu"), "help": "cpu: with tiny sizes only"},
        cpu_smoke={"action": "store_true", "help": "one step of a tiny model on the CPU: does it run?"},
    )
    options = parser.parse_args(argv)
    if options.cpu_smoke:
        parser.set_defaults(**SMOKE)
        options = parser.parse_args(argv)
    began, longest = time.monotonic(), 0.0
    if options.device == "cuda" and not torch.cuda.is_available():
        print("This measures large models on a GPU, and there is none here. To try it: --cpu-smoke", file=sys.stderr)
        raise SystemExit(2)
    where = torch.cuda.get_device_name() if options.device == "cuda" else "CPU"
    tiny = options.device == "cpu"
    found = peaks(options.device, (256,) if tiny else (), 0.05 if tiny else 0.5)
    best = found["bfloat16"]
    print(f"{where}, {use_threads(options.threads)}; best matrix product: "
          + ", ".join(f"{name} {rate / 1e12:.3g} TFLOP/s" for name, rate in found.items()))  # fmt: skip
    print(f"{'model':18}{'loop':10}{'10^9 params':>12}{'tokens/s':>14}{'of peak':>12}"
          f"{'needed/computed':>17}{'peak, MB':>12}")  # fmt: skip
    results: dict = {"device": where, "peaks": found, "mark": MARK, "runs": {}}
    for billions in numbers(options.sizes):
        for vocabulary in map(int, numbers(options.vocabularies)):
            title = f"{billions:g} B, {vocabulary:,}"
            for loop in options.loops.split(","):
                size, start = shape(billions, vocabulary), time.monotonic()
                try:
                    if start - began + LARGER * longest > options.seconds:
                        raise TimeoutError(f"left out, since {options.seconds:g} seconds would not suffice")
                    checkpointing = options.checkpointing and loop == "kit"
                    result = run(loop, size, options.tokens, options.steps, checkpointing, options.device)
                    result["of_peak"] = result["flops_per_s"] / best
                except Exception as error:  # of any kind: what was measured before it is worth keeping
                    result = {"error": f"{type(error).__name__}: {(str(error).splitlines() or [''])[0]}"}
                longest = max(longest, time.monotonic() - start)
                results["runs"][f"{title}, {loop}"] = result
                show(title, loop, result)
                save(results, options.json)
    return results


if __name__ == "__main__":
    main()
