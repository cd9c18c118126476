"""Which records stand beside a published number, and which of them may be averaged."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from repro.errors import UserError
from repro.records.canonical import canonical, digest
from repro.records.identity import without
from repro.records.record import Record

_MISSING = object()


def matches(record: Record, condition: Mapping[str, Any]) -> bool:
    """Says whether a record may stand beside the number that a condition belongs to.

    It must fit the condition, and every key that it `deviates` in must be named by the condition: a trial with other
    settings never stands beside a published number.
    """
    return fits(record, condition) and all(_named(key, condition) for key in record.deviates)


def fits(record: Record, condition: Mapping[str, Any]) -> bool:
    """Says whether every key of a condition has its value in the record.

    A record of a stage fits only a condition that names the stage: one of the paper alone is about its last stage.

    Args:
        condition: values by dotted keys: "paper", "config.paper.rank", "inputs.network.paper.groups". A task that is a
            suite's name (glue) stands for each of its tasks.
    """
    if record.stage is not None and "stage" not in condition:
        return False
    return all(_equal(key, lookup(record, key), wanted) for key, wanted in condition.items())


def lookup(record: Record, key: str) -> Any:
    """Returns the value of a dotted key of a record; a marker that equals nothing where there is none."""
    first, *rest = key.split(".")
    value = getattr(record, first, _MISSING)
    if first == "inputs" and len(rest) > 1:
        value = value.get(rest[0], {})
        rest = rest[1:] if rest[1] in ("identity", "digest", "config", "path") else ["config", *rest[1:]]
    for name in rest:
        value = value[name] if isinstance(value, Mapping) and name in value else _MISSING
    return value


def has(record: Record, key: str) -> bool:
    """Says whether a record has a dotted key."""
    return lookup(record, key) is not _MISSING


def _equal(key: str, found: Any, wanted: Any) -> bool:
    if found is _MISSING:
        return False
    if key == "task" and "/" not in wanted and found.startswith(f"{wanted}/"):
        return True
    return found == wanted or (not isinstance(found, str) and canonical(found) == canonical(wanted))


def _named(deviation: str, condition: Mapping[str, Any]) -> bool:
    for key in condition:
        name = key.removeprefix("config.")
        if deviation == name or (name != key and deviation.startswith(f"{name}.")):
            return True
    return False


def alike(records: Iterable[Record]) -> list[list[Record]]:
    """Parts records into groups that differ in nothing but the seed, each in the order of its seeds."""
    groups: dict[str, list[Record]] = {}
    for record in sorted(records, key=lambda one: (one.seed, one.identity)):
        groups.setdefault(_comparable_digest(record), []).append(record)
    return [groups[name] for name in sorted(groups, key=lambda name: (groups[name][0].seed, groups[name][0].identity))]


def check_alike(records: Sequence[Record]) -> None:
    """Checks that records differ in nothing but the seed.

    Raises:
        UserError: they differ in more, or a seed is there twice; the keys are named.
    """
    groups = alike(records)
    if len(groups) > 1:
        raise UserError(
            f"records that differ in {', '.join(differences(records))} are not averaged",
            "move the ones away that are not meant",
        )
    twice = sorted({one.seed for one in records if sum(other.seed == one.seed for other in records) > 1})
    if twice:
        names = ", ".join(sorted(one.identity for one in records if one.seed in twice))
        raise UserError(
            f"seed {twice[0]} is there more than once ({names}, made by different versions)", "move all but one away"
        )


def differences(records: Sequence[Record]) -> list[str]:
    """Returns the dotted keys, other than the seed, in which records differ."""
    flat = [_flat(_comparable(record)) for record in records]
    keys = sorted(set().union(*flat))
    return [key for key in keys if len({canonical(one.get(key)) for one in flat}) > 1]


_DIGESTS: dict[str, str] = {}
"""By a record's own digest, that of what must be equal: records are read once and compared many times."""


def _comparable_digest(record: Record) -> str:
    if not record.digest:
        return digest(_comparable(record))
    if record.digest not in _DIGESTS:
        _DIGESTS[record.digest] = digest(_comparable(record))
    return _DIGESTS[record.digest]


def _comparable(record: Record) -> dict[str, Any]:
    """What must be equal for two records to be averaged: all that can change a result, less the seed."""
    return {
        **{name: getattr(record, name) for name in ("paper", "stage", "task", "model", "network", "scale")},
        "config": _inside(record.config),
        "inputs": {name: _comparable_input(record, name, one) for name, one in record.inputs.items()},
        "data": {split: one.get("digest") for split, one in record.data.items()},
    }


def _comparable_input(record: Record, name: str, one: Mapping[str, Any]) -> dict[str, Any]:
    """What must be equal of an input: which run it is; of one that has a seed for each seed, all but the seed."""
    words = (record.config.get("inputs") or {}).get(name)
    if isinstance(words, list) and any(str(word).startswith("seed=") for word in words):
        return {"config": _inside(one.get("config", {}))}
    return {"identity": one.get("identity"), "path": one.get("path")}


def _inside(config: Mapping[str, Any]) -> dict[str, Any]:
    return without(config, [*config.get("outside_identity", ()), "outside_identity", "seed"])


def _flat(value: Mapping[str, Any], before: str = "") -> dict[str, Any]:
    found: dict[str, Any] = {}
    for key, one in value.items():
        found |= _flat(one, f"{before}{key}.") if isinstance(one, Mapping) and one else {f"{before}{key}": one}
    return found
