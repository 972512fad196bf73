"""How rows become examples, as the caller says it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from w2s_lab.data.answers import Answers, from_file
from w2s_lab.data.tables import as_text


@dataclass(frozen=True)
class ReadOptions:
    """How rows become examples. An option that is None is guessed, and the guess is reported.

    Attributes:
        input_column: name of the input's column, or its number counted from 1. Several, as a sequence or with commas
            ("title,text"), are joined: a line each, with the name of the column before it. A name that has a comma
            stands for itself if it is a column, and in quotes among others.
        answer_column: the same, of one column, for the true answer.
        instruction: the instruction of every row, instead of the file's own `instruction` column.
        answers: the closed list of legal answers, or a mapping from the file's values to answers ({"0": "negative"}),
            or the `Path` of a file that holds either: one answer a line, a value, a tab and an answer, or JSON.
        open_ended: answers are free text, even if there are only a few different ones.
        header: whether line 1 of a CSV, TSV or Excel file names the columns.
        closed: the answers in the file are the closed list, however many there are.

    Raises:
        ValueError: there are fewer than two answers, one of them is empty, or options contradict each other.
    """

    input_column: str | Sequence[str] | None = None
    answer_column: str | None = None
    instruction: str | None = None
    answers: Answers | None = None
    open_ended: bool = False
    header: bool | None = None
    closed: bool = False

    def __post_init__(self) -> None:
        if isinstance(self.answers, str) or (self.answers is not None and len(self.legal or ()) < 2):
            raise ValueError(f"answers is {self.answers!r}; expected at least two answers, as a list or a mapping")
        if "" in self.words.values():
            raise ValueError(f"answers is {self.answers!r}; expected no empty answer")
        if self.open_ended and (self.answers is not None or self.closed):
            given = "closed" if self.answers is None else "answers"
            raise ValueError(f"{given} and open_ended contradict each other: a closed list of answers, or free text")
        if self.header not in (None, True, False):
            raise ValueError(f"header is {self.header!r}; expected True, False, or None for a guess")

    @cached_property
    def words(self) -> dict[str, str]:
        """The file's value -> the answer; empty where `answers` is None."""
        answers = from_file(self.answers) if isinstance(self.answers, Path) else self.answers
        pairs = answers.items() if isinstance(answers, Mapping) else ((a, a) for a in answers or ())
        found: dict[str, str] = {}
        for value, answer in pairs:
            value, answer = ((as_text(part) or str(part)).strip() for part in (value, answer))
            if found.setdefault(value, answer) != answer:
                raise ValueError(
                    f"answers: {value!r} stands for {found[value]!r} and for {answer!r}; expected one answer"
                )
        return found

    @property
    def legal(self) -> tuple[str, ...] | None:
        """The given closed list, in order and without repeats, or None."""
        return tuple(dict.fromkeys(self.words.values())) or None
