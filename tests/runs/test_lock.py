"""One process at a time, whatever becomes of it."""

from __future__ import annotations

import errno
import json
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from repro.runs import lock
from repro.runs.lock import Busy, held, holder, try_lock

ROOT = Path(__file__).parents[2]


@pytest.fixture
def path(tmp_path):
    return tmp_path / "lora" / "glue" / ".abc.lock"


def python(script, *arguments, **settings):
    return subprocess.Popen(
        [sys.executable, "-c", script, *map(str, arguments)], cwd=ROOT, stdout=subprocess.PIPE, text=True, **settings
    )


HOLD = """
import os, sys, time
from pathlib import Path
from repro.runs.lock import held
with held(Path(sys.argv[1])):
    ready, tell = os.pipe()
    child = os.fork()
    if child == 0:
        os.write(tell, b".")
        time.sleep(60)
        os._exit(0)
    os.read(ready, 1)
    print(child, flush=True)
    time.sleep(60)
"""


def test_a_lock_dies_with_its_owner_though_a_forked_child_lives_on(path):
    owner = python(HOLD, path)
    child = int(owner.stdout.readline())
    try:
        with pytest.raises(Busy, match=f"process {owner.pid} on "), try_lock(path):
            pass
        assert f"process {owner.pid} on " in holder(path)
        owner.kill()
        owner.wait()
        assert path.is_file()
        assert holder(path) == ""
        with try_lock(path):
            assert json.loads(path.read_text())["pid"] == os.getpid()
        os.kill(child, 0)  # it is there, and has nothing
    finally:
        os.kill(child, signal.SIGKILL)
        owner.kill()
        owner.communicate()


COUNT = """
import sys
from pathlib import Path
from repro.runs import lock
lock.POLL = 0.0005
number = Path(sys.argv[2])
for _ in range(100):
    with lock.held(Path(sys.argv[1])):
        value = int(number.read_text())
        number.write_text(str(value + 1))
"""


def test_several_processes_are_never_inside_at_once_and_leave_no_file(path, tmp_path):
    number = tmp_path / "number"
    number.write_text("0")
    processes = [python(COUNT, path, number, stderr=subprocess.DEVNULL) for _ in range(4)]
    assert [one.wait(timeout=60) for one in processes] == [0] * 4
    for one in processes:
        one.stdout.close()
    assert number.read_text() == "400"
    assert list(path.parent.iterdir()) == []


def test_a_thread_that_has_it_goes_in_again_and_another_one_does_not(path):
    seen = []

    def other():
        try:
            with try_lock(path):
                seen.append("in")
        except Busy as busy:
            seen.append(busy.holder)

    def ask():
        thread = threading.Thread(target=other)
        thread.start()
        thread.join()

    with held(path):
        with held(path), try_lock(path):
            pass
        ask()
    ask()
    assert seen[0].startswith(f"process {os.getpid()} on {lock.HOST} has held it since 20")
    assert seen[1:] == ["in"]
    assert not path.exists()


def write(path, age=0.0, **owner):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps({"host": "elsewhere", "pid": 7, "began": "2026-01-02T03:04:05.6+00:00"} | owner))
    os.utime(path, (time.time() - age, time.time() - age))


def test_another_machine_holds_it_as_long_as_its_heart_beats(path, monkeypatch):
    monkeypatch.setattr(lock, "SETTLE", 0.01)
    write(path, age=50)
    with pytest.raises(Busy, match="process 7 on elsewhere has held it since 2026-01-02T03:04:05Z"), try_lock(path):
        pass
    assert "process 7 on elsewhere" in holder(path)
    assert json.loads(path.read_text())["pid"] == 7
    write(path, age=61)
    assert holder(path) == ""
    with try_lock(path):
        assert json.loads(path.read_text())["pid"] == os.getpid()


def test_a_heartbeat_is_judged_by_the_clock_of_the_files(path, monkeypatch):
    write(path)
    now = time.time()
    monkeypatch.setattr(lock.time, "time", lambda: now + 3600)  # our clock is an hour ahead
    with pytest.raises(Busy), try_lock(path):
        pass


def test_of_two_machines_that_take_over_a_dead_ones_lock_one_has_it(path, monkeypatch):
    write(path, age=100)
    monkeypatch.setattr(lock.time, "sleep", lambda _: write(path, host="third", pid=8))  # it wrote after we did
    with pytest.raises(Busy, match="process 8 on third"), try_lock(path):
        pass
    assert json.loads(path.read_text())["host"] == "third"


def test_the_owner_touches_its_file(path, monkeypatch):
    monkeypatch.setattr(lock, "HEARTBEAT", 0.02)
    with held(path):
        os.utime(path, (1, 1))
        until = time.monotonic() + 5
        while path.stat().st_mtime < 2 and time.monotonic() < until:
            time.sleep(0.01)
        assert time.time() - path.stat().st_mtime < 5
    assert [one for one in threading.enumerate() if one.name.endswith("(_beat)")] == []


def test_a_lock_that_another_machine_took_over_is_not_removed(path):
    with held(path):
        write(path)
    assert json.loads(path.read_text())["host"] == "elsewhere"


def test_waiting_says_once_for_whom_and_ends_when_it_is_free(path, capsys, monkeypatch):
    monkeypatch.setattr(lock, "POLL", 0.01)
    owner = python(HOLD.replace("time.sleep(60)\n        os._exit(0)", "os._exit(0)"), path)
    owner.stdout.readline()
    threading.Timer(0.3, owner.kill).start()
    began = time.monotonic()
    with held(path):
        assert 0.2 < time.monotonic() - began < 10
    owner.communicate()
    written = capsys.readouterr().err
    assert written.count("\n") == 1
    assert written.startswith(f"waiting for {path}: process {owner.pid} on ")


@pytest.fixture
def no_flock(monkeypatch):
    def flock(handle, how):
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr(lock.fcntl, "flock", flock)
    monkeypatch.setattr(lock, "SETTLE", 0.01)


def test_without_flock_the_heartbeat_of_a_living_process_holds_it(path, no_flock):
    for owner, age in (({"host": lock.HOST, "pid": os.getppid()}, 0), ({}, 0)):
        write(path, age=age, **owner)
        with pytest.raises(Busy), try_lock(path):
            pass
    dead = subprocess.Popen(["true"])
    dead.wait()
    for owner, age in (({"host": lock.HOST, "pid": dead.pid}, 0), ({"host": lock.HOST, "pid": os.getppid()}, 61)):
        write(path, age=age, **owner)
        with try_lock(path):
            assert json.loads(path.read_text())["pid"] == os.getpid()
        assert not path.exists()


def test_a_file_that_is_still_empty_is_somebodys_for_a_moment(path):
    path.parent.mkdir(parents=True)
    path.touch()
    with pytest.raises(Busy, match="has just begun"), try_lock(path):
        pass
    os.utime(path, (time.time() - 10, time.time() - 10))  # its maker died before it wrote its name
    with try_lock(path):
        pass


def test_whoever_made_the_file_has_it_though_others_look_at_it_first(path, monkeypatch):
    """Another process opens the new file and locks it before its maker can: it sees that it is empty, and lets go."""
    real, tries = lock.fcntl.flock, []

    def flock(handle, how):
        tries.append(handle)
        if len(tries) < 3:
            raise BlockingIOError
        real(handle, how)

    monkeypatch.setattr(lock.fcntl, "flock", flock)
    with try_lock(path):
        assert len(tries) == 3


def test_the_other_processes_of_a_distributed_run_go_in_with_the_first(path, monkeypatch):
    write(path)
    monkeypatch.setenv("LOCAL_RANK", "1")
    with try_lock(path):
        assert json.loads(path.read_text())["pid"] == 7
    monkeypatch.setenv("LOCAL_RANK", "0")
    with pytest.raises(Busy), try_lock(path):
        pass


def test_a_folder_that_cannot_be_made_is_named(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(OSError) as caught, held(tmp_path / "file" / "lora" / ".abc.lock"):
        pass
    assert str(tmp_path / "file") in caught.value.filename
