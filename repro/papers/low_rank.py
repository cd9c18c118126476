"""What low-rank updates learnt: stages that look at the adapters of other runs and train nothing (Hu et al. 2022).

- Shared: phi(i, j), how much of the first i directions of one run lies in the first j of another (section 7.2), of two
  ranks with one seed or of one rank with two seeds; of A as the paper has it, and of the update B A.
- Amplified: ||Delta W||_F against what W holds in the update's directions, ||U^T W V^T||_F (section 7.3, Table 7).

Any PEFT folder with plain low-rank updates can stand in an input's place: inputs.first=FOLDER.

**Differs from the text:**
- Numbers are means over the layers, and those of Table 7 of the middle layer too; the text shows layer 48 of 96.
- Beside A's directions stand those of B A: where A starts at random and moves little, its own say little.
- Chance is max(i, j) / k and beside it stand Gaussian matrices of the same shapes: a small network has a small k.
- With one seed, A of both ranks starts the first adapted matrix from the same numbers; compare=both has two seeds.
- "Random" of Table 7 is the mean of 16 draws, orthonormal; the text has one draw.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from repro.errors import UserError
from repro.models.adapter_folder import CONFIG, PATTERNS, TENSORS, Update, check_plain, read_adapter, updates
from repro.models.linear import matrix
from repro.models.subspace import (
    amplification,
    chance,
    gaussian_similarity,
    row_directions,
    similarity,
    update_directions,
)
from repro.papers.base import Paper
from repro.tasks.base import Measured

COMPARISONS = ("ranks", "seeds", "both")
NAMED = ((1, 1), (1, 8), (2, 8), (8, 8))
"""The i and j whose phi has a metric of its own."""
SMALL = 8
"""Up to which i and j the metric "mean" goes, and up to which i details hold phi."""
FAR = 64
"""Up to which j details hold phi."""
EXPECTED = ("gaussian", "chance")
"""Kinds that know nothing of the updates: details hold the first target's alone."""


class Study(Paper):
    """Looks at what other runs learnt: nothing is trained, predicted or left for others."""

    trains = False

    def adapt(self, networks: dict[str, nn.Module]) -> nn.Module:
        return networks["network"].requires_grad_(False)

    def scored_splits(self) -> list[str]:
        return []

    def save_product(self, folder: Path) -> None:
        """There is nothing to save."""

    def updates(self, name: str) -> dict[str, dict[str, Update]]:
        """Reads the updates of an input, as read_updates has them.

        Raises:
            UserError: the input is missing, or holds no plain low-rank updates.
        """
        if name not in self.inputs:
            raise UserError(f"inputs.{name} is missing", "it is a run with an adapter, or the folder of one")
        return read_updates(self.inputs[name])


class Shared(Study):
    """Compares the directions of two runs.

    Metrics: KIND_TARGET_I_J, phi of that kind at i and j, and KIND_TARGET_mean, over all i, j <= 8. Kinds: similarity
    (of A), update_similarity (of B A), gaussian and chance. All are means over the layers.
    Details: the grids i <= 8, j <= 64 by kind, target and layer: the mean of all; of similarity the first and the last
    layer too; of gaussian and chance the first target alone.

    Args:
        compare: "ranks", "seeds" or "both", what the inputs differ in.
        rank: of the first, unless seeds are compared.
        other_rank: of the second; of both, where seeds are compared.
        base: what every paper takes.
    Raises:
        UserError: compare is neither.
    """

    version = 1

    def __init__(self, *, compare: str, rank: int, other_rank: int, **base: Any) -> None:
        super().__init__(**base)
        if compare not in COMPARISONS:
            raise UserError(f"paper.compare is {compare!r}", f"say {', '.join(COMPARISONS[:-1])} or {COMPARISONS[-1]}")
        self.compare, self.rank, self.other_rank = compare, rank, other_rank

    def measured(self) -> Measured:
        """phi of every pair of matrices that both inputs adapt."""
        first, second = self.updates("first"), self.updates("second")
        generator = torch.Generator().manual_seed(self.seed)
        numbers, details = {}, {}
        for target in (target for target in first if target in second):
            names = [name for name in first[target] if name in second[target]]
            found = compared(
                [first[target][name] for name in names], [second[target][name] for name in names], generator
            )
            for kind, grids in found.items():
                numbers |= named(f"{kind}_{target}", grids.mean(0))
                if kind not in details or kind not in EXPECTED:
                    details.setdefault(kind, {})[target] = shown(grids, every=kind == "similarity")
        if not details:
            raise UserError("the inputs first and second adapt no matrix in common", "give both the same paper.targets")
        return Measured(numbers, details)


class Amplified(Study):
    """Measures how an update stands to the matrix that it is added to.

    Metrics: NUMBER_TARGET, the mean over the layers, and NUMBER_TARGET_middle, the layer in the middle. Numbers:
    amplification, weight_norm, update_norm, projection_norm_update, projection_norm_top, projection_norm_random.
    Details: every number by target, a list over the layers.

    Args:
        rank: of the input.
        base: what every paper takes.
    """

    version = 1

    def __init__(self, *, rank: int, **base: Any) -> None:
        super().__init__(**base)
        self.rank = rank

    def measured(self) -> Measured:
        """Table 7 for every adapted matrix."""
        generator = torch.Generator().manual_seed(self.seed)
        numbers, details = {}, {}
        for target, pairs in self.updates("adapter").items():
            layers = [
                amplification(matrix(self._frozen(name)).cpu(), one.B, one.A, one.scale, generator)
                for name, one in pairs.items()
            ]
            details[target] = {key: [float(f"{layer[key]:.6g}") for layer in layers] for key in layers[0]}
            middle = layers[(len(layers) - 1) // 2]  # layer 48 of 96
            for key in layers[0]:
                numbers[f"{key}_{target}"] = sum(layer[key] for layer in layers) / len(layers)
                numbers[f"{key}_{target}_middle"] = middle[key]
        return Measured(numbers, details)

    def _frozen(self, name: str) -> nn.Module:
        try:
            return self.network.get_submodule(name)
        except AttributeError:
            raise UserError(
                f"this network has no {name}, which inputs.adapter adapts", "choose the network that it was trained on"
            ) from None


def compared(first: Iterable[Update], second: Iterable[Update], generator: torch.Generator) -> dict[str, Tensor]:
    """phi of pairs of updates, by kind.

    Returns:
        similarity, update_similarity, gaussian and chance, each (layers, r1, r2).
    """
    found: dict[str, list[Tensor]] = {}
    for one, other in zip(first, second, strict=True):
        shape = (one.A.shape[0], other.A.shape[0], one.A.shape[1])
        for kind, grid in (
            ("similarity", similarity(row_directions(one.A), row_directions(other.A))),
            ("update_similarity", similarity(update_directions(one.B, one.A), update_directions(other.B, other.A))),
            ("gaussian", gaussian_similarity(*shape, generator)),
            ("chance", chance(*shape)),
        ):
            found.setdefault(kind, []).append(grid)
    return {kind: torch.stack(grids) for kind, grids in found.items()}


def named(name: str, grid: Tensor) -> dict[str, float]:
    """The metrics of a grid: phi at some i and j, and its mean over small ones."""
    inside = ((i, j) for i, j in NAMED if i <= grid.shape[0] and j <= grid.shape[1])
    return {f"{name}_{i}_{j}": float(grid[i - 1, j - 1]) for i, j in inside} | {
        f"{name}_mean": float(grid[:SMALL, :SMALL].mean())
    }


def shown(grids: Tensor, *, every: bool) -> dict[str, list[list[float]]]:
    """Grids for a figure: the mean over the layers, and where asked for the first and the last layer."""
    layers = {"mean": grids.mean(0)} | ({"first": grids[0], "last": grids[-1]} if every else {})
    return {
        layer: [[round(phi, 4) for phi in row] for row in grid[:SMALL, :FAR].tolist()] for layer, grid in layers.items()
    }


def read_updates(folder: Path) -> dict[str, dict[str, Update]]:
    """Reads the low-rank updates of a PEFT folder.

    Returns:
        by target ("query"), then by the matrix's name in the network, layer by layer.
    Raises:
        UserError: it holds none, or updates of another kind.
    """
    config, tensors = read_adapter(folder)
    check_plain(config, Path(folder) / CONFIG, PATTERNS)
    found, _ = updates(config, tensors, folder)
    if not found:
        raise UserError(f"{Path(folder) / TENSORS} holds no low-rank updates", "name a run whose adapter has some")
    targets: dict[str, dict[str, Update]] = {}
    for name in sorted(found, key=_in_order):
        targets.setdefault(name.rpartition(".")[2], {})[name] = found[name]
    return targets


def _in_order(name: str) -> list[tuple[bool, int, str]]:
    """Layer 10 stands behind layer 9."""
    return [(part.isdigit(), int(part) if part.isdigit() else 0, part) for part in re.split(r"(\d+)", name)]
