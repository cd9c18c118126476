"""Runs that are there already: in runs_dir, or shipped with the project; and what a killed one left."""

from __future__ import annotations

import functools
import json
from pathlib import Path

from repro import paths
from repro.errors import UserError
from repro.records.record import Record, read_record
from repro.runs.compose import Cell

CHECKPOINTS = "checkpoints"


def recorded(cell: Cell) -> Record | None:
    """Returns the cell's record where it ran before, here or before shipping; None where it did not."""
    folder = _folder(cell)
    return None if folder is None else read_record(folder / "record.json")


def resumable(cell: Cell) -> bool:
    """Says whether a run of this cell was cut and left a checkpoint to go on from."""
    return any((cell.part / CHECKPOINTS).glob("*.ckpt"))


def product(cell: Cell) -> Path:
    """Returns the folder that a recorded cell left for others.

    Raises:
        UserError: the run diverged, or what it left was removed.
    """
    folder = _folder(cell)
    assert folder is not None, cell.title
    if folder in shipped().values():
        return folder
    if read_record(folder / "record.json").diverged:
        raise UserError(
            f"{cell.title} diverged, nothing can start from it", f"{folder} says where: change its settings"
        )
    if not (folder / "product").is_dir():
        raise UserError(f"{folder / 'product'} was removed", "run the cell again with rerun=true")
    return folder / "product"


def _folder(cell: Cell) -> Path | None:
    if (cell.folder / "record.json").is_file():
        return cell.folder
    return shipped().get(cell.identity)


@functools.cache
def shipped() -> dict[str, Path]:
    """Returns the folders of data/tiny by the identity of the run that made them."""
    return {
        json.loads(file.read_text(encoding="utf-8"))["identity"]: file.parent
        for file in sorted(paths.TINY.glob("*/record.json"))
    }
