"""Two runs on the same examples: what their difference would be on other examples of the same kind.

A paired percentile bootstrap: corpora of as many examples are drawn from the test examples with replacement, and both
runs are scored on the same ones. The two trained networks are held fixed: other seeds are not in the interval.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from numpy import ndarray

RESAMPLES = 10_000
SEED = 0
LEVEL = 0.95
_BLOCK = 4_000_000
"""Counts that are drawn at once."""

Value = Callable[..., "ndarray"]
"""statistics (examples, k), counts (resamples, examples) or none, to the scores of the corpora."""


@dataclass(frozen=True)
class Paired:
    """Scores of two runs, their difference (first less second) and its interval."""

    first: float
    second: float
    difference: float
    low: float
    high: float


@dataclass(frozen=True)
class Wins:
    """Examples on which the first run did better, on which the second did, and all."""

    first: int
    second: int
    examples: int

    @property
    def ties(self) -> int:
        return self.examples - self.first - self.second


def paired_difference(
    value: Value,
    first: ndarray,
    second: ndarray,
    *,
    resamples: int = RESAMPLES,
    seed: int = SEED,
    level: float = LEVEL,
) -> Paired:
    """Compares two runs by a metric of the corpus.

    Equal examples are drawn together: how often each kind comes up is multinomial, which is the same bootstrap and
    costs nothing where there are few kinds.

    Args:
        value: the metric.
        first: statistics of the first run (examples, k).
        second: those of the second, of the same examples in the same order.
        resamples: how many corpora are drawn.
        seed: of the draws.
        level: of the interval.
    """
    import numpy as np

    if len(first) != len(second) or not len(first):
        raise ValueError(f"{len(first)} examples and {len(second)}")
    both = np.concatenate([first, second], axis=1)
    kinds, sizes = np.unique(both, axis=0, return_counts=True)  # (kinds, 2k), sorted: the order of examples is nothing
    one, other = kinds[:, : first.shape[1]], kinds[:, first.shape[1] :]
    chance = np.random.default_rng(seed)
    differences = []
    for start in range(0, resamples, rows := max(1, _BLOCK // len(kinds))):
        size = min(rows, resamples - start)
        counts = chance.multinomial(len(both), sizes / len(both), size=size).astype(float)  # (size, kinds)
        differences.append(value(one, counts) - value(other, counts))
    low, high = np.quantile(np.concatenate(differences), [(1 - level) / 2, (1 + level) / 2])
    scores = float(value(first)), float(value(second))
    return Paired(*scores, scores[0] - scores[1], float(low), float(high))


def wins(first: ndarray, second: ndarray) -> Wins:
    """Counts on which examples each of two runs did better, by the quality of each example (examples,)."""
    return Wins(int((first > second).sum()), int((first < second).sum()), len(first))
