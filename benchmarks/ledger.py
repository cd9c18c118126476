"""How long the verbs of the ledger take over all papers and 1,000 records: `python benchmarks/ledger.py`.

The records are the kept ones, copied under other seeds; each verb is a process of its own, seven times, after one that
warms the disk. Writes results/benchmarks/ledger.json.
"""

from __future__ import annotations

import dataclasses
import json
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from repro import paths
from repro.records.record import write_record
from repro.records.store import read_all
from repro.runs.measure import processor

RECORDS = 1000
TIMES = 7
VERBS = {
    "table": ["table"],
    "table --all": ["table", "--all"],
    "claims": ["claims"],
    "verify": ["verify"],
    "recipe": ["recipe", "paper=lora", "task=glue/rte"],
}


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        copy_records(Path(folder) / "results" / "records")
        environment = os.environ | {"REPRO_RESULTS_DIR": f"{folder}/results", "REPRO_RUNS_DIR": f"{folder}/runs"}
        verbs = {name: measure(words, environment) for name, words in VERBS.items()}
    machine = {"name": processor(), "cores": len(os.sched_getaffinity(0)), "python": sys.version.split()[0]}
    result = {"records": RECORDS, "times": TIMES, "unit": "seconds", "verbs": verbs, "machine": machine}
    file = paths.FACTS / "benchmarks" / "ledger.json"
    file.parent.mkdir(exist_ok=True)
    file.write_text(json.dumps(result, indent=1) + "\n")
    for name, found in verbs.items():
        print(f"{name:12} {found['median']:.2f} s (worst {found['worst']:.2f} s, {found['cpu']:.2f} s of CPU)")


def copy_records(folder: Path) -> None:
    """Writes the kept records again and again, each time under other seeds, until there are enough."""
    kept = read_all(sorted(paths.KEPT.glob("*.json")))
    for number in range(RECORDS):
        turn, record = number // len(kept), kept[number % len(kept)]
        identity = f"{number:04x}{record.identity[4:]}"
        write_record(
            dataclasses.replace(record, identity=identity, seed=record.seed + 5 * turn), folder / f"{identity}.json"
        )


def measure(words: list[str], environment: dict[str, str]) -> dict[str, float]:
    """Times a verb: wall-clock median and worst, and the median of CPU seconds."""
    walls, cpus = [], []
    for turn in range(TIMES + 1):
        before, began = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
        subprocess.run([sys.executable, "-m", "repro", *words], env=environment, check=True, stdout=subprocess.DEVNULL)
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        if turn:
            walls.append(time.perf_counter() - began)
            cpus.append(after.ru_utime - before.ru_utime + after.ru_stime - before.ru_stime)
    return {
        "median": round(statistics.median(walls), 3),
        "worst": round(max(walls), 3),
        "cpu": round(statistics.median(cpus), 3),
    }


if __name__ == "__main__":
    main()
