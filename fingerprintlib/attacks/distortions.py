"""What the attacks do to pixels: each a function of images, strengths and random words.

Images are uint8 ``[n, H, W, 3]`` tensors on any device, at most `perturbations.CHUNK` of them; strengths are float64
``[n]``, random words ``[n, words]`` of 64 bits. `perturbations` says which strengths there are and draws them.
"""

import warnings
from collections.abc import Callable
from functools import lru_cache

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from ..errors import UsageError
from .relighting import front_directions, relit

Strengths = NDArray[np.float64]
Words = NDArray[np.uint64]

GRID = 8  # the longest period of an upsampling grid that is looked for, in pixels


def uniform(words: Words) -> NDArray[np.float64]:
    """In [0, 1)."""
    return (words >> np.uint64(11)).astype(np.float64) * 2.0**-53


def _quantized(x: Tensor) -> Tensor:
    """In place as far as it goes; by way of 16 bits it takes a third of the time."""
    return x.round_().clamp_(0, 255).to(torch.int16).to(torch.uint8)


def _from_planes(x: Tensor) -> Tensor:
    """Floats ``[n, 3, H, W]`` to uint8 ``[n, H, W, 3]``."""
    return torch.stack(_quantized(x).unbind(1), -1)


def _each(strengths: Strengths, images: Tensor) -> Tensor:
    """One number an image, float32 ``[n, 1, 1, 1]`` on the images' device."""
    return torch.from_numpy(strengths.astype(np.float32)).to(images.device)[:, None, None, None]


# --- noise --------------------------------------------------------------------------------------


def noise(images: Tensor, variances: Strengths, words: Words) -> Tensor:
    """White Gaussian noise of this variance; 16 random bits a value, so none lies beyond 4.3 deviations."""
    count = images[0].numel()
    bits = np.ascontiguousarray(words).view(np.uint16)[:, :count].astype(np.int32)
    which = torch.from_numpy(bits).to(images.device)
    normal = _normal_quantiles().to(images.device).index_select(0, which.flatten()).view(images.shape)
    return _quantized(normal.mul_(_each(np.sqrt(variances), images)).add_(images))


@lru_cache
def _normal_quantiles() -> Tensor:
    """The standard normal distribution cut into 2**16 equal parts: the middle of each, float32."""
    from scipy.special import ndtri

    return torch.from_numpy(ndtri((np.arange(1 << 16) + 0.5) / (1 << 16)).astype(np.float32))


# --- blur, crop, resampling -----------------------------------------------------------------------


def blur_sigma(side: int) -> float:
    """The deviation that OpenCV gives a Gaussian kernel of this side when it is told nothing else.

    (Up to a side of 7 it then takes weights from a table, which are close to those of this deviation.)
    """
    return 0.3 * ((side - 1) * 0.5 - 1) + 0.8


def blur(images: Tensor, sides: Strengths, _: Words) -> Tensor:
    """Gaussian kernels, cut at this side; mirrored at the border about the middle of the outermost pixel."""
    height, width = images.shape[1:3]
    largest = int(sides.max())
    if largest // 2 >= min(height, width):
        side, size = largest, f"{height}x{width}"
        raise UsageError(f"A kernel of {side} pixels is too large for images of {size}. Ask for a smaller one.")

    def blurred(some: Tensor, _: NDArray[np.int_], side: int) -> Tensor:
        reach = side // 2
        if not reach:
            return some
        weights = _kernel(side)
        x = some.index_select(1, _mirrored(height, reach).to(some.device)).float()  # [n, H + 2 reach, W, 3]
        x.div_(sum(weights) ** 2)
        wide = x.new_empty(len(x), height, width + 2 * reach, 3)
        _add_shifted(x, 1, weights, wide[:, :, reach : reach + width])
        wide[:, :, :reach] = wide[:, :, reach + 1 : 2 * reach + 1].flip(2)
        wide[:, :, width + reach :] = wide[:, :, width - 1 : width + reach - 1].flip(2)
        return _quantized(_add_shifted(wide, 2, weights, torch.empty_like(x[:, :height])))

    return _for_each(blurred, images, sides[:, None].astype(int))


@lru_cache
def _mirrored(size: int, reach: int) -> Tensor:
    """The rows of an image with a border added above and below."""
    return torch.from_numpy(np.pad(np.arange(size), reach, mode="reflect"))


@lru_cache
def _kernel(side: int) -> tuple[float, ...]:
    """The weights of a Gaussian, the outermost two 1."""
    places = np.arange(side) - side // 2
    weights = np.exp(-0.5 * places**2 / blur_sigma(side) ** 2)
    return tuple((weights / weights[0]).tolist())


def _add_shifted(x: Tensor, axis: int, weights: tuple[float, ...], result: Tensor) -> Tensor:
    """Shifted copies added up in `result`: with kernels as small as these it is twice as fast as a convolution."""
    shifted = x.unfold(axis, len(weights), 1).unbind(-1)
    torch.add(shifted[0], shifted[-1], out=result)
    for some, weight in zip(shifted[1:-1], weights[1:-1], strict=True):
        result.add_(some, alpha=weight)
    return result


def crop(images: Tensor, offsets: Strengths, words: Words) -> Tensor:
    """A window shorter by this share of the side, anywhere in the image, enlarged to the image's size (bicubic)."""
    height, width = images.shape[1:3]
    cuts = np.stack([np.rint(offsets * size) for size in (height, width)], 1).astype(int)  # [n, 2]
    corners = (uniform(words) * (cuts + 1)).astype(int)

    def enlarged(some: Tensor, which: NDArray[np.int_], down: int, across: int) -> Tensor:
        places = zip(some, corners[which].tolist(), strict=True)
        windows = [image[y : y + height - down, x : x + width - across] for image, (y, x) in places]
        return _resized(torch.stack(windows), height, width)

    return _for_each(enlarged, images, cuts)


def resample(images: Tensor, factors: Strengths, _: Words) -> Tensor:
    """To this multiple of the size and back, both bicubic; whole numbers in between, as in a saved image."""
    height, width = images.shape[1:3]

    def there_and_back(some: Tensor, _: NDArray[np.int_], *size: int) -> Tensor:
        return _resized(_resized(some, *size), height, width)

    sizes = np.stack([np.rint(factors * size) for size in (height, width)], 1).astype(int)
    return _for_each(there_and_back, images, sizes)


def _for_each(change: Callable[..., Tensor], images: Tensor, settings: NDArray[np.int_]) -> Tensor:
    """``change(some, which, *setting)`` of the images of each distinct setting, a row of ``[n, S]``; in their order."""
    distinct, kind = np.unique(settings, axis=0, return_inverse=True)
    order = np.argsort(kind.ravel(), kind="stable")
    groups = np.split(order, np.cumsum(np.bincount(kind.ravel()))[:-1])
    together = images.index_select(0, torch.from_numpy(order).to(images.device)).split([len(some) for some in groups])
    each = zip(together, groups, distinct.tolist(), strict=True)
    parts = [change(some, which, *setting) for some, which, setting in each]
    return torch.cat(parts).index_select(0, torch.from_numpy(np.argsort(order)).to(images.device))


def _resized(images: Tensor, height: int, width: int) -> Tensor:
    """By the resizer of the whole library: bicubic, widened when it shrinks; PyTorch's gives Pillow's pixels."""
    x = images.permute(0, 3, 1, 2)
    if x.device.type != "cpu":  # bytes are for CPUs alone
        x = x.float()
    x = F.interpolate(x, (height, width), mode="bicubic", antialias=True, align_corners=False)
    return (x if x.dtype == torch.uint8 else _quantized(x)).permute(0, 2, 3, 1).contiguous()


# --- JPEG -----------------------------------------------------------------------------------------


def jpeg(images: Tensor, qualities: Strengths, _: Words) -> Tensor:
    """Written as a JPEG file of this quality and read again; colour at half the resolution as is usual (4:2:0)."""
    from torchvision.io import decode_jpeg, encode_jpeg

    planes = images.permute(0, 3, 1, 2).cpu().contiguous()  # GPUs encode otherwise
    pairs = zip(planes, qualities, strict=True)
    with warnings.catch_warnings():  # torchvision means to hand this over to another package one day
        warnings.filterwarnings("ignore", "The image decoding and encoding capabilities", DeprecationWarning)
        found = decode_jpeg([encode_jpeg(one, quality=int(quality)) for one, quality in pairs])
    return torch.stack([one.permute(1, 2, 0) for one in found]).to(images.device)


# --- relighting -------------------------------------------------------------------------------------


def relight(images: Tensor, shares: Strengths, words: Words) -> Tensor:
    """Another lamp, from anywhere in front: see `relighting`."""
    return _from_planes(relit(images, shares, front_directions(uniform(words))))


# --- spectral peaks -----------------------------------------------------------------------------------


def notch(images: Tensor, shares: Strengths, _: Words) -> Tensor:
    """The peaks that upsampling by 2, 4 and 8 leaves: this share of what rises above their surroundings is taken off.

    Peaks are 3x3 frequencies about the multiples of 1/8 cycle a pixel along rows and columns; above frequency 0 nothing
    is done. Magnitudes there are brought down to the median of the 16 frequencies around, phases stay, and each
    channel gets its deviation back, at most doubled (its mean it never loses).
    """
    height, width = images.shape[1:3]
    peaks, around = (index.to(images.device) for index in _peaks(height, width))
    x = images.permute(0, 3, 1, 2).float()
    mean = x.mean((2, 3), keepdim=True)
    spectrum = torch.fft.fft2(x - mean).flatten(2)  # [n, 3, H W]
    size = spectrum.abs()
    usual = size[..., around].median(-1).values[..., None]  # [n, 3, P, 1]
    keep = (usual / size[..., peaks].clamp(min=1e-6)).clamp(max=1)  # [n, 3, P, 9]
    spectrum[..., peaks] *= 1 - _each(shares, images) * (1 - keep)
    changed = torch.fft.ifft2(spectrum.reshape(x.shape)).real
    deviation = (x.std((2, 3), keepdim=True) / changed.std((2, 3), keepdim=True).clamp(min=1e-6)).clamp(max=2)
    return _from_planes(mean + changed * deviation)


@lru_cache
def _peaks(height: int, width: int) -> tuple[Tensor, Tensor]:
    """Positions in a flattened spectrum: of each peak ``[P, 9]``, and of the frequencies around it ``[P, 16]``."""
    if min(height, width) < 4 * GRID:
        raise UsageError(
            f"images are {height}x{width}; peaks have room from {4 * GRID}x{4 * GRID} on. Give larger ones."
        )
    near = [(down, across) for down in range(-2, 3) for across in range(-2, 3)]
    inner = [place for place in near if max(map(abs, place)) < 2]
    places = [(round(i * height / GRID), round(j * width / GRID)) for i in range(GRID) for j in range(GRID)][1:]

    def positions(offsets: list[tuple[int, int]]) -> Tensor:
        return torch.tensor([[(r + d) % height * width + (c + a) % width for d, a in offsets] for r, c in places])

    return positions(inner), positions([place for place in near if place not in inner])
