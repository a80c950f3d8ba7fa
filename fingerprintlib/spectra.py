"""Images by frequency: discrete cosine transform, power spectrum, and its mean over rings.

Of images it is the luma that is transformed. They are read in chunks, so that they may be memory-mapped.
"""

from collections.abc import Iterator

import numpy as np

from .images import LUMA
from .training import check_images

CHUNK = 256
# Added before each logarithm, on the scale 0..255. Quantization alone puts some 0.3 into a coefficient, 0.1 into its
# power: nothing but zeros is moved by it.
FLOOR = 1e-3


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
        [np.log(np.abs(dctn(some, axes=(1, 2), norm="ortho")) + np.float32(FLOOR)) for some in _luma(images)]
    )


def log_power(planes: np.ndarray) -> np.ndarray:
    """Decimal logarithm of the power spectrum, frequency 0 in the middle, ``[H // 2, W // 2]``.

    Args:
        planes: real ``[..., H, W]``, the luma of images or a pattern.

    Returns:
        Real ``[..., H, W]``. White noise of variance v has power v at every frequency.
    """
    from scipy.fft import fft2, fftshift

    power = np.square(np.abs(fft2(planes, norm="ortho")))
    return np.log10(fftshift(power, axes=(-2, -1)) + power.dtype.type(FLOOR))


def rings(height: int, width: int) -> np.ndarray:
    """The ring that each frequency of `log_power` lies in, int64 ``[height, width]``.

    A ring is one cycle along the longer side wide: ring r holds the frequencies nearest to r cycles. The outermost
    holds the corners, beyond the highest frequency of rows and columns.
    """
    down, across = (np.arange(side) - side // 2 for side in (height, width))
    longer = max(height, width)
    return np.rint(np.hypot(down[:, None] * longer / height, across * longer / width)).astype(np.int64)


def radial_mean(planes: np.ndarray) -> np.ndarray:
    """The mean over each of the `rings` of ``[..., H, W]``: ``[..., R]``, the lowest frequency first."""
    ring = rings(*planes.shape[-2:]).ravel()
    sizes = np.bincount(ring)
    weights = (ring[:, None] == np.arange(len(sizes))) / np.maximum(sizes, 1)  # [H W, R]
    return planes.reshape(*planes.shape[:-2], -1) @ weights.astype(planes.dtype)


def radial_spectra(images: np.ndarray) -> np.ndarray:
    """The azimuthally averaged `log_power` of each image's luma (Durall et al., arXiv 2003.01826).

    Args:
        images: uint8 ``[N, H, W, 3]``.

    Returns:
        float32 ``[N, R]``, one value a ring.

    Raises:
        UsageError: images of another kind.
    """
    check_images(images)
    return np.concatenate([radial_mean(log_power(some)) for some in _luma(images)])


def mean_log_power(images: np.ndarray) -> np.ndarray:
    """The mean `log_power` of the images' luma, float64 ``[H, W]``.

    Raises:
        UsageError: images of another kind.
    """
    check_images(images)
    return np.sum([log_power(some).sum(0, dtype=np.float64) for some in _luma(images)], axis=0) / len(images)


def peak_height(power: np.ndarray, period: int) -> float:
    """How far a structure that repeats every `period` pixels stands out of a spectrum.

    At the multiples of ``1 / period`` cycles a pixel, down and across, without those that half the period has too: the
    mean height above the median of the frequencies around, up to four cycles an image away.

    Args:
        power: the difference of two means of `log_power`, ``[H, W]``, H and W multiples of `period`. Not one alone: at
            half a cycle a pixel coefficients are real, and the mean logarithm of their power lower by 3 dB.
        period: a power of two, at least 2.

    Returns:
        Decibels.
    """
    height, width = power.shape
    around = np.arange(-4, 5)
    heights = []
    for down in range(period):
        for across in range(period):
            if down % 2 == 0 and across % 2 == 0:  # half the period has it, or it is frequency 0
                continue
            row, column = (n * side // period + side // 2 for n, side in ((down, height), (across, width)))
            window = power[np.ix_((row + around) % height, (column + around) % width)]
            others = np.delete(window.ravel(), window.size // 2)
            heights.append(power[row % height, column % width] - np.median(others))
    return float(10 * np.mean(heights))


def band_images(images: np.ndarray, band: str, factor: int, gain: float = 4.0) -> np.ndarray:
    """A frequency band as images, to be looked at or given to what takes images.

    Args:
        images: uint8 ``[N, H, W, 3]``.
        band: one of `bands.BANDS`.
        factor: see there.
        gain: a residual is multiplied by this, and its zero is put at 127.5; what lies beyond 0..255 is clipped.

    Returns:
        uint8 ``[N, H / factor, W / factor, 3]``.

    Raises:
        UsageError: images of another kind.
    """
    import torch

    from .bands import BANDS

    check_images(images)
    found = []
    for start in range(0, len(images), CHUNK):
        x = torch.from_numpy(np.array(images[start : start + CHUNK])).permute(0, 3, 1, 2) / 127.5 - 1
        x = BANDS[band](x, factor) * (gain if band == "residual" else 1.0)
        found.append((127.5 * (x + 1)).round().clamp(0, 255).to(torch.uint8).permute(0, 2, 3, 1).numpy())
    return np.concatenate(found)


def _luma(images: np.ndarray) -> Iterator[np.ndarray]:
    """float32 ``[n, H, W]`` on the scale 0..255, chunk by chunk."""
    weights = np.array(LUMA, np.float32) / 1000
    for start in range(0, len(images), CHUNK):
        yield images[start : start + CHUNK].astype(np.float32) @ weights
