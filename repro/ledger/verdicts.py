"""Verdicts in words: the list of a paper's claims, for the terminal and for pages."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from repro.ledger.verdict import (
    NOT_COMPARABLE,
    NOT_REPRODUCED,
    NOT_RUN,
    REPRODUCED,
    UNDERPOWERED,
    Judged,
    JudgedContrast,
)

MARKS = {REPRODUCED: "●", NOT_REPRODUCED: "✕", UNDERPOWERED: "◐", NOT_COMPARABLE: "≁", NOT_RUN: "○"}
"""A shape for each verdict, so that it can be told without colours."""
STYLES = {
    REPRODUCED: "bold green",
    NOT_REPRODUCED: "bold red",
    UNDERPOWERED: "bold yellow",
    NOT_COMPARABLE: "magenta",
    NOT_RUN: "dim",
}


def counts(found: Sequence[Judged]) -> str:
    """Returns how many claims there are, and how many verdicts of each kind: "12 claims; tiny: 1 not reproduced"."""
    claims = len({one.claim.id for one in found})
    parts = [f"{claims} claim{'s' if claims > 1 else ''}"]
    for scale in dict.fromkeys(one.scale for one in found if one.scale):
        here = [one.verdict for one in found if one.scale == scale]
        parts.append(f"{scale}: {', '.join(f'{here.count(name)} {name}' for name in MARKS if name in here)}")
    silent = sum(not one.scale for one in found)
    return "; ".join([*parts, *([f"{silent} without a run" if silent < claims else "none run"] if silent else [])])


def lines(found: Sequence[Judged], *, text: bool = True, everything: bool = False) -> list[tuple[str, str]]:
    """Returns the list of verdicts as lines with rich's styles.

    Args:
        found: in the order of the claims.
        text: with the claims' text and the contrasts that have an estimate; else a line a claim.
        everything: with every contrast, also those that were not run.
    """
    listed: list[tuple[str, str]] = []
    for one in found:
        where = f" at {one.scale}" + (f" ({one.network})" if one.network else "") if one.scale else ""
        why = f": {one.why}" if one.why else ""
        listed.append((f"{MARKS[one.verdict]} {one.claim.id} {one.verdict}{where}{why}", STYLES[one.verdict]))
        if not text:
            listed.append((f"    {shortened(one.claim.text)}", ""))
        else:
            listed.append((f"    {one.claim.text} [{one.claim.place}]", ""))
            shown = [part for part in one.contrasts if everything or part.verdict not in (NOT_RUN, NOT_COMPARABLE)]
            listed += [line for part in shown for line in _contrast_lines(part)]
            if shown and len(shown) < len(one.contrasts):
                listed.append(
                    (f"    {MARKS[NOT_RUN]} {len(one.contrasts) - len(shown)} more not run: --all shows them", "dim")
                )
            if one.p_holm is not None:
                adjusted = f"adjusted over the claims of this scale (Holm) {one.p_holm:.3g}"
                listed.append((f"    p of a truth outside the region {one.p:.3g}, {adjusted}", "dim"))
        if one.command:
            listed.append((f"    to move it: {one.command}", "cyan"))
    return listed


def shortened(text: str, most: int = 88) -> str:
    """Returns the beginning of a text, cut at a word."""
    return text if len(text) <= most else text[:most].rpartition(" ")[0] + " ..."


def _contrast_lines(one: JudgedContrast) -> list[tuple[str, str]]:
    style = STYLES[one.verdict].removeprefix("bold ")
    aside = ", aside" if one.aside else ""
    parts = [f"published {published_said(one.published)}", *([f"ours {said}"] if (said := ours_said(one)) else [])]
    parts += [
        f"holds if {one.region}",
        f"{one.verdict}{aside}" + (f": {reason}" if (reason := reason_said(one)) else ""),
    ]
    return [(f"    {MARKS[one.verdict]} {one.says}", style), (f"      {' · '.join(parts)}", "")]


def reason_said(one: JudgedContrast) -> str:
    """Returns why a contrast has its verdict, and how many seeds would decide it."""
    reasons = [one.why] if one.why else []
    if one.seeds_needed:
        reasons.append(f"{one.seeds_needed:,} seeds would decide, if mean and spread stayed")
    elif one.verdict == UNDERPOWERED:
        more = "no number of seeds up to 10,000 would decide" if one.n > 1 else "a second seed gives an interval"
        reasons.append(more)
    return "; ".join(reasons)


def published_said(value: Any) -> str:
    """Returns a published value as words: numbers with their sign where they are differences."""
    if value is None:
        return "-"
    if isinstance(value, list):
        return ", ".join(published_said(one) for one in value)
    return f"{value:g}" if isinstance(value, int | float) else str(value)


def ours_said(one: JudgedContrast) -> str:
    """Returns our estimate with its interval and seeds; empty where there is none."""
    if one.estimate is None:
        return ""
    if one.n == 0:
        return f"{one.estimate:,.4g}"
    seeds = "1 seed" if one.n == 1 else f"{one.n} seeds"
    return f"{one.estimate:.3g} [{_end(one.low)}, {_end(one.high)}], {seeds}"


def _end(value: float | None) -> str:
    if value is None or math.isinf(value):
        return "-∞" if value is not None and value < 0 else "∞"
    return f"{value:.3g}"
