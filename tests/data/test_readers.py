"""Files as other programs write them: separators, quotes, headers, archives, spellings, and columns left out.

Each comes back with the cells that were written, or an error or a `DataWarning` says what was not.
"""

import argparse
import bz2
import csv
import gzip
import io
import json
import lzma
import shlex
import sys
import warnings
import zipfile
from collections import Counter
from pathlib import Path

import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st
from places import SHARED

from w2s_lab.cli.arguments import answers as answers_option
from w2s_lab.data import packed
from w2s_lab.data.sources import DataError, DataWarning, load_splits, read_examples

CASES = SHARED / "cases"
GOOD = [(f"film number {i} was {'fine' if i % 2 else 'dull'}, I think", "pos" if i % 2 else "neg") for i in range(60)]
HEADER = [("text", "label")]


def put(folder, name, content):
    """Write bytes or text as they are, line ends included."""
    path = folder / name
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


def table(rows, sep=",", **dialect):
    out = io.StringIO(newline="")
    csv.writer(out, delimiter=sep, **dialect).writerows(rows)
    return out.getvalue()


def objects(rows=GOOD, **more):
    return [{"text": text, "label": label, **more} for text, label in rows]


def read(path, **options):
    """Task, (input, answer) pairs, notes and the texts of the warnings."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        task, examples, notes = read_examples(path, **options)
    told = [str(w.message) for w in caught]
    assert all(issubclass(w.category, DataWarning) and str(path) in str(w.message) for w in caught)
    assert all(any(text.endswith(note) for note in notes) for text in told), "each warning is a note too"
    return task, [(e.input, e.answer) for e in examples], notes, told


def fails(path, *parts, **options):
    with pytest.raises(DataError) as caught:
        read(path, **options)
    assert [part for part in (Path(path).name, *parts) if part not in str(caught.value)] == [], str(caught.value)


def says(told, *parts):
    """One of these sentences has all parts."""
    assert any(all(part in sentence for part in parts) for sentence in told), told


# --- separators and quotes ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("sep", [",", ";", "\t", "|"])
@pytest.mark.parametrize("name", ["a.csv", "a.tsv", "a.txt"])
@pytest.mark.parametrize("quoting", [csv.QUOTE_MINIMAL, csv.QUOTE_ALL])
def test_any_separator_under_any_extension(tmp_path, sep, name, quoting):
    rows = [(text + (' "so"\nthey said' if i % 9 == 0 else ""), label) for i, (text, label) in enumerate(GOOD)]
    _, pairs, notes, told = read(put(tmp_path, name, table(HEADER + rows, sep, quoting=quoting)))
    assert pairs == rows and told == []
    assert sep in ",\t" or any("cells are separated by" in note for note in notes)


@pytest.mark.parametrize("sep", [",", ";", "\t", "|"])
@pytest.mark.parametrize("line", ["sep={}\r\n", '"sep={}"\n', "\ufeffSEP={}\r\n"])
def test_the_first_line_that_excel_writes_names_the_separator(tmp_path, sep, line):
    content = line.format(sep) + table(HEADER + GOOD, sep)
    _, pairs, notes, told = read(put(tmp_path, "a.csv", content))
    assert pairs == GOOD and told == []
    says(notes, "line 1", "names the separator")
    says(notes, "line 2 is read as a header")
    fails(put(tmp_path, "b.csv", content + f"a{sep}b{sep}c\n"), "line 63: 3 columns; expected 2, as in line 2")


def test_two_separators_that_fit_are_a_question(tmp_path):
    """Without a header nothing but the labels tells a comma in the text from one between cells."""
    for name in ("a.csv", "a.txt"):
        _, pairs, _, told = read(put(tmp_path, name, table(GOOD, ";")))
        assert pairs == GOOD
        says(told, "semicolons, but commas would give equal rows too", "sep=;")
    _, pairs, _, told = read(put(tmp_path, "b.csv", "sep=;\n" + table(GOOD, ";")))
    assert pairs == GOOD and told == []


def test_quotes_of_other_dialects(tmp_path):
    rows = [(f'he said "{text}"', label) for text, label in GOOD]
    escaped = table(HEADER + rows, quoting=csv.QUOTE_ALL, escapechar="\\", doublequote=False)
    _, pairs, notes, _ = read(put(tmp_path, "escaped.csv", escaped))
    assert pairs == rows
    says(notes, "backslash")
    _, pairs, notes, _ = read(
        put(tmp_path, "e.tsv", table(HEADER + rows, "\t", quoting=1, escapechar="\\", doublequote=0))
    )
    assert pairs == rows
    spaced = "text, label\n" + "".join(f'"{text}", "{label}"\n' for text, label in GOOD)
    _, pairs, notes, _ = read(put(tmp_path, "spaced.csv", spaced))
    assert pairs == GOOD
    says(notes, "blanks after a separator are cut off")
    single = "text,label\n" + "".join(f"'film {i}','{label}'\n" for i, (_, label) in enumerate(GOOD))
    _, pairs, _, told = read(put(tmp_path, "single.csv", single))
    assert pairs[0] == ("'film 0'", "'neg'")
    says(told, "'label'", "every cell", "quotes", "they are kept")
    bare = "text\tlabel\n" + "".join(f"{t}\t{a}\n" for t, a in GOOD) + '"quoted"\tpos\n'
    _, pairs, _, told = read(put(tmp_path, "bare.tsv", bare))
    assert pairs[-1] == ('"quoted"', "pos")
    says(told, "1 cells begin and end with a quote", "stay part")


def test_rows_swallowed_by_a_quote_are_told(tmp_path):
    lines = [f"film {i} was so,{label}\n" for i, (_, label) in enumerate(GOOD)]
    lines[5], lines[9] = '"' + lines[5], lines[9].replace(",", '",')
    _, pairs, _, told = read(put(tmp_path, "a.csv", "text,label\n" + "".join(lines)))
    assert len(pairs) == 56
    says(told, "opened in line 7 is closed in line 11", "rows of their own")


@pytest.mark.parametrize(
    ("name", "content", "parts"),
    [
        ("w.csv", "text,label\n" + "a,b,c\nd,e\n" * 7, ["line 2: 3 columns", "7 such rows: lines 2, 4, 6, 8, 10, ..."]),
        ("j.jsonl", '{"text": "a", "label": "b"}\n' + "oops\n" * 3, ["line 2, column 1", "3 such lines: 2, 3, 4"]),
        ("k.jsonl", '{"text": "a", "text": "b", "label": "c"}\n', ["line 1", "'text' is there twice"]),
        ("l.json", '[\n {"text": "a"},\n {"text" "b"}\n]', ["line 3, column 10", "not valid JSON"]),
        ("m.json", '[\n {"text": "a"}\n', ["line 3", "not closed"]),
        ("n.json", "[]", ["list is empty"]),
        ("o.json", '[{"text": "a"}]\n[1]', ["line 2", "goes on after its list"]),
        ("p.json", '{"a": [1, 2], "b": [3]}', ["columns differ in length"]),
    ],
)  # fmt: skip
def test_every_broken_row_is_counted(tmp_path, name, content, parts):
    fails(put(tmp_path, name, content), *parts)


def test_every_unusable_row_is_counted(tmp_path):
    rows = [
        ("" if i % 7 == 0 else text, "" if i % 11 == 3 else "NaN" if i == 4 else a) for i, (text, a) in enumerate(GOOD)
    ]
    fails(
        put(tmp_path, "a.jsonl", "".join(json.dumps(row) + "\n" for row in objects(rows))),
        "15 of 60 rows",
        "lines 1, 8, 15, 22, 29, ...: the input (column 'text') is empty (9 rows)",
        "line 5: the answer (column 'label') is 'NaN'",
        "is empty (6 rows)",
    )
    fails(put(tmp_path, "b.csv", table(HEADER + GOOD)), "60 of 60", "'neg' (30 rows)", answers=("good", "bad"))
    nested = [{"text": {"en": text}, "label": label} for text, label in GOOD]
    fails(put(tmp_path, "c.json", json.dumps(nested)), "60 of 60", "(60 rows)", "a column for each of its values")


# --- headers --------------------------------------------------------------------------------------------------------


def test_a_header_that_comes_again_is_left_out_and_told(tmp_path):
    for again in ("text,label\n", "Text, LABEL\n"):
        content = table(HEADER + GOOD[:20]) + again + table(GOOD[20:])
        task, pairs, _, told = read(put(tmp_path, "a.csv", content))
        assert pairs == GOOD and set(task.answers) == {"neg", "pos"}
        says(told, "1 row left out: a repeat of the header (line 22)")
    assert len(read(tmp_path / "a.csv", header=False)[1]) == 62


@pytest.mark.parametrize("first", ["v1,v2,,,", "a,b,,,", "c1,c2,c3,c4,c5"])
def test_an_answer_only_in_line_1_raises_a_question(tmp_path, first):
    rows = [(label, text, "", "", "") for text, label in GOOD]
    path = put(tmp_path, "a.csv", first + "\n" + table(rows))
    task, pairs, _, told = read(path)
    says(told, "line 1", "--header no", "header=False")
    assert pairs == GOOD and set(task.answers) == {"neg", "pos"}
    assert read(path, header=True)[3] == []
    assert len(read(path, header=False)[1]) == 61


def test_an_example_in_line_1_that_looks_odd_raises_a_question(tmp_path):
    path = put(tmp_path, "a.csv", table([("I have never seen a film like it, 10 out of 10!", "superb"), *GOOD]))
    _, pairs, _, told = read(path)
    assert len(pairs) == 61
    says(told, "no header found", "'superb' occurs nowhere else", "--header yes")
    assert len(read(path, header=True)[1]) == 60
    opened = put(tmp_path, "b.csv", table([("gespraech", "inhalt"), *[(3 * text, f"so {text}") for text, _ in GOOD]]))
    _, _, _, told = read(opened, input_column="1", answer_column="2")
    says(told, "no header found", "'gespraech', 'inhalt' could be names")


def test_header_of_what_has_none(tmp_path):
    path = put(tmp_path, "a.jsonl", "".join(json.dumps(row) + "\n" for row in objects()))
    fails(path, "--header", "CSV", header=True)
    with pytest.raises(ValueError, match="expected True, False"):
        read(path, header="yes")
    with pytest.raises(DataError, match="--header"):
        read_examples("hub:sciq", header=False)


# --- first bytes ----------------------------------------------------------------------------------------------------


def zipped(**files):
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return out.getvalue()


PLAIN = table(HEADER + GOOD)
LINES = "".join(json.dumps(row) + "\n" for row in objects())


def parquet():
    import pyarrow as pa
    import pyarrow.parquet as pq

    out = io.BytesIO()
    pq.write_table(pa.Table.from_pylist(objects()), out)
    return out.getvalue()


def feather():
    import pyarrow as pa
    import pyarrow.feather

    out = io.BytesIO()
    pyarrow.feather.write_feather(pa.Table.from_pylist(objects()), out)
    return out.getvalue()


MADE = {
    "gzip": lambda: gzip.compress(PLAIN.encode()),
    "bzip2": lambda: bz2.compress(PLAIN.encode()),
    "xz": lambda: lzma.compress(PLAIN.encode()),
    "zip": lambda: zipped(**{"deep/data.csv": PLAIN, "__MACOSX/deep/._data.csv": "x", "README.md": "x"}),
    "zip of a gzip": lambda: zipped(**{"data.jsonl.gz": gzip.compress(LINES.encode())}),
    "parquet": parquet,
    "feather": feather,
    "JSON Lines": lambda: LINES.encode(),
    "a JSON list": lambda: json.dumps(objects()).encode(),
    "a JSON list over many lines": lambda: json.dumps(objects(), indent=1).encode(),
    "objects over many lines": lambda: "\n".join(json.dumps(row, indent=1) for row in objects()).encode(),
}


@pytest.mark.parametrize("kind", MADE)
@pytest.mark.parametrize("name", ["a.csv", "a.json", "a.csv.gz", "a.zip", "a.parquet", "a.unknown"])
def test_a_file_is_what_its_first_bytes_say(tmp_path, kind, name):
    if "arquet" in kind or kind == "feather":
        pytest.importorskip("pyarrow")
    textual = "JSON" in kind or "objects" in kind
    path = put(tmp_path, name, MADE[kind]())
    if kind == "objects over many lines" and not name.endswith(".json"):
        return  # only the extension tells it from a table
    if (textual and name in ("a.parquet", "a.unknown")) or (kind in ("gzip", "bzip2", "xz") and name == "a.parquet"):
        return fails(path, f"'{path.suffix}'")
    if kind in ("gzip", "bzip2", "xz") and name == "a.json":
        return fails(path, "not valid JSON")
    task, pairs, _, told = read(path)
    assert pairs == GOOD and told == [] and task.name == "a"


@pytest.mark.parametrize("orient", ["records", "columns", "index", "split", "table"])
def test_json_as_pandas_writes_it(tmp_path, orient):
    pandas = pytest.importorskip("pandas")
    pandas.DataFrame(objects()).to_json(tmp_path / "a.json", orient=orient)
    assert read(tmp_path / "a.json")[1] == GOOD
    pandas.DataFrame(objects()).to_json(tmp_path / "b.json", orient="records", lines=True)
    assert read(tmp_path / "b.json")[1] == GOOD


def test_a_list_inside_an_object(tmp_path):
    _, pairs, _, told = read(put(tmp_path, "a.json", json.dumps({"version": 1, "data": objects()})))
    assert pairs == GOOD
    says(told, "only 'data'", "'version'")


def test_a_workbook(tmp_path, monkeypatch):
    fails(put(tmp_path, "a.xlsx", PLAIN), "'.xlsx'")
    workbook = zipped(**{"xl/workbook.xml": "<x/>"})
    monkeypatch.setitem(sys.modules, "openpyxl", None)
    fails(put(tmp_path, "b.csv", workbook), "Excel", "openpyxl", "CSV")
    monkeypatch.undo()
    openpyxl = pytest.importorskip("openpyxl", reason="openpyxl, which reads Excel files, is not installed")
    fails(tmp_path / "b.csv", "workbook cannot be read")
    book = openpyxl.Workbook()
    for row in [*HEADER, *[(text, i % 3) for i, (text, _) in enumerate(GOOD)]]:
        book.active.append(row)
    book.create_sheet("notes").append(["what", "ever"])
    book.save(tmp_path / "c.xlsx")
    _, pairs, _, told = read(tmp_path / "c.xlsx")
    assert pairs == [(text, str(i % 3)) for i, (text, _) in enumerate(GOOD)]
    says(told, "sheet 'Sheet'", "'notes'")


def test_folders_that_datasets_saved(tmp_path):
    datasets = pytest.importorskip("datasets")
    own = datasets.Dataset.from_list(objects())
    own.save_to_disk(tmp_path / "one")
    datasets.DatasetDict({"train": own, "test": own.select(range(9))}).save_to_disk(tmp_path / "two")
    assert read(tmp_path / "one")[1] == GOOD
    _, pairs, _, told = read(tmp_path / "two")
    assert pairs == GOOD
    says(told, "split 'train'", "'test'")
    assert len(read(tmp_path / "two" / "test")[1]) == 9
    (tmp_path / "one" / "state.json").write_text("{")
    fails(tmp_path / "one", "cannot be loaded")


@pytest.mark.parametrize(
    ("content", "parts"),
    [
        (b"%PDF-1.7 x", ["PDF"]),
        (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", ["old Excel"]),
        (b"\x80\x04\x95\x00", ["pickle"]),
        (b"\n<!DOCTYPE html><html>", ["web page", "raw"]),
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:1\n", ["Git LFS", "git lfs pull"]),
        (b"SQLite format 3\0", ["SQLite"]),
        (b"\x28\xb5\x2f\xfd0", ["zstd"]),
        (bytes(257) + b"ustar", ["tar"]),
        (gzip.compress(bytes(257) + b"ustar"), ["tar"]),
        (gzip.compress(PLAIN.encode())[:-12], ["damaged"]),
        (zipped(**{"a.csv": PLAIN})[:-30], ["damaged"]),
        (zipped(**{"a.csv": PLAIN, "b.csv": PLAIN}), ["2 tables", "'a.csv', 'b.csv'"]),
        (zipped(**{"a.doc": "x"}), ["no table", "'a.doc'"]),
        (b"PAR1" + bytes(50) + b"PAR1", ["damaged"]),
        (gzip.compress(gzip.compress(gzip.compress(gzip.compress(b"x")))), ["archives in archives"]),
    ],
    ids=range(15),  # the bytes themselves hold the time at which they were packed
)
@pytest.mark.parametrize("name", ["a.csv", "a.jsonl", "a.other"])
def test_one_sentence_says_what_cannot_be_read(tmp_path, name, content, parts):
    fails(put(tmp_path, name, content), *parts, "Hint")


def test_what_unpacks_to_too_much_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(packed, "LIMIT", 100_000)
    bomb = b"text,label\n" + bytes(10_000_000)
    for number, content in enumerate(
        [
            gzip.compress(bomb),
            bz2.compress(bomb),
            lzma.compress(bomb),
            zipped(**{"a.csv": bomb}),
            gzip.compress(gzip.compress(bomb)),
        ]
    ):
        assert len(content) < 50_000
        fails(put(tmp_path, f"{number}.csv", content), "unpacks to more than 100,000 bytes")
    fails(put(tmp_path, "plain.csv", bomb), "10,000,011 bytes", "at most 100,000")


# --- spellings ------------------------------------------------------------------------------------------------------

ALIKE = [
    (["negative", "Negative", "NEGATIVE", " negative "], "negative"),
    (["ＰＯＳＩＴＩＶＥ", "positive", "Positive."], "positive"),
    (["good\u200b", "good", "g\u00adood", "\ufeffgood", "good\ufe0f"], "good"),
    (["very\u00a0good", "very good", "very_good", "very-good"], "very good"),
    (["1", "1.0", "01", "+1", "１"], "1"),
    (["n\u00e9", "ne\u0301"], "n\u00e9"),
    (["'odd'", '"odd"', "odd"], "odd"),
    (["a, b", "A, b"], "a, b"),
    (["x=y", "X=Y"], "x=y"),
]


@pytest.mark.parametrize(("spellings", "kept"), ALIKE)
@pytest.mark.parametrize("kind", ["csv", "jsonl"])
def test_look_alikes_are_named_with_a_line_that_joins_them(tmp_path, spellings, kept, kind):
    labels = [spellings[i // 2 % len(spellings)] if i % 2 else "other" for i in range(200)]
    rows = [(f"text {i} is here", label) for i, label in enumerate(labels)]
    content = table(HEADER + rows) if kind == "csv" else "".join(json.dumps(row) + "\n" for row in objects(rows))
    path = put(tmp_path, f"a.{kind}", content)
    task, _, _, told = read(path)
    counts = Counter(label.strip() for label in labels)
    assert len(told) == 1 and set(task.answers) == set(counts), "nothing is joined unless the caller says so"
    for spelling in counts.keys() - {"other"}:
        says(told, f"({counts[spelling]} rows)", spelling if spelling.isascii() and "'" not in spelling else "\\")
    task, _, _, again = read(path, answers=option_in(told[0]))
    assert again == [] and set(task.answers) == {kept, "other"}
    task, _, _, again = read(path, answers=python_in(told[0]))
    assert again == [] and set(task.answers) == {kept, "other"}


def option_in(warning):
    """What the shell hands to `--answers` if the line in this warning is pasted."""
    line = warning.partition("--answers ")[2].rpartition(" (in Python")[0]
    (word,) = shlex.split(line)
    return answers_option(word)


def python_in(warning):
    return eval(warning.rpartition("answers=")[2].removesuffix(").").removesuffix(")."), {})


def test_words_for_yes_and_no(tmp_path):
    words = ["yes", "no", "Yes", "No", "true", "false", "1", "0", "TRUE", "n"]
    rows = [(f"text {i} is here", words[i % 10]) for i in range(100)]
    path = put(tmp_path, "a.csv", table(HEADER + rows))
    told = read(path)[3]
    says(told, "10 answers are 2")
    assert set(read(path, answers=option_in(told[0]))[0].answers) == {"yes", "no"}
    for own in (
        ["yes", "no"],
        ["1", "0"],
        ["1", "2", "0"],
        ["y", "n", "t"],
        ["C", "C++", "C#"],
        [":)", ":("],
        ["+", "-"],
        ["-1", "1"],
    ):
        rows = [(f"text {i} is here", own[i % len(own)]) for i in range(60)]
        assert bool(read(put(tmp_path, "b.csv", table(HEADER + rows)))[3]) == (own == ["y", "n", "t"])


def test_spellings_that_hide_a_closed_list(tmp_path):
    rows = [(f"text {i} is here", f"{'Class' if i % 2 else 'class'} {i % 12}x{i % 5 % 2}") for i in range(240)]
    task, _, _, told = read(put(tmp_path, "a.csv", table(HEADER + rows)))
    assert task.answers is None
    told = read(put(tmp_path, "b.csv", table(HEADER + [(t, a.replace("x0", "").replace("x1", "!")) for t, a in rows])))[
        3
    ]
    says(told, "answers are 12 if look-alikes are joined")


@pytest.mark.parametrize("missing", ["", "NaN", "nan", "null", "NULL", "<NA>"])
def test_a_missing_answer_is_the_same_in_every_format(tmp_path, missing):
    rows = [(text, missing if i in (3, 5) else label) for i, (text, label) in enumerate(GOOD)]
    fails(put(tmp_path, "a.csv", table(HEADER + rows)), "2 of 60 rows", "lines 5, 7")
    lines = "".join(json.dumps(row) + "\n" for row in objects(rows))
    fails(put(tmp_path, "a.jsonl", lines), "2 of 60 rows", "lines 4, 6")
    fails(put(tmp_path, "b.jsonl", lines.replace(f'"{missing}"', "NaN")), "2 of 60 rows", "lines 4, 6")
    if missing:
        named = {missing: "none", "pos": "pos", "neg": "neg"}
        assert read(tmp_path / "a.csv", answers=named)[0].answers == ("none", "pos", "neg")
        _, pairs, _, told = read(tmp_path / "a.csv", open_ended=True)
        assert pairs[3][1] == missing
        says(told, "2 answers are", "read as text")


def test_none_is_an_answer_that_raises_a_question(tmp_path):
    rows = [(text, "None" if i % 3 == 0 else label) for i, (text, label) in enumerate(GOOD)]
    task, _, _, told = read(put(tmp_path, "a.csv", table(HEADER + rows)))
    assert "None" in task.answers
    says(told, "'None' (20 rows) is read as an answer")


@settings(max_examples=80, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.lists(
        st.text("aA1.,=\"' é\u0301\u200bｘX\\!-_", min_size=1, max_size=6), min_size=2, max_size=5, unique_by=str.strip
    )
)
def test_the_line_that_joins_look_alikes_can_always_be_pasted(tmp_path, words):
    rows = [(f"text {i} is here", words[i % len(words)]) for i in range(60)]
    path = put(tmp_path, "a.jsonl", "".join(json.dumps(row) + "\n" for row in objects(rows)))
    try:
        told = [text for text in read(path)[3] if "look-alikes" in text]
    except DataError:
        return
    for text in told:
        mapping = option_in(text)
        assert mapping == python_in(text)
        assert set(mapping) == {word.strip() for word in words} and set(mapping.values()) < set(mapping)


# --- many answers ---------------------------------------------------------------------------------------------------

INTENTS = [f"card, {i} lost" if i % 2 else f"card={i}" for i in range(77)]
ASKED = [(f"please help me with number {i} today", INTENTS[i % 77]) for i in range(400)]


def test_seventy_seven_intents(tmp_path):
    path = put(tmp_path, "a.csv", table([("utterance", "intent"), *ASKED]))
    task, pairs, _, told = read(path)
    assert task.answers is None and pairs == ASKED
    says(told, "77 different ones", "--closed (closed=True in Python)", "--open")
    assert read(path, open_ended=True, input_column="utterance", answer_column="intent")[3] == []
    task, pairs, _, told = read(path, closed=True)
    assert set(task.answers) == set(INTENTS) and pairs == ASKED and told == []
    for name, content in (
        ("a.txt", "\n".join(INTENTS) + "\n"),
        ("b.tsv", "".join(f"{intent}\t{intent}\r\n" for intent in INTENTS)),
        ("c.json", json.dumps(INTENTS)),
        ("d.json", json.dumps({intent: intent for intent in INTENTS})),
    ):
        listed = put(tmp_path, name, content)
        for given_answers in (listed, answers_option(f"@{listed}"), INTENTS):
            assert read(path, answers=given_answers)[0].answers == tuple(INTENTS)
    assert len(load_splits(path, closed=True).task.answers) == 77
    with pytest.raises(ValueError, match="closed and open_ended contradict"):
        read(path, closed=True, open_ended=True)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a,b", ("a", "b")),
        ('"yes, of course",no', ("yes, of course", "no")),
        ('no, "yes, of course"', ("no", "yes, of course")),
        ("0=a,1=b", {"0": "a", "1": "b"}),
        ('"0,5=half, about",1=whole', {"0,5": "half, about", "1": "whole"}),
        ('["a=b", "c,d"]', ("a=b", "c,d")),
        ('{"a,b": "c=d", "e": "f"}', {"a,b": "c=d", "e": "f"}),
    ],
)
def test_answers_on_the_command_line(text, expected):
    assert answers_option(text) == expected


@pytest.mark.parametrize("text", ["0=a,b", "0=a,0=b", '"a', "[1", "[[1]]", '{"a": []}', "@no-such-file", "a=b=c,d=e"])
def test_wrong_answers_on_the_command_line(text):
    with pytest.raises(argparse.ArgumentTypeError, match="expected"):
        answers_option(text)


# --- columns --------------------------------------------------------------------------------------------------------


def test_text_that_is_left_out_is_told(tmp_path):
    rows = [(f"Great phone {i}", text, i % 5) for i, (text, _) in enumerate(GOOD)]
    path = put(tmp_path, "a.csv", table([("title", "review", "stars"), *rows]))
    _, pairs, _, told = read(path)
    assert pairs == [(text, str(stars)) for _, text, stars in rows]
    says(told, "'title' holds text too", "--input-column 'title,review'")
    joined = [(f"title: {title}\nreview: {text}", str(stars)) for title, text, stars in rows]
    for wanted in ("title,review", "title, review", "1,2", ("title", "review"), '"title","review"'):
        _, pairs, notes, told = read(path, input_column=wanted)
        assert pairs == joined and told == []
        says(notes, "joins the columns 'title', 'review'", "a line each")
    says(read(path, input_column="review")[3], "'title' holds text and could be the answer too", "--answer-column")
    assert read(path, input_column="review", answer_column="stars")[3] == [], "whoever names both has chosen"
    fails(path, "'nothing'", input_column="title,nothing")
    fails(path, "different columns", input_column="title,title")
    fails(path, "cannot be both", input_column="title,stars", answer_column="stars")


def test_a_column_whose_name_has_a_comma(tmp_path):
    path = put(tmp_path, "a.csv", table([("said, in full", "body", "label"), *[(t, f"{t}!", a) for t, a in GOOD]]))
    assert read(path, input_column="said, in full")[1] == GOOD
    _, pairs, _, _ = read(path, input_column='body,"said, in full"')
    assert pairs[0][0] == f"body: {GOOD[0][0]}!\nsaid, in full: {GOOD[0][0]}"


def test_an_empty_cell_of_a_joined_input_has_no_line(tmp_path):
    path = put(
        tmp_path, "a.csv", table([("title", "review", "stars"), ("", "fine", 1), ("so", "", 0), ("so", "so", 1)])
    )
    assert [text for text, _ in read(path, input_column="title,review")[1]] == [
        "review: fine",
        "title: so",
        "title: so\nreview: so",
    ]
    bare = put(tmp_path, "b.csv", table([(f"a {i}", f"b {i}", i % 2) for i in range(9)]))
    assert read(bare, input_column="1,2", answer_column="3")[1][0] == ("a 0\nb 0", "0")
    fails(
        put(tmp_path, "c.csv", "title,review,stars\n,,1\na,b,0\n"),
        "line 2",
        "'title', 'review') is empty",
        input_column="title,review",
    )


@pytest.mark.parametrize(
    "other", [lambda i: f"https://example.org/{'x' * 60}{i}", lambda i: f"{i:080x}", lambda i: f"{i}" * 40]
)
def test_a_longer_column_of_addresses_or_codes_is_not_the_text(tmp_path, other):
    rows = [(other(i), text, label) for i, (text, label) in enumerate(GOOD)]
    _, pairs, _, told = read(put(tmp_path, "a.csv", table([("link", "body", "kind"), *rows])))
    assert pairs == GOOD
    says(told, "'link' is longer, but looks like addresses")


def test_nothing_but_addresses_is_told(tmp_path):
    rows = [(f"https://example.org/{i}", label) for i, (_, label) in enumerate(GOOD)]
    says(read(put(tmp_path, "a.csv", table([("link", "kind"), *rows])))[3], "'link'", "looks like addresses")


def test_nested_columns_are_told(tmp_path):
    rows = [{"question": text, "choices": ["a b", "c d"], "meta": {"k": 1}, "answer": label} for text, label in GOOD]
    path = put(tmp_path, "a.json", json.dumps(rows))
    _, pairs, _, told = read(path)
    assert pairs == GOOD
    says(told, "'choices', 'meta' hold lists or objects", "are not used")
    _, pairs, _, _ = read(path, input_column="question,choices")
    assert pairs[0][0] == f"question: {GOOD[0][0]}\nchoices: a b; c d"
    fails(path, "'meta'", "60 of 60", input_column="question,meta")


def test_a_guess_among_several_columns_of_answers_is_told(tmp_path):
    rows = [(text, "de" if i % 3 else "en", ["joy", "fear", "rage"][i % 3]) for i, (text, _) in enumerate(GOOD)]
    told = read(put(tmp_path, "a.csv", table([("satz", "lang", "emotion"), *rows])))[3]
    says(told, "'lang' is read as the answer", "'emotion' could be the answer too", "--answer-column")


def test_a_guess_that_passes_over_free_text_is_told_where_the_input_is_named(tmp_path):
    rows = [["text", "summary", "lang"]]
    rows += [[f"a review of film {n}, long and slow", f"film {n} was dull", ("en", "de")[n % 2]] for n in range(60)]
    path = tmp_path / "x.csv"
    path.write_text("\n".join('"' + '","'.join(row) + '"' for row in rows))
    with pytest.warns(DataWarning, match="'lang' is read as the answer.*'summary' holds text and could be"):
        read_examples(path, input_column="text")
    task, _, notes = read_examples(path, input_column="text", answer_column="summary")
    assert task.answers is None and not [note for note in notes if "could be" in note]


# --- any table ------------------------------------------------------------------------------------------------------

cell = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), min_size=1, max_size=12).filter(
    str.strip
)
tricky = st.text("ab,;\t|\"'\n\r\\ =\ufeff", min_size=1, max_size=9).filter(str.strip)
texts = st.lists(cell | tricky, min_size=1, max_size=9, unique=True)
PACKERS = [lambda b: b, gzip.compress, lambda b: zipped(**{"data.csv": b})]


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    texts, st.sampled_from(",;\t|"), st.sampled_from([csv.QUOTE_MINIMAL, csv.QUOTE_ALL]),
    st.sampled_from(["\n", "\r\n"]), st.sampled_from([".csv", ".tsv", ".txt"]), st.sampled_from(PACKERS),
    st.booleans(), st.booleans(),
)  # fmt: skip
def test_a_table_comes_back_or_is_said_not_to(tmp_path, texts, sep, quoting, end, suffix, pack, sep_line, header):
    """Whatever the texts are, in every dialect: the same cells, or an error that names a line, or a warning."""
    rows = [(text, f"label {i % 2}") for i, text in enumerate(texts)]
    # The csv module leaves a lone \r bare in a file of \n: a line end, for whoever reads it.
    assume(end == "\r\n" or quoting == csv.QUOTE_ALL or not any("\r" in text for text in texts))
    content = table(HEADER * header + rows, sep, quoting=quoting, lineterminator=end)
    content = (f"sep={sep}{end}" if sep_line else "") + content
    path = put(tmp_path, f"a{suffix}", pack(content.encode()))
    assume(not content.startswith("\ufeff"))  # a byte order mark is no part of a table
    options = {"header": header, "open_ended": True, **({} if header else {"input_column": "1", "answer_column": "2"})}
    try:
        _, pairs, notes, told = read(path, **options)
    except DataError as error:
        assert "line" in str(error) or "column" in str(error)
        return
    assert pairs == rows or told or any("quotes" in note for note in notes), (content, pairs)


@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    texts,
    st.sampled_from(["lines", "list", "indented", "columns"]),
    st.booleans(),
    st.sampled_from([".json", ".jsonl"]),
)
def test_json_comes_back(tmp_path, texts, kind, ascii_only, suffix):
    rows = objects([(text, f"label {i % 2}") for i, text in enumerate(texts)])
    if kind == "lines":
        content = "".join(json.dumps(row, ensure_ascii=ascii_only) + "\n" for row in rows)
    else:
        value = {key: [row[key] for row in rows] for key in ("text", "label")} if kind == "columns" else rows
        content = json.dumps(value, ensure_ascii=ascii_only, indent=1 if kind == "indented" else None)
    _, pairs, _, _ = read(put(tmp_path, f"a{suffix}", content), open_ended=True)
    assert pairs == [(row["text"], row["label"]) for row in rows]


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(texts, st.sampled_from(",;\t|"), st.booleans())
def test_tables_of_pandas_come_back(tmp_path, texts, sep, index):
    pandas = pytest.importorskip("pandas")
    assume(not any("\r" in text for text in texts))  # written bare, as by the csv module
    rows = [(text, f"label {i % 2}") for i, text in enumerate(texts)]
    frame = pandas.DataFrame(rows, columns=["text", "label"])
    content = frame.to_csv(sep=sep, index=index)
    try:
        _, pairs, notes, told = read(
            put(tmp_path, "a.csv", content), input_column="text", answer_column="label", open_ended=True
        )
    except DataError as error:
        assert "line" in str(error) or "column" in str(error)
        return
    assert pairs == rows or told or any("quotes" in note for note in notes), (content, pairs)


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.binary(max_size=80),
    st.sampled_from([*MADE, *map(repr, packed._FOREIGN)]),
    st.integers(0, 400),
    st.sampled_from([".csv", ".json", ".zip"]),
)
def test_any_damage_gives_rows_or_a_data_error(tmp_path, noise, kind, at, suffix):
    whole = MADE[kind]() if kind in MADE else eval(kind, {})
    path = put(tmp_path, f"a{suffix}", whole[:at] + noise + whole[at + len(noise) :])
    try:
        read(path, open_ended=True)
    except DataError as error:
        assert str(path) in str(error)


def test_a_cell_of_a_parquet_file_that_is_no_utf_8_is_said(tmp_path):
    """A byte of a cell was changed: pyarrow opens the file, and fails when it reads the cell."""
    path = put(tmp_path, "a.parquet", MADE["parquet"]()[:27] + b"\x80" + MADE["parquet"]()[28:])
    with pytest.raises(DataError, match=r"a\.parquet: a cell after row 0 is no UTF-8 text .*byte 0x80.*Hint"):
        read(path, open_ended=True)


# --- the shared cases -----------------------------------------------------------------------------------------------


@pytest.mark.skipif(not CASES.exists(), reason=f"the small inputs that once failed are not at {CASES}")
def test_the_shared_cases():
    for name in ("mixed_case.csv", "yes_no_mixed.csv", "int_and_float.jsonl", "zero_width_label.csv"):
        told = read(CASES / name)[3]
        says(told, "look-alikes", "--answers")
        task, pairs, _, again = read(CASES / name, answers=option_in(told[0]))
        assert len(task.answers) == 2 and len(pairs) == 80 and again == []
    fails(CASES / "nan_only_label.csv", "2 of 80 rows", "NaN", "lines 9, 10")
    for name, parts in (("header_twice.csv", ["line 42"]), ("unnamed_cols.csv", ["line 1", "--header"])):
        task, pairs, _, told = read(CASES / name)
        assert task.answers == ("negative", "positive") and len(pairs) == 80
        says(told, *parts)
    for name in ("semicolon_comma_text.csv", "sep_line.csv", "quoted.tsv", "gz_renamed.csv"):
        task, pairs, _, told = read(CASES / name)
        assert task.answers == ("negative", "positive") and len(pairs) == 80 and told == []
        assert pairs[0][0].startswith("the film number 0 was awful")
    fails(CASES / "many_empty_text.csv", "8 of 80 rows", "lines 7, 17, 27")
