"""VAE: Kingma & Welling, Auto-Encoding Variational Bayes, arXiv 1312.6114. No GAN: nothing judges its images.

An encoder turns an image into a normal distribution over latents, the decoder turns a latent drawn from it back into
the image. Both maximize a bound of the images' likelihood: what comes back is to be near, and the latents are to be
spread like N(0, 1), so that one can be drawn without any image. The encoder is CramerGAN's critic; the decoder has
SNGAN's channels and residual blocks, but normalizes within an image: statistics of a batch of encoded images are not
those of latents drawn at random.

The spread of the pixels about the decoder's image is the one that fits best (Rybkin et al., arXiv 2006.13202): were it
fixed at 1, as in the first programs, all images would be one blur.
"""

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ..processes import mean_of_all
from .base import Model, Settings
from .cramergan import Critic
from .layers import double_and_convolve, group_norm, to_float32, upsampling_channels


@dataclass(frozen=True, kw_only=True)
class VAESettings(Settings):
    """By trial here."""

    latent: int = 64
    batch: int = 32
    lr: float = 1e-3
    betas: tuple[float, float] = (0.9, 0.999)
    ema: float = 0.999
    beta: float = 10.0  # weight of the divergence: the more, the smoother the samples, and the more hold together
    decay: float = 0.5


class VAE(Model):
    """An encoder and a decoder, trained by the evidence lower bound."""

    name = "vae"
    settings_type = VAESettings
    settings: VAESettings

    def assemble(self) -> None:
        """The decoder is the generator. The encoder, ``[N, 3, R, R]`` -> means and log-variances, is only trained."""
        channels = upsampling_channels(self.resolution, self.width)
        self.generator = Decoder(self.settings.latent, channels)
        self.encoder = Critic(self.resolution, self.width, 2 * self.settings.latent)

    def latents(self, n: int, rng: torch.Generator) -> Tensor:
        """N(0, 1)."""
        return torch.randn(n, self.settings.latent, generator=rng)

    def generator_loss(self, real: Tensor, progress: float, rng: torch.Generator) -> Tensor:
        """Of encoder and decoder: `misfit` and the divergence, in nats a number of the image (there are 3 R**2)."""
        mean, log_variance = self.encoder(real).chunk(2, dim=1)  # [N, latent] each
        z = mean + (log_variance / 2).exp() * self.draw(len(real), rng)
        divergence = kl_divergence(mean, log_variance).mean() / real[0].numel()
        return misfit(real, to_float32(self.generator(z))) + self.settings.beta * divergence


def misfit(real: Tensor, decoded: Tensor) -> Tensor:
    """Minus the mean log-density of the numbers under normals about the decoded ones, with the likeliest spread.

    That spread's square is the mean squared error, whose logarithm is what is left but for a constant.
    """
    return (mean_of_all(F.mse_loss(decoded, real)) + 1e-8).log() / 2  # 1e-8: thinner than any of the 256 steps


def kl_divergence(mean: Tensor, log_variance: Tensor) -> Tensor:
    """Of normals, ``[N, latent]`` both, from N(0, 1): ``[N]``, in nats."""
    return (mean.square() + log_variance.exp() - 1 - log_variance).sum(dim=1) / 2


class Decoder(nn.Module):
    """Latents ``[N, latent]`` -> images ``[N, 3, R, R]`` in (-1, 1). `channels` are those from 4x4 up to the image."""

    def __init__(self, latent: int, channels: list[int]):
        super().__init__()
        self.dense = nn.Linear(latent, channels[0] * 16)
        self.blocks = nn.Sequential(*map(UpBlock, channels, channels[1:]))
        self.norm = group_norm(channels[-1])
        self.to_rgb = nn.Conv2d(channels[-1], 3, 3, padding=1)

    def forward(self, z: Tensor) -> Tensor:
        """Each image for itself."""
        x = self.dense(z).reshape(len(z), -1, 4, 4)  # [N, C*16] -> [N, C, 4, 4]
        x = self.blocks(x.contiguous(memory_format=torch.channels_last))  # [N, width, R, R]
        return torch.tanh(self.to_rgb(F.silu(self.norm(x))))


class UpBlock(nn.Module):
    """Residual block with group normalization that doubles the side, nearest neighbour."""

    def __init__(self, inputs: int, outputs: int):
        super().__init__()
        self.norm1 = group_norm(inputs)
        self.conv1 = nn.Conv2d(inputs, outputs, 3, padding=1)
        self.norm2 = group_norm(outputs)
        self.conv2 = nn.Conv2d(outputs, outputs, 3, padding=1)
        self.shortcut = nn.Conv2d(inputs, outputs, 1)

    def forward(self, x: Tensor) -> Tensor:
        """``[N, inputs, H, W]`` -> ``[N, outputs, 2H, 2W]``."""
        y = double_and_convolve(F.silu(self.norm1(x)), self.conv1.weight, self.conv1.bias)
        y = self.conv2(F.silu(self.norm2(y)))
        return y + F.interpolate(self.shortcut(x), scale_factor=2)  # a 1x1 convolution is cheaper before than after
