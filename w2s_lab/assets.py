"""Where what comes with the kit lies: the only module that knows a path.

An installed wheel carries tasks, models, quizzes, results and notebooks inside the package, in `shipped/`; in a clone
they lie beside it, in `data/` and `notebooks/`.
"""

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

# What a graded submission may import: imported once, before the processes of all submissions are forked.
PRELOADED = (
    "w2s_lab.classroom.exercises.checks",
    "w2s_lab.models.loading",
    "w2s_lab.figures.plots",
    "w2s_lab.methods.probe",
)


def readable() -> tuple[Path, ...]:
    """The folders that code of the kit reads while it runs: the package and its data, no notebook and no master."""
    return PACKAGE, DATA
