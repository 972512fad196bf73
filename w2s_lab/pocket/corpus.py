"""The documents of the pocket world: an endless seeded stream, and its tokens packed for pre-training.

A dial sets how much the documents tell of the task. The sentences that close a review follow its verdict in a share of
the documents, the leakage; in the others they follow a coin. The ladder read a stream of leakage 1.
"""

from collections.abc import Iterator
from itertools import islice
from random import Random

import numpy as np

from w2s_lab.pocket import helpdesk, reviews
from w2s_lab.pocket.tasks import reserved_texts

REVIEW_SHARE = 0.75


def documents(seed: int, *, leakage: float = 1.0) -> Iterator[str]:
    """An endless stream of documents, fixed by the seed; no document is about an input of a built-in task.

    The grammar is small, so a document may still contain a short input as one of its sentences (about 1 in 30 does),
    followed by other sentences.

    Args:
        seed: of the stream. Streams of one seed have the same reviews and tickets in the same order, whatever the
            leakage, and close them with as many sentences of the same kinds.
        leakage: expected share of the reviews, 0 to 1, whose closing sentences follow the verdict. In the others a coin
            takes the verdict's place for all closing sentences, so the share is also the correlation between what a
            review says and what closes it. The reviews that follow at a smaller share also follow at a larger one.
            Tickets always follow their policy.

    Raises:
        ValueError: `leakage` is not in 0 to 1.
    """
    if not 0 <= leakage <= 1:
        raise ValueError(f"documents: leakage is {leakage}; expected a share from 0 to 1, such as 0.25 for 25 %")
    rng, dial = Random(f"documents/{seed}"), Random(f"leakage/{seed}")
    reserved = reserved_texts()
    while True:
        review = rng.random() < REVIEW_SHARE
        fact = (reviews.draw_review if review else helpdesk.draw_ticket)(rng)
        if fact.text in reserved:
            continue
        if review:
            follows, coin = dial.random() < leakage, dial.choice(list(reviews.OPPOSITE))
            yield reviews.document(rng, fact, verdict=fact.verdict if follows else coin)
        else:
            yield helpdesk.document(rng, fact)


def packed_tokens(tokenizer, tokens: int, seed: int, *, leakage: float = 1.0) -> np.ndarray:
    """The first `tokens` tokens of the stream, each document after a start token, as uint16 [tokens]."""
    stream, packed, count = documents(seed, leakage=leakage), [], 0
    while count < tokens:
        for ids in tokenizer(list(islice(stream, 250)))["input_ids"]:
            packed.append(np.array(ids, dtype=np.uint16))
            count += len(ids)
    return np.concatenate(packed)[:tokens]
