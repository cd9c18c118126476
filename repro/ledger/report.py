"""All that is said of a paper, together: claims, tables, recomputed numbers, figures; and the generated pages."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from repro.errors import UserError
from repro.ledger import claims, verify
from repro.ledger.analyses import Analysis, analyses
from repro.ledger.analysis_figures import analysis_figure
from repro.ledger.baselines import baselines_table
from repro.ledger.claims_table import claims_tables, not_run
from repro.ledger.figures import Figure, claims_forest, training_curves
from repro.ledger.formula import Check
from repro.ledger.published import about, papers, published
from repro.ledger.render import markdown
from repro.ledger.tables import SCALES, Table, describe, paper_table, table_facts
from repro.ledger.verdict import Judged
from repro.ledger.verdicts import counts
from repro.paths import Places
from repro.records.record import Record, write_whole

INTRODUCTION = """# {name}: published and ours

{about}

Written by `python -m repro table {paper} --write` from the records alone; do not edit.

How to read it: below each published row stand our own, one for each scale and network that was run. A tiny or
local network stands in for the published model, so compare rows of one network with each other, not with the
published number. A number is the mean over seeds ± the sample standard deviation. "not run" means that no record
fits the published row. A verdict comes from an interval and a region alone, and is about its scale.
"""


@dataclass(frozen=True)
class Sections:
    """The tables of a paper.

    Attributes:
        tables: by name: those that the paper printed, each followed by its tables of baselines; then the analyses'.
        silent: names of those left out because nothing was run for them.
        baselines: names of the tables of baselines.
    """

    tables: Mapping[str, Table]
    silent: tuple[str, ...]
    baselines: tuple[str, ...] = ()


@dataclass(frozen=True)
class Report:
    """All that is said of a paper.

    Attributes:
        about: what the paper is: name, title, authors, venue, url, about.
        judged: all claims, with their verdicts.
        checks: the numbers that need no training, recomputed.
        figures: planned, not drawn.
        analyses: those that have records.
        not_analysed: names of those that have none.
    """

    paper: str
    about: Mapping[str, Any]
    sections: Sections
    judged: tuple[Judged, ...]
    checks: tuple[Check, ...]
    figures: tuple[Figure, ...]
    analyses: tuple[Analysis, ...] = ()
    not_analysed: tuple[str, ...] = ()


def report(
    paper: str,
    records: Sequence[Record],
    *,
    scale: str | None = None,
    everything: bool = False,
    problems: list[UserError] | None = None,
) -> Report:
    """Gathers what is said of a paper.

    Args:
        records: any records, in any order.
        scale: only this scale's records.
        everything: also tables that nothing was run for.
        problems: a list that takes what is wrong with a record or a claim; the rest is still made.

    Raises:
        UserError: the paper is unknown, or a file of its facts is broken.
    """
    problems = problems if problems is not None else []
    found = sections(paper, records, scale=scale, everything=everything, problems=problems)
    return _report(paper, records, found, scale, problems)


def _report(
    paper: str, records: Sequence[Record], found: Sections, scale: str | None, problems: list[UserError]
) -> Report:
    judged = _judged(paper, records, problems)
    studied, silent = analyses(paper, records, scale)
    drawn = [figure for one in studied if (figure := analysis_figure(one)) is not None]
    return Report(
        paper,
        about(paper, "paper") or {"name": paper},
        found,
        tuple(one for one in judged if scale in (None, one.scale) or not one.scale),
        tuple(_checks(paper)),
        (*figures(paper, records, judged, scale), *drawn),
        tuple(studied),
        tuple(silent),
    )


def _judged(paper: str, records: Sequence[Record], problems: list[UserError]) -> list[Judged]:
    return claims.judged(paper, records, problems) if about(paper, "claims") is not None else []


def _checks(paper: str) -> list[Check]:
    return verify.checks(paper) if paper in verify.papers() else []


def sections(
    paper: str,
    records: Sequence[Record],
    *,
    scale: str | None = None,
    everything: bool = False,
    only_run: bool = False,
    studies: bool = True,
    problems: list[UserError] | None = None,
) -> Sections:
    """Makes a paper's tables, its tables of baselines, and those of its analyses.

    Args:
        scale: only this scale's records.
        everything: also tables that nothing was run for.
        only_run: leave out rows that nothing was run for.
        studies: whether the analyses are wanted.
        problems: a list that takes the records that fit two rows of one table and so stand in neither.
    """
    described = about(paper, "tables") or {}
    tables: dict[str, Table] = {}
    silent: list[str] = []
    baselines: list[str] = []
    for name, facts in table_facts(published(paper)).items():
        title = describe(described, name, facts) + (f" ({scale})" if scale else "")
        table = paper_table(title, facts, records, scale=scale, only_run=only_run, problems=problems)
        run = any(row.kind == "ours" for row in table.rows)
        show = described.get(name, {}).get("show", "when run")
        if everything or (run and show != "when asked") or (show == "always" and not only_run):
            tables[name] = table
        elif not run:
            silent.append(name)
        if run and show != "when asked":
            tables |= (beside := _baselines(paper, name, records, scale))
            baselines += beside
    if studies:
        tables |= {one.name: one.table for one in analyses(paper, records, scale)[0]}
    return Sections(tables, tuple(silent), tuple(baselines))


def _baselines(paper: str, name: str, records: Sequence[Record], scale: str | None) -> dict[str, Table]:
    facts = table_facts(published(paper))[name]
    found = {
        f"{name} baselines {one}": baselines_table(plan, facts, records, one)
        for plan in about(paper, "baselines") or ()
        if plan["table"] == name
        for one in SCALES
        if scale in (None, one)
    }
    return {name: table for name, table in found.items() if table is not None}


def figures(paper: str, records: Sequence[Record], judged: Sequence[Judged], scale: str | None = None) -> list[Figure]:
    """Plans a paper's figures: a scale's contrasts, then its training curves."""
    found = []
    for one in SCALES:
        if scale in (None, one):
            found.append(claims_forest(judged, one))
            for plan in about(paper, "baselines") or ():
                facts = table_facts(published(paper))[plan["table"]]
                found.append(training_curves(plan, facts, records, one))
    return [figure for figure in found if figure is not None]


def markdown_report(
    paper: str,
    records: Sequence[Record],
    *,
    scale: str | None = None,
    everything: bool = False,
    only_run: bool = False,
    problems: list[UserError] | None = None,
) -> str:
    """Returns a paper's tables as Markdown, without those of its analyses."""
    found = sections(
        paper, records, scale=scale, everything=everything, only_run=only_run, studies=False, problems=problems
    )
    return as_markdown(found, silent=not only_run)


def as_markdown(found: Sections, *, silent: bool = True) -> str:
    """Returns tables as Markdown, and the names of those that nothing was run for if they are to be named."""
    text = "\n".join(markdown(table) for table in found.tables.values())
    return text + (f"\nNo run yet for {', '.join(found.silent)}.\n" if found.silent and silent else "")


def claims_markdown(found: Report) -> str:
    """Returns the claims with their verdicts as Markdown, and those that nothing was run for in one line each."""
    parts = [markdown(table) for table in claims_tables(found.judged).values()]
    silent = not_run(found.judged)
    if silent:
        lines = [f"- {one.claim.id} ({one.claim.place}): {one.claim.text}" for one in silent]
        parts.append("\n".join([f"Not run ({len(silent)} of {_claims(found)} claims):", "", *lines, ""]))
    return "\n".join(parts)


def _claims(found: Report) -> int:
    return len({one.claim.id for one in found.judged})


def analyses_markdown(found: Report) -> str:
    """Returns the analyses as Markdown, each figure above its numbers; and the names of those without a run."""
    parts = []
    for one in found.analyses:
        parts += [*_drawn(found, f"analysis-{one.name}"), markdown(one.table)]
    if found.not_analysed:
        parts.append(f"No run yet for {', '.join(found.not_analysed)}.\n")
    return "\n".join(parts)


def recomputed_markdown(found: Report) -> str:
    """Returns the line that sums up the recomputed numbers, and the table of those that differ."""
    table = verify.verify_table(found.checks)
    line = f"{verify.summary(found.checks)}. All of them: `python -m repro verify {found.paper} --all`.\n"
    return f"{line}\n{markdown(table)}" if table.rows else line


def page(found: Report, by_scale: Mapping[str, str]) -> str:
    """Returns results/PAPER/README.md.

    Args:
        by_scale: the tables of each scale as Markdown; empty where nothing was run.
    """
    said = found.about.get("about", "")
    source = ". ".join(str(found.about[key]) for key in ("authors", "title", "venue", "url") if key in found.about)
    parts = [
        INTRODUCTION.format(
            name=found.about["name"], paper=found.paper, about="\n\n".join(part for part in (source, said) if part)
        )
    ]
    if found.judged:
        parts += ["## Claims\n", *_drawn(found, "claims-"), claims_markdown(found)]
    for scale, tables in by_scale.items():
        if tables:
            parts += [f"## Scale {scale}\n", tables, *_drawn(found, "curves-", scale)]
    if not any(by_scale.values()):
        parts.append(f"## Tables\n\nNo record yet. What was published: `python -m repro table {found.paper} --all`.\n")
    if found.analyses or found.not_analysed:
        parts += ["## Analyses\n", analyses_markdown(found)]
    if found.checks:
        parts += ["## Numbers that need no training\n", recomputed_markdown(found)]
    return "\n".join(parts)


def _drawn(found: Report, start: str, end: str = "") -> list[str]:
    return [
        f"![{figure.caption}]({figure.name}.svg)\n"
        for figure in found.figures
        if figure.name.startswith(start) and figure.name.endswith(end)
    ]


def write_report(
    paper: str, records: Sequence[Record], places: Places, problems: list[UserError] | None = None
) -> list[tuple[Path, bool]]:
    """Writes results_dir/PAPER/README.md with its figures, and the marked tables in the README.md beside results_dir.

    Returns:
        the files, each with whether its content changed.

    Raises:
        UserError: a marker has no end, a file cannot be written, or a file of the paper's facts is broken.
    """
    problems = problems if problems is not None else []
    found = _report(paper, records, Sections({}, ()), None, problems)
    only_run: dict[str, str] = {}
    by_scale: dict[str, str] = {}
    for scale in SCALES:
        own = [one for one in records if one.scale == scale]
        only_run[scale] = markdown_report(paper, own, scale=scale, only_run=True, problems=problems) if own else ""
        by_scale[scale] = markdown_report(paper, own, scale=scale) if only_run[scale] else ""
    folder = places.results_dir / paper
    written = [one for figure in found.figures for one in figure.write(folder)]
    written.append((folder / "README.md", _replace(folder / "README.md", page(found, by_scale))))
    top = places.results_dir.parent / "README.md"
    if top.is_file() and _marker(paper) in (text := top.read_text(encoding="utf-8")):
        tables = "\n".join(one for one in only_run.values() if one)
        written.append((top, _replace(top, between_markers(text, paper, tables, top))))
    return written


def overview(records: Sequence[Record], problems: list[UserError] | None = None) -> str:
    """Returns a line a paper as Markdown: how much of it is known, and what our records say of its claims."""
    lines = [
        "| paper | published numbers | claims | recomputed: agree of printed | page |",
        "| :-- | --: | :-- | --: | :-- |",
    ]
    for paper in papers():
        judged = _judged(paper, records, problems if problems is not None else [])
        printed = [check for check in _checks(paper) if check.printed]
        agree = sum(check.agrees() for check in printed)
        cells = (
            (about(paper, "paper") or {}).get("name", paper),
            f"{len(published(paper)):,}",
            counts(judged) if judged else "",
            f"{agree} of {len(printed)}" if printed else "",
            f"[{paper}](results/{paper}/README.md)",
        )
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


def write_overview(
    records: Sequence[Record], places: Places, problems: list[UserError] | None = None
) -> list[tuple[Path, bool]]:
    """Writes the marked overview in the README.md beside results_dir.

    Returns:
        the file, if it has the marker, with whether its content changed.
    """
    top = places.results_dir.parent / "README.md"
    if not top.is_file() or _marker("overview") not in (text := top.read_text(encoding="utf-8")):
        return []
    return [(top, _replace(top, between_markers(text, "overview", overview(records, problems), top)))]


def _marker(paper: str) -> str:
    return f"<!-- table {paper} -->"


def between_markers(text: str, paper: str, tables: str, file: Path) -> str:
    """Puts tables between `<!-- table PAPER -->` and `<!-- /table -->`; a text without the marker stays as it is.

    Raises:
        UserError: the marker has no end.
    """
    start = _marker(paper)
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
