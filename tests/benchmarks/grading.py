"""Grading a class: seconds for each submission beyond its own computation, and the memory of the grader.

`python -m tests.benchmarks.grading --json data/results/grading.json` grades 300 submissions of the two-hour assignment:
most of them the master's solutions, each a little different, and one in ten with a loop, a crash or a missing answer.
"""

import argparse
import json
import sys
import tempfile
import time
from pathlib import Path

import nbformat
import psutil

from tests.jupyter import ROOT
from w2s_lab.assignments.authoring.master import read_assignment
from w2s_lab.assignments.grading.grade import grade_all
from w2s_lab.assignments.grading.guards import Limits
from w2s_lab.assignments.grading.submissions import find_submissions
from w2s_lab.experiments.report import versions

MASTER = ROOT / "notebooks" / "assignments" / "two_hours.ipynb"
GOAL = 1.5  # seconds for each submission
FAULTS = ("while True:\n    pass", "import os\nos._exit(3)", "print('x' * 10**9)")


def class_of(number: int, folder: Path) -> None:
    """Submissions of so many students below `folder`."""
    assignment = read_assignment(MASTER)
    for student in range(number):
        cells = [f"{cell}\n# student {student}" for cell in assignment.cells]
        if student % 10 == 9:
            cells[len(cells) // 2] = FAULTS[student // 10 % len(FAULTS)]
        words = [nbformat.v4.new_markdown_cell(f"*({q.name}): *\n\nYes.") for q in assignment.questions if q.by_hand]
        notebook = nbformat.v4.new_notebook(cells=[*map(nbformat.v4.new_code_cell, cells), *words])
        own = folder / f"student{student:03d}"
        own.mkdir(parents=True)
        nbformat.write(notebook, own / MASTER.name)


def measure(students: int, workers: int) -> dict:
    """Grade a class once; seconds and megabytes."""
    memory, own, faults = [], 0.0, 0
    with tempfile.TemporaryDirectory() as temporary:
        place = Path(temporary)
        class_of(students, place / "in")
        assignment = read_assignment(MASTER)
        submissions = find_submissions(place / "in", [question.name for question in assignment.questions])

        def each(marks, again: bool) -> None:
            nonlocal own, faults
            own += marks.own_seconds
            faults += any(result.state in ("wrong", "failed") for result in marks.results)
            memory.append(psutil.Process().memory_info().rss / 1e6)

        started = time.perf_counter()
        grade_all(assignment, submissions, place / "out", workers=workers, limits=Limits(cell=5), each=each)
        seconds = time.perf_counter() - started
    tenth = max(1, students // 10)
    return {
        "students": students,
        "workers": workers,
        "seconds": round(seconds, 1),
        "own seconds each": round(own / students, 3),
        "seconds beyond, each": round(max(0.0, seconds * workers - own) / students, 3),
        "goal": GOAL,
        "memory of the grader, MB": {
            "after a tenth": round(memory[tenth - 1]),
            "at the end": round(memory[-1]),
            "at most": round(max(memory)),
        },
        "submissions with something wrong": faults,
    }


def main(arguments: list[str] | None = None) -> None:
    """The command line."""
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks.grading", description=__doc__)
    parser.add_argument("--students", type=int, default=300, metavar="N")
    parser.add_argument("--workers", type=int, default=2, metavar="N")
    parser.add_argument("--json", metavar="FILE", help="write the figures there too")
    options = parser.parse_args(arguments)
    found = measure(options.students, options.workers)
    sys.stdout.write("".join(f"{name:<34}{value}\n" for name, value in found.items()))
    if options.json:
        words = ["python -m tests.benchmarks.grading", *(arguments if arguments is not None else sys.argv[1:])]
        record = {"command": " ".join(words), **versions(), **found}
        Path(options.json).write_text(json.dumps(record, indent=1) + "\n")


if __name__ == "__main__":
    main()
