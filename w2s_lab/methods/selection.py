"""Which weak labels to learn from: a score for each, and the best of them kept.

A score is a function that returns [N] numbers, one per example of a labelled set, higher meaning kept first; `keep`
turns scores into a smaller labelled set. Nothing here looks at the truth. Selection by what the weak model finds
likely: Xiao & Zhu (2025, arXiv 2501.09223), section 4.2.5 (fig. 4.5c).
"""

import math
from collections.abc import Sequence

import numpy as np
import torch

from w2s_lab.models.language_model import LanguageModel
from w2s_lab.records import Example, LabelledSet
from w2s_lab.training.labelling import in_pieces

# -- scores from what the supervisor said ------------------------------------------------------------------------


def likelihood(labels: LabelledSet) -> np.ndarray:
    """log Pr^w(y_hat|x) in nats per answer, [N]: minus the cross-entropy of the weak label under who gave it.

    Raises:
        ValueError: the labels have no log_prob.
    """
    return _known(labels, "log_prob").copy()


def token_likelihood(labels: LabelledSet, model: LanguageModel) -> np.ndarray:
    """log Pr^w(y_hat|x) in nats per token, [N], the end token counted: for open tasks, where long answers would
    otherwise score low for their length alone.

    `model` says how many tokens an answer has; take the one that labelled, or one with the same tokenizer.

    Raises:
        ValueError: the labels have no log_prob.
    """
    return _known(labels, "log_prob") / _lengths(model.encode_answers(labels.answers))


def confidence(labels: LabelledSet) -> np.ndarray:
    """Pr^w(y_hat|x) among the closed list of answers, a fraction, [N].

    Labels come from single precision, where all beyond about 0.99999997 is 1: a sure supervisor gives many ties.

    Raises:
        ValueError: the labels have no probs.
    """
    probs = _known(labels, "probs")
    given = np.array([labels.task.answers.index(answer) for answer in labels.answers], dtype=int)
    return probs[np.arange(len(labels)), given]


def margin(labels: LabelledSet) -> np.ndarray:
    """Probability of the likeliest answer of the closed list minus that of the second, a fraction, [N].

    Raises:
        ValueError: the labels have no probs, or the list has a single answer.
    """
    probs = _known(labels, "probs")
    if probs.shape[1] < 2:
        raise ValueError(f"margin: the task has {probs.shape[1]} answer; expected at least 2")
    ranked = np.sort(probs, -1)
    return ranked[:, -1] - ranked[:, -2]


def agreement(labels: LabelledSet, other: LabelledSet) -> np.ndarray:
    """1.0 where a second supervisor gives the same answer, else 0.0, [N]; examples are matched by id.

    Raises:
        ValueError: the two sets hold different examples or belong to different tasks.
    """
    second = aligned(other, labels)
    return np.array([a == b for a, b in zip(labels.answers, second.answers, strict=True)], dtype=float)


def random_scores(labels: LabelledSet, *, seed: int) -> np.ndarray:
    """Uniform in [0, 1), [N]: the control for every other score, at equal size."""
    return np.random.default_rng(seed).random(len(labels))


# -- scores that ask a model -------------------------------------------------------------------------------------


def answer_log_prob(model: LanguageModel, labels: LabelledSet) -> np.ndarray:
    """log Pr(y_hat|x) of the given answers under any model, in nats per answer, [N].

    Under the supervisor it is `likelihood`. Under the student, early in its training, it is minus the loss of the
    small-loss trick: a network learns what is regular before it memorises label errors, so small losses are likelier
    to be right (Han et al. 2018, arXiv 1804.06872, which trains two networks that choose for each other).

    Raises:
        MemoryError: one example alone does not fit into the device's memory.
    """
    prompts, answers = _encoded(model, labels)
    return _log_prob(model, prompts, answers)


def ifd(model: LanguageModel, labels: LabelledSet) -> np.ndarray:
    """Instruction-following difficulty PPL(y_hat|x) / PPL(y_hat) under the weak model, a ratio above 0, [N].

    Li et al. (2024, arXiv 2402.00530, Superfiltering). PPL is exp of the mean negative log-probability per token, the
    end token counted. Below 1, x makes the answer easier to say; at 1 and above, x does not help. Superfiltering keeps
    the highest below 1: pass it through `superfilter`.

    PPL(y_hat) is read behind what is left of a prompt without instruction and input, "Answer:" (in a chat template,
    behind an empty message), so that numerator and denominator differ in x alone and every token of y_hat counts in
    both. The authors' code reads y without anything before it, and so leaves out its first token there: a
    one-token answer of a closed task would have no PPL(y).
    """
    prompts, answers = _encoded(model, labels)
    room = max(map(len, answers), default=1)
    (bare,), _ = model.encode_prompts([Example("", "")], model.window - room)
    distinct = list(dict.fromkeys(map(tuple, answers)))
    alone = dict(zip(distinct, _log_prob(model, [bare] * len(distinct), list(map(list, distinct))), strict=True))
    gain = _log_prob(model, prompts, answers) - np.array([alone[tuple(answer)] for answer in answers])
    return np.exp(-gain / _lengths(answers))


def superfilter(scores: Sequence[float] | np.ndarray) -> np.ndarray:
    """The ranking of Superfiltering (Li et al. 2024, arXiv 2402.00530): `ifd` where it is below 1, else -inf, [N].

    At or above 1 the input did not help, which is taken for a label that does not fit, and it is never kept. Below,
    the highest come first: the hardest. Among labels with the same answer that is the order of `likelihood` reversed.
    """
    ratios = np.asarray(scores, dtype=float)
    return np.where(ratios >= 1, -np.inf, ratios)


# -- keeping the best --------------------------------------------------------------------------------------------


def keep(
    labels: LabelledSet,
    scores: Sequence[float] | np.ndarray,
    fraction: float,
    *,
    by: str = "score",
    balanced: bool = False,
) -> LabelledSet:
    """The round(fraction * N) examples with the highest scores, at least one, in their original order.

    Equal scores are ranked by the examples' ids, which are hashes of the input: the choice is the same every time and
    has nothing to do with answers or rows. A score of -inf is never kept, so fewer may be left than asked for,
    also of a single answer.

    Args:
        labels: N examples with their weak labels.
        scores: [N], higher is kept first.
        fraction: of all N examples, in (0, 1].
        by: the scores' name, for the set's `source`.
        balanced: choose within each answer apart, so that the answers keep their shares among the labels (to whole
            examples, by largest remainder; the total is the same). Else a supervisor that is surer of one answer
            makes that answer more frequent.

    Raises:
        ValueError: `scores` is not N numbers or all are -inf, `fraction` is outside (0, 1], there are no examples, or
            `balanced` is asked of an open task.
    """
    values = np.asarray(scores, dtype=float)
    if not 0 < fraction <= 1:
        raise ValueError(f"keep: fraction is {fraction}; expected a number above 0 and at most 1")
    if len(labels) == 0:
        raise ValueError(f"keep: the set ({labels.source}) is empty; expected at least one example")
    if values.shape != (len(labels),):
        raise ValueError(f"keep: scores have shape {values.shape}; expected ({len(labels)},), one for each example")
    if np.isnan(values).any():
        row = int(np.isnan(values).argmax())
        raise ValueError(f"keep: the score of example {labels.ids[row]} (row {row}) is nan; expected a number")
    ranked = sorted(np.flatnonzero(values > -np.inf), key=lambda row: (-values[row], labels.ids[row]))
    if not ranked:
        raise ValueError(f"keep: every {by} is -inf, so nothing is left. Hint: superfilter drops every ifd from 1 up")
    wanted = max(1, round(fraction * len(labels)))
    if balanced:
        chosen = []
        for answer, quota in _quotas(labels, fraction, wanted).items():
            chosen += [row for row in ranked if labels.answers[row] == answer][:quota]
    else:
        chosen = ranked[:wanted]
    how = f"the best {100 * fraction:.3g} % by {by}" + (" of each answer" if balanced else "")
    return labels.take(sorted(chosen), f"{labels.source}, {how}")


def _quotas(labels: LabelledSet, fraction: float, total: int) -> dict[str, int]:
    """How many of each answer, `total` in all."""
    if labels.task.answers is None:
        raise ValueError(
            f"keep: the task {labels.task.name!r} is open, so it has no answer classes; expected balanced=False"
        )
    exact = {answer: fraction * labels.answers.count(answer) for answer in labels.task.answers}
    quotas = {answer: math.floor(share) for answer, share in exact.items()}
    by_remainder = sorted(exact, key=lambda answer: quotas[answer] - exact[answer])
    for answer in by_remainder[: total - sum(quotas.values())]:
        quotas[answer] += 1
    return quotas


def aligned(labels: LabelledSet, to: LabelledSet) -> LabelledSet:
    """`labels` in the order of `to`, example by example, matched by id and not by row.

    Raises:
        ValueError: they hold different examples or belong to different tasks.
    """
    if labels.task != to.task:
        raise ValueError(f"{labels.source} belongs to {labels.task}; expected {to.task}, as {to.source}")
    place = {example_id: row for row, example_id in enumerate(labels.ids)}
    if place.keys() != set(to.ids):
        missing, extra = len(set(to.ids) - place.keys()), len(place.keys() - set(to.ids))
        raise ValueError(
            f"{labels.source} lacks {missing} examples of {to.source} and has {extra} others; expected the same "
            "examples, in any order. Hint: label the same set with both models, and combine before you select"
        )
    return labels.take([place[example_id] for example_id in to.ids])


# -- inside ------------------------------------------------------------------------------------------------------


def _known(labels: LabelledSet, name: str) -> np.ndarray:
    """The field, or ValueError where it is None."""
    found = getattr(labels, name)
    if found is None:
        where = "weak_labels, on a task with a closed list" if name == "probs" else "weak_labels"
        raise ValueError(f"the set ({labels.source}) has no {name}. Hint: take labels from {where}")
    return found


def _lengths(answers: Sequence[Sequence[int]]) -> np.ndarray:
    return np.array([len(answer) for answer in answers], dtype=float)


def _encoded(model: LanguageModel, labels: LabelledSet) -> tuple[list[list[int]], list[list[int]]]:
    """Token ids of prompts and of given answers; long inputs are cut as they are in training."""
    answers = model.encode_answers(labels.answers)
    longest = model.encode_answers(labels.task.answers) if labels.task.answers else answers
    prompts, _ = model.encode_prompts(labels.examples, model.window - max(map(len, longest), default=1))
    return prompts, answers


@torch.no_grad()
def _log_prob(model: LanguageModel, prompts: list[list[int]], answers: list[list[int]]) -> np.ndarray:
    """log Pr(answer|prompt) of N pairs, in nats per answer, [N], in as many pieces as fit."""

    def look(rows: list[int]) -> list[tuple[int, float]]:
        found = model.log_prob([prompts[row] for row in rows], [answers[row] for row in rows])
        return list(zip(rows, found.tolist(), strict=True))

    lengths = [len(p) + len(a) for p, a in zip(prompts, answers, strict=True)]
    return np.array([value for _, value in in_pieces(look, lengths, model)], dtype=float)
