"""Near-duplicates: one photograph as several files, in other formats, qualities and sizes.

A photograph that lies in two splits lets a network pass by memory. Hashes of files and of pixels do not see it once it
was saved anew.
"""

from collections.abc import Iterable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from scipy.fft import dctn
from scipy.sparse import csr_array, vstack
from scipy.sparse.csgraph import connected_components

from ..errors import UsageError
from .decoding import decode
from .files import in_order
from .images import Pixels, check_images

SIDE = 32  # pixels that an image is reduced to
FREQUENCIES = 14  # along each axis, from the lowest that is not constant
# Measured on the 5,040 photographs of clothing at 64 pixels: no two are within 24 of 196 bits; each is with its JPEG of
# quality 75, all but 5 are with their halves. Of the 5,096 originals (400 pixels) two are: one picture, sent twice.
WITHIN = 24
BLOCK = 1024  # images that are compared with all others at a time, at most
PRODUCTS = 1 << 26  # and so many comparisons: 256 MB


def near_duplicates(images: Iterable[Pixels | Path | str], within: int = WITHIN) -> NDArray[np.int64]:
    """Number images so that those of one photograph share a number.

    Two images belong together if their perceptual hashes differ in few bits, and so do images that others join. The
    hash is in the manner of pHash (Zauner, Implementation and benchmarking of perceptual image hash functions, 2010):
    luma, reduced by area to 32 x 32 pixels; of its cosine transform the signs of 14 x 14 low frequencies, 196 bits.
    pHash takes 8 x 8 of them; photographs of one kind of thing come too near then. It does not see through mirroring,
    turning or cropping, and images that vary along one axis alone, or not at all, are all alike.

    Args:
        images: uint8 ``[H, W, 3]`` of any sides, or paths, as many as there are; they are read once, a few at a time.
        within: bits of 196 by which hashes of one group may differ.

    Returns:
        int64 ``[N]``: numbers of groups, counted from 0 in the order in which the images come.

    Raises:
        ImageError: a path that cannot be read.
        UsageError: `within` is out of range, or an array is no image.
    """
    if not 0 <= within < FREQUENCIES**2:
        raise UsageError(f"Hashes of {FREQUENCIES**2} bits cannot differ in {within}. Allow a few: {WITHIN}.")
    hashes = list(in_order(_signs, images))
    if not hashes:
        return np.zeros(0, dtype=np.int64)
    different, which = np.unique(np.stack(hashes), axis=0, return_inverse=True)
    signs = different.astype(np.float32)  # -1 or 1: their product tells in how many bits two hashes differ
    alike = FREQUENCIES**2 - 2 * within
    step = max(1, min(BLOCK, PRODUCTS // len(signs)))
    blocks = [csr_array(signs[start : start + step] @ signs.T >= alike) for start in range(0, len(signs), step)]
    groups = connected_components(vstack(blocks), directed=False)[1][which]
    _, first, number = np.unique(groups, return_index=True, return_inverse=True)
    return first.argsort().argsort()[number].astype(np.int64)


def _signs(image: Pixels | Path | str) -> NDArray[np.int8]:
    """The perceptual hash: -1 or 1, ``[196]``."""
    pixels = image if isinstance(image, np.ndarray) else decode(image)
    check_images(pixels[None])
    small = Image.fromarray(pixels).convert("L").resize((SIDE, SIDE), Image.Resampling.BOX)
    spectrum = dctn(np.asarray(small, dtype=np.float64), norm="ortho")
    low = spectrum[1 : FREQUENCIES + 1, 1 : FREQUENCIES + 1].ravel()
    return np.where(low > 0, 1, -1).astype(np.int8)
