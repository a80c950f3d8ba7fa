import io

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from scipy.fft import dctn
from scipy.spatial.distance import pdist, squareform

from fingerprintlib.data import duplicates
from fingerprintlib.data.datasets import open_dataset
from fingerprintlib.data.decoding import ImageError
from fingerprintlib.data.duplicates import near_duplicates
from fingerprintlib.data.images import shrink
from fingerprintlib.errors import UsageError

RNG = np.random.default_rng(0)


@pytest.fixture(scope="module")
def clothing():
    """300 photographs of garments by different people, uint8 ``[300, 64, 64, 3]``."""
    return open_dataset("clothing", 64).images("test", 0, 300)


def test_a_photograph_as_png_jpeg_and_at_half_size_is_one_and_others_are_others(clothing, tmp_path):
    paths = []
    for number, image in enumerate(clothing):
        Image.fromarray(image).save(tmp_path / f"{number}.png")
        Image.fromarray(image).save(tmp_path / f"{number}.jpg", quality=75)
        Image.fromarray(shrink(image, 32, 32)).save(tmp_path / f"{number} half.png")
        paths.append([tmp_path / f"{number}{end}" for end in (".png", ".jpg", " half.png")])
    groups = near_duplicates(path for kind in zip(*paths, strict=True) for path in kind)
    assert groups.dtype == np.int64
    assert groups.tolist() == [*range(300)] * 3


def test_groups_do_not_depend_on_the_order_and_are_numbered_as_they_come(clothing, monkeypatch):
    several = np.concatenate([clothing[:40], clothing[10:30], clothing[20:25]])
    order = RNG.permutation(len(several))
    expected = np.concatenate([np.arange(40), np.arange(10, 30), np.arange(20, 25)])
    assert np.array_equal(near_duplicates(several), expected)
    renumbered = {}
    mixed = [renumbered.setdefault(expected[place], len(renumbered)) for place in order]
    assert near_duplicates(several[order]).tolist() == mixed
    monkeypatch.setattr(duplicates, "BLOCK", 7)
    assert near_duplicates(several[order]).tolist() == mixed


@given(st.integers(0, 2**32 - 1), st.integers(0, 120))
@settings(max_examples=20, deadline=None)
def test_groups_are_those_that_distances_and_chains_of_them_make(seed, within):
    """Against scipy's distances of hashes computed here, joined until nothing changes."""
    rng = np.random.default_rng(seed)
    images = rng.integers(0, 256, (12, 32, 32, 3), dtype=np.uint8)
    for number in range(1, 12):  # each a little like the one before
        rows = rng.integers(0, 33)
        images[number, :rows] = images[number - 1, :rows]
    grey = np.stack([np.asarray(Image.fromarray(image).convert("L"), np.float64) for image in images])
    signs = dctn(grey, axes=(1, 2))[:, 1:15, 1:15].reshape(12, 196) > 1e-3
    near = squareform(pdist(signs, "hamming")) * 196 < within + 0.5
    for _ in range(12):
        near = near @ near
    same = near_duplicates(images, within)
    assert np.array_equal(same[:, None] == same, near)


def test_changes_that_do_not_alter_a_photograph_do_not_part_it(clothing):
    for image in clothing[:20]:
        buffer = io.BytesIO()
        Image.fromarray(image).resize((150, 150), Image.Resampling.LANCZOS).save(buffer, "JPEG", quality=60)
        again = np.asarray(Image.open(buffer))
        brighter = (image * 0.8 + 40).astype(np.uint8)
        turned = np.ascontiguousarray(image[:, ::-1])
        assert near_duplicates([image, again, brighter, turned]).tolist() == [0, 0, 0, 1]


def test_images_without_structure_are_alike_and_no_images_are_no_groups():
    flat = [np.full((side, 50, 3), level, np.uint8) for side, level in ((40, 0), (40, 255), (3, 77))]
    ramp = np.arange(240, dtype=np.uint8).repeat(3).reshape(1, 240, 3).repeat(50, axis=0)
    assert near_duplicates([*flat, ramp, RNG.integers(0, 256, (40, 40, 3), np.uint8)]).tolist() == [0, 0, 0, 0, 1]
    assert near_duplicates([]).shape == (0,)


def test_what_is_no_image_is_refused(tmp_path):
    with pytest.raises(ImageError, match="no image file"):
        near_duplicates([tmp_path / "nowhere.png"])
    with pytest.raises(UsageError, match="must be uint8"):
        near_duplicates([np.zeros((8, 8, 3))])
    for within in (-1, 196):
        with pytest.raises(UsageError, match="Hashes of 196 bits"):
            near_duplicates([], within)
