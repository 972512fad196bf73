"""Weak labels to look at: filtered by right and wrong, by slice and by confidence, page by page."""

from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from textwrap import shorten, wrap

import ipywidgets as widgets
import numpy as np

from w2s_lab.classroom.toolkit.panel import Panel, View, choice, table
from w2s_lab.classroom.toolkit.sketch import WIDTH, Box, Line, Sketch, Words
from w2s_lab.classroom.toolkit.svg import Drawing
from w2s_lab.classroom.toolkit.worlds import Worlds, in_both_worlds
from w2s_lab.experiments.store import Store
from w2s_lab.figures.plots import GREY, ROLE
from w2s_lab.records import LabelledSet

PAGE = 5  # labels on one page
BINS = 20  # of the confidence, on [0, 1]
ALL = "all"
ORDERS = ("as they come", "surest first", "least sure first")
LONGEST = 220  # characters of an input that are shown


def label_confidence(labels: LabelledSet) -> np.ndarray:
    """[N] the probability that the labelling model gives to its label: over the closed list, or Pr(ŷ|x) itself.

    Raises:
        ValueError: the set has neither probabilities nor log-probabilities.
    """
    if labels.probs is not None:
        own = [labels.task.answers.index(answer) for answer in labels.answers]
        return labels.probs[np.arange(len(labels)), own].clip(0, 1)
    if labels.log_prob is not None:
        return np.exp(labels.log_prob).clip(0, 1)
    raise ValueError(
        f"label_browser: the set ({labels.source}) has no probabilities; expected labels of a model, as weak_labels "
        "gives them"
    )


@dataclass(frozen=True, eq=False)
class Labels:
    """Weak labels as columns, so that filters are fast.

    Attributes:
        labelled: the set.
        confidence: [N], see `label_confidence`.
        right: [N] bool, the label equals the truth.
        tags: slice -> [N] bool, in alphabetical order.
    """

    labelled: LabelledSet
    confidence: np.ndarray
    right: np.ndarray
    tags: dict[str, np.ndarray]

    @classmethod
    def of(cls, labelled: LabelledSet) -> "Labels":
        """The columns of a set whose examples all have a true answer, else ValueError."""
        truth = LabelledSet.ground_truth(labelled.task, labelled.examples).answers
        own = [example.tags for example in labelled.examples]
        tags = {tag: np.array([tag in one for one in own]) for tag in sorted({tag for one in own for tag in one})}
        right = np.array([a == b for a, b in zip(labelled.answers, truth, strict=True)], dtype=bool)
        return cls(labelled, label_confidence(labelled), right, tags)

    def within(self, slice_: str) -> np.ndarray:
        """[N] bool: the labels of one slice, or of all."""
        return np.ones(len(self.right), dtype=bool) if slice_ == ALL else self.tags[slice_]

    def rows(self, show: str, slice_: str, low: float, high: float, order: str) -> np.ndarray:
        """Row numbers of the labels that pass all filters, ends of the range included, in the order asked for."""
        kept = self.within(slice_) & (self.confidence >= low - 1e-9) & (self.confidence <= high + 1e-9)
        if show != ALL:
            kept &= self.right == (show == "right")
        found = np.flatnonzero(kept)
        if order == ORDERS[0]:
            return found
        by = self.confidence[found] if order == ORDERS[2] else -self.confidence[found]
        return found[np.argsort(by, kind="stable")]

    def cards(self, rows: np.ndarray, first: int, which: str = "") -> "Cards":
        """The page of these rows that begins with number `first`, counted from 0; `which` says which rows they are."""
        chosen = rows[first : first + PAGE]
        caption = f"Labels {first + 1} to {first + len(chosen)} of {len(rows):,}" if len(chosen) else "No label passes"
        caption += f" ({which})" if which else ""
        return Cards(tuple(map(self._card, chosen)), caption)

    def _card(self, row: int) -> tuple[str, str, str, float, str]:
        example, sure = self.labelled.examples[row], float(self.confidence[row])
        text = example.input or example.instruction
        return text, self.labelled.answers[row], example.answer, sure, ", ".join(example.tags)

    def says(self, show: str, slice_: str, low: float, high: float) -> str:
        """How many labels pass, and how many are right among those in the range and in the whole slice."""
        part = self.within(slice_)
        inside = part & (self.confidence >= low - 1e-9) & (self.confidence <= high + 1e-9)
        count = int((inside if show == ALL else inside & (self.right == (show == "right"))).sum())
        kind, where = "" if show == ALL else f"{show} ", "the whole set" if slice_ == ALL else f"the slice {slice_}"
        found = f"{count:,} {kind}label{'' if count == 1 else 's'} with confidence {low:.2f} to {high:.2f} in {where}."
        if not inside.any():
            return found
        share = f"{found} Of all {int(inside.sum()):,} labels in that range {self.right[inside].mean():.0%} are right"
        if inside.sum() == part.sum():
            return f"{share}."
        return f"{share}; of all {int(part.sum()):,} in {where}, {self.right[part].mean():.0%}."


@dataclass(frozen=True)
class Cards(Drawing):
    """One page of labels: a table where it is live, a drawn list in a stored picture.

    Attributes:
        rows: (input, label, truth, confidence, slices), as text; the confidence as a number.
        caption: above them.
    """

    rows: tuple[tuple[str, str, str, float, str], ...]
    caption: str

    @property
    def html(self) -> str:
        """A table: text that can be selected and read aloud."""
        cells = [
            (escape(shorten(text, LONGEST, placeholder=" …")), escape(label), escape(truth),
             f'<b style="white-space:nowrap">{_sign(label == truth)}</b>', f"{sure:.2f}", escape(tags))
            for text, label, truth, sure, tags in self.rows
        ]  # fmt: skip
        head = ("input x", "label ŷ", "truth y", "ŷ is", "confidence", "slices")
        return table(head, cells, caption=escape(self.caption)) if cells else f"<p>{escape(self.caption)}</p>"

    @property
    def summary(self) -> str:
        return self.caption

    def svg(self) -> str:
        """The list, drawn."""
        return self.sketch.svg()

    @property
    def sketch(self) -> Sketch:
        """The boxes and words of the list."""
        items: list[Words | Line] = [Words(4, 18, self.caption, bold=True)]
        y = 30.0
        for text, label, truth, sure, tags in self.rows:
            items.append(Line(4, y, WIDTH - 4, y, 0.25))
            lines = wrap(shorten(text, LONGEST, placeholder=" …"), 54)
            items += [Words(4, y + 20 + 18 * i, line) for i, line in enumerate(lines)]
            about = " · ".join((f"confidence {sure:.2f}", *filter(None, [tags])))
            facts = (f"ŷ {label} {_sign(label == truth)}", f"y {truth}", about)
            x, below = (420, 0) if len(label) <= 18 else (24, len(lines))  # a sentence: below, over the whole width
            items += [Words(x, y + 20 + 18 * (below + i), fact, size=13, bold=not i) for i, fact in enumerate(facts)]
            y += 18 * max(len(lines), below + 3) + 10
        return Sketch(tuple(items), max(y, 60.0), self.caption)


def _sign(right: bool) -> str:
    return "✓ right" if right else "✗ wrong"


def confidence_picture(
    confidence: Sequence[float], right: Sequence[bool], low: float, high: float, lowest: float
) -> Sketch:
    """A histogram of the confidence: right labels filled, wrong ones hatched, the fraction right above each bar.

    If the confidence is calibrated, the fraction above each bar equals the confidence below it.

    Args:
        confidence, right: [N] each, of the labels.
        low, high: the range that is chosen; a pale band.
        lowest: where the axis begins: the likeliest of K answers never has less than 1 / K.
    """
    edges = np.arange(BINS + 1) / BINS
    first = min(int(lowest * BINS + 1e-9), BINS - 1)
    owner = np.minimum(np.searchsorted(edges, np.asarray(confidence) + 1e-9, side="right") - 1, BINS - 1)
    sure = np.asarray(right, dtype=bool)
    good, bad = (np.bincount(owner[rows], minlength=BINS) for rows in (sure, ~sure))
    most, color = max(int((good + bad).max()), 1), ROLE["weak"].color
    left, right_end, top, foot = 60.0, WIDTH - 24.0, 62.0, 200.0
    span = (right_end - left) / (1 - edges[first])

    def px(value: float) -> float:
        return left + (value - edges[first]) * span

    items: list[Box | Words | Line] = []
    if low <= high:
        start = max(low, edges[first])
        wide = px(max(high, start)) - px(start)
        items.append(Box(px(start), top - 26, wide, foot - top + 26, GREY, 0.16, frame=True))
    items += [Box(left, 8, 16, 12, color), Words(left + 22, 19, "right", size=13)]
    items += [Box(left + 70, 8, 16, 12, color, hatch=True), Words(left + 92, 19, "wrong", size=13)]
    items.append(Words(left + 150, 19, "number above a bar: fraction of it that is right", size=13))
    for place in range(first, BINS):
        n, x, width = good[place] + bad[place], px(edges[place]) + 2, span / BINS - 4
        if not n:
            continue
        tall = [(foot - top) * part / most for part in (good[place], bad[place])]
        items.append(Box(x, foot - tall[0], width, tall[0], color))
        items.append(Box(x, foot - sum(tall), width, tall[1], color, hatch=True))
        items.append(Words(x + width / 2, foot - sum(tall) - 5, f"{good[place] / n:.2f}", "middle", 12))
    items.append(Line(left, foot, right_end, foot))
    for place in range(first, BINS + 1, 1 if BINS - first <= 12 else 2):
        items.append(Words(px(edges[place]), foot + 17, f"{edges[place]:.2f}", "middle", 12))
    about = "confidence (probability of the label) · band: chosen range"
    items.append(Words((left + right_end) / 2, foot + 38, about, "middle", 13))
    items.append(Words(left - 8, top + 5, f"{most:,}", "end", 12))
    items.append(Words(left - 8, foot + 4, "0", "end", 12))
    items.append(Words(4, top + 60, "labels", size=13))
    said = "histogram of the confidence, right and wrong labels, with the fraction right in each bin"
    return Sketch(tuple(items), foot + 48, said)


def label_browser(labels: LabelledSet, store: Store | None = None) -> Panel | Worlds:
    """Browse weak labels: right or wrong, by slice, by confidence; PAGE of them at a time.

    Args:
        labels: of a model, with their truth inside the examples.
        store: with one, a switch to the labels of film reviews that people wrote; None: none.

    Raises:
        ValueError: the set is empty, a truth is unknown, or the labels have no probabilities.
    """
    if not len(labels):
        raise ValueError("label_browser: the set is empty; expected at least one label")
    columns = Labels.of(labels)
    lowest = float(np.floor(columns.confidence.min() * BINS) / BINS)
    look = {"continuous_update": True, "style": {"description_width": "initial"}}
    sure = widgets.FloatRangeSlider(value=(lowest, 1.0), min=lowest, max=1.0, step=0.01, description="confidence",
                                    layout=widgets.Layout(width="360px"), **look)  # fmt: skip
    turner = widgets.IntSlider(value=1, min=1, max=max(1, -(-len(labels) // PAGE)), description="page",
                               layout=widgets.Layout(width="330px"), **look)  # fmt: skip

    def draw(show: str, slice: str, confidence: tuple[float, float], order: str, page: int) -> View:
        found, part = columns.rows(show, slice, *confidence, order), columns.within(slice)
        turner.max = max(1, -(-len(found) // PAGE))  # a page that is no longer there becomes the last one
        first = (min(page, turner.max) - 1) * PAGE
        which = f"{show if show != ALL else 'right and wrong'}, {slice if slice != ALL else 'all slices'}, {order}"
        cards = columns.cards(found, first, which)
        picture = confidence_picture(columns.confidence[part], columns.right[part], *confidence, lowest)
        here = cards.caption.partition(" (")[0] + (" are on this page." if cards.rows else ".")
        return View(f"{columns.says(show, slice, *confidence)} {here}", (picture,), cards.html, cards)

    controls = {
        "show": choice("show", [ALL, "right", "wrong"], width="160px"),
        "slice": choice("slice", [ALL, *columns.tags], width="260px"),
        "order": choice("order", ORDERS, width="230px"),
        "page": turner,
        "confidence": sure,
    }
    return in_both_worlds(
        Panel("Weak labels", controls, draw),
        store,
        lambda real: label_browser(real.labels).set(show="wrong", order="surest first"),
    )
