"""Three training loops with one door: the kit's, transformers.Trainer, and one example at a time.

Each takes a model (whose weights change), a labelled set, a recipe and a clock, makes one optimizer step for every
`recipe.batch_size` examples, and returns its mean loss in nats per answer. All use AdamW, the same schedule (linear
warm-up, then a cosine to 0) and clip the gradient of the loss in nats per answer to norm 1.

Texts become tokens before the clock starts, in all of them.
"""

import contextlib
import tempfile
import time
from dataclasses import replace

import torch
from torch.nn.functional import cross_entropy
from torch.optim.optimizer import register_optimizer_step_pre_hook
from transformers import DataCollatorForSeq2Seq, Trainer, TrainerCallback, TrainingArguments
from transformers.trainer_callback import PrinterCallback

from w2s_lab.models.language_model import LanguageModel
from w2s_lab.recipe import Recipe
from w2s_lab.records import LabelledSet
from w2s_lab.training.loop import learning_rate_at, training_steps

from .common import encoded, in_transformers, synchronize


class Clock:
    """Seconds from before the first step of a loop to after its last one."""

    def __init__(self, device: torch.device) -> None:
        self.device, self.began, self.ended = device, 0.0, 0.0

    def start(self) -> None:
        synchronize(self.device)
        self.began = time.perf_counter()

    def stop(self) -> None:
        synchronize(self.device)
        self.ended = time.perf_counter()

    @property
    def seconds(self) -> float:
        return self.ended - self.began


def kit(model: LanguageModel, data: LabelledSet, recipe: Recipe, clock: Clock) -> float:
    """The kit's loop, through its public door."""
    snapshots = training_steps(model, data, recipe)
    next(snapshots)  # the untrained model
    clock.start()
    *_, last = snapshots
    clock.stop()
    return last.train_loss


class _Timing(TrainerCallback):
    def __init__(self, clock: Clock) -> None:
        self.clock = clock

    def on_train_begin(self, *args: object, **state: object) -> None:
        self.clock.start()

    def on_train_end(self, *args: object, **state: object) -> None:
        self.clock.stop()


def trainer(model: LanguageModel, data: LabelledSet, recipe: Recipe, clock: Clock) -> float:
    """transformers.Trainer with the usual masked labels, random batches padded to their longest row.

    Its loss is a mean over answer tokens, the others' is a mean over answers of sums over tokens: a factor, where all
    answers have as many tokens. It is clipped at 1 over that factor, which clips the same gradients.
    """
    prompts, answers = encoded(model, data, recipe.max_tokens)
    (per_answer,) = {len(answer) for answer in answers}
    rows = [
        {"input_ids": p + a, "attention_mask": [1] * len(p + a), "labels": [-100] * len(p) + a}
        for p, a in zip(prompts, answers, strict=True)
    ]
    model.tokenizer.padding_side, side = "right", model.tokenizer.padding_side
    steps = len(data) // recipe.batch_size
    with tempfile.TemporaryDirectory() as folder, torch.random.fork_rng():  # it seeds the global generators
        options = TrainingArguments(
            folder,
            per_device_train_batch_size=recipe.batch_size,
            max_steps=steps,
            learning_rate=recipe.learning_rate,
            lr_scheduler_type="cosine",
            warmup_steps=max(1, round(recipe.warmup_fraction * steps)),
            weight_decay=recipe.weight_decay,
            max_grad_norm=1.0 / per_answer,
            seed=recipe.seed,
            bf16=clock.device.type == "cuda",
            use_cpu=clock.device.type == "cpu",
            dataloader_pin_memory=clock.device.type == "cuda",
            report_to="none",
            save_strategy="no",
            logging_strategy="no",
            disable_tqdm=True,
        )
        run = Trainer(
            in_transformers(model).network,
            options,
            train_dataset=rows,
            data_collator=DataCollatorForSeq2Seq(model.tokenizer),
            callbacks=[_Timing(clock)],
        )
        run.remove_callback(PrinterCallback)
        loss = run.train().training_loss
    model.tokenizer.padding_side = side
    return loss * per_answer


def singles(
    model: LanguageModel, data: LabelledSet, recipe: Recipe, clock: Clock, *, answer_only: bool = False
) -> float:
    """A forward pass for each example, one backward pass for the batch, in the order of the data.

    Args:
        answer_only: compute logits only where the answer is predicted, not at every position.
    """
    prompts, answers = encoded(model, data, recipe.max_tokens)
    network, device = in_transformers(model).network, clock.device
    steps, total = len(data) // recipe.batch_size, torch.zeros((), device=device)
    optimizer = torch.optim.AdamW(network.parameters(), lr=0.0, weight_decay=recipe.weight_decay)
    network.train()
    clock.start()
    for step in range(steps):
        for group in optimizer.param_groups:
            group["lr"] = learning_rate_at(step, steps, recipe)
        losses = []
        for row in range(step * recipe.batch_size, (step + 1) * recipe.batch_size):
            ids = torch.tensor([prompts[row] + answers[row]], device=device)
            scored = len(answers[row])
            with _half(device):
                keep = {"logits_to_keep": scored + 1} if answer_only else {}
                logits = network(input_ids=ids, use_cache=False, **keep).logits
            losses.append(cross_entropy(logits[0, -scored - 1 : -1].float(), ids[0, -scored:], reduction="sum"))
        loss = torch.stack(losses).mean()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(network.parameters(), 1.0)
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
        total += loss.detach()
    clock.stop()
    network.eval()
    return float(total / steps)


def singles_answer_only(model: LanguageModel, data: LabelledSet, recipe: Recipe, clock: Clock) -> float:
    """`singles` with logits only where the answer is predicted."""
    return singles(model, data, recipe, clock, answer_only=True)


def _half(device: torch.device) -> contextlib.AbstractContextManager:
    """The kit's precision "auto": bfloat16 on a GPU."""
    return torch.autocast("cuda", torch.bfloat16) if device.type == "cuda" else contextlib.nullcontext()


def kit_bfloat16(model: LanguageModel, data: LabelledSet, recipe: Recipe, clock: Clock) -> float:
    """`kit` with matrix products in bfloat16."""
    return kit(model, data, replace(recipe, precision="bfloat16"), clock)


EXACT = {"kit": kit, "trainer": trainer, "singles": singles, "singles, answer only": singles_answer_only}
LOOPS = {**EXACT, "kit, bfloat16": kit_bfloat16}


def differences(model: LanguageModel, batch: LabelledSet, recipe: Recipe) -> dict[str, tuple[float, float]]:
    """How far each loop's loss and gradient are from the kit's, on one and the same batch, through the loops' doors.

    A loop takes one step; its gradient is looked at when the optimizer is called.

    Returns:
        Name of the loop -> (|difference| of the losses in nats per answer, largest |difference| of the gradients over
        the largest |entry| of the kit's gradient).
    """
    found = {}
    for name, loop in EXACT.items():
        own, seen = model.copy(), []

        def look(optimizer, *_, own=own, seen=seen) -> None:
            seen.append(torch.cat([p.grad.flatten() for p in own.network.parameters()]).float())

        handle = register_optimizer_step_pre_hook(look)
        try:
            loss = loop(own, batch, recipe, Clock(own.device))
        finally:
            handle.remove()
        (gradient,) = seen
        found[name] = loss, gradient / _scale(name, own, batch)
    base_loss, base = found["kit"]
    return {
        name: (abs(loss - base_loss), float((gradient - base).abs().max() / base.abs().max()))
        for name, (loss, gradient) in found.items()
    }


def _scale(name: str, model: LanguageModel, batch: LabelledSet) -> float:
    """What the loop's gradient is a multiple of: the Trainer's loss is per token, the others' per answer."""
    return 1 / len(model.encode_answers(batch.answers[:1])[0]) if name == "trainer" else 1.0
