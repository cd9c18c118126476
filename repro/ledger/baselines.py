"""What scores are worth: trivial methods, networks not pre-trained or not tuned, and the paper's own."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from repro.ledger.match import matches
from repro.ledger.published import Fact
from repro.ledger.tables import DERIVED, Cell, Notes, Row, Table, result, seeds_said, shown_split, summary_cell
from repro.records.canonical import canonical
from repro.records.record import Record

Column = tuple[str, str]
"""A task and a metric."""


def baselines_table(
    plan: Mapping[str, Any], facts: Sequence[Fact], records: Sequence[Record], scale: str
) -> Table | None:
    """Makes the table of baselines of one scale.

    Args:
        plan: title, and rows of a label and either a `baseline` that the task computes or a `condition` for records.
        facts: the published table whose columns it has.
        records: any records, in any order.

    Returns:
        the table; None where no record of that scale fits.
    """
    columns = columns_of(facts)
    known = sorted((record for record in records if record.scale == scale), key=lambda one: one.identity)
    fitting = [
        record for record in known for row in plan["rows"] if matches(record, row.get("condition", {"scale": ""}))
    ]
    if not fitting:
        return None
    notes = Notes()
    splits = sorted({shown_split(record) for record in fitting})
    marks = notes.mark([f"{' and '.join(splits)} split, best epoch; mean ± sample standard deviation over seeds"])
    rows: list[Row] = []
    for line in plan["rows"]:
        if "baseline" in line:
            rows.append(
                Row(line["label"], "published", _baseline_cells(line["baseline"], columns, fitting, notes), marks)
            )
        elif line["condition"].get("scale", scale) == scale:
            rows += _condition_rows(line, columns, known, notes)
    return Table(f"{plan['title']}, {scale}", (scale, *columns, "average"), tuple(rows), tuple(notes.texts))


def columns_of(facts: Sequence[Fact]) -> dict[str, Column]:
    """Returns the task and the metric of each column of a published table, averages and counts left out."""
    return {
        fact.column: (fact.condition["task"], fact.metric)
        for fact in facts
        if fact.metric not in DERIVED and fact.split is None and "task" in fact.condition
    }


def _baseline_cells(
    name: str, columns: Mapping[str, Column], records: Sequence[Record], notes: Notes
) -> tuple[Cell, ...]:
    cells = [
        baseline_cell(name, metric, [one for one in records if one.task == task], notes)
        for task, metric in columns.values()
    ]
    values = [cell.value for cell in cells if cell.value is not None]
    mean = sum(values) / len(values) if len(values) == len(columns) else None
    return (*cells, Cell() if mean is None else Cell(mean, f"{mean:.1f}"))


def baseline_cell(name: str, metric: str, records: Sequence[Record], notes: Notes | None = None) -> Cell:
    """Returns a baseline's score, which all records of one task on the same data must agree on."""
    found = {
        canonical(score): float(score)
        for record in records
        if (score := record.baselines.get(shown_split(record), {}).get(name, {}).get(metric)) is not None
    }
    if len(found) == 1:
        value = next(iter(found.values()))
        return Cell(value, f"{value:.1f}")
    if not found:
        return Cell(printed="-")
    marks = notes.mark([f"{name}: the records were made on different data"]) if notes else ()
    return Cell(printed="refused", marks=marks)


def _condition_rows(
    line: Mapping[str, Any], columns: Mapping[str, Column], records: Sequence[Record], notes: Notes
) -> list[Row]:
    fitting = [record for record in records if matches(record, line["condition"])]
    networks = sorted({record.network for record in fitting})
    if not networks:
        return [Row(line["label"], "ours", (Cell(printed="not run"), *[Cell()] * len(columns)))]
    rows = []
    for network in networks:
        results = [
            result([one for one in fitting if one.network == network and one.task == task], metric, None, 1)
            for task, metric in columns.values()
        ]
        counts = {one.cell.n for one in results if one.cell.n}
        same = counts.pop() if len(counts) == 1 else None
        seeds = set.intersection(*(set(one.scores) for one in results))
        means = [sum(one.scores[seed] for one in results) / len(results) for seed in sorted(seeds)]
        cells = [
            *(replace(one.cell, marks=notes.mark(one.notes)) for one in results),
            summary_cell(means, 1) if means else Cell(),
        ]
        label = f"{line['label']} ({network})" + (f", {seeds_said(same)}" if same else "")
        rows.append(Row(label, "ours", tuple(replace(cell, n=None if cell.n == same else cell.n) for cell in cells)))
    return rows
