"""A folder as readers bring it, with one file of each kind, and what becomes of each."""

import errno
import os
import struct
import zlib
from pathlib import Path

import numpy as np
import skimage
import tifffile
from PIL import Image

from fingerprintlib.data.files import Reason

PHOTO = Image.fromarray(np.random.default_rng(0).integers(0, 256, (40, 48, 3), dtype=np.uint8))
LATIN = os.fsdecode(b"caf\xe9.png")  # a name that is no UTF-8

#: What is read, and what the message says of what is not.
READ = [
    "CAPITALS.JPEG",
    "a space.png",
    "deep.png",
    "deep_grey.png",
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
    "turned.jpg",
    "wide_gamut.jpg",
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
    "transparent_palette.png": "partly transparent",
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


def make_wild(home: Path, monkeypatch) -> None:
    """The folder. Root may read everything, so what is closed is simulated."""
    for name in ("folder.png", ".thumbnails", ".git", ".ipynb_checkpoints", "closed"):
        (home / name).mkdir(parents=True)
    inside = ["folder.png/inside.png", ".thumbnails/a.png", ".git/a.png", ".ipynb_checkpoints/a.png", "closed/a.png"]
    plain = ["photo.png", "a space.png", 'it\'s "quoted".png', "new\nline.png", "写真.png", LATIN, ".hidden.png"]
    for name in (*plain, *inside, "closed.png", "photo.webp", "photo.avif", "photo.bmp", "photo.gif", "photo.tiff"):
        PHOTO.save(home / name)
    for name in ("photo.jpg", "photo.jpe", "photo.jfif", "CAPITALS.JPEG", "photo.heic"):
        PHOTO.save(home / name, "JPEG")
    PHOTO.save(home / "progressive.jpg", progressive=True)
    upside_down = Image.Exif()
    upside_down[0x0112] = 3
    PHOTO.save(home / "turned.jpg", exif=upside_down)
    with Image.open(Path(skimage.__file__).parent / "data" / "rocket.jpg") as rocket:  # it has a profile of Adobe RGB
        PHOTO.save(home / "wide_gamut.jpg", icc_profile=rocket.info["icc_profile"])
    PHOTO.save(home / "a key colour.png", transparency=PHOTO.getpixel((3, 4)))
    for name, mode in (("grey", "L"), ("grey_with_alpha", "LA"), ("with_alpha", "RGBA"), ("palette", "P")):
        PHOTO.convert(mode).save(home / f"{name}.png")
    grey = np.arange(40 * 48, dtype=np.uint16).reshape(40, 48)
    Image.fromarray(grey).save(home / "deep_grey.png")
    PHOTO.convert("P").save(home / "transparent_palette.png", transparency=PHOTO.convert("P").getpixel((3, 4)))
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
