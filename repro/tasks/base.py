"""What all tasks share: splits, loaders, predictions and their score."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from lightning import LightningDataModule
from torch import Tensor, nn
from torch.utils.data import DataLoader

from repro.errors import UserError, did_you_mean
from repro.metrics import sufficient
from repro.tasks.batches import EvaluationBatches, Rule, TrainingBatches
from repro.tasks.tsv import read_lines

if TYPE_CHECKING:
    from datasets import Dataset
    from transformers import PreTrainedTokenizerBase

IDLE = "idle"
"""Marks a batch that counts for nothing."""


@dataclass(frozen=True)
class Examples:
    """The rows of a split before any tokenizer.

    Attributes:
        rows: each with an integer "id" that is unique in the split.
        source: where they come from.
        skipped: broken rows that the official file is known to have.
        digest: SHA-256 over the rows as canonical JSON lines: the same on every machine.
    """

    rows: Sequence[Mapping[str, Any]]
    source: str
    skipped: int = 0
    digest: str = field(init=False)

    def __post_init__(self) -> None:
        content = hashlib.sha256()
        for row in self.rows:
            content.update(json.dumps(row, sort_keys=True, ensure_ascii=False, separators=(",", ":")).encode() + b"\n")
        object.__setattr__(self, "digest", content.hexdigest())


@dataclass(frozen=True)
class Measured:
    """What a run found that trains nothing.

    Attributes:
        numbers: by metric, for tables and claims; they join a record's measures.
        details: lists and grids by name, ready for JSON: for figures.
    """

    numbers: Mapping[str, float] = field(default_factory=dict)
    details: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Split:
    """A split ready for a network.

    Attributes:
        name: train, validation, ...
        source: where its rows come from.
        digest: of its rows.
        dataset: the rows with what the tokenizer made of them ("input_ids", ...).
    """

    name: str
    source: str
    digest: str
    dataset: Dataset


class Task(LightningDataModule):
    """What is learnt and scored. A family of tasks says how its rows are read, encoded and measured; the rest is here.

    Args:
        name: of the task, such as mrpc.
        suite: of the task, such as glue.
        folder: a folder in the transformers form, or a hub name, that has the tokenizer; None where only scores are
            asked for.
        seed: of the order of training.
        batch_size: examples in a training batch, of all processes together.
        max_length: tokens of an example; longer ones are cut.
        train_size: how many rows of train are used; None for all.
        draw: whether they are drawn by the seed, the same first ones whatever their number, and not the split's first.
        evaluation_tokens: tokens in a batch that is predicted, padding counted.
        workers: processes that make batches beside the one that trains; the batches are the same.

    Raises:
        UserError: a size is no positive whole number.
    """

    version = 1
    trains = True
    """Whether there is anything to train on; else a run only measures and predicts."""
    generated = False
    """Whether the examples are made rather than read."""
    main_metric: str
    """The higher the better; the best epoch is chosen by it."""

    def __init__(
        self,
        *,
        name: str,
        suite: str,
        folder: Path | str | None = None,
        seed: int = 0,
        batch_size: int | None = None,
        max_length: int | None = None,
        train_size: int | None = None,
        draw: bool = False,
        evaluation_tokens: int = 8192,
        workers: int = 0,
    ) -> None:
        super().__init__()
        sizes = {
            "batch_size": batch_size,
            "max_length": max_length,
            "train_size": train_size,
            "evaluation_tokens": evaluation_tokens,
        }
        for key, size in sizes.items():
            if size is not None and (not isinstance(size, int) or isinstance(size, bool) or size < 1):
                raise UserError(f"task.{key}={size} is no positive whole number", f"give one, such as task.{key}=16")
        if not isinstance(workers, int) or isinstance(workers, bool) or workers < 0:
            raise UserError(
                f"task.workers={workers} is no number of processes", "give 0 or more, such as task.workers=2"
            )
        if not isinstance(draw, bool):
            raise UserError(f"task.draw={draw} is no truth value", "give true or false")
        self.name, self.suite, self.folder, self.seed = name, suite, folder, seed
        self.position = (0, 0)
        self.batch_size, self.max_length = batch_size, max_length
        self.train_size, self.draw, self.evaluation_tokens = train_size, draw, evaluation_tokens
        self.workers = workers
        self.splits: dict[str, Split] = {}
        self._examples: dict[str, Examples] = {}
        self._tokenizer: PreTrainedTokenizerBase | None = None

    # What a family of tasks says.

    @property
    def head(self) -> dict[str, Any]:
        """What the network needs on top, for `models.load.load_network`."""
        raise NotImplementedError

    def scored_splits(self) -> list[str]:
        """Returns the labelled splits that are predicted at the end."""
        raise NotImplementedError

    def read(self, split: str) -> Examples:
        """Reads the rows of a split."""
        raise NotImplementedError

    def unlabelled(self, file: Path, columns: Sequence[str] = ()) -> Examples:
        """Reads rows to be predicted from a file of one's own.

        Args:
            file: in the form of the task's own files, or a CSV.
            columns: of the texts, where they are not called as the task calls them.
        """
        raise UserError(f"{self.title} predicts no file", "a task with labels does, such as one of GLUE's")

    def encode(self, rows: Sequence[Mapping[str, Any]]) -> dict[str, list]:
        """Returns columns for a network, "input_ids" among them, made by the tokenizer."""
        raise NotImplementedError

    def collate(self, examples: Sequence[Mapping[str, Any]]) -> dict[str, Tensor]:
        """Makes a batch, padded to its longest example; "index" holds the rows' ids."""
        raise NotImplementedError

    def loss(self, network: nn.Module, batch: Mapping[str, Tensor]) -> Tensor:
        """Returns the mean loss of a batch."""
        raise NotImplementedError

    def weight(self, batch: Mapping[str, Tensor]) -> int | Tensor:
        """Returns how many the loss of a batch, just computed, is the mean of: its examples, or what a family counts.

        Of several processes each has a part of a batch: so their losses are weighed.
        """
        return len(batch["index"])

    def predict(self, network: nn.Module, batch: Mapping[str, Tensor]) -> list[dict[str, Any]]:
        """Returns {"id", "prediction", ...} for each example, ready for JSON."""
        raise NotImplementedError

    def measured(self, forms: Mapping[str, Callable[[], nn.Module]]) -> Measured:
        """Returns what is found of a network without training it.

        Args:
            forms: makers of the network in its forms, by name (`Paper.forms`): "deployed" as it is served, "bare"
                without the method, and what else a paper has.
        """
        return Measured()

    def reference(self, row: Mapping[str, Any]) -> Any:
        """Returns what a prediction for the row is compared with."""
        return row["label"]

    def checked(self, prediction: Any, place: str) -> Any:
        """Returns a prediction, or raises UserError, which names the place, if it can be none."""
        raise NotImplementedError

    def measure(self, predictions: Sequence[Any], references: Sequence[Any]) -> dict[str, float]:
        """Returns the metrics of predictions that stand in the order of their references."""
        raise NotImplementedError

    def metric_names(self) -> Sequence[str]:
        """Returns the names of the metrics that `measure` gives."""
        return (self.main_metric,)

    def texts(self, row: Mapping[str, Any]) -> dict[str, str]:
        """Returns what a reader wants to see of an example, by the names of its parts."""
        return {}

    def said(self, prediction: Any) -> str:
        """Returns a prediction, or a reference, in the words of the task."""
        return str(prediction)

    def read_official(self, path: Path) -> list[tuple[str, dict[str, Any]]]:
        """Reads predictions in the task's own form: (place, {"id", "prediction"})."""
        raise NotImplementedError

    def write_official(self, predictions: Sequence[Mapping[str, Any]], path: Path) -> None:
        """Writes predictions in the task's own form."""
        raise NotImplementedError

    def baselines(self, split: str) -> dict[str, dict[str, float]]:
        """Returns the scores of methods that need no network, by their names."""
        return {}

    # What all share.

    @property
    def title(self) -> str:
        return f"{self.suite}/{self.name}"

    def setup(self, stage: str | None = None) -> None:
        """Reads and tokenises train and the scored splits: before training, so that broken files cost no time.

        What is generated can't be broken: it waits until it is predicted.
        """
        for split in ("train", *self.scored_splits()):
            if split == "train" or not (self.generated and stage == "fit"):
                self.split(split)

    def examples(self, split: str) -> Examples:
        """Returns the rows of a split, read once.

        Raises:
            UserError: there is no such split, it is empty, or its data are missing or broken.
        """
        if split not in self._examples:
            known = {"train", *self.scored_splits()}
            if split not in known:
                raise UserError(f"{self.title} has no split {split} with labels", did_you_mean(split, known))
            found = self.read(split)
            if not found.rows:
                raise UserError(f"{split} of {self.title} is empty ({found.source})", "get the data anew")
            if split == "train" and self.train_size is not None:
                if self.train_size > len(found.rows):
                    raise UserError(
                        f"task.train_size={self.train_size}: {self.title} has {len(found.rows)} rows",
                        "give fewer, or null for all",
                    )
                found = Examples(self._few(found.rows), found.source, found.skipped)
            self._examples[split] = found
        return self._examples[split]

    def _few(self, rows: Sequence[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
        """Returns train_size rows in their order: the first ones, or those that stand first in the seed's shuffle."""
        if not self.draw:
            return list(rows[: self.train_size])
        shuffled = np.random.Generator(np.random.PCG64([self.seed, len(rows)])).permutation(len(rows))
        return [rows[place] for place in sorted(shuffled[: self.train_size].tolist())]

    def split(self, name: str) -> Split:
        """Returns a tokenised split, made once."""
        if name not in self.splits:
            found = self.examples(name)
            skipped = f" ({found.skipped} broken rows left out)" if found.skipped else ""
            self.splits[name] = Split(name, found.source + skipped, found.digest, self._tokenised(found.rows))
        return self.splits[name]

    def _tokenised(self, rows: Sequence[Mapping[str, Any]]) -> Dataset:
        from datasets import Dataset

        columns = {key: [row[key] for row in rows] for key in rows[0]}
        return Dataset.from_dict(columns | self.encode(rows))

    @property
    def tokenizer(self) -> PreTrainedTokenizerBase:
        """The tokenizer in the folder."""
        if self._tokenizer is None:
            from transformers import AutoTokenizer

            if self.folder is None:
                raise UserError(f"{self.title} was given no tokenizer", "folder=FOLDER names a network's folder")
            try:
                self._tokenizer = AutoTokenizer.from_pretrained(self.folder, use_fast=True, trust_remote_code=False)
            except (OSError, ValueError) as error:
                raise UserError(
                    f"{self.folder} has no tokenizer that can be read", str(error).splitlines()[0]
                ) from None
        return self._tokenizer

    def train_dataloader(self) -> DataLoader:
        """Returns batches of train; `batch_sampler.set_epoch` chooses the epoch's order."""
        if self.batch_size is None:
            raise UserError(f"task.batch_size of {self.title} has no value", "give one, such as task.batch_size=16")
        batches = TrainingBatches(self._lengths("train"), seed=self.seed, rule=self.rule())
        batches.start_at(*self.position)
        return self._loader("train", batches)

    def continue_at(self, epoch: int, batch: int) -> None:
        """Lets training begin at a batch of an epoch: to continue a run."""
        self.position = (epoch, batch)

    def rule(self) -> Rule:
        """Returns how training batches are cut."""
        return Rule(self.batch_size)

    def val_dataloader(self) -> DataLoader:
        """Returns batches of the validation split."""
        return self.split_dataloader("validation")

    def split_dataloader(self, split: str) -> DataLoader:
        """Returns batches that hold every example of a split once, sorted by length."""
        return self._loader(split, EvaluationBatches(self._lengths(split), tokens=self.evaluation_tokens))

    def rows_dataloader(self, rows: Sequence[Mapping[str, Any]]) -> DataLoader:
        """Returns batches of rows that belong to no split, each row once, sorted by length."""
        dataset = self._tokenised(rows)
        lengths = [len(ids) for ids in dataset["input_ids"]]
        batches = EvaluationBatches(lengths, tokens=self.evaluation_tokens)
        return DataLoader(dataset, batch_sampler=batches, collate_fn=self.collate)

    def _lengths(self, split: str) -> list[int]:
        from pyarrow.compute import list_value_length

        return list_value_length(self.split(split).dataset.data.column("input_ids")).to_pylist()

    def _loader(self, split: str, batches: TrainingBatches | EvaluationBatches) -> DataLoader:
        return DataLoader(
            self.split(split).dataset,
            batch_sampler=batches,
            collate_fn=partial(self._collated, split),
            pin_memory=torch.cuda.is_available(),
            num_workers=self.workers,
        )

    def _collated(self, split: str, examples: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
        """Makes a batch. A process that has no part of a small one computes an example that counts for nothing."""
        if examples:
            return self.collate(examples)
        return {**self.collate([self.split(split).dataset[0]]), IDLE: True}

    def references(self, split: str) -> dict[int, Any]:
        """Returns what predictions are compared with, by id."""
        return {row["id"]: self.reference(row) for row in self.examples(split).rows}

    def score(self, predictions: Iterable[Mapping[str, Any]], split: str) -> dict[str, float]:
        """Scores predictions.

        Args:
            predictions: {"id", "prediction"}, exactly one for each example of the split, in any order.
            split: which they are of.

        Returns:
            metrics over the whole split, in points.

        Raises:
            UserError: a prediction is missing, unknown, there twice, or no possible one.
        """
        found = self._complete(_counted(predictions), split, "")
        references = self.references(split)
        by_id = {one["id"]: one["prediction"] for one in found}
        return self.measure([by_id[key] for key in references], list(references.values()))

    def read_predictions(self, path: Path | str, split: str) -> list[dict[str, Any]]:
        """Reads predictions: JSON lines as a run saves them (told by .jsonl, or a first character {), or the official
        form.

        Raises:
            UserError: naming file and line, what `score` raises, or a line that can't be read.
        """
        path = Path(path)
        lines = read_lines(path)
        if path.suffix == ".jsonl" or (lines and lines[0].startswith("{")):
            return self._complete(_read_json_lines(path), split, f"{path}: ")
        return self._complete(self.read_official(path), split, f"{path}: ")

    def write_predictions(self, predictions: Iterable[Mapping[str, Any]], path: Path | str, split: str) -> None:
        """Writes predictions in the order of their ids: JSON lines to a file named .jsonl, else the official form.

        Raises:
            UserError: what `score` raises, or the file can't be written.
        """
        path = Path(path)
        ordered = sorted(self._complete(_counted(predictions), split, ""), key=lambda one: one["id"])
        try:
            if path.suffix == ".jsonl":
                lines = [json.dumps(one, ensure_ascii=False) + "\n" for one in ordered]
                path.write_text("".join(lines), encoding="utf-8")
            else:
                self.write_official(ordered, path)
        except OSError as error:
            raise UserError(f"{path} can't be written", error.strerror or str(error)) from None

    def statistics(self, predictions: Iterable[Mapping[str, Any]], split: str) -> dict[str, sufficient.Array]:
        """Returns the sufficient statistics of predictions by metric, in the order of the split's examples.

        Raises:
            UserError: what `score` raises.
        """
        names = [name for name in self.metric_names() if name in sufficient.METRICS]
        if not names:
            return {}
        by_id = {one["id"]: one["prediction"] for one in self._complete(_counted(predictions), split, "")}
        references = self.references(split)
        ordered = [by_id[key] for key in references], list(references.values())
        return {name: sufficient.METRICS[name].statistics(*ordered) for name in names}

    def write_statistics(self, predictions: Iterable[Mapping[str, Any]], path: Path | str, split: str) -> None:
        """Writes the statistics of predictions beside the file that they were written to; none where no metric has any.

        Raises:
            UserError: what `score` raises, or the file can't be written.
        """
        path = Path(path)
        statistics = self.statistics(predictions, split)
        if not statistics:
            return
        file = sufficient.place_of(path)
        made_from = hashlib.sha256(path.read_bytes()).hexdigest()
        kept = sufficient.Kept(self.examples(split).digest, made_from, list(self.references(split)), statistics)
        try:
            sufficient.write(kept, file)
        except OSError as error:
            raise UserError(f"{file} can't be written", error.strerror or str(error)) from None

    def _complete(self, predictions: Iterable[tuple[str, Any]], split: str, file: str) -> list[dict[str, Any]]:
        """Checks that there is exactly one possible prediction for each example."""
        wanted = {row["id"] for row in self.examples(split).rows}
        found: dict[int, dict[str, Any]] = {}
        for place, one in predictions:
            if not isinstance(one, Mapping) or "id" not in one or "prediction" not in one:
                raise UserError(f"{place}: no id and prediction", 'each is {"id": ..., "prediction": ...}')
            if type(one["id"]) is not int or one["id"] not in wanted:
                raise UserError(
                    f"{place}: {split} of {self.title} has no example {one['id']!r}",
                    f"its ids are {min(wanted)} to {max(wanted)}",
                )
            if one["id"] in found:
                raise UserError(f"{place}: a second prediction for example {one['id']}", "keep one of the two")
            found[one["id"]] = {**one, "prediction": self.checked(one["prediction"], place)}
        if len(found) != len(wanted):
            raise UserError(
                f"{file}{len(found)} predictions for {len(wanted)} examples of {split} of {self.title}",
                f"the first that lacks one is {min(wanted - found.keys())}",
            )
        return list(found.values())


def _read_json_lines(path: Path) -> list[tuple[str, dict[str, Any]]]:
    rows = []
    for number, line in enumerate(read_lines(path), 1):
        try:
            rows.append((f"{path}, line {number}", json.loads(line)))
        except (ValueError, RecursionError):  # no JSON, a number of thousands of digits, brackets without end
            raise UserError(
                f"{path}, line {number}: this is no JSON", 'each line is one prediction, {"id": ..., "prediction": ...}'
            ) from None
    return rows


def _counted(predictions: Iterable[Any]) -> Iterator[tuple[str, Any]]:
    return ((f"prediction {place}", one) for place, one in enumerate(predictions, 1))


def is_number(value: Any) -> bool:
    """Whether a value read from JSON is a finite number."""
    return isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value)
