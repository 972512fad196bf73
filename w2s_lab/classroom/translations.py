"""The quizzes in another language: a folder of `data/quizzes` with the language's short name, such as `de`.

It holds `NN.json`, written like the English one, and `words.json`: what buttons and feedback say, English sentence ->
the same in that language. What is not there yet stays English, and the quiz says how many questions these are.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from w2s_lab import assets

ENGLISH = "en"


@dataclass(frozen=True)
class Wording:
    """What buttons and feedback say; called with an English sentence and the values of its {names}."""

    table: Mapping[str, str] = field(default_factory=dict)

    def __call__(self, english: str, **values: object) -> str:
        return self.table.get(english, english).format(**values)


IN_ENGLISH = Wording()


def wording(language: str = ENGLISH) -> Wording:
    """The words of a language.

    Raises:
        ValueError: there is no folder for it.
    """
    return IN_ENGLISH if language == ENGLISH else Wording(_read(_folder(language) / "words.json"))


def translated(quiz: dict, language: str) -> tuple[dict, int]:
    """A quiz with those of its questions that are there in a language, under "language", and how many are not.

    Raises:
        ValueError: there is no folder for the language, or a translated question differs in more than its words.
    """
    found = _read(_folder(language) / f"{quiz['notebook']}.json")
    own = {one["id"]: {**one, "language": language} for one in found.get("questions", ())}
    if strange := own.keys() - {question["id"] for question in quiz["questions"]}:
        raise ValueError(f"{language}/{quiz['notebook']}.json: there is no English question {min(strange)}")
    for question in quiz["questions"]:
        if question["id"] in own and _shape(own[question["id"]]) != _shape(question):
            raise ValueError(
                f"{language}/{quiz['notebook']}.json, question {question['id']}: its kind, its number of options or "
                "which of them are right differ from the English question"
            )
    questions = [own.get(question["id"], question) for question in quiz["questions"]]
    missing = sum(question["id"] not in own for question in quiz["questions"])
    return {**quiz, "title": found.get("title", quiz["title"]), "questions": questions}, missing


def _folder(language: str) -> Path:
    known = [ENGLISH, *sorted(one.name for one in assets.QUIZZES.glob("[a-z]*") if one.is_dir())]
    if language not in known:
        raise ValueError(f"there is no language {language!r}; expected one of {', '.join(known)}")
    return assets.QUIZZES / language


def _read(path: Path) -> dict:
    return json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}


def _shape(question: dict) -> list[tuple]:
    """What a translation must leave as it is, for every step."""
    return [
        (one["id"], one["kind"], len(one.get("items", ())), *(option["right"] for option in one.get("options", ())))
        for one in question.get("steps", [question])
    ]
