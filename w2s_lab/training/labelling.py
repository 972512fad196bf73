"""Labels from a model."""

from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np
import torch

from w2s_lab.models.language_model import LanguageModel
from w2s_lab.objective import answer_probs
from w2s_lab.records import LabelledSet, TokenTargets
from w2s_lab.system import parallel
from w2s_lab.system.token_budget import TokenBudget

MAX_NEW_TOKENS = 48  # a generated answer
TOKENS = {"cpu": 4_096, "cuda": 65_536}  # padded tokens that go through the network at once; more gains nothing


@torch.no_grad()
def weak_labels(model: LanguageModel, inputs: LabelledSet, *, beams: int = 1) -> LabelledSet:
    """y_hat = argmax_y Pr^w(y|x) for every example of `inputs`, whose own answers are not looked at.

    Exact for a closed list of answers, where `probs` is the softmax of their sequence log-probabilities. For an open
    task the answer is found by greedy (`beams=1`) or beam search, and `probs` is None.

    Returns:
        The same examples in the same order, with answers, probs [N, K] or None, and log_prob [N] in nats.

    Raises:
        MemoryError: one example alone does not fit into the device's memory.
    """
    choices = inputs.task.answers
    closed = model.encode_answers(choices) if choices else None
    room = max(map(len, closed)) if closed else MAX_NEW_TOKENS
    prompts, _ = model.encode_prompts(inputs.examples, model.window - room)

    def label(rows: list[int]) -> list[tuple[int, str, float, list[float] | None]]:
        batch = [prompts[row] for row in rows]
        if closed:
            table = model.log_probs(batch, closed)
            best = table.argmax(-1)
            texts = [choices[k] for k in best.tolist()]
            values, probs = table.gather(-1, best[:, None])[:, 0], answer_probs(table).tolist()
        else:
            texts, values = model.generate_scored(batch, beams=beams, max_new_tokens=MAX_NEW_TOKENS)
            probs = [None] * len(rows)
        return list(zip(rows, texts, values.tolist(), probs, strict=True))

    lengths = [len(prompt) + room for prompt in prompts]
    table = in_pieces(label, lengths, model)
    return LabelledSet(
        inputs.task,
        inputs.examples,
        tuple(text for _, text, _, _ in table),
        np.array([probs for *_, probs in table]).reshape(len(table), len(choices)) if choices else None,
        np.array([value for _, _, value, _ in table]),
        source=f"weak labels of {model.name}",
    )


@torch.no_grad()
def token_targets(model: LanguageModel, labels: LabelledSet, *, top: int = 32) -> LabelledSet:
    """The labels with `token_targets`: the supervisor's distribution over the next token, at each token of y_hat.

    They are the soft labels of an open task (eq. 4.12, token by token). Student and supervisor must share a tokenizer.

    Args:
        model: the weak supervisor.
        labels: its labels.
        top: tokens that are kept at each place, the most likely ones; their probabilities are scaled to sum to 1.
    """
    answers = model.encode_answers(labels.answers)
    prompts, _ = model.encode_prompts(labels.examples, model.window - max(map(len, answers)))

    def look(rows: list[int]) -> list[tuple[int, TokenTargets]]:
        logits, _, mask = model.answer_logits([prompts[row] for row in rows], [answers[row] for row in rows])
        probs, tokens = logits.float().softmax(-1).topk(min(top, logits.shape[-1]), -1)
        probs = (probs / probs.sum(-1, keepdim=True)).cpu().numpy()
        there, tokens = mask.bool().cpu().numpy(), tokens.cpu().numpy()
        return [(row, TokenTargets(tokens[i][there[i]], probs[i][there[i]])) for i, row in enumerate(rows)]

    lengths = [len(p) + len(a) for p, a in zip(prompts, answers, strict=True)]
    found = in_pieces(look, lengths, model)
    return replace(
        labels, token_targets=tuple(target for _, target in found), source=f"{labels.source}, token by token"
    )


def in_pieces(label: Callable[[list[int]], list[tuple]], lengths: Sequence[int], model: LanguageModel) -> list[tuple]:
    """What `label` says of each row, in order: (row number, ...).

    It is asked in pieces of rows of similar length that fit into memory; with several processes, each asks for some.
    """
    budget = TokenBudget(TOKENS.get(model.device.type, TOKENS["cpu"]))
    pieces = budget.pieces(np.argsort(lengths, kind="stable").tolist(), lengths)
    if parallel.is_sharded(model.network):  # the processes go through the network in step: as many pieces for each
        pieces += pieces[:1] * (-len(pieces) % parallel.world())
    todo, found = list(parallel.own(pieces)), []
    while todo:
        piece = todo.pop()
        try:
            found += label(piece)
            continue
        except torch.OutOfMemoryError:
            if parallel.is_sharded(model.network):
                raise
        budget.shrink([piece], lengths)
        todo += budget.pieces(piece, lengths)
    by_row = {row[0]: row for part in parallel.gathered_objects(found) for row in part}
    return [by_row[row] for row in range(len(lengths))]
