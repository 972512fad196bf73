"""The dials of the losses, and the rows of the study `losses` at one of their positions; imports no torch."""

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from w2s_lab.studies.rows import Rows, select

if TYPE_CHECKING:
    from w2s_lab.objective import Loss

WEAK_LABELS, TRUTH = "weak labels", "true answers"  # D
WEIGHTS = (0.0, 0.5, 1.0, 4.0)  # lambda
SCHEDULES = ("constant", "linear", "cosine")
TEMPERATURES = (1.0, 2.0, 4.0)
ALPHAS = (0.0, 0.25, 0.5, 0.75)


@dataclass(frozen=True)
class Dial:
    """The position of one dial of the losses in a run.

    Attributes:
        name: "lambda", "temperature" or "alpha".
        value: its position.
        schedule: of lambda; "" for the other two.
        answers: D: `WEAK_LABELS` or `TRUTH`.
    """

    name: str
    value: float
    schedule: str = ""
    answers: str = WEAK_LABELS

    @property
    def loss(self) -> "Loss":
        """The loss. Two positions equal other losses: lambda = 0 is maximum likelihood on D, whatever the schedule, and
        alpha = 0 is soft labels at temperature 1."""
        from w2s_lab.objective import AuxiliaryConfidence, Distillation, MaximumLikelihood, SoftTargets

        if self.name == "lambda":
            return Distillation(self.value, self.schedule) if self.value else MaximumLikelihood()
        if self.name == "temperature":
            return SoftTargets(self.value)
        return AuxiliaryConfidence(self.value) if self.value else SoftTargets()

    @property
    def run(self) -> "Dial":
        """The position that was trained for this one: of several positions with the same loss, only one is trained."""
        if self.name == "lambda" and not self.value:
            return replace(self, schedule=SCHEDULES[0])
        return Dial("temperature", 1.0) if self.name == "alpha" and not self.value else self


PLAIN = Dial("lambda", 0.0, SCHEDULES[0])


def dials() -> list[Dial]:
    """All positions, each training once."""
    found = [Dial("lambda", w, s, d) for d in (WEAK_LABELS, TRUTH) for s in SCHEDULES for w in WEIGHTS]
    found += [Dial("temperature", t) for t in TEMPERATURES] + [Dial("alpha", a) for a in ALPHAS]
    return list(dict.fromkeys(dial.run for dial in found))


def rows_at(rows: Rows, dial: Dial) -> Rows:
    """The rows of a position, by seed; empty where it was not measured."""
    run = dial.run
    return select(rows, dial=run.name, value=run.value, schedule=run.schedule, answers=run.answers)
