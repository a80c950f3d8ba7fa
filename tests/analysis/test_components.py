import numpy as np
import pytest
import torch

from fingerprintlib.analysis import components
from fingerprintlib.analysis.components import band_images, gain_for, middle
from fingerprintlib.attribution.bands import double, low_pass, residual
from fingerprintlib.data.images import coloured
from fingerprintlib.errors import UsageError

from .test_confounds import Toy

IMAGES = Toy().split("train")[0][:10]


def floats(images):
    return torch.from_numpy(images / 127.5 - 1).permute(0, 3, 1, 2)


def test_band_images_are_the_bands_rounded(monkeypatch):
    monkeypatch.setattr(components, "CHUNK", 4)
    for factor in (1, 2, 8):
        for band, function in (("low", low_pass), ("residual", residual)):
            for gain in (1.0, 4.0):
                found = band_images(IMAGES, band, factor, gain)
                assert (found.dtype, found.shape) == (np.uint8, (10, 32 // factor, 32 // factor, 3))
                expected = function(floats(IMAGES), factor).mul(gain).clamp(-1, 1).permute(0, 2, 3, 1).numpy()
                assert np.abs(found / 127.5 - 1 - expected).max() <= 0.5001 / 127.5
    np.testing.assert_array_equal(band_images(IMAGES, "low", 1), IMAGES)


def test_a_level_comes_back_from_its_residual_and_the_next():
    small, lost = band_images(IMAGES, "low", 2), band_images(IMAGES, "residual", 1)
    again = double(floats(small)) + floats(lost)
    assert np.abs(127.5 * (again.permute(0, 2, 3, 1).numpy() + 1) - IMAGES).max() < 1.3  # rounded twice


def test_a_gain_uses_the_range_and_cuts_little_off():
    for band, factor in (("residual", 1), ("residual", 4), ("low", 1)):
        gain = gain_for(IMAGES, band, factor)
        assert np.log2(gain) == int(np.log2(gain))
        shares = [np.isin(band_images(IMAGES, band, factor, g), (0, 255)).mean() for g in (gain, 2 * gain)]
        assert shares[0] <= 0.0012
        assert shares[1] > 0.0009
    assert gain_for(np.full((2, 16, 16, 3), 9, np.uint8), "residual", 1) > 1  # nothing to divide by


@pytest.mark.parametrize(
    ("images", "band", "factor", "words"),
    [
        (IMAGES, "residual", 16, r"32x32 have bands of the factors \[1, 2, 4, 8\], not 16"),
        (IMAGES, "low", 3, "not 3"),
        (IMAGES[:, :16], "low", 1, "16x32 have bands"),
        (IMAGES, "high", 1, "high"),
        (IMAGES / 255, "low", 1, "uint8"),
    ],
)
def test_a_band_that_images_do_not_have_is_refused(images, band, factor, words):
    for function in (band_images, gain_for):
        with pytest.raises(UsageError, match=words):
            function(images, band, factor)


def test_the_middle_is_cut_and_then_put_under_the_control():
    images, labels = Toy().split("test")
    for factor, inside in ((1, slice(0, 32)), (2, slice(8, 24)), (8, slice(14, 18))):
        some, theirs = middle(Toy(), factor).split("test")
        np.testing.assert_array_equal(some, images[:, inside, inside])
        np.testing.assert_array_equal(theirs, labels)
        grey = middle(Toy(), factor, "grey")
        assert (grey.resolution, grey.colour, grey.class_names) == (32 // factor, "grey", Toy.class_names)
        np.testing.assert_array_equal(grey.split("test")[0], coloured(some, "grey"))
    histograms = np.sort(middle(Toy(), 2, "grey").split("test")[0].reshape(120, -1), axis=1)
    assert (histograms == histograms[0]).all()


def test_a_middle_that_cannot_be_is_refused():
    with pytest.raises(UsageError, match=r"At 32x32 factor must be one of \[1, 2, 4, 8\], not 16"):
        middle(Toy(), 16)
    with pytest.raises(UsageError, match="The corpus is grey already"):
        middle(Toy("grey"), 2)
