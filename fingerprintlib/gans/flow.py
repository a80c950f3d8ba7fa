"""Flow matching: Lipman et al., arXiv 2210.02747; Liu et al., arXiv 2209.03003. No GAN: nothing judges its images.

Noise is moved to images along straight lines. On the way from noise to an image, drawn independently, the velocity is
their difference; a network learns to tell it from the point and the time alone, which makes it the mean over all lines
through that point. To sample, noise is carried along these velocities from time 0 to time 1.

The network is a small U-Net that sees 2x2 pixels as one of twelve channels, so that a thousand images of 64 pixels take
a CPU core about a minute.
"""

import math
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ..errors import UsageError
from ..processes import rows, size
from .base import Model, Settings
from .layers import group_norm, to_float32

#: Channels at a half, a quarter, ... of the image's side, in widths.
CHANNELS = (1, 2, 4, 4)
#: The level where each place looks at all others: 8x8 for images of 64 pixels.
ATTENTION = 2
FREQUENCIES = 16
#: Standard deviation of photographs' numbers in [-1, 1], about.
SPREAD = 0.5


@dataclass(frozen=True, kw_only=True)
class FlowSettings(Settings):
    """By trial here."""

    batch: int = 64
    lr: float = 1e-3
    betas: tuple[float, float] = (0.9, 0.99)
    ema: float = 0.9995
    steps: int = 12  # of Heun's method from noise to image; the network is asked twice a step
    decay: float = 0.5


class Flow(Model):
    """A network of velocities, trained by conditional flow matching along straight lines."""

    name = "flow"
    settings_type = FlowSettings
    settings: FlowSettings
    generator: "Generator"

    def _configure(self, options: dict[str, Any]) -> Any:
        settings = super()._configure(options)
        if settings.steps < 1:
            raise UsageError(f"{self.name}'s steps={settings.steps} is not possible. Make it 1 or more.")
        return settings

    def assemble(self) -> None:
        """See the class."""
        self.generator = Generator(self.resolution, self.width, self.settings.steps)

    def latents(self, n: int, rng: torch.Generator) -> Tensor:
        """The noise, N(0, 1), as long as the image."""
        return torch.randn(n, 3 * self.resolution**2, generator=rng)

    def generator_loss(self, real: Tensor, progress: float, rng: torch.Generator) -> Tensor:
        """The mean squared error of the velocity at one point of each line; their times share [0, 1] out evenly."""
        n = len(real)
        noise = self.draw(n, rng).reshape(real.shape)
        which = torch.tensor(rows(n))  # of the batch
        time = ((which + torch.rand(n, generator=rng)) / size(n)).to(real)
        point = torch.lerp(noise, real, time[:, None, None, None])
        return F.mse_loss(self.generator.velocity(point, time), real - noise)


class Generator(nn.Module):
    """Noise ``[N, 3*R*R]`` -> images ``[N, 3, R, R]`` in about [-1, 1]: nothing squashes them."""

    def __init__(self, resolution: int, width: int, steps: int):
        super().__init__()
        self.velocity = Velocity(width)
        self.resolution = resolution
        self.steps = steps

    def forward(self, z: Tensor) -> Tensor:
        """Heun's method in equal steps of time."""
        x = z.reshape(len(z), 3, self.resolution, self.resolution)
        return heun(self.velocity, x, self.steps)


def heun(velocity: "Velocity", x: Tensor, steps: int) -> Tensor:
    """`x` carried from time 0 to 1: each step follows the mean of the velocities at its start and at where it leads.

    The last step follows the velocity at its start alone, since no network learns what time 1 is like.
    """
    times = torch.linspace(0, 1, steps + 1).tolist()
    for start, end in pairwise(times):
        slope = velocity(x, x.new_tensor([start]))
        if end < 1:
            slope = (slope + velocity(x + (end - start) * slope, x.new_tensor([end]))) / 2
        x = x + (end - start) * slope
    return x


class Velocity(nn.Module):
    """Points ``[N, 3, R, R]`` and times ``[N]`` (or ``[1]`` for all) -> velocities ``[N, 3, R, R]``.

    The network tells only by how much the velocity differs from what it would be on the way to noise as spread as
    images are, in units of how much there is to tell (after Karras et al., arXiv 2206.00364): so the image itself need
    not find its way through. It goes down to a sixteenth of the side and up again, each level's features added to those
    that come back up to it.
    """

    def __init__(self, width: int):
        super().__init__()
        channels = [width * factor for factor in CHANNELS]
        embedding = 4 * width
        self.time = nn.Sequential(nn.Linear(2 * FREQUENCIES, embedding), nn.SiLU(), nn.Linear(embedding, embedding))
        self.first = nn.Conv2d(3 * 4, width, 3, padding=1)
        self.down = nn.ModuleList(Block(here, embedding, level == ATTENTION) for level, here in enumerate(channels))
        self.up = nn.ModuleList(Block(here, embedding, level == ATTENTION) for level, here in enumerate(channels))
        self.fewer = nn.ModuleList(nn.Conv2d(here, below, 3, stride=2, padding=1) for here, below in pairwise(channels))
        self.more = nn.ModuleList(nn.Conv2d(below, here, 1) for here, below in pairwise(channels))
        self.norm = group_norm(width)
        self.last = _silent(nn.Conv2d(width, 3 * 4, 3, padding=1))

    def forward(self, x: Tensor, time: Tensor) -> Tensor:
        """The velocity; before training that on the way to noise."""
        t = time[:, None, None, None]
        variance = (1 - t) ** 2 + (SPREAD * t) ** 2  # of the points at that time
        covariance = SPREAD**2 * t - (1 - t)  # of points and velocities
        scale = variance.rsqrt()
        return covariance / variance * x + SPREAD * scale * to_float32(self.network(scale * x, time))

    def network(self, x: Tensor, time: Tensor) -> Tensor:
        """Points of unit variance -> what there is to tell, shape kept."""
        embedded = F.silu(self.time(_waves(time)))  # [N, E]
        x = F.pixel_unshuffle(x, 2).contiguous(memory_format=torch.channels_last)  # [N, 12, R/2, R/2]
        x = self.first(x)
        levels: list[Tensor] = []
        for level, block in enumerate(self.down):
            x = block(self.fewer[level - 1](x) if level else x, embedded)
            levels.append(x)
        for level, block in reversed(list(enumerate(self.up))):
            x = block(x, embedded)
            if level:
                x = levels[level - 1] + F.interpolate(self.more[level - 1](x), scale_factor=2)
        return F.pixel_shuffle(self.last(F.silu(self.norm(x))), 2)


class Block(nn.Module):
    """Residual block whose features are scaled and shifted by the time; with attention if told so."""

    def __init__(self, channels: int, embedding: int, attention: bool):
        super().__init__()
        self.norm1 = group_norm(channels)
        self.conv1 = nn.Conv2d(channels, channels, 3, padding=1)
        self.modulation = _silent(nn.Linear(embedding, 2 * channels))
        self.norm2 = group_norm(channels)
        self.conv2 = _silent(nn.Conv2d(channels, channels, 3, padding=1))
        self.attention = Attention(channels) if attention else nn.Identity()

    def forward(self, x: Tensor, embedded: Tensor) -> Tensor:
        """``[N, C, H, W]`` and the embedded times ``[N, E]`` or ``[1, E]`` -> ``[N, C, H, W]``."""
        y = self.conv1(F.silu(self.norm1(x)))
        scale, shift = self.modulation(embedded)[:, :, None, None].chunk(2, dim=1)
        y = torch.addcmul(shift, self.norm2(y), 1 + scale)
        return self.attention(x + self.conv2(F.silu(y)))


class Attention(nn.Module):
    """Adds to each place what it finds, by likeness, at all places: self-attention in four heads."""

    def __init__(self, channels: int):
        super().__init__()
        self.norm = group_norm(channels)
        self.ask = nn.Conv2d(channels, 3 * channels, 1)
        self.answer = _silent(nn.Conv2d(channels, channels, 1))

    def forward(self, x: Tensor) -> Tensor:
        """Shape kept."""
        n, c, h, w = x.shape
        query, key, value = self.ask(self.norm(x)).reshape(n, 3, 4, c // 4, h * w).unbind(1)  # [N, 4, C/4, H*W] each
        # Written out: at a few places it costs next to nothing, and fused kernels differentiate in no fixed order.
        likeness = (query.transpose(2, 3) @ key / math.sqrt(c // 4)).softmax(dim=3)  # [N, 4, H*W, H*W]
        found = value @ likeness.to(value.dtype).transpose(2, 3)
        return x + self.answer(found.reshape(n, c, h, w))


def _waves(time: Tensor) -> Tensor:
    """Sines and cosines of the times ``[N]``, from half a turn to a thousand: ``[N, 2 * FREQUENCIES]``."""
    frequencies = torch.logspace(0, 3, FREQUENCIES, device=time.device) * math.pi
    angles = time[:, None] * frequencies
    return torch.cat([angles.sin(), angles.cos()], dim=1)


def _silent(layer: nn.Linear | nn.Conv2d) -> nn.Module:
    """The layer, silent at first: so each block starts as doing nothing."""
    nn.init.zeros_(layer.weight)
    nn.init.zeros_(layer.bias)  # type: ignore[arg-type]
    return layer
