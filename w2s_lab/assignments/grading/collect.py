"""Sorts the download of a learning platform into one folder for each student."""

import shutil
import warnings
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from zipfile import ZipFile, ZipInfo

from w2s_lab.assignments.grading.platforms import GRADESCOPE, NOTEBOOK, Owner, Parts, few, sort_out
from w2s_lab.assignments.grading.submissions import LARGEST, ignored
from w2s_lab.assignments.grading.zip_files import (
    entry_name,
    entry_parts,
    is_folder,
    open_zip,
    read_text,
    unfit,
    write_entry,
)
from w2s_lab.assignments.names import LONGEST, cut_bytes, for_disk, told_apart, visible
from w2s_lab.system.files import beside, said_with_path

DEEPEST = 20  # folders inside each other
OF_STUDENT = 200_000_000  # bytes that one student's files may have
WHOLE, SWOLLEN = 300_000_000, 20  # bytes of all files, and times the archive's own: the larger one is the limit
INNER, INNER_FILES = 3, 1000  # archives of one student that are opened, and entries of each
PACKED = (".zip", ".7z", ".rar", ".tar", ".gz", ".tgz", ".bz2", ".xz")
LIST = "left_out.txt"
LARGE = "all files of the archive have more than {:,.0f} MB together, and the largest are left out"


@dataclass(frozen=True)
class Collected:
    """What came out of an archive.

    Attributes:
        students: names of the folders in which a file arrived.
        left_out: entries that were not taken, each with the reason, in words.
        odd: what looks like no download that is known, which names changed, and who has an empty folder, in words.
    """

    students: list[str]
    left_out: list[str]
    odd: list[str]


def collect(archive: Path, output: Path) -> tuple[list[str], list[str]]:
    """Unpack a ZIP of submissions into `output/STUDENT/…`; see `unpack`. What looks odd is a warning.

    Returns:
        names of the students' folders; and what was left out and why, in words.

    Raises:
        ValueError: no ZIP file, too many entries, or the folder is in use; nothing is written then.
        OSError: the disk is full, or the folder cannot be written; nothing is written then.
    """
    found = unpack(archive, output)
    for line in found.odd:
        warnings.warn(f"this looks odd: {line}", stacklevel=2)
    return found.students, found.left_out


def unpack(archive: Path, output: Path) -> Collected:
    """Unpack a ZIP of submissions into `output/STUDENT/…`, all at once or not at all.

    An entry that is damaged, encrypted, a link, too large, twice there, or that leads elsewhere is left out and named;
    the rest arrives. A student of whom nothing arrives has an empty folder, so that grading counts the student.

    Args:
        archive: of Canvas, Moodle, Gradescope or ILIAS, or of one folder or notebook for each student.
        output: must not exist yet, or be empty.

    Raises:
        ValueError: no ZIP file, too many entries, or the folder is in use; nothing is written then.
        OSError: the disk is full, or the folder cannot be written; nothing is written then.
    """
    archive, output = Path(archive), Path(output)
    if output.exists() and (not output.is_dir() or any(output.iterdir())):
        raise ValueError(f"{output} is not empty; name a new folder, so that no two downloads mix")
    with open_zip(archive) as opened:
        new = beside(output.resolve())
        try:
            room = max(WHOLE, SWOLLEN * archive.stat().st_size)
            taken = _Unpacking(opened, new / "all", room).run()
            with said_with_path(output):
                if output.exists():
                    output.resolve().rmdir()
                (new / "all").rename(output.resolve())
        finally:
            shutil.rmtree(new, ignore_errors=True)
    return taken


class _Unpacking:
    """One archive on its way into a folder."""

    def __init__(self, opened: ZipFile, folder: Path, room: int) -> None:
        """Prepare it; `room` is how many bytes all files may have together."""
        self.opened, self.folder, self.room, self.limit = opened, folder, room, room
        self.left_out: list[str] = []
        self.odd: list[str] = []

    def run(self) -> Collected:
        self.folder.mkdir()
        files = self._plain()
        listed = [entry_parts(entry) for entry in self.opened.infolist() if is_folder(entry)]
        empty = [parts for parts in listed if parts and not any(map(ignored, parts))]
        layout = sort_out([parts for _, parts in files], empty, self._metadata(files))
        self.odd += map(visible, layout.odd)
        owned = self._owned(files, layout.owners)
        folders = self._folders([*(owner for _, owner in owned), *filter(_short, layout.empty)])
        arrived: dict[str, list[Path]] = {name: [] for name in folders.values()}
        for entry, owner in self._of_bearable_size(owned):
            place = Path(folders[owner.key], *map(for_disk, owner.rest))
            if why := write_entry(self.opened, entry, self.folder, place):
                self._leave(entry, why)
                continue
            arrived[place.parts[0]].append(place)
            if place.parts[1:] != owner.rest:
                self.odd.append(f"{shown_entry(entry)} has a name that not every system can write; here it is {place}")
        for name, paths in arrived.items():
            self._look_into(name, paths)
        if without := [name for name, paths in arrived.items() if paths and not _has_notebook(paths)]:
            self.odd.append(f"{len(without)} of {len(arrived)} students have no file named {NOTEBOOK}: {few(without)}")
        if nothing := [name for name, paths in arrived.items() if not paths]:
            self.odd.append(f"nothing arrived of {few(nothing)}; an empty folder lets grading count each of them")
        return Collected(sorted(name for name, paths in arrived.items() if paths), self.left_out, self.odd)

    def _leave(self, entry: ZipInfo, why: str) -> None:
        self.left_out.append(f"{shown_entry(entry)}: {why}")

    def _plain(self) -> list[tuple[ZipInfo, Parts]]:
        """Files with a usable path, without those that editors and systems add."""
        kept = []
        for entry in self.opened.infolist():
            parts = entry_parts(entry)
            if is_folder(entry) or (parts and any(map(ignored, parts))):
                continue
            if parts is None:
                self._leave(entry, "its name leads out of the folder")
            elif not parts:
                self._leave(entry, "it has no name")
            elif len(parts) > DEEPEST:
                self._leave(entry, f"it lies {len(parts) - 1} folders deep")
            else:
                kept.append((entry, parts))
        return kept

    def _metadata(self, files: Sequence[tuple[ZipInfo, Parts]]) -> str | None:
        """Text of Gradescope's list of submissions; "": it cannot be read."""
        found = [entry for entry, parts in files if parts[-1] == GRADESCOPE and len(parts) <= 2]
        return None if not found or unfit(found[0], LARGEST) else read_text(self.opened, found[0])

    def _owned(
        self, files: Sequence[tuple[ZipInfo, Parts]], owners: Sequence[Owner | None]
    ) -> list[tuple[ZipInfo, Owner]]:
        kept = []
        for (entry, parts), owner in zip(files, owners, strict=True):
            if owner and not _short(owner):
                self._leave(entry, f"{len(owner.name)} letters are too many for the name of a folder")
            elif owner:
                kept.append((entry, owner))
            elif parts[-1] == GRADESCOPE:
                self._leave(entry, "it tells the students' names and is no submission")
            else:
                self._leave(entry, "it lies beside the students' folders and belongs to nobody")
        return kept

    def _folders(self, owners: Sequence[Owner]) -> dict[tuple[str, ...], str]:
        """Key of a student -> name of the folder, which is made. No two students share one on any system."""
        students = {owner.key: owner.name for owner in owners}
        names = [for_disk(name) for name in students.values()]
        folders = told_apart(names, taken=[LIST])
        if any(len(folder.encode()) > LONGEST for folder in folders):  # with a number behind it
            names = [cut_bytes(name, LONGEST - 50) if len(name.encode()) > LONGEST - 10 else name for name in names]
            folders = told_apart(names, taken=[LIST])
        for name, folder in zip(students.values(), folders, strict=True):
            (self.folder / folder).mkdir()
            if folder != name:
                why = (
                    "another one has the same name" if for_disk(name) == name else "not every system can write the name"
                )
                self.odd.append(f"the folder of {visible(name)} is {folder}: {why}")
        return dict(zip(students, folders, strict=True))

    def _of_bearable_size(self, owned: Sequence[tuple[ZipInfo, Owner]]) -> list[tuple[ZipInfo, Owner]]:
        """Entries that can be taken: of each student the notebooks first, of all of them the small ones first."""
        fit, own, kept = [], Counter(), set()
        for entry, owner in owned:
            if why := unfit(entry, LARGEST):
                self._leave(entry, why)
            else:
                fit.append((entry, owner))
        for entry, owner in sorted(fit, key=lambda pair: (not pair[1].rest[-1].endswith(NOTEBOOK), pair[0].file_size)):
            own[owner.key] += entry.file_size
            if own[owner.key] > OF_STUDENT:
                self._leave(entry, f"this student's files have more than {OF_STUDENT / 1e6:.0f} MB in all")
            else:
                kept.add(id(entry))
        for entry, _ in sorted(fit, key=lambda pair: pair[0].file_size):
            if id(entry) in kept:
                self.room -= entry.file_size
                if self.room < 0:
                    self._leave(entry, LARGE.format(self.limit / 1e6))
                    kept.remove(id(entry))
        return [(entry, owner) for entry, owner in fit if id(entry) in kept]

    def _look_into(self, name: str, paths: list[Path]) -> None:
        """Unpack archives of a student who handed in no notebook beside them, and add their files to `paths`."""
        for path in [] if _has_notebook(paths) else [path for path in paths if path.suffix.lower() in PACKED][:INNER]:
            why = self._unpack_inner(path, paths) if path.suffix.lower() == ".zip" else "this kind is not opened here"
            self.odd.append(f"{name} handed in an archive, {path}: {why}")

    def _unpack_inner(self, path: Path, paths: list[Path]) -> str:
        """Unpack it into a folder beside itself; returns what was done."""
        done, room = [], min(OF_STUDENT, self.room)
        try:
            opened = open_zip(self.folder / path, INNER_FILES)
        except ValueError:
            return f"it is no ZIP file, is damaged, or holds more than {INNER_FILES:,} files"
        with opened:
            inner = _Unpacking(opened, self.folder, room)
            for entry, parts in inner._plain():
                room -= entry.file_size
                place = path.with_suffix("").joinpath(*map(for_disk, parts))
                why = unfit(entry, LARGEST) or ("the archives of this student are too large" if room < 0 else "")
                if why := why or write_entry(opened, entry, self.folder, place):
                    inner._leave(entry, why)
                else:
                    done.append(place)
                    self.room -= entry.file_size
        self.left_out += [f"{path}, {line}" for line in inner.left_out]
        paths += done
        return f"{len(done)} of its files {'was' if len(done) == 1 else 'were'} unpacked into {path.with_suffix('')}/"


def _has_notebook(paths: Sequence[Path]) -> bool:
    return any(path.suffix == NOTEBOOK for path in paths)


def _short(owner: Owner) -> bool:
    return len(for_disk(owner.name).encode()) <= LONGEST


def shown_entry(entry: ZipInfo) -> str:
    """An entry's name for people."""
    return visible(entry_name(entry)) or "(no name)"
