"""Scores from sufficient statistics: those of the corpus, whole or resampled, as torchmetrics, scikit-learn and scipy
have them."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from scipy import stats
from sklearn import metrics as peer

from repro.errors import UserError
from repro.metrics import classification, sufficient
from repro.metrics.sufficient import METRICS

CLASSES = {"accuracy": peer.accuracy_score, "f1": peer.f1_score, "matthews": peer.matthews_corrcoef}
NUMBERS = {
    "pearson": lambda true, predicted: stats.pearsonr(predicted, true).statistic,
    "spearman": lambda true, predicted: stats.spearmanr(predicted, true).statistic,
}
PEERS = CLASSES | NUMBERS


def made_up(name: str, size: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Returns predictions and references: classes, or numbers with ties."""
    chance = np.random.default_rng(seed)
    if name in CLASSES:
        true = (chance.random(size) < 0.6).astype(int)
        return np.where(chance.random(size) < 0.7, true, 1 - true), true
    true = np.round(chance.random(size) * 5, 1)
    return np.round(true + chance.normal(size=size), 1), true


@pytest.mark.parametrize("name", METRICS)
@pytest.mark.parametrize("size", [2, 7, 500])
def test_the_corpus_has_the_score_of_classification_and_of_the_peers(name, size):
    predicted, true = made_up(name, size, seed=1)
    found = METRICS[name].value(METRICS[name].statistics(predicted, true))
    assert found == pytest.approx(classification.METRICS[name](predicted.tolist(), true.tolist()), abs=1e-9)
    assert found == pytest.approx(100 * PEERS[name](true, predicted), abs=1e-9)


@pytest.mark.parametrize("name", METRICS)
def test_a_resampled_corpus_has_the_score_of_its_examples_written_out(name):
    predicted, true = made_up(name, 200)
    counts = np.random.default_rng(5).multinomial(200, np.full(200, 1 / 200), size=20)
    found = METRICS[name].value(METRICS[name].statistics(predicted, true), counts.astype(float))
    for row, value in zip(counts, found, strict=True):
        drawn = np.repeat(predicted, row), np.repeat(true, row)
        assert value == pytest.approx(100 * PEERS[name](drawn[1], drawn[0]), abs=1e-9)


@pytest.mark.parametrize("name", CLASSES)
def test_sums_of_parts_are_the_corpus_and_a_mean_of_parts_is_not(name):
    predicted, true = made_up(name, 90)
    parts = [METRICS[name].statistics(predicted[part], true[part]) for part in (slice(20), slice(20, 90))]
    whole = METRICS[name].of_sums(parts[0].sum(axis=0) + parts[1].sum(axis=0), 90)
    assert whole == pytest.approx(classification.METRICS[name](predicted.tolist(), true.tolist()), abs=1e-9)
    assert np.mean([METRICS[name].value(part) for part in parts]) != pytest.approx(whole, abs=1e-3)


def test_a_cell_of_the_confusion_is_kept_for_each_example():
    cells = METRICS["f1"].statistics([1, 1, 0, 0], [1, 0, 1, 0])  # hit, false alarm, miss, rightly left out
    assert cells.tolist() == np.eye(4).tolist()
    assert METRICS["f1"].value(cells) == 50.0  # 2 * 1 / (2 * 1 + 1 + 1)
    assert METRICS["matthews"].value(cells) == 0.0
    assert METRICS["matthews"].quality(cells).tolist() == [1, 0, 0, 1]


@pytest.mark.parametrize(
    ("name", "predicted", "true"),
    [
        ("matthews", [1, 1, 1], [1, 0, 1]),
        ("matthews", [1, 0, 1], [0, 0, 0]),
        ("f1", [0, 0], [0, 0]),
        ("pearson", [2.7, 2.7, 2.7], [0.1, 1.3, 5.0]),
        ("spearman", [0.1, 1.3, 5.0], [2.1, 2.1, 2.1]),
        ("pearson", [3.3], [3.3]),
    ],
)
def test_degenerate_input_has_the_value_of_classification(name, predicted, true):
    found = METRICS[name].value(METRICS[name].statistics(predicted, true))
    assert found == classification.METRICS[name](predicted, true) == 0


def test_a_resampled_corpus_of_one_value_correlates_to_zero():
    pairs = METRICS["pearson"].statistics([0.5, 0.8, 0.5, 0.5], [0.8, 0.4, 0.7, 0.7])
    drawn = np.array([[57.0, 0, 0, 0], [0, 0, 57.0, 0]])  # the first leaves rounding errors where the spread is nothing
    assert METRICS["pearson"].value(pairs, drawn).tolist() == [0, 0]


@pytest.mark.parametrize(("scale", "shift"), [(1e-6, 3.0), (1e6, -2.0)])
def test_nearly_constant_predictions_keep_their_digits(scale, shift):
    predicted, true = made_up("pearson", 300)
    statistics = METRICS["pearson"].statistics(shift + scale * predicted, true)
    expected = 100 * stats.pearsonr(shift + scale * predicted, true).statistic
    assert METRICS["pearson"].value(statistics, np.ones((1, 300))) == pytest.approx(expected, abs=1e-7)


def test_a_number_that_is_nearer_is_better():
    quality = METRICS["spearman"].quality(METRICS["spearman"].statistics([1.0, 4.0], [2.0, 4.5]))
    assert quality.tolist() == [-1.0, -0.5]


def test_a_file_gives_back_what_was_written(tmp_path):
    numbers = METRICS["pearson"].statistics([0.1, 1 / 3], [1.0, 2.5])
    kept = sufficient.Kept("of the data", "of the predictions", [4, 7], {"pearson": numbers})
    sufficient.write(kept, tmp_path / "a.jsonl")
    assert (tmp_path / "a.jsonl").read_text().splitlines()[1] == '{"id": 4, "pearson": [0.1, 1]}'
    found = sufficient.read(tmp_path / "a.jsonl")
    assert (found.data, found.predictions, found.ids) == ("of the data", "of the predictions", [4, 7])
    assert found.statistics["pearson"].tolist() == numbers.tolist()


@pytest.mark.parametrize("text", ["", "{}\n", '{"form": 9, "metrics": []}\n', '{"form": 1, "metrics": ["f1"]}\n{}\n'])
def test_a_broken_file_is_named(tmp_path, text):
    (tmp_path / "a.jsonl").write_text(text)
    with pytest.raises(UserError, match=r"a\.jsonl is no file of statistics"):
        sufficient.read(tmp_path / "a.jsonl")


def test_statistics_lie_beside_the_predictions():
    assert sufficient.place_of(Path("x/test-best.jsonl")) == Path("x/test-best.statistics.jsonl")


def test_an_unknown_metric_is_named():
    with pytest.raises(UserError, match="there is no metric accurcy here: did you mean accuracy"):
        sufficient.metric("accurcy")
    with pytest.raises(UserError, match="there is no metric f1 here"):
        sufficient.metric("f1", ["accuracy"])


def test_it_starts_without_torch():
    code = "import sys, repro.metrics.sufficient; print({'torch', 'torchmetrics', 'scipy'} & sys.modules.keys())"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "set()\n"
