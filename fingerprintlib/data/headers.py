"""How an image lies in its file: what the pixels do not say any more, but what has left its traces in them."""

import io
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from .decoding import FORMATS


@dataclass(frozen=True)
class Header:
    """What a file says about its image.

    Attributes:
        format: ``PNG``, ``JPEG`` or another of `images.FORMATS`.
        quality: of a JPEG, 1 to 100 on the scale of libjpeg: that whose table is the nearest; None of other formats.
        profile: whether it has a colour profile.
        side: the shorter one, in pixels.
    """

    format: str
    quality: int | None
    profile: bool
    side: int


def read_header(path: Path | str) -> Header:
    """The header of an image file that `decoding.decode` has read.

    Raises:
        OSError: it cannot be read.
    """
    with Image.open(path, formats=FORMATS) as image:
        kind = "JPEG" if image.format == "MPO" else str(image.format)  # a telephone's, see `decoding.decode`
        tables = getattr(image, "quantization", None)
        quality = nearest_quality(tables[min(tables)]) if tables else None
        return Header(kind, quality, "icc_profile" in image.info, min(image.size))


def nearest_quality(table: Sequence[int]) -> int:
    """The quality at which libjpeg quantizes brightness most nearly as this table does, 64 numbers in Pillow's order.

    Cameras and other programs have tables of their own, which fit none exactly.
    """
    distances = np.abs(_tables() - np.asarray(table)).sum(1)
    return 1 + int(distances.argmin())


@cache
def _tables() -> NDArray[np.int_]:
    """libjpeg's tables for brightness at the qualities 1 to 100, int ``[100, 64]``."""
    tables = []
    for quality in range(1, 101):
        file = io.BytesIO()
        Image.new("RGB", (8, 8)).save(file, "JPEG", quality=quality)
        with Image.open(file) as image:
            tables.append(image.quantization[0])  # type: ignore[attr-defined]
    return np.array(tables)
