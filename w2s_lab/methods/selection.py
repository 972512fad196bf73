"""Which weak labels to learn from: a score for each, and the best of them kept.

A score is a function that returns [N] numbers, one per example of a labelled set, higher meaning kept first; `keep`
turns scores into a smaller labelled set. Nothing here looks at the truth. Selection by what the weak model finds
likely: Xiao & Zhu (2025, arXiv 2501.09223), section 4.2.5 (fig. 4.5c).

`RULES` is where a rule is written down, with its name and what it needs: the dashboards, the notebooks and the study of
the methods read it. A rule of your own joins it by `register`.
"""

import inspect
import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from w2s_lab.models.language_model import LanguageModel, needs_language_model
from w2s_lab.records import Example, LabelledSet
from w2s_lab.system.border import check_arguments
from w2s_lab.system.registry import Registry
from w2s_lab.training.labelling import in_pieces

# -- scores from what the supervisor said ------------------------------------------------------------------------


def likelihood(labels: LabelledSet) -> np.ndarray:
    """log Pr^w(y_hat|x) in nats per answer, [N]: minus the cross-entropy of the weak label under who gave it.

    Raises:
        ValueError: the labels have no log_prob.
    """
    check_arguments(likelihood, locals())
    return _known(labels, "log_prob").copy()


def token_likelihood(model: LanguageModel, labels: LabelledSet) -> np.ndarray:
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
    check_arguments(confidence, locals())
    probs = _known(labels, "probs")
    given = np.array([labels.task.answers.index(answer) for answer in labels.answers], dtype=int)
    return probs[np.arange(len(labels)), given]


def margin(labels: LabelledSet) -> np.ndarray:
    """Probability of the likeliest answer of the closed list minus that of the second, a fraction, [N].

    Raises:
        ValueError: the labels have no probs, or the list has a single answer.
    """
    check_arguments(margin, locals())
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
    check_arguments(agreement, locals())
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
    needs_language_model(model, "this score")
    check_arguments(ifd, locals())
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


# -- the rules by name -------------------------------------------------------------------------------------------

NEEDS: dict[str, Callable[[LabelledSet], bool]] = {  # of a labelled set
    "probs": lambda labels: labels.probs is not None,
    "log_prob": lambda labels: labels.log_prob is not None,
    "open answers": lambda labels: labels.task.answers is None,
}
HELPERS = {  # what a rule may ask for beside the labels
    "supervisor": "the model that gave the labels",
    "other": "a second supervisor's labels of the same examples",
    "student": "a model that has learnt the labels for an epoch",
    "seed": "of what is drawn at random",
}


@dataclass(frozen=True)
class Rule:
    """A named way to rank weak labels.

    Attributes:
        name: for tables, controls and the `source` of what is kept.
        about: what it does, in one sentence.
        score: from N labels to [N] numbers. Its further parameters are names of `HELPERS`.
        needs: names of `NEEDS`, such as "probs" where it reads the distributions of a closed task.
        lowest: whether the lowest numbers are kept first, instead of the highest.
        half: what the study of the methods calls the half of the labels that it keeps; empty: "best half by NAME".

    Raises:
        ValueError: the name is empty, or a need or a parameter has another name.
    """

    name: str
    about: str
    score: Callable[..., Sequence[float]]
    needs: tuple[str, ...] = ()
    lowest: bool = False
    half: str = ""

    def __post_init__(self) -> None:
        for what, given, known in (("need", self.needs, NEEDS), ("parameter", self.asks, HELPERS)):
            strange = [name for name in given if name not in known]
            if strange:
                raise ValueError(
                    f"rule {self.name!r} has the {what} {strange[0]!r}; expected one of {', '.join(known)}"
                )
        object.__setattr__(self, "half", self.half or f"best half by {self.name}")

    @property
    def asks(self) -> tuple[str, ...]:
        """What `score` wants beside the labels, by name."""
        return tuple(inspect.signature(self.score).parameters)[1:]

    def lacks(self, labels: LabelledSet, helpers: Iterable[str] = ()) -> list[str]:
        """What it needs and neither the labels nor the helpers have, in words."""
        missing = [name for name in self.needs if not NEEDS[name](labels)]
        return missing + [f"{name} ({HELPERS[name]})" for name in self.asks if name not in helpers]

    def __call__(self, labels: LabelledSet, **helpers: Any) -> np.ndarray:
        """[N] scores, higher is kept first, whichever end the rule keeps; helpers that it does not ask for are left.

        Raises:
            ValueError: something is missing, or `score` does not give N numbers.
        """
        missing = self.lacks(labels, helpers)
        if missing:
            raise ValueError(f"the rule {self.name!r} needs {', '.join(missing)}; the set ({labels.source}) is without")
        found = np.asarray(self.score(labels, **{name: helpers[name] for name in self.asks}), dtype=float)
        if found.shape != (len(labels),):
            raise ValueError(f"the rule {self.name!r} gives scores of shape {found.shape}; expected ({len(labels)},)")
        return -found if self.lowest else found


_RULES = (
    Rule("chance", "Draws at random: the control for every other rule.", random_scores, half="random half"),
    Rule(
        "confidence", "Keeps what the supervisor gives a high probability among the listed answers.", confidence,
        ("probs",), half="confident half",
    ),
    Rule(
        "margin", "Keeps the answers that lead the next one by most.", margin, ("probs",),
        half="half with the widest margin",
    ),
    Rule(
        "likelihood", "Keeps what the supervisor finds likely among all that it could have said.", likelihood,
        ("log_prob",), half="likeliest half",
    ),
    Rule(
        "IFD", "Keeps the highest ratio below 1 of the answer's perplexity behind its input to that of it alone.",
        lambda labels, supervisor: superfilter(ifd(supervisor, labels)), half="high IFD",
    ),
    Rule("agreement", "Keeps what a second supervisor labels alike.", agreement, half="two supervisors agree"),
    Rule(
        "small loss", "Keeps what the student itself finds likely after an epoch.",
        lambda labels, student: answer_log_prob(student, labels), half="small loss after an epoch",
    ),
    Rule(
        "likelihood per token", "Keeps open answers that are likely for their length.",
        lambda labels, supervisor: token_likelihood(supervisor, labels), ("log_prob", "open answers"),
        half="likeliest half, per token",
    ),
)  # fmt: skip
RULES: Registry[Rule] = Registry("selection rule", {rule.name: rule for rule in _RULES})
BUILTIN = tuple(RULES)  # without those that are registered later


def register(rule: Rule, *, replace: bool = False) -> Rule:
    """Give the dashboards and the study of the methods a rule of your own.

    Raises:
        ValueError: another rule has this name, or this name for its half.
    """
    taken = {other.half: name for name, other in RULES.items()}
    if taken.get(rule.half, rule.name) != rule.name:
        raise ValueError(
            f"rule {rule.name!r}: {rule.half!r} is the half of {taken[rule.half]!r}; expected another name"
        )
    RULES.register(rule.name, rule, replace=replace)
    return rule


def scores(labels: LabelledSet, rules: Iterable[str] | None = None, **helpers: Any) -> dict[str, np.ndarray]:
    """Rule -> [N] scores of the labels, higher is kept first.

    Args:
        labels: N examples with their weak labels.
        rules: their names; None: every registered rule that has what it needs.
        helpers: any of `supervisor`, `other`, `student` and `seed` (see `HELPERS`).

    Raises:
        ValueError: there is no such rule or helper, or a rule that is named lacks something.
    """
    check_arguments(scores, locals())
    strange = [name for name in helpers if name not in HELPERS]
    if strange:
        raise ValueError(f"scores: there is no helper {strange[0]!r}; expected one of {', '.join(HELPERS)}")
    names = [name for name, rule in RULES.items() if not rule.lacks(labels, helpers)] if rules is None else rules
    return {name: RULES[name](labels, **helpers) for name in names}


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
    check_arguments(keep, locals())
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
    needs_language_model(model, "this score")
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
