"""The PNG of a picture: the same every time, in the fonts that come along, black on white; and pictures in a stack."""

from xml.etree import ElementTree

import numpy as np
import pytest
from pictures import GLYPHS, SVG, pixels

from w2s_lab.classroom.toolkit.svg import FONTS, GAP, INK, SHARP, extent, picture, png, stacked, text_width, words


def written(text: str, **look: object) -> str:
    """A picture of one text."""
    return picture(300, 40, "a text", [words(10, 25, text, anchor="start", **look)])


def test_the_same_picture_is_the_same_bytes_and_another_label_is_not():
    assert png(written("accuracy")) == png(written("accuracy")) != png(written("agreement"))


@pytest.mark.parametrize("letter", "ŷαλθ×→−·′✓✗●○⏎␣…“⁹")
def test_a_letter_beyond_ascii_has_a_shape_of_its_own(letter):
    box = pixels(written("\U000f1234"))  # for private use: no font has it
    assert 0xF1234 not in GLYPHS and ord(letter) in GLYPHS
    for look in ({}, {"bold": True}, {"more": 'font-family="monospace"'}):
        seen = pixels(written(letter, **look))
        assert (seen < 0.5).any() and not np.array_equal(seen, box)


def test_ink_is_black_and_paper_white():
    seen = pixels(picture(20, 10, "half black", [f'<rect width="10" height="10" fill="{INK}"/>']))
    assert seen.shape == (10 * SHARP, 20 * SHARP, 3)
    assert (seen[:, :14] == 0).all() and (seen[:, 16:] == 1).all()


def test_fonts_of_the_machine_are_not_asked():
    """Whatever family is asked for, the PNG has the letters that ship with matplotlib; those of code are wider."""
    plain = pixels(written("Iil |"))
    for family in ("system-ui", "Arial", "Liberation Serif", "no such font, sans-serif"):
        assert np.array_equal(pixels(written("Iil |", more=f"font-family='{family}'")), plain)
    assert not np.array_equal(pixels(written("Iil |", more='font-family="ui-monospace,monospace"')), plain)
    assert all("matplotlib" in path for path in FONTS)


@pytest.mark.parametrize("bold", [False, True])
def test_a_text_is_as_wide_as_it_is_drawn(bold):
    text = "HxŷαWm 0.95H"  # begins and ends with an upright stroke
    inked = np.flatnonzero((pixels(written(text, bold=bold)) < 0.5).any((0, 2)))
    assert (inked[-1] - inked[0]) / SHARP == pytest.approx(text_width(text, bold=bold), abs=4)


def test_pictures_in_a_stack_keep_their_size_below_the_caption():
    one, two = (picture(w, h, "black", [f'<rect width="{w}" height="{h}"/>']) for w, h in ((300, 40), (200, 60)))
    assert extent(stacked([one, two])) == (300, 40 + GAP + 60)
    whole = stacked([one, two], "a < b, " * 30)
    lines = [text.text for text in ElementTree.fromstring(whole).findall(f"{SVG}text")]
    assert " ".join(lines) == " ".join(["a < b,"] * 30) and max(text_width(line, 13) for line in lines) <= 292
    assert ElementTree.fromstring(whole).get("aria-label") == "a < b, " * 30
    top = extent(whole)[1] - 40 - GAP - 60
    black = pixels(whole)[int(SHARP * top) + 1 :] == 0
    assert black.sum() / 3 == pytest.approx(SHARP**2 * (300 * 40 + 200 * 60), rel=0.02)


def test_what_xml_cannot_hold_is_replaced():
    svg = picture(300, 40, "\x00 & \ud800", [words(10, 25, "a\x1bb<c>")])
    root = ElementTree.fromstring(svg)
    assert (root.get("aria-label"), root.find(f"{SVG}text").text) == ("\ufffd & \ufffd", "a\ufffdb<c>")
    assert (pixels(svg) < 0.5).any()
