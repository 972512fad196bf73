"""Pieces of SVG that the pictures are made of, and the PNG of them that a stored notebook shows.

Live, the browser draws the SVG, in the fonts and the ink of the page. A PNG is black on white, in the fonts that ship
with matplotlib, so that it is the same on every machine.
"""

import base64
import re
from collections.abc import Sequence
from functools import cache
from html import escape as to_html
from pathlib import Path

import matplotlib
import resvg_py
from IPython.display import display
from matplotlib.ft2font import FT2Font

INK = "currentColor"  # black, and white on a dark page
MINUS = "\N{MINUS SIGN}"
WIDTH = 680  # pixels of a picture, unless it says otherwise
SHARP = 1.5  # pixels of a PNG for each pixel of its picture; 2 would take a third more bytes
CAPTION, LINE = 13, 18  # of the words above a PNG: height of their letters and of a line
GAP = 8  # pixels between two pictures
NO_XML = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")  # such as control characters

_FOLDER = Path(matplotlib.get_data_path(), "fonts", "ttf")
FONTS = tuple(str(_FOLDER / f"DejaVuSans{name}.ttf") for name in ("", "-Bold", "Mono", "Mono-Bold"))


class Drawing:
    """A picture. A panel shows its SVG; as the output of a cell, it is a PNG with its words.

    Attributes:
        said: what the picture shows, for those who do not see it.
    """

    said: str

    def svg(self) -> str:
        """The picture, as `picture` makes it."""
        raise NotImplementedError

    @property
    def summary(self) -> str:
        """The picture in words."""
        return self.said

    def show(self) -> None:
        """Put the picture below the cell, from any line of it."""
        display(self)

    def _repr_mimebundle_(self, **options: object) -> tuple[dict, dict]:
        return with_png({"text/plain": self.summary}, [self])


def picture(width: float, height: float, said: str, inside: Sequence[str]) -> str:
    """A whole SVG image that shrinks with the page; `said` is what it shows, for those who do not see it."""
    head = f'<svg role="img" aria-label="{escape(said)}" viewBox="0 0 {width:.0f} {height:.0f}"'
    look = f"max-width:{width:.0f}px;width:100%;height:auto;font-family:system-ui,sans-serif;color:inherit"
    return f'{head} style="{look}" xmlns="http://www.w3.org/2000/svg">{"".join(inside)}</svg>'


def extent(svg: str) -> tuple[int, int]:
    """Width and height of a `picture`, in pixels."""
    width, height = re.match(r'<svg [^>]*viewBox="0 0 (\d+) (\d+)"', svg).groups()
    return int(width), int(height)


def stacked(pictures: Sequence[str], caption: str = "") -> str:
    """One picture of several, one below the other, under a caption."""
    width = max(extent(one)[0] for one in pictures)
    lines: list[str] = []
    for word in caption.split():
        if lines and text_width(f"{lines[-1]} {word}", CAPTION) <= width - 8:
            lines[-1] += f" {word}"
        else:
            lines.append(word)
    found = [words(4, LINE * row, text, anchor="start", size=CAPTION) for row, text in enumerate(lines, 1)]
    top = LINE * len(lines) + GAP * bool(lines)
    for one in pictures:
        own, height = extent(one)
        place = f'y="{top}" width="{own}" height="{height}" overflow="visible"'  # clipping doubles the time
        found.append(one.replace("<svg ", f"<svg {place} ", 1))
        top += height + GAP
    return picture(width, top - GAP, caption, found)


def png(svg: str) -> bytes:
    """A `picture` as PNG, SHARP times as many pixels wide and high: black on white, in FONTS and no other font."""
    return resvg_py.svg_to_bytes(
        svg_string=svg, zoom=SHARP, background="white", skip_system_fonts=True, font_files=list(FONTS),
        font_family="DejaVu Sans", sans_serif_family="DejaVu Sans", serif_family="DejaVu Sans",
        monospace_family="DejaVu Sans Mono",
    )  # fmt: skip


def with_png(bundle: dict, drawings: Sequence[Drawing], caption: str = "") -> tuple[dict, dict]:
    """A cell's output with a PNG of the drawings; and its metadata, with the width in pixels and the words as alt."""
    whole = stacked([drawing.svg() for drawing in drawings], caption)
    look = {"width": extent(whole)[0], "alt": bundle["text/plain"]}
    return {**bundle, "image/png": base64.b64encode(png(whole)).decode()}, {"image/png": look}


def escape(text: str) -> str:
    """A text inside of XML; what XML cannot hold becomes the replacement character."""
    return to_html(NO_XML.sub("\N{REPLACEMENT CHARACTER}", text))


def ink(color: str) -> str:
    """A colour as it is drawn: black as INK."""
    return INK if color == "#000000" else color


_font = cache(FT2Font)


@cache
def _advance(letter: str, bold: bool) -> float:
    """The width of a letter, in letter heights."""
    font = _font(FONTS[bold])
    font.set_size(100, 72)
    return font.load_char(ord(letter)).linearHoriAdvance / 65536 / 100


def text_width(text: str, size: int = 14, bold: bool = False) -> float:
    """Pixels that a text takes in the font of the PNG; most fonts of a page are narrower."""
    return size * sum(_advance(letter, bold) for letter in text)


def words(
    x: float, y: float, text: str, *, anchor: str = "middle", size: int = 14, color: str = INK, bold: bool = False,
    more: str = "",
) -> str:  # fmt: skip
    """Text whose base line is at `y` and whose start, middle or end is at `x`; `more` are attributes of its own."""
    weight = ' font-weight="600"' if bold else ""
    place = f'x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}" font-size="{size}" fill="{color}"{weight}'
    return f"<text {place} {more}>{escape(text)}</text>"


def line(x1: float, y1: float, x2: float, y2: float, color: str = INK, more: str = "") -> str:
    """A straight line."""
    return f'<line x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}" stroke="{color}" {more}/>'
