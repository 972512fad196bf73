"""A GGUF file of a Llama read without transformers: the names and the order of its weights, and its tokenizer."""

import numpy as np
from tokenizers import Regex, Tokenizer, models, pre_tokenizers

NAMES = {  # part of a layer in the file -> the same in transformers
    "attn_q": "self_attn.q_proj",
    "attn_k": "self_attn.k_proj",
    "attn_v": "self_attn.v_proj",
    "attn_output": "self_attn.o_proj",
    "ffn_gate": "mlp.gate_proj",
    "ffn_up": "mlp.up_proj",
    "ffn_down": "mlp.down_proj",
    "attn_norm": "input_layernorm",
    "ffn_norm": "post_attention_layernorm",
}
GPT2 = r"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+"  # llama.cpp's


def as_transformers_has_it(values: np.ndarray, heads: int) -> np.ndarray:
    """Rows of queries or keys: the file has both halves of a rotation side by side, transformers one after the other.

    Args:
        values: of a tensor.
        heads: of a matrix for queries or keys, else 0: then nothing is done.
    """
    if not heads:
        return values
    return values.reshape(heads, len(values) // heads // 2, 2, -1).swapaxes(1, 2).reshape(values.shape)


def independent(tokens: list[str], merges: list[str]) -> Tokenizer:
    """The file's own tokens and merges, cut as llama.cpp cuts for `smollm`: digits first, one by one."""
    pairs = [tuple(merge.split(" ")) for merge in merges]
    tokenizer = Tokenizer(models.BPE(vocab={token: i for i, token in enumerate(tokens)}, merges=pairs))
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(r"\p{N}"), "isolated"),
            pre_tokenizers.Split(Regex(GPT2), "isolated"),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )
    return tokenizer
