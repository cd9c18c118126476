"""A run that was killed ends with the same bits: kill -9 at seeded moments, broken checkpoints, divergence."""

from __future__ import annotations

import json
import os
import random
from pathlib import Path

import pytest
import torch
from faults.kills import Kill, around
from faults.small_runs import KINDS, composed, left, make_network, words

from repro.papers.base import Paper
from repro.records.record import read_record
from repro.runs import checkpoint, execute, predict
from repro.runs.checkpoint import CheckedIO, newest

BATCHES = dict.fromkeys(KINDS, 12) | {"pretrain/mlm": 24}


@pytest.fixture(scope="module")
def network(tmp_path_factory) -> Path:
    torch.set_num_threads(1)
    return make_network(tmp_path_factory.mktemp("network"))


def make(kind: str, network: Path, runs: Path, *more: str):
    return composed(words(kind, network, runs, *more))


def killed(one, patch) -> bool:
    """Runs a cell in a child process that `patch` makes kill itself; says whether it did."""
    child = os.fork()
    if child == 0:
        try:
            patch()
            execute.execute(one)
        finally:
            os._exit(0)
    return os.WIFSIGNALED(os.waitpid(child, 0)[1])


def after(holder, name: str, act) -> None:
    around(holder, name, act, before=False)


MOMENTS = {
    "after a batch": lambda kind, chance: after(Paper, "on_train_batch_end", Kill(chance.randint(2, BATCHES[kind]))),
    "in validation": lambda kind, chance: after(Paper, "validation_step", Kill(chance.randint(1, 3))),
    "before a checkpoint's rename": lambda kind, chance: after(os, "fsync", Kill(chance.randint(2, 12))),
    "in predictions": lambda kind, chance: after(predict._KeepRows, "on_predict_batch_end", Kill(chance.randint(2, 6))),
    "before the record": lambda kind, chance: around(execute, "write_record", Kill(1), before=True),
}


@pytest.fixture(scope="module")
def whole(network, tmp_path_factory):
    """Returns what an uninterrupted run of a kind leaves, run once each."""
    done = {}

    def get(kind: str):
        if kind not in done:
            one = make(kind, network, tmp_path_factory.mktemp("whole"))
            execute.execute(one)
            done[kind] = left(one)
        return done[kind]

    return get


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("seed", [0, 1])
def test_a_killed_run_ends_with_the_same_bits(kind, seed, network, whole, tmp_path):
    chance = random.Random(f"{kind} {seed}")
    one = make(kind, network, tmp_path)
    moments = chance.sample(sorted(MOMENTS), 2)
    kills = [killed(one, lambda moment=moment: MOMENTS[moment](kind, chance)) for moment in moments]
    assert kills[0]  # the second moment may have been before the first
    execute.execute(one)
    assert left(one) == whole(kind), moments
    assert not (one.folder / "checkpoints").exists()
    assert not one.part.exists()


def test_batches_made_by_other_processes_are_the_same_also_after_a_kill(network, whole, tmp_path):
    one = make("lora", network, tmp_path, "++task.workers=2")
    assert killed(one, lambda: after(Paper, "on_train_batch_end", Kill(7)))
    execute.execute(one)
    assert left(one) == whole("lora")


def cut_in_training(one, batch: int = 9) -> None:
    assert killed(one, lambda: after(Paper, "on_train_batch_end", Kill(batch)))


@pytest.mark.parametrize("fault", ["truncated", "altered", "another version", "empty"])
def test_a_broken_checkpoint_is_named_and_the_one_before_it_used(fault, network, whole, tmp_path, capsys):
    one = make("lora", network, tmp_path)
    cut_in_training(one)
    files = sorted((one.part / "checkpoints").glob("*.ckpt"))
    assert len(files) == 2
    content = bytearray(files[-1].read_bytes())
    if fault == "altered":
        content[len(content) // 2] ^= 1
    broken = {"truncated": content[:-100], "another version": b"repro checkpoint 0" + content[18:], "empty": b""}
    files[-1].write_bytes(bytes(broken.get(fault, content)))
    assert newest(one.part).path == files[0]
    assert f"{files[-1]} cannot be used" in capsys.readouterr().err
    execute.execute(one)
    assert left(one) == whole("lora")


def test_without_a_usable_checkpoint_a_run_starts_anew(network, whole, tmp_path, capsys):
    one = make("lora", network, tmp_path)
    cut_in_training(one)
    for file in (one.part / "checkpoints").glob("*.ckpt"):
        file.write_bytes(b"")
    execute.execute(one)
    assert left(one) == whole("lora")
    assert read_record(one.folder / "record.json").measures["restarts"] == 0


def test_what_an_earlier_process_spent_is_counted(network, tmp_path):
    one = make("lora", network, tmp_path)
    cut_in_training(one)
    before = newest(one.part).spent
    measures = execute.execute(one).measures
    assert measures["restarts"] == 1
    assert measures["seconds"] > before["seconds"] > 0
    assert measures["energy_joules"] > before["energy_joules"] > 0
    assert measures["energy_source"].endswith("after a restart")


def test_a_checkpoint_with_code_in_it_is_not_executed(tmp_path):
    class Evil:
        def __reduce__(self):
            return Path.touch, (tmp_path / "executed",)

    CheckedIO().save_checkpoint({"run": Evil()}, tmp_path / "checkpoints" / "0000000001-0.ckpt")
    assert newest(tmp_path) is None
    assert not (tmp_path / "executed").exists()


def test_a_full_disk_is_named_and_leaves_the_older_checkpoints(tmp_path, monkeypatch):
    from repro.errors import UserError

    CheckedIO().save_checkpoint({"run": 1}, tmp_path / "a.ckpt")

    def full(_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(checkpoint.os, "fsync", full)
    with pytest.raises(UserError, match=r"a\.ckpt cannot be written \(No space left on device\)"):
        CheckedIO().save_checkpoint({"run": 2}, tmp_path / "a.ckpt")
    assert CheckedIO().load_checkpoint(tmp_path / "a.ckpt") == {"run": 1}
    assert [file.name for file in tmp_path.iterdir()] == ["a.ckpt"]


@pytest.mark.parametrize(
    ("what", "setting", "steps"),
    [("loss", "optim.lr=1e30", range(2, 12)), ("norm of the gradient", "optim.lr=1e-3", range(4, 5))],
)
def test_a_loss_or_a_gradient_that_is_not_finite_is_a_result(what, setting, steps, network, tmp_path, monkeypatch):
    one = make("lora", network, tmp_path, setting)
    if what != "loss":
        old = torch.nn.utils.clip_grad_norm_
        calls = []

        def clip(parameters, limit):
            calls.append(limit)
            return old(parameters, limit) * (float("nan") if len(calls) == 4 else 1.0)

        monkeypatch.setattr(torch.nn.utils, "clip_grad_norm_", clip)
    record = execute.execute(one)
    assert (record.status, record.diverged, record.scores) == ("diverged", 1, {})
    (note,) = [note for note in record.notes if "at step" in note]
    assert note.startswith(f"the {what} is ")
    assert any(f"at step {step} (examples " in note for step in steps)
    assert "the last good checkpoint is checkpoints/" in note
    named = note.partition("checkpoints/")[2]
    assert (one.folder / "checkpoints" / named).is_file()
    assert json.loads((one.folder / "record.json").read_text())["diverged"] == 1
