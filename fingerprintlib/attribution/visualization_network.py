"""The visualization network: fingerprints that are images.

The second network of Yu, Davis, Fritz (ICCV 2019). An autoencoder R learns to give an image back; what it leaves out,
the residual ``x - R(x)``, *is* the image fingerprint. One freely learned image for each source is its model
fingerprint, and how well the two correlate is the score of the source. R is held by three terms of a loss: it is to
come near the image, to pass for one before a critic, and to leave in the residual what tells the sources apart.
"""

from collections.abc import Callable, Mapping
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ..errors import UsageError, unknown
from ..gans.equalized import EqualizedConv2d
from ..gans.layers import gradient_penalty, interpolate, to_float32
from ..gans.progan import Discriminator, DoublingConv2d, critic_loss
from ..processes import average_gradients
from ..runtime import Fabric
from .networks import SLOPE, channels_at, check_input

#: Weights of the loss: mean absolute difference, adversarial term, cross-entropy.
RECONSTRUCTION, ADVERSARIAL, CLASSIFICATION = 20.0, 0.1, 1.0
#: Weights in the critic's loss: gradient penalty, drift.
PENALTY, DRIFT = 10.0, 1e-3
#: The critic's channels as a share of the autoencoder's. It is the costliest part, and not the one we are after.
CRITIC_WIDTH = 0.5


def normalized_correlation(images: Tensor, models: Tensor) -> Tensor:
    """Pearson's correlation over all pixels and channels (the paper's score).

    Both are brought to zero mean and unit variance; then the mean of the pixelwise product.

    Args:
        images: ``[N, 3, H, W]``.
        models: ``[K, 3, H, W]``.

    Returns:
        ``[N, K]`` in [-1, 1]; 0 where one of the two is constant.
    """
    images, models = (_normalized(some.flatten(1)) for some in (images, models))
    return images @ models.T / images.shape[1]


def _normalized(rows: Tensor) -> Tensor:
    """Rows of zero mean and unit variance, however faint they were; constant ones become zeros."""
    centred = rows - rows.mean(1, keepdim=True)
    largest = centred.detach().abs().amax(1, keepdim=True)
    scaled = centred / torch.where(largest > 1e-20, largest, 1)  # so that `eps` means the same for all
    return F.layer_norm(scaled, rows.shape[1:], eps=1e-12)


def inner_product(images: Tensor, models: Tensor) -> Tensor:
    """The sum of the pixelwise product, nothing normalized (the released code's score: a convolution of full size).

    ``[N, 3, H, W]`` and ``[K, 3, H, W]`` -> ``[N, K]``.
    """
    return images.flatten(1) @ models.flatten(1).T


#: Name to the function and what its value is multiplied by before the softmax. A correlation cannot exceed 1, and a
#: softmax of such numbers hardly prefers any: after 120 steps at 64x64, 82 % of the validation images were attributed
#: rightly with 10, 90 % with 30 and 89 % with 100.
CORRELATIONS: dict[str, tuple[Callable[[Tensor, Tensor], Tensor], float]] = {
    "normalized": (normalized_correlation, 30.0),
    "inner_product": (inner_product, 1.0),
}


class VisualizationNetwork(nn.Module):
    """The autoencoder R and the model fingerprints.

    The encoder is the attribution network's with one convolution a level instead of two, down to 4x4; the decoder
    mirrors it. Each level of the decoder also sees the encoder's features of its side, or R would lose all detail, and
    the residual would be full of it.

    Args:
        class_count: number of sources K, at least 2.
        resolution: side of the images, a power of two from 8 to 1024.
        width: multiplies every channel count of the autoencoder; 1 is the paper.
        correlation: one of `CORRELATIONS`.
        seed: of the initial weights.

    Raises:
        UsageError: an argument is out of range.
    """

    def __init__(
        self, class_count: int, resolution: int, width: float = 1.0, correlation: str = "normalized", seed: int = 0
    ):
        super().__init__()
        if class_count < 2:
            raise UsageError(f"A visualization network tells at least 2 classes apart; class_count is {class_count}.")
        if not 8 <= resolution <= 1024 or resolution & (resolution - 1):
            raise UsageError(f"resolution must be a power of two from 8 to 1024, not {resolution}. Resize the images.")
        if not 0 < width <= 4:
            raise UsageError(f"width must be above 0 and at most 4, not {width}.")
        if correlation not in CORRELATIONS:
            raise unknown("correlation", correlation, list(CORRELATIONS))
        self.class_count, self.resolution, self.width, self.correlation = class_count, resolution, width, correlation

        stages = range(3, resolution.bit_length())  # 2**stage is the level's side: 8 and up
        channels = {stage: channels_at(stage - 1, width) for stage in (2, *stages)}
        with torch.random.fork_rng(devices=[]):
            torch.default_generator.manual_seed(seed)
            self.first = _conv(3, channels[stages[-1]])
            self.down = nn.ModuleList(_conv(channels[stage], channels[stage - 1]) for stage in reversed(stages))
            self.middle = _conv(channels[2], channels[2])
            self.up = nn.ModuleList(DoublingConv2d(channels[stage - 1], channels[stage], 3) for stage in stages)
            self.join = nn.ModuleList(_conv(2 * channels[stage], channels[stage]) for stage in stages)
            self.to_rgb = EqualizedConv2d(channels[stages[-1]], 3, 1, gain=1.0)
            # Small, so that what training adds soon outweighs the noise it starts from.
            self.model_fingerprints = nn.Parameter(0.01 * torch.randn(class_count, 3, resolution, resolution))

    def reconstruct(self, x: Tensor) -> Tensor:
        """R(x): images ``[N, 3, H, W]`` in [-1, 1] to images like them, float32, in about that range.

        Raises:
            UsageError: `x` has another shape.
        """
        check_input(x, self.resolution)
        y = _activate(self.first(x))
        skipped = []
        for down in self.down:
            skipped.append(y)
            y = F.avg_pool2d(_activate(down(y)), 2)
        y = _activate(self.middle(y))  # [N, C, 4, 4]
        for up, join in zip(self.up, self.join, strict=True):
            y = _activate(join(torch.cat([_activate(up(y)), skipped.pop()], 1)))
        return to_float32(self.to_rgb(y))

    def features(self, x: Tensor) -> Tensor:
        """The image fingerprints ``x - R(x)``, float32 ``[N, 3, H, W]``."""
        return x - self.reconstruct(x)

    def responses(self, fingerprints: Tensor) -> Tensor:
        """How well image fingerprints ``[N, 3, H, W]`` match each model fingerprint: float32 ``[N, K]``."""
        correlate, _ = CORRELATIONS[self.correlation]
        with torch.autocast(fingerprints.device.type, enabled=False):
            return correlate(fingerprints, self.model_fingerprints)

    def logits(self, fingerprints: Tensor) -> Tensor:
        """What goes into the softmax, ``[N, K]``: responses, enlarged where they are too close for it."""
        return self.responses(fingerprints) * CORRELATIONS[self.correlation][1]

    def forward(self, x: Tensor) -> Tensor:
        """``[N, 3, H, W]`` in [-1, 1] to logits ``[N, K]``."""
        return self.logits(self.features(x))


def _conv(inputs: int, outputs: int) -> EqualizedConv2d:
    return EqualizedConv2d(inputs, outputs, 3, padding_mode="reflect")


def _activate(x: Tensor) -> Tensor:
    return F.leaky_relu(x, SLOPE)


class VisualizationLoss:
    """``20 L1(R(x), x) + 0.1 L_adv + 1 cross-entropy`` and the critic of L_adv: an objective for `training.fit`.

    L1 is the mean absolute difference over all pixels and channels. The critic (ProGAN's, trained as there: WGAN-GP
    with a drift) tells x from R(x); each step it learns first, then judges.

    Args:
        network: what it is for; the critic gets a share of its channels.
        fabric: device and precision.
        learning_rate: of the critic's Adam, with ProGAN's betas.
        seed: of the critic's initial weights.
    """

    def __init__(self, network: VisualizationNetwork, fabric: Fabric, learning_rate: float = 1e-3, seed: int = 0):
        stages = range(1, network.resolution.bit_length() - 1)
        with torch.random.fork_rng(devices=[]):
            torch.default_generator.manual_seed(seed)
            critic = Discriminator([channels_at(stage, CRITIC_WIDTH * network.width) for stage in stages])
        self.fabric = fabric
        self.critic = critic.to(fabric.device).to(memory_format=torch.channels_last)
        self.optimizer = torch.optim.Adam(self.critic.parameters(), lr=learning_rate, betas=(0.0, 0.99), fused=True)

    together = 4  #: the groups of the critic's minibatch standard deviation

    @property
    def saved(self) -> Mapping[str, Any]:
        """See `training.Objective`."""
        return {"critic": self.critic, "critic_optimizer": self.optimizer}

    def loss(self, network: nn.Module, x: Tensor, targets: Tensor, generator: torch.Generator) -> Tensor:
        """See `training.Objective`."""
        assert isinstance(network, VisualizationNetwork)
        with self.fabric.autocast():
            reconstruction = network.reconstruct(x)
        self._train_critic(x, reconstruction.detach(), generator)
        self.critic.requires_grad_(False)  # gradients pass through it, and none of its weights' are computed
        with self.fabric.autocast():
            adversarial = -self.critic(reconstruction).mean()
        self.critic.requires_grad_(True)
        difference = (reconstruction - x).abs().mean()
        cross_entropy = F.cross_entropy(network.logits(x - reconstruction), targets)
        return RECONSTRUCTION * difference + ADVERSARIAL * adversarial + CLASSIFICATION * cross_entropy

    def critic_loss(self, x: Tensor, reconstruction: Tensor, generator: torch.Generator) -> Tensor:
        """Wasserstein loss, gradient penalty and drift of images ``[N, 3, H, W]`` and their reconstructions."""
        # One after the other: in one batch that is no multiple of 4, the critic's groups would hold both kinds.
        real, fake = self.critic(x), self.critic(reconstruction)
        between = interpolate(x, reconstruction, generator)
        return critic_loss(real, fake, DRIFT) + PENALTY * gradient_penalty(self.critic(between), between)

    def _train_critic(self, x: Tensor, reconstruction: Tensor, generator: torch.Generator) -> None:
        with self.fabric.autocast():
            loss = self.critic_loss(x, reconstruction, generator)
        self.optimizer.zero_grad()
        loss.backward()
        average_gradients(self.fabric, self.critic)
        self.optimizer.step()
