"""The gradient of one batch, in as many pieces as memory asks for and shared among as many processes as there are."""

from collections.abc import Sequence

import torch
from torch import Tensor

from w2s_lab import parallel
from w2s_lab.language_model import LanguageModel
from w2s_lab.memory import TokenBudget
from w2s_lab.recipe import Recipe
from w2s_lab.records import LabelledSet

TRAINING_TOKENS = 65_536  # padded tokens that go through the network at once, at most


class BatchGradient:
    """Adds the gradient of a recipe's loss over one batch to the parameters of a network.

    Raises:
        ValueError: the loss needs probabilities that the set does not have, or an instruction leaves no room.
    """

    def __init__(self, model: LanguageModel, labelled: LabelledSet, recipe: Recipe) -> None:
        self.model, self.loss, choices = model, recipe.loss, labelled.task.answers
        if self.loss.needs_probs and labelled.probs is None:
            raise ValueError(
                f"{type(self.loss).__name__} needs the supervisor's probabilities, but the set ({labelled.source}) has "
                "none. Hint: take labels from weak_labels on a task with a closed list, or use MaximumLikelihood"
            )
        self.answers = model.encode_answers(labelled.answers)
        self.closed = model.encode_answers(choices) if choices else None
        room = max(map(len, self.closed or self.answers))
        self.prompts, _ = model.encode_prompts(labelled.examples, model.window - room)
        self.lengths = [len(p) + len(a) for p, a in zip(self.prompts, self.answers, strict=True)]
        if self.loss.needs_probs:
            self.weak_probs = torch.tensor(labelled.probs, dtype=torch.float32, device=model.device)
            self.class_balance = [labelled.answers.count(answer) / len(labelled) for answer in choices]
        self.budget = TokenBudget(TRAINING_TOKENS)

    def __call__(self, rows: Sequence[int], progress: float) -> Tensor:
        """The mean loss over the rows `rows` of the set, in nats per answer, without gradient.

        Args:
            rows: row numbers of one batch; every process gets the same ones and computes its share.
            progress: fraction of the training done.
        """
        share = [int(row) for row in parallel.own(rows)]
        idle = not share and parallel.is_sharded(self.model.network)
        if idle:  # the others need this process for their pass: a row without weight
            share = [int(rows[0])]
        if not self.loss.needs_probs:
            slope = torch.full((len(share),), 0.0 if idle else -1 / len(rows), device=self.model.device)
            scores = self._backward(share, slope)
            loss = -parallel.gathered(scores[:0] if idle else scores, len(rows)).mean()
        else:
            scores = self._scores(share)
            everyone = parallel.gathered(scores.detach()[: 0 if idle else None], len(rows)).requires_grad_()
            rows_of_all = torch.as_tensor(rows, device=self.model.device)
            loss = self.loss(everyone, self.weak_probs[rows_of_all], progress, self.class_balance)
            (slope,) = torch.autograd.grad(loss, everyone)
            slope = torch.zeros_like(scores) if idle else parallel.own(slope)
            self._backward(share, slope, scores if scores.requires_grad else None)
        parallel.sum_gradients(self.model.network)
        return loss.detach()

    def _score(self, rows: Sequence[int]) -> Tensor:
        """[B, K] log-probabilities of all answers where the loss needs them, [B] of the given ones otherwise."""
        prompts = [self.prompts[row] for row in rows]
        if self.loss.needs_probs:
            return self.model.log_probs(prompts, self.closed)
        return self.model.log_prob(prompts, [self.answers[row] for row in rows])

    def _pieces(self, rows: list[int]) -> list[list[int]]:
        # sharded processes pass through the network in step, so they may not cut differently
        return [rows] if parallel.is_sharded(self.model.network) else self.budget.pieces(rows, self.lengths)

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
            self.budget.shrink(pieces, self.lengths)

    def _backward(self, rows: list[int], slope: Tensor, scores: Tensor | None = None) -> Tensor:
        """Accumulate d(loss)/d(parameters), given d(loss)/d(scores); returns the scores without gradient."""
        if parallel.is_sharded(self.model.network):
            slope = slope * parallel.world()  # its reduction is a mean over the processes
        while True:
            pieces = [rows] if scores is not None else self._pieces(rows)
            try:
                found, place = [slope[:0]], 0
                for piece in pieces:
                    score = self._score(piece) if scores is None else scores
                    score.backward(slope[place : place + len(piece)])
                    place += len(piece)
                    found.append(score.detach())
                return torch.cat(found)
            except torch.OutOfMemoryError:
                if parallel.is_sharded(self.model.network):
                    raise
                score = scores = None
                self.model.network.zero_grad(set_to_none=True)
            self.budget.shrink(pieces, self.lengths)
