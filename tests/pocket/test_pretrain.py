"""Pre-training that may be killed at any time, and the ladder of models that is shipped."""

import itertools
import json
import math
import signal
import subprocess
from dataclasses import asdict, replace
from itertools import islice, pairwise
from pathlib import Path

import pytest
import torch
from forked import forked
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors import safe_open
from safetensors.torch import load_file
from transformers import AutoModelForCausalLM, AutoTokenizer

from w2s_lab import assets
from w2s_lab.models.loading import ladder, load_model
from w2s_lab.pocket import pretrain
from w2s_lab.pocket.corpus import documents, packed_tokens
from w2s_lab.pocket.pretrain import CONTEXT, LADDER, Rung, pretraining_rate_at
from w2s_lab.studies import leakage
from w2s_lab.training.checkpoint import Checkpoint

STEPS, ROWS, SAVE_EVERY, HELD_OUT = 30, 8, 5, 8 * CONTEXT
TINY = Rung("tiny", layers=1, width=16, heads=2, tokens=STEPS * ROWS * CONTEXT, learning_rate=2e-2)


@pytest.fixture(scope="module")
def pocket_tokenizer():
    return pretrain.pocket_tokenizer()


def save_every(steps: int):
    """A `Checkpoint.due` that counts the steps instead of looking at the clock."""
    count = itertools.count(1)
    return lambda self: next(count) % steps == 0


def make_small(monkeypatch, pocket_tokenizer) -> None:
    """Small batches, little held out, the state saved often, and the tokenizer made once for all tests."""
    monkeypatch.setattr(pretrain, "ROWS", ROWS)
    monkeypatch.setattr(Checkpoint, "due", save_every(SAVE_EVERY))
    monkeypatch.setattr(pretrain, "HELD_OUT_TOKENS", HELD_OUT)
    monkeypatch.setattr(pretrain, "pocket_tokenizer", lambda: pocket_tokenizer)


@pytest.fixture
def quick(monkeypatch, pocket_tokenizer):
    make_small(monkeypatch, pocket_tokenizer)


def make(folder: Path, rung: Rung = TINY) -> Path:
    return pretrain.pretrain(rung, folder=folder, device="cpu", compiled=False)


def card_of(folder: Path) -> dict:
    return json.loads((folder / "card.json").read_text())


def same_weights(first: Path, second: Path) -> bool:
    a, b = load_file(first / "model.safetensors"), load_file(second / "model.safetensors")
    return a.keys() == b.keys() and len(a) > 5 and all(torch.equal(a[name], b[name]) for name in a)


@pytest.fixture(scope="module")
def finished(tmp_path_factory, pocket_tokenizer) -> Path:
    """The tiny model, pre-trained without an interruption."""
    with pytest.MonkeyPatch.context() as monkeypatch:
        make_small(monkeypatch, pocket_tokenizer)
        return make(tmp_path_factory.mktemp("ladder"))


@pytest.mark.slow
def test_it_learns(finished):
    untrained = math.log(pretrain.VOCABULARY)
    assert card_of(finished)["held_out_loss"] < untrained - 2


def test_our_loader_and_transformers_read_the_same_model(finished):
    ours = load_model(str(finished), device="cpu")
    theirs, tokenizer = AutoModelForCausalLM.from_pretrained(finished), AutoTokenizer.from_pretrained(finished)
    ids = tokenizer("The plot is good. My verdict is", return_tensors="pt")["input_ids"]
    assert ours.tokenizer("The plot is good. My verdict is")["input_ids"] == ids[0].tolist()
    with torch.no_grad():
        torch.testing.assert_close(ours.network(ids).logits, theirs.eval()(input_ids=ids).logits, atol=1e-5, rtol=1e-5)


def test_the_card_tells_the_truth(finished):
    card, network = card_of(finished), AutoModelForCausalLM.from_pretrained(finished)
    assert card["parameters"] == sum(p.numel() for p in network.parameters())
    assert (card["steps"], card["tokens_seen"]) == (STEPS, STEPS * ROWS * CONTEXT)
    assert asdict(TINY).items() <= card.items()
    assert card["held_out_perplexity"] == pytest.approx(math.exp(card["held_out_loss"]), rel=1e-3)
    assert card["device"] == "cpu" and card["compiled"] is False
    readme = (finished / "README.md").read_text()
    assert f"{card['tokens_seen']:,}" in readme and f"{card['held_out_loss']:.4f}" in readme


def test_nothing_unfinished_is_left(finished):
    assert [path.name for path in finished.parent.iterdir()] == ["tiny"]


def test_a_finished_model_is_left_as_it_is(finished, quick, monkeypatch):
    monkeypatch.setattr(pretrain, "pocket_tokenizer", lambda: pytest.fail("it was done again"))
    before = {path.name: path.stat().st_mtime_ns for path in finished.iterdir()}
    assert make(finished.parent) == finished
    assert {path.name: path.stat().st_mtime_ns for path in finished.iterdir()} == before


def test_another_recipe_is_another_model(quick, tmp_path):
    short = replace(TINY, tokens=2 * ROWS * CONTEXT)
    first = card_of(make(tmp_path, short))
    again = card_of(make(tmp_path, replace(short, learning_rate=1e-3)))
    assert first["key"] != again["key"] and again["learning_rate"] == 1e-3
    assert first["held_out_loss"] != again["held_out_loss"]


def test_another_seed_gives_other_weights(quick, tmp_path):
    short = replace(TINY, tokens=2 * ROWS * CONTEXT)
    first, second = make(tmp_path / "a", short), make(tmp_path / "b", replace(short, seed=1))
    assert not same_weights(first, second)
    assert same_weights(first, make(tmp_path / "c", short))


def test_another_leakage_is_another_model_beside_it(quick, tmp_path):
    short = replace(TINY, tokens=2 * ROWS * CONTEXT)
    full = make(tmp_path, short)
    less = pretrain.pretrain(short, leakage=0.25, folder=tmp_path, device="cpu", compiled=False)
    assert (full.name, less.name) == ("tiny", "tiny-25") and not same_weights(full, less)
    card, readme = card_of(less), (less / "README.md").read_text()
    assert (card["name"], card["leakage"], card["stored_as"]) == ("tiny-25", 0.25, "float16")
    assert card["command"] == "w2s-lab pretrain tiny --leakage 0.25" and "verdict in 25 % of the reviews" in readme
    assert card_of(full)["leakage"] == 1 and card_of(full)["command"] == "w2s-lab pretrain tiny"
    assert pretrain.with_leakage(short, 0.005).name == "tiny-0.5" and pretrain.with_leakage(short, 1) == short


def test_a_further_pretraining_has_weights_and_documents_of_its_own(quick, tmp_path, monkeypatch):
    short, streams = replace(TINY, tokens=2 * ROWS * CONTEXT), []
    packed = pretrain.packed_tokens
    monkeypatch.setattr(pretrain, "packed_tokens", lambda *args, **own: streams.append(args[2]) or packed(*args, **own))
    made = [
        pretrain.pretrain(short, seed=seed, folder=tmp_path / place, device="cpu", compiled=False)
        for seed, place in ((0, "a"), (1, "a"), (2, "a"), (1, "b"))
    ]
    assert [path.name for path in made] == ["tiny", "tiny-seed-1", "tiny-seed-2", "tiny-seed-1"]
    assert same_weights(made[1], made[3])
    assert not any(same_weights(*pair) for pair in itertools.combinations(made[:3], 2))
    read = [seed for seed in streams if seed != pretrain.HELD_OUT_SEED]
    assert len(set(read)) == 3 and read[1] == read[3] and len(streams) == 2 * len(read)
    card = card_of(made[2])
    assert (card["name"], card["seed"]) == ("tiny-seed-2", 2) and card["command"] == "w2s-lab pretrain tiny --seed 2"
    assert pretrain.pretrain(short, seed=1, folder=tmp_path / "a") == made[1]  # finished: left as it is
    with pytest.raises(ValueError, match="seed is -1"):
        pretrain.pretrain(short, seed=-1, folder=tmp_path)


def test_the_loss_is_that_of_transformers(finished):
    network = AutoModelForCausalLM.from_pretrained(finished).eval()
    ids = torch.randint(0, 1000, (3, 17), generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        expected = network(input_ids=ids, labels=ids).loss
        assert float(pretrain.next_token_loss(network, ids)) == pytest.approx(float(expected), rel=1e-5)


def test_the_learning_rate_rises_and_falls_without_a_jump():
    rates = [pretraining_rate_at(step, 1000, 2.0) for step in range(1000)]
    top = rates.index(max(rates))
    assert max(rates) == 2.0 and 40 <= top <= 60
    assert rates[:top] == sorted(rates[:top]) and rates[top:] == sorted(rates[top:], reverse=True)
    assert 0.2 <= rates[-1] < 0.21
    assert max(abs(a - b) for a, b in pairwise(rates)) < 0.05


def test_the_stream_is_packed_without_a_gap(pocket_tokenizer):
    ids = packed_tokens(pocket_tokenizer, 500, 3)
    assert len(ids) == 500 and ids[0] == pocket_tokenizer.bos_token_id
    assert (packed_tokens(pocket_tokenizer, 200, 3) == ids[:200]).all()
    texts = pocket_tokenizer.decode(ids).split(pocket_tokenizer.bos_token)[1:-1]
    assert len(texts) > 5 and texts == list(islice(documents(3), len(texts)))


# -- killed ----------------------------------------------------------------------------------------------------------

KILLED = """
import itertools, os, signal, sys
from pathlib import Path
from w2s_lab.models.loading import load_model
from w2s_lab.training.checkpoint import Checkpoint
from w2s_lab.pocket import pretrain
from w2s_lab.pocket.pretrain import Rung

folder, finished, rung, rows, save_every, held_out, point, count = eval(sys.argv[1])
pretrain.ROWS, pretrain.HELD_OUT_TOKENS = rows, held_out
steps = itertools.count(1)
Checkpoint.due = lambda self: next(steps) % save_every == 0
pretrain.pocket_tokenizer = lambda: load_model(finished, device="cpu").tokenizer
left = [count]

def deadly(function, *, before):
    def wrapped(*args, **kwargs):
        left[0] -= 1
        if before and not left[0]:
            os.kill(os.getpid(), signal.SIGKILL)
        result = function(*args, **kwargs)
        if not left[0]:
            os.kill(os.getpid(), signal.SIGKILL)
        return result
    return wrapped

if point == "after a save":
    Checkpoint.save = deadly(Checkpoint.save, before=False)
elif point == "before a save is moved into place":
    os.replace = deadly(os.replace, before=True)
elif point == "when the model is written":
    pretrain.save_model = deadly(pretrain.save_model, before=False)
pretrain.pretrain(rung, folder=Path(folder), device="cpu", compiled=False)
"""

KILL_POINTS = [
    ("after a save", 1, 5),
    ("after a save", 4, 20),
    ("before a save is moved into place", 3, 10),
    ("when the model is written", 1, 30),
]


@pytest.mark.slow
@pytest.mark.parametrize(("point", "count", "expected_step"), KILL_POINTS)
def test_a_killed_run_goes_on_bit_for_bit(point, count, expected_step, finished, tmp_path, quick, monkeypatch):
    arguments = repr((str(tmp_path), str(finished), TINY, ROWS, SAVE_EVERY, HELD_OUT, point, count))
    done = subprocess.run([forked(), "-c", KILLED, arguments], capture_output=True, text=True, timeout=300)
    assert done.returncode == -signal.SIGKILL, done.stderr
    with safe_open(tmp_path / "tiny.partial" / "state.safetensors", "pt") as file:
        assert json.loads(file.metadata()["facts"])["step"] == expected_step
    assert not (tmp_path / "tiny").exists()

    steps_done = []
    monkeypatch.setattr(
        pretrain, "pretraining_rate_at", lambda step, *rest: steps_done.append(step) or pretraining_rate_at(step, *rest)
    )
    assert same_weights(make(tmp_path), finished)
    assert steps_done == list(range(expected_step, STEPS))
    assert card_of(tmp_path / "tiny")["held_out_loss"] == card_of(finished)["held_out_loss"]
    assert [path.name for path in tmp_path.iterdir()] == ["tiny"]


@pytest.fixture
def interrupted(quick, tmp_path, monkeypatch) -> Path:
    """A folder with the state of a run that stopped after ten steps."""

    def stop(step: int, *rest) -> float:
        if step == 12:
            raise KeyboardInterrupt
        return pretraining_rate_at(step, *rest)

    with monkeypatch.context() as patch:
        patch.setattr(pretrain, "pretraining_rate_at", stop)
        with pytest.raises(KeyboardInterrupt):
            make(tmp_path)
    assert (tmp_path / "tiny.partial" / "state.safetensors").is_file()
    return tmp_path


def test_a_half_written_new_state_does_no_harm(interrupted, finished):
    (interrupted / "tiny.partial" / ".new-state.safetensors-1").write_bytes(b"half")
    assert same_weights(make(interrupted), finished)


@pytest.mark.slow
@pytest.mark.parametrize("keep", [0, 5, 1000])
def test_a_truncated_state_is_said_and_not_used(keep, interrupted, finished):
    state = interrupted / "tiny.partial" / "state.safetensors"
    state.write_bytes(state.read_bytes()[:keep])
    with pytest.warns(UserWarning, match=r"state\.safetensors is damaged .* starts again"):
        make(interrupted)
    assert same_weights(interrupted / "tiny", finished)


def test_the_state_of_another_recipe_is_not_used(interrupted, quick):
    other = replace(TINY, seed=5, tokens=3 * ROWS * CONTEXT)
    found = make(interrupted, other)
    assert same_weights(found, make(interrupted / "clean", other))


def test_unfinished_models_are_not_part_of_a_ladder(monkeypatch, interrupted):
    """Neither the state of a run nor a model that is being written looks like a model."""
    named = replace(TINY, name="pocket-tiny", tokens=2 * ROWS * CONTEXT)
    monkeypatch.setattr("w2s_lab.assets.MODELS", interrupted)
    seen = []
    save = pretrain.save_model
    monkeypatch.setattr(pretrain, "save_model", lambda *args: (save(*args), seen.append(ladder())))
    make(interrupted, named)
    assert seen == [()] and ladder() == ("pocket-tiny",)


# -- the shipped ladder ----------------------------------------------------------------------------------------------

SHIPPED = ladder()
QUICK_PARAMETERS = 100_000
BY_SIZE = [
    pytest.param(
        name, marks=[pytest.mark.slow] if card_of(assets.MODELS / name)["parameters"] >= QUICK_PARAMETERS else []
    )
    for name in SHIPPED
]


def test_the_whole_ladder_is_there():
    assert set(SHIPPED) == set(LADDER) and len(SHIPPED) >= 5


@pytest.mark.parametrize("name", SHIPPED)
def test_a_shipped_model_loads_by_name(name):
    model, card = load_model(name, device="cpu"), card_of(assets.MODELS / name)
    assert card["parameters"] == model.parameters == sum(p.numel() for p in model.network.parameters())
    assert asdict(LADDER[name]).items() <= card.items(), "made by another recipe than the one in the code"
    assert card["tokens_seen"] == pytest.approx(LADDER[name].tokens, rel=0.01)


def test_what_is_shipped_is_what_the_recipes_of_today_make(monkeypatch):
    """Their keys are those of the code: none would be made anew."""
    monkeypatch.setattr(pretrain, "pocket_tokenizer", lambda: pytest.fail("it would be made anew"))
    for name in SHIPPED:
        assert pretrain.pretrain(LADDER[name]) == assets.MODELS / name
    for share in leakage.SHARES[:-1]:
        place = assets.MODELS / pretrain.LEAKAGE / leakage.model_of(share)
        assert pretrain.pretrain(LADDER[leakage.RUNG], leakage=share, folder=place.parent) == place


@pytest.mark.parametrize("share", leakage.SHARES[:-1])
def test_a_model_of_less_leakage_loads_by_name(share):
    name = leakage.model_of(share)
    card = card_of(assets.MODELS / pretrain.LEAKAGE / name)
    model = load_model(name, device="cpu")
    assert card["leakage"] == share and model.name == card["name"] == name not in ladder()
    assert card["parameters"] == model.parameters == card_of(assets.MODELS / leakage.RUNG)["parameters"]
    assert model.tokenizer.get_vocab() == load_model(leakage.RUNG, device="cpu").tokenizer.get_vocab()


@pytest.mark.parametrize("name", SHIPPED)
def test_a_shipped_model_is_safetensors_only(name):
    files = {path.name for path in (assets.MODELS / name).rglob("*")}
    assert {"model.safetensors", "card.json", "config.json", "tokenizer.json", "README.md"} <= files
    assert {Path(file).suffix for file in files} <= {".safetensors", ".json", ".md"}


@pytest.mark.parametrize("name", BY_SIZE)
def test_the_held_out_loss_is_what_the_card_says(name):
    network = AutoModelForCausalLM.from_pretrained(assets.MODELS / name, dtype=torch.float32).eval()  # 16 bits crawl
    tokenizer = AutoTokenizer.from_pretrained(assets.MODELS / name)
    ids = packed_tokens(tokenizer, pretrain.HELD_OUT_TOKENS // CONTEXT * CONTEXT, pretrain.HELD_OUT_SEED)
    rows = torch.from_numpy(ids.astype("int64")).view(-1, CONTEXT)
    with torch.no_grad():
        losses = [float(network(input_ids=batch, labels=batch).loss) for batch in rows.split(ROWS)]
    assert sum(losses) / len(losses) == pytest.approx(card_of(assets.MODELS / name)["held_out_loss"], abs=1e-3)


def test_all_share_the_tokenizer_of_the_code(pocket_tokenizer, tmp_path):
    pocket_tokenizer.save_pretrained(tmp_path)
    own = json.loads((tmp_path / "tokenizer.json").read_text())
    assert SHIPPED
    for name in SHIPPED:
        assert json.loads((assets.MODELS / name / "tokenizer.json").read_text()) == own, name
    assert len({(assets.MODELS / name / "tokenizer.json").read_bytes() for name in SHIPPED}) == 1


@settings(max_examples=200, deadline=None)
@given(text=st.text(max_size=60))
def test_any_text_survives_the_tokenizer(text, pocket_tokenizer):
    ids = pocket_tokenizer(text, split_special_tokens=True)["input_ids"]
    assert ids[0] == pocket_tokenizer.bos_token_id and pocket_tokenizer.bos_token_id not in ids[1:]
    assert pocket_tokenizer.decode(ids[1:]) == text


@pytest.mark.parametrize("text", ["", " ", "<|endoftext|> is text here", "naïve 日本語 🦜\n\ttab", "a  b ,c ."])
def test_odd_texts_survive_the_tokenizer(text, pocket_tokenizer):
    ids = pocket_tokenizer(text, split_special_tokens=True)["input_ids"]
    assert pocket_tokenizer.decode(ids[1:]) == text


def test_the_ladder_is_small():
    files = [path for name in SHIPPED for path in (assets.MODELS / name).rglob("*") if path.is_file()]
    assert 0 < sum(path.stat().st_size for path in files) <= 20_000_000


def test_larger_models_know_their_world_better():
    cards = sorted((card_of(assets.MODELS / name) for name in SHIPPED), key=lambda card: card["parameters"])
    losses = [card["held_out_loss"] for card in cards]
    assert losses == sorted(losses, reverse=True) and len(set(losses)) == len(losses) > 0
