"""How long one forward pass takes: a method as it is served against the same network without it.

Every trial draws a batch of random tokens and lets each form of the network answer it once, in the same process; the
order changes from trial to trial, so that each comes first, last and behind each other equally often, and whatever
drifts (clock rates, other work on the machine) meets all alike. A slow-down is the median over trials of the ratio of
two times of one trial. Nothing is kept for a next token, and the output layer answers at every place.

Source: LoRA (Hu et al. 2022), Table 1 and appendix B.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from repro.errors import UserError
from repro.tasks.base import Measured, Task

BARE, DEPLOYED, UNMERGED, RESTORED = "bare", "deployed", "unmerged", "restored"
TIMED = (BARE, DEPLOYED, UNMERGED)


class Latency(Task):
    """Forward passes over random tokens.

    Args:
        length: tokens of each of the batch_size sequences.
        trials: passes of each form that count.
        warmup: passes of each form before those.
        measures_hardware: that the numbers belong to a device and its threads: part of what names a run.
        base: what every task takes.

    Raises:
        UserError: a number is out of range.
    """

    version = 1
    trains = False

    def __init__(self, *, length: int, trials: int, warmup: int, measures_hardware: bool = True, **base: Any) -> None:
        super().__init__(**base)
        for key, number, least in (("length", length, 1), ("trials", trials, 1), ("warmup", warmup, 0)):
            if not isinstance(number, int) or isinstance(number, bool) or number < least:
                raise UserError(f"task.{key}={number} is no whole number from {least} up", f"give one: task.{key}=10")
        if self.batch_size is None:
            raise UserError(f"task.batch_size of {self.title} has no value", "give one, such as task.batch_size=1")
        self.length, self.trials, self.warmup, self.measures_hardware = length, trials, warmup, measures_hardware

    @property
    def head(self) -> dict[str, Any]:
        return {"architecture": "causal-lm"}

    def scored_splits(self) -> list[str]:
        return []

    def measured(self, forms: Mapping[str, Callable[[], nn.Module]]) -> Measured:
        """Times a network, and looks whether its forms agree.

        Args:
            forms: "bare" and "deployed"; "unmerged", as it learnt, where the deployed one is merged; "restored", merged
                and unmerged again, in the bare one's own layers.

        Returns:
            milliseconds (median), milliseconds_mean and milliseconds_deviation of the deployed form; bare_milliseconds;
            latency_ratio (deployed by bare), slowdown_percent and its quartiles slowdown_low and slowdown_high;
            for a form that is not merged unmerged_milliseconds, unmerged_slowdown_percent and merged_output_difference;
            for a restored one unmerged_weight_difference. Differences are the largest of all, by the largest value.

        Raises:
            UserError: the network has fewer places than the sequences have tokens.
        """
        with torch.inference_mode(False):  # all of ordinary tensors, so that none is quicker by its kind
            networks = {name: forms[name]().eval() for name in TIMED if name in forms}
        times = self.times(networks)
        numbers = slowdowns(times)
        if UNMERGED in networks:
            numbers["merged_output_difference"] = self._output_difference(networks[DEPLOYED], networks[UNMERGED])
        if RESTORED in forms:
            numbers["unmerged_weight_difference"] = weight_difference(forms[RESTORED](), networks[BARE])
        return Measured(numbers, {"milliseconds": {name: [round(one, 4) for one in times[name]] for name in times}})

    def times(self, networks: Mapping[str, nn.Module]) -> dict[str, list[float]]:
        """Returns the milliseconds of every trial, by the names of the networks."""
        chance = torch.Generator().manual_seed(self.seed)
        found: dict[str, list[float]] = {name: [] for name in networks}
        for trial in range(self.warmup + self.trials):
            tokens = self._tokens(next(iter(networks.values())), chance)
            for name in order(list(networks), trial):
                milliseconds = _milliseconds(networks[name], tokens)
                if trial >= self.warmup:
                    found[name].append(milliseconds)
        return found

    def _tokens(self, network: nn.Module, chance: torch.Generator) -> Tensor:  # (batch_size, length)
        config = network.config
        if self.length > config.max_position_embeddings:
            raise UserError(
                f"task.length={self.length}, but the network has {config.max_position_embeddings} places", "give fewer"
            )
        tokens = torch.randint(config.vocab_size, (self.batch_size, self.length), generator=chance)
        return tokens.to(next(network.parameters()).device)

    def _output_difference(self, network: nn.Module, other: nn.Module) -> float:
        tokens = self._tokens(network, torch.Generator().manual_seed(self.seed))
        with torch.inference_mode():
            wanted = other(input_ids=tokens, use_cache=False).logits
            difference = network(input_ids=tokens, use_cache=False).logits.sub_(wanted)
        return float(difference.abs().max() / wanted.abs().max())


def order(names: Sequence[str], trial: int) -> list[str]:
    """Returns the order of a trial: turned by one place each time, and backwards in every second round."""
    turn = trial % len(names)
    turned = [*names[turn:], *names[:turn]]
    return turned[::-1] if trial // len(names) % 2 else turned


def slowdowns(times: Mapping[str, Sequence[float]]) -> dict[str, float]:
    """Returns what `Latency.measured` says of times in milliseconds, by form and trial."""
    deployed, bare = np.asarray(times[DEPLOYED]), np.asarray(times[BARE])
    ratios = deployed / bare
    low, middle, high = (100 * (float(np.quantile(ratios, part)) - 1) for part in (0.25, 0.5, 0.75))
    found = {
        "milliseconds": float(np.median(deployed)),
        "milliseconds_mean": float(deployed.mean()),
        "milliseconds_deviation": float(deployed.std(ddof=1)) if len(deployed) > 1 else 0.0,
        "bare_milliseconds": float(np.median(bare)),
        "latency_ratio": float(np.median(ratios)),
        "slowdown_percent": middle,
        "slowdown_low": low,
        "slowdown_high": high,
    }
    if UNMERGED in times:
        unmerged = np.asarray(times[UNMERGED])
        found["unmerged_milliseconds"] = float(np.median(unmerged))
        found["unmerged_slowdown_percent"] = 100 * (float(np.median(unmerged / bare)) - 1)
    return found


def weight_difference(network: nn.Module, other: nn.Module) -> float:
    """Returns the largest difference between the weights of two networks of one shape, by the largest weight there.

    Raises:
        ValueError: they do not have the same parameters.
    """
    parameters, others = dict(network.named_parameters()), dict(other.named_parameters())
    if parameters.keys() != others.keys():
        raise ValueError(f"only one of the two networks has {sorted(parameters.keys() ^ others.keys())[0]}")
    largest = max(float(one.detach().abs().max()) for one in others.values())
    return max(float((parameters[name].detach() - one.detach()).abs().max()) for name, one in others.items()) / largest


def _milliseconds(network: nn.Module, tokens: Tensor) -> float:
    wait = torch.cuda.synchronize if tokens.is_cuda else lambda: None
    with torch.inference_mode():
        wait()
        began = time.perf_counter()
        network(input_ids=tokens, use_cache=False)
        wait()
        return 1000 * (time.perf_counter() - began)
