"""Predictions of a trained paper, kept as they come, so that a killed run predicts no batch twice; and their scores."""

from __future__ import annotations

import json
import os
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import lightning
from lightning.pytorch.callbacks import Callback

from repro.papers.base import everywhere
from repro.records.identity import file_digest
from repro.runs.best import BestEpoch

if TYPE_CHECKING:
    from repro.papers.base import Paper, Row
    from repro.tasks.base import Task


def score_epochs(
    trainer: lightning.Trainer, paper: Paper, task: Task, best: BestEpoch, folder: Path, *, seconds: float
) -> tuple[dict[str, dict[str, float]], dict[str, str]]:
    """Predicts each scored split with the last weights and with those of the best epoch, and scores the predictions.

    Args:
        folder: the run's folder.
        seconds: of work that a kill may cost.

    Returns:
        scores by "SPLIT-EPOCH", and the digests of the prediction files by the same names; none but in rank zero.
    """
    scores: dict[str, dict[str, float]] = {}
    digests: dict[str, str] = {}
    (folder / "predictions").mkdir(exist_ok=True)
    rows: dict[str, list[Row]] = {}
    for epoch in ("last", "best"):
        if epoch == "best" and best.epoch is None:
            break
        if epoch == "best" and best.epoch < trainer.current_epoch - 1:  # else it is the last one, just predicted
            paper.load_trainable_state(best.state)
            rows.clear()
        for split in paper.scored_splits():
            file = folder / "predictions" / f"{split}-{epoch}.jsonl"
            if split not in rows:
                rows[split] = predicted(trainer, paper, task, split, file.with_suffix(".part"), seconds=seconds)
            if not trainer.is_global_zero:
                continue
            task.write_predictions(rows[split], file, split)
            task.write_statistics(rows[split], file, split)
            scores[f"{split}-{epoch}"] = task.score(rows[split], split)
            digests[f"{split}-{epoch}"] = file_digest(file, folder)
    everywhere(None)  # nobody writes any more
    if trainer.is_global_zero:
        for part in (folder / "predictions").glob("*.part"):
            part.unlink()
    return scores, digests


def predicted(
    trainer: lightning.Trainer, paper: Paper, task: Task, split: str, part: Path, *, seconds: float
) -> list[Row]:
    """Predicts a split, beginning where earlier processes were killed.

    Args:
        part: where the rows of each batch are kept; other processes than rank zero keep theirs beside it.
        seconds: between two writes to the disk.
    """
    kept = _kept(part) if trainer.is_global_zero else []
    paper.predict_flops += sum(batch["flops"] for batch in kept)
    rows = [row for batch in kept for row in batch["rows"]]
    loader = task.split_dataloader(split)
    if done := everywhere([row["id"] for row in rows])[0]:
        places = {key: place for place, key in enumerate(task.split(split).dataset["id"])}
        loader.batch_sampler.leave_out(places[key] for key in done)
    if len(loader.batch_sampler):
        keep = _KeepRows(_own(part, trainer.global_rank), paper.predict_flops, seconds)
        trainer.callbacks.append(keep)
        try:
            rows += [row for batch in trainer.predict(paper, loader) or [] for row in batch]
        finally:
            trainer.callbacks.remove(keep)
            keep.stream.close()
    return paper.gather(rows)


def _own(part: Path, rank: int) -> Path:
    return part.with_name(f"{part.stem}.{rank}{part.suffix}") if rank else part


class _KeepRows(Callback):
    """Appends the rows of each batch to a file, and syncs it now and then.

    Args:
        file: where they go.
        flops: the operations that predictions took before.
        seconds: between two writes to the disk.
    """

    def __init__(self, file: Path, flops: int, seconds: float) -> None:
        self.stream, self.flops = file.open("a", encoding="utf-8"), flops
        self.seconds, self.last = seconds, time.monotonic()

    def on_predict_batch_end(
        self,
        trainer: lightning.Trainer,
        pl_module: Any,
        outputs: Any,
        batch: Any,
        batch_idx: int,
        dataloader_idx: int = 0,
    ) -> None:
        """Keeps a batch."""
        flops, self.flops = pl_module.predict_flops - self.flops, pl_module.predict_flops
        self.stream.write(json.dumps({"flops": flops, "rows": outputs}) + "\n")
        if time.monotonic() - self.last >= self.seconds:
            self.stream.flush()
            os.fsync(self.stream.fileno())
            self.last = time.monotonic()


def _kept(part: Path) -> list[dict[str, Any]]:
    """Returns the batches that were kept, by however many processes."""
    return [batch for file in sorted(part.parent.glob(f"{part.stem}*{part.suffix}")) for batch in _read(file)]


def _read(part: Path) -> list[dict[str, Any]]:
    """Returns the batches that were kept; a torn last line is cut off the file."""
    found, whole = [], 0
    for line in part.read_bytes().splitlines(keepends=True):
        try:
            found.append(json.loads(line))
        except ValueError:
            break
        if not line.endswith(b"\n"):
            found.pop()
            break
        whole += len(line)
    os.truncate(part, whole)
    return found
