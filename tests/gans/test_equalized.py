"""The equalized layers against plain ones with He-scaled weights."""

import math

import pytest
import torch
from torch import nn

from fingerprintlib.gans import equalized as layers


@pytest.fixture
def rng():
    return torch.Generator().manual_seed(0)


@pytest.mark.parametrize("padding", ["zeros", "reflect"])
def test_equalized_convolution_is_a_plain_one_with_he_scaled_weights(rng, padding):
    conv = layers.EqualizedConv2d(24, 32, 3, padding_mode=padding)
    x = torch.randn(8, 24, 16, 16, generator=rng)
    plain = nn.Conv2d(24, 32, 3, padding=1, padding_mode=padding)
    with torch.no_grad():
        plain.weight.copy_(conv.weight * math.sqrt(2 / (24 * 9)))
        plain.bias.zero_()
        torch.testing.assert_close(conv(x), plain(x))
        # He's gain keeps the scale through a rectifier; with gain 1 a unit input comes out with unit deviation.
        inner = layers.EqualizedConv2d(24, 256, 3, gain=1.0)(x)[:, :, 1:-1, 1:-1]
    assert conv.weight.std().item() == pytest.approx(1, abs=0.05)
    assert inner.std().item() == pytest.approx(1, abs=0.05)


def test_equalized_linear(rng):
    dense = layers.EqualizedLinear(300, 400, gain=1.0)
    x = torch.randn(200, 300, generator=rng)
    with torch.no_grad():
        torch.testing.assert_close(dense(x), x @ dense.weight.T / math.sqrt(300), rtol=1e-4, atol=1e-4)
        assert dense(x).std().item() == pytest.approx(1, abs=0.05)
