"""The settings of a fine-tuning: one record for weak supervisor, strong student and strong ceiling."""

import math
from dataclasses import dataclass, field, fields, replace

from w2s_lab.objective import LOSSES, Loss, MaximumLikelihood, check_loss
from w2s_lab.system.border import check_fields
from w2s_lab.system.record import Record, json_value
from w2s_lab.system.source import UnknownSource, source_digest

PLAIN = (bool, int, float, str, type(None))  # JSON values


@dataclass(frozen=True)
class LoRA(Record):
    """Low-rank adaptation (LoRA): the model's own weights stay frozen; each linear layer learns an addition to them.

    The addition is a product of two thin matrices (Hu et al. 2021, arXiv 2106.09685). Needs the package peft.

    Attributes:
        rank: inner width of the product.
        alpha: the product is scaled by alpha / rank.

    Raises:
        ValueError: `rank` or `alpha` is not above 0.
    """

    rank: int = 16
    alpha: float = 32.0

    def __post_init__(self) -> None:
        check_fields(self)
        for name in ("rank", "alpha"):
            if not getattr(self, name) > 0:
                raise ValueError(f"LoRA: {name} is {getattr(self, name)}; expected a number above 0")


@dataclass(frozen=True)
class Recipe(Record):
    """The settings of a fine-tuning; the same record serves weak supervisor, strong student and strong ceiling.

    Attributes:
        loss: the loss to minimise: a built-in one, or one of your own (see `w2s_lab.objective.Loss`).
        epochs: passes over the training set.
        batch_size: examples in one optimizer step.
        learning_rate: peak of the schedule.
        warmup_fraction: fraction of all steps in which the rate rises linearly; then it falls to 0 as a cosine.
        weight_decay: weight decay of AdamW.
        max_tokens: most tokens that prompt and answer may take together. A longer input is cut at its end; the answer
            is never cut.
        eval_every: steps between two evaluations on the watched examples; None: evaluate at the end of each epoch.
        seed: random seed of the examples' order, of dropout and of a new LoRA's weights.
        lora: learn a low-rank adapter instead of all weights; None: learn all weights.
        chat_template: put the prompt into the tokenizer's chat template, if it has one. It is tried out before the
            training (see `w2s_lab.models.chat`).
        gradient_checkpointing: compute the activations again in the backward pass instead of storing them. This
            needs less memory and about a third more time, and gives the same numbers.
        precision: of matrix products: "float32", "bfloat16" or "auto". "auto" means bfloat16 on every GPU that
            supports it, and on a CPU that supports it for models from 10 million parameters on, where it saves time;
            float32 elsewhere. In bfloat16, the passes of a training also see the weights in bfloat16; those that the
            optimizer moves, and that are evaluated and saved, are float32.

    Raises:
        ValueError: a setting is out of range.
    """

    _always = ("epochs", "learning_rate")

    loss: Loss = field(default_factory=MaximumLikelihood)
    epochs: int = 3
    batch_size: int = 32
    learning_rate: float = 3e-4
    warmup_fraction: float = 0.1
    weight_decay: float = 0.01
    max_tokens: int = 256
    eval_every: int | None = None
    seed: int = 0
    lora: LoRA | None = None
    chat_template: bool = False
    gradient_checkpointing: bool = False
    precision: str = "auto"

    def __post_init__(self) -> None:
        check_loss(self.loss)
        check_fields(self)
        for name, legal in (
            ("epochs", self.epochs >= 1),
            ("batch_size", self.batch_size >= 1),
            ("learning_rate", self.learning_rate > 0),
            ("warmup_fraction", 0 <= self.warmup_fraction <= 1),
            ("weight_decay", self.weight_decay >= 0),
            ("max_tokens", self.max_tokens >= 8),
            ("eval_every", self.eval_every is None or self.eval_every >= 1),
            ("precision", self.precision in ("auto", "float32", "bfloat16")),
        ):
            if not legal:
                raise ValueError(f"Recipe: {name} is {getattr(self, name)!r}, which is out of range (see help(Recipe))")

    def steps(self, examples: int) -> tuple[int, int]:
        """Number of optimizer steps for a set of `examples` examples, and number of steps between two evaluations."""
        per_epoch = math.ceil(examples / self.batch_size)
        return self.epochs * per_epoch, self.eval_every or per_epoch

    def snapshots(self, examples: int) -> int:
        """How often a training is evaluated: before its first step, on the grid, and at its end."""
        steps, grid = self.steps(examples)
        return 1 + (math.ceil(steps / grid) if steps else 0)

    def lasting(self, steps: int, examples: int) -> "Recipe":
        """The same recipe, with as many epochs as come nearest to `steps` optimizer steps on `examples` examples."""
        per_epoch = math.ceil(examples / self.batch_size)
        return replace(self, epochs=max(1, round(steps / per_epoch)))

    def to_dict(self) -> dict:
        """Plain JSON values; the loss with its class name, so that no two losses look alike.

        A loss of a user's own also has a digest of its source and of its dials, since another class may bear the same
        name; None where `unknown_source` says why there is none.
        """
        values = {one.name: getattr(self, one.name) for one in fields(self)}
        dials = {one.name: getattr(self.loss, one.name) for one in fields(type(self.loss))}  # type: ignore[arg-type]  # check_loss saw to it
        loss = {"name": type(self.loss).__name__, **dials}
        if type(self.loss) not in LOSSES.values():
            words = {name: dial if isinstance(dial, PLAIN) else repr(dial) for name, dial in dials.items()}
            loss = {"name": loss["name"], "source": self._source[0], "dials": words}
        return json_value(values | {"loss": loss})

    @property
    def unknown_source(self) -> str | None:
        """Why it cannot be told what the loss does, so that a result has no key and is not stored; None: it can."""
        return None if type(self.loss) in LOSSES.values() else self._source[1]

    @property
    def _source(self) -> tuple[str | None, str | None]:
        """The digest of a user's loss, or why there is none."""
        try:
            return source_digest(self.loss), None
        except UnknownSource as reason:
            return None, str(reason)


def rate_text(rate: float) -> str:
    """A learning rate as people write it, such as 5e-5."""
    return f"{rate:g}".replace("e-0", "e-")
