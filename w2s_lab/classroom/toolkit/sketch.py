"""Pictures made of boxes, words and lines that are not charts. Places are in pixels, from the upper left corner."""

from dataclasses import dataclass

from w2s_lab.classroom.toolkit.svg import INK, WIDTH, Drawing, line, picture, words

MONO = 0.602  # width of a letter of a fixed-width font, in letter heights
HATCH = "w2s-hatch"


@dataclass(frozen=True)
class Box:
    """A filled rectangle; hatched instead of filled where `hatch`, with a frame where `frame`.

    Attributes:
        x, y: its upper left corner.
        width, height: in pixels.
        color: "#rrggbb", or INK.
        opacity: of the filling.
    """

    x: float
    y: float
    width: float
    height: float
    color: str = INK
    opacity: float = 1.0
    hatch: bool = False
    frame: bool = False

    @property
    def svg(self) -> str:
        fill = f"url(#{HATCH}-{self.color.lstrip('#')})" if self.hatch else self.color
        edge = f' stroke="{self.color}"' if self.frame or self.hatch else ""
        place = f'x="{self.x:.1f}" y="{self.y:.1f}" width="{max(self.width, 0):.1f}" height="{max(self.height, 0):.1f}"'
        return f'<rect {place} rx="2" fill="{fill}" fill-opacity="{self.opacity:.2f}"{edge}/>'


@dataclass(frozen=True)
class Words:
    """Text whose base line is at `y`; `x` is its start, middle or end.

    Attributes:
        anchor: "start", "middle" or "end".
        size: letter height in pixels.
        mono: in a font whose letters are all MONO * size wide.
    """

    x: float
    y: float
    text: str
    anchor: str = "start"
    size: int = 14
    mono: bool = False
    bold: bool = False
    opacity: float = 1.0

    @property
    def svg(self) -> str:
        look = f'opacity="{self.opacity:.2f}"'
        if self.mono:  # whatever font the page has, the text takes the room that the layout gave it
            room = MONO * self.size * len(self.text)
            look += ' font-family="ui-monospace,Menlo,Consolas,monospace"'
            look += f' textLength="{room:.1f}" lengthAdjust="spacingAndGlyphs"'
        return words(self.x, self.y, self.text, anchor=self.anchor, size=self.size, bold=self.bold, more=look)


@dataclass(frozen=True)
class Line:
    """A thin straight line from (x1, y1) to (x2, y2)."""

    x1: float
    y1: float
    x2: float
    y2: float
    opacity: float = 1.0
    dashed: bool = False

    @property
    def svg(self) -> str:
        dash = ' stroke-dasharray="4 4"' if self.dashed else ""
        return line(self.x1, self.y1, self.x2, self.y2, more=f'opacity="{self.opacity:.2f}"{dash}')


@dataclass(frozen=True)
class Sketch(Drawing):
    """Boxes, words and lines, drawn one over the other.

    Attributes:
        items: from the back to the front.
        height: pixels; the width is WIDTH.
        said: what the picture shows, for those who do not see it.
    """

    items: tuple[Box | Words | Line, ...]
    height: float
    said: str = ""

    def svg(self) -> str:
        """The sketch as SVG."""
        hatched = {item.color for item in self.items if isinstance(item, Box) and item.hatch}
        inside = [*map(_pattern, sorted(hatched)), *(item.svg for item in self.items)]
        return picture(WIDTH, self.height, self.said, inside)


def _pattern(color: str) -> str:
    name = f"{HATCH}-{color.lstrip('#')}"
    stripes = f'<path d="M-1 1l2 -2M0 7l7 -7M6 8l2 -2" stroke="{color}" stroke-width="1.5"/>'
    return f'<defs><pattern id="{name}" width="7" height="7" patternUnits="userSpaceOnUse">{stripes}</pattern></defs>'
