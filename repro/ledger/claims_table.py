"""Claims and their verdicts as tables, so that every renderer shows them."""

from __future__ import annotations

from collections.abc import Sequence

from repro.ledger.tables import SCALES, Cell, Notes, Row, Table
from repro.ledger.verdict import NOT_RUN, Judged, JudgedContrast
from repro.ledger.verdicts import MARKS, ours_said, published_said

COLUMNS = ("claim", "published", "holds where", "ours [95% interval]", "p (Holm)", "verdict")
ASIDE = "stands beside the claim and does not decide it"


def claims_tables(judged: Sequence[Judged]) -> dict[str, Table]:
    """Makes a table of the claims of each scale and network, and of those that formulas alone speak of.

    Contrasts stand below their claim, but for those that were not run.

    Args:
        judged: a paper's claims.

    Returns:
        tables by name: "claims tiny tiny/encoder".
    """
    groups: dict[tuple[str, str], list[Judged]] = {}
    for one in judged:
        if one.scale or run_contrasts(one):
            groups.setdefault((one.scale, one.network), []).append(one)
    return {
        " ".join(("claims", *filter(None, place))): _table(f"Claims, {placed(*place)}", groups[place])
        for place in sorted(groups, key=lambda place: (["", *SCALES].index(place[0]), place[1]))
    }


def placed(scale: str, network: str) -> str:
    """Returns "tiny (tiny/encoder)"; where no network stands in, the scale alone; without a scale "by formula"."""
    return f"{scale} ({network})" if network else scale or "by formula"


def _table(title: str, judged: Sequence[Judged]) -> Table:
    notes = Notes()
    rows: list[Row] = []
    for one in judged:
        listed = run_contrasts(one)
        silent = len(one.contrasts) - len(listed)
        said = [f"{silent} of {len(one.contrasts)} contrasts not run"] if listed and silent else []
        marks = notes.mark([*([one.why] if one.why else []), *said])
        holm = Cell() if one.p_holm is None else Cell(one.p_holm, p_said(one.p_holm))
        verdict = Cell(printed=verdict_said(one.verdict), marks=marks)
        rows.append(Row(f"{one.claim.id}: {one.claim.text}", "claim", (Cell(), Cell(), Cell(), holm, verdict)))
        rows += [_contrast_row(contrast, notes) for contrast in listed]
    return Table(f"{title}: {counted(judged)}", COLUMNS, tuple(rows), tuple(notes.texts))


def _contrast_row(one: JudgedContrast, notes: Notes) -> Row:
    aside = notes.mark([ASIDE] if one.aside else [])
    cells = (
        Cell(printed=published_said(one.published)),
        Cell(printed=one.region),
        Cell(one.estimate, ours_said(one), records=one.records),
        Cell(),
        Cell(printed=verdict_said(one.verdict), marks=notes.mark(reasons(one))),
    )
    return Row(one.says, "contrast", cells, aside)


def run_contrasts(one: Judged) -> list[JudgedContrast]:
    """Returns the contrasts that something can be said of."""
    return [part for part in one.contrasts if part.estimate is not None or part.verdict != NOT_RUN]


def counted(judged: Sequence[Judged]) -> str:
    """Returns how many claims have which verdict: "2 reproduced, 1 underpowered"."""
    verdicts = [one.verdict for one in judged]
    return ", ".join(f"{verdicts.count(word)} {word}" for word in MARKS if word in verdicts)


def reasons(one: JudgedContrast) -> list[str]:
    """Returns what must be said of a contrast's verdict: why, and how many seeds would decide."""
    found = [one.why] if one.why else []
    if one.seeds_needed:
        found.append(f"{one.seeds_needed:,} seeds would decide, if mean and spread stayed as they are")
    return found


def verdict_said(verdict: str) -> str:
    """Returns a verdict with its shape."""
    return f"{MARKS[verdict]} {verdict}"


def not_run(judged: Sequence[Judged]) -> list[Judged]:
    """Returns the claims that neither records nor formulas speak of."""
    return [one for one in judged if not one.scale and not run_contrasts(one)]


def p_said(p: float) -> str:
    """Returns a p-value in two digits, a small one as a bound."""
    return "< 0.001" if p < 0.001 else f"{p:.2g}"
