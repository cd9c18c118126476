"""Ends that come from outside: SIGTERM as a scheduler sends it, and two commands that run the same cells at once."""

from __future__ import annotations

import contextlib
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

from faults.children import command, in_child
from faults.rows import Row
from faults.small_runs import composed, left, words

PATIENCE = 30.0
"""Seconds between a scheduler's SIGTERM and its SIGKILL."""
LIMIT = 300.0
"""Seconds after which a command counts as hanging."""
SEEDS = 4
SLOWER = ("checkpoint_seconds=1", "task.train_size=2000", "trainer.max_epochs=3")
"""What makes a small run long enough to be stopped in mid-training."""


def signals(folder: Path, network: Path, chance: random.Random, *, count: int) -> Iterator[Row]:
    """Stops a run and a sweep in processes of their own, and runs one grid twice at once.

    Args:
        folder: an empty one, for runs.
        network: the small network.
        chance: chooses when they are stopped.
        count: of runs that are stopped; half as many sweeps are.
    """
    alone = words("lora", network, folder / "runs", *SLOWER)
    grid = ("-m", *alone, f"seed={','.join(map(str, range(SEEDS)))}", "jobs=2")
    bits = _uninterrupted(folder / "whole", alone)
    yield _stopped("SIGTERM to a run", folder / "run", alone, bits, chance, count)
    yield _stopped("SIGTERM to a sweep", folder / "sweep", grid, bits, chance, max(1, count // 2))
    yield _two_at_once(folder / "two", grid, bits, max(1, count // 2))


def _uninterrupted(runs: Path, overrides: Sequence[str]) -> list[dict[str, str]]:
    """Returns the bits of each seed's run."""
    bits = []
    for seed in range(SEEDS):
        one = (*overrides, f"runs_dir={runs}", f"seed={seed}")
        ended = in_child(command(*one, "--quiet"), limit=LIMIT)
        if ended.code:
            raise RuntimeError(f"the small run does not work: {ended.err}")
        bits.append(left(composed(_last_ones(one))))
    return bits


def _stopped(
    what: str, folder: Path, grid: Sequence[str], bits: Sequence[dict[str, str]], chance: random.Random, count: int
) -> Row:
    """Sends SIGTERM at random moments until the command has been stopped often enough, then lets it end."""
    row = Row(
        what, 0, note=f"TERM, then KILL after {PATIENCE:.0f} s, at random moments; then the same command to its end"
    )
    forced, before = 0, 0
    for number in range(count):
        here = [*grid, f"runs_dir={folder / str(number)}"]
        running = _start(here)
        time.sleep(chance.uniform(3.0, 14.0))
        ended = running.poll() is not None
        running.send_signal(signal.SIGTERM)
        code, said, killed = _wait(running, PATIENCE)
        forced, before = forced + killed, before + ended
        if not (killed or ended) and (code not in (143, -signal.SIGTERM) or len(said) > 1):
            row = row.with_one(f"lost: ends with {code} and {len(said)} lines: {' / '.join(said[-2:])[:300]}")
        row = row.with_one(_ends_with(here, bits))
    return row.said(f"{forced} had to be killed, {before} had ended before")


def _two_at_once(folder: Path, grid: Sequence[str], bits: Sequence[dict[str, str]], count: int) -> Row:
    """Runs the same sweep twice at once: every cell is run once, and both see all of them."""
    row = Row(
        "two sweeps over one grid at once", 0, note="started together; the second has one process and the first two"
    )
    for number in range(count):
        here = [*grid, f"runs_dir={folder / str(number)}"]
        both = [_start(here), _start([*here, "jobs=1"])]
        for running in both:
            code, said, killed = _wait(running, LIMIT)
            row = row.with_one(f"lost: one ends with {code}: {' / '.join(said[-2:])[:300]}" if code or killed else "")
        replaced = list((folder / str(number)).glob(".replaced/*"))
        row = row.with_one(f"lost: {len(replaced)} cells were run twice" if replaced else _compared(here, bits))
    return row


def _start(overrides: Sequence[str]) -> subprocess.Popen:
    environment = os.environ | {"OMP_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1"}
    return subprocess.Popen(
        [sys.executable, "-m", "repro", *overrides, "--quiet"],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        env=environment,
        start_new_session=True,
    )


def _wait(running: subprocess.Popen, patience: float) -> tuple[int, list[str], bool]:
    """Waits, and kills the whole group when patience is at its end; whatever is left of the group ends too."""
    killed = False
    try:
        _, err = running.communicate(timeout=patience)
    except subprocess.TimeoutExpired:
        killed = True
        os.killpg(running.pid, signal.SIGKILL)
        _, err = running.communicate()
    with contextlib.suppress(ProcessLookupError):
        os.killpg(running.pid, signal.SIGKILL)
    return running.returncode, [line for line in err.splitlines() if line.strip()], killed


def _ends_with(grid: Sequence[str], bits: Sequence[dict[str, str]]) -> str:
    code, said, killed = _wait(_start(grid), LIMIT)
    if code or killed:
        return f"lost: does not go on, {code}: {' / '.join(said[-2:])[:300]}"
    return _compared(grid, bits)


def _compared(grid: Sequence[str], bits: Sequence[dict[str, str]]) -> str:
    swept = any(word.startswith("seed=") for word in grid)
    for seed in range(SEEDS if swept else 1):
        one = composed(_last_ones((*grid, f"seed={seed}")))
        if not (one.folder / "record.json").is_file():
            return f"lost: no record of {one.title}"
        if left(one) != bits[seed]:
            return f"changed: other bits of {one.title}"
    return ""


def _last_ones(overrides: Sequence[str]) -> tuple[str, ...]:
    """Returns overrides with the last of each key, flags left out: the words of one cell."""
    return tuple(f"{key}={value}" for key, value in dict(one.split("=", 1) for one in overrides if "=" in one).items())
