"""Attacks: what may happen to images between a generator and whoever asks where they come from.

The paper's five and their combination, two that no finetuning here sees, and what everyday handling does. Images are
uint8 ``[N, H, W, 3]``, NumPy array or tensor on any device, and come back as they came. An image's random numbers are a
function of a seed and of its own number, never of the batch it comes in (Philox, a counter-based generator: Salmon et
al. 2011)::

    ATTACKS["noise"](images, seed=0)               # strengths drawn, one for each image
    ATTACKS["noise"](images, seed=0, strength=10)  # all alike
    ATTACKS["noise"](images[64:], 0, first=64)     # the same images as in a call with all of them

In place of a number the seed may be a `torch.Generator`, from which one is drawn: so an attack fits the `augment` of
`training.fit` as it is. Each attack ends in whole numbers, as a saved image does, in the combination too.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ..data.images import check_images
from ..errors import UsageError, unknown
from .distortions import Strengths, Words, blur, crop, jpeg, noise, notch, relight, resample, uniform

Images = TypeVar("Images", np.ndarray, Tensor)
Change = Callable[[Tensor, Strengths, Words], Tensor]

CHUNK = 256  # images at a time: their numbers stay in the cache


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
        evenly = uniform(random_words(seed, 2 * self.stream, numbers, 1)[:, 0])
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
        return uniform(self._words(seed, numbers, len(self.members))) < chance

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


# --- the table ----------------------------------------------------------------------------------------


def _sixteen_bits(values: int) -> int:
    return -(-values // 4)


NOISE = Single("noise", "variance, squared levels of 255", 5, 20, (0, 10_000), 1, change=noise, words=_sixteen_bits)
BLUR = Single("blur", "side of the kernel, pixels", 1, 9, (1, 31), 2, step=2, neutral=1, change=blur)
CROP = Single("crop", "share of the side cut off", 0.05, 0.2, (0, 0.75), 3, change=crop, words=2)
JPEG = Single("jpeg", "quality", 10, 75, (1, 100), 4, step=1, neutral=None, change=jpeg)
RELIGHT = Single("relight", "share of the shading exchanged", 0.25, 0.75, (0, 1), 5, change=relight, words=2)
ORDER = (RELIGHT, CROP, BLUR, JPEG, NOISE)
COMBINATION = Combination("combination", "probability of each", 0.5, 0.5, (0, 1), 6, members=ORDER)
NOTCH = Single("notch", "share of the peaks taken off", 1, 1, (0, 1), 7, change=notch)
RESAMPLE = Single("resample", "size in between, times the image's", 0.9, 1.1, (0.25, 4), 8, neutral=1, change=resample)

#: What happens to an image on its way without anybody's intent, and more weakly than the paper's attacks.
HANDLING = Combination(
    "handling",
    "probability of each",
    0.35,
    0.35,
    (0, 1),
    10,
    members=(
        Single("slight crop", CROP.unit, 0.015, 0.1, CROP.limits, 11, change=crop, words=2),
        Single("slight resample", RESAMPLE.unit, 0.9, 1.1, RESAMPLE.limits, 12, neutral=1, change=resample),
        Single("slight blur", BLUR.unit, 1, 3, BLUR.limits, 13, step=2, neutral=1, change=blur),
        Single("slight jpeg", JPEG.unit, 50, 100, JPEG.limits, 14, step=1, neutral=None, change=jpeg),
        Single("slight noise", NOISE.unit, 0, 10, NOISE.limits, 15, change=noise, words=_sixteen_bits),
    ),
)
#: No attack: what finetuning on attacked images is compared with.
NOTHING = Combination("nothing", "probability of each", 0, 0, (0, 1), 9, members=())
#: The paper's attacks, with its strengths (relighting's are ours: the paper's are lights of a network).
PAPER = (NOISE, BLUR, CROP, JPEG, RELIGHT, COMBINATION)
#: Two beyond the paper, which no finetuning here is to see.
UNSEEN = (NOTCH, RESAMPLE)
ATTACKS: dict[str, Attack] = {attack.name: attack for attack in (*PAPER, *UNSEEN)}
_NAMED = {**ATTACKS, HANDLING.name: HANDLING}


def find_attack(name: str) -> Attack:
    """The attack of this name.

    Raises:
        UsageError: there is none; the nearest name is told.
    """
    if name not in _NAMED:
        raise unknown("attack", name, list(_NAMED))
    return _NAMED[name]
