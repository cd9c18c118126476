"""Fine-tuning: the baseline of most tables. Every parameter learns, or (`trains: head`) only the head on a frozen body.

The product is a transformers checkpoint with the tokenizer beside it.

**Differs from the text:** there is no text. The frozen body keeps its dropout in training, as a LoRA run's does.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from torch import nn

from repro.errors import UserError
from repro.models.load import head_modules, read_tensors, save_checkpoint
from repro.papers.base import Paper, copy_tensors


class Finetune(Paper):
    """Fine-tuning of a network.

    Args:
        trains: "all", or "head": the modules that the task puts on top.
        base: what every paper takes.
    Raises:
        UserError: trains is neither, or there is no head.
    """

    version = 1

    def __init__(self, *, trains: str = "all", **base: Any) -> None:
        super().__init__(**base)
        if trains not in ("all", "head"):
            raise UserError(f"paper.trains is {trains!r}", "say all or head")
        self.part = trains

    def adapt(self, networks: dict[str, nn.Module]) -> nn.Module:
        network = networks["network"].requires_grad_(self.part == "all")
        if self.part == "head":
            heads = head_modules(network)
            if not heads:
                raise UserError(f"paper.trains is head, but {type(network).__name__} has none", "say paper.trains=all")
            for head in heads:
                network.get_submodule(head).requires_grad_(True)
        return network

    def merged(self) -> nn.Module:
        return self.network

    def save_product(self, folder: Path) -> None:
        save_checkpoint(self.network, folder, tokenizer=getattr(self.task, "folder", None))

    def load_product(self, folder: Path) -> None:
        file = Path(folder) / "model.safetensors"
        tensors = read_tensors(file)
        heads = tuple(f"{head}." for head in head_modules(self.network))
        for name, _ in self.network.named_parameters():
            if name not in tensors and not name.startswith(heads):
                raise UserError(f"{file} lacks {name}", "start from a product of the same network")
        copy_tensors(self.network, tensors, file)
