"""Lines with styles, wrapped for a terminal."""

from __future__ import annotations

import io
from collections.abc import Sequence

WIDTH = 100


def listing(lines: Sequence[tuple[str, str]], *, width: int = WIDTH, colour: bool = False) -> str:
    """Returns lines wrapped under their own indentation; without colour there are no control characters.

    Args:
        lines: text and rich style of each.
        width: of the terminal, in characters.
    """
    from rich.console import Console
    from rich.text import Text

    stream = io.StringIO()
    console = Console(
        file=stream, width=width, highlight=False, no_color=not colour, force_terminal=colour, legacy_windows=False
    )
    for text, style in lines:
        indent = " " * (len(text) - len(text.lstrip()))
        for line in Text(text.lstrip(), style=style).wrap(console, width - len(indent) - 2):
            line.rstrip()
            console.print(Text(indent) + line)
    return stream.getvalue()
