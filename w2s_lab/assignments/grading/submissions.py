"""Finds what students handed in, one notebook each, and reads it as plain data, whatever an editor did to it."""

import ast
import contextlib
import hashlib
import json
import os
import re
import stat
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from w2s_lab.assignments.names import RESERVED, cut_bytes, same_key, told_apart, visible
from w2s_lab.assignments.records import Marks

LARGEST = 64_000_000  # bytes of a notebook, which are mostly those of its outputs
MOST_PARTS = 2_000_000  # lists and objects of its JSON: more of them would fill the grader's memory
MOST_CELLS = 2_000
LONGEST_STUB = 5_000  # characters
SHOWN = 5  # file names in one sentence
STEM = 80  # bytes of a student's name in a file's name
IGNORED = ("__MACOSX", "__pycache__")
DEFINED = re.compile(r"^(?:(?:async )?def |class |(?=\w+ *(?::[^=\n]*)?=[^=]))(\w+)", re.MULTILINE)


@dataclass(frozen=True)
class SubmittedCell:
    """One cell as submitted: "code", "markdown" or "raw", its text, and its `grade_id` if it still has one."""

    kind: str
    source: str
    grade_id: str = ""


@dataclass(frozen=True)
class Submission:
    """One student's notebook.

    Attributes:
        student: name of the folder, or of the file if there is no folder; fit to be shown, and nobody else's.
        path: the notebook; None: there is none that can be read.
        file: the same for people: relative to the folder of submissions, and fit to be shown.
        problem: why nothing can be graded, in words; "": no problem.
        notes: what was unusual but harmless.
    """

    student: str
    path: Path | None
    file: str
    problem: str = ""
    notes: tuple[str, ...] = ()


def ignored(name: str) -> bool:
    """Whether editors or systems add files or folders of this name."""
    return name in IGNORED or (name.startswith(".") and name not in (".", ".."))


def find_submissions(folder: Path, questions: Sequence[str] = (), *, prefer: str = "") -> list[Submission]:
    """All submissions below a folder, by student.

    Each subfolder is a submission (as nbgrader and most learning platforms arrange them), and so is each notebook
    beside the subfolders. Nothing is left out silently: a submission that cannot be graded says why.

    Args:
        folder: of submissions.
        questions: names of questions, to choose among several notebooks of a student.
        prefer: file name without its ending; a notebook with this name is chosen first.

    Raises:
        ValueError: there is no such folder, or it is empty.
    """
    if not folder.is_dir():
        raise ValueError(f"{folder} is no folder; expected one with a subfolder or a notebook for each student")
    found = []
    for entry in sorted(os.scandir(folder), key=lambda entry: entry.name):
        if ignored(entry.name):
            continue
        path = Path(entry.path)
        if entry.is_symlink():
            found.append(_refused(path, folder, "it is a link to something else; hand in the file itself"))
        elif entry.is_dir():
            found.append(_of_folder(path, folder, questions, prefer))
        elif entry.name.endswith((".csv", ".txt", ".toml", ".md", ".pdf", ".zip")) and not _is_notebook(path):
            continue  # a roster or a note; submissions are notebooks or folders
        else:
            found.append(_of_files(path.stem, [path], folder, questions, prefer))
    if not found:
        raise ValueError(f"there are no submissions in {folder}; expected a subfolder or a notebook for each student")
    return _apart(found)


def _refused(path: Path, folder: Path, problem: str) -> Submission:
    student = path.stem if path.suffix == ".ipynb" else path.name
    return Submission(student, None, str(path.relative_to(folder)), problem)


def _of_folder(own: Path, folder: Path, questions: Sequence[str], prefer: str) -> Submission:
    files, links = [], 0
    closed: list[OSError] = []
    for parent, folders, names in os.walk(own, onerror=closed.append):
        folders[:] = sorted(f for f in folders if not ignored(f))
        links += sum(Path(parent, name).is_symlink() for name in [*folders, *names])
        files += [Path(parent, name) for name in sorted(names) if not Path(parent, name).is_symlink()]
    candidates = [path for path in files if path.suffix == ".ipynb"]
    candidates = candidates or [path for path in files if _is_notebook(path)]
    if not candidates and closed:
        return _refused(own, folder, f"the folder cannot be read ({closed[0].strerror})")
    if not candidates:
        what = "only links to other files" if links else "no notebook (.ipynb)"
        others = ", ".join(path.name for path in files[:SHOWN]) + ", …" * (len(files) > SHOWN)
        return _refused(own, folder, f"the folder holds {what}" + f", only {others}" * bool(files))
    return _of_files(own.name, candidates, folder, questions, prefer)


def _of_files(student: str, paths: Sequence[Path], folder: Path, questions: Sequence[str], prefer: str) -> Submission:
    def fits(path: Path) -> tuple:
        return path.stem == prefer, _named(path, questions) if len(paths) > 1 else 0, path.stem.startswith(prefer)

    path, notes = max(paths, key=fits), []
    file = str(path.relative_to(folder))
    if len(paths) > 1:
        others = ", ".join(other.name for other in paths if other != path)
        notes.append(f"graded was {path.name}; handed in too: {others}")
    if path.suffix != ".ipynb":
        notes.append(f"the file is named {path.name}, not .ipynb; it was read all the same")
    return Submission(student, path, file, _unfit(path), tuple(notes))


def _unfit(path: Path) -> str:
    facts = path.lstat()
    if not stat.S_ISREG(facts.st_mode):
        return "it is not an ordinary file"
    if facts.st_size > LARGEST:
        return f"it has {facts.st_size / 1e6:.0f} MB, more than {LARGEST / 1e6:.0f}: clear large outputs and save again"
    return ""


def _is_notebook(path: Path) -> bool:
    if _unfit(path):
        return False
    try:
        return bool(read_cells(path)[0])
    except (ValueError, OSError):
        return False


def _named(path: Path, questions: Sequence[str]) -> int:
    """How many of the questions a notebook defines."""
    with contextlib.suppress(ValueError, OSError):
        if not _unfit(path):
            defined = {name for cell in read_cells(path)[0] for name in definitions(cell)}
            return len(defined & set(questions))
    return 0


def _apart(found: list[Submission]) -> list[Submission]:
    """Give each submission a name that can be shown and that no other one has, on any system."""
    names = [" ".join(visible(one.student).split()) or "(blank)" for one in found]
    times, apart = Counter(map(same_key, names)), []
    for one, name, new in zip(found, names, told_apart(names), strict=True):
        more = times[same_key(name)] > 1
        notes = (*one.notes, f"there is another submission named {one.student}") if more else one.notes
        notes = tuple(map(visible, notes))
        apart.append(replace(one, student=new, file=visible(one.file), problem=visible(one.problem), notes=notes))
    return apart


def file_stems(submissions: "Sequence[Submission | Marks]") -> list[str]:
    """A file name (without ending) for each submission: safe on every system, different for different ones.

    A student's name that is safe and unique is kept; otherwise signs are replaced and letters of a digest are added.
    """
    counts = Counter(same_key(one.student) for one in submissions)
    stems = []
    for one in submissions:
        stem = cut_bytes(re.sub(r"[^\w.-]+", "_", one.student), STEM).strip("._") or "submission"
        unsafe = stem != one.student or stem.startswith("-") or RESERVED.fullmatch(stem)
        if unsafe or counts[same_key(one.student)] > 1:
            stem += "-" + hashlib.sha256(f"{one.student}\0{one.file}".encode("utf-8", "replace")).hexdigest()[:8]
        stems.append(stem)
    return told_apart(stems)


def read_bytes(path: Path) -> bytes:
    """A file's bytes; never those of a link's target.

    Raises:
        OSError: it is a link now, or cannot be read.
    """
    with os.fdopen(os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK), "rb") as file:
        return file.read(LARGEST + 1)


def read_cells(path: Path) -> tuple[list[SubmittedCell], list[str]]:
    """The cells of a notebook, and notes on what was wrong with the file but could be read.

    Raises:
        ValueError: it is no notebook; the message is for the student.
        OSError: it cannot be read.
    """
    text, notes = _decode(read_bytes(path))
    if text.count("[") + text.count("{") > MOST_PARTS:
        raise ValueError("its outputs hold millions of values: clear large outputs and save again")
    try:
        notebook = json.loads(text)
    except (ValueError, RecursionError) as error:
        place = f" (line {error.lineno})" if isinstance(error, json.JSONDecodeError) else ""
        raise ValueError(f"it is not a notebook: its text is not JSON{place}; save it again from Jupyter") from error
    cells = notebook.get("cells") if isinstance(notebook, dict) else None
    sheets = notebook.get("worksheets") if isinstance(notebook, dict) else None
    if cells is None and isinstance(sheets, list):  # nbformat 3
        cells = [cell for sheet in sheets if isinstance(sheet, dict) for cell in sheet.get("cells") or []]
        notes.append("the notebook has an old format (nbformat 3)")
    if not isinstance(cells, list):
        raise ValueError("it is JSON, but not a notebook: there is no list of cells; save it again from Jupyter")
    read = [_cell(cell) for cell in cells if isinstance(cell, dict)]
    if len(read) > MOST_CELLS:
        raise ValueError(f"it has {len(read):,} cells, more than {MOST_CELLS:,}: remove what is not part of the answer")
    if len(read) < len(cells):
        notes.append(f"{len(cells) - len(read)} cells are damaged and were left out")
    return read, notes


def _decode(raw: bytes) -> tuple[str, list[str]]:
    if raw.startswith((b"\xff\xfe", b"\xfe\xff")):
        return raw.decode("utf-16", errors="replace"), ["the file is stored as UTF-16, not UTF-8"]
    try:
        return raw.decode("utf-8-sig"), []
    except UnicodeDecodeError:
        return raw.decode("latin-1"), ["the file is stored as Latin-1, not UTF-8; letters with accents may be wrong"]


def _cell(cell: dict) -> SubmittedCell:
    source = cell.get("source", cell.get("input", ""))
    source = "".join(map(str, source)) if isinstance(source, list) else source if isinstance(source, str) else ""
    metadata = cell.get("metadata") if isinstance(cell.get("metadata"), dict) else {}
    grading = metadata.get("nbgrader") if isinstance(metadata.get("nbgrader"), dict) else {}
    kind = cell.get("cell_type") if cell.get("cell_type") in ("code", "raw") else "markdown"
    return SubmittedCell(kind, source, grading.get("grade_id") if isinstance(grading.get("grade_id"), str) else "")


def definitions(cell: SubmittedCell) -> list[str]:
    """Functions, classes and variables that a code cell defines at its left margin, in order.

    They are found by a pattern, which no cell can make slow, since this runs in the grader's own process.
    """
    return DEFINED.findall(cell.source) if cell.kind == "code" else []


def untouched(cell: SubmittedCell) -> list[str]:
    """Names whose stub a code cell still holds: a function whose body is `...` or `pass`, a variable that is None."""
    if cell.kind != "code" or len(cell.source) > LONGEST_STUB:
        return []
    try:
        parts = ast.parse(cell.source).body
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return []

    def says_nothing(part: ast.stmt) -> bool:
        return isinstance(part, ast.Pass) or (isinstance(part, ast.Expr) and isinstance(part.value, ast.Constant))

    names = []
    for part in parts:
        if isinstance(part, ast.FunctionDef) and not part.decorator_list and all(map(says_nothing, part.body)):
            names.append(part.name)
        elif isinstance(part, ast.Assign) and isinstance(part.value, ast.Constant) and part.value.value in (None, ...):
            names += [target.id for target in part.targets if isinstance(target, ast.Name)]
    return names
