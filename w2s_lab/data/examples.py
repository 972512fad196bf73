"""From a table to examples: which column is which, which answers are legal, which rows repeat an earlier row.

The notes report every guess and every row left out; a note about rows left out is also a `DataWarning`.
"""

import difflib
import re
import warnings
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from w2s_lab.data.readers import (
    ANSWER_NAMES,
    INPUT_NAMES,
    MAX_CLASSES,
    DataError,
    DataWarning,
    Row,
    Table,
    listed,
    looks_closed,
    shown,
)
from w2s_lab.records import Example, Task

Answers = Sequence[str] | Mapping[str, str]

_OWN_ID = re.compile(r"[0-9a-f]{16}")


@dataclass(frozen=True)
class ReadOptions:
    """How rows become examples. An option that is None is guessed, and the guess is reported.

    Attributes:
        input_column: name of the input's column, or its number counted from 1.
        answer_column: the same for the true answer.
        instruction: the instruction of every row, instead of the file's own `instruction` column.
        answers: the closed list of legal answers, or a mapping from the file's values to answers ({"0": "negative"}).
        open_ended: answers are free text, even if there are only a few different ones.

    Raises:
        ValueError: there are fewer than two answers, or `answers` are given with `open_ended`.
    """

    input_column: str | None = None
    answer_column: str | None = None
    instruction: str | None = None
    answers: Answers | None = None
    open_ended: bool = False

    def __post_init__(self) -> None:
        if isinstance(self.answers, str) or (self.answers is not None and len(self.closed or ()) < 2):
            raise ValueError(f"answers is {self.answers!r}; expected at least two answers, as a list or a mapping")
        if self.answers is not None and self.open_ended:
            raise ValueError("answers and open_ended contradict each other: a closed list of answers, or free text")

    @cached_property
    def words(self) -> dict[str, str]:
        """The file's value -> the answer; empty where `answers` is None."""
        pairs = self.answers.items() if isinstance(self.answers, Mapping) else ((a, a) for a in self.answers or ())
        return {str(value).strip(): str(answer).strip() for value, answer in pairs}

    @property
    def closed(self) -> tuple[str, ...] | None:
        """The given closed list, in order and without repeats, or None."""
        return tuple(dict.fromkeys(self.words.values())) or None


def table_of(name: str, examples: Sequence[Example], notes: Sequence[str] = ()) -> Table:
    """Examples as a table with the columns instruction, input, answer and tags."""
    columns = ("instruction", "input", "answer", "tags")
    rows = [(e.instruction, e.input, e.answer, list(e.tags)) for e in examples]
    numbered = tuple(Row(number, dict(zip(columns, row, strict=True))) for number, row in enumerate(rows, 1))
    return Table(name, columns, numbered, tuple(notes), unit="example")


def examples_from_table(
    table: Table, options: ReadOptions, *, name: str | None = None
) -> tuple[Task, list[Example], list[str]]:
    """The task, the examples and the notes of a table; does for any table what `read_examples` does for a file.

    Args:
        table: the rows.
        options: how rows become examples.
        name: name of the task; None: the last part of the table's name, without its extension.

    Raises:
        DataError: a column cannot be found or guessed, a cell is empty or not legal, all answers are equal, or an id
            of the kit does not fit its row.

    Warns:
        DataWarning: rows were left out, since they repeat an earlier row.
    """
    input_column, answer_column, notes = _choose_columns(table, options)
    legal = options.closed
    words = [_answer(table, row, answer_column, options) for row in table.rows]
    if legal is None and not options.open_ended:
        legal = _guess_closed(words)
        notes.append(
            f"the answers are free text: they are not at most {MAX_CLASSES} short values that recur."
            if legal is None
            else f"the answers are treated as a closed list: {listed(legal)}."
        )
    default = options.instruction or ("Answer the input." if legal is None else _ask(legal))
    examples = [_example(table, r, input_column, w, default, options) for r, w in zip(table.rows, words, strict=True)]
    if options.instruction is None and any(_own_instruction(table, row) is None for row in table.rows):
        notes.append(f"the instruction is made up, since the data has none: {default!r}.")
    kept, lost = _without_repeats(table, examples)
    if legal is not None and len({example.answer for example in kept}) < 2:
        only = shown(kept[0].answer)
        raise DataError(f"{table.name}: every answer is {only}; expected at least two classes. Hint: add other answers")
    for note in lost:
        warnings.warn(f"{table.name}: {note}", DataWarning, stacklevel=3)
    count = f"{len(table.rows)} rows read, {len(kept)} examples kept, {table.blank} blank lines skipped."
    return Task(name or Path(table.name).stem, legal), kept, [count, *table.notes, *notes, *lost]


def _ask(answers: Sequence[str]) -> str:
    """The instruction for a closed task whose data has none."""
    ellipsis = ", ..." if len(answers) > MAX_CLASSES else ""
    return f"Answer with one of: {', '.join(answers[:MAX_CLASSES])}{ellipsis}."


def _guess_closed(words: list[str]) -> tuple[str, ...] | None:
    """The closed list of these answers, the most frequent first, ties in alphabetical order; None for free text."""
    counts = Counter(words)
    return tuple(sorted(counts, key=lambda word: (-counts[word], word))) if looks_closed(words) else None


def _choose_columns(table: Table, options: ReadOptions) -> tuple[str, str, list[str]]:
    """Input column, answer column, and notes on those that were guessed."""
    input_column = _named_column(table, options.input_column, "input_column")
    answer_column = _named_column(table, options.answer_column, "answer_column")
    free = [name for name in table.columns if name not in ("id", "instruction", "tags", input_column, answer_column)]
    input_column = input_column or _known_column(table, free, INPUT_NAMES, "input")
    answer_column = answer_column or _known_column(table, free, ANSWER_NAMES, "answer")
    texts = {name: [_plain(row.values.get(name)) or "" for row in table.rows] for name in free}
    if answer_column is None:
        distinct = {name: len(set(texts[name])) for name in free if name != input_column}
        few = {name: n for name, n in distinct.items() if n <= MAX_CLASSES and 2 * n <= len(table.rows)}
        few = {name: n for name, n in few.items() if n > 1} or few  # a constant column is a last resort
        answer_column = _single_best(table, few or dict.fromkeys(distinct, 0), "answer")
    if input_column is None:
        length = {name: -sum(map(len, texts[name])) for name in free if name != answer_column}
        input_column = _single_best(table, length, "input")
    if input_column == answer_column:
        raise DataError(f"{table.name}: column {shown(input_column)} cannot be both input and answer")
    unused = [name for name in free if name not in (input_column, answer_column)]
    notes = [f"columns not used: {listed(unused)}."] if unused else []
    if not (options.input_column and options.answer_column):
        notes.append(f"column {shown(input_column)} is read as the input, {shown(answer_column)} as the answer.")
    return input_column, answer_column, notes


def _named_column(table: Table, wanted: str | None, option: str) -> str | None:
    """The column that the caller asked for, by name or by number."""
    if wanted is None or wanted in table.columns:
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


def _plain(value: object) -> str | None:
    """A cell as text, with numbers and truth values as in JSON; None for a missing value or another type."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, (int, float)):
        return str(value) if value == value else None  # a table writes NaN for a missing number
    return value if isinstance(value, str) else None


def _cell(table: Table, row: Row, column: str) -> str:
    """The text of a cell; raises DataError if the column is missing or holds no text or number."""
    where = table.at(row.line)
    if column not in row.values:
        present = listed(row.values) or "none"
        raise DataError(f"{where}: column {shown(column)} is missing; the columns here are {present}")
    value = row.values[column]
    text = _plain(value)
    if text is None and value is not None and value == value:
        raise DataError(f"{where}: column {shown(column)} is {shown(value)}; expected a string or a number")
    if any("\ud800" <= character <= "\udfff" for character in text or ""):
        raise DataError(f"{where}: column {shown(column)} has half a character (a lone surrogate): {shown(text)}")
    return text or ""


def _empty(table: Table, row: Row, column: str, role: str) -> DataError:
    """The error to raise for an empty cell."""
    where = table.at(row.line)
    return DataError(f"{where}: the {role} (column {shown(column)}) is empty. Hint: fill it in or delete the row")


def _answer(table: Table, row: Row, column: str, options: ReadOptions) -> str:
    """The row's answer; if there is a closed list, the answer of that list."""
    value = _cell(table, row, column).strip()
    if not value:
        raise _empty(table, row, column, "answer")
    if options.answers is None:
        return value
    if value not in options.words:
        close = difflib.get_close_matches(value.lower(), options.words, n=1)
        hint = f"did you mean {close[0]!r}?" if close else "correct the value, or add it to answers"
        raise DataError(
            f"{table.at(row.line)}: the answer (column {shown(column)}) is {shown(value)}; "
            f"expected one of {listed(options.words)}. Hint: {hint}"
        )
    return options.words[value]


def _own_instruction(table: Table, row: Row) -> str | None:
    """The row's own instruction. A blank one counts as none, unless the kit wrote the row, which then has an id."""
    if row.values.get("instruction") is None:
        return None
    text = _cell(table, row, "instruction")
    return text if text.strip() or "id" in row.values else None


def _example(table: Table, row: Row, column: str, answer: str, default: str, options: ReadOptions) -> Example:
    """The row's example; raises DataError if the row has an id of the kit that does not fit the text."""
    text = _cell(table, row, column)
    own_instruction = _own_instruction(table, row)
    instruction = default if own_instruction is None or options.instruction else own_instruction
    if not text.strip() and not (own_instruction or "").strip():
        raise _empty(table, row, column, "input")
    stored = row.values.get("id")
    if own_instruction is not None and column == "input" and isinstance(stored, str) and _OWN_ID.fullmatch(stored):
        computed = Example(own_instruction, text).id
        if stored != computed:
            raise DataError(
                f"{table.at(row.line)}: id is {stored!r}, but instruction and input give {computed!r}. "
                "Hint: the text was altered; restore it, or remove the id"
            )
    tags = row.values.get("tags")
    is_words = isinstance(tags, list) and all(isinstance(tag, str) for tag in tags)
    return Example(instruction, text, answer, tuple(tags) if is_words else ())


def _without_repeats(table: Table, examples: list[Example]) -> tuple[list[Example], list[str]]:
    """The first of equal examples, and notes on the rows left out."""
    first: dict[str, tuple[int, Example]] = {}
    repeats: list[str] = []
    conflicts: list[str] = []
    for row, example in zip(table.rows, examples, strict=True):
        line, earlier = first.setdefault(example.id, (row.line, example))
        if earlier is example:
            continue
        if earlier.answer == example.answer:
            repeats.append(f"{table.unit} {row.line} as {line}")
        else:
            conflicts.append(f"{table.unit} {row.line} {shown(example.answer)} against {line} {shown(earlier.answer)}")
    notes = []
    for left_out, text in (
        (repeats, "rows left out: same input and same answer as an earlier row"),
        (conflicts, "rows left out: same input as an earlier row but another answer; the first answer is kept"),
    ):
        if left_out:
            notes.append(f"{len(left_out)} {text} ({'; '.join(left_out[:5])}{'; ...' if len(left_out) > 5 else ''}).")
    return [example for _, example in first.values()], notes
