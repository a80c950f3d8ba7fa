"""The four disjoint splits of real images, and what every kind of split can do.

Generators learn from ``gan``, attribution networks from ``train``; settings are chosen on ``validation``, and what the
book reports is measured on ``test``.
"""

from abc import ABC, abstractmethod
from typing import Any

import numpy as np

from .errors import FingerprintsError, UsageError
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
        for offset in range(count):
            batch[offset] = self.image(start + offset)
        return batch

    def describe(self) -> dict[str, Any]:
        """A row of the table that the book prints."""
        return {"split": self.name, "sources": len(self.sources), "distinct": self.distinct}


class Joined(Split):
    """The images of two splits as one: first all of the one, then all of the other; both must have an end."""

    def __init__(self, first: Split, second: Split) -> None:
        if first.available is None or second.available is None:
            raise UsageError(f"The splits {first.name!r} and {second.name!r} cannot be joined: one has no end.")
        self.name = first.name
        self.resolution = first.resolution
        self.sources = first.sources + second.sources
        self.available = first.available + second.available
        self._parts = ((0, first), (first.available, second))

    @property
    def distinct(self) -> int:
        """Those of both."""
        return sum(part.distinct for _, part in self._parts)

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
        """The split that has the image, and its number there; that refuses a number that is too large."""
        start, part = self._parts[index >= self._parts[1][0]]
        return part, index - start


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
