"""Paired effects: against SciPy, by hand, and at the edges where a test says nothing."""

import json

import numpy as np
import pytest
from scipy import stats

from w2s_lab.experiments.effects import (
    VERDICTS,
    Effect,
    difference,
    effects_table,
    equivalence_p,
    holm,
    holm_adjusted,
    markdown_table,
    paired_effect,
    slope,
)

RNG = np.random.default_rng(0)
CONTROL = RNG.normal(0.78, 0.04, 9).tolist()
TREATED = [c + d for c, d in zip(CONTROL, RNG.normal(0.03, 0.02, 9), strict=True)]


def with_p(p: float | None, mean: float = 0.1) -> Effect:
    """An effect whose interval excludes 0, with any p value."""
    return Effect("a method", mean, mean - 0.05, mean + 0.05, 8, 0, p)


# -- one effect --------------------------------------------------------------------------------------------------


def test_an_effect_is_scipys_paired_t_test():
    found, wanted = paired_effect("soft labels", TREATED, CONTROL), stats.ttest_rel(TREATED, CONTROL)
    interval = wanted.confidence_interval(0.95)
    assert (found.low, found.high, found.p) == pytest.approx((interval.low, interval.high, wanted.pvalue))
    assert found.mean == pytest.approx(np.mean(TREATED) - np.mean(CONTROL))
    assert (found.treated, found.control) == pytest.approx((np.mean(TREATED), np.mean(CONTROL)))
    assert (found.name, found.n, found.undefined, found.verdict) == ("soft labels", 9, 0, "helps")


def test_an_effect_by_hand():
    """Differences 1, 2, 3: mean 2, standard error 1 / sqrt(3), t with 2 degrees of freedom 4.3027 at 97.5 %."""
    found = paired_effect("by hand", [1.5, 2.5, 4.0], [0.5, 0.5, 1.0])
    assert (found.mean, found.low, found.high) == pytest.approx((2, 2 - 4.3027 / 3**0.5, 2 + 4.3027 / 3**0.5), abs=1e-4)
    t = 2 * 3**0.5  # P(|t| > x) = 1 - x / sqrt(x^2 + 2) with 2 degrees of freedom
    assert found.p == pytest.approx(1 - t / (t**2 + 2) ** 0.5)
    assert found.verdict == "cannot tell"


def test_pairing_takes_out_what_the_seeds_share():
    shared = np.array([0.5, 0.6, 0.7, 0.8, 0.9])
    found = paired_effect(
        "small and steady", np.add(shared, [0.010, 0.011, 0.009, 0.012, 0.008]).tolist(), shared.tolist()
    )
    assert found.verdict == "helps"
    assert stats.ttest_ind(shared + 0.01, shared).pvalue > 0.9


def test_the_verdict_has_the_sign_of_the_interval_and_agrees_with_p():
    assert paired_effect("worse", CONTROL, TREATED).verdict == "hurts"
    seen = set()
    for seed in range(200):
        noise = np.random.default_rng(seed).normal(0, 1, (2, 5))
        found = paired_effect("", (noise[0] + (seed % 3 - 1)).tolist(), noise[1].tolist())
        assert (found.verdict != "cannot tell") == (found.p < 0.05)
        seen.add(found.verdict)
    assert seen == set(VERDICTS)


def test_an_end_at_0_exactly_is_no_verdict():
    assert Effect("", 0.1, 0.0, 0.2, 5, 0, 0.05).verdict == "cannot tell"
    assert Effect("", -0.1, -0.2, 0.0, 5, 0, 0.05).verdict == "cannot tell"


def test_a_seed_without_one_of_the_two_values_is_left_out_and_counted():
    found = paired_effect("pgr", [None, *TREATED, 0.9, None], [0.1, *CONTROL, None, None])
    wanted = paired_effect("pgr", TREATED, CONTROL)
    assert (found.n, found.undefined) == (9, 3)
    assert found.to_dict() == {**wanted.to_dict(), "undefined": 3}


@pytest.mark.parametrize(
    ("treated", "control", "mean", "n"), [([], [], None, 0), ([None], [0.5], None, 0), ([0.75], [0.5], 0.25, 1)]
)
def test_fewer_than_two_pairs_have_no_interval_no_p_and_no_verdict(treated, control, mean, n):
    found = paired_effect("one seed", treated, control)
    assert (found.mean, found.low, found.high, found.p, found.n) == (mean, None, None, None, n)
    assert found.verdict == "cannot tell"


def test_equal_differences_have_an_interval_without_width():
    same = paired_effect("no change", CONTROL, CONTROL)
    assert (same.mean, same.low, same.high, same.p, same.verdict) == (0, 0, 0, 1, "cannot tell")
    # 0.7 - 0.6, 0.8 - 0.7 and 0.3 - 0.2 differ in the last bits, and mean the same
    lifted = paired_effect("0.1 more", [0.7, 0.8, 0.3], [0.6, 0.7, 0.2])
    assert lifted.low == lifted.mean == lifted.high == pytest.approx(0.1)
    assert (lifted.p, lifted.verdict) == (0, "helps")
    assert paired_effect("0.1 less", [0.6, 0.7, 0.2], [0.7, 0.8, 0.3]).verdict == "hurts"
    rounding = paired_effect("no change but rounding", [0.1 + 0.2, 0.5], [0.3, 0.5])
    assert (rounding.mean, rounding.p, rounding.verdict) == (0, 1, "cannot tell")


def test_what_is_no_pair_of_numbers_is_refused():
    with pytest.raises(ValueError, match="vote: 2 treated and 1 control values"):
        paired_effect("vote", [0.1, 0.2], [0.1])
    with pytest.raises(ValueError, match=r"vote: control\[1\] is nan; expected a finite number, or None"):
        paired_effect("vote", [0.1, 0.2], [0.1, float("nan")])


def test_an_effect_is_frozen_and_plain_json():
    found = paired_effect("a", TREATED, CONTROL)
    with pytest.raises(AttributeError):
        found.mean = 0
    restored = json.loads(json.dumps(found.to_dict()))
    assert restored.pop("verdict") == "helps"
    assert Effect(**restored) == found


# -- many effects ------------------------------------------------------------------------------------------------


def test_holm_by_hand():
    """Sorted 0.005, 0.01, 0.03, 0.04, times 4, 3, 2, 1: 0.02, 0.03, 0.06, 0.04, the last raised to 0.06."""
    assert holm_adjusted([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert holm([with_p(p) for p in (0.01, 0.04, 0.03, 0.005)]) == [True, False, False, True]


def test_holm_is_the_step_down_procedure_itself():
    """Reject, from the smallest p on, while p <= level / (tests left); the first failure ends it."""
    for seed in range(50):
        p_values = (np.random.default_rng(seed).random(12) ** 4).tolist()
        wanted, left = [False] * 12, 12
        for i in np.argsort(p_values):
            if p_values[i] > 0.05 / left:
                break
            wanted[i], left = True, left - 1
        assert holm([with_p(p) for p in p_values]) == wanted


def test_an_adjusted_p_is_cut_at_1_and_untested_effects_do_not_count():
    assert holm_adjusted([0.6, 0.7]) == [1, 1]
    assert holm_adjusted([0.02, None, 0.04]) == pytest.approx([0.04, None, 0.04])
    assert holm([with_p(0.02), paired_effect("one seed", [0.3], [0.1])]) == [True, False]
    assert holm([]) == []


def test_the_level_is_an_argument_and_never_makes_a_verdict():
    assert holm([with_p(0.02)], level=0.01) == [False]
    assert holm([Effect("unclear", 0.1, -0.1, 0.3, 8, 0, 0.2)], level=0.5) == [False]


@pytest.mark.parametrize("wrong", [-0.1, 1.1, float("nan")])
def test_a_p_value_is_a_probability(wrong):
    with pytest.raises(ValueError, match=rf"p_values\[1\] is {wrong}"):
        holm_adjusted([0.5, wrong])


# -- text --------------------------------------------------------------------------------------------------------


def test_the_table_is_aligned_and_says_what_survives():
    effects = [
        Effect("vote", 0.0214, 0.0104, 0.0324, 8, 0, 0.002, 0.8, 0.7786),
        Effect("by confidence", -0.01, -0.0196, -0.0007, 6, 2, 0.04, 0.77, 0.78),
        Effect("half", -0.0, -0.0004, 0.0004, 8, 0, 0.9, 0.78, 0.78),
        Effect("one seed", 0.1, None, None, 1, 0, None, 0.9, 0.8),
        Effect("never", None, None, None, 0, 8, None),
    ]
    assert effects_table(effects).splitlines() == [
        "method          seeds    treated    control  difference, 95 % interval  verdict",
        "vote                8      0.800      0.779  +0.021 [+0.010, +0.032]    helps *",
        "by confidence  6 of 8      0.770      0.780  -0.010 [-0.020, -0.001]    hurts",
        "half                8      0.780      0.780  +0.000 [-0.000, +0.000]    cannot tell",
        "one seed            1      0.900      0.800  +0.100                     cannot tell",
        "never          0 of 8  undefined  undefined  undefined                  cannot tell",
        "paired by seed; * survives Holm's correction for 3 comparisons",
    ]
    assert difference(effects[0]) == "+0.021 [+0.010, +0.032]"
    with pytest.raises(ValueError, match="no effect given"):
        effects_table([])


def test_a_markdown_table_sets_numbers_right_and_escapes_bars():
    rows = [("P(a | b)", 1, 0.5), ("two\nlines", None, "no number")]
    assert markdown_table(["what", "n", "value"], rows).splitlines() == [
        "| what | n | value |",
        "| --- | ---: | --- |",
        "| P(a \\| b) | 1 | 0.5 |",
        "| two lines |  | no number |",
    ]
    assert markdown_table(["what"], []) == "| what |\n| --- |"
    with pytest.raises(ValueError, match="row 1 has 1 cells; expected 2"):
        markdown_table(["a", "b"], [(1, 2), (1,)])


@pytest.mark.parametrize("shift", [-0.012, -0.004, 0.0, 0.007])
def test_equivalence_is_two_one_sided_tests(shift):
    differences = np.array([0.004, -0.003, 0.006, -0.002, 0.001, 0.003]) + shift
    effect = paired_effect("", differences.tolist(), [0.0] * 6)
    above, below = (
        stats.ttest_1samp(differences, at, alternative=side).pvalue for at, side in ((-0.01, "greater"), (0.01, "less"))
    )
    assert equivalence_p(effect, 0.01) == pytest.approx(max(above, below))
    low, high = stats.t.interval(0.9, 5, differences.mean(), stats.sem(differences))
    assert (equivalence_p(effect, 0.01) <= 0.05) == (low > -0.01 and high < 0.01)


def test_equivalence_at_the_edges():
    assert equivalence_p(paired_effect("", [1.0, 2.0], [1.0, 2.0]), 0.01) == 0
    assert equivalence_p(paired_effect("", [1.1, 2.1], [1.0, 2.0]), 0.01) == 1
    assert equivalence_p(paired_effect("", [1.0], [1.0]), 0.01) is None


# -- the slope ---------------------------------------------------------------------------------------------------


def test_the_slope_is_least_squares():
    x, noise = np.random.default_rng(1).normal(0, 1, (2, 30))
    y = 0.7 * x + 0.2 + 0.3 * noise
    found = slope(x.tolist(), y.tolist())
    assert (found.slope, found.intercept) == pytest.approx(tuple(np.polyfit(x, y, 1)))
    assert found.correlation == pytest.approx(np.corrcoef(x, y)[0, 1])
    rest = y - found.intercept - found.slope * x
    error = (np.sum(rest**2) / 28 / np.sum((x - x.mean()) ** 2)) ** 0.5
    assert found.high - found.slope == pytest.approx(found.slope - found.low)
    assert found.high - found.slope == pytest.approx(2.048407 * error, rel=1e-6)  # t with 28 degrees of freedom
    assert (found.n, found.undefined) == (30, 0)


def test_a_slope_is_clustered_by_hand():
    """The sandwich of Liang and Zeger in matrices, and one cluster for each point: White's standard error."""
    rng = np.random.default_rng(2)
    seeds = np.repeat(np.arange(6), 5)
    x = rng.normal(0, 1, 30) + rng.normal(0, 1, 6)[seeds]
    y = 0.5 * x + rng.normal(0, 0.5, 6)[seeds] + rng.normal(0, 0.1, 30)
    design = np.column_stack([np.ones(30), x])
    bread = np.linalg.inv(design.T @ design)
    rest = y - design @ (bread @ design.T @ y)
    for clusters, groups, t in ((seeds, 6, 2.570582), (np.arange(30), 30, 2.045230)):  # t of groups - 1 degrees
        scores = np.array([design[clusters == g].T @ rest[clusters == g] for g in range(groups)])
        variance = groups / (groups - 1) * 29 / 28 * (bread @ scores.T @ scores @ bread)[1, 1]
        found = slope(x.tolist(), y.tolist(), clusters=clusters.tolist())
        assert found.high - found.slope == pytest.approx(t * variance**0.5, rel=1e-6)
        assert found.p == pytest.approx(2 * stats.t.sf(found.slope / variance**0.5, groups - 1))
        assert found.clusters == groups and found.slope == pytest.approx(np.polyfit(x, y, 1)[0])
    alone = slope(x.tolist(), y.tolist())
    assert alone.p == pytest.approx(stats.linregress(x, y).pvalue) and alone.clusters is None
    copies = [np.repeat(one, 4).tolist() for one in (x, y, np.arange(30))]  # four copies of a point say no more than it
    fooled, honest = slope(*copies[:2]), slope(*copies[:2], clusters=copies[2])
    assert honest.high - honest.slope == pytest.approx(found.high - found.slope, rel=0.02)
    assert fooled.high - fooled.low < 0.6 * (alone.high - alone.low)
    assert slope([1, 2, None, 4], [1, 3, 5, 4], clusters=[0, 0, 1, 0]).low is None  # one cluster is left
    with pytest.raises(ValueError, match="3 clusters for 2 points"):
        slope([1, 2], [1, 2], clusters=[1, 2, 3])


def test_undefined_points_are_left_out_and_counted():
    found = slope([0, 1, 2, None, 3], [0, 2, 4, 9, None])
    assert (found.slope, found.intercept, found.correlation) == pytest.approx((2, 0, 1))
    assert (found.low, found.high) == pytest.approx((2, 2))
    assert (found.n, found.undefined) == (3, 2)


def test_too_few_points_leave_things_undefined():
    two = slope([0, 1], [1, 3])
    assert (two.slope, two.intercept, two.low, two.high) == (2, 1, None, None)
    for x, y in (([], []), ([1], [2]), ([1, 1, 1], [1, 2, 3])):
        found = slope(x, y)
        assert (found.slope, found.low, found.intercept, found.correlation, found.n) == (None, None, None, None, len(x))
    flat = slope([1, 2, 3], [2, 2, 2])
    assert (flat.slope, flat.correlation) == (0, None)


def test_what_is_no_point_is_refused():
    with pytest.raises(ValueError, match="2 values of x and 1 of y"):
        slope([1, 2], [1])
    with pytest.raises(ValueError, match=r"point \(2.0, inf\); expected finite"):
        slope([1, 2], [1, float("inf")])
