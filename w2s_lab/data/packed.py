"""Files that are no text: what their first bytes say they are, and the table in them where a library here reads it."""

import bz2
import gzip
import io
import lzma
import zipfile
import zlib
from collections.abc import Callable, Iterator
from pathlib import PurePosixPath
from typing import Any

from w2s_lab.data.archives import UnsafeArchive, read_bounded
from w2s_lab.data.delimited import Record
from w2s_lab.data.headers import named_table
from w2s_lab.data.tables import EXTENSIONS, DataError, Row, Table, as_text, listed

LIMIT = 300_000_000  # bytes that a file may have, packed or not: as objects in memory they become several times as many
DEPTH = 3  # archives in archives

_STREAMS: dict[bytes, tuple[str, Callable[..., Any]]] = {
    b"\x1f\x8b": ("gzip", gzip.open),
    b"BZh": ("bzip2", bz2.open),
    b"\xfd7zXZ\0": ("xz", lzma.open),
}
_FOREIGN = {  # first bytes -> what the file is, and what to do with it
    b"\xd0\xcf\x11\xe0": ("an old Excel or Word file", "save the table as CSV (UTF-8) or .xlsx"),
    b"%PDF": ("a PDF", "it needs a table of texts and answers, such as a CSV file"),
    b"SQLite format 3\0": ("an SQLite database", "export its table as CSV"),
    b"\x28\xb5\x2f\xfd": ("packed by zstd", "unpack it with `unzstd`"),
    b"7z\xbc\xaf\x27\x1c": ("a 7z archive", "unpack it, and name the file inside"),
    b"Rar!": ("a RAR archive", "unpack it, and name the file inside"),
    b"\x93NUMPY": ("an array of numpy", "it needs a table of texts and answers, such as a CSV file"),
    b"\x89HDF": ("an HDF5 file", "export its table as CSV"),
    b"ORC": ("an ORC file", "export its table as CSV or Parquet"),
    b"Obj\x01": ("an Avro file", "export its table as CSV or Parquet"),
    b"{\\rtf": ("a document in Rich Text Format", "save the table as CSV (UTF-8)"),
    b"\x89PNG": ("a picture", "it needs a table of texts and answers, such as a CSV file"),
    b"\xff\xd8\xff": ("a picture", "it needs a table of texts and answers, such as a CSV file"),
    b"version https://git-lfs": ("only a pointer of Git LFS", "get the file itself with `git lfs pull`"),
} | {
    bytes([128, version]): ("a pickle of Python, which could run any code", "save the table as CSV or JSON Lines")
    for version in (2, 3, 4, 5)
}
_PAGES = (b"<!doctype html", b"<html", b"<?xml")


def unpacked(name: str, inner: str, raw: bytes, depth: int = 0) -> tuple[str, bytes, list[str]]:
    """(name inside, content, notes) of what a .gz, .bz2, .xz or .zip holds, or of the file itself.

    Args:
        name: of the file, for messages.
        inner: its name, or that of the member of an archive.
        raw: its content.
        depth: archives around it.

    Raises:
        DataError: it is damaged, holds no file or several, is too large, or is of a kind that cannot be read.
    """
    stream = next((found for mark, found in _STREAMS.items() if raw.startswith(mark)), None)
    is_zip = raw.startswith((b"PK\x03\x04", b"PK\x05\x06"))
    if stream is None and (not is_zip or _is_workbook(name, raw)):
        return inner, raw, []
    if depth == DEPTH:
        raise DataError(f"{name}: archives in archives, more than {DEPTH}. Hint: unpack it, and name the file inside")
    try:
        if stream:
            kind, opened = stream
            with opened(io.BytesIO(raw)) as content:
                member, data = inner, read_bounded(content, LIMIT)
            if member.lower().endswith((".gz", ".bz2", ".xz")):
                member = member.rpartition(".")[0]
            note = f"the file is packed by {kind}, and was unpacked."
        else:
            member, data = _member(name, raw)
            note = f"{member!r} is read out of the zip archive."
    except UnsafeArchive:
        raise DataError(
            f"{name}: it unpacks to more than {LIMIT:,} bytes. Hint: unpack it, and take a part of its rows"
        ) from None
    except (
        OSError,
        EOFError,
        zlib.error,
        lzma.LZMAError,
        zipfile.BadZipFile,
        NotImplementedError,
        ValueError,
    ) as error:
        if isinstance(error, DataError):
            raise
        raise DataError(f"{name}: the archive is damaged ({error}). Hint: download or pack it again") from None
    except RuntimeError as error:  # zipfile's word for a file that is encrypted
        raise DataError(f"{name}: the archive cannot be read ({error}). Hint: unpack it first") from None
    member, data, notes = unpacked(name, member, data, depth + 1)
    return member, data, [note, *notes]


def _members(raw: bytes) -> list[str]:
    with zipfile.ZipFile(io.BytesIO(raw)) as archive:
        return archive.namelist()


def _is_workbook(name: str, raw: bytes) -> bool:
    try:
        return "xl/workbook.xml" in _members(raw)
    except (zipfile.BadZipFile, ValueError, OSError, NotImplementedError) as error:
        raise DataError(f"{name}: the archive is damaged ({error}). Hint: download or pack it again") from None


def _member(name: str, raw: bytes) -> tuple[str, bytes]:
    """The only table in a zip archive."""
    with zipfile.ZipFile(io.BytesIO(raw)) as archive:
        paths = [info.filename for info in archive.infolist() if not info.is_dir()]
        if "word/document.xml" in paths or "content.xml" in paths:
            raise DataError(f"{name}: a document or a spreadsheet. Hint: save its table as CSV (UTF-8)")
        files = [path for path in paths if not path.startswith("__MACOSX/") and PurePosixPath(path).name[:1] != "."]
        tables = [path for path in files if PurePosixPath(path).suffix.lower() in EXTENSIONS]
        if len(tables) != 1:
            what = (
                f"{len(tables)} tables ({listed(tables)})" if tables else f"no table, but {listed(files) or 'nothing'}"
            )
            raise DataError(
                f"{name}: a zip archive with {what}; expected one. Hint: unpack it, and name the file inside"
            )
        info = archive.getinfo(tables[0])
        if info.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):  # others unpack without bounds
            raise DataError(
                f"{name}: {tables[0]!r} is packed in an unusual way. Hint: unpack it, and name the file inside"
            )
        with archive.open(info) as content:
            return tables[0], read_bounded(content, LIMIT)


def is_known(raw: bytes) -> bool:
    """Whether the first bytes alone say what the file is."""
    marks = (*_STREAMS, *_FOREIGN, b"PK\x03\x04", b"PAR1", b"ARROW1")
    return raw.startswith(tuple(marks)) or raw[257:262] == b"ustar" or raw[:200].lstrip().lower().startswith(_PAGES)


def refuse(name: str, raw: bytes) -> None:
    """Raise DataError, which says what the file is, if its first bytes are those of a kind that is not read."""
    for mark, (kind, hint) in _FOREIGN.items():
        if raw.startswith(mark):
            raise DataError(f"{name}: the file is {kind}. Hint: {hint}")
    if raw[257:262] == b"ustar":
        raise DataError(f"{name}: the file is a tar archive. Hint: unpack it, and name the file inside")
    if raw[:200].removeprefix(b"\xef\xbb\xbf").lstrip().lower().startswith(_PAGES):
        raise DataError(
            f"{name}: the file is a web page, not a table. Hint: download the data itself (often called raw)"
        )


def binary_table(name: str, raw: bytes, named: tuple[str, ...], header: bool | None) -> Table | None:
    """The table of a Parquet, Arrow or Excel file; None for any other content.

    Raises:
        DataError: the library that reads it is missing, the file is damaged or too large, or the table is unusable.
    """
    if raw.startswith(b"PK\x03\x04"):
        return _workbook(name, raw, named, header)
    if raw.startswith((b"PAR1", b"ARROW1", b"\xff\xff\xff\xff")):
        no_header(name, header)
        return _columnar(name, raw)
    return None


def no_header(name: str, header: bool | None) -> None:
    """Raise DataError if the caller says how line 1 is to be read, of a source whose columns have names anyway."""
    if header is not None:
        raise DataError(
            f"{name}: its columns have names, so there is no header to look for; expected --header (header in Python) "
            "with CSV, TSV and Excel files only. Hint: leave it out"
        )


def _columnar(name: str, raw: bytes) -> Table:
    try:
        import pyarrow as pa  # here, because most runs do without it
        import pyarrow.parquet as pq
    except ImportError:
        raise DataError(
            f"{name}: a Parquet or Arrow file, and pyarrow, which reads it, is not installed. "
            "Hint: pip install pyarrow, or save the table as CSV (UTF-8) or JSON Lines"
        ) from None
    rows: list[Row] = []
    size = 0
    try:
        if raw.startswith(b"PAR1"):
            file = pq.ParquetFile(io.BytesIO(raw))
            schema, batches = file.schema_arrow, file.iter_batches(batch_size=1000)
        elif raw.startswith(b"ARROW1"):
            opened = pa.ipc.open_file(io.BytesIO(raw))
            schema, batches = opened.schema, map(opened.get_batch, range(opened.num_record_batches))
        else:
            batches = pa.ipc.open_stream(io.BytesIO(raw))
            schema = batches.schema
        if len(set(schema.names)) < len(schema.names):
            raise DataError(f"{name}: several columns have one name; the names are {listed(schema.names)}")
        for batch in batches:
            size += batch.nbytes
            if size > LIMIT:
                raise DataError(f"{name}: it unpacks to more than {LIMIT:,} bytes. Hint: take a part of its rows")
            rows += [Row(len(rows) + number, row) for number, row in enumerate(batch.to_pylist(), 1)]
    except UnicodeDecodeError as error:  # pyarrow decodes a cell when it is read, not when the file is opened
        raise DataError(
            f"{name}: a cell after row {len(rows):,} is no UTF-8 text ({error.reason}, byte "
            f"0x{error.object[error.start]:02x}). Hint: download the file again, or write it anew from text in UTF-8"
        ) from None
    except (pa.ArrowException, OSError) as error:
        raise DataError(
            f"{name}: the file is damaged ({str(error).partition(chr(10))[0]}). Hint: download it again"
        ) from None
    if not rows:
        raise DataError(f"{name}: the file has no rows. Hint: it needs one row per example")
    return Table(name, tuple(schema.names), tuple(rows), unit="row")


def _workbook(name: str, raw: bytes, named: tuple[str, ...], header: bool | None) -> Table:
    try:
        import openpyxl  # here, because most runs do without it
    except ImportError:
        raise DataError(
            f"{name}: an Excel workbook, and openpyxl, which reads it, is not installed. "
            "Hint: pip install openpyxl, or save the sheet as CSV (UTF-8)"
        ) from None
    with zipfile.ZipFile(io.BytesIO(raw)) as archive:
        if sum(info.file_size for info in archive.infolist()) > LIMIT:
            raise DataError(f"{name}: it unpacks to more than {LIMIT:,} bytes. Hint: take a part of its rows")
    try:
        book = openpyxl.load_workbook(io.BytesIO(raw), read_only=True, data_only=True)
        sheets = {sheet.title: list(_records(sheet)) for sheet in book.worksheets}
    except Exception as error:  # of many kinds, for files that other programs wrote
        raise DataError(f"{name}: the workbook cannot be read ({error}). Hint: save the sheet as CSV (UTF-8)") from None
    filled = {title: records for title, records in sheets.items() if any(any(cells) for _, cells in records)}
    if not filled:
        raise DataError(f"{name}: the workbook is empty. Hint: it needs one row per example")
    title, records = next(iter(filled.items()))
    width = max(max((n for n, cell in enumerate(cells, 1) if cell), default=0) for _, cells in records)
    if width < 2:
        raise DataError(f"{name}, sheet {title!r}: one column; expected at least two, an input and an answer")
    records = [(line, (cells + [""] * width)[:width]) for line, cells in records]
    others = [other for other in filled if other != title]
    doubts = [f"the sheet {title!r} is read, and not {listed(others)}."] if others else []
    return named_table(name, records, named=named, header=header, unit="row", doubts=doubts)


def _records(sheet: Any) -> Iterator[Record]:
    for number, cells in enumerate(sheet.iter_rows(values_only=True), 1):
        yield number, ["" if cell is None else as_text(cell) or str(cell) for cell in cells]
