"""The order of cells, and what becomes of those that fail."""

from __future__ import annotations

import contextlib

import pytest

from repro.errors import UserError
from repro.runs import launch
from repro.runs.compose import cell


@pytest.fixture
def nothing_recorded(monkeypatch):
    monkeypatch.setattr(launch, "recorded", lambda one: None)


def cells(tmp_path, *tasks, seed=0):
    return [cell(("paper=lora", f"task=glue/{task}", f"seed={seed}", f"runs_dir={tmp_path}")) for task in tasks]


def test_inputs_come_a_wave_before_what_starts_from_them(tmp_path, nothing_recorded):
    found = launch.waves(cells(tmp_path, "rte", "sst2"))
    assert [sorted((one.paper, one.task) for one in wave) for wave in found] == [
        [("pretrain/mlm", "world/text")],
        [("lora", "glue/mnli"), ("lora", "glue/sst2")],
        [("lora", "glue/rte")],
    ]


def test_an_input_that_was_asked_for_too_runs_once(tmp_path, nothing_recorded):
    found = launch.waves(cells(tmp_path, "mnli", "rte", "mrpc", "stsb"))
    assert sum(len(wave) for wave in found) == 1 + 4


def test_seeds_share_their_start(tmp_path, nothing_recorded):
    found = launch.waves(cells(tmp_path, "rte", seed=1) + cells(tmp_path, "rte", seed=2))
    assert [len(wave) for wave in found] == [1, 1, 2]


def test_what_is_recorded_does_not_run_again_unless_forced(tmp_path, monkeypatch):
    monkeypatch.setattr(launch, "recorded", lambda one: object())
    wanted = cells(tmp_path, "rte")
    assert launch.waves(wanted) == []
    assert launch.waves(wanted, rerun=True) == [wanted]


def run(wanted, execute, monkeypatch):
    from repro.runs import execute as module

    monkeypatch.setattr(module, "execute", execute)
    seen = []
    outcomes = launch.run(
        wanted, jobs=1, rerun=False, show_bar=False, report=seen.append, watch=lambda _: contextlib.nullcontext()
    )
    assert seen == outcomes
    return {f"{one.cell.paper} {one.cell.task}": one.error for one in outcomes}


def test_one_failing_cell_stops_only_what_starts_from_it(tmp_path, nothing_recorded, monkeypatch):
    def execute(one, show_bar):
        if one.task == "glue/mnli":
            raise UserError("mnli is broken", "mend it")
        return object()

    errors = run(cells(tmp_path, "rte", "sst2"), execute, monkeypatch)
    assert errors == {
        "pretrain/mlm world/text": "",
        "lora glue/mnli": "mnli is broken: mend it",
        "lora glue/sst2": "",
        "lora glue/rte": "what it starts from failed",
    }


def test_a_full_disk_is_named_with_its_file(tmp_path, nothing_recorded, monkeypatch):
    def execute(one, show_bar):
        raise OSError(28, "No space left on device", "runs/record.json")

    errors = run(cells(tmp_path, "sst2"), execute, monkeypatch)
    assert errors["pretrain/mlm world/text"] == "runs/record.json: No space left on device"
