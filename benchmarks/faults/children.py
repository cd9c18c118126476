"""Commands in forked children: their words are caught, they have a limit of time, and they can be made to fail."""

from __future__ import annotations

import os
import resource
import signal
import sys
import tempfile
import time
import traceback
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

LIMIT = 60.0
"""Seconds that a child may take if nothing else is said."""
MEMORY = 6 << 30
"""Bytes by which a child's address space may grow."""


@dataclass(frozen=True)
class Ended:
    """How a child ended.

    Attributes:
        code: its exit code; minus the signal where one ended it; None where it had to be killed at its limit.
        out: what it wrote to stdout.
        err: and to stderr.
        seconds: that it took.
    """

    code: int | None
    out: str
    err: str
    seconds: float

    @property
    def said(self) -> list[str]:
        """The lines on stderr that are not blank."""
        return [line for line in self.err.split("\n") if line.strip()]


def in_child(
    act: Callable[[], int | None],
    *,
    limit: float = LIMIT,
    folder: Path | None = None,
    environment: Mapping[str, str] | None = None,
    kill_after: float | None = None,
) -> Ended:
    """Forks, lets the child do something, and waits for it.

    Args:
        act: what it does; an integer that it returns is the exit code.
        limit: seconds after which it is killed, and counts as hanging.
        folder: its working folder.
        environment: variables that it has besides ours.
        kill_after: seconds after which it is killed, as was meant.
    """
    with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err:
        began = time.monotonic()
        child = os.fork()
        if child == 0:
            _live(act, out.fileno(), err.fileno(), folder, environment or {})
        code = _wait(child, began, limit, kill_after)
        seconds = time.monotonic() - began
        return Ended(code, _read(out.fileno()), _read(err.fileno()), seconds)


def command(*words: str) -> Callable[[], int]:
    """Returns `python -m repro WORDS` as something that a child can do."""

    def act() -> int:
        from repro.__main__ import main

        return main(list(words))

    return act


def one_line(ended: Ended) -> str:
    """Says what is wrong with how a run ended whose ground was taken away; one that could do without may work."""
    if ended.code == 0:
        return ""
    if ended.code is None:
        return "lost: hangs"
    if ended.code != 2 or "Traceback" in ended.err or len(ended.said) != 1:
        return f"lost: exit code {ended.code}, {len(ended.said)} lines on stderr: {' / '.join(ended.said[-2:])[:300]}"
    return ""


def _live(
    act: Callable[[], int | None], out: int, err: int, folder: Path | None, environment: Mapping[str, str]
) -> None:
    """What the child does; never returns."""
    code = 1
    try:
        os.setpgid(0, 0)
        os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
        os.dup2(out, 1)
        os.dup2(err, 2)
        _own_streams()
        os.environ |= environment
        if folder is not None:
            os.chdir(folder)
        _bound_memory()
        code = act() or 0
    except SystemExit as error:
        code = error.code if isinstance(error.code, int) else int(error.code is not None)
    except BaseException:
        traceback.print_exc()
    finally:
        try:
            sys.stdout.flush()
            sys.stderr.flush()
        finally:
            os._exit(code)


def _own_streams() -> None:
    """Puts the child's streams in the place of whatever caught its parent's (pytest does)."""
    sys.stdin = open(0, encoding="utf-8", closefd=False)  # noqa: SIM115 (ends with the child)
    sys.stdout = open(1, "w", encoding="utf-8", closefd=False)  # noqa: SIM115
    sys.stderr = open(2, "w", encoding="utf-8", errors="backslashreplace", buffering=1, closefd=False)  # noqa: SIM115


def _bound_memory() -> None:
    """Lets a huge number end in a MemoryError, and not in the machine's memory."""
    pages = int(Path("/proc/self/statm").read_text().split()[0])
    most = pages * resource.getpagesize() + MEMORY
    resource.setrlimit(resource.RLIMIT_AS, (most, most))


def _wait(child: int, began: float, limit: float, kill_after: float | None) -> int | None:
    meant = False
    while True:
        found, status = os.waitpid(child, os.WNOHANG)
        spent = time.monotonic() - began
        if found:
            code = os.waitstatus_to_exitcode(status)
            return code if code >= 0 or spent < limit or meant else None
        if kill_after is not None and spent >= kill_after and not meant:
            meant = True
            _kill(child)
        elif spent >= limit:
            _kill(child)
        time.sleep(0.002)


def _kill(child: int) -> None:
    try:
        os.killpg(child, signal.SIGKILL)
    except ProcessLookupError:
        os.kill(child, signal.SIGKILL)


def _read(handle: int) -> str:
    size = os.fstat(handle).st_size
    return os.pread(handle, size, 0).decode("utf-8", "replace")
