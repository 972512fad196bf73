"""Sentences that tell a film's story, and sentences that judge one, as a closed task: from data of Pang and Lee (2004).

`w2s-lab fetch film-texts` brings them; no text of them is part of the kit.
"""

import bz2
import csv
import io
import re
from html import unescape
from pathlib import Path

from w2s_lab.data.examples import table_of
from w2s_lab.data.rated import SHORT
from w2s_lab.data.tables import DataError, Table
from w2s_lab.records import Example

NAME = "film-texts"
FILENAME = "films.csv.bz2"
ANSWERS = ("description", "review")
INSTRUCTION = "Is this sentence from the description of a film or from a review?"
WORDS = range(8, 41)  # of a sentence that is used, so that its length does not tell what it is
A_FILM = 3  # sentences of one description, at most: the first ones
SENTENCES, EXAMPLES = 13_905, 5_594  # texts of the file, and examples of it

_END = re.compile(r"""(?<=[.!?])["')\]]*\s+(?=["'(\[]?[A-Z])""")


def film_table(name: str, folder: Path) -> Table:
    """The examples, as many of each answer; `folder` holds the file.

    A description is cut into sentences, of which the first three of 8 to 40 words are used; of the reviews of 8 to 40
    words, as many are taken at equal distances in the file. The tag `short` marks at most 12 words.

    Raises:
        DataError: the file is not as it was made.
    """
    path = folder / FILENAME
    try:
        text = bz2.decompress(path.read_bytes()).decode("utf-8")
        pairs = [(row["category"], unescape(row["text"])) for row in csv.DictReader(io.StringIO(text), strict=True)]
    except (OSError, ValueError, KeyError, csv.Error) as error:
        raise DataError(f"{path}: not the file that was fetched ({error}). {_again(name)}") from None
    films = [_sentences(text) for category, text in pairs if category == "plot"]
    told = list(dict.fromkeys(sentence for film in films for sentence in film[:A_FILM]))
    judged = dict.fromkeys(_plain(text) for category, text in pairs if category != "plot")
    judged = [text for text in judged if len(text.split()) in WORDS and text not in set(told)]
    count = min(len(told), len(judged))
    examples = [_example(text, ANSWERS[0]) for text in told[:count]]
    examples += [_example(judged[i * len(judged) // count], ANSWERS[1]) for i in range(count)]
    if (len(pairs), len(examples)) != (SENTENCES, EXAMPLES):
        raise DataError(
            f"{path}: {len(pairs):,} texts, {len(examples):,} examples; expected {SENTENCES:,} and {EXAMPLES:,}. "
            f"{_again(name)}"
        )
    notes = [
        f"{len(films):,} descriptions give {len(told):,} sentences: the first {A_FILM} of each that have {WORDS[0]} to "
        f"{WORDS[-1]} words.",
        f"{count:,} of {len(pairs) - len(films):,} reviews are used, at equal distances in the file.",
    ]
    return table_of(name, examples, notes)


def _again(name: str) -> str:
    return f"Hint: delete its folder, and fetch {name} again"


def _plain(text: str) -> str:
    return " ".join(text.split())


def _sentences(description: str) -> list[str]:
    """Its sentences of usual length; an abbreviation may end one too early."""
    return [plain for part in _END.split(description) if len((plain := _plain(part)).split()) in WORDS]


def _example(text: str, answer: str) -> Example:
    return Example(INSTRUCTION, text, answer, ("short",) * (len(text.split()) <= SHORT))
