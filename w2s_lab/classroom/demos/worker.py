"""The process of one demo: runs its notebook, then draws for the page. One line of JSON in, one line out.

`{"open": PATH}` runs a notebook and gives its screens; `{"at": {control: position}}` gives the dashboard there. What
goes wrong is `{"error": SENTENCE}`, with the traceback in the terminal. It is started before a demo is chosen, so that
what takes seconds to import is there.
"""

import ast
import json
import os
import sys
import traceback
from pathlib import Path
from typing import Any

import nbformat

import w2s_lab.experiments.procedure
import w2s_lab.models.loading  # noqa: F401  (torch: most demos need it)
from w2s_lab.classroom.demos.screens import Demo, page_of, picture_at


def run_notebook(path: Path) -> Demo:
    """The demo that a notebook ends in, its code cells run from the top, in its folder.

    Raises:
        ValueError: the last cell does not end in a demo.
        Exception: what a cell raises.
    """
    os.chdir(path.parent)
    sys.path.append(str(path.parent))
    space: dict[str, Any] = {"__name__": "__main__"}
    found = None
    for cell in nbformat.read(path, as_version=4).cells:
        if cell.cell_type == "code":
            tree, found = ast.parse(cell.source), None
            last = tree.body.pop() if tree.body and isinstance(tree.body[-1], ast.Expr) else None
            exec(compile(tree, f"{path.name}, cell {cell.id}", "exec"), space)
            if last:
                found = eval(compile(ast.Expression(last.value), f"{path.name}, cell {cell.id}", "eval"), space)
    if not isinstance(found, Demo):
        raise ValueError(f"{path.name} ends in {type(found).__name__}; expected room.demo(...) in the last line")
    return found


def main() -> None:
    """Answer until the input ends."""
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)  # what a notebook prints goes to the terminal, line by line
    sys.stdout.reconfigure(line_buffering=True)
    shown = None
    for line in sys.stdin:
        message = json.loads(line)
        try:
            if "open" in message:
                shown = run_notebook(Path(message["open"]))
            reply = page_of(shown) if "open" in message else picture_at(shown, message["at"])
        except Exception as error:
            traceback.print_exc()
            reply = {"error": f"{type(error).__name__}: {error}"}
        answers.write(json.dumps(reply) + "\n")
        answers.flush()


if __name__ == "__main__":
    main()
