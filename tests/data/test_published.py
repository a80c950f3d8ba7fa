"""Published data sets as real images: their preparation, bit for bit, and their splits."""

import io
import json
import os
import shutil
from collections import Counter

import numpy as np
import pytest
from PIL import Image

from fingerprintlib.data import contents, published
from fingerprintlib.data.catalogue import PUBLISHED, find
from fingerprintlib.data.datasets import SPLITS, open_dataset
from fingerprintlib.data.duplicates import near_duplicates
from fingerprintlib.data.fetching import FetchError, fetch, state
from fingerprintlib.data.published import group
from fingerprintlib.data.splits import SHARES, DatasetError
from fingerprintlib.errors import UsageError

from ..archives import MAKERS, bedrooms, celeba, encoded, lfw, lmdb_of, offer, photo, saved

SIDES = {"cifar10": 32, "stl10": 96, "flowers102": 256, "celeba": 128, "lsun:bedroom": 256, "lfw": 128}


@pytest.fixture
def fetched(shelf, server, monkeypatch):
    """Fetch a tiny data set; the folder."""

    def get(name):
        offer(server, name, monkeypatch)
        return fetch(name)

    return get


def all_images(dataset):
    """Every image of a data set, by its name there."""
    found = {}
    for name in SPLITS:
        split = dataset.split(name)
        found |= {split.source_of(index): split.image(index) for index in range(split.distinct)}
    return found


def homes(dataset):
    """The splits of each image, of each group, and the group of each image."""
    split_of, splits_of, group_of = {}, {}, {}
    for name in SPLITS:
        split = dataset.split(name)
        for index in range(split.distinct):
            source, group = split.source_of(index), split.group_of(index)
            assert source not in split_of
            split_of[source], group_of[source] = name, group
            splits_of.setdefault(group, set()).add(name)
    return split_of, splits_of, group_of


def halved(square):
    """By area, to half the side: means of four pixels, halves rounded up."""
    quarters = square.astype(int).reshape(len(square) // 2, 2, len(square) // 2, 2, 3)
    return ((quarters.sum((1, 3)) + 2) // 4).astype(np.uint8)


# --- the paper's preparation, computed here without the library


def test_celeba_is_the_papers_square_bit_for_bit(fetched):
    folder = fetched("celeba")
    found, halves = all_images(open_dataset("celeba", 128)), all_images(open_dataset("celeba", 64))
    assert len(found) == 60
    for name, pixels in found.items():
        with Image.open(folder / "img_align_celeba" / name) as image:
            expected = np.asarray(image)[121 - 64 : 121 + 64, 89 - 64 : 89 + 64]
        np.testing.assert_array_equal(pixels, expected, err_msg=name)
        np.testing.assert_array_equal(halves[name], halved(expected), err_msg=name)


def test_lsun_is_the_first_bedrooms_their_middle_squares_at_128_bit_for_bit(fetched, monkeypatch):
    monkeypatch.setattr(contents, "FIRST", 40)
    fetched("lsun:bedroom")
    values = bedrooms(50)
    first = sorted(values)[:40]
    found, whole = (all_images(open_dataset("lsun:bedroom", side)) for side in (128, 256))
    assert sorted(found) == sorted(whole) == [key.decode() for key in first]
    shapes = set()
    for key in first:
        with Image.open(io.BytesIO(values[key])) as image:
            shapes.add((image.width > image.height, image.format))
            pixels = np.asarray(image.convert("RGB"))
        crop = min(pixels.shape[:2])
        top, left = ((side - crop) // 2 for side in pixels.shape[:2])
        square = Image.fromarray(pixels[top : top + crop, left : left + crop])
        expected = square.resize((128, 128), Image.Resampling.LANCZOS)  # what Pillow called ANTIALIAS
        np.testing.assert_array_equal(found[key.decode()], np.asarray(expected))
        np.testing.assert_array_equal(whole[key.decode()], np.asarray(square))
    assert len(shapes) == 4  # wide and high, WebP and JPEG


def test_cifar10_and_stl10_are_what_torchvision_reads(fetched):
    from torchvision.datasets import CIFAR10, STL10

    folder = fetched("cifar10")
    real = open_dataset("cifar10", 32)
    found = all_images(real)
    for name, train in (("train", True), ("test", False)):
        for number, (image, _) in enumerate(CIFAR10(folder, train)):
            np.testing.assert_array_equal(found.pop(f"{name} {number}"), np.asarray(image))
    assert not found
    folder = fetched("stl10")
    real = open_dataset("stl10", 96)
    found, halves = all_images(real), all_images(open_dataset("stl10", 48))
    kinds = {real.split(s).source_of(k): real.split(s).kind_of(k) for s in SPLITS for k in range(real.available(s))}
    for name in ("train", "test", "unlabeled"):
        told = STL10(folder, name)
        for number, (image, label) in enumerate(told):
            pixels = found.pop(f"{name} {number}")
            np.testing.assert_array_equal(pixels, np.asarray(image))
            np.testing.assert_array_equal(halves[f"{name} {number}"], halved(pixels))
            assert kinds[f"{name} {number}"] == ("unlabelled" if label < 0 else told.classes[label])
    assert not found


def test_flowers_are_middle_squares_and_faces_of_lfw_middles(fetched):
    folder = fetched("flowers102")
    for name, pixels in all_images(open_dataset("flowers102", 64)).items():
        with Image.open(folder / "jpg" / f"{name}.jpg") as image:
            side = min(image.size)
            left, top = ((length - side) // 2 for length in image.size)
            square = image.crop((left, top, left + side, top + side))
        edges = np.arange(65) * side / 64
        starts, pixel = edges[:-1, None], np.arange(side)
        covered = (np.minimum(edges[1:, None], pixel + 1) - np.maximum(starts, pixel)).clip(0) * 64 / side  # [64, side]
        expected = np.einsum("ay,yxc,bx->abc", covered, np.asarray(square, float), covered, optimize=True)
        assert np.abs(pixels - expected).max() <= 0.5 + 1e-9
    folder = fetched("lfw")
    halves = all_images(open_dataset("lfw", 64))
    for name, pixels in all_images(open_dataset("lfw", 128)).items():
        with Image.open(next(folder.glob(f"lfw_funneled/*/{name}.jpg"))) as image:
            np.testing.assert_array_equal(pixels, np.asarray(image.crop((61, 61, 189, 189))))
        np.testing.assert_array_equal(halves[name], halved(pixels))


# --- splits


@pytest.mark.parametrize("name", MAKERS)
def test_every_image_is_in_one_split_and_so_is_every_group(name, fetched):
    fetched(name)
    real = open_dataset(name, 32)
    split_of, splits_of, _ = homes(real)
    assert all(len(found) == 1 for found in splits_of.values())
    assert len(split_of) == sum(row["distinct"] for row in real.describe())
    what = "people" if PUBLISHED[name].by_person else "groups"
    assert sum(row[what] for row in real.describe()) == len(splits_of)
    again = open_dataset(name, 32)
    assert homes(again) == homes(real)
    assert again.hash == real.hash
    test = real.split("test")
    assert real.images("test", 1, 2).shape == (2, 32, 32, 3)
    for index in (-1, test.distinct):
        with pytest.raises(UsageError, match=rf"split 'test' of {name} has {test.distinct} images; there is no image"):
            test.image(index)


def test_a_person_is_in_one_split_and_so_is_the_same_picture_of_two(fetched):
    folder = fetched("celeba")
    rows = dict(line.split() for line in (folder / "identity_CelebA.txt").read_text().splitlines())
    split_of, _, group_of = homes(open_dataset("celeba", 64))
    for person in set(rows.values()):
        assert len({split_of[name] for name, who in rows.items() if who == person}) == 1
    assert rows["000002.jpg"] != rows["000011.jpg"]
    assert group_of["000002.jpg"] == group_of["000011.jpg"]
    groups = set(rows.values()) - {rows["000002.jpg"], rows["000011.jpg"]}
    assert len(set(group_of.values())) == len(groups) + 1
    fetched("lfw")
    split_of, _, group_of = homes(open_dataset("lfw", 64))
    assert {name: name.rpartition("_")[0] for name in group_of} == group_of


def test_near_duplicates_share_a_split_and_others_do_not(fetched):
    fetched("flowers102")
    real = open_dataset("flowers102", 64)
    split_of, _, group_of = homes(real)
    assert group_of["image_00049"] == group_of["image_00007"] == "image_00007"
    assert group_of["image_00050"] == group_of["image_00009"] == "image_00009"
    assert Counter(group_of.values()).most_common(3)[2][1] == 1
    images = all_images(real)
    names = sorted(images)
    alike = near_duplicates([images[name] for name in names])
    assert len(set(alike)) == len(set(group_of.values())) == 48
    for number in set(alike):
        assert len({split_of[name] for name, one in zip(names, alike, strict=True) if one == number}) == 1


def test_more_images_and_more_people_move_nobody(shelf, server, monkeypatch):
    offer(server, "celeba", monkeypatch)
    fetch("celeba")
    before = homes(open_dataset("celeba", 64))[0]
    shutil.rmtree(shelf)
    monkeypatch.setitem(MAKERS, "celeba", lambda patch: celeba(patch, images=60, people=30) | more(patch))

    def more(patch):
        made = celeba(patch, images=90, people=30)
        table = made["identity_CelebA.txt"].decode().splitlines()
        old = celeba(patch, images=60, people=30)["identity_CelebA.txt"].decode().splitlines()
        lines = old + [f"{line.split()[0]} {100 + k}" for k, line in enumerate(table[60:])]
        made["identity_CelebA.txt"] = "".join(f"{line}\n" for line in lines).encode()
        from torchvision.datasets import CelebA

        from ..archives import md5

        patch.setattr(CelebA, "file_list", [(name, md5(content), name) for name, content in made.items()])
        return made

    monkeypatch.setitem(MAKERS, "celeba", more)
    server.files.clear()
    offer(server, "celeba", monkeypatch)
    fetch("celeba")
    after = homes(open_dataset("celeba", 64))[0]
    assert len(after) == 90
    assert before.items() <= after.items()


def test_the_shares_are_as_stated_and_any_part_is_a_fair_sample():
    homes = Counter(published.split_of(published.content_hash(f"celeba person {k}".encode())) for k in range(10_177))
    for name, share in SHARES.items():
        assert homes[name] / 10_177 == pytest.approx(share, abs=0.02)


def test_the_order_of_a_split_is_not_that_of_the_kinds(fetched):
    """Files are sorted by person: the first of a split are not the first by name."""
    fetched("lfw")
    sources = open_dataset("lfw", 64).split("gan").sources
    assert sources != tuple(sorted(sources))
    positions = np.argsort(np.argsort(sources))
    assert abs(np.corrcoef(positions, np.arange(len(sources)))[0, 1]) < 0.5


def test_what_belongs_together_is_computed_once_and_again_when_it_is_damaged(fetched, monkeypatch):
    place = fetched("flowers102")
    found = group("flowers102")
    assert json.loads((place / "groups.json").read_text()) == found
    assert found["count"] == 50
    assert found["side"] == 256
    computed = []
    compute = published._group
    monkeypatch.setattr(published, "_group", lambda *arguments: computed.append(1) or compute(*arguments))
    assert group("flowers102") == found
    assert not computed
    for text in ("", "{}", json.dumps(found | {"made_of": "another"})):
        (place / "groups.json").write_text(text)
        assert group("flowers102") == found
    assert len(computed) == 3


def test_the_provenance_says_what_the_images_depend_on(fetched):
    fetched("celeba")
    real = open_dataset("celeba", 64)
    told = real.provenance
    assert told["dataset"] == "celeba"
    assert told["files"].keys() == {"img_align_celeba.zip", "identity_CelebA.txt"}
    assert all(len(checksum) == 32 for checksum in told["files"].values())
    assert told["preparation"].startswith("128 x 128 pixels around x = 89, y = 121")
    assert told["count"] == 60
    assert json.loads(json.dumps(told)) == told
    assert open_dataset("celeba", 128).hash != real.hash
    assert open_dataset("celeba", 64, expect=real.hash).hash == real.hash


# --- resolutions


@pytest.mark.parametrize("name", MAKERS)
def test_each_gives_all_resolutions_up_to_its_own(name, fetched):
    fetched(name)
    side = PUBLISHED[name].side
    assert side == SIDES[name]
    for resolution in {32, min(50, side), side}:
        image = open_dataset(name, resolution).split("gan").image(0)
        assert image.shape == (resolution, resolution, 3)
        assert image.dtype == np.uint8
    if side < 256:
        with pytest.raises(
            UsageError, match=rf"{name} has images of {side} pixels: at {side + 1} they would be enlarged"
        ):
            open_dataset(name, side + 1)


def test_folders_give_up_to_256_pixels(tmp_path):
    for number in range(40):
        (tmp_path / f"{number}.jpg").write_bytes(encoded(number, 270, 260))
    assert open_dataset(f"folder:{tmp_path}", 256).split("gan").image(0).shape == (256, 256, 3)
    with pytest.raises(UsageError, match="32 to 256"):
        open_dataset(f"folder:{tmp_path}", 257)


@pytest.mark.parametrize(("name", "words"), [("scenes", "at 32 to 128 pixels"), ("clothing", "at 32, 64 and 128")])
def test_what_comes_with_the_book_stays_at_its_resolutions(name, words):
    with pytest.raises(UsageError, match=words):
        open_dataset(name, 256)


@pytest.mark.parametrize(
    ("name", "resolution", "expected"),
    [
        ("clothing", 32, "f9709a9b3d70b515463aa1875626cd42"),
        ("clothing", 64, "d2fe88512771f987b41a8882240dee7f"),
        ("scenes", 32, "7510b0db4b746caa3c80c2f4f25a7ddb"),
        ("scenes", 64, "3f1b8291185afde69dfbf0e8fb10cdc3"),
        ("scenes", 128, "f78c22d2e2338022e833a805e2baf6af"),
    ],
)
def test_the_hashes_that_the_shipped_networks_were_trained_on_stay(name, resolution, expected):
    """As they were before there were other data sets."""
    assert open_dataset(name, resolution).hash == expected


# --- what is not as it should be


@pytest.mark.parametrize("name", MAKERS)
def test_what_was_not_fetched_says_how(name, shelf):
    with pytest.raises(FetchError, match=rf"^{name} is not in {shelf}: not here\. Run `fing\w+ data get {name}`\.$"):
        open_dataset(name, 32)


def test_a_lost_or_altered_image_is_named(fetched):
    folder = fetched("celeba") / "img_align_celeba"
    real = open_dataset("celeba", 64)
    split = real.split("train")
    for damage in (lambda path: path.unlink(), lambda path: path.write_bytes(b"no image")):
        damage(folder / split.source_of(0))
        with pytest.raises(DatasetError, match=rf"{split.source_of(0)} cannot be used .*fingerprints data check"):
            split.image(0)
    (folder / split.source_of(0)).write_bytes(saved(photo(0, 218, 178)))
    with pytest.raises(DatasetError, match=r"is 218 x 178 pixels, not 178 x 218"):
        split.image(0)


def test_altered_batches_are_not_opened(fetched):
    """They are pickles: what is in them would be run."""
    folder = fetched("cifar10")
    (folder / "cifar-10-batches-py" / "data_batch_3").write_bytes(b"cos\nsystem\n(S'touch pwned'\ntR.")
    with pytest.raises(DatasetError, match=r"is not CIFAR-10 as it was published\. Remove it and run"):
        open_dataset("cifar10", 32)
    assert not os.path.exists("pwned")


def test_damaged_tables_are_named(fetched):
    folder = fetched("celeba")
    (folder / "identity_CelebA.txt").write_text("000001.jpg 3 4\n")
    with pytest.raises(DatasetError, match=r"identity_CelebA\.txt does not tell who is who .*data check celeba"):
        open_dataset("celeba", 64)
    folder = fetched("stl10")
    with open(folder / "stl10_binary" / "train_X.bin", "ab") as file:
        file.write(b"x")
    with pytest.raises(DatasetError, match=r"stl10_binary is not STL-10 .*data check stl10"):
        open_dataset("stl10", 96)


def test_outcomes_that_cannot_be_written_are_said_to_be(fetched, monkeypatch):
    fetched("flowers102")

    def full(*arguments):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(published, "write_json", full)
    with pytest.raises(FetchError, match=r"could not be written to .*groups\.json \(No space left on device\)\. Run"):
        open_dataset("flowers102", 64)


# --- exports of LSUN


def export(shelf, files):
    folder = shelf / "lsun-bedroom" / "bedroom_train_lmdb"
    folder.mkdir(parents=True)
    for name, content in files.items():
        (folder / name).write_bytes(content)
    return folder


def test_a_database_unpacked_by_hand_is_accepted(shelf):
    export(shelf, lmdb_of(bedrooms(40)))
    with pytest.raises(FetchError, match=r"unpacked by hand, not looked through yet\. Run `fingerprints data get "):
        open_dataset("lsun:bedroom", 128)
    fetch("lsun:bedroom")
    assert len(all_images(open_dataset("lsun:bedroom", 128))) == 40


def test_a_database_with_keys_of_another_kind_is_accepted(shelf):
    values = {f"bedroom/{k}".encode(): value for k, value in enumerate(bedrooms(40).values())}
    export(shelf, lmdb_of(values))
    fetch("lsun:bedroom")
    assert sorted(all_images(open_dataset("lsun:bedroom", 64))) == sorted(key.decode() for key in values)


def test_an_export_of_other_names_is_refused_with_what_to_do(shelf):
    folder = shelf / "lsun-bedroom" / "0" / "0"
    folder.mkdir(parents=True)
    (folder / "a.jpg").write_bytes(encoded(0, 300, 256))
    assert state(find("lsun:bedroom")) == "something else is in its folder (0)"
    words = (
        r"holds 0, which is not how lsun:bedroom is unpacked\. Unpacked by hand it is bedroom_train_lmdb/data\.mdb\. "
    )
    with pytest.raises(FetchError, match=words + r"Move it away, or read .*folder:.*lsun-bedroom\."):
        fetch("lsun:bedroom")


@pytest.mark.parametrize(
    ("files", "words"),
    [
        ({"data.mdb": b"no database"}, r"is no LMDB \(.*\)\. Run `fingerprints data check lsun:bedroom`"),
        ({"data.mdb": b""}, "is no LMDB|is cut short|holds no image"),
    ],
)
def test_what_is_no_database_is_refused(files, words, shelf):
    pytest.importorskip("lmdb")
    export(shelf, files)
    fetch("lsun:bedroom")
    with pytest.raises(DatasetError, match=words):
        open_dataset("lsun:bedroom", 128)


def test_a_database_that_is_cut_short_ends_in_a_sentence_not_in_a_crash(shelf):
    files = lmdb_of(bedrooms(40))
    used = len(files["data.mdb"].rstrip(b"\0"))
    export(shelf, files | {"data.mdb": files["data.mdb"][: used // 2]})
    fetch("lsun:bedroom")
    with pytest.raises(DatasetError, match=r"data\.mdb is cut short: [\d,]+ of [\d,]+ bytes\."):
        open_dataset("lsun:bedroom", 128)


def test_values_that_are_no_images_are_refused(shelf):
    export(shelf, lmdb_of({**bedrooms(40), b"0": b"no image"}))
    fetch("lsun:bedroom")
    with pytest.raises(DatasetError, match=r"key b'0' cannot be used"):
        open_dataset("lsun:bedroom", 128)


def test_an_export_of_smaller_images_gives_no_more_than_it_has(shelf):
    values = {str(k).encode(): encoded(k, 120, 100) for k in range(40)}
    export(shelf, lmdb_of(values))
    fetch("lsun:bedroom")
    assert open_dataset("lsun:bedroom", 64).split("gan").image(0).shape == (64, 64, 3)
    with pytest.raises(DatasetError, match="has an image of 100 pixels"):
        open_dataset("lsun:bedroom", 128)


def test_without_lmdb_the_sentence_says_what_to_install(shelf, monkeypatch):
    export(shelf, {"data.mdb": b"x"})
    monkeypatch.setitem(__import__("sys").modules, "lmdb", None)
    fetch("lsun:bedroom")
    with pytest.raises(FetchError, match=r"LSUN is read with the package lmdb\. Install it: `pip install "):
        open_dataset("lsun:bedroom", 128)


def test_a_set_too_small_for_four_splits_is_refused(shelf, server, monkeypatch):
    monkeypatch.setitem(MAKERS, "lfw", lambda patch: lfw(patch, people=2))
    offer(server, "lfw", monkeypatch)
    fetch("lfw")
    with pytest.raises(DatasetError, match=r"lfw in .* has 3 images, and none fell to: "):
        open_dataset("lfw", 64)
