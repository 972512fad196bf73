"""Dashboards that were drawn once, at every position of their controls: a demo shows them without any model.

A recording, `data/demos/NAME.json.gz`, holds the controls and the `View` of each position, as records and not as
pictures: colours and fonts are those of today's figures. `record` makes it.
"""

import gzip
import json
import zlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import fields, replace
from itertools import product
from pathlib import Path
from typing import Any

import ipywidgets as widgets
import numpy as np

from w2s_lab import assets
from w2s_lab.classroom.toolkit.chart import Bar, BarChart, Chart, Mark, Series
from w2s_lab.classroom.toolkit.panel import Panel, View, choice, stops
from w2s_lab.classroom.toolkit.sketch import Box, Line, Sketch, Words
from w2s_lab.figures.plots import GREY, ROLE, Role
from w2s_lab.system.files import replacing

RECORDS = {kind.__name__: kind for kind in (View, Chart, Series, Mark, Role, Bar, BarChart, Sketch, Box, Words, Line)}
COLORS = {"grey": GREY, **{name: role.color for name, role in ROLE.items()}}
DIGITS = 5  # of a number that is drawn


def place_of(name: str) -> Path:
    """The file of a recording."""
    return assets.DEMOS / f"{name}.json.gz"


def read_recording(name: str) -> dict[str, Any]:
    """What a recording holds, as values of JSON.

    Raises:
        ValueError: there is no such recording, or its file is damaged.
    """
    path = place_of(name)
    if not path.is_file():
        known = ", ".join(sorted(one.name.removesuffix(".json.gz") for one in path.parent.glob("*.json.gz")))
        raise ValueError(f"there is no recording {name!r}; expected one of {known}")
    try:
        return json.loads(gzip.decompress(path.read_bytes()))  # gzip compares a checksum
    except (OSError, EOFError, zlib.error, ValueError) as error:
        raise ValueError(f"{path} is damaged ({error}). Hint: take the file anew from the kit") from error


def write_recording(name: str, found: Mapping[str, Any]) -> None:
    """Write values of JSON; the same values give the same bytes."""
    text = json.dumps(found, ensure_ascii=False, separators=(",", ":"))
    with replacing(place_of(name)) as new:
        new.write_bytes(gzip.compress(text.encode(), 9, mtime=0))


def recorded(name: str) -> Panel:
    """A recorded dashboard: the controls that were recorded, with the pictures and the words of each position.

    Args:
        name: of the recording, such as "why".

    Raises:
        ValueError: there is no such recording, or its file is damaged.
    """
    found = read_recording(name)
    controls = {key: _control(*about) for key, about in found["controls"].items()}
    views = dict(zip(_places(controls.values()), found["views"], strict=True))
    return Panel(found["title"], controls, lambda **values: _decoded(views[tuple(values.values())]))


def recording(panel: Panel, names: Sequence[str]) -> dict[str, Any]:
    """A dashboard at every position of the controls of these names, as values of JSON; other controls stay.

    Raises:
        Exception: what the dashboard raises while it draws.
    """
    about = {name: _about(panel.controls[name]) for name in names}
    begin = {name: panel.controls[name].value for name in names}
    views = []
    for place in _places([_control(*one) for one in about.values()]):
        panel.set(**dict(zip(names, place, strict=True))).refresh()  # an error while drawing is raised by `refresh`
        views.append(_encoded(panel.view if not panel.view.charts else replace(panel.view, html="", instead=None)))
    panel.set(**begin)
    return {"title": panel.title, "controls": about, "views": views}


# -- controls ----------------------------------------------------------------------------------------------------------


def _about(control: widgets.Widget) -> tuple[str, str, list[tuple[str, Any]], Any]:
    """Kind, label, options as (label, value) and the value of a control."""
    value, label = control.value, control.description
    if isinstance(control, widgets.Checkbox):
        return "box", label, [("no", False), ("yes", True)], value
    if hasattr(control, "index"):
        kind = "stops" if isinstance(control, widgets.SelectionSlider) else "choice"
        return kind, label, list(zip(control._options_labels, control._options_values, strict=True)), value
    many = round((control.max - control.min) / control.step) + 1
    found = [round(control.min + control.step * number, 6) for number in range(many)]
    return "stops", label, [(format(one, control.readout_format), one) for one in found], value


def _control(kind: str, label: str, options: Sequence[Sequence[Any]], value: Any) -> widgets.Widget:
    if kind == "box":
        return widgets.Checkbox(value=value, description=label, indent=False)
    plain = all(str(one) == text for text, one in options)
    found = [one if plain else (text, one) for text, one in options]
    return (stops if kind == "stops" else choice)(label, found, value)


def _places(controls: Sequence[widgets.Widget]) -> Iterator[tuple[Any, ...]]:
    """The values of the controls at every position."""
    return product(*([value for _, value in _about(control)[2]] for control in controls))


# -- records -----------------------------------------------------------------------------------------------------------


def _encoded(found: Any) -> Any:
    """A record or a value as JSON; a role's colour goes by the role's name, so that it follows the figures."""
    kind = type(found).__name__
    if kind in RECORDS:
        given = {field.name: getattr(found, field.name) for field in fields(found)}
        known = {field.name: field.default for field in fields(found)}
        if given.get("color") in COLORS.values():
            given["color"] = f"ROLE {next(name for name, color in COLORS.items() if color == given['color'])}"
        return {"is": kind} | {name: _encoded(one) for name, one in given.items() if one is not known[name]}
    if isinstance(found, (list, tuple, np.ndarray)):
        return [_encoded(one) for one in found]
    if isinstance(found, (float, np.floating)):
        return float(f"{found:.{DIGITS}g}")
    return int(found) if isinstance(found, np.integer) else found


def _decoded(found: Any) -> Any:
    if isinstance(found, list):
        return tuple(map(_decoded, found))
    if not isinstance(found, dict):
        return COLORS[found.removeprefix("ROLE ")] if str(found).startswith("ROLE ") else found
    return RECORDS[found["is"]](**{name: _decoded(one) for name, one in found.items() if name != "is"})
