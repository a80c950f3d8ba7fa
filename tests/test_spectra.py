import numpy as np
import pytest

from fingerprintlib import spectra
from fingerprintlib.errors import UsageError

IMAGES = np.random.default_rng(0).integers(0, 256, (5, 12, 10, 3), dtype=np.uint8)
LUMA = IMAGES @ np.array([0.299, 0.587, 0.114])


def cosines(size):
    """The orthonormal cosine transform (type II) by its formula, [frequency, place]."""
    frequency, place = np.mgrid[:size, :size]
    matrix = np.cos(np.pi * (place + 0.5) * frequency / size) * np.sqrt(2 / size)
    matrix[0] /= np.sqrt(2)
    return matrix


def powers(plane):
    """|DFT|**2 / size by its formula, frequency 0 in the middle."""
    height, width = plane.shape
    found = np.empty(plane.shape)
    for row, column in np.ndindex(plane.shape):
        down, across = (row - height // 2) / height, (column - width // 2) / width
        wave = np.exp(-2j * np.pi * (down * np.arange(height)[:, None] + across * np.arange(width)))
        found[row, column] = abs((plane * wave).sum()) ** 2 / plane.size
    return found


def test_log_dct_against_the_formula(monkeypatch):
    monkeypatch.setattr(spectra, "CHUNK", 2)
    found = spectra.log_dct(IMAGES)
    assert found.dtype == np.float32
    expected = cosines(12) @ LUMA @ cosines(10).T
    np.testing.assert_allclose(np.exp(found), np.abs(expected) + 1e-3, rtol=1e-3, atol=2e-4)


def test_log_power_against_the_formula():
    found = spectra.log_power(LUMA)
    np.testing.assert_allclose(10**found, [powers(plane) + 1e-3 for plane in LUMA], rtol=1e-6)


def test_white_noise_has_its_variance_at_every_frequency():
    noise = np.random.default_rng(1).normal(0, 5, (400, 8, 8))
    np.testing.assert_allclose((10 ** spectra.log_power(noise)).mean(0), 25, rtol=0.3)


def test_rings_hold_all_frequencies_at_one_distance():
    ring = spectra.rings(64, 64)
    assert ring[32, 32] == 0
    assert ring[32, 0] == ring[0, 32] == 32
    assert ring[0, 0] == ring.max() == 45
    assert (ring == np.rint(np.hypot(*(np.mgrid[:64, :64] - 32)))).all()
    assert spectra.rings(16, 64)[8, 0] == spectra.rings(16, 64)[0, 32] == 32  # as fine as the finest, down or across


def test_radial_spectra_are_means_over_rings(monkeypatch):
    monkeypatch.setattr(spectra, "CHUNK", 2)
    found = spectra.radial_spectra(IMAGES)
    ring, logs = spectra.rings(12, 10), np.log10([powers(plane) + 1e-3 for plane in LUMA])
    assert found.shape == (5, ring.max() + 1)
    expected = [[log[ring == r].mean() if (ring == r).any() else 0 for r in range(ring.max() + 1)] for log in logs]
    np.testing.assert_allclose(found, expected, atol=1e-4)
    np.testing.assert_allclose(spectra.mean_log_power(IMAGES), logs.mean(0), atol=1e-4)


def test_a_wave_shows_where_its_frequency_is():
    wave = 100 * np.cos(2 * np.pi * 8 * np.arange(64) / 64)
    images = np.broadcast_to(128 + wave[:, None, None], (2, 64, 64, 3)).round().astype(np.uint8)
    spectrum = spectra.mean_log_power(images)
    spectrum[32, 32] = -9  # the mean brightness
    assert set(map(tuple, np.argwhere(spectrum > spectrum.max() - 0.1))) == {(24, 32), (40, 32)}
    assert spectra.radial_spectra(images)[0, 1:].argmax() + 1 == 8


@pytest.mark.parametrize("function", [spectra.log_dct, spectra.radial_spectra, spectra.mean_log_power])
def test_other_than_images_are_refused(function):
    with pytest.raises(UsageError, match=r"images must be uint8 .* not float64"):
        function(IMAGES / 255)
    constant = function(np.full((2, 8, 8, 3), 9, np.uint8))
    assert np.isfinite(constant).all()


@pytest.mark.parametrize("period", [2, 4, 8])
def test_a_grid_stands_out_at_its_own_period_only(period):
    rng = np.random.default_rng(0)
    tile = rng.normal(size=(period, period))
    noise, other = rng.normal(size=(2, 256, 64, 64))
    grid = np.tile(tile - tile.mean(), (64 // period, 64 // period))
    found, plain, reference = (spectra.log_power(some).mean(0) for some in (noise + grid, noise, other))
    heights = {p: spectra.peak_height(found - reference, p) for p in (2, 4, 8, 16)}
    assert heights[period] > 10
    for p in heights:
        if p > period:
            assert abs(heights[p]) < 1
        assert abs(spectra.peak_height(plain - reference, p)) < 1


def test_bands_as_images():
    images = np.random.default_rng(0).integers(0, 256, (3, 32, 32, 3)).astype(np.uint8)
    assert np.array_equal(spectra.band_images(images, "low", 1), images)
    assert spectra.band_images(images, "low", 4).shape == (3, 8, 8, 3)
    flat = np.full((1, 32, 32, 3), 90, np.uint8)
    assert (spectra.band_images(flat, "low", 8) == 90).all()
    assert np.isin(spectra.band_images(flat, "residual", 2), (127, 128)).all()
    once, twice = (spectra.band_images(images // 8, "residual", 1, gain).astype(float) - 127.5 for gain in (1, 2))
    assert np.abs(twice - 2 * once).max() <= 1.5
