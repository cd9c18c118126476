"""One cell, run for real, small: what it leaves, and that it answers for its numbers."""

from __future__ import annotations

import json
import platform
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from repro.__main__ import main
from repro.records.record import read_record
from repro.runs.compose import cell
from repro.runs.execute import execute

LAYERS = 4
SMALL = ("task.train_size=96", "trainer.max_epochs=2", "inputs.start=null", "trainer.log_every_n_steps=1")


def words(runs, *others):
    return ["paper=lora", "task=glue/rte", *SMALL, f"runs_dir={runs}", *others]


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    torch.set_num_threads(1)
    return tmp_path_factory.mktemp("runs")


@pytest.fixture(scope="module")
def one(runs):
    return cell(tuple(words(runs)))


@pytest.fixture(scope="module")
def record(one):
    return execute(one)


@pytest.fixture
def folder(one, record):
    return one.folder


def test_a_run_leaves_its_record_and_all_that_it_speaks_of(folder, record):
    assert {file.name for file in folder.iterdir()} >= {
        "config.yaml",
        "record.json",
        "metrics.jsonl",
        "predictions",
        "product",
        "wandb",
    }
    assert read_record(folder / "record.json").digest == read_record(folder / "record.json").digest != ""
    assert record.identity == folder.name
    assert record.measures["steps"] == 2 * 3  # 96 examples in batches of 32
    assert set(record.scores) == {"validation-last", "validation-best", "test-last", "test-best"}
    assert (
        record.measures["trainable_parameters"] - record.measures["head_parameters"] == 2 * LAYERS * 2 * 8 * 128
    )  # 2 L d r, q and v


def test_it_says_what_it_took(record):
    measures = record.measures
    assert 0 < measures["train_seconds"] < measures["seconds"]
    assert measures["energy_joules"] > 0
    # Single precision: every parameter once, one that learns three times more (gradient, two moments), and a step count
    # of four bytes for each learning tensor: A and B for q and v in four layers, weight and bias of pooler and head.
    learning, tensors = measures["trainable_parameters"], 2 * 2 * LAYERS + 4
    assert measures["training_state_bytes"] == 4 * (measures["total_parameters"] + 3 * learning + tensors)
    assert measures["energy_source"].startswith(("estimate: ", "RAPL: ", "NVML: "))
    # 4 width^2 + 2 width 256 weights a layer. LoRA goes forward and back, but has no gradient of these weights: about
    # 2 + 2 operations a weight (less in layer 0), and less than 6.
    body, tokens = LAYERS * (4 * 128**2 + 2 * 128 * 256), measures["tokens"]
    assert 3.5 * body * tokens < measures["train_flops"] < 6 * body * tokens
    rows = {split: record.data[split]["rows"] for split in ("validation", "test")}
    predicted = 3 * rows["validation"] + rows["test"]  # after both epochs, and at the end; once more for the best epoch
    trained = 2 * 96
    assert 1 <= measures["predict_flops"] / predicted / (2 * body * tokens / trained) < 3


def test_it_says_what_made_it_and_does_not_name_the_machine(record):
    ours = {"LoRA": 1, "Paper": 1, "GLUE": 1, "Task": 1, "repro.metrics.classification": 1}
    assert ours.items() <= record.versions.items()
    assert {"python", "torch", "lightning", "transformers", "repro.world"} <= record.versions.keys()
    assert {"devices": 1, "threads": 1}.items() <= record.hardware.items()
    assert platform.node() not in [*record.versions.values(), *record.hardware.values()]


def test_it_says_in_what_it_deviates(record):
    assert set(record.deviates) == {"task.train_size", "trainer.max_epochs", "inputs.start"}


def test_curves_hold_loss_learning_rate_and_validation_scores(folder):
    lines = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
    keys = {key for line in lines for key in line}
    assert {"train/loss", "validation/accuracy", "step", "epoch"} <= keys
    assert any(key.startswith("lr-") for key in keys)
    assert [line["step"] for line in lines if "train/loss" in line] == [0, 1, 2, 3, 4, 5]


@pytest.mark.parametrize("split", ["validation", "test"])
def test_scoring_the_saved_predictions_gives_the_numbers_of_the_record(folder, record, split, capsys):
    for epoch in ("best", "last"):
        assert (
            main(
                [
                    "score",
                    "glue/rte",
                    str(folder / "predictions" / f"{split}-{epoch}.jsonl"),
                    "--split",
                    split,
                    "--json",
                ]
            )
            == 0
        )
        found = json.loads(capsys.readouterr().out)
        for metric, value in record.scores[f"{split}-{epoch}"].items():
            assert found.get("scores", found)[metric] == value


def test_the_product_is_a_peft_folder_of_what_learnt(folder):
    from safetensors import safe_open

    assert json.loads((folder / "product" / "adapter_config.json").read_text())["peft_type"] == "LORA"
    with safe_open(folder / "product" / "adapter_model.safetensors", "pt") as tensors:
        assert all("lora_" in name or "classifier" in name or "pooler" in name for name in tensors.keys())  # noqa: SIM118


def test_w_and_b_holds_the_record_as_a_real_file(folder):
    copies = list((folder / "wandb").glob("offline-run-*/files/record.json"))
    assert len(copies) == 1
    assert not copies[0].is_symlink()
    assert copies[0].read_bytes() == (folder / "record.json").read_bytes()


def test_the_same_cell_run_twice_gives_the_same_numbers(one, record, tmp_path):
    again = execute(cell(tuple(words(tmp_path, "logger=none"))))
    assert again.identity == record.identity
    assert again.scores == record.scores
    assert again.predictions == record.predictions


def test_another_seed_gives_other_numbers_and_another_run_in_w_and_b(record, tmp_path, capsys):
    second = cell(tuple(words(tmp_path, "seed=1")))
    other = execute(second)
    assert other.identity != record.identity
    assert other.predictions != record.predictions
    (copy,) = (second.folder / "wandb").glob("offline-run-*/files/record.json")
    assert copy.parts[-3].endswith(other.identity)
    assert copy.read_bytes() == (second.folder / "record.json").read_bytes()
    assert "W&B" not in capsys.readouterr().err


def test_a_broken_w_and_b_costs_no_result(tmp_path, monkeypatch, capsys):
    import wandb

    def broken(*arguments, **settings):
        raise ConnectionError("nobody answers")

    monkeypatch.setattr(wandb, "init", broken)
    lost = cell(tuple(words(tmp_path, "trainer.max_epochs=1", "logger.mode=online")))
    assert execute(lost).scores
    assert capsys.readouterr().err.count("nobody answers") == 2
    assert read_record(lost.folder / "record.json").identity == lost.identity


def test_a_finished_cell_asked_for_again_prints_its_row_without_torch(record, runs):
    script = f"import sys; from repro.__main__ import main; print(main({words(runs)!r}), 'torch' in sys.modules)"
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True, cwd=Path(__file__).parents[2]
    )
    assert "done (rerun=true forces)" in done.stdout
    assert done.stdout.splitlines()[-1] == "0 False"
    assert f"{record.scores['test-best']['accuracy']:.1f}" in done.stdout


def test_a_trial_leaves_no_record(tmp_path, capsys):
    assert main(words(tmp_path, "fast_dev_run=true")) == 0
    assert "tried" in capsys.readouterr().out
    assert list(tmp_path.rglob("*")) == []


def test_forcing_a_rerun_keeps_what_was_recorded(one, record, runs, capsys):
    before = (one.folder / "record.json").read_bytes()
    assert main(words(runs, "rerun=true", "logger=none")) == 0
    kept = list((runs / ".replaced").glob(f"{one.identity}-*/record.json"))
    assert [file.read_bytes() for file in kept] == [before]
    assert read_record(one.folder / "record.json").scores == record.scores


def test_an_unusable_runs_folder_is_named(tmp_path, capsys):
    (tmp_path / "file").write_text("")
    assert main(words(tmp_path / "file", "logger=none")) == 2
    assert str(tmp_path / "file") in capsys.readouterr().err


def test_a_full_disk_loses_nothing_that_was_recorded(one, record, runs, monkeypatch, capsys):
    import os

    before = (one.folder / "record.json").read_bytes()

    def full(descriptor):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    assert main(words(runs, "rerun=true", "logger=none")) == 2
    assert "No space left on device" in capsys.readouterr().err
    assert (one.folder / "record.json").read_bytes() == before


def test_a_trial_runs_with_the_bar_and_the_bar_shows_the_loss(tmp_path):
    from types import SimpleNamespace

    from repro.runs.beat import Bar

    assert execute(cell(tuple(words(tmp_path, "fast_dev_run=true"))), show_bar=True) is None
    trainer = SimpleNamespace(logged_metrics={"train/loss": torch.tensor(0.25)})
    assert Bar().get_metrics(trainer, None) == {"loss": 0.25}


@pytest.mark.parametrize(
    ("word", "message"),
    [
        ("paper.rank=0", "paper.rank is 0: a rank is a whole number from 1 up"),
        ("paper.rank=500", "paper.rank is 500, but bert.encoder.layer.0.attention.self.query is a 128 x 128 matrix"),
        ("paper.targets=[quary]", "no module of this network is called 'quary': there are query, key, value, dense"),
        ("task.train_size=0", "task.train_size=0 is no positive whole number"),
    ],
)
def test_a_wrong_setting_is_one_line_and_exit_code_2(word, message, tmp_path, capsys):
    others = [one for one in words(tmp_path, "logger=none") if not one.startswith(word.partition("=")[0])]
    assert main([*others, word]) == 2
    written = capsys.readouterr().err
    assert message in written
    assert "Traceback" not in written


def test_a_stage_that_measures_trains_predicts_and_leaves_nothing(runs, folder, record):
    adapter = f"inputs.adapter={folder / 'product'}"
    one = cell(("paper=lora/amplification", "task=glue/rte", "paper.rank=8", adapter, f"runs_dir={runs}"))
    assert execute(one).scores == {}
    found = read_record(one.folder / "record.json")
    assert (found.paper, found.stage, found.status) == ("lora", "amplification", "finished")
    assert (found.scores, found.data, found.predictions, found.measures["steps"]) == ({}, {}, {}, 0)
    assert not (one.folder / "product").exists()
    numbers = found.details["query"]["amplification"]
    assert len(numbers) == LAYERS
    assert found.measures["amplification_query"] == pytest.approx(sum(numbers) / LAYERS, rel=1e-5)
    assert found.file_name.startswith("lora_amplification-glue_rte-")
