"""How many labels are right, as bars with intervals: of several sets, or of the slices of one."""

from collections.abc import Mapping

from w2s_lab.classroom.toolkit.chart import Bar, BarChart, Mark
from w2s_lab.metrics import wilson_interval
from w2s_lab.records import Evaluation


def right_bars(scores: Mapping[str, Evaluation], *, role: str = "weak") -> BarChart:
    """The accuracy of each evaluation, with its 95 % Wilson interval.

    Args:
        scores: name -> labels or answers, read against the truth, as `w2s.score` gives them.
        role: whose colour.
    """
    bars = tuple(_bar(name, one.correct.mean(), len(one), role) for name, one in scores.items())
    return BarChart("fraction that is right, 95 % interval", bars)


def slice_bars(score: Evaluation, *, role: str = "weak") -> BarChart:
    """The accuracy of each slice, from the lowest up, with its number of examples and its 95 % Wilson interval."""
    rows = sorted(score.by_slice().items(), key=lambda row: row[1])
    bars = tuple(_bar(f"{tag} ({n})", right, n, role) for tag, (right, n) in rows)
    return BarChart("fraction of the slice that is right, 95 % interval", bars, marks=(Mark(0.5, "a coin"),))


def _bar(name: str, right: float, n: int, role: str) -> Bar:
    return Bar(name, float(right), role, *wilson_interval(round(right * n), n))
