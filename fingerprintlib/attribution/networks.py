"""The attribution network: an image in, a score per source out.

The architecture of Yu, Davis, Fritz (ICCV 2019). Level by level two 3x3 convolutions and a 2x2 average pool take the
image down to 4x4; two dense layers follow. The last one is where the paper's words live: its weight vector for a source
is that source's *model fingerprint*, the feature it multiplies is the *image fingerprint*, the score is their product.

The paper's component analysis uses the same network on less: on one frequency band of the image (`band`, `factor`), or
without the convolutions below some level (`pool_from`), so that it sees the image patch by patch.
"""

from itertools import pairwise

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ..errors import UsageError, unknown
from ..gans.equalized import EqualizedConv2d, EqualizedLinear
from .bands import BANDS

SLOPE = 0.2
SMALLEST = 4  # side of the features that the dense layers take
ORDERS = ("conv_then_pool", "pool_then_conv")


def channels_at(stage: int, width: float) -> int:
    """The paper's channels at a stage, ``min(1024 / 2**stage, 512)``, times `width`."""
    return max(1, round(min(1024 / 2**stage, 512) * width))


def check_input(x: Tensor, side: int) -> None:
    """Refuse what is not ``[N, 3, side, side]``.

    Raises:
        UsageError: naming what came.
    """
    if x.ndim != 4 or x.shape[1:] != (3, side, side):
        raise UsageError(f"x must be [N, 3, {side}, {side}] for this network, not {list(x.shape)}.")


def factors(resolution: int) -> list[int]:
    """By which the sides of an image can be divided for a network: 1, 2, 4, ... ``resolution / 4``."""
    return [2**n for n in range(resolution.bit_length() - 2)]


def field_sides(resolution: int) -> dict[int, int]:
    """Where pooling can start, and the side of the field of each of the pooled features, in pixels.

    Two convolutions widen the field by 2 pixels each and the pooling by 1, counted in pixels of their level; the last
    convolution adds 2 of the level it stands at. So 4, 8, 16, 32, 64, 128 give 220, 108, 52, 24, 10, 3 at 128x128.
    """
    sides, seen, pixel, level = {}, 1, 1, resolution
    while level >= SMALLEST:
        sides[level] = seen + 2 * pixel
        seen, pixel, level = seen + 5 * pixel, 2 * pixel, level // 2
    return dict(reversed(sides.items()))


def patch_sides(resolution: int) -> dict[int, int]:
    """`field_sides`, at most the image's: the sides of the paper's patches, 128 (all), 108, 52, 24, 10, 3 at 128x128.

    A field that is larger than the image still misses some of it where its middle is near a border: see
    `patches.spans`.
    """
    return {level: min(side, resolution) for level, side in field_sides(resolution).items()}


class FineConv2d(EqualizedConv2d):
    """A 3x3 convolution in which what a kernel has besides its mean counts 1 + `emphasis` times.

    Fingerprints are faint and fine, motifs strong and coarse. A kernel's mean answers to the motif; what it has
    besides, to differences between neighbouring pixels. Without emphasis both are as loud at the start, and a network
    learns motifs first. For all weights there are others that compute the same without emphasis.
    """

    def __init__(self, inputs: int, outputs: int, emphasis: float):
        super().__init__(inputs, outputs, 3, padding_mode="reflect")
        self.emphasis = emphasis

    @property
    def effective_weight(self) -> Tensor:
        """The weights as they act, ``[outputs, inputs, 3, 3]``."""
        weight = super().effective_weight
        return weight + self.emphasis * (weight - weight.mean((2, 3), keepdim=True)) if self.emphasis else weight


class AttributionNetwork(nn.Module):
    """The classifier of the paper, and those of its component analysis.

    Args:
        class_count: number of sources K, at least 2.
        resolution: side of the images, a power of two from 4 to 1024 (4 is what remains of 128 after five halvings).
        width: multiplies every channel count, the dense layer's too; 1 is the paper, 1/4 is enough for 64x64.
        seed: of the initial weights.
        band: what it sees of the frequencies, one of `bands.BANDS`: ``"low"``, those of the image when it is smaller by
            `factor`; ``"residual"``, of these only what one more halving would lose.
        factor: one of `factors`.
        pool_from: side of the level from which on average pooling takes the place of the convolutions, a key of
            `patch_sides`; 4 is the whole network.
        order: ``"conv_then_pool"``, with the last convolution before the pooling, so that each pooled feature sees one
            patch; or ``"pool_then_conv"``, as in the released code, where it comes after and sees the whole image.
        emphasis: of fine detail in the first two convolutions, see `FineConv2d`; 0 is the paper. It changes how fast
            the network learns, and not what it can compute.

    Raises:
        UsageError: an argument is out of range.
    """

    def __init__(
        self,
        class_count: int,
        resolution: int,
        width: float = 1.0,
        seed: int = 0,
        band: str = "low",
        factor: int = 1,
        pool_from: int = SMALLEST,
        order: str = "conv_then_pool",
        emphasis: float = 0.0,
    ):
        super().__init__()
        if class_count < 2:
            raise UsageError(f"An attribution network tells at least 2 classes apart; class_count is {class_count}.")
        if not 4 <= resolution <= 1024 or resolution & (resolution - 1):
            raise UsageError(f"resolution must be a power of two from 4 to 1024, not {resolution}. Resize the images.")
        if not 0 < width <= 4:
            raise UsageError(f"width must be above 0 and at most 4, not {width}.")
        if band not in BANDS:
            raise unknown("band", band, list(BANDS))
        if factor not in factors(resolution):
            raise UsageError(f"At {resolution}x{resolution} factor must be one of {factors(resolution)}, not {factor}.")
        side = resolution // factor
        if pool_from not in patch_sides(side):
            raise UsageError(
                f"At {side}x{side} pool_from must be one of {list(patch_sides(side))}, not {pool_from} "
                f"(patches of {list(patch_sides(side).values())} pixels)."
            )
        if order not in ORDERS:
            raise unknown("order", order, list(ORDERS))
        if emphasis < 0:
            raise UsageError(f"emphasis must be 0 or more, not {emphasis}.")
        self.class_count, self.resolution, self.width = class_count, resolution, width
        self.band, self.factor, self.pool_from, self.order = band, factor, pool_from, order
        self.emphasis = emphasis

        channels = [3]
        for stage in range(side.bit_length() - 1, pool_from.bit_length() - 1, -1):  # 2**stage is the level's side
            channels += [channels_at(stage - 1, width), channels_at(stage - 2, width)]
        # At 4x4 to 16x16 the paper's 512. With as many at 64x64 the last convolution would cost three whole networks.
        channels.append(channels_at(pool_from.bit_length() - 4, width))
        with torch.random.fork_rng(devices=[]):
            torch.default_generator.manual_seed(seed)
            self.convolutions = nn.ModuleList(
                FineConv2d(inputs, outputs, emphasis if index < 2 else 0.0)
                for index, (inputs, outputs) in enumerate(pairwise(channels))
            )
            self.dense = EqualizedLinear(channels[-1] * SMALLEST**2, channels_at(0, width))
            self.classifier = EqualizedLinear(channels_at(0, width), class_count, gain=1.0)

    @property
    def model_fingerprints(self) -> Tensor:
        """The sources' fingerprints ``[K, F]``: the classifier's weights as they act, He scale included."""
        return self.classifier.effective_weight

    def features(self, x: Tensor) -> Tensor:
        """The image fingerprints ``[N, F]`` of images ``[N, 3, H, W]`` in [-1, 1].

        Raises:
            UsageError: `x` has another shape.
        """
        x = self.feature_maps(x)
        x = F.avg_pool2d(x, x.shape[-1] // SMALLEST)
        return F.leaky_relu(self.dense(x.flatten(1)), SLOPE)

    def forward(self, x: Tensor) -> Tensor:
        """``[N, 3, H, W]`` in [-1, 1] to logits ``[N, K]``: image fingerprints times model fingerprints, + bias."""
        return self._scores(self.features(x))

    def patch_scores(self, x: Tensor) -> Tensor:
        """What each patch says alone: the logits of an image that is like this one patch everywhere.

        Args:
            x: images ``[N, 3, H, W]`` in [-1, 1].

        Returns:
            ``[N, P, P, K]``, P = `pool_from`: patches of the side that `patch_sides` gives, evenly over the image.

        Raises:
            UsageError: `x` has another shape, or with this order the features see more than a patch.
        """
        if self.order != "conv_then_pool":
            raise UsageError(f"With order {self.order!r} no feature belongs to a patch. Use 'conv_then_pool'.")
        patches = self.feature_maps(x).permute(0, 2, 3, 1)  # [N, P, P, C]
        # The same features at all 4x4 places of the dense layer: their weights add up.
        weight = self.dense.effective_weight.unflatten(1, (-1, SMALLEST**2)).sum(2)
        return self._scores(F.leaky_relu(F.linear(patches, weight, self.dense.bias), SLOPE))

    def feature_maps(self, x: Tensor) -> Tensor:
        """What the last convolution gives of images ``[N, 3, H, W]`` in [-1, 1].

        Returns:
            ``[N, C, P, P]``, P = `pool_from`, each feature seeing one patch; or with ``pool_then_conv``
            ``[N, C, 4, 4]``.

        Raises:
            UsageError: `x` has another shape.
        """
        check_input(x, self.resolution)
        with torch.autocast(x.device.type, enabled=False):  # a band is a small difference of large numbers
            x = BANDS[self.band](x, self.factor)
        for index in range(0, len(self.convolutions) - 1, 2):
            x = F.avg_pool2d(self._convolve(self._convolve(x, index), index + 1), 2)
        if self.order == "pool_then_conv":
            x = F.avg_pool2d(x, self.pool_from // SMALLEST)
        return self._convolve(x, -1)

    def _convolve(self, x: Tensor, index: int) -> Tensor:
        return F.leaky_relu(self.convolutions[index](x), SLOPE, inplace=True)

    def _scores(self, features: Tensor) -> Tensor:
        # The correlation itself is always float32: it costs nothing, and scores near a tie keep their order.
        with torch.autocast(features.device.type, enabled=False):
            return self.classifier(features.to(self.classifier.weight.dtype))
