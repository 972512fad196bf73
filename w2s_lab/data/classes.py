"""The classes of a closed task in the parts of a split: none vanishes where that can be helped, and all are counted."""

import warnings
from collections import Counter
from collections.abc import Mapping, Sequence
from itertools import accumulate, pairwise

import numpy as np

from w2s_lab.data.readers import DataWarning
from w2s_lab.records import Example, Task

FIRST = ("test", "supervisor_train", "student_train", "validation")  # which part gets a rare class first
NAMES = {"supervisor_train": "supervisor", "student_train": "student", "test": "test", "validation": "validation"}
ROWS = 20  # so many answers have a line each in a table
SHOWN = 5  # so many answers are named in a sentence


def with_every_class(order: np.ndarray, classes: np.ndarray, sizes: Mapping[str, int]) -> np.ndarray:
    """A random order in which every part of the split has every class, as far as the numbers allow.

    Nothing moves where each part has each class already. Otherwise, for each class that a part lacks, one example of it
    changes places with an example of the part's most frequent class. So a part differs from a purely random draw by at
    most one example a class.

    A class stays where it was drawn if it has fewer examples than there are parts (without validation). A part stays as
    it was drawn if it has fewer examples than there are classes.

    Args:
        order: [n] row numbers, drawn at random. The parts follow each other from its beginning.
        classes: [n] the class of each row, as a number from 0 up.
        sizes: part -> number of examples, for the parts of `FIRST`, in the order in which they follow each other.
    """
    order, number = order.copy(), int(classes.max()) + 1
    drawn = classes[order]
    owner = np.full(len(order), len(FIRST))  # the part that has the place; len(FIRST): not used
    for part, (begin, end) in zip(sizes, pairwise(accumulate(sizes.values(), initial=0)), strict=True):
        owner[begin:end] = FIRST.index(part)
    counts = np.zeros((len(FIRST) + 1, number), dtype=int)
    np.add.at(counts, (owner, drawn), 1)
    whole = [part for part, name in enumerate(FIRST) if sizes[name] >= number]
    for part in whole:
        needed = len(whole) if FIRST[part] == "validation" else sum(FIRST[other] != "validation" for other in whole)
        for rare in np.flatnonzero((counts[part] == 0) & (counts.sum(0) >= needed)):
            # From the first place whose part is still to be seen to: so the test set does not depend on training sizes.
            places = np.flatnonzero(drawn == rare)
            free = [place for place in places if owner[place] > part or owner[place] not in whole]
            spare = [place for place in places if counts[owner[place], rare] > 1]
            given = free[0] if free else max(spare, key=lambda place: owner[place])
            common = counts[part].argmax()
            taken = np.flatnonzero((owner == part) & (drawn == common))[-1]
            for array in (order, drawn):
                array[[given, taken]] = array[[taken, given]]
            counts[[part, owner[given]], [rare, common]] += 1
            counts[[part, owner[given]], [common, rare]] -= 1
    return order


def warn_of_rare_classes(task: Task, examples: Sequence[Example], sizes: Mapping[str, int], *, stacklevel: int) -> None:
    """Warn of the answers of a closed task that some part of a split has to do without.

    Warns:
        DataWarning: an answer has no example, or fewer than there are parts; or a part that is learnt has fewer
            examples than there are answers.
    """
    have = Counter(example.answer for example in examples)
    parts = [part for part in NAMES if sizes[part]]
    found = []
    if absent := [answer for answer in task.answers or () if not have[answer]]:
        found.append(f"no example has the answer {quoted_list(absent, 'or')}. Hint: check the list of answers")
    if rare := [answer for answer in task.answers or () if 0 < have[answer] < len(parts)]:
        counted = [f"{answer!r} ({count(have[answer], 'example')})" for answer in rare]
        found.append(
            f"too few examples to be in each of the parts {', '.join(NAMES[part] for part in parts)}: "
            f"{word_list(counted, 'and')}. "
            "Hint: add examples, or leave such answers out"
        )
    for part in ("supervisor_train", "student_train"):
        if sizes[part] < len(have):
            found.append(f"{sizes[part]} examples for the {NAMES[part]} cannot have all {len(have)} answers")
    for sentence in found:
        warnings.warn(f"{task.name}: {sentence}", DataWarning, stacklevel=stacklevel)


def quoted_list(answers: Sequence[str], last: str) -> str:
    """Answers in quotes, such as 'ham' and 'spam'; of many, the first few and how many there are."""
    return word_list([repr(answer) for answer in answers], last)


def word_list(items: Sequence[str], last: str) -> str:
    """Items as in a sentence, such as "a, b and c"; of many, the first few and how many there are."""
    if len(items) > SHOWN:
        items = [*items[: SHOWN - 1], f"{len(items) - SHOWN + 1} others"]
    return f" {last} ".join(filter(None, (", ".join(items[:-1]), items[-1])))


def count(number: int, noun: str) -> str:
    """Such as "1 example" and "1,500 examples"."""
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


def class_table(counts: Sequence[Mapping[str, Mapping[str, int]]]) -> str:
    """How many examples of each answer every part has, as aligned text.

    Args:
        counts: `Splits.class_counts()` of one or several seeds; where they differ, the least and the most are shown.
    """

    def cell(numbers: Sequence[int]) -> str:
        low, high = min(numbers), max(numbers)
        return f"{low:,}" if low == high else f"{low:,}-{high:,}"

    answers = list(counts[0]["test"])
    width = max(6, *(min(len(answer), 30) for answer in answers)) + 2
    columns = list(NAMES)
    lines = [f"{'answer':<{width}}" + "".join(f"{NAMES[part]:>12}" for part in columns)]
    rows = {answer: {part: [seed[part][answer] for seed in counts] for part in columns} for answer in answers}
    least = sorted(answers, key=lambda answer: min(map(min, rows[answer].values())))
    shown = answers if len(answers) <= ROWS else sorted(least[: ROWS // 2], key=answers.index)
    for answer in shown:
        name = answer if len(answer) <= 30 else f"{answer[:27]}..."
        lines.append(f"{name:<{width}}" + "".join(f"{cell(rows[answer][part]):>12}" for part in columns))
    if len(shown) < len(answers):
        lines.append(f"and {len(answers) - len(shown)} other answers, none of which is rarer in any part")
    return "\n".join(lines)
