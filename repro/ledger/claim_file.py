"""The claims of a paper as they are written down: results/PAPER/claims.yaml."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from repro import paths
from repro.errors import UserError, did_you_mean
from repro.ledger.published import about
from repro.ledger.verdict import Claim, Contrast, Region

_CLAIM = ("id", "text", "place", "source", "kind", "needs", "contrasts")
_CONTRAST = ("says", "statistic", "published", "region", "test", "aside")
_SIDES = (
    "table",
    "left",
    "right",
    "sides",
    "pairs",
    "tasks",
    "condition",
    "column",
    "average_of",
    "each_of",
    "share_of",
)
_TEST = (*_SIDES, "statistic", "x", "quantity", "region", "not_at", "analogue", "replaces")


def claims(paper: str) -> list[Claim]:
    """Reads a paper's claims.

    Raises:
        UserError: the file is missing or a claim is broken; file and claim are named.
    """
    file = paths.FACTS / paper / "claims.yaml"
    listed = about(paper, "claims")
    if not isinstance(listed, list):
        raise UserError(f"{file} holds no list of claims", "it ships with the project: restore it")
    return [_claim(one, f"{file}: claim {one.get('id') if isinstance(one, Mapping) else one}") for one in listed]


def _claim(one: Any, where: str) -> Claim:
    check_keys(one, _CLAIM, _CLAIM, where)
    contrasts = []
    for number, line in enumerate(one["contrasts"], 1):
        place = f"{where}, contrast {number}"
        check_keys(line, _CONTRAST[:4], _CONTRAST, place)
        if line.get("test") is not None:
            _check_test(line["test"], place)
        contrasts.append(
            Contrast(
                line["says"],
                line["statistic"],
                line["published"],
                str(line["region"]),
                line.get("test"),
                bool(line.get("aside")),
            )
        )
    words = {key: str(one[key]) for key in _CLAIM[:5]}
    return Claim(**words, needs=tuple(one["needs"] or ()), contrasts=tuple(contrasts))


def check_keys(one: Any, needed: Iterable[str], known: Sequence[str], where: str) -> None:
    """Refuses an entry of a file of facts that lacks a key, or has one that nothing reads.

    Raises:
        UserError: it names the place and the key.
    """
    if not isinstance(one, Mapping):
        raise UserError(f"{where} is no mapping", "see CONTRIBUTING")
    for key in needed:
        if key not in one:
            raise UserError(f"{where} has no {key}", f"it needs {', '.join(needed)}")
    for key in one:
        if key not in known:
            raise UserError(f"{where} has an unknown key {key}", did_you_mean(str(key), known))


def _check_test(test: Any, where: str) -> None:
    check_keys(test, (), _TEST, where)
    try:
        Region.of(test.get("region") or {})
    except (ValueError, TypeError) as error:
        raise UserError(f"{where}: {error}", "region: {at_least: -0.5}") from None
    for scale, other in (test.get("analogue") or {}).items():
        check_keys(other, ("replaces",), _TEST, f"{where}, analogue at {scale}")
