"""What our records say of a paper's claims."""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from repro import paths
from repro.errors import UserError, did_you_mean
from repro.ledger.claim_file import claims
from repro.ledger.commands import command_for
from repro.ledger.sides import Known, Side, Values, Wanted, less, side
from repro.ledger.statistics import Estimate, contrast, holm, of_values, slope
from repro.ledger.tables import SCALES
from repro.ledger.verdict import (
    NOT_COMPARABLE,
    NOT_RUN,
    UNDERPOWERED,
    WEAKEST_FIRST,
    Claim,
    Contrast,
    Judged,
    JudgedContrast,
    Region,
    decide,
    joined,
    p_value,
    seeds_needed,
)
from repro.ledger.verify import checks
from repro.records.canonical import canonical
from repro.records.record import Record

UNWRITTEN = "condition not written"
Group = tuple[str, str]
"""A scale, and the network that stands in there; at paper scale every model is itself."""
Read = Mapping[str, Values]
"""What the records of a side say, by column; a constant side has the one column "constant"."""


def judged(paper: str, records: Sequence[Record], problems: list[UserError] | None = None) -> list[Judged]:
    """Judges a paper's claims, each at every scale and network that has records of it.

    Args:
        records: any records, in any order.
        problems: a list that takes what is wrong with a claim, such as a row that is missing.

    Returns:
        in the order of the claims; a claim without records stands there once, with an empty scale, and so does one
        that a scale cannot speak of.
    """
    known, found = Known(records), []
    for claim in claims(paper):
        judging = _Judging(paper, claim, known, problems if problems is not None else [])
        found += judging.everywhere()
    return _with_holm(found)


def needed(paper: str, ids: Sequence[str], scale: str) -> list[Wanted]:
    """Returns what a paper's claims ask of records at a scale, in their order, each condition once.

    Args:
        ids: of claims; all of them where none is given.
        scale: tiny, local or paper.

    Raises:
        UserError: there is no such claim.
    """
    known = {claim.id: claim for claim in claims(paper)}
    for name in ids:
        if name not in known:
            raise UserError(f"{paper} has no claim {name}", did_you_mean(name, known))
    found: dict[str, Wanted] = {}
    for name in ids or known:
        judging = _Judging(paper, known[name], Known([]), [])
        for contrast_ in known[name].contrasts:
            for wanted in judging.wanted(contrast_, scale):
                found.setdefault(canonical(wanted.condition), wanted)
    return list(found.values())


def _with_holm(found: Sequence[Judged]) -> list[Judged]:
    families: dict[Group, list[int]] = {}
    for place, one in enumerate(found):
        if one.p is not None:
            families.setdefault((one.scale, one.network), []).append(place)
    adjusted = list(found)
    for places in families.values():
        for place, p in zip(places, holm([found[place].p or 0.0 for place in places]), strict=True):
            adjusted[place] = replace(found[place], p_holm=p)
    return adjusted


class _Judging:
    """One claim held against records."""

    def __init__(self, paper: str, claim: Claim, known: Known, problems: list[UserError]) -> None:
        self.paper, self.claim, self.known, self.problems = paper, claim, known, problems
        self.where = f"{paths.FACTS / paper / 'claims.yaml'}: claim {claim.id}"

    def everywhere(self) -> list[Judged]:
        """Judges the claim wherever there is something to say."""
        groups = self._groups()
        found = [self._at(*group) for group in groups]
        return found or [self._at("", "")]

    def _groups(self) -> list[Group]:
        """The scales and networks that have records of a contrast, and scales at which none can be had."""
        groups: set[Group] = set()
        for one in self.claim.contrasts:
            for scale in SCALES:
                for wanted in self.wanted(one, scale):
                    for record in self.known.fitting(wanted):
                        if record.scale == scale:
                            groups.add((scale, "" if scale == SCALES[-1] else record.network))
        for scale in SCALES:
            said = [one.test for one in self.claim.contrasts if not one.aside]
            if all(test and scale in (test.get("not_at") or {}) for test in said) and scale not in {
                s for s, _ in groups
            }:
                groups.add((scale, ""))
        return sorted(groups, key=lambda group: (SCALES.index(group[0]), group[1]))

    def wanted(self, one: Contrast, scale: str) -> list[Wanted]:
        """Returns what a contrast asks of records at a scale; nothing where the scale cannot speak of it."""
        if one.test is None or scale in (one.test.get("not_at") or {}):
            return []
        try:
            return [wanted for part in _sides(self._test(one, scale), self.paper) for wanted in part.wanted()]
        except UserError:
            return []

    @staticmethod
    def _test(one: Contrast, scale: str) -> Mapping[str, Any]:
        """The test as it is at a scale: an analogue's own words replace those of the test."""
        other = (one.test.get("analogue") or {}).get(scale, {})
        kept = {} if "left" in other or "sides" in other else one.test
        return {**kept, "region": one.test.get("region"), "statistic": one.test.get("statistic"), **other}

    def _at(self, scale: str, network: str) -> Judged:
        contrasts = tuple(self._contrast(one, scale, network) for one in self.claim.contrasts)
        found, why = joined(contrasts)
        p_values = [one.p for one in contrasts if not one.aside]
        p = None if not scale or any(one is None for one in p_values) else max(p_values, default=None)
        return Judged(self.claim, scale, network, found, why, contrasts, p)

    def _contrast(self, one: Contrast, scale: str, network: str) -> JudgedContrast:
        start = JudgedContrast(
            one.says,
            one.statistic,
            one.published,
            one.region,
            (-math.inf, math.inf),
            NOT_RUN,
            UNWRITTEN,
            aside=one.aside,
        )
        if one.test is None:
            return start
        test = self._test(one, scale)
        region = Region.of(test["region"])
        start = replace(start, bounds=(region.low, region.high), why="")
        reason = (one.test.get("not_at") or {}).get(scale)
        if reason:
            return replace(start, verdict=NOT_COMPARABLE, why=reason)
        try:
            return self._decided(start, test, one.statistic, region, scale, network)
        except UserError as error:
            problem = UserError(f"{self.where}: {error.what}", error.mend)
            if str(problem) not in {str(other) for other in self.problems}:
                self.problems.append(problem)
            return replace(start, why=str(error))
        except ValueError as error:
            return replace(start, why=str(error))

    def _decided(
        self, start: JudgedContrast, test: Mapping[str, Any], statistic: str, region: Region, scale: str, network: str
    ) -> JudgedContrast:
        if "quantity" in test:
            estimate = _quantity(self.paper, test["quantity"])
            return _with_estimate(start, estimate, region, "by formula", ())
        sides = _sides(test, self.paper)
        everything = [wanted for part in sides for wanted in part.wanted()]
        read = [self._read(part, scale, network) for part in sides]
        every = [one for part in read for one in part.values()]
        refused = next((one.refused for one in every if one.refused), "")
        if refused:
            return replace(start, verdict=NOT_COMPARABLE, why=f"refused: {refused}")
        missing = [wanted for wanted in everything if not self.known.values(wanted, scale, network).by_seed]
        if missing:
            return replace(start, why=_missing(missing, everything), command=command_for(missing, scale))
        used = tuple(sorted({record.identity for one in every for record in one.records}))
        parts = _estimates(test.get("statistic") or statistic, test, read)
        if not parts:
            return replace(start, why="the sides have no seed in common", records=used)
        found = _weakest_part(
            start, parts, region, f"in place of {test['replaces']}" if "replaces" in test else "", used
        )
        if found.verdict == UNDERPOWERED:
            seeds = (found.n, found.seeds_needed or 0)
            found = replace(found, command=command_for(everything, scale, seeds))
        return found

    def _read(self, part: Side, scale: str, network: str) -> Read:
        if part.constant is not None:
            return {"constant": Values({-1: part.constant}, {})}
        found = {name: self.known.values(wanted, scale, network) for name, wanted in part.columns.items()}
        if part.minus is None:
            return found
        other = self._read(part.minus, scale, network)
        return {name: less(one, second) for (name, one), second in zip(found.items(), other.values(), strict=True)}


def _weakest_part(
    start: JudgedContrast, parts: Mapping[str, Estimate], region: Region, why: str, used: tuple[str, ...]
) -> JudgedContrast:
    """Judges the parts that must all hold, and returns the weakest, with the largest p-value."""
    each = [
        _with_estimate(start, estimate, region, ": ".join(word for word in (why, name) if word), used)
        for name, estimate in parts.items()
    ]
    found = min(each, key=lambda part: (WEAKEST_FIRST.index(part.verdict), -(part.p or 0.0)))
    return replace(found, p=max(part.p or 0.0 for part in each))


def _with_estimate(
    start: JudgedContrast, estimate: Estimate, region: Region, why: str, records: tuple[str, ...]
) -> JudgedContrast:
    found, low, high = decide(estimate, region)
    needed = seeds_needed(estimate, region) if found == UNDERPOWERED else None
    return replace(
        start,
        verdict=found,
        why=why,
        estimate=estimate.shown,
        low=low,
        high=high,
        n=math.floor(estimate.n),
        seeds_needed=needed,
        p=p_value(estimate, region),
        records=records,
    )


def _quantity(paper: str, names: str | Sequence[str]) -> Estimate:
    """Returns a recomputed number, or the ratio of two, which have no spread."""
    found = {check.id: check for check in checks(paper)}
    each = [names] if isinstance(names, str) else list(names)
    for name in each:
        if name not in found:
            raise UserError(f"there is no recomputed number {name}", did_you_mean(name, found))
    value = float(found[each[0]].recomputed) / (float(found[each[1]].recomputed) if len(each) > 1 else 1.0)
    return Estimate(value, None, 0, 0, exact=True)


def _sides(test: Mapping[str, Any], paper: str) -> list[Side]:
    specs = [one for pair in test.get("pairs", ()) for one in pair]
    specs = specs or test.get("sides") or [test[key] for key in ("left", "right") if key in test]
    if not specs and "quantity" not in test:
        raise UserError("a test names neither sides nor a quantity", "give left and right, sides, pairs, or quantity")
    return [side(spec, test, paper) for spec in specs]


def _missing(missing: Sequence[Wanted], everything: Sequence[Wanted]) -> str:
    papers = sorted({str(wanted.condition.get("paper", "?")) for wanted in missing})
    return f"no records of {', '.join(papers)}" + ("" if len(missing) == len(everything) else ", or not of all tasks")


def _estimates(statistic: str, test: Mapping[str, Any], read: Sequence[Read]) -> dict[str, Estimate]:
    """Returns the estimates that must all lie in the region, each with what it is of (empty where there is one)."""
    logarithmic = statistic == "ratio"
    if "each_of" in test:
        return {name: _two([one.get(name) or one["constant"] for one in read], logarithmic) for name in test["each_of"]}
    if "share_of" in test:
        return _share(read)
    means = [_mean(one) for one in read]
    if "pairs" in test:
        return {f"pair {place // 2 + 1}": _two(means[place : place + 2]) for place in range(0, len(means), 2)}
    if statistic == "order" and len(means) > 1:
        names = [f"sides {place} and {place + 1}" if len(means) > 2 else "" for place in range(1, len(means))]
        return {name: _two(pair) for name, pair in zip(names, itertools.pairwise(means), strict=True)}
    if any(not one.by_seed for one in means):
        return {}
    if statistic == "range":
        seeds = set.intersection(*(set(one.by_seed) for one in means))
        spans = [[one.by_seed[seed] for one in means] for seed in sorted(seeds)]
        return {"": of_values([max(span) - min(span) for span in spans])} if spans else {}
    if statistic == "slope":
        return {"": slope(dict(zip(test["x"], (one.by_seed for one in means), strict=True)))}
    return {"": _two(means, logarithmic)}


def _mean(columns: Read) -> Values:
    """Averages a side's columns seed by seed; seeds that are not in all of them are left out."""
    every = list(columns.values())
    seeds = sorted(set.intersection(*(set(one.by_seed) for one in every)))
    return Values(
        {seed: math.fsum(one.by_seed[seed] for one in every) / len(every) for seed in seeds},
        {seed: frozenset().union(*(one.data.get(seed, ()) for one in every)) for seed in seeds},
    )


def _two(sides: Sequence[Values], logarithmic: bool = False) -> Estimate:
    """Compares two sides; one alone stands for itself, a constant is taken from each seed."""
    left = sides[0]
    if len(sides) == 1:
        return of_values(list(left.by_seed.values()), logarithmic=logarithmic)
    right = sides[1]
    if list(right.by_seed) == [-1]:
        right = Values(dict.fromkeys(left.by_seed, right.by_seed[-1]), left.data)
    shared = left.by_seed.keys() & right.by_seed.keys()
    paired = bool(shared) and all(left.data.get(seed) == right.data.get(seed) for seed in shared)
    return contrast(left.by_seed, right.by_seed, paired=paired, logarithmic=logarithmic)


def _share(read: Sequence[Read]) -> dict[str, Estimate]:
    """The share of columns in which the left side is not below the right, seed by seed."""
    pairs = [(read[0][name], read[1][name]) for name in read[0]]
    seeds = sorted(set.intersection(*(set(left.by_seed) & set(right.by_seed) for left, right in pairs)))
    shares = [sum(left.by_seed[seed] >= right.by_seed[seed] for left, right in pairs) / len(pairs) for seed in seeds]
    return {"": of_values(shares)} if shares else {}
