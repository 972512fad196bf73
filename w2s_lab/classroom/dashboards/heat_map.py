"""A number for every pair of weak supervisor and strong student: colours, with the number in each cell."""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import matplotlib
from matplotlib.colors import to_hex

from w2s_lab.classroom.toolkit.measured import measured
from w2s_lab.classroom.toolkit.panel import Panel, View, choice, stops
from w2s_lab.classroom.toolkit.svg import WIDTH, Drawing, picture, words

LEFT, TOP, BOTTOM, CELL = 108, 30, 54, 58  # pixels: beside, above, below, height of a row
MISSING = math.nan  # not measured; None is undefined


@dataclass(frozen=True)
class Quantity:
    """What can be shown of a pair.

    Attributes:
        name: in the menu and in the sentence, with its unit where it has one.
        of: a cell of the scaling study -> {"mean", "low", "high", "n"}, over seeds.
        centre: the value drawn white; None: pale to dark.
        limit: how far from the centre the colours reach.
        undefined: whether a pair without a number is undefined (else it was not measured).
    """

    name: str
    of: Callable[[Mapping], Mapping]
    centre: float | None = 0.0
    limit: float = 1.0
    undefined: bool = False


QUANTITIES = {
    "pgr": Quantity("performance gap recovered (PGR)", lambda cell: cell["plain"]["pgr"], undefined=True),
    "trusted": Quantity(
        "PGR at the snapshot that 100 trusted examples choose",
        lambda cell: cell["plain"]["trusted_pgr"],
        undefined=True,
    ),
    "student": Quantity("test accuracy of the student", lambda cell: cell["plain"]["accuracy"], None),
    "gap": Quantity("gap: ceiling minus supervisor, accuracy", lambda cell: cell["gap"], limit=0.35),
    "gain": Quantity(
        "gain: student minus supervisor, accuracy", lambda cell: cell["student above supervisor"], limit=0.35
    ),
}


@dataclass(frozen=True)
class HeatMap(Drawing):
    """A table of numbers, drawn with the smallest pair at the lower left; undefined cells are hatched and labelled.

    Attributes:
        values: [weak, strong]; None where undefined, nan where not measured (a dash).
        weak, strong: names of the rows and columns, in ascending size.
        quantity: what the numbers are; its colours.
        notes: [weak, strong] a second, smaller line in a cell; "" for none.
        chosen: (row, column) of the cell with a frame, or None.
        said: what the picture shows, for those who do not see it.
    """

    values: Sequence[Sequence[float | None]]
    weak: Sequence[str]
    strong: Sequence[str]
    quantity: Quantity
    notes: Sequence[Sequence[str]]
    chosen: tuple[int, int] | None = None
    said: str = ""

    def colour(self, value: float) -> tuple[str, str]:
        """Of a cell, and of the letters on it: orange below the centre, purple above; or pale to dark blue."""
        if self.quantity.centre is None:
            found = [v for row in self.values for v in row if v is not None and math.isfinite(v)]
            low, high = min(found), max(found)
            at, name = (value - low) / (high - low or 1.0), "Blues"
        else:
            at, name = 0.5 + (value - self.quantity.centre) / (2 * self.quantity.limit), "PuOr"
        rgb = matplotlib.colormaps[name](min(max(at, 0.0), 1.0))
        linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in rgb[:3]]
        luminance = 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]
        return to_hex(rgb), "#000000" if luminance > 0.18 else "#ffffff"

    def svg(self) -> str:
        """The map as SVG."""
        rows, columns = len(self.weak), len(self.strong)
        wide, height = (WIDTH - LEFT - 8) / columns, TOP + rows * CELL + BOTTOM
        found = [
            '<defs><pattern id="undefined" width="8" height="8" patternUnits="userSpaceOnUse">'
            '<path d="M-2 10L10 -2M-2 2L2 -2M6 10L10 6" stroke="#999" stroke-width="1"/></pattern></defs>',
            words(LEFT, 18, self.quantity.name, anchor="start", bold=True),
        ]
        for i, weak in enumerate(self.weak):
            y = TOP + (rows - 1 - i) * CELL
            found.append(words(LEFT - 8, y + CELL / 2 + 5, weak, anchor="end"))
            for j in range(columns):
                found += self._cell(i, j, LEFT + j * wide, y, wide)
        for j, strong in enumerate(self.strong):
            found.append(words(LEFT + (j + 0.5) * wide, height - BOTTOM + 18, strong))
        found.append(words(LEFT + columns * wide / 2, height - 12, "strong student (–: not measured)", bold=True))
        middle = TOP + rows * CELL / 2
        found.append(words(14, middle, "weak supervisor", bold=True, more=f'transform="rotate(-90 14 {middle:.0f})"'))
        if self.chosen:
            i, j = self.chosen
            place = f'x="{LEFT + j * wide + 2:.1f}" y="{TOP + (rows - 1 - i) * CELL + 2}"'
            size = f'width="{wide - 4:.1f}" height="{CELL - 4}"'
            for stroke in ('stroke="black" stroke-width="6"', 'stroke="white" stroke-width="2"'):
                found.append(f'<rect {place} {size} fill="none" {stroke}/>')
        return picture(WIDTH, height, self.said, found)

    def _cell(self, i: int, j: int, x: float, y: float, wide: float) -> list[str]:
        value, note = self.values[i][j], self.notes[i][j]
        box = f'x="{x + 1:.1f}" y="{y + 1}" width="{wide - 2:.1f}" height="{CELL - 2}"'
        middle = x + wide / 2
        if value is None:
            halo = 'stroke="white" stroke-width="4" paint-order="stroke"'
            return [
                f'<rect {box} fill="white"/><rect {box} fill="url(#undefined)"/>',
                words(middle, y + CELL / 2 + 5, "undefined", color="#000000", more=halo),
            ]
        if not math.isfinite(value):
            return [words(middle, y + CELL / 2 + 5, "–")]
        fill, ink = self.colour(value)
        text = f"{value:.2f}" if self.quantity.centre is None else f"{value:+.2f}".replace("-", "\N{MINUS SIGN}")
        found = [f'<rect {box} fill="{fill}"/>']
        found.append(words(middle, y + CELL / 2 + (0 if note else 5), text, color=ink, size=16))
        if note:
            found.append(words(middle, y + CELL / 2 + 18, note, color=ink, size=12))
        return found


def heat_map(study: Mapping | None = None) -> Panel:
    """Choose what is shown and a pair; the sentence says the pair's numbers, with interval and seeds.

    Args:
        study: a result such as `classroom.measured("scaling")`; None: that one.
    """
    study = measured("scaling") if study is None else study
    cells = {(cell["weak"], cell["strong"]): cell for cell in study["cells"]}
    names = list(study["rates"])
    seeds = len({row["seed"] for row in study["rows"] if row["part"] == "pairs"})

    def draw(show: str, weak: str, strong: str) -> View:
        quantity = QUANTITIES[show]
        found = {pair: quantity.of(cell) for pair, cell in cells.items()}
        nothing = None if quantity.undefined else MISSING
        values = [[_mean(found.get((w, s)), nothing) for s in names] for w in names]
        notes = [[_seeds(found.get((w, s)), seeds) for s in names] for w in names]
        says = _sentence(quantity, cells.get((weak, strong)), weak, strong, seeds)
        chosen = (names.index(weak), names.index(strong))
        return View(says, (HeatMap(values, names, names, quantity, notes, chosen, says),))

    return Panel(
        "Every pair of the ladder",
        {
            "show": choice("Show", [(quantity.name, key) for key, quantity in QUANTITIES.items()], width="430px"),
            "weak": stops("Weak supervisor", names, "pocket-s"),
            "strong": stops("Strong student", names, "pocket-l"),
        },
        draw,
    )


def _mean(at: Mapping | None, nothing: float | None) -> float | None:
    if at is None:
        return MISSING
    return nothing if at["mean"] is None else at["mean"]


def _seeds(at: Mapping | None, seeds: int) -> str:
    """How many seeds a mean is over, where it is not over all."""
    return f"{at['n']} of {seeds} seeds" if at and at["mean"] is not None and at["n"] < seeds else ""


def _sentence(quantity: Quantity, cell: Mapping | None, weak: str, strong: str, seeds: int) -> str:
    if cell is None:
        return (
            f"{weak} supervises {strong}: not measured. Measured were students that are not smaller than their "
            "supervisor, and of supervisors that make next to no errors only those of their own size."
        )
    at, three = quantity.of(cell), {role: cell["plain"][role]["mean"] for role in ("weak", "accuracy", "ceiling")}
    roles = f"Supervisor {three['weak']:.3f}, student {three['accuracy']:.3f}, ceiling {three['ceiling']:.3f}"
    pair = f"{weak} supervises {strong}{', its own size' if weak == strong else ''}"
    name = quantity.name.partition(" (")[0] if quantity.undefined else quantity.name
    if at["mean"] is None and quantity.undefined:
        return f"{pair}: {name} is undefined, the ceiling is above the supervisor in none of {seeds} seeds. {roles}."
    if at["mean"] is None:
        return f"{pair}: {name} was not measured. {roles}."
    over = f"over {at['n']} seeds" if at["n"] == seeds else f"over the {at['n']} of {seeds} seeds where it is defined"
    between = "" if at["low"] is None else f", 95 % t interval [{_two(at['low'])}, {_two(at['high'])}]"
    return f"{pair}: {name} {_two(at['mean'])}{between}, {over}. {roles}."


def _two(value: float) -> str:
    """Two digits, and no minus before a zero."""
    return f"{round(value, 2) + 0.0:.2f}"
