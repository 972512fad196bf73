"""Pieces of SVG that the pictures are made of. Black is drawn as `currentColor`, so that it shows on a dark page."""

from collections.abc import Sequence
from html import escape

INK = "currentColor"
WIDTH = 680  # pixels of a picture, unless it says otherwise


def picture(width: float, height: float, said: str, inside: Sequence[str]) -> str:
    """A whole SVG image that shrinks with the page; `said` is what it shows, for those who do not see it."""
    head = f'<svg role="img" aria-label="{escape(said, quote=True)}" viewBox="0 0 {width:.0f} {height:.0f}"'
    look = f"max-width:{width:.0f}px;width:100%;height:auto;font-family:system-ui,sans-serif;color:inherit"
    return f'{head} style="{look}" xmlns="http://www.w3.org/2000/svg">{"".join(inside)}</svg>'


def ink(color: str) -> str:
    """A colour as it is drawn: black as INK."""
    return INK if color == "#000000" else color


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
