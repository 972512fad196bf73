"""Pairs of reviews: the rule of the page on culture, by hand and on the built-in reviews."""

from collections import Counter

import numpy as np
import pytest

from w2s_lab.data.sources import read_examples
from w2s_lab.pocket.preferences import CULTURE, aspects, preference_pairs
from w2s_lab.records import Example, LabelledSet, Task

SENTIMENT = Task("sentiment", ("positive", "negative"))
GOOD_FILM, BAD_FILM = "The plot is good.", "The plot is not good."
GOOD_HOTEL, BAD_HOTEL = "The lobby is good.", "The lobby is not good."


def one_pair(*texts: str) -> tuple[Example | None, str]:
    """The pair of two reviews, and the text of the better one."""
    reviews = LabelledSet.ground_truth(SENTIMENT, [Example("?", text, "positive") for text in texts])
    pairs, rows = preference_pairs(reviews, seed=0)
    if not len(pairs):
        return None, ""
    assert pairs.examples[0].input == f"First: {texts[rows[0, 0]]} Second: {texts[rows[0, 1]]}"
    return pairs.examples[0], texts[rows[0, pairs.task.answers.index(pairs.answers[0])]]


@pytest.mark.parametrize(
    ("better", "worse", "tag"),
    [
        (GOOD_FILM, BAD_FILM, "verdict"),
        (GOOD_HOTEL, BAD_HOTEL, "verdict"),
        (GOOD_FILM, GOOD_HOTEL, "policy"),
        (BAD_FILM, BAD_HOTEL, "policy"),
        (GOOD_FILM, BAD_HOTEL, "both"),
        (BAD_FILM, GOOD_HOTEL, "conflict"),
    ],
)
def test_policy_first_then_the_verdict(better, worse, tag):
    for texts in ((better, worse), (worse, better)):
        pair, found = one_pair(*texts)
        assert (found, pair.tags) == (better, (tag,))


def test_no_pair_without_a_difference():
    assert one_pair(GOOD_FILM, "The acting is superb.") == (None, "")
    with pytest.raises(ValueError, match="no review"):
        aspects(Example("?", "Hello."))


def test_pairs_of_the_built_in_reviews():
    task, examples, _ = read_examples("sentiment")
    reviews = LabelledSet.ground_truth(task, examples[:600])
    pairs, rows = preference_pairs(reviews, seed=3)
    assert len(set(rows.ravel().tolist())) == rows.size and 0.65 < len(pairs) / 300 < 0.85  # three in four differ
    known = np.array([aspects(example) for example in reviews.examples])
    assert (known[:, 1] == [answer == "positive" for answer in reviews.answers]).all()
    first = np.array([answer == "first" for answer in pairs.answers])
    worth = known @ [2, 1]  # the policy outweighs the verdict
    assert ((worth[rows[:, 0]] > worth[rows[:, 1]]) == first).all() and 0.4 < first.mean() < 0.6
    counts = Counter(example.tags[0] for example in pairs.examples)
    assert set(counts) == {"verdict", "policy", "both", "conflict"} and min(counts.values()) > 10
    again, _ = preference_pairs(reviews, seed=3)
    assert again.digest == pairs.digest and preference_pairs(reviews, seed=4)[0].digest != pairs.digest
    assert len(CULTURE) == 4
