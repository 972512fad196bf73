"""Exercises in a notebook: the verdict on a function, with hints and solution; and that function, to go on with."""

import re
import warnings
from collections.abc import Callable
from html import escape

import ipywidgets as widgets
from IPython import get_ipython
from IPython.display import display

from w2s_lab.classroom.exercises import EXERCISES
from w2s_lab.classroom.exercises.exercise import Exercise
from w2s_lab.classroom.exercises.judging import Verdict, judge
from w2s_lab.classroom.progress import LearnerProgress, known, remember
from w2s_lab.classroom.toolkit.care import CARE, CLASS
from w2s_lab.classroom.toolkit.panel import MAX_WIDTH, guarded, with_fallback

TRIES = 3  # without success, then the solution may be seen
READ = "font-size:15px;line-height:1.45"
FAILING = "failing_input"  # the notebook's variable with the arguments for which a function is wrong


class VerdictView(widgets.VBox):
    """A verdict, with the buttons Hint and Solution below it."""

    def __init__(self, exercise: Exercise, verdict: Verdict) -> None:
        self.exercise, self.verdict = exercise, verdict
        self._kept = _keep_input(exercise, verdict)
        self._head, self._more = widgets.HTML(), widgets.HTML()
        self._hint = widgets.Button(description="Hint")
        self._solution = widgets.Button(description="Solution")
        self._hint.on_click(guarded(lambda _: self.hint(), self._more))
        self._solution.on_click(guarded(lambda _: self.solution(), self._more))
        self._remember()
        self._head.value = CARE + self.html
        self._label_buttons()
        box = widgets.HBox([self._hint, self._solution])
        super().__init__([self._head, box, self._more], layout=widgets.Layout(max_width=MAX_WIDTH))
        self.add_class(CLASS)

    def _remember(self) -> None:
        def change(progress: LearnerProgress) -> None:
            facts = progress.exercise(self.exercise.id)
            facts["tries"] += 1
            facts["done"] = facts["done"] or self.verdict.state == "right"

        if self.verdict.state != "not attempted yet" and (words := remember(change)):
            warnings.warn(words, stacklevel=4)

    def _facts(self) -> dict:
        return known().exercise(self.exercise.id)

    @property
    def text(self) -> str:
        """The verdict in a line."""
        sign = {"right": "✓ Right", "wrong": "✗ Not yet"}.get(self.verdict.state, "· Not attempted yet")
        kept = f" {self._kept}" if self._kept else ""
        return f"{sign} ({self.exercise.id}). {self.verdict.says}{kept}"

    @property
    def html(self) -> str:
        color = {"right": "#009E73", "wrong": "#D55E00"}.get(self.verdict.state, "#888888")
        box = f"border-left:5px solid {color};padding:6px 12px;{READ}"
        sign, _, rest = self.text.partition(" (")
        return f'<div role="status" style="{box}"><b>{escape(sign)}</b> ({_marked(rest)}</div>'

    def _label_buttons(self) -> None:
        facts, total = self._facts(), len(self.exercise.hints)
        self._hint.description = f"Hint ({min(facts['hints'], total)} of {total} seen)"
        self._hint.layout.width = "170px"
        self._hint.disabled = not total
        left = self.tries_left
        more = f" (after {left} more tr{'y' if left == 1 else 'ies'})" if left else ""
        self._solution.description = f"Solution{more}"
        self._solution.layout.width = "230px"

    @property
    def tries_left(self) -> int:
        """Tries before the solution may be seen; 0 after success."""
        facts = self._facts()
        return 0 if facts["done"] else max(0, TRIES - facts["tries"])

    def hint(self) -> str:
        """Show the next hint, or all of them again."""
        count = min(self._facts()["hints"] + 1, len(self.exercise.hints))
        seen = self.exercise.hints[:count]
        words = remember(lambda progress: progress.exercise(self.exercise.id).update(hints=count))
        found = "".join(f"<p><b>Hint {i}.</b> {hint}</p>" for i, hint in enumerate(seen, 1))
        self._tell(found + (f"<p>{escape(words)}</p>" if words else ""))
        self._label_buttons()
        return "\n".join(seen)

    def _tell(self, html: str) -> None:
        """Show what a button was pressed for; a screen reader reads it out."""
        self._more.value = f'<div role="status" style="{READ}">{html}</div>'

    def solution(self) -> str:
        """Show the solution after success or three tries; before that, say how many remain."""
        if self.tries_left:
            found = f"The solution opens after success, or after {self.tries_left} more attempts with code of your own."
            self._tell(f"<p>{found}</p>")
        else:
            found = self.exercise.solution
            self._tell(f"<p>One way to write it:</p><pre>{escape(found)}</pre>")
        return found

    def _repr_mimebundle_(self, **options: object) -> dict:
        return with_fallback(super()._repr_mimebundle_(**options), self.text)


def _keep_input(exercise: Exercise, verdict: Verdict) -> str:
    """Put the arguments that went wrong into the notebook as a variable; the returned sentence says so."""
    shell = get_ipython()
    if shell is None or not verdict.input:
        return ""
    shell.user_ns[FAILING] = verdict.input
    return f"To look at it: `{FAILING}` holds the input, and `{exercise.id}(*{FAILING})` gives what you return."


def _marked(words: str) -> str:
    """HTML, with what stands between backticks as code."""
    return re.sub(r"`([^`]+)`", r"<code>\1</code>", escape(words))


def check(function: Callable, name: str | None = None) -> VerdictView:
    """Check a learner's function of the exercise with its name, and remember the try.

    Raises:
        ValueError: there is no exercise of that name.
    """
    name = name or getattr(function, "__name__", str(function))
    if name not in EXERCISES:
        known = ", ".join(EXERCISES)
        raise ValueError(f"there is no exercise {name!r}: a function keeps the name of its stub. All: {known}")
    return VerdictView(EXERCISES[name], judge(EXERCISES[name], function))


def yours(function: Callable, name: str | None = None) -> Callable:
    """The learner's function if it passes its check, to go on with; until then the kit's solution. A line says which.

    Nothing is remembered as a try.

    Raises:
        ValueError: there is no exercise of that name.
    """
    name = name or getattr(function, "__name__", str(function))
    if name not in EXERCISES:
        raise ValueError(f"there is no exercise {name!r}; expected one of {', '.join(EXERCISES)}")
    exercise = EXERCISES[name]
    if judge(exercise, function).state == "right":
        _say(f"Your own {name} is at work from here on.")
        return function
    _say(f"The kit's {name} stands in until yours passes its check.")
    return exercise.answer


def _say(words: str) -> None:
    """A line below the cell."""
    display({"text/plain": words}, raw=True)
