"""Asks a submission for the values that its checks judge, and says what came of each check."""

from collections.abc import Callable
from dataclasses import replace

from w2s_lab.assignments.forms import Form
from w2s_lab.assignments.grading import values
from w2s_lab.assignments.grading.budgets import Budgets
from w2s_lab.assignments.grading.session import Answer, Session
from w2s_lab.assignments.records import HIDDEN_SAYS, Check, Result

UNCOMPARED = "The grader could not compare what came back; your instructor sees why."
BROKEN = "the grader itself failed: "  # begins what the instructor sees of such a check


class Asking:
    """Asks one submission for its values. Checks with the same setup and call are asked once and judge the same value,
    so nothing is gained by an answer that changes from call to call."""

    def __init__(self, session: Session, budgets: Budgets, compare: Callable[[Check, Form], tuple[bool, str]]) -> None:
        """`compare` says whether a value meets a check, and if not, why."""
        self._session, self._budgets, self._compare = session, budgets, compare
        self._answers: dict[tuple[str, str], Answer] = {}

    def _answer(self, check: Check) -> Answer:
        asked = check.setup, check.call
        if asked not in self._answers:
            seconds = self._budgets.of_call(check)
            answer = self._session.call(*asked, seconds=seconds, question=check.question)
            self._answers[asked] = answer
            if answer.stopped:
                self._budgets.stopped(check.question)
        return self._answers[asked]

    def result(self, check: Check) -> Result:
        """The result of a check. An error of the grader's own costs this check, not the submission."""
        result = Result(check.name, check.question, "right", check.points, check.points, check.hidden)
        answer = self._answer(check)
        if answer.kind:
            state, says, given = "failed", _why(answer), answer.reason or answer.kind
        else:
            try:
                right, says = self._compare(check, answer.value)
                state, given = "right" if right else "wrong", values.short(answer.value)
            except OSError:  # no process or no space: the next check would fail too
                raise
            except Exception as error:
                state, says, given = "failed", UNCOMPARED, f"{BROKEN}{type(error).__name__}: {error}"
        if state == "right":
            return replace(result, given=given)
        says = HIDDEN_SAYS[state] if check.hidden else says
        return replace(result, state=state, points=0.0, says=says, hint=check.hint, given=given)


def _why(answer: Answer) -> str:
    """Why nothing came back, of a public check."""
    return f"Your code raised {answer.reason}." if answer.error else f"No answer: {answer.reason}."


def is_broken(result: Result) -> bool:
    """Whether the grader itself failed there."""
    return result.state == "failed" and result.given.startswith(BROKEN)
