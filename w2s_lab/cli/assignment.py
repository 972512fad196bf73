"""`w2s-lab assignment release | collect | grade | export`."""

import argparse
import json
import os
import sys
from collections.abc import Callable
from pathlib import Path

from w2s_lab import assets
from w2s_lab.cli.arguments import path_text, positive, rate

HAND_SHEET = "by_hand.csv"
GRADED = "graded.json"
LINES = 100  # of what was left out, on the screen
LOG_SECONDS = 30.0  # between two lines about the progress, where there is no terminal
ROOT = (
    "grading runs students' code, and as root a mistake in a guard would let it do anything to this machine. Run it as "
    "another user, or in a container (docs/assignments.md says how). Where root is meant, as in a container: --as-root"
)


def add(commands) -> None:
    """Add the command with its four subcommands."""
    top = commands.add_parser(
        "assignment",
        help="course assignments: release, collect, grade, export",
        description="Make the student version of a master notebook, grade what comes back unattended, export marks.",
    )
    own = top.add_subparsers(required=True, metavar="WHAT")
    release = _sub(own, _release, "the student version of a master", "notebooks/assignments/two_hours.ipynb -o out")
    release.add_argument(
        "master", type=path_text, metavar="MASTER", help="a notebook with solutions and checks; NAME.toml beside it"
    )
    release.add_argument(
        "-o", "--output", required=True, type=path_text, metavar="DIR", help="where the student version goes"
    )

    collect = _sub(own, _collect, "a platform's ZIP as one folder per student", "submissions.zip -o submissions")
    collect.add_argument(
        "archive", type=path_text, metavar="ZIP", help="as Canvas, Moodle, Gradescope or ILIAS give it for download"
    )
    collect.add_argument("-o", "--output", required=True, type=path_text, metavar="DIR", help="a new folder")

    example = "submissions -o marks --master notebooks/assignments/two_hours.ipynb"
    grade = _sub(own, _grade, "marks, feedback and a summary for a folder of submissions", example)
    grade.add_argument(
        "submissions", type=path_text, metavar="SUBMISSIONS", help="folder: a subfolder or a notebook for each student"
    )
    grade.add_argument("-o", "--output", required=True, type=path_text, metavar="DIR", help="where everything goes")
    _add_exports(grade)
    grade.add_argument("--workers", type=positive, default=os.cpu_count() or 1, metavar="N", help="submissions at once")
    grade.add_argument("--cell-seconds", type=rate, default=120.0, metavar="S", help="limit of one cell (default: 120)")
    grade.add_argument(
        "--total-seconds",
        type=rate,
        default=600.0,
        metavar="S",
        help="limit of all cells of a submission (default: 600)",
    )
    grade.add_argument("--memory", type=positive, default=3000, metavar="MB", help="of one submission (default: 3000)")
    grade.add_argument("--as-root", action="store_true", help="run as root all the same, as in a container")

    example = "marks --master two_hours.ipynb --roster canvas.csv"
    export = _sub(own, _export, "write the exports again, with points given by hand", example)
    export.add_argument("output", type=path_text, metavar="DIR", help="the folder that `grade` wrote")
    _add_exports(export)


def _sub(own, command: Callable, words: str, example: str) -> argparse.ArgumentParser:
    """One subcommand, which has its function's name and explains itself by its docstring."""
    name = command.__name__.strip("_")
    epilog = f"example: w2s-lab assignment {name} {example}"
    parser = own.add_parser(name, help=words, description=command.__doc__, epilog=epilog)
    parser.set_defaults(command=command)
    return parser


def _add_exports(command: argparse.ArgumentParser) -> None:
    command.add_argument(
        "--master", type=path_text, metavar="MASTER", help="default: the kit's own one that the submissions fit"
    )
    command.add_argument(
        "--roster", type=path_text, metavar="CSV", help="Canvas' gradebook export, whose students get the points"
    )


def _release(arguments: argparse.Namespace) -> None:
    """Check that the master's solutions pass its checks, make the student version, prove that no solution and no
    hidden check is left in it, and only then write it."""
    from w2s_lab.assignments.authoring.master import read_assignment
    from w2s_lab.assignments.authoring.release import release
    from w2s_lab.assignments.grading.grade import Key

    master = Path(arguments.master)
    assignment = read_assignment(master)
    with Key(assignment):
        pass  # raises where a solution misses a check
    path = release(master, Path(arguments.output))
    hidden, asked = sum(check.hidden for check in assignment.checks), len(assignment.questions)
    print(f"{assignment.name}: questions {asked}, points {assignment.points:g}, checks {len(assignment.checks)}")
    print(f"solutions pass all checks; gone from the student version: all solutions, hidden checks ({hidden})")
    print(f"written: {path}")


def _collect(arguments: argparse.Namespace) -> None:
    """Unpack a download into one folder for each student. What is damaged, encrypted, a link, too large, twice there or
    leads elsewhere is left out and named, and the rest arrives."""
    from w2s_lab.assignments.grading.collect import LIST, unpack
    from w2s_lab.system.files import replacing

    output = Path(arguments.output)
    found = unpack(Path(arguments.archive), output)
    lines = [*(f"left out: {line}" for line in found.left_out), *(f"this looks odd: {line}" for line in found.odd)]
    for line in lines[:LINES]:
        print(line)
    if lines:
        with replacing(output / LIST) as new:
            new.write_text("\n".join(lines) + "\n", encoding="utf-8")
        more = f"{len(lines) - LINES} more such lines; " * (len(lines) > LINES)
        print(f"{more}all of them are in {output / LIST}")
    print(f"{len(found.students)} students in {arguments.output}")


def _grade(arguments: argparse.Namespace) -> None:
    """Grade every submission in a guarded process of its own, and write marks, exports, feedback and a summary. What
    was graded before is not graded again, so a stopped run goes on where it was."""
    if hasattr(os, "geteuid") and os.geteuid() == 0 and not arguments.as_root:
        raise ValueError(ROOT)
    from time import perf_counter

    from tqdm import tqdm

    from w2s_lab.assignments.grading.grade import grade_all
    from w2s_lab.assignments.grading.guards import MB, Limits
    from w2s_lab.assignments.grading.session import guards_here
    from w2s_lab.assignments.grading.submissions import find_submissions

    folder, output = Path(arguments.submissions), Path(arguments.output)
    if output.resolve().is_relative_to(folder.resolve()):
        raise ValueError(f"{output} lies inside of {folder}: it would be graded as a student; name another -o DIR")
    assignment = _assignment(arguments.master, folder)
    names = [question.name for question in assignment.questions]
    submissions = find_submissions(folder, names, prefer=assignment.name)
    guards = guards_here()
    print(f"{len(submissions)} submissions; guards in force: {', '.join(guards)}")
    if "audit hook" in guards:
        print("this system's kernel guards neither files nor processes; only Python code is held back")
        print("(docs/assignments.md says what that means)")
    limits = Limits(cell=arguments.cell_seconds, total=arguments.total_seconds, memory=arguments.memory * MB)
    started, fresh, own = perf_counter(), 0, 0.0
    done, said, shown = 0, started, sys.stderr.isatty()
    with tqdm(total=len(submissions), unit="submission", disable=not shown) as bar:

        def each(marks, again: bool) -> None:
            nonlocal done, fresh, own, said
            done, fresh, own = done + 1, fresh + (not again), own + (0.0 if again else marks.own_seconds)
            bar.update()
            now = perf_counter()
            tenth = done * 10 // len(submissions) > (done - 1) * 10 // len(submissions)
            if not shown and (tenth or now - said > LOG_SECONDS):
                said, left = now, (now - started) / done * (len(submissions) - done)
                print(f"graded {done} of {len(submissions)}, {_minutes(left)} left", file=sys.stderr, flush=True)

        marks = grade_all(assignment, submissions, output, workers=arguments.workers, limits=limits, each=each)
    seconds = perf_counter() - started
    _remember(output, assignment, marks)
    _write(assignment, marks, output, arguments.roster)
    print(f"{len(marks)} submissions, {len(marks) - fresh} of them graded before; {seconds:.1f} s")
    if fresh:
        beyond = max(0.0, seconds * min(arguments.workers, fresh) - own) / fresh
        print(f"a submission took {own / fresh:.2f} s of its own computation and {beyond:.2f} s beyond that")


def _minutes(seconds: float) -> str:
    return f"{seconds:.0f} s" if seconds < 90 else f"about {seconds / 60:.0f} min"


def _export(arguments: argparse.Namespace) -> None:
    """Read the marks that `grade` wrote, add the points that a person filled in by_hand.csv, and write all exports."""
    from w2s_lab.assignments.records import Marks

    output = Path(arguments.output)
    try:
        known = json.loads((output / GRADED).read_text(encoding="utf-8"))
    except OSError:
        words = f"there are no marks in {output}; expected a folder that `w2s-lab assignment grade` wrote"
        raise ValueError(words) from None
    paths = [output / "marks" / name for name in known["marks"]]
    marks = [Marks.from_json(json.loads(path.read_text(encoding="utf-8"))) for path in paths]
    _write(_assignment(arguments.master or known["master"], output), marks, output, arguments.roster)


def _remember(output: Path, assignment, marks: list) -> None:
    """What `export` needs: the master, and whose marks belong to it (older ones may lie beside them)."""
    from w2s_lab.assignments.grading.submissions import file_stems
    from w2s_lab.system.files import replacing

    known = {"master": str(assignment.path.resolve()), "marks": [f"{stem}.json" for stem in file_stems(marks)]}
    with replacing(output / GRADED) as new:
        new.write_text(json.dumps(known, indent=1), encoding="utf-8")


def _assignment(master: str | None, folder: Path):
    """The master that was named; else the shipped one whose questions the submissions define.

    Raises:
        ValueError: none fits.
    """
    from w2s_lab.assignments.authoring.master import read_assignment

    if master:
        return read_assignment(Path(master))
    from w2s_lab.assignments.grading.submissions import definitions, find_submissions, read_cells

    written: set[str] = set()
    for submission in find_submissions(folder)[:20]:
        try:
            if submission.path and not submission.problem:
                written |= {name for cell in read_cells(submission.path)[0] for name in definitions(cell)}
        except (ValueError, OSError):
            continue  # its turn to be told comes when it is graded
    shipped = [read_assignment(path) for path in sorted(assets.MASTERS.glob("*.ipynb"))]
    fits = {one: sum(question.name in written for question in one.questions) for one in shipped}
    best = max(fits, key=fits.get, default=None)
    if best is None or 2 * fits[best] < len(best.questions):
        raise ValueError(f"the submissions in {folder} fit none of the kit's own assignments; say --master MASTER")
    return best


def _write(assignment, marks: list, output: Path, roster: str | None) -> None:
    """Everything that people read."""
    from w2s_lab.assignments.marks import by_hand, canvas, exports, feedback, similar, summary
    from w2s_lab.system.files import replacing

    if any(question.by_hand for question in assignment.questions):
        sheet = output / HAND_SHEET
        unread = by_hand.write_hand_sheet(assignment, marks, sheet)  # keeps what was filled in
        marks = by_hand.with_hand_marks(assignment, marks, sheet)
        if unread:
            print(f"{unread} answers to read: fill in the points in {sheet}, then w2s-lab assignment export {output}")
    exports.write_gradebook(assignment, marks, output / "gradebook.csv")
    for line in canvas.write_canvas(assignment, marks, output / "canvas.csv", Path(roster) if roster else None):
        print(f"canvas.csv: {line}")
    exports.write_gradescope(assignment, marks, output / "gradescope")
    feedback.write_feedback(assignment, marks, output / "feedback")
    text = summary.summary_text(assignment, marks, similar.twins(marks, assignment))
    with replacing(output / "summary.txt") as new:
        new.write_text(text + "\n", encoding="utf-8")
    with replacing(output / "distribution.png") as new:
        summary.distribution(assignment, marks).savefig(new, dpi=150)
    print(text)
    print(f"\nFor students: {output / 'feedback'}. The rest shows what hidden checks got back: it is for you alone.")
    for name in ("gradebook.csv", "canvas.csv", "gradescope/", "feedback/", "summary.txt", "distribution.png"):
        print(f"written: {output / name}")
