"""The photographs of garments: the table, the splits by contributor, making them from the originals."""

import csv
import io
from collections import Counter

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from fingerprintlib.data import clothing
from fingerprintlib.data.datasets import open_dataset
from fingerprintlib.data.decoding import decode
from fingerprintlib.data.images import encode_webp, shrink
from fingerprintlib.data.splits import SHARES, SPLITS, DatasetError
from fingerprintlib.errors import UsageError
from fingerprintlib.project import data_folder


@pytest.fixture
def rng():
    return np.random.default_rng(0)


def test_no_contributor_is_in_two_splits_and_the_shares_come_out():
    rows = clothing.photographs()
    splits = {}
    for row in rows:
        splits.setdefault(row.contributor, set()).add(row.split)
    assert len(splits) == 335
    assert all(len(mine) == 1 for mine in splits.values())
    counts = Counter(row.split for row in rows)
    assert all(abs(counts[split] / len(rows) - share) < 0.001 for split, share in SHARES.items())


def test_the_splits_are_dealt_by_the_numbers_of_photographs_alone():
    rows = clothing.photographs()
    dealt = clothing.deal_contributors(Counter(row.contributor for row in rows))
    assert all(dealt[row.contributor] == row.split for row in rows)


@given(st.dictionaries(st.text("abcdef", min_size=1, max_size=4), st.integers(1, 30), min_size=1, max_size=60))
def test_no_split_misses_its_share_by_more_than_the_largest_contributor(counts):
    dealt = clothing.deal_contributors(counts)
    assert dealt.keys() == counts.keys()
    for split, share in SHARES.items():
        given_ = sum(counts[one] for one, mine in dealt.items() if mine == split)
        assert given_ <= share * sum(counts.values()) + max(counts.values())


def test_the_shipped_photographs_are_those_of_the_table_and_none_is_there_twice():
    rows = clothing.photographs()
    assert len({row.pixels[64] for row in rows}) == len(rows)
    with open(data_folder() / "clothing" / "left_out.csv", newline="") as file:
        left_out = list(csv.DictReader(file))
    assert not {row.name for row in rows} & {row["image"] for row in left_out}
    assert all(row["reason"] for row in left_out)
    data = open_dataset("clothing", 64)
    for split in SPLITS:
        assert data.images(split, 0, 40).shape == (40, 64, 64, 3)  # each is compared with its hash
        assert data.split(split).available == data.split(split).distinct


def test_what_a_row_tells_is_told_of_the_image():
    test = open_dataset("clothing", 64).split("test")
    row = test.rows[7]
    assert (test.source_of(7), test.group_of(7), test.kind_of(7)) == (row.name, row.contributor, row.kind)
    assert len({row.kind for row in test.rows}) == 17


def test_32_pixels_are_made_of_64(home):
    small, large = (open_dataset("clothing", r).images("gan", 0, 3) for r in (32, 64))
    assert all((shrink(b, 32, 32) == a).all() for a, b in zip(small, large, strict=True))


@pytest.mark.parametrize("resolution", [33, 96])
def test_other_resolutions_are_refused(home, resolution):
    with pytest.raises(UsageError, match="32, 64 and 128"):
        open_dataset("clothing", resolution)


def test_128_pixels_have_to_be_made_and_then_are_there(home, tmp_path):
    with pytest.raises(UsageError, match="--resolution 128"):
        open_dataset("clothing", 128)
    assert clothing.make_clothing(tmp_path / "originals", 128) == 12
    image = open_dataset("clothing", 128).images("gan", 0, 1)[0]
    assert (image == clothing.square(decode(tmp_path / "originals/deeper/photo00.jpg"), 128)).all()


def test_more_than_there_are_is_refused(home):
    with pytest.raises(UsageError, match="has 3 photographs; there is no number 3"):
        open_dataset("clothing", 64).images("gan", 0, 4)


def test_a_missing_photograph_is_named(home):
    (home / "64/test/photo03.webp").unlink()
    with pytest.raises(DatasetError, match=r"photo03\.webp missing"):
        open_dataset("clothing", 64)


def test_a_photograph_without_its_row_is_named(home):
    (home / "64/test/stranger.webp").write_bytes((home / "64/test/photo03.webp").read_bytes())
    with pytest.raises(DatasetError, match=r"stranger\.webp in no row"):
        open_dataset("clothing", 64)


def test_an_altered_photograph_is_named(home):
    pixels = decode(home / "64/test/photo03.webp")
    pixels[0, 0, 0] ^= 1
    (home / "64/test/photo03.webp").write_bytes(encode_webp(pixels))
    with pytest.raises(DatasetError, match=r"photo03\.webp is not the photograph"):
        open_dataset("clothing", 64).images("test", 0, 1)


def test_a_damaged_table_is_refused(home):
    (home / "photographs.csv").write_text("image,contributor\nphoto00,c0\n")
    with pytest.raises(DatasetError, match=r"photographs\.csv is missing or damaged"):
        open_dataset("clothing", 64)


def test_the_squares_are_made_again_bit_for_bit(home, tmp_path):
    before = {path: decode(path) for path in home.glob("64/*/*.webp")}
    for path in before:
        path.unlink()
    assert clothing.make_clothing(tmp_path / "originals") == 12
    assert all((decode(path) == pixels).all() for path, pixels in before.items())


@pytest.mark.parametrize("wrong", ["missing", "another"])
def test_nothing_is_made_of_a_folder_with_missing_or_other_pictures(home, tmp_path, wrong):
    original = tmp_path / "originals/deeper/photo05.jpg"
    if wrong == "missing":
        original.unlink()
    else:
        Image.new("RGB", (130, 150), "red").save(original)
    with pytest.raises(UsageError, match=r"photo05.*Nothing was written"):
        clothing.make_clothing(tmp_path / "originals", 128)
    assert not (home / "128").exists()


def test_files_that_the_table_does_not_name_are_passed_over(home, tmp_path):
    Image.new("RGB", (9, 9)).save(tmp_path / "originals/other.jpg")
    assert clothing.make_clothing(tmp_path / "originals") == 12


def test_blocks_and_colour_filters_are_seen_and_noise_is_not(rng):
    noise = [rng.integers(60, 200, (96, 96, 3)).astype(np.uint8) for _ in range(30)]
    coded = []
    for image in noise:
        buffer = io.BytesIO()
        Image.fromarray(image).save(buffer, "JPEG", quality=30)
        coded.append(decode(buffer.getvalue()))
    paired = [np.repeat(image[:, ::2], 2, 1) for image in noise]  # every other step is none
    assert clothing.grid_strength(noise, 8) < 2.5
    assert clothing.grid_strength(noise, 2) < 4
    assert clothing.grid_strength(coded, 8) > 8
    assert clothing.grid_strength(paired, 2) > 20
