"""Sketches: what they are made of is where they say."""

import numpy as np
import pytest
from pictures import SVG, pixels, sound, stored

from w2s_lab.classroom.toolkit.sketch import INK, WIDTH, Box, Line, Sketch, Words
from w2s_lab.classroom.toolkit.svg import SHARP


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
    root = sound(sketch)
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


def test_a_filling_is_as_opaque_as_it_says_and_a_hatch_lets_the_paper_through(sketch):
    seen = pixels(sketch.svg())
    filled, hatched = seen[45:75, 20:50], seen[45:75, 80:115]
    blue = np.array([0x00, 0x72, 0xB2]) / 255
    assert np.abs(filled - (1 + blue) / 2).max() < 0.01
    assert 0.1 < (hatched.mean(-1) > 0.95).mean() < 0.9


def test_letters_of_fixed_width_take_the_room_of_the_layout(sketch):
    word = next(text for text in sound(sketch).iter(f"{SVG}text") if text.get("textLength"))
    row = pixels(sketch.svg())[:25, : int(SHARP * 200)]  # the words at the left, and their baseline
    inked = np.flatnonzero((row < 0.5).any((0, 2)))
    assert inked[-1] / SHARP == pytest.approx(5 + float(word.get("textLength")), abs=4)


def test_it_is_stored_with_its_words(sketch):
    assert stored(sketch)["text/plain"] == 'said "so"'
