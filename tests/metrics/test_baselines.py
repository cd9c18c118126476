"""The linear baselines against scikit-learn's on the same features."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import sparse
from sklearn.linear_model import LogisticRegression, Ridge

from repro.metrics.baselines import BagOfWords, Majority, logistic, ridge, words


@pytest.fixture
def features():
    chance = np.random.default_rng(5)
    return sparse.csr_array((chance.random((400, 60)) < 0.15).astype(float))


@pytest.mark.parametrize("classes", [2, 3])
def test_logistic_regression_gives_scikit_learns_probabilities(features, classes):
    labels = np.random.default_rng(6).integers(classes, size=400)
    peer = LogisticRegression(C=1, tol=1e-8, max_iter=5000).fit(features, labels)
    weights, bias = logistic(features, labels, strength=1.0)
    logits = features @ weights + bias
    probabilities = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    np.testing.assert_allclose(probabilities, peer.predict_proba(features), atol=2e-3)


def test_ridge_regression_gives_scikit_learns_predictions(features):
    labels = np.random.default_rng(7).random(400) * 5
    peer = Ridge(alpha=1).fit(features.toarray(), labels)
    weights, bias = ridge(features, labels, strength=1.0)
    np.testing.assert_allclose(features @ weights + bias, peer.predict(features.toarray()), atol=2e-3)


def test_overlap_features_see_what_a_bag_cannot():
    chance = np.random.default_rng(8)
    vocabulary = [f"w{number}" for number in range(60)]
    texts, labels = [], []
    for number in range(600):
        six = chance.choice(vocabulary, 6, replace=False)  # the bag has six words either way
        first, second = (six, chance.permutation(six)) if number % 2 else (six[:3], six[3:])
        texts.append((" ".join(first), " ".join(second)))
        labels.append(number % 2)

    def right(overlap: bool) -> float:
        model = BagOfWords(regression=False, overlap=overlap).fit(texts[:400], labels[:400])
        return np.mean(np.array(model.predict(texts[400:])) == labels[400:])

    assert right(overlap=True) > 0.97
    assert right(overlap=False) < 0.65


def test_regression_predicts_numbers_and_the_majority_is_their_mean():
    texts = [("good good film", None), ("bad film", None), ("good story", None), ("bad story", None)] * 5
    labels = [4.0, 1.0, 5.0, 2.0] * 5
    predictions = BagOfWords(regression=True).fit(texts, labels).predict(texts[:4])
    assert predictions[2] > predictions[0] > predictions[3] > predictions[1]
    assert Majority(regression=True).fit(texts, labels).predict(texts[:2]) == [3.0, 3.0]


def test_the_majority_takes_the_smallest_of_equally_common_labels():
    assert Majority(regression=False).fit([("a", None)] * 5, [2, 1, 1, 2, 0]).predict([("b", None)]) == [1]


def test_words_of_a_test_text_that_training_lacks_are_ignored():
    model = BagOfWords(regression=False, overlap=True).fit([("a b", "a"), ("c d", "e")] * 3, [0, 1] * 3)
    assert model.predict([("a b zzz", "a yyy"), ("", "")])[0] == 0


def test_punctuation_stands_by_itself():
    assert words("He 's \"out\", isn't he?") == ["he", "'", "s", '"', "out", '"', ",", "isn", "'", "t", "he", "?"]
