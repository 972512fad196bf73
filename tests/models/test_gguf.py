"""A tiny SmolLM2 as a GGUF file becomes an ordinary folder: tensors and tokens against an independent reading."""

import json

import numpy as np
import pytest
import torch
from gguf_reading import NAMES, as_transformers_has_it, independent

from w2s_lab.models.gguf import smollm2
from w2s_lab.models.loading import load_model, train_tokenizer

gguf = pytest.importorskip("gguf", reason="needs the package gguf: pip install -e '.[real]'")

LAYERS, WIDTH, HEADS, KV_HEADS, MLP = 2, 64, 4, 2, 96
TEXTS = ["in 2024 1,234.5 km", "a  2024  7", "\n 2\n  33\t4", "naïve - “quotes”", "½ ²3", "日本語 2025年", "don't I'll",
         "  leading", "trailing  ", "🙂 A1B22"]  # fmt: skip


def write(path, tokens: list[str], merges: list[str]) -> dict[str, np.ndarray]:
    """A Llama with random weights; returns what is in the file, dequantised, under transformers' names."""
    rng = np.random.default_rng(0)
    writer = gguf.GGUFWriter(path, "llama")
    writer.add_context_length(128)
    writer.add_embedding_length(WIDTH)
    writer.add_block_count(LAYERS)
    writer.add_feed_forward_length(MLP)
    writer.add_head_count(HEADS)
    writer.add_head_count_kv(KV_HEADS)
    writer.add_layer_norm_rms_eps(1e-5)
    writer.add_rope_dimension_count(WIDTH // HEADS)
    writer.add_rope_freq_base(100_000.0)
    writer.add_vocab_size(len(tokens))
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre("smollm")
    writer.add_token_list(tokens)
    writer.add_token_types([3] + [1] * (len(tokens) - 1))
    writer.add_token_merges(merges)
    for add in (writer.add_bos_token_id, writer.add_eos_token_id, writer.add_pad_token_id, writer.add_unk_token_id):
        add(0)
    kv = WIDTH * KV_HEADS // HEADS
    shapes = {"attn_q": (WIDTH, WIDTH), "attn_k": (kv, WIDTH), "attn_v": (kv, WIDTH), "attn_output": (WIDTH, WIDTH)}
    shapes |= {"ffn_gate": (MLP, WIDTH), "ffn_up": (MLP, WIDTH), "ffn_down": (WIDTH, MLP)}
    found = {}

    def put(name: str, own: str, shape: tuple[int, ...], heads: int = 0) -> None:
        values = (0.2 * rng.standard_normal(shape)).astype(np.float32)
        if len(shape) == 2:
            kind = gguf.GGMLQuantizationType.Q4_1
            packed = gguf.quants.quantize(values, kind)
            writer.add_tensor(name, packed, raw_dtype=kind)
            values = gguf.dequantize(packed, kind)
        else:
            writer.add_tensor(name, values)
        found[own] = as_transformers_has_it(values, heads)

    put("token_embd.weight", "model.embed_tokens.weight", (len(tokens), WIDTH))
    put("output_norm.weight", "model.norm.weight", (WIDTH,))
    for layer in range(LAYERS):
        for part, own in NAMES.items():
            heads = {"attn_q": HEADS, "attn_k": KV_HEADS}.get(part, 0)
            put(f"blk.{layer}.{part}.weight", f"model.layers.{layer}.{own}.weight", shapes.get(part, (WIDTH,)), heads)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return found


@pytest.mark.slow
def test_an_ordinary_folder(tmp_path):
    trained = json.loads(
        train_tokenizer(iter(TEXTS[3:4] * 3 + ["a quote  a quote\n\n and a 7"] * 9), 300).backend_tokenizer.to_str()
    )
    vocabulary = sorted(trained["model"]["vocab"], key=trained["model"]["vocab"].get)
    merges = [" ".join(pair) for pair in trained["model"]["merges"]]
    expected = write(tmp_path / "model.gguf", vocabulary, merges)
    steps = []
    smollm2(tmp_path, lambda *step: steps.append(step))
    assert steps[0][1:] == (0, 100) and steps[-1][1:] == (100, 100)
    assert not list(tmp_path.glob("*.gguf"))
    model = load_model(str(tmp_path), device="cpu")
    state = model.network.state_dict()
    assert set(state) - set(expected) == {"lm_head.weight"} and set(expected) <= set(state)
    for name, values in expected.items():
        assert torch.equal(state[name], torch.from_numpy(values).half().float()), name
    other = independent(vocabulary, merges)
    for text in TEXTS:
        assert model.tokenizer(text, add_special_tokens=False)["input_ids"] == other.encode(text).ids, text
        assert model.tokenizer.decode(other.encode(text).ids) == text
    config = json.loads((tmp_path / "config.json").read_text())
    assert "quantization_config" not in config and config["dtype"] == "float16"
    assert config["rope_parameters"]["rope_theta"] == 100_000.0 and model.tokenizer.model_max_length == 128
