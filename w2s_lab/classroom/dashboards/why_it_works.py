"""Why a student surpasses its supervisor, to be seen: its line stands upright first, and tilts into the errors later.

Each point is an input that the student learns from, in a plane of the network's own features from before the first
label (see `methods.tilt`): across lies the truth, up what else the supervisor goes by. The line is that of the
student's answers to test examples at one step.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial

import ipywidgets as widgets
import numpy as np

from w2s_lab.classroom.toolkit.chart import MINUS, Chart, Mark, Series
from w2s_lab.classroom.toolkit.panel import Panel, Report, View, choice, stops
from w2s_lab.classroom.toolkit.real_world import RealEnglish, probe_history, real_english
from w2s_lab.classroom.toolkit.worlds import Worlds
from w2s_lab.data.sources import load_splits
from w2s_lab.experiments.procedure import Bench, Plan, split_curve
from w2s_lab.experiments.store import Store
from w2s_lab.figures.plots import ROLE, Role
from w2s_lab.methods.simulated import class_conditional_errors, random_errors
from w2s_lab.methods.tilt import DecisionLine, decision_line, habit_plane
from w2s_lab.recipe import Recipe
from w2s_lab.records import Evaluation, LabelledSet, Snapshot
from w2s_lab.studies import leakage

SHOWN = 300  # inputs that are drawn
TESTS = 500  # test examples, of which the line is made
RECIPE = Recipe(epochs=4, learning_rate=1e-4, eval_every=16)  # that of notebook 04
WIDE, HIGH, AROUND = 592, 290, 66  # pixels: of the plane, and above and below it; a unit is as long across as up
STEADY = 15  # degrees from upright that still look upright
EVERY = 600  # milliseconds between two steps of Play
LEARNING = (
    "A network of this leakage reads the reviews and learns the weak labels. That takes some seconds the first time; "
    "the store then keeps what it has learnt."
)
FITTING = (
    "A student learns these labels. That takes about half a minute the first time; the store then keeps what it has "
    "learnt."
)
KINDS = {"weak": "the supervisor's labels", "random": "as many errors, at random places",
         "class": "as many errors, all in one class"}  # fmt: skip
RIGHT, WRONG = "#888888", ROLE["same"].color
NOW, BEST = (
    Role("the student now", ROLE["student"].color, "", ""),
    Role("at its best", ROLE["student"].color, "", "", "--"),
)

Features = tuple[np.ndarray, np.ndarray]
History = Sequence[Snapshot]
Students = Mapping[str, tuple[LabelledSet, History | Callable[[Report | None], History]]]


@dataclass(frozen=True)
class Moment:
    """A student at one step, on the test examples.

    Attributes:
        step: number of optimizer steps.
        evaluation: its answers.
        line: of them; None where no straight line tells them apart.
    """

    step: int
    evaluation: Evaluation
    line: DecisionLine | None


class Scene:
    """Students in the plane of one network's features: what there is to be seen at each of their steps.

    Attributes:
        steps: that all students share.
        read: fraction of the test examples that lie on the side of their answer, by the axis of the truth alone.

    Args, Raises: as of `tilt_explorer`.
    """

    def __init__(self, features: Features, students: Students) -> None:
        plane = habit_plane(features[0], students["weak"][0])
        points, self._tests = (plane.points(table) for table in (features[0][:SHOWN], features[1]))
        self._students, self._courses, self.steps = students, {}, []
        for kind, (_, history) in sorted(students.items(), key=lambda item: item[0] != "weak"):
            if kind == "weak" or not callable(history):
                self.learn(kind)
        self._half = 1.04 * max(np.abs(points[:, 0]).max(), np.abs(points[:, 1]).max() * WIDE / HIGH)
        self._marks = {kind: _marks(points, labels) for kind, (labels, _) in students.items()}
        said = self._courses["weak"][0].evaluation
        second = np.array(said.truth) == (said.task.answers or ("", ""))[1]
        middle = np.quantile(self._tests[:, 0], 1 - second.mean())
        self.read = float(np.mean((self._tests[:, 0] > middle) == second))

    def knows(self, kind: str) -> bool:
        """Whether the student of these labels has learnt them."""
        return kind in self._courses

    def learn(self, kind: str, report: Report | None = None) -> None:
        """Have the student of these labels learn them, and note its course; `report` is told of every step.

        Raises:
            ValueError: it has other steps than the student of weak labels, or fewer than two.
        """
        history = self._students[kind][1]
        course = _course(self._tests, history(report) if callable(history) else history)
        steps = [moment.step for moment in course]
        if len(steps) < 2 or self.steps not in ([], steps):
            shared = self.steps or steps
            raise ValueError(
                f"tilt_explorer: the students have other steps than {shared}; expected two or more in common"
            )
        self._courses[kind], self.steps = course, steps

    def view(self, learns: str, step: int, before: str = "") -> View:
        """The plane, the curve and the words; `before` comes before these. The student has to have learnt."""
        labels, steps, half = self._students[learns][0], self.steps, self._half
        first, second = labels.task.answers or ("", "")
        course = self._courses[learns]
        now, best = course[steps.index(step)], _best(course)
        says = before + _says(labels, now, best, len(self._tests))
        dashed = replace(BEST, name=f"at its best (step {best.step})")
        lines = [_drawn(best.line, dashed, half)] * (best is not now) + [_drawn(now.line, NOW, half)]
        seen = Chart(
            f"across: what is {first} (left) and {second} (right); standard deviations",
            "up: what else the supervisor goes by", (*self._marks[learns], *lines), x_range=(-half, half),
            y_range=(-half * HIGH / WIDE, half * HIGH / WIDE), said=says, height=HIGH + AROUND,
        )  # fmt: skip
        weak = Series(steps, [_weak(now.evaluation)] * len(steps), "weak", points=False)
        accuracy = Series(steps, [moment.evaluation.accuracy for moment in course], "student")
        below = Chart(
            "optimizer steps", "accuracy on test", (weak, accuracy), (Mark(step),), x_range=(steps[0], steps[-1]),
            y_range=(0.45, 1.0), said=says, height=130,
        )  # fmt: skip
        return View(says, (seen, below))


def tilt_explorer(features: Features, students: Students) -> Panel:
    """A slider over the steps of a student, Play, and a menu of what it learns; the line is that of its answers.

    The plane is that of the supervisor for all students. It starts at the end of the training on weak labels.

    Args:
        features: [N, d] of the inputs that the students learn, [M, d] of the test examples: of the network that they
            began as.
        students: key of KINDS -> what the student learns, and its snapshots on the test examples, with the
            supervisor's labels as reference. All share their steps; "weak" has to be there. In place of snapshots, a
            function that trains and returns them: it is called when the student is first chosen ("weak": at once), with
            a function of (steps done, of how many) to tell how far it is, or None.

    Raises:
        ValueError: there is no student of weak labels, a student has other steps, or there is no such plane (see
            `habit_plane`).
    """
    if "weak" not in students or not set(students) <= set(KINDS):
        raise ValueError(f"tilt_explorer: students of {list(students)}; expected 'weak' among {list(KINDS)}")
    scene = Scene(features, students)

    def draw(step: int, learns: str) -> View:
        if not scene.knows(learns):
            with panel.working(FITTING) as report:
                scene.learn(learns, report)
        return scene.view(learns, step)

    menu = choice("student learns", [(KINDS[kind], kind) for kind in students], "weak", width="330px")
    panel = _played(scene.steps, "learns", menu, draw)
    return panel


def leakage_explorer(students: Mapping[float, Callable[[], Scene]]) -> Panel:
    """A slider over the leakage of pre-training, and the steps of the student that began as such a network.

    Each network has a plane of its own. The first one is there at once; another one is made when it is first chosen,
    and the panel says so meanwhile.

    Args:
        students: share of the reviews whose closing sentences followed the verdict -> makes the scene of a student of
            weak labels. All students share their steps.

    Raises:
        ValueError: the student of another share has other steps.
    """
    shares, made = list(students), {}
    made[shares[0]] = students[shares[0]]()
    steps = made[shares[0]].steps

    def draw(step: int, leakage: float) -> View:
        if leakage not in made:
            with panel.working(LEARNING):
                scene = students[leakage]()
            if scene.steps != steps:
                raise ValueError(f"leakage_explorer: steps {scene.steps} at {leakage:g}; expected {steps}")
            made[leakage] = scene
        scene = made[leakage]
        told = f"In pre-training, {leakage:.0%} of the reviews were closed by sentences that follow their verdict, the "
        told += "others by sentences that follow a coin. "
        told += f"The axis across alone is right on {scene.read:.0%} of the test examples. "
        return scene.view("weak", step, told)

    dial = stops("leakage", [(f"{share:.0%}", share) for share in shares], shares[0], width="250px")
    panel = _played(steps, "leakage", dial, draw)
    return panel


def _played(steps: Sequence[int], name: str, control: widgets.Widget, draw: Callable[..., View]) -> Panel:
    """A panel with a slider over the steps, Play, and one more control; it starts at the last step."""
    controls = {"step": stops("step", steps, steps[-1], width="240px"), name: control}
    panel = Panel("Why it works: the student's line between truth and habit", controls, draw)
    play = widgets.Play(value=len(steps) - 1, min=0, max=len(steps) - 1, interval=EVERY)
    widgets.link((play, "value"), (controls["step"], "index"))
    panel.children[1].children = (controls["step"], play, control)
    return panel


def _course(tests: np.ndarray, history: Sequence[Snapshot]) -> tuple[Moment, ...]:
    found = []
    for snapshot in history:
        said = snapshot.evaluation
        if said is None or said.reference is None:
            raise ValueError(
                f"tilt_explorer: step {snapshot.step} was not compared with the supervisor's labels of the test set"
            )
        second = np.array(said.predictions) == said.task.answers[1]
        found.append(Moment(snapshot.step, said, decision_line(tests, second)))
    return tuple(found)


def _best(course: Sequence[Moment]) -> Moment:
    """By accuracy on the test examples, the first of equals; never the untrained model."""
    return max(course[1:], key=lambda moment: moment.evaluation.accuracy)


def _marks(points: np.ndarray, labels: LabelledSet) -> list[Series]:
    """The points by their label, and by whether it is right; the wrong ones last, over the others."""
    shown = labels.take(range(len(points)))
    given = np.array(shown.answers)
    right = given == np.array([example.answer for example in shown.examples])
    found = []
    for is_right, color, word in ((True, RIGHT, "right"), (False, WRONG, "wrong")):
        for answer, marker in zip(labels.task.answers or (), "o^", strict=True):
            x, y = points[(given == answer) & (right == is_right)].T
            found.append(Series(x, y, Role(f"label {answer}, {word}", color, marker, ""), line=False, faint=is_right))
    return found


def _drawn(line: DecisionLine | None, look: Role, half: float) -> Series:
    """A line from edge to edge; none where there is no line, but its name stays in the legend."""
    if line is None:
        return Series([], [], look, points=False)
    ends = np.outer((-3 * half, 3 * half), (-line.up, line.across)) - line.offset * np.array([line.across, line.up])
    return Series(*ends.T, look, points=False)


def _weak(evaluation: Evaluation) -> float:
    reference = evaluation.reference or ()
    return sum(a == b for a, b in zip(reference, evaluation.truth, strict=True)) / len(evaluation)


def _says(labels: LabelledSet, now: Moment, best: Moment, tests: int) -> str:
    """What is true of the numbers that are shown."""
    said, weak = now.evaluation, _weak(now.evaluation)
    against = "above" if said.accuracy > weak else "below" if said.accuracy < weak else "level with"
    look = "no straight line tells the student's answers apart here, so there is no tilt"
    if now.line is not None:
        tilt, share = _degrees(now.line), f"{now.line.given:.0%}"
        look = f"the line is tilted by {tilt}, {_look(now.line.tilt)}; it accounts for {share} of the student's answers"
    course = "its best step" if now is best else f"best at step {best.step}: {best.evaluation.accuracy:.3f}"
    if now is not best and best.line is not None:
        course += f", tilt {_degrees(best.line)}"
    first = (said.task.answers or ("",))[0]
    often, truly = (answers.count(first) / len(said) for answers in (said.predictions, said.truth))
    return (
        f"Step {now.step}: {look}. {labels.label_accuracy:.0%} of the labels it learns are right. Accuracy on {tests} "
        f"test examples {said.accuracy:.3f}, {against} the supervisor's {weak:.3f} ({course}). It answers {first} to "
        f"{often:.0%} of them; {truly:.0%} are. Both axes use the truth: the picture explains, and it detects nothing."
    )


def _degrees(line: DecisionLine) -> str:
    return f"{line.tilt:.0f}°".replace("-0°", "0°").replace("-", MINUS)


def _look(tilt: float) -> str:
    away = abs(tilt)
    if away <= STEADY:
        return "so it is nearly upright and follows the truth"
    habit = "the supervisor's habit" if tilt > 0 else "the opposite of the supervisor's habit"
    if abs(away - 90) <= STEADY:
        return f"so it is nearly level and follows {habit}, hardly the truth"
    if away <= 45:
        return f"so it follows the truth more than {habit}"
    return f"so it follows {habit} more than the truth" if away <= 90 else "so it follows the opposite of the truth"


# -- the two worlds ----------------------------------------------------------------------------------------------


def why_it_works(store: Store, *, seed: int = 0) -> Worlds:
    """The picture in both worlds: students of weak labels, of as many random errors, of as many errors in one class.

    In the pocket world `pocket-l` is fine-tuned in the way of notebook 04: on the weak labels at once, on the other
    labels when they are first chosen. On real English a linear probe learns on SmolLM2's features by gradient descent.
    *Leakage* is the pocket world with `pocket-m`, pre-trained on
    reviews of which fewer told their verdict, as in the study `leakage`.

    Args:
        store: keeps trainings and features.
        seed: of the split and of the places of the errors.
    """
    told = {share: lambda share=share: _told(store, seed, share) for share in sorted(leakage.SHARES)}
    return Worlds(
        _pocket(store, seed), lambda: _real(real_english(store, seed=seed)), (lambda: leakage_explorer(told), LEARNING)
    )


def _told(store: Store, seed: int, share: float) -> Scene:
    """A student that began as the network of this leakage."""
    splits = load_splits("sentiment", seed=seed, sizes=leakage.SIZES)
    bench = Bench(splits, leakage.plan_of(share), store, seed)
    student = (bench.labels, _learn(bench, bench.labels, bench.plan.recipe, "strong student"))
    parts = (splits.student_train, splits.test)
    features = tuple(store.features(bench.strong, part, pool="mean") for part in parts)
    return Scene(features, {"weak": student})


def _pocket(store: Store, seed: int) -> Panel:
    splits = load_splits("sentiment", seed=seed)
    splits = replace(splits, test=splits.test.take(range(TESTS)))
    bench = Bench(splits, Plan(), store, seed)
    names = {"weak": "strong student", "random": "student on random errors", "class": "student on errors in one class"}
    students = {
        kind: (labels, partial(_learn, bench, labels, RECIPE, names[kind]))
        for kind, labels in wrong_labels(bench.labels, seed=seed).items()
    }
    features = tuple(store.features(bench.strong, part) for part in (splits.student_train, splits.test))
    return tilt_explorer(features, students)


def _learn(bench: Bench, labels: LabelledSet, recipe: Recipe, role: str, report: Report | None = None) -> History:
    """A student's snapshots on the test examples."""
    watched = {"watch": bench.watch, "reference": bench.watched, "on_step": report}
    model = bench.train(bench.strong, labels, recipe, role, **watched)
    return split_curve(model.history, bench.splits)[0]


def _real(real: RealEnglish) -> Panel:
    students = {
        kind: (labels, probe_history(real.features[0], labels, real.features[1], real.reference))
        for kind, labels in wrong_labels(real.labels, seed=real.seed).items()
    }
    return tilt_explorer(real.features, students)


def wrong_labels(labels: LabelledSet, *, seed: int) -> dict[str, LabelledSet]:
    """Key of KINDS -> labels of the same inputs with as many errors: the given ones, at random places, in one class.

    The class is the one in which the given labels are wrong more often; the first of equals.
    """
    task, right = labels.task, labels.label_accuracy
    truth = LabelledSet.ground_truth(task, labels.examples)
    wrong = [b for a, b in zip(labels.answers, truth.answers, strict=True) if a != b]
    worst = max(task.answers or (), key=wrong.count)
    other = next(answer for answer in task.answers or () if answer != worst)
    share = min(1.0, len(wrong) / truth.answers.count(worst))
    confusion = {worst: {worst: 1 - share, other: share}}
    return {
        "weak": labels,
        "random": random_errors(truth, right, seed=seed),
        "class": class_conditional_errors(truth, confusion, seed=seed),
    }
