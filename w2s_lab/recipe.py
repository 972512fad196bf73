"""The settings of a fine-tuning: one record for weak supervisor, strong student and strong ceiling."""

import math
from dataclasses import asdict, dataclass, field, replace

from w2s_lab.objective import Loss, MaximumLikelihood


@dataclass(frozen=True)
class LoRA:
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
        for name in ("rank", "alpha"):
            if not getattr(self, name) > 0:
                raise ValueError(f"LoRA: {name} is {getattr(self, name)}; expected a number above 0")


@dataclass(frozen=True)
class Recipe:
    """The settings of a fine-tuning; the same record serves weak supervisor, strong student and strong ceiling.

    Attributes:
        loss: the loss to minimise (see `w2s_lab.objective`).
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
        chat_template: put the prompt into the tokenizer's chat template, if it has one.
        gradient_checkpointing: compute the activations again in the backward pass instead of storing them. This
            needs less memory and about a third more time, and gives the same numbers.
        precision: of matrix products: "float32", "bfloat16" or "auto". "auto" means bfloat16 on every GPU that
            supports it, and on a CPU that supports it for models from 10 million parameters on, where it saves time;
            float32 elsewhere. Weights are float32, except those that a LoRA freezes: they have this precision.

    Raises:
        ValueError: a setting is out of range.
    """

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

    def lasting(self, steps: int, examples: int) -> "Recipe":
        """The same recipe, with as many epochs as come nearest to `steps` optimizer steps on `examples` examples."""
        per_epoch = math.ceil(examples / self.batch_size)
        return replace(self, epochs=max(1, round(steps / per_epoch)))

    def as_dict(self) -> dict:
        """Plain JSON values. The loss includes its class name, so that two losses with equal fields stay distinct."""
        return {**asdict(self), "loss": {"name": type(self.loss).__name__, **asdict(self.loss)}}
