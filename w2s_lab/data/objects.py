"""From an object in memory to a table of rows: DataFrames, data sets, lists of dicts, examples.

The libraries that such objects come from are not imported: an object is known by what it can do.
"""

import math
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from w2s_lab.data.examples import table_of
from w2s_lab.data.readers import DataError, Row, Table, listed
from w2s_lab.records import Example, LabelledSet, Splits
from w2s_lab.system.border import described

EXPECTED = (
    "expected a DataFrame, a datasets.Dataset, a list of dicts, a dict of lists, w2s_lab.Example objects, or the name "
    "of a task or a file"
)


def object_table(source: Any, name: str, hub_table: Callable[[str, Any], Table]) -> tuple[Table, dict[str, str]]:
    """The rows of an object, counted from 1, and those options of `ReadOptions` that the object itself decides.

    Args:
        source: a DataFrame of pandas or polars, a table of pyarrow, a `datasets.Dataset` (or a `DatasetDict` with one
            part), a list or another iterable of dicts or of `Example` objects, or a dict of lists of one length. A
            DataFrame's index counts as columns where it has names.
        name: of the table.
        hub_table: reads a `datasets.Dataset`.

    Raises:
        TypeError: it is none of these.
        DataError: it has no rows, or its layout cannot be used.
    """
    if isinstance(source, LabelledSet | Splits):
        raise TypeError(
            f"{name}: source is {described(source)}; {EXPECTED}. Hint: it is split and labelled already; its examples, "
            "with their true answers, are .examples of each part"
        )
    if hasattr(source, "features") and hasattr(source, "column_names"):
        return _checked(hub_table(name, source)), {}
    if isinstance(source, Mapping):
        return _of_mapping(source, name, hub_table)
    rows, notes, columns = _rows(source, name)
    if rows and all(isinstance(row, Example) for row in rows):
        table = table_of(name, rows)
        return Table(name, table.columns, table.rows, unit="row"), {"input_column": "input", "answer_column": "answer"}
    return _table(name, rows, notes, columns), {}


def _of_mapping(source: Mapping, name: str, hub_table: Callable[[str, Any], Table]) -> tuple[Table, dict[str, str]]:
    """A dict of lists, or a `DatasetDict`."""
    parts = [part for part, value in source.items() if hasattr(value, "features") and hasattr(value, "column_names")]
    if parts:
        if len(parts) > 1:
            raise DataError(
                f"{name}: the {type(source).__name__} has {len(parts)} parts ({listed(parts)}); expected one, which is "
                f"then split. Hint: give one of them, such as data[{parts[0]!r}]"
            )
        return _checked(hub_table(name, source[parts[0]])), {}
    lists = {column: values for column, values in source.items() if not isinstance(values, str | Mapping)}
    try:
        whole = {column: list(values) for column, values in lists.items()}
    except TypeError:
        whole = {}
    if not whole or len(whole) != len(source):
        given = described(dict(source))
        raise TypeError(f"{name}: source is {given}; {EXPECTED}. Hint: [row] makes a list of one dict")
    sizes = {column: len(values) for column, values in whole.items()}
    if len(set(sizes.values())) > 1:
        told = ", ".join(f"{column!r} has {size}" for column, size in sizes.items())
        raise DataError(f"{name}: the columns have different lengths ({told}); expected one value a row in each")
    rows = [dict(zip(whole, row, strict=True)) for row in zip(*whole.values(), strict=True)]
    return _table(name, rows, (), tuple(whole)), {}


def _rows(source: Any, name: str) -> tuple[list[Any], tuple[str, ...], tuple[Any, ...]]:
    """The rows of a frame or an iterable, notes on how they were read, and the columns where the object names them."""
    if hasattr(source, "to_dict") and hasattr(source, "columns") and hasattr(source, "index"):  # pandas
        return _of_pandas(source, name)
    if hasattr(source, "groups") or (hasattr(source, "index") and hasattr(source, "to_frame")):  # of pandas too
        raise TypeError(f"{name}: source is {described(source)}; {EXPECTED}. Hint: a DataFrame has a column for each")
    for method in ("to_dicts", "to_pylist"):  # polars, pyarrow
        if hasattr(source, method) and hasattr(source, "columns"):
            return getattr(source, method)(), (), ()
    if isinstance(source, str | bytes) or not isinstance(source, Iterable):
        raise TypeError(f"{name}: source is {described(source)}; {EXPECTED}")
    rows = list(source)
    for number, row in enumerate(rows, 1):
        if not isinstance(row, Example if isinstance(rows[0], Example) else Mapping):
            raise TypeError(
                f"{name}, row {number}: found {described(row)}; expected a dict such as "
                '{"text": "a fine film", "label": "positive"} in every row, or an Example in every row'
            )
    return rows, (), ()


def _of_pandas(frame: Any, name: str) -> tuple[list[dict], tuple[str, ...], tuple[Any, ...]]:
    if all(level is not None for level in frame.index.names):
        frame = frame.reset_index()
    columns = tuple(frame.columns)
    _check_columns(name, columns)
    notes = []
    values = {}
    for column in columns:
        series = frame[column]
        cells = series.astype(object).where(series.notna(), None).tolist()
        known = [cell for cell in cells if cell is not None]
        if known and all(isinstance(cell, float) and math.isfinite(cell) and cell == int(cell) for cell in known):
            # pandas keeps whole numbers as floats where a value is or was missing
            cells = [None if cell is None else int(cell) for cell in cells]
            notes.append(f"column {str(column)!r} has whole numbers as floats; {known[0]} is read as {int(known[0])}.")
        values[column] = cells
    rows = [dict(zip(columns, row, strict=True)) for row in zip(*values.values(), strict=True)]
    return rows, tuple(notes), columns


def _table(name: str, rows: list[Any], notes: Iterable[str], columns: tuple[Any, ...]) -> Table:
    """A table of dicts; raises DataError where there are no rows or columns, or two columns of one name."""
    columns = columns or tuple(dict.fromkeys(column for row in rows for column in row))
    _check_columns(name, columns)
    if not rows:
        raise DataError(f"{name}: there are no rows. Hint: it needs one row per example, with an input and an answer")
    numbered = tuple(
        Row(number, {str(column): _native(value) for column, value in row.items()})
        for number, row in enumerate(rows, 1)
    )
    return _checked(Table(name, tuple(map(str, columns)), numbered, tuple(notes), unit="row"))


def _checked(table: Table) -> Table:
    """The table; raises DataError if it has fewer than two columns."""
    if len(table.columns) < 2:
        raise DataError(
            f"{table.name}: the columns are {listed(table.columns) or 'none'}; expected at least two, an input and an "
            "answer"
        )
    return table


def _check_columns(name: str, columns: Iterable[Any]) -> None:
    for column, count in Counter(map(str, columns)).items():
        if count > 1:
            raise DataError(f"{name}: {count} columns are called {column!r}. Hint: rename them")


def _native(value: Any) -> Any:
    """A number of numpy as Python's, a missing value of pandas as None, a category or a path as its text."""
    if type(value).__name__ in ("NAType", "NaTType"):
        return None
    if hasattr(value, "item") and getattr(value, "ndim", None) == 0:
        return value.item()
    return value
