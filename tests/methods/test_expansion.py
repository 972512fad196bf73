"""Correction and coverage (Lang et al. 2024): by hand, against the paper's own tables, and against its theorems."""

import numpy as np
import pytest

from w2s_lab.methods.expansion import correction_bound, coverage, coverage_bound, expansion, neighbour_oracle
from w2s_lab.records import Evaluation, Task

TASK = Task("t", ("no", "yes"))


def words(letters: str) -> tuple[str, ...]:
    return tuple({"n": "no", "y": "yes"}[letter] for letter in letters)


def test_errors_by_true_answer_by_hand():
    truth, labels, said = words("nnnnyyy"), words("nnyyyny"), words("nnnyyyn")
    student = Evaluation(TASK, tuple("abcdefg"), said, truth, labels)
    covered = np.array([1, 1, 1, 1, 1, 1, 0], dtype=bool)
    no, yes = coverage(student, covered)
    assert (no.answer, no.covered, no.uncovered) == ("no", 4, 0)
    assert (no.label_error, no.disagreement, no.covered_error, no.uncovered_error) == (0.5, 0.25, 0.25, None)
    assert (yes.covered, yes.uncovered) == (2, 1)
    assert (yes.label_error, yes.disagreement, yes.covered_error, yes.uncovered_error) == (0.5, 0.5, 0, 1)
    assert coverage(student, covered.astype(int)) == (no, yes)  # marks of 0 and 1 mean the same
    with pytest.raises(ValueError, match="6 marks for 7 answers"):
        coverage(student, covered[:6])
    with pytest.raises(ValueError, match="reference"):
        coverage(Evaluation(TASK, ("a",), ("no",), ("no",)), covered[:1])


def test_the_neighbour_is_the_nearest_row():
    of, among = np.array([[0.0, 0], [5, 5], [9, 1]]), np.array([[4.0, 4], [0, 1], [9, 0]])
    assert neighbour_oracle(of, among).tolist() == [1, 0, 2]
    with pytest.raises(ValueError, match="one width"):
        neighbour_oracle(of, among[:, :1])
    with pytest.raises(ValueError, match="one width"):
        neighbour_oracle(of[:0], among)


def test_the_least_factor_by_hand():
    near = np.array([0, 0, 1, 2])  # four examples of A, whose neighbours are the first three of five of B
    half = np.array([1, 0, 0, 0, 0], dtype=bool)  # 2 of 4 point into it, 1 of 5 is in it: 2.5
    rest = ~half  # 2 of 4, 4 of 5: 0.625
    lonely = np.array([0, 0, 0, 0, 1], dtype=bool)  # 0
    assert expansion([half], near) == pytest.approx(2.5)
    assert expansion([half, rest], near) == pytest.approx(0.625)
    assert expansion([half, lonely], near) == 0
    assert expansion([rest, lonely], near, q=0.2) == pytest.approx(0.625)
    assert expansion([lonely], near, q=0.2) is None and expansion([half], near[:0]) is None


def test_the_bounds_are_those_of_the_papers_tables():
    """Tables 1 and 4 of the paper; its factors and errors are rounded to two or three digits."""
    assert correction_bound(0.11, 0.12, 0.848) == pytest.approx(0.05, abs=0.005)
    assert correction_bound(0.33, 0.29, 0.497) == pytest.approx(0.37, abs=0.005)
    assert coverage_bound(0.33, 0.29, 0.75, 0.55) == pytest.approx(0.33, abs=0.01)
    assert coverage_bound(0.11, 0.12, 0.16, 0.98) == pytest.approx(0.37, abs=0.02)
    # no expansion: nothing better than the triangle inequality, disagreement plus error of the labels
    assert correction_bound(0.2, 0.1, 0.0) == pytest.approx(0.3)
    assert coverage_bound(0.0, 0.02, 0.8, None) == pytest.approx(0.025)
    assert coverage_bound(0.0, 0.02, 0.8, None, q=0.05) == 0.05


@pytest.mark.parametrize("error", [0.0, 0.5, 0.7])
def test_no_bound_where_the_theorems_do_not_apply(error):
    assert correction_bound(error, 0.1, 0.5) is None
    assert correction_bound(0.3, 0.8, 0.5) is None
    assert coverage_bound(0.1, 0.7, 0.5, 0.5) is None  # the student does not fit the labels
    assert coverage_bound(0.45, 0.01, 0.1, 0.9) is None
    if error:
        assert coverage_bound(error, 0.1, 0.5, 0.5) is None


def test_the_theorems_hold_for_students_that_do_not_tell_neighbours_apart():
    """Random cells, and students that answer all of a cell alike: then the term that the bounds leave out is 0."""
    rng, corrected, covered = np.random.default_rng(0), 0, 0
    for _ in range(400):
        cells = int(rng.integers(4, 30))
        right = rng.random(cells) < rng.choice([0.5, 0.8, 0.95])  # the student, by cell
        good, bad = (rng.integers(0, cells, int(rng.integers(1, n))) for n in (60, 25))  # the cell of each example
        a = len(bad) / (len(good) + len(bad))
        # a student that is right differs from wrong labels, and one that is wrong from right ones
        apart = ((~right[good]).sum() + right[bad].sum()) / (len(good) + len(bad))
        wrong = ((~right[good]).sum() + (~right[bad]).sum()) / (len(good) + len(bad))
        first = np.array([np.flatnonzero(good == cell)[0] if cell in good else -1 for cell in range(cells)])
        if (first[bad] >= 0).all() and right[good].any():  # every bad example has a good neighbour in its cell
            bound = correction_bound(a, apart, expansion([right[good]], first[bad]))
            corrected += bound is not None and bound < 1
            assert bound is None or wrong <= bound + 1e-9
        # T: one example in each cell, the neighbour of all good and bad ones there
        if right.all() or not right.any():
            continue
        to_good, to_bad = expansion([~right], good), expansion([right], bad)
        bound = coverage_bound(a, apart, to_good, to_bad)
        covered += bound is not None and bound < 1
        assert bound is None or (~right).mean() <= bound + 1e-9
    assert corrected > 30 and covered > 30
