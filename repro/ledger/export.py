"""Tables for other programs: comma-separated lines, one a cell, and JSON, from the same structure."""

from __future__ import annotations

import csv
import dataclasses
import io
import json
import math
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from repro.ledger.tables import Cell, Row, Table
from repro.ledger.verdict import Judged

COLUMNS = ("paper", "table", "row", "kind", "column", "printed", "value", "spread", "n", "notes", "records")


def comma_separated(papers: Mapping[str, Mapping[str, Table]]) -> str:
    """Returns the cells of tables, one a line, below a line of headings.

    Args:
        papers: by paper, its tables by name.

    Returns:
        CSV; the notes of a cell, and those of its row, are joined by "; ", the records by spaces.
    """
    stream = io.StringIO()
    writer = csv.writer(stream, lineterminator="\n")
    writer.writerow(COLUMNS)
    for paper, tables in papers.items():
        for name, table in tables.items():
            writer.writerows((paper, name, *line) for line in _lines(table))
    return stream.getvalue()


def _lines(table: Table) -> Iterator[tuple[Any, ...]]:
    for row in table.rows:
        for column, cell in zip(table.columns[1:], row.cells, strict=True):
            if cell.printed:
                notes = "; ".join(table.notes[mark - 1] for mark in sorted({*row.marks, *cell.marks}))
                value = "" if cell.value is None or not math.isfinite(cell.value) else repr(float(cell.value))
                n = _seeds(row, cell)
                identities = " ".join(cell.records)
                yield row.label, row.kind, column, cell.printed, value, cell.spread, n, notes, identities


def _seeds(row: Row, cell: Cell) -> str:
    """Returns how many seeds are behind a cell: its own number, or the one that the row's label ends with."""
    said = re.search(r", (\d+) seeds?$", row.label)
    return str(cell.n or (said[1] if said and cell.spread else ""))


def as_json(papers: Sequence[Mapping[str, Any]]) -> str:
    """Returns papers as JSON: tables as they are built (rows of cells, notes by number), claims as they are judged.

    Args:
        papers: of each what is said of it, by name; tables, rows, cells and claims as they are built.
    """
    return json.dumps([_plain(paper) for paper in papers], indent=1, ensure_ascii=False, allow_nan=False) + "\n"


def _plain(value: Any) -> Any:
    """Returns what JSON has a form for; a number that is not finite (a side without bound) becomes null."""
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, Judged):
        return {**_plain(_fields(value)), "command": value.command}
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return _plain(_fields(value))
    if isinstance(value, Mapping):
        return {str(key): _plain(one) for key, one in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(one) for one in value]
    return value


def _fields(value: Any) -> dict[str, Any]:
    return {one.name: getattr(value, one.name) for one in dataclasses.fields(value)}
