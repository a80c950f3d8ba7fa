"""CramerGAN: Bellemare et al., The Cramer Distance as a Solution to Biased Wasserstein Gradients, arXiv 1705.10743.

The critic maps an image to a feature vector, and the generator makes the energy distance between reals and fakes small
there. Its unbiased estimate needs two fakes that are independent of one another; no averaging over a large batch.
"""

from dataclasses import dataclass
from itertools import pairwise

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from .base import GAN, GANSettings
from .layers import ResidualGenerator, gradient_penalty, in_float32, interpolate, upsampling_channels


@dataclass(frozen=True, kw_only=True)
class CramerGANSettings(GANSettings):
    """The paper's values; upstream's batch is 64."""

    latent: int = 100
    batch: int = 32
    d_steps: int = 5
    lr: float = 1e-4
    betas: tuple[float, float] = (0.5, 0.9)
    features: int = 256
    penalty: float = 10.0


class CramerGAN(GAN):
    """Residual generator and plain convolutional critic, trained by the energy distance."""

    name = "cramergan"
    settings_type = CramerGANSettings
    settings: CramerGANSettings

    def networks(self) -> tuple["Generator", "Critic"]:
        """See the classes."""
        channels = upsampling_channels(self.resolution, self.width)
        return Generator(self.settings.latent, channels), Critic(self.resolution, self.width, self.settings.features)

    def latents(self, n: int, rng: torch.Generator) -> Tensor:
        """U(-1, 1)."""
        return torch.rand(n, self.settings.latent, generator=rng) * 2 - 1

    def discriminator_loss(self, real: Tensor, progress: float, rng: torch.Generator) -> Tensor:
        """Minus how much farther the reals score than the fakes, and the gradient penalty on that score."""
        with torch.no_grad():
            fakes = self.generator(self.draw(2 * len(real), rng)).to(real.dtype)
        real, fakes = self.seen(real, rng), self.seen(fakes, rng)
        features = self.discriminator(torch.cat([real, fakes]))
        on_real, on_fake, other = features.chunk(3)  # [N, features] each
        surrogate = critic(on_real, other) - critic(on_fake, other)
        between = interpolate(real, fakes[: len(real)], rng)
        penalty = gradient_penalty(critic(self.discriminator(between), other), between)
        return -surrogate.mean() + self.settings.penalty * penalty

    def generator_loss(self, real: Tensor, progress: float, rng: torch.Generator) -> Tensor:
        """The energy distance between the reals and two independent batches of fakes."""
        fakes = self.generator(self.draw(2 * len(real), rng))
        features = self.discriminator(self.seen(torch.cat([real, fakes.to(real.dtype)]), rng))
        return energy_distance(*features.chunk(3))


def critic(x: Tensor, fake: Tensor) -> Tensor:
    """``||x - fake|| - ||x||`` of features ``[N, F]``, row by row: ``[N]``."""
    return (x - fake).norm(dim=1) - x.norm(dim=1)


def energy_distance(real: Tensor, fake: Tensor, other: Tensor) -> Tensor:
    """``E||real - fake|| + E||real - other|| - E||fake - other||`` of features ``[N, F]``, row by row.

    `fake` and `other` must be independent; were they the same, the last term would vanish and nothing would hold the
    fakes apart.
    """
    return ((real - fake).norm(dim=1) + (real - other).norm(dim=1) - (fake - other).norm(dim=1)).mean()


class Generator(ResidualGenerator):
    """SNGAN's, but for how it ends."""

    def squash(self, x: Tensor) -> Tensor:
        """The sigmoid's (0, 1) is stretched to the (-1, 1) that all our images live in."""
        return torch.sigmoid(x) * 2 - 1


class Critic(nn.Module):
    """Images ``[N, 3, R, R]`` -> features ``[N, features]``: five strided convolutions, no normalization."""

    def __init__(self, resolution: int, width: int, features: int):
        super().__init__()
        channels = [3, *upsampling_channels(128, width)[:0:-1]]  # five of them: width, 2 width, ... at any resolution
        self.convs = nn.ModuleList(
            nn.Conv2d(inputs, outputs, 5, stride=2, padding=2) for inputs, outputs in pairwise(channels)
        )
        self.dense = nn.Linear(channels[-1] * (resolution // 32) ** 2, features)
        for conv in self.convs:
            nn.init.kaiming_normal_(conv.weight, 0.2)  # type: ignore[arg-type]
            nn.init.zeros_(conv.bias)  # type: ignore[arg-type]
        nn.init.xavier_normal_(self.dense.weight)
        nn.init.zeros_(self.dense.bias)

    def activations(self, x: Tensor) -> list[Tensor]:
        """What each layer puts out, the features last."""
        layers = []
        for conv in self.convs:
            x = F.leaky_relu(conv(x), 0.2)
            layers.append(x)  # [N, C, side / 2, side / 2]
        layers.append(in_float32(self.dense, x.flatten(1)))
        return layers

    def forward(self, images: Tensor) -> Tensor:
        """The features alone."""
        return self.activations(images)[-1]
