"""A folder as readers bring it, with one file of each kind, and what becomes of each."""

import io
import os
import resource
import sys
import threading
import warnings
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from fingerprintlib.data import files
from fingerprintlib.data.decoding import EXTENSIONS, FORMATS, ImageError, decode
from fingerprintlib.data.files import PassedOver, Reason, image_files, in_order, in_words, read_all
from fingerprintlib.errors import UsageError

from ..wild import LATIN, PASSED_OVER, PHOTO, READ, REFUSED

RNG = np.random.default_rng(0)


def below(home: Path, paths: list[Path]) -> list[str]:
    return [path.relative_to(home).as_posix() for path in paths]


# --- which files


def test_of_a_wild_folder_every_file_is_found_or_listed_with_the_reason(wild):
    found, passed_over = image_files(wild)
    assert found == sorted(found)
    assert sorted(below(wild, found)) == sorted([*READ, *REFUSED])
    assert below(wild, [one.path for one in passed_over]) == sorted(PASSED_OVER)
    assert {one.path: one.reason for one in passed_over} == {wild / name: why for name, why in PASSED_OVER.items()}
    assert {name.partition("/")[0] for name in (*READ, *PASSED_OVER, *REFUSED)} == {*os.listdir(wild)}


def test_what_was_passed_over_is_told_by_reason(wild):
    words = in_words(image_files(wild)[1])
    assert words == (
        "12 passed over: hidden (4), of another suffix (3: .heic, .txt, none), a link to nothing (1), "
        "a link in a circle (1), a folder read already (1), not a regular file (1), not readable (1)"
    )


def test_the_suffixes_are_those_of_the_formats():
    Image.init()
    known = {suffix for suffix, kind in Image.registered_extensions().items() if kind in FORMATS}
    assert known - set(EXTENSIONS) == {".apng", ".avifs"}  # of animations
    assert set(EXTENSIONS) <= known


def test_a_file_is_taken_by_name_whatever_the_name(wild):
    named = [wild / ".hidden.png", wild / "notes.txt", wild / "photo.png", wild / "photo.png"]
    assert image_files(*map(str, named)) == (named[:3], [])
    hidden = wild / ".thumbnails"
    assert image_files(hidden)[0] == [hidden / "a.png"]
    found, passed_over = image_files(wild / "photo.webp", wild, wild / "loop.png")
    assert found[0] == wild / "photo.webp"
    assert len(found) == len(set(found)) == len(READ) + len(REFUSED)
    assert passed_over[-1] == PassedOver(wild / "loop.png", Reason.CIRCLE)
    assert image_files(wild / "folder.png", wild)[1][-1].path == wild / "pipe.png"
    for missing in ("nowhere.png", "dangling.png"):
        with pytest.raises(UsageError, match=f"no file or folder .*{missing}"):
            image_files(wild, wild / missing)


def test_linked_folders_are_read_once(tmp_path):
    for name in ("here", "away"):
        (tmp_path / name).mkdir()
        PHOTO.save(tmp_path / name / f"{name}.png")
    here, away = tmp_path / "here", tmp_path / "away"
    (here / "more").symlink_to(away)
    (here / "most").symlink_to(away)
    (away / "back").symlink_to(here)
    found, passed_over = image_files(here)
    assert below(here, found) == ["here.png", "more/away.png"]
    assert {one.path: one.reason for one in passed_over} == {
        here / "more" / "back": Reason.AGAIN,
        here / "most": Reason.AGAIN,
    }


def test_a_link_to_what_holds_the_folder_does_not_lead_out_of_it(tmp_path):
    here, away = tmp_path / "around" / "here", tmp_path / "away"
    (here / "inside").mkdir(parents=True)
    away.mkdir()
    for folder in (tmp_path, here.parent, here, here / "inside", away):
        PHOTO.save(folder / "photo.png")
    (here / "away").symlink_to(away)  # elsewhere: followed
    for link, to in {here / "up": here.parent, here / "inside" / "out": tmp_path, away / "back": tmp_path}.items():
        link.symlink_to(to)
    (here / "inside" / "self").symlink_to(here)
    (tmp_path / "nickname").symlink_to(here)  # by which it may be named
    for named in (here, tmp_path / "nickname"):
        found, passed_over = image_files(named)
        assert below(named, found) == ["away/photo.png", "inside/photo.png", "photo.png"]
        assert {below(named, [one.path])[0]: one.reason for one in passed_over} == {
            "away/back": Reason.CIRCLE,
            "inside/out": Reason.CIRCLE,
            "inside/self": Reason.AGAIN,
            "up": Reason.CIRCLE,
        }
    assert "a link in a circle (3)" in in_words(passed_over)
    assert here.parent / "photo.png" in image_files(here, here.parent)[0]  # it was named


# --- reading


def test_of_a_wild_folder_every_image_is_read_or_refused_by_name(wild):
    found, _ = image_files(wild)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    results = list(read_all(found))
    grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - peak
    # 20,000 x 20,000 pixels would be 1.2 GB: none was decoded.
    assert grown * (1 if sys.platform == "darwin" else 1024) < 300e6
    assert [path for path, _ in results] == found
    for name, (path, result) in zip(below(wild, found), results, strict=True):
        if name in REFUSED:
            assert isinstance(result, ImageError), name
            assert result.args[0].startswith(str(path)), name
            assert pytest.raises(ImageError, match=REFUSED[name]).matches(result), name
        else:
            assert np.array_equal(result, decode(path)), name
            assert result.shape == (40, 48, 3), name


def test_what_is_without_loss_is_the_photograph(wild):
    exact = [wild / name for name in ("photo.png", "photo.bmp", "photo.tiff", "link.png", "with_alpha.png", LATIN)]
    for path, pixels in read_all(exact):
        assert np.array_equal(pixels, PHOTO), path


def test_what_is_no_file_is_refused_without_waiting(wild):
    for name in ("pipe.png", "dangling.png", "loop.png", "folder.png", "circle"):
        with pytest.raises(ImageError, match=f"no image file .*{name}"):
            decode(wild / name)


def test_threads_do_not_mix_up_images_or_warnings(tmp_path):
    images = RNG.integers(0, 256, (60, 64, 64, 3), dtype=np.uint8)
    paths = [tmp_path / f"{number}.png" for number in range(len(images))]
    profiles = [Image.open(io.BytesIO(icc)).info["icc_profile"] for icc in profile_carriers()]
    for number, (path, image) in enumerate(zip(paths, images, strict=True)):
        Image.fromarray(image).save(path, icc_profile=[None, *profiles][number % (1 + len(profiles))])
    before = list(warnings.filters)
    alone = [decode(path) for path in paths]
    together = [pixels for _, pixels in read_all(paths, threads=8)]
    assert np.array_equal(together, alone)
    assert not np.array_equal(alone, images)
    assert warnings.filters == before


def profile_carriers() -> list[bytes]:
    """Two photographs with profiles: sRGB and Adobe RGB."""
    import skimage

    folder = Path(skimage.__file__).parent / "data"
    return [(folder / name).read_bytes() for name in ("astronaut.png", "rocket.jpg")]


@pytest.mark.parametrize("threads", [1, 2, 5])
def test_results_come_in_order_and_few_are_ahead(threads):
    taken = []

    def items():
        for number in range(50):
            taken.append(number)
            yield number

    for number, result in enumerate(in_order(lambda item: item**2, items(), threads)):
        assert result == number**2
        assert len(taken) <= number + 1 + threads
    assert len(taken) == 50


def test_files_are_read_side_by_side():
    both = threading.Barrier(2)
    assert len(list(in_order(lambda _: both.wait(timeout=20), range(4), threads=2))) == 4


def test_whoever_stops_reading_stops_the_threads():
    taken = []
    results = in_order(taken.append, range(1000), threads=2)
    next(results)
    results.close()
    assert len(taken) <= 3
    assert not [thread for thread in threading.enumerate() if "ThreadPoolExecutor" in thread.name]


def test_what_is_no_fault_of_an_image_is_raised(monkeypatch):
    def broken(path):
        raise ZeroDivisionError

    monkeypatch.setattr(files, "decode", broken)
    with pytest.raises(ZeroDivisionError):
        list(read_all([Path("a.png")]))
    with pytest.raises(UsageError, match="0 threads"):
        list(read_all([], threads=0))
