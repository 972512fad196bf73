"""The supervisor's errors, read and sorted by the learner: of which kind are they, and which does the student correct?

The picture holds counts and fractions alone. The sentences are in the live table, and never in a stored notebook.
"""

import re
from collections.abc import Collection, Mapping, Sequence
from html import escape

import ipywidgets as widgets

from w2s_lab.classroom.toolkit.chart import Bar, BarChart
from w2s_lab.classroom.toolkit.panel import Panel, View, guarded, table
from w2s_lab.figures.plots import GREY, Role
from w2s_lab.records import LabelledSet

KINDS = {
    "negation": "a word is turned round: not funny, never dull",
    "double negation": "turned round twice, or a fault denied: not bad, never without charm",
    "mixed": "praise and blame in one sentence: a but, a though",
    "irony": "says one thing and means the other",
    "other": "none of these",
}
OPEN = "not sorted"
NEGATIONS = frozenset(
    "not no never nothing nobody none neither nor without hardly cannot isn't aren't wasn't weren't doesn't don't "
    "didn't hasn't haven't hadn't can't couldn't won't wouldn't shouldn't ain't".split()
)
FAULTS = frozenset(
    "bad boring dull awful terrible worst stupid silly predictable flaw flaws flawed fault faults fail fails failed "
    "failure lack lacks lacking weak slow ugly cheap dumb mess tedious disappointing disappointment mistake".split()
)
CONTRASTS = frozenset("but yet though although however despite while still except".split())
BY_RULE = Role("sorted by the words", GREY, "", "")  # the rule's, not the reader's
LONGEST = 300  # characters of a sentence that are shown

Counts = dict[str, tuple[int, int]]  # kind -> (corrected by the student, errors of the supervisor)


def words_of(text: str) -> list[str]:
    """The words of a text in small letters, in their order; "isn't" is one word, also where it is spaced or curled."""
    plain = re.sub(r"\s*n\s*['’]\s*t\b", "n't", text.lower())
    return re.findall(r"[a-z]+(?:'[a-z]+)?", plain)


def kind_by_words(
    words: Sequence[str],
    negations: Collection[str] = NEGATIONS,
    faults: Collection[str] = FAULTS,
    contrasts: Collection[str] = CONTRASTS,
) -> str:
    """A first guess at the kind of a sentence, a key of KINDS, from its words alone. It never says irony.

    A sentence with a negation is a double negation if it has a second one or a word for a fault, else a negation. One
    without any is mixed if it has a word of contrast, else other.
    """
    negated = sum(word in negations for word in words)
    if negated:
        return "double negation" if negated > 1 or any(word in faults for word in words) else "negation"
    return "mixed" if any(word in contrasts for word in words) else "other"


def corrections(kinds: Sequence[str], weak: Sequence[str], student: Sequence[str], truth: Sequence[str]) -> Counts:
    """For each kind with at least one weak error: how many of these the student corrects, and how many there are.

    Args:
        kinds: of N examples.
        weak, student, truth: N answers each.
    """
    found: Counts = {}
    for kind, w, s, t in zip(kinds, weak, student, truth, strict=True):
        if w != t:
            corrected, errors = found.get(kind, (0, 0))
            found[kind] = (corrected + (s == t), errors + 1)
    return found


class ErrorSorter(Panel):
    """Errors of a supervisor, one at a time, each to be given a kind. Made by `error_sorter`.

    Attributes:
        reference: the supervisor's labels of the errors that are shown.
        sorted: example id -> the kind that the learner gave it.
    """

    def __init__(self, reference: LabelledSet, student: LabelledSet, by_words: Sequence[str] | None, most: int) -> None:
        truth = [example.answer for example in reference.examples]
        wrong = [i for i, (a, t) in enumerate(zip(reference.answers, truth, strict=True)) if a != t]
        if not wrong:
            raise ValueError(f"error_sorter: {reference.source} makes no error; expected at least one to read")
        if student.ids != reference.ids:
            raise ValueError("error_sorter: supervisor and student labelled other examples; expected the same")
        self._rule = corrections(by_words, reference.answers, student.answers, truth) if by_words is not None else {}
        self._errors = len(wrong)
        self.reference, self._student = (one.take(wrong[:most]) for one in (reference, student))
        self.sorted: dict[str, str] = {}
        self._turning = False
        controls = {
            "sentence": widgets.IntSlider(
                value=1, min=1, max=len(self.reference), description="error", continuous_update=True,
                style={"description_width": "initial"}, layout=widgets.Layout(width="330px"),
            ),
            "kind": widgets.ToggleButtons(
                options=[OPEN, *KINDS], value=OPEN, description="kind", tooltips=["", *KINDS.values()],
                style={"description_width": "initial", "button_width": "auto"},
            ),
        }  # fmt: skip
        super().__init__("Error sorter: what kind of sentence is it?", controls, self._draw_error)
        step = widgets.Button(description="next open one", icon="forward", layout=widgets.Layout(width="150px"))
        step.on_click(guarded(lambda _: self.next(), self._words))
        head, box, picture, words = self.children
        self.children = [head, box, step, words, picture]

    def sort(self, kinds: Mapping[int, str]) -> "ErrorSorter":
        """Sort from code: number of the error, from 1 -> its kind; returns the panel.

        Raises:
            ValueError: there is no such error, or no such kind.
        """
        for number, kind in kinds.items():
            if kind not in KINDS or not 1 <= number <= len(self.reference):
                raise ValueError(
                    f"ErrorSorter: error {number}, kind {kind!r}; expected 1 to {len(self.reference)} and one of "
                    f"{', '.join(KINDS)}"
                )
            self.sorted[self.reference.ids[number - 1]] = kind
        self._turn(self.controls["sentence"].value)
        return self

    def next(self) -> None:
        """Go on to the next error that is not sorted yet, from the first again after the last."""
        now, n = self.controls["sentence"].value, len(self.reference)
        order = [(now + step) % n for step in range(n)]  # places from 0, the one after this one first
        still = [place for place in order if self.reference.ids[place] not in self.sorted]
        if still:
            self._turn(still[0] + 1)

    @property
    def counts(self) -> Counts:
        """`corrections` of the errors that the learner has sorted."""
        rows = [row for row, id_ in enumerate(self.reference.ids) if id_ in self.sorted]
        part, student = self.reference.take(rows), self._student.take(rows)
        kinds = [self.sorted[id_] for id_ in part.ids]
        return corrections(kinds, part.answers, student.answers, [example.answer for example in part.examples])

    def _turn(self, number: int) -> None:
        """Show an error, with the kind that it has."""
        self._turning = True  # the controls follow; they do not sort
        try:
            self.controls["sentence"].value = number
            self.controls["kind"].value = self.sorted.get(self.reference.ids[number - 1], OPEN)
        finally:
            self._turning = False
        self.refresh()

    def _moved(self, change: dict) -> None:
        if self._turning:
            return
        number = self.controls["sentence"].value
        if change["owner"] is self.controls["kind"]:
            id_ = self.reference.ids[number - 1]
            if change["new"] == OPEN:
                self.sorted.pop(id_, None)
            else:
                self.sorted[id_] = change["new"]
        self._turn(number)

    def _draw_error(self, sentence: int, kind: str) -> View:
        own = self.counts
        bars = [_bar(name, "by you", self._of(own, name), "student") for name in KINDS if name in own]
        bars += [_bar(name, "by words", self._of(self._rule, name), BY_RULE) for name in KINDS if name in self._rule]
        says = f"Error {sentence}; {len(self.sorted)} of {len(self.reference)} errors sorted by you."
        charts: tuple[BarChart, ...] = ()
        if bars:
            said = f"{says} Corrected by the student: {'; '.join(bar.in_words for bar in bars)}."
            label = "fraction of the supervisor's errors that the student corrects"
            charts = (BarChart(label, tuple(bars), said=said),)
            says = said if own else f"{says} The bars: all {self._errors} errors, sorted by their words."
        return View(says, charts, self._card(sentence - 1, kind) + _legend())

    @staticmethod
    def _of(counts: Counts, kind: str) -> tuple[int, int]:
        return counts.get(kind, (0, 0))

    def _card(self, place: int, kind: str) -> str:
        """The sentence with its truth and the supervisor's answer; the student's, once it is sorted."""
        example, weak, student = (
            self.reference.examples[place], self.reference.answers[place], self._student.answers[place]
        )  # fmt: skip
        verdict = "✓ corrected" if student == example.answer else "✗ the same error" if student == weak else "✗ wrong"
        shown = "sort it first" if kind == OPEN else f"{student} {verdict}"
        text = (example.input or example.instruction)[:LONGEST]
        row = [escape(cell) for cell in (text, example.answer, weak, shown)]
        return table(("sentence", "truth", "supervisor", "student"), [row])


def _bar(kind: str, by: str, counts: tuple[int, int], role: str | Role) -> Bar:
    corrected, errors = counts
    return Bar(f"{kind}, {by}", corrected / errors, role, note=f"({corrected} of {errors})")


def _legend() -> str:
    rows = [(f"<b>{escape(kind)}</b>", escape(words)) for kind, words in KINDS.items()]
    return table(("kind", "what it is"), rows)


def error_sorter(
    reference: LabelledSet, student: LabelledSet, by_words: Sequence[str] | None = None, *, most: int = 40
) -> ErrorSorter:
    """Read the supervisor's errors one at a time, give each a kind, and see which kinds the student corrects.

    Args:
        reference: the supervisor's labels of test examples, with the truth inside.
        student: the student's labels of the same examples.
        by_words: a kind for each example, from a rule; its bars stand beside the learner's.
        most: how many errors are offered.

    Raises:
        ValueError: the supervisor makes no error, or the two labelled different examples.
    """
    return ErrorSorter(reference, student, by_words, most)
