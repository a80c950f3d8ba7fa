"""SNGAN: Miyato et al., Spectral Normalization for GANs, arXiv 1802.05957.

Two residual networks. Each weight of the discriminator is divided by its largest singular value, which bounds how fast
its score can change, and so it needs no gradient penalty. The loss is the hinge.
"""

import math
from dataclasses import dataclass
from itertools import pairwise

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from .base import GAN, GANSettings
from .layers import Layer, ResidualGenerator, convolve_and_halve, in_float32, spectral_norm, upsampling_channels


@dataclass(frozen=True, kw_only=True)
class SNGANSettings(GANSettings):
    """The paper's values."""

    latent: int = 128
    batch: int = 32
    d_steps: int = 5
    lr: float = 2e-4
    betas: tuple[float, float] = (0.0, 0.9)
    decay: float = 0.2


class SNGAN(GAN):
    """Spectral normalization, trained by the hinge loss."""

    name = "sngan"
    settings_type = SNGANSettings
    settings: SNGANSettings

    def networks(self) -> tuple[ResidualGenerator, "Discriminator"]:
        """Residual both; see the classes."""
        channels = upsampling_channels(self.resolution, self.width)
        return ResidualGenerator(self.settings.latent, channels), Discriminator(channels[::-1])

    def latents(self, n: int, rng: torch.Generator) -> Tensor:
        """N(0, 1)."""
        return torch.randn(n, self.settings.latent, generator=rng)

    def discriminator_loss(self, real: Tensor, progress: float, rng: torch.Generator) -> Tensor:
        """The hinge loss on dequantized reals."""
        with torch.no_grad():
            fake = self.generator(self.draw(len(real), rng)).to(real.dtype)
        scores = self.discriminator(self.seen(torch.cat([dequantize(real, rng), fake]), rng))
        return hinge_loss(*scores.chunk(2))

    def generator_loss(self, real: Tensor, progress: float, rng: torch.Generator) -> Tensor:
        """Minus the mean score of the fakes."""
        fake = self.generator(self.draw(len(real), rng))
        return -self.discriminator(self.seen(fake, rng)).mean()


def hinge_loss(real: Tensor, fake: Tensor) -> Tensor:
    """``mean(max(0, 1 - real)) + mean(max(0, 1 + fake))`` of scores ``[N, 1]``."""
    return F.relu(1 - real).mean() + F.relu(1 + fake).mean()


def dequantize(images: Tensor, rng: torch.Generator) -> Tensor:
    """Add noise uniform over one of the 256 steps, so that the discriminator cannot tell reals by their round values.

    In [-1, 1] a step is 2/255 wide; the noise is centred, so the mean stays.
    """
    return images + ((torch.rand(images.shape, generator=rng) - 0.5) * (2 / 255)).to(images)


class Discriminator(nn.Module):
    """Images ``[N, 3, R, R]`` -> scores ``[N, 1]``. `channels` are those from the image's side down to 4x4."""

    def __init__(self, channels: list[int]):
        super().__init__()
        self.first = DownBlock(3, channels[0], first=True)
        self.blocks = nn.Sequential(
            *[DownBlock(here, below) for here, below in pairwise(channels[:-1])],
            DownBlock(channels[-2], channels[-1], down=False),
        )
        self.score = _spectral(nn.Linear(channels[-1], 1), gain=1.0)

    def forward(self, images: Tensor) -> Tensor:
        """Features are summed, not averaged, over the 4x4 pixels left."""
        x = F.relu(self.blocks(self.first(images)))  # [N, C, 4, 4]
        return in_float32(self.score, x.sum(dim=(2, 3)))


class DownBlock(nn.Module):
    """Residual block with spectral normalization; halves the side unless told otherwise."""

    def __init__(self, inputs: int, outputs: int, first: bool = False, down: bool = True):
        super().__init__()
        self.first = first
        self.down = down
        hidden = outputs if first else inputs
        self.conv1 = _spectral(nn.Conv2d(inputs, hidden, 3, padding=1))
        self.conv2 = _spectral(nn.Conv2d(hidden, outputs, 3, padding=1))
        self.shortcut = _spectral(nn.Conv2d(inputs, outputs, 1), gain=1.0)

    def forward(self, x: Tensor) -> Tensor:
        """``[N, inputs, H, W]`` -> ``[N, outputs, H/2, W/2]``."""
        y = x if self.first else F.relu(x)  # pixels are not to be rectified
        y = F.relu(self.conv1(y))
        if not self.down:
            return self.conv2(y) + self.shortcut(x)
        # The shortcut's 1x1 convolution is cheaper after averaging than before, and the same.
        return convolve_and_halve(y, self.conv2.weight, self.conv2.bias) + self.shortcut(F.avg_pool2d(x, 2))


def _spectral(layer: Layer, gain: float = math.sqrt(2)) -> Layer:
    nn.init.xavier_uniform_(layer.weight, gain)
    nn.init.zeros_(layer.bias)  # type: ignore[arg-type]
    return spectral_norm(layer)
