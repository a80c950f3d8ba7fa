"""ProGAN: Karras et al., Progressive Growing of GANs, arXiv 1710.10196.

Both networks start at 4x4 and grow: a new resolution is faded in, then trained as it is, then the next one comes. No
normalization by batch statistics; instead weights scaled at run time, and in the generator each pixel's features
normalized. The critic sees how varied a batch is, and is trained with the gradient penalty.

Where the paper's table and the authors' program differ, this follows the program; see `ProGAN.departures`.
"""

import math
from dataclasses import dataclass
from itertools import pairwise
from typing import ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ..errors import UsageError, unknown
from .base import GAN, GANSettings
from .equalized import HE_GAIN, EqualizedConv2d, EqualizedLinear
from .layers import (
    convolve_and_halve,
    double_and_convolve,
    gradient_penalty,
    in_float32,
    interpolate,
    minibatch_stddev,
    pixel_norm,
)

#: Real images a step, by resolution.
BATCHES = {4: 512, 8: 256, 16: 128, 32: 64, 64: 32, 128: 32, 256: 32}


@dataclass(frozen=True, kw_only=True)
class ProGANSettings(GANSettings):
    """The paper's values. `batch` caps those of `BATCHES` (512: none); 32 or less suits a short budget."""

    latent: int = 512
    batch: int = 512
    d_steps: int = 1
    lr: float = 1e-3  # at 128 pixels half as much again, at 256 twice as much
    betas: tuple[float, float] = (0.0, 0.99)
    ema: float = 0.999
    phase: float = 0.05  # share of the budget for a fade, and for the stable time after it (600k of 12M images)
    channels: tuple[int, ...] = ()  # at 4, 8, ... pixels; none: by the width, see `paper_channels`
    upsampling: str = "nearest"  # or bilinear: how the generator doubles its features' side
    penalty: float = 10.0
    drift: float = 1e-3


class ProGAN(GAN):
    """Progressive growing, trained by the Wasserstein loss with gradient penalty."""

    name = "progan"
    settings_type = ProGANSettings
    settings: ProGANSettings
    batch_multiple: ClassVar[int] = 4  # the groups of the minibatch standard deviation
    departures = (
        "The critic averages 2x2 pixels before the rectifier, as the authors' program does; the paper's table, after.",
    )

    def networks(self) -> tuple["Generator", "Discriminator"]:
        """Both with their blocks for all resolutions; `growth` says how many are in use."""
        settings, levels = self.settings, int(math.log2(self.resolution)) - 1
        if not 0 < settings.phase <= 1 / (2 * (levels - 1)):
            raise UsageError(
                f"phase={settings.phase} is not possible: ProGAN would end before {self.resolution} pixels are faded "
                f"in. Use more than 0 and at most {1 / (2 * (levels - 1)):.4g}."
            )
        channels = list(settings.channels) or paper_channels(levels, self.width)
        if len(channels) != levels or min(channels) < 1:
            raise UsageError(f"channels={channels}: give {levels} numbers, for each side from 4 to {self.resolution}.")
        if settings.upsampling not in DOUBLING:
            raise unknown("upsampling", settings.upsampling, list(DOUBLING))
        double = DOUBLING[settings.upsampling]
        return Generator(settings.latent, channels, double), Discriminator(channels)

    def latents(self, n: int, rng: torch.Generator) -> Tensor:
        """N(0, 1); the generator normalizes each vector."""
        return torch.randn(n, self.settings.latent, generator=rng)

    def growth(self, progress: float) -> tuple[int, float]:
        """The level in training (0 is 4x4, 1 is 8x8, ...) and how far it is faded in (0 to 1)."""
        top = int(math.log2(self.resolution)) - 2
        phases = progress / self.settings.phase - 1  # since 4x4, which has nothing to fade from, was done
        if phases < 0:
            return 0, 1.0
        level = min(int(phases / 2) + 1, top)
        return level, min(phases - 2 * (level - 1), 1.0)

    def level(self, progress: float) -> int:
        """The optimizers start afresh at each new resolution."""
        return self.growth(progress)[0]

    def batch_size(self, progress: float) -> int:
        """That of the resolution in training."""
        return min(BATCHES[4 * 2 ** self.level(progress)], self.settings.batch)

    def learning_rate(self, progress: float) -> float:
        """Half as much again at 128 pixels, twice as much at 256."""
        return super().learning_rate(progress) * {5: 1.5, 6: 2.0}.get(self.level(progress), 1.0)

    def discriminator_loss(self, real: Tensor, progress: float, rng: torch.Generator) -> Tensor:
        """Wasserstein loss, gradient penalty, and the drift that holds the scores near zero."""
        level, alpha = self.growth(progress)
        real = shrink(real, level, alpha)
        with torch.no_grad():
            fake = self.generator(self.draw(len(real), rng), level, alpha).to(real.dtype)
        real, fake = self.seen(real, rng), self.seen(fake, rng)
        scores_real, scores_fake = self.discriminator(torch.cat([real, fake]), level, alpha).chunk(2)
        between = interpolate(real, fake, rng)
        penalty = gradient_penalty(self.discriminator(between, level, alpha), between)
        return critic_loss(scores_real, scores_fake, self.settings.drift) + self.settings.penalty * penalty

    def generator_loss(self, real: Tensor, progress: float, rng: torch.Generator) -> Tensor:
        """Minus the mean score of the fakes."""
        level, alpha = self.growth(progress)
        fake = self.generator(self.draw(len(real), rng), level, alpha)
        return -self.discriminator(self.seen(fake, rng), level, alpha).mean()

    def preview(self, latents: Tensor, progress: float) -> Tensor:
        """Images of the resolution in training, enlarged to the full one."""
        images = self.sampler(latents, *self.growth(progress))
        return F.interpolate(images, size=self.resolution)


def critic_loss(real: Tensor, fake: Tensor, drift: float) -> Tensor:
    """``mean(fake) - mean(real) + drift * mean(real**2)`` of scores ``[N, 1]``."""
    return fake.mean() - real.mean() + drift * real.square().mean()


def shrink(images: Tensor, level: int, alpha: float) -> Tensor:
    """Reals as the critic sees them: reduced to the level's side, and as blurred as a fade makes the fakes."""
    side = 4 * 2**level
    images = F.avg_pool2d(images, images.shape[-1] // side)
    if alpha < 1:
        images = torch.lerp(_up(F.avg_pool2d(images, 2)), images, alpha)
    return images


class DoublingConv2d(EqualizedConv2d):
    """A 3x3 convolution after nearest-neighbour enlargement."""

    def forward(self, x: Tensor) -> Tensor:
        """``[N, inputs, H, W]`` -> ``[N, outputs, 2H, 2W]``."""
        return double_and_convolve(x, self.effective_weight, self.bias)


class BilinearConv2d(EqualizedConv2d):
    """A 3x3 convolution after bilinear enlargement."""

    def forward(self, x: Tensor) -> Tensor:
        """``[N, inputs, H, W]`` -> ``[N, outputs, 2H, 2W]``."""
        return super().forward(F.interpolate(x, scale_factor=2, mode="bilinear").to(x.dtype))


DOUBLING: dict[str, type[EqualizedConv2d]] = {"nearest": DoublingConv2d, "bilinear": BilinearConv2d}


class HalvingConv2d(EqualizedConv2d):
    """A 3x3 convolution before 2x2 averaging."""

    def forward(self, x: Tensor) -> Tensor:
        """``[N, inputs, H, W]`` -> ``[N, outputs, H/2, W/2]``."""
        return convolve_and_halve(x, self.effective_weight, self.bias)


class Generator(nn.Module):
    """Latents ``[N, latent]`` -> images ``[N, 3, R, R]`` in about [-1, 1]: nothing squashes them."""

    def __init__(self, latent: int, channels: list[int], double: type[EqualizedConv2d] = DoublingConv2d):
        super().__init__()
        self.dense = EqualizedLinear(latent, channels[0] * 16, gain=HE_GAIN / 4)
        self.first = EqualizedConv2d(channels[0], channels[0], 3)
        self.blocks = nn.ModuleList(
            nn.ModuleList([double(below, here, 3), EqualizedConv2d(here, here, 3)])
            for below, here in pairwise(channels)
        )
        self.to_rgb = nn.ModuleList(EqualizedConv2d(here, 3, 1, gain=1.0) for here in channels)

    def forward(self, z: Tensor, level: int | None = None, alpha: float = 1.0) -> Tensor:
        """Images at `level` (None: the last), mixed with the enlarged ones of the level below while alpha < 1."""
        level = len(self.blocks) if level is None else level
        # [N, 16*C] -> [N, C, 4, 4], with the channels last in memory, which is fastest
        x = self.dense(pixel_norm(z)).reshape(len(z), 4, 4, -1).movedim(-1, 1)
        x = _activate(self.first(_activate(x)))
        below = x
        for block in self.blocks[:level]:
            conv1, conv2 = block.children()
            below = x
            x = _activate(conv2(_activate(conv1(x))))
        image = self.to_rgb[level](x)
        if alpha < 1:
            image = torch.lerp(_up(self.to_rgb[level - 1](below)), image, alpha)
        return image


class Discriminator(nn.Module):
    """Images ``[N, 3, side, side]`` of some level's side -> scores ``[N, 1]``: the generator's mirror."""

    def __init__(self, channels: list[int]):
        super().__init__()
        self.from_rgb = nn.ModuleList(EqualizedConv2d(3, here, 1) for here in channels)
        self.blocks = nn.ModuleList(
            nn.ModuleList([EqualizedConv2d(here, here, 3), HalvingConv2d(here, below, 3)])
            for below, here in pairwise(channels)
        )
        self.last = EqualizedConv2d(channels[0] + 1, channels[0], 3)
        self.dense = EqualizedLinear(channels[0] * 16, channels[0])
        self.score = EqualizedLinear(channels[0], 1, gain=1.0)

    def forward(self, images: Tensor, level: int | None = None, alpha: float = 1.0) -> Tensor:
        """Scores; `level` and `alpha` as in the generator."""
        level = len(self.blocks) if level is None else level
        x = F.leaky_relu(self.from_rgb[level](images), 0.2)
        for index in reversed(range(level)):
            conv1, conv2 = self.blocks[index].children()
            x = F.leaky_relu(conv2(F.leaky_relu(conv1(x), 0.2)), 0.2)
            if alpha < 1 and index == level - 1:
                below = F.leaky_relu(self.from_rgb[index](F.avg_pool2d(images, 2)), 0.2)
                x = torch.lerp(below, x, alpha)
        x = F.leaky_relu(self.last(minibatch_stddev(x)), 0.2)
        x = F.leaky_relu(self.dense(x.flatten(1)), 0.2)  # [N, C, 4, 4] -> [N, C*16] -> [N, C]
        return in_float32(self.score, x)


def paper_channels(levels: int, width: int) -> list[int]:
    """The paper's ``min(8192 / 2**stage, 512)``, at other widths scaled by its square: 16 gives 32-32-32-32-16-8."""
    return [max(4, min(8192 // 2 ** (level + 1), 512) * width**2 // 64**2) for level in range(levels)]


def _activate(x: Tensor) -> Tensor:
    return pixel_norm(F.leaky_relu(x, 0.2))


def _up(x: Tensor) -> Tensor:
    return F.interpolate(x, scale_factor=2).to(x.dtype)  # on a GPU, autocast would make it float32
