"""What the kit knows about a task beyond its examples."""

from collections.abc import Callable
from dataclasses import dataclass

from w2s_lab.records import Example


@dataclass(frozen=True)
class World:
    """What the kit knows about a task beyond its examples: everything in a generated world, little in the real one.

    Attributes:
        parse: text -> the example with this text as its input, with its true answer and its tags (the instruction does
            not matter); None if the text is no input of the task.
        documents: real texts, on which a generator's perplexity is measured.
    """

    parse: Callable[[str], Example | None]
    documents: tuple[str, ...]

    def accepts(self, text: str) -> bool:
        """Whether the text is an input of the task."""
        return self.parse(text) is not None
