"""BitFit: Simple Parameter-efficient Fine-tuning for Transformer-based Masked Language-models (Ben Zaken et al., ACL
2022, arXiv 2106.10199).

The network's own biases learn, and nothing else of it: b in W0 x + b, and the LayerNorms' shifts.

Notable here:
- An encoder of L layers of width d has 11 L d + d of them: query, key, value and output (4 d), the feed-forward part
  (4 d + d) and two LayerNorms (2 d) in each layer, and the embeddings' LayerNorm. GPT-2 has as many, with a last
  LayerNorm in place of the embeddings'.
- Nothing is added, so the network costs what the pre-trained one costs.
- The product is small and plain: learnt.safetensors with the biases and the head by their names, and learnt.json.

**Differs from the text:**
- The head, and a pooler below it, is trained in full and not counted, as in LoRA's released code.
- What learns is what has "bias" in its name, as in LoRA's released code; the text's smaller choice (the biases of
  queries and of the feed-forward part alone) is not here.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from torch import nn

from repro.errors import UserError
from repro.models.base_digest import base_digest
from repro.models.learnt_folder import read_learnt, write_learnt
from repro.models.load import head_modules
from repro.papers.base import Paper, copy_tensors

METHOD = {"method": "bitfit"}


class BitFit(Paper):
    """BitFit of a network.

    Args:
        base: what every paper takes.
    """

    version = 1

    def __init__(self, **base: Any) -> None:
        super().__init__(**base)

    def adapt(self, networks: dict[str, nn.Module]) -> nn.Module:
        """Freezes all but the biases of the body, and frees the head.

        Raises:
            UserError: the body has no biases.
        """
        network = networks["network"].requires_grad_(False)
        self.base = base_digest(network)
        body = getattr(network, network.base_model_prefix, network)
        biases = [parameter for name, parameter in body.named_parameters() if "bias" in name]
        if not biases:
            raise UserError(f"paper=bitfit: {type(body).__name__} has no biases", "take a network that has some")
        for bias in biases:
            bias.requires_grad_(True)
        for head in head_modules(network):
            network.get_submodule(head).requires_grad_(True)
        return network

    def merged(self) -> nn.Module:
        return self.network

    def save_product(self, folder: Path) -> None:
        write_learnt(folder, self.base, METHOD, self.trainable_state())

    def load_product(self, folder: Path) -> None:
        """Reads the biases and the head; a head of another shape is left as it is.

        Raises:
            UserError: it is no product of BitFit, or one of another network.
        """
        file, tensors = read_learnt(folder, self.network, self.base, METHOD, self.trainable_state())
        copy_tensors(self.network, tensors, file)
