"""Against numbers worked by hand and a printed table of Student's t."""

from __future__ import annotations

import math

import pytest

from repro.ledger.statistics import summarise


def test_mean_median_and_sample_deviation():
    summary = summarise([2.0, 4.0, 4.0, 4.0, 5.0, 5.0, 7.0, 9.0])
    assert (summary.n, summary.mean, summary.median) == (8, 5.0, 4.5)
    assert summary.deviation == pytest.approx(math.sqrt(32 / 7))


def test_the_interval_is_students():
    low, high = summarise([1.0, 2.0, 3.0, 4.0, 5.0]).interval()  # t(0.975, 4) = 2.776 in the tables
    assert (low, high) == pytest.approx((3 - 2.776 * math.sqrt(2.5 / 5), 3 + 2.776 * math.sqrt(2.5 / 5)), abs=1e-3)


def test_one_value_says_nothing_of_its_spread():
    assert summarise([3.0]).deviation is None
    assert summarise([3.0]).interval() == (-math.inf, math.inf)
