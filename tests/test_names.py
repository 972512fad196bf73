"""One meaning a word: no class and no public function occurs twice in the package."""

import ast
from collections import defaultdict

from places import ROOT

PACKAGE = ROOT / "w2s_lab"
# Two of one name on purpose, or until one of them is renamed.
CLASSES: dict[str, str] = {}
FUNCTIONS = {
    "main": "a module's command",
    "add": "the command line: each command adds itself",
    "document": "each source of pocket texts writes documents",
    "heat_map": "the classroom's dashboard (public) and the studies' figure",
    "predict": "the classroom's question before a run, and the probe's answers; both are public",
    "frontier": "the mixtures that cost least (public), and their figure",
    "table": "of a panel, and of a report; both are public",
    "words": "of an SVG text, and of a proposal",
    "register": "each registry's own: `studies.register`, `selection.register`, `data.presets.register`",
}


def twice() -> tuple[dict[str, list[str]], dict[str, list[str]]]:
    """Class names, and names of public functions at top level, that several modules define, each with where."""
    classes, functions = defaultdict(list), defaultdict(list)
    for path in sorted(PACKAGE.rglob("*.py")):
        tree, where = ast.parse(path.read_text(encoding="utf-8")), str(path.relative_to(PACKAGE))
        for node in ast.walk(tree):
            if isinstance(node, ast.ClassDef):
                classes[node.name].append(where)
        for node in tree.body:
            if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)) and not node.name.startswith("_"):
                if any(ast.unparse(one) == "overload" for one in node.decorator_list):
                    continue  # the same function, in types only
                functions[node.name].append(where)
    return tuple({name: places for name, places in found.items() if len(places) > 1} for found in (classes, functions))


def test_no_class_has_the_name_of_another():
    assert {name: places for name, places in twice()[0].items() if name not in CLASSES} == {}


def test_no_public_function_has_the_name_of_another():
    assert {name: places for name, places in twice()[1].items() if name not in FUNCTIONS} == {}
