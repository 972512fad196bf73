"""What a learner has done, in one local file that can be read, moved and deleted."""

import json
from dataclasses import dataclass, field
from pathlib import Path

from w2s_lab import assets
from w2s_lab.system.files import replacing


@dataclass
class LearnerProgress:
    """Everything that is stored about a learner: exercises, quiz questions and predictions, by their ids.

    Attributes:
        path: of the file.
        exercises: id -> {"tries", "done", "hints"}.
        questions: id -> {"tries", "right"}.
        predictions: id -> the option chosen.
    """

    path: Path
    exercises: dict[str, dict] = field(default_factory=dict)
    questions: dict[str, dict] = field(default_factory=dict)
    predictions: dict[str, str] = field(default_factory=dict)

    def exercise(self, name: str) -> dict:
        return self.exercises.setdefault(name, {"tries": 0, "done": False, "hints": 0})

    def question(self, name: str) -> dict:
        return self.questions.setdefault(name, {"tries": 0, "right": False})

    def save(self) -> None:
        """Write the file, whole or not at all."""
        facts = {"exercises": self.exercises, "questions": self.questions, "predictions": self.predictions}
        with replacing(self.path) as new:
            new.write_text(json.dumps(facts, indent=1, ensure_ascii=False), encoding="utf-8")


def load_progress(path: Path | None = None) -> LearnerProgress:
    """The stored progress, or an empty one where there is no file.

    Raises:
        ValueError: the file is not a progress file; nothing is overwritten.
    """
    path = path or assets.progress_file()
    if not path.exists():
        return LearnerProgress(path)
    try:
        facts = json.loads(path.read_text(encoding="utf-8"))
        return LearnerProgress(path, **{name: dict(facts[name]) for name in ("exercises", "questions", "predictions")})
    except (ValueError, KeyError, TypeError) as error:
        raise ValueError(
            f"{path} is not a progress file of this kit ({error}). Hint: move it away, or delete it, to start afresh"
        ) from error


def reset_progress() -> str:
    """Delete the progress; the returned text says what was deleted."""
    path = assets.progress_file()
    if not path.exists():
        return "There was nothing to forget."
    path.unlink()
    return f"Forgotten: {path.name} is deleted, and all notebooks start afresh."
