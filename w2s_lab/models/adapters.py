"""Low-rank adapters (LoRA) of the package peft: added for a training, then merged into the weights."""

import contextlib
from collections.abc import Iterator

import torch

from w2s_lab.models.language_model import LanguageModel
from w2s_lab.models.pretrained import Pretrained
from w2s_lab.recipe import LoRA
from w2s_lab.system.randomness import OwnRandomness


@contextlib.contextmanager
def adapted(model: LanguageModel, lora: LoRA, *, seed: int) -> Iterator[None]:
    """Inside the block, only a low-rank adapter of `model.network` learns; at its end, merge it into the weights.

    If the model computes in bfloat16, the frozen weights are in bfloat16 inside the block.

    Args:
        model: the model that learns; its network changes.
        lora: rank and scale of the adapter.
        seed: random seed of the adapter's first weights.

    Raises:
        ValueError: peft is not installed.
    """
    try:
        from peft import LoraConfig, get_peft_model  # optional: most users train all weights of a small model
    except ImportError:
        raise ValueError("a LoRA needs the package peft. Hint: pip install 'w2s-lab[gpu]'") from None
    config = LoraConfig(
        r=lora.rank, lora_alpha=lora.alpha, lora_dropout=0.0, target_modules="all-linear", task_type="CAUSAL_LM"
    )
    own = type(model.network) if isinstance(model.network, Pretrained) else None
    if own:
        model.network = model.network.to_transformers()  # peft knows its layers
    network = model.network
    if model.in_bfloat16:
        network.to(torch.bfloat16)
    with OwnRandomness(seed):
        wrapped = get_peft_model(network, config)  # changes the layers of `network` itself
    for parameter in network.parameters():
        if parameter.requires_grad:
            parameter.data = parameter.data.float()
    try:
        yield
    finally:
        network.float()
        merged = wrapped.merge_and_unload()
        model.network = own.like(merged, copy=False) if own else merged
        model.network.requires_grad_(True)
