"""The demo `why` in a real browser, by keys alone: it fits the screen, it answers, and it asks nobody else."""

from pathlib import Path

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
FIRST, LATER = 400_000, 20_000  # milliseconds: with the trainings, where the store has none yet; a step
# What does not fit: elements that are wider or higher than their place, and the page itself.
TOO_LARGE = """() => ['html', 'body', 'h1', 'main', '#first', '#beside', 'footer'].filter(name => {
    const found = document.querySelector(name);
    return found.scrollWidth > found.clientWidth + 1 || found.scrollHeight > found.clientHeight + 1;
})"""
SMALLEST = """() => Math.min(...[...document.querySelectorAll('h1, p, li, label, button, select, output, #place')]
    .map(found => parseFloat(getComputedStyle(found).fontSize)))"""


@pytest.fixture(scope="module")
def server():
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr("sys.executable", forked())
        with serving(serve.DemoServer(serve.find_demos(), assets.store_folder())) as found:
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
