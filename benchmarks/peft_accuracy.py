"""Accuracies of LoRA against PEFT's: the same small encoder, rows, recipe and five seeds, last epoch's dev accuracy.

`python benchmarks/peft_accuracy.py --network FOLDER --data FOLDER`: each seed of ours is a run of `python -m repro`
(SST-2, its first 4,000 training rows, 3 epochs, r=8, alpha 16, learning rate 1e-3, batches of 16 cut by length). Each
of PEFT's is a plain torch loop over the same rows with random batches: the same tokens, head (pooler and classifier
trained), dropout, AdamW, weight decay, warm-up, linear schedule and clipping. Seeds 0 to 4 were fixed beforehand, and
neither side was tuned for this. Dev accuracy on all 872 rows, after the last epoch: no epoch is chosen.

Equivalent: by two one-sided Welch tests at 5%, the means differ by less than a point, which is the same as their
difference's 90% interval lying within -1 and 1.

Writes results/benchmarks/peft_accuracy.json after each run, and goes on from there; our runs go to `--runs FOLDER`.
`--quick` (400 rows, one epoch, seeds 0 and 1: says only that all works), `--out FILE`, `--threads N` (1).
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

os.environ |= {"HF_HUB_OFFLINE": "1", "TOKENIZERS_PARALLELISM": "false"}

import machine

from repro import paths

MARGIN = 1.0
"""Points."""
SEEDS = (0, 1, 2, 3, 4)
OURS, PEFT = "ours", "peft"
SETTINGS = ("paper.rank=8", "paper.alpha=16", "optim.lr=1e-3")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--network", type=Path, required=True, help="a BERT-like network's folder")
    parser.add_argument("--data", type=Path, required=True, help="the folder with glue/SST-2")
    parser.add_argument("--runs", type=Path, default=Path("runs/benchmarks"), help="where our runs go")
    parser.add_argument("--threads", type=int, default=1, help="of torch (1)")
    parser.add_argument("--quick", action="store_true", help="400 rows, one epoch, two seeds")
    parser.add_argument("--out", type=Path, help="the file (results/benchmarks/peft_accuracy.json)")
    options = parser.parse_args()
    os.environ["OMP_NUM_THREADS"] = str(options.threads)
    file = options.out or paths.FACTS / "benchmarks" / "peft_accuracy.json"
    settings = described(options)
    accuracy, seconds = kept(file, settings)
    for seed in SEEDS[:2] if options.quick else SEEDS:
        for side, trained in ((OURS, our_accuracy), (PEFT, peft_accuracy)):
            if str(seed) in accuracy[side]:
                continue
            began = time.perf_counter()
            accuracy[side][str(seed)] = trained(words(options, seed), options)
            seconds[side][str(seed)] = round(time.perf_counter() - began, 1)
            print(f"seed {seed}, {side}: {accuracy[side][str(seed)]:.2f} ({seconds[side][str(seed)]} s)", flush=True)
            machine.write("peft_accuracy", result(settings, accuracy, seconds), options.out)
    found = result(settings, accuracy, seconds)
    print(f"{file}: {found.get('equivalence')}")


def described(options: argparse.Namespace) -> dict[str, Any]:
    """Returns what must be the same when the measurement goes on: the command, but for folders, and its seed."""
    command = " ".join(words(options, 0)).replace(str(options.network.resolve()), options.network.name)
    return {
        "network": options.network.name,
        "threads": options.threads,
        "quick": options.quick,
        "command": f"python -m repro {command.replace(str(options.data.resolve()), 'DATA')}".replace(
            "seed=0", "seed=N"
        ),
    }


def words(options: argparse.Namespace, seed: int) -> tuple[str, ...]:
    """Returns the command line of our run with a seed."""
    import peft_loop

    run = peft_loop.run_words("sst2", options.network.resolve(), options.data.resolve(), 16, options.threads)
    rows, epochs = (400, 1) if options.quick else (4000, 3)
    return (*run, *SETTINGS, f"task.train_size={rows}", f"trainer.max_epochs={epochs}", f"seed={seed}")


def kept(file: Path, settings: dict[str, Any]) -> tuple[dict[str, dict[str, float]], dict[str, dict[str, float]]]:
    """Returns the accuracies and seconds by side and seed that an earlier call has left.

    Raises:
        SystemExit: they are of other settings.
    """
    if not file.is_file():
        return {OURS: {}, PEFT: {}}, {OURS: {}, PEFT: {}}
    found = json.loads(file.read_text(encoding="utf-8"))
    if found["settings"] != settings:
        raise SystemExit(f"{file} is of other settings: name another file (--out) or remove it")
    return found["accuracy"], found["seconds"]


def our_accuracy(run: Sequence[str], options: argparse.Namespace) -> float:
    """Returns the last epoch's accuracy of a run of ours, made by a process of its own."""
    from repro.runs.compose import cell

    run = (*run, f"runs_dir={options.runs.resolve()}")
    subprocess.run([sys.executable, "-m", "repro", *run, "--quiet"], stdout=subprocess.DEVNULL, check=True)
    record = json.loads((cell(run).folder / "record.json").read_text(encoding="utf-8"))
    return record["scores"]["validation-last"]["accuracy"]


def peft_accuracy(run: Sequence[str], options: argparse.Namespace) -> float:
    """Returns the last epoch's accuracy of PEFT in a plain loop, with the settings of our run."""
    import peft_loop
    import torch

    from repro.runs.compose import cell
    from repro.runs.execute import task_and_paper

    torch.set_num_threads(options.threads)
    one = cell(tuple(run))
    task, _ = task_and_paper(one.config, {}, options.runs)
    lengths, batch_size = peft_loop.lengths_of(task), one.config["task"]["batch_size"]
    cut = peft_loop.epochs(peft_loop.random_batches, lengths, batch_size, one.seed)
    torch.manual_seed(one.seed)
    network = peft_loop.peft_network(one.config["network"]["path"], task.head, one.config["paper"])
    steps = one.config["trainer"]["max_epochs"] * len(cut())
    loop = peft_loop.Loop(network, peft_loop.own_loss, peft_loop.loader(task, cut), one.config["optim"], steps)
    loop.train(steps)
    network.eval()
    with torch.inference_mode():
        rows = [row for batch in task.split_dataloader("validation") for row in task.predict(network, batch)]
    return task.score(rows, "validation")["accuracy"]


def result(
    settings: dict[str, Any], accuracy: dict[str, dict[str, float]], seconds: dict[str, dict[str, float]]
) -> dict[str, Any]:
    """Returns what is known so far."""
    pairs = {side: list(by_seed.values()) for side, by_seed in accuracy.items()}
    tested = {"equivalence": equivalence(pairs[OURS], pairs[PEFT])} if min(map(len, pairs.values())) > 1 else {}
    return {
        "what": __doc__.partition("\n")[0],
        "settings": settings,
        "accuracy": accuracy,
        "seconds": seconds,
        **tested,
        "machine": machine.described() | {"peft": machine.importlib.metadata.version("peft")},
    }


def equivalence(ours: Sequence[float], theirs: Sequence[float], margin: float = MARGIN) -> dict[str, Any]:
    """Tests by two one-sided Welch tests whether two means differ by less than a margin.

    Source: Schuirmann 1987.
    """
    from scipy.stats import ttest_ind

    above = ttest_ind([one + margin for one in ours], theirs, equal_var=False, alternative="greater").pvalue
    below = ttest_ind([one - margin for one in ours], theirs, equal_var=False, alternative="less").pvalue
    interval = ttest_ind(ours, theirs, equal_var=False).confidence_interval(0.90)
    means = sum(ours) / len(ours), sum(theirs) / len(theirs)
    return {
        "mean_ours": round(means[0], 3),
        "mean_peft": round(means[1], 3),
        "difference": round(means[0] - means[1], 3),
        "interval_90": [round(float(interval.low), 3), round(float(interval.high), 3)],
        "margin": margin,
        "p_above_minus_margin": round(float(above), 5),
        "p_below_margin": round(float(below), 5),
        "equivalent": bool(max(above, below) < 0.05),
    }


if __name__ == "__main__":
    main()
