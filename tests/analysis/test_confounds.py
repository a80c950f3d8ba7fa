import io
from dataclasses import dataclass

import numpy as np
import pytest
from PIL import Image

from fingerprintlib.analysis.confounds import TREATMENTS, bicubic_half, bilinear_half, handled, min_max, twins
from fingerprintlib.attribution.probes import HistogramProbe
from fingerprintlib.data.images import coloured, resize
from fingerprintlib.data.labelled import LabelledImages
from fingerprintlib.errors import UsageError


@dataclass(frozen=True)
class Toy(LabelledImages):
    """Smooth images of three sources, numbered so that each can be recognized; the stand-in for a corpus."""

    colour: str = "as_is"
    class_names = ("real", "progan", "sngan")
    resolution = 32
    hash = "toy"

    def split(self, name):
        count = {"train": 240, "validation": 30, "test": 120}[name]
        rng = np.random.default_rng(count)
        coarse = rng.integers(60, 190, (count, 4, 4, 3), dtype=np.uint8)
        images = np.stack(
            [np.asarray(Image.fromarray(one).resize((32, 32), Image.Resampling.BICUBIC)) for one in coarse]
        )
        return images, np.repeat(np.arange(3), count // 3)

    def groups(self, name):
        return np.arange({"train": 240, "validation": 30, "test": 120}[name])


def test_min_max_fills_the_range_of_each_image():
    images = np.array([[[[50, 63, 70], [101, 110, 150]]], [[[7, 7, 7], [7, 7, 7]]]], np.uint8)
    found = min_max(images)
    np.testing.assert_array_equal(found[0], np.rint((images[0] - 50.0) * 2.55).astype(np.uint8))
    np.testing.assert_array_equal(found[1], images[1])  # nothing to stretch


def test_min_max_keeps_the_order_of_the_pixels():
    images = Toy().split("test")[0][:20]
    before, after = (some.reshape(20, -1) for some in (images, min_max(images)))
    order = np.argsort(before, axis=1, kind="stable")
    assert (np.diff(np.take_along_axis(after, order, 1).astype(int), axis=1) >= 0).all()
    assert (after.min(1) == 0).all()
    assert (after.max(1) == 255).all()


def test_resizers_are_what_they_say():
    images = np.random.default_rng(0).integers(0, 256, (3, 16, 16, 3), dtype=np.uint8)
    np.testing.assert_array_equal(bicubic_half(images)[1], resize(images[1], 8))
    means = images.reshape(3, 8, 2, 8, 2, 3).mean((2, 4))  # halving, bilinear weights fall on the middle of four pixels
    assert np.abs(bilinear_half(images) - means).max() <= 0.5


def test_the_jpeg_treatment_is_pillows_at_75():
    images = Toy().split("test")[0][:4]
    for image, found in zip(images, TREATMENTS["JPEG"](images), strict=True):
        file = io.BytesIO()
        Image.fromarray(image).save(file, "JPEG", quality=75, subsampling="4:2:0")
        assert np.abs(found.astype(int) - np.asarray(Image.open(file))).max() <= 1


def test_twins_share_one_source_out_and_lose_no_image():
    toy = Toy()
    halves = twins(toy, "progan", "none", "none")
    images, labels = halves.split("test")
    whole, of_source = toy.split("test")
    assert halves.class_names == ("none, one half", "none, other half")
    assert labels.tolist() == [0] * 20 + [1] * 20
    np.testing.assert_array_equal(images[labels == 0], whole[of_source == 1][0::2])
    np.testing.assert_array_equal(images[labels == 1], whole[of_source == 1][1::2])


def test_each_class_is_handled_in_its_own_way_then_coloured():
    toy = Toy()
    classes = {"real": ("real", "none"), "progan": ("progan", "JPEG"), "sngan": ("sngan", "min-max")}
    view = handled(toy, classes, "grey")
    images, labels = view.split("validation")
    whole, of_source = toy.split("validation")
    np.testing.assert_array_equal(labels, of_source)
    for k, (_, treatment) in enumerate(classes.values()):
        np.testing.assert_array_equal(images[labels == k], coloured(TREATMENTS[treatment](whole[labels == k]), "grey"))


def test_halved_images_have_half_the_resolution():
    halves = twins(Toy(), "real", "bicubic", "bilinear")
    assert halves.resolution == 16
    assert halves.split("test")[0].shape == (40, 16, 16, 3)


def test_what_tells_twins_apart_is_the_handling():
    scores = {}
    for other in ("none", "min-max"):
        halves = twins(Toy(), "real", "none", other)
        scores[other] = HistogramProbe().fit(*halves.split("train")).score(*halves.split("test"))
    assert scores["min-max"] > 0.95
    assert 0.25 < scores["none"] < 0.75
    halves = twins(Toy(), "real", "none", "min-max", "grey")
    assert HistogramProbe().fit(*halves.split("train")).score(*halves.split("test")) == 0.5


@pytest.mark.parametrize(
    ("classes", "colour", "message"),
    [
        ({"a": ("reel", "none")}, "as_is", "source 'reel'.*real"),
        ({"a": ("real", "jpeg")}, "as_is", "treatment 'jpeg'.*JPEG"),
        ({"a": ("real", "none"), "b": ("real", "bicubic")}, "as_is", r"one size.*\[16, 32\]"),
        ({"a": ("real", "none")}, "grey", "is grey already"),
    ],
)
def test_what_cannot_be_is_refused(classes, colour, message):
    with pytest.raises(UsageError, match=message):
        handled(Toy(colour), classes)
