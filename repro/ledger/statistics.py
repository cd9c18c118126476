"""What several seeds say together: intervals, differences, ratios, and what more seeds would show."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

LEVEL = 0.95
POWER = 0.8
MOST_SEEDS = 10_000


@dataclass(frozen=True)
class Summary:
    """Of n values: the mean, the median, the sample standard deviation (None for one value)."""

    n: int
    mean: float
    median: float
    deviation: float | None

    def interval(self, level: float = LEVEL) -> tuple[float, float]:
        """Returns Student's t interval of the mean; of one value, all numbers."""
        return Estimate(self.mean, self.deviation, self.n, self.n - 1).bounds(level)


@dataclass(frozen=True)
class Estimate:
    """A contrast from several seeds, with what is needed for its interval.

    Attributes:
        value: the estimate; of a logarithmic one, the logarithm.
        deviation: what the standard error is after division by the square root of n; None with one seed.
        n: seeds; where the two sides have different ones, the harmonic mean of their numbers.
        freedom: degrees of freedom of Student's t.
        logarithmic: whether it is a ratio, estimated on the scale of logarithms.
        exact: whether it is a number without a spread, such as a count.
    """

    value: float
    deviation: float | None
    n: float
    freedom: float
    logarithmic: bool = False
    exact: bool = False

    @property
    def shown(self) -> float:
        """The estimate on its own scale."""
        return math.exp(self.value) if self.logarithmic else self.value

    def bounds(self, level: float = LEVEL, *, one_sided: bool = False) -> tuple[float, float]:
        """Returns Student's t interval; without a spread to go by, all numbers.

        Args:
            level: of the interval; of each of its two bounds by itself, where they are one-sided.
        """
        half = self._half(self.n, self.freedom, level, one_sided)
        low, high = self.value - half, self.value + half
        return (_exp(low), _exp(high)) if self.logarithmic else (low, high)

    def with_seeds(self, n: int) -> Estimate:
        """Returns the estimate as it would be from n seeds, if mean and spread stayed as they are."""
        return Estimate(self.value, self.deviation, n, (n - 1) * self.freedom / max(self.n - 1, 1e-9), self.logarithmic)

    def tail(self, edge: float) -> float:
        """Returns the probability, were the truth at the edge, of an estimate as large as this one or larger."""
        if self.logarithmic and edge <= 0:
            return 0.0
        edge = _log(edge) if self.logarithmic else edge
        distance = self.value - edge
        if self.exact or self.deviation == 0:
            return float(distance <= 0)
        if self.deviation is None:
            return 1.0
        from scipy.special import stdtr

        return float(stdtr(self.freedom, -distance * math.sqrt(self.n) / self.deviation))

    def _half(self, n: float, freedom: float, level: float, one_sided: bool) -> float:
        if self.exact or self.deviation == 0:
            return 0.0
        if self.deviation is None or freedom <= 0:
            return math.inf
        from scipy.special import stdtrit  # a tenth of what importing scipy.stats costs

        share = level if one_sided else (1 + level) / 2
        return float(stdtrit(freedom, share)) * self.deviation / math.sqrt(n)


def summarise(values: Sequence[float]) -> Summary:
    """Summarises one value or more."""
    ordered = sorted(values)
    n = len(ordered)
    mean = math.fsum(ordered) / n
    deviation = math.sqrt(math.fsum((value - mean) ** 2 for value in ordered) / (n - 1)) if n > 1 else None
    return Summary(n, mean, (ordered[(n - 1) // 2] + ordered[n // 2]) / 2, deviation)


def of_values(values: Sequence[float], *, logarithmic: bool = False) -> Estimate:
    """Estimates a mean from one value or more; on the scale of logarithms, a geometric one.

    Raises:
        ValueError: a logarithm of a number that is not positive.
    """
    summary = summarise([_log(value) for value in values] if logarithmic else values)
    return Estimate(summary.mean, summary.deviation, summary.n, summary.n - 1, logarithmic)


def contrast(
    left: Mapping[int, float], right: Mapping[int, float], *, paired: bool, logarithmic: bool = False
) -> Estimate:
    """Estimates left - right, or left / right on the scale of logarithms.

    Args:
        left: values by seed.
        right: likewise.
        paired: whether equal seeds share their data; then the seeds that both have are compared one by one (Student's
            t), else the two means (Welch's t).

    Raises:
        ValueError: nothing to compare, or a logarithm of a number that is not positive.
    """
    sides = [{seed: _log(one) for seed, one in side.items()} if logarithmic else side for side in (left, right)]
    shared = sorted(left.keys() & right.keys())
    if paired and shared:
        summary = summarise([sides[0][seed] - sides[1][seed] for seed in shared])
        return Estimate(summary.mean, summary.deviation, summary.n, summary.n - 1, logarithmic)
    if not left or not right:
        raise ValueError("one side has no value")
    return _welch(*(summarise(list(side.values())) for side in sides), logarithmic)


def _welch(left: Summary, right: Summary, logarithmic: bool) -> Estimate:
    n = 2 / (1 / left.n + 1 / right.n)
    if left.deviation is None or right.deviation is None:
        return Estimate(left.mean - right.mean, None, n, 0, logarithmic)
    parts = [side.deviation**2 / side.n for side in (left, right)]
    spread = sum(parts)
    freedom = (
        spread**2 / sum(part**2 / (side.n - 1) for part, side in zip(parts, (left, right), strict=True) if part)
        if spread
        else left.n + right.n - 2
    )
    return Estimate(left.mean - right.mean, math.sqrt(spread * n), n, freedom, logarithmic)


def slope(points: Mapping[float, Mapping[int, float]]) -> Estimate:
    """Estimates the slope of values against x: a least-squares line for each seed, then their mean.

    Args:
        points: by x, the values by seed; seeds that are not at every x are left out.

    Raises:
        ValueError: fewer than two x, or no seed at all of them.
    """
    seeds = sorted(set.intersection(*(set(values) for values in points.values()))) if points else []
    if len(points) < 2 or not seeds:
        raise ValueError("a slope needs two points with a common seed")
    middle = math.fsum(points) / len(points)
    below = math.fsum((x - middle) ** 2 for x in points)
    return of_values([math.fsum((x - middle) * values[seed] for x, values in points.items()) / below for seed in seeds])


def holm(p_values: Sequence[float]) -> list[float]:
    """Returns Holm's adjusted p-values, in the order given."""
    order = sorted(range(len(p_values)), key=lambda place: p_values[place])
    adjusted, largest = [0.0] * len(p_values), 0.0
    for rank, place in enumerate(order):
        largest = max(largest, min(1.0, (len(p_values) - rank) * p_values[place]))
        adjusted[place] = largest
    return adjusted


def smallest_difference(deviation: float, n: int, *, level: float = LEVEL, power: float = POWER) -> float:
    """Returns the smallest true difference that n paired seeds show with the given power, by a two-sided t test.

    Args:
        deviation: standard deviation of the differences between the two sides' seeds.
    """
    if n < 2:
        return math.inf
    from scipy.special import nctdtrinc, stdtrit

    edge = float(stdtrit(n - 1, (1 + level) / 2))
    return float(nctdtrinc(n - 1, 1 - power, edge)) * deviation / math.sqrt(n)


def _log(value: float) -> float:
    if value <= 0:
        raise ValueError(f"{value:g} has no logarithm: a ratio needs positive numbers")
    return math.log(value)


def _exp(value: float) -> float:
    return math.exp(value) if value < 700 else math.inf
