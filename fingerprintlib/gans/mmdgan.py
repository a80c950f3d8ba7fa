"""MMDGAN: Binkowski et al., Demystifying MMD GANs, arXiv 1801.01401.

The critic maps an image to a few features, and the generator makes the maximum mean discrepancy between reals and fakes
small there, under a kernel with heavy tails. The networks are CramerGAN's, but for the number of features.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from ..processes import of_all
from .cramergan import CramerGAN, CramerGANSettings
from .layers import gradient_penalty, interpolate, to_float32

#: The shapes of the rational-quadratic kernels that are added up.
ALPHAS = (0.1, 1.0, 10.0)


@dataclass(frozen=True, kw_only=True)
class MMDGANSettings(CramerGANSettings):
    """The paper's values; upstream's batch is 64."""

    features: int = 16
    penalty: float = 1.0
    activation_penalty: float = 1.0


class MMDGAN(CramerGAN):
    """CramerGAN's networks, trained by the squared maximum mean discrepancy."""

    name = "mmdgan"
    settings_type = MMDGANSettings
    settings: MMDGANSettings
    departures = (
        "The penalty on the critic's activations is on each layer's mean square; the authors' program adds squares up.",
    )

    def discriminator_loss(self, real: Tensor, progress: float, rng: torch.Generator) -> Tensor:
        """Minus MMD**2, the gradient penalty on the witness, and the size of the critic's activations."""
        with torch.no_grad():
            fake = self.generator(self.draw(len(real), rng)).to(real.dtype)
        real, fake = self.seen(real, rng), self.seen(fake, rng)
        layers = self.discriminator.activations(torch.cat([real, fake]))  # type: ignore[operator]
        on_real, on_fake = map(of_all, layers[-1].chunk(2))  # [N, features] each
        between = interpolate(real, fake, rng)
        penalty = gradient_penalty(witness(self.discriminator(between), on_real, on_fake), between)
        size = torch.stack([to_float32(layer).square().mean() for layer in layers]).sum()
        settings = self.settings
        return -mmd2(on_real, on_fake) + settings.penalty * penalty + settings.activation_penalty * size

    def generator_loss(self, real: Tensor, progress: float, rng: torch.Generator) -> Tensor:
        """MMD**2 between the reals and as many fakes."""
        fake = self.generator(self.draw(len(real), rng)).to(real.dtype)
        features = self.discriminator(self.seen(torch.cat([real, fake]), rng))
        return mmd2(*map(of_all, features.chunk(2)))


def kernel(x: Tensor, y: Tensor) -> Tensor:
    """Sum of rational quadratics ``(1 + |x - y|**2 / (2 a))**-a`` and the linear ``x . y``.

    ``[N, F]`` and ``[M, F]`` -> ``[N, M]``. Written without a matrix product, which autocast would round to bfloat16.
    """
    distance2 = (x[:, None] - y[None]).square().sum(-1)
    quadratics = torch.stack([(1 + distance2 / (2 * a)).pow(-a) for a in ALPHAS]).sum(0)
    return quadratics + (x[:, None] * y[None]).sum(-1)


def mmd2(x: Tensor, y: Tensor) -> Tensor:
    """The unbiased estimate of MMD**2 between ``[N, F]`` and ``[M, F]``: pairs of a sample with itself do not count.

    Their share is taken off entry by entry; with the linear kernel it is no constant, but ``|x|**2``.
    """
    return _mean_of_pairs(x) + _mean_of_pairs(y) - 2 * kernel(x, y).mean()


def witness(at: Tensor, x: Tensor, y: Tensor) -> Tensor:
    """Where the kernel sees more of `x` than of `y`: ``mean k(at, x) - mean k(at, y)``, ``[N]``."""
    return kernel(at, x).mean(1) - kernel(at, y).mean(1)


def _mean_of_pairs(x: Tensor) -> Tensor:
    pairs = kernel(x, x)
    return (pairs.sum() - pairs.diagonal().sum()) / (len(x) * (len(x) - 1))
