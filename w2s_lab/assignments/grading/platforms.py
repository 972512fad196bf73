"""Whose file is it? Finds the student for each path of a learning platform's download."""

import json
import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field

Parts = tuple[str, ...]

# Canvas: lovelaceada_LATE_1234_56789_two_hours-2.ipynb, with the user's number first.
CANVAS = re.compile(r"(?P<name>[^_]+)_(?:LATE_)?(?P<user>\d+)_\d+_.+", re.DOTALL)
# Moodle: Ada Lovelace_1234_assignsubmission_file_ is a folder, or the beginning of a file's name.
MOODLE = re.compile(r"(?P<name>.+?)_(?P<user>\d+)_assignsubmission_(?P<rest>.*)", re.DOTALL)
# ILIAS: Lovelace_Ada_login_1234, somewhere below the exercise and perhaps a team.
ILIAS = re.compile(r"[^_]+_[^_]+_.+_\d+")
GRADESCOPE = "submission_metadata.yml"  # beside folders such as submission_1234
NOTEBOOK = ".ipynb"
FEW = 3  # names that one sentence tells
CLASS = 5  # so many notebooks in one folder are a class without a doubt


@dataclass(frozen=True)
class Owner:
    """A student by name, the key that tells students apart, and the rest of a path."""

    name: str
    key: tuple[str, ...]
    rest: Parts


@dataclass
class Layout:
    """What the paths of a download are.

    Attributes:
        owners: for each path its student and the path below the student's folder; None: it belongs to no student. Two
            students may still have one name here: then `key` tells them apart.
        empty: students who have a folder with nothing in it.
        odd: what looks like no download that is known, in words.
    """

    owners: list[Owner | None] = field(default_factory=list)
    empty: list[Owner] = field(default_factory=list)
    odd: list[str] = field(default_factory=list)


def sort_out(paths: Sequence[Parts], folders: Sequence[Parts] = (), metadata: str | None = None) -> Layout:
    """Find each path's student.

    Args:
        paths: of files, split at their slashes, without those that editors and systems add.
        folders: paths of folders, as far as the archive lists them.
        metadata: text of Gradescope's `submission_metadata.yml`, which tells the students' names.
    """
    found = Layout()
    names = gradescope_names(metadata) if metadata is not None else {}
    if metadata is not None and not names:
        found.odd.append(f"{GRADESCOPE} tells no names as Gradescope writes them; its folders keep their names")
    notebooks = [path for path in paths if path[-1].endswith(NOTEBOOK)] or list(paths)
    above, why = _above(notebooks, paths)
    if why:
        found.odd.append(why)
    deep = _ilias(notebooks)
    in_folders = any(len(path) > len(above) + 1 for path in notebooks)
    for path in paths:
        at = next((i for i, part in enumerate(path[:-1]) if ILIAS.fullmatch(part)), None) if deep else len(above)
        if at is None or (not deep and path[: len(above)] != above) or path[-1] == GRADESCOPE:
            found.owners.append(None)
        else:
            found.owners.append(_owner(path[at:], names, in_folders))
    owners = {owner.key for owner in found.owners if owner}
    for path in folders:
        if not deep and path[:-1] == above and (owner := _owner((path[-1], ""), names, in_folders)).key not in owners:
            found.empty.append(owner)
    found.odd += _odd(paths, found.owners)
    return found


def _owner(path: Parts, names: dict[str, str], in_folders: bool) -> Owner | None:
    """The student of a path that begins with the student's folder, or that is a single file."""
    if len(path) > 1:
        if moodle := MOODLE.fullmatch(path[0]):
            return Owner(*_user(moodle), path[1:])
        return Owner(names.get(path[0], path[0]), ("folder", path[0]), path[1:])
    if moodle := MOODLE.fullmatch(path[0]):  # downloaded with "in folders" switched off
        plugin, _, own = moodle["rest"].partition("_")
        return Owner(*_user(moodle), (own or path[0],) if plugin in ("file", "onlinetext") else path)
    if canvas := CANVAS.fullmatch(path[0]):
        return Owner(*_user(canvas), path)  # the file's whole name: by it Canvas knows who it is
    if in_folders and not path[0].endswith(NOTEBOOK):
        return None  # a list or a note beside the students' folders
    stem = path[0].removesuffix(NOTEBOOK) if path[0].endswith(NOTEBOOK) else path[0].rpartition(".")[0] or path[0]
    return Owner(stem or path[0], ("file", stem), path)


def _user(match: re.Match[str]) -> tuple[str, tuple[str, ...]]:
    return f"{match['name']}_{match['user']}", ("user", match["name"], match["user"])


def _above(notebooks: Sequence[Parts], paths: Sequence[Parts]) -> tuple[Parts, str]:
    """The folders that hold all students' folders or files; and what is unclear about them."""
    above = _common([path[:-1] for path in notebooks])
    own = next((i for i, part in enumerate(above) if MOODLE.fullmatch(part) or ILIAS.fullmatch(part)), None)
    if own is not None:
        return above[:own], ""
    flat = any(CANVAS.fullmatch(path[-1]) or MOODLE.fullmatch(path[-1]) for path in notebooks)
    if not above or flat or any(path[:-1] != above for path in notebooks):
        return above, ""
    wider = _common([path[:-1] for path in paths if len(path) > 1])
    if wider != above:  # other students without a notebook
        return wider, ""
    place, count = "/".join(above), len(set(notebooks))
    if count == 1:
        return (above[:-1] if len(above) < 3 else above[:1]), ""
    if len(above) > 1:
        return above[:-1], f"all {count} notebooks lie in {place}/; {above[-1]} was taken for one student"
    told = f"all {count} notebooks lie in {place}/; each was taken for a student of its own"
    return above, told if count < CLASS else ""


def _common(folders: Sequence[Parts]) -> Parts:
    low, high = min(folders, default=()), max(folders, default=())
    same = [a == b for a, b in zip(low, high, strict=False)]
    return low[: same.index(False)] if False in same else low


def _ilias(notebooks: Sequence[Parts]) -> bool:
    """Whether each notebook lies in a folder as ILIAS names it, and not all in the first one (others do that too)."""
    places = [next((i for i, part in enumerate(path[:-1]) if ILIAS.fullmatch(part)), None) for path in notebooks]
    return bool(places) and None not in places and any(places)


def _odd(paths: Sequence[Parts], owners: Sequence[Owner | None]) -> list[str]:
    """Folders that may hold several students: an exercise, or a group."""
    inside: dict[tuple[str, ...], set[Parts]] = {}
    for path, owner in zip(paths, owners, strict=True):
        if owner and path[-1].endswith(NOTEBOOK):
            inside.setdefault(owner.key, set()).add(owner.rest[:1] if len(owner.rest) > 1 else ())
    several = [key[1] for key, folders in inside.items() if len(folders) > 1 and () not in folders]
    if not several:
        return []
    return [
        f"{len(several)} of {len(inside)} students have notebooks in several folders of their own: {few(several)}. "
        "Are these exercises or groups with students in them? Then collect each of them alone"
    ]


def few(names: Sequence[str]) -> str:
    """The first names, and how many there are beside them."""
    return ", ".join(names[:FEW]) + f" and {len(names) - FEW} more" * (len(names) > FEW)


def gradescope_names(text: str) -> dict[str, str]:
    """Folder -> the names of those who submitted it, out of Gradescope's YAML file, read line by line.

    Submissions under the same names get the students' numbers, or the folder's name, in addition.
    """
    people: dict[str, list[str]] = {}
    numbers: dict[str, list[str]] = {}
    folder, inside = "", False
    for line in text.splitlines():
        if head := re.fullmatch(r"""["']?(\w+)["']?:\s*""", line):
            folder, inside = head[1], False
        elif head := re.match(r" {1,2}:(\w+):", line):
            inside = head[1] == "submitters"
        elif inside and folder and (found := re.match(r"[ -]*:(name|sid):(.*)", line)):
            (people if found[1] == "name" else numbers).setdefault(folder, []).append(_scalar(found[2].strip()))
    names = {folder: ", ".join(filter(None, said)) or folder for folder, said in people.items()}
    times = Counter(names.values())
    more = {folder: "_".join(filter(None, numbers.get(folder, ()))) or folder for folder in names}
    return {folder: name if times[name] == 1 else f"{name}_{more[folder]}" for folder, name in names.items()}


def _scalar(text: str) -> str:
    """A one-line value of YAML as text."""
    if text.startswith('"'):
        try:
            return str(json.loads(text))
        except ValueError:
            return text.strip('"')
    if text.startswith("'"):
        return text[1:].removesuffix("'").replace("''", "'")
    return "" if text in ("null", "~") else text
