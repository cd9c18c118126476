"""Batches cut by length: which examples stand together, and in which order.

The order in training is a function of (seed, epoch, lengths, rule) alone, so that a run can be continued in the middle
of an epoch, on any machine.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch.distributed
from torch.utils.data import Sampler

version = 1


@dataclass(frozen=True)
class Rule:
    """How training batches are cut.

    Attributes:
        batch_size: examples in a batch, of all processes together; the last of an epoch may have fewer.
        pool: batches whose examples are sorted together; 1 leaves the order random and the padding what it is.
        in_order: whether the examples' own order is kept but for that within a pool: for a curriculum.
    """

    batch_size: int
    pool: int = 32
    in_order: bool = False


def training_order(lengths: Sequence[int], *, seed: int, epoch: int, rule: Rule) -> list[list[int]]:
    """Shuffles, cuts into pools, sorts each pool by length, cuts it into batches, and shuffles the batches.

    With `rule.in_order` only the batches of a pool are shuffled.

    Args:
        lengths: tokens of each example.
        seed: of the run.
        epoch: from 0.
        rule: sizes of batch and pool.

    Returns:
        positions of examples by batch; every position exactly once.
    """
    chance = np.random.Generator(np.random.PCG64([seed, epoch]))
    measured = np.asarray(lengths)
    order = np.arange(len(measured)) if rule.in_order else chance.permutation(len(measured))
    pools = []
    for start in range(0, len(order), rule.batch_size * rule.pool):
        pool = order[start : start + rule.batch_size * rule.pool]
        pool = pool[np.argsort(measured[pool], kind="stable")]
        pools.append([pool[first : first + rule.batch_size].tolist() for first in range(0, len(pool), rule.batch_size)])
    if rule.in_order:
        return [pool[place] for pool in pools for place in chance.permutation(len(pool))]
    batches = [batch for pool in pools for batch in pool]
    return [batches[place] for place in chance.permutation(len(batches))]


def evaluation_order(lengths: Sequence[int], *, tokens: int) -> list[list[int]]:
    """Sorts by length and fills batches up to a number of tokens, padding counted; each holds one example at least.

    Args:
        lengths: tokens of each example.
        tokens: that a batch may hold.

    Returns:
        positions of examples by batch; every position exactly once.
    """
    batches: list[list[int]] = []
    for place in np.argsort(np.asarray(lengths), kind="stable").tolist():
        if batches and (len(batches[-1]) + 1) * lengths[place] <= tokens:
            batches[-1].append(place)
        else:
            batches.append([place])
    return batches


class TrainingBatches(Sampler[list[int]]):
    """Batches of one epoch after the other. Of several processes each gets its part of every batch.

    The parts of a batch are cut across its lengths, so that they take equally long. Where a batch has fewer examples
    than there are processes some parts are empty.

    Lightning calls `set_epoch` on the `sampler` of a batch sampler: that is this object itself. The trainer's own
    distributed sampler is to be off (use_distributed_sampler=False).

    Args:
        lengths: tokens of each example.
        seed: of the run.
        rule: sizes of batch and pool.
    """

    def __init__(self, lengths: Sequence[int], *, seed: int, rule: Rule) -> None:
        self.lengths, self.seed, self.rule = lengths, seed, rule
        self.epoch, self.start = 0, (0, 0)

    @property
    def sampler(self) -> TrainingBatches:
        return self

    def set_epoch(self, epoch: int) -> None:
        """Chooses the epoch whose order the next iteration gives."""
        self.epoch = epoch

    def start_at(self, epoch: int, batch: int) -> None:
        """Chooses an epoch, and lets its order begin at a batch: to continue a run, on as many processes as may be."""
        self.epoch, self.start = epoch, (epoch, batch)

    def __len__(self) -> int:
        return math.ceil(len(self.lengths) / self.rule.batch_size)

    def __iter__(self) -> Iterator[list[int]]:
        rank, processes = _processes()
        batches = training_order(self.lengths, seed=self.seed, epoch=self.epoch, rule=self.rule)
        first = self.start[1] if self.epoch == self.start[0] else 0
        return (batch[rank::processes] for batch in batches[first:])


class EvaluationBatches(Sampler[list[int]]):
    """Batches that hold every example once. Of several processes each gets its share, all equally many.

    Args:
        lengths: tokens of each example.
        tokens: that a batch may hold.
    """

    def __init__(self, lengths: Sequence[int], *, tokens: int) -> None:
        self.batches = evaluation_order(lengths, tokens=tokens)
        self.done: frozenset[int] = frozenset()

    def leave_out(self, places: Iterable[int]) -> None:
        """Leaves out examples that were predicted before: to continue."""
        self.done = frozenset(places)

    def __len__(self) -> int:
        return len(self._share())

    def __iter__(self) -> Iterator[list[int]]:
        return iter(self._share())

    def _share(self) -> list[list[int]]:
        rank, processes = _processes()
        left = [[place for place in batch if place not in self.done] for batch in evened(self.batches, processes)]
        left = [batch for batch in left if batch]
        rounds = math.ceil(len(left) / processes)
        # The processes go in step: one that lacks a batch takes the first ones again, whose rows are dropped.
        return [left[place % len(left)] for place in range(rank, rounds * processes, processes)]


def evened(batches: Sequence[list[int]], processes: int) -> list[list[int]]:
    """Cuts the largest batches in two until each process has equally many, as far as there are examples."""
    batches = list(batches)
    while len(batches) % processes:
        place = max(range(len(batches)), key=lambda place: len(batches[place]))
        middle = len(batches[place]) // 2
        if not middle:
            break
        batches[place : place + 1] = [batches[place][:middle], batches[place][middle:]]
    return batches


def _processes() -> tuple[int, int]:
    """Returns this process's rank and how many there are."""
    if torch.distributed.is_available() and torch.distributed.is_initialized():
        return torch.distributed.get_rank(), torch.distributed.get_world_size()
    return 0, 1
