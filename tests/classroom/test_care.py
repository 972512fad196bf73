"""What every panel, quiz and guess carries for keyboards, screen readers, narrow windows and dark pages.

That a browser does what is asked of it here is looked at in test_browser.py and by `python -m tests.accessibility`.
"""

import re

import ipywidgets as widgets

from w2s_lab import assets
from w2s_lab import classroom as room
from w2s_lab.classroom.toolkit.care import CARE, CLASS, OPTION


def inside(widget: widgets.Widget) -> list[widgets.Widget]:
    return [widget, *(one for child in getattr(widget, "children", ()) for one in inside(child))]


def gap_recovered(weak: float, student: float, ceiling: float) -> float:
    """Of notebook 00, and wrong."""
    return student - weak


def test_panels_quizzes_guesses_and_verdicts_carry_it(tmp_path, monkeypatch):
    monkeypatch.setenv(assets.PROGRESS_VARIABLE, str(tmp_path / "progress.json"))
    guess, verdict = room.predict("care", "Which?", ["up", "down"]), room.check(gap_recovered)
    for widget in (room.budget_explorer(), room.quiz("00"), guess, verdict):
        values = [one.value for one in inside(widget) if isinstance(one, widgets.HTML)]
        assert CLASS in widget._dom_classes and sum(CARE in value for value in values) == 1, widget


def test_a_hint_is_read_out(tmp_path, monkeypatch):
    monkeypatch.setenv(assets.PROGRESS_VARIABLE, str(tmp_path / "progress.json"))
    verdict = room.check(gap_recovered)
    next(one for one in inside(verdict) if getattr(one, "description", "").startswith("Hint")).click()
    shown = [one.value for one in inside(verdict) if isinstance(one, widgets.HTML) and "Hint 1." in one.value]
    assert len(shown) == 1 and shown[0].startswith('<div role="status"')


def test_it_is_one_style_whose_script_is_quoted_whole():
    assert re.fullmatch(r'<style onload="[^"]*">[^<]*</style>', CARE)


def test_every_box_of_a_quiz_has_the_words_of_its_option_as_its_name():
    rows = [one for one in inside(room.quiz("00")) if OPTION in one._dom_classes]
    names = [re.search(r'id="(w2s-[^"]+)"', row.children[1].value)[1] for row in rows]
    assert all(isinstance(row.children[0], widgets.Checkbox) for row in rows)
    assert len(names) == len(set(names)) > 20


def test_texts_in_a_table_keep_room_in_a_narrow_window_and_names_take_none():
    heads = re.findall('<th scope="col" style="([^"]*)">([^<]*)<', room.findings_view().view.html)
    room_for = {name: "min-width" in look for look, name in heads}
    assert room_for["claim"] and not room_for["effect at the end"]


def test_a_step_that_is_moved_leaves_the_buttons_where_they_are():
    question = next(q for q in room.quiz("04b").questions if q.question["kind"] == "order")
    buttons = [one for one in inside(question) if isinstance(one, widgets.Button)]
    before = [one.value for one in inside(question) if isinstance(one, widgets.HTMLMath) and "<b>1.</b>" in one.value]
    next(one for one in buttons if one.tooltip == "Move step 1 down").click()
    after = [one.value for one in inside(question) if isinstance(one, widgets.HTMLMath) and "<b>1.</b>" in one.value]
    assert len(before) == len(after) == 1 and before != after
    assert [one for one in inside(question) if isinstance(one, widgets.Button)] == buttons
