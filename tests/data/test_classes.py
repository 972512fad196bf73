"""No class vanishes from a part of a split where that can be helped; all are counted; splits made before stay."""

import warnings
from collections import Counter
from dataclasses import astuple
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.model_selection import StratifiedShuffleSplit

from w2s_lab.data.classes import class_table
from w2s_lab.data.sources import (
    DataError,
    DataWarning,
    SplitSizes,
    builtin_tasks,
    load_splits,
    read_examples,
    split_examples,
)
from w2s_lab.records import Example, Task

PARTS = ("test", "validation", "supervisor_train", "student_train")
quick = settings(deadline=None, max_examples=80, derandomize=True, database=None)


def drawn_before(examples, seed: int, sizes: SplitSizes) -> dict[str, tuple[str, ...]]:
    """The ids of each part of a purely random draw, which is what a split was before classes were looked at."""
    in_order = sorted(examples, key=lambda example: example.id)
    shuffled = [in_order[i].id for i in np.random.default_rng(seed).permutation(len(examples))]
    bounds = pairwise(np.cumsum([0, *(getattr(sizes, part) for part in PARTS)]))
    return {part: tuple(shuffled[a:b]) for part, (a, b) in zip(PARTS, bounds, strict=True)}


def ids_of(splits) -> dict[str, tuple[str, ...]]:
    return {part: getattr(splits, part).ids for part in PARTS}


def made(counts: dict[str, int]) -> tuple[Task, list[Example]]:
    """A task with so many examples of each class."""
    words = [word for word, number in counts.items() for _ in range(number)]
    return Task("made", tuple(counts)), [Example("Which?", f"text {i}", word) for i, word in enumerate(words)]


def quietly(task: Task, examples, **options):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DataWarning)
        return split_examples(task, examples, **options)


@pytest.mark.parametrize("name", builtin_tasks())
def test_splits_of_the_builtin_tasks_are_those_of_all_shipped_results(name):
    task, examples, _ = read_examples(name)
    n = len(examples)
    shipped = [(1500, 1500, 1000, 100), (1500, 480, 300, 100), (1500, 100, 500, 0), (1200, 1500, 1000, 100)]
    shipped += [(1500, 2500, 1000, 100), (700, 1500, 700, 100), (1000, 300, 1, 0), (200, 200, 100, 0)]
    wanted = [SplitSizes.of(n), *(SplitSizes(*sizes) for sizes in shipped if sum(sizes) <= n)]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for sizes in wanted:
            for seed in range(6):
                found = split_examples(task, examples, seed=seed, sizes=sizes)
                assert ids_of(found) == drawn_before(examples, seed, sizes), (sizes, seed)


@quick
@given(
    numbers=st.lists(st.integers(1, 25), min_size=1, max_size=5),
    shares=st.lists(st.integers(1, 20), min_size=3, max_size=3),
    validation=st.integers(0, 8),
    seed=st.integers(0, 99),
)
def test_any_small_data_set_gives_parts_with_every_class_that_has_enough_examples(numbers, shares, validation, seed):
    task, examples = made({f"class {i}": number for i, number in enumerate(numbers)})
    sizes = SplitSizes(*shares, validation)
    if sum(astuple(sizes)) > len(examples):
        with pytest.raises(DataError, match=f"asks for {sum(astuple(sizes))} examples, but there are {len(examples)}"):
            split_examples(task, examples, seed=seed, sizes=sizes)
        return
    splits = quietly(task, examples, seed=seed, sizes=sizes)
    found, before = ids_of(splits), drawn_before(examples, seed, sizes)
    everywhere = [example_id for ids in found.values() for example_id in ids]
    assert len(set(everywhere)) == len(everywhere), "no example is in two parts"
    assert {part: len(ids) for part, ids in found.items()} == {part: getattr(sizes, part) for part in PARTS}

    counts, have = splits.class_counts(), Counter(example.answer for example in examples)
    truth = {example.id: example.answer for example in examples}
    whole = [part for part in PARTS if getattr(sizes, part) >= len(have)]
    for answer, number in have.items():
        if number >= len(whole):
            assert all(counts[part][answer] for part in whole), answer
        elif number >= len(set(whole) - {"validation"}):
            assert all(counts[part][answer] for part in set(whole) - {"validation"}), answer
    for part in set(whole) - {"validation"}:
        had = {truth[example_id] for example_id in before[part]}
        assert all(counts[part][answer] for answer in had), "a class that was there is there"
    vanished = any(not any(truth[i] == answer for i in before[part]) for part in whole for answer in have)
    assert vanished or found == before


@quick
@given(rare=st.integers(4, 10), common=st.integers(60, 90), train=st.integers(5, 20), seed=st.integers(0, 99))
def test_the_test_set_does_not_depend_on_the_training_sizes(rare, common, train, seed):
    task, examples = made({"ham": common, "spam": rare})
    small, large = (
        split_examples(task, examples, seed=seed, sizes=SplitSizes(n, n, 10, 4)) for n in (train, train + 3)
    )
    if small.test.ids != large.test.ids:  # only where every other part has one spam, and the test all that are left
        assert min(small.class_counts()["test"]["spam"], large.class_counts()["test"]["spam"]) >= rare - 4
    once = split_examples(task, list(reversed(examples)), seed=seed, sizes=SplitSizes(train, train, 10, 4))
    assert ids_of(once) == ids_of(small), "nor does anything depend on the order of the rows"


@pytest.mark.parametrize("seed", range(5))
def test_what_scikit_learn_can_stratify_has_every_class_here_too(seed):
    task, examples = made({"ham": 90, "spam": 6, "scam": 4})
    truth = [example.answer for example in examples]
    ((train, test),) = StratifiedShuffleSplit(1, test_size=25, train_size=75, random_state=seed).split(truth, truth)
    theirs = [{truth[i] for i in rows} for rows in (train, test)]
    splits = split_examples(task, examples, seed=seed, sizes=SplitSizes(25, 47, 25, 3))
    assert theirs == [set(task.answers)] * 2
    assert all(all(counts.values()) for counts in splits.class_counts().values())


def test_a_rare_class_in_a_file(tmp_path):
    rows = [f"message number {i} says {'win' if i < 5 else 'hello'},{'spam' if i < 5 else 'ham'}" for i in range(60)]
    (tmp_path / "mail.csv").write_text("text,label\n" + "\n".join(rows) + "\n")
    lost = 0
    for seed in range(10):
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            splits = load_splits(tmp_path / "mail.csv", seed=seed, sizes=SplitSizes(15, 29, 13, 3))
        before = drawn_before(read_examples(tmp_path / "mail.csv")[1], seed, SplitSizes(15, 29, 13, 3))
        lost += ids_of(splits) != before
        assert all(all(counts.values()) for counts in splits.class_counts().values())
        assert sum(counts["spam"] for counts in splits.class_counts().values()) == 5
    assert lost, "some of these draws would have lost the spam"


def said(counts: dict[str, int], sizes: tuple[int, int, int, int]) -> list[str]:
    task, examples = made(counts)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        split_examples(task, examples, seed=0, sizes=SplitSizes(*sizes))
    assert all(one.filename == __file__ for one in caught), "a warning names the line of who asked"
    return [str(one.message) for one in caught]


def test_what_cannot_be_helped_is_said():
    assert said({"ham": 50, "spam": 4}, (10, 20, 10, 2)) == []
    (rare,) = said({"ham": 50, "spam": 3, "scam": 1}, (10, 20, 10, 3))
    assert "supervisor, student, test, validation: 'spam' (3 examples) and 'scam' (1 example)" in rare
    assert said({"ham": 50, "spam": 3}, (10, 20, 10, 0)) == [], "three parts"
    (absent,) = said({"ham": 50, "spam": 20, "scam": 0}, (10, 20, 10, 2))
    assert "no example has the answer 'scam'" in absent
    (small,) = said({"a": 20, "b": 20, "c": 20}, (2, 20, 10, 0))
    assert "2 examples for the supervisor cannot have all 3 answers" in small
    (many,) = said({"common": 60, **{f"rare {i}": 1 for i in range(9)}}, (10, 20, 20, 0))
    assert "'rare 3' (1 example) and 5 others" in many and "rare 4" not in many


def test_counts_by_hand_and_as_a_table():
    task, examples = made({"no": 30, "yes": 30})
    splits = [split_examples(task, examples, seed=seed, sizes=SplitSizes(10, 20, 15, 4)) for seed in (0, 1, 2)]
    counts = [one.class_counts() for one in splits]
    for one, found in zip(splits, counts, strict=True):
        for part in PARTS:
            assert found[part] == {w: sum(a == w for a in getattr(one, part).answers) for w in ("no", "yes")}
    header, no, yes = (line.split() for line in class_table(counts).splitlines())
    assert header == ["answer", "supervisor", "student", "test", "validation"] and (no[0], yes[0]) == ("no", "yes")
    tests = [found["test"]["no"] for found in counts]
    assert no[3] == (f"{min(tests)}-{max(tests)}" if len(set(tests)) > 1 else str(tests[0]))
    assert [int(cell) for cell in class_table(counts[:1]).splitlines()[1].split()[1:]] == [
        counts[0][part]["no"] for part in ("supervisor_train", "student_train", "test", "validation")
    ]
    assert load_splits("summary").class_counts() is None


def test_a_table_of_many_answers_shows_the_rarest():
    task, examples = made({f"intent number {i:02d} {'of a long name' * 3}": 12 + i for i in range(40)})
    lines = class_table([quietly(task, examples, seed=0, sizes=SplitSizes(200, 400, 200, 50)).class_counts()])
    assert len(lines.splitlines()) == 12 and lines.endswith("and 30 other answers, none of which is rarer in any part")
    assert all(len(line) <= 100 for line in lines.splitlines()) and "intent number 00" in lines
