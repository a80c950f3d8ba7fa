"""The layers against explicit loops and NumPy."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import nn

from fingerprintlib.gans import layers


@pytest.fixture
def rng():
    return torch.Generator().manual_seed(0)


def test_pixel_norm(rng):
    x = torch.randn(2, 5, 3, 4, generator=rng, dtype=torch.float64) * 7
    got = layers.pixel_norm(x).numpy()
    for n, h, w in np.ndindex(2, 3, 4):
        vector = x[n, :, h, w].numpy()
        np.testing.assert_allclose(got[n, :, h, w], vector / np.sqrt((vector**2).mean()), rtol=1e-8)


@pytest.mark.parametrize(("n", "group"), [(8, 4), (6, 2), (5, 1), (4, 4)])
def test_minibatch_stddev(rng, n, group):
    x = torch.randn(n, 3, 2, 2, generator=rng, dtype=torch.float64)
    got = layers.minibatch_stddev(x, 4).numpy()
    np.testing.assert_array_equal(got[:, :3], x)
    for first in range(0, n, group):
        members = x[first : first + group].numpy()
        deviations = [np.sqrt(members[:, c, h, w].var() + 1e-8) for c, h, w in np.ndindex(3, 2, 2)]
        np.testing.assert_allclose(got[first : first + group, 3], np.mean(deviations), rtol=1e-10)


def test_minibatch_stddev_of_reals_then_fakes_is_that_of_each(rng):
    x, y = torch.randn(2, 8, 3, 4, 4, generator=rng)
    both = layers.minibatch_stddev(torch.cat([x, y]))
    torch.testing.assert_close(both, torch.cat([layers.minibatch_stddev(x), layers.minibatch_stddev(y)]))


def test_spectral_norm_agrees_with_the_singular_value_decomposition(rng):
    layer = layers.spectral_norm(nn.Conv2d(6, 9, 3))
    original = layer.parametrizations.weight.original
    with torch.no_grad():
        original.copy_(torch.randn(original.shape, generator=rng) * 5)
    for _ in range(200):
        weight = layer.weight
    largest = np.linalg.svd(original.detach().numpy().reshape(9, -1), compute_uv=False)[0]
    torch.testing.assert_close(weight, original / largest, rtol=1e-4, atol=1e-5)
    assert np.linalg.svd(weight.detach().numpy().reshape(9, -1), compute_uv=False)[0] == pytest.approx(1, abs=1e-4)


def test_spectral_norm_iterates_in_training_only_and_keeps_float32_under_autocast():
    layer = layers.spectral_norm(nn.Linear(6, 9))
    vector = layer.parametrizations.weight[0]
    before = vector.u.clone()
    layer.eval()
    with torch.autocast("cpu", torch.bfloat16):
        assert layer.weight.dtype == torch.float32
    torch.testing.assert_close(vector.u, before, rtol=0, atol=0)
    layer.train()
    layer(torch.zeros(1, 6))
    assert not torch.equal(vector.u, before)


def test_up_block_shortcut_after_upsampling_is_the_same_as_before(rng):
    block = layers.UpBlock(4, 3).eval()
    x = torch.randn(2, 4, 8, 8, generator=rng)
    with torch.no_grad():
        main = block.conv2(F.relu(block.norm2(block.conv1(F.interpolate(F.relu(block.norm1(x)), scale_factor=2)))))
        torch.testing.assert_close(block(x), main + block.shortcut(F.interpolate(x, scale_factor=2)))


def test_channels():
    assert layers.upsampling_channels(64, 64) == [1024, 512, 256, 128, 64]
    assert layers.upsampling_channels(128, 64) == [1024, 1024, 512, 256, 128, 64]
    assert layers.upsampling_channels(64, 16) == [64, 64, 64, 32, 16]
    assert layers.upsampling_channels(32, 4) == [4, 4, 4, 4]
