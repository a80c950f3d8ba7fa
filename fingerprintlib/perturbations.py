"""Attacks: what may happen to images between a generator and whoever asks where they come from.

The paper's five and their combination, and two that no finetuning here sees. Images are uint8 ``[N, H, W, 3]``, NumPy
array or tensor on any device, and come back as they came. An image's random numbers are a function of a seed and of its
own number, never of the batch it comes in (Philox, a counter-based generator: Salmon et al. 2011)::

    ATTACKS["noise"](images, seed=0)               # strengths drawn, one for each image
    ATTACKS["noise"](images, seed=0, strength=10)  # all alike
    ATTACKS["noise"](images[64:], 0, first=64)     # the same images as in a call with all of them

In place of a number the seed may be a `torch.Generator`, from which one is drawn: so an attack fits the `augment` of
`training.fit` as it is. Each attack ends in whole numbers, as a saved image does, in the combination too.
"""

import math
import warnings
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import lru_cache
from typing import TypeVar

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from .errors import UsageError, unknown
from .relighting import front_directions, relit
from .training import check_images

Images = TypeVar("Images", np.ndarray, Tensor)
Strengths = NDArray[np.float64]
Words = NDArray[np.uint64]
Change = Callable[[Tensor, Strengths, Words], Tensor]

CHUNK = 128  # images at a time: their numbers stay in the cache
GRID = 8  # the longest period of an upsampling grid that is looked for, in pixels


@dataclass(frozen=True)
class Attack:
    """One way to change images. Call it: see the module.

    Attributes:
        name: in `ATTACKS`, and in the paper's tables.
        unit: what its strength is.
        low, high: strengths are drawn evenly from here, for each image its own.
        limits: what may be asked for instead.
        stream: a number of its own, which keeps its random words apart from those of the others.
        step: between the strengths that there are, counted from `low`; 0 where all numbers are.
        neutral: the strength at which nothing changes, if there is one.
    """

    name: str
    unit: str
    low: float
    high: float
    limits: tuple[float, float]
    stream: int
    step: float = 0
    neutral: float | None = 0

    @torch.no_grad()
    def __call__(
        self, images: Images, seed: int | torch.Generator, first: int = 0, strength: float | None = None
    ) -> Images:
        """The attacked images.

        Args:
            images: uint8 ``[N, H, W, 3]``; an array may be memory-mapped.
            seed: of all that is random, or a generator (on the CPU) to draw it from.
            first: the number of the first image, where these are a part of more.
            strength: for all images, in place of one drawn for each.

        Raises:
            UsageError: images of another kind, or a strength that there is not.
        """
        _check(images)
        if first < 0:
            raise UsageError(f"first must be 0 or above, not {first}: it is the number of the first image.")
        if strength is not None:
            self._check_strength(strength)
        if isinstance(seed, torch.Generator):
            seed = int(torch.randint(1 << 62, (), generator=seed))
        if isinstance(images, Tensor):
            parts = [
                self._changed(some, seed, first + CHUNK * number + np.arange(len(some)), strength)
                for number, some in enumerate(images.split(CHUNK))
            ]
            return torch.cat(parts)
        result = np.empty(images.shape, np.uint8)
        for start in range(0, len(images), CHUNK):
            some = torch.from_numpy(np.array(images[start : start + CHUNK]))
            numbers = first + start + np.arange(len(some))
            result[start : start + CHUNK] = self._changed(some, seed, numbers, strength).numpy()
        return result

    def strengths(self, seed: int, count: int, first: int = 0) -> Strengths:
        """What a call with this seed draws for `count` images: float64 ``[count]``."""
        return self._strengths(seed, first + np.arange(count))

    def _strengths(self, seed: int, numbers: np.ndarray) -> Strengths:
        evenly = _uniform(random_words(seed, 2 * self.stream, numbers, 1)[:, 0])
        if not self.step:
            return self.low + (self.high - self.low) * evenly
        return self.low + self.step * np.floor(evenly * (round((self.high - self.low) / self.step) + 1))

    def _words(self, seed: int, numbers: np.ndarray, each: int) -> Words:
        """All that is random but the strength."""
        return random_words(seed, 2 * self.stream + 1, numbers, each)

    def _changed(self, images: Tensor, seed: int, numbers: np.ndarray, strength: float | None) -> Tensor:
        """Of at most `CHUNK` images with these numbers, ascending."""
        raise NotImplementedError

    def _check_strength(self, strength: float) -> None:
        low, high = self.limits
        number = isinstance(strength, int | float | np.number) and math.isfinite(strength)
        if not number or not low <= strength <= high or (self.step and (strength - self.low) % self.step):
            steps = f" in steps of {self.step:g}" if self.step else ""
            raise UsageError(
                f"The strength of {self.name} ({self.unit}) must be from {low:g} to {high:g}{steps}, not {strength}."
            )


@dataclass(frozen=True)
class Single(Attack):
    """One change.

    Attributes:
        change: of uint8 ``[n, H, W, 3]``, strengths ``[n]`` and random words ``[n, words]``.
        words: how many 64-bit random words an image takes, or that as a function of how many values it has.
    """

    change: Change = field(kw_only=True)
    words: int | Callable[[int], int] = field(default=0, kw_only=True)

    def _changed(self, images: Tensor, seed: int, numbers: np.ndarray, strength: float | None) -> Tensor:
        needed = self.words if isinstance(self.words, int) else self.words(images[0].numel())
        words = self._words(seed, numbers, needed)
        strengths = self._strengths(seed, numbers) if strength is None else np.full(len(images), float(strength))
        with torch.autocast(images.device.type, enabled=False):
            return self.change(images, strengths, words)


@dataclass(frozen=True)
class Combination(Attack):
    """Some of its `members`, each with its own coin and in their order; its strength is the probability of each.

    A member does to an image what it does alone with the same seed.
    """

    members: tuple[Attack, ...] = field(kw_only=True)

    def chosen(self, seed: int, count: int, first: int = 0, strength: float | None = None) -> NDArray[np.bool_]:
        """Which members an image meets: ``[count, members]``."""
        return self._chosen(seed, first + np.arange(count), strength)

    def _chosen(self, seed: int, numbers: np.ndarray, strength: float | None) -> NDArray[np.bool_]:
        chance = self._strengths(seed, numbers)[:, None] if strength is None else strength
        return _uniform(self._words(seed, numbers, len(self.members))) < chance

    def _changed(self, images: Tensor, seed: int, numbers: np.ndarray, strength: float | None) -> Tensor:
        images = images.clone()
        for member, chosen in zip(self.members, self._chosen(seed, numbers, strength).T, strict=True):
            if chosen.any():
                where = torch.from_numpy(np.flatnonzero(chosen)).to(images.device)
                changed = member._changed(images.index_select(0, where), seed, numbers[chosen], None)
                images.index_copy_(0, where, changed)
        return images


def random_words(seed: int, stream: int, numbers: np.ndarray, each: int) -> Words:
    """Random 64-bit words, ``[n, each]``: row i is a function of seed, stream and ``numbers[i]`` (ascending) alone."""
    blocks = -(-each // 4)  # Philox gives four words a count
    first, last = int(numbers[0]), int(numbers[-1])
    generator = np.random.Philox(key=np.array([seed % (1 << 64), stream], np.uint64))
    generator.advance(first * blocks)
    words = generator.random_raw((last - first + 1) * 4 * blocks).reshape(last - first + 1, 4 * blocks)
    return words[numbers - first, :each]


def _uniform(words: Words) -> NDArray[np.float64]:
    """In [0, 1)."""
    return (words >> np.uint64(11)).astype(np.float64) * 2.0**-53


def _check(images: np.ndarray | Tensor) -> None:
    if not isinstance(images, Tensor):
        return check_images(images)
    shape = list(images.shape)
    if images.dtype != torch.uint8 or images.ndim != 4 or shape[3] != 3 or not shape[0]:
        hint = ""
        if images.dtype != torch.uint8:
            hint = " Quantize them first."
        elif images.ndim == 4 and shape[1] == 3:
            hint = " Pass images.permute(0, 2, 3, 1)."
        raise UsageError(f"images must be uint8 [N, H, W, 3], not {str(images.dtype)[6:]} {shape}.{hint}")
    return None


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


def _noise(images: Tensor, variances: Strengths, words: Words) -> Tensor:
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


def _blur(images: Tensor, sides: Strengths, _: Words) -> Tensor:
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
        x = some.index_select(1, _mirrored(height, reach).to(some.device))  # while the pixels are bytes still
        x = torch.cat((x[:, :, 1 : reach + 1].flip(2), x, x[:, :, width - 1 - reach : width - 1].flip(2)), 2)
        x = x.float().flatten(2)  # [n, H + 2 reach, (W + 2 reach) * 3]
        return _quantized(_blurred_along(_blurred_along(x, 1, side, 1), 2, side, 3)).view(some.shape)

    return _for_each(blurred, images, sides[:, None].astype(int))


@lru_cache
def _mirrored(size: int, reach: int) -> Tensor:
    """The rows of an image with a border added above and below."""
    return torch.from_numpy(np.pad(np.arange(size), reach, mode="reflect"))


def _blurred_along(x: Tensor, axis: int, side: int, step: int) -> Tensor:
    """Shifted copies added up: with kernels as small as these it is twice as fast as a convolution."""
    weights = np.exp(-0.5 * (np.arange(side) - side // 2) ** 2 / blur_sigma(side) ** 2)
    weights /= weights.sum()
    size = x.shape[axis] - (side - 1) * step
    result = torch.mul(x.narrow(axis, 0, size), float(weights[0]))
    for place in range(1, side):
        result.add_(x.narrow(axis, place * step, size), alpha=float(weights[place]))
    return result


def _crop(images: Tensor, offsets: Strengths, words: Words) -> Tensor:
    """A window shorter by this share of the side, anywhere in the image, enlarged to the image's size (bicubic)."""
    height, width = images.shape[1:3]
    cuts = np.stack([np.rint(offsets * size) for size in (height, width)], 1).astype(int)  # [n, 2]
    corners = (_uniform(words) * (cuts + 1)).astype(int)

    def enlarged(some: Tensor, which: NDArray[np.int_], down: int, across: int) -> Tensor:
        places = zip(some, corners[which].tolist(), strict=True)
        windows = [image[y : y + height - down, x : x + width - across] for image, (y, x) in places]
        return _resized(torch.stack(windows), height, width)

    return _for_each(enlarged, images, cuts)


def _resample(images: Tensor, factors: Strengths, _: Words) -> Tensor:
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


def _jpeg(images: Tensor, qualities: Strengths, _: Words) -> Tensor:
    """Written as a JPEG file of this quality and read again; colour at half the resolution as is usual (4:2:0)."""
    from torchvision.io import decode_jpeg, encode_jpeg

    planes = images.permute(0, 3, 1, 2).cpu().contiguous()  # GPUs encode otherwise
    pairs = zip(planes, qualities, strict=True)
    with warnings.catch_warnings():  # torchvision means to hand this over to another package one day
        warnings.filterwarnings("ignore", "The image decoding and encoding capabilities", DeprecationWarning)
        found = decode_jpeg([encode_jpeg(one, quality=int(quality)) for one, quality in pairs])
    return torch.stack([one.permute(1, 2, 0) for one in found]).to(images.device)


# --- relighting -------------------------------------------------------------------------------------


def _relight(images: Tensor, shares: Strengths, words: Words) -> Tensor:
    return _from_planes(relit(images, shares, front_directions(_uniform(words))))


# --- spectral peaks -----------------------------------------------------------------------------------


def _notch(images: Tensor, shares: Strengths, _: Words) -> Tensor:
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


# --- the table ----------------------------------------------------------------------------------------


def _sixteen_bits(values: int) -> int:
    return -(-values // 4)


NOISE = Single("noise", "variance, squared levels of 255", 5, 20, (0, 10_000), 1, change=_noise, words=_sixteen_bits)
BLUR = Single("blur", "side of the kernel, pixels", 1, 9, (1, 31), 2, step=2, neutral=1, change=_blur)
CROP = Single("crop", "share of the side cut off", 0.05, 0.2, (0, 0.75), 3, change=_crop, words=2)
JPEG = Single("jpeg", "quality", 10, 75, (1, 100), 4, step=1, neutral=None, change=_jpeg)
RELIGHT = Single("relight", "share of the shading exchanged", 0.25, 0.75, (0, 1), 5, change=_relight, words=2)
ORDER = (RELIGHT, CROP, BLUR, JPEG, NOISE)
COMBINATION = Combination("combination", "probability of each", 0.5, 0.5, (0, 1), 6, members=ORDER)
NOTCH = Single("notch", "share of the peaks taken off", 1, 1, (0, 1), 7, change=_notch)
RESAMPLE = Single("resample", "size in between, times the image's", 0.9, 1.1, (0.25, 4), 8, neutral=1, change=_resample)

#: No attack: what finetuning on attacked images is compared with.
NOTHING = Combination("nothing", "probability of each", 0, 0, (0, 1), 9, members=())
#: The paper's attacks, with its strengths (relighting's are ours: the paper's are lights of a network).
PAPER = (NOISE, BLUR, CROP, JPEG, RELIGHT, COMBINATION)
#: Two beyond the paper, which no finetuning here is to see.
UNSEEN = (NOTCH, RESAMPLE)
ATTACKS: dict[str, Attack] = {attack.name: attack for attack in (*PAPER, *UNSEEN)}


def find_attack(name: str) -> Attack:
    """The attack of this name.

    Raises:
        UsageError: there is none; the nearest name is told.
    """
    if name not in ATTACKS:
        raise unknown("attack", name, list(ATTACKS))
    return ATTACKS[name]
