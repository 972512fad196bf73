"""The kit's own claims of the literature: who says so, and how each is measured from the result files."""

from collections.abc import Callable
from typing import Any

from w2s_lab.experiments.effects import Effect, Slope, difference
from w2s_lab.studies import scaling
from w2s_lab.studies.measures import (
    AT_END,
    AT_TRUSTED,
    Values,
    both_moments,
    change,
    level,
    paired_by_seed,
    values_by_seed,
)
from w2s_lab.studies.methods import MATCHED, ONE_THIRD, PLAIN, RANDOM, SOFT, THIRDS, misfit_slope
from w2s_lab.studies.study import CANNOT_TELL, NOT_REPRODUCED, REPRODUCED, Finding, Rows

SENTIMENT, SMALL_GAP, HELPDESK = "sentiment", "sentiment, small gap", "helpdesk"
BURNS, BOOK, CHARIKAR = "Burns et al. 2023", "Xiao & Zhu 2025", "Charikar et al. 2024"
CONFIDENCE, RIDGE = "confidence loss 0.5", "linear probe, ridge"
UNTAUGHT = {"grid": "sentiment, no pre-training", "method": PLAIN}  # rows of students with random weights
HARD = f"{PLAIN} (hard)"  # the control, as the table calls it


def _method(name: str, control: str = PLAIN, grid: str = SENTIMENT) -> dict[str, Any]:
    """Control and measures of a `Finding` about a method of the study `methods`."""
    moments = both_moments({"grid": grid, "method": name}, {"grid": grid, "method": control})
    return {"control": HARD if control == PLAIN else control, **moments}


def _within(treated: str, control: str, wanted: Values | None = None) -> Callable[[Rows], Effect]:
    """The difference of two numbers of the same rows, one row a seed."""
    own = wanted or {}
    return lambda rows: paired_by_seed(values_by_seed(rows, treated, **own), values_by_seed(rows, control, **own))


def _larger(name: str) -> Callable[[Rows], Effect]:
    """pocket-l against pocket-m as the strong student; pocket-s is the weak supervisor of both."""
    large, small = (
        {"part": "pairs", "weak_model": "pocket-s", "strong_model": strong} for strong in ("pocket-l", "pocket-m")
    )
    return change(name, large, small)


def _own_size(name: str) -> Callable[[Rows], Effect]:
    """A number of the pairs whose models have one size, minus the accuracy of the supervisor."""

    def measure(rows: Rows) -> Effect:
        own = [row for row in rows if row["part"] == "pairs" and row["weak_model"] == row["strong_model"]]
        return paired_by_seed(values_by_seed(own, name), values_by_seed(own, "weak"))

    return measure


def _gain_minus_misfit(rows: Rows) -> Effect:
    return paired_by_seed(*(values_by_seed(rows, name, grid=SENTIMENT, method=RIDGE) for name in ("gain", "misfit")))


def _of_slope(found: Slope) -> Effect:
    """A slope as an effect."""
    return Effect("", found.slope, found.low, found.high, found.n, 0, found.p)


# -- what claims presuppose --------------------------------------------------------------------------------------


def _size_adds_ability(rows: Rows) -> str:
    more = _larger("ceiling")(rows)
    if more.low is not None and more.low > 0:
        return ""
    return (
        "The claim presupposes that the larger model knows more of what the task asks for. It does not: the ceiling of "
        f"pocket-l minus that of pocket-m is {difference(more)}."
    )


def _can_learn(rows: Rows) -> str:
    right = level("ceiling", UNTAUGHT)(rows)
    if right.low is None or right.high is None or right.low > 0.5:
        return ""
    return (
        "The claim presupposes that random weights can learn the task from 1,500 true answers. They do not: the "
        f"accuracy of the ceiling is {right.mean:.3f} [{right.low:.3f}, {right.high:.3f}], that of chance."
    )


def _truth_in_class(rows: Rows) -> str:
    away = level("ceiling_distance", {"grid": SENTIMENT, "method": RIDGE})(rows)
    if away.mean is None or away.low is None or away.low <= 0:
        return ""
    return (
        "The theorem asks that the truth be in the class. It is not: the ridge probe that learnt true labels of the "
        f"same examples is a squared distance of {away.mean:.3f} [{away.low:.3f}, {away.high:.3f}] away from it."
    )


# -- the claims --------------------------------------------------------------------------------------------------

FINDINGS: tuple[Finding, ...] = (
    Finding(
        "Naive fine-tuning on weak labels recovers part of the gap (PGR > 0)",
        f"{BURNS}, section 4.2",
        "PGR at the end, hard labels, sentiment",
        "methods",
        level("pgr", {"grid": SENTIMENT, "method": PLAIN}),
        control="the supervisor",
    ),
    Finding(
        "The same, on soft labels, as in their released code",
        f"{BURNS}, section 4.2",
        "PGR at the end, soft labels, sentiment",
        "methods",
        level("pgr", {"grid": SENTIMENT, "method": SOFT}),
        control="the supervisor",
    ),
    Finding(
        "The same, on hard labels, at the rate at which the truth is learnt best",
        f"{BURNS}, section 4.2",
        "PGR at the end, twice the rate of the lines above, sentiment, a supervisor of four passes",
        "scaling",
        level("pgr", {"part": "gaps", "passes": 4, "loss": scaling.HARD}),
        control="the supervisor",
    ),
    Finding(
        "The same, stopped on 100 trusted examples",
        f"{BURNS}, section 4.2",
        "PGR at the snapshot that 100 trusted examples choose, the same students",
        "scaling",
        level("trusted_pgr", {"part": "gaps", "passes": 4, "loss": scaling.HARD}),
        control="the supervisor",
    ),
    Finding(
        "Trained on, the student overfits to the weak errors within few epochs",
        BURNS,
        "accuracy after 10 epochs minus that at the snapshot which 100 trusted examples choose",
        "mechanism",
        _within("student_accuracy_at_end", "student_accuracy_at_trusted"),
        sign=-1,
    ),
    Finding(
        "Meanwhile it agrees with its supervisor more and more",
        BURNS,
        "imitation of weak errors, the same two moments",
        "mechanism",
        _within("imitation_at_end", "imitation_at_trusted"),
    ),
    Finding(
        "Early stopping gains, also without an oracle",
        BURNS,
        "PGR, stopped on 100 trusted examples minus at the end",
        "mechanism",
        _within("pgr_at_trusted", "pgr_at_end"),
    ),
    Finding(
        "Larger students imitate the supervisor's errors less",
        BURNS,
        "imitation at the end, pocket-l minus pocket-m as students of pocket-s",
        "scaling",
        _larger("imitation"),
        sign=-1,
        condition=_size_adds_ability,
    ),
    Finding(
        "Larger students recover more of their gap",
        f"{BURNS}, section 4.2",
        "PGR at the end, pocket-l minus pocket-m as students of pocket-s",
        "scaling",
        _larger("pgr"),
        condition=_size_adds_ability,
    ),
    Finding(
        "The confidence loss helps where the gap is large",
        f"{BURNS}, section 4.3",
        "accuracy, sentiment",
        "methods",
        **_method(CONFIDENCE, SOFT),
        because=(
            CANNOT_TELL,
            "At the end of training its students are ahead. Stopped on trusted examples, those of soft labels are "
            "nearly as good, and what is left of the lead may be luck.",
        ),
    ),
    Finding(
        "The same, where the answer is a rule",
        f"{BURNS}, section 4.3",
        "accuracy, helpdesk",
        "methods",
        **_method(CONFIDENCE, SOFT, HELPDESK),
        because=(
            REPRODUCED,
            "Soft labels, its control, are worse than hard ones here. Against hard labels no gain can be told.",
        ),
    ),
    Finding(
        "The confidence loss hurts where the gap is small",
        f"{BURNS}, section 4.3",
        "accuracy, sentiment, a supervisor that was trained further",
        "methods",
        **_method(CONFIDENCE, SOFT, SMALL_GAP),
        sign=-1,
        because=(
            REPRODUCED,
            "The side is sure, and the size is next to nothing: well within what this page counts as none.",
        ),
    ),
    Finding(
        "The larger the gap, the more the confidence loss gains",
        f"{BURNS}, section 4.3",
        "slope of the change of accuracy on the gap, pocket-l, supervisors that made 2 to 8 passes over the truth",
        "scaling",
        lambda rows: _of_slope(scaling.confidence_slope(rows, AT_TRUSTED)),
        at_end=lambda rows: _of_slope(scaling.confidence_slope(rows)),
        control=SOFT,
        because=(
            CANNOT_TELL,
            "At the end it does: the wider the gap, the more errors the students of soft labels have learnt by then, "
            "and the more there is to mend. Stopped in time they have learnt few, above any supervisor.",
        ),
        unit="students, clustered by seed",
        margin=None,
    ),
    Finding(
        "Bootstrapping through a model of medium size helps",
        f"{BURNS}, section 4.3, best on chess",
        "accuracy, sentiment",
        "methods",
        **_method("bootstrapping through pocket-m"),
        because=(
            CANNOT_TELL,
            "The model in the middle labels somewhat better than the supervisor, and eight seeds show no gain for the "
            "student that learns from it. Which errors it passes on was not recorded. All models learn from the same "
            "inputs here; in the paper each step has fresh ones.",
        ),
    ),
    Finding(
        "Generative adaptation to the unlabelled inputs helps",
        f"{BURNS}, section 5.2.2, reward modelling",
        "accuracy, sentiment",
        "methods",
        **_method("adapted to the inputs"),
        because=(
            CANNOT_TELL,
            "The inputs come from the world that the models were pre-trained on, so there is little to adapt to.",
        ),
    ),
    Finding(
        "The same adaptation, where the answer is a rule",
        f"{BURNS}, section 5.2.2, reward modelling",
        "accuracy, helpdesk",
        "methods",
        **_method("adapted to the inputs", grid=HELPDESK),
        because=(
            NOT_REPRODUCED,
            "At both moments it hurts. Pre-training had a decision behind every ticket, and next-token training on "
            "tickets alone may make the student forget what follows them: that is a guess. The recipe (one pass, rate "
            "8e-4) was chosen on sentiment.",
        ),
    ),
    Finding(
        "Soft labels teach more than hard ones",
        "Hinton et al. 2015",
        "accuracy, sentiment",
        "methods",
        **_method(SOFT),
        because=(CANNOT_TELL, "At the end they do; at the chosen snapshot the interval just holds 0."),
    ),
    Finding(
        "The same, token by token in an open task",
        "Hinton et al. 2015; Kim & Rush 2016",
        "exact matches, summary",
        "methods",
        **_method("token by token", grid="summary"),
        because=(
            NOT_REPRODUCED,
            "Nothing is elicited in this task: in exact matches the student of plain weak labels ends below its "
            "supervisor, so there is no gain that soft labels could add to. Why they end below hard ones was not "
            "measured.",
        ),
    ),
    Finding(
        "To keep what the supervisor is sure of helps",
        f"{BOOK}, figure 4.5c",
        "accuracy, confident half",
        "methods",
        **_method("confident half", RANDOM),
        because=(
            CANNOT_TELL,
            "Its labels are nearly clean, and at the end that shows. But stopping alone gives the student of a random "
            "half most of the same gain.",
        ),
    ),
    Finding(
        "To keep what is hard for the filter (high IFD) helps",
        "Li et al. 2024 (Superfiltering)",
        "accuracy, high IFD",
        "methods",
        **_method("high IFD", MATCHED["IFD"]),
        because=(
            CANNOT_TELL,
            "Superfiltering filters answers that come from a better source than its filter. Here the filter wrote the "
            "labels itself, and those that surprise it are right about as often as those of a random half.",
        ),
    ),
    Finding(
        "To keep what the student itself finds likely after an epoch (small loss) helps",
        "Han et al. 2018 (co-teaching)",
        "accuracy, small-loss half",
        "methods",
        **_method("small loss after an epoch", RANDOM),
        because=(REPRODUCED, "With one network. Co-teaching has two, which choose for each other."),
    ),
    Finding(
        "An ensemble of supervisors is a better supervisor",
        f"{BOOK}, figure 4.5d",
        "accuracy, average of three that saw the truth in another order",
        "methods",
        **_method("average of 3 (order)"),
        because=(
            CANNOT_TELL,
            "The three learnt the same examples from the same start, and their average labels hardly better than one "
            "of them. To stop the student of one gives more than the average adds at the end, and then half of its "
            "lead is left.",
        ),
    ),
    Finding(
        "The same, three equally weak ones that each learnt another third of the truth",
        f"{BOOK}, figure 4.5d",
        "accuracy, average of three",
        "methods",
        **_method(THIRDS, ONE_THIRD),
        because=(
            CANNOT_TELL,
            "With a third of the truth, a supervisor's students differ by several hundredths from seed to seed. "
            "Weights or a stacking fitted on the trusted examples change nothing that eight seeds can tell, either.",
        ),
    ),
    Finding(
        "Random errors are corrected, systematic ones imitated",
        BURNS,
        "accuracy, as many random errors",
        "methods",
        **_method("random errors"),
    ),
    Finding(
        "Without pre-training there is nothing to elicit",
        BURNS,
        "accuracy of a student with random weights at the end, at a rate of its own",
        "methods",
        _within(AT_END, "weak", UNTAUGHT),
        sign=-1,
        control="the supervisor",
        condition=_can_learn,
        because=(
            REPRODUCED,
            "Nor is its ceiling surely above the supervisor (there is a gap in 5 of 8 seeds), so this does not say "
            "which part of a gap such a student would recover. Its rate is the lowest of the four that were tried.",
        ),
    ),
    Finding(
        "A small model's labels are easier to learn than the truth",
        "this kit",
        "random weights, at the end: agreement of the student with its supervisor minus accuracy of the ceiling",
        "methods",
        _within("agreement", "ceiling", UNTAUGHT),
    ),
    Finding(
        "The gain is at least the misfit, in a convex class with the squared error",
        f"{CHARIKAR}, theorem",
        "gain minus misfit (squared distances), ridge probe on frozen features",
        "methods",
        _gain_minus_misfit,
        condition=_truth_in_class,
    ),
    Finding(
        "The more a student differs from its supervisor, the more it gains",
        f"{CHARIKAR}, experiments",
        "slope of gain on misfit at the end (squared distances), students of their own supervisor's labels",
        "methods",
        lambda rows: _of_slope(misfit_slope(rows)),
        because=(REPRODUCED, "Slope 1 would be gain = misfit; here it is a little less."),
        unit="students, clustered by seed",
        margin=None,
    ),
    Finding(
        "A student of its supervisor's own size surpasses it (strong-to-strong)",
        "Furlanello et al. 2018 (born-again networks)",
        "accuracy at the end, as many passes as its supervisor made, mean over four rungs",
        "scaling",
        _own_size(AT_END),
        control="the supervisor",
        because=(
            NOT_REPRODUCED,
            "Trained for as many steps on as many labels, students end half a hundredth below supervisors of their own "
            "size. Most of that is pocket-s; the two largest rungs leave next to no error to mend. Born-again networks "
            "learn soft labels of a teacher that they match; these learn hard ones.",
        ),
    ),
)
