"""Curves of a run as a small plot of braille dots, for the terminal."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from pathlib import Path

from repro.errors import UserError

_DOTS = ((0x01, 0x02, 0x04, 0x40), (0x08, 0x10, 0x20, 0x80))
Points = Sequence[tuple[float, float]]


def read_curves(file: Path) -> dict[str, list[tuple[float, float]]]:
    """Reads metrics.jsonl: by the name of what was measured, the steps and values.

    Raises:
        UserError: a line is broken; file and line are named.
    """
    curves: dict[str, list[tuple[float, float]]] = {}
    for number, line in enumerate(file.read_text(encoding="utf-8").splitlines(), 1):
        try:
            point = json.loads(line)
            step = point["step"]
            values = {name: value for name, value in point.items() if name not in ("step", "epoch")}
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise UserError(
                f"{file} line {number} is broken ({error})", "the record stands; the curve from there on is lost"
            ) from None
        for name, value in values.items():
            if isinstance(value, int | float) and math.isfinite(value):
                curves.setdefault(name, []).append((step, value))
    return curves


def plot(points: Points, *, width: int = 60, height: int = 8) -> list[str]:
    """Draws a curve.

    Args:
        points: steps and values.
        width: of the drawing, in characters of two dots.
        height: in lines of four dots.

    Returns:
        lines: the drawing with the largest and smallest value at its left, and the first and last step below.
    """
    steps, values = [x for x, _ in points], [y for _, y in points]
    low, high, first, last = min(values), max(values), min(steps), max(steps)
    grid = [[0] * width for _ in range(height)]
    columns, lines = 2 * width - 1, 4 * height - 1
    place = [
        (round((x - first) / ((last - first) or 1) * columns), round((high - y) / ((high - low) or 1) * lines))
        for x, y in sorted(points)
    ]
    for (x0, y0), (x1, y1) in zip(place, place[1:] or place, strict=False):
        for number in range(dots := max(abs(x1 - x0), abs(y1 - y0), 1) + 1):
            x, y = round(x0 + (x1 - x0) * number / (dots - 1)), round(y0 + (y1 - y0) * number / (dots - 1))
            grid[y // 4][x // 2] |= _DOTS[x % 2][y % 4]
    names = [_short(high), *[""] * (height - 2), _short(low)]
    room = max(len(name) for name in names)
    drawn = [
        f"{name:>{room}} ┤{''.join(chr(0x2800 + dots) for dots in line)}"
        for name, line in zip(names, grid, strict=True)
    ]
    axis = f"step {first:g}"
    return [*drawn, " " * (room + 2) + axis + f"{last:g}".rjust(width - len(axis))]


def _short(value: float) -> str:
    return f"{value:.4g}"
