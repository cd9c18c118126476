"""Order and padding of batches."""

from __future__ import annotations

import numpy as np
import pytest

from repro.tasks import batches
from repro.tasks.batches import EvaluationBatches, Rule, TrainingBatches, evaluation_order, training_order

RULE = Rule(batch_size=16)


@pytest.fixture
def lengths():
    return np.random.default_rng(1).integers(5, 60, size=1003).tolist()


def padded(order, lengths):
    return sum(len(batch) * max(lengths[place] for place in batch) for batch in order) / sum(lengths)


@pytest.mark.parametrize("size", [1, 15, 16, 17, 1003])
def test_training_shows_every_example_once_an_epoch(lengths, size):
    order = training_order(lengths[:size], seed=0, epoch=0, rule=RULE)
    assert sorted(place for batch in order for place in batch) == list(range(size))
    assert sorted(map(len, order)) == sorted([16] * (size // 16) + [size % 16] * bool(size % 16))


def test_the_order_depends_on_seed_and_epoch_and_nothing_else(lengths):
    def order(seed, epoch):
        np.random.seed(seed + 7)  # the global generator must not matter
        return training_order(lengths, seed=seed, epoch=epoch, rule=RULE)

    assert order(3, 2) == order(3, 2)
    different = [order(3, 2), order(3, 3), order(4, 2), training_order(lengths, seed=3, epoch=2, rule=Rule(16, pool=8))]
    assert len({str(one) for one in different}) == 4


def test_the_order_is_the_same_on_every_machine():
    assert training_order([3, 1, 2, 3, 1, 2, 9], seed=0, epoch=1, rule=Rule(2, pool=2)) == [[0, 6], [5], [1, 3], [4, 2]]


def test_training_batches_waste_little_padding_and_are_not_sorted(lengths):
    order = training_order(lengths, seed=0, epoch=0, rule=RULE)
    random = [list(range(start, min(start + 16, 1003))) for start in range(0, 1003, 16)]
    assert padded(order, lengths) < 1.05 < 1.5 < padded(random, lengths)
    longest = [max(lengths[place] for place in batch) for batch in order]
    assert abs(np.corrcoef(longest, range(len(longest)))[0, 1]) < 0.4


def test_another_epoch_puts_other_examples_together(lengths):
    first, second = (training_order(lengths, seed=0, epoch=epoch, rule=RULE) for epoch in (0, 1))
    assert not set(map(frozenset, first)) & set(map(frozenset, second))


def test_evaluation_fills_batches_by_tokens_and_holds_every_example_once(lengths):
    order = evaluation_order(lengths, tokens=512)
    assert sorted(place for batch in order for place in batch) == list(range(1003))
    assert max(len(batch) * max(lengths[place] for place in batch) for batch in order) <= 512
    assert padded(order, lengths) < 1.03


def test_evaluation_takes_an_example_longer_than_the_budget_alone():
    assert evaluation_order([10, 3, 3], tokens=6) == [[1, 2], [0]]


def test_set_epoch_changes_the_order_as_lightning_calls_it(lengths):
    from lightning.fabric.utilities.data import _set_sampler_epoch
    from torch.utils.data import DataLoader

    sampler = TrainingBatches(lengths, seed=1, rule=RULE)
    loader = DataLoader(lengths, batch_sampler=sampler)
    _set_sampler_epoch(loader, 5)
    assert list(sampler) == training_order(lengths, seed=1, epoch=5, rule=RULE)
    assert len(sampler) == len(list(sampler)) == 63


def test_an_epoch_continues_where_it_stood(lengths):
    sampler = TrainingBatches(lengths, seed=1, rule=RULE)
    sampler.set_epoch(3)
    whole = list(sampler)
    sampler = TrainingBatches(lengths, seed=1, rule=RULE)
    sampler.start_at(3, 40)
    assert list(sampler) == whole[40:]
    assert list(sampler) == whole[40:]  # whoever looks first, Lightning looks twice
    sampler.set_epoch(4)
    assert len(list(sampler)) == 63


def test_processes_share_an_epoch(lengths, monkeypatch):
    shares, parts = [], []
    for rank in range(4):
        monkeypatch.setattr(batches, "_processes", lambda rank=rank: (rank, 4))
        sampler = TrainingBatches(lengths, seed=1, rule=RULE)
        shares.append(list(sampler))
        assert len(sampler) == len(shares[-1]) == 16
        parts += list(EvaluationBatches(lengths, tokens=512))
    assert {place for share in shares for batch in share for place in batch} == set(range(1003))
    assert sorted(place for batch in parts for place in batch) == list(range(1003))
