"""Sums up the marks for the instructor: easy and hard questions, common wrong answers, and what broke."""

import json
import statistics
import textwrap
from collections import Counter, defaultdict
from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from w2s_lab.assignments.marks.csv_files import number_text, printable
from w2s_lab.assignments.marks.exports import unread
from w2s_lab.assignments.marks.similar import CAVEAT, Twin
from w2s_lab.assignments.records import UNREAD, Assignment, Marks, Question

HARDEST = 8  # checks in that list
ANSWERS = 3  # wrong answers shown for one check
LISTED = 15  # entries of a longer list
WIDTH = 100  # letters of a line
DIGITS = 4  # of a number in a wrong answer: 0.33333 and 0.333333 are one answer
BINS = 10  # of a distribution, over 0 to 1
SIZE, SMALL = 13, 11  # points: labels and titles; names of many questions
BLUE, ORANGE, GREY = "#0072B2", "#CF8000", "#595959"  # told apart by colour-blind people too
FULL = 1 - 1e-9  # fraction of the points from which a question counts as full


def fractions(assignment: Assignment, marks: Sequence[Marks]) -> dict[str, list[float]]:
    """Question -> fraction of its points, [submissions]; without answers in words that nobody has read yet.

    A question without a result (the file could not be read) counts as 0.
    """
    found: dict[str, list[float]] = {question.name: [] for question in assignment.questions}
    for one in marks:
        waiting = unread(one)
        for question in assignment.questions:
            if question.name not in waiting:
                points, of = one.question(question.name)
                found[question.name].append(min(1.0, points / (of or question.points)))
    return found


def totals(assignment: Assignment, marks: Sequence[Marks]) -> list[float]:
    """Fraction of the points of each submission, [submissions]; answers that are still to be read do not count, nor do
    submissions in which all of them are."""
    found = []
    for one in marks:
        waiting = sum(result.of for result in one.results if result.state == UNREAD)
        of = assignment.points - waiting
        if of > 1e-9:
            found.append(min(1.0, one.points / of))
    return found


# -- as text -----------------------------------------------------------------------------------------------------------


def summary_text(assignment: Assignment, marks: Sequence[Marks], twins: Sequence[Twin] = ()) -> str:
    """The class as aligned text: questions, hardest checks, common wrong answers, what broke, and pairs to look at.

    For the instructor only: it shows the values that hidden checks got back.

    Args:
        twins: pairs of submissions that are alike (see `similar.twins`).
    """
    count = f"{len(marks)} submission{'' if len(marks) == 1 else 's'}"
    title = " ".join(printable(assignment.title or assignment.name).split())
    parts = [f"{title}: {count}, {number_text(assignment.points)} points"]
    if marks:
        blocks = (_table, _hardest, _wrong_answers, _broken)
        parts += [text for text in (block(assignment, marks) for block in blocks) if text]
        parts += [_pairs(twins)] if twins else []
    return "\n\n".join(parts)


def _table(assignment: Assignment, marks: Sequence[Marks]) -> str:
    """Per question: its points, mean and median in points, shares with all points and with none."""
    found = fractions(assignment, marks)
    names = {q.name: _short(q.title or q.name, 46) for q in assignment.questions}
    wide = max(len(name) for name in [*names.values(), "question"])
    lines = [f"{'question':<{wide}}{'of':>7}{'mean':>8}{'median':>8}{'full':>7}{'zero':>7}"]
    for question in assignment.questions:
        shares, to_read = found[question.name], len(marks) - len(found[question.name])
        note = f"   {to_read} to read" if to_read else ""
        lines.append(_row(names[question.name], wide, question.points, shares) + note)
    lines.append(_row("total", wide, assignment.points, totals(assignment, marks)))
    waits = any(len(shares) < len(marks) for shares in found.values())
    note = "mean and median in points; full and zero: share of the submissions with all points, and with none"
    lines += textwrap.wrap(note + "; answers that nobody has read are left out" * waits, width=WIDTH)
    return "\n".join(lines)


def _row(name: str, wide: int, of: float, shares: Sequence[float]) -> str:
    row = f"{name:<{wide}}{number_text(of):>7}"
    if not shares:
        return row + f"{'–':>8}{'–':>8}{'–':>7}{'–':>7}"
    full, zero = (statistics.fmean(map(test, shares)) for test in (lambda x: x >= FULL, lambda x: x <= 0))
    mean, median = of * statistics.fmean(shares), of * statistics.median(shares)
    return row + f"{mean:>8.2f}{median:>8.2f}{full:>7.0%}{zero:>7.0%}"


def _hardest(assignment: Assignment, marks: Sequence[Marks]) -> str:
    met, asked = Counter(), Counter()
    for one in marks:
        for result in one.results:
            if result.state != UNREAD and not _question(assignment, result.question).by_hand:
                asked[result.question, result.check] += 1
                met[result.question, result.check] += result.state == "right"
    hard = sorted((key for key in asked if met[key] < asked[key]), key=lambda key: met[key] / asked[key])[:HARDEST]
    if not hard:
        return "hardest checks\n  none: every check is met by every submission" if asked else ""
    lines = [f"  {met[key] / asked[key]:>4.0%} met  {_short(f'{key[0]}: {key[1]}', WIDTH - 12)}" for key in hard]
    return "\n".join(["hardest checks", *lines])


def _question(assignment: Assignment, name: str) -> Question:
    """The question of this name; a new one for results of an older master."""
    return next((q for q in assignment.questions if q.name == name), Question(name, name, 0))


def _wrong_answers(assignment: Assignment, marks: Sequence[Marks]) -> str:
    """The most common wrong values, of those that at least two submissions gave."""
    answers: dict[tuple[str, str], Counter[str]] = defaultdict(Counter)
    for one in marks:
        for result in one.results:
            if result.state == "wrong" and result.given and not _question(assignment, result.question).by_hand:
                answers[result.question, result.check][_same(result.given)] += 1
    entries = []
    for (question, check), counts in sorted(answers.items(), key=lambda item: -max(item[1].values())):
        common = [(value, count) for value, count in counts.most_common(ANSWERS) if count > 1]
        lines = [f"  {count:>5} × {_short(value, WIDTH - 10)}" for value, count in common]
        entries += ["\n".join([f"  {_short(f'{question}: {check}', WIDTH)}", *lines])] if lines else []
    return _listed("common wrong answers (given by two or more)", entries, "checks")


def _listed(title: str, entries: Sequence[str], things: str) -> str:
    """A list with its title, cut if it is long; "" if it is empty."""
    more = [f"  and {len(entries) - LISTED} more {things}"] if len(entries) > LISTED else []
    return "\n".join([title, *entries[:LISTED], *more]) if entries else ""


def _same(given: str) -> str:
    """JSON text with its numbers rounded, so that equal answers look equal; other text unchanged."""
    try:
        return json.dumps(_rounded(json.loads(given)))
    except (ValueError, RecursionError):
        return " ".join(given.split())


def _rounded(value: object) -> object:
    if isinstance(value, float):
        return float(f"{value:.{DIGITS}g}")
    if isinstance(value, list):
        return [_rounded(part) for part in value]
    return {key: _rounded(part) for key, part in value.items()} if isinstance(value, dict) else value


def _broken(assignment: Assignment, marks: Sequence[Marks]) -> str:
    """Notes on files and cells, and checks that gave no value, each with the students concerned."""
    notes: dict[str, list[str]] = defaultdict(list)
    for one in marks:
        for note in dict.fromkeys(one.notes):
            notes[_short(note, 2 * WIDTH)].append(one.student)
        failed = [result for result in one.results if result.state == "failed"]
        failed = [result for result in failed if not result.says or not any(result.says in note for note in one.notes)]
        reasons = (f"{r.question}: {r.given or r.says or 'nothing came back'}" for r in failed)
        for text in dict.fromkeys(reasons):
            notes[_short(text, 2 * WIDTH)].append(one.student)
    entries = []
    for note, students in sorted(notes.items(), key=lambda item: -len(item[1])):
        who = ", ".join(_short(name, 40) for name in students[:4]) + ", …" * (len(students) > 4)
        hang = {"initial_indent": f"  {len(students):>5} × ", "subsequent_indent": " " * 10}
        entries.append("\n".join(textwrap.wrap(f"{note} ({who})", width=WIDTH, **hang)))
    return _listed("what failed technically", entries, "reasons")


def _pairs(twins: Sequence[Twin]) -> str:
    lines = [f"pairs that are alike ({CAVEAT})"]
    for twin in twins:
        lines.append(f"  {twin.likeness:.2f}  {' and '.join(_short(name, 44) for name in twin.students)}")
        lines += [f"        {_short(piece, WIDTH - 8)}" for piece in twin.shared]
    return "\n".join(lines)


def _short(text: str, letters: int) -> str:
    """One line of at most so many letters, safe to print."""
    text = " ".join(printable(text).split())
    return text if len(text) <= letters else text[: letters - 1].rstrip() + "…"


# -- as a figure -------------------------------------------------------------------------------------------------------


def distribution(assignment: Assignment, marks: Sequence[Marks]) -> Figure:
    """Left: for each question how its points are distributed, as a fraction; right: the same of the totals.

    A row's bars are shares of the submissions, in tenths from 0 to 1; the diamond is the mean. Answers in words that
    nobody has read are left out: of their question's row, which is not drawn where none is read, and of the totals.

    Raises:
        ValueError: there is no submission, or no question.
    """
    if not marks or not assignment.questions:
        raise ValueError(
            f"distribution of {len(marks)} submissions and {len(assignment.questions)} questions; expected at least one"
        )
    found = fractions(assignment, marks)
    shown = [question for question in assignment.questions if found[question.name]]
    height = max(5.2, 2.2 + 0.58 * len(shown))
    figure = Figure(figsize=(14, height), layout="constrained")
    left, right = figure.subplots(1, 2, width_ratios=(3, 2))
    _question_rows(left, shown, found, len(marks))
    _total_bars(right, assignment, totals(assignment, marks), any(map(unread, marks)))
    count = f"{len(marks)} submission{'' if len(marks) == 1 else 's'}"
    title = _short(assignment.title or assignment.name, 80).replace("$", r"\$")
    hidden = [question.title or question.name for question in assignment.questions if question not in shown]
    note = _short(f"not read yet, and left out: {', '.join(hidden)}", 110).replace("$", r"\$") if hidden else ""
    figure.suptitle(f"{title}: {count}" + f"\n{note}" * bool(note), fontsize=SIZE + 2)
    return figure


LOOK = {"facecolor": BLUE + "88", "edgecolor": BLUE, "linewidth": 1.2}
MEAN = {"color": ORANGE, "marker": "D", "markersize": 9, "markeredgecolor": "black", "linestyle": "none"}
EDGES = np.linspace(0, 1, BINS + 1)


def _shares(values: Sequence[float]) -> np.ndarray:
    """Share of the values in each tenth, [BINS]; exactly 1 belongs to the last."""
    counts = np.histogram(np.clip(np.asarray(values) + 1e-9, 0, 1), EDGES)[0]
    return counts / max(1, len(values))


def _question_rows(ax: Axes, questions: Sequence[Question], found: dict[str, list[float]], submissions: int) -> None:
    names = []
    shares = {name: _shares(values) for name, values in found.items()}
    tallest = max(float(row.max()) for row in shares.values()) or 1.0
    for base, question in enumerate(reversed(questions)):
        values = found[question.name]
        ax.axhline(base, color="#CCCCCC", linewidth=1, zorder=0)
        title = textwrap.wrap(_short(question.title or question.name, 50), 27) or [question.name]
        names.append(("\n".join(title[:2]) + f" ({number_text(question.points)})").replace("$", r"\$"))
        tall = 0.86 * shares[question.name] / tallest
        ax.bar(EDGES[:-1][tall > 0], tall[tall > 0], 1 / BINS, bottom=base, align="edge", zorder=2, **LOOK)
        ax.plot(np.mean(values), base, zorder=3, clip_on=False, **MEAN)
        waiting = submissions - len(values)
        note = f"{np.mean(values):.2f}" + (f"  ({waiting} to read)" if waiting else "")
        ax.text(1.03, base + 0.16, note, fontsize=SIZE, va="center", transform=ax.get_yaxis_transform())
    ax.text(1.03, len(questions) - 0.1, "mean", fontsize=SIZE, color=GREY, transform=ax.get_yaxis_transform())
    ax.set(xlim=(0, 1), ylim=(-0.25, max(1, len(questions))))
    ax.set_yticks(range(len(questions)), names, va="bottom")
    ax.set_xlabel("fraction of the question's points", fontsize=SIZE)
    title = f"Each question (its points): share of the submissions\ntallest bar {tallest:.0%}; diamond: mean"
    ax.set_title(title, fontsize=SIZE)
    _plain(ax)
    ax.tick_params(axis="y", length=0, labelsize=SIZE if len(questions) < 13 else SMALL)
    ax.spines["left"].set_visible(False)


def _total_bars(ax: Axes, assignment: Assignment, values: Sequence[float], waits: bool) -> None:
    label = "the points read so far" if waits else f"all points ({number_text(assignment.points)})"
    ax.set_xlabel(f"fraction of {label}", fontsize=SIZE)
    ax.set_ylabel("submissions", fontsize=SIZE)
    if not values:
        ax.set_title("Totals: nothing is read yet", fontsize=SIZE)
        _plain(ax)
        return
    counts, mean, median = _shares(values) * len(values), float(np.mean(values)), float(np.median(values))
    ax.bar(EDGES[:-1], counts, 1 / BINS, align="edge", zorder=2, **LOOK)
    ax.axvline(median, color="black", linestyle=":", linewidth=2, zorder=3, clip_on=False)
    ax.plot(mean, 0, zorder=4, clip_on=False, **MEAN)
    ax.set(xlim=(0, 1), ylim=(0, 1.06 * max(counts)))
    ax.yaxis.set_major_locator(MaxNLocator(6, integer=True))
    ax.set_title(f"Totals: mean {mean:.2f} (diamond)\nmedian {median:.2f} (dotted line)", fontsize=SIZE)
    _plain(ax)


def _plain(ax: Axes) -> None:
    ax.tick_params(labelsize=SIZE)
    ax.spines[["top", "right"]].set_visible(False)
    ax.xaxis.set_major_locator(MaxNLocator(5))
