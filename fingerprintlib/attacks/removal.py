"""Taking a fingerprint out of an image, or putting another source's in, and what the eye notices of it.

All of it is published. Patterns are copied as those of cameras are (Goljan et al. 2011, IEEE Trans. Information
Forensics and Security 6(1)). Images are rebuilt from what was learned of photographs, as by the autoencoder of Neves et
al. (arXiv 1911.05351), of which principal components are the linear kind. Two more ways stand elsewhere: spectra lose
their peaks (Wesselkamp et al., arXiv 2205.12543) by `distortions.notch`, and images follow a network's gradient
(Carlini and Farid, arXiv 2004.00622) by `adversarial.pgd` with `towards`.
"""

from math import isqrt
from typing import NamedTuple

import numpy as np
from skimage.metrics import structural_similarity
from sklearn.decomposition import PCA
from sklearn.feature_extraction.image import PatchExtractor, extract_patches_2d, reconstruct_from_patches_2d

from ..data.images import Pixels, check_images, check_labels
from ..errors import UsageError

SIDE = 8  # of a square, in pixels
PATCHES = 64  # squares of each photograph, drawn at random
WINDOW = 11  # side of the Gaussian window of the structural similarity, in pixels


class Change(NamedTuple):
    """What an attack changed, over all images.

    Attributes:
        rms: root mean square, in levels of 255.
        largest: in levels of 255.
        ssim: mean structural similarity, at most 1.
    """

    rms: float
    largest: int
    ssim: float


def exchange_patterns(
    images: Pixels, patterns: np.ndarray, labels: np.ndarray, targets: np.ndarray | None = None, strength: float = 1.0
) -> Pixels:
    """Images less the pattern of their own source, and with that of another if there are targets.

    Args:
        images: uint8 ``[N, H, W, 3]``.
        patterns: the mean residuals of K sources, see `prnu.mean_residuals`, float ``[K, H, W, 3]``.
        labels: the true sources, int ``[N]``, from 0 to K - 1.
        targets: the sources to be blamed, likewise.
        strength: patterns are multiplied by it, 0 or above.

    Returns:
        uint8 ``[N, H, W, 3]``.

    Raises:
        UsageError: images of another kind or size than the patterns, labels or targets or a strength out of range.
    """
    check_images(images)
    if patterns.shape[1:] != images.shape[1:]:
        raise UsageError(f"patterns are {list(patterns.shape[1:])}, images {list(images.shape[1:])}. Learn them alike.")
    check_labels(labels, len(images), class_count=len(patterns))
    if not 0 <= strength < np.inf:
        raise UsageError(f"strength must be a number of 0 or above, not {strength}.")
    change = -patterns[labels]
    if targets is not None:
        check_labels(targets, len(images), "targets", len(patterns))
        change = change + patterns[targets]
    return _quantized(images + strength * change)


def learn_patches(photographs: Pixels, share: float = 0.97, seed: int = 0) -> PCA:
    """The principal components of squares of 8x8 pixels from photographs: as many as hold a share of the variance.

    Args:
        photographs: uint8 ``[N, H, W, 3]``.
        share: between 0 and 1. What the components leave out, `through_patches` takes away.
        seed: of the draw.

    Raises:
        UsageError: photographs of another kind or smaller than a square, or a share out of range.
    """
    check_images(photographs, "photographs")
    _check_side(photographs, SIDE)
    if not 0 < share < 1:
        raise UsageError(f"share must be between 0 and 1, not {share}.")
    patches = PatchExtractor(patch_size=(SIDE, SIDE), max_patches=PATCHES, random_state=seed).transform(photographs)
    return PCA(share).fit(patches.reshape(len(patches), -1).astype(np.float32))


def through_patches(images: Pixels, components: PCA) -> Pixels:
    """Images rebuilt from the components of photographs: every square by itself, means where squares overlap.

    Squares begin at every pixel. A grid of squares side by side would leave a fingerprint of its own.

    Args:
        images: uint8 ``[N, H, W, 3]``.
        components: what `learn_patches` gave.

    Returns:
        uint8 ``[N, H, W, 3]``.

    Raises:
        UsageError: images of another kind, or smaller than a square.
    """
    check_images(images)
    side = isqrt(components.n_features_in_ // 3)
    _check_side(images, side)
    result = np.empty(images.shape, np.uint8)
    for place, image in enumerate(images):
        patches = extract_patches_2d(image, (side, side))  # [P, side, side, 3]
        scores = components.transform(patches.reshape(len(patches), -1).astype(np.float32))
        rebuilt = components.inverse_transform(scores).reshape(patches.shape)
        result[place] = _quantized(reconstruct_from_patches_2d(rebuilt, image.shape))
    return result


def visible_change(images: Pixels, changed: Pixels) -> Change:
    """How far images are from what they were, uint8 ``[N, H, W, 3]`` both, at least 11x11.

    Structural similarity is Wang et al.'s (2004), IEEE Trans. Image Processing 13(4), with their Gaussian window. It is
    the mean over the channels, image by image: the luma alone would miss what changes colours.

    Raises:
        UsageError: images of another kind, of different shapes, or too small.
    """
    check_images(images)
    check_images(changed, "changed")
    _check_side(images, WINDOW)
    if images.shape != changed.shape:
        raise UsageError(f"images and changed must have one shape, not {images.shape} and {changed.shape}.")
    difference = changed.astype(np.int16) - images
    options = {"gaussian_weights": True, "sigma": 1.5, "use_sample_covariance": False, "data_range": 255}
    alike = [structural_similarity(*pair, channel_axis=-1, **options) for pair in zip(images, changed, strict=True)]
    rms = np.sqrt(np.mean(np.square(difference, dtype=np.float64)))
    return Change(float(rms), int(np.abs(difference).max()), float(np.mean(alike)))


def _quantized(images: np.ndarray) -> Pixels:
    return np.clip(np.rint(images), 0, 255).astype(np.uint8)


def _check_side(images: Pixels, side: int) -> None:
    if min(images.shape[1:3]) < side:
        height, width = images.shape[1:3]
        raise UsageError(f"images are {height}x{width}; give some of {side}x{side} pixels or more.")
