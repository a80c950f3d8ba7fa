"""Less of an image, as an image: one frequency band of it for methods that take uint8, or only its middle.

The networks see their band themselves (`networks.AttributionNetwork`), as floats. What is here stands beside them.
"""

from collections.abc import Iterator

import numpy as np
import torch

from ..attribution.bands import BANDS
from ..attribution.networks import factors
from ..codehash import code_of
from ..data.images import Pixels, check_images, coloured, quantize, to_tensor
from ..data.labelled import LabelledImages
from ..data.views import View
from ..errors import UsageError, unknown

CHUNK = 256
CLIPPED = 1e-3  # the share of a band's values that may be cut off


def band_images(images: Pixels, band: str, factor: int, gain: float = 1.0) -> Pixels:
    """One band of each image as an image: the band times `gain` in [-1, 1], quantized as all images are.

    Where a residual band holds nothing it is mid-grey. One gain for all images keeps them comparable; stretching each
    by itself would make differences, or hide them.

    Args:
        images: uint8 ``[N, H, W, 3]``; may be memory-mapped.
        band: one of `bands.BANDS`.
        factor: one of `networks.factors` of their side.
        gain: what the band is multiplied by; see `gain_for`.

    Returns:
        uint8 ``[N, H / factor, W / factor, 3]``.

    Raises:
        UsageError: images of another kind, or a band that they do not have.
    """
    return np.concatenate([quantize(gain * some) for some in _bands(images, band, factor)])


def gain_for(images: Pixels, band: str, factor: int) -> float:
    """The largest power of two, at least 1, by which a band can be multiplied with one value in a thousand cut off.

    Args and Raises: see `band_images`. Choose it on training images, and use it for all.
    """
    sizes = np.concatenate([some.abs().flatten().numpy() for some in _bands(images, band, factor)])
    largest = max(float(np.quantile(sizes, 1 - CLIPPED)), 2.0**-10)
    return float(max(1.0, 2.0 ** np.floor(-np.log2(largest))))


def _bands(images: Pixels, band: str, factor: int) -> Iterator[torch.Tensor]:
    """float32 ``[n, 3, H / factor, W / factor]``, chunk by chunk."""
    check_images(images)
    if band not in BANDS:
        raise unknown("band", band, list(BANDS))
    height, width = images.shape[1:3]
    if height != width or factor not in factors(height):
        raise UsageError(f"Images of {height}x{width} have bands of the factors {factors(height)}, not {factor}.")
    for start in range(0, len(images), CHUNK):
        yield BANDS[band](to_tensor(images[start : start + CHUNK]), factor)


def middle(corpus: LabelledImages, factor: int, colour: str = "as_is") -> View:
    """A corpus of which only the middle of each image is left: few pixels, but all of their frequencies.

    It has as many pixels as the low-pass image of this factor, so it tells what the lack of pixels alone does.

    Args:
        corpus: images as they are.
        factor: one of `networks.factors`; a side of the middle is the image's over this.
        colour: the colour control, which comes after cutting: the histogram of what is left tells nothing either.

    Raises:
        UsageError: a factor that the images do not allow, or a corpus under a colour control.
    """
    whole = corpus.resolution
    if factor not in factors(whole):
        raise UsageError(f"At {whole}x{whole} factor must be one of {factors(whole)}, not {factor}.")
    if corpus.colour != "as_is":
        raise UsageError(f"The corpus is {corpus.colour} already. Give the one as it is, and a colour.")
    side = whole // factor
    start = (whole - side) // 2
    inside = slice(start, start + side)

    def change(split: str, images: Pixels, labels: np.ndarray) -> tuple[Pixels, np.ndarray]:
        return coloured(np.ascontiguousarray(images[:, inside, inside]), colour), labels

    return View(corpus, ["middle", code_of(middle)], change, side=side, control=colour)
