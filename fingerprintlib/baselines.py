"""What the attribution network is compared with: simpler classifiers behind one small interface.

Each is used as in scikit-learn: ``fit(images, labels)``, ``predict(images)``, ``score(images, labels)``, with uint8
images ``[N, H, W, 3]`` and integer labels ``[N]``.
"""

from typing import Self

import numpy as np

from .errors import UsageError
from .training import check_images, check_labels


def channel_histograms(images: np.ndarray, bins: int = 32) -> np.ndarray:
    """Each image's red, green and blue histograms, one after the other.

    Args:
        images: uint8 ``[N, H, W, 3]``.
        bins: equal bins over 0..255, a divisor of 256.

    Returns:
        float32 ``[N, 3 * bins]``; each channel's histogram sums to 1.

    Raises:
        UsageError: images of another kind, or `bins` does not divide 256.
    """
    check_images(images)
    if bins < 1 or 256 % bins:
        raise UsageError(f"bins must divide 256, not {bins}. Use 32.")
    count, pixels = len(images), images.shape[1] * images.shape[2]
    histograms = np.empty((count, 3 * bins), np.float32)
    offsets = np.arange(3) * bins
    for index, image in enumerate(images):  # an image at a time: a corpus may not fit in memory
        codes = image // (256 // bins) + offsets
        histograms[index] = np.bincount(codes.ravel(), minlength=3 * bins) / pixels
    return histograms


class HistogramProbe:
    """Gradient boosting on `channel_histograms`: how far colours alone tell the sources apart.

    Not a fingerprint but a confound: what this probe attains needs no fingerprint to explain. On rank-equalized images
    all histograms are alike, and it must score chance.
    """

    def __init__(self, bins: int = 32, seed: int = 0):
        self.bins, self.seed = bins, seed

    def fit(self, images: np.ndarray, labels: np.ndarray) -> Self:
        """Learn from uint8 images ``[N, H, W, 3]`` and labels ``[N]``.

        Raises:
            UsageError: an argument is of another kind, or all labels are the same.
        """
        from sklearn.ensemble import HistGradientBoostingClassifier

        check_images(images)
        check_labels(labels, len(images))
        if len(np.unique(labels)) < 2:
            raise UsageError("labels must hold at least two classes; they are all the same.")
        self.model_ = HistGradientBoostingClassifier(early_stopping=False, random_state=self.seed)
        self.model_.fit(channel_histograms(images, self.bins), labels)
        return self

    def predict(self, images: np.ndarray) -> np.ndarray:
        """The label of each of the uint8 images ``[N, H, W, 3]``, int64 ``[N]``.

        Raises:
            UsageError: images of another kind, or `fit` was not called.
        """
        if not hasattr(self, "model_"):
            raise UsageError("This HistogramProbe has learned nothing yet. Call fit(images, labels) first.")
        return self.model_.predict(channel_histograms(images, self.bins)).astype(np.int64)

    def score(self, images: np.ndarray, labels: np.ndarray) -> float:
        """Accuracy in [0, 1].

        Raises:
            UsageError: an argument is of another kind.
        """
        check_images(images)
        check_labels(labels, len(images))
        return float(np.mean(self.predict(images) == labels))
