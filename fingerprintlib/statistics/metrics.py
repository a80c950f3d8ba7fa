"""How good an attribution is: accuracy with its interval, per class too, and what was taken for what."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from ..errors import UsageError
from .checks import number
from .intervals import (
    Counts,
    Interval,
    by_group,
    mean_interval,
    paired_difference,
    share_interval,
    told,
    wilson_interval,
)

__all__ = [
    "Interval",
    "Report",
    "confusion_matrix",
    "independent_difference",
    "mean_interval",
    "over_runs",
    "paired_difference",
    "wilson_interval",
]


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
    """The outcome of an evaluation, all of it derived from the confusion matrix and from how the images hang together.

    Attributes:
        class_names: the K sources, in the order of the matrix.
        confusion: counts, a tuple of K rows; row the true class, column the predicted one.
        confidence: of the intervals.
        probes: what was measured beside it to explain it away, by name: histogram classifiers, meaningless labels.
        groups: for each class of which several images share a group (see `corpus.Corpus.groups`), by name: how many
            images of each group are right, and how many there are. The intervals count groups there.
    """

    class_names: tuple[str, ...]
    confusion: tuple[tuple[int, ...], ...]
    confidence: float = 0.95
    probes: Mapping[str, "Report"] = field(default_factory=dict)
    groups: Mapping[str, tuple[tuple[int, int], ...]] = field(default_factory=dict)

    @classmethod
    def of(
        cls,
        labels: np.ndarray,
        predictions: np.ndarray,
        class_names: Sequence[str],
        groups: np.ndarray | None = None,
    ) -> "Report":
        """Compare predictions with labels, int ``[N]`` each.

        Args:
            groups: int ``[N]``, the same for images that are not independent of each other (see
                `corpus.Corpus.groups`); by default all are.

        Raises:
            UsageError: lengths differ, nothing is given, or a value is out of range.
        """
        matrix = confusion_matrix(labels, predictions, len(class_names))
        together = {}
        if groups is not None:
            found = by_group(np.equal(labels, predictions), groups, labels)
            for k, (right, total) in zip(np.unique(labels), found, strict=True):
                if total.max() > 1:
                    pairs = zip(right.astype(int).tolist(), total.astype(int).tolist(), strict=True)
                    together[class_names[k]] = tuple(pairs)
        return cls(tuple(class_names), tuple(tuple(row) for row in matrix.tolist()), groups=together)

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
        """Of the accuracy: Wilson's; where images share a group, as many times wider as their counts demand."""
        if not self.groups:
            return wilson_interval(self.correct, self.count, self.confidence)
        return share_interval([self._counts(*one) for one in self._per_class()], self.confidence)

    @property
    def recall(self) -> dict[str, float]:
        """For each class that occurs, the part of its images attributed to it, in [0, 1]."""
        return {name: correct / total for name, correct, total in self._per_class()}

    @property
    def recall_intervals(self) -> dict[str, Interval]:
        """For each class that occurs, the interval of its recall, as `interval`."""
        return {
            name: share_interval([self._counts(name, correct, total)], self.confidence)
            if name in self.groups
            else wilson_interval(correct, total, self.confidence)
            for name, correct, total in self._per_class()
        }

    @property
    def group_counts(self) -> dict[str, int]:
        """For each class that occurs, how many groups its images make; as many as images where none is shared."""
        return {name: len(self.groups.get(name, ())) or total for name, _, total in self._per_class()}

    def _counts(self, name: str, correct: int, total: int) -> Counts:
        """What of each group of a class is right, and how many images it has."""
        if name in self.groups:
            right, size = np.array(self.groups[name], np.float64).T
            return right, size
        return np.repeat([1.0, 0.0], [correct, total - correct]), np.ones(total)

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
            "groups": {name: [list(pair) for pair in pairs] for name, pairs in self.groups.items()},
            "probes": {name: probe.to_dict() for name, probe in self.probes.items()},
        }

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> "Report":
        """What `to_dict` gave, back; the derived numbers are derived again."""
        confusion = tuple(tuple(row) for row in values["confusion"])
        probes = {name: cls.from_dict(probe) for name, probe in values["probes"].items()}
        groups = {name: tuple((right, size) for right, size in pairs) for name, pairs in values["groups"].items()}
        return cls(tuple(values["class_names"]), confusion, values["confidence"], probes, groups)

    def told(self, decimals: int = 1) -> str:
        """Accuracy and interval in per cent, as tables have them: ``69.5 (66.2–72.6)``."""
        return told(self.accuracy, self.interval, decimals=decimals)

    def __str__(self) -> str:
        low, high = self.interval
        groups = "".join(f"; {name} in {len(pairs)} groups" for name, pairs in self.groups.items())
        probes = "".join(f"; {name} {probe.accuracy:.1%}" for name, probe in self.probes.items())
        return (
            f"accuracy {self.accuracy:.1%} ({self.confidence:.0%} interval {low:.1%} to {high:.1%}) "
            f"on {self.count} images of {len(self.class_names)} sources{groups}{probes}"
        )


def beyond_chance(accuracy: float, sources: int) -> float:
    """How far an accuracy is on the way from guessing (0) to always right (1), ``(a - 1/k) / (1 - 1/k)``.

    So accuracies among different numbers of sources can stand side by side. Below guessing it is negative.

    Args:
        accuracy: a, in [0, 1], on equally many images of each source.
        sources: k, at least 2.

    Raises:
        UsageError: out of range: of one source, nobody can guess wrong.
    """
    guessing = 1 / number("sources", sources, least=2)
    return (number("accuracy", accuracy, 0, 1) - guessing) / (1 - guessing)


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

    Built from the two intervals, so groups count in it too. For the same images see `paired_difference`.
    """
    p, (low_p, high_p) = one.accuracy, one.interval
    q, (low_q, high_q) = other.accuracy, other.interval
    below, above = math.hypot(p - low_p, high_q - q), math.hypot(high_p - p, q - low_q)
    return p - q, (p - q - below, p - q + above)
