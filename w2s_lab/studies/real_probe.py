"""Does a real language model surpass its supervisor on real English? Probes of its layers, many seeds, in minutes.

The student is a logistic probe on the mean state of one layer of SmolLM2-135M; the supervisor is a bag of words. Layer
and regularisation are chosen without the test set, once by held-out labels and once by a hundred trusted examples. All
arms share the split, the features and the way of choosing: they differ in their labels only.
"""

import json
import re
from collections.abc import Sequence
from dataclasses import astuple, dataclass, replace
from functools import cache, lru_cache
from itertools import product

import numpy as np
from matplotlib.figure import Figure

from w2s_lab import assets
from w2s_lab.data import rated
from w2s_lab.data.sources import SplitSizes, load_splits, read_examples
from w2s_lab.experiments.procedure import Bench, Plan
from w2s_lab.experiments.store import Store
from w2s_lab.figures.plots import pgr_dots
from w2s_lab.methods import probe
from w2s_lab.methods.flywheel import perplexity
from w2s_lab.methods.labellers import labeller, labels_by
from w2s_lab.methods.simulated import random_errors, word_errors
from w2s_lab.models.language_model import LanguageModel
from w2s_lab.models.loading import load_model
from w2s_lab.records import Comparison, Evaluation, Example, LabelledSet, Splits, Task
from w2s_lab.studies.figures import one
from w2s_lab.studies.measures import AT_END, change, level
from w2s_lab.studies.study import REAL, Finding, Rows, Setting, Study, cell, mean_of, numbers, rounded, select
from w2s_lab.system.jobs import Job
from w2s_lab.training.evaluation import score
from w2s_lab.training.labelling import in_pieces, weak_labels

MODEL = "smollm2-135m-q4"
TASK = "film-reviews"
OTHERS = ("product-reviews", "editorials", "short-messages")
SECOND = "film-texts"  # another question about other sentences
SECOND_SUPERVISORS = ("bag-of-words:50", "bag-of-words:100", "bag-of-words:400")
SECOND_ARMS = ("weak labels", "random errors")
SIZES = SplitSizes(supervisor_train=1500, student_train=1500, test=1000, validation=100)
LAYERS = tuple(range(0, 31, 3))
SUPERVISOR = "bag-of-words"
SUPERVISORS = ("bag-of-words:400", "bag-of-words:800", "bag-of-words:1500", "vader", "layer:3", "pocket-l")
POCKET = Plan.for_task(Task(TASK, rated.ANSWERS)).weak_recipe  # of pocket-l, which never read real English
POCKET_SEEDS = 8  # it has to be fine-tuned for each
ARMS = ("weak labels", "soft weak labels", "random errors", "errors by words")
CHOICES = ("held-out labels", "trusted examples")
WORDINGS = {
    "the task's": None,
    "the kit's": "Answer with one of: negative, positive.",
    "none": "",
}
CHOSEN = (6, 12, 15, 18, 24, 30)  # layers that a student may choose among
WORDED = (12, 15, 18)  # the same for the question about the instruction: there the network stops early
GRID_ARMS = ("weak labels", "random errors", "truth")
ZERO_SHOT = 1000  # examples
READ = 400  # sentences of each source, at most, that the model has to predict
BY_HEART = 8  # tokens at the end of a sentence
NEWER = "this kit's notebooks"  # of 2026; the model is of 2024


@dataclass(frozen=True, eq=False)
class States:
    """The states of all examples of a task at some layers: `table[:, i]` is layer `layers[i]`."""

    layers: tuple[int, ...]
    table: np.ndarray
    row: dict[str, int]

    @classmethod
    def read(
        cls, store: Store, model: LanguageModel, layers: Sequence[int], task: str, instruction: str | None = None
    ) -> "States":
        """The mean states of all examples of a task, with its own instruction or another one."""
        worded, plain = _worded(task, instruction)
        table = store.features_of_layers(model, worded, layers, pool="mean")
        return cls(tuple(layers), table, {one: i for i, one in enumerate(plain.ids)})

    def of(self, inputs: LabelledSet) -> dict[int, np.ndarray]:
        """Layer -> features [N, d] of some of the examples."""
        rows = [self.row[one] for one in inputs.ids]
        return {layer: self.table[rows, i] for i, layer in enumerate(self.layers)}

    def only(self, layers: Sequence[int]) -> "States":
        """The same with fewer layers."""
        return replace(self, layers=tuple(layers), table=self.table[:, [self.layers.index(k) for k in layers]])


@lru_cache(maxsize=6)
def states_of(
    store: str, device: str, task: str, instruction: str | None = None, layers: tuple[int, ...] = ()
) -> States:
    """Features of a whole task, so that every seed finds its examples among them; kept in the store of this folder.

    Without `layers`: all `LAYERS` of the task itself, those of `CHOSEN` of the texts that its students are tried on,
    those of `WORDED` of the second task and with another instruction.
    """
    if not layers:
        layers = LAYERS if task == TASK else CHOSEN
        if instruction is not None or task == SECOND:
            layers = WORDED
    return States.read(Store(store), load_model(MODEL, device=device), layers, task, instruction)


@cache
def _worded(task: str, instruction: str | None) -> tuple[LabelledSet, LabelledSet]:
    """All examples of a task with another instruction, and as they are."""
    kind, examples, _ = read_examples(task)
    plain = LabelledSet.ground_truth(kind, examples)
    if instruction is None:
        return plain, plain
    worded = [replace(example, instruction=instruction) for example in examples]
    return LabelledSet.ground_truth(kind, worded), plain


@dataclass(frozen=True, eq=False)
class Seed:
    """What the arms of one seed share: the split, the features, the supervisor's labels."""

    number: int
    splits: Splits
    states: States
    labels: LabelledSet
    reference: LabelledSet

    def fit(self, labels: LabelledSet, choice: str, *, soft: bool = False) -> tuple[probe.Probe, int, float]:
        """A probe of these labels, with layer and C chosen by held-out labels or by the trusted examples."""
        tables = self.states.of(labels)
        trusted = None
        if choice == CHOICES[1]:
            trusted = (self.states.of(self.splits.validation), self.splits.validation)
        found = probe.choose(tables, labels, trusted=trusted, soft=soft, seed=self.number)
        return probe.fit_probe(tables[found.layer], labels, C=found.C, soft=soft), found.layer, found.C

    def judged(self, fitted: probe.Probe, layer: int) -> Evaluation:
        """The probe on the test examples."""
        test = self.splits.test
        return score(probe.predict(fitted, self.states.of(test)[layer], test), self.reference)

    def student(self, labels: LabelledSet, choice: str, *, soft: bool = False) -> tuple[Evaluation, dict]:
        """A probe of these labels on the test examples, and the layer and C that were chosen for it."""
        fitted, layer, C = self.fit(labels, choice, soft=soft)
        return self.judged(fitted, layer), {"layer": layer, "C": C}

    def row(self, student: Evaluation, ceiling: Evaluation, labels: LabelledSet, **facts) -> dict:
        """The numbers of one student."""
        comparison = Comparison(score(self.reference, self.reference), student, ceiling)
        return {"seed": self.number, **facts, "label_accuracy": labels.label_accuracy, **numbers(comparison)}


def seed_of(
    store: Store,
    device: str,
    number: int,
    supervisor: str = SUPERVISOR,
    *,
    layers: Sequence[int] | None = None,
    instruction: str | None = None,
    task: str | None = None,
) -> Seed:
    """A seed's split, the states that its students may choose among, and a supervisor's labels."""
    splits = load_splits(task or TASK, seed=number, sizes=SIZES)
    states = states_of(str(store.root), device, task or TASK, instruction)
    if supervisor == "pocket-l":
        own = Bench(splits, Plan(supervisor, MODEL, weak_recipe=POCKET, device=device), store, number)
        labels, reference = own.labels, own.reference
    else:
        able = labeller(supervisor, splits.supervisor_train, states=lambda inputs, layer: states.of(inputs)[layer])
        labels, reference = labels_by(able, splits.student_train), labels_by(able, splits.test)
    return Seed(number, splits, states.only(layers or CHOSEN), labels, reference)


# -- the questions -----------------------------------------------------------------------------------------------


def _stages(setting: Setting) -> list[list[Job]]:
    reading = [Job(f"read {task}", cell, (_read, setting, task)) for task in dict.fromkeys((TASK, *OTHERS, SECOND))]
    reading += [
        Job(f"read with {name} wording", cell, (_read, setting, TASK, words))
        for name, words in WORDINGS.items()
        if words is not None
    ]
    known = [Job("what it knew", cell, (_known, setting))]
    seeds = range(setting.seeds)
    questions = (_arms, _grid, _transfer, _supervisors, _wordings, _second)
    return [
        [*reading, *known],
        [Job(f"{q.__name__[1:]}, seed {s}", cell, (q, setting, s)) for s, q in product(seeds, questions)],
    ]


def _read(store: Store, device: str, task: str, instruction: str | None = None) -> Rows:
    states_of(str(store.root), device, task, instruction)
    return []


def labels_of_arm(arm: str, splits: Splits, labels: LabelledSet, seed: int) -> LabelledSet:
    """The student's labels of one arm: the weak ones, or the truth with as many errors of another kind."""
    if "weak labels" in arm:
        return labels
    if arm == "truth":
        return splits.student_train
    right = labels.label_accuracy
    if arm == "random errors":
        return random_errors(splits.student_train, right, seed=seed)
    return word_errors(splits.student_train, right, guide=splits.supervisor_train)


def _arms(store: Store, device: str, number: int) -> Rows:
    seed = seed_of(store, device, number)
    rows = []
    for choice in CHOICES:
        ceiling, _ = seed.student(seed.splits.student_train, choice)
        for arm in ARMS:
            labels = labels_of_arm(arm, seed.splits, seed.labels, number)
            student, chosen = seed.student(labels, choice, soft=arm.startswith("soft"))
            facts = {"question": "arms", "arm": arm, "choice": choice, **chosen}
            rows.append(seed.row(student, ceiling, labels, **facts))
    return rows


def _grid(store: Store, device: str, number: int) -> Rows:
    """Accuracy at every layer and C: what the choice could have found; it looks at the test set and decides nothing."""
    seed = seed_of(store, device, number, layers=LAYERS)
    rows = []
    for arm in GRID_ARMS:
        labels = labels_of_arm(arm, seed.splits, seed.labels, number)
        tables = seed.states.of(labels)
        for layer, C in product(LAYERS, probe.STRENGTHS):
            found = seed.judged(probe.fit_probe(tables[layer], labels, C=C), layer)
            facts = {"question": "grid", "seed": number, "arm": arm, "layer": layer, "C": C}
            rows.append(facts | {"accuracy": found.accuracy, "imitation": found.imitation})
    return rows


def _transfer(store: Store, device: str, number: int) -> Rows:
    """Students of film reviews on other kinds of text, beside the same supervisor and ceiling."""
    seed = seed_of(store, device, number)
    supervisor = labeller(SUPERVISOR, seed.splits.supervisor_train)
    fitted = {arm: seed.fit(labels_of_arm(arm, seed.splits, seed.labels, number), CHOICES[0]) for arm in GRID_ARMS}
    rows = []
    for task in OTHERS:
        states, (_, test) = states_of(str(store.root), device, task), _worded(task, None)
        reference = labels_by(supervisor, test)
        found = {
            arm: score(probe.predict(able, states.of(test)[layer], test), reference)
            for arm, (able, layer, _) in fitted.items()
        }
        for arm in GRID_ARMS[:-1]:
            comparison = Comparison(score(reference, reference), found[arm], found["truth"])
            rows.append({"question": "transfer", "seed": number, "task": task, "arm": arm, **numbers(comparison)})
    return rows


def _supervisors(store: Store, device: str, number: int) -> Rows:
    rows, ceiling = [], None
    for name in SUPERVISORS if number < POCKET_SEEDS else SUPERVISORS[:-1]:
        seed = seed_of(store, device, number, name)
        if ceiling is None:
            ceiling, _ = seed.student(seed.splits.student_train, CHOICES[0])
        student, chosen = seed.student(seed.labels, CHOICES[0])
        facts = {"question": "supervisors", "supervisor": name, **chosen}
        rows.append(seed.row(student, ceiling, seed.labels, **facts))
    return rows


def _wordings(store: Store, device: str, number: int) -> Rows:
    rows = []
    for name, words in WORDINGS.items():
        seed = seed_of(store, device, number, layers=WORDED, instruction=words)
        ceiling, _ = seed.student(seed.splits.student_train, CHOICES[0])
        student, chosen = seed.student(seed.labels, CHOICES[0])
        facts = {"question": "wordings", "wording": name, **chosen}
        rows.append(seed.row(student, ceiling, seed.labels, **facts))
    return rows


def _second(store: Store, device: str, number: int) -> Rows:
    """The same on another question: does a sentence describe a film, or judge one?"""
    rows, ceiling = [], None
    for name in SECOND_SUPERVISORS:
        seed = seed_of(store, device, number, name, layers=WORDED, task=SECOND)
        if ceiling is None:
            ceiling, _ = seed.student(seed.splits.student_train, CHOICES[0])
        for arm in SECOND_ARMS:
            labels = labels_of_arm(arm, seed.splits, seed.labels, number)
            student, chosen = seed.student(labels, CHOICES[0])
            facts = {"question": "second", "supervisor": name, "arm": arm, **chosen}
            rows.append(seed.row(student, ceiling, labels, **facts))
    return rows


def _known(store: Store, device: str) -> Rows:
    """What the model knew before: its answers without training, and how well it predicts each kind of text."""
    model, rows = load_model(MODEL, device=device), []
    for task in dict.fromkeys((TASK, *OTHERS, SECOND)):
        _, plain = _worded(task, None)
        some = plain.take(np.random.default_rng(0).permutation(len(plain))[:ZERO_SHOT])
        found = score(weak_labels(model, some))
        facts = {
            "task": task,
            "accuracy": found.accuracy,
            "commonest": max(map(found.predictions.count, some.task.answers)) / len(some),
        }
        rows.append(facts | _predicted(model, [one.input for one in some.examples]))
    rows.append({"task": NEWER, "accuracy": None, "commonest": None} | _predicted(model, own_prose()))
    return [{"question": "known", **row} for row in rows]


def _predicted(model: LanguageModel, texts: Sequence[str]) -> dict[str, float | int]:
    """Perplexity of some texts, and the share of them that the model ends word for word as they end.

    A model that has learnt a text by heart continues it (Carlini et al. 2023, arXiv 2202.07646). Counted are the texts
    whose last `BY_HEART` tokens are, one after the other, the model's first choice after all that stands before them.
    """
    some = texts[:READ]
    start, rows = model.encode_documents([Example("", text) for text in some], model.window)
    long = [row for row in rows if len(row) >= 2 * BY_HEART]

    def ended(numbers: list[int]) -> list[tuple[int, bool]]:
        prompts = [start + long[i][:-BY_HEART] for i in numbers]
        logits, tokens, _ = model.answer_logits(prompts, [long[i][-BY_HEART:] for i in numbers])
        return list(zip(numbers, (logits.argmax(-1) == tokens).all(-1).tolist(), strict=True))

    count = sum(same for _, same in in_pieces(ended, [len(row) + 1 for row in long], model))
    return {"perplexity": perplexity(model, some), "by_heart": count, "continued": len(long)}


def own_prose() -> list[str]:
    """Sentences of 8 to 40 words from the text of the notebooks: written after the model was trained."""
    cells = [
        "".join(cell["source"])
        for path in sorted(assets.NOTEBOOKS.glob("*.ipynb"))
        for cell in json.loads(path.read_text(encoding="utf-8"))["cells"]
        if cell["cell_type"] == "markdown"
    ]
    lines = [line.strip("*- ") for text in cells for line in re.sub(r"\*+", "", text).split("\n")]
    sentences = [" ".join(part.split()) for line in lines for part in re.split(r"(?<=[.?!]) (?=[A-Z])", line)]
    plain = [one for one in dict.fromkeys(sentences) if re.fullmatch(r"[A-Z][\w ,;:'’“”()%./-]+[.?!]", one)]
    return [one for one in plain if len(one.split()) in range(8, 41)]


# -- the results -------------------------------------------------------------------------------------------------


def _finish(rows: Rows) -> tuple[dict, str, dict[str, Figure]]:
    facts = {"model": MODEL, "task": TASK, "sizes": astuple(SIZES), "layers": LAYERS, "rows": rounded(rows)}
    return facts, real_probe_text(rows), {"real-probe.png": real_probe_figure(rows)}


def table_of_groups(rows: Rows, by: str, names: Sequence[str], columns: Sequence[str]) -> list[str]:
    """Lines: a group each, means over seeds, and the PGR with its 95 % interval."""
    width = max(map(len, [by, *names])) + 2
    lines = [f"{by:<{width}}" + "".join(f"{column.replace('_', ' '):>18}" for column in columns) + "   PGR"]
    for name in names:
        own = select(rows, **{by: name})
        means = [mean_of(own, column)["mean"] for column in columns]
        cells = "".join(f"{'undefined' if mean is None else format(mean, '.3f'):>18}" for mean in means)
        pgr = mean_of(own, "pgr")
        ends = "" if pgr["low"] is None else f" [{pgr['low']:.2f}, {pgr['high']:.2f}]"
        lines.append(
            f"{name:<{width}}{cells}   {'undefined' if pgr['mean'] is None else format(pgr['mean'], '.2f')}{ends}"
        )
    return lines


def real_probe_text(rows: Rows) -> str:
    """All tables as aligned text."""
    lines, three = [], ("weak", "accuracy", "ceiling")
    for choice in CHOICES:
        own = [row for row in rows if row["question"] == "arms" and row["choice"] == choice]
        lines += [f"layer and C chosen by {choice}", *table_of_groups(own, "arm", ARMS, (*three, "imitation")), ""]
    for question, by, names in (
        ("supervisors", "supervisor", SUPERVISORS),
        ("wordings", "wording", tuple(WORDINGS)),
    ):
        lines += [*table_of_groups([r for r in rows if r["question"] == question], by, names, three), ""]
    for arm in SECOND_ARMS:
        own = [row for row in rows if row["question"] == "second" and row["arm"] == arm]
        lines += [f"{SECOND}: {arm}", *table_of_groups(own, "supervisor", SECOND_SUPERVISORS, three), ""]
    for arm in GRID_ARMS[:-1]:
        own = [row for row in rows if row["question"] == "transfer" and row["arm"] == arm]
        lines += [f"students of {arm} from film reviews, on", *table_of_groups(own, "task", OTHERS, three), ""]
    lines.append(
        f"{'before any training':<22}{'accuracy':>10}{'commonest answer':>18}{'perplexity':>12}{'ended by heart':>18}"
    )
    for row in (row for row in rows if row["question"] == "known"):
        asked = ("", "") if row["accuracy"] is None else (f"{row['accuracy']:.3f}", f"{row['commonest']:.3f}")
        by_heart = f"{row['by_heart']} of {row['continued']}"
        lines.append(f"{row['task']:<22}{asked[0]:>10}{asked[1]:>18}{row['perplexity']:>12.1f}{by_heart:>18}")
    return "\n".join(lines)


def real_probe_figure(rows: Rows) -> Figure:
    """The PGR of each arm, over seeds, layer and C chosen by held-out labels."""
    own = [row for row in rows if row["question"] == "arms" and row["choice"] == CHOICES[0]]
    values = {arm.replace(" ", "\n"): [row["pgr"] for row in select(own, arm=arm)] for arm in ARMS}
    return one(pgr_dots, values, size=(10, 7), roles={"random\nerrors": "random"})


def _rows_of(name: str) -> dict[str, str]:
    """What the rows of an arm have in common."""
    return {"question": "arms", "choice": CHOICES[0], "arm": name}


WHERE = "film reviews, a probe of SmolLM2-135M"
CLAIMS = (
    Finding(
        "On real English, a linear probe of weak labels recovers part of the gap (PGR > 0)",
        "Burns et al. 2023, section 4.2",
        f"PGR, hard labels, {WHERE}",
        "real-probe",
        level("pgr", _rows_of("weak labels")),
        control="the supervisor",
        world=REAL,
        beside="Naive fine-tuning on weak labels recovers part of the gap (PGR > 0)",
    ),
    Finding(
        "The same, a probe of soft labels",
        "Burns et al. 2023, section 4.2",
        f"PGR, soft labels, {WHERE}",
        "real-probe",
        level("pgr", _rows_of("soft weak labels")),
        control="the supervisor",
        world=REAL,
        beside="The same, on soft labels, as in their released code",
    ),
    Finding(
        "On real English, a probe corrects random errors and imitates those that follow words",
        "Burns et al. 2023",
        f"accuracy, errors by words, {WHERE}",
        "real-probe",
        change(AT_END, _rows_of("errors by words"), _rows_of("random errors")),
        sign=-1,
        control="as many random errors",
        world=REAL,
    ),
    Finding(
        "On real English, as many random errors hurt a probe less than its supervisor's",
        "Burns et al. 2023",
        f"accuracy, as many random errors, {WHERE}",
        "real-probe",
        change(AT_END, _rows_of("random errors"), _rows_of("weak labels")),
        control="weak labels (hard)",
        world=REAL,
        beside="Random errors are corrected, systematic ones imitated",
    ),
)
ABOUT = "does a probe of a real model surpass its supervisor on real English?"
STUDY = Study("real-probe", ABOUT, 20, _stages, _finish, CLAIMS)
