"""The other side of the benchmarks against PEFT: its LoRA in a plain torch loop, as a user would write it.

Nothing here runs by itself. The loop is lean on purpose: a fused AdamW, a schedule, clipping, no `.item()`, no logging.
The network, what learns of it, and the rows with their tokens are those of our run: both sides read the same task.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import torch
from peft import LoraConfig, get_peft_model
from torch import Tensor, nn
from torch.utils.data import DataLoader
from transformers import get_linear_schedule_with_warmup
from transformers.trainer_pt_utils import LengthGroupedSampler

from repro.models.load import head_modules, load_network
from repro.papers.base import parameter_groups
from repro.tasks.base import Task

Batches = list[list[int]]
Loss = Callable[[nn.Module, Mapping[str, Tensor]], Tensor]


def run_words(task: str, network: Path, data: Path, batch_size: int, threads: int) -> tuple[str, ...]:
    """Returns the command line of our side: LoRA on real GLUE with a folder's network."""
    return (
        "paper=lora",
        f"task=glue/{task}",
        "scale=local",
        "network=hf",
        f"network.path={network}",
        f"data_dir={data}",
        f"task.batch_size={batch_size}",
        f"threads={threads}",
        "logger=none",
    )


def peft_network(folder: Path | str, head: Mapping[str, Any], paper: Mapping[str, Any]) -> nn.Module:
    """Returns PEFT's LoRA around a fresh network, with the same head trained as ours.

    Args:
        folder: of the network.
        head: of the task.
        paper: the run's own settings: rank, alpha, dropout, targets.
    """
    network = load_network(folder, **head)
    config = LoraConfig(
        task_type="SEQ_CLS",
        r=paper["rank"],
        lora_alpha=paper["alpha"],
        lora_dropout=paper["dropout"],
        target_modules=list(paper["targets"]),
        modules_to_save=[name.rpartition(".")[2] for name in head_modules(network)],
    )
    return get_peft_model(network, config).train()


def own_loss(network: nn.Module, batch: Mapping[str, Tensor]) -> Tensor:
    """Returns the loss that a transformers network computes itself."""
    return network(**{name: value for name, value in batch.items() if name != "index"}).loss


class Loop:
    """A plain torch loop.

    Args:
        network: what trains.
        loss: of the network and a batch.
        loader: makes the batches of one more epoch.
        optim: the run's own settings; the schedule is the linear one.
        steps: of the whole training.
    """

    def __init__(
        self,
        network: nn.Module,
        loss: Loss,
        loader: Callable[[], DataLoader],
        optim: Mapping[str, Any],
        steps: int,
    ) -> None:
        self.network, self.loss, self.loader, self.clip = network, loss, loader, optim["clip"]
        self.learning = [parameter for parameter in network.parameters() if parameter.requires_grad]
        groups = parameter_groups(network, optim["weight_decay"])
        self.optimizer = torch.optim.AdamW(
            groups, lr=optim["lr"], betas=tuple(optim["betas"]), eps=optim["eps"], fused=True
        )
        warmup = -int(-optim["warmup_ratio"] * steps // 1)
        self.schedule = get_linear_schedule_with_warmup(self.optimizer, warmup, steps)
        self.batches: Iterator[Mapping[str, Tensor]] = iter(())

    def train(self, steps: int) -> None:
        """Takes steps, over as many epochs as they need."""
        for _ in range(steps):
            self.step(self._next())

    def step(self, batch: Mapping[str, Tensor]) -> None:
        """Takes one step."""
        self.loss(self.network, batch).backward()
        nn.utils.clip_grad_norm_(self.learning, self.clip)
        self.optimizer.step()
        self.schedule.step()
        self.optimizer.zero_grad()

    def _next(self) -> Mapping[str, Tensor]:
        batch = next(self.batches, None)
        if batch is None:
            self.batches = iter(self.loader())
            batch = next(self.batches)
        return batch


def loader(task: Task, batches: Callable[[], Batches]) -> Callable[[], DataLoader]:
    """Returns what makes the loader of one more epoch: the task's rows, padded to the longest of the batch."""
    dataset = task.split("train").dataset
    return lambda: DataLoader(dataset, batch_sampler=batches(), collate_fn=task.collate)


def lengths_of(task: Task) -> list[int]:
    """Returns the tokens of each training example."""
    return [len(ids) for ids in task.split("train").dataset["input_ids"]]


def random_batches(lengths: Sequence[int], batch_size: int, generator: torch.Generator) -> Batches:
    """Returns an epoch of random batches, as DataLoader(shuffle=True) makes them."""
    return _cut(torch.randperm(len(lengths), generator=generator).tolist(), batch_size)


def grouped_batches(lengths: Sequence[int], batch_size: int, generator: torch.Generator) -> Batches:
    """Returns an epoch of batches of about equal length, as transformers' Trainer with group_by_length makes them."""
    return _cut(list(LengthGroupedSampler(batch_size, lengths=list(lengths), generator=generator)), batch_size)


def _cut(order: Sequence[int], batch_size: int) -> Batches:
    return [list(order[first : first + batch_size]) for first in range(0, len(order), batch_size)]


def epochs(cut: Callable[..., Batches], lengths: Sequence[int], batch_size: int, seed: int) -> Callable[[], Batches]:
    """Returns what cuts one more epoch, another at each call."""
    return partial(cut, lengths, batch_size, torch.Generator().manual_seed(seed))
