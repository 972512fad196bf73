"""Notebooks from their sources: `notebooks/src/NN_name.py` (jupytext, percent format) to executed `NN_name.ipynb`.

`python -m w2s_lab.classroom.build` builds all of them; with numbers such as `01 04b`, only those. Outputs are kept, run
times and live widget views are not: a stored notebook shows the picture and the words that every dashboard carries.
From a guess to its outcome the outputs are folded (see `folds`).
"""

import argparse
import base64
import io
import os
import re
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import nbformat
from nbclient import NotebookClient
from nbformat import NotebookNode

from w2s_lab import assets
from w2s_lab.classroom.exercises import EXERCISES
from w2s_lab.classroom.folds import fold_guesses
from w2s_lab.system.files import replacing
from w2s_lab.system.output import readable_streams

WIDGET_VIEW = "application/vnd.jupyter.widget-view+json"
SHOWS_TEXTS = "shows-texts"  # tag of a cell that puts out sentences of fetched data: these are not ours to pass on
TEXTS = "(Sentences of the reviews appear here when you run the cell.)\n"
UNSEEN = 1.0  # root mean square, of 255: how far the colours of a stored picture may be off
STUB = re.compile(r"^def (\w+)\(", re.MULTILINE)


def notebook_number(name: str) -> str:
    """The number of a notebook from its name: "04b" of `04b_when_to_stop` or of `04b_when_to_stop.ipynb`."""
    return name.partition("_")[0]


def sources(names: Sequence[str] = (), folder: Path = assets.NOTEBOOKS) -> list[Path]:
    """The source files of these numbers or names (04b or 04b_when_to_stop; all, where there are none), in order.

    Raises:
        ValueError: a name fits no source.
    """
    found = sorted((folder / "src").glob("*.py"))
    for name in names:
        if not any(name in (path.stem, notebook_number(path.stem)) for path in found):
            raise ValueError(f"no source is called {name!r}; there are {', '.join(path.stem for path in found)}")
    return [path for path in found if not names or {path.stem, notebook_number(path.stem)} & set(names)]


def read_source(path: Path) -> NotebookNode:
    """A source as a notebook without outputs, whose cells have ids that depend on their place alone."""
    import jupytext  # only those who build notebooks need it

    notebook = jupytext.read(path, fmt="py:percent")
    notebook.metadata = {
        "kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"},
        "language_info": {"name": "python"},
    }
    notebook.nbformat, notebook.nbformat_minor = 4, 5
    for place, cell in enumerate(notebook.cells):
        cell.id = f"{notebook_number(path.stem)}-{place:03d}"
        tags = cell.metadata.get("tags", [])
        cell.metadata = {"tags": tags} if tags else {}
    return notebook


def solved(notebook: NotebookNode) -> NotebookNode:
    """A copy with the solution in place of every stub (a code cell that defines the function of an exercise)."""
    copy = nbformat.from_dict(notebook)
    for cell in copy.cells:
        names = [name for name in STUB.findall(cell.source) if cell.cell_type == "code"]
        for name in names:
            if name in EXERCISES:
                _, check, rest = cell.source.partition("\nroom.check(")  # it may stand in the same cell
                module = f"w2s_lab.classroom.exercises.nb{cell.id.partition('-')[0]}"
                cell.source = f"from {module} import *\n\n{EXERCISES[name].solution}"
                cell.source += check + rest
    return copy


def run(
    notebook: NotebookNode, folder: Path, *, timeout: int = 600, each: Callable[[int, int], None] | None = None
) -> NotebookNode:
    """Execute all cells in `folder`, from an empty progress file; raises CellExecutionError where one fails.

    Args:
        timeout: seconds for one cell.
        each: called with (cells done, cells) after each cell.
    """
    with tempfile.TemporaryDirectory() as temporary:
        options = {"timeout": timeout, "coalesce_streams": True, "resources": {"metadata": {"path": str(folder)}}}
        client = NotebookClient(notebook, **options)
        if each:
            client.on_cell_executed = lambda cell, cell_index, execute_reply: each(cell_index + 1, len(notebook.cells))
        environment = {
            **os.environ,
            assets.PROGRESS_VARIABLE: str(Path(temporary, "progress.json")),
            "TQDM_DISABLE": "1",
        }
        client.execute(env=environment)
    return tidy(notebook)


def tidy(notebook: NotebookNode) -> NotebookNode:
    """The notebook without run times, widget state, live views and progress bars; pictures, tables and words stay.

    Where a cell has the tag SHOWS_TEXTS, one line stands in place of whatever it put out.
    """
    notebook.metadata.pop("widgets", None)
    for cell in notebook.cells:
        cell.metadata.pop("execution", None)
        if cell.cell_type == "code" and SHOWS_TEXTS in cell.metadata.get("tags", []):
            cell.outputs = [nbformat.v4.new_output("stream", name="stdout", text=TEXTS)]
        elif cell.cell_type == "code":
            cell.outputs = [o for o in cell.outputs if not (o.output_type == "stream" and o.name == "stderr")]
            for output in cell.outputs:
                if len(output.get("data", {})) > 1:
                    output.data.pop(WIDGET_VIEW, None)
                if "image/png" in output.get("data", {}):
                    output.data["image/png"] = smaller(output.data["image/png"])
    return notebook


def smaller(picture: str) -> str:
    """A PNG in base64 with a palette of 256 colours, half as large; as it is where that would be seen.

    Drawings of the kit have fewer colours and stay the same to the last pixel. In figures of matplotlib some shades at
    the edges of lines move.
    """
    from PIL import Image, ImageChops, ImageStat  # only those who build notebooks need it

    image = Image.open(io.BytesIO(base64.b64decode(picture)))
    if image.convert("RGBA").getextrema()[3] != (255, 255):
        return picture  # it lets the page shine through
    image = image.convert("RGB")
    palette = image.quantize(256, Image.Quantize.MEDIANCUT, dither=Image.Dither.NONE)
    off = ImageStat.Stat(ImageChops.difference(image, palette.convert("RGB"))).rms
    if max(off) > UNSEEN:
        return picture
    written = io.BytesIO()
    palette.save(written, "PNG", optimize=True)
    return min(picture, base64.b64encode(written.getvalue()).decode(), key=len)


def build(path: Path, *, solutions: bool = False) -> tuple[Path, float]:
    """Execute one source and store the notebook beside `src/`; returns its path and the seconds it took."""
    started = time.monotonic()
    notebook = read_source(path)
    notebook = run(solved(notebook) if solutions else notebook, path.parents[1])
    target = path.parents[1] / f"{path.stem}.ipynb"
    if not solutions:
        with replacing(target) as new:
            nbformat.write(fold_guesses(notebook), new)
    return target, time.monotonic() - started


def main(arguments: Sequence[str] | None = None) -> None:
    """The command line."""
    parser = argparse.ArgumentParser(prog="python -m w2s_lab.classroom.build", description=__doc__)
    parser.add_argument("names", nargs="*", help="numbers or names, such as 04b or 01_the_objective (default: all)")
    parser.add_argument("--solved", action="store_true", help="run with all solutions filled in; nothing is written")
    with readable_streams():
        _build_all(parser.parse_args(arguments))


def _build_all(options: argparse.Namespace) -> None:
    for path in sources(options.names):
        target, seconds = build(path, solutions=options.solved)
        sys.stdout.write(f"{target.name}  {seconds:6.1f} s{'  (solved, not written)' if options.solved else ''}\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main()
