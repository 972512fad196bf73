"""Metrics against scikit-learn, scipy, hand computation and properties."""

import itertools
import math
import statistics

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats
from sklearn.metrics import accuracy_score, cohen_kappa_score, f1_score, roc_auc_score

from w2s_lab import metrics

quick = settings(deadline=None, max_examples=60, derandomize=True, database=None)
WORDS = ("positive", "negative", "neutral")


def rows_of(*columns: st.SearchStrategy, min_size: int = 1) -> st.SearchStrategy:
    """Columns of one common length, as one strategy."""
    rows = st.lists(st.tuples(*columns), min_size=min_size, max_size=40)
    return rows.map(lambda items: [list(column) for column in zip(*items, strict=True)])


word, binary = st.sampled_from(WORDS), st.sampled_from(WORDS[:2])


# accuracy and its interval


@quick
@given(rows_of(word, word))
def test_accuracy_is_sklearns(columns):
    predictions, truth = columns
    assert metrics.accuracy(predictions, truth) == pytest.approx(accuracy_score(truth, predictions), abs=1e-12)


def test_accuracy_is_a_plain_float_for_arrays_too():
    value = metrics.accuracy(np.array(["a", "b", "a"]), ("a", "b", "b"))
    assert type(value) is float and value == pytest.approx(2 / 3)


def test_accuracy_of_nothing_is_undefined_and_lengths_must_match():
    assert metrics.accuracy([], []) is None
    with pytest.raises(ValueError, match="predictions has 2, truth has 1"):
        metrics.accuracy(["a", "b"], ["a"])


@pytest.mark.parametrize(("successes", "n"), [(0, 1), (1, 1), (0, 20), (20, 20), (7, 11), (791, 1000), (1000, 1000)])
def test_wilson_is_scipys(successes, n):
    expected = stats.binomtest(successes, n).proportion_ci(0.95, method="wilson")
    low, high = metrics.wilson_interval(successes, n)
    assert (low, high) == pytest.approx((expected.low, expected.high), abs=1e-12)
    assert 0 <= low <= successes / n <= high <= 1


def test_wilson_knows_nothing_without_items_and_refuses_impossible_counts():
    assert metrics.wilson_interval(0, 0) == (0.0, 1.0)
    for successes, n in ((-1, 3), (4, 3)):
        with pytest.raises(ValueError, match=f"successes is {successes} and n is {n}"):
            metrics.wilson_interval(successes, n)


# imitation and correction


def test_imitation_and_correction_by_hand():
    truth = ["a", "a", "b", "c", "c"]
    weak = ["a", "b", "c", "a", "a"]  # wrong on the last four
    student = ["b", "b", "b", "b", "c"]  # imitates one, corrects two, errs in its own way on one
    assert metrics.imitation(student, weak, truth) == 1 / 4
    assert metrics.correction(student, weak, truth) == 2 / 4


@pytest.mark.parametrize("metric", [metrics.imitation, metrics.correction])
def test_undefined_where_the_supervisor_is_never_wrong(metric):
    assert metric(["a", "b"], ["a", "a"], ["a", "a"]) is None
    assert metric([], [], []) is None
    with pytest.raises(ValueError, match="predictions has 1, weak has 2, truth has 2"):
        metric(["a"], ["a", "b"], ["a", "b"])


@quick
@given(rows_of(word, word, word))
def test_imitation_plus_correction_is_at_most_one(columns):
    student, weak, truth = columns
    imitation, correction = metrics.imitation(student, weak, truth), metrics.correction(student, weak, truth)
    if weak == truth:
        assert imitation is None and correction is None
    else:
        assert imitation >= 0 and correction >= 0 and imitation + correction <= 1 + 1e-12


@quick
@given(rows_of(binary, binary, binary))
def test_imitation_plus_correction_is_one_with_two_answers(columns):
    student, weak, truth = columns
    if weak == truth:
        assert metrics.imitation(student, weak, truth) is None
    else:
        total = metrics.imitation(student, weak, truth) + metrics.correction(student, weak, truth)
        assert total == pytest.approx(1, abs=1e-12)


# performance gap recovered


# the difference of two accuracies, and the commonest answer


def paired(both: int, first: int, second: int, neither: int) -> tuple[list[bool], list[bool]]:
    """Correctness of two models, from how many items both, only one, or none is right on."""
    ones = [True] * (both + first) + [False] * (second + neither)
    return ones, [True] * both + [False] * first + [True] * second + [False] * neither


def test_the_interval_of_a_difference_is_the_published_one():
    """Newcombe (1998, Statistics in Medicine 17, 2635-2650), method 10, for the counts 36, 12, 2, 0."""
    low, high = metrics.difference_interval(*paired(36, 2, 12, 0))
    assert (round(low, 4), round(high, 4)) == (0.0569, 0.3404)


@given(st.lists(st.tuples(st.sampled_from([0.0, 0.1, 0.25, 0.5, 0.9, 1.0]), st.booleans()), min_size=1, max_size=40))
def test_auc_is_sklearns(pairs):
    scores, positive = zip(*pairs, strict=True)
    found = metrics.auc(scores, positive)
    if len(set(positive)) < 2:
        assert found is None
    else:
        assert found == pytest.approx(roc_auc_score(positive, scores), abs=1e-12)


def test_auc_sees_the_order_and_not_the_threshold():
    truth = [False, False, True, True]
    assert metrics.auc([0.01, 0.02, 0.03, 0.04], truth) == 1.0  # all below one half: accuracy 0.5
    assert metrics.auc([0.9, 0.8, 0.2, 0.1], truth) == 0.0
    assert metrics.auc([0.3, 0.3, 0.3, 0.3], truth) == 0.5
    with pytest.raises(ValueError, match="3"):
        metrics.auc([0.1, 0.2, 0.3], truth)


@pytest.mark.parametrize("chances", [(0.5, 0.1, 0.2, 0.2), (0.3, 0.2, 0.2, 0.3), (0.05, 0.05, 0.85, 0.05)])
@pytest.mark.parametrize("n", [6, 14])
def test_the_interval_of_a_difference_holds_for_few_items(n, chances):
    """The probability of every possible outcome is known; those whose interval has the truth in it: about 95 %."""
    law, held = stats.multinomial(n, chances), 0.0
    for counts in itertools.product(range(n + 1), repeat=3):
        if sum(counts) <= n:
            cells = (*counts, n - sum(counts))
            low, high = metrics.difference_interval(*paired(*cells))
            held += law.pmf(cells) * (low <= chances[2] - chances[1] <= high)
    assert held > 0.94


@quick
@given(st.lists(st.tuples(st.booleans(), st.booleans()), min_size=1, max_size=40))
def test_the_interval_of_a_difference_is_antisymmetric_and_holds_the_difference(rows):
    first, second = zip(*rows, strict=True)
    low, high = metrics.difference_interval(first, second)
    assert (
        -1 <= low <= np.mean(second) - np.mean(first) + 1e-12 and np.mean(second) - np.mean(first) - 1e-12 <= high <= 1
    )
    assert metrics.difference_interval(second, first) == pytest.approx((-high, -low))
    assert metrics.difference_interval(first, first)[0] <= 0 <= metrics.difference_interval(first, first)[1]


def test_the_difference_of_nothing_is_unknown():
    assert metrics.difference_interval([], []) == (-1.0, 1.0)
    with pytest.raises(ValueError, match="first_correct has 1, second_correct has 2"):
        metrics.difference_interval([True], [True, False])


@quick
@given(st.lists(word, max_size=30))
def test_the_commonest_answer_is_the_mode(answers):
    found = metrics.commonest(answers)
    if not answers:
        assert found is None
    else:
        assert found == (statistics.mode(sorted(answers)), answers.count(found[0]) / len(answers))


@pytest.mark.parametrize(
    ("weak", "student", "ceiling", "expected"),
    [
        (0.6, 0.8, 1.0, 0.5),
        (0.6, 0.6, 1.0, 0.0),
        (0.6, 1.0, 1.0, 1.0),
        (0.6, 0.5, 0.8, -0.5),  # below its supervisor: negative
        (0.5, 0.9, 0.7, 2.0),  # beyond its ceiling: above 1, not clipped
    ],
)
def test_pgr_by_hand(weak, student, ceiling, expected):
    assert metrics.pgr(weak, student, ceiling) == pytest.approx(expected)


@pytest.mark.parametrize("ceiling", [0.6, 0.5])
def test_pgr_is_undefined_without_a_gap(ceiling):
    assert metrics.pgr(0.6, 0.7, ceiling) is None


def three_models(n: int, seed: int, rates=(0.7, 0.8, 0.9)) -> list[np.ndarray]:
    """Nested successes at the given rates: the ceiling is right wherever the student is, and so on."""
    u = np.random.default_rng(seed).random(n)
    return [u < rate for rate in rates]


def bootstrap_by_loop(weak, student, ceiling, samples: int, seed: int) -> tuple[float, float]:
    """Item by item, as slowly as it is written in a textbook."""
    rng, lows, highs = np.random.default_rng(seed), [], []
    for _ in range(samples):
        rows = rng.integers(0, len(weak), len(weak))
        value = metrics.pgr(weak[rows].mean(), student[rows].mean(), ceiling[rows].mean())
        lows.append(-math.inf if value is None else value)
        highs.append(math.inf if value is None else value)
    return sorted(lows)[int(0.025 * samples)], sorted(highs)[-1 - int(0.025 * samples)]


def test_bootstrap_agrees_with_the_plain_loop():
    right = three_models(200, seed=3)
    fast, slow = metrics.pgr_interval(*right, samples=4000, seed=1), bootstrap_by_loop(*right, samples=4000, seed=2)
    assert fast == pytest.approx(slow, abs=0.03)
    assert fast[0] < metrics.pgr(*(r.mean() for r in right)) < fast[1]


def test_bootstrap_agrees_with_the_plain_loop_where_the_models_are_not_nested():
    rng = np.random.default_rng(0)
    right = [rng.random(300) < rate for rate in (0.55, 0.75, 0.9)]
    fast, slow = metrics.pgr_interval(*right, samples=4000, seed=1), bootstrap_by_loop(*right, samples=4000, seed=2)
    assert fast == pytest.approx(slow, abs=0.03)


def test_bootstrap_covers_the_truth_about_as_often_as_it_says():
    covered = 0
    for seed in range(200):
        low, high = metrics.pgr_interval(*three_models(300, seed), samples=400, seed=seed)
        covered += low <= 0.5 <= high
    assert 0.90 <= covered / 200 <= 0.99


def test_bootstrap_is_narrower_with_more_items():
    widths = [np.ptp(metrics.pgr_interval(*three_models(n, seed=0))) for n in (200, 3200)]
    assert widths[1] < widths[0] / 2.5  # about a quarter


def test_bootstrap_depends_on_its_seed_and_on_nothing_else():
    right = three_models(211, seed=0)
    assert metrics.pgr_interval(*right, seed=5) == metrics.pgr_interval(*right, seed=5)
    assert metrics.pgr_interval(*right, seed=5) != metrics.pgr_interval(*right, seed=6)
    order = np.random.default_rng(1).permutation(211)
    assert metrics.pgr_interval(*(r[order] for r in right), seed=5) == metrics.pgr_interval(*right, seed=5)


def test_bootstrap_is_paired():
    # The student is the ceiling, item by item: every resample has PGR 1 exactly, so the interval has no width.
    weak, _, ceiling = three_models(100, seed=0)
    assert metrics.pgr_interval(weak, ceiling, ceiling) == (1.0, 1.0)
    assert metrics.pgr_interval(weak, weak, ceiling) == (0.0, 0.0)


def test_bootstrap_is_undefined_where_the_pgr_is():
    right = np.array([True, True, False])
    assert metrics.pgr_interval(right, right, right) is None
    assert metrics.pgr_interval(right, right, ~right) is None
    assert metrics.pgr_interval([], [], []) is None


@pytest.mark.parametrize(("differing", "bounded"), [(2, False), (3, False), (5, True), (20, True)])
def test_bootstrap_is_unbounded_where_too_many_resamples_have_no_gap(differing, bounded):
    # Ceiling right and weak wrong on `differing` of 100 items, equal elsewhere: a resample without any of those has no
    # gap. The probability of that is about exp(-differing): .13, .05, .006, 0.
    weak, ceiling = np.zeros(100, bool), np.zeros(100, bool)
    ceiling[:differing] = True
    student = weak.copy()
    student[0] = True
    interval = metrics.pgr_interval(weak, student, ceiling)
    assert metrics.pgr(weak.mean(), student.mean(), ceiling.mean()) == pytest.approx(1 / differing)
    assert (interval is not None) == bounded
    if bounded:
        assert all(map(math.isfinite, interval))


def test_resamples_without_a_gap_widen_the_interval():
    # A gap of 4 in 400: about 1.8 % of the resamples have none. The student is right on 20 items that nobody else gets.
    weak, student, ceiling = np.zeros((3, 400), bool)
    ceiling[:4] = True
    student[4:24] = True
    fast = metrics.pgr_interval(weak, student, ceiling, samples=8000, seed=1)
    slow = bootstrap_by_loop(weak, student, ceiling, samples=8000, seed=2)
    assert fast == pytest.approx(slow, abs=1)
    counts = np.random.default_rng(3).multinomial(400, [0.01, 0.05, 0.94], size=8000)
    dropped = np.quantile([s / c for c, s, _ in counts if c], 0.975)  # what leaving them out would say
    assert fast[1] > dropped + 2


def test_bootstrap_refuses_bad_arguments():
    with pytest.raises(ValueError, match="weak_correct has 1, student_correct has 2, ceiling_correct has 2"):
        metrics.pgr_interval([True], [True, False], [True, True])
    with pytest.raises(ValueError, match="samples is 39; expected at least 40"):
        metrics.pgr_interval([False], [True], [True], samples=39)


# means over seeds


@quick
@given(st.lists(st.floats(-10, 10), min_size=2, max_size=12))
def test_mean_interval_is_scipys(values):
    found = metrics.mean_interval(values)
    assert found.n == len(values) and found.mean == pytest.approx(np.mean(values), abs=1e-9)
    if np.std(values) > 1e-9:
        low, high = stats.t.interval(0.95, len(values) - 1, loc=np.mean(values), scale=stats.sem(values))
        assert (found.low, found.high) == pytest.approx((low, high), abs=1e-9)
    else:
        assert (found.low, found.high) == pytest.approx((found.mean, found.mean), abs=1e-7)


def test_mean_interval_by_hand():
    # mean 2, standard deviation 1, t(.975; 2) = 4.3027
    found = metrics.mean_interval([1, 2, 3])
    assert (found.mean, found.low, found.high, found.n) == pytest.approx((2, 2 - 2.48414, 2 + 2.48414, 3), abs=1e-5)


def test_mean_interval_has_no_ends_below_two_values():
    assert metrics.mean_interval([0.4]) == metrics.Interval(0.4, None, None, 1)
    assert metrics.mean_interval([]) == metrics.Interval(None, None, None, 0)


@pytest.mark.parametrize("value", [None, math.nan, math.inf])
def test_mean_interval_refuses_undefined_values(value):
    with pytest.raises(ValueError, match=rf"values\[1\] is {value}.*leave those seeds out"):
        metrics.mean_interval([0.4, value, 0.5])


# error consistency


def test_error_consistency_by_hand():
    """Right on 3 and 2 of 4; both right or both wrong on 3; by chance on 3/4 1/2 + 1/4 1/2 = 1/2 of them."""
    first, second = [True, True, True, False], [True, True, False, False]
    assert metrics.error_consistency(first, second) == pytest.approx((0.75 - 0.5) / 0.5)
    assert metrics.error_consistency(second, second) == 1
    assert metrics.error_consistency([True, False], [False, True]) == -1
    assert metrics.error_consistency([True] * 4, first) == 0  # who never errs errs as by chance
    assert metrics.error_consistency([True] * 2, [True] * 2) is None and metrics.error_consistency([], []) is None
    with pytest.raises(ValueError, match="one length"):
        metrics.error_consistency([True], [])


@quick
@given(rows_of(st.booleans(), st.booleans()))
def test_error_consistency_is_sklearns_kappa(columns):
    found = metrics.error_consistency(*columns)
    if found is not None:
        assert found == pytest.approx(cohen_kappa_score(*columns), abs=1e-12)
    else:
        assert len({*columns[0], *columns[1]}) == 1


# calibration


def test_calibration_by_hand():
    confidence = [0.55, 0.55, 0.95, 1.0, 0.95, 0.85]
    correct = [True, False, True, True, False, True]
    found = metrics.calibration(confidence, correct)
    assert [(b.low, b.high, b.count) for b in found.bins] == [(0.5, 0.6, 2), (0.8, 0.9, 1), (0.9, 1.0, 3)]
    assert [b.accuracy for b in found.bins] == pytest.approx([1 / 2, 1, 2 / 3])
    assert [b.confidence for b in found.bins] == pytest.approx([0.55, 0.85, 2.9 / 3])
    # (2 * .05 + 1 * .15 + 3 * .3) / 6
    assert found.ece == pytest.approx((2 * 0.05 + 0.15 + 3 * 0.3) / 6)


@pytest.mark.parametrize("edge", [i / 10 for i in range(10)])
def test_a_confidence_on_an_edge_belongs_to_the_bin_above(edge):
    (only,) = metrics.calibration([edge], [True]).bins
    assert only.low == edge and only.count == 1


def test_one_bin_is_the_overall_gap():
    found = metrics.calibration([0.9, 0.7, 0.2], [True, False, False], bins=1)
    assert len(found.bins) == 1 and found.ece == pytest.approx(abs(1 / 3 - 0.6))


def test_perfect_calibration_has_no_error_and_no_items_have_none():
    assert metrics.calibration([0.75] * 4, [True, True, True, False]).ece == pytest.approx(0)
    assert metrics.calibration([], []) == metrics.Calibration(None, ())


@quick
@given(rows_of(st.floats(0, 1), st.booleans()), st.integers(1, 20))
def test_calibration_bins_hold_every_item_once(columns, bins):
    confidence, correct = columns
    found = metrics.calibration(confidence, correct, bins=bins)
    assert sum(b.count for b in found.bins) == len(confidence)
    assert all(b.low - 1e-12 <= b.confidence <= b.high + 1e-12 and b.count > 0 for b in found.bins)
    assert sum(b.accuracy * b.count for b in found.bins) == pytest.approx(sum(correct))
    assert abs(np.mean(confidence) - np.mean(correct)) - 1e-9 <= found.ece <= 1


def test_calibration_forgives_rounding_only():
    assert metrics.calibration([np.float32(1.0000001)], [True]).ece == 0
    for illegal in (1.01, -0.2, math.nan):
        with pytest.raises(ValueError, match=f"confidence {illegal} found"):
            metrics.calibration([0.5, illegal], [True, True])
    with pytest.raises(ValueError, match="bins is 0"):
        metrics.calibration([0.5], [True], bins=0)
    with pytest.raises(ValueError, match="confidence has 1, correct has 2"):
        metrics.calibration([0.5], [True, False])


# F1


@quick
@given(rows_of(word, word))
def test_f1_macro_is_sklearns(columns):
    predictions, truth = columns
    expected = f1_score(truth, predictions, average="macro")
    assert metrics.f1_macro(predictions, truth) == pytest.approx(expected, abs=1e-12)


def test_f1_macro_counts_a_class_that_is_only_predicted():
    # a: 2*1/(1+2) = 2/3, b (never true): 0
    assert metrics.f1_macro(["a", "b"], ["a", "a"]) == pytest.approx(1 / 3)
    assert metrics.f1_macro([], []) is None
    with pytest.raises(ValueError, match="predictions has 1, truth has 2"):
        metrics.f1_macro(["a"], ["a", "b"])


@pytest.mark.parametrize(
    ("predictions", "truth", "expected"),
    [
        (["likes the plot, dislikes the acting"], ["dislikes the acting,likes the plot "], 1.0),
        (["likes the plot"], ["likes the plot, dislikes the acting"], 2 / 3),
        (["likes the plot"], ["dislikes the plot"], 0.0),
        (["likes the plot, likes the plot"], ["likes the plot"], 2 / 3),  # said twice, true once
        (["Likes the plot"], ["likes the plot"], 0.0),
        ([""], ["likes the plot"], 0.0),
        (["likes the plot, , "], ["likes the plot"], 1.0),
        (["a, b, c", "d"], ["a, b, c", "e"], 2 * 3 / 8),  # micro: not the mean of 1 and 0
        (["a", "b"], ["b", "a"], 0.0),  # parts are matched within an item only
    ],
)
def test_summary_f1_by_hand(predictions, truth, expected):
    assert metrics.summary_f1(predictions, truth) == pytest.approx(expected)


def test_summary_f1_is_undefined_without_parts():
    assert metrics.summary_f1([], []) is None
    assert metrics.summary_f1([" , "], [""]) is None
    with pytest.raises(ValueError, match="predictions has 0, truth has 1"):
        metrics.summary_f1([], ["a"])


# common to all


@quick
@given(rows_of(word, word, word), st.randoms(use_true_random=False))
def test_the_order_of_the_items_does_not_matter(columns, random):
    student, weak, truth = columns
    order = list(range(len(truth)))
    random.shuffle(order)
    moved = [[column[i] for i in order] for column in columns]
    for metric in (metrics.accuracy, metrics.f1_macro, metrics.summary_f1):
        assert metric(moved[0], moved[2]) == metric(student, truth)
    for metric in (metrics.imitation, metrics.correction):
        assert metric(*moved) == metric(student, weak, truth)
    correct, confidence = np.array(student) == np.array(truth), np.linspace(0, 1, len(truth))
    before, after = metrics.calibration(confidence, correct), metrics.calibration(confidence[order], correct[order])
    assert after.ece == pytest.approx(before.ece, abs=1e-12)
    assert [b.count for b in after.bins] == [b.count for b in before.bins]
