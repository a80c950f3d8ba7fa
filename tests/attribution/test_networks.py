import math
from itertools import pairwise

import numpy as np
import pytest
import torch

from fingerprintlib.attribution.bands import BANDS
from fingerprintlib.attribution.networks import ORDERS, AttributionNetwork, factors, patch_sides
from fingerprintlib.errors import UsageError


def reference(network, x):
    """The paper's network spelled out in float64 NumPy, from the same weights."""

    def conv(x, layer):
        w, b = layer.weight.detach().double().numpy(), layer.bias.detach().double().numpy()
        w = w * math.sqrt(2 / (w.shape[1] * 9))
        _, _, h, width = x.shape
        x = np.pad(x, ((0, 0), (0, 0), (1, 1), (1, 1)), mode="reflect")
        y = sum(
            np.einsum("nchw,oc->nohw", x[:, :, i : i + h, j : j + width], w[:, :, i, j])
            for i in range(3)
            for j in range(3)
        )
        return y + b[None, :, None, None]

    def leaky(x):
        return np.where(x > 0, x, 0.2 * x)

    layers = list(network.convolutions)
    while x.shape[2] > 4:
        x = leaky(conv(leaky(conv(x, layers.pop(0))), layers.pop(0)))
        n, c, h, w = x.shape
        x = x.reshape(n, c, h // 2, 2, w // 2, 2).mean((3, 5))
    x = leaky(conv(x, layers.pop(0)))
    assert not layers
    dense, last = network.dense, network.classifier
    w = dense.weight.detach().double().numpy()
    x = leaky(x.reshape(len(x), -1) @ w.T * math.sqrt(2 / w.shape[1]) + dense.bias.detach().double().numpy())
    w = last.weight.detach().double().numpy()
    return x @ w.T / math.sqrt(w.shape[1]) + last.bias.detach().double().numpy()


@pytest.mark.parametrize(("resolution", "width"), [(32, 0.1), (16, 0.05), (4, 0.1)])
def test_forward_is_the_paper_spelled_out(resolution, width):
    network = AttributionNetwork(3, resolution, width, seed=1).double()
    generator = torch.Generator().manual_seed(0)
    for parameter in network.parameters():  # biases too, or a missing one would not show
        parameter.data += 0.3 * torch.randn(parameter.shape, generator=generator, dtype=torch.float64)
    x = torch.rand(2, 3, resolution, resolution, generator=generator, dtype=torch.float64) * 2 - 1
    np.testing.assert_allclose(network(x).detach().numpy(), reference(network, x.numpy()), rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize(
    ("resolution", "widths"),
    [
        (128, [3, 16, 32, 32, 64, 64, 128, 128, 256, 256, 512, 512]),
        (64, [3, 32, 64, 64, 128, 128, 256, 256, 512, 512]),
    ],
)
def test_shapes_are_the_papers(resolution, widths):
    network = AttributionNetwork(5, resolution)
    shapes = {name: tuple(parameter.shape) for name, parameter in network.named_parameters() if "weight" in name}
    expected = {f"convolutions.{i}.weight": (b, a, 3, 3) for i, (a, b) in enumerate(pairwise(widths))}
    assert shapes == {**expected, "dense.weight": (512, 512 * 16), "classifier.weight": (5, 512)}


def test_width_scales_every_channel():
    network = AttributionNetwork(5, 64, 0.25)
    assert [layer.weight.shape[0] for layer in network.convolutions] == [8, 16, 16, 32, 32, 64, 64, 128, 128]
    assert network.model_fingerprints.shape == (5, 128)


def test_initial_scores_keep_the_scale_of_the_input():
    """He's scale and gain 1 at the end: unit-variance noise comes out with a standard deviation of the order of 1."""
    x = torch.randn(64, 3, 32, 32, generator=torch.Generator().manual_seed(0))
    features = AttributionNetwork(2, 32, 0.25).features(x)
    assert 0.1 < float(features.detach().square().mean().sqrt()) < 2


def test_logits_are_the_product_of_the_two_fingerprints():
    network = AttributionNetwork(4, 32, 0.1, seed=3)
    network.classifier.bias.data += torch.arange(4)
    x = torch.rand(5, 3, 32, 32, generator=torch.Generator().manual_seed(2)) * 2 - 1
    product = network.features(x) @ network.model_fingerprints.T + network.classifier.bias
    torch.testing.assert_close(network(x), product)


def test_bfloat16_channels_last_agrees_with_float32():
    network = AttributionNetwork(4, 32, 0.25)
    x = torch.rand(8, 3, 32, 32, generator=torch.Generator().manual_seed(2)) * 2 - 1
    exact = network(x)
    network.to(memory_format=torch.channels_last)
    with torch.autocast("cpu", torch.bfloat16):
        fast = network(x.to(memory_format=torch.channels_last))
    assert fast.dtype == torch.float32
    assert ((fast - exact).norm() / exact.norm()).item() < 0.03


def test_the_seed_alone_decides_the_weights():
    state = torch.random.get_rng_state()
    first, again, other = AttributionNetwork(2, 8), AttributionNetwork(2, 8), AttributionNetwork(2, 8, seed=1)
    assert torch.equal(state, torch.random.get_rng_state())
    assert torch.equal(first.dense.weight, again.dense.weight)
    assert not torch.equal(first.dense.weight, other.dense.weight)


@pytest.mark.parametrize(
    ("arguments", "name"),
    [
        ((1, 32), "class_count"),
        ((3, 48), "resolution"),
        ((3, 2), "resolution"),
        ((3, 32, 0.0), "width"),
        ((3, 32, 0.1, 0, "high"), "band.*high"),
        ((3, 32, 0.1, 0, "low", 16), r"factor must be one of \[1, 2, 4, 8\], not 16"),
        ((3, 32, 0.1, 0, "low", 3), "factor"),
        ((3, 32, 0.1, 0, "low", 1, 64), r"pool_from must be one of \[4, 8, 16, 32\], not 64"),
        ((3, 32, 0.1, 0, "low", 4, 16), r"At 8x8 pool_from must be one of \[4, 8\]"),
        ((3, 32, 0.1, 0, "low", 1, 4, "pool_first"), "order"),
    ],
)
def test_arguments_out_of_range_are_refused(arguments, name):
    with pytest.raises(UsageError, match=name):
        AttributionNetwork(*arguments)


def test_images_of_another_size_are_refused():
    with pytest.raises(UsageError, match=r"\[N, 3, 32, 32\].*\[1, 3, 64, 64\]"):
        AttributionNetwork(2, 32, 0.1)(torch.zeros(1, 3, 64, 64))


def test_patches_are_as_large_as_the_paper_says():
    assert patch_sides(128) == {4: 128, 8: 108, 16: 52, 32: 24, 64: 10, 128: 3}
    assert list(patch_sides(64).values()) == [64, 52, 24, 10, 3]


def side_of_support(gradient):
    """Rows and columns, first to last, in which a gradient ``[1, 3, H, W]`` is not zero."""
    there = gradient[0].abs().amax(0) > 0
    rows, columns = there.any(1).nonzero(), there.any(0).nonzero()
    return int(rows[-1] - rows[0] + 1), int(columns[-1] - columns[0] + 1)


@pytest.mark.parametrize(("resolution", "pool_from"), [(r, p) for r in (32, 64, 128) for p in patch_sides(r)])
def test_a_pooled_feature_sees_its_patch_and_no_more(resolution, pool_from):
    network = AttributionNetwork(3, resolution, 0.1, pool_from=pool_from).double()
    x = torch.rand(1, 3, resolution, resolution, dtype=torch.float64, requires_grad=True)
    scores = network.patch_scores(x)
    assert scores.shape == (1, pool_from, pool_from, 3)
    # In the middle: at the border a patch folds back onto the image.
    gradient = torch.autograd.grad(scores[0, pool_from // 2, pool_from // 2].sum(), x)[0]
    side = patch_sides(resolution)[pool_from]
    middle = (pool_from // 2 + 0.5) * resolution / pool_from
    expected = side if side == resolution else min(side, resolution - middle + side / 2)  # cut at the border
    assert side_of_support(gradient) == (expected, expected)


@pytest.mark.parametrize("pool_from", [8, 32])
def test_as_released_a_feature_sees_the_image(pool_from):
    network = AttributionNetwork(3, 32, 0.1, pool_from=pool_from, order="pool_then_conv").double()
    x = torch.rand(1, 3, 32, 32, dtype=torch.float64, requires_grad=True)
    one = network.feature_maps(x)[0, :, 1, 1]
    gradient = torch.autograd.grad(one.sum(), x)[0]
    assert min(side_of_support(gradient)) >= 24  # three of four of the 8x8 fields of a 4x4 thumbnail
    with pytest.raises(UsageError, match="order 'pool_then_conv'"):
        network.patch_scores(x)


@pytest.mark.parametrize("order", ORDERS)
def test_pooling_from_the_last_level_is_the_whole_network(order):
    x = torch.rand(4, 3, 32, 32) * 2 - 1
    torch.testing.assert_close(AttributionNetwork(3, 32, 0.1, order=order)(x), AttributionNetwork(3, 32, 0.1)(x))


def test_an_image_that_is_alike_everywhere_scores_what_its_patches_do():
    network = AttributionNetwork(3, 32, 0.1, pool_from=16)
    x = torch.rand(2, 3, 1, 1).expand(2, 3, 32, 32) * 2 - 1
    scores = network.patch_scores(x)
    torch.testing.assert_close(scores, network(x)[:, None, None].expand_as(scores))


@pytest.mark.parametrize("band", BANDS)
def test_a_band_network_is_that_of_the_smaller_side_on_the_band(band):
    x = torch.rand(4, 3, 64, 64, generator=torch.Generator().manual_seed(0)) * 2 - 1
    for factor in factors(64):
        small = AttributionNetwork(3, 64 // factor, 0.1, seed=2)
        found = AttributionNetwork(3, 64, 0.1, seed=2, band=band, factor=factor)(x)
        torch.testing.assert_close(found, small(BANDS[band](x, factor)))


def test_a_residual_network_does_not_see_what_lies_below():
    """Adding a constant changes the low-pass network's answer and not the residual network's."""
    x = torch.rand(4, 3, 64, 64, generator=torch.Generator().manual_seed(0))
    low, high = (AttributionNetwork(3, 64, 0.1, band=band, factor=2).double() for band in ("low", "residual"))
    torch.testing.assert_close(high(x.double()), high(x.double() - 0.5))
    assert not torch.allclose(low(x.double()), low(x.double() - 0.5), atol=1e-3)


def test_emphasis_computes_what_other_weights_compute_without_it():
    plain, loud = AttributionNetwork(3, 16, 0.1, seed=1), AttributionNetwork(3, 16, 0.1, seed=1, emphasis=5)
    x = torch.rand(2, 3, 16, 16) * 2 - 1
    assert not torch.allclose(plain(x), loud(x))
    for layer in plain.convolutions[:2]:
        mean = layer.weight.data.mean((2, 3), keepdim=True)
        layer.weight.data = mean + 6 * (layer.weight.data - mean)
    assert torch.allclose(plain(x), loud(x), rtol=1e-4, atol=1e-5)
    assert [layer.emphasis for layer in loud.convolutions] == [5, 5, 0, 0, 0]


def test_emphasis_is_not_negative():
    with pytest.raises(UsageError, match="emphasis must be 0 or more, not -1"):
        AttributionNetwork(3, 16, emphasis=-1)
