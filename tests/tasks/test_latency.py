from __future__ import annotations

import re
import time
from itertools import pairwise
from types import SimpleNamespace

import pytest
import torch
from torch import nn
from transformers import GPT2Config, GPT2LMHeadModel

from repro.errors import UserError
from repro.tasks.latency import Latency, order, slowdowns, weight_difference

torch.set_num_threads(1)


def make_network(seed=0, **settings):
    torch.manual_seed(seed)
    sizes = {"vocab_size": 50, "n_embd": 16, "n_layer": 2, "n_head": 2, "n_positions": 32}
    return GPT2LMHeadModel(GPT2Config(**sizes, **settings)).eval()


class Slow(nn.Module):
    """A network that takes some milliseconds more."""

    def __init__(self, network, milliseconds):
        super().__init__()
        self.network, self.config, self.milliseconds = network, network.config, milliseconds

    def forward(self, **batch):
        time.sleep(self.milliseconds / 1000)
        return self.network(**batch)


def task(**changed):
    settings = {"batch_size": 2, "length": 8, "trials": 8, "warmup": 2}
    return Latency(name="online", suite="latency", **(settings | changed))


def forms(**networks):
    return {name: lambda network=network: network for name, network in networks.items()}


def test_what_a_network_takes_longer_is_its_slow_down():
    network = make_network()
    found = task().measured(forms(bare=Slow(network, 40), deployed=Slow(network, 80))).numbers
    assert 20 < found["slowdown_percent"] < 110  # (80 + t) / (40 + t), t a few milliseconds on an idle machine
    assert found["milliseconds"] > 80
    assert found["bare_milliseconds"] > 40
    assert found["latency_ratio"] == pytest.approx(1 + found["slowdown_percent"] / 100)
    assert found["slowdown_low"] <= found["slowdown_percent"] <= found["slowdown_high"]


def test_whatever_drifts_meets_all_forms_alike(monkeypatch):
    """By a clock on which every pass takes 1% more than the one before it, and the deployed form 20% more."""
    network, clock = make_network(), SimpleNamespace(now=0.0, passes=0)

    class Clocked(Slow):
        def forward(self, **batch):
            clock.passes += 1
            clock.now += self.milliseconds * 1.01**clock.passes / 1000

    monkeypatch.setattr("repro.tasks.latency.time", SimpleNamespace(perf_counter=lambda: clock.now))
    found = task(warmup=0).measured(forms(bare=Clocked(network, 10), deployed=Clocked(network, 12))).numbers
    assert found["slowdown_percent"] == pytest.approx(20, abs=0.02)  # half of the ratios 1.2 * 1.01, half 1.2 / 1.01
    assert found["slowdown_high"] == pytest.approx(100 * (1.2 * 1.01 - 1))
    again = task(warmup=0).measured(forms(bare=Clocked(network, 10), deployed=Clocked(network, 10))).numbers
    assert again["slowdown_percent"] == pytest.approx(0, abs=0.02)
    assert "unmerged_milliseconds" not in again
    assert "merged_output_difference" not in again


def test_numbers_of_times_worked_by_hand():
    times = {
        "bare": [10.0, 10.0, 20.0, 10.0],
        "deployed": [11.0, 12.0, 30.0, 13.0],
        "unmerged": [20.0, 20.0, 40.0, 10.0],
    }
    found = slowdowns(times)  # ratios 1.1, 1.2, 1.5, 1.3
    assert found["slowdown_percent"] == pytest.approx(25)
    assert (found["slowdown_low"], found["slowdown_high"]) == (pytest.approx(17.5), pytest.approx(35))
    assert (found["milliseconds"], found["milliseconds_mean"]) == (12.5, 16.5)
    assert found["milliseconds_deviation"] == pytest.approx((245 / 3) ** 0.5)  # 5.5, 4.5, 13.5, 3.5 away from 16.5
    assert (found["bare_milliseconds"], found["unmerged_milliseconds"]) == (10.0, 20.0)
    assert found["unmerged_slowdown_percent"] == pytest.approx(100)


def test_every_form_comes_at_every_place_and_behind_each_other_equally_often():
    for names in (["a", "b"], ["a", "b", "c"]):
        orders = [tuple(order(names, trial)) for trial in range(2 * len(names))]
        places = {(name, one.index(name)) for one in orders for name in names}
        assert len(places) == len(names) ** 2
        followed = [pair for one in orders for pair in pairwise(one)]
        assert {followed.count(pair) for pair in followed} == {len(followed) // len(set(followed))}
        assert len(set(followed)) == len(names) * (len(names) - 1)


def test_all_forms_see_the_same_tokens_and_the_seed_draws_them():
    class Seen(nn.Module):
        def __init__(self):
            super().__init__()
            self.config, self.weight, self.seen = GPT2Config(vocab_size=50), nn.Parameter(torch.zeros(1)), []

        def forward(self, *, input_ids, use_cache):
            assert torch.is_inference_mode_enabled()
            assert not use_cache
            self.seen.append(input_ids)

    def seen(seed):
        bare, deployed = Seen(), Seen()
        times = task(seed=seed).times({"bare": bare, "deployed": deployed})
        assert {len(one) for one in times.values()} == {8}
        return [torch.stack(network.seen) for network in (bare, deployed)]

    first, again, other = seen(3), seen(3), seen(4)
    assert first[0].shape == (8 + 2, 2, 8)
    assert torch.equal(first[0], first[1])
    assert torch.equal(first[0], again[0])
    assert not torch.equal(first[0], other[0])
    assert first[0].unique().numel() > 30


def test_differences_of_outputs_and_of_weights_are_those_that_were_made():
    network, other, restored = make_network(), make_network(), make_network()
    with torch.no_grad():
        restored.transformer.h[1].mlp.c_fc.weight[0, 0] += 0.5
    largest = max(float(one.detach().abs().max()) for one in network.parameters())  # 1, of a LayerNorm
    assert weight_difference(restored, network) == pytest.approx(0.5 / largest)
    assert weight_difference(other, network) == 0

    tokens = torch.randint(50, (2, 8), generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        wanted = network(input_ids=tokens).logits
        other.transformer.wte.weight *= 1.01
        expected = (other(input_ids=tokens).logits - wanted).abs().max() / wanted.abs().max()
    found = task().measured(forms(bare=network, deployed=other, unmerged=network, restored=restored)).numbers
    assert found["merged_output_difference"] == pytest.approx(float(expected), rel=1e-4)
    assert found["merged_output_difference"] > 1e-3
    assert found["unmerged_weight_difference"] == pytest.approx(0.5 / largest)
    assert found["unmerged_milliseconds"] > 0


def test_networks_of_other_parameters_are_not_compared():
    with pytest.raises(ValueError, match="only one of the two networks has"):
        weight_difference(make_network(), Slow(make_network(), 0))


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"trials": 0}, "task.trials=0 is no whole number from 1 up"),
        ({"length": 2.5}, "task.length=2.5 is no whole number from 1 up"),
        ({"warmup": -1}, "task.warmup=-1 is no whole number from 0 up"),
        ({"batch_size": None}, "task.batch_size of latency/online has no value"),
        ({"batch_size": 0}, "task.batch_size=0 is no positive whole number"),
    ],
)
def test_wrong_settings_say_so(changed, said):
    with pytest.raises(UserError, match=re.escape(said)):
        task(**changed)


def test_more_tokens_than_places_say_so():
    network = make_network()
    with pytest.raises(UserError, match=re.escape("task.length=33, but the network has 32 places")):
        task(length=33).measured(forms(bare=network, deployed=network))
