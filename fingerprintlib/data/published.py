"""The published data sets as real images, prepared as the paper prepared its own, in splits that share nothing.

What may not be parted goes to one split: all images of a person where the data set says who is who, near-duplicates
where it does not, and the very same image in any case. Which split that is follows from the name of the group alone, so
it depends on no other image.
"""

import json
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from threading import Lock
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from ..errors import UsageError
from ..progress import progress_over
from ..provenance import content_hash, recipe_hash, write_json
from ..store import get_or_make
from .catalogue import Published, find, library
from .decoding import ImageError, decode
from .duplicates import WITHIN, near_duplicates
from .fetching import CARD, GROUPS, FetchError, card_of, home
from .files import in_order
from .images import Pixels, centre_square, shrink
from .splits import SHARES, SPLITS, DatasetError, Split, split_of

X, Y = 89, 121  # where the paper centres its squares of CelebA, whose images are 178 x 218 pixels
FACE = 128  # the side of these squares, and of those in the middle of LFW's 250 x 250 pixels: its faces are as large
FIRST = 200_000  # bedrooms of LSUN that the paper takes


@dataclass(frozen=True)
class Contents:
    """The images that the files of a data set hold.

    Attributes:
        names: of the images, in the order of the data set.
        square: gives image number so and so as the data set has it, but square: uint8 ``[S, S, 3]``.
        scaled: makes a square smaller.
        people: whom each image shows, where a split is to have whole persons.
        kinds: what each image shows, where the data set says it.
    """

    names: Sequence[str]
    square: Callable[[int], Pixels]
    scaled: Callable[[Pixels, int], Pixels]
    people: Sequence[str] | None = None
    kinds: Sequence[str] | None = None


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


# --- what each data set's files hold --------------------------------------------------------------


@cache
def _opened(name: str, place: Path, fetched: int) -> Contents:
    """The data set that was fetched to a folder at a moment; kept open."""
    opened = _OPENERS[name](place)
    if not opened.names:
        raise DatasetError(f"{place} holds no image of {name}. Remove it and run `fingerprints data get {name}`.")
    return opened


def _open(one: Published) -> Contents:
    place = home() / one.folder
    return _opened(one.name, place, (place / CARD).stat().st_mtime_ns)


def _by_area(square: Pixels, resolution: int) -> Pixels:
    return square if len(square) == resolution else shrink(square, resolution, resolution)


def _read(source: Path | bytes, name: str) -> Pixels:
    """The numbers as they are stored, as the paper's code and torchvision read them."""
    try:
        return decode(source, convert=False)
    except ImageError as error:
        raise DatasetError(
            f"{name} cannot be used ({error}). Run `fingerprints data check` for its data set."
        ) from error


def _cifar10(place: Path) -> Contents:
    reader = library("torchvision.datasets").CIFAR10
    try:  # the batches are pickles: torchvision compares their MD5 before it opens one
        parts = {"train": reader(place, train=True), "test": reader(place, train=False)}
    except RuntimeError as error:
        raise DatasetError(
            f"{place} is not CIFAR-10 as it was published. Remove it and run `fingerprints data get cifar10`."
        ) from error
    images = np.concatenate([part.data for part in parts.values()])
    names = [f"{name} {number}" for name, part in parts.items() for number in range(len(part.data))]
    kinds = [part.classes[label] for part in parts.values() for label in part.targets]
    return Contents(names, lambda number: images[number], _by_area, kinds=kinds)


def _stl10(place: Path) -> Contents:
    layout = library("torchvision.datasets").STL10
    folder, side = place / layout.base_folder, 96
    listed = dict(layout.train_list + layout.test_list)
    parts, names, kinds = [], [], []
    try:
        classes = (folder / layout.class_names_file).read_text().split()
        for file in (file for file in listed if file.endswith("_X.bin")):
            # Mapped, as torchvision would read three gigabytes. Colour by colour, and each column by column.
            images = np.memmap(folder / file, np.uint8, "r").reshape(-1, 3, side, side).transpose(0, 3, 2, 1)
            labels = file.replace("_X", "_y")
            told = np.fromfile(folder / labels, np.uint8) if labels in listed else np.zeros(len(images), np.uint8)
            parts.append(images)
            names += [f"{file.removesuffix('_X.bin')} {number}" for number in range(len(images))]
            kinds += [classes[label - 1] if label else "unlabelled" for label in told]
    except (OSError, ValueError, IndexError) as error:
        raise DatasetError(f"{folder} is not STL-10 ({error}). Run `fingerprints data check stl10`.") from error
    ends = np.cumsum([len(part) for part in parts])

    def square(number: int) -> Pixels:
        which = int(np.searchsorted(ends, number, side="right"))
        return np.ascontiguousarray(parts[which][number - ends[which]])  # counted from the end of its part

    return Contents(names, square, _by_area, kinds=kinds)


def _flowers102(place: Path) -> Contents:
    paths = sorted((place / "jpg").glob("*.jpg"))

    def square(number: int) -> Pixels:
        return centre_square(_read(paths[number], str(paths[number])))

    return Contents([path.stem for path in paths], square, _by_area)


def _celeba(place: Path) -> Contents:
    table = place / "identity_CelebA.txt"
    try:
        rows = [tuple(line.split()) for line in table.read_text(encoding="ascii").splitlines() if line.strip()]
        people = {file: f"person {person}" for file, person in rows}
    except (OSError, ValueError) as error:
        raise DatasetError(
            f"{table} does not tell who is who ({error}). Run `fingerprints data check celeba`."
        ) from error
    names = sorted(people)

    def square(number: int) -> Pixels:
        path = place / "img_align_celeba" / names[number]
        pixels = _read(path, str(path))
        if pixels.shape != (218, 178, 3):
            raise DatasetError(f"{path} is {pixels.shape[1]} x {pixels.shape[0]} pixels, not 178 x 218: not aligned.")
        return pixels[Y - FACE // 2 : Y + FACE // 2, X - FACE // 2 : X + FACE // 2]

    who = [people[name] for name in names]
    return Contents(names, square, _by_area, people=who, kinds=who)


def _lfw(place: Path) -> Contents:
    paths = sorted((place / "lfw_funneled").glob("*/*.jpg"))

    def square(number: int) -> Pixels:
        whole = centre_square(_read(paths[number], str(paths[number])))
        start = (len(whole) - FACE) // 2
        if start < 0:
            raise DatasetError(f"{paths[number]} has {len(whole)} pixels, not 250. Run `fingerprints data check lfw`.")
        return whole[start : start + FACE, start : start + FACE]

    people = [path.parent.name for path in paths]
    return Contents([path.stem for path in paths], square, _by_area, people=people, kinds=people)


def _lsun(place: Path) -> Contents:
    folder = place / "bedroom_train_lmdb"
    values = _Values(folder)
    try:
        keys = values.keys(FIRST)
    except values.error as error:
        raise DatasetError(f"{folder} is no LMDB ({error}). Run `fingerprints data check lsun:bedroom`.") from error

    def square(number: int) -> Pixels:
        return centre_square(_read(values[keys[number]], f"{folder}, key {keys[number]!r}"))

    def scaled(pixels: Pixels, resolution: int) -> Pixels:
        if resolution != 128:
            return _by_area(pixels, resolution)
        # The paper names no filter; the preparation of LSUN in its released code has this one.
        return np.array(Image.fromarray(pixels).resize((resolution, resolution), Image.Resampling.LANCZOS))

    return Contents([key.decode("latin-1") for key in keys], square, scaled)


class _Values:
    """The values of an LMDB by their keys; each process opens it for itself, as LMDB wants it."""

    def __init__(self, folder: Path) -> None:
        try:
            import lmdb
        except ImportError as error:
            raise FetchError("LSUN is read with the package lmdb. Install it: `pip install lmdb`.") from error
        self.error: type[Exception] = lmdb.Error
        self._lmdb = lmdb
        self._folder = folder
        self._lock = Lock()
        self._open: tuple[int, Any] = (-1, None)

    def _transaction(self) -> Any:
        with self._lock:
            if self._open[0] != os.getpid():
                self._open = os.getpid(), self._environment()
        return self._open[1].begin(buffers=False)

    def _environment(self) -> Any:
        opened = self._lmdb.open(str(self._folder), readonly=True, lock=False, create=False, readahead=False)
        needed = (opened.info()["last_pgno"] + 1) * opened.stat()["psize"]
        size = (self._folder / "data.mdb").stat().st_size
        if size < needed:  # to read beyond its end would be the end of this process
            raise DatasetError(
                f"{self._folder / 'data.mdb'} is cut short: {size:,} of {needed:,} bytes. Unpack it again, or remove "
                f"{self._folder.parent} and run `fingerprints data get lsun:bedroom`."
            )
        return opened

    def keys(self, most: int) -> list[bytes]:
        """The first keys, in the order of the file: sorted."""
        with self._transaction() as transaction, transaction.cursor() as cursor:
            return [key for key, _ in zip(cursor.iternext(keys=True, values=False), range(most), strict=False)]

    def __getitem__(self, key: bytes) -> bytes:
        with self._transaction() as transaction:
            return bytes(transaction.get(key))


_OPENERS: dict[str, Callable[[Path], Contents]] = {
    "cifar10": _cifar10,
    "stl10": _stl10,
    "flowers102": _flowers102,
    "celeba": _celeba,
    "lsun:bedroom": _lsun,
    "lfw": _lfw,
}
