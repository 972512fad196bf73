"""Choices of a snapshot on histories small enough to choose by hand."""

from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from w2s_lab.records import Evaluation, Snapshot, Task
from w2s_lab.training.stopping import at_agreement, at_examples, best_on, oracle, recovered

TASK = Task("toy", ("y", "n"))
IDS = tuple("abcdefgh")
TRUTH = "yyyynnnn"
WEAK = "yyynnnny"  # right 6 times in 8
AGREEMENT = 6 / 8


def snapshot(step: int, predictions: str, *, weak: str | None = WEAK) -> Snapshot:
    reference = None if weak is None else tuple(weak)
    evaluation = Evaluation(TASK, IDS, tuple(predictions), tuple(TRUTH), reference)
    return Snapshot(step, 32 * step, 0.5, evaluation)


# accuracy against truth, agreement with the weak supervisor, right among a, b, e (all in eighths or thirds)
HISTORY = (
    snapshot(0, "yyyynnnn"),  # 8, 6, 3: perfect, but nothing was trained
    snapshot(4, "ynynnyyy"),  # 3, 5, 2
    snapshot(8, "yyyynnyn"),  # 7, 5, 3
    snapshot(12, "yyyynnny"),  # 7, 7, 3
    snapshot(16, "yyynnnnn"),  # 7, 7, 3
    snapshot(20, "nyynnnny"),  # 5, 7, 2
    snapshot(24, "yyynnnny"),  # 6, 8, 3
)


def test_the_history_is_what_the_table_says():
    found = [(s.evaluation.accuracy * 8, s.evaluation.agreement * 8) for s in HISTORY]
    assert found == [(8, 6), (3, 5), (7, 5), (7, 7), (7, 7), (5, 7), (6, 8)]


def test_the_oracle_takes_the_first_of_the_best_but_never_step_0():
    assert oracle(HISTORY).step == 8
    assert oracle(HISTORY[:2]).step == 4
    assert oracle(HISTORY, ids=("d", "h")).step == 8
    assert oracle(HISTORY, ids=("g", "h")).step == 16


def test_best_on_trusted_examples():
    assert best_on(HISTORY, ("a", "b", "e")).step == 8
    assert best_on(HISTORY, ("d",)).step == 8
    assert best_on(HISTORY, ("g",)).step == 12
    assert best_on(HISTORY, ["c", "e"]).step == 4


def test_agreement_stops_where_imitation_becomes_certain_for_good():
    assert at_agreement(HISTORY, AGREEMENT).step == 8  # 5, 5 | 7, 7, 7, 8 eighths, against 6
    assert at_agreement(HISTORY, 7 / 8).step == 20
    assert at_agreement(HISTORY, 1.0).step == 24  # never exceeded: to the end
    assert at_agreement(HISTORY, 0.5).step == 4  # always exceeded: the first of the lowest


def test_an_agreement_that_falls_again_has_not_exceeded_for_good():
    back = (*HISTORY[:4], snapshot(14, "yyyynnyn"), *HISTORY[4:])
    assert at_agreement(back, AGREEMENT).step == 14


def test_the_excess_of_agreement_is_a_lower_bound_of_repeated_errors():
    """The argument of at_agreement, on every pattern of predictions of eight items."""
    for pattern in range(256):
        predictions = [("y", "n")[pattern >> i & 1] for i in range(8)]
        agreement = sum(p == w for p, w in zip(predictions, WEAK, strict=True)) / 8
        repeated = sum(p == w != t for p, w, t in zip(predictions, WEAK, TRUTH, strict=True)) / 8
        assert repeated >= agreement - AGREEMENT


def test_a_budget_of_examples():
    assert [at_examples(HISTORY, budget).step for budget in (128, 255, 256, 600, 10**6)] == [4, 4, 8, 16, 24]
    with pytest.raises(ValueError, match=r"examples is 127, but the first snapshot has seen 128\. Hint.*eval_every"):
        at_examples(HISTORY, 127)


def test_recovered_is_the_fraction_of_what_stopping_can_gain():
    """End 6, oracle 7 eighths."""
    end, best = HISTORY[-1], oracle(HISTORY)
    assert recovered(best, end, best) == 1 and recovered(end, end, best) == 0
    assert recovered(HISTORY[1], end, best) == pytest.approx((3 - 6) / (7 - 6))
    assert recovered(HISTORY[1], best, best) is None
    assert recovered(end, end, end) is None


def test_recovered_on_part_of_what_was_watched():
    """Of d, f, g, h: the end has 2 right, step 4 none, step 16 three."""
    ids = ("d", "f", "g", "h")
    best = oracle(HISTORY, ids=ids)
    assert best.step == 8 and recovered(HISTORY[1], HISTORY[-1], best, ids=ids) == pytest.approx(-2)


def test_histories_that_do_not_tell_raise():
    for choose in (oracle, lambda h: best_on(h, "a"), lambda h: at_agreement(h, 0.5), lambda h: at_examples(h, 999)):
        with pytest.raises(ValueError, match="has 1 snapshots, none of them after step 0"):
            choose(HISTORY[:1])
    blind = [replace(s, evaluation=None) for s in HISTORY]
    for choose in (oracle, lambda h: best_on(h, "a"), lambda h: at_agreement(h, 0.5)):
        with pytest.raises(ValueError, match=r"step 4 has no evaluation\. Hint.*watch"):
            choose(blind)
    with pytest.raises(ValueError, match="recovered: the snapshot at step 4 has no evaluation"):
        recovered(blind[1], HISTORY[2], HISTORY[3])
    assert at_examples(blind, 300).step == 8  # needs no evaluation
    with pytest.raises(ValueError, match="example 'z' was not watched"):
        best_on(HISTORY, ("a", "z"))
    with pytest.raises(ValueError, match="ids is empty"):
        best_on(HISTORY, ())
    with pytest.raises(ValueError, match="step 4 was evaluated without the supervisor's labels"):
        at_agreement([snapshot(4, TRUTH, weak=None)], 0.5)
    for value in (-0.1, 75, float("nan")):
        with pytest.raises(ValueError, match="supervisor_accuracy is"):
            at_agreement(HISTORY, value)


predictions = st.text("yn", min_size=8, max_size=8)


@settings(max_examples=100, deadline=None)
@given(
    rows=st.lists(predictions, min_size=1, max_size=12),
    accuracy=st.floats(0, 1),
    ids=st.sets(st.sampled_from(IDS), min_size=1),
    budget=st.integers(32, 500),
)
def test_no_choice_is_better_than_the_oracle(rows, accuracy, ids, budget):
    history = [snapshot(step, row) for step, row in enumerate(("yyyynnnn", *rows))]
    best, end = oracle(history), history[-1]
    for chosen in (best_on(history, sorted(ids)), at_agreement(history, accuracy), at_examples(history, budget), end):
        assert chosen in history[1:]
        assert chosen.evaluation.accuracy <= best.evaluation.accuracy
        share = recovered(chosen, end, best)
        assert share is None or share <= 1
    assert best_on(history, IDS) is best
