"""What holds for every picture of the classroom: asserted on its SVG, and on the PNG that a stored notebook shows."""

import base64
import io
from collections.abc import Iterator
from xml.etree import ElementTree

import numpy as np
from matplotlib.ft2font import FT2Font
from matplotlib.image import imread

from w2s_lab.classroom.toolkit.svg import FONTS, SHARP, Drawing, extent, png, text_width

SVG = "{http://www.w3.org/2000/svg}"
GLYPHS = set().union(*(FT2Font(path).get_charmap() for path in FONTS))
SHARE = {"start": 0.0, "middle": 0.5, "end": 1.0}  # of a text that lies before its x


def pixels(svg: str) -> np.ndarray:
    """[height, width, 3] of the PNG of a picture, 0 to 1."""
    return imread(io.BytesIO(png(svg)))[..., :3]


def sound(drawing: Drawing) -> ElementTree.Element:
    """The SVG, parsed: it says what it shows, and all of its words can be read and lie inside of it."""
    root = ElementTree.fromstring(drawing.svg())
    assert root.get("role") == "img" and root.get("aria-label") == drawing.summary != ""
    for text, low, high, end in _places(root, *extent(drawing.svg())):
        assert low >= 0 and high <= end, f"{text!r} from {low:.0f} to {high:.0f} of {end} pixels"
        assert {ord(letter) for letter in text} <= GLYPHS, f"a letter of {text!r} would be drawn as a box"
    return root


def _places(element: ElementTree.Element, width: int, height: int, x: float = 0) -> Iterator[tuple]:
    """(text, where it begins, where it ends, how far the picture reaches) along the line of each text."""
    turned = (element.get("transform") or "").startswith("rotate")
    if (element.get("transform") or "").startswith("translate"):
        x += float(element.get("transform")[len("translate(") :].split()[0])
    if element.tag == f"{SVG}text":
        bold = element.get("font-weight") is not None
        room = float(element.get("textLength") or text_width(element.text or "", int(element.get("font-size")), bold))
        middle = float(element.get("y")) if turned else x + float(element.get("x"))
        low = middle - SHARE[element.get("text-anchor")] * room
        yield element.text or "", low, low + room, height if turned else width
    for child in element:
        yield from _places(child, width, height, x)


def stored(shown: Drawing) -> dict:
    """What a stored notebook keeps of a drawing or a panel: words, and a PNG that carries them and is not empty."""
    bundle, metadata = shown._repr_mimebundle_()
    data, look = base64.b64decode(bundle["image/png"]), metadata["image/png"]
    seen = imread(io.BytesIO(data))[..., :3]
    assert look["alt"] == bundle["text/plain"] and seen.shape[1] == SHARP * look["width"]
    assert (seen[0] == 1).mean() > 0.5 and (seen < 0.5).any(-1).mean() > 0.002  # white paper, with ink on it
    assert bundle["image/png"] == shown._repr_mimebundle_()[0]["image/png"]
    view = [shown] if isinstance(shown, Drawing) else [*shown.view.charts, shown.view.instead]
    for drawing in filter(None, view):
        sound(drawing)
    return bundle
