"""All tables of a paper, together: for the terminal, and as the generated pages."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from repro.errors import UserError
from repro.ledger.baselines import baselines_table
from repro.ledger.figures import training_curves
from repro.ledger.published import about, published
from repro.ledger.render import markdown
from repro.ledger.tables import SCALES, Table, describe, paper_table, table_facts
from repro.paths import Places
from repro.records.record import Record, write_whole


@dataclass(frozen=True)
class Sections:
    """The tables of a paper, and the names of those left out because nothing was run for them."""

    tables: tuple[Table, ...]
    silent: tuple[str, ...]


def sections(
    paper: str, records: Sequence[Record], *, scale: str | None = None, everything: bool = False, only_run: bool = False
) -> Sections:
    """Makes a paper's tables, and its tables of baselines.

    Args:
        scale: only this scale's records.
        everything: also tables that nothing was run for.
        only_run: leave out rows that nothing was run for.
    """
    described = about(paper, "tables") or {}
    tables: list[Table] = []
    silent: list[str] = []
    for name, facts in table_facts(published(paper)).items():
        title = describe(described, name, facts) + (f" ({scale})" if scale else "")
        table = paper_table(title, facts, records, scale=scale, only_run=only_run)
        run = any(row.kind == "ours" for row in table.rows)
        show = described.get(name, {}).get("show", "when run")
        if everything or (run and show != "when asked") or (show == "always" and not only_run):
            tables.append(table)
        elif not run:
            silent.append(name)
        if run and show != "when asked":
            tables += _baselines(paper, name, records, scale)
    return Sections(tuple(tables), tuple(silent))


def _baselines(paper: str, name: str, records: Sequence[Record], scale: str | None) -> list[Table]:
    facts = table_facts(published(paper))[name]
    found = [
        baselines_table(plan, facts, records, one)
        for plan in about(paper, "baselines") or ()
        if plan["table"] == name
        for one in SCALES
        if scale in (None, one)
    ]
    return [table for table in found if table is not None]


def markdown_report(
    paper: str, records: Sequence[Record], *, scale: str | None = None, everything: bool = False, only_run: bool = False
) -> str:
    """Returns a paper's tables as Markdown."""
    found = sections(paper, records, scale=scale, everything=everything, only_run=only_run)
    text = "\n".join(markdown(table) for table in found.tables)
    return text + (f"\nNo run yet for {', '.join(found.silent)}.\n" if found.silent and not only_run else "")


def write_report(paper: str, records: Sequence[Record], places: Places, introduction: str) -> list[tuple[Path, bool]]:
    """Writes results_dir/PAPER/README.md with its figures, and the marked tables in the README.md beside results_dir.

    Returns:
        the files, each with whether its content changed.

    Raises:
        UserError: a marker has no end, or a file cannot be written.
    """
    parts = [introduction.format(paper=paper)]
    written = []
    for scale in SCALES:
        parts.append(f"## Scale {scale}\n")
        run = any(
            row.kind == "ours"
            for table in sections(paper, records, scale=scale, only_run=True).tables
            for row in table.rows
        )
        parts.append(markdown_report(paper, records, scale=scale) if run else "No record yet.\n")
        for plan in about(paper, "baselines") or ():
            drawn = training_curves(plan, table_facts(published(paper))[plan["table"]], records, scale)
            if drawn is not None:
                figure = places.results_dir / paper / f"curves-{plan['table']}-{scale}.svg"
                written.append((figure, _replace(figure, drawn)))
                parts.append(f"![Training curves of {plan['table']}, {scale}]({figure.name})\n")
    page = places.results_dir / paper / "README.md"
    written.append((page, _replace(page, "\n".join(parts))))
    top = places.results_dir.parent / "README.md"
    if top.is_file():
        text = top.read_text(encoding="utf-8")
        tables = [markdown_report(paper, records, scale=scale, only_run=True) for scale in SCALES]
        written.append((top, _replace(top, between_markers(text, paper, "\n".join(one for one in tables if one), top))))
    return written


def between_markers(text: str, paper: str, tables: str, file: Path) -> str:
    """Puts tables between `<!-- table PAPER -->` and `<!-- /table -->`; a text without the marker stays as it is.

    Raises:
        UserError: the marker has no end.
    """
    start = f"<!-- table {paper} -->"
    if start not in text:
        return text
    pattern = re.compile(re.escape(start) + r".*?<!-- /table -->", re.DOTALL)
    if not pattern.search(text):
        raise UserError(f"{file}: {start} has no end", "put <!-- /table --> below it")
    return pattern.sub(lambda _: f"{start}\n\n{tables or 'No record yet.' + chr(10)}\n<!-- /table -->", text)


def _replace(file: Path, text: str) -> bool:
    if file.is_file() and file.read_text(encoding="utf-8") == text:
        return False
    write_whole(file, text)
    return True
