"""The one training loop, a generator of snapshots, and `train`, which runs it to its end."""

import contextlib
import math
from collections.abc import Callable, Iterator
from dataclasses import replace
from itertools import islice

import numpy as np
import torch

from w2s_lab.models import adapters
from w2s_lab.models.language_model import LanguageModel, recompute
from w2s_lab.models.loading import load_model, network_digest, pick_device
from w2s_lab.objective import NextToken
from w2s_lab.recipe import Recipe
from w2s_lab.records import LabelledSet, Snapshot, content_key
from w2s_lab.system import parallel
from w2s_lab.training.checkpoint import Checkpoint
from w2s_lab.training.evaluation import evaluate, snapshot_from_json, snapshot_to_json
from w2s_lab.training.gradient import BatchGradient
from w2s_lab.version import __version__

SORTED_TOGETHER = 16  # batches: rows are sorted by length within groups of this many batches, then shuffled


class NonFiniteLoss(ArithmeticError):
    """The loss became infinite or not a number.

    Attributes:
        step: the optimizer step, from 1, that was not taken.
        learning_rate: of that step.
        ids: example ids of its batch.
        snapshot: the last one before it.
    """

    def __init__(self, message: str, step: int, learning_rate: float, ids: tuple[str, ...], snapshot: Snapshot) -> None:
        super().__init__(message)
        self.step, self.learning_rate, self.ids, self.snapshot = step, learning_rate, ids, snapshot


def training_key(model: LanguageModel, labelled: LabelledSet, recipe: Recipe) -> str | None:
    """Content key of a training: what starts, what it learns, how, and by which version of the kit.

    None where it cannot be told what the recipe's loss does (`Recipe.unknown_source`).
    """
    if recipe.unknown_source:
        return None
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
    checkpoint: Checkpoint | None = None,
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
        checkpoint: where to keep the state now and then. If it holds one, its snapshots are yielded again and the
            training goes on from there, to the same numbers as without the interruption.

    Yields:
        The untrained model (step 0), then a snapshot at each point of the grid; the last one is the finished model.

    Raises:
        ValueError: the set is empty, or the loss cannot learn from it, or computes something else than a loss a row.
        TypeError: the loss computes no tensor.
        NonFiniteLoss: the loss is no longer a number.
        MemoryError: one example alone does not fit into the device's memory. (A batch that does not fit is cut into
            halves whose gradients add up to the same.)
    """
    if not len(labelled):
        raise ValueError("training_steps: the labelled set is empty; expected at least one example")
    model.read_as(recipe)
    gradient = BatchGradient(model, labelled, recipe)
    rng = np.random.default_rng(recipe.seed)
    steps, grid = recipe.steps(len(labelled))
    schedule = (rows for _ in range(recipe.epochs) for rows in batches(gradient.lengths, recipe.batch_size, rng))

    def snapshot(step: int, seen: int, losses: list[torch.Tensor]) -> Snapshot:
        mean = float(torch.stack(losses).mean()) if losses else None
        return Snapshot(step, seen, mean, evaluate(model, watch, reference) if watch else None)

    with prepared(model, recipe) as trained:
        fused = model.device.type in ("cpu", "cuda") and not parallel.is_sharded(model.network)
        optimizer = torch.optim.AdamW(trained, lr=0.0, weight_decay=recipe.weight_decay, fused=fused)
        kept = checkpoint.restore(model.network, optimizer) if checkpoint else None
        if kept is None:
            history, done, seen, losses = [snapshot(0, 0, [])], 0, 0, []
        else:
            history = [snapshot_from_json(row, watch, reference) for row in kept["history"]]
            done, seen, losses = kept["step"], kept["seen"], list(torch.tensor(kept["losses"], device=model.device))
        yield from history
        for step, rows in islice(enumerate(schedule), done, None):
            rate = learning_rate_at(step, steps, recipe)
            for group in optimizer.param_groups:
                group["lr"] = rate
            with _own_randomness(model.device, recipe.seed, step):  # dropout, where a model has it
                model.network.train()
                loss = gradient(rows, step / steps)
                model.network.eval()
            norm = parallel.whole(torch.nn.utils.clip_grad_norm_(trained, 1.0))
            if not torch.isfinite(norm):
                raise _non_finite(step + 1, steps, rate, loss, norm, [labelled.ids[i] for i in rows], history[-1])
            optimizer.step()
            optimizer.zero_grad(set_to_none=True)
            seen += len(rows)
            losses.append(loss)
            if on_step:
                on_step(step + 1, steps)
            if (step + 1) % grid == 0 or step + 1 == steps:
                history.append(snapshot(step + 1, seen, losses))
                losses = []
                yield history[-1]
            if checkpoint and step + 1 < steps and checkpoint.due():
                facts = {"step": step + 1, "seen": seen, "losses": [float(value) for value in losses]}
                facts["history"] = [snapshot_to_json(one) for one in history]
                checkpoint.save(model.network, optimizer, facts)


@contextlib.contextmanager
def prepared(model: LanguageModel, recipe: Recipe) -> Iterator[list[torch.nn.Parameter]]:
    """Inside, the network learns as the recipe says; afterwards it is an ordinary network again, with what it learnt.

    Yields:
        The parameters to train.
    """
    network = model.network
    network.zero_grad(set_to_none=True)  # what an earlier training may have left
    network.eval()
    if recipe.gradient_checkpointing:
        recompute(network, True)
    try:
        with contextlib.ExitStack() as stack:
            if recipe.lora:
                stack.enter_context(adapters.adapted(model, recipe.lora, seed=recipe.seed))
            stack.enter_context(parallel.sharded_if_asked(model))
            yield [parameter for parameter in model.network.parameters() if parameter.requires_grad]
    finally:
        model.network.zero_grad(set_to_none=True)
        if recipe.gradient_checkpointing:
            recompute(model.network, False)


def train(
    start: str | LanguageModel, labelled: LabelledSet, recipe: Recipe, *, device: str | None = None, **options
) -> LanguageModel:
    """Fine-tune a copy of `start` (a model, or the name of one) to the end of the recipe.

    The weak supervisor, the strong student and the strong ceiling all come from here; they differ in `start` and in
    `labelled`. Trains on `device` (auto, cpu, cuda), or where `start` is. Takes the options of `training_steps` and
    raises what it raises.

    Returns:
        The new model, with its snapshots as `history`.
    """
    model = load_model(start) if isinstance(start, str) else start.copy()
    if device:
        model.network.to(pick_device(device))
    key = training_key(model, labelled, recipe)
    history = tuple(training_steps(model, labelled, recipe, **options))
    digest = key or network_digest(model.network, model.tokenizer)
    return replace(model, name=f"{model.name} trained on {labelled.source}", digest=digest, history=history)


def adapt(start: str | LanguageModel, inputs: LabelledSet, recipe: Recipe, **options) -> LanguageModel:
    """Next-token training on the texts of the inputs, before any label is seen; no answer is looked at.

    Burns et al. (2023, section 5.2.2) call it generative finetuning: what a text is about becomes more salient. It is
    also what lets a small pre-trained model serve a text of another world. `train` with the loss `NextToken`.
    """
    return train(start, inputs, replace(recipe, loss=NextToken()), **options)


def _non_finite(
    step: int, steps: int, rate: float, loss: torch.Tensor, norm: torch.Tensor, ids: list[str], last: Snapshot
) -> NonFiniteLoss:
    good = f"The last good snapshot is that of step {last.step}"
    if last.evaluation is not None:
        good += f" (accuracy {last.evaluation.accuracy:.3f})"
    return NonFiniteLoss(
        f"step {step} of {steps}: the loss is {loss.item():g} and its gradient {norm.item():g}, at learning rate "
        f"{rate:.2e}, on the {len(ids)} examples {', '.join(ids[:4])}{', ...' if len(ids) > 4 else ''}. {good}. "
        "Hint: lower the learning rate",
        step,
        rate,
        tuple(ids),
        last,
    )


@contextlib.contextmanager
def _own_randomness(device: torch.device, seed: int, step: int) -> Iterator[None]:
    """Inside, torch draws from (seed, step, process); outside, its global generator is as it was."""
    with torch.random.fork_rng(devices=[device] if device.type == "cuda" else []):
        torch.manual_seed((seed * 1_000_003 + step) * 1_009 + parallel.rank())
        yield
