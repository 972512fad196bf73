"""From a review's text back to the facts behind it: the inverse of `reviews.draw_review`.

A generated text is useful only if its true answer is known. In this world the parser finds that answer: it reads every
text that the grammar can write without error, and refuses every other text.
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
# (?(1)|...): the verb follows only if the clause does not begin with the first group
_STATEMENT = re.compile(rf"(I found )?the {_ASPECT} (?(1)|(?:is|was) ){_WORD}")
_NEGATION = re.compile(rf"(I did not find )?the {_ASPECT} (?(1)|(?:is|was) not ){_WORD}")
_DOUBLE = re.compile(rf"(nobody can say|it is not true) that the {_ASPECT} is not {_WORD}")
_WHOLE = re.compile(rf"(?:overall|all in all) it is (an?) {_WORD} {_THING}")
_REPORT = re.compile(
    rf"(critics say (?=.*they are wrong)|my brother says (?=.*he is mistaken)|the paper says (?=.*that is untrue))"
    rf"the {_ASPECT} is {_WORD}, but (?:they are wrong|he is mistaken|that is untrue)"
)


def _opinion(pattern: re.Pattern, clause: str, *, flip: bool) -> Opinion | None:
    """The opinion in a clause of this form; None if the clause has another form.

    With `flip`, the clause means the opposite of its opinion word.
    """
    match = pattern.fullmatch(clause)
    if match is None:
        return None
    _, about, word = match.groups()
    return Opinion(about, word, OPPOSITE[POLARITY[word]] if flip else POLARITY[word])


def _agreeing(pattern: re.Pattern, clause: str, *, flip: bool) -> tuple[Opinion, ...] | None:
    """One opinion, or two of the same polarity about different aspects of one kind of thing; None for other clauses."""
    opinions = [_opinion(pattern, part, flip=flip) for part in clause.split(" and ")]
    if None in opinions or len(opinions) > 2 or len({opinion.meant for opinion in opinions}) > 1:
        return None
    abouts = [opinion.about for opinion in opinions]
    different = len(set(abouts)) == len(abouts) and len({KIND[about] for about in abouts}) == 1
    return tuple(opinions) if different else None


def _on_the_whole(clause: str) -> Opinion | None:
    """The opinion of the thing itself, as in "overall it is a good film"; None if the clause has another form."""
    match = _WHOLE.fullmatch(clause)
    if match is None or with_article(match[2]) != f"{match[1]} {match[2]}":
        return None
    return Opinion(match[3], match[2], POLARITY[match[2]])


def _contrast(part: str, whole: str) -> tuple[Opinion, Opinion] | None:
    """Two opinions of opposite polarity: of an aspect and of the thing itself, which decides; else None."""
    minor, overall = _opinion(_STATEMENT, part, flip=False), _on_the_whole(whole)
    if minor is None or overall is None or overall.meant == minor.meant or KIND[minor.about] != overall.about:
        return None
    return minor, overall


def _facts(clause: str) -> tuple[str, str, tuple[Opinion, ...]] | None:
    """(construction, verdict, opinions in the order of the text) of a sentence without capital and full stop."""
    for construction, pattern, flip in (("plain", _STATEMENT, False), ("negated", _NEGATION, True)):
        if opinions := _agreeing(pattern, clause, flip=flip):
            return construction, opinions[0].meant, opinions
    for construction, pattern, flip in (("reported-and-wrong", _REPORT, True), ("double-negation", _DOUBLE, False)):
        if opinion := _opinion(pattern, clause, flip=flip):
            return construction, opinion.meant, (opinion,)
    first, _, second = clause.partition(", but ")
    if contrast := _contrast(first, second):
        return "but-overall", contrast[1].meant, contrast
    first, _, second = clause.partition(", although ")
    if contrast := _contrast(second, first):
        return "although", contrast[1].meant, contrast[::-1]
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
    """The first `count` documents that `accepts` accepts, from a stream that no model was pre-trained on."""
    return tuple(islice(filter(accepts, documents(REAL_DOCUMENTS_SEED)), count))


def sentiment_world(documents: int = 100) -> World:
    """The world of the sentiment task, for `flywheel.flywheel`.

    The parser tells which texts are inputs of the task, and their true answers. `documents` is the number of real
    documents.
    """
    return World(_sentiment, real_documents(documents))
