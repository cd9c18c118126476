"""The verdict: a function of an interval and a region alone."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from repro.ledger.statistics import MOST_SEEDS, Estimate

NOT_REPRODUCED, NOT_COMPARABLE, NOT_RUN = "not reproduced", "not comparable", "not run"
UNDERPOWERED, REPRODUCED = "underpowered", "reproduced"
WEAKEST_FIRST = (NOT_REPRODUCED, NOT_COMPARABLE, NOT_RUN, UNDERPOWERED, REPRODUCED)
"""Contrasts joined by "and" have the first of these that one of them has."""


@dataclass(frozen=True)
class Region:
    """Where a contrast must lie for the claim to hold; an open side does not hold its edge."""

    low: float = -math.inf
    high: float = math.inf
    low_open: bool = False
    high_open: bool = False

    @classmethod
    def of(cls, bounds: Mapping[str, float]) -> Region:
        """Makes a region of one or two of above, at_least, below, at_most.

        Raises:
            ValueError: another word, no bound, two of one side, or an empty region.
        """
        unknown = sorted(set(bounds) - {"above", "at_least", "below", "at_most"})
        lows, highs = (
            [key for key in ("above", "at_least") if key in bounds],
            [key for key in ("below", "at_most") if key in bounds],
        )
        if unknown or not bounds or len(lows) > 1 or len(highs) > 1:
            raise ValueError("a region has above or at_least, below or at_most")
        low = float(bounds[lows[0]]) if lows else -math.inf
        high = float(bounds[highs[0]]) if highs else math.inf
        if not low <= high:
            raise ValueError(f"no number is above {low:g} and below {high:g}")
        return cls(low, high, "above" in bounds, "below" in bounds)

    @property
    def one_sided(self) -> bool:
        """Whether it has one edge."""
        return math.isinf(self.low) or math.isinf(self.high)

    def above_low(self, value: float) -> bool:
        """Says whether a number is on the right side of the lower edge."""
        return value > self.low or (value == self.low and (not self.low_open or math.isinf(self.low)))

    def below_high(self, value: float) -> bool:
        """Says whether a number is on the right side of the upper edge."""
        return value < self.high or (value == self.high and (not self.high_open or math.isinf(self.high)))

    def holds(self, value: float) -> bool:
        """Says whether a number lies in the region."""
        return self.above_low(value) and self.below_high(value)


def verdict(low: float, high: float, region: Region) -> str:
    """Returns reproduced, not reproduced or underpowered: an interval inside a region, outside, or across its edge."""
    if region.above_low(low) and region.below_high(high):
        return REPRODUCED
    if not region.above_low(high) or not region.below_high(low):
        return NOT_REPRODUCED
    return UNDERPOWERED


def decide(estimate: Estimate, region: Region, *, one_sided: bool | None = None) -> tuple[str, float, float]:
    """Returns the verdict on an estimate, and the interval that gave it: one-sided bounds where the region is."""
    low, high = estimate.bounds(one_sided=region.one_sided if one_sided is None else one_sided)
    return verdict(low, high, region), low, high


def p_value(estimate: Estimate, region: Region) -> float:
    """Returns the largest p-value of a truth outside the region: one test for each of its edges."""
    tails = [estimate.tail(region.low)] if not math.isinf(region.low) else []
    if not math.isinf(region.high):
        upper = estimate.tail(region.high)
        tails.append(1.0 if estimate.deviation is None and not estimate.exact else 1.0 - upper)
    if estimate.exact or estimate.deviation == 0:
        return 0.0 if region.holds(estimate.shown) else 1.0
    return max(tails)


def seeds_needed(estimate: Estimate, region: Region, *, one_sided: bool | None = None) -> int | None:
    """Returns how many seeds would decide, if mean and spread stayed as they are; None if no number up to 10,000."""
    if estimate.deviation is None:
        return None
    few, many = 2, MOST_SEEDS
    if decide(estimate.with_seeds(many), region, one_sided=one_sided)[0] == UNDERPOWERED:
        return None
    while few < many:
        middle = (few + many) // 2
        if decide(estimate.with_seeds(middle), region, one_sided=one_sided)[0] == UNDERPOWERED:
            few = middle + 1
        else:
            many = middle
    return few


def weakest(verdicts: Iterable[str]) -> str:
    """Returns the verdict on contrasts joined by "and"."""
    return min(verdicts, key=WEAKEST_FIRST.index, default=NOT_RUN)


@dataclass(frozen=True)
class Contrast:
    """A comparison that a claim rests on.

    Attributes:
        says: the comparison in words.
        statistic: as the paper's comparison is: difference, ratio, slope, order, share.
        published: the published value, or values, or words; None where there is none.
        region: where it must lie, in words.
        test: how records decide it; None where no condition is written yet.
        aside: whether it stands beside the claim, derived from the paper's numbers, and does not decide it.
    """

    says: str
    statistic: str
    published: Any
    region: str
    test: Mapping[str, Any] | None = None
    aside: bool = False


@dataclass(frozen=True)
class Claim:
    """A statement of a paper: its text, where it stands, what it needs, the contrasts that decide it together."""

    id: str
    text: str
    place: str
    source: str
    kind: str
    needs: tuple[str, ...]
    contrasts: tuple[Contrast, ...]


@dataclass(frozen=True)
class JudgedContrast:
    """What our records say of a contrast.

    Attributes:
        bounds: of the region that it is held against.
        estimate: ours, with its interval low and high; None where there is none.
        n: seeds behind it.
        why: what is missing, or which part decided.
        seeds_needed: how many seeds would decide, where these do not.
        p: of a truth outside the region; None where there is no estimate.
        records: identities of the records behind it.
        command: what would move the verdict; empty where nothing can or need.
    """

    says: str
    statistic: str
    published: Any
    region: str
    bounds: tuple[float, float]
    verdict: str
    why: str = ""
    estimate: float | None = None
    low: float | None = None
    high: float | None = None
    n: int = 0
    seeds_needed: int | None = None
    p: float | None = None
    records: tuple[str, ...] = ()
    command: str = ""
    aside: bool = False


@dataclass(frozen=True)
class Judged:
    """A claim at one scale, with one network: its verdict, that of the weakest contrast.

    Attributes:
        scale: empty where no record speaks of the claim.
        p: the largest of its contrasts' p-values; None unless all of them have one.
        p_holm: the same, adjusted over the paper's claims at this scale.
    """

    claim: Claim
    scale: str
    network: str
    verdict: str
    why: str
    contrasts: tuple[JudgedContrast, ...]
    p: float | None = None
    p_holm: float | None = None

    @property
    def command(self) -> str:
        """What would move the verdict: the first command of the contrasts that gave it, or what they need."""
        same = [one.command for one in self.contrasts if one.verdict == self.verdict and one.command and not one.aside]
        return next((one for one in same if one.startswith("python ")), same[0] if same else "")


def joined(contrasts: Sequence[JudgedContrast]) -> tuple[str, str]:
    """Returns the verdict on a claim's contrasts together, and why in words."""
    deciding = [one for one in contrasts if not one.aside]
    found = weakest(one.verdict for one in deciding)
    same = [one for one in deciding if one.verdict == found]
    why = f"{len(same)} of {len(deciding)} contrasts" if len(deciding) > 1 else ""
    reasons = list(dict.fromkeys(one.why for one in same if one.why))
    return found, ": ".join(part for part in (why, "; ".join(reasons[:2])) if part)
