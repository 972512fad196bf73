"""What an exercise is."""

import inspect
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Exercise:
    """One function to write.

    Attributes:
        answer: a model solution of at most ten lines or so; its name is the exercise's id, its source the solution.
        inputs: numpy Generator -> the arguments of one call.
        key: the package's own computation with the same arguments: what counts. None: `answer` itself (only where the
            package has no such function) or, with criteria, nothing to compare with.
        cases: chosen inputs beside the random ones, such as those at which a usual mistake shows.
        mistakes: (what to say, a function that makes this mistake).
        hints: from a nudge to nearly everything.
        criteria: for a task with many right answers, or a result that luck decides: (what is wanted, a test of the
            function and one input's arguments).
        tolerance: absolute and relative, of numbers.
    """

    answer: Callable
    inputs: Callable[[np.random.Generator], tuple]
    key: Callable | None = None
    cases: tuple[tuple, ...] = ()
    mistakes: tuple[tuple[str, Callable], ...] = ()
    hints: tuple[str, ...] = ()
    criteria: tuple[tuple[str, Callable[..., bool]], ...] = ()
    tolerance: float = 1e-5

    @property
    def id(self) -> str:
        return self.answer.__name__

    @property
    def solution(self) -> str:
        """Source text."""
        return inspect.getsource(self.answer)


def of_the_result(
    criteria: tuple[tuple[str, Callable[[object], bool]], ...],
) -> tuple[tuple[str, Callable[..., bool]], ...]:
    """Criteria of a function without arguments, from tests of what it returns."""
    return tuple((words, lambda call, test=test: test(call())) for words, test in criteria)
