"""LoRA: Low-Rank Adaptation of Large Language Models (Hu et al., ICLR 2022, arXiv 2106.09685v2).

A pre-trained matrix W0 stays frozen, and a product of two thin matrices learns beside it:

    h = W0 x + (alpha / r) B A x        A in R^(r x k), B in R^(d x r), r << min(d, k)         (eq. 3)

Notable here:
- B starts at zero, so training starts from the pre-trained function, to the bit.
- alpha / r keeps the size of the update when r is varied; dropout acts on the low-rank branch alone.
- W0 + (alpha / r) B A is one matrix: merged, the network costs what the pre-trained one costs (section 4.1).
- |Theta| = 2 * L * d * r for L adapted square matrices (section 5.1).
- The product is a PEFT adapter folder: A, B and the head.

**Differs from the text:**
- A starts by kaiming_uniform(a=sqrt(5)) as in the released code; `init: published` draws the text's Gaussian, whose
  sigma the text does not give (0.02 in the first release).
- The head, and a pooler below it, is trained in full and not counted in |Theta|, as in the released code.
- alpha is the recipe's; the text sets it to the first r that is tried, its tables and scripts do not.
- Merging keeps W0 aside and puts it back when unmerged; subtracting (alpha / r) B A would leave rounding errors.
- `targets: [c_attn]` on GPT-2 is one update of W_q, W_k and W_v together, as PEFT has it; [query, value] is the text's.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from repro.errors import UserError
from repro.models.adapter_folder import (
    A_KEY,
    B_KEY,
    CONFIG,
    PATTERNS,
    TENSORS,
    check_base,
    check_plain,
    read_adapter,
    task_type,
    write_adapter,
)
from repro.models.base_digest import base_digest
from repro.models.linear import LINEAR, is_transposed, matrix
from repro.models.load import head_modules, shape_error
from repro.models.projections import PARTS, matrices, projection
from repro.papers.base import Paper, copy_tensors

INITS = {"released": True, "published": "gaussian", "drawn": False}
"""How A and B may start, by PEFT's word for it in init_lora_weights."""


class LowRank(nn.Module):
    """A frozen linear map with a low-rank update, or with one for each of some parts of a fused q, k, v matrix.

    n parts have A (n r, k) and B (n d/3, r): the matrices of one below those of the other. The dropout is one for all.

    Args:
        W0: an nn.Linear or a Conv1D, of the matrix W0 (d, k) and perhaps a bias; frozen here.
        r: the rank, 1 <= r <= min(d, k); of each part.
        alpha: the update counts alpha / r.
        dropout: the part of x that the low-rank branch does not see in training.
        init: how A and B start, a key of INITS.
        sigma: of the Gaussians.
        parts: which of query (0), key (1) and value (2) are adapted; the whole matrix when empty.
    Source: microsoft/LoRA, loralib/layers.py, Linear and MergedLinear.
    """

    def __init__(
        self, W0: nn.Module, r: int, alpha: float, dropout: float, init: str, sigma: float, parts: Sequence[int] = ()
    ) -> None:
        super().__init__()
        d, k = matrix(W0).shape
        self.W0 = W0.requires_grad_(False)
        self.r, self.scale, self.dropout, self.parts = r, alpha / r, dropout, tuple(parts)
        n, self.rows = (len(self.parts), d // len(PARTS)) if self.parts else (1, d)
        self.A = nn.Parameter(torch.empty(n * r, k, device=W0.weight.device, dtype=W0.weight.dtype))
        self.B = nn.Parameter(torch.zeros(n * self.rows, r, device=W0.weight.device, dtype=W0.weight.dtype))
        if init == "published":
            nn.init.normal_(self.A, std=sigma)  # "a random Gaussian initialization for A"
        else:
            nn.init.kaiming_uniform_(self.A, a=math.sqrt(5))  # loralib: U(-1/sqrt(k), 1/sqrt(k))
        if init == "drawn":
            nn.init.normal_(self.B, std=sigma)
        self._unmerged: Tensor | None = None

    @property
    def weight(self) -> Tensor:
        """W0's own weight, for code that asks a projection for its dtype or device."""
        return self.W0.weight

    def blocks(self) -> Iterator[tuple[slice, slice, Tensor]]:
        """Yields, for each update: its rows of W0, its rows of A, and its B (rows, r)."""
        for number, part in enumerate(self.parts or (0,)):
            B = self.B[number * self.rows : (number + 1) * self.rows]
            yield slice(part * self.rows, (part + 1) * self.rows), slice(number * self.r, (number + 1) * self.r), B

    def forward(self, x: Tensor) -> Tensor:  # x: (..., k)
        h = self.W0(x)  # (..., d)
        if self._unmerged is not None:
            return h
        if self.training and self.dropout:
            x = F.dropout(x, self.dropout)
        z = F.linear(x, self.A)  # (..., n r)
        if not self.parts:  # eq. 3 in one call: the scale and the sum cost no pass of their own over h
            return torch.addmm(h.flatten(0, -2), z.flatten(0, -2), self.B.t(), alpha=self.scale).view(h.shape)
        tokens, z = h.view(-1, h.shape[-1]), z.flatten(0, -2)
        for rows, ranks, B in self.blocks():  # in place: the other rows are not touched
            tokens[:, rows].addmm_(z[:, ranks], B.t().to(h.dtype), alpha=self.scale)
        return h

    @torch.no_grad()
    def merge(self) -> None:
        """W = W0 + (alpha / r) B A, in place."""
        if self._unmerged is None:
            self._unmerged = self.W0.weight.clone()
            for rows, ranks, B in self.blocks():
                matrix(self.W0)[rows].addmm_(B, self.A[ranks], alpha=self.scale)

    @torch.no_grad()
    def unmerge(self) -> None:
        """Puts W0 back, to the bit."""
        if self._unmerged is not None:
            self.W0.weight.copy_(self._unmerged)
            self._unmerged = None

    def one_update(self) -> tuple[Tensor, Tensor]:
        """Returns A' and B' of the same update as one of the whole matrix: rank n r, alpha n alpha, B' zero elsewhere.

        Returns:
            A' (n r, k) and B' (d, n r).
        """
        if not self.parts:
            return self.A, self.B
        B1 = self.B.new_zeros(len(matrix(self.W0)), len(self.A))
        for rows, ranks, B in self.blocks():
            B1[rows, ranks] = B.detach()
        return self.A, B1

    @torch.no_grad()
    def copy_update(self, A1: Tensor, B1: Tensor) -> bool:
        """Copies what one_update returned, of the same shapes.

        Returns:
            False, with nothing copied, where B1 is not zero beside the parts that are adapted here.
        """
        if self.parts:
            rest = B1.clone()
            for rows, ranks, _ in self.blocks():
                rest[rows, ranks] = 0
            if rest.any():
                return False
            B1 = torch.cat([B1[rows, ranks] for rows, ranks, _ in self.blocks()])
        self.A.copy_(A1)
        self.B.copy_(B1)
        return True


class LoRA(Paper):
    """LoRA around a network.

    Args:
        rank: r.
        alpha: the scale's numerator.
        dropout: on the input of the low-rank branch.
        targets: which matrices are adapted: query, key, value and output are those of attention, whatever the network
            calls them, also where one matrix holds three; other words are ends of names: c_attn, attention.self.value.
        init: "released" (kaiming-uniform A) or "published" (Gaussian A), B zero in both; "drawn": as released, but B is
            Gaussian too, an update that nothing trained, for what is measured of one.
        sigma: standard deviation of the Gaussians.
        base: what every paper takes.
    Raises:
        UserError: a setting is out of range.
    """

    version = 1

    def __init__(
        self,
        *,
        rank: int,
        alpha: float,
        dropout: float,
        targets: Sequence[str],
        init: str = "released",
        sigma: float = 0.02,
        **base: Any,
    ) -> None:
        super().__init__(**base)
        if isinstance(rank, bool) or not isinstance(rank, int) or rank < 1:
            raise UserError(f"paper.rank is {rank}", "a rank is a whole number from 1 up")
        if not alpha > 0:
            raise UserError(f"paper.alpha is {alpha}", "it is a positive number")
        if not 0 <= dropout < 1:
            raise UserError(f"paper.dropout is {dropout}", "it is a probability from 0 up to, not including, 1")
        if isinstance(targets, str) or not targets:
            raise UserError(f"paper.targets is {targets!r}", "it is a list of names of modules, such as [query,value]")
        if init not in INITS:
            raise UserError(f"paper.init is {init!r}", f"say {' or '.join(INITS)}")
        if not sigma > 0:
            raise UserError(f"paper.sigma is {sigma}", "it is a positive number")
        self.rank, self.alpha, self.dropout, self.init, self.sigma = rank, alpha, dropout, init, sigma
        self.targets = list(targets)

    def adapt(self, networks: dict[str, nn.Module]) -> nn.Module:
        """Freezes W0, puts A and B beside every target, and frees the head.

        Raises:
            UserError: a target matches no module, or the rank is above a matrix's.
        """
        network = networks["network"].requires_grad_(False)
        self.base = base_digest(network)
        heads = head_modules(network)
        linear = {
            name: module
            for name, module in network.named_modules()
            if isinstance(module, LINEAR) and not _within(name, heads)
        }
        for name, parts in matrices(self.targets, network, linear).items():
            W0 = linear[name]
            d, k = matrix(W0).shape
            most = min(d // len(PARTS) if parts else d, k)
            if self.rank > most:
                raise UserError(
                    f"paper.rank is {self.rank}, but {name} is a {d} x {k} matrix", f"the rank is at most {most}"
                )
            low = LowRank(W0, self.rank, self.alpha, self.dropout, self.init, self.sigma, parts)
            network.set_submodule(name, low)
        for head in heads:
            network.get_submodule(head).requires_grad_(True)
        return network

    def adapted(self) -> Iterator[tuple[str, LowRank]]:
        """The adapted modules by their names in the network."""
        return ((name, module) for name, module in self.network.named_modules() if isinstance(module, LowRank))

    def merge(self) -> None:
        """Folds every update into its matrix: from here on the network costs nothing extra."""
        for _, module in self.adapted():
            module.merge()

    def unmerge(self) -> None:
        """Takes every update out again."""
        for _, module in self.adapted():
            module.unmerge()

    def merged(self) -> nn.Module:
        self.merge()
        return _plain(self.network)

    def forms(self) -> dict[str, Callable[[], nn.Module]]:
        """Makers of the forms: "deployed" is merged, "unmerged" the network as it learns, "restored" a plain network
        whose matrices were merged and unmerged. They share the frozen weights, but for what the merged one changes.
        """
        return super().forms() | {
            "deployed": self._merged_copy,
            "unmerged": lambda: self.network,
            "restored": self._restored,
        }

    def _merged_copy(self) -> nn.Module:
        changed = {id(module.W0.weight) for _, module in self.adapted()}
        shared = {id(one): one for one in self.network.parameters() if id(one) not in changed}
        copied = copy.deepcopy(self.network, shared)
        for module in copied.modules():
            if isinstance(module, LowRank):
                module.merge()
        return _plain(copied)

    def _restored(self) -> nn.Module:
        self.merge()
        self.unmerge()
        return _plain(copy.deepcopy(self.network, {id(one): one for one in self.network.parameters()}))

    def save_product(self, folder: Path) -> None:
        heads = head_modules(self.network)
        tensors = {name: parameter for name, parameter in self.network.named_parameters() if _within(name, heads)}
        for name, module in self.adapted():
            A, B = module.one_update()
            tensors |= {name + A_KEY: A, name + B_KEY: B}
        write_adapter(folder, self._peft_config(heads), tensors, self.base)

    def load_product(self, folder: Path) -> None:
        """Reads A, B and the head from a PEFT folder, ours or PEFT's; a head of another shape is left as it is.

        Raises:
            UserError: the adapter is not plain LoRA of this network, rank, alpha and targets.
        """
        config, tensors = read_adapter(folder)
        file = Path(folder) / TENSORS
        check_peft_config(config, Path(folder) / CONFIG, rank=self.rank, alpha=self.alpha, blocks=self._blocks())
        check_base(folder, self.base)
        self.unmerge()
        for name, module in self.adapted():
            keys = [name + A_KEY, name + B_KEY]
            for key, wanted in zip(keys, module.one_update(), strict=True):
                if key not in tensors:
                    raise UserError(f"{file} lacks {key}", "start from an adapter with the same paper.targets")
                if tensors[key].shape != wanted.shape:
                    raise shape_error(file, key, tensors[key], wanted)
            if not module.copy_update(*(tensors.pop(key) for key in keys)):
                parts = " and ".join(PARTS[part] for part in module.parts)
                raise UserError(
                    f"{file}: {keys[1]} is not zero beside the blocks of {parts}",
                    f"it adapts the whole matrix: say paper.targets=[{name.rpartition('.')[2]}], with paper.rank and "
                    f"paper.alpha {len(module.parts)} times as large",
                )
        copy_tensors(self.network, tensors, file)

    def _blocks(self) -> dict[str, int]:
        """The ends of the names of what is adapted, with the number of updates that are one for PEFT."""
        parts: dict[str, set[int | None]] = {}
        for target in self.targets:
            end, part = projection(target, self.network)
            parts.setdefault(end, set()).add(part)
        return {end: len(several) for end, several in parts.items()}

    def _peft_config(self, heads: list[str]) -> dict[str, Any]:
        base = getattr(self.network, "name_or_path", "")
        blocks = self._blocks()
        return {
            "peft_type": "LORA",
            "task_type": task_type(self.network),
            **peft_ranks(self.rank, self.alpha, blocks),
            "lora_dropout": self.dropout,
            "bias": "none",
            "inference_mode": True,
            "target_modules": list(blocks),
            "modules_to_save": heads or None,
            "fan_in_fan_out": any(is_transposed(module.W0) for _, module in self.adapted()),
            "init_lora_weights": INITS[self.init],
            "base_model_name_or_path": base if base and not Path(base).exists() else None,  # no machine's own paths
        }


def peft_ranks(rank: int, alpha: float, blocks: Mapping[str, int]) -> dict[str, Any]:
    """Says the rank and alpha of every matrix as PEFT does: n updates of parts of a matrix are one of rank n r.

    Args:
        rank: r.
        alpha: the scale's numerator; n r and n alpha have the same scale.
        blocks: by the ends of the names of modules, n.
    """
    common = min(blocks.values())
    settings: dict[str, Any] = {"r": common * rank, "lora_alpha": common * alpha}
    more = {end: n for end, n in blocks.items() if n != common}
    if more:
        settings["rank_pattern"] = {end: n * rank for end, n in more.items()}
        settings["alpha_pattern"] = {end: n * alpha for end, n in more.items()}
    return settings


def check_peft_config(
    config: Mapping[str, Any], file: Path, *, rank: int, alpha: float, blocks: Mapping[str, int] | None = None
) -> None:
    """Refuses an adapter that is not eq. 3 with this rank and alpha.

    Args:
        config: of the adapter.
        file: where it stands.
        rank: of this run, as alpha.
        blocks: as peft_ranks has them; one update a matrix where nothing is said.
    Raises:
        UserError: it names the file and the key.
    """
    ours = {"r": rank, "lora_alpha": alpha} if not blocks else peft_ranks(rank, alpha, blocks)
    check_plain(config, file, [key for key in PATTERNS if config.get(key) == ours.get(key)])
    updates = ours["r"] // rank
    for key, name, wanted in (("r", "paper.rank", rank), ("lora_alpha", "paper.alpha", alpha)):
        stored = config.get(key, 8)  # PEFT's default for both
        if stored != ours[key]:
            many = f", and {updates} parts of one matrix make {ours[key]}" if updates > 1 else ""
            raise UserError(
                f"{file}: {key} is {stored}, this run has {name}={wanted}{many}",
                f"say {name}={stored / updates:g} or start from another adapter"
                if isinstance(stored, int | float)
                else "start from another adapter",
            )
    for key in PATTERNS:
        if key in ours and config.get(key) != ours[key]:
            raise UserError(
                f"{file}: {key} is {config.get(key)!r}, this run has {ours[key]}",
                "start from an adapter with the same paper.targets",
            )


def _plain(network: nn.Module) -> nn.Module:
    """Puts W0 as it now is in the place of every low-rank module."""
    for name, module in list(network.named_modules()):
        if isinstance(module, LowRank):
            network.set_submodule(name, module.W0)
    return network


def _within(name: str, modules: Sequence[str]) -> bool:
    return any(name == module or name.startswith(f"{module}.") for module in modules)
