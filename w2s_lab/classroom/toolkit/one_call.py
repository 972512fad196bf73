"""Charts and figures in one call, for cells whose subject is what is drawn and not how."""

from collections.abc import Callable, Mapping, Sequence

import matplotlib.pyplot as plt
from matplotlib.figure import Figure

from w2s_lab.classroom.toolkit.chart import Bar, BarChart, Chart, Mark, Series
from w2s_lab.classroom.toolkit.measured import measured
from w2s_lab.figures import plots, study_plots
from w2s_lab.figures.plots import ROLE
from w2s_lab.metrics import wilson_interval
from w2s_lab.studies import figures

# A number; a fraction of n cases, (fraction, n); or a mean with its interval, (mean, low, high) or as studies store it.
Measured = float | tuple[float, int] | tuple[float, float | None, float | None] | Mapping[str, float] | None


def bars(
    measure: str,
    values: Mapping[str, Measured],
    *,
    role: str | Sequence[str] = "student",
    marks: Mapping[str, float] | None = None,
    x_range: tuple[float, float] | None = None,
) -> BarChart:
    """Horizontal bars, one below the other, with their numbers and intervals.

    Args:
        measure: what is drawn, with its unit.
        values: name -> a number; (fraction, n), drawn with its 95 % Wilson interval; (mean, low, high), or a mean as
            `measured` gives it; None: undefined.
        role: a key of `plots.ROLE` for the colour, or one for each bar.
        marks: word -> where a line stands behind the bars.
        x_range: of the axis; None: from 0 to 1, or as far as the bars need.

    Raises:
        ValueError: there are other numbers of bars and roles.
    """
    roles = [role] * len(values) if isinstance(role, str) else role
    if len(roles) != len(values):
        raise ValueError(f"bars: {len(roles)} roles for {len(values)} bars; expected one for each")
    drawn = tuple(Bar(name, *_interval(value, look)) for (name, value), look in zip(values.items(), roles, strict=True))
    ends = [end for bar in drawn for end in (bar.value, bar.low, bar.high) if end is not None]
    low, high = min([0.0, *ends]), max([0.0, *ends])
    wide = x_range or (min(0.0, 1.1 * low), 1.0 if high <= 1 else 1.1 * high)
    return BarChart(measure, drawn, wide, tuple(Mark(at, word) for word, at in (marks or {}).items()))


def _interval(value: Measured, role: str) -> tuple[float | None, str, float | None, float | None]:
    """Value, role and ends of a Bar."""
    if isinstance(value, Mapping):
        return value["mean"], role, value.get("low"), value.get("high")
    if not isinstance(value, tuple):
        return None if value is None else float(value), role, None, None
    if len(value) == 2:
        right, n = value
        return float(right), role, *wilson_interval(round(right * n), n)
    return value[0], role, value[1], value[2]


def lines(
    x: tuple[str, Sequence[float]],
    y: str,
    curves: Mapping[str, Sequence[float | None]],
    *,
    role: str | Sequence[str] = "",
    across: Mapping[str, float] | None = None,
    up: Mapping[str, float] | None = None,
    y_range: tuple[float, float] | None = (0.0, 1.0),
) -> Chart:
    """Curves over one axis.

    Args:
        x: what is counted along the axis, with its unit, and where the curves have their values.
        y: what the curves measure, with its unit.
        curves: name in the legend ("": none) -> values.
        role: a key of `plots.ROLE` for the look, or one for each curve; "": looks that stand for no role.
        across, up: word -> where a dashed line stands, across or upright.
        y_range: None: what the curves need.

    Raises:
        ValueError: there are other numbers of curves and roles.
    """
    names = [role] * len(curves) if isinstance(role, str) else role
    if len(names) != len(curves):
        raise ValueError(f"lines: {len(names)} roles for {len(curves)} curves; expected one for each")
    looks = [ROLE[name] if name else look for name, look in zip(names, study_plots.SERIES, strict=False)]
    label, at = x
    points = len(at) <= 50  # more of them would hide the line
    series = tuple(
        Series(at, values, look, name, points=points)
        for (name, values), look in zip(curves.items(), looks, strict=True)
    )
    marks = [Mark(height, word, across=True) for word, height in (across or {}).items()]
    marks += [Mark(place, word) for word, place in (up or {}).items()]
    return Chart(label, y, series, tuple(marks), y_range=y_range)


def study_figure(question: str) -> Figure:
    """What the studies found on a question, from data/results.

    Args:
        question: "when to stop" (study `mechanism`), "when it begins" (`overfitting`), "gain and misfit" (`methods`) or
            "agreement and accuracy" (`losses`).

    Raises:
        ValueError: there is no such question.
    """
    if question not in _FIGURES:
        raise ValueError(f"study_figure: there is no {question!r}; expected one of {', '.join(_FIGURES)}")
    plt.show()  # none is open: it only prepares a notebook that has drawn nothing yet for figures
    return _FIGURES[question]()


def _when_to_stop() -> Figure:
    rows, scattered = measured("mechanism")["seeds"], "random errors,\nend"
    columns = {f"weak labels,\n{when}": f"pgr_at_{when}" for when in ("best", "trusted", "end")}
    values = {name: [row[key] for row in rows] for name, key in {**columns, scattered: "random_pgr_at_end"}.items()}
    return figures.one(plots.pgr_dots, values, size=(7.5, 5.5), roles={scattered: "random"})


def _when_it_begins() -> Figure:
    from w2s_lab.studies.overfitting import curves  # torch, which takes seconds

    figure = figures.figure_of(9.2, 6.9)
    study_plots.overfitting_panels(curves(measured("overfitting")["rows"]), figure)
    return figure


def _gain_and_misfit() -> Figure:
    from w2s_lab.studies.methods import misfit_points

    students = misfit_points(measured("methods")["rows"])
    return figures.misfit_figure({kind: own for kind, own in students.items() if "probe" not in kind})


def _agreement_and_accuracy() -> Figure:
    return figures.agreement_figure(measured("losses")["rows"])


_FIGURES: dict[str, Callable[[], Figure]] = {
    "when to stop": _when_to_stop,
    "when it begins": _when_it_begins,
    "gain and misfit": _gain_and_misfit,
    "agreement and accuracy": _agreement_and_accuracy,
}
