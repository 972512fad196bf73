"""The web site: made of what is stored; every link leads somewhere; it works without a server or another host."""

import importlib.util
import json
import os
import re
import subprocess
import sys
from html.parser import HTMLParser
from itertools import product
from pathlib import Path
from urllib.parse import unquote, urlsplit

import nbformat
import pytest
from forked import forked
from jupyter import browser
from places import ROOT

import w2s_lab as w2s
from w2s_lab import classroom as room

SOURCE = ROOT / "docs" / "site"
NOTEBOOKS = sorted((ROOT / "notebooks").glob("*.ipynb"))


def load(name: str):
    """A module of docs/site, which is no package."""
    spec = importlib.util.spec_from_file_location(f"site_{name}", SOURCE / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


pages = load("pages")

# -- frames ------------------------------------------------------------------------------------------------------------


def shown(html: str) -> dict:
    return json.loads(re.search(r'<script type="application/json">(.*?)</script>', html, re.DOTALL)[1])


def test_frames_are_the_panel_at_every_position():
    panel = room.heat_map()
    found = shown(pages.frames(panel))
    places = list(product(*(range(len(control["options"])) for control in found["controls"])))
    assert len(places) == len(found["frames"]) == 5 * 4 * 4
    for place, (says, numbers) in zip(places, found["frames"], strict=True):
        if sum(place) % 5 == 0:  # some of them: each is a drawing
            for control, at in zip(panel.controls.values(), place, strict=True):
                control.index = at
            assert says == panel.view.says
            assert "".join(found["pieces"][number] for number in numbers) == panel.view.charts[0].svg()


def test_a_slider_of_numbers_has_the_stops_that_were_chosen():
    found = shown(pages.frames(room.budget_explorer()))
    labels = {control["label"]: control["options"] for control in found["controls"]}
    assert labels["Budget"] == [f"{stop:,}" for stop in pages.STOPS["budget"]]
    cheapest = room.budget_explorer().set(human_price=1, weak_price=0.1, budget=200).view
    assert found["frames"][0][0] == cheapest.says


# -- guesses, badges ---------------------------------------------------------------------------------------------------


def test_from_a_guess_to_its_outcome_everything_is_folded():
    for path in NOTEBOOKS:
        notebook = nbformat.read(path, as_version=4)
        pages.fold_outcomes(notebook)
        open_guesses = set()
        for cell in notebook.cells:
            open_guesses |= set(re.findall(r'room\.predict\(\s*"([^"]+)"', cell.source))
            if open_guesses and cell.get("outputs") and "room.predict(" not in cell.source:
                assert "hide-output" in cell.metadata.tags, (path.name, cell.source)
            open_guesses -= set(re.findall(r'room\.outcome\(\s*"([^"]+)"', cell.source))
        assert not open_guesses


def test_a_guess_without_an_outcome_is_an_error():
    cell = nbformat.v4.new_code_cell('room.predict("x", "?", ["a"])')
    with pytest.raises(ValueError, match="x"):
        pages.fold_outcomes(nbformat.v4.new_notebook(cells=[cell]))


def test_badges_and_the_cell_that_installs_appear_with_an_address_only(tmp_path):
    stored = NOTEBOOKS[0].read_text(encoding="utf-8")
    assert "colab" not in pages.read(stored).cells[1].source.lower()
    stored_code = [
        cell.source for path in NOTEBOOKS for cell in nbformat.read(path, 4).cells if cell.cell_type == "code"
    ]
    assert not any("pip install" in source for source in stored_code)
    address = "https://github.com/someone/w2s_lab"
    links = re.findall(r"\]\((.*?)\)", pages.read(stored, address).cells[1].source)
    copy = "someone/w2s_lab/blob/gh-pages/open/00_start_here.ipynb"
    assert links == [
        f"https://colab.research.google.com/github/{copy}",
        f"https://kaggle.com/kernels/welcome?src=https://github.com/{copy}",
        "https://mybinder.org/v2/gh/someone/w2s_lab/HEAD?labpath=notebooks/00_start_here.ipynb",
    ]
    pages.write_copies(tmp_path, address)
    copies = sorted((tmp_path / "open").glob("*.ipynb"))
    assert [path.name for path in copies] == [path.name for path in NOTEBOOKS]
    for path in copies:
        first, *others = [cell for cell in nbformat.read(path, as_version=4).cells if cell.cell_type == "code"]
        assert f"git+{address}" in first.source and not any(cell.outputs for cell in others)


# -- what only shows results needs no torch ----------------------------------------------------------------------------


@pytest.mark.slow
def test_dashboards_of_results_import_no_torch():
    code = """
import sys
from w2s_lab import classroom as room
room.loss_explorer("lambda"), room.loss_explorer("alpha"), room.hard_or_soft(), room.heat_map(), room.budget_explorer()
sys.exit("torch" in sys.modules)
"""
    assert subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=False).returncode == 0


# -- the built site ----------------------------------------------------------------------------------------------------


@pytest.mark.slow
def test_the_built_site(tmp_path):
    """One test, since the site is built for it, as `make site` does: any warning is an error."""
    out = tmp_path / "html"
    command = [forked(), "-m", "sphinx", "-q", "-W", "--keep-going", "-c", str(SOURCE), str(ROOT), str(out)]
    environment = {name: value for name, value in os.environ.items() if name != "W2S_LAB_REPOSITORY"}
    before = {path: path.stat().st_mtime_ns for path in SOURCE.rglob("*") if "__pycache__" not in path.parts}
    done = subprocess.run(command, capture_output=True, text=True, env=environment, check=False)
    assert done.returncode == 0, done.stderr[-3000:]
    # a clone that can only be read has its site too
    assert before == {path: path.stat().st_mtime_ns for path in before} and len(list(SOURCE.rglob("*.rst"))) == 1
    every_link_leads_somewhere_and_nothing_is_loaded_from_elsewhere(out)
    it_has_every_public_name_and_no_solution(out)
    it_works_in_a_browser_from_the_disk(out)


class Page(HTMLParser):
    """What a page links to, what it loads, and its anchors."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.links, self.loads, self.anchors, self.path = [], [], set(), path
        self.feed(path.read_text(encoding="utf-8"))

    def handle_starttag(self, tag, attributes):
        given = dict(attributes)
        self.anchors |= {given[name] for name in ("id", "name") if given.get(name)}
        if tag == "a" and given.get("href"):
            self.links.append(given["href"])
        self.loads += [given[name] for name in ("src", "href", "srcset") if given.get(name) and tag not in ("a", "use")]


def every_link_leads_somewhere_and_nothing_is_loaded_from_elsewhere(site: Path) -> None:
    found = {path.resolve(): Page(path) for path in site.rglob("*.html")}
    assert len(found) > 100
    wrong = []
    for path, page in found.items():
        for target in page.links + page.loads:
            parts = urlsplit(target)
            if parts.scheme in ("http", "https", "mailto"):
                if target in page.loads:
                    wrong.append(f"{path.name} loads {target}")
            elif parts.scheme != "data":
                there = (path.parent / unquote(parts.path)).resolve() if parts.path else path
                if not there.is_file():
                    wrong.append(f"{path.name}: no {target}")
                elif parts.fragment and there in found and unquote(parts.fragment) not in found[there].anchors | {""}:
                    wrong.append(f"{path.name}: no anchor {target}")
    assert not wrong, wrong[:20]


def it_has_every_public_name_and_no_solution(site: Path) -> None:
    index = (site / "docs" / "site" / "api" / "index.html").read_text(encoding="utf-8")
    for short, face in (("w2s", w2s), ("room", room)):
        missing = [name for name in dir(face) if f"{short}.{name}<" not in index and not name.startswith("_")]
        assert not missing, missing
    assert not [path for path in site.rglob("*") if path.stem.startswith(("two_hours", "one_week"))]


def it_works_in_a_browser_from_the_disk(site: Path) -> None:
    """A dashboard, a guess and the search answer, at the width of a phone; no request leaves the disk."""
    with browser() as chromium:
        page = chromium.new_page(viewport={"width": 500, "height": 900})
        asked, errors = [], []
        page.on("request", lambda request: asked.append(request.url))
        page.on("pageerror", lambda error: errors.append(str(error)))
        page.goto(f"{site.as_uri()}/notebooks/09_scaling_and_budget.html")
        panel = page.locator(".w2s-panel", has_text="Every pair of the ladder")
        slider = panel.get_by_label("Strong student")
        slider.focus()
        slider.press("ArrowLeft")
        moved = room.heat_map().set(strong="pocket-m").view.says
        assert panel.get_by_role("status").inner_text() == moved
        assert slider.get_attribute("aria-valuetext") == "pocket-m"
        assert panel.get_by_role("img").get_attribute("aria-label") == moved
        outcome = page.locator("details", has_text="The run says: 17")
        assert not outcome.get_by_text("The run says: 17").is_visible()
        page.get_by_role("button", name="13", exact=True).click()
        assert outcome.get_by_text("Your guess: 13. The run says: 17").is_visible()
        wide = page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth")
        assert wide == 0
        page.goto(f"{site.as_uri()}/search.html?q=imitation")
        page.wait_for_selector("ul.search li a", timeout=20_000)
        assert page.locator("ul.search li").count() >= 3
        assert not errors and all(url.startswith(("file:", "data:")) for url in asked)
