"""the tables of a paper, ours beside the published numbers"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

INTRODUCTION = """# {paper}: published and ours

Written by `python -m repro table {paper} --write` from the records alone; do not edit.

How to read it: below each published row stand our own, one for each scale and network that was run. A tiny or
local network stands in for the published model, so compare rows of one network with each other, not with the
published number. A number is the mean over seeds ± the sample standard deviation. "not run" means that no record
fits the published row.
"""


def main(arguments: list[str]) -> int:
    """Prints tables; returns 1 when a record was broken (the rest is still shown)."""
    from repro.errors import UserError
    from repro.ledger.published import papers, published
    from repro.ledger.report import markdown_report, sections, write_report
    from repro.paths import Places
    from repro.records.store import read_all, records, wandb_files

    asked = _parser().parse_args(arguments)
    names = asked.papers or papers()
    for name in names:
        published(name)
    places = Places.default()
    broken: list[UserError] = []
    known = read_all(wandb_files(Path(asked.source).expanduser()), broken) if asked.source else records(places, broken)
    for name in names:
        if asked.write:
            for file, changed in write_report(name, known, places, INTRODUCTION):
                print(f"{file}: {'written' if changed else 'as it was'}")
        elif asked.format == "md":
            print(markdown_report(name, known, scale=asked.scale, everything=asked.all), end="")
        else:
            _print(sections(name, known, scale=asked.scale, everything=asked.all))
    for error in broken:
        print(f"left out: {error}", file=sys.stderr)
    return 1 if broken else 0


def _print(found) -> None:
    import shutil

    from repro.ledger.render import WIDTH, terminal

    screen = sys.stdout.isatty()
    width = max(WIDTH, shutil.get_terminal_size((WIDTH, 24)).columns) if screen else WIDTH
    print("\n".join(terminal(table, width=width, colour=screen) for table in found.tables), end="")
    if found.silent:
        print(f"\nno run yet for {', '.join(found.silent)}: --all shows them")


def _parser() -> argparse.ArgumentParser:
    from repro.ledger.tables import SCALES

    parser = argparse.ArgumentParser(
        prog="python -m repro table", description="Published tables with our own rows, from records."
    )
    parser.add_argument(
        "papers", nargs="*", metavar="PAPER", help="which papers (default: all that have published numbers)"
    )
    parser.add_argument("--scale", choices=SCALES, help="only this scale's records")
    parser.add_argument("--format", choices=("terminal", "md"), default="terminal")
    parser.add_argument(
        "--from", dest="source", metavar="FOLDER", help="read the records of offline W&B runs under FOLDER instead"
    )
    parser.add_argument("--all", action="store_true", help="also the published tables that nothing was run for")
    parser.add_argument(
        "--write", action="store_true", help="write results/PAPER/README.md and the tables in README.md"
    )
    return parser
