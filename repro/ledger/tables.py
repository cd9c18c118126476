"""Tables: what a paper printed, and below each row what our records say. One structure for every renderer."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from repro.errors import UserError
from repro.ledger.match import check_alike, matches
from repro.ledger.power import power_lines
from repro.ledger.published import Fact
from repro.ledger.statistics import summarise
from repro.records.record import Record

SCALES = ("tiny", "local", "paper")
DERIVED = ("average", "trainable_parameters")
NOT_AVERAGED = (*DERIVED, "perplexity", "bits_per_token", "seconds", "milliseconds", "joules", "picojoules")
"""Metrics that stand beside a row's average, not in it."""
SPEED = "tokens_per_second"
"""Of training: read off tokens and seconds, unless a run measured it."""


@dataclass(frozen=True)
class Cell:
    """One place of a table.

    Attributes:
        value: the number, in points where it is a score; None where there is none.
        printed: how it is shown.
        spread: how its spread is shown; empty where there is none.
        n: how many seeds are behind it, where that is not said in the row's label.
        marks: numbers of the notes that belong to it.
        records: identities of the records that it was made from.
    """

    value: float | None = None
    printed: str = ""
    spread: str = ""
    n: int | None = None
    marks: tuple[int, ...] = ()
    records: tuple[str, ...] = ()


@dataclass(frozen=True)
class Row:
    """A line of a table: kind is "published", "ours" or "total"."""

    label: str
    kind: str
    cells: tuple[Cell, ...]
    marks: tuple[int, ...] = ()


@dataclass(frozen=True)
class Table:
    """A table: the first column holds the labels of the rows and has the first heading.

    Attributes:
        notes: what its marks stand for, in the order of their numbers.
        below: lines under it that belong to the whole.
    """

    title: str
    columns: tuple[str, ...]
    rows: tuple[Row, ...]
    notes: tuple[str, ...]
    below: tuple[str, ...] = ()


@dataclass(frozen=True)
class OurRow:
    """A row of ours, where it was run, and its scores by column and seed."""

    scale: str
    network: str
    row: Row
    scores: Mapping[str, Mapping[int, float]]


@dataclass
class Notes:
    """Numbers notes in the order in which they are first needed."""

    texts: list[str] = field(default_factory=list)

    def mark(self, texts: Iterable[str]) -> tuple[int, ...]:
        """Returns the numbers of the notes, adding those that are new."""
        for text in (texts := list(texts)):
            if text not in self.texts:
                self.texts.append(text)
        return tuple(sorted({self.texts.index(text) + 1 for text in texts}))


@dataclass(frozen=True)
class Result:
    """What the records of one cell say: a summary's cell, the scores by seed, and what must be said of them."""

    cell: Cell
    scores: Mapping[int, float]
    records: tuple[Record, ...] = ()
    notes: tuple[str, ...] = ()
    shown: str = ""


def score(record: Record, metric: str, split: str | None = None) -> tuple[float | None, str, str]:
    """Returns the score that a table shows: test before validation, the best epoch before the last.

    Returns:
        the score (None where the record has none, or it diverged), the split, the epoch.
    """
    splits = [split] if split else ["test", "validation"]
    for name, epoch in itertools.product(splits, ("best", "last")):
        found = record.scores.get(f"{name}-{epoch}")
        if found is not None and metric in found:
            return found[metric], name, epoch
    return None, splits[-1], "best"


def number_of(record: Record, metric: str, split: str | None = None) -> float | None:
    """Returns a record's number: a score, whether it diverged, a measure (parameters without the head), its speed."""
    if metric == "diverged":
        return float(record.diverged)
    if metric in record.measures:
        value = record.measures[metric]
        head = (record.measures.get("head_parameters") or 0) if metric == "trainable_parameters" else 0
        return None if value is None or isinstance(value, str) else value - head
    if metric == SPEED:
        return _tokens_per_second(record)
    return score(record, metric, split)[0]


def _tokens_per_second(record: Record) -> float | None:
    """Returns the tokens trained on, padding not counted, by the seconds of the steps; older records have those of all
    of training, validation included.
    """
    measures = record.measures
    tokens, seconds = measures.get("tokens"), measures.get("step_seconds") or measures.get("train_seconds")
    return tokens / seconds if tokens and seconds else None


def shown_split(record: Record) -> str:
    """Returns the split that a table shows of a record."""
    return "test" if any(name.startswith("test-") for name in record.scores) else "validation"


def result(records: Sequence[Record], metric: str, split: str | None, decimals: int) -> Result:
    """Summarises records over their seeds; records that may not be averaged are refused, which a note says."""
    ordered = tuple(sorted(records, key=lambda one: (one.seed, one.identity)))
    try:
        check_alike(ordered)
    except UserError as error:
        return Result(Cell(printed="refused"), {}, ordered, (str(error),))
    read = [(one, *_shown(one, metric, split)) for one in ordered]
    scores = {one.seed: value for one, value, _ in read if value is not None}
    notes = sorted({note for one in ordered for note in one.notes})
    diverged = sum(one.diverged for one in ordered)
    if diverged:
        notes.append(f"{diverged} of {len(ordered)} diverged")
    shown = sorted({where for _, value, where in read if value is not None and where})
    cell = replace(summary_cell(scores.values(), decimals), records=tuple(one.identity for one in ordered))
    return Result(cell, scores, ordered, tuple(notes), " and ".join(shown))


def _shown(record: Record, metric: str, split: str | None) -> tuple[float | None, str]:
    """Returns the number that a table shows, and where a score is from; a measure needs no such word."""
    if metric in record.measures or metric == SPEED:
        return number_of(record, metric), ""
    value, name, epoch = score(record, metric, split)
    return value, f"{name} split, {epoch} epoch"


def summary_cell(values: Iterable[float], decimals: int) -> Cell:
    """Returns the cell of some seeds' values: mean, sample standard deviation, number of seeds."""
    if not (values := list(values)):
        return Cell(printed="-")
    summary = summarise(values)
    spread = "" if summary.deviation is None else f"{summary.deviation:.{decimals}f}"
    return Cell(summary.mean, f"{summary.mean:.{decimals}f}", spread, summary.n)


def paper_table(
    title: str,
    facts: Sequence[Fact],
    records: Sequence[Record],
    *,
    scale: str | None = None,
    only_run: bool = False,
    problems: list[UserError] | None = None,
) -> Table:
    """Makes one published table, with a row of ours below each published one for every scale and network.

    Args:
        facts: the published numbers of one table, in the order of the paper.
        records: any records, in any order.
        scale: show only this scale's records.
        only_run: leave out the published rows that nothing was run for.
        problems: a list that takes the records that fit two rows, which are left out.
    """
    notes = Notes()
    columns = [name for name in dict.fromkeys(fact.column for fact in facts) if name != "trainable"]
    lines: dict[str, dict[str, Fact]] = {}
    for fact in facts:
        lines.setdefault(fact.row, {})[fact.column] = fact
    fitting = _one_row_each(lines, [one for one in records if scale in (None, one.scale)], problems)
    rows: list[Row] = []
    every: list[OurRow] = []
    for label, line in lines.items():
        ours = _ours(line, columns, fitting.get(label, {}), notes_of_row := Notes())
        if ours or not only_run:
            rows.append(_published_row(label, line, columns, notes, run=bool(ours)))
            rows += [_renumber(one.row, notes_of_row, notes) for one in ours]
            every += ours
    return Table(
        title,
        (facts[0].table if facts else "", *columns, "trainable", "seconds", "memory"),
        tuple(rows),
        tuple(notes.texts),
        tuple(_power(every, columns)),
    )


def _power(rows: Sequence[OurRow], columns: Sequence[str]) -> list[str]:
    """Returns the lines on what the seeds could see, for each scale and network."""
    places = dict.fromkeys((one.scale, one.network) for one in rows)
    return [
        line
        for place in sorted(places, key=lambda place: (_rank(place[0]), place))
        for line in power_lines(
            f"{place[0]} ({place[1]})", [one.scores for one in rows if (one.scale, one.network) == place], columns
        )
    ]


Fitting = dict[str, dict[str, list[Record]]]
"""By row, by column: the records that fit."""


def _one_row_each(
    lines: Mapping[str, Mapping[str, Fact]], records: Sequence[Record], problems: list[UserError] | None
) -> Fitting:
    """Finds the records of each row and column; one that fits two rows of a column is named and left out."""
    by_task = _by_paper_and_task(records)
    found: Fitting = {}
    rows_of: dict[tuple[str, str], list[str]] = {}
    for label, line in lines.items():
        for column, fact in line.items():
            if fact.metric in DERIVED or "task" not in fact.condition:
                continue
            for record in by_task.get((fact.condition.get("paper", ""), fact.condition["task"]), ()):
                if matches(record, fact.condition) and (
                    record.diverged or number_of(record, fact.metric, fact.split) is not None
                ):
                    found.setdefault(label, {}).setdefault(column, []).append(record)
                    rows_of.setdefault((record.identity, column), []).append(label)
    for (identity, column), labels in rows_of.items():
        if len(labels) > 1 and not _of_one_run([lines[label][column] for label in labels]):
            _leave_out(found, identity, column, labels, next(iter(lines[labels[0]].values())), problems)
    return found


def _of_one_run(facts: Sequence[Fact]) -> bool:
    """Says whether rows hold different numbers of the same runs, and so do not compete for them."""
    metrics = {fact.metric for fact in facts}
    return len(metrics) > 1 and all(fact.condition == facts[0].condition for fact in facts)


def _leave_out(
    found: Fitting, identity: str, column: str, labels: Sequence[str], fact: Fact, problems: list[UserError] | None
) -> None:
    record = next(one for one in found[labels[0]][column] if one.identity == identity)
    for label in labels:
        found[label][column] = [one for one in found[label][column] if one.identity != identity]
    problem = UserError(
        f"{record.path or identity} fits {len(labels)} rows of {fact.table}: {' and '.join(labels)}",
        f"make their conditions in results/{fact.paper}/published.csv tell them apart",
    )
    if problems is not None and str(problem) not in {str(one) for one in problems}:
        problems.append(problem)


def _renumber(row: Row, own: Notes, notes: Notes) -> Row:
    """Gives a row's notes the numbers of the whole table, so that they count up from its top."""

    def numbers(marks: tuple[int, ...]) -> tuple[int, ...]:
        return notes.mark(own.texts[mark - 1] for mark in marks)

    marks = numbers(row.marks)
    cells = tuple(replace(one, marks=numbers(one.marks)) for one in row.cells)
    return Row(row.label, row.kind, cells, marks)


def _by_paper_and_task(records: Iterable[Record]) -> dict[tuple[str, str], list[Record]]:
    found: dict[tuple[str, str], list[Record]] = {}
    for record in sorted(records, key=lambda one: one.identity):
        found.setdefault((record.paper, record.task), []).append(record)
    return found


def _published_row(label: str, line: Mapping[str, Fact], columns: Sequence[str], notes: Notes, *, run: bool) -> Row:
    common = [flag for flag in next(iter(line.values())).flags if all(flag in fact.flags for fact in line.values())]
    marks = notes.mark(common)
    cells = [_published_cell(line.get(column), common, notes) for column in [*columns, "trainable"]]
    return Row(label, "published", (*cells, Cell(printed="" if run else "not run"), Cell()), marks)


def _published_cell(fact: Fact | None, common: Sequence[str], notes: Notes) -> Cell:
    if fact is None:
        return Cell()
    return Cell(
        fact.value, fact.printed, fact.spread, None, notes.mark(flag for flag in fact.flags if flag not in common)
    )


def _ours(
    line: Mapping[str, Fact], columns: Sequence[str], fitting: Mapping[str, Sequence[Record]], notes: Notes
) -> list[OurRow]:
    """Returns the rows of ours for one published row: one for each scale and network that has records."""
    found: dict[tuple[int, str, str], dict[str, list[Record]]] = {}
    for column in columns:
        for record in fitting.get(column, ()):
            place = (_rank(record.scale), record.scale, record.network)
            found.setdefault(place, {}).setdefault(column, []).append(record)
    return [
        _our_row(scale, network, found[place], line, columns, notes)
        for place in sorted(found)
        for _, scale, network in [place]
    ]


def _rank(scale: str) -> int:
    return SCALES.index(scale) if scale in SCALES else len(SCALES)


def _our_row(
    scale: str,
    network: str,
    records: Mapping[str, list[Record]],
    line: Mapping[str, Fact],
    columns: Sequence[str],
    notes: Notes,
) -> OurRow:
    results = {
        column: result(found, line[column].metric, line[column].split, max(1, line[column].decimals))
        for column, found in records.items()
    }
    counts = sorted({len(one.scores) for one in results.values() if one.scores})
    same = counts[0] if len(counts) == 1 else None
    common = _common([one.notes for one in results.values()])
    used = [record for one in results.values() for record in one.records]
    unique = list({record.identity: record for record in used}.values())
    marks = notes.mark([*_row_notes(results, unique, scale, network), *common])
    cells: list[Cell] = []
    scores = {column: one.scores for column, one in results.items()}
    for column in columns:
        if column in results:
            one = results[column]
            own = notes.mark(note for note in one.notes if note not in common)
            cells.append(replace(one.cell, n=None if same else one.cell.n, marks=own))
        elif column in line and line[column].metric == "average":
            cell, scores[column] = _average(results, line, max(1, line[column].decimals), same)
            cells.append(cell)
        else:
            cells.append(Cell())
    label = f"ours, {scale} ({network})" + (f", {seeds_said(same)}" if same else "")
    measured = (trainable_cell(unique), seconds_cell(unique), memory_cell(unique))
    return OurRow(scale, network, Row(label, "ours", (*cells, *measured), marks), scores)


def _common(notes: Sequence[Sequence[str]]) -> list[str]:
    """Returns the notes that all of several cells have."""
    return [note for note in notes[0] if all(note in other for other in notes)]


def seeds_said(n: int) -> str:
    """Returns "1 seed" or "5 seeds"."""
    return "1 seed" if n == 1 else f"{n} seeds"


def _row_notes(results: Mapping[str, Result], records: Sequence[Record], scale: str, network: str) -> list[str]:
    models = sorted({record.model for record in records})
    found = [] if scale == "paper" else [f"{network} stands in for {', '.join(models)}"]
    shown: dict[str, list[str]] = {}
    for column, one in results.items():
        if one.shown:
            shown.setdefault(one.shown, []).append(column)
    if len(shown) == 1:
        found.append(f"scores: {next(iter(shown))}; mean ± sample standard deviation over seeds")
    else:
        found += [
            f"scores of {', '.join(names)}: {what}; mean ± sample standard deviation over seeds"
            for what, names in shown.items()
        ]
    heads = sorted({int(record.measures.get("head_parameters") or 0) for record in records} - {0})
    if heads:
        found.append(f"trainable: without the head, as the paper counts; the head has {_range(heads)} more")
    return found


def _average(
    results: Mapping[str, Result], line: Mapping[str, Fact], decimals: int, same: int | None
) -> tuple[Cell, dict[int, float]]:
    """Averages over tasks seed by seed; empty unless every task of the row is there. A task's first column counts."""
    needed = averaged(line)
    if any(column not in results for column in needed):
        return Cell(), {}
    seeds = set.intersection(*(set(results[column].scores) for column in needed)) if needed else set()
    means = {seed: sum(results[column].scores[seed] for column in needed) / len(needed) for seed in sorted(seeds)}
    if not means:
        return Cell(), {}
    cell = summary_cell(means.values(), decimals)
    used = tuple(record.identity for column in needed for record in results[column].records)
    return replace(cell, n=None if cell.n == same else cell.n, records=used), means


def averaged(line: Mapping[str, Fact]) -> list[str]:
    """Returns the columns that a row's average is over: of each task the first that is shown by itself."""
    tasks: dict[str, str] = {}
    for column, fact in line.items():
        if fact.metric not in NOT_AVERAGED and "task" in fact.condition:
            tasks.setdefault(fact.condition["task"], column)
    return list(tasks.values())


def trainable_cell(records: Sequence[Record]) -> Cell:
    """Returns the trainable parameters without the head."""
    counts = sorted(
        {
            int(record.measures["trainable_parameters"]) - int(record.measures.get("head_parameters") or 0)
            for record in records
            if record.measures.get("trainable_parameters") is not None
        }
    )
    return Cell(float(counts[-1]), _range(counts)) if counts else Cell()


def seconds_cell(records: Sequence[Record]) -> Cell:
    """Returns the seconds of all the runs together."""
    seconds = sum(sorted(record.measures.get("seconds") or 0.0 for record in records))
    return Cell(seconds, f"{seconds:,.0f}")


def memory_cell(records: Sequence[Record]) -> Cell:
    """Returns the largest peak memory of the runs: of the process, or of the GPU where there is one."""
    largest = max((record.measures.get("peak_memory_bytes") or 0 for record in records), default=0)
    return Cell(float(largest), f"{largest / 1e6:,.0f} MB") if largest else Cell()


def _range(counts: Sequence[int]) -> str:
    few, many = count(counts[0]), count(counts[-1])
    return few if few == many else f"{few} to {many}"


def count(number: int) -> str:
    """Returns a number of parameters, shortly: 1,234 is 1.2K, 124,645,632 is 124.6M."""
    for unit, size in (("B", 1e9), ("M", 1e6), ("K", 1e3)):
        if number >= size:
            return f"{number / size:.1f}{unit}"
    return str(number)


def table_facts(facts: Iterable[Fact]) -> dict[str, list[Fact]]:
    """Parts a paper's published numbers by table, in the order of the paper."""
    found: dict[str, list[Fact]] = {}
    for fact in facts:
        found.setdefault(fact.table, []).append(fact)
    return found


def describe(about: Mapping[str, Any] | None, table: str, facts: Sequence[Fact]) -> str:
    """Returns a table's title: its place in the paper and what it shows."""
    words = (about or {}).get(table, {}).get("title", "")
    kinds = " or ".join(dict.fromkeys(fact.spread_kind for fact in facts if fact.spread_kind))
    return facts[0].place + (f": {words}" if words else "") + (f" (published ±: {kinds})" if kinds else "")
