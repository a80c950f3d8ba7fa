"""What of an image is looked at: as a whole, square by square, and after changes that should not matter."""

import numpy as np

from ..attacks.distortions import crop, jpeg, resample
from ..data.images import Pixels, centre_square, resize, shrink, tensor_of


def handled(images: Pixels) -> list[Pixels]:
    """Uint8 images ``[N, H, W, 3]`` as they are after harmless changes, which no answer should depend on.

    Saved as JPEG of quality 90; a row and a column cut off, and enlarged again; smaller by 2 %, and enlarged again.
    """
    x = tensor_of(images)
    side = images.shape[1]
    nothing = np.zeros((len(images), 2), np.uint64)  # in the place of random words: the window is the upper left one

    def each(strength: float) -> np.ndarray:
        return np.full(len(images), float(strength))

    changes = (jpeg(x, each(90), nothing), crop(x, each(1 / side), nothing), resample(x, each(0.98), nothing))
    return [some.numpy() for some in changes]


def seen(image: Pixels, side: int, view: str = "shrunk") -> Pixels:
    """What a network sees of a uint8 image ``[H, W, 3]``: ``[side, side, 3]``.

    Args:
        image: of any size; one that is smaller is enlarged (bicubic).
        side: of what the network sees.
        view: ``"shrunk"``, the middle square shrunk by area, as photographs are when they come into a corpus; or
            ``"middle"``, the pixels in the middle as they are.
    """
    square = centre_square(image)
    if len(square) == side:
        return square.copy()
    if len(square) < side:
        return resize(square, side)
    if view == "shrunk":
        return shrink(square, side, side)
    start = (len(square) - side) // 2
    return square[start : start + side, start : start + side].copy()


def squares(image: Pixels, side: int, most: int = 8) -> Pixels:
    """Squares of a uint8 image ``[H, W, 3]``, evenly over it and none over another: ``[n, m, side, side, 3]``.

    At most `most` in each direction; fewer than all leave gaps.
    """
    down, across = (_places(length, side, most) for length in image.shape[:2])
    found = [[image[y : y + side, x : x + side] for x in across] for y in down]
    return np.array(found, np.uint8).reshape(len(down), len(across), side, side, 3)


def _places(length: int, side: int, most: int) -> list[int]:
    count = min(length // side, most)
    free = length - count * side
    return [k * side + free * (2 * k + 1) // (2 * count) for k in range(count)]
