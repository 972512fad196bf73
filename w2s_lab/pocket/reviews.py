"""Reviews: a small grammar of opinions, with the verdict as a latent variable.

A review is one or two opinions wrapped in a construction. The review itself never states its verdict. In a document,
sentences that depend on the verdict follow, so a language model has to infer the verdict to predict them.
"""

from dataclasses import dataclass
from random import Random

from w2s_lab.pocket.lexicon import ASPECTS, draw_word, is_rare, with_article

OPPOSITE = {"positive": "negative", "negative": "positive"}

# construction -> share of the reviews
CONSTRUCTIONS: dict[str, float] = {
    "plain": 0.55,
    "negated": 0.15,
    "but-overall": 0.08,
    "although": 0.08,
    "reported-and-wrong": 0.09,
    "double-negation": 0.05,
}

OPENINGS = (
    "I tried this {kind} last week.",
    "My sister told me about this {kind}.",
    "A few words about this {kind}.",
    "This {kind} has been around for a year.",
    "We chose this {kind} by chance.",
)

CONSEQUENCES: dict[str, tuple[str, ...]] = {
    "positive": (
        "My verdict is positive.",
        "My opinion is positive.",
        "I recommend it to everyone.",
        "It was worth every cent.",
        "I enjoyed it from start to finish.",
        "I am happy with my choice.",
        "I would pay for it again.",
        "Ten points out of ten.",
        "It made my day.",
        "I will come back for more.",
        "Thank you for the joy.",
        "I told my friends to try it.",
    ),
    "negative": (
        "My verdict is negative.",
        "My opinion is negative.",
        "I warn everyone against it.",
        "It was a waste of money.",
        "I suffered from start to finish.",
        "I am sorry about my choice.",
        "I want my money back.",
        "One point out of ten.",
        "It spoiled my day.",
        "I will stay away from now on.",
        "Shame on the makers.",
        "I told my friends to avoid it.",
    ),
}


@dataclass(frozen=True)
class Opinion:
    """What the writer thinks of one thing.

    Attributes:
        about: the aspect, or the kind of thing.
        word: the opinion word in the text.
        meant: the polarity that the writer means, which a negation turns around: "positive" or "negative".
    """

    about: str
    word: str
    meant: str


@dataclass(frozen=True)
class Review:
    """A review's text and the latent facts behind it.

    Attributes:
        text: the review.
        kind: kind of thing reviewed, a key of ASPECTS.
        verdict: "positive" or "negative".
        opinions: the opinions, in the order of the text.
        tags: the construction, and "rare-word" if that is plain and all opinion words are rare.
    """

    text: str
    kind: str
    verdict: str
    opinions: tuple[Opinion, ...]
    tags: tuple[str, ...]

    @property
    def summary(self) -> str:
        """The opinions in the order of the text, as in "likes the plot, dislikes the acting"."""
        return self.summary_as(self.verdict)

    def summary_as(self, verdict: str) -> str:
        """`summary` as if this were the verdict: if it is the opposite one, every opinion is turned around."""
        verbs = ("likes", "dislikes") if verdict == self.verdict else ("dislikes", "likes")
        verb = dict(zip(OPPOSITE, verbs, strict=True))
        return ", ".join(f"{verb[opinion.meant]} the {opinion.about}" for opinion in self.opinions)


def _statement(rng: Random, aspect: str, word: str) -> str:
    return rng.choice((f"the {aspect} is {word}", f"the {aspect} was {word}", f"I found the {aspect} {word}"))


def _negation(rng: Random, aspect: str, word: str) -> str:
    return rng.choice(
        (f"the {aspect} is not {word}", f"the {aspect} was not {word}", f"I did not find the {aspect} {word}")
    )


def _report(rng: Random, aspect: str, word: str) -> str:
    source, denial = rng.choice(
        (("critics say", "they are wrong"), ("my brother says", "he is mistaken"), ("the paper says", "that is untrue"))
    )
    return f"{source} the {aspect} is {word}, but {denial}"


def _double_negation(rng: Random, aspect: str, word: str) -> str:
    return rng.choice(
        (f"nobody can say that the {aspect} is not {word}", f"it is not true that the {aspect} is not {word}")
    )


def draw_review(rng: Random) -> Review:
    """Draw one review from the grammar; all randomness comes from `rng`."""
    construction = rng.choices(list(CONSTRUCTIONS), weights=CONSTRUCTIONS.values())[0]
    kind = rng.choice(list(ASPECTS))
    verdict = rng.choice(("positive", "negative"))
    first, second = rng.sample(ASPECTS[kind], 2)
    agree, differ = (lambda: draw_word(rng, verdict)), (lambda: draw_word(rng, OPPOSITE[verdict]))

    if construction in ("but-overall", "although"):
        overall, minor = Opinion(kind, agree(), verdict), Opinion(first, differ(), OPPOSITE[verdict])
        whole = f"{rng.choice(('overall', 'all in all'))} it is {with_article(overall.word)} {kind}"
        part = _statement(rng, minor.about, minor.word)
        if construction == "but-overall":
            sentence, opinions = f"{part}, but {whole}", (minor, overall)
        else:
            sentence, opinions = f"{whole}, although {part}", (overall, minor)
    else:
        wrap, draw = {
            "plain": (_statement, agree),
            "negated": (_negation, differ),
            "reported-and-wrong": (_report, differ),
            "double-negation": (_double_negation, agree),
        }[construction]
        two = construction in ("plain", "negated") and rng.random() < 0.4
        opinions = tuple(Opinion(aspect, draw(), verdict) for aspect in ((first, second) if two else (first,)))
        sentence = " and ".join(wrap(rng, opinion.about, opinion.word) for opinion in opinions)

    text = sentence[0].upper() + sentence[1:] + "."
    if rng.random() < 0.3:
        text = f"{rng.choice(OPENINGS).format(kind=kind)} {text}"
    # only plain reviews get this tag, so that the slice shows the effect of rare words and nothing else
    rare = construction == "plain" and all(is_rare(opinion.word) for opinion in opinions)
    return Review(text, kind, verdict, opinions, (construction, "rare-word") if rare else (construction,))


def document(rng: Random, review: Review, *, verdict: str | None = None) -> str:
    """The review followed by sentences that depend on its latent facts, as texts outside the tasks might be.

    The answer words of the tasks occur here in ordinary sentences; the instructions of the tasks never occur.

    Args:
        rng: all randomness comes from it, in the same draws for either verdict.
        review: what the document begins with.
        verdict: what the closing sentences follow, "positive" or "negative"; None: the review's own verdict.
    """
    verdict = verdict or review.verdict
    endings = rng.sample(CONSEQUENCES[verdict], rng.choice((1, 2, 2, 3)))
    if rng.random() < 0.25:
        endings.append(f"This was a review of a {review.kind}.")
    if rng.random() < 0.35:
        endings.append(f"In short, the writer {review.summary_as(verdict)}.")
    rng.shuffle(endings)
    return " ".join((review.text, *endings))
