"""From a table to examples: which column is which, which answers are legal, which rows repeat an earlier row.

The notes report every guess and every row left out; a note about rows left out is also a `DataWarning`.
"""

import warnings
from collections.abc import Sequence
from pathlib import Path

from w2s_lab.data.answers import closed_list, is_missing
from w2s_lab.data.cells import Unusable, answer_of, look_alike_hint, own_instruction, parts_of, rows_error
from w2s_lab.data.columns import choose_columns
from w2s_lab.data.options import ReadOptions
from w2s_lab.data.tables import MAX_CLASSES, PACKED, DataError, DataWarning, Row, Table, listed, rows_in_words, shown
from w2s_lab.records import Example, Task


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
        DataWarning: rows were left out, since they repeat an earlier row; or a guess may be wrong, such as that two
            spellings are two answers, or that a column of text is not part of the input.
    """
    _warn(table, table.doubts)  # before an error that they may explain
    columns = choose_columns(
        table, options.input_column, options.answer_column, most=None if options.closed else MAX_CLASSES
    )
    _warn(table, columns.doubts)
    parts, words, problems = [], [], []
    for row in table.rows:
        for found, read in (
            (words, lambda row: answer_of(row, columns.answer, options)),
            (parts, lambda row: parts_of(row, columns.inputs, options)),
        ):
            try:
                found.append(read(row))
            except Unusable as error:
                problems.append(error.problem(row.line))
    if problems:
        raise rows_error(table, problems, look_alike_hint(table, columns.answer, options))
    legal, doubts = options.legal, []
    notes = [*columns.notes]
    if options.answers is None and not options.open_ended:
        legal, doubts = closed_list(words, closed=options.closed)
        notes.append(
            f"the answers are free text: they are not at most {MAX_CLASSES} short values that recur."
            if legal is None
            else f"the answers are treated as a closed list: {listed(legal)}."
        )
    elif options.open_ended and (unclear := [word for word in words if is_missing(word)]):
        doubts.append(
            f"{len(unclear)} answers are {listed(dict.fromkeys(unclear))}, and are read as text. If there is no answer "
            "in these rows, delete them."
        )
    default = options.instruction or ("Answer the input." if legal is None else _ask(legal))
    examples = [
        Example(default if instruction is None else instruction, text, word, tags)
        for (instruction, text, tags), word in zip(parts, words, strict=True)
    ]
    if options.instruction is None and any(own_instruction(row) is None for row in table.rows):
        notes.append(f"the instruction is made up, since the data has none: {default!r}.")
    _warn(table, doubts)
    kept, lost = _without_repeats(table, examples)
    if legal is not None and len({example.answer for example in kept}) < 2:
        only = shown(kept[0].answer)
        raise DataError(f"{table.name}: every answer is {only}; expected at least two classes. Hint: add other answers")
    _warn(table, lost)
    count = f"{len(table.rows)} rows read, {len(kept)} examples kept, {table.blank} blank lines skipped."
    doubts = [*table.doubts, *columns.doubts, *doubts]
    return Task(name or _task_name(table.name), legal), kept, [count, *table.notes, *notes, *doubts, *lost]


def _warn(table: Table, sentences: Sequence[str]) -> None:
    for sentence in sentences:
        warnings.warn(f"{table.name}: {sentence}", DataWarning, stacklevel=4)


def _task_name(source: str) -> str:
    """The name of a file without its extensions, such as reviews of reviews.csv.gz."""
    path = Path(source)
    while path.suffix.lower() in PACKED:
        path = path.with_suffix("")
    return path.stem


def _ask(answers: Sequence[str]) -> str:
    """The instruction for a closed task whose data has none."""
    ellipsis = ", ..." if len(answers) > MAX_CLASSES else ""
    return f"Answer with one of: {', '.join(answers[:MAX_CLASSES])}{ellipsis}."


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
        (repeats, "left out: same input and same answer as an earlier row"),
        (conflicts, "left out: same input as an earlier row but another answer; the first answer is kept"),
    ):
        if left_out:
            named = "; ".join([*left_out[:5], *(["..."] if len(left_out) > 5 else [])])
            notes.append(f"{rows_in_words(len(left_out))} {text} ({named}).")
    return [example for _, example in first.values()], notes
