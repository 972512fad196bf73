"""Imports go downward, third-party libraries stay where they belong, and importing the package has no side effects."""

import ast
import json
import os
import subprocess
import sys
from functools import cache
from graphlib import TopologicalSorter
from pathlib import Path

import pytest
from places import ROOT

PACKAGE = ROOT / "w2s_lab"

# From the bottom up: a folder, or a module of the root, imports only from rows above its own in this list. Inside a
# folder any order goes, as long as there is no circle.
LAYERS = (
    ("version", "assets", "moved", "system"),
    ("metrics", "objective"),
    ("recipe", "records"),
    ("data",),
    ("models",),
    ("training",),
    ("methods",),
    ("experiments",),
    ("pocket", "figures"),
    ("planning",),
    ("studies", "assignments"),
    ("classroom",),
    ("cli",),
    ("__main__",),
)
RANK = {name: rank for rank, row in enumerate(LAYERS) for name in row}
FRONT_DOOR = ""  # w2s_lab/__init__.py: it re-exports from every layer but the classroom

# Third-party libraries that have one home; elsewhere our own functions stand for them.
HOMES = {
    "transformers": {"models.loading", "models.gguf", "models.pretrained", "models.shared_prefix"},
    "tokenizers": {"models.loading", "models.gguf"},
    "datasets": {"data.sources", "data.readers"},
}
FULL = {"classroom.exercises", "studies"}  # folders whose __init__ is a module of its own, not a list of names
MAY_PRINT = {"cli.commands", "cli.demo", "cli.fetch", "cli.progress", "cli.run", "cli.assignment", "cli.completion"}
UNSAFE_LOADERS = {"pickle", "cPickle", "dill", "cloudpickle", "joblib", "shelve"}
FORBIDDEN_NAMES = {"torch.load", "logging.basicConfig", "pandas.read_pickle", "pd.read_pickle"}
NOTEBOOK_IMPORTERS = {"notebooks", "nbimporter", "import_ipynb", "importnb", "ipynb"}


def module_name(path: Path) -> str:
    """`w2s_lab/pocket/tasks.py` -> `pocket.tasks`; a folder's `__init__.py` has the folder's name, the top one ""."""
    parts = path.relative_to(PACKAGE).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


FILES = {module_name(path): path for path in sorted(PACKAGE.rglob("*.py"))}
MODULES = [name for name in FILES if name != FRONT_DOOR]


@cache
def syntax_tree(name: str) -> ast.Module:
    return ast.parse(FILES[name].read_text(encoding="utf-8"), filename=str(FILES[name]))


def room(name: str) -> str:
    """The folder that a module lies in, or the module itself where it lies in the root."""
    return name.partition(".")[0]


def rank(name: str) -> int:
    """The row of LAYERS that a module is in."""
    if room(name) not in RANK:
        pytest.fail(f"w2s_lab/{room(name)} is in no layer: add it to LAYERS in tests/test_layers.py")
    return RANK[room(name)]


def imported(tree: ast.AST, package: str) -> set[str]:
    """Dotted names of all that `tree` imports, also inside functions; `from a import b` gives `a.b`.

    `package` is what a leading dot means, such as `w2s_lab.pocket`.
    """
    names = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            parents = package.split(".")[: len(package.split(".")) - node.level + 1] if node.level else []
            source = ".".join([*parents, *([node.module] if node.module else [])])
            names |= {f"{source}.{alias.name}" for alias in node.names}
    return names


def all_imports(name: str) -> set[str]:
    path = FILES[name]
    return imported(syntax_tree(name), ".".join(path.relative_to(ROOT).parent.parts))


def own_imports(name: str) -> set[str]:
    """The modules of w2s_lab that a module imports; "" is the front door."""
    found = set()
    for dotted in all_imports(name):
        top, _, inner = dotted.partition(".")
        if top == "w2s_lab":
            # The longest part that is a module: what follows it is a name inside that module.
            while inner and inner not in FILES:
                inner = inner.rpartition(".")[0]
            found.add(inner)
    return found


def libraries(name: str) -> set[str]:
    return {dotted.partition(".")[0] for dotted in all_imports(name)} - {"w2s_lab"}


def objections(tree: ast.AST) -> list[str]:
    """What executes code out of data files, or configures the caller's logging."""
    found = []
    for dotted in imported(tree, package="w2s_lab"):
        if dotted.partition(".")[0] in UNSAFE_LOADERS or dotted in FORBIDDEN_NAMES:
            found.append(f"imports {dotted}")
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute) and ast.unparse(node) in FORBIDDEN_NAMES:
            found.append(f"line {node.lineno}: {ast.unparse(node)}")
        if isinstance(node, ast.keyword) and node.arg in ("trust_remote_code", "allow_pickle"):
            if not (isinstance(node.value, ast.Constant) and node.value.value is False):
                found.append(f"line {node.value.lineno}: {ast.unparse(node)}")
    return found


def code_cells(path: Path) -> str:
    """A notebook's code, magics left out."""
    cells = json.loads(path.read_text(encoding="utf-8"))["cells"]
    lines = [
        line for cell in cells if cell["cell_type"] == "code" for line in "".join(cell["source"]).splitlines() if line
    ]
    return "\n".join(line for line in lines if not line.lstrip().startswith(("%", "!", "?")))


# --- the checks themselves, on code that is wrong on purpose ---


def test_imports_are_found_in_every_form():
    code = "import a.b\nfrom c import d, e as f\n"
    late = "def g():\n    from . import h\n    from ..i import j\n    from .k.l import m\n"
    found = imported(ast.parse(code + late), package="w2s_lab.pocket")
    assert found == {"a.b", "c.d", "c.e", "w2s_lab.pocket.h", "w2s_lab.i.j", "w2s_lab.pocket.k.l.m"}


@pytest.mark.parametrize(
    "code",
    [
        "import pickle",
        "from torch import load",
        "import torch\ntorch.load('x')",
        "import logging\nlogging.basicConfig()",
        "AutoModel.from_pretrained(x, trust_remote_code=True)",
        "AutoModel.from_pretrained(x, trust_remote_code=flag)",
        "np.load(x, allow_pickle=True)",
    ],
)
def test_unsafe_code_is_noticed(code):
    assert objections(ast.parse(code))


@pytest.mark.parametrize("code", ["load_file(x)", "json.load(x)", "from_pretrained(x, trust_remote_code=False)"])
def test_safe_code_is_left_alone(code):
    assert objections(ast.parse(code)) == []


# --- the package ---


def test_the_package_was_found():
    assert {"", "version", "objective", "records", "pocket.tasks", "cli.commands"} <= set(FILES)


def test_imports_go_downward():
    wrong = []
    for name in MODULES:
        rank(name)  # also a module that imports nothing of ours has its place
        for other in own_imports(name):
            if other == FRONT_DOOR:
                wrong.append(f"w2s_lab.{name} imports from w2s_lab itself: name the module that defines it")
            elif FILES[other].name == "__init__.py" and other not in FULL:
                wrong.append(f"w2s_lab.{name}: name the module behind {other}")
            elif room(other) != room(name) and rank(other) >= rank(name):
                wrong.append(f"w2s_lab.{name} imports w2s_lab.{other}, which is not below it")
    assert not wrong, "\n".join(wrong)


def test_the_listing_shows_the_architecture():
    """At most a dozen modules in the root, and every one of the others in a folder of LAYERS."""
    alone = [name for name in MODULES if FILES[name].parent == PACKAGE]
    assert len(alone) <= 12
    assert {room(name) for name in MODULES} == set(RANK)


def test_there_are_no_circles():
    order = list(TopologicalSorter({name: own_imports(name) for name in MODULES}).static_order())  # raises CycleError
    assert set(MODULES) <= set(order)


def test_only_the_command_line_opens_the_classroom():
    outside = [name for name in FILES if room(name) not in ("classroom", "cli")]
    assert not [name for name in outside if "classroom" in map(room, own_imports(name))]


def test_libraries_stay_at_home():
    away = [(name, library) for name in FILES for library in libraries(name) & set(HOMES)]
    assert not [
        f"{library} belongs in {HOMES[library]}: {name}" for name, library in away if name not in HOMES[library]
    ]


def test_nothing_imports_a_notebook_or_a_test():
    assert not [name for name in FILES if libraries(name) & {*NOTEBOOK_IMPORTERS, "tests", "conftest"}]


def test_plots_know_no_models():
    drawing = [name for name in MODULES if room(name) == "figures" and own_imports(name)]
    assert len(drawing) == 2
    for name in drawing:
        assert {room(other) for other in own_imports(name)} <= {"figures", "records", "metrics", "experiments"}
        assert not libraries(name) & {"torch", "transformers"}


def test_the_library_does_not_print():
    calls = [(name, node) for name in FILES for node in ast.walk(syntax_tree(name)) if isinstance(node, ast.Call)]
    prints = [(name, node) for name, node in calls if isinstance(node.func, ast.Name) and node.func.id == "print"]
    wrong = [f"w2s_lab.{name}, line {node.lineno}" for name, node in prints if name not in MAY_PRINT]
    assert not wrong, f"return it, or warn: {wrong}"


def test_no_unsafe_loading_and_no_logging_set_up():
    found = {name: objections(syntax_tree(name)) for name in FILES}
    assert not {name: wrong for name, wrong in found.items() if wrong}


def test_no_unsafe_loading_in_notebooks():
    for path in sorted((ROOT / "notebooks").rglob("*.ipynb")):
        if ".ipynb_checkpoints" not in path.parts:
            flags = ast.PyCF_ONLY_AST | ast.PyCF_ALLOW_TOP_LEVEL_AWAIT
            tree = compile(code_cells(path), str(path), "exec", flags=flags)
            assert objections(tree) == [], path.name


# --- importing it, in a fresh process ---


def python(code: str, *arguments: str) -> subprocess.CompletedProcess:
    path = os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH")]))
    return subprocess.run(
        [sys.executable, "-c", code, *arguments],
        capture_output=True,
        text=True,
        timeout=300,
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": path},
    )


def test_the_version_is_read_without_torch():
    code = "import sys, w2s_lab; print(w2s_lab.__version__); sys.exit('torch' in sys.modules)"
    done = python(code)
    assert done.returncode == 0, done.stderr or "reading w2s_lab.__version__ imported torch"
    assert f'__version__ = "{done.stdout.strip()}"' in FILES["version"].read_text(encoding="utf-8")


IMPORT_EVERYTHING = """
import importlib, logging, random, sys
import numpy, torch

def state():
    kind, keys, *rest = numpy.random.get_state()
    return {
        "random": random.getstate(),
        "numpy": (kind, keys.tobytes(), *rest),
        "torch": torch.get_rng_state().numpy().tobytes(),
        "root logger": (logging.root.level, tuple(logging.root.handlers)),
    }

import sklearn.linear_model  # draws from random while it is imported; nothing of ours may
before = state()
import w2s_lab
for name in getattr(w2s_lab, "__all__", ()):
    getattr(w2s_lab, name)
for name in sys.argv[1:]:
    importlib.import_module(name)
changed = [what for what, value in state().items() if value != before[what]]
assert set(sys.argv[1:]) <= set(sys.modules)
sys.exit(f"importing w2s_lab changed: {changed}" if changed else 0)
"""


@pytest.mark.slow
def test_importing_has_no_side_effects():
    """Nothing on stdout or stderr, no handler on the root logger, the global random states as they were."""
    done = python(IMPORT_EVERYTHING, *(f"w2s_lab.{name}" for name in MODULES if name != "__main__"))
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
