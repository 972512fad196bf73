"""A translation is a folder of `data/quizzes`: what is in it is shown, the rest stays English and is counted."""

import json
import re
import shutil

import pytest

from w2s_lab import assets
from w2s_lab import classroom as room
from w2s_lab.classroom.quizzes import load_quiz
from w2s_lab.classroom.translations import translated, wording

LANGUAGES = sorted(path.name for path in assets.QUIZZES.glob("[a-z]*") if path.is_dir())


def test_there_is_a_german_and_a_chinese_sample():
    assert {"de", "zh"} <= set(LANGUAGES)


@pytest.mark.parametrize("language", LANGUAGES)
def test_every_translation_fits_the_english_questions_and_is_shown(language, monkeypatch, tmp_path):
    monkeypatch.setenv("W2S_LAB_PROGRESS", str(tmp_path / "progress.json"))
    for path in sorted((assets.QUIZZES / language).glob("[0-9]*.json")):
        english, own = load_quiz(path.stem), json.loads(path.read_text(encoding="utf-8"))
        shown = room.quiz(path.stem, language=language)
        texts = [one["text"] for one in shown.quiz["questions"] if "text" in one]
        for question in own["questions"]:
            assert question.get("text") in texts or "steps" in question
            before = next(one for one in english["questions"] if one["id"] == question["id"])
            formulas = [
                sorted(re.findall(r"\\[a-z]+", json.dumps(one, ensure_ascii=False))) for one in (before, question)
            ]
            assert formulas[0] == formulas[1], question["id"]
        assert own["title"] in shown.summary


@pytest.mark.parametrize("language", LANGUAGES)
def test_the_words_of_buttons_and_feedback_keep_their_numbers(language):
    table = json.loads((assets.QUIZZES / language / "words.json").read_text(encoding="utf-8"))
    code = (assets.PACKAGE / "classroom" / "quizzes.py").read_text(encoding="utf-8")
    for english, own in table.items():
        assert f'"{english}"' in code, english
        assert own and sorted(re.findall("{[a-z]+}", english)) == sorted(re.findall("{[a-z]+}", own)), english


def test_an_answer_is_judged_in_the_language(monkeypatch, tmp_path):
    monkeypatch.setenv("W2S_LAB_PROGRESS", str(tmp_path / "progress.json"))
    own = room.quiz("00", language="de")
    question = next(one for one in own.questions if one.question["id"] == "00-pgr")
    assert question.button.description == "Prüfen" and 'lang="de"' in question.children[0].value
    assert not question.choose("A").check() and "✗ Noch nicht." in question._feedback.value
    assert question.choose("D").check() and "✓ Richtig." in question._feedback.value
    english = next(one for one in own.questions if one.question["id"] == "00-better")
    assert english.button.description == "Prüfen" and 'lang="en"' in english.children[0].value
    assert "noch nicht übersetzt" in own._count.value and "translated" not in room.quiz("00")._count.value


def test_what_does_not_fit_is_refused(monkeypatch, tmp_path):
    with pytest.raises(ValueError, match="no language 'xx'; expected one of en, de, zh"):
        room.quiz("00", language="xx")
    shutil.copytree(assets.QUIZZES, tmp_path / "quizzes")
    monkeypatch.setattr(assets, "QUIZZES", tmp_path / "quizzes")
    (tmp_path / "quizzes" / ".ipynb_checkpoints").mkdir()  # which Jupyter makes
    with pytest.raises(ValueError, match=r"expected one of en, de, zh"):
        room.quiz("00", language=".ipynb_checkpoints")
    path = tmp_path / "quizzes" / "de" / "00.json"
    facts = json.loads(path.read_text(encoding="utf-8"))
    pgr = next(one for one in facts["questions"] if one["id"] == "00-pgr")
    pgr["options"][0]["right"], pgr["options"][3]["right"] = True, False
    path.write_text(json.dumps(facts))
    with pytest.raises(ValueError, match="question 00-pgr: its kind, its number of options or which of them are right"):
        room.quiz("00", language="de")
    pgr["id"] = "00-nothing"
    path.write_text(json.dumps(facts))
    with pytest.raises(ValueError, match="there is no English question 00-nothing"):
        room.quiz("00", language="de")
    path.unlink()
    assert translated(load_quiz("00"), "de")[1] == len(load_quiz("00")["questions"])
    assert wording("de")("Check") == "Prüfen" and wording()("Check") == "Check"
