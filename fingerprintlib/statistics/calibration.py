"""Are probabilities to be believed? Of the images named with 80 % confidence, four in five should be named rightly.

Temperature scaling makes them so as far as one number can (Guo et al. 2017, On calibration of modern neural networks,
arXiv 1706.04599). Fit it to other images than those that it is judged by.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ..errors import UsageError
from .checks import float64, number
from .intervals import wilson_interval

#: Between these a temperature is sought.
TEMPERATURES = (0.05, 20.0)
_ROUNDING = 1e-3  # probabilities that went through float16, or were printed with four digits, sum to 1 as well as that


def fit_temperature(logits: ArrayLike, labels: ArrayLike, balanced: bool = False) -> float:
    """The temperature T by which logits are to be divided, so that ``softmax(logits / T)`` are probabilities.

    It has the least negative log likelihood within `TEMPERATURES`. Above 1 it takes confidence away. What is most
    likely stays so. Where every image has its largest logit at its own label nothing holds T up: it ends at the lowest,
    and tells no more than that these images were too easy, or too few.

    Args:
        logits: float ``[N, K]``, K at least 2.
        labels: int ``[N]``, from 0 to K - 1.
        balanced: whether all classes that occur weigh the same, however many images they have.

    Raises:
        UsageError: shapes differ, nothing is given, a logit is NaN or infinite, a label is out of range, or the logits
            are alike in each row, so that no temperature changes anything.
    """
    from scipy.optimize import minimize_scalar
    from scipy.special import log_softmax
    from sklearn.utils.class_weight import compute_sample_weight

    logits, labels = _rows("logits", logits, labels)
    if not np.ptp(logits, axis=1).any():
        raise UsageError("logits are alike in each row: no temperature changes their probabilities.")
    weights = compute_sample_weight("balanced" if balanced else None, labels)
    rows = np.arange(len(labels))

    def loss(temperature: float) -> float:
        return -float(weights @ log_softmax(logits / temperature, axis=1)[rows, labels])

    # The loss is convex in 1 / T, so it has one minimum only; that is found to a ten-thousandth of T. Where it falls
    # towards an end, it may be as good as 0 long before.
    found = minimize_scalar(
        lambda log: loss(np.exp(log)), bounds=np.log(TEMPERATURES), method="bounded", options={"xatol": 1e-4}
    )
    return min(TEMPERATURES[0], float(np.exp(found.x)), TEMPERATURES[1], key=loss)


@dataclass(frozen=True)
class ReliabilityCurve:
    """How often images are named rightly, by how confident the classifier is: the bins that have images.

    Attributes:
        confidence: mean probability of what is named, float64 ``[B]``, rising.
        accuracy: the share that is named rightly, float64 ``[B]``.
        count: images, int64 ``[B]``.
        low, high: of the accuracy's 95 % interval, by Wilson, float64 ``[B]`` each.
    """

    confidence: NDArray[np.float64]
    accuracy: NDArray[np.float64]
    count: NDArray[np.int64]
    low: NDArray[np.float64]
    high: NDArray[np.float64]


def reliability_curve(
    probabilities: ArrayLike, labels: ArrayLike, bins: int = 15, equal_mass: bool = False
) -> ReliabilityCurve:
    """Images in bins by the probability of what is named, and how often that is right.

    By default the bins are of one width, as in most published numbers. Where nearly all confidences are close to 1, as
    they are of a good network, most images lie in one bin then; bins of equal mass part these, too. Equal confidences
    stay together.

    Args:
        probabilities: float ``[N, K]``, K at least 2; each row sums to 1.
        labels: int ``[N]``, from 0 to K - 1.
        bins: how many, at least 1; those without images are left out.
        equal_mass: whether the bins have as many images each, rather than the same width.

    Raises:
        UsageError: shapes differ, nothing is given, rows are no probabilities, a label is out of range, or no bin.
    """
    probabilities, labels = _probabilities(probabilities, labels)
    if bins < 1:
        raise UsageError(f"bins must be at least 1, not {bins}.")
    confidences, right = probabilities.max(1), probabilities.argmax(1) == labels
    edges = np.linspace(0, 1, bins + 1)
    if equal_mass:
        edges = np.quantile(confidences, edges)
    places = np.digitize(confidences, edges[1:-1], right=True)  # each holds its upper edge
    there = [np.flatnonzero(places == place) for place in np.unique(places)]
    low, high = np.transpose([wilson_interval(right[rows].sum(), len(rows)) for rows in there])
    return ReliabilityCurve(
        np.array([confidences[rows].mean() for rows in there]),
        np.array([right[rows].mean() for rows in there]),
        np.array([len(rows) for rows in there]),
        low,
        high,
    )


def expected_calibration_error(
    probabilities: ArrayLike, labels: ArrayLike, bins: int = 15, equal_mass: bool = False
) -> float:
    """By how much confidence and accuracy differ in the bins of `reliability_curve`, on average over images: in [0, 1].

    It grows with the number of bins, and it is never 0 for few images: compare at one number of both.

    Args and Raises: see `reliability_curve`.
    """
    curve = reliability_curve(probabilities, labels, bins, equal_mass)
    return float(np.average(np.abs(curve.accuracy - curve.confidence), weights=curve.count))


def negative_log_likelihood(probabilities: ArrayLike, labels: ArrayLike) -> float:
    """The mean of ``-ln p`` of the true class, in nats; a p below 2.2e-16 counts as that much, so it is at most 36.04.

    Args and Raises: see `reliability_curve`.
    """
    from sklearn.metrics import log_loss

    probabilities, labels = _probabilities(probabilities, labels)
    return float(log_loss(labels, probabilities, labels=np.arange(probabilities.shape[1])))


def brier_score(probabilities: ArrayLike, labels: ArrayLike) -> float:
    """The mean squared distance of probabilities from certainty of the true class: 0 at best, 2 at worst, K whatever.

    Brier (1950), Monthly Weather Review 78, 1-3. Args and Raises: see `reliability_curve`.
    """
    from sklearn.metrics import brier_score_loss

    probabilities, labels = _probabilities(probabilities, labels)
    classes = np.arange(probabilities.shape[1])
    return float(brier_score_loss(labels, probabilities, labels=classes, scale_by_half=False))


def energy(logits: ArrayLike, temperature: float = 1.0) -> NDArray[np.float64]:
    """How likely images are of a known source, by ``T ln sum exp(logits / T)``: the higher the likelier.

    The negative of what Liu et al. (2020), Energy-based out-of-distribution detection, arXiv 2010.03759, call the
    energy. Unlike a largest probability it falls where all logits do.

    Args:
        logits: float ``[N, K]``.
        temperature: T, above 0.

    Returns:
        float64 ``[N]``.

    Raises:
        UsageError: a logit is NaN or infinite, they are not ``[N, K]``, or T is not above 0.
    """
    from scipy.special import logsumexp

    logits = float64("logits", logits)
    if logits.ndim != 2 or not logits.shape[1]:
        raise UsageError(f"logits must be [N, K], K at least 1, not of shape {logits.shape}.")
    if number("temperature", temperature) <= 0:
        raise UsageError(f"temperature must be above 0, not {temperature}.")
    return temperature * logsumexp(logits / temperature, axis=1)


def _rows(name: str, rows: ArrayLike, labels: ArrayLike) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """Float64 ``[N, K]`` and int64 ``[N]`` from 0 to K - 1, K at least 2, N at least 1."""
    found, classes = float64(name, rows), float64("labels", labels)
    if found.ndim != 2 or found.shape[1] < 2 or classes.shape != found.shape[:1] or not len(found):
        raise UsageError(
            f"{name} must be [N, K], K at least 2, and labels [N], N at least 1, not {found.shape} and {classes.shape}."
        )
    if not np.isin(classes, np.arange(found.shape[1])).all():
        raise UsageError(
            f"labels must be whole numbers from 0 to {found.shape[1] - 1}; they run from {classes.min():g} to "
            f"{classes.max():g}."
        )
    return found, classes.astype(np.int64)


def _probabilities(probabilities: ArrayLike, labels: ArrayLike) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """The same; rows of probabilities, which sum to 1 as float64."""
    found, classes = _rows("probabilities", probabilities, labels)
    sums = found.sum(1, keepdims=True)
    if found.min() < 0 or np.abs(sums - 1).max() > _ROUNDING:
        raise UsageError(
            f"probabilities must be 0 or more, and sum to 1 in each row; the least is {found.min():g}, and rows sum to "
            f"{sums.min():g} to {sums.max():g}. Of logits, take the softmax first."
        )
    return found / sums, classes
