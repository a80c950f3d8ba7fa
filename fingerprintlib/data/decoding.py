"""Image files into pixels: one decoder for every image of every source.

What a file holds comes out as uint8 ``[H, W, 3]``, upright and in sRGB, or not at all: what cannot be judged fairly is
refused in a sentence.
"""

import io
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageCms, ImageFile, ImageOps
from PIL.TiffImagePlugin import TiffImageFile

from ..errors import FingerprintsError

Pixels = NDArray[np.uint8]

# Pillow warns of large images, at a limit of its own, and of odd metadata; what matters is refused here. It is silenced
# once and for all: filters that are set around a call are mixed up where several threads call.
warnings.filterwarnings("ignore", module=r"PIL\.")

MAX_PIXELS = 50_000_000
# Formats whose decoders are plain and self-contained; Pillow would otherwise also try PostScript and the like.
FORMATS = ("PNG", "JPEG", "WEBP", "AVIF", "BMP", "TIFF", "GIF")
#: How names of such files end; compare in small letters.
EXTENSIONS = (".png", ".jpg", ".jpeg", ".jpe", ".jfif", ".webp", ".avif", ".bmp", ".tif", ".tiff", ".gif")
OPAQUE_MODES = ("RGB", "L")
MODES_WITH_ALPHA = ("RGBA", "LA", "P", "PA")
# How Pillow is told to read the two bytes of each value of a PNG: of colours it keeps the high one, or the low one.
LOW_BYTES = {"RGB;16B": "RGB;16L", "RGBA;16B": "RGBA;16L"}
TO_8_BITS = ((np.arange(1 << 16) + 128) // 257).astype(np.uint8)  # the nearest; 65535 is 255 times 257
# Profiles that move no colour by more levels are sRGB's: their makers rounded its primaries and its curve differently.
SAME = 2


class ImageError(FingerprintsError):
    """An image that is missing, damaged, too large, or of a kind that cannot be judged fairly."""


def decode(source: Path | str | bytes, max_pixels: int = MAX_PIXELS, convert: bool = True) -> Pixels:
    """Read one still colour image.

    Grey images become three equal channels, palettes their colours, and an EXIF orientation is applied. PNGs of 16 bits
    are rounded to 8. Nothing is guessed: what has no single honest reading as RGB is refused.

    Colours become sRGB's. An embedded ICC profile is followed (relative colorimetric) unless it is sRGB's own, which
    leaves every pixel as it is, or cannot be followed: one that is damaged or for another kind of image counts as none,
    as in browsers. A PNG without a profile may tell its gamma; libpng's tolerance of 5 % around 1 / 2.2 is sRGB. All
    else counts as sRGB. What Pillow does not show is not heeded: the colour spaces that a PNG (cICP), an AVIF (nclx)
    or a camera's EXIF tell by a number. Nor is a PNG's cHRM.

    Args:
        source: a path, or the bytes of the file.
        max_pixels: larger images are refused from their header, before a pixel is decoded.
        convert: to sRGB; False leaves the numbers as they are stored, whatever colours they stand for.

    Returns:
        uint8 ``[H, W, 3]``.

    Raises:
        ImageError: missing, not to be read, not an image, cut short, too large, several frames (an animation, a TIFF of
            several pages), transparent anywhere, 16 bits a channel and no PNG, or of another mode (CMYK, 1 bit,
            floats).
    """
    name = name_of(source)
    with _opened(source, max_pixels) as image:
        deep = _is_deep_png(image)
        levels, opaque = _deep_levels(image, source) if deep else _levels(image)
        if not opaque:
            raise ImageError(f"{name} is partly transparent. Save it without transparency: as JPEG, or on white.")
        return _in_srgb(levels, image) if convert else _in_8_bits(levels)


def _levels(image: ImageFile.ImageFile) -> tuple[Pixels, bool]:
    """The colours as stored, upright, uint8 ``[H, W, 3]``, and whether all are opaque."""
    image.load()
    upright: Image.Image = ImageOps.exif_transpose(image)
    opaque = True
    if upright.has_transparency_data:
        upright = upright.convert("RGBA")
        opaque = np.asarray(upright)[:, :, 3].min() == 255
    return np.array(upright.convert("RGB"), dtype=np.uint8), opaque


def _deep_levels(image: ImageFile.ImageFile, source: Path | str | bytes) -> tuple[NDArray[np.uint16], bool]:
    """`_levels` of a PNG of 16 bits, uint16 ``[H, W, 3]``.

    Pillow reads grey in full, of colours the high bytes alone; so the file is read again for the low ones.
    """
    if image.mode == "I;16":
        levels = np.array(ImageOps.exif_transpose(image), dtype=np.uint16)[:, :, None]
    else:
        with _open(source) as again:
            again.tile = [tile._replace(args=LOW_BYTES[str(tile.args)]) for tile in again.tile]
            low = np.asarray(ImageOps.exif_transpose(again))
        levels = np.array(ImageOps.exif_transpose(image), dtype=np.uint16) << 8 | low
    key = image.info.get("transparency")  # one colour that stands for none
    opaque = key is None or not (levels == key).all(axis=2).any()
    if image.mode == "RGBA":
        opaque = levels[:, :, 3].min() == (1 << 16) - 1
    return np.broadcast_to(levels[:, :, :3], (*levels.shape[:2], 3)), opaque


def _is_deep_png(image: ImageFile.ImageFile) -> bool:
    """Whether it holds 16 bits a channel; known until its pixels are loaded."""
    return image.format == "PNG" and any(";16" in str(tile.args) for tile in image.tile)


def _in_8_bits(levels: NDArray[Any]) -> Pixels:
    return levels if levels.dtype == np.uint8 else TO_8_BITS[levels]


def _in_srgb(levels: NDArray[Any], image: ImageFile.ImageFile) -> Pixels:
    """Stored colours, uint8 or uint16 ``[H, W, 3]``, as sRGB; `image` says what they are."""
    profile, gamma = image.info.get("icc_profile"), image.info.get("gamma")
    if profile:
        levels = _in_8_bits(levels)
        grey = image.mode in ("L", "LA", "I;16")
        transform = _transform(profile, grey)
        if transform is None:
            return levels
        stored = Image.fromarray(levels[:, :, 0] if transform.input_mode == "L" else levels)
        return np.array(ImageCms.applyTransform(stored, transform))
    if image.format == "PNG" and gamma and "srgb" not in image.info and abs(2.2 * gamma - 1) >= 0.05:
        return _curve(gamma, np.iinfo(levels.dtype).max + 1)[levels]
    return _in_8_bits(levels)


@lru_cache(maxsize=8)  # to prepare one takes longer than to read a small image
def _transform(profile: bytes, grey: bool) -> ImageCms.ImageCmsTransform | None:
    """From a profile's colours to sRGB's; None where they are these, or the profile cannot be followed."""
    try:
        parsed = ImageCms.ImageCmsProfile(io.BytesIO(profile))
        mode = "L" if grey and parsed.profile.xcolor_space.strip() == "GRAY" else "RGB"
        srgb, intent = ImageCms.createProfile("sRGB"), ImageCms.Intent.RELATIVE_COLORIMETRIC
        # Little CMS would make 33 points and lines between of a grey profile's curve, and be 10 levels off in the dark.
        flags = ImageCms.Flags.NOOPTIMIZE if mode == "L" else ImageCms.Flags.NONE
        transform = ImageCms.buildTransform(parsed, srgb, mode, "RGB", intent, flags)
    except (OSError, ImageCms.PyCMSError):
        return None
    steps = np.arange(0, 256, 15, dtype=np.uint8)
    lattice = np.stack(np.meshgrid(steps, steps, steps), axis=-1).reshape(-1, len(steps), 3)
    stored = Image.fromarray(lattice).convert(mode)
    moved = np.array(ImageCms.applyTransform(stored, transform), dtype=int) - np.array(stored.convert("RGB"), dtype=int)
    return transform if np.abs(moved).max() > SAME else None


def _curve(gamma: float, count: int) -> Pixels:
    """The sRGB levels of `count` levels whose light is their ``1 / gamma``-th power (PNG's gAMA, IEC 61966-2-1)."""
    light = np.linspace(0, 1, count) ** (1 / gamma)
    encoded = np.where(light <= 0.0031308, 12.92 * light, 1.055 * light ** (1 / 2.4) - 0.055)
    return np.rint(255 * encoded).astype(np.uint8)


@contextmanager
def _opened(source: Path | str | bytes, max_pixels: int) -> Iterator[ImageFile.ImageFile]:
    """The image with its header checked; whatever the decoder meets in the block becomes an `ImageError`."""
    name = name_of(source)
    try:
        if not isinstance(source, bytes) and not Path(source).is_file():
            raise ImageError(f"There is no image file {name}. Check the path.")
        with _open(source) as image:
            _check_header(image, name, max_pixels)
            yield image
    except ImageError:
        raise
    except Image.UnidentifiedImageError as error:
        raise ImageError(
            f"{name} is not an image, or its header is damaged. Give a file that is one of: {', '.join(FORMATS)}."
        ) from error
    except Image.DecompressionBombError as error:
        raise ImageError(f"{name} is too large: at most {max_pixels:,} pixels are read. Make it smaller.") from error
    except Exception as error:  # on hostile bytes the decoders raise nearly anything
        if isinstance(error, OSError) and error.strerror:  # the system's word, not a decoder's
            raise ImageError(f"{name} cannot be read ({error.strerror}). Check its permissions.") from error
        raise ImageError(f"{name} is damaged ({error}). Save or copy it again.") from error


def _open(source: Path | str | bytes) -> ImageFile.ImageFile:
    return Image.open(io.BytesIO(source) if isinstance(source, bytes) else source, formats=FORMATS)


def _check_header(image: ImageFile.ImageFile, name: str, max_pixels: int) -> None:
    width, height = image.size
    if width * height > max_pixels:
        raise ImageError(
            f"{name} is too large: {width} x {height} pixels, where at most {max_pixels:,} are read. Make it smaller."
        )
    # A telephone's MPO is a JPEG with previews behind it: its first frame is the photograph.
    if getattr(image, "n_frames", 1) > 1 and image.format != "MPO":
        raise ImageError(f"{name} holds several frames. Save one of them as a still image.")
    deep_grey = image.mode == "I;16" and image.format == "PNG"
    if image.mode not in OPAQUE_MODES + MODES_WITH_ALPHA and not deep_grey:
        raise ImageError(f"{name} has the colour mode {image.mode}. Save it as 8-bit RGB.")
    bits = max(image.tag_v2.get(258, (1,))) if isinstance(image, TiffImageFile) else 8
    # Of 16 bits in a TIFF, and of grey with transparency in a PNG, Pillow reads 8, cut off and not rounded.
    if bits > 8 or (_is_deep_png(image) and not deep_grey and image.tile[0].args not in LOW_BYTES):
        raise ImageError(f"{name} has 16 bits a channel. Save it with 8.")


def name_of(source: Path | str | bytes) -> str:
    """What messages call an image: its path, quoted and escaped where that holds what cannot be printed."""
    if isinstance(source, bytes):
        return "The image"
    name = str(source)
    return name if name.isprintable() else repr(name)
