"""What a paper studies beside its own tables, as results/PAPER/analyses.yaml describes it: numbers and their table.

An analysis is of a kind: "line" (a score against a number), "dots" (against words) or "heat" (grids of details). Each
is made for every scale and network that has a record of it, from the records that are there.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from repro import paths
from repro.errors import UserError, did_you_mean
from repro.ledger.claim_file import check_keys
from repro.ledger.match import check_alike, matches
from repro.ledger.published import about, published
from repro.ledger.tables import SCALES, Cell, Notes, Result, Row, Table, number_of, result, summary_cell, trainable_cell
from repro.records.record import Record

KINDS = ("line", "dots", "heat")
_NEEDED = ("name", "title", "kind", "tasks", "commands")
_PLAN = (*_NEEDED, "condition", "lines", "points", "x", "y", "published", "decimals", "panels", "places", "note")
_LINE = ("label", "condition", "points", "metric", "published")
_POINT = ("at", "label", "condition", "published")
_PANEL = ("label", "grid")
Grid = list[list[float]]


@dataclass(frozen=True)
class Spot:
    """A point of a line.

    Attributes:
        line: the label of its line.
        label: its own.
        at: where it stands; None where a measure that no record has says so.
        results: by task, what the records say.
        published: the number that the paper has there.
    """

    line: str
    label: str
    at: float | None
    results: Mapping[str, Result]
    published: Cell

    @property
    def name(self) -> str:
        """Of its row in a table."""
        return ", ".join(word for word in (self.line, self.label) if word)

    @property
    def run(self) -> bool:
        """Whether a record says anything of it."""
        return any(one.scores for one in self.results.values())


@dataclass(frozen=True)
class Panel:
    """A grid of a heat map: the mean over some seeds, and each one's."""

    task: str
    label: str
    grids: Mapping[int, Grid]
    records: tuple[str, ...]
    refused: str = ""

    @property
    def mean(self) -> Grid:
        """The mean over the seeds, place by place."""
        every = list(self.grids.values())
        return [[sum(places) / len(every) for places in zip(*rows, strict=True)] for rows in zip(*every, strict=True)]


@dataclass(frozen=True)
class Analysis:
    """An analysis at one scale, on one network.

    Attributes:
        plan: as it is described.
        spots: of lines and dots.
        panels: of heat maps.
        table: the numbers.
    """

    plan: Mapping[str, Any]
    scale: str
    network: str
    spots: tuple[Spot, ...]
    panels: tuple[Panel, ...]
    table: Table

    @property
    def name(self) -> str:
        return f"{self.plan['name']}-{self.scale}-{self.network.replace('/', '-')}"

    @property
    def says_something(self) -> bool:
        """Whether there is a map, or more than one point to compare."""
        return bool(self.panels) or sum(spot.run for spot in self.spots) > 1


def plans(paper: str) -> list[Mapping[str, Any]]:
    """Reads the analyses of a paper; none where it has none.

    Raises:
        UserError: one of them is broken; file and name are said.
    """
    file, listed = paths.FACTS / paper / "analyses.yaml", about(paper, "analyses") or []
    if not isinstance(listed, list):
        raise UserError(f"{file} holds no list of analyses", "it ships with the project: restore it")
    for plan in listed:
        where = f"{file}: {plan.get('name') if isinstance(plan, Mapping) else plan}"
        check_keys(plan, _NEEDED, _PLAN, where)
        if plan["kind"] not in KINDS:
            raise UserError(f"{where} has the kind {plan['kind']}", did_you_mean(str(plan["kind"]), KINDS))
        for panel in plan.get("panels", ()):
            check_keys(panel, _PANEL, _PANEL, where)
        for line in plan.get("lines", ()):
            check_keys(line, ("label",), _LINE, where)
            for point in line.get("points", plan.get("points", ())):
                check_keys(point, (), _POINT, where)
    return listed


def conditions(plan: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Returns what is asked of the records of each point, or of each map, by task."""
    common = [plan.get("condition", {})]
    if plan["kind"] != "heat":
        common = [_condition(plan, line, point) for line in plan["lines"] for point in _points(plan, line)]
    return [{**one, "task": task} for one in common for task in plan["tasks"]]


def _points(plan: Mapping[str, Any], line: Mapping[str, Any]) -> Sequence[Mapping[str, Any]]:
    return line.get("points") or plan.get("points") or [{}]


def _condition(plan: Mapping[str, Any], line: Mapping[str, Any], point: Mapping[str, Any]) -> dict[str, Any]:
    return {**plan.get("condition", {}), **line.get("condition", {}), **point.get("condition", {})}


def analyses(paper: str, records: Sequence[Record], scale: str | None = None) -> tuple[list[Analysis], list[str]]:
    """Makes the analyses of a paper.

    Args:
        records: any records, in any order.
        scale: only at this one.

    Returns:
        those that have a record, in the order of the file and of the scales; and the names of those that have none.
    """
    found, silent = [], []
    for plan in plans(paper):
        wanted: dict[tuple[str | None, ...], list[dict[str, Any]]] = {}
        for condition in conditions(plan):
            wanted.setdefault(tuple(condition.get(key) for key in ("paper", "stage", "task")), []).append(condition)
        fitting = [
            one
            for one in records
            if any(matches(one, condition) for condition in wanted.get((one.paper, one.stage, one.task), ()))
        ]
        places = {(one.scale, one.network) for one in fitting if scale in (None, one.scale)}
        made = []
        for place in sorted(places, key=lambda place: (SCALES.index(place[0]), place[1])):
            own = [one for one in fitting if (one.scale, one.network) == place]
            made.append((_heat if plan["kind"] == "heat" else _lines)(paper, plan, own, *place))
        made = [one for one in made if one.says_something]
        silent += [] if made else [plan["name"]]
        found += made
    return found, silent


def _lines(paper: str, plan: Mapping[str, Any], records: Sequence[Record], scale: str, network: str) -> Analysis:
    spots = tuple(_spot(paper, plan, line, point, records) for line in plan["lines"] for point in _points(plan, line))
    notes = Notes()
    run = [spot for spot in spots if any(one.records for one in spot.results.values())]
    shown = any(spot.published.printed for spot in run)
    trains = any(one.measures.get("trainable_parameters") for one in records)
    rows = []
    for spot in run:
        cells = [_cell(one, notes) for one in spot.results.values()]
        learns = [trainable_cell([one for own in spot.results.values() for one in own.records])] if trains else []
        rows.append(Row(spot.name, "ours", (*([spot.published] if shown else []), *cells, *learns)))
    heads = [_head(task, metric) for task, metric in plan["tasks"].items()]
    columns = (scale, *(["published"] if shown else []), *heads, *(["trainable"] if trains else []))
    missing = [spot.name for spot in spots if spot not in run]
    return Analysis(plan, scale, network, spots, (), _table(plan, scale, network, columns, rows, notes, missing))


def _spot(
    paper: str, plan: Mapping[str, Any], line: Mapping[str, Any], point: Mapping[str, Any], records: Sequence[Record]
) -> Spot:
    condition = _condition(plan, line, point)
    results = {}
    for task, metric in plan["tasks"].items():
        own = [one for one in records if matches(one, {**condition, "task": task})]
        results[task] = result(own, line.get("metric", metric), None, plan.get("decimals", 1))
    at = point.get("at")
    if measure := plan.get("x", {}).get("measure"):
        values = [number_of(one, measure) for own in results.values() for one in own.records]
        values = [value for value in values if value is not None]
        at = sum(values) / len(values) if values else None
    label = point.get("label", "" if point.get("at") is None else str(point["at"]))
    if prefix := plan.get("x", {}).get("sign"):
        label = f"{prefix}{label}"
    places = [one.get("published", {}) for one in (plan, line, point)]
    place = {} if None in places else {key: name for one in places for key, name in one.items()}
    number = at if isinstance(at, int | float) else None
    return Spot(line["label"], label, number, results, _published(paper, place, point.get("at")))


def _published(paper: str, place: Mapping[str, str], at: Any) -> Cell:
    """Returns the paper's own number, where one is named: table, row (with {at} for the point) and column."""
    if not {"table", "row", "column"} <= place.keys():
        return Cell()
    row, column = (place[key].replace("{at}", str(at)) for key in ("row", "column"))
    for fact in published(paper):
        if (fact.table, fact.row, fact.column) == (place["table"], row, column):
            return Cell(fact.value, fact.printed, fact.spread)
    raise UserError(
        f"{paths.FACTS / paper / 'analyses.yaml'}: {place['table']} has no {row}, {column}", "see published.csv"
    )


def _cell(one: Result, notes: Notes) -> Cell:
    if not one.records:
        return Cell(printed="not run")
    said = [f"{one.shown}; mean ± sample standard deviation (seeds)"] if one.shown else []
    return replace(one.cell, marks=notes.mark([*said, *one.notes]))


def _head(task: str, metric: str | None) -> str:
    name = task.rpartition("/")[2]
    return f"{name} {metric}" if metric else name


def _table(
    plan: Mapping[str, Any],
    scale: str,
    network: str,
    columns: Sequence[str],
    rows: Sequence[Row],
    notes: Notes,
    missing: Sequence[str],
) -> Table:
    place = "" if scale == SCALES[0] else f" scale={scale} network={network}"
    below = [plan["note"]] if "note" in plan else []
    below += [f"Not run: {'; '.join(missing)}."] if missing else []
    below += [f"`{command}{place}`" for command in plan["commands"]]
    return Table(f"{plan['title']}: {scale} ({network})", tuple(columns), tuple(rows), tuple(notes.texts), tuple(below))


def _heat(paper: str, plan: Mapping[str, Any], records: Sequence[Record], scale: str, network: str) -> Analysis:
    panels, rows, notes = [], [], Notes()
    for task in plan["tasks"]:
        own = sorted((one for one in records if one.task == task), key=lambda one: (one.seed, one.identity))
        for panel in plan["panels"]:
            panels.append(_panel(task, panel, own))
    for panel in (panel for panel in panels if panel.records):
        cells = [_place(panel, i, j, plan.get("decimals", 2), notes) for i, j in plan["places"]]
        rows.append(Row(f"{_head(panel.task, None)}, {panel.label}", "ours", tuple(cells)))
    columns = (scale, *(f"i={i}, j={j}" for i, j in plan["places"]))
    kept = tuple(panel for panel in panels if panel.grids)
    missing = [_head(task, None) for task in plan["tasks"] if not any(one.task == task for one in records)]
    return Analysis(plan, scale, network, (), kept, _table(plan, scale, network, columns, rows, notes, missing))


def _panel(task: str, panel: Mapping[str, str], records: Sequence[Record]) -> Panel:
    identities = tuple(one.identity for one in records)
    try:
        check_alike(records)
    except UserError as error:
        return Panel(task, panel["label"], {}, identities, str(error))
    grids = {one.seed: grid for one in records if (grid := _grid(one, panel["grid"])) is not None}
    return Panel(task, panel["label"], grids, identities)


def _grid(record: Record, name: str) -> Grid | None:
    found: Any = record.details
    for key in name.split("."):
        found = found.get(key) if isinstance(found, Mapping) else None
    return found


def _place(panel: Panel, i: int, j: int, decimals: int, notes: Notes) -> Cell:
    if panel.refused:
        return Cell(printed="refused", marks=notes.mark([panel.refused]))
    values = [grid[i - 1][j - 1] for grid in panel.grids.values() if i <= len(grid) and j <= len(grid[0])]
    if not values:
        return Cell(printed="-")
    return replace(summary_cell(values, decimals), records=panel.records)


def points_run(analysis: Analysis) -> tuple[int, int]:
    """Returns how many points, or maps, have a record, and how many there are."""
    if analysis.spots:
        every = [one for spot in analysis.spots for one in spot.results.values()]
        return sum(bool(one.scores) for one in every), len(every)
    return len(analysis.panels), len(analysis.plan["panels"]) * len(analysis.plan["tasks"])


def spread(scores: Mapping[int, float]) -> tuple[float, float]:
    """Returns the mean and the sample standard deviation of the seeds, 0 for one."""
    values = list(scores.values())
    mean = math.fsum(values) / len(values)
    if len(values) < 2:
        return mean, 0.0
    return mean, math.sqrt(math.fsum((value - mean) ** 2 for value in values) / (len(values) - 1))
