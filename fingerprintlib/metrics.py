"""How good an attribution is: accuracy with its interval, per class too, and what was taken for what."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from .errors import UsageError

Interval = tuple[float, float]


def wilson_interval(correct: int, total: int, confidence: float = 0.95) -> Interval:
    """Wilson's score interval for a proportion: ``(low, high)`` within [0, 1].

    Wilson (1927), J. Am. Stat. Assoc. 22, 209-212. Unlike the normal approximation it is honest near 0 and 1, where
    most accuracies of the book lie.

    Raises:
        UsageError: not ``0 <= correct <= total`` with `total` at least 1, or `confidence` outside (0, 1).
    """
    from scipy.stats import binomtest

    if not 0 <= correct <= total or total < 1:
        raise UsageError(f"correct must be from 0 to total, and total at least 1, not {correct} and {total}.")
    if not 0 < confidence < 1:
        raise UsageError(f"confidence must be between 0 and 1, not {confidence}.")
    interval = binomtest(int(correct), int(total)).proportion_ci(confidence, method="wilson")
    return float(interval.low), float(interval.high)


def confusion_matrix(labels: np.ndarray, predictions: np.ndarray, class_count: int) -> np.ndarray:
    """Counts, int64 ``[K, K]``: row the true class, column the predicted one.

    Args:
        labels: int ``[N]``, from 0 to K - 1.
        predictions: int ``[N]``, likewise.
        class_count: K; classes that do not occur keep their row and column.

    Raises:
        UsageError: lengths differ, nothing is given, or a value is out of range.
    """
    from sklearn import metrics

    labels, predictions = np.asarray(labels), np.asarray(predictions)
    if labels.ndim != 1 or labels.shape != predictions.shape or not len(labels):
        raise UsageError(
            f"labels and predictions must be [N] alike, N at least 1, not {labels.shape} and {predictions.shape}."
        )
    for name, values in (("labels", labels), ("predictions", predictions)):
        if values.dtype.kind not in "iu":
            raise UsageError(f"{name} must be integers, not {values.dtype}.")
        if values.min() < 0 or values.max() >= class_count:
            raise UsageError(
                f"{name} must be from 0 to {class_count - 1}; they run from {values.min()} to {values.max()}."
            )
    return metrics.confusion_matrix(labels, predictions, labels=np.arange(class_count)).astype(np.int64)


@dataclass(frozen=True)
class Report:
    """The outcome of an evaluation, all of it derived from the confusion matrix.

    Attributes:
        class_names: the K sources, in the order of the matrix.
        confusion: counts, a tuple of K rows; row the true class, column the predicted one.
        confidence: of the intervals.
    """

    class_names: tuple[str, ...]
    confusion: tuple[tuple[int, ...], ...]
    confidence: float = 0.95

    @classmethod
    def of(cls, labels: np.ndarray, predictions: np.ndarray, class_names: Sequence[str]) -> "Report":
        """Compare predictions with labels, int ``[N]`` each.

        Raises:
            UsageError: lengths differ, nothing is given, or a value is out of range.
        """
        matrix = confusion_matrix(labels, predictions, len(class_names))
        return cls(tuple(class_names), tuple(tuple(row) for row in matrix.tolist()))

    @property
    def count(self) -> int:
        """Number of images."""
        return sum(map(sum, self.confusion))

    @property
    def correct(self) -> int:
        """Number of images attributed to their true source."""
        return sum(row[index] for index, row in enumerate(self.confusion))

    @property
    def accuracy(self) -> float:
        """In [0, 1]."""
        return self.correct / self.count

    @property
    def interval(self) -> Interval:
        """Wilson's interval of the accuracy."""
        return wilson_interval(self.correct, self.count, self.confidence)

    @property
    def recall(self) -> dict[str, float]:
        """For each class that occurs, the part of its images attributed to it, in [0, 1]."""
        return {name: correct / total for name, correct, total in self._per_class()}

    @property
    def recall_intervals(self) -> dict[str, Interval]:
        """For each class that occurs, Wilson's interval of its recall."""
        return {name: wilson_interval(correct, total, self.confidence) for name, correct, total in self._per_class()}

    def _per_class(self) -> list[tuple[str, int, int]]:
        rows = zip(self.class_names, self.confusion, strict=True)
        return [(name, row[index], sum(row)) for index, (name, row) in enumerate(rows) if sum(row)]

    def to_dict(self) -> dict[str, Any]:
        """JSON-able; the derived numbers are in it for whoever reads the file without this library."""
        return {
            "class_names": list(self.class_names),
            "confusion": [list(row) for row in self.confusion],
            "confidence": self.confidence,
            "count": self.count,
            "accuracy": self.accuracy,
            "interval": list(self.interval),
            "recall": self.recall,
            "recall_intervals": {name: list(interval) for name, interval in self.recall_intervals.items()},
        }

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> "Report":
        """What `to_dict` gave, back; the derived numbers are derived again."""
        confusion = tuple(tuple(row) for row in values["confusion"])
        return cls(tuple(values["class_names"]), confusion, values["confidence"])

    def __str__(self) -> str:
        low, high = self.interval
        return (
            f"accuracy {self.accuracy:.1%} ({self.confidence:.0%} interval {low:.1%} to {high:.1%}) "
            f"on {self.count} images of {len(self.class_names)} sources"
        )


def cosines(some: np.ndarray, others: np.ndarray) -> np.ndarray:
    """Cosines between rows: ``[N, F]`` and ``[M, F]`` to float64 ``[N, M]``; a row of zeros has cosine 0 with all."""
    from sklearn.metrics.pairwise import cosine_similarity

    return cosine_similarity(np.asarray(some, np.float64), np.asarray(others, np.float64))


def nearest_distance(images: np.ndarray, others: np.ndarray) -> np.ndarray:
    """For each uint8 image ``[N, H, W, 3]`` the root-mean-square difference, in levels, to the nearest of the others.

    ``[N, H, W, 3]`` and ``[M, H, W, 3]`` to float64 ``[N]``. Near 0 where an image is a copy.
    """
    from scipy.spatial.distance import cdist

    flat, flat_others = (np.asarray(some, np.float32).reshape(len(some), -1) for some in (images, others))
    return cdist(flat, flat_others).min(1) / np.sqrt(flat.shape[1])


def mean_distance(images: np.ndarray) -> float:
    """Mean root-mean-square difference, in levels of 0 to 255, over all pairs of the uint8 images ``[N, H, W, 3]``.

    Near 0 when a generator has collapsed to one image.

    Raises:
        UsageError: fewer than two images.
    """
    from scipy.spatial.distance import pdist

    if len(images) < 2:
        raise UsageError(f"images must be at least two for a distance, not {len(images)}.")
    flat = np.asarray(images, np.float32).reshape(len(images), -1)
    return float(pdist(flat).mean() / np.sqrt(flat.shape[1]))
