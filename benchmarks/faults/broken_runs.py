"""Checkpoints and records that are torn, altered or of another version: named, never trusted, never overwritten."""

from __future__ import annotations

import json
import random
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

from faults.children import command, in_child
from faults.kills import Kill, around
from faults.rows import Row
from faults.small_runs import altered, composed, digests, left, words

CHECKPOINT_FAULTS: dict[str, Callable[[bytes, random.Random], bytes]] = {
    "truncated": lambda content, chance: content[: chance.randrange(len(content))],
    "bit-flipped": lambda content, chance: _flipped(content, chance.randrange(120, len(content))),
    "of another version": lambda content, chance: content.replace(b"checkpoint 1", b"checkpoint 9", 1),
    "empty": lambda content, chance: b"",
}
RECORD_FAULTS: dict[str, Callable[[bytes, random.Random], bytes]] = {
    "truncated": lambda content, chance: content[: chance.randrange(len(content))],
    "bit-flipped": lambda content, chance: _flipped(content, chance.randrange(len(content))),
    "edited by hand": lambda content, chance: _edited(content),
    "of another schema": lambda content, chance: content.replace(b'"schema": 1', b'"schema": 9', 1),
    "empty": lambda content, chance: b"",
}


def broken_runs(folder: Path, network: Path, chance: random.Random, *, count: int) -> Iterator[Row]:
    """Breaks checkpoints of cut runs and records of finished ones.

    Args:
        folder: an empty one, for runs.
        network: the small network.
        chance: chooses where they are broken.
        count: of each kind of fault.
    """
    overrides = words("lora", network, folder / "whole")
    ended = in_child(command(*overrides, "--quiet"))
    if ended.code:
        yield Row("broken checkpoints and records", 0, note=f"not tried: the small run does not work {ended.said[-1:]}")
        return
    yield _checkpoints(folder, network, chance, left(composed(overrides)), count)
    yield _records(overrides, chance, count)


def _checkpoints(folder: Path, network: Path, chance: random.Random, bits: dict[str, str], count: int) -> Row:
    faults = ", ".join(CHECKPOINT_FAULTS)
    row = Row("broken checkpoints", 0, note=f"{faults}: the newest of two, or both")
    cut = words("lora", network, folder / "cut")

    def cut_at_nine() -> int:
        from repro.papers.base import Paper

        around(Paper, "on_train_batch_end", Kill(9), before=False)
        return command(*cut, "--quiet")()

    in_child(cut_at_nine)
    for number in range(count):
        for name, fault in CHECKPOINT_FAULTS.items():
            overrides = words("lora", network, folder / f"{name}{number}")
            shutil.copytree(folder / "cut", folder / f"{name}{number}")
            files = sorted((composed(overrides).part / "checkpoints").glob("*.ckpt"))
            broken = files[-1:] if number % 2 == 0 else files
            for file in broken:
                file.write_bytes(fault(file.read_bytes(), chance))
            row = row.with_one(_goes_on(overrides, broken, bits) if len(files) == 2 else "lost: not two checkpoints")
    return row


def _goes_on(overrides: tuple[str, ...], broken: list[Path], bits: dict[str, str]) -> str:
    ended = in_child(command(*overrides, "--quiet"))
    if ended.code:
        return f"lost: does not go on: {ended.said[-1:]}"
    if not all(any(str(file) in line for line in ended.said) for file in broken):
        return f"lost: not every broken checkpoint is named: {ended.said}"
    return "" if left(composed(overrides)) == bits else "changed: other bits after a broken checkpoint"


def _records(overrides: tuple[str, ...], chance: random.Random, count: int) -> Row:
    """Breaks a record; the run's command and `show` must say so, and leave everything as it is."""
    row = Row(
        "broken records", 0, note=f"{', '.join(RECORD_FAULTS)}; seen by the run's own command, show, table and keep"
    )
    one = composed(overrides)
    file = one.folder / "record.json"
    content, places = file.read_bytes(), one.places.runs_dir
    for _ in range(count):
        for name, fault in RECORD_FAULTS.items():
            file.write_bytes(fault(content, chance))
            before = digests(places)
            for verb in ((*overrides, "--quiet"), ("show", str(file)), ("table", "lora"), ("keep", str(file))):
                environment = {"REPRO_RUNS_DIR": str(places), "REPRO_RESULTS_DIR": str(places / "kept")}
                ended = in_child(command(*verb), environment=environment)
                refused = ended.code in ((1,) if verb[0] == "table" else (2,)) and str(file) in ended.err
                wrong = "" if refused and "Traceback" not in ended.err else f"changed: {verb[0]} takes a record {name}"
                row = row.with_one(wrong or _left_alone(before, places))
    file.write_bytes(content)
    return row


def _left_alone(before: dict[str, str], folder: Path) -> str:
    gone = altered(before, digests(folder))
    return f"changed: {', '.join(gone)} of the run" if gone else ""


def _flipped(content: bytes, place: int) -> bytes:
    changed = bytearray(content)
    changed[place] ^= 4
    return bytes(changed)


def _edited(content: bytes) -> bytes:
    found = json.loads(content)
    scores = next(iter(found["scores"].values()))
    scores[next(iter(scores))] = 99.9
    return json.dumps(found, indent=1).encode()
