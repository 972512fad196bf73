"""The one training loop, a generator of snapshots, and `train`, which runs it to its end."""

import contextlib
import math
import uuid
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import replace
from itertools import islice
from typing import Any

import numpy as np
import torch

from w2s_lab.models import adapters, half_weights
from w2s_lab.models.chat import has_template
from w2s_lab.models.language_model import LanguageModel, recompute
from w2s_lab.models.loading import Start, load_model, network_digest, pick_device
from w2s_lab.objective import NextToken
from w2s_lab.recipe import Recipe
from w2s_lab.records import LabelledSet, Snapshot, content_key
from w2s_lab.system import heap, parallel
from w2s_lab.system.border import check_arguments
from w2s_lab.system.randomness import OwnRandomness
from w2s_lab.training.bar import training_bar
from w2s_lab.training.checkpoint import Checkpoint
from w2s_lab.training.evaluation import evaluate, score, snapshot_from_json, snapshot_to_json
from w2s_lab.training.gradient import BatchGradient
from w2s_lab.training.labelling import OnRows
from w2s_lab.version import __version__

SORTED_TOGETHER = 16  # batches: rows are sorted by length within groups of this many batches, then shuffled


class NonFiniteLoss(ArithmeticError):
    """The loss became infinite or not a number.

    Attributes:
        step: number of the optimizer step that failed, counted from 1.
        learning_rate: learning rate of that step.
        ids: ids of the examples in its batch.
        snapshot: the last snapshot before that step.
    """

    def __init__(self, message: str, step: int, learning_rate: float, ids: tuple[str, ...], snapshot: Snapshot) -> None:
        super().__init__(message)
        self.step, self.learning_rate, self.ids, self.snapshot = step, learning_rate, ids, snapshot


def training_key(model: LanguageModel, labelled: LabelledSet, recipe: Recipe, device: str | None = None) -> str | None:
    """Content key of a training: its first model, its labelled set, its recipe, and the version of the kit.

    A recipe's precision "auto" counts as what it means on the device (auto, cpu, cuda; None: that of the model), so
    that a training in bfloat16 is never taken for one in float32.

    None if the code of the recipe's loss cannot be read (see `Recipe.unknown_source`).
    """
    if recipe.unknown_source:
        return None
    template = [model.tokenizer.get_chat_template()] if recipe.chat_template and has_template(model.tokenizer) else []
    precision = model.chosen_precision(recipe.precision, pick_device(device) if device else model.device)
    settings = recipe.to_dict() | {"precision": precision}
    return content_key("train", model.digest, labelled.digest, settings, __version__, *template)


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
    on_rows: OnRows | None = None,
    untrained: Callable[..., LabelledSet] | None = None,
    checkpoint: Checkpoint | None = None,
) -> Iterator[Snapshot]:
    """Fine-tune `model` in place on x -> y_hat, and yield a snapshot every `recipe.eval_every` steps.

    To stop early, leave the loop: the model then has the weights that the last snapshot was measured with.

    Args:
        model: the model to train; its weights change, and with each step its digest, so that nothing stored of the
            model as it was is taken for its own.
        labelled: examples and the answers to learn; the true answers inside the examples are not used.
        recipe: the settings of the fine-tuning.
        watch: examples with true answers; each snapshot evaluates the model on them.
        reference: the weak supervisor's labels of `watch`, for agreement, imitation and correction.
        on_step: called after each optimizer step with (steps taken, steps in all), for a progress bar.
        on_rows: called during each evaluation with (examples answered, examples in all), for a progress bar.
        untrained: in place of `weak_labels` for the untrained model, such as `Store.labels`, so that several trainings
            from the same start answer the watched examples once.
        checkpoint: saves the state from time to time. If it already holds a state, its snapshots are yielded again and
            the training continues from there, to the same numbers as without the interruption.

    Yields:
        A snapshot of the untrained model (step 0), then one every `recipe.eval_every` steps, and one of the finished
        model.

    Raises:
        ValueError: the set is empty, the loss cannot learn from it, the loss returns something other than one number
            for each row, the network cannot do what the task needs, or the chat template cannot be used.
        TypeError: the loss returns no tensor.
        NonFiniteLoss: the loss or its gradient is infinite or not a number.
        MemoryError: one example alone does not fit into the device's memory. (A batch that does not fit is cut into
            halves; the sum of their gradients is the gradient of the batch.)
    """
    check_arguments(training_steps, locals())
    if not len(labelled):
        raise ValueError("training_steps: the labelled set is empty; expected at least one example")
    model.read_as(recipe)
    model.try_out(generates=labelled.task.answers is None and not isinstance(recipe.loss, NextToken))
    gradient = BatchGradient(model, labelled, recipe)
    rng = np.random.default_rng(recipe.seed)
    steps, grid = recipe.steps(len(labelled))
    origin = training_key(model, labelled, recipe) or uuid.uuid4().hex  # without a key, nothing is ever found again
    schedule = (rows for _ in range(recipe.epochs) for rows in batches(gradient.lengths, recipe.batch_size, rng))

    def snapshot(step: int, seen: int, losses: list[torch.Tensor]) -> Snapshot:
        mean = float(torch.stack(losses).mean()) if losses else None
        if watch and untrained and step == 0:
            found = score(untrained(model, watch, on_rows=on_rows), reference)
        else:
            found = evaluate(model, watch, reference, on_rows=on_rows) if watch else None
        heap.give_back()
        return Snapshot(step, seen, mean, found)

    with prepared(model, recipe) as trained:
        in_half = half_weights.lender(model) if not parallel.is_sharded(model.network) else contextlib.nullcontext
        fused = model.device.type in ("cpu", "cuda") and not parallel.is_sharded(model.network)
        optimizer = torch.optim.AdamW(trained, lr=0.0, weight_decay=recipe.weight_decay, fused=fused)
        if checkpoint:  # weights, and the two averages of AdamW
            checkpoint.expect(3 * sum(parameter.nbytes for parameter in trained))
        saved = checkpoint.restore(model.network, optimizer) if checkpoint else None
        if saved is None:
            history, done, seen, losses = [snapshot(0, 0, [])], 0, 0, []
        else:
            history = [snapshot_from_json(row, watch, reference) for row in saved["history"]]
            done, seen, losses = saved["step"], saved["seen"], list(torch.tensor(saved["losses"], device=model.device))
            model.digest = content_key(origin, "step", done)
        yield from history
        may_draw = type(recipe.loss).__module__ != NextToken.__module__  # a loss of somebody else's, at any step
        draws = True  # as dropout does; where the first step draws nothing, the others are spared the watching
        for step, rows in islice(enumerate(schedule), done, None):
            rate = learning_rate_at(step, steps, recipe)
            for group in optimizer.param_groups:
                group["lr"] = rate
            own = OwnRandomness((recipe.seed * 1_000_003 + step) * 1_009 + parallel.rank())
            with own if draws else contextlib.nullcontext(), in_half():
                model.network.train()
                loss = gradient(rows, step / steps)
                model.network.eval()
            draws = own.drew or may_draw
            norm = parallel.whole(torch.nn.utils.clip_grad_norm_(trained, 1.0))
            if not torch.isfinite(norm):
                raise _non_finite(step + 1, steps, rate, loss, norm, [labelled.ids[i] for i in rows], history[-1])
            optimizer.step()
            model.digest = content_key(origin, "step", step + 1)
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
                facts["history"] = [snapshot_to_json(earlier) for earlier in history]
                checkpoint.save(model.network, optimizer, facts)


@contextlib.contextmanager
def prepared(model: LanguageModel, recipe: Recipe) -> Iterator[list[torch.nn.Parameter]]:
    """Inside the block, the network is set up to learn by this recipe; afterwards it is an ordinary, trained network.

    Yields:
        The parameters to train.
    """
    network = model.network
    network.zero_grad(set_to_none=True)  # gradients that an earlier training may have left
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
    start: Start,
    labelled: LabelledSet,
    recipe: Recipe,
    *,
    watch: LabelledSet | None = None,
    reference: LabelledSet | None = None,
    device: str | None = None,
    progress: bool | None = None,
    on_step: Callable[[int, int], None] | None = None,
    on_rows: OnRows | None = None,
    untrained: Callable[..., LabelledSet] | None = None,
    checkpoint: Checkpoint | None = None,
) -> LanguageModel:
    """Fine-tune a copy of `start` to the end of the recipe.

    This function makes the weak supervisor, the strong student and the strong ceiling; they differ in `start` and in
    `labelled`. It raises what `training_steps` raises.

    Args:
        start: whatever `load_model` takes: a name, a folder, a model, or a pair (network, tokenizer) of transformers.
            It stays as it is.
        labelled: examples and the answers to learn.
        recipe: the settings of the fine-tuning.
        watch: examples with true answers; each snapshot evaluates the model on them.
        reference: the weak supervisor's labels of `watch`, for agreement, imitation and correction.
        device: auto, cpu or cuda; None: the device of `start`.
        progress: whether a bar shows the steps and the time left; None: in a terminal or a notebook, if the training
            takes longer than a second, unless `on_step` or `on_rows` is given or TQDM_DISABLE is set.
        on_step, on_rows, untrained, checkpoint: see `training_steps`.

    Returns:
        The new model, with its snapshots as `history`.
    """
    check_arguments(train, locals())
    model = start.copy() if isinstance(start, LanguageModel) else load_model(start)
    if device:
        model.network.to(pick_device(device))
    key = training_key(model, labelled, recipe)
    show = not (on_step or on_rows) if progress is None else progress
    options = {"watch": watch, "reference": reference, "untrained": untrained, "checkpoint": checkpoint}
    with training_bar(model.name, labelled, recipe, watch, show, asked=progress is True) as bar:
        told = {"on_step": bar.after(on_step), "on_rows": bar.answering(on_rows)}
        steps = training_steps(model, labelled, recipe, **told, **options)
        history = tuple(bar.measured(snapshot) for snapshot in steps)
    digest = key or network_digest(model.network, model.tokenizer)
    name = f"{model.name} trained on {labelled.source}"
    return replace(model, name=name, digest=digest, history=history, **_asked(model, labelled, recipe))


def _asked(model: LanguageModel, labelled: LabelledSet, recipe: Recipe) -> dict[str, Any]:
    """The task and the most frequent instruction of what was learnt; those of the start, if no answers were."""
    if recipe.loss.reads(labelled.task.answers is not None) == "text":
        return {"task": model.task, "instruction": model.instruction}
    counts = Counter(example.instruction for example in labelled.examples)
    return {"task": labelled.task, "instruction": min(counts, key=lambda text: (-counts[text], text))}


def adapt(start: Start, inputs: LabelledSet, recipe: Recipe, **options: Any) -> LanguageModel:
    """Train a copy of `start` to predict the next token of the inputs' texts; no answers are used.

    Burns et al. (2023, arXiv 2312.09390, section 5.2.2) call this generative finetuning: done before the student sees
    a label, it makes the subject of a text more salient. It also lets a small pre-trained model serve texts of another
    kind. It is `train` with the loss `NextToken`, and takes the same options.
    """
    check_arguments(adapt, locals())
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
