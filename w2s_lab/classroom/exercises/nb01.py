"""Exercises of notebook 01: the objective, from logits to its gradient."""

import numpy as np
import torch

from w2s_lab import objective
from w2s_lab.classroom.exercises.exercise import Exercise


def log_prob_of_answer(logits, tokens):
    log_probs = torch.log_softmax(logits, dim=-1)
    return log_probs[torch.arange(len(tokens)), tokens].sum()


def log_prob_behind_prompt(logits, ids, start):
    log_probs = torch.log_softmax(logits, dim=-1)
    return sum(log_probs[place - 1, ids[place]] for place in range(start, len(ids)))


def batch_loss(token_log_probs, mask):
    per_answer = torch.where(mask, token_log_probs, 0.0).sum(dim=-1)
    return -per_answer.mean()


def slope_at_logits(logits, label):
    slope = torch.softmax(logits, dim=-1)
    slope[label] -= 1
    return slope


def _tensor(array: np.ndarray) -> torch.Tensor:
    return torch.tensor(array, dtype=torch.float32)


def _answer(rng: np.random.Generator) -> tuple[torch.Tensor, torch.Tensor]:
    length, words = int(rng.integers(3, 6)), int(rng.integers(6, 10))
    return _tensor(rng.normal(0, 2, (length, words))), torch.tensor(rng.integers(0, words, length))


def _text(rng: np.random.Generator) -> tuple[torch.Tensor, torch.Tensor, int]:
    length, words = int(rng.integers(7, 10)), int(rng.integers(6, 10))
    start = int(rng.integers(3, length - 2))
    return _tensor(rng.normal(0, 2, (length, words))), torch.tensor(rng.integers(0, words, length)), start


def _batch(rng: np.random.Generator) -> tuple[torch.Tensor, torch.Tensor]:
    lengths = [1, *rng.integers(2, 5, 2).tolist(), 6]
    mask = torch.tensor([[place < length for place in range(6)] for length in rng.permutation(lengths)])
    return _tensor(np.log(rng.uniform(0.05, 0.95, mask.shape))), mask


def _place(rng: np.random.Generator) -> tuple[torch.Tensor, int]:
    return _tensor(rng.normal(0, 1.5, 5)), int(rng.integers(0, 5))


def _key_text(logits: torch.Tensor, ids: torch.Tensor, start: int) -> torch.Tensor:
    mask = torch.arange(1, len(ids)) >= start
    return objective.sequence_log_prob(logits[None, :-1], ids[None, 1:], mask[None])[0]


def _key_loss(token_log_probs: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
    """The package's loss on logits of two words, the first of which has just these log-probabilities."""
    logits = torch.stack([token_log_probs, torch.log1p(-token_log_probs.exp())], dim=-1)
    return -objective.sequence_log_prob(logits, torch.zeros_like(mask, dtype=torch.long), mask).mean()


def _key_slope(logits: torch.Tensor, label: int) -> torch.Tensor:
    logits = logits.clone().requires_grad_()
    (-objective.token_log_probs(logits, torch.tensor(label))).backward()
    return logits.grad


def _picked(scores: torch.Tensor, tokens: torch.Tensor) -> torch.Tensor:
    return scores[torch.arange(len(tokens)), tokens]


def _behind(logits: torch.Tensor, ids: torch.Tensor) -> torch.Tensor:
    """[T - 1] log-probabilities of all tokens but the first."""
    return _picked(logits.log_softmax(-1)[:-1], ids[1:])


def _one_hot(logits: torch.Tensor, label: int) -> torch.Tensor:
    return torch.nn.functional.one_hot(torch.tensor(label), len(logits)).float()


EXERCISES = (
    Exercise(
        log_prob_of_answer,
        _answer,
        key=lambda logits, tokens: objective.sequence_log_prob(
            logits[None], tokens[None], torch.ones_like(tokens)[None]
        )[0],
        mistakes=(
            (
                "You took the mean over the tokens. The log-probability of an answer is the sum of its tokens': with "
                "the mean, long answers would look as likely as short ones.",
                lambda logits, tokens: _picked(logits.log_softmax(-1), tokens).mean(),
            ),
            (
                "You added the logits themselves. Logits are not probabilities yet: log-softmax first, then pick.",
                lambda logits, tokens: _picked(logits, tokens).sum(),
            ),
            (
                "This is Pr(y|x), the product of the probabilities. Return its logarithm, the sum of the logs.",
                lambda logits, tokens: _picked(logits.softmax(-1), tokens).prod(),
            ),
            (
                "You added probabilities. Take the logarithm of each one before you add.",
                lambda logits, tokens: _picked(logits.softmax(-1), tokens).sum(),
            ),
            (
                "Logarithms to the base 2 (bits). Here all logarithms are natural ones (nats): torch.log.",
                lambda logits, tokens: _picked(logits.softmax(-1).log2(), tokens).sum(),
            ),
            (
                "The softmax runs over the wrong dimension: at each place, the probabilities of all words of the "
                "vocabulary (the last dimension) add up to 1.",
                lambda logits, tokens: _picked(logits.log_softmax(0), tokens).sum(),
            ),
            (
                "Sign: this is minus log Pr(y|x), the loss. Return log Pr(y|x), which is at most 0.",
                lambda logits, tokens: -_picked(logits.log_softmax(-1), tokens).sum(),
            ),
        ),
        hints=(
            "One row of logits per token. First turn every row into log-probabilities.",
            "torch.log_softmax(logits, dim=-1) has the shape [T, V]. From row t, pick the column tokens[t].",
            "log_probs[torch.arange(len(tokens)), tokens] picks them all; what remains is a sum.",
        ),
    ),
    Exercise(
        log_prob_behind_prompt,
        _text,
        key=_key_text,
        mistakes=(
            (
                "Off by one: you read the prediction of token t from row t. Row t of the logits is made after token t "
                "has been read, so it predicts token t + 1; token t is predicted by row t - 1.",
                lambda logits, ids, start: _picked(logits.log_softmax(-1), ids)[start:].sum(),
            ),
            (
                "The mask is missing: you added the tokens of the prompt, too. That is log Pr(x, y); only tokens from "
                "`start` on belong to the answer.",
                lambda logits, ids, start: _behind(logits, ids).sum(),
            ),
            (
                "The first token of the answer is missing. It is ids[start], and row start - 1 predicts it.",
                lambda logits, ids, start: _behind(logits, ids)[start:].sum(),
            ),
            (
                "You begin one token too early: ids[start - 1] is the last token of the prompt and carries no loss.",
                lambda logits, ids, start: _behind(logits, ids)[start - 2 :].sum(),
            ),
            (
                "The last token is missing: that the answer ends is part of the answer.",
                lambda logits, ids, start: _behind(logits, ids)[start - 1 : -1].sum(),
            ),
            (
                "You took the mean over the answer's tokens. The log-probability of an answer is their sum.",
                lambda logits, ids, start: _behind(logits, ids)[start - 1 :].mean(),
            ),
            (
                "Sign: this is the loss. Return log Pr(y|x), which is at most 0.",
                lambda logits, ids, start: -_behind(logits, ids)[start - 1 :].sum(),
            ),
        ),
        hints=(
            "Which row of the logits was computed before ids[place] had been read?",
            "ids[place] is predicted by logits[place - 1].",
            "Add log_probs[place - 1, ids[place]] for place from start to the end; the prompt has no part in the sum.",
        ),
    ),
    Exercise(
        batch_loss,
        _batch,
        key=_key_loss,
        mistakes=(
            (
                "You divided by the number of tokens. Then a token of a short answer and one of a long answer weigh "
                "alike, and the sum is another one than in eq. 4.10: sum within each answer, mean over the answers.",
                lambda lp, mask: -lp[mask].mean(),
            ),
            (
                "You took the mean within each answer. Inside an answer it is a sum: log Pr(y|x).",
                lambda lp, mask: -(torch.where(mask, lp, 0.0).sum(-1) / mask.sum(-1)).mean(),
            ),
            (
                "The mask is missing: what comes after the end of an answer is padding, and does not count.",
                lambda lp, mask: -lp.sum(-1).mean(),
            ),
            (
                "You divided by all places, padding included. Divide by the number of answers.",
                lambda lp, mask: -torch.where(mask, lp, 0.0).mean(),
            ),
            (
                "This is the sum over the batch. With the mean over the answers, the size of the batch does not change "
                "the size of a step.",
                lambda lp, mask: -lp[mask].sum(),
            ),
            (
                "Sign: this is what is maximised. A loss is minimised, so it is minus that.",
                lambda lp, mask: torch.where(mask, lp, 0.0).sum(-1).mean(),
            ),
        ),
        hints=(
            "Two steps: first one number per answer, log Pr(y|x); then one number for the batch.",
            "torch.where(mask, token_log_probs, 0.0) keeps the answers' tokens and sets the padding to 0.",
            "Sum over the last dimension, mean over what is left, minus sign.",
        ),
    ),
    Exercise(
        slope_at_logits,
        _place,
        key=_key_slope,
        mistakes=(
            (
                "Sign: this is the gradient of log Pr, which points uphill. That of the loss −log Pr is p − onehot.",
                lambda logits, label: _one_hot(logits, label) - logits.softmax(-1),
            ),
            (
                "These are the probabilities. At the label, 1 is still to be subtracted.",
                lambda logits, label: logits.softmax(-1),
            ),
            (
                "Only the label's logit has a gradient in your answer. To raise one probability the others must fall: "
                "each other word has the gradient p.",
                lambda logits, label: (logits.softmax(-1) - 1) * _one_hot(logits, label),
            ),
            (
                "You subtracted from the logits. It is the probabilities, softmax(logits), that stand here.",
                lambda logits, label: logits - _one_hot(logits, label),
            ),
            (
                "You subtracted 1 everywhere; onehot is 1 at the label and 0 elsewhere.",
                lambda logits, label: logits.softmax(-1) - 1,
            ),
        ),
        hints=(
            "−log Pr(label) = −logits[label] + log Σ exp(logits). Differentiate both terms.",
            "The second term gives softmax(logits); the first one gives −1 at the label and 0 elsewhere.",
            "So it is p − onehot: the probabilities, less 1 at the place of the label.",
        ),
    ),
)
