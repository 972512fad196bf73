"""The assignments could leave as a package of their own: of the rest of the kit they need two modules."""

import ast
import re

import pytest
from places import ROOT

HELPERS = {
    "w2s_lab.system.files",  # files written whole or not at all
    "w2s_lab.assets",  # what a submission may read and import beside Python's packages
}
OWN = "w2s_lab.assignments"
FOLDER = ROOT / "w2s_lab" / "assignments"
FILES = sorted(FOLDER.rglob("*.py"))
DOTTED = re.compile(r"\bw2s_lab(?:\.\w+)+")


def names(code: str) -> set[str]:
    """What code mentions of the kit outside of its own folder: in imports, also inside functions, and in texts."""
    found = set()
    for node in ast.walk(ast.parse(code)):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert not node.level, "a relative import: name the module"
            found |= {f"{node.module}.{alias.name}" for alias in node.names}
        elif isinstance(node, ast.Constant) and isinstance(node.value, str):
            found |= set(DOTTED.findall(node.value))
    kit = {name for name in found if name.partition(".")[0] == "w2s_lab"}
    return {name for name in kit if not f"{name}.".startswith(f"{OWN}.")}


def third(code: str) -> set[str]:
    """Names of what is neither of the two helpers nor in them."""
    return {name for name in names(code) if not any(f"{name}.".startswith(f"{helper}.") for helper in HELPERS)}


def test_another_module_is_noticed_wherever_it_hides():
    assert third("from w2s_lab.figures.plots import ROLE") == {"w2s_lab.figures.plots.ROLE"}
    assert third("def f():\n    import w2s_lab.models") == {"w2s_lab.models"}
    assert third("import_module('w2s_lab.methods.probe')") == {"w2s_lab.methods.probe"}
    assert third("import w2s_lab") == {"w2s_lab"} and third("from w2s_lab import metrics") == {"w2s_lab.metrics"}
    assert third("from w2s_lab.assignments_of_others import x") == {"w2s_lab.assignments_of_others.x"}
    assert not third("from w2s_lab.system.files import replacing\nfrom w2s_lab import assets\nimport torch")


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(FOLDER)))
def test_the_assignments_need_two_helpers_of_the_kit(path):
    code = path.read_text(encoding="utf-8")
    assert not third(code), f"{path.name} needs more of the kit than {sorted(HELPERS)}"


def test_both_helpers_are_needed():
    used = set().union(*(names(path.read_text(encoding="utf-8")) for path in FILES))
    assert {helper for helper in HELPERS for name in used if f"{name}.".startswith(f"{helper}.")} == HELPERS
