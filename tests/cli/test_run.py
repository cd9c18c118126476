"""What a person types, and what they see."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

import pytest

from repro import paths
from repro.__main__ import main, verbs
from repro.runs.compose import cell
from repro.runs.lock import held, holder

ROOT = Path(__file__).parents[2]


def python(*words):
    return subprocess.run(
        [sys.executable, "-m", "repro", *words], capture_output=True, text=True, cwd=ROOT, check=False
    )


def test_help_names_everything_that_can_be_chosen_and_starts_at_once():
    began = time.perf_counter()
    bare, asked = python(), python("--help")
    assert (time.perf_counter() - began) / 2 < 2  # under a second on an idle machine
    assert bare.stdout == asked.stdout
    for name in ("lora", "finetune", "glue/mrpc", "roberta-base", "tiny/encoder", "minilm", "local", "paper", *verbs()):
        assert f"  {name}" in bare.stdout
    assert {"table", "score", "show", "keep", "doctor"} <= set(verbs())


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["tabel"], "error: tabel is no verb: did you mean table?"),
        (["paper=lroa"], "error: paper=lroa is not known: did you mean lora?"),
        (["paper=lora", "--dryrun"], "error: --dryrun is no flag: there are -m, --multirun, --dry-run, --quiet"),
        (["paper=lora", "glue"], "error: 'glue' is no override: write KEY=VALUE"),
        (["paper=lora", "seed=0,1"], "error: seed=0,1 is a sweep: add -m"),
        (["paper=lora", "jobs=none", "rerun=true"], "error: jobs=none is no number of processes"),
    ],
)
def test_a_mistake_is_one_line_and_exit_code_2(words, message, capsys):
    assert main(words) == 2
    written = capsys.readouterr().err
    assert written.startswith(message)
    assert written.count("\n") == 1


def test_a_dry_run_lists_cells_inputs_and_recipes_and_runs_nothing(tmp_path, capsys):
    assert (
        main(["-m", "paper=lora,finetune", "task=glue/rte,glue/sst2", "seed=0,1", "--dry-run", f"runs_dir={tmp_path}"])
        == 0
    )
    lines = capsys.readouterr().out.splitlines()
    assert sum(line.startswith(("lora ", "finetune ")) for line in lines) == 8
    assert any("recipe conf/recipe/lora/glue/roberta-base-tiny.yaml" in line for line in lines)
    assert any("input start: lora glue/mnli seed 0" in line for line in lines)
    assert lines[-1].startswith("8 cells, ")
    assert list(tmp_path.iterdir()) == []


def test_the_cells_that_claims_need_are_one_sweep(tmp_path, capsys):
    words = ["claims=lora/C9,lora/C10", f"runs_dir={tmp_path}", "--dry-run"]
    assert main(words) == 0
    written = capsys.readouterr().out
    # Seven placements of the update and six ranks that are not among them, on three tasks with five seeds each.
    assert f"{13 * 3 * 5} cells, 0 done" in written
    assert "not possible yet: paper=lora, model=gpt2-medium, task=e2e" in written
    assert main([*words, "seed=7"]) == 0
    assert f"{13 * 3} cells, 0 done" in capsys.readouterr().out


def test_a_claim_that_is_not_there_is_named(capsys):
    assert main(["claims=lora/C99"]) == 2
    assert capsys.readouterr().err.startswith("error: lora has no claim C99: did you mean C9?")


def test_output_that_is_no_terminal_has_no_control_characters():
    done = python("paper=lora", "task=glue", "--dry-run")
    assert done.returncode == 0
    assert "\x1b" not in done.stdout + done.stderr
    assert "\r" not in done.stdout + done.stderr


def test_doctor_answers_without_timings(capsys):
    assert main(["doctor", "--fast"]) == 0
    out = capsys.readouterr().out
    assert "torch" in out
    assert "glue/mrpc" in out
    assert main(["doctor", "--fast", "dataa_dir=x"]) == 2
    assert "did you mean data_dir?" in capsys.readouterr().err


# Sweeps of real processes; in the quick tests a cell does nothing but take its time.

STAND_IN = """
import multiprocessing, os, sys, time, types
from pathlib import Path

def execute(cell, *, show_bar=False):
    from dataclasses import replace
    from repro.errors import UserError
    from repro.records.record import read_record, write_record
    note = lambda name: open(cell.places.runs_dir / name, "a").write(cell.identity + "\\n")
    note("begun.txt")
    print("a word of", cell.identity)
    if cell.task == os.environ.get("BROKEN"):
        raise UserError("it is broken", "mend it") if cell.seed == 0 else ZeroDivisionError("nought")
    if cell.task == os.environ.get("KILLED"):
        os.kill(os.getpid(), 9)
    if os.environ.get("CHILD"):
        multiprocessing.Process(target=time.sleep, args=(60,), daemon=True).start()
    time.sleep(float(os.environ["SECONDS"]))
    like = read_record(Path(os.environ["LIKE"]))
    cell.part.mkdir(parents=True, exist_ok=True)
    write_record(replace(like, identity=cell.identity, task=cell.task, seed=cell.seed), cell.part / "record.json")
    cell.part.rename(cell.folder)
    note("ended.txt")
    return read_record(cell.folder / "record.json")

sys.modules["repro.runs.execute"] = types.ModuleType("repro.runs.execute")
sys.modules["repro.runs.execute"].execute = execute
"""

GRID = ("-m", "paper=lora", "task=glue/rte,glue/mrpc", "seed=0,1", "inputs.start=null", "logger=none")
SMALL = ("task.train_size=32", "trainer.max_epochs=1")


def hears_interrupts() -> None:
    """Whoever runs the tests in the background has SIGINT ignored, and so would their children."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


@pytest.fixture
def sweep(tmp_path):
    """Returns a function that starts the command over a grid of four cells, in a session of its own."""
    (tmp_path / "runs").mkdir()
    (tmp_path / "sitecustomize.py").write_text(STAND_IN)
    begun = []

    def start(*words, seconds=0.0, real=False, **environment):
        places = [str(ROOT)] if real else [str(tmp_path), str(ROOT)]
        like = sorted(paths.KEPT.glob("*.json"))[0]
        environment |= {"SECONDS": str(seconds), "LIKE": str(like), "PYTHONPATH": os.pathsep.join(places)}
        begun.append(
            subprocess.Popen(
                [sys.executable, "-m", "repro", *GRID, f"runs_dir={tmp_path / 'runs'}", *words],
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                text=True,
                cwd=ROOT,
                env=os.environ | environment,
                start_new_session=True,
                preexec_fn=hears_interrupts,
            )
        )
        return begun[-1]

    yield start
    for one in begun:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(one.pid, signal.SIGKILL)
        one.communicate()


@pytest.fixture
def grid(tmp_path):
    words = ("paper=lora", "inputs.start=null", f"runs_dir={tmp_path / 'runs'}")
    return [cell((*words, f"task={task}", f"seed={seed}")) for task in ("glue/rte", "glue/mrpc") for seed in (0, 1)]


def lines(file):
    return file.read_text().split() if file.is_file() else []


def until(what, seconds=30.0):
    end = time.monotonic() + seconds
    while not what():
        assert time.monotonic() < end, "it did not come to that"
        time.sleep(0.05)


def session(leader):
    """Returns the living processes of a session, but for its leader."""
    found = []
    for file in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):
            state, _, _, of = file.read_text().rpartition(")")[2].split()[:4]
            if int(of) == leader != int(file.parent.name) and state not in "ZX":
                found.append(int(file.parent.name))
    return found


def test_two_sweeps_over_one_grid_run_each_cell_once_and_both_have_all(sweep, tmp_path, grid):
    both = [sweep("jobs=1", seconds=0.9), sweep("jobs=2", seconds=0.9)]
    outputs = [one.communicate(timeout=60) for one in both]
    assert [one.returncode for one in both] == [0, 0], outputs
    ran = Counter(lines(tmp_path / "runs" / "begun.txt"))
    assert ran == Counter(one.identity for one in grid)
    for written, _ in outputs:
        assert "4 of 4 cells recorded" in written
        assert "[4/4] " in written
    assert not list(tmp_path.rglob("*.lock"))


def test_the_same_command_skips_resumes_and_runs_and_says_so_at_once(sweep, tmp_path, grid):
    (tmp_path / "runs" / "begun.txt").touch()
    done, cut, held_elsewhere, _ = grid
    assert sweep("jobs=1", "seed=0", "task=glue/rte").wait(30) == 0
    (cut.part / "checkpoints").mkdir(parents=True)
    (cut.part / "checkpoints" / "000000000007.ckpt").touch()
    with held(held_elsewhere):
        one = sweep("jobs=1")
        until(lambda: len(lines(tmp_path / "runs" / "ended.txt")) == 3)
    written, said = one.communicate(timeout=30)
    assert written.splitlines()[:2] == [
        f"lora glue/rte seed 0  {done.identity}  done (rerun=true forces)",
        "1 of 4 done, 1 to be resumed, 1 to run, 1 running elsewhere",
    ]
    assert said.startswith("waiting for lora glue/mrpc seed 0: process ")
    assert lines(tmp_path / "runs" / "begun.txt")[-1] == held_elsewhere.identity


def test_a_dry_run_says_what_would_go_on(capsys, tmp_path, grid):
    (grid[1].part / "checkpoints").mkdir(parents=True)
    (grid[1].part / "checkpoints" / "000000000007.ckpt").touch()
    with held(grid[2]):
        assert main([*GRID, "--dry-run", f"runs_dir={tmp_path / 'runs'}"]) == 0
    cells = [line for line in capsys.readouterr().out.splitlines() if line.startswith("lora ")]
    assert ["to run, " in cells[0], "to be resumed, " in cells[1], cells[2].split("  ")[2]] == [
        True,
        True,
        "running elsewhere",
    ]


@pytest.mark.parametrize("jobs", [1, 2])
@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_ends_all_processes_and_says_that_the_same_command_goes_on(sweep, tmp_path, grid, number, code, jobs):
    one = sweep(f"jobs={jobs}", seconds=40, CHILD="1")
    until(lambda: len(lines(tmp_path / "runs" / "begun.txt")) == jobs)
    time.sleep(0.2)
    send = os.killpg if number == signal.SIGINT else os.kill  # a terminal sends Ctrl-C to all, `kill` to the one named
    send(one.pid, number)
    _, said = one.communicate(timeout=20)
    assert one.returncode == code, said
    assert said == "stopped: 0 of 4 done; the same command goes on\n"
    until(lambda: not session(one.pid), 5)
    assert [holder(other) for other in grid] == [""] * 4


def test_workers_end_with_a_sweep_that_is_killed(sweep, tmp_path):
    one = sweep("jobs=2", seconds=60)
    until(lambda: len(lines(tmp_path / "runs" / "begun.txt")) == 2)
    one.kill()
    until(lambda: not session(one.pid), 10)


def test_a_killed_worker_costs_its_own_cell_alone(sweep, tmp_path, grid):
    one = sweep("jobs=2", "task=glue/rte,glue/sst2", "seed=0", seconds=0.5, KILLED="glue/sst2")
    written, said = one.communicate(timeout=60)
    assert one.returncode == 1
    assert "1 of 2 cells recorded" in written
    assert "error: lora glue/sst2 seed 0: its process ended without a result (killed, or out of memory)" in said
    assert Counter(lines(tmp_path / "runs" / "ended.txt")) == Counter([grid[0].identity])


@pytest.mark.parametrize("jobs", [1, 2])
def test_a_failing_cell_is_named_at_once_and_in_the_end_and_others_go_on(sweep, tmp_path, grid, jobs):
    one = sweep(f"jobs={jobs}", BROKEN="glue/rte")
    written, said = one.communicate(timeout=60)
    assert one.returncode == 1
    assert "] lora glue/rte seed 0  failed: it is broken: mend it\n" in written
    assert "] lora glue/rte seed 1  failed: ZeroDivisionError: nought\n" in written
    assert "2 of 4 cells recorded" in written
    assert "error: lora glue/rte seed 0: it is broken: mend it\n" in said
    assert f"error: lora glue/rte seed 1: ZeroDivisionError: nought  (log: {grid[1].part / 'log.txt'})" in said
    assert said.endswith("2 of 4 failed\n")
    words = (grid[1].part / "log.txt").read_text()
    assert words.splitlines()[-1] == "ZeroDivisionError: nought"
    if jobs == 2:
        assert words.startswith(f"a word of {grid[1].identity}\n")
        assert (grid[2].folder / "log.txt").read_text() == f"a word of {grid[2].identity}\n"


def test_where_a_user_can_mend_all_failures_the_exit_code_is_2(sweep, tmp_path):
    one = sweep("jobs=1", "seed=0", BROKEN="glue/rte")
    assert one.wait(30) == 2
    assert "Traceback" not in one.stderr.read()


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (
            ["hydra/launcher=submitit_slurm"],
            "hydra/launcher=submitit_slurm needs the package hydra-submitit-launcher: "
            "pip install hydra-submitit-launcher",
        ),
        (
            ["hydra/launcher=ray"],
            "hydra/launcher=ray needs the package hydra-ray-launcher: pip install hydra-ray-launcher",
        ),
        (["hydra/launcher=submitit_slrum"], "hydra/launcher=submitit_slrum is not known: did you mean submitit_slurm?"),
        (["hydra.launcher.n_job=2"], "Could not override 'hydra.launcher.n_job'"),
    ],
)
def test_a_launcher_that_is_not_there_is_named_before_anything_runs(words, message, tmp_path, monkeypatch, capsys):
    from repro.runs import workers

    find = workers.importlib.util.find_spec
    ours = ("hydra_plugins.hydra_submitit_launcher", "hydra_plugins.hydra_ray_launcher")
    monkeypatch.setattr(workers.importlib.util, "find_spec", lambda name: None if name in ours else find(name))
    assert main([*GRID, f"runs_dir={tmp_path}", *words]) == 2
    written = capsys.readouterr().err
    assert written.startswith(f"error: {message}")
    assert written.count("\n") == 1
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("name", "settings"),
    [
        ("submitit_slurm", {"partition": None, "gpus_per_node": 1, "max_num_timeout": 20, "timeout_min": 240}),
        ("ray", {"ray": {"init": {"address": None}, "remote": {"num_cpus": 1, "num_gpus": 1}}}),
    ],
)
def test_launchers_of_clusters_compose_with_the_settings_of_the_user(name, settings, monkeypatch):
    from hydra.core.global_hydra import GlobalHydra
    from omegaconf import OmegaConf

    from repro.runs import workers

    monkeypatch.setattr(workers.importlib.util, "find_spec", lambda module: module)  # as if it were installed
    gpus = {"submitit_slurm": "hydra.launcher.gpus_per_node=1", "ray": "hydra.launcher.ray.remote.num_gpus=1"}[name]
    config = workers._composed(workers._hydra(), [f"hydra/launcher={name}", gpus], jobs=3, runs_dir="somewhere")
    GlobalHydra.instance().clear()
    launcher = OmegaConf.to_container(config.hydra.launcher, resolve=False)
    assert launcher["_target_"].startswith(f"hydra_plugins.hydra_{name.partition('_')[0]}_launcher.")
    assert settings.items() <= launcher.items()
    assert config.hydra.sweep.dir == "somewhere"


@pytest.mark.slow
def test_two_sweeps_of_real_cells_over_one_grid_give_each_record_once(sweep, tmp_path, grid):
    both = [sweep("jobs=1", *SMALL, real=True), sweep("jobs=2", *SMALL, real=True)]
    outputs = [one.communicate(timeout=300) for one in both]
    assert [one.returncode for one in both] == [0, 0], outputs
    records = list((tmp_path / "runs" / "lora").rglob("record.json"))
    assert len(records) == len({json.loads(file.read_text())["identity"] for file in records}) == 4
    assert not list((tmp_path / "runs").glob(".replaced"))
    assert not list(tmp_path.rglob("*.lock"))


@pytest.mark.slow
@pytest.mark.parametrize(("number", "code", "jobs"), [(signal.SIGINT, 130, 1), (signal.SIGTERM, 143, 2)])
def test_a_signal_ends_a_sweep_of_real_cells_and_the_same_command_ends_it(sweep, tmp_path, number, code, jobs):
    words = (f"jobs={jobs}", "task.train_size=500", "trainer.max_epochs=3", "checkpoint_seconds=0.2", "seed=0")
    one = sweep(*words, real=True)
    until(lambda: len({file.parent for file in (tmp_path / "runs").rglob("*.ckpt")}) == jobs, 90)
    (os.killpg if number == signal.SIGINT else os.kill)(one.pid, number)
    _, said = one.communicate(timeout=30)
    assert one.returncode == code, said
    assert said.endswith("stopped: 0 of 2 done; the same command goes on\n")
    until(lambda: not session(one.pid), 5)
    again = sweep(*words, real=True)
    written, said = again.communicate(timeout=300)
    assert again.returncode == 0, said
    assert f"0 of 2 done, {jobs} to be resumed" in written
    assert "2 of 2 cells recorded" in written
