"""A dashboard of self-instruct flywheels: choose a run, move through its rounds, see which dial turns red."""

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape
from typing import TYPE_CHECKING

from w2s_lab.classroom.dashboards.flywheel_health import (
    DIALS,
    UNITS,
    HealthDial,
    Rows,
    diagnosis,
    live_round,
    study_rounds,
)
from w2s_lab.classroom.toolkit.chart import Chart, Mark, Series
from w2s_lab.classroom.toolkit.measured import measured
from w2s_lab.classroom.toolkit.panel import Panel, View, choice, guarded, stops, table
from w2s_lab.classroom.toolkit.svg import WIDTH, Drawing, picture, words
from w2s_lab.figures.plots import GREY, ROLE, Role
from w2s_lab.figures.study_plots import SERIES

if TYPE_CHECKING:  # a demo of the measured runs needs no torch
    from w2s_lab.methods.flywheel import Round

GREEN, RED = ROLE["ceiling"].color, ROLE["same"].color
LINE = SERIES[0].color
EXAMPLES = 5  # texts of a round that are shown
ALL, MEAN = "all dials", "mean of all seeds"
SETTINGS = {
    "temperature": "temperature of the sampling",
    "valid": "what is no input of the task is refused",
    "duplicates": "refused from this ROUGE-L on",
    "labeller": "who answers",
    "min_confidence": "answers below this probability refused",
    "balanced": "answers in the shares of the seed pool",
    "keep_seed": "the pool keeps the seed examples",
    "trains_generator": "the generator learns its own texts",
}


# -- the picture -----------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Dials(Drawing):
    """Six small panels: each dial over the rounds up to now, its red side, and its value in words.

    Attributes:
        rounds: of one run.
        number: the round that is shown.
        limits: key -> ends of the panel's axis, the same for all runs, so that runs can be compared by eye.
        said: what the picture shows, for those who do not see it.
    """

    rounds: Rows
    number: int
    limits: Mapping[str, tuple[float, float]]
    said: str = ""

    def words(self, dial: HealthDial) -> tuple[str, str]:
        """The dial's value with sign and word, and their colour."""
        value = self.rounds[self.number][dial.key]
        if value is None:
            return "no value", GREY
        since = dial.red_since(self.rounds, self.number)
        if since is None:
            return f"{value:.2f} ✓ good", GREEN
        return f"{value:.2f} ✗ red since {since}", RED

    def _red_side(self, dial: HealthDial) -> tuple[float, float] | None:
        (low, high), limit = self.limits[dial.key], dial.at(self.rounds)
        if limit is None:
            return None
        limit = min(max(limit, low), high)
        return (limit, high) if dial.worse == "above" else (low, limit)

    def svg(self) -> str:
        """Two rows of three panels."""
        wide, high = 226, 158
        found = []
        for place, dial in enumerate(DIALS):
            found.append(f'<g transform="translate({place % 3 * wide} {place // 3 * high})">')
            found += [*self._panel(dial, wide, high), "</g>"]
        return picture(WIDTH, 2 * high, self.said, found)

    def _panel(self, dial: HealthDial, wide: int, high: int) -> list[str]:
        (low, top), last = self.limits[dial.key], max(1, len(self.rounds) - 1)
        x0, x1, y0, y1 = 34, wide - 14, high - 24, 46

        def px(number: int) -> float:
            return x0 + number / last * (x1 - x0)

        def py(value: float) -> float:
            return y0 - (min(max(value, low), top) - low) / (top - low) * (y0 - y1)

        state, color = self.words(dial)
        found = [words(8, 18, dial.title, anchor="start", bold=True)]
        found.append(f'<circle cx="14" cy="32" r="6" fill="{color}"/>')  # words in these colours would be hard to read
        found.append(words(25, 37, state, anchor="start", bold=True))
        if side := self._red_side(dial):
            box = f'x="{x0}" y="{py(side[1]):.1f}" width="{x1 - x0}" height="{py(side[0]) - py(side[1]):.1f}"'
            found.append(f'<rect {box} fill="{RED}" opacity="0.14"/>')
            edge = py(side[0] if dial.worse == "above" else side[1])
            found.append(f'<path d="M{x0} {edge:.1f}H{x1}" stroke="{RED}" stroke-dasharray="4 3"/>')
        found.append(f'<path d="M{x0} {y1}V{y0}H{x1}" stroke="currentColor" fill="none" opacity="0.5"/>')
        for value in (low, top):
            found.append(words(x0 - 4, py(value) + 4, f"{value:.1f}", anchor="end", size=12))
        for number in range(len(self.rounds)):
            found.append(words(px(number), y0 + 16, str(number), size=12))
        for upto, opacity in ((len(self.rounds) - 1, 0.25), (self.number, 1)):
            seen = [(n, self.rounds[n][dial.key]) for n in range(upto + 1)]
            path = " L".join(f"{px(n):.1f} {py(v):.1f}" for n, v in seen if v is not None)
            if path:
                found.append(f'<path d="M{path}" stroke="{LINE}" stroke-width="2.5" fill="none" opacity="{opacity}"/>')
        value = self.rounds[self.number][dial.key]
        if value is not None:
            found.append(f'<circle cx="{px(self.number):.1f}" cy="{py(value):.1f}" r="5" fill="{LINE}"/>')
        return found


# -- the dashboard ---------------------------------------------------------------------------------------------------


def flywheel_dashboard(
    study: Mapping | None = None, *, live: "Mapping[str, Sequence[Round]] | None" = None, run: str | None = None
) -> Panel:
    """Choose a run, move through its rounds, and see which dial turns red when.

    Args:
        study: a result such as `classroom.measured("flywheel")`; None: that one.
        live: name -> rounds of flywheels that ran in this notebook; their texts can be read.
        run: the one that is shown first: a configuration of the study or a name in `live`; None: "degrading".
    """
    study, live = measured("flywheel") if study is None else study, dict(live or {})
    seeds = sorted({row["seed"] for row in study["rows"]})
    table_of = {
        (name, seed): study_rounds(study, name, None if seed == MEAN else seed)
        for name in study["configurations"]
        for seed in (MEAN, *seeds)
    }
    table_of |= {(name, MEAN): [live_round(one) for one in rounds] for name, rounds in live.items()}
    limits = {dial.key: _ends(dial, list(table_of.values())) for dial in DIALS}

    def draw(run: str, seed: int | str, show: str, round: int) -> View:
        rounds = table_of[run, MEAN if run in live else seed]
        number = min(round, len(rounds) - 1)
        of = "" if run in live else f", mean of {len(seeds)} seeds" if seed == MEAN else f", seed {seed}"
        says = f"{run}{of}, round {number} of {len(rounds) - 1}. {diagnosis(rounds, number)}"
        below = _texts(live[run][number]) if run in live else _settings(study["configurations"][run])
        if show == ALL:
            return View(says, (Dials(rounds, number, limits, says),), below)
        dial = next(dial for dial in DIALS if dial.key == show)
        each = [table_of[run, one] for one in seeds] if run not in live and seed == MEAN else []
        chart = _one_dial(dial, run, rounds, each, table_of["healthy", MEAN], number, limits[show])
        return View(says, (chart,), below)

    names, first = [*live, *study["configurations"]], run or "degrading"

    def rounds_of(run: str) -> range:
        return range(len(table_of[run, MEAN]))

    panel = Panel(
        "Flywheel dashboard",
        {
            "run": choice("Run", names, first),
            "seed": choice("Seed", [(MEAN, MEAN), *((f"{s}", s) for s in seeds)], MEAN, width="210px"),
            "show": choice("Show", [(ALL, ALL), *((dial.title, dial.key) for dial in DIALS)], width="230px"),
            "round": stops("Round", rounds_of(first), rounds_of(first)[-1]),
        },
        draw,
    )

    def follow(change: Mapping) -> None:
        """A run of two rounds has no third one: the slider ends where the run does."""
        at, rounds = panel.controls["round"], rounds_of(change["new"])
        number = min(at.value, rounds[-1])
        with at.hold_trait_notifications():
            at.options, at.value = rounds, number

    panel.controls["run"].observe(guarded(follow, panel._words), names="value")
    return panel


def _ends(dial: HealthDial, runs: Sequence[Rows]) -> tuple[float, float]:
    """The smallest and the largest of the values and limits of all runs, rounded outwards to tenths."""
    found = [row[dial.key] for rounds in runs for row in rounds if row[dial.key] is not None]
    found += [limit for rounds in runs if (limit := dial.at(rounds)) is not None]
    return math.floor(min(found) * 10) / 10, math.ceil(max(found) * 10) / 10


def _one_dial(
    dial: HealthDial,
    run: str,
    rounds: Rows,
    seeds: Sequence[Rows],
    healthy: Rows,
    number: int,
    limits: tuple[float, float],
) -> Chart:
    """One dial, large: this run, its seeds behind it, and the healthy flywheel."""
    own, x = SERIES[0], range(len(rounds))

    def values(some: Rows) -> list[float | None]:
        return [row[dial.key] for row in some]

    series = [Series(range(len(one)), values(one), own, "", points=False, faint=True) for one in seeds]
    if run != "healthy":
        control = Role("healthy", GREY, "s", "", "--")
        series.append(Series(range(len(healthy)), values(healthy), control, "healthy flywheel, mean"))
    series.append(Series(x, values(rounds), own, run))
    marks = [Mark(number, f"round {number}")]
    if (limit := dial.at(rounds)) is not None:
        marks.append(Mark(limit, f"red {dial.worse} {limit:.2f}", across=True, role="same"))
    label = f"{dial.title} ({UNITS[dial.key]})"
    return Chart("round", label, tuple(series), tuple(marks), (-0.1, max(len(healthy), len(rounds)) - 0.9), limits)


def _settings(recipe: Mapping) -> str:
    """The settings of the flywheel, as a table."""

    def said(value: object) -> str:
        if isinstance(value, bool):
            return "yes" if value else "no"
        return "never" if value is None else value if isinstance(value, str) else f"{value:g}"

    return table(("setting", "value"), [(text, escape(said(recipe[key]))) for key, text in SETTINGS.items()])


def _texts(one: "Round") -> str:
    """The most frequent proposals of a live round, with their counts and the answers that they were given."""
    if not one.proposed:
        return "<p>Round 0 has the seed pool only: nothing was proposed.</p>"
    answers = {} if one.accepted is None else {
        example.input: answer for example, answer in zip(one.accepted.examples, one.accepted.answers, strict=True)
    }  # fmt: skip
    rows = [
        (f"{times} ×", escape(answers.get(text, "refused")), escape(text))
        for text, times in Counter(one.proposed).most_common(EXAMPLES)
    ]
    return table(("proposed", "answer", "text"), rows, caption="The most frequent proposals of this round")
