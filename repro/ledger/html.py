"""A paper's report as one HTML page: no script, no file beside it, readable on a phone, on paper and by a voice."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from html import escape
from pathlib import Path

from repro.ledger import verify
from repro.ledger.claims_table import ASIDE, p_said, placed, reasons, run_contrasts
from repro.ledger.figures import VERDICT_COLOURS, Figure
from repro.ledger.forest import Line, line
from repro.ledger.render import shown_columns
from repro.ledger.report import Report, Sections
from repro.ledger.tables import Cell, Row, Table, seeds_said
from repro.ledger.verdict import (
    NOT_COMPARABLE,
    NOT_REPRODUCED,
    NOT_RUN,
    REPRODUCED,
    UNDERPOWERED,
    Judged,
    JudgedContrast,
)
from repro.ledger.verdicts import MARKS, ours_said, published_said
from repro.records.record import Record

STYLE = Path(__file__).with_name("page.css")
SHAPES = {
    REPRODUCED: '<circle cx="8" cy="8" r="6.5"/><path class="in" d="M4.6 8.3 7 10.7l4.4-5"/>',
    NOT_REPRODUCED: '<rect x="1.5" y="1.5" width="13" height="13"/><path class="in" d="m5 5 6 6m0-6-6 6"/>',
    UNDERPOWERED: '<circle class="hollow" cx="8" cy="8" r="6.5"/><path d="M8 1.5a6.5 6.5 0 0 1 0 13z"/>',
    NOT_COMPARABLE: '<path d="M8 1 15 8l-7 7-7-7z"/><path class="in" d="M4.5 8h7"/>',
    NOT_RUN: '<circle class="hollow dashed" cx="8" cy="8" r="6.5"/>',
}
"""A verdict is told by its word, by its shape and only then by its colour."""
WIDTH, HEIGHT, MARGIN = 300, 40, 8
Link = Callable[[Record], str | None]
"""Where a record's file lies, seen from the page; None where it lies nowhere that can be linked to."""


@dataclass
class Provenance:
    """Numbers the groups of records that cells were made from, so that each cell can point at its own."""

    records: Mapping[str, Record]
    groups: dict[tuple[str, ...], str] = field(default_factory=dict)
    said: dict[str, str] = field(default_factory=dict)
    used: set[str] = field(default_factory=set)

    def anchor(self, identities: Sequence[str], what: str) -> str | None:
        """Returns the anchor of a record, or of a group of them, which is listed; None for no records."""
        known = {one: self.records[one] for one in identities if one in self.records}
        key = tuple(sorted(known, key=lambda one: (known[one].paper, known[one].task, known[one].seed, one)))
        self.used.update(key)
        if len(key) < 2:
            return f"record-{key[0]}" if key else None
        if key not in self.groups:
            self.groups[key] = f"records-{len(self.groups) + 1}"
            self.said[self.groups[key]] = what
        return self.groups[key]


def page(report: Report, records: Iterable[Record], *, link: Link = lambda _: None, figures: Path | None = None) -> str:
    """Returns the page.

    Args:
        report: with all tables.
        records: those that the report was made from.
        link: where the file of each of them is, for the list of records.
        figures: the folder of figures that need not be drawn anew.
    """
    behind = Provenance({one.identity: one for one in records})
    parts = {
        "summary": ("Summary", _summary(report)),
        "claims": ("Claims", _claims(report.judged, behind)),
        "tables": ("Tables", _tables(report, behind)),
        "recomputed": ("Numbers that need no training", _recomputed(report)),
        "figures": ("Figures", "".join(_figure(one, place, figures) for place, one in enumerate(report.figures))),
    }
    parts["records"] = ("Records", _records(behind, link))
    shown = {anchor: part for anchor, part in parts.items() if part[1]}
    contents = "".join(f'<li><a href="#{anchor}">{title}</a></li>' for anchor, (title, _) in shown.items())
    body = "".join(
        f'<section id="{anchor}" aria-labelledby="{anchor}-title"><h2 id="{anchor}-title">{title}</h2>{content}'
        "</section>"
        for anchor, (title, content) in shown.items()
    )
    return (
        f'<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        '<meta name="color-scheme" content="light dark">\n'
        f"<title>{escape(report.about['name'])}: published and ours</title>\n"
        f"<style>\n{STYLE.read_text(encoding='utf-8')}{_verdict_style()}</style>\n</head>\n<body>\n{_symbols()}"
        f'<a class="skip" href="#summary">Skip to the summary</a>\n{_header(report)}'
        f'<nav aria-label="Contents"><ul>{contents}</ul></nav>\n<main>\n{body}</main>\n{_footer(report)}'
        "</body>\n</html>\n"
    )


def _verdict_style() -> str:
    return "".join(f".v-{_slug(word)} {{ fill: {colour}; }}\n" for word, colour in VERDICT_COLOURS.items())


def _symbols() -> str:
    symbols = "".join(
        f'<symbol id="v-{_slug(word)}" viewBox="0 0 16 16">{shape}</symbol>' for word, shape in SHAPES.items()
    )
    return f'<svg class="symbols" aria-hidden="true" width="0" height="0">{symbols}</svg>\n'


def _slug(text: str) -> str:
    return re.sub(r"[^A-Za-z0-9]+", "-", text).strip("-")


def _header(report: Report) -> str:
    about = report.about
    source = ", ".join(escape(str(about[key])) for key in ("authors", "venue") if about.get(key))
    title = f"<cite>{escape(about['title'])}</cite>" if about.get("title") else ""
    url = f'<a href="{escape(about["url"])}">{escape(about["url"].partition("//")[2])}</a>' if about.get("url") else ""
    said = ". ".join(part for part in (title, source, url) if part)
    return (
        f"<header><h1>{escape(about['name'])}: published and ours</h1>"
        + (f'<p class="source">{said}</p>' if said else "")
        + (f"<p>{escape(about['about'])}</p>" if about.get("about") else "")
        + "</header>\n"
    )


def _footer(report: Report) -> str:
    return (
        f"<footer><p>Made by <code>python -m repro table {escape(report.paper)} --format html</code> from records and "
        "published numbers alone.</p></footer>\n"
    )


def mark(verdict: str) -> str:
    """Returns a verdict as a coloured shape and its word."""
    return (
        f'<span class="verdict"><svg class="mark v-{_slug(verdict)}" width="16" height="16" aria-hidden="true">'
        f'<use href="#v-{_slug(verdict)}"/></svg> {escape(verdict)}</span>'
    )


def _summary(report: Report) -> str:
    """Returns the strip of counts: verdicts for each scale, recomputed numbers, published numbers with a run."""
    boxes = []
    for scale, network in dict.fromkeys((one.scale, one.network) for one in report.judged if one.scale):
        found = [one for one in report.judged if (one.scale, one.network) == (scale, network)]
        boxes.append((f"Claims, {placed(scale, network)}", _verdict_counts(found)))
    silent = [one for one in report.judged if not one.scale]
    if silent:
        boxes.append(("Claims without a run", _verdict_counts(silent)))
    if report.checks:
        summary = verify.summary(report.checks).split("; ")
        boxes.append(("Numbers that need no training", "".join(f"<li>{escape(part)}</li>" for part in summary)))
    boxes.append(("Published numbers", _run_cells(report.sections)))
    return (
        '<div class="strip">'
        + "".join(f'<div><h3>{escape(title)}</h3><ul class="plain">{items}</ul></div>' for title, items in boxes)
        + "</div>"
    )


def _verdict_counts(found: Sequence[Judged]) -> str:
    verdicts = [one.verdict for one in found]
    return "".join(
        f'<li><strong class="count">{verdicts.count(word)}</strong> {mark(word)}</li>'
        for word in MARKS
        if word in verdicts
    )


def _run_cells(sections: Sections) -> str:
    """Says beside how many of the published numbers a run of ours stands, and how many records the tables rest on."""
    shown = beside = 0
    for name, table in sections.tables.items():
        values: set[int] = set()
        for row in table.rows if name not in sections.baselines else ():
            places = {place for place, cell in enumerate(row.cells) if cell.value is not None}
            if row.kind == "published":
                values, shown = places, shown + len(places)
            else:
                beside += len(values & places)
                values -= places
    rows = [row for table in sections.tables.values() for row in table.rows]
    used = {identity for row in rows for cell in row.cells for identity in cell.records}
    words = [
        f"{beside:,} of {shown:,} have a run of ours beside them",
        f"{len(used):,} records stand behind the tables",
    ]
    return "".join(f"<li>{part}</li>" for part in words)


def _claims(judged: Sequence[Judged], behind: Provenance) -> str:
    by_claim: dict[str, list[Judged]] = {}
    for one in judged:
        by_claim.setdefault(one.claim.id, []).append(one)
    run = [found for found in by_claim.values() if found[0].scale]
    silent = [found for found in by_claim.values() if not found[0].scale]
    drawn = any(part.estimate is not None for one in judged for part in one.contrasts)
    parts = [_legend()] if drawn else []
    parts += [_claim(found, behind, "h3") for found in run]
    if silent:
        parts.append(f"<h3>Claims without a run ({len(silent)} of {len(by_claim)})</h3>")
        parts += [_claim(found, behind, "h4") for found in silent]
    return "".join(parts)


def _legend() -> str:
    example = Line(0, 1, (0.35, 1.0), 0.8, 0.55, (0.42, 0.7))
    return (
        f'<figure class="legend">{_drawing(example, REPRODUCED, "An example of the drawing")}<figcaption>How to read a '
        "line: the shade is the region in which the claim holds, the hollow diamond what was published, the filled "
        "mark with its line ours with the 95% interval (an arrow: it goes on). An interval inside the region is "
        "<em>reproduced</em>, outside it <em>not reproduced</em>, across its edge <em>underpowered</em>; where an "
        "ingredient is missing, <em>not comparable</em>. A verdict is about its scale.</figcaption></figure>"
    )


def _claim(found: Sequence[Judged], behind: Provenance, heading: str) -> str:
    claim = found[0].claim
    needs = f" · needs {escape('; '.join(claim.needs))}" if claim.needs else ""
    return (
        f'<article class="claim" id="claim-{_slug(claim.id)}"><{heading}><span class="id">{escape(claim.id)}</span> '
        f"{escape(claim.text)}</{heading}>"
        f'<p class="muted">{escape(claim.place)} · {escape(claim.kind)}{needs}</p>'
        + "".join(_judged(one, behind, first=one is found[0]) for one in found)
        + "</article>"
    )


def _judged(one: Judged, behind: Provenance, *, first: bool) -> str:
    """Returns a claim's verdict at one scale; contrasts that were not run are listed in the first alone."""
    where = f" at scale {escape(placed(one.scale, one.network))}" if one.scale else ""
    why = f": {escape(one.why)}" if one.why else ""
    holm = f" · p {escape(p_said(one.p_holm))}, adjusted over the claims (Holm)" if one.p_holm is not None else ""
    command = f'<p class="muted">To move it: <code>{escape(one.command)}</code></p>' if one.command else ""
    listed = one.contrasts if first else run_contrasts(one)
    contrasts = "".join(_contrast(part, one, behind) for part in listed)
    return (
        f'<div class="judged"><p>{mark(one.verdict)}{where}{why}{holm}</p>'
        f'<ul class="contrasts">{contrasts}</ul>{command}</div>'
    )


def _contrast(one: JudgedContrast, judged: Judged, behind: Provenance) -> str:
    place = line(one) if one.estimate is not None else None
    facts = {} if one.published is None else {"published": escape(published_said(one.published))}
    facts["holds where"] = escape(one.region)
    if one.estimate is not None:
        facts["ours"] = _linked(escape(ours_said(one)), one.records, f"{judged.claim.id}: {one.says}", behind)
    said = "".join(f"<div><dt>{name}</dt><dd>{value}</dd></div>" for name, value in facts.items())
    verdict = mark(one.verdict) if len(judged.contrasts) > 1 and (judged.scale or one.estimate is not None) else ""
    known = reasons(one) if verdict else [reason for reason in reasons(one) if reason not in judged.why]
    sub = ": ".join(part for part in (verdict, escape("; ".join([*known, *([ASIDE] if one.aside else [])]))) if part)
    words = f"Ours {ours_said(one)}; published {published_said(one.published)}; holds where {one.region}"
    return (
        f"<li><p>{escape(one.says)}</p>"
        + (_drawing(place, one.verdict, words) if place else "")
        + f"<dl>{said}</dl>{f'<p>{sub}</p>' if sub else ''}</li>"
    )


def _drawing(place: Line, verdict: str, words: str) -> str:
    """Returns a contrast's line as SVG."""
    middle = HEIGHT / 2 - 4

    def x(where: float) -> str:
        return f"{MARGIN + where * (WIDTH - 2 * MARGIN):.1f}"

    parts = [f'<line class="axis" x1="{x(0)}" x2="{x(1)}" y1="{middle}" y2="{middle}"/>']
    if place.region:
        low, high = place.region
        width = (high - low) * (WIDTH - 2 * MARGIN)
        parts.append(f'<rect class="region" x="{x(low)}" y="3" width="{width:.1f}" height="{2 * middle - 6}"/>')
        parts += [
            f'<line class="edge" x1="{x(edge)}" x2="{x(edge)}" y1="1" y2="{2 * middle - 1}"/>'
            for edge in place.region
            if 0 < edge < 1
        ]
    if place.interval:
        low, high = place.interval
        parts.append(f'<line class="interval" x1="{x(low)}" x2="{x(high)}" y1="{middle}" y2="{middle}"/>')
        parts.append(_end(float(x(low)), middle, -5 if place.open_left else 0))
        parts.append(_end(float(x(high)), middle, 5 if place.open_right else 0))
    if place.published is not None:
        parts.append(f'<path class="published" d="M{x(place.published)} {middle - 7}l7 7-7 7-7-7z"/>')
    if place.estimate is not None:
        mark_x = float(x(place.estimate)) - 6
        name = f"v-{_slug(verdict)}"
        parts.append(
            f'<use class="ours {name}" href="#{name}" x="{mark_x:.1f}" y="{middle - 6}" width="12" height="12"/>'
        )
    parts.append(f'<text x="{x(0)}" y="{HEIGHT - 1}">{_short(place.left)}</text>')
    parts.append(f'<text class="right" x="{x(1)}" y="{HEIGHT - 1}">{_short(place.right)}</text>')
    return (
        f'<svg class="forest" viewBox="0 0 {WIDTH} {HEIGHT}" role="img"><title>{escape(words)}</title>'
        f"{''.join(parts)}</svg>"
    )


def _short(number: float) -> str:
    return f"{number:,.0f}" if abs(number) >= 1000 else f"{number:.3g}"


def _end(x: float, y: float, arrow: int) -> str:
    """Returns the end of an interval: a bar, or an arrow where it goes on."""
    if arrow:
        return f'<path class="interval" d="M{x - arrow} {y - 5}l{arrow} 5 {-arrow} 5" fill="none"/>'
    return f'<line class="interval" x1="{x}" x2="{x}" y1="{y - 4}" y2="{y + 4}"/>'


def _tables(report: Report, behind: Provenance) -> str:
    tables = report.sections.tables
    run = [name for name, table in tables.items() if any(row.kind == "ours" for row in table.rows)]
    said = (
        f"With runs of ours: {', '.join(_to_table(name) for name in run)}."
        if run
        else "Nothing was run for any table yet."
    )
    intro = (
        f"<p>{said} Ours stand below the published row that they are about: the mean over seeds ± the sample standard "
        "deviation, one row for each scale and network. A tiny or local network stands in for the published model: "
        "compare rows of one network with each other. Each of our numbers leads to its records.</p>"
    )
    return intro + "".join(table_section(name, table, behind) for name, table in tables.items())


def _to_table(name: str) -> str:
    return f'<a href="#table-{_slug(name)}">{escape(name)}</a>'


def table_section(name: str, table: Table, behind: Provenance) -> str:
    """Returns a table in a box of its own that scrolls sideways, with its notes below."""
    anchor = f"table-{_slug(name)}"
    kept = [0, *shown_columns(table)]
    heads = "".join(f'<th scope="col">{escape(table.columns[place])}</th>' for place in kept)
    rows, about = "", ""
    for row in table.rows:
        about = row.label if row.kind == "published" else about
        where = f"{name}, {about}" if row.label.startswith(about) else f"{name}, {about}, {row.label}"
        rows += _row(row, kept, where, table.columns, anchor, behind)
    notes = "".join(f'<li id="{anchor}-{number}">{escape(note)}</li>' for number, note in enumerate(table.notes, 1))
    below = "".join(f"<p>{escape(words)}</p>" for words in table.below)
    return (
        f'<section class="table" id="{anchor}" aria-labelledby="{anchor}-title"><h3 id="{anchor}-title">'
        f'{escape(name)}</h3><div class="scroll" role="region" tabindex="0" aria-labelledby="{anchor}-title"><table>'
        f"<caption><span>{escape(table.title)}</span></caption><thead><tr>{heads}</tr></thead><tbody>{rows}</tbody>"
        f'</table></div><div class="notes">{f"<ol>{notes}</ol>" if notes else ""}{below}</div></section>'
    )


def _row(row: Row, kept: Sequence[int], where: str, columns: Sequence[str], anchor: str, behind: Provenance) -> str:
    cells = "".join(
        f"<td>{_cell(row.cells[place - 1], f'{where}, {columns[place]}', anchor, behind)}</td>" for place in kept[1:]
    )
    label = f"{escape(row.label)}{_marks(row.marks, anchor)}"
    return f'<tr class="{row.kind}"><th scope="row">{label}</th>{cells}</tr>'


def _cell(cell: Cell, what: str, anchor: str, behind: Provenance) -> str:
    spread = f' <span class="spread">± {escape(cell.spread)}</span>' if cell.spread else ""
    seeds = f' <span class="spread">({seeds_said(cell.n)})</span>' if cell.n else ""
    return _linked(escape(cell.printed), cell.records, what, behind) + spread + seeds + _marks(cell.marks, anchor)


def _linked(text: str, identities: Sequence[str], what: str, behind: Provenance) -> str:
    target = behind.anchor(identities, what)
    return f'<a href="#{target}">{text}</a>' if target and text else text


def _marks(marks: Sequence[int], anchor: str) -> str:
    links = ",".join(f'<a href="#{anchor}-{number}">{number}</a>' for number in marks)
    return f"<sup>{links}</sup>" if marks else ""


def _recomputed(report: Report) -> str:
    if not report.checks:
        return ""
    table = verify.verify_table(report.checks)
    line = f"<p>{escape(verify.summary(report.checks))}.</p>"
    return line + (table_section("Numbers that differ", table, Provenance({})) if table.rows else "")


def _figure(figure: Figure, place: int, folder: Path | None) -> str:
    drawn = figure.svg(folder)
    drawn = drawn[drawn.index("<svg") :]
    prefix = f"figure{place}-"
    drawn = re.sub(r'\bid="', f'id="{prefix}', drawn)
    drawn = re.sub(r'(href="|url\()#', rf"\1#{prefix}", drawn)
    drawn = drawn.replace("<svg", f'<svg role="img" aria-label="{escape(figure.caption)}"', 1)
    drawn = re.sub(r"<metadata>.*?</metadata>", "", drawn, flags=re.DOTALL)
    caption = f"<figcaption>{escape(figure.caption)}</figcaption>"
    return f'<figure class="drawn"><div class="paper">{drawn}</div>{caption}</figure>'


def _records(behind: Provenance, link: Link) -> str:
    """Returns the groups of records that cells stand on, and below them the table of all records with their files."""
    if not behind.used:
        return ""
    groups = "".join(
        f'<li id="{anchor}"><span class="muted">{escape(behind.said[anchor])}:</span> {_to_records(identities)}</li>'
        for identities, anchor in behind.groups.items()
    )
    used = sorted((behind.records[one] for one in behind.used), key=lambda one: (one.file_name, one.identity))
    heads = "".join(f'<th scope="col">{name}</th>' for name in ("record", *_RECORD, "file"))
    return (
        f'<h3 id="groups-title">Behind each number</h3><ol class="records">{groups}</ol>'
        '<h3 id="files-title">All of them</h3><div class="scroll" role="region" tabindex="0" '
        f'aria-labelledby="files-title"><table class="words"><caption><span>The {len(used):,} records behind this page'
        f"</span></caption><thead><tr>{heads}</tr></thead><tbody>{''.join(_record(one, link) for one in used)}</tbody>"
        "</table></div>"
    )


def _to_records(identities: Iterable[str]) -> str:
    return " ".join(f'<a href="#record-{one}">{one}</a>' for one in identities)


_RECORD = ("paper", "task", "network", "scale", "seed")


def _record(record: Record, link: Link) -> str:
    target = link(record)
    file = escape(record.file_name)
    cells = [*(escape(str(getattr(record, name))) for name in _RECORD)]
    cells.append(f'<a href="{escape(target)}">{file}</a>' if target else file)
    return (
        f'<tr id="record-{record.identity}"><th scope="row">{record.identity}</th>'
        f"{''.join(f'<td>{cell}</td>' for cell in cells)}</tr>"
    )
