"""What a run says of itself while it trains: Lightning's bar, and a small file for whoever watches a sweep."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

import lightning
from lightning.pytorch.callbacks import Callback, RichProgressBar

from repro.runs.watch import FILE


class Beat(Callback):
    """Says about once a second, in a small file, how far a run is, for the process that watches a sweep.

    Args:
        folder: the run's folder.
    """

    def __init__(self, folder: Path) -> None:
        self.file = folder / FILE
        self.last = 0.0

    def on_train_batch_end(self, trainer: lightning.Trainer, *args: Any) -> None:
        """Writes step, number of steps and loss, once a second at most."""
        now = time.monotonic()
        if now - self.last < 1.0:
            return
        self.last = now
        loss = trainer.callback_metrics.get("train/loss")
        self.file.write_text(
            json.dumps(
                {
                    "step": trainer.global_step,
                    "steps": int(trainer.estimated_stepping_batches),
                    "loss": None if loss is None else round(float(loss), 4),
                }
            ),
            encoding="utf-8",
        )

    def on_fit_end(self, trainer: lightning.Trainer, pl_module: lightning.LightningModule) -> None:
        self.file.unlink(missing_ok=True)


class Bar(RichProgressBar):
    """Lightning's rich bar, with the loss that was logged last: it costs the training step nothing."""

    def get_metrics(self, trainer: lightning.Trainer, pl_module: lightning.LightningModule) -> dict[str, Any]:
        loss = trainer.logged_metrics.get("train/loss")
        return {} if loss is None else {"loss": round(float(loss), 3)}


def bar(wanted: bool) -> list[Callback]:
    """Returns the bar (loss, steps a second, time left), or nothing."""
    return [Bar(leave=False)] if wanted else []
