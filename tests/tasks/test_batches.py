"""Order and padding of batches."""

from __future__ import annotations

from itertools import chain

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


@pytest.fixture
def as_one_of(monkeypatch):
    """Makes this process one of several."""

    def be(rank: int, processes: int) -> None:
        monkeypatch.setattr(batches, "_processes", lambda: (rank, processes))

    return be


def test_each_process_has_its_part_of_every_batch(lengths, as_one_of):
    lengths, shares = lengths[:994], []  # the last batch of an epoch has two examples
    for rank in range(4):
        as_one_of(rank, 4)
        sampler = TrainingBatches(lengths, seed=1, rule=RULE)
        sampler.start_at(0, 10)
        shares.append(list(sampler))
        assert len(sampler) == 63
    whole = training_order(lengths, seed=1, epoch=0, rule=RULE)[10:]
    assert [sorted(chain(*parts)) for parts in zip(*shares, strict=True)] == list(map(sorted, whole))
    for batch, *parts in zip(whole, *shares, strict=True):
        assert [len(part) for part in parts] == ([4, 4, 4, 4] if len(batch) == 16 else [1, 1, 0, 0])
    sums = [sum(max(lengths[place] for place in batch) for batch in share if batch) for share in shares]
    assert max(sums) < 1.05 * min(sums)  # they wait for one another


def shared(lengths, as_one_of, processes, done=()):
    shares = []
    for rank in range(processes):
        as_one_of(rank, processes)
        sampler = EvaluationBatches(lengths, tokens=512)
        sampler.leave_out(done)
        shares.append(list(sampler))
        assert len(sampler) == len(shares[-1]) == len(shares[0])
    return shares


@pytest.mark.parametrize("processes", [2, 3, 4, 7])
def test_processes_evaluate_every_example_once_in_equally_many_batches(lengths, as_one_of, processes):
    shares = shared(lengths, as_one_of, processes)
    assert sorted(place for share in shares for batch in share for place in batch) == list(range(1003))
    order = evaluation_order(lengths, tokens=512)
    assert sum(batch not in order for share in shares for batch in share) <= 2 * (processes - 1)


def test_more_processes_than_examples_repeat_some(as_one_of):
    assert shared([5, 6], as_one_of, 3) == [[[0]], [[1]], [[0]]]


def test_what_was_evaluated_is_left_out_and_the_other_batches_stay_as_they_were(lengths, as_one_of):
    before = [batch for share in shared(lengths, as_one_of, 2) for batch in share]
    done = {place for batch in before[:9] for place in batch}
    after = [batch for share in shared(lengths, as_one_of, 2, done) for batch in share]
    assert set(map(tuple, after)) == set(map(tuple, before[9:]))
    assert shared(lengths, as_one_of, 2, range(1003)) == [[], []]
    assert {place for share in shared(lengths, as_one_of, 3, done) for batch in share for place in batch} == (
        set(range(1003)) - done
    )
