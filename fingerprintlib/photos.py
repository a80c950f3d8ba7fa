"""Real images without a download: crops of the colour photographs that scikit-image, scikit-learn and matplotlib ship.

A photograph is cut into tiles, a tile belongs to one split, and no crop crosses a tile, so the splits share no pixel.
What is *not* independent: crops of one tile overlap, and tiles of one photograph share its camera and its light.
"""

import importlib.util
import os
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

from .errors import UsageError
from .images import Pixels, decode, resize
from .provenance import file_hash
from .splits import SHARES, SPLITS, DatasetError, Split, deal

SEED = 20191027  # of the dealing and of the crops; another number is another dataset
# A tile or crop counts as nearly constant when the green of every fourth pixel has a standard deviation below this
# (of 255): the black around the retina, cloudless sky.
FLAT = 4.0
ATTEMPTS = 64


@dataclass(frozen=True)
class Photo:
    """A photograph that an installed package carries.

    Attributes:
        file: its name; also the photograph's name here.
        package: the package that ships it.
        folder: where inside the package.
        title: what it shows.
        licence: credit and licence, as the package states them.
    """

    file: str
    package: str
    folder: str
    title: str
    licence: str


_SKIMAGE = ("skimage", "data")
_SKLEARN = ("sklearn", "datasets/images")
_MATPLOTLIB = ("matplotlib", "mpl-data/sample_data")
PHOTOS = (
    Photo("astronaut.png", *_SKIMAGE, "The astronaut Eileen Collins", "NASA; public domain"),
    Photo("chelsea.png", *_SKIMAGE, "Chelsea the cat", "Stefan van der Walt; CC0"),
    Photo("coffee.png", *_SKIMAGE, "A cup of coffee", "Rachel Michetti, courtesy of Pikolo Espresso Bar; CC0"),
    Photo("hubble_deep_field.jpg", *_SKIMAGE, "Hubble eXtreme Deep Field", "NASA; public domain"),
    Photo("ihc.png", *_SKIMAGE, "Stained tissue under a microscope", "no known copyright restrictions"),
    Photo("motorcycle_left.png", *_SKIMAGE, "A motorcycle (Middlebury 2014, left view)", "see scikit-image's licences"),
    Photo("retina.jpg", *_SKIMAGE, "A human retina", "Mikael Häggström; CC0"),
    Photo("rocket.jpg", *_SKIMAGE, "Launch of a Falcon 9", "SpaceX; public domain"),
    Photo("china.jpg", *_SKLEARN, "A temple in China", "danielbuechele; CC BY 2.0"),
    Photo("flower.jpg", *_SKLEARN, "A flower", "vultilion; CC BY 2.0"),
    Photo("grace_hopper.jpg", *_MATPLOTLIB, "Rear Admiral Grace Hopper", "see matplotlib's licences"),
)


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


def photos_tiles(resolution: int) -> list[tuple[Photo, Pixels, list[Tile]]]:
    """Every photograph with its pixels (uint8 ``[H, W, 3]``, read-only) and its tiles: the map of the splits."""
    return [
        (photo, _pixels(number), _cut(number, _tile_side(resolution), _pixels(number)))
        for number, photo in enumerate(PHOTOS)
    ]


def open_photos(resolution: int) -> tuple[dict[str, Any], dict[str, Split]]:
    """The provenance and the splits of the photographs at a resolution of 32 to 128.

    Raises:
        DatasetError: a photograph is neither installed nor in the folder FINGERPRINTS_PHOTOS.
    """
    tiles = [tile for _, _, tiles in photos_tiles(resolution) for tile in tiles]
    splits = {name: PhotoSplit(name, resolution, [tile for tile in tiles if tile.split == name]) for name in SPLITS}
    provenance = {
        "dataset": "photos",
        "resolution": resolution,
        "tile": _tile_side(resolution),
        "shares": SHARES,
        "seed": SEED,
        "flat": FLAT,
        "files": {photo.file: file_hash(_path(photo)) for photo in PHOTOS},
    }
    return provenance, dict(splits)


class PhotoSplit(Split):
    """Endless random crops: photographs with equal weight, then a tile, a scale of 0.5 to 1, a place, a mirror."""

    def __init__(self, name: str, resolution: int, tiles: Sequence[Tile]) -> None:
        self.name = name
        self.resolution = resolution
        self.tiles = tuple(tiles)
        self._by_photo = [[tile for tile in tiles if tile.photo == number] for number in range(len(PHOTOS))]
        self._photos = [number for number, mine in enumerate(self._by_photo) if mine]
        self.sources = tuple(PHOTOS[number].file for number in self._photos)
        places = {side: sum((side - s + 1) ** 2 for s in self._sides(side)) for side in {tile.side for tile in tiles}}
        self.distinct = sum(2 * places[tile.side] for tile in tiles)

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
        return PHOTOS[self._photo(index)].file

    def window(self, index: int) -> Window:
        """Where image `index` is cut. A nearly constant window is passed over for the next attempt.

        The attempts stay in the same photograph, or those with much sky would lose weight.
        """
        tiles = self._by_photo[self._photo(index)]
        for attempt in range(1, ATTEMPTS + 1):
            which, scale, down, across, mirror, *_ = self._words(index, attempt)
            tile = tiles[_scaled(which, len(tiles))]
            sides = self._sides(tile.side)
            side = sides[_scaled(scale, len(sides))]
            free = tile.side - side + 1
            y, x = tile.y + _scaled(down, free), tile.x + _scaled(across, free)
            window = Window(tile, y, x, side, flip=bool(_scaled(mirror, 2)))
            if not _is_flat(_inside(window)):
                break
        return window

    def _photo(self, index: int) -> int:
        if index < 0:
            raise UsageError(f"Images are numbered from 0; there is no image {index}.")
        return self._photos[_scaled(self._words(index, 0)[0], len(self._photos))]

    def _sides(self, tile_side: int) -> range:
        return range(self.resolution, min(tile_side, 2 * self.resolution) + 1)

    def _words(self, index: int, attempt: int) -> list[int]:
        """Random 64-bit words, a pure function of split, index and attempt (a counter-based generator)."""
        key = np.array([SEED, SPLITS.index(self.name)], dtype=np.uint64)
        counter = np.array([0, attempt, index, 0], dtype=np.uint64)
        words: list[int] = np.random.Philox(key=key, counter=counter).random_raw(8).tolist()
        return words


def overlap(some: Sequence[Window], others: Sequence[Window]) -> float:
    """The share of `some` windows that have a pixel of a photograph in common with one of the `others`; a leak."""

    def meet(a: Window, b: Window) -> bool:
        apart = max(abs(2 * (a.y - b.y) + a.side - b.side), abs(2 * (a.x - b.x) + a.side - b.side))
        return a.tile.photo == b.tile.photo and apart < a.side + b.side

    return sum(any(meet(a, b) for b in others) for a in some) / len(some)


def _scaled(word: int, count: int) -> int:
    """A random 64-bit word as a number of ``0 .. count - 1``."""
    return word * count >> 64


def _inside(window: Window) -> Pixels:
    pixels = _pixels(window.tile.photo)
    return pixels[window.y : window.y + window.side, window.x : window.x + window.side]


def _is_flat(window: Pixels) -> bool:
    return bool(window[::4, ::4, 1].std() < FLAT)


def _tile_side(resolution: int) -> int:
    """Large enough for several crops beside each other, small enough for several tiles a photograph."""
    return max(128, resolution + 16)


def _cut(photo: int, side: int, pixels: Pixels) -> list[Tile]:
    """Tiles that do not overlap, spread evenly over the photograph and dealt to the splits."""
    corners = [(y, x) for y in _starts(pixels.shape[0], side) for x in _starts(pixels.shape[1], side)]
    flat = [corner for corner in corners if _is_flat(pixels[corner[0] :, corner[1] :][:side, :side])]
    lively = [corner for corner in corners if corner not in flat]
    order = np.argsort(np.random.Philox(key=np.array([SEED, 1000 + photo], dtype=np.uint64)).random_raw(len(lively)))
    names = [name for name, count in deal(len(lively)).items() for _ in range(count)]
    dealt = dict(zip((lively[number] for number in order), names, strict=True))
    return [Tile(photo, y, x, side, dealt.get((y, x))) for y, x in corners]


def _starts(length: int, side: int) -> list[int]:
    """Where ``length // side`` intervals start when the rest of the length is spread evenly around them."""
    count = length // side
    return [((2 * k + 1) * length - side * count) // (2 * count) for k in range(count)]


@cache
def _pixels(photo: int) -> Pixels:
    pixels = decode(_path(PHOTOS[photo]))
    pixels.flags.writeable = False  # it is shared by all who ask
    return pixels


def _path(photo: Photo) -> Path:
    if path := _path_or_none(photo):
        return path
    missing = ", ".join(one.file for one in PHOTOS if not _path_or_none(one))
    raise DatasetError(
        f"Not found among the photographs: {missing}. Install scikit-image, scikit-learn and matplotlib, "
        "or set FINGERPRINTS_PHOTOS to a folder that holds them."
    )


def _path_or_none(photo: Photo) -> Path | None:
    """The photograph's file, found without importing the package; else in the folder FINGERPRINTS_PHOTOS."""
    found = importlib.util.find_spec(photo.package)
    homes = [Path(place, photo.folder) for place in (found.submodule_search_locations or [])] if found else []
    if fallback := os.environ.get("FINGERPRINTS_PHOTOS"):
        homes.append(Path(fallback))
    for home in homes:
        if (home / photo.file).is_file():
            return home / photo.file
    return None
