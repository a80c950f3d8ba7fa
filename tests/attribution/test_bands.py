import numpy as np
import pytest
import torch
from scipy.ndimage import convolve

from fingerprintlib.attribution.bands import BANDS, double, halve, low_pass, residual
from fingerprintlib.attribution.networks import factors

KERNEL = np.outer([1, 4, 6, 4, 1], [1, 4, 6, 4, 1]) / 256


@pytest.fixture
def images():
    return torch.rand(2, 3, 64, 64, generator=torch.Generator().manual_seed(0)) * 2 - 1


def test_halving_is_scipys_convolution_at_every_second_pixel(images):
    # SciPy calls "mirror" what PyTorch calls "reflect": the border pixel is not repeated.
    expected = [
        [convolve(plane, KERNEL, mode="mirror")[::2, ::2] for plane in image] for image in images.double().numpy()
    ]
    np.testing.assert_allclose(halve(images.double()).numpy(), expected, atol=1e-12)


def test_doubling_is_scipys_convolution_of_zeros_put_between(images):
    small = low_pass(images.double(), 4)
    wide = np.zeros((2, 3, 32, 32))
    wide[..., ::2, ::2] = small.numpy()
    expected = [[convolve(plane, 4 * KERNEL, mode="mirror") for plane in image] for image in wide]
    inside = (
        slice(None),
        slice(None),
        slice(2, -2),
        slice(2, -2),
    )  # at the border the small image is mirrored, not the wide
    np.testing.assert_allclose(double(small).numpy()[inside], np.array(expected)[inside], atol=1e-12)


@pytest.mark.parametrize("change", [lambda x: x.flip(-1), lambda x: x.transpose(-1, -2)])
def test_halving_then_doubling_favours_no_side(change, images):
    """Of odd sides: at even ones the mirrored image keeps other pixels."""
    odd = images[..., :33, :33]
    there = double(halve(odd))[..., :33, :33]
    torch.testing.assert_close(double(halve(change(odd)))[..., :33, :33], change(there), atol=1e-5, rtol=0)


@pytest.mark.parametrize("size", [2, 5])
def test_a_constant_image_stays_so(size):
    torch.testing.assert_close(double(torch.full((1, 3, size, size), 0.7)), torch.full((1, 3, 2 * size, 2 * size), 0.7))
    torch.testing.assert_close(
        residual(torch.full((1, 3, 64, 64), 0.7), 4), torch.zeros(1, 3, 16, 16), atol=1e-6, rtol=0
    )


def test_bands_and_the_coarsest_image_give_the_image_back(images):
    rebuilt = low_pass(images, 2 * factors(64)[-1])
    for factor in reversed(factors(64)):
        rebuilt = residual(images, factor) + double(rebuilt)
    torch.testing.assert_close(rebuilt, images, atol=1e-5, rtol=0)


def test_a_wave_is_in_its_octave():
    """The share of a wave's power in each residual band peaks where it belongs: one octave a factor."""
    at = torch.arange(64.0)
    for factor, period in {1: 4, 2: 8, 4: 16}.items():
        wave = torch.sin(2 * torch.pi * at / period).expand(1, 1, 64, 64)
        powers = {f: float(residual(wave, f).square().mean()) for f in factors(64)}
        assert max(powers, key=powers.get) == factor, (period, powers)


@pytest.mark.parametrize("band", BANDS)
@pytest.mark.parametrize("factor", factors(64))
def test_a_band_is_as_small_as_its_factor_says(band, factor, images):
    assert BANDS[band](images, factor).shape == (2, 3, 64 // factor, 64 // factor)
