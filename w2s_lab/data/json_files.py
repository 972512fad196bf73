"""From JSON to rows: JSON Lines, a list of objects, or one object that holds the columns."""

import json
import re
from collections import Counter
from collections.abc import Iterator
from typing import Any

from w2s_lab.data.tables import LINE_END, DataError, Row, Table, listed, numbered, shown

SHAPE = '{"input": "...", "answer": "..."}'

_BLANK = re.compile(r"[ \t\r\n]*")


class _Repeated(ValueError):
    """An object that has one key twice."""


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    if twice := [key for key, count in Counter(key for key, _ in pairs).items() if count > 1]:
        raise _Repeated(f"the key {shown(twice[0])} is there twice in one object")
    return dict(pairs)


# Numbers stay as they are written, and NaN counts as a missing value.
_DECODER = json.JSONDecoder(parse_int=str, parse_float=str, parse_constant=lambda _: None, object_pairs_hook=_object)


def looks_like_json(text: str) -> bool:
    """Whether the first line, or the whole text, is an object or a list of objects."""
    if not text.lstrip().startswith(("{", "[")):
        return False
    for part in (LINE_END.split(text.lstrip(), maxsplit=1)[0], text):
        try:
            value = json.loads(part)
        except (ValueError, RecursionError):
            continue
        return isinstance(value, dict) or bool(value and all(isinstance(row, dict) for row in value))
    return False


def json_table(name: str, text: str, lines: list[str]) -> Table:
    """The table of a file with one object a line, or of a document that holds a list of objects or columns.

    Its columns are the keys of all rows. A row's line is that where its object begins; if a line holds several objects,
    rows are numbered instead.

    Raises:
        DataError: the text is no JSON, or holds something else than rows; the message names line and column.
    """
    filled = [(number, line) for number, line in enumerate(lines, 1) if line.strip()]
    if len(filled) > 1 and _is_object(filled[0][1]):
        return _table(name, _rows_of_lines(name, filled), blank=len(lines) - len(filled))
    try:
        values = list(_values(name, text))
    except DataError:
        if text.lstrip().startswith("["):
            raise
        return _table(name, _rows_of_lines(name, filled), blank=len(lines) - len(filled))  # names the line
    if len(values) == 1 and isinstance(values[0][1], dict) and (found := _document(name, values[0][1])):
        return found
    rows = []
    for line, value in values:
        if not isinstance(value, dict):
            raise _no_object(f"{name}, line {line}", value)
        rows.append(Row(line, value))
    if not rows:
        raise DataError(f"{name}: the list is empty. Hint: it needs one object per example, such as {SHAPE}")
    if len({row.line for row in rows}) < len(rows):
        return _made(name, [row.values for row in rows])  # a line does not tell which row is meant
    return _table(name, rows, blank=len(lines) - len(filled) if len(filled) == len(rows) else 0)


def _table(name: str, rows: list[Row], blank: int = 0, **more: Any) -> Table:
    columns = tuple(dict.fromkeys(key for row in rows for key in row.values))
    return Table(name, columns, tuple(rows), blank=blank, **more)


def _is_object(line: str) -> bool:
    try:
        return isinstance(json.loads(line), dict)
    except (ValueError, RecursionError):
        return False


def _rows_of_lines(name: str, filled: list[tuple[int, str]]) -> list[Row]:
    """One object a line; a DataError names the first line that is none, and counts the others."""
    rows, wrong = [], []
    for number, line in filled:
        try:
            rows.append(Row(number, _json_object(f"{name}, line {number}", line)))
        except DataError as error:
            wrong.append((number, error))
    if len(wrong) > 1:
        raise DataError(f"{wrong[0][1]} ({len(wrong)} such lines: {numbered(number for number, _ in wrong)})")
    if wrong:
        raise wrong[0][1]
    return rows


def _json_object(where: str, line: str) -> dict[str, object]:
    try:
        value = _DECODER.decode(line)
    except json.JSONDecodeError as error:
        raise DataError(
            f"{where}, column {error.colno}: not valid JSON ({error.msg}). Hint: each line is one complete object, "
            f"such as {SHAPE}"
        ) from None
    except _Repeated as error:
        raise DataError(f"{where}: {error}. Hint: rename one of the two") from None
    except RecursionError:
        raise DataError(f"{where}: the JSON is nested too deeply. Hint: each line is one flat object") from None
    if not isinstance(value, dict):
        raise _no_object(where, line.strip())
    return value


def _no_object(where: str, value: object) -> DataError:
    return DataError(f"{where}: found {shown(value)}; expected an object such as {SHAPE}. Hint: give each value a name")


def _values(name: str, text: str) -> Iterator[tuple[int, Any]]:
    """(line, value) of the values in a text, one after another, or of the elements of the list that it is."""
    at = _BLANK.match(text).end()
    is_list = text.startswith("[", at)
    at += is_list
    line, counted, count = 1, 0, 0
    while True:
        at = _BLANK.match(text, at).end()
        line, counted = line + text.count("\n", counted, at), at
        where = f"{name}, line {line}"
        if is_list and text.startswith("]", at) and not count:
            break
        if at == len(text):
            if is_list:
                raise DataError(f"{where}: the list is not closed. Hint: the file may be cut off; get it again")
            return
        try:
            value, end = _DECODER.raw_decode(text, at)
        except json.JSONDecodeError as error:
            raise DataError(
                f"{name}, line {error.lineno}, column {error.colno}: not valid JSON ({error.msg}). "
                f"Hint: expected a list of objects, such as [{SHAPE}, ...]"
            ) from None
        except _Repeated as error:
            raise DataError(f"{where}: {error}. Hint: rename one of the two") from None
        except RecursionError:
            raise DataError(f"{where}: the JSON is nested too deeply. Hint: expected a list of flat objects") from None
        yield line, value
        count += 1
        at = _BLANK.match(text, end).end()
        if is_list:
            if text.startswith("]", at):
                break
            if at < len(text) and not text.startswith(",", at):
                line += text.count("\n", counted, at)
                raise DataError(f"{name}, line {line}: expected a comma or the end of the list after an object")
            at += at < len(text)
    rest = _BLANK.match(text, at + 1).end()
    if rest < len(text):
        line += text.count("\n", counted, rest)
        raise DataError(f"{name}, line {line}: the file goes on after its list: {shown(text[rest : rest + 40])}")


def _document(name: str, value: dict[str, Any]) -> Table | None:
    """The table in one object: of equal columns, or of the only list of objects in it; None if it is a row itself."""
    held = list(value.values())
    if "columns" in value and "data" in value:  # pandas: to_json(orient="split")
        columns, data = value["columns"], value["data"]
        if isinstance(data, list) and all(isinstance(row, list) and len(row) == len(columns) for row in data) and data:
            return _made(name, [dict(zip(columns, row, strict=True)) for row in data])
    if len(held) > 1 and all(isinstance(column, list) for column in held):
        lengths = {key: len(column) for key, column in value.items()}
        if len(set(lengths.values())) > 1:
            raise DataError(f"{name}: the columns differ in length ({lengths}). Hint: expected a list of objects")
        if held[0]:
            return _made(name, [dict(zip(value, row, strict=True)) for row in zip(*held, strict=True)])
    if len(held) > 1 and all(
        isinstance(column, dict) and column and column.keys() == held[0].keys() for column in held
    ):
        by_row = all(key.isdecimal() for key in value) and not all(key.isdecimal() for key in held[0])
        rows = held if by_row else [{key: value[key][index] for key in value} for index in held[0]]
        return _made(name, rows)  # pandas: to_json(), with orient="index" by row
    lists = [
        key for key, rows in value.items() if isinstance(rows, list) and rows and all(isinstance(r, dict) for r in rows)
    ]
    if len(lists) == 1:
        others = [key for key in value if key != lists[0]]
        doubts = (f"only {shown(lists[0])} of the JSON object is read, not {listed(others)}.",) if others else ()
        return _made(name, value[lists[0]], doubts)
    if len(lists) > 1:
        raise DataError(
            f"{name}: an object with several lists ({listed(lists)}); expected one list of rows. "
            "Hint: save the one that you mean as a file of its own"
        )
    return None


def _made(name: str, rows: list[dict[str, Any]], doubts: tuple[str, ...] = ()) -> Table:
    return _table(name, [Row(number, row) for number, row in enumerate(rows, 1)], unit="row", doubts=doubts)
