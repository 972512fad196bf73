"""Which columns of a table are the input and the true answer, and what a guess may have got wrong."""

import csv
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from w2s_lab.data.tables import (
    ANSWER_NAMES,
    INPUT_NAMES,
    MAX_CLASSES,
    DataError,
    Table,
    as_text,
    listed,
    looks_closed,
    recurs,
    shown,
)

OWN = ("id", "instruction", "tags")  # columns with a meaning of their own

_MACHINE = re.compile(r"[!-~]*[0-9/@_][!-~]*|[a-z]+:\S+|www\.\S+")  # without a blank: an address, a number, a code
_QUOTES = ("''", '""', "``", "‘’", "“”", "„“", "«»", "»«", "‚‘")
_NUMBER = re.compile(r"[+-]?[\d.,:/\-]+")


@dataclass(frozen=True)
class Columns:
    """The columns that become input and answer.

    Attributes:
        inputs: one column, or several whose cells are joined.
        answer: the column of the true answer.
        notes: what was guessed, and what is not used.
        doubts: guesses that a reader has to see.
    """

    inputs: tuple[str, ...]
    answer: str
    notes: tuple[str, ...]
    doubts: tuple[str, ...]


def asked_for(wanted: str | Sequence[str] | None) -> tuple[str, ...]:
    """The names that a column option can mean: the whole text, since a name may have a comma, and its parts."""
    if wanted is None:
        return ()
    return tuple(dict.fromkeys((wanted, *_parts(wanted)))) if isinstance(wanted, str) else tuple(wanted)


def _parts(text: str) -> list[str]:
    """`A,B` as names; one that has a comma stands in quotes, as in a CSV file."""
    try:
        return [part.strip() for row in csv.reader([text], skipinitialspace=True, strict=True) for part in row]
    except csv.Error:
        return [text]


def choose_columns(
    table: Table, inputs: str | Sequence[str] | None, answer: str | None, *, most: int | None = MAX_CLASSES
) -> Columns:
    """The columns that the caller names; a column that is not named is guessed by usual names, then by content.

    Args:
        table: the rows.
        inputs, answer: names or numbers; see `ReadOptions`.
        most: distinct values that a column of answers has at most when it is guessed; None: any number.

    Raises:
        DataError: a column is not there, or none can be guessed.
    """
    chosen = _named_inputs(table, inputs)
    answer_column = None if answer is None else _named_column(table, answer, "answer_column")
    free = [name for name in table.columns if name not in (*OWN, *chosen, answer_column)]
    if not chosen and (name := _known_column(table, free, INPUT_NAMES, "input")):
        chosen = (name,)
    doubts: list[str] = []
    answer_known = answer_column or _known_column(table, free, ANSWER_NAMES, "answer")
    texts = {name: [as_text(row.values.get(name)) or "" for row in table.rows] for name in free}
    if guessed := answer_known is None:
        distinct = {name: len(set(texts[name])) for name in free if name not in chosen}
        few = {name: n for name, n in distinct.items() if (most is None or n <= most) and 2 * n <= len(table.rows)}
        few = few or {name: n for name, n in distinct.items() if recurs(texts[name])}
        few = {name: n for name, n in few.items() if all(map(str.strip, texts[name]))} or few
        few = {name: n for name, n in few.items() if n > 1} or few  # a constant column is a last resort
        answer_known = _single_best(table, few or dict.fromkeys(distinct, 0), "answer")
        if len(few) > 1:
            others = [name for name in few if name != answer_known]
            doubts.append(
                f"column {shown(answer_known)} is read as the answer, because it has the fewest different values; "
                f"{listed(others)} could be the answer too. Name it with --answer-column (answer_column in Python)."
            )
    if not chosen:
        chosen, passed_over = _longest(table, texts, answer_known)
        doubts += passed_over
    if answer_known in chosen:
        raise DataError(f"{table.name}: column {shown(answer_known)} cannot be both input and answer")
    unused = [name for name in free if name not in (*chosen, answer_known)]
    notes = [f"columns not used: {listed(unused)}."] if unused else []
    if inputs is None or answer is None:
        are = "column {} is" if len(chosen) == 1 else "columns {} are"
        notes.append(f"{are.format(listed(chosen))} read as the input, {shown(answer_known)} as the answer.")
    if len(chosen) > 1:
        notes.append(
            f"the input joins the columns {listed(chosen)}: a line each, with the name of the column before it; an "
            "empty cell has no line."
        )
    doubts += _still_quoted(table, (*chosen, answer_known))
    if inputs is None:
        doubts += _left_out(table, unused, texts, chosen[0])
    elif guessed and (prose := [name for name in unused if _is_prose(texts[name])]):
        doubts.append(
            f"column {shown(answer_known)} is read as the answer, because its values recur; {listed(prose)} "
            f"{'holds' if len(prose) == 1 else 'hold'} text and could be the answer too. Name it with --answer-column "
            "(answer_column in Python)."
        )
    return Columns(chosen, answer_known, tuple(notes), tuple(doubts))


def _named_inputs(table: Table, wanted: str | Sequence[str] | None) -> tuple[str, ...]:
    """The input columns that the caller asked for."""
    if wanted is None:
        return ()
    if isinstance(wanted, str):
        wanted = [wanted] if wanted in table.columns else _parts(wanted)
    names = tuple(_named_column(table, name, "input_column") for name in wanted)
    if not names or len(set(names)) < len(names):
        raise DataError(f"{table.name}: input_column is {listed(wanted)}; expected different columns")
    return names


def _named_column(table: Table, wanted: str, option: str) -> str:
    """The column that the caller asked for, by name or by number."""
    if wanted in table.columns:
        return wanted
    if re.fullmatch(r"[0-9]{1,4}", wanted) and 1 <= int(wanted) <= len(table.columns):
        return table.columns[int(wanted) - 1]
    raise DataError(
        f"{table.name}: there is no column {shown(wanted)} (asked for by {option}); "
        f"the columns are {listed(table.columns)}. Hint: a column can also be given by its number, counted from 1"
    )


def _known_column(table: Table, free: list[str], usual_names: tuple[str, ...], role: str) -> str | None:
    """The free column with a usual name for this role; the kit's own names, input and answer, take precedence."""
    usual = [name for name in free if name.lower() in usual_names]
    return _single_best(table, {name: name.lower() != role for name in usual}, role) if usual else None


def _single_best(table: Table, scores: Mapping[str, float], role: str) -> str:
    """The column with the lowest score; raises DataError if there is none, or more than one."""
    best = [name for name, score in scores.items() if score == min(scores.values())]
    if len(best) != 1:
        problem = f"{listed(best)} could each be the {role}" if best else f"no column is left for the {role}"
        raise DataError(
            f"{table.name}: {problem}; the columns are {listed(table.columns)}. "
            "Hint: name them by --input-column and --answer-column (input_column and answer_column in Python)"
        )
    return best[0]


def _longest(table: Table, texts: dict[str, list[str]], answer: str) -> tuple[tuple[str, ...], list[str]]:
    """The column with most characters, rather one that is not of addresses, numbers or codes; and a doubt."""
    length = {name: -sum(map(len, cells)) for name, cells in texts.items() if name != answer}
    prose = {name: score for name, score in length.items() if score and not _is_code(texts[name])}
    chosen = _single_best(table, prose or length, "input")
    codes = [name for name in length if name not in prose and length[name] < length[chosen]]
    if not prose and len(length) > 0 and length[chosen]:
        return (chosen,), [
            f"column {shown(chosen)} is read as the input, but it looks like addresses, numbers or codes, such as "
            f"{shown(next(filter(None, texts[chosen])))}."
        ]
    if codes:
        return (chosen,), [
            f"column {shown(chosen)} is read as the input; {listed(codes)} is longer, but looks like addresses, "
            "numbers or codes. Name another one with --input-column (input_column in Python)."
        ]
    return (chosen,), []


def _still_quoted(table: Table, names: Sequence[str]) -> list[str]:
    """Doubts on columns in which every cell stands in quotes."""
    doubts = []
    for name in names:
        cells = [(as_text(row.values.get(name)) or "").strip() for row in table.rows]
        if len(cells) > 1 and all(len(cell) > 1 and cell[0] + cell[-1] in _QUOTES for cell in cells):
            doubts.append(
                f"every cell of column {shown(name)} stands in quotes, such as {shown(cells[0])}; they are kept."
            )
    return doubts


def _is_code(cells: list[str]) -> bool:
    """Whether nearly all filled cells are one word of signs that people do not write: an address, a number, a code."""
    filled = [cell.strip() for cell in cells if cell.strip()]
    return sum(bool(_MACHINE.fullmatch(cell)) for cell in filled) >= 0.8 * len(filled)


def _left_out(table: Table, unused: list[str], texts: dict[str, list[str]], chosen: str) -> list[str]:
    """Doubts on unused columns that hold text, or lists and objects."""
    doubts = []
    prose = [name for name in unused if _is_prose(texts[name])]
    if prose:
        holds, are = ("holds", "is") if len(prose) == 1 else ("hold", "are")
        joined = ",".join(f'"{name}"' if "," in name else name for name in (*prose[:3], chosen))
        doubts.append(
            f"only column {shown(chosen)} is read as the input; {listed(prose)} "
            f"{holds} text too, and {are} not used. To join columns: --input-column '{joined}' (in Python, "
            f"input_column={joined!r}); to do without: --input-column '{chosen}'."
        )
    kinds = {
        name: [row.values.get(name) for row in table.rows if isinstance(row.values.get(name), (list, dict))]
        for name in unused
    }
    nested = [name for name, cells in kinds.items() if any(cells)]
    if nested:
        doubts.append(
            f"{listed(nested)} {'holds' if len(nested) == 1 else 'hold'} lists or objects, such as "
            f"{shown(next(filter(None, kinds[nested[0]])))}, and {'is' if len(nested) == 1 else 'are'} not used. "
            "--input-column A,B also joins a column of lists of texts; objects need a column for each of their values."
        )
    return doubts


def _is_prose(cells: list[str]) -> bool:
    """Whether a column holds text of its own: some filled cells, no class labels, numbers, addresses or codes."""
    filled = [cell.strip() for cell in cells if cell.strip()]
    if not filled or looks_closed(filled) or _is_code(filled):
        return False
    wordy = [cell for cell in filled if len(cell.split()) > 1 and not _NUMBER.fullmatch(cell.replace(" ", ""))]
    return 2 * len(wordy) >= len(filled) or any(not cell.isascii() and len(cell) > 10 for cell in filled)
