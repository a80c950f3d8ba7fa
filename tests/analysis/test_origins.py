from itertools import permutations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fingerprintlib.analysis.origins import (
    ENLARGERS,
    correlations,
    enlarged,
    foretold,
    halved,
    kernel_of,
    least_found,
    matched_by_chance,
    mean_power,
    transfer,
)
from fingerprintlib.attribution.spectra import power
from fingerprintlib.data.images import luma
from fingerprintlib.errors import UsageError


def smooth(count=20, side=32):
    """Images with more of what is coarse, as photographs have."""
    rng = np.random.default_rng(0)
    fine = rng.normal(size=(count, side, side, 3))
    rise = np.fft.fftfreq(side)
    falling = 1 / (0.05 + np.hypot(rise[:, None], rise))[..., None]
    found = np.fft.ifft2(np.fft.fft2(fine, axes=(1, 2)) * falling, axes=(1, 2)).real
    return np.clip(128 + 12 * found, 0, 255).round().astype(np.uint8)


@pytest.mark.parametrize("enlarger", ENLARGERS)
def test_a_kernel_keeps_the_mean_and_doubles_the_side(enlarger):
    kernel = kernel_of(enlarger, seed=3)
    assert kernel.sum() == pytest.approx(4)
    assert transfer(kernel, 32)[16, 16] == pytest.approx(1)
    even = np.full((2, 8, 8, 3), 100, np.uint8)
    found = enlarged(even, kernel).astype(int)
    assert found.shape == (2, 16, 16, 3)
    assert abs(found.mean() - 100) < 0.6


def test_nearest_and_bilinear_by_hand():
    row = np.arange(0, 80, 10, dtype=np.uint8)
    images = np.broadcast_to(row[None, None, :, None], (1, 8, 8, 3))
    assert np.array_equal(enlarged(images, kernel_of("nearest"))[0, 0, :, 0], np.repeat(row, 2))
    found = enlarged(images, kernel_of("bilinear"))[0, 4, :, 0].astype(int)
    assert found[2:6].tolist() == [
        8,
        12,
        18,
        22,
    ]  # a quarter and three quarters of the way, 7.5 and 17.5 rounded to even


def test_the_transfer_functions_are_those_of_the_book():
    frequency = np.arange(-8, 8) / 16
    np.testing.assert_allclose(transfer(kernel_of("nearest"), 16)[8], np.cos(np.pi * frequency) ** 2, atol=1e-12)
    np.testing.assert_allclose(transfer(kernel_of("bilinear"), 16)[8], np.cos(np.pi * frequency) ** 6, atol=1e-12)
    assert transfer(kernel_of("transposed", 1), 16)[8, 0] > 1e-5  # a checkerboard


@pytest.mark.parametrize("enlarger", ENLARGERS)
def test_the_spectrum_is_the_one_foretold(enlarger):
    kernel, small = kernel_of(enlarger, seed=1), smooth()
    rounding = (0.299**2 + 0.587**2 + 0.114**2) / 12
    measured, expected = mean_power(enlarged(small, kernel)), foretold(mean_power(small), kernel) + rounding
    assert np.median(np.abs(10 * np.log10(measured / expected))) < 0.6


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 1000))
def test_the_copies_are_exact_where_nothing_is_cut_off(seed):
    """Of a periodic plane in floats: zeros, then a periodic blur."""
    rng = np.random.default_rng(seed)
    plane, kernel = rng.normal(size=(8, 8)), rng.normal(size=(4, 4))
    wide = np.zeros((16, 16))
    wide[::2, ::2] = plane
    blurred = np.fft.ifft2(np.fft.fft2(wide) * np.fft.fft2(kernel, (16, 16))).real
    scaled = foretold(power(plane), kernel) * kernel.sum() ** 2 / 16
    np.testing.assert_allclose(power(blurred), scaled, rtol=1e-9, atol=1e-12)


def test_halving_takes_the_mean_of_four():
    image = np.arange(4 * 4 * 3, dtype=np.uint8).reshape(1, 4, 4, 3)
    expected = image.astype(float).reshape(2, 2, 2, 2, 3).mean((1, 3)).round()
    assert np.array_equal(halved(image)[0], expected)


def test_the_window_leaves_the_power_of_noise_as_it_is():
    noise = np.random.default_rng(0).integers(0, 256, (50, 32, 32, 3), np.uint8)
    away = np.hypot(*np.meshgrid(np.arange(-16, 16), np.arange(-16, 16))) > 3
    whole = power(luma(noise, np.float64)).mean(0)
    assert mean_power(noise)[away].mean() == pytest.approx(whole[away].mean(), rel=0.05)


def test_correlations_are_numpys_once_the_mean_pattern_is_taken_off():
    rng = np.random.default_rng(0)
    some, others = rng.normal(size=(2, 4, 6, 6, 3)).astype(np.float32)
    common = 50 * rng.normal(size=(6, 6, 3))
    flat = [(these - these.mean(0)).reshape(4, -1).astype(np.float64) for these in (some, others)]
    # The cosine of two centred patterns; a pattern's own mean over pixels is part of it.
    expected = [[a @ b / np.sqrt((a @ a) * (b @ b)) for b in flat[1]] for a in flat[0]]
    np.testing.assert_allclose(correlations(some + common, others - common), expected, atol=1e-5)
    assert np.allclose(np.diag(correlations(some, 3 * some)), 1)


def test_a_pairing_by_chance():
    alike = np.random.default_rng(1).normal(size=(4, 4))
    of_all = [alike[range(4), order].mean() for order in permutations(range(4))]
    assert matched_by_chance(alike) == pytest.approx(np.mean(np.array(of_all) >= of_all[0] - 1e-12))
    assert matched_by_chance(np.eye(5)) == pytest.approx(1 / 120)
    assert matched_by_chance(np.zeros((3, 3))) == 1
    assert matched_by_chance(np.eye(9), seed=0) <= 0.001  # of more pairings than are tried


def test_the_least_trace_found_is_one_that_planted_patterns_show():
    """Patterns of independent pixels: what is foretold from likenesses alone holds for patterns made so."""
    rng = np.random.default_rng(0)
    grown, before, again = rng.normal(size=(3, 5, 30, 30))
    again = before + 0.1 * again  # the same beginnings, measured once more
    least = least_found(correlations(grown, before), correlations(again, before), plantings=60)
    assert 0.02 < least < 0.15  # 900 pixels: the spread of one correlation is 1/30
    shares = []
    for strength in (least / 3, 2 * least):
        found = 0
        for _ in range(40):
            order = rng.permutation(5)
            planted = np.sqrt(1 - strength**2) * grown + strength * again[order]
            found += matched_by_chance(correlations(planted, before)[:, order]) <= 0.05
        shares.append(found / 40)
    assert shares[0] < 0.6 < 0.9 < shares[1]


def test_of_so_few_no_trace_could_be_found():
    assert least_found(np.zeros((3, 3)), np.eye(3), plantings=5) == 1  # one of six pairings is 17 %


def test_what_cannot_be_is_refused():
    with pytest.raises(UsageError, match="'bicubic'"):
        kernel_of("bicubic")
    with pytest.raises(UsageError, match="even side, not 5"):
        halved(np.zeros((1, 5, 5, 3), np.uint8))
    with pytest.raises(UsageError, match="two patterns or more"):
        correlations(np.ones((1, 4)), np.ones((1, 4)))
    with pytest.raises(UsageError, match="alike in shape"):
        correlations(np.ones((2, 4)), np.ones((2, 5)))
