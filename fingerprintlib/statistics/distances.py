"""How far apart sets of images, or of features, are: nearest ones, Frechet and kernel distances, the FD ratio."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache
from itertools import product
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike

from ..errors import UsageError
from .checks import finite, float64, real
from .metrics import Interval

if TYPE_CHECKING:
    from threadpoolctl import ThreadpoolController


def cosines(some: ArrayLike, others: ArrayLike) -> np.ndarray:
    """Cosines between rows: ``[N, F]`` and ``[M, F]`` to float64 ``[N, M]``; a row of zeros has cosine 0 with all.

    Raises:
        UsageError: no rows, widths that differ, or a value that is NaN or infinite.
    """
    from sklearn.metrics.pairwise import cosine_similarity

    some, others = float64("some", some), float64("others", others)
    _check(1, some, others)
    return cosine_similarity(some, others)


def nearest(images: ArrayLike, others: ArrayLike) -> tuple[np.ndarray, np.ndarray]:
    """For each image ``[N, H, W, 3]`` the most similar of the others ``[M, H, W, 3]``; features ``[N, D]`` likewise.

    Returns:
        The root-mean-square difference in their unit, float64 ``[N]``, near 0 where an image is a copy; and the number
        of the nearest, int64 ``[N]``.

    Raises:
        UsageError: there are no images or no others, their shapes differ, or a value is NaN or infinite.
    """
    from sklearn.metrics import pairwise_distances_argmin_min

    images, others = real("images", images), real("others", others)
    if not others.size:
        raise UsageError("others is empty: there is nothing to be nearest. Give one image or more.")
    if images.shape[1:] != others.shape[1:]:
        raise UsageError(f"images and others must be of one shape each, not {images.shape[1:]} and {others.shape[1:]}.")
    flat = _flat("images", images)
    best, which = np.full(len(flat), np.inf), np.zeros(len(flat), np.int64)
    for start in range(0, len(others), 4000):  # in float32 all of them may be gigabytes
        some = _flat("others", others[start : start + 4000])
        index, distance = pairwise_distances_argmin_min(flat, some)
        closer = distance < best
        best[closer], which[closer] = distance[closer], index[closer] + start
    return best / np.sqrt(flat.shape[1]), which


def _flat(name: str, images: np.ndarray) -> np.ndarray:
    """A row of finite numbers for each image: float32, or float64 where that does not hold integers exactly."""
    if images.ndim < 2 or not images.size:
        raise UsageError(f"{name} must be [N, H, W, 3] or [N, D], N at least 1, not of shape {images.shape}.")
    dtype = np.float32 if images.dtype.kind == "f" else np.result_type(images.dtype, np.float32)
    return finite(name, images.astype(dtype, copy=False)).reshape(len(images), -1)


def neighbours_alike(points: ArrayLike, labels: ArrayLike) -> float:
    """The share of points ``[N, D]``, N at least 2, whose nearest other point has the same label ``[N]``.

    Raises:
        UsageError: shapes differ, there is one point only, or a value is NaN or infinite.
    """
    from sklearn.neighbors import NearestNeighbors

    points, labels = finite("points", points), np.asarray(labels)
    if points.ndim != 2 or len(points) < 2 or labels.shape != points.shape[:1]:
        raise UsageError(f"points must be [N, D], N at least 2, and labels [N], not {points.shape} and {labels.shape}.")
    _, which = NearestNeighbors(n_neighbors=1).fit(points).kneighbors()  # of the others: itself does not count
    return float(np.mean(labels[which[:, 0]] == labels))


def mean_distance(images: ArrayLike) -> float:
    """Mean root-mean-square difference over all pairs of images ``[N, H, W, 3]`` or features ``[N, D]``, in their unit.

    Near 0 when a generator has collapsed to one image.

    Raises:
        UsageError: fewer than two images, or a value is NaN or infinite.
    """
    from scipy.spatial.distance import pdist

    flat = _flat("images", real("images", images))
    if len(flat) < 2:
        raise UsageError(f"images must be at least two for a distance, not {len(flat)}.")
    return float(pdist(flat).mean() / np.sqrt(flat.shape[1]))


def frechet_distance(some: ArrayLike, others: ArrayLike) -> float:
    """The squared Frechet distance between the normal distributions fitted to features ``[N, D]`` and ``[M, D]``.

    ``|m1 - m2|**2 + tr(C1 + C2 - 2 (C1 C2)**(1/2))`` (Heusel et al., arXiv 1706.08500). It is biased upwards by some
    ``D / N``: compare such distances at equal N only.

    Raises:
        UsageError: fewer than two rows, widths that differ, or a value that is NaN or infinite.
    """
    some, others = finite("some", some), finite("others", others)
    _check(2, some, others)
    return _frechet(_Normal(some), _Normal(others))


class _Normal:
    """The normal distribution fitted to features ``[N, D]``."""

    def __init__(self, features: np.ndarray):
        self.mean = features.mean(0, dtype=np.float64)
        self.centred = features - self.mean
        self.centred /= np.sqrt(len(features) - 1)  # the product with itself is the covariance

    @cached_property
    def covariance(self) -> np.ndarray:
        """As `np.cov` gives it; but NumPy sees that this product is symmetric, and computes half of it."""
        return self.centred.T @ self.centred

    @cached_property
    def factor(self) -> np.ndarray:
        """F of ``F' F``, the covariance: ``[min(N, D), D]``."""
        return np.asarray(np.linalg.qr(self.centred, mode="r"))

    @property
    def is_singular(self) -> bool:
        """Whether it surely is: no more images than features."""
        images, features = self.centred.shape
        return images <= features


def _frechet(first: _Normal, second: _Normal) -> float:
    gap, traces = first.mean - second.mean, (np.vdot(each.centred, each.centred) for each in (first, second))
    small = len(gap) <= 512  # more threads gain nothing then, and spin for minutes where the machine is busy
    with _thread_pools().limit(limits=1 if small else None, user_api="blas"):
        return float(gap @ gap + sum(traces) - 2 * _root_trace(first, second))


@lru_cache
def _thread_pools() -> "ThreadpoolController":
    import scipy.linalg  # noqa: F401  # its BLAS has to be there to be found
    from threadpoolctl import ThreadpoolController

    return ThreadpoolController()


def _root_trace(first: _Normal, second: _Normal) -> float:
    """The trace of the root of the covariances' product, without a root of a matrix."""
    from scipy.linalg import eigvalsh, svdvals

    if not first.is_singular:
        try:
            found = eigvalsh(second.covariance, first.covariance, type=2, driver="gv", check_finite=False)
            return float(np.sqrt(np.maximum(found, 0)).sum())
        except np.linalg.LinAlgError:  # singular all the same: features that repeat one another
            pass
    return float(svdvals(first.factor @ second.factor.T).sum())


def _check(least: int, *sets: np.ndarray) -> None:
    for features in sets:
        if features.ndim != 2 or len(features) < least or features.shape[1] != sets[0].shape[1]:
            shapes = [s.shape for s in sets]
            raise UsageError(f"Features must be [N, D], N at least {least}, D equal; they are {shapes}.")


@dataclass(frozen=True)
class FrechetRatio:
    """How far apart classes are, in units of how far apart two samples of one class are.

    Attributes:
        count: images in each of the sets that distances are taken between.
        between: mean distance of two classes, once for each split into halves.
        within: mean distance of the two halves of a class, likewise.
    """

    count: int
    between: tuple[float, ...]
    within: tuple[float, ...]

    @property
    def ratio(self) -> float:
        """The mean over the splits of between by within; 1 where the classes are one."""
        return float(np.mean(self._ratios))

    @property
    def interval(self) -> Interval:
        """What the middle 95 % of the splits gave. Other images would vary more: the splits share theirs."""
        low, high = np.quantile(self._ratios, (0.025, 0.975))
        return float(low), float(high)

    @property
    def _ratios(self) -> np.ndarray:
        return np.divide(self.between, self.within)


def frechet_ratio(
    features: ArrayLike, labels: ArrayLike, count: int | None = None, splits: int = 10, seed: int = 0
) -> FrechetRatio:
    """Inter-class over intra-class Frechet distance (section 4.1 of the paper).

    Each class is split at random into two halves of `count` images. *Within* is the distance between the two halves of
    a class, *between* that from one class's first half to another's second, both averaged. All sets are of one size,
    for the distance is biased. The ratio still depends on it: `within` is little but bias, and shrinks with the size.

    Args:
        features: float ``[N, D]``.
        labels: int ``[N]``.
        count: images of each half, at least 2; by default half of the smallest class.
        splits: how often to split.
        seed: of the splits.

    Raises:
        UsageError: fewer than two classes, a class of fewer than ``2 * count`` images, a value that is NaN or infinite,
            or no distance within any class.
    """
    features, labels = finite("features", features), np.asarray(labels)
    if features.ndim != 2 or labels.shape != features.shape[:1]:
        raise UsageError(f"features must be [N, D] and labels [N], not {features.shape} and {labels.shape}.")
    classes, sizes = np.unique(labels, return_counts=True)
    most = int(sizes.min()) // 2 if len(sizes) else 0
    count = most if count is None else count
    if len(classes) < 2 or splits < 1 or not 2 <= count <= most:
        raise UsageError(
            f"A Frechet ratio needs two classes, one split, and 2 to {most} images a half of the smallest class; "
            f"given {len(classes)} classes, splits={splits}, count={count}."
        )
    _check_spread("features", features, labels)
    rng = np.random.default_rng(seed)
    between, within = [], []
    for _ in range(splits):
        members = [rng.permutation(np.flatnonzero(labels == k)) for k in classes]
        first = [_Normal(features[m[:count]]) for m in members]
        second = [_Normal(features[m[count : 2 * count]]) for m in members]
        apart, together = _between_and_within(first, second)
        between.append(apart)
        within.append(together)
    return FrechetRatio(count, tuple(between), tuple(within))


def _between_and_within(first: Sequence[_Normal], second: Sequence[_Normal]) -> tuple[float, float]:
    """Mean distances from one class's first half to another's second, and between the two halves of a class."""
    found = {(j, k): _frechet(first[j], second[k]) for j, k in product(range(len(first)), repeat=2)}
    between = np.mean([distance for (j, k), distance in found.items() if j != k])
    within = np.mean([distance for (j, k), distance in found.items() if j == k])
    if min(between, within) <= 0:
        raise UsageError("Halves of classes are alike to the last digit, so their distances have no ratio.")
    return float(between), float(within)


def _check_spread(name: str, features: np.ndarray, labels: np.ndarray) -> None:
    """Refuses features of which only rounding would tell how far apart two halves of a class are."""
    if not any(np.ptp(features[labels == k], axis=0).any() for k in np.unique(labels)):
        raise UsageError(f"{name} are the same for all images of each class: there is no distance within a class.")


def ratio_of_frechet_ratios(
    some: ArrayLike, others: ArrayLike, labels: ArrayLike, groups: ArrayLike, folds: int = 10, seed: int = 0
) -> tuple[float, Interval]:
    """How many times the Frechet ratio by some features is that by others, with its 95 % interval over images.

    The interval is the jackknife's (Tukey, 1958): whole groups are left out, a fold after the other, while every image
    stays in its half. A bootstrap will not do: images that are drawn twice shrink the sets that bias depends on.

    Args:
        some, others: two kinds of features of the same images, float ``[N, D]`` and ``[N, E]``.
        labels: int ``[N]``.
        groups: int ``[N]``, see `corpus.Corpus.groups`.
        folds: of groups, at least 2.
        seed: of folds and halves.

    Raises:
        UsageError: fewer groups than folds, or, with a fold left out, a half of a class has less than two images; one
            class, shapes that differ, a value that is NaN or infinite, or no distance within any class.
    """
    from scipy.stats import t

    some, others, labels = finite("some", some), finite("others", others), np.asarray(labels)
    rng = np.random.default_rng(seed)
    known, of_image = np.unique(groups, return_inverse=True)
    shapes = [each.shape for each in (some, others, labels, of_image)]
    if some.ndim != 2 or others.ndim != 2 or [shapes[0][:1], shapes[1][:1], *shapes[2:]] != 4 * [(len(some),)]:
        raise UsageError(f"some and others must be [N, D] and [N, E], labels and groups [N]; they are {shapes}.")
    if len(np.unique(labels)) < 2 or folds < 2:
        raise UsageError(f"It takes two classes and two folds at least, not {len(np.unique(labels))} and {folds}.")
    if len(known) < folds:
        raise UsageError(f"{folds} folds need as many groups, not {len(known)}.")
    for name, features in (("some", some), ("others", others)):
        _check_spread(name, features, labels)
    fold = rng.permutation(np.arange(len(known)) % folds)[of_image]
    second = rng.permutation(len(labels)) % 2 == 1
    halves = [(labels == k) & (second == half) for k in np.unique(labels) for half in (False, True)]

    def log_times(kept: np.ndarray) -> float:
        rows = [np.flatnonzero(half & kept) for half in halves]
        count = min(map(len, rows))
        if count < 2:
            raise UsageError(f"Too few images for {folds} folds: a half of a class is left with {count}.")
        ratios = []
        for features in (some, others):
            sets = [_Normal(features[each[:count]]) for each in rows]
            between, within = _between_and_within(sets[::2], sets[1::2])
            ratios.append(between / within)
        return float(np.log(ratios[0] / ratios[1]))

    found = log_times(np.ones(len(labels), bool))
    error = np.sqrt((folds - 1) * np.var([log_times(fold != k) for k in range(folds)]))
    low, high = found + error * t.ppf([0.025, 0.975], folds - 1)
    return float(np.exp(found)), (float(np.exp(low)), float(np.exp(high)))


def kernel_distance(some: ArrayLike, others: ArrayLike) -> float:
    """The squared maximum mean discrepancy between features ``[N, D]`` and ``[M, D]``; unbiased, so it can be negative.

    With the kernel ``(x . y / D + 1)**3`` (Binkowski et al., arXiv 1801.01401).

    Raises:
        UsageError: fewer than two rows, widths that differ, or a value that is NaN or infinite.
    """
    kernels = Kernels(some, others)
    return kernels.distance(*map(np.arange, kernels.between.shape))


class Kernels:
    """The kernels between all rows of features ``[N, D]`` and ``[M, D]``, for the distances of sets drawn from both.

    Raises:
        UsageError: see `kernel_distance`.
    """

    def __init__(self, some: ArrayLike, others: ArrayLike):
        x, y = float64("some", some), float64("others", others)
        _check(2, x, y)
        self.within = _kernel(x, x), _kernel(y, y)
        self.between = _kernel(x, y)

    def distance(self, some: np.ndarray, others: np.ndarray) -> float:
        """The `kernel_distance` between these rows, int ``[n]`` and ``[m]``, two at least of each; they may repeat."""
        times = [np.bincount(rows, minlength=len(k)) for rows, k in zip((some, others), self.within, strict=True)]
        alike = 0.0
        for count, kernel in zip(times, self.within, strict=True):
            drawn = count.sum()
            alike += (count @ kernel @ count - count @ np.diag(kernel)) / (drawn * (drawn - 1))
        return float(alike - 2 * (times[0] @ self.between @ times[1]) / (len(some) * len(others)))


def _kernel(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    found: np.ndarray = (x @ y.T / x.shape[1] + 1) ** 3
    return found
