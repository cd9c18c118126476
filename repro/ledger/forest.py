"""Where things stand on a contrast's line: one geometry for every drawing of intervals."""

from __future__ import annotations

import math
from dataclasses import dataclass

from repro.ledger.verdict import JudgedContrast


@dataclass(frozen=True)
class Line:
    """A contrast on a line from 0 to 1; None where there is nothing to draw.

    Attributes:
        left, right: the numbers at 0 and 1.
        region: where the shade begins and ends.
        published, estimate: places of marks.
        interval: where ours begins and ends.
        open_left, open_right: whether the interval goes on beyond the line.
    """

    left: float
    right: float
    region: tuple[float, float] | None
    published: float | None
    estimate: float | None
    interval: tuple[float, float] | None
    open_left: bool = False
    open_right: bool = False


def line(one: JudgedContrast) -> Line | None:
    """Lays out a contrast: edges of the region, the published value and ours are in view, with some room around.

    Returns:
        the line; None where nothing of it is a number.
    """
    published = one.published if isinstance(one.published, int | float) and math.isfinite(one.published) else None
    edges = [edge for edge in one.bounds if math.isfinite(edge)]
    ends = [end for end in (one.low, one.high) if end is not None and math.isfinite(end)]
    near = [value for value in (published, one.estimate, *edges) if value is not None and math.isfinite(value)]
    if not near:
        return None
    left, right = _span(near, ends)

    def place(value: float) -> float:
        return min(1.0, max(0.0, (value - left) / (right - left)))

    known = one.estimate is not None and one.low is not None and one.high is not None
    return Line(
        left,
        right,
        (place(one.bounds[0]), place(one.bounds[1])) if edges else None,
        None if published is None else place(published),
        None if one.estimate is None else place(one.estimate),
        (place(one.low), place(one.high)) if known else None,
        known and one.low < left,
        known and one.high > right,
    )


def _span(near: list[float], ends: list[float]) -> tuple[float, float]:
    """Returns what is in view: the marks, and the interval's ends as far as three times the marks' distance."""
    low, high = min(near), max(near)
    room = 3 * ((high - low) or abs(high) or 1.0)
    low, high = (
        min([low, *(max(end, low - room) for end in ends)]),
        max([high, *(min(end, high + room) for end in ends)]),
    )
    margin = 0.12 * ((high - low) or abs(high) or 1.0)
    return low - margin, high + margin
