"""The one training loop, a generator of snapshots, and `train`, which runs it to its end."""

import contextlib
import math
from collections.abc import Callable, Iterator
from dataclasses import replace

import numpy as np
import torch

from w2s_lab.evaluation import evaluate
from w2s_lab.language_model import LanguageModel
from w2s_lab.models import load_model
from w2s_lab.recipe import Recipe
from w2s_lab.records import LabelledSet, Snapshot, content_key
from w2s_lab.version import __version__

SORTED_TOGETHER = 8  # batches: rows are sorted by length within groups of this many batches, then shuffled


class NonFiniteLoss(ArithmeticError):
    """The loss became infinite or not a number; the message says where and what to try."""


def training_key(model: LanguageModel, labelled: LabelledSet, recipe: Recipe) -> str:
    """Content key of a training: what starts, what it learns, how, and by which version of the kit."""
    return content_key("train", model.digest, labelled.digest, recipe.as_dict(), __version__)


def batches(lengths: list[int], batch_size: int, rng: np.random.Generator) -> list[np.ndarray]:
    """One epoch's batches of row numbers: every row once, rows of similar length together, in random order."""
    order = rng.permutation(len(lengths))
    group = batch_size * SORTED_TOGETHER
    ordered = [
        rows[np.argsort(np.asarray(lengths)[rows], kind="stable")]
        for rows in (order[start : start + group] for start in range(0, len(order), group))
    ]
    together = [rows[start : start + batch_size] for rows in ordered for start in range(0, len(rows), batch_size)]
    return [together[i] for i in rng.permutation(len(together))]


def learning_rate_at(step: int, steps: int, recipe: Recipe) -> float:
    """Linear warm-up to the peak, then a cosine to 0; `step` counts from 0."""
    warmup = max(1, round(recipe.warmup_fraction * steps))
    if step < warmup:
        return recipe.learning_rate * (step + 1) / warmup
    return recipe.learning_rate * 0.5 * (1 + math.cos(math.pi * (step - warmup) / max(1, steps - warmup)))


def training_steps(
    model: LanguageModel,
    labelled: LabelledSet,
    recipe: Recipe,
    *,
    watch: LabelledSet | None = None,
    reference: LabelledSet | None = None,
    on_step: Callable[[int, int], None] | None = None,
) -> Iterator[Snapshot]:
    """Fine-tune `model` in place on x -> y_hat, and yield a snapshot every `recipe.eval_every` steps.

    Stop early by leaving the loop: the model is then as the last snapshot describes it.

    Args:
        model: its weights change.
        labelled: examples and the answers to learn; the truth inside the examples is not looked at.
        recipe: how.
        watch: examples with truth, evaluated at every snapshot.
        reference: the weak supervisor's labels of `watch`, for agreement, imitation and correction.
        on_step: called after each optimizer step with (steps done, steps in all), for a progress bar.

    Yields:
        The untrained model (step 0), then a snapshot at each point of the grid; the last one is the finished model.

    Raises:
        ValueError: the set is empty, or the loss needs probabilities that the set does not have.
        NonFiniteLoss: the loss is no longer a number.
    """
    loss, k = recipe.loss, labelled.task.answers
    if not len(labelled):
        raise ValueError("training_steps: the labelled set is empty; expected at least one example")
    if loss.needs_probs and labelled.probs is None:
        raise ValueError(
            f"{type(loss).__name__} needs the supervisor's probabilities, but the set ({labelled.source}) has none. "
            "Hint: take labels from weak_labels on a task with a closed list, or use MaximumLikelihood"
        )
    answers = model.encode_answers(labelled.answers)
    longest = max(map(len, model.encode_answers(k) if k else answers))
    prompts, _ = model.encode_prompts(labelled.examples, recipe.max_tokens - longest)
    if loss.needs_probs:
        closed = model.encode_answers(k)
        weak_probs = torch.tensor(labelled.probs, dtype=torch.float32, device=model.device)
        class_balance = [labelled.answers.count(answer) / len(labelled) for answer in k]
    lengths = [len(p) + len(a) for p, a in zip(prompts, answers, strict=True)]
    rng = np.random.default_rng(recipe.seed)
    per_epoch = math.ceil(len(labelled) / recipe.batch_size)
    steps, grid = recipe.epochs * per_epoch, recipe.eval_every or per_epoch
    optimizer = torch.optim.AdamW(model.network.parameters(), lr=0.0, weight_decay=recipe.weight_decay)

    def snapshot(step: int, seen: int, losses: list[torch.Tensor]) -> Snapshot:
        mean = float(torch.stack(losses).mean()) if losses else None
        return Snapshot(step, seen, mean, evaluate(model, watch, reference) if watch else None)

    optimizer.zero_grad(set_to_none=True)  # what an earlier training may have left
    model.network.eval()
    yield snapshot(0, 0, [])
    seen, losses = 0, []
    schedule = (rows for _ in range(recipe.epochs) for rows in batches(lengths, recipe.batch_size, rng))
    for step, rows in enumerate(schedule):
        for group in optimizer.param_groups:
            group["lr"] = learning_rate_at(step, steps, recipe)
        with _own_randomness(model.device, recipe.seed, step):  # dropout, where a model has it
            model.network.train()
            if loss.needs_probs:
                table = model.log_probs([prompts[i] for i in rows], closed)
                value = loss(table, weak_probs[torch.from_numpy(rows)], step / steps, class_balance)
            else:
                value = -model.log_prob([prompts[i] for i in rows], [answers[i] for i in rows]).mean()
            value.backward()
            model.network.eval()
        norm = torch.nn.utils.clip_grad_norm_(model.network.parameters(), 1.0)
        if not torch.isfinite(norm):
            raise NonFiniteLoss(
                f"step {step + 1} of {steps}: the loss is {value.item():g} and its gradient {norm.item():g}, "
                f"at learning rate {optimizer.param_groups[0]['lr']:.2e}, on examples "
                f"{', '.join(labelled.ids[i] for i in rows[:4])}... Hint: lower the learning rate"
            )
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
        seen += len(rows)
        losses.append(value.detach())
        if on_step:
            on_step(step + 1, steps)
        if (step + 1) % grid == 0 or step + 1 == steps:
            yield snapshot(step + 1, seen, losses)
            losses = []


def train(start: str | LanguageModel, labelled: LabelledSet, recipe: Recipe, **options) -> LanguageModel:
    """Fine-tune a copy of `start` (a model, or the name of one) to the end of the recipe.

    The weak supervisor, the strong student and the strong ceiling all come from here; they differ in `start` and in
    `labelled`. Takes the options of `training_steps` and raises what it raises.

    Returns:
        The new model, with its snapshots as `history`.
    """
    model = load_model(start) if isinstance(start, str) else start.copy()
    key = training_key(model, labelled, recipe)
    history = tuple(training_steps(model, labelled, recipe, **options))
    return replace(model, name=f"{model.name} trained on {labelled.source}", digest=key, history=history)


@contextlib.contextmanager
def _own_randomness(device: torch.device, seed: int, step: int) -> Iterator[None]:
    """Inside, torch draws from (seed, step); outside, its global generator is as it was."""
    with torch.random.fork_rng(devices=[device] if device.type == "cuda" else []):
        torch.manual_seed(seed * 1_000_003 + step)
        yield
