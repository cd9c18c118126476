"""GLUE's metrics against scikit-learn and scipy."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats
from sklearn import metrics as peer

from repro.metrics import classification as ours

CLASSES = {"accuracy": peer.accuracy_score, "f1": peer.f1_score, "matthews": peer.matthews_corrcoef}
NUMBERS = {"pearson": stats.pearsonr, "spearman": stats.spearmanr}


@pytest.mark.parametrize("name", CLASSES)
@pytest.mark.parametrize("share", [0.1, 0.5, 0.9])
def test_classes_equal_scikit_learn(name, share):
    chance = np.random.default_rng(3)
    for size in (2, 7, 500):
        true = (chance.random(size) < share).astype(int)
        predicted = np.where(chance.random(size) < 0.7, true, 1 - true)
        expected = CLASSES[name](true, predicted)
        assert getattr(ours, name)(predicted.tolist(), true.tolist()) == pytest.approx(100 * expected, abs=1e-9)


@pytest.mark.parametrize("name", NUMBERS)
@pytest.mark.parametrize(("scale", "shift"), [(1.0, 0.0), (1e-6, 3.0), (1e6, -2.0)])
def test_correlations_equal_scipy_with_ties_and_odd_scales(name, scale, shift):
    chance = np.random.default_rng(4)
    true = np.round(chance.random(300) * 5, 1)
    predicted = shift + scale * (np.round(true + chance.normal(size=300), 1))
    expected = NUMBERS[name](predicted, true).statistic
    assert getattr(ours, name)(predicted.tolist(), true.tolist()) == pytest.approx(100 * expected, abs=1e-7)


@pytest.mark.filterwarnings("ignore:A single label")
@pytest.mark.parametrize("predicted", [[1, 1, 1], [0, 0, 0]])
@pytest.mark.parametrize("true", [[1, 1, 1], [0, 0, 0], [1, 0, 1], [0, 0, 1]])
def test_constant_classes_have_scikit_learns_value(predicted, true):
    assert ours.matthews(predicted, true) == 0 == peer.matthews_corrcoef(true, predicted)
    assert ours.f1(predicted, true) == pytest.approx(100 * peer.f1_score(true, predicted, zero_division=0), abs=1e-9)
    assert ours.accuracy(predicted, true) == pytest.approx(100 * peer.accuracy_score(true, predicted))


@pytest.mark.parametrize(
    ("predicted", "true"), [([2.5, 2.5, 2.5], [0, 1, 5]), ([0, 1, 5], [2, 2, 2]), ([1, 1], [1, 1]), ([3], [3])]
)
def test_constant_numbers_correlate_to_zero(predicted, true):
    assert ours.pearson(predicted, true) == 0
    assert ours.spearman(predicted, true) == 0


def test_a_corpus_is_not_a_mean_over_batches():
    predicted, true = [1, 1, 1, 0, 0, 0], [1, 1, 0, 0, 1, 0]
    assert ours.f1(predicted, true) == pytest.approx(100 * 2 / 3)  # 2 hits, 1 false alarm, 1 miss
    assert (ours.f1(predicted[:3], true[:3]) + ours.f1(predicted[3:], true[3:])) / 2 == pytest.approx(40)


def test_unequal_lengths_are_refused():
    with pytest.raises(ValueError, match="predictions for"):
        ours.accuracy([1, 0], [1])
