"""What a source of data becomes before it becomes examples: a table of rows, and the errors that say what is wrong."""

import re
from dataclasses import dataclass
from decimal import Decimal
from numbers import Real

TEXTS = (".csv", ".tsv", ".jsonl", ".json", ".ndjson", ".txt", ".tab")
BINARY = (".parquet", ".arrow", ".feather", ".xlsx")
PACKED = (".gz", ".zip", ".bz2", ".xz")
EXTENSIONS = TEXTS + BINARY + PACKED
INPUT_NAMES = ("input", "text", "sentence", "review", "question", "prompt", "content", "document", "message")
ANSWER_NAMES = ("answer", "label", "target", "class", "sentiment", "output", "category", "response", "completion")
MAX_CLASSES = 20  # distinct values; a column with more counts as a closed list of answers only if the caller says so
MAX_WORD = 40  # most characters of an answer in a closed list, or of a column's name
NAMED = 5  # lines, rows or columns that a message names before it only counts

LINE_END = re.compile(r"\r\n|\n|\r")  # str.splitlines would also split at U+2028, \x0b, \x1c and others


class DataError(ValueError):
    """Data that cannot be used; the message names file, line, value and what was expected, and gives a hint."""


class DataWarning(UserWarning):
    """Rows of the data that were left out, or a guess about them that may be wrong."""


@dataclass(frozen=True)
class Row:
    """One data row: the line where it starts, numbered from 1 as in an editor, and its values by column."""

    line: int
    values: dict[str, object]


@dataclass(frozen=True)
class Table:
    """All data rows of one source.

    Attributes:
        name: the name of the source in messages, such as the file's path.
        columns: names in order of appearance; a file without a header has "1", "2", ...
        rows: N rows, none of them blank.
        notes: sentences that say what was guessed about the layout.
        blank: number of blank lines skipped.
        unit: what `Row.line` counts, "line" or "row".
        doubts: notes that a reader has to see, since what they tell may be wrong: each becomes a `DataWarning`.
    """

    name: str
    columns: tuple[str, ...]
    rows: tuple[Row, ...]
    notes: tuple[str, ...] = ()
    blank: int = 0
    unit: str = "line"
    doubts: tuple[str, ...] = ()

    def at(self, line: int) -> str:
        """The place that an error message names: the source and the line or row."""
        return f"{self.name}, {self.unit} {line}"


def rows_in_words(count: int) -> str:
    """A number of rows, such as "1 row"."""
    return f"{count} row{'' if count == 1 else 's'}"


def shown(value: object) -> str:
    """A value as messages show it: its repr, cut to 60 characters."""
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:57]}..."


def listed(values: object) -> str:
    """Up to 20 values, quoted, separated by commas."""
    values = list(values)
    return ", ".join(map(shown, values[:MAX_CLASSES])) + (", ..." if len(values) > MAX_CLASSES else "")


def numbered(numbers: object) -> str:
    """Up to 5 numbers of lines or rows, separated by commas."""
    numbers = list(numbers)
    return ", ".join(map(str, numbers[:NAMED])) + (", ..." if len(numbers) > NAMED else "")


def recurs(values: list[str]) -> bool:
    """Whether these look like class labels, however many classes: short values, fewer than half as many as rows."""
    distinct = set(values)
    return 2 * len(distinct) < len(values) and all(len(v) <= MAX_WORD and not LINE_END.search(v) for v in distinct)


def looks_closed(values: list[str]) -> bool:
    """Whether these look like class labels: at most 20 distinct short values, fewer than half as many as rows."""
    return len(set(values)) <= MAX_CLASSES and recurs(values)


def as_text(value: object) -> str | None:
    """A cell as text, with numbers and truth values as in JSON; None for a missing value or another type."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, (Real, Decimal)):
        return str(value) if value == value else None  # a table writes NaN for a missing number
    return value if isinstance(value, str) else None
