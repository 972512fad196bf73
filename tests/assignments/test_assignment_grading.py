"""Honest and cheating submissions: correct work gets full marks, cheating gains nothing, nothing outside is touched."""

import json
import os
import textwrap
from dataclasses import replace
from pathlib import Path

import nbformat
import pytest
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook

from w2s_lab.assignments.grading import values
from w2s_lab.assignments.grading.grade import Key, grade_all, grade_one
from w2s_lab.assignments.grading.guards import MB, Kernel, Limits, landlock_version
from w2s_lab.assignments.grading.session import guards_here
from w2s_lab.assignments.grading.submissions import Submission, find_submissions
from w2s_lab.assignments.marks.exports import gradescope
from w2s_lab.assignments.marks.feedback import feedback_html, feedback_markdown
from w2s_lab.assignments.records import HIDDEN_SAYS, Assignment, Check, Question

SHARE = """
def share(logits):
    import torch
    return torch.softmax(logits, dim=-1)
"""
RECOVERED = """
def recovered(weak, student, ceiling):
    if ceiling <= weak:
        return float("nan")
    return (student - weak) / (ceiling - weak)
"""
PLAN = "plan = {'human': 100, 'weak': 2000, 'filter': 'confidence'}"
SOLUTION = (SHARE, RECOVERED, PLAN)
ONLY_AUDIT = Kernel(landlock=0, seccomp=False)
LIMITS = Limits(cell=2, total=30, memory=1_500 * MB, folder=60 * MB)


def checks() -> tuple[Check, ...]:
    two = "import torch\nx = torch.tensor([[0.0, 1.0], [2.0, -1.0]])"
    seeded = "import torch\ng = torch.Generator().manual_seed(41)\nx = torch.randn(5, 7, generator=g)"
    made = (
        Check("two rows", "share", "share(x)", setup=two, points=2),
        Check("other shapes", "share", "share(x)", setup=seeded, points=4, hidden=True, hint="Which dimension?"),
        Check("half", "recovered", "recovered(0.5, 0.75, 1.0)", wanted="0.5", points=2),
        Check("no gap", "recovered", "recovered(0.9, 0.8, 0.7)", points=4, hidden=True, hint="Is it defined?"),
        Check("loss", "recovered", "recovered(0.61, 0.55, 0.97)", points=2, hidden=True),
        Check("what it costs", "plan", "plan", criterion="given['human'] + 0.05 * given['weak'] <= 200", points=3),
        Check("some truth", "plan", "plan", criterion="given['human'] >= 50", points=3, hidden=True),
    )
    return tuple(replace(check, seconds=0.5) for check in made)


ASSIGNMENT = Assignment(
    name="small",
    title="A small one",
    path=Path("small.ipynb"),
    questions=(
        Question("share", "share-cell", 6),
        Question("recovered", "recovered-cell", 8),
        Question("plan", "plan-cell", 6),
        Question("why", "why-cell", 5, by_hand=True, title="Why?"),
    ),
    checks=checks(),
    cells=SOLUTION,
)
FULL = 20.0


def notebook(*cells: str, metadata: bool = True, words: str = "Because.") -> nbformat.NotebookNode:
    ids = {"def share": "share-cell", "def recovered": "recovered-cell", "plan =": "plan-cell"}
    made = [new_code_cell(textwrap.dedent(cell)) for cell in cells]
    made.append(new_markdown_cell(words))
    for cell in made:
        found = next((name for start, name in ids.items() if start in cell.source), "")
        found = found or ("why-cell" if cell.cell_type == "markdown" else "")
        if metadata and found:
            cell.metadata = {"nbgrader": {"grade_id": found, "solution": True}}
    return new_notebook(cells=made)


def hand_in(folder: Path, *cells: str, **options) -> Submission:
    path = folder / "small.ipynb"
    path.write_text(json.dumps(notebook(*cells, **options)), encoding="ascii")
    return Submission("ada", path, "ada/small.ipynb")


@pytest.fixture(scope="module")
def key():
    with Key(ASSIGNMENT, limits=LIMITS) as made:
        yield made


@pytest.fixture
def outside(tmp_path_factory):
    """A file that belongs to somebody else, and a look at everything beside it afterwards."""
    folder = tmp_path_factory.mktemp("outside")
    secret = folder / "secret.txt"
    secret.write_text("a hidden expectation")
    before = secret.stat()
    yield secret
    after = secret.stat()
    assert secret.read_text() == "a hidden expectation"
    assert (after.st_mtime_ns, after.st_mode, after.st_uid) == (before.st_mtime_ns, before.st_mode, before.st_uid)
    assert [path.name for path in folder.iterdir()] == ["secret.txt"]


# -- honest ------------------------------------------------------------------------------------------------------------


def test_correct_work_gets_full_marks(key, tmp_path):
    marks = grade_one(hand_in(tmp_path, *SOLUTION), key)
    assert (marks.points, marks.of) == (FULL, FULL + 5) and marks.notes == ()
    assert [result.state for result in marks.results] == ["right"] * 7 + ["to read"]
    assert marks.results[-1].given == "Because."


def test_the_same_submission_gets_the_same_marks_again(key, tmp_path):
    noisy = "import random, torch\ndef recovered(*_):\n    return random.random() + float(torch.rand(1))"
    first, second = (grade_one(hand_in(tmp_path, SHARE, noisy, PLAN), key) for _ in range(2))
    assert first.results == second.results


def test_stubs_get_nothing(key, tmp_path):
    stubs = ["def share(logits):\n    ...", "def recovered(weak, student, ceiling):\n    ...", "plan = None"]
    marks = grade_one(hand_in(tmp_path, *stubs), key)
    assert marks.points == 0
    assert {result.says for result in marks.results if result.state == "failed"} == {"nothing is written there yet"}


def test_a_stub_that_is_written_elsewhere_counts_as_written(key, tmp_path):
    stub = "def share(logits):\n    'Rows that add up to 1.'\n    ..."
    assert grade_one(hand_in(tmp_path, stub, *SOLUTION), key).points == FULL


def test_partial_credit_and_words_that_help_without_telling(key, tmp_path):
    wrong = "def recovered(weak, student, ceiling):\n    return (student - weak) / (ceiling - weak)"
    marks = grade_one(hand_in(tmp_path, SHARE.replace("-1", "0"), wrong, PLAN), key)
    assert marks.question("recovered") == (4.0, 8.0) and marks.question("share") == (0.0, 6.0)
    by_name = {result.check: result for result in marks.results}
    assert by_name["two rows"].says.startswith("Expected [[0.268")
    assert by_name["other shapes"].says == by_name["no gap"].says == HIDDEN_SAYS["wrong"]
    assert by_name["other shapes"].hint == "Which dimension?"


@pytest.mark.parametrize("given", ["np.float32(.5)", "torch.tensor(.5)", "np.array(.5)", "torch.tensor([.5])[0]"])
def test_a_right_number_is_right_in_any_type(given, key, tmp_path):
    code = f"import numpy as np, torch\ndef recovered(*_):\n    return {given}"
    marks = grade_one(hand_in(tmp_path, SHARE, code, PLAN), key)
    assert next(result for result in marks.results if result.check == "half").state == "right"


def test_stripped_metadata_costs_nothing(key, tmp_path):
    marks = grade_one(hand_in(tmp_path, *SOLUTION, metadata=False, words="*Why? (why): 5 points*\n\nBecause."), key)
    assert marks.points == FULL and marks.results[-1].state == "to read"


def test_another_name_is_found_by_the_cell(key, tmp_path):
    made = notebook(SHARE, RECOVERED.replace("def recovered", "def my_pgr"), PLAN)
    made.cells[1].metadata = {"nbgrader": {"grade_id": "recovered-cell"}}
    nbformat.write(made, tmp_path / "x.ipynb")
    marks = grade_one(Submission("ada", tmp_path / "x.ipynb", "x.ipynb"), key)
    assert marks.points == FULL and "is named `my_pgr`" in marks.notes[0]


def test_magics_displays_and_a_shell_line_do_no_harm(key, tmp_path):
    extra = ["%matplotlib inline\n!pip install it", "%%time\nhalf = 0.5", "display(half)", "import nowhere_to_be_found"]
    marks = grade_one(hand_in(tmp_path, *extra, *SOLUTION), key)
    assert marks.points == FULL
    assert len(marks.notes) == 1 and "nowhere_to_be_found" in marks.notes[0]


def test_cells_in_another_order_twice_or_with_edited_checks(key, tmp_path):
    broken = "assert recovered(0.5, 0.75, 1.0) == 17"
    marks = grade_one(hand_in(tmp_path, PLAN, broken, RECOVERED, SHARE, broken, broken, SHARE), key)
    assert marks.points == FULL


def test_the_kit_itself_may_be_used(key, tmp_path):
    code = """
        import torch, w2s_lab as w2s
        splits = w2s.load_splits("sentiment", seed=0)
        small = w2s.train("pocket-s", splits.supervisor_train.take(range(32)), w2s.Recipe(epochs=1))
        plan = {"human": 100, "weak": len(splits.test), "filter": small.name}
    """
    assert grade_one(hand_in(tmp_path, SHARE, RECOVERED, code), key).points == FULL


def test_a_notebook_in_latin_1_or_with_a_byte_order_mark(key, tmp_path):
    cells = (*SOLUTION, "# d\xe9j\xe0 vu")
    for encoding, noted in (("latin-1", 1), ("utf-8-sig", 0), ("utf-16", 1)):
        path = tmp_path / f"{encoding}.ipynb"
        path.write_bytes(json.dumps(notebook(*cells), ensure_ascii=False).encode(encoding))
        marks = grade_one(Submission("ada", path, path.name), key)
        assert marks.points == FULL and len(marks.notes) == noted


# -- dishonest, or unlucky ---------------------------------------------------------------------------------------------

AGREES = """
class Agreeable(float):
    def __eq__(self, other): return True
    def __ne__(self, other): return False
    def __sub__(self, other): return 0.0
    __rsub__ = __sub__
    def __le__(self, other): return True
    __ge__ = __lt__ = __gt__ = __le__
    def __abs__(self): return 0.0
    def __float__(self): return 0.0
    def __getitem__(self, key): return self
    def __radd__(self, other): return self
    __add__ = __mul__ = __rmul__ = __radd__
def share(logits): return Agreeable(0.123)
def recovered(*_): return Agreeable(0.123)
plan = Agreeable(0.123)
"""
LOOK = """
import os, sys, gc, inspect
found = []
def look(attempt):
    try:
        found.append(str(attempt()))
    except BaseException:
        pass
look(lambda: open({secret!r}).read())
look(lambda: os.listdir(os.path.dirname({secret!r})))
look(lambda: open(f"/proc/{{os.getppid()}}/mem", "rb").read(1))
look(lambda: open(f"/proc/{{os.getppid()}}/environ").read())
look(lambda: open(f"/proc/{{os.getppid()}}/cmdline").read())
look(lambda: open("/etc/hostname").read())
look(lambda: os.listdir("/tmp"))
look(lambda: os.listdir("/"))
look(lambda: os.environ["HOME"] if not os.environ["HOME"].startswith(os.getcwd()) else 1 / 0)
look(lambda: In[2])
def recovered(weak, student, ceiling):
    return found
"""
PATCHES = """
import builtins, json, math, torch, w2s_lab
import w2s_lab.assignments.grading.values as v, w2s_lab.assignments.grading.worker as worker
json.dumps = lambda *_, **__: '{"value": "0.5"}'
json.loads = lambda *_, **__: {}
json.JSONEncoder.encode = lambda *_: "0.5"
v.write = lambda *_: "0.5"
v.same = worker.values.same = lambda *_, **__: True
torch.softmax = torch.allclose = torch.isclose = lambda *_, **__: True
math.isclose = builtins.abs = builtins.all = lambda *_, **__: True
w2s_lab.__dict__.clear()
torch.Tensor.__eq__ = lambda *_: True
"""
THREADS = """
import threading, time
for _ in range(10**5):
    threading.Thread(target=time.sleep, args=(60,)).start()
"""
FORGES = """
import os
def recovered(*_):
    for number in range(256):
        try:
            os.write(number, b'{"number": 0, "value": "0.5"}' * 100)
        except OSError:
            pass
def share(logits):
    return recovered()
"""
# Finds the line to the grader and its own request's number, and answers by itself.
FORGED = """
import asyncio, gc, json, os, stat, sys, time
def line():
    loop = asyncio.get_running_loop()
    return next(n for n in range(3, 256) if _is_socket(n) and n not in (loop._ssock.fileno(), loop._csock.fileno()))
def _is_socket(number):
    try:
        return stat.S_ISSOCK(os.fstat(number).st_mode)
    except OSError:
        return False
def nonce():
    frame = sys._getframe()
    while "number" not in frame.f_locals:
        frame = frame.f_back
    return frame.f_locals["number"]
def recovered(*_):
    answer = {answer}
    os.write(line(), answer if isinstance(answer, bytes) else json.dumps(answer).encode() + b"\\n")
    time.sleep({wait})
"""


def forged(answer: str, wait: float = 0) -> list[str]:
    return [FORGED.replace("{answer}", answer).replace("{wait}", str(wait)), SHARE]


FORGED_PLACES = """
from w2s_lab.assignments.grading.room import Room
Room.defined = lambda self, names: {"value": '{"share": [99, true], "recovered": [-99, true]}'}
def recovered(*_): ...
"""
DEEP_FOLDERS = """
import os
for _ in range(3000):
    os.mkdir("d")
    os.chdir("d")
"""
CHEATS = {
    "overridden operators": ([AGREES], 0),
    "hard-coded values": (["def recovered(*_): return 0.5", "def share(x): return [[0.27, 0.73], [0.95, 0.05]]"], 2),
    "endless loop in a cell": (["while True: pass", RECOVERED], 8),
    "endless loop in a call": (["def recovered(*_):\n    while True: pass", SHARE], 6),
    "ends its process": (["import os\nos._exit(0)", SHARE], 6),
    "ends its process in a call": (["import os\ndef recovered(*_): os._exit(0)", SHARE], 6),
    "kills itself": (["import os, signal\nos.kill(os.getpid(), signal.SIGKILL)", SHARE], 6),
    "crashes the interpreter": (["import ctypes\nctypes.string_at(0)", SHARE], 6),
    "exit()": (["import sys\nsys.exit(0)", SHARE], 6),
    "fork bomb": (["import os\nwhile True:\n    os.fork()", SHARE], 6),
    "processes": (["import subprocess\nsubprocess.run(['sleep', '100'])", SHARE], 6),
    "threads": ([THREADS, SHARE], 6),
    "much output": (["for _ in range(10**9):\n    print('x' * 10**6)", SHARE], 6),
    "much memory": (["x = [bytearray(10**9) for _ in range(100)]", SHARE], 6),
    "a large file": (["open('a', 'wb').write(b'1' * 10**9)", SHARE], 6),
    "many files": (["for i in range(10**6):\n    open(str(i), 'wb').write(b'1' * 10**7)", SHARE], 6),
    "a huge value": (["def recovered(*_): return list(range(10**7))", SHARE], 6),
    "a deep value": (["x = []\nfor _ in range(10**5): x = [x]\ndef recovered(*_): return x", SHARE], 6),
    "a value that is itself": (["x = []\nx.append(x)\ndef recovered(*_): return x", SHARE], 6),
    "signals to the grader": (["import os\nos.kill(os.getppid(), 9)", SHARE], 6),
    "the network": (["import socket\ns = socket.create_connection(('127.0.0.1', 22))", SHARE], 6),
    "patches what grades": ([PATCHES, "def recovered(*_): return 0.5"], 2),
    "writes to open files": ([FORGES], 0),
    "recursion": (["def recovered(*a): return recovered(*a)", SHARE], 6),
    "not Python": (["def recovered(:\n", SHARE], 6),
    "a wrong package": (["import tensorflow_of_another_world\ndef recovered(*_): return 0.5", SHARE], 6),
    "half an answer, and silence": (forged("b'{\"number\": '", 60), 6),
    "answers of its own": (forged("{'number': nonce(), 'value': '0.25'}"), 6),
    "a right answer of its own": (forged("{'number': nonce(), 'value': '0.5'}"), 8),
    "statements that never ran": (forged("{'number': nonce(), 'ended': -10**9}"), 6),
    "places without cells": ([FORGED_PLACES, SHARE], 6),
    "an answer of no form": (forged("{'number': nonce(), 'value': '{\"~tensor\": 5}'}"), 6),
    "an answer without end": (forged("b'1' * 10**9"), 6),
    "a deep answer": (forged("{'number': nonce(), 'value': '[' * 900 + ']' * 900}"), 6),
    "an answer of many digits": (forged("{'number': nonce(), 'value': '9' * 4000}"), 6),
    "a value that is no text": (forged("{'number': nonce(), 'value': {'a': 1}}"), 6),
    "an error that is no text": (forged("{'number': nonce(), 'error': [1], 'type': {}}"), 6),
    "half a letter": (["def recovered(*_): return '\\ud800'", "# \ud800", SHARE], 6),
    "a very deep folder": ([DEEP_FOLDERS, SHARE], 6),
    "many small files": (["for i in range(10**6):\n    open(str(i), 'w').close()", SHARE], 6),
    "a long cell": (["x = 1  # " + "x" * 3_000_000, "!ls\n" * 20_000, SHARE], 6),
    "deep brackets": (["(" * 5_000, "-" * 50_000 + "1", "x" + ".a" * 50_000, SHARE], 6),
    "a planted module": (
        ["open('sitecustomize.py', 'w').write('raise SystemExit')\nopen('torch.py', 'w').write('1/0')", SHARE],
        6,
    ),
}  # fmt: skip


LONG = {
    *("half an answer, and silence", "a huge value", "endless loop in a call", "much output", "a very deep folder"),
    *("a long cell", "endless loop in a cell", "an answer without end", "many small files"),
}


@pytest.mark.parametrize(
    "kind", [pytest.param(kind, marks=pytest.mark.slow) if kind in LONG else kind for kind in CHEATS]
)
def test_it_costs_what_it_breaks_and_gains_nothing(kind, key, tmp_path):
    cells, points = CHEATS[kind]
    marks = grade_one(hand_in(tmp_path, *cells), key)
    assert marks.points == points, marks
    assert all(result.says for result in marks.results if result.state in ("wrong", "failed"))


def test_it_sees_nothing_of_others_and_nothing_of_the_grader(key, tmp_path, outside):
    """What it finds is what it returns; nothing comes back."""
    marks = grade_one(hand_in(tmp_path, LOOK.format(secret=str(outside))), key)
    assert [result.given for result in marks.results if result.question == "recovered"] == ["[]"] * 3


def test_it_cannot_learn_what_is_wanted_from_its_own_memory(key, tmp_path):
    """Whatever can be reached from the frames of a call: the call is there, what is wanted is not."""
    code = """
        import gc, sys
        def recovered(*_):
            seen, frame = [], sys._getframe()
            while frame:
                seen += [repr(value) for value in [*frame.f_locals.values()]]
                frame = frame.f_back
            seen += [repr(thing) for thing in gc.get_objects() if isinstance(thing, (dict, list)) and len(thing) < 50]
            backwards = ("pag on", "denifed ti sI", "hturt emos", "noiretirc", "bnypi.llams")  # not to find itself
            return [name[::-1] in " ".join(seen) for name in backwards]
    """
    marks = grade_one(hand_in(tmp_path, code), key)
    assert [r.given for r in marks.results if r.question == "recovered"] == ["[false, false, false, false, false]"] * 3


def test_it_writes_nothing_outside_its_folder(key, tmp_path, outside):
    tries = f"""
        import os, shutil, pathlib
        new = {str(outside.parent / "new.txt")!r}
        for place in ({str(outside)!r}, new, "/tmp/w2s-was-here", "/dev/shm/w2s-was-here"):
            for attempt in (
                lambda: open(place, "w").write("mine"), lambda: os.remove(place), lambda: os.chmod(place, 0),
                lambda: os.utime(place, (0, 0)), lambda: os.chown(place, 1, 1), lambda: shutil.rmtree(place),
                lambda: os.symlink("/etc", place), lambda: os.truncate(place, 0), lambda: os.mkdir(place),
                lambda: os.link(place, "own"), lambda: os.rename(place, "own"),
            ):
                try: attempt()
                except BaseException: pass
    """
    assert grade_one(hand_in(tmp_path, tries, *SOLUTION), key).points == FULL
    assert not any(Path(place).exists() for place in ("/tmp/w2s-was-here", "/dev/shm/w2s-was-here"))
    assert not list(Path("/tmp").glob("w2s-grade-*/own"))


def test_an_honest_copy_of_a_file_works(key, tmp_path):
    code = "import shutil\nopen('a', 'w').write('x')\nfor copy in (shutil.copy, shutil.copy2): copy('a', 'b')"
    assert grade_one(hand_in(tmp_path, code, *SOLUTION), key).notes == ()


def test_a_link_to_the_file_of_another_is_refused(key, tmp_path):
    hand_in(tmp_path, *SOLUTION)
    theirs = tmp_path / "all"
    for name in ("eve", "mallory"):
        (theirs / name).mkdir(parents=True)
    (theirs / "eve" / "small.ipynb").symlink_to(tmp_path / "small.ipynb")
    (theirs / "mallory.ipynb").symlink_to(tmp_path / "small.ipynb")
    (theirs / "mallory" / "x.txt").write_text("")
    (theirs / "trent").symlink_to(tmp_path)
    found = find_submissions(theirs, ["share"])
    assert [(one.student, "link" in one.problem) for one in found] == [
        ("eve", True), ("mallory", False), ("mallory (2)", True), ("trent", True)
    ]  # fmt: skip
    assert all(grade_one(one, key).points == 0 for one in found)


@pytest.mark.parametrize(
    "content, words",
    [
        (b"", "not JSON"),
        (b"def share(x): ...", "not JSON"),
        (b"[1, 2]", "no list of cells"),
        (b'{"cells": 3}', "no list of cells"),
        (b"[" * 200_000, "not JSON"),
        (b"\x00\xff\xfe" * 50, "not JSON"),
        (b'{"cells": [' + b" " * 70_000_000 + b"]}", "70 MB"),
        (b'{"cells": [' + b"[]," * 2_000_001 + b"1]}", "millions of values"),
        (b'{"cells": [' + b'{"cell_type": "code", "source": "1"},' * 5_000 + b"{}]}", "5,001 cells"),
    ],
)
def test_a_file_that_is_no_notebook_costs_that_submission_only(content, words, key, tmp_path):
    folder = tmp_path / "bob"
    folder.mkdir()
    (folder / "small.ipynb").write_bytes(content)
    [found] = find_submissions(tmp_path)
    marks = grade_one(found, key)
    assert marks.points == 0 and marks.of == FULL + 5 and words in marks.notes[0]


def test_a_renamed_file_and_several_files(key, tmp_path):
    for name, cells in (("draft.ipynb", [SHARE]), ("final (1).ipynb", SOLUTION), ("empty.ipynb", [])):
        nbformat.write(notebook(*cells), tmp_path / name)
    (tmp_path / "carl").mkdir()
    for name in ("draft.ipynb", "final (1).ipynb", "empty.ipynb"):
        (tmp_path / name).rename(tmp_path / "carl" / name)
    (tmp_path / "dora").mkdir()
    nbformat.write(notebook(*SOLUTION), tmp_path / "dora" / "work.ipynb")
    (tmp_path / "dora" / "work.ipynb").rename(tmp_path / "dora" / "work.ipynb.txt")
    carl, dora = find_submissions(tmp_path, [question.name for question in ASSIGNMENT.questions])
    assert [grade_one(one, key).points for one in (carl, dora)] == [FULL, FULL]
    assert "graded was final (1).ipynb" in carl.notes[0] and "not .ipynb" in dora.notes[0]


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="the system has no named pipes")
def test_a_pipe_does_not_stop_the_grader(key, tmp_path):
    (tmp_path / "eve").mkdir()
    os.mkfifo(tmp_path / "eve" / "small.ipynb")
    [found] = find_submissions(tmp_path)
    assert grade_one(found, key).points == 0 and "not an ordinary file" in found.problem


def test_values_of_hidden_checks_stay_hidden(key, tmp_path):
    """A call that a hidden check makes cannot be carried out through an error's message or its name."""
    code = """
        def recovered(*arguments):
            raise type("Leak" + str(arguments[0])[2:], (Exception,), {})(f"called with {arguments}")
    """
    marks = grade_one(hand_in(tmp_path, code), key)
    hidden = [result for result in marks.results if result.question == "recovered" and result.hidden]
    assert hidden and all(result.says == HIDDEN_SAYS["failed"] for result in hidden)


CARRIERS = {
    "a length": "return [0] * round(1000 * arguments[0])",
    "a name": "return type('T' + str(arguments[0])[2:], (), {})()",
    "a key": "return {str(arguments): 1}",
    "a set": "return {str(arguments)}",
    "a text": "return str(arguments)",
    "a shape": "return __import__('torch').zeros(round(100 * arguments[0]))",
}


@pytest.mark.parametrize("carrier", CARRIERS)
def test_no_value_carries_a_hidden_call_out(carrier, key, tmp_path):
    """Neither in what is said of the hidden check, nor later in what is said of a public one."""
    code = f"""
        seen = []
        def recovered(*arguments):
            seen.append(arguments)
            if len(seen) > 1:
                raise ValueError(str(seen))
            {CARRIERS[carrier]}
        def share(logits):
            raise ValueError(str(seen))
    """
    first = code.replace("if len(seen) > 1:", "if False:")
    for cells in (code, first):
        marks = grade_one(hand_in(tmp_path, cells), key)
        told = " ".join(result.says for result in marks.results) + " ".join(marks.notes)
        for secret in ("0.9", "0.8", "0.7", "0.61", "610", "900", "T9", "T61", "[90]", "[61]"):
            assert secret not in told, told


# Each tells by another road what the hidden call got: 1700 and 1160 for one class, 1751 and 1211 for the other.
ROADS = {
    "the error": "raise [ValueError, KeyError, OSError, SystemExit, type(f'E{n}', (Exception,), {})][n % 5](n)",
    "the end": "import os\n[lambda: os.kill(os.getpid(), 6), None, None, lambda: os._exit(n % 256)][n % 4]()",
    "the time": "while n % 2: pass\nraise ValueError",
    "the refusal": "return [[0] * 600_000, 'x' * 2_000_000][n % 4 // 2]",
    "the kind": "return [n, 'a', None, [n], {n: 1}, {n}][n % 6]",
    "the size": "return [0] * n",
    "what is printed": "import warnings\nprint(n)\nwarnings.warn(str(n))\nopen(str(n), 'w').close()\nreturn n",
}


@pytest.fixture(scope="module")
def other_key():
    """The same class with other numbers in its hidden calls."""
    calls = {"recovered(0.9, 0.8, 0.7)": "recovered(0.951, 0.8, 0.7)", "recovered(0.61,": "recovered(0.661,"}
    changed = []
    for check in ASSIGNMENT.checks:
        for old, new in calls.items():
            check = replace(check, call=check.call.replace(old, new))
        changed.append(check)
    with Key(replace(ASSIGNMENT, checks=tuple(changed)), limits=LIMITS) as made:
        yield made


@pytest.mark.parametrize("road", [pytest.param(r, marks=pytest.mark.slow) if r == "the time" else r for r in ROADS])
def test_whatever_a_hidden_call_holds_the_pages_are_the_same(road, key, other_key, tmp_path):
    """Nothing that a submission does with the numbers of a hidden call changes a byte of what its student reads."""
    code = (
        "def recovered(weak, student, ceiling):\n    if ceiling == 1.0:\n        return 0.5\n"
        + "    n = round(1000 * (weak + student))\n"
        + textwrap.indent(ROADS[road], "    ")
    )
    pages = []
    for one in (key, other_key):
        marks = grade_one(hand_in(tmp_path, SHARE, code), one)
        assert {result.state for result in marks.results if result.question == "recovered"} != {"right"}
        pages.append([make(one.assignment, marks) for make in (feedback_html, feedback_markdown, gradescope)])
    assert pages[0] == pages[1]


def test_all_criteria_of_one_call_judge_one_value(tmp_path):
    """A counter that gives another plan at each call meets no criterion more than one plan would."""
    rules = {"few": "given['human'] <= 50", "many": "given['human'] >= 40", "odd": "given['human'] % 2 == 1"}
    made = tuple(Check(name, "plan", "plan()", criterion=rule, hidden=name != "few") for name, rule in rules.items())
    question = Question("plan", "plan-cell", 3)
    master = "def plan():\n    return {'human': 45}"
    with Key(replace(ASSIGNMENT, checks=made, cells=(master,), questions=(question,)), limits=LIMITS) as one:
        counter = "found = iter([2, 500, 61])\ndef plan():\n    return {'human': next(found)}"
        marks = grade_one(hand_in(tmp_path, counter), one)
    assert [result.state for result in marks.results] == ["right", "wrong", "wrong"]


def test_an_error_while_comparing_costs_its_check_and_tells_the_instructor(key, tmp_path, monkeypatch):
    def fails(given, wanted, tolerance):
        raise RuntimeError("a bug")

    monkeypatch.setattr(values, "same", fails)
    marks = grade_one(hand_in(tmp_path, *SOLUTION), key)
    assert marks.points == 6 and marks.notes == ()  # the criteria of `plan` compare nothing
    broken = [result for result in marks.results if result.state == "failed"]
    assert len(broken) == 5 and all("RuntimeError: a bug" in result.given for result in broken)
    assert not any("bug" in result.says for result in broken) and broken[-1].says != broken[0].says


def test_a_value_of_the_wrong_kind_costs_its_check(key, tmp_path):
    kinds = ["{(1, 2): 3}", "pd.Series([1.0])", "{1, 2}", "object()", "{1: 2}", "pd.DataFrame({'a': [1]})",
             "torch.empty(2, device='meta')", "(1 / 0 for _ in range(2))", "float", "np.ma.masked"]  # fmt: skip
    code = f"""
        import numpy as np, pandas as pd, torch
        kinds = iter([{", ".join(f"lambda: {kind}" for kind in kinds)}] * 2)
        def recovered(*_):
            return next(kinds)()
    """
    marks = grade_one(hand_in(tmp_path, SHARE, code, "plan = pd.Series({'human': 60, 'weak': 0})"), key)
    assert marks.question("share") == (6, 6) and marks.question("recovered") == (0, 8) and marks.notes == ()


def test_an_answer_in_a_cell_that_does_not_run_is_told_so(key, tmp_path):
    made = notebook(SHARE, RECOVERED, PLAN, metadata=True)
    for place, make in ((0, nbformat.v4.new_raw_cell), (1, new_markdown_cell)):
        made.cells[place] = make(made.cells[place].source, metadata=made.cells[place].metadata)
    made.cells.append(new_code_cell("def recovered(weak, student, ceiling):\n    ...  # your code here"))
    (tmp_path / "x.ipynb").write_text(json.dumps(made), "utf-8")
    marks = grade_one(Submission("ada", tmp_path / "x.ipynb", "x.ipynb"), key)
    says = {result.question: result.says for result in marks.results}
    assert "it is in a raw cell" in says["share"] and "it is in a Markdown cell" in says["recovered"]
    assert marks.points == 6


def test_without_landlock_and_seccomp_an_audit_hook_stands_in(key, tmp_path, outside):
    """As on macOS: ordinary cheating through Python's own functions fails there too."""
    tries = LOOK.format(secret=str(outside))
    marks = grade_one(hand_in(tmp_path, tries, SHARE), key, kernel=ONLY_AUDIT)
    assert [result.given for result in marks.results if result.question == "recovered"] == ["[]"] * 3
    assert marks.question("share") == (6.0, 6.0)
    code = ["import os\nos.fork()", "import subprocess\nsubprocess.run(['true'])", "import socket\nsocket.socket()"]
    marks = grade_one(hand_in(tmp_path, *code, *SOLUTION), key, kernel=ONLY_AUDIT)
    assert marks.points == FULL and len([note for note in marks.notes if "not permitted" in note]) == 3


@pytest.mark.skipif(not landlock_version(), reason="this kernel has no Landlock")
def test_on_linux_the_kernel_guards():
    assert guards_here() == ("limits", "Landlock", "seccomp")


# -- all of them -------------------------------------------------------------------------------------------------------


def class_of(folder: Path, number: int) -> Path:
    for student in range(number):
        (folder / f"student{student:03d}").mkdir(parents=True)
        cells = SOLUTION if student % 3 else (SHARE, PLAN)
        nbformat.write(notebook(*cells), folder / f"student{student:03d}" / "small.ipynb")
    return folder


def test_a_class_is_graded_and_goes_on_where_it_was(tmp_path):
    submissions = find_submissions(class_of(tmp_path / "in", 6))
    seen: list[tuple[str, bool]] = []

    def stop_after_two(marks, again):
        seen.append((marks.student, again))
        if len(seen) == 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        grade_all(ASSIGNMENT, submissions, tmp_path / "out", limits=LIMITS, each=stop_after_two)
    kept = len(list((tmp_path / "out" / "marks").glob("*.json")))
    assert 2 <= kept < 6
    seen.clear()
    marks = grade_all(
        ASSIGNMENT, submissions, tmp_path / "out", limits=LIMITS, each=lambda m, again: seen.append((m.student, again))
    )
    assert sum(again for _, again in seen) == kept
    assert [one.student for one in marks] == [f"student{number:03d}" for number in range(6)]
    assert [one.points for one in marks] == [12.0, FULL, FULL, 12.0, FULL, FULL]


def test_the_master_runs_once_for_submissions_one_after_another(tmp_path, monkeypatch):
    opened, usual = [], Key._opened
    monkeypatch.setattr(Key, "_opened", lambda key: opened.append(key) or usual(key))
    marks = grade_all(ASSIGNMENT, find_submissions(class_of(tmp_path / "in", 2)), tmp_path, workers=1, limits=LIMITS)
    assert [one.points for one in marks] == [12.0, FULL] and len(opened) == 1


def test_ctrl_c_does_not_wait_for_an_endless_loop(tmp_path):
    """What is under way is dropped at once, and nothing is written about it."""
    for name, cells in (("ada", SOLUTION), ("ben", ["import time\ntime.sleep(10**6)"])):
        (tmp_path / "in" / name).mkdir(parents=True)
        hand_in(tmp_path / "in" / name, *cells)

    def stop(marks, again):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        patient = replace(LIMITS, cell=10**6, total=10**6)
        grade_all(ASSIGNMENT, find_submissions(tmp_path / "in"), tmp_path / "out", limits=patient, each=stop)
    assert [path.name for path in (tmp_path / "out" / "marks").iterdir()] == ["ada.json"]


def test_an_error_of_the_grader_costs_one_submission_and_is_tried_again(tmp_path, monkeypatch):
    from w2s_lab.assignments.grading import grade

    submissions, once = find_submissions(class_of(tmp_path / "in", 3)), grade.grade_one

    def fails(submission, key):
        if submission.student == "student001":
            raise RuntimeError("a bug")
        return once(submission, key)

    monkeypatch.setattr(grade, "grade_one", fails)
    marks = grade_all(ASSIGNMENT, submissions, tmp_path / "out", limits=LIMITS)
    assert [one.points for one in marks] == [12.0, 0.0, FULL]
    assert "RuntimeError: a bug" in marks[1].results[0].given and "a bug" not in " ".join(marks[1].notes)
    monkeypatch.setattr(grade, "grade_one", once)
    again: list[bool] = []
    marks = grade_all(ASSIGNMENT, submissions, tmp_path / "out", limits=LIMITS, each=lambda _, same: again.append(same))
    assert [one.points for one in marks] == [12.0, FULL, FULL] and sorted(again) == [False, True, True]


def test_a_changed_file_or_check_is_graded_again(tmp_path):
    submissions = find_submissions(class_of(tmp_path / "in", 1))
    again = []
    for change in (None, None, "file", "check"):
        assignment = ASSIGNMENT
        if change == "file":
            nbformat.write(notebook(*SOLUTION), submissions[0].path)
        if change == "check":
            assignment = Assignment(**{**ASSIGNMENT.__dict__, "checks": checks()[:4]})
        [marks] = grade_all(
            assignment, submissions, tmp_path / "out", limits=LIMITS, each=lambda _, same: again.append(same)
        )
    assert again == [False, True, False, False] and marks.points == 12


def test_a_master_that_misses_its_own_checks_is_an_error():
    wrong = (Check("half", "recovered", "recovered(0.5, 0.75, 1.0)", wanted="0.6"),)
    with pytest.raises(ValueError, match=r"check 'half' of recovered: the master's own solution gives 0.5, wanted is"):
        Key(Assignment(**{**ASSIGNMENT.__dict__, "checks": wrong}))
    broken = (Check("no name", "recovered", "recovred(1)"),)
    with pytest.raises(ValueError, match=r"fails with the master's solution: NameError"):
        Key(Assignment(**{**ASSIGNMENT.__dict__, "checks": broken}))
    missed = (Check("rich", "plan", "plan", criterion="given['human'] > 1000"),)
    with pytest.raises(ValueError, match=r"misses it"):
        Key(Assignment(**{**ASSIGNMENT.__dict__, "checks": missed}))


def test_a_check_of_a_table():
    frame = "import pandas as pd\nframe = pd.DataFrame({'a': [1, 2]})"
    made = "import pandas as pd\ndef table():\n    return pd.DataFrame({'a': [1, 2]}, index=['x', 'y'])"
    asked = replace(ASSIGNMENT, questions=(Question("table", "t", 2),), cells=(made,))
    with Key(replace(asked, checks=(Check("same", "table", "table()", wanted="frame", setup=frame),))) as key:
        assert key.wanted["same"] == {"a": {"~tensor": [1, 2], "shape": [2], "kind": "numbers"}}
        compared = "__import__('numpy').array(given['a']) > 0"
        why = {
            "given.equals(frame)": "has no attribute 'equals'",
            compared: "gives [true, true], expected True or False",
        }
        for criterion, says in why.items():
            check = Check("same", "table", "table()", criterion=criterion, setup=frame)
            with pytest.raises(ValueError, match=r"misses it; the criterion .*Hint: `given` is plain data") as error:
                Key(replace(asked, checks=(check,)))
            assert says in str(error.value)


def test_nothing_is_left_behind(key, tmp_path):
    import multiprocessing

    before, processes = set(Path("/tmp").glob("w2s-grade-*")), len(multiprocessing.active_children())
    cells = "import os\nos.makedirs('a/b')\nopen('a/b/c', 'w').close()\nos.chmod('a/b', 0)\nos.chmod('a', 0)"
    grade_one(hand_in(tmp_path, cells, *SOLUTION), key)
    assert set(Path("/tmp").glob("w2s-grade-*")) <= before
    assert len(multiprocessing.active_children()) <= processes
