import warnings

import numpy as np
import pytest
import pywt
from scipy.ndimage import uniform_filter

from fingerprintlib.attribution import prnu
from fingerprintlib.errors import UsageError


def photographs(count, side, seed=0, width=None):
    """Smooth shapes with noise on them, so that the filter has both to do."""
    rng = np.random.default_rng(seed)
    smooth = rng.normal(size=(count, side, width or side, 3)).cumsum(1).cumsum(2)
    smooth = 128 + 100 * smooth / np.abs(smooth).max((1, 2, 3), keepdims=True)
    return np.clip(smooth + rng.normal(0, 4, smooth.shape), 0, 255).astype(np.uint8)


def noise_part(coefficients, variance, border="reflect"):
    """The adaptive Wiener filter as the literature writes it, in float64."""
    means = [uniform_filter(coefficients**2, size, mode=border) for size in (3, 5, 7, 9)]
    signal = np.maximum(np.min(means, axis=0) - variance, 0)
    return coefficients * variance / (signal + variance)


def reference(images):
    """One channel of one image at a time: the image less its denoised self."""
    found = np.empty(images.shape)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # four levels are many for so few pixels, and meant
        for index, image in enumerate(images):
            for channel in range(3):
                plane = image[..., channel].astype(np.float64)
                approximation, *details = pywt.wavedec2(plane, "db4", mode="symmetric", level=4)
                clean = [tuple(band - noise_part(band, 25.0) for band in level) for level in details]
                denoised = pywt.waverec2([approximation, *clean], "db4", mode="symmetric")
                found[index, ..., channel] = plane - denoised[: plane.shape[0], : plane.shape[1]]
    return found


@pytest.mark.parametrize("shape", [(64, 64), (32, 32), (33, 47), (9, 64), (2, 5)])
def test_residuals_against_one_at_a_time_in_float64(shape):
    images = photographs(3, shape[0], width=shape[1])
    images[1] = np.random.default_rng(1).integers(0, 256, images[1].shape)
    images[2] = 255 * (images[2] > 128)
    found = prnu.residuals(images)
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, reference(images), rtol=0, atol=1e-4)


def test_grey_images_and_chunks_give_the_same(monkeypatch):
    images = photographs(7, 16)
    images[:3] = images[:3, ..., :1]  # a chunk of grey ones, and a mixed one
    whole = prnu.residuals(images)
    monkeypatch.setattr(prnu, "CHUNK", 2)
    np.testing.assert_allclose(prnu.residuals(images), whole, rtol=0, atol=1e-5)
    np.testing.assert_allclose(whole, reference(images), rtol=0, atol=1e-4)


def test_patterns_are_the_mean_residuals_of_mapped_images(tmp_path):
    np.save(tmp_path / "images.npy", photographs(70, 16))
    images = np.load(tmp_path / "images.npy", mmap_mode="r")
    labels = np.random.default_rng(0).permutation(np.arange(70) % 3)
    found = prnu.mean_residuals(images, labels, 3)
    expected = reference(images)
    np.testing.assert_allclose(found, [expected[labels == k].mean(0) for k in range(3)], rtol=0, atol=1e-5)


def test_correlations_against_numpy():
    rng = np.random.default_rng(0)
    some, patterns = rng.normal(2, 3, (5, 8, 6, 3)), rng.normal(-1, 1, (2, 8, 6, 3))
    expected = np.corrcoef(np.concatenate([some, patterns]).reshape(7, -1))[:5, 5:]
    np.testing.assert_allclose(prnu.correlations(some, patterns), expected, atol=1e-6)
    np.testing.assert_allclose(prnu.correlations(-3 * some + 1, some).diagonal(), -1, atol=1e-6)


def test_a_constant_image_correlates_with_nothing():
    images = np.stack([np.full((64, 64, 3), value, np.uint8) for value in (0, 37, 255)])
    faint = prnu.residuals(images)
    assert np.abs(faint).max() < 1e-4
    patterns = np.random.default_rng(0).normal(size=(2, 64, 64, 3))
    assert (prnu.correlations(faint, patterns) == 0).all()
    assert (prnu.correlations(patterns, faint) == 0).all()


def test_zero_mean_leaves_no_row_or_column_of_any_phase():
    some = np.random.default_rng(0).normal(3, 1, (2, 10, 13, 3)).astype(np.float32)
    some[:, ::2] += np.linspace(0, 5, 13)[:, None]  # a linear pattern
    found = prnu.camera_postprocessing(some, wiener=False)
    for row in (0, 1):
        for column in (0, 1):
            phase, before = found[:, row::2, column::2], some[:, row::2, column::2]
            np.testing.assert_allclose(phase.mean(1), 0, atol=1e-5)
            np.testing.assert_allclose(phase.mean(2), 0, atol=1e-5)
            expected = before - before.mean(1, keepdims=True) - before.mean(2, keepdims=True)
            np.testing.assert_allclose(phase, expected + before.mean((1, 2), keepdims=True), atol=1e-5)
    np.testing.assert_allclose(prnu.camera_postprocessing(found, wiener=False), found, atol=1e-5)


def test_wiener_against_its_definition():
    some = np.random.default_rng(0).normal(0, 2, (2, 16, 12, 3))
    some[0] += 6 * np.cos(np.pi / 2 * np.arange(12))[:, None]
    found = prnu.camera_postprocessing(some, zero_mean=False)
    for index, channel in np.ndindex(2, 3):
        plane = some[index, ..., channel]
        spectrum = np.fft.fft2(plane)
        magnitude = np.abs(spectrum) / np.sqrt(plane.size)
        kept = noise_part(magnitude, plane.var(), border="wrap")
        expected = np.fft.ifft2(spectrum * kept / magnitude).real
        np.testing.assert_allclose(found[index, ..., channel], expected, atol=1e-5)


def test_grey_residuals_are_processed_like_any():
    some = np.random.default_rng(0).normal(size=(2, 16, 12, 3))
    found = prnu.camera_postprocessing(some)
    for channel in range(3):
        grey = np.repeat(some[..., channel : channel + 1], 3, axis=-1)
        expected = np.repeat(found[..., channel : channel + 1], 3, axis=-1)
        np.testing.assert_allclose(prnu.camera_postprocessing(grey), expected, atol=1e-5)


def test_postprocessing_kills_a_periodic_peak_and_keeps_noise():
    rng = np.random.default_rng(0)
    noise = rng.normal(size=(64, 64))
    periodic = np.tile(rng.normal(size=(4, 4)), (16, 16))  # what upsampling by 4 leaves
    periodic -= periodic.mean()
    some = (noise + periodic)[None, ..., None]

    def share(residual, part):
        return float((residual[0, ..., 0] * part).sum() / (part**2).sum())

    untouched = prnu.camera_postprocessing(some, zero_mean=False, wiener=False)
    np.testing.assert_allclose(untouched, some, rtol=1e-6)
    cleaned = prnu.camera_postprocessing(some)
    assert share(some, periodic) > 0.9
    assert abs(share(cleaned, periodic)) < 0.1
    assert share(cleaned, noise) > 0.6


def test_bad_arguments_are_refused_by_name():
    with pytest.raises(UsageError, match=r"images must be uint8 .* not float64"):
        prnu.residuals(np.full((2, 8, 8, 3), np.nan))
    with pytest.raises(UsageError, match="images is empty"):
        prnu.mean_residuals(np.zeros((0, 8, 8, 3), np.uint8), np.zeros(0, int), 1)
    with pytest.raises(UsageError, match=r"one size, not \[8, 8, 3\] and \[8, 9, 3\]"):
        prnu.correlations(np.ones((1, 8, 8, 3)), np.ones((1, 8, 9, 3)))
