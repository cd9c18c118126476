from __future__ import annotations

import torch
from torch import nn
from transformers.pytorch_utils import Conv1D

from repro.models.linear import is_transposed, matrix


def test_the_matrix_is_that_of_h_equal_w_x_in_both_forms_and_shares_memory():
    for layer in (nn.Linear(3, 5), Conv1D(5, 3)):
        x = torch.randn(2, 3)
        W = matrix(layer).detach()
        assert W.shape == (5, 3)
        torch.testing.assert_close(layer(x), x @ W.T + layer.bias)
        W.zero_()
        assert not layer.weight.any()
    assert is_transposed(Conv1D(5, 3))
    assert not is_transposed(nn.Linear(3, 5))
