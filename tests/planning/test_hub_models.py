"""The facts about models are those of real architectures, and every pair is a plan that can be made of them."""

import json

import pytest
import torch
from peft import LoraConfig, get_peft_model
from transformers import (
    AutoModelForCausalLM,
    GPT2Config,
    GPTNeoXConfig,
    LlamaConfig,
    MistralConfig,
    Olmo2Config,
    Qwen2Config,
)

from w2s_lab import assets
from w2s_lab.planning.hub_models import (
    FAMILIES,
    MODELS,
    PAIRS,
    RESTRICTED,
    Architecture,
    UnknownSize,
    architecture,
    pair_plan,
)
from w2s_lab.recipe import LoRA, Recipe

CONFIGS = {
    "llama": LlamaConfig,
    "mistral": MistralConfig,
    "qwen2": Qwen2Config,
    "olmo2": Olmo2Config,
    "gpt_neox": GPTNeoXConfig,
}
STATED = {  # parameters that the Hub shows for each file of weights
    "HuggingFaceTB/SmolLM2-135M": 134_515_008,
    "HuggingFaceTB/SmolLM2-360M": 361_821_120,
    "HuggingFaceTB/SmolLM2-1.7B": 1_711_376_384,
    "EleutherAI/pythia-70m": 70_426_624,
    "EleutherAI/pythia-160m": 162_322_944,
    "EleutherAI/pythia-410m": 405_334_016,
    "EleutherAI/pythia-1.4b": 1_414_647_808,
    "Qwen/Qwen2.5-0.5B": 494_032_768,
    "Qwen/Qwen2.5-1.5B": 1_543_714_304,
    "Qwen/Qwen2.5-3B": 3_085_938_688,
    "Qwen/Qwen2.5-7B": 7_615_616_512,
    "allenai/OLMo-2-0425-1B": 1_484_916_736,
}


def config_of(model: Architecture):
    """The config of transformers with the same numbers."""
    grouped = {} if model.family == "gpt_neox" else {"num_key_value_heads": model.kv_heads}
    return CONFIGS[model.family](
        vocab_size=model.vocabulary,
        hidden_size=model.width,
        intermediate_size=model.mlp_width,
        num_hidden_layers=model.layers,
        num_attention_heads=model.heads,
        max_position_embeddings=model.context,
        tie_word_embeddings=model.tied,
        **grouped,
    )


def tiny(family: str, *, tied: bool = False, kv_heads: int = 2) -> Architecture:
    kv_heads = 4 if family == "gpt_neox" else kv_heads
    return Architecture("tiny", family, 3, 32, 72, 4, kv_heads, 100, tied, 64, "MIT", "this test")


def without_memory(config):
    with torch.device("meta"):
        return AutoModelForCausalLM.from_config(config)


def count(network) -> int:
    return sum(parameter.numel() for parameter in network.parameters())


# -- facts -------------------------------------------------------------------------------------------------------


def test_there_is_a_stated_number_for_every_model():
    assert set(STATED) == set(MODELS) and all(MODELS[name].name == name for name in MODELS)


@pytest.mark.parametrize("name", MODELS)
def test_parameters_are_those_of_the_network_and_of_the_hub(name):
    assert MODELS[name].parameters == STATED[name] == count(without_memory(config_of(MODELS[name])))


@pytest.mark.parametrize("tied", [True, False])
@pytest.mark.parametrize("kv_heads", [1, 2, 4])
@pytest.mark.parametrize("family", FAMILIES)
def test_parameters_of_any_architecture(family, kv_heads, tied):
    model = tiny(family, tied=tied, kv_heads=kv_heads)
    assert model.parameters == count(without_memory(config_of(model)))


@pytest.mark.parametrize("family", FAMILIES)
def test_adapter_parameters_are_those_of_peft(family):
    network = without_memory(config_of(tiny(family)))
    whole = count(network)
    wrapped = get_peft_model(network, LoraConfig(r=5, target_modules="all-linear", task_type="CAUSAL_LM"))
    learning = sum(parameter.numel() for parameter in wrapped.parameters() if parameter.requires_grad)
    assert tiny(family).adapter_parameters(LoRA(rank=5)) == learning == count(wrapped) - whole > 0


def test_the_restricted_licence_is_known():
    restricted = {name for name, model in MODELS.items() if model.licence in RESTRICTED}
    assert restricted == {"Qwen/Qwen2.5-3B"}
    assert {model.licence for model in MODELS.values()} - set(RESTRICTED) == {"apache-2.0"}


# -- from a name to an architecture ------------------------------------------------------------------------------


def test_the_ladder():
    cards = {path.parent.name: json.loads(path.read_text()) for path in assets.MODELS.glob("pocket-*/card.json")}
    assert len(cards) == 5
    for name, card in cards.items():
        assert architecture(name).parameters == architecture(f"scratch:{name}").parameters == card["parameters"]
        assert "MIT" in architecture(name).licence


@pytest.mark.parametrize("tied", [True, False])
@pytest.mark.parametrize("family", FAMILIES)
def test_a_folder_and_a_config_object(tmp_path, family, tied):
    model = tiny(family, tied=tied)
    config_of(model).save_pretrained(tmp_path)
    found = architecture(str(tmp_path))
    assert found.parameters == model.parameters and found.matrices == model.matrices and found.context == 64
    assert Architecture.from_config(config_of(model), "x").parameters == model.parameters


def test_a_revision_of_the_hub():
    assert architecture("EleutherAI/pythia-70m@step1000") is MODELS["EleutherAI/pythia-70m"]


def test_fields_that_a_config_of_the_hub_leaves_out(tmp_path):
    """Those of Pythia have no key/value heads, others no `tie_word_embeddings`."""
    facts = config_of(tiny("llama", kv_heads=4)).to_dict()
    del facts["num_key_value_heads"], facts["tie_word_embeddings"]
    assert Architecture.from_config(facts, "x").parameters == count(without_memory(LlamaConfig(**facts)))


@pytest.mark.parametrize("name", ["owner/unheard-of", "pocket-zz", "", "scratch:", "/nowhere/at/all"])
def test_an_unknown_model_has_no_invented_size(name):
    with pytest.raises(UnknownSize, match="unknown before it is downloaded"):
        architecture(name)


def test_architectures_that_are_not_understood(tmp_path):
    GPT2Config().save_pretrained(tmp_path)
    with pytest.raises(UnknownSize, match="not for 'gpt2'"):
        architecture(str(tmp_path))
    LlamaConfig(hidden_size=64, num_attention_heads=4, head_dim=32).save_pretrained(tmp_path)
    with pytest.raises(UnknownSize, match="attention heads"):
        architecture(str(tmp_path))
    for text in ("{", "[]", '{"model_type": "llama"}'):
        (tmp_path / "config.json").write_text(text)
        with pytest.raises(UnknownSize, match="cannot be read"):
            architecture(str(tmp_path))
    (tmp_path / "config.json").unlink()
    with pytest.raises(UnknownSize, match="cannot be read"):
        architecture(str(tmp_path))


# -- pairs -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", PAIRS)
def test_a_pair_becomes_a_plan(name):
    pair, plan = PAIRS[name], pair_plan(name, device="cuda")
    assert (plan.weak, plan.strong, plan.device) == (pair.weak, pair.strong, "cuda")
    assert (plan.weak_recipe, plan.recipe) == (pair.weak_recipe, pair.recipe)
    assert isinstance(plan.recipe, Recipe) and plan.recipe.eval_every is not None
    assert MODELS[pair.strong].parameters > 2.5 * MODELS[pair.weak].parameters
    assert name.endswith(f"-{pair.memory}gb")
    assert "not run" in pair.why and pair.why.endswith(".")
    assert plan.recipe.max_tokens <= min(MODELS[pair.weak].context, MODELS[pair.strong].context)


def test_a_pair_that_is_not_there():
    with pytest.raises(ValueError, match="there is no pair 'gpt-5'; expected one of smollm2-8gb, smollm2-16gb"):
        pair_plan("gpt-5")
