"""A matplotlib figure in words: what is drawn, with its numbers, read from the figure itself.

For people who do not see it, and for places that show no picture. In a notebook, the classroom gives the words to every
figure.
"""

import re
from collections.abc import Iterator

import numpy as np
from matplotlib.axes import Axes
from matplotlib.collections import PathCollection
from matplotlib.container import BarContainer, ErrorbarContainer
from matplotlib.figure import Figure

MANY = 12  # bars; more of them are a histogram
FEW = 3  # lines without a name


def figure_in_words(figure: Figure) -> str:
    """One sentence for each of the figure's axes: title, what is against what, and every named thing with its numbers.

    A curve is told by its ends and its highest point; a bar or a dot by its value, with its interval; a cloud of points
    by how many there are. Thin curves and small dots of single seeds have no name, and are left out.
    """
    found = [_axes(ax) for ax in figure.axes if ax.get_visible() and not hasattr(ax, "_colorbar")]
    title = figure.get_suptitle()
    if len(found) > 1:
        found = [f"Panel {number} of {len(found)}: {text}" for number, text in enumerate(found, 1)]
    return " ".join([*([f"{_plain(title)}."] if title else []), *found]) or "An empty figure."


def _axes(ax: Axes) -> str:
    """The sentence of one of the figure's axes."""
    x, y = _plain(ax.get_xlabel()), _plain(ax.get_ylabel())
    head = [_plain(ax.get_title(), "; "), f"{y} against {x}" if x and y else x or y]
    things = [*_points(ax), *_histograms(ax), *_curves(ax), *_clouds(ax), *_fields(ax)]
    things = things or [*_clouds(ax, "points")] or ["nothing is drawn"]
    return ": ".join(filter(None, ("; ".join(filter(None, head)), "; ".join(things)))) + "."


def _plain(text: str, joint: str = " ") -> str:
    """In one line."""
    return joint.join(" ".join(line.split()) for line in text.splitlines() if line.strip())


def _number(value: float) -> str:
    return (f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.3g}").replace("-", "\N{MINUS SIGN}")


def _name(artist: object) -> str:
    """As the legend says it; empty where matplotlib made it up."""
    label = str(artist.get_label())
    return "" if label.startswith("_") else _plain(label)


def _places(axis) -> dict[float, str]:
    """The words at the ticks of an axis; none where they are numbers."""
    found = {at: _plain(tick.get_text()) for at, tick in zip(axis.get_ticklocs(), axis.get_ticklabels(), strict=False)}
    return found if any(re.search("[^\\W\\d_]", text) and "$" not in text for text in found.values()) else {}


def _word_at(places: dict[float, str], at: float) -> str:
    near = min(places, key=lambda place: abs(place - at), default=at)
    return places[near] if places and abs(near - at) < 0.4 else _number(at)


def _points(ax: Axes) -> Iterator[str]:
    """Bars and dots, each at a place of its own: "student 0.81 [0.78, 0.83]"; an interval instead of its bare bar."""
    values: dict[str, tuple[float, str]] = {}
    for container in ax.containers:
        if isinstance(container, BarContainer) and len(container) <= MANY:
            for bar in container:
                middle = bar.get_x() + bar.get_width() / 2
                values[_word_at(_places(ax.xaxis), middle)] = bar.get_height(), ""
        if isinstance(container, ErrorbarContainer):
            line, _, bars = container
            ends = [end for one in bars for end in one.get_segments()]
            for place, (x, y) in enumerate(line.get_xydata() if line else ()):
                across = container.has_xerr or (bool(_places(ax.yaxis)) and not container.has_yerr)
                value, at, axis = (x, y, ax.yaxis) if across else (y, x, ax.xaxis)
                low, high = (ends[place][0, 1 - across], ends[place][1, 1 - across]) if ends else (None, None)
                interval = "" if low is None else f" [{_number(low)}, {_number(high)}]"
                values[_name(container) or _word_at(_places(axis), at)] = value, interval
    yield from (f"{name} {_number(value)}{interval}" for name, (value, interval) in values.items())


def _histograms(ax: Axes) -> Iterator[str]:
    for container in ax.containers:
        if isinstance(container, BarContainer) and len(container) > MANY:
            most = max(container, key=lambda bar: bar.get_height())
            middle, total = most.get_x() + most.get_width() / 2, sum(bar.get_height() for bar in container)
            name = _name(container) or _name(container[0]) or "histogram"
            yield f"{name}: {_number(total)} in {len(container)} bars, the highest near {_number(middle)}"


def _curves(ax: Axes) -> Iterator[str]:
    """Named lines: a level, a curve by its ends and its highest point, or marks by how far they reach."""
    bare = [line for line in ax.lines if not _name(line)]
    grid = bare if len(bare) > FEW else ()  # a line for every row of a table says nothing
    for line in ax.lines:
        x, y = (np.asarray(values, dtype=float) for values in line.get_data())
        kept = np.isfinite(x) & np.isfinite(y)
        x, y, name = x[kept], y[kept], _name(line)
        moves = line.get_transform().contains_branch_seperately(ax.transData)
        if line in grid:
            continue
        if moves != (True, True):  # a straight line across the axes
            yield f"{name or 'a line'} at {_number((x if moves[0] else y)[0])}"
        elif not name or not len(x):
            continue
        elif line.get_linestyle() == "None":
            yield _cloud(name, x, y)
        else:
            text = f"{name} from {_number(y[0])} at {_number(x[0])} to {_number(y[-1])} at {_number(x[-1])}"
            top = int(y.argmax())
            yield text + (f", highest {_number(y[top])} at {_number(x[top])}" if y[top] > max(y[0], y[-1]) else "")


def _clouds(ax: Axes, unnamed: str = "") -> Iterator[str]:
    for cloud in ax.collections:
        name = _name(cloud) or unnamed
        if isinstance(cloud, PathCollection) and name and len(cloud.get_offsets()):
            x, y = np.asarray(cloud.get_offsets(), dtype=float).T
            places = _places(ax.yaxis)
            if places and len(x) <= MANY:  # dots that each stand in a line with a name
                rows = (f"{_word_at(places, at)} {_number(value)}" for value, at in zip(x, y, strict=True))
                yield f"{name}: {', '.join(rows)}"
            else:
                yield _cloud(name, x, y)


def _cloud(name: str, x: np.ndarray, y: np.ndarray) -> str:
    if len(x) == 1:
        return f"{name} {_number(y[0])} at {_number(x[0])}"
    sides = (f"{side} from {_number(v.min())} to {_number(v.max())}" for side, v in (("across", x), ("up", y)))
    return f"{name}: {len(x):,} points, {', '.join(sides)}"


def _fields(ax: Axes) -> Iterator[str]:
    """Pictures of numbers, such as heat maps."""
    for image in ax.images:
        values = np.ma.filled(np.ma.asarray(image.get_array(), dtype=float), np.nan)
        if np.isfinite(values).any():
            rows, columns = values.shape[:2]
            yield f"{rows} × {columns} fields from {_number(np.nanmin(values))} to {_number(np.nanmax(values))}"
