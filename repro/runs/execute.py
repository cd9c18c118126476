"""One cell, from its configuration to its record."""

from __future__ import annotations

import contextlib
import copy
import logging
import os
import shutil
import tempfile
import time
import warnings
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import lightning
import torch
import yaml
from hydra.utils import instantiate
from lightning.pytorch.callbacks import Callback, LearningRateMonitor, ProgressBar

from repro.models.load import load_network, make_folder
from repro.papers.base import Diverged
from repro.records.identity import file_digest, portable
from repro.records.record import Record, write_record, write_whole
from repro.runs import measure
from repro.runs.beat import Beat, bar
from repro.runs.best import BestEpoch
from repro.runs.build import built
from repro.runs.checkpoint import CheckedIO, Cut, Keep, newest, sync_folder
from repro.runs.compose import Cell
from repro.runs.find import CHECKPOINTS, product, recorded
from repro.runs.lock import POLL, held
from repro.runs.loggers import CURVES, Entry, JsonLines, WandbRun, complete_in_wandb, stream_to_wandb, thinned
from repro.runs.predict import score_epochs
from repro.runs.processes import Team, agreed, first, together
from repro.runs.spent import Spent
from repro.tasks.base import Measured

if TYPE_CHECKING:
    from repro.papers.base import Paper
    from repro.tasks.base import Task


def execute(cell: Cell, *, show_bar: bool = False) -> Record | None:
    """Runs a cell: inputs, network, task, paper, fit, predict, score, record.

    Args:
        cell: what to run.
        show_bar: whether Lightning's rich bar is shown.

    Returns:
        the record; None for a trial (fast_dev_run), which leaves none, and in other processes than rank zero.

    Raises:
        UserError: whatever a user can mend; nothing recorded before is touched.
    """
    inputs = {name: _made(one, show_bar) for name, one in cell.inputs.items()} | cell.given
    if not first():  # torchrun or srun started it beside rank zero
        _run(cell, inputs, cell.part, False)
        return None
    if cell.config["fast_dev_run"]:
        with tempfile.TemporaryDirectory(prefix="repro-trial-") as trial:
            _run(cell, inputs, Path(trial), show_bar)
        return None
    with held(cell):
        if not cell.config["rerun"] and (done := recorded(cell)) is not None:
            return done  # somebody else ended it while we waited
        made = _run(cell, inputs, _workplace(cell), show_bar)
        final = _publish(cell, made.record.diverged)
    complete_in_wandb(_entry(cell), final, made.record.scores, made.streaming)
    return made.record


def take_part(cell: Mapping[str, Any], inputs: Mapping[str, str], folder: str) -> None:
    """Takes part in a run that rank zero makes.

    Args:
        cell: the fields of the cell.
        inputs: the folders of its inputs.
        folder: the run's folder.
    """
    _run(Cell(**cell), {name: Path(place) for name, place in inputs.items()}, Path(folder), False)


@dataclass(frozen=True)
class _Made:
    """A run as it ended: its record, and the W&B logger if it streams."""

    record: Record
    streaming: WandbRun | None


def _run(cell: Cell, inputs: Mapping[str, Path], folder: Path, show_bar: bool) -> _Made | None:
    """Makes the run in a folder, by as many processes as it is to have; a trial and other ranks than zero get None."""
    quieten()
    alone = replace(cell, inputs={}, given={})  # nobody but rank zero needs them
    places = {name: str(place) for name, place in inputs.items()}
    told = {"cell": asdict(alone), "inputs": places, "folder": str(folder)}
    with together(cell.config["trainer"], told) as team:
        return _steps(cell, inputs, folder, show_bar, team)


def _steps(cell: Cell, inputs: Mapping[str, Path], folder: Path, show_bar: bool, team: Team) -> _Made | None:
    """Makes the run from where it was cut, if it was. Whatever is done here all processes do, in this order."""
    config, cut = copy.deepcopy(cell.config), agreed(lambda: newest(folder))
    with Spent(cut if first() else None) as spent:
        _set_threads(config, team.here)
        lightning.seed_everything(cell.seed, verbose=False)
        task, paper = task_and_paper(config, inputs, folder)
        best = BestEpoch(task.main_metric if paper.trains else "")
        keep = Keep(folder, config["checkpoint_seconds"], spent.now, spent.restarts)
        trainer, streaming = _trainer(cell, folder, [best, keep, *team.callbacks], cut, team, show_bar)
        spent.runs_on(trainer)
        scores, digests, found = {}, {}, Measured()
        with streaming or contextlib.nullcontext():  # a run that fails does not stay open in W&B
            diverged = _fit(trainer, paper, task, cut) if paper.trains else ""
            spent.trained()
            if not paper.trains:
                found = _measured(trainer, paper)
            if config["fast_dev_run"]:
                return None
            if not diverged:
                seconds = config["checkpoint_seconds"]
                scores, digests = score_epochs(trainer, paper, task, best, folder, seconds=seconds)
                if first() and paper.trains:
                    paper.save_product(folder / "product")
        cost = spent.measures() | paper.totals()
        if not first():
            return None
        if paper.trains:
            task.setup()  # a run that diverged has predicted nothing, and is compared by its data all the same
        cost |= found.numbers
        record = _record(cell, folder, task, paper, trainer, scores, digests, best=best, cost=cost, diverged=diverged)
        record = replace(record, details=dict(found.details))
        write_record(record, folder / "record.json")
    return _Made(record, streaming)


def task_and_paper(config: Mapping[str, Any], inputs: Mapping[str, Path], folder: Path) -> tuple[Task, Paper]:
    """Makes what a configuration names; the network is yet to be loaded.

    Args:
        config: resolved.
        inputs: product folders by name.
        folder: where the configuration and vocabulary of a network go that has no folder of its own.
    """
    seed = config["seed"]
    network = agreed(lambda: _network_folder(config["network"], inputs, folder))
    task: Task = built(config["task"], folder=network, seed=seed)
    settings = task.head | config["network"].get("config", {})
    load = lambda: {"network": load_network(network, weights=config["network"]["weights"], **settings)}  # noqa: E731
    paper: Paper = built(config["paper"], task=task, load=load, inputs=inputs, optim=config["optim"], seed=seed)
    return task, paper


def _fit(trainer: lightning.Trainer, paper: Paper, task: Task, cut: Cut | None) -> str:
    """Trains, or goes on training; returns why it diverged, or nothing."""
    if cut is not None:
        task.continue_at(cut.epoch, cut.batch)
    try:
        trainer.fit(paper, datamodule=task, ckpt_path=cut and cut.path)
    except Diverged as error:
        last = newest(Path(trainer.default_root_dir))
        return f"{error}; the last good checkpoint is {f'{CHECKPOINTS}/{last.path.name}' if last else 'the start'}"
    return ""


def _measured(trainer: lightning.Trainer, paper: Paper) -> Measured:
    """Lets a paper measure its network, which nothing trains, on the device that the trainer would train it on."""
    paper.configure_model()
    paper.to(trainer.strategy.root_device).eval()
    with torch.inference_mode():
        return paper.measured()


def _entry(cell: Cell) -> Entry:
    """Returns what W&B is told of a run."""
    return Entry(cell.config["logger"], cell.identity, cell.title, cell.paper, portable(cell.config))


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
        shutil.rmtree(cell.part / CHECKPOINTS, ignore_errors=True)
    if cell.folder.exists():
        kept = cell.places.runs_dir / ".replaced" / f"{cell.identity}-{time.time_ns()}"
        kept.parent.mkdir(exist_ok=True)
        cell.folder.rename(kept)
    cell.part.rename(cell.folder)
    sync_folder(cell.folder.parent)
    return cell.folder


def _made(cell: Cell, show_bar: bool) -> Path:
    while recorded(cell) is None:
        if first():
            execute(cell, show_bar=show_bar)
        else:
            time.sleep(POLL)
    return product(cell)


def _set_threads(config: Mapping[str, Any], processes: int) -> None:
    threads = config["threads"]
    torch.set_num_threads(max(1, len(os.sched_getaffinity(0)) // processes) if threads == "auto" else threads)


def quieten() -> None:
    """Keeps the words of Lightning off the screen."""
    warnings.filterwarnings("ignore", module=r"lightning\.")
    for name in ("lightning.pytorch", "lightning.fabric"):
        logging.getLogger(name).setLevel(logging.WARNING)


def _network_folder(network: Mapping[str, Any], inputs: Mapping[str, Path], folder: Path) -> Path | str:
    """Returns where weights and tokenizer lie: an input's product, a folder, a hub name, or a new folder."""
    if "settings" in network:
        settings, vocabulary = network["settings"], network.get("vocabulary")
        settings = instantiate(settings) if "_target_" in settings else settings
        return make_folder(settings, vocabulary and instantiate(vocabulary), folder / "network")
    return inputs.get("network") or network["path"]


def _trainer(
    cell: Cell, folder: Path, callbacks: list[Callback], cut: Cut | None, team: Team, show_bar: bool
) -> tuple[lightning.Trainer, WandbRun | None]:
    """Returns Lightning's trainer, and the W&B logger if it streams; rank zero alone logs and shows anything."""
    streaming, loggers = None, []
    if first():
        loggers = [JsonLines(folder / CURVES, start=cut.logged if cut else None)]
        streaming = None if cell.config["fast_dev_run"] else stream_to_wandb(_entry(cell), folder)
        loggers += [streaming] if streaming else []
        callbacks = [*callbacks, Beat(folder), LearningRateMonitor("step"), *bar(show_bar)]
    trainer = built(
        cell.config["trainer"],
        logger=loggers,
        callbacks=callbacks,
        plugins=[CheckedIO(), *team.plugins],
        enable_checkpointing=False,
        use_distributed_sampler=False,
        enable_model_summary=False,
        num_sanity_val_steps=0,
        default_root_dir=str(folder),
        enable_progress_bar=any(isinstance(one, ProgressBar) for one in callbacks),
        fast_dev_run=cell.config["fast_dev_run"],
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
        baselines={split: task.baselines(split) for split in paper.scored_splits()},
        measures={
            **cost,
            "steps": paper.steps,
            "step_seconds": round(paper.step_seconds, 3) or None,
            "train_flops": cost["train_flops"] or None,
            "predict_flops": cost["predict_flops"] or None,
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
            "file": CURVES,
            "digest": file_digest(folder / CURVES, folder),
            "points": thinned(folder / CURVES),
        },
        predictions=dict(digests),
        versions=measure.versions(cell.config, device),
        hardware=measure.hardware(device, trainer.world_size),
        commit=measure.commit(),
        created=datetime.now(UTC).isoformat(timespec="seconds"),
    )
