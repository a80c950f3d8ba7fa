"""A folder as readers bring it, with one file of each kind, and what becomes of each."""

import errno
import io
import os
import resource
import struct
import sys
import threading
import warnings
import zlib
from pathlib import Path

import numpy as np
import pytest
import tifffile
from PIL import Image

from fingerprintlib.data import files
from fingerprintlib.data.files import PassedOver, Reason, image_files, in_order, in_words, read_all
from fingerprintlib.data.images import EXTENSIONS, FORMATS, ImageError, decode
from fingerprintlib.errors import UsageError

RNG = np.random.default_rng(0)
PHOTO = Image.fromarray(RNG.integers(0, 256, (40, 48, 3), dtype=np.uint8))
LATIN = os.fsdecode(b"caf\xe9.png")  # a name that is no UTF-8

#: What is read, and what the message says of what is not.
READ = [
    "CAPITALS.JPEG",
    "a space.png",
    "deep.png",
    "folder.png/inside.png",
    "grey.png",
    "grey_with_alpha.png",
    'it\'s "quoted".png',
    "link.png",
    "new\nline.png",
    "palette.png",
    "photo.avif",
    "photo.bmp",
    "photo.gif",
    "photo.jfif",
    "photo.jpe",
    "photo.jpg",
    "photo.png",
    "photo.tiff",
    "photo.webp",
    "progressive.jpg",
    "with_alpha.png",
    "写真.png",
    LATIN,
]
REFUSED = {
    "a key colour.png": "partly transparent",
    "animated.gif": "several frames",
    "animated.png": "several frames",
    "animated.webp": "several frames",
    "checksum.png": "not an image, or its header is damaged",
    "closed.png": r"cannot be read \(Permission denied\)",
    "cmyk.jpg": "colour mode CMYK",
    "cut.jpg": "is damaged",
    "deep.tif": "16 bits a channel",
    "empty.png": "not an image",
    "float.tif": "colour mode F",
    "huge.png": "too large",
    "one_bit.png": "colour mode 1",
    "text.png": "not an image",
    "transparent.png": "partly transparent",
}
PASSED_OVER = {
    ".git": Reason.HIDDEN,
    ".hidden.png": Reason.HIDDEN,
    ".ipynb_checkpoints": Reason.HIDDEN,
    ".thumbnails": Reason.HIDDEN,
    "circle": Reason.AGAIN,
    "closed": Reason.CLOSED,
    "dangling.png": Reason.DANGLING,
    "folder.png/README": Reason.SUFFIX,
    "loop.png": Reason.CIRCLE,
    "notes.txt": Reason.SUFFIX,
    "photo.heic": Reason.SUFFIX,
    "pipe.png": Reason.SPECIAL,
}


@pytest.fixture
def wild(tmp_path, monkeypatch):
    """The folder. Root may read everything, so what is closed is simulated."""
    home = tmp_path / "wild"
    for name in ("folder.png", ".thumbnails", ".git", ".ipynb_checkpoints", "closed"):
        (home / name).mkdir(parents=True)
    inside = ["folder.png/inside.png", ".thumbnails/a.png", ".git/a.png", ".ipynb_checkpoints/a.png", "closed/a.png"]
    plain = ["photo.png", "a space.png", 'it\'s "quoted".png', "new\nline.png", "写真.png", LATIN, ".hidden.png"]
    for name in (*plain, *inside, "closed.png", "photo.webp", "photo.avif", "photo.bmp", "photo.gif", "photo.tiff"):
        PHOTO.save(home / name)
    for name in ("photo.jpg", "photo.jpe", "photo.jfif", "CAPITALS.JPEG", "photo.heic"):
        PHOTO.save(home / name, "JPEG")
    PHOTO.save(home / "progressive.jpg", progressive=True)
    PHOTO.save(home / "a key colour.png", transparency=PHOTO.getpixel((3, 4)))
    for name, mode in (("grey", "L"), ("grey_with_alpha", "LA"), ("with_alpha", "RGBA"), ("palette", "P")):
        PHOTO.convert(mode).save(home / f"{name}.png")
    PHOTO.convert("CMYK").save(home / "cmyk.jpg")
    PHOTO.convert("1").save(home / "one_bit.png")
    PHOTO.convert("F").save(home / "float.tif")
    transparent = PHOTO.convert("RGBA")
    transparent.putpixel((3, 4), (1, 2, 3, 254))
    transparent.save(home / "transparent.png")
    for kind in ("gif", "png", "webp"):
        PHOTO.save(home / f"animated.{kind}", save_all=True, append_images=[PHOTO.rotate(180)])
    data = (home / "photo.jpg").read_bytes()
    (home / "cut.jpg").write_bytes(data[: len(data) * 6 // 10])
    data = (home / "photo.png").read_bytes()
    (home / "checksum.png").write_bytes(data[:29] + bytes([data[29] ^ 1]) + data[30:])
    tifffile.imwrite(home / "deep.tif", np.zeros((40, 48, 3), np.uint16), photometric="rgb")
    (home / "deep.png").write_bytes(zeros_png(40, 48, bits=16))
    (home / "huge.png").write_bytes(zeros_png(20_000, 20_000, bits=8))
    (home / "empty.png").touch()
    for name in ("text.png", "notes.txt", "folder.png/README"):
        (home / name).write_text("This is no image.")
    (home / "link.png").symlink_to(home / "photo.png")
    (home / "dangling.png").symlink_to(home / "nowhere.png")
    (home / "loop.png").symlink_to(home / "loop.png")
    (home / "circle").symlink_to(home)
    os.mkfifo(home / "pipe.png")
    refuse(monkeypatch, "builtins.open", home / "closed.png")
    refuse(monkeypatch, "os.scandir", home / "closed")
    return home


def refuse(monkeypatch, name, path):
    """Have a function of one path say that it may not be read."""
    module, _, function = name.partition(".")
    original = getattr(__import__(module), function)

    def refusing(given, *arguments, **options):
        if given in (path, str(path)):
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(path))
        return original(given, *arguments, **options)

    monkeypatch.setattr(name, refusing)


def zeros_png(height: int, width: int, bits: int) -> bytes:
    """A black RGB image, compressed row by row."""

    def chunk(kind, data):
        return len(data).to_bytes(4, "big") + kind + data + zlib.crc32(kind + data).to_bytes(4, "big")

    rows = zlib.compressobj()
    row = bytes(1 + 3 * bits // 8 * width)
    if height > 100:  # the same bytes tell each next hundred rows; the stream lacks its end, which nobody reads
        first = rows.compress(100 * row) + rows.flush(zlib.Z_FULL_FLUSH)
        data = first + (height // 100 - 1) * (rows.compress(100 * row) + rows.flush(zlib.Z_FULL_FLUSH))
    else:
        data = rows.compress(height * row) + rows.flush()
    header = struct.pack(">IIBBBBB", width, height, bits, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", data) + chunk(b"IEND", b"")


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
