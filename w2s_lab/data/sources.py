"""Examples in, four disjoint parts out: registered tasks, a learner's own file or object, or a data set of the Hub.

Nothing is guessed or left out in silence: `read_examples` returns notes in plain sentences, and every note about rows
that were left out is a `DataWarning` too.
"""

import difflib
import json
import os
import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import astuple, dataclass, replace
from functools import cache, lru_cache, partial
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np

from w2s_lab import assets
from w2s_lab.data import fetch, film_texts, rated
from w2s_lab.data.answers import Answers
from w2s_lab.data.classes import warn_of_rare_classes, with_every_class
from w2s_lab.data.columns import asked_for
from w2s_lab.data.examples import ReadOptions, examples_from_table, table_of
from w2s_lab.data.hub import explain
from w2s_lab.data.objects import object_table
from w2s_lab.data.packed import no_header
from w2s_lab.data.presets import PRESETS, preset_table
from w2s_lab.data.readers import read_table
from w2s_lab.data.tables import EXTENSIONS, DataError, DataWarning, Row, Table, listed
from w2s_lab.records import Example, LabelledSet, Splits, Task
from w2s_lab.system.border import check_arguments, check_fields
from w2s_lab.system.files import replacing
from w2s_lab.system.record import Record, abbreviated
from w2s_lab.system.registry import Registry

__all__ = [
    "DataError",
    "DataWarning",
    "SplitSizes",
    "builtin_tasks",
    "example_to_json",
    "hub_table",
    "load_splits",
    "read_examples",
    "register_task",
    "split_examples",
    "tasks",
    "write_examples",
]

FETCHED = {  # task of `w2s-lab fetch` -> its answers, and its table in a folder
    **dict.fromkeys(rated.RATED, (rated.ANSWERS, rated.rated_table)),
    film_texts.NAME: (film_texts.ANSWERS, film_texts.film_table),
}
MIN_EXAMPLES = 40  # fewer than this leave no example for validation


@dataclass(frozen=True)
class SplitSizes(Record):
    """How many examples each part of a split gets; raises ValueError unless all are positive (validation may be 0)."""

    supervisor_train: int
    student_train: int
    test: int
    validation: int

    def __post_init__(self) -> None:
        check_fields(self)
        for name, least in (("supervisor_train", 1), ("student_train", 1), ("test", 1), ("validation", 0)):
            if getattr(self, name) < least:
                raise ValueError(f"SplitSizes: {name} is {getattr(self, name)!r}; expected an integer >= {least}")

    @classmethod
    def given(cls, sizes: "SplitSizes | Sequence[int]") -> "SplitSizes":
        """The sizes as a user gives them: this record, or four whole numbers in the order of its fields."""
        if isinstance(sizes, SplitSizes):
            return sizes
        if len(sizes) != 4:
            raise ValueError(
                f"sizes is {abbreviated(sizes)}; expected four whole numbers, such as (1500, 1500, 1000, 100), for "
                "supervisor, student, test and validation"
            )
        return cls(*sizes)

    @classmethod
    def of(cls, n: int) -> "SplitSizes":
        """The usual sizes for n examples.

        25 % supervisor, 50 % student, 2.5 % validation, the rest test, but no more than 1,500, 1,500, 100 and 1,000: so
        that a run takes a minute or two on a laptop.
        """
        shares = (n // 4, n // 2, n - n // 4 - n // 2 - n // 40, n // 40)
        return cls(*map(min, shares, (1500, 1500, 1000, 100)))


@dataclass(frozen=True)
class TaskSource:
    """Where the examples of a registered task come from.

    Attributes:
        name: of the task.
        examples: a file of rows (see `readers.read_table`), or a function that gives the same examples, or the same
            table of them, at every call.
        options: how they are read, unless the caller says otherwise.
        elicited: the answer is latent in the documents that the ladder was pre-trained on, so that fine-tuning has to
            elicit it, not to teach it (see `Plan.for_task`).
        builtin: the task comes with the kit.
    """

    name: str
    examples: Path | Callable[[], Iterable[Example] | Table]
    options: ReadOptions
    elicited: bool = False
    builtin: bool = False

    def table(self, options: ReadOptions) -> tuple[Table, ReadOptions]:
        """Its rows, and `options` with the gaps filled from this source; raises DataError if rows cannot be used."""
        usual = self.options
        columns = ("input_column", "answer_column", "instruction")
        chosen = {name: getattr(options, name) or getattr(usual, name) for name in columns}
        chosen["header"] = usual.header if options.header is None else options.header
        if options.answers is None and not options.open_ended and not options.closed:
            chosen |= {"answers": usual.answers, "open_ended": usual.open_ended, "closed": usual.closed}
        options = replace(options, **chosen)
        if not callable(self.examples):
            return _file_table(self.examples, options), options
        given = self.examples()
        own = replace(options, input_column="input", answer_column="answer")
        if isinstance(given, Table):
            return given, own
        found = list(given)
        strange = [example for example in found if not isinstance(example, Example)]
        if strange or not found:
            what = f"gave {strange[0]!r}" if strange else "gave nothing"
            raise DataError(f"{self.name}: the function of this task {what}; expected w2s_lab.Example objects")
        return table_of(self.name, found), own


@cache
def tasks() -> Registry[TaskSource]:
    """Name -> source of every task with a name.

    The built-in ones (`data/tasks/tasks.json`) come first, then those that `w2s-lab fetch` gets, then registered ones.
    """
    found = json.loads((assets.TASKS / "tasks.json").read_text(encoding="utf-8"))
    entries = {name: _builtin(name, **facts) for name, facts in found.items()}
    return Registry("task", entries | {name: _fetched(name, *facts) for name, facts in FETCHED.items()})


def _builtin(name: str, answers: list[str] | None, elicited: bool) -> TaskSource:
    options = ReadOptions(answers=None if answers is None else tuple(answers), open_ended=answers is None)
    return TaskSource(name, assets.TASKS / f"{name}.jsonl", options, elicited, builtin=True)


def _fetched(name: str, answers: tuple[str, ...], table: Callable[[str, Path], Table]) -> TaskSource:
    return TaskSource(name, partial(_fetched_table, name, table), ReadOptions(answers=answers))


def _fetched_table(name: str, table: Callable[[str, Path], Table]) -> Table:
    return table(name, fetch.folder(name))


def builtin_tasks() -> dict[str, Task]:
    """Name -> task of the built-in tasks, whose examples are `data/tasks/NAME.jsonl`."""
    return {name: Task(name, source.options.legal) for name, source in tasks().items() if source.builtin}


def register_task(
    name: str,
    examples: str | Path | Callable[[], Iterable[Example]],
    *,
    elicited: bool = False,
    replace: bool = False,
    **options: Any,
) -> None:
    """Give a task of your own a name, for `load_splits(NAME)`, studies and `w2s-lab run --data NAME`.

    Args:
        name: of the task.
        examples: a file of rows (see `readers.read_table`), or a function without arguments that gives `Example`
            objects, the same ones at every call: if the function draws at random, it must fix the seed itself.
        elicited: see `TaskSource`.
        replace: the new task may replace another one of this name.
        options: `answers`, `open_ended` and the others of `ReadOptions`.

    Raises:
        ValueError: another task has this name, or the options contradict each other.
    """
    check_arguments(register_task, locals())
    if not callable(examples):
        examples = assets.user_path(examples).absolute()  # a worker may run in another folder
    tasks().register(name, TaskSource(name, examples, ReadOptions(**options), elicited), replace=replace)


def load_splits(
    source: str | Path | Any,
    *,
    seed: int = 0,
    sizes: SplitSizes | Sequence[int] | None = None,
    name: str | None = None,
    **options: Any,
) -> Splits:
    """Read a source and split it at random into supervisor, student, test and validation examples.

    Args:
        source: a task, a file, a DataFrame, a list of dicts and more: see `read_examples`, which also takes `options`.
        seed: of the split; the same examples are split in the same way, whatever their order in the file.
        sizes: examples for supervisor, student, test and validation, such as (100, 100, 50, 10); None: see
            `SplitSizes.of`.
        name: of the task; None: that of the source.

    Raises:
        TypeError: an argument has the wrong type.
        DataError: (a ValueError) the source is unknown, or its data cannot be used.

    Warns:
        DataWarning: rows were left out, a guess may be wrong, or an answer has too few examples to be in every part.
    """
    check_arguments(load_splits, locals())
    task, examples, _ = read_examples(source, name=name, **options)
    return _split(task, examples, seed, sizes)  # a warning names the caller's line


def _unknown_source(source: str) -> DataError:
    """The error for an unknown source, which says what is possible instead."""
    close = difflib.get_close_matches(source, tasks(), n=1)
    meant = f" Did you mean {close[0]!r}?" if close else ""
    return DataError(
        f"unknown data source {source!r}; expected the name of a task ({', '.join(tasks())}), a path to a "
        f"{', '.join(EXTENSIONS)} file, or hub:NAME[:CONFIG][@REVISION].{meant}"
    )


def split_examples(
    task: Task, examples: Sequence[Example], *, seed: int, sizes: SplitSizes | Sequence[int] | None = None
) -> Splits:
    """Split examples at random, so that no part lacks a class of a closed task if that can be helped.

    Where each part has each class anyway, nothing but chance decides (see `classes.with_every_class`).

    Args:
        task, examples: what is split.
        seed: of the split; the same examples are split in the same way, whatever their order.
        sizes: examples in each part; None: see `SplitSizes.of`.

    Raises:
        DataError: (a ValueError) there are too few examples.

    Warns:
        DataWarning: an answer has too few examples to be in every part, or none.
    """
    check_arguments(split_examples, locals())
    return _split(task, examples, seed, sizes)


def _split(task: Task, examples: Sequence[Example], seed: int, sizes: SplitSizes | Sequence[int] | None) -> Splits:
    n = len(examples)
    if sizes is None:
        if n < MIN_EXAMPLES:
            raise DataError(f"{task.name}: {n} usable examples; expected at least {MIN_EXAMPLES}. Hint: add rows")
        sizes = SplitSizes.of(n)
    sizes = SplitSizes.given(sizes)
    if sum(astuple(sizes)) > n:
        raise DataError(
            f"{task.name}: {sizes} asks for {sum(astuple(sizes))} examples, but there are {n}. Hint: smaller sizes"
        )
    # The test set is drawn first: it stays the same when only the training sizes change.
    parts = {name: getattr(sizes, name) for name in ("test", "validation", "supervisor_train", "student_train")}
    in_order = sorted(examples, key=lambda example: example.id)  # so that the order in the file does not matter
    order = np.random.default_rng(seed).permutation(n)
    if task.answers is not None:
        warn_of_rare_classes(task, examples, parts, stacklevel=4)
        found = np.unique([example.answer or "" for example in in_order], return_inverse=True)[1]
        order = with_every_class(order, found, parts)
    bounds = pairwise(np.cumsum([0, *parts.values()]))
    drawn = [LabelledSet.ground_truth(task, [in_order[i] for i in order[a:b]]) for a, b in bounds]
    return Splits(**dict(zip(parts, drawn, strict=True)))


def read_examples(
    source: str | Path | Any,
    *,
    name: str | None = None,
    input_column: str | Sequence[str] | None = None,
    answer_column: str | None = None,
    instruction: str | None = None,
    answers: Answers | None = None,
    open_ended: bool = False,
    header: bool | None = None,
    closed: bool = False,
) -> tuple[Task, list[Example], list[str]]:
    """Read a source of examples.

    Surrounding blanks of answers are cut off; inputs stay as they are. An example is kept once: a row that repeats an
    earlier instruction and input is left out, whether it has the same answer or another one.

    Args:
        source: a built-in, fetched or registered task (see `tasks`), a file of rows (see `readers.read_table`),
            `hub:PRESET[@REVISION]` for one of `presets.PRESETS`, or `hub:NAME[:CONFIG][@REVISION]` for the train split
            of any other data set of the Hugging Face Hub. Or an object: a DataFrame, a `datasets.Dataset`, a list of
            dicts, a dict of lists, or `Example`s (see `objects.object_table`); messages count its rows from 1.
        name: name of the task; None: that of the source, "data" for an object.
        input_column, answer_column, instruction, answers, open_ended, header, closed: see `ReadOptions`.

    Returns:
        The task, the examples in the source's order, and notes: sentences on what was guessed and what was left out.

    Raises:
        DataError: (a ValueError) the source is unknown or cannot be used; the message names file, line and value.

    Warns:
        DataWarning: rows were left out, or a guess may be wrong.
    """
    options = ReadOptions(input_column, answer_column, instruction, answers, open_ended, header, closed)
    check_arguments(read_examples, locals())
    if not isinstance(source, str | Path):
        no_header(name or "data", header)
        table, own = object_table(source, name or "data", hub_table)
        options = replace(options, **own)
    elif str(source) in tasks():
        own = tasks()[str(source)]
        if own.builtin and name is None and options == ReadOptions():
            facts = os.stat(own.examples)
            task, examples, notes = _read_once(str(source), facts.st_mtime_ns, facts.st_size)
            return task, list(examples), list(notes)
        name = name or str(source)
        table, options = own.table(options)
    elif str(source).startswith("hub:"):
        preset, table, options = _load_hub(str(source), options)
        name = name or preset
    elif Path(source).suffix.lower() in EXTENSIONS or os.sep in str(source) or os.path.exists(source):
        table = _file_table(source, options)
    else:
        raise _unknown_source(str(source))
    return examples_from_table(table, options, name=name)


@lru_cache(maxsize=16)
def _read_once(name: str, changed: int, size: int) -> tuple[Task, list[Example], list[str]]:
    """A built-in task; read again where its file has changed since."""
    return examples_from_table(*tasks()[name].table(ReadOptions()), name=name)


def _file_table(path: str | Path, options: ReadOptions) -> Table:
    path = assets.user_path(path)
    if any(os.path.isfile(path / mark) for mark in ("state.json", "dataset_dict.json")):
        no_header(str(path), options.header)
        return _saved_table(path)
    return read_table(path, (*asked_for(options.input_column), *asked_for(options.answer_column)), options.header)


def _saved_table(path: Path) -> Table:
    """The rows of a folder that `save_to_disk` of `datasets` wrote; of several splits, those of `train`."""
    try:
        from datasets import load_from_disk
    except ImportError:
        raise DataError(
            f"{path}: a folder of the package datasets, which is not installed. Hint: pip install 'w2s-lab[hub]'"
        ) from None
    try:
        found = load_from_disk(str(path))
    except Exception as error:  # of many kinds
        raise DataError(f"{path}: the data set cannot be loaded ({error}). Hint: save it again, or as CSV") from None
    if not isinstance(found, dict):
        return hub_table(str(path), found)
    if "train" not in found and len(found) != 1:
        raise DataError(f"{path}: splits {listed(found)}; expected one of them. Hint: name its folder, {path / '...'}")
    split = "train" if "train" in found else next(iter(found))
    others = [name for name in found if name != split]
    doubts = (f"the split {split!r} is read, and not {listed(others)}.",) if others else ()
    return replace(hub_table(str(path), found[split]), doubts=doubts)


def example_to_json(example: Example) -> str:
    """The line of a .jsonl file that holds an example, without a line end."""
    fields = {"id": example.id, "instruction": example.instruction, "input": example.input}
    return json.dumps({**fields, "answer": example.answer, "tags": list(example.tags)})


def write_examples(path: str | Path, examples: Iterable[Example]) -> None:
    """Write examples as JSONL, whole or not at all; `read_examples` reads answered ones back.

    Raises:
        ValueError: the path does not end in .jsonl.
    """
    check_arguments(write_examples, locals())
    path = assets.user_path(path)
    if path.suffix.lower() != ".jsonl":
        raise ValueError(f"{path}: examples are written as .jsonl, not {path.suffix!r}")
    with replacing(path) as new:
        new.write_text("".join(f"{example_to_json(e)}\n" for e in examples), encoding="utf-8", newline="\n")


def _load_hub(source: str, options: ReadOptions) -> tuple[str | None, Table, ReadOptions]:
    """Task name, rows and options behind `hub:NAME[:CONFIG][@REVISION]`, where NAME is a preset or a data set's id."""
    match = re.fullmatch(r"hub:([^:@]+)(?::([^:@]+))?(?:@(.+))?", source)
    if match is None:
        raise DataError(f"{source!r}: expected hub:NAME, hub:NAME:CONFIG or hub:NAME:CONFIG@REVISION")
    no_header(source, options.header)
    name, config, revision = match.groups()
    preset = PRESETS.get(name)
    if preset is None:
        return None, hub_table(source, _download(source, name, config, revision, "train")), options
    given = options.input_column or options.answer_column or options.answers or options.open_ended or options.closed
    if given or config:
        raise DataError(
            f"{source}: {name} has its own columns, answers and configuration; expected none of them to be given. "
            f"Hint: hub:{preset.repository} is the same data set without them"
        )
    parts = _download(source, preset.repository, None, revision or preset.revision, list(preset.splits))
    own = replace(options, input_column="input", answer_column="answer", answers=preset.answers)
    return name, preset_table(source, preset, parts), own


def _download(source: str, name: str, config: str | None, revision: str | None, split: str | list[str]) -> Any:
    """A `datasets.Dataset`, or a list of them for a list of splits; from the cache if it is there."""
    try:
        from datasets import load_dataset  # here, because this import takes seconds and most runs do without it
    except ImportError:
        raise DataError(f"{source}: this needs the package datasets. Hint: pip install 'w2s-lab[hub]'") from None
    try:
        return load_dataset(name, config, split=split, revision=revision)
    except Exception as error:  # many kinds; "from None", because a library's message may quote a token
        expected = f"owner/name as on huggingface.co, or one of {', '.join(PRESETS)}"
        instead = f"a built-in task ({', '.join(builtin_tasks())}) or a file of your own"
        sentence = explain(error, "data set", name, revision, expected=expected, instead=instead)
        raise DataError(f"{source}: {sentence}") from None


def hub_table(name: str, dataset: Any) -> Table:
    """The rows of a `datasets.Dataset`, numbered from 1; class numbers become class names, -1 (unlabelled) None."""
    rows = [dict(row) for row in dataset]
    for column, feature in dataset.features.items():
        if hasattr(feature, "int2str"):  # a ClassLabel
            for row in rows:
                number = row[column]
                row[column] = None if number is None or number < 0 else feature.int2str(number)
    numbered = tuple(Row(number, row) for number, row in enumerate(rows, 1))
    if not numbered:
        raise DataError(f"{name}: the data set has no rows")
    return Table(name, tuple(dataset.column_names), numbered, unit="row")
