"""Images by frequency: discrete cosine transform, power spectrum, and its mean over rings.

Of images it is the luma that is transformed. They are read in chunks, so that they may be memory-mapped.
"""

from collections.abc import Iterator

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

from ..data.images import check_images, luma
from ..errors import UsageError
from ..statistics.intervals import group_mean

CHUNK = 256
# Added to images' coefficients and powers before each logarithm, on the scale 0..255. Quantization alone puts some 0.3
# into a coefficient, 0.1 into its power: nothing but zeros is moved by it. Patterns are fainter, on any scale: to their
# power this part of its own mean is added.
FLOOR = 1e-3
RELATIVE_FLOOR = 1e-9
BLOCK, CUT = 8, 50  # pixels, JPEG's; and the power beyond which a block's coefficient counts no more
AROUND = 2  # frequencies to each side of a peak that are its neighbourhood


def log_dct(images: np.ndarray) -> np.ndarray:
    """Logarithms of the absolute coefficients of the luma's cosine transform (type II, orthonormal).

    Frank et al., arXiv 2003.08685. The coefficient of frequency 0 stands first, ``[:, 0, 0]``.

    Args:
        images: uint8 ``[N, H, W, 3]``.

    Returns:
        float32 ``[N, H, W]``, natural logarithms.

    Raises:
        UsageError: images of another kind.
    """
    from scipy.fft import dctn

    check_images(images)
    return np.concatenate(
        [np.log(np.abs(dctn(some, axes=(1, 2), norm="ortho")) + np.float32(FLOOR)) for some in lumas(images)]
    )


def block_statistics(images: np.ndarray) -> np.ndarray:
    """How strong and how heavy-tailed each frequency is in small blocks of the luma, and of the luma at half the size.

    Blocks of 8x8 pixels, two pixels apart, are cosine-transformed. Of each of the 63 coefficients besides the mean it
    gives the logarithm of the power, the mean absolute value as a share of the root of that, the power of what is cut
    off at `CUT`, and the mean logarithm: where the power comes from few blocks, the last three are small. Giudice,
    Guarnera and Battiato (arXiv 2101.09781) take the mean absolute value alone, the scale of Laplace's distribution.

    Args:
        images: uint8 ``[N, H, W, 3]``, of 16x16 pixels at least, H and W even.

    Returns:
        float32 ``[N, 504]``.

    Raises:
        UsageError: images of another kind or size.
    """
    check_images(images)
    height, width = images.shape[1:3]
    if min(height, width) < 2 * BLOCK or height % 2 or width % 2:
        raise UsageError(f"Images must have an even side of {2 * BLOCK} pixels at least, not {height}x{width}.")
    found = []
    for luma_of in lumas(images):
        halved = luma_of.reshape(len(luma_of), height // 2, 2, width // 2, 2).mean((2, 4))
        found.append(np.hstack([_of_blocks(luma_of), _of_blocks(halved)]))
    return np.concatenate(found)


def _of_blocks(planes: np.ndarray) -> np.ndarray:
    from scipy.fft import dct

    one = dct(np.eye(BLOCK, dtype=np.float32), axis=0, norm="ortho")
    basis = np.kron(one, one)[1:].T  # [64, 63]: all but the mean
    found = np.empty((len(planes), 4 * basis.shape[1]), np.float32)
    for row, plane in zip(found, planes, strict=True):
        blocks = sliding_window_view(plane, (BLOCK, BLOCK))[::2, ::2].reshape(-1, BLOCK**2)
        size = np.abs(blocks @ basis)
        squares = size * size
        power = squares.mean(0) + np.float32(FLOOR)
        cut = np.minimum(squares, CUT).mean(0) + np.float32(FLOOR)
        row[:] = np.concatenate([np.log(power), size.mean(0) / np.sqrt(power), np.log(cut), np.log(size + 0.5).mean(0)])
    return found


def power(planes: np.ndarray) -> np.ndarray:
    """The power spectrum, frequency 0 in the middle, ``[H // 2, W // 2]``.

    Args:
        planes: real ``[..., H, W]``, the luma of images or a pattern.

    Returns:
        Real ``[..., H, W]``. White noise of variance v has power v at every frequency.
    """
    from scipy.fft import fft2, fftshift

    return fftshift(np.square(np.abs(fft2(planes, norm="ortho"))), axes=(-2, -1))


def log_power(planes: np.ndarray) -> np.ndarray:
    """Decimal logarithm of the `power` spectrum of patterns of any scale; of nothing but zeros it is very low.

    No frequency is shown lower than 90 dB below the plane's mean power: that is rounding.

    Args:
        planes: real ``[..., H, W]``.

    Returns:
        Real ``[..., H, W]``. A plane multiplied by 10 has 2 more at every frequency.
    """
    found = power(planes)
    floor = RELATIVE_FLOOR * found.mean((-2, -1), keepdims=True)
    return np.log10(np.maximum(found + floor, np.finfo(found.dtype).tiny))


def _log_power(planes: np.ndarray) -> np.ndarray:
    """Decimal logarithm of the `power` spectrum of images, whose scale is known: ``[n, H, W]`` on 0..255."""
    found = power(planes)
    return np.log10(found + found.dtype.type(FLOOR))


def rings(height: int, width: int) -> np.ndarray:
    """The ring that each frequency of `log_power` lies in, int64 ``[height, width]``.

    A ring is one cycle along the longer side wide: ring r holds the frequencies nearest to r cycles. The outermost
    holds the corners, beyond the highest frequency of rows and columns.
    """
    down, across = (np.arange(side) - side // 2 for side in (height, width))
    longer = max(height, width)
    return np.rint(np.hypot(down[:, None] * longer / height, across * longer / width)).astype(np.int64)


def radial_mean(planes: np.ndarray) -> np.ndarray:
    """The mean over each of the `rings` of real ``[..., H, W]``: floats ``[..., R]``, the lowest frequency first.

    A mean of logarithms is what a frequency typically has, in a typical image; the mean power may be far above it, as
    few strong frequencies or images decide it.
    """
    ring = rings(*planes.shape[-2:]).ravel()
    sizes = np.bincount(ring)
    weights = (ring[:, None] == np.arange(len(sizes))) / np.maximum(sizes, 1)  # [H W, R]
    return planes.reshape(*planes.shape[:-2], -1) @ weights.astype(np.result_type(planes, np.float32))


def radial_spectra(images: np.ndarray) -> np.ndarray:
    """The mean over all directions of the logarithm of each image's power spectrum (Durall et al., arXiv 2003.01826).

    Args:
        images: uint8 ``[N, H, W, 3]``.

    Returns:
        float32 ``[N, R]``, one decimal logarithm a ring; the mean is of logarithms, see `radial_mean`.

    Raises:
        UsageError: images of another kind.
    """
    check_images(images)
    return np.concatenate([radial_mean(_log_power(some)) for some in lumas(images)])


def mean_log_power(images: np.ndarray) -> np.ndarray:
    """The mean decimal logarithm of the power spectra of the images' luma, float64 ``[H, W]``.

    Raises:
        UsageError: images of another kind.
    """
    check_images(images)
    return np.sum([_log_power(some).sum(0, dtype=np.float64) for some in lumas(images)], axis=0) / len(images)


def difference_in_decibels(
    some: np.ndarray,
    others: np.ndarray,
    some_groups: np.ndarray | None = None,
    others_groups: np.ndarray | None = None,
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """How far the mean of some spectra lies above that of others, with its 95 % interval.

    A mean of logarithms is what a typical image has: its difference is no ratio of mean powers. The interval is that of
    a difference of two means (Welch's), at each frequency on its own, over groups of images (see
    `intervals.group_mean`): photographs of one contributor differ less than those of two.

    Args:
        some, others: decimal logarithms, float ``[N, ...]`` and ``[M, ...]``, as `radial_spectra` gives.
        some_groups, others_groups: int ``[N]`` and ``[M]``, see `corpus.Corpus.groups`; by default each image is one of
            its own.

    Returns:
        Difference, lower and upper end, each float64 ``[...]`` in decibels.

    Raises:
        UsageError: fewer than two spectra or groups on a side, or shapes that differ.
    """
    from scipy.stats import t

    one, other = np.asarray(some, np.float64), np.asarray(others, np.float64)
    if one.shape[1:] != other.shape[1:] or min(len(one), len(other)) < 2:
        raise UsageError(f"Give two spectra or more on each side, alike in shape, not {one.shape} and {other.shape}.")
    (mean, variance, freedom), (base, more, other_freedom) = (
        group_mean(values, groups) for values, groups in ((one, some_groups), (other, others_groups))
    )
    both = variance + more
    least = np.finfo(np.float64).tiny  # where no spectrum differs from any other
    freedom = np.maximum(both, least) ** 2 / np.maximum(variance**2 / freedom + more**2 / other_freedom, least)
    half = 10 * t.ppf(0.975, np.maximum(freedom, 1)) * np.sqrt(both)
    difference = 10 * (mean - base)
    return difference, difference - half, difference + half


def grid_periods(side: int) -> list[int]:
    """The periods in pixels, 2, 4, 8, ..., whose frequencies are far enough apart to have their own neighbourhoods.

    They divide the side: any other has its power between the frequencies of the spectrum.
    """
    return [2**n for n in range(1, side.bit_length()) if not side % 2**n and side // 2**n >= 2 * AROUND]


def grid_frequencies(side: int, period: int) -> np.ndarray:
    """Where upsampling is expected to leave peaks of this period, int64 ``[P, 2]``: rows and columns of `log_power`.

    A generator doubles its images again and again. What it does differently at every second place of a doubling that
    stands n doublings before the end repeats every ``2 * 2**n`` pixels: it has power at the multiples of one over that
    period. Those of half the period are among them; they are left out, as they belong to a later doubling.

    Raises:
        UsageError: `period` is not one of `grid_periods`.
    """
    if period not in grid_periods(side):
        raise UsageError(f"At {side} pixels period must be one of {grid_periods(side)}, not {period}.")
    steps = np.moveaxis(np.mgrid[:period, :period], 0, -1).reshape(-1, 2)  # multiples of 1 / period
    return (steps[(steps % 2).any(1)] * (side // period) + side // 2) % side


def grid_peaks(images: np.ndarray, period: int) -> np.ndarray:
    """How high the `grid_frequencies` stand above their neighbourhoods in each image's spectrum.

    The neighbourhood are the other frequencies of the 5x5 around. Means are taken of logarithms: noise has height zero,
    and so has any spectrum ``1 / frequency**a``, nearly, for its logarithm is harmonic. The coefficients of period 2
    are real where others are complex; the logarithm of noise is less by that of 2 there, which is put back.

    Args:
        images: uint8 ``[N, H, H, 3]``; their luma counts.
        period: one of `grid_periods`.

    Returns:
        float64 ``[N]``, the mean over the frequencies in decibels.

    Raises:
        UsageError: images of another kind, or not square, or another period.
    """
    from scipy.ndimage import uniform_filter

    check_images(images)
    if images.shape[1] != images.shape[2]:
        raise UsageError(f"images must be square, not {images.shape[1]} x {images.shape[2]}. Cut them first.")
    rows, columns = grid_frequencies(images.shape[1], period).T
    size, real = 2 * AROUND + 1, 10 * np.log10(2) if period == 2 else 0.0
    found = []
    for some in lumas(images):
        logs = _log_power(some).astype(np.float64)
        blocks = uniform_filter(logs, size, mode="wrap", axes=(1, 2))[:, rows, columns] * size**2
        peaks = logs[:, rows, columns]
        found.append(10 * (peaks - (blocks - peaks) / (size**2 - 1)).mean(1) + real)
    return np.concatenate(found)


def lumas(images: np.ndarray) -> Iterator[np.ndarray]:
    """The luma of uint8 images ``[N, H, W, 3]``, chunk by chunk: float32 ``[n, H, W]`` on the scale 0..255."""
    for start in range(0, len(images), CHUNK):
        yield luma(images[start : start + CHUNK])
