"""Turns submissions into marks: asks a submission's own process for values, and compares them in another process."""

import builtins
import hashlib
import json
import threading
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, ThreadPoolExecutor, wait
from contextlib import contextmanager
from dataclasses import asdict, replace
from importlib.metadata import version
from pathlib import Path
from time import perf_counter

from w2s_lab.assignments.forms import Form
from w2s_lab.assignments.grading import guards, values
from w2s_lab.assignments.grading.asking import BROKEN, Asking, is_broken
from w2s_lab.assignments.grading.budgets import Budgets
from w2s_lab.assignments.grading.guards import KERNEL, Kernel, Limits
from w2s_lab.assignments.grading.session import Answer, Session
from w2s_lab.assignments.grading.submissions import (
    Submission,
    SubmittedCell,
    definitions,
    file_stems,
    read_bytes,
    read_cells,
    untouched,
)
from w2s_lab.assignments.grading.words import answer_in_words, kind_in_words
from w2s_lab.assignments.marks.csv_files import cut
from w2s_lab.assignments.records import Assignment, Check, Marks, Question, Result
from w2s_lab.system.files import replacing

QUIET = {"AssertionError", "NotImplementedError"}  # a public check that is not met; a stub left alone
KEPT_CODE = 200_000  # characters of a submission's code that its marks keep
NOT_RIGHT = "What came back does not meet it."
PLAIN = (
    "Hint: `given` is plain data: an array is a list, a DataFrame a dict from a column's name to values. What needs "
    "the object itself, such as .equals() or .shape, belongs into the call: call = 'f(x).shape'"
)


class Key:
    """The wanted values, computed once from the master's solutions, in a process of their own."""

    def __init__(self, assignment: Assignment, *, limits: Limits | None = None) -> None:
        """Compute the wanted values.

        Raises:
            ValueError: the master's own solution raises an error, or misses one of its checks.
        """
        self.assignment, self.limits = assignment, limits or Limits()
        self.wanted: dict[str, object] = {}
        self.hidden_builtins: list[str] = []  # to which the master itself gives another meaning
        self.stop = threading.Event()  # once it is set, every thread that waits for a process stops
        self._open: list[Session] = []  # processes of the master: that of the wanted values judges criteria, too
        self._idle: deque[Session] = deque()  # and where two threads judge at once, there is a second one
        try:
            self._compute()
        except BaseException:
            self.__exit__()  # nobody else can: there is no key yet
            raise

    def _compute(self) -> None:
        with self._session() as session:
            self._compute_in(session)

    def _compute_in(self, session: Session) -> None:
        asked: dict[tuple[str, str], Form] = {}
        for check in self.assignment.checks:
            if (check.setup, check.call) not in asked:
                asked[check.setup, check.call] = self._of_master(session, check, check.call)
            given = asked[check.setup, check.call]
            if check.criterion is not None:
                answer = self._criterion(session, check, given)
                if answer.kind or answer.value is not True:
                    raise ValueError(self._named(check, _missed(given, answer)))
                continue
            self.wanted[check.name] = given if check.wanted is None else self._of_master(session, check, check.wanted)
            if not values.same(given, self.wanted[check.name], check.tolerance):
                raise ValueError(self._named(check, _own_miss(given, self.wanted[check.name])))

    def _named(self, check: Check, what: str) -> str:
        return f"{self.assignment.path.name}, check {check.name!r} of {check.question}: {what}"

    @contextmanager
    def _session(self) -> Iterator[Session]:
        """A process in which the master has run, for one thread at a time."""
        try:
            session = self._idle.pop()
        except IndexError:
            session = self._opened()
        try:
            yield session
        finally:
            self._idle.append(session)

    def _opened(self) -> Session:
        session = Session(limits=replace(self.limits, total=float("inf")), stop=self.stop)
        self._open.append(session)
        for number, cell in enumerate(self.assignment.cells, 1):
            answer = session.cell(cell)
            if answer.kind:
                name = self.assignment.path.name
                raise ValueError(f"{name}: code cell {number} fails with the solutions in it: {answer.reason}")
        self.hidden_builtins = sorted(session.defined(dir(builtins)))
        session.watch([], self.hidden_builtins)
        return session

    def _of_master(self, session: Session, check: Check, call: str) -> object:
        answer = session.call(check.setup, call, seconds=check.seconds)
        if answer.kind:
            raise ValueError(self._named(check, f"`{call}` fails with the master's solution: {answer.reason}"))
        return answer.value

    def meets(self, check: Check, given: object) -> bool:
        """Whether a value meets the check's criterion; a criterion that cannot be evaluated is not met."""
        with self._session() as session:
            answer = self._criterion(session, check, given)
        return answer.kind == "" and answer.value is True

    def _criterion(self, session: Session, check: Check, given: object) -> Answer:
        return session.call(check.setup, check.criterion, seconds=check.seconds, given=given)

    def compare(self, check: Check, given: object) -> tuple[bool, str]:
        """Whether a value is right, and if not, why, in words for its student."""
        if check.criterion is not None:
            return (True, "") if self.meets(check, given) else (False, NOT_RIGHT)
        wanted = self.wanted[check.name]
        if values.same(given, wanted, check.tolerance):
            return True, ""
        return False, "" if check.hidden else values.explain_difference(given, wanted)

    def __enter__(self) -> "Key":
        return self

    def __exit__(self, *_: object) -> None:
        for session in self._open:
            session.close()


def _missed(given: Form, answer: Answer) -> str:
    """Why the master's own answer does not meet a criterion."""
    words = f"the master's own answer, {values.short(given)}, misses it"
    if not answer.kind and answer.value is False:
        return words
    what = f"fails: {answer.reason}" if answer.kind else f"gives {values.short(answer.value)}, expected True or False"
    return f"{words}; the criterion {what}. {PLAIN}"


def _own_miss(given: Form, wanted: Form) -> str:
    texts = values.short(given), values.short(wanted)
    if values.look_alike(*texts):
        return f"the master's own solution misses it. {values.explain_difference(given, wanted)}"
    return f"the master's own solution gives {texts[0]}, wanted is {texts[1]}"


def grade_one(submission: Submission, key: Key, *, kernel: Kernel = KERNEL) -> Marks:
    """The marks of one submission. Nothing that it does raises an error here; its marks say what cost it points."""
    started = perf_counter()
    marks = Marks(submission.student, submission.file, (), submission.notes)
    problem, cells = submission.problem, []
    if not problem:
        try:
            cells, more = read_cells(submission.path)
            marks = replace(marks, notes=(*marks.notes, *more))
        except (ValueError, OSError) as error:
            problem = str(error)
    if problem:
        return _nothing(
            marks, key.assignment, "the notebook could not be graded", f"Nothing could be graded: {problem}."
        )
    with Session(limits=key.limits, kernel=kernel, stop=key.stop) as session:
        budgets = Budgets(key.assignment, key.limits)
        session.watch(_watched(key.assignment, cells), key.hidden_builtins)
        notes = _run(cells, session, budgets, key.assignment)
        missing, more = _match(key.assignment, cells, session)
        parts = list(_parts(key.assignment))
        # Public ones first: nothing that a hidden call told a submission can come out in what is said of a public one.
        order = sorted(range(len(parts)), key=lambda place: isinstance(parts[place], Check) and parts[place].hidden)
        asking = Asking(session, budgets, key.compare)
        results = {place: _result(parts[place], cells, missing, asking, key) for place in order}
    code = tuple(cell.source for cell in cells if cell.kind == "code")
    return replace(
        marks,
        results=tuple(results[place] for place in range(len(parts))),
        notes=(*marks.notes, *more, *notes),
        own_seconds=session.own_seconds,
        seconds=perf_counter() - started,
        code=code if sum(map(len, code)) <= KEPT_CODE else (),
    )


def _not_code(question: Question, cells: Sequence[SubmittedCell]) -> str:
    """Where a question's answer stands in a cell that is no code cell: "a Markdown cell", "a raw cell"; else ""."""
    for cell in cells:
        if cell.kind != "code" and cell.source.strip():
            written = definitions(replace(cell, kind="code"))
            if question.name in written or (cell.grade_id == question.cell and written):
                return kind_in_words(cell)
    return ""


def _parts(assignment: Assignment) -> Iterator[Check | Question]:
    """Checks, and questions that are read by hand, in the notebook's order."""
    for question in assignment.questions:
        if question.by_hand:
            yield question
        else:
            yield from assignment.checks_of(question.name)


def _result(
    part: Check | Question, cells: Sequence[SubmittedCell], missing: dict[str, str], asking: Asking, key: Key
) -> Result:
    if isinstance(part, Question):
        return answer_in_words(part, cells, key.assignment)
    if part.question in missing:
        return _not_graded(part, missing[part.question])
    return asking.result(part)


def _not_graded(part: Check | Question, why: str) -> Result:
    if isinstance(part, Question):
        return Result(part.title or part.name, part.name, "failed", 0.0, part.points, says=why)
    return Result(part.name, part.question, "failed", 0.0, part.points, part.hidden, why, part.hint)


def _nothing(marks: Marks, assignment: Assignment, says: str, note: str) -> Marks:
    """Marks without a point, for one reason."""
    results = tuple(_not_graded(part, says) for part in _parts(assignment))
    return replace(marks, results=results, notes=(note, *marks.notes))


def _run(cells: Sequence[SubmittedCell], session: Session, budgets: Budgets, assignment: Assignment) -> list[str]:
    """Run all code cells; returns what went wrong, for the student. Nothing is said about given cells of checks that
    fail, since their checks are graded anyway. Answers in words do not run."""
    notes, number, repeated = [], 0, set()
    words = {question.cell: question.name for question in assignment.questions if question.by_hand}
    for place, cell in enumerate(cells):
        if cell.kind != "code":
            continue
        number += 1
        if not cell.source.strip():
            continue
        if cell.grade_id in words:
            notes.append(
                f"The answer in words `{words[cell.grade_id]}` is in a code cell; a person reads it all the same."
            )
            continue
        if cell.source in repeated:
            notes.append(f"Code cell {number} is the same as one that was left out, and was left out too.")
            continue
        keep = budgets.named(cell) if budgets.given(cell) else ()
        answer = session.cell(cell.source, seconds=budgets.of_cell(cell), place=place, keep=sorted(keep))
        if answer.stopped:
            budgets.stopped(budgets.question(cell))
        if answer.kind in ("", "raised"):
            if answer.kind and answer.error not in QUIET and not budgets.given(cell):
                notes.append(f"Code cell {number} ({_begin(cell)}) failed: {answer.reason}.")
        else:
            repeated.add(cell.source)
            rest = "was stopped on its way, and what it had done counts" if answer.ended else "was left out"
            notes.append(f"Code cell {number} ({_begin(cell)}) {rest}: {answer.reason}.")
    return notes


def _watched(assignment: Assignment, cells: Sequence[SubmittedCell]) -> list[str]:
    """Names that hold answers: those of the questions, and others that are defined in a question's own cell."""
    names = [question.name for question in assignment.questions if not question.by_hand]
    return [*names, *(other for question in assignment.questions for other in _others(question, cells, names))]


def _others(question: Question, cells: Sequence[SubmittedCell], names: Sequence[str]) -> list[str]:
    own = next((cell for cell in cells if cell.grade_id == question.cell), None)
    return [name for name in definitions(own) if name not in names and name not in dir(builtins)] if own else []


def _begin(cell: SubmittedCell) -> str:
    return cut(next(line for line in cell.source.splitlines() if line.strip()).strip(), 50)


def _match(
    assignment: Assignment, cells: Sequence[SubmittedCell], session: Session
) -> tuple[dict[str, str], list[str]]:
    """The questions that the submission does not define, each with the reason. A question is found by its name, or else
    by its cell's id."""
    asked = [question for question in assignment.questions if not question.by_hand]
    names = [question.name for question in asked]
    defined = session.defined(names)
    written = {name for cell in cells for name in definitions(cell)}
    # A submission says itself what it defines, so its places need not be places of cells.
    stubs = {
        name
        for name, (place, empty) in defined.items()
        if empty and 0 <= place < len(cells) and name in untouched(cells[place])
    }
    missing, notes = {}, []
    for question in asked:
        name, asleep = question.name, _not_code(question, cells)
        if asleep and (name in stubs or name not in defined):
            missing[name] = f"it is in {asleep}, which does not run. Turn the cell into code and hand in again"
        elif name in stubs:
            missing[name] = "nothing is written there yet"
        if name in defined or name in missing:
            continue
        others = _others(question, cells, names)
        if len(others) == 1 and session.defined(others):
            session.alias(name, others[0])
            notes.append(f"`{name}` is named `{others[0]}` in the notebook; it was graded all the same.")
        elif name in written:
            missing[name] = f"the cell that defines `{name}` did not run to its end"
        else:
            missing[name] = f"there is no `{name}` in the notebook"
    return missing, notes


# -- all of them -------------------------------------------------------------------------------------------------------


def grade_all(
    assignment: Assignment,
    submissions: Sequence[Submission],
    output: Path,
    *,
    workers: int = 2,
    limits: Limits | None = None,
    each: Callable[[Marks, bool], None] | None = None,
) -> list[Marks]:
    """Grade submissions in parallel; returns their marks in order, with those of an earlier run where nothing changed.

    Args:
        output: `marks/STUDENT.json` is written there when a submission is done.
        workers: how many submissions are graded at once.
        each: called with (marks, whether they come from an earlier run) after each submission.

    Raises:
        ValueError: the master does not pass its own checks.
        OSError: a process could not be started, or a file not be written.
    """
    guards.not_dumpable()
    limits = limits or Limits()
    folder = output / "marks"
    folder.mkdir(parents=True, exist_ok=True)
    done: dict[int, Marks] = {}
    with Key(assignment, limits=limits) as key, ThreadPoolExecutor(workers) as pool:

        def one(submission: Submission, stem: str) -> tuple[Marks, bool]:
            digest, place = _digest(submission, assignment, limits), folder / f"{stem}.json"
            earlier = _earlier(place, digest)
            if earlier:
                return earlier, True
            try:
                marks = grade_one(submission, key)
                marks = marks if any(map(is_broken, marks.results)) else replace(marks, digest=digest)
            except OSError:  # no process or no space: the next submission would fail too
                raise
            except (
                Exception
            ) as error:  # an error of the grader: the others are graded, and this one is tried again next time
                marks = Marks(submission.student, submission.file, (), submission.notes)
                # A student reads the note, and the error may hold what a hidden check called with: that is for `given`.
                note = "The grader itself failed; your instructor sees why."
                marks = _nothing(marks, assignment, "the grader itself failed here; grade again, or by hand", note)
                given = f"{BROKEN}{type(error).__name__}: {error}"
                marks = replace(marks, results=tuple(replace(result, given=given) for result in marks.results))
            with replacing(place) as new:
                new.write_text(json.dumps(marks.to_json(), indent=1), encoding="utf-8")
            return marks, False

        named = zip(submissions, file_stems(submissions), strict=True)
        waiting = {pool.submit(one, *pair): place for place, pair in enumerate(named)}
        try:
            while waiting:
                ended, _ = wait(waiting, return_when=FIRST_COMPLETED)
                for future in ended:
                    place = waiting.pop(future)
                    done[place], again = future.result()
                    if each:
                        each(done[place], again)
        except BaseException:  # Ctrl-C above all: work in progress is dropped, finished marks are kept
            key.stop.set()
            pool.shutdown(cancel_futures=True)
            raise
    return [done[place] for place in range(len(submissions))]


def _digest(submission: Submission, assignment: Assignment, limits: Limits) -> str:
    """A digest of everything that marks depend on."""
    facts = [asdict(assignment) | {"path": ""}, asdict(limits), version("torch"), version(__name__.partition(".")[0])]
    found = hashlib.sha256(json.dumps([*facts, asdict(replace(submission, path=None))]).encode())
    if submission.path and not submission.problem:
        try:
            found.update(read_bytes(submission.path))
        except OSError as error:
            found.update(str(error).encode())
    return found.hexdigest()


def _earlier(place: Path, digest: str) -> Marks | None:
    try:
        marks = Marks.from_json(json.loads(place.read_text(encoding="utf-8")))
    except (OSError, ValueError, KeyError, TypeError):
        return None
    return marks if marks.digest == digest else None
