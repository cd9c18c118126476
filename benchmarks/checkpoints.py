"""What checkpoints, digests and logging add to a training step, and what one checkpoint costs.

`python benchmarks/checkpoints.py` trains the tiny LoRA run (MRPC, the real tiny encoder) in one process, on one thread.
Segments of ten steps alternate (with and without, without and with, ...), a pair of them on the same ten batches: with
all that a run has (log, progress file, learning rate, the look at the clock before each batch), and with none of it.
Then checkpoints are taken at steps of the same run and timed: their share is one in checkpoint_seconds at its default.
Counting operations is part of both kinds. Writes results/benchmarks/checkpoints.json;
`--segments N`, `--out FILE`. Target: less than 3% of the step.
"""

from __future__ import annotations

import argparse
import os
import statistics
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

os.environ |= {"OMP_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1", "TOKENIZERS_PARALLELISM": "false"}

import machine

TARGET = 0.03
STEPS = 10
"""In a segment: as many as there are between two lines of the log."""
CHECKPOINTS = 15
RUN = ("paper=lora", "task=glue/mrpc", "inputs.start=null", "logger=none", "threads=1")


WARM = 20
"""Steps that are not counted: a pair of segments."""


class Enough(Exception):
    """All that was to be measured has been."""


class Clock:
    """Times each step of training, and says which of them go without.

    Args:
        segments: of each kind.
    """

    def __init__(self, segments: int) -> None:
        self.segments = segments
        self.step = -WARM
        self.seconds: dict[int, list[float]] = {}
        self.cpu: dict[int, list[float]] = {}
        self.checkpoints: list[float] = []

    @property
    def segment(self) -> int:
        """The number of the segment; -1 before the first, and beyond the last one when checkpoints are timed."""
        return self.step // STEPS if self.step >= 0 else -1

    @property
    def without(self) -> bool:
        """Whether this step goes without; the order in a pair of segments changes from pair to pair."""
        return 0 <= self.segment < 2 * self.segments and (self.segment + self.segment // 2) % 2 == 1

    def timed(self, advance: Any) -> Any:
        """Wraps the loop's step."""

        def step(loop: Any, fetcher: Any) -> None:
            began, cpu = time.perf_counter(), time.process_time()
            advance(loop, fetcher)
            self.seconds.setdefault(self.segment, []).append(time.perf_counter() - began)
            self.cpu.setdefault(self.segment, []).append(time.process_time() - cpu)
            self.step += 1
            if len(self.checkpoints) == CHECKPOINTS:
                raise Enough

        return step

    def silenced(self, holder: Any, name: str) -> None:
        """Lets a method do nothing in steps that go without."""
        old = getattr(holder, name)

        def method(*arguments: Any, **named: Any) -> Any:
            return None if self.without else old(*arguments, **named)

        setattr(holder, name, method)

    def with_checkpoints(self, keep: Any) -> None:
        """Takes and times a checkpoint at every second step when the segments are over."""
        old = keep.on_train_batch_start

        def begin(callback: Any, trainer: Any, module: Any, batch: Any, number: int) -> None:
            if number and self.segment >= 2 * self.segments and self.step % 2:
                began = time.perf_counter()
                callback.take(trainer, module)
                self.checkpoints.append(time.perf_counter() - began)
            old(callback, trainer, module, batch, number)

        keep.on_train_batch_start = begin


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--segments", type=int, default=120, help="of each kind (120)")
    parser.add_argument("--out", type=Path, help="the file (results/benchmarks/checkpoints.json)")
    options = parser.parse_args()
    clock = Clock(options.segments)
    with tempfile.TemporaryDirectory(prefix="repro-checkpoints-") as folder:
        interval = train(clock, Path(folder))
    file = machine.write("checkpoints", result(clock, interval), options.out)
    print(f"{file}: {100 * result(clock, interval)['share']:.2f}% of a step")


def train(clock: Clock, folder: Path) -> float:
    """Trains until the clock has seen enough; returns the seconds between two checkpoints at their default."""
    from lightning.pytorch.callbacks import LearningRateMonitor
    from lightning.pytorch.loops.training_epoch_loop import _TrainingEpochLoop

    from repro.papers.base import Paper
    from repro.runs.beat import Beat
    from repro.runs.checkpoint import Keep
    from repro.runs.compose import cell
    from repro.runs.execute import execute
    from repro.runs.loggers import JsonLines
    from repro.tasks.batches import TrainingBatches

    order, whole = TrainingBatches.__iter__, TrainingBatches.__len__

    def twice(batches: Any) -> Iterator[list[int]]:
        found = list(order(batches))
        for start in range(0, len(found) - STEPS + 1, STEPS):
            yield from found[start : start + STEPS] * 2

    silent = (
        (Keep, "on_train_batch_start"),
        (Beat, "on_train_batch_end"),
        (LearningRateMonitor, "on_train_batch_start"),
    )
    for holder, name in (*silent, (JsonLines, "log_metrics"), (JsonLines, "save"), (Paper, "log")):
        clock.silenced(holder, name)
    clock.with_checkpoints(Keep)
    TrainingBatches.__iter__, TrainingBatches.__len__ = twice, lambda batches: 2 * STEPS * (whole(batches) // STEPS)
    _TrainingEpochLoop.advance = clock.timed(_TrainingEpochLoop.advance)
    interval = cell(RUN).config["checkpoint_seconds"]
    more = ("trainer.max_epochs=1000", "+trainer.check_val_every_n_epoch=1000", "checkpoint_seconds=1000000000")
    one = cell((*RUN, f"runs_dir={folder}", *more))
    try:
        execute(one)
    except Enough:
        return interval
    raise RuntimeError("the run ended before all was measured")


def result(clock: Clock, interval: float) -> dict[str, Any]:
    """Returns what the clock has seen: the share of a step, and one checkpoint."""
    pairs, cpu = _pairs(clock.seconds, clock.segments), _pairs(clock.cpu, clock.segments)
    checkpoint = statistics.median(clock.checkpoints)
    step = statistics.median(having for having, _ in pairs)
    ratios = [having / without - 1 for having, without in pairs]
    return {
        "what": "share of a training step that logging and watching take, and checkpoints at their default interval",
        "command": f"python -m repro {' '.join(RUN)}",
        "threads": 1,
        "steps_in_a_segment": STEPS,
        "step_ms_with": machine.spread([1000 * having for having, _ in pairs]),
        "step_ms_without": machine.spread([1000 * without for _, without in pairs]),
        "share_of_logging": machine.spread(ratios, 4),
        "share_of_logging_in_cpu_time": machine.spread([having / without - 1 for having, without in cpu], 4),
        "checkpoint_ms": machine.spread([1000 * one for one in clock.checkpoints]),
        "checkpoint_seconds": interval,
        "steps_a_checkpoint": round(interval / step),
        "share_of_checkpoints": round(checkpoint / interval, 5),
        "share": round(statistics.median(ratios) + checkpoint / interval, 4),
        "target": TARGET,
        "machine": machine.described(),
    }


def _pairs(seconds: dict[int, list[float]], segments: int) -> list[tuple[float, float]]:
    """Returns the mean step with and without, by pair of segments."""
    means = [statistics.fmean(seconds[segment]) for segment in range(2 * segments)]
    both = [(means[2 * pair], means[2 * pair + 1]) for pair in range(segments)]
    return [pair if number % 2 == 0 else pair[::-1] for number, pair in enumerate(both)]


if __name__ == "__main__":
    main()
