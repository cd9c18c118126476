"""Tables as LaTeX with booktabs, for pdflatex."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence
from dataclasses import replace

from repro.ledger.render import shown_columns
from repro.ledger.tables import Cell, Row, Table

HEAD = "% needs \\usepackage{booktabs,longtable,graphicx}\n"
WIDE, LABEL, LONG = 78, 30, 30
"""A table of more signs in a line (a label counts as LABEL) is made as wide as the text; one of more rows may go over
several pages."""

_SPECIAL = {
    "\\": r"\textbackslash{}",
    "{": r"\{",
    "}": r"\}",
    "$": r"\$",
    "&": r"\&",
    "#": r"\#",
    "%": r"\%",
    "_": r"\_",
    "^": r"\textasciicircum{}",
    "~": r"\textasciitilde{}",
    "<": r"$<$",
    ">": r"$>$",
    "|": r"$|$",
    '"': "''",
    "±": r"$\pm$",
    "×": r"$\times$",
    "·": r"$\cdot$",
    "≥": r"$\ge$",
    "≤": r"$\le$",
    "≈": r"$\approx$",
    "≠": r"$\ne$",
    "→": r"$\to$",
    "−": r"$-$",
    "∞": r"$\infty$",
    "°": r"$^\circ$",
    "–": "--",
    "—": "---",
    "…": r"\dots{}",
    "“": "``",
    "”": "''",
    "‘": "`",
    "’": "'",
    "\n": " ",
}
_GREEK = {
    name.lower(): rf"$\{name.lower()}$"
    for name in (
        "alpha",
        "beta",
        "gamma",
        "delta",
        "epsilon",
        "eta",
        "theta",
        "kappa",
        "mu",
        "pi",
        "rho",
        "sigma",
        "tau",
        "phi",
        "chi",
        "psi",
        "omega",
    )
}


def escaped(text: str) -> str:
    """Returns a text as pdflatex takes it; a letter that it has no form for becomes its code, as [U+4E00]."""
    return "".join(map(_sign, unicodedata.normalize("NFC", text)))


def _sign(sign: str) -> str:
    if sign in _SPECIAL:
        return _SPECIAL[sign]
    if sign.isascii():
        return sign if sign.isprintable() else " "
    name = unicodedata.name(sign, "")
    greek = name.removeprefix("GREEK SMALL LETTER ").lower()
    if greek in _GREEK:
        return _GREEK[greek]
    base = unicodedata.normalize("NFKD", sign)
    if base[0].isascii() and base[0].isalpha() and len(base) == 2 and ord(sign) < 0x180:
        return sign
    return base if base.isascii() else f"[U+{ord(sign):04X}]"


def tex(table: Table) -> str:
    """Returns a table with its title above and its notes below; HEAD names the packages that it needs."""
    kept = shown_columns(table)
    rows = tuple(replace(row, cells=tuple(row.cells[place - 1] for place in kept)) for row in table.rows)
    table = replace(table, columns=(table.columns[0], *(table.columns[place] for place in kept)), rows=rows)
    body = [
        *[_row(row) for row in table.rows],
        *([f"nothing run yet{' &' * (len(table.columns) - 1)} \\\\"] if not table.rows else []),
    ]
    notes = [rf"\textsuperscript{{{number}}} {escaped(note)}\par" for number, note in enumerate(table.notes, 1)]
    notes += [rf"{escaped(line)}\par" for line in table.below]
    heads = " & ".join(map(escaped, table.columns)) + r" \\"
    frame = _long if len(body) > LONG else _short
    lines = frame(escaped(table.title), len(table.columns), heads, body, notes, wide=_width(table) > WIDE)
    return "\n".join(lines) + "\n"


def _width(table: Table) -> int:
    """Returns about how many signs a line of the table has, its label cut at LABEL."""
    columns = zip(*[[one.printed + one.spread + " " * 5 for one in row.cells] for row in table.rows], strict=True)
    cells = [max(map(len, column), default=0) for column in columns]
    return LABEL + sum(max(*pair) for pair in zip(cells, [len(head) + 2 for head in table.columns[1:]], strict=False))


def _short(title: str, columns: int, heads: str, body: Sequence[str], notes: Sequence[str], *, wide: bool) -> list[str]:
    opening, closing = (r"\resizebox{\textwidth}{!}{%", "}") if wide else ("", "")
    lines = [
        r"\begin{table}[htbp]",
        rf"\caption{{{title}}}",
        r"\centering\small",
        opening,
        _columns("tabular", columns, first="l" if wide else "p{5cm}"),
        r"\toprule",
        heads,
        r"\midrule",
        *body,
        r"\bottomrule",
        r"\end{tabular}" + closing,
        *([r"\par\medskip\raggedright\footnotesize", *notes] if notes else []),
        r"\end{table}",
    ]
    return [line for line in lines if line]


def _long(title: str, columns: int, heads: str, body: Sequence[str], notes: Sequence[str], *, wide: bool) -> list[str]:
    size = r"\tiny\setlength{\tabcolsep}{2pt}" if wide else r"\footnotesize"
    head = [r"\toprule", heads, r"\midrule"]
    return [
        rf"{{{size}",
        _columns("longtable", columns, first="p{3cm}"),
        rf"\caption{{{title}}}\\",
        *head,
        r"\endfirsthead",
        *head,
        r"\endhead",
        r"\bottomrule",
        r"\endfoot",
        *body,
        r"\end{longtable}",
        *([r"\raggedright\footnotesize", *notes] if notes else []),
        r"}",
    ]


def _columns(environment: str, columns: int, *, first: str) -> str:
    return rf"\begin{{{environment}}}{{@{{}}{first}{'r' * (columns - 1)}@{{}}}}"


def _row(row: Row) -> str:
    arrow = r"$\hookrightarrow$ " if row.kind in ("ours", "contrast") else ""
    return " & ".join([arrow + escaped(row.label) + _marks(row.marks), *map(_cell, row.cells)]) + r" \\"


def _cell(cell: Cell) -> str:
    printed = re.sub(r"^-(?=[\d.])", "$-$", escaped(cell.printed))
    spread = rf" $\pm$ {escaped(cell.spread)}" if cell.spread else ""
    return printed + _marks(cell.marks) + spread + (f" ({cell.n})" if cell.n else "")


def _marks(marks: Sequence[int]) -> str:
    return rf"\textsuperscript{{{','.join(map(str, marks))}}}" if marks else ""
