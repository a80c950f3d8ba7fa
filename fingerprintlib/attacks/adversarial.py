"""An attack that knows the network: projected gradient descent (Madry et al., arXiv 1706.06083).

The colour control of an attributor has no useful gradient. So images pass it on the way forward, and on the way back it
counts as if it left values alone (the luma, in grey): the straight-through trick of Athalye et al., arXiv 1802.00420.
"""

import numpy as np
import torch
import torch.nn.functional as F

from ..attribution.attributor import Attributor
from ..data.images import Pixels, check_images, check_labels, coloured, to_network
from ..errors import UsageError
from .perturbations import random_words

STREAM = 1000  # far from those of the attacks
BATCH = 256


def pgd(
    attributor: Attributor,
    images: Pixels,
    labels: np.ndarray,
    levels: int = 2,
    steps: int = 10,
    seed: int = 0,
    towards: bool = False,
) -> Pixels:
    """Images in which no value is more than some levels off, and which the network takes for another source if it can.

    It starts from random values in reach, goes one level a step against the true label, stays in reach, and gives of
    each image the state that the network was most wrong about. All states are whole levels, so nothing is rounded away.
    With `towards` it goes to a source and not away from one.

    Args:
        attributor: its gradients are used.
        images: uint8 ``[N, H, W, 3]`` of its resolution, as they are or under its colour control.
        labels: the true sources, int ``[N]``, indices of its `class_names`; with `towards` those to be taken for.
        levels: how far a value may go, of 255; 0 leaves the images as they are.
        steps: with 0 it is the random start.
        seed: of the start.
        towards: down the loss of the labels, where it is up otherwise.

    Returns:
        uint8 ``[N, H, W, 3]``.

    Raises:
        UsageError: images of another kind or size, or labels, levels or steps out of range.
    """
    check_images(images)
    check_labels(labels, len(images), class_count=len(attributor.class_names))
    if images.shape[1:3] != (attributor.resolution, attributor.resolution):
        raise UsageError(f"images are {images.shape[1]}x{images.shape[2]}; the network's are {attributor.resolution}.")
    if not 0 <= levels <= 255 or steps < 0:
        raise UsageError(f"levels must be from 0 to 255 and steps 0 or above, not {levels} and {steps}.")
    result = np.empty(images.shape, np.uint8)
    for start in range(0, len(images), BATCH):
        some = slice(start, start + BATCH)
        result[some] = _pgd(attributor, np.array(images[some]), labels[some], levels, steps, seed, start, towards)
    return result


def _pgd(
    attributor: Attributor,
    images: Pixels,
    labels: np.ndarray,
    levels: int,
    steps: int,
    seed: int,
    first: int,
    towards: bool,
) -> Pixels:
    low = np.maximum(images, levels) - levels  # uint8: nothing may wrap around
    high = np.minimum(images, 255 - levels) + levels
    words = random_words(seed, STREAM, first + np.arange(len(images)), -(-images[0].size // 4))
    bits = np.ascontiguousarray(words).view(np.uint16)[:, : images[0].size].reshape(images.shape)
    moves = (bits.astype(np.int32) * (2 * levels + 1) >> 16) - levels
    now = np.clip(images + moves, low, high).astype(np.uint8)
    return climb(attributor, now, labels, low, high, steps, towards)


def climb(
    attributor: Attributor,
    images: Pixels,
    labels: np.ndarray,
    low: Pixels,
    high: Pixels,
    steps: int,
    towards: bool = False,
) -> Pixels:
    """Up the gradient of the loss, a level a step, between `low` and `high`: of each image the state of most loss.

    Args:
        attributor, labels, towards: see `pgd`; `towards` goes down, to the state of least loss.
        images, low, high: uint8 ``[n, H, W, 3]``: where to begin, and the bounds.
        steps: how many.
    """
    side = -1 if towards else 1
    worst, highest = images, np.full(len(images), -np.inf)
    for _ in range(steps + 1):
        losses, uphill = (side * some for some in losses_and_signs(attributor, images, labels))
        more = losses > highest
        worst = np.where(more[:, None, None, None], images, worst)
        highest = np.maximum(losses, highest)
        images = np.clip(images.astype(np.int16) + uphill, low, high).astype(np.uint8)
    return worst


def losses_and_signs(attributor: Attributor, images: Pixels, labels: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The cross-entropy of each image, float ``[n]``, and the signs of its slopes, int8 ``[n, H, W, 3]``."""
    fabric = attributor.fabric
    x = to_network(torch.from_numpy(np.array(coloured(images, attributor.colour))), fabric.device).requires_grad_()
    targets = torch.from_numpy(np.asarray(labels, np.int64)).to(fabric.device)
    with fabric.autocast():
        losses = F.cross_entropy(attributor.network(x), targets, reduction="none")
    (slope,) = torch.autograd.grad(losses.sum(), x)
    if attributor.colour == "grey":  # one plane in three channels: what raises the luma raises all
        slope = slope.sum(1, keepdim=True).expand_as(x)
    return losses.detach().float().cpu().numpy(), slope.sign().to(torch.int8).permute(0, 2, 3, 1).cpu().numpy()
