"""The health of a self-instruct flywheel: six dials with limits, which dials are red, and since which round.

We chose the limits so that the flywheel that the shipped study calls healthy stays green. Another task needs its own
limits, but can use the same dials.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean
from typing import TYPE_CHECKING

if TYPE_CHECKING:  # a demo of the measured runs needs no torch
    from w2s_lab.methods.flywheel import Round

Rows = Sequence[Mapping[str, float | None]]  # one for each round, from round 0 on


@dataclass(frozen=True)
class HealthDial:
    """A number that is watched, and where it turns red.

    Attributes:
        key: its name in a round.
        title: for people, with its unit.
        limit: red from here on; with `against`, a difference to round 0 ("minus") or a multiple of it ("times").
        worse: on which side of the limit it is red, "above" or "below".
        sign: what a red dial is a sign of: "narrow" proposals or "drift" of the labels; "" for the outcome itself.
    """

    key: str
    title: str
    limit: float
    worse: str
    sign: str = ""
    against: str = ""

    def at(self, rounds: Rows) -> float | None:
        """The limit for this run; None where it is relative to a value that round 0 does not have."""
        if not self.against:
            return self.limit
        start = rounds[0][self.key]
        return None if start is None else start * self.limit if self.against == "times" else start + self.limit

    def is_red(self, rounds: Rows, number: int) -> bool | None:
        """Whether the dial is red in a round; None where it has no value there."""
        value, limit = rounds[number][self.key], self.at(rounds)
        if value is None or limit is None:
            return None
        return value > limit if self.worse == "above" else value < limit

    def red_since(self, rounds: Rows, number: int) -> int | None:
        """The round since which the dial has been red without a break until `number`; None if it is not red there."""
        since = None
        for one in range(number, -1, -1):
            if not self.is_red(rounds, one):
                break
            since = one
        return since


DIALS = (
    HealthDial("accuracy", "test accuracy", -0.05, "below", against="minus"),
    HealthDial("label_accuracy", "label accuracy", 0.92, "below", "drift"),
    HealthDial("answer_balance", "answer balance", 0.5, "below", "drift"),
    HealthDial("duplicate_rate", "duplicate rate", 0.15, "above", "narrow"),
    HealthDial("distinct_2", "distinct-2", 0.25, "below", "narrow"),
    HealthDial("perplexity", "perplexity", 1.05, "above", "narrow", against="times"),
)
UNITS = {
    "accuracy": "fraction of test examples",
    "label_accuracy": "fraction of accepted labels",
    "answer_balance": "1: all answers equally often",
    "duplicate_rate": "fraction of proposals",
    "distinct_2": "different word pairs / word pairs",
    "perplexity": "per token of real documents",
}
MEANS = {"narrow": "the proposals become narrower", "drift": "the labels drift"}


def study_rounds(study: Mapping, configuration: str, seed: int | None = None) -> list[dict[str, float | None]]:
    """The rounds of a configuration of the flywheel study, of one seed or as means over the seeds that have a value.

    Raises:
        ValueError: the study has no such configuration, or no such seed.
    """
    if configuration not in study["configurations"]:
        known = ", ".join(study["configurations"])
        raise ValueError(f"study_rounds: there is no configuration {configuration!r}; expected one of {known}")
    own = [row for row in study["rows"] if row["configuration"] == configuration and seed in (None, row["seed"])]
    if not own:
        raise ValueError(f"study_rounds: {configuration!r} was not measured with seed {seed}")
    keys = [*(dial.key for dial in DIALS), "accepted", "proposed", "pool", "fraction_valid"]
    found = []
    for number in range(1 + max(row["round"] for row in own)):
        here = [row for row in own if row["round"] == number]
        values = {key: [row[key] for row in here if row.get(key) is not None] for key in keys}
        found.append({key: fmean(some) if some else None for key, some in values.items()})
    return found


def live_round(one: "Round") -> dict[str, float | None]:
    """A round that has just run, as a row like those of the study."""
    shares = one.answer_shares
    return one.to_dict() | {"answer_balance": len(shares) * min(shares.values()) if shares else None}


def diagnosis(rounds: Rows, number: int | None = None) -> str:
    """In one or two sentences: which dials are red in a round (None: the last one), since when, and what that means."""
    number = len(rounds) - 1 if number is None else number
    here = rounds[number]
    if number and here.get("accepted") == 0:
        return f"Nothing was accepted in round {number}: the wheel stands still, and no dial of the labels has a value."
    since: dict[int, list[HealthDial]] = {}
    for dial in DIALS:
        if (first := dial.red_since(rounds, number)) is not None:
            since.setdefault(first, []).append(dial)
    gain = here["accuracy"] - rounds[0]["accuracy"]
    level = f"test accuracy {here['accuracy']:.3f}, {gain:+.3f} against the seed pool"
    if not since:
        return f"No dial is red: {level}." if number else f"The seed pool alone: test accuracy {here['accuracy']:.3f}."
    parts = [
        f"since round {first}: " + ", ".join(f"{dial.title} {here[dial.key]:.2f}" for dial in dials)
        for first, dials in sorted(since.items())
    ]
    signs = [MEANS[sign] for sign in MEANS if any(dial.sign == sign for some in since.values() for dial in some)]
    meaning = f" That is, {' and '.join(signs)}." if signs else ""
    return f"Red {'; '.join(parts)}.{meaning}"
