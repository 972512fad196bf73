"""When a majority suffices: what a student answers that cannot tell apart the examples of one cell.

Such a student gives all examples of a cell one distribution p over the answers. Its log-likelihood on the n_k labels of
each answer k, the sum of n_k log p_k, is largest at p_k = n_k / n (Gibbs' inequality), so it gives the most frequent
label, the plurality. In the cell it is right as often as the truth is that answer. Where a cell has one true answer and
there are two answers to choose from, the student is right in the whole cell exactly if more than half of the labels
are; with more answers, exactly if no wrong answer has as many labels as the right one.

A cell is any value that can be a dict's key: a construction of the text, or the number of a cluster of features. Ties:
the likelihood does not decide between equally frequent labels; the first of them in the task's list is taken, and
`Majority.tied` says so. An example whose cell holds no label gets the plurality of all labels.
"""

from collections.abc import Hashable, Sequence
from dataclasses import dataclass

import numpy as np

from w2s_lab.records import LabelledSet
from w2s_lab.system.record import Record


@dataclass(frozen=True)
class Majority(Record):
    """The labels of one cell, and how right they and their plurality are.

    Attributes:
        cell: the cell.
        examples: number of labels in it.
        answer: the most frequent label.
        tied: whether another answer has as many labels.
        label_accuracy: fraction of the labels that are right.
        accuracy: fraction of the examples whose truth is `answer`: how often a student is right that answers it
            throughout the cell.
    """

    cell: Hashable
    examples: int
    answer: str
    tied: bool
    label_accuracy: float
    accuracy: float


def majorities(labels: LabelledSet, cells: Sequence[Hashable]) -> tuple[Majority, ...]:
    """The majority of each cell, in the order in which the cells first occur.

    Args:
        labels: N labels of a closed task, whose examples have a true answer.
        cells: [N] the cell of each example.

    Raises:
        ValueError: `cells` has another length, the task is open, or a true answer is unknown.
    """
    place, votes = _counted(labels, cells)
    truth = LabelledSet.ground_truth(labels.task, labels.examples)
    true_votes = _counted(truth, cells)[1]
    right = np.bincount(
        [place[cell] for cell in cells],
        weights=[label == true for label, true in zip(labels.answers, truth.answers, strict=True)],
        minlength=len(place),
    )
    most = votes.argmax(-1)
    return tuple(
        Majority(
            cell,
            int(votes[i].sum()),
            _answers(labels)[most[i]],
            bool((votes[i] == votes[i].max()).sum() > 1),
            float(right[i] / votes[i].sum()),
            float(true_votes[i, most[i]] / votes[i].sum()),
        )
        for cell, i in place.items()
    )


def by_cells(
    labels: LabelledSet, cells: Sequence[Hashable], inputs: LabelledSet, of: Sequence[Hashable]
) -> LabelledSet:
    """What a student of these labels answers if it tells apart nothing but the cells: the plurality of each.

    Args:
        labels: N labels of a closed task. Labels that are the truth show what the cells could do at best.
        cells: [N] the cell of each label.
        inputs: M examples of the same task; their own answers are not used.
        of: [M] the cell of each input.

    Returns:
        The M answers; `probs` [M, K] are the shares of the cell's labels.

    Raises:
        ValueError: the lengths or the tasks differ, there is no label, or the task is open.
    """
    place, votes = _counted(labels, cells)
    if len(of) != len(inputs):
        raise ValueError(f"by_cells: {len(of)} cells for {len(inputs)} inputs; expected one for each")
    everywhere = votes.sum(0)
    rows = [votes[place[cell]] if cell in place else everywhere for cell in of]
    return _elected(labels, inputs, np.reshape(rows, (len(inputs), -1)), f"{len(place)} cells")


def by_neighbours(
    labels: LabelledSet, table: np.ndarray, inputs: LabelledSet, of: np.ndarray, *, k: int
) -> LabelledSet:
    """The plurality of the labels of the k nearest neighbours: a cell of its own around each input.

    Args:
        labels: N labels of a closed task.
        table: [N, d] their features, such as `probe.features` of the model before it is trained. Distances are
            Euclidean after standardisation by the mean and standard deviation of this table.
        inputs: M examples of the same task; their own answers are not used.
        of: [M, d] the features of the inputs.
        k: how many neighbours; an odd number leaves no ties between two answers.

    Returns:
        The M answers; `probs` [M, K] are the shares of the k labels.

    Raises:
        ValueError: the shapes or the tasks differ, `k` is not in 1 to N, or the task is open.
    """
    _check_tables(labels, table, inputs, of, k, "by_neighbours")
    from sklearn.neighbors import NearestNeighbors  # a second to import

    standard, others = _standardised(table, of)
    near = NearestNeighbors(n_neighbors=k).fit(standard).kneighbors(others, return_distance=False)
    return _elected(labels, inputs, _one_hot(labels)[near].sum(1), f"{k} neighbours")


def clusters(table: np.ndarray, of: np.ndarray, *, k: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """k-means cells of features: the cell numbers [N] of the rows of `table` and [M] of those of `of`.

    Args:
        table: [N, d] features that the k centres are fitted to, standardised as in `by_neighbours`.
        of: [M, d] features that get the cell of the nearest centre.
        k: number of cells.
        seed: of the first centres; the best of four starts counts.
    """
    from sklearn.cluster import KMeans  # a second to import

    standard, others = _standardised(table, of)
    fitted = KMeans(k, n_init=4, random_state=seed).fit(standard)
    return fitted.labels_, fitted.predict(others)


def _answers(labels: LabelledSet) -> tuple[str, ...]:
    if labels.task.answers is None:
        raise ValueError(f"majorities: the task {labels.task.name!r} is open; expected a closed list of answers")
    return labels.task.answers


def _one_hot(labels: LabelledSet) -> np.ndarray:
    """[N, K] which answer each label is."""
    column = {answer: k for k, answer in enumerate(_answers(labels))}
    return np.eye(len(column), dtype=int)[[column[answer] for answer in labels.answers]]


def _counted(labels: LabelledSet, cells: Sequence[Hashable]) -> tuple[dict[Hashable, int], np.ndarray]:
    """Cell -> its row, and [cells, K] how many labels each answer has in each cell."""
    if len(cells) != len(labels) or not len(labels):
        raise ValueError(f"majorities: {len(cells)} cells for {len(labels)} labels; expected one for each, and some")
    place = {cell: i for i, cell in enumerate(dict.fromkeys(cells))}
    votes = np.zeros((len(place), len(_answers(labels))), dtype=int)
    np.add.at(votes, [place[cell] for cell in cells], _one_hot(labels))
    return place, votes


def _elected(labels: LabelledSet, inputs: LabelledSet, votes: np.ndarray, where: str) -> LabelledSet:
    """The inputs with the answer that most of their votes [M, K] are for; in a tie, the first in the task's list."""
    if inputs.task != labels.task:
        raise ValueError(f"majorities: the inputs belong to {inputs.task}; expected {labels.task}")
    shares = votes / votes.sum(-1, keepdims=True)
    answers = tuple(_answers(labels)[k] for k in votes.argmax(-1))
    return LabelledSet(inputs.task, inputs.examples, answers, shares, source=f"plurality in {where} of {labels.source}")


def _check_tables(
    labels: LabelledSet, table: np.ndarray, inputs: LabelledSet, of: np.ndarray, k: int, who: str
) -> None:
    if len(table) != len(labels) or len(of) != len(inputs) or table.shape[1:] != of.shape[1:]:
        raise ValueError(
            f"{who}: features of shapes {table.shape} and {of.shape} for {len(labels)} labels and {len(inputs)} "
            "inputs; expected a row for each, of one width"
        )
    if not 1 <= k <= len(labels):
        raise ValueError(f"{who}: k is {k}; expected 1 to {len(labels)}, the number of labels")


def _standardised(table: np.ndarray, of: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    from sklearn.preprocessing import StandardScaler

    scaler = StandardScaler().fit(np.asarray(table, dtype=np.float64))
    return scaler.transform(table), scaler.transform(of)
