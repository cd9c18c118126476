"""What a run trained, to be used again: its network with what it learnt, and all that belongs to it."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import lightning
import torch
import yaml

from repro import paths
from repro.errors import UserError
from repro.paths import Places
from repro.records.record import Record
from repro.records.store import find
from repro.records.targets import check_targets
from repro.runs.compose import flat
from repro.runs.execute import quieten, task_and_paper
from repro.runs.expand import options
from repro.runs.find import shipped

if TYPE_CHECKING:
    from repro.papers.base import Paper
    from repro.tasks.base import Task


@dataclass(frozen=True)
class LoadedRun:
    """A run as it ended: `network, tokenizer = load_run(...)`, or by name.

    Attributes:
        record: of the run.
        task: its data and how they are encoded, predicted and scored.
        paper: around the network.
        tokenizer: of the network, one of transformers.
    """

    record: Record
    task: Task
    paper: Paper
    tokenizer: Any

    @property
    def network(self) -> torch.nn.Module:
        """The network, one of transformers, with what it learnt, as the best epoch left it."""
        return self.paper.network

    def __iter__(self) -> Iterator[Any]:
        return iter((self.network, self.tokenizer))

    def predict(self, rows: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
        """Predicts rows in the form of the task's examples, as the run predicted its own, on the same kind of device.

        Returns:
            {"id", "prediction", ...} for each row, in the order of their ids.
        """
        quieten()
        settings = self.record.config["trainer"]
        trainer = lightning.Trainer(
            accelerator="cpu" if settings.get("accelerator") == "cpu" else "auto",
            devices=1,
            precision=settings["precision"],
            logger=False,
            enable_checkpointing=False,
            enable_progress_bar=False,
            enable_model_summary=False,
        )
        batches = trainer.predict(self.paper, self.task.rows_dataloader(rows)) or []
        return sorted((row for batch in batches for row in batch), key=lambda row: row["id"])


def load_run(run: str | Path, *, places: Places | None = None) -> LoadedRun:
    """Loads what a run trained, on the CPU and in evaluation mode.

    Args:
        run: the beginning of its identity, its folder, or its record file.
        places: where runs, data and weights lie; by default as the environment says.

    Raises:
        UserError: there is no such run, it diverged, or something that it rests on is not here any more.
    """
    places = places or Places.default()
    record = find(str(run), places)
    product = product_of(record)
    made = [record.config[section] for section in ("task", "paper", "network")]
    check_targets(made, record.path, ["tasks", "papers"], ["repro.world.vocabulary"])
    local = _local(record)
    network = record.config["network"] | {"path": _moved(local, "network.path", "weights_dir", places)}
    task = dict(record.config["task"])
    if data_dir := local.get("task.data_dir"):
        task["data_dir"] = data_dir if Path(data_dir).expanduser().is_dir() else str(places.data_dir)
    inputs = _inputs(record, local, places) | {"start": product}
    config = record.config | {"network": network, "task": task}
    with tempfile.TemporaryDirectory(prefix="repro-network-") as aside, torch.random.fork_rng(devices=[]):
        task, paper = task_and_paper(config, inputs, Path(aside))
        paper.configure_model()
        paper.eval()
        return LoadedRun(record, task, paper, task.tokenizer)


def product_of(record: Record) -> Path:
    """Returns the folder that a recorded run left for others.

    Raises:
        UserError: the run diverged, its folder is not here, or what it left was removed.
    """
    folder = record.path.parent
    if folder.parent == paths.TINY:
        return folder
    if record.diverged:
        raise UserError(f"the run {record.identity} diverged", "nothing can be loaded from it: choose another run")
    if not (folder / "product").is_dir():
        again = _again(record)
        if not (folder / "config.yaml").is_file():
            raise UserError(f"{record.path} is a record alone, its run is not here", f"make it again: {again}")
        mend = f"a run that only measures leaves none; one that was removed is made again: {again} rerun=true"
        raise UserError(f"{folder / 'product'} is not there", mend)
    return folder / "product"


def _local(record: Record) -> dict[str, Any]:
    """Returns the run's configuration on the machine that made it, by dotted keys: records hold no folders."""
    file = record.path.parent / "config.yaml"
    try:
        found = yaml.safe_load(file.read_text(encoding="utf-8")) if file.is_file() else {}
    except (OSError, ValueError, yaml.YAMLError) as error:
        raise UserError(f"{file} cannot be read", str(error).partition("\n")[0]) from None
    return flat(found) if isinstance(found, dict) else {}


def _moved(local: Mapping[str, Any], key: str, place: str, places: Places) -> str | None:
    """Returns a folder of the run's configuration; where its place was moved since, as it is called there."""
    folder, before = local.get(key), local.get(place)
    if folder is None or before is None or Path(folder).expanduser().exists():
        return folder
    inside = Path(before) in Path(folder).parents
    moved = getattr(places, place) / Path(folder).relative_to(before) if inside else Path(folder)
    return str(moved) if moved.exists() else folder


def _inputs(record: Record, local: Mapping[str, Any], places: Places) -> dict[str, Path]:
    """Returns the product folders that the run started from, but for what it learnt on."""
    found = {}
    for name, one in record.inputs.items():
        if name == "start":
            continue
        if "identity" in one:
            found[name] = shipped().get(one["identity"]) or product_of(find(one["identity"], places))
        elif f"inputs.{name}" in local:
            found[name] = Path(local[f"inputs.{name}"]).expanduser()
    return found


def _again(record: Record) -> str:
    """Returns the command that makes a run, as far as its record says."""
    paper = f"{record.paper}/{record.stage}" if record.stage else record.paper
    words = [f"paper={paper}", f"task={record.task}", f"model={record.model}"]
    words += [f"scale={record.scale}"] if record.scale != "tiny" else []
    if record.network.startswith("hf:"):
        words += ["network=hf", "network.path=FOLDER"]
    elif "network" in record.deviates or record.scale == "local":
        words += [f"network={record.network}"] if record.network in options("network") else []
    settings = flat(record.config)
    for key in record.deviates:
        if isinstance(value := settings.get(key), bool | int | float | str):
            words.append(f"{key}={value}".lower() if isinstance(value, bool) else f"{key}={value}")
    return " ".join(["python -m repro", *words, f"seed={record.seed}"])
