"""Which of two reviews is better? A pairwise task with two aspects, made of the reviews of the built-in world.

The editor of a page on culture looks for something to recommend. Policy comes first: the page is about films, books,
concerts and museums. Where both reviews keep to the policy, or neither does, the favourable one is better. So the
verdict decides some pairs, the policy others, and in a *conflict* a favourable review of something else loses against
an unfavourable one that keeps to the policy.
"""

import numpy as np

from w2s_lab.pocket.parser import parse_review
from w2s_lab.records import Example, LabelledSet, Task

TASK = Task("preference", ("first", "second"))
CULTURE = ("film", "book", "concert", "museum")
INSTRUCTION = "Which of the two reviews shall our page on culture print?"


def aspects(example: Example) -> tuple[bool, bool]:
    """Of a review: does it keep to the policy, and is it favourable?

    Raises:
        ValueError: the input is no review of the pocket world.
    """
    review = parse_review(example.input)
    if review is None:
        raise ValueError(f"{example.input!r} is no review of the pocket world")
    return review.kind in CULTURE, review.verdict == "positive"


def preference_pairs(reviews: LabelledSet, *, seed: int) -> tuple[LabelledSet, np.ndarray]:
    """Reviews in pairs, each in one pair at most, with the better one as the true answer.

    The tag of a pair says which aspect decides it: "verdict" (both keep to the policy, or neither does), "policy"
    (both verdicts are the same), "both", or "conflict", where the policy and the verdict speak for different reviews.
    Pairs that differ in no aspect are left out.

    Args:
        reviews: N examples of a task of reviews, such as "sentiment".
        seed: which reviews are paired, and which one comes first.

    Returns:
        M pairs with their truth, and [M, 2] the rows of the two reviews in `reviews`.
    """
    order = np.random.default_rng(seed).permutation(len(reviews))
    pairs, rows = [], []
    known = [aspects(example) for example in reviews.examples]
    for first, second in order[: len(order) // 2 * 2].reshape(-1, 2).tolist():
        if known[first] == known[second]:
            continue
        policy, verdict = (known[first][i] - known[second][i] for i in (0, 1))  # 1: the first, -1: the second, 0: none
        tag = "verdict" if not policy else "policy" if not verdict else "both" if policy == verdict else "conflict"
        text = f"First: {reviews.examples[first].input} Second: {reviews.examples[second].input}"
        pairs.append(Example(INSTRUCTION, text, TASK.answers[(policy or verdict) < 0], (tag,)))
        rows.append((first, second))
    return LabelledSet.ground_truth(TASK, pairs), np.array(rows, dtype=int).reshape(-1, 2)
