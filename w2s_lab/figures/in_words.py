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
from matplotlib.lines import Line2D

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
    values: dict[tuple[bool, float], tuple[str, float, str]] = {}  # (along y, place) -> name, value, interval
    bars = [one for one in ax.containers if isinstance(one, BarContainer) and len(one) <= MANY]
    for container in ax.containers:
        if container in bars:
            along = container.orientation == "horizontal"
            group = f"{_name(container)}, " if len(bars) > 1 and len(container) > 1 and _name(container) else ""
            for bar in container:
                at = bar.get_y() + bar.get_height() / 2 if along else bar.get_x() + bar.get_width() / 2
                value = bar.get_width() if along else bar.get_height()
                values[along, round(at, 9)] = group + _row(ax, along, at), value, ""
        if isinstance(container, ErrorbarContainer):
            points, along = _with_intervals(ax, container)
            if _name(container) and len(points) > 1:  # a curve
                continue
            for at, value, interval in points:
                place = (along, round(at, 9))
                name = values[place][0] if place in values else _row(ax, along, at)
                values[place] = _name(container) or name, value, interval
    yield from (f"{name} {_number(value)}{interval}" for name, value, interval in values.values())


def _row(ax: Axes, along: bool, at: float) -> str:
    """The word beside a dot or under a bar; in a list with headings in bold, after that of its group."""
    axis = ax.yaxis if along else ax.xaxis
    ticks = zip(axis.get_ticklocs(), axis.get_ticklabels(), strict=False)
    headings = [_plain(tick.get_text()) for place, tick in ticks if tick.get_fontweight() == "bold" and place < at]
    return ", ".join((*headings[-1:], _word_at(_places(axis), at)))


def _with_intervals(ax: Axes, container: ErrorbarContainer) -> tuple[list[tuple[float, float, str]], bool]:
    """(place, value, interval in words) of each dot, and whether their places are along y."""
    line, _, bars = container
    along = container.has_xerr and not container.has_yerr
    along = along or (bool(_places(ax.yaxis)) and not container.has_yerr)
    ends = [
        np.reshape(one, (-1, 2))[:, 1 - along]
        for bar in (bars[:1] if along else bars[-1:])
        for one in bar.get_segments()
    ]
    found = []
    for number, (x, y) in enumerate(line.get_xydata() if line else ()):
        value, at = (x, y) if along else (y, x)
        drawn = ends and len(ends[number])  # where an end is not a number, nothing is
        interval = f" [{_number(ends[number].min())}, {_number(ends[number].max())}]" if drawn else ""
        found.append((float(at), float(value), interval))
    return found, along


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
        x, y = _finite(line)
        name = _name(line)
        moves = line.get_transform().contains_branch_seperately(ax.transData)
        if line in grid or not len(x):
            continue
        if moves != (True, True):  # a straight line across the axes
            yield f"{name or 'a line'} at {_number((x if moves[0] else y)[0])}"
        elif not name:
            continue
        elif line.get_linestyle() == "None":
            yield _cloud(name, x, y)
        else:
            yield _curve(name, x, y)
    for container in ax.containers:
        if isinstance(container, ErrorbarContainer) and container[0] and len(container[0].get_xydata()) > 1:
            x, y = _finite(container[0])
            if _name(container) and len(x):
                yield _curve(_name(container), x, y)


def _finite(line: Line2D) -> np.ndarray:
    """[2, N] its points that have both coordinates; dates and words as the numbers at which they are drawn."""
    points = np.asarray(line.get_xydata(), dtype=float)
    return points[np.isfinite(points).all(1)].T


def _curve(name: str, x: np.ndarray, y: np.ndarray) -> str:
    text = f"{name} from {_number(y[0])} at {_number(x[0])} to {_number(y[-1])} at {_number(x[-1])}"
    top = int(y.argmax())
    return text + (f", highest {_number(y[top])} at {_number(x[top])}" if y[top] > max(y[0], y[-1]) else "")


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
