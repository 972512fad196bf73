"""The classroom's toolkit: charts, panels, checks of a learner's code, quizzes, progress."""

import json
import re
from xml.etree import ElementTree

import ipywidgets as widgets
import numpy as np
import pytest
import torch
from pictures import SVG, pixels, sound, stored
from places import ROOT

from w2s_lab import assets, classroom
from w2s_lab.classroom import overview, progress
from w2s_lab.classroom import quizzes as quiz
from w2s_lab.classroom.exercises import EXERCISES, NOTEBOOKS, checks
from w2s_lab.classroom.exercises.checks import check, judge
from w2s_lab.classroom.exercises.exercise import Exercise, of_the_result
from w2s_lab.classroom.toolkit import panel
from w2s_lab.classroom.toolkit.chart import Bar, BarChart, Chart, Mark, Series
from w2s_lab.classroom.toolkit.panel import Panel, View
from w2s_lab.classroom.toolkit.svg import SHARP, Drawing, text_width


@pytest.fixture(autouse=True)
def own_progress(tmp_path, monkeypatch):
    """A progress file of this test's own."""
    monkeypatch.setenv(assets.PROGRESS_VARIABLE, str(tmp_path / "progress.json"))
    return tmp_path / "progress.json"


# -- charts ------------------------------------------------------------------------------------------------------------


def test_a_point_is_where_the_axes_say():
    chart = Chart("x", "y", (Series([0, 1, 2], [0.0, 0.5, 1.0], "student"),), x_range=(0, 2), height=366)
    root = ElementTree.fromstring(chart.svg(width=688))
    dots = [(float(c.get("cx")), float(c.get("cy"))) for c in root.iter(f"{SVG}circle")][1:]  # the first: the legend's
    assert [x for x, _ in dots] == pytest.approx([68, 368, 668])  # from the left margin to the right one
    (_, low), (_, middle), (_, high) = dots
    assert low - middle == pytest.approx(middle - high) and low > high  # up is more


def test_a_chart_says_what_it_shows_and_escapes_words():
    chart = Chart("a < b", "y & z", (Series([0, 1], [0, 1], label="<i>"),), (Mark(0.5, "half >"),), said='so "it" is')
    root = sound(chart)
    assert root.get("aria-label") == 'so "it" is' and root.get("role") == "img"
    words = [text.text for text in root.iter(f"{SVG}text")]
    assert {"a < b", "y & z", "<i>", "half >"} <= set(words)


def test_a_missing_value_interrupts_the_line():
    chart = Chart("x", "y", (Series([0, 1, 2, 3], [0.1, None, 0.3, 0.4], points=False),))
    (path,) = (p for p in sound(chart).iter(f"{SVG}path"))
    assert path.get("d").count("M") == 2 and path.get("d").count("L") == 1


def written(drawing: Drawing) -> list[str]:
    """All words of a picture."""
    return [text.text for text in sound(drawing).iter(f"{SVG}text")]


def test_axes_have_labels_and_numbers_and_roles_a_legend():
    chart = Chart("steps", "fraction", (Series([1, 10, 100], [0.2, 0.4, 0.9], "weak"),), log_x=True, x_range=(1, 100))
    assert {"steps", "fraction", "weak supervisor", "1", "3", "10", "30", "100"} <= set(written(chart))
    assert chart.summary == "fraction against steps: weak supervisor from 0.2 to 0.9"
    assert stored(chart)["text/plain"] == chart.summary


def test_numbers_of_an_axis_have_the_same_decimals():
    assert {"0.0", "0.2", "1.0"} <= set(written(Chart("x", "y", (Series([0, 1], [0, 1]),))))
    assert {"−0.2", "0.0", "0.4"} <= set(written(BarChart("x", (Bar("a", 0.1),), (-0.25, 0.5))))
    rates = Chart("step", "learning rate", (Series([0, 1], [0, 6e-5]),), y_range=(0, 6e-5))
    numbers = [text for text in sound(rates).iter(f"{SVG}text") if text.text.startswith("6e")]
    assert float(numbers[0].get("x")) - text_width(numbers[0].text) > 18 + 5  # beside the words along the axis


def test_what_lies_beyond_the_axes_is_not_drawn():
    chart = Chart("x", "y", (Series([0, 1, 2], [0, 5, 0.5], label="", points=False),), y_range=(0, 1))
    inner = sound(chart).find(f"{SVG}svg")
    left, top, width, _ = map(float, inner.get("viewBox").split())
    assert inner.find(f"{SVG}path") is not None and (left, left + width) == (68, 660)
    above = pixels(chart.svg())[: int(SHARP * top) - 4, int(SHARP * left) :]
    assert (above == 1).all()  # the line would leave the axes there


def test_a_number_stands_beside_a_mark_and_not_under_it():
    chart = BarChart("x", (Bar("a", 0.45),), marks=(Mark(0.5, "a coin"),))
    number = next(text for text in sound(chart).iter(f"{SVG}text") if text.text == "0.450")
    mark = next(one for one in sound(chart).iter(f"{SVG}line") if one.get("stroke-dasharray"))
    assert float(number.get("x")) > float(mark.get("x1"))


def test_the_words_of_two_marks_lie_apart():
    across, up = Mark(0.99, "strong ceiling", across=True), Mark(0.95, "budget")
    for marks in ((up, across), (across, up)):
        chart = Chart("x", "y", (Series([0, 1], [0, 1]),), marks, x_range=(0, 1))
        own = {text.text: text for text in sound(chart).iter(f"{SVG}text") if text.text in ("budget", "strong ceiling")}
        at = {name: (float(text.get("x")), float(text.get("y"))) for name, text in own.items()}
        beside = abs(at["budget"][1] - at["strong ceiling"][1]) >= 13
        assert beside or at["strong ceiling"][0] < 100 < at["budget"][0]  # else both begin at the right edge


def test_the_words_of_a_mark_lie_beside_a_line_and_not_on_it():
    level = Chart("x", "y", (Series([0, 1], [0.95, 0.95], label=""),), (Mark(0.5, "before"),), x_range=(0, 1))
    (place,) = (float(text.get("y")) for text in sound(level).iter(f"{SVG}text") if text.text == "before")
    (path,) = (one.get("d") for one in sound(level).iter(f"{SVG}path"))
    height = float(re.match(r"M[\d.]+ ([\d.]+)L", path)[1])
    assert not place - 11 <= height <= place + 2


def test_the_words_along_an_axis_stay_inside_of_a_low_picture():
    for words in ("agreement with the supervisor (fraction)", "answer balance (1: all answers equally often)"):
        sound(Chart("x", words, (Series([0, 1], [0, 1], label=""),), height=270))


def test_bars_are_as_long_as_their_values_and_undefined_is_said():
    bars = (Bar("a", 0.25, "weak"), Bar("b", 0.5, "student", 0.4, 0.6), Bar("c", None))
    root = sound(BarChart("accuracy", bars))
    wide = [float(r.get("width")) for r in root.iter(f"{SVG}rect")]
    assert wide[1] == pytest.approx(2 * wide[0], abs=0.2) and len(wide) == 2
    assert any("undefined" in text.text for text in root.iter(f"{SVG}text"))
    assert root.get("aria-label") == "accuracy: a 0.250; b 0.500 [0.4, 0.6]; c undefined"


# -- panels ------------------------------------------------------------------------------------------------------------


def make_panel() -> Panel:
    def draw(height: float, word: str) -> View:
        return View(
            f"{word} stands at {height:.1f}.", (Chart("x", "y", (Series([0, 1], [0, height]),)),), f"<b>{word}</b>"
        )

    return Panel(
        "A dial", {"height": panel.slider("height", 0.5, 0, 1, 0.1), "word": panel.choice("word", ["it", "she"])}, draw
    )


def test_words_below_a_picture_have_the_minus_of_its_axes():
    said = panel.spoken("pocket-l against pocket-m: -0.02 [-0.05, +0.01], 3-5 seeds, 1e-4")
    assert "pocket-l against pocket-m: −0.02 [−0.05, +0.01], 3-5 seeds, 1e-4" in said


def test_a_panel_follows_its_controls():
    dial = make_panel()
    before = dial._picture.value
    dial.controls["height"].value = 1.0
    assert dial._picture.value != before and "it stands at 1.0." in dial._words.value
    dial.set(word="she", height=0.2)
    assert dial.view.says == "she stands at 0.2." and dial._picture.value.endswith("<b>she</b>")
    with pytest.raises(ValueError, match="no control 'depth'; expected one of height, word"):
        dial.set(depth=1)


def test_a_stored_panel_is_a_picture_and_words():
    bundle = stored(make_panel())
    assert bundle["text/plain"] == "A dial [height 0.5, word it]: it stands at 0.5."
    assert "application/vnd.jupyter.widget-view+json" in bundle
    plain, _ = Panel("Only a table", {}, lambda: View("Said.", html="<table></table>"))._repr_mimebundle_()
    assert "<table></table>" in plain["text/html"] and "image/png" not in plain


# -- checks ------------------------------------------------------------------------------------------------------------


def total(values):
    return values.sum(-1)


SUM = Exercise(
    total,
    lambda rng: (torch.from_numpy(rng.normal(size=(3, 4))),),
    key=lambda values: values.sum(-1),
    mistakes=(("You took the mean.", lambda values: values.mean(-1)),),
    hints=("Add.", "values.sum(-1)"),
)


@pytest.mark.parametrize(
    ("function", "state", "says"),
    [
        (total, "right", "agree on 5 random inputs"),
        (lambda v: v.sum(-1).numpy(), "right", "agree"),  # another library's array is as good
        (lambda v: None, "not attempted yet", "Replace the body"),
        (lambda v: ..., "not attempted yet", "Replace the body"),
        (lambda v: v.mean(-1), "wrong", "You took the mean."),
        (lambda v: -v.sum(-1), "wrong", "Sign"),
        (lambda v: v.sum(-1) / np.log(2), "wrong", "base 2 (bits)"),
        (lambda v: v.sum(-1) * 3, "wrong", "Factor: all your numbers are 3 times"),
        (lambda v: v.sum(), "wrong", "Shape: you returned a single number; expected [3]"),
        (lambda v: v.sum(0), "wrong", "Shape: you returned [4]; expected [3]"),
        (lambda v: v.sum(-1) / 0, "wrong", "An infinity came out"),
        (lambda v: v.sum(-1) + torch.tensor([0, 0, 1]), "wrong", "at [2]"),
        (lambda v: 1 / 0, "wrong", "raised ZeroDivisionError: division by zero"),
        (lambda v: "12", "wrong", "You returned a text; expected a tensor"),
        (lambda v: v.sum(-1) if v[0, 0] > 0 else None, "wrong", "a path without `return`"),
        (3, "wrong", "expected a function"),
    ],
)
def test_a_verdict_says_what_is_wrong(function, state, says):
    verdict = judge(SUM, function)
    assert verdict.state == state and says in verdict.says


def test_an_input_that_the_learner_changes_harms_nobody():
    def in_place(values):
        values[:] = 0
        return values.sum(-1)

    assert judge(SUM, in_place).state == "wrong" and judge(SUM, total).state == "right"


def test_the_line_that_raised_is_shown():
    def total(values):
        return values.no_such_thing

    assert "in its line `return values.no_such_thing`" in judge(SUM, total).says


def test_an_object_that_claims_to_be_equal_is_not():
    class Sly:
        def __eq__(self, other):
            return True

        def __array__(self, *args, **kwargs):
            return np.array("x")

    assert judge(SUM, lambda values: Sly()).state == "wrong"


def test_a_design_is_judged_by_its_criteria():
    design = Exercise(
        lambda: {"n": 1},
        lambda rng: (),
        criteria=of_the_result((("n is small", lambda d: d["n"] < 5), ("n is odd", lambda d: d["n"] % 2))),
    )
    assert judge(design, lambda: {"n": 3}).state == "right"
    verdict = judge(design, lambda: {"n": 4})
    assert verdict.state == "wrong" and verdict.says == "1 of 2 criteria met. Still open: n is odd."
    assert "cannot be read" in judge(design, lambda: {}).says


def test_hints_come_in_stages_and_the_solution_after_three_tries(own_progress):
    wrong = SUM.mistakes[0][1]
    for left in (2, 1):
        seen = checks.VerdictView(SUM, judge(SUM, wrong))
        assert seen.tries_left == left and f"{left} more" in seen.solution()
    assert seen.hint() == "Add." and seen.hint() == "Add.\nvalues.sum(-1)" == seen.hint()
    last = checks.VerdictView(SUM, judge(SUM, wrong))
    assert last.tries_left == 0 and "return values.sum(-1)" in last.solution()
    kept = json.loads(own_progress.read_text())["exercises"]["total"]
    assert kept == {"tries": 3, "done": False, "hints": 2}


def test_success_opens_the_solution_and_stays(own_progress):
    assert checks.VerdictView(SUM, judge(SUM, total)).tries_left == 0
    assert checks.VerdictView(SUM, judge(SUM, SUM.mistakes[0][1])).tries_left == 0  # once done, done
    untouched = checks.VerdictView(SUM, judge(SUM, lambda v: None))
    assert untouched._facts()["tries"] == 2  # an untouched stub is no try
    assert untouched._repr_mimebundle_()["text/plain"].startswith("· Not attempted yet (total).")


def test_a_function_of_no_exercise_is_refused():
    with pytest.raises(ValueError, match="no exercise 'f': a function keeps the name of its stub"):
        check(lambda: 0, "f")


# -- all exercises -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", EXERCISES)
def test_an_exercise_is_sound(name):
    """The solution is right, a stub is none, every mistake is told by its own words, and there are hints."""
    exercise = EXERCISES[name]
    assert judge(exercise, exercise.answer) == judge(exercise, exercise.answer)
    assert judge(exercise, exercise.answer).state == "right"
    for seed in range(1, 6):
        assert judge(exercise, exercise.answer, seed=seed).state == "right"
    assert judge(exercise, lambda *arguments: None).state == "not attempted yet"
    for words, mistake in exercise.mistakes:
        assert judge(exercise, mistake).says == words
    assert len(exercise.hints) >= 2
    assert len(exercise.solution.splitlines()) <= 16


def test_there_are_exercises_in_every_notebook():
    assert len(EXERCISES) >= 25
    assert list(NOTEBOOKS) == ALL_QUIZZES


# -- quizzes -----------------------------------------------------------------------------------------------------------

ALL_QUIZZES = sorted(path.stem for path in assets.QUIZZES.glob("*.json"))


@pytest.mark.parametrize("name", ALL_QUIZZES)
def test_every_question_can_be_answered_and_every_option_has_feedback(name):
    """Through the widget, as a learner would: the right answer is right, any other is not."""
    own = classroom.quiz(name)
    assert len(own.quiz["questions"]) >= 5
    assert not any(question.check() for question in own.questions if question.question["kind"] != "order")
    for question in own.questions:
        facts = question.question
        if facts["kind"] == "order":
            assert not question.check()  # shuffled: never in order from the start
            for place in range(len(question.order)):
                for at in range(question.order.index(place), place, -1):
                    question.move(at, -1)
            assert question.check() and facts["feedback"] in question._feedback.value
            continue
        right = [letter for letter, option in zip(quiz.LETTERS, facts["options"], strict=False) if option["right"]]
        for letter, option in zip(quiz.LETTERS, facts["options"], strict=False):
            assert question.choose(letter).check() == ([letter] == right)
            assert option["feedback"] in question._feedback.value
        assert question.choose(*right).check()
    assert all(question.solved for question in own.questions)
    assert own._count.value.count(f"{len(own.questions)} of {len(own.questions)}") == 0  # counts on clicks only
    own.questions[0].button.click()
    assert f"{len(own.questions)} of {len(own.questions)} answered right" in own._count.value


def test_ids_are_unique_over_all_quizzes():
    names = [q.question["id"] for name in ALL_QUIZZES for q in classroom.quiz(name).questions]
    assert len(names) == len(set(names)) >= 55


def test_effects_that_a_quiz_quotes_stand_in_the_findings():
    page, effect = (
        (ROOT / "docs" / "findings.md").read_text(encoding="utf-8"),
        r"[+-]0\.\d{3} \[[+-]0\.\d{3}, [+-]0\.\d{3}\]",
    )
    texts = {path.name: path.read_text(encoding="utf-8").replace("−", "-") for path in assets.QUIZZES.glob("*.json")}
    quoted = [(name, one) for name, text in texts.items() for one in re.findall(effect, text)]
    assert len(quoted) > 4 and [(name, one) for name, one in quoted if one not in page] == []


def test_one_right_option_lets_the_others_go():
    one = next(q for q in classroom.quiz("00").questions if q.question["kind"] == "one")
    one.boxes[0].value = True
    one.boxes[1].value = True
    assert [box.value for box in one.boxes[:2]] == [False, True]


def test_a_stored_quiz_shows_its_questions_and_no_answer():
    own = classroom.quiz("01")
    bundle = own._repr_mimebundle_()
    text = bundle["text/plain"] + bundle["text/markdown"]
    for question in own.questions:
        for option in question.question.get("options", []):
            assert quiz._bare(option["feedback"]) not in text and option["feedback"] not in text
            assert option["text"] in bundle["text/markdown"] and quiz._bare(option["text"]) in bundle["text/plain"]
    assert bundle["text/plain"].startswith("Quiz 01 · ") and bundle["text/markdown"].startswith("**Quiz 01 · ")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"kind": "two"}, "kind is 'two'; expected one of"),
        ({"options": [{"text": "a", "right": False, "feedback": "b"}]}, "0 right options"),
        ({"options": [{"text": "a", "right": True, "feedback": ""}]}, "no feedback"),
    ],
)
def test_a_broken_quiz_is_refused_by_name(change, message, tmp_path, monkeypatch):
    question = {"id": "x-1", "kind": "one", "text": "t", "options": [{"text": "a", "right": True, "feedback": "b"}]}
    (tmp_path / "x.json").write_text(json.dumps({"notebook": "x", "title": "X", "questions": [question | change]}))
    monkeypatch.setattr(assets, "QUIZZES", tmp_path)
    with pytest.raises(ValueError, match=f"x.json, question x-1: .*{message}"):
        quiz.load_quiz("x")
    with pytest.raises(ValueError, match="no quiz 'y'; expected one of x"):
        quiz.load_quiz("y")


# -- predictions and progress ------------------------------------------------------------------------------------------


def test_a_guess_is_kept_until_the_run():
    asked = classroom.predict("t-guess", "Which?", ["up", "down"])
    assert classroom.outcome("t-guess", "up").words == "No guess was made. The run says: up."
    asked.menu.value = "down"
    assert classroom.predict("t-guess", "Which?", ["up", "down"]).menu.value == "down"
    assert "A surprise" in classroom.outcome("t-guess", "up", "Because.").words
    asked.menu.value = "up"
    assert classroom.outcome("t-guess", "up").words.endswith("✓")
    assert asked._repr_mimebundle_()["text/plain"] == "Predict. Which?\n  ( ) up\n  ( ) down"


def test_progress_is_counted_shown_and_reset(own_progress):
    first = EXERCISES[NOTEBOOKS["00"][0]]
    checks.VerdictView(first, judge(first, first.answer))
    question = next(q for q in classroom.quiz("00").questions if q.question["kind"] == "one")
    right = next(letter for letter, o in zip(quiz.LETTERS, question.question["options"], strict=False) if o["right"])
    question.choose(right).check()
    row = overview.counts(progress.load_progress())[0]
    assert row[0] == "00" and row[2] == 1 and row[4] == 1
    assert f"1 of {len(EXERCISES)} exercises done, 1 of" in classroom.my_progress().view.says
    assert "deleted" in classroom.reset_progress() and not own_progress.exists()
    assert "nothing to forget" in classroom.reset_progress()
    assert overview.counts(progress.load_progress())[0][2] == 0


def test_what_was_done_before_notebook_04_was_divided_still_counts(own_progress):
    """The record is by the names of exercises, questions and guesses, and these moved without a new name."""
    done = {"tries": 2, "done": True, "hints": 0}
    record = {"exercises": {"count_flips": done, "my_stop": done}, "predictions": {"04-stop": "about half"}}
    record["questions"] = {name: {"tries": 1, "right": True} for name in ("04-bound", "04-hundred", "04-misfit-2")}
    own_progress.write_text(json.dumps(record))
    counted = {row[0]: (row[2], row[4]) for row in overview.counts(progress.load_progress())}
    assert counted["04"] == (1, 1) and counted["04b"] == (1, 2)
    assert classroom.predict("04-stop", "Which part?", ["about half", "all"]).menu.value == "about half"


def test_a_foreign_file_is_not_overwritten(own_progress):
    own_progress.write_text("notes of my own")
    with pytest.raises(ValueError, match="is not a progress file"):
        progress.load_progress()
    assert own_progress.read_text() == "notes of my own"


def test_every_public_name_is_there():
    for name in classroom.__all__:
        assert getattr(classroom, name) is not None
    assert isinstance(classroom.quiz("00"), widgets.Widget)
    with pytest.raises(AttributeError, match="attribute nothing"):
        classroom.nothing  # noqa: B018
