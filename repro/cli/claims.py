"""what a paper claims, the verdict of our records, and the command that would move it"""

from __future__ import annotations

import argparse
import sys


def main(arguments: list[str]) -> int:
    """Prints the verdicts; returns 1 when a record or a claim was broken (the rest is still shown)."""
    import shutil

    from repro.errors import UserError
    from repro.ledger.claims import judged
    from repro.ledger.listing import WIDTH, listing
    from repro.ledger.published import papers, published
    from repro.ledger.verdicts import counts, lines
    from repro.paths import Places
    from repro.records.store import records

    options = _parser().parse_args(arguments)
    screen = sys.stdout.isatty()
    width = max(WIDTH, shutil.get_terminal_size((WIDTH, 24)).columns) if screen else WIDTH
    names = options.papers or papers()
    for name in names:
        published(name)
    broken: list[UserError] = []
    known = records(Places.default(), broken)
    for name in names:
        try:
            found = judged(name, known, broken)
        except UserError as error:
            broken.append(error)
            continue
        if options.scale:
            found = [one for one in found if one.scale in ("", options.scale)]
        print(f"{name}: {counts(found)}")
        listed = lines(found, text=options.all or bool(options.papers), everything=options.all)
        print(listing(listed, width=width, colour=screen))
    for error in broken:
        print(f"left out: {error}", file=sys.stderr)
    return 1 if broken else 0


def _parser() -> argparse.ArgumentParser:
    from repro.ledger.tables import SCALES

    parser = argparse.ArgumentParser(prog="python -m repro claims", description="Claims and verdicts, from records.")
    parser.add_argument("papers", nargs="*", metavar="PAPER", help="which papers (default: all, in short)")
    parser.add_argument("--scale", choices=SCALES, help="only this scale's verdicts")
    parser.add_argument("--all", action="store_true", help="every contrast of every paper")
    return parser
