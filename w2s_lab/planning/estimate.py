"""How much memory and time a training or a labelling takes, from the numbers of an architecture alone.

Each counting rule is in the docstring of the function that uses it. The constants below are assumed, not counted.
"""

import math
import re
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace

from w2s_lab.models.encoding import prompt
from w2s_lab.models.loading import pick_device
from w2s_lab.planning.doctor import memory_bytes
from w2s_lab.planning.hub_models import Architecture
from w2s_lab.recipe import LoRA, Recipe
from w2s_lab.records import Example
from w2s_lab.system.record import Record
from w2s_lab.training.labelling import GENERATED_TOKENS, MAX_NEW_TOKENS, TOKENS
from w2s_lab.training.requirements import reading_of

GB = 1e9
CHARACTERS = 4  # per token, about what a tokenizer of 50,000 tokens makes of English
UTILISATION = 0.3  # fraction of the peak speed that a training or a labelling reaches
LAUNCH = 1e-3  # seconds per layer and pass to start the operations, even if there is little to compute
RESERVE = 0.1  # fraction of the memory kept free for the driver, for fragments and for short-lived tensors


# -- devices -----------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Device:
    """What a plan would run on.

    Attributes:
        name: of the card, or cpu.
        memory: bytes; None where the system does not say.
        float32: peak FLOP/s of dense matrix products.
        bfloat16: the same; None where the device has no bfloat16 of its own.
    """

    name: str
    memory: float | None
    float32: float
    bfloat16: float | None = None

    def precision(self, wished: str) -> str:
        """The precision in which this device computes when a recipe asks for `wished`."""
        return wished if wished != "auto" else "bfloat16" if self.bfloat16 else "float32"

    def speed(self, precision: str) -> float:
        """Peak FLOP/s; bfloat16 on a device without it is computed in float32."""
        return self.bfloat16 if precision == "bfloat16" and self.bfloat16 else self.float32


# NVIDIA's data sheets: dense (half of the figure "with sparsity"), float32 without TF32; H100 and H200 as SXM.
DEVICES = {
    "T4": Device("T4", 16 * GB, 8.1e12),  # its 65 TFLOP/s are float16, which this kit does not use
    "L4": Device("L4", 24 * GB, 30.3e12, 121e12),
    "A10": Device("A10", 24 * GB, 31.2e12, 125e12),
    "A100": Device("A100", 80 * GB, 19.5e12, 312e12),
    "H100": Device("H100", 80 * GB, 67e12, 989e12),
    "H200": Device("H200", 141 * GB, 67e12, 989e12),
}


def find_device(name: str = "auto") -> Device:
    """A card of `DEVICES` by name, or a device of this machine (auto, cpu, cuda, mps): looked up or measured.

    Raises:
        ValueError: `name` is neither.
    """
    if name in DEVICES:
        return DEVICES[name]
    import torch

    try:
        place = pick_device(name)
    except ValueError as error:
        raise ValueError(f"{error}; or one of the cards {', '.join(DEVICES)}") from None
    if place.type == "cuda":
        card = torch.cuda.get_device_properties(place)
        for known in DEVICES.values():
            if re.search(rf"\b{known.name}\b", card.name):
                return replace(known, name=card.name, memory=card.total_memory)
        fast = measured_speed(place, torch.bfloat16) if card.major >= 8 else None
        return Device(card.name, card.total_memory, measured_speed(place, torch.float32), fast)
    return Device(place.type, memory_bytes()[0], measured_speed(place, torch.float32))


def measured_speed(place, dtype, *, seconds: float = 1.0) -> float:
    """FLOP/s of products of two square matrices, which is near the peak: 2 n^3 each."""
    import torch

    n = 512 if place.type == "cpu" else 4096
    matrix, products = torch.ones(n, n, dtype=dtype, device=place), 0
    (matrix @ matrix)[0, 0].item()
    begin = time.perf_counter()
    while time.perf_counter() - begin < seconds:
        (matrix @ matrix)[0, 0].item()  # .item() waits for the product
        products += 1
    return products * 2 * n**3 / (time.perf_counter() - begin)


# -- one training, one labelling ---------------------------------------------------------------------------------


@dataclass(frozen=True)
class Texts:
    """Lengths of prompts and answers.

    Attributes:
        prompt: mean, in tokens.
        longest: of the longest prompt, in tokens.
        answer: tokens of the longest answer, its end included.
        choices: answers to choose from; 0: free text.
    """

    prompt: float
    longest: int
    answer: int
    choices: int

    @classmethod
    def of(cls, examples: Sequence[Example], choices: Sequence[str] | None) -> "Texts":
        """Lengths by characters, since no tokenizer has been loaded."""
        characters = [len(prompt(example)) for example in examples]
        longest_answer = max(map(len, choices or [example.answer or "" for example in examples]))
        return cls(
            sum(characters) / len(characters) / CHARACTERS,
            math.ceil(max(characters) / CHARACTERS),
            math.ceil(longest_answer / CHARACTERS) + 1,
            len(choices or ()),
        )

    def within(self, tokens: int) -> "Texts":
        """The same, with prompts cut so that prompt and answer take at most `tokens`."""
        room = max(1, tokens - self.answer)
        return replace(self, prompt=min(self.prompt, room), longest=min(self.longest, room))


@dataclass(frozen=True)
class Estimate(Record):
    """Memory at the peak, in bytes, and time.

    Attributes:
        weights: with the copy in bfloat16 in which they are used.
        gradients, optimizer: of what is trained.
        activations: kept for the backward pass; when labelling, those of one layer and the keys and values of all.
        logits: scores of all tokens of the vocabulary, at the places of answers only.
        beside: other memory that is in use on the device at the same time.
        rows: examples that go through the network at once.
        wanted_rows: how many would go through at once with enough memory.
        flops: floating-point operations in all.
        seconds: time for these operations.
        fits: the memory suffices, with `RESERVE` to spare.
    """

    weights: float
    gradients: float
    optimizer: float
    activations: float
    logits: float
    beside: float
    rows: int
    wanted_rows: int
    flops: float
    seconds: float
    fits: bool = True

    @property
    def memory(self) -> float:
        """Bytes at the peak."""
        return self.weights + self.gradients + self.optimizer + self.activations + self.logits + self.beside


def forward_flops(model: Architecture, tokens: float, context: float, scored: float) -> tuple[float, float, float]:
    """FLOPs of one pass: (products with the layers' matrices, attention, output matrix).

    A token costs 2 per entry of the matrices (multiply, add). For each of the `context` tokens that it attends to, it
    costs 4 * width per layer (queries by keys, weights by values; masked places are computed too). Where the next token
    is `scored`, it costs 2 per entry of the output matrix. Norms and activation functions are left out.
    """
    layers = 2.0 * model.layer_weights * tokens
    attention = 4.0 * model.layers * model.width * context * tokens
    return layers, attention, 2.0 * model.vocabulary * model.width * scored


def training_flops(model: Architecture, recipe: Recipe, tokens: float, scored: float) -> float:
    """FLOPs to learn from one example of `tokens` tokens, `scored` of them with logits: about 6 N per token.

    In the backward pass each product is computed twice, for the gradient of its input and of its matrix: 2 N forward,
    4 N backward. A LoRA needs no gradients of the large matrices: 2 N forward, 2 N backward, and 6 per adapter
    parameter. Gradient checkpointing repeats the layers' forward pass: 2 N.
    """
    layers, attention, head = forward_flops(model, tokens, tokens, scored)
    learns_all = recipe.lora is None
    total = layers * (3 if learns_all else 2) + attention * 3 + head * (3 if learns_all else 2)
    if recipe.lora:
        total += 6 * model.adapter_parameters(recipe.lora) * tokens
    return total + (layers + attention if recipe.gradient_checkpointing else 0)


LLAMA = (4, 40, 26)  # vectors kept inside an MLP; bytes per entry of the width elsewhere, in float32 and in bfloat16
KEPT = {"llama": LLAMA, "mistral": LLAMA, "qwen2": LLAMA, "olmo2": (4, 56, 38), "gpt_neox": (2, 42, 22)}


def layer_activations(model: Architecture, low: bool) -> float:
    """Bytes per token that one layer keeps for the backward pass, without the L x L table of attention (fused kernels).

    A layer of Llama, in float32: the input of each of the two norms, its normalised form, its scaled form (6 vectors as
    wide as the hidden state), queries, keys, values and the attention's result (4), and in the MLP the gate, its
    activation, the other branch and their product (4 as wide as the MLP): 4 * (10 d + 4 m) bytes. With weights in
    bfloat16 all of this takes 2 bytes an entry, but that each norm computes in float32 and keeps its input so (4):
    16 d for the norms, 8 d for attention, 2 d for small things, and 8 m: 26 d + 8 m bytes. OLMo 2 also normalises
    queries, keys and results; GPT-NeoX has no gate and one norm for three maps. A LoRA keeps about the same.
    """
    inside, plain, half = KEPT[model.family]
    return (half if low else plain) * model.width + (2 if low else 4) * inside * model.mlp_width


def activations(model: Architecture, recipe: Recipe, low: bool) -> float:
    """Bytes per token that all layers keep; with gradient checkpointing, each its input, and one layer all the rest."""
    if not recipe.gradient_checkpointing:
        return model.layers * layer_activations(model, low)
    return model.layers * (2 if low else 4) * model.width + layer_activations(model, low)


def weight_bytes(model: Architecture, lora: LoRA | None, low: bool) -> float:
    """4 bytes per parameter, and 2 more for its copy in bfloat16; one that a LoRA freezes takes 4, or 2 in bfloat16."""
    learnt = 6 if low else 4
    if lora:
        return (2 if low else 4) * model.parameters + learnt * model.adapter_parameters(lora)
    return learnt * model.parameters


def estimate_training(
    model: Architecture, recipe: Recipe, device: Device, texts: Texts, *, examples: int, beside: float = 0
) -> Estimate:
    """The memory and time to fine-tune a model on `examples` examples, `recipe.epochs` times.

    Trained parameters take 16 bytes each: weight 4, gradient 4, Adam's two averages 8; in bfloat16 a copy takes 2 more.
    The logits take 12 bytes each: the logit 4, its logarithmic softmax 4, the gradient 4. A batch that does not fit is
    halved until its pieces fit, as in the training itself; the gradient of the batch stays the same.
    """
    precision = device.precision(recipe.precision)
    low = precision == "bfloat16"
    trained = model.adapter_parameters(recipe.lora) if recipe.lora else model.parameters
    texts = texts.within(min(recipe.max_tokens, model.context))
    reading = reading_of(recipe.loss, closed=texts.choices > 0)
    scored_answers = texts.choices if reading == "list" else 1
    # the answers share one pass over x, unless nothing of x is kept: then each answer is read with its own x
    readings, answers = (scored_answers, 1) if recipe.gradient_checkpointing else (1, scored_answers)
    tokens, scored = texts.prompt + answers * texts.answer, answers * (texts.answer + 1)
    most_scored = scored  # in one row
    if reading == "text":  # the text itself is what is predicted, and there is no answer
        tokens = scored = texts.prompt
        most_scored = texts.longest
    flops = recipe.epochs * examples * readings * training_flops(model, recipe, tokens, scored)
    steps, _ = recipe.steps(examples)
    found = Estimate(
        weights=weight_bytes(model, recipe.lora, low),
        gradients=4 * trained,
        optimizer=8 * trained,
        activations=activations(model, recipe, low) * readings * (texts.longest + answers * texts.answer),  # of one row
        logits=12 * readings * most_scored * model.vocabulary,
        beside=beside,
        rows=1,
        wanted_rows=min(recipe.batch_size, examples),
        flops=flops,
        seconds=0,
    )
    found = _as_many_rows_as_fit(found, device)
    passes = steps * math.ceil(found.wanted_rows / found.rows) * (4 if recipe.gradient_checkpointing else 3)
    return replace(found, seconds=_seconds(flops, device.speed(precision), passes, model))


def estimate_labelling(
    model: Architecture,
    recipe: Recipe,
    device: Device,
    texts: Texts,
    *,
    examples: int,
    times: int = 1,
    beside: float = 0,
) -> Estimate:
    """The memory and time to label `examples` examples, `times` times: 2 N per token, no gradients.

    A closed list: x is read once, then its keys and values are copied for each of the answers. Free text: each token of
    an answer takes a pass of its own, and another pass computes the probability of the whole answer.
    """
    precision = device.precision(recipe.precision)
    low, k = precision == "bfloat16", max(1, texts.choices)
    grown = 0 if texts.choices else MAX_NEW_TOKENS
    texts = texts.within(min(recipe.max_tokens, model.context) - grown)
    tokens = texts.prompt + k * texts.answer + (texts.prompt + grown if grown else 0)
    scored = k * texts.answer + grown
    flops = times * examples * sum(forward_flops(model, tokens, texts.prompt + texts.answer, scored))
    tokens_at_once = (GENERATED_TOKENS if grown else TOKENS)["cpu" if device.name == "cpu" else "cuda"]
    at_once = tokens_at_once // (texts.longest + max(grown, texts.answer))
    key_value = 2 * model.layers * (model.width * model.kv_heads // model.heads) * (2 if low else 4)
    layer = 12 * model.width + (6 if low else 12) * model.mlp_width  # three vectors of each kind at a time
    found = Estimate(
        weights=weight_bytes(model, recipe.lora, low),
        gradients=0,
        optimizer=0,
        activations=layer * texts.longest + (k + 1) * key_value * (texts.longest + max(grown, texts.answer)),
        logits=12 * k * texts.answer * model.vocabulary,
        beside=beside,
        rows=1,
        wanted_rows=max(1, min(at_once, examples)),
        flops=flops,
        seconds=0,
    )
    found = _as_many_rows_as_fit(found, device)
    passes = times * math.ceil(examples / found.rows) * (grown + 2 if grown else 2)
    return replace(found, seconds=_seconds(flops, device.speed(precision), passes, model))


def _as_many_rows_as_fit(one: Estimate, device: Device) -> Estimate:
    """The estimate `one` (of one row) for as many rows as are wanted, or the largest half, quarter, ... that fits."""
    rows = one.wanted_rows
    while True:
        found = replace(one, rows=rows, activations=one.activations * rows, logits=one.logits * rows)
        fits = device.memory is None or found.memory <= (1 - RESERVE) * device.memory
        if fits or rows == 1:
            return replace(found, fits=fits)
        rows //= 2


def _seconds(flops: float, speed: float, passes: float, model: Architecture) -> float:
    return max(flops / (UTILISATION * speed), passes * model.layers * LAUNCH)
