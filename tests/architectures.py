"""Tiny random networks of the families that transformers has, which differ in what they keep of a text."""

import pytest
import torch
import transformers

from w2s_lab.models.language_model import LanguageModel

HEADS = {"num_hidden_layers": 2, "num_attention_heads": 4}
GROUPED = HEADS | {"num_key_value_heads": 2, "intermediate_size": 48}
ROTARY = GROUPED | {"head_dim": 8}
GPT = {"n_embd": 32, "n_layer": 2, "n_head": 4}
STATE = {"mamba_n_heads": 8, "mamba_d_head": 8, "mamba_d_state": 8, "mamba_n_groups": 1}

FAMILIES = {
    "Llama": GROUPED,
    "GPT2": GPT,
    "OPT": HEADS | {"ffn_dim": 48, "word_embed_proj_dim": 32},
    "GPTNeo": {"num_layers": 2, "num_heads": 4, "attention_types": [[["global", "local"], 1]], "window_size": 8},
    "GPTNeoX": HEADS | {"intermediate_size": 48},
    "Bloom": {"n_layer": 2, "n_head": 4},
    "Mpt": {"d_model": 32, "n_layers": 2, "n_heads": 4},
    "Falcon": HEADS | {"alibi": True},
    "Mistral": GROUPED | {"sliding_window": 8},
    "Gemma2": ROTARY | {"sliding_window": 8},
    "Gemma3Text": ROTARY | {"sliding_window": 8},
    "Phi": HEADS | {"intermediate_size": 48},
    "CodeGen": GPT | {"rotary_dim": 4},
    "XGLM": {"d_model": 32, "num_layers": 2, "attention_heads": 4, "ffn_dim": 48},
    "BioGpt": HEADS | {"intermediate_size": 48},
    "CTRL": GPT | {"dff": 48},
    "Mixtral": GROUPED | {"num_local_experts": 4},
    "GptOss": ROTARY | {"sliding_window": 8, "num_local_experts": 2, "num_experts_per_tok": 1},
    "DeepseekV3": HEADS
    | {"num_key_value_heads": 4, "intermediate_size": 48, "moe_intermediate_size": 16, "n_routed_experts": 4}
    | {"num_experts_per_tok": 2, "n_group": 1, "topk_group": 1, "kv_lora_rank": 8, "q_lora_rank": 8}
    | {"qk_rope_head_dim": 4, "qk_nope_head_dim": 8, "v_head_dim": 8, "first_k_dense_replace": 1},
    "Mamba": {"num_hidden_layers": 2, "state_size": 8},
    "Mamba2": {"num_hidden_layers": 2, "state_size": 8, "num_heads": 8, "head_dim": 8, "n_groups": 1, "chunk_size": 16},
    "Rwkv": {"num_hidden_layers": 2, "attention_hidden_size": 32},
    "RecurrentGemma": GROUPED
    | {"num_hidden_layers": 3, "num_key_value_heads": 1, "attention_window_size": 8, "lru_width": 32},
    "Qwen3Next": ROTARY
    | {"num_hidden_layers": 4, "linear_num_key_heads": 2, "linear_num_value_heads": 4, "linear_key_head_dim": 8}
    | {"linear_value_head_dim": 8, "num_experts": 4, "num_experts_per_tok": 2, "moe_intermediate_size": 16}
    | {"shared_expert_intermediate_size": 16},
    "Lfm2": GROUPED | {"layer_types": ["conv", "full_attention"]},
    "GraniteMoeHybrid": GROUPED
    | {"layer_types": ["mamba", "attention"], "num_local_experts": 4, "num_experts_per_tok": 2}
    | {"shared_intermediate_size": 32, "mamba_chunk_size": 16}
    | STATE,
    "Jamba": GROUPED
    | {"attn_layer_period": 2, "attn_layer_offset": 1, "expert_layer_period": 2, "num_experts": 2}
    | {"use_mamba_kernels": False, "mamba_d_state": 8, "mamba_dt_rank": 4},
    "FalconH1": GROUPED | STATE | {"mamba_d_ssm": 32, "mamba_n_heads": 4, "mamba_chunk_size": 16},
}
WIDTH = ({"GPT2", "CodeGen", "CTRL"}, {"Mpt", "XGLM"})  # have n_embd, and d_model, for hidden_size


def network(name: str, tokenizer, *, spread: float = 0.3, seed: int = 0) -> torch.nn.Module:
    """A network of this family with random weights of standard deviation `spread`.

    Skips the test where transformers lacks the family.
    """
    if not hasattr(transformers, f"{name}Config"):
        pytest.skip(f"transformers {transformers.__version__} has no {name}")
    width = {} if name in WIDTH[0] | WIDTH[1] else {"hidden_size": 32}
    ids = {f"{kind}_token_id": getattr(tokenizer, f"{kind}_token_id") for kind in ("bos", "eos", "pad")}
    config = getattr(transformers, f"{name}Config")(**FAMILIES[name], **width, **ids, vocab_size=len(tokenizer))
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        found = transformers.AutoModelForCausalLM.from_config(config, dtype=torch.float32).eval()
        for parameter in found.parameters():
            if parameter.dim() > 1:
                torch.nn.init.normal_(parameter, std=spread)
    return found


def alone(model: LanguageModel, prompt: list[int], answer: list[int]) -> torch.Tensor:
    """log Pr(answer|prompt) by transformers alone: one row, no mask, no cache."""
    logits = model.network(input_ids=torch.tensor([prompt + answer]), use_cache=False).logits[0].float()
    steps = logits[len(prompt) - 1 : -1].log_softmax(-1)
    return steps[torch.arange(len(answer)), torch.tensor(answer)].sum()
