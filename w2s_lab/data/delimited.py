"""From the lines of a CSV or TSV file to cells: which character separates them, and what quotes mean."""

import csv
import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace

from w2s_lab.data.tables import DataError, numbered, recurs, shown

SEPARATORS = {",": "commas", ";": "semicolons", "\t": "tabs", "|": "bars"}
Record = tuple[int, list[str]]  # the line where a row starts, and its cells

_SEP_LINE = re.compile(r'"?sep=([^\w\s"]|\t)"?[,;\t|]*', re.IGNORECASE)  # what Excel writes above a table


@dataclass(frozen=True)
class Cells:
    """One way to read a file.

    Attributes:
        separator: of the cells.
        records: every row, blank ones included.
        broken: (line, what the csv module says) where the quotes are broken; the rows after it are missing.
        notes, doubts: see `Table`.
    """

    separator: str
    records: tuple[Record, ...]
    broken: tuple[int, str] | None = None
    notes: tuple[str, ...] = ()
    doubts: tuple[str, ...] = ()

    @property
    def filled(self) -> list[Record]:
        """The rows that are not blank."""
        return [(line, cells) for line, cells in self.records if any(cell.strip() for cell in cells)]

    @property
    def fits(self) -> bool:
        """Whether every row has the same number of cells, two at least."""
        widths = {len(cells) for _, cells in self.filled}
        return self.broken is None and len(widths) == 1 and min(widths) > 1


def separated_cells(name: str, lines: Sequence[str], *, usual: str) -> Cells:
    """The cells of a file in which every row has as many as the first, two at least.

    Args:
        name: of the file, for messages.
        lines: with their ends.
        usual: the separator that the file's extension stands for; another one is taken where that does not fit.

    Raises:
        DataError: quotes are broken, or rows differ in their number of cells; the message names the lines.
    """
    named = _SEP_LINE.fullmatch(lines[0].rstrip("\r\n"))
    if named:
        cells = _read(lines[1:], named[1], first=2)
        note = f"line 1 ({shown(lines[0].rstrip())}) names the separator, and is no row."
        cells = replace(cells, notes=(note, *cells.notes))
    else:
        cells = _sniffed(lines, usual)
    _check_quotes(name, cells)
    _check_widths(name, cells)
    return replace(cells, doubts=(*cells.doubts, *_swallowed(cells, lines)))


def _sniffed(lines: Sequence[str], usual: str) -> Cells:
    """The reading with the separator that fits every row; where none does, with the one that comes nearest."""
    first = next(line for line in lines if line.strip())
    possible = [mark for mark in (usual, *SEPARATORS) if mark in first]
    readings = {mark: _read(lines, mark) for mark in dict.fromkeys(possible or [usual])}
    fitting = {mark: cells for mark, cells in readings.items() if cells.fits}
    if not fitting:
        return max(readings.values(), key=lambda cells: (_agreement(cells), cells.separator == usual))
    mark = max(fitting, key=lambda mark: (_has_labels(fitting[mark], set(fitting) - {mark}), mark == usual))
    cells = fitting[mark]
    notes = () if mark == usual else (f"cells are separated by {SEPARATORS[mark]}.",)
    doubts = ()
    if others := [SEPARATORS[other] for other in fitting if other != mark]:
        doubts = (
            f"cells are separated by {SEPARATORS[mark]}, but {' and '.join(others)} would give equal rows too. "
            f"A first line sep={'TAB' if mark == chr(9) else mark} settles it.",
        )
    return replace(cells, notes=(*notes, *cells.notes), doubts=(*doubts, *cells.doubts))


def _agreement(cells: Cells) -> float:
    """The share of rows with the most frequent number of cells, if that is two at least."""
    widths = Counter(len(row) for _, row in cells.filled)
    if not widths or cells.broken:
        return 0.5 * any(width > 1 for width in widths)
    width, count = widths.most_common(1)[0]
    return count / widths.total() if width > 1 else 0


def _has_labels(cells: Cells, others: set[str]) -> bool:
    """Whether a column looks like class labels, without any other separator in them."""
    columns = zip(*(row for _, row in cells.filled[1:]), strict=True)
    return any(recurs(list(c)) and not any(mark in cell for cell in set(c) for mark in others) for c in columns)


def _read(lines: Sequence[str], mark: str, first: int = 1) -> Cells:
    """The cells between these separators; quotes as CSV has them, unless the file shows that they mean something else.

    Args:
        lines: of the file, or the last of them.
        mark: the separator.
        first: number of the first line.
    """
    plain = _parsed(lines, mark, first)
    if mark == "\t":
        return _tabbed(lines, plain, first)
    if not any('"' in line for line in lines):
        return plain
    if plain.fits:
        spaced = any(filled and all(map(_is_spaced, filled)) for filled in _below(plain))
    else:
        spaced = any(re.search(re.escape(mark) + ' +"', line) for line in lines)
    if spaced:
        other = _parsed(lines, mark, first, skipinitialspace=True)
        if other.fits:
            return replace(other, notes=("blanks after a separator are cut off, since quotes follow them.",))
    return plain if plain.fits else _escaped(lines, plain, first) or plain


def _escaped(lines: Sequence[str], plain: Cells, first: int) -> Cells | None:
    r"""The cells if a quote inside a cell is written \", and nothing else follows a backslash but another one."""
    if not any(r"\"" in line for line in lines) or any(
        re.search(r'\\[^"\\]', line.replace("\\\\", "")) for line in lines
    ):
        return None
    other = _parsed(lines, plain.separator, first, escapechar="\\", doublequote=False)
    note = r'a backslash marks a quote as part of the text: \" is read as ".'
    return replace(other, notes=(note,)) if other.fits else None


def _tabbed(lines: Sequence[str], plain: Cells, first: int) -> Cells:
    """The cells between tabs. Some programs write them bare, others in quotes: the cells themselves have to tell."""
    split = tuple((number, line.rstrip("\r\n").split("\t")) for number, line in enumerate(lines, first))
    bare = Cells("\t", split)
    if not any('"' in line for line in lines):
        return bare
    unquoted = replace(plain, notes=("cells are in quotes, which are removed.",))
    if not bare.fits:
        return unquoted if plain.fits else _escaped(lines, plain, first) or bare
    quoted = [cell for _, row in bare.records for cell in row if _in_quotes(cell)]
    if plain.fits and len(plain.records) == len(bare.records):
        whole = len(bare.filled) > 2 and any(filled and all(map(_in_quotes, filled)) for filled in _below(bare))
        fewer = len(plain.filled[0][1]) < len(bare.filled[0][1])  # every row has tabs between quotes
        if fewer or whole or (quoted and all('""' in cell[1:-1] for cell in quoted)):
            return unquoted
    elif (other := _escaped(lines, plain, first)) and len(other.records) == len(bare.records):
        return other
    if quoted:
        text = (
            f"{len(quoted)} cells begin and end with a quote, such as {shown(quoted[0])}; the quotes stay part of them."
        )
        return replace(bare, doubts=(text,))
    if plain.fits and len(plain.records) != len(bare.records):
        line = next(a for (a, row), (_, other) in zip(bare.records, plain.records, strict=False) if row != other)
        text = f"a cell in line {line} begins with a quote, which is read as a character; the row ends with its line."
        return replace(bare, doubts=(text,))
    return bare


def _below(cells: Cells) -> list[list[str]]:
    """The filled cells of each column, without the first row, which may be a header."""
    columns = zip(*(row for _, row in cells.filled[1:]), strict=True)
    return [[cell for cell in column if cell.strip()] for column in columns]


def _is_spaced(cell: str) -> bool:
    return cell.startswith(" ") and _in_quotes(cell.strip(" "))


def _in_quotes(cell: str) -> bool:
    return len(cell) > 1 and cell[0] == cell[-1] == '"'


def _parsed(lines: Sequence[str], mark: str, first: int, **dialect) -> Cells:
    """The cells as the csv module reads them, up to the first row with broken quotes."""
    reader = csv.reader(lines, strict=True, delimiter=mark, **dialect)
    records: list[Record] = []
    while True:
        start = reader.line_num + first
        try:
            records.append((start, next(reader)))
        except StopIteration:
            return Cells(mark, tuple(records))
        except csv.Error as error:
            return Cells(mark, tuple(records), (start, str(error)))


def _check_quotes(name: str, cells: Cells) -> None:
    """Raise DataError where quotes are broken, explained for a person who looks at the file."""
    if cells.broken is None:
        return
    line, message = cells.broken
    where = f"{name}, line {line}"
    if "unexpected end" in message:
        raise DataError(
            f'{where}: a quote is opened here and never closed. Hint: write a quote inside a quoted cell as ""'
        )
    if "field limit" in message:
        raise DataError(
            f"{where}: a cell is longer than {csv.field_size_limit():,} characters. "
            "Hint: look for a quote that is never closed, or shorten the text"
        )
    raise DataError(
        f'{where}: broken quoting ({message}). Hint: quote the whole cell, and write a quote inside it as ""'
    )


def _check_widths(name: str, cells: Cells) -> None:
    """Raise DataError unless every row has as many cells as the first, and at least two."""
    filled = cells.filled
    if not filled:
        raise DataError(f"{name}: the file has no filled row. Hint: it needs one row per example")
    first_line, first = filled[0]
    odd = [(line, len(row)) for line, row in filled if len(row) != len(first)]
    if odd:
        others = f" ({len(odd)} such rows: lines {numbered(line for line, _ in odd)})"
        hint = {
            "\t": "look for a missing or an extra tab",
            ",": "put quotes around a text that contains a comma",
        }.get(cells.separator, f"put quotes around a text that contains {shown(cells.separator)}")
        raise DataError(
            f"{name}, line {odd[0][0]}: {odd[0][1]} columns; expected {len(first)}, as in line {first_line}"
            f"{others if len(odd) > 1 else ''}. Hint: {hint}"
        )
    if len(first) < 2:
        raise DataError(
            f"{name}: one column; expected at least two, an input and an answer. "
            "Hint: cells are separated by commas, semicolons, tabs or bars"
        )


def _swallowed(cells: Cells, lines: Sequence[str]) -> list[str]:
    """Doubts on cells in quotes that run over several lines, where those lines look like rows of their own."""
    starts = [line for line, _ in cells.records]
    ends = [*starts[1:], len(lines) + 1]
    labels = {row[-1] for (start, row), end in zip(cells.records, ends, strict=True) if row and end == start + 1}
    doubts = []
    for (start, row), end in zip(cells.records, ends, strict=True):
        inside = [line.rstrip("\r\n").split(cells.separator) for line in lines[start - 1 : end - 2]]
        if inside and all(len(parts) == len(row) and parts[-1] in labels for parts in inside):
            doubts.append(
                f"a quote that is opened in line {start} is closed in line {end - 1}, and the lines between look like "
                "rows of their own; they are read as one row."
            )
    return doubts
