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

from fingerprintlib.data import scenes
from fingerprintlib.data.datasets import open_dataset
from fingerprintlib.data.photographs import PHOTOS
from fingerprintlib.data.scenes import SceneSplit, Tile, Window, overlap, scenes_tiles
from fingerprintlib.data.splits import SHARES, SPLITS, deal
from fingerprintlib.errors import UsageError
from fingerprintlib.provenance import content_hash


@cache
def scenes_split(name: str, resolution: int) -> SceneSplit:
    split = open_dataset("scenes", resolution).split(name)
    assert isinstance(split, SceneSplit)
    return split


# --- tiles


@pytest.mark.parametrize("resolution", [32, 64, 128])
def test_no_two_tiles_share_a_pixel(resolution):
    for photo, pixels, tiles in scenes_tiles(resolution):
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
    for _, _, tiles in scenes_tiles(resolution):
        mine = Counter(tile.split for tile in tiles)
        assert set(SPLITS) <= set(mine)
        split_counts += mine
    total = sum(split_counts[name] for name in SPLITS)
    for name, share in SHARES.items():
        assert split_counts[name] / total == pytest.approx(share, abs=0.03)


def test_only_nearly_constant_tiles_are_left_out():
    left_out = 0
    for _, pixels, tiles in scenes_tiles(64):
        for tile in tiles:
            spread = pixels[tile.y : tile.y + tile.side : 4, tile.x : tile.x + tile.side : 4, 1].std()
            assert (spread < scenes.FLAT) == (tile.split is None)
            left_out += tile.split is None
    assert left_out > 0


def test_deal_is_complete_and_fair():
    for count in range(400):
        given_counts = deal(count)
        assert sum(given_counts.values()) == count
        assert min(given_counts.values()) >= (count >= 4)
        if count >= 10:
            assert all(abs(given_counts[name] - share * count) < 1 for name, share in SHARES.items())


# --- crops


@given(st.sampled_from(SPLITS), st.integers(0, 10**12), st.sampled_from([32, 64, 113, 128]))
@settings(max_examples=150, deadline=None)
def test_a_window_lies_within_a_tile_of_its_split(split_name, index, resolution):
    split = scenes_split(split_name, resolution)
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
    split = scenes_split("test", 64)
    window = split.window(index)
    pixels = scenes_tiles(64)[window.photo][1]
    cut = Image.fromarray(pixels).crop((window.x, window.y, window.x + window.side, window.y + window.side))
    expected = np.asarray(cut.resize((64, 64), Image.Resampling.BICUBIC))
    assert np.array_equal(split.image(index), expected[:, ::-1] if window.flip else expected)
    assert split.image(index).flags["C_CONTIGUOUS"]


def test_images_do_not_depend_on_order_or_batch():
    dataset = open_dataset("scenes", 32)
    forwards = dataset.images("train", 0, 12)
    assert forwards.shape == (12, 32, 32, 3)
    assert forwards.dtype == np.uint8
    again = open_dataset("scenes", 32).split("train")
    backwards = np.stack([again.image(index) for index in reversed(range(12))])[::-1]
    assert np.array_equal(forwards, backwards)
    assert np.array_equal(dataset.images("train", 5, 3), forwards[5:8])
    assert not np.array_equal(dataset.images("validation", 0, 12), forwards)


def test_images_are_the_same_in_another_process():
    program = (
        "from fingerprintlib.data.datasets import open_dataset; from fingerprintlib.provenance import content_hash;"
        "print(content_hash(open_dataset('scenes', 48).images('test', 7, 3).tobytes()))"
    )
    there = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout.strip()
    assert there == content_hash(open_dataset("scenes", 48).images("test", 7, 3).tobytes())


def test_crops_do_not_repeat_in_the_largest_size():
    images = open_dataset("scenes", 128).images("test", 0, 10_000)
    assert len({content_hash(image.tobytes()) for image in images}) == 10_000


def one_tile_split(resolution: int) -> SceneSplit:
    """A split of one tile that is part sky, so that some of its places are nearly constant."""
    tile = max(
        (tile for _, _, tiles in scenes_tiles(resolution) for tile in tiles if tile.split),
        key=lambda tile: len(scenes._flat_places((tile,), range(resolution, resolution + 1))),
    )
    return SceneSplit("train", resolution, [tile])


def test_all_crops_come_once_then_all_again_in_another_order():
    split = one_tile_split(120)
    (tile,) = split.tiles
    there_are = {
        Window(tile, tile.y + y, tile.x + x, side, flip)
        for side in range(120, tile.side + 1)
        for y in range(tile.side - side + 1)
        for x in range(tile.side - side + 1)
        for flip in (False, True)
    }
    lively = {window for window in there_are if scenes._inside(window)[::4, ::4, 1].std() >= 4}
    assert split.distinct == len(lively) < len(there_are)
    first = [split.window(index) for index in range(split.distinct)]
    second = [split.window(index) for index in range(split.distinct, 2 * split.distinct)]
    assert set(first) == set(second) == lively
    assert len(first) == len(second) == len(lively)
    assert np.mean([a == b for a, b in zip(first, second, strict=True)]) < 0.01


@pytest.mark.parametrize("resolution", [32, 61, 64])
def test_distinct_is_the_number_of_windows_that_are_not_nearly_constant(resolution):
    split = one_tile_split(resolution)
    (tile,) = split.tiles
    green = scenes._inside(tile)[:, :, 1]
    lively = 0
    for side in range(resolution, 2 * resolution + 1):
        seen = np.lib.stride_tricks.sliding_window_view(green, (side, side))[:, :, ::4, ::4]
        lively += sum(int((row.std(axis=(1, 2)) >= 4).sum()) for row in seen)
    assert split.distinct == 2 * lively
    assert lively < sum((tile.side - side + 1) ** 2 for side in range(resolution, 2 * resolution + 1))


def test_places_are_drawn_evenly():
    split = scenes_split("test", 128)
    windows = [split.window(index) for index in range(20_000)]
    drawn = Counter(window.side for window in windows)
    weights = {side: (144 - side + 1) ** 2 for side in range(128, 145)}
    for side, weight in weights.items():  # not one nearly constant window is in this split
        assert drawn[side] == pytest.approx(20_000 * weight / sum(weights.values()), abs=5 * np.sqrt(drawn[side] + 1))
    tiles = Counter(window.tile for window in windows)
    expected = 20_000 / len(split.tiles)
    chi_square = sum((tiles[tile] - expected) ** 2 / expected for tile in split.tiles)
    assert chi_square < len(split.tiles) - 1 + 4 * np.sqrt(2 * len(split.tiles))
    assert np.mean([window.flip for window in windows]) == pytest.approx(0.5, abs=0.02)
    corners = Counter((window.y - window.tile.y, window.x - window.tile.x) for window in windows if window.side == 128)
    assert len(corners) == 17**2
    assert max(corners.values()) < 3 * drawn[128] / 17**2


@given(st.integers(1, 300), st.text("abc", max_size=3))
@settings(deadline=None)
def test_a_shuffle_is_one(count, key):
    assert sorted(scenes._shuffled(rank, count, key) for rank in range(count)) == list(range(count))


def test_shuffles_differ_by_key():
    one, other = ([scenes._shuffled(rank, 1000, key) for rank in range(1000)] for key in ("one", "other"))
    assert np.abs([np.corrcoef(one, other)[0, 1], np.corrcoef(one, range(1000))[0, 1]]).max() < 0.15


def test_nearly_constant_windows_are_passed_over(monkeypatch):
    split = scenes_split("train", 32)
    spreads = [scenes._inside(split.window(index))[::4, ::4, 1].std() for index in range(1000)]
    assert min(spreads) >= scenes.FLAT
    monkeypatch.setattr(scenes, "FLAT", 0)
    every = SceneSplit("train", 32, split.tiles[::-1])  # other tiles to the cache
    assert min(scenes._inside(every.window(index))[::4, ::4, 1].std() for index in range(1000)) < 4


# --- what is said of them


def test_provenance_names_every_file_and_the_hash_follows_it():
    dataset = open_dataset("scenes", 64)
    assert set(dataset.provenance["files"]) == {photo.file for photo in PHOTOS}
    assert json.loads(json.dumps(dataset.provenance)) == dataset.provenance
    assert dataset.hash == open_dataset("scenes", 64).hash
    assert dataset.hash != open_dataset("scenes", 32).hash


def test_describe_counts_what_there_is():
    rows = open_dataset("scenes", 128).describe()
    assert [row["split"] for row in rows] == list(SPLITS)
    tiles = [tile for _, _, tiles in scenes_tiles(128) for tile in tiles if tile.split]
    assert sum(row["tiles"] for row in rows) == sum(row["apart"] for row in rows) == len(tiles)
    windows = 2 * sum((144 - side + 1) ** 2 for side in range(128, 145))
    assert all(0.98 * windows * row["tiles"] < row["distinct"] <= windows * row["tiles"] for row in rows)
    assert all(row["sources"] == len(PHOTOS) for row in rows)
    (row,) = [row for row in open_dataset("scenes", 64).describe() if row["split"] == "test"]
    assert row["apart"] == 4 * row["tiles"]


def test_a_negative_index_is_refused():
    with pytest.raises(UsageError, match="no image -1"):
        open_dataset("scenes", 64).split("gan").image(-1)


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
