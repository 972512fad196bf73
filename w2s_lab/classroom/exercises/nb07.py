"""Exercises of notebook 07: which labels to learn from, whom to believe, whom to ask."""

import math
from functools import cache

import numpy as np
import torch
from scipy.special import bdtr, bdtrc  # of scipy.stats.binom, which takes a second to import

from w2s_lab.classroom.exercises.exercise import Exercise, of_the_result
from w2s_lab.classroom.toolkit.measured import measured
from w2s_lab.experiments.effects import Effect, holm, paired_effect
from w2s_lab.methods import cascade, ensembles, selection
from w2s_lab.records import Example, LabelledSet, Task
from w2s_lab.studies.methods import METHODS, MOMENTS
from w2s_lab.studies.study import column, select


def best_of_each(scores, answers, fraction):
    kept = []
    for answer in sorted(set(answers)):
        rows = [row for row in range(len(answers)) if answers[row] == answer]
        rows.sort(key=lambda row: -scores[row])
        kept += rows[: round(fraction * len(rows))]
    return sorted(kept)


def instruction_difficulty(with_input, alone, tokens):
    return np.exp(-with_input / tokens) / np.exp(-alone / tokens)


def majority_vote(answers):
    votes = []
    for said in zip(*answers, strict=True):
        votes.append(max(sorted(set(said)), key=said.count))
    return votes


def vote_accuracy(p, voters):
    needed = voters // 2 + 1
    return sum(math.comb(voters, k) * p**k * (1 - p) ** (voters - k) for k in range(needed, voters + 1))


def cascade_cost(confidences, threshold, weak_cost, strong_cost):
    asked = np.mean(confidences < threshold)
    return asked, weak_cost + asked * strong_cost


# -- the package's own functions, with the arguments of the exercises --------------------------------------------

TASK = Task("verdict", ("negative", "positive"))


def _labelled(answers: list[str], sure: np.ndarray | None = None) -> LabelledSet:
    """A set with these answers, each with the probability `sure`; its inputs and truths are no matter."""
    examples = tuple(Example("Does the reviewer like it?", f"review {i}", "positive") for i in range(len(answers)))
    sure = np.full(len(answers), 0.9) if sure is None else sure
    probs = [[s, 1 - s] if a == TASK.answers[0] else [1 - s, s] for a, s in zip(answers, sure, strict=True)]
    return LabelledSet(TASK, examples, tuple(answers), np.array(probs), source="an exercise")


def _keep(scores: np.ndarray, answers: list[str], fraction: float, *, balanced: bool = True) -> list[int]:
    labels = _labelled(answers)
    kept = selection.keep(labels, scores, fraction, balanced=balanced)
    return [labels.ids.index(example_id) for example_id in kept.ids]


class _Told:
    """Stands for a language model that finds each answer as likely as it is told."""

    window, device, network = 64, torch.device("cpu"), torch.nn.Identity()

    def __init__(self, with_input: np.ndarray, alone: np.ndarray, tokens: np.ndarray) -> None:
        self.known = {(0, i): value for i, value in enumerate(alone)}
        self.known |= {(1, i): value for i, value in enumerate(with_input)}
        self.tokens = tokens

    def encode_answers(self, answers: list[str]) -> list[list[int]]:
        return [[int(answer)] * int(self.tokens[int(answer)]) for answer in answers]

    def encode_prompts(self, examples: list[Example], room: int) -> tuple[list[list[int]], None]:
        return [[int(bool(example.input))] for example in examples], None

    def log_prob(self, prompts: list[list[int]], answers: list[list[int]]) -> torch.Tensor:
        found = [self.known[prompt[0], answer[0]] for prompt, answer in zip(prompts, answers, strict=True)]
        return torch.tensor(found, dtype=torch.float64)


def _ifd(with_input: np.ndarray, alone: np.ndarray, tokens: np.ndarray) -> np.ndarray:
    numbers = tuple(str(i) for i in range(len(tokens)))
    examples = tuple(Example("Continue.", f"input {i}") for i in numbers)
    return selection.ifd(_Told(with_input, alone, tokens), LabelledSet(Task("open"), examples, numbers))


def _vote(answers: list[list[str]]) -> list[str]:
    return list(ensembles.vote([_labelled(said) for said in answers]).answers)


def _asked(confidences: np.ndarray, threshold: float, weak_cost: float, strong_cost: float) -> tuple[float, float]:
    labels = _labelled(["positive"] * len(confidences), confidences)
    curve = cascade.cascade_curve(labels, labels, cost=(weak_cost, strong_cost))
    here = next(point for point in curve if math.isclose(point.threshold, threshold))
    return here.asked, here.cost


# -- mistakes ----------------------------------------------------------------------------------------------------


def _places_within(scores: np.ndarray, answers: list[str], fraction: float) -> list[int]:
    kept = []
    for answer in TASK.answers:
        own = scores[[one == answer for one in answers]]
        kept += np.argsort(-own)[: round(fraction * len(own))].tolist()
    return sorted(kept)


def _exactly(k: int, p: float, voters: int) -> float:
    return math.comb(voters, k) * p**k * (1 - p) ** (voters - k)


# -- random inputs -----------------------------------------------------------------------------------------------


def _scored(rng: np.random.Generator) -> tuple[np.ndarray, list[str], float]:
    """12 positive labels and 8 negative ones; the supervisor is surer of one answer than of the other."""
    answers = rng.permutation(["positive"] * 12 + ["negative"] * 8).tolist()
    sure = rng.choice(TASK.answers)
    scores = np.array([rng.uniform(0.5, 0.8) + 0.15 * (answer == sure) for answer in answers])
    return scores, answers, float(rng.choice([0.25, 0.5, 0.75]))


def _log_probs(rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    tokens = rng.integers(2, 9, 6)
    return -tokens * rng.uniform(0.2, 2.0, 6), -tokens * rng.uniform(0.5, 2.5, 6), tokens


def _voices(rng: np.random.Generator) -> tuple[list[list[str]]]:
    return (rng.choice(TASK.answers, (int(rng.choice([3, 5])), 11)).tolist(),)  # 11: no supervisor gives both as often


def _odds(rng: np.random.Generator) -> tuple[float, int]:
    return round(rng.uniform(0.55, 0.95), 2), int(rng.choice([3, 5, 7]))


def _sure(rng: np.random.Generator) -> tuple[np.ndarray, float, float, float]:
    confidences = rng.uniform(0.5, 1.0, 10).round(3)
    threshold = float(np.sort(confidences)[rng.integers(2, 8)])
    return confidences, threshold, float(rng.integers(1, 4)), float(rng.integers(6, 20))


# -- the open task -----------------------------------------------------------------------------------------------------


def my_selection():
    return {
        "rule": "confident half, balanced",
        "control": "random half",
        "at the end": "helps",
        "at the trusted snapshot": "cannot tell",
        "wrong for": "a supervisor that is sure of its errors",
    }


CHOICES = (
    "confident half", "confident half, balanced", "half with the widest margin", "likeliest half", "high IFD",
    "two supervisors agree", "small loss after an epoch",
)  # fmt: skip
LIMITS = (
    "a supervisor that is sure of its errors", "a task that fine-tuning has to teach",
    "a supervisor that gets the balance of answers wrong", "no trusted examples to stop by",
)  # fmt: skip


def _control(rule: str) -> str:
    return METHODS[rule].control


@cache
def _effects(moment: str) -> dict[str, tuple[Effect, bool]]:
    """Rule -> its effect against its control on sentiment, and whether it survives Holm's correction over all rules."""
    rows, accuracy = measured("methods")["rows"], MOMENTS[moment]
    found = {
        rule: paired_effect(rule, *(column(select(rows, grid="sentiment", method=name), accuracy)
                                    for name in (rule, _control(rule))))
        for rule in CHOICES
    }  # fmt: skip
    return dict(zip(found, zip(found.values(), holm([*found.values()]), strict=True), strict=True))


def _says(plan: dict, moment: str) -> bool:
    """Whether the claim is no firmer than what was measured: a verdict only where Holm's correction leaves it."""
    effect, survives = _effects(moment)[plan["rule"]]
    return plan[moment] == (effect.verdict if survives else "cannot tell")


EXERCISES = (
    Exercise(
        best_of_each,
        _scored,
        key=_keep,
        mistakes=(
            (
                "You ranked all labels together: the answer that the supervisor is surer of crowds out the other one. "
                "Choose within each answer apart.",
                lambda s, a, f: _keep(s, a, f, balanced=False),
            ),
            ("You kept the lowest scores; the highest come first.", lambda s, a, f: _keep(-s, a, f)),
            (
                "You kept as many of each answer. Each answer should keep its share among the labels: `fraction` of "
                "its own number.",
                lambda s, a, f: sorted(
                    row
                    for answer in TASK.answers
                    for row in sorted((i for i in range(len(a)) if a[i] == answer), key=lambda i: -s[i])[
                        : round(f * len(a) / 2)
                    ]
                ),
            ),
            (
                "These are places among the rows of one answer. Return the numbers of the rows in the whole list.",
                _places_within,
            ),
            (
                "These are the right rows in another order: return the row numbers sorted.",
                lambda s, a, f: sorted(_keep(s, a, f), key=lambda row: (a[row], -s[row])),
            ),
        ),
        hints=(
            "For each answer: which rows have it?",
            "Sort these rows by their score, the highest first, and take the first `round(fraction * how many)`.",
            "`rows.sort(key=lambda row: -scores[row])` sorts row numbers by score; at the end `sorted(...)`.",
        ),
    ),
    Exercise(
        instruction_difficulty,
        _log_probs,
        key=_ifd,
        mistakes=(
            (
                "Upside down: PPL(y|x), the perplexity with the input, is above the fraction line.",
                lambda w, a, n: np.exp((w - a) / n),
            ),
            (
                "Perplexity is a matter of one token: divide the log-probability of the answer by its number of tokens "
                "before you take exp.",
                lambda w, a, n: np.exp(a - w),
            ),
            (
                "This is a ratio of mean losses; perplexity is exp of the mean loss, and IFD a ratio of perplexities.",
                lambda w, a, n: w / a,
            ),
            (
                "These are differences of mean losses, the logarithm of IFD: exp is still missing.",
                lambda w, a, n: (a - w) / n,
            ),
        ),
        hints=(
            "PPL = exp(−log-probability of the answer / its number of tokens). Arrays can be divided as they are.",
            "Once with `with_input`, once with `alone`; then divide the first by the second.",
        ),
    ),
    Exercise(
        vote_accuracy,
        _odds,
        key=lambda p, voters: float(bdtrc(voters // 2, voters, p)),
        mistakes=(
            ("This asks that all of them are right; more than half is enough.", lambda p, n: p**n),
            ("This asks that one of them is right; a majority needs more than half.", lambda p, n: 1 - (1 - p) ** n),
            (
                "This is right for three voters only. Add up over k, for any odd number.",
                lambda p, n: 3 * p**2 - 2 * p**3,
            ),
            *(
                ("A majority is k = voters // 2 + 1 … voters, both ends included: range stops before its end.", wrong)
                for wrong in (
                    lambda p, n: sum(_exactly(k, p, n) for k in range(n // 2, n)),
                    lambda p, n: sum(_exactly(k, p, n) for k in range(n // 2, n + 1)),
                    lambda p, n: sum(_exactly(k, p, n) for k in range(n // 2 + 1, n)),
                )
            ),
            (
                "You forgot in how many ways k of the voters can be the right ones: times `math.comb(voters, k)`.",
                lambda p, n: sum(p**k * (1 - p) ** (n - k) for k in range(n // 2 + 1, n + 1)),
            ),
            (
                "You counted the case of exactly the smallest majority; larger ones win too.",
                lambda p, n: math.comb(n, n // 2 + 1) * p ** (n // 2 + 1) * (1 - p) ** (n // 2),
            ),
            ("This is how often the vote is wrong.", lambda p, n: float(bdtr(n // 2, n, p))),
        ),
        hints=(
            "How likely are exactly k voters to be right? math.comb(voters, k) * p**k * (1 - p) ** (voters - k).",
            "The vote is right where k is more than half: add up k = voters // 2 + 1 … voters.",
        ),
    ),
    Exercise(
        majority_vote,
        _voices,
        key=_vote,
        mistakes=(
            ("You took what the first supervisor says.", lambda a: list(a[0])),
            (
                "You turned it round: item by item, all supervisors' answers to that item vote. `zip(*answers)`.",
                lambda a: [max(TASK.answers, key=list(said).count) for said in a],
            ),
            (
                "This is the rarest answer.",
                lambda a: [min(TASK.answers, key=said.count) for said in zip(*a, strict=True)],
            ),
            (
                "You ask for all of them to agree; more than half is enough.",
                lambda a: ["positive" if set(said) == {"positive"} else "negative" for said in zip(*a, strict=True)],
            ),
        ),
        hints=(
            "`zip(*answers)` goes through the items: each time it gives what all supervisors say of that item.",
            "`said.count(answer)` counts its votes in a tuple, so `max(set(said), key=said.count)` is the winner.",
        ),
    ),
    Exercise(
        cascade_cost,
        _sure,
        key=_asked,
        mistakes=(
            (
                "You asked the strong model where the weak one is sure; it is the other way round.",
                lambda c, t, w, s: (np.mean(c >= t), w + np.mean(c >= t) * s),
            ),
            (
                "At the threshold itself the weak model still answers: asked is where the confidence lies below it.",
                lambda c, t, w, s: (np.mean(c <= t), w + np.mean(c <= t) * s),
            ),
            (
                "The weak model runs on every item, also on those that are passed on: nobody knows its confidence "
                "before it has run.",
                lambda c, t, w, s: (np.mean(c < t), (1 - np.mean(c < t)) * w + np.mean(c < t) * s),
            ),
            (
                "`asked` is a fraction of the items, not their number.",
                lambda c, t, w, s: (np.sum(c < t), w + np.mean(c < t) * s),
            ),
            (
                "You gave the cost of all items together. Return the mean cost of one item.",
                lambda c, t, w, s: (np.mean(c < t), len(c) * w + np.sum(c < t) * s),
            ),
        ),
        hints=(
            "`confidences < threshold` is an array of True and False; its mean is a fraction.",
            "Each item costs the weak model once; the fraction that is asked costs the strong model on top.",
        ),
    ),
    Exercise(
        my_selection,
        lambda rng: (),
        criteria=of_the_result(
            (
                ("`rule` is one of those of the figure above", lambda plan: plan["rule"] in CHOICES),
                (
                    "`control` fits the rule: as many labels, and as many of each answer where the rule shifts them",
                    lambda plan: plan["control"] == _control(plan["rule"]),
                ),
                (
                    "what you say `at the end` survives Holm's correction over all rules, or is 'cannot tell'",
                    lambda plan: _says(plan, "at the end"),
                ),
                (
                    "what you say `at the trusted snapshot` survives Holm's correction too, or is 'cannot tell'",
                    lambda plan: _says(plan, "at the trusted snapshot"),
                ),
                (
                    "where training ends late, the rule is no worse than its control on average",
                    lambda plan: _effects("at the end")[plan["rule"]][0].mean >= 0,
                ),
                (
                    "`wrong for` names a case in which you would not use it: " + ", or ".join(LIMITS),
                    lambda plan: plan["wrong for"] in LIMITS,
                ),
            )
        ),
        hints=(
            "The figure of *Eight runs* shows the end, the table below it the trusted snapshot; its cell, controls.",
            "A verdict is 'helps', 'hurts' or 'cannot tell'. w2s.effects.holm(effects) says which survive.",
        ),
    ),
)
