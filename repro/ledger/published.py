"""The published numbers: results/PAPER/published.csv, one line a number."""

from __future__ import annotations

import csv
import functools
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from repro import paths
from repro.errors import UserError, did_you_mean

COLUMNS = (
    "paper",
    "table",
    "row",
    "column",
    "condition",
    "metric",
    "value",
    "spread",
    "spread_kind",
    "place",
    "source",
    "flags",
)
_UNITS = {"": 1.0, "K": 1e3, "M": 1e6, "B": 1e9}


@dataclass(frozen=True)
class Fact:
    """One published number.

    Attributes:
        condition: what a record must be to stand beside it: values by dotted keys of the record; empty where no run can
            (people asked, texts counted).
        split: the split that it was measured on, where that is not the one a table shows anyway.
        printed: the number as printed, a misprint too.
        value: its value; 0.3M is 300,000.
        spread: as printed; empty where there is none.
        flags: what a reader must know of it.
    """

    paper: str
    table: str
    row: str
    column: str
    condition: Mapping[str, Any]
    split: str | None
    metric: str
    printed: str
    value: float
    spread: str
    spread_kind: str
    place: str
    source: str
    flags: tuple[str, ...]

    @property
    def decimals(self) -> int:
        """How many decimals are printed."""
        return len(self.printed.rstrip("KMB").partition(".")[2])


def read_published(file: Path) -> list[Fact]:
    """Reads a published.csv, in the order of its lines.

    Raises:
        UserError: the file is missing, or a line is broken; file and line are named.
    """
    try:
        text = file.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"{file} cannot be read ({error})", "it ships with the project: restore it") from None
    reader = csv.reader(text.splitlines(keepends=True), strict=True)
    facts: list[Fact] = []
    seen: set[tuple[str, str, str]] = set()
    try:
        if next(reader, None) != list(COLUMNS):
            raise ValueError(f"the first line must be {','.join(COLUMNS)}")
        for cells in reader:
            fact = _fact(cells)
            place = (fact.table, fact.row, fact.column)
            if place in seen:
                raise ValueError(f"{fact.table}, {fact.row}, {fact.column} stands there twice")
            seen.add(place)
            facts.append(fact)
    except (ValueError, RecursionError, csv.Error) as error:
        raise UserError(f"{file} line {reader.line_num or 1}: {error}", "mend the line") from None
    return facts


def _fact(cells: list[str]) -> Fact:
    if len(cells) != len(COLUMNS):
        raise ValueError(f"{len(cells)} columns instead of {len(COLUMNS)}")
    line = dict(zip(COLUMNS, cells, strict=True))
    condition = json.loads(line["condition"], parse_constant=number)
    if not isinstance(condition, dict):
        raise ValueError("the condition must be a JSON object of dotted keys and values")
    nested = [key for key, value in condition.items() if isinstance(value, dict)]
    if nested:
        raise ValueError(f"{nested[0]} of the condition must be a value, and its key dotted")
    for key in ("task", "split"):
        if not isinstance(condition.get(key, ""), str):
            raise ValueError(f"{key} of the condition must be a name")
    if line["spread"]:
        number(line["spread"])
    split = condition.pop("split", None)
    return Fact(
        paper=line["paper"],
        table=line["table"],
        row=line["row"],
        column=line["column"],
        condition=condition,
        split=split,
        metric=line["metric"],
        printed=line["value"],
        value=number(line["value"]),
        spread=line["spread"],
        spread_kind=line["spread_kind"],
        place=line["place"],
        source=line["source"],
        flags=tuple(flag.strip() for flag in line["flags"].split(";") if flag.strip()),
    )


def number(printed: str) -> float:
    """Returns the value of a printed number: 87.5, 0.3M, 175,255.8M.

    Raises:
        ValueError: it is none.
    """
    digits = printed.rstrip("KMB")
    unit = _UNITS.get(printed[len(digits) :])
    try:
        value = float(digits.replace(",", ""))
    except ValueError:
        value = float("nan")
    if unit is None or value != value or value in (float("inf"), float("-inf")):
        raise ValueError(f"{printed!r} is no number")
    return value * unit


def papers() -> list[str]:
    """Returns the papers that have published numbers here."""
    return sorted(file.parent.name for file in paths.FACTS.glob("*/published.csv"))


@functools.lru_cache(maxsize=64)
def published(paper: str) -> tuple[Fact, ...]:
    """Returns a paper's published numbers.

    Raises:
        UserError: the paper is unknown, or its file broken.
    """
    if paper not in papers():
        raise UserError(f"there are no published numbers of {paper}", did_you_mean(paper, papers()))
    return tuple(read_published(paths.FACTS / paper / "published.csv"))


def about(paper: str, name: str) -> Any:
    """Returns what results/PAPER/NAME.yaml holds; None where there is no such file.

    Raises:
        UserError: it is no YAML.
    """
    file = paths.FACTS / paper / f"{name}.yaml"
    if not file.is_file():
        return None
    try:
        return yaml.load(file.read_text(encoding="utf-8"), Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader))
    except yaml.YAMLError as error:
        raise UserError(f"{file} is no YAML ({error})", "it ships with the project: restore it") from None
