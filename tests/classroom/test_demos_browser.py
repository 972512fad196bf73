"""The demos in a real browser, by keys alone: they fit the screen, answer, and ask nobody else."""

from pathlib import Path

import nbformat
import pytest
from forked import forked

from tests.jupyter import CHROMIUM, Page, browser, serving
from w2s_lab import assets
from w2s_lab.classroom.demos import serve

pytestmark = [
    pytest.mark.slow,
    pytest.mark.flaky(reruns=1),  # as the other tests with a browser
    pytest.mark.skipif(CHROMIUM is None, reason="needs Chromium: apt-get install chromium"),
]
FIRST, LATER = 120_000, 20_000  # milliseconds: a screen with a process to start, a step
# What does not fit: elements that are wider or higher than their place, and the page itself.
TOO_LARGE = """() => ['html', 'body', 'h1', 'main', '#first', '#beside', 'footer'].filter(name => {
    const found = document.querySelector(name);
    return found.scrollWidth > found.clientWidth + 1 || found.scrollHeight > found.clientHeight + 1;
})"""
SMALLEST = """() => Math.min(...[...document.querySelectorAll('h1, p, li, label, button, select, output, #place')]
    .map(found => parseFloat(getComputedStyle(found).fontSize)))"""


# The smallest letters of the pictures, in hundredths of the height of the screen.
LETTERS = """() => Math.min(99, ...[...document.querySelectorAll('svg text')].map(text => {
    const matrix = text.getScreenCTM();
    return parseFloat(getComputedStyle(text).fontSize) * Math.hypot(matrix.a, matrix.b) / innerHeight * 100;
}))"""
RACE = """
import time
from w2s_lab import classroom as room
from w2s_lab.classroom.dashboards.race import Race
from w2s_lab.records import Evaluation, Snapshot, Task

def lane(step, name):
    for number in range(400):
        found = Evaluation(Task("t", ("no", "yes")), ("a", "b"), ("yes", "no"), ("yes", "yes"))
        yield Snapshot(number, number, None, found)
        time.sleep(0.005)
        step(name, number + 1)

race = Race(lambda step: {name: lane(step, name) for name in ("student", "random")}, steps=400, level=0.5)
room.demo(race, room.ask("Who?", "this", "that", covered=True), room.reveal("Start."))
"""


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    race = tmp_path_factory.mktemp("mine") / "own race.ipynb"
    cells = [nbformat.v4.new_markdown_cell("# Own race"), nbformat.v4.new_code_cell(RACE)]
    nbformat.write(nbformat.v4.new_notebook(cells=cells), race)
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr("sys.executable", forked())
        with serving(serve.DemoServer({**serve.find_demos(), "own race": race}, assets.store_folder())) as found:
            yield found


def at(tab, number):
    tab.wait_for_selector(f"html[data-screen='{number}']", timeout=LATER)


def keep(tab, folder, name):
    place = Path(folder) / "screenshots"
    place.mkdir(exist_ok=True)
    tab.screenshot(path=place / f"{name}.png")


def test_why_by_keys_alone(server, tmp_path):
    with browser() as chromium:
        page = Page(chromium.new_page(viewport={"width": 1280, "height": 720}), server.address(), server.token).watch()
        tab = page.page
        tab.goto(server.address())
        tab.get_by_role("link", name="Why it works").click()
        tab.wait_for_selector("html[data-screen='1']", timeout=FIRST)
        assert tab.locator("ol > li").count() == 3 and tab.locator("svg").count() == 0  # a question, and no answer
        assert tab.locator("[role=status]").inner_text() == tab.locator("h1").inner_text()
        screens = tab.evaluate("screens.length")
        for number in range(1, screens + 1):
            at(tab, number)
            keep(tab, tmp_path, f"why-{number}")
            assert tab.evaluate(TOO_LARGE) == [], number
            assert tab.evaluate(SMALLEST) >= 24, number
            tab.keyboard.press(("Space", "PageDown")[number % 2])
        tab.keyboard.press("PageUp")
        at(tab, screens - 1)
        tab.evaluate("go(1)")  # the first reveal
        at(tab, 2)
        picture, said = tab.locator("#first > svg"), tab.locator("[role=status]")
        before, label = said.inner_text(), picture.get_attribute("aria-label")
        assert before.startswith("Step 16") and label == before
        tab.keyboard.press("ArrowRight")
        tab.get_by_text("Step 32").first.wait_for(timeout=LATER, state="attached")
        assert tab.locator("output").first.inner_text() == "32"
        tab.keyboard.press("w")
        assert tab.locator("#beside > p").inner_text() == said.inner_text()
        tab.keyboard.press("r")
        tab.get_by_text(before).first.wait_for(timeout=LATER, state="attached")
        tab.keyboard.press("d")
        ground, ink = tab.evaluate("(s => [s.backgroundColor, s.color])(getComputedStyle(document.body))")
        assert (ground, ink) == ("rgb(17, 17, 17)", "rgb(255, 255, 255)")
        keep(tab, tmp_path, "why-dark")
        tab.set_viewport_size({"width": 1920, "height": 1080})
        assert tab.evaluate(TOO_LARGE) == [] and tab.evaluate(SMALLEST) > 35.9
        assert page.outside == [] and page.errors == []


def test_every_screen_of_every_demo_fits_and_is_large(server, tmp_path):
    wrong = []
    with browser() as chromium:
        page = Page(chromium.new_page(viewport={"width": 1280, "height": 720}), server.address(), server.token).watch()
        tab = page.page
        for name in serve.SHIPPED:
            tab.goto(server.address(name))
            tab.wait_for_selector("html[data-screen='1']", timeout=FIRST)
            for number in range(1, tab.evaluate("screens.length") + 1):
                tab.evaluate(f"go({number - 1})")
                at(tab, number)
                keep(tab, tmp_path, f"{name}-{number}")
                found = tab.evaluate(TOO_LARGE), tab.evaluate(LETTERS) >= 2, tab.evaluate(SMALLEST) >= 24
                wrong += [] if found == ([], True, True) else [(name, number, *found)]
        assert wrong == [] and page.outside == [] and page.errors == []


def test_a_race_by_keys_alone(server):
    with browser() as chromium:
        tab = chromium.new_page(viewport={"width": 1280, "height": 720})
        tab.goto(server.address("own race"))
        tab.wait_for_selector("html[data-screen='1']", timeout=FIRST)
        tab.keyboard.press("1")  # the picture is covered: no button acts
        tab.keyboard.press("PageDown")
        at(tab, 2)
        tab.keyboard.press("2")  # where a try before this one has left the race under way
        tab.get_by_text("1 · Start").wait_for(timeout=LATER)
        first, anew = tab.locator("#buttons button").all()
        assert first.inner_text() == "1 · Start" and anew.is_disabled()
        path = "Math.max(0, ...[...document.querySelectorAll('#first path')].map(one => one.getAttribute('d').length))"
        lengths = set()
        tab.keyboard.press("1")
        tab.get_by_text("1 · Stop").wait_for(timeout=LATER)
        while first.inner_text() == "1 · Stop" and len(lengths) < 3:
            lengths.add(tab.evaluate(path))
        assert len(lengths) == 3  # the curve grows by itself
        tab.keyboard.press("1")
        tab.get_by_text("1 · Go on").wait_for(timeout=LATER)
        held = tab.evaluate(path)
        tab.wait_for_timeout(300)
        assert tab.evaluate(path) == held and tab.locator("[role=status]").inner_text().startswith("Stopped.")
        tab.keyboard.press("2")
        tab.get_by_text("1 · Start").wait_for(timeout=LATER)
        first.click()
        tab.locator("[role=status]", has_text="At the end.").wait_for(timeout=LATER * 3)
        assert first.inner_text() == "1 · Start"
