"""A corpus: labelled images of several sources, memory-mapped, never all in memory.

On disk it is a folder of three plain NumPy files and a card::

    images.npy   uint8 [N, H, W, 3]     split by split, class by class
    labels.npy   int64 [N]              positions in the card's class names
    groups.npy   int64 [N]              images of one number are not independent: one camera took them
    card.json    classes, counts, provenance of each source, hashes
    equalized/   the same corpus under a colour control (made on first use; so is grey/)

How it comes there: `building`.
"""

import json
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import accumulate
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..errors import FingerprintsError, UsageError, unknown
from ..provenance import content_hash, file_hash, recipe_hash
from .images import COLOURS, Pixels
from .labelled import LabelledImages
from .mapping import Mapped, mapped
from .splits import SPLITS

FORMAT = "fingerprintlib-corpus-1"


class CorpusError(FingerprintsError):
    """A corpus that is missing, damaged or foreign, or could not be written."""


@dataclass(frozen=True)
class Corpus(LabelledImages):
    """An open corpus.

    Attributes:
        path: its folder.
        card: what the folder says about itself: the recipe (see `building`) and the hashes of the files.
    """

    path: Path
    card: dict[str, Any]
    _images: Pixels
    _labels: NDArray[np.int64]
    _groups: NDArray[np.int64]

    @property
    def class_names(self) -> tuple[str, ...]:
        """The sources; a label is a position in this."""
        return tuple(self.card["recipe"]["classes"])

    @property
    def resolution(self) -> int:
        """Side of the images in pixels."""
        return int(self.card["recipe"]["resolution"])

    @property
    def colour(self) -> str:
        """One of `images.COLOURS`."""
        return str(self.card["recipe"]["colour"])

    @property
    def counts(self) -> dict[str, int]:
        """Images per class of each split: as many as there are, at most what was asked for."""
        return in_order(self.card["recipe"]["counts"])

    @property
    def hash(self) -> str:
        """Of every image, label and group, the class names and the colour: made in another way, it is the same."""
        return _content(self.card)

    @property
    def origin(self) -> dict[str, str]:
        """See `LabelledImages.origin`: the hash of the photographs, or of the generator's weights."""
        return {name: _origin(self.card["recipe"]["sources"][name]) for name in self.class_names}

    def split(self, name: str) -> tuple[Pixels, NDArray[np.int64]]:
        """Images (uint8 ``[n, H, W, 3]``, read-only, mapped from disk) and labels (int64 ``[n]``) of a split.

        They lie class by class: shuffle before training.
        """
        here = _slices(self.counts, len(self.class_names))
        if name not in here:
            raise unknown("split", name, list(here))
        return self._images[here[name]], self._labels[here[name]]

    def groups(self, name: str) -> NDArray[np.int64]:
        """For each image of a split a number, int64 ``[n]``: images of one number are not independent of each other.

        They share a camera and a place (see `splits.Split.group_of`), so that an interval has to count groups. An
        image that a generator made is a group of its own. No two classes share a number; two splits only where a
        group has images in both.
        """
        here = _slices(self.counts, len(self.class_names))
        if name not in here:
            raise unknown("split", name, list(here))
        return self._groups[here[name]]

    def told(self, asked: Mapping[str, int]) -> str:
        """A sentence that says how many images of each source there are, and of which fewer than were asked for."""
        there = ", ".join(f"{count:,} for {split}" for split, count in self.counts.items())
        text = f"Images of each source: {there}."
        for split, count in self.counts.items():
            if count < asked.get(split, 0):
                of = min(self.card["recipe"]["available"][split].items(), key=lambda item: item[1])[0]
                text += f" {asked[split]:,} for {split} were asked for; {of} has no more, so no source has."
        return text

    def coloured(self, colour: str) -> "Corpus":
        """This corpus under a colour control (`images.coloured`), which is built on first use.

        Raises:
            UsageError: an unknown colour, or another colour of a corpus that has been under a control.
        """
        if colour not in COLOURS:
            raise unknown("colour", colour, COLOURS)
        if colour == self.colour:
            return self
        if self.colour != "as_is":
            raise UsageError(f"{self.path} is {self.colour} already. Open the corpus that it was made from.")
        from .building import build_coloured  # which builds on this file

        return build_coloured(self, colour)


def open_corpus(path: Path | str, verify: bool = True) -> Corpus:
    """Open a corpus; only its labels and groups are read into memory.

    Args:
        path: its folder.
        verify: also read the images through once and compare their hash (about 1 GB/s).

    Raises:
        CorpusError: missing, cut short, altered, or not a corpus; the message names the file.
    """
    path = Path(path)
    card = read_card(path)
    recipe = card["recipe"]
    total, side = sum(recipe["counts"].values()) * len(recipe["classes"]), recipe["resolution"]
    images = _mapped(path / "images.npy", np.dtype(np.uint8), (total, side, side, 3))
    labels, groups = (
        np.array(_mapped(path / name, np.dtype(np.int64), (total,))) for name in ("labels.npy", "groups.npy")
    )
    for name in ("labels.npy", "groups.npy", *(["images.npy"] if verify else [])):
        if file_hash(path / name) != card["files"][name]:
            raise CorpusError(f"{path / name} was altered after it was written. Delete the folder and build it again.")
    return Corpus(path, card, images, labels, groups)


def shared_images(corpus: Corpus) -> int:
    """How many images occur, byte for byte, in more than one split: 0 where nothing has leaked."""
    hashes = {split: [content_hash(image.tobytes()) for image in corpus.split(split)[0]] for split in corpus.counts}
    splits_with = Counter(one for mine in hashes.values() for one in set(mine))
    return sum(splits_with[one] > 1 for mine in hashes.values() for one in mine)


def _content(card: Mapping[str, Any]) -> str:
    """A hash of what the images, labels and groups are, whatever made them."""
    told = {key: card["recipe"][key] for key in ("classes", "counts", "resolution", "colour")}
    return recipe_hash({**told, "files": card["files"]})


def _origin(provenance: Mapping[str, Any]) -> str:
    told = [provenance[key] for key in ("origin", "weights", "hash") if key in provenance]
    return str(told[0]) if told else recipe_hash(provenance)


def corpus_hash(path: Path | str) -> str:
    """The `Corpus.hash` of the corpus at `path`, read off its card alone.

    Raises:
        CorpusError: there is none.
    """
    return _content(read_card(Path(path)))


def _slices(counts: Mapping[str, int], classes: int) -> dict[str, slice]:
    """Where each split lies among the images."""
    ends = list(accumulate((count * classes for count in counts.values()), initial=0))
    return {split: slice(ends[number], ends[number + 1]) for number, split in enumerate(counts)}


def in_order(counts: Mapping[str, int]) -> dict[str, int]:
    """The counts of the splits in the order in which these lie on disk."""
    return {split: counts[split] for split in SPLITS if split in counts}


def read_card(path: Path) -> dict[str, Any]:
    """The card of a corpus, checked against its own hash."""
    try:
        card = json.loads((path / "card.json").read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise CorpusError(f"There is no corpus {path} (no card.json). Build it first.") from error
    except (OSError, ValueError) as error:
        raise CorpusError(
            f"{path / 'card.json'} cannot be read ({error}). Delete the folder and build it again."
        ) from error
    if not isinstance(card, dict) or card.get("format") != FORMAT:
        raise CorpusError(f"{path} was not written by this library (no {FORMAT!r} mark). Use one that was.")
    if card.get("hash") != recipe_hash({key: value for key, value in card.items() if key != "hash"}):
        raise CorpusError(
            f"{path / 'card.json'} was altered after it was written. Delete the folder and build it again."
        )
    return card


def _mapped(path: Path, dtype: np.dtype[Any], shape: tuple[int, ...]) -> Mapped:
    """A .npy file mapped read-only, checked for type, shape and size."""
    try:
        array = mapped(path)
        whole = path.stat().st_size == array.offset + array.nbytes
    except (OSError, ValueError, EOFError) as error:
        raise CorpusError(f"{path} cannot be read ({error}). Delete the folder and build it again.") from error
    if not whole or array.dtype != dtype or array.shape != shape:
        raise CorpusError(f"{path} does not hold {dtype} {list(shape)}. Delete the folder and build it again.")
    return array
