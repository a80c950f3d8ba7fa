"""What happens to images on their way: uint8 batches ``[N, H, W, 3]`` in, the same out."""

import io

import numpy as np
from PIL import Image

from .errors import UsageError
from .images import Pixels
from .training import check_images


def jpeg(images: Pixels, quality: int) -> Pixels:
    """Compress and decompress each image as a JPEG file, colour at half the resolution as is usual (4:2:0).

    Args:
        images: uint8 ``[N, H, W, 3]``.
        quality: the encoder's, 1 to 95.

    Raises:
        UsageError: images of another kind, or a quality out of range.
    """
    check_images(images)
    if not 1 <= quality <= 95:
        raise UsageError(f"quality must be from 1 to 95, not {quality}.")
    result = np.empty_like(images, order="C")
    for index, image in enumerate(images):
        with io.BytesIO() as file:
            Image.fromarray(image).save(file, "JPEG", quality=quality, subsampling="4:2:0")
            result[index] = np.asarray(Image.open(file))
    return result
