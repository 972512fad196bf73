"""How much of weak-to-strong generalization is what pre-training told? The leakage of the corpus, from 0 to 1.

Pre-trained anew with every leakage (`pocket.corpus`), one rung becomes the student and the ceiling; everything else is
the same, the supervisor's labels included. The models are shipped; `COMMAND` makes them anew.
"""

from collections.abc import Callable, Sequence
from dataclasses import asdict, astuple, replace

import torch
from matplotlib.figure import Figure

from w2s_lab.data.sources import SplitSizes
from w2s_lab.experiments.effects import Effect, difference, slope
from w2s_lab.experiments.procedure import Bench, Plan
from w2s_lab.experiments.store import Store
from w2s_lab.methods import probe
from w2s_lab.models.language_model import LanguageModel
from w2s_lab.pocket.parser import parse_review
from w2s_lab.pocket.pretrain import LADDER, with_leakage
from w2s_lab.recipe import rate_text
from w2s_lab.studies import scaling
from w2s_lab.studies.figures import leakage_figure
from w2s_lab.studies.measures import AT_END, AT_TRUSTED, both_moments, paired_by_seed, values_by_seed
from w2s_lab.studies.study import (
    Finding,
    Rows,
    Setting,
    Study,
    bench,
    cell,
    column,
    mean_of,
    outcome_numbers,
    rounded,
    select,
)
from w2s_lab.system.jobs import Job
from w2s_lab.training.evaluation import score

RUNG, SUPERVISOR = "pocket-m", "pocket-s"
SHARES = (0.0, 0.05, 0.25, 1.0)
COMMAND = f"w2s-lab pretrain {RUNG} --leakage {' '.join(f'{share:g}' for share in SHARES[:-1])}"
RECIPE = scaling.RECIPE
SIZES = SplitSizes(supervisor_train=1500, student_train=1500, test=500, validation=100)
CANDIDATES = (1e-4, 4e-4, 1.6e-3, 6.4e-3)
TRIED, TRIAL_SEED = SplitSizes(supervisor_train=1500, student_train=1, test=1, validation=500), 100
RATES = {0.0: 1.6e-3, 0.05: 1.6e-3, 0.25: 1.6e-3, 1.0: 1e-4}
SAYS_VERDICT, SAYS_KIND = "My verdict is", "This was a review of a"  # words of documents, and what comes next


def model_of(share: float) -> str:
    """The name of the model that was pre-trained with this leakage."""
    return with_leakage(LADDER[RUNG], share).name


def plan_of(share: float, device: str = "auto") -> Plan:
    """The plan of one share: its own student and ceiling, at a rate of their own, and the supervisor of all shares."""
    weak, own = (replace(RECIPE, learning_rate=rate) for rate in (scaling.RATES[SUPERVISOR], RATES[share]))
    return Plan(SUPERVISOR, model_of(share), weak, own, device)


def _stages(setting: Setting) -> list[list[Job]]:
    seeds = range(setting.seeds)
    rates = [
        Job(f"{100 * share:g} % at {rate_text(rate)}", cell, (_rate, setting, share, rate))
        for share in SHARES
        for rate in CANDIDATES
    ]
    labels = [Job(f"labels, seed {s}", cell, (_labels, setting, s)) for s in seeds]
    students = [
        Job(f"{100 * share:g} %, seed {s}", cell, (_student, setting, share, s)) for share in SHARES for s in seeds
    ]
    return [rates + labels, students]


def _rate(store: Store, device: str, share: float, rate: float) -> Rows:
    """How often the model, trained on the truth at this rate, is right in the validation set of the trial seed."""
    own_plan = replace(plan_of(share, device), weak=model_of(share), weak_recipe=replace(RECIPE, learning_rate=rate))
    own = bench(store, "sentiment", own_plan, TRIAL_SEED, TRIED)
    right = score(store.labels(own.supervisor(), own.splits.validation)).accuracy
    return [{"part": "rates", "leakage": share, "model": model_of(share), "rate": rate, "accuracy": right}]


def _labels(store: Store, device: str, seed: int) -> Rows:
    """The labels of the supervisor, for the students of all shares."""
    bench(store, "sentiment", plan_of(1.0, device), seed, SIZES).labels  # noqa: B018
    return []


def _student(store: Store, device: str, share: float, seed: int) -> Rows:
    own = bench(store, "sentiment", plan_of(share, device), seed, SIZES)
    facts = {"part": "students", "leakage": share, "seed": seed}
    return [facts | outcome_numbers(own.student(own.labels)) | known_before(store, own)]


def known_before(store: Store, own: Bench) -> dict[str, float]:
    """What the strong model knows of the verdict before any label, as fractions of the test examples.

    Returns:
        said: how often the right answer is likelier than the other one, as the next word of a document that has the
            review and then "My verdict is".
        kind: how often the right one of eight kinds of things is the likeliest after "This was a review of a", which
            every leakage teaches alike.
        readable: accuracy of a linear probe of the state at the last token of the prompt, fitted on the student's
            examples with their true answers.
        readable_mean: the same of the mean state over the input.
    """
    train, test = own.splits.student_train, own.splits.test
    texts = [example.input for example in test.examples]
    kinds = [review.kind for review in map(parse_review, texts) if review]
    found = {
        "said": share_said(own.strong, texts, SAYS_VERDICT, test.answers),
        "kind": share_said(own.strong, texts, SAYS_KIND, kinds),
    }
    for name, pool in (("readable", "last"), ("readable_mean", "mean")):
        table, of = (store.features(own.strong, part, layer=own.strong.layers, pool=pool) for part in (train, test))
        found[name] = probe.predict(probe.fit_probe(table, train), of, test).label_accuracy
    return found


@torch.no_grad()
def share_said(model: LanguageModel, texts: Sequence[str], words: str, truth: Sequence[str]) -> float:
    """How often the true word is likelier than all others of `truth`, right after a text and these words; a fraction.

    Words count by their first token.
    """
    answers = sorted(set(truth))
    first = [model.tokenizer(f" {answer}", add_special_tokens=False)["input_ids"][0] for answer in answers]
    rows = model.tokenizer([f"{text} {words}" for text in texts])["input_ids"]
    right = 0
    for length in set(map(len, rows)):  # texts of one length need no padding
        places = [i for i, row in enumerate(rows) if len(row) == length]
        ids = torch.tensor([rows[i] for i in places], device=model.device)
        best = model.network(input_ids=ids).logits[:, -1, first].argmax(-1)
        right += sum(answers[k] == truth[i] for i, k in zip(places, best.tolist(), strict=True))
    return right / len(texts)


# -- what was found ----------------------------------------------------------------------------------------------

SHOWN = {
    "weak": "weak",
    AT_END: "student",
    AT_TRUSTED: "trusted",
    "ceiling": "ceiling",
    "pgr": "PGR",
    "trusted_pgr": "trusted",
    "imitation": "imitation",
    "said": "said",
    "kind": "kind",
    "readable": "readable",
    "readable_mean": "(mean)",
}


def by_share(rows: Rows) -> list[dict]:
    """A row for each leakage: its rate, and means with 95 % intervals over the seeds that have the number."""
    return [
        {"leakage": share, "model": model_of(share), "rate": RATES[share]}
        | {name: mean_of(select(rows, part="students", leakage=share), name) for name in SHOWN}
        for share in SHARES
    ]


def leakage_text(found: Sequence[dict]) -> str:
    """`by_share` as aligned text."""
    lines = [f"{'leakage':>8}{'rate':>9}" + "".join(f"{head:>11}" for head in SHOWN.values())]
    for row in found:
        values = [row[name]["mean"] for name in SHOWN]
        text = "".join(f"{'-' if value is None else format(value, '.3f'):>11}" for value in values)
        lines.append(f"{100 * row['leakage']:>6g} %{row['rate']:>9g}{text}")
    return "\n".join(lines)


def readable_points(rows: Rows) -> tuple[list[float], list[float], list[int]]:
    """Of each share and seed: how readable the verdict is, the student's gain (stopped on trusted examples), seed."""
    own = [row for row in rows if row["part"] == "students"]
    return column(own, "readable"), [row[AT_TRUSTED] - row["weak"] for row in own], column(own, "seed")


def _finish(rows: Rows) -> tuple[dict, str, dict[str, Figure]]:
    rows = rounded(rows)
    found, (readable, gains, seeds) = by_share(rows), readable_points(rows)
    students = sorted(select(rows, part="students"), key=lambda row: row["leakage"])
    facts = {
        "task": "sentiment",
        "sizes": astuple(SIZES),
        "supervisor": SUPERVISOR,
        "recipe": RECIPE.to_dict(),
        "models": {"made by": COMMAND, "names": [model_of(share) for share in SHARES]},
        "rates tried": {"sizes": astuple(TRIED), "seed": TRIAL_SEED, "chosen": scaling.chosen_rates(rows)},
        "shares": found,
        "gain against readability": asdict(slope(readable, gains, clusters=seeds)),
        "rows": rows,
    }
    return facts, leakage_text(found), {"leakage.png": leakage_figure(students)}


# -- the claims --------------------------------------------------------------------------------------------------

NONE, FULL = ({"part": "students", "leakage": share} for share in (SHARES[0], SHARES[-1]))


def _gain(name: str) -> Callable[[Rows], Effect]:
    """Without leakage: a number minus the supervisor's accuracy."""
    return lambda rows: paired_by_seed(values_by_seed(rows, name, **NONE), values_by_seed(rows, "weak", **NONE))


def _has_gap(rows: Rows) -> str:
    gap = _gain("ceiling")(rows)
    if gap.low is None or gap.low > 0:
        return ""
    return (
        "The claim presupposes that there is something to elicit: a ceiling above the supervisor. Without leakage, the "
        f"ceiling minus the supervisor is {difference(gap)}."
    )


CLAIMS = (
    Finding(
        "Students profit from what pre-training told of the task (pretraining leakage)",
        "Burns et al. 2023, remaining disanalogies",
        f"accuracy, sentiment, {RUNG} with a leakage of 100 %",
        "leakage",
        **both_moments(FULL, NONE),
        control="a leakage of 0 %",
    ),
    Finding(
        "A student surpasses its supervisor also where pre-training told nothing of the task",
        "this kit",
        f"accuracy, sentiment, {RUNG} with a leakage of 0 %",
        "leakage",
        _gain(AT_TRUSTED),
        at_end=_gain(AT_END),
        control="the supervisor",
        condition=_has_gap,
    ),
)
ABOUT = "how much of weak-to-strong generalization is what pre-training told of the task?"
STUDY = Study("leakage", ABOUT, 8, _stages, _finish, CLAIMS)
