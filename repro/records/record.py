"""What one run leaves behind: record.json, the only truth that tables are made from."""

from __future__ import annotations

import contextlib
import dataclasses
import json
import math
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from repro.errors import UserError
from repro.records.canonical import digest

SCHEMA = 1
Scores = Mapping[str, Mapping[str, float]]


@dataclass(frozen=True, kw_only=True)
class Record:
    """A run's record. Scores are in points (x100), by split and epoch ("test-best"), then by metric.

    Attributes:
        identity: 12 hex digits that name the run.
        status: "finished" or "diverged".
        config: the resolved configuration.
        deviates: keys that differ from the composition without the user's overrides.
        notes: sentences: how the run differs from its recipe.
        inputs: by name, the identity, config and digest of each run that it started from.
        scores: by "SPLIT-best" and "SPLIT-last", the metrics.
        baselines: by split, then by baseline, the metrics.
        measures: what the run took; a key that is missing (in older records) or null was not measured.
            seconds, train_seconds; restarts: how often it was continued after a kill; energy_joules, and
            energy_source: how it was had (NVML, RAPL, or an estimate); steps of the optimiser, and step_seconds: the
            time of those alone, without loading and validation; tokens trained on, padding not counted; train_flops
            and predict_flops: all the floating-point operations, by our formulas; peak_memory_bytes;
            training_state_bytes: parameters, gradients and the optimiser's moments; trainable_parameters (the head
            among them), head_parameters, total_parameters.
            A run that only measures adds what it found.
        details: what a run found that only measures, as lists and grids by name.
        data: by split, source, digest and number of rows.
        curves: name and digest of the file of curves beside the record, and the same curves in few points.
        predictions: digest of the predictions, by split and epoch.
        versions: of libraries, of our own classes and modules, and of CUDA and its driver on a GPU.
        hardware: kind, name and number of devices, threads, ...: nothing that names the machine.
        digest: of everything else here; write_record computes it.
        path: where the record was read from; no part of it.
    """

    schema: int = SCHEMA
    identity: str
    status: str
    paper: str
    stage: str | None = None
    task: str
    model: str
    network: str
    scale: str
    seed: int
    recipe: str
    config: Mapping[str, Any]
    deviates: Sequence[str]
    notes: Sequence[str]
    inputs: Mapping[str, Mapping[str, Any]]
    scores: Scores
    best_epoch: int | None
    baselines: Mapping[str, Scores]
    measures: Mapping[str, float | str | None]
    diverged: int
    data: Mapping[str, Mapping[str, Any]]
    curves: Mapping[str, Any] | None
    predictions: Mapping[str, str]
    versions: Mapping[str, Any]
    hardware: Mapping[str, Any]
    commit: str | None
    created: str
    details: Mapping[str, Any] = field(default_factory=dict)
    digest: str = ""
    path: Path | None = field(default=None, compare=False, repr=False)

    def content(self) -> dict[str, Any]:
        """Returns what record.json holds, in the order of the schema; details where there are some."""
        return {name: getattr(self, name) for name in KEYS if name != "details" or self.details}

    @property
    def file_name(self) -> str:
        """The name of a kept copy: PAPER-TASK-MODEL-NETWORK-seedN-IDENTITY.json, a stage as PAPER_STAGE."""
        paper = self.paper if self.stage is None else f"{self.paper}/{self.stage}"
        words = (paper, self.task, self.model, self.network, f"seed{self.seed}", self.identity)
        return (
            "-".join("".join(sign if sign.isalnum() or sign in "._-" else "_" for sign in word) for word in words)
            + ".json"
        )


KEYS = tuple(one.name for one in dataclasses.fields(Record) if one.name != "path")
_NEEDED = tuple(key for key in KEYS if key not in ("schema", "stage", "details"))
_MAPPINGS = ("config", "inputs", "scores", "baselines", "measures", "data", "predictions", "versions", "hardware")


def write_record(record: Record, path: Path) -> Record:
    """Writes a record with its digest: aside, synced, then renamed, so that it is there whole or not at all.

    A number that is not finite (a diverged run has some) is written as null.

    Returns:
        the record as written, with its digest and path.

    Raises:
        UserError: the folder cannot be written to.
    """
    content = _finite(record.content())
    del content["digest"]
    content["digest"] = digest(content)
    text = json.dumps(content, indent=1, ensure_ascii=False, allow_nan=False) + "\n"
    write_whole(path, text)
    return Record(**content, path=path)


def _finite(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {key: _finite(one) for key, one in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(one) for one in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def write_whole(path: Path, content: str | bytes) -> None:
    """Writes a file aside, syncs it, renames it into place and syncs the folder.

    Args:
        content: bytes, or a text that is written as UTF-8.

    Raises:
        UserError: the folder cannot be written to, or the disk is full; what was there before is untouched.
    """
    aside = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with aside.open("wb") as stream:
            stream.write(content.encode() if isinstance(content, str) else content)
            stream.flush()
            os.fsync(stream.fileno())
        aside.replace(path)
        folder = os.open(path.parent, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)
    except OSError as error:
        with contextlib.suppress(OSError):
            aside.unlink(missing_ok=True)
        raise UserError(
            f"{path} cannot be written ({error.strerror})", "free some space there, or name another folder"
        ) from None


def read_record(path: Path) -> Record:
    """Reads and checks a record.

    Raises:
        UserError: it is missing, truncated, edited by hand, of an unknown version, or lacks a key; the file is named.
    """
    again = "move it away, and run the cell again (rerun=true)"
    try:
        content = json.loads(path.read_bytes())
    except OSError as error:
        raise UserError(
            f"{path} cannot be read ({error.strerror})", "name a run, its folder or its record.json"
        ) from None
    except (ValueError, RecursionError) as error:
        raise UserError(f"{path} is truncated or no JSON ({error})", again) from None
    if not isinstance(content, dict) or "schema" not in content:
        raise UserError(f"{path} is no record: it has no schema", again)
    if type(content["schema"]) is not int or content["schema"] != SCHEMA:
        raise UserError(f"{path} has schema {content['schema']!r}, this version reads {SCHEMA}", "update the project")
    for key in _NEEDED:
        if key not in content:
            raise UserError(f"{path} lacks the key {key}", again)
    unknown = sorted(content.keys() - set(KEYS))
    if unknown:
        raise UserError(
            f"{path} has keys that schema {SCHEMA} does not know: {', '.join(unknown)}", "update the project"
        )
    stated = content.pop("digest")
    try:
        found = digest(content)
    except ValueError as error:
        raise UserError(f"{path} holds a number that is not finite ({error})", again) from None
    if found != stated:
        raise UserError(f"{path} was changed after it was written: its digest does not fit", again)
    for key in _MAPPINGS:
        if not isinstance(content[key], dict):
            raise UserError(f"{path}: {key} is no mapping", again)
    return Record(**content, digest=stated, path=path)
