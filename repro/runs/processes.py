"""Several processes for one run: they go its way together, and the first, rank zero, alone writes and speaks.

Lightning's own launcher would start the command line once more in each of them: in a sweep, in a worker or in a test
that is not this run. Here rank zero tells the others what the run is. Processes that something else started (torchrun,
srun) find one another as Lightning's do.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
import traceback
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

import torch
from hydra.errors import InstantiationException
from hydra.utils import instantiate
from lightning.fabric.plugins.environments.lightning import find_free_network_port
from lightning.pytorch.callbacks import Callback
from lightning.pytorch.plugins.environments import LightningEnvironment
from lightning.pytorch.strategies import ParallelStrategy
from lightning.pytorch.strategies.launchers import _SubprocessScriptLauncher

from repro.errors import UserError
from repro.papers.base import everywhere
from repro.runs.lock import follows

Made = TypeVar("Made")
GRACE = 20.0
"""Seconds in which a run ends by itself when one of its processes has died: Gloo notices, NCCL may wait for ever."""
_PACKAGE = Path(__file__).resolve().parents[2]
_ENTRY = "from repro.runs.processes import follow; follow()"
_READY = b"ready\n"
_NAMES = ("MASTER_ADDR", "MASTER_PORT", "NODE_RANK", "LOCAL_RANK", "OMP_NUM_THREADS")
_READERS: list[int] = []
"""In a process that rank zero started: where it says that it is ready."""


@dataclass(frozen=True)
class Team:
    """The processes of a run.

    Attributes:
        here: how many of them are on this machine.
        plugins: what Lightning's trainer needs to find them.
        callbacks: what it needs besides.
    """

    here: int = 1
    plugins: list[Any] = field(default_factory=list)
    callbacks: list[Callback] = field(default_factory=list)


def first() -> bool:
    """Says whether this process is rank zero of its run, or alone."""
    return not follows()


def agreed(make: Callable[[], Made]) -> Made:
    """Lets rank zero make something, which all processes get."""
    return everywhere(make() if first() else None)[0]


@contextlib.contextmanager
def together(settings: Mapping[str, Any], told: Mapping[str, Any]) -> Iterator[Team]:
    """Brings the processes of a run together, and lets them part in the end.

    Args:
        settings: the `trainer` part of the configuration, which says how many they are.
        told: what those that rank zero starts call `repro.runs.execute.take_part` with, for JSON.

    Raises:
        UserError: these devices or this strategy cannot be had here.
        RuntimeError: one of the others died.
    """
    strategy = _strategy(settings)
    if strategy is None:
        yield Team()
        return
    before = {name: os.environ.get(name) for name in _NAMES}
    others: list[_Other] = []
    try:
        ours = _starts_them(strategy, settings)
        if _READERS:
            os.write(_READERS.pop(), _READY)
        elif ours:
            others = _started(strategy.num_processes, told)
        os.environ.setdefault("OMP_NUM_THREADS", "1")  # else Lightning changes the number of threads
        strategy.setup_environment()
        yield Team(strategy.num_processes, [LightningEnvironment()] if ours else [], [_KeepHandler()])
        everywhere(None)
    except Exception as error:
        if died := _died(others, error):
            raise RuntimeError(died) from error
        raise
    else:
        for other in others:
            other.part()
    finally:
        for other in others:
            other.end()
        _leave(before)


def _strategy(settings: Mapping[str, Any]) -> ParallelStrategy | None:
    """Returns Lightning's strategy for several processes; None where one is enough."""
    if settings["devices"] == 1 and settings["num_nodes"] == 1 and settings["strategy"] == "auto":
        return None
    quiet = {"logger": False, "enable_checkpointing": False, "enable_progress_bar": False}
    try:
        strategy = instantiate(settings, **quiet, plugins=[LightningEnvironment()] if _READERS else None).strategy
    except InstantiationException as error:
        said = str(error.__cause__ or error).partition("\n")[0]
        raise UserError(
            "trainer.devices, trainer.strategy and trainer.accelerator do not fit this machine or one another", said
        ) from None
    if strategy.launcher is None:
        return None
    if not isinstance(strategy.launcher, _SubprocessScriptLauncher):
        raise UserError(f"trainer.strategy={settings['strategy']} cannot give results back", "say ddp")
    cores = len(os.sched_getaffinity(0))
    if strategy.root_device.type == "cpu" and strategy.num_processes > cores:
        raise UserError(f"trainer.devices={settings['devices']}: this machine has {cores} cores", "ask for as many")
    return strategy


def _starts_them(strategy: ParallelStrategy, settings: Mapping[str, Any]) -> bool:
    """Says whether the run's own rank zero starts the others; else torchrun or srun did.

    Raises:
        UserError: nobody does.
    """
    environment = strategy.cluster_environment
    own = isinstance(environment, LightningEnvironment)
    if _READERS or (environment.creates_processes_externally and (own or environment.world_size() > 1)):
        return bool(_READERS)
    if settings["num_nodes"] > 1:
        raise UserError(
            f"trainer.num_nodes={settings['num_nodes']} needs a process for each device of each machine",
            "torchrun or srun starts them",
        )
    if not own:  # one task of a cluster's job, with several devices
        strategy.cluster_environment = LightningEnvironment()
    return True


def _started(processes: int, told: Mapping[str, Any]) -> list[_Other]:
    """Starts the others, and waits until they are about to join."""
    port = str(find_free_network_port())
    os.environ.update(MASTER_ADDR="127.0.0.1", MASTER_PORT=port, NODE_RANK="0", LOCAL_RANK="0")
    others = [_Other(rank, told) for rank in range(1, processes)]
    try:
        for other in others:
            other.wait()
    except BaseException:
        for other in others:
            other.end()
        raise
    return others


def _died(others: list[_Other], error: Exception) -> str:
    """Says which of the others died, if that can be why there is an error here."""
    until = time.monotonic() + 5.0
    while others and not isinstance(error, UserError) and time.monotonic() < until:
        for other in others:
            if other.process.poll():
                return other.last_words()
        time.sleep(0.05)
    return ""


def _leave(before: Mapping[str, str | None]) -> None:
    """Forgets the others."""
    if torch.distributed.is_initialized():
        torch.distributed.destroy_process_group()
    for name, value in before.items():
        os.environ.pop(name, None)
        if value is not None:
            os.environ[name] = value


class _KeepHandler(Callback):
    """Puts back what SIGTERM did before: Lightning's handler waits, then and there, for the other processes."""

    def __init__(self) -> None:
        self.handler = signal.getsignal(signal.SIGTERM)

    def on_train_start(self, *_: Any) -> None:
        if threading.current_thread() is threading.main_thread():
            signal.signal(signal.SIGTERM, self.handler)

    on_predict_start = on_train_start


class _Other:
    """A process that rank zero starts. Its stdin is a pipe that ends with rank zero, in whatever way: then it ends too.

    Args:
        rank: its rank.
        told: what it is told.
    """

    def __init__(self, rank: int, told: Mapping[str, Any]) -> None:
        self.rank, self.parted = rank, threading.Event()
        self.words = tempfile.TemporaryFile()  # noqa: SIM115 (as long as the process)
        path = os.pathsep.join(filter(None, (str(_PACKAGE), os.environ.get("PYTHONPATH"))))
        self.process = subprocess.Popen(
            [sys.executable, "-c", _ENTRY],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self.words,
            env=os.environ | {"LOCAL_RANK": str(rank), "PYTHONPATH": path},
        )
        with contextlib.suppress(BrokenPipeError):
            self.process.stdin.write(json.dumps(told).encode() + b"\n")
            self.process.stdin.flush()
        threading.Thread(target=self._watch, daemon=True).start()

    def wait(self) -> None:
        """Waits until it is about to join.

        Raises:
            RuntimeError: it died before.
        """
        if self.process.stdout.readline() != _READY:
            self.process.wait()
            raise RuntimeError(self.last_words())

    def part(self) -> None:
        """Lets it end."""
        self.parted.set()
        with contextlib.suppress(subprocess.TimeoutExpired):
            self.process.wait(GRACE)

    def end(self) -> None:
        """Ends it if it has not ended."""
        self.parted.set()
        self.process.kill()
        self.process.wait()
        for stream in (self.process.stdout, self.words):
            stream.close()
        with contextlib.suppress(BrokenPipeError):
            self.process.stdin.close()

    def last_words(self) -> str:
        """Says how it died."""
        code = self.process.returncode
        how = f"was killed ({signal.Signals(-code).name})" if code < 0 else f"ended with code {code}"
        self.words.seek(0)
        words = self.words.read().decode(errors="replace").strip()
        return f"process {self.rank} of the run {how}" + (f"; its last words:\n{words[-4000:]}" if words else "")

    def _watch(self) -> None:
        if self.process.wait() and not self.parted.wait(GRACE):
            print(f"error: {self.last_words()}", file=sys.stderr, flush=True)
            os._exit(1)


def follow() -> None:
    """What a process does that rank zero started: it reads from stdin what the run is, and takes part."""
    for number in (signal.SIGINT, signal.SIGTERM):  # rank zero hears them
        signal.signal(number, signal.SIG_IGN)
    _READERS.append(os.dup(1))
    os.dup2(2, 1)
    told = json.loads(sys.stdin.buffer.readline())
    threading.Thread(target=_end_with_rank_zero, daemon=True).start()
    from repro.runs.execute import take_part

    try:
        take_part(**told)
    except BaseException:
        traceback.print_exc()
        sys.stderr.flush()
        os._exit(1)  # at once: rank zero waits to hear why


def _end_with_rank_zero() -> None:
    while os.read(0, 1):
        pass
    os._exit(1)
