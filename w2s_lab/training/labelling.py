"""Labels from a model: its answers, their probabilities, and its distributions over tokens."""

from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np
import torch

from w2s_lab.models.language_model import LanguageModel, needs_language_model
from w2s_lab.objective import answer_probs
from w2s_lab.records import LabelledSet, TokenTargets
from w2s_lab.system import parallel
from w2s_lab.system.border import check_arguments
from w2s_lab.system.token_budget import TokenBudget

MAX_NEW_TOKENS = 48  # tokens of a generated answer
OnRows = Callable[[int, int], None]  # (examples answered, of how many)
TOKENS = {"cpu": 2_048, "cuda": 65_536}  # padded tokens that go through the network at once; more gains no speed
# The same where answers are generated, token by token: a pass then reads one token of each row, so more rows pay.
GENERATED_TOKENS = {"cpu": 8_192, "cuda": 65_536}


@torch.no_grad()
def weak_labels(
    model: LanguageModel, inputs: LabelledSet, *, beams: int = 1, on_rows: OnRows | None = None
) -> LabelledSet:
    """The model's labels y_hat = argmax_y Pr^w(y|x) for every example of `inputs`.

    For a closed list of answers the argmax is exact, and `probs` is the softmax of the answers' sequence
    log-probabilities. For an open task, greedy (`beams=1`) or beam search looks for the answer, and `probs` is None.

    Args:
        model: the weak supervisor, or any other model that answers.
        inputs: N examples; their own answers are not used.
        beams: number of beams, for an open task.
        on_rows: see `in_pieces`.

    Returns:
        The same examples in the same order, with answers, probs [N, K] or None, and log_prob [N] in nats.

    Raises:
        MemoryError: one example alone does not fit into the device's memory.
    """
    needs_language_model(model, "weak_labels")
    check_arguments(weak_labels, locals())
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

    lengths = model.tokens_with(prompts, closed) if closed else [len(prompt) + room for prompt in prompts]
    at_once = TOKENS if closed else GENERATED_TOKENS
    table = in_pieces(label, lengths, model, at_once=at_once, on_rows=on_rows)
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

    These are the soft labels of an open task (eq. 4.12, token by token). Student and supervisor must share a tokenizer.

    Args:
        model: the weak supervisor.
        labels: its labels.
        top: number of most likely tokens to keep at each position; their probabilities are scaled to sum to 1.

    Returns:
        The same labels, with one `TokenTargets` for each example.

    Raises:
        MemoryError: one example alone does not fit into the device's memory.
    """
    needs_language_model(model, "token_targets")
    check_arguments(token_targets, locals())
    answers = model.encode_answers(labels.answers)
    prompts, _ = model.encode_prompts(labels.examples, model.window - max(map(len, answers)))

    def targets(rows: list[int]) -> list[tuple[int, TokenTargets]]:
        logits, _, mask = model.answer_logits([prompts[row] for row in rows], [answers[row] for row in rows])
        probs, tokens = logits.float().softmax(-1).topk(min(top, logits.shape[-1]), -1)
        probs = (probs / probs.sum(-1, keepdim=True)).cpu().numpy()
        is_token, tokens = mask.bool().cpu().numpy(), tokens.cpu().numpy()
        return [(row, TokenTargets(tokens[i][is_token[i]], probs[i][is_token[i]])) for i, row in enumerate(rows)]

    lengths = [len(p) + len(a) for p, a in zip(prompts, answers, strict=True)]
    by_example = in_pieces(targets, lengths, model)
    return replace(
        labels, token_targets=tuple(target for _, target in by_example), source=f"{labels.source}, token by token"
    )


def in_pieces(
    label: Callable[[list[int]], list[tuple]],
    lengths: Sequence[int],
    model: LanguageModel,
    *,
    at_once: dict[str, int] = TOKENS,
    on_rows: OnRows | None = None,
) -> list[tuple]:
    """The tuples (row number, ...) that `label` returns for all rows, in the order of the rows.

    `label` is called with pieces: rows of similar length that fit into memory together. With several processes, each
    process handles its share of the pieces.

    Args:
        label: row numbers -> one tuple for each row, beginning with its number.
        lengths: number of tokens of each row.
        model: the model that `label` runs; its device decides how much fits.
        at_once: kind of device -> padded tokens of a piece, at most.
        on_rows: called after each piece with (rows done, rows in all), for a progress bar.

    Raises:
        MemoryError: one row alone does not fit into the device's memory.
    """
    budget = TokenBudget(at_once.get(model.device.type, at_once["cpu"]))
    pieces = budget.pieces(np.argsort(lengths, kind="stable").tolist(), lengths)
    if parallel.is_sharded(model.network):  # the processes run the network in step, so each needs as many pieces
        pieces += pieces[:1] * (-len(pieces) % parallel.world())
    todo, labelled = list(parallel.own(pieces)), []
    share = sum(map(len, todo))  # of this process
    while todo:
        piece = todo.pop()
        try:
            labelled += label(piece)
            if on_rows:
                on_rows(len(labelled) * len(lengths) // share, len(lengths))
            continue
        except torch.OutOfMemoryError:
            if parallel.is_sharded(model.network):
                raise
        budget.shrink([piece], lengths)
        todo += budget.pieces(piece, lengths)
    by_row = {row[0]: row for part in parallel.gathered_objects(labelled) for row in part}
    return [by_row[row] for row in range(len(lengths))]
