"""Runs so small that killing one costs a second: a network of width 16, some batches of the generated world."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterable
from pathlib import Path

from repro.models.load import make_folder
from repro.runs.compose import Cell, cell
from repro.world import vocabulary

NETWORK = {
    "model_type": "bert",
    "architectures": ["BertForMaskedLM"],
    "hidden_size": 16,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "intermediate_size": 24,
    "max_position_embeddings": 64,
    "hidden_dropout_prob": 0.1,
    "attention_probs_dropout_prob": 0.1,
}
COMMON = ("trainer.log_every_n_steps=1", "logger=none", "checkpoint_seconds=0", "threads=1", "network.weights=random")
GLUE = ("task=glue/rte", "task.train_size=96", "task.batch_size=16", "trainer.max_epochs=2")
KINDS = {
    "lora": ("paper=lora", *GLUE, "inputs.start=null"),
    "adapter": ("paper=adapter", *GLUE, "paper.bottleneck=4"),
    "bitfit": ("paper=bitfit", *GLUE),
    "finetune": ("paper=finetune", *GLUE, "trainer.accumulate_grad_batches=2"),
    "frozen": ("paper=frozen", *GLUE, "trainer.precision=bf16-mixed", "trainer.accumulate_grad_batches=4"),
    "pretrain/mlm": ("paper=pretrain/mlm", "task.documents=1500", "task.batch_size=64", "trainer.precision=32-true"),
}
"""Overrides by kind: with and without accumulated gradients, in single and in mixed precision."""
COUNTS = ("steps", "tokens", "train_flops", "predict_flops")
"""Measures that a run which was cut has in common with one that was not."""


def make_network(folder: Path) -> Path:
    """Writes the small network's configuration and tokenizer."""
    return make_folder(NETWORK, vocabulary(), folder)


def words(kind: str, network: Path, runs: Path, *more: str) -> tuple[str, ...]:
    """Returns the overrides of a small run.

    Args:
        kind: a key of KINDS.
        network: what `make_network` wrote.
        runs: the runs' folder.
        more: further overrides.
    """
    return (*KINDS[kind], *COMMON, f"runs_dir={runs}", "network=hf", f"network.path={network}", *more)


def composed(overrides: Iterable[str]) -> Cell:
    """Returns the cell of single-valued overrides."""
    return cell(tuple(overrides))


def left(one: Cell) -> dict[str, str]:
    """Returns all of a finished run that must be equal, bit by bit, whatever happened on the way.

    These are its product, its predictions and its log as digests, and its scores and counts as they are.
    """
    files = [file for file in sorted(one.folder.rglob("*")) if file.is_file()]
    kept = [file for file in files if file.name == "metrics.jsonl" or file.parent.name in ("predictions", "product")]
    found = {str(file.relative_to(one.folder)): hashlib.sha256(file.read_bytes()).hexdigest() for file in kept}
    record = json.loads((one.folder / "record.json").read_text())
    counts = {name: record["measures"][name] for name in COUNTS}
    return found | {"scores": json.dumps(record["scores"], sort_keys=True), "counts": json.dumps(counts)}


def digests(folder: Path) -> dict[str, str]:
    """Returns the digest of every file under a folder, by path; locks, which come and go, left out."""
    found = {}
    for place, _, names in os.walk(folder):
        for name in names:
            file = Path(place, name)
            if not name.endswith(".lock") and file.is_file():
                found[str(file.relative_to(folder))] = hashlib.sha256(file.read_bytes()).hexdigest()
    return found


def altered(before: dict[str, str], after: dict[str, str]) -> list[str]:
    """Returns the files that were there before and are gone, or others now."""
    return [name for name, digest in before.items() if after.get(name) != digest]
