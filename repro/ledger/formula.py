"""Formulas with names and units, and the check of a printed number against one of them."""

from __future__ import annotations

import functools
import inspect
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from repro.errors import UserError, did_you_mean
from repro.ledger.published import Fact, published

KINDS = {
    "error": "error of the paper",
    "rounding": "within the rounding of printed inputs",
    "wording": "round figure or bound in words",
    "unexplained": "unexplained",
}
"""Why a printed number is not the recomputed one, as words behind a count: the paper contradicts itself or its own
formula; its inputs are rounded; a number in a sentence is round or a bound; no reading of the text gives it."""

_UNITS = {"": 1.0, "%": 1.0, "x": 1.0, "×": 1.0, "K": 1e3, "k": 1e3, "M": 1e6, "B": 1e9, "G": 1e9, "T": 1e12}
_PRINTED = re.compile(r"\s*[~<>≈]?\s*([-−]?[\d,]*\.?\d+)(?:\s*[eE]\s*([-+]?\d+))?\s*([KkMBGT%x×]?)")


class Quantity(float):
    """A recomputed number that knows how it was had.

    Attributes:
        name: of the formula.
        expression: the formula as a reader would write it.
        unit: of the number; empty for a bare one.
        inputs: by name, what went in.
    """

    name: str
    expression: str
    unit: str
    inputs: Mapping[str, Any]

    def __str__(self) -> str:
        return f"{self.name}({', '.join(f'{key}={_short(value)}' for key, value in self.inputs.items())})"


def formula(expression: str, *, unit: str = "") -> Callable[[Callable[..., float]], Callable[..., Quantity]]:
    """Makes a function of named numbers into a formula, whose results are quantities.

    Args:
        expression: what is computed, in the parameter names: "2 matrices width rank".
        unit: of the result.
    """

    def wrap(function: Callable[..., float]) -> Callable[..., Quantity]:
        signature = inspect.signature(function)

        @functools.wraps(function)
        def compute(*values: Any, **named: Any) -> Quantity:
            bound = signature.bind(*values, **named)
            bound.apply_defaults()
            result = Quantity(function(*bound.args, **bound.kwargs))
            result.name, result.expression, result.unit = function.__name__, expression, unit
            result.inputs = dict(bound.arguments)
            return result

        return compute

    return wrap


@dataclass(frozen=True)
class Check:
    """One number of a paper beside our recomputation.

    Attributes:
        id: of the entry, unique in its paper.
        place: where the number is printed: "Table 2".
        what: what it is.
        printed: as printed, "0.3M"; empty where the paper prints no such number and ours stands alone.
        recomputed: by a formula.
        kind: one of KINDS where the two are known to differ; empty where they agree.
        why: the reason in a sentence, where they are known to differ.
        module: how `verify --modules` builds the network that is counted instead: model; paper and its settings, where
            what learns is counted; classes, where a head of so many is counted too; each, what a parameter counts.
    """

    id: str
    place: str
    what: str
    printed: str
    recomputed: Quantity
    kind: str = ""
    why: str = ""
    module: Mapping[str, Any] | None = None

    def __post_init__(self) -> None:
        if not isinstance(self.recomputed, Quantity):
            raise TypeError(f"{self.id}: {self.recomputed!r} comes from no formula")
        if bool(self.kind) != bool(self.why) or (self.kind and self.kind not in KINDS):
            raise ValueError(f"{self.id}: a difference has a kind ({', '.join(KINDS)}) and a reason, or neither")

    def agrees(self, value: float | None = None) -> bool:
        """Says whether a number, or the recomputed one, rounds to the printed digits; true where none is printed."""
        if not self.printed:
            return True
        stated, half = printed_value(self.printed)
        return abs((self.recomputed if value is None else value) - stated) <= half

    def changed(self, value: float | None = None) -> bool:
        """Says whether the agreement is another one than the entry says."""
        return self.agrees(value) == bool(self.why)


def printed_value(printed: str) -> tuple[float, float]:
    """Returns the value of a printed number and half a unit of its last digit: 4.7M is (4.7e6, 5e4).

    Raises:
        ValueError: it is no number.
    """
    found = _PRINTED.match(printed)
    if not found:
        raise ValueError(f"{printed!r} is no number")
    digits = found[1].replace(",", "").replace("−", "-")
    size = _UNITS[found[3]] * 10.0 ** int(found[2] or 0)
    decimals = len(digits.partition(".")[2])
    return float(digits) * size, 0.5 * 10.0**-decimals * size * (1 + 1e-9)


@dataclass(frozen=True)
class Cells:
    """The published numbers of a paper: what formulas start from, and what they are held against."""

    paper: str

    def fact(self, table: str, row: str, column: str) -> Fact:
        """Returns one published number.

        Raises:
            UserError: there is none at that place.
        """
        found = _by_place(self.paper).get((table, row, column))
        if found is None:
            near = [" | ".join(place) for place in _by_place(self.paper) if place[0] == table]
            raise UserError(
                f"results/{self.paper}/published.csv has no {table} | {row} | {column}",
                did_you_mean(f"{table} | {row} | {column}", near),
            )
        return found

    def facts(self, table: str) -> list[Fact]:
        """Returns the published numbers of a table, in the order of the paper."""
        return [fact for fact in published(self.paper) if fact.table == table]

    def value(self, table: str, row: str, column: str) -> float:
        """Returns the value of one published number."""
        return self.fact(table, row, column).value

    def printed(self, table: str, row: str, column: str) -> str:
        """Returns one published number as printed."""
        return self.fact(table, row, column).printed

    def values(self, table: str, row: str, columns: list[str]) -> list[float]:
        """Returns the values of some columns of a row."""
        return [self.value(table, row, column) for column in columns]


@functools.lru_cache(maxsize=16)
def _by_place(paper: str) -> dict[tuple[str, str, str], Fact]:
    return {(fact.table, fact.row, fact.column): fact for fact in published(paper)}


def _short(value: Any) -> str:
    if isinstance(value, Quantity):
        return str(value)
    if isinstance(value, list | tuple):
        return "[" + ", ".join(_short(one) for one in value) + "]"
    if isinstance(value, str):
        return value
    return f"{value:g}" if isinstance(value, float) and value != int(value) else f"{value:,}".removesuffix(".0")
