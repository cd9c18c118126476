"""Formulas that several papers use."""

from __future__ import annotations

import math
from collections.abc import Sequence

from repro.ledger.formula import formula


@formula("sum(values) / n")
def mean(values: Sequence[float]) -> float:
    """The mean of some numbers."""
    return math.fsum(values) / len(values)


@formula("sum(values)")
def total(values: Sequence[float]) -> float:
    """The sum of some numbers."""
    return math.fsum(values)


@formula("left - right")
def difference(left: float, right: float) -> float:
    """How much more the left is than the right."""
    return left - right


@formula("left / right")
def ratio(left: float, right: float) -> float:
    """How many times the right the left is."""
    return left / right


@formula("100 part / whole", unit="%")
def percent(part: float, whole: float) -> float:
    """A part of a whole, in percent."""
    return 100 * part / whole


@formula("100 (new - old) / old", unit="%")
def change(new: float, old: float) -> float:
    """How much something grew, in percent of what it was."""
    return 100 * (new - old) / old


@formula("vocabulary width + positions width + layers (12 width^2 + 13 width) + 2 width", unit="parameters")
def gpt2_parameters(*, layers: int, width: int, vocabulary: int, positions: int) -> float:
    """All parameters of a GPT-2-shaped decoder: tied embeddings, learnt positions, biases, a last LayerNorm."""
    return vocabulary * width + positions * width + layers * (12 * width**2 + 13 * width) + 2 * width


@formula("adapters (2 width bottleneck + bottleneck + width) + 2 norms width", unit="parameters")
def adapter_parameters(*, adapters: int, width: int, bottleneck: int, norms: int = 0) -> float:
    """Bottleneck adapters with biases, and the LayerNorms trained beside them (Houlsby et al., 2019)."""
    return adapters * (2 * width * bottleneck + bottleneck + width) + 2 * norms * width
