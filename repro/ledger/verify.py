"""Every number of a paper that needs no training, beside our recomputation."""

from __future__ import annotations

import importlib
from collections.abc import Mapping, Sequence
from pathlib import Path

from repro.errors import UserError, did_you_mean
from repro.ledger.formula import KINDS, Check
from repro.ledger.tables import Cell, Notes, Row, Table

DIFFERENCES = "Printed, recomputed, and why they differ"
ANALYTIC = Path(__file__).parent / "analytic"


def papers() -> list[str]:
    """Returns the papers with recomputed numbers."""
    return sorted(file.stem for file in ANALYTIC.glob("*.py") if file.stem != "__init__")


def checks(paper: str) -> list[Check]:
    """Returns a paper's numbers, in the order of the paper.

    Raises:
        UserError: there are none of it, or one names a published number that is missing.
    """
    if paper not in papers():
        raise UserError(f"there are no recomputed numbers of {paper}", did_you_mean(paper, papers()))
    return importlib.import_module(f"repro.ledger.analytic.{paper}").checks()


def summary(found: Sequence[Check], counted: Mapping[str, float] | None = None) -> str:
    """Returns the counts in a line: how many agree, how many do not and of which kind."""
    counted = counted or {}
    printed = [check for check in found if check.printed]
    differ = [check for check in printed if not check.agrees(counted.get(check.id))]
    kinds = [
        f"{number} × {words}" for kind, words in KINDS.items() if (number := sum(one.kind == kind for one in differ))
    ]
    parts = [f"{len(found)} numbers recomputed", f"{len(printed) - len(differ)} of {len(printed)} printed ones agree"]
    changed = sum(check.changed(counted.get(check.id)) for check in found)
    if differ:
        parts.append(f"{len(differ)} differ: {', '.join(kinds)}")
    return "; ".join([*parts, *([f"{changed} CHANGED"] if changed else [])])


def verify_lines(
    found: Sequence[Check], *, everything: bool = False, counted: Mapping[str, float] | None = None
) -> list[tuple[str, str]]:
    """Returns a paper's recomputed numbers as lines with rich's styles.

    Args:
        everything: all of them; else those that differ from what is printed, or whose agreement changed.
        counted: by id, what was counted on real modules instead.
    """
    lines: list[tuple[str, str]] = []
    for check in found:
        value = (counted or {}).get(check.id)
        if everything or check.why or check.changed(value):
            lines += _lines(check, value)
    return lines


def _lines(check: Check, value: float | None) -> list[tuple[str, str]]:
    said, style = _said(check, value)
    how = f"{check.recomputed} = {check.recomputed.expression}" if value is None else "counted on the modules"
    recomputed = digits(check.recomputed if value is None else value)
    printed = f"printed {check.printed}" if check.printed else "not printed"
    lines = [
        (f"{MARKS[said]} {check.id}  {check.place}: {check.what}", style),
        (f"      {printed} · recomputed {recomputed} {check.recomputed.unit}".rstrip() + f" · {said}", ""),
        (f"      {how}", "dim"),
    ]
    if check.why:
        lines.append((f"      {check.kind}: {check.why}", ""))
    return lines


MARKS = {"agrees": "●", "differs": "✕", "not printed": "○", "CHANGED": "!"}


def _said(check: Check, value: float | None) -> tuple[str, str]:
    """Returns the agreement in words, and a style for it."""
    if check.changed(value):
        return "CHANGED", "bold red"
    if not check.printed:
        return "not printed", ""
    return ("differs", "yellow") if check.why else ("agrees", "green")


def verify_table(found: Sequence[Check]) -> Table:
    """Makes the table of those of a paper's numbers that differ from what is printed, for pages."""
    notes = Notes()
    rows = [_row(check, notes) for check in found if check.why or check.changed()]
    columns = ("number", "published", "recomputed", "formula", "kind")
    return Table(DIFFERENCES, columns, tuple(rows), tuple(notes.texts))


def _row(check: Check, notes: Notes) -> Row:
    cells = (
        Cell(printed=check.printed or "-"),
        Cell(float(check.recomputed), digits(check.recomputed)),
        Cell(printed=check.recomputed.name),
        Cell(printed=_said(check, None)[0] if check.changed() else check.kind, marks=notes.mark([check.why])),
    )
    return Row(f"{check.id}, {check.place}: {check.what}", "published", cells)


def digits(value: float) -> str:
    """Returns a number shortly: whole ones whole, others with five digits."""
    if value == int(value) and abs(value) < 1e15:
        return f"{int(value):,}"
    return f"{value:.5g}" if abs(value) < 1e5 or abs(value) >= 1e15 else f"{value:,.0f}"
