"""Where records lie, and how one is found."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

from repro import paths
from repro.errors import UserError
from repro.paths import Places
from repro.records.record import Record, read_record

DEPTH = 6
"""PAPER/STAGE/SUITE/TASK/IDENTITY is as deep as runs lie; one more for folders of runs."""


def records(places: Places, broken: list[UserError] | None = None) -> list[Record]:
    """Reads the records of runs_dir, the kept ones of results_dir, and those that ship, one for each identity.

    Args:
        broken: a list that takes what is wrong with each record that cannot be used; such a record is left out.

    Returns:
        the records by identity, whatever the order of the files.
    """
    return read_all(record_files(places), broken)


def read_all(files: Iterator[Path] | list[Path], broken: list[UserError] | None = None) -> list[Record]:
    """Reads record files; the first of one identity counts, and broken ones are collected and left out."""
    found: dict[str, Record] = {}
    for file in files:
        try:
            record = read_record(file)
        except UserError as error:
            if broken is not None:
                broken.append(error)
            continue
        found.setdefault(record.identity, record)
    return [found[identity] for identity in sorted(found)]


def record_files(places: Places) -> Iterator[Path]:
    """Yields the files of all records: runs, then kept copies, then shipped ones."""
    yield from run_files(places.runs_dir)
    kept = [places.results_dir / "records"]
    if paths.KEPT.absolute() != kept[0].absolute():
        kept.append(paths.KEPT)
    for folder in kept:
        if folder.is_dir():
            yield from sorted(folder.glob("*.json"))


def run_files(folder: Path, depth: int = DEPTH) -> Iterator[Path]:
    """Yields FOLDER/**/record.json. A run's folder (with record.json or config.yaml) is not looked into further."""
    try:
        with os.scandir(folder) as entries:
            inside = sorted(entries, key=lambda entry: entry.name)
    except (FileNotFoundError, NotADirectoryError, PermissionError):
        return
    names = {entry.name for entry in inside}
    if "record.json" in names:
        yield Path(folder, "record.json")
    elif "config.yaml" not in names and depth:
        for entry in inside:
            if entry.is_dir(follow_symlinks=False) and not entry.name.startswith("."):
                yield from run_files(Path(entry.path), depth - 1)


def wandb_files(folder: Path) -> list[Path]:
    """Returns the record.json files of the offline W&B runs under a folder (FOLDER/**/files/record.json).

    Raises:
        UserError: the folder is missing or holds none.
    """
    if not folder.is_dir():
        raise UserError(f"{folder} is no folder", "--from names a folder of offline W&B runs, such as runs/wandb")
    found = sorted(folder.rglob("files/record.json"))
    if not found:
        raise UserError(
            f"{folder} holds no offline W&B run with a record", "a run writes files/record.json when it ends"
        )
    return found


def find(name: str, places: Places) -> Record:
    """Finds one record.

    Args:
        name: the beginning of an identity, a run's folder, or a record file.

    Raises:
        UserError: there is none, or several fit.
    """
    place = Path(name).expanduser()
    if place.is_file():
        return read_record(place)
    if (place / "record.json").is_file():
        return read_record(place / "record.json")
    if place.is_dir():
        raise UserError(
            f"{place} holds no record.json", "the run has not ended: start it again, it goes on where it stopped"
        )
    broken: list[UserError] = []
    known = records(places, broken)
    fits = [record for record in known if record.identity.startswith(name)]
    if len(fits) > 1:
        raise UserError(f"{name} fits {', '.join(record.identity for record in fits)}", "give more digits")
    if not fits:
        unreadable = [error for error in broken if f"/{name}" in error.what]
        if unreadable:
            raise unreadable[0]
        raise UserError(
            f"there is no run {name}", f"{len(known)} are known under {places.runs_dir} and {places.results_dir}"
        )
    return fits[0]
