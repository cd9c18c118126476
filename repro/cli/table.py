"""the tables of a paper, ours beside the published numbers"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ENDINGS = {"terminal": "txt", "md": "md", "tex": "tex", "csv": "csv", "json": "json", "html": "html"}
"""Of the files that --out writes, by format."""
PROJECT = "wandb:"


def main(arguments: list[str]) -> int:
    """Prints or writes tables; returns 1 when something was broken (the rest is still made)."""
    from repro.errors import UserError, did_you_mean
    from repro.ledger.published import papers
    from repro.paths import Places

    options = _parser().parse_args(arguments)
    for name in options.papers:
        if name not in papers():
            raise UserError(f"there are no published numbers of {name}", did_you_mean(name, papers()))
    names = list(dict.fromkeys(options.papers)) or papers()
    if options.write and (options.out or options.scale or options.all or options.format != "terminal"):
        raise UserError("--write makes results/PAPER/README.md, whole", "leave out --out, --scale, --all and --format")
    if options.format == "html" and len(names) > 1 and not options.out:
        raise UserError(f"html is a page a paper, and {len(names)} are asked for", "name one paper, or --out FOLDER")
    problems: list[UserError] = []
    places = Places.default()
    known = _records(options.source, places, problems)
    make = _write if options.write else _save if options.out else _show
    make(_Asked(options, names, known, places, problems))
    for error in problems:
        print(f"left out: {error}", file=sys.stderr)
    return 1 if problems else 0


@dataclass(frozen=True)
class _Asked:
    """What was asked for: the papers and how they are shown, the records, and the problems met on the way."""

    options: argparse.Namespace
    names: Sequence[str]
    known: Sequence[Any]
    places: Any
    problems: list[Any]

    def each(self, make: Callable[[str], Any]) -> Iterator[tuple[str, Any]]:
        """Yields each paper with what is made of it; a paper whose files are broken is a problem and left out."""
        from repro.errors import UserError

        for name in self.names:
            try:
                yield name, make(name)
            except UserError as error:
                self.problems.append(error)

    def sections(self, paper: str) -> Any:
        """Returns the paper's tables."""
        from repro.ledger.report import sections

        options = self.options
        return sections(paper, self.known, scale=options.scale, everything=options.all, problems=self.problems)

    def report(self, paper: str) -> Any:
        """Returns all that is said of the paper; a page has all of its tables."""
        from repro.ledger.report import report

        everything = self.options.all or self.options.format == "html"
        return report(paper, self.known, scale=self.options.scale, everything=everything, problems=self.problems)


def _records(source: str | None, places: Any, problems: list[Any]) -> list[Any]:
    """Reads the records: those here, those of offline W&B folders, or those of a W&B project."""
    from repro.records.store import read_all, records, wandb_files

    if source is None:
        return records(places, problems)
    if source.startswith(PROJECT):
        from repro.runs.wandb_source import fetch_records

        files, without = fetch_records(source.removeprefix(PROJECT), places.cache_dir / "wandb")
        for line in without:
            print(f"left out: {line}", file=sys.stderr)
        return read_all(files, problems)
    return read_all(wandb_files(Path(source).expanduser()), problems)


def _write(asked: _Asked) -> None:
    """Writes the pages of results/PAPER."""
    from repro.ledger.report import write_overview, write_report

    changed = 0
    made = [
        files for _, files in asked.each(lambda name: write_report(name, asked.known, asked.places, asked.problems))
    ]
    for files in (*made, write_overview(asked.known, asked.places, asked.problems)):
        for file, new in files:
            print(f"{file}: {'written' if new else 'as it was'}")
            changed += new
    print(f"{changed} files written")


def _save(asked: _Asked) -> None:
    """Writes FOLDER/PAPER.EXT for each paper."""
    from repro.records.record import write_whole

    folder = Path(asked.options.out).expanduser()
    gather, text = _FORMATS[asked.options.format]
    for name, made in asked.each(lambda name: gather(asked, name)):
        file = folder / f"{name}.{ENDINGS[asked.options.format]}"
        write_whole(file, text(asked, {name: made}, folder))
        print(file)


def _show(asked: _Asked) -> None:
    """Prints all papers together."""
    gather, text = _FORMATS[asked.options.format]
    made = dict(asked.each(lambda name: gather(asked, name)))
    print(text(asked, made, None), end="")


def _terminal(asked: _Asked, made: _Made, _: Path | None) -> str:
    import shutil

    from repro.ledger.render import WIDTH, terminal

    screen = sys.stdout.isatty() and not asked.options.out
    width = max(WIDTH, shutil.get_terminal_size((WIDTH, 24)).columns) if screen else WIDTH
    parts = []
    for name, found in made.items():
        parts += [terminal(table, width=width, colour=screen) for table in found.tables.values()]
        if found.silent:
            parts.append(f"no run yet for {', '.join(found.silent)} of {name}: --all shows them\n")
    return "\n".join(parts)


def _markdown(_: _Asked, made: _Made, __: Path | None) -> str:
    from repro.ledger.report import as_markdown

    return "\n".join(as_markdown(found) for found in made.values())


def _tex(_: _Asked, made: _Made, __: Path | None) -> str:
    from repro.ledger.tex import HEAD, tex

    parts = [HEAD]
    for name, found in made.items():
        parts += [tex(table) for table in found.tables.values()]
        parts += [f"% no run yet for {', '.join(found.silent)} of {name}: --all shows them\n"] if found.silent else []
    return "\n".join(parts)


def _csv(_: _Asked, made: _Made, __: Path | None) -> str:
    from repro.ledger.export import comma_separated

    return comma_separated({name: found.tables for name, found in made.items()})


def _json(_: _Asked, made: _Made, __: Path | None) -> str:
    from repro.ledger.export import as_json

    return as_json(
        [
            {"paper": name, "tables": one.sections.tables, "not_run": one.sections.silent, "claims": one.judged}
            for name, one in made.items()
        ]
    )


def _html(asked: _Asked, made: _Made, folder: Path | None) -> str:
    from repro.ledger.html import page

    return "".join(
        page(found, asked.known, link=_link(asked.places, folder, name), figures=asked.places.results_dir / name)
        for name, found in made.items()
    )


def _link(places: Any, folder: Path | None, paper: str) -> Callable[[Any], str | None]:
    """Returns how a page leads to kept records: one in results_dir/PAPER does, elsewhere their names must do."""
    kept = (places.results_dir / "records").resolve()
    near = folder is not None and folder.resolve() == (places.results_dir / paper).resolve()

    def link(record: Any) -> str | None:
        inside = near and record.path is not None and record.path.resolve().parent == kept
        return f"../records/{record.path.name}" if inside else None

    return link


_Made = dict[str, Any]
"""By paper: its tables, or all that is said of it."""
_FORMATS: dict[str, tuple[Callable[[_Asked, str], Any], Callable[[_Asked, _Made, Path | None], str]]] = {
    "terminal": (_Asked.sections, _terminal),
    "md": (_Asked.sections, _markdown),
    "tex": (_Asked.sections, _tex),
    "csv": (_Asked.sections, _csv),
    "json": (_Asked.report, _json),
    "html": (_Asked.report, _html),
}
"""What is gathered of a paper, and how some papers become a text."""


def _parser() -> argparse.ArgumentParser:
    from repro.ledger.tables import SCALES

    parser = argparse.ArgumentParser(
        prog="python -m repro table", description="Published tables with our own rows, from records."
    )
    parser.add_argument(
        "papers", nargs="*", metavar="PAPER", help="which papers (default: all that have published numbers)"
    )
    parser.add_argument("--scale", choices=SCALES, help="only this scale's records")
    parser.add_argument(
        "--format", choices=tuple(ENDINGS), default="terminal", help="html: a page with claims, tables and figures"
    )
    parser.add_argument("--out", metavar="FOLDER", help="write FOLDER/PAPER.EXT instead of printing")
    parser.add_argument(
        "--from",
        dest="source",
        metavar="SOURCE",
        help="read the records elsewhere: offline W&B runs under a folder, or wandb:ENTITY/PROJECT",
    )
    parser.add_argument("--all", action="store_true", help="also the published tables that nothing was run for")
    parser.add_argument(
        "--write", action="store_true", help="write results/PAPER/README.md, its figures and the tables in README.md"
    )
    return parser
