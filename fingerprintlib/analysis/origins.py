"""Where fingerprints come from: what enlarging an image by two leaves in its spectrum.

Each enlarging layer of a generator puts zeros between its pixels and then blurs them with a kernel. The zeros repeat
the spectrum, the kernel weighs the copies; see `transfer`.
"""

from itertools import permutations

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray

from ..attribution.spectra import power
from ..data.images import Pixels, check_images, luma
from ..errors import UsageError, unknown

Floats = NDArray[np.float64]

#: Ways to double an image's side.
ENLARGERS = ("nearest", "bilinear", "transposed", "pixel shuffle")
ROUGHNESS = 0.03  # of random kernels: standard deviation, as a part of the smooth kernel's largest weight


def kernel_of(enlarger: str, seed: int = 0) -> Floats:
    """The kernel that follows the zeros, float64 ``[k, k]``, k even; it sums to 4, for each pixel becomes four.

    Args:
        enlarger: ``"nearest"`` repeats each pixel, ``"bilinear"`` blends neighbours. ``"transposed"`` is a transposed
            convolution of 4x4 weights, smooth ones and random ones on top, as training leaves them. ``"pixel shuffle"``
            is a 3x3 convolution to four channels, of which each becomes every second pixel: four such kernels, woven
            into one of 6x6.
        seed: of the random weights; the first two have none.

    Raises:
        UsageError: an unknown enlarger.
    """
    if enlarger not in ENLARGERS:
        raise unknown("enlarger", enlarger, ENLARGERS)
    row = {"nearest": [1, 1], "pixel shuffle": [0, 1, 3, 3, 1, 0]}.get(enlarger, [1, 3, 3, 1])
    kernel = np.outer(row, row).astype(float)
    if enlarger in ("transposed", "pixel shuffle"):
        kernel += ROUGHNESS * kernel.max() * np.random.default_rng(seed).normal(size=kernel.shape)
    return 4 * kernel / kernel.sum()


def transfer(kernel: Floats, side: int) -> Floats:
    """By what a kernel multiplies power at each frequency: ``|H|^2``, float64 ``[side, side]``, 1 at frequency 0.

    Frequency 0 is in the middle, ``[side // 2, side // 2]``, as in `spectra.power`.
    """
    found = np.abs(np.fft.fft2(kernel, (side, side))) ** 2 / kernel.sum() ** 2
    return np.fft.fftshift(found)


def halved(images: Pixels) -> Pixels:
    """Images uint8 ``[N, R, R, 3]`` of half the side, by the mean of four pixels: uint8 ``[N, R/2, R/2, 3]``.

    Raises:
        UsageError: images of another kind, or of an odd side.
    """
    check_images(images)
    n, side = images.shape[:2]
    if side % 2:
        raise UsageError(f"images must have an even side, not {side}.")
    blocks = images.reshape(n, side // 2, 2, side // 2, 2, 3).astype(np.float32)
    return blocks.mean((2, 4)).round().astype(np.uint8)


def enlarged(images: Pixels, kernel: Floats) -> Pixels:
    """Images uint8 ``[N, R, R, 3]`` of twice the side: zeros between the pixels, then the kernel.

    Raises:
        UsageError: images of another kind.
    """
    check_images(images)
    x = torch.from_numpy(np.array(images)).permute(0, 3, 1, 2).float()
    weight = torch.from_numpy(kernel).float().expand(3, 1, *kernel.shape)
    x = F.pad(x, (2, 2, 2, 2), mode="reflect")  # the border of an image is no step down to black
    x = F.conv_transpose2d(x, weight, stride=2, padding=(len(kernel) - 2) // 2 + 4, groups=3)
    return x.round().clamp(0, 255).to(torch.uint8).permute(0, 2, 3, 1).contiguous().numpy()


def foretold(small: Floats, kernel: Floats) -> Floats:
    """The power spectrum that enlarged images have: that of the small ones, four times over, times `transfer`.

    Args:
        small: power of the images before, float ``[S, S]``, frequency 0 in the middle.
        kernel: that enlarges them.

    Returns:
        float64 ``[2S, 2S]``, frequency 0 in the middle.
    """
    side = 2 * len(small)
    copies = np.tile(np.fft.ifftshift(small), (2, 2))
    return 4 * np.fft.fftshift(copies) * transfer(kernel, side)


def mean_power(images: Pixels) -> Floats:
    """The mean power spectrum of the luma of images, their borders faded out: float64 ``[R, R]``.

    An image does not go on where it ends, and the step would stand in the spectrum as a cross; Hann's window takes it
    away. Frequency 0 is in the middle.

    Args:
        images: uint8 ``[N, R, R, 3]``.

    Raises:
        UsageError: images of another kind.
    """
    check_images(images)
    side = images.shape[1]
    row = np.sin(np.pi * np.arange(side) / side) ** 2
    window = np.outer(row, row)
    window /= np.sqrt(np.mean(window**2))
    return power(luma(images, np.float64) * window).mean(0)


def correlations(some: NDArray[np.floating], others: NDArray[np.floating]) -> Floats:
    """How alike the patterns of K sources are in two states: float64 ``[K, K]`` in [-1, 1], row the first state.

    What all patterns of a state have in common tells nothing: their mean is taken off first.

    Args:
        some, others: patterns ``[K, ...]``, K at least 2, in the same order.

    Raises:
        UsageError: the shapes differ, or there are fewer than two.
    """
    if some.shape != others.shape or len(some) < 2:
        raise UsageError(f"Give two patterns or more in each state, alike in shape, not {some.shape}, {others.shape}.")
    flat = [np.asarray(these, np.float64).reshape(len(these), -1) for these in (some, others)]
    flat = [these - these.mean(0) for these in flat]
    one, other = (these / np.maximum(np.linalg.norm(these, axis=1, keepdims=True), 1e-12) for these in flat)
    return one @ other.T


def matched_by_chance(alike: Floats, seed: int = 0) -> float:
    """The share of all pairings whose mean likeness is that of the diagonal or more: a permutation test.

    Args:
        alike: ``[K, K]``, as `correlations` gives. Of more than seven sources 9,999 random pairings are tried.
        seed: of those.

    Returns:
        In (0, 1]; of K sources, at least ``1 / K!``.
    """
    from scipy.stats import permutation_test

    rows = np.arange(len(alike))

    def likeness(order: NDArray[np.int64]) -> float:
        return float(alike[rows, order].mean())

    found = permutation_test(
        (rows,), likeness, permutation_type="pairings", alternative="greater", vectorized=False, rng=seed
    )
    return float(found.pvalue)


def least_found(inherited: Floats, kinship: Floats, seed: int = 0, power: float = 0.8, plantings: int = 200) -> float:
    """The faintest trace of a beginning that `matched_by_chance` would have found: what "no trace" is worth.

    A beginning is planted in each pattern, in an order drawn at random, and then looked for: an `s`-th part of it, and
    ``sqrt(1 - s**2)`` of what is there. Patterns of thousands of pixels are nearly at right angles, so a planted one
    correlates with its beginning at `s`.

    Args:
        inherited: likeness of K patterns to K beginnings, float ``[K, K]``, as `correlations` gives.
        kinship: of the beginnings, as they are planted (row) and as they are looked for (column), likewise.
        seed: of the orders.
        power: how often it is to be found, in (0, 1).
        plantings: orders tried of each strength.

    Returns:
        The least `s`, in hundredths, that is found (at 5 %) so often; 1 if not even the whole beginning is.
    """
    rng, count = np.random.default_rng(seed), len(inherited)
    rows = np.arange(count)
    every = list(permutations(rows)) if count <= 6 else [rng.permutation(count) for _ in range(999)]
    others = np.array([rows, *every])  # the true pairing is one of those that it is compared with
    for strength in np.arange(1, 100) / 100:
        found = 0
        for _ in range(plantings):
            order = rng.permutation(count)
            planted = np.sqrt(1 - strength**2) * inherited + strength * kinship[order]
            likeness = planted[:, order][rows, others].mean(1)
            as_alike = likeness[1:] >= likeness[0] - 1e-12
            found += (as_alike.sum() + (count > 6)) / (len(as_alike) + (count > 6)) <= 0.05
        if found >= power * plantings:
            return float(strength)
    return 1.0
