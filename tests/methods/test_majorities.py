"""Majorities by hand, against scikit-learn, and against a student that sees nothing but the cell."""

from collections import Counter

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.neighbors import KNeighborsClassifier
from sklearn.preprocessing import StandardScaler

from w2s_lab.methods.majorities import by_cells, by_neighbours, clusters, majorities
from w2s_lab.methods.probe import fit_probe, predict
from w2s_lab.records import Example, LabelledSet, Task


def labelled(said: str, truth: str, answers: str = "abc") -> LabelledSet:
    """One letter an answer: the labels, and the truth of their examples."""
    examples = tuple(Example("?", f"{truth}{i}", true) for i, true in enumerate(truth))
    return LabelledSet(Task("t", tuple(answers)), examples, tuple(said))


def test_each_cell_by_hand():
    labels = labelled("aabcc" + "bb" + "ab", "aaaca" + "ab" + "bb")
    found = majorities(labels, [0] * 5 + ["x"] * 2 + [7] * 2)
    assert [one.cell for one in found] == [0, "x", 7]
    assert [one.answer for one in found] == ["a", "b", "a"]  # 2 a, 1 b, 2 c: a tie, and a is first in the list
    assert [one.tied for one in found] == [True, False, True]
    assert [one.examples for one in found] == [5, 2, 2]
    assert [one.label_accuracy for one in found] == pytest.approx([3 / 5, 1 / 2, 1 / 2])
    assert [one.accuracy for one in found] == pytest.approx([4 / 5, 1 / 2, 0])


def test_what_a_cell_answers_for_other_examples_by_hand():
    labels, test = labelled("aabbb", "abbbb", "ab"), labelled("aaaa", "abab", "ab")
    said = by_cells(labels, [1, 1, 1, 2, 2], test, [2, 1, 1, 3])
    assert said.answers == ("b", "a", "a", "b")  # in cell 3 there is no label: the plurality of all five
    np.testing.assert_allclose(said.probs, [[0, 1], [2 / 3, 1 / 3], [2 / 3, 1 / 3], [0.4, 0.6]])
    assert said.examples == test.examples and said.label_accuracy == 1 / 2
    assert "2 cells" in said.source


@settings(deadline=None)
@given(st.lists(st.booleans(), min_size=1, max_size=30))
def test_with_two_answers_and_one_truth_more_than_half_must_be_right(right):
    labels = labelled("".join("ba"[one] for one in right), "a" * len(right), "ba")
    (found,) = majorities(labels, ["cell"] * len(right))
    assert found.label_accuracy == pytest.approx(np.mean(right))
    assert found.accuracy == (sum(right) * 2 > len(right))  # in a tie, the wrong answer is first in the list here


@settings(deadline=None)
@given(st.lists(st.tuples(st.sampled_from("abc"), st.sampled_from("abc"), st.integers(0, 3)), min_size=1, max_size=40))
def test_with_more_answers_the_plurality_decides_and_the_cells_add_up(rows):
    said, truth, cells = (list(column) for column in zip(*rows, strict=True))
    labels = labelled("".join(said), "".join(truth))
    found = majorities(labels, cells)
    for one in found:
        own = [i for i, cell in enumerate(cells) if cell == one.cell]
        counts = Counter(said[i] for i in own)
        assert counts[one.answer] == max(counts.values()) and one.tied == (
            list(counts.values()).count(max(counts.values())) > 1
        )
        assert one.accuracy == pytest.approx(np.mean([truth[i] == one.answer for i in own]))
    again = by_cells(labels, cells, labels, cells)
    assert again.label_accuracy == pytest.approx(sum(one.accuracy * one.examples for one in found) / len(labels))


def test_a_student_that_sees_the_cell_alone_answers_by_plurality():
    """Logistic regression on the cell as a one-hot vector: the proof of the module, on a student that was fitted."""
    rng = np.random.default_rng(0)
    cells = rng.integers(0, 6, 300)
    truth = np.where(cells % 2, "a", "b")
    wrong = rng.random(300) < np.array([0.1, 0.3, 0.4, 0.6, 0.7, 0.9])[cells]
    labels = labelled("".join(np.where(wrong, np.where(truth == "a", "b", "a"), truth)), "".join(truth), "ab")
    fitted = fit_probe(np.eye(6)[cells], labels, C=100)
    said = by_cells(labels, cells, labels, cells)
    assert predict(fitted, np.eye(6)[cells], labels).answers == said.answers
    assert [one.accuracy for one in sorted(majorities(labels, cells), key=lambda one: one.cell)] == [1, 1, 1, 0, 0, 0]


@pytest.mark.parametrize("k", [1, 5, 20])
def test_neighbours_are_those_of_scikit_learn(k):
    rng = np.random.default_rng(k)
    table, of = rng.normal(size=(60, 4)) * [1, 10, 1, 1], rng.normal(size=(25, 4)) * [1, 10, 1, 1]
    labels = labelled("".join(rng.choice(list("abc"), 60)), "a" * 60)
    inputs = labelled("a" * 25, "b" * 25)
    scaler = StandardScaler().fit(table)
    theirs = KNeighborsClassifier(k).fit(scaler.transform(table), labels.answers)
    said = by_neighbours(labels, table, inputs, of, k=k)
    np.testing.assert_allclose(said.probs, theirs.predict_proba(scaler.transform(of)), atol=1e-12)
    assert list(said.answers) == list(theirs.predict(scaler.transform(of)))
    everywhere = by_neighbours(labels, table, inputs, of, k=60).answers
    assert set(everywhere) == {Counter(sorted(labels.answers)).most_common(1)[0][0]}


def test_clusters_are_the_nearest_of_their_means_and_follow_the_seed():
    rng = np.random.default_rng(1)
    table, of = rng.normal(size=(80, 3)) * [1, 50, 1], rng.normal(size=(30, 3)) * [1, 50, 1]
    cells, others = clusters(table, of, k=5, seed=3)
    scaler = StandardScaler().fit(table)
    means = np.array([scaler.transform(table)[cells == cell].mean(0) for cell in range(5)])
    for rows, found in ((table, cells), (of, others)):
        away = ((scaler.transform(rows)[:, None] - means) ** 2).sum(-1)
        assert (away.argmin(-1) == found).all()
    again = clusters(table, of, k=5, seed=3)
    assert (again[0] == cells).all() and (again[1] == others).all()


def test_what_does_not_fit_is_refused():
    labels, inputs = labelled("ab", "aa"), labelled("abc", "aaa")
    table, of = np.zeros((2, 4)), np.zeros((3, 4))
    with pytest.raises(ValueError, match="1 cells for 2 labels"):
        majorities(labels, [0])
    with pytest.raises(ValueError, match="2 cells for 3 inputs"):
        by_cells(labels, [0, 1], inputs, [0, 1])
    with pytest.raises(ValueError, match="belong to"):
        by_cells(labels, [0, 1], labelled("abc", "aaa", "abcd"), [0, 1, 1])
    with pytest.raises(ValueError, match="is open"):
        majorities(LabelledSet(Task("open"), labels.examples, labels.answers), [0, 1])
    with pytest.raises(ValueError, match="no true answer"):
        majorities(LabelledSet(labels.task, (Example("?", "x"),), ("a",)), [0])
    with pytest.raises(ValueError, match="of one width"):
        by_neighbours(labels, table, inputs, np.zeros((3, 5)), k=1)
    with pytest.raises(ValueError, match="k is 3"):
        by_neighbours(labels, table, inputs, of, k=3)
