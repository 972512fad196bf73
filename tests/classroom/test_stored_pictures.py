"""Pictures in stored notebooks are half as large, at no loss to the eye."""

import base64
import io
import json

import numpy as np
from PIL import Image

from w2s_lab import assets
from w2s_lab.classroom import build
from w2s_lab.classroom.toolkit.svg import png


def test_every_stored_picture_is_told_in_words():
    """Matplotlib's own words for a figure are its size in pixels, which says nothing."""
    bare = []
    for path in sorted(assets.NOTEBOOKS.glob("*.ipynb")):
        for number, cell in enumerate(json.loads(path.read_text(encoding="utf-8"))["cells"]):
            shown = [output["data"] for output in cell.get("outputs", ()) if "image/png" in output.get("data", {})]
            texts = ["".join(data.get("text/plain", "")) for data in shown]
            bare += [f"{path.name}, cell {number}: {text}" for text in texts if text.startswith("<") or len(text) < 20]
    assert not bare, bare


def drawn_png(colours: np.ndarray) -> str:
    written = io.BytesIO()
    Image.fromarray(colours.astype(np.uint8)).save(written, "PNG")
    return base64.b64encode(written.getvalue()).decode()


def pixels(picture: str) -> np.ndarray:
    return np.asarray(Image.open(io.BytesIO(base64.b64decode(picture))).convert("RGBA"))


def test_a_stored_drawing_is_smaller_and_the_same_to_the_last_pixel():
    svg = (
        '<svg xmlns="http://www.w3.org/2000/svg" width="300" height="200"><rect width="300" height="200" fill="#fff"/>'
    )
    svg += "".join(f'<circle cx="{40 * i}" cy="90" r="{7 * i}" fill="none" stroke="#0072B2"/>' for i in range(1, 7))
    before = base64.b64encode(png(svg + "</svg>")).decode()
    after = build.smaller(before)
    assert len(after) < 0.8 * len(before)
    assert np.array_equal(pixels(after), pixels(before))


def test_a_picture_that_would_look_otherwise_stays_as_it_is():
    noise = np.random.default_rng(0).integers(0, 256, (40, 40, 3))
    see_through = np.full((40, 40, 4), 90)
    for picture in (drawn_png(noise), drawn_png(see_through)):
        assert build.smaller(picture) == picture
