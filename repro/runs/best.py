"""The best epoch of a run."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import lightning
import torch
from lightning.pytorch.callbacks import Callback


class BestEpoch(Callback):
    """Keeps what learnt as it was after the epoch with the best validation score.

    Args:
        metric: the task's main metric; the higher the better.
    """

    def __init__(self, metric: str) -> None:
        self.metric = metric
        self.score = -math.inf
        self.epoch: int | None = None
        self.state: Mapping[str, torch.Tensor] = {}

    def on_validation_end(self, trainer: lightning.Trainer, pl_module: lightning.LightningModule) -> None:
        score = trainer.callback_metrics.get(f"validation/{self.metric}")
        if score is not None and not trainer.sanity_checking and float(score) > self.score:
            self.score, self.epoch, self.state = float(score), trainer.current_epoch, pl_module.trainable_state()

    def state_dict(self) -> dict[str, Any]:
        """Returns what a checkpoint holds of it."""
        return {"score": self.score, "epoch": self.epoch, "state": dict(self.state)}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Takes over what a checkpoint holds."""
        self.score, self.epoch, self.state = (state_dict[name] for name in ("score", "epoch", "state"))
