"""Recordings: what was drawn once is drawn again, number for number, and without a model."""

import gzip
import subprocess
import sys

import ipywidgets as widgets
import pytest
from places import ROOT

from w2s_lab import assets
from w2s_lab import classroom as room
from w2s_lab.classroom.toolkit.chart import Bar, BarChart, Chart, Mark, Series
from w2s_lab.classroom.toolkit.panel import Panel, View, choice, slider
from w2s_lab.classroom.toolkit.recorded import place_of, recording, write_recording
from w2s_lab.classroom.toolkit.sketch import Box, Line, Sketch, Words
from w2s_lab.figures.plots import ROLE, Role


@pytest.fixture
def panel():
    """A dashboard of every kind of picture and control."""

    def draw(rate: float, kind: str, bold: bool, seed: int) -> View:
        look = Role("mine", ROLE["weak"].color, "s", "", "--")
        line = Series([0, 1, 2], [rate, None, 1.0], look, low=[0, 0, 0], high=[1, 1, 1])
        chart = Chart("x", "y", (line, Series([0, 2], [0, 1], "student", faint=bold)), (Mark(rate, "here"),))
        bars = BarChart("n", (Bar("a", rate, "random", 0.1, 0.9), Bar("b", None)), (0.0, 2.0))
        box = Box(0, 0, 9, 9, ROLE["same"].color, hatch=bold)
        sketch = Sketch((box, Words(1, 2, "é"), Line(0, 0, 5, 5)), 40, "sketch")
        return View(f"{rate} {kind} {bold} {seed}", (chart, bars, sketch) if kind == "all" else (), "<p>table</p>")

    controls = {"rate": slider("rate", 0.5, 0.0, 1.0, 0.25), "kind": choice("kind", ["all", "none"]),
                "bold": widgets.Checkbox(value=False, description="bold"), "seed": choice("seed", [3, 4])}  # fmt: skip
    return Panel("Everything", controls, draw)


def test_a_recording_shows_what_the_dashboard_shows(panel, tmp_path, monkeypatch):
    monkeypatch.setattr(assets, "DEMOS", tmp_path / "demos")
    write_recording("mine", recording(panel, ("rate", "kind", "bold")))
    first = place_of("mine").read_bytes()
    write_recording("mine", recording(panel, ("rate", "kind", "bold")))
    assert place_of("mine").read_bytes() == first
    again = room.recorded("mine")
    assert again.title == "Everything" and list(again.controls) == ["rate", "kind", "bold"]
    assert {name: one.value for name, one in again.controls.items()} == {"rate": 0.5, "kind": "all", "bold": False}
    for place in ((0.0, "all", True), (0.75, "all", False), (1.0, "none", True)):
        values = dict(zip(again.controls, place, strict=True))
        wanted, found = panel.set(**values).view, again.set(**values).view
        assert found.says == wanted.says
        assert [one.svg() for one in found.charts] == [one.svg() for one in wanted.charts]
        assert found.html == ("" if wanted.charts else wanted.html)


def test_a_recording_follows_the_colours_of_the_figures(panel, tmp_path, monkeypatch):
    monkeypatch.setattr(assets, "DEMOS", tmp_path / "demos")
    write_recording("mine", recording(panel, ("rate",)))
    monkeypatch.setattr("w2s_lab.classroom.toolkit.recorded.COLORS", {name: "#123456" for name in ("grey", *ROLE)})
    view = room.recorded("mine").view
    assert view.charts[0].series[0].style.color == view.charts[2].items[0].color == "#123456"


def test_a_missing_or_damaged_recording_is_told(tmp_path, monkeypatch):
    with pytest.raises(ValueError, match=r"no recording 'wy'; expected one of .*why"):
        room.recorded("wy")
    monkeypatch.setattr(assets, "DEMOS", tmp_path / "demos")
    write_recording("mine", {"title": "x", "controls": {}, "views": []})
    whole = place_of("mine").read_bytes()
    for broken in (whole[:-4], whole[:20] + b"x" + whole[21:], gzip.compress(b"{")):
        place_of("mine").write_bytes(broken)
        with pytest.raises(ValueError, match=r"mine\.json\.gz is damaged"):
            room.recorded("mine")


ALONE = """
import sys
from w2s_lab.classroom.demos import serve, worker
from w2s_lab.classroom.demos.screens import page_of

for name, path in serve.SHIPPED.items():
    if name != "race":
        page_of(worker.run_notebook(path))
        heavy = {"torch", "sklearn", "transformers"} & set(sys.modules)
        assert not heavy, (name, heavy)
"""


@pytest.mark.slow
def test_demos_of_measured_things_load_no_model():
    done = subprocess.run([sys.executable, "-c", ALONE], cwd=ROOT, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
