"""From easy cases to hard ones: what does a student learn about reviews of which nobody could tell it the truth?

People judge easy cases well and hard ones badly, so their truth covers the easy ones only (Sun et al. 2024, arXiv
2403.09472, who train reward models on easy problems and use them on hard ones). In the pocket world plain reviews are
easy and all other constructions hard; of the film reviews those are easy that are short and that people agree on.

All students learn the same number of labels in the same number of steps; only the ceiling learns more. With a weak
supervisor's labels of the easy cases, the labels have errors too, and both effects of Lang et al. (2024, arXiv
2405.16043) are measured as they define them: see `methods.expansion`. Two worlds, two studies: `easy-to-hard`
fine-tunes a pocket model, `real-easy-to-hard` fits probes to a layer of SmolLM2-135M.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import astuple, dataclass, replace
from functools import partial

import numpy as np
from matplotlib.figure import Figure
from sklearn.preprocessing import StandardScaler

from w2s_lab.data.sources import SplitSizes, load_splits
from w2s_lab.experiments.store import Store
from w2s_lab.figures.plots import ROLE, SIZE
from w2s_lab.figures.study_plots import SERIES, seed_curves
from w2s_lab.methods import probe
from w2s_lab.methods.expansion import correction_bound, coverage, coverage_bound, expansion, neighbour_oracle
from w2s_lab.methods.labellers import labeller, labels_by
from w2s_lab.records import Evaluation, Example, LabelledSet, Splits
from w2s_lab.studies import mechanism, real_probe
from w2s_lab.studies.figures import figure_of
from w2s_lab.studies.measures import change, paired_by_seed, values_by_seed
from w2s_lab.studies.study import (
    CANNOT_TELL,
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

EASY, MIXED = "truth of easy cases", "as many truths of all kinds"
WEAK, ALL = "weak labels of easy cases", "truth of all cases"
WORDS, SUPERVISOR = "bag of words, truth of easy cases", "the supervisor"
STUDENTS = (EASY, MIXED, WEAK, ALL)
LEARNT = 750  # labels in the pocket world; every seed has more easy cases than that
STEPS, EVERY = 144, 16  # optimizer steps: six passes over these labels (chosen on seed 100)
REAL_SIZES = SplitSizes(supervisor_train=1500, student_train=4000, test=3500, validation=1000)
REAL_LEARNT = 170  # one film review in twenty is easy
LAYER = 15  # of the 30 of SmolLM2
PATH = (1e-5, *probe.STRENGTHS)  # values of C: the course of a probe's training
FAMILY, PART = 5, 0.8  # students whose expansion is measured, and the share of the labels that each learns
SMALL = 0.05  # q: smaller sets need not expand


@dataclass(frozen=True, eq=False)
class Cases:
    """What one seed of either world measures.

    Attributes:
        splits: the validation examples are the trusted ones.
        labels: the supervisor's labels of the student's inputs.
        reference: its labels of the test examples.
        easy: whether a case is easy.
        learnt: how many labels a student learns.
        table, of: [N, d] and [M, d] features of the student's inputs and of the test examples before any training.
    """

    seed: int
    splits: Splits
    labels: LabelledSet
    reference: LabelledSet
    easy: Callable[[Example], bool]
    learnt: int
    table: np.ndarray
    of: np.ndarray

    def rows(self, part: LabelledSet) -> np.ndarray:
        """[N] bool: which examples are easy."""
        return np.array([self.easy(example) for example in part.examples])

    @property
    def given(self) -> dict[str, LabelledSet]:
        """What each student learns; without ties to how easy a case is, the first examples are as good as any."""
        inputs = self.splits.student_train
        covered = np.flatnonzero(self.rows(inputs))[: self.learnt]
        if len(covered) < self.learnt:
            raise ValueError(f"seed {self.seed}: {len(covered)} easy cases; expected {self.learnt} or more")
        return {
            EASY: inputs.take(covered),
            MIXED: inputs.take(range(self.learnt)),
            WEAK: self.labels.take(covered),
            ALL: inputs,
        }

    def trusted(self, arm: str) -> tuple[str, ...]:
        """Ids of the trusted examples that choose the moment: easy ones, or as many of all kinds, as its labels are."""
        trusted = self.splits.validation
        easy = trusted.take(self.rows(trusted))
        return easy.ids if arm in (EASY, WEAK) else trusted.ids[: len(easy)]


# -- the two worlds ----------------------------------------------------------------------------------------------


def _plain(example: Example) -> bool:
    return "plain" in example.tags


def _pocket(store: Store, device: str, seed: int) -> Rows:
    own = bench(store, "sentiment", replace(mechanism.PLAN, device=device), seed, SIZES)
    parts = (own.splits.student_train, own.splits.test)
    features = (store.features(own.strong, part, layer=own.strong.layers) for part in parts)
    cases = Cases(seed, own.splits, own.labels, own.reference, _plain, LEARNT, *features)
    rows = []
    for arm, labels in cases.given.items():
        recipe = replace(own.plan.recipe.lasting(STEPS, len(labels)), eval_every=EVERY)
        model = own.train(own.strong, labels, recipe, arm, watch=own.watch, reference=own.watched)
        course = [(snapshot.step, snapshot.evaluation) for snapshot in model.history[1:]]  # never the untrained model
        rows.append(student_row(cases, arm, labels, course))
    return [*rows, *others(cases), *checked(cases)]


def _clear_and_short(example: Example) -> bool:
    return {"clear", "short"} <= set(example.tags)


def _states(store: Store, device: str) -> real_probe.States:
    return real_probe.states_of(str(store.root), device, real_probe.TASK, layers=(LAYER,))


def _reading(store: Store, device: str) -> Rows:
    _states(store, device)
    return []


def _real(store: Store, device: str, seed: int) -> Rows:
    states = _states(store, device)
    splits = load_splits(real_probe.TASK, seed=seed, sizes=REAL_SIZES)
    able = labeller(real_probe.SUPERVISOR, splits.supervisor_train)
    labels, reference = labels_by(able, splits.student_train), labels_by(able, splits.test)
    features = (states.of(part)[LAYER] for part in (splits.student_train, splits.test))
    cases = Cases(seed, splits, labels, reference, _clear_and_short, REAL_LEARNT, *features)
    watch = LabelledSet.ground_truth(splits.task, (*splits.test.examples, *splits.validation.examples))
    seen, rows = states.of(watch)[LAYER], []
    for arm, given in cases.given.items():
        table = states.of(given)[LAYER]
        fitted = [(C, probe.fit_probe(table, given, C=C)) for C in PATH]
        course = [(C, score(probe.predict(one, seen, watch))) for C, one in fitted]
        rows.append(student_row(cases, arm, given, course))
    return [*rows, *others(cases), *checked(cases)]


# -- what is measured --------------------------------------------------------------------------------------------


def accuracies(cases: Cases, evaluation: Evaluation) -> dict[str, float]:
    """Accuracy on the easy and on the hard test examples, and on each kind of hard ones (by its first tag)."""
    own = evaluation.take(cases.splits.test.ids)
    easy = cases.rows(cases.splits.test)
    kinds = np.array([", ".join(example.tags) or "no tag" for example in cases.splits.test.examples])
    found = {"easy": float(own.correct[easy].mean()), "hard": float(own.correct[~easy].mean())}
    return found | {f"of {kind}": float(own.correct[kinds == kind].mean()) for kind in np.unique(kinds[~easy])}


def student_row(cases: Cases, arm: str, labels: LabelledSet, course: Sequence[tuple[float, Evaluation]]) -> dict:
    """The numbers of one student at the end of its course, and at the moment that trusted examples choose.

    Args:
        cases: of the seed.
        arm: name of the student.
        labels: what it learns.
        course: (step, or C; the student on test and validation examples), in order.
    """
    trusted = [evaluation.take(cases.trusted(arm)).accuracy for _, evaluation in course]
    chosen = int(np.argmax(trusted))  # the first of equals
    found = [accuracies(cases, evaluation) for _, evaluation in course]
    curve = [(x, one["easy"], one["hard"]) for (x, _), one in zip(course, found, strict=True)]
    facts = {"question": "students", "seed": cases.seed, "arm": arm, "examples": len(labels)}
    facts |= {"label_accuracy": labels.label_accuracy, **found[-1], "chosen": course[chosen][0]}
    return facts | {f"trusted_{name}": value for name, value in found[chosen].items()} | {"curve": curve}


def others(cases: Cases) -> Rows:
    """The supervisor, a bag of words that learnt the truth of the easy cases, and the best guess on hard ones."""
    words = labels_by(labeller("bag-of-words", cases.given[EASY]), cases.splits.test)
    test = cases.splits.test
    guess = max(np.unique(np.array(test.answers)[~cases.rows(test)], return_counts=True)[1]) / (~cases.rows(test)).sum()
    rows = []
    for arm, labels in ((SUPERVISOR, cases.reference), (WORDS, words)):
        found = accuracies(cases, score(labels))
        both = {**found, **{f"trusted_{name}": value for name, value in found.items()}}
        rows.append({"question": "students", "seed": cases.seed, "arm": arm, "guess": float(guess), **both})
    return rows


def checked(cases: Cases) -> Rows:
    """For each true answer: does the supervisor's cover expand, and what do the bounds of Lang et al. promise?

    As in their section 5, the students are probes of the untrained features that learnt different parts of the weak
    labels of the easy cases; of each number the worst counts. C is chosen by held-out weak labels.
    """
    labels, test = cases.given[WEAK], cases.splits.test
    place = {one: i for i, one in enumerate(cases.splits.student_train.ids)}
    table = cases.table[[place[one] for one in labels.ids]]
    C = probe.choose({0: table}, labels, Cs=PATH, seed=cases.seed).C
    rng = np.random.default_rng(cases.seed)
    parts = [rng.permutation(len(labels))[: round(PART * len(labels))] for _ in range(FAMILY)]
    students = [
        score(probe.predict(probe.fit_probe(table[part], labels.take(part), C=C), cases.of, test), cases.reference)
        for part in parts
    ]
    easy, standard = cases.rows(test), StandardScaler().fit(cases.table).transform(cases.of)
    truth, given = (np.array(one.answers, dtype=object) for one in (test, cases.reference))
    rows = []
    for i, answer in enumerate(test.task.answers or ()):
        good, bad, outside = (
            np.flatnonzero((truth == answer) & part)
            for part in (easy & (given == truth), easy & (given != truth), ~easy)
        )

        def factor(of: np.ndarray, among: np.ndarray, right: bool, q: float) -> float | None:
            sets = [student.correct[among] == right for student in students]
            if not len(of) or not len(among):
                return None
            return expansion(sets, neighbour_oracle(standard[of], standard[among]), q=q)

        found = [coverage(student, easy)[i] for student in students]
        label_error = found[0].label_error or 0.0
        worst = {
            name: max(getattr(one, name) for one in found)
            for name in ("disagreement", "covered_error", "uncovered_error")
        }
        to_bad = factor(bad, good, True, 0.0)
        from_good, from_bad = factor(good, outside, False, SMALL), factor(bad, outside, True, SMALL)
        apart = worst["disagreement"]
        bounds: dict[str, float | None] = {"correction_bound": None, "coverage_bound": None}
        if to_bad is not None:
            bounds["correction_bound"] = correction_bound(label_error, apart, to_bad)
        if from_good is not None:
            bounds["coverage_bound"] = coverage_bound(label_error, apart, from_good, from_bad, q=SMALL)
        facts = {"question": "expansion", "seed": cases.seed, "answer": answer, "C": C, "label_error": label_error}
        counts = {"good": len(good), "bad": len(bad), "outside": len(outside)}
        factors = {"good_to_bad": to_bad, "hard_to_good": from_good, "hard_to_bad": from_bad}
        rows.append({**facts, **counts, **worst, **factors, **bounds})
    return rows


# -- the results -------------------------------------------------------------------------------------------------

SHOWN = ("trusted_easy", "trusted_hard", "easy", "hard")
LOOKS = {
    EASY: replace(SERIES[0], marker="D"),
    MIXED: replace(SERIES[2], marker="s", line=":"),
    WEAK: ROLE["student"],
    ALL: ROLE["ceiling"],
}


def easy_to_hard_text(rows: Rows) -> str:
    """Means over seeds, with 95 % intervals, as aligned text."""
    own = select(rows, question="students")
    lines = [f"{'':<36}" + "".join(f"{name.replace('_', ' '):>22}" for name in SHOWN)]
    for arm in (*STUDENTS, WORDS, SUPERVISOR):
        lines.append(f"{arm:<36}" + "".join(f"{_interval(select(own, arm=arm), name):>22}" for name in SHOWN))
    names = ("label_error", "good_to_bad", "correction_bound", "covered_error", "hard_to_good", "hard_to_bad")
    names += ("coverage_bound", "uncovered_error")
    lines += ["", f"{'true answer':<14}" + "".join(f"{name.replace('_', ' '):>22}" for name in names)]
    of = select(rows, question="expansion")
    for answer in dict.fromkeys(row["answer"] for row in of):
        lines.append(f"{answer:<14}" + "".join(f"{_interval(select(of, answer=answer), name):>22}" for name in names))
    return "\n".join(lines)


def _interval(rows: Rows, name: str) -> str:
    mean = mean_of(rows, name)
    if mean["mean"] is None:
        return "undefined"
    ends = "" if mean["low"] is None else f" [{mean['low']:.3f}, {mean['high']:.3f}]"
    return f"{mean['mean']:.3f}{ends}"


def easy_to_hard_figure(rows: Rows, x: str) -> Figure:
    """Accuracy on easy and on hard cases along the course of each student."""
    own = select(rows, question="students")
    figure = figure_of(17, 10)
    for ax, kind in zip(figure.subplots(1, 2, sharey=True), ("easy", "hard"), strict=True):
        column = 1 if kind == "easy" else 2
        curves = {
            arm: (look, [[(point[0], point[column]) for point in row["curve"]] for row in select(own, arm=arm)])
            for arm, look in LOOKS.items()
        }
        lines = {
            SUPERVISOR: (ROLE["weak"], mean_of(select(own, arm=SUPERVISOR), kind)["mean"]),
            WORDS: (replace(SERIES[1], marker="", line=":"), mean_of(select(own, arm=WORDS), kind)["mean"]),
        }
        seed_curves(curves, ax, quantity="accuracy (fraction of test examples)", lines=lines)
        ax.set_title(f"{kind} cases", fontsize=SIZE)
        ax.set_xlabel(x, fontsize=SIZE)
        if x != POCKET_X:
            ax.set_xscale("log")
    return figure


POCKET_X, REAL_X = "optimizer steps", "C of the probe (right: it may fit its labels more closely)"


def _finish(study: str, x: str, facts: Mapping, rows: Rows) -> tuple[dict, str, dict[str, Figure]]:
    rows = sorted(rows, key=lambda row: row["seed"])
    return {**facts, "rows": rounded(rows)}, easy_to_hard_text(rows), {f"{study}.png": easy_to_hard_figure(rows, x)}


def _claims(
    study: str, world: str, prefix: str, where: str, because: Sequence[tuple[str, str]] = (("", ""),) * 4
) -> tuple[Finding, ...]:
    """The claims of one world; `prefix` begins their sentences there."""

    def finding(number: int, claim: str, quantity: str, moments: Sequence[Callable], **options) -> Finding:
        return Finding(
            claim=prefix + claim,
            quantity=f"{quantity}, {where}",
            study=study,
            measure=moments[0],
            at_end=moments[1],
            world=world,
            because=because[number],
            beside="T" + claim if world == REAL else "",
            **options,
        )

    def against(arm: str, control: str, kind: str) -> list[Callable]:
        return [change(f"{moment}{kind}", {"arm": arm}, {"arm": control}) for moment in ("trusted_", "")]

    def above_guess(name: str) -> Callable:
        return lambda rows: paired_by_seed(
            values_by_seed(rows, name, arm=WEAK), values_by_seed(rows, "guess", arm=SUPERVISOR)
        )

    return (
        finding(
            0,
            "he truth of easy cases teaches the hard ones",
            "accuracy on hard cases",
            against(EASY, WORDS, "hard"),
            source="Sun et al. 2024, there of reward models",
            control="a bag of words that learnt the same truths",
        ),
        finding(
            1,
            "he truth of all kinds of cases teaches the hard ones more",
            "accuracy on hard cases, truth of easy ones",
            against(EASY, MIXED, "hard"),
            source="this kit",
            control="as many truths of all kinds",
            sign=-1,
        ),
        finding(
            2,
            "he student corrects labels of the cases that they cover (pseudolabel correction)",
            "accuracy on easy cases, weak labels of these alone",
            against(WEAK, SUPERVISOR, "easy"),
            source="Lang et al. 2024",
            control="the supervisor",
        ),
        finding(
            3,
            "he student is right on cases that the labels leave out (coverage expansion)",
            "accuracy on hard cases, weak labels of easy ones alone",
            [above_guess("trusted_hard"), above_guess("hard")],
            source="Lang et al. 2024",
            control="the commonest answer",
        ),
    )


def _pocket_stages(setting: Setting) -> list[list[Job]]:
    return [[Job(f"seed {seed}", cell, (_pocket, setting, seed)) for seed in range(setting.seeds)]]


def _real_stages(setting: Setting) -> list[list[Job]]:
    seeds = [Job(f"seed {seed}", cell, (_real, setting, seed)) for seed in range(setting.seeds)]
    return [[Job("read the sentences", cell, (_reading, setting))], seeds]


POCKET_FACTS = {"task": "sentiment", "sizes": astuple(SIZES), "learnt": LEARNT, "steps": STEPS}
POCKET_FACTS |= {"every": EVERY, **mechanism.PLAN.to_dict()}
REAL_FACTS = {
    "model": real_probe.MODEL,
    "task": real_probe.TASK,
    "supervisor": real_probe.SUPERVISOR,
    "sizes": astuple(REAL_SIZES),
    "learnt": REAL_LEARNT,
    "layer": LAYER,
    "path": PATH,
}
STUDY = Study(
    "easy-to-hard",
    "does the truth of easy cases teach the hard ones?",
    8,
    _pocket_stages,
    partial(_finish, "easy-to-hard", POCKET_X, POCKET_FACTS),
    _claims("easy-to-hard", POCKET, "T", "sentiment"),
)
REAL_STUDY = Study(
    "real-easy-to-hard",
    "does the truth of short and clear film reviews teach a probe the others?",
    20,
    _real_stages,
    partial(_finish, "real-easy-to-hard", REAL_X, REAL_FACTS),
    _claims(
        "real-easy-to-hard",
        REAL,
        "On real English, t",
        f"film reviews, layer {LAYER} of SmolLM2-135M",
        (
            ("", ""),
            (
                CANNOT_TELL,
                "If they do, it is by two hundredths at most: 170 truths of any kind teach a probe about as much.",
            ),
            ("", ""),
            ("", ""),
        ),
    ),
)
