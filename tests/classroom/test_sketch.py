"""Sketches: the same description as SVG and by matplotlib."""

from xml.etree import ElementTree

import pytest
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from w2s_lab.classroom.toolkit.panel import png
from w2s_lab.classroom.toolkit.sketch import INK, WIDTH, Box, Line, Sketch, Words

SVG = "{http://www.w3.org/2000/svg}"


@pytest.fixture
def sketch() -> Sketch:
    items = (
        Box(10, 20, 30, 40, "#0072B2", 0.5),
        Box(50, 20, 30, 40, "#E69F00", hatch=True),
        Words(5, 15, "a < b & $c$", mono=True),
        Words(WIDTH - 5, 15, "end", "end", 12, bold=True),
        Line(0, 90, WIDTH, 90, 0.5, dashed=True),
    )
    return Sketch(items, 100, 'said "so"')


def test_svg_is_well_formed_and_says_what_it_shows(sketch):
    root = ElementTree.fromstring(sketch.svg())
    assert (root.get("aria-label"), root.get("role"), root.get("viewBox")) == ('said "so"', "img", f"0 0 {WIDTH} 100")
    boxes = root.findall(f"{SVG}rect")
    assert [(float(b.get("x")), float(b.get("width")), float(b.get("height"))) for b in boxes] == [
        (10, 30, 40),
        (50, 30, 40),
    ]
    pattern = root.find(f"{SVG}defs/{SVG}pattern").get("id")
    assert boxes[1].get("fill") == f"url(#{pattern})"
    assert [text.text for text in root.findall(f"{SVG}text")] == ["a < b & $c$", "end"]
    assert all(text.get("fill") == INK for text in root.findall(f"{SVG}text"))


def test_matplotlib_draws_the_same_things_at_the_same_places(sketch):
    ax = sketch.draw(Figure().subplots())
    boxes = [patch for patch in ax.patches if isinstance(patch, Rectangle)]
    assert [(b.get_x(), b.get_y(), b.get_width(), b.get_height()) for b in boxes] == [
        (10, 20, 30, 40),
        (50, 20, 30, 40),
    ]
    assert boxes[1].get_hatch() and not boxes[0].get_hatch()
    assert [text.get_text() for text in ax.texts] == [r"a < b & \$c\$", "end"]
    assert ax.get_xlim() == (0, WIDTH) and ax.get_ylim() == (100, 0)
    assert len(ax.lines) == 1


def test_a_stored_picture_is_as_high_as_its_sketches(sketch):
    one, two = (len(png([sketch] * count)) for count in (1, 2))
    assert two > one
    assert sketch.inches == pytest.approx(8.2 * 100 / WIDTH)


def test_letters_scale_with_the_room(sketch):
    small, large = (sketch.draw(Figure(figsize=(side, side)).subplots()).texts[0].get_fontsize() for side in (3, 9))
    assert large == pytest.approx(3 * small)
