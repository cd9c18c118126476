"""The paired bootstrap: its interval holds the truth as often as it says."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from repro.ledger.bootstrap import paired_difference, wins
from repro.metrics.sufficient import METRICS

ACCURACY = METRICS["accuracy"]


def right(shares: list[float], size: int, chance: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Draws which of two runs are right on each example: both, the first alone, the second alone, neither."""
    case = chance.choice(4, size=size, p=shares)
    return np.isin(case, (0, 1)).astype(float)[:, None], np.isin(case, (0, 2)).astype(float)[:, None]


def covered(truth: float, draw, value) -> float:
    """Returns in how many of 300 simulated pairs the interval holds the true difference."""
    chance = np.random.default_rng(11)
    found = [paired_difference(value, *draw(chance), resamples=1000, seed=number) for number in range(300)]
    return sum(one.low <= truth <= one.high for one in found) / len(found)


def test_the_interval_of_accuracies_covers():
    shares = [0.7, 0.12, 0.06, 0.12]  # the first is right on 82%, the second on 76%
    assert 0.92 <= covered(6.0, lambda chance: right(shares, 500, chance), ACCURACY.value) <= 0.98


def test_the_interval_of_f1_covers():
    """References are 1 on half of the examples; the runs miss 1s and raise false alarms each with its own chance."""
    rates = np.array([[0.10, 0.20], [0.25, 0.15]])  # of misses and of false alarms
    hits, alarms, misses = (1 - rates[:, 0]) / 2, rates[:, 1] / 2, rates[:, 0] / 2
    truth = 100 * 2 * hits / (2 * hits + alarms + misses)

    def draw(chance):
        true = chance.integers(0, 2, 600)
        luck = chance.random(600)  # shared: the runs err on the same examples
        predicted = [np.where(luck < np.where(true == 1, *rate), 1 - true, true) for rate in rates]
        return [METRICS["f1"].statistics(one, true) for one in predicted]

    assert 0.92 <= covered(truth[0] - truth[1], draw, METRICS["f1"].value) <= 0.98


def test_the_interval_of_correlations_covers():
    """x + noise of standard deviation s correlates with x of standard deviation 1 by 1 / sqrt(1 + s^2)."""
    noise = (0.5, 0.8)
    truth = [100 / np.sqrt(1 + s * s) for s in noise]

    def draw(chance):
        true = chance.normal(size=200)
        return [METRICS["pearson"].statistics(true + s * chance.normal(size=200), true) for s in noise]

    assert 0.92 <= covered(truth[0] - truth[1], draw, METRICS["pearson"].value) <= 0.98


def test_it_is_scipys_percentile_bootstrap():
    one, other = right([0.6, 0.2, 0.1, 0.1], 300, np.random.default_rng(2))
    found = paired_difference(ACCURACY.value, one, other)
    theirs = stats.bootstrap(
        (one[:, 0], other[:, 0]),
        lambda first, second, axis=-1: 100 * (first.mean(axis=axis) - second.mean(axis=axis)),
        paired=True,
        vectorized=True,
        method="percentile",
        n_resamples=10_000,
        rng=np.random.default_rng(3),
    ).confidence_interval
    assert found.difference == pytest.approx(100 * (one.mean() - other.mean()))
    assert (found.low, found.high) == pytest.approx(theirs, abs=0.4)  # two draws of one distribution


def test_pairs_are_kept_together():
    """Runs that are right on the same examples but for one differ by about one example, not by two spreads."""
    one = np.array([[1.0], [0.0]] * 100)
    other = one.copy()
    other[0] = 0.0
    found = paired_difference(ACCURACY.value, one, other)
    assert (found.first, found.second, found.difference) == (50.0, 49.5, 0.5)
    assert found.low == 0.0
    assert found.high == 1.5  # the one example is drawn three times or more in 8% of the corpora, four times in 1.9%


def test_a_run_and_itself_differ_by_nothing():
    one, _ = right([0.5, 0.2, 0.2, 0.1], 100, np.random.default_rng(0))
    found = paired_difference(ACCURACY.value, one, one)
    assert (found.difference, found.low, found.high) == (0, 0, 0)


def test_the_order_of_the_examples_and_the_blocks_of_draws_are_nothing(monkeypatch):
    from repro.ledger import bootstrap

    chance = np.random.default_rng(4)
    one, other = right([0.5, 0.2, 0.2, 0.1], 100, chance)
    before = paired_difference(ACCURACY.value, one, other)
    order = chance.permutation(100)
    assert paired_difference(ACCURACY.value, one[order], other[order]) == before
    monkeypatch.setattr(bootstrap, "_BLOCK", 400)  # 100 corpora of 4 kinds at once
    assert paired_difference(ACCURACY.value, one, other) == before


def test_unequal_or_empty_runs_are_refused():
    with pytest.raises(ValueError, match="3 examples and 2"):
        paired_difference(ACCURACY.value, np.ones((3, 1)), np.ones((2, 1)))
    with pytest.raises(ValueError, match="0 examples"):
        paired_difference(ACCURACY.value, np.ones((0, 1)), np.ones((0, 1)))


def test_wins_and_ties_are_counted():
    found = wins(np.array([1.0, 1, 0, 0, 1]), np.array([1.0, 0, 1, 0, 0]))
    assert (found.first, found.second, found.ties, found.examples) == (2, 1, 2, 5)
