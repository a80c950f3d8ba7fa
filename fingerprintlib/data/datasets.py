"""Real images, dealt to disjoint splits before anything is trained.

Every image is a function of (dataset, split, index): no state, no order, no shuffling to keep track of.
"""

import os
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any

from ..errors import UsageError, unknown
from ..progress import progress_over
from ..provenance import file_hash, recipe_hash
from .catalogue import PUBLISHED
from .clothing import open_clothing
from .decoding import EXTENSIONS, ImageError, decode, name_of
from .files import image_files, in_words, read_all
from .images import Pixels, centre_square, resize
from .photographs import PHOTOS, Photo
from .published import open_published
from .scenes import Tile, Window, open_scenes, overlap, scenes_tiles
from .splits import SHARES, SPLITS, DatasetError, Joined, Split, split_of

__all__ = [
    "DATASETS",
    "PHOTOS",
    "SHARES",
    "SPLITS",
    "Dataset",
    "DatasetError",
    "Photo",
    "Split",
    "Tile",
    "Window",
    "open_dataset",
    "overlap",
    "scenes_tiles",
]

DATASETS = ("clothing", "scenes", *PUBLISHED, "folder:PATH")
RESOLUTIONS = range(32, 257)
ENOUGH = 40  # files with which a split is empty once in about seventy folders
NAMED = 20  # files that an error names, at most


@dataclass(frozen=True)
class Dataset:
    """Real images at one resolution, in four disjoint splits.

    Attributes:
        name: as it was asked for.
        resolution: side of the images in pixels.
        provenance: JSON-able; everything the images depend on, the hashes of the files included.
    """

    name: str
    resolution: int
    provenance: dict[str, Any]
    splits: Mapping[str, Split]

    @property
    def hash(self) -> str:
        """The hash of the provenance."""
        return recipe_hash(self.provenance)

    def split(self, name: str) -> Split:
        """One of ``gan``, ``train``, ``validation``, ``test``."""
        if name not in self.splits:
            raise unknown("split", name, SPLITS)
        return self.splits[name]

    def images(self, split: str, start: int, count: int) -> Pixels:
        """uint8 ``[count, r, r, 3]``; this makes a dataset a source of a corpus (see `building.Source`)."""
        return self.split(split).images(start, count)

    def groups_of(self, split: str, start: int, count: int) -> list[str]:
        """The group of each of these images (see `splits.Split.group_of`)."""
        mine = self.split(split)
        return [mine.group_of(index) for index in range(start, start + count)]

    def available(self, split: str) -> int | None:
        """How many images the split can give; None where there is no end of them."""
        return self.split(split).available

    def joined(self, name: str, other: str) -> "Dataset":
        """The same images, but that the split `name` has those of `other`, too, mixed evenly (`splits.Joined`).

        So attribution can learn from the photographs that the generators learned from, as it does in the paper. A
        split that has no end (`scenes`) stays as it is: it needs no more.

        Raises:
            UsageError: an unknown split.
        """
        first, second = self.split(name), self.split(other)
        if first.available is None or second.available is None:
            return self
        return replace(
            self,
            provenance=self.provenance | {"joined": {name: [name, other]}},
            splits={**self.splits, name: Joined(first, second)},
        )

    def describe(self) -> list[dict[str, Any]]:
        """A row per split: how many sources it draws from, how many different images there are, and more (`scenes`)."""
        return [split.describe() for split in self.splits.values()]


def open_dataset(spec: str, resolution: int, expect: str | None = None) -> Dataset:
    """Real images by name.

    Args:
        spec: ``clothing``, ``scenes``, one of `catalogue.PUBLISHED`, or ``folder:PATH`` (the files at any depth that
            `files.image_files` finds; each is read once here, and what is passed over is told on standard error).
        resolution: side of the images, 32 to 256; of ``clothing`` 32, 64 or 128, of ``scenes`` at most 128, of others
            at most what their images have.
        expect: the `Dataset.hash` that it must have.

    Raises:
        UsageError: an unknown name, a resolution out of range, a folder that is missing, empty or too small, other
            images than expected.
        FetchError: a published data set is not here: `fingerprints data get` brings it.
        ImageError: files of a folder that cannot be read or are smaller than the resolution; all are told at once.
        DatasetError: a photograph is missing or altered.
    """
    if isinstance(resolution, bool) or not isinstance(resolution, int) or resolution not in RESOLUTIONS:
        raise UsageError(f"The resolution {resolution!r} is not a whole number of 32 to 256 pixels.")
    kind, colon, path = spec.partition(":")
    if spec == "clothing":
        provenance, splits = open_clothing(resolution)
    elif spec == "scenes":
        provenance, splits = open_scenes(resolution)
    elif spec in PUBLISHED:
        provenance, splits = open_published(spec, resolution)
    elif kind == "folder" and colon:
        provenance, splits = _open_folder(Path(os.path.expanduser(path)), resolution)
    else:
        raise unknown("dataset", spec, DATASETS)
    dataset = Dataset(spec, resolution, provenance, splits)
    if expect not in (None, dataset.hash):
        raise UsageError(
            f"The data set {spec} has changed since its hash was noted: "
            "run the chapter 'real-images' again (`make book` does)."
        )
    return dataset


def _open_folder(folder: Path, resolution: int) -> tuple[dict[str, Any], dict[str, Split]]:
    """Each file goes to a split by the hash of its content, so adding files moves none of the others."""
    name = name_of(folder)
    if not folder.is_dir():
        raise UsageError(f"There is no folder {name}. Name one that holds images.")
    paths, passed_over = image_files(folder)
    told = f" ({in_words(passed_over)})" if passed_over else ""
    if not paths:
        raise UsageError(f"The folder {name} holds no image{told}. Name one that does: {', '.join(EXTENSIONS)}.")
    if told:
        _say_once(f"{name}: {len(paths)} images{told}.")
    found, bad = {}, []
    for path, pixels in progress_over(read_all(paths), len(paths), "Reading the folder", "files"):
        if isinstance(pixels, ImageError):
            bad.append(str(pixels))
        elif min(pixels.shape[:2]) < resolution:
            size = f"{pixels.shape[0]} x {pixels.shape[1]} pixels"
            bad.append(f"{name_of(path)} is {size}; remove it or ask for a lower resolution than {resolution}.")
        else:
            found[file_hash(path)] = path
    if bad:
        more = f" And {len(bad) - NAMED} more." if len(bad) > NAMED else ""
        raise ImageError(f"{len(bad)} of {len(paths)} images cannot be used. {' '.join(bad[:NAMED])}{more}")
    hashes = sorted(found)
    splits: dict[str, Split] = {
        name: _FolderSplit(name, resolution, folder, [found[h] for h in hashes if split_of(h) == name])
        for name in SPLITS
    }
    if without := [name for name, split in splits.items() if not split.distinct]:
        raise UsageError(
            f"The folder {name} holds {len(found)} different images, and none fell to: {', '.join(without)}. "
            f"Add files; about {ENOUGH} at least are needed."
        )
    provenance = {"dataset": "folder", "resolution": resolution, "shares": SHARES, "files": hashes}
    return provenance, splits


class _FolderSplit(Split):
    """The files of a folder: the square in the middle, shrunk; as many images as there are files."""

    def __init__(self, name: str, resolution: int, folder: Path, paths: Sequence[Path]) -> None:
        self.name = name
        self.resolution = resolution
        self._folder = folder
        self._paths = tuple(paths)
        self.sources = tuple(path.relative_to(folder).as_posix() for path in paths)
        self.available = len(paths)

    @property
    def distinct(self) -> int:
        """How many files there are."""
        return len(self._paths)

    def images(self, start: int, count: int) -> Pixels:
        if start + count > self.distinct:
            raise UsageError(
                f"The split {self.name!r} of folder:{self._folder} has {self.distinct} images; "
                f"{start + count} are asked for. Add files or ask for fewer."
            )
        return super().images(start, count)

    def image(self, index: int) -> Pixels:
        self._require(index)
        return resize(centre_square(decode(self._paths[index])), self.resolution)

    def source_of(self, index: int) -> str:
        self._require(index)
        return self.sources[index]

    def _require(self, index: int) -> None:
        if not 0 <= index < self.distinct:
            raise UsageError(
                f"The split {self.name!r} of {self._folder} has {self.distinct} images; there is no image {index}. "
                "Ask for fewer or add files."
            )


@cache
def _say_once(text: str) -> None:
    print(text, file=sys.stderr)
