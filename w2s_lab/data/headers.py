"""From cells to a table with named columns: whether the first row is a header or an example."""

import re
from collections import Counter
from collections.abc import Sequence
from statistics import mean

from w2s_lab.data.delimited import Record
from w2s_lab.data.tables import (
    ANSWER_NAMES,
    INPUT_NAMES,
    MAX_WORD,
    DataError,
    Row,
    Table,
    listed,
    numbered,
    recurs,
    rows_in_words,
    shown,
)

USUAL = (*INPUT_NAMES, *ANSWER_NAMES, "instruction", "id")

_NUMBER = re.compile(r"[+-]?(\d+[.,]?\d*|[.,]\d+)([eE][+-]?\d+)?%?")
_NAME = re.compile(r"[^\W\d]([\w.\-/:]*\w)?")


def named_table(
    name: str,
    records: Sequence[Record],
    *,
    named: Sequence[str] = (),
    header: bool | None = None,
    unit: str = "line",
    notes: Sequence[str] = (),
    doubts: Sequence[str] = (),
) -> Table:
    """The table of a file's cells: blank rows dropped and counted, the header found, the columns named.

    Args:
        name: of the file.
        records: rows of equal width.
        named: columns that the caller asks for; if the first row has one of them, it is a header.
        header: whether the first row is a header; None: guessed.
        unit: what a record's number counts, "line" or "row".
        notes, doubts: on how the cells were read.

    Raises:
        DataError: two columns have one name, or there is no data row.
    """
    filled = [(line, cells) for line, cells in records if any(cell.strip() for cell in cells)]
    first_line, first = filled[0]
    question = None
    if header is None:
        header, question = _guess([cells for _, cells in filled], named)
    lost: list[int] = []
    if header:
        columns = tuple(name.strip() or str(number) for number, name in enumerate(first, 1))
        note = f"{unit} {first_line} is read as a header: {listed(columns)}."
        names = _folded(first)
        lost = [line for line, cells in filled[1:] if _folded(cells) == names]
        filled = [(line, cells) for line, cells in filled[1:] if _folded(cells) != names]
    else:
        columns = tuple(str(number) for number in range(1, len(first) + 1))
        note = f"no header found: {unit} {first_line} is data, and the columns are called {listed(columns)}."
    for column, count in Counter(columns).items():
        if count > 1:
            raise DataError(
                f"{name}, {unit} {first_line}: {count} columns are called {shown(column)}. Hint: rename them"
            )
    if not filled:
        raise DataError(f"{name}: there is a header ({listed(columns)}) but no data row. Hint: add the examples")
    doubts = [*doubts]
    if question:
        other = "no" if header else "yes"
        doubts.append(
            f"{note[:-1]}; {question}. If that is wrong, say --header {other} (in Python, header={not header}); "
            f"if it is right, --header {'yes' if header else 'no'} ({bool(header)})."
        )
    if lost:
        doubts.append(f"{rows_in_words(len(lost))} left out: a repeat of the header ({unit} {numbered(lost)}).")
    rows = tuple(Row(line, dict(zip(columns, cells, strict=True))) for line, cells in filled)
    blank = len(records) - len(filled) - len(lost) - header
    return Table(name, columns, rows, (*notes, *([] if question else [note])), blank, unit, tuple(doubts))


def _folded(cells: Sequence[str]) -> list[str]:
    return [cell.strip().casefold() for cell in cells]


def _guess(cells: list[list[str]], named: Sequence[str]) -> tuple[bool, str | None]:
    """Whether the first row names the columns; and the reason for a question, where that is in doubt.

    It does if it holds a name that the caller asked for, if all its cells are usual names, or if one is and does not
    occur in the column below it. It also does if its cells are short words, and one of them does not occur in the
    column below it, which holds class labels or numbers.
    """
    first = [cell.strip() for cell in cells[0]]
    filled = [cell for cell in first if cell]
    if any(name in first for name in named if not name.isdecimal()):
        return True, None
    if len(filled) > 1 and all(cell.lower() in USUAL for cell in filled):
        return True, None
    below = [[cell.strip() for cell in column[1:]] for column in zip(*cells, strict=True)]
    new = [bool(cell) and cell not in column for cell, column in zip(first, below, strict=True)]
    if any(is_new and cell.lower() in USUAL for cell, is_new in zip(first, new, strict=True)):
        return True, None
    if len(cells) < 3:
        return False, None  # too few rows for a comparison
    once = [
        f"{shown(cell)} occurs nowhere else in its column"
        for cell, is_new, c in zip(first, new, below, strict=True)
        if is_new and recurs(c)
    ]
    over_numbers = any(
        is_new and _is_word(cell) and any(c) and all(map(_NUMBER.fullmatch, filter(None, c)))
        for cell, is_new, c in zip(first, new, below, strict=True)
    )
    bare = all(map(_NAME.fullmatch, filled))
    unnamed = not first[0] and all(map(_NUMBER.fullmatch, below[0]))  # the index that pandas writes
    wordy = len(filled) + unnamed == len(first) and all(
        len(cell) <= MAX_WORD and not re.search(r"\d", cell) for cell in filled
    )
    unlike = any(map(_unlike_names, below))  # a column that names could not head by chance
    if (once or over_numbers) and (bare or wordy):
        sure = bare and wordy and unlike
        return True, None if sure else (once or ["the cells below are numbers"])[0]
    if once:
        return False, f"but {once[0]}"
    if (
        bare
        and len(set(filled)) == len(filled) > 1
        and all(max(map(len, filled)) < mean(map(len, c)) / 2 or _unlike_names(c) for c in below)
    ):
        return False, f"but {listed(filled)} could be names of columns"
    return False, None


def _is_word(cell: str) -> bool:
    return bool(_NAME.fullmatch(cell)) and cell.lower() not in ("nan", "null", "inf", "infinity", "na", "none")


def _unlike_names(column: list[str]) -> bool:
    """Whether most filled cells have a blank in them, are numbers, or are long."""
    filled = [cell for cell in column if cell]
    unlike = [cell for cell in filled if len(cell.split()) > 1 or _NUMBER.fullmatch(cell) or len(cell) > MAX_WORD]
    return 2 * len(unlike) > len(filled)
