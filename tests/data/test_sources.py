"""Reading, checking, writing and splitting of examples, through the public door."""

import csv
import io
import json
import random
import re
import warnings
from dataclasses import astuple
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from places import SHARED

from w2s_lab import assets
from w2s_lab.data import sources
from w2s_lab.data.examples import ReadOptions, examples_from_table
from w2s_lab.data.sources import (
    DataError,
    DataWarning,
    SplitSizes,
    builtin_tasks,
    example_to_json,
    load_splits,
    read_examples,
    write_examples,
)
from w2s_lab.records import Example

SST2 = SHARED / "data" / "sst2" / "train.tsv"
PARTS = ("supervisor_train", "student_train", "test", "validation")
GOOD = [(f"film number {i} was {'fine' if i % 2 else 'dull'}", "positive" if i % 2 else "negative") for i in range(80)]


def put(folder, name, content):
    """Write bytes or text as they are, line ends included."""
    path = folder / name
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


def rows(pairs=GOOD, header="text,label\n", sep=","):
    return header + "".join(f"{text}{sep}{label}\n" for text, label in pairs)


def jsonl(*objects):
    return "".join(json.dumps(value) + "\n" for value in objects)


def fails(path, *parts, **options):
    """Both doors raise a DataError that names the file and has all parts."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DataWarning)
        with pytest.raises(DataError) as caught:
            read_examples(path, **options)
        with pytest.raises(DataError) as split:
            load_splits(path, **options)
    assert str(split.value) == str(caught.value)
    for part in (Path(path).name, *parts):
        assert str(part) in str(caught.value), str(caught.value)


def quietly(path, **options):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DataWarning)
        return read_examples(path, **options)


def pairs(examples):
    return [(e.input, e.answer) for e in examples]


# --- sources and splits ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["sentiment", "topic", "summary", "helpdesk", "helpdesk-v2"])
def test_builtin_tasks_load_whole_and_disjoint(name):
    lines = (assets.TASKS / f"{name}.jsonl").read_text().splitlines()
    n = len(lines)
    sizes = SplitSizes(n // 4, n // 2, n - n // 4 - n // 2 - n // 40, n // 40)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        splits = load_splits(name, sizes=sizes)
    ids = [i for part in PARTS for i in getattr(splits, part).ids]
    assert sorted(ids) == sorted(json.loads(line)["id"] for line in lines)
    assert len(set(ids)) == len(ids)
    assert splits.task == builtin_tasks()[name]
    assert tuple(len(getattr(splits, part)) for part in PARTS) == astuple(sizes)


@pytest.mark.parametrize(
    ("n", "sizes"),
    [(400, (100, 200, 90, 10)), (4000, (1000, 1500, 900, 100)), (100_000, (1500, 1500, 1000, 100))],
)
def test_the_usual_sizes(n, sizes):
    """A quarter, a half, a fortieth and the rest, but no more than a laptop trains on in a minute or two."""
    assert astuple(SplitSizes.of(n)) == sizes
    if n == 4000:
        assert tuple(len(getattr(load_splits("helpdesk"), part)) for part in PARTS) == sizes


def test_builtin_table_is_that_of_the_pocket_world():
    from w2s_lab.pocket.tasks import SOURCES

    assert builtin_tasks() == {name: source.task for name, source in SOURCES.items()}


def test_what_a_caller_does_to_a_list_of_examples_changes_no_other():
    _, first, notes = read_examples("sentiment")
    whole = list(first)
    first.reverse()
    notes.append("mine")
    _, again, others = read_examples("sentiment")
    assert again == whole and "mine" not in others
    first.clear()
    assert read_examples("sentiment", name="other")[1] == whole


@pytest.mark.slow
def test_written_lines_are_those_of_the_builtin_files(tmp_path):
    for name in builtin_tasks():
        _, examples, _ = read_examples(assets.TASKS / f"{name}.jsonl")
        write_examples(tmp_path / "new.jsonl", examples)
        assert (tmp_path / "new.jsonl").read_bytes() == (assets.TASKS / f"{name}.jsonl").read_bytes()


def test_split_depends_on_seed_and_not_on_row_order(tmp_path):
    first = load_splits(put(tmp_path, "a.csv", rows()), seed=3)
    shuffled = GOOD[:]
    random.Random(1).shuffle(shuffled)
    again = load_splits(put(tmp_path, "b.csv", rows(shuffled)), seed=3)
    other = load_splits(tmp_path / "a.csv", seed=4)
    for part in PARTS:
        assert getattr(first, part).ids == getattr(again, part).ids
        assert getattr(first, part).ids != getattr(other, part).ids
    assert [len(getattr(first, part)) for part in PARTS] == [20, 40, 18, 2]
    assert first.student_train.label_accuracy == 1.0


def test_sizes(tmp_path):
    path = put(tmp_path, "a.csv", rows())
    small, large = (load_splits(path, sizes=SplitSizes(n, n, 10, 3)) for n in (5, 30))
    assert [len(getattr(small, part)) for part in PARTS] == [5, 5, 10, 3]
    assert small.test.ids == large.test.ids, "the test set does not change with the training sizes"
    with pytest.raises(DataError, match=r"asks for 84 examples, but there are 80"):
        load_splits(path, sizes=SplitSizes(40, 40, 1, 3))
    for wrong in ((0, 1, 1, 1), (1, 1, 1, -1)):
        with pytest.raises(ValueError, match="expected an integer"):
            SplitSizes(*wrong)
    with pytest.raises(TypeError, match=r"student_train is 0\.5; expected a whole number"):
        SplitSizes(1, 0.5, 1, 1)


def test_too_few_examples(tmp_path):
    load_splits(put(tmp_path, "enough.csv", rows(GOOD[:40])))
    with pytest.raises(DataError, match="39 usable examples; expected at least 40"):
        load_splits(put(tmp_path, "few.csv", rows(GOOD[:39])))


def test_unknown_source():
    with pytest.raises(ValueError) as caught:
        load_splits("sentimnet")
    for part in ("'sentimnet'", "helpdesk-v2", ".jsonl", "hub:NAME", "Did you mean 'sentiment'?"):
        assert part in str(caught.value)


def test_options_reach_the_reader_and_warnings_come_through(tmp_path):
    path = put(tmp_path, "a.csv", rows([*[(t, "01"[a == "positive"]) for t, a in GOOD], ("film number 1 was fine", 1)]))
    with pytest.warns(DataWarning, match="1 row left out"):
        splits = load_splits(path, instruction="Good or bad?", answers={"0": "bad", "1": "good"})
    assert splits.task.answers == ("bad", "good")
    assert {e.instruction for e in splits.test.examples} == {"Good or bad?"}
    assert load_splits("sentiment", open_ended=True).task.answers is None
    assert load_splits("sentiment", answers=["negative", "positive"]).task.answers == ("negative", "positive")


# --- layouts --------------------------------------------------------------------------------------------------------


def test_header_is_recognised_and_reported(tmp_path):
    for name, content, columns in (
        ("known.csv", rows(), "'text', 'label'"),
        ("unknown.csv", rows(header="satz,urteil\n"), "'satz', 'urteil'"),
        ("cased.tsv", rows(header="Sentence\tLABEL\n", sep="\t"), "'Sentence', 'LABEL'"),
    ):
        task, examples, notes = read_examples(put(tmp_path, name, content))
        assert pairs(examples) == GOOD
        assert task.answers == ("negative", "positive")
        assert any(f"line 1 is read as a header: {columns}" in note for note in notes)


def test_no_header_is_recognised_and_reported(tmp_path):
    for name, sep in (("a.tsv", "\t"), ("a.csv", ",")):
        _, examples, notes = read_examples(put(tmp_path, name, rows(header="", sep=sep)))
        assert pairs(examples) == GOOD
        assert any("no header found" in note for note in notes)
        assert any("column '1' is read as the input, '2' as the answer" in note for note in notes)
    question = [("what is it?", "question"), *[(f"say {i}", "question" if i % 2 else "order") for i in range(9)]]
    _, examples, _ = read_examples(put(tmp_path, "q.csv", rows(question, header="")))
    assert pairs(examples) == question, "a class called like a usual column name is no header"


def test_columns_by_name_and_number(tmp_path):
    content = "who,when,said,verdict\n" + "".join(f"p{i},{i},{t},{a}\n" for i, (t, a) in enumerate(GOOD))
    path = put(tmp_path, "a.csv", content)
    for names in (("said", "verdict"), ("3", "4")):
        _, examples, notes = read_examples(path, input_column=names[0], answer_column=names[1])
        assert pairs(examples) == GOOD
        assert any("columns not used: 'who', 'when'" in note for note in notes)
    bare = put(tmp_path, "b.tsv", "".join(f"{a}\t{t}\n" for t, a in GOOD))
    assert pairs(read_examples(bare, input_column="2", answer_column="1")[1]) == GOOD
    assert pairs(read_examples(bare)[1]) == GOOD, "the guess goes by content, not by position"
    fails(path, "'sentence'", "'who', 'when', 'said', 'verdict'", input_column="sentence")
    fails(path, "cannot be both", input_column="said", answer_column="said")


def test_ambiguous_columns(tmp_path):
    hint = "--answer-column"
    twins = "".join(f"{t},{a},{a[::-1]}\n" for t, a in GOOD)
    fails(put(tmp_path, "a.csv", twins), "'2', '3' could each be the answer", hint)
    fails(put(tmp_path, "b.csv", "text,review,label\n" + twins), "'text', 'review' could each be the input", hint)
    fails(put(tmp_path, "c.tsv", "ab\tcd\nef\tgh\n"), "could each be the answer", hint)
    fails(put(tmp_path, "d.jsonl", jsonl({"text": "a"})), "no column is left for the answer", hint)


def test_quotes_line_ends_and_blank_lines(tmp_path):
    content = 'text,label\r\n"a, ""b""\nc",1\r\n\r\n , \r\n"d\re",0\r\nf,1\r\n'
    _, examples, notes = read_examples(put(tmp_path, "a.csv", content))
    assert pairs(examples) == [('a, "b"\nc', "1"), ("d\re", "0"), ("f", "1")]
    assert "3 rows read, 3 examples kept, 2 blank lines skipped." in notes
    for end in ("\n", "\r\n", "\r"):
        for name, sep in (("b.csv", ","), ("b.tsv", "\t")):
            path = put(tmp_path, name, rows(sep=sep, header=f"text{sep}label\n").replace("\n", end))
            assert pairs(read_examples(path)[1]) == GOOD
        path = put(tmp_path, "b.jsonl", jsonl(*[{"text": t, "label": a} for t, a in GOOD]).replace("\n", end + end))
        _, examples, notes = read_examples(path)
        assert pairs(examples) == GOOD
        assert "80 blank lines skipped" in notes[0]


def test_tsv_quotes_are_characters(tmp_path):
    _, examples, _ = read_examples(put(tmp_path, "a.tsv", 'text\tlabel\n"so\t1\n"he said"\t0\n'))
    assert pairs(examples) == [('"so', "1"), ('"he said"', "0")]


def test_lines_are_numbered_as_in_an_editor(tmp_path):
    text = 'text,label\nodd\u2028\x0b\x0c\x1c\x85words,1\n"two\nlines",0\n\nx,maybe\n'
    fails(put(tmp_path, "a.csv", text), "line 6", answers=("0", "1"))
    odd = json.dumps({"text": "a\u2028\x85", "label": "1"}, ensure_ascii=False)
    fails(put(tmp_path, "a.jsonl", odd + "\r\n\r{broken\n"), "line 3, column 2", "not valid JSON")


def test_byte_order_mark_is_accepted(tmp_path):
    assert pairs(read_examples(put(tmp_path, "a.csv", b"\xef\xbb\xbf" + rows().encode()))[1]) == GOOD
    line = jsonl({"input": "a", "answer": "b"}).encode()
    assert pairs(read_examples(put(tmp_path, "a.jsonl", b"\xef\xbb\xbf" + line))[1]) == [("a", "b")]


# --- tasks ----------------------------------------------------------------------------------------------------------


def test_closed_or_open_is_guessed_and_reported(tmp_path):
    task, examples, notes = read_examples(put(tmp_path, "a.csv", rows(GOOD[1:])))
    assert task.answers == ("positive", "negative"), "most frequent first"
    assert examples[0].instruction == "Answer with one of: positive, negative."
    assert any("the instruction is made up" in note for note in notes)
    assert any("closed list: 'positive', 'negative'" in note for note in notes)
    task, examples, notes = read_examples(tmp_path / "a.csv", open_ended=True)
    assert (task.answers, examples[0].instruction) == (None, "Answer the input.")
    many = [(f"text {i}", f"word {i % 21}") for i in range(80)]
    long = [(f"text {i}", "x" * 41 + str(i % 2)) for i in range(80)]
    few = [(f"text {i}", f"word {i // 2}") for i in range(20)]
    for number, own in enumerate((many, long, few)):
        task, _, notes = read_examples(put(tmp_path, f"{number}.csv", rows(own)))
        assert task.answers is None
        assert any("free text" in note for note in notes)


def test_given_answers(tmp_path):
    numbers = put(tmp_path, "a.csv", rows([(t, "1" if a == "positive" else "0") for t, a in GOOD]))
    for key in (str, int):
        task, examples, _ = read_examples(numbers, answers={key(0): "negative", key(1): "positive"})
        assert task.answers == ("negative", "positive")
        assert pairs(examples) == GOOD
    words = put(tmp_path, "b.csv", rows([*GOOD, ("new", "Positiv")]))
    fails(
        words,
        "line 82",
        "'Positiv'",
        "'positive', 'negative'",
        "did you mean 'positive'?",
        answers=("positive", "negative"),
    )
    for wrong in ("positive", (), ("positive",), {"0": "same", "1": "same"}):
        with pytest.raises(ValueError, match="at least two answers"):
            read_examples(words, answers=wrong)
    with pytest.raises(ValueError, match="contradict"):
        read_examples(words, answers=("a", "b"), open_ended=True)


def test_jsonl_values_instructions_and_tags(tmp_path):
    content = jsonl(
        {"instruction": "Add.", "input": "1 1", "answer": 2, "tags": ["sum"]},
        {"input": "2 2", "answer": 4.50},
        {"instruction": "Say yes.", "input": "", "answer": True},
    )
    _, examples, notes = read_examples(put(tmp_path, "a.jsonl", content))
    assert examples == [
        Example("Add.", "1 1", "2", ("sum",)),
        Example("Answer the input.", "2 2", "4.5"),
        Example("Say yes.", "", "true"),
    ]
    assert any("made up" in note for note in notes)
    _, examples, _ = read_examples(tmp_path / "a.jsonl", instruction="Do it.", answer_column="answer")
    assert {e.instruction for e in examples} == {"Do it."}


def test_blank_instruction_in_a_table_is_made_up_and_reported(tmp_path):
    _, examples, notes = read_examples(put(tmp_path, "a.csv", "instruction,text,label\nAdd.,1 1,2\n ,2 2,4\n"))
    assert [e.instruction for e in examples] == ["Add.", "Answer the input."]
    assert any("made up" in note for note in notes)


def test_stored_id_must_fit(tmp_path):
    line = example_to_json(Example("Judge.", "It was fine.", "positive"))
    path = put(tmp_path, "a.jsonl", line + "\n" + line.replace("fine", "bad") + "\n")
    fails(path, "line 2", Example("Judge.", "It was fine.").id, Example("Judge.", "It was bad.").id, "altered")
    foreign = put(tmp_path, "b.jsonl", jsonl({"id": 7, "instruction": "Judge.", "input": "a", "answer": "b"}))
    assert len(read_examples(foreign)[1]) == 1


# --- errors ---------------------------------------------------------------------------------------------------------


def test_missing_file_folder_and_extension(tmp_path):
    put(tmp_path, "reviews.csv", rows())
    fails(tmp_path / "review.csv", "no such file", "did you mean 'reviews.csv'?")
    fails(tmp_path / "zzz.tsv", "no such file", "'reviews.csv'")
    fails(tmp_path / "nowhere" / "a.csv", "nowhere", "does not exist")
    fails(tmp_path, "folder", "'reviews.csv'")
    fails(tmp_path / f"{'x' * 400}.csv", "cannot be read")
    fails(put(tmp_path, "a.xlsx", b"PK"), "'.xlsx'", ".csv, .tsv, .jsonl", "Hint")
    fails(put(tmp_path, "a.odd", rows()), "'.odd'", ".csv, .tsv, .jsonl", "Hint")


@pytest.mark.parametrize("name", ["a.csv", "a.tsv", "a.jsonl"])
def test_unusable_bytes(tmp_path, name):
    fails(put(tmp_path, name, b""), "empty")
    fails(put(tmp_path, name, b"\n \r\n\r"), "empty")
    fails(put(tmp_path, name, b"\xef\xbb\xbf"), "empty")
    fails(put(tmp_path, name, b"fine\r\nna\x00ught\n"), "line 2", "NUL", "offset 8")
    fails(put(tmp_path, name, b"one\ntwo\rcaf\xe9\n"), "line 3", "0xe9", "offset 11", "UTF-8")
    fails(put(tmp_path, name, b"\xef\xbb\xbfcaf\xe9"), "line 1", "offset 6")
    for encoding, title in (("utf-16", "UTF-16"), ("utf-32", "UTF-32")):
        fails(put(tmp_path, name, rows().encode(encoding)), title, "UTF-8", "Hint")


def test_table_errors(tmp_path):
    fails(put(tmp_path, "a.csv", "text,label\n"), "no data row", "'text', 'label'")
    fails(put(tmp_path, "b.csv", "text,label\n\na,b,c\n"), "line 3", "3 columns; expected 2, as in line 1", "quotes")
    fails(put(tmp_path, "c.tsv", "a\tb\nc\n"), "line 2", "1 columns; expected 2", "tab")
    fails(put(tmp_path, "d.csv", 'text,label\na,1\n"b,1\nc,0\n'), "line 3", "never closed")
    fails(put(tmp_path, "e.csv", 'text,label\n"b"c,1\n'), "line 2", "broken quoting")
    fails(put(tmp_path, "f.csv", f"text,label\n{'x' * 200_000},1\n"), "line 2", "131,072 characters")
    fails(put(tmp_path, "g.csv", "text:label\na:1\n"), "one column", "semicolons")
    fails(put(tmp_path, "h.csv", "text,text,label\na,b,1\n"), "2 columns are called 'text'")
    fails(put(tmp_path, "i.csv", ",,\n,,\n"), "no filled row")
    fails(put(tmp_path, "j.csv", "text,label\na,1\nb, \n"), "line 3", "answer (column 'label') is empty", "Hint")
    fails(put(tmp_path, "k.csv", "text,label\na,1\n ,0\n"), "line 3", "input (column 'text') is empty", "Hint")
    fails(put(tmp_path, "l.csv", rows([(t, "good") for t, _ in GOOD])), "every answer is 'good'", "two classes")


def test_jsonl_errors(tmp_path):
    good = '{"text": "a", "label": "x"}\n'
    fails(put(tmp_path, "a.jsonl", good + '{"text": "a" "label": 1}\n'), "line 2, column 14", "not valid JSON")
    fails(put(tmp_path, "b.jsonl", good + "[1]\n"), "line 2", "[1]", "expected an object")
    fails(
        put(tmp_path, "c.jsonl", good + '{"text": ["a"], "label": 1}\n'),
        "line 2",
        "'text' is ['a']",
        "string or a number",
    )
    fails(put(tmp_path, "d.jsonl", good + '{"text": "b", "label": {"a": 1}}\n'), "line 2", "{'a': '1'}")
    fails(put(tmp_path, "e.jsonl", good + '{"text": "b", "lable": "y"}\n'), "line 2", "'label' is missing", "'lable'")
    for empty in ("null", "NaN", '""'):
        fails(put(tmp_path, "f.jsonl", good + f'{{"text": "b", "label": {empty}}}\n'), "line 2", "empty")
    fails(put(tmp_path, "g.jsonl", good + '{"text": "\\ud800", "label": "y"}\n'), "line 2", "surrogate")
    fails(put(tmp_path, "h.jsonl", "[" * 100_000 + "\n"), "line 1", "nested")
    fails(put(tmp_path, "i.jsonl", jsonl({"instruction": "", "input": " ", "answer": "x"})), "line 1", "is empty")
    assert (
        read_examples(put(tmp_path, "j.jsonl", '{"text": ' + "1" * 5000 + ', "label": "x"}'))[1][0].input == "1" * 5000
    )


def test_repeats_and_conflicts_are_reported(tmp_path):
    extra = [("film number 1 was fine", "positive"), ("film number 2 was dull", "positive"), GOOD[3], GOOD[3]]
    with pytest.warns(DataWarning) as caught:
        _, examples, notes = read_examples(put(tmp_path, "a.csv", rows(GOOD + extra)))
    assert pairs(examples) == GOOD, "the first answer is kept"
    told = [str(w.message) for w in caught]
    assert len(told) == 2
    assert re.search(r"a\.csv: 3 rows left out: .*same answer.*line 82 as 3; line 84 as 5; line 85 as 5", told[0])
    assert re.search(r"1 row left out: .*another answer.*line 83 'positive' against 4 'negative'", told[1])
    assert sum(" left out" in note for note in notes) == 2
    assert "84 rows read, 80 examples kept, 0 blank lines skipped." in notes


# --- writing and round trips ----------------------------------------------------------------------------------------


def test_write_is_atomic(tmp_path):
    path = tmp_path / "deep" / "a.jsonl"
    write_examples(path, [Example("i", "x", "y", ("t",))])
    before = path.read_bytes()

    def breaks():
        yield Example("i", "z", "y")
        raise RuntimeError("stop")

    with pytest.raises(RuntimeError):
        write_examples(path, breaks())
    assert path.read_bytes() == before
    assert [p.name for p in path.parent.iterdir()] == ["a.jsonl"]
    with pytest.raises(ValueError, match="jsonl"):
        write_examples(tmp_path / "a.csv", [])


moderate = settings(max_examples=120, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
filled = st.text(min_size=1).filter(lambda text: text.strip())


@moderate
@given(
    st.lists(
        st.tuples(st.text(), filled, filled, st.lists(st.text())), min_size=1, max_size=8, unique_by=lambda t: t[:2]
    )
)
def test_round_trip_jsonl(tmp_path, items):
    examples = [Example(i, x, y.strip(), tuple(tags)) for i, x, y, tags in items]
    write_examples(tmp_path / "a.jsonl", examples)
    assert read_examples(tmp_path / "a.jsonl", open_ended=True)[1] == examples


@moderate
@given(st.lists(filled.filter(lambda text: "\0" not in text), min_size=1, max_size=8, unique=True))
def test_round_trip_csv(tmp_path, texts):
    out = io.StringIO(newline="")
    csv.writer(out).writerows([("text", "label"), *[(text, "yes") for text in texts]])
    _, examples, _ = read_examples(put(tmp_path, "a.csv", out.getvalue()), open_ended=True)
    assert pairs(examples) == [(text, "yes") for text in texts]


words = ["text", "label", ",", "\t", "\n", "\r\n", "\r", '"', "a", "b", "1", " ", "\u2028", "null", "[", "{", "}", ":"]
lines = [
    "text,label\n",
    "a,1\n",
    "a,0\n",
    "b\t1\n",
    "a\t0\n",
    '{"text": "a", "label": "b"}\n',
    '{"input": 1, "answer": 2}\n',
]
pieces = st.sampled_from([*(piece.encode() for piece in words + lines), b"\xff", b"\0", b"\xef\xbb\xbf"])
some_bytes = st.one_of(st.binary(max_size=60), st.lists(pieces, max_size=20).map(b"".join))
line_of_tsv = st.tuples(st.sampled_from("ab"), st.sampled_from("01")).map("\t".join)


@settings(moderate, max_examples=300)
@given(some_bytes, st.sampled_from([".csv", ".tsv", ".jsonl"]), st.booleans())
def test_any_bytes_give_examples_or_a_data_error(tmp_path, content, suffix, open_ended):
    path = put(tmp_path, f"a{suffix}", content)
    try:
        _, examples, notes = quietly(path, open_ended=open_ended)
    except DataError as error:
        assert str(path) in str(error)
    else:
        assert_accounts(content.removeprefix(b"\xef\xbb\xbf").decode(), suffix, examples, notes)


@moderate
@given(st.lists(st.one_of(line_of_tsv, st.just("")), max_size=30), st.sampled_from(["text\tlabel", ""]))
def test_accounting_of_repeats(tmp_path, lines, header):
    content = "\n".join([header, *lines])
    try:
        _, examples, notes = quietly(put(tmp_path, "a.tsv", content))
    except DataError:
        return
    assert_accounts(content, ".tsv", examples, notes)


def assert_accounts(content, suffix, examples, notes):
    """Data rows, counted here in another way, are the examples and the rows that a note gives as left out."""
    lost = sum(int(note.split()[0]) for note in notes if " left out" in note)
    header = any("read as a header" in note for note in notes)
    if suffix == ".csv":
        found = sum(any(map(str.strip, cells)) for cells in csv.reader(io.StringIO(content, newline="")))
    else:
        found = sum(bool(line.strip()) for line in re.split(r"\r\n|\r|\n", content))
    assert found - header == len(examples) + lost
    assert len(examples) > 0


# --- the Hub and real data ------------------------------------------------------------------------------------------


def test_hub_without_network(monkeypatch):
    import datasets.config
    import huggingface_hub.constants

    monkeypatch.setattr(datasets.config, "HF_HUB_OFFLINE", True)  # both were read when the packages were imported
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)
    with pytest.raises(DataError) as caught:
        load_splits("hub:nobody/nothing:plain@main")
    for part in ("'nobody/nothing'", "HF_HUB_OFFLINE", "built-in task", "sentiment"):
        assert part in str(caught.value)


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("hub:a/b", (("a/b", None), "train", None)),
        ("hub:a/b:cfg", (("a/b", "cfg"), "train", None)),
        ("hub:a@v1", (("a", None), "train", "v1")),
        ("hub:a:cfg@refs/pr/1", (("a", "cfg"), "train", "refs/pr/1")),
    ],
)
def test_hub_names_and_conversion(monkeypatch, source, expected):
    import datasets

    asked = []
    labels = datasets.ClassLabel(names=["negative", "positive"])
    dataset = datasets.Dataset.from_dict(
        {"text": [t for t, _ in GOOD], "idx": list(range(80)), "label": [a for _, a in GOOD]}
    ).cast_column("label", labels)

    def fake(*args, split, revision):
        asked.append((args, split, revision))
        return dataset

    monkeypatch.setattr(datasets, "load_dataset", fake)
    splits = load_splits(source)
    assert asked == [expected]
    examples = [e for part in PARTS for e in getattr(splits, part).examples]
    assert sorted(pairs(examples)) == sorted(GOOD)


def test_hub_rows_without_label_are_an_error():
    import datasets

    features = datasets.Features({"text": datasets.Value("string"), "label": datasets.ClassLabel(names=["n", "p"])})
    dataset = datasets.Dataset.from_dict({"text": ["a", "b"], "label": [1, -1]}, features=features)
    with pytest.raises(DataError, match=r"hub:x, row 2: .*empty"):
        examples_from_table(sources.hub_table("hub:x", dataset), ReadOptions())
    with pytest.raises(DataError, match="no rows"):
        sources.hub_table("hub:x", dataset.select([]))


@pytest.mark.parametrize("source", ["hub:", "hub:a:b:c", "hub:@x"])
def test_hub_malformed(source):
    with pytest.raises(DataError, match="hub:NAME"):
        load_splits(source)


@pytest.mark.skipif(not SST2.exists(), reason=f"SST-2 is not at {SST2}")
def test_sst2():
    task, examples, notes = quietly(SST2, answers={"0": "negative", "1": "positive"})
    lost = sum(int(note.split()[0]) for note in notes if " left out" in note)
    assert any(note.startswith("6920 rows read") for note in notes)
    assert any("no header found" in note for note in notes)
    assert len(examples) == 6920 - lost
    assert lost < 100
    assert task.answers == ("negative", "positive")
    assert examples[0].answer == "positive"
