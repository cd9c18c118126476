"""Intervals and verdicts: against scipy, by hand, and over simulated experiments with a known effect."""

from __future__ import annotations

import math

import numpy as np
import pytest
import scipy.stats
from hypothesis import given
from hypothesis import strategies as st

from repro.ledger.statistics import (
    Estimate,
    contrast,
    holm,
    of_values,
    slope,
    smallest_difference,
    summarise,
)
from repro.ledger.verdict import (
    NOT_COMPARABLE,
    NOT_REPRODUCED,
    NOT_RUN,
    REPRODUCED,
    UNDERPOWERED,
    Region,
    decide,
    p_value,
    seeds_needed,
    verdict,
    weakest,
)

LEFT = {0: 88.1, 1: 87.2, 2: 90.4, 3: 89.0, 4: 86.6}
RIGHT = {0: 86.0, 1: 87.5, 2: 87.9, 3: 88.1, 4: 85.2}


def test_a_summary_and_its_interval_are_scipys():
    summary = summarise(list(LEFT.values()))
    interval = scipy.stats.t.interval(0.95, 4, summary.mean, scipy.stats.sem(list(LEFT.values())))
    assert summary.interval() == pytest.approx(interval)
    assert summary.median == 88.1


def test_a_paired_contrast_is_scipys_paired_t_test():
    found = contrast(LEFT, RIGHT, paired=True)
    theirs = scipy.stats.ttest_rel(list(LEFT.values()), list(RIGHT.values()))
    interval = theirs.confidence_interval(0.95)
    assert found.bounds() == pytest.approx((interval.low, interval.high))
    assert found.tail(0.0) == pytest.approx(
        scipy.stats.ttest_rel(list(LEFT.values()), list(RIGHT.values()), alternative="greater").pvalue
    )


def test_a_paired_contrast_uses_the_seeds_that_both_sides_have():
    found = contrast(LEFT, {2: 87.9, 0: 86.0, 9: 0.0}, paired=True)
    assert found.n == 2
    assert found.value == pytest.approx((2.1 + 2.5) / 2)


def test_an_unpaired_contrast_is_welchs():
    right = {seed + 10: value for seed, value in list(RIGHT.items())[:3]}
    found = contrast(LEFT, right, paired=False)
    theirs = scipy.stats.ttest_ind(list(LEFT.values()), list(right.values()), equal_var=False)
    interval = theirs.confidence_interval(0.95)
    assert found.bounds() == pytest.approx((interval.low, interval.high))
    assert found.freedom == pytest.approx(theirs.df)


def test_a_ratio_is_estimated_on_the_scale_of_logarithms():
    left, right = {0: 2.0, 1: 8.0}, {0: 1.0, 1: 2.0}
    found = contrast(left, right, paired=True, logarithmic=True)
    assert found.shown == pytest.approx(math.sqrt(2.0 * 4.0))
    low, high = found.bounds()
    assert low * high == pytest.approx(8.0)  # symmetric around 8 ** 0.5 in logarithms
    with pytest.raises(ValueError, match="positive"):
        contrast({0: -1.0}, {0: 1.0}, paired=True, logarithmic=True)


def test_one_seed_has_an_endless_interval_and_decides_nothing():
    found = of_values([3.0])
    assert found.bounds() == (-math.inf, math.inf)
    assert decide(found, Region.of({"above": 0}))[0] == UNDERPOWERED
    assert p_value(found, Region.of({"above": 0})) == 1.0
    assert seeds_needed(found, Region.of({"above": 0})) is None


def test_a_slope_is_scipys_for_each_seed():
    points = {0.0: {0: 1.0, 1: 2.0}, 1.0: {0: 2.5, 1: 2.0}, 3.0: {0: 4.0, 1: 5.5}}
    each = [scipy.stats.linregress(list(points), [points[x][seed] for x in points]).slope for seed in (0, 1)]
    assert slope(points).value == pytest.approx(np.mean(each))
    assert slope(points).deviation == pytest.approx(np.std(each, ddof=1))


def test_holm_by_hand():
    # Ranks 0.01 * 4, then max(0.04, 0.02 * 3), then max(0.06, 0.03 * 2), then max(0.06, 0.5 * 1).
    assert holm([0.03, 0.01, 0.5, 0.02]) == pytest.approx([0.06, 0.04, 0.5, 0.06])
    assert holm([]) == []


def test_the_smallest_difference_is_the_one_that_scipys_power_says():
    found = smallest_difference(2.0, 5)
    # The noncentral t: at that true difference, the t test of 5 pairs rejects 80 times of 100 on its side.
    edge = scipy.stats.t.ppf(0.975, 4)
    assert scipy.stats.nct.sf(edge, 4, found / (2.0 / math.sqrt(5))) == pytest.approx(0.8, abs=1e-6)
    assert smallest_difference(2.0, 1) == math.inf


@pytest.mark.parametrize(
    ("low", "high", "bounds", "wanted"),
    [
        (0.1, 2.0, {"above": 0}, REPRODUCED),
        (0.0, 2.0, {"above": 0}, UNDERPOWERED),
        (0.0, 2.0, {"at_least": 0}, REPRODUCED),
        (-2.0, 0.0, {"above": 0}, NOT_REPRODUCED),
        (-2.0, 0.0, {"at_least": 0}, UNDERPOWERED),
        (-2.0, -0.1, {"at_least": 0}, NOT_REPRODUCED),
        (-0.5, 0.5, {"at_least": -1, "at_most": 1}, REPRODUCED),
        (-1.5, 0.5, {"at_least": -1, "at_most": 1}, UNDERPOWERED),
        (1.5, 2.5, {"at_least": -1, "at_most": 1}, NOT_REPRODUCED),
        (-math.inf, math.inf, {"below": 3}, UNDERPOWERED),
        (2.0, 2.0, {"below": 3}, REPRODUCED),
        (3.0, 3.0, {"below": 3}, NOT_REPRODUCED),
    ],
)
def test_a_verdict_by_hand(low, high, bounds, wanted):
    assert verdict(low, high, Region.of(bounds)) == wanted


@given(
    low=st.floats(-10, 10),
    width=st.floats(0, 10),
    edge=st.floats(-10, 10),
    span=st.floats(0, 10),
    key=st.sampled_from(["above", "at_least", "below", "at_most", "both"]),
)
def test_a_verdict_depends_on_interval_and_region_alone(low, width, edge, span, key):
    region = Region.of({"at_least": edge, "at_most": edge + span} if key == "both" else {key: edge})
    high = low + width
    found = verdict(low, high, region)
    assert found in (REPRODUCED, NOT_REPRODUCED, UNDERPOWERED)
    ends = {region.holds(low), region.holds(high)}
    if found == REPRODUCED:
        assert ends == {True}
    if found == NOT_REPRODUCED:
        assert ends == {False}
    if ends == {True, False}:
        assert found == UNDERPOWERED


@pytest.mark.parametrize("bounds", [{}, {"over": 1}, {"above": 1, "at_least": 2}, {"at_least": 2, "at_most": 1}])
def test_a_broken_region_is_refused(bounds):
    with pytest.raises(ValueError):
        Region.of(bounds)


def test_contrasts_joined_by_and_have_the_weakest_verdict():
    assert weakest([REPRODUCED, UNDERPOWERED]) == UNDERPOWERED
    assert weakest([REPRODUCED, NOT_RUN, UNDERPOWERED]) == NOT_RUN
    assert weakest([NOT_RUN, NOT_COMPARABLE]) == NOT_COMPARABLE
    assert weakest([NOT_COMPARABLE, NOT_REPRODUCED, NOT_RUN]) == NOT_REPRODUCED
    assert weakest([]) == NOT_RUN


def test_p_values_of_one_edge_and_of_two():
    found = contrast(LEFT, RIGHT, paired=True)
    values = [LEFT[seed] - RIGHT[seed] for seed in LEFT]
    greater = scipy.stats.ttest_1samp(values, 0.5, alternative="greater").pvalue
    less = scipy.stats.ttest_1samp(values, 2.0, alternative="less").pvalue
    assert p_value(found, Region.of({"at_least": 0.5})) == pytest.approx(greater)
    assert p_value(found, Region.of({"at_most": 2.0})) == pytest.approx(less)
    assert p_value(found, Region.of({"at_least": 0.5, "at_most": 2.0})) == pytest.approx(max(greater, less))


@given(mean=st.floats(-3, 3), deviation=st.floats(0.1, 5), n=st.integers(2, 30))
def test_the_seeds_that_are_said_to_decide_do_and_one_less_does_not(mean, deviation, n):
    estimate, region = Estimate(mean, deviation, n, n - 1), Region.of({"above": 0})
    needed = seeds_needed(estimate, region)
    if needed is None:
        assert decide(estimate.with_seeds(10_000), region)[0] == UNDERPOWERED
        return
    assert decide(estimate.with_seeds(needed), region)[0] != UNDERPOWERED
    assert needed == 2 or decide(estimate.with_seeds(needed - 1), region)[0] == UNDERPOWERED


EXPERIMENTS = 2000


@pytest.fixture(scope="module")
def experiments() -> list[Estimate]:
    """Experiments of five paired seeds whose true difference is 1."""
    generator = np.random.default_rng(20_210_616)
    found = []
    for _ in range(EXPERIMENTS):
        shared, noise = generator.normal(80, 3, 5), generator.normal(0, 1.5, (2, 5))
        left, right = shared + 1.0 + noise[0], shared + noise[1]
        found.append(contrast(dict(enumerate(left)), dict(enumerate(right)), paired=True))
    return found


def test_intervals_cover_at_the_promised_rate(experiments):
    covered = sum(low <= 1.0 <= high for low, high in (one.bounds() for one in experiments)) / EXPERIMENTS
    assert covered == pytest.approx(0.95, abs=3 * math.sqrt(0.95 * 0.05 / EXPERIMENTS))


@pytest.mark.parametrize(
    ("bounds", "wrong", "rate"),
    [
        # The truth, 1, on the edge: the worst case for a wrong verdict of either kind.
        ({"above": 1.0}, REPRODUCED, 0.05),
        ({"at_least": 1.0}, NOT_REPRODUCED, 0.05),
        ({"at_most": 1.0}, NOT_REPRODUCED, 0.05),
        ({"at_least": 1.0, "at_most": 9.0}, NOT_REPRODUCED, 0.025),
    ],
)
def test_verdicts_err_at_the_promised_rates(experiments, bounds, wrong, rate):
    region = Region.of(bounds)
    erred = sum(decide(one, region)[0] == wrong for one in experiments) / EXPERIMENTS
    assert erred == pytest.approx(rate, abs=3 * math.sqrt(rate * (1 - rate) / EXPERIMENTS))


def test_a_verdict_far_from_the_edge_hardly_ever_errs(experiments):
    region = Region.of({"above": -2.0})
    assert sum(decide(one, region)[0] == NOT_REPRODUCED for one in experiments) == 0


def test_ratios_cover_at_the_promised_rate():
    generator = np.random.default_rng(7)
    covered = 0
    for _ in range(EXPERIMENTS):
        left, right = np.exp(generator.normal(1.0, 0.2, 5)), np.exp(generator.normal(0.3, 0.2, 5))
        low, high = contrast(dict(enumerate(left)), dict(enumerate(right)), paired=False, logarithmic=True).bounds()
        covered += low <= math.exp(0.7) <= high
    assert covered / EXPERIMENTS == pytest.approx(0.95, abs=0.016)


def test_holm_keeps_the_chance_of_any_false_claim_below_the_level():
    generator = np.random.default_rng(3)
    any_false = sum(min(holm(list(generator.uniform(size=8)))) < 0.05 for _ in range(EXPERIMENTS))
    assert any_false / EXPERIMENTS == pytest.approx(0.05, abs=0.015)
