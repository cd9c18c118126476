"""Training sentences a second: a LoRA run of ours against PEFT in a plain torch loop, on real GLUE lengths.

`python benchmarks/peft_speed.py --network FOLDER --data FOLDER` runs each case in a process of its own. In it a run of
ours trains by `execute`, as `python -m repro` does: Lightning's loop with the log, the progress file, the watch over
what is not finite, the count of operations and the checkpoints of any run. Whenever it has made a segment of steps it
waits, and the others make theirs in the same process: PEFT with random batches, PEFT with batches grouped by length
(transformers' LengthGroupedSampler), and our own network in PEFT's plain loop, which tells what Lightning's path costs
from what the low-rank layers cost. Network, start, rows, tokens, batch size, precision (float32), AdamW (fused, the
same settings), schedule and clipping are the same; batches are padded to their longest example on all sides, by the
task's own collation, which takes less time than transformers' DataCollatorWithPadding.

An epoch's batches are cut as each side cuts them; only their order is changed, so that every segment has short and long
ones in the epoch's proportions. Fixed shapes: each example is repeated or cut to one length, and all sides see batches
of that shape; their segments are a fifth as long, and their rounds five times as many.

A ratio is their time over ours for equally many sentences, from totals, with the 95% bootstrap interval over rounds;
above 1 we are faster. The same of CPU time stands beside it, for a machine that others use too. A target is met where
the whole interval is at it or above, missed where all of it is below, and undecided else; "not slower" (a target of 1)
is met too where the interval holds 1 and is narrower than 0.06.

Writes results/benchmarks/peft_speed.json, a case at a time; what is there already is skipped (`--again` measures anew).
`--only WORD` chooses cases by a part of their names, `--rounds`, `--steps`, `--quick` (rough, small), `--out FILE`.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

os.environ |= {"HF_HUB_OFFLINE": "1", "TOKENIZERS_PARALLELISM": "false"}

import machine
import numpy as np

from repro import paths

OURS, RANDOM, GROUPED, EQUAL, PLAIN = (
    "our run",
    "peft, random batches",
    "peft, grouped by length",
    "peft, same batches",
    "our network, plain loop",
)
WARM = 2
"""Rounds that are not counted."""
ROUNDS, STEPS = 12, 20
RESAMPLED = 10_000
NOISE = 0.06
"""The widest interval around 1 that still says "not slower"."""


@dataclass(frozen=True)
class Case:
    """What is compared.

    Attributes:
        task: of GLUE.
        batch_size: sentences (or pairs) in a batch.
        threads: of torch.
        length: tokens of every example; None for their own lengths.
    """

    task: str
    batch_size: int
    threads: int
    length: int | None = None

    @property
    def name(self) -> str:
        """Such as sst2-batch16-threads1, or sst2-fixed32-batch16-threads1."""
        fixed = f"-fixed{self.length}" if self.length else ""
        return f"{self.task}{fixed}-batch{self.batch_size}-threads{self.threads}"

    def targets(self) -> dict[str, float]:
        """Returns the ratios that are wanted."""
        if self.length:
            return {EQUAL: 1.0}
        return {RANDOM: {"sst2": 2.0, "mrpc": 1.25}[self.task], GROUPED: 1.0}


CASES = [
    Case(task, batch_size, threads, length)
    for threads in (1, 2)
    for task, length in (("sst2", None), ("mrpc", None), ("sst2", 32), ("sst2", 128))
    for batch_size in (16, 32)
    if (length, batch_size) != (128, 32)
]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--network", type=Path, required=True, help="a BERT-like network's folder")
    parser.add_argument("--data", type=Path, required=True, help="the folder with glue/SST-2 and glue/MRPC")
    parser.add_argument("--rounds", type=int, default=ROUNDS, help=f"counted ({ROUNDS})")
    parser.add_argument("--steps", type=int, default=STEPS, help=f"in a segment ({STEPS})")
    parser.add_argument("--only", default="", help="cases whose name has this in it")
    parser.add_argument("--again", action="store_true", help="measures what is there already")
    parser.add_argument("--quick", action="store_true", help="4 rounds of 10 steps, on fewer rows")
    parser.add_argument("--out", type=Path, help="the file (results/benchmarks/peft_speed.json)")
    parser.add_argument("--case", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.quick:
        options.rounds, options.steps = 4, 10
    if options.case:
        print(json.dumps(measured(next(one for one in CASES if one.name == options.case), options)))
        return
    file = options.out or paths.FACTS / "benchmarks" / "peft_speed.json"
    found = json.loads(file.read_text(encoding="utf-8"))["cases"] if file.is_file() else {}
    for case in CASES:
        key = f"{options.network.name}/{case.name}"
        done = key in found and found[key]["quick"] == options.quick and not options.again
        if done or options.only not in case.name:
            continue
        found[key] = in_own_process(case)
        machine.write("peft_speed", {"what": __doc__.partition("\n")[0], "cases": found}, options.out)
        print(f"{key}: {told(found[key])}", flush=True)


def in_own_process(case: Case) -> dict[str, Any]:
    """Returns what a case came to, measured by a fresh process with its number of threads."""
    threads = {name: str(case.threads) for name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS")}
    words = [sys.executable, __file__, *sys.argv[1:], "--case", case.name]
    done = subprocess.run(words, env=os.environ | threads, stdout=subprocess.PIPE, text=True, check=True)
    return json.loads(done.stdout.splitlines()[-1])


def told(result: dict[str, Any]) -> str:
    """Returns the ratios of a case in a line."""
    parts = []
    for name, ratio in result["ratios"].items():
        low, high = ratio["interval"]
        target = f", target {ratio['target']} {ratio['verdict']}" if "target" in ratio else ""
        cpu = ratio["of_cpu_time"]["median_of_rounds"]
        parts.append(f"{name} {ratio['ratio']:.3f} ({low:.3f} to {high:.3f}, CPU time {cpu:.3f}{target})")
    return "; ".join(parts)


class Enough(Exception):
    """All rounds are done."""


class Race:
    """Lets our run and the others train in turns, a segment each.

    Args:
        others: what makes a number of steps, by name.
        rounds: that are counted.
        steps: in a segment.
    """

    def __init__(self, others: dict[str, Callable[[int], None]], rounds: int, steps: int) -> None:
        self.others, self.rounds, self.steps = others, rounds, steps
        self.made = 0
        self.began: tuple[float, float] | None = None
        self.seconds: dict[str, list[float]] = {name: [] for name in (OURS, *others)}
        self.cpu: dict[str, list[float]] = {name: [] for name in (OURS, *others)}

    def timed(self, advance: Callable) -> Callable:
        """Wraps a step of Lightning's loop: a segment of ours lasts until its next one begins."""

        def step(loop: Any, fetcher: Any) -> None:
            if self.made % self.steps == 0:
                if self.began:
                    self._note(OURS, self.began)
                    self._turn()
                self.began = (time.perf_counter(), time.process_time())
            self.made += 1
            advance(loop, fetcher)

        return step

    def _turn(self) -> None:
        done = len(self.seconds[OURS])
        order = list(self.others)
        for name in order if done % 2 else order[::-1]:
            began = (time.perf_counter(), time.process_time())
            self.others[name](self.steps)
            self._note(name, began)
        if done == WARM + self.rounds:
            raise Enough

    def _note(self, name: str, began: tuple[float, float]) -> None:
        self.seconds[name].append(time.perf_counter() - began[0])
        self.cpu[name].append(time.process_time() - began[1])


def measured(case: Case, options: argparse.Namespace) -> dict[str, Any]:
    """Runs a case in this process, and returns what it came to."""
    import peft_loop
    import torch

    from repro.runs.compose import cell
    from repro.tasks.glue import GLUE

    torch.set_num_threads(case.threads)
    if case.length:
        GLUE.encode = of_one_length(GLUE.encode, case.length)
        options.rounds, options.steps = 5 * options.rounds, max(1, options.steps // 5)
    words = peft_loop.run_words(
        case.task, options.network.resolve(), options.data.resolve(), case.batch_size, case.threads
    )
    more = [f"task.train_size={2000 if options.quick else 'null'}", "trainer.max_epochs=1000"]
    with tempfile.TemporaryDirectory(prefix="repro-peft-") as folder:
        one = cell((*words, *more, "+trainer.check_val_every_n_epoch=1000", f"runs_dir={folder}"))
        others, padded = sides(case, one, options.steps, Path(folder))
        race = Race(others, options.rounds, options.steps)
        trained_in_turns(one, race)
    return result(case, race, padded) | {
        "command": f"python -m repro {' '.join(words)}".replace(
            str(options.network.resolve()), options.network.name
        ).replace(str(options.data.resolve()), "DATA"),
        "quick": options.quick,
        "machine": machine.described() | {"peft": machine.importlib.metadata.version("peft")},
    }


def of_one_length(encode: Callable, length: int) -> Callable:
    """Wraps a task's encoding: every example is repeated, or cut, to one length."""

    def encoded(task: Any, rows: Sequence[Any]) -> dict[str, list]:
        columns = encode(task, rows)
        return {name: [(ids * length)[:length] for ids in column] for name, column in columns.items()}

    return encoded


def sides(case: Case, one: Any, steps: int, folder: Path) -> tuple[dict[str, Callable[[int], None]], dict[str, float]]:
    """Builds the others from the configuration of our run; returns them, and the padded tokens of an epoch."""
    import peft_loop

    from repro.runs.execute import task_and_paper
    from repro.tasks.batches import training_order

    task, paper = task_and_paper(one.config, {}, folder)
    paper.configure_model()
    lengths = peft_loop.lengths_of(task)
    epoch = iter(range(10**6))

    def as_ours() -> list[list[int]]:
        return training_order(lengths, seed=one.seed, epoch=next(epoch), rule=task.rule())

    cuts = {
        RANDOM: peft_loop.epochs(peft_loop.random_batches, lengths, case.batch_size, 1),
        GROUPED: peft_loop.epochs(peft_loop.grouped_batches, lengths, case.batch_size, 2),
        EQUAL: as_ours,
    }
    padded = {name: padded_tokens(cut(), lengths) for name, cut in cuts.items()}
    total = 1000 * (len(lengths) // case.batch_size)

    def plain(network: Any, loss: Callable, cut: Callable[[], list[list[int]]]) -> Callable[[int], None]:
        ordered = lambda: mixed(cut(), lengths, case.batch_size, steps)  # noqa: E731
        return peft_loop.Loop(network, loss, peft_loop.loader(task, ordered), one.config["optim"], total).train

    folder_of = one.config["network"]["path"]
    found = {
        name: plain(peft_loop.peft_network(folder_of, task.head, one.config["paper"]), peft_loop.own_loss, cuts[name])
        for name in case.targets()
    }
    found[PLAIN] = plain(paper.network, task.loss, as_ours)
    _equally_many(found)
    return found, {"our batches": padded[EQUAL], RANDOM: padded[RANDOM], GROUPED: padded[GROUPED], "none": sum(lengths)}


def _equally_many(found: dict[str, Any]) -> None:
    """Checks that as many parameters learn on all sides."""
    counts = {name: sum(one.numel() for one in train.__self__.learning) for name, train in found.items()}
    if len(set(counts.values())) > 1:
        raise RuntimeError(f"not the same learns: {counts}")


def padded_tokens(batches: Sequence[Sequence[int]], lengths: Sequence[int]) -> int:
    """Returns the tokens of an epoch, padding counted."""
    return sum(len(batch) * max(lengths[place] for place in batch) for batch in batches)


def mixed(batches: list[list[int]], lengths: Sequence[int], batch_size: int, steps: int) -> list[list[int]]:
    """Orders whole batches so that every segment has short and long ones in the epoch's proportions.

    Args:
        batches: of an epoch, in random order or not.
        lengths: tokens of each example.
        batch_size: others (the last one of an epoch) are left out.
        steps: in a segment.

    Returns:
        as many as fill whole segments.
    """
    chance = random.Random(len(batches))
    whole = [batch for batch in batches if len(batch) == batch_size]
    segments = len(whole) // steps
    kept = chance.sample(whole, segments * steps)
    kept.sort(key=lambda batch: max(lengths[place] for place in batch))
    strata = [kept[first : first + segments] for first in range(0, len(kept), segments)]
    for stratum in strata:
        chance.shuffle(stratum)
    ordered = []
    for segment in zip(*strata, strict=True):
        ordered += chance.sample(segment, steps)
    return ordered


def trained_in_turns(one: Any, race: Race) -> None:
    """Trains our run as `python -m repro` would, until all rounds are done."""
    from lightning.pytorch.loops.training_epoch_loop import _TrainingEpochLoop

    from repro.runs.execute import execute
    from repro.tasks.batches import TrainingBatches

    order = TrainingBatches.__iter__

    def in_turns(batches: TrainingBatches) -> Iterator[list[int]]:
        return iter(mixed(list(order(batches)), batches.lengths, batches.rule.batch_size, race.steps))

    TrainingBatches.__iter__ = in_turns
    TrainingBatches.__len__ = lambda batches: len(batches.lengths) // batches.rule.batch_size // race.steps * race.steps
    _TrainingEpochLoop.advance = race.timed(_TrainingEpochLoop.advance)
    try:
        execute(one)
    except Enough:
        return
    raise RuntimeError("the run ended before all was measured")


def result(case: Case, race: Race, padded: dict[str, float]) -> dict[str, Any]:
    """Returns sentences a second of each side, and the ratios."""
    sentences = race.steps * case.batch_size
    counted = {name: np.array(seconds[WARM:]) for name, seconds in race.seconds.items()}
    cpu = {name: np.array(seconds[WARM:]) for name, seconds in race.cpu.items()}
    ratios = {}
    for name in race.others:
        ratios[name] = ratio(counted[name], counted[OURS])
        ratios[name]["of_cpu_time"] = {key: one for key, one in ratio(cpu[name], cpu[OURS]).items() if key != "rounds"}
        if name in case.targets():
            wanted = case.targets()[name]
            ratios[name] |= {"target": wanted, "verdict": verdict(ratios[name]["interval"], wanted)}
    return {
        "threads": case.threads,
        "batch_size": case.batch_size,
        "steps_in_a_segment": race.steps,
        "ratios": ratios,
        "sentences_a_second": {name: round(sentences / float(np.median(one)), 1) for name, one in counted.items()},
        "step_ms": {
            name: machine.spread([1000 * second / race.steps for second in one]) for name, one in counted.items()
        },
        "padded_tokens_of_an_epoch": padded,
    }


def verdict(interval: Sequence[float], target: float) -> str:
    """Returns whether a target is met, missed or undecided."""
    low, high = interval
    if low >= target or (target == 1.0 and high >= 1.0 and high - low <= NOISE):
        return "met"
    return "missed" if high < target else "undecided"


def ratio(theirs: np.ndarray, ours: np.ndarray) -> dict[str, Any]:
    """Returns their time over ours: of the totals, with a bootstrap interval over rounds, and by round."""
    rounds = theirs / ours
    places = np.random.default_rng(0).integers(len(ours), size=(RESAMPLED, len(ours)))
    resampled = theirs[places].sum(axis=1) / ours[places].sum(axis=1)
    lower, middle, upper = np.percentile(rounds, [25, 50, 75]).tolist()
    return {
        "ratio": round(float(theirs.sum() / ours.sum()), 3),
        "interval": [round(one, 3) for one in np.percentile(resampled, [2.5, 97.5]).tolist()],
        "median_of_rounds": round(middle, 3),
        "quartiles_of_rounds": [round(lower, 3), round(upper, 3)],
        "rounds": [round(one, 3) for one in rounds.tolist()],
    }


if __name__ == "__main__":
    main()
