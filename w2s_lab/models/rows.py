"""What several texts have in common is read once: the beginning of all rows of a batch, and the prompt of a list.

A beginning that all rows share, such as an instruction, is one more row, which the others continue. The answers of a
closed list stand behind their prompt, all in one row, where each sees the prompt and itself: nothing that was computed
for the prompt is copied.
"""

from collections.abc import Iterator, Sequence

import numpy as np
import torch
from torch import Tensor

from w2s_lab.models.llama import who_sees

WIDEST = 256  # tokens of answers behind one prompt: they see each other in vain, so that work grows as their square


def with_prefix_row(ids: Tensor, mask: Tensor, prefix: Tensor) -> tuple[Tensor, Tensor]:
    """The batch [B + 1, L] whose last row is the prefix [S], S <= L, and the mask [B + 1, S + L] of what a row may see.

    `ids` [B, L] and `mask` are padded on the left, without the prefix; the last row is padded on the right.
    """
    last = torch.zeros_like(ids[:1])
    last[0, : len(prefix)] = prefix
    seen = torch.zeros_like(mask[:1])
    seen[0, : len(prefix)] = 1
    before = mask.new_ones(len(mask) + 1, len(prefix))
    before[-1] = 0  # the prefix itself has nothing before it
    return torch.cat([ids, last]), torch.cat([before, torch.cat([mask, seen])], -1)


def in_rows(answers: Sequence[list[int]]) -> Iterator[list[list[int]]]:
    """The answers in their order, cut into lists that stand in one row: of at most `WIDEST` tokens, or one answer."""
    row, width = [], 0
    for answer in answers:
        if row and width + len(answer) - 1 > WIDEST:
            yield row
            row, width = [], 0
        row.append(answer)
        width += len(answer) - 1
    yield row


def tokens_behind(answers: Sequence[list[int]]) -> int:
    """How many tokens a row has behind its prompt: those of all answers but the last of each, which is not read."""
    return sum(len(answer) - 1 for answer in answers)


class AnswerList:
    """K answers that are read in one row. A is the number of their tokens that are read, T of all their tokens.

    Args:
        answers: token ids of each, the end-of-answer token included.
        device: that of the network.
    """

    def __init__(self, answers: Sequence[list[int]], device: torch.device) -> None:
        def tensor(rows: list[tuple[int, ...]], columns: int) -> Tensor:
            return torch.from_numpy(np.array(rows, dtype=np.int64).reshape(-1, columns).T.copy()).to(device)

        read = [(k, place, token) for k, one in enumerate(answers) for place, token in enumerate(one[:-1])]
        self.owner, self.place, self.tokens = tensor(read, 3)  # [A] each
        predicted, start = [], 0
        for k, answer in enumerate(answers):  # the prompt's end predicts the first token, each token the next one
            predicted += [(k, place and start + place, token) for place, token in enumerate(answer)]
            start += len(answer) - 1
        self.answer, self.predicted_at, self.target = tensor(predicted, 3)  # [T] each
        self.count = len(answers)

    def __len__(self) -> int:
        return len(self.tokens)

    def behind(self, ids: Tensor, mask: Tensor, positions: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Rows with the answers behind their prompts: ids [B, L + A], who sees whom, and positions.

        Args:
            ids: [B, L] prompts, padded on the left.
            mask: [B, S + L], see `Llama.forward`; it becomes [B, 1, L + A, S + L + A].
            positions: [B, L]; an answer's are counted on from those of the prompt's end.
        """
        (rows, length), before = ids.shape, mask.shape[1]
        sees = torch.zeros(rows, 1, length + len(self), before + len(self), dtype=torch.bool, device=ids.device)
        sees[:, :, :length, :before] = who_sees(mask, length, before - length, ids.device)
        sees[:, :, length:, :before] = mask.bool()[:, None, None]
        sees[:, :, length:, before:] = (self.owner[:, None] == self.owner) & (self.place[:, None] >= self.place)
        ids = torch.cat([ids, self.tokens.expand(rows, -1)], 1)
        return ids, sees, torch.cat([positions, positions[:, -1:] + 1 + self.place], 1)

    def log_probs(self, logits: Tensor) -> Tensor:
        """log Pr of each answer in nats, [B, K], from the logits [B, 1 + A, V] at the prompt's end and behind it."""
        picked = logits.float().log_softmax(-1)[:, self.predicted_at, self.target]  # [B, T]
        return picked.new_zeros(len(logits), self.count).index_add(1, self.answer, picked)
