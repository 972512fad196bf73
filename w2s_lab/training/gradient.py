"""The gradient of one batch, in as many pieces as memory asks for and shared among as many processes as there are."""

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from w2s_lab.models.language_model import LanguageModel
from w2s_lab.objective import (
    NextToken,
    Targets,
    entropy,
    expected_token_log_prob,
    sequence_log_prob,
    with_temperature,
)
from w2s_lab.recipe import Recipe
from w2s_lab.records import LabelledSet
from w2s_lab.system import parallel
from w2s_lab.system.token_budget import TokenBudget

TRAINING_TOKENS = 65_536  # padded tokens that go through the network at once, at most


class BatchGradient:
    """Adds the gradient of a recipe's loss over one batch to the parameters of a network.

    Raises:
        ValueError: the loss needs probabilities that the set does not have, or an instruction leaves no room.
    """

    def __init__(self, model: LanguageModel, labelled: LabelledSet, recipe: Recipe) -> None:
        self.model, self.loss, choices = model, recipe.loss, labelled.task.answers
        self.over_list = self.loss.needs_probs and choices is not None  # [B, K] scores, else one score for each row
        self.over_tokens = self.loss.needs_probs and choices is None
        self._check_targets(labelled)
        if isinstance(self.loss, NextToken):
            start, self.answers = model.encode_documents(labelled.examples, model.window)
            self.prompts = [start] * len(labelled)
        else:
            self.answers = model.encode_answers(labelled.answers)
            self.closed = model.encode_answers(choices) if choices else None
            room = max(map(len, self.closed or self.answers))
            self.prompts, _ = model.encode_prompts(labelled.examples, model.window - room)
        self.lengths = [len(p) + len(a) for p, a in zip(self.prompts, self.answers, strict=True)]
        self.weight = None
        if labelled.weight is not None:
            self.weight = torch.tensor(labelled.weight, dtype=torch.float32, device=model.device)
        if self.over_list:
            self.weak_probs = torch.tensor(labelled.probs, dtype=torch.float32, device=model.device)
            self.numbers = torch.tensor([choices.index(answer) for answer in labelled.answers], device=model.device)
            self.class_balance = [labelled.answers.count(answer) / len(labelled) for answer in choices]
        self.token_targets, self.progress = labelled.token_targets, 0.0
        self.budget = TokenBudget(TRAINING_TOKENS)

    def _check_targets(self, labelled: LabelledSet) -> None:
        name = type(self.loss).__name__
        if self.over_list and labelled.probs is None:
            raise ValueError(
                f"{name} needs the supervisor's probabilities, but the set ({labelled.source}) has "
                "none. Hint: take labels from weak_labels on a task with a closed list, or use MaximumLikelihood"
            )
        if self.over_tokens and (labelled.token_targets is None or not hasattr(self.loss, "shares")):
            raise ValueError(
                f"{name} needs the supervisor's probabilities, but the set ({labelled.source}) belongs to an open task "
                "and has none for its tokens. Hint: SoftTargets and Distillation learn from token_targets(weak, "
                "labels); MaximumLikelihood learns from the answers alone"
            )

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
        self.progress = progress
        if not self.over_list:
            slope = -self._weights(share) / len(rows) * (0.0 if idle else 1.0)
            scores = self._backward(share, slope)
            whole = parallel.gathered(scores[:0] if idle else scores, len(rows))
            loss = -(self._weights(rows) * whole).mean()
        else:
            scores = self._scores(share)
            everyone = parallel.gathered(scores.detach()[: 0 if idle else None], len(rows)).requires_grad_()
            batch = torch.as_tensor(rows, device=self.model.device)
            targets = Targets(self.weak_probs[batch], self.numbers[batch], self.class_balance, progress)
            loss = (self._weights(rows) * self.loss(everyone, targets)).mean()
            (slope,) = torch.autograd.grad(loss, everyone)
            slope = torch.zeros_like(scores) if idle else parallel.own(slope)
            self._backward(share, slope, scores if scores.requires_grad else None)
        parallel.sum_gradients(self.model.network)
        return loss.detach()

    def _weights(self, rows: Sequence[int]) -> Tensor:
        """[B] by how much each row counts."""
        if self.weight is None:
            return torch.ones(len(rows), device=self.model.device)
        return self.weight[torch.as_tensor(rows, device=self.model.device)]

    def _score(self, rows: Sequence[int]) -> Tensor:
        """[B, K] log-probabilities of all answers where the loss is over the list; [B] what is maximised otherwise."""
        prompts = [self.prompts[row] for row in rows]
        if self.over_list:
            return self.model.log_probs(prompts, self.closed)
        answers = [self.answers[row] for row in rows]
        if self.over_tokens:
            return self._token_score(rows, *self.model.answer_logits(prompts, answers))
        return self.model.log_prob(prompts, answers)

    def _token_score(self, rows: Sequence[int], logits: Tensor, tokens: Tensor, mask: Tensor) -> Tensor:
        """[B] minus the loss of `SoftTargets` or `Distillation` over the tokens of an open answer."""
        shape = (*tokens.shape, max(self.token_targets[row].tokens.shape[1] for row in rows))
        ids, probs = np.zeros(shape, dtype=np.int64), np.zeros(shape, dtype=np.float32)
        for place, target in enumerate(self.token_targets[row] for row in rows):
            length, kept = target.tokens.shape
            ids[place, -length:, :kept], probs[place, -length:, :kept] = target.tokens, target.probs
        ids, probs = (torch.from_numpy(array).to(logits.device) for array in (ids, probs))
        probs = torch.where(mask.bool()[..., None], with_temperature(probs, self.loss.temperature), 0.0)
        hard, soft = self.loss.shares(self.progress)
        score = soft * expected_token_log_prob(logits, ids, probs, mask)
        if hard:  # Distillation: its loss is a KL, that of SoftTargets a cross-entropy
            score = score + soft * entropy(probs).sum(-1) + hard * sequence_log_prob(logits, tokens, mask)
        return score

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
