"""The flow of weak-to-strong generalization by data selection, drawn by code, its counts from a real selection.

Xiao & Zhu (2025, arXiv 2501.09223), figure 4.5c, and the control that a measurement needs: as many labels at random.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from w2s_lab.classroom.toolkit.panel import Panel, View, stops
from w2s_lab.classroom.toolkit.svg import Drawing, line, picture, words
from w2s_lab.figures.plots import GREY, ROLE
from w2s_lab.methods.selection import RULES, keep, random_scores
from w2s_lab.records import LabelledSet

WIDTH, HEIGHT = 720, 330  # pixels, and units of the drawing
LINE = 20  # pixels from one line of words to the next
TINT = 0.16  # opacity of a box's colour
FRACTIONS = tuple(tenth / 10 for tenth in range(1, 11))


@dataclass(frozen=True)
class FlowBox:
    """A box of a flow diagram: its middle and its width in pixels, its words (the first line bold), its colour."""

    x: float
    y: float
    width: float
    words: tuple[str, ...]
    color: str
    height: float = 110

    @property
    def lines(self) -> list[tuple[float, str, bool]]:
        """(y of the middle, words, bold) of each line."""
        top = self.y - LINE * (len(self.words) - 1) / 2
        return [(top + LINE * place, words, place == 0) for place, words in enumerate(self.words)]


@dataclass(frozen=True)
class Arrow:
    """From one point to another, dashed on the path of the control; with a head at both ends if `both`."""

    x1: float
    y1: float
    x2: float
    y2: float
    dashed: bool = False
    both: bool = False


@dataclass(frozen=True)
class Flow(Drawing):
    """Boxes joined by arrows, notes beside them, and all of it in words."""

    boxes: tuple[FlowBox, ...]
    arrows: tuple[Arrow, ...]
    notes: tuple[tuple[float, float, str], ...]
    said: str

    def svg(self) -> str:
        """The diagram as SVG."""
        found = [
            '<defs><marker id="w2s-head" viewBox="0 0 10 10" refX="9" refY="5" markerWidth="8" markerHeight="8" '
            'orient="auto-start-reverse"><path d="M0 0L10 5L0 10z" fill="currentColor"/></marker></defs>',
        ]
        for a in self.arrows:
            more = 'stroke-width="1.8" marker-end="url(#w2s-head)"'
            more += ' stroke-dasharray="5 4"' if a.dashed else ""
            more += ' marker-start="url(#w2s-head)"' if a.both else ""
            found.append(line(a.x1, a.y1, a.x2, a.y2, more=more))
        for box in self.boxes:
            left, top = box.x - box.width / 2, box.y - box.height / 2
            place = f'x="{left:.1f}" y="{top:.1f}" width="{box.width}" height="{box.height}" rx="9"'
            paint = f'fill="{box.color}" fill-opacity="{TINT}" stroke="{box.color}" stroke-width="2"'
            found.append(f"<rect {place} {paint}/>")
            found += [words(box.x, y + 5, text, bold=bold) for y, text, bold in box.lines]
        found += [words(x, y + 5, text) for x, y, text in self.notes]
        return picture(WIDTH, HEIGHT, self.said, found)


def flow(labels: LabelledSet, kept: LabelledSet, control: LabelledSet, *, rule: str, models: tuple[str, str]) -> Flow:
    """The flow of one selection.

    Args:
        labels: all weak labels.
        kept: the part that the rule chose.
        control: as many of them, drawn at random.
        rule: what the labels were ranked by, such as "confidence".
        models: names of the weak supervisor and of the strong student.

    Raises:
        ValueError: `kept` or `control` holds an example that is not in `labels`.
    """
    for name, part in (("kept", kept), ("control", control)):
        strange = set(part.ids) - set(labels.ids)
        if strange:
            raise ValueError(
                f"selection_diagram: {len(strange)} of the {len(part)} examples of {name} ({part.source}) are not "
                f"among the labels ({labels.source}). Hint: select from the very set that is shown"
            )
    weak, strong, chance = (ROLE[name].color for name in ("weak", "student", "random"))
    top, foot, middle = 80, 250, 165
    best = (f"keep the top {len(kept) / len(labels):.0%}", f"by {rule}", f"{len(kept):,} labels ŷ", _right(kept))
    any_of = ("draw at random", "the control", f"{len(control):,} labels ŷ", _right(control))
    boxes = (
        FlowBox(66, middle, 124, ("data pool", f"{len(labels):,} inputs x", "without truth"), GREY),
        FlowBox(240, middle, 160, ("weak supervisor", models[0], "labels each (ŷ)", "and scores it"), weak),
        FlowBox(444, top, 176, best, weak),
        FlowBox(444, foot, 176, any_of, chance),
        FlowBox(642, top, 148, ("strong student", models[1], f"learns {len(kept):,} ŷ"), strong),
        FlowBox(642, foot, 148, ("strong student", models[1], "in as many steps"), strong),
    )
    arrows = (
        Arrow(128, middle, 158, middle),
        Arrow(320, middle - 22, 354, top + 22),
        Arrow(320, middle + 22, 354, foot - 22, dashed=True),
        Arrow(532, top, 566, top),
        Arrow(532, foot, 566, foot, dashed=True),
        Arrow(642, top + 57, 642, foot - 57, both=True),
    )
    left_out = len(labels) - len(kept)
    notes = ((576, middle, "compare on test"), (444, HEIGHT - 12, f"{left_out:,} labels are left out, in both"))
    said = (
        f"The weak supervisor ({models[0]}) labels a pool of {len(labels):,} inputs without true answers and scores "
        f"each label. The top {len(kept) / len(labels):.0%} by {rule} are kept, {len(kept):,} labels, {_right(kept)}; "
        f"a strong student ({models[1]}) learns them. As a control, {len(control):,} labels drawn at random, "
        f"{_right(control)}, teach another one in as many steps. Both are compared on the test set."
    )
    return Flow(boxes, arrows, notes, said)


def _right(part: LabelledSet) -> str:
    """How many are right, where the truth is known."""
    return "truth unknown" if part.label_accuracy is None else f"{part.label_accuracy:.0%} of them right"


def selection_diagram(
    labels: LabelledSet,
    scores: Sequence[float] | None = None,
    *,
    rule: str,
    fraction: float = 0.5,
    balanced: bool = False,
    models: tuple[str, str] = ("pocket-s", "pocket-l"),
    seed: int = 0,
) -> Panel:
    """The flow of data selection with its control; a slider for the kept fraction, and all counts follow.

    Args:
        labels: weak labels, N of them. Where their truth is known the diagram says how many are right; no rule sees it.
        scores: [N], higher is kept first; None: those of the registered rule, which then needs nothing but the labels.
        rule: what the scores are called.
        fraction: kept at first, one of 0.1, 0.2 ... 1.0.
        balanced: whether the answers keep their shares.
        models: names of the weak supervisor and of the strong student.
        seed: of the control.

    Raises:
        ValueError: `fraction` is none of those, there are neither scores nor such a rule, or as for `selection.keep`.
    """
    if fraction not in FRACTIONS:
        raise ValueError(f"selection_diagram: fraction is {fraction}; expected one of {FRACTIONS}")
    scores = RULES[rule](labels) if scores is None else scores
    chance = random_scores(labels, seed=seed)

    def draw(kept: float) -> View:
        part = keep(labels, scores, kept, by=rule, balanced=balanced)
        control = keep(labels, chance, len(part) / len(labels), by="chance")
        drawing = flow(labels, part, control, rule=rule, models=models)
        return View(drawing.said, (drawing,))

    control = stops("Kept fraction", [(f"{f:.0%}", f) for f in FRACTIONS], fraction)
    return Panel("Choosing data: the flow", {"kept": control}, draw)
