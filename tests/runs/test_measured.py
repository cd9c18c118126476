"""A run that trains nothing: a small latency cell of LoRA, made for real."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from repro.ledger.published import published
from repro.ledger.tables import paper_table
from repro.records.record import read_record
from repro.runs.compose import cell
from repro.runs.execute import execute
from repro.runs.expand import expand

WORDS = ["paper=lora", "task=latency/online", "model=gpt2-medium", "logger=none", "task.trials=3"]
SMALL = {"n_layer": 2, "n_embd": 64, "n_head": 2, "vocab_size": 100}


def latency(*others):
    return cell((*WORDS, *others))


@pytest.fixture(scope="module")
def one(tmp_path_factory):
    torch.set_num_threads(1)
    small = [f"++network.config.{key}={value}" for key, value in SMALL.items()]
    return latency(f"runs_dir={tmp_path_factory.mktemp('runs')}", *small)


@pytest.fixture(scope="module")
def record(one):
    execute(one)
    return read_record(one.folder / "record.json")


def test_the_record_has_what_was_measured_and_nothing_was_trained(record):
    measures = record.measures
    assert measures["milliseconds"] > 0 < measures["bare_milliseconds"]
    assert measures["latency_ratio"] == pytest.approx(1 + measures["slowdown_percent"] / 100)
    assert 0 < measures["merged_output_difference"] < 1e-5  # not zero: the update is not
    assert measures["unmerged_weight_difference"] == 0
    assert (measures["steps"], measures["tokens"], measures["train_flops"]) == (0, 0, None)
    assert measures["trainable_parameters"] == 2 * 2 * 4 * (64 + 64)  # layers, query and value, rank, A and B
    assert set(record.details["milliseconds"]) == {"bare", "deployed", "unmerged"}
    assert {len(times) for times in record.details["milliseconds"].values()} == {3}
    assert (record.scores, record.data, record.hardware["threads"]) == ({}, {}, 1)
    assert record.network == "gpt2-medium-shape"


def test_no_network_stays_in_its_folder(one, record):
    assert not (one.folder / "product").exists()
    assert sum(file.stat().st_size for file in one.folder.rglob("*") if file.is_file()) < 30_000


def test_what_it_ran_on_names_the_run():
    assert latency("threads=1").identity == latency().identity != latency("threads=2").identity
    learnt = ["paper=lora", "task=glue/rte", "inputs.start=null"]
    assert cell((*learnt, "threads=1")).identity == cell((*learnt, "threads=2")).identity


def test_a_suite_is_its_three_conditions_for_every_paper_that_lists_them():
    grids, notes = expand(["paper=lora,adapter,finetune", "task=latency", "model=gpt2-medium"], multirun=True)
    cells = [cell(tuple(f"{key}={value}" for key, value in grid.items())) for grid in grids]
    assert not notes
    assert [one.config["task"]["length"] for one in cells] == 3 * [128, 256, 512]
    assert all(not one.deviates and one.config["network"]["weights"] == "random" for one in cells)
    assert cells[1].config["departs"] == ["4 x 256 tokens in place of 16 x 256, 10 trials in place of 100"]


@pytest.mark.parametrize(
    ("words", "bottleneck"),
    [
        (["task=latency/online"], 224),
        (["task=latency/bulk"], 8),
        (["task=latency/batched", "paper.kind=houlsby"], 112),
        (["task=latency/bulk", "paper.kind=houlsby"], 5),
    ],
)
def test_adapters_have_the_bottleneck_that_gives_the_printed_count(words, bottleneck):
    found = cell(("paper=adapter", "model=gpt2-medium", *words))
    assert found.config["paper"]["bottleneck"] == bottleneck


@pytest.mark.parametrize("task", ["online", "batched", "bulk"])
def test_at_paper_scale_the_passes_are_those_of_table_1(task):
    found = latency(f"task=latency/{task}", "scale=paper", "task.trials=100")
    sizes = {"online": (1, 128), "batched": (16, 256), "bulk": (32, 512)}
    assert (found.config["task"]["batch_size"], found.config["task"]["length"]) == sizes[task]
    assert not found.deviates


def test_table_1_shows_it_beside_the_published_milliseconds(record):
    facts = [fact for fact in published("lora") if fact.table == "T1"]
    ours = [replace(record, deviates=[], seed=seed, identity=f"{seed:012}", digest="") for seed in (0, 1)]
    table = paper_table("T1", facts, ours, only_run=True)
    row = "GPT-2 M, fine-tuning or LoRA, batch 1, seq 128"
    assert [line.label for line in table.rows] == [row, "ours, tiny (gpt2-medium-shape), 2 seeds"]
    milliseconds = table.columns.index("ms") - 1
    assert table.rows[0].cells[milliseconds].printed == "19.8"
    assert table.rows[1].cells[milliseconds].value == pytest.approx(record.measures["milliseconds"])
    adapters = replace(
        record,
        paper="adapter",
        deviates=["paper.kind", "paper.bottleneck"],
        config={**record.config, "paper": {"kind": "houlsby", "bottleneck": 112}},
        digest="",
    )
    table = paper_table("T1", facts, [adapters], only_run=True)
    assert table.rows[0].label == "GPT-2 M, Adapter H, batch 1, seq 128"
    slower = table.rows[1].cells[table.columns.index("slow-down %") - 1]
    assert slower.value == pytest.approx(record.measures["slowdown_percent"])
