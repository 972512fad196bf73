"""The documents of the pocket world: an endless seeded stream, and its tokens packed for pre-training."""

from collections.abc import Iterator
from itertools import islice
from random import Random

import numpy as np

from w2s_lab.pocket import helpdesk, reviews
from w2s_lab.pocket.tasks import reserved_texts

REVIEW_SHARE = 0.75


def documents(seed: int) -> Iterator[str]:
    """An endless stream of documents, fixed by the seed; no document is about an input of a built-in task.

    The grammar is small, so a document may still contain a short input as one of its sentences (about 1 in 30 does),
    followed by other sentences.
    """
    rng = Random(f"documents/{seed}")
    reserved = reserved_texts()
    while True:
        if rng.random() < REVIEW_SHARE:
            draw, write = reviews.draw_review, reviews.document
        else:
            draw, write = helpdesk.draw_ticket, helpdesk.document
        fact = draw(rng)
        if fact.text not in reserved:
            yield write(rng, fact)


def packed_tokens(tokenizer, tokens: int, seed: int) -> np.ndarray:
    """The first `tokens` tokens of the stream, each document after a start token, as uint16 [tokens]."""
    stream, packed, count = documents(seed), [], 0
    while count < tokens:
        for ids in tokenizer(list(islice(stream, 250)))["input_ids"]:
            packed.append(np.array(ids, dtype=np.uint16))
            count += len(ids)
    return np.concatenate(packed)[:tokens]
