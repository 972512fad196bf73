"""What stands in the way of reading the numbers of a run, such as a model that gives one answer only.

Each rule looks at the outcomes of one procedure, one a seed, and says what it found in a sentence for people who see
such a table for the first time. The sentence names the seeds concerned.
"""

import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from w2s_lab.data.classes import quoted_list, word_list
from w2s_lab.experiments.evidence import (
    NEARLY_ALL,
    ROLES,
    against_constant,
    blur,
    exactness,
    gap_interval,
    one_truth,
    only_answer,
    too_few,
    undefined_pgr,
)
from w2s_lab.experiments.procedure import Outcome
from w2s_lab.metrics import mean_interval
from w2s_lab.records import Evaluation

EASY = 0.95  # accuracy of a supervisor that leaves no gap to speak of


@dataclass(frozen=True)
class Diagnosis:
    """A finding on the numbers of a run.

    Attributes:
        kind: a word for programs, such as "one-answer".
        says: a sentence for people.
    """

    kind: str
    says: str


def diagnose(outcomes: Sequence[Outcome]) -> tuple[Diagnosis, ...]:
    """All that the rules find, first what concerns the data, then the models, then the gap and the PGR."""
    return tuple(found for rule in RULES for found in rule(outcomes))


Found = Iterator[Diagnosis]


def _in(seeds: Iterable[int], outcomes: Sequence[Outcome]) -> str:
    """ " in seed 0", where not all seeds are meant; of one seed, nothing."""
    seeds = list(seeds)
    if len(outcomes) == 1:
        return ""
    if len(seeds) == len(outcomes):
        return " in every seed"
    return f" in seed{'s' * (len(seeds) > 1)} {word_list([str(seed) for seed in seeds], 'and')}"


def _by_seeds(facts: Mapping[int, str | None], outcomes: Sequence[Outcome]) -> str:
    """Facts of seeds in one line, those that are equal together: "x in seed 0; y in seeds 1 and 2"."""
    said: dict[str, list[int]] = {}
    for seed, fact in facts.items():
        if fact:
            said.setdefault(fact, []).append(seed)
    return "; ".join(f"{fact}{_in(seeds, outcomes)}" for fact, seeds in said.items())


def _test_classes(outcomes: Sequence[Outcome]) -> Found:
    facts: dict[str, dict[int, str]] = {"one-truth": {}, "no-test-class": {}}
    for outcome in outcomes:
        truth, answers = outcome.comparison.weak.truth, outcome.comparison.weak.task.answers
        absent = [answer for answer in answers or () if answer not in truth]
        if one_truth(outcome):
            facts["one-truth"][outcome.seed] = f"only {truth[0]!r} is ever right"
        elif absent:
            facts["no-test-class"][outcome.seed] = f"no example of {quoted_list(absent, 'or')}"
    if one := facts["one-truth"]:
        says = f"One true answer: in the test part, {_by_seeds(one, outcomes)}"
        yield Diagnosis(
            "one-truth", f"{says}. A model that always says so is always right, so there is nothing to measure."
        )
    if some := facts["no-test-class"]:
        yield Diagnosis(
            "no-test-class", f"Test part: {_by_seeds(some, outcomes)}. What the models know of it is not measured."
        )


def _learnt_classes(outcomes: Sequence[Outcome]) -> Found:
    label: dict[int, str] = {}
    for outcome in outcomes:
        labels = (outcome.learnt or {}).get("strong student", {})
        truth = (outcome.learnt or {}).get("strong ceiling", {})
        if len(labels) == 1 and len(truth) != 1:
            label[outcome.seed] = f"all of them are {next(iter(labels))!r}"
    if label:
        says = f"One weak label: {_by_seeds(label, outcomes)}"
        yield Diagnosis("one-label", f"{says}. From such labels a student can only learn to give this answer always.")
    for role, says in (
        ("weak supervisor", "The weak supervisor never saw an example of"),
        ("strong student", "The strong student never saw a weak label"),
        ("strong ceiling", "The strong ceiling never saw an example of"),
    ):
        facts = {}
        for outcome in outcomes:
            seen = (outcome.learnt or {}).get(role)
            if seen and not (role == "strong student" and outcome.seed in label):
                unseen = [answer for answer in outcome.comparison.weak.task.answers or () if answer not in seen]
                facts[outcome.seed] = quoted_list(unseen, "or") if unseen else None
        if said := _by_seeds(facts, outcomes):
            yield Diagnosis("unseen-class", f"{says} {said}.")


def _amount_of_evidence(outcomes: Sequence[Outcome]) -> Found:
    if too_few(outcomes) and not all(map(one_truth, outcomes)):
        n, gap = len(outcomes[0].comparison.weak), gap_interval(outcomes).mean
        known, needed = blur(outcomes, "weak", "ceiling"), exactness(outcomes)
        enough = math.ceil(n * (known / needed) ** 2)
        enough = math.ceil(enough / (step := 10 ** max(1, len(str(enough)) - 2))) * step
        yield Diagnosis(
            "too-few-examples",
            f"Too few test examples: {n}{' a seed' * (len(outcomes) > 1)}. They leave the gap between ceiling and "
            f"supervisor, {gap:+.3f}, open by ±{known:.3f}; to read a PGR it should be known to ±{needed:.3f}. "
            f"Hint: take about {enough:,} test examples.",
        )
    if len(outcomes) == 1:
        yield Diagnosis(
            "one-seed",
            "One seed only: the intervals are over the test examples. How much split and training change from seed to "
            "seed is not in them.",
        )


def _answers(outcomes: Sequence[Outcome]) -> Found:
    only: dict[str, list[str]] = {}  # sentence -> the models that it fits
    empty: dict[str, list[str]] = {}
    for role, field in ROLES.items():
        ones, blanks = {}, {}
        for outcome in outcomes:
            evaluation = getattr(outcome.comparison, field)
            if found := only_answer(evaluation):
                says = repr(found[0][:40]) if found[0] else "nothing (an empty answer)"
                ones[outcome.seed] = f"{says} to {'all' if found[1] == 1 else f'{found[1]:.1%} of the'} test examples"
            elif (share := evaluation.predictions.count("") / len(evaluation)) > 1 - NEARLY_ALL:
                blanks[outcome.seed] = f"{share:.0%} of the answers are empty"
        for facts, said in ((ones, only), (blanks, empty)):
            if facts:
                said.setdefault(_by_seeds(facts, outcomes), []).append(role)
    for says, roles in only.items():
        who = f"{word_list(roles, 'and')} {'say' if len(roles) > 1 else 'says'}"
        yield Diagnosis("one-answer", f"One answer only: the {who} {says}.")
    for says, roles in empty.items():
        yield Diagnosis("empty-answers", f"Empty answers: of the {word_list(roles, 'and')}, {says}.")


def _constant(outcomes: Sequence[Outcome]) -> Found:
    if outcomes[0].comparison.weak.task.answers is None:
        return  # exact matches are rare in free text, and a constant answer matches next to nothing
    for role, field in ROLES.items():
        runs = {outcome.seed: getattr(outcome.comparison, field) for outcome in outcomes if not one_truth(outcome)}
        together = mean_interval([against_constant(evaluation).mean for evaluation in runs.values()])
        found = {seed: against_constant(run) for seed, run in runs.items() if not only_answer(run)}
        said = {seed: _beside_constant(runs[seed]) for seed in found}
        if below := {seed: said[seed] for seed in found if found[seed].high < 0}:
            says = f"Worse than a constant answer: the {role}, {_by_seeds(below, outcomes)}."
            yield Diagnosis("below-constant", says)
        near = {seed: said[seed] for seed in found if found[seed].low <= 0 <= found[seed].high}
        if (together.low or 0) > 0 and all(each.mean > 0 for each in found.values()):
            continue  # no seed tells, but all of them together do
        if near and not too_few(outcomes):
            surely = all(4 * found[seed].mean <= found[seed].high - found[seed].low for seed in near)
            says = f"the {role} cannot be told from a constant answer, {_by_seeds(near, outcomes)}."
            yield Diagnosis("at-chance", f"{'At chance' if surely else 'Perhaps at chance'}: {says}")


def _beside_constant(evaluation: Evaluation) -> str:
    answer, baseline = evaluation.constant
    return f"{evaluation.accuracy:.3f} against {baseline:.3f} for always {answer!r}"


def _gap(outcomes: Sequence[Outcome]) -> Found:
    if too_few(outcomes) or all(map(one_truth, outcomes)):
        return
    gap, weak = gap_interval(outcomes), float(np.mean([o.comparison.weak.accuracy for o in outcomes]))
    ends = f"{gap.mean:+.3f}, 95 % interval [{gap.low:+.3f}, {gap.high:+.3f}]"
    if gap.low > 0:
        return
    if gap.high < 0:
        yield Diagnosis(
            "ceiling-below",
            f"Ceiling below supervisor: the gap is {ends}. From true answers the strong model learns less than the "
            "weak one knows. Hint: train it longer or at another rate, or take a model that knows more of the task.",
        )
    elif len(outcomes) > 1 and abs(gap.mean) > blur(outcomes, "weak", "ceiling"):
        yield Diagnosis(
            "seeds-differ",
            f"Seeds differ: the gap between ceiling and supervisor is {ends} over {len(outcomes)} seeds, so it may be "
            "none. Hint: more seeds.",
        )
    elif weak >= EASY:
        yield Diagnosis(
            "too-easy",
            f"Too easy: the weak supervisor is right on {weak:.1%}, which leaves no gap to speak of ({ends}). "
            "Hint: a weaker supervisor, or a harder task.",
        )
    else:
        yield Diagnosis(
            "no-gap",
            f"No gap: the ceiling cannot be told from the supervisor ({ends}). The strong model knows too little of "
            "the task, or learns too little from so many examples, to be ahead.",
        )


def _undefined(outcomes: Sequence[Outcome]) -> Found:
    found = undefined_pgr(outcomes)
    if found and len(found) < len(outcomes):
        yield Diagnosis(
            "undefined-for-some",
            f"The PGR is undefined for {len(found)} of {len(outcomes)} seeds and left out there: "
            f"{_by_seeds(found, outcomes)}. So its mean is over the seeds with a gap only.",
        )


def _no_errors(outcomes: Sequence[Outcome]) -> Found:
    same = [outcome.seed for outcome in outcomes if outcome.label_accuracy == 1]
    if same:
        yield Diagnosis(
            "labels-all-right",
            f"Nothing to imitate: the weak labels are all right{_in(same, outcomes)}, so student and ceiling learn the "
            "same answers.",
        )
    perfect = [o.seed for o in outcomes if o.comparison.weak.accuracy == 1 and o.seed not in same]
    if perfect:
        yield Diagnosis(
            "no-weak-errors",
            f"The weak supervisor makes no error in the test part{_in(perfect, outcomes)}: there is nothing to imitate "
            "or to correct.",
        )


RULES: tuple[Callable[[Sequence[Outcome]], Found], ...] = (
    _test_classes,
    _learnt_classes,
    _amount_of_evidence,
    _answers,
    _constant,
    _gap,
    _undefined,
    _no_errors,
)
