"""A supervisor that cannot see one aspect: does its student serve the other, and give up what it alone could see?

Preferences between reviews, and a linear Bradley-Terry reward on frozen features as the student (`methods.reward`). The
supervisor sees the verdict and is blind to the policy. Its controls see both, or err as often at random places.
docs/findings.md has the design.
"""

from collections.abc import Callable
from dataclasses import astuple, dataclass, replace

import numpy as np
from matplotlib.figure import Figure

from w2s_lab.data.sources import SplitSizes, read_examples
from w2s_lab.experiments.store import Store
from w2s_lab.figures.plots import ROLE, SIZE
from w2s_lab.figures.study_plots import SERIES, seed_curves
from w2s_lab.methods import probe
from w2s_lab.methods.reward import fit_reward, given_up, prefer
from w2s_lab.methods.simulated import random_errors
from w2s_lab.pocket.preferences import TASK, aspects, preference_pairs
from w2s_lab.records import Comparison, Evaluation, LabelledSet
from w2s_lab.studies import mechanism
from w2s_lab.studies.figures import figure_of
from w2s_lab.studies.measures import both_moments, change, level
from w2s_lab.studies.study import CANNOT_TELL, Finding, Rows, Setting, Study, bench, cell, mean_of, rounded, select
from w2s_lab.system.jobs import Job
from w2s_lab.training.evaluation import score

SIZES = SplitSizes(supervisor_train=1500, student_train=1500, test=2700, validation=300)  # reviews
TRUSTED = 100  # pairs
PATH = (*probe.STRENGTHS, 1.0)  # values of C: the course of a student (its end and the layer: chosen on seed 100)
TRUTH, RANDOM = "truth", "as many random errors"
BLIND, BOTH, QUIET = "blind to the policy", "sees both aspects", "blind, no conflict among its pairs"
CONFLICT = "conflict"


@dataclass(frozen=True, eq=False)
class Side:
    """The pairs of one part of a split, as student and supervisors see them.

    Attributes:
        pairs: N pairs with their truth.
        first, second: [N, d] features of the two reviews.
        blind: the supervisor's preferences by the verdict alone.
        both: its preferences where it knows the policy, too.
    """

    pairs: LabelledSet
    first: np.ndarray
    second: np.ndarray
    blind: LabelledSet
    both: LabelledSet


def side(reviews: LabelledSet, labels: LabelledSet, table: np.ndarray, *, seed: int) -> Side:
    """Pairs of reviews, and what a supervisor prefers whose labels of single reviews are `labels` (with `probs`)."""
    pairs, rows = preference_pairs(reviews, seed=seed)
    if labels.probs is None or labels.ids != reviews.ids:
        raise ValueError(f"side: the labels ({labels.source}) are of other reviews, or have no probabilities")
    favourable = labels.probs[:, labels.task.answers.index("positive")]
    kept = np.array([aspects(example)[0] for example in reviews.examples], dtype=float)
    apart = {
        "blind": favourable[rows[:, 0]] - favourable[rows[:, 1]],
        "both": (kept + favourable / 2)[rows[:, 0]] - (kept + favourable / 2)[rows[:, 1]],  # the policy comes first
    }
    found = {
        name: LabelledSet(
            TASK, pairs.examples, tuple(TASK.answers[int(x < 0)] for x in gap), source=f"{labels.source}, {name}"
        )
        for name, gap in apart.items()
    }
    return Side(pairs, table[rows[:, 0]], table[rows[:, 1]], **found)


def seen(pairs: LabelledSet) -> list[str | None]:
    """The answer that the verdict speaks for; None where both verdicts are the same."""
    other = {"first": "second", "second": "first"}
    by_tag: dict[str, Callable[[str], str | None]] = {"policy": lambda _: None, CONFLICT: lambda true: other[true]}
    return [by_tag.get(example.tags[0], str)(example.answer or "") for example in pairs.examples]


def _seed(store: Store, device: str, seed: int) -> Rows:
    own = bench(store, "sentiment", replace(mechanism.PLAN, device=device), seed, SIZES)
    task, examples, _ = read_examples("sentiment")
    reviews = LabelledSet.ground_truth(task, examples)  # all at once, so that they are read once for all seeds
    states = store.features(own.strong, reviews, layer=own.strong.layers // 2, pool="mean")
    place = {one: i for i, one in enumerate(reviews.ids)}
    sides = []
    for part, labels in (
        (own.splits.student_train, own.labels),
        (own.splits.test, own.reference),
        (own.splits.validation, own.trusted(own.watched)),
    ):
        sides.append(side(part, labels, states[[place[one] for one in part.ids]], seed=seed))
    return student_rows(*sides, seed=seed)


def student_rows(train: Side, test: Side, trusted: Side, *, seed: int) -> Rows:
    """A row for each student: its numbers at the end of its course and where the trusted pairs choose."""
    quiet = np.array([CONFLICT not in example.tags for example in train.pairs.examples])
    given = {
        TRUTH: (train.pairs, test.pairs),  # what is learnt, and what the supervisor says of the test pairs
        BOTH: (train.both, test.both),
        RANDOM: (random_errors(train.pairs, train.blind.label_accuracy, seed=seed), test.blind),
        BLIND: (train.blind, test.blind),
        QUIET: (train.blind.take(quiet), test.blind),
    }
    rows, ceilings = [], {}
    by_verdict, tags = seen(test.pairs), np.array([example.tags[0] for example in test.pairs.examples])
    few = range(min(TRUSTED, len(trusted.pairs)))
    for arm, (labels, reference) in given.items():
        used = quiet if arm == QUIET else np.ones(len(train.pairs), dtype=bool)
        course: list[Evaluation] = []
        right = []
        for C in PATH:
            model = fit_reward(train.first[used], train.second[used], labels, C=C)
            course.append(score(prefer(model, test.first, test.second, test.pairs), reference))
            chosen_by = prefer(model, trusted.first[few], trusted.second[few], trusted.pairs.take(few))
            right.append(chosen_by.label_accuracy)
        moments = {"": len(PATH) - 1, "trusted_": int(np.argmax(right))}
        if arm == TRUTH:
            ceilings = {name: course[place] for name, place in moments.items()}
        row = {"seed": seed, "arm": arm, "examples": len(labels), "label_accuracy": labels.label_accuracy}
        row |= {"weak": reference.label_accuracy, "C": PATH[moments["trusted_"]]}
        for name, place in moments.items():
            student = course[place]
            comparison = Comparison(score(reference, reference), student, ceilings[name])
            row |= {f"{name}accuracy": student.accuracy, f"{name}pgr": comparison.pgr}
            row |= {f"{name}given_up": given_up(student, ceilings[name], by_verdict)}
            row |= {f"{name}of {tag}": float(student.correct[tags == tag].mean()) for tag in np.unique(tags)}
        ceiling = ceilings[""]
        row["curve"] = [
            (C, one.accuracy, given_up(one, ceiling, by_verdict)) for C, one in zip(PATH, course, strict=True)
        ]
        rows.append(row)
    return rows


# -- the results -------------------------------------------------------------------------------------------------

LOOKS = {
    TRUTH: ROLE["ceiling"],
    BOTH: replace(SERIES[0], marker="s", line="-."),
    RANDOM: ROLE["random"],
    BLIND: ROLE["student"],
    QUIET: replace(SERIES[2], marker="v", line="--"),
}
SHOWN = ("label_accuracy", "trusted_accuracy", "accuracy", "trusted_given_up", "given_up")
KINDS = ("verdict", "policy", "both", CONFLICT)


def blind_spot_text(rows: Rows) -> str:
    """Means over seeds, with 95 % intervals, as aligned text."""
    names = (*SHOWN, *(f"trusted_of {kind}" for kind in KINDS))
    lines = [f"{'the student learns':<36}" + "".join(f"{name.replace('_', ' '):>22}" for name in names)]
    for arm in LOOKS:
        cells = []
        for name in names:
            mean = mean_of(select(rows, arm=arm), name)
            ends = "" if mean["low"] is None else f" [{mean['low']:.3f}, {mean['high']:.3f}]"
            cells.append("undefined" if mean["mean"] is None else f"{mean['mean']:.3f}{ends}")
        lines.append(f"{arm:<36}" + "".join(f"{one:>22}" for one in cells))
    return "\n".join(lines)


def blind_spot_figure(rows: Rows) -> Figure:
    """Accuracy, and what is given up, along the course of each student."""
    figure = figure_of(17, 10)
    quantities = (
        "accuracy (fraction of test pairs)",
        "given up (fraction of the conflicts\nthat the ceiling gets right)",
    )
    for column, (ax, quantity) in enumerate(zip(figure.subplots(1, 2), quantities, strict=True), start=1):
        curves = {
            arm: (look, [[(point[0], point[column]) for point in row["curve"]] for row in select(rows, arm=arm)])
            for arm, look in LOOKS.items()
        }
        lines = {}
        if column == 1:
            lines["the blind supervisor"] = (ROLE["weak"], mean_of(select(rows, arm=BLIND), "weak")["mean"])
        seed_curves(curves, ax, quantity=quantity, lines=lines)
        ax.set(xscale="log")
        ax.set_xlabel("C of the reward (right: it may fit its labels more closely)", fontsize=SIZE)
    return figure


def _finish(rows: Rows) -> tuple[dict, str, dict[str, Figure]]:
    rows = sorted(rows, key=lambda row: row["seed"])
    facts = {"task": TASK.name, "sizes": astuple(SIZES), "trusted": TRUSTED, "path": PATH, **mechanism.PLAN.to_dict()}
    return {**facts, "rows": rounded(rows)}, blind_spot_text(rows), {"blind-spot.png": blind_spot_figure(rows)}


def _given_up(arm: str, control: str) -> dict:
    measure, at_end = (change(f"{moment}given_up", {"arm": arm}, {"arm": control}) for moment in ("trusted_", ""))
    return {"measure": measure, "at_end": at_end, "study": "blind-spot", "control": f"labels: {control}"}


WHERE = "preferences between reviews, a linear reward on frozen features"
CLAIMS = (
    Finding(
        "Of preferences, too, part of the gap is recovered (PGR > 0)",
        "Burns et al. 2023, who recover least there",
        f"PGR, labels blind to the policy, {WHERE}",
        "blind-spot",
        level("trusted_pgr", {"arm": BLIND}),
        control="the supervisor",
        at_end=level("pgr", {"arm": BLIND}),
        because=(
            CANNOT_TELL,
            "The student learns to judge the verdict, as its supervisor does. What it lacks is the policy, "
            "which its labels do not need.",
        ),
    ),
    Finding(
        claim="A student gives up the aspect that its supervisor cannot see, though it could know better",
        source="Yang et al. 2024, of conflicting aims",
        quantity=f"share of the conflicts given up, {WHERE}",
        **_given_up(BLIND, RANDOM),
    ),
    Finding(
        claim="It gives up less of it where no pair sets the verdict against it",
        source="this kit",
        quantity=f"share of the conflicts given up, no conflict among the labels, {WHERE}",
        sign=-1,
        because=(
            CANNOT_TELL,
            "If it gives up less, then by two hundredths at most: the verdict accounts for these labels without the "
            "policy.",
        ),
        **_given_up(QUIET, BLIND),
    ),
    Finding(
        "Blind supervision costs more than as many errors at random",
        "this kit",
        f"accuracy, labels blind to the policy, {WHERE}",
        "blind-spot",
        sign=-1,
        control=RANDOM,
        **both_moments({"arm": BLIND}, {"arm": RANDOM}),
    ),
)


def _stages(setting: Setting) -> list[list[Job]]:
    return [[Job(f"seed {seed}", cell, (_seed, setting, seed)) for seed in range(setting.seeds)]]


STUDY = Study(
    "blind-spot",
    "what becomes of an aspect of preferences that the supervisor cannot see?",
    20,
    _stages,
    _finish,
    CLAIMS,
)
