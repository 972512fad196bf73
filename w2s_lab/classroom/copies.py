"""Working copies of the notebooks, without outputs: learners see no result before they guess it."""

from pathlib import Path

import nbformat

from w2s_lab import assets
from w2s_lab.system.files import replacing

MARKER = """\
# Where w2s_lab keeps finished trainings and your progress while you work in this folder or below it.
# Without the two lines below: in your user folder; `w2s-lab doctor` says where. A relative path begins in this folder.
# store = "runs"
# progress = "progress.json"
"""


def without_outputs(path: Path) -> str:
    """The text of a notebook as if it had never been run."""
    notebook = nbformat.read(path, as_version=4)
    for cell in notebook.cells:
        if cell.cell_type == "code":
            cell.outputs, cell.execution_count = [], None
    return nbformat.writes(notebook) + "\n"


def write_copies(folder: Path) -> tuple[list[Path], list[Path]]:
    """Copy every notebook of the kit into `folder`; a file that is there and differs is left as it is.

    If no marker file applies to `folder` yet (see `assets.marker`), one is written there. In this file, learners can
    set where finished trainings and their progress are kept.

    Returns:
        The copies that were written, and the files that were left because they differ.

    Raises:
        OSError: the folder cannot be written.
    """
    written, left = [], []
    for source in sorted(assets.NOTEBOOKS.glob("*.ipynb")):
        copy, text = folder / source.name, without_outputs(source)
        if not copy.exists():
            _write(copy, text)
            written.append(copy)
        elif copy.read_bytes() != text.encode():
            left.append(copy)
    if assets.marker(folder) is None:
        _write(folder / assets.MARKER, MARKER)
    return written, left


def _write(path: Path, text: str) -> None:
    with replacing(path) as new:
        new.write_bytes(text.encode())
