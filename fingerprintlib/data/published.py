"""The published data sets as real images, prepared as the paper prepared its own, in splits that share nothing.

What may not be parted goes to one split: all images of a person where the data set says who is who, near-duplicates
where it does not, and the very same image in any case. Which split that is follows from the name of the group alone, so
it depends on no other image.
"""

import json
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from ..errors import UsageError
from ..progress import progress_over
from ..provenance import content_hash, recipe_hash, write_json
from ..store import get_or_make
from .catalogue import Published, find
from .contents import OPENERS, Contents
from .duplicates import WITHIN, near_duplicates
from .fetching import CARD, GROUPS, FetchError, card_of, home
from .files import in_order
from .images import Pixels
from .splits import SHARES, SPLITS, DatasetError, Split, split_of


def open_published(name: str, resolution: int) -> tuple[dict[str, Any], dict[str, Split]]:
    """The provenance and the splits of a published data set that `fetching.fetch` has brought.

    Which images belong together is computed when it is opened first, and kept beside it.

    Raises:
        UsageError: there is no such data set, or its images would have to be enlarged.
        FetchError: it is not here, or only in part.
        DatasetError: it holds other things than it should.
    """
    one = find(name)
    if resolution > one.side:
        raise UsageError(
            f"{name} has images of {one.side} pixels: at {resolution} they would be enlarged. "
            f"Ask for {'32' if one.side == 32 else f'32 to {one.side}'}."
        )
    grouped = group(name)
    if resolution > grouped["side"]:
        raise DatasetError(f"{name} in {home()} has an image of {grouped['side']} pixels. Ask for no more.")
    contents, keys = _open(one), grouped["groups"]
    home_of = {key: split_of(content_hash(f"{name} {key}".encode())) for key in set(keys)}
    # In an order that has nothing to do with what they show, so that any part of a split is a fair sample of it.
    order = sorted(range(len(keys)), key=lambda number: content_hash(contents.names[number].encode()))
    splits: dict[str, Split] = {
        split: PublishedSplit(split, resolution, one, contents, keys, [n for n in order if home_of[keys[n]] == split])
        for split in SPLITS
    }
    if without := [split for split in SPLITS if not splits[split].distinct]:
        raise DatasetError(f"{name} in {home()} has {len(keys)} images, and none fell to: {', '.join(without)}.")
    provenance = {
        "dataset": name,
        "resolution": resolution,
        "shares": SHARES,
        "preparation": one.preparation,
        "files": card_of(name)["files"],
        "count": grouped["count"],
        "images": grouped["images"],
        "groups": recipe_hash(keys),
    }
    return provenance, splits


class PublishedSplit(Split):
    """The images of one split; as many as there are."""

    def __init__(
        self,
        name: str,
        resolution: int,
        one: Published,
        contents: Contents,
        keys: Sequence[str],
        numbers: Sequence[int],
    ) -> None:
        self.name = name
        self.resolution = resolution
        self.sources = tuple(contents.names[number] for number in numbers)
        self.available = len(numbers)
        self._one = one
        self._contents = contents
        self._keys = keys
        self._numbers = np.array(numbers, np.int64)

    @property
    def distinct(self) -> int:
        """How many images there are."""
        return len(self._numbers)

    def describe(self) -> dict[str, Any]:
        """Also the number of people, or of groups of near-duplicates."""
        what = "people" if self._one.by_person else "groups"
        return super().describe() | {what: len({self._keys[number] for number in self._numbers})}

    def image(self, index: int) -> Pixels:
        """Image number `index`, uint8 ``[r, r, 3]``.

        Raises:
            UsageError: there are fewer.
            DatasetError: it is missing, or not what it was.
        """
        return self._contents.scaled(self._contents.square(self._number(index)), self.resolution)

    def source_of(self, index: int) -> str:
        """Its name in the data set."""
        return self._contents.names[self._number(index)]

    def group_of(self, index: int) -> str:
        """Whom it shows, or the first of the near-duplicates that it belongs to."""
        return self._keys[self._number(index)]

    def kind_of(self, index: int) -> str:
        """What it shows, where the data set says it; else its name."""
        kinds = self._contents.kinds
        return kinds[self._number(index)] if kinds else self.source_of(index)

    def _number(self, index: int) -> int:
        if not 0 <= index < self.distinct:
            raise UsageError(
                f"The split {self.name!r} of {self._one.name} has {self.distinct} images; there is no image {index}. "
                "Ask for fewer."
            )
        return int(self._numbers[index])


# --- what belongs together ------------------------------------------------------------------------


def group(name: str) -> dict[str, Any]:
    """Which images of a data set belong together: computed once, and kept beside it.

    Returns:
        ``groups``, the name of each image's group; ``images``, a hash of all squares' pixels; ``count``; ``side`` of
        the smallest; and ``made_of``, a hash of what all this was computed from.

    Raises:
        FetchError, DatasetError: see `open_published`; or the outcome cannot be written.
    """
    one, card = find(name), card_of(name)
    path = home() / one.folder / GROUPS
    made_of = recipe_hash({"contents": card["contents"], "preparation": one.preparation, "within": WITHIN, "format": 1})

    def read() -> dict[str, Any] | None:
        try:
            found = json.loads(path.read_text(encoding="utf-8"))
            return found if found["made_of"] == made_of else None
        except (OSError, ValueError, KeyError, TypeError):
            return None  # it is made anew

    def make() -> dict[str, Any]:
        found = {**_group(_open(one), name), "made_of": made_of}
        write_json(path, found)
        return found

    try:
        return get_or_make(path, lambda: read() is not None, lambda: read() or make(), make)
    except OSError as error:
        raise FetchError(
            f"Which images of {name} belong together could not be written to {path} ({error.strerror or error}). Run "
            f"`fingerprints data get {name}` where you may write."
        ) from error


def _group(contents: Contents, name: str) -> dict[str, Any]:
    count, hashes, sides = len(contents.names), [], []

    def square(number: int) -> Pixels:
        pixels = contents.square(number)
        hashes.append((number, content_hash(pixels.tobytes())))
        sides.append(len(pixels))
        return pixels

    # Some are decoded ahead of the others, by a few threads; so the hashes come in any order.
    squares = progress_over(in_order(square, range(count)), count, f"{name}: what belongs together", "images")
    if contents.people is None:
        alike = near_duplicates(squares)
    else:
        for _ in squares:
            pass
        alike = np.unique(np.array(contents.people), return_inverse=True)[1]
    pixels = [hashed for _, hashed in sorted(hashes)]
    together = _joined(alike, np.unique(pixels, return_inverse=True)[1])
    first = np.unique(together, return_index=True)[1][together]  # the first image of each one's group
    named = contents.people or contents.names
    return {
        "groups": [named[number] for number in first],
        "images": recipe_hash(pixels),
        "count": count,
        "side": min(sides),
    }


def _joined(some: NDArray[np.int64], others: NDArray[np.int64]) -> NDArray[np.int64]:
    """Numbers of groups such that two images are in one if they are in either of two groupings, or by a chain of it."""
    count = len(some)
    edges = np.arange(count), count + some
    more = np.arange(count), count + some.max() + 1 + others
    rows, columns = (np.concatenate(both) for both in zip(edges, more, strict=True))
    total = int(columns.max()) + 1
    graph = coo_array((np.ones(len(rows), bool), (rows, columns)), shape=(total, total))
    groups: NDArray[np.int64] = connected_components(graph, directed=False)[1][:count]
    return groups


@cache
def _opened(name: str, place: Path, fetched: int) -> Contents:
    """The data set that was fetched to a folder at a moment; kept open."""
    opened = OPENERS[name](place)
    if not opened.names:
        raise DatasetError(f"{place} holds no image of {name}. Remove it and run `fingerprints data get {name}`.")
    return opened


def _open(one: Published) -> Contents:
    place = home() / one.folder
    return _opened(one.name, place, (place / CARD).stat().st_mtime_ns)
