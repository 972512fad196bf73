"""The state of an unfinished training: what is put back is what was there, bit for bit, or nothing."""

import json
import random
import warnings
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from own_warnings import shown_for_ours
from safetensors import safe_open

from w2s_lab.objective import AuxiliaryConfidence, MaximumLikelihood, SoftTargets
from w2s_lab.recipe import Recipe
from w2s_lab.training import checkpoint as module
from w2s_lab.training.checkpoint import Checkpoint
from w2s_lab.training.evaluation import snapshot_to_json
from w2s_lab.training.labelling import weak_labels
from w2s_lab.training.loop import train, training_steps

FACTS = {"step": 3, "losses": [0.1, 1e-30, 1 / 3], "name": "ŷ", "history": [{"probs": None}]}


def network_and_optimizer(seed: int) -> tuple[torch.nn.Module, torch.optim.Optimizer]:
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        network = torch.nn.Sequential(torch.nn.Linear(5, 7), torch.nn.Tanh(), torch.nn.Linear(7, 3))
    network[0].bias.requires_grad_(False)
    return network, torch.optim.AdamW([p for p in network.parameters() if p.requires_grad], lr=0.01, weight_decay=0.1)


def steps(network, optimizer, first: int, last: int) -> None:
    """Plain torch: the batch of a step depends on its number only."""
    for step in range(first, last):
        inputs = torch.randn(4, 5, generator=torch.Generator().manual_seed(step))
        optimizer.zero_grad()
        network(inputs).square().mean().backward()
        optimizer.step()


def same_weights(one: torch.nn.Module, other: torch.nn.Module) -> bool:
    pairs = zip(one.state_dict().items(), other.state_dict().items(), strict=True)
    return all(a == b and torch.equal(x, y) for (a, x), (b, y) in pairs)


@pytest.fixture
def saved(tmp_path) -> Checkpoint:
    """After three steps."""
    network, optimizer = network_and_optimizer(0)
    steps(network, optimizer, 0, 3)
    found = Checkpoint(tmp_path / "unfinished" / "state", "key")
    found.save(network, optimizer, FACTS)
    return found


# -- there and back --------------------------------------------------------------------------------------------------


def test_the_rest_is_that_of_an_uninterrupted_loop(saved):
    expected, optimizer = network_and_optimizer(0)
    steps(expected, optimizer, 0, 8)
    found, own = network_and_optimizer(0)
    with torch.no_grad():  # a fixed weight is not in the file; what is trained starts elsewhere
        for parameter in own.param_groups[0]["params"]:
            parameter.add_(1)
    assert saved.restore(found, own) == FACTS
    steps(found, own, 3, 8)
    assert same_weights(found, expected)
    for a, b in zip(own.state_dict()["state"].values(), optimizer.state_dict()["state"].values(), strict=True):
        assert a.keys() == b.keys() == {"step", "exp_avg", "exp_avg_sq"}
        assert all(torch.equal(a[name], b[name]) for name in a)


def test_without_the_optimizer_the_rest_would_be_another(saved):
    """So the test above says something."""
    expected, optimizer = network_and_optimizer(0)
    steps(expected, optimizer, 0, 8)
    found, own = network_and_optimizer(0)
    saved.restore(found, torch.optim.AdamW(network_and_optimizer(0)[0].parameters()))
    steps(found, own, 3, 8)
    assert not same_weights(found, expected)


def test_what_was_put_back_is_not_shared(saved):
    """Training on does not change what a second restore would read, and the file may go."""
    first, optimizer = network_and_optimizer(1)
    saved.restore(first, optimizer)
    saved.discard()
    steps(first, optimizer, 3, 5)


def test_a_network_in_bfloat16(tmp_path):
    network, optimizer = network_and_optimizer(0)
    network.bfloat16()
    steps_before = {name: value.clone() for name, value in network.state_dict().items()}
    found = Checkpoint(tmp_path / "state", "key")
    found.save(network, optimizer, {})
    with torch.no_grad():
        network[2].weight.zero_()
    assert found.restore(network, optimizer) == {}
    assert torch.equal(network[2].weight, steps_before["2.weight"])


# -- nothing to go on from -------------------------------------------------------------------------------------------


def untouched(checkpoint: Checkpoint) -> bool:
    """Nothing was put back, neither weights nor state."""
    network, optimizer = network_and_optimizer(4)
    nothing = checkpoint.restore(network, optimizer) is None
    return nothing and same_weights(network, network_and_optimizer(4)[0]) and not optimizer.state


def test_no_file(tmp_path, recwarn):
    assert untouched(Checkpoint(tmp_path / "state", "key"))
    assert not shown_for_ours(recwarn.list)


def test_another_key(saved, recwarn):
    assert untouched(Checkpoint(saved.path, "another"))
    assert not shown_for_ours(recwarn.list)
    assert saved.path.is_file()


@pytest.mark.parametrize("keep", [0, 7, 8, 200, -1])
def test_a_truncated_file(keep, saved):
    saved.path.write_bytes(saved.path.read_bytes()[:keep])
    with pytest.warns(UserWarning, match=r"state is damaged \(.+\); this training starts again"):
        assert untouched(saved)


def test_any_altered_byte_is_noticed(saved):
    """In the header, in the weights, in the optimizer's state; wherever it is."""
    content, rng = saved.path.read_bytes(), random.Random(0)
    places = {*range(0, len(content), 7), *range(8)}
    for place in places:
        altered = bytearray(content)
        altered[place] ^= 1 << rng.randrange(8)
        saved.path.write_bytes(altered)
        with pytest.warns(UserWarning, match="state is damaged") as said:
            assert untouched(saved), place
        assert len(said) == 1
    assert len(places) > 150


def test_a_file_that_goes_while_it_is_looked_for(saved, monkeypatch, recwarn):
    """Another process has just finished the same training."""
    saved.discard()
    monkeypatch.setattr(Path, "is_file", lambda self: True)
    assert untouched(saved)
    assert not shown_for_ours(recwarn.list)


def test_a_failed_save_leaves_the_last_one(saved, monkeypatch):
    def fail(tensors, path, metadata):
        Path(path).write_bytes(b"half")
        raise module.SafetensorError("I/O error: No space left on device (os error 28)")

    before = saved.path.read_bytes()
    monkeypatch.setattr(module, "save_file", fail)
    with pytest.raises(OSError, match=r"state cannot be written .*No space left.* Hint:"):
        saved.save(*network_and_optimizer(1), {"step": 9})
    assert saved.path.read_bytes() == before
    assert list(saved.path.parent.iterdir()) == [saved.path]


def test_discard(saved):
    saved.discard()
    assert list(saved.path.parent.iterdir()) == []
    saved.discard()  # also where there is none


# -- when ------------------------------------------------------------------------------------------------------------


@pytest.fixture
def clock(monkeypatch) -> list[float]:
    """The time in seconds, which a test sets."""
    now = [100.0]
    monkeypatch.setattr(module.time, "monotonic", lambda: now[0])
    return now


def test_due_after_some_seconds(tmp_path, clock):
    checkpoint = Checkpoint(tmp_path / "state", "key", seconds=10)
    assert not checkpoint.due()
    clock[0] = 109.9
    assert not checkpoint.due()
    clock[0] = 110
    assert checkpoint.due() and checkpoint.due()
    checkpoint.save(*network_and_optimizer(0), {})
    assert not checkpoint.due()
    clock[0] = 120
    assert checkpoint.due()


@pytest.mark.parametrize(("size", "pause"), [(1_000, 10), (200_000_000, 10), (1_600_000_000, 80)])
def test_a_large_state_is_saved_less_often(size, pause, tmp_path, clock):
    checkpoint = Checkpoint(tmp_path / "new" / "state", "key")
    clock[0] += 3  # the optimizer was made
    checkpoint.expect(size)
    clock[0] = 100 + pause - 0.1
    assert not checkpoint.due()
    clock[0] = 100 + pause
    assert checkpoint.due()
    asked = Checkpoint(tmp_path / "state", "key", seconds=1)
    asked.expect(size)
    clock[0] += 1
    assert asked.due(), "whoever asks for a time gets it"


def test_a_disk_without_room_is_named_and_the_training_goes_on(tmp_path, clock, monkeypatch):
    monkeypatch.setattr(module.shutil, "disk_usage", lambda folder: SimpleNamespace(free=2_000_000))
    checkpoint = Checkpoint(tmp_path / "new" / "state", "key")
    checkpoint.expect(2_000_000)
    with pytest.warns(UserWarning, match=r"has 2 MB free, and the state of this training takes 3 MB: once stopped"):
        checkpoint.expect(3_000_000)
    clock[0] += 1e6
    assert not checkpoint.due()


@pytest.mark.parametrize(("seconds_to_save", "pause"), [(0.1, 10), (2, 40), (60, 1200)])
def test_slow_saving_is_done_less_often(seconds_to_save, pause, tmp_path, clock, monkeypatch):
    real = module.save_file

    def slow(*args):
        clock[0] += seconds_to_save
        real(*args)

    monkeypatch.setattr(module, "save_file", slow)
    checkpoint = Checkpoint(tmp_path / "state", "key", seconds=10)
    checkpoint.save(*network_and_optimizer(0), {})
    clock[0] += pause - 0.1
    assert not checkpoint.due()
    clock[0] += 0.2
    assert checkpoint.due()


# -- a training ------------------------------------------------------------------------------------------------------

RECIPE = Recipe(epochs=2, batch_size=4, learning_rate=1e-3, eval_every=3)  # 8 steps
LOSSES = [MaximumLikelihood(), SoftTargets(temperature=0.7), AuxiliaryConfidence()]


class Stopped(Exception):
    pass


def stop_after(last: int):
    def on_step(done: int, steps: int) -> None:
        if done == last:
            raise Stopped

    return on_step


@pytest.fixture
def every_step(monkeypatch) -> Iterator[None]:
    monkeypatch.setattr(Checkpoint, "due", lambda self: True)


@pytest.mark.slow
@pytest.mark.parametrize("loss", LOSSES, ids=lambda loss: type(loss).__name__)
@pytest.mark.parametrize("name", ["llama", "gpt2"])
def test_stopped_anywhere_and_resumed(name, loss, request, closed_set, tmp_path, every_step):
    """gpt2 has dropout: its random numbers too must be those of the step."""
    model = request.getfixturevalue(name)
    labelled = weak_labels(request.getfixturevalue("llama"), closed_set.take(range(16)))
    watched = {"watch": closed_set.take(range(20, 26))}
    watched["reference"] = weak_labels(model, watched["watch"])
    recipe = replace(RECIPE, loss=loss)
    expected = train(model, labelled, recipe, **watched)
    assert len(expected.history) == 4
    everywhere = name == "gpt2" and isinstance(loss, AuxiliaryConfidence)
    for stop in range(2, 9) if everywhere else (2, 5, 8):
        checkpoint, taken = Checkpoint(tmp_path / f"{stop}", "key"), []
        with pytest.raises(Stopped):
            train(model, labelled, recipe, **watched, checkpoint=checkpoint, on_step=stop_after(stop))
        with safe_open(checkpoint.path, "pt") as file:
            assert json.loads(file.metadata()["facts"])["step"] == stop - 1
        found = train(
            model, labelled, recipe, **watched, checkpoint=checkpoint, on_step=lambda done, _, to=taken: to.append(done)
        )
        assert taken == list(range(stop, 9))
        assert same_weights(found.network, expected.network), stop
        assert list(map(snapshot_to_json, found.history)) == list(map(snapshot_to_json, expected.history)), stop
        assert found.digest == expected.digest


def test_snapshots_are_yielded_again(llama, closed_set, tmp_path, every_step):
    """A loop over the snapshots sees all of them, also those from before the interruption."""
    labelled, checkpoint = closed_set.take(range(16)), Checkpoint(tmp_path / "state", "key")
    for snapshot in training_steps(llama.copy(), labelled, RECIPE, checkpoint=checkpoint):
        if snapshot.step == 6:
            break
    seen = [snapshot.step for snapshot in training_steps(llama.copy(), labelled, RECIPE, checkpoint=checkpoint)]
    assert seen == [0, 3, 6, 8]


def test_a_damaged_checkpoint_and_the_training_starts_again(llama, closed_set, tmp_path, every_step):
    labelled, checkpoint = closed_set.take(range(16)), Checkpoint(tmp_path / "state", "key")
    with pytest.raises(Stopped):
        train(llama, labelled, RECIPE, checkpoint=checkpoint, on_step=stop_after(5))
    content = bytearray(checkpoint.path.read_bytes())
    content[-3] ^= 1
    checkpoint.path.write_bytes(content)
    taken = []
    with pytest.warns(UserWarning, match="starts again"):
        found = train(llama, labelled, RECIPE, checkpoint=checkpoint, on_step=lambda done, _: taken.append(done))
    assert taken == list(range(1, 9))
    assert same_weights(found.network, train(llama, labelled, RECIPE).network)


def test_a_checkpoint_does_not_disturb(llama, closed_set, tmp_path, every_step):
    """With one or without one: the same weights, and nothing to warn of."""
    labelled = closed_set.take(range(16))
    with warnings.catch_warnings(record=True) as warned:
        warnings.simplefilter("always")
        found = train(llama, labelled, RECIPE, checkpoint=Checkpoint(tmp_path / "state", "key"))
    assert not shown_for_ours(warned)
    assert same_weights(found.network, train(llama, labelled, RECIPE).network)
