"""Where low-rank updates point: what two of them share, and which directions of a frozen matrix they amplify.

A runs over (r, k) and B over (d, r), as in h = W x + s B A x. Everything is computed in float64.

Source: Hu et al. 2022, section 7 and appendices G and H.
"""

from __future__ import annotations

import torch
from torch import Tensor

DRAWS = 16
"""Random directions whose projections are averaged: one draw of rank 4 varies by a fifth."""


def row_directions(A: Tensor) -> Tensor:
    """The right-singular vectors of A (r, k), the strongest first, as columns: (k, min(r, k))."""
    return torch.linalg.svd(A.double(), full_matrices=False).Vh.mT


def update_directions(B: Tensor, A: Tensor) -> Tensor:
    """The right-singular vectors of the update B A, the strongest first, as columns: (k, min(r, k)).

    Unlike those of A alone, what B leaves out counts nothing here.
    """
    R = torch.linalg.qr(B.double()).R  # B A = Q (R A), and Q turns nothing in the space of rows
    return row_directions(R @ A.double())


def similarity(U1: Tensor, U2: Tensor) -> Tensor:
    """phi(i, j) = ||U1_i^T U2_j||_F^2 / min(i, j) of the first i and j directions, for all i and j at once.

    Args:
        U1: orthonormal columns (k, r1).
        U2: orthonormal columns (k, r2).
    Returns:
        (r1, r2), at [i - 1, j - 1]: 1 where one span holds the other, 0 where they are orthogonal.
    Source: eq. 4 of section 7.2.
    """
    sums = (U1.mT @ U2).square().cumsum(0).cumsum(1)
    return sums / torch.minimum(*_counts(U1.shape[1], U2.shape[1]))


def chance(r1: int, r2: int, k: int) -> Tensor:
    """What phi(i, j) is on average for random subspaces of R^k: max(i, j) / k, as (r1, r2)."""
    return torch.maximum(*_counts(r1, r2)) / k


def gaussian_similarity(r1: int, r2: int, k: int, generator: torch.Generator) -> Tensor:
    """phi of two matrices (r1, k) and (r2, k) drawn from a Gaussian, as (r1, r2)."""
    drawn = (torch.randn(r, k, dtype=torch.float64, generator=generator) for r in (r1, r2))
    return similarity(*map(row_directions, drawn))


def amplification(W: Tensor, B: Tensor, A: Tensor, scale: float, generator: torch.Generator) -> dict[str, float]:
    """How much an update stresses what a matrix holds in the update's own directions.

    Args:
        W: the frozen matrix (d, k).
        B: (d, r).
        A: (r, k).
        scale: alpha / r; the update is Delta W = scale B A.
        generator: of the random directions.
    Returns:
        weight_norm ||W||_F, update_norm ||Delta W||_F; ||U^T W V^T||_F by whose first r directions U and V are:
        projection_norm_update, projection_norm_top (W's own), projection_norm_random (orthonormal, the mean of DRAWS);
        and amplification, update_norm / projection_norm_update.
    Source: Table 7 and appendix H.4.
    """
    W, update, r = W.double(), scale * (B.double() @ A.double()), A.shape[0]
    U, _, Vh = torch.linalg.svd(update, full_matrices=False)
    projected = _norm(U[:, :r].mT @ W @ Vh[:r].mT)
    random = [
        _norm(_orthonormal(W.shape[0], r, generator).mT @ W @ _orthonormal(W.shape[1], r, generator))
        for _ in range(DRAWS)
    ]
    return {
        "weight_norm": _norm(W),
        "update_norm": _norm(update),
        "projection_norm_update": projected,
        "projection_norm_top": _norm(torch.linalg.svdvals(W)[:r]),  # U^T W V^T holds W's first r singular values
        "projection_norm_random": sum(random) / DRAWS,
        "amplification": _norm(update) / projected,
    }


def _counts(r1: int, r2: int) -> tuple[Tensor, Tensor]:
    """i in the rows, j in the columns, from 1."""
    i, j = torch.arange(1, r1 + 1, dtype=torch.float64), torch.arange(1, r2 + 1, dtype=torch.float64)
    return i[:, None].expand(r1, r2), j[None, :].expand(r1, r2)


def _orthonormal(size: int, r: int, generator: torch.Generator) -> Tensor:
    """r random orthonormal columns (size, r)."""
    return torch.linalg.qr(torch.randn(size, r, dtype=torch.float64, generator=generator)).Q


def _norm(matrix: Tensor) -> float:
    return float(torch.linalg.vector_norm(matrix))
