"""Every number of a paper that needs no training, beside our recomputation."""

from __future__ import annotations

import importlib
from collections.abc import Mapping, Sequence
from pathlib import Path

from repro.errors import UserError, did_you_mean
from repro.ledger.formula import KINDS, Check
from repro.ledger.tables import Cell, Notes, Row, Table

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


def verify_table(
    paper: str, found: Sequence[Check], *, everything: bool = False, counted: Mapping[str, float] | None = None
) -> Table:
    """Makes the table of a paper's recomputed numbers.

    Args:
        found: the paper's numbers.
        everything: all of them; else those that differ from what is printed, or whose agreement changed.
        counted: by id, what was counted on real modules instead.
    """
    counted = counted or {}
    notes = Notes()
    rows = []
    for check in found:
        value = counted.get(check.id)
        if everything or check.why or check.changed(value):
            rows.append(_row(check, value, notes))
    columns = ("number", "published", "recomputed", "formula", "agreement")
    return Table(f"{paper}: {summary(found, counted)}", columns, tuple(rows), tuple(notes.texts))


def summary(found: Sequence[Check], counted: Mapping[str, float] | None = None) -> str:
    """Returns the counts in a line: how many agree, how many do not and of which kind."""
    counted = counted or {}
    printed = [check for check in found if check.printed]
    agree = sum(check.agrees(counted.get(check.id)) for check in printed)
    kinds = [
        f"{number} {meaning}"
        for kind, meaning in KINDS.items()
        if (number := sum(check.kind == kind and not check.agrees(counted.get(check.id)) for check in printed))
    ]
    parts = [f"{len(found)} numbers recomputed", f"{agree} of {len(printed)} printed ones agree to the printed digits"]
    changed = sum(check.changed(counted.get(check.id)) for check in found)
    return "; ".join([*parts, *kinds, *([f"{changed} CHANGED"] if changed else [])])


def _row(check: Check, value: float | None, notes: Notes) -> Row:
    recomputed = check.recomputed if value is None else value
    how = str(check.recomputed) if value is None else "counted on the modules"
    if check.changed(value):
        said, marks = "CHANGED", notes.mark([check.why]) if check.why else ()
    elif not check.printed:
        said, marks = "not printed", ()
    else:
        said, marks = ("differs", notes.mark([check.why])) if check.why else ("agrees", ())
    cells = (
        Cell(printed=check.printed or "-"),
        Cell(float(recomputed), digits(recomputed)),
        Cell(printed=how),
        Cell(printed=said, marks=marks),
    )
    return Row(f"{check.id}, {check.place}: {check.what}", "published" if said == "agrees" else "ours", cells)


def digits(value: float) -> str:
    """Returns a number shortly: whole ones whole, others with five digits."""
    if value == int(value) and abs(value) < 1e15:
        return f"{int(value):,}"
    return f"{value:.5g}" if abs(value) < 1e5 or abs(value) >= 1e15 else f"{value:,.0f}"
