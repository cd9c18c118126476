"""File systems that are full or read-only: a run ends in one line, what was recorded stays, and space mends it."""

from __future__ import annotations

import contextlib
import errno
import os
import random
import resource
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

from faults.children import Ended, command, in_child, one_line
from faults.kills import around
from faults.rows import Row
from faults.small_runs import altered, composed, digests, left, words

ROOM = 64 << 20
"""Bytes of a file system with room enough."""


def disks(folder: Path, network: Path, chance: random.Random, *, count: int) -> Iterator[Row]:
    """Fills a file system under runs, and makes it read-only.

    Args:
        folder: an empty one.
        network: the small network.
        chance: chooses how much room there is.
        count: of full file systems.
    """
    place = folder / "mounted"
    place.mkdir()
    whole = words("finetune", network, folder / "whole")
    if in_child(command(*whole, "--quiet")).code:
        yield Row("file systems", 0, note="not tried: the small run does not work")
        return
    bits, size = left(composed(whole)), sum(file.stat().st_size for file in (folder / "whole").rglob("*.*"))
    if _mounted(place):
        try:
            yield _full(place, network, chance, bits, size, count)
            yield _read_only(place, network, bits)
        finally:
            _umount(place)
    else:
        yield _files_too_large(place, network, bits)
        yield Row("a read-only file system", 0, note="not tried as a mount: mounting is not allowed here")
    yield _patched(folder, network, chance, bits, count)


def _full(place: Path, network: Path, chance: random.Random, bits: dict[str, str], size: int, count: int) -> Row:
    """Runs on file systems that are too small, then makes them larger."""
    row = Row("a full file system", 0, note=f"tmpfs with room for 5 to 200% of a run's {size >> 10} KB, then enlarged")
    recorded = words("lora", network, place, "seed=7")
    in_child(command(*recorded, "--quiet"))
    before = digests(composed(recorded).folder)
    used, refused = _used(place), 0
    for number in range(count):
        overrides = words("finetune", network, place, f"runs_dir={place}/{number}")
        _remount(place, f"size={used + int(size * chance.uniform(0.05, 2.0)) >> 10}k")
        ended = in_child(command(*overrides, "--quiet"))
        refused += ended.code == 2
        row = row.with_one(one_line(ended) or _unaltered(before, composed(recorded).folder))
        _remount(place, f"size={ROOM}")
        again = in_child(command(*overrides, "--quiet"))
        row = row.with_one(_same(again, overrides, bits))
        used = _used(place)
    return row.said(f"{refused} of {count} runs lacked room")


def _read_only(place: Path, network: Path, bits: dict[str, str]) -> Row:
    """Makes a file system read-only before a run, and after one was cut on it."""
    row = Row("a read-only file system", 0, note="tmpfs remounted ro before a run, and with a cut run on it, then rw")
    for kill_after in (None, 1.0):
        overrides = words("finetune", network, place, f"runs_dir={place}/ro{kill_after}")
        if kill_after:
            in_child(command(*overrides, "--quiet"), kill_after=kill_after)
        before = digests(place)
        _remount(place, "ro")
        ended = in_child(command(*overrides, "--quiet"))
        works = "" if ended.code else "lost: a run on a read-only file system seems to work"
        row = row.with_one(works or one_line(ended) or _unaltered(before, place))
        for verb in (["table", "lora"], ["runs"]):
            ended = in_child(command(*verb), environment={"REPRO_RUNS_DIR": str(place)})
            row = row.with_one("" if ended.code == 0 else f"lost: {verb[0]} ends with {ended.code}: {ended.said[-1:]}")
        _remount(place, "rw")
        row = row.with_one(_same(in_child(command(*overrides, "--quiet")), overrides, bits))
    return row


def _files_too_large(place: Path, network: Path, bits: dict[str, str]) -> Row:
    """Where nothing can be mounted: a limit on the size of a file."""
    row = Row("files too large", 0, note="RLIMIT_FSIZE of 1 to 64 KB: mounting is not allowed here")
    for kilobytes in (1, 8, 64):
        overrides = words("finetune", network, place / str(kilobytes))

        def act(overrides: tuple[str, ...] = overrides, size: int = kilobytes << 10) -> int:
            resource.setrlimit(resource.RLIMIT_FSIZE, (size, size))
            return command(*overrides, "--quiet")()

        row = row.with_one(one_line(in_child(act)))
        row = row.with_one(_same(in_child(command(*overrides, "--quiet")), overrides, bits))
    return row


def _patched(folder: Path, network: Path, chance: random.Random, bits: dict[str, str], count: int) -> Row:
    """Lets the nth sync, rename or new folder fail in the middle of a run, which no mount does on time."""
    row = Row(
        "writes that fail in mid-run", 0, note="ENOSPC, EROFS, EIO and EDQUOT from the nth fsync, rename or mkdir on"
    )
    refused = 0
    for number in range(count):
        overrides = words("finetune", network, folder / f"patched{number}")
        code = chance.choice((errno.ENOSPC, errno.EROFS, errno.EIO, errno.EDQUOT))
        holder, name = chance.choice(((os, "fsync"), (Path, "replace"), (Path, "mkdir")))
        fails = _fails(code, chance.randint(2, 30), overrides)
        ended = in_child(_with_failure(holder, name, fails, overrides))
        refused += ended.code == 2
        row = row.with_one(one_line(ended))
        row = row.with_one(_same(in_child(command(*overrides, "--quiet")), overrides, bits))
    return row.said(f"{refused} of {count} runs met the failure")


def _with_failure(
    holder: object, name: str, fails: Callable[[], None], overrides: tuple[str, ...]
) -> Callable[[], int]:
    def act() -> int:
        around(holder, name, fails, before=True)
        return command(*overrides, "--quiet")()

    return act


def _fails(code: int, nth: int, overrides: tuple[str, ...]) -> Callable[[], None]:
    left_over = [nth]

    def fail() -> None:
        left_over[0] -= 1
        if left_over[0] <= 0:
            raise OSError(code, os.strerror(code), str(composed(overrides).part))

    return fail


def _same(ended: Ended, overrides: tuple[str, ...], bits: dict[str, str]) -> str:
    if ended.code:
        return f"lost: does not go on: {' / '.join(ended.said[-2:])[:300]}"
    return "" if left(composed(overrides)) == bits else "changed: other bits than a run with room enough"


def _unaltered(before: dict[str, str], folder: Path) -> str:
    gone = altered(before, digests(folder))
    return f"changed: {', '.join(gone[:3])}, recorded before" if gone else ""


def _mounted(place: Path) -> bool:
    """Mounts a small file system, where that is allowed."""
    with contextlib.suppress(OSError):
        words = ["mount", "-t", "tmpfs", "-o", f"size={ROOM}", "tmpfs", str(place)]
        return subprocess.run(words, capture_output=True, check=False).returncode == 0
    return False


def _remount(place: Path, option: str) -> None:
    subprocess.run(["mount", "-o", f"remount,{option}", str(place)], check=True, capture_output=True)


def _used(place: Path) -> int:
    """Returns the bytes that a file system has given away, in whole pages."""
    found = os.statvfs(place)
    return (found.f_blocks - found.f_bfree) * found.f_frsize + (1 << 16)


def _umount(place: Path) -> None:
    subprocess.run(["umount", str(place)], check=False, capture_output=True)
