"""The digest of a user's class: what it sees, and what it refuses to guess."""

import importlib
import os
import subprocess
import sys
import textwrap

import pytest
from places import ROOT

from w2s_lab.objective import SoftTargets
from w2s_lab.system.source import UnknownSource, source_digest

FILE = """
import math
from dataclasses import dataclass

import torch

FACTOR = 2.0
TABLE = {"a": (1, 2)}


def doubled(value):
    return FACTOR * value + TABLE["a"][0]


def outer(by):
    def inner(value):
        return by * value
    return inner


tripled = outer(3)


class Base:
    def shift(self):
        return 0.5


@dataclass(frozen=True)
class Mine(Base):
    q: float = 0.7
    again: object = None

    def __call__(self, scores, targets, least=math.pi):
        return torch.relu(doubled(scores)) + max(tripled(self.q), least) + [self.shift() for _ in range(2)][0]

    @property
    def name(self):
        return "mine"
"""


@pytest.fixture
def module(tmp_path, monkeypatch):
    """Makes a module of a text, with its name and the text as arguments."""
    monkeypatch.syspath_prepend(str(tmp_path))

    def make(name: str, text: str):
        (tmp_path / f"{name}.py").write_text(textwrap.dedent(text))
        importlib.invalidate_caches()
        monkeypatch.delitem(sys.modules, name, raising=False)
        return importlib.import_module(name)

    return make


def test_the_same_source_has_the_same_digest_wherever_it_stands(module):
    here, there = module("here", FILE), module("there", "\n\n# below\n" + FILE)
    assert source_digest(here.Mine()) == source_digest(there.Mine()) == source_digest(here.Mine())
    assert len(source_digest(here.Mine())) == 16


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("max(", "min("),  # the method itself
        ("FACTOR = 2.0", "FACTOR = 2.5"),  # a constant that a function it calls looks up
        ('(1, 2)}', '(1, 3)}'),
        ("FACTOR * value +", "FACTOR * value -"),
        ("outer(3)", "outer(4)"),  # a variable of a function around another one
        ("return by *", "return by +"),
        ("return 0.5", "return 0.25"),  # a base
        ("least=math.pi", "least=math.e"),  # a default value
        ('"mine"', '"yours"'),  # a property
        ("q: float = 0.7", "q: float = 0.6"),
        ("again: object = None", "again: object = outer"),
        ("again: object = None", "again: object = Base"),
    ],
)  # fmt: skip
def test_what_it_does_is_in_the_digest(old, new, module):
    assert FILE.count(old) == 1
    changed = module("two", FILE.replace(old, new))
    assert source_digest(module("one", FILE).Mine()) != source_digest(changed.Mine())


def test_the_dials_are_in_the_digest(module):
    mine = module("one", FILE).Mine
    assert len({source_digest(one) for one in (mine(), mine(0.5), mine(again=SoftTargets()), mine(again=mine()))}) == 4
    assert source_digest(mine(again=SoftTargets(2.0))) != source_digest(mine(again=SoftTargets()))


@pytest.mark.parametrize(
    ("old", "new", "reason"),
    [
        ("FACTOR = 2.0", "FACTOR = torch.ones(2)", "FACTOR is a Tensor"),
        ("outer(3)", "__import__('functools').partial(outer(1))", "tripled is a partial"),
        ("again: object = None", "again: object = open", None),
        ("again: object = None", "again: object = torch.ones(2)", "again is a Tensor"),
    ],
)
def test_what_cannot_be_told_is_said(old, new, reason, module):
    loss = module("one", FILE.replace(old, new)).Mine()
    if reason is None:
        assert source_digest(loss)
        return
    with pytest.raises(UnknownSource, match=f"{reason}, and what is in it cannot be told"):
        source_digest(loss)


def test_a_module_of_ones_own_is_not_looked_into(module):
    module("helpers", "def f(x):\n    return x\n")
    loss = module("one", "import helpers\n" + FILE.replace("torch.relu", "helpers.f")).Mine()
    with pytest.raises(UnknownSource, match=r"helpers is the module helpers.*Hint: import the function itself"):
        source_digest(loss)
    loss = module("two", "from helpers import f\n" + FILE.replace("torch.relu", "f")).Mine()
    assert source_digest(loss) != source_digest(module("three", FILE).Mine())


def test_a_file_that_changed_since_it_was_imported(module, tmp_path):
    loss = module("one", FILE).Mine()
    (tmp_path / "one.py").write_text(FILE.replace("max(", "min("))
    with pytest.raises(UnknownSource, match=r"Mine.__call__ has changed since it was imported"):
        source_digest(loss)


def test_code_without_a_source():
    space: dict = {"__name__": "__main__"}
    exec(FILE, space)
    with pytest.raises(UnknownSource, match="cannot be read"):
        source_digest(space["Mine"]())


CELL = """
import sys
sys.path.insert(0, {folder!r})
from IPython.core.interactiveshell import InteractiveShell
from w2s_lab.system.source import source_digest
shell = InteractiveShell.instance()
{body}
"""


@pytest.mark.slow
def test_a_notebooks_cell_is_a_source(module):
    """The same class, from a cell or from a file; a cell that is run again with a change is another one."""
    body = "for change in ('', 'max'):\n"
    body += f"    shell.run_cell({FILE!r}.replace('max(', 'min(') if change else {FILE!r})\n"
    body += "    print(source_digest(shell.user_ns['Mine']()))\n"
    code = CELL.format(folder=str(ROOT), body=body)
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120,
                          env={**os.environ, "PYTHONPATH": str(ROOT), "IPYTHONDIR": "/nonexistent"})  # fmt: skip
    assert done.returncode == 0, done.stderr
    first, second = done.stdout.split()[-2:]
    assert first == source_digest(module("one", FILE).Mine()) and second != first


def test_what_python_3_14_keeps_of_annotations_is_no_part_of_what_a_class_does(module):
    """There, a class has a function that gives its annotations, with the class's namespace in it."""
    mine, namespace = module("one", FILE).Mine, {"cell": object()}
    own = source_digest(mine())
    mine.__annotate_func__ = lambda form: namespace
    assert source_digest(mine()) == own
