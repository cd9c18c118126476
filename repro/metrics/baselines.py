"""What needs no network: the majority, and a linear model on bags of words, with and without two segments' overlap.

The linear models minimise scikit-learn's objectives (LogisticRegression with C=1, Ridge with alpha=1: the intercept is
not penalised) by L-BFGS on sparse features.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterable, Sequence

import numpy as np
from scipy import optimize, sparse
from scipy.special import expit

version = 1

Segments = tuple[str, str | None]
_TOKEN = re.compile(r"\w+|[^\w\s]")


class Majority:
    """Always the commonest label, or with regression the mean.

    Args:
        regression: whether labels are numbers to be approached, not classes.
    """

    def __init__(self, *, regression: bool) -> None:
        self.regression = regression

    def fit(self, texts: Sequence[Segments], labels: Sequence[int] | Sequence[float]) -> Majority:
        """Learns from labels; of equally common ones the smallest is taken."""
        counts = Counter(labels)
        self.label = float(np.mean(labels)) if self.regression else min(counts, key=lambda one: (-counts[one], one))
        return self

    def predict(self, texts: Sequence[Segments]) -> list[int] | list[float]:
        """Returns the same label for each text."""
        return [self.label] * len(texts)


class BagOfWords:
    """Logistic regression (or ridge regression) on which words are present.

    Args:
        regression: ridge regression on numbers in place of multinomial logistic regression on classes.
        overlap: besides, which segment a word is in, whether it is in both, in the first or the second only; the
            Jaccard index of the segments' words; the difference of their lengths.
        minimum: features of fewer training texts are left out.
        strength: of the L2 penalty, the inverse of scikit-learn's C.
    """

    def __init__(self, *, regression: bool, overlap: bool = False, minimum: int = 2, strength: float = 1.0) -> None:
        self.regression, self.overlap, self.minimum, self.strength = regression, overlap, minimum, strength

    def fit(self, texts: Sequence[Segments], labels: Sequence[int] | Sequence[float]) -> BagOfWords:
        """Learns.

        Args:
            texts: first and second segment; the second is None in tasks on one sentence.
            labels: class indices from 0, or numbers.
        """
        named, numbers = self._read(texts)
        counts = Counter(name for names in named for name in names)
        common = sorted(name for name, count in counts.items() if count >= self.minimum)
        self.columns = {name: place for place, name in enumerate(common)}
        features = self._matrix(named, numbers)
        if self.regression:
            self.weights, self.bias = ridge(features, np.asarray(labels, dtype=float), strength=self.strength)
        else:
            self.weights, self.bias = logistic(features, np.asarray(labels), strength=self.strength)
        return self

    def predict(self, texts: Sequence[Segments]) -> list[int] | list[float]:
        """Returns a class index, or a number, for each text."""
        output = self._matrix(*self._read(texts)) @ self.weights + self.bias
        return output.tolist() if self.regression else output.argmax(axis=1).tolist()

    def _read(self, texts: Iterable[Segments]) -> tuple[list[set[str]], list[tuple[float, ...]]]:
        """Returns each text's features that are present or absent, and those that are numbers."""
        named, numbers = [], []
        for first, second in texts:
            one, two = words(first), words(second or "")
            left, right = set(one), set(two)
            names = left | right
            if self.overlap and second is not None:
                marked = {"1": left, "2": right, "both": left & right, "first": left - right, "second": right - left}
                names = names.union(*([f"{mark} {word}" for word in some] for mark, some in marked.items()))
                difference = (len(one) - len(two)) / max(len(one), len(two), 1)
                numbers.append((len(left & right) / max(len(left | right), 1), difference, abs(difference)))
            named.append(names)
        return named, numbers

    def _matrix(self, named: Sequence[set[str]], numbers: Sequence[tuple[float, ...]]) -> sparse.csr_array:
        """Returns the features, (texts, columns + numbers)."""
        columns = self.columns
        rows = [sorted(columns[name] for name in names if name in columns) for names in named]
        starts = np.concatenate([[0], np.cumsum([len(row) for row in rows])])
        indices = np.fromiter((one for row in rows for one in row), dtype=np.int32, count=starts[-1])
        present = sparse.csr_array((np.ones(len(indices)), indices, starts), shape=(len(rows), len(columns)))
        if not numbers:
            return present
        return sparse.hstack([present, sparse.csr_array(np.array(numbers))], format="csr")


def words(text: str) -> list[str]:
    """Returns lower-cased words, and each other sign by itself."""
    return _TOKEN.findall(text.lower())


def logistic(features: sparse.csr_array, labels: np.ndarray, *, strength: float) -> tuple[np.ndarray, np.ndarray]:
    """Multinomial logistic regression: the sum of cross-entropies + strength/2 |W|^2; of two classes the first has no
    weights, as in scikit-learn.

    Args:
        features: (texts, columns)
        labels: (texts,), class indices from 0.
        strength: of the penalty.

    Returns:
        weights (columns, classes) and bias (classes,)
    """
    classes = int(labels.max()) + 1
    one_hot = np.eye(classes)[labels]

    def binary(logits: np.ndarray) -> tuple[float, np.ndarray]:
        return float((np.logaddexp(0, logits) - logits * one_hot[:, 1:]).sum()), expit(logits) - one_hot[:, 1:]

    def multinomial(logits: np.ndarray) -> tuple[float, np.ndarray]:
        logits = logits - logits.max(axis=1, keepdims=True)
        exponentials = np.exp(logits)
        total = exponentials.sum(axis=1, keepdims=True)
        return float(np.log(total).sum() - (logits * one_hot).sum()), exponentials / total - one_hot

    if classes == 2:
        weights, bias = _minimised(features, 1, binary, strength)
        return np.hstack([np.zeros_like(weights), weights]), np.concatenate([[0.0], bias])
    return _minimised(features, classes, multinomial, strength)


def ridge(features: sparse.csr_array, labels: np.ndarray, *, strength: float) -> tuple[np.ndarray, float]:
    """Ridge regression: half the sum of squared errors + strength/2 |w|^2.

    Args:
        features: (texts, columns)
        labels: (texts,)
        strength: of the penalty.

    Returns:
        weights (columns,) and bias
    """

    def loss(outputs: np.ndarray) -> tuple[float, np.ndarray]:
        errors = outputs - labels[:, None]
        return 0.5 * float((errors**2).sum()), errors

    weights, bias = _minimised(features, 1, loss, strength)
    return weights[:, 0], float(bias[0])


def _minimised(
    features: sparse.csr_array, outputs: int, loss: Callable[[np.ndarray], tuple[float, np.ndarray]], penalty: float
) -> tuple[np.ndarray, np.ndarray]:
    """Minimises loss(features @ W + b) + penalty/2 |W|^2 over W and b; loss returns its value and gradient."""
    columns = features.shape[1]
    transposed = features.T.tocsr()

    def objective(flat: np.ndarray) -> tuple[float, np.ndarray]:
        parameters = flat.reshape(columns + 1, outputs)
        weights, bias = parameters[:-1], parameters[-1]
        value, gradient = loss(features @ weights + bias)
        slopes = np.vstack([transposed @ gradient + penalty * weights, gradient.sum(axis=0)])
        return value + 0.5 * penalty * float((weights**2).sum()), slopes.ravel()

    start = np.zeros((columns + 1) * outputs)
    precision = {"maxiter": 1000, "gtol": 1e-5 * features.shape[0], "ftol": 1e-10}
    found = optimize.minimize(objective, start, jac=True, method="L-BFGS-B", options=precision)
    parameters = found.x.reshape(columns + 1, outputs)
    return parameters[:-1], parameters[-1]
