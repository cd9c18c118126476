"""One process at a time for each cell: locks that die with their owner.

A lock is a file beside the run's folder. Three things together say whether somebody holds it:
- flock(2): the kernel drops it when its owner dies, whatever the cause. It may say nothing of other machines.
- the owner: the file holds {"host", "pid", "began"}.
- the heartbeat: the owner touches the file every few seconds. While that is young another machine's lock is held,
  and, on a file system without flock, a living process's too.
The file is removed on release; one that a dead process left behind is no obstacle.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import json
import os
import platform
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from repro.runs.compose import Cell

HEARTBEAT = 5.0
"""Seconds between two touches of a lock's file."""
STALE = 60.0
"""Seconds after which a heartbeat counts as stopped."""
POLL = 0.25
"""Seconds between two looks at a lock that somebody else holds."""
BIRTH = 2.0
"""Seconds in which a process that has made a lock's file writes its name there."""
SETTLE = 1.0
"""Seconds after which, of several machines that take over a dead one's lock, the last that wrote its name has it."""

HOST = platform.node()
RANKS = ("RANK", "LOCAL_RANK", "NODE_RANK", "GROUP_RANK", "SLURM_PROCID")
"""Environment variables that number the processes of one distributed run."""

_NO_FLOCK = (errno.ENOLCK, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOSYS)


class Busy(Exception):
    """Somebody else holds a lock.

    Args:
        holder: who, and since when.
    """

    def __init__(self, holder: str) -> None:
        super().__init__(holder)
        self.holder = holder


@dataclass
class _Hold:
    path: Path
    handle: int
    owner: bytes
    ended: threading.Event = field(default_factory=threading.Event)
    pulse: threading.Thread | None = None


_HOLDS: dict[tuple[str, int], _Hold] = {}
"""What this process holds, by file and thread."""


def lock_file(cell: Cell) -> Path:
    """Returns where the lock of a cell lies: runs_dir/PAPER/TASK/.IDENTITY.lock."""
    return cell.folder.with_name(f".{cell.identity}.lock")


def follows() -> bool:
    """Says whether this process is another than the first of a distributed run, which locks for all."""
    return any(os.environ.get(name, "0") not in ("", "0") for name in RANKS)


@contextlib.contextmanager
def held(what: Cell | Path, wait: bool = True) -> Iterator[None]:
    """Holds the lock of a cell. A thread that holds it already goes straight in, and leaves it to the outer `held`.

    Args:
        what: the cell, or the lock's file.
        wait: whether to wait while somebody else holds it; one line on stderr then says who.

    Raises:
        Busy: somebody else holds it, and `wait` is False.
        OSError: the file can't be made.
    """
    path = what if isinstance(what, Path) else lock_file(what)
    key = os.path.realpath(path), threading.get_ident()
    if key in _HOLDS or follows():
        yield
        return
    _HOLDS[key] = _acquired(path, str(path) if what is path else what.title, wait)
    try:
        yield
    finally:
        if hold := _HOLDS.pop(key, None):  # a forked child has none
            _release(hold)


def try_lock(what: Cell | Path) -> contextlib.AbstractContextManager[None]:
    """Holds the lock of a cell, or raises Busy at once."""
    return held(what, wait=False)


def holder(what: Cell | Path) -> str:
    """Says who holds a lock, and since when, from what the file says; "" where nobody seems to. Takes nothing."""
    path = what if isinstance(what, Path) else lock_file(what)
    try:
        handle = os.open(path, os.O_RDONLY)
    except OSError:
        return ""
    try:
        return _holder(path, handle, flocked=False)
    finally:
        os.close(handle)


def _acquired(path: Path, title: str, wait: bool) -> _Hold:
    said = False
    while True:
        try:
            return _take(path)
        except Busy as busy:
            if not wait:
                raise
            if not said:
                print(f"waiting for {title}: {busy.holder}", file=sys.stderr, flush=True)
            said = True
        time.sleep(POLL)


def _take(path: Path) -> _Hold:
    """Opens or makes the file, and takes the lock; Busy where somebody holds it."""
    while True:
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            handle, new = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o666), True
        except FileExistsError:
            try:
                handle, new = os.open(path, os.O_RDWR), False
            except FileNotFoundError:
                continue
        try:
            hold = _claim(path, handle, new)
        except BaseException:
            os.close(handle)
            raise
        if hold is not None:
            hold.pulse = threading.Thread(target=_beat, args=(hold,), daemon=True)
            hold.pulse.start()
            return hold
        os.close(handle)


def _claim(path: Path, handle: int, new: bool) -> _Hold | None:
    """Locks an open file and writes our name there; None where its last owner has just removed it."""
    flocked = _flocked(path, handle, new)
    if not _same(path, handle):
        return None
    if not new and (other := _holder(path, handle, flocked=flocked)):
        raise Busy(other)
    before = _owner(handle)
    owner = {"host": HOST, "pid": os.getpid(), "began": datetime.now(UTC).isoformat()}
    hold = _Hold(path, handle, json.dumps(owner).encode())
    os.pwrite(handle, hold.owner, 0)
    os.ftruncate(handle, len(hold.owner))
    os.utime(handle)
    if not new and (not flocked or before.get("host", HOST) != HOST):
        os.fsync(handle)
        time.sleep(SETTLE)
        if path.read_bytes() != hold.owner:
            raise Busy(_holder(path, handle, flocked=False) or "another process")
    return hold


def _flocked(path: Path, handle: int, new: bool) -> bool:
    """Takes the kernel's lock; False where the file system has none.

    Raises:
        Busy: somebody has it. Whoever finds a new file still empty lets go of it at once: so its maker tries again.
    """
    until = time.monotonic() + BIRTH
    while True:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if not new or os.fstat(handle).st_size or time.monotonic() > until:
                raise Busy(_described(_owner(handle))) from None
            time.sleep(0.005)
            continue
        except OSError as error:
            if error.errno in _NO_FLOCK:
                return False
            error.filename = str(path)
            raise
        return True


def _holder(path: Path, handle: int, *, flocked: bool) -> str:
    """Says who holds a lock that exists; "" for nobody.

    Args:
        path: its file.
        handle: the file, opened.
        flocked: whether we have the kernel's lock: then no other process of this machine holds it.
    """
    owner, touched = _owner(handle), os.fstat(handle).st_mtime
    if not owner:
        return _described(owner) if time.time() - touched < BIRTH else ""
    if owner["host"] == HOST and (flocked or not _alive(owner["pid"])):
        return ""
    now = time.time() if owner["host"] == HOST else _now(path.parent)
    return _described(owner) if now - touched < STALE else ""


def _owner(handle: int) -> dict:
    """Returns what a lock's file says of its owner; nothing where it is empty or half written."""
    try:
        owner = json.loads(os.pread(handle, 4096, 0))
        return {"host": str(owner["host"]), "pid": int(owner["pid"]), "began": str(owner["began"])}
    except (OSError, ValueError, KeyError, TypeError):
        return {}


def _described(owner: dict) -> str:
    if not owner:
        return "a process that has just begun holds it"
    return f"process {owner['pid']} on {owner['host']} has held it since {owner['began'][:19]}Z"


def _alive(pid: int) -> bool:
    with contextlib.suppress(OSError, IndexError):
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


def _now(folder: Path) -> float:
    """Returns the time by the clock that stamps the files of a folder: another machine's, maybe."""
    with contextlib.suppress(OSError), tempfile.TemporaryFile(dir=folder) as probe:
        return os.fstat(probe.fileno()).st_mtime
    return time.time()


def _same(path: Path, handle: int) -> bool:
    """Whether the path still names the open file."""
    try:
        return os.path.samestat(os.stat(path), os.fstat(handle))
    except OSError:
        return False


def _beat(hold: _Hold) -> None:
    while not hold.ended.wait(HEARTBEAT):
        with contextlib.suppress(OSError):
            os.utime(hold.handle)


def _release(hold: _Hold) -> None:
    """Removes the file while the lock is held, then lets go. A file that another machine took over stays."""
    hold.ended.set()
    hold.pulse.join()
    with contextlib.suppress(OSError):
        if _same(hold.path, hold.handle) and os.pread(hold.handle, 4096, 0) == hold.owner:
            hold.path.unlink()
    os.close(hold.handle)


def _forget() -> None:
    """In a forked child: the locks are its parent's, and must end with it, though the child lives on."""
    for hold in _HOLDS.values():
        with contextlib.suppress(OSError):
            os.close(hold.handle)
    _HOLDS.clear()


os.register_at_fork(after_in_child=_forget)
