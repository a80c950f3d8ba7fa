"""Patches: which pixels a feature sees, where they lie, what one says by itself, and what several say together."""

import copy

import numpy as np
import torch
from scipy.special import log_softmax
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from ..attribution.attributor import Attributor
from ..attribution.networks import AttributionNetwork, field_sides, patch_sides
from ..attribution.training import apply
from ..data.images import coloured
from ..errors import UsageError


def support(network: AttributionNetwork) -> np.ndarray:
    """The pixels that one of the last convolution's features depends on, one in the middle: bool ``[H, W]``.

    Measured, not worked out: where the feature's gradient by the pixels of a random image is not zero, in float64. With
    ``conv_then_pool`` that is the patch which `networks.patch_sides` foretells.
    """
    network = copy.deepcopy(network).cpu().double().eval()
    side = network.resolution
    x = torch.rand(1, 3, side, side, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    x.requires_grad_()
    features = network.feature_maps(x)
    middle = features.shape[-1] // 2
    (gradient,) = torch.autograd.grad(features[0, :, middle, middle].sum(), x)
    return (gradient[0] != 0).any(0).numpy()


def pool_from_of(side: int, resolution: int) -> int:
    """Where pooling has to start for patches of this side in pixels; the inverse of `networks.patch_sides`.

    Raises:
        UsageError: no network has such patches at this resolution; the message names those that there are.
    """
    sides = {seen: pool_from for pool_from, seen in patch_sides(resolution).items()}
    if side not in sides:
        there_are = ", ".join(map(str, sorted(sides)))
        raise UsageError(f"At {resolution}x{resolution} the side of a patch must be one of {there_are}, not {side}.")
    return sides[side]


def spans(pool_from: int, resolution: int) -> np.ndarray:
    """First row and the one past the last of each patch, from the top; columns likewise: int64 ``[P, 2]``.

    At the border they reach beyond the image, where a network sees the pixels within the patch mirrored. With
    `pool_from` 4 they are larger than an image of 64 pixels, 108: none lies in it wholly, and the outer ones miss the
    rows that are farthest from them.

    Raises:
        UsageError: no pooling starts there at this resolution.
    """
    sides = field_sides(resolution)
    if pool_from not in sides:
        raise UsageError(f"At {resolution}x{resolution} pool_from must be one of {list(sides)}, not {pool_from}.")
    stride = resolution // pool_from
    first = stride * np.arange(pool_from) + (stride - sides[pool_from]) // 2  # both odd or both even
    return np.stack([first, first + sides[pool_from]], 1)


def whole(pool_from: int, resolution: int) -> np.ndarray:
    """Which patches lie in the image with all their pixels: bool ``[P, P]``. Raises as `spans`."""
    first, end = spans(pool_from, resolution).T
    inside = (first >= 0) & (end <= resolution)
    return inside[:, None] & inside


def patch_features(attributor: Attributor, images: np.ndarray) -> np.ndarray:
    """What the last convolution finds in each patch of uint8 images ``[N, H, W, 3]``: float32 ``[N, P, P, C]``.

    Raises:
        UsageError: images of another size than the attributor's.
    """
    # No method of `Attributor`: whatever stands there is part of the recipe of each immunized network.
    found = apply(
        attributor.network.feature_maps,
        images,
        fabric=attributor.fabric,
        prepare=lambda some: np.array(coloured(some, attributor.colour)),
    )
    return found.permute(0, 2, 3, 1).numpy()


class PatchJudge:
    """A network's features of single patches, and a last layer that learned from single patches.

    The network's own last layer has met nothing but averages over all patches of an image; asked about one patch, it
    is out of its depth. This one is linear (multinomial logistic regression) and learns from patches, a few of each
    training image; the features stay as they are.
    """

    def __init__(
        self, attributor: Attributor, images: np.ndarray, labels: np.ndarray, each: int = 8, seed: int = 0
    ) -> None:
        """Learn the last layer.

        Args:
            attributor: whose features see patches.
            images: of the training split, uint8 ``[N, H, W, 3]``.
            labels: int ``[N]``.
            each: patches of each image, drawn with replacement.
            seed: of the draws.
        """
        self.attributor = attributor
        features = patch_features(attributor, images)
        rows = np.arange(len(images))[:, None]
        down, across = np.random.default_rng(seed).integers(features.shape[1], size=(2, len(images), each))
        drawn = features[rows, down, across].reshape(-1, features.shape[-1])
        self.layer = make_pipeline(StandardScaler(), LogisticRegression(max_iter=500))
        self.layer.fit(drawn, np.repeat(labels, each))

    def patch_scores(self, images: np.ndarray) -> np.ndarray:
        """What each patch of uint8 images ``[N, H, W, 3]`` says: log-probabilities, float64 ``[N, P, P, K]``."""
        features = patch_features(self.attributor, images)
        # Not `predict_log_proba`, the logarithm of a probability: where a patch is sure, that is the logarithm of 0.
        odds = self.layer.decision_function(features.reshape(-1, features.shape[-1])).astype(np.float64)
        if odds.ndim == 1:  # two sources: the second's against the first's
            odds = np.stack([np.zeros_like(odds), odds], -1)
        return log_softmax(odds, axis=-1).reshape(*features.shape[:-1], -1)


def vote(scores: np.ndarray, count: int, seed: int = 0) -> np.ndarray:
    """What some patches of each image say together: the source with the highest sum of log-probabilities.

    Args:
        scores: `PatchJudge.patch_scores`, ``[N, P, P, K]``.
        count: patches to ask, 1 to ``P * P``, drawn for each image anew, none twice.
        seed: of the draws.

    Returns:
        int64 ``[N]``.

    Raises:
        UsageError: `count` is out of range.
    """
    flat = log_softmax(scores.reshape(len(scores), -1, scores.shape[-1]), axis=-1)  # [N, P * P, K]
    if not 1 <= count <= flat.shape[1]:
        raise UsageError(f"count must be from 1 to {flat.shape[1]}, not {count}.")
    drawn = np.random.default_rng(seed).random(flat.shape[:2]).argpartition(count - 1, axis=1)[:, :count]
    return np.take_along_axis(flat, drawn[..., None], 1).sum(1).argmax(-1)
