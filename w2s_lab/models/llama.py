"""The whole network on one page: a transformer of the Llama kind (Touvron et al. 2023, arXiv 2302.13971).

It reads token ids and gives, at every place, a logit for each token that may come next. Modules and weights have the
names that transformers gives them, so that either code reads the other's folder, with the same logits.

Shapes: B rows of L tokens; d is the width of a state, H the number of heads, h = d / H in most models, V the number of
tokens that there are. S tokens that all rows begin with may stand in the last row alone, see `shared`.
"""

from types import SimpleNamespace

import torch
from torch import Tensor, nn
from torch.nn import functional

from w2s_lab.models.pretrained import LlamaConfig, Pretrained


class Llama(Pretrained):
    """Token ids [B, L] -> logits [B, L, V]."""

    def __init__(self, config: LlamaConfig) -> None:
        super().__init__()
        self.config = config
        self.model = nn.Module()
        self.model.embed_tokens = nn.Embedding(config.vocab_size, config.hidden_size)
        self.model.layers = nn.ModuleList(Block(config) for _ in range(config.num_hidden_layers))
        self.model.norm = Norm(config)
        self.lm_head = nn.Linear(config.hidden_size, config.vocab_size, bias=False)
        self.tie()

    def forward(
        self,
        input_ids: Tensor,
        attention_mask: Tensor | None = None,
        position_ids: Tensor | None = None,
        logits_to_keep: int = 0,
        shared: int = 0,
        output_hidden_states: bool = False,
    ) -> SimpleNamespace:
        """Logits that predict the next token at the last places of each row, and if asked, the states on the way.

        Args:
            input_ids: [B, L].
            attention_mask: [B, S + L], 1 at the tokens that later ones may see; or [B, 1, L, S + L], true where the
                token of a row sees that of a column; None: each token sees all before it.
            position_ids: [B, L], counted from 0; None: the place in the row.
            logits_to_keep: the number of last places; 0: all of them.
            shared: S. The first S tokens of the last row stand before every row's own: they are computed once.
            output_hidden_states: give the state behind the embeddings and behind each block, the last one normed.
        """
        x = self.model.embed_tokens(input_ids)  # [B, L, d]
        length = x.shape[1]
        keep, states = length if output_hidden_states else logits_to_keep or length, []
        plain = attention_mask is None and keep == length  # all tokens before each one: there is a faster kernel
        sees = None if plain else who_sees(attention_mask, length, shared, x.device)
        places = torch.arange(length, device=x.device)[None] if position_ids is None else position_ids
        turn = turns(places, self.config).to(x.dtype)
        for block in self.model.layers:
            states += [x] if output_hidden_states else []
            is_last = block is self.model.layers[-1]  # behind it, no place looks at another
            x = block(x, turn, sees, keep if is_last else length, shared)
        x = self.model.norm(x)
        logits = self.lm_head(x[:, -logits_to_keep:])
        return SimpleNamespace(logits=logits, hidden_states=(*states, x) if output_hidden_states else None)


class Block(nn.Module):
    """Attention, then a small network at each place; what either finds is added to the state."""

    def __init__(self, config: LlamaConfig) -> None:
        super().__init__()
        self.self_attn, self.mlp = Attention(config), Feedforward(config)
        self.input_layernorm, self.post_attention_layernorm = Norm(config), Norm(config)

    def forward(self, x: Tensor, turn: Tensor, sees: Tensor | None, keep: int, shared: int) -> Tensor:
        x = x[:, -keep:] + self.self_attn(self.input_layernorm(x), turn, sees, keep, shared)
        return x + self.mlp(self.post_attention_layernorm(x))  # [B, keep, d]


class Attention(nn.Module):
    """Each head compares the query of a place with the keys of those it sees, and takes the mean of their values."""

    def __init__(self, config: LlamaConfig) -> None:
        super().__init__()
        d, self.h, own = config.hidden_size, config.head_dim, config.num_key_value_heads
        self.q_proj = nn.Linear(d, config.num_attention_heads * self.h, bias=False)
        self.k_proj, self.v_proj = (nn.Linear(d, own * self.h, bias=False) for _ in range(2))
        self.o_proj = nn.Linear(config.num_attention_heads * self.h, d, bias=False)
        self.served = config.num_attention_heads // own

    def forward(self, x: Tensor, turn: Tensor, sees: Tensor | None, keep: int, shared: int) -> Tensor:
        query = rotated(self.heads(self.q_proj(x[:, -keep:])), turn[:, :, :, -keep:])  # [B, H, keep, h]
        key, value = rotated(self.heads(self.k_proj(x)), turn), self.heads(self.v_proj(x))
        if shared:
            key, value = (torch.cat([t[-1:, :, :shared].expand(len(t), -1, -1, -1), t], 2) for t in (key, value))
        if self.served > 1:
            key, value = (t.repeat_interleave(self.served, 1) for t in (key, value))
        how = {"is_causal": True} if sees is None else {"attn_mask": sees[..., -keep:, :]}
        found = functional.scaled_dot_product_attention(query, key, value, **how)
        return self.o_proj(found.transpose(1, 2).flatten(2))  # [B, keep, d]

    def heads(self, x: Tensor) -> Tensor:
        return x.unflatten(-1, (-1, self.h)).transpose(1, 2)  # [B, L, H h] -> [B, H, L, h]


class Feedforward(nn.Module):
    """At each place: up to a larger width, a gate on each number there, and down again."""

    def __init__(self, config: LlamaConfig) -> None:
        super().__init__()
        d, wide = config.hidden_size, config.intermediate_size
        self.gate_proj, self.up_proj = (nn.Linear(d, wide, bias=False) for _ in range(2))
        self.down_proj = nn.Linear(wide, d, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        return self.down_proj(functional.silu(self.gate_proj(x)) * self.up_proj(x))


class Norm(nn.Module):
    """Divides a state by its root mean square, and scales each number by a learnt weight."""

    def __init__(self, config: LlamaConfig) -> None:
        super().__init__()
        self.weight, self.eps = nn.Parameter(torch.ones(config.hidden_size)), config.rms_norm_eps

    def forward(self, x: Tensor) -> Tensor:
        return functional.rms_norm(x, self.weight.shape, self.weight, self.eps)


def who_sees(mask: Tensor | None, length: int, shared: int, device: torch.device) -> Tensor:
    """[B or 1, 1, L, S + L]: whether a token sees another: one before it that is no padding, or itself."""
    if mask is not None and mask.ndim == 4:
        return mask
    before = torch.ones(length, shared + length, dtype=torch.bool, device=device).tril(shared)
    itself = torch.ones_like(before).tril(shared).triu(shared)  # padding sees itself alone: of nothing there is no mean
    return before[None, None] if mask is None else before & mask.bool()[:, None, None] | itself


def turns(positions: Tensor, config: LlamaConfig) -> Tensor:
    """[2, B, 1, L, h]: cosines and sines of the angles by which positions turn queries and keys (Su et al. 2021)."""
    even = torch.arange(0, config.head_dim, 2, dtype=torch.float32, device=positions.device)
    angles = (positions[:, None, :, None].float() / config.rope_theta ** (even / config.head_dim)).repeat(1, 1, 1, 2)
    return torch.stack([angles.cos(), angles.sin()])


def rotated(x: Tensor, turn: Tensor) -> Tensor:
    """Pairs (x_i, x_{i + h/2}) of [B, H, L, h], each turned by its angle."""
    first, second = x.chunk(2, -1)
    return x * turn[0] + torch.cat([-second, first], -1) * turn[1]
