"""The live display of cells that run in other processes, from the small files in which they say how far they are."""

from __future__ import annotations

import contextlib
import json
import threading
from collections.abc import Iterator, Sequence
from typing import Any

from repro.runs.compose import Cell
from repro.runs.lock import holder

FILE = "progress.json"


@contextlib.contextmanager
def live(cells: Sequence[Cell]) -> Iterator[None]:
    """Shows a bar for each cell that is running: steps, loss, time left. For terminals only."""
    from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        TextColumn("{task.completed}/{task.total} steps"),
        TextColumn("{task.fields[loss]}"),
        TimeRemainingColumn(),
    )
    ended = threading.Event()
    with Progress(*columns, transient=True) as progress:
        rows: dict[str, Any] = {}

        def follow() -> None:
            while not ended.wait(0.5):
                for one in cells:
                    _update(progress, rows, one)

        follower = threading.Thread(target=follow, daemon=True)
        follower.start()
        try:
            yield
        finally:
            ended.set()
            follower.join()


def _update(progress: Any, rows: dict[str, Any], one: Cell) -> None:
    """Shows how far a cell is. What a killed process left behind is not shown until somebody goes on with it."""
    try:
        beat = json.loads((one.part / FILE).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        beat = None
    if beat is None or not holder(one):
        if one.identity in rows:
            progress.remove_task(rows.pop(one.identity))
        return
    if one.identity not in rows:
        rows[one.identity] = progress.add_task(one.title, total=beat["steps"], loss="")
    loss = "" if beat["loss"] is None else f"loss {beat['loss']:.3f}"
    progress.update(rows[one.identity], completed=beat["step"], loss=loss)
