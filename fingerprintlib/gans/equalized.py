"""Layers with an equalized learning rate (Karras et al., arXiv 1710.10196, section 4.1).

Weights are drawn from N(0, 1) and multiplied by He's constant, gain / sqrt(fan-in), at run time: so every weight learns
at the same effective rate under Adam. Biases start at zero. ProGAN and the attribution network are made of them.
"""

import math
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

HE_GAIN = math.sqrt(2)  # keeps the scale of the signal through a rectifier
Padding = Literal["zeros", "reflect"]


class EqualizedConv2d(nn.Conv2d):
    """A convolution that keeps height and width; `padding_mode` is ``"zeros"`` or ``"reflect"``."""

    def __init__(self, inputs: int, outputs: int, side: int, gain: float = HE_GAIN, padding_mode: Padding = "zeros"):
        super().__init__(inputs, outputs, side, padding=side // 2, padding_mode=padding_mode)
        self.scale = gain / math.sqrt(inputs * side**2)
        nn.init.normal_(self.weight)
        nn.init.zeros_(self.bias)  # type: ignore[arg-type]

    @property
    def effective_weight(self) -> Tensor:
        """The weights as they act, ``[outputs, inputs, side, side]``."""
        return self.weight * self.scale

    def forward(self, x: Tensor) -> Tensor:
        """``[N, inputs, H, W]`` -> ``[N, outputs, H, W]``."""
        weight = self.effective_weight
        if self.padding_mode == "zeros":
            return F.conv2d(x, weight, self.bias, padding=self.padding)
        # Autocast would pad in float32, there and back again: a sixth of a training step, for a copy of numbers.
        with torch.autocast(x.device.type, enabled=False):
            x = F.pad(x, self._reversed_padding_repeated_twice, mode=self.padding_mode)
        return F.conv2d(x, weight, self.bias)


class EqualizedLinear(nn.Linear):
    """A dense layer."""

    def __init__(self, inputs: int, outputs: int, gain: float = HE_GAIN):
        super().__init__(inputs, outputs)
        self.scale = gain / math.sqrt(inputs)
        nn.init.normal_(self.weight)
        nn.init.zeros_(self.bias)

    @property
    def effective_weight(self) -> Tensor:
        """The weights as they act, ``[outputs, inputs]``."""
        return self.weight * self.scale

    def forward(self, x: Tensor) -> Tensor:
        """``[N, inputs]`` -> ``[N, outputs]``."""
        return F.linear(x, self.effective_weight, self.bias)
