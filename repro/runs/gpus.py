"""How many cells run at a time, and which GPUs each of them sees."""

from __future__ import annotations

import contextlib
import fcntl
import itertools
import os
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from repro.energy import NVML

VISIBLE = "CUDA_VISIBLE_DEVICES"
_HANDLES: list[int] = []
"""Files that say which GPUs this process has; the kernel drops their locks when it ends."""


def visible() -> list[str]:
    """Returns the NVIDIA GPUs that this process may use: as CUDA_VISIBLE_DEVICES names them, or all by UUID."""
    library = NVML()
    try:
        here = list(library.millijoules())
    finally:
        library.close()
    if not here or VISIBLE not in os.environ:
        return here
    named = [name.strip() for name in os.environ[VISIBLE].split(",")]
    return list(itertools.takewhile(lambda name: name and not name.startswith("-"), named))


def at_a_time(configs: Sequence[Mapping[str, Any]]) -> int:
    """Returns how many cells run at a time: as many as there are GPUs for, else as many as there are cores for.

    Where torchrun started several processes for each run, or a run is to have several machines, it is one at a time.
    """
    if int(os.environ.get("WORLD_SIZE") or 1) > 1 or any(config["trainer"]["num_nodes"] > 1 for config in configs):
        return 1
    if all(_wanted(config) for config in configs) and (found := visible()):
        return max(1, len(found) // max(min(_wanted(config), len(found)) for config in configs))
    cores = len(os.sched_getaffinity(0))
    threads = [cores if config["threads"] == "auto" else int(config["threads"]) for config in configs]
    processes = [config["trainer"]["devices"] for config in configs]
    busy = [
        each * (many if isinstance(many, int) and many > 0 else 1)
        for each, many in zip(threads, processes, strict=True)
    ]
    return max(1, cores // max(1, *busy))


def take(config: Mapping[str, Any]) -> None:
    """Gives this process GPUs of its own, for as long as it lives. To be called before CUDA starts.

    Processes that find all GPUs taken, by this sweep or by another of the same user, share them evenly.
    """
    each = _wanted(config)
    if not each:
        return
    found = visible()
    if len(found) > each:  # else it sees all that there are
        groups = [tuple(found[first : first + each]) for first in range(0, len(found) - each + 1, each)]
        os.environ[VISIBLE] = ",".join(_free(groups))


def _wanted(config: Mapping[str, Any]) -> int:
    """Returns how many GPUs a cell wants: none on another device, all where it says so or names its own."""
    devices = config["trainer"]["devices"]
    if config["trainer"]["accelerator"] not in ("auto", "gpu", "cuda"):
        return 0
    return devices if isinstance(devices, int) and devices > 0 else sys.maxsize


def _free(groups: Sequence[tuple[str, ...]]) -> tuple[str, ...]:
    """Returns the first group of GPUs that the fewest processes have."""
    folder = Path(tempfile.gettempdir()) / f"repro-gpus-{os.getuid()}"
    folder.mkdir(mode=0o700, exist_ok=True)
    for layer in itertools.count():
        for group in groups:
            handle = os.open(folder / f"{'+'.join(group)}.{layer}", os.O_RDWR | os.O_CREAT, 0o600)
            with contextlib.suppress(BlockingIOError):
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
                _HANDLES.append(handle)
                return group
            os.close(handle)
    raise AssertionError("counting has no end")
