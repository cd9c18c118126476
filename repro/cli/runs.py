"""what lies under runs_dir: done, cut, failed, running, and how big; --prune removes what no record needs"""

from __future__ import annotations

import argparse
import sys
import time
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from repro.paths import Places
    from repro.runs.housekeeping import Removal, Run, Stock

COLUMNS = ("paper", "task", "network", "scale", "seed", "identity", "age", "size", "used by", "status")
UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86_400, "w": 604_800}
LONGEST = 110
"""Characters of a status."""


def main(arguments: list[str]) -> int:
    """Lists the runs, or removes what nobody needs; returns 1 when something could not be read or removed."""
    from repro.paths import Places
    from repro.runs.housekeeping import take_stock

    options = _parser().parse_args(arguments)
    if not options.prune and (options.yes or options.products or options.older_than is not None):
        _parser().error("--older-than, --products and --yes say what --prune does: add --prune")
    places = Places.default().replaced(word for word in options.words if "=" in word)
    older_than = _seconds("1d" if options.older_than is None else options.older_than)
    stock = take_stock(places)
    wanted = _wanted([word for word in options.words if "=" not in word], stock)
    if options.prune:
        _prune(stock, wanted, places, older_than=older_than, products=options.products, yes=options.yes)
    else:
        _list(stock, wanted, places)
    for error in stock.problems:
        print(f"error: {error}", file=sys.stderr)
    return 1 if stock.problems else 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m repro runs", description="What runs there are, and --prune: what of them nobody needs."
    )
    parser.add_argument(
        "words",
        nargs="*",
        metavar="PAPER",
        help="only these papers' (KEY=VALUE names a place, such as runs_dir=FOLDER)",
    )
    parser.add_argument(
        "--prune",
        action="store_true",
        help="remove runs that were cut and not gone on with, and what reruns replaced; shows them and asks before",
    )
    parser.add_argument(
        "--older-than",
        metavar="AGE",
        help="with --prune: only cut runs that stand still for so long (90m, 12h, 2d; default 1d); those without a "
        "checkpoint go whatever their age",
    )
    parser.add_argument(
        "--products",
        action="store_true",
        help="with --prune: also weights and predictions of runs whose record is kept and that no run starts from",
    )
    parser.add_argument("--yes", action="store_true", help="with --prune: do not ask")
    return parser


def _seconds(text: str) -> float:
    """Reads an age.

    Raises:
        UserError: it is none.
    """
    from repro.errors import UserError

    number, unit = (text[:-1], text[-1]) if text[-1:] in UNITS else (text, "")
    if not number.isdecimal() or not (unit or number == "0"):
        raise UserError(f"--older-than {text} is no age", "write a whole number and a unit, such as 90m, 12h or 2d")
    return int(number) * UNITS.get(unit, 0)


def _wanted(papers: Sequence[str], stock: Stock) -> list[Run]:
    """Returns the runs of some papers, or all.

    Raises:
        UserError: nobody knows such a paper.
    """
    from repro.errors import UserError, did_you_mean
    from repro.runs.expand import options

    known = {run.paper for run in stock.runs} | options("paper").keys()
    known |= {name.partition("/")[0] for name in known}
    for name in papers:
        if name not in known:
            raise UserError(f"there is no paper {name}", did_you_mean(name, known))
    return [run for run in stock.runs if not papers or any(f"{run.paper}/".startswith(f"{name}/") for name in papers)]


def _list(stock: Stock, wanted: Sequence[Run], places: Places) -> None:
    if not wanted:
        print(f"no runs under {places.runs_dir}")
        return
    now = time.time()
    rows = [
        (
            run.paper,
            run.task,
            run.network,
            run.scale,
            str(run.seed),
            run.identity,
            _age(now - run.changed),
            _bytes(run.size),
            _users(run.users),
            _status(run),
        )
        for run in wanted
    ]
    _print(COLUMNS, rows)
    states = Counter(run.state for run in wanted)
    each = ", ".join(f"{states[state]} {state}" for state in sorted(states, key=lambda one: (-states[one], one)))
    print(f"\n{len(wanted)} runs under {places.runs_dir}: {each}; {_bytes(sum(run.size for run in wanted))}")
    if found := _removals(stock, wanted):
        print(f"--prune would remove {_bytes(sum(one.size for one in found))}")


def _removals(stock: Stock, wanted: Sequence[Run], **how: float | bool) -> list[Removal]:
    """Returns what may go of some runs; what belongs to none of them goes only with all."""
    from repro.runs.housekeeping import removals

    folders = {run.folder for run in wanted}
    everything = len(wanted) == len(stock.runs)
    return [one for one in removals(stock, **how) if (everything if one.run is None else one.run.folder in folders)]


def _prune(
    stock: Stock, wanted: Sequence[Run], places: Places, *, older_than: float, products: bool, yes: bool
) -> None:
    """Shows what may go, asks, and removes it; what could not be removed is added to the problems."""
    from repro.errors import UserError
    from repro.runs.housekeeping import remove

    found = _removals(stock, wanted, older_than=older_than, products=products)
    if not found:
        print(f"nothing to remove under {places.runs_dir}")
        return
    _print((), [(_bytes(one.size), _within(one.path, places), one.why) for one in found])
    print(f"\n{len(found)} folders, {_bytes(sum(one.size for one in found))}")
    if not yes and not _agreed():
        return
    gone: list[Removal] = []
    for one in remove(found, places, older_than=older_than, products=products):
        (stock.problems if isinstance(one, UserError) else gone).append(one)
    print(f"removed {len(gone)} folders, {_bytes(sum(one.size for one in gone))}")


def _agreed() -> bool:
    """Asks; without a terminal there is nobody to ask."""
    if not sys.stdin.isatty():
        print("nothing was removed: --yes removes them")
        return False
    if input("remove them? [y/N] ").strip().lower() in ("y", "yes"):
        return True
    print("nothing was removed")
    return False


def _within(path: Path, places: Places) -> str:
    return str(path.relative_to(places.runs_dir))


def _status(run: Run) -> str:
    text = f"{run.state}: {run.detail}" if run.detail else run.state
    text = "".join(sign if sign.isprintable() else " " for sign in text)
    return text if len(text) <= LONGEST else f"{text[: LONGEST - 3]}..."


def _users(identities: Sequence[str]) -> str:
    if len(identities) <= 1:
        return identities[0] if identities else "-"
    return f"{len(identities)} runs"


def _age(seconds: float) -> str:
    """Returns an age in its largest unit of which there are two, and so in at least one digit's precision."""
    for unit in ("d", "h", "m"):
        if seconds >= 2 * UNITS[unit]:
            return f"{int(seconds // UNITS[unit])}{unit}"
    return f"{max(0, int(seconds))}s"


def _bytes(size: float) -> str:
    for unit in ("B", "kB", "MB", "GB"):
        if size < 1000:
            return f"{size:.0f} {unit}" if unit == "B" or size >= 100 else f"{size:.1f} {unit}"
        size /= 1000
    return f"{size:.1f} TB"


def _print(head: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """Prints columns, the last one as long as it is."""
    lines = [head, *rows] if head else list(rows)
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    for line in lines:
        print("  ".join(f"{text:<{width}}" for text, width in zip(line, widths, strict=True)).rstrip())
