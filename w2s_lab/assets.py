"""Where what comes with the kit lies, and where finished work goes: the only module that knows a path.

An installed wheel carries tasks, models, quizzes, results and notebooks inside the package, in `shipped/`; in a clone
they lie beside it, in `data/` and `notebooks/`.

Finished work goes where an environment variable says; else where a marker file says that lies in the current directory,
above it, or in the clone; else into the user's own folder. So a notebook finds the same work from wherever it is run.
Where the named place cannot be written, as in a clone that a course shares, the user's own folder is taken instead.
What `w2s-lab fetch` gets is placed in the same manner, but for that.
"""

import contextlib
import errno
import os
import tomllib
import uuid
import warnings
from functools import cache
from pathlib import Path

PACKAGE = Path(__file__).resolve().parent
SHIPPED = PACKAGE / "shipped"
INSTALLED = SHIPPED.is_dir()  # from a wheel, not a clone
HOME = SHIPPED if INSTALLED else PACKAGE.parent

DATA = HOME / "data"
TASKS = DATA / "tasks"
MODELS = DATA / "models"  # the pocket ladder
QUIZZES = DATA / "quizzes"
RESULTS = DATA / "results"  # what the studies found
DEMOS = DATA / "demos"  # dashboards that were drawn once
NOTEBOOKS = HOME / "notebooks"
MASTERS = NOTEBOOKS / "assignments"

MARKER = "w2s_lab.toml"
STORE_VARIABLE = "W2S_LAB_STORE"
PROGRESS_VARIABLE = "W2S_LAB_PROGRESS"
FETCHED_VARIABLE = "W2S_LAB_FETCHED"
PLACES = {
    "store": ("runs", STORE_VARIABLE),
    "progress": ("progress.json", PROGRESS_VARIABLE),
    "fetched": ("fetched", FETCHED_VARIABLE),
}
KEPT = {  # what is kept there, and what kind of thing it is
    "store": ("finished work is kept", "folder"),
    "progress": ("your progress is kept", "file"),
}

# What a graded submission may import: imported once, before the processes of all submissions are forked.
PRELOADED = (
    "w2s_lab.classroom.exercises.checks",
    "w2s_lab.models.loading",
    "w2s_lab.figures.plots",
    "w2s_lab.methods.probe",
)


def readable() -> tuple[Path, ...]:
    """The folders that code of the kit reads while it runs: the package and its data.

    In a clone, no notebook and no master lies in them. In a wheel the kit's own masters lie inside the package.
    """
    return PACKAGE, DATA


def store_folder(start: Path | None = None) -> Path:
    """The folder of finished trainings and labellings: $W2S_LAB_STORE, or what the marker says, or the user's own.

    Args:
        start: where the search for a marker begins; None: in the current directory.

    Raises:
        ValueError: the marker cannot be read.

    Warns:
        UserWarning: once, if the named folder cannot be written and the user's own is taken.
    """
    return _said(*usable("store", start))


def progress_file(start: Path | None = None) -> Path:
    """The file of a learner's progress: $W2S_LAB_PROGRESS, or what the marker says, or in the user's folder.

    Args:
        start: where the search for a marker begins; None: in the current directory.

    Raises:
        ValueError: the marker cannot be read.

    Warns:
        UserWarning: once, if the named file cannot be written and one in the user's own folder is taken.
    """
    return _said(*usable("progress", start))


def fetched_folder(start: Path | None = None) -> Path:
    """The folder of fetched models and data: $W2S_LAB_FETCHED, or what the marker says, or in the user's folder.

    A class can share one that only the teacher may write.

    Args:
        start: where the search for a marker begins; None: in the current directory.

    Raises:
        ValueError: the marker cannot be read.
    """
    return named_place("fetched", start)


def marker(start: Path | None = None) -> Path | None:
    """The nearest marker file from `start` (the current directory) upward; else the clone's; None: there is none."""
    start = _absolute(start or Path())
    for folder in (start, *start.parents, HOME):
        if os.path.isfile(folder / MARKER):  # unlike Path.is_file, no error where a folder may not be looked into
            return folder / MARKER
    return None


def user_path(path: str | os.PathLike[str]) -> Path:
    """A path that a user gave; ~ and ~name at its beginning mean the home folder, where there is one."""
    return Path(os.path.expanduser(path))  # unlike Path.expanduser, no error where nobody has this name


def shown_path(path: Path) -> Path:
    """A path for people to read: from the current directory on, where it lies below it."""
    here = _absolute(Path())
    return path.relative_to(here) if path.is_relative_to(here) else path


def named_place(what: str, start: Path | None = None) -> Path:
    """The place of "store", "progress" or "fetched" as it was named, whether it can be written or not.

    Without a name it is in the user's own folder; for a user without a home, in the current directory.

    Raises:
        ValueError: the marker cannot be read, or the name has a `~` and the user has no home.
    """
    (usual, variable), file = PLACES[what], None
    text = os.environ.get(variable)
    if not text and (file := marker(start)):
        text = _read(file).get(what)
    try:
        path = Path(text or "").expanduser()
    except RuntimeError:
        where = file or f"the environment variable {variable}"
        raise ValueError(f"{where}: {text} begins with ~, but this user has no home folder") from None
    if text:
        return file.parent / path if file else _absolute(path)
    try:
        return own_place(what)
    except RuntimeError:
        return _absolute(Path(usual))


def own_place(what: str) -> Path:
    """Where "store", "progress" or "fetched" is in the user's own folder.

    Raises:
        RuntimeError: the user has none.
    """
    from platformdirs import user_data_path  # here, because a marker or a variable is the rule

    folder = user_data_path("w2s_lab", appauthor=False)
    if not folder.is_absolute():  # "~" stays as it is for a user whom the system does not know, as in a container
        raise RuntimeError("the user has no home folder")
    return folder / PLACES[what][0]


def cache_folder() -> Path | None:
    """The user's own folder of what can be computed again at any time; None: the user has none."""
    from platformdirs import user_cache_path

    folder = user_cache_path("w2s_lab", appauthor=False)
    return folder if folder.is_absolute() else None


def usable(what: str, start: Path | None = None) -> tuple[Path, str]:
    """The place of "store" or "progress" that can be written: the named one, else the user's own.

    Returns:
        The place, and a sentence where it is not the named one. Where neither can be written: the named one, and "".

    Raises:
        ValueError: as `named_place`.
    """
    place = named_place(what, start)
    with contextlib.suppress(RuntimeError):
        instead = own_place(what)
        if instead != place and not can_write(place) and can_write(instead):
            kept, kind = KEPT[what]
            option = ", or --store in a command" if what == "store" else ""
            return instead, (
                f"{place} cannot be written, so {kept} in {instead}. "
                f"Hint: the environment variable {PLACES[what][1]}{option} names another {kind}"
            )
    return place, ""


def can_write(path: Path) -> bool:
    """Whether a file or a folder may be put, or be changed, at this path; nothing is left there.

    A full disk counts as one that can be written: it may have space again in a minute.
    """
    there = next((folder for folder in (path, *path.parents) if os.path.lexists(folder)), path)
    if there == path and path.is_file():
        if not os.access(path, os.W_OK):
            return False
        there = path.parent
    try:
        trial = there / f".new-{uuid.uuid4().hex[:12]}"  # os.access says little on Windows and on network disks
        with open(trial, "xb"):
            pass
        trial.unlink()
    except OSError as error:
        return error.errno == errno.ENOSPC
    return True


def _absolute(path: Path) -> Path:
    try:
        return path.absolute()
    except FileNotFoundError:  # the current directory was removed
        return HOME / path


@cache
def _warn_once(words: str) -> None:
    warnings.warn(words, stacklevel=4)


def _said(place: Path, words: str) -> Path:
    if words:
        _warn_once(words)
    return place


def _read(path: Path) -> dict[str, str]:
    """What a marker file says."""
    try:
        places = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise ValueError(f"{path} cannot be read ({error}). Hint: correct it, or delete it") from error
    wrong = [name for name, value in places.items() if name not in PLACES or not isinstance(value, str)]
    if wrong:
        expected = " and ".join(f'{name} = "..."' for name in PLACES)
        raise ValueError(f"{path}: {wrong[0]} is not understood; expected only {expected}")
    return places
