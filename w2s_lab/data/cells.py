"""From the cells of a row to input, instruction and answer; and one error for all rows that cannot be used."""

import difflib
import re
from collections.abc import Sequence
from dataclasses import dataclass

from w2s_lab.data.answers import folded, is_missing, ready
from w2s_lab.data.options import ReadOptions
from w2s_lab.data.tables import NAMED, DataError, Row, Table, as_text, listed, numbered, shown
from w2s_lab.records import Example

_OWN_ID = re.compile(r"[0-9a-f]{16}")


@dataclass(frozen=True)
class Problem:
    """Why a row cannot be used; problems of one kind are counted together."""

    line: int
    what: str
    hint: str
    kind: str


def rows_error(table: Table, problems: Sequence[Problem], hint: str) -> DataError:
    """One error for all rows that cannot be used: each reason, how many rows have it, and the first of them."""
    if len(problems) == 1:
        (only,) = problems
        return DataError(f"{table.at(only.line)}: {only.what}{only.hint}{hint}")
    kinds: dict[str, list[Problem]] = {}
    for problem in problems:
        kinds.setdefault(problem.kind, []).append(problem)
    told = [
        f"{table.unit}{'s' * (len(same) > 1)} {numbered(problem.line for problem in same)}: {same[0].what}"
        + f" ({len(same)} rows)" * (len(same) > 1)
        for same in [*kinds.values()][:NAMED]
    ]
    more = f"; and {len(kinds) - NAMED} more reasons" if len(kinds) > NAMED else ""
    rows = len({problem.line for problem in problems})
    reasons = "; ".join(told)
    return DataError(
        f"{table.name}: {rows} of {len(table.rows)} rows cannot be used. {reasons}{more}{problems[0].hint}{hint}"
    )


class Unusable(ValueError):
    """A cell that cannot be used: what is wrong, a hint, and what the same problem of other rows has in common."""

    def __init__(self, what: str, hint: str = "", kind: str | None = None) -> None:
        super().__init__(what, hint)
        self.what, self.hint, self.kind = what, hint, kind or what

    def problem(self, line: int) -> Problem:
        """The same, of the row in this line."""
        return Problem(line, self.what, self.hint, self.kind)


def cell_text(row: Row, column: str) -> str:
    """The text of a cell; raises Unusable if the column is missing or holds no text or number."""
    if column not in row.values:
        raise Unusable(f"column {shown(column)} is missing", f"; the columns here are {listed(row.values) or 'none'}")
    value = row.values[column]
    text = as_text(value)
    if text is None and value is not None and value == value:
        nested = (
            ". Hint: a list or an object needs a column for each of its values"
            if isinstance(value, (list, dict))
            else ""
        )
        kind = f"{column}: {type(value).__name__}"
        raise Unusable(f"column {shown(column)} is {shown(value)}", f"; expected a string or a number{nested}", kind)
    if any("\ud800" <= character <= "\udfff" for character in text or ""):
        raise Unusable(f"column {shown(column)} has half a character (a lone surrogate): {shown(text)}")
    return text or ""


def input_text(row: Row, columns: Sequence[str]) -> str:
    """The text of the input: the cell of its column, or a line for each of several, after the column's name."""
    if len(columns) == 1:
        return cell_text(row, columns[0])
    lines = []
    for column in columns:
        value = row.values.get(column)
        texts = [as_text(part) for part in value] if isinstance(value, (list, tuple)) else [cell_text(row, column)]
        if None in texts:
            raise Unusable(
                f"column {shown(column)} is {shown(value)}", "; expected a string, a number, or a list of them"
            )
        if text := "; ".join(filter(None, texts)).strip():
            lines.append(text if column.isdecimal() else f"{column}: {text}")
    return "\n".join(lines)


def _empty(column: object, role: str) -> Unusable:
    return Unusable(f"the {role} (column {listed(column)}) is empty", ". Hint: fill it in or delete the row")


def answer_of(row: Row, column: str, options: ReadOptions) -> str:
    """The row's answer; if there is a closed list, the answer of that list."""
    value = cell_text(row, column).strip()
    if value in options.words:
        return options.words[value]
    if not value:
        raise _empty([column], "answer")
    if is_missing(value) and not options.open_ended:
        raise Unusable(
            f"the answer (column {shown(column)}) is {shown(value)}, which says that it is missing",
            ". Hint: fill it in or delete the row",
        )
    if options.answers is None:
        return value
    like = {folded(word): word for word in options.words}
    close = difflib.get_close_matches(value.lower(), options.words, n=1)
    close = [like[folded(value)]] if folded(value) in like else close
    raise Unusable(
        f"the answer (column {shown(column)}) is {shown(value)}",
        f"; expected one of {listed(options.words)}. Hint: "
        + (f"did you mean {close[0]!r}?" if close else "correct the value, or add it to answers"),
    )


def look_alike_hint(table: Table, column: str, options: ReadOptions) -> str:
    """The answers that take in every spelling of the legal ones, as a sentence; empty if there is no other spelling."""
    like = {folded(word): answer for word, answer in options.words.items()}
    cells = dict.fromkeys((as_text(row.values.get(column)) or "").strip() for row in table.rows)
    others = {cell: like[folded(cell)] for cell in cells if cell and cell not in options.words and folded(cell) in like}
    return f" To read look-alikes as the same answer: {ready({**options.words, **others})}." if others else ""


def own_instruction(row: Row) -> str | None:
    """The row's own instruction. A blank one counts as none, unless the kit wrote the row, which then has an id."""
    if row.values.get("instruction") is None:
        return None
    text = cell_text(row, "instruction")
    return text if text.strip() or "id" in row.values else None


def parts_of(row: Row, columns: Sequence[str], options: ReadOptions) -> tuple[str | None, str, tuple[str, ...]]:
    """The row's own instruction, its input and its tags; raises Unusable if an id of the kit does not fit the text."""
    text = input_text(row, columns)
    instruction = own_instruction(row)
    if not text.strip() and not (instruction or "").strip():
        raise _empty(columns, "input")
    stored = row.values.get("id")
    if instruction is not None and columns == ("input",) and isinstance(stored, str) and _OWN_ID.fullmatch(stored):
        computed = Example(instruction, text).id
        if stored != computed:
            raise Unusable(
                f"id is {stored!r}, but instruction and input give {computed!r}",
                ". Hint: the text was altered; restore it, or remove the id",
                "id",
            )
    tags = row.values.get("tags")
    is_words = isinstance(tags, list) and all(isinstance(tag, str) for tag in tags)
    return None if options.instruction else instruction, text, tuple(tags) if is_words else ()
