"""When does a majority suffice? Which cells does a student fail to tell apart, early and late in its training?

A student that cannot tell apart the examples of a cell answers as the plurality of its labels (`methods.majorities`).
The cells are predicted before anything is trained: nearest neighbours and clusters of the pre-trained features, and
cells by what is known of each text. The prediction for the test examples is held against two students of the same
labels, example by example and slice by slice. The number of neighbours was chosen on seed 100, which is not measured.

Two worlds, two studies: `majorities` fine-tunes a pocket model, early is the snapshot that 100 trusted examples choose,
late the end of ten epochs. `real-majorities` fits probes to one layer of SmolLM2-135M; there early stands for a strong
regularisation and late for a weak one.
"""

from collections.abc import Callable, Hashable, Iterator, Mapping
from dataclasses import astuple, dataclass, replace
from functools import partial

import numpy as np
from matplotlib.figure import Figure

from w2s_lab.data.sources import load_splits
from w2s_lab.experiments.effects import Effect
from w2s_lab.experiments.procedure import snapshot_chosen, split_curve
from w2s_lab.experiments.store import Store
from w2s_lab.methods import probe
from w2s_lab.methods.labellers import labeller, labels_by
from w2s_lab.methods.majorities import by_cells, by_neighbours, clusters
from w2s_lab.metrics import error_consistency
from w2s_lab.pocket.parser import parse_review
from w2s_lab.records import Evaluation, Example, LabelledSet
from w2s_lab.studies import mechanism, real_probe
from w2s_lab.studies.figures import majorities_figure
from w2s_lab.studies.measures import paired_by_seed, values_by_seed
from w2s_lab.studies.study import (
    CANNOT_TELL,
    NOT_REPRODUCED,
    POCKET,
    REAL,
    SIZES,
    Finding,
    Rows,
    Setting,
    Study,
    bench,
    cell,
    mean_of,
    rounded,
    select,
)
from w2s_lab.system.jobs import Job
from w2s_lab.training.evaluation import score

NEIGHBOURS = (1, 5, 15, 45, 135, 405)  # of 1,500; odd, so that two answers never tie
CLUSTERS = (10, 20, 40, 80)
WIDE, NARROW = "405 neighbours", "5 neighbours"
OWN, TRUTH = "the supervisor's own answer", "the truth"  # cells of one example, and cells by the truth: no majority
LAYER = 15  # of the 30 of SmolLM2: the middle one
EARLY_C, LATE_C = 1e-4, 1.0

CellOf = Callable[[Example], Hashable]


@dataclass(frozen=True, eq=False)
class Subject:
    """What one seed of either world measures: labels, features, and two students of these labels.

    Attributes:
        labels: [N] the weak labels.
        table: [N, d] features of their examples in the model before it is trained.
        test: [M] the test examples with their truth.
        of: [M, d] their features.
        reference: [M] the supervisor's own answers for them.
        students: "early" and "late" -> the student on the test examples.
        known: name -> the cell of an example by what is known of its text.
    """

    seed: int
    labels: LabelledSet
    table: np.ndarray
    test: LabelledSet
    of: np.ndarray
    reference: LabelledSet
    students: Mapping[str, Evaluation]
    known: Mapping[str, CellOf]


# -- the pocket world --------------------------------------------------------------------------------------------


def _read(about: Callable, example: Example) -> Hashable:
    review = parse_review(example.input)
    if review is None:
        raise ValueError(f"{example.input!r} is no review of the pocket world")
    return about(review)


def _word(review) -> str:
    """The last opinion word that speaks for the verdict."""
    return [opinion.word for opinion in review.opinions if opinion.meant == review.verdict][-1]


POCKET_CELLS: dict[str, CellOf] = {
    "verdict": partial(_read, lambda review: review.verdict),
    "construction": partial(_read, lambda review: review.tags[0]),
    "construction and verdict": partial(_read, lambda review: (review.tags[0], review.verdict)),
    "construction and word": partial(_read, lambda review: (review.tags[0], _word(review))),
}


def _pocket(store: Store, device: str, seed: int) -> Rows:
    own = bench(store, "sentiment", replace(mechanism.PLAN, device=device), seed, SIZES)
    model = own.train(own.strong, own.labels, own.plan.recipe, "strong student", watch=own.watch, reference=own.watched)
    curve, trusted = split_curve(model.history, own.splits)
    students = {"early": snapshot_chosen(curve, trusted).evaluation, "late": curve[-1].evaluation}
    table, of = (
        store.features(own.strong, part, layer=own.strong.layers)
        for part in (own.splits.student_train, own.splits.test)
    )
    return predicted_and_measured(
        Subject(seed, own.labels, table, own.splits.test, of, own.reference, students, POCKET_CELLS)
    )


# -- real English ------------------------------------------------------------------------------------------------

REAL_CELLS: dict[str, CellOf] = {
    "verdict": lambda example: example.answer,
    "clear or not, short or not": lambda example: example.tags,
    "the same and verdict": lambda example: (example.tags, example.answer),
}


def _reading(store: Store, device: str) -> Rows:
    real_probe.states_of(str(store.root), device, real_probe.TASK, layers=(LAYER,))
    return []


def _real(store: Store, device: str, seed: int) -> Rows:
    states = real_probe.states_of(str(store.root), device, real_probe.TASK, layers=(LAYER,))
    splits = load_splits(real_probe.TASK, seed=seed, sizes=real_probe.SIZES)
    supervisor = labeller(real_probe.SUPERVISOR, splits.supervisor_train)
    labels, reference = labels_by(supervisor, splits.student_train), labels_by(supervisor, splits.test)
    table, of = (states.of(part)[LAYER] for part in (splits.student_train, splits.test))
    students = {
        name: score(probe.predict(probe.fit_probe(table, labels, C=C), of, splits.test), reference)
        for name, C in (("early", EARLY_C), ("late", LATE_C))
    }
    return predicted_and_measured(Subject(seed, labels, table, splits.test, of, reference, students, REAL_CELLS))


# -- predicted and measured --------------------------------------------------------------------------------------


def elections(subject: Subject) -> Iterator[tuple[str, str, int, LabelledSet, LabelledSet]]:
    """For every kind of cells: name, kind, size, what the weak labels elect for the test examples, what the truth does.

    The size is the number of neighbours, or of cells.
    """
    labels, test = subject.labels, subject.test
    truth = LabelledSet.ground_truth(labels.task, labels.examples)
    for k in NEIGHBOURS:
        found = (by_neighbours(one, subject.table, test, subject.of, k=k) for one in (labels, truth))
        yield f"{k} neighbour{'s' * (k > 1)}", "neighbours", k, *found
    for k in CLUSTERS:
        cells, of = (found.tolist() for found in clusters(subject.table, subject.of, k=k, seed=subject.seed))
        yield f"{k} clusters", "clusters", k, *(by_cells(one, cells, test, of) for one in (labels, truth))
    for name, cell_of in subject.known.items():
        cells, of = ([cell_of(example) for example in part.examples] for part in (labels, test))
        yield name, "known", len(set(cells)), *(by_cells(one, cells, test, of) for one in (labels, truth))
    yield OWN, "none", 1, subject.reference, test
    yield TRUTH, "none", 1, test, test


def slice_of(example: Example) -> str:
    """All tags of an example, such as "plain, rare-word"; "no tag" without any."""
    return ", ".join(example.tags) or "no tag"


def predicted_and_measured(subject: Subject) -> Rows:
    """A row for each kind of cells, and for some of them a row for each slice of the test examples."""
    rows, slices = [], np.array([slice_of(example) for example in subject.test.examples])
    names, counts = np.unique(slices, return_counts=True)

    def by_slice(evaluation: Evaluation) -> np.ndarray:
        return np.array([evaluation.correct[slices == name].mean() for name in names])

    reached = {moment: by_slice(student) for moment, student in subject.students.items()}
    for name, kind, size, elected, best in elections(subject):
        predicted = score(elected, subject.reference)
        expected = by_slice(predicted)
        row = {
            "question": "cells",
            "seed": subject.seed,
            "cells": name,
            "kind": kind,
            "size": size,
            "label_accuracy": subject.labels.label_accuracy,
            "weak": subject.reference.label_accuracy,
            "predicted": predicted.accuracy,
            "best": best.label_accuracy,
            "predicted_imitation": predicted.imitation,
        }
        for moment, student in subject.students.items():
            row[moment] = student.accuracy
            row[f"agreement_{moment}"] = float(np.mean(np.array(elected.answers) == np.array(student.predictions)))
            row[f"consistency_{moment}"] = error_consistency(predicted.correct, student.correct)
            row[f"slice_error_{moment}"] = float(np.abs(expected - reached[moment]).mean())
        rows.append(row)
        if name in (WIDE, NARROW):
            for i, tag in enumerate(names):
                point = {moment: float(found[i]) for moment, found in reached.items()}
                facts = {"question": "slices", "seed": subject.seed, "cells": name, "slice": str(tag)}
                rows.append(facts | {"examples": int(counts[i]), "predicted": float(expected[i]), **point})
    return rows


# -- the results -------------------------------------------------------------------------------------------------

MEASURES = ("agreement", "consistency", "slice_error")
COLUMNS = ("predicted", "best", *(f"{measure}_{moment}" for measure in MEASURES for moment in ("early", "late")))


def majorities_text(rows: Rows) -> str:
    """Means over seeds, with 95 % intervals for what is predicted, as aligned text."""
    own = [row for row in rows if row["question"] == "cells"]
    names = list(dict.fromkeys(row["cells"] for row in own))
    first = select(own, cells=names[0])
    lines = []
    for name in ("label_accuracy", "weak", "early", "late"):
        mean = mean_of(first, name)
        ends = "" if mean["low"] is None else f" [{mean['low']:.3f}, {mean['high']:.3f}]"
        lines.append(f"{name.replace('_', ' '):<30}{mean['mean']:.3f}{ends}")
    lines += ["", f"{'cells':<30}" + "".join(f"{column.replace('_', ' '):>19}" for column in COLUMNS)]
    for name in names:
        means = [mean_of(select(own, cells=name), column)["mean"] for column in COLUMNS]
        lines.append(f"{name:<30}" + "".join(f"{mean:>19.3f}" for mean in means))
    return "\n".join(lines)


def _finish(study: str, moments: tuple[str, str], facts: Mapping, rows: Rows) -> tuple[dict, str, dict[str, Figure]]:
    rows = sorted(rows, key=lambda row: row["seed"])
    figure = majorities_figure(rows, moments, (WIDE, NARROW))
    return {**facts, "rows": rounded(rows)}, majorities_text(rows), {f"{study}.png": figure}


def _between(treated: str, control: str, cells: str) -> Callable[[Rows], Effect]:
    """The difference of two numbers of the rows of one kind of cells."""
    wanted = {"question": "cells", "cells": cells}
    return lambda rows: paired_by_seed(*(values_by_seed(rows, name, **wanted) for name in (treated, control)))


def _claims(
    study: str,
    world: str,
    prefix: str,
    where: str,
    late: str,
    early: str,
    because: tuple[tuple[str, str], tuple[str, str]] = (("", ""), ("", "")),
) -> tuple[Finding, ...]:
    return (
        Finding(
            f"{prefix}he majority of wide neighbourhoods in pre-trained features beats the supervisor",
            "this kit",
            f"accuracy of the plurality of {WIDE.replace('neigh', 'nearest neigh')}, {where}",
            study,
            _between("predicted", "weak", WIDE),
            because=because[0],
            control="the supervisor",
            world=world,
        ),
        Finding(
            f"{prefix}he student comes to err where the majority of narrow neighbourhoods errs",
            "this kit",
            f"error consistency (Cohen's kappa) of the student with the plurality of {NARROW}, {where}: {late}",
            study,
            _between("consistency_late", "consistency_early", NARROW),
            because=because[1],
            margin=None,
            control=early,
            world=world,
        ),
    )


def _pocket_stages(setting: Setting) -> list[list[Job]]:
    return [[Job(f"seed {seed}", cell, (_pocket, setting, seed)) for seed in range(setting.seeds)]]


def _real_stages(setting: Setting) -> list[list[Job]]:
    seeds = [Job(f"seed {seed}", cell, (_real, setting, seed)) for seed in range(setting.seeds)]
    return [[Job("read the sentences", cell, (_reading, setting))], seeds]


POCKET_FACTS = {"task": "sentiment", "sizes": astuple(SIZES), **mechanism.PLAN.to_dict()}
REAL_FACTS = {
    "model": real_probe.MODEL,
    "task": real_probe.TASK,
    "supervisor": real_probe.SUPERVISOR,
    "sizes": astuple(real_probe.SIZES),
    "layer": LAYER,
    "C": (EARLY_C, LATE_C),
}
STUDY = Study(
    "majorities",
    "which cells of examples does a student fail to tell apart, early and late?",
    8,
    _pocket_stages,
    partial(_finish, "majorities", ("stopped on trusted examples", "after ten epochs"), POCKET_FACTS),
    _claims("majorities", POCKET, "T", "sentiment", "after ten epochs", "the trusted snapshot"),
)
REAL_STUDY = Study(
    "real-majorities",
    "which cells of real sentences does a probe fail to tell apart?",
    20,
    _real_stages,
    partial(_finish, "real-majorities", (f"probe, C = {EARLY_C:g}", f"probe, C = {LATE_C:g}"), REAL_FACTS),
    _claims(
        "real-majorities",
        REAL,
        "On real English, t",
        f"film reviews, layer {LAYER} of SmolLM2-135M",
        f"a probe with C = {LATE_C:g}",
        f"a probe with C = {EARLY_C:g}",
        (
            (
                CANNOT_TELL,
                "The size was chosen in the pocket world. Here 405 of 1,500 labels are too many: with 45 and with 135 "
                "neighbours the plurality is right more often than the supervisor, by two hundredths.",
            ),
            (
                NOT_REPRODUCED,
                "It is the other way round. A strongly regularised probe errs much as the widest neighbourhoods do, "
                "and a weakly regularised one has fewer errors in common with neighbourhoods of any size.",
            ),
        ),
    ),
)
