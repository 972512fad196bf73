"""Sentences that about twenty people each rated from -4 to 4, as closed tasks: the data of Hutto and Gilbert (2014).

`w2s-lab fetch` brings them; no text of them is part of the kit.
"""

import re
from dataclasses import dataclass
from html import unescape
from pathlib import Path

from w2s_lab.data.examples import table_of
from w2s_lab.data.tables import DataError, Table
from w2s_lab.records import Example

ANSWERS = ("negative", "positive")
VERDICT = 0.5  # a mean rating nearer to 0 than this is no verdict
CLEAR = 2.5  # from here on the raters agree: the tag `clear`
SHORT = 12  # words, at most: the tag `short`


@dataclass(frozen=True)
class RatedFile:
    """A file of rated sentences: what its texts are called, how many it has, and how many are left as examples."""

    filename: str
    text: str
    sentences: int
    examples: int

    @property
    def instruction(self) -> str:
        return f"Is the sentiment of this {self.text} negative or positive?"


RATED = {
    "film-reviews": RatedFile("movieReviewSnippets_GroundTruth.txt", "movie review", 10_605, 10_070),
    "product-reviews": RatedFile("amazonReviewSnippets_GroundTruth.txt", "product review", 3_708, 2_977),
    "editorials": RatedFile("nytEditorialSnippets_GroundTruth.txt", "newspaper editorial", 5_190, 2_931),
    "short-messages": RatedFile("tweets_GroundTruth.txt", "short message", 4_200, 3_432),
}


def rated_sentences(path: Path) -> list[tuple[float, str]]:
    """(mean rating, text) of every line, in the file's order: `id TAB rating TAB text`.

    HTML's names of signs, such as &amp;, become the signs, and blanks around a text are cut off.

    Raises:
        DataError: a line has another form; the message names it.
    """
    found = []
    for number, line in enumerate(path.read_text(encoding="utf-8").split("\n"), 1):
        if not line.strip():
            continue
        cells = line.split("\t")
        try:
            _, rating, text = cells
            found.append((float(rating), _signs(text).strip()))
        except ValueError:
            raise DataError(f"{path}, line {number}: expected an id, a rating and a text, with tabs between") from None
    return found


def _signs(text: str) -> str:
    """`&amp;amp;` occurs too, so it is done until nothing changes."""
    while (plain := re.sub(r"&(?:#\d+|[A-Za-z]+);", lambda match: unescape(match[0]), text)) != text:
        text = plain
    return text


def rated_table(name: str, folder: Path) -> Table:
    """The examples of a source, which lies in `folder`: the sign of the rating is the answer.

    Tags: `clear` where the mean rating is 2.5 or more from 0, `short` where the text has at most 12 words.

    Raises:
        DataError: the file is not as it was made.
    """
    source = RATED[name]
    path = folder / source.filename
    sentences = rated_sentences(path)
    verdicts = [text for rating, text in sentences if abs(rating) >= VERDICT]
    rated = ratings(name, folder)
    examples = [_example(source, text, rated[text]) for text in dict.fromkeys(verdicts)]
    if (len(sentences), len(examples)) != (source.sentences, source.examples):
        raise DataError(
            f"{path}: {len(sentences):,} sentences, {len(examples):,} of them usable; expected {source.sentences:,} "
            f"and {source.examples:,}. Hint: delete its folder, and fetch {name} again"
        )
    notes = [
        f"{len(sentences) - len(verdicts):,} of {len(sentences):,} sentences left out: their mean rating lies between "
        f"-{VERDICT} and {VERDICT}.",
        f"{len(verdicts) - len(examples)} left out: the same text as an earlier one.",
    ]
    return table_of(name, examples, notes[: 1 + (len(verdicts) > len(examples))])


def _example(source: RatedFile, text: str, rating: float) -> Example:
    tags = ("clear",) * (abs(rating) >= CLEAR) + ("short",) * (len(text.split()) <= SHORT)
    return Example(source.instruction, text, ANSWERS[rating > 0], tags)


def ratings(name: str, folder: Path) -> dict[str, float]:
    """Text -> mean rating, from -4 to 4; of a text that repeats, the first one with a verdict, if there is one."""
    sentences = rated_sentences(folder / RATED[name].filename)
    return {text: rating for rating, text in sorted(reversed(sentences), key=lambda pair: abs(pair[0]) >= VERDICT)}
