"""Which methods help on real English? Probes of a real model, each method against its own control, over many seeds.

The supervisor is a bag of words, the student a logistic probe on the mean state of one layer of SmolLM2-135M. The
course of its training goes from strong to weak regularisation. As in the study `methods` there are two moments: the end
of that course, and the place on it that trusted examples choose for each student. docs/findings.md has the rules.
"""

from collections.abc import Callable
from dataclasses import astuple, replace
from functools import lru_cache, partial

import numpy as np
from matplotlib.figure import Figure

from w2s_lab.data.sources import load_splits, read_examples
from w2s_lab.experiments.effects import Effect, effects_table, family_values, paired_effect
from w2s_lab.experiments.store import Store
from w2s_lab.methods import probe
from w2s_lab.methods.ensembles import average
from w2s_lab.methods.flywheel import perplexity
from w2s_lab.methods.labellers import labeller, labels_by
from w2s_lab.methods.selection import confidence, keep, random_scores
from w2s_lab.metrics import calibration
from w2s_lab.models.language_model import LanguageModel
from w2s_lab.models.loading import load_model
from w2s_lab.objective import NextToken
from w2s_lab.recipe import Recipe
from w2s_lab.records import Comparison, Evaluation, LabelledSet
from w2s_lab.studies.figures import moments_figure
from w2s_lab.studies.measures import AT_END, AT_TRUSTED, both_moments, paired_by_seed, values_by_seed
from w2s_lab.studies.real_probe import MODEL, SIZES, SUPERVISOR, TASK, WHERE, Seed, States, states_of
from w2s_lab.studies.study import (
    CANNOT_TELL,
    NOT_REPRODUCED,
    REAL,
    REPRODUCED,
    Finding,
    Rows,
    Setting,
    Study,
    cell,
    column,
    mean_of,
    numbers,
    rounded,
    select,
)
from w2s_lab.system.jobs import Job
from w2s_lab.training.evaluation import score

LAYER = 15  # the layer that held-out labels chose most often in `real-probe`
EARLY = 3  # what the smaller reader of bootstrapping reads
PATH = (1e-5, *probe.STRENGTHS)  # values of C: the course of a probe's training
ALPHA = 0.5  # of the confidence loss
ADAPT = Recipe(loss=NextToken(), epochs=1, batch_size=8, learning_rate=2e-4)  # of three tried, it predicts reviews best
ADAPT_TO, UNSEEN = 1000, 200  # reviews that the model adapts to, and others that say whether it has
FEW = 30  # trusted examples of the smaller baseline
SURE = 0.9  # a label is called sure above this probability
MOMENTS = {"at the end of the course": AT_END, "where 100 trusted examples choose": AT_TRUSTED}

HARD, SOFT, CONFIDENCE, TRUTH = "weak labels", "soft weak labels", f"confidence loss {ALPHA:g}", "truth"
RANDOM, CONFIDENT, SMALL = "random half", "confident half", "small-loss half"
BALANCED = f"{SMALL}, balanced"
THIRDS, THIRD = "mean of 3 (a third of the truth each)", "one of 3 (a third of the truth each)"
SHARED, SHARE = "mean of 3 (two thirds of the truth each)", "one of 3 (two thirds of the truth each)"
EARLIER, ADAPTED = f"bootstrapping through layer {EARLY}", "adapted to other reviews"
TRUSTED, TRUSTED_FEW = "trusted examples alone", f"{FEW} trusted examples alone"
CONTROLS = {  # heading -> method -> what it is compared with
    "losses": {SOFT: HARD, CONFIDENCE: SOFT},
    "selection": {CONFIDENT: RANDOM, SMALL: RANDOM, BALANCED: RANDOM},
    "ensembles": {THIRDS: THIRD, SHARED: SHARE},
    "another start": {EARLIER: HARD, ADAPTED: HARD},
    "a little truth instead": {TRUSTED: HARD, TRUSTED_FEW: HARD},
}
FITS: dict[str, Callable[..., probe.Probe]] = {  # of the arms that do not learn hard labels
    SOFT: partial(probe.confidence_probe, alpha=0.0),
    CONFIDENCE: partial(probe.confidence_probe, alpha=ALPHA),
}


def seed_with_early_layer(store: Store, device: str, number: int) -> Seed:
    """A seed's split, the states of the student's layer and of the early one, and the supervisor's labels."""
    splits = load_splits(TASK, seed=number, sizes=SIZES)
    states = states_of(str(store.root), device, TASK, layers=(EARLY, LAYER))
    return Seed(number, splits, states, *_labels(splits.supervisor_train, splits.student_train, splits.test))


def reviews_of_no_test(seeds: int) -> tuple[LabelledSet, LabelledSet]:
    """Reviews that are test examples of none of so many seeds: those that the model adapts to, and unseen ones.

    So one adaptation serves all seeds, and no test example is among its texts.

    Raises:
        ValueError: too few are left.
    """
    kind, examples, _ = read_examples(TASK)
    tested = {one for seed in range(seeds) for one in load_splits(TASK, seed=seed, sizes=SIZES).test.ids}
    free = LabelledSet.ground_truth(kind, [one for one in examples if one.id not in tested])
    if len(free) < ADAPT_TO + UNSEEN:
        raise ValueError(
            f"with {seeds} seeds, {len(free):,} examples are in no test set; the adaptation takes "
            f"{ADAPT_TO + UNSEEN:,}. Hint: fewer seeds"
        )
    order = np.random.default_rng(0).permutation(len(free))
    return free.take(order[:ADAPT_TO]), free.take(order[ADAPT_TO : ADAPT_TO + UNSEEN])


def adapted_model(store: Store, device: str, seeds: int) -> LanguageModel:
    """The student's model after next-token training on reviews of no test; no label is looked at."""
    start = load_model(MODEL, device="cpu")
    return store.train(start, reviews_of_no_test(seeds)[0], ADAPT, role="adapted to the inputs", device=device)


@lru_cache(maxsize=1)
def adapted_states(store: str, device: str, seeds: int) -> States:
    """The states of the student's layer after the adaptation, for all examples of the task."""
    own = Store(store)
    return States.read(own, adapted_model(own, device, seeds), (LAYER,), TASK)


def _labels(truth: LabelledSet, *inputs: LabelledSet) -> list[LabelledSet]:
    """The labels of a bag of words that learnt this truth."""
    able = labeller(SUPERVISOR, truth)
    return [labels_by(able, one) for one in inputs]


def labels_of_methods(seed: Seed) -> dict[str, LabelledSet]:
    """What the student of each method learns: a labelled set by the name of the method."""
    splits, labels = seed.splits, seed.labels
    truth, inputs = splits.supervisor_train, splits.student_train
    part = np.arange(len(truth)) % 3
    of_third, of_two = (
        [_labels(truth.take(rows), inputs)[0] for rows in kept]
        for kept in ([part == i for i in range(3)], [part != i for i in range(3)])
    )
    tables = seed.states.of(labels)
    brief = probe.fit_probe(tables[LAYER], labels, C=PATH[0]).probs(tables[LAYER])
    given = [labels.task.answers.index(answer) for answer in labels.answers]
    likely = brief[np.arange(len(labels)), given]
    early = {EARLY: tables[EARLY]}
    reader = probe.fit_probe(early[EARLY], labels, C=probe.choose(early, labels, Cs=PATH, seed=seed.number).C)
    return {
        TRUTH: inputs,
        HARD: labels,
        SOFT: labels,
        CONFIDENCE: labels,
        RANDOM: keep(labels, random_scores(labels, seed=seed.number), 0.5, by="chance"),
        CONFIDENT: keep(labels, confidence(labels), 0.5, by="confidence"),
        SMALL: keep(labels, likely, 0.5, by="small loss"),
        BALANCED: keep(labels, likely, 0.5, by="small loss", balanced=True),
        THIRDS: average(of_third),
        THIRD: of_third[0],
        SHARED: average(of_two),
        SHARE: of_two[0],
        EARLIER: probe.predict(reader, early[EARLY], labels),
        ADAPTED: labels,
        TRUSTED: splits.validation,
        TRUSTED_FEW: splits.validation.take(range(min(FEW, len(splits.validation)))),
    }


def course(seed: Seed, name: str, labels: LabelledSet) -> tuple[list[Evaluation], list[float], int]:
    """The probe of these labels at each C of `PATH`.

    Returns:
        Its answers to the test examples and its accuracy on the trusted ones, at each C, and which C is chosen: by
        accuracy on the trusted examples, or by cross-validation where these are what is learnt; the first of equals.
    """
    fit, table, trusted = FITS.get(name, probe.fit_probe), seed.states.of(labels)[LAYER], seed.splits.validation
    fitted = [fit(table, labels, C=C) for C in PATH]
    seen = seed.states.of(trusted)[LAYER]
    right = [score(probe.predict(one, seen, trusted)).accuracy for one in fitted]
    if name in (TRUSTED, TRUSTED_FEW):
        chosen = PATH.index(probe.choose({LAYER: table}, labels, Cs=PATH, seed=seed.number).C)
    else:
        chosen = int(np.argmax(right))
    return [seed.judged(one, LAYER) for one in fitted], right, chosen


def _methods(store: Store, device: str, number: int, seeds: int) -> Rows:
    adapted, seed = adapted_states(str(store.root), device, seeds), seed_with_early_layer(store, device, number)
    weak, rows, ceiling = score(seed.reference, seed.reference), [], None
    for name, labels in labels_of_methods(seed).items():
        students, right, chosen = course(replace(seed, states=adapted) if name == ADAPTED else seed, name, labels)
        if ceiling is None:  # the truth comes first
            ceiling = students[chosen]
        end, trusted = (Comparison(weak, student, ceiling) for student in (students[-1], students[chosen]))
        facts = {"question": "methods", "seed": number, "method": name, "examples": len(labels), "C": PATH[chosen]}
        own = trusted.student
        facts |= {"trusted_accuracy": own.accuracy, "trusted_pgr": trusted.pgr, "trusted_imitation": own.imitation}
        curve = [(C, s.accuracy, s.imitation, t) for C, s, t in zip(PATH, students, right, strict=True)]
        facts |= {"first_answer": labels.answers.count(labels.task.answers[0]) / len(labels)}  # share of the labels
        rows.append(facts | {"label_accuracy": labels.label_accuracy, "curve": curve, **numbers(end)})
    return [*rows, {"question": "labels", "seed": number, **facts_of_labels(seed.labels)}]


def facts_of_labels(labels: LabelledSet) -> dict[str, float | None]:
    """Is the supervisor right where it is sure? Fractions of the labels, and the expected calibration error.

    `sure`: labels with a probability above `SURE`; `sure_right`: how many of these are right; `wrong_sure`: how many of
    the wrong labels are sure.
    """
    truth = LabelledSet.ground_truth(labels.task, labels.examples).answers
    right = np.array([a == b for a, b in zip(labels.answers, truth, strict=True)])
    sure = confidence(labels) > SURE

    def share(of: np.ndarray, among: np.ndarray) -> float | None:
        return float(of[among].mean()) if among.any() else None

    return {
        "ece": calibration(confidence(labels), right).ece,
        "sure": float(sure.mean()),
        "sure_right": share(right, sure),
        "wrong_sure": share(sure, ~right),
    }


# -- the results -------------------------------------------------------------------------------------------------


def _stages(setting: Setting) -> list[list[Job]]:
    seeds = setting.seeds
    reading = [Job("read", cell, (_read, setting)), Job("adapt and read", cell, (_adapt, setting, seeds))]
    return [reading, [Job(f"methods, seed {seed}", cell, (_methods, setting, seed, seeds)) for seed in range(seeds)]]


def _read(store: Store, device: str) -> Rows:
    states_of(str(store.root), device, TASK, layers=(EARLY, LAYER))
    return []


def _adapt(store: Store, device: str, seeds: int) -> Rows:
    """Adapt, read all examples with the adapted model, and see whether it predicts reviews better than before."""
    adapted_states(str(store.root), device, seeds)
    texts = [one.input for one in reviews_of_no_test(seeds)[1].examples]
    before, after = (
        perplexity(m, texts) for m in (load_model(MODEL, device=device), adapted_model(store, device, seeds))
    )
    return [{"question": "adaptation", "texts": len(texts), "before": before, "after": after}]


def effects_by_heading(rows: Rows, accuracy: str) -> dict[str, list[Effect]]:
    """Heading -> what each method changes in test accuracy, paired by seed; `accuracy` is one of `MOMENTS`."""
    return {
        heading: [
            paired_effect(name, *(column(select(rows, method=one), accuracy) for one in (name, control)))
            for name, control in methods.items()
        ]
        for heading, methods in CONTROLS.items()
    }


def _finish(rows: Rows) -> tuple[dict, str, dict[str, Figure]]:
    own = select(rows, question="methods")
    effects = {moment: effects_by_heading(own, name) for moment, name in MOMENTS.items()}
    control = (
        "its control: of selection, a random half;\nof an ensemble, its first member; of the confidence loss, soft\n"
        "weak labels; of the others, (hard) weak labels"
    )
    (learnt,) = (row for row in rows if row["question"] == "adaptation")
    read = "perplexity of {texts} unseen reviews: {before:.1f}, after the adaptation {after:.1f}".format(**learnt)
    parts, facts = [_means(own), read], {}
    for moment, groups in effects.items():
        family = [effect for group in groups.values() for effect in group]
        facts[moment] = family_values(family)
        parts += [moment, effects_table(family)]
    result = {"model": MODEL, "task": TASK, "supervisor": SUPERVISOR, "sizes": astuple(SIZES), "layer": LAYER}
    result |= {"path": PATH, "adapt": ADAPT.to_dict(), "adapted to": ADAPT_TO, "effects": facts, "rows": rounded(rows)}
    return result, "\n\n".join(parts), {"real-methods.png": moments_figure(effects, control)}


def _means(rows: Rows) -> str:
    """A line a method: how often its labels are right, and its student at both moments; means over seeds."""
    lines = [f"{'the student learns':<44}{'labels':>8}{'right':>8}{'at the end':>12}{'trusted':>9}"]
    for name in dict.fromkeys(row["method"] for row in rows):
        own = select(rows, method=name)
        right, end, trusted = (mean_of(own, one)["mean"] for one in ("label_accuracy", AT_END, AT_TRUSTED))
        lines.append(f"{name:<44}{own[0]['examples']:>8,}{right:>8.3f}{end:>12.3f}{trusted:>9.3f}")
    return "\n".join(lines)


# -- the claims --------------------------------------------------------------------------------------------------

BURNS, BOOK = "Burns et al. 2023", "Xiao & Zhu 2025"


def _of(name: str) -> dict[str, str]:
    return {"question": "methods", "method": name}


def _claim(claim: str, source: str, name: str, beside: str, because: tuple[str, str] = ("", "")) -> Finding:
    """A claim about a method, against its control, at the two moments."""
    (control,) = (methods[name] for methods in CONTROLS.values() if name in methods)
    moments = both_moments(_of(name), _of(control))
    where = f"accuracy, {name}, {WHERE}"
    return Finding(
        claim, source, where, "real-methods", control=control, **moments, because=because, world=REAL, beside=beside
    )


def _stopped(claim: str, what: str, first: str, second: str, beside: str, sign: int = 1) -> Finding:
    """A claim about the course of the probe of hard weak labels: a number of its rows minus another one."""

    def measure(rows: Rows) -> Effect:
        return paired_by_seed(*(values_by_seed(rows, name, **_of(HARD)) for name in (first, second)))

    quantity = f"{what}, {WHERE}"
    return Finding(claim, BURNS, quantity, "real-methods", measure, sign=sign, world=REAL, beside=beside)


ENSEMBLE = "An ensemble of supervisors is a better supervisor"
CLAIMS = (
    _stopped(
        "On real English, a probe overfits to the weak errors on its course",
        "accuracy at the end of the course minus that where 100 trusted examples choose",
        *(AT_END, AT_TRUSTED),
        beside="Trained on, the student overfits to the weak errors within few epochs",
        sign=-1,
    ),
    _stopped(
        "On real English, a probe agrees with its supervisor more and more",
        "imitation of weak errors, the same two moments",
        *("imitation", "trusted_imitation"),
        beside="Meanwhile it agrees with its supervisor more and more",
    ),
    _stopped(
        "On real English, to stop a probe on its course gains, also without an oracle",
        "PGR where 100 trusted examples choose minus at the end of the course",
        *("trusted_pgr", "pgr"),
        beside="Early stopping gains, also without an oracle",
    ),
    _claim(
        "On real English, the confidence loss helps a probe",
        f"{BURNS}, section 4.3",
        CONFIDENCE,
        "The confidence loss helps where the gap is large",
        (
            NOT_REPRODUCED,
            "At the end of the course it helps. Where trusted examples choose, the probe of soft labels has "
            "learnt fewer of its supervisor's errors, too, and no more than a hundredth can be between the "
            "two.",
        ),
    ),
    _claim(
        "On real English, soft labels teach a probe more than hard ones",
        "Hinton et al. 2015",
        SOFT,
        "Soft labels teach more than hard ones",
        (
            NOT_REPRODUCED,
            "At the end of the course they do; where trusted examples choose, the two are level. The "
            "supervisor is sure of nearly half of its labels, and of more than a quarter of its wrong ones, so "
            "that its probabilities warn of few of its errors.",
        ),
    ),
    _claim(
        "On real English, to keep what the supervisor is sure of helps",
        f"{BOOK}, figure 4.5c",
        CONFIDENT,
        "To keep what the supervisor is sure of helps",
        (
            CANNOT_TELL,
            "At the end of the course it helps. But of these labels about five in six are right, where in the pocket "
            "world nearly all are: the bag of words is sure of many of its errors. And stopping alone takes the "
            "student of a random half further than that.",
        ),
    ),
    _claim(
        "On real English, to keep what the student itself finds likely (small loss) helps",
        "Han et al. 2018 (co-teaching)",
        SMALL,
        "To keep what the student itself finds likely after an epoch (small loss) helps",
        (
            NOT_REPRODUCED,
            "So early on its course the probe finds nearly all answers of one class likelier than those of the "
            "other. In most seeds more than three quarters of this half have one answer.",
        ),
    ),
    _claim(
        "The same, with the answers in their shares among the labels",
        "Han et al. 2018 (co-teaching)",
        BALANCED,
        "To keep what the student itself finds likely after an epoch (small loss) helps",
        (
            NOT_REPRODUCED,
            "Its labels are right more often than those of the confident half, and at the end of the course "
            "that helps. Where trusted examples choose, the student of a random half is ahead. The probe that "
            "ranks is right less often than the supervisor, and what it already finds likely may teach little "
            "that is new: the latter is a guess.",
        ),
    ),
    _claim(
        "On real English, an ensemble of equally weak supervisors is a better supervisor",
        f"{BOOK}, figure 4.5d",
        THIRDS,
        ENSEMBLE,
        (
            REPRODUCED,
            "Against its members. One bag of words that saw the whole truth labels better than the mean of the "
            "three, and has the better student.",
        ),
    ),
    _claim(
        "The same, of supervisors that share much of their truth",
        f"{BOOK}, figure 4.5d",
        SHARED,
        ENSEMBLE,
        (
            NOT_REPRODUCED,
            "The mean labels somewhat better than its members, and at the end of the course that helps. Where "
            "trusted examples choose, the students are level.",
        ),
    ),
    _claim(
        "On real English, bootstrapping through an earlier layer helps",
        f"{BURNS}, section 4.3, best on chess",
        EARLIER,
        "Bootstrapping through a model of medium size helps",
        (
            NOT_REPRODUCED,
            "What layer 3 makes of the labels is right hardly more often than the labels were, and where trusted "
            "examples choose, the student imitates more of the supervisor's errors. The model in the middle of the "
            "pocket world labels better, and does not help either.",
        ),
    ),
    _claim(
        "On real English, generative adaptation to unlabelled inputs helps a probe",
        f"{BURNS}, section 5.2.2, reward modelling",
        ADAPTED,
        "Generative adaptation to the unlabelled inputs helps",
        (
            NOT_REPRODUCED,
            "At the end of the course it helps, by about a hundredth. Where trusted examples choose, no more than a "
            "hundredth can be between the two, although the adapted model predicts reviews far better: the perplexity "
            "of those that it has not read falls to less than half. All seeds share one adaptation, to other reviews "
            "more than to the student's own inputs.",
        ),
    ),
)
STUDY = Study(
    "real-methods", "which methods help a probe of a real model on real English?", 20, _stages, _finish, CLAIMS
)
