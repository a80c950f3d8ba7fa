"""VAE: Kingma & Welling, Auto-Encoding Variational Bayes, arXiv 1312.6114. No GAN: nothing judges its images.

An encoder turns an image into a normal distribution over latents, the decoder turns a latent drawn from it back into
the image. Both maximize a bound of the images' likelihood: what comes back is to be near, and the latents are to be
spread like N(0, 1), so that one can be drawn without any image. The decoder is SNGAN's generator and the encoder
CramerGAN's critic, so that its images differ from theirs by how it was trained, not by what it is made of.

The spread of the pixels about the decoder's image is the one that fits best (Rybkin et al., arXiv 2006.13202): were it
fixed at 1, as in the first programs, all images would be one blur.
"""

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from .base import Model, Settings
from .cramergan import Critic
from .layers import ResidualGenerator, to_float32, upsampling_channels


@dataclass(frozen=True, kw_only=True)
class VAESettings(Settings):
    """By trial here."""

    latent: int = 128
    batch: int = 32
    lr: float = 1e-3
    betas: tuple[float, float] = (0.9, 0.999)
    ema: float = 0.999
    beta: float = 1.0  # weight of the divergence: above 1 the samples are smoother and nearer to one another
    warmup: float = 0.1  # the first share of the budget, in which that weight rises from 0
    decay: float = 0.5


class VAE(Model):
    """An encoder and a decoder, trained by the evidence lower bound."""

    name = "vae"
    settings_type = VAESettings
    settings: VAESettings

    def assemble(self) -> None:
        """The decoder is the generator. The encoder, ``[N, 3, R, R]`` -> means and log-variances, is only trained."""
        channels = upsampling_channels(self.resolution, self.width)
        self.generator = ResidualGenerator(self.settings.latent, channels)
        self.encoder = Critic(self.resolution, self.width, 2 * self.settings.latent)

    def latents(self, n: int, rng: torch.Generator) -> Tensor:
        """N(0, 1)."""
        return torch.randn(n, self.settings.latent, generator=rng)

    def generator_loss(self, real: Tensor, progress: float, rng: torch.Generator) -> Tensor:
        """Of encoder and decoder: `misfit` and the divergence, in nats a number of the image (there are 3 R**2)."""
        mean, log_variance = self.encoder(real).chunk(2, dim=1)  # [N, latent] each
        z = mean + (log_variance / 2).exp() * self.draw(len(real), rng)
        weight = self.settings.beta * (min(1.0, progress / self.settings.warmup) if self.settings.warmup else 1.0)
        divergence = kl_divergence(mean, log_variance).mean() / real[0].numel()
        return misfit(real, to_float32(self.generator(z))) + weight * divergence


def misfit(real: Tensor, decoded: Tensor) -> Tensor:
    """Minus the mean log-density of the numbers under normals about the decoded ones, with the likeliest spread.

    That spread's square is the mean squared error, whose logarithm is what is left but for a constant.
    """
    return (F.mse_loss(decoded, real) + 1e-8).log() / 2  # 1e-8: thinner than any of the 256 steps


def kl_divergence(mean: Tensor, log_variance: Tensor) -> Tensor:
    """Of normals, ``[N, latent]`` both, from N(0, 1): ``[N]``, in nats."""
    return (mean.square() + log_variance.exp() - 1 - log_variance).sum(dim=1) / 2
