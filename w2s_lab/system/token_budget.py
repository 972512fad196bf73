"""How many tokens go through a network at once, and what happens when the device runs out of memory."""

from collections.abc import Sequence

import torch


class TokenBudget:
    """The most padded tokens that go through the network at once; `shrink` it when the device runs out of memory."""

    def __init__(self, tokens: int) -> None:
        self.tokens = tokens

    def pieces(self, rows: Sequence[int], lengths: Sequence[int]) -> list[list[int]]:
        """`rows` in their order, cut into pieces of at most `tokens` padded tokens; a longer row is one piece."""
        pieces: list[list[int]] = []
        longest = 0
        for row in rows:
            longest = max(longest, lengths[row])
            if not pieces or (len(pieces[-1]) + 1) * longest > self.tokens:
                pieces.append([])
                longest = lengths[row]
            pieces[-1].append(int(row))
        return pieces

    def shrink(self, pieces: Sequence[Sequence[int]], lengths: Sequence[int]) -> None:
        """Reduce the budget to half of the largest of these pieces, one of which did not fit into memory.

        Raises:
            MemoryError: every piece is a single row already.
        """
        if torch.cuda.is_available():
            torch.cuda.empty_cache()
        if max(map(len, pieces)) == 1:
            raise MemoryError(
                f"a single example of {max(lengths[row] for piece in pieces for row in piece)} tokens does not fit "
                "into the device's memory. Hint: gradient checkpointing, a LoRA, fewer max_tokens or a smaller model"
            )
        self.tokens = max(len(piece) * max(lengths[row] for row in piece) for piece in pieces) // 2
