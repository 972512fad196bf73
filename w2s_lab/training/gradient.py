"""The gradient of one batch, in as many pieces as memory requires, and shared among all processes of the training."""

import contextlib
from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from w2s_lab.models.language_model import LanguageModel
from w2s_lab.objective import Targets, token_log_probs
from w2s_lab.recipe import Recipe
from w2s_lab.records import LabelledSet
from w2s_lab.system import parallel
from w2s_lab.system.token_budget import TokenBudget
from w2s_lab.training.requirements import check_set, losses_of, reading_of

TRAINING_TOKENS = 65_536  # padded tokens that go through the network at once, at most


class BatchGradient:
    """Adds the gradient of a recipe's loss over one batch to the parameters of a network.

    Raises:
        ValueError: the loss cannot learn from the set, or an instruction is too long for the model's window.
        TypeError: the loss does not compute a tensor.
    """

    def __init__(self, model: LanguageModel, labelled: LabelledSet, recipe: Recipe) -> None:
        choices = labelled.task.answers
        closed = choices is not None
        check_set(recipe.loss, labelled)
        self.model, self.loss, self.reading = model, recipe.loss, reading_of(recipe.loss, closed=closed)
        # If not by row, the loss needs the whole batch at once; a batch too large for one piece is then computed twice.
        self.by_row = getattr(self.loss, "by_row", False)
        if self.reading == "text":
            start, self.answers = model.encode_documents(labelled.examples, model.window)
            self.prompts = [start] * len(labelled)
        else:
            self.answers = model.encode_answers(labelled.answers)
            self.closed = model.encode_answers(choices) if closed else None
            room = max(map(len, self.closed or self.answers))
            self.prompts, _ = model.encode_prompts(labelled.examples, model.window - room)
        self.lengths = [len(p) + len(a) for p, a in zip(self.prompts, self.answers, strict=True)]
        self.sizes = self.lengths  # tokens that go through the network
        if self.reading == "list":
            self.sizes = model.tokens_with(self.prompts, self.closed)
        needs = self.loss.needs(closed)
        self.weight = self._tensor(labelled.weight)
        self.probs = self._tensor(labelled.probs if "probs" in needs else None)
        self.kept = labelled.token_targets if "token_targets" in needs else None
        self.numbers = self.class_balance = None
        if closed and self.reading != "text":
            self.numbers = torch.tensor([choices.index(answer) for answer in labelled.answers], device=model.device)
            self.class_balance = [labelled.answers.count(answer) / len(labelled) for answer in choices]
        self.progress = 0.0
        self.budget = TokenBudget(TRAINING_TOKENS)
        self.sums: parallel.GradientSum | None = None
        self.fitted = 0  # padded tokens of the largest piece that has passed

    def _tensor(self, values: np.ndarray | None) -> Tensor | None:
        return None if values is None else torch.tensor(values, dtype=torch.float32, device=self.model.device)

    def __call__(self, rows: Sequence[int], progress: float) -> Tensor:
        """The mean loss over the rows `rows` of the set, in nats per answer, without gradient.

        Args:
            rows: row numbers of one batch; every process gets the same ones and computes its share.
            progress: fraction of the training done.
        """
        self.sums = self.sums or parallel.GradientSum(self.model.network)
        rows = [int(row) for row in rows]
        share = list(parallel.own(rows))
        idle = not share
        if idle:  # sharded processes must all run the network: here with a row of weight 0
            share = rows[:1]
        self.progress = progress
        if self.by_row:
            slope = self._weights(share) / len(rows) * (0.0 if idle else 1.0)
            losses = parallel.gathered(self._backward(share, slope)[: 0 if idle else None], len(rows))
        else:
            scores = self._scores(share)
            everyone = parallel.gathered(scores.detach()[: 0 if idle else None], len(rows)).requires_grad_()
            losses = self._losses(everyone, rows)
            (slope,) = torch.autograd.grad(losses, everyone, self._weights(rows) / len(rows))
            slope = torch.zeros_like(scores) if idle else parallel.own(slope)
            self._backward(share, slope, scores if scores.requires_grad else None)
        return (self._weights(rows) * losses.detach()).mean()

    def _weights(self, rows: Sequence[int]) -> Tensor:
        """[B] by how much each row counts."""
        if self.weight is None:
            return torch.ones(len(rows), device=self.model.device)
        return self.weight[torch.as_tensor(rows, device=self.model.device)]

    def _score(self, rows: Sequence[int]) -> Tensor:
        """What the loss reads of these rows, with gradient: [B], [B, K] or [B, T, 1 + M], see `objective.Loss`."""
        prompts, answers = [self.prompts[row] for row in rows], [self.answers[row] for row in rows]
        if self.reading == "list":
            return self.model.log_probs(prompts, self.closed)
        if self.reading != "tokens":
            return self.model.log_prob(prompts, answers)
        logits, tokens, mask = self.model.answer_logits(prompts, answers)
        scores = token_log_probs(logits, tokens)[..., None]
        if self.kept:
            kept, _ = self._kept(rows)
            at = logits.float().log_softmax(-1).gather(-1, kept[:, -tokens.shape[1] :])
            scores = torch.cat([scores, at], -1)
        scores = torch.where(mask.bool()[..., None], scores, 0.0)
        return torch.nn.functional.pad(scores, (0, 0, self._width(rows) - tokens.shape[1], 0))

    def _width(self, rows: Sequence[int]) -> int:
        """T: tokens of the longest answer; of the whole set where the scores of several pieces are joined."""
        return max(len(self.answers[row]) for row in (rows if self.by_row else range(len(self.answers))))

    def _kept(self, rows: Sequence[int]) -> tuple[Tensor, Tensor]:
        """[B, T, M] the tokens that the supervisor finds most likely at each token of the answers, and their Pr.

        Both are 0 where there is no token, or where fewer than M were kept.
        """
        everyone = rows if self.by_row else range(len(self.answers))
        shape = (len(rows), self._width(rows), max(self.kept[row].tokens.shape[1] for row in everyone))
        ids, probs = np.zeros(shape, dtype=np.int64), np.zeros(shape, dtype=np.float32)
        for place, target in enumerate(self.kept[row] for row in rows):
            length, kept = target.tokens.shape
            ids[place, -length:, :kept], probs[place, -length:, :kept] = target.tokens, target.probs
        return torch.from_numpy(ids).to(self.model.device), torch.from_numpy(probs).to(self.model.device)

    def _losses(self, scores: Tensor, rows: Sequence[int]) -> Tensor:
        """[B] the loss of each row, with gradient in its scores."""
        batch = torch.as_tensor(rows, device=self.model.device)
        probs, mask = None if self.probs is None else self.probs[batch], None
        if self.reading == "tokens":
            lengths = torch.tensor([len(self.answers[row]) for row in rows])[:, None]
            mask = (torch.arange(scores.shape[1], 0, -1) <= lengths).to(self.model.device)
            probs = self._kept(rows)[1] if self.kept else probs
        answers = None if self.numbers is None else self.numbers[batch]
        return losses_of(self.loss, scores, Targets(probs, answers, self.class_balance, self.progress, mask))

    def _pieces(self, rows: list[int]) -> list[list[int]]:
        # sharded processes must run the network equally often, so none of them may cut its rows into pieces
        return [rows] if parallel.is_sharded(self.model.network) else self.budget.pieces(rows, self.sizes)

    def _scores(self, rows: list[int]) -> Tensor:
        """Scores of all rows: with gradient where they fit in one piece, else without (they are computed again)."""
        while True:
            pieces = self._pieces(rows)
            try:
                if len(pieces) == 1:
                    return self._score(rows)
                with torch.no_grad():
                    return torch.cat([self._score(piece) for piece in pieces])
            except torch.OutOfMemoryError:
                if parallel.is_sharded(self.model.network):
                    raise
            self.budget.shrink(pieces, self.sizes)

    def _backward(self, rows: list[int], slope: Tensor, scores: Tensor | None = None) -> Tensor:
        """Accumulate the gradient of the parameters, and sum it over the processes.

        Args:
            rows: of this process.
            slope: d(batch loss)/d(scores); if the loss is by row, d(batch loss)/d(loss of each row), [B].
            scores: of all rows, with gradient; None: computed here, piece by piece.

        Returns:
            The scores, or if the loss is by row the losses, to which `slope` belongs; without gradient.
        """
        if parallel.is_sharded(self.model.network):
            slope = slope * parallel.world()  # its reduction is a mean over the processes
        while True:
            pieces = [rows] if scores is not None else self._pieces(rows)
            try:
                found, place = [slope[:0]], 0
                for piece in pieces:
                    value = self._score(piece) if scores is None else scores
                    value = self._losses(value, piece) if self.by_row else value
                    size = len(piece) * max(self.lengths[row] for row in piece)
                    # what other processes have been sent cannot be computed again, so the pass should not fail
                    safe = piece is pieces[-1] and size <= self.fitted
                    with self.sums.overlapping() if safe else contextlib.nullcontext():
                        value.backward(slope[place : place + len(piece)])
                    self.fitted = max(self.fitted, size)
                    place += len(piece)
                    found.append(value.detach())
                self.sums.finish()
                return torch.cat(found)
            except torch.OutOfMemoryError:
                if parallel.is_sharded(self.model.network) or self.sums.sent:
                    raise
                value = scores = None
                self.model.network.zero_grad(set_to_none=True)
            self.budget.shrink(pieces, self.sizes)
