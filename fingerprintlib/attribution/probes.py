"""What needs no fingerprint: colours, flat areas and motifs, and classifiers that see nothing else."""

from collections.abc import Iterator

import numpy as np
from scipy.special import logsumexp
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from threadpoolctl import threadpool_limits

from ..data.images import LUMA, check_images, coloured, luma
from ..errors import UsageError
from .baselines import Baseline, Candidate, Labelled, Searched, drawn_evenly
from .kernel_ridge import GaussianRidge
from .ridge import ridges
from .spectra import lumas

BINS = 32  # of a channel's histogram, equal ones over 0..255
# Half of scikit-learn's rounds at twice the rate, and fewer bins: as accurate on validation, in half the time.
BOOSTING = {"max_iter": 50, "learning_rate": 0.2, "max_bins": 63, "early_stopping": False}
LEVELS = 6  # equal steps of a channel in the joint histogram
TIES = 64  # the largest ties that are looked at
SHARPNESS = 5  # of their scores, to the exponent: of 2 and 5 what catches more in grey, on validation images
_UP = (0.5, 1.5, 2.5, 4.5, 8.5, 16.5, 32.5, 64.5)
SIZES = (*(-step for step in reversed(_UP)), *_UP)  # between the 17 sizes of a difference


def channel_histograms(images: np.ndarray) -> np.ndarray:
    """Each image's red, green and blue histograms, one after the other.

    Args:
        images: uint8 ``[N, H, W, 3]``.

    Returns:
        float32 ``[N, 3 * BINS]``; each channel's histogram sums to 1.

    Raises:
        UsageError: images of another kind.
    """
    check_images(images)
    count, pixels = len(images), images.shape[1] * images.shape[2]
    histograms = np.empty((count, 3 * BINS), np.float32)
    offsets = np.arange(3) * BINS
    for index, image in enumerate(images):  # an image at a time: a corpus may not fit in memory
        codes = image.astype(np.int64) * BINS // 256 + offsets
        histograms[index] = np.bincount(codes.ravel(), minlength=3 * BINS) / pixels
    return histograms


def joint_histograms(images: np.ndarray) -> np.ndarray:
    """How often each colour occurs in an image, wherever it does: red, green and blue together.

    Args:
        images: uint8 ``[N, H, W, 3]``.

    Returns:
        float32 ``[N, LEVELS**3]``; each histogram sums to 1.

    Raises:
        UsageError: images of another kind.
    """
    check_images(images)
    histograms = np.empty((len(images), LEVELS**3), np.float32)
    for index, image in enumerate(images):
        red, green, blue = np.moveaxis(image.astype(np.int64) * LEVELS // 256, -1, 0)
        codes = (red * LEVELS + green) * LEVELS + blue
        histograms[index] = np.bincount(codes.ravel(), minlength=LEVELS**3) / codes.size
    return histograms


def largest_ties(images: np.ndarray) -> np.ndarray:
    """The share of pixels that hold a channel's commonest value, the largest of the three channels.

    The colour controls break ties at random, so these pixels become noise.

    Args:
        images: uint8 ``[N, H, W, 3]``.

    Returns:
        float32 ``[N]`` in (0, 1].

    Raises:
        UsageError: images of another kind.
    """
    check_images(images)
    shares = [max(np.bincount(channel).max() for channel in image.reshape(-1, 3).T) for image in images]
    return np.array(shares, np.float32) / (images.shape[1] * images.shape[2])


def tie_sizes(images: np.ndarray) -> np.ndarray:
    """How many pixels share exactly one luma, from the commonest on, whichever values these are.

    Grey images have every value equally often; which of the pixels that had been equal gets which, is decided at
    random. So a flat area becomes noise, and how much of it there is tells the source without any fingerprint.

    Args:
        images: uint8 ``[N, H, W, 3]``, as they are.

    Returns:
        float32 ``[N, TIES]``, shares of the pixels in falling order.

    Raises:
        UsageError: images of another kind.
    """
    check_images(images)
    sizes = np.zeros((len(images), TIES), np.float32)
    for row, image in zip(sizes, images, strict=True):
        counts = np.sort(np.unique(image.astype(np.int64) @ LUMA, return_counts=True)[1])[::-1][:TIES]
        row[: len(counts)] = counts / image[..., 0].size
    return sizes


def thumbnails(images: np.ndarray, side: int = 8) -> np.ndarray:
    """What an image shows, seen from afar: its luma, averaged over blocks.

    A generator that prefers some motifs is told by them. Eight pixels a side know nothing of what the last three
    doublings of a 64x64 generator leave, as that repeats within the blocks.

    Args:
        images: uint8 ``[N, H, W, 3]``.
        side: blocks along a side, a divisor of H and W.

    Returns:
        float32 ``[N, side * side]``, on the scale 0..255.

    Raises:
        UsageError: images of another kind, or a side that does not divide theirs.
    """
    check_images(images)
    count, height, width, _ = images.shape
    if height % side or width % side:
        raise UsageError(f"Images of {height} x {width} pixels are not {side} blocks a side. Choose a divisor.")
    blocks = (some.reshape(-1, side, height // side, side, width // side) for some in lumas(images))
    return np.concatenate([some.mean((2, 4)) for some in blocks]).reshape(count, side * side)


def difference_pairs(images: np.ndarray) -> np.ndarray:
    """How often a difference of neighbouring pixels is followed by another one, wherever it happens.

    Along rows, along columns, and around a corner: to the right, and down from the same pixel. All that a pair needs
    lies in 3x3 pixels. Differences of the luma fall into 17 sizes: 0, and up and down 1, 2, to 4, 8, 16, 32, 64, 255.

    Args:
        images: uint8 ``[N, H, W, 3]``, of three pixels a side at least.

    Returns:
        float32 ``[N, 3 * 17**2]``; of each of the three ways the shares sum to 1.

    Raises:
        UsageError: images of another kind, or smaller ones.
    """
    check_images(images)
    if min(images.shape[1:3]) < 3:
        raise UsageError(f"Images must have 3 pixels a side at least, not {images.shape[1]} x {images.shape[2]}.")
    kinds = len(SIZES) + 1
    size_of = np.digitize(np.arange(-255, 256), SIZES)
    found = np.empty((len(images), 3 * kinds**2), np.float32)
    for row, image in zip(found, images, strict=True):
        plane = np.rint(luma(image[None])[0]).astype(np.int64)
        right, down = size_of[np.diff(plane, axis=1) + 255], size_of[np.diff(plane, axis=0) + 255]
        ways = (right[:, :-1], right[:, 1:]), (down[:-1], down[1:]), (right[:-1], down[:, :-1])
        counts = [np.bincount((kinds * one + other).ravel(), minlength=kinds**2) for one, other in ways]
        row[:] = np.concatenate([some / some.sum() for some in counts])
    return found


class HistogramProbe(Baseline):
    """Gradient boosting on histograms: how far colours alone, without any place, tell the sources apart.

    Not a fingerprint but a confound: what this probe attains needs no fingerprint to explain. On equalized images all
    `channel_histograms` are alike, on grey ones all `joint_histograms` too: there it must score chance.

    Args:
        joint: use `joint_histograms` in place of `channel_histograms`.
        seed: of the boosting.
    """

    def __init__(self, joint: bool = False, seed: int = 0):
        self.joint, self.seed = joint, seed

    def _features(self, images: np.ndarray) -> np.ndarray:
        """What it sees of uint8 images ``[N, H, W, 3]``: float32 ``[N, D]``."""
        return joint_histograms(images) if self.joint else channel_histograms(images)

    def _fit(self, images: np.ndarray, labels: np.ndarray, validation: Labelled | None) -> None:
        self.model_ = HistGradientBoostingClassifier(**BOOSTING, random_state=self.seed)
        features = self._features(images)
        # Under a colour control there may be nothing but constants, which no tree can split: one of them will do.
        self.varies_ = np.ptp(features, axis=0) > 0
        self.varies_[0] |= not self.varies_.any()
        with threadpool_limits(1, "openmp"):  # of its small steps several threads take longer: they wait for each other
            self.model_.fit(features[:, self.varies_], labels)

    def _predict(self, images: np.ndarray) -> np.ndarray:
        return self.model_.predict(self._features(images)[:, self.varies_])

    def decision_function(self, images: np.ndarray) -> np.ndarray:
        """See `baselines.Searched.decision_function`."""
        self._check_fitted(images)
        return self.model_.decision_function(self._features(images)[:, self.varies_])


class TieProbe(HistogramProbe):
    """The same on `tie_sizes`: how far the sizes of flat areas alone tell the sources apart.

    It is asked about images as they are; what it attains on them may be left in grey ones as noise.
    """

    def __init__(self, seed: int = 0):
        super().__init__(seed=seed)

    def _features(self, images: np.ndarray) -> np.ndarray:
        return tie_sizes(images)


class MotifProbe(Baseline):
    """Ridge regression with a Gaussian kernel on `thumbnails`: how far motifs alone tell the sources apart.

    Of images, or bands of images, that are no larger than a thumbnail it sees every pixel. A network that is no better
    there has found no more than what is shown.

    Args:
        side: of the thumbnails, at most.
        images: training images at most, of all sources together.
        seed: of which these are.
    """

    def __init__(self, side: int = 8, images: int = 20_000, seed: int = 0):
        self.side, self.images, self.seed = side, images, seed

    def _features(self, images: np.ndarray) -> np.ndarray:
        return thumbnails(images, min(self.side, *images.shape[1:3]))

    def _fit(self, images: np.ndarray, labels: np.ndarray, validation: Labelled | None) -> None:
        drawn = drawn_evenly(labels, self.images, self.seed)
        features = self._features(images)[drawn]
        self.model_ = make_pipeline(StandardScaler(), GaussianRidge()).fit(features, labels[drawn])

    def _predict(self, images: np.ndarray) -> np.ndarray:
        return self.model_.predict(self._features(images))


class DifferenceProbe(Searched):
    """Ridge regression on the standardized roots of `difference_pairs`: how far counting fine steps tells the sources.

    A network of patches of 3 pixels that averages over an image can count no more than what such patches show.
    """

    penalties = (1e3, 1e2)  # strengths of the regression's L2 penalty to try

    def _learn_features(self, images: np.ndarray, labels: np.ndarray) -> Labelled:
        features = np.sqrt(difference_pairs(images))
        self._scaler = StandardScaler().fit(features)
        return self._scaler.transform(features), labels

    def _features(self, images: np.ndarray) -> np.ndarray:
        return self._scaler.transform(np.sqrt(difference_pairs(images)))

    def _candidates(self, features: np.ndarray, labels: np.ndarray, seen: np.ndarray) -> Iterator[Candidate]:
        for penalty, model in zip(self.penalties, ridges(features, labels, self.penalties), strict=True):
            yield {"penalty": penalty}, model, model.predict(seen)


class PlainProbe(Baseline):
    """All of it together: how far colours, flat areas and motifs tell the sources apart, without any fine structure.

    Ridge regression with a Gaussian kernel on the square roots of all histograms, on `tie_sizes` and `thumbnails`. It
    is asked about images as they are, and puts them under a colour control itself, since flat areas are seen before.

    Args:
        colour: one of `images.COLOURS`, under which histograms and thumbnails are seen.
        side: of the thumbnails.
    """

    def __init__(self, colour: str = "as_is", side: int = 8):
        self.colour, self.side = colour, side

    def _features(self, images: np.ndarray) -> np.ndarray:
        seen = coloured(images, self.colour)
        shares = np.hstack([channel_histograms(seen), joint_histograms(seen), tie_sizes(images)])
        return np.hstack([np.sqrt(shares), thumbnails(seen, self.side)])

    def _fit(self, images: np.ndarray, labels: np.ndarray, validation: Labelled | None) -> None:
        self.model_ = make_pipeline(StandardScaler(), GaussianRidge()).fit(self._features(images), labels)

    def _predict(self, images: np.ndarray) -> np.ndarray:
        return self.model_.predict(self._features(images))

    def evidence(self, images: np.ndarray) -> np.ndarray:
        """How clearly each image is of any class but the first: float32 ``[N]``.

        How far the score of each other class exceeds that of the first, all of them weighed together as those of a
        network are: the logarithm of the sum of their exponentials.

        Raises:
            UsageError: see `predict`.
        """
        self._check_fitted(images)
        scores = self.model_.decision_function(self._features(images))
        return logsumexp(SHARPNESS * (scores[:, 1:] - scores[:, :1]), axis=1)
