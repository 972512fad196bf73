"""From a stored notebook to a page: outcomes folded behind their guess, dashboards that answer, a way to run it.

A dashboard that only reads measured results, or features that are computed once, is drawn at every position of its
controls; a few lines of JavaScript (static/site.js) then show the one that is asked for, its words with it.
"""

import json
import re
from collections.abc import Iterator, Sequence
from html import escape
from itertools import product
from pathlib import Path

import ipywidgets as widgets
import nbformat

from w2s_lab import classroom as room
from w2s_lab.classroom.build import notebook_number
from w2s_lab.classroom.copies import without_outputs
from w2s_lab.classroom.folds import guessing, unfold
from w2s_lab.classroom.toolkit.panel import Panel, spoken
from w2s_lab.classroom.toolkit.worlds import Worlds

NOTEBOOKS = sorted((Path(__file__).parents[2] / "notebooks").glob("*.ipynb"))
INSTALL = """\
# Installs the kit where it is missing.
try:
    import w2s_lab
except ImportError:
    %pip install -q "w2s-lab[real] @ git+{}"
"""
SITE_BRANCH = "gh-pages"  # of the repository: where the site is, and in it the copies that the badges open
COPIES = "open"  # their folder in the site
SHOW, HIDE = "Guess first. Then show what the run says", "Hide it again"
ALIVE = re.compile(r"^room\.(?:heat_map|budget_explorer|loss_explorer|findings_view|why_it_works)\(.*\)$", re.M)
# Of a slider over many values, the stops that are drawn; the notebook has all of them.
STOPS = {
    "human_price": (1, 2, 5, 10, 20, 50, 100),
    "weak_price": (0.1, 0.5, 1, 2, 5),
    "budget": (200, 500, 1000, 2000, 3000, 5000, 8000, 12_000),
}


def read(text: str, repository: str = "") -> nbformat.NotebookNode:
    """A notebook as the site shows it. `repository`: where the kit can be fetched from; "": it has no such place."""
    notebook = unfold(nbformat.reads(text, as_version=4))  # the site folds in its own way
    fold_outcomes(notebook)
    for number, cell in enumerate(notebook.cells):
        if cell.cell_type == "code" and (call := ALIVE.search(cell.source)):
            alive = f'<div class="w2s-alive">{"".join(map(frames, _panels(call[0])))}</div>'
            cell.outputs = [nbformat.v4.new_output("display_data", {"text/html": alive})]
            cell.id = f"alive-{number}"
    if repository:
        title = notebook.cells[0].source.partition("\n")[0].removeprefix("# ")
        own = title.partition(" · ")[0]
        add_badges(notebook, next(p.stem for p in NOTEBOOKS if notebook_number(p.name) == own), repository)
    return notebook


def slug(title: str) -> str:
    """The anchor that a code host gives a heading."""
    return re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-")


# -- guesses -----------------------------------------------------------------------------------------------------------


def fold_outcomes(notebook: nbformat.NotebookNode) -> None:
    """From a guess to its outcome, every output is behind a click."""
    for cell, asks, tells, gives_away in guessing(notebook):
        tags = cell.metadata.setdefault("tags", [])
        if gives_away and cell.outputs:
            tags.append("hide-output")
            cell.metadata["mystnb"] = {"code_prompt_show": SHOW, "code_prompt_hide": HIDE}
        tags += ["guess"] * asks + ["outcome"] * tells


# -- dashboards --------------------------------------------------------------------------------------------------------


def _panels(call: str) -> Iterator[Panel]:
    """The dashboards that a cell's call shows; of two worlds the second one where it only reads what was measured."""
    if "room.why_it_works" in call:  # recorded in both worlds, so that the site trains nothing
        yield from map(room.recorded, ("why", "english"))
        return
    names = {"room": room} | {study: room.measured(study) for study in ("scaling", "budget")}
    found = eval(call, names)  # a line of our own notebook
    if not isinstance(found, Worlds):
        yield found
        return
    yield found.pocket
    yield room.hard_or_soft()


def frames(panel: Panel) -> str:
    """HTML of a panel: as it stands, and at every position of its controls for the script.

    Pictures differ in few elements from position to position, so each element is held once, by its number.
    """
    controls = [_control(name, widget) for name, widget in panel.controls.items()]
    pieces: dict[str, int] = {}
    shown = []
    for values in product(*(values for *_, values in controls)):
        view = panel.at(**{name: value for (name, *_), value in zip(controls, values, strict=True)})
        html = "".join(chart.svg() for chart in view.charts) + view.html
        numbers = [pieces.setdefault(piece, len(pieces)) for piece in re.split(r"(?=<)", html) if piece]
        shown.append([view.says, numbers])
    data = {
        "controls": [{"label": label, "options": options, "at": at, "menu": menu}
                     for _, label, options, at, menu, _ in controls],
        "pieces": list(pieces), "frames": shown,
    }  # fmt: skip
    start = "".join(chart.svg() for chart in panel.view.charts) + panel.view.html
    stored = json.dumps(data, ensure_ascii=False, separators=(",", ":")).replace("</", "<\\/")
    return (
        f'<section class="w2s-panel" aria-label="{escape(panel.title)}"><p class="w2s-title">{escape(panel.title)}</p>'
        f'<div class="w2s-picture">{start}</div>{spoken(panel.view.says)}'
        f'<script type="application/json">{stored}</script></section>'
    )


def _control(name: str, widget: widgets.Widget) -> tuple[str, str, Sequence[str], int, bool, Sequence[object]]:
    """(name, label, options in words, position, whether it is a menu, values) of a control."""
    label = widget.description or name
    if hasattr(widget, "options"):
        labels, values = zip(*((o if isinstance(o, tuple) else (str(o), o)) for o in widget.options), strict=True)
        menu = not isinstance(widget, widgets.SelectionSlider)
        return name, label, labels, values.index(widget.value), menu, values
    values = STOPS[name]
    at = min(range(len(values)), key=lambda place: abs(values[place] - widget.value))
    return name, label, [f"{value:,g}" for value in values], at, False, values


# -- to run it ---------------------------------------------------------------------------------------------------------


def add_badges(notebook: nbformat.NotebookNode, name: str, repository: str) -> None:
    """Below the title, links that open the notebook where it runs: words, since a badge would come from elsewhere."""
    at = repository.removeprefix("https://github.com/")
    copy = f"{at}/blob/{SITE_BRANCH}/{COPIES}/{name}.ipynb"
    hosts = {
        "Colab": f"https://colab.research.google.com/github/{copy}",
        "Kaggle": f"https://kaggle.com/kernels/welcome?src=https://github.com/{copy}",
        "Binder": f"https://mybinder.org/v2/gh/{at}/HEAD?labpath=notebooks/{name}.ipynb",
    }
    links = " · ".join(f"[Open in {host}]({address})" for host, address in hosts.items())
    notebook.cells.insert(1, nbformat.v4.new_markdown_cell(links, id="badges"))


def write_copies(site: Path, repository: str) -> None:
    """What Colab and Kaggle open: the notebooks without outputs, and first a cell that installs the kit if need be."""
    (site / COPIES).mkdir(exist_ok=True)
    for path in NOTEBOOKS:
        notebook = nbformat.reads(without_outputs(path), as_version=4)
        notebook.cells.insert(0, nbformat.v4.new_code_cell(INSTALL.format(repository), id="install"))
        (site / COPIES / path.name).write_text(nbformat.writes(notebook) + "\n", encoding="utf-8")
