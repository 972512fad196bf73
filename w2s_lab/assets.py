"""Where what comes with the kit lies, and where finished work goes: the only module that knows a path.

An installed wheel carries tasks, models, quizzes, results and notebooks inside the package, in `shipped/`; in a clone
they lie beside it, in `data/` and `notebooks/`.

Finished work goes where an environment variable says; else where a marker file says that lies in the current directory,
above it, or in the clone; else into the user's own folder. So a notebook finds the same work from wherever it is run.
What `w2s-lab fetch` gets is placed in the same manner.
"""

import os
import tomllib
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
    """
    return _place("store", start)


def progress_file(start: Path | None = None) -> Path:
    """The file of a learner's progress: $W2S_LAB_PROGRESS, or what the marker says, or in the user's folder.

    Args:
        start: where the search for a marker begins; None: in the current directory.

    Raises:
        ValueError: the marker cannot be read.
    """
    return _place("progress", start)


def fetched_folder(start: Path | None = None) -> Path:
    """The folder of fetched models and data: $W2S_LAB_FETCHED, or what the marker says, or in the user's folder.

    A class can share one that only the teacher may write.

    Args:
        start: where the search for a marker begins; None: in the current directory.

    Raises:
        ValueError: the marker cannot be read.
    """
    return _place("fetched", start)


def marker(start: Path | None = None) -> Path | None:
    """The nearest marker file from `start` (the current directory) upward; else the clone's; None: there is none."""
    start = (start or Path.cwd()).absolute()
    for folder in (start, *start.parents, HOME):
        if os.path.isfile(folder / MARKER):  # unlike Path.is_file, no error where a folder may not be looked into
            return folder / MARKER
    return None


def user_path(path: str | os.PathLike[str]) -> Path:
    """A path that a user gave; ~ and ~name at its beginning mean the home folder, where there is one."""
    return Path(os.path.expanduser(path))  # unlike Path.expanduser, no error where nobody has this name


def shown_path(path: Path) -> Path:
    """A path for people to read: from the current directory on, where it lies below it."""
    here = Path.cwd()
    return path.relative_to(here) if path.is_relative_to(here) else path


def _place(what: str, start: Path | None) -> Path:
    usual, variable = PLACES[what]
    if os.environ.get(variable):
        return user_path(os.environ[variable]).absolute()
    file = marker(start)
    named = _read(file).get(what) if file else None
    if file and named:
        return file.parent / user_path(named)
    from platformdirs import user_data_path  # here, because a marker or a variable is the rule

    return user_data_path("w2s_lab", appauthor=False) / usual


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
