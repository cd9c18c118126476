"""What is lost or altered when runs are killed, disks full, files broken and words malformed.

`python benchmarks/reliability.py` writes results/reliability.md and takes about a quarter of an hour on two cores;
`--quick` takes two minutes, `--only kills,fuzz` does parts, `--out FILE` writes elsewhere. Exit code 1: something was
lost or changed. The same `--seed` tries the same things. Small runs, one thread each; nothing here needs a network.
"""

from __future__ import annotations

import argparse
import os
import random
import shutil
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

SETTINGS = {
    "OMP_NUM_THREADS": "1",
    "HF_HUB_OFFLINE": "1",
    "TOKENIZERS_PARALLELISM": "false",
    "OPENBLAS_NUM_THREADS": "1",
    "WANDB_MODE": "disabled",
}
os.environ |= SETTINGS  # before anything heavy is imported

from faults import rows  # noqa: E402
from faults.rows import Row  # noqa: E402

COUNTS = {"kills": (20, 5), "disks": (8, 2), "broken": (4, 1), "signals": (4, 1), "fuzz": (200, 40)}
"""How often each part is tried, in full and with --quick."""


def main() -> int:
    options = _options()
    folder = Path(tempfile.mkdtemp(prefix="repro-faults-", dir=options.scratch))
    began, load = time.monotonic(), os.getloadavg()[0]
    try:
        found = _tried(folder, options)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    lost, changed = sum(row.lost for row in found), sum(row.changed for row in found)
    text = _page(found, options, minutes=(time.monotonic() - began) / 60, load=load)
    from repro import paths

    file = options.out or paths.FACTS / "reliability.md"
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(text, encoding="utf-8")
    print(f"{file}: {lost} lost, {changed} changed")
    return int(bool(lost or changed))


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="a fifth of everything")
    parser.add_argument("--seed", type=int, default=0, help="of all choices (0)")
    parser.add_argument("--only", help=f"some parts, with commas: {', '.join(COUNTS)}")
    parser.add_argument("--out", type=Path, help="the file (results/reliability.md)")
    parser.add_argument("--scratch", help="folder for runs that are removed afterwards (the system's)")
    options = parser.parse_args()
    options.parts = options.only.split(",") if options.only else list(COUNTS)
    if unknown := [part for part in options.parts if part not in COUNTS]:
        parser.error(f"there is no part {unknown[0]}: there are {', '.join(COUNTS)}")
    return options


def _tried(folder: Path, options: argparse.Namespace) -> list[Row]:
    """Does all parts, and prints each row as it is known."""
    _import_everything()
    from faults.small_runs import make_network

    network = make_network(folder / "network")
    found: list[Row] = []
    for part in options.parts:
        place = folder / part
        place.mkdir()
        chance = random.Random(f"{part} {options.seed}")
        began = time.monotonic()
        for row in _part(part)(place, network, chance, count=COUNTS[part][options.quick]):
            found.append(row)
            print(f"{row.what}: tried {row.tried}, lost {row.lost}, changed {row.changed}", flush=True)
            for one in row.wrong:
                print(f"  {one[:400]}", flush=True)
        print(f"({part}: {time.monotonic() - began:.0f} s)", flush=True)
        shutil.rmtree(place, ignore_errors=True)
    return found


def _part(name: str) -> Callable[..., Iterator[Row]]:
    from faults.broken_runs import broken_runs
    from faults.disks import disks
    from faults.kills import kills
    from faults.signals import signals

    return {"kills": kills, "disks": disks, "broken": broken_runs, "signals": signals, "fuzz": fuzzed}[name]


def _import_everything() -> None:
    """Imports what commands import, so that forked children begin at once; this process itself runs no network."""
    import datasets  # noqa: F401
    import torch

    import repro.cli.claims
    import repro.cli.score
    import repro.cli.show
    import repro.cli.table
    import repro.ledger.claims
    import repro.ledger.report
    import repro.runs.execute
    import repro.runs.launch  # noqa: F401

    torch.set_num_threads(1)


def fuzzed(folder: Path, network: Path, chance: random.Random, *, count: int) -> Iterator[Row]:
    """Tries malformed things; each is a row by its kind."""
    from faults import fuzz
    from faults.small_runs import altered, digests

    ground = fuzz.prepared(folder)
    made = fuzz.cases(ground, seed=chance.randrange(10**6), count=count)
    before = digests(ground.runs)
    for kind in fuzz.SHARES:
        row = Row(f"malformed: {kind}", 0, note=NOTES[kind])
        for case in (one for one in made if one.kind == kind):
            wrong = fuzz.tried(ground, case, row.tried)
            gone = altered(before, digests(ground.runs))
            said = f"lost: {wrong} (`{' '.join(case.words)[:300]}`, {case.what[:120]!r})" if wrong else ""
            row = row.with_one(f"changed: {gone[0]} (`{' '.join(case.words)[:300]}`)" if gone else said)
        yield row


NOTES = {
    "overrides": "unknown keys and groups, wrong types, unclosed brackets, huge numbers, unicode, empty values",
    "training": "GLUE files at scale=local, with a small network: columns, labels, quotes, NUL, encodings, ids, empty",
    "score": "predictions and references for `score`, broken in the same ways",
    "records": "record.json torn or edited, seen by table, claims, runs, show, keep, compare and the run's own command",
    "published": "published.csv broken, seen by table, claims and verify",
}


def _page(found: Sequence[Row], options: argparse.Namespace, *, minutes: float, load: float) -> str:
    import machine

    about = machine.described()
    libraries = ", ".join(f"{name} {about[name]}" for name in machine.PACKAGES)
    about = {name: about[name] for name in ("name", "cores", "python")}
    words = [
        f"--seed {options.seed}",
        *(["--quick"] if options.quick else []),
        *([f"--only {options.only}"] * bool(options.only)),
    ]
    return PAGE.format(
        words=" ".join(words), minutes=minutes, load=load, table=rows.markdown(found), libraries=libraries, **about
    )


PAGE = """# What is lost when things break

Written by `python benchmarks/reliability.py {words}` in {minutes:.0f} minutes on {name}, {cores} cores, one thread a
run (load {load:.1f} when it began); Python {python}, {libraries}.

*lost*: results or work gone beyond the promise, or a command that ends otherwise than promised (a hang, a traceback,
another exit code than 0 or 2, more than one line of error). *changed*: other bits than an uninterrupted run
(predictions, product, log, scores, counts), or something recorded before was altered. Both are to be 0.

{table}
Not tried: a loss of power (kill -9 leaves what the system has in its buffers; records and checkpoints are synced before
they are renamed), several machines on one network file system, and GPUs.
"""


if __name__ == "__main__":
    sys.exit(main())
