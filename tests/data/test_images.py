import errno
import io
import math
import os
import struct
import zlib
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
import skimage
import tifffile
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays
from PIL import Image, ImageCms

from fingerprintlib.data.decoding import ImageError, decode, name_of
from fingerprintlib.data.images import (
    COLOURS,
    centre_square,
    coloured,
    encode_png,
    encode_webp,
    equalize,
    grid,
    luma,
    luma_of_planes,
    quantize,
    resize,
    save_png,
    shrink,
    to_network,
    to_tensor,
)
from fingerprintlib.errors import UsageError

RNG = np.random.default_rng(0)
PHOTO = RNG.integers(0, 256, (20, 30, 3), dtype=np.uint8)
square_images = arrays(np.uint8, array_shapes(min_dims=2, max_dims=2, max_side=24).map(lambda shape: (*shape, 3)))


def encoded(image: Image.Image, kind: str = "PNG", **options: object) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, format=kind, **options)
    return buffer.getvalue()


@given(square_images)
@settings(max_examples=50, deadline=None)
def test_png_keeps_every_pixel(image):
    assert np.array_equal(decode(encode_png(image)), image)


def test_a_path_reads_like_its_bytes(tmp_path):
    save_png(tmp_path / "a.png", PHOTO)
    assert np.array_equal(decode(tmp_path / "a.png"), PHOTO)
    assert np.array_equal(decode(str(tmp_path / "a.png")), PHOTO)
    assert [path.name for path in tmp_path.iterdir()] == ["a.png"]


@pytest.mark.parametrize("mode", ["L", "P", "RGBA", "LA"])
def test_opaque_modes_become_rgb(mode):
    image = Image.fromarray(PHOTO).convert(mode)
    assert np.array_equal(decode(encoded(image)), np.asarray(image.convert("RGB")))


@pytest.mark.parametrize("mode", ["RGBA", "LA"])
def test_transparency_is_refused(mode):
    image = Image.fromarray(PHOTO).convert(mode)
    image.putpixel((3, 4), (*image.getpixel((3, 4))[:-1], 254))
    with pytest.raises(ImageError, match="transparent"):
        decode(encoded(image))


def test_a_transparent_palette_colour_or_key_colour_is_refused():
    palette = Image.fromarray(PHOTO).convert("P")
    with pytest.raises(ImageError, match="transparent"):
        decode(encoded(palette, transparency=palette.getpixel((0, 0))))
    rgb = Image.fromarray(PHOTO)
    with pytest.raises(ImageError, match="transparent"):
        decode(encoded(rgb, transparency=rgb.getpixel((0, 0))))


@pytest.mark.parametrize(("mode", "kind"), [("CMYK", "JPEG"), ("1", "PNG"), ("I;16", "TIFF"), ("F", "TIFF")])
def test_other_modes_are_refused_by_name(mode, kind):
    image = Image.new(mode, (8, 8)) if mode == "I;16" else Image.fromarray(PHOTO).convert(mode)
    with pytest.raises(ImageError, match=f"colour mode {mode}"):
        decode(encoded(image, kind))


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "TIFF", "AVIF"])
def test_exif_orientation_is_applied(kind):
    # What the tag says of the first row and column as stored (EXIF 2.32, 4.6.4 A): where they are to be shown.
    shown = {
        1: lambda a: a,  # top, left
        2: lambda a: a[:, ::-1],  # top, right
        3: lambda a: a[::-1, ::-1],  # bottom, right
        4: lambda a: a[::-1],  # bottom, left
        5: lambda a: a.swapaxes(0, 1),  # left, top
        6: lambda a: a.swapaxes(0, 1)[:, ::-1],  # right, top
        7: lambda a: a.swapaxes(0, 1)[::-1, ::-1],  # right, bottom
        8: lambda a: a.swapaxes(0, 1)[::-1],  # left, bottom
    }
    options = {"lossless": True} if kind == "WEBP" else {}
    stored = decode(encoded(Image.fromarray(PHOTO), kind, **options))
    for orientation, turned in shown.items():
        exif = Image.Exif()
        exif[0x0112] = orientation
        data = encoded(Image.fromarray(PHOTO), kind, exif=exif, **options)
        assert np.array_equal(decode(data), turned(stored)), orientation


@pytest.mark.parametrize("kind", ["GIF", "WEBP", "PNG", "TIFF", "AVIF"])
def test_several_frames_are_refused(kind):
    frames = [Image.fromarray(PHOTO), Image.fromarray(PHOTO[::-1].copy())]
    data = encoded(frames[0], kind, save_all=True, append_images=frames[1:])
    with pytest.raises(ImageError, match="several frames"):
        decode(data)


def test_a_progressive_jpeg_reads_like_a_plain_one():
    plain, progressive = (encoded(Image.fromarray(PHOTO), "JPEG", progressive=flag) for flag in (False, True))
    assert b"\xff\xc2" in progressive  # the marker of a progressive frame
    assert np.array_equal(decode(progressive), decode(plain))


def test_a_photograph_with_a_preview_behind_it_is_read():
    photo, preview = Image.fromarray(PHOTO), Image.fromarray(PHOTO[:8, :8].copy())
    data = encoded(photo, "MPO", save_all=True, append_images=[preview])
    assert decode(data).shape == (20, 30, 3)


def test_a_missing_file_and_a_text_are_refused_by_name(tmp_path):
    with pytest.raises(ImageError, match=r"no image file .*nowhere\.png"):
        decode(tmp_path / "nowhere.png")
    (tmp_path / "text.png").write_text("This is no image.")
    with pytest.raises(ImageError, match=r"text\.png is not an image"):
        decode(tmp_path / "text.png")
    with pytest.raises(ImageError, match="no image file"):
        decode(tmp_path)
    (tmp_path / "empty.png").touch()
    with pytest.raises(ImageError, match=r"empty\.png is not an image"):
        decode(tmp_path / "empty.png")


def test_a_file_that_may_not_be_read_is_not_called_damaged(tmp_path, monkeypatch):
    save_png(tmp_path / "closed.png", PHOTO)

    def refuse(*arguments, **options):
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))

    for refusing in ("builtins.open", "pathlib.Path.is_file"):  # the file, or a folder above it
        with monkeypatch.context() as patch:
            patch.setattr(refusing, refuse)
            with pytest.raises(ImageError) as caught:
                decode(tmp_path / "closed.png")
        assert str(caught.value).endswith("closed.png cannot be read (Permission denied). Check its permissions.")
    with pytest.raises(ImageError, match=r"cannot be read .*too long"):
        decode(tmp_path / ("a" * 300))


def test_names_that_cannot_be_printed_are_escaped_in_messages(tmp_path):
    for name, told in {
        "naïve 写真.png": "naïve 写真.png",
        "new\nline.png": "new\\nline.png",
        "\udce9.png": "\\udce9.png",
    }.items():
        assert name_of(Path(name)) in (told, f"'{told}'")
        (tmp_path / name).write_text("no image")
        with pytest.raises(ImageError) as caught:
            decode(tmp_path / name)
        assert told in str(caught.value)
        str(caught.value).encode()  # a lone surrogate would end this
        save_png(tmp_path / name, PHOTO)
        assert np.array_equal(decode(tmp_path / name), PHOTO)


def test_a_vector_format_is_not_run():
    with pytest.raises(ImageError, match="not an image"):
        decode(encoded(Image.fromarray(PHOTO), "EPS"))


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "WEBP", "AVIF", "BMP"])
def test_a_truncated_file_is_refused_by_name(tmp_path, kind):
    data = encoded(Image.fromarray(RNG.integers(0, 256, (64, 64, 3), dtype=np.uint8)), kind)
    path = tmp_path / f"cut.{kind.lower()}"
    path.write_bytes(data[: len(data) * 6 // 10])
    with pytest.raises(ImageError, match=r"cut\.\w+ is (damaged|not an image)"):
        decode(path)


def test_a_large_image_is_refused_before_it_is_decoded():
    with pytest.raises(ImageError, match="20 pixels, where at most 599"):
        decode(encode_png(PHOTO), max_pixels=599)
    assert decode(encode_png(PHOTO), max_pixels=600).shape == (20, 30, 3)
    # A header that promises 40 000 x 40 000 pixels, and nothing behind it: reading on would say "damaged".
    header = chunk(b"IHDR", struct.pack(">IIBBBBB", 40_000, 40_000, 8, 2, 0, 0, 0))
    with pytest.raises(ImageError, match="too large"):
        decode(SIGNATURE + header + chunk(b"IDAT", b""))


# --- PNGs written here, chunk by chunk: 16 bits, gamma, profiles, checksums

SIGNATURE = b"\x89PNG\r\n\x1a\n"
# Where the seven passes of an interlaced PNG start, and their steps: row, column, row step, column step.
ADAM7 = [(0, 0, 8, 8), (0, 4, 8, 8), (4, 0, 8, 4), (0, 2, 4, 4), (2, 0, 4, 2), (0, 1, 2, 2), (1, 0, 2, 1)]


def chunk(kind: bytes, data: bytes) -> bytes:
    return len(data).to_bytes(4, "big") + kind + data + zlib.crc32(kind + data).to_bytes(4, "big")


def png(levels: np.ndarray, *chunks: bytes, interlaced: bool = False) -> bytes:
    """``[H, W, 1..4]`` of uint8 or uint16 as a PNG; its rows take turns in three of the filters."""
    height, width, channels = levels.shape
    rows = []
    for top, left, down, right in ADAM7 if interlaced else [(0, 0, 1, 1)]:
        above = 0
        for number, row in enumerate(levels[top::down, left::right]):
            values = np.frombuffer(row.astype(row.dtype.newbyteorder(">")).tobytes(), np.uint8)
            before = np.concatenate([np.zeros(channels * levels.itemsize, np.uint8), values])[: len(values)]
            filtered = values - (0, before, above)[number % 3]  # none, sub, up
            rows.append(bytes([number % 3]) + filtered.tobytes())
            above = values
    kind = {1: 0, 2: 4, 3: 2, 4: 6}[channels]
    header = struct.pack(">IIBBBBB", width, height, 8 * levels.itemsize, kind, 0, 0, interlaced)
    data = zlib.compress(b"".join(rows))
    return SIGNATURE + chunk(b"IHDR", header) + b"".join(chunks) + chunk(b"IDAT", data) + chunk(b"IEND", b"")


def deep(channels: int) -> np.ndarray:
    """Every one of 65,536 levels in each channel, in another order: uint16 ``[256, 256, channels]``."""
    return np.stack([RNG.permutation(1 << 16).astype(np.uint16).reshape(256, 256) for _ in range(channels)], axis=-1)


def nearest(levels: np.ndarray) -> np.ndarray:
    return np.rint(levels / 65535 * 255).astype(np.uint8)


@pytest.mark.parametrize("interlaced", [False, True])
@pytest.mark.parametrize("channels", [1, 3, 4])
def test_a_png_of_16_bits_is_rounded_to_8(channels, interlaced):
    levels = deep(channels)
    if channels == 4:
        levels[:, :, 3] = 65535
    found = decode(png(levels, interlaced=interlaced))
    assert found.shape == (256, 256, 3)
    assert found.dtype == np.uint8
    assert found.flags.writeable
    assert np.array_equal(found, np.broadcast_to(nearest(levels[:, :, :3]), found.shape))


def test_a_png_of_16_bits_is_turned_and_read_from_a_path(tmp_path):
    exif = Image.Exif()
    exif[0x0112] = 6
    for channels in (1, 3):
        levels = deep(channels)[:20]
        (tmp_path / "deep.png").write_bytes(png(levels, chunk(b"eXIf", exif.tobytes()[6:])))
        expected = np.broadcast_to(np.rot90(nearest(levels), -1), (256, 20, 3))
        assert np.array_equal(decode(tmp_path / "deep.png"), expected)


def test_16_bits_are_transparent_by_the_low_byte_too():
    levels = deep(4)
    levels[:, :, 3] = 65535
    levels[3, 4, 3] = 65500
    with pytest.raises(ImageError, match="transparent"):
        decode(png(levels))
    for channels in (1, 3):
        levels = deep(channels)[:8] & 0xFFFE
        key = levels[5, 6].copy()
        with pytest.raises(ImageError, match="transparent"):
            decode(png(levels, chunk(b"tRNS", key.astype(">u2").tobytes())))
        key[-1] += 1  # a colour that the image lacks, the same in 8 bits
        assert decode(png(levels, chunk(b"tRNS", key.astype(">u2").tobytes()))).shape == (8, 256, 3)


def test_16_bits_that_pillow_cuts_off_are_refused():
    with pytest.raises(ImageError, match="16 bits a channel"):
        decode(png(deep(2)))
    for compression in (None, "zlib"):
        buffer = io.BytesIO()
        tifffile.imwrite(buffer, deep(3), photometric="rgb", compression=compression)
        with pytest.raises(ImageError, match="16 bits a channel"):
            decode(buffer.getvalue())


def test_a_png_with_a_broken_checksum():
    data = png(PHOTO)
    assert np.array_equal(decode(data), PHOTO)
    place = data.index(b"IHDR") + 17  # the checksum after four bytes of name and 13 of data
    with pytest.raises(ImageError, match="header is damaged"):
        decode(data[:place] + bytes([data[place] ^ 1]) + data[place + 1 :])
    place = data.index(b"IEND") - 12  # the last byte of the pixels' own checksum, in the compressed stream
    with pytest.raises(ImageError, match="is damaged"):
        decode(data[: place + 3] + bytes([data[place + 3] ^ 1]) + data[place + 4 :])


def light_of(levels: np.ndarray) -> np.ndarray:
    """The light of sRGB's levels, 0..1 both (IEC 61966-2-1)."""
    return np.where(levels <= 0.04045, levels / 12.92, ((levels + 0.055) / 1.055) ** 2.4)


def levels_of(light: np.ndarray) -> np.ndarray:
    """The sRGB level of each light, 0..255, by looking it up."""
    fine = np.linspace(0, 1, 1 << 18)
    return 255 * np.interp(light, light_of(fine), fine)


def gamma_chunk(gamma: float) -> bytes:
    return chunk(b"gAMA", round(100_000 * gamma).to_bytes(4, "big"))


@pytest.mark.parametrize("gamma", [1.0, 1 / 1.8])
def test_a_png_that_tells_its_gamma_becomes_srgb(gamma):
    levels = np.arange(256, dtype=np.uint8).repeat(3).reshape(16, 16, 3)
    stored = round(100_000 * gamma) / 100_000
    expected = np.rint(levels_of((levels / 255) ** (1 / stored)))
    assert np.array_equal(decode(png(levels, gamma_chunk(gamma))), expected)
    assert np.array_equal(decode(png(levels, gamma_chunk(gamma)), convert=False), levels)
    # In 16 bits the shadows keep what 8 would lose: light below 1 / 255 has 13 levels of sRGB.
    levels = deep(3)
    found = decode(png(levels, gamma_chunk(gamma)))
    off = np.abs(found - levels_of((levels / 65535) ** (1 / stored)))
    assert off.max() <= 0.5 + 1e-3  # of the table that is looked up
    assert len(np.unique(found)) == 256


@pytest.mark.parametrize(
    "chunks",
    [
        (gamma_chunk(0.45455),),
        (gamma_chunk(0),),
        (gamma_chunk(1), chunk(b"sRGB", b"\0")),
        (
            gamma_chunk(0.45455),
            chunk(b"cHRM", struct.pack(">8I", *[31270, 32900, 64000, 33000, 30000, 60000, 15000, 6000])),
        ),
    ],
)
def test_a_png_that_is_srgb_stays_as_it_is(chunks):
    assert np.array_equal(decode(png(PHOTO, *chunks)), PHOTO)
    assert np.array_equal(decode(png(deep(3), *chunks)).shape, (256, 256, 3))


# --- colour profiles

# Columns: XYZ of the primaries, adapted to the white D50 (Lindbloom, RGB/XYZ matrices).
SRGB = np.array(
    [[0.4360747, 0.3850649, 0.1430804], [0.2225045, 0.7168786, 0.0606169], [0.0139322, 0.0971045, 0.7141733]]
)
ADOBE = np.array(
    [[0.6097559, 0.2052401, 0.1492240], [0.3111242, 0.6256560, 0.0632197], [0.0194811, 0.0608902, 0.7448387]]
)
D50 = (0.9642, 1.0, 0.8249)


def icc(gamma: float = 2.2, primaries: np.ndarray = ADOBE, space: bytes = b"RGB ") -> bytes:
    """A colour profile of version 2 (ICC.1:2001-04): primaries and a curve that is a power."""

    def xyz(values: tuple[float, ...]) -> bytes:
        return struct.pack(">3i", *[round(65536 * value) for value in values])

    curve = b"curv\0\0\0\0" + struct.pack(">IH", 1, round(256 * gamma)) + b"\0\0"
    tags = {b"wtpt": b"XYZ \0\0\0\0" + xyz(D50), b"kTRC": curve}
    for name, primary in zip(b"rgb", primaries.T, strict=True):
        tags |= {bytes([name]) + b"XYZ": b"XYZ \0\0\0\0" + xyz(tuple(primary)), bytes([name]) + b"TRC": curve}
    table, data, start = b"", b"", 128 + 4 + 12 * len(tags)
    for name, content in tags.items():
        table += name + struct.pack(">II", start + len(data), len(content))
        data += content
    header = struct.pack(">4xI4s4s4s12x4s28x", 0x02400000, b"mntr", space, b"XYZ ", b"acsp") + xyz(D50) + bytes(48)
    return (start + len(data)).to_bytes(4, "big") + header + len(tags).to_bytes(4, "big") + table + data


def in_srgb(levels: np.ndarray, gamma: float, primaries: np.ndarray) -> np.ndarray:
    """What such a profile says the levels 0..255 are as levels of sRGB; what sRGB cannot show is cut off."""
    light = (levels / 255) ** gamma @ (np.linalg.inv(SRGB) @ primaries).T
    return levels_of(light.clip(0, 1))


HP = Image.open(Path(skimage.__file__).parent / "data" / "astronaut.png").info["icc_profile"]  # Hewlett-Packard's sRGB
COLOURS_OF_ALL_KINDS = RNG.integers(0, 256, (64, 64, 3), dtype=np.uint8)


@pytest.mark.parametrize("kind", ["PNG", "WEBP", "TIFF"])
@pytest.mark.parametrize("gamma", [1.0, 2.2])
def test_a_colour_profile_is_followed(kind, gamma):
    options = {"lossless": True} if kind == "WEBP" else {}
    data = encoded(Image.fromarray(COLOURS_OF_ALL_KINDS), kind, icc_profile=icc(gamma), **options)
    expected = in_srgb(COLOURS_OF_ALL_KINDS, round(256 * gamma) / 256, ADOBE)
    # Half a level is rounding, the rest Little CMS's arithmetic of 14 bits.
    assert np.abs(decode(data) - expected).max() <= 1
    assert np.abs(COLOURS_OF_ALL_KINDS - expected).max() > 60
    assert np.array_equal(decode(data, convert=False), COLOURS_OF_ALL_KINDS)


def test_a_profile_of_a_camera_is_followed_in_a_jpeg_and_an_avif():
    rocket = Path(skimage.__file__).parent / "data" / "rocket.jpg"  # Adobe RGB (1998), gamma 563 / 256
    stored = decode(rocket, convert=False)
    assert np.abs(decode(rocket) - in_srgb(stored, 563 / 256, ADOBE)).max() <= 1
    assert not np.array_equal(decode(rocket), stored)
    data = encoded(Image.fromarray(COLOURS_OF_ALL_KINDS), "AVIF", icc_profile=icc())
    stored = decode(data, convert=False)
    assert np.abs(decode(data) - in_srgb(stored, 563 / 256, ADOBE)).max() <= 1


@pytest.mark.parametrize("profile", [HP, ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()])
@pytest.mark.parametrize("mode", ["RGB", "L", "P", "RGBA"])
def test_a_profile_of_srgb_leaves_every_bit(profile, mode):
    image = Image.fromarray(COLOURS_OF_ALL_KINDS).convert(mode)
    assert np.array_equal(decode(encoded(image, icc_profile=profile)), np.asarray(image.convert("RGB")))


def test_profiles_of_grey_images_may_be_grey_or_coloured():
    grey = Image.fromarray(np.arange(256, dtype=np.uint8).reshape(16, 16))
    expected = np.repeat(levels_of(np.arange(256) / 255), 3).reshape(16, 16, 3)
    for profile in (icc(1.0, space=b"GRAY"), icc(1.0)):
        assert np.abs(decode(encoded(grey, icc_profile=profile)) - expected).max() <= 1
    # Also in 16 bits, rounded first.
    levels = np.arange(0, 65536, 257, dtype=np.uint16).reshape(16, 16, 1)
    profile = chunk(b"iCCP", b"grey\0\0" + zlib.compress(icc(1.0, space=b"GRAY")))
    assert np.abs(decode(png(levels, profile)) - expected).max() <= 1


def test_a_profile_goes_before_a_gamma():
    profile = chunk(b"iCCP", b"sRGB\0\0" + zlib.compress(HP))
    assert np.array_equal(decode(png(PHOTO, profile, gamma_chunk(1))), PHOTO)


@pytest.mark.parametrize(
    "profile",
    [
        b"no profile at all",
        icc()[:200],
        icc()[:36] + b"xxxx" + icc()[40:],  # not the signature
        icc(space=b"GRAY"),
        icc(space=b"CMYK"),
        icc(space=b"Lab "),
    ],
)
def test_a_profile_that_cannot_be_followed_counts_as_none(profile):
    assert np.array_equal(decode(encoded(Image.fromarray(PHOTO), icc_profile=profile)), PHOTO)


def test_cmyk_is_refused_with_its_profile_too():
    data = encoded(Image.fromarray(PHOTO).convert("CMYK"), "JPEG", icc_profile=icc(space=b"CMYK"))
    assert b"ICC_PROFILE" in data
    with pytest.raises(ImageError, match="colour mode CMYK"):
        decode(data)


@given(st.data())
@settings(max_examples=100, deadline=None)
def test_hostile_profiles_give_an_image_or_one_kind_of_error(data):
    profile = bytearray(icc())
    for _ in range(data.draw(st.integers(1, 8))):
        profile[data.draw(st.integers(0, len(profile) - 1))] = data.draw(st.integers(0, 255))
    try:
        found = decode(encoded(Image.fromarray(PHOTO), icc_profile=bytes(profile)))
    except ImageError:
        return
    assert found.shape == PHOTO.shape


@pytest.mark.filterwarnings("ignore::UserWarning:PIL")
@given(st.sampled_from(["PNG", "JPEG", "GIF", "BMP", "TIFF", "WEBP", "AVIF"]), st.data())
@settings(max_examples=150, deadline=None)
def test_hostile_bytes_give_an_image_or_one_kind_of_error(kind, data):
    clean = bytearray(encoded(Image.fromarray(PHOTO), kind))
    for _ in range(data.draw(st.integers(1, 8))):
        clean[data.draw(st.integers(0, len(clean) - 1))] = data.draw(st.integers(0, 255))
    try:
        image = decode(bytes(clean), max_pixels=100_000)
    except ImageError:
        return
    assert image.dtype == np.uint8
    assert image.shape[2] == 3


@given(arrays(np.uint8, (2, 5, 7, 3)))
@settings(max_examples=30, deadline=None)
def test_quantize_inverts_to_tensor(images):
    tensor = to_tensor(images)
    assert tensor.shape == (2, 3, 5, 7)
    assert tensor.dtype == torch.float32
    assert np.array_equal(quantize(tensor), images)


def test_to_tensor_is_the_formula_on_all_values_and_spares_its_input():
    images = np.arange(256, dtype=np.uint8).repeat(3).reshape(1, 16, 16, 3)
    images.flags.writeable = False
    expected = images.transpose(0, 3, 1, 2).astype(np.float64) / 127.5 - 1
    assert np.allclose(to_tensor(images).numpy(), expected, atol=1e-7)
    assert images[0, 0, 1, 0] == 1


def test_tensors_are_scaled_as_arrays_are():
    images = RNG.integers(0, 256, (6, 5, 7, 3), np.uint8)
    assert torch.equal(to_network(torch.from_numpy(images)), to_tensor(images))
    assert to_network(torch.from_numpy(images)).is_contiguous(memory_format=torch.channels_last)
    of_members = to_network(torch.from_numpy(images.reshape(2, 3, 5, 7, 3)))  # [2, 3, 3, 5, 7]
    assert torch.equal(of_members.flatten(0, 1), to_tensor(images))


def test_luma_is_the_weighted_sum_of_the_channels():
    images = RNG.integers(0, 256, (2, 5, 7, 3), np.uint8)
    red, green, blue = np.moveaxis(images.astype(float), -1, 0)
    expected = 0.299 * red + 0.587 * green + 0.114 * blue
    assert luma(images).dtype == np.float32
    np.testing.assert_allclose(luma(images), expected, rtol=1e-6)
    np.testing.assert_allclose(luma(images[0], np.float64), expected[0], rtol=1e-14)
    np.testing.assert_allclose(luma_of_planes(to_tensor(images)), expected / 127.5 - 1, atol=1e-6)


def test_quantize_clamps_and_rounds_half_to_even():
    wanted = [(-9.0, 0), (9.0, 255), (-1.0, 0), (1.0, 255), (0.0, 128)]  # 0 is 127.5; 128 is even
    for value, level in wanted:
        assert (quantize(torch.full((1, 3, 1, 1), value)) == level).all()
    # An independent quantizer in exact arithmetic, over a fine range.
    values = torch.linspace(-1.1, 1.1, 3 * 1000).reshape(1, 3, 1, 1000)
    exact = [
        round((min(max(Fraction(v), Fraction(-1)), Fraction(1)) + 1) * Fraction(255, 2))
        for v in values.flatten().tolist()
    ]
    assert quantize(values).transpose(0, 3, 1, 2).flatten().tolist() == exact


def test_quantize_takes_bfloat16_gradients_and_any_memory_order():
    values = torch.rand(2, 3, 4, 4, dtype=torch.bfloat16, requires_grad=True).to(memory_format=torch.channels_last)
    result = quantize(values)
    assert result.flags["C_CONTIGUOUS"]
    assert np.array_equal(result, quantize(values.detach().float().contiguous()))


@pytest.mark.parametrize("bad", [float("nan"), float("inf"), -float("inf")])
def test_quantize_refuses_what_is_no_number(bad):
    images = torch.zeros(2, 3, 4, 4)
    images[1, 2, 3, 0] = bad
    with pytest.raises(ImageError, match="diverged"):
        quantize(images)


@pytest.mark.parametrize(
    "bad", [torch.zeros(3, 4, 4), torch.zeros(1, 4, 4, 3), torch.zeros(1, 3, 4, 4, dtype=torch.int)]
)
def test_quantize_refuses_other_shapes_and_types(bad):
    with pytest.raises(UsageError, match="floats"):
        quantize(bad)


@given(arrays(np.uint8, (2, 6, 8, 3), elements=st.integers(0, 9)), st.integers(-5, 5))
@settings(max_examples=60, deadline=None)
def test_equalize_keeps_order_and_gives_the_ramp(images, seed):
    result = equalize(images, seed)
    ramp = np.arange(48) * 256 // 48
    for image, equal in zip(images, result, strict=True):
        for channel in range(3):
            before, after = image[..., channel].ravel(), equal[..., channel].ravel().astype(int)
            assert np.array_equal(np.sort(after), ramp)
            # Where one pixel was darker than another, it still is.
            assert all(after[before < value].max(initial=-1) < after[before == value].min() for value in set(before))


def test_equalized_histograms_are_exactly_uniform():
    images = RNG.integers(0, 40, (3, 64, 64, 3), dtype=np.uint8) // 2
    result = equalize(images)
    for image in result:
        for channel in range(3):
            assert (np.bincount(image[..., channel].ravel(), minlength=256) == 16).all()


@given(arrays(np.uint8, (1, 6, 8, 3), elements=st.integers(0, 9)), st.integers(-5, 5))
@settings(max_examples=60, deadline=None)
def test_grey_keeps_the_order_of_the_luma_and_nothing_else(images, seed):
    (result,) = equalize(images, seed, grey=True)
    assert np.array_equal(result[..., 0], result[..., 1])
    assert np.array_equal(result[..., 0], result[..., 2])
    after = result[..., 0].ravel().astype(int)
    assert np.array_equal(np.sort(after), np.arange(48) * 256 // 48)
    luma = (images[0].astype(int) @ [299, 587, 114]).ravel()
    assert all(after[luma < value].max(initial=-1) < after[luma == value].min() for value in set(luma))


@pytest.mark.parametrize("colour", COLOURS)
def test_a_colour_control_done_twice_changes_nothing(colour):
    images = RNG.integers(0, 40, (2, 16, 16, 3), dtype=np.uint8)
    once = coloured(images, colour)
    assert np.array_equal(coloured(once, colour), once)
    assert np.array_equal(once, images) == (colour == "as_is")
    with pytest.raises(UsageError, match="Did you mean 'grey'"):
        coloured(images, "gray")


def test_equalize_depends_on_image_and_seed_not_on_the_batch():
    images = RNG.integers(0, 4, (5, 16, 16, 3), dtype=np.uint8)
    whole = equalize(images)
    assert np.array_equal(whole[[3]], equalize(images[[3]]))
    assert np.array_equal(whole[::-1], equalize(images[::-1]))
    assert np.array_equal(whole, equalize(images, seed=0))
    assert not np.array_equal(whole, equalize(images, seed=1))


def test_equalize_breaks_ties_at_random():
    flat = np.zeros((200, 16, 16, 3), dtype=np.uint8)
    flat[:, 0, 0] = 1 + np.arange(200)[:, None] % 255  # other bytes, other draws; the rest of each image is one tie
    ranks = equalize(flat).astype(float)
    # Independent of the place: every pixel's mean over the images is near 127, and channels are not alike.
    means = ranks.mean(axis=0)[1:]
    assert np.abs(means - 127).max() < 6 * 74 / np.sqrt(200)
    assert abs(np.corrcoef(ranks[:, 1:, :, 0].ravel(), ranks[:, 1:, :, 1].ravel())[0, 1]) < 0.02


@given(st.integers(3, 40), st.integers(3, 40))
@settings(max_examples=30, deadline=None)
def test_centre_square_is_central(height, width):
    image = np.zeros((height, width, 3), dtype=np.uint8)
    image[..., 0], image[..., 1] = np.arange(height)[:, None], np.arange(width)
    square = centre_square(image)
    side = min(height, width)
    assert square.shape == (side, side, 3)
    for axis, length in ((0, height), (1, width)):
        before, after = square[..., axis].min(), length - 1 - square[..., axis].max()
        assert after - before in (0, 1)


def test_resize_is_antialiased_and_keeps_what_fits():
    checker = (np.indices((64, 64)).sum(axis=0) % 2 * 255).astype(np.uint8)[..., None].repeat(3, axis=2)
    small = resize(checker, 16)
    assert small.shape == (16, 16, 3)
    assert np.abs(small.astype(int) - 127).max() <= 6  # without antialiasing it would be 0 or 255
    same = resize(checker, 64)
    assert np.array_equal(same, checker)
    assert same is not checker
    assert not np.shares_memory(same, checker)
    assert (resize(np.full((9, 9, 3), 77, np.uint8), 32) == 77).all()


def test_resize_keeps_a_ramp_in_place():
    ramp = np.broadcast_to(np.arange(0, 256, 2, dtype=np.uint8)[:, None], (128, 128))[..., None].repeat(3, axis=2)
    assert np.abs(resize(ramp, 32)[2:-2, 5, 0].astype(float) - (np.arange(0, 256, 8) + 3)[2:-2]).max() <= 1


@given(
    arrays(np.uint8, st.tuples(st.integers(1, 9), st.integers(1, 9), st.just(3))),
    st.integers(1, 9),
    st.integers(1, 9),
)
@settings(max_examples=60, deadline=None)
def test_shrink_is_the_mean_of_the_area_in_fractions(image, height, width):
    height, width = min(height, image.shape[0]), min(width, image.shape[1])

    def shares(old, new):
        """How much of each old pixel lies in each new one, in lengths of a new one: rational numbers ``[new][old]``."""
        size = Fraction(old, new)
        return [[max(min((n + 1) * size, o + 1) - max(n * size, o), 0) / size for o in range(old)] for n in range(new)]

    rows, columns = shares(image.shape[0], height), shares(image.shape[1], width)
    found = shrink(image, height, width)
    for (y, x, channel), value in np.ndenumerate(found):
        mean = sum(
            rows[y][i] * columns[x][j] * int(image[i, j, channel])
            for i, j in np.ndindex(image.shape[:2])
            if rows[y][i] and columns[x][j]
        )
        assert value == math.floor(mean + Fraction(1, 2))


def test_shrink_by_a_whole_factor_is_the_mean_of_blocks_also_of_large_images():
    image = RNG.integers(0, 256, (3000, 1500, 3), dtype=np.uint8)
    means = image.reshape(3, 1000, 3, 500, 3).mean((1, 3))
    assert np.array_equal(shrink(image, 3, 3), np.floor(means + 0.5))
    assert shrink(image[:3, :3], 3, 3).base is not image
    assert np.array_equal(shrink(image[:3, :3], 3, 3), image[:3, :3])


@pytest.mark.parametrize("size", [(21, 30), (20, 31), (0, 30), (20, 0)])
def test_shrink_refuses_to_enlarge(size):
    with pytest.raises(UsageError, match=r"20 x 30 pixels cannot be shrunk to \d+ x \d+"):
        shrink(PHOTO, *size)


def test_webp_is_without_loss():
    assert np.array_equal(decode(encode_webp(PHOTO)), PHOTO)
    assert np.array_equal(decode(encode_webp(PHOTO[:, ::-1])), PHOTO[:, ::-1])


def test_grid_places_images_and_gaps():
    images = np.stack([np.full((4, 5, 3), value, np.uint8) for value in (10, 20, 30)])
    sheet = grid(images, columns=2, gap=1, background=200)
    assert sheet.shape == (9, 11, 3)
    assert (sheet[:4, :5] == 10).all()
    assert (sheet[:4, 6:] == 20).all()
    assert (sheet[5:, :5] == 30).all()
    assert (sheet[4] == 200).all()
    assert (sheet[:, 5] == 200).all()
    assert (sheet[5:, 6:] == 200).all()


@pytest.mark.parametrize("options", [{"columns": 0}, {"columns": 1, "gap": -1}, {"columns": 1, "background": 256}])
def test_grid_refuses_nonsense(options):
    with pytest.raises(UsageError, match="grid needs"):
        grid(np.zeros((1, 2, 2, 3), np.uint8), **options)


@pytest.mark.parametrize("function", [to_tensor, equalize, lambda images: grid(images, 1)])
@pytest.mark.parametrize(
    ("bad", "message"),
    [
        (np.zeros((1, 4, 4, 3)), r"images must be uint8 \(0..255\), not float64. Quantize"),
        (np.zeros((4, 4, 3), np.uint8), r"not a single \[4, 4, 3\]. Pass image\[None\]"),
        (np.zeros((1, 3, 4, 4), np.uint8), r"must be \[N, H, W, 3\], not \[1, 3, 4, 4\]"),
        (np.zeros((0, 4, 4, 3), np.uint8), "images is empty"),
        ([[1]], "must be a NumPy array.*not a list"),
    ],
)
def test_functions_of_batches_refuse_other_arrays(function, bad, message):
    with pytest.raises(UsageError, match=message):
        function(bad)


@pytest.mark.parametrize(
    "function", [encode_png, encode_webp, centre_square, lambda i: resize(i, 4), lambda i: shrink(i, 2, 2)]
)
@pytest.mark.parametrize("bad", [np.zeros((4, 4, 3)), np.zeros((4, 4), np.uint8), np.zeros((0, 4, 3), np.uint8)])
def test_functions_of_images_refuse_other_arrays(function, bad):
    with pytest.raises(UsageError, match="An image is uint8"):
        function(bad)


def test_resize_refuses_oblongs_and_no_size():
    with pytest.raises(UsageError, match="20 x 30"):
        resize(PHOTO, 8)
    with pytest.raises(UsageError, match="0 pixels"):
        resize(PHOTO[:20, :20], 0)


def test_equalize_refuses_images_without_pixels():
    with pytest.raises(UsageError, match="cannot be equalized"):
        equalize(np.zeros((1, 0, 4, 3), np.uint8))
