"""Every colour can be seen on a white and on a dark page, and colour-blind people can tell the roles apart."""

import re
from itertools import combinations

import numpy as np

from tests.places import ROOT
from w2s_lab.figures.plots import GREY, ROLE
from w2s_lab.figures.study_plots import SERIES, VERDICT

PAGES = {"white": "#ffffff", "JupyterLab, dark": "#111111", "its cells": "#212121"}
OKABE_ITO = ("#E69F00", "#0072B2", "#009E73", "#CC79A7", "#D55E00")  # chosen for colour-blind readers in 2008

# What a person sees who lacks one kind of cone, from linear RGB: Machado, Oliveira and Fernandes (2009), severity 1.
SIGHT = {
    "usual": np.eye(3),
    "protanopia": [[0.152286, 1.052583, -0.204868], [0.114503, 0.786281, 0.099216], [-0.003882, -0.048116, 1.051998]],
    "deuteranopia": [[0.367322, 0.860646, -0.227968], [0.280085, 0.672501, 0.047413], [-0.01182, 0.04294, 0.968881]],
    "tritanopia": [[1.255528, -0.076749, -0.178779], [-0.078411, 0.930809, 0.147602], [0.004733, 0.691367, 0.3039]],
}
TO_XYZ = np.array([[0.4124, 0.3576, 0.1805], [0.2126, 0.7152, 0.0722], [0.0193, 0.1192, 0.9505]])  # IEC 61966-2-1


def linear(color: str) -> np.ndarray:
    value = np.array([int(color[place : place + 2], 16) for place in (1, 3, 5)]) / 255
    return np.where(value <= 0.04045, value / 12.92, ((value + 0.055) / 1.055) ** 2.4)


def contrast(one: str, other: str) -> float:
    """WCAG 2.2: (lighter + .05) / (darker + .05) of the relative luminances."""
    dark, light = sorted(float(TO_XYZ[1] @ linear(color)) for color in (one, other))
    return (light + 0.05) / (dark + 0.05)


def lab(color: str, sight: object) -> np.ndarray:
    """CIELAB of what is seen."""
    xyz = TO_XYZ @ np.clip(np.asarray(sight) @ linear(color), 0, 1) / TO_XYZ.sum(1)
    f = np.where(xyz > 0.008856, np.cbrt(xyz), 7.787 * xyz + 16 / 116)
    return np.array([116 * f[1] - 16, 500 * (f[0] - f[1]), 200 * (f[1] - f[2])])


def nearest(colors, sight: object) -> float:
    """Distance (CIE 1976) of the two colours that are most alike."""
    return min(float(np.linalg.norm(lab(a, sight) - lab(b, sight))) for a, b in combinations(colors, 2))


def pale(colors, least: float = 3.0) -> list[str]:
    rows = [(color, page, contrast(color, PAGES[page])) for color in colors for page in PAGES]
    return [f"{color} on {page}: {ratio:.2f}" for color, page, ratio in rows if ratio < least]


def test_the_measures_agree_with_published_values():
    assert round(contrast("#000000", "#ffffff"), 6) == 21
    assert round(contrast("#767676", "#ffffff"), 2) == 4.54  # the palest grey for words, by WCAG's own example
    assert np.allclose(lab("#ff0000", SIGHT["usual"]), (53.24, 80.09, 67.20), atol=0.05)
    assert nearest(("#ff0000", "#00ff00"), SIGHT["deuteranopia"]) < nearest(("#ff0000", "#00ff00"), SIGHT["usual"]) / 2
    assert pale(["#E69F00", "#332288"]) and not pale(["#767676"])


def test_every_mark_stands_out_from_a_white_and_from_a_dark_page():
    looks = [*ROLE.values(), *SERIES, *VERDICT.values()]
    assert not pale({look.color for look in looks} - {"#000000"}), "black is drawn in the ink of the page"


def test_grey_words_can_be_read_on_white():
    assert contrast(GREY, "#ffffff") >= 4.5


def test_no_dashboard_has_a_colour_of_its_own_that_vanishes_on_one_of_the_pages():
    """Heat maps write black or white into fields of their own colour, so they may name both."""
    faults = {}
    for path in sorted((ROOT / "w2s_lab/classroom").rglob("*.py")):
        colors = set(re.findall(r"#[0-9a-fA-F]{6}\b", path.read_text(encoding="utf-8")))
        if bad := pale(colors - {"#000000", "#ffffff"}):
            faults[path.name] = bad
    assert not faults


def test_studies_take_their_looks_from_those_that_were_tried():
    own = re.compile(r"Role\([^)]*#[0-9a-fA-F]{6}")
    assert not [path.name for path in (ROOT / "w2s_lab/studies").glob("*.py") if own.search(path.read_text("utf-8"))]


def test_colour_blind_people_tell_the_roles_apart_as_well_as_in_the_palette_of_okabe_and_ito():
    roles = [role.color for key, role in ROLE.items() if key != "truth"]
    series = [look.color for look in SERIES]
    for name, sight in SIGHT.items():
        assert nearest(roles, sight) > nearest(OKABE_ITO, sight) - 0.1, name
        assert nearest(series, sight) > 15, name
