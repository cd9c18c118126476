"""What several folders of tests need."""

from __future__ import annotations

import hashlib
import os

import pytest

from repro.records.record import Record

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
os.environ["COLUMNS"] = "100"  # of the terminal that verbs write for, whatever this one has

METRICS = {"cola": "matthews", "stsb": "pearson"}


@pytest.fixture
def make_record():
    """Returns a function that makes a finished record of a tiny run; keywords replace its fields."""

    def make(paper: str = "lora", task: str = "mrpc", seed: int = 0, score: float = 80.0, **fields) -> Record:
        metric = METRICS.get(task, "accuracy")
        scale, network = fields.get("scale", "tiny"), fields.get("network", "tiny/encoder")
        name = f"{paper} {task} {seed} {scale} {network} {fields.get('config')}"
        made = {
            "identity": hashlib.sha256(name.encode()).hexdigest()[:12],
            "status": "finished",
            "paper": paper,
            "task": f"glue/{task}",
            "model": "roberta-base",
            "network": network,
            "scale": scale,
            "seed": seed,
            "recipe": f"{paper}/glue/roberta-base-{scale}",
            "config": {
                "seed": seed,
                "paper": {"rank": 8, "targets": ["query", "value"]},
                "optim": {"lr": 0.001},
                "runs_dir": f"/somewhere/{seed}",
                "outside_identity": ["runs_dir", "outside_identity"],
            },
            "deviates": [],
            "notes": [],
            "inputs": {"network": {"identity": "feedbeef0000", "config": {"paper": {"groups": 2}}}},
            "scores": {
                "validation-last": {metric: 1.0},
                "validation-best": {metric: 2.0},
                "test-last": {metric: 3.0},
                "test-best": {metric: score},
            },
            "best_epoch": 3,
            "baselines": {
                "test": {
                    "majority": {metric: 50.0},
                    "bag_of_words": {metric: 60.0},
                    "bag_of_words_overlap": {metric: 66.0},
                }
            },
            "measures": {
                "seconds": 10.0,
                "peak_memory_bytes": 700_000_000,
                "trainable_parameters": 28_800,
                "head_parameters": 16_512,
                "total_parameters": 900_000,
            },
            "diverged": 0,
            "data": {"train": {"source": "world", "digest": f"d-{task}", "rows": 2000}},
            "curves": {"file": "metrics.jsonl", "digest": "c"},
            "predictions": {"test-best": "p"},
            "versions": {"torch": "2.13.0"},
            "hardware": {"device": "cpu", "name": "a processor", "threads": 1},
            "commit": None,
            "created": "2026-01-01T00:00:00+00:00",
        }
        return Record(**(made | fields))

    return make


@pytest.fixture
def places(tmp_path, monkeypatch):
    """Points every place at an empty folder, and hides the records that ship."""
    from repro import paths

    monkeypatch.setattr(paths, "KEPT", tmp_path / "shipped")
    for name in paths.NAMES:
        monkeypatch.setenv(f"REPRO_{name.upper()}", str(tmp_path / name.removesuffix("_dir")))
    return paths.Places.default()


@pytest.fixture(scope="session")
def own_files(tmp_path_factory):
    """A folder with somebody's labelled texts, of words that the tiny encoder knows: train.csv and dev.csv."""
    import csv

    from repro import world

    folder = tmp_path_factory.mktemp("own")
    for name, split, number in (("train", "train", 96), ("dev", "validation", 40)):
        with (folder / f"{name}.csv").open("w", encoding="utf-8", newline="") as file:
            rows = csv.writer(file)
            rows.writerow(["review", "verdict"])
            for row in world.glue("sst2", split)[:number]:
                rows.writerow([f'{row["sentence1"]} , he said "so" ,', ("bad", "good")[row["label"]]])
    return folder


@pytest.fixture(scope="session")
def trained(tmp_path_factory, own_files):
    """Returns a function that trains a paper on own_files once, at the tiny scale, and gives the run's folder."""
    import torch

    from repro.runs.compose import cell
    from repro.runs.execute import execute

    made, runs = {}, tmp_path_factory.mktemp("trained")
    mine = {"files.train": "train.csv", "files.validation": "dev.csv", "texts": "[review]", "label": "verdict"}

    def train(paper: str, *words: str):
        if (paper, words) not in made:
            torch.set_num_threads(1)
            given = [f"task.{key}={value}" for key, value in mine.items()] + ["trainer.max_epochs=2", "logger=none"]
            one = cell(
                (f"paper={paper}", "task=glue/custom", *given, f"data_dir={own_files}", f"runs_dir={runs}", *words)
            )
            execute(one)
            made[paper, words] = one.folder
        return made[paper, words]

    return train
