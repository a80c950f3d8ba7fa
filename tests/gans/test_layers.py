"""The layers against explicit loops and NumPy."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from fingerprintlib.gans import build, layers
from fingerprintlib.gans.progan import Discriminator, Generator
from fingerprintlib.gans.sngan import DownBlock


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


def enlarged_then_convolved(x, weight, bias):
    return F.conv2d(F.interpolate(x, scale_factor=2), weight, bias, padding=1)


def convolved_then_averaged(x, weight, bias):
    return F.avg_pool2d(F.conv2d(x, weight, bias, padding=1), 2)


FUSED = [
    (layers.double_and_convolve, enlarged_then_convolved, 1),
    (layers.convolve_and_halve, convolved_then_averaged, 2),
]


@pytest.mark.parametrize(("fused", "plain", "least"), FUSED)
@settings(max_examples=40, deadline=None)
@given(
    shape=st.tuples(*[st.integers(1, 4)] * 3, *[st.integers(0, 5)] * 2), biased=st.booleans(), seed=st.integers(0, 99)
)
def test_a_fused_convolution_is_the_two_steps_and_so_are_its_gradients(fused, plain, least, shape, biased, seed):
    n, inputs, outputs, height, width = shape
    rng = torch.Generator().manual_seed(seed)
    sizes = [(n, inputs, least + height, least + width), (outputs, inputs, 3, 3), (outputs,)]
    given = [torch.randn(size, generator=rng, dtype=torch.float64).requires_grad_() for size in sizes]
    arguments = given if biased else [*given[:2], None]
    got, want = fused(*arguments), plain(*arguments)
    torch.testing.assert_close(got, want, rtol=1e-12, atol=1e-12)  # to the border
    slope = torch.randn(want.shape, generator=rng, dtype=torch.float64)
    inner = given if biased else given[:2]
    ours, theirs = (torch.autograd.grad((y * slope).sum(), inner, create_graph=True) for y in (got, want))
    torch.testing.assert_close(ours, theirs, rtol=1e-12, atol=1e-12)
    # The gradient penalty differentiates twice.
    ours, theirs = (torch.autograd.grad(slopes[0].square().sum(), given[1])[0] for slopes in (ours, theirs))
    torch.testing.assert_close(ours, theirs, rtol=1e-11, atol=1e-11)


@pytest.mark.parametrize("fused", [layers.double_and_convolve, layers.convolve_and_halve])
def test_fused_convolutions_by_explicit_loops(rng, fused):
    x = torch.randn(2, 2, 4, 6, generator=rng, dtype=torch.float64)
    weight = torch.randn(3, 2, 3, 3, generator=rng, dtype=torch.float64)
    bias = torch.randn(3, generator=rng, dtype=torch.float64)
    image = x.numpy().repeat(2, 2).repeat(2, 3) if fused is layers.double_and_convolve else x.numpy()
    framed = np.pad(image, ((0, 0), (0, 0), (1, 1), (1, 1)))
    want = np.empty((2, 3, *image.shape[2:]))
    for n, o, h, w in np.ndindex(want.shape):
        want[n, o, h, w] = (framed[n, :, h : h + 3, w : w + 3] * weight[o].numpy()).sum() + bias[o]
    if fused is layers.convolve_and_halve:
        want = want.reshape(2, 3, 2, 2, 3, 2).mean(axis=(3, 5))
    np.testing.assert_allclose(fused(x, weight, bias), want, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("training", [True, False])
def test_up_block_is_its_plain_formulation(rng, training):
    block = layers.UpBlock(4, 3).double().train(training)
    with torch.no_grad():
        for tensor in block.state_dict().values():
            if tensor.is_floating_point():
                tensor.copy_(torch.rand(tensor.shape, generator=rng, dtype=torch.float64) - 0.3 * (tensor.ndim > 1))
    x = torch.randn(2, 4, 8, 8, generator=rng, dtype=torch.float64)

    def normalized(y, norm):
        mean, var = norm.running_mean.clone(), norm.running_var.clone()
        if training:
            mean, var = y.mean(dim=(0, 2, 3)), y.var(dim=(0, 2, 3), correction=0)
        mean, var, gain, bias = (v[:, None, None] for v in (mean, var, norm.weight, norm.bias))
        return F.relu((y - mean) / (var + 1e-5).sqrt() * gain + bias)

    with torch.no_grad():
        main = block.conv1(F.interpolate(normalized(x, block.norm1), scale_factor=2))
        want = block.conv2(normalized(main, block.norm2)) + block.shortcut(F.interpolate(x, scale_factor=2))
        torch.testing.assert_close(block(x), want, rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize(("first", "down"), [(True, True), (False, True), (False, False)])
def test_down_block_is_its_plain_formulation(rng, first, down):
    block = DownBlock(4, 5, first, down).double().eval()
    for conv in (block.conv1, block.conv2, block.shortcut):
        conv.bias.data.normal_(generator=rng)
    x = torch.randn(2, 4, 8, 6, generator=rng, dtype=torch.float64)
    with torch.no_grad():
        y = block.conv2(F.relu(block.conv1(x if first else F.relu(x)))) + block.shortcut(x)
        torch.testing.assert_close(block(x), F.avg_pool2d(y, 2) if down else y, rtol=1e-10, atol=1e-10)


def test_a_fused_convolution_iterates_its_spectral_norm_once_a_pass():
    block = DownBlock(4, 5).train()
    spectral = block.conv2.parametrizations.weight
    matrix, u = spectral.original.detach().flatten(1), spectral[0].u.clone()
    block(torch.zeros(1, 4, 4, 4))
    v = F.normalize(u @ matrix, dim=0)
    torch.testing.assert_close(spectral[0].u, F.normalize(matrix @ v, dim=0))


def equalized(layer, gain=2**0.5):
    """The weights of an equalized layer as He's constant makes them."""
    return layer.weight * (gain / np.sqrt(layer.weight[0].numel())), layer.bias


def with_biases(network, rng):
    for name, parameter in network.named_parameters():
        if name.endswith("bias"):
            parameter.data.normal_(generator=rng)
    return network.double()


@pytest.mark.parametrize(("level", "alpha"), [(0, 1.0), (1, 0.3), (2, 1.0), (3, 0.6), (3, 1.0)])
def test_progans_critic_is_its_plain_formulation(rng, level, alpha):
    critic: Discriminator = with_biases(build("progan", 32, 12, seed=0).discriminator, rng)
    images = torch.randn(4, 3, 4 * 2**level, 4 * 2**level, generator=rng, dtype=torch.float64)

    def conv(x, layer, averaged=False):
        x = F.conv2d(x, *equalized(layer), padding=layer.kernel_size[0] // 2)
        return F.leaky_relu(F.avg_pool2d(x, 2) if averaged else x, 0.2)

    with torch.no_grad():
        x = conv(images, critic.from_rgb[level])
        for index in range(level, 0, -1):
            first, second = critic.blocks[index - 1]
            x = conv(conv(x, first), second, averaged=True)
            if index == level:
                x = alpha * x + (1 - alpha) * conv(F.avg_pool2d(images, 2), critic.from_rgb[level - 1])
        spread = (x.var(dim=0, correction=0) + 1e-8).sqrt().mean()
        x = conv(torch.cat([x, spread.expand(4, 1, 4, 4)], 1), critic.last)
        x = F.leaky_relu(F.linear(x.flatten(1), *equalized(critic.dense)), 0.2)
        want = F.linear(x, *equalized(critic.score, 1.0))
        torch.testing.assert_close(critic(images, level, alpha), want, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize(("level", "alpha"), [(0, 1.0), (1, 0.3), (3, 0.6), (3, 1.0)])
def test_progans_generator_is_its_plain_formulation(rng, level, alpha):
    generator: Generator = with_biases(build("progan", 32, 12, seed=0).generator, rng)
    z = torch.randn(3, 512, generator=rng, dtype=torch.float64)

    def normalized(x):
        return x / (x.square().mean(dim=1, keepdim=True) + 1e-8).sqrt()

    def conv(x, layer):
        return normalized(F.leaky_relu(F.conv2d(x, *equalized(layer), padding=1), 0.2))

    def rgb(x, at):
        return F.conv2d(x, *equalized(generator.to_rgb[at], 1.0))

    with torch.no_grad():
        x = F.linear(normalized(z), *equalized(generator.dense, 2**0.5 / 4))
        x = x.reshape(3, 4, 4, -1).permute(0, 3, 1, 2)
        x = below = conv(normalized(F.leaky_relu(x, 0.2)), generator.first)
        for first, second in list(generator.blocks)[:level]:
            below = F.interpolate(x, scale_factor=2)
            x = conv(conv(below, first), second)
        want = rgb(x, level)
        if alpha < 1:
            want = alpha * want + (1 - alpha) * rgb(below, level - 1)
        torch.testing.assert_close(generator(z, level, alpha), want, rtol=1e-9, atol=1e-9)


def test_channels():
    assert layers.upsampling_channels(64, 64) == [1024, 512, 256, 128, 64]
    assert layers.upsampling_channels(128, 64) == [1024, 1024, 512, 256, 128, 64]
    assert layers.upsampling_channels(64, 16) == [64, 64, 64, 32, 16]
    assert layers.upsampling_channels(32, 4) == [4, 4, 4, 4]
