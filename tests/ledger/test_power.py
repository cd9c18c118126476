"""The lines under a table on what its seeds could see, against scipy's t tests."""

from __future__ import annotations

import math

import numpy as np
import pytest
import scipy.stats

from repro.ledger.power import power_lines

LEFT = {"MRPC": {0: 81.0, 1: 83.0, 2: 85.0}, "RTE": {0: 70.0, 1: 71.0, 2: 69.0}}
RIGHT = {"MRPC": {0: 75.0, 1: 76.0, 2: 79.0}, "RTE": {0: 70.5, 1: 70.0, 2: 69.5}}


def smallest(deviation: float, n: int) -> float:
    """By bisection over scipy's noncentral t: 80 of 100 on its side."""
    edge, low, high = scipy.stats.t.ppf(0.975, n - 1), 0.0, 100.0
    for _ in range(60):
        middle = (low + high) / 2
        seen = scipy.stats.nct.sf(edge, n - 1, middle * math.sqrt(n) / deviation)
        low, high = (middle, high) if seen < 0.8 else (low, middle)
    return low


def test_the_smallest_difference_and_the_seeds_that_would_tell_two_rows_apart():
    first, second = power_lines("tiny (net)", [LEFT, RIGHT], ["MRPC", "RTE"])
    spreads = {name: np.std([LEFT[name][s] - RIGHT[name][s] for s in range(3)], ddof=1) for name in LEFT}
    wanted = ", ".join(f"{name} {smallest(spread, 3):.1f}" for name, spread in spreads.items())
    assert first.startswith(f"tiny (net), 3 seeds: two rows can be told apart from a difference of {wanted} points on")
    # MRPC (6, 7, 6) is decided. RTE (-0.5, 1, -0.5) has mean 0: no number of seeds decides it.
    assert second.endswith("at the differences and spreads seen: RTE over 1,000")


@pytest.mark.parametrize("shift", [0.4, -0.4])
def test_the_seeds_are_those_of_a_two_sided_interval(shift):
    values = np.array([0.0, 1.0, -1.0, 0.5]) + shift
    mean, spread = values.mean(), values.std(ddof=1)
    needed = next(n for n in range(2, 1000) if scipy.stats.t.ppf(0.975, n - 1) * spread / math.sqrt(n) < abs(mean))
    rows = [{"A": dict(enumerate(values))}, {"A": dict.fromkeys(range(4), 0.0)}]
    assert power_lines("x", rows, ["A"])[1].endswith(f": A {needed}")


def test_one_row_or_one_seed_says_nothing():
    assert power_lines("x", [LEFT], ["MRPC"]) == []
    assert power_lines("x", [{"A": {0: 1.0}}, {"A": {0: 2.0}}], ["A"]) == []
