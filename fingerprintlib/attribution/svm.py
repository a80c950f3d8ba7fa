"""A support vector machine with a Gaussian kernel, as scikit-learn's, in a quarter of its time."""

from itertools import combinations
from typing import Self

import numpy as np
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.svm import SVC

LARGEST = 10_000  # images of two classes of which all kernels are held at once: 800 MB
CHUNK = 500  # images that are judged together


class GaussianSVM(ClassifierMixin, BaseEstimator):
    """What ``SVC(C=cost)`` learns and answers, to the tolerance at which both stop.

    A machine for each pair of classes, which then vote. SVC computes kernels one by one, which takes most of its time;
    here they are matrix products.

    Args:
        cost: of a training error.

    Attributes:
        classes_: after `fit`, the K labels, in ascending order.
        support_: features that any machine rests on, float64 ``[S, D]``.
        weights_, bias_: of these in each machine, ``[S, P]`` and ``[P]``; above 0 it votes for the second of its pair.
    """

    def __init__(self, cost: float = 1.0):
        self.cost = cost

    def fit(self, features: np.ndarray, labels: np.ndarray) -> Self:
        """Learn from features, float ``[N, D]``, and labels, int ``[N]``, two classes at least."""
        features = np.asarray(features, np.float64)
        self.classes_ = np.unique(labels)
        self.pairs_ = list(combinations(range(len(self.classes_)), 2))
        variance = features.var()
        self.gamma_ = 1 / (features.shape[1] * variance) if variance else 1.0  # SVC's "scale"
        weights = np.zeros((len(features), len(self.pairs_)))
        self.bias_ = np.empty(len(self.pairs_))
        for number, pair in enumerate(self.pairs_):
            mine = [np.flatnonzero(labels == self.classes_[k]) for k in pair]
            rows, second = np.concatenate(mine), np.repeat([0, 1], [len(some) for some in mine])
            some = features[rows]
            if len(rows) > LARGEST:
                machine = SVC(C=self.cost, gamma=self.gamma_).fit(some, second)
            else:
                machine = SVC(C=self.cost, kernel="precomputed").fit(self._kernels(some, some), second)
            weights[rows[machine.support_], number] = machine.dual_coef_[0]
            self.bias_[number] = machine.intercept_[0]
        used = weights.any(1)
        self.support_, self.weights_ = features[used], weights[used]
        return self

    def predict(self, features: np.ndarray) -> np.ndarray:
        """The label of each row of features, float ``[N, D]``: that with the most votes, the first of several."""
        votes = np.zeros((len(features), len(self.classes_)), int)
        for (first, second), score in zip(self.pairs_, self.decision_function(features).T, strict=True):
            votes[np.arange(len(features)), np.where(score >= 0, second, first)] += 1
        return self.classes_[votes.argmax(1)]

    def decision_function(self, features: np.ndarray) -> np.ndarray:
        """What each machine says of each row of features, float ``[N, D]``: float64 ``[N, P]``, see `weights_`.

        The pairs are in the order of labels: first and second, first and third, and so on.
        """
        scores = np.empty((len(features), len(self.pairs_)))
        for start in range(0, len(features), CHUNK):
            some = np.asarray(features[start : start + CHUNK], np.float64)
            scores[start : start + CHUNK] = self._kernels(some, self.support_) @ self.weights_ + self.bias_
        return scores

    def _kernels(self, some: np.ndarray, others: np.ndarray) -> np.ndarray:
        exponents = some @ (2 * self.gamma_ * others).T
        for places, rows in ((np.s_[:, None], some), (np.s_[None], others)):
            exponents -= self.gamma_ * np.square(rows).sum(1)[places]
        return np.exp(np.minimum(exponents, 0, out=exponents), out=exponents)
