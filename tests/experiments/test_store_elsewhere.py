"""The usual store never stops the work: it is read where it cannot be written, and what cannot be kept is done all the
same and said once. A store that was named for this work must be writable."""

import resource
import shutil
import warnings
from pathlib import Path

import pytest

from w2s_lab import assets
from w2s_lab.experiments import store as store_module
from w2s_lab.experiments.store import Store
from w2s_lab.recipe import Recipe

RECIPE = Recipe(epochs=1, batch_size=8, learning_rate=1e-3)


@pytest.fixture(autouse=True)
def named(tmp_path, monkeypatch) -> Path:
    """The usual store, and a user's folder of this test's own."""
    monkeypatch.setenv(assets.STORE_VARIABLE, str(tmp_path / "named"))
    monkeypatch.setattr("platformdirs.user_data_path", lambda name, appauthor: tmp_path / "home" / name)
    assets._warn_once.cache_clear()
    return tmp_path / "named"


@pytest.fixture
def done(monkeypatch) -> list[str]:
    """What had to be done, in order."""
    found = []
    for name in ("train", "weak_labels"):
        real = getattr(store_module, name)
        monkeypatch.setattr(store_module, name, lambda *a, _n=name, _real=real, **o: found.append(_n) or _real(*a, **o))
    return found


@pytest.fixture
def work(llama, closed_set):
    """A training, labels, states of a layer and a choice; the numbers, and what was said."""

    def do(store: Store) -> tuple[list, list[str]]:
        with warnings.catch_warnings(record=True) as warned:
            warnings.simplefilter("always")
            model = store.train(llama, closed_set.take(range(16)), RECIPE, role="student", watch=closed_set.take([3]))
            labels = store.labels(model, closed_set.take(range(8)))
            features = store.features(model, closed_set.take(range(4)))
            numbers = [model.name, model.digest, [one.train_loss for one in model.history], labels.probs.tolist()]
            numbers += [labels.source, features.tolist(), store.chosen("key", lambda: [3])]
        return numbers, [
            str(one.message) for one in warned if "store" in str(one.message) or "kept" in str(one.message)
        ]

    return do


def only_readable(monkeypatch, *places: Path) -> None:
    """As on a read-only disk: root may write everywhere, so the question is answered here."""
    real = assets.can_write
    monkeypatch.setattr(
        assets, "can_write", lambda path: not any(path.is_relative_to(p) for p in places) and real(path)
    )


def test_a_shared_store_is_read_and_new_work_goes_to_the_user(tmp_path, named, work, done, monkeypatch):
    expected, said = work(Store())
    assert said == [] and done == ["train", "weak_labels"]
    only_readable(monkeypatch, named)
    before = sorted(named.rglob("*"))
    with pytest.warns(UserWarning, match=f"{named} cannot be written.*{assets.STORE_VARIABLE}.*--store"):
        store = Store()
    assert work(store) == (expected, []) and done == ["train", "weak_labels"]
    assert [row["folder"] for row in store.runs()] == [str(next((named / "trainings").iterdir()))]

    shutil.rmtree(named / "labels")
    assert work(Store()) == (expected, []) and done == ["train", "weak_labels", "weak_labels"]
    shutil.rmtree(named / "trainings")
    assert work(Store()) == (expected, []) and done == ["train", "weak_labels", "weak_labels", "train"]
    assert work(Store()) == (expected, []) and len(done) == 4
    assert {path for path in named.rglob("*")} <= set(before)
    assert (tmp_path / "home" / "w2s_lab" / "runs" / "trainings").is_dir()


def test_damaged_work_in_a_shared_store_is_done_again_elsewhere(named, work, done, monkeypatch):
    expected, _ = work(Store())
    only_readable(monkeypatch, named)
    (folder,) = (named / "trainings").iterdir()
    (folder / "model.safetensors").write_bytes(b"damaged")
    assert work(Store())[0] == expected and done.count("train") == 2
    assert (folder / "model.safetensors").read_bytes() == b"damaged"


@pytest.mark.parametrize("kind", ["a file", "no space"])
def test_what_cannot_be_kept_is_done_and_said_once(kind, tmp_path, named, work, done):
    expected, _ = work(Store(tmp_path / "other"))
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    if kind == "a file":
        (tmp_path / "home").write_text("")
        named.write_text("")
    else:
        resource.setrlimit(resource.RLIMIT_FSIZE, (0, limits[1]))
    try:
        found, said = work(Store())
        assert found == expected
        (words,) = said
        assert "not kept" in words and assets.STORE_VARIABLE in words and "--store" in words
        assert done == ["train", "weak_labels"] * 2
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)


def test_a_checkpoint_without_space_does_not_end_a_training(tmp_path, work, monkeypatch):
    from w2s_lab.training import checkpoint

    def full(*arguments: object) -> None:
        raise OSError(28, "No space left on device")

    expected, _ = work(Store(tmp_path / "other"))
    monkeypatch.setattr(checkpoint.Checkpoint, "due", lambda self: self._next < float("inf"))
    monkeypatch.setattr(checkpoint, "save_file", full)
    found, said = work(Store())
    assert found == expected and len(said) == 1 and "No space left" in said[0]
    with pytest.raises(OSError, match="No space left"):
        work(Store(tmp_path / "third"))
