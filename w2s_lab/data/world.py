"""What is known of a task beyond its examples."""

from collections.abc import Callable
from dataclasses import dataclass

from w2s_lab.records import Example


@dataclass(frozen=True)
class World:
    """What is known of a task beyond its examples: in a generated world everything, in the real one little.

    Attributes:
        parse: the example behind an input's text, with its true answer and its tags (its instruction does not matter);
            None where the text is no input of the task.
        documents: real texts, on which a generator's perplexity is measured.
    """

    parse: Callable[[str], Example | None]
    documents: tuple[str, ...]

    def accepts(self, text: str) -> bool:
        """Whether the text is an input of the task."""
        return self.parse(text) is not None
