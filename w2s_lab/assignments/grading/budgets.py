"""How long each part of a submission may compute, so that a loop costs its question and nobody else's."""

import re
from collections import Counter

from w2s_lab.assignments.grading.guards import Limits
from w2s_lab.assignments.grading.submissions import SubmittedCell, definitions
from w2s_lab.assignments.records import Assignment, Check

MOST_STOPS = 4  # of one answer; then no check asks it any more


class Budgets:
    """The seconds of one submission's questions.

    Each time that code of a question has to be stopped, what comes next of this question gets half as long: what hangs
    for one input may be right for others, and what hangs for all soon costs nothing.
    """

    def __init__(self, assignment: Assignment, limits: Limits) -> None:
        self._assignment, self._limits = assignment, limits
        self._names = {question.name for question in assignment.questions if not question.by_hand}
        self._own = {question.cell: question.name for question in assignment.questions}
        self._given = {text.strip() for text in assignment.given}
        self._stops: Counter[str] = Counter()
        self._seconds: dict[tuple[str, str], float] = {}  # of checks that are asked once, the longest
        for check in assignment.checks:
            self._seconds[_asked(check)] = max(check.seconds, self._seconds.get(_asked(check), 0.0))

    def question(self, cell: SubmittedCell) -> str:
        """The question whose code a cell runs; "" for none or several."""
        if cell.grade_id in self._own:
            return self._own[cell.grade_id]
        named = self.named(cell)
        defined = named & set(definitions(cell))
        return min(defined or named) if len(defined or named) == 1 else ""

    def named(self, cell: SubmittedCell) -> set[str]:
        """The questions whose names stand in a cell."""
        return self._names & set(re.findall(r"\w+", cell.source))

    def given(self, cell: SubmittedCell) -> bool:
        """Whether a cell is one of the handout's that no question is written in, such as one of public checks."""
        return cell.grade_id not in self._own and bool(cell.grade_id or cell.source.strip() in self._given)

    def of_cell(self, cell: SubmittedCell) -> float:
        """Seconds of a cell. Public checks get what their calls get; a new answer begins anew."""
        question, most = self.question(cell), self._limits.cell
        if question in definitions(cell):
            self._stops[question] = 0
        if question and self.given(cell):
            public = {_asked(check) for check in self._assignment.checks_of(question) if not check.hidden}
            most = min(most, sum(self._seconds[asked] for asked in public) or most)
        return most / 2 ** self._stops[question]

    def of_call(self, check: Check) -> float:
        """Seconds of a check's call; 0: it is not asked."""
        stops = self._stops[check.question]
        return self._seconds[_asked(check)] / 2**stops if stops < MOST_STOPS else 0.0

    def stopped(self, question: str) -> None:
        """Code of a question had to be stopped; "": of none that is known."""
        if question:
            self._stops[question] += 1


def _asked(check: Check) -> tuple[str, str]:
    return check.setup, check.call
