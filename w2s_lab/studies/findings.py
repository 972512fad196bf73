"""What the literature says and what this kit measured, claim by claim: generated from the result files, never typed.

A verdict is computed from the 95 % interval of the measured effect. *Reproduced*: the whole interval lies on the side
of zero (or of another value) that the claim names. *Not reproduced*: the whole interval lies on the other side, or it
lies on both sides and within ±0.01 of zero (or of that value). *Cannot tell here*: all other cases.
"""

import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from w2s_lab.experiments.effects import Effect, difference, markdown_table, paired_effect
from w2s_lab.studies import STUDIES
from w2s_lab.studies.methods import PLAIN, RANDOM, misfit_slope
from w2s_lab.studies.study import NOTHING, Finding
from w2s_lab.system.files import replacing

LARGE = 0.15  # ceiling minus supervisor, in accuracy: a large gap
BEGIN, END = "<!-- findings: written by `w2s-lab study findings` -->", "<!-- end of findings -->"

Results = Mapping[str, Mapping[str, Any]]
Rows = Sequence[Mapping[str, Any]]


# -- from rows to effects ----------------------------------------------------------------------------------------


def values_by_seed(rows: Rows, name: str, **wanted: Any) -> dict[int, float | None]:
    """Seed -> the mean of a number over the rows of that seed with these values; None where it is never defined."""
    found: dict[int, list[float]] = {}
    for row in rows:
        if all(row.get(key) == value for key, value in wanted.items()):
            own = found.setdefault(row["seed"], [])
            own += [] if row.get(name) is None else [row[name]]
    return {seed: sum(own) / len(own) if own else None for seed, own in found.items()}


def paired_by_seed(treated: Mapping[int, float | None], control: Mapping[int, float | None]) -> Effect:
    """The difference of two numbers by seed, over the seeds that have both."""
    seeds = sorted(treated.keys() & control.keys())
    return paired_effect("", [treated[s] for s in seeds], [control[s] for s in seeds])


def level_by_seed(values: Mapping[int, float | None]) -> Effect:
    """The mean itself, as a difference from 0."""
    return paired_by_seed(values, dict.fromkeys(values, 0.0))


SENTIMENT, SMALL_GAP = "sentiment", "sentiment, small gap"


def accuracy_difference(treated: Mapping[str, Any], control: Mapping[str, Any]) -> Callable[[Rows], Effect]:
    """From rows to a difference of accuracy, by seed: rows with the values `treated` minus those with `control`."""
    return lambda rows: paired_by_seed(*(values_by_seed(rows, "accuracy", **wanted) for wanted in (treated, control)))


def _method(name: str, control: str = PLAIN, grid: str = SENTIMENT) -> Callable[[Rows], Effect]:
    return accuracy_difference({"grid": grid, "method": name}, {"grid": grid, "method": control})


def _seeds(treated: str, control: str) -> Callable[[Rows], Effect]:
    """The difference of two numbers of the mechanism study, paired by seed."""

    return lambda rows: paired_by_seed(values_by_seed(rows, treated), values_by_seed(rows, control))


def _confidence(wanted: Callable[[float], bool]) -> Callable[[Rows], Effect]:
    """The effect of the confidence loss in pairs whose gap (ceiling minus supervisor) satisfies `wanted`."""

    def measure(rows: Rows) -> Effect:
        treated = {(r["weak_model"], r["strong_model"]) for r in rows if r["loss"] != PLAIN}
        own = [r for r in rows if (r["weak_model"], r["strong_model"]) in treated and wanted(r["ceiling"] - r["weak"])]
        plain, confident = (values_by_seed(own, "accuracy", loss=loss) for loss in (PLAIN, "confidence loss 0.5"))
        return paired_by_seed(confident, plain)

    return measure


def _larger(name: str) -> Callable[[Rows], Effect]:
    """pocket-xl against pocket-m as the strong student; pocket-s is the weak supervisor of both."""

    def measure(rows: Rows) -> Effect:
        large, small = (
            values_by_seed(rows, name, weak_model="pocket-s", strong_model=strong, loss=PLAIN)
            for strong in ("pocket-xl", "pocket-m")
        )
        return paired_by_seed(large, small)

    return measure


def _own_size(rows: Rows) -> Effect:
    own = [row for row in rows if row["weak_model"] == row["strong_model"] and row["loss"] == PLAIN]
    return paired_by_seed(values_by_seed(own, "accuracy"), values_by_seed(own, "weak"))


def _gain_minus_misfit(method: str) -> Callable[[Rows], Effect]:
    def measure(rows: Rows) -> Effect:
        gain, misfit = (values_by_seed(rows, name, grid=SENTIMENT, method=method) for name in ("gain", "misfit"))
        return paired_by_seed(gain, misfit)

    return measure


def _misfit_slope(rows: Rows) -> Effect:
    """`methods.misfit_slope` as an effect."""
    found = misfit_slope(rows)
    return Effect("", found.slope, found.low, found.high, found.n, 0, None)


BURNS, BOOK = "Burns et al. 2023", "Xiao & Zhu 2025"

FINDINGS: tuple[Finding, ...] = (
    Finding(
        "Naive fine-tuning on weak labels recovers part of the gap (PGR > 0)",
        f"{BURNS}, section 4.2",
        "PGR, sentiment",
        "methods",
        lambda rows: level_by_seed(values_by_seed(rows, "pgr", grid=SENTIMENT, method=PLAIN)),
    ),
    Finding(
        "Trained on, the student overfits to the weak errors within few epochs",
        f"{BURNS}, section 5.1.1",
        "accuracy after 10 epochs minus that at the snapshot which 100 trusted examples choose",
        "mechanism",
        _seeds("student_accuracy_at_end", "student_accuracy_at_trusted"),
        sign=-1,
    ),
    Finding(
        "Meanwhile it agrees with its supervisor more and more",
        f"{BURNS}, section 5.1.3",
        "imitation of weak errors, the same two moments",
        "mechanism",
        _seeds("imitation_at_end", "imitation_at_trusted"),
    ),
    Finding(
        "Early stopping gains, also without an oracle",
        f"{BURNS}, section 5.1.1",
        "PGR, stopped on 100 trusted examples minus at the end",
        "mechanism",
        _seeds("pgr_at_trusted", "pgr_at_end"),
    ),
    Finding(
        "Larger students imitate the supervisor's errors less",
        f"{BURNS}, section 5.1.3",
        "imitation, pocket-xl minus pocket-m as students of pocket-s",
        "scaling",
        _larger("imitation"),
        sign=-1,
        because=(
            "cannot tell here",
            "In this world pocket-m knows all that the task asks for, so a larger rung has nothing "
            "more that could be elicited, and learns any label faster. With three seeds the interval "
            "is wide.",
        ),
    ),
    Finding(
        "Larger students recover more of their gap",
        f"{BURNS}, section 4.2",
        "PGR, pocket-xl minus pocket-m as students of pocket-s",
        "scaling",
        _larger("pgr"),
        because=(
            "cannot tell here",
            "The same reason: from pocket-m on all ceilings are at 0.99 or more, so size adds ability "
            "to learn labels and none to be elicited.",
        ),
    ),
    Finding(
        "The confidence loss helps where the gap is large",
        f"{BURNS}, section 4.3",
        f"accuracy, pairs with a gap of {LARGE} or more",
        "scaling",
        _confidence(lambda gap: gap >= LARGE),
    ),
    Finding(
        "The confidence loss hurts where the gap is small",
        f"{BURNS}, section 4.3",
        f"accuracy, pairs with a gap below {LARGE}",
        "scaling",
        _confidence(lambda gap: gap < LARGE),
        sign=-1,
        because=(
            "cannot tell here",
            "It points the way that is claimed: in both pairs (pocket-xs and pocket-s supervising "
            "pocket-s) the student that trusts itself gets worse. Three seeds are too few to be sure.",
        ),
    ),
    Finding(
        "The same, where supervisor and ceiling are both nearly right",
        f"{BURNS}, section 4.3",
        "accuracy, sentiment, a supervisor that was trained further",
        "methods",
        _method("confidence loss 0.5", grid=SMALL_GAP),
        sign=-1,
        because=(
            "cannot tell here",
            "This supervisor is right so often that its student is within a hundredth of the ceiling "
            "whatever the loss: too little is left to lose or to win. Elsewhere in this table the "
            "loss helps, in a world where the student is rightly sure of itself from the first epoch "
            "on.",
        ),
    ),
    Finding(
        "Bootstrapping through a model of medium size helps",
        f"{BURNS}, section 4.3",
        "accuracy, sentiment",
        "methods",
        _method("bootstrapping through pocket-m"),
        because=(
            "cannot tell here",
            "The model in the middle labels somewhat better than the supervisor, but what it corrects "
            "are the errors that look random; those that remain are the systematic ones, and the "
            "student learns them as readily from it.",
        ),
    ),
    Finding(
        "Generative adaptation to the unlabelled inputs helps",
        f"{BURNS}, section 5.2.2",
        "accuracy, sentiment",
        "methods",
        _method("adapted to the inputs"),
        because=(
            "cannot tell here",
            "The inputs come from the world that the models were pre-trained on, so there is little to adapt to.",
        ),
    ),
    Finding(
        "The same, where the answer is a rule",
        f"{BURNS}, section 5.2.2",
        "accuracy, helpdesk",
        "methods",
        _method("adapted to the inputs", grid="helpdesk"),
        because=(
            "not reproduced",
            "Pre-training had a decision behind every ticket; next-token training on tickets alone "
            "makes the student forget what follows them. The recipe (one pass, rate 8e-4) was chosen "
            "on sentiment.",
        ),
    ),
    Finding(
        "Soft labels teach more than hard ones",
        "Hinton et al. 2015",
        "accuracy, sentiment",
        "methods",
        _method("soft labels"),
    ),
    Finding(
        "The same, token by token in an open task",
        "Hinton et al. 2015; Kim & Rush 2016",
        "exact matches, summary",
        "methods",
        _method("token by token", grid="summary"),
        because=(
            "cannot tell here",
            "Nothing is elicited in this task: the student stays at its supervisor's level whatever "
            "it learns from, so there is no gain that soft labels could add to. Three seeds.",
        ),
    ),
    Finding(
        "To keep what the supervisor is sure of helps",
        f"{BOOK}, figure 4.5c",
        "accuracy, confident half minus random half",
        "methods",
        _method("confident half", RANDOM),
    ),
    Finding(
        "To keep what is hard for it (high IFD) helps",
        "Li et al. 2024 (Superfiltering)",
        "accuracy, high IFD minus random half",
        "methods",
        _method("high IFD", RANDOM),
        because=(
            "cannot tell here",
            "IFD puts first the labels that surprise the supervisor; here they are right about as often as "
            "those of a random half.",
        ),
    ),
    Finding(
        "To keep what the student itself finds likely after an epoch (small loss) helps",
        "Han et al. 2018 (co-teaching)",
        "accuracy, small-loss half minus random half",
        "methods",
        _method("small loss after an epoch", RANDOM),
    ),
    Finding(
        "An ensemble of supervisors is a better supervisor",
        f"{BOOK}, figure 4.5d",
        "accuracy, average of three that saw the truth in another order",
        "methods",
        _method("average of 3 (order)"),
    ),
    Finding(
        "Random errors are corrected, systematic ones imitated",
        f"{BURNS}, section 5.1",
        "accuracy, as many random errors minus weak labels",
        "methods",
        _method("random errors"),
    ),
    Finding(
        "Without pre-training there is nothing to elicit",
        f"{BURNS}, section 1",
        "accuracy, random weights minus pre-trained",
        "methods",
        _method("not pre-trained"),
        sign=-1,
    ),
    Finding(
        "The gain is at least the misfit, in a convex class with the squared error",
        "Charikar et al. 2024, theorem 1",
        "gain minus misfit (squared distances), ridge probe on frozen features",
        "methods",
        _gain_minus_misfit("linear probe, ridge"),
        value=-NOTHING,
        because=(
            "not reproduced",
            "The theorem asks that the truth be in the class. The best ridge probe on the true labels "
            "is still a squared distance of about 0.04 away from them, more than what is missing "
            "here.",
        ),
    ),
    Finding(
        "The more a student differs from its supervisor, the more it gains",
        "Charikar et al. 2024, section 5",
        "slope of gain on misfit (squared distances), students of one supervisor's labels",
        "methods",
        _misfit_slope,
        value=0.0,
        because=(
            "reproduced",
            "Slope 1 would be gain = misfit; here it is a little less. Students that share a seed are counted as if "
            "they were independent, so the interval is too narrow.",
        ),
        unit="students",
    ),
    Finding(
        "A student of its supervisor's own size surpasses it (strong-to-strong)",
        "Furlanello et al. 2018 (born-again networks)",
        "accuracy of the student minus that of the supervisor, five rungs",
        "scaling",
        _own_size,
        because=(
            "cannot tell here",
            "Three of the five rungs are right in 99 % of the cases or more, so there is next to "
            "nothing to surpass; the two smallest end below their supervisors.",
        ),
    ),
)


# -- the table ---------------------------------------------------------------------------------------------------


def all_findings() -> tuple[Finding, ...]:
    """The kit's own claims, then those of each registered study."""
    return (*FINDINGS, *(claim for study in STUDIES.values() for claim in study.claims))


def read_results(folder: Path) -> dict[str, dict]:
    """Name -> result, of the studies that the findings need.

    Raises:
        ValueError: a result is missing or cannot be read; the message names the command that makes it.
    """
    found = {}
    for name in sorted({finding.study for finding in all_findings()}):
        path = folder / f"{name}.json"
        try:
            found[name] = json.loads(path.read_text(encoding="utf-8"))
        except FileNotFoundError:
            raise ValueError(f"{path} is not there. Hint: w2s-lab study {name} --output {folder}") from None
        except ValueError as error:
            raise ValueError(f"{path} cannot be read ({error}). Hint: w2s-lab study {name} --output {folder}") from None
    return found


def rows_of(result: Mapping[str, Any]) -> Rows:
    """The rows of a result file, one for each training and seed."""
    return result["rows"] if "rows" in result else result["seeds"]


def measured(results: Results) -> list[tuple[Finding, Effect]]:
    """Every claim with its effect."""
    return [(finding, finding.measure(rows_of(results[finding.study]))) for finding in all_findings()]


def findings_table(results: Results) -> str:
    """One row per claim, in Markdown."""
    rows = []
    for finding, effect in measured(results):
        verdict = finding.verdict(effect)
        count = f"{effect.n}" + (f" of {effect.n + effect.undefined}" if effect.undefined else "") + f" {finding.unit}"
        rows.append((finding.claim, finding.source, finding.quantity, difference(effect), count, f"**{verdict}**"))
    return markdown_table(("claim", "source", "measured here", "effect, 95 % interval", "over", "verdict"), rows)


def reasons(results: Results) -> str:
    """The reasons for some of the verdicts, as a list in Markdown."""
    lines = []
    for finding, effect in measured(results):
        wanted, why = finding.because
        if why and wanted == finding.verdict(effect):
            lines.append(f"* **{finding.claim}** ({wanted}). {why}")
    return "\n".join(lines)


def write_findings(folder: Path) -> list[Path]:
    """Put table and reasons between the marks in `folder/README.md`, and in `docs/findings.md` beside `data`.

    Returns:
        The files written.

    Raises:
        ValueError: a result file is missing, or a page has no marks.
    """
    results = read_results(folder)
    text = f"{BEGIN}\n{findings_table(results)}\n\n{reasons(results)}".rstrip() + f"\n{END}"
    written = []
    for path in (folder / "README.md", folder.parent.parent / "docs" / "findings.md"):
        if not path.is_file():
            continue
        old = path.read_text(encoding="utf-8")
        if BEGIN not in old or END not in old:
            raise ValueError(f"{path} has no place for the findings; expected the lines {BEGIN!r} and {END!r}")
        new = old[: old.index(BEGIN)] + text + old[old.index(END) + len(END) :]
        with replacing(path) as partial:
            partial.write_text(new, encoding="utf-8")
        written.append(path)
    return written
