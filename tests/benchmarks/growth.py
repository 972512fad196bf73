"""How training time grows: with the number of examples, with parameters, with the length of the sequence.

    python -m tests.benchmarks.growth --figure growth.png --threads 2

The exponent b of time = a * size^b is the least-squares slope on logarithmic axes, with its standard error, over the
whole range and over its larger half, where overheads that do not grow count less. Times are medians over repeats.

* examples    one pass over the set, texts turned into tokens included: 1 means that no step gets dearer in a large set
* parameters  one step; at most 1, since the work of a step is 6 operations per parameter and token
* length      one step; between 1 (matrices) and 2 (attention)
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.ticker import NullFormatter

from w2s_lab.models.language_model import LanguageModel
from w2s_lab.recipe import Recipe
from w2s_lab.records import Example, LabelledSet
from w2s_lab.training.loop import training_steps

from .common import BATCH, INSTRUCTION, SIZES, TASK, Size, arguments, corpus, new_model, save, timed, use_threads

STEPS = 3  # optimizer steps timed at a time
COLOURS = {"examples": "#0072B2", "parameters": "#009E73", "length": "#D55E00"}  # Okabe & Ito
MARKERS = {"examples": "o", "parameters": "^", "length": "s"}
LABELS = {
    "examples": ("examples in the training set", "seconds for one pass"),
    "parameters": ("parameters of the model", "seconds for one step of 32 examples"),
    "length": ("tokens in each example", "seconds for one step of 32 examples"),
}


@dataclass(frozen=True)
class Fit:
    """Slope on logarithmic axes and its standard error (not a number for two points)."""

    exponent: float
    error: float

    def __str__(self) -> str:
        return f"{self.exponent:.2f}" + ("" if np.isnan(self.error) else f" ± {self.error:.2f}")


def fit(sizes: Sequence[float], seconds: Sequence[float]) -> Fit:
    """Least squares of log time on log size."""
    x, y = np.log(sizes), np.log(seconds)
    x = x - x.mean()
    slope = float((x * y).sum() / (x * x).sum())
    residuals = y - y.mean() - slope * x
    error = np.sqrt((residuals**2).sum() / (len(x) - 2) / (x * x).sum()) if len(x) > 2 else float("nan")
    return Fit(slope, float(error))


def larger_half(sizes: Sequence[float], seconds: Sequence[float]) -> Fit:
    """The fit over the larger half of the sizes, at least two of them."""
    start = len(sizes) - max(2, (len(sizes) + 1) // 2)
    return fit(sizes[start:], seconds[start:])


def one_pass(model: LanguageModel, data: LabelledSet) -> float:
    """Seconds of a training from texts to the last step; the model's weights change, which takes the same time."""
    recipe = Recipe(epochs=1, batch_size=BATCH, learning_rate=1e-5, max_tokens=8192, precision="float32")
    return timed(lambda: list(training_steps(model, data, recipe)), model.device)


def of_length(model: LanguageModel, tokens: int) -> LabelledSet:
    """Enough examples for STEPS steps, each of `tokens` tokens or a few more, prompt and answer together."""
    data, _ = corpus()
    words = " ".join(example.input for example in data.examples).split()
    rng = np.random.default_rng(tokens)
    examples = []
    for number in range(BATCH * STEPS):
        text = f"{number} " + " ".join(rng.choice(words, tokens))
        low, high = 0, len(text)
        while low < high:  # the longest beginning that fits
            middle = (low + high + 1) // 2
            (ids,), _ = model.encode_prompts([Example(INSTRUCTION, text[:middle])], 10**6)
            low, high = (middle, high) if len(ids) <= tokens - 2 else (low, middle - 1)
        examples.append(Example(INSTRUCTION, text[:low], TASK.answers[number % 2]))
    return LabelledSet.ground_truth(TASK, examples)


def of_parameters(count: float) -> Size:
    """An architecture of about `count` parameters: 4 layers, vocabulary of 2,000, widths in multiples of 16."""

    def parameters(width: int) -> int:
        return 2_000 * width + 4 * (4 * width**2 + 3 * width * hidden(width))

    def hidden(width: int) -> int:
        return 3 * width

    width = min(range(16, 4096, 16), key=lambda width: abs(parameters(width) - count))
    return Size(2_000, width, 4, max(1, width // 32), hidden(width))


def measure(axis: str, points: Sequence[float], repeats: int, size: Size) -> tuple[list[float], list[float]]:
    """Sizes as they came out, and median seconds; repeats go over all points in turn."""
    data, _ = corpus()
    jobs = []
    for point in points:
        model = new_model(of_parameters(point) if axis == "parameters" else size, axis)
        if axis == "length":
            jobs.append((point, model, of_length(model, int(point)), STEPS))
        elif axis == "examples":
            jobs.append((int(point), model, data.take(range(int(point))), 1))
        else:
            jobs.append((model.parameters, model, data.take(range(BATCH * STEPS)), STEPS))
    for _, model, rows, _ in jobs:
        one_pass(model, rows.take(range(BATCH)))  # first calls set things up
    times = [[one_pass(model, rows) / parts for _, model, rows, parts in jobs] for _ in range(repeats)]
    return [job[0] for job in jobs], [median(column) for column in zip(*times, strict=True)]


def draw(results: dict[str, dict], path: Path) -> None:
    """Three panels on logarithmic axes, exponents in the legends."""
    figure, axes = plt.subplots(1, len(results), figsize=(5.5 * len(results), 4.6), layout="constrained", squeeze=False)
    for ax, (axis, row) in zip(axes[0], results.items(), strict=True):
        x, y = np.array(row["sizes"]), np.array(row["seconds"])
        whole, half = Fit(**row["overall"]), Fit(**row["larger_half"])
        line = np.exp(np.log(y).mean() + whole.exponent * (np.log(x) - np.log(x).mean()))
        ax.plot(x, y, MARKERS[axis], color=COLOURS[axis], markersize=8, label="measured, median")
        label = f"exponent {whole}\nlarger half {half}"
        ax.plot(x, line, "--", color="#595959", label=label)
        ax.set(xscale="log", yscale="log")
        ax.set_xticks(x, [f"{at:,.0f}" if at < 1e5 else f"{at / 1e6:.2g} M" for at in x])
        ticks = [t for power in range(-4, 5) for t in (10.0**power, 3 * 10.0**power) if y.min() / 2 < t < 2 * y.max()]
        ax.set_yticks(ticks, [f"{t:g}" for t in ticks])
        for direction in (ax.xaxis, ax.yaxis):
            direction.set_minor_formatter(NullFormatter())
        ax.set_xlabel(LABELS[axis][0], fontsize=13)
        ax.set_ylabel(LABELS[axis][1], fontsize=13)
        ax.tick_params(labelsize=11)
        ax.spines[["top", "right"]].set_visible(False)
        ax.legend(fontsize=11, frameon=False, loc="upper left")
    figure.savefig(path, dpi=150)
    plt.close(figure)


def main(argv: Sequence[str] | None = None) -> dict:
    """Measure, print, and return what was measured."""
    parser = arguments(
        __doc__,
        examples={"default": "128,256,512,1024,2048,4096", "help": "sizes of the training set"},
        parameters={"default": "3e5,1e6,3e6,1e7,3e7", "help": "about as many parameters"},
        lengths={"default": "32,64,128,256,512,1024", "help": "tokens in an example"},
        size={"default": "small", "choices": SIZES, "help": "the model of the other two axes (default small)"},
        repeats={"type": int, "default": 3, "help": "runs of each point (default 3)"},
        figure={"type": Path, "metavar": "PNG", "help": "draw the three panels there"},
    )
    options = parser.parse_args(argv)
    print(use_threads(options.threads))
    results = {}
    for axis, text in (
        ("examples", options.examples), ("parameters", options.parameters), ("length", options.lengths)
    ):  # fmt: skip
        sizes, seconds = measure(axis, [float(part) for part in text.split(",")], options.repeats, SIZES[options.size])
        whole, half = fit(sizes, seconds), larger_half(sizes, seconds)
        results[axis] = {"sizes": sizes, "seconds": seconds, "overall": vars(whole), "larger_half": vars(half)}
        print(f"\n{LABELS[axis][0]}: exponent {whole} (± standard error), in the larger half {half}")
        for at, took in zip(sizes, seconds, strict=True):
            print(f"  {at:>14,.0f}  {took:10.4f} s", flush=True)
    if options.figure:
        draw(results, options.figure)
        print(f"figure: {options.figure}")
    return save(results, options.json)


if __name__ == "__main__":
    main()
