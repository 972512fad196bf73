"""From a review's text back to the facts behind it: the inverse of `reviews.draw_review`.

A generated text is worth something only where its truth is known. In this world a parser knows it: what the grammar
can write is read back without error, and everything else is refused.
"""

import re
from collections.abc import Callable, Iterable
from itertools import islice

from w2s_lab.data.world import World
from w2s_lab.pocket.corpus import documents
from w2s_lab.pocket.lexicon import ASPECTS, WORDS, is_rare, with_article
from w2s_lab.pocket.reviews import OPENINGS, OPPOSITE, Opinion, Review
from w2s_lab.records import Example

KIND = {aspect: kind for kind, aspects in ASPECTS.items() for aspect in aspects}
POLARITY = {word: polarity for polarity, words in WORDS.items() for word in words}
REAL_DOCUMENTS_SEED = 7_919  # a stream that no model was pre-trained on


def _any(texts: Iterable[str]) -> str:
    return "|".join(map(re.escape, texts))


_ASPECT, _WORD, _THING = f"({_any(KIND)})", f"({_any(POLARITY)})", f"({_any(ASPECTS)})"
_OPENING = re.compile("|".join(re.escape(f"{opening} ").replace(r"\{kind\}", _THING) for opening in OPENINGS))
# (?(1)|...): a verb stands here only where the clause does not begin with the first group
_STATEMENT = re.compile(rf"(I found )?the {_ASPECT} (?(1)|(?:is|was) ){_WORD}")
_NEGATION = re.compile(rf"(I did not find )?the {_ASPECT} (?(1)|(?:is|was) not ){_WORD}")
_DOUBLE = re.compile(rf"(nobody can say|it is not true) that the {_ASPECT} is not {_WORD}")
_WHOLE = re.compile(rf"(?:overall|all in all) it is (an?) {_WORD} {_THING}")
_REPORT = re.compile(
    rf"(critics say (?=.*they are wrong)|my brother says (?=.*he is mistaken)|the paper says (?=.*that is untrue))"
    rf"the {_ASPECT} is {_WORD}, but (?:they are wrong|he is mistaken|that is untrue)"
)


def _opinion(pattern: re.Pattern, clause: str, *, flip: bool) -> Opinion | None:
    """The opinion that a clause of this form says, or, with `flip`, denies."""
    found = pattern.fullmatch(clause)
    if found is None:
        return None
    _, about, word = found.groups()
    return Opinion(about, word, OPPOSITE[POLARITY[word]] if flip else POLARITY[word])


def _agreeing(pattern: re.Pattern, clause: str, *, flip: bool) -> tuple[Opinion, ...] | None:
    """One opinion or two about different aspects of one kind of thing, all of one polarity."""
    found = [_opinion(pattern, part, flip=flip) for part in clause.split(" and ")]
    if None in found or len(found) > 2 or len({opinion.meant for opinion in found}) > 1:
        return None
    abouts = [opinion.about for opinion in found]
    different = len(set(abouts)) == len(abouts) and len({KIND[about] for about in abouts}) == 1
    return tuple(found) if different else None


def _on_the_whole(clause: str) -> Opinion | None:
    found = _WHOLE.fullmatch(clause)
    if found is None or with_article(found[2]) != f"{found[1]} {found[2]}":
        return None
    return Opinion(found[3], found[2], POLARITY[found[2]])


def _contrast(part: str, whole: str) -> tuple[Opinion, Opinion] | None:
    """An aspect and the thing itself, of opposite polarities; the thing decides."""
    minor, overall = _opinion(_STATEMENT, part, flip=False), _on_the_whole(whole)
    if minor is None or overall is None or overall.meant == minor.meant or KIND[minor.about] != overall.about:
        return None
    return minor, overall


def _facts(clause: str) -> tuple[str, str, tuple[Opinion, ...]] | None:
    """(construction, verdict, opinions in the order of the text) of a sentence without its capital and its stop."""
    for construction, pattern, flip in (("plain", _STATEMENT, False), ("negated", _NEGATION, True)):
        if opinions := _agreeing(pattern, clause, flip=flip):
            return construction, opinions[0].meant, opinions
    for construction, pattern, flip in (("reported-and-wrong", _REPORT, True), ("double-negation", _DOUBLE, False)):
        if opinion := _opinion(pattern, clause, flip=flip):
            return construction, opinion.meant, (opinion,)
    first, _, second = clause.partition(", but ")
    if found := _contrast(first, second):
        return "but-overall", found[1].meant, found
    first, _, second = clause.partition(", although ")
    if found := _contrast(second, first):
        return "although", found[1].meant, found[::-1]
    return None


def parse_review(text: str) -> Review | None:
    """The facts behind a review; None where the grammar of `reviews.draw_review` cannot have written this text.

    Every text has one reading, since no word has two polarities and no aspect belongs to two kinds of things.
    """
    opening = _OPENING.match(text)
    sentence = text[opening.end() :] if opening else text
    if not sentence.endswith(".") or not sentence[0].isupper():
        return None
    clause = sentence[:-1] if sentence.startswith("I ") else sentence[0].lower() + sentence[1:-1]
    facts = _facts(clause)
    if facts is None:
        return None
    construction, verdict, opinions = facts
    about = opinions[0].about
    kind = KIND.get(about, about)  # an overall opinion is about the thing itself
    if opening and kind not in opening.groups():
        return None
    rare = construction == "plain" and all(is_rare(opinion.word) for opinion in opinions)
    return Review(text, kind, verdict, opinions, (construction, "rare-word") if rare else (construction,))


def _sentiment(text: str) -> Example | None:
    review = parse_review(text)
    return review and Example("", text, review.verdict, review.tags)


def real_documents(count: int, *, accepts: Callable[[str], bool] = bool) -> tuple[str, ...]:
    """`count` documents that `accepts` accepts, from a stream of the world that no model was pre-trained on."""
    return tuple(islice(filter(accepts, documents(REAL_DOCUMENTS_SEED)), count))


def sentiment_world(documents: int = 100) -> World:
    """Truth and validity of the sentiment task by the parser, and so many real documents, for `flywheel.flywheel`."""
    return World(_sentiment, real_documents(documents))
