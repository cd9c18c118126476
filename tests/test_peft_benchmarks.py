"""What the benchmarks against PEFT compute from what they have seen."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest

BENCHMARKS = Path(__file__).parents[1] / "benchmarks"


@pytest.fixture(scope="module", autouse=True)
def beside_benchmarks():
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(BENCHMARKS))
        for name, value in {"HF_HUB_OFFLINE": "1", "TOKENIZERS_PARALLELISM": "false"}.items():
            patch.setitem(os.environ, name, value)
        yield


def test_equivalence_is_two_one_sided_welch_tests():
    from peft_accuracy import equivalence

    found = equivalence([1.0, 2.0, 3.0], [1.5, 2.5, 3.5])
    # by hand: both variances 1, so the standard error is sqrt(2/3) with 4 degrees of freedom; t(0.95, 4) = 2.1318
    assert found["difference"] == -0.5
    assert found["interval_90"] == pytest.approx([-2.241, 1.241], abs=1e-3)
    assert found["p_above_minus_margin"] == pytest.approx(0.2867, abs=1e-4)  # t = 0.5 / 0.8165
    assert not found["equivalent"]


@pytest.mark.parametrize(("shift", "equivalent"), [(0.0, True), (0.8, True), (0.9, False), (-0.9, False)])
def test_equivalence_is_the_interval_within_the_margin(shift, equivalent):
    from peft_accuracy import equivalence

    theirs = [90.0, 90.1, 89.9, 90.1, 89.9]
    found = equivalence([one + shift for one in theirs], theirs)
    # by hand: variance 0.01, standard error sqrt(2 * 0.01 / 5), t(0.95, 8) = 1.8595: 0.1176 on each side
    assert found["interval_90"] == pytest.approx([shift - 0.1176, shift + 0.1176], abs=1e-3)
    assert found["equivalent"] is equivalent


def test_every_segment_has_short_and_long_batches_and_no_batch_is_cut_anew():
    from peft_speed import mixed, padded_tokens

    lengths = list(range(1, 101))
    batches = [list(range(first, min(first + 3, 100))) for first in range(0, 100, 3)]  # 33 whole ones and one of one
    ordered = mixed(batches, lengths, batch_size=3, steps=4)
    assert len(ordered) == 32
    assert all(batch in batches for batch in ordered)
    assert len({tuple(batch) for batch in ordered}) == 32
    segments = [ordered[first : first + 4] for first in range(0, 32, 4)]
    rank = {tuple(batch): place for place, batch in enumerate(sorted(ordered, key=max))}
    for segment in segments:
        assert sorted(rank[tuple(batch)] // 8 for batch in segment) == [0, 1, 2, 3]
    whole = padded_tokens(ordered, lengths)
    assert all(abs(padded_tokens(segment, lengths) / (whole / 8) - 1) < 0.25 for segment in segments)


def test_padding_is_counted():
    from peft_speed import padded_tokens

    assert padded_tokens([[0, 1], [2]], [3, 5, 7]) == 2 * 5 + 7


def test_a_ratio_is_of_totals_and_its_interval_holds_it():
    from peft_speed import ratio

    found = ratio(np.array([2.0, 6.0]), np.array([1.0, 2.0]))
    assert found["ratio"] == pytest.approx(8 / 3, abs=1e-3)
    assert found["interval"] == [2.0, 3.0]  # the resampled totals: 2/1, 8/3, 6/2
    assert found["median_of_rounds"] == 2.5


def test_examples_of_one_length_are_repeated_or_cut():
    from peft_speed import of_one_length

    encoded = of_one_length(lambda task, rows: {"input_ids": [[1, 2, 3], [1, 2, 3, 4, 5, 6]]}, 5)(None, [])
    assert encoded == {"input_ids": [[1, 2, 3, 1, 2], [1, 2, 3, 4, 5]]}


@pytest.mark.parametrize(
    ("interval", "target", "expected"),
    [
        ((2.1, 2.4), 2.0, "met"),
        ((1.9, 2.4), 2.0, "undecided"),
        ((1.7, 1.9), 2.0, "missed"),
        ((0.98, 1.03), 1.0, "met"),
        ((0.90, 1.10), 1.0, "undecided"),
        ((0.96, 0.99), 1.0, "missed"),
    ],
)
def test_a_target_is_met_missed_or_undecided(interval, target, expected):
    from peft_speed import verdict

    assert verdict(interval, target) == expected
