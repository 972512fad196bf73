"""Keys and values for a batch whose rows begin alike, in networks of transformers: the beginning is read once."""

from typing import Any

import torch
from torch import Tensor
from transformers.cache_utils import DynamicCache, DynamicLayer


class SharedPrefixLayer(DynamicLayer):
    """Keys and values of one layer, for a batch whose last row is the prefix that the other rows continue.

    In the network's first pass, every row sees the prefix row's keys and values before its own. The network thus
    computes the prefix once, and is called once. Gradients flow through the rows and through the prefix.
    """

    def __init__(self, shared: int) -> None:
        super().__init__()
        self.shared = shared  # tokens of the prefix: the first ones of the last row

    def get_seq_length(self) -> int:
        """Number of tokens before those of the next pass."""
        return super().get_seq_length() if self.is_initialized else self.shared

    def update(self, key_states: Tensor, value_states: Tensor, *args: Any, **kwargs: Any) -> tuple[Tensor, Tensor]:
        """The keys and values that the queries of this pass see."""
        if self.is_initialized:
            return super().update(key_states, value_states, *args, **kwargs)
        self.lazy_initialization(key_states, value_states)
        self.keys, self.values = self._after_prefix(key_states), self._after_prefix(value_states)
        return self.keys, self.values

    def _after_prefix(self, states: Tensor) -> Tensor:
        prefix = states[-1:, :, : self.shared].expand(len(states), -1, -1, -1)
        return torch.cat([prefix, states], -2)


def can_share(network: Any) -> bool:
    """Whether every layer of the network keeps plain keys and values (no sliding window, no recurrent state)."""
    try:
        layers = DynamicCache(config=network.config).layers
    except (AttributeError, KeyError, TypeError, ValueError):
        return False
    return bool(layers) and all(type(layer) is DynamicLayer for layer in layers)


def shared_cache(network: Any, shared: int) -> DynamicCache:
    """A cache for one batch with a prefix of `shared` tokens; only for networks that `can_share`."""
    cache = DynamicCache(config=network.config)
    cache.layers = [SharedPrefixLayer(shared) for _ in cache.layers]
    return cache
