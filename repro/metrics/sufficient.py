"""Metrics by their sufficient statistics: a few numbers for each example, from which the score of any corpus follows.

With them the score of a resampled corpus costs a sum instead of a run over its predictions. A metric is known by its
name and has

    statistics(predictions, references)   (examples, k): what a run keeps for each example
    value(statistics, counts)             the score, in points, of the corpus in which example i stands counts[i] times
    quality(statistics)                   (examples,): how well each example did; only its order means anything
    better                                what it means that one run's quality is above another's

Scores, degenerate ones too, are those of `repro.metrics.classification`, without torch: comparing runs starts quickly.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import ArrayLike, NDArray

from repro.errors import UserError, did_you_mean

FORM = 1
"""Of the files; no part of any result."""
TINY = 1e-10
"""A variance that is smaller, relative to its parts, is none."""
Array = NDArray[np.float64]


@dataclass(frozen=True)
class FromSums:
    """A metric of the sums of its statistics over the corpus: sums (..., k) and examples (...) to scores (...)."""

    name: str
    statistics: Callable[[ArrayLike, ArrayLike], Array]
    of_sums: Callable[[Array, ArrayLike], Array]
    quality: Callable[[Array], Array]
    better: str

    def value(self, statistics: Array, counts: Array | None = None) -> Array:
        """Returns the score of the corpus, or, for counts (resamples, examples), the scores (resamples,)."""
        if counts is None:
            return self.of_sums(statistics.sum(axis=0), len(statistics))
        return self.of_sums(counts @ statistics, counts.sum(axis=-1))


@dataclass(frozen=True)
class FromExamples:
    """A metric without sums, made anew for every corpus: statistics (examples, k) and counts (..., examples)."""

    name: str
    statistics: Callable[[ArrayLike, ArrayLike], Array]
    of_examples: Callable[[Array, Array], Array]
    quality: Callable[[Array], Array]
    better: str

    def value(self, statistics: Array, counts: Array | None = None) -> Array:
        """Returns the score of the corpus, or, for counts (resamples, examples), the scores (resamples,)."""
        return self.of_examples(statistics, np.ones(len(statistics)) if counts is None else counts)


Metric = FromSums | FromExamples


def _right(predictions: ArrayLike, references: ArrayLike) -> Array:
    return (np.asarray(predictions) == np.asarray(references)).astype(float)[:, None]


def _cell(predictions: ArrayLike, references: ArrayLike) -> Array:
    """Returns (examples, 4): hit, false alarm, miss, rightly left out; class 1 is the one looked for."""
    predicted, true = np.asarray(predictions) == 1, np.asarray(references) == 1
    return np.stack([predicted & true, predicted & ~true, ~predicted & true, ~predicted & ~true], axis=1).astype(float)


def _pair(predictions: ArrayLike, references: ArrayLike) -> Array:
    return np.stack([np.asarray(predictions, float), np.asarray(references, float)], axis=1)


def _accuracy(sums: Array, examples: ArrayLike) -> Array:
    return 100 * sums[..., 0] / examples


def _f1(sums: Array, _: ArrayLike) -> Array:
    hits, false_alarms, misses = sums[..., 0], sums[..., 1], sums[..., 2]
    return 100 * 2 * hits / np.maximum(2 * hits + false_alarms + misses, 1)


def _matthews(sums: Array, _: ArrayLike) -> Array:
    hits, false_alarms, misses, left_out = (sums[..., place] for place in range(4))
    sides = (hits + false_alarms) * (hits + misses) * (left_out + false_alarms) * (left_out + misses)
    return 100 * (hits * left_out - false_alarms * misses) / np.sqrt(np.where(sides > 0, sides, np.inf))


def _pearson(pairs: Array, counts: Array) -> Array:
    return _correlation(*(_scaled(side) for side in pairs.T), counts)


def _spearman(pairs: Array, counts: Array) -> Array:
    return _correlation(*(_ranks(side, counts) for side in pairs.T), counts)


def _scaled(side: Array) -> Array:
    """Centres, and scales to at most 1: sums of squares would otherwise lose the digits of nearly constant values."""
    centred = side - side.mean()
    return centred / (np.abs(centred).max() or 1.0)


def _ranks(side: Array, counts: Array) -> Array:
    """Returns each example's mean rank in the resampled corpus, less the corpus's mean rank: (..., examples)."""
    values, group = np.unique(side, return_inverse=True)
    order = np.argsort(group, kind="stable")
    starts = np.searchsorted(group[order], np.arange(len(values)))
    sizes = np.add.reduceat(counts[..., order], starts, axis=-1)  # (..., values)
    ranks = np.cumsum(sizes, axis=-1) - sizes / 2 - counts.sum(axis=-1, keepdims=True) / 2
    return ranks[..., group]


def _correlation(first: Array, second: Array, counts: Array) -> Array:
    """Returns Pearson's correlation, where example i stands counts[..., i] times; 0 where a side is constant."""
    n = counts.sum(axis=-1)
    x, y, xx, yy, xy = (
        np.einsum("...i,...i->...", counts, part)
        for part in (first, second, first * first, second * second, first * second)
    )
    spread_x, spread_y = xx - x * x / n, yy - y * y / n
    varied = (spread_x > TINY * xx) & (spread_y > TINY * yy)
    return 100 * np.where(varied, (xy - x * y / n) / np.sqrt(np.where(varied, spread_x * spread_y, 1.0)), 0.0)


def _is_right(statistics: Array) -> Array:
    return statistics[:, 0]


def _is_right_of_cell(statistics: Array) -> Array:
    return statistics[:, 0] + statistics[:, 3]


def _nearness(statistics: Array) -> Array:
    return -np.abs(statistics[:, 0] - statistics[:, 1])


RIGHT, NEARER = "right where the other is wrong", "nearer to the reference than the other"
METRICS: dict[str, Metric] = {
    one.name: one
    for one in (
        FromSums("accuracy", _right, _accuracy, _is_right, RIGHT),
        FromSums("f1", _cell, _f1, _is_right_of_cell, RIGHT),
        FromSums("matthews", _cell, _matthews, _is_right_of_cell, RIGHT),
        FromExamples("pearson", _pair, _pearson, _nearness, NEARER),
        FromExamples("spearman", _pair, _spearman, _nearness, NEARER),
    )
}


def place_of(predictions: Path) -> Path:
    """Returns where the statistics of a file of predictions lie: beside it."""
    return predictions.with_name(f"{predictions.stem}.statistics.jsonl")


@dataclass(frozen=True)
class Kept:
    """What a file of statistics holds.

    Attributes:
        data: digest of the examples.
        predictions: digest of the file of predictions that they were made from.
        ids: of the examples, in their order.
        statistics: by metric, (examples, k).
    """

    data: str
    predictions: str
    ids: Sequence[int]
    statistics: Mapping[str, Array]


def write(kept: Kept, file: Path) -> None:
    """Writes statistics: a first line that says what they are of, then one line an example.

    Raises:
        OSError: the file cannot be written.
    """
    columns = {name: _plain(array) for name, array in kept.statistics.items()}
    head = {"form": FORM, "data": kept.data, "predictions": kept.predictions, "metrics": list(columns)}
    lines = [{"id": key} | {name: rows[place] for name, rows in columns.items()} for place, key in enumerate(kept.ids)]
    file.write_text("".join(json.dumps(line) + "\n" for line in [head, *lines]), encoding="utf-8")


def read(file: Path) -> Kept:
    """Reads what `write` wrote.

    Raises:
        UserError: the file is broken, or of another form.
    """
    try:
        head, *lines = map(json.loads, file.read_text(encoding="utf-8").splitlines())
        if head["form"] != FORM:
            raise ValueError(f"form {head['form']}")
        statistics = {name: np.array([line[name] for line in lines], float) for name in head["metrics"]}
        return Kept(head["data"], head["predictions"], [line["id"] for line in lines], statistics)
    except (ValueError, KeyError, TypeError) as error:
        raise UserError(
            f"{file} is no file of statistics ({error})", "move it away: they are made again from the predictions"
        ) from None


def metric(name: str, known: Sequence[str] | None = None) -> Metric:
    """Returns the metric of a name, out of those known (all of METRICS).

    Raises:
        UserError: there is no such metric.
    """
    known = list(METRICS) if known is None else known
    if name not in known:
        raise UserError(f"there is no metric {name} here", did_you_mean(name, known))
    return METRICS[name]


def _plain(array: Array) -> list[list[float | int]]:
    return [[int(one) if one.is_integer() else one for one in row] for row in array.tolist()]
