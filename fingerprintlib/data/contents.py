"""What the files of each published data set hold, and how its images become squares.

The names of the images, who or what they show, and their pixels one by one: nothing is read before it is asked for.
"""

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from threading import Lock
from typing import Any

import numpy as np
from PIL import Image

from .catalogue import library
from .decoding import ImageError, decode
from .fetching import FetchError
from .images import Pixels, centre_square, shrink
from .splits import DatasetError

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


#: By the name of a data set, what opens the folder that it was unpacked into.
OPENERS: dict[str, Callable[[Path], Contents]] = {
    "cifar10": _cifar10,
    "stl10": _stl10,
    "flowers102": _flowers102,
    "celeba": _celeba,
    "lsun:bedroom": _lsun,
    "lfw": _lfw,
}
