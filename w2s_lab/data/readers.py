"""From a file to a table of rows, read strictly, with errors that a student can act on.

Each row of the file goes into the table, is counted as a blank line, is left out with a doubt that says so, or raises
a `DataError` that names its line.
"""

import difflib
import re
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

from w2s_lab.data import packed
from w2s_lab.data.delimited import separated_cells
from w2s_lab.data.headers import named_table
from w2s_lab.data.json_files import json_table, looks_like_json
from w2s_lab.data.tables import (
    BINARY,
    EXTENSIONS,
    LINE_END,
    PACKED,
    TEXTS,
    DataError,
    DataWarning,
    Row,
    Table,
    listed,
    shown,
)

__all__ = ["EXTENSIONS", "DataError", "DataWarning", "Row", "Table", "listed", "read_table", "shown"]

_WIDE_MARKS = {b"\xff\xfe\0\0": "UTF-32", b"\0\0\xfe\xff": "UTF-32", b"\xff\xfe": "UTF-16", b"\xfe\xff": "UTF-16"}


def read_table(path: Path, named: tuple[str, ...] = (), header: bool | None = None) -> Table:
    """Read a file of rows: CSV, TSV, JSON, JSON Lines, Parquet, Arrow or Excel, bare or packed by gzip, zip, bzip2, xz.

    What the first bytes say goes before the extension.

    Args:
        path: the file.
        named: columns that the caller asks for; if the first line has one of them, that line is a header.
        header: whether line 1 of a CSV, TSV or Excel file names the columns; None: guessed, and the guess reported.

    Raises:
        DataError: the file cannot be read, or its layout is broken.
    """
    name = str(path)
    inner, raw, notes = packed.unpacked(name, path.name, _read_bytes(path))
    packed.refuse(name, raw)
    table = packed.binary_table(name, raw, named, header) or _text_table(name, inner, raw, named, header)
    return replace(table, notes=(*notes, *table.notes))


def _text_table(name: str, inner: str, raw: bytes, named: tuple[str, ...], header: bool | None) -> Table:
    """The table of a file of text; `inner` is its name, or that in an archive."""
    while Path(inner).suffix.lower() in PACKED:
        inner = inner.rpartition(".")[0]  # a browser may have unpacked it
    suffix = Path(inner).suffix.lower()
    if suffix in BINARY:
        raise DataError(
            f"{name}: the content is not what the extension {suffix!r} says. "
            f"Hint: if it is text, rename it; expected {', '.join(TEXTS)}"
        )
    text = _decode(name, raw)
    lines = _split_lines(text)
    if not text.strip():
        raise DataError(f"{name}: the file is empty. Hint: it needs one row per example, with an input and an answer")
    if suffix in (".jsonl", ".json", ".ndjson") or (header is None and looks_like_json(text)):
        packed.no_header(name, header)
        return json_table(name, text, lines)
    cells = separated_cells(name, lines, usual="\t" if suffix in (".tsv", ".tab") else ",")
    records, notes, doubts = cells.records, cells.notes, cells.doubts
    return named_table(name, records, named=named, header=header, notes=notes, doubts=doubts)


def _read_bytes(path: Path) -> bytes:
    """The file's content; raises DataError if the file cannot be read."""
    try:
        if path.is_dir():
            inside = sorted(p.name for p in path.iterdir() if p.suffix.lower() in EXTENSIONS)
            raise DataError(f"{path}: a folder, not a file. Hint: files to read in it: {listed(inside) or 'none'}")
        if not path.exists():
            raise DataError(f"{path}: there is no such file. Hint: {_nearby(path)}")
        if (size := path.stat().st_size) > packed.LIMIT:
            raise DataError(f"{path}: {size:,} bytes; expected at most {packed.LIMIT:,}. Hint: take a part of its rows")
        raw = path.read_bytes()
    except OSError as error:
        raise DataError(f"{path}: cannot be read ({error.strerror}). Hint: check path and permissions") from None
    if path.suffix.lower() not in EXTENSIONS and not packed.is_known(raw):
        raise DataError(
            f"{path}: the extension {path.suffix!r} is unknown; expected {', '.join(EXTENSIONS)}. "
            "Hint: save a spreadsheet as CSV (UTF-8)"
        )
    return raw


def _nearby(path: Path) -> str:
    """What the student may have meant by a path that does not exist."""
    folder = path.parent
    if not folder.is_dir():
        return f"the folder {str(folder.absolute())!r} does not exist"
    neighbours = sorted(p.name for p in folder.iterdir())
    if close := difflib.get_close_matches(path.name, neighbours):
        return f"did you mean {listed(close)}?"
    return f"the folder {str(folder.absolute())!r} has {listed(neighbours) or 'no files'}"


def _decode(name: str, raw: bytes) -> str:
    """The text of UTF-8 bytes, with or without a byte order mark; raises DataError for other encodings or a NUL."""
    hint = "Hint: save the file again with encoding UTF-8"
    for mark, encoding in _WIDE_MARKS.items():
        if raw.startswith(mark):
            raise DataError(f"{name}: the file is encoded in {encoding}; expected UTF-8. {hint}")
    mark = 3 if raw.startswith(b"\xef\xbb\xbf") else 0
    nul = raw.find(b"\0")
    try:
        text = raw[mark:].decode("utf-8")
    except UnicodeDecodeError as error:
        offset = error.start + mark
        raise DataError(
            f"{name}, line {_line_of(raw, offset)}: byte {raw[offset]:#04x} at offset {offset} is not UTF-8. {hint}"
        ) from None
    if nul >= 0:
        raise DataError(
            f"{name}, line {_line_of(raw, nul)}: NUL byte at offset {nul}; expected text. "
            "Hint: the file is damaged, not a text file, or UTF-16; save it again as UTF-8"
        )
    return text


def _line_of(raw: bytes, offset: int) -> int:
    """The line, counted from 1, that holds a byte."""
    return 1 + len(re.findall(rb"\r\n|\n|\r", raw[:offset]))


def _split_lines(text: str) -> list[str]:
    """Lines with their ends, as an editor numbers them."""
    ends = [match.end() for match in LINE_END.finditer(text)]
    return [text[a:b] for a, b in pairwise([0, *ends, len(text)]) if a < b]
