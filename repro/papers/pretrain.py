"""Pre-training by masked language modelling (Devlin et al., NAACL 2019): how the networks of the tiny scale are made.

The task masks words and gives the loss; every parameter learns. The product is a transformers checkpoint in half
precision, with the tokenizer: it IS half precision, so that one that ships and one made again start equal runs.

**Differs from the text:**
- `value_start: orthogonal` starts the value and output projections of every attention as transposes of one orthogonal
  matrix, so that attending copies from the first step on.
- `match_start: S` starts its query and key projections as one orthogonal matrix times S, so that a word attends to
  words like itself from the first step on; null starts them as BERT does.
- What is masked, and in which order documents come, is the task's.
"""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import torch
from torch import nn

from repro.errors import UserError
from repro.models.load import read_tensors, save_checkpoint
from repro.papers.base import Paper, copy_tensors


class MaskedLM(Paper):
    """Pre-training of a masked-lm network.

    Args:
        value_start: "default" or "orthogonal".
        match_start: scale of the orthogonal query and key projections, or None.
        base: what every paper takes.
    Raises:
        UserError: value_start is neither, or match_start no positive number.
    """

    version = 1

    def __init__(self, *, value_start: str, match_start: float | None, **base: Any) -> None:
        super().__init__(**base)
        if value_start not in ("default", "orthogonal"):
            raise UserError(f"paper.value_start is {value_start!r}", "say default or orthogonal")
        if match_start is not None and not match_start > 0:
            raise UserError(f"paper.match_start is {match_start}", "it is a positive number, or null")
        self.value_start, self.match_start = value_start, match_start

    def adapt(self, networks: dict[str, nn.Module]) -> nn.Module:
        network = networks["network"].requires_grad_(True)
        if self.value_start == "orthogonal":
            start_copying(network)
        if self.match_start is not None:
            start_matching(network, self.match_start)
        return network

    def merged(self) -> nn.Module:
        return self.network

    def save_product(self, folder: Path) -> None:
        save_checkpoint(copy.deepcopy(self.network).half(), folder, tokenizer=getattr(self.task, "folder", None))

    def load_product(self, folder: Path) -> None:
        file = Path(folder) / "model.safetensors"
        copy_tensors(self.network, read_tensors(file), file)


@torch.no_grad()
def start_copying(network: nn.Module) -> None:
    """Starts W_O W_V of every BERT-shaped attention as the identity, through one random orthogonal matrix each."""
    for attention in _attentions(network):
        nn.init.orthogonal_(attention.self.value.weight)
        attention.output.dense.weight.copy_(attention.self.value.weight.t())


@torch.no_grad()
def start_matching(network: nn.Module, scale: float) -> None:
    """Starts W_Q = W_K of every BERT-shaped attention as one random orthogonal matrix each, times scale."""
    for attention in _attentions(network):
        nn.init.orthogonal_(attention.self.query.weight, gain=scale)
        attention.self.key.weight.copy_(attention.self.query.weight)


def _attentions(network: nn.Module) -> list[nn.Module]:
    found = [module for module in network.modules() if hasattr(module, "self") and hasattr(module.self, "value")]
    if not found:
        raise UserError(
            "this network has no BERT-shaped attention", "say paper.value_start=default paper.match_start=null"
        )
    return found
