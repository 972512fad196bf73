"""Pre-training of the pocket ladder: language models of 30 thousand to 3 million parameters, from random weights.

Each rung of the ladder (each model) reads the first `tokens` tokens of the same stream of documents once, and learns to
predict the next token. A run saves its state regularly and continues from there when it is started again, so you can
stop or kill it at any time.
"""

import contextlib
import json
import math
import os
import shutil
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from itertools import islice
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from tqdm.auto import tqdm

from w2s_lab import assets
from w2s_lab.models.language_model import LanguageModel
from w2s_lab.models.loading import (
    network_digest,
    new_llama,
    pick_device,
    save_model,
    train_tokenizer,
)
from w2s_lab.pocket.corpus import documents, packed_tokens
from w2s_lab.pocket.tasks import SOURCES
from w2s_lab.records import content_key
from w2s_lab.system.files import as_umask_says, said_with_path
from w2s_lab.training.checkpoint import Checkpoint
from w2s_lab.version import __version__

VOCABULARY = 1536
CONTEXT = 128  # tokens in a row of the packed stream
ROWS = 32  # rows in a batch
HELD_OUT_TOKENS = 100_000
STREAM_SEED, HELD_OUT_SEED, TOKENIZER_SEED = 0, 1, 2
FURTHER_STREAMS = 100  # plus its seed: the stream of a further pre-training, never the held-out one
SAVE_SECONDS = 20.0  # between two checkpoints
LEAKAGE = "leakage"  # folder inside that of the ladder, for models that read a stream of less leakage
FURTHER = "further"  # the same, for further pre-trainings; none is shipped
# With seed 0 this model is left behind by the others: it does not learn what kind of thing a review is about.
LEAKAGE_SEEDS = {("pocket-m", 0.25): 1}
HALF_ABOVE = 2_000_000  # parameters; a larger model is stored in float16, so that the ladder stays below 20 MB


@dataclass(frozen=True)
class Rung:
    """One model of the ladder and how it is pre-trained."""

    name: str
    layers: int
    width: int
    heads: int
    tokens: int  # tokens of the stream it reads
    learning_rate: float  # peak
    seed: int = 0


LADDER: dict[str, Rung] = {
    rung.name: rung
    for rung in (
        Rung("pocket-xs", layers=1, width=16, heads=2, tokens=3_000_000, learning_rate=1e-2),
        Rung("pocket-s", layers=2, width=48, heads=3, tokens=2_600_000, learning_rate=4e-3),
        Rung("pocket-m", layers=3, width=80, heads=5, tokens=4_000_000, learning_rate=5e-3),
        Rung("pocket-l", layers=4, width=128, heads=4, tokens=5_000_000, learning_rate=4e-3),
        Rung("pocket-xl", layers=4, width=256, heads=8, tokens=5_000_000, learning_rate=2e-3),
    )
}


def pocket_tokenizer():
    """The tokenizer that all rungs share, trained on documents of their world and the words of the instructions."""
    instructions = [text for source in SOURCES.values() for text in (*source.instructions, "Answer:")]
    texts = (text for text in (*islice(documents(TOKENIZER_SEED), 20_000), *instructions * 20))
    return train_tokenizer(texts, VOCABULARY)


def pretraining_rate_at(step: int, steps: int, peak: float) -> float:
    """Linear warm-up over the first 5 % of the steps, then a cosine down to a tenth of the peak."""
    warmup = max(1, steps // 20)
    if step < warmup:
        return peak * (step + 1) / warmup
    return peak * (0.1 + 0.45 * (1 + math.cos(math.pi * (step - warmup) / max(1, steps - warmup))))


def next_token_loss(network, ids: Tensor) -> Tensor:
    """Mean cross-entropy of the next token over rows of a packed stream [B, T], in nats per token."""
    logits = network(input_ids=ids).logits
    return torch.nn.functional.cross_entropy(logits[:, :-1].flatten(0, 1).float(), ids[:, 1:].flatten())


def _packed_rows(tokenizer, tokens: int, seed: int, leakage: float) -> Tensor:
    ids = packed_tokens(tokenizer, tokens // CONTEXT * CONTEXT, seed, leakage=leakage)
    return torch.from_numpy(ids.astype(np.int64)).view(-1, CONTEXT)


def with_leakage(rung: Rung, leakage: float) -> Rung:
    """The rung that reads a stream of this leakage, under a name of its own: pocket-m-25 for 25 %."""
    if leakage == 1:
        return rung
    seed = LEAKAGE_SEEDS.get((rung.name, leakage), rung.seed)
    return replace(rung, name=f"{rung.name}-{100 * leakage:g}", seed=seed)


def further(rung: Rung, seed: int) -> Rung:
    """The rung of a further pre-training, with first weights of this seed and a name of its own: pocket-l-seed-1."""
    return replace(rung, name=f"{rung.name}-seed-{seed}", seed=seed) if seed else rung


def pretrain(
    rung: Rung,
    *,
    leakage: float = 1.0,
    seed: int = 0,
    folder: Path = assets.MODELS,
    device: str = "auto",
    compiled: bool | None = None,
) -> Path:
    """Pre-train one rung into `folder/NAME`, or continue where an earlier call was stopped.

    Args:
        rung: the model and its settings.
        leakage: of the stream that it reads, see `corpus.documents`. Below 1 the name is that of `with_leakage`, the
            held-out loss is of a stream of the same leakage, and the model is stored in float16.
        seed: 0 makes the shipped ladder. Any other makes a further pre-training, with first weights and documents of
            its own, under the name that `further` gives. Tokenizer and held-out documents stay.
        folder: parent of the folder `NAME` with the finished model and its card, and of `NAME.partial` while it is
            unfinished.
        device: auto, cpu or cuda.
        compiled: use torch.compile; None: use it if it works here (on a CPU it needs a C++ compiler).

    Returns:
        The model's folder. A finished model of the same recipe is left as it is.

    Raises:
        ValueError: the seed is below 0.
    """
    if seed < 0:
        raise ValueError(f"seed is {seed}; expected 0 (the shipped ladder) or a positive number")
    command = f"w2s-lab pretrain {rung.name}" + ("" if leakage == 1 else f" --leakage {leakage:g}")
    command += f" --seed {seed}" if seed else ""
    rung = further(with_leakage(rung, leakage), seed)
    stream = FURTHER_STREAMS + seed if seed else STREAM_SEED
    target, partial = folder / rung.name, folder / f"{rung.name}.partial"
    # the ladder's keys are older than the dial, and stay
    dial = () if leakage == 1 else (leakage,)
    key = content_key(asdict(rung), VOCABULARY, CONTEXT, ROWS, stream, TOKENIZER_SEED, *dial)
    if _key_of(target) == key:
        shutil.rmtree(partial, ignore_errors=True)  # left by a run that was killed while it removed the folder
        return target
    where = pick_device(device)
    tokenizer = pocket_tokenizer()
    network = new_llama(tokenizer, layers=rung.layers, width=rung.width, heads=rung.heads, seed=rung.seed).to(where)
    rows = _packed_rows(tokenizer, rung.tokens, stream, leakage)
    steps = len(rows) // ROWS
    optimizer = torch.optim.AdamW(network.parameters(), lr=0.0, betas=(0.9, 0.95), weight_decay=0.1)
    checkpoint = Checkpoint(partial / "state.safetensors", key, seconds=SAVE_SECONDS)
    done = (checkpoint.restore(network, optimizer) or {"step": 0})["step"]
    compiled = compiler_works(where) if compiled is None else compiled
    loss_of: Callable = torch.compile(next_token_loss) if compiled else next_token_loss
    losses = []
    with tqdm(total=steps, initial=done, desc=rung.name, unit="step") as bar:
        for step in range(done, steps):
            for group in optimizer.param_groups:
                group["lr"] = pretraining_rate_at(step, steps, rung.learning_rate)
            with _autocast(where):
                loss = loss_of(network, rows[step * ROWS : (step + 1) * ROWS].to(where))
            loss.backward()
            torch.nn.utils.clip_grad_norm_(network.parameters(), 1.0)
            optimizer.step()
            optimizer.zero_grad(set_to_none=True)
            losses.append(loss.detach())
            bar.update()
            if (step + 1) % 20 == 0:
                bar.set_postfix_str(f"loss {torch.stack(losses[-20:]).mean():.3f} nats/token")
            if checkpoint.due():
                checkpoint.save(network, optimizer, {"step": step + 1})
    parameters = sum(weight.numel() for weight in network.parameters())
    stored = torch.float16 if parameters > HALF_ABOVE or leakage < 1 else torch.float32
    network.to(stored).to(torch.float32)  # rounded first: the loss must be that of the model that users load
    held_out = _held_out_loss(network, _packed_rows(tokenizer, HELD_OUT_TOKENS, HELD_OUT_SEED, leakage).to(where))
    network.to("cpu", stored)
    _finish(target, partial, LanguageModel(rung.name, network_digest(network, tokenizer), tokenizer, network), rung, {
        "leakage": leakage,
        "key": key,
        "steps": steps,
        "tokens_seen": steps * ROWS * CONTEXT,
        "held_out_loss": round(held_out, 4),
        "held_out_perplexity": round(math.exp(held_out), 3),
        "stored_as": str(stored).removeprefix("torch."),
        "device": str(where),
        "compiled": compiled,
        "command": command,
    })  # fmt: skip
    return target


def compiler_works(device: torch.device) -> bool:
    """Whether torch.compile works here; tries it on a small function, forwards and backwards."""
    if device.type == "cpu" and not any(map(shutil.which, ("g++", "clang++", "cl"))):
        return False
    x = torch.ones(8, device=device, requires_grad=True)
    try:
        torch.compile(lambda x: x.sin().sum())(x).backward()
    except Exception:  # of many kinds, from a missing header to a full disk
        return False
    return True


def _autocast(device: torch.device) -> contextlib.AbstractContextManager:
    return torch.autocast("cuda", torch.bfloat16) if device.type == "cuda" else contextlib.nullcontext()


@torch.no_grad()
def _held_out_loss(network, rows: Tensor) -> float:
    return float(np.mean([float(next_token_loss(network, batch)) for batch in rows.split(ROWS)]))


def _key_of(target: Path) -> str | None:
    """The recipe's key of a finished model; None if there is no such model or its card is damaged."""
    try:
        return json.loads((target / "card.json").read_text(encoding="utf-8"))["key"]
    except (FileNotFoundError, ValueError, KeyError, TypeError):
        return None


def _finish(target: Path, partial: Path, model: LanguageModel, rung: Rung, facts: dict) -> None:
    """Write the model, then its cards, and move the folder to `target` in one step."""
    new = partial / "model"  # inside `partial`: beside `target` it would look like a model of the ladder
    shutil.rmtree(new, ignore_errors=True)
    card = {
        "name": rung.name,
        "parameters": model.parameters,
        **asdict(rung),
        **facts,
        "version": __version__,
        "torch": torch.__version__,
    }
    with said_with_path(target):
        save_model(model, new)
        (new / "card.json").write_text(json.dumps(card, indent=1) + "\n", encoding="utf-8")
        (new / "README.md").write_text(_model_card(card), encoding="utf-8")
        as_umask_says(new)
        shutil.rmtree(target, ignore_errors=True)
        os.replace(new, target)
    shutil.rmtree(partial, ignore_errors=True)


def _model_card(card: dict) -> str:
    return f"""---
license: mit
library_name: transformers
pipeline_tag: text-generation
---
# {card["name"]}

A rung of the pocket ladder of w2s_lab: a Llama-style causal language model with {card["parameters"]:,} parameters
({card["layers"]} layers, width {card["width"]}, {card["heads"]} heads), pre-trained on generated reviews and helpdesk
tickets. It knows nothing of the world outside; it exists to teach weak-to-strong generalization. The closing sentences
followed the review's verdict in {100 * card["leakage"]:g} % of the reviews, and a coin in the others.

| | |
|---|---|
| tokens seen | {card["tokens_seen"]:,} |
| held-out loss | {card["held_out_loss"]:.4f} nats per token |
| held-out perplexity | {card["held_out_perplexity"]:.3f} |
| seed | {card["seed"]} |
| command | `{card["command"]}` |
"""
