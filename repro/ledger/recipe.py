"""A cell's hyper-parameters: what the paper prints, what its released code has, what is used here.

The facts are results/PAPER/recipes.yaml: entries with a place and a source, each about the cells that fit its
condition, with values by the keys of our configuration.
"""

from __future__ import annotations

import textwrap
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from repro import paths
from repro.errors import UserError, did_you_mean
from repro.ledger.published import about
from repro.ledger.render import raised
from repro.ledger.tables import Notes
from repro.records.canonical import canonical

FILE = "recipes"
SIDES = ("paper", "code")
HEADS = {
    "conflict": "paper and released code disagree",
    "departs": "here it is not as published",
    "rest": "all else",
}
NO_SETTING = "no setting"
_NEEDED = {"id", "says", "place", "source", "condition", "values"}
_KNOWN = _NEEDED | {"gpus", "notes", "also"}


@dataclass(frozen=True)
class Entry:
    """One table or script that says something of hyper-parameters.

    Attributes:
        id: the published table, or the script's short name.
        says: "paper" or "code".
        place: where it stands.
        source: the version of the paper or of the code.
        condition: what a cell must be: paper, model and task (a suite stands for its tasks; a list for any of it), and
            dotted keys of its configuration after "config." (null: the key is absent).
        values: by key, for all tasks or by the task's name.
        gpus: on how many GPUs each the batch is meant; all or by the task's name.
        notes: a sentence by key, or by key and task.
        also: sentences that belong to no key.
    """

    id: str
    says: str
    place: str
    source: str
    condition: Mapping[str, Any]
    values: Mapping[str, Any]
    gpus: Any = None
    notes: Mapping[str, Any] = field(default_factory=dict)
    also: Sequence[str] = ()

    def fits(self, choices: Mapping[str, str], config: Mapping[str, Any]) -> bool:
        """Says whether the entry is about a cell.

        Args:
            choices: the cell's paper, model and task.
            config: its configuration by dotted keys.
        """
        return all(_fits(key, wanted, choices, config) for key, wanted in self.condition.items())


@dataclass(frozen=True)
class Value:
    """What one side says of one key; `gpus` where it is a batch on each of several."""

    value: Any
    entry: Entry
    gpus: int | None = None

    @property
    def printed(self) -> str:
        return shown(self.value) + (f" on each of {self.gpus} GPUs" if self.gpus else "")


@dataclass(frozen=True)
class Line:
    """One key: both sides, what is used here (NO_SETTING where the configuration has no such key), and why."""

    key: str
    paper: Value | None
    code: Value | None
    used: Any
    origin: str
    note: str = ""

    @property
    def kind(self) -> str:
        """Of HEADS: "conflict", "departs" or "rest"."""
        if self.paper and self.code and (self.code.gpus or not same(self.paper.value, self.code.value)):
            return "conflict"
        published = self.paper or self.code
        departs = published and self.used != NO_SETTING and not same(published.value, self.used)
        return "departs" if departs else "rest"


def read_entries(file: Path) -> list[Entry]:
    """Reads the facts of results/PAPER/recipes.yaml.

    Raises:
        UserError: an entry lacks a key, has an unknown one, or says neither paper nor code; it is named.
    """
    entries = []
    for number, one in enumerate(about(file.parent.name, FILE) or [], 1):
        place = f"{file} entry {one.get('id', number) if isinstance(one, Mapping) else number}"
        keys = set(one) if isinstance(one, Mapping) else set()
        if missing := sorted(_NEEDED - keys):
            raise UserError(f"{place} has no {missing[0]}", f"an entry has {', '.join(sorted(_NEEDED))}")
        if unknown := sorted(keys - _KNOWN):
            raise UserError(f"{place}: {unknown[0]} is no key of an entry", did_you_mean(unknown[0], _KNOWN))
        if one["says"] not in SIDES:
            raise UserError(f"{place}: says is {one['says']!r}", f"it is {' or '.join(SIDES)}")
        entries.append(Entry(**one))
    return entries


def entries_about(choices: Mapping[str, str], config: Mapping[str, Any]) -> list[Entry]:
    """Returns the entries of all papers' facts that are about a cell."""
    files = sorted(paths.FACTS.glob(f"*/{FILE}.yaml"))
    return [one for file in files for one in read_entries(file) if one.fits(choices, config)]


def lines(
    entries: Sequence[Entry], task: str, used: Mapping[str, Any], origins: Mapping[str, str]
) -> dict[str, list[Line]]:
    """Lays facts beside what is used.

    Args:
        entries: those about the cell.
        task: the task's name, without its suite.
        used: the cell's settings by key, in the order in which they are shown.
        origins: where each comes from, by key.

    Returns:
        the lines by their kind, in the order of HEADS.
    """
    said: dict[str, dict[str, Value]] = {side: {} for side in SIDES}
    notes: dict[str, str] = {}
    for entry in entries:
        for key, value in entry.values.items():
            if not isinstance(value, Mapping) or task in value:
                gpus = _of_task(entry.gpus, task) if key == "task.batch_size" else None
                said[entry.says][key] = Value(_of_task(value, task), entry, gpus)
        for key, note in entry.notes.items():
            if found := _of_task(note, task):
                notes[key] = f"{notes[key]}; {found}" if key in notes else found
    found = {kind: [] for kind in HEADS}
    for key in dict.fromkeys([*used, *said["paper"], *said["code"]]):
        line = Line(
            key,
            said["paper"].get(key),
            said["code"].get(key),
            used.get(key, NO_SETTING),
            origins.get(key, ""),
            notes.get(key, ""),
        )
        found[line.kind].append(line)
    return found


def text(found: Mapping[str, Sequence[Line]], *, width: int) -> list[str]:
    """Returns the table as lines of at most `width` signs, with its sources and notes below; narrow ones have the
    origin on a line of its own."""
    notes = Notes()
    heads = ("key", "paper", "released code", "used here", "origin")
    rows = {kind: [_row(line, notes) for line in lines] for kind, lines in found.items()}
    cells = [heads[:4], *[row[:4] for part in rows.values() for row in part]]
    limits = (33, 16, 18, 14) if width >= 100 else (33, 12, 14, 12)
    widths = [min(limit, max(map(len, column))) for limit, column in zip(limits, zip(*cells, strict=True), strict=True)]
    room = width - sum(widths) - 2 * len(widths)
    widths = [*widths, room] if room >= 24 else widths
    printed = [*_wrapped(heads, widths, width, head=True), "─" * width]
    for kind, part in rows.items():
        if part:
            printed += [HEADS[kind], *[line for row in part for line in _wrapped(row, widths, width)], ""]
    printed += [line for number, note in enumerate(notes.texts, 1) for line in _note(number, note, width)]
    return [line.rstrip() for line in (printed if notes.texts else printed[:-1])]


def shown(value: Any) -> str:
    """Returns a value as it is printed: 0.0005 is 5e-4, a list its parts, nothing is none."""
    if value is None:
        return "none"
    if isinstance(value, list | tuple):
        return ", ".join(map(shown, value))
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, float):
        if 0 < abs(value) < 1e-3:
            digits, _, power = f"{value:.6e}".partition("e")
            return f"{float(digits):g}e{int(power)}"
        return f"{value:g}"
    return str(value)


def same(first: Any, second: Any) -> bool:
    """Says whether two values are one: 16 and 16.0 are."""
    return canonical(first) == canonical(second)


def _fits(key: str, wanted: Any, choices: Mapping[str, str], config: Mapping[str, Any]) -> bool:
    if key.startswith("config."):
        return same(config.get(key.removeprefix("config.")), wanted)
    found = choices[key]
    if isinstance(wanted, list):
        return found in wanted
    return found == wanted or (key == "task" and found.startswith(f"{wanted}/"))


def _of_task(value: Any, task: str) -> Any:
    return value.get(task) if isinstance(value, Mapping) else value


def _row(line: Line, notes: Notes) -> tuple[str, ...]:
    key = line.key + raised(notes.mark([line.note] if line.note else []))
    sides = []
    for side in (line.paper, line.code):
        marks = notes.mark([f"{side.entry.place} ({side.entry.source})"]) if side else ()
        sides.append(side.printed + raised(marks) if side else "")
    return (key, *sides, shown(line.used), line.origin)


def _wrapped(row: Sequence[str], widths: Sequence[int], width: int, head: bool = False) -> Iterable[str]:
    """Lays out one row; a key that is too long has a line of its own, and so has an origin that has no column."""
    if len(row[0]) > widths[0]:
        yield row[0]
        row = ("", *row[1:])
    parts = [textwrap.wrap(cell, room) or [""] for cell, room in zip(row, widths, strict=False)]
    for number in range(max(map(len, parts))):
        line = [part[number] if number < len(part) else "" for part in parts]
        yield "  ".join(cell.ljust(room) for cell, room in zip(line, widths, strict=True))
    if len(widths) < len(row) and row[-1] and not head:
        yield from textwrap.wrap(row[-1], width, initial_indent="    ", subsequent_indent="    ")


def _note(number: int, note: str, width: int) -> list[str]:
    return textwrap.wrap(f"{raised([number])} {note}", width, subsequent_indent="  ")
