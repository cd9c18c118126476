"""`runs`: what there is under runs_dir, and what of it nobody needs."""

from __future__ import annotations

import io
import json
import os
import re
import shutil
import subprocess
import sys
import threading
import time
from datetime import UTC, datetime
from pathlib import Path

import pytest

from repro.__main__ import main
from repro.errors import UserError
from repro.records.record import write_record
from repro.runs import housekeeping
from repro.runs.housekeeping import removals, remove, take_stock
from repro.runs.launch import LOG
from repro.runs.lock import HOST, held

ROOT = Path(__file__).parents[2]
HOUR = 3600
BEGAN = "2026-01-01T10:00:00"


class Shelf:
    """Puts runs under runs_dir."""

    def __init__(self, places, make_record) -> None:
        self.places, self.make_record = places, make_record
        places.runs_dir.mkdir()

    def done(self, paper: str = "lora", task: str = "rte", *, start=None, kept: bool = False, **fields):
        """A run that ended three hours ago, and started from another one."""
        created = datetime.fromtimestamp(time.time() - 3 * HOUR - 60, UTC).isoformat(timespec="seconds")
        inputs = {"network": {"identity": start.identity, "config": {}}} if start else {}
        record = self.make_record(paper, task, **({"inputs": inputs, "created": created} | fields))
        record = write_record(record, self.folder(record) / "record.json")
        for name in ("product/adapter_model.safetensors", "predictions/test-best.jsonl"):
            (self.folder(record) / name).parent.mkdir()
            (self.folder(record) / name).write_bytes(b"x" * 1000)
        if kept:
            write_record(record, self.places.results_dir / "records" / record.file_name)
        return record

    def folder(self, record) -> Path:
        return self.places.runs_dir / record.paper / record.task / record.identity

    def part(self, identity: str, *, step: int | None = None, hours: float = 0, inputs: str = "{}") -> Path:
        """An unfinished run of lora on glue/mrpc; `step` is that of its last checkpoint."""
        part = self.places.runs_dir / "lora/glue/mrpc" / f"{identity}.part"
        part.mkdir(parents=True)
        (part / "config.yaml").write_text(
            f"seed: 7\nscale: tiny\nnetwork: {{name: tiny/encoder}}\ninputs: {inputs}\n"
            "trainer: {accumulate_grad_batches: 2}\n"
        )
        (part / "metrics.jsonl").write_text("{}\n")
        if step is not None:
            (part / "checkpoints").mkdir()
            for batches in (2 * step - 2, 2 * step):
                file = part / "checkpoints" / f"{batches:010d}-0.ckpt"
                file.write_bytes(b"repro checkpoint 1 0123\n" + b"x" * 500)
        for file in part.rglob("*"):
            os.utime(file, (time.time() - hours * HOUR,) * 2)
        return part

    def put_aside(self, record) -> Path:
        """What a rerun replaced."""
        folder = self.places.runs_dir / ".replaced" / f"{record.identity}-1700000000000000000"
        write_record(record, folder / "record.json")
        return folder

    def everything(self) -> dict[str, bytes]:
        """All files and links under runs_dir."""
        return {str(file): b"" if file.is_symlink() else file.read_bytes() for file in self.places.runs_dir.rglob("*")
                if file.is_symlink() or file.is_file()}  # fmt: skip


@pytest.fixture
def shelf(places, make_record):
    return Shelf(places, make_record)


@pytest.fixture
def runs(capsys):
    """Runs the verb; returns its exit code, what it said, and what it complained of."""

    def call(*words: str) -> tuple[int, str, str]:
        code = main(["runs", *words])
        return code, *capsys.readouterr()

    return call


def table(text: str) -> dict[str, dict[str, str]]:
    """Reads the table: its rows by identity."""
    head, *lines = text.split("\n\n")[0].splitlines()
    names = re.findall(r"\S+(?: \S+)*", head)
    starts = [head.index(name) for name in names] + [None]
    rows = [
        {name: line[starts[place] : starts[place + 1]].strip() for place, name in enumerate(names)} for line in lines
    ]
    return {row["identity"]: row for row in rows}


def lock(part: Path, pid: int) -> None:
    owner = {"host": HOST, "pid": pid, "began": f"{BEGAN}+00:00"}
    part.with_name(f".{part.name[:12]}.lock").write_text(json.dumps(owner))


# --- the list


def test_it_says_what_became_of_each_run_and_who_started_from_it(shelf, runs):
    base = shelf.done("pretrain", "cola")
    one = shelf.done("lora", "rte", start=base)
    two = shelf.done("lora", "sst2", start=one, status="diverged")
    three = shelf.done("finetune", "sst2", start=base)
    code, said, _ = runs()
    rows = table(said)
    assert code == 0
    assert rows[base.identity] == {
        "paper": "pretrain",
        "task": "glue/cola",
        "network": "tiny/encoder",
        "scale": "tiny",
        "seed": "0",
        "identity": base.identity,
        "age": "3h",
        "size": f"{((shelf.folder(base) / 'record.json').stat().st_size + 2000) / 1000:.1f} kB",
        "used by": "2 runs",
        "status": "done",
    }
    assert (rows[one.identity]["used by"], rows[one.identity]["status"]) == (two.identity, "done")
    assert (rows[two.identity]["used by"], rows[two.identity]["status"]) == ("-", "diverged")
    assert list(rows) == [three.identity, one.identity, two.identity, base.identity]  # by paper and task
    assert said.splitlines()[-1].startswith(f"4 runs under {shelf.places.runs_dir}: 3 done, 1 diverged; ")


def test_it_says_of_runs_that_have_not_ended_whether_they_can_go_on_and_who_is_at_work(shelf, runs):
    shelf.part("aaaaaaaaaaaa", step=40, hours=2.5)
    shelf.part("bbbbbbbbbbbb")
    (shelf.part("cccccccccccc", step=20) / "failed.json").write_text('{"error": "out of memory\\nmore", "trace": ""}')
    running = shelf.part("dddddddddddd", step=10)
    (running / "progress.json").write_text('{"step": 12, "steps": 90, "loss": 0.5}')
    lock(running, os.getpid())
    dead = subprocess.Popen(["true"])
    dead.wait()
    lock(shelf.part("eeeeeeeeeeee", step=10), dead.pid)
    trained = shelf.part("ffffffffffff", step=10)
    (trained / "checkpoints" / "0000000020-0.ckpt").rename(trained / "checkpoints" / "0000000020-1.ckpt")
    torn = shelf.part("999999999999", step=10)
    (torn / "checkpoints" / "0000000020-0.ckpt").write_bytes(b"")
    code, said, _ = runs()
    rows = table(said)
    assert code == 0
    assert {identity: row["status"] for identity, row in rows.items()} == {
        "aaaaaaaaaaaa": "cut: resumable from step 40",
        "bbbbbbbbbbbb": "cut: not resumable",
        "cccccccccccc": "failed: out of memory (resumable from step 20)",
        "dddddddddddd": f"running: process {os.getpid()} on {HOST} has held it since {BEGAN}Z, step 12 of 90",
        "eeeeeeeeeeee": "cut: resumable from step 10",
        "ffffffffffff": "cut: resumable from its predictions",
        "999999999999": "cut: resumable from step 9",
    }
    assert rows["aaaaaaaaaaaa"]["age"] == "2h"
    assert (rows["bbbbbbbbbbbb"]["paper"], rows["bbbbbbbbbbbb"]["task"]) == ("lora", "glue/mrpc")
    assert (rows["bbbbbbbbbbbb"]["seed"], rows["bbbbbbbbbbbb"]["network"]) == ("7", "tiny/encoder")
    assert "7 runs under" in said
    assert ": 5 cut, 1 failed, 1 running; " in said


def test_a_paper_and_its_stage_are_told_from_the_task(shelf, runs):
    folder = shelf.places.runs_dir / "pretrain/mlm/world/text/0123456789ab.part"
    folder.mkdir(parents=True)
    (folder / "config.yaml").write_text("seed: 1\n")
    assert table(runs()[1])["0123456789ab"]["paper"] == "pretrain/mlm"
    assert table(runs()[1])["0123456789ab"]["task"] == "world/text"


def test_only_the_papers_that_were_asked_for(shelf, runs):
    one, other = shelf.done("lora"), shelf.done("finetune")
    stage = shelf.done("pretrain", stage="mlm")
    assert list(table(runs("lora")[1])) == [one.identity]
    assert list(table(runs("pretrain", "finetune")[1])) == [other.identity, stage.identity]
    assert list(table(runs("pretrain/mlm")[1])) == [stage.identity]
    code, _, complaint = runs("lorra")
    assert (code, complaint) == (2, "error: there is no paper lorra: did you mean lora?\n")


def test_another_folder_can_be_named(shelf, runs, tmp_path):
    assert runs(f"runs_dir={tmp_path / 'nothing'}") == (0, f"no runs under {tmp_path / 'nothing'}\n", "")
    (tmp_path / "file").write_text("")
    assert runs(f"runs_dir={tmp_path / 'file'}")[0] == 2


def test_what_cannot_be_read_is_named_and_the_rest_is_listed(shelf, runs):
    fine, broken = shelf.done("lora"), shelf.done("finetune")
    file = shelf.folder(broken) / "record.json"
    file.write_text(file.read_text()[:-200])
    (shelf.part("aaaaaaaaaaaa", step=10) / "config.yaml").write_text("seed: [")
    code, said, complaint = runs()
    assert code == 1
    assert len(complaint.splitlines()) == 2
    assert str(file) in complaint
    assert "aaaaaaaaaaaa.part/config.yaml cannot be read: while parsing" in complaint
    assert table(said)[fine.identity]["status"] == "done"
    assert table(said)[broken.identity]["status"] == "broken: its record cannot be used"
    assert table(said)["aaaaaaaaaaaa"]["status"] == "cut: resumable from step 20"  # of one batch, as far as is known


def test_a_run_that_failed_before_it_had_a_configuration_says_why(shelf, runs):
    part = shelf.part("aaaaaaaaaaaa")
    for file in part.iterdir():
        file.unlink()
    (part / "failed.json").write_text('{"error": "data/glue/RTE/train.tsv is missing", "trace": ""}')
    code, said, _ = runs()
    assert code == 0
    assert table(said)["aaaaaaaaaaaa"]["status"] == "failed: data/glue/RTE/train.tsv is missing (not resumable)"


def test_control_characters_of_an_error_do_not_reach_the_terminal(shelf, runs):
    (shelf.part("aaaaaaaaaaaa") / "failed.json").write_text(json.dumps({"error": "\x1b[2Jgone\x07" + "x" * 500}))
    said = runs()[1]
    assert not set(said) & set(map(chr, range(32))) - {"\n"}
    assert len(table(said)["aaaaaaaaaaaa"]["status"]) <= 110


def test_a_thousand_runs_are_listed_in_two_seconds_without_torch(shelf, runs, monkeypatch):
    monkeypatch.setattr(os, "fsync", lambda handle: None)
    for seed in range(1000):
        shelf.done(seed=seed)
    began = time.process_time()
    assert "1000 runs under" in runs()[1]
    assert time.process_time() - began < 2
    script = "import sys; from repro.__main__ import main; main(['runs', 'lora']); print('torch' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True, cwd=ROOT)
    assert done.stdout.splitlines()[-1] == "False"


# --- what may go


def test_without_a_terminal_it_shows_what_would_go_and_removes_nothing(shelf, runs, monkeypatch):
    shelf.part("bbbbbbbbbbbb")
    before = shelf.everything()
    monkeypatch.setattr(sys, "stdin", io.StringIO("y\n"))
    code, said, _ = runs("--prune")
    assert code == 0
    assert "lora/glue/mrpc/bbbbbbbbbbbb.part  cut, and nothing to go on from" in said
    assert "nothing was removed: --yes removes them" in said
    assert shelf.everything() == before


@pytest.mark.parametrize(("answer", "goes"), [("y", True), ("yes", True), ("", False), ("n", False)])
def test_on_a_terminal_it_asks(answer, goes, shelf, runs, monkeypatch):
    part = shelf.part("bbbbbbbbbbbb")
    terminal = io.StringIO(answer + "\n")
    terminal.isatty = lambda: True
    monkeypatch.setattr(sys, "stdin", terminal)
    code, said, _ = runs("--prune")
    assert code == 0
    assert "remove them? [y/N]" in said
    assert part.exists() != goes
    assert ("removed 1 folders" in said) == goes


def test_what_no_record_needs_goes_and_nothing_else(shelf, runs):
    done = shelf.done(kept=True)
    diverged = shelf.done("finetune", status="diverged")
    without_checkpoint = shelf.part("bbbbbbbbbbbb")
    old = shelf.part("aaaaaaaaaaaa", step=40, hours=25)
    replaced = shelf.put_aside(done)
    left = shelf.folder(done).parent / ".0123456789ab.part.removed"
    left.mkdir()
    log = without_checkpoint.with_name(f".bbbbbbbbbbbb.{LOG}")
    log.write_text("words of a process that was killed")
    young = shelf.part("cccccccccccc", step=40, hours=23)
    running = shelf.part("dddddddddddd", hours=48)
    lock(running, os.getpid())
    strangers = [
        shelf.places.runs_dir / name for name in ("notes.txt", "lora/mine.part/file", ".git/0123456789ab.part/file")
    ]
    for file in strangers:
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text("mine")
    code, said, complaint = runs("--prune", "--yes")
    assert (code, complaint) == (0, "")
    assert not any(one.exists() for one in (without_checkpoint, log, old, replaced, left))
    for one in (young / "checkpoints", running / "config.yaml", *strangers):
        assert one.exists()
    for record in (done, diverged):
        assert sorted(one.name for one in shelf.folder(record).iterdir()) == ["predictions", "product", "record.json"]
    assert "removed 4 folders" in said
    assert not list(shelf.places.runs_dir.rglob("*.removed"))
    assert runs("--prune", "--yes")[1] == f"nothing to remove under {shelf.places.runs_dir}\n"


@pytest.mark.parametrize(("age", "goes"), [("90m", True), ("2h", True), ("0", True), ("3h", False), ("1w", False)])
def test_the_age_of_cut_runs_that_go_can_be_said(age, goes, shelf, runs):
    part = shelf.part("aaaaaaaaaaaa", step=40, hours=2.5)
    assert runs("--prune", "--yes", "--older-than", age)[0] == 0
    assert part.exists() != goes


@pytest.mark.parametrize("age", ["1", "-1d", "d", "1.5d", "tomorrow", ""])
def test_an_age_that_is_none_is_refused(age, shelf, runs):
    code, _, complaint = runs("--prune", f"--older-than={age}")
    assert code == 2
    assert complaint.startswith(f"error: --older-than {age} is no age: ")


def test_only_the_papers_that_were_asked_for_lose_something(shelf, runs):
    part, replaced = shelf.part("bbbbbbbbbbbb"), shelf.put_aside(shelf.done())
    shelf.done("finetune")
    assert "nothing to remove" in runs("finetune", "--prune", "--yes")[1]
    assert part.exists()
    runs("lora", "--prune", "--yes")
    assert not part.exists()
    assert replaced.exists()


def test_the_only_record_of_a_run_stays_though_a_rerun_put_it_aside(shelf, runs):
    record = shelf.done()
    replaced = shelf.put_aside(record)
    shutil.rmtree(shelf.folder(record))
    runs("--prune", "--yes")
    assert (replaced / "record.json").is_file()


def test_w_and_b_files_of_a_run_that_has_not_ended_go_and_the_run_stays(shelf, runs):
    part = shelf.part("aaaaaaaaaaaa", step=40)
    (part / "wandb/offline-run-20260101_000000-aaaaaaaaaaaa").mkdir(parents=True)
    runs("--prune", "--yes")
    assert sorted(one.name for one in part.iterdir()) == ["checkpoints", "config.yaml", "metrics.jsonl"]


def test_products_go_only_when_asked_for_kept_and_needed_by_no_other_run(shelf, runs):
    base = shelf.done("pretrain", "cola", kept=True)
    used = shelf.done("lora", "mnli", start=base, kept=True)
    user = shelf.done("lora", "rte", start=used, kept=True)
    not_kept = shelf.done("finetune", "rte", start=base)
    other = shelf.done("frozen", "rte", kept=True)
    assert "nothing to remove" in runs("--prune", "--yes")[1]
    assert runs("--prune", "--yes", "--products")[0] == 0
    for one in (user, other):
        assert [file.name for file in shelf.folder(one).iterdir()] == ["record.json"]
    for one in (base, used, not_kept):
        assert len(list(shelf.folder(one).iterdir())) == 3


def test_products_stay_that_a_cut_run_starts_from(shelf, runs):
    record = shelf.done("lora", "mnli", kept=True)
    shelf.part("aaaaaaaaaaaa", step=40, inputs="{start: [paper=lora, task=glue/mnli, seed=0]}")
    assert "nothing to remove" in runs("--prune", "--yes", "--products")[1]
    assert (shelf.folder(record) / "product").is_dir()


def test_products_stay_where_the_kept_record_is_another_one(shelf, runs):
    record = shelf.done("lora", "mnli", kept=True)
    write_record(shelf.make_record("lora", "mnli", inputs={}, notes=["rerun"]), shelf.folder(record) / "record.json")
    assert "nothing to remove" in runs("--prune", "--yes", "--products")[1]


# --- what must not be touched


def test_links_are_not_followed(shelf, runs, tmp_path):
    outside = tmp_path / "outside"
    for name in ("glue/mrpc/aaaaaaaaaaaa.part", "bbbbbbbbbbbb-1", "weights"):
        (outside / name).mkdir(parents=True)
        (outside / name / "file").write_text("mine")
    (shelf.places.runs_dir / "lora/glue/rte").mkdir(parents=True)
    (shelf.places.runs_dir / "other").symlink_to(outside)
    (shelf.places.runs_dir / "lora/glue/rte/aaaaaaaaaaaa.part").symlink_to(outside / "glue/mrpc/aaaaaaaaaaaa.part")
    (shelf.places.runs_dir / ".replaced").symlink_to(outside)
    (shelf.part("cccccccccccc") / "weights").symlink_to(outside / "weights")
    kept = shelf.done(kept=True)
    shutil.rmtree(shelf.folder(kept) / "product")
    (shelf.folder(kept) / "product").symlink_to(outside / "weights")
    code, said, _ = runs("--prune", "--yes", "--products")
    assert code == 0
    assert "removed 2 folders" in said  # cccccccccccc.part and predictions
    assert len([file for file in outside.rglob("file") if file.read_text() == "mine"]) == 3


def test_a_run_that_somebody_has_taken_up_meanwhile_stays(shelf, places):
    shelf.part("aaaaaaaaaaaa", step=40, hours=25)
    found = removals(take_stock(places))
    taken, done = threading.Event(), threading.Event()

    def take_up() -> None:
        with held(found[0].run.lock):
            os.utime(found[0].run.lock, (time.time() - HOUR,) * 2)  # no heartbeat: only the kernel knows
            taken.set()
            done.wait(10)

    worker = threading.Thread(target=take_up)
    worker.start()
    taken.wait(10)
    try:
        (answer,) = remove(found, places)
    finally:
        done.set()
        worker.join()
    assert isinstance(answer, UserError)
    assert "aaaaaaaaaaaa.part stays: process" in str(answer)
    assert found[0].path.is_dir()


@pytest.mark.parametrize("when", ["before", "while"])
def test_a_run_that_went_on_meanwhile_stays(when, shelf, places, monkeypatch):
    part = shelf.part("aaaaaaaaaaaa", step=40, hours=25)
    found = removals(take_stock(places))

    def go_on() -> None:
        (part / "metrics.jsonl").write_text("{}\n{}\n")

    if when == "before":
        go_on()
    else:
        monkeypatch.setattr(
            housekeeping, "held", lambda *arguments, **settings: go_on() or held(*arguments, **settings)
        )
    (answer,) = remove(found, places)
    assert "aaaaaaaaaaaa.part stays" in str(answer)
    assert part.is_dir()


def test_what_cannot_be_removed_is_named_and_the_rest_goes(shelf, runs, monkeypatch):
    first, second = shelf.part("aaaaaaaaaaaa"), shelf.part("bbbbbbbbbbbb")
    real = shutil.rmtree

    def stubborn(path, *arguments, **settings):
        if "aaaaaaaaaaaa" in str(path):
            raise PermissionError(13, "Permission denied", str(path / "config.yaml"))
        real(path, *arguments, **settings)

    monkeypatch.setattr(shutil, "rmtree", stubborn)
    code, said, complaint = runs("--prune", "--yes")
    assert code == 1
    assert complaint.count("\n") == 1
    assert "removed 1 folders" in said
    code, said, complaint = runs("--prune", "--yes")
    assert code == 1
    assert "config.yaml cannot be removed: Permission denied" in complaint
    assert "removed 0 folders" in said
    assert not first.exists()  # set aside, whole or in parts: nobody goes on with it
    assert not second.exists()
    monkeypatch.setattr(shutil, "rmtree", real)
    code, said, _ = runs("--prune", "--yes")
    assert code == 0
    assert "left by a removal that was interrupted" in said
    assert not list(shelf.places.runs_dir.rglob("*.removed"))
