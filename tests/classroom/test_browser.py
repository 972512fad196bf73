"""Every notebook, solved, in a real browser: it runs, every check is green, its dashboards move, nothing leaves.

The quiz of 00 and the live training of 03 are tried there, too, once the notebook has run. Nothing counts as fetched,
so 11 works in the pocket world, and says what to fetch; `test_notebooks` runs it on what is there.

Screenshots are kept in $W2S_LAB_SCREENSHOTS, where that is set.
"""

import contextlib
import json
import os
from importlib.util import find_spec
from pathlib import Path

import nbformat
import pytest
from forked import forked

from tests.jupyter import CHROMIUM, HANDLES, NOTEBOOKS, OFFLINE, WINDOW, WORDS, Page, browser, server
from w2s_lab.classroom import build
from w2s_lab.classroom.exercises import NOTEBOOKS as EXERCISES
from w2s_lab.classroom.toolkit.stage import COMMANDS

pytestmark = [
    pytest.mark.slow,
    pytest.mark.flaky(reruns=1),  # a browser and a server on a busy machine; what is wrong is so twice
    pytest.mark.skipif(CHROMIUM is None, reason="needs Chromium: apt-get install chromium"),
]
NAMES = [path.name for path in sorted(NOTEBOOKS.glob("*.ipynb"))]
CHANGES = 15_000  # milliseconds until a change has to be seen; how fast it is, is the benchmark's business


@pytest.fixture(scope="module")
def chromium():
    with browser() as started:
        yield started


@pytest.fixture(scope="module")
def lab(tmp_path_factory):
    folder = tmp_path_factory.mktemp("lab")
    (folder / "notebooks").mkdir()
    for name in NAMES:
        solved = build.solved(nbformat.read(NOTEBOOKS / name, as_version=4))
        nbformat.write(solved, folder / "notebooks" / name)
    with server(folder, program=forked(), W2S_LAB_FETCHED=str(folder / "nothing"), **OFFLINE) as (address, token):
        yield folder, address, token


@pytest.fixture(scope="module")
def tabs() -> list[Page]:
    """The one in which JupyterLab is loaded, which takes longer than to open a notebook."""
    return []


@pytest.fixture
def tab(lab, chromium, tabs):
    _, address, token = lab
    if not tabs:
        tabs.append(Page(chromium.new_page(viewport=WINDOW), address, token).watch())
    yield tabs[0]
    if not tabs[0].leave_notebook():
        tabs.pop().page.close()


def keep(page: Page, name: str) -> None:
    """A screenshot of what is on the screen, for who asks for it."""
    if place := os.environ.get("W2S_LAB_SCREENSHOTS"):
        Path(place).mkdir(parents=True, exist_ok=True)
        page.page.screenshot(path=Path(place) / f"{name}.png")


@pytest.mark.parametrize("name", NAMES)
def test_a_notebook_runs_solved_and_its_dashboards_move(name, tab, lab):
    tab.open_notebook(name)
    tab.run_all(timeout=560)
    said = [given[0]["data"]["text/plain"] for source, given in tab.cells() if "room.check(" in source]
    assert len(said) == len(EXERCISES[build.notebook_number(name)])
    assert all(text.startswith("✓ Right") for text in said), said
    for number, handle in enumerate(tab.page.query_selector_all(HANDLES)):
        handle.scroll_into_view_if_needed()
        before = handle.evaluate(WORDS)
        handle.focus()
        assert handle.get_attribute("aria-label"), f"slider {number} of {name} has no name"
        moved = False
        for key in ("ArrowRight", "ArrowLeft", "End", "Home"):  # a slider may stand at one of its ends
            tab.page.keyboard.press(key)
            try:
                tab.page.wait_for_function(
                    f"([element, before]) => ({WORDS})(element) !== before",
                    arg=[handle, before],
                    timeout=CHANGES / 5,
                    polling=50,  # not at every frame
                )
            except Exception:
                continue
            moved = True
            break
        assert moved, f"slider {number} of {name} changes nothing"
        keep(tab, f"{Path(name).stem}-slider-{number:02d}")
    if menu := tab.page.query_selector(".w2s select:has(option + option)"):
        arrow_keys_choose_in_a_menu(tab, menu)
    if not tab.page.query_selector_all(HANDLES):
        keep(tab, Path(name).stem)
    if besides := BESIDES.get(build.notebook_number(name)):
        besides(tab, lab[0])
    assert tab.outside == []
    assert tab.errors == []


def arrow_keys_choose_in_a_menu(tab, menu):
    """Jupyter would take them to move to another cell."""
    place = "menu => [menu.selectedIndex, menu === document.activeElement]"
    menu.focus()
    before, _ = menu.evaluate(place)
    tab.page.keyboard.press("ArrowUp" if before else "ArrowDown")
    after, focused = menu.evaluate(place)
    assert after != before and focused
    tab.wait_until_idle()  # what was chosen may have to learn first


def a_quiz_works_by_keyboard(tab, folder):
    """Tab to a wrong option, Space, Tab to Check, Enter: feedback; then the right one. It is remembered."""
    quiz = json.loads((NOTEBOOKS.parent / "data" / "quizzes" / "00.json").read_text(encoding="utf-8"))
    question = next(one for one in quiz["questions"] if one["kind"] == "one")
    wrong, right = ([o["right"] for o in question["options"]].index(value) for value in (False, True))
    check = tab.page.locator(f"button[title='Check the answer to {question['id']}']")
    box = check.locator("xpath=ancestor::div[contains(@class,'widget-vbox')][1]")
    boxes = box.locator("input[type=checkbox]")
    boxes.nth(wrong).focus()
    tab.page.keyboard.press("Space")
    for _ in range(boxes.count() - wrong):
        tab.page.keyboard.press("Tab")
    assert check.evaluate("element => element === document.activeElement")  # every control is reached by Tab
    tab.page.keyboard.press("Enter")
    box.get_by_text("✗ Not yet.").first.wait_for(timeout=CHANGES)
    boxes.nth(right).focus()
    tab.page.keyboard.press("Space")
    check.focus()
    tab.page.keyboard.press("Enter")
    box.get_by_text("✓ Right.").first.wait_for(timeout=CHANGES)
    assert not boxes.nth(wrong).is_checked()  # one right option: the other was let go
    keep(tab, "quiz")
    kept = json.loads((folder / "progress.json").read_text(encoding="utf-8"))
    assert kept["questions"][question["id"]] == {"tries": 2, "right": True}


def live_training_starts_and_obeys_stop(tab, folder):
    """By keyboard: Start, the curves grow while the page stays alive, Stop, and it may start again."""
    panel = tab.page.locator(".widget-vbox", has=tab.page.locator("button", has_text="Stop")).last
    start, stop = (panel.locator("button", has_text=text) for text in ("Start", "Stop"))
    assert stop.is_disabled()
    start.focus()
    tab.page.keyboard.press("Enter")
    panel.get_by_text("Training. After").wait_for(timeout=4 * CHANGES)  # a first snapshot of its own
    keep(tab, "live-training")
    assert start.is_disabled()
    stop.focus()
    tab.page.keyboard.press("Enter")
    panel.get_by_text("Stopped; the model is as the last snapshot describes it.").wait_for(timeout=4 * CHANGES)
    assert stop.is_disabled() and start.is_enabled()
    keep(tab, "live-training-stopped")


def it_says_what_to_fetch(tab, folder):
    assert COMMANDS in json.dumps(tab.cells()[0][1], ensure_ascii=False)


BESIDES = {
    "00": a_quiz_works_by_keyboard,
    "03": live_training_starts_and_obeys_stop,
    "11": it_says_what_to_fetch,
}


def write(path: Path, code: str) -> None:
    """A notebook of one cell."""
    python = {"kernelspec": {"name": "python3", "display_name": "Python 3", "language": "python"}}
    nbformat.write(nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(code)], metadata=python), path)


WORLDS = """
from w2s_lab import classroom as room

tries = []

def real():
    tries.append(1)
    if len(tries) == 1:
        raise RuntimeError("the disk is full")
    return room.relabelling_view().set(alpha=0.25)

room.worlds(room.relabelling_view().set(alpha=0.75), real)
"""


def test_the_switch_between_worlds_obeys_the_keyboard(tab, lab):
    """Enter on a button makes the other panel; where that fails, it says so and goes back, and may be tried again."""
    write(lab[0] / "notebooks" / "worlds.ipynb", WORLDS)
    tab.open_notebook("worlds.ipynb")
    tab.run_all()
    pocket, real = (tab.page.locator("button.widget-toggle-button", has_text=text) for text in ("pocket", "real"))
    tab.page.get_by_text("Target 0.25 ×").wait_for(timeout=CHANGES)
    real.focus()
    tab.page.keyboard.press("Enter")
    tab.page.get_by_text("✗ This could not be made. RuntimeError: the disk is full").wait_for(timeout=CHANGES)
    tab.page.wait_for_function("b => b.classList.contains('mod-active')", arg=pocket.element_handle(), timeout=CHANGES)
    assert tab.page.get_by_text("Target 0.25 ×").is_visible()
    real.focus()
    tab.page.keyboard.press("Enter")
    tab.page.get_by_text("Target 0.75 ×").wait_for(timeout=CHANGES)
    keep(tab, "worlds")
    assert not tab.page.get_by_text("Target 0.25 ×").is_visible()
    pocket.focus()
    tab.page.keyboard.press("Enter")
    tab.page.get_by_text("Target 0.25 ×").wait_for(timeout=CHANGES)
    assert tab.outside == [] and tab.errors == []


SEEDS = """
from w2s_lab import classroom as room
room.seed_count().set(method="soft labels")
"""


def test_a_slider_over_named_positions_has_its_own_name_and_the_page_below_stays(tab, lab):
    """Also: no tooltip says "null", no number can be typed there, and a shorter sentence does not pull the page up."""
    write(lab[0] / "notebooks" / "seeds.ipynb", SEEDS)
    tab.open_notebook("seeds.ipynb")
    tab.run_all()
    handle = tab.page.wait_for_selector(HANDLES, timeout=CHANGES)
    tab.page.wait_for_function("handle => handle.getAttribute('aria-label') === 'Seeds'", arg=handle, timeout=CHANGES)
    assert tab.page.locator(".w2s [title=null], .w2s .widget-hslider [contenteditable]").count() == 0
    said = tab.page.locator(".w2s p[role=status]")
    heights = []
    for width in (420, WINDOW["width"]):  # so narrow that the sentence takes many lines, then wide again
        tab.page.set_viewport_size({**WINDOW, "width": width})
        for key in ("Home", "ArrowRight", "ArrowRight"):
            before = said.inner_text()
            handle.focus()
            tab.page.keyboard.press(key)
            with contextlib.suppress(Exception):  # it may stand at its end
                tab.page.wait_for_function("b => document.querySelector('.w2s p[role=status]').innerText !== b",
                                           arg=before, timeout=CHANGES / 5)  # fmt: skip
            heights.append(said.bounding_box()["height"])
    assert heights[:3] == sorted(heights[:3]) and heights[3:] == sorted(heights[3:])
    assert heights[-1] < heights[0]


@pytest.mark.skipif(find_spec("voila") is None, reason="needs voila: pip install 'w2s-lab[demo]'")
def test_a_dashboard_runs_under_voila(chromium, tmp_path):
    (tmp_path / "notebooks").mkdir()
    write(
        tmp_path / "notebooks" / "page.ipynb",
        "from w2s_lab import classroom as room\nroom.budget_explorer(room.measured('budget'))",
    )
    with server(tmp_path, program=forked(), voila="page.ipynb") as (address, token):
        page = Page(chromium.new_page(viewport=WINDOW), address, token).watch()
        page.page.goto(address, timeout=180_000)
        page.page.wait_for_selector(HANDLES, timeout=180_000)
        handle = page.page.query_selector(HANDLES)
        handle.scroll_into_view_if_needed()
        before = handle.evaluate(WORDS)
        handle.focus()
        tab = page.page
        tab.keyboard.press("ArrowRight")
        tab.keyboard.press("ArrowRight")
        tab.wait_for_function(f"([e, before]) => ({WORDS})(e) !== before", arg=[handle, before], timeout=CHANGES)
        keep(page, "voila")
        # Voila's own page would like an icon font from the net; it does without. The notebook asks for nothing.
        assert all("fontawesome" in address for address in page.outside), page.outside
