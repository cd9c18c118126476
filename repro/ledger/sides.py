"""The two sides of a contrast: which records each is, and what they say seed by seed."""

from __future__ import annotations

import functools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from repro.errors import UserError, did_you_mean
from repro.ledger.match import check_alike, matches
from repro.ledger.published import Fact, published
from repro.ledger.tables import averaged, number_of
from repro.records.canonical import canonical
from repro.records.record import Record


@dataclass(frozen=True)
class Wanted:
    """What is asked of records: which ones, and which of their numbers."""

    condition: Mapping[str, Any]
    metric: str
    split: str | None = None

    @functools.cached_property
    def name(self) -> str:
        """One spelling for equal wishes."""
        return canonical([self.condition, self.metric, self.split])


@dataclass(frozen=True)
class Side:
    """A side of a contrast: a number by itself, or what is wanted of records, by column; less another, if given."""

    columns: Mapping[str, Wanted] = field(default_factory=dict)
    constant: float | None = None
    minus: Side | None = None

    def wanted(self) -> list[Wanted]:
        """Returns all that it asks of records."""
        return [*self.columns.values(), *(self.minus.wanted() if self.minus else [])]


@dataclass(frozen=True)
class Values:
    """What the records of one side say in one column.

    Attributes:
        by_seed: the numbers.
        data: by seed, the digests of the data behind them.
        records: those that were used.
        refused: why they may not be averaged; empty where they may.
    """

    by_seed: Mapping[int, float]
    data: Mapping[int, frozenset[str]]
    records: tuple[Record, ...] = ()
    refused: str = ""


class Known:
    """Records by paper and task, so that a condition need not be held against all of them, nor twice."""

    def __init__(self, records: Sequence[Record]) -> None:
        self._by_place: dict[tuple[str, str], list[Record]] = {}
        self._fitting: dict[str, list[Record]] = {}
        self._values: dict[tuple[str, str, str], Values] = {}
        for record in sorted(records, key=lambda one: one.identity):
            self._by_place.setdefault((record.paper, record.task), []).append(record)
            suite = record.task.partition("/")[0]
            if suite != record.task:
                self._by_place.setdefault((record.paper, suite), []).append(record)

    def fitting(self, wanted: Wanted) -> list[Record]:
        """Returns the records that may stand for what is wanted and have the number."""
        if wanted.name not in self._fitting:
            place = (wanted.condition.get("paper", ""), wanted.condition.get("task", ""))
            self._fitting[wanted.name] = [
                record
                for record in self._by_place.get(place, ())
                if matches(record, wanted.condition) and number_of(record, wanted.metric, wanted.split) is not None
            ]
        return self._fitting[wanted.name]

    def values(self, wanted: Wanted, scale: str, network: str) -> Values:
        """Returns what the records of one scale and network say; an empty network stands for any."""
        place = (wanted.name, scale, network)
        if place not in self._values:
            self._values[place] = _values(
                wanted, [one for one in self.fitting(wanted) if one.scale == scale and network in ("", one.network)]
            )
        return self._values[place]


def _values(wanted: Wanted, found: Sequence[Record]) -> Values:
    try:
        check_alike(found)
    except UserError as error:
        return Values({}, {}, tuple(found), str(error))
    return Values(
        {one.seed: number_of(one, wanted.metric, wanted.split) or 0.0 for one in found},
        {one.seed: frozenset(str(split.get("digest")) for split in one.data.values()) for one in found},
        tuple(found),
    )


def side(spec: Any, test: Mapping[str, Any], paper: str) -> Side:
    """Resolves one side of a test.

    Args:
        spec: a row's label, of the test's table; or {row, table, column, minus}; or {condition, tasks, minus}, where
            the tasks are by default the test's; or {constant}. `minus` names a side that is taken from this one.
        test: the whole test: table, column or average_of or each_of or share_of; condition, tasks and their metrics.

    Raises:
        UserError: the row, table or column is missing.
    """
    spec = spec if isinstance(spec, Mapping) else {"row": spec}
    if "constant" in spec:
        return Side(constant=float(spec["constant"]))
    minus = (
        side(spec["minus"], {**test, **{key: spec[key] for key in ("column",) if key in spec}}, paper)
        if "minus" in spec
        else None
    )
    if "condition" in spec:
        tasks = spec.get("tasks") or test.get("tasks")
        if not tasks:
            raise UserError(f"the side {dict(spec)} names no task", "give tasks: {TASK: METRIC}")
        common = {**test.get("condition", {}), **spec["condition"]}
        return Side({task: Wanted({**common, "task": task}, metric) for task, metric in tasks.items()}, minus=minus)
    label, table = spec.get("row"), spec.get("table", test.get("table"))
    facts = [fact for fact in published(paper) if fact.table == table]
    if not facts:
        raise UserError(
            f"there is no table {table}", did_you_mean(str(table), {fact.table for fact in published(paper)})
        )
    line = {fact.column: fact for fact in facts if fact.row == label}
    if not line:
        raise UserError(f"{table} has no row {label}", did_you_mean(str(label), {fact.row for fact in facts}))
    names = [spec["column"]] if "column" in spec else _columns(test, line)
    return Side({name: _of_fact(name, line, f"{table}, {label}") for name in names}, minus=minus)


def _columns(test: Mapping[str, Any], line: Mapping[str, Fact]) -> list[str]:
    for key in ("average_of", "each_of", "share_of"):
        if key in test:
            return list(test[key])
    column = test.get("column")
    return averaged(line) if column in line and line[column].metric == "average" else [column]


def _of_fact(name: str, line: Mapping[str, Fact], place: str) -> Wanted:
    if name not in line:
        raise UserError(f"{place} has no column {name}", did_you_mean(str(name), line))
    return Wanted(line[name].condition, line[name].metric, line[name].split)


def less(one: Values, other: Values) -> Values:
    """Returns one less the other, seed by seed."""
    seeds = sorted(one.by_seed.keys() & other.by_seed.keys())
    return Values(
        {seed: one.by_seed[seed] - other.by_seed[seed] for seed in seeds},
        {seed: one.data[seed] | other.data[seed] for seed in seeds},
        (*one.records, *other.records),
        one.refused or other.refused,
    )
