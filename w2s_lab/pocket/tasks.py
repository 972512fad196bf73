"""The tasks of the pocket world, as files of examples.

`python -m w2s_lab.pocket.tasks` writes the files again; the same seed gives the same bytes.
"""

import json
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from random import Random

from w2s_lab import assets
from w2s_lab.data.sources import write_examples
from w2s_lab.pocket.helpdesk import CONSEQUENCES as DECISIONS
from w2s_lab.pocket.helpdesk import Ticket, draw_ticket
from w2s_lab.pocket.lexicon import ASPECTS
from w2s_lab.pocket.reviews import Review, draw_review
from w2s_lab.records import Example, Task

TASKS_SEED = 2024


@dataclass(frozen=True)
class Source:
    """How a built-in task is made.

    Attributes:
        task: name and list of answers.
        draw: draws the facts behind one input.
        instructions: the instructions, one of which is drawn for each example.
        answer: facts -> true answer.
        tags: facts -> tags.
        size: number of examples.
        seed: random seed of the draws.
        elicited: see `data.sources.TaskSource`.
    """

    task: Task
    draw: Callable[[Random], Review | Ticket]
    instructions: tuple[str, ...]
    answer: Callable[[Review | Ticket], str]
    tags: Callable[[Review | Ticket], tuple[str, ...]]
    size: int
    seed: int
    elicited: bool = False


_REFUND = (
    "Decide about this refund request.",
    "What should the helpdesk do with this ticket?",
    "Read the ticket and take a decision.",
    "Apply the refund policy to this message.",
)

SOURCES: dict[str, Source] = {
    source.task.name: source
    for source in (
        Source(
            Task("sentiment", ("positive", "negative")),
            draw_review,
            (
                "Is this review positive or negative?",
                "What does the writer think of it?",
                "Judge the sentiment of the text.",
                "Does the reviewer like it?",
            ),
            lambda review: review.verdict,
            lambda review: review.tags,
            size=6000,
            seed=1,
            elicited=True,
        ),
        Source(
            Task("topic", tuple(ASPECTS)),
            draw_review,
            (
                "What kind of thing is reviewed?",
                "Name the subject of this review.",
                "Which of our pages does the text belong to?",
            ),
            lambda review: review.kind,
            lambda review: review.tags,
            size=3000,
            seed=2,
        ),
        Source(
            Task("summary"),
            draw_review,
            (
                "Summarize the review in a few words.",
                "What does the writer like and dislike?",
                "List the opinions in this text.",
            ),
            lambda review: review.summary,
            lambda review: review.tags,
            size=4000,
            seed=3,
        ),
        Source(
            Task("helpdesk", tuple(DECISIONS)),
            draw_ticket,
            _REFUND,
            lambda ticket: ticket.decision("v1"),
            lambda ticket: (ticket.rule("v1"),),
            size=4000,
            seed=4,
            elicited=True,
        ),
        Source(
            Task("helpdesk-v2", tuple(DECISIONS)),
            draw_ticket,
            _REFUND,
            lambda ticket: ticket.decision("v2"),
            lambda ticket: (ticket.rule("v2"), *(("rule-changed",) if ticket.rule("v1") != ticket.rule("v2") else ())),
            size=4000,
            seed=4,  # the tickets of `helpdesk`, judged by the new policy
            elicited=True,
        ),
    )
}


def draw_examples(name: str) -> list[Example]:
    """The examples of a built-in task; no two have the same input text."""
    source = SOURCES[name]
    rng = Random(f"{TASKS_SEED}/{source.seed}")
    drawn: dict[str, Example] = {}
    while len(drawn) < source.size:
        fact = source.draw(rng)
        instruction = rng.choice(source.instructions)
        if fact.text not in drawn:
            drawn[fact.text] = Example(instruction, fact.text, source.answer(fact), source.tags(fact))
    return list(drawn.values())


@cache
def reserved_texts() -> frozenset[str]:
    """All inputs of the built-in tasks; no document for pre-training is about one of them."""
    return frozenset(example.input for name in SOURCES for example in draw_examples(name))


def write_tasks(folder: Path = assets.TASKS) -> None:
    """Write every built-in task as `folder/NAME.jsonl`, one example a line, and the facts of all as `tasks.json`."""
    folder.mkdir(parents=True, exist_ok=True)
    for name in SOURCES:
        write_examples(folder / f"{name}.jsonl", draw_examples(name))
    listing = {name: {"answers": s.task.answers, "elicited": s.elicited} for name, s in SOURCES.items()}
    (folder / "tasks.json").write_text(json.dumps(listing, indent=1) + "\n", encoding="utf-8", newline="\n")


if __name__ == "__main__":
    write_tasks()
