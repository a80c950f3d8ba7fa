"""The checks of the book's exercises: each works out the answer on its own, compares, and prints what it found.

An answer of ``...`` is not counted as one. While the book is built a wrong answer is an error, so that the solutions
printed there are right.
"""

import math
import os
from typing import Any

import numpy as np

from .errors import FingerprintsError


def _judge(name: str, answer: Any, expected: Any, hint: str, tolerance: float = 5e-3) -> None:
    if answer is ...:
        print(f"{name}: replace the ... by your answer, then run this cell again.")
        return
    if isinstance(expected, str):
        right = isinstance(answer, str) and answer == expected
    else:
        expected = np.asarray(expected, float)
        try:
            given = np.asarray(answer.detach().cpu() if hasattr(answer, "detach") else answer, float)
        except (TypeError, ValueError):  # a word, or lists of unequal length
            given = np.full(expected.shape, np.nan)
        right = given.shape == expected.shape and np.allclose(given, expected, rtol=tolerance, atol=1e-9)
    if not right and "FINGERPRINTS_BUILD" in os.environ:
        raise FingerprintsError(f"{name}: the printed solution gives {answer!r}, not {expected!r}.")
    print(f"{name}: right." if right else f"{name}: not yet. {hint}")


def windows_in_a_tile(answer: Any, tile: int = 128, window: int = 100) -> None:
    """Chapter 1: how many crops, mirrored ones counted, of one side fit into a tile."""
    places = sum(1 for top in range(tile) for left in range(tile) if max(top, left) + window <= tile)
    _judge("Crops of a tile", answer, 2 * places, "Count the places along one side first.")


def quantization_error(answer: Any) -> None:
    """Chapter 1: the largest change that rounding to 256 levels makes to a value of [-1, 1]."""
    values = np.linspace(-1, 1, 1_000_001)
    worst = np.abs(np.round((values + 1) * 127.5) / 127.5 - 1 - values).max()
    _judge("Rounding", answer, worst, "How far apart are two neighbouring levels in [-1, 1]?", tolerance=1e-3)


def pixels_per_level(answer: Any, resolution: int) -> None:
    """Chapter 1: how often each of the 256 values occurs in one channel of an equalized image."""
    _judge("Equalized", answer, resolution**2 / 256, "All 256 values are equally frequent.")


def hinge(answer: Any, real: Any, fake: Any) -> None:
    """Chapter 2: the discriminator's hinge loss of given scores."""
    loss = sum(max(0, 1 - r) for r in real) / len(real) + sum(max(0, 1 + f) for f in fake) / len(fake)
    _judge("Hinge loss", answer, loss, "Scores beyond the margin of 1 on their own side cost nothing.")


def frechet(answer: Any, means: tuple[float, float], deviations: tuple[float, float]) -> None:
    """Chapter 2: the squared Frechet distance between two normal distributions on a line."""
    expected = (means[0] - means[1]) ** 2 + (deviations[0] - deviations[1]) ** 2
    _judge(
        "Frechet distance", answer, expected, "In one dimension a covariance is a variance, and its root a deviation."
    )


def linear_penalty(answer: Any, resolution: int, weight: float) -> None:
    """Chapter 2: the gradient penalty of a critic that adds up all values of an image times one weight."""
    norm = math.sqrt(3 * resolution**2 * weight**2)
    _judge("Gradient penalty", answer, 10 * (norm - 1) ** 2, "The gradient has 3 R^2 equal entries.")


def wilson(answer: Any, correct: int, total: int) -> None:
    """Chapter 3: the 95 % interval of an accuracy, as a pair of fractions."""
    z, p = 1.959963984540054, correct / total
    centre = (p + z**2 / (2 * total)) / (1 + z**2 / total)
    half = z * math.sqrt(p * (1 - p) / total + z**2 / (4 * total**2)) / (1 + z**2 / total)
    _judge(
        "Interval",
        answer,
        (centre - half, centre + half),
        "Not the normal approximation: the centre is pulled towards one half.",
    )


def nearest_fingerprint(answer: Any, image_fingerprints: Any, model_fingerprints: Any, bias: Any) -> None:
    """Chapter 3: the sources that the inner products of image and model fingerprints name."""
    best = []
    for image in np.asarray(image_fingerprints, np.float64):
        scores = [float(image @ model) + float(b) for model, b in zip(model_fingerprints, bias, strict=True)]
        best.append(scores.index(max(scores)))
    _judge("Fingerprints", answer, best, "The logit is the inner product of the two fingerprints, plus a bias.")


def verdict(answer: Any, low: float, high: float, holds_above: float, fails_below: float) -> None:
    """Chapter 15: what the ledger says of an interval."""
    expected = "not reproduced at this scale"
    if low >= holds_above:
        expected = "holds"
    elif high < fails_below:
        expected = "fails"
    _judge("Verdict", answer, expected, "The whole interval has to lie on one side.")
