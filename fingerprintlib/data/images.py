"""The one way in and out of pixels; `decoding` reads files.

Every image of every source passes the same decoder, quantizer and encoder, so that none of them can tell the sources
apart (the paper's released code quantized each source in its own way, and histograms alone gave it away). Images are
uint8 ``[H, W, 3]`` in sRGB order red, green, blue; batches are uint8 ``[N, H, W, 3]``; networks see float32
``[N, 3, H, W]`` in [-1, 1].
"""

import hashlib
import io
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from ..errors import UsageError, unknown
from ..provenance import write_atomically
from .decoding import ImageError, Pixels

if TYPE_CHECKING:
    import torch
    from torch import Tensor

#: The colour conditions: what pages call them, and the colour control that images are under.
CONDITIONS = {"as they are": "as_is", "equalized": "equalized", "grey": "grey"}
COLOURS = tuple(CONDITIONS.values())
LUMA = (299, 587, 114)  # thousandths of red, green and blue in the luma of ITU-R BT.601


def check_images(images: np.ndarray, name: str = "images") -> None:
    """Refuse what is not uint8 ``[N, H, W, 3]`` with at least one image.

    Raises:
        UsageError: naming what came.
    """
    if not isinstance(images, np.ndarray):
        raise UsageError(f"{name} must be a NumPy array, uint8 [N, H, W, 3], not a {type(images).__name__}.")
    if images.dtype != np.uint8:
        raise UsageError(f"{name} must be uint8 (0..255), not {images.dtype}. Quantize them first.")
    if images.ndim == 3 and images.shape[2] == 3:
        raise UsageError(f"{name} must be [N, H, W, 3], not a single {list(images.shape)}. Pass image[None].")
    if images.ndim != 4 or images.shape[3] != 3:
        raise UsageError(f"{name} must be [N, H, W, 3], not {list(images.shape)}.")
    if len(images) == 0:
        raise UsageError(f"{name} is empty. At least one image is needed.")


def check_labels(labels: np.ndarray, count: int, name: str = "labels", class_count: int | None = None) -> None:
    """Refuse what is not an integer array ``[count]`` of values from 0 to ``class_count - 1``.

    Raises:
        UsageError: naming what came.
    """
    if not isinstance(labels, np.ndarray) or labels.dtype.kind not in "iu":
        raise UsageError(f"{name} must be an array of integers, not {getattr(labels, 'dtype', type(labels).__name__)}.")
    if labels.shape != (count,):
        raise UsageError(f"{name} must be [{count}], one an image, not {list(labels.shape)}.")
    top = np.inf if class_count is None else class_count
    if labels.min() < 0 or labels.max() >= top:
        allowed = "0 or above" if class_count is None else f"from 0 to {class_count - 1}"
        raise UsageError(f"{name} must be {allowed}; they run from {labels.min()} to {labels.max()}.")


def to_tensor(images: Pixels) -> "Tensor":
    """uint8 ``[N, H, W, 3]`` to float32 ``[N, 3, H, W]`` in [-1, 1]: ``x / 127.5 - 1``.

    The memory keeps its order, which is what PyTorch calls channels-last.
    """
    return to_network(tensor_of(images))


def tensor_of(images: Pixels) -> "Tensor":
    """uint8 ``[N, H, W, 3]`` as a tensor likewise, of the same memory; a copy where that is read-only or has gaps."""
    import torch

    check_images(images)
    return torch.from_numpy(np.require(images, requirements=["C", "W"]))  # a map is read-only, a tensor cannot be


def to_network(pixels: "Tensor", device: "torch.device | str" = "cpu") -> "Tensor":
    """`to_tensor` for tensors, and on a device: uint8 ``[..., H, W, 3]`` to float32 ``[..., 3, H, W]`` in [-1, 1].

    The bytes travel to the device as bytes.
    """
    return pixels.to(device, non_blocking=True).movedim(-1, -3).float().div_(127.5).sub_(1)


def quantize(images: "Tensor") -> Pixels:
    """A generator's floats ``[N, 3, H, W]``, nominally in [-1, 1], to uint8 ``[N, H, W, 3]``.

    The one quantizer of all sources: clamp, scale, round half to even. It inverts `to_tensor` exactly.

    Raises:
        ImageError: a value is NaN or infinite.
        UsageError: another shape, or not floats.
    """
    import torch

    if images.ndim != 4 or images.shape[1] != 3 or not images.is_floating_point():
        raise UsageError(f"Images to quantize are floats [N, 3, H, W]; these are {images.dtype} {list(images.shape)}.")
    images = images.detach().float()
    if not torch.isfinite(images).all():
        raise ImageError("The images hold NaN or infinite values: the network that made them has diverged.")
    levels = images.clamp(-1, 1).add(1).mul(127.5).round().to(torch.uint8)
    return levels.permute(0, 2, 3, 1).contiguous().cpu().numpy()


def encode_png(image: Pixels) -> bytes:
    """uint8 ``[H, W, 3]`` as the bytes of a PNG, without loss and without metadata."""
    _require_image(image)
    buffer = io.BytesIO()
    Image.fromarray(np.ascontiguousarray(image)).save(buffer, format="PNG")
    return buffer.getvalue()


def encode_webp(image: Pixels) -> bytes:
    """uint8 ``[H, W, 3]`` as the bytes of a WebP, without loss and without metadata; a third smaller than a PNG."""
    _require_image(image)
    buffer = io.BytesIO()
    options = {"lossless": True, "quality": 75, "method": 4}  # trying harder takes 30 times as long and saves nothing
    Image.fromarray(np.ascontiguousarray(image)).save(buffer, format="WEBP", **options)
    return buffer.getvalue()


def save_png(path: Path | str, image: Pixels) -> None:
    """Write uint8 ``[H, W, 3]`` as a PNG, atomically."""
    write_atomically(path, encode_png(image))


def centre_square(image: Pixels) -> Pixels:
    """The largest square in the middle: uint8 ``[H, W, 3]`` to ``[S, S, 3]``, a view."""
    _require_image(image)
    height, width, _ = image.shape
    side = min(height, width)
    top, left = (height - side) // 2, (width - side) // 2
    return image[top : top + side, left : left + side]


def resize(image: Pixels, size: int) -> Pixels:
    """A square uint8 ``[S, S, 3]`` to ``[size, size, 3]``.

    Pillow's bicubic, which widens its kernel when it shrinks (antialiasing) and is the filter of reference for
    comparing generators (Parmar et al., CVPR 2022); Lanczos would ring at edges, and ringing is a fingerprint too.

    Raises:
        UsageError: the image is not square (use `centre_square`), or the size is not positive.
    """
    _require_image(image)
    if image.shape[0] != image.shape[1]:
        raise UsageError(f"Only squares are resized; this is {image.shape[0]} x {image.shape[1]}. Cut it first.")
    if size < 1:
        raise UsageError(f"An image cannot be resized to {size} pixels. Ask for 1 or more.")
    if image.shape[0] == size:
        return image.copy()
    return np.array(Image.fromarray(np.ascontiguousarray(image)).resize((size, size), Image.Resampling.BICUBIC))


def shrink(image: Pixels, height: int, width: int) -> Pixels:
    """uint8 ``[H, W, 3]`` to ``[height, width, 3]``: each new pixel is the mean of the area that it covers.

    Pixels that lie half inside count half, so the factor need not be whole. Averaging mixes what a camera's colour
    filter and JPEG's blocks left in single pixels. The sums are exact and halves are rounded up: the same pixels on
    every machine.

    Raises:
        UsageError: the new image would be larger in a direction, or have no pixels.
    """
    _require_image(image)
    if not (1 <= height <= image.shape[0] and 1 <= width <= image.shape[1]):
        old = f"{image.shape[0]} x {image.shape[1]}"
        raise UsageError(f"An image of {old} pixels cannot be shrunk to {height} x {width}. Ask for fewer.")
    area = image.shape[0] * image.shape[1]
    result = np.empty((height, width, 3), dtype=np.uint8)
    for channel in range(3):  # one by one: the sums are eight bytes a pixel
        sums = _sums(_sums(image[:, :, channel], height).T, width).T  # of `area` equal parts, 0..255 each
        result[:, :, channel] = (2 * sums + area) // (2 * area)
    return result


def _sums(values: NDArray[Any], count: int) -> NDArray[np.int64]:
    """The first axis of ``[N, ...]`` cut into `count` equal parts and summed; a value is cut into `count` as well."""
    length = len(values)
    whole, rest = np.divmod(np.arange(count + 1) * length, count)  # where the parts begin, in values and fractions
    upto = np.zeros((length + 1, *values.shape[1:]), dtype=np.int64)
    np.cumsum(values, axis=0, out=upto[1:])
    cut = values[np.minimum(whole, length - 1)].astype(np.int64)
    return np.diff(count * upto[whole] + rest[:, None] * cut, axis=0)


def luma(images: Pixels, dtype: type[np.floating] = np.float32) -> NDArray[Any]:
    """The luma (ITU-R BT.601) of uint8 ``[..., 3]``: floats ``[...]`` on the scale 0..255."""
    return images.astype(dtype) @ (np.array(LUMA, dtype) / 1000)


def luma_of_planes(images: "Tensor") -> "Tensor":
    """The luma of floats ``[N, 3, H, W]`` of any scale: ``[N, H, W]`` of the same."""
    red, green, blue = (weight / 1000 * plane for weight, plane in zip(LUMA, images.unbind(1), strict=True))
    return red + green + blue


def coloured(images: Pixels, colour: str) -> Pixels:
    """uint8 ``[N, H, W, 3]`` under one of the `COLOURS`; doing it twice changes nothing.

    ``as_is`` leaves them, ``equalized`` takes away what each channel's histogram tells (see `equalize`), ``grey`` also
    which colours occur together.

    Raises:
        UsageError: an unknown colour, or images of another kind.
    """
    if colour not in COLOURS:
        raise unknown("colour", colour, COLOURS)
    return images if colour == "as_is" else equalize(images, grey=colour == "grey")


def equalize(images: Pixels, seed: int = 0, grey: bool = False) -> Pixels:
    """Give every channel of every image the same histogram, keeping only the order of its pixels.

    The control for colour: each channel's values are replaced by their ranks, spread evenly over 0..255, with ties
    broken at random. A classifier that sees the channels' histograms alone is then at chance by construction. Which
    values the three channels have *together* remains; with `grey` the luma is equalized and stands in all three, and
    no histogram of any kind tells anything. The random numbers come from the seed and the image's own bytes, so the
    result does not depend on the batch an image comes in.

    Args:
        images: uint8 ``[N, H, W, 3]`` with ``H * W`` at most 2**24.
        seed: another seed breaks ties in another way.
        grey: equalize the luma (ITU-R BT.601) in place of each channel.

    Returns:
        uint8 ``[N, H, W, 3]``; each value occurs ``H * W / 256`` times a channel, rounded down or up.
    """
    check_images(images)
    count, height, width, _ = images.shape
    pixels = height * width
    if not 0 < pixels <= 1 << 24:
        raise UsageError(f"Images of {height} x {width} pixels cannot be equalized; 1 to 2**24 pixels can.")
    weights = np.array([LUMA] if grey else 1000 * np.eye(3), dtype=np.uint64)  # [channels, 3], rows sum to 1000
    channels = len(weights)
    position = np.arange(pixels, dtype=np.uint64)
    ramp = (np.arange(pixels) * 256 // pixels).astype(np.uint8)
    counts = np.bincount(ramp, minlength=256)
    result = np.empty_like(images, order="C")
    for index in range(count):
        image = np.ascontiguousarray(images[index])
        if _is_equalized(image.reshape(pixels, 3), counts, grey):  # an answer is often asked of what is
            result[index] = image
            continue
        # One sort does it all: value (18 bits), 22 random bits, then the pixel's position, packed into 64 bits.
        keys = _random_words(image, seed, channels * pixels).reshape(channels, pixels) & np.uint64(0x3FFF_FF000000)
        keys |= (weights @ image.reshape(pixels, 3).T.astype(np.uint64)) << np.uint64(46)
        keys |= position
        keys.sort(axis=1)
        order = (keys & np.uint64(0xFFFFFF)).astype(np.int64)  # [channels, pixels]
        for channel in range(3):
            result[index].reshape(pixels, 3)[order[channel % channels], channel] = ramp
    return result


def _is_equalized(pixels: NDArray[np.uint8], counts: NDArray[np.int64], grey: bool) -> bool:
    """Whether pixels ``[P, 3]`` have these counts of each value in every channel, and if asked no colour."""
    if grey and not (pixels == pixels[:, :1]).all():
        return False
    channels = pixels.T[:1] if grey else pixels.T
    return all(np.array_equal(np.bincount(channel, minlength=256), counts) for channel in channels)


def _random_words(image: Pixels, seed: int, count: int) -> NDArray[np.uint64]:
    """Random 64-bit words that are a function of the seed and the image's bytes."""
    digest = hashlib.blake2b(image.data, digest_size=16, salt=int(seed).to_bytes(16, "little", signed=True)).digest()
    words: NDArray[np.uint64] = np.random.Philox(key=int.from_bytes(digest, "little")).random_raw(count)
    return words


def grid(images: Pixels, columns: int, gap: int = 2, background: int = 255) -> Pixels:
    """Lay uint8 ``[N, H, W, 3]`` out row by row as one image, with `gap` pixels of a grey between them."""
    check_images(images)
    count, height, width, _ = images.shape
    if columns < 1 or gap < 0 or not 0 <= background <= 255:
        raise UsageError(
            "A grid needs a column, a gap of 0 or more and a grey of 0..255; "
            f"given columns={columns}, gap={gap}, background={background}."
        )
    rows = -(-count // columns)
    shape = (rows * (height + gap) - gap, columns * (width + gap) - gap, 3)
    sheet = np.full(shape, background, dtype=np.uint8)
    for index, image in enumerate(images):
        top, left = index // columns * (height + gap), index % columns * (width + gap)
        sheet[top : top + height, left : left + width] = image
    return sheet


def _require_image(image: Pixels) -> None:
    if image.dtype != np.uint8 or image.ndim != 3 or image.shape[2] != 3 or image.size == 0:
        raise UsageError(f"An image is uint8 [H, W, 3]; this is {image.dtype} {list(image.shape)}.")
