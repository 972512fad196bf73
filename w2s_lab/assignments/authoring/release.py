"""Writes the student version of a master: stubs that run, points and minutes, public checks, and nothing secret.

This module does not run a master's code.
"""

import re
import urllib.parse
from pathlib import Path

import nbformat
from nbformat import NotebookNode, v4

from w2s_lab import assets
from w2s_lab.assignments.authoring.handout import (
    ANSWER_STUB,
    INNER_STUB,
    LATER,
    check_source,
    points_line,
    points_table,
    stub,
)
from w2s_lab.assignments.authoring.leaks import ReleaseError, prove
from w2s_lab.assignments.authoring.markup import MasterCell, Region, parse
from w2s_lab.assignments.authoring.master import Master, read_assignment, read_master
from w2s_lab.assignments.records import Assignment, Question
from w2s_lab.system.files import replacing

__all__ = ["ReleaseError", "prove", "release", "student_version"]

NBGRADER_KEYS = ("grade", "solution", "locked", "task", "points", "grade_id", "schema_version")
CELL_KEYS = ("slideshow", "editable", "deletable")
TAGS = {"hide-input", "hide-output", "hide-cell", "remove-input", "remove-output", "remove-cell", "raises-exception"}
GOES_ON = "raises-exception"  # Jupyter's "Run all" goes on after an error in a cell with this tag
ATTACHED = re.compile(r"attachment:([^\s)\"'>]+)")


def release(master: Path, output: Path) -> Path:
    """Write the student version of a master, and give back its path; the master's code does not run.

    Args:
        output: a folder, where the student version has the master's name; or a path ending in .ipynb.

    Raises:
        ValueError: the master has a mistake (see `read_assignment`).
        ReleaseError: the master itself would be overwritten, no stub fits, or the proof finds what no student may see;
            nothing is written then.
        OSError: the file cannot be written.
    """
    master, output = assets.user_path(master), assets.user_path(output)
    assignment = read_assignment(master)
    target = output if output.suffix == ".ipynb" else output / master.name
    if target.exists() and target.samefile(master):
        raise ReleaseError(f"{target} is the master itself. Hint: release into another folder")
    text = nbformat.writes(student_version(assignment)) + "\n"
    prove(assignment, nbformat.reads(text, as_version=4))  # what is proved is what is written
    with replacing(target) as new:
        new.write_text(text, encoding="utf-8")
    return target


def student_version(assignment: Assignment) -> NotebookNode:
    """The notebook that students get, in nbformat 4.5, built cell by cell: only what is meant to stay is copied.

    Solutions become stubs that run, hidden tests are left out, and public checks of the TOML file follow the question's
    last cell. Checks are tagged `raises-exception`. Each question shows its points and minutes, and the first cell
    shows them all with the total. Outputs, execution counts, unused attachments, and metadata other than nbgrader's,
    slides', locks and the kernel's are left out. Ids are the master's, or the cell's number if it has none.

    Raises:
        ValueError: the master has a mistake.
        ReleaseError: with a stub, a cell would be no Python.
    """
    master = read_master(assignment.path)
    last = {name: number for number, name in master.names.items()}
    cells: list[NotebookNode] = []
    for cell, node in zip(master.cells, master.notebook.cells, strict=True):
        name = master.names.get(cell.number)
        cells.append(_student_cell(cell, node, assignment.question(name) if name else None))
        if name and last[name] == cell.number:
            for check in master.more:
                if check.question == name and not check.hidden:
                    cells.append(_check_cell(check_source(check), f"{_public_id(name)}-{len(cells)}"))
    if cells[0].cell_type == "markdown" and master.cells[0].kind == "text":
        cells[0].source = f"{cells[0].source.rstrip()}\n\n{points_table(assignment)}"
    else:
        cells.insert(0, v4.new_markdown_cell(points_table(assignment), id="points"))
    seen: set[str] = set()
    for cell in cells:
        while cell.id in seen:
            cell.id = cell.id[:60] + "-x"
        seen.add(cell.id)
    notebook = v4.new_notebook(cells=cells, metadata=_notebook_metadata(master))
    notebook.nbformat_minor = 5
    nbformat.validate(notebook)
    return notebook


def _student_cell(cell: MasterCell, node: NotebookNode, question: Question | None) -> NotebookNode:
    metadata = {key: node.metadata[key] for key in CELL_KEYS if key in node.metadata}
    tags = [tag for tag in node.metadata.get("tags", []) if tag in TAGS]
    nbgrader = node.metadata.get("nbgrader")
    if isinstance(nbgrader, dict):
        metadata["nbgrader"] = {key: nbgrader[key] for key in NBGRADER_KEYS if key in nbgrader}
    source = cell.source
    if cell.kind == "solution":
        source = _with_comment(_with_stubs(cell), f"# {points_line(question)}")
        metadata.setdefault("nbgrader", _nbgrader(question.cell, solution=True))
        metadata["deletable"] = False
    elif cell.kind == "words":
        source = _with_words(_replaced(cell, lambda region: [ANSWER_STUB]), f"*{points_line(question)}*")
        metadata["deletable"] = False
    elif cell.kind == "checks":
        source = "\n".join(cell.outside()).strip("\n")
        source = source if parse(source, cell.where()).body else LATER
        tags = list(dict.fromkeys([*tags, GOES_ON]))
        grade_id = f"test-{question.cell}-{cell.number}"
        metadata.setdefault("nbgrader", _nbgrader(grade_id, grade=True, points=cell.points))
        metadata |= {"deletable": False, "editable": False}
    elif metadata.get("nbgrader", {}).get("locked"):
        metadata |= {"deletable": False, "editable": False}
    if tags:
        metadata["tags"] = tags
    make = {"code": v4.new_code_cell, "markdown": v4.new_markdown_cell, "raw": v4.new_raw_cell}[node.cell_type]
    new = make(source, id=node.id, metadata=metadata)
    used = {urllib.parse.unquote(name) for name in ATTACHED.findall(source)}
    kept = {name: data for name, data in node.get("attachments", {}).items() if name in used}
    if kept and node.cell_type != "code":
        new.attachments = kept
    return new


def _check_cell(source: str, grade_id: str) -> NotebookNode:
    """A public check of the TOML file: read-only, not graded by nbgrader."""
    metadata = {"nbgrader": _nbgrader(grade_id), "tags": [GOES_ON], "deletable": False, "editable": False}
    return v4.new_code_cell(source, id=grade_id[:64], metadata=metadata)


def _public_id(name: str) -> str:
    return "public-" + re.sub(r"[^A-Za-z0-9]+", "-", name)[:40].strip("-")


def _nbgrader(grade_id: str, *, grade: bool = False, solution: bool = False, points: float | None = None) -> dict:
    """Metadata as nbgrader writes them, for a master without any."""
    made = {"grade": grade, "solution": solution, "locked": not solution, "task": False}
    made |= {"grade_id": grade_id, "schema_version": 3}
    return made | ({"points": 1.0 if points is None else points} if grade else {})


def _notebook_metadata(master: Master) -> dict:
    kernel = master.notebook.metadata.get("kernelspec", {})
    default = {"display_name": "Python 3", "language": "python", "name": "python3"}
    return {"kernelspec": {key: kernel.get(key, default[key]) for key in default}, "language_info": {"name": "python"}}


def _with_stubs(cell: MasterCell) -> str:
    """A solution cell for students; raises ReleaseError if it is no Python with any stub."""
    for choice in (lambda region: stub(cell, region), lambda region: _inner(cell, region)):
        source = _replaced(cell, choice)
        try:
            parse(source, cell.where())
        except ValueError:
            continue
        return source
    raise ReleaseError(
        f"{cell.where()}: what remains beside the solution is no Python. "
        "Hint: let a region hold whole statements, or one whole function body"
    )


def _inner(cell: MasterCell, region: Region) -> list[str]:
    return [re.match(r"\s*", stub(cell, region)[0])[0] + INNER_STUB]


def _replaced(cell: MasterCell, by) -> str:
    lines, done = [], -1
    for region in cell.regions:
        lines += [*cell.lines[done + 1 : max(region.start, 0)], *by(region)]
        done = region.end
    return "\n".join([*lines, *cell.lines[done + 1 :]]).strip("\n")


def _with_comment(source: str, comment: str) -> str:
    """Add a line at the top, or below a cell magic such as `%%time`, which has to be the first line."""
    first, _, rest = source.partition("\n")
    return f"{first}\n{comment}\n{rest}" if first.startswith("%%") else f"{comment}\n{source}"


def _with_words(source: str, words: str) -> str:
    """Add a paragraph at the top, or below a heading there."""
    first, _, rest = source.partition("\n")
    return f"{first}\n\n{words}\n\n{rest.strip()}" if re.match(r"#+ ", first) else f"{words}\n\n{source}"
