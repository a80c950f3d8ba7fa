"""The four disjoint splits of real images, and what every kind of split can do.

Generators learn from ``gan``, attribution networks from that and ``train``; settings are chosen on ``validation``, and
what the book reports is measured on ``test``.
"""

from abc import ABC, abstractmethod
from typing import Any

import numpy as np

from ..errors import FingerprintsError, UsageError
from .files import in_order
from .images import Pixels

SPLITS = ("gan", "train", "validation", "test")
SHARES = {"gan": 0.45, "train": 0.25, "validation": 0.10, "test": 0.20}


class DatasetError(FingerprintsError):
    """Real images that are missing or cannot be used."""


class Split(ABC):
    """The images of one split; `image(i)` is the same whenever and in whatever order it is asked for.

    Attributes:
        name: one of `SPLITS`.
        sources: the photographs or files it draws from.
        available: how many images it can give; None where there is no end of them.
    """

    name: str
    resolution: int
    sources: tuple[str, ...]
    available: int | None = None

    @property
    @abstractmethod
    def distinct(self) -> int:
        """How many different images there are."""

    @abstractmethod
    def image(self, index: int) -> Pixels:
        """Image number `index` (0 or more), uint8 ``[r, r, 3]``."""

    @abstractmethod
    def source_of(self, index: int) -> str:
        """Which of `sources` the image was taken from."""

    def group_of(self, index: int) -> str:
        """What the image shares its camera, place and light with: images of one group are not independent.

        That is its source, unless a kind of split knows better: whoever took several photographs took all of them
        with one camera.
        """
        return self.source_of(index)

    def kind_of(self, index: int) -> str:
        """What the image shows, where that is known; else its source."""
        return self.source_of(index)

    def images(self, start: int, count: int) -> Pixels:
        """Images ``start .. start + count - 1``, uint8 ``[count, r, r, 3]``."""
        batch = np.empty((count, self.resolution, self.resolution, 3), dtype=np.uint8)
        for offset, image in enumerate(in_order(self.image, range(start, start + count))):
            batch[offset] = image
        return batch

    def describe(self) -> dict[str, Any]:
        """A row of the table that the book prints."""
        return {"split": self.name, "sources": len(self.sources), "distinct": self.distinct}


class Joined(Split):
    """The images of two splits as one, mixed evenly, so that any part of it has its share of both; both must end."""

    def __init__(self, first: Split, second: Split) -> None:
        if first.available is None or second.available is None:
            raise UsageError(f"The splits {first.name!r} and {second.name!r} cannot be joined: one has no end.")
        self.name = first.name
        self.resolution = first.resolution
        sizes = (first.available, second.available)
        self.available = sum(sizes)
        places = [((i + 0.5) / size, k, i) for k, size in enumerate(sizes) for i in range(size)]
        self._places = [((first, second)[k], i) for _, k, i in sorted(places)]
        self.sources = tuple(part.source_of(i) for part, i in self._places)

    @property
    def distinct(self) -> int:
        """Those of both."""
        return len(self._places)

    def image(self, index: int) -> Pixels:
        """Image number `index`, uint8 ``[r, r, 3]``."""
        mine, place = self._part(index)
        return mine.image(place)

    def source_of(self, index: int) -> str:
        """Which of `sources` the image was taken from."""
        mine, place = self._part(index)
        return mine.source_of(place)

    def group_of(self, index: int) -> str:
        """As the split that has it says."""
        mine, place = self._part(index)
        return mine.group_of(place)

    def kind_of(self, index: int) -> str:
        """As the split that has it says."""
        mine, place = self._part(index)
        return mine.kind_of(place)

    def _part(self, index: int) -> tuple[Split, int]:
        """The split that has the image, and its number there."""
        if not 0 <= index < len(self._places):
            raise UsageError(f"The joined split {self.name!r} has {self.available} images; there is no image {index}.")
        return self._places[index]


def deal(count: int) -> dict[str, int]:
    """How many of `count` things each split gets: by `SHARES`, but one at least when there are four or more."""
    given = {name: max(int(share * count), int(count >= len(SPLITS))) for name, share in SHARES.items()}
    for _ in range(count - sum(given.values())):
        neediest = max(SPLITS, key=lambda name: SHARES[name] * count - given[name])
        given[neediest] += 1
    return given


def split_of(content: str) -> str:
    """The split of a file, from the first 32 bits of its hash."""
    fraction = int(content[:8], 16) / 2**32
    for name, share in SHARES.items():
        if fraction < share:
            return name
        fraction -= share
    return SPLITS[-1]
