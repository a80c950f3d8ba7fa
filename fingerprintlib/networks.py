"""The attribution network: an image in, a score per source out.

The architecture of Yu, Davis, Fritz (ICCV 2019). Level by level two 3x3 convolutions and a 2x2 average pool take the
image down to 4x4; two dense layers follow. The last one is where the paper's words live: its weight vector for a source
is that source's *model fingerprint*, the feature it multiplies is the *image fingerprint*, the score is their product.
"""

from itertools import pairwise

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from .errors import UsageError
from .layers import EqualizedConv2d, EqualizedLinear

SLOPE = 0.2


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


class AttributionNetwork(nn.Module):
    """The classifier of the paper.

    Args:
        class_count: number of sources K, at least 2.
        resolution: side of the images, a power of two from 4 to 1024 (4 is what remains of 128 after five halvings).
        width: multiplies every channel count, the dense layer's too; 1 is the paper, 1/4 is enough for 64x64.
        seed: of the initial weights.

    Raises:
        UsageError: an argument is out of range.
    """

    def __init__(self, class_count: int, resolution: int, width: float = 1.0, seed: int = 0):
        super().__init__()
        if class_count < 2:
            raise UsageError(f"An attribution network tells at least 2 classes apart; class_count is {class_count}.")
        if not 4 <= resolution <= 1024 or resolution & (resolution - 1):
            raise UsageError(f"resolution must be a power of two from 4 to 1024, not {resolution}. Resize the images.")
        if not 0 < width <= 4:
            raise UsageError(f"width must be above 0 and at most 4, not {width}.")
        self.class_count, self.resolution, self.width = class_count, resolution, width

        channels = [3]
        for stage in range(resolution.bit_length() - 1, 2, -1):  # 2**stage is the level's side: down to 8
            channels += [channels_at(stage - 1, width), channels_at(stage - 2, width)]
        channels.append(channels_at(1, width))
        with torch.random.fork_rng(devices=[]):
            torch.default_generator.manual_seed(seed)
            self.convolutions = nn.ModuleList(
                EqualizedConv2d(inputs, outputs, 3, padding_mode="reflect") for inputs, outputs in pairwise(channels)
            )
            self.dense = EqualizedLinear(channels_at(1, width) * 4 * 4, channels_at(0, width))
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
        check_input(x, self.resolution)
        for index, convolution in enumerate(self.convolutions):
            x = F.leaky_relu(convolution(x), SLOPE, inplace=True)
            if index % 2:  # after every second, so not after the last, which is alone at 4x4
                x = F.avg_pool2d(x, 2)
        return F.leaky_relu(self.dense(x.flatten(1)), SLOPE)

    def forward(self, x: Tensor) -> Tensor:
        """``[N, 3, H, W]`` in [-1, 1] to logits ``[N, K]``: image fingerprints times model fingerprints, + bias."""
        features = self.features(x)
        # The correlation itself is always float32: it costs nothing, and scores near a tie keep their order.
        with torch.autocast(x.device.type, enabled=False):
            return self.classifier(features.to(self.classifier.weight.dtype))
