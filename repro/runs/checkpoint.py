"""Checkpoints that a killed run continues from with the same bits: written whole or not at all, checked when read."""

from __future__ import annotations

import hashlib
import io
import os
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import lightning
import torch
from lightning.pytorch.callbacks import Callback
from lightning.pytorch.plugins.io import CheckpointIO

from repro.errors import UserError
from repro.papers.base import everywhere
from repro.runs.find import CHECKPOINTS
from repro.runs.loggers import CURVES

KEPT = 2
ASKED = 8
"""Of several processes rank zero says whether it is time for a checkpoint; it is asked at each so many safe points."""
_MAGIC = b"repro checkpoint 1 "
_RUN = "run"
"""Where a checkpoint holds what our own loop needs."""


class BrokenCheckpoint(Exception):
    """A checkpoint that is torn, altered, or of another version."""


class CheckedIO(CheckpointIO):
    """Writes a checkpoint aside, synced, then renamed, the SHA-256 of its content before it; reads tensors only."""

    def save_checkpoint(self, checkpoint: dict[str, Any], path: str | Path, storage_options: Any = None) -> None:
        """Writes a checkpoint.

        Raises:
            UserError: the folder cannot be written to, or the disk is full; older checkpoints are untouched.
        """
        stream = io.BytesIO()
        torch.save(checkpoint, stream)
        content, path = stream.getbuffer(), Path(path)
        aside = path.with_name(f".{path.name}.{os.getpid()}")
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            with aside.open("wb") as file:
                file.write(_MAGIC + hashlib.sha256(content).hexdigest().encode() + b"\n")
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
            aside.replace(path)
            sync_folder(path.parent)
        except OSError as error:
            aside.unlink(missing_ok=True)
            raise UserError(
                f"{path} cannot be written ({error.strerror})",
                "free some space there; the same command goes on from the last one",
            ) from None

    def load_checkpoint(
        self, path: str | Path, map_location: Any = lambda storage, _: storage, weights_only: bool | None = None
    ) -> dict[str, Any]:
        """Reads and checks a checkpoint; nothing in it is executed.

        Raises:
            BrokenCheckpoint: it is torn, altered, or of another version.
        """
        head, _, content = Path(path).read_bytes().partition(b"\n")
        if not head.startswith(_MAGIC):
            raise BrokenCheckpoint("another version wrote it, or it is none")
        if hashlib.sha256(content).hexdigest().encode() != head[len(_MAGIC) :]:
            raise BrokenCheckpoint("its content does not fit its digest")
        return torch.load(io.BytesIO(content), map_location=map_location, weights_only=True)

    def remove_checkpoint(self, path: str | Path) -> None:
        """Removes a checkpoint."""
        Path(path).unlink(missing_ok=True)


def sync_folder(folder: Path) -> None:
    """Makes a rename in a folder survive a loss of power."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def size(file: Path) -> int:
    """Returns the bytes of a file; none where it is missing."""
    return file.stat().st_size if file.is_file() else 0


@dataclass(frozen=True)
class Cut:
    """Where a run was cut.

    Attributes:
        path: of the checkpoint.
        epoch: that it was in.
        batch: of that epoch that comes next.
        logged: bytes of metrics.jsonl that belong to it.
        trained: whether training had ended.
        spent: what the run had cost by then, by measure.
        restarts: how often it had been continued before.
    """

    path: Path
    epoch: int
    batch: int
    logged: int
    trained: bool
    spent: Mapping[str, float]
    restarts: int


def newest(folder: Path) -> Cut | None:
    """Returns where a run was cut; checkpoints that cannot be used are named on stderr, and the one before is taken."""
    for file in sorted((folder / CHECKPOINTS).glob("*.ckpt"), reverse=True):
        try:
            cut = Cut(path=file, **CheckedIO().load_checkpoint(file)[_RUN])
            if cut.logged > size(folder / CURVES):
                raise BrokenCheckpoint(f"{CURVES} is shorter than it was then")
            return cut
        except Exception as error:  # whatever a broken file raises
            said = str(error).partition("\n")[0] or type(error).__name__
            print(f"{file} cannot be used ({said}): the one before it is", file=sys.stderr)
    return None


class Keep(Callback):
    """Takes a checkpoint before the first batch after some seconds at which no gradient is pending, and keeps two.

    Args:
        folder: the run's folder.
        seconds: between two checkpoints; 0 takes one before every batch.
        spent: says what the run has cost so far, by measure.
        restarts: how often the run was continued.
    """

    def __init__(self, folder: Path, seconds: float, spent: Callable[[], Mapping[str, float]], restarts: int) -> None:
        self.folder, self.seconds, self.spent, self.restarts = folder / CHECKPOINTS, seconds, spent, restarts
        self.curves = folder / CURVES
        self.last = time.monotonic()
        self.position = (0, 0)
        self.trained = False
        self.points = 0

    def on_train_batch_start(self, trainer: lightning.Trainer, pl_module: Any, batch: Any, batch_idx: int) -> None:
        """Takes one where it is time to."""
        self.position = (trainer.current_epoch, batch_idx)
        if batch_idx and self._due(trainer, pl_module):
            self.take(trainer, pl_module)

    def _due(self, trainer: lightning.Trainer, pl_module: Any) -> bool:
        """Whether it is time for a checkpoint, and all processes can take part: they answer alike."""
        late = time.monotonic() - self.last >= self.seconds
        if trainer.world_size == 1 or self.seconds == 0:
            return late and pl_module.safe_point()
        self.points += pl_module.safe_point()
        return pl_module.safe_point() and self.points % ASKED == 0 and everywhere(late)[0]

    def on_train_end(self, trainer: lightning.Trainer, pl_module: Any) -> None:
        """Takes one when all is learnt: what follows is predicting."""
        self.trained, self.position = True, (trainer.current_epoch, 0)
        self.take(trainer, pl_module)

    def take(self, trainer: lightning.Trainer, pl_module: Any) -> None:
        """Takes a checkpoint now."""
        if trainer.fast_dev_run:
            return
        trainer.save_checkpoint(self.folder / f"{pl_module.batches:010d}-{int(self.trained)}.ckpt")
        if trainer.is_global_zero:
            for old in sorted(self.folder.glob("*.ckpt"))[:-KEPT]:
                old.unlink(missing_ok=True)
        self.last = time.monotonic()

    def on_save_checkpoint(self, trainer: lightning.Trainer, pl_module: Any, checkpoint: dict[str, Any]) -> None:
        """Adds where the run is, and takes back what Lightning will count once more when it continues."""
        loop = trainer.fit_loop.epoch_loop
        if not self.trained and not loop._should_accumulate():
            checkpoint["loops"]["fit_loop"]["epoch_loop.state_dict"]["_batches_that_stepped"] -= 1
        if self.curves.is_file():
            with self.curves.open("rb") as stream:
                os.fsync(stream.fileno())
        epoch, batch = self.position
        checkpoint[_RUN] = {
            "epoch": epoch,
            "batch": batch,
            "logged": size(self.curves),
            "trained": self.trained,
            "spent": dict(self.spent()),
            "restarts": self.restarts,
        }
