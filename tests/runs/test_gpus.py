"""How many cells run at a time, and who sees which GPU: with GPUs that are made up."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from repro.runs import gpus

ROOT = Path(__file__).parents[2]


class Cards:
    """Stands in for NVIDIA's library."""

    names = ()

    def millijoules(self):
        return dict.fromkeys(self.names, 0)

    def close(self):
        pass


@pytest.fixture
def cards(monkeypatch):
    monkeypatch.setattr(gpus, "NVML", Cards)
    monkeypatch.setattr(gpus.os, "sched_getaffinity", lambda _: range(16))
    monkeypatch.delenv(gpus.VISIBLE, raising=False)
    return lambda number: monkeypatch.setattr(Cards, "names", [f"GPU-{place}" for place in range(number)])


def config(threads=1, accelerator="auto", devices=1, num_nodes=1):
    trainer = {"accelerator": accelerator, "devices": devices, "num_nodes": num_nodes}
    return {"threads": threads, "trainer": trainer}


@pytest.mark.parametrize(
    ("number", "wanted", "jobs"),
    [
        (0, [config()], 16),
        (0, [config(threads=4)], 4),
        (0, [config(), config(threads=5)], 3),
        (0, [config(threads="auto")], 1),
        (0, [config(threads=99)], 1),
        (0, [config(devices=2), config(threads=3)], 5),
        (0, [config(threads=4, accelerator="cpu", devices=2)], 2),
        (4, [config(threads="auto")], 4),
        (4, [config(accelerator="cpu")], 16),
        (4, [config(), config(accelerator="cpu", threads="auto")], 1),
        (4, [config(devices=2)], 2),
        (4, [config(), config(devices=3)], 1),
        (4, [config(devices=8)], 1),
        (4, [config(devices="auto")], 1),
        (4, [config(devices=-1)], 1),
        (4, [config(devices=[0, 2])], 1),
        (4, [config(num_nodes=2)], 1),
    ],
)
def test_as_many_at_a_time_as_there_are_gpus_for_else_cores(cards, number, wanted, jobs):
    cards(number)
    assert gpus.at_a_time(wanted) == jobs


def test_the_processes_that_torchrun_starts_make_one_run_after_the_other(cards, monkeypatch):
    cards(4)
    monkeypatch.setenv("WORLD_SIZE", "2")
    assert gpus.at_a_time([config(devices=2)]) == 1


@pytest.mark.parametrize(("said", "found"), [("1,3", ["1", "3"]), ("", []), ("-1", []), ("2, -1,0", ["2"])])
def test_gpus_that_the_user_has_hidden_are_not_counted(cards, monkeypatch, said, found):
    cards(4)
    monkeypatch.setenv(gpus.VISIBLE, said)
    assert gpus.visible() == found
    cards(0)  # and without a driver nothing is there, whatever the variable says
    assert gpus.visible() == []


TAKE = """
import os, sys
from repro.runs import gpus
from types import SimpleNamespace
names = dict.fromkeys(["a", "b", "c", "d"])
gpus.NVML = lambda: SimpleNamespace(millijoules=lambda: names, close=lambda: None)
config = {"threads": 1, "trainer": {"accelerator": "auto", "devices": int(sys.argv[1])}}
gpus.take(config)
gpus.take(config)  # the next cell of the same process
print(os.environ.get("CUDA_VISIBLE_DEVICES", "all"), flush=True)
sys.stdin.read()
"""


def test_each_process_sees_gpus_of_its_own_and_more_processes_share_them_evenly(tmp_path):
    settings = {"cwd": ROOT, "text": True, "stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
    environment = {key: value for key, value in os.environ.items() if key != gpus.VISIBLE} | {"TMPDIR": str(tmp_path)}
    begun = []

    def start(devices):
        begun.append(subprocess.Popen([sys.executable, "-c", TAKE, str(devices)], env=environment, **settings))
        return begun[-1].stdout.readline().strip()

    try:
        assert [start(2), start(2), start(2)] == ["a,b", "c,d", "a,b"]
        begun[1].kill()
        begun[1].wait()
        assert start(2) == "c,d"
        assert start(4) == "all"
    finally:
        for one in begun:
            one.kill()
            one.communicate()
