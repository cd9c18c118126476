"""Sixteen cells with two processes, with one, and with one on two threads; and a sweep that is killed five times.

`python benchmarks/sweep.py` runs small cells (the real tiny encoder, about five seconds each) as a sweep: two processes
of one thread, one of one thread, one of two threads, in turns, three rounds. Then it kills the whole process group of
such a sweep five times at random moments, lets it end, and compares its tables, byte by byte, with an uninterrupted
sweep's. The table is of facts of its own, whose conditions name what cells deviate in: a trial enters no paper's table.
Writes results/benchmarks/sweep.json; `--rounds N`, `--seeds N` (two cells a seed), `--seed N`, `--out FILE`. Targets:
two processes are at least 1.6 times as fast as one, and faster than two threads. Exit code 1 when the tables differ.
"""

from __future__ import annotations

import argparse
import contextlib
import csv
import hashlib
import json
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import machine

TARGET = 1.6
KILLS = 5
MEASURED = ("seconds", "memory")
"""Columns of a table that no two runs have in common: they are not compared."""
LIMIT = 1800.0
SIZE, EPOCHS = 640, 4
SMALL = (f"task.train_size={SIZE}", f"trainer.max_epochs={EPOCHS}", "logger=none", "checkpoint_seconds=1")
TASKS = {"glue/sst2": "accuracy", "glue/cola": "matthews"}
WAYS = {
    "two processes of one thread": (2, 1),
    "one process of one thread": (1, 1),
    "one process of two threads": (1, 2),
}
TABLE = """
import pathlib, sys
from repro import paths
from repro.__main__ import main
paths.FACTS = pathlib.Path(sys.argv[1])
paths.KEPT = paths.FACTS / "records"
sys.exit(main(["table", "small", "--format", "csv", "--all"]))
"""


def main() -> int:
    options = _options()
    with tempfile.TemporaryDirectory(prefix="repro-sweep-") as name:
        folder = Path(name)
        facts(folder / "facts", options.seeds)
        seconds: dict[str, list[float]] = {way: [] for way in WAYS}
        for turn in range(options.rounds):
            for way, (jobs, threads) in WAYS.items():
                words = command(folder / f"{turn} {way}", options.seeds, jobs, threads)
                began = time.perf_counter()
                subprocess.run(words, env=_environment(threads), check=True, stdout=subprocess.DEVNULL)
                seconds[way].append(time.perf_counter() - began)
        whole = tables(folder / f"0 {next(iter(WAYS))}", folder / "facts")
        killed = interrupted(folder / "killed", options, usual=min(seconds[next(iter(WAYS))]))
        equal = tables(folder / "killed", folder / "facts") == whole
        bits = products(folder / "killed") == products(folder / f"0 {next(iter(WAYS))}")
    result = _result(options, seconds) | {
        "interrupted": {
            "kills": killed,
            "tables_equal": equal,
            "products_predictions_and_logs_equal": bits,
            "columns_not_compared": MEASURED,
            "table_lines": whole.count(b"\n"),
            "sha256": hashlib.sha256(whole).hexdigest(),
        },
    }
    file = machine.write("sweep", result, options.out)
    print(f"{file}: {result['faster_than_one_process']['median']:.2f} times one process; tables equal: {equal}")
    return int(not (equal and bits))


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=3, help="of the three ways (3)")
    parser.add_argument("--seeds", type=int, default=8, help="cells are two a seed (8: sixteen cells)")
    parser.add_argument("--seed", type=int, default=0, help="of the moments of the kills (0)")
    parser.add_argument("--out", type=Path, help="the file (results/benchmarks/sweep.json)")
    return parser.parse_args()


def command(runs: Path, seeds: int, jobs: int, threads: int) -> list[str]:
    """Returns the words of the sweep."""
    grid = (f"task={','.join(TASKS)}", f"seed={','.join(map(str, range(seeds)))}")
    words = ("-m", "paper=lora", *grid, *SMALL, f"jobs={jobs}", f"threads={threads}", f"runs_dir={runs}", "--quiet")
    return [sys.executable, "-m", "repro", *words]


def _environment(threads: int) -> dict[str, str]:
    return os.environ | {"OMP_NUM_THREADS": str(threads), "HF_HUB_OFFLINE": "1"}


def interrupted(runs: Path, options: argparse.Namespace, *, usual: float) -> int:
    """Kills a sweep with all its processes at random moments, then lets it end.

    Args:
        runs: where it runs.
        options: of this benchmark.
        usual: seconds that the sweep takes.

    Returns:
        how many of the kills came before the sweep had ended.
    """
    chance = random.Random(options.seed)
    words, killed = command(runs, options.seeds, 2, 1), 0
    for _ in range(KILLS):
        running = subprocess.Popen(
            words, env=_environment(1), start_new_session=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        time.sleep(chance.uniform(0.12, 0.4) * usual)
        killed += running.poll() is None
        with contextlib.suppress(ProcessLookupError):  # it has ended
            os.killpg(running.pid, signal.SIGKILL)
        running.wait()
    subprocess.run(words, env=_environment(1), check=True, stdout=subprocess.DEVNULL, timeout=LIMIT)
    return killed


def facts(folder: Path, seeds: int) -> None:
    """Writes facts whose one row is what the small cells stand beside."""
    file = folder / "small" / "published.csv"
    file.parent.mkdir(parents=True)
    heading = "paper,table,row,column,condition,metric,value,spread,spread_kind,place,source,flags"
    with file.open("w", encoding="utf-8", newline="") as stream:
        writer = csv.writer(stream)
        writer.writerow(heading.split(","))
        for task, metric in TASKS.items():
            wanted = {"paper": "lora", "task": task, "config.task.train_size": SIZE}
            condition = json.dumps(wanted | {"config.trainer.max_epochs": EPOCHS})
            writer.writerow(["small", "T1", "LoRA", task, condition, metric, "50.0", "", "", "", "made up", ""])


def tables(runs: Path, folder: Path) -> bytes:
    """Returns the tables of a sweep's records, as `table --format csv` prints them, less what was measured."""
    places = {"REPRO_RUNS_DIR": str(runs), "REPRO_RESULTS_DIR": str(folder)}
    words = [sys.executable, "-c", TABLE, str(folder)]
    printed = subprocess.run(words, env=_environment(1) | places, check=True, capture_output=True).stdout
    lines = printed.decode().splitlines(keepends=True)
    kept = [line for line, cells in zip(lines, csv.reader(lines), strict=True) if cells[4] not in MEASURED]
    return "".join(kept).encode()


def products(runs: Path) -> dict[str, str]:
    """Returns the digest of every product, prediction and log of a sweep."""
    return {
        str(file.relative_to(runs)): hashlib.sha256(file.read_bytes()).hexdigest()
        for file in sorted(runs.rglob("*"))
        if file.is_file() and (file.name == "metrics.jsonl" or file.parent.name in ("product", "predictions"))
    }


def _result(options: argparse.Namespace, seconds: dict[str, list[float]]) -> dict:
    two, one, threads = seconds.values()
    return {
        "what": "seconds of a whole sweep, from the command to its table",
        "command": " ".join(command(Path("RUNS"), options.seeds, 2, 1)[1:]),
        "cells": len(TASKS) * options.seeds,
        "seconds": {way: machine.spread(values) for way, values in seconds.items()},
        "faster_than_one_process": machine.spread([b / a for a, b in zip(two, one, strict=True)]),
        "faster_than_two_threads": machine.spread([b / a for a, b in zip(two, threads, strict=True)]),
        "targets": {"faster_than_one_process": TARGET, "faster_than_two_threads": 1.0},
        "machine": machine.described(),
    }


if __name__ == "__main__":
    sys.exit(main())
