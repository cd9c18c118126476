"""Where a run's curves go: metrics.jsonl always, W&B beside it."""

from __future__ import annotations

import json
import logging
import math
import os
import shutil
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import wandb
from lightning.pytorch.loggers import WandbLogger
from lightning.pytorch.loggers.logger import Logger, rank_zero_experiment
from lightning.pytorch.utilities import rank_zero_only


class JsonLines(Logger):
    """Appends each set of metrics as a line of JSON: ``{"step": 10, "epoch": 0, "train/loss": 0.7}``.

    Args:
        file: where the lines go; an older file is replaced.
    """

    def __init__(self, file: Path) -> None:
        super().__init__()
        file.parent.mkdir(parents=True, exist_ok=True)
        self.file = file
        self._stream = file.open("w", encoding="utf-8")

    name = "jsonl"
    version = 0

    @property
    @rank_zero_experiment
    def experiment(self) -> JsonLines:
        return self

    @rank_zero_only
    def log_hyperparams(self, params: Any, *args: Any, **kwargs: Any) -> None:
        """The configuration stands in config.yaml."""

    @rank_zero_only
    def log_metrics(self, metrics: Mapping[str, float], step: int | None = None) -> None:
        whole = {"step": step} | {
            key: int(value) if key == "epoch" else round(value, 6) if math.isfinite(value) else str(value)
            for key, value in metrics.items()
        }
        self._stream.write(json.dumps(whole) + "\n")
        self._stream.flush()

    @rank_zero_only
    def finalize(self, status: str) -> None:
        self._stream.flush()


def thinned(file: Path, most: int = 40) -> dict[str, list[list[float]]]:
    """Returns the curves of metrics.jsonl in few points, for the record.

    Args:
        file: metrics.jsonl.
        most: points of a curve; neighbours are averaged, and stand at the last one's step.

    Returns:
        for the training loss and each validation metric, [step, value] pairs.
    """
    curves: dict[str, list[tuple[int, float]]] = {}
    for line in file.read_text(encoding="utf-8").splitlines():
        metrics = json.loads(line)
        for name, value in metrics.items():
            if name.startswith(("train/", "validation/")) and isinstance(value, int | float):
                curves.setdefault(name, []).append((metrics["step"], value))
    thin = {}
    for name, points in curves.items():
        size = math.ceil(len(points) / most)
        groups = [points[start : start + size] for start in range(0, len(points), size)]
        thin[name] = [[group[-1][0], round(sum(value for _, value in group) / len(group), 4)] for group in groups]
    return thin


def wandb_logger(settings: Mapping[str, Any], *, folder: Path, identity: str, title: str, group: str) -> WandbLogger:
    """Makes Lightning's logger for one run, whose W&B name is the run's identity.

    Args:
        settings: the `logger` part of the configuration: mode (online or offline), project, entity.
        folder: the run's folder; W&B writes its own folder `wandb` there.
        identity: the run's 12 hex digits.
        title: what W&B shows.
        group: what W&B groups by.
    """
    os.environ.setdefault("WANDB_SILENT", "true")
    logging.getLogger("wandb").setLevel(logging.ERROR)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return WandbLogger(
            project=settings["project"],
            entity=settings["entity"],
            save_dir=str(folder),
            id=identity,
            name=title,
            settings=wandb.Settings(silent=True),
            group=group,
            offline=settings["mode"] != "online",
            log_model=False,
        )


def write_to_wandb(
    logger: WandbLogger,
    *,
    folder: Path,
    config: Mapping[str, Any],
    scores: Mapping[str, Mapping[str, float]],
    with_curves: bool,
) -> None:
    """Completes a run in W&B: configuration, curves (if not streamed), scores, and the record as a real file.

    Args:
        logger: the run's logger.
        folder: the run's folder, with metrics.jsonl and record.json.
        config: the resolved configuration.
        scores: by split, as in the record; they become the run's summary (`test-best/accuracy`).
        with_curves: whether metrics.jsonl still has to be written.
    """
    logger.log_hyperparams(dict(config))
    if with_curves:
        for line in (folder / "metrics.jsonl").read_text(encoding="utf-8").splitlines():
            metrics = json.loads(line)
            logger.log_metrics({key: value for key, value in metrics.items() if key != "step"}, step=metrics["step"])
    run = logger.experiment
    run.summary.update(
        {f"{split}/{metric}": value for split, values in scores.items() for metric, value in values.items()}
    )
    shutil.copyfile(folder / "record.json", Path(run.dir) / "record.json")
    run.finish()
