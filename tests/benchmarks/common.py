"""What the benchmarks share: inputs of realistic lengths, models of stated sizes, the unit of work, the peak."""

import argparse
import json
import math
import platform
import resource
import sys
import time
import warnings
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path

import numpy as np
import torch
from transformers import LlamaConfig, LlamaForCausalLM

from tests.places import SHARED
from w2s_lab.data.sources import read_examples
from w2s_lab.experiments.report import versions
from w2s_lab.models.encoding import prompt
from w2s_lab.models.language_model import LanguageModel
from w2s_lab.models.llama import Llama
from w2s_lab.models.loading import train_tokenizer
from w2s_lab.records import Example, LabelledSet, Task

SST2 = SHARED / "data" / "sst2" / "train.tsv"
INSTRUCTION = "Is the review positive or negative?"
TASK = Task("sentiment", ("positive", "negative"))
BATCH = 32  # examples
# Words of an input in SST-2's training set: the shares 0, 5, 25, 50, 75, 95 and 100 % have at most this many.
WORDS = ((0.0, 0.05, 0.25, 0.5, 0.75, 0.95, 1.0), (1, 5, 11, 18, 25, 35, 51))
DISTINCT = 13_838  # words in SST-2's training set


@dataclass(frozen=True)
class Size:
    """Architecture of a Llama-style model with tied embeddings and random weights."""

    vocabulary: int
    width: int
    layers: int
    heads: int
    hidden: int  # width inside the feed-forward block
    kv_heads: int | None = None  # None: as many as heads


SIZES = {
    "tiny": Size(400, 16, 1, 2, 32),
    "small": Size(2_000, 128, 4, 4, 384),  # 1.1 M parameters
    "large": Size(32_000, 256, 6, 4, 704),  # 13.0 M parameters
}


# -- inputs ------------------------------------------------------------------------------------------------------


@cache
def corpus() -> tuple[LabelledSet, str]:
    """About 6,900 labelled reviews in random order, and a sentence on where they come from."""
    if SST2.is_file():
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # nine sentences occur twice
            _, found, _ = read_examples(SST2, instruction=INSTRUCTION, answers={"1": "positive", "0": "negative"})
        origin = f"SST-2 training set, {len(found):,} sentences"
    else:
        found, origin = synthetic(6_900), "made-up words with SST-2's quantiles of length, 6,900 sentences"
    order = np.random.default_rng(0).permutation(len(found))
    return LabelledSet.ground_truth(TASK, [found[i] for i in order]), origin


def synthetic(examples: int, *, stretch: float = 1.0) -> list[Example]:
    """Inputs of made-up words, Zipf-distributed, with SST-2's quantiles of length times `stretch`; random answers."""
    rng = np.random.default_rng(0)
    sounds = [c + v for c in "bdfgklmnprstvz" for v in "aeiou"]
    words = ["".join(sounds[rank // 70**i % 70] for i in range(2 + rank % 2)) for rank in range(DISTINCT)]
    chance = 1 / np.arange(1, DISTINCT + 1)
    lengths = np.maximum(1, np.rint(np.interp(rng.random(examples), *WORDS) * stretch)).astype(int)
    drawn = np.split(rng.choice(DISTINCT, lengths.sum(), p=chance / chance.sum()), lengths.cumsum()[:-1])
    return [
        Example(INSTRUCTION, f"{number} " + " ".join(words[i] for i in row), TASK.answers[rng.integers(2)])
        for number, row in enumerate(drawn)
    ]


@cache
def tokenizer(vocabulary: int):
    """Byte-level BPE trained on the corpus; a corpus too small for that many merges gives fewer tokens."""
    data, _ = corpus()
    texts = [f"{prompt(e)} {answer}" for e, answer in zip(data.examples, data.answers, strict=True)]
    return train_tokenizer(iter(texts), vocabulary)


def new_model(size: Size, name: str = "random", *, device: str = "cpu", seed: int = 0) -> LanguageModel:
    """Random weights; the embedding table has all of the vocabulary's rows, whether the tokenizer uses them or not."""
    words = tokenizer(min(size.vocabulary, SIZES["large"].vocabulary))
    config = LlamaConfig(
        vocab_size=size.vocabulary,
        hidden_size=size.width,
        intermediate_size=size.hidden,
        num_hidden_layers=size.layers,
        num_attention_heads=size.heads,
        num_key_value_heads=size.kv_heads or size.heads,
        max_position_embeddings=4096,
        tie_word_embeddings=True,
        bos_token_id=words.bos_token_id,
        eos_token_id=words.eos_token_id,
        pad_token_id=words.pad_token_id,
    )
    with torch.random.fork_rng(), torch.device(device):
        torch.manual_seed(seed)
        network = LlamaForCausalLM(config).eval()
    return LanguageModel(name, f"benchmark-{name}", words, Llama.like(network, copy=False))


def in_transformers(model: LanguageModel) -> LanguageModel:
    """The same model in transformers' own code, for the other sides: the very same parameters and embedding module."""
    network, twin = model.network, model.network.to_transformers()
    for name, parameter in network.named_parameters():
        module, _, own = name.rpartition(".")
        setattr(twin.get_submodule(module), own, parameter)
    twin.set_input_embeddings(network.get_input_embeddings())
    twin.tie_weights()
    return replace(model, network=twin)


def encoded(model: LanguageModel, data: LabelledSet, max_tokens: int = 4096) -> tuple[list[list[int]], list[list[int]]]:
    """Token ids of all prompts and of all answers, the end-of-answer token included."""
    prompts, _ = model.encode_prompts(data.examples, max_tokens)
    return prompts, model.encode_answers(data.answers)


# -- the unit of work --------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Work:
    """What one pass of training needs, whoever does it: tokens that have to be read, and operations."""

    tokens: int
    flops: float


def needed_work(model: LanguageModel, prompts: Sequence[list[int]], answers: Sequence[list[int]]) -> Work:
    """Tokens and floating-point operations that training on these pairs needs, forwards and backwards.

    A pair with p prompt and a answer tokens needs n = p + a - 1 tokens read (nothing follows the end) and

        6 M n  +  6 L w n (n + 1)  +  6 V d a      operations,

    with M the entries of the matrices inside the L layers, w = heads x width of a head, V x d the output matrix. A
    product takes 2 operations per entry, its two gradients 4; attention is causal, so a token looks back at half of
    the others; logits are needed only where the answer's a tokens are predicted. Padding is no work, and neither are
    norms, activations and the optimizer. What all prompts begin with is needed once per batch.
    """
    config = model.network.config
    matrices = sum(p.numel() for name, p in model.network.named_parameters() if ".layers." in name and p.ndim == 2)
    head = getattr(config, "head_dim", None) or config.hidden_size // config.num_attention_heads
    attention = config.num_hidden_layers * config.num_attention_heads * head
    n = np.array([len(p) + len(a) - 1 for p, a in zip(prompts, answers, strict=True)], dtype=float)
    scored = sum(map(len, answers))
    first, last = min(prompts), max(prompts)  # in alphabetical order: what these two share, all share
    same = [a == b for a, b in zip(first, last, strict=False)]
    shared = min([*same, False].index(False), min(map(len, prompts)) - 1)
    again = len(prompts) - math.ceil(len(prompts) / BATCH)  # rows for which the prefix has been read already
    tokens = n.sum() - shared * again
    flops = 6 * matrices * tokens + 6 * attention * ((n * (n + 1)).sum() - shared * (shared + 1) * again)
    return Work(int(tokens), float(flops + 6 * config.vocab_size * config.hidden_size * scored))


class TokenCount:
    """Counts the tokens, padding included, that a network embeds while the `with` block runs."""

    def __init__(self, network: torch.nn.Module) -> None:
        self.embedding, self.tokens = network.get_input_embeddings(), 0

    def __enter__(self) -> "TokenCount":
        self.handle = self.embedding.register_forward_pre_hook(self._count)
        return self

    def _count(self, module: torch.nn.Module, inputs: tuple) -> None:
        self.tokens += inputs[0].numel()

    def __exit__(self, *error: object) -> None:
        self.handle.remove()


# -- the machine -------------------------------------------------------------------------------------------------


def synchronize(device: torch.device | str) -> None:
    """Wait until the device has done what was asked of it."""
    if torch.device(device).type == "cuda":
        torch.cuda.synchronize()


def timed(work: Callable[[], object], device: torch.device | str = "cpu") -> float:
    """Seconds that a call takes."""
    synchronize(device)
    start = time.perf_counter()
    work()
    synchronize(device)
    return time.perf_counter() - start


def fastest(work: Callable[[], object], device: torch.device | str, seconds: float) -> float:
    """Least seconds of a call, of those that are made within so many seconds."""
    work()  # the first call sets things up
    deadline = time.perf_counter() + seconds
    times = [timed(work, device)]
    while time.perf_counter() < deadline:
        times.append(timed(work, device))
    return min(times)


def matmul_peak(dtype: torch.dtype, device: str = "cpu", sizes: Sequence[int] = (), seconds: float = 0.5) -> float:
    """Best rate of a square matrix product over a few sizes, 2 n^3 operations each, in FLOP/s."""
    rates = []
    for n in sizes or ((4096, 8192) if device == "cuda" else (512, 1024, 2048)):
        a, b, out = (torch.randn(n, n, device=device).to(dtype) for _ in range(3))
        rates.append(2 * n**3 / fastest(lambda a=a, b=b, out=out: torch.matmul(a, b, out=out), device, seconds))
    return max(rates)


@torch.no_grad()
def attainable(model: LanguageModel, tokens: int, scored: int, seconds: float = 0.1) -> float:
    """The rate of the model's own matrix products, each measured alone, in FLOP/s: a training cannot be faster.

    Small products are slower than the square ones of `matmul_peak`. Those of a step are, for each matrix [o, i] of the
    layers, the product of `tokens` rows with it and its two gradients; and the same for the output matrix, with
    `scored` rows, where answers are predicted. Attention is left out.
    """
    network, device = model.network, model.device
    matrices = [p for name, p in network.named_parameters() if ".layers." in name and p.ndim == 2]
    output = network.get_output_embeddings().weight
    shapes = Counter([(tokens, *p.shape) for p in matrices] + [(scored, *output.shape)])
    flops = spent = 0.0
    for (rows, outer, inner), count in shapes.items():
        x, w, slope = (torch.randn(*shape, device=device) for shape in ((rows, inner), (outer, inner), (rows, outer)))
        step = lambda x=x, w=w, slope=slope: (x @ w.T, slope @ w, slope.T @ x)  # noqa: E731
        flops += count * 6 * rows * outer * inner
        spent += count * fastest(step, device, seconds)
    return flops / spent


def peaks(device: str, sizes: Sequence[int] = (), seconds: float = 0.5) -> dict[str, float]:
    """Name of the number type -> best rate of a matrix product, in FLOP/s."""
    types = {"float32": torch.float32, "bfloat16": torch.bfloat16}
    return {name: matmul_peak(dtype, device, sizes, seconds) for name, dtype in types.items()}


def forget_peak_memory() -> None:
    """Where the system allows it (Linux), the peak of this process's memory starts anew at what it uses now."""
    try:
        Path("/proc/self/clear_refs").write_text("5")
    except OSError:
        pass


def peak_memory() -> float:
    """Most memory that this process has used, in MB."""
    try:
        lines = Path("/proc/self/status").read_text().splitlines()
        return next(int(line.split()[1]) for line in lines if line.startswith("VmHWM")) * 1024 / 1e6
    except (OSError, StopIteration):
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        return peak / 1e6 if sys.platform == "darwin" else peak * 1024 / 1e6


def use_threads(threads: int | None) -> str:
    """Set the number of threads and say on what this runs."""
    if threads:
        torch.set_num_threads(threads)
    return f"torch {torch.__version__}, {torch.get_num_threads()} threads, Python {platform.python_version()}"


# -- command lines and output ------------------------------------------------------------------------------------


def arguments(doc: str, **options: dict) -> argparse.ArgumentParser:
    """A parser with the options that every benchmark has, and its own."""
    parser = argparse.ArgumentParser(description=doc.partition("\n\n")[0])
    parser.add_argument("--threads", type=int, help="CPU threads; default: all cores")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the numbers there, too")
    for name, settings in options.items():
        parser.add_argument("--" + name.replace("_", "-"), **settings)
    return parser


def numbers(text: str) -> list[float]:
    """'1,2.5' -> [1.0, 2.5]"""
    return [float(part) for part in text.split(",")]


def save(results: dict, path: Path | None) -> dict:
    """Write the results as JSON where a path is given, with the command and what it ran on, and return them."""
    if path:
        name = sys.modules["__main__"].__spec__
        given = [Path(word).name for word in sys.argv[1:]]  # a folder of this machine is of no use to others
        words = ["python", "-m", name.name if name else "tests.benchmarks", *given]
        facts = {"command": " ".join(words), "versions": versions(), "machine": machine()}
        path.write_text(json.dumps(facts | results, indent=1) + "\n", encoding="utf-8")
    return results


def machine() -> str:
    """The GPU, or the processor and its cores."""
    if torch.cuda.is_available():
        return torch.cuda.get_device_name()
    return f"{torch.cpu.get_capabilities().get('cpu_name', platform.machine())}, {torch.get_num_threads()} threads"
