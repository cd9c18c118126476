"""What the given seeds could see: the lines under a table."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence

from repro.ledger.statistics import LEVEL, MOST_SEEDS, POWER, contrast, smallest_difference
from repro.ledger.verdict import Region, seeds_needed

Scores = Mapping[str, Mapping[int, float]]
"""Of one row: by column, the scores by seed."""


def power_lines(where: str, rows: Sequence[Scores], columns: Sequence[str]) -> list[str]:
    """Says from what difference on two of our rows can be told apart, and how many seeds would tell them apart.

    Args:
        where: the network and scale of the rows.
        rows: ours, of one network; they are compared in pairs, seed by seed.
        columns: in the order of the table; the scores of an average may be among them.

    Returns:
        no line where fewer than two rows share two seeds; else one line, or two.
    """
    pairs = list(itertools.combinations(rows, 2))
    seen = {column: [one for pair in pairs if (one := _pair(pair, column))] for column in columns}
    smallest = {column: _middle([one[0] for one in found]) for column, found in seen.items() if found}
    if not smallest:
        return []
    counts = sorted({len(row[column]) for row in rows for column in smallest if column in row})
    seeds = f"{counts[0]} seeds" if counts[0] == counts[-1] else f"{counts[0]} to {counts[-1]} seeds"
    over = " (median over the pairs of rows)" if len(pairs) > 1 else ""
    first = (
        f"{where}, {seeds}: two rows can be told apart from a difference of "
        f"{_listed({column: f'{value:.1f}' for column, value in smallest.items()})} points on{over} "
        f"(paired t test at {LEVEL:.0%}, power {POWER:.0%})"
    )
    undecided = {column: [one[1] for one in found if one[1] > one[2]] for column, found in seen.items()}
    more = {
        column: f"{max(found):,}" if max(found) <= 1000 else "over 1,000"
        for column, found in undecided.items()
        if found
    }
    if not more:
        return [first]
    most = "at most " if len(pairs) > 1 else ""
    return [
        first,
        f"{where}: seeds that would tell rows apart, at the differences and spreads seen: {most}{_listed(more)}",
    ]


def _pair(pair: tuple[Scores, Scores], column: str) -> tuple[float, int, int] | None:
    """Returns the smallest visible difference, the seeds that would tell the two apart, and the seeds there are."""
    left, right = (row.get(column, {}) for row in pair)
    if len(left.keys() & right.keys()) < 2:
        return None
    estimate = contrast(left, right, paired=True)
    n, deviation = int(estimate.n), estimate.deviation or 0.0
    low, high = estimate.bounds()
    side = Region.of({"above": 0.0} if estimate.value > 0 else {"below": 0.0})
    apart = low > 0 or high < 0
    needed = n if apart else seeds_needed(estimate, side, one_sided=False) or MOST_SEEDS + 1
    return smallest_difference(deviation, n), needed, n


def _middle(values: Sequence[float]) -> float:
    ordered = sorted(values)
    return (ordered[(len(ordered) - 1) // 2] + ordered[len(ordered) // 2]) / 2


def _listed(words: Mapping[str, str]) -> str:
    return ", ".join(f"{column} {word}" for column, word in words.items())
