"""Peak memory of training: LoRA of ours beside PEFT's and beside full fine-tuning, and the bytes that training keeps.

`python benchmarks/peft_memory.py --network FOLDER --data FOLDER` trains a few steps in a fresh process for each side
and repetition, the sides in turns: our LoRA run and our fine-tuning run with all that a run has (Lightning, log, watch,
count of operations), PEFT's LoRA and full fine-tuning in a plain torch loop. All see the same batches (SST-2, all of
them 32 x 128 tokens), in float32, on the CPU, with AdamW. It is a step's memory: no checkpoint is taken meanwhile.

    training    the largest resident memory (VmHWM) during the steps, less the resident memory (VmRSS) just before the
                network is loaded, when all is imported and the rows are tokenised: weights, gradients, moments,
                activations, and what the allocator keeps of them
    process     the largest resident memory of the process, with all its imports
    state       parameters, gradients (as many as parameters learn) and Adam's moments: exact, tensor by tensor

Ratios are of medians. Writes results/benchmarks/peft_memory.json; `--times N` (5), `--steps N` (6), `--quick` (once,
3 steps), `--out FILE`. One thread.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

os.environ |= {"OMP_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1", "TOKENIZERS_PARALLELISM": "false"}

import machine

LENGTH, BATCH_SIZE, ROWS = 128, 32, 640
OURS, PEFT, OUR_FULL, FULL = "our LoRA run", "peft LoRA, plain loop", "our fine-tuning run", "fine-tuning, plain loop"
SIDES = (OURS, PEFT, OUR_FULL, FULL)


class Enough(Exception):
    """All steps are made."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--network", type=Path, required=True, help="a BERT-like network's folder")
    parser.add_argument("--data", type=Path, required=True, help="the folder with glue/SST-2")
    parser.add_argument("--times", type=int, default=5, help="processes of each side (5)")
    parser.add_argument("--steps", type=int, default=6, help="of each process (6)")
    parser.add_argument("--quick", action="store_true", help="one process of each side, 3 steps")
    parser.add_argument("--out", type=Path, help="the file (results/benchmarks/peft_memory.json)")
    parser.add_argument("--side", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.quick:
        options.times, options.steps = 1, 3
    if options.side:
        print(json.dumps(measured(options.side, options)))
        return
    found: dict[str, list[dict[str, Any]]] = {side: [] for side in SIDES}
    for _ in range(options.times):
        for side in SIDES:
            words = [sys.executable, __file__, *sys.argv[1:], "--side", side]
            done = subprocess.run(words, stdout=subprocess.PIPE, text=True, check=True)
            found[side].append(json.loads(done.stdout.splitlines()[-1]))
    outcome = result(found, options)
    file = machine.write("peft_memory", outcome, options.out)
    print(f"{file}: {outcome['ratios_to_our_run']}")


def measured(side: str, options: argparse.Namespace) -> dict[str, Any]:
    """Trains one side in this process; returns its bytes."""
    import peft_loop
    import peft_speed
    import torch

    from repro.runs.compose import cell
    from repro.tasks.glue import GLUE

    torch.set_num_threads(1)
    GLUE.encode = peft_speed.of_one_length(GLUE.encode, LENGTH)
    words = peft_loop.run_words("sst2", options.network.resolve(), options.data.resolve(), BATCH_SIZE, 1)
    paper = "paper=finetune" if side in (OUR_FULL, FULL) else "paper=lora"
    with tempfile.TemporaryDirectory(prefix="repro-peft-memory-") as folder:
        more = (f"task.train_size={ROWS}", "trainer.max_epochs=1", "checkpoint_seconds=1e9", f"runs_dir={folder}")
        one = cell((paper, *words[1:], *more))
        return run(one, options.steps) if side in (OURS, OUR_FULL) else plain(one, side == PEFT, options.steps)


def run(one: Any, steps: int) -> dict[str, Any]:
    """Trains a run of ours, as `python -m repro` does, for some steps."""
    from lightning.pytorch.loops.training_epoch_loop import _TrainingEpochLoop

    from repro.runs import execute, measure

    load, advance = execute.load_network, _TrainingEpochLoop.advance
    seen: dict[str, Any] = {"steps": 0}

    def loaded(*arguments: Any, **named: Any) -> Any:
        seen["before"] = resident()
        return load(*arguments, **named)

    def step(loop: Any, fetcher: Any) -> None:
        if not seen["steps"]:
            seen["loading"] = measure.peak_memory("cpu")
            measure.forget_peak_memory()
        if seen["steps"] == steps:
            trainer = loop.trainer
            seen["end"] = numbers(seen, trainer.lightning_module.network, trainer.optimizers)
            raise Enough
        seen["steps"] += 1
        advance(loop, fetcher)

    execute.load_network, _TrainingEpochLoop.advance = loaded, step
    try:
        execute.execute(one)
    except Enough:
        return seen["end"]
    raise RuntimeError("the run ended before all was measured")


def plain(one: Any, lora: bool, steps: int) -> dict[str, Any]:
    """Trains PEFT's LoRA, or all parameters, in a plain loop, on the batches of our run."""
    import peft_loop
    import torch

    from repro.models.load import load_network
    from repro.runs import measure
    from repro.runs.execute import task_and_paper
    from repro.tasks.batches import training_order

    task, _ = task_and_paper(one.config, {}, Path("."))
    task.setup()
    order = lambda: training_order(peft_loop.lengths_of(task), seed=one.seed, epoch=0, rule=task.rule())  # noqa: E731
    loader = peft_loop.loader(task, order)
    seen: dict[str, Any] = {"before": resident()}
    folder = one.config["network"]["path"]
    torch.manual_seed(one.seed)
    if lora:
        network = peft_loop.peft_network(folder, task.head, one.config["paper"])
    else:
        network = load_network(folder, **task.head).train()
    loop = peft_loop.Loop(network, peft_loop.own_loss, loader, one.config["optim"], steps)
    seen["loading"] = measure.peak_memory("cpu")
    measure.forget_peak_memory()
    loop.train(steps)
    return numbers(seen, network, [loop.optimizer])


def resident() -> int:
    """Returns the resident memory of this process in bytes."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith("VmRSS"))


def numbers(seen: dict[str, Any], network: Any, optimizers: Sequence[Any]) -> dict[str, Any]:
    """Returns the bytes of a side at the end of its steps."""
    from repro.runs import measure

    peak = measure.peak_memory("cpu")
    parameters = list(network.parameters())
    moments = [
        value
        for optimizer in optimizers
        for state in optimizer.state.values()
        for name, value in state.items()
        if name in ("exp_avg", "exp_avg_sq")
    ]
    state = {
        "parameters": _bytes(parameters),
        "gradients": _bytes([one for one in parameters if one.requires_grad]),
        "moments": _bytes(moments),
    }
    return {
        "training": peak - seen["before"],
        "process": max(peak, seen["loading"]),
        "state": state | {"all": sum(state.values())},
        "learning": sum(one.numel() for one in parameters if one.requires_grad),
    }


def _bytes(tensors: Sequence[Any]) -> int:
    return sum(one.numel() * one.element_size() for one in tensors)


def result(found: dict[str, list[dict[str, Any]]], options: argparse.Namespace) -> dict[str, Any]:
    """Returns the bytes of all sides, and their ratios to our LoRA run."""
    medians = {
        side: {what: statistics.median(one[what] for one in runs) for what in ("training", "process")}
        | {"state": runs[0]["state"]["all"]}
        for side, runs in found.items()
    }
    ours = medians[OURS]
    return {
        "what": "bytes of memory while training",
        "network": options.network.name,
        "threads": 1,
        "batch": [BATCH_SIZE, LENGTH],
        "steps": options.steps,
        "quick": options.quick,
        "sides": {
            side: {
                "training_mib": machine.spread([one["training"] / 2**20 for one in runs], 1),
                "process_mib": machine.spread([one["process"] / 2**20 for one in runs], 1),
                "state_bytes": runs[0]["state"],
                "parameters_that_learn": runs[0]["learning"],
            }
            for side, runs in found.items()
        },
        "ratios_to_our_run": {
            side: {what: round(one[what] / ours[what], 3) for what in ours}
            for side, one in medians.items()
            if side != OURS
        },
        "machine": machine.described() | {"peft": machine.importlib.metadata.version("peft")},
    }


if __name__ == "__main__":
    main()
