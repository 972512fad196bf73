"""Where what comes with the kit lies: the only module that knows a path.

An installed wheel carries tasks, models, quizzes, results and notebooks inside the package, in `shipped/`; in a clone
they lie beside it, in `data/` and `notebooks/`. What `w2s-lab fetch` gets lies in a folder of the user's own, or where
an environment variable says.
"""

import os
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

FETCHED_VARIABLE = "W2S_LAB_FETCHED"


def readable() -> tuple[Path, ...]:
    """The folders that code of the kit reads while it runs: the package and its data, no notebook and no master."""
    return PACKAGE, DATA


def fetched_folder() -> Path:
    """The folder of fetched models and data: $W2S_LAB_FETCHED, else in the user's folder; it may be read-only."""
    if os.environ.get(FETCHED_VARIABLE):
        return Path(os.environ[FETCHED_VARIABLE]).expanduser().absolute()
    from platformdirs import user_data_path  # here, because most commands do without it

    return user_data_path("w2s_lab", appauthor=False) / "fetched"
