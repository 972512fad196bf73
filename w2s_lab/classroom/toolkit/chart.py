"""Small charts as data, drawn as SVG: in milliseconds, so that a picture follows a slider.

A chart is a record. As the last line of a cell it shows itself, and `show` shows it from any other line. Colours and
markers are those of `plots.ROLE`, so a role looks the same in every figure of the kit.
"""

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass

from matplotlib.ticker import MaxNLocator

from w2s_lab.classroom.toolkit.svg import MINUS, WIDTH, Drawing, ink, line, picture, text_width, words
from w2s_lab.figures.plots import ROLE, Role

HEIGHT = 360  # pixels
LEFT, RIGHT, TOP, BOTTOM = 68, 20, 14, 52  # pixels around the plotting area; more at the left for long numbers
LEGEND, APART = 32, 20  # pixels: of a legend's line and marker, between two entries
DASHES = {"-": "", "--": "7 4", "-.": "9 4 2 4", ":": "2 4"}


@dataclass(frozen=True)
class Series:
    """Points, joined by a line or not.

    Attributes:
        x, y: as many numbers each; where y is None the line is interrupted.
        role: a key of `plots.ROLE`, or a Role of one's own.
        label: in the legend; None: the role's name; "": not in the legend.
        line, points: whether these are drawn.
        low, high: a band around it (an interval), or None.
        faint: drawn thin and pale, such as one seed of many.
    """

    x: Sequence[float]
    y: Sequence[float | None]
    role: str | Role = "student"
    label: str | None = None
    line: bool = True
    points: bool = True
    low: Sequence[float] | None = None
    high: Sequence[float] | None = None
    faint: bool = False

    @property
    def style(self) -> Role:
        return _role(self.role)

    @property
    def name(self) -> str:
        return self.style.name if self.label is None else self.label

    @property
    def band(self) -> tuple[float, ...]:
        """All ends of the intervals."""
        return (*(self.low or ()), *(self.high or ()))

    @property
    def in_words(self) -> str:
        """Its name and where it leads: "student from 0.5 to 0.9"."""
        seen = [v for v in self.y if v is not None and math.isfinite(v)]
        ends = f" from {_number(seen[0])} to {_number(seen[-1])}" if self.line and seen else ""
        return f"{self.name}{ends}".strip()


@dataclass(frozen=True)
class Mark:
    """A straight line across the chart, with a word beside it: where the slider stands, chance, the supervisor's level.

    Attributes:
        at: on the x axis, or on the y axis where `across`.
        text: beside it.
        across: horizontal.
        role: whose colour; "truth" is black.
    """

    at: float
    text: str = ""
    across: bool = False
    role: str | Role = "truth"


@dataclass(frozen=True)
class Bar:
    """One horizontal bar: a label, a value, a role (for its colour), an interval or none, a note after the number."""

    label: str
    value: float | None
    role: str | Role = "student"
    low: float | None = None
    high: float | None = None
    note: str = ""

    @property
    def style(self) -> Role:
        return _role(self.role)

    @property
    def number(self) -> str:
        """The value and the note at the end of the bar."""
        return f"{'undefined' if self.value is None else f'{self.value:.3f}'.replace('-', MINUS)} {self.note}".strip()

    @property
    def in_words(self) -> str:
        """Label, number and interval."""
        ends = "" if self.low is None or self.high is None else f" [{_number(self.low)}, {_number(self.high)}]"
        return f"{self.label} {self.number}{ends}"


def _role(role: str | Role) -> Role:
    return ROLE[role] if isinstance(role, str) else role


def _marker(kind: str, x: float, y: float, color: str, r: float = 4.5) -> str:
    corners = {
        "s": [(-1, -1), (1, -1), (1, 1), (-1, 1)],
        "^": [(0, -1.2), (1.1, 0.9), (-1.1, 0.9)],
        "v": [(0, 1.2), (1.1, -0.9), (-1.1, -0.9)],
        "D": [(0, -1.25), (1.25, 0), (0, 1.25), (-1.25, 0)],
    }
    if kind in corners:
        points = " ".join(f"{x + r * a:.1f},{y + r * b:.1f}" for a, b in corners[kind])
        return f'<polygon points="{points}" fill="{color}"/>'
    if kind == "X":
        cross = f"M{x - r:.1f} {y - r:.1f}l{2 * r} {2 * r}m0 {-2 * r}l{-2 * r} {2 * r}"
        return f'<path d="{cross}" stroke="{color}" stroke-width="3" fill="none"/>'
    return f'<circle cx="{x:.1f}" cy="{y:.1f}" r="{r}" fill="{color}"/>'


def _ticks(low: float, high: float, n: int = 5, *, whole: bool = False) -> list[float]:
    found = MaxNLocator(n, integer=whole, steps=(1, 2, 2.5, 5, 10)).tick_values(low, high)
    return [t for t in found if low - 1e-9 <= t <= high + 1e-9]


def _number(value: float) -> str:
    return (f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.4g}").replace("-", MINUS)


def _numbers(ticks: Sequence[float]) -> list[str]:
    """Ticks as text, all with as many decimals as one of them needs."""
    found = [_number(tick) for tick in ticks]
    if any("e" in text for text in found):
        return found
    places = max((len(text.partition(".")[2]) for text in found), default=0)
    return [f"{tick + 0.0:,.{places}f}".replace("-", MINUS) for tick in ticks]


def _range(values: Sequence[float]) -> tuple[float, float]:
    found = [v for v in values if v is not None and math.isfinite(v)] or [0.0, 1.0]
    low, high = min(found), max(found)
    pad = (high - low) * 0.05 or abs(high) * 0.1 or 1.0
    return low - pad, high + pad


@dataclass(frozen=True)
class Chart(Drawing):
    """Lines and points over two axes.

    Attributes:
        x_label, y_label: with their units.
        series: what is drawn, the later over the earlier.
        marks: straight lines with words.
        x_range, y_range: of the axes; None: what the data need. With fixed ranges, changes can be seen by eye.
        log_x: x on a logarithmic axis.
        said: what the picture shows, for those who do not see it.
        height: in pixels, without the legend; a low chart leaves room for another one on the same screen.
    """

    x_label: str
    y_label: str
    series: tuple[Series, ...]
    marks: tuple[Mark, ...] = ()
    x_range: tuple[float, float] | None = None
    y_range: tuple[float, float] | None = (0.0, 1.0)
    log_x: bool = False
    said: str = ""
    height: int = HEIGHT

    @property
    def summary(self) -> str:
        """`said`, or the axes and the lines in words."""
        lines = "; ".join(filter(None, (s.in_words for s in self.series if not s.faint)))
        return self.said or f"{self.y_label} against {self.x_label}{': ' if lines else ''}{lines}"

    def ranges(self) -> tuple[tuple[float, float], tuple[float, float]]:
        x = self.x_range or _range([v for s in self.series for v in s.x])
        return x, self.y_range or _range([v for s in self.series for v in (*s.y, *s.band)])

    def svg(self, width: int = WIDTH) -> str:
        """The chart as SVG, with its legend above it."""
        (x0, x1), (y0, y1) = self.ranges()
        scale = math.log if self.log_x else float
        named = [s for s in self.series if s.name]
        ticks = _ticks(y0, y1, max(4, self.height // 45))
        numbers = _numbers(ticks)
        left = max(LEFT, 36 + max(map(text_width, numbers), default=0))
        rows = _legend_rows([s.name for s in named], width - left - RIGHT)
        top = TOP + 22 * len(rows)
        height = self.height + 22 * len(rows)

        def px(x: float) -> float:
            return left + (scale(x) - scale(x0)) / (scale(x1) - scale(x0)) * (width - left - RIGHT)

        def py(y: float) -> float:
            return height - BOTTOM - (y - y0) / (y1 - y0) * (height - BOTTOM - top)

        found = []
        for row, members in enumerate(rows):
            x = left
            for index in members:
                style, y = named[index].style, TOP + 22 * row + 4
                if named[index].line:
                    found.append(line(x, y, x + 26, y, ink(style.color), _stroke(style, False)))
                if named[index].points:
                    found.append(_marker(style.marker, x + 13, y, ink(style.color)))
                found.append(words(x + LEGEND, y + 5, named[index].name, anchor="start"))
                x += LEGEND + text_width(named[index].name) + APART
        for tick, number in zip(ticks, numbers, strict=True):
            found.append(line(left, py(tick), width - RIGHT, py(tick), more='opacity="0.15"'))
            found.append(words(left - 8, py(tick) + 5, number, anchor="end"))
        ticks = self._x_ticks(x0, x1, min(8, int(width - left - RIGHT) // 50))
        for tick, number in zip(ticks, map(_number, ticks) if self.log_x else _numbers(ticks), strict=True):
            found.append(line(px(tick), height - BOTTOM, px(tick), height - BOTTOM + 5))
            found.append(words(px(tick), height - BOTTOM + 20, number))
        found.append(line(left, height - BOTTOM, width - RIGHT, height - BOTTOM))
        found.append(words((left + width - RIGHT) / 2, height - 10, self.x_label))
        middle = (top + height - BOTTOM) / 2
        size = max(11, min(14, int(14 * (height - 8) / max(text_width(self.y_label), 1))))
        # A label that is longer than its axis begins at the edge of the picture.
        reach = text_width(self.y_label, size) / 2 + 2
        middle = min(max(middle, reach), max(height - reach, reach))
        found.append(words(18, middle, self.y_label, size=size, more=f'transform="rotate(-90 18 {middle:.1f})"'))
        for s in self.series:
            inside = all(x0 <= x <= x1 for x in s.x) and all(v is None or y0 <= v <= y1 for v in (*s.y, *s.band))
            drawn = _series_svg(s, px, py)
            found += drawn if inside else [_clipped(drawn, left, top, width - left - RIGHT, height - BOTTOM - top)]
        # The words beside marks stay apart from each other and from the lines. A box: its ends in x, then in y.
        taken = [box for s in self.series if s.line for box in _along(s, px, py)]
        for mark in self.marks:
            color, dots = ink(_role(mark.role).color), 'stroke-dasharray="3 4" stroke-width="1.5"'
            if mark.across:
                y = py(min(max(mark.at, y0), y1))
                found.append(line(left, y, width - RIGHT, y, color, dots))
                right = width - RIGHT - 2
                offers = [(right, y - 6, "end"), (left + 4, y - 6, "start"), (right, y + 16, "end")]
            else:
                x = px(min(max(mark.at, x0), x1))
                found.append(line(x, top, x, height - BOTTOM, color, dots))
                side, anchor = (-6, "end") if x > width * 0.7 else (6, "start")
                offers = [(x + side, y, anchor) for y in range(top + 14, height - BOTTOM - 4, 18)]
            found.append(_words_apart(mark.text, offers, taken))
        return picture(width, height, self.summary, found)

    def _x_ticks(self, x0: float, x1: float, most: int) -> list[float]:
        if not self.log_x:
            return _ticks(x0, x1, most, whole=self._counts())
        found = [m * 10.0**e for e in range(math.floor(math.log10(x0)), math.ceil(math.log10(x1)) + 1) for m in (1, 3)]
        return [tick for tick in found if x0 * 0.999 <= tick <= x1 * 1.001]

    def _counts(self) -> bool:
        """Whether x counts something (rounds, epochs), so that only whole numbers mean anything."""
        return all(float(x).is_integer() for s in self.series for x in s.x)


def _along(s: Series, px, py) -> list[tuple[float, ...]]:
    """Small boxes along the line of a series, none more than a letter apart."""
    at = [(px(x), py(y)) for x, y in zip(s.x, s.y, strict=True) if y is not None and math.isfinite(y)]
    found: list[tuple[float, float]] = []
    for (a, b), (c, d) in itertools.pairwise(at):
        steps = int(max(abs(c - a), abs(d - b)) // 6) + 1
        found += [(a + (c - a) * k / steps, b + (d - b) * k / steps) for k in range(steps + 1)]
    return [(x, x, y, y) for x, y in found]


def _words_apart(
    text: str, offers: Sequence[tuple[float, float, str]], taken: list[tuple[float, ...]], size: int = 13
) -> str:
    """A text at the first offered place (x, base line, anchor) where it covers no box in `taken`, which it joins."""

    def box(x: float, y: float, anchor: str) -> tuple[float, ...]:
        wide = text_width(text, size)
        low = x - (wide if anchor == "end" else 0.0)
        return low, low + wide, y - size + 2, y + 2

    def free(at: tuple[float, ...]) -> bool:
        low, high, top, bottom = box(*at)
        return all(high < a or b < low or bottom < c or d < top for a, b, c, d in taken)

    x, y, anchor = next(filter(free, offers), offers[0])
    taken.append(box(x, y, anchor))
    return words(x, y, text, anchor=anchor, size=size)


def _stroke(style: Role, faint: bool) -> str:
    dash = f' stroke-dasharray="{DASHES[style.line]}"' if DASHES[style.line] else ""
    return f'fill="none" stroke-width="{1 if faint else 2.5}" opacity="{0.35 if faint else 1}"' + dash


def _clipped(inside: Sequence[str], x: float, y: float, width: float, height: float) -> str:
    """Only what lies within the axes: an inner picture shows nothing beyond its own edges."""
    place = f"{x:.1f} {y:.1f} {width:.1f} {height:.1f}"
    size = f'x="{x:.1f}" y="{y:.1f}" width="{width:.1f}" height="{height:.1f}"'
    return f'<svg {size} viewBox="{place}">{"".join(inside)}</svg>'


def _series_svg(s: Series, px, py) -> list[str]:
    style, found, color = s.style, [], ink(s.style.color)
    cut = [None if v is None or not math.isfinite(v) else v for v in s.y]
    if s.low is not None and s.high is not None:
        upper = [f"{px(x):.1f},{py(v):.1f}" for x, v in zip(s.x, s.high, strict=True)]
        lower = [f"{px(x):.1f},{py(v):.1f}" for x, v in zip(s.x, s.low, strict=True)]
        paint = f'fill="{color}" fill-opacity="0.18" stroke="{color}"'
        found.append(f'<polygon points="{" ".join(upper + lower[::-1])}" {paint}/>')
    if s.line:
        path, pen = [], "M"
        for x, y in zip(s.x, cut, strict=True):
            if y is not None:
                path.append(f"{pen}{px(x):.1f} {py(y):.1f}")
            pen = "M" if y is None else "L"
        found.append(f'<path d="{"".join(path)}" stroke="{color}" {_stroke(style, s.faint)}/>')
    if s.points:
        size = 3 if s.faint else 4.5
        seen = [(x, y) for x, y in zip(s.x, cut, strict=True) if y is not None]
        found += [_marker(style.marker, px(x), py(y), color, size) for x, y in seen]
    return found


def _legend_rows(names: list[str], width: float) -> list[list[int]]:
    rows: list[list[int]] = []
    used = math.inf
    for index, name in enumerate(names):
        need = LEGEND + text_width(name) + APART
        if used + need > width:
            rows.append([])
            used = 0.0
        rows[-1].append(index)
        used += need
    return rows


@dataclass(frozen=True)
class BarChart(Drawing):
    """Horizontal bars with their numbers, one below the other.

    Attributes:
        x_label: what is measured, with its unit.
        bars: from the top down.
        x_range: of the axis.
        marks: vertical lines with words.
        said: what the picture shows, for those who do not see it.
    """

    x_label: str
    bars: tuple[Bar, ...]
    x_range: tuple[float, float] = (0.0, 1.0)
    marks: tuple[Mark, ...] = ()
    said: str = ""

    @property
    def summary(self) -> str:
        """`said`, or every bar in words."""
        return self.said or f"{self.x_label}: {'; '.join(bar.in_words for bar in self.bars)}"

    def svg(self, width: int = WIDTH) -> str:
        """The bars as SVG; 34 pixels each."""
        left = 14 + max((text_width(bar.label) for bar in self.bars), default=0)
        right = 12 + max((text_width(bar.number) for bar in self.bars), default=0)
        (x0, x1), row, top = self.x_range, 34, 26 if self.marks else 8
        height = top + row * len(self.bars) + BOTTOM

        def px(x: float) -> float:
            return left + (min(max(x, x0), x1) - x0) / (x1 - x0) * (width - left - right)

        zero = px(0.0)
        found = [line(zero, top, zero, height - BOTTOM)]
        ticks = _ticks(x0, x1, max(1, min(5, int(width - left - right) // 45)))
        for tick, number in zip(ticks, _numbers(ticks), strict=True):
            found.append(line(px(tick), top, px(tick), height - BOTTOM, more='opacity="0.15"'))
            found.append(words(px(tick), height - BOTTOM + 20, number))
        found.append(words((left + px(x1)) / 2, height - 10, self.x_label))
        for index, bar in enumerate(self.bars):
            y, color = top + row * index, ink(bar.style.color)
            found.append(words(left - 10, y + 21, bar.label, anchor="end"))
            if bar.value is None:
                found.append(words(zero + 8, y + 21, bar.number, anchor="start"))
                continue
            a, b = sorted((zero, px(bar.value)))
            place = f'x="{a:.1f}" y="{y + 5}" width="{max(b - a, 1):.1f}" height="22"'
            found.append(f'<rect {place} fill="{color}" rx="2"/>')
            if bar.low is not None and bar.high is not None:
                found.append(line(px(bar.low), y + 16, px(bar.high), y + 16, more='stroke-width="2"'))
            end = max(b, px(bar.high) if bar.high is not None else b) + 8
            for at in sorted(px(mark.at) for mark in self.marks):
                if end - 4 < at < end + text_width(bar.number):  # no line through a number
                    end = at + 6
            found.append(words(end, y + 21, bar.number, anchor="start"))
        for mark in self.marks:
            found.append(line(px(mark.at), top - 4, px(mark.at), height - BOTTOM, more='stroke-dasharray="3 4"'))
            found.append(words(px(mark.at), top - 10, mark.text, size=13))
        return picture(width, height, self.summary, found)
