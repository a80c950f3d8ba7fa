import json
import subprocess
import sys
from collections import Counter
from functools import cache

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from fingerprintlib import photos
from fingerprintlib.datasets import (
    PHOTOS,
    SHARES,
    SPLITS,
    DatasetError,
    Tile,
    Window,
    open_dataset,
    overlap,
    photos_tiles,
)
from fingerprintlib.errors import UsageError
from fingerprintlib.images import ImageError, save_png
from fingerprintlib.photos import PhotoSplit
from fingerprintlib.provenance import content_hash
from fingerprintlib.splits import deal, split_of


def noise(seed: int, height: int = 40, width: int = 48) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)


@cache
def photos_split(name: str, resolution: int) -> PhotoSplit:
    split = open_dataset("photos", resolution).split(name)
    assert isinstance(split, PhotoSplit)
    return split


# --- photos


@pytest.mark.parametrize("resolution", [32, 64, 128])
def test_no_two_tiles_share_a_pixel(resolution):
    for photo, pixels, tiles in photos_tiles(resolution):
        owners = np.zeros(pixels.shape[:2], dtype=int)
        for tile in tiles:
            assert tile.side == max(128, resolution + 16)
            assert 0 <= tile.y <= tile.y + tile.side <= pixels.shape[0]
            assert 0 <= tile.x <= tile.x + tile.side <= pixels.shape[1]
            owners[tile.y : tile.y + tile.side, tile.x : tile.x + tile.side] += 1
        assert owners.max() == 1, photo
        rows, columns = pixels.shape[0] // tiles[0].side, pixels.shape[1] // tiles[0].side
        assert len(tiles) == rows * columns, "as many tiles as fit"


@pytest.mark.parametrize("resolution", [32, 64, 128])
def test_every_photo_is_in_every_split_in_about_the_right_shares(resolution):
    split_counts: Counter[str | None] = Counter()
    for _, _, tiles in photos_tiles(resolution):
        mine = Counter(tile.split for tile in tiles)
        assert set(SPLITS) <= set(mine)
        split_counts += mine
    total = sum(split_counts[name] for name in SPLITS)
    for name, share in SHARES.items():
        assert split_counts[name] / total == pytest.approx(share, abs=0.03)


def test_only_nearly_constant_tiles_are_left_out():
    left_out = 0
    for _, pixels, tiles in photos_tiles(64):
        for tile in tiles:
            spread = pixels[tile.y : tile.y + tile.side : 4, tile.x : tile.x + tile.side : 4, 1].std()
            assert (spread < photos.FLAT) == (tile.split is None)
            left_out += tile.split is None
    assert left_out > 0


@given(st.sampled_from(SPLITS), st.integers(0, 10**12), st.sampled_from([32, 64, 100, 128]))
@settings(max_examples=150, deadline=None)
def test_a_window_lies_within_a_tile_of_its_split(split_name, index, resolution):
    split = photos_split(split_name, resolution)
    window = split.window(index)
    tile = window.tile
    assert tile.split == split_name
    assert tile.y <= window.y <= window.y + window.side <= tile.y + tile.side
    assert tile.x <= window.x <= window.x + window.side <= tile.x + tile.side
    assert resolution <= window.side <= 2 * resolution
    assert PHOTOS[tile.photo].file == split.source_of(index)


@given(st.integers(0, 500))
@settings(max_examples=40, deadline=None)
def test_an_image_is_its_window_mirrored_and_shrunk_by_pillow(index):
    split = photos_split("test", 64)
    window = split.window(index)
    pixels = photos_tiles(64)[window.tile.photo][1]
    cut = Image.fromarray(pixels).crop((window.x, window.y, window.x + window.side, window.y + window.side))
    expected = np.asarray(cut.resize((64, 64), Image.Resampling.BICUBIC))
    assert np.array_equal(split.image(index), expected[:, ::-1] if window.flip else expected)
    assert split.image(index).flags["C_CONTIGUOUS"]


def test_images_do_not_depend_on_order_or_batch():
    dataset = open_dataset("photos", 32)
    forwards = dataset.images("train", 0, 12)
    assert forwards.shape == (12, 32, 32, 3)
    assert forwards.dtype == np.uint8
    again = open_dataset("photos", 32).split("train")
    backwards = np.stack([again.image(index) for index in reversed(range(12))])[::-1]
    assert np.array_equal(forwards, backwards)
    assert np.array_equal(dataset.images("train", 5, 3), forwards[5:8])
    assert not np.array_equal(dataset.images("validation", 0, 12), forwards)


def test_images_are_the_same_in_another_process():
    program = (
        "from fingerprintlib.datasets import open_dataset; from fingerprintlib.provenance import content_hash;"
        "print(content_hash(open_dataset('photos', 48).images('test', 7, 3).tobytes()))"
    )
    there = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout.strip()
    assert there == content_hash(open_dataset("photos", 48).images("test", 7, 3).tobytes())


def test_photos_are_drawn_with_equal_weight():
    split = open_dataset("photos", 64).split("gan")
    drawn = Counter(split.source_of(index) for index in range(5500))
    assert set(drawn) == {photo.file for photo in PHOTOS}
    chi_square = sum((count - 500) ** 2 / 500 for count in drawn.values())
    assert chi_square < 29.6  # the 0.1 % point for 10 degrees of freedom


def test_windows_use_every_tile_scale_and_both_mirrors():
    split = open_dataset("photos", 64).split("validation")
    windows = [split.window(index) for index in range(1500)]
    assert {window.tile for window in windows} == set(split.tiles)
    assert {window.side for window in windows} == set(range(64, 129))
    assert 0.45 < np.mean([window.flip for window in windows]) < 0.55


def test_nearly_constant_windows_are_passed_over(monkeypatch):
    split = open_dataset("photos", 32).split("train")
    spreads = [photos._inside(split.window(index))[::4, ::4, 1].std() for index in range(1000)]
    assert min(spreads) >= photos.FLAT
    monkeypatch.setattr(photos, "FLAT", -1.0)
    assert min(photos._inside(split.window(index))[::4, ::4, 1].std() for index in range(1000)) < 4


def test_deal_is_complete_and_fair():
    for count in range(400):
        given_counts = deal(count)
        assert sum(given_counts.values()) == count
        assert min(given_counts.values()) >= (count >= 4)
        if count >= 10:
            assert all(abs(given_counts[name] - share * count) < 1 for name, share in SHARES.items())


def test_provenance_names_every_file_and_the_hash_follows_it():
    dataset = open_dataset("photos", 64)
    assert set(dataset.provenance["files"]) == {photo.file for photo in PHOTOS}
    assert json.loads(json.dumps(dataset.provenance)) == dataset.provenance
    assert dataset.hash == open_dataset("photos", 64).hash
    assert dataset.hash != open_dataset("photos", 32).hash


def test_describe_counts_what_there_is():
    rows = open_dataset("photos", 64).describe()
    assert [row["split"] for row in rows] == list(SPLITS)
    tiles = [tile for _, _, tiles in photos_tiles(64) for tile in tiles if tile.split]
    assert sum(row["tiles"] for row in rows) == len(tiles)
    assert sum(row["apart"] for row in rows) == 4 * len(tiles)
    windows = sum((128 - side + 1) ** 2 for side in range(64, 129))
    assert all(row["distinct"] == 2 * windows * row["tiles"] > 10_000 for row in rows)
    assert all(row["sources"] == 11 for row in rows)


def test_the_photographs_are_found_without_importing_their_packages():
    program = (
        "import sys; from fingerprintlib.datasets import open_dataset; open_dataset('photos', 32).images('gan', 0, 2);"
        "print([name for name in ('skimage', 'sklearn', 'matplotlib', 'torch') if name in sys.modules])"
    )
    answer = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert answer.stdout.strip() == "[]"


def test_without_the_packages_a_folder_serves(monkeypatch, tmp_path):
    here = {photo: photos._path(photo) for photo in PHOTOS}
    monkeypatch.setattr(photos.importlib.util, "find_spec", lambda name: None)
    monkeypatch.delenv("FINGERPRINTS_PHOTOS", raising=False)
    photos._pixels.cache_clear()
    with pytest.raises(DatasetError, match=r"astronaut\.png, .*hopper\.jpg\. Install .*FINGERPRINTS_PHOTOS"):
        open_dataset("photos", 64)
    for photo, path in here.items():
        (tmp_path / photo.file).symlink_to(path)
    monkeypatch.setenv("FINGERPRINTS_PHOTOS", str(tmp_path))
    for name in ("ihc.png", "china.jpg"):
        (tmp_path / name).rename(tmp_path / f"not-{name}")
    with pytest.raises(DatasetError, match=r"photographs: ihc\.png, china\.jpg\. Install scikit-image, "):
        open_dataset("photos", 64)
    for name in ("ihc.png", "china.jpg"):
        (tmp_path / f"not-{name}").rename(tmp_path / name)
    assert len(open_dataset("photos", 64).provenance["files"]) == 11


def test_the_shared_pixels_cannot_be_written():
    _, pixels, _ = photos_tiles(64)[0]
    with pytest.raises(ValueError, match="read-only"):
        pixels[0, 0, 0] = 1


def test_a_negative_index_is_refused():
    with pytest.raises(UsageError, match="no image -1"):
        open_dataset("photos", 64).split("gan").image(-1)


# --- folder


@pytest.fixture
def folder(tmp_path):
    """Forty PNG files, some of them below, in a folder."""
    for number in range(40):
        save_png(tmp_path / ("below" if number % 3 else ".") / f"{number:02}.png", noise(number))
    return tmp_path


def test_a_folder_gives_each_file_once_in_one_split(folder):
    dataset = open_dataset(f"folder:{folder}", 32)
    listed = [source for name in SPLITS for source in dataset.split(name).sources]
    assert sorted(listed) == sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*.png"))
    assert sum(row["distinct"] for row in dataset.describe()) == 40


def test_a_folder_image_is_the_middle_square_shrunk(folder):
    split = open_dataset(f"folder:{folder}", 32).split("gan")
    for index in (3, 0):
        cut = Image.open(folder / split.source_of(index)).crop((4, 0, 44, 40))
        assert np.array_equal(split.image(index), np.asarray(cut.resize((32, 32), Image.Resampling.BICUBIC)))
    assert np.array_equal(split.images(1, 2), np.stack([split.image(1), split.image(2)]))


def test_adding_or_renaming_files_moves_none_of_the_others(folder):
    def home_of() -> dict[bytes, str]:
        dataset = open_dataset(f"folder:{folder}", 32)
        return {(folder / s).read_bytes(): name for name in SPLITS for s in dataset.split(name).sources}

    before, hash_before = home_of(), open_dataset(f"folder:{folder}", 32).hash
    (folder / "00.png").rename(folder / "renamed.png")
    assert open_dataset(f"folder:{folder}", 32).hash == hash_before
    for number in range(100, 120):
        save_png(folder / f"{number}.png", noise(number))
    after = home_of()
    assert len(after) == 60
    assert before.items() <= after.items()
    assert open_dataset(f"folder:{folder}", 32).hash != hash_before


def test_copies_count_once_and_hidden_and_other_files_not_at_all(folder):
    (folder / "copy.png").write_bytes((folder / "00.png").read_bytes())
    (folder / "._00.png").write_text("a resource fork")
    (folder / "notes.txt").write_text("no image")
    save_png(folder / ".thumbnails" / "00.png", noise(200))
    assert sum(row["distinct"] for row in open_dataset(f"folder:{folder}", 32).describe()) == 40


def test_linked_folders_are_followed_and_circles_end(folder, tmp_path_factory):
    away = tmp_path_factory.mktemp("away")
    for number in range(100, 120):
        save_png(away / f"{number}.png", noise(number))
    (folder / "more").symlink_to(away)
    (away / "back").symlink_to(folder)
    dataset = open_dataset(f"folder:{folder}", 32)
    assert sum(row["distinct"] for row in dataset.describe()) == 60
    assert "more/119.png" in {source for name in SPLITS for source in dataset.split(name).sources}


def test_the_shares_of_a_folder_are_as_stated():
    rng = np.random.default_rng(0)
    homes = Counter(split_of(rng.bytes(16).hex()) for _ in range(4000))
    for name, share in SHARES.items():
        assert homes[name] / 4000 == pytest.approx(share, abs=0.035)
    assert split_of("f" * 32) == "test"


def test_asking_past_the_end_says_how_many_there_are(folder):
    split = open_dataset(f"folder:{folder}", 32).split("validation")
    count = split.distinct
    message = f"The split 'validation' of folder:{folder} has {count} images; {count + 1} are asked for. Add files"
    with pytest.raises(UsageError, match=message):
        split.images(0, count + 1)
    with pytest.raises(UsageError, match=message):
        split.images(1, count)
    assert len(split.images(1, count - 1)) == count - 1
    with pytest.raises(UsageError, match="no image -1"):
        split.image(-1)
    with pytest.raises(UsageError, match="no image 999"):
        split.source_of(999)


def test_a_small_image_is_named(folder):
    save_png(folder / "tiny.png", noise(0, 31, 400))
    with pytest.raises(UsageError, match=r"tiny\.png is 31 x 400"):
        open_dataset(f"folder:{folder}", 32)


def test_a_foreign_file_is_named_at_once_and_a_damaged_one_when_it_is_read(folder):
    (folder / "broken.jpg").write_bytes(b"not a JPEG")
    with pytest.raises(ImageError, match=r"broken\.jpg is not an image"):
        open_dataset(f"folder:{folder}", 32)
    (folder / "broken.jpg").unlink()
    cut = folder / "00.png"
    cut.write_bytes(cut.read_bytes()[:3000])
    dataset = open_dataset(f"folder:{folder}", 32)
    (split,) = [dataset.split(name) for name in SPLITS if "00.png" in dataset.split(name).sources]
    with pytest.raises(ImageError, match=r"00\.png is damaged"):
        split.image(split.sources.index("00.png"))


def test_a_missing_or_empty_folder_is_refused(tmp_path):
    with pytest.raises(UsageError, match=r"no folder .*nowhere"):
        open_dataset(f"folder:{tmp_path / 'nowhere'}", 32)
    with pytest.raises(UsageError, match="holds no image"):
        open_dataset(f"folder:{tmp_path}", 32)


def test_a_folder_that_leaves_a_split_empty_is_refused(tmp_path):
    for number in range(3):
        save_png(tmp_path / f"{number}.png", noise(number))
    with pytest.raises(UsageError, match=r"holds 3 different images, and none fell to: .*about 40 at least are needed"):
        open_dataset(f"folder:{tmp_path}", 32)


def test_a_folder_may_lie_at_home(folder, monkeypatch):
    monkeypatch.setenv("HOME", str(folder.parent))
    monkeypatch.setenv("USERPROFILE", str(folder.parent))
    assert open_dataset(f"folder:~/{folder.name}", 32).hash == open_dataset(f"folder:{folder}", 32).hash
    with pytest.raises(UsageError, match="no folder ~nobody-of-that-name"):
        open_dataset("folder:~nobody-of-that-name", 32)


# --- both


def test_other_images_than_expected_are_refused(folder):
    spec = f"folder:{folder}"
    expected = open_dataset(spec, 32).hash
    assert open_dataset(spec, 32, expect=expected).hash == expected
    save_png(folder / "new.png", noise(100))
    with pytest.raises(UsageError, match=r"has changed since .*'real-images' again"):
        open_dataset(spec, 32, expect=expected)


@pytest.mark.parametrize("resolution", [31, 129, 64.0, "64", True, None])
def test_a_resolution_out_of_range_is_refused(resolution):
    with pytest.raises(UsageError, match="32 to 128"):
        open_dataset("photos", resolution)


@pytest.mark.parametrize("spec", ["photo", "photos:", "folder", "", "cifar"])
def test_an_unknown_dataset_is_refused(spec):
    with pytest.raises(UsageError, match="Unknown dataset"):
        open_dataset(spec, 64)


def test_an_unknown_split_is_refused_with_the_nearest():
    with pytest.raises(UsageError, match="'validation'"):
        open_dataset("photos", 64).split("validate")


def test_overlap_counts_windows_that_share_a_pixel():
    tile = Tile(0, 0, 0, 100, "train")
    other_photo = Tile(1, 0, 0, 100, "train")

    def window(y, x, side, tile=tile):
        return Window(tile, y, x, side, flip=False)

    assert overlap([window(0, 0, 10)], [window(0, 10, 10)]) == 0  # side by side
    assert overlap([window(0, 0, 10)], [window(9, 9, 10)]) == 1  # one pixel
    assert overlap([window(20, 20, 5)], [window(0, 0, 64)]) == 1  # one inside the other
    assert overlap([window(0, 0, 10)], [window(0, 0, 10, other_photo)]) == 0
    assert overlap([window(0, 0, 10), window(50, 50, 10)], [window(5, 0, 10)]) == 0.5
