"""GLUE's metrics over a whole corpus, in points (x100), on torchmetrics, in double precision throughout.

torchmetrics' own F1, Matthews and Spearman work in single precision, the last with an epsilon: they are had from its
counts and its Pearson instead.

Degenerate input has a defined value, the one that scikit-learn's users expect: Matthews is 0 when the predictions or
the references are all of one class (also when they agree), F1 is 0 when class 1 is neither predicted nor present,
Pearson and Spearman are 0 when either side is constant.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from scipy.stats import rankdata
from torchmetrics.functional import classification, pearson_corrcoef

version = 1


def accuracy(predictions: Sequence[int], references: Sequence[int]) -> float:
    """Returns the share of predictions that are right."""
    predicted, true = _integers(predictions, references)
    return 100.0 * (predicted == true).double().mean().item()


def f1(predictions: Sequence[int], references: Sequence[int]) -> float:
    """Returns the F1 of class 1, as GLUE reports it for MRPC and QQP."""
    predicted, true = _integers(predictions, references)
    hits, false_alarms, _, misses, _ = classification.binary_stat_scores(predicted, true).tolist()
    return 100.0 * 2 * hits / max(2 * hits + false_alarms + misses, 1)


def macro_f1(predictions: Sequence[int], references: Sequence[int]) -> float:
    """Returns the mean F1 of the classes that are predicted or present, each counted alike."""
    predicted, true = _integers(predictions, references)
    classes = torch.cat([predicted, true]).unique().tolist()
    return sum(f1(predicted == one, true == one) for one in classes) / len(classes)


def matthews(predictions: Sequence[int], references: Sequence[int]) -> float:
    """Returns Matthews' correlation of two classes, from -100 to 100."""
    predicted, true = _integers(predictions, references)
    return _correlation(predicted.double(), true.double())  # of two classes it is Pearson's


def pearson(predictions: Sequence[float], references: Sequence[float]) -> float:
    """Returns Pearson's correlation, from -100 to 100."""
    return _correlation(*_numbers(predictions, references))


def spearman(predictions: Sequence[float], references: Sequence[float]) -> float:
    """Returns Spearman's rank correlation, ties at their mean rank, from -100 to 100."""
    predicted, true = (torch.from_numpy(rankdata(side)) for side in _numbers(predictions, references))
    return _correlation(predicted, true)


METRICS = {
    "accuracy": accuracy,
    "f1": f1,
    "macro_f1": macro_f1,
    "matthews": matthews,
    "pearson": pearson,
    "spearman": spearman,
}


def _integers(predictions: Sequence[int], references: Sequence[int]) -> tuple[torch.Tensor, torch.Tensor]:
    return _paired(torch.as_tensor(predictions, dtype=torch.long), torch.as_tensor(references, dtype=torch.long))


def _numbers(predictions: Sequence[float], references: Sequence[float]) -> tuple[torch.Tensor, torch.Tensor]:
    return _paired(torch.as_tensor(predictions, dtype=torch.double), torch.as_tensor(references, dtype=torch.double))


def _paired(predicted: torch.Tensor, true: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    if predicted.shape != true.shape or predicted.ndim != 1 or not len(true):
        raise ValueError(f"{tuple(predicted.shape)} predictions for {tuple(true.shape)} references")
    return predicted, true


def _correlation(predicted: torch.Tensor, true: torch.Tensor) -> float:
    if any((side == side[0]).all() for side in (predicted, true)):
        return 0.0
    return 100.0 * pearson_corrcoef(_centred(predicted), _centred(true)).item()


def _centred(values: torch.Tensor) -> torch.Tensor:
    """Centres, and scales to at most 1: nearly constant values would otherwise lose their digits."""
    centred = values - values.mean()
    return centred / centred.abs().max()
