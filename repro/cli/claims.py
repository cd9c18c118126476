"""what a paper claims, the verdict of our records, and the command that would move it"""

from __future__ import annotations

import argparse
import sys


def main(arguments: list[str]) -> int:
    """Prints the verdicts; returns 1 when a record or a claim was broken (the rest is still shown)."""
    from repro.errors import UserError
    from repro.ledger.claims import judged
    from repro.ledger.published import papers, published
    from repro.ledger.verdicts import counts, lines
    from repro.paths import Places
    from repro.records.store import records

    options = _parser().parse_args(arguments)
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
        _print(lines(found, text=options.all or bool(options.papers), everything=options.all))
    for error in broken:
        print(f"left out: {error}", file=sys.stderr)
    return 1 if broken else 0


def _print(found: list[tuple[str, str]]) -> None:
    """Prints lines with their styles, in colour on a screen."""
    import shutil

    from rich.console import Console
    from rich.text import Text

    screen = sys.stdout.isatty()
    width = max(100, shutil.get_terminal_size((100, 24)).columns) if screen else 100
    console = Console(width=width, highlight=False, soft_wrap=False, no_color=not screen, force_terminal=screen)
    for text, style in found:
        indent = " " * (len(text) - len(text.lstrip()))
        for line in Text(text.lstrip(), style=style).wrap(console, width - len(indent) - 2):
            console.print(Text(indent) + line)


def _parser() -> argparse.ArgumentParser:
    from repro.ledger.tables import SCALES

    parser = argparse.ArgumentParser(prog="python -m repro claims", description="Claims and verdicts, from records.")
    parser.add_argument("papers", nargs="*", metavar="PAPER", help="which papers (default: all, in short)")
    parser.add_argument("--scale", choices=SCALES, help="only this scale's verdicts")
    parser.add_argument("--all", action="store_true", help="every contrast of every paper")
    return parser
