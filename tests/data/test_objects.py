"""Objects in memory are read as a file with the same rows is."""

import csv
import subprocess
import sys
import warnings

import datasets
import numpy as np
import pandas
import pyarrow
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from places import ROOT

import w2s_lab as w2s
from w2s_lab.data.sources import DataError, DataWarning, load_splits, read_examples

ROWS = [{"text": f"film {i} was {'good' if i % 3 else 'bad'}", "label": "yes" if i % 3 else "no"} for i in range(60)]
FRAME = pandas.DataFrame(ROWS)
FORMS = {
    "list": ROWS,
    "tuple": tuple(ROWS),
    "dict of lists": {name: [row[name] for row in ROWS] for name in ROWS[0]},
    "frame": FRAME,
    "frame with its text as index": FRAME.set_index("text"),
    "frame with an odd index": FRAME.set_index(np.arange(60) * 7),
    "categories": FRAME.astype({"label": "category"}),
    "nullable": FRAME.convert_dtypes(),
    "dataset": datasets.Dataset.from_list(ROWS),
    "dict with one dataset": datasets.DatasetDict(train=datasets.Dataset.from_list(ROWS)),
    "arrow": pyarrow.Table.from_pylist(ROWS),
}


@pytest.mark.parametrize("form", FORMS)
def test_an_object_is_read_like_a_file(form, tmp_path):
    path = tmp_path / "films.csv"
    FRAME.to_csv(path, index=False)
    task, examples, _ = read_examples(FORMS[form], name="films")
    assert (task, examples) == read_examples(path)[:2] and task.name == "films"
    splits = load_splits(FORMS[form], seed=1, sizes=(20, 20, 10, 5))
    assert splits.test.ids == load_splits(path, seed=1, sizes=(20, 20, 10, 5)).test.ids and splits.task.name == "data"


def test_a_generator_is_read_once():
    assert read_examples(row for row in ROWS)[1] == read_examples(ROWS)[1]


def test_examples_keep_instruction_tags_and_id():
    _, examples, _ = read_examples("helpdesk")
    task, again, _ = read_examples(examples[:80], name="mine")
    assert again == examples[:80] and task.name == "mine"


def test_a_name_is_taken_for_files_and_tasks_too(tmp_path):
    path = tmp_path / "films.csv"
    FRAME.to_csv(path, index=False)
    assert (
        read_examples(path, name="mine")[0].name == "mine" and read_examples("helpdesk", name="desk")[0].name == "desk"
    )


def test_class_numbers_of_a_dataset_are_named():
    features = datasets.Features(text=datasets.Value("string"), label=datasets.ClassLabel(names=["no", "yes"]))
    numbers = [{**row, "label": int(row["label"] == "yes")} for row in ROWS]
    task, examples, _ = read_examples(datasets.Dataset.from_list(numbers, features=features))
    assert sorted(task.answers) == ["no", "yes"] and [e.answer for e in examples] == [row["label"] for row in ROWS]


@pytest.mark.parametrize("kind", [int, float, np.int8, np.float32, bool, "Int64", "category", str])
def test_numbers_are_answers_as_they_are_written(kind):
    frame = FRAME.assign(label=[int(row["label"] == "yes") for row in ROWS])
    frame = frame.assign(label=frame["label"].astype(kind))
    words = {"true": "yes", "false": "no"} if kind is bool else {"1": "yes", "0": "no"}
    sources = [frame] if kind in (float, np.float32) else [frame, frame.to_dict("list"), frame.to_dict("records")]
    for source in sources:
        task, examples, _ = read_examples(source, answers=words)
        assert set(task.answers) == {"yes", "no"} and [e.answer for e in examples] == [row["label"] for row in ROWS]


def test_equal_rows_are_left_out_with_a_warning():
    with pytest.warns(DataWarning, match=r"1 row left out.*row 61 as 1"):
        _, examples, notes = read_examples([*ROWS, ROWS[0]])
    assert len(examples) == 60 and notes[0].startswith("61 rows read")


WRONG = {
    "empty answer": (lambda: FRAME.assign(label=[None, *FRAME["label"][1:]]), DataError, "data, row 1: the answer"),
    "missing value": (
        lambda: FRAME.assign(label=FRAME["label"].where(FRAME.index != 2)),
        DataError,
        "data, row 3: the answer",
    ),
    "pandas.NA": (lambda: [*ROWS[:4], {"text": "a", "label": pandas.NA}, *ROWS], DataError, "data, row 5: the answer"),
    "empty text": (lambda: [*ROWS[:1], {"text": " ", "label": "yes"}, *ROWS[1:]], DataError, "data, row 2: the input"),
    "a key less": (lambda: [*ROWS, {"text": "a"}], DataError, "data, row 61: column 'label' is missing"),
    "no rows": (lambda: [], DataError, "data: there are no rows"),
    "no rows in a frame": (lambda: FRAME.head(0), DataError, "data: there are no rows"),
    "one column": (lambda: FRAME[["text"]], DataError, "the columns are 'text'; expected at least two"),
    "two of a name": (lambda: FRAME.set_axis(["a", "a"], axis=1), DataError, "2 columns are called 'a'"),
    "lengths": (lambda: {"text": ["a", "b"], "label": ["c"]}, DataError, "'text' has 2, 'label' has 1"),
    "several parts": (
        lambda: datasets.DatasetDict(train=datasets.Dataset.from_list(ROWS), test=datasets.Dataset.from_list(ROWS)),
        DataError,
        r"has 2 parts \('train', 'test'\).*data\['train'\]",
    ),
    "pairs": (lambda: [("a", "b")], TypeError, r"data, row 1: found \('a', 'b'\); expected a dict"),
    "dicts and examples": (lambda: [*ROWS, w2s.Example("a", "b", "c")], TypeError, "data, row 61: found Example"),
    "one row": (lambda: ROWS[0], TypeError, r"\[row\] makes a list"),
    "a column": (lambda: FRAME["text"], TypeError, "a pandas Series"),
    "groups": (lambda: FRAME.groupby("label"), TypeError, "a pandas DataFrameGroupBy"),
    "an array": (lambda: FRAME.values, TypeError, "data, row 1: found array"),
    "nothing": (lambda: None, TypeError, "source is None; expected a DataFrame"),
    "a number": (lambda: 3, TypeError, "source is 3"),
    "bytes": (lambda: b"a,b", TypeError, "source is b'a,b'"),
    "splits": (lambda: load_splits(ROWS, sizes=(20, 20, 10, 5)), TypeError, "split and labelled already"),
    "a labelled set": (lambda: load_splits(ROWS, sizes=(20, 20, 10, 5)).test, TypeError, "split and labelled already"),
}


@pytest.mark.parametrize("what", WRONG)
def test_what_cannot_be_read_is_named(what):
    make, error, words = WRONG[what]
    with pytest.raises(error, match=words):
        load_splits(make(), seed=0)


CELL = (
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=4) | st.lists(st.integers(), max_size=2)
)


@settings(max_examples=60, deadline=None)
@given(st.lists(st.dictionaries(st.sampled_from(["text", "label", "id", 3, None]), CELL, max_size=4), max_size=6))
def test_any_list_of_dicts_is_read_or_refused_in_a_sentence(rows):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DataWarning)
        for source in (rows, pandas.DataFrame(rows)):
            try:
                _, examples, notes = read_examples(source)
            except DataError as error:
                assert str(error).startswith("data") and len(str(error)) < 600
            else:
                assert examples and int(notes[0].split()[0]) == len(rows)


def test_the_home_folder_is_meant_by_its_sign(monkeypatch, tmp_path):
    monkeypatch.setenv("HOME", str(tmp_path))
    _, examples, _ = read_examples(ROWS)
    w2s.write_examples("~/out/films.jsonl", examples)
    assert (tmp_path / "out" / "films.jsonl").is_file() and read_examples("~/out/films.jsonl")[1] == examples
    with open(tmp_path / "films.csv", "w", newline="") as file:
        writer = csv.DictWriter(file, ["text", "label"])
        writer.writeheader()
        writer.writerows(ROWS)
    w2s.register_task("home films", "~/films.csv", replace=True)
    assert len(read_examples("~/films.csv")[1]) == len(read_examples("home films")[1]) == 60
    assert w2s.Store("~/runs").root == tmp_path / "runs"


def test_the_libraries_of_objects_are_not_imported():
    code = "import sys, w2s_lab as w2s; w2s.read_examples([{'a': str(i), 'b': 'xy'[i % 2]} for i in range(9)])"
    done = subprocess.run(
        [sys.executable, "-c", f"{code}; sys.exit(bool({{'pandas', 'datasets', 'pyarrow'}} & set(sys.modules)))"],
        cwd=ROOT,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
