"""Mistakes made on purpose: what a pipeline that treats two classes differently lets a classifier tell apart.

The trick of the chapter on confounds: give *one* source two names and handle its images under one name differently than
under the other. No fingerprint can tell the two apart, so whatever does is the handling.
"""

from collections.abc import Callable, Mapping
from functools import cache, partial

import numpy as np
import torch
import torch.nn.functional as F

from ..attacks.perturbations import ATTACKS
from ..codehash import code_of
from ..data.images import Pixels, check_images, coloured, resize, tensor_of
from ..data.labelled import LabelledImages
from ..data.views import View
from ..errors import UsageError, unknown


def min_max(images: Pixels) -> Pixels:
    """Stretch each uint8 image ``[N, H, W, 3]`` so that its values fill 0..255, as savers of figures do.

    An image of one value stays as it is. The released code of the paper saves two of its GANs so.
    """
    check_images(images)
    low, high = (f(images, axis=(1, 2, 3), keepdims=True).astype(np.float32) for f in (np.min, np.max))
    stretched = np.rint((images - low) * (255 / np.maximum(high - low, 1))).astype(np.uint8)
    return np.where(high > low, stretched, images)


def bicubic_half(images: Pixels) -> Pixels:
    """Halve uint8 images ``[N, H, W, 3]`` by this library's resizer: bicubic, its kernel widened against aliasing."""
    check_images(images)
    return np.stack([resize(image, image.shape[0] // 2) for image in images])


def bilinear_half(images: Pixels) -> Pixels:
    """Halve uint8 images ``[N, H, W, 3]`` as PyTorch does when not told otherwise: bilinear."""
    x = tensor_of(images).permute(0, 3, 1, 2).float()
    halved = F.interpolate(x, scale_factor=0.5, mode="bilinear", align_corners=False)
    return halved.round().to(torch.uint8).permute(0, 2, 3, 1).contiguous().numpy()


#: What may be done to the images of a class.
TREATMENTS: dict[str, Callable[[Pixels], Pixels]] = {
    "none": np.asarray,
    "min-max": min_max,
    "JPEG": partial(ATTACKS["jpeg"], seed=0, strength=75),
    "bicubic": bicubic_half,
    "bilinear": bilinear_half,
}


def handled(corpus: LabelledImages, classes: Mapping[str, tuple[str, str]], colour: str = "as_is") -> View:
    """The images of a corpus under new names, each name's handled in its own way.

    Args:
        corpus: images as they are.
        classes: name to source and treatment (of `TREATMENTS`). Names of one source share its images out.
        colour: the colour control that comes after all else.

    Raises:
        UsageError: an unknown source or treatment, a corpus under a colour control, or treatments to different sizes.
    """
    treatments = [treatment for _, treatment in classes.values()]
    for treatment in treatments:
        if treatment not in TREATMENTS:
            raise unknown("treatment", treatment, list(TREATMENTS))
    if corpus.colour != "as_is":
        raise UsageError(f"The corpus is {corpus.colour} already. Give the one as it is, and a colour.")
    if len(sides := {_side_after(treatment, corpus.resolution) for treatment in treatments}) != 1:
        raise UsageError(f"classes must be images of one size; these are of the sides {sorted(sides)}.")

    def change(split: str, images: Pixels, labels: np.ndarray) -> tuple[Pixels, np.ndarray]:
        parts = [TREATMENTS[treatment](images[labels == k]) for k, treatment in enumerate(treatments)]
        return np.concatenate([coloured(part, colour) for part in parts]), labels

    told = ["handled", treatments, code_of(handled)]
    sources = {name: source for name, (source, _) in classes.items()}
    return View(corpus, told, change, sources, side=sides.pop(), control=colour)


def twins(corpus: LabelledImages, source: str, one: str, other: str, colour: str = "as_is") -> View:
    """One source as two classes, `handled` by two treatments, or by the same as a control."""
    return handled(corpus, {f"{one}, one half": (source, one), f"{other}, other half": (source, other)}, colour)


@cache
def _side_after(treatment: str, side: int) -> int:
    return TREATMENTS[treatment](np.zeros((1, side, side, 3), np.uint8)).shape[1]


def share_with_own_group(images: np.ndarray, groups: np.ndarray) -> tuple[float, float]:
    """How often the most similar other image is of the same group, and how often it would be by chance.

    Args:
        images: uint8 ``[N, H, W, 3]``, at least two.
        groups: whatever tells the group of each, ``[N]``: a contributor, a photograph.

    Returns:
        Two shares in [0, 1]; the second is that of pairs of one group among all pairs.
    """
    flat = images.reshape(len(images), -1).astype(np.float32)
    products = flat @ flat.T
    apart = np.diag(products)[:, None] + np.diag(products) - 2 * products  # squared distances
    np.fill_diagonal(apart, np.inf)
    same = groups[:, None] == groups
    own = np.take_along_axis(same, apart.argmin(1)[:, None], 1).mean()
    return float(own), float((same.sum() - len(groups)) / (len(groups) * (len(groups) - 1)))
