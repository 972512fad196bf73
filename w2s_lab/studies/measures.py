"""From the rows of a result file to an effect over seeds: what the claims are made of."""

from collections.abc import Callable, Mapping
from typing import Any

from w2s_lab.experiments.effects import Effect, paired_effect
from w2s_lab.studies.study import Rows

Values = Mapping[str, Any]
AT_END, AT_TRUSTED = "accuracy", "trusted_accuracy"  # a student's accuracy, by the moment


def values_by_seed(rows: Rows, name: str, **wanted: Any) -> dict[int, float | None]:
    """Seed -> the mean of a number over the rows of that seed with these values; None where it is never defined."""
    found: dict[int, list[float]] = {}
    for row in rows:
        if all(row.get(key) == value for key, value in wanted.items()):
            own = found.setdefault(row["seed"], [])
            own += [] if row.get(name) is None else [row[name]]
    return {seed: sum(own) / len(own) if own else None for seed, own in found.items()}


def paired_by_seed(treated: Mapping[int, float | None], control: Mapping[int, float | None]) -> Effect:
    """The difference of two numbers by seed, over the seeds that have both."""
    seeds = sorted(treated.keys() & control.keys())
    return paired_effect("", [treated[s] for s in seeds], [control[s] for s in seeds])


def level(name: str, wanted: Values) -> Callable[[Rows], Effect]:
    """The mean of a number over seeds, as a difference from 0: from rows with the values `wanted`."""

    def measure(rows: Rows) -> Effect:
        values = values_by_seed(rows, name, **wanted)
        return paired_by_seed(values, dict.fromkeys(values, 0.0))

    return measure


def change(name: str, treated: Values, control: Values) -> Callable[[Rows], Effect]:
    """The difference of a number by seed: rows with the values `treated` minus those with `control`."""
    return lambda rows: paired_by_seed(*(values_by_seed(rows, name, **wanted) for wanted in (treated, control)))


def both_moments(treated: Values, control: Values) -> dict[str, Callable[[Rows], Effect]]:
    """`measure` and `at_end` of a `Finding` about a method: what it changes in accuracy at the two moments."""
    return {"measure": change(AT_TRUSTED, treated, control), "at_end": change(AT_END, treated, control)}
