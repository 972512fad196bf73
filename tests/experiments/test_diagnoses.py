"""What a report says of runs that collapsed or are tiny, on made-up outcomes: no sentence contradicts the numbers."""

import json
import math
from collections import Counter
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats
from sklearn.dummy import DummyClassifier

from w2s_lab.experiments.evidence import VERDICTS
from w2s_lab.experiments.procedure import Outcome
from w2s_lab.experiments.report import ROLES, Summary, summarise, table
from w2s_lab.records import Comparison, Evaluation, Snapshot, Task

quick = settings(deadline=None, max_examples=60, derandomize=True, database=None)
MAIL = Task("mail", ("ham", "spam"))
GAPS = {"ceiling-below", "seeds-differ", "too-easy", "no-gap", "too-few-examples"}  # at most one of them


def outcome(truth, weak, student, ceiling, *, task=MAIL, seed=0, labels=0.7, learnt=None) -> Outcome:
    """One seed, of answers to the test examples."""
    ids = tuple(f"x{i}" for i in range(len(truth)))
    evaluations = [Evaluation(task, ids, tuple(said), tuple(truth), tuple(weak)) for said in (weak, student, ceiling)]
    curve = (Snapshot(0, 0, None, evaluations[1]), Snapshot(1, 8, 0.5, evaluations[1]))
    return Outcome(seed, Comparison(*evaluations), labels, curve, (0.5, 0.5), learnt)


def right(truth, fraction: float, shift: int = 0, task: Task = MAIL) -> list[str]:
    """Answers that are right for this fraction of the examples: the errors are spread over all classes."""
    n = len(truth)
    wrong = {int(i) for i in (np.floor(np.linspace(0, n, round(n * (1 - fraction)), endpoint=False)) + shift) % n}
    return [task.answers[(task.answers.index(t) + 1) % len(task.answers)] if i in wrong else t
            for i, t in enumerate(truth)]  # fmt: skip


def truth_of(n: int, ham: float = 0.5) -> list[str]:
    return ["ham" if (i * 7) % n < ham * n else "spam" for i in range(n)]


def seeds(*accuracies: tuple[float, float, float], n: int = 1000, **options) -> list[Outcome]:
    """Seeds with accuracies of weak, student and ceiling."""
    truth = truth_of(n)
    return [
        outcome(truth, *(right(truth, a, shift) for shift, a in enumerate(three)), seed=seed, **options)
        for seed, three in enumerate(accuracies)
    ]


def kinds(summary: Summary) -> set[str]:
    return {found.kind for found in summary.diagnoses}


def says(summary: Summary, kind: str) -> str:
    (found,) = (found.says for found in summary.diagnoses if found.kind == kind)
    return found


def report(outcomes) -> tuple[Summary, str]:
    """The summary, and the table in one line."""
    summary = summarise(outcomes, validation_examples=1)
    text = table(summary, "title")
    assert "None" not in text and "nan" not in text and all(len(line) <= 120 for line in text.splitlines())
    return summary, " ".join(text.split())


# -- numbers in every report -----------------------------------------------------------------------------------------


@quick
@given(st.lists(st.tuples(*[st.sampled_from(["ham", "spam", "scam"])] * 4), min_size=1, max_size=30))
def test_the_constant_answer_is_sklearns_and_shares_are_counted(rows):
    truth, *said = zip(*rows, strict=True)
    one = outcome(truth, *said, task=Task("mail", ("ham", "spam", "scam")))
    summary, text = report([one])
    dummy = DummyClassifier(strategy="most_frequent").fit(truth, truth)
    assert summary.constant.mean == pytest.approx(dummy.score(truth, truth))
    assert f"constant answer {summary.constant.mean:.3f}" in text
    for role, answers in zip(ROLES, said, strict=True):
        ((answer, share),) = summary.commonest[role]
        assert (answers.count(answer), share) == (max(Counter(answers).values()), answers.count(answer) / len(answers))
        assert f"says {answer!r} to {share:.0%}" in text


def test_the_share_is_the_mean_over_seeds_whatever_the_answer():
    collapsed = [outcome(truth_of(200), [w] * 200, [w] * 200, [w] * 200, seed=s) for s, w in enumerate(MAIL.answers)]
    summary, text = report(collapsed)
    assert summary.commonest["strong ceiling"] == (("ham", 1.0), ("spam", 1.0))
    assert "says one answer to 100% (it varies)" in text
    assert says(summary, "one-answer") == (
        "One answer only: the weak supervisor, strong student and strong ceiling say 'ham' to all test examples in "
        "seed 0; 'spam' to all test examples in seed 1."
    )


def test_an_open_task_counts_empty_answers():
    truth = [f"plot {i}" for i in range(40)]
    weak = ["" if i < 30 else "plot" for i in range(40)]
    summary, text = report([outcome(truth, weak, [""] * 40, truth, task=Task("open"))])
    assert {role: interval.mean for role, interval in summary.empty.items()} == {
        "weak supervisor": 0.75, "strong student": 1.0, "strong ceiling": 0.0,
    }  # fmt: skip
    assert "75% empty" in text and "constant answer" not in text
    assert says(summary, "empty-answers") == "Empty answers: of the weak supervisor, 75% of the answers are empty."
    assert "strong student says nothing (an empty answer) to all test examples" in says(summary, "one-answer")
    assert not kinds(summary) & {"at-chance", "below-constant", "no-test-class", "unseen-class"}


def test_all_of_it_is_plain_json():
    runs = seeds((0.7, 0.7, 0.7), (0.7, 0.8, 0.9))
    summary, _ = report(runs)
    found = json.loads(json.dumps(summary.to_dict()))
    assert found["verdict"] in VERDICTS and found["why_undefined"].keys() == {"0"}
    assert found["constant"]["mean"] == 0.5 and found["gap"]["mean"] == pytest.approx(0.1)
    assert [one["kind"] for one in found["diagnoses"]] == [one.kind for one in summary.diagnoses] != []


# -- how each collapse is told from the others -----------------------------------------------------------------------


def test_a_clean_run_has_nothing_to_say():
    summary, text = report(seeds((0.7, 0.8, 0.9), (0.71, 0.81, 0.89), (0.69, 0.8, 0.9)))
    assert summary.diagnoses == () and summary.verdict == "recovers" and "Before you read" not in text
    assert f"recovers {summary.pgr.mean:.0%} of the gap" in text and f"{summary.pgr.low:.0%} to" in text


def test_six_test_examples_give_no_confident_sentence():
    truth = truth_of(6)
    few = [outcome(truth, right(truth, 1 / 6), right(truth, 5 / 6), truth, seed=seed) for seed in range(1)]
    summary, text = report(few)
    assert summary.pgr.low > 0, "the bootstrap is too sure of itself"
    assert {"too-few-examples", "one-seed"} <= kinds(summary) and summary.verdict == "cannot tell"
    assert "6 test examples are too few" in text and "recovers 8" not in text and "corrects" not in text


@pytest.mark.parametrize(
    ("accuracies", "n", "few"),
    [
        ((0.5, 0.7, 0.9), 300, False),
        ((0.5, 0.7, 0.9), 10, True),
        ((0.5, 0.52, 0.55), 60, True),  # ± more than half the gap
        ((0.5, 0.5, 0.5), 3000, False),  # no gap, and this is known exactly enough
        ((0.2, 0.5, 1.0), 8, True),  # a gap of 0.8, known less exactly than ± 0.2
    ],
)
def test_how_many_test_examples_are_too_few(accuracies, n, few):
    summary, _ = report(seeds(accuracies, n=n))
    assert ("too-few-examples" in kinds(summary)) == few
    half = (summary.gap.high - summary.gap.low) / 2  # one seed: the interval is over the test examples
    assert few == (half > min(0.2, max(0.05, abs(summary.gap.mean) / 2)))


@pytest.mark.parametrize("role", ROLES)
def test_one_answer_only(role):
    truth = truth_of(400, ham=0.6)
    answers = {"weak supervisor": right(truth, 0.7), "strong student": right(truth, 0.8, 1), "strong ceiling": truth}
    summary, _ = report([outcome(truth, *(answers | {role: ["ham"] * 400}).values())])
    assert says(summary, "one-answer") == f"One answer only: the {role} says 'ham' to all test examples."
    nearly = ["spam" if i < 4 else "ham" for i in range(400)]
    summary, _ = report([outcome(truth, *(answers | {role: nearly}).values())])
    assert f"the {role} says 'ham' to 99.0% of the test examples" in says(summary, "one-answer")


def test_a_model_that_is_right_about_a_rare_class_did_not_collapse():
    truth = ["spam"] * 40 + ["ham"] * 960
    summary, _ = report([outcome(truth, right(truth, 0.99), truth, truth)])
    assert "one-answer" not in kinds(summary) and summary.commonest["strong student"] == (("ham", 0.96),)


def test_at_chance_and_below():
    truth = truth_of(600, ham=0.7)
    chance = [("ham", "spam")[i % 10 == 0] for i in range(600)]
    summary, _ = report([outcome(truth, chance, right(truth, 0.9), truth)])
    accuracy = sum(a == t for a, t in zip(chance, truth, strict=True)) / 600
    below = stats.binomtest(
        sum(a == t == "spam" for a, t in zip(chance, truth, strict=True)), chance.count("spam")
    ).pvalue  # McNemar, exact: where it differs from the constant answer, is it right as often as wrong?
    assert ("below-constant" in kinds(summary)) == (below < 0.05)
    summary, _ = report([outcome(truth, right(truth, 0.7), right(truth, 0.9), truth)])
    assert f"supervisor cannot be told from a constant answer, 0.700 against {summary.constant.mean:.3f}" in says(
        summary, "at-chance"
    )
    assert says(summary, "at-chance").startswith("At chance: ")
    summary, _ = report([outcome(truth, right(truth, 0.3), right(truth, 0.9), truth)])
    assert "weak supervisor, 0.300 against 0.700 for always 'ham'" in says(summary, "below-constant")
    assert accuracy < 0.7


def test_what_no_seed_tells_all_of_them_may_tell():
    close = seeds(*[(0.55, 0.7, 0.9)] * 5, n=200)
    assert "at-chance" in kinds(report(close[:1])[0]) and "at-chance" not in kinds(report(close)[0])


def test_classes_that_are_nowhere():
    truth = ["ham"] * 100 + ["spam"] * 100
    task = Task("mail", ("ham", "spam", "scam"))
    learnt = {
        "weak supervisor": {"ham": 9},
        "strong student": {"ham": 5, "spam": 4},
        "strong ceiling": {"ham": 4, "spam": 4, "scam": 1},
    }
    one = outcome(truth, right(truth, 0.7), right(truth, 0.8), truth, task=task, learnt=learnt)
    summary, text = report([one])
    assert says(summary, "no-test-class").startswith("Test part: no example of 'scam'.")
    assert "The weak supervisor never saw an example of 'spam' or 'scam'." in text
    assert "The strong student never saw a weak label 'scam'." in text and "The strong ceiling never saw" not in text
    summary, _ = report([replace(one, learnt=None), replace(one, seed=1)])
    assert "'spam' or 'scam' in seed 1." in " ".join(found.says for found in summary.diagnoses)
    collapsed = replace(one, learnt=learnt | {"strong student": {"ham": 9}})
    assert "all of them are 'ham'" in says(report([collapsed])[0], "one-label")


def test_one_true_answer_leaves_nothing_to_measure():
    truth = ["ham"] * 30
    summary, text = report([outcome(truth, right(truth, 0.5), right(truth, 0.8), truth)])
    assert summary.verdict == "nothing measured" and "'ham' is ever right" in says(summary, "one-truth")
    assert not kinds(summary) & (GAPS | {"at-chance", "below-constant", "one-answer", "no-test-class"})
    assert "recovers" not in text


@pytest.mark.parametrize(
    ("accuracies", "kind"),
    [
        ([(0.99, 0.99, 0.99)], "too-easy"),
        ([(0.7, 0.7, 0.7)] * 3, "no-gap"),
        ([(0.8, 0.7, 0.7)] * 3, "ceiling-below"),
        ([(0.5, 0.6, 0.9), (0.7, 0.75, 0.8)], "seeds-differ"),
        ([(0.7, 0.8, 0.9)] * 3, None),
    ],
)
def test_why_there_is_no_gap(accuracies, kind):
    summary, text = report(seeds(*accuracies))
    assert kinds(summary) & GAPS == ({kind} if kind else set())
    assert (summary.verdict == "recovers") == (kind is None) == ("recovers " in text)


def test_seeds_without_a_pgr_are_named_with_their_reason():
    summary, text = report(seeds((0.7, 0.8, 0.9), (0.8, 0.8, 0.7), (0.72, 0.8, 0.9)))
    assert summary.why_undefined == {1: "the ceiling (0.700) is below the supervisor (0.800)"}
    assert "undefined for 1 of 3 seeds" in text and "is below the supervisor (0.800) in seed 1." in text
    assert summary.verdict == "cannot tell", "a mean over the favourable seeds proves nothing"


def test_labels_without_errors():
    summary, _ = report(seeds((0.9, 0.95, 1.0), (0.9, 0.95, 1.0), labels=1.0))
    assert "all right in every seed" in says(summary, "labels-all-right")
    summary, _ = report(seeds((1.0, 1.0, 1.0)))
    assert {"no-weak-errors", "too-easy", "one-seed"} == kinds(summary)


# -- any predictions -------------------------------------------------------------------------------------------------

WORDS = st.sampled_from(["ham", "spam", "scam"])


@st.composite
def any_outcomes(draw) -> list[Outcome]:
    """One to three seeds, of few or many examples, with models that know something or collapsed."""
    open_task = draw(st.booleans())
    task = Task("open") if open_task else Task("mail", ("ham", "spam", "scam"))
    found = []
    n = draw(st.sampled_from([1, 2, 5, 30, 400]))
    for seed in range(draw(st.integers(1, 3))):
        rng = np.random.default_rng(draw(st.integers(0, 10**6)))
        truth = list(rng.choice(["ham", "spam", "scam"], n, p=draw(st.sampled_from([[0.4, 0.3, 0.3], [1, 0, 0]]))))

        def model(rng=rng, truth=truth) -> list[str]:
            if draw(st.integers(0, 3)) == 0:
                return [draw(WORDS)] * n
            knows = rng.random(n) < draw(st.sampled_from([0.0, 0.5, 0.8, 0.95, 1.0]))
            return [t if k else str(rng.choice(["ham", "spam"])) for t, k in zip(truth, knows, strict=True)]

        labels = draw(st.sampled_from([0.3, 0.8, 1.0]))
        found.append(outcome(list(map(str, truth)), model(), model(), model(), task=task, seed=seed, labels=labels))
    return found


@quick
@given(any_outcomes())
def test_no_sentence_contradicts_the_numbers(outcomes):
    summary, text = report(outcomes)
    found, mean = kinds(summary), {role: interval.mean for role, interval in summary.accuracy.items()}
    assert json.loads(json.dumps(summary.to_dict()))["verdict"] == summary.verdict in VERDICTS
    assert len(found & GAPS) <= 1 and ("one-seed" in found) == (len(outcomes) == 1)
    reading = text[text.index("Reading: ") : text.index("Stopping: ")]
    if "strong student recovers" in reading:
        assert summary.verdict == "recovers" and not found & GAPS
        assert summary.pgr.low > 0 and summary.gap.low > 0
        assert mean["weak supervisor"] < min(mean["strong student"], mean["strong ceiling"])
    if "ends below its own supervisor" in reading:
        assert summary.verdict == "falls below" and not found & GAPS and summary.pgr.high < 0
        assert mean["strong student"] < mean["weak supervisor"] < mean["strong ceiling"]
    assert (summary.verdict == "no gap") == (summary.pgr is None and summary.verdict != "nothing measured")
    assert len(summary.why_undefined) == summary.pgr_undefined
    assert "ceiling-below" not in found or mean["strong ceiling"] < mean["weak supervisor"]
    assert "too-easy" not in found or mean["weak supervisor"] >= 0.95
    for role, field in ROLES.items():
        evaluations = [getattr(one.comparison, field) for one in outcomes]
        constant = [max(Counter(e.predictions).values()) / len(e) for e in evaluations]
        named = any(role in one.says for one in summary.diagnoses if one.kind == "one-answer")
        assert not named or max(constant) >= 0.95
        wrong = [len(set(e.truth)) > 1 and len(set(e.predictions)) == 1 for e in evaluations]
        assert named or not any(wrong)
        for one in summary.diagnoses:
            if one.kind == "below-constant" and role in one.says:
                assert any(e.accuracy < max(Counter(e.truth).values()) / len(e) for e in evaluations)


@quick
@given(any_outcomes())
def test_many_copies_of_the_test_examples_only_make_a_report_surer(outcomes):
    """A verdict on few examples holds on ten times as many of the same."""
    one = outcomes[:1]
    comparison = one[0].comparison

    def times(k: int) -> Outcome:
        columns = [comparison.weak.truth, *(getattr(comparison, field).predictions for field in ROLES.values())]
        return outcome(*(column * k for column in columns), task=comparison.weak.task)

    before, after = (summarise([times(k)], validation_examples=1) for k in (1, 10))
    assert before.verdict in ("cannot tell", after.verdict)
    assert before.accuracy["weak supervisor"].mean == pytest.approx(after.accuracy["weak supervisor"].mean)
    assert math.isclose(before.constant.mean, after.constant.mean)
