"""Correction and coverage: what a student makes of labels that are sometimes wrong, and that leave examples out.

The definitions and theorems are those of Lang et al. (2024, arXiv 2405.16043). The labels cover a part S of the
examples; on the rest, T, the supervisor abstains. *Pseudolabel correction*: on S the student is right more often than
its labels. *Coverage expansion*: the student is right on T, of which it learnt nothing, more often than by guessing.
All is counted for the examples of one true answer at a time, X_i = S_i and T_i, and S_i is divided into S_i^good and
S_i^bad by whether the label is right (their section 3).

Both follow where bad examples have good neighbours, and where the student does not tell neighbours apart. A set U in B
*expands* to A by the factor P(N(U)|A) / P(U|B), where N(U) are the neighbours of the members of U (definition 4). As in
their section 5, an oracle names one neighbour n(x) in B for each x in A, and P(n(x) in U | A) takes the place of
P(N(U)|A), which it never exceeds. Here n(x) is the nearest example in the features of the student before it is trained,
so the neighbourhoods are balls of a radius at which every x has a neighbour (their definition 1 has balls as an
example; they use paraphrases).

The bounds leave out the share of examples whose neighbours the student answers differently, as theirs do (appendix E).
So they are evidence for the mechanism, and no guarantee.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from w2s_lab.records import Evaluation
from w2s_lab.system.record import Record


@dataclass(frozen=True)
class Coverage(Record):
    """How often labels and student are wrong on the examples of one true answer: fractions, None where there are none.

    Attributes:
        answer: the true answer.
        covered, uncovered: number of examples in S_i and in T_i.
        label_error: alpha_i, how often the label is wrong on S_i.
        disagreement: err(f, label | S_i), how often the student answers something other than the label on S_i.
        covered_error: err(f, truth | S_i), how often the student is wrong there.
        uncovered_error: err(f, truth | T_i).
    """

    answer: str
    covered: int
    uncovered: int
    label_error: float | None
    disagreement: float | None
    covered_error: float | None
    uncovered_error: float | None


def coverage(student: Evaluation, covered: np.ndarray) -> tuple[Coverage, ...]:
    """The errors of a student by true answer, in the order of the task's answers (Lang et al., section 3).

    Args:
        student: N answers of the student, with the supervisor's as `reference`; a reference for T is not used.
        covered: [N] bool: the supervisor labels the example (S), or leaves it out (T).

    Raises:
        ValueError: there is no reference, the task is open, or the lengths differ.
    """
    if student.reference is None or student.task.answers is None or len(covered) != len(student):
        raise ValueError(
            f"coverage: {len(covered)} marks for {len(student)} answers of the task {student.task.name!r}; expected "
            "one for each, a closed task, and an evaluation with the supervisor's answers as its reference"
        )
    said, labels, truth = (
        np.array(column, dtype=object) for column in (student.predictions, student.reference, student.truth)
    )

    def share(of: np.ndarray, among: np.ndarray) -> float | None:
        return float(of[among].mean()) if among.any() else None

    covered, found = np.asarray(covered, dtype=bool), []
    for answer in student.task.answers:
        inside, outside = (truth == answer) & covered, (truth == answer) & ~covered
        errors = (
            *(share(wrong, inside) for wrong in (labels != truth, said != labels, said != truth)),
            share(said != truth, outside),
        )
        found.append(Coverage(answer, int(inside.sum()), int(outside.sum()), *errors))
    return tuple(found)


def neighbour_oracle(of: np.ndarray, among: np.ndarray) -> np.ndarray:
    """[A] the row of `among` that is nearest to each row of `of`: the neighbour n(x) in B of each x in A.

    Args:
        of, among: [A, d] and [B, d] features; distances are Euclidean, so standardise them first.

    Raises:
        ValueError: one of the two is empty, or their widths differ.
    """
    if not len(of) or not len(among) or of.shape[1:] != among.shape[1:]:
        raise ValueError(
            f"neighbour_oracle: features of shapes {of.shape} and {among.shape}; expected rows of one width in both"
        )
    from sklearn.neighbors import NearestNeighbors  # a second to import

    return NearestNeighbors(n_neighbors=1).fit(among).kneighbors(of, return_distance=False)[:, 0]


def expansion(sets: Sequence[np.ndarray], near: np.ndarray, *, q: float = 0.0) -> float | None:
    """The least factor by which sets in B expand to A: min over U of P(n(x) in U | A) / P(U|B) (section 5).

    Args:
        sets: [B] bool for each U: which examples of B are in it. The paper takes the mistakes (theorem B.2), or what is
            no mistake (theorem B.1), of students that learnt different parts of the labels.
        near: [A] the oracle.
        q: only sets with P(U|B) > q count.

    Returns:
        The factor, at least 0; None where A is empty or no set is large enough.
    """
    large = [members for members in sets if len(members) and members.mean() > q]
    if not len(near) or not large:
        return None
    return float(min(members[near].mean() / members.mean() for members in large))


def correction_bound(label_error: float, disagreement: float, factor: float) -> float | None:
    """At most so often is a student wrong on S_i, if S_i^good expands to S_i^bad (theorem B.1, the tighter 4.1).

    (d - a (2c' - 1)) / (1 - 2 c' a) with c' = c / (1 - a + c a). A bound below a promises a pseudolabel correction.

    Args:
        label_error: a, above 0 and below 1/2.
        disagreement: d, of the student with the labels.
        factor: c, of the sets in S_i^good where students are right, to S_i^bad.

    Returns:
        The bound; None where the theorem does not apply: d > 1 - a, or a is out of range.
    """
    scaled = factor / (1 - label_error + factor * label_error)
    room = 1 - 2 * scaled * label_error
    if not 0 < label_error < 0.5 or disagreement > 1 - label_error or room <= 0:
        return None
    return (disagreement - label_error * (2 * scaled - 1)) / room


def coverage_bound(
    label_error: float, disagreement: float, good: float, bad: float | None, *, q: float = 0.0
) -> float | None:
    """At most so often is a student wrong on T_i, if T_i expands to S_i^good and to S_i^bad (theorem B.2, as 4.2).

    max(q, (d - c2 a) / (c1 - (c1 + c2) a)). Without wrong labels there is no S_i^bad, and it is max(q, d / c1).

    Args:
        label_error: a, from 0 and below 1/2.
        disagreement: d, of the student with the labels on S_i.
        good: c1, of the sets in T_i where students are wrong, to S_i^good.
        bad: c2, of the sets in T_i where students are right, to S_i^bad; None where there are no wrong labels.
        q: as in `expansion`.

    Returns:
        The bound; None where the theorem does not apply: d >= c1 (1 - q - a), or there is no room above the errors.
    """
    other = 0.0 if bad is None else bad
    room = good - (good + other) * label_error
    if not 0 <= label_error < 0.5 or disagreement >= good * (1 - q - label_error) or room <= 0:
        return None
    return max(q, (disagreement - other * label_error) / room)
