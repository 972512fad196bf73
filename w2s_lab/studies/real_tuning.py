"""Does a fine-tuned real model surpass its supervisor on real English? Five seeds, in hours on a laptop.

Supervisor, split and way of training are those of `w2s-lab run --data film-reviews --strong smollm2-135m-q4`: a bag of
words, 480 labels, SmolLM2-135M, all weights. An arm differs from the first one in one thing: its labels, its loss, its
passes, its rate, its supervisor or its instruction. Its ceiling has the same passes, rate and instruction.
"""

from dataclasses import astuple, dataclass, replace

import numpy as np
from matplotlib.figure import Figure

from w2s_lab.data.sources import SplitSizes, load_splits, read_examples
from w2s_lab.experiments.procedure import Bench, Outcome, Plan, hard, split_curve
from w2s_lab.experiments.store import Store
from w2s_lab.figures import plots, study_plots
from w2s_lab.methods.labellers import labels_by
from w2s_lab.models.language_model import LanguageModel
from w2s_lab.objective import SoftTargets
from w2s_lab.recipe import Recipe
from w2s_lab.records import PARTS, Comparison, LabelledSet, Splits
from w2s_lab.studies.figures import figure_of
from w2s_lab.studies.measures import both_moments, level
from w2s_lab.studies.real_probe import MODEL, OTHERS, TASK, WORDINGS, labels_of_arm, table_of_groups
from w2s_lab.studies.study import (
    CANNOT_TELL,
    REAL,
    Finding,
    Rows,
    Setting,
    Study,
    cell,
    mean_of,
    numbers,
    outcome_numbers,
    rounded,
    select,
)
from w2s_lab.system.jobs import Job
from w2s_lab.training.evaluation import score

SIZES = SplitSizes(supervisor_train=1500, student_train=480, test=300, validation=100)
SUPERVISOR = "bag-of-words:1500"
ONE = Recipe(epochs=1, batch_size=8, learning_rate=5e-5, eval_every=20)
THREE = replace(ONE, epochs=3, eval_every=30)
ELSEWHERE = 200  # examples of each other kind of text


@dataclass(frozen=True)
class Arm:
    """One way to make a student, and for how many seeds it is done.

    Attributes:
        labels: as in `real_probe.labels_of_arm`.
        recipe: of student and ceiling; the ceiling learns by maximum likelihood.
        seeds: seeds 0 to seeds - 1, if as many are asked for.
        supervisor: who labels.
        instruction: what stands before each sentence; None: what the task says.
    """

    labels: str
    recipe: Recipe
    seeds: int
    supervisor: str = SUPERVISOR
    instruction: str | None = None


ARMS = {
    "weak labels": Arm("weak labels", ONE, 5),
    "random errors": Arm("random errors", ONE, 5),
    "soft weak labels": Arm("soft weak labels", replace(ONE, loss=SoftTargets()), 5),
    "errors by words": Arm("errors by words", ONE, 5),
    "weak labels, 3 passes": Arm("weak labels", THREE, 3),
    "random errors, 3 passes": Arm("random errors", THREE, 3),
    "rate 1e-4": Arm("weak labels", replace(ONE, learning_rate=1e-4), 3),
    "without instruction": Arm("weak labels", ONE, 3, instruction=WORDINGS["none"]),
    "labels of bag-of-words:400": Arm("weak labels", ONE, 5, "bag-of-words:400"),
}
TRUTH = "truth"
TRANSFERRED = ("weak labels", "random errors", TRUTH)  # arms that are tried on other kinds of text


def _stages(setting: Setting) -> list[list[Job]]:
    ceilings = {hard(arm.recipe).epochs: arm for arm in reversed(ARMS.values())}
    first = [
        Job(f"truth, {epochs} passes, seed {seed}", cell, (_student, setting, replace(arm, labels=TRUTH), TRUTH, seed))
        for epochs, arm in ceilings.items()
        for seed in range(min(setting.seeds, arm.seeds))
    ]
    then = [
        Job(f"{name}, seed {seed}", cell, (_student, setting, arm, name, seed))
        for name, arm in ARMS.items()
        for seed in range(min(setting.seeds, arm.seeds))
    ]
    return [first, then]


def _student(store: Store, device: str, arm: Arm, name: str, seed: int) -> Rows:
    """Numbers and curve of one student (of one ceiling, for the arm `TRUTH`), and what it does on other texts."""
    splits = _instructed(load_splits(TASK, seed=seed, sizes=SIZES), arm.instruction)
    own = Bench(splits, Plan(arm.supervisor, MODEL, recipe=arm.recipe, device=device), store, seed)
    labels = labels_of_arm(arm.labels, splits, own.labels, seed)
    student = _watched(own, labels, arm.recipe)
    ceiling = student if name == TRUTH else _watched(own, splits.student_train, hard(arm.recipe))
    curve, trusted = split_curve(student.history, splits)
    end = split_curve(ceiling.history, splits)[0][-1].evaluation
    weak = score(own.reference, own.reference)
    found = Outcome(seed, Comparison(weak, curve[-1].evaluation, end), labels.label_accuracy, curve, trusted)
    facts = {"arm": name, "epochs": arm.recipe.epochs, "seed": seed}
    points = [(one.examples_seen, one.evaluation.accuracy, one.evaluation.imitation) for one in curve]
    rows = [{"question": "students", **facts, "curve": points, **outcome_numbers(found)}]
    if name in TRANSFERRED and arm.recipe == ONE:
        rows += [{"question": "transfer", **facts, **row} for row in _elsewhere(own, student, ceiling)]
    return rows


def _instructed(splits: Splits, instruction: str | None) -> Splits:
    """The same examples with another instruction; None leaves them as they are."""
    if instruction is None:
        return splits
    parts = {name: getattr(splits, name) for name in PARTS}
    return Splits(
        **{
            name: replace(part, examples=tuple(replace(one, instruction=instruction) for one in part.examples))
            for name, part in parts.items()
        }
    )


def _watched(own: Bench, labels: LabelledSet, recipe: Recipe) -> LanguageModel:
    """A model that learns these labels; its snapshots see the test and the trusted examples."""
    return own.train(own.strong, labels, recipe, "strong student", watch=own.watch, reference=own.watched)


def _elsewhere(own: Bench, student: LanguageModel, ceiling: LanguageModel) -> Rows:
    """The student, its supervisor and its ceiling on other kinds of text; the examples are the same for all seeds."""
    rows = []
    for task in OTHERS:
        kind, examples, _ = read_examples(task)
        chosen = np.random.default_rng(0).permutation(len(examples))[:ELSEWHERE]
        test = LabelledSet.ground_truth(kind, [examples[i] for i in chosen])
        reference = labels_by(own.supervisor(), test)
        weak, *both = (
            score(labels, reference) for labels in (reference, *(own.store.labels(m, test) for m in (student, ceiling)))
        )
        rows.append({"task": task, **numbers(Comparison(weak, *both))})
    return rows


# -- the results -------------------------------------------------------------------------------------------------


def _finish(rows: Rows) -> tuple[dict, str, dict[str, Figure]]:
    facts = {"supervisor": SUPERVISOR, "model": MODEL, "task": TASK, "sizes": astuple(SIZES)}
    facts |= {"recipes": {name: arm.recipe.to_dict() for name, arm in ARMS.items()}, "rows": rounded(rows)}
    return facts, real_tuning_text(rows), {"real-tuning.png": real_tuning_figure(rows)}


def real_tuning_text(rows: Rows) -> str:
    """All tables as aligned text."""
    students = [row for row in rows if row["question"] == "students"]
    at_end = ("weak", "accuracy", "trusted_accuracy", "ceiling", "imitation")
    lines = table_of_groups([row for row in students if row["arm"] != TRUTH], "arm", tuple(ARMS), at_end)
    for arm in TRANSFERRED[:-1]:
        own = [row for row in rows if row["question"] == "transfer" and row["arm"] == arm]
        lines += ["", f"students of {arm} from film reviews, on"]
        lines += table_of_groups(own, "task", OTHERS, ("weak", "accuracy", "ceiling"))
    lines += [
        "",
        "The PGR is that at the end of the training; `trusted accuracy` is that of the snapshot which 100 trusted",
    ]
    return "\n".join([*lines, "examples choose. The ceiling is the same model, trained in the same way on the truth."])


def real_tuning_figure(rows: Rows) -> Figure:
    """Accuracy and imitation along the training, means over seeds; a row of panels for each number of passes."""
    students = [row for row in rows if row["question"] == "students"]
    passes = sorted({row["epochs"] for row in students})
    figure = figure_of(15, 6.8 * len(passes))
    for row, epochs in enumerate(passes):
        own = [row for row in students if row["epochs"] == epochs]
        curves = {name: select(own, arm=arm) for name, arm in _drawn(epochs).items()}
        weak = mean_of(curves["weak labels"], "weak")["mean"]
        for column, (place, quantity) in enumerate(QUANTITIES.items()):
            ax = figure.add_subplot(len(passes), 2, 1 + 2 * row + column)
            drawn = {
                name: (LOOKS[name], [[(point[0], point[1 + column]) for point in one["curve"]] for one in own_rows])
                for name, own_rows in curves.items()
                if own_rows
            }
            lines = {"weak supervisor": (plots.ROLE["weak"], weak)} if place == "accuracy" else None
            study_plots.seed_curves(drawn, ax, quantity=quantity, lines=lines)
            passes_over = "one pass" if epochs == 1 else f"{epochs} passes"
            ax.set_title(f"{passes_over} over {SIZES.student_train} labels", fontsize=plots.SIZE)
    return figure


LOOKS = {"weak labels": plots.ROLE["student"], "random errors": plots.ROLE["random"], TRUTH: plots.ROLE["ceiling"]}
QUANTITIES = {
    "accuracy": "accuracy (fraction of test examples)",
    "imitation": "imitation (fraction of weak errors repeated)",
}


def _drawn(epochs: int) -> dict[str, str]:
    """Name in the figure -> name of the arm."""
    return {name: name if epochs == 1 or name == TRUTH else f"{name}, {epochs} passes" for name in LOOKS}


def _rows_of(name: str) -> dict[str, str]:
    """What the rows of an arm have in common."""
    return {"question": "students", "arm": name}


WHERE = "film reviews, SmolLM2-135M, fine-tuned"
CLAIMS = (
    Finding(
        "On real English, naive fine-tuning on weak labels recovers part of the gap (PGR > 0)",
        "Burns et al. 2023, section 4.2",
        f"PGR at the end, hard labels, {WHERE}",
        "real-tuning",
        level("pgr", _rows_of("weak labels")),
        control="the supervisor",
        world=REAL,
        beside="Naive fine-tuning on weak labels recovers part of the gap (PGR > 0)",
    ),
    Finding(
        "The same, fine-tuned on soft labels",
        "Burns et al. 2023, section 4.2",
        f"PGR at the end, soft labels, {WHERE}",
        "real-tuning",
        level("pgr", _rows_of("soft weak labels")),
        control="the supervisor",
        world=REAL,
        beside="The same, on soft labels, as in their released code",
    ),
    Finding(
        "On real English, soft labels teach more than hard ones",
        "Hinton et al. 2015",
        f"accuracy, {WHERE}",
        "real-tuning",
        **both_moments(_rows_of("soft weak labels"), _rows_of("weak labels")),
        control="weak labels (hard)",
        world=REAL,
        beside="Soft labels teach more than hard ones",
        because=(
            CANNOT_TELL,
            "After one pass over 480 labels the two end level. About half of the supervisor's answers have a "
            "probability above 0.9, so that half of its soft labels are nearly hard. Five seeds do not show a "
            "difference below 0.02.",
        ),
    ),
    Finding(
        "On real English, random errors are corrected, systematic ones imitated",
        "Burns et al. 2023",
        f"accuracy, as many random errors, {WHERE}",
        "real-tuning",
        **both_moments(_rows_of("random errors"), _rows_of("weak labels")),
        control="weak labels (hard)",
        world=REAL,
        beside="Random errors are corrected, systematic ones imitated",
        because=(
            CANNOT_TELL,
            "The mean points the other way: after one pass over 480 labels, the students of random errors are still "
            "learning, and their seeds end far apart. Probes, over 20 seeds, show the difference that is claimed.",
        ),
    ),
)
ABOUT = "does a real model, fine-tuned, surpass its supervisor on real English?"
STUDY = Study("real-tuning", ABOUT, 5, _stages, _finish, CLAIMS)
