"""In a stored notebook, what a run says lies folded from a guess to its outcome: readers guess before they look.

Each output becomes HTML with <details>, which a click unfolds in JupyterLab, trusted or not, and in pages of nbconvert.
Where HTML is not shown (a terminal, a PDF by LaTeX), the words stand open and the figures are left out.
"""

import re
from collections.abc import Iterator
from html import escape, unescape

from nbformat import NotebookNode
from nbformat.v4 import new_output

ASKED = re.compile(r'\broom\.predict\(\s*"([^"]+)"')
TOLD = re.compile(r'\broom\.outcome\(\s*"([^"]+)"')
KEY = "w2s_lab_folded"  # in an output's metadata: the kind of output it was
NAMES = {"stream": "what the run prints", "image/png": "its figure", "text/plain": "what the run says"}
PICTURE = re.compile(r'<img src="data:image/png;base64,([^"]+)"')


def guessing(notebook: NotebookNode) -> Iterator[tuple[NotebookNode, bool, bool, bool]]:
    """Each code cell, and whether it asks for a guess, tells an outcome, and gives away what was asked before it.

    Raises:
        ValueError: after the last cell, if a guess has no outcome behind it.
    """
    waiting: set[str] = set()
    for cell in (cell for cell in notebook.cells if cell.cell_type == "code"):
        asked, told = set(ASKED.findall(cell.source)), set(TOLD.findall(cell.source))
        yield cell, bool(asked), bool(told), bool(waiting and not asked)
        waiting = (waiting | asked) - told
    if waiting:
        raise ValueError(f"no room.outcome answers the guesses {', '.join(sorted(waiting))}")


def fold_guesses(notebook: NotebookNode) -> NotebookNode:
    """Fold every output between a guess and its outcome, that of the outcome included; returns the notebook.

    Raises:
        ValueError: a guess has no outcome behind it.
    """
    for cell, _, _, gives_away in guessing(notebook):
        if gives_away:
            cell.outputs = [_folded(output) for output in cell.outputs]
    return notebook


def unfold(notebook: NotebookNode) -> NotebookNode:
    """The outputs as the run gave them; returns the notebook."""
    for cell in (cell for cell in notebook.cells if cell.cell_type == "code"):
        cell.outputs = [_unfolded(output) for output in cell.outputs]
    return notebook


def _folded(output: NotebookNode) -> NotebookNode:
    data = {"text/plain": output.text} if output.output_type == "stream" else output.get("data", {})
    kind = "stream" if output.output_type == "stream" else "image/png" if "image/png" in data else "text/plain"
    if "text/plain" not in data or not set(data) <= {"text/plain", "image/png"} or output.get("name") == "stderr":
        return output  # an error, a warning, or a table or dashboard of its own
    words = data["text/plain"]
    if kind == "image/png":
        inside = f'<img src="data:image/png;base64,{data["image/png"].strip()}" alt="{escape(words)}">'
    else:
        inside = f'<pre style="font-family:monospace;white-space:pre-wrap">{escape(words)}</pre>'
    html = f"<details><summary>Guess first. Then unfold {NAMES[kind]}.</summary>{inside}</details>"
    shown = {"text/plain": words, "text/html": html}
    new = new_output("display_data" if kind == "stream" else output.output_type, shown)
    new.metadata = {**output.get("metadata", {}), KEY: kind}
    if output.output_type == "execute_result":
        new.execution_count = output.execution_count
    return new


def _unfolded(output: NotebookNode) -> NotebookNode:
    kind = output.get("metadata", {}).pop(KEY, None)
    if kind == "stream":
        return new_output("stream", name="stdout", text=output.data["text/plain"])
    if kind:
        html = output.data.pop("text/html")
        if kind == "image/png":
            output.data["image/png"] = unescape(PICTURE.search(html)[1])
    return output
