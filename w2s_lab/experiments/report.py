"""From outcomes to text and plain numbers: what `w2s-lab run` prints and what a study records."""

import platform
import textwrap
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.metadata import version

from w2s_lab import metrics
from w2s_lab.data.classes import count
from w2s_lab.experiments.diagnoses import Diagnosis, diagnose
from w2s_lab.experiments.evidence import ROLES, gap_interval, undefined_pgr, verdict
from w2s_lab.experiments.procedure import Outcome
from w2s_lab.metrics import Interval, mean_interval
from w2s_lab.records import accuracy_interval, mean_pgr
from w2s_lab.system.border import check_arguments
from w2s_lab.system.record import Record
from w2s_lab.version import __version__

__all__ = ["ROLES", "Summary", "reading_help", "stopping_help", "summarise", "table", "versions"]


def versions() -> dict[str, str]:
    """Package -> version, for the packages on which a result depends."""
    packages = {name: version(name) for name in ("torch", "transformers")}
    return {"w2s-lab": __version__, **packages, "python": platform.python_version()}


@dataclass(frozen=True)
class Summary(Record):
    """Several runs of the procedure in numbers. An `Interval` is a mean over seeds with its 95 % interval.

    Attributes:
        accuracy: role -> fraction of test examples (exact match for an open task).
        f1: role -> micro F1 of the parts of an open task's answers; empty for a closed task.
        constant: accuracy of the most frequent true answer of the test part, always given.
        commonest: role -> its most frequent answer in each seed, and the share of its answers that this is.
        empty: role -> share of empty answers; empty for a closed task.
        auc: role -> area under the ROC curve; empty where there are not two answers, see `records.Evaluation.auc`.
        gap: accuracy of the ceiling minus that of the supervisor; see `evidence.accuracy_gap`.
        pgr: performance gap recovered at the end of the training; None if it is undefined for every seed.
        pgr_undefined: number of seeds for which it is undefined.
        why_undefined: seed -> why it is undefined there.
        agreement, imitation, correction: of the student, on the test set; None where undefined.
        label_accuracy: fraction of the weak labels that are right.
        slices: tag -> role -> mean accuracy, and under "examples" the mean number of test examples.
        best: accuracy at the best snapshot, which an oracle chooses with the test set itself.
        trusted: accuracy at the snapshot that the trusted validation set chooses; None without validation examples.
        verdict: what the numbers allow to say of the student; see `evidence.verdict`.
        diagnoses: what stands in the way of reading the numbers.
    """

    seeds: tuple[int, ...]
    test_examples: int
    validation_examples: int
    accuracy: dict[str, Interval]
    f1: dict[str, Interval]
    constant: Interval
    commonest: dict[str, tuple[tuple[str, float], ...]]
    empty: dict[str, Interval]
    auc: dict[str, Interval]
    gap: Interval
    pgr: Interval | None
    pgr_undefined: int
    why_undefined: dict[int, str]
    agreement: Interval
    imitation: Interval | None
    correction: Interval | None
    label_accuracy: Interval
    slices: dict[str, dict[str, float]]
    best: Interval
    best_pgr: Interval | None
    trusted: Interval | None
    trusted_pgr: Interval | None
    verdict: str
    diagnoses: tuple[Diagnosis, ...]

    def _rows(self) -> list[dict]:
        """A row a number: what was measured, of which model, its mean, the ends of its interval, and the seeds."""
        of = [("accuracy", role, interval) for role, interval in self.accuracy.items()]
        of += [("F1", role, interval) for role, interval in self.f1.items()]
        of += [("AUC", role, interval) for role, interval in self.auc.items()]
        of += [("label_accuracy", "weak supervisor", self.label_accuracy)]
        own = ("pgr", "agreement", "imitation", "correction", "best", "best_pgr", "trusted", "trusted_pgr")
        of += [(name, "strong student", getattr(self, name)) for name in own]
        nothing = Interval(None, None, None, 0)
        return [{"measure": name, "model": role, **(found or nothing).to_dict()} for name, role, found in of]

    def _summary(self) -> str:
        right = ", ".join(f"{role} {_number(interval)}" for role, interval in self.accuracy.items())
        seeds, pgr = count(len(self.seeds), "seed"), _number(self.pgr)
        return f"{seeds}, {self.test_examples:,} test examples, accuracy of {right}, PGR {pgr}"


def summarise(outcomes: Sequence[Outcome], *, validation_examples: int) -> Summary:
    """The numbers of one procedure, over its seeds.

    With one seed, the intervals of accuracies and of the PGR are over test examples (Wilson, bootstrap). With several
    seeds they are Student-t intervals over the seeds, which include the luck of split and training.
    """
    check_arguments(summarise, locals())
    comparisons = [outcome.comparison for outcome in outcomes]
    evaluations = {role: [getattr(comparison, field) for comparison in comparisons] for role, field in ROLES.items()}
    students = evaluations["strong student"]
    pgr, undefined = mean_pgr(comparisons)
    best = [(outcome, outcome.best) for outcome in outcomes]
    trusted = [(outcome, outcome.trusted_choice) for outcome in outcomes] if validation_examples else []
    is_open = comparisons[0].weak.task.answers is None
    return Summary(
        seeds=tuple(outcome.seed for outcome in outcomes),
        test_examples=len(students[0]),
        validation_examples=validation_examples,
        accuracy={role: accuracy_interval(per_seed) for role, per_seed in evaluations.items()},
        f1={
            role: mean_interval([metrics.summary_f1(e.predictions, e.truth) for e in per_seed])
            for role, per_seed in evaluations.items()
            if is_open
        },
        constant=mean_interval([e.constant[1] for e in students]),
        commonest={role: tuple(e.commonest for e in per_seed) for role, per_seed in evaluations.items()},
        empty={
            role: mean_interval([e.predictions.count("") / len(e) for e in per_seed])
            for role, per_seed in evaluations.items()
            if is_open
        },
        auc={
            role: found
            for role, per_seed in evaluations.items()
            if (found := _mean_of_defined([e.auc for e in per_seed])) is not None
        },
        gap=gap_interval(outcomes),
        pgr=pgr,
        pgr_undefined=undefined,
        why_undefined=undefined_pgr(outcomes),
        agreement=mean_interval([e.agreement for e in students]),
        imitation=_mean_of_defined([e.imitation for e in students]),
        correction=_mean_of_defined([e.correction for e in students]),
        label_accuracy=mean_interval([outcome.label_accuracy for outcome in outcomes]),
        slices=_slices(evaluations),
        best=mean_interval([s.evaluation.accuracy for _, s in best]),
        best_pgr=mean_pgr([outcome.at(snapshot) for outcome, snapshot in best])[0],
        trusted=_mean_of_defined([s.evaluation.accuracy for _, s in trusted]),
        trusted_pgr=mean_pgr([outcome.at(snapshot) for outcome, snapshot in trusted])[0],
        verdict=verdict(outcomes),
        diagnoses=diagnose(outcomes),
    )


def _mean_of_defined(values: Sequence[float | None]) -> Interval | None:
    defined = [value for value in values if value is not None]
    return mean_interval(defined) if defined else None


def _slices(evaluations) -> dict[str, dict[str, float]]:
    """tag -> role -> mean accuracy over the seeds that have the tag, and under "examples" their mean number."""
    per_role = {role: [e.by_slice() for e in per_seed] for role, per_seed in evaluations.items()}
    tags = sorted({tag for slices in per_role["weak supervisor"] for tag in slices})
    rows = {}
    for tag in tags:
        rows[tag] = {
            role: mean_interval([slices[tag][0] for slices in per_seed if tag in slices]).mean
            for role, per_seed in per_role.items()
        }
        counts = [slices[tag][1] for slices in per_role["weak supervisor"] if tag in slices]
        rows[tag]["examples"] = sum(counts) / len(counts)
    return rows


def _number(interval: Interval | None) -> str:
    return "undefined" if interval is None else f"{interval.mean:.3f}"


def _range(interval: Interval | None, *, fraction: bool = True) -> str:
    """The ends of an interval, as text; those of a fraction are cut to [0, 1]."""
    if interval is None or interval.low is None:
        return ""
    low, high = (max(0.0, interval.low), min(1.0, interval.high)) if fraction else (interval.low, interval.high)
    return f"[{low:.3f}, {high:.3f}]"


def table(summary: Summary, title: str) -> str:
    """The result as aligned text, with sentences that explain how to read it."""
    seeds = len(summary.seeds)
    over = f"over {seeds} seeds" if seeds > 1 else "over test examples, one seed"

    def row(name: str, interval: Interval | None, note: str = "", *, fraction: bool = True) -> str:
        return f"{name:<18}{_number(interval):>9}  {_range(interval, fraction=fraction):<16}  {note}".rstrip()

    lines = [title, "", f"{'':<18}{'accuracy':>9}  95 % interval ({over})"]
    for role, interval in summary.accuracy.items():
        notes = [_commonest(summary.commonest[role])]
        notes += [f"AUC {summary.auc[role].mean:.3f}"] if role in summary.auc else []
        notes += [f"{summary.empty[role].mean:.0%} empty"] if summary.empty else []
        notes += [f"F1 of the parts {summary.f1[role].mean:.3f}"] if summary.f1 else []
        lines.append(row(role, interval, ", ".join(notes)))
    if not summary.empty:
        lines.append(row("constant answer", summary.constant, "always the test part's most frequent true answer"))
    lines += ["", row("gap", summary.gap, "ceiling - supervisor", fraction=False)]
    lines.append(row("PGR", summary.pgr, "performance gap recovered", fraction=False))
    lines.append(row("agreement", summary.agreement, "student = weak"))
    lines.append(row("imitation", summary.imitation, "student = weak, where weak is wrong"))
    lines.append(row("correction", summary.correction, "student = truth, where weak is wrong"))
    if summary.slices:
        lines += ["", f"{'slice':<20}{'weak':>8}{'student':>9}{'ceiling':>9}{'examples':>10}"]
        for tag, columns in summary.slices.items():
            accuracies = "".join(f"{columns[role]:>{width}.3f}" for role, width in zip(ROLES, (8, 9, 9), strict=True))
            lines.append(f"{tag:<20}{accuracies}{columns['examples']:>10.0f}")
    if summary.diagnoses:
        lines += ["", "Before you read the numbers:"]
        for found in summary.diagnoses:
            lines += textwrap.wrap(found.says, width=100, initial_indent="* ", subsequent_indent="  ")
    return "\n".join([*lines, "", *_wrapped(reading_help(summary)), "", *_wrapped(stopping_help(summary))])


def _commonest(per_seed: Sequence[tuple[str, float]]) -> str:
    """A model's most frequent answer and its share, the mean over seeds."""
    (answer, _), *_ = per_seed
    share = sum(share for _, share in per_seed) / len(per_seed)
    if any(other != answer for other, _ in per_seed):
        return f"says one answer to {share:.0%} (it varies)"
    text = repr(answer) if len(repr(answer)) <= 20 else f"{repr(answer)[:17]}..."
    return f"says {text} to {share:.0%}"


def _wrapped(text: str) -> list[str]:
    return textwrap.wrap(text, width=100)


def reading_help(summary: Summary) -> str:
    """What the numbers say, and what they do not, for a reader who sees such a table for the first time."""
    if summary.verdict == "nothing measured":
        return "Reading: the test part has one true answer only, so these numbers tell nothing about the models."
    right, kinds = summary.label_accuracy.mean, {found.kind for found in summary.diagnoses}
    if summary.verdict == "no gap":
        sentence = "the strong ceiling is not above the weak supervisor, so there is no gap to recover and the PGR is "
        sentence += "undefined"
        if "too-few-examples" in kinds:
            sentence += "; with so few test examples, that may be luck"
    else:
        sentence = f"trained on weak labels of which {right:.0%} are right, the strong student {_recovered(summary)}"
    if summary.correction is not None and summary.verdict != "no gap" and "too-few-examples" not in kinds:
        corrected, repeated = summary.correction.mean, summary.imitation.mean
        sentence += f"; of the supervisor's errors it corrects {corrected:.0%} and repeats {repeated:.0%}"
    return f"Reading: {sentence}."


def _recovered(summary: Summary) -> str:
    """What is known of the part of the gap that the student recovers."""
    pgr, seeds = summary.pgr, len(summary.seeds)
    where = f" (in the {pgr.n} of {seeds} seeds with a gap)" if summary.pgr_undefined else ""
    if summary.verdict == "recovers":
        recovered = f"{pgr.mean:.0%} of the gap between its supervisor and its own ceiling{where}"
        return f"recovers {recovered}, 95 % interval {pgr.low:.0%} to {pgr.high:.0%}"
    if summary.verdict == "falls below":
        return f"ends below its own supervisor, so it recovers nothing of the gap to its ceiling{where}"
    return f"has a PGR of {pgr.mean:.3f}{where}, but {_doubt(summary)}"


def _doubt(summary: Summary) -> str:
    """Why the numbers do not allow to say whether the student recovers anything."""
    kinds, pgr = {found.kind for found in summary.diagnoses}, summary.pgr
    if "too-few-examples" in kinds:
        return f"{summary.test_examples:,} test examples are too few to say whether it recovers any of the gap"
    if kinds & {"ceiling-below", "seeds-differ", "too-easy", "no-gap"}:
        return "it is not clear that there is a gap to recover, so the PGR says little"
    if pgr.low is None:
        return "the gap is so small that the PGR could be almost any number"
    if pgr.low <= 0 <= pgr.high:
        return f"its interval [{pgr.low:.3f}, {pgr.high:.3f}] has 0 in it: it may have recovered nothing"
    return "student and supervisor differ by less than the test examples leave open"


def stopping_help(summary: Summary) -> str:
    """What stopping earlier would have given, if the test set chose the snapshot and if the validation set did."""
    oracle = (
        f"Stopping: at its best snapshot the student has accuracy {summary.best.mean:.3f} "
        f"(PGR {_number(summary.best_pgr)}), an oracle's choice, made on the test set"
    )
    if summary.trusted is None:
        return f"{oracle}."
    return (
        f"{oracle}; "
        f"{count(summary.validation_examples, 'trusted validation example')} would have chosen "
        f"{summary.trusted.mean:.3f} "
        f"(PGR {_number(summary.trusted_pgr)})."
    )
