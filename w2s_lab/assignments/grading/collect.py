"""Sorts the download of a learning platform into one folder for each student."""

import re
import shutil
import stat
import zipfile
from pathlib import Path, PurePosixPath

from w2s_lab.assignments.grading.submissions import LARGEST, ignored

# Canvas: lovelaceada_LATE_1234_56789_two_hours-2.ipynb, with the user's number first.
CANVAS = re.compile(r"^(?P<name>[^_]+)_(?:LATE_)?(?P<user>\d+)_\d+_.+$")
# Moodle: Ada Lovelace_1234_assignsubmission_file_
MOODLE = re.compile(r"^(?P<name>.+)_(?P<user>\d+)_assignsubmission_\w*$")
MOST = 20_000  # files of one archive


def collect(archive: Path, output: Path) -> tuple[list[str], list[str]]:
    """Unpack a ZIP of submissions into `output/STUDENT/…`.

    Args:
        archive: of Canvas, Moodle or Gradescope, or of one folder for each student.
        output: must not exist yet, or be empty.

    Returns:
        names of the students' folders; and what was left out and why, in words.

    Raises:
        ValueError: not a ZIP file, too many files, or the folder is in use.
    """
    if not zipfile.is_zipfile(archive):
        raise ValueError(f"{archive} is not a ZIP file; expected the archive that the platform gives for download")
    if output.exists() and any(output.iterdir()):
        raise ValueError(f"{output} is not empty; name a new folder, so that no two downloads mix")
    students, left_out = set(), []
    with zipfile.ZipFile(archive) as opened:
        entries = [entry for entry in opened.infolist() if not entry.is_dir()]
        if len(entries) > MOST:
            raise ValueError(f"{archive} holds {len(entries):,} files; expected at most {MOST:,}")
        for entry in entries:
            place = _place(entry.filename, _common(entries))
            why = _unfit(entry, place)
            if why:
                left_out.append(f"{entry.filename}: {why}")
                continue
            if place is None:
                continue
            target = output.joinpath(*place.parts)
            target.parent.mkdir(parents=True, exist_ok=True)
            with opened.open(entry) as packed, target.open("xb") as unpacked:
                shutil.copyfileobj(packed, unpacked)
            students.add(place.parts[0])
    return sorted(students), left_out


def _common(entries: list[zipfile.ZipInfo]) -> str:
    """The one folder that holds everything, if it holds the folders or files of several students; else empty."""
    paths = [PurePosixPath(entry.filename).parts for entry in entries if not _ignored(entry.filename)]
    heads, seconds = {parts[0] for parts in paths}, {parts[1] for parts in paths if len(parts) > 1}
    deep = all(len(parts) > 2 for parts in paths)
    if len(heads) != 1 or any(len(parts) == 1 for parts in paths) or not (deep or len(seconds) > 1):
        return ""
    head = heads.pop()
    return "" if MOODLE.match(head) else head


def _ignored(name: str) -> bool:
    return any(map(ignored, PurePosixPath(name).parts))


def _place(name: str, common: str) -> PurePosixPath | None:
    """STUDENT/file for an entry of the archive; None for files that platforms and editors add."""
    if _ignored(name):
        return None
    parts = PurePosixPath(name.replace("\\", "/")).parts
    parts = parts[1:] if common and parts[0] == common else parts
    if len(parts) == 1:
        match = CANVAS.match(parts[0])
        if match:
            return PurePosixPath(f"{match['name']}_{match['user']}", parts[0])  # by this name Canvas knows who it is
        return PurePosixPath(PurePosixPath(parts[0]).stem, parts[0])
    match = MOODLE.match(parts[0])
    return PurePosixPath(f"{match['name']}_{match['user']}" if match else parts[0], *parts[1:])


def _unfit(entry: zipfile.ZipInfo, place: PurePosixPath | None) -> str:
    if place is None:
        return ""
    if place.is_absolute() or ".." in place.parts or ":" in place.parts[0]:
        return "its name leads out of the folder"
    if stat.S_ISLNK(entry.external_attr >> 16):
        return "it is a link"
    if entry.file_size > LARGEST:
        return f"it has {entry.file_size / 1e6:.0f} MB, more than {LARGEST / 1e6:.0f}"
    return ""
