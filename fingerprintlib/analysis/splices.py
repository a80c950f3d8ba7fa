"""Images put together from two sources: making them, and finding where the one ends and the other begins."""

import numpy as np
from scipy.special import log_softmax

from ..data.images import Pixels, check_images
from ..errors import UsageError
from .patches import spans


def right_of(seams: np.ndarray, resolution: int) -> np.ndarray:
    """Where the second source goes if it has all that is right of a seam: bool ``[N, R, R]``.

    Args:
        seams: the first column of the second source, int ``[N]`` from 1 to R - 1.
        resolution: R, side of the images.

    Raises:
        UsageError: a seam that leaves one source nothing.
    """
    seams = np.asarray(seams)
    if seams.min() < 1 or seams.max() >= resolution:
        raise UsageError(f"seams must be from 1 to {resolution - 1}, so that both sources have a part.")
    where = np.arange(resolution) >= seams[:, None, None]  # [N, 1, R]
    return np.broadcast_to(where, (len(seams), resolution, resolution)).copy()


def squares(corners: np.ndarray, side: int, resolution: int) -> np.ndarray:
    """Where the second source goes if it has a square: bool ``[N, R, R]``.

    Args:
        corners: row and column of the square's first pixel, int ``[N, 2]``.
        side: of the square, less than R.
        resolution: R, side of the images.

    Raises:
        UsageError: a square that does not lie in the image, or fills it.
    """
    corners = np.asarray(corners)
    if not 1 <= side < resolution or corners.min() < 0 or corners.max() + side > resolution:
        raise UsageError(
            f"A square of {side} pixels must be smaller than the image and lie in it: corners from 0 to "
            f"{resolution - side} in {resolution}x{resolution}; they run from {corners.min()} to {corners.max()}."
        )
    places = np.arange(resolution)
    within = (places >= corners[..., None]) & (places < corners[..., None] + side)  # [N, 2, R]
    return within[:, 0, :, None] & within[:, 1, None, :]


def splice(first: Pixels, second: Pixels, where: np.ndarray) -> Pixels:
    """The first images, with the second ones' pixels where they are wanted.

    Args:
        first, second: uint8 ``[N, R, R, 3]``.
        where: bool ``[N, R, R]``, true for the second.

    Raises:
        UsageError: images of another kind, or not as many and as large.
    """
    check_images(first, "first images")
    check_images(second, "second images")
    if first.shape != second.shape or where.shape != first.shape[:3]:
        raise UsageError(
            f"first, second and where must be as many and as large, not {first.shape}, {second.shape}, {where.shape}."
        )
    return np.where(where[..., None], second, first)


def parts(where: np.ndarray, pool_from: int) -> np.ndarray:
    """Which part each patch lies in: 0 the first source's, 1 the second's, -1 both; int64 ``[N, P, P]``.

    Pixels beyond the border do not count: there a network sees the patch's own pixels mirrored.

    Args:
        where: bool ``[N, R, R]``, true for the second source.
        pool_from: P; see `networks.patch_sides`.

    Raises:
        UsageError: no pooling starts there at this resolution.
    """
    resolution = where.shape[-1]
    start, end = spans(pool_from, resolution).clip(0, resolution).T
    table = np.pad(where, ((0, 0), (1, 0), (1, 0))).cumsum(1).cumsum(2)  # of all pixels above and left
    rows = table[:, end] - table[:, start]
    second = rows[:, :, end] - rows[:, :, start]
    return np.where(second == 0, 0, np.where(second == np.outer(end - start, end - start), 1, -1))


def find_seams(scores: np.ndarray, resolution: int) -> tuple[np.ndarray, np.ndarray]:
    """The most likely seam of each image that is one source's at its left and another's at its right.

    Of all cuts between two columns of patches, and all pairs of different sources, those for which the patches'
    log-probabilities add up to most. Neighbouring patches overlap, so the sum is no likelihood, but it has its maximum.

    Args:
        scores: `patches.PatchJudge.patch_scores`, ``[N, P, P, K]``.
        resolution: side of the images.

    Returns:
        The first column of pixels of the right source, int64 ``[N]``; and left and right source, int64 ``[N, 2]``.
    """
    columns = log_softmax(scores.astype(np.float64), axis=-1).sum(1)  # [N, P, K]
    left = columns.cumsum(1)[:, :-1]
    right = columns.sum(1, keepdims=True) - left
    pairs = left[..., :, None] + right[..., None, :]  # [N, P - 1, K, K]
    count, cuts, sources, _ = pairs.shape
    pairs[..., np.arange(sources), np.arange(sources)] = -np.inf
    best = np.unravel_index(pairs.reshape(count, -1).argmax(1), (cuts, sources, sources))
    return (best[0] + 1) * (resolution // (cuts + 1)), np.stack(best[1:], 1)


def separation(scores: np.ndarray, where: np.ndarray, first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """How well patches tell the second source's pixels from the first's, when both are known: AUROC, float64 ``[N]``.

    The probability that of two patches, one with its middle on the second source and one on the first, the former
    speaks more for the second: 1 when the map can be cut without a mistake, 1/2 for guessing.

    Args:
        scores: `patches.PatchJudge.patch_scores`, ``[N, P, P, K]``.
        where: bool ``[N, R, R]``, true for the second source; each image must have patches of both.
        first, second: the sources, int ``[N]``.
    """
    from sklearn.metrics import roc_auc_score

    middles = spans(scores.shape[1], where.shape[-1]).sum(1) // 2
    truth = where[:, middles][:, :, middles].reshape(len(where), -1)
    flat = scores.reshape(len(scores), -1, scores.shape[-1])
    every = np.arange(len(flat))
    odds = flat[every, :, second] - flat[every, :, first]  # [N, P * P]
    return np.array([roc_auc_score(t, o) for t, o in zip(truth, odds, strict=True)])
