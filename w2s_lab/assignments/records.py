"""The records of an assignment and of its marks, which the other modules pass around."""

from dataclasses import asdict, dataclass, field
from pathlib import Path

SECONDS = 10.0  # for one check
TOLERANCE = 1e-6  # absolute and relative, of numbers
UNREAD = "to read"  # the state of an answer in words that nobody has read yet
# All that a student is told of a hidden check that was asked, by its state: nothing that a submission can vary.
HIDDEN_SAYS = {
    "right": "",
    "wrong": "A value came back, and it is not the right one.",
    "failed": "No value came back that can be compared.",
}


@dataclass(frozen=True)
class Check:
    """One call into a submission, and what should come back.

    The submission's own process runs the call. Another process computes the wanted value from the master's solutions.
    The grader compares the two as plain data (see `equality`), so no submission ever sees an expected value.

    Attributes:
        name: unique in its assignment; students read it, so it must not give the answer away.
        question: name of its question.
        call: a Python expression over the names that the submission defines, such as `loss(torch.zeros(3))`.
        wanted: a Python expression, evaluated with the names of the master's solutions; None: the call itself. Unused
            with `criterion`.
        criterion: a Python expression that is True for a good answer, which it calls `given` (an ordinary Python
            value); for questions with many right answers.
        setup: statements that run before the call, in both processes.
        points: earned if the check is met.
        seconds: limit of the call and its setup.
        tolerance: of numbers, absolute and relative.
        hidden: not in the student version; its call, values and errors are never shown, only whether it is met.
        hint: what a student reads if the check is not met.
    """

    name: str
    question: str
    call: str
    wanted: str | None = None
    criterion: str | None = None
    setup: str = ""
    points: float = 1.0
    seconds: float = SECONDS
    tolerance: float = TOLERANCE
    hidden: bool = False
    hint: str = ""


@dataclass(frozen=True)
class Question:
    """One thing to write.

    Attributes:
        name: the function or variable that a submission has to define; for an answer in words, the cell's id.
        cell: `grade_id` of its cell, the second way to find it.
        points: of all its checks together, or those given by hand.
        minutes: estimated time for a student; None: not given.
        by_hand: an answer in words, which a person reads.
        title: for people; by default the name.
    """

    name: str
    cell: str
    points: float
    minutes: float | None = None
    by_hand: bool = False
    title: str = ""


@dataclass(frozen=True)
class Assignment:
    """An assignment, as read from its master.

    Attributes:
        name: file name of the master without its ending.
        title: first heading.
        path: the master.
        questions: in the notebook's order.
        checks: in the questions' order.
        cells: source of each code cell with its solution, without the cells of checks; the wanted values are computed
            with the names that they define.
        given: what students get in each cell, whatever its type: the text without solutions and hidden checks.
        minutes: estimated time for the whole assignment; None: not given.
    """

    name: str
    title: str
    path: Path
    questions: tuple[Question, ...]
    checks: tuple[Check, ...]
    cells: tuple[str, ...]
    minutes: float | None = None
    given: tuple[str, ...] = ()

    @property
    def points(self) -> float:
        return sum(question.points for question in self.questions)

    def question(self, name: str) -> Question:
        return next(question for question in self.questions if question.name == name)

    def checks_of(self, question: str) -> tuple[Check, ...]:
        return tuple(check for check in self.checks if check.question == question)


@dataclass(frozen=True)
class Result:
    """The outcome of one check, or of one answer in words.

    Attributes:
        check: its name.
        question: name of its question.
        state: "right"; "wrong": another value came back; "failed": nothing came back; "to read": by hand.
        points: earned.
        of: the most that can be earned.
        hidden: as the check.
        says: for the student, in words: what was wrong, and which kind of value was expected; of a hidden check
            that was asked, one of `HIDDEN_SAYS`.
        hint: the check's, for the student.
        given: for the instructor only: what came back, as text cut to some hundred characters; if nothing came back,
            the reason; for an answer in words, the answer.
    """

    check: str
    question: str
    state: str
    points: float
    of: float
    hidden: bool = False
    says: str = ""
    hint: str = ""
    given: str = ""


@dataclass(frozen=True)
class Marks:
    """One graded submission.

    Attributes:
        student: name of its folder, or of its file.
        file: its notebook, relative to the folder of submissions.
        results: in the assignment's order.
        notes: what a student should know besides the checks: cells that failed, a file that could not be read.
        digest: of the submission, the checks and the grader; equal digests mean equal marks.
        own_seconds: time that the submission's own code took.
        seconds: time that grading it took in all.
    """

    student: str
    file: str
    results: tuple[Result, ...]
    notes: tuple[str, ...] = ()
    digest: str = ""
    own_seconds: float = 0.0
    seconds: float = 0.0
    code: tuple[str, ...] = field(default=(), repr=False)  # code cells as submitted, for the search for twins

    @property
    def points(self) -> float:
        return sum(result.points for result in self.results)

    @property
    def of(self) -> float:
        return sum(result.of for result in self.results)

    def question(self, name: str) -> tuple[float, float]:
        """Points earned, and the most that can be earned."""
        own = [result for result in self.results if result.question == name]
        return sum(result.points for result in own), sum(result.of for result in own)

    def to_json(self) -> dict:
        return asdict(self)

    @classmethod
    def from_json(cls, record: dict) -> "Marks":
        results = tuple(Result(**result) for result in record["results"])
        rest = {name: tuple(record[name]) for name in ("notes", "code")}
        return cls(**{**record, **rest, "results": results})
