"""Proposals from a model's sampling, and the filters, against counts by hand and plain loops."""

from collections import Counter
from itertools import combinations
from random import Random

import numpy as np
import pytest
import torch

from w2s_lab.data.world import World
from w2s_lab.methods import proposals
from w2s_lab.records import Example, LabelledSet, Task

# -- sampling ------------------------------------------------------------------------------------------------------


def test_sampling_is_seeded_and_leaves_the_global_generator_alone(model):
    torch.manual_seed(5)
    before = torch.get_rng_state()
    first = proposals.sample_documents(model, 7, seed=1, max_new_tokens=12)
    assert torch.equal(torch.get_rng_state(), before)
    assert len(first) == 7 and len(set(first)) > 1
    torch.manual_seed(6)
    assert proposals.sample_documents(model, 7, seed=1, max_new_tokens=12) == first
    assert proposals.sample_documents(model, 7, seed=2, max_new_tokens=12) != first


def test_more_than_a_batch(llama, monkeypatch):
    monkeypatch.setattr(proposals, "BATCH", 4)
    found = proposals.sample_documents(llama, 10, seed=0, max_new_tokens=6)
    assert len(found) == 10 and found[:4] != found[4:8]


@torch.no_grad()
def test_a_first_token_comes_as_often_as_its_probability_says(llama):
    """At temperature 2, over the whole vocabulary: nothing is cut off."""
    start = torch.tensor([[llama.tokenizer.bos_token_id]])
    logits = llama.network(start).logits[0, -1].double()
    expected = (logits / 2).softmax(-1)
    texts = [llama.tokenizer.decode([token]).strip() for token in range(len(expected))]
    drawn = Counter(proposals.sample_documents(llama, 3000, temperature=2.0, seed=3, max_new_tokens=1))
    mass = Counter()
    for token, text in enumerate(texts):
        special = token in llama.tokenizer.all_special_ids
        mass["" if special else text] += float(expected[token])
    for text, probability in mass.most_common(5):
        spread = (probability * (1 - probability) / 3000) ** 0.5
        assert abs(drawn[text] / 3000 - probability) < 4.5 * spread, text
    assert len(drawn) > 55  # more than the 50 tokens that a top-k of 50 would leave


def test_low_temperatures_prefer_what_is_likely(llama):
    cold = proposals.sample_documents(llama, 100, temperature=0.05, seed=0, max_new_tokens=3)
    warm = proposals.sample_documents(llama, 100, temperature=1.0, seed=0, max_new_tokens=3)
    assert len(set(cold)) < len(set(warm)) / 2


@pytest.mark.parametrize("option", [{"count": 0}, {"temperature": 0}, {"max_new_tokens": 0}])
def test_impossible_sampling_is_refused(llama, option):
    with pytest.raises(ValueError, match=f"{next(iter(option))} is 0"):
        proposals.sample_documents(llama, **{"count": 1, "seed": 0, **option})


@pytest.mark.parametrize(
    ("document", "expected"),
    [
        ("A a. B b. C c.", "A a. B b."),  # the longest that is accepted
        ("B b. A a. C c.", "B b."),  # none is: the first sentence
        ("A a. B b", "A a."),  # only whole sentences
        ("A a.B b. C", "A a.B b."),  # no blank, no end of a sentence
        ("C c", "C c"),
        ("", ""),
    ],
)
def test_a_document_is_cut_to_its_task_input(document, expected):
    accepted = {"A a.", "A a. B b.", "C c."}
    assert proposals.task_input(document, accepted.__contains__) == expected


def test_sampled_texts_are_cut_documents(llama):
    documents = proposals.sample_documents(llama, 20, seed=4, max_new_tokens=30)
    texts = proposals.sample_texts(llama, 20, accepts=lambda text: False, seed=4, max_new_tokens=30)
    assert texts == [proposals.task_input(document, lambda text: False) for document in documents]


def test_instructions_are_drawn_and_put_in_other_words():
    known = ("Is it good?", "Judge it.")
    framed = {frame.format(one) for one in known for frame in proposals.FRAMES}
    found = proposals.paraphrased(known, 4000, share=0.25, seed=0)
    counts = Counter(found)
    assert set(counts) == set(known) | framed
    assert abs(sum(counts[one] for one in framed) / 4000 - 0.25) < 0.03
    assert abs(sum(counts[one] for one in counts if "Judge" in one) / 4000 - 0.5) < 0.04
    assert found == proposals.paraphrased(known, 4000, share=0.25, seed=0)
    assert set(proposals.paraphrased(known, 50, share=0.0, seed=0)) == set(known)
    assert set(proposals.paraphrased(known, 50, share=1.0, seed=0)) <= framed


@pytest.mark.parametrize(("known", "share"), [((), 0.5), (("A",), 1.5), (("A",), -0.1)])
def test_impossible_paraphrases_are_refused(known, share):
    with pytest.raises(ValueError, match="paraphrased"):
        proposals.paraphrased(known, 3, share=share, seed=0)


# -- how alike two texts are ---------------------------------------------------------------------------------------


def table_lcs(a, b):
    """The textbook table."""
    best = [[0] * (len(b) + 1) for _ in range(len(a) + 1)]
    for i, x in enumerate(a):
        for j, y in enumerate(b):
            best[i + 1][j + 1] = best[i][j] + 1 if x == y else max(best[i][j + 1], best[i + 1][j])
    return best[-1][-1]


def brute_lcs(a, b):
    """Every subsequence of `a`, tried on `b`."""

    def inside(short):
        rest = iter(b)
        return all(word in rest for word in short)

    return max(n for n in range(len(a) + 1) if any(inside(short) for short in combinations(a, n)))


def test_longest_common_subsequence_against_a_table_and_brute_force():
    rng = Random(0)
    for _ in range(1500):
        a, b = (rng.choices("abcde", k=rng.randrange(9)) for _ in range(2))
        found = proposals.longest_common_subsequence(a, b)
        assert found == table_lcs(a, b) == brute_lcs(a, b) == proposals.longest_common_subsequence(b, a)
    long = [rng.choices("abcdefgh", k=200) for _ in range(2)]
    assert proposals.longest_common_subsequence(*long) == table_lcs(*long)


@pytest.mark.parametrize(
    ("a", "b", "expected"),
    [
        ("The plot is good.", "The plot is bad.", 3 / 4),
        ("police killed the gunman", "police kill the gunman", 3 / 4),  # Lin 2004, section 3.1
        ("police killed the gunman", "the gunman kill police", 2 / 4),
        ("A b", "a B c d", 2 * 2 / 6),
        ("one", "two", 0.0),
        ("", "", 0.0),
        ("Same text.", "same, text", 1.0),
    ],
)
def test_rouge_l_by_hand(a, b, expected):
    assert proposals.rouge_l(a, b) == pytest.approx(expected) == proposals.rouge_l(b, a)


def test_distinct_by_hand():
    texts = ["The plot is good.", "The plot is bad.", "Good"]
    assert proposals.distinct(texts, 1) == pytest.approx(5 / 9)
    assert proposals.distinct(texts, 2) == pytest.approx(4 / 6)  # never across the border of two texts
    assert proposals.distinct(texts[:1] * 5, 2) == pytest.approx(3 / 15)
    assert proposals.distinct(["one", ""], 2) is None and proposals.distinct([], 1) is None


# -- filters -------------------------------------------------------------------------------------------------------


def test_simple_filters_by_hand():
    texts = ["a", "b", "a", "c", "b", "d"]
    assert proposals.valid(texts, "ab".__contains__) == proposals.Kept((0, 1, 2, 4), 2)
    assert proposals.unseen(texts, ["a", "z"]) == proposals.Kept((1, 3, 4, 5), 2)
    assert proposals.without_repeats(texts, ["c"]) == proposals.Kept((0, 1, 5), 3)
    assert proposals.valid([], bool) == proposals.without_repeats([], []) == proposals.Kept((), 0)


def slowly(texts, pool, threshold):
    """Every pair, every table."""
    known, rows = list(pool), []
    for row, text in enumerate(texts):
        own = proposals.words(text)
        others = map(proposals.words, known)
        if not any(2 * table_lcs(own, b) / max(1, len(own) + len(b)) >= threshold for b in others):
            rows.append(row)
            known.append(text)
    return proposals.Kept(tuple(rows), len(texts) - len(rows))


@pytest.mark.parametrize("threshold", [0.3, 0.5, 0.7, 0.75, 0.9, 1.0])
def test_near_duplicates_against_a_plain_loop(threshold):
    rng = Random(threshold)
    texts = [" ".join(rng.choices("abcdef", k=rng.randrange(9))) for _ in range(150)]
    found = proposals.without_near_duplicates(texts[50:], texts[:50], threshold)
    assert found == slowly(texts[50:], texts[:50], threshold)
    assert 0 < len(found.rows) < 100
    texts = [rng.choices("abcdefghijkl", k=rng.randrange(8, 14)) for _ in range(60)]
    texts = [" ".join(text) for text in (*texts, *([*text[:-1], "z"] for text in texts), *map(sorted, texts))]
    rng.shuffle(texts)  # of ten words, nine are the same: that is 0.9
    found = proposals.without_near_duplicates(texts[50:], texts[:50], threshold)
    assert found == slowly(texts[50:], texts[:50], threshold)


def test_near_duplicates_by_hand():
    pool, texts = ["the plot is good"], ["The plot is bad.", "a b c d", "a b c e", "a b c d", "Good is plot the", ""]
    assert proposals.without_near_duplicates(texts, pool, 0.75).rows == (1, 4, 5)  # the order of the words matters
    assert proposals.without_near_duplicates(texts, pool, 0.76).rows == (0, 1, 2, 4, 5)
    assert proposals.without_near_duplicates(texts, [], 0.75).rows == (0, 1, 4, 5)
    assert proposals.without_near_duplicates([], pool, 0.75) == proposals.Kept((), 0)


def test_few_longest_common_subsequences_are_sought(monkeypatch):
    """1,000 proposals against a pool of 1,500: 2 million pairs, of which the words alone rule out nearly all."""
    rng = Random(1)
    texts = [" ".join(f"w{rng.randrange(300)}" for _ in range(10)) for _ in range(2500)]
    asked = []
    honest = proposals.longest_common_subsequence
    monkeypatch.setattr(proposals, "longest_common_subsequence", lambda a, b: asked.append(1) or honest(a, b))
    texts[2400] = texts[7] + " more"
    found = proposals.without_near_duplicates(texts[1500:], texts[:1500], 0.7)
    assert found.removed == 1 and 900 not in found.rows and 0 < len(asked) < 2000


@pytest.mark.parametrize("threshold", [0, -0.5, 1.01])
def test_an_impossible_threshold_is_refused(threshold):
    with pytest.raises(ValueError, match=f"threshold is {threshold}"):
        proposals.without_near_duplicates(["a"], [], threshold)


def test_confident_answers():
    examples = tuple(Example("?", text) for text in "abc")
    probs = np.array([[0.9, 0.1], [0.4, 0.6], [0.2, 0.8]])
    labels = LabelledSet(Task("t", ("yes", "no")), examples, ("yes", "no", "no"), probs)
    assert proposals.confident(labels, 0.8) == proposals.Kept((0, 2), 1)
    assert proposals.confident(labels, 0.0) == proposals.Kept((0, 1, 2), 0)
    with pytest.raises(ValueError, match="no probabilities"):
        proposals.confident(LabelledSet(Task("t"), examples, ("a", "b", "c")), 0.5)


def test_answers_in_their_shares():
    answers = list("aabaabab")  # 5 a, 3 b
    assert proposals.balanced(answers, {"a": 0.5, "b": 0.5}) == proposals.Kept((0, 1, 2, 3, 5, 7), 2)
    assert proposals.balanced(answers, {"a": 0.75, "b": 0.25}).rows == (0, 1, 2, 3, 4, 6)
    assert proposals.balanced(answers, {"a": 0.5, "b": 0.4, "c": 0.1}) == proposals.Kept((), 8)
    assert proposals.balanced(answers, {"a": 1.0, "b": 0.0}).rows == (0, 1, 3, 4, 6)
    assert proposals.balanced([], {"a": 1.0}) == proposals.Kept((), 0)
    with pytest.raises(ValueError, match="no share for 'b'"):
        proposals.balanced(answers, {"a": 1.0})
    thirds = proposals.balanced(list("abc" * 7), dict.fromkeys("abc", 1 / 3))
    assert thirds.removed == 0


def test_a_world_accepts_what_it_parses():
    world = World(lambda text: Example("", text, "yes") if text == "a" else None, ())
    assert world.accepts("a") and not world.accepts("b")
