"""PRNU: what a wavelet denoiser takes for noise in an image, and the pattern that the noise of one source shares.

Sensors mark their photographs with a photo-response non-uniformity, and GANs mark their images likewise (Marra et al.,
arXiv 1812.11842). An image's *residual* is the image less its denoised self; a source's *pattern* is the mean residual
of its images; an image is attributed to the pattern that its residual correlates with most.

The denoiser: db4 wavelets, 4 levels, and in each detail coefficient a Wiener filter that adapts to the power around it.
Borders are half-sample symmetric (PyWavelets' ``symmetric``, SciPy's ``reflect``), in the transform as in the windows.
All of it but one division is linear along rows and along columns. PyWavelets and SciPy give the matrices of these maps,
and many images are denoised at once by products with them.
"""

from collections.abc import Iterator
from functools import lru_cache, reduce

import numpy as np
import torch
from torch import Tensor

from ..data.images import check_images
from ..errors import UsageError
from ..progress import progress

WAVELET, LEVELS = "db4", 4
SIGMA = 5.0  # deviation of the noise on the scale 0..255
WINDOWS = (3, 5, 7, 9)  # sides in coefficients
FAINT = 1e-4  # a residual that deviates less (0..255) is rounding error
CHUNK = 64  # images denoised together; more would leave the cache


def residuals(images: np.ndarray) -> np.ndarray:
    """What the denoiser takes for noise, each channel on its own; about 0 where an image is constant.

    Args:
        images: uint8 ``[N, H, W, 3]``. The residuals are four times as large; `mean_residuals` keeps none.

    Returns:
        float32 ``[N, H, W, 3]`` on the scale 0..255, within 1e-4 of what float64 gives.

    Raises:
        UsageError: images of another kind.
    """
    check_images(images)
    found = np.empty(images.shape, np.float32)
    for where, some in batches(images):
        found[where] = some
    return found


def mean_residuals(images: np.ndarray, labels: np.ndarray, class_count: int) -> np.ndarray:
    """The pattern of each class: the mean residual of its images, float32 ``[K, H, W, 3]``.

    Args:
        images: uint8 ``[N, H, W, 3]``, memory-mapped if they are many: they are read in chunks.
        labels: int ``[N]`` from 0 to K - 1.
        class_count: K; every class occurs.

    Raises:
        UsageError: images of another kind.
    """
    check_images(images)
    sums = np.zeros((class_count, *images.shape[1:]))
    with progress(len(images), "denoising", "images") as bar:
        for where, some in batches(images):
            for label in np.unique(labels[where]):
                sums[label] += some[labels[where] == label].sum(0, dtype=np.float64)
            bar.update(len(some))
    return (sums / np.bincount(labels, minlength=class_count)[:, None, None, None]).astype(np.float32)


def batches(images: np.ndarray) -> Iterator[tuple[slice, np.ndarray]]:
    """The `residuals` of images ``[N, H, W, 3]``, chunk by chunk: which images they are of, and ``[n, H, W, 3]``."""
    for start in range(0, len(images), CHUNK):
        where = slice(start, start + CHUNK)
        some = torch.from_numpy(np.array(images[where]))
        count, height, width, channels = some.shape
        if torch.equal(some[..., :1].expand_as(some), some):  # grey: once will do
            some = some[..., :1]
        planes = some.permute(1, 2, 0, 3).reshape(height, width, -1).float()
        found = _residual(planes).reshape(height, width, count, -1).permute(2, 0, 1, 3)
        yield where, found.expand(-1, -1, -1, channels).numpy()


def correlations(some: np.ndarray, patterns: np.ndarray) -> np.ndarray:
    """Normalized cross-correlations of residuals with patterns, without any shift.

    Both lose their mean over pixels and channels and get length 1; the correlation is their inner product. Where one of
    them is constant it is not defined; then it is 0.

    Args:
        some: float ``[N, H, W, 3]`` on the scale 0..255.
        patterns: float ``[K, H, W, 3]``.

    Returns:
        float32 ``[N, K]`` in [-1, 1].

    Raises:
        UsageError: shapes differ.
    """
    if some.shape[1:] != patterns.shape[1:]:
        raise UsageError(
            f"Residuals and patterns must be of one size, not {list(some.shape[1:])} and {list(patterns.shape[1:])}."
        )
    return _unit(some) @ _unit(patterns).T


def _unit(some: np.ndarray) -> np.ndarray:
    flat = np.asarray(some, np.float32).reshape(len(some), -1)
    flat = flat - flat.mean(1, keepdims=True)
    length = np.linalg.norm(flat, axis=1, keepdims=True)
    return np.divide(flat, length, out=np.zeros_like(flat), where=length > FAINT * flat.shape[1] ** 0.5)


def camera_postprocessing(some: np.ndarray, zero_mean: bool = True, wiener: bool = True) -> np.ndarray:
    """What camera forensics does to residuals and patterns, lest cameras of one make be mixed up (Chen et al. 2008).

    It takes periodic structure for an artifact that a make's cameras share. In a GAN's images such structure is what
    upsampling leaves.

    Args:
        some: float ``[N, H, W, C]``, each channel treated on its own.
        zero_mean: take the mean off each row and column, in each of the four phases of the 2x2 colour filter array.
        wiener: in the Fourier domain, keep of the magnitudes what a Wiener filter with windows of 3 to 9 frequencies
            takes for white noise as strong as the residual itself. Peaks are flattened.

    Returns:
        float32 ``[N, H, W, C]``.
    """
    count, height, width, channels = some.shape
    if (some == some[..., :1]).all():  # grey: once will do
        some = some[..., :1]
    found = torch.from_numpy(np.array(some, np.float32)).permute(1, 2, 0, 3).reshape(height, width, -1)
    if zero_mean:
        for row in (0, 1):
            for column in (0, 1):
                phase = found[row::2, column::2]  # a view
                phase -= phase.mean(0, keepdim=True)
                phase -= phase.mean(1, keepdim=True)
    if wiener:
        variance = found.var((0, 1), correction=0, keepdim=True)
        spectrum = torch.fft.fft2(found, dim=(0, 1), norm="ortho")
        spectrum *= _noise_share(spectrum.abs(), variance, "wrap")
        found = torch.fft.ifft2(spectrum, dim=(0, 1), norm="ortho").real
    found = found.reshape(height, width, count, -1).permute(2, 0, 1, 3)
    return found.expand(-1, -1, -1, channels).contiguous().numpy()


# Planes lie last, ``[H, W, M]``: a map of rows or columns is then one small matrix times many columns of numbers.


def _residual(planes: Tensor) -> Tensor:
    """Of float32 planes ``[H, W, M]`` on the scale 0..255."""
    approximation = planes - planes.mean((0, 1))  # no detail depends on it, and numbers near 0 are finer
    levels = []
    for _ in range(LEVELS):
        height, width = approximation.shape[:2]
        bands = _map(_analysis(height), _analysis(width), approximation)
        h, w = bands.shape[0] // 2, bands.shape[1] // 2
        details = torch.stack((bands[:h, w:], bands[h:, :w], bands[h:, w:]))  # [3, h, w, M]
        levels.append((height, width, details * _noise_share(details, SIGMA**2, "reflect")))
        approximation = bands[:h, :w]
    residual = torch.zeros_like(approximation)
    for height, width, (right, lower, diagonal) in reversed(levels):
        bands = torch.cat((torch.cat((residual, right), 1), torch.cat((lower, diagonal), 1)))
        residual = _map(_synthesis(height), _synthesis(width), bands)
    return residual


def _noise_share(signal: Tensor, variance: Tensor | float, border: str) -> Tensor:
    """The part of each coefficient ``[..., H, W, M]`` that the adaptive Wiener filter takes for noise, in [0, 1].

    With the signal's power ``S = max(min over windows of (mean of x**2 - variance), 0)`` it is
    ``variance / (S + variance)``, and ``S + variance`` is the larger of the least mean and the variance.
    """
    power = signal.square()
    height, width = signal.shape[-3:-1]
    means = (_map(_moving_mean(height, size, border), _moving_mean(width, size, border), power) for size in WINDOWS)
    least = reduce(torch.minimum, means)
    floor = torch.as_tensor(variance, dtype=power.dtype).clamp_min(torch.finfo(power.dtype).tiny)
    return floor / torch.maximum(least, floor)


def _map(rows: Tensor, columns: Tensor, planes: Tensor) -> Tensor:
    """``rows @ plane @ columns.T`` for each of the planes ``[..., H, W, M]``."""
    return columns @ (rows @ planes.flatten(-2)).unflatten(-1, planes.shape[-2:])


@lru_cache
def _analysis(size: int) -> Tensor:
    """The wavelet transform of `size` numbers as a matrix ``[2 h, size]``: h approximations over h details."""
    import pywt

    return _matrix(np.concatenate(pywt.dwt(np.eye(size), WAVELET, "symmetric", axis=0)))


@lru_cache
def _synthesis(size: int) -> Tensor:
    """Its inverse, ``[size, 2 h]``."""
    import pywt

    ones = np.eye(len(_analysis(size)) // 2)
    none = np.zeros_like(ones)
    parts = [pywt.idwt(*pair, WAVELET, "symmetric", axis=0) for pair in ((ones, none), (none, ones))]
    return _matrix(np.concatenate(parts, axis=1)[:size])


@lru_cache
def _moving_mean(size: int, window: int, border: str) -> Tensor:
    """The mean over a window around each of `size` numbers as a matrix ``[size, size]``."""
    from scipy.ndimage import uniform_filter1d

    return _matrix(uniform_filter1d(np.eye(size), window, axis=0, mode=border))


def _matrix(values: np.ndarray) -> Tensor:
    return torch.from_numpy(np.ascontiguousarray(values, np.float32))
