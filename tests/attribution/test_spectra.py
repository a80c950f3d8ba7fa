import numpy as np
import pytest

from fingerprintlib.attribution import spectra
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


def test_power_against_the_formula():
    expected = np.array([powers(plane) for plane in LUMA])
    np.testing.assert_allclose(spectra.power(LUMA), expected, rtol=1e-9, atol=1e-9)
    np.testing.assert_allclose(10 ** spectra.log_power(LUMA), expected, rtol=1e-4, atol=1e-4)


def test_white_noise_has_its_variance_at_every_frequency():
    noise = np.random.default_rng(1).normal(0, 5, (400, 8, 8))
    np.testing.assert_allclose(spectra.power(noise).mean(0), 25, rtol=0.3)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_the_logarithm_of_a_pattern_does_not_depend_on_its_scale(dtype):
    """Five grey levels on 0..255 are 0.04 in [-1, 1]; their spectrum rises by 1.72 decades on either scale."""
    frequency = np.hypot(*np.meshgrid(*[np.fft.fftfreq(64)] * 2))
    rising = 10 ** (1.72 * np.clip((frequency - 1 / 64) / (0.35 - 1 / 64), 0, 1) / 2)
    noise = np.random.default_rng(0).normal(size=(200, 64, 64))
    planes = np.fft.ifft2(np.fft.fft2(noise) * rising).real
    planes *= 5 / planes.std()
    grey = spectra.log_power(planes.astype(dtype)).mean(0)
    faint = spectra.log_power((planes / 127.5).astype(dtype)).mean(0)
    np.testing.assert_allclose(grey - faint, 2 * np.log10(127.5), atol=1e-3)
    ring = spectra.radial_mean(faint)
    assert ring[len(ring) // 2] - ring[1] == pytest.approx(1.72, abs=0.12)
    assert np.isfinite(spectra.log_power(np.zeros((8, 8), dtype))).all()


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


def test_the_mean_over_rings_of_integers_is_that_of_the_same_numbers():
    planes = np.random.default_rng(0).integers(0, 50, (2, 7, 9))
    np.testing.assert_allclose(spectra.radial_mean(planes), spectra.radial_mean(planes.astype(float)), rtol=1e-12)
    assert spectra.radial_mean(np.full((8, 8), 3, np.uint8)) == pytest.approx(3)


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


def test_differences_in_decibels_against_welch():
    from scipy.stats import ttest_ind

    rng = np.random.default_rng(0)
    some, others = rng.normal(1, 0.5, (4000, 3)), rng.normal(0.5, 2, (3000, 3))
    difference, low, high = spectra.difference_in_decibels(some, others)
    np.testing.assert_allclose(difference, 10 * (some.mean(0) - others.mean(0)))
    expected = ttest_ind(some, others, equal_var=False).confidence_interval(0.95)
    np.testing.assert_allclose([low, high], [10 * expected.low, 10 * expected.high], rtol=1e-3)
    few = spectra.difference_in_decibels(some[:5], others[:7])
    expected = ttest_ind(some[:5], others[:7], equal_var=False).confidence_interval(0.95)
    np.testing.assert_allclose(few[1:], [10 * expected.low, 10 * expected.high], rtol=1e-9)
    twice = spectra.difference_in_decibels(np.log10([[2.0]] * 5), np.log10([[1.0]] * 5))
    np.testing.assert_allclose(twice, 3.0103, atol=1e-4)
    for one, other in ((some[:1], others), (some, others[:, :2])):
        with pytest.raises(UsageError, match="two spectra or more on each side, alike in shape"):
            spectra.difference_in_decibels(one, other)


def test_photographs_of_one_contributor_do_not_differ_from_those_of_another_by_chance():
    """Real against real: every contributor's spectra have something in common, and nothing tells two sets apart."""
    rng = np.random.default_rng(0)
    plain, clustered = [], []
    for _ in range(60):
        sets = []
        for _ in range(2):
            groups = np.repeat(np.arange(25), rng.geometric(1 / 20, 25))
            sets += [(rng.normal(0, 0.2, (25, 30))[groups] + rng.normal(0, 0.3, (len(groups), 30)), groups)]
        (some, mine), (others, theirs) = sets
        for found, more in ((plain, ()), (clustered, (mine, theirs))):
            _, low, high = spectra.difference_in_decibels(some, others, *more)
            found.append(np.mean((low > 0) | (high < 0)))
    assert np.mean(plain) > 0.3
    assert 0.03 < np.mean(clustered) < 0.07


def test_the_frequencies_of_a_grid_by_counting():
    assert spectra.grid_periods(64) == [2, 4, 8, 16]
    assert spectra.grid_periods(32) == [2, 4, 8]
    found = {period: set(map(tuple, spectra.grid_frequencies(64, period))) for period in (2, 4, 8, 16)}
    assert found[2] == {(0, 0), (0, 32), (32, 0)}
    # A pattern that repeats every so many pixels has power at these and those of the shorter periods, and nowhere else.
    for period in (2, 4, 8):
        tile = np.random.default_rng(0).normal(size=(period, period))
        power = spectra.power(np.tile(tile, (64 // period, 64 // period)))
        expected = set().union(*(found[p] for p in found if p <= period))
        assert set(map(tuple, np.argwhere(power > 1e-2))) - {(32, 32)} == expected
    for side, period in ((64, 32), (64, 3), (64, 1), (32, 16)):
        with pytest.raises(UsageError, match=r"period must be one of \[2, 4, 8"):
            spectra.grid_frequencies(side, period)


@pytest.mark.parametrize("side", [50, 96, 100, 110])
def test_a_grid_that_does_not_fit_into_the_side_is_refused(side):
    inside = []
    for period in spectra.grid_periods(side):
        inside += map(tuple, spectra.grid_frequencies(side, period))
        tile = np.random.default_rng(0).normal(size=(period, period))
        power = spectra.power(np.tile(tile, (side // period, side // period)))
        power[side // 2, side // 2] = 0
        assert sum(power[place] for place in inside) == pytest.approx(power.sum())
    refused = next(2**n for n in range(1, 8) if side % 2**n)
    with pytest.raises(UsageError, match=f"At {side} pixels period must be one of"):
        spectra.grid_frequencies(side, refused)


def test_peaks_are_looked_for_in_squares_alone():
    with pytest.raises(UsageError, match="images must be square, not 32 x 64"):
        spectra.grid_peaks(np.zeros((1, 32, 64, 3), np.uint8), 4)


@pytest.mark.parametrize("period", [2, 4, 8])
def test_a_planted_grid_stands_as_high_as_it_is_strong(period, monkeypatch):
    monkeypatch.setattr(spectra, "CHUNK", 30)
    rng = np.random.default_rng(0)
    noise = 128 + rng.normal(0, 8, (200, 64, 64, 1))
    sure = {2: 1.2, 4: 0.4, 8: 0.2, 16: 0.1}  # three standard errors of noise: 10 lg of chi-squares, 200 (p^2 - p^2/4)
    wave = np.cos(2 * np.pi * np.arange(64) / period)  # along both, so of period `period` at (1/p, 1/p)
    planted = noise + (12 * wave[:, None] * wave)[..., None]
    plain, grid = (some.repeat(3, -1).round().astype(np.uint8) for some in (noise, planted))
    assert all(abs(spectra.grid_peaks(plain, p).mean()) < limit for p, limit in sure.items())
    heights = {p: spectra.grid_peaks(grid, p) for p in sure}
    assert heights[period].shape == (200,)
    # The wave's power, shared by the frequencies (+-1/p, +-1/p), against the noise's; the mean over all of this period.
    waves, frequencies = (1 if period == 2 else 4), len(spectra.grid_frequencies(64, period))
    power = (12 * np.square(wave).mean()) ** 2 * 64 * 64 / waves
    expected = waves / frequencies * 10 * np.log10(power / 8**2)
    # A wave in noise has a mean logarithm near its own; noise alone has one 2.5 dB below that of its mean power, and
    # 5.5 dB where coefficients are real, of which 3 are put back: to the wave's too.
    expected += waves / frequencies * (5.5 if period == 2 else 2.5)
    assert heights[period].mean() == pytest.approx(expected, abs=sure[period])
    assert all(abs(h.mean()) < sure[p] for p, h in heights.items() if p != period)


def test_a_spectrum_that_only_falls_has_no_peaks():
    rng = np.random.default_rng(0)
    frequency = np.hypot(*np.meshgrid(*[np.fft.fftfreq(64)] * 2))
    frequency[0, 0] = np.inf
    fields = np.fft.ifft2(np.fft.fft2(rng.normal(size=(200, 64, 64))) / frequency).real
    fields = 128 + 40 * fields / fields.std((1, 2), keepdims=True)
    images = np.clip(fields, 0, 255).round().astype(np.uint8)[..., None].repeat(3, -1)
    assert abs(spectra.grid_peaks(images, 4).mean()) < 0.3
    assert abs(spectra.grid_peaks(images, 8).mean()) < 0.3
    with pytest.raises(UsageError, match="uint8"):
        spectra.grid_peaks(fields, 4)


def test_statistics_of_blocks_by_hand():
    images = np.random.default_rng(0).integers(0, 256, (2, 20, 24, 3), np.uint8)
    found = spectra.block_statistics(images)
    assert (found.shape, found.dtype) == ((2, 504), np.float32)
    plane, waves = images[1] @ np.array([0.299, 0.587, 0.114]), cosines(8)
    halved = plane.reshape(10, 2, 12, 2).mean((1, 3))
    for some, here in ((plane, found[1, :252]), (halved, found[1, 252:])):
        places = [(y, x) for y in range(0, some.shape[0] - 7, 2) for x in range(0, some.shape[1] - 7, 2)]
        sizes = np.array([np.abs(waves @ some[y : y + 8, x : x + 8] @ waves.T).ravel()[1:] for y, x in places])
        power = (sizes**2).mean(0)
        cut = np.minimum(sizes**2, 50).mean(0)
        expected = [np.log(power), sizes.mean(0) / np.sqrt(power), np.log(cut), np.log(sizes + 0.5).mean(0)]
        assert here == pytest.approx(np.concatenate(expected), abs=2e-3)


@pytest.mark.parametrize("shape", [(1, 14, 16, 3), (1, 17, 16, 3), (1, 16, 19, 3)])
def test_images_without_blocks_at_half_the_size_are_refused(shape):
    with pytest.raises(UsageError, match="even side of 16 pixels at least"):
        spectra.block_statistics(np.zeros(shape, np.uint8))
