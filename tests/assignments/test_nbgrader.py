"""The same master under nbgrader 0.9: its student version, its marks, and what is read here agree."""

import logging
import os
import sys
from pathlib import Path

import masters
import nbformat
import pytest
from places import ROOT

pytest.importorskip("nbgrader", reason="nbgrader is an extra: pip install -e '.[nbgrader]'")

from nbgrader.api import Gradebook
from nbgrader.apps import NbGraderAPI
from traitlets.config import Config

from w2s_lab.assignments.authoring.master import read_assignment
from w2s_lab.assignments.authoring.release import release

pytestmark = [
    pytest.mark.slow,
    pytest.mark.filterwarnings("ignore:Object of type"),  # between nbgrader and SQLAlchemy
]

NAME = "small"


class Course:
    """A course of nbgrader's in a folder, with the small master as its one assignment."""

    def __init__(self, folder: Path) -> None:
        config = Config()
        config.CourseDirectory.root = str(folder)
        config.CourseDirectory.course_id = "course"
        config.CourseDirectory.db_url = f"sqlite:///{folder}/gradebook.db"
        config.Exchange.root = str(folder / "exchange")
        config.ExecutePreprocessor.timeout = 120
        self.folder, self.config = folder, config
        self.master = masters.write(folder / "source" / NAME, masters.cells(), name=NAME)
        self.api = NbGraderAPI(config=config)
        self.api.log.setLevel(logging.CRITICAL)
        self._succeeds(self.api.generate_assignment(NAME))

    @staticmethod
    def _succeeds(answer: dict) -> None:
        assert answer["success"], answer.get("error") or answer.get("log")

    @property
    def student_version(self) -> Path:
        return self.folder / "release" / NAME / f"{NAME}.ipynb"

    def add(self, master: Path) -> None:
        """Another assignment, in its student version."""
        place = self.folder / "source" / master.stem
        place.mkdir(parents=True)
        (place / master.name).write_bytes(master.read_bytes())
        self._succeeds(self.api.generate_assignment(master.stem))

    def grade(self, student: str, notebook: nbformat.NotebookNode, name: str = NAME) -> dict[str, tuple[float, float]]:
        """Points of a submission, and those to be had, by the grade_id of each graded cell."""
        path = self.folder / "submitted" / student / name / f"{name}.ipynb"
        path.parent.mkdir(parents=True)
        nbformat.write(notebook, path)
        self._succeeds(self.api.autograde(name, student))
        with Gradebook(self.config.CourseDirectory.db_url, "course") as book:
            grades = book.find_submission_notebook(name, name, student).grades
            return {grade.name: (grade.score, grade.max_score) for grade in grades}


@pytest.fixture(scope="module")
def course(tmp_path_factory):
    patch = pytest.MonkeyPatch()
    folder = tmp_path_factory.mktemp("course")
    for name in ("JUPYTER_CONFIG_DIR", "JUPYTER_DATA_DIR", "JUPYTER_RUNTIME_DIR", "IPYTHONDIR", "HOME"):
        (folder / "jupyter" / name.lower()).mkdir(parents=True)
        patch.setenv(name, str(folder / "jupyter" / name.lower()))
    # nbgrader starts `alembic`, which is installed beside the Python that runs this.
    patch.setenv("PATH", os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]]))
    patch.chdir(folder)  # nbgrader looks for a configuration where it is started
    yield Course(folder)
    patch.undo()


def solved(notebook: nbformat.NotebookNode, cells: list | None = None) -> nbformat.NotebookNode:
    """A student version with the master's solutions in its cells."""
    cells = cells or masters.cells()
    answers = {cell.metadata.nbgrader.grade_id: cell.source for cell in cells if "nbgrader" in cell.metadata}
    copy = nbformat.from_dict(notebook)
    for cell in copy.cells:
        if cell.metadata.get("nbgrader", {}).get("solution"):
            cell.source = answers[cell.metadata.nbgrader.grade_id]
    return copy


def points(course: Course) -> dict[str, float]:
    """Points of each question's code, as this package reads them."""
    assignment = read_assignment(course.master)
    return {question.name: question.points for question in assignment.questions}


def test_solutions_get_full_marks_under_nbgrader(course):
    grades = course.grade("solver", solved(nbformat.read(course.student_version, as_version=4)))
    assert grades["test-mean-loss"] == (4, 4) and grades["test-share"] == (1, 1)


def test_stubs_get_nothing_under_nbgrader(course):
    grades = course.grade("idler", nbformat.read(course.student_version, as_version=4))
    assert grades["test-mean-loss"] == (0, 4) and grades["test-share"] == (0, 1)


def test_our_student_version_is_graded_by_nbgrader_too(course):
    made = nbformat.read(release(course.master, course.folder / "ours"), as_version=4)
    stubs, done = course.grade("our-idler", made), course.grade("our-solver", solved(made))
    assert [stubs[name][0] for name in ("test-mean-loss", "test-share")] == [0, 0]
    assert [done[name][0] for name in ("test-mean-loss", "test-share")] == [4, 1]


def test_points_are_the_same_here_and_there(course):
    grades = course.grade("reader", nbformat.read(course.student_version, as_version=4))
    here = points(course)
    assert here == {"mean_loss": grades["test-mean-loss"][1], "share": grades["test-share"][1], "why": grades["why"][1]}


def test_both_student_versions_hide_the_same(course):
    """What nbgrader leaves of the cells of checks is what stands in ours."""
    theirs = nbformat.read(course.student_version, as_version=4)
    ours = nbformat.read(release(course.master, course.folder / "ours"), as_version=4)
    left, right = (
        {cell.metadata.nbgrader.grade_id: cell.source.strip() for cell in one.cells if "nbgrader" in cell.metadata}
        for one in (theirs, ours)
    )
    assert left.keys() == right.keys()
    assert left["test-mean-loss"] == right["test-mean-loss"]
    assert left["test-share"] == "" and right["test-share"].startswith("#")


def test_a_shipped_master_works_under_nbgrader(course):
    """Those of its checks that stand in the notebook; the TOML file beside it is nothing to nbgrader."""
    master = ROOT / "notebooks" / "assignments" / "two_hours.ipynb"
    course.add(master)
    made = nbformat.read(course.folder / "release" / master.stem / master.name, as_version=4)
    cells = nbformat.read(master, as_version=4).cells
    stubs = course.grade("idler", made, master.stem)
    done = course.grade("solver", solved(made, cells), master.stem)
    checks = [name for name in done if name.startswith("test-")]
    assert len(checks) >= 7
    assert all(done[name][0] == done[name][1] > 0 == stubs[name][0] for name in checks)
