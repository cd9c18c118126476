"""Curves through restarts: metrics.jsonl goes on where its checkpoint says, and W&B has each of its lines once."""

from __future__ import annotations

import json
import os
import struct
import threading
from pathlib import Path
from types import SimpleNamespace

import pytest
import wandb

from repro.errors import UserError
from repro.runs import loggers
from repro.runs.loggers import AXIS, Entry, JsonLines, WandbRun, complete_in_wandb, stream_to_wandb, thinned

IDENTITY = "0123456789ab"
SCORES = {"test-best": {"accuracy": 81.5}}


def entry(mode: str) -> Entry:
    settings = {"mode": mode, "project": "repro", "entity": None}
    return Entry(settings, IDENTITY, "lora glue/rte seed 0", "lora", {"optim": {"lr": 0.001}})


def log(lines: JsonLines, *steps: int) -> None:
    for step in steps:
        lines.log_metrics({"train/loss": 1 / (step + 1), "epoch": 0}, step=step)


def steps(file: Path) -> list[int]:
    return [json.loads(line)["step"] for line in file.read_text().splitlines()]


def wandb_rows(folder: Path) -> tuple[list[dict], dict, dict]:
    """Reads W&B's own file of the only run in a folder: history, summary and configuration."""
    from wandb.proto.wandb_internal_pb2 import Record

    (file,) = folder.glob(f"wandb/offline-run-*/run-{IDENTITY}.wandb")
    content, place, whole = file.read_bytes(), 7, b""
    history, summary, config = [], {}, {}
    while place + 7 <= len(content):
        left = 32768 - place % 32768  # blocks and records of LevelDB's log format
        if left < 7:
            place += left
            continue
        _, length, kind = struct.unpack("<IHB", content[place : place + 7])
        whole = (b"" if kind in (1, 2) else whole) + content[place + 7 : place + 7 + length]
        place += 7 + length
        if kind in (1, 4):
            record = Record.FromString(whole)
            if record.HasField("history"):
                items = record.history.item
                history.append({one.key or one.nested_key[0]: json.loads(one.value_json) for one in items})
            for one in record.summary.update:
                summary[one.key or one.nested_key[0]] = json.loads(one.value_json)
            for one in [*record.config.update, *record.run.config.update]:
                config[one.key or one.nested_key[0]] = json.loads(one.value_json)
    return history, summary, config


class FakeRun:
    """A run of W&B that has some rows already, and breaks where it is told to."""

    name, id = "a run", IDENTITY

    def __init__(
        self, folder: Path, *, rows: int = 0, breaks_at: int | None = None, finish_breaks: bool = False
    ) -> None:
        self.starting_step, self.breaks_at, self.finish_breaks = rows, breaks_at, finish_breaks
        self.dir = str(folder / "files")
        Path(self.dir).mkdir(parents=True)
        self.sent: list[tuple[int, int]] = []
        self.defined: list[str] = []
        self.summary: dict = {}
        self.exit_code: int | None = None

    def define_metric(self, name: str, **settings: object) -> None:
        self.defined.append(name)

    def log(self, values: dict, step: int) -> None:
        if step == self.breaks_at:
            raise ConnectionResetError("the service went away")
        self.sent.append((step, values[AXIS]))

    def finish(self, exit_code: int = 0) -> None:
        self.exit_code = exit_code
        if self.finish_breaks and exit_code == 0:
            raise TimeoutError("not all was uploaded")


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "record.json").write_text('{"a": "record"}')
    return tmp_path


# --- metrics.jsonl


def test_a_line_is_on_the_disk_as_soon_as_it_is_logged(tmp_path):
    lines = JsonLines(tmp_path / "metrics.jsonl")
    lines.log_metrics({"train/loss": 0.70000049, "epoch": 1.0, "norm": float("nan")}, step=3)
    assert json.loads(lines.file.read_text()) == {"step": 3, "train/loss": 0.7, "epoch": 1, "norm": "nan"}
    log(lines, 4)
    assert steps(lines.file) == [3, 4]


def test_without_a_start_an_older_file_is_replaced(tmp_path):
    log(JsonLines(tmp_path / "metrics.jsonl"), 0, 1, 2)
    assert steps(JsonLines(tmp_path / "metrics.jsonl").file) == []


def test_a_run_that_goes_on_has_each_step_once_and_the_bytes_of_one_that_was_never_cut(tmp_path):
    whole = JsonLines(tmp_path / "whole.jsonl")
    log(whole, *range(6))
    cut = JsonLines(tmp_path / "cut.jsonl")
    log(cut, 0, 1, 2)
    checkpoint = cut.file.stat().st_size
    log(cut, 3, 4)  # after the checkpoint, and before the kill
    log(JsonLines(cut.file, start=checkpoint), 3, 4, 5)
    assert cut.file.read_bytes() == whole.file.read_bytes()


def test_a_line_that_was_torn_is_cut(tmp_path):
    file = tmp_path / "metrics.jsonl"
    log(JsonLines(file), 0, 1)
    with file.open("a") as stream:
        stream.write('{"step": 2, "train/lo')
    log(JsonLines(file, start=file.stat().st_size), 2, 3)
    assert steps(file) == [0, 1, 2, 3]


def test_a_file_that_is_shorter_than_its_checkpoint_says_is_refused_and_kept(tmp_path):
    file = tmp_path / "metrics.jsonl"
    log(JsonLines(file), 0, 1)
    before = file.read_bytes()
    with pytest.raises(UserError, match=rf"metrics\.jsonl has {len(before)} bytes.*from byte 9999: remove .*/checkpoi"):
        JsonLines(file, start=9999)
    assert file.read_bytes() == before


def test_the_other_processes_of_a_run_leave_the_file_alone(tmp_path, monkeypatch):
    log(JsonLines(tmp_path / "metrics.jsonl"), 0, 1)
    monkeypatch.setattr(loggers.rank_zero_only, "rank", 1)
    other = JsonLines(tmp_path / "metrics.jsonl")
    log(other, 2)
    assert steps(other.file) == [0, 1]


def test_thinned_curves_average_neighbours(tmp_path):
    lines = JsonLines(tmp_path / "metrics.jsonl")
    for step, loss in enumerate([4.0, 2.0, 1.0, 3.0, 5.0]):
        lines.log_metrics({"train/loss": loss}, step=step)
    assert thinned(lines.file, most=3) == {"train/loss": [[1, 3.0], [3, 2.0], [4, 5.0]]}


# --- W&B, offline


def test_offline_one_run_has_every_line_once_and_in_order(folder):
    log(JsonLines(folder / "metrics.jsonl"), 0, 0, 5, 5, 10)
    complete_in_wandb(entry("offline"), folder, SCORES, None)
    history, summary, config = wandb_rows(folder)
    assert [row["_step"] for row in history] == [0, 1, 2, 3, 4]
    assert [row[AXIS] for row in history] == [0, 0, 5, 5, 10]
    assert [row["train/loss"] for row in history] == [1.0, 1.0, 0.166667, 0.166667, 0.090909]
    assert summary["test-best/accuracy"] == 81.5
    assert config["optim"] == {"lr": 0.001}
    (copy,) = folder.glob("wandb/offline-run-*/files/record.json")
    assert not copy.is_symlink()
    assert copy.read_text() == '{"a": "record"}'


def test_offline_all_is_on_the_disk_when_it_says_so(folder):
    """W&B's `finish` returns shortly before its service has written the file; the service's diary says when."""
    run = FakeRun(folder / "wandb" / "offline-run-1")
    diary = Path(run.dir).with_name("logs") / "debug-internal.log"
    diary.parent.mkdir()
    diary.write_text("sender: closed\n")
    written = threading.Event()

    def write() -> None:
        written.set()
        diary.write_text("stream: all finished\n")

    run.finish = threading.Timer(0.2, write).start
    WandbRun(run, folder / "metrics.jsonl").complete(folder, SCORES)
    assert written.is_set()
    assert not diary.parent.exists()  # it names folders of the machine


def test_offline_what_an_interruption_left_of_the_same_run_is_replaced(folder):
    log(JsonLines(folder / "metrics.jsonl"), 0, 1)
    for name in (f"offline-run-20250101_000000-{IDENTITY}", f"run-20250101_000000-{IDENTITY}"):
        (folder / "wandb" / name).mkdir(parents=True)
    other = folder / "wandb" / "offline-run-20250101_000000-ba9876543210"
    other.mkdir()
    complete_in_wandb(entry("offline"), folder, SCORES, None)
    left = sorted(one.name for one in (folder / "wandb").iterdir())
    assert other.name in left
    assert len([name for name in left if name.endswith(IDENTITY)]) == 1
    assert [row["_step"] for row in wandb_rows(folder)[0]] == [0, 1]


def test_offline_the_environment_is_as_it_was_and_no_run_is_left_open(folder, monkeypatch):
    monkeypatch.delenv("WANDB_MODE", raising=False)
    complete_in_wandb(entry("offline"), folder, SCORES, None)
    assert "WANDB_MODE" not in os.environ  # Lightning's own logger sets it, and the next run of the process is offline
    assert wandb.run is None


def test_offline_a_run_that_another_cell_left_open_is_not_taken_for_this_one(folder, tmp_path):
    (tmp_path / "other").mkdir()
    other = wandb.init(
        project="p", id="other", dir=str(tmp_path / "other"), settings=wandb.Settings(mode="offline", silent=True)
    )
    log(JsonLines(folder / "metrics.jsonl"), 0, 1)
    complete_in_wandb(entry("offline"), folder, SCORES, None)
    other.finish()
    assert [row["_step"] for row in wandb_rows(folder)[0]] == [0, 1]


def test_no_logger_writes_nothing(folder):
    complete_in_wandb(entry("none"), folder, SCORES, None)
    assert not (folder / "wandb").exists()


# --- W&B, online


def test_online_lines_that_w_and_b_has_are_not_sent_again(folder):
    log(JsonLines(folder / "metrics.jsonl"), 0, 1, 2)  # W&B has two more, from before the kill
    stream = WandbRun(run := FakeRun(folder, rows=5), folder / "metrics.jsonl")
    for step in (3, 4, 5, 6):
        stream.log_metrics({"train/loss": 0.5}, step=step)
    assert run.sent == [(5, 5), (6, 6)]


def test_online_lines_that_w_and_b_never_got_are_sent_from_the_file(folder):
    log(JsonLines(folder / "metrics.jsonl"), 0, 1, 2)
    stream = WandbRun(run := FakeRun(folder, rows=1), folder / "metrics.jsonl")
    stream.log_metrics({"train/loss": 0.5}, step=3)
    assert run.sent == [(1, 1), (2, 2), (3, 3)]
    assert run.defined == [AXIS, "*"]


def test_online_the_end_sends_what_is_missing_and_the_record(folder):
    log(JsonLines(folder / "metrics.jsonl"), 0, 1, 2)
    stream = WandbRun(run := FakeRun(folder, rows=0), folder / "metrics.jsonl")
    log(JsonLines(folder / "metrics.jsonl", start=(folder / "metrics.jsonl").stat().st_size), 3)  # not through W&B
    complete_in_wandb(entry("online"), folder, SCORES, stream)
    assert run.sent == [(0, 0), (1, 1), (2, 2), (3, 3)]
    assert run.summary == {"test-best/accuracy": 81.5}
    assert run.exit_code == 0
    assert (Path(run.dir) / "record.json").read_text() == '{"a": "record"}'


@pytest.mark.parametrize("how", ["in the middle", "at the end"])
def test_online_a_w_and_b_that_breaks_costs_one_line_and_the_run_is_written_whole(how, folder, tmp_path, capsys):
    lines, staging = JsonLines(folder / "metrics.jsonl"), tmp_path / "staging"
    staging.mkdir()
    breaks = {"breaks_at": 2} if how == "in the middle" else {"finish_breaks": True}
    stream = WandbRun(run := FakeRun(folder, **breaks), lines.file, staging)
    for step in range(5):
        for logger in (lines, stream):
            log(logger, step)
    complete_in_wandb(entry("online"), folder, SCORES, stream)
    said = capsys.readouterr().err.splitlines()
    assert len(said) == 2
    assert ("the service went away" if how == "in the middle" else "not all was uploaded") in said[0]
    assert "`wandb sync` sends it" in said[1]
    assert run.exit_code == 1
    assert not staging.exists()
    assert [row["_step"] for row in wandb_rows(folder)[0]] == [0, 1, 2, 3, 4]


def test_online_a_run_is_resumed_by_its_identity_and_need_not_exist(folder, monkeypatch):
    asked: dict = {}

    def init(**settings):
        asked.update(settings)
        return FakeRun(folder / "run")

    monkeypatch.setattr(wandb, "init", init)
    stream = stream_to_wandb(entry("online"), folder)
    assert (asked["id"], asked["resume"], asked["settings"].mode) == (IDENTITY, "allow", "online")
    assert asked["config"] == {"optim": {"lr": 0.001}}
    private = {"host": "", "console": "off", "save_code": False, "disable_git": True, "x_disable_machine_info": True}
    assert {name: getattr(asked["settings"], name) for name in private} == private
    assert Path(asked["dir"]) not in (folder, *folder.parents)
    assert folder not in Path(asked["dir"]).parents  # the run's folder moves when it is finished
    assert stream.staging.is_dir()
    stream.abandon()
    assert not stream.staging.exists()


def test_online_a_run_that_fails_is_not_left_open(folder):
    with WandbRun(run := FakeRun(folder), folder / "metrics.jsonl"):
        assert run.exit_code is None
    assert run.exit_code is None
    with pytest.raises(KeyboardInterrupt), WandbRun(run, folder / "metrics.jsonl"):
        raise KeyboardInterrupt
    assert run.exit_code == 1


def test_online_a_w_and_b_that_does_not_answer_costs_a_line(folder, monkeypatch, capsys):
    def init(**settings):
        raise wandb.errors.CommError("no such host\nmore words")

    monkeypatch.setattr(wandb, "init", init)
    assert stream_to_wandb(entry("online"), folder) is None
    assert capsys.readouterr().err == (
        "W&B cannot be reached (no such host): lora glue/rte seed 0 goes on, and is written later\n"
    )
    complete_in_wandb(entry("online"), folder, SCORES, None)
    assert capsys.readouterr().err == "W&B has not got lora glue/rte seed 0: no such host\n"


@pytest.mark.parametrize("mode", ["offline", "none"])
def test_only_an_online_run_is_streamed(mode, folder, monkeypatch):
    monkeypatch.setattr(wandb, "init", lambda **settings: pytest.fail("connected"))
    assert stream_to_wandb(entry(mode), folder) is None


def test_what_is_streamed_and_what_is_written_later_are_the_same_rows(folder):
    """W&B gets nan and infinity as numbers, and the digits of metrics.jsonl, on both ways."""
    values = [{"train/loss": 0.123456789}, {"train/loss": float("inf"), "epoch": 2}]
    seen: list[list[dict]] = []
    for way in ("streamed", "later"):
        run = SimpleNamespace(name="", id=IDENTITY, starting_step=0, define_metric=lambda *names, **settings: None)
        rows: list[dict] = []
        run.log = lambda values, step, rows=rows: rows.append({"row": step, **values})
        lines = JsonLines(folder / f"{way}.jsonl")
        stream = WandbRun(run, lines.file)
        for step, metrics in enumerate(values):
            lines.log_metrics(metrics, step)
            if way == "streamed":
                stream.log_metrics(metrics, step)
        stream.catch_up(lines.file)
        seen.append(rows)
    assert (
        seen[0]
        == seen[1]
        == [
            {"row": 0, AXIS: 0, "train/loss": 0.123457},
            {"row": 1, AXIS: 1, "train/loss": float("inf"), "epoch": 2},
        ]
    )
