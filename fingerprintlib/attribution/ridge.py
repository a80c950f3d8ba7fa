"""Ridge regression as a classifier, for several penalties at once."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from scipy.linalg import solve


@dataclass(frozen=True)
class Linear:
    """A linear classifier: scores are ``features @ weights + bias``, ``[N, 1]`` of two classes, else ``[N, K]``."""

    classes: np.ndarray
    weights: np.ndarray
    bias: np.ndarray

    def decision_function(self, features: np.ndarray) -> np.ndarray:
        """The scores of features ``[N, D]``; of two classes those of the second, ``[N]``."""
        scores = features @ self.weights + self.bias
        return scores.ravel() if len(self.classes) == 2 else scores

    def predict(self, features: np.ndarray) -> np.ndarray:
        """The class with the highest score, ``[N]``."""
        scores = self.decision_function(features)
        return self.classes[(scores > 0).astype(int) if scores.ndim == 1 else scores.argmax(1)]


def ridges(features: np.ndarray, labels: np.ndarray, penalties: Sequence[float]) -> Iterator[Linear]:
    """What RidgeClassifier gives with each penalty, bit for bit; `features` ``[N, D]`` are centred in place.

    All have the same products of features in common. Each of its fits would compute them anew, most of its time.
    """
    classes = np.unique(labels)
    targets = 2 * (labels[:, None] == (classes if len(classes) > 2 else classes[1:])).astype(features.dtype) - 1
    middle, bias = features.mean(0), targets.mean(0)
    features -= middle
    targets -= bias
    dual = len(features) < features.shape[1]
    products = features @ features.T if dual else features.T @ features
    right = targets if dual else features.T @ targets
    for penalty in penalties:
        matrix = products.copy()
        matrix.flat[:: len(matrix) + 1] += penalty
        weights = solve(matrix, right, assume_a="pos", overwrite_a=True)
        weights = features.T @ weights if dual else weights
        yield Linear(classes, weights, bias - middle @ weights)
