"""One cell, from its configuration to its record."""

from __future__ import annotations

import copy
import logging
import os
import shutil
import sys
import tempfile
import time
import warnings
from collections.abc import Mapping
from dataclasses import dataclass
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

from repro.errors import UserError
from repro.models.load import load_network, make_folder
from repro.papers.base import Diverged
from repro.records.identity import file_digest, portable
from repro.records.record import Record, write_record, write_whole
from repro.runs import measure
from repro.runs.beat import Beat, bar
from repro.runs.best import BestEpoch
from repro.runs.checkpoint import FOLDER, CheckedIO, Cut, Keep, newest, sync_folder
from repro.runs.compose import Cell
from repro.runs.find import product, recorded
from repro.runs.lock import held, lock_file
from repro.runs.loggers import JsonLines, thinned, wandb_logger, write_to_wandb
from repro.runs.predict import score_epochs
from repro.runs.spent import Spent

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
    if cell.config["fast_dev_run"]:
        with tempfile.TemporaryDirectory(prefix="repro-trial-") as trial:
            _run(cell, inputs, Path(trial), show_bar)
        return None
    with held(lock_file(cell), wait=True):
        if not cell.config["rerun"] and (done := recorded(cell)) is not None:
            return done  # somebody else ended it while we waited
        made = _run(cell, inputs, _workplace(cell), show_bar)
        final = _publish(cell, made.record.diverged)
    _to_wandb(cell, final, made.record.scores, made.streaming)
    return made.record


@dataclass(frozen=True)
class _Made:
    """A run as it ended: its record, and the W&B logger if it streams."""

    record: Record
    streaming: WandbLogger | None


def _run(cell: Cell, inputs: Mapping[str, Path], folder: Path, show_bar: bool) -> _Made | None:
    """Makes the run in a folder, from where it was cut if it was; a trial leaves nothing."""
    config, cut = copy.deepcopy(cell.config), newest(folder)
    with Spent(cut) as spent:
        _set_threads(config)
        lightning.seed_everything(cell.seed, verbose=False)
        task, paper = _task_and_paper(cell, config, inputs, folder)
        best = BestEpoch(task.main_metric)
        keep = Keep(folder, config["checkpoint_seconds"], spent.now, spent.restarts)
        callbacks = [best, keep, Beat(folder), LearningRateMonitor("step"), *bar(show_bar)]
        trainer, streaming = _trainer(cell, folder, callbacks, cut)
        spent.runs_on(trainer)
        diverged = _fit(trainer, paper, task, cut)
        spent.trained()
        if config["fast_dev_run"]:
            return None
        scores, digests = {}, {}
        if not diverged:
            seconds = config["checkpoint_seconds"]
            scores, digests = score_epochs(trainer, paper, task, best, folder, seconds=seconds)
            paper.save_product(folder / "product")
        record = _record(
            cell, folder, task, paper, trainer, scores, digests, best=best, cost=spent.measures(), diverged=diverged
        )
        write_record(record, folder / "record.json")
    return _Made(record, streaming)


def _task_and_paper(
    cell: Cell, config: Mapping[str, Any], inputs: Mapping[str, Path], folder: Path
) -> tuple[Task, Paper]:
    network = _network_folder(config["network"], inputs, folder)
    task: Task = _built(config["task"], folder=network, seed=cell.seed)
    settings = task.head | config["network"].get("config", {})
    load = lambda: {"network": load_network(network, weights=config["network"]["weights"], **settings)}  # noqa: E731
    paper: Paper = _built(config["paper"], task=task, load=load, inputs=inputs, optim=config["optim"], seed=cell.seed)
    return task, paper


def _fit(trainer: lightning.Trainer, paper: Paper, task: Task, cut: Cut | None) -> str:
    """Trains, or goes on training; returns why it diverged, or nothing."""
    if cut is not None:
        task.continue_at(cut.epoch, cut.batch)
    try:
        trainer.fit(paper, datamodule=task, ckpt_path=cut and cut.path)
    except Diverged as error:
        last = newest(Path(trainer.default_root_dir))
        return f"{error}; the last good checkpoint is {f'{FOLDER}/{last.path.name}' if last else 'the start'}"
    return ""


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


def _workplace(cell: Cell) -> Path:
    """Returns the folder that the run is made in, beside its place, with what a killed process left there."""
    folder = cell.part
    if newest(folder) is None:
        shutil.rmtree(folder, ignore_errors=True)
    for name in ("product", "network", "wandb"):
        shutil.rmtree(folder / name, ignore_errors=True)
    folder.mkdir(parents=True, exist_ok=True)
    write_whole(folder / "config.yaml", yaml.safe_dump(cell.config, sort_keys=False))
    return folder


def _publish(cell: Cell, diverged: int) -> Path:
    """Moves a finished run to its place; a run that stood there is kept under runs_dir/.replaced."""
    if not diverged:
        shutil.rmtree(cell.part / FOLDER, ignore_errors=True)
    if cell.folder.exists():
        kept = cell.places.runs_dir / ".replaced" / f"{cell.identity}-{time.time_ns()}"
        kept.parent.mkdir(exist_ok=True)
        cell.folder.rename(kept)
    cell.part.rename(cell.folder)
    sync_folder(cell.folder.parent)
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


def _trainer(
    cell: Cell, folder: Path, callbacks: list[Callback], cut: Cut | None
) -> tuple[lightning.Trainer, WandbLogger | None]:
    """Returns Lightning's trainer, and the W&B logger if it streams."""
    settings, config = cell.config["trainer"], cell.config
    streaming = _streaming(cell, folder)
    warnings.filterwarnings("ignore", module=r"lightning\.")
    for name in ("lightning.pytorch", "lightning.fabric"):
        logging.getLogger(name).setLevel(logging.WARNING)
    trainer = _built(
        settings,
        logger=[
            JsonLines(folder / "metrics.jsonl", start=cut.logged if cut else None),
            *([streaming] if streaming else []),
        ],
        callbacks=callbacks,
        plugins=[CheckedIO()],
        enable_checkpointing=False,
        use_distributed_sampler=False,
        enable_model_summary=False,
        num_sanity_val_steps=0,
        default_root_dir=str(folder),
        enable_progress_bar=any(isinstance(one, ProgressBar) for one in callbacks),
        fast_dev_run=config["fast_dev_run"],
    )
    return trainer, streaming


def _record(
    cell: Cell,
    folder: Path,
    task: Task,
    paper: Paper,
    trainer: lightning.Trainer,
    scores: Mapping[str, Any],
    digests: Mapping[str, str],
    *,
    best: BestEpoch,
    cost: Mapping[str, float | str],
    diverged: str,
) -> Record:
    device = trainer.strategy.root_device.type
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
        notes=[*cell.config["departs"], *([diverged] if diverged else [])],
        inputs={name: {"identity": one.identity, "config": portable(one.config)} for name, one in cell.inputs.items()}
        | {name: {"path": place.name} for name, place in cell.given.items()},
        scores=scores,
        best_epoch=best.epoch,
        baselines={split: task.baselines(split) for split in task.scored_splits()},
        measures={
            **cost,
            "steps": paper.steps,
            "tokens": int(paper.tokens),
            "train_flops": paper.train_flops or None,
            "predict_flops": paper.predict_flops or None,
            "training_state_bytes": measure.training_state(paper.network, trainer.optimizers),
            "trainable_parameters": paper.trainable_parameters(),
            "head_parameters": paper.head_parameters(),
            "total_parameters": paper.total_parameters(),
        },
        diverged=int(bool(diverged)),
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
