"""Small masters, made up cell by cell; shared by the tests of assignments."""

from pathlib import Path

import nbformat
from nbformat import NotebookNode, v4

TITLE = "# Weak labels, by hand\n\nA supervisor labels; you read its labels."
PUBLIC = "import math\n\nlabels = [0, 1, 1, 0]"
MEAN = '''def mean_loss(losses, mask):
    """Mean over what the mask keeps."""
    ### BEGIN SOLUTION
    kept = [loss for loss, keep in zip(losses, mask) if keep]
    # nothing kept means nothing lost here
    return math.fsum(kept) / len(kept) if kept else 0.0
    ### END SOLUTION'''
MEAN_CHECKS = """losses = [1.0, 2.0, 6.0]
assert mean_loss(losses, [True, True, False]) == 1.5, "Is it the mean over what is kept?"
assert mean_loss(losses, [True, True, True]) == 3
### BEGIN HIDDEN TESTS
nothing = [False, False, False]
assert math.isclose(mean_loss(losses, nothing), 0.0, abs_tol=1e-3), "What if nothing is kept?"
assert mean_loss([0.125, 7.75], [False, True]) > 7.625
### END HIDDEN TESTS"""
SHARE = "### BEGIN SOLUTION\nshare = sum(labels) / len(labels)\n### END SOLUTION"
SHARE_CHECKS = "### BEGIN HIDDEN TESTS\nassert abs(share - 0.5) < 1e-9\n### END HIDDEN TESTS"
WHY = """## Why?

Say in two sentences why a student can be better than its supervisor.

### BEGIN SOLUTION
What the student knows from pre-training is easier to express than the errors of its teacher.
So it generalises the rule before it memorises exceptions.
### END SOLUTION"""
TOML = """minutes = 30

[[question]]
name = "mean_loss"
title = "The loss of a batch"
minutes = 15

[[check]]
question = "mean_loss"
name = "a long batch"
call = "mean_loss([4.25] * 37, [True] * 37)"
expect = 4.25
points = 2
hint = "Does it hold for more than three losses?"

[[check]]
question = "share"
name = "a share is a share"
call = "share"
criterion = "0 <= given <= 1"
hidden = false
"""


def code(source: str, **nbgrader: object) -> NotebookNode:
    return v4.new_code_cell(source, metadata={"nbgrader": nbgrader} if nbgrader else {})


def text(source: str, **nbgrader: object) -> NotebookNode:
    return v4.new_markdown_cell(source, metadata={"nbgrader": nbgrader} if nbgrader else {})


def solution(source: str, grade_id: str) -> NotebookNode:
    return code(source, grade=False, solution=True, locked=False, task=False, schema_version=3, grade_id=grade_id)


def checks(source: str, grade_id: str, points: float = 4) -> NotebookNode:
    meta = {"grade": True, "solution": False, "locked": True, "task": False, "schema_version": 3}
    return code(source, **meta, grade_id=grade_id, points=points)


def words(source: str, grade_id: str, points: float = 5) -> NotebookNode:
    meta = {"grade": True, "solution": True, "locked": False, "task": False, "schema_version": 3}
    return text(source, **meta, grade_id=grade_id, points=points)


def cells() -> list[NotebookNode]:
    """Two questions in code, one in words."""
    return [
        text(TITLE),
        code(PUBLIC),
        solution(MEAN, "mean-loss"),
        checks(MEAN_CHECKS, "test-mean-loss"),
        text("## Now the labels"),
        solution(SHARE, "share"),
        checks(SHARE_CHECKS, "test-share", 1),
        words(WHY, "why"),
    ]


def write(folder: Path, cells: list[NotebookNode], toml: str | None = None, name: str = "small") -> Path:
    """A master `folder/name.ipynb`, and its TOML file where one is given."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{name}.ipynb"
    notebook = v4.new_notebook(
        cells=cells,
        metadata={"kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"}},
    )
    nbformat.write(notebook, path)
    if toml is not None:
        path.with_suffix(".toml").write_text(toml, encoding="utf-8")
    return path


def stripped(cells: list[NotebookNode]) -> list[NotebookNode]:
    """The same cells as an editor leaves them that keeps no metadata."""
    for cell in cells:
        cell.metadata = {}
    return cells
