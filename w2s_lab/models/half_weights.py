"""Weights in bfloat16 for the passes of a training step; the float32 weights remain, as the optimizer's masters."""

import contextlib
from collections.abc import Callable, Iterator
from typing import Any

import torch

from w2s_lab.models.abilities import Trial, pairs, undisturbed, warn_slower

Block = Callable[[], contextlib.AbstractContextManager[None]]


def lender(model: Any) -> Block:
    """What lends the network of `model` its weights in bfloat16 for a block; in float32, nothing is lent.

    Outside the block the parameters are float32 as ever. They are the masters: the optimizer moves them, so that no
    update is too small to count, and they are evaluated, digested, saved and checkpointed. Inside the block, the whole
    network computes in bfloat16, without the casts of autocast. Gradients are summed in float32.

    Warns:
        UserWarning: the network does not read right with such weights, so autocast rounds what it computes instead.
    """
    return _lender(model) if model.in_bfloat16 and model.takes_half_weights else contextlib.nullcontext


def takes(model: Any) -> bool:
    """Whether the network scores texts with weights in bfloat16 as it does under autocast, but for rounding.

    Warns:
        UserWarning: it does not.
    """
    with undisturbed(model.network):
        trial, abilities = Trial(model, 0), model.abilities
        _ = trial.reference  # under autocast
        with _lender(model)():
            reason = trial.off(pairs, abilities)
    if reason:
        warn_slower(model, [f"weights stay float32 in the passes of a training ({reason})"])
    return not reason


def _lender(model: Any) -> Block:
    exact = getattr(model.network, "_keep_in_fp32_modules_strict", None) or ()  # such as the bias of a router
    lent = [
        parameter
        for name, parameter in model.network.named_parameters()
        if parameter.dtype == torch.float32 and not any(part in name for part in exact)
    ]
    rounded = [torch.empty_like(parameter, dtype=torch.bfloat16, requires_grad=False) for parameter in lent]

    @contextlib.contextmanager
    def block() -> Iterator[None]:
        masters = [parameter.data for parameter in lent]
        torch._foreach_copy_(rounded, masters)
        for parameter, copy in zip(lent, rounded, strict=True):
            parameter.data = copy
            if parameter.requires_grad and hasattr(torch.Tensor, "grad_dtype"):
                parameter.grad_dtype = torch.float32  # before torch 2.10 there is none: summed in bfloat16
        model.in_half = True
        try:
            yield
        finally:
            model.in_half = False
            for parameter, master in zip(lent, masters, strict=True):
                parameter.data = master
                if parameter.grad is not None:
                    parameter.grad = parameter.grad.float()

    return block
