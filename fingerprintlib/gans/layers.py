"""Layers and terms that more than one GAN uses."""

import math
from typing import TypeVar

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.utils import parametrize

Layer = TypeVar("Layer", nn.Linear, nn.Conv2d)


def to_float32(x: Tensor) -> Tensor:
    """Half precision to float32; float32 and float64 as they are."""
    return x.float() if x.dtype in (torch.bfloat16, torch.float16) else x


def in_float32(layer: nn.Linear, x: Tensor) -> Tensor:
    """The layer's output computed in float32 whatever autocast is in force: for what a loss is computed from.

    Small terms of a loss, such as ProGAN's drift, would be rounded away from a bfloat16 gradient.
    """
    with torch.autocast(x.device.type, enabled=False):
        return layer(to_float32(x))


def gradient_penalty(outputs: Tensor, inputs: Tensor) -> Tensor:
    """Mean over images of ``(||gradient of outputs by an image|| - 1)**2`` (Gulrajani et al., arXiv 1704.00028).

    The norm is over **all** pixels and channels of an image, and in float32 whatever autocast is in force.

    Args:
        outputs: what was computed from `inputs`, summed before differentiating.
        inputs: ``[N, ...]``, with ``requires_grad``.
    """
    with torch.autocast(inputs.device.type, enabled=False):
        (gradient,) = torch.autograd.grad(to_float32(outputs).sum(), inputs, create_graph=True)
        norm = to_float32(gradient).flatten(1).norm(dim=1)  # [N, C, H, W] -> [N, C*H*W] -> [N]
        return (norm - 1).square().mean()


def interpolate(real: Tensor, fake: Tensor, rng: torch.Generator) -> Tensor:
    """Points between the reals and the fakes, uniform on each segment, ready to be differentiated by."""
    share = torch.rand(len(real), 1, 1, 1, generator=rng).to(real)
    return torch.lerp(real, fake.to(real.dtype), share).requires_grad_()


def augmented(images: Tensor, rng: torch.Generator) -> Tensor:
    """Images ``[N, 3, H, W]``, each shifted by up to an eighth, brighter or darker, more or less vivid, at random.

    What a shift brings in at a border is mirrored. Differentiable, so that a generator can learn through it: a
    discriminator that never sees the few reals as they are does not learn them by heart (Zhao et al., arXiv
    2006.10738).
    """
    n, _, height, width = images.shape
    draws = torch.rand(n, 4, generator=rng)
    margin = height // 8
    shift = (draws[:, :2] * (2 * margin + 1)).long().to(images.device)  # [N, 2] of 0 .. 2 * margin
    rows = shift[:, :1] + torch.arange(height, device=images.device)  # [N, H]
    columns = shift[:, 1:] + torch.arange(width, device=images.device)  # [N, W]
    padded = F.pad(images, (margin,) * 4, mode="reflect").permute(0, 2, 3, 1)  # [N, H + 2m, W + 2m, 3]
    each = torch.arange(n, device=images.device)[:, None, None]
    moved = padded[each, rows[:, :, None], columns[:, None, :]].permute(0, 3, 1, 2)
    lighter, more_vivid = draws[:, 2:].to(images).T.reshape(2, n, 1, 1, 1)
    grey = moved.mean(1, keepdim=True)
    return grey + (moved - grey) * (0.5 + more_vivid) + (lighter - 0.5) * 0.5


def pixel_norm(x: Tensor) -> Tensor:
    """Scale the vector at each pixel, ``x[n, :, ...]``, to unit mean square; shape kept."""
    return x * to_float32(x).square().mean(dim=1, keepdim=True).add(1e-8).rsqrt().to(x.dtype)


def minibatch_stddev(x: Tensor, group: int = 4) -> Tensor:
    """Append a channel with the mean standard deviation over each group of `group` neighbours in the batch.

    ``[N, C, H, W]`` -> ``[N, C + 1, H, W]``. Groups are consecutive, so a batch of reals followed by fakes gives what
    two batches would (N a multiple of `group`; otherwise groups are the largest common divisor).
    """
    n, c, h, w = x.shape
    group = math.gcd(n, group)
    y = to_float32(x).reshape(n // group, group, c, h, w)
    deviation = (y.var(dim=1, correction=0) + 1e-8).sqrt().mean(dim=(1, 2, 3))  # one number a group: [N/group]
    channel = deviation.repeat_interleave(group).reshape(n, 1, 1, 1).expand(n, 1, h, w)
    return torch.cat([x, channel.to(x.dtype)], dim=1)


class _Spectral(nn.Module):
    """Divides a weight by its largest singular value, followed by one power iteration a forward pass in training."""

    def __init__(self, weight: Tensor):
        super().__init__()
        self.u: Tensor
        self.register_buffer("u", F.normalize(torch.randn(len(weight)), dim=0))

    def forward(self, weight: Tensor) -> Tensor:
        with torch.autocast(weight.device.type, enabled=False):  # in bfloat16 the iteration would wander
            matrix = weight.flatten(1)  # [outputs, inputs * kernel**2]
            with torch.no_grad():
                v = F.normalize(self.u @ matrix, dim=0)
                u = F.normalize(matrix @ v, dim=0)
                if self.training:
                    self.u = u
            return weight / torch.dot(u, matrix @ v)


def spectral_norm(layer: Layer) -> Layer:
    """The layer with its weight's spectral norm held at 1 (Miyato et al., arXiv 1802.05957)."""
    parametrize.register_parametrization(layer, "weight", _Spectral(layer.weight))
    return layer


def double_and_convolve(x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
    """A 3x3 convolution of the image enlarged twofold (nearest neighbour), in one: 4/9 of the multiplications.

    ``[N, I, H, W]`` with weights ``[O, I, 3, 3]`` -> ``[N, O, 2H, 2W]``. Each pixel stands for four equal ones, so the
    weights that meet it can be added up beforehand.
    """
    kernel = 4 * _spread(weight).flip(2, 3).transpose(0, 1)
    return F.conv_transpose2d(x, kernel, bias, stride=2, padding=1)


def convolve_and_halve(x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
    """The 2x2 averages of a 3x3 convolution, in one: 4/9 of the multiplications.

    ``[N, I, H, W]`` with weights ``[O, I, 3, 3]`` -> ``[N, O, H/2, W/2]``. The average of four shifted sums is one sum
    with the average of the shifted kernels.
    """
    return F.conv2d(x, _spread(weight), bias, stride=2, padding=1)


def _spread(weight: Tensor) -> Tensor:
    """The mean of a 3x3 kernel's four shifts on a 4x4 grid."""
    padded = F.pad(weight, (1, 1, 1, 1))
    return F.avg_pool2d(padded, 2, stride=1)


class UpBlock(nn.Module):
    """Residual block with batch normalization that doubles the side, nearest neighbour."""

    def __init__(self, inputs: int, outputs: int):
        super().__init__()
        self.norm1 = nn.BatchNorm2d(inputs)
        self.conv1 = nn.Conv2d(inputs, outputs, 3, padding=1)
        self.norm2 = nn.BatchNorm2d(outputs)
        self.conv2 = nn.Conv2d(outputs, outputs, 3, padding=1)
        self.shortcut = nn.Conv2d(inputs, outputs, 1)
        for conv, gain in ((self.conv1, math.sqrt(2)), (self.conv2, math.sqrt(2)), (self.shortcut, 1.0)):
            nn.init.xavier_uniform_(conv.weight, gain)
            nn.init.zeros_(conv.bias)  # type: ignore[arg-type]

    def forward(self, x: Tensor) -> Tensor:
        """``[N, inputs, H, W]`` -> ``[N, outputs, 2H, 2W]``."""
        y = double_and_convolve(F.relu(self.norm1(x)), self.conv1.weight, self.conv1.bias)
        y = self.conv2(F.relu(self.norm2(y)))
        return y + F.interpolate(self.shortcut(x), scale_factor=2)  # a 1x1 convolution is cheaper before than after


def group_norm(channels: int) -> nn.GroupNorm:
    """In eight groups, or in as many as divide both."""
    return nn.GroupNorm(math.gcd(channels, 8), channels)


def upsampling_channels(resolution: int, width: int) -> list[int]:
    """Channels at 4, 8, ... up to `resolution`: `width` at the end, doubling on the way down to 16 times `width`.

    Networks slimmer than the paper's 64 are capped as well at ``width**2 / 4``: cost falls with the square of the
    width at low resolutions too (16 gives 64-64-64-32-16 at 64 pixels, 64 gives 1024-512-256-128-64).
    """
    cap = max(width, min(16 * width, width**2 // 4))
    sides = [4 * 2**i for i in range(int(math.log2(resolution)) - 1)]
    return [min(width * resolution // side, cap) for side in sides]


class ResidualGenerator(nn.Module):
    """Latents ``[N, latent]`` -> images ``[N, 3, R, R]`` in (-1, 1): SNGAN's, and but for its end CramerGAN's."""

    def __init__(self, latent: int, channels: list[int]):
        super().__init__()
        self.dense = nn.Linear(latent, channels[0] * 16)
        self.blocks = nn.Sequential(*map(UpBlock, channels, channels[1:]))
        self.norm = nn.BatchNorm2d(channels[-1])
        self.to_rgb = nn.Conv2d(channels[-1], 3, 3, padding=1)
        for layer in (self.dense, self.to_rgb):
            nn.init.xavier_uniform_(layer.weight)
            nn.init.zeros_(layer.bias)  # type: ignore[arg-type]

    def squash(self, x: Tensor) -> Tensor:
        """From any number into (-1, 1)."""
        return torch.tanh(x)

    def forward(self, z: Tensor) -> Tensor:
        """Batch statistics in training mode, running ones in evaluation."""
        x = self.dense(z).reshape(len(z), -1, 4, 4)  # [N, C*16] -> [N, C, 4, 4]
        x = self.blocks(x.contiguous(memory_format=torch.channels_last))  # [N, width, R, R]
        return self.squash(self.to_rgb(F.relu(self.norm(x))))
