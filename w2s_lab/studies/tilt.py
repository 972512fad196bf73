"""Does the student's line stand upright where it is best, and tilt into its supervisor's errors afterwards?

In the pocket world `pocket-l` is fine-tuned and looked at every few steps; on real English a linear probe on the mean
state of one layer of SmolLM2 is fitted ever more closely. Both learn the weak labels, and as many errors at random
places. The plane is that of the supervisor in both cases, made from the inputs that the student learns; the line is
that of its answers to test examples (see `methods.tilt`).
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import astuple, replace

import numpy as np
from matplotlib.figure import Figure

from w2s_lab.data.sources import SplitSizes, load_splits
from w2s_lab.experiments.procedure import Plan, split_curve
from w2s_lab.experiments.store import Store
from w2s_lab.figures.plots import ROLE, SIZE
from w2s_lab.figures.study_plots import seed_curves
from w2s_lab.methods import probe
from w2s_lab.methods.labellers import labeller, labels_by
from w2s_lab.methods.simulated import random_errors
from w2s_lab.methods.tilt import decision_line, habit_plane
from w2s_lab.recipe import Recipe
from w2s_lab.records import Evaluation, LabelledSet
from w2s_lab.studies.figures import figure_of
from w2s_lab.studies.measures import change
from w2s_lab.studies.real_probe import MODEL, TASK, states_of
from w2s_lab.studies.study import POCKET, REAL, Finding, Rows, Setting, Study, bench, cell, mean_of, rounded, select
from w2s_lab.system.jobs import Job
from w2s_lab.training.evaluation import score

PLAN = Plan(recipe=Recipe(epochs=6, learning_rate=1e-4, eval_every=8))
SIZES = SplitSizes(supervisor_train=1500, student_train=1000, test=500, validation=100)
LAYER = 15  # the middle one of 30
SUPERVISOR = "bag-of-words"
REAL_SIZES = SplitSizes(supervisor_train=1500, student_train=1500, test=1000, validation=100)
STRENGTHS = (*probe.STRENGTHS, 1.0)  # values of C
LABELS = ("weak labels", "random errors")
MOMENTS = ("best", "trusted", "last")
WORLDS = (  # the world, what the student's moments are counted in, and a title
    (POCKET, "step", "pocket world: pocket-l, fine-tuned on sentiment"),
    (REAL, "C", "real English: probes of SmolLM2 on film reviews"),
)
QUANTITIES = {"tilt": "tilt of the student's line (degrees)", "accuracy": "accuracy (fraction of test examples)"}
LOOKS = {LABELS[0]: ROLE["student"], LABELS[1]: ROLE["random"]}
SWING = (8, 16, 24, 32, 40, 48)  # steps at which the first swing between the answers is looked at
UPRIGHT = 45  # degrees; nearer to upright, the line follows the truth more than the habit


def _stages(setting: Setting) -> list[list[Job]]:
    seeds = range(setting.seeds)
    reading = [Job("read the sentences", cell, (_read, setting))]
    return [
        reading,
        [Job(f"{part.__name__[1:]}, seed {s}", cell, (part, setting, s)) for part in (_pocket, _real) for s in seeds],
    ]


def _read(store: Store, device: str) -> Rows:
    states_of(str(store.root), device, TASK, layers=(LAYER,))
    return []


def _pocket(store: Store, device: str, seed: int) -> Rows:
    own = bench(store, "sentiment", replace(PLAN, device=device), seed, SIZES)
    plane = habit_plane(probe.features(own.strong, own.labels), own.labels)
    points = plane.points(probe.features(own.strong, own.splits.test))
    rows = []
    for kind in LABELS:
        labels = own.labels
        if kind == LABELS[1]:
            labels = random_errors(own.splits.student_train, labels.label_accuracy, seed=seed)
        watched = {"watch": own.watch, "reference": own.watched}
        model = own.train(own.strong, labels, own.plan.recipe, f"student of {kind}", **watched)
        curve, trusted = split_curve(model.history, own.splits)
        facts = {"world": POCKET, "seed": seed, "labels": kind, **supervised(points, own.reference)}
        found = [
            {**facts, "step": snapshot.step, "trusted_accuracy": right, **tilted(points, snapshot.evaluation)}
            for snapshot, right in zip(curve, trusted, strict=True)
        ]
        rows += [found[0], *_with_moments(found[1:])]  # never choose snapshot 0, the untrained model
    return rows


def _real(store: Store, device: str, seed: int) -> Rows:
    splits = load_splits(TASK, seed=seed, sizes=REAL_SIZES)
    states = states_of(str(store.root), device, TASK, layers=(LAYER,))
    parts = (splits.student_train, splits.test, splits.validation)
    train, test, validation = (states.of(part)[LAYER] for part in parts)
    able = labeller(SUPERVISOR, splits.supervisor_train)
    labels, reference = labels_by(able, splits.student_train), labels_by(able, splits.test)
    points, rows = habit_plane(train, labels).points(test), []
    for kind in LABELS:
        given = labels
        if kind == LABELS[1]:
            given = random_errors(splits.student_train, labels.label_accuracy, seed=seed)
        found = []
        for C in STRENGTHS:
            fitted = probe.fit_probe(train, given, C=C)
            right = probe.predict(fitted, validation, splits.validation).label_accuracy
            evaluation = score(probe.predict(fitted, test, splits.test), reference)
            facts = {"world": REAL, "seed": seed, "labels": kind, **supervised(points, reference), "C": C}
            found.append({**facts, "trusted_accuracy": right, **tilted(points, evaluation)})
        rows += _with_moments(found)
    return rows


def supervised(points: np.ndarray, reference: LabelledSet) -> dict[str, float | None]:
    """Of the supervisor's labels of the test examples: their accuracy, and the tilt of the line between them."""
    found = tilted(points, score(reference, reference))
    return {"weak": found["accuracy"], "weak_away": found["away"]}


def tilted(points: np.ndarray, evaluation: Evaluation) -> dict[str, float | None]:
    """The numbers of one student at one moment: of its answers, and of the line between them in a `HabitPlane`.

    Args:
        points: [N, 2] of the examples of the evaluation.
        evaluation: with the supervisor's labels as reference.

    Returns:
        accuracy, agreement, imitation, AUC, the fraction of the answers that are the second one; tilt, the same without
        its sign as `away` (both in degrees), and the fraction of the answers that the line gives again. The last three
        are None where there is no line.
    """
    second = np.array(evaluation.predictions) == evaluation.task.answers[1]
    line = decision_line(points, second)
    return {
        "accuracy": evaluation.accuracy,
        "agreement": evaluation.agreement,
        "imitation": evaluation.imitation,
        "auc": evaluation.auc,
        "second": float(second.mean()),
        "tilt": line and line.tilt,
        "away": line and abs(line.tilt),
        "given": line and line.given,
    }


def _with_moments(rows: Rows) -> Rows:
    """The rows of one student, marked where it is best on the test set, where trusted examples choose it, and last."""
    chosen = {
        "best": max(rows, key=lambda row: row["accuracy"]),
        "trusted": max(rows, key=lambda row: row["trusted_accuracy"]),
        "last": rows[-1],
    }
    return [row | {moment: True for moment in MOMENTS if chosen[moment] is row} for row in rows]


def _finish(rows: Rows) -> tuple[dict, str, dict[str, Figure]]:
    rows = rounded(rows)
    facts = {
        "pocket": {"task": "sentiment", "sizes": astuple(SIZES), **PLAN.to_dict()},
        "real": {"task": TASK, "model": MODEL, "layer": LAYER, "supervisor": SUPERVISOR, "sizes": astuple(REAL_SIZES)},
        "supervisor": {
            world: mean_of(select(rows, world=world, last=True, labels=LABELS[0]), "weak_away")
            for world in (POCKET, REAL)
        },
        "moments": moments(rows),
        "swing": swing(rows),
        "rows": rows,
    }
    text = "\n\n".join((tilt_text(facts["moments"], facts["supervisor"]), swing_text(facts["swing"])))
    return facts, text, {"tilt.png": tilt_figure(rows)}


def tilt_figure(rows: Rows) -> Figure:
    """Tilt above accuracy, in both worlds: along the training, and along C."""
    figure = figure_of(15, 13)
    axes = figure.subplots(2, 2, sharex="col", sharey="row")
    for column, (world, x, title) in enumerate(WORLDS):
        own = [row for row in rows if row["world"] == world]
        weak, away = (mean_of(own, name)["mean"] for name in ("weak", "weak_away"))
        levels = {
            "tilt": {"upright: the truth": (ROLE["truth"], 0.0)},
            "accuracy": {"weak supervisor": (ROLE["weak"], weak)},
        }
        if away is not None:
            levels["tilt"]["the supervisor's own labels"] = (ROLE["weak"], away)
        for ax, (name, quantity) in zip(axes[:, column], QUANTITIES.items(), strict=True):
            curves = {kind: (look, _curves(own, kind, x, name)) for kind, look in LOOKS.items()}
            seed_curves(curves, ax, quantity=quantity, lines=levels[name])
            ax.set_xlabel("optimizer steps", fontsize=SIZE)
            if x == "C":
                ax.set(xscale="log", xlabel="C of the probe (right: it may fit its labels more closely)")
        axes[0, column].set_title(title, fontsize=SIZE)
    return figure


def _curves(rows: Rows, kind: str, x: str, name: str) -> list[list[tuple[float, float]]]:
    """For each seed the points (x, number) of the students of these labels; nan where the number is undefined."""
    own = [row for row in rows if row["labels"] == kind]
    seeds = sorted({row["seed"] for row in own})
    return [[(row[x], math.nan if row[name] is None else row[name]) for row in select(own, seed=s)] for s in seeds]


def moments(rows: Rows) -> list[dict]:
    """A row for each world, kind of labels and moment: means over seeds, and how many lines are nearer to the truth."""
    found = []
    for world in dict.fromkeys(row["world"] for row in rows):
        for kind in LABELS:
            for moment in MOMENTS:
                own = select(rows, world=world, labels=kind, **{moment: True})
                means = {name: mean_of(own, name) for name in ("accuracy", "tilt", "away")}
                upright = sum(row["away"] is not None and row["away"] < UPRIGHT for row in own)
                found.append({"world": world, "labels": kind, "moment": moment, **means, "upright": upright})
    return found


def swing(rows: Rows) -> list[dict]:
    """A row for each kind of labels and each of the first steps in the pocket world: means over seeds.

    The student leans towards one answer and back, which moves its accuracy and the share of its second answer; the
    order of the examples, which the AUC measures, hardly moves meanwhile.
    """
    found = []
    for kind in LABELS:
        for step in SWING:
            own = select(rows, world=POCKET, labels=kind, step=step)
            means = {name: mean_of(own, name) for name in ("accuracy", "auc", "second")}
            found.append({"labels": kind, "step": step, **means})
    return found


def swing_text(found: Sequence[dict]) -> str:
    """`swing` as aligned text."""
    lines = [f"{'first steps':<15}{'step':>6}{'accuracy':>21}{'AUC':>21}{'says the second':>21}"]
    for row in found:
        numbers = "".join(f"{_interval(row[name], 3):>21}" for name in ("accuracy", "auc", "second"))
        lines.append(f"{row['labels']:<15}{row['step']:>6}{numbers}")
    return "\n".join(lines)


def tilt_text(found: Sequence[dict], supervisors: Mapping[str, dict]) -> str:
    """`moments` as aligned text, and how far the lines of the supervisors' own labels are from upright."""
    head = f"{'world':<14}{'labels':<15}{'moment':<9}{'accuracy':>20}{'degrees from upright':>24}{'below 45':>12}"
    lines = [head]
    for row in found:
        accuracy, away = (_interval(row[name], digits) for name, digits in (("accuracy", 3), ("away", 0)))
        count = f"{row['upright']} of {row['accuracy']['n']}"
        lines.append(f"{row['world']:<14}{row['labels']:<15}{row['moment']:<9}{accuracy:>20}{away:>24}{count:>12}")
    lines += ["", *(f"the supervisor's own labels, {world}: {_interval(one, 0)}" for world, one in supervisors.items())]
    return "\n".join([*lines, "Both axes of the plane use the truth, and the best moment is an oracle's choice."])


def _interval(one: dict, digits: int) -> str:
    if one["mean"] is None:
        return "undefined"
    ends = "" if one["low"] is None else f" [{one['low']:.{digits}f}, {one['high']:.{digits}f}]"
    return f"{one['mean']:.{digits}f}{ends}"


def _claims(world: str, quantity: str) -> tuple[Finding, ...]:
    """The claims about one world, of the degrees from upright at the last moment.

    They are compared with those at the moment that trusted examples choose, and those of the student of random errors.
    """
    weak, random = ({"world": world, "labels": kind, "last": True} for kind in LABELS)
    real = {POCKET: "A student", REAL: "On real English, a student"}[world]
    return (
        Finding(
            f"{real} that fits its labels ever more closely turns from the truth to its supervisor's habit",
            "this kit",
            f"degrees from upright at the end, {quantity}",
            "tilt",
            change("away", weak, {"world": world, "labels": LABELS[0], "trusted": True}),
            control="the moment that trusted examples choose",
            world=world,
            margin=None,
        ),
        Finding(
            f"{real} of as many random errors turns less",
            "this kit",
            f"degrees from upright at the end, random errors, {quantity}",
            "tilt",
            change("away", random, weak),
            sign=-1,
            control="weak labels",
            world=world,
            margin=None,
        ),
    )


CLAIMS = (
    *_claims(POCKET, "sentiment"),
    *_claims(REAL, "film reviews, a probe of SmolLM2-135M"),
)
ABOUT = "is the student's line upright where it is best, and does it tilt into its supervisor's errors?"
STUDY = Study("tilt", ABOUT, 8, _stages, _finish, CLAIMS)
