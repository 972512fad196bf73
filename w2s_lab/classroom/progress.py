"""What a learner has done, in one local file that can be read, moved and deleted.

Nothing that remembers stops the teaching: `known` and `remember` raise no error. Where a file cannot be read or
written, they say so once and take the learner's own folder; where that fails too, they remember until the kernel ends.
"""

import contextlib
import json
import os
import warnings
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path

from w2s_lab import assets
from w2s_lab.system.files import replacing

SHAPE = {
    "exercises": {"tries": int, "done": bool, "hints": int},
    "questions": {"tries": int, "right": bool},
    "predictions": (str, int, float, type(None)),
}


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
        """Write the file, whole or not at all.

        Raises:
            OSError: it cannot be written.
        """
        facts = {"exercises": self.exercises, "questions": self.questions, "predictions": self.predictions}
        text = json.dumps(facts, indent=1, ensure_ascii=False, default=str)
        with replacing(self.path) as new:
            new.write_bytes(text.encode("utf-8", "backslashreplace"))  # half a character, as \ud83d, is legal in JSON


def load_progress(path: Path | None = None) -> LearnerProgress:
    """The stored progress, or an empty one where there is no file.

    Raises:
        ValueError: the file is not a progress file; nothing is overwritten.
        OSError: it cannot be read.
    """
    path = path or assets.progress_file()
    try:
        facts = json.loads(path.read_text(encoding="utf-8"))
        return LearnerProgress(path, **{name: _rows(facts[name], row) for name, row in SHAPE.items()})
    except (FileNotFoundError, NotADirectoryError):
        return LearnerProgress(path)
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise ValueError(
            f"{path} is not a progress file of this kit ({error}). Hint: move it away, or delete it, to start afresh"
        ) from error


def _rows(found: object, row: dict[str, type] | tuple[type, ...]) -> dict:
    """`found`, if it is a dictionary of such rows."""
    if not isinstance(found, dict):
        raise TypeError(f"a {type(found).__name__} where names and values were expected")
    for name, value in found.items():
        parts, kind = (row, dict) if isinstance(row, dict) else ({}, row)
        if not isinstance(value, kind) or not all(isinstance(value.get(part), parts[part]) for part in parts):
            raise TypeError(f"the entry {name!r} is {value!r:.60}")
    return found


_unsaved: dict[Path, LearnerProgress] = {}  # what could not be written, by the file where it would be
_nowhere = LearnerProgress(Path(assets.PLACES["progress"][0]))  # where there is no file at all
_said: set[str] = set()


def known() -> LearnerProgress:
    """The learner's progress, from the first of their files that can be read; it raises no error."""
    found, words = _find()
    if words:
        warnings.warn(words, stacklevel=3)
    return found


def remember(change: Callable[[LearnerProgress], object]) -> str:
    """Change the learner's progress and save it; it raises no error of the disk.

    Returns:
        A sentence for the learner where something is wrong, the first time that it is; mostly "".
    """
    found, words = _find()
    change(found)
    if found is _nowhere:
        return words
    try:
        found.save()
        _unsaved.pop(found.path, None)
    except (OSError, ValueError) as error:
        _unsaved[found.path] = found
        reason = getattr(error.__cause__, "strerror", None) or first_line(error)
        words += _once(
            f"{found.path} cannot be written ({reason}), so your progress is kept only until this notebook's kernel "
            f"ends. Hint: the environment variable {assets.PROGRESS_VARIABLE} names another file"
        )
    return words


def first_line(error: BaseException) -> str:
    """The first line of an error, cut to what fits in a sentence."""
    return (str(error).splitlines() or [type(error).__name__])[0].rstrip(".")[:600]


def _find() -> tuple[LearnerProgress, str]:
    """The progress, and what is to be said about its file."""
    places, words, note = [], "", ""
    try:
        place, note = assets.usable("progress")
        words = _once(note)
        places.append(place)
    except ValueError as error:
        words = _once(str(error))
    with contextlib.suppress(RuntimeError):
        places.append(assets.own_place("progress"))
    for place in places:
        if place in _unsaved:
            return _joined(_unsaved[place]), words
        try:
            found = load_progress(place)
        except (OSError, ValueError) as error:
            instead = places[-1] if place != places[-1] else "the memory of this notebook's kernel"
            variable = "" if assets.PROGRESS_VARIABLE in words else f" (${assets.PROGRESS_VARIABLE} names another file)"
            words += _once(f"{first_line(error)}. Meanwhile your progress is kept in {instead}{variable}. ")
            continue
        return (_from_named(place) if note and not place.exists() else found), words
    return _nowhere, words


def _joined(unsaved: LearnerProgress) -> LearnerProgress:
    """What could not be written, with what another notebook has written in the same file meanwhile."""
    with contextlib.suppress(OSError, ValueError):
        stored = load_progress(unsaved.path)
        for kind, row in SHAPE.items():
            own = getattr(unsaved, kind)
            for name, value in getattr(stored, kind).items():
                kept = own.setdefault(name, value)
                if isinstance(row, dict):
                    kept |= {part: max(kept[part], value[part]) for part in row}
    return unsaved


def _from_named(place: Path) -> LearnerProgress:
    """A new file begins with what the learner has in the named one, which cannot be written; not with a teacher's."""
    with contextlib.suppress(OSError, ValueError):
        named = assets.named_place("progress")
        if not hasattr(os, "geteuid") or named.stat().st_uid == os.geteuid():
            return replace(load_progress(named), path=place)
    return LearnerProgress(place)


def _once(words: str) -> str:
    if words in _said:
        return ""
    _said.add(words)
    return words


def reset_progress() -> str:
    """Delete the progress; the returned text says what was deleted, or why it could not be."""
    path = _find()[0].path
    _unsaved.clear()
    for kind in SHAPE:
        getattr(_nowhere, kind).clear()
    try:
        path.unlink()
    except (FileNotFoundError, NotADirectoryError):
        return "There was nothing to forget."
    except OSError as error:
        return f"{path} could not be deleted: {error.strerror}."
    return f"Forgotten: {path.name} is deleted, and all notebooks start afresh."
