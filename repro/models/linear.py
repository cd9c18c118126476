"""The two forms of a linear map in transformers: nn.Linear, weight (out, in), and GPT-2's Conv1D, weight (in, out)."""

from __future__ import annotations

from torch import Tensor, nn
from transformers.pytorch_utils import Conv1D

LINEAR = (nn.Linear, Conv1D)


def is_transposed(layer: nn.Module) -> bool:
    """Whether the weight is stored as (in, out)."""
    return isinstance(layer, Conv1D)


def matrix(layer: nn.Module) -> Tensor:
    """The weight as the matrix W of h = W x, shape (out, in): a view that shares its memory."""
    return layer.weight.t() if is_transposed(layer) else layer.weight
