"""Reads nbgrader's markup: what each cell of a master is for, and the marked regions in it.

Marks are found as nbgrader 0.9 finds them: a line that contains `BEGIN SOLUTION`, whatever else it holds and however
far it is indented, opens a region; the next line with `END SOLUTION` closes it. `HIDDEN TESTS` likewise.
"""

import ast
import json
import re
import textwrap
import warnings
from dataclasses import dataclass
from pathlib import Path

import nbformat
from IPython.core.inputtransformer2 import TransformerManager
from nbformat import NotebookNode

SOLUTION, HIDDEN = "SOLUTION", "HIDDEN TESTS"
MARK = re.compile(r"(BEGIN|END) (SOLUTION|HIDDEN TESTS|MARK SCHEME)")
SETUP = (ast.Import, ast.ImportFrom, ast.Assign, ast.AnnAssign, ast.Assert)


@dataclass(frozen=True)
class Region:
    """Lines between two marks.

    Attributes:
        start: line of the opening mark in the cell, from 0; -1: the whole cell is the region.
        end: line of the closing mark.
        hidden: a region of hidden tests; else of a solution.
    """

    start: int
    end: int
    hidden: bool

    def __contains__(self, line: int) -> bool:
        """Whether a line (its place, from 0) is inside, or is one of the marks."""
        return self.start <= line <= self.end


@dataclass(frozen=True)
class MasterCell:
    """One cell of a master.

    Attributes:
        file: name of the master.
        number: from 1, in the notebook's order.
        kind: "solution", "checks", "words" (an answer in words), "code" or "text".
        source: its text, unchanged.
        grade_id: of nbgrader's metadata; empty: none.
        points: of nbgrader's metadata; None: none.
        regions: in order; a solution cell without marks is one region as a whole.
    """

    file: str
    number: int
    kind: str
    source: str
    grade_id: str = ""
    points: float | None = None
    regions: tuple[Region, ...] = ()

    @property
    def lines(self) -> list[str]:
        return self.source.split("\n")

    def inside(self, region: Region) -> list[str]:
        """The lines of a region without its marks."""
        return self.lines[region.start + 1 : region.end]

    def outside(self) -> list[str]:
        """The lines of no region: what a student sees."""
        return [line for place, line in enumerate(self.lines) if not any(place in region for region in self.regions)]

    def where(self, line: int | None = None) -> str:
        """For messages; `line` counts from 1."""
        return place(self.file, self.number, self.grade_id) + (f", line {line}" if line else "")

    def tree(self) -> ast.Module:
        """The cell's syntax tree; raises ValueError, for the instructor, if it is no Python."""
        return parse(self.source, self.where())


def place(file: str, number: int, grade_id: str = "") -> str:
    """Where a cell is, in words."""
    return f"{file}, cell {number}" + (f" ({grade_id})" if grade_id else "")


def parse(source: str, where: str) -> ast.Module:
    """The syntax tree of a cell's code, in which IPython's magics are allowed; line numbers are those of the cell.

    Raises:
        ValueError: no Python; or a magic over several lines, after which line numbers would be wrong.
    """
    lines = source.split("\n")
    first = next((number for number, line in enumerate(lines) if line.strip()), 0)
    timed = lines[first].startswith("%%")
    # What follows `%%time` is Python; what follows `%%bash` is not, and the transformer turns it into one string.
    plain = "\n".join(["" if timed and number == first else line for number, line in enumerate(lines)])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", SyntaxWarning)  # "\d" in somebody's cell
        try:
            return ast.parse(plain)
        except (SyntaxError, ValueError) as error:
            wrong = error
        try:
            changed = "\n" * first + TransformerManager().transform_cell("\n".join(lines[first:]))
            tree = ast.parse(changed)
        except (SyntaxError, ValueError):
            line = f", line {wrong.lineno}" if getattr(wrong, "lineno", None) else ""
            said = getattr(wrong, "msg", None) or wrong
            raise ValueError(
                f"{where}{line}: this is no Python ({said}). Hint: run the master from top to bottom before its release"
            ) from wrong
    if not timed and changed.rstrip("\n").count("\n") != source.rstrip("\n").count("\n"):
        raise ValueError(f"{where}: a magic spreads over several lines. Hint: write it on one line")
    return tree


def read_master_cells(path: Path) -> tuple[NotebookNode, tuple[MasterCell, ...]]:
    """A master's notebook, and what each of its cells is.

    Raises:
        ValueError: the file is missing or no notebook of format 4; a mark is not closed or is where no region may be;
            metadata contradict each other; two cells have the same `grade_id`.
    """
    notebook = read_notebook(path)
    stripped = not any(isinstance(cell.metadata.get("nbgrader"), dict) for cell in notebook.cells)
    cells: list[MasterCell] = []
    for number, node in enumerate(notebook.cells, 1):
        before = next((cell for cell in reversed(cells) if cell.kind != "text"), None)
        cells.append(_read_cell(path.name, number, node, before if stripped else None))
    known: dict[str, MasterCell] = {}
    for cell in cells:
        if cell.grade_id and known.setdefault(cell.grade_id, cell) is not cell:
            raise ValueError(
                f"{cell.where()}: cell {known[cell.grade_id].number} has the same grade_id. Hint: each needs its own"
            )
    return notebook, tuple(cells)


def read_notebook(path: Path) -> NotebookNode:
    """A notebook of format 4; raises ValueError if a file is none."""
    hint = "Hint: save it anew in Jupyter"
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError as error:
        raise ValueError(f"there is no master {path}. Hint: give the path of an .ipynb file") from error
    except (OSError, UnicodeDecodeError) as error:
        raise ValueError(f"{path} cannot be read as text in UTF-8 ({error}). {hint}") from error
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # a notebook without ids gets them at its release
        try:
            notebook = nbformat.reads(_with_ids(text), as_version=nbformat.NO_CONVERT)
            nbformat.validate(notebook)
        except Exception as error:  # nbformat has no common class of errors
            said = str(error).strip().partition("\n")[0] or type(error).__name__
            raise ValueError(f"{path} is no notebook that can be read: {said}. {hint}") from error
    for cell in notebook.cells:
        cell.source = cell.source.replace("\r\n", "\n")
    return notebook


def _with_ids(text: str) -> str:
    """A notebook's JSON in which every cell has an id of its own, the same one each time it is read."""
    raw = json.loads(text)
    if not isinstance(raw, dict) or raw.get("nbformat") != 4:
        raise ValueError(f"its format is {raw.get('nbformat') if isinstance(raw, dict) else None!r}, expected 4")
    raw["nbformat_minor"] = max(5, raw.get("nbformat_minor", 0))
    seen: set[str] = set()
    for number, cell in enumerate(raw["cells"], 1):
        old = str(cell.get("id", ""))
        new = old if re.fullmatch(r"[A-Za-z0-9_-]{1,64}", old) and old not in seen else f"cell-{number}"
        while new in seen:
            new += "-"
        cell["id"] = new
        seen.add(new)
    return json.dumps(raw)


def _read_cell(file: str, number: int, node: NotebookNode, before: MasterCell | None) -> MasterCell:
    """One cell. `before`: the last cell with code or an answer, if the notebook has lost all its metadata."""
    meta = node.metadata.get("nbgrader")
    meta = meta if isinstance(meta, dict) else {}
    grade_id = str(meta.get("grade_id") or "")
    where = place(file, number, grade_id)
    solved, graded = bool(meta.get("solution")), bool(meta.get("grade"))
    regions = _regions(node.source, where)
    marked = {region.hidden for region in regions}
    if meta.get("task"):
        raise ValueError(f"{where}: tasks are not read here. Hint: make it an answer in words (grade and solution)")
    if node.cell_type == "code":
        if solved and graded:
            raise ValueError(
                f"{where}: a code cell is either a solution or checks, and this one is both. "
                "Hint: put the asserts into a cell of their own below, or ask for an answer in words"
            )
        if marked == {True, False} or (graded and False in marked) or (solved and True in marked):
            raise ValueError(
                f"{where}: marks of solutions belong into solution cells, marks of hidden tests into cells of checks. "
                "Hint: split the cell"
            )
        if solved or False in marked:
            kind = "solution"
        elif graded or True in marked or _looks_like_checks(node.source, before):
            kind = "checks"
        else:
            kind = "code"
    elif node.cell_type == "markdown" and solved and graded and True not in marked:
        kind = "words"
    elif marked or solved or graded:
        raise ValueError(
            f"{where}: a {node.cell_type} cell with marks or grading, expected grade and solution both true, points, "
            "and marks of a solution at most. Hint: choose 'Manually graded answer' for it in nbgrader's toolbar"
        )
    else:
        kind = "text"
    if kind in ("solution", "words") and not regions:
        regions = (Region(-1, len(node.source.split("\n")), hidden=False),)
    points = _points(meta, where) if kind in ("checks", "words") and meta else None
    return MasterCell(file, number, kind, node.source, grade_id, points, regions)


def _points(meta: dict, where: str) -> float:
    points = meta.get("points")
    if isinstance(points, bool) or not isinstance(points, (int, float)) or not 0 < points < 1e6:
        raise ValueError(
            f"{where}: points is {points!r}, expected a number above 0. Hint: set it in nbgrader's toolbar"
        )
    return float(points)


def _regions(source: str, where: str) -> tuple[Region, ...]:
    found, start, kind = [], None, ""
    for line, text in enumerate(source.split("\n")):
        for name in (SOLUTION, HIDDEN):
            begins, ends = f"BEGIN {name}" in text, f"END {name}" in text
            if not begins and not ends:
                continue
            if begins and ends:
                raise ValueError(f"{where}, line {line + 1}: two marks on one line. Hint: give each a line of its own")
            if begins and start is not None:
                raise ValueError(
                    f"{where}, line {line + 1}: BEGIN {name} inside the region that line {start + 1} opens. "
                    f"Hint: close that one with ### END {kind} first"
                )
            if ends and (start is None or kind != name):
                raise ValueError(
                    f"{where}, line {line + 1}: END {name} closes nothing. Hint: ### BEGIN {name} stands above it"
                )
            if begins:
                start, kind = line, name
            else:
                found.append(Region(start, line, hidden=name == HIDDEN))
                start = None
    if start is not None:
        raise ValueError(f"{where}, line {start + 1}: BEGIN {kind} is not closed. Hint: add ### END {kind} below it")
    return tuple(found)


def _looks_like_checks(source: str, before: MasterCell | None) -> bool:
    """Whether a cell is only setup and asserts, right after a solution or other checks."""
    if before is None or before.kind not in ("solution", "checks") or "assert" not in source:
        return False
    try:
        statements = parse(source, "").body
    except ValueError:
        return False
    return all(isinstance(one, SETUP) for one in statements) and any(isinstance(one, ast.Assert) for one in statements)


def top_level_span(statement: ast.stmt) -> tuple[int, int]:
    """First and last line of a statement, from 0, decorators included."""
    decorators = getattr(statement, "decorator_list", [])
    return min([statement.lineno, *(one.lineno for one in decorators)]) - 1, statement.end_lineno - 1


def dedented(lines: list[str]) -> str:
    return textwrap.dedent("\n".join(lines)).strip("\n")
