"""Simulated supervisors: labels with as many errors as you ask for, in the examples that you ask for.

Each function starts from the true answers of a closed task, draws with a seed, and meets the numbers that you ask for
exactly (rounded to whole examples). Two supervisors of equal accuracy thus differ only in where they are wrong.
"""

from collections.abc import Mapping, Sequence

import numpy as np

from w2s_lab.records import LabelledSet
from w2s_lab.system.border import check_arguments


def random_errors(truth: LabelledSet, accuracy: float, *, seed: int) -> LabelledSet:
    """The true answers with errors in random examples, so that exactly round(accuracy * N) of them are right.

    This is the control for weak labels: the label accuracy is the same, but nothing about the input predicts which
    label is wrong.

    Raises:
        ValueError: the task is open, a truth is unknown, or `accuracy` is not between 0 and 1.
    """
    check_arguments(random_errors, locals())
    right, choices = _closed(truth, "random_errors")
    _check_fraction(accuracy, "random_errors: accuracy")
    rng = np.random.default_rng(seed)
    wrong = rng.permutation(len(right))[round(accuracy * len(right)) :]
    answers = list(right.answers)
    for i in wrong:
        answers[i] = rng.choice([other for other in choices if other != answers[i]]).item()
    return _labels(right, answers, f"random errors, label accuracy {accuracy:.3f}")


def class_conditional_errors(
    truth: LabelledSet, confusion: Mapping[str, Mapping[str, float]] | np.ndarray, *, seed: int
) -> LabelledSet:
    """Errors that depend on the true answer alone: Pr(given | true), the noise of Natarajan et al. (NeurIPS 2013).

    Counts are exact: of the n examples of a class, answer k is given to n * Pr(k | class) of them, rounded by largest
    remainder (ties to the answer named first in the task). Only the choice of examples is random.

    Args:
        truth: examples of a closed task; their present answers are not used.
        confusion: true answer -> {given answer: probability}, where answers that are not named have probability 0 and
            true answers that are not named are always right; or [K, K], row = true, column = given, in the order of
            `task.answers`. Each row sums to 1.
        seed: random seed of that choice.

    Raises:
        ValueError: the task is open, a truth is unknown, an answer is not in the task, or a row is not a distribution.
    """
    right, choices = _closed(truth, "class_conditional_errors")
    table = _confusion_table(confusion, choices)
    rng = np.random.default_rng(seed)
    answers = np.array(right.answers, dtype=object)
    for row, name in enumerate(choices):
        members = rng.permutation(np.flatnonzero(np.array(right.answers, dtype=object) == name))
        given = np.repeat(np.arange(len(choices)), _largest_remainder(len(members), table[row]))
        answers[members] = [choices[k] for k in given]
    rates = ", ".join(f"{name} {table[k, k]:.3f}" for k, name in enumerate(choices))
    return _labels(right, answers.tolist(), f"class-conditional errors, accuracy of {rates}")


def slice_errors(
    truth: LabelledSet, accuracy_by_tag: Mapping[str, float], *, otherwise: float = 1.0, seed: int
) -> LabelledSet:
    """Systematic errors: a supervisor that is worse on some slices of the data, such as negated reviews.

    A student can learn from the input where such a supervisor is wrong, and how: it always mistakes a true answer for
    the same other answer, the next in `task.answers` (the last for the first). In a slice of n examples, exactly
    round(accuracy * n) labels are right.

    Args:
        truth: examples of a closed task; their present answers are not used.
        accuracy_by_tag: tag -> fraction of right labels among the examples with it. An example that has several of
            these tags belongs to the slice that is named first here.
        otherwise: fraction of right labels among all other examples.
        seed: random seed of the choice of examples within each slice.

    Raises:
        ValueError: the task is open, a truth is unknown, no example has a tag, or a number is not between 0 and 1.
    """
    right, _ = _closed(truth, "slice_errors")
    for tag, accuracy in accuracy_by_tag.items():
        _check_fraction(accuracy, f"slice_errors: the accuracy of {tag!r}")
    _check_fraction(otherwise, "slice_errors: otherwise")
    _check_tags(right, tuple(accuracy_by_tag), "slice_errors")
    rng = np.random.default_rng(seed)
    owner = np.array([_first_of(accuracy_by_tag, example.tags) for example in right.examples], dtype=object)
    wrong: list[int] = []
    for tag, accuracy in (*accuracy_by_tag.items(), (None, otherwise)):
        members = rng.permutation(np.array([i for i, slice_tag in enumerate(owner) if slice_tag == tag], dtype=int))
        wrong += members[round(accuracy * len(members)) :].tolist()
    rates = ", ".join(f"{tag} {accuracy:.3f}" for tag, accuracy in accuracy_by_tag.items())
    return _labels(right, _mistaken(right, wrong), f"errors by slice: accuracy of {rates}, otherwise {otherwise:.3f}")


def systematic_errors(truth: LabelledSet, tags: Sequence[str], accuracy: float, *, seed: int) -> LabelledSet:
    """As many errors as `random_errors` of this accuracy, but all within the slices named by `tags`.

    Exactly round(accuracy * N) labels are right. The errors are spread at random over the examples that have at least
    one of the tags, and are of the kind that `slice_errors` makes. The larger the fraction of these examples that is
    wrong, the easier the errors are to imitate.

    Raises:
        ValueError: the task is open, a truth is unknown, no example has a tag, `accuracy` is not between 0 and 1, or
            the slices have fewer examples than there are to be errors.
    """
    right, _ = _closed(truth, "systematic_errors")
    _check_fraction(accuracy, "systematic_errors: accuracy")
    if isinstance(tags, str) or not tags:
        raise ValueError(f"systematic_errors: tags is {tags!r}; expected a sequence of at least one tag")
    _check_tags(right, tags, "systematic_errors")
    candidates = [i for i, example in enumerate(right.examples) if _first_of(tags, example.tags) is not None]
    errors = len(right) - round(accuracy * len(right))
    if errors > len(candidates):
        raise ValueError(
            f"systematic_errors: accuracy {accuracy:.3f} takes {errors} errors, but only {len(candidates)} of "
            f"{len(right)} examples have one of the tags {', '.join(tags)}. "
            f"Hint: name more tags, or ask for an accuracy of at least {1 - len(candidates) / len(right):.3f}"
        )
    wrong = np.random.default_rng(seed).permutation(np.array(candidates, dtype=int))[:errors].tolist()
    name = f"systematic errors in {', '.join(tags)}, label accuracy {accuracy:.3f}"
    return _labels(right, _mistaken(right, wrong), name)


def word_errors(truth: LabelledSet, accuracy: float, *, guide: LabelledSet) -> LabelledSet:
    """Errors that follow words: a text with one of a few telling words gets the answer that the word stands for.

    The words come from other examples, `guide`: first those whose presence tells most about the answer, which is the
    difference of their shares among the examples of the two answers. Words are added until enough labels are wrong; of
    the last word's errors, those that would be too many are left right. The text thus tells what is wrong.

    Args:
        truth: examples of a closed task with two answers.
        accuracy: exactly round(accuracy * N) labels are right, unless the words of `guide` do not err often enough.
        guide: examples with true answers of the same task.

    Raises:
        ValueError: the task does not have two answers, a truth is unknown, `accuracy` is not between 0 and 1, or the
            words of `guide` do not make as many errors.
    """
    right, choices = _closed(truth, "word_errors")
    _check_fraction(accuracy, "word_errors: accuracy")
    if len(choices) != 2:
        raise ValueError(f"word_errors: the task {truth.task.name!r} has {len(choices)} answers; expected two")
    from sklearn.feature_extraction.text import CountVectorizer  # a second to import

    counts = CountVectorizer(binary=True)
    seen = counts.fit_transform([example.input for example in guide.examples])
    is_second = np.array([example.answer == choices[1] for example in guide.examples])
    lean = np.asarray(
        seen[is_second].sum(0) / max(1, is_second.sum()) - seen[~is_second].sum(0) / max(1, (~is_second).sum())
    )[0]
    present = counts.transform([example.input for example in right.examples]).tocsc()
    answers, wanted = list(right.answers), len(right) - round(accuracy * len(right))
    wrong: list[int] = []
    decided = np.zeros(len(right), dtype=bool)
    for word in np.argsort(-np.abs(lean), kind="stable"):
        if len(wrong) == wanted or lean[word] == 0:
            break
        rows = present[:, word].indices
        rows = np.sort(rows[~decided[rows]])
        decided[rows] = True
        stands_for = choices[int(lean[word] > 0)]
        new = [row for row in rows.tolist() if answers[row] != stands_for][: wanted - len(wrong)]
        for row in new:
            answers[row] = stands_for
        wrong += new
    if len(wrong) < wanted:
        raise ValueError(
            f"word_errors: the words make {len(wrong)} errors; expected {wanted}. Hint: more examples to guide"
        )
    return _labels(right, answers, f"errors by words, label accuracy {accuracy:.3f}")


def _closed(truth: LabelledSet, who: str) -> tuple[LabelledSet, tuple[str, ...]]:
    """The true answers of the examples, and the closed list they come from."""
    choices = truth.task.answers
    if choices is None:
        raise ValueError(f"{who}: the task {truth.task.name!r} is open; expected a closed list of answers")
    return LabelledSet.ground_truth(truth.task, truth.examples), choices


def _labels(right: LabelledSet, answers: Sequence[str], source: str) -> LabelledSet:
    return LabelledSet(right.task, right.examples, tuple(answers), source=source)


def _mistaken(right: LabelledSet, wrong: Sequence[int]) -> list[str]:
    """The answers, with those in the rows `wrong` replaced by the next one in the closed list."""
    choices, answers = right.task.answers, list(right.answers)
    for i in wrong:
        answers[i] = choices[(choices.index(answers[i]) + 1) % len(choices)]
    return answers


def _first_of(named: Sequence[str] | Mapping[str, float], tags: Sequence[str]) -> str | None:
    """The first name in `named` that is among the tags; None if there is none."""
    return next((tag for tag in named if tag in tags), None)


def _check_fraction(value: float, name: str) -> None:
    if not 0 <= value <= 1:
        raise ValueError(f"{name} is {value}; expected a fraction from 0 to 1")


def _check_tags(right: LabelledSet, tags: Sequence[str], who: str) -> None:
    known_tags = sorted({tag for example in right.examples for tag in example.tags})
    for tag in tags:
        if tag not in known_tags:
            raise ValueError(f"{who}: no example has the tag {tag!r}; expected one of {', '.join(known_tags)}")


def _confusion_table(confusion: Mapping[str, Mapping[str, float]] | np.ndarray, choices: Sequence[str]) -> np.ndarray:
    """[K, K] float, row = true answer, checked."""
    if isinstance(confusion, Mapping):
        for name in [*confusion, *(given for row in confusion.values() for given in row)]:
            if name not in choices:
                raise ValueError(
                    f"class_conditional_errors: {name!r} is not an answer of the task; expected one of "
                    f"{', '.join(map(repr, choices))}"
                )
        rows = [confusion.get(name, {name: 1.0}) for name in choices]
        table = np.array([[row.get(given, 0.0) for given in choices] for row in rows], dtype=float)
    else:
        table = np.asarray(confusion, dtype=float)
    if table.shape != (len(choices), len(choices)):
        expected = (len(choices), len(choices))
        raise ValueError(f"class_conditional_errors: confusion has shape {table.shape}; expected {expected}")
    for name, row in zip(choices, table, strict=True):
        if not (row >= 0).all() or abs(row.sum() - 1) > 1e-6:
            raise ValueError(
                f"class_conditional_errors: the probabilities given for {name!r} are {row.tolist()}; "
                "expected numbers from 0 up that sum to 1"
            )
    return table


def _largest_remainder(n: int, shares: np.ndarray) -> np.ndarray:
    """[K] whole numbers that sum to n, as near to n * shares as possible; a tie goes to the first."""
    exact = np.round(n * shares / shares.sum(), 9)  # 0.29 * 100 is a little below 29
    counts = np.floor(exact).astype(int)
    counts[np.argsort(counts - exact, kind="stable")[: n - counts.sum()]] += 1
    return counts
