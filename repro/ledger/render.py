"""Tables as text: for the terminal (rich) and as Markdown, from the same structure."""

from __future__ import annotations

import io
from collections.abc import Sequence

from repro.ledger.tables import Cell, Row, Table

WIDTH = 100
_RAISED = str.maketrans("0123456789,", "⁰¹²³⁴⁵⁶⁷⁸⁹·")


def markdown(table: Table) -> str:
    """Returns the table as Markdown, with its title as a bold line and its notes below."""
    lines = [f"**{table.title}**", "", _line(table.columns), _line([":--", *["--:"] * (len(table.columns) - 1)])]
    lines += [_line([_label(row), *[_text(cell) for cell in row.cells]]) for row in table.rows]
    if not table.rows:
        lines.append(_line(["nothing run yet", *[""] * (len(table.columns) - 1)]))
    if table.notes:
        lines += ["", *[f"{raised([number])} {note}  " for number, note in enumerate(table.notes, 1)]]
    return "\n".join(lines) + "\n"


def terminal(table: Table, *, width: int = WIDTH, colour: bool = False) -> str:
    """Returns the table for a terminal; without colour it holds no control characters.

    Wide tables stack a score's spread below it.
    """
    from rich import box
    from rich.console import Console
    from rich.table import Table as Grid
    from rich.text import Text

    stacked = len(table.columns) > 9
    texts = [[_label(row), *[_text(cell, stacked) for cell in row.cells]] for row in table.rows]
    widths = [
        max((len(line) for text in texts for line in text[place].splitlines()), default=0)
        for place in range(len(table.columns))
    ]
    heads = [
        "\n".join(head.rsplit(" ", 1)) if len(head) > room else head
        for head, room in zip(table.columns, widths, strict=True)
    ]
    widths = [max(room, *map(len, head.splitlines() or [""])) for room, head in zip(widths, heads, strict=True)]
    width = max(width, sum(widths[1:]) + len(widths) + min(widths[0], 20))
    grid = Grid(box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0), pad_edge=False, show_edge=False, header_style="bold")
    for place, head in enumerate(heads):
        grid.add_column(
            Text(head),
            justify="right" if place else "left",
            vertical="top",
            no_wrap=bool(place),
            overflow="fold",
            min_width=widths[place] if place else None,
        )
    for row, text in zip(table.rows, texts, strict=True):
        grid.add_row(*map(Text, text), style="" if row.kind == "published" else "bold")
    stream = io.StringIO()
    console = Console(
        file=stream,
        width=width,
        force_terminal=colour,
        no_color=not colour,
        highlight=False,
        color_system="standard" if colour else None,
        legacy_windows=False,
    )
    console.print(Text(table.title, style="bold"))
    console.print(grid)
    for number, note in enumerate(table.notes, 1):
        console.print(Text(f"{raised([number])} {note}", style="dim"))
    return "\n".join(line.rstrip() for line in stream.getvalue().splitlines()) + "\n"


def raised(numbers: Sequence[int]) -> str:
    """Returns note numbers as raised digits."""
    return ",".join(str(number) for number in numbers).translate(_RAISED)


def _label(row: Row) -> str:
    return ("↳ " if row.label.startswith("ours, ") else "") + row.label + raised(row.marks)


def _text(cell: Cell, stacked: bool = False) -> str:
    spread = f"±{cell.spread}" if stacked else f"± {cell.spread}"
    extra = [*([spread] if cell.spread else []), *([f"({cell.n})"] if cell.n else [])]
    return (
        cell.printed
        + raised(cell.marks)
        + "".join(("\n" if stacked and not place else " ") + one for place, one in enumerate(extra))
    )


def _line(cells: Sequence[str]) -> str:
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"
