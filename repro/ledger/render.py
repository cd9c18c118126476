"""Tables as text: for the terminal (rich) and as Markdown, from the same structure."""

from __future__ import annotations

import io
import re
from collections.abc import Sequence
from typing import Any

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
    if table.below:
        lines += ["", *[f"{line}  " for line in table.below]]
    return "\n".join(lines) + "\n"


def terminal(table: Table, *, width: int = WIDTH, colour: bool = False) -> str:
    """Returns the table for a terminal; without colour it holds no control characters.

    Wide tables have each row's label on a line of its own, and a score's spread below it.
    """
    from rich.console import Console
    from rich.text import Text

    stacked = len(table.columns) > 9
    texts = [[_label(row), *[_text(cell, stacked) for cell in row.cells]] for row in table.rows]
    columns = list(zip(*[[*text] for text in texts], strict=True)) or [()] * len(table.columns)
    widths = [max((len(line) for text in column for line in text.splitlines()), default=0) for column in columns]
    if stacked:
        widths[0] = len(table.columns[0])
    heads = [
        "\n".join(head.rsplit(" ", 1)) if len(head) > room else head
        for head, room in zip(table.columns, widths, strict=True)
    ]
    widths = [max(room, *map(len, head.splitlines() or [""])) for room, head in zip(widths, heads, strict=True)]
    stream = io.StringIO()
    console = Console(
        file=stream,
        width=max(width, sum(widths[1:]) + 2 * len(widths) + min(widths[0], 20)),
        force_terminal=colour,
        no_color=not colour,
        highlight=False,
        color_system="standard" if colour else None,
        legacy_windows=False,
    )
    styles = ["" if row.kind == "published" else "bold" for row in table.rows]
    console.print(Text(table.title, style="bold"))
    if stacked:
        console.print(_grid(heads, widths, []))
        for text, style in zip(texts, styles, strict=True):
            console.print(Text(text[0], style=style))
            console.print(_grid(None, widths, [(["", *text[1:]], style)]))
    else:
        console.print(_grid(heads, widths, list(zip(texts, styles, strict=True))))
    for number, note in enumerate(table.notes, 1):
        console.print(Text(f"{raised([number])} {note}", style="dim"))
    for line in table.below:
        console.print(Text(line, style="dim"))
    return "\n".join(line.rstrip() for line in stream.getvalue().splitlines()) + "\n"


def _grid(heads: Sequence[str] | None, widths: Sequence[int], rows: Sequence[tuple[Sequence[str], str]]) -> Any:
    """Returns rich's table of some lines, with a header or without; all but the first column keep their widths."""
    from rich import box
    from rich.table import Table as Grid
    from rich.text import Text

    grid = Grid(
        box=box.SIMPLE_HEAD,
        padding=(0, 1, 0, 0),
        pad_edge=False,
        show_edge=False,
        header_style="bold",
        show_header=bool(heads),
    )
    for place, (head, room) in enumerate(zip(heads or [""] * len(widths), widths, strict=True)):
        first = place == 0
        grid.add_column(
            Text(head),
            justify="left" if first else "right",
            vertical="top",
            no_wrap=not first,
            overflow="fold",
            min_width=min(room, 20) if first else room,
        )
    for text, style in rows:
        grid.add_row(*map(Text, text), style=style)
    return grid


def shown_columns(table: Table) -> list[int]:
    """Returns the places of the columns, the labels' aside, that hold more than the word that nothing was run."""
    if any(row.kind != "published" for row in table.rows):
        return list(range(1, len(table.columns)))
    return [
        place
        for place in range(1, len(table.columns))
        if {row.cells[place - 1].printed for row in table.rows} - {"", "not run"}
    ]


def raised(numbers: Sequence[int]) -> str:
    """Returns note numbers as raised digits."""
    return ",".join(str(number) for number in numbers).translate(_RAISED)


def _label(row: Row) -> str:
    return ("↳ " if row.label.startswith("ours, ") or row.kind == "contrast" else "") + row.label + raised(row.marks)


def _text(cell: Cell, stacked: bool = False) -> str:
    spread = f"±{cell.spread}" if stacked else f"± {cell.spread}"
    extra = [*([spread] if cell.spread else []), *([f"({cell.n})"] if cell.n else [])]
    return (
        cell.printed
        + raised(cell.marks)
        + "".join(("\n" if stacked and not place else " ") + one for place, one in enumerate(extra))
    )


def _line(cells: Sequence[str]) -> str:
    """Returns a line of a Markdown table; what would end a cell or begin a tag is escaped."""
    return "| " + " | ".join(re.sub(r"\||<(?=[A-Za-z/!])", r"\\\g<0>", cell) for cell in cells) + " |"
