"""The process of one demo: runs its notebook, then draws for the page. One line of JSON in, one line out.

`{"open": PATH}` runs a notebook and gives its screens; `{"at": {control: position}}` gives the dashboard there, with
`"press": BUTTON` after that button was pressed. What goes wrong is `{"error": SENTENCE}`, with the traceback in the
terminal. It is started before a demo is chosen, so that what takes a second to import is there; torch is not among it.
"""

import ast
import asyncio
import json
import os
import signal
import sys
import traceback
from pathlib import Path
from typing import Any

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
    for number, cell in enumerate(json.loads(path.read_text(encoding="utf-8"))["cells"], 1):
        if cell["cell_type"] == "code":
            name, tree, found = f"{path.name}, cell {number}", ast.parse("".join(cell["source"])), None
            last = tree.body.pop() if tree.body and isinstance(tree.body[-1], ast.Expr) else None
            exec(compile(tree, name, "exec"), space)
            if last:
                found = eval(compile(ast.Expression(last.value), name, "eval"), space)
    if not isinstance(found, Demo):
        raise ValueError(f"{path.name} ends in {type(found).__name__}; expected room.demo(...) in the last line")
    return found


async def answer_pages() -> None:
    """Answer until the input ends. Between two questions the event loop is free, as a training needs it in Jupyter."""
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)  # what a notebook prints goes to the terminal, line by line
    # what the terminal's encoding lacks, such as ŷ on Windows, is written as its code and stops no demo
    sys.stdout.reconfigure(line_buffering=True, errors="backslashreplace")
    shown, loop = None, asyncio.get_running_loop()
    while line := await loop.run_in_executor(None, sys.stdin.readline):
        message = json.loads(line)
        try:
            if "open" in message:
                shown = run_notebook(Path(message["open"]))
            reply = page_of(shown) if "open" in message else picture_at(shown, message["at"], message.get("press"))
        except Exception as error:
            traceback.print_exc()
            reply = {"error": f"{type(error).__name__}: {error}"}
        answers.write(json.dumps(reply) + "\n")
        answers.flush()


if __name__ == "__main__":
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C in the terminal is for the server, which ends this process
    asyncio.run(answer_pages())
