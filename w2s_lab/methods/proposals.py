"""New inputs that a language model samples, and the filters that they must pass to enter a pool of examples.

These are the parts of Self-Instruct (Wang et al. 2022, arXiv 2212.10560) in a small world. A model proposes inputs.
Filters refuse texts that are no inputs of the task, texts that repeat or nearly repeat another, and inputs whose answer
the labeller is unsure of. A filter is a pure function that returns which rows it keeps and how many it removes, so that
nothing is dropped in silence.
"""

import math
import re
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import chain

import numpy as np
import torch

from w2s_lab.models.language_model import LanguageModel
from w2s_lab.records import LabelledSet
from w2s_lab.system.randomness import OwnRandomness
from w2s_lab.system.record import Record

BATCH = 256  # documents sampled at a time
FRAMES = (  # rule-made paraphrases of an instruction
    "Please answer: {}",
    "Here is a text. {}",
    "{} Thank you.",
    "{} One word will do.",
)


# -- proposals -------------------------------------------------------------------------------------------------------


@torch.no_grad()
def sample_documents(
    model: LanguageModel, count: int, *, temperature: float = 1.0, seed: int, max_new_tokens: int = 48
) -> list[str]:
    """`count` documents, sampled token by token from Pr(y_t|y_<t)^(1/temperature), after the start token alone.

    Every token can be drawn (no top-k, no nucleus). A document ends at the end token, or unfinished after
    `max_new_tokens` tokens. torch's global generator stays as it was.

    Raises:
        ValueError: `count`, `temperature` or `max_new_tokens` is not above 0, or the tokenizer has no start token.
    """
    for name, value in (("count", count), ("temperature", temperature), ("max_new_tokens", max_new_tokens)):
        if not value > 0:
            raise ValueError(f"sample_documents: {name} is {value}; expected a number above 0")
    end = model.tokenizer.eos_token_id
    start = end if model.tokenizer.bos_token_id is None else model.tokenizer.bos_token_id
    if start is None:
        raise ValueError(f"{model.name}: its tokenizer has no start token. Hint: take a model that has one")
    texts: list[str] = []
    way = model.generation()
    with OwnRandomness(seed):
        while len(texts) < count:
            ids = torch.full((min(BATCH, count - len(texts)), 1), start, device=model.device)
            rows = model.network.generate(
                input_ids=ids,
                attention_mask=torch.ones_like(ids),
                do_sample=True,
                temperature=temperature,
                top_k=0,
                top_p=1.0,
                max_new_tokens=max_new_tokens,
                eos_token_id=end,
                pad_token_id=end,
                use_cache=way.cached and way.batch != "single",
            )
            texts += model.tokenizer.batch_decode(
                rows[:, 1:], skip_special_tokens=True, clean_up_tokenization_spaces=False
            )
    return [text.strip() for text in texts]


def task_input(document: str, accepts: Callable[[str], bool]) -> str:
    """The longest prefix of whole sentences that is an input of the task.

    If there is none, the first sentence, which the filter `valid` will refuse.
    """
    ends = [stop.end() for stop in re.finditer(r"[.!?](?=\s|$)", document)]
    for end in reversed(ends):
        if accepts(document[:end]):
            return document[:end]
    return document[: ends[0]] if ends else document


def sample_texts(
    model: LanguageModel,
    count: int,
    *,
    accepts: Callable[[str], bool],
    temperature: float = 1.0,
    seed: int,
    max_new_tokens: int = 48,
) -> list[str]:
    """`count` proposals for inputs: sampled documents (see `sample_documents`), each cut by `task_input`."""
    sampled = sample_documents(model, count, temperature=temperature, seed=seed, max_new_tokens=max_new_tokens)
    return [task_input(document, accepts) for document in sampled]


def paraphrased(instructions: Sequence[str], count: int, *, share: float = 0.5, seed: int) -> tuple[str, ...]:
    """`count` instructions, drawn uniformly from `instructions`; a fraction `share` of them put in one of FRAMES.

    Raises:
        ValueError: there is no instruction, or `share` is not between 0 and 1.
    """
    if not instructions or not 0 <= share <= 1:
        raise ValueError(
            f"paraphrased: {len(instructions)} instructions and share {share}; expected at least one, and 0 to 1"
        )
    rng = np.random.default_rng(seed)
    drawn = [instructions[i] for i in rng.integers(len(instructions), size=count)]
    framed, frames = rng.random(count) < share, rng.integers(len(FRAMES), size=count)
    return tuple(
        FRAMES[frame].format(instruction) if is_framed else instruction
        for instruction, is_framed, frame in zip(drawn, framed, frames, strict=True)
    )


# -- how alike two texts are -----------------------------------------------------------------------------------------


def words(text: str) -> list[str]:
    """Lower-case words and numbers; punctuation does not count."""
    return re.findall(r"[^\W_]+(?:'[^\W_]+)*", text.lower())


def longest_common_subsequence(a: Sequence[str], b: Sequence[str]) -> int:
    """Length of the longest sequence of words that occurs in both in this order, with gaps allowed.

    Bit-parallel, in len(b) operations on integers of len(a) bits (Hyyro 2004, "Bit-parallel LCS-length computation
    revisited").
    """
    places: dict[str, int] = {}
    for i, word in enumerate(a):
        places[word] = places.get(word, 0) | 1 << i
    every = (1 << len(a)) - 1
    rows = every  # a zero at i: the common subsequence grows at a[i]
    for word in b:
        match = rows & places.get(word, 0)
        rows = (rows + match | rows - match) & every
    return len(a) - rows.bit_count()


def rouge_l(a: str, b: str) -> float:
    """ROUGE-L F1 of two texts on words: 2 LCS / (|a| + |b|), from 0 to 1 (Lin 2004). 0 where neither has a word."""
    return _f1(words(a), words(b))


def _f1(a: Sequence[str], b: Sequence[str]) -> float:
    return 2 * longest_common_subsequence(a, b) / (len(a) + len(b)) if a or b else 0.0


def distinct(texts: Sequence[str], n: int) -> float | None:
    """Distinct-n: different n-grams of words over all n-grams (Li et al. 2016, arXiv 1510.03055); None without n-grams.

    It falls as the number of texts grows: compare equal numbers of texts only.
    """
    grams = [gram for text in texts for gram in zip(*(words(text)[i:] for i in range(n)), strict=False)]
    return len(set(grams)) / len(grams) if grams else None


# -- filters ---------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Kept(Record):
    """The result of a filter on N rows: `rows`, the numbers of those it keeps, in order, and how many it `removed`."""

    rows: tuple[int, ...]
    removed: int

    @classmethod
    def where(cls, mask: Sequence[bool]) -> "Kept":
        """The result of a filter that keeps the rows where `mask` is true."""
        rows = tuple(i for i, keep in enumerate(mask) if keep)
        return cls(rows, len(mask) - len(rows))


def valid(texts: Sequence[str], accepts: Callable[[str], bool]) -> Kept:
    """Keeps the texts that are inputs of the task."""
    return Kept.where([accepts(text) for text in texts])


def unseen(texts: Sequence[str], others: Sequence[str]) -> Kept:
    """Keeps the texts that are not in `others`; a text may occur twice."""
    known_texts = set(others)
    return Kept.where([text not in known_texts for text in texts])


def without_repeats(texts: Sequence[str], pool: Sequence[str]) -> Kept:
    """Keeps the first of equal texts, and none that is in the pool."""
    seen, mask = set(pool), []
    for text in texts:
        mask.append(text not in seen)
        seen.add(text)
    return Kept.where(mask)


def without_near_duplicates(texts: Sequence[str], pool: Sequence[str], threshold: float) -> Kept:
    """Keeps a text whose ROUGE-L F1 with every text of the pool and every text kept before it is below `threshold`.

    Self-Instruct takes 0.7. Texts of a small grammar are more alike, and need more: see `flywheel.NEAR_DUPLICATE`. To
    save time, ROUGE-L is computed only for pairs whose upper bound, 2 |multiset intersection of words| / (|a| + |b|),
    reaches the threshold.

    Raises:
        ValueError: the threshold is not above 0 and at most 1.
    """
    if not 0 < threshold <= 1:
        raise ValueError(f"without_near_duplicates: threshold is {threshold}; expected a number above 0, up to 1")
    pool_words = [words(text) for text in pool]
    tokens = [*pool_words, *map(words, texts)]
    kept = np.zeros(len(tokens), dtype=bool)
    kept[: len(pool_words)] = True
    new_rows = range(len(pool_words), len(tokens))
    for row, candidates in zip(new_rows, _bounded(tokens, len(pool_words), threshold), strict=True):
        alike = (_f1(tokens[other], tokens[row]) >= threshold for other in candidates if kept[other])
        kept[row] = not any(alike)
    return Kept.where(kept[len(pool_words) :].tolist())


def _bounded(tokens: Sequence[Sequence[str]], first: int, threshold: float) -> Iterator[list[int]]:
    """For each row from `first` on, the earlier rows whose ROUGE-L may reach the threshold t, the most alike first.

    For that, texts of n and m words need at least t (n + m) / 2 common words, and have at most m: so at least
    c = t n / (2 - t) of the n. Let the words of all texts have one order, the rarest first. Two texts with enough in
    common then share one of the first n - c + 1 of theirs (prefix filter; Chaudhuri, Ganti and Kaushik 2006), and
    few texts share a rare word.
    """
    # "Word w occurs at least k times": what two texts have in common of these is the intersection of two multisets.
    texts = [[(word, k) for word, times in Counter(text).items() for k in range(times)] for text in tokens]
    counts = Counter(chain.from_iterable(texts))
    place = {feature: number for number, feature in enumerate(sorted(counts, key=lambda one: (counts[one], one)))}
    rows = [sorted(place[feature] for feature in text) for text in texts]
    whole, having = [set(row) for row in rows], defaultdict(list)
    # c of each; floating point may be a little above a whole number
    least = [math.ceil(threshold * len(row) / (2 - threshold) - 1e-9) for row in rows]
    for number, row in enumerate(rows):
        rare = row[: len(row) - least[number] + 1]
        if number >= first:
            bounds = {
                other: 2 * len(whole[number] & whole[other]) / (len(row) + len(rows[other]))
                for other in set(chain.from_iterable(having[feature] for feature in rare))
                if len(row) >= least[other] and len(rows[other]) >= least[number]
            }
            yield sorted((one for one, bound in bounds.items() if bound >= threshold), key=lambda o: (-bounds[o], o))
        for feature in rare:
            having[feature].append(number)


def confident(labels: LabelledSet, minimum: float) -> Kept:
    """Keeps the examples to whose answer the labeller gives a probability of at least `minimum`.

    Raises:
        ValueError: the labels come without probabilities.
    """
    if labels.probs is None:
        raise ValueError(
            f"confident: the labels ({labels.source}) have no probabilities. Hint: take labels from weak_labels on a "
            "task with a closed list of answers"
        )
    return Kept.where((labels.probs.max(-1) >= minimum).tolist())


def balanced(answers: Sequence[str], shares: dict[str, float]) -> Kept:
    """Keeps as many rows as possible with every answer in its share (rounded down); of each answer, the first rows.

    Raises:
        ValueError: an answer has no share.
    """
    counts = Counter(answers)
    if not counts.keys() <= shares.keys():
        missing = sorted(counts.keys() - shares.keys())
        raise ValueError(f"balanced: no share for {', '.join(map(repr, missing))}; given are {', '.join(shares)}")
    total = min(counts[answer] / share for answer, share in shares.items() if share > 0)
    # 1e-9: floating point may put a whole number a little below itself
    left = {answer: int(total * share + 1e-9) for answer, share in shares.items()}
    mask = []
    for answer in answers:
        left[answer] -= 1
        mask.append(left[answer] >= 0)
    return Kept.where(mask)
