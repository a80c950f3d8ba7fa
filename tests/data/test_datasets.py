import os
from collections import Counter

import numpy as np
import pytest
from PIL import Image

from fingerprintlib.data.datasets import SHARES, SPLITS, open_dataset
from fingerprintlib.data.decoding import ImageError
from fingerprintlib.data.images import save_png
from fingerprintlib.data.splits import Joined, split_of
from fingerprintlib.errors import UsageError


def noise(seed: int, height: int = 40, width: int = 48) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)


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


def test_crops_share_their_photograph_and_never_end_files_stand_alone_and_do(folder):
    crops, files = open_dataset("scenes", 32), open_dataset(f"folder:{folder}", 32)
    assert crops.available("test") is None
    groups = crops.groups_of("test", 5, 200)
    assert groups == [crops.split("test").source_of(index) for index in range(5, 205)]
    assert len(set(groups)) <= 22
    count = files.available("gan")
    assert count == files.split("gan").distinct
    assert len(set(files.groups_of("gan", 0, count))) == count


def test_a_small_image_is_named(folder):
    save_png(folder / "tiny.png", noise(0, 31, 400))
    with pytest.raises(ImageError, match=r"1 of 41 images .*tiny\.png is 31 x 400 pixels; .*lower resolution than 32"):
        open_dataset(f"folder:{folder}", 32)


def test_all_files_that_cannot_be_used_are_named_at_once(folder):
    (folder / "broken.jpg").write_bytes(b"not a JPEG")
    cut = folder / "00.png"
    cut.write_bytes(cut.read_bytes()[:3000])
    save_png(folder / "below" / "tiny.png", noise(0, 31, 400))
    with pytest.raises(
        ImageError, match=r"^3 of 42 images cannot be used\. .*00\.png is damaged.*tiny.*broken\.jpg is not"
    ):
        open_dataset(f"folder:{folder}", 32)
    for number in range(100, 130):
        (folder / f"{number}.png").touch()
    with pytest.raises(ImageError, match=r"^33 of 72 images .*And 13 more\.$") as caught:
        open_dataset(f"folder:{folder}", 32)
    assert str(caught.value).count(".png is not an image") == 19


def test_files_of_every_format_count(folder):
    for number, kind in enumerate(("gif", "TIF", "tiff", "avif", "jfif", "jpe", "webp", "bmp")):
        Image.fromarray(noise(100 + number)).save(folder / f"more.{kind}")
    dataset = open_dataset(f"folder:{folder}", 32)
    assert sum(row["distinct"] for row in dataset.describe()) == 48
    for name in SPLITS:
        assert dataset.images(name, 0, dataset.available(name)).shape[1:] == (32, 32, 3)


def test_what_is_passed_over_is_said_once(folder, capsys):
    open_dataset(f"folder:{folder}", 32)
    assert capsys.readouterr().err == ""
    (folder / "notes.txt").write_text("no image")
    (folder / "gone.png").symlink_to(folder / "nowhere")
    save_png(folder / ".thumbnails" / "00.png", noise(200))
    words = "3 passed over: hidden (1), of another suffix (1: .txt), a link to nothing (1)"
    for expected in (f"{folder}: 40 images ({words}).\n", ""):
        open_dataset(f"folder:{folder}", 32)
        assert capsys.readouterr().err == expected


def test_names_that_are_no_text_do_no_harm(folder):
    (folder / "00.png").rename(folder / os.fsdecode(b"caf\xe9\n.png"))
    dataset = open_dataset(f"folder:{folder}", 32)
    assert dataset.hash
    assert sum(len(dataset.images(name, 0, dataset.available(name))) for name in SPLITS) == 40


def test_a_missing_or_empty_folder_is_refused(tmp_path):
    with pytest.raises(UsageError, match=r"no folder .*nowhere"):
        open_dataset(f"folder:{tmp_path / 'nowhere'}", 32)
    with pytest.raises(UsageError, match=r"holds no image\. Name one that does: \.png, .*\.gif\."):
        open_dataset(f"folder:{tmp_path}", 32)
    (tmp_path / "photo.heic").touch()
    with pytest.raises(UsageError, match=r"holds no image \(1 passed over: of another suffix \(1: \.heic\)\)\."):
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


@pytest.mark.parametrize("resolution", [31, 257, 64.0, "64", True, None])
def test_a_resolution_out_of_range_is_refused(resolution):
    with pytest.raises(UsageError, match="32 to 256"):
        open_dataset("scenes", resolution)


@pytest.mark.parametrize("spec", ["photos", "scenes:", "folder", "", "cifar"])
def test_an_unknown_dataset_is_refused(spec):
    with pytest.raises(UsageError, match="Unknown dataset"):
        open_dataset(spec, 64)


def test_an_unknown_split_is_refused_with_the_nearest():
    with pytest.raises(UsageError, match="'validation'"):
        open_dataset("scenes", 64).split("validate")


# --- joined


def test_joined_splits_are_mixed_evenly_and_the_rest_stays(folder):
    dataset = open_dataset(f"folder:{folder}", 32)
    joined = dataset.joined("train", "gan")
    parts = dataset.split("train"), dataset.split("gan")
    both = joined.split("train")
    assert joined.available("train") == both.distinct == sum(part.distinct for part in parts)
    places = {part.source_of(index): (part, index) for part in parts for index in range(part.distinct)}
    assert sorted(both.sources) == sorted(places)
    for index, source in enumerate(both.sources):
        part, place = places[source]
        np.testing.assert_array_equal(both.image(index), part.image(place))
        assert both.source_of(index) == source
        assert both.group_of(index) == part.group_of(place)
        assert both.kind_of(index) == part.kind_of(place)
    for part in parts:  # each in its order, and of any first images about its share
        mine = [index for index, source in enumerate(both.sources) if places[source][0] is part]
        assert [places[both.sources[index]][1] for index in mine] == list(range(part.distinct))
        for first in range(1, both.distinct):
            assert abs(sum(index < first for index in mine) - first * part.distinct / both.distinct) <= 1
    for index in (-1, both.distinct):
        with pytest.raises(UsageError, match="there is no image"):
            both.image(index)
    for name in ("gan", "validation", "test"):
        assert joined.split(name) is dataset.split(name)
    assert joined.hash != dataset.hash


def test_what_has_no_end_needs_no_more():
    scenes = open_dataset("scenes", 32)
    assert scenes.joined("train", "gan") is scenes
    with pytest.raises(UsageError, match="cannot be joined: one has no end"):
        Joined(scenes.split("train"), scenes.split("gan"))
    with pytest.raises(UsageError, match="Unknown split 'gans'"):
        scenes.joined("train", "gans")
