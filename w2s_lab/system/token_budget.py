"""How much goes through a network at once, and what to do where the device runs out of memory."""

from collections.abc import Sequence

import torch


class TokenBudget:
    """How many padded tokens go through the network at once; halved where the device runs out of memory."""

    def __init__(self, tokens: int) -> None:
        self.tokens = tokens

    def pieces(self, rows: Sequence[int], lengths: Sequence[int]) -> list[list[int]]:
        """`rows` in their order, cut into runs that take at most `tokens` padded tokens, or are a single row."""
        found: list[list[int]] = []
        longest = 0
        for row in rows:
            longest = max(longest, lengths[row])
            if not found or (len(found[-1]) + 1) * longest > self.tokens:
                found.append([])
                longest = lengths[row]
            found[-1].append(int(row))
        return found

    def shrink(self, pieces: Sequence[Sequence[int]], lengths: Sequence[int]) -> None:
        """To half of the largest of these pieces, one of which did not fit.

        Raises:
            MemoryError: they are single rows already.
        """
        if torch.cuda.is_available():
            torch.cuda.empty_cache()
        if max(map(len, pieces)) == 1:
            raise MemoryError(
                f"a single example of {max(lengths[row] for piece in pieces for row in piece)} tokens does not fit "
                "into the device's memory. Hint: gradient checkpointing, a LoRA, fewer max_tokens or a smaller model"
            )
        self.tokens = max(len(piece) * max(lengths[row] for row in piece) for piece in pieces) // 2
