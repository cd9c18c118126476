"""Directions of low-rank updates against scipy's principal angles, numpy by hand, and chance by simulation."""

from __future__ import annotations

import math

import numpy as np
import pytest
import scipy.linalg
import torch

from repro.models.subspace import (
    DRAWS,
    amplification,
    chance,
    gaussian_similarity,
    row_directions,
    similarity,
    update_directions,
)


def drawn(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize(("i", "j"), [(1, 1), (1, 6), (3, 3), (4, 2), (4, 6)])
def test_phi_is_the_mean_squared_cosine_of_the_principal_angles(i, j):
    A1, A2 = drawn(4, 12), drawn(6, 12, seed=1)
    spans = [np.linalg.svd(A.double().numpy())[2][:n].T for A, n in ((A1, i), (A2, j))]
    cosines = np.cos(scipy.linalg.subspace_angles(*spans))
    found = similarity(row_directions(A1), row_directions(A2))
    assert found.shape == (4, 6)
    assert float(found[i - 1, j - 1]) == pytest.approx(float((cosines**2).sum()) / min(i, j), abs=1e-12)


def test_phi_worked_by_hand():
    turn = math.cos(math.pi / 3)
    A1 = torch.tensor([[2.0, 0, 0], [0, 1, 0]])  # first e1, then e2
    A2 = torch.tensor([[3 * turn, 3 * math.sqrt(1 - turn**2), 0], [0, 0, 1.0]])  # 60 degrees from e1, then e3
    assert similarity(row_directions(A1), row_directions(A2)).numpy() == pytest.approx(
        np.array([[0.25, 0.25], [1.0, 0.5]])
    )


def test_a_span_within_the_other_has_phi_one_and_an_orthogonal_one_zero():
    A = drawn(6, 20)
    inside, outside = A[:2], torch.linalg.svd(A.double(), full_matrices=True).Vh[6:8]
    assert float(similarity(row_directions(inside), row_directions(A))[1, 5]) == pytest.approx(1)
    assert float(similarity(row_directions(outside), row_directions(A))[1, 5]) == pytest.approx(0, abs=1e-12)


def test_directions_of_the_update_are_those_of_the_whole_product():
    B, A = drawn(10, 3), drawn(3, 14, seed=1)
    expected = np.linalg.svd((B.double() @ A.double()).numpy())[2][:3]
    found = update_directions(B, A)
    assert np.abs(expected @ found.numpy()) == pytest.approx(np.eye(3), abs=1e-10)
    weak = torch.cat([B[:, :1] * 1e-9, B[:, 1:]], dim=1)  # B leaves A's first row out: so does the update
    assert float(similarity(update_directions(weak, A), row_directions(A[1:]))[1, 1]) == pytest.approx(1)
    assert float(similarity(row_directions(A), row_directions(A[1:]))[1, 1]) < 0.99


def test_chance_is_what_random_subspaces_share():
    generator, draws, k = torch.Generator().manual_seed(3), 400, 16
    grids = torch.stack([gaussian_similarity(4, 8, k, generator) for _ in range(draws)])
    expected = chance(4, 8, k)
    assert expected[0, 0] == 1 / k
    assert expected[3, 1] == 4 / k
    assert expected[1, 7] == 8 / k
    error = grids.std(0) / math.sqrt(draws)
    assert ((grids.mean(0) - expected).abs() < 4.5 * error).all()


def test_amplification_worked_by_hand():
    W = torch.diag(torch.tensor([8.0, 4.0, 1.0]))
    B, A = torch.tensor([[0.0], [0.0], [3.0]]), torch.tensor([[0.0, 0.0, 1.0]])  # stresses W's weakest direction
    found = amplification(W, B, A, 2.0, torch.Generator().manual_seed(0))
    assert found["weight_norm"] == pytest.approx(9)
    assert found["update_norm"] == pytest.approx(6)
    assert found["projection_norm_update"] == pytest.approx(1)
    assert found["projection_norm_top"] == pytest.approx(8)
    assert found["amplification"] == pytest.approx(6)


def test_amplification_against_numpy():
    W, B, A = drawn(10, 14), drawn(10, 3, seed=1), drawn(3, 14, seed=2)
    found = amplification(W, B, A, 0.5, torch.Generator().manual_seed(0))
    U, S, Vt = np.linalg.svd((0.5 * B.double() @ A.double()).numpy())
    w = W.double().numpy()
    Uw, _, Vw = np.linalg.svd(w)
    expected = {
        "weight_norm": np.linalg.norm(w),
        "update_norm": np.linalg.norm(S),
        "projection_norm_update": np.linalg.norm(U[:, :3].T @ w @ Vt[:3].T),
        "projection_norm_top": np.linalg.norm(Uw[:, :3].T @ w @ Vw[:3].T),
    }
    for name, value in expected.items():
        assert found[name] == pytest.approx(float(value))
    assert found["amplification"] == pytest.approx(found["update_norm"] / found["projection_norm_update"])


@pytest.mark.parametrize("r", [4, 16])
def test_random_directions_find_r_norm_over_d_of_a_matrix(r):
    d, generator = 64, torch.Generator().manual_seed(5)
    W = drawn(d, d)
    found = [
        amplification(W, torch.ones(d, r), torch.ones(r, d), 1.0, generator)["projection_norm_random"]
        for _ in range(12)
    ]
    expected = r * float(W.norm()) / d  # the root of the expected square; the mean lies below it by about 1 / (4 r^2)
    error = np.std(found, ddof=1) / math.sqrt(len(found))
    assert abs(np.mean(found) / expected - 1) < 4 * error / expected + 1 / (2 * r * r)
    assert np.std(found, ddof=1) / expected < 2 / (r * math.sqrt(2 * DRAWS))
