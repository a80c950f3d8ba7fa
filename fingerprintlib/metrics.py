"""How good an attribution is: accuracy with its interval, per class too, and what was taken for what."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
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
        probes: what was measured beside it to explain it away, by name: histogram classifiers, meaningless labels.
    """

    class_names: tuple[str, ...]
    confusion: tuple[tuple[int, ...], ...]
    confidence: float = 0.95
    probes: Mapping[str, "Report"] = field(default_factory=dict)

    @classmethod
    def of(cls, labels: np.ndarray, predictions: np.ndarray, class_names: Sequence[str]) -> "Report":
        """Compare predictions with labels, int ``[N]`` each.

        Raises:
            UsageError: lengths differ, nothing is given, or a value is out of range.
        """
        matrix = confusion_matrix(labels, predictions, len(class_names))
        return cls(tuple(class_names), tuple(tuple(row) for row in matrix.tolist()))

    def beside(self, probes: Mapping[str, "Report"]) -> "Report":
        """The same report, from now on told together with these."""
        return replace(self, probes={**self.probes, **probes})

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
            "probes": {name: probe.to_dict() for name, probe in self.probes.items()},
        }

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> "Report":
        """What `to_dict` gave, back; the derived numbers are derived again."""
        confusion = tuple(tuple(row) for row in values["confusion"])
        probes = {name: cls.from_dict(probe) for name, probe in values["probes"].items()}
        return cls(tuple(values["class_names"]), confusion, values["confidence"], probes)

    def __str__(self) -> str:
        low, high = self.interval
        probes = "".join(f"; {name} {probe.accuracy:.1%}" for name, probe in self.probes.items())
        return (
            f"accuracy {self.accuracy:.1%} ({self.confidence:.0%} interval {low:.1%} to {high:.1%}) "
            f"on {self.count} images of {len(self.class_names)} sources{probes}"
        )


def over_runs(reports: Sequence[Report]) -> tuple[float, Interval]:
    """The mean accuracy of several runs, and an interval that holds the intervals of all: wide, but nobody's pick.

    Raises:
        UsageError: no run.
    """
    if not reports:
        raise UsageError("reports must hold one run at least.")
    lows, highs = zip(*(report.interval for report in reports), strict=True)
    return float(np.mean([report.accuracy for report in reports])), (min(lows), max(highs))


def independent_difference(one: Report, other: Report) -> tuple[float, Interval]:
    """The difference of two accuracies on different images, with Newcombe's 95 % interval (1998, method 10).

    Built from the two Wilson intervals. For the same images see `paired_difference`.
    """
    p, (low_p, high_p) = one.accuracy, one.interval
    q, (low_q, high_q) = other.accuracy, other.interval
    below, above = math.hypot(p - low_p, high_q - q), math.hypot(high_p - p, q - low_q)
    return p - q, (p - q - below, p - q + above)


def mean_interval(values: np.ndarray, seed: int = 0) -> tuple[float, Interval]:
    """The mean of one value an image, and its 95 % interval by a percentile bootstrap over the images (SciPy's).

    For shares within images, which no binomial interval fits: patches of one image are not independent.

    Args:
        values: ``[N]``, N at least 2.
        seed: of the resampling.

    Raises:
        UsageError: fewer than two values.
    """
    from scipy.stats import bootstrap

    values = np.asarray(values, np.float64)
    if values.ndim != 1 or len(values) < 2:
        raise UsageError(f"values must be [N], N at least 2, not {list(values.shape)}.")
    mean = float(values.mean())
    if not np.ptp(values):
        return mean, (mean, mean)
    options = {"n_resamples": 1000, "method": "percentile", "vectorized": True, "batch": 100}
    found = bootstrap((values,), np.mean, rng=np.random.default_rng(seed), **options).confidence_interval
    return mean, (float(found.low), float(found.high))


def paired_difference(
    correct: np.ndarray, others_correct: np.ndarray, confidence: float = 0.95
) -> tuple[float, Interval]:
    """How much more often one classifier is right than another on the same images: a difference of two accuracies.

    Only the images that one gets right and the other wrong decide. The interval is Agresti and Min's (2005), Stat. Med.
    24, 729-740: Wald's, after half an image is added to each of the four cells of right and wrong, so that it does not
    collapse where the two agree.

    Args:
        correct: bool ``[N]``, whether the one is right.
        others_correct: bool ``[N]``, whether the other is, image by image.
        confidence: of the interval.

    Returns:
        The difference in [-1, 1], positive where the first is better, and its interval.

    Raises:
        UsageError: lengths differ, nothing is given, or `confidence` is outside (0, 1).
    """
    from scipy.stats import norm

    one, other = np.asarray(correct, bool), np.asarray(others_correct, bool)
    if one.ndim != 1 or one.shape != other.shape or not len(one):
        raise UsageError(f"correct and others_correct must be [N] alike, N at least 1, not {one.shape}, {other.shape}.")
    if not 0 < confidence < 1:
        raise UsageError(f"confidence must be between 0 and 1, not {confidence}.")
    better, worse, total = np.sum(one & ~other), np.sum(other & ~one), len(one)
    middle = (better - worse) / (total + 2)
    spread = np.sqrt((better + worse + 1) / (total + 2) - middle**2) / np.sqrt(total + 2)
    half = norm.ppf((1 + confidence) / 2) * spread
    low, high = max(-1.0, float(middle - half)), min(1.0, float(middle + half))
    return float(better - worse) / total, (low, high)
