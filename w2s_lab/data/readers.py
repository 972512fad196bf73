"""From a file to a table of rows: CSV, TSV and JSONL, read strictly, with errors that a student can act on.

Each row of the file goes into the table, is counted as a blank line, or raises a `DataError` that names its line.
"""

import csv
import difflib
import json
import re
from collections import Counter
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

EXTENSIONS = (".csv", ".tsv", ".jsonl")
INPUT_NAMES = ("input", "text", "sentence", "review", "question", "prompt", "content", "document", "message")
ANSWER_NAMES = ("answer", "label", "target", "class", "sentiment", "output", "category", "response", "completion")
MAX_CLASSES = 20  # distinct values; a column with more does not count as a closed list of answers
MAX_WORD = 40  # most characters of an answer in a closed list, or of a column's name

_LINE_END = re.compile(r"\r\n|\n|\r")  # str.splitlines would also split at U+2028, \x0b, \x1c and others
_WIDE_MARKS = {b"\xff\xfe\0\0": "UTF-32", b"\0\0\xfe\xff": "UTF-32", b"\xff\xfe": "UTF-16", b"\xfe\xff": "UTF-16"}


class DataError(ValueError):
    """Data that cannot be used; the message names file, line, value and what was expected, and gives a hint."""


class DataWarning(UserWarning):
    """Rows of the data that were left out."""


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
    """

    name: str
    columns: tuple[str, ...]
    rows: tuple[Row, ...]
    notes: tuple[str, ...] = ()
    blank: int = 0
    unit: str = "line"

    def at(self, line: int) -> str:
        """The place that an error message names: the source and the line or row."""
        return f"{self.name}, {self.unit} {line}"


def shown(value: object) -> str:
    """A value as messages show it: its repr, cut to 60 characters."""
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:57]}..."


def listed(values: object) -> str:
    """Up to 20 values, quoted, separated by commas."""
    values = list(values)
    return ", ".join(map(shown, values[:MAX_CLASSES])) + (", ..." if len(values) > MAX_CLASSES else "")


def looks_closed(values: list[str]) -> bool:
    """Whether these look like class labels: at most 20 distinct short values, fewer than half as many as rows."""
    distinct = set(values)
    few = len(distinct) <= MAX_CLASSES and 2 * len(distinct) < len(values)
    return few and all(len(v) <= MAX_WORD and not _LINE_END.search(v) for v in distinct)


def read_table(path: Path, named: tuple[str | None, ...] = ()) -> Table:
    """Read a .csv, .tsv or .jsonl file.

    Args:
        path: the file.
        named: columns that the caller asks for; if the first line has one of them, that line is a header.

    Raises:
        DataError: the file cannot be read, or its layout is broken.
    """
    text = _decode(path, _read_bytes(path))
    lines = _split_lines(text)
    if not text.strip():
        raise DataError(f"{path}: the file is empty. Hint: it needs one row per example, with an input and an answer")
    if path.suffix.lower() == ".jsonl":
        return _read_jsonl(path, lines)
    records = _csv_records(path, lines) if path.suffix.lower() == ".csv" else _tsv_records(lines)
    return _named_table(path, records, named)


def _read_bytes(path: Path) -> bytes:
    """The file's content; raises DataError if the file cannot be read."""
    try:
        if path.is_dir():
            inside = sorted(p.name for p in path.iterdir() if p.suffix.lower() in EXTENSIONS)
            raise DataError(f"{path}: a folder, not a file. Hint: files to read in it: {listed(inside) or 'none'}")
        if not path.exists():
            raise DataError(f"{path}: there is no such file. Hint: {_nearby(path)}")
        if path.suffix.lower() not in EXTENSIONS:
            raise DataError(
                f"{path}: the extension {path.suffix!r} is unknown; expected {', '.join(EXTENSIONS)}. "
                "Hint: save a spreadsheet as CSV, and a JSON list as one object a line (.jsonl)"
            )
        return path.read_bytes()
    except OSError as error:
        raise DataError(f"{path}: cannot be read ({error.strerror}). Hint: check path and permissions") from None


def _nearby(path: Path) -> str:
    """What the student may have meant by a path that does not exist."""
    folder = path.parent
    if not folder.is_dir():
        return f"the folder {str(folder.absolute())!r} does not exist"
    neighbours = sorted(p.name for p in folder.iterdir())
    if close := difflib.get_close_matches(path.name, neighbours):
        return f"did you mean {listed(close)}?"
    return f"the folder {str(folder.absolute())!r} has {listed(neighbours) or 'no files'}"


def _decode(path: Path, raw: bytes) -> str:
    """The text of UTF-8 bytes, with or without a byte order mark; raises DataError for other encodings or a NUL."""
    hint = "Hint: save the file again with encoding UTF-8"
    for mark, name in _WIDE_MARKS.items():
        if raw.startswith(mark):
            raise DataError(f"{path}: the file is encoded in {name}; expected UTF-8. {hint}")
    mark = 3 if raw.startswith(b"\xef\xbb\xbf") else 0
    nul = raw.find(b"\0")
    try:
        text = raw[mark:].decode("utf-8")
    except UnicodeDecodeError as error:
        offset = error.start + mark
        raise DataError(
            f"{path}, line {_line_of(raw, offset)}: byte {raw[offset]:#04x} at offset {offset} is not UTF-8. {hint}"
        ) from None
    if nul >= 0:
        raise DataError(
            f"{path}, line {_line_of(raw, nul)}: NUL byte at offset {nul}; expected text. "
            "Hint: the file is damaged, not a text file, or UTF-16; save it again as UTF-8"
        )
    return text


def _line_of(raw: bytes, offset: int) -> int:
    """The line, counted from 1, that holds a byte."""
    return 1 + len(re.findall(rb"\r\n|\n|\r", raw[:offset]))


def _split_lines(text: str) -> list[str]:
    """Lines with their ends, as an editor numbers them."""
    ends = [match.end() for match in _LINE_END.finditer(text)]
    return [text[a:b] for a, b in pairwise([0, *ends, len(text)]) if a < b]


def _csv_records(path: Path, lines: list[str]) -> list[tuple[int, list[str]]]:
    """(line where the row starts, cells) of each row, blank rows included."""
    reader = csv.reader(lines, strict=True)
    records: list[tuple[int, list[str]]] = []
    while True:
        start = reader.line_num + 1
        try:
            records.append((start, next(reader)))
        except StopIteration:
            return records
        except csv.Error as error:
            raise DataError(_csv_problem(f"{path}, line {start}", str(error))) from None


def _csv_problem(where: str, message: str) -> str:
    """An error of the csv module, explained for a person who looks at the file."""
    if "unexpected end" in message:
        return f'{where}: a quote is opened here and never closed. Hint: write a quote inside a quoted cell as ""'
    if "field limit" in message:
        return (
            f"{where}: a cell is longer than {csv.field_size_limit():,} characters. "
            "Hint: look for a quote that is never closed, or shorten the text"
        )
    return f'{where}: broken quoting ({message}). Hint: quote the whole cell, and write a quote inside it as ""'


def _tsv_records(lines: list[str]) -> list[tuple[int, list[str]]]:
    """(line, cells) of each row; quotes are ordinary characters."""
    return [(number, line.rstrip("\r\n").split("\t")) for number, line in enumerate(lines, 1)]


def _named_table(path: Path, records: list[tuple[int, list[str]]], named: tuple[str | None, ...]) -> Table:
    """Drop blank rows, find the header, name the columns."""
    filled = [(line, cells) for line, cells in records if any(cell.strip() for cell in cells)]
    if not filled:
        raise DataError(f"{path}: the file has no filled row. Hint: it needs one row per example")
    blank = len(records) - len(filled)
    _check_widths(path, filled)
    first_line, first = filled[0]
    if _has_header([cells for _, cells in filled], named):
        columns = tuple(name.strip() or str(number) for number, name in enumerate(first, 1))
        note, filled = f"line {first_line} is read as a header: {listed(columns)}.", filled[1:]
    else:
        columns = tuple(str(number) for number in range(1, len(first) + 1))
        note = f"no header found: line {first_line} is data, and the columns are called {listed(columns)}."
    for name, count in Counter(columns).items():
        if count > 1:
            raise DataError(f"{path}, line {first_line}: {count} columns are called {shown(name)}. Hint: rename them")
    if not filled:
        raise DataError(f"{path}: there is a header ({listed(columns)}) but no data row. Hint: add the examples")
    rows = tuple(Row(line, dict(zip(columns, cells, strict=True))) for line, cells in filled)
    return Table(str(path), columns, rows, (note,), blank)


def _check_widths(path: Path, filled: list[tuple[int, list[str]]]) -> None:
    """Raise DataError unless every row has as many cells as the first, and at least two."""
    first_line, first = filled[0]
    is_csv = path.suffix.lower() == ".csv"
    for line, cells in filled:
        if len(cells) != len(first):
            hint = "put quotes around a text that contains a comma" if is_csv else "look for a missing or an extra tab"
            expected = f"expected {len(first)}, as in line {first_line}"
            raise DataError(f"{path}, line {line}: {len(cells)} columns; {expected}. Hint: {hint}")
    if len(first) < 2:
        other = next((f"cells seem to be separated by {mark!r}; " for mark in ";\t|" if mark in first[0]), "")
        raise DataError(
            f"{path}: one column; expected at least two, an input and an answer. "
            f"Hint: {other}a .csv separates cells by commas, a .tsv by tabs"
        )


def _has_header(cells: list[list[str]], named: tuple[str | None, ...]) -> bool:
    """Whether the first row names the columns.

    It does if it holds a name that the caller asked for, or a usual name that does not occur in the column below it.
    It also does if its cells are short words and some column of class labels does not contain the word above it.
    """
    first = [cell.strip() for cell in cells[0]]
    if any(name in first for name in named if name is not None and not name.isdecimal()):
        return True
    below = [[cell.strip() for cell in column[1:]] for column in zip(*cells, strict=True)]
    new = [cell not in column for cell, column in zip(first, below, strict=True)]
    usual = (*INPUT_NAMES, *ANSWER_NAMES, "instruction")
    if any(is_new and cell.lower() in usual for cell, is_new in zip(first, new, strict=True)):
        return True
    wordy = all(cell and len(cell) <= MAX_WORD and not re.search(r"\d", cell) for cell in first)
    return wordy and any(is_new and looks_closed(column) for is_new, column in zip(new, below, strict=True))


def _read_jsonl(path: Path, lines: list[str]) -> Table:
    """The table of a file with one object a line; its columns are the keys of all lines."""
    rows = tuple(Row(number, _json_object(path, number, line)) for number, line in enumerate(lines, 1) if line.strip())
    columns = tuple(dict.fromkeys(key for row in rows for key in row.values))
    return Table(str(path), columns, rows, (), len(lines) - len(rows))


def _json_object(path: Path, number: int, line: str) -> dict[str, object]:
    """The object on the line; numbers stay as they are written, and NaN counts as a missing value."""
    where = f"{path}, line {number}"
    try:
        value = json.loads(line, parse_int=str, parse_float=str, parse_constant=lambda _: None)
    except json.JSONDecodeError as error:
        raise DataError(
            f"{where}, column {error.colno}: not valid JSON ({error.msg}). Hint: each line is one complete object, "
            'such as {"input": "...", "answer": "..."}'
        ) from None
    except RecursionError:
        raise DataError(f"{where}: the JSON is nested too deeply. Hint: each line is one flat object") from None
    if not isinstance(value, dict):
        raise DataError(
            f'{where}: found {shown(line.strip())}; expected an object such as {{"input": "...", "answer": "..."}}. '
            "Hint: a JSON list must be saved as one object a line"
        )
    return value
