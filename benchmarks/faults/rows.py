"""The lines of the table of faults."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace


@dataclass(frozen=True)
class Row:
    """One kind of fault.

    Attributes:
        what: was done.
        tried: how often; 0 where it could not be.
        lost: how often results were gone, or more work than is promised.
        changed: how often bits differed, or something recorded before was altered.
        note: how it was done, and why something could not be.
        wrong: what was lost or changed, one sentence each.
    """

    what: str
    tried: int
    lost: int = 0
    changed: int = 0
    note: str = ""
    wrong: tuple[str, ...] = ()

    def with_one(self, wrong: str) -> Row:
        """Counts one more try.

        Args:
            wrong: nothing, or a sentence that begins with "lost" or "changed".
        """
        if not wrong:
            return replace(self, tried=self.tried + 1)
        changed = wrong.startswith("changed")
        return replace(
            self,
            tried=self.tried + 1,
            lost=self.lost + (not changed),
            changed=self.changed + changed,
            wrong=(*self.wrong, wrong),
        )

    def said(self, note: str) -> Row:
        """Adds a note."""
        return replace(self, note="; ".join(part for part in (self.note, note) if part))


def markdown(rows: Sequence[Row]) -> str:
    """Returns the table, and below it what was lost or changed."""
    lines = ["| what | tried | lost | changed | note |", "| --- | --- | --- | --- | --- |"]
    lines += [f"| {row.what} | {row.tried} | {row.lost} | {row.changed} | {_cell(row.note)} |" for row in rows]
    total = [sum(getattr(row, name) for row in rows) for name in ("tried", "lost", "changed")]
    lines.append(f"| **all** | **{total[0]}** | **{total[1]}** | **{total[2]}** | |")
    wrong = [f"- {row.what}: {_cell(one)}" for row in rows for one in row.wrong]
    return "\n".join([*lines, *(["", "What was lost or changed:", "", *wrong] if wrong else [])]) + "\n"


def _cell(text: str) -> str:
    return " ".join(text.replace("|", "\\|").split())
