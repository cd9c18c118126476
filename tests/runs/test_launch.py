"""The order of cells, what becomes of those that fail, and of those that another process runs."""

from __future__ import annotations

import contextlib
import json
import sys
import threading
from types import SimpleNamespace

import pytest

from repro.errors import UserError
from repro.records.record import write_record
from repro.runs import launch, workers
from repro.runs.compose import cell
from repro.runs.launch import Outcome
from repro.runs.lock import held


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


def put(execute, monkeypatch):
    """Puts a function in place of `execute`, without what that imports."""
    monkeypatch.setitem(sys.modules, "repro.runs.execute", SimpleNamespace(execute=execute))


def run(wanted, execute, monkeypatch):
    put(execute, monkeypatch)
    seen = []
    outcomes = go(wanted, report=seen.append)
    assert seen == outcomes
    return {f"{one.cell.paper} {one.cell.task}": one.error for one in outcomes}


def go(wanted, *, jobs=1, rerun=False, report=lambda _: None):
    return launch.run(
        wanted, jobs=jobs, rerun=rerun, show_bar=False, report=report, watch=lambda _: contextlib.nullcontext()
    )


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


def test_why_a_cell_failed_is_left_beside_it(tmp_path, nothing_recorded, monkeypatch):
    def execute(one, show_bar):
        raise ZeroDivisionError("nought")

    (one,) = cells(tmp_path, "sst2")
    run([one], execute, monkeypatch)
    (start,) = one.inputs.values()
    failure = json.loads((start.part / launch.FAILED).read_text())
    assert failure["error"] == "ZeroDivisionError: nought"
    assert failure["trace"].splitlines()[-1] == "ZeroDivisionError: nought"
    assert (start.part / launch.LOG).read_text() == failure["trace"]
    assert not list(tmp_path.rglob("*.lock"))


@pytest.fixture
def fake(monkeypatch, make_record):
    """Replaces `execute` by what leaves a record at once, and is told what it ran; `runs` does the same unasked."""

    def leave(one, show_bar=False):
        record = make_record(task=one.task.rpartition("/")[2], seed=one.seed, identity=one.identity)
        one.part.mkdir(parents=True, exist_ok=True)
        write_record(record, one.part / "record.json")
        if one.folder.exists():
            one.folder.rename(one.folder.with_name(f"{one.identity}.old"))
        one.part.rename(one.folder)
        return record

    def execute(one, show_bar=False):
        ran.append(one)
        return leave(one)

    ran = []
    put(execute, monkeypatch)
    monkeypatch.setattr(launch, "POLL", 0.01)
    return SimpleNamespace(ran=ran, leave=leave)


class Somebody:
    """Holds the lock of a cell in another thread, as another process would; `goes` does something and lets go."""

    def __init__(self, one):
        self.one, self.has, self.end, self.last = one, threading.Event(), threading.Event(), lambda one: None
        self.thread = threading.Thread(target=self.run)
        self.thread.start()
        assert self.has.wait(5)

    def run(self):
        with held(self.one):
            self.has.set()
            self.end.wait(20)
            self.last(self.one)

    def goes(self, last=lambda one: None):
        self.last = last
        self.end.set()
        self.thread.join()


def test_other_ranks_of_a_distributed_run_take_part_and_wait_for_its_record(tmp_path, fake, monkeypatch):
    def execute(one, show_bar):
        fake.ran.append(one)
        threading.Timer(0.2, fake.leave, [one]).start()

    (one,) = grid(tmp_path, "mrpc")
    first = Somebody(one)
    put(execute, monkeypatch)
    monkeypatch.setenv("RANK", "1")
    (outcome,) = go([one])
    assert first.thread.is_alive()
    first.goes()
    assert fake.ran == [one]
    assert outcome.record.identity == one.identity


def grid(tmp_path, *tasks, **words):
    words = {"inputs.start": "null", "runs_dir": tmp_path} | words
    fixed = [f"{key}={value}" for key, value in words.items()]
    return [cell(("paper=lora", f"task=glue/{task}", *fixed)) for task in tasks]


def test_what_somebody_else_runs_comes_last_and_its_record_is_ours(tmp_path, fake, capsys):
    first, second, third = wanted = grid(tmp_path, "mrpc", "sst2", "rte")
    other = Somebody(first)
    seen = []

    def report(outcome):
        seen.append((outcome.cell.task, outcome.elsewhere))
        if outcome.cell is third:
            threading.Timer(0.2, other.goes, [fake.leave]).start()

    outcomes = go(wanted, report=report)
    assert fake.ran == [second, third]
    assert seen == [("glue/sst2", False), ("glue/rte", False), ("glue/mrpc", True)]
    assert {one.record.identity for one in outcomes} == {one.identity for one in wanted}
    written = capsys.readouterr().err
    assert written.startswith("waiting for lora glue/mrpc seed 0: process ")
    assert written.count("\n") == 1


def test_a_cell_whose_owner_died_is_run_by_us(tmp_path, fake):
    first, second = wanted = grid(tmp_path, "mrpc", "sst2")
    other = Somebody(first)
    go(wanted, report=lambda outcome: outcome.cell is second and threading.Timer(0.2, other.goes).start())
    assert fake.ran == [second, first]


def test_a_cell_that_failed_with_somebody_else_is_not_tried_again(tmp_path, fake):
    first, second = wanted = grid(tmp_path, "mrpc", "sst2")
    other = Somebody(first)

    def fail(one):
        launch._leave(Outcome(one, error="it is broken"))

    outcomes = go(wanted, report=lambda outcome: outcome.cell is second and other.goes(fail))
    assert fake.ran == [second]
    assert [one.error for one in outcomes] == ["", "it is broken"]


def test_an_old_failure_does_not_count(tmp_path, fake):
    (one,) = grid(tmp_path, "mrpc")
    launch._leave(Outcome(one, error="it was broken"))
    assert [outcome.error for outcome in go([one])] == [""]
    assert not (one.folder / launch.FAILED).exists()


def test_what_starts_from_a_cell_that_somebody_else_runs_waits_for_it(tmp_path, fake):
    rte, sst2 = cells(tmp_path, "rte", "sst2")
    start = rte.inputs["start"]
    other = Somebody(start)
    go([rte, sst2], report=lambda outcome: outcome.cell is sst2 and other.goes(fake.leave))
    assert fake.ran == [sst2, rte]


def test_a_record_made_between_the_look_and_the_lock_is_taken(tmp_path, fake, monkeypatch):
    """Somebody ends the cell after we have looked for its record, and before we hold its lock."""
    (one,) = grid(tmp_path, "mrpc")

    def late(other):
        fake.leave(other)
        return held(other, wait=False)

    monkeypatch.setattr(launch, "try_lock", late)
    (outcome,) = go([one])
    assert fake.ran == []
    assert outcome.elsewhere


def test_a_forced_rerun_runs_what_is_recorded_and_takes_what_somebody_else_reran(tmp_path, fake):
    first, second = wanted = grid(tmp_path, "mrpc", "sst2", rerun="true")
    for one in wanted:
        fake.leave(one)
    other = Somebody(first)
    go(wanted, rerun=True, report=lambda outcome: outcome.cell is second and other.goes(fake.leave))
    assert fake.ran == [second]


def test_a_trial_minds_nobody_and_leaves_nothing(tmp_path, fake, monkeypatch):
    put(lambda one, show_bar: fake.ran.append(one), monkeypatch)
    (one,) = grid(tmp_path, "mrpc", fast_dev_run="true")
    other = Somebody(one)
    (outcome,) = go([one], rerun=True)
    assert other.thread.is_alive()
    other.goes()
    assert fake.ran == [one]
    assert outcome.record is None
    assert [file for file in tmp_path.rglob("*") if file.is_file()] == []


class Batches:
    """Stands in for the launcher: what becomes of each cell of a batch, by task; notes the batches."""

    def __init__(self, fate):
        self.fate, self.seen = fate, []

    def __call__(self, batch, *, queue, **_):
        self.seen.append([one.task for one in batch])
        return [self.fate(one, len(batch)) for one in batch]


def test_a_busy_cell_of_a_batch_is_queued_again(tmp_path, fake, monkeypatch):
    times = []

    def fate(one, size):
        times.append(one.task)
        return (
            Outcome(one, busy="somebody") if times.count("glue/mrpc") < 3 and one.task == "glue/mrpc" else Outcome(one)
        )

    batches = Batches(fate)
    monkeypatch.setattr(workers, "launch", batches)
    wanted = grid(tmp_path, "mrpc", "sst2", "rte")
    outcomes = go(wanted, jobs=2)
    assert batches.seen[0] == ["glue/mrpc", "glue/sst2", "glue/rte"]
    assert sorted(one.cell.task for one in outcomes) == ["glue/mrpc", "glue/rte", "glue/sst2"]
    assert fake.ran == [wanted[0]]  # alone at last, and so in this process


def test_cells_whose_process_died_run_again_alone_and_once(tmp_path, fake, monkeypatch):
    def fate(one, size):
        if one.task == "glue/mrpc":
            return Outcome(one, error="killed", trace="killed", died=True)
        return Outcome(one, died=True, error="with it") if size > 2 else Outcome(one)

    batches = Batches(fate)
    monkeypatch.setattr(workers, "launch", batches)
    outcomes = go(grid(tmp_path, "mrpc", "sst2", "rte"), jobs=2)
    assert batches.seen == [["glue/mrpc", "glue/sst2", "glue/rte"], ["glue/mrpc"], ["glue/sst2"], ["glue/rte"]]
    assert {one.cell.task: one.error for one in outcomes} == {"glue/mrpc": "killed", "glue/sst2": "", "glue/rte": ""}
