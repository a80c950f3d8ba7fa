import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from fingerprintlib.data import photographs
from fingerprintlib.data.datasets import open_dataset
from fingerprintlib.data.images import encode_png, save_png
from fingerprintlib.data.photographs import PHOTOS, make_scenes
from fingerprintlib.data.splits import DatasetError

from ..conftest import ROOT

OURS = [photo for photo in PHOTOS if not photo.inside]
SCENES = ROOT / "data" / "scenes"


@pytest.fixture(autouse=True)
def fresh():
    yield
    photographs.pixels.cache_clear()


@pytest.fixture
def data(tmp_path, monkeypatch):
    """The project's data in a folder of its own, where files may be spoilt."""
    monkeypatch.setenv("FINGERPRINTS_SHIPPED", str(tmp_path))
    (tmp_path / "scenes").mkdir()
    for path in SCENES.iterdir():
        (tmp_path / "scenes" / path.name).symlink_to(path)
    photographs.pixels.cache_clear()
    return tmp_path / "scenes"


# --- what is there


def test_every_file_that_is_shipped_is_credited_and_the_other_way_round():
    assert {path.name for path in SCENES.iterdir()} == {photo.file for photo in OURS} | {"CREDITS.md"}
    assert (SCENES / "CREDITS.md").read_text() == photographs._credits(OURS)
    assert len({photo.file for photo in PHOTOS}) == len(PHOTOS)
    assert all(photo.author and photo.licence and photo.title for photo in PHOTOS)


def test_the_numbers_are_those_that_are_stored_also_in_adobe_rgb():
    profiles = 0
    for photo in PHOTOS:
        with Image.open(photographs.path_of(photo)) as image:
            assert np.array_equal(photographs.pixels(photo), image.convert("RGB"))
            profiles += b"Adobe RGB (1998)" in image.info.get("icc_profile", b"")
    assert profiles == 1


def test_the_shipped_photographs_are_small_and_without_loss():
    for photo in OURS:
        with Image.open(SCENES / photo.file) as image:
            assert min(image.size) == 512
        assert photographs.pixels(photo).shape[2] == 3  # it has the hash, too
        assert b"VP8L" in (SCENES / photo.file).read_bytes()[:16]
    assert sum(path.stat().st_size for path in SCENES.iterdir()) < 6e6


def test_every_photograph_of_the_packages_has_its_own_pixels():
    assert len({photographs.pixels(photo).tobytes() for photo in PHOTOS}) == len(PHOTOS)


def test_the_shared_pixels_cannot_be_written():
    with pytest.raises(ValueError, match="read-only"):
        photographs.pixels(PHOTOS[0])[0, 0, 0] = 1


# --- how they are found


def test_they_are_found_without_importing_the_packages():
    program = (
        "import sys; from fingerprintlib.data.datasets import open_dataset;"
        "open_dataset('scenes', 32).images('gan', 0, 2);"
        "print([name for name in ('skimage', 'sklearn', 'matplotlib', 'torch') if name in sys.modules])"
    )
    answer = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert answer.stdout.strip() == "[]"


def test_without_the_packages_the_folder_serves(data, monkeypatch):
    here = {photo.file: photographs.path_of(photo) for photo in PHOTOS if photo.inside}
    monkeypatch.setattr(photographs.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(DatasetError, match=r"scenes: astronaut\.png, .*hopper\.jpg\. .*install scikit-image, "):
        open_dataset("scenes", 64)
    for file, path in here.items():
        (data / file).symlink_to(path)
    assert len(open_dataset("scenes", 64).provenance["files"]) == len(PHOTOS)


def test_missing_ones_are_named(data):
    for photo in OURS[:2]:
        (data / photo.file).unlink()
    names = rf"{OURS[0].file}, {OURS[1].file}\. Restore .*git checkout data/scenes"
    with pytest.raises(DatasetError, match=names):
        open_dataset("scenes", 64)


def test_an_altered_one_is_named(data):
    altered = photographs.pixels(OURS[3]).copy()
    altered[0, 0, 0] ^= 1
    photographs.pixels.cache_clear()
    path = data / OURS[3].file
    path.unlink()
    path.write_bytes(encode_png(altered))
    with pytest.raises(DatasetError, match=rf"{OURS[3].file} has been altered\. Restore it"):
        open_dataset("scenes", 64)


# --- how they are made


@pytest.fixture
def originals(tmp_path, monkeypatch):
    """A folder with the originals of a photograph that stands and one that lies, and the list that names them."""
    made = []
    for name, size in (("a_by_Ann", (300, 200)), ("b_by_Bob", (150, 220))):
        pixels = np.random.default_rng(size).integers(0, 256, (*size, 3), dtype=np.uint8)
        folder = tmp_path / "originals" / "usr" / name
        folder.mkdir(parents=True)
        Image.fromarray(pixels).save(folder / f"{name}.jpg")
        small = photographs.shrink(np.asarray(Image.open(folder / f"{name}.jpg")), *shape(size))
        made.append(replace(OURS[0], file=f"{name}.webp", hash=photographs._hash(small)))
    monkeypatch.setattr(photographs, "SIDE", 64)
    monkeypatch.setattr(photographs, "PHOTOS", (PHOTOS[0], *made))
    return tmp_path / "originals"


def shape(size):
    return tuple(round(64 * length / min(size)) for length in size)


def contents(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()} if folder.exists() else set()


def test_scenes_are_the_originals_shrunk(originals, tmp_path, monkeypatch):
    out = tmp_path / "data" / "scenes"
    make_scenes(originals, out)
    assert contents(out) == {"a_by_Ann.webp", "b_by_Bob.webp", "CREDITS.md"}
    monkeypatch.setenv("FINGERPRINTS_SHIPPED", str(tmp_path / "data"))
    sizes = [photographs.pixels(photo).shape for photo in photographs.PHOTOS[1:]]
    assert sizes == [(96, 64, 3), (64, 94, 3)]
    assert "| b_by_Bob.webp |" in (out / "CREDITS.md").read_text()


def test_an_original_that_lacks_is_named_and_nothing_written(originals, tmp_path):
    next(originals.rglob("b_by_Bob.jpg")).unlink()
    with pytest.raises(DatasetError, match=r"lacks b_by_Bob\.jpg\. Unpack there .*: lomiri-wallpapers-16\.04 20\.04"):
        make_scenes(originals, tmp_path / "out")
    assert contents(tmp_path / "out") == set()


def test_another_original_is_named_and_nothing_written(originals, tmp_path):
    path = next(originals.rglob("b_by_Bob.jpg"))
    save_png(path, np.zeros((150, 220, 3), dtype=np.uint8))
    with pytest.raises(DatasetError, match=r"b_by_Bob\.jpg is not the photograph of lomiri-wallpapers-16\.04"):
        make_scenes(originals, tmp_path / "out")
    assert contents(tmp_path / "out") == set()
