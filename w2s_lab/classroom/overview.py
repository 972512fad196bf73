"""What is done and what is still open, per notebook."""

from collections.abc import Sequence

from w2s_lab import assets
from w2s_lab.classroom.exercises import NOTEBOOKS
from w2s_lab.classroom.progress import LearnerProgress, known
from w2s_lab.classroom.quizzes import load_quiz
from w2s_lab.classroom.toolkit.panel import Panel, View, table


def counts(progress: LearnerProgress) -> list[tuple[str, str, int, int, int, int]]:
    """For each notebook: number, title, exercises done, exercises, questions answered right, questions."""
    found = []
    for path in sorted(assets.QUIZZES.glob("*.json")):
        quiz = load_quiz(path.stem)
        names = [step["id"] for question in quiz["questions"] for step in question.get("steps", [question])]
        exercises = NOTEBOOKS.get(path.stem, ())
        done = sum(progress.exercises.get(name, {}).get("done", False) for name in exercises)
        right = sum(progress.questions.get(name, {}).get("right", False) for name in names)
        found.append((path.stem, quiz["title"], done, len(exercises), right, len(names)))
    return found


def _bar(done: int, of: int) -> str:
    return f"{'●' * done}{'○' * (of - done)} {done} of {of}" if of else "none"


def my_progress() -> Panel:
    """A table of exercises and quiz questions done, read from the local progress file."""

    def draw() -> View:
        rows: Sequence[tuple] = counts(known())
        done, of, right, asked = (sum(row[place] for row in rows) for place in (2, 3, 4, 5))
        html = table(
            ("notebook", "exercises", "quiz questions"),
            [(f"{number} · {title}", _bar(a, b), _bar(c, d)) for number, title, a, b, c, d in rows],
        )
        return View(f"{done} of {of} exercises done, {right} of {asked} quiz questions answered right.", html=html)

    return Panel("Your progress", {}, draw)
