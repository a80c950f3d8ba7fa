"""Patches: which pixels a feature sees, and images put together from two sources."""

import copy

import numpy as np
import torch
import torch.nn.functional as F

from .errors import UsageError
from .images import Pixels
from .networks import SMALLEST, AttributionNetwork
from .training import check_images


def support(network: AttributionNetwork) -> np.ndarray:
    """The pixels that one of the last convolution's features depends on, one in the middle: bool ``[H, W]``.

    Measured, not worked out: where the feature's gradient by the pixels of a random image is not zero, in float64. With
    ``conv_then_pool`` that is the patch which `networks.patch_sides` foretells.
    """
    network = copy.deepcopy(network).cpu().double().eval()
    side = network.resolution
    x = torch.rand(1, 3, side, side, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    x.requires_grad_()
    features = network._before_pooling(x)
    if network.order == "pool_then_conv":
        features = network._convolve(F.avg_pool2d(features, network.pool_from // SMALLEST), -1)
    middle = features.shape[-1] // 2
    (gradient,) = torch.autograd.grad(features[0, :, middle, middle].sum(), x)
    return (gradient[0] != 0).any(0).numpy()


def splice(left: Pixels, right: Pixels) -> Pixels:
    """Images of which the left half is from one and the right half from another, uint8 ``[N, H, W, 3]``.

    Raises:
        UsageError: images of another kind, or not as many and as large of one as of the other.
    """
    check_images(left, "left images")
    check_images(right, "right images")
    if left.shape != right.shape:
        raise UsageError(f"left and right must be as many and as large, not {left.shape} and {right.shape}.")
    result = np.array(left)
    result[:, :, left.shape[2] // 2 :] = right[:, :, left.shape[2] // 2 :]
    return result


def clear_of_the_seam(positions: int, patch: int, resolution: int) -> np.ndarray:
    """Columns of patches that lie in the left half (-1) or the right half (1) alone, or on the seam (0): int ``[P]``.

    Args:
        positions: P, patches side by side.
        patch: their side in pixels.
        resolution: side of the image.
    """
    middles = (np.arange(positions) + 0.5) * resolution / positions - resolution / 2
    return np.where(np.abs(middles) >= patch / 2, np.sign(middles), 0).astype(int)


def vote(scores: np.ndarray, count: int, seed: int = 0) -> np.ndarray:
    """What some patches of each image say together: the source with the highest sum of log-probabilities.

    Args:
        scores: `Attributor.patch_scores`, ``[N, P, P, K]``.
        count: patches to ask, 1 to ``P * P``, drawn for each image anew, none twice.
        seed: of the draws.

    Returns:
        int64 ``[N]``.

    Raises:
        UsageError: `count` is out of range.
    """
    from scipy.special import log_softmax

    flat = log_softmax(scores.reshape(len(scores), -1, scores.shape[-1]), axis=-1)  # [N, P * P, K]
    if not 1 <= count <= flat.shape[1]:
        raise UsageError(f"count must be from 1 to {flat.shape[1]}, not {count}.")
    drawn = np.random.default_rng(seed).random(flat.shape[:2]).argpartition(count - 1, axis=1)[:, :count]
    return np.take_along_axis(flat, drawn[..., None], 1).sum(1).argmax(-1)
