"""The row that a command prints at its end: what it has just measured, beside what was published."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from repro.ledger.baselines import baseline_cell
from repro.ledger.match import alike, differences, fits, has, lookup
from repro.ledger.published import Fact, papers, published
from repro.ledger.tables import (
    DERIVED,
    Cell,
    Notes,
    Result,
    Row,
    Table,
    result,
    seconds_cell,
    summary_cell,
    trainable_cell,
)
from repro.records.record import Record

COLUMNS = ("published", "ours", "majority", "bag of words", "with overlap", "stands in", "trainable", "seconds")
_BASELINES = ("majority", "bag_of_words", "bag_of_words_overlap")


def run_row(records: Sequence[Record]) -> Table:
    """Makes the table of a command's own records: a row for each task (and paper, network, setting), seeds averaged.

    Args:
        records: what the command ran or found done, in any order; those that deviate are shown and marked.
    """
    notes = Notes()
    unique = {record.identity: record for record in records}
    sets: dict[tuple[str, ...], list[Record]] = {}
    for record in sorted(unique.values(), key=lambda one: (*_set(one), one.identity)):
        sets.setdefault(_set(record), []).append(record)
    rows = [row for own in sets.values() for row in _rows(own, notes, named=len(sets) > 1)]
    titles = sorted({f"{_name(record)} on {record.task.partition('/')[0]}" for record in records})
    scales = sorted({record.scale for record in records})
    return Table(f"{', '.join(titles)}; scale {', '.join(scales)}", ("task", *COLUMNS), tuple(rows), tuple(notes.texts))


def _name(record: Record) -> str:
    return record.paper if record.stage is None else f"{record.paper}/{record.stage}"


def _set(record: Record) -> tuple[str, ...]:
    """What has a row of averages together."""
    return _name(record), record.model, record.scale, record.network


def _rows(records: Sequence[Record], notes: Notes, *, named: bool) -> list[Row]:
    facts = _facts(records)
    order = {fact.condition["task"]: place for place, fact in reversed(list(enumerate(facts)))}
    groups = sorted(
        alike(records), key=lambda group: (order.get(group[0].task, len(order)), group[0].task, group[0].identity)
    )
    prefix = f"{_name(records[0])} " if named else ""
    rows: list[Row] = []
    results: dict[str, list[Result]] = {}
    for group in groups:
        task = group[0].task
        fact = next((fact for fact in facts if fact.condition["task"] == task), None)
        one = _result(group, fact)
        results.setdefault(task, []).append(one)
        settings = _settings(group[0], [other[0] for other in groups if other[0].task == task])
        rows.append(_row(prefix + task.rpartition("/")[2] + settings, group, one, fact, notes))
    if len(facts) > 1 and all(len(results.get(fact.condition["task"], ())) == 1 for fact in facts):
        rows.append(_average(prefix, facts, {task: found[0] for task, found in results.items()}, records))
    return rows


def _facts(records: Sequence[Record]) -> list[Fact]:
    """Returns the published row that a set of records is about, whatever they deviate in: one number a task.

    A paper's own tables come before those of papers that compare with it.
    """
    own = {record.paper for record in records}
    for paper in sorted(papers(), key=lambda name: (name not in own, name)):
        rows: dict[tuple[str, str], list[Fact]] = {}
        for fact in published(paper):
            if _single(fact):
                rows.setdefault((fact.table, fact.row), []).append(fact)
        for line in rows.values():
            if any(fits(record, fact.condition) for fact in line for record in records):
                return list({fact.condition["task"]: fact for fact in reversed(line)}.values())[::-1]
    return []


def _single(fact: Fact) -> bool:
    """Says whether one run can stand beside the number."""
    return fact.metric not in DERIVED and fact.split is None and "task" in fact.condition


def _settings(record: Record, others: Sequence[Record]) -> str:
    """Names the settings in which a record differs from the other rows of its task."""
    keys = [key for key in differences(others) if key.startswith("config.")] if len(others) > 1 else []
    return "".join(f" {key.removeprefix('config.')}={lookup(record, key)}" for key in keys[:2] if has(record, key))


def _result(group: Sequence[Record], fact: Fact | None) -> Result:
    metric = fact.metric if fact else next((name for scores in group[0].scores.values() for name in scores), "")
    return result(group, metric, None, max(1, fact.decimals) if fact else 1)


def _row(label: str, group: Sequence[Record], one: Result, fact: Fact | None, notes: Notes) -> Row:
    said = [f"scores: {one.shown}"] if one.shown else []
    said += one.notes
    if group[0].deviates:
        said.append(f"deviates from the recipe in {', '.join(group[0].deviates)}: enters no table")
    cell = one.cell
    shown = Cell(fact.value, fact.printed, fact.spread, None, notes.mark(fact.flags)) if fact else Cell(printed="-")
    ours = Cell(cell.value, cell.printed, cell.spread, cell.n if cell.n and cell.n > 1 else None, notes.mark(said))
    metric = fact.metric if fact else ""
    trivial = [baseline_cell(name, metric, group) for name in _BASELINES]
    network = Cell(printed="-" if group[0].network == group[0].model else group[0].network)
    return Row(label, "ours", (shown, ours, *trivial, network, trainable_cell(group), seconds_cell(group)))


def _average(prefix: str, facts: Sequence[Fact], results: Mapping[str, Result], records: Sequence[Record]) -> Row:
    whole = next(
        (
            fact
            for fact in published(facts[0].paper)
            if fact.metric == "average" and (fact.table, fact.row) == (facts[0].table, facts[0].row)
        ),
        None,
    )
    seeds = set.intersection(*(set(results[fact.condition["task"]].scores) for fact in facts))
    means = [sum(results[fact.condition["task"]].scores[seed] for fact in facts) / len(facts) for seed in sorted(seeds)]
    cell = summary_cell(means, max(1, facts[0].decimals))
    shown = Cell(whole.value, whole.printed, whole.spread) if whole else Cell(printed="-")
    ours = Cell(cell.value, cell.printed, cell.spread, cell.n if cell.n and cell.n > 1 else None)
    trivial = [
        _mean(
            [
                baseline_cell(name, fact.metric, [one for one in records if one.task == fact.condition["task"]])
                for fact in facts
            ]
        )
        for name in _BASELINES
    ]
    return Row(f"{prefix}average", "total", (shown, ours, *trivial, Cell(), Cell(), seconds_cell(records)))


def _mean(cells: Sequence[Cell]) -> Cell:
    values = [cell.value for cell in cells if cell.value is not None]
    if len(values) < len(cells):
        return Cell(printed="-")
    return Cell(sum(values) / len(values), f"{sum(values) / len(values):.1f}")
