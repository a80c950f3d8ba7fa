"""Folders become labelled pictures, and what a network could learn instead of fingerprints is found."""

import io
import re
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image, ImageCms
from scipy.stats import binomtest

from fingerprintlib.data.decoding import decode
from fingerprintlib.data.files import Reason
from fingerprintlib.data.headers import Header, nearest_quality, read_header
from fingerprintlib.errors import UsageError
from fingerprintlib.forensics import findings
from fingerprintlib.forensics.findings import _distributions, _shares
from fingerprintlib.forensics.learning import add_source
from fingerprintlib.forensics.pictures import SHARES, Pictures
from fingerprintlib.forensics.sources import open_again, open_beside, open_sources
from fingerprintlib.forensics.viewing import seen

from .planted import NAMES, labelled, planted, write

RNG = np.random.default_rng(0)


@pytest.fixture
def home(tmp_path):
    """Three sources of forty images each that differ in nothing but what is planted."""
    for name in NAMES:
        write(tmp_path / "home" / name, planted(name, 40))
    return tmp_path / "home"


def warned(found):
    return " ".join(found.warnings)


# --- headers ------------------------------------------------------------------------------------


@pytest.mark.parametrize("quality", [1, 30, 75, 90, 95, 100])
def test_the_quality_of_a_jpeg_is_read_off_its_tables(tmp_path, quality):
    image = Image.fromarray(planted("real", 1)[0])
    image.save(tmp_path / "a.jpg", quality=quality)
    image.convert("L").save(tmp_path / "grey.jpg", quality=quality, progressive=True)
    assert read_header(tmp_path / "a.jpg") == Header("JPEG", quality, False, 32)
    assert read_header(tmp_path / "grey.jpg").quality == quality


def test_the_scale_is_libjpegs():
    """The first numbers of the table of the JPEG standard (ITU-T T.81, annex K), which libjpeg takes for 50."""
    with Image.open(io.BytesIO(jpeg(50))) as image:
        table = image.quantization[0]
    assert table[:8] == [16, 11, 10, 16, 24, 40, 51, 61]
    assert nearest_quality(table) == 50
    assert nearest_quality([2 * number for number in table]) == 25  # as libjpeg scales it: 5000 / quality per cent


def jpeg(quality):
    file = io.BytesIO()
    Image.new("RGB", (8, 8)).save(file, "JPEG", quality=quality)
    return file.getvalue()


def test_headers_of_other_formats(tmp_path):
    image = Image.fromarray(planted("real", 1)[0][:20])
    srgb = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    image.save(tmp_path / "a.png", icc_profile=srgb)
    image.save(tmp_path / "a.webp")
    image.save(tmp_path / "a.mpo", save_all=True, append_images=[image], quality=80)
    assert read_header(tmp_path / "a.png") == Header("PNG", None, True, 20)
    assert read_header(tmp_path / "a.webp") == Header("WEBP", None, False, 20)
    assert read_header(tmp_path / "a.mpo") == Header("JPEG", 80, False, 20)


# --- opening ------------------------------------------------------------------------------------


def test_sub_folders_are_the_sources_photographs_first(home):
    (home / "columns").rename(home / "Columns")
    write(home / ".hidden", planted("real", 2))
    write(home / "rows" / "deeper", planted("rows", 5, seed=1))
    (home / "rows" / "notes.txt").write_text("Not an image.")
    (home / "rows" / "broken.png").write_text("Not an image, either.")
    (home / "loose.png").write_bytes((home / "rows" / "000.png").read_bytes())
    pictures, found = open_sources(home, side=32)
    assert pictures.class_names == ("real", "Columns", "rows")
    assert pictures.resolution == 32
    assert found.counts == {
        name: {split: int((pictures.split(split)[1] == k).sum()) for split in SHARES}
        for k, name in enumerate(pictures.class_names)
    }
    assert [sum(some.values()) for some in found.counts.values()] == [40, 40, 45]
    assert len(found.unread) == 1
    assert str(home / "rows" / "broken.png") in found.unread[0]
    assert {one.path.name: one.reason for one in found.passed_over} == {
        ".hidden": Reason.HIDDEN,
        "loose.png": Reason.BESIDE,
        "notes.txt": Reason.SUFFIX,
    }
    assert pictures.told["folders"]["rows"] == str(home / "rows")
    assert open_sources(home, side=32)[0].hash == pictures.hash
    assert open_sources(home, side=32, seed=1)[0].hash != pictures.hash


@pytest.mark.parametrize("view", ["shrunk", "middle"])
def test_larger_images_are_brought_to_size_and_smaller_ones_listed(home, view):
    large = RNG.integers(0, 256, (25, 50, 70, 3), np.uint8)
    write(home / "large", large)
    Image.fromarray(large[0][:31]).save(home / "large" / "small.png")
    pictures, found = open_sources(home, side=32, view=view)
    k = pictures.class_names.index("large")
    mine = np.concatenate([pictures.split(s)[0][pictures.split(s)[1] == k] for s in SHARES])
    expected = [seen(image, 32, view) for image in large]
    assert sorted(image.tobytes() for image in mine) == sorted(image.tobytes() for image in expected)
    small = home / "large" / "small.png"
    assert found.unread == (f"{small} has 70 x 31 pixels, and 32 x 32 are looked at. Give another.",)


def test_several_files_of_one_picture_are_in_one_split_and_those_of_two_sources_are_told(home):
    for number in range(0, 40, 2):
        image = Image.fromarray(decode(home / "real" / f"{number:03}.png"))
        image.save(home / "real" / f"{number:03}.jpg", quality=95)
    (home / "rows" / "stolen.png").write_bytes((home / "real" / "003.png").read_bytes())
    pictures, found = open_sources(home, side=32)
    for split in SHARES:
        assert not {*pictures.groups(split)} & {g for s in SHARES if s != split for g in pictures.groups(s)}
    told = warned(found)
    assert "Of the 60 images of real, 41 are as good as the same as another one; they count as 40 pictures." in told
    both = f"{home / 'real' / '003.png'} and {home / 'rows' / 'stolen.png'}"
    assert f"in folders of several sources, 1 times: {both}." in warned(found)


def test_without_anything_odd_only_the_number_is_warned_of(home):
    _, found = open_sources(home, side=32)
    assert [warning[:21] for warning in found.warnings] == ["There are fewer than ", "The line above which "]
    assert "real (40), columns (40), rows (40)" in found.warnings[0]
    assert "drawn by 6 photographs" in found.warnings[1]
    assert found.unread == found.passed_over == ()


@pytest.mark.parametrize(
    ("make", "side", "message"),
    [
        (lambda home: home / "nowhere", 32, "There is no folder .*nowhere"),
        (lambda home: home / "real", 32, "real has 0 sub-folders. Give it one for each source, two at least"),
        (lambda home: home, 33, "side must be one of 32, 64, 128, 256 pixels, not 33"),
        (lambda home: home, 64, r"No image of the source 'real' can be used. .*000.png has 32 x 32 pixels"),
        (lambda home: (home / "empty").mkdir() or home, 32, "There is no image in .*empty. Give some: .png"),
        (lambda home: write(home / "few", planted("diagonal", 19)) or home, 32, "'few' has 19 images; 20 are needed"),
        (lambda home: (home / "rows").rename(home / "unknown").parent, 32, "A source cannot be called 'unknown'"),
        (lambda home: write(home / "same", 30 * [planted("diagonal", 1)[0]]) or home, 32, "'same' show the same"),
    ],
)
def test_what_cannot_be_learned_from(home, make, side, message):
    with pytest.raises(UsageError, match=message):
        open_sources(make(home), side)


def test_an_unknown_view_is_refused(home):
    with pytest.raises(UsageError, match="Did you mean 'middle'"):
        open_sources(home, 32, "midle")


# --- what differs -------------------------------------------------------------------------------


def test_differences_of_files_are_told(home):
    write(home / "jpeg", planted("diagonal", 40), ".jpg", quality=80)
    write(home / "worse", planted("diagonal", 40, seed=1), ".jpg", quality=50)
    write(home / "profile", planted("real", 40, seed=2), icc_profile=b"some colours")
    write(home / "large", RNG.integers(0, 256, (40, 48, 70, 3), np.uint8))
    told = warned(open_sources(home, side=32)[1])
    assert "The file formats differ: real: 100% PNG; columns: 100% PNG; jpeg: 100% JPEG; large: 100% PNG;" in told
    assert "profile: 100% with" in told
    assert "The JPEG qualities differ: jpeg 80; worse 50." in told
    assert "The sizes differ (shorter side, in pixels): real 32; columns 32; jpeg 32; large 48;" in told


def test_colours_that_tell_the_sources_are_told(home):
    write(home / "dark" / "real", planted("real", 40))
    write(home / "dark" / "night", planted("real", 40, seed=1) // 2)
    (warning,) = [one for one in open_sources(home / "dark", side=32)[1].warnings if one.startswith("Colours alone")]
    assert "where guessing gives 50%" in warning
    assert "most of all" in warning


def test_uneven_sources_and_missing_photographs_are_told(home):
    write(home / "rows", planted("rows", 130, seed=3))
    (home / "real").rename(home / "photographs")
    told = warned(open_sources(home, side=32)[1])
    assert "There are 130 images of rows and 40 of columns" in told
    assert "No source is called 'real'" in told
    assert "The line above" not in told


def test_a_chance_difference_is_none():
    """Of a thousand pairs drawn alike hardly one is told to differ."""
    told = 0
    for _ in range(200):
        labels = np.repeat([0, 1], 60)
        told += bool(_shares(["a", "b"], RNG.choice(["PNG", "JPEG"], 120), labels))
        told += bool(_distributions(["a", "b"], RNG.integers(60, 100, 120), labels))
    assert told <= 4


# --- one more source ----------------------------------------------------------------------------


def test_behind_a_corpus_its_own_images_stay_where_they_are(pictures, home):
    write(home / "diagonal", planted("diagonal", 30), ".jpg", quality=95)
    joined, found = open_beside(pictures, {"diagonal": home / "diagonal"}, seed=4)
    assert joined.class_names == (*NAMES, "diagonal")
    alone = [decode(path) for path in sorted((home / "diagonal").iterdir())]
    mine = []
    for split in SHARES:
        images, labels = joined.split(split)
        old = len(pictures.split(split)[1])
        assert np.array_equal(images[:old], pictures.split(split)[0])
        assert np.array_equal(labels[:old], pictures.split(split)[1])
        assert (labels[old:] == 3).all()
        assert not {*joined.groups(split)[:old]} & {*joined.groups(split)[old:]}
        mine += [image.tobytes() for image in images[old:]]
    assert sorted(mine) == sorted(image.tobytes() for image in alone)
    assert [sum(some.values()) for some in found.counts.values()] == [120, 120, 120, 30]
    told = warned(found)
    assert "The file formats differ: real: 100% PNG; columns: 100% PNG; rows: 100% PNG; diagonal: 100% JPEG." in told
    with pytest.raises(UsageError, match="Two sources are called 'rows'"):
        open_beside(pictures, {"rows": home / "diagonal"})


@pytest.fixture
def from_folders(learned, home, tmp_path):
    """An attributor that says it learned from the folders."""
    pictures, _ = open_sources(home, side=32, seed=5)
    provenance = {**learned.provenance, **pictures.told, "recipe": {"corpus": pictures.hash}}
    return replace(learned, provenance=provenance), pictures


def test_old_sources_are_found_where_they_were_and_lie_in_the_same_splits(from_folders, home, tmp_path):
    attributor, before = from_folders
    write(tmp_path / "new", planted("diagonal", 30))
    pictures, found = open_again(attributor, {"diagonal": tmp_path / "new"}, tmp_path)
    assert pictures.only(3).hash == before.hash
    assert "not those that the attributor learned from" not in warned(found)
    write(home / "rows" / "more", planted("rows", 1, seed=8))
    assert "not those that the attributor learned from" in warned(
        open_again(attributor, {"diagonal": tmp_path / "new"}, tmp_path)[1]
    )


def test_old_sources_may_lie_elsewhere(from_folders, home, tmp_path):
    attributor, before = from_folders
    write(tmp_path / "new", planted("diagonal", 30))
    moved = home.rename(tmp_path / "moved")
    with pytest.raises(UsageError, match=r"no folder of images of real, columns, rows.*--old FOLDER"):
        open_again(attributor, {"diagonal": tmp_path / "new"}, tmp_path)
    pictures, _ = open_again(attributor, {"diagonal": tmp_path / "new"}, tmp_path, moved)
    assert pictures.only(3).hash == before.hash
    assert pictures.told["folders"] == {
        **{name: str(moved / name) for name in NAMES},
        "diagonal": str(tmp_path / "new"),
    }


def test_what_is_neither_in_a_folder_nor_in_the_zoo_is_asked_for(learned, tmp_path):
    with pytest.raises(UsageError, match=r"no folder of images of columns, rows: .*--old FOLDER"):
        open_again(learned, {"diagonal": tmp_path}, tmp_path)


def test_what_the_zoo_has_is_drawn_from_it(learned, tmp_path, monkeypatch):
    asked = []

    def zoo_images(names, folder):
        asked.append((names, folder))
        return Pictures.dealt(*labelled(20, ("real", "rows")), names)

    monkeypatch.setattr("fingerprintlib.forensics.sources.zoo_images", zoo_images)
    write(tmp_path / "new", planted("diagonal", 30))
    write(tmp_path / "added", planted("columns", 30))
    provenance = {**learned.provenance, "folders": {"added": str(tmp_path / "added")}}
    attributor = replace(learned, class_names=("real", "sngan", "added"), provenance=provenance)
    pictures, _ = open_again(attributor, {"diagonal": tmp_path / "new"}, tmp_path / "keep")
    assert asked == [(["real", "sngan"], tmp_path / "keep")]
    assert pictures.class_names == ("real", "sngan", "added", "diagonal")


def test_folders_of_all_sources_are_remembered(from_folders, home, tmp_path, monkeypatch):
    attributor, pictures = from_folders
    write(tmp_path / "new", planted("diagonal", 30))
    joined, _ = open_beside(pictures, {"diagonal": tmp_path / "new"})
    monkeypatch.setattr("fingerprintlib.forensics.learning.hardened", lambda *rest, **options: attributor)
    made = add_source(attributor, joined, tmp_path)
    assert made.provenance["folders"]["rows"] == str(home / "rows")


def test_how_many_photographs_show_that_alarms_are_rare():
    told = [*findings._numbers({"real": {"validation": 333}, "rows": {"validation": 333}})]
    (wanted,) = [int(count.replace(",", "")) for one in told for count in re.findall(r"takes about ([\d,]+)", one)]
    upper = binomtest(0, wanted).proportion_ci(0.9).high  # two-sided: its upper end is a 95 % limit
    assert upper == pytest.approx(findings.ALARMS, rel=0.01)
    assert [*findings._numbers({"real": {"validation": wanted}, "rows": {"validation": wanted}})] == []
