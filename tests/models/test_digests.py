"""The digest of large weights: computed once, and again as soon as a file changes."""

import copy
import hashlib
import os
import shutil
import time
from pathlib import Path

import pytest
import torch
from conftest import in_transformers
from tokenizers import normalizers, pre_tokenizers, processors

from w2s_lab.models import digests
from w2s_lab.models.digests import weights_digest
from w2s_lab.models.loading import load_model, network_digest, save_model


@pytest.fixture
def cache(tmp_path, monkeypatch) -> Path:
    """The user's cache, in which the digest of small files is remembered too."""
    monkeypatch.setattr("platformdirs.user_cache_path", lambda name, appauthor: tmp_path / "cache" / name)
    monkeypatch.setattr(digests, "LARGE", 0)
    return tmp_path / "cache" / "w2s_lab" / "digests"


@pytest.fixture
def folder(llama, tmp_path) -> Path:
    save_model(llama, tmp_path / "model")
    age(tmp_path / "model", 60)
    return tmp_path / "model"


def age(folder: Path, seconds: float) -> None:
    for path in folder.iterdir():
        os.utime(path, (time.time() - seconds,) * 2)


@pytest.fixture
def computed(monkeypatch) -> list[int]:
    """A number for each digest of weights that is really computed."""
    calls, real = [], hashlib.sha256

    class Watched:
        @staticmethod
        def sha256(*args):
            calls.append(len(calls))
            return real(*args)

    monkeypatch.setattr(digests, "hashlib", Watched)
    return calls


def test_it_is_the_hash_of_names_and_values(llama):
    seen = hashlib.sha256()
    for name, value in sorted(llama.network.state_dict().items()):
        seen.update(name.encode() + value.numpy().tobytes())
    assert weights_digest(llama.network.state_dict()) == seen.hexdigest()
    turned = {"a": torch.arange(6.0).reshape(2, 3).T, "b": torch.tensor(1.5, dtype=torch.bfloat16)}
    flat = b"a" + turned["a"].contiguous().numpy().tobytes() + b"b" + turned["b"].float().numpy().tobytes()
    assert weights_digest(turned) == hashlib.sha256(flat).hexdigest()


def test_it_is_computed_once(folder, llama, cache, computed):
    first, second = (load_model(folder, device="cpu") for _ in range(2))
    assert first.digest == second.digest == llama.digest and len(computed) == len(list(cache.iterdir())) == 1
    shutil.copytree(folder, folder.parent / "copy")  # another place: computed again, to the same digest
    age(folder.parent / "copy", 30)
    assert load_model(folder.parent / "copy", device="cpu").digest == llama.digest and len(computed) == 2


def test_new_weights_in_the_same_place_have_another_digest(folder, llama, cache, computed):
    before = load_model(folder, device="cpu").digest
    other = llama.copy()
    with torch.no_grad():
        other.network.lm_head.weight[3, 3] += 1e-3
    save_model(other, folder)  # a file of the same size
    found = load_model(folder, device="cpu")
    assert found.digest != before and found.digest == network_digest(other.network, other.tokenizer)
    assert len(list(cache.iterdir())) == 1  # it may still be written to: nothing is remembered of it
    age(folder, 40)
    assert load_model(folder, device="cpu").digest == found.digest and len(list(cache.iterdir())) == 2


def test_what_was_trained_is_not_what_was_read(folder, cache, closed_set):
    from w2s_lab.recipe import Recipe
    from w2s_lab.training.loop import train

    start = load_model(folder, device="cpu")
    model = train(start, closed_set, Recipe(epochs=1, learning_rate=1e-3))
    assert network_digest(model.network, model.tokenizer) != start.digest
    assert load_model(f"scratch:{folder}", device="cpu").digest != start.digest


def test_a_file_of_the_hub_is_known_by_its_content(folder, llama, cache, computed, tmp_path):
    """Snapshots of two revisions link to one blob, whose time is of no importance."""
    blobs = tmp_path / "blobs"
    blobs.mkdir()
    for revision in ("one", "two"):
        (tmp_path / revision).mkdir()
        for path in folder.iterdir():
            blob = blobs / hashlib.sha256(path.read_bytes()).hexdigest()
            shutil.copy(path, blob)
            (tmp_path / revision / path.name).symlink_to(blob)
    assert {load_model(tmp_path / revision, device="cpu").digest for revision in ("one", "two")} == {llama.digest}
    assert len(computed) == 1


@pytest.mark.parametrize("kept", [b"", b"0" * 63, b"g" * 64, b"\xff\xfe"], ids=["empty", "short", "no digest", "bytes"])
def test_a_damaged_memory_is_computed_again(kept, folder, llama, cache):
    load_model(folder, device="cpu")
    (file,) = cache.iterdir()
    whole = file.read_bytes()
    file.write_bytes(kept)
    assert load_model(folder, device="cpu").digest == llama.digest and file.read_bytes() == whole


def test_no_memory_can_be_kept(folder, llama, cache, monkeypatch):
    cache.parent.mkdir(parents=True)
    cache.write_text("a file where the folder should be")
    assert load_model(folder, device="cpu").digest == llama.digest
    monkeypatch.setattr("platformdirs.user_cache_path", lambda name, appauthor: Path("~") / name)  # nobody's home
    assert load_model(folder, device="cpu").digest == llama.digest


def test_small_files_leave_no_trace(folder, cache, monkeypatch):
    monkeypatch.setattr(digests, "LARGE", 100_000_000)
    load_model(folder, device="cpu")
    assert not cache.exists()


def test_a_tokenizer_that_cuts_otherwise_is_another_model(llama):
    """With the same vocabulary: another normalizer, other digits, no start token, another end."""
    changes = {
        "as it is": lambda made: None,
        "lower case": lambda made: setattr(made.backend_tokenizer, "normalizer", normalizers.Lowercase()),
        "digits": lambda made: setattr(made.backend_tokenizer, "pre_tokenizer", pre_tokenizers.Digits()),
        "no start": lambda made: setattr(made.backend_tokenizer, "post_processor", processors.ByteLevel()),
        "end": lambda made: setattr(made, "eos_token", "<|pad|>"),
    }
    found = {}
    for name, change in changes.items():
        tokenizer = copy.deepcopy(llama.tokenizer)
        change(tokenizer)
        found[name] = load_model((in_transformers(llama.network), tokenizer)).digest
    assert found["as it is"] == llama.digest and len(set(found.values())) == len(changes), found
