"""Right work in odd clothes gets its marks: a notebook means the same to the grader as in Jupyter."""

import json
import textwrap
import time
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from nbformat.v4 import new_code_cell, new_output

from w2s_lab.assignments.grading.budgets import Budgets
from w2s_lab.assignments.grading.grade import Key, grade_one
from w2s_lab.assignments.grading.guards import MB, Limits
from w2s_lab.assignments.grading.session import Session
from w2s_lab.assignments.grading.submissions import Submission, SubmittedCell
from w2s_lab.assignments.records import Assignment, Check, Marks, Question

FIRST = "import math\n\nimport numpy as np\nimport torch"
SHARE = "def share(logits):\n    return torch.softmax(logits, dim=-1)"
COUNTS = """
def counts(labels):
    return {label: (labels.count(label), labels.count(label) / len(labels)) for label in labels}
"""
INTERVAL = "def interval(values, cut):\n    kept = sorted(values)\n    return kept[cut], kept[-1 - cut]"
PLAN = "plan = {'human': 100, 'weak': 2000}"
SHARE_CHECKS = "x = torch.zeros(2, 4)\nassert [float(v) for v in share(x)[0]] == [0.25] * 4"
COUNTS_CHECKS = "assert counts(['a', 'b', 'a'])['b'] == (1, 1 / 3)\nassert len(counts(list('abca'))) == 3"
INTERVAL_CHECKS = "assert np.allclose(interval([3.0, 1.0, 2.0, 5.0], 1), (2.0, 3.0))"
STUBS = {
    "share": "def share(logits):\n    'logits -> probabilities'\n    ...  # your code here",
    "counts": "def counts(labels):\n    ...  # your code here",
    "interval": "def interval(values, cut):\n    ...  # your code here",
    "plan": "plan = None  # your answer",
}
DRAWN = "import torch\nx = torch.randn(3, 4, generator=torch.Generator().manual_seed(41))"
CHECKS = (
    Check("even", "share", "[float(v) for v in share(x)[0]]", setup="import torch\nx = torch.zeros(2, 4)"),
    Check("drawn", "share", "[float(v) for v in share(x)[0]]", setup=DRAWN, hidden=True),
    Check("an abc", "counts", "counts(list('abca'))"),
    Check("one", "counts", "[max(map(float, n)) for n in counts(['z']).values()]", hidden=True),
    Check("adds up", "counts", "counts(list(map(str, range(7))))", criterion="sum(n for n, _ in given.values()) == 7"),
    Check("inside", "interval", "list(interval([3.0, 1.0, 2.0, 5.0], 1))"),
    Check("all", "interval", "list(interval([4.0, 0.5, 2.0], 0))", hidden=True),
    Check("affordable", "plan", "dict(plan)", criterion="given['human'] + 0.05 * given['weak'] <= 200", hidden=True),
)
SECONDS = 0.5  # of the processor, for a check
ASSIGNMENT = Assignment(
    name="odd",
    title="Odd",
    path=Path("odd.ipynb"),
    questions=tuple(Question(name, f"{name}-cell", 1) for name in STUBS),
    checks=tuple(replace(check, seconds=SECONDS) for check in CHECKS),
    cells=(FIRST, SHARE, COUNTS, INTERVAL, PLAN),
    given=(FIRST, *STUBS.values(), SHARE_CHECKS, COUNTS_CHECKS, INTERVAL_CHECKS),
)
FULL = float(len(CHECKS))
LIMITS = Limits(cell=1, total=15, memory=600 * MB, folder=60 * MB)
ANSWERS = {"share": SHARE, "counts": COUNTS, "interval": INTERVAL, "plan": PLAN}
TESTS = {"share": SHARE_CHECKS, "counts": COUNTS_CHECKS, "interval": INTERVAL_CHECKS}


@pytest.fixture(scope="module")
def key():
    with Key(ASSIGNMENT, limits=LIMITS) as made:
        yield made


def notebook(first=(), last=(), **answers: str | list[str]) -> list:
    """The cells of a submission: as handed out, with these answers, and cells before and after them."""
    cells = [new_code_cell(cell) for cell in (FIRST, *map(textwrap.dedent, first))]
    for name, answer in (ANSWERS | answers).items():
        own, *more = [answer] if isinstance(answer, str) else answer
        meta = {"nbgrader": {"grade_id": f"{name}-cell", "solution": True}}
        cells.append(new_code_cell(textwrap.dedent(own), metadata=meta))
        cells += [new_code_cell(textwrap.dedent(cell)) for cell in more]
        if name in TESTS:
            cells.append(new_code_cell(TESTS[name], metadata={"nbgrader": {"grade_id": f"test-{name}", "grade": True}}))
    return cells + [new_code_cell(textwrap.dedent(cell)) for cell in last]


def graded(cells: list, key: Key, folder: Path, **options) -> Marks:
    path = folder / "odd.ipynb"
    path.write_text(json.dumps({"nbformat": 4, "nbformat_minor": 5, "metadata": {}, "cells": cells}), encoding="utf-8")
    return grade_one(Submission("ada", path, "odd.ipynb"), key, **options)


def lost(marks: Marks) -> dict[str, str]:
    return {result.check: result.says or result.given for result in marks.results if result.state != "right"}


def ways() -> dict[str, dict[str, list[str]]]:
    """The notebooks of odd_ways.txt: a name, and for each question or place its cells."""
    found: dict[str, dict[str, list[str]]] = {}
    for part in Path(__file__).with_name("odd_ways.txt").read_text("utf-8").split("\n=== ")[1:]:
        name, *cells = part.split("\n--- ")
        for cell in cells:
            where, _, source = cell.partition("\n")
            answer = ANSWERS.get(where, "").strip()
            source = source.replace("[ANSWER]", textwrap.indent(answer, "    ")).replace("ANSWER", answer)
            found.setdefault(name, {}).setdefault(where, []).append(source.replace("STUB", STUBS.get(where, "")))
    return found


WAYS = ways()


@pytest.mark.parametrize("way", WAYS)
def test_right_work_gets_its_marks_whatever_it_looks_like(way, key, tmp_path):
    marks = graded(notebook(**WAYS[way]), key, tmp_path)
    assert not lost(marks), (lost(marks), marks.notes)


SETTINGS = {
    "float64": "torch.set_default_dtype(torch.float64)",
    "bfloat16": "torch.set_default_dtype(torch.bfloat16)",
    "a device without data": "torch.set_default_device('meta')",
    "strict": "import warnings\nwarnings.simplefilter('error')\nnp.seterr(all='raise')",
    "seeds": "import random\nrandom.seed(7)\nnp.random.seed(7)\ntorch.manual_seed(7)\nrandom.seed = None",
    "elsewhere": "import os\nos.mkdir('a')\nos.chdir('a')\nos.rmdir(os.getcwd())\nos.environ.clear()",
    "few digits": "import decimal\ntorch.set_printoptions(precision=1)\ndecimal.getcontext().prec = 2",
    "no recursion": "import sys\nsys.setrecursionlimit(80)",
    "builtins themselves": "import builtins\nbuiltins.float = builtins.list = builtins.max = lambda *_: 0",
}


@pytest.mark.parametrize("setting", SETTINGS)
@pytest.mark.parametrize("where", ["first", "last"])
def test_a_setting_for_the_whole_process_costs_nothing(where, setting, key, tmp_path):
    marks = graded(notebook(**{where: [SETTINGS[setting]]}), key, tmp_path)
    expect = {"drawn", "even"} if where == "first" and setting == "bfloat16" else set()  # 8 bits are not enough
    assert lost(marks).keys() <= expect, (lost(marks), marks.notes)


def test_a_function_has_the_settings_that_it_relies_on(key, tmp_path):
    share = """
        np.seterr(all="raise")
        torch.set_default_dtype(torch.float64)
        def share(logits):
            try:
                np.float64(1) / np.float64(0)
            except FloatingPointError:
                return (logits @ torch.eye(4)).softmax(-1)
        """
    assert not lost(graded(notebook(share=share), key, tmp_path))


def test_a_name_that_the_handout_takes_from_python_stays_taken(tmp_path):
    first = "input = [1, 2]\nfrom math import *"
    check = Check("sum", "total", "total([pow(x, 2) for x in input])", hidden=True)
    asked = replace(ASSIGNMENT, questions=(Question("total", "total-cell", 1),), checks=(check,))
    master = "def total(values):\n    return sum(values)"
    with Key(replace(asked, cells=(first, master)), limits=LIMITS) as own:
        assert own.wanted == {"sum": 5.0}
        assert not lost(graded([new_code_cell(cell) for cell in (first, master, "sum = list = 0")], own, tmp_path))


def test_a_notebook_of_many_megabytes_is_read(key, tmp_path):
    cells = notebook()
    cells[0].outputs = [new_output("stream", text="y" * 24_000_000)]
    odd = {"image/png": ["A" * 10**6], "x/odd": {"a": [1, None]}, "n": 3}
    cells[1].outputs = [{"output_type": "of another world"}, {"data": odd, "metadata": 7}, None]
    assert not lost(graded(cells, key, tmp_path))


# -- what is stopped ---------------------------------------------------------------------------------------------------

FOREVER = "    while True:\n        pass"
FILLS = {
    "lists": "kept.append([0] * 10**7)",
    "bytes": "kept.append(bytearray(10**8))",
    "tensors": "kept.append(torch.ones(10**8, dtype=torch.uint8))",
}


@pytest.mark.slow
def test_two_loops_cost_two_questions(key, tmp_path):
    """In the functions, where public checks call them, and in cells that try them out."""
    loops = {"share": f"def share(logits):\n{FOREVER}", "interval": f"def interval(values, cut):\n{FOREVER}"}
    tries = ["share(torch.zeros(3))", "interval([1, 2, 3], 1)"]
    marks = graded(notebook(**loops, last=tries), key, tmp_path)
    assert lost(marks).keys() == {"even", "drawn", "inside", "all"}
    assert "longer" in lost(marks)["even"]


def test_a_loop_for_one_input_costs_one_check(key, tmp_path):
    share = "def share(logits):\n    while len(logits) == 3:\n        pass\n    return logits.softmax(-1)"
    assert lost(graded(notebook(share=share), key, tmp_path)).keys() == {"drawn"}


@pytest.mark.slow
def test_an_answer_after_loops_that_were_given_up_counts(key, tmp_path):
    loops = [f"def share(logits):\n{FOREVER}\nshare({number})" for number in range(2)]
    assert not lost(graded(notebook(share=[*loops, "share(3)", SHARE]), key, tmp_path))


@given(st.lists(st.sampled_from(["call", "cell", "try"]), max_size=30))
def test_what_hangs_each_time_takes_twice_its_limit_at_most(asked):
    budgets, tried = Budgets(ASSIGNMENT, LIMITS), SubmittedCell("code", "share(torch.zeros(3))")
    checks, spent = SubmittedCell("code", SHARE_CHECKS, "test-share"), 0.0
    for what in asked:
        spent += (
            budgets.of_call(ASSIGNMENT.checks[1])
            if what == "call"
            else budgets.of_cell(tried if what == "try" else checks)
        )
        budgets.stopped("share")
    assert spent <= 2 * max(LIMITS.cell, SECONDS)
    assert budgets.of_call(ASSIGNMENT.checks[2]) == SECONDS and budgets.question(tried) == "share"


@pytest.mark.slow
def test_what_stands_above_a_loop_counts(key, tmp_path):
    fills = "kept = []\nwhile True:\n    kept.append(bytearray(10**8))"
    ends = ["while True: pass", "import os\nos._exit(1)", "import ctypes\nctypes.string_at(0)", fills]
    answers = {name: f"{ANSWERS[name]}\n{end}\n{name} = None" for name, end in zip(ANSWERS, ends, strict=True)}
    marks = graded(notebook(**answers), key, tmp_path)
    assert not lost(marks) and all("what it had done counts" in note for note in marks.notes) and len(marks.notes) == 4


@pytest.mark.slow
def test_a_cell_that_hangs_when_it_runs_again_is_cut_too():
    later = time.time() + 4
    with Session(limits=LIMITS) as session:
        session.cell(f"import time\nx = 3\nwhile time.time() > {later}: pass\ny = 4")
        time.sleep(max(0.0, later - time.time()))
        assert session.cell("import os\nos._exit(0)").kind == "died"
        assert session.call("", "x", seconds=5).value == 3
        assert session.call("", "y", seconds=5).error == "NameError"


@pytest.mark.slow
def test_many_loops_leave_time_for_the_rest(key, tmp_path, monkeypatch):
    monkeypatch.setattr(key, "limits", replace(LIMITS, total=4))
    loops = [f"while True: x = {number}" for number in range(5)]
    marks = graded(notebook(first=loops), key, tmp_path)
    assert not lost(marks) and len(marks.notes) == 5


@pytest.mark.slow
@pytest.mark.parametrize("kind", FILLS)
def test_a_memory_loop_takes_nothing_of_its_neighbours(kind, key, tmp_path):
    own = f"kept = []\nwhile True:\n    {FILLS[kind]}"
    inside = f"kept = []\ndef counts(labels):\n    while True:\n        {FILLS[kind]}"
    assert not lost(graded(notebook(first=[own]), key, tmp_path))
    assert lost(graded(notebook(counts=inside), key, tmp_path)).keys() == {"an abc", "one", "adds up"}
