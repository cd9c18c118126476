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
- On GPT-2's fused c_attn the update covers query, key and value in one, as PEFT does; the text adapts W_q and W_v.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from repro.errors import UserError
from repro.models.adapter_folder import CONFIG, TENSORS, read_adapter, task_type, write_adapter
from repro.models.linear import LINEAR, is_transposed, matrix
from repro.models.load import head_modules, shape_error
from repro.papers.base import Paper, copy_tensors

INITS = ("released", "published")


class LowRank(nn.Module):
    """A frozen linear map with a low-rank update.

    Args:
        W0: an nn.Linear or a Conv1D, of the matrix W0 (d, k) and perhaps a bias; frozen here.
        r: the rank, 1 <= r <= min(d, k).
        alpha: the update counts alpha / r.
        dropout: the part of x that the low-rank branch does not see in training.
        init: "released" or "published", how A starts.
        sigma: of the published Gaussian.
    """

    def __init__(self, W0: nn.Module, r: int, alpha: float, dropout: float, init: str, sigma: float) -> None:
        super().__init__()
        d, k = matrix(W0).shape
        self.W0 = W0.requires_grad_(False)
        self.scale, self.dropout = alpha / r, dropout
        self.A = nn.Parameter(torch.empty(r, k, device=W0.weight.device, dtype=W0.weight.dtype))
        self.B = nn.Parameter(torch.zeros(d, r, device=W0.weight.device, dtype=W0.weight.dtype))
        if init == "published":
            nn.init.normal_(self.A, std=sigma)  # "a random Gaussian initialization for A"
        else:
            nn.init.kaiming_uniform_(self.A, a=math.sqrt(5))  # loralib: U(-1/sqrt(k), 1/sqrt(k))
        self._unmerged: Tensor | None = None

    @property
    def weight(self) -> Tensor:
        """W0's own weight, for code that asks a projection for its dtype or device."""
        return self.W0.weight

    def forward(self, x: Tensor) -> Tensor:  # x: (..., k)
        h = self.W0(x)  # (..., d)
        if self._unmerged is not None:
            return h
        if self.training and self.dropout:
            x = F.dropout(x, self.dropout)
        z = F.linear(x, self.A)  # (..., r)
        # eq. 3 in one call: the scale and the sum cost no pass of their own over h
        return torch.addmm(h.flatten(0, -2), z.flatten(0, -2), self.B.t(), alpha=self.scale).view(h.shape)

    @torch.no_grad()
    def merge(self) -> None:
        """W = W0 + (alpha / r) B A, in place."""
        if self._unmerged is None:
            self._unmerged = self.W0.weight.clone()
            matrix(self.W0).addmm_(self.B, self.A, alpha=self.scale)

    @torch.no_grad()
    def unmerge(self) -> None:
        """Puts W0 back, to the bit."""
        if self._unmerged is not None:
            self.W0.weight.copy_(self._unmerged)
            self._unmerged = None


class LoRA(Paper):
    """LoRA around a network.

    Args:
        rank: r.
        alpha: the scale's numerator.
        dropout: on the input of the low-rank branch.
        targets: which linear modules are adapted, by the ends of their names: query, c_attn, attention.self.value, ...
        init: "released" (kaiming-uniform A) or "published" (Gaussian A); B is zero in both.
        sigma: standard deviation of the published start.
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
        heads = head_modules(network)
        linear = {
            name: module
            for name, module in network.named_modules()
            if isinstance(module, LINEAR) and not _within(name, heads)
        }
        for name in matching(self.targets, linear):
            W0 = linear[name]
            if self.rank > min(matrix(W0).shape):
                d, k = matrix(W0).shape
                raise UserError(
                    f"paper.rank is {self.rank}, but {name} is a {d} x {k} matrix", f"the rank is at most {min(d, k)}"
                )
            network.set_submodule(name, LowRank(W0, self.rank, self.alpha, self.dropout, self.init, self.sigma))
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

    def save_product(self, folder: Path) -> None:
        heads = head_modules(self.network)
        tensors = {name: parameter for name, parameter in self.network.named_parameters() if _within(name, heads)}
        for name, module in self.adapted():
            tensors |= {f"{name}.lora_A.weight": module.A, f"{name}.lora_B.weight": module.B}
        write_adapter(folder, self._peft_config(heads), tensors)

    def load_product(self, folder: Path) -> None:
        """Reads A, B and the head from a PEFT folder, ours or PEFT's; a head of another shape is left as it is.

        Raises:
            UserError: the adapter is not plain LoRA of this rank, alpha and targets.
        """
        config, tensors = read_adapter(folder)
        file = Path(folder) / TENSORS
        check_peft_config(config, Path(folder) / CONFIG, rank=self.rank, alpha=self.alpha)
        self.unmerge()
        for name, module in self.adapted():
            for letter, parameter in (("A", module.A), ("B", module.B)):
                key = f"{name}.lora_{letter}.weight"
                if key not in tensors:
                    raise UserError(f"{file} lacks {key}", "start from an adapter with the same paper.targets")
                stored = tensors.pop(key)
                if stored.shape != parameter.shape:
                    raise shape_error(file, key, stored, parameter)
                parameter.data.copy_(stored)
        copy_tensors(self.network, tensors, file)

    def _peft_config(self, heads: list[str]) -> dict[str, Any]:
        base = getattr(self.network, "name_or_path", "")
        return {
            "peft_type": "LORA",
            "task_type": task_type(self.network),
            "r": self.rank,
            "lora_alpha": self.alpha,
            "lora_dropout": self.dropout,
            "bias": "none",
            "inference_mode": True,
            "target_modules": self.targets,
            "modules_to_save": heads or None,
            "fan_in_fan_out": any(is_transposed(module.W0) for _, module in self.adapted()),
            "init_lora_weights": True if self.init == "released" else "gaussian",
            "base_model_name_or_path": base if base and not Path(base).exists() else None,  # no machine's own paths
        }


def matching(targets: Sequence[str], names: Sequence[str] | Mapping[str, nn.Module]) -> list[str]:
    """The names that end in a target, in the order of the network.

    Raises:
        UserError: a target matches none.
    """
    found = set()
    for target in targets:
        hits = {name for name in names if name == target or name.endswith(f".{target}")}
        if not hits:
            known = ", ".join(dict.fromkeys(name.rpartition(".")[2] for name in names))
            raise UserError(f"paper.targets: no module of this network is called {target!r}", f"there are {known}")
        found |= hits
    return [name for name in names if name in found]


# PEFT's settings that leave eq. 3 as it is, and those whose value must be the one given here.
_HARMLESS = {
    "auto_mapping",
    "base_model_name_or_path",
    "ephemeral_gpu_offload",
    "exclude_modules",
    "fan_in_fan_out",
    "inference_mode",
    "layers_pattern",
    "layers_to_transform",
    "lora_alpha",
    "lora_dropout",
    "megatron_core",
    "modules_to_save",
    "peft_version",
    "qalora_group_size",
    "r",
    "revision",
    "runtime_config",
    "target_modules",
    "task_type",
}
_REQUIRED = {"peft_type": ("LORA",), "bias": ("none",), "init_lora_weights": (True, False, "gaussian")}


def check_peft_config(config: Mapping[str, Any], file: Path, *, rank: int, alpha: float) -> None:
    """Refuses an adapter that is not eq. 3 with this rank and alpha.

    Raises:
        UserError: it names the file and the key.
    """
    for key, value in config.items():
        if key in _REQUIRED:
            if value not in _REQUIRED[key]:
                known = " or ".join(map(repr, _REQUIRED[key]))
                raise UserError(f"{file}: {key} is {value!r}", f"only {known} can be read")
        elif value and key not in _HARMLESS:
            raise UserError(f"{file}: {key} is {value!r}", "this kind of adapter is not plain LoRA and cannot be read")
    for key, name, wanted in (("r", "paper.rank", rank), ("lora_alpha", "paper.alpha", alpha)):
        if config.get(key, 8) != wanted:  # 8 is PEFT's default for both
            raise UserError(
                f"{file}: {key} is {config.get(key, 8)}, this run has {name}={wanted}",
                f"say {name}={config.get(key, 8)} or start from another adapter",
            )


def _within(name: str, modules: Sequence[str]) -> bool:
    return any(name == module or name.startswith(f"{module}.") for module in modules)
