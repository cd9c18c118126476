"""Several processes for one run: the same examples, losses and predictions as one process has; one record; a resume."""

from __future__ import annotations

import hashlib
import json
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch
from faults import small_runs
from safetensors.torch import load_file

from repro.errors import UserError
from repro.models.load import make_folder
from repro.papers.base import Paper
from repro.records.record import read_record
from repro.runs import predict
from repro.runs.compose import cell
from repro.runs.execute import execute
from repro.runs.processes import together
from repro.world import vocabulary

NETWORK = small_runs.NETWORK | {"hidden_dropout_prob": 0.0, "attention_probs_dropout_prob": 0.0}
WORDS = (
    "paper=lora",
    "task=glue/rte",
    "task._target_=watched.Watched",
    "task.train_size=49",  # batches of 16, 16, 16 and 1 example: of that one the second process has no part
    "task.batch_size=16",
    "trainer.max_epochs=3",
    "trainer.log_every_n_steps=1",
    "paper.dropout=0",
    "inputs.start=null",
    "network=hf",
    "network.weights=random",
    "logger=none",
    "checkpoint_seconds=0",
    "threads=1",
)
TWO = ("trainer.strategy=ddp", "trainer.devices=2", "trainer.accelerator=cpu")
STEPS = 12
WATCHED = '''
import json, os
from pathlib import Path
from repro.tasks.glue import GLUE

class Watched(GLUE):
    """Notes which examples each process computes, and may end a process."""

    def _collated(self, split, examples):
        rank, mode = os.environ.get("LOCAL_RANK", "0"), os.environ.get("WATCHED_MODE", "")
        file = Path(os.environ["WATCHED"]) / f"{split}-{rank}.jsonl"
        with file.open("a") as stream:
            stream.write(json.dumps([row["id"] for row in examples]) + "\\n")
        if rank == "1" and split == "train" and len(file.read_text().splitlines()) == 6:
            if mode == "killed":
                os.kill(os.getpid(), 9)
            if mode == "broken":
                raise ValueError("a row that only this process reads")
        return super()._collated(split, examples)
'''


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """A folder with a network, and with a task that notes what it is asked for, which other processes find too."""
    torch.set_num_threads(1)
    folder = tmp_path_factory.mktemp("ddp")
    make_folder(NETWORK, vocabulary(), folder / "network")
    (folder / "watched.py").write_text(WATCHED)
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(folder))
        patch.setenv("PYTHONPATH", os.pathsep.join([str(folder), str(Path(__file__).parents[2])]))
        yield folder


def run(place: Path, name: str, *more: str, mode: str = ""):
    """Runs a cell here; returns it, and the examples of each batch by split and process."""
    one = make(place, name, *more)
    with pytest.MonkeyPatch.context() as patch:
        watch(patch, place, name, mode)
        execute(one)
    return one


def make(place: Path, name: str, *more: str):
    return cell((*WORDS, f"network.path={place / 'network'}", f"runs_dir={place / name}", *more))


def watch(patch: pytest.MonkeyPatch, place: Path, name: str, mode: str = "") -> None:
    (place / name / "seen").mkdir(parents=True, exist_ok=True)
    patch.setenv("WATCHED", str(place / name / "seen"))
    patch.setenv("WATCHED_MODE", mode)


def seen(place: Path, name: str, split: str, rank: int) -> list[list[int]]:
    return [json.loads(line) for line in (place / name / "seen" / f"{split}-{rank}.jsonl").read_text().splitlines()]


def losses(one) -> list[float]:
    lines = map(json.loads, (one.folder / "metrics.jsonl").read_text().splitlines())
    return [line["train/loss"] for line in lines if "train/loss" in line]


def left(one) -> dict[str, str]:
    """The digests of what a run leaves for others, and of its log."""
    files = [file for file in sorted(one.folder.rglob("*")) if file.is_file()]
    kept = [file for file in files if file.name == "metrics.jsonl" or file.parent.name in ("predictions", "product")]
    return {str(file.relative_to(one.folder)): hashlib.sha256(file.read_bytes()).hexdigest() for file in kept}


def rows(one, split: str) -> list[dict]:
    lines = (one.folder / "predictions" / f"{split}-last.jsonl").read_text().splitlines()
    return [json.loads(line) for line in lines]


@pytest.fixture(scope="module")
def alone(place):
    return run(place, "alone")


@pytest.fixture(scope="module")
def both(place):
    return run(place, "both", *TWO)


def test_each_step_has_the_examples_that_one_process_has(place, alone, both):
    whole = seen(place, "alone", "train", 0)
    parts = [seen(place, "both", "train", rank) for rank in (0, 1)]
    assert [sorted(batch) for batch in whole] == [sorted(first + second) for first, second in zip(*parts, strict=True)]
    assert [len(batch) for batch in whole].count(1) == 3  # the last one of each epoch, as shuffled
    assert {len(first) - len(second) for first, second in zip(*parts, strict=True)} == {0, 1}


def test_losses_and_weights_are_those_of_one_process_up_to_rounding(alone, both):
    assert len(losses(alone)) == len(losses(both)) == STEPS
    assert losses(both) == pytest.approx(losses(alone), rel=1e-5)
    assert len(set(losses(alone))) == STEPS
    one, two = (load_file(cell.folder / "product" / "adapter_model.safetensors") for cell in (alone, both))
    for name in one:
        torch.testing.assert_close(two[name], one[name], rtol=1e-4, atol=1e-6)


def test_each_example_is_predicted_once(place, alone, both):
    for split in ("validation", "test"):
        ids = [row["id"] for row in rows(both, split)]
        assert ids == sorted(set(ids)) == [row["id"] for row in rows(alone, split)]
        scores = [[row["scores"] for row in rows(one, split)] for one in (alone, both)]
        torch.testing.assert_close(*map(torch.tensor, scores), rtol=1e-4, atol=1e-5)
    once = sorted(number for batch in seen(place, "alone", "test", 0) for number in batch)
    parts = [seen(place, "both", "test", rank) for rank in (0, 1)]
    assert sorted(number for part in parts for batch in part for number in batch) == once
    assert len(parts[0]) == len(parts[1]) > 0


def test_there_is_one_record_with_the_cost_of_all_processes(alone, both):
    first, second = (read_record(one.folder / "record.json") for one in (alone, both))
    assert second.identity == first.identity
    assert second.scores == first.scores
    assert second.best_epoch == first.best_epoch
    assert (first.hardware["devices"], second.hardware["devices"]) == (1, 2)
    for measure in ("steps", "tokens", "trainable_parameters"):
        assert second.measures[measure] == first.measures[measure], measure
    assert second.measures["train_flops"] == pytest.approx(first.measures["train_flops"], rel=0.1)
    assert second.measures["peak_memory_bytes"] > 1.5 * first.measures["peak_memory_bytes"]
    assert second.measures["energy_source"].startswith(("2 processes, the first of them: estimate", "RAPL"))
    assert {file.name for file in both.folder.iterdir()} == {file.name for file in alone.folder.iterdir()}
    assert not [file for file in both.folder.parent.iterdir() if file != both.folder]


def test_nothing_of_it_stays_in_the_process(both):
    assert not torch.distributed.is_initialized()
    assert not {"LOCAL_RANK", "NODE_RANK", "MASTER_PORT"} & os.environ.keys()
    assert torch.get_num_threads() == 1


class KillAll:
    """Kills all processes of a run, by force, at the nth call of something in rank zero."""

    def __init__(self, nth: int) -> None:
        self.left = nth

    def __call__(self) -> None:
        self.left -= 1
        if self.left == 0:
            os.killpg(0, signal.SIGKILL)


def killed(place: Path, name: str, one, holder, method: str, kill) -> bool:
    """Runs a cell in a process group of its own, and kills that after a call of a method; says whether it died so."""
    child = os.fork()
    if child == 0:
        try:
            os.setpgid(0, 0)
            old = getattr(holder, method)

            def new(*args, **named):
                result = old(*args, **named)
                kill()
                return result

            setattr(holder, method, new)
            with pytest.MonkeyPatch.context() as patch:
                watch(patch, place, name)
                execute(one)
        finally:
            os._exit(0)
    return os.WIFSIGNALED(os.waitpid(child, 0)[1])


def test_a_run_of_two_processes_that_was_killed_ends_with_the_same_bits(place, both):
    one = make(place, "killed", *TWO)
    assert killed(place, "killed", one, Paper, "on_train_batch_end", KillAll(random.Random(0).randint(3, STEPS - 1)))
    assert sorted(file.name for file in (one.part / "checkpoints").iterdir())
    run(place, "killed", *TWO)
    assert left(one) == left(both)
    first, second = (read_record(cell.folder / "record.json") for cell in (both, one))
    assert second.scores == first.scores
    assert second.measures["restarts"] == 1
    for measure in ("steps", "tokens", "train_flops", "predict_flops"):
        assert second.measures[measure] == first.measures[measure], measure


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(4))
def test_it_may_be_killed_while_it_predicts_and_go_on_with_fewer_processes(seed, place, alone, both):
    name, chance = f"predicting{seed}", random.Random(seed)
    one = make(place, name, *TWO)
    kill = KillAll(chance.randint(1, 4))
    assert killed(place, name, one, predict._KeepRows, "on_predict_batch_end", kill)
    again = run(place, name, *(TWO if seed % 2 else ()))
    if seed % 2:
        assert left(again) == left(both)
    for split in ("validation", "test"):
        scores = [[row["scores"] for row in rows(each, split)] for each in (alone, again)]
        torch.testing.assert_close(*map(torch.tensor, scores), rtol=1e-4, atol=1e-5)
    assert not list(one.folder.rglob("*.part"))


@pytest.mark.slow
def test_a_run_may_go_on_with_another_number_of_processes(place, alone):
    seconds = "checkpoint_seconds=0.001"  # rank zero is asked at the eighth chance: before batch 10
    for name, before, after in (("fewer", (*TWO, seconds), ()), ("more", (), TWO)):
        one = make(place, name, *before)
        assert killed(place, name, one, Paper, "on_train_batch_end", KillAll(11))
        assert next((one.part / "checkpoints").iterdir()).is_file()
        assert losses(run(place, name, *after)) == pytest.approx(losses(alone), rel=1e-5)
        record = read_record(one.folder / "record.json")
        assert record.measures["tokens"] == read_record(alone.folder / "record.json").measures["tokens"]


@pytest.mark.slow
def test_a_divergence_ends_all_processes_and_is_recorded_once(place):
    one = run(place, "diverged", *TWO, "optim.lr=1e30")
    record = read_record(one.folder / "record.json")
    assert (record.status, record.diverged, record.scores) == ("diverged", 1, {})
    (note,) = [note for note in record.notes if "at step" in note]
    assert note.startswith("the loss is nan at step ")
    step = int(note.partition("at step ")[2].partition(" ")[0])
    named = note.partition("(examples ")[2].partition(")")[0].split(", ")
    batch = [number for rank in (0, 1) for number in seen(place, "diverged", "train", rank)[step - 1]]
    assert list(map(int, named)) == batch


@pytest.mark.slow
@pytest.mark.parametrize(("mode", "how"), [("killed", r"was killed \(SIGKILL\)"), ("broken", "ended with code 1")])
def test_a_process_that_dies_ends_the_run_and_is_named(mode, how, place):
    with pytest.raises(RuntimeError, match=f"process 1 of the run {how}") as caught:
        run(place, mode, *TWO, mode=mode)
    assert mode == "killed" or "a row that only this process reads" in str(caught.value)
    assert not torch.distributed.is_initialized()
    one = run(place, mode, *TWO)
    assert read_record(one.folder / "record.json").measures["restarts"] == 1


def alive(process: str) -> bool:
    try:
        return Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    except OSError:
        return False


@pytest.mark.slow
@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 143), (signal.SIGKILL, -9)])
def test_the_others_end_with_rank_zero(number, code, place):
    name = f"ended{code}"
    one = make(place, name, *TWO, "trainer.max_epochs=1000")
    (place / name / "seen").mkdir(parents=True)
    command = subprocess.Popen(
        [sys.executable, "-m", "repro", *one.overrides, "--quiet"],
        env=os.environ | {"WATCHED": str(place / name / "seen")},
        stderr=subprocess.DEVNULL,
    )
    while not (one.part / "checkpoints").exists():
        time.sleep(0.1)
        assert command.poll() is None
    children = Path(f"/proc/{command.pid}/task/{command.pid}/children").read_text().split()
    assert len(children) == 1
    command.send_signal(number)
    assert command.wait(30) == code
    until = time.monotonic() + 20
    while alive(children[0]) and time.monotonic() < until:
        time.sleep(0.1)
    assert not alive(children[0])


@pytest.mark.slow
def test_the_command_line_and_its_workers_run_several_processes(place, both):
    words = [*WORDS, *TWO, f"network.path={place / 'network'}", f"runs_dir={place / 'line'}", "seed=0,1", "jobs=2"]
    (place / "line" / "seen").mkdir(parents=True)
    done = subprocess.run(
        [sys.executable, "-m", "repro", "-m", *words],
        capture_output=True,
        text=True,
        env=os.environ | {"WATCHED": str(place / "line" / "seen")},
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    assert done.stdout.count("lora glue/rte seed") == 2
    assert left(make(place, "line", *TWO)) == left(both)


def test_a_strategy_that_cannot_be_had_here_is_said_to_be_so():
    plain = {"_target_": "lightning.Trainer", "accelerator": "cpu", "devices": 2, "num_nodes": 1, "max_epochs": 1}
    for settings, said in (
        ({"strategy": "ddp_spawn"}, "ddp_spawn cannot give results back: say ddp"),
        ({"strategy": "fsdp"}, "do not fit this machine.*fsdp"),
        ({"strategy": "dpd"}, "do not fit this machine.*dpd"),
        ({"strategy": "ddp", "num_nodes": 2}, "num_nodes=2 needs a process .* torchrun or srun"),
    ):
        with pytest.raises(UserError, match=said), together(plain | settings, {}):
            pass
