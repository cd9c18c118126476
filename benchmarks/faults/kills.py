"""kill -9 at random moments of runs of every kind, and inside what they write: what comes out must be the same bits."""

from __future__ import annotations

import os
import random
import shutil
import signal
from collections.abc import Callable, Iterator
from pathlib import Path

from faults.children import Ended, command, in_child
from faults.rows import Row
from faults.small_runs import KINDS, composed, left, words

MOMENTS = ("at any time", "inside a checkpoint's write", "inside a record's write", "in validation", "in predictions")
SHARES = (8, 5, 2, 2, 3)
"""Of twenty kills of a kind, how many fall into each moment."""


def kills(folder: Path, network: Path, chance: random.Random, *, count: int) -> Iterator[Row]:
    """Kills runs of each kind, lets them go on, and compares with a run that nobody killed.

    Args:
        folder: an empty one, for runs.
        network: the small network.
        chance: chooses the moments.
        count: of kills for each kind.
    """
    for kind in KINDS:
        whole = words(kind, network, folder / "whole")
        ended = _run(whole)
        if ended.code:
            yield Row(f"kill -9, {kind}", 1, lost=1, changed=0, note=f"does not run: {ended.said[-1:]}")
            continue
        bits = left(composed(whole))
        row = Row(f"kill -9, {kind}", 0)
        died: dict[str, int] = {}
        for number, moment in enumerate(_moments(chance, count)):
            place = folder / f"{kind.replace('/', '-')}{number}"
            hit, wrong = _killed_once(words(kind, network, place), moment, chance, ended.seconds)
            died[moment] = died.get(moment, 0) + hit
            row = row.with_one(wrong or _compared(words(kind, network, place), bits))
            shutil.rmtree(place, ignore_errors=True)
        yield row.said(", ".join(f"{number} {moment}" for moment, number in died.items()) + "; others ended before")


def _moments(chance: random.Random, count: int) -> list[str]:
    """Returns the kind of moment for each kill: every kind at least once."""
    even = [moment for moment, share in zip(MOMENTS, SHARES, strict=True) for _ in range(share)]
    return even if count == len(even) else [*MOMENTS, *chance.choices(MOMENTS, SHARES, k=count)][:count]


def _run(overrides: tuple[str, ...], **settings: float) -> Ended:
    return in_child(command(*overrides, "--quiet"), **settings)


def _killed_once(overrides: tuple[str, ...], moment: str, chance: random.Random, seconds: float) -> tuple[bool, str]:
    """Kills a run at a moment, and lets the same command go on.

    Returns:
        whether it was killed before it had ended, and what is wrong with how it went on.
    """
    if moment == "at any time":
        cut = _run(overrides, kill_after=chance.uniform(0.1, 1.0) * seconds)
    else:
        suicide = _SUICIDES[moment](chance)

        def act() -> int:
            suicide()
            return command(*overrides, "--quiet")()

        cut = in_child(act)
    if cut.code not in (0, -signal.SIGKILL):
        return False, f"lost: ends with {cut.code} before it is killed: {cut.said[-1:]}"
    part = composed(overrides).part
    checkpoints = len(list((part / "checkpoints").glob("*.ckpt")))
    again = _run(overrides)
    if again.code:
        return True, f"lost: does not go on after a kill {moment}: {again.said[-1:]}"
    if checkpoints and cut.code and not _went_on(overrides):
        return True, f"lost: started anew after a kill {moment}, though it had {checkpoints} checkpoints"
    return cut.code != 0, ""


def _went_on(overrides: tuple[str, ...]) -> bool:
    from repro.records.record import read_record

    return bool(read_record(composed(overrides).folder / "record.json").measures["restarts"])


def _compared(overrides: tuple[str, ...], bits: dict[str, str]) -> str:
    one = composed(overrides)
    found = left(one)
    others = [name for name in sorted(bits.keys() | found.keys()) if bits.get(name) != found.get(name)]
    if others:
        return f"changed: {', '.join(others)} of {one.title}"
    return "changed: the folder of the cut run is still there" if one.part.exists() else ""


class Kill:
    """Kills this process, by force, at the nth call."""

    def __init__(self, nth: int) -> None:
        self.left = nth

    def __call__(self) -> None:
        self.left -= 1
        if self.left == 0:
            os.kill(os.getpid(), signal.SIGKILL)


def around(holder: object, name: str, act: Callable[[], None], *, before: bool) -> None:
    """Lets something happen at each call of a function.

    Args:
        holder: the module or class that has it.
        name: the function's.
        act: what happens.
        before: whether it happens before the call, else after.
    """
    old = getattr(holder, name)

    def new(*arguments: object, **named: object) -> object:
        if before:
            act()
        result = old(*arguments, **named)
        if not before:
            act()
        return result

    setattr(holder, name, new)


def _in_checkpoint(chance: random.Random) -> Callable[[], None]:
    """Kills at one of the steps of a checkpoint's write: half written, before the sync, before or after the rename."""
    nth, step = (
        chance.randint(1, 6),
        chance.choice(("half written", "before the sync", "before its rename", "after it")),
    )

    def suicide() -> None:
        from repro.runs import checkpoint

        kill = Kill(nth)
        if step == "half written":
            around(checkpoint.CheckedIO, "save_checkpoint", _Torn(nth), before=True)
        elif step == "before the sync":
            around(os, "fsync", Kill(2 * nth), before=True)
        elif step == "before its rename":
            around(Path, "replace", kill, before=True)
        else:
            around(checkpoint, "sync_folder", kill, before=True)

    return suicide


class _Torn(Kill):
    """From the nth call on, what is written to a file ends in its middle, and the process with it."""

    def __call__(self) -> None:
        self.left -= 1
        if self.left:
            return
        real = Path.open

        def open_torn(path: Path, mode: str = "r", **named: object) -> object:
            stream = real(path, mode, **named)
            if "w" in mode and "b" in mode:
                return _TornStream(stream)
            return stream

        Path.open = open_torn


class _TornStream:
    """A file that takes half of what is written to it, and then kills its process."""

    def __init__(self, stream: object) -> None:
        self.stream = stream

    def __enter__(self) -> _TornStream:
        return self

    def __exit__(self, *error: object) -> None:
        self.stream.close()

    def write(self, content: bytes) -> None:
        self.stream.write(content[: len(content) // 2])
        self.stream.flush()
        if len(content) > 200:
            os.kill(os.getpid(), signal.SIGKILL)


def _in_record(chance: random.Random) -> Callable[[], None]:
    step = chance.choice(("before it", "half written", "after it", "before its place"))

    def suicide() -> None:
        from repro.runs import execute

        if step == "half written":
            around(execute, "write_record", _Torn(1), before=True)
        elif step == "before its place":
            around(execute, "_publish", Kill(1), before=True)
        else:
            around(execute, "write_record", Kill(1), before=step == "before it")

    return suicide


def _in_validation(chance: random.Random) -> Callable[[], None]:
    nth = chance.randint(1, 3)

    def suicide() -> None:
        from repro.papers.base import Paper

        around(Paper, "validation_step", Kill(nth), before=False)

    return suicide


def _in_predictions(chance: random.Random) -> Callable[[], None]:
    nth = chance.randint(1, 6)

    def suicide() -> None:
        from repro.runs import predict

        around(predict._KeepRows, "on_predict_batch_end", Kill(nth), before=False)

    return suicide


_SUICIDES: dict[str, Callable[[random.Random], Callable[[], None]]] = {
    "inside a checkpoint's write": _in_checkpoint,
    "inside a record's write": _in_record,
    "in validation": _in_validation,
    "in predictions": _in_predictions,
}
