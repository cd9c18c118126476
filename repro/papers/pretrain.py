"""Pre-training by masked language modelling (Devlin et al., NAACL 2019): how the networks of the tiny scale are made.

The task masks words and gives the loss; every parameter learns. The product is a transformers checkpoint in half
precision, with the tokenizer: it IS half precision, so that one that ships and one made again start equal runs.

**Differs from the text:** `value_start: orthogonal` starts the value and output projections of every attention as
transposes of one orthogonal matrix, so that attending copies from the first step on; `default` is BERT's own start.
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
        base: what every paper takes.
    Raises:
        UserError: value_start is neither.
    """

    version = 1

    def __init__(self, *, value_start: str = "default", **base: Any) -> None:
        super().__init__(**base)
        if value_start not in ("default", "orthogonal"):
            raise UserError(f"paper.value_start is {value_start!r}", "say default or orthogonal")
        self.value_start = value_start

    def adapt(self, networks: dict[str, nn.Module]) -> nn.Module:
        network = networks["network"].requires_grad_(True)
        if self.value_start == "orthogonal":
            start_copying(network)
        return network

    def save_product(self, folder: Path) -> None:
        save_checkpoint(copy.deepcopy(self.network).half(), folder, tokenizer=getattr(self.task, "folder", None))

    def load_product(self, folder: Path) -> None:
        file = Path(folder) / "model.safetensors"
        copy_tensors(self.network, read_tensors(file), file)


@torch.no_grad()
def start_copying(network: nn.Module) -> None:
    """Starts W_O W_V of every BERT-shaped attention as the identity, through one random orthogonal matrix each.

    Raises:
        UserError: the network has no such attention.
    """
    attentions = [module for module in network.modules() if hasattr(module, "self") and hasattr(module.self, "value")]
    if not attentions:
        raise UserError("paper.value_start is orthogonal, but this network has no BERT-shaped attention",
                        "say paper.value_start=default")
    for attention in attentions:
        nn.init.orthogonal_(attention.self.value.weight)
        attention.output.dense.weight.copy_(attention.self.value.weight.t())
