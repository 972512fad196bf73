"""Exercises of notebook 08: how alike two texts are, how varied many are, a filter, and a team's decision."""

from collections.abc import Mapping, Sequence
from functools import cache

import numpy as np

from w2s_lab.classroom.exercises.exercise import Exercise, of_the_result
from w2s_lab.classroom.toolkit.measured import measured
from w2s_lab.methods import proposals
from w2s_lab.methods.proposals import longest_common_subsequence, rouge_l
from w2s_lab.studies.policy import workload

WORDS = "the room bed was not clean bright small quiet and we liked lamp it a".split()


def rouge_l_of_tokens(a, b):
    longest = np.zeros((len(a) + 1, len(b) + 1), dtype=int)
    for i in range(len(a)):
        for j in range(len(b)):
            if a[i] == b[j]:
                longest[i + 1, j + 1] = longest[i, j] + 1
            else:
                longest[i + 1, j + 1] = max(longest[i, j + 1], longest[i + 1, j])
    return 2 * longest[-1, -1] / (len(a) + len(b))


def distinct_n(texts, n):
    grams = [tuple(text[i : i + n]) for text in texts for i in range(len(text) - n + 1)]
    return len(set(grams)) / len(grams)


def without_near_repeats(proposed, pool, threshold):
    kept = []
    for text in proposed:
        if all(rouge_l(text, other) < threshold for other in [*pool, *kept]):
            kept.append(text)
    return kept


def helpdesk_decision():
    return {
        "training": "mixed, human x 5",
        "people_decide": ["rule-changed"],
        "written_tickets": "answered by people",
        "held_out": 120,
        "report": "per rule",
    }


# -- inputs ----------------------------------------------------------------------------------------------------------


def _two_texts(rng: np.random.Generator) -> tuple[list[str], list[str]]:
    """Alike but for some words, with two of them swapped, and of different lengths."""
    a = rng.choice(WORDS, 8).tolist()
    b = [*a, *rng.choice(WORDS, 3).tolist()]
    b[1], b[5] = b[5], b[1]
    b[3] = "never"
    return a, b


def _texts(rng: np.random.Generator) -> tuple[list[list[str]], int]:
    few = rng.choice(WORDS, 5, replace=False)
    return [rng.choice(few, rng.integers(4, 9)).tolist() for _ in range(5)], int(rng.integers(1, 4))


def _proposals(rng: np.random.Generator) -> tuple[list[str], list[str], float]:
    """Texts of ten words; one word less or another one is a near duplicate, two other ones are not."""

    def text() -> list[str]:
        return rng.choice(WORDS, 10).tolist()

    def changed(words: list[str], place: int) -> list[str]:
        return [*words[:place], f"{words[place]}ish", *words[place + 1 :]]

    first, other, there = text(), text(), text()
    second = changed(first, 2)
    third = changed(second, 6)
    rows = [other, first, second, third, first, there[:4] + there[5:], text(), there]
    return [" ".join(row) for row in rows], [" ".join(there), " ".join(text())], 0.9


# -- mistakes --------------------------------------------------------------------------------------------------------


def _in_a_row(a: Sequence[str], b: Sequence[str]) -> int:
    """Length of the longest run of words that occurs in both."""
    runs = [(i, j, n) for i in range(len(a)) for j in range(len(b)) for n in range(1, len(a) - i + 1)]
    return max((n for i, j, n in runs if a[i : i + n] == b[j : j + n]), default=0)


def _bag(a: Sequence[str], b: Sequence[str]) -> int:
    return sum(min(a.count(word), b.count(word)) for word in set(a))


def _grams(text: Sequence[str], n: int) -> list[tuple]:
    return [tuple(text[i : i + n]) for i in range(len(text) - n + 1)]


def _per_text(texts: Sequence[Sequence[str]], n: int) -> float:
    return float(np.mean([distinct_n([text], n) for text in texts]))


def _across(texts: Sequence[Sequence[str]], n: int) -> float:
    return distinct_n([[word for text in texts for word in text]], n)


def _compared_with(kept_too: bool, pool_too: bool, refused_too: bool = False, *, least: float = 0.0):
    """The filter, comparing with less or more than it should."""

    def filtered(proposed: list[str], pool: list[str], threshold: float) -> list[str]:
        found: list[str] = []
        for place, text in enumerate(proposed):
            others = [*(pool if pool_too else []), *(found if kept_too else []), *(proposed[:place] * refused_too)]
            if all(rouge_l(text, other) < threshold + least for other in others):
                found.append(text)
        return found

    return filtered


def _kept_texts(proposed: list[str], pool: list[str], threshold: float) -> list[str]:
    return [proposed[row] for row in proposals.without_near_duplicates(proposed, pool, threshold).rows]


# -- the decision ----------------------------------------------------------------------------------------------------

DECIDED = 250  # tickets that people have decided under the current policy
FALL = 0.02  # accuracy; what falls by less is let pass
MOST = 0.25  # of all tickets: what people can decide for good beside their other work


@cache
def _changes() -> Mapping[str, Mapping[str, Mapping]]:
    """training -> rule (or "all") -> change against weak labels only, with its interval, as the policy study found."""
    study = measured("policy")
    found: dict[str, dict[str, Mapping]] = {}
    for rule, effects in {"all": study["effects"], **study["by rule"]}.items():
        for effect in effects:
            found.setdefault(effect["name"], {})[rule] = effect
    return found


def _human_set() -> int:
    return measured("policy")["human set"]


def _surely_better(plan: Mapping, rule: str) -> bool:
    return plan["training"] in _changes() and _changes()[plan["training"]][rule]["low"] > 0


def _falling(plan: Mapping) -> set[str]:
    """The rules that this training decides worse; of a training that was not measured, all."""
    if plan["training"] not in _changes():
        return set(measured("policy")["by rule"])
    changes = _changes()[plan["training"]]
    return {rule for rule, change in changes.items() if rule != "all" and change["mean"] < -FALL}


CRITERIA = (
    (
        "`training` is one of the ways that were measured, and surely better over all tickets than weak labels only",
        lambda plan: _surely_better(plan, "all"),
    ),
    (
        "tickets under the changed rule are surely decided better than before, or people decide them (rule-changed)",
        lambda plan: "rule-changed" in plan["people_decide"] or _surely_better(plan, "rule-changed"),
    ),
    (
        "decisions about danger do not fall",
        lambda plan: "danger" not in _falling(plan),
    ),
    (
        f"every rule whose accuracy falls by more than {FALL} with this training is in `people_decide`",
        lambda plan: _falling(plan) <= set(plan["people_decide"]),
    ),
    (
        f"people decide at most {MOST:.0%} of all tickets",
        lambda plan: workload(plan["people_decide"]) <= MOST,
    ),
    (
        "tickets that a model writes are not answered by the supervisor that learnt the old policy",
        lambda plan: plan["written_tickets"] in ("none", "answered by people"),
    ),
    (
        f"at least 100 decided tickets are held out, and with those of training they are at most {DECIDED}",
        lambda plan: plan["held_out"] >= 100 and plan["held_out"] + _human_set() <= DECIDED,
    ),
    (
        "the result is reported per rule: a mean over all tickets hides a regression",
        lambda plan: plan["report"] == "per rule",
    ),
)

EXERCISES = (
    Exercise(
        rouge_l_of_tokens,
        _two_texts,
        key=lambda a, b: rouge_l(" ".join(a), " ".join(b)),
        mistakes=(
            (
                "You look for words in a row. A subsequence may have gaps: only the order counts.",
                lambda a, b: 2 * _in_a_row(a, b) / (len(a) + len(b)),
            ),
            (
                "You count common words in any order (that is ROUGE-1). Here they must come in the same order in both.",
                lambda a, b: 2 * _bag(a, b) / (len(a) + len(b)),
            ),
            (
                "The factor 2 is missing: two equal texts should get 1.",
                lambda a, b: longest_common_subsequence(a, b) / (len(a) + len(b)),
            ),
            (
                "You divided by the length of the first text alone (recall). F1 takes both: 2 LCS / (|a| + |b|).",
                lambda a, b: longest_common_subsequence(a, b) / len(a),
            ),
            (
                "You divided by the length of the second text alone (precision). F1 takes both: 2 LCS / (|a| + |b|).",
                lambda a, b: longest_common_subsequence(a, b) / len(b),
            ),
            (
                "This is the length of the longest common subsequence. Now make a fraction of it: 2 LCS / (|a| + |b|).",
                longest_common_subsequence,
            ),
        ),
        hints=(
            "Make a table: longest[i, j] is the length of the longest common subsequence of a[:i] and b[:j].",
            "If a[i] == b[j], then longest[i+1, j+1] is longest[i, j] + 1; else the larger of its two neighbours, "
            "longest[i, j+1] and longest[i+1, j].",
            "The first row and column are 0; the last corner is the LCS. Return 2 * LCS / (len(a) + len(b)).",
        ),
    ),
    Exercise(
        distinct_n,
        _texts,
        key=lambda texts, n: proposals.distinct([" ".join(text) for text in texts], n),
        mistakes=(
            (
                "You averaged over texts. Repeats between texts should be seen, too: put all n-grams together first.",
                _per_text,
            ),
            (
                "Your n-grams run over the border from one text into the next.",
                _across,
            ),
            (
                "This is how many different n-grams there are; divide by how many there are in all.",
                lambda texts, n: len({gram for text in texts for gram in _grams(text, n)}),
            ),
            (
                "You divided by the number of words; a text of m words has m − n + 1 n-grams.",
                lambda texts, n: len({g for text in texts for g in _grams(text, n)}) / sum(map(len, texts)),
            ),
            (
                "This is the share of repeats, 1 − distinct-n.",
                lambda texts, n: 1 - distinct_n(texts, n),
            ),
        ),
        hints=(
            "An n-gram is n words in a row; a tuple of them can be put into a set.",
            "Collect the n-grams of every text in one list: text[i : i + n] for i from 0 to len(text) − n.",
            "Then: len(set(grams)) / len(grams).",
        ),
    ),
    Exercise(
        without_near_repeats,
        _proposals,
        key=_kept_texts,
        mistakes=(
            (
                "You compare with the pool only: two proposals that are alike both stay. Compare also with those kept "
                "before.",
                _compared_with(False, True),
            ),
            (
                "You compare the proposals with each other only: what the pool has already comes in again.",
                _compared_with(True, False),
            ),
            (
                "You compare with proposals that were refused, too. A text that is like a refused one only is new.",
                _compared_with(False, True, True),
            ),
            (
                "At the threshold itself a text is refused: keep it where ROUGE-L is below the threshold.",
                _compared_with(True, True, least=1e-9),
            ),
            (
                "You refuse equal texts only. A near duplicate has a ROUGE-L of `threshold` or more.",
                lambda proposed, pool, threshold: list(dict.fromkeys(t for t in proposed if t not in pool)),
            ),
            (
                "This is the list of the refused ones; return those that are kept.",
                lambda proposed, pool, threshold: [
                    text for text in proposed if text not in _kept_texts(proposed, pool, threshold)
                ],
            ),
        ),
        hints=(
            "Go through the proposals in order, with a list of those kept so far.",
            "Keep a text if rouge_l(text, other) < threshold for every other one of the pool and of those kept.",
            "all(rouge_l(text, other) < threshold for other in [*pool, *kept])",
        ),
    ),
    Exercise(
        helpdesk_decision,
        lambda rng: (),
        criteria=of_the_result(CRITERIA),
        hints=(
            "Look at the table: which trainings are better over all tickets? And which rules do they make worse?",
            "One way learns the changed rule and breaks two of its neighbours: how many tickets would people have to "
            "take over? Others leave everything as it is, also the changed rule: then people take over that one.",
            "Held out: 100 or more, and no more than are left beside the human set. Report: 'per rule'.",
        ),
    ),
)
