"""One cell, from its configuration to its record."""

from __future__ import annotations

import contextlib
import copy
import logging
import math
import os
import shutil
import sys
import tempfile
import time
import warnings
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import lightning
import torch
import yaml
from hydra.errors import InstantiationException
from hydra.utils import instantiate
from lightning.pytorch.callbacks import Callback, LearningRateMonitor, ProgressBar
from lightning.pytorch.loggers import WandbLogger

from repro.energy import EnergyMeter
from repro.errors import UserError
from repro.models.load import load_network, make_folder
from repro.records.identity import file_digest, portable
from repro.records.record import Record, write_record
from repro.runs import measure
from repro.runs.beat import Beat, bar
from repro.runs.compose import Cell
from repro.runs.find import product, recorded
from repro.runs.loggers import JsonLines, thinned, wandb_logger, write_to_wandb

if TYPE_CHECKING:
    from repro.papers.base import Paper
    from repro.tasks.base import Task


def execute(cell: Cell, *, show_bar: bool = False) -> Record | None:
    """Runs a cell: inputs, network, task, paper, fit, predict, score, record.

    Args:
        cell: what to run.
        show_bar: whether Lightning's rich bar is shown.

    Returns:
        the record; None for a trial (fast_dev_run), which leaves none.

    Raises:
        UserError: whatever a user can mend; nothing recorded before is touched.
    """
    inputs = {name: _made(one, show_bar) for name, one in cell.inputs.items()} | cell.given
    with _workplace(cell) as folder, EnergyMeter() as meter:
        config = copy.deepcopy(cell.config)
        began = time.perf_counter()
        _set_threads(config)
        measure.forget_peak_memory()
        lightning.seed_everything(cell.seed, verbose=False)
        network = _network_folder(config["network"], inputs, folder)
        task: Task = _built(config["task"], folder=network, seed=cell.seed)
        settings = task.head | config["network"].get("config", {})
        load = lambda: {"network": load_network(network, weights=config["network"]["weights"], **settings)}  # noqa: E731
        paper: Paper = _built(
            config["paper"], task=task, load=load, inputs=inputs, optim=config["optim"], seed=cell.seed
        )
        best = BestEpoch(task.main_metric)
        trainer, streaming = _trainer(cell, folder, [best, Beat(folder), LearningRateMonitor("step"), *bar(show_bar)])
        trainer.fit(paper, datamodule=task)
        trained = time.perf_counter()
        if config["fast_dev_run"]:
            return None
        scores, digests = _score_epochs(trainer, paper, task, best, folder)
        paper.save_product(folder / "product")
        energy = meter.read(measure.gpus(trainer.strategy.root_device.type, trainer.device_ids))
        spent = {
            "seconds": round(time.perf_counter() - began, 2),
            "train_seconds": round(trained - began, 2),
            "energy_joules": round(energy.joules, 1),
            "energy_source": energy.source,
        }
        record = _record(cell, folder, task, paper, trainer, scores=scores, best=best, spent=spent, digests=digests)
        write_record(record, folder / "record.json")
        final = _publish(folder, cell)
    _to_wandb(cell, final, scores, streaming)
    return record


def _to_wandb(cell: Cell, folder: Path, scores: Mapping[str, Any], streaming: WandbLogger | None) -> None:
    """Completes the run in W&B, or writes it there whole. A broken W&B never costs a result."""
    if cell.config["logger"]["mode"] in ("none", "disabled"):
        return
    try:
        logger = streaming or _wandb(cell, folder)
        write_to_wandb(logger, folder=folder, config=portable(cell.config), scores=scores, with_curves=not streaming)
    except Exception as error:  # whatever wandb raises
        print(f"W&B has not got {cell.title}: {error}", file=sys.stderr)


def _wandb(cell: Cell, folder: Path) -> WandbLogger:
    settings = cell.config["logger"]
    return wandb_logger(settings, folder=folder, identity=cell.identity, title=cell.title, group=cell.paper)


def _streaming(cell: Cell, folder: Path) -> WandbLogger | None:
    """Returns the logger of a run that W&B shows while it trains; None where that was not asked for or cannot be."""
    if cell.config["logger"]["mode"] != "online" or cell.config["fast_dev_run"]:
        return None
    try:
        logger = _wandb(cell, folder)
        logger.experiment.id  # noqa: B018 (connects)
    except Exception as error:  # whatever wandb raises
        print(f"W&B cannot be reached: {error}", file=sys.stderr)
        return None
    return logger


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


@contextlib.contextmanager
def _workplace(cell: Cell) -> Iterator[Path]:
    """Gives the folder that the run is made in: beside its place, or a temporary one for a trial."""
    if cell.config["fast_dev_run"]:
        with tempfile.TemporaryDirectory(prefix="repro-trial-") as trial:
            yield Path(trial)
        return
    folder = cell.part
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    (folder / "config.yaml").write_text(yaml.safe_dump(cell.config, sort_keys=False), encoding="utf-8")
    yield folder


def _publish(folder: Path, cell: Cell) -> Path:
    """Moves a finished run to its place; a run that stood there is kept under runs_dir/.replaced."""
    if cell.folder.exists():
        kept = cell.places.runs_dir / ".replaced" / f"{cell.identity}-{time.time_ns()}"
        kept.parent.mkdir(exist_ok=True)
        cell.folder.rename(kept)
    folder.rename(cell.folder)
    return cell.folder


def _made(cell: Cell, show_bar: bool) -> Path:
    if recorded(cell) is None:
        execute(cell, show_bar=show_bar)
    return product(cell)


def _built(settings: Mapping[str, Any], **others: Any) -> Any:
    """Instantiates what a configuration names; an error that the user can mend comes out as it is."""
    try:
        return instantiate(settings, **others)
    except InstantiationException as error:
        if isinstance(error.__cause__, UserError):
            raise error.__cause__ from None
        raise


def _set_threads(config: Mapping[str, Any]) -> None:
    threads = config["threads"]
    torch.set_num_threads(len(os.sched_getaffinity(0)) if threads == "auto" else threads)


def _network_folder(network: Mapping[str, Any], inputs: Mapping[str, Path], folder: Path) -> Path | str:
    """Returns where weights and tokenizer lie: an input's product, a folder, a hub name, or a new folder."""
    if "settings" in network:
        return make_folder(network["settings"], instantiate(network["vocabulary"]), folder / "network")
    return inputs.get("network") or network["path"]


def _trainer(cell: Cell, folder: Path, callbacks: list[Callback]) -> tuple[lightning.Trainer, WandbLogger | None]:
    """Returns Lightning's trainer, and the W&B logger if it streams."""
    settings, config = cell.config["trainer"], cell.config
    streaming = _streaming(cell, folder)
    warnings.filterwarnings("ignore", module=r"lightning\.")
    for name in ("lightning.pytorch", "lightning.fabric"):
        logging.getLogger(name).setLevel(logging.WARNING)
    trainer = _built(
        settings,
        logger=[JsonLines(folder / "metrics.jsonl"), *([streaming] if streaming else [])],
        callbacks=callbacks,
        enable_checkpointing=False,
        use_distributed_sampler=False,
        enable_model_summary=False,
        num_sanity_val_steps=0,
        default_root_dir=str(folder),
        enable_progress_bar=any(isinstance(one, ProgressBar) for one in callbacks),
        fast_dev_run=config["fast_dev_run"],
    )
    return trainer, streaming


def _score_epochs(
    trainer: lightning.Trainer, paper: Paper, task: Task, best: BestEpoch, folder: Path
) -> tuple[dict[str, dict[str, float]], dict[str, str]]:
    """Predicts each scored split with the last weights and with those of the best epoch, and scores the predictions.

    Returns:
        scores by "SPLIT-EPOCH", and the digests of the prediction files by the same names.
    """
    scores: dict[str, dict[str, float]] = {}
    digests: dict[str, str] = {}
    (folder / "predictions").mkdir()
    rows: dict[str, list] = {}
    for epoch in ("last", "best"):
        if epoch == "best" and best.epoch is None:
            break
        if epoch == "best" and best.epoch < trainer.current_epoch - 1:  # else it is the last one, just predicted
            paper.load_trainable_state(best.state)
            rows.clear()
        for split in task.scored_splits():
            if split not in rows:
                rows[split] = [row for batch in trainer.predict(paper, task.split_dataloader(split)) for row in batch]
            file = folder / "predictions" / f"{split}-{epoch}.jsonl"
            task.write_predictions(rows[split], file, split)
            task.write_statistics(rows[split], file, split)
            scores[f"{split}-{epoch}"] = task.score(rows[split], split)
            digests[f"{split}-{epoch}"] = file_digest(file, folder)
    return scores, digests


def _record(
    cell: Cell,
    folder: Path,
    task: Task,
    paper: Paper,
    trainer: lightning.Trainer,
    *,
    scores: Mapping[str, Any],
    best: BestEpoch,
    spent: Mapping[str, float | str],
    digests: Mapping[str, str],
) -> Record:
    device = trainer.strategy.root_device.type
    diverged = int(not all(torch.isfinite(one).all() for one in paper.trainable_state().values()))
    return Record(
        identity=cell.identity,
        status="diverged" if diverged else "finished",
        paper=cell.paper.split("/")[0],
        stage=cell.paper.partition("/")[2] or None,
        task=cell.task,
        model=cell.choices["model"],
        network=cell.config["network"]["name"],
        scale=cell.config["scale"],
        seed=cell.seed,
        recipe=cell.choices["recipe"],
        config=portable(cell.config),
        deviates=list(cell.deviates),
        notes=list(cell.config["departs"]),
        inputs={name: {"identity": one.identity, "config": portable(one.config)} for name, one in cell.inputs.items()}
        | {name: {"path": place.name} for name, place in cell.given.items()},
        scores=scores,
        best_epoch=best.epoch,
        baselines={split: task.baselines(split) for split in task.scored_splits()},
        measures={
            **spent,
            "steps": paper.steps,
            "tokens": int(paper.tokens),
            "train_flops": paper.train_flops or None,
            "predict_flops": paper.predict_flops or None,
            "peak_memory_bytes": measure.peak_memory(device),
            "trainable_parameters": paper.trainable_parameters(),
            "head_parameters": paper.head_parameters(),
            "total_parameters": paper.total_parameters(),
        },
        diverged=diverged,
        data={
            name: {"source": one.source, "digest": one.digest, "rows": len(one.dataset)}
            for name, one in task.splits.items()
        },
        curves={
            "file": "metrics.jsonl",
            "digest": file_digest(folder / "metrics.jsonl", folder),
            "points": thinned(folder / "metrics.jsonl"),
        },
        predictions=dict(digests),
        versions=measure.versions(cell.config, device),
        hardware=measure.hardware(device, trainer.world_size),
        commit=measure.commit(),
        created=datetime.now(UTC).isoformat(timespec="seconds"),
    )
