import io
import math
import zlib
from fractions import Fraction

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays
from PIL import Image

from fingerprintlib.data.images import (
    COLOURS,
    ImageError,
    centre_square,
    coloured,
    decode,
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
    size_of,
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
    assert size_of(tmp_path / "a.png") == (20, 30)
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


@pytest.mark.parametrize(("mode", "kind"), [("CMYK", "JPEG"), ("1", "PNG"), ("I;16", "PNG")])
def test_other_modes_are_refused_by_name(mode, kind):
    image = Image.new(mode, (8, 8)) if mode == "I;16" else Image.fromarray(PHOTO).convert(mode)
    with pytest.raises(ImageError, match=f"colour mode {mode}"):
        decode(encoded(image, kind))


def test_exif_orientation_is_applied():
    exif = Image.Exif()
    exif[0x0112] = 6  # the camera was turned: show it rotated by 90 degrees clockwise
    data = encoded(Image.fromarray(PHOTO), exif=exif)
    assert np.array_equal(decode(data), np.rot90(PHOTO, -1))
    assert size_of(data) == (20, 30)


def test_several_frames_are_refused():
    frames = [Image.fromarray(PHOTO), Image.fromarray(PHOTO[::-1].copy())]
    data = encoded(frames[0], "GIF", save_all=True, append_images=frames[1:])
    with pytest.raises(ImageError, match="several frames"):
        decode(data)


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


def test_a_vector_format_is_not_run():
    with pytest.raises(ImageError, match="not an image"):
        decode(encoded(Image.fromarray(PHOTO), "EPS"))


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "WEBP", "BMP"])
def test_a_truncated_file_is_refused_by_name(tmp_path, kind):
    data = encoded(Image.fromarray(RNG.integers(0, 256, (64, 64, 3), dtype=np.uint8)), kind)
    path = tmp_path / f"cut.{kind.lower()}"
    path.write_bytes(data[: len(data) * 2 // 3])
    with pytest.raises(ImageError, match=r"cut\.\w+ is (damaged|not an image)"):
        decode(path)


def test_a_large_image_is_refused_before_it_is_decoded():
    with pytest.raises(ImageError, match="20 pixels, where at most 599"):
        decode(encode_png(PHOTO), max_pixels=599)
    assert decode(encode_png(PHOTO), max_pixels=600).shape == (20, 30, 3)
    # A header that promises 40 000 x 40 000 pixels, and nothing behind it: reading on would say "damaged".
    header = b"IHDR" + (40_000).to_bytes(4, "big") * 2 + bytes([8, 2, 0, 0, 0])
    chunk = b"\0\0\0\x0d" + header + zlib.crc32(header).to_bytes(4, "big")
    with pytest.raises(ImageError, match="too large"):
        decode(b"\x89PNG\r\n\x1a\n" + chunk + b"\0\0\0\0IDAT" + zlib.crc32(b"IDAT").to_bytes(4, "big"))


@given(st.sampled_from(["PNG", "JPEG", "GIF", "BMP", "TIFF", "WEBP"]), st.data())
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
