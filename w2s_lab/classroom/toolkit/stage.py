"""Where notebook 11 plays: on real English where that was fetched, else in the pocket world.

The two differ in names only, so the same cells run with the download and without it.
"""

from dataclasses import dataclass

from w2s_lab.classroom.toolkit.real_world import COMMANDS, MODEL, TASK, fetched


@dataclass(frozen=True)
class Stage:
    """The names of what the notebook works with.

    Attributes:
        task: for `load_splits`.
        model: the strong model, for `load_model`.
        supervisor: for `labeller`; its number is that of the true answers it learns from.
        layers: of the strong model, from early to late.
        real: whether this is real English.
    """

    task: str
    model: str
    supervisor: str
    layers: tuple[int, ...]
    real: bool

    @property
    def says(self) -> str:
        """What is played, and if it is the pocket world, how to get real English."""
        if self.real:
            return f"Real English: the sentences of {self.task}, and the language model {self.model}."
        return (
            f"The real sentences and the real model are not on this machine: {COMMANDS}, then this "
            f"notebook again. Until then it works in the pocket world, on the task {self.task} with {self.model}: what "
            "the cells compute is about these; what they read from data/results was measured on real English."
        )


REAL = Stage(TASK, MODEL, "bag-of-words:1500", (3, 9, 15, 21), True)
POCKET = Stage("sentiment", "pocket-l", "bag-of-words:1500", (1, 2, 3, 4), False)


def stage() -> Stage:
    """Real English if sentences and model were fetched, else the pocket world. Nothing is loaded yet."""
    return REAL if fetched() else POCKET
