"""Real images of another kind than `clothing`: crops of photographs of scenes, people and things.

A photograph is cut into tiles, a tile belongs to one split, and no crop crosses a tile, so the splits share no pixel.
What is *not* independent: crops of one tile overlap, and tiles of one photograph share its camera and its light.
"""

import hashlib
from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cache, cached_property
from itertools import accumulate
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..errors import UsageError
from ..provenance import file_hash
from .images import Pixels, resize
from .photographs import PHOTOS, Photo, path_of, pixels
from .splits import SHARES, SPLITS, Split, deal

SEED = 20191027  # of the dealing and of the crops; another number is another dataset
# A tile or crop counts as nearly constant when the green of every fourth pixel has a standard deviation below this
# (of 255): cloudless sky, a white wall.
FLAT = 4
STEP = 4


@dataclass(frozen=True)
class Tile:
    """A square of a photograph. `split` is None where the tile is nearly constant and belongs to no split."""

    photo: int
    y: int
    x: int
    side: int
    split: str | None


@dataclass(frozen=True)
class Window:
    """Where a crop is taken: a square of a photograph, within one tile, perhaps mirrored."""

    tile: Tile
    y: int
    x: int
    side: int
    flip: bool

    @property
    def photo(self) -> int:
        """The number of its photograph in `PHOTOS`."""
        return self.tile.photo


def scenes_tiles(resolution: int) -> list[tuple[Photo, Pixels, list[Tile]]]:
    """Every photograph with its pixels (uint8 ``[H, W, 3]``, read-only) and its tiles: the map of the splits."""
    return [(photo, pixels(photo), _cut(number, _tile_side(resolution))) for number, photo in enumerate(PHOTOS)]


def open_scenes(resolution: int) -> tuple[dict[str, Any], dict[str, Split]]:
    """The provenance and the splits of the scenes at a resolution of 32 to 128.

    Raises:
        UsageError: a higher resolution, of which the photographs have too few tiles.
        DatasetError: a photograph is missing or altered.
    """
    if resolution > 128:
        raise UsageError(f"scenes come at 32 to 128 pixels, not at {resolution}. Choose one of these.")
    tiles = [tile for _, _, tiles in scenes_tiles(resolution) for tile in tiles]
    splits = {name: SceneSplit(name, resolution, [tile for tile in tiles if tile.split == name]) for name in SPLITS}
    provenance = {
        "dataset": "scenes",
        "resolution": resolution,
        "tile": _tile_side(resolution),
        "shares": SHARES,
        "seed": SEED,
        "flat": FLAT,
        "files": {photo.file: file_hash(path_of(photo)) for photo in PHOTOS},
    }
    return provenance, dict(splits)


class SceneSplit(Split):
    """All crops there are, in a shuffled order; then all again, in another, without end.

    A crop is a square of one to two times the resolution inside a tile, as it is or mirrored. Those that are nearly
    constant are passed over. Each of the others is as likely as any, and none comes twice before all have come.
    """

    def __init__(self, name: str, resolution: int, tiles: Sequence[Tile]) -> None:
        self.name = name
        self.resolution = resolution
        self.tiles = tuple(tiles)
        self.sources = tuple(PHOTOS[number].file for number in sorted({tile.photo for tile in tiles}))

    @cached_property
    def _places(self) -> "_Places":
        return _Places(self.tiles, range(self.resolution, min(_tile_side(self.resolution), 2 * self.resolution) + 1))

    @cached_property
    def distinct(self) -> int:
        """How many crops there are, mirrored ones counted as others; counting them takes up to a second."""
        return 2 * self._places.count

    def describe(self) -> dict[str, Any]:
        """Also the tiles, and ``apart``: how many crops at full scale fit beside each other without overlap.

        That is the sober count next to ``distinct``, whose crops overlap.
        """
        apart = sum((tile.side // self.resolution) ** 2 for tile in self.tiles)
        return super().describe() | {"tiles": len(self.tiles), "apart": apart}

    def image(self, index: int) -> Pixels:
        """Crop number `index`, uint8 ``[r, r, 3]``."""
        window = self.window(index)
        crop = resize(_inside(window), self.resolution)
        return np.ascontiguousarray(crop[:, ::-1]) if window.flip else crop

    def source_of(self, index: int) -> str:
        """The photograph that crop number `index` is cut from."""
        return PHOTOS[self.window(index).photo].file

    def window(self, index: int) -> Window:
        """Where crop number `index` is cut."""
        if index < 0:
            raise UsageError(f"Images are numbered from 0; there is no image {index}.")
        turn, rank = divmod(index, self.distinct)
        number, flip = divmod(_shuffled(rank, self.distinct, f"{SEED} {self.name} {turn}"), 2)
        return Window(*self._places(number), flip=bool(flip))


def overlap(some: Sequence[Window], others: Sequence[Window]) -> float:
    """The share of `some` windows that have a pixel of a photograph in common with one of the `others`; a leak."""

    def meet(a: Window, b: Window) -> bool:
        apart = max(abs(2 * (a.y - b.y) + a.side - b.side), abs(2 * (a.x - b.x) + a.side - b.side))
        return a.photo == b.photo and apart < a.side + b.side

    return sum(any(meet(a, b) for b in others) for a in some) / len(some)


class _Places:
    """The squares in some tiles that a crop may be, numbered from 0: tile by tile, size by size, row by row.

    They are too many to be listed (17 million in the tiles of ``gan`` at 64 pixels). Only the nearly constant ones,
    which have no number, are; the others are found by computing.
    """

    def __init__(self, tiles: tuple[Tile, ...], sides: range) -> None:
        self._tiles = tiles
        self._sides = sides
        self._starts = _starts_of_sides(tiles[0].side, sides)
        flat = _flat_places(tiles, sides)
        self._numbers_before = flat - np.arange(len(flat))  # of each nearly constant square
        self.count = len(tiles) * self._starts[-1] - len(flat)

    def __call__(self, number: int) -> tuple[Tile, int, int, int]:
        """The tile of a square, its top and left in the photograph, and its side."""
        passed_over = int(np.searchsorted(self._numbers_before, number, side="right"))
        which, place = divmod(number + passed_over, self._starts[-1])
        size = bisect_right(self._starts, place) - 1
        tile, side = self._tiles[which], self._sides[size]
        y, x = divmod(place - self._starts[size], tile.side - side + 1)
        return tile, tile.y + y, tile.x + x, side


def _starts_of_sides(tile_side: int, sides: range) -> list[int]:
    """How many squares of a tile come before those of each size; last, how many there are."""
    return [0, *accumulate((tile_side - side + 1) ** 2 for side in sides)]


@cache
def _flat_places(tiles: tuple[Tile, ...], sides: range) -> NDArray[np.int64]:
    """Which squares are nearly constant, as `_is_flat` has it, in the order of `_Places`; rising.

    Sums over every fourth pixel of a square are differences of four entries of a table of sums (Crow 1984).
    """
    length = tiles[0].side
    green = np.stack([_inside(tile)[:, :, 1] for tile in tiles]).astype(np.int64)
    tables = [_sums_before(values) for values in (green, green**2)]
    starts = _starts_of_sides(length, sides)
    flat = np.empty((len(tiles), starts[-1]), dtype=bool)
    for side, start, end in zip(sides, starts, starts[1:], strict=False):
        first, seen = length - side + 1, -(-side // STEP)  # corners and pixels seen along an axis
        low, high = slice(first), slice(STEP * seen, STEP * seen + first)
        total, total_of_squares = (
            table[:, high, high] - table[:, low, high] - table[:, high, low] + table[:, low, low] for table in tables
        )
        spread = seen**2 * total_of_squares - total**2  # the variance times the square of the number of pixels
        flat[:, start:end] = (spread < FLAT**2 * seen**4).reshape(len(tiles), -1)
    return np.flatnonzero(flat)


def _sums_before(values: NDArray[np.int64]) -> NDArray[np.int64]:
    """At (y, x) the sum over (y - 4i, x - 4j) with i and j from 1; ``[N, H, W]`` to at least ``[N, H + 4, W + 4]``."""
    count, side, _ = values.shape
    rest = -side % STEP
    table = np.pad(values, ((0, 0), (STEP, rest), (STEP, rest)))
    parts = (side + rest) // STEP + 1
    table = table.reshape(count, parts, STEP, parts, STEP).cumsum(axis=1).cumsum(axis=3)
    return table.reshape(count, STEP * parts, STEP * parts)


def _shuffled(rank: int, count: int, key: str) -> int:
    """Where `rank` is in a shuffle of ``0 .. count - 1`` that the key decides, computed without the others.

    A Feistel network shuffles the numbers of an even number of bits; what comes out too large goes in again (Black and
    Rogaway 2002).
    """
    bits = (count.bit_length() + 1) // 2
    mask = (1 << bits) - 1
    while True:
        left, right = rank >> bits, rank & mask
        for turn in range(6):
            word = hashlib.blake2b(f"{turn} {right}".encode(), key=key.encode(), digest_size=8).digest()
            left, right = right, left ^ (int.from_bytes(word, "little") & mask)
        rank = left << bits | right
        if rank < count:
            return rank


def _inside(square: Tile | Window) -> Pixels:
    return pixels(PHOTOS[square.photo])[square.y : square.y + square.side, square.x : square.x + square.side]


def _is_flat(square: Pixels) -> bool:
    return bool(square[::STEP, ::STEP, 1].std() < FLAT)


def _tile_side(resolution: int) -> int:
    """Large enough for several crops beside each other, small enough for several tiles a photograph."""
    return max(128, resolution + 16)


def _cut(photo: int, side: int) -> list[Tile]:
    """Tiles that do not overlap, spread evenly over the photograph and dealt to the splits."""
    height, width, _ = pixels(PHOTOS[photo]).shape
    tiles = [Tile(photo, y, x, side, None) for y in _starts(height, side) for x in _starts(width, side)]
    lively = [tile for tile in tiles if not _is_flat(_inside(tile))]
    order = np.argsort(np.random.Philox(key=np.array([SEED, 1000 + photo], dtype=np.uint64)).random_raw(len(lively)))
    names = [name for name, count in deal(len(lively)).items() for _ in range(count)]
    dealt = {lively[number]: name for number, name in zip(order, names, strict=True)}
    return [replace(tile, split=dealt.get(tile)) for tile in tiles]


def _starts(length: int, side: int) -> list[int]:
    """Where ``length // side`` intervals start when the rest of the length is spread evenly around them."""
    count = length // side
    return [((2 * k + 1) * length - side * count) // (2 * count) for k in range(count)]
