"""The counting rules against what PyTorch really computes and keeps, and against numbers worked out by hand."""

from dataclasses import replace

import pytest
import torch
from peft import LoraConfig, get_peft_model
from torch.utils.flop_counter import FlopCounterMode
from transformers import AutoModelForCausalLM, GPTNeoXConfig, LlamaConfig, Olmo2Config, Qwen2Config

from w2s_lab.models.language_model import recompute
from w2s_lab.objective import SoftTargets
from w2s_lab.planning import estimate as module
from w2s_lab.planning.estimate import (
    DEVICES,
    LAUNCH,
    RESERVE,
    UTILISATION,
    Device,
    Texts,
    activations,
    estimate_labelling,
    estimate_training,
    find_device,
    forward_flops,
    measured_speed,
    training_flops,
)
from w2s_lab.planning.hub_models import MODELS, Architecture
from w2s_lab.recipe import LoRA, Recipe
from w2s_lab.records import Example
from w2s_lab.training.labelling import MAX_NEW_TOKENS

CONFIGS = {"llama": LlamaConfig, "qwen2": Qwen2Config, "olmo2": Olmo2Config, "gpt_neox": GPTNeoXConfig}
BIG = Device("big", 1e15, 1e12, 1e13)  # everything fits
SMOL = MODELS["HuggingFaceTB/SmolLM2-1.7B"]
TEXTS = Texts(prompt=60, longest=120, answer=2, choices=2)
ALL_ROWS = [(lora, again) for lora in (None, LoRA(rank=4)) for again in (False, True)]


def network(family: str, *, layers: int = 3, lora: LoRA | None = None, checkpointing: bool = False, low: bool = False):
    """A small network, ready to learn, and its architecture. Plain attention, so that its products are counted."""
    config = CONFIGS[family](
        vocab_size=500,
        hidden_size=96,
        intermediate_size=256,
        num_hidden_layers=layers,
        num_attention_heads=4,
        max_position_embeddings=256,
        **({} if family == "gpt_neox" else {"num_key_value_heads": 2}),
    )
    found = AutoModelForCausalLM.from_config(config, attn_implementation="eager" if not low else "sdpa")
    model = Architecture.from_config(config, "small")
    if checkpointing:
        recompute(found, True)
    if lora:
        found = get_peft_model(found, LoraConfig(r=lora.rank, target_modules="all-linear"))
    if low:  # as the passes of a training see it
        found = found.to(torch.bfloat16)
    return found.train(), model


# -- FLOPs -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("lora", "checkpointing"), ALL_ROWS)
@pytest.mark.parametrize("family", CONFIGS)
def test_training_flops_are_those_that_are_counted(family, lora, checkpointing):
    """Within 15 %; PyTorch leaves out what nobody asks for, such as a product at the edge of what is done again."""
    net, model = network(family, lora=lora, checkpointing=checkpointing)
    rows, length, scored = 3, 48, 3
    ids = torch.randint(0, 500, (rows, length))
    with FlopCounterMode(display=False) as counter:
        logits = net(input_ids=ids, logits_to_keep=scored, use_cache=False).logits
        logits.log_softmax(-1)[..., 0].mean().backward()
    recipe = Recipe(lora=lora, gradient_checkpointing=checkpointing)
    counted = counter.get_total_flops()
    assert counted > 0
    assert rows * training_flops(model, recipe, length, scored) == pytest.approx(counted, rel=0.15)


@pytest.mark.parametrize("family", CONFIGS)
def test_forward_flops_are_exact(family):
    net, model = network(family)
    with torch.no_grad(), FlopCounterMode(display=False) as counter:
        net(input_ids=torch.zeros(2, 40, dtype=torch.long), logits_to_keep=5, use_cache=False)
    matrices = 2 * sum(forward_flops(model, 40, 40, 5))
    assert matrices == pytest.approx(counter.get_total_flops(), rel=0.01)  # the angles of rotary positions: a product


def test_six_n_per_token():
    """The rules of thumb: 6 N for all weights, 4 N with a LoRA, 2 N more for gradient checkpointing."""
    n, tokens = SMOL.layer_weights, 100
    attention = 4 * SMOL.layers * SMOL.width * tokens * tokens
    assert training_flops(SMOL, Recipe(), tokens, 0) == 6 * n * tokens + 3 * attention
    again = Recipe(gradient_checkpointing=True)
    assert training_flops(SMOL, again, tokens, 0) == 8 * n * tokens + 4 * attention
    lora = LoRA()
    adapter = 6 * SMOL.adapter_parameters(lora) * tokens
    assert training_flops(SMOL, Recipe(lora=lora), tokens, 0) == 4 * n * tokens + 3 * attention + adapter


# -- activations -------------------------------------------------------------------------------------------------


def kept_bytes(net, rows: int, length: int) -> int:
    """Bytes of the tensors that autograd keeps for the way back, each storage once, without the parameters."""
    known = {parameter.untyped_storage().data_ptr() for parameter in net.parameters()}
    kept = {}  # the storages too, so that no address is used twice

    def pack(tensor):
        storage = tensor.untyped_storage()
        if storage.data_ptr() not in known:
            kept[storage.data_ptr()] = storage
        return tensor

    ids = torch.randint(0, 500, (rows, length))
    mask = torch.ones_like(ids)
    mask[:, :2] = 0  # padding: the general case of attention
    with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
        net(input_ids=ids, attention_mask=mask, logits_to_keep=1, use_cache=False)
    return sum(storage.nbytes() for storage in kept.values())


@pytest.mark.parametrize("low", [False, True], ids=["float32", "bfloat16"])
@pytest.mark.parametrize(("lora", "checkpointing"), ALL_ROWS)
@pytest.mark.parametrize("family", CONFIGS)
def test_activations_are_those_that_autograd_keeps(family, lora, checkpointing, low):
    """Within 25 %, per token, from the difference of two numbers of rows: copies of weights fall out.

    With gradient checkpointing the layers are compared: one layer's own is kept while it is computed again.
    """
    length, found = 64, {}
    for layers in (2, 4):
        net, model = network(family, layers=layers, lora=lora, checkpointing=checkpointing, low=low)
        net.config._attn_implementation = "sdpa"
        more, fewer = (kept_bytes(net, rows, length) for rows in (6, 2))
        recipe = Recipe(lora=lora, gradient_checkpointing=checkpointing)
        found[layers] = (more - fewer) / (4 * length), activations(model, recipe, low)
    measured, estimated = (found[4][i] - found[2][i] for i in (0, 1))
    assert measured > 0
    assert estimated == pytest.approx(measured, rel=0.25)


# -- memory, by hand ---------------------------------------------------------------------------------------------


def test_memory_of_a_tiny_case_by_hand():
    """One layer of width 8, an MLP of 16, vocabulary 10, tied: 4 * 64 + 3 * 128 = 640 in matrices, 736 + 8 in all."""
    model = Architecture("hand", "llama", 1, 8, 16, 2, 2, 10, True, 64, "MIT", "by hand")
    assert model.layer_weights == 640 and model.parameters == 640 + 2 * 8 + 8 + 10 * 8 == 744
    texts = Texts(prompt=3, longest=5, answer=2, choices=2)
    found = estimate_training(model, Recipe(batch_size=4, precision="float32"), BIG, texts, examples=8, beside=100)
    assert (found.weights, found.gradients, found.optimizer) == (4 * 744, 4 * 744, 8 * 744)
    assert found.activations == 4 * 7 * (40 * 8 + 16 * 16)  # rows * tokens * (40 d + 16 m)
    assert found.logits == 4 * 3 * 10 * 12  # rows * places * vocabulary * 12
    assert (found.rows, found.beside, found.fits) == (4, 100, True)
    assert found.memory == 16 * 744 + 4 * 7 * 576 + 1440 + 100
    low = estimate_training(model, Recipe(batch_size=4), BIG, texts, examples=8)  # auto: BIG has bfloat16
    assert low.weights == 6 * 744 and low.gradients == 4 * 744
    assert low.activations == 4 * 7 * (26 * 8 + 8 * 16)


def test_memory_with_a_lora_by_hand():
    model = Architecture("hand", "llama", 1, 8, 16, 2, 2, 10, True, 64, "MIT", "by hand")
    adapter = 2 * (4 * (8 + 8) + 3 * (8 + 16))
    for precision, size in (("bfloat16", 2), ("float32", 4)):
        recipe = Recipe(lora=LoRA(rank=2), precision=precision, gradient_checkpointing=True, batch_size=1)
        found = estimate_training(model, recipe, BIG, TEXTS, examples=8)
        assert found.weights == size * 744 + {2: 6, 4: 4}[size] * adapter
        assert (found.gradients, found.optimizer) == (4 * adapter, 8 * adapter)
        one_layer = {2: 26 * 8 + 8 * 16, 4: 40 * 8 + 16 * 16}[size]
        assert found.activations == (62 + 2) * (size * 8 + one_layer)  # prompts cut at the context of 64


def test_time_by_hand():
    """Seconds are FLOPs over the assumed share of the peak, but at least what starting the operations takes."""
    slow, fast = Device("slow", None, 1e9), Device("fast", None, 1e18)
    recipe = Recipe(epochs=2, batch_size=32)
    found = estimate_training(SMOL, recipe, slow, TEXTS, examples=100)
    assert found.flops == 200 * training_flops(SMOL, recipe, 62, 3)
    assert found.seconds == found.flops / (UTILISATION * 1e9)
    assert estimate_training(SMOL, recipe, fast, TEXTS, examples=100).seconds == 2 * 4 * 3 * SMOL.layers * LAUNCH


# -- what changes what -------------------------------------------------------------------------------------------


def test_what_makes_a_training_larger():
    base = Recipe(batch_size=8)

    def cost(recipe=base, texts=TEXTS, model=SMOL, examples=100):
        found = estimate_training(model, recipe, BIG, texts, examples=examples)
        return found.memory, found.flops

    memory, flops = cost()
    for larger in (
        cost(texts=replace(TEXTS, prompt=70, longest=140)),
        cost(model=replace(SMOL, layers=30)),
        cost(model=replace(SMOL, width=4096)),
        cost(replace(base, loss=SoftTargets())),
    ):
        assert larger[0] > memory and larger[1] > flops
    assert cost(replace(base, batch_size=16))[0] > memory and cost(replace(base, batch_size=16))[1] == flops
    assert cost(replace(base, epochs=6)) == (memory, 2 * flops)
    again = cost(replace(base, gradient_checkpointing=True))
    assert again[0] < memory and 1.25 * flops < again[1] < 1.4 * flops  # "about a third more time"
    lora = cost(replace(base, lora=LoRA()))
    assert lora[0] < memory / 2 and lora[1] < flops
    plain = cost(replace(base, precision="float32", lora=LoRA()))
    assert plain[0] > lora[0]


def test_a_loss_that_scores_every_answer_reads_x_for_each_where_nothing_is_kept():
    soft = Recipe(loss=SoftTargets(), batch_size=4)
    once = estimate_training(SMOL, soft, BIG, TEXTS, examples=10).flops
    each = estimate_training(SMOL, replace(soft, gradient_checkpointing=True), BIG, TEXTS, examples=10).flops
    hard = Recipe(batch_size=4, gradient_checkpointing=True)
    assert each == 2 * estimate_training(SMOL, hard, BIG, TEXTS, examples=10).flops > 2 * once


def test_a_batch_is_halved_until_it_fits():
    recipe = Recipe(batch_size=32, lora=LoRA(), precision="float32")
    whole = estimate_training(SMOL, recipe, BIG, TEXTS, examples=100)
    per_row = (whole.activations + whole.logits) / 32
    fixed = whole.memory - 32 * per_row
    for rows in (32, 8, 1):
        card = replace(BIG, memory=(fixed + 1.01 * rows * per_row) / (1 - RESERVE))
        found = estimate_training(SMOL, recipe, card, TEXTS, examples=100)
        assert (found.rows, found.wanted_rows, found.fits) == (rows, 32, True)
        assert found.memory <= (1 - RESERVE) * card.memory and found.flops == whole.flops
    found = estimate_training(SMOL, recipe, replace(BIG, memory=fixed), TEXTS, examples=100)
    assert (found.rows, found.fits) == (1, False)


def test_labelling():
    closed = estimate_labelling(SMOL, Recipe(), BIG, TEXTS, examples=100)
    assert closed.gradients == closed.optimizer == 0
    assert closed.flops == 100 * sum(forward_flops(SMOL, 60 + 2 * 2, 62, 4))
    assert estimate_labelling(SMOL, Recipe(), BIG, TEXTS, examples=100, times=3).flops == 3 * closed.flops
    learnt = estimate_training(SMOL, Recipe(epochs=1), BIG, TEXTS, examples=100)
    assert 2.5 < learnt.flops / closed.flops < 3.5 and closed.weights == learnt.weights
    free = estimate_labelling(SMOL, Recipe(), BIG, replace(TEXTS, choices=0), examples=100)
    assert free.flops > 1.5 * closed.flops
    fast = replace(BIG, bfloat16=1e18)  # a pass for each new token costs time, however fast the device
    assert estimate_labelling(SMOL, Recipe(), fast, TEXTS, examples=100).seconds == 2 * SMOL.layers * LAUNCH
    grown = estimate_labelling(SMOL, Recipe(), fast, replace(TEXTS, choices=0), examples=100).seconds
    assert grown == (MAX_NEW_TOKENS + 2) * SMOL.layers * LAUNCH


@pytest.mark.parametrize("family", CONFIGS)
def test_every_answer_has_its_keys_and_values(family):
    """What one more answer takes, when labelling, is the cache that the network really fills."""
    net, model = network(family)
    recipe = Recipe(precision="float32")
    two, three = (estimate_labelling(model, recipe, BIG, replace(TEXTS, choices=k), examples=1) for k in (2, 3))
    with torch.no_grad():
        cache = net(input_ids=torch.zeros(1, 122, dtype=torch.long), use_cache=True)
        cache = cache.cache if "cache" in cache else cache.past_key_values  # its name until transformers 5.23
    filled = sum(tensor.nbytes for layer in cache.layers for tensor in (layer.keys, layer.values))
    assert three.activations - two.activations == filled > 0
    assert three.logits == 1.5 * two.logits == 12 * 3 * 2 * 500


def test_a_longer_input_is_cut():
    long = Texts(prompt=900, longest=4000, answer=4, choices=2)
    assert long.within(512) == Texts(508, 508, 4, 2)
    recipe = Recipe(max_tokens=256)
    cut = estimate_training(SMOL, recipe, BIG, long, examples=10)
    assert cut == estimate_training(SMOL, recipe, BIG, Texts(252, 252, 4, 2), examples=10)


def test_lengths_by_characters():
    examples = [Example("Say.", "x" * 9, "yes"), Example("Say.", "x" * 29, "no")]  # and "\nAnswer:", "\n": 4 + n + 9
    assert Texts.of(examples, ["yes", "no"]) == Texts(prompt=(22 + 42) / 2 / 4, longest=11, answer=2, choices=2)
    assert Texts.of([Example("Say.", "", "a longer answer")], None).answer == 5
    assert Texts.of([Example("Say.", "x", None)], None).answer == 1


# -- devices -----------------------------------------------------------------------------------------------------


def test_cards_are_found_by_name():
    assert find_device("T4") == DEVICES["T4"] and find_device("T4").precision("auto") == "float32"
    assert find_device("A100").precision("auto") == "bfloat16"
    assert find_device("A100").precision("float32") == "float32"
    for card in DEVICES.values():
        assert card.speed("bfloat16") == (card.bfloat16 or card.float32) and card.speed("float32") == card.float32
    with pytest.raises(ValueError, match=r"'abacus' is not available.*or one of the cards T4, L4, A10"):
        find_device("abacus")


def test_the_cpu_is_measured(monkeypatch):
    monkeypatch.setattr(module, "measured_speed", lambda place, dtype: 5e10)
    found = find_device("cpu")
    assert (found.name, found.float32, found.bfloat16) == ("cpu", 5e10, None)
    assert found.memory is None or found.memory > 1e8


def test_measuring_gives_a_speed():
    assert 1e8 < measured_speed(torch.device("cpu"), torch.float32, seconds=0.05) < 1e14


@pytest.mark.parametrize(
    ("said", "known"),
    [("NVIDIA A100-SXM4-40GB", "A100"), ("NVIDIA A10", "A10"), ("Tesla T4", "T4"), ("NVIDIA A10G", None)],
)
def test_the_card_of_this_machine(monkeypatch, said, known):
    """Its own memory; speeds from the table, or measured where its name is not there (an A10G is no A10)."""
    card = type("Card", (), {"name": said, "total_memory": 12_345, "major": 8})
    monkeypatch.setattr(module, "pick_device", lambda name: torch.device("cuda"))
    monkeypatch.setattr(torch.cuda, "get_device_properties", lambda place: card)
    monkeypatch.setattr(module, "measured_speed", lambda place, dtype: 7.0)
    found = find_device("auto")
    assert (found.name, found.memory) == (said, 12_345)
    assert found.float32 == (DEVICES[known].float32 if known else 7.0)
