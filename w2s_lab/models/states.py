"""States inside a network: what goes into one of its blocks, at the last token or as a mean over the input."""

import contextlib
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from w2s_lab.models.abilities import can_stop
from w2s_lab.system import parallel


class InnerStates:
    """What a `LanguageModel` shows of its inside: it has these methods."""

    name: str
    network: Any
    _in_groups: Callable[..., Tensor]
    _measure: Callable[..., Any]
    _read: Callable[..., Any]
    _forward: Callable[..., Any]
    _positions: Callable[..., Tensor]
    _send: Callable[..., Tensor]
    pad_left: Callable[..., tuple[Tensor, Tensor]]

    @property
    def layers(self) -> int:
        """Number of blocks in the network."""
        return self.network.config.get_text_config().num_hidden_layers

    def hidden(
        self, prompts: Sequence[list[int]], *, layers: Sequence[int] | None = None, since: Sequence[int] | None = None
    ) -> Tensor:
        """States inside the network for B prompts, with gradient: [B, d] float32, or [B, len(layers), d].

        The network is stopped behind the last layer that is asked for.

        Args:
            prompts: token ids.
            layers: numbers as those of `hidden_states` in transformers: 0 is the embeddings, k the state after k
                blocks, and the number of blocks is the input of the output head, after the final norm. None: that one.
            since: of each prompt, the number of the first token of a mean that ends with the last one; None: only the
                state at the last token, where the answer begins.

        Raises:
            ValueError: the network has no such layer, or its blocks cannot be found.
        """
        wanted = [self.layers] if layers is None else list(layers)
        strange = [layer for layer in wanted if layer not in range(self.layers + 1)]
        if strange or not wanted:
            raise ValueError(f"{self.name}: layer {strange[:1] or wanted} asked for; expected 0 to {self.layers}")
        inside = min(wanted) < self.layers
        read = self._given_states if inside and not self._measure(can_stop) else self.states_by_stopping

        def of(group: list[int]) -> Tensor:
            return read([prompts[i] for i in group], wanted, since and [since[i] for i in group])

        found = self._in_groups(prompts, of)
        return found[:, 0] if layers is None else found

    def _given_states(self, prompts: Sequence[list[int]], wanted: Sequence[int], since: Sequence[int] | None) -> Tensor:
        """`hidden`, by the states that the network itself returns at the end of a pass."""
        ids, mask = self.pad_left(prompts)
        given = self._forward(
            ids, mask, self._positions(mask), 1, output_hidden_states=True, use_cache=False
        ).hidden_states
        found = [given[layer].float() for layer in wanted]
        return torch.stack([s[:, -1] if since is None else self._mean(s, since, prompts) for s in found], 1)

    def states_by_stopping(
        self, prompts: Sequence[list[int]], wanted: Sequence[int], since: Sequence[int] | None = None
    ) -> Tensor:
        """`hidden`, by looking at what goes into a block; the pass is stopped there."""
        places = {layer: self._place(layer) for layer in wanted}
        seen: dict[int, Tensor] = {}

        def keep(layer: int, inputs: tuple, named: dict) -> None:
            states = inputs[0] if inputs else named["hidden_states"]
            states = states[: len(prompts)].float()  # without the row of the shared prefix, if there is one
            seen[layer] = states[:, -1] if since is None else self._mean(states, since, prompts)
            if layer == max(wanted) and not parallel.is_sharded(self.network):  # a sharded one has to come to its end
                raise _Stop

        hooks = [
            module.register_forward_pre_hook(lambda _, a, b, layer=layer: keep(layer, a, b), with_kwargs=True)
            for layer, module in places.items()
        ]
        width, longest = (1, None) if since is None else (max(map(len, prompts)), min(since))
        try:
            with contextlib.suppress(_Stop):
                self._read(prompts, prompts, width, longest=longest)
        finally:
            for hook in hooks:
                hook.remove()
        return torch.stack([seen[layer] for layer in wanted], 1)

    def _mean(self, states: Tensor, since: Sequence[int], prompts: Sequence[list[int]]) -> Tensor:
        """[B, d] the mean of the states [B, L, d] from token `since` of a prompt on; rows are padded on the left."""
        counts = np.array([[len(tokens) - first] for tokens, first in zip(prompts, since, strict=True)])
        share = (np.arange(states.shape[1], 0, -1) <= counts) / counts
        # no matrix product: autocast would make it one in bfloat16
        return (self._send(share.astype(np.float32))[..., None] * states).sum(1)

    def _place(self, layer: int) -> torch.nn.Module:
        """The module whose input is the state of a layer."""
        if layer == self.layers:
            return self.network.get_output_embeddings()
        lists = [m for m in self.network.base_model.modules() if isinstance(m, torch.nn.ModuleList)]
        blocks = [one for one in lists if len(one) == self.layers]
        if not blocks:
            kind = type(self.network).__name__
            raise ValueError(f"{self.name}: the blocks of {kind} were not found; only its last layer can be read")
        return blocks[0][layer]


class _Stop(Exception):
    """Ends a pass through the network behind the last layer that is read."""
