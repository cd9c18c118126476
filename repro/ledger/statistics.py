"""What several seeds say together."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Summary:
    """Of n values: the mean, the median, the sample standard deviation (None for one value)."""

    n: int
    mean: float
    median: float
    deviation: float | None

    def interval(self, level: float = 0.95) -> tuple[float, float]:
        """Returns Student's t interval of the mean; of one value, all numbers."""
        if self.deviation is None:
            return -math.inf, math.inf
        from scipy.special import stdtrit  # a tenth of what importing scipy.stats costs

        half = float(stdtrit(self.n - 1, (1 + level) / 2)) * self.deviation / math.sqrt(self.n)
        return self.mean - half, self.mean + half


def summarise(values: Sequence[float]) -> Summary:
    """Summarises one value or more."""
    ordered = sorted(values)
    n = len(ordered)
    mean = math.fsum(ordered) / n
    deviation = math.sqrt(math.fsum((value - mean) ** 2 for value in ordered) / (n - 1)) if n > 1 else None
    return Summary(n, mean, (ordered[(n - 1) // 2] + ordered[n // 2]) / 2, deviation)
