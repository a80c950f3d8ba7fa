"""The book's real images: photographs of garments laid out or hung up, CC0, each by a known contributor.

Like the paper's faces they are aligned objects, and each stands for itself. They lie in ``data/clothing``::

    photographs.csv    a row a photograph: name of the original, contributor, kind, split, hashes of its pixels
    left_out.csv       the originals that are not used, with the reason
    64/SPLIT/NAME.webp the square in the middle, reduced to 64 pixels by area, stored without loss

A contributor's photographs share a camera and rooms, so no contributor is in two splits.
"""

import csv
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ..errors import UsageError
from ..progress import progress_over
from ..project import data_folder
from ..provenance import content_hash, file_hash, write_atomically
from .decoding import decode
from .images import Pixels, centre_square, encode_webp, luma, shrink
from .splits import SHARES, SPLITS, DatasetError, Split

SIDE = 64  # of what is shipped
ORIGIN = "https://github.com/alexeygrigorev/clothing-dataset, commit 4f78b34"
MADE = "fingerprints data make clothing --from FOLDER"


@dataclass(frozen=True)
class Photograph:
    """A row of the table.

    Attributes:
        name: of the original, without ``.jpg``.
        contributor: number of who took it.
        kind: of garment, one of 17.
        kids: whether it is for children.
        split: one of `splits.SPLITS`.
        pixels: hash of the pixels by side, 64 and 128.
    """

    name: str
    contributor: str
    kind: str
    kids: bool
    split: str
    pixels: Mapping[int, str]


def photographs() -> tuple[Photograph, ...]:
    """The table of all photographs, sorted by name, which is random: any part of a split is a fair sample of it.

    Raises:
        DatasetError: the table is missing or damaged.
    """
    path = _folder() / "photographs.csv"
    try:
        with open(path, newline="", encoding="utf-8") as file:
            return tuple(
                Photograph(
                    row["image"],
                    row["contributor"],
                    row["kind"],
                    {"True": True, "False": False}[row["kids"]],
                    SPLITS[SPLITS.index(row["split"])],
                    {64: row["pixels_64"], 128: row["pixels_128"]},
                )
                for row in csv.DictReader(file)
            )
    except (OSError, KeyError, ValueError) as error:
        raise DatasetError(f"{path} is missing or damaged ({error!r}). Restore it: `git checkout {path}`.") from error


def open_clothing(resolution: int) -> tuple[dict[str, Any], dict[str, Split]]:
    """The provenance and the splits of the photographs at 32, 64 or 128 pixels; 32 is made from 64.

    Raises:
        UsageError: another resolution, or 128, which is not shipped.
        DatasetError: a photograph is missing, or has no row in the table.
    """
    if resolution not in (32, SIDE, 128):
        raise UsageError(f"clothing comes at 32, 64 and 128 pixels, not at {resolution}. Choose one of these.")
    rows = photographs()
    home = _folder() / str(max(resolution, SIDE))
    if not home.is_dir():
        raise UsageError(
            f"clothing at {resolution} pixels is not in {home.parent}. Get the originals ({ORIGIN}) and run "
            f"`{MADE}{f' --resolution {resolution}' if resolution == 128 else ''}`."
        )
    _require_files(home, rows)
    splits: dict[str, Split] = {
        name: ClothingSplit(name, resolution, home, [row for row in rows if row.split == name]) for name in SPLITS
    }
    table = file_hash(_folder() / "photographs.csv")  # it holds the hash of every photograph
    return {"dataset": "clothing", "resolution": resolution, "shares": SHARES, "photographs": table}, splits


class ClothingSplit(Split):
    """The photographs of one split; as many images as there are photographs."""

    def __init__(self, name: str, resolution: int, folder: Path, rows: Sequence[Photograph]) -> None:
        self.name = name
        self.resolution = resolution
        self.rows = tuple(rows)
        self._folder = folder
        self.sources = tuple(row.name for row in rows)
        self.available = len(self.rows)

    @property
    def distinct(self) -> int:
        """How many photographs."""
        return len(self.rows)

    def describe(self) -> dict[str, Any]:
        """Also the number of contributors."""
        return super().describe() | {"contributors": len({row.contributor for row in self.rows})}

    def image(self, index: int) -> Pixels:
        """Photograph number `index`, uint8 ``[r, r, 3]``.

        Raises:
            UsageError: there are fewer.
            DatasetError: its pixels are not those of the table.
        """
        row = self._row(index)
        path = _file(self._folder, row)
        pixels = decode(path)
        if content_hash(pixels.tobytes()) != row.pixels.get(len(pixels)):
            raise DatasetError(f"{path} is not the photograph of its row in photographs.csv. Restore both from git.")
        return pixels if len(pixels) == self.resolution else shrink(pixels, self.resolution, self.resolution)

    def source_of(self, index: int) -> str:
        """The name of the original."""
        return self._row(index).name

    def group_of(self, index: int) -> str:
        """Who took it."""
        return self._row(index).contributor

    def kind_of(self, index: int) -> str:
        """What kind of garment it shows."""
        return self._row(index).kind

    def _row(self, index: int) -> Photograph:
        if not 0 <= index < self.distinct:
            raise UsageError(
                f"The split {self.name!r} of clothing has {self.distinct} photographs; there is no number {index}. "
                "Ask for fewer."
            )
        return self.rows[index]


def make_clothing(source: Path | str, resolution: int = SIDE) -> int:
    """Make the squares from the originals, the very same pixels each time; how many were made.

    Args:
        source: a folder with the originals as JPEG files, at any depth. Files that the table does not name are passed
            over.
        resolution: 64, or 128, which the project does not ship. (32 is made from 64 whenever it is opened.)

    Raises:
        UsageError: another resolution; an original is missing or is another picture. Then nothing is written.
        ImageError: an original cannot be read.
    """
    if resolution not in (SIDE, 128):
        raise UsageError(f"clothing is made at 64 or 128 pixels, not at {resolution}. Choose one of these.")
    rows = photographs()
    found = {path.stem: path for path in Path(source).rglob("*.jpg")}
    _refuse([row.name for row in rows if row.name not in found], f"{source} lacks originals")
    squares, wrong = [], []
    for row in progress_over(rows, len(rows), "clothing", "photographs"):
        pixels = square(decode(found[row.name]), resolution)
        squares.append((row, encode_webp(pixels)))
        if content_hash(pixels.tobytes()) != row.pixels[resolution]:
            wrong.append(row.name)
    _refuse(wrong, f"{source} holds other pictures under the names of originals")
    for row, data in squares:
        write_atomically(_file(_folder() / str(resolution), row), data)
    return len(squares)


def square(original: Pixels, resolution: int) -> Pixels:
    """The square in the middle of a photograph, reduced by area: uint8 ``[H, W, 3]`` to ``[r, r, 3]``."""
    return shrink(centre_square(original), resolution, resolution)


def deal_contributors(counts: Mapping[str, int]) -> dict[str, str]:
    """The split of each contributor, from their numbers of photographs alone: nobody is in two.

    The largest come first, and each goes to the split that lacks most photographs of its share.
    """
    total, given = sum(counts.values()), Counter[str]()
    dealt = {}
    for contributor in sorted(counts, key=lambda one: (-counts[one], content_hash(one.encode()))):
        neediest = max(SPLITS, key=lambda name: SHARES[name] * total - given[name])
        given[neediest] += counts[contributor]
        dealt[contributor] = neediest
    return dealt


def _folder() -> Path:
    return data_folder() / "clothing"


def _file(home: Path, row: Photograph) -> Path:
    return home / row.split / f"{row.name}.webp"


def _require_files(home: Path, rows: Sequence[Photograph]) -> None:
    """Every row has its file, and every file its row."""
    wanted = {_file(home, row) for row in rows}
    found = set(home.glob("*/*.webp"))
    if missing := sorted(wanted - found):
        raise DatasetError(f"{_named(missing)} missing. Restore: `git checkout {home.parent}`, or `{MADE}`.")
    if extra := sorted(found - wanted):
        raise DatasetError(f"{_named(extra)} in no row of photographs.csv. Move them to another folder.")


def _refuse(names: Sequence[str], what: str) -> None:
    if names:
        raise UsageError(f"{what}: {_named(names)}. Nothing was written. Get them from {ORIGIN}.")


def _named(things: Sequence[Any], shown: int = 3) -> str:
    """The first few, and how many more."""
    more = f" and {len(things) - shown} more" if len(things) > shown else ""
    return ", ".join(str(thing) for thing in things[:shown]) + more


def grid_strength(images: Iterable[Pixels], period: int, others: Sequence[int] = (3, 5, 6, 7, 9, 10, 11, 13)) -> float:
    """How much more steps between neighbouring pixels repeat every `period` pixels than at other periods; 1: no more.

    JPEG's blocks show at 8 and what a camera's colour filter leaves at 2. Steps are absolute differences of luma along
    rows and columns, each image's in units of their mean. For each period they are averaged by position modulo the
    period, over all images, and the spread over these positions is taken, in units of what chance would make it:
    proportional to the root of the period less one.

    Args:
        images: uint8 ``[H, W, 3]`` of any sides above twice the largest period.
        period: in pixels.
        others: periods to compare with; the median of theirs counts.
    """
    sums = {p: np.zeros(p) for p in {period, *others}}
    counts = {p: np.zeros(p) for p in sums}
    for image in images:
        plane = luma(image, np.float64)
        for steps in (np.abs(np.diff(plane, axis=1)).mean(0), np.abs(np.diff(plane, axis=0)).mean(1)):
            for p in sums:
                at = np.arange(len(steps)) % p
                sums[p] += np.bincount(at, steps / steps.mean().clip(1e-9), p)
                counts[p] += np.bincount(at, minlength=p)
    spread = {p: float((sums[p] / counts[p]).std() / np.sqrt(p - 1)) for p in sums}
    return spread[period] / float(np.median([spread[p] for p in others]))
