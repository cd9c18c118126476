"""Adapters: small bottlenecks in every block of a frozen network, the baselines of LoRA's tables.

    h <- h + W_up f(W_down z + b_down) + b_up        W_down in R^(r x d), W_up in R^(d x r), r << d

h is what a sublayer gives, before it is added to the stream of the block; the kinds differ in which sublayers have an
adapter and in what it reads, z:

    houlsby   both sublayers, attention and feed-forward; z = h; f = swish     (Houlsby et al. 2019, arXiv 1902.00751)
    pfeiffer  the feed-forward part; z = LayerNorm(x + h), the block's own; f = relu          (2021, arXiv 2005.00247)
    drop      as pfeiffer, but the first layers have none            (AdapterDrop: Rueckle et al. 2021, 2010.11918)
    lin       the feed-forward part; z = LayerNorm(h), of the adapter's own; f = relu  (Lin et al. 2020, 2004.03829)

Notable here:
- |Theta| = n (2 d r + r + d) + 2 m d, with n adapters (houlsby 2 a layer, the others 1) and m LayerNorms of their own
  (lin 1 a layer, the others none).
- An adapter cannot be folded into a matrix: the network stays deeper than the pre-trained one.
- Blocks are found by the names of transformers' modules: BERT's shape (BERT, RoBERTa, DeBERTa-v2), where a sublayer
  ends in its LayerNorm, and GPT-2's, where it begins with it. The frozen parameters keep their names.
- The product is small and plain: learnt.safetensors with the adapters and the head by their names, and learnt.json.

**Differs from the text:**
- It starts near the pre-trained function, not exactly on it: weights from N(0, 0.02^2), biases zero, as in LoRA's
  released code (Houlsby et al. say 0.01, cut at two deviations).
- The LayerNorms of the network stay frozen, as in LoRA's counts; Houlsby et al. train them.
- pfeiffer reads the block's LayerNorm and is followed by the same one again, as in LoRA's released code.
- On GPT-2, whose sublayers have no LayerNorm behind them, pfeiffer and drop read h itself; no number of LoRA's tables
  depends on it. Where lin's LayerNorm stands is printed only as "after the MLP module and after a LayerNorm".
- Which layers AdapterDrop's row of 0.3M lacks is not printed: 4 of 12 adapters give the count (dropped: 0.6667).
- The head, and a pooler below it, is trained in full and not counted in |Theta|, as in LoRA's released code.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from torch import Tensor, nn
from torch.nn import functional

from repro.errors import UserError, did_you_mean
from repro.models.base_digest import base_digest
from repro.models.learnt_folder import read_learnt, write_learnt
from repro.models.linear import matrix
from repro.models.load import head_modules
from repro.papers.base import Paper, copy_tensors

KINDS = ("houlsby", "lin", "pfeiffer", "drop")
NONLINEARITIES = {
    "relu": functional.relu,
    "swish": functional.silu,
    "gelu": functional.gelu,
    "tanh": functional.tanh,
}
POST_NORM = ("attention.output", "output")
"""Ends of a block's two sublayers in BERT's shape: dense, dropout, LayerNorm(x + h)."""
PRE_NORM = ("attn.resid_dropout", "mlp.dropout")
"""Ends of a block's two sublayers in GPT-2's shape: c_proj, dropout."""


class Bottleneck(nn.Module):
    """W_up f(W_down z + b_down) + b_up.

    Args:
        W0: the frozen matrix before it, (d, ...), whose width, device and precision it takes.
        r: the bottleneck, 1 <= r <= d.
        nonlinearity: f, a key of NONLINEARITIES.
        sigma: standard deviation of both matrices at the start.
        normed: whether a LayerNorm of its own comes first.
    """

    def __init__(self, W0: Tensor, r: int, nonlinearity: str, sigma: float, normed: bool) -> None:
        super().__init__()
        d, where = W0.shape[0], {"device": W0.device, "dtype": W0.dtype}
        self.LayerNorm = nn.LayerNorm(d, **where) if normed else None
        self.down, self.up = nn.Linear(d, r, **where), nn.Linear(r, d, **where)
        self.f = NONLINEARITIES[nonlinearity]
        for linear in (self.down, self.up):
            nn.init.normal_(linear.weight, std=sigma)
            nn.init.zeros_(linear.bias)

    def forward(self, z: Tensor) -> Tensor:  # (..., d)
        if self.LayerNorm is not None:
            z = self.LayerNorm(z)
        return self.up(self.f(self.down(z)))


class PostNorm(nn.Module):
    """The end of a sublayer of BERT's, with an adapter: it stands in that module's place, under the same names.

    Args:
        end: dense, dropout and LayerNorm.
        adapter: what is added.
        normed: whether the adapter reads LayerNorm(x + h) rather than h.
    """

    def __init__(self, end: nn.Module, adapter: Bottleneck, normed: bool) -> None:
        super().__init__()
        self.dense, self.dropout, self.LayerNorm = end.dense, end.dropout, end.LayerNorm
        self.adapter, self.normed = adapter, normed

    def forward(self, hidden_states: Tensor, input_tensor: Tensor) -> Tensor:  # input_tensor: x, (..., d)
        h = self.dropout(self.dense(hidden_states))
        z = self.LayerNorm(h + input_tensor) if self.normed else h
        return self.LayerNorm(h + self.adapter(z) + input_tensor)


class PreNorm(nn.Module):
    """The end of a sublayer of GPT-2's, its dropout, with an adapter."""

    def __init__(self, dropout: nn.Module, adapter: Bottleneck) -> None:
        super().__init__()
        self.dropout, self.adapter = dropout, adapter

    def forward(self, hidden_states: Tensor) -> Tensor:
        h = self.dropout(hidden_states)
        return h + self.adapter(h)


class Adapter(Paper):
    """Adapters in a network.

    Args:
        kind: houlsby, lin, pfeiffer or drop.
        bottleneck: r.
        dropped: the share of the layers, from the first, that have no adapter; 0 but for drop.
        nonlinearity: relu, swish, gelu or tanh; "released": swish for houlsby, relu for the others.
        sigma: standard deviation of the adapters' weights at the start.
        base: what every paper takes.
    Raises:
        UserError: a setting is out of range.
    """

    version = 1

    def __init__(
        self, *, kind: str, bottleneck: int, dropped: float = 0, nonlinearity: str, sigma: float, **base: Any
    ) -> None:
        super().__init__(**base)
        if kind not in KINDS:
            raise UserError(f"paper.kind is {kind!r}", did_you_mean(str(kind), KINDS))
        if isinstance(bottleneck, bool) or not isinstance(bottleneck, int) or bottleneck < 1:
            raise UserError(f"paper.bottleneck is {bottleneck}", "a bottleneck is a whole number from 1 up")
        if isinstance(dropped, bool) or not isinstance(dropped, int | float) or not 0 <= dropped < 1:
            raise UserError(f"paper.dropped is {dropped}", "it is a share of the layers: 0 or more, below 1")
        if dropped and kind != "drop":
            raise UserError(f"paper.dropped is {dropped}, but paper.kind is {kind}", "only kind=drop drops layers")
        if nonlinearity != "released" and nonlinearity not in NONLINEARITIES:
            known = ("released", *NONLINEARITIES)
            raise UserError(f"paper.nonlinearity is {nonlinearity!r}", did_you_mean(str(nonlinearity), known))
        if not sigma > 0:
            raise UserError(f"paper.sigma is {sigma}", "it is a positive number")
        if nonlinearity == "released":
            nonlinearity = "swish" if kind == "houlsby" else "relu"
        self.kind, self.bottleneck, self.dropped = kind, bottleneck, dropped
        self.nonlinearity, self.sigma = nonlinearity, sigma

    def adapt(self, networks: dict[str, nn.Module]) -> nn.Module:
        """Freezes the network, puts adapters into its blocks, and frees the head.

        Raises:
            UserError: its blocks are not of a known shape, the bottleneck is wider than they are, or all are dropped.
        """
        network = networks["network"].requires_grad_(False)
        self.base = base_digest(network)
        layers = blocks(network)
        first = math.floor(self.dropped * len(layers) + 0.5)
        if first == len(layers):
            raise UserError(
                f"paper.dropped is {self.dropped}: of {first} layers none would have an adapter", "drop fewer of them"
            )
        for attention, feed_forward in layers[first:]:
            for name in (attention, feed_forward) if self.kind == "houlsby" else (feed_forward,):
                network.set_submodule(name, self._with_adapter(network, name))
        for head in head_modules(network):
            network.get_submodule(head).requires_grad_(True)
        return network

    def adapters(self) -> Iterator[tuple[str, Bottleneck]]:
        """The adapters by their names in the network."""
        return ((name, module) for name, module in self.network.named_modules() if isinstance(module, Bottleneck))

    def save_product(self, folder: Path) -> None:
        write_learnt(folder, self.base, self._method(), self.trainable_state())

    def load_product(self, folder: Path) -> None:
        """Reads the adapters and the head; a head of another shape is left as it is.

        Raises:
            UserError: they are adapters of other settings, or of another network.
        """
        file, tensors = read_learnt(folder, self.network, self.base, self._method(), self.trainable_state())
        copy_tensors(self.network, tensors, file)

    def _with_adapter(self, network: nn.Module, name: str) -> nn.Module:
        """Makes what takes the place of the end of a sublayer."""
        end = network.get_submodule(name)
        pre_norm = name.endswith(PRE_NORM)
        W0 = matrix(network.get_submodule(name.rpartition(".")[0]).c_proj if pre_norm else end.dense)
        if self.bottleneck > W0.shape[0]:
            raise UserError(
                f"paper.bottleneck is {self.bottleneck}, but {name} is {W0.shape[0]} wide",
                f"the bottleneck is at most {W0.shape[0]}",
            )
        adapter = Bottleneck(W0, self.bottleneck, self.nonlinearity, self.sigma, normed=self.kind == "lin")
        if pre_norm:
            return PreNorm(end, adapter)
        return PostNorm(end, adapter, normed=self.kind in ("pfeiffer", "drop"))

    def _method(self) -> dict[str, Any]:
        return {
            "method": "adapter",
            "kind": self.kind,
            "bottleneck": self.bottleneck,
            "dropped": self.dropped,
            "nonlinearity": self.nonlinearity,
        }


def blocks(network: nn.Module) -> list[tuple[str, str]]:
    """Names the ends of the two sublayers of every block, attention and feed-forward, from the first block on.

    Raises:
        UserError: there is no block of BERT's or GPT-2's shape.
    """
    modules = dict(network.named_modules())
    found = [
        (f"{block}.{attention}", f"{block}.{feed_forward}")
        for block in modules
        for attention, feed_forward in (POST_NORM, PRE_NORM)
        if all(_ends(modules, f"{block}.{end}") for end in (attention, feed_forward))
    ]
    if not found:
        raise UserError(
            f"paper=adapter: the blocks of {type(network).__name__} are of no shape that is known here",
            "take a BERT, RoBERTa, DeBERTa-v2 or GPT-2",
        )
    return found


def _ends(modules: dict[str, nn.Module], name: str) -> bool:
    """Whether a module is there and is the end of a sublayer."""
    if name not in modules:
        return False
    if name.endswith(PRE_NORM):
        return f"{name.rpartition('.')[0]}.c_proj" in modules
    return {child for child, _ in modules[name].named_children()} == {"dense", "dropout", "LayerNorm"}
