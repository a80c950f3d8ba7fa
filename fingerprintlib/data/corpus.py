"""A corpus: labelled images of several sources, memory-mapped, never all in memory.

On disk it is a folder of three plain NumPy files and a card::

    images.npy   uint8 [N, H, W, 3]     split by split, class by class
    labels.npy   int64 [N]              positions in the card's class names
    groups.npy   int64 [N]              images of one number are not independent: one camera took them
    card.json    classes, counts, provenance of each source, hashes
    equalized/   the same corpus under a colour control (made on first use; so is grey/)

A corpus is built in a folder beside it (``NAME.partial``) and gets its name only when it is whole and was read back.
A build that was killed goes on where it stopped.
"""

import hashlib
import io
import json
import os
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import accumulate
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from ..codehash import PACKAGE, code_of
from ..errors import FingerprintsError, UsageError, unknown
from ..provenance import content_hash, file_hash, recipe_hash, write_atomically, write_json
from ..store import get_or_make, named, put_in_place, unfinished
from .images import COLOURS, Pixels, coloured
from .labelled import LabelledImages
from .splits import SPLITS

FORMAT = "fingerprintlib-corpus-1"
CHUNK = 256  # images between two entries of the journal: what a killed build loses at most


class CorpusError(FingerprintsError):
    """A corpus that is missing, damaged or foreign, or could not be written."""


class Source(Protocol):
    """Where the images of one class come from: a `datasets.Dataset`, a trained generator, ..."""

    @property
    def provenance(self) -> Mapping[str, Any]:
        """JSON-able; everything the images depend on."""

    def images(self, split: str, start: int, count: int, /) -> Pixels:
        """Images ``start .. start + count - 1`` of a split, uint8 ``[count, r, r, 3]``; the same whenever asked."""


@runtime_checkable
class Grouped(Protocol):
    """A source whose images are not all independent of each other."""

    def groups_of(self, split: str, start: int, count: int, /) -> Sequence[str]:
        """The group of each of these images: the camera, the photograph, ... that it has in common with others."""


@runtime_checkable
class Finite(Protocol):
    """A source that may run out of images."""

    def available(self, split: str, /) -> int | None:
        """How many images of a split there are; None where there is no end of them."""


@dataclass(frozen=True)
class Corpus(LabelledImages):
    """An open corpus.

    Attributes:
        path: its folder.
        card: what the folder says about itself: the recipe (see `build_corpus`) and the hashes of the files.
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
        return _in_order(self.card["recipe"]["counts"])

    @property
    def hash(self) -> str:
        """Of every image, label and group, the class names and the colour: made in another way, it is the same."""
        return _content(self.card)

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
        sources = {name: _Coloured(self, colour, label) for label, name in enumerate(self.class_names)}
        return build_corpus(self.path / colour, sources, self.counts, self.resolution, colour=colour)


@dataclass(frozen=True)
class _Coloured:
    """One class of a corpus under a colour control, as a source of its own."""

    corpus: Corpus
    colour: str
    label: int

    @property
    def provenance(self) -> Mapping[str, Any]:
        return {self.colour: self.corpus.hash, "class": self.corpus.class_names[self.label]}

    def images(self, split: str, start: int, count: int, /) -> Pixels:
        return coloured(self.corpus.split(split)[0][self._rows(split, start, count)], self.colour)

    def groups_of(self, split: str, start: int, count: int, /) -> list[str]:
        return [str(group) for group in self.corpus.groups(split)[self._rows(split, start, count)]]

    def _rows(self, split: str, start: int, count: int) -> slice:
        first = self.label * self.corpus.counts[split] + start
        return slice(first, first + count)


def build_corpus(
    path: Path | str,
    sources: Mapping[str, Source],
    counts: Mapping[str, int],
    resolution: int,
    colour: str = "as_is",
) -> Corpus:
    """Build a corpus, or open it where it stands already.

    The recipe is all the arguments but the path, with each source's provenance, the code that makes the images and the
    versions of the packages it computes with. A corpus of the same recipe is verified and opened; a corpus of another
    recipe is replaced, once the new one is whole. A build that was stopped is continued if the recipe is the same, and
    started over if not. While another process builds it, this one waits.

    Args:
        path: the folder to make.
        sources: class name to source; their order is the order of the labels. One whose images are not independent
            is `Grouped` too, one that may run out of images `Finite`.
        counts: images per class, for any of the splits. Where a source has fewer, all classes get as many as that one
            has: `Corpus.counts` has what there is, and `Corpus.told` says so.
        resolution: side of the images.
        colour: what the sources were subjected to; leave it and see `Corpus.coloured`.

    Raises:
        UsageError: no sources, bad counts, a source without a single image, or a folder at `path` that is something
            else.
        CorpusError: a source gives other images than asked for, or the disk fails. What is done is kept.
    """
    path = Path(path)
    recipe = _recipe(sources, counts, resolution, colour)
    if path.exists() and not (path / "card.json").is_file() and not (path.is_dir() and not any(path.iterdir())):
        raise UsageError(f"{path} exists and is not a corpus. Name another folder or remove it.")

    def is_there() -> bool:
        return (path / "card.json").is_file() and _read_card(path).get("recipe") == recipe

    def make() -> Corpus:
        _write(unfinished(path), sources, recipe)
        open_corpus(unfinished(path))  # what the disk holds is what was meant
        put_in_place(path)
        (path / "journal.txt").unlink(missing_ok=True)
        return open_corpus(path, verify=False)

    try:
        return get_or_make(path, is_there, lambda: open_corpus(path), make)
    except OSError as error:
        raise CorpusError(
            f"The corpus {path} could not be written ({error}). Make room and run again: it goes on where it stopped."
        ) from error


def load_or_build(
    folder: Path | str, name: str, sources: Mapping[str, Source], counts: Mapping[str, int], resolution: int
) -> Corpus:
    """The corpus of this recipe in `folder`, built if it is not there; its own folder is named after the recipe's hash.

    Args and Raises: see `build_corpus`.
    """
    path = named(folder, name, _recipe(sources, counts, resolution, "as_is"))
    return build_corpus(path, sources, counts, resolution)


def open_corpus(path: Path | str, verify: bool = True) -> Corpus:
    """Open a corpus; only its labels and groups are read into memory.

    Args:
        path: its folder.
        verify: also read the images through once and compare their hash (about 1 GB/s).

    Raises:
        CorpusError: missing, cut short, altered, or not a corpus; the message names the file.
    """
    path = Path(path)
    card = _read_card(path)
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


def corpus_hash(path: Path | str) -> str:
    """The `Corpus.hash` of the corpus at `path`, read off its card alone.

    Raises:
        CorpusError: there is none.
    """
    return _content(_read_card(Path(path)))


def _slices(counts: Mapping[str, int], classes: int) -> dict[str, slice]:
    """Where each split lies among the images."""
    ends = list(accumulate((count * classes for count in counts.values()), initial=0))
    return {split: slice(ends[number], ends[number + 1]) for number, split in enumerate(counts)}


def _labels(recipe: Mapping[str, Any]) -> NDArray[np.int64]:
    classes = np.arange(len(recipe["classes"]), dtype=np.int64)
    return np.concatenate([np.repeat(classes, count) for count in _in_order(recipe["counts"]).values()])


def _groups(sources: Mapping[str, Source], recipe: Mapping[str, Any]) -> NDArray[np.int64]:
    """A number for each image, the same for those of one group; counted up in the order in which they lie on disk."""
    numbers: dict[tuple[str, str], int] = {}
    found: list[int] = []
    for split, count in _in_order(recipe["counts"]).items():
        for name in recipe["classes"]:
            source = sources[name]
            if isinstance(source, Grouped):
                mine = source.groups_of(split, 0, count)
            else:
                mine = [f"{split} {index}" for index in range(count)]
            if len(mine) != count:
                raise CorpusError(f"The source {name!r} told the groups of {len(mine)} images, not of {count}.")
            found += [numbers.setdefault((name, one), len(numbers)) for one in mine]
    return np.array(found, np.int64)


def _in_order(counts: Mapping[str, int]) -> dict[str, int]:
    return {split: counts[split] for split in SPLITS if split in counts}


def _chunks(recipe: Mapping[str, Any]) -> Iterator[tuple[str, str, int, int]]:
    """Class, split, start and count of each piece of the images, in the order in which they lie on disk."""
    for split, count in _in_order(recipe["counts"]).items():
        for name in recipe["classes"]:
            for start in range(0, count, CHUNK):
                yield name, split, start, min(CHUNK, count - start)


def _recipe(
    sources: Mapping[str, Source],
    counts: Mapping[str, int],
    resolution: int,
    colour: str,
) -> dict[str, Any]:
    """Everything a corpus depends on, as it will be read back from JSON."""
    if not sources:
        raise UsageError("A corpus needs at least one source. Name one.")
    if not counts:
        raise UsageError(f"A corpus needs images. Give a count for one of: {', '.join(SPLITS)}.")
    for split, count in counts.items():
        if split not in SPLITS:
            raise unknown("split", split, SPLITS)
        if not _is_positive(count):
            raise UsageError(f"The count {count!r} of the split {split!r} is not a whole number of 1 or more.")
    if not _is_positive(resolution):
        raise UsageError(f"The resolution {resolution!r} is not a whole number of 1 or more.")
    if colour not in COLOURS:
        raise unknown("colour", colour, COLOURS)
    available = {split: _available(sources, split) for split in counts}
    recipe = {
        "classes": list(sources),
        "counts": {split: min([count, *available[split].values()]) for split, count in counts.items()},
        "available": available,
        "resolution": resolution,
        "colour": colour,
        "sources": {name: dict(source.provenance) for name, source in sources.items()},
        **code_of(_write, *sorted(_modules(sources))),
    }
    try:
        plain: dict[str, Any] = json.loads(json.dumps(recipe))
    except (TypeError, ValueError) as error:
        raise UsageError(f"The provenance of a corpus must be JSON ({error}). Give plain values.") from error
    return plain


def _available(sources: Mapping[str, Source], split: str) -> dict[str, int]:
    """How many images of a split each source has that may run out of them."""
    found = {name: source.available(split) for name, source in sources.items() if isinstance(source, Finite)}
    for name, count in found.items():
        if count == 0:
            raise UsageError(f"The source {name!r} has no images in the split {split!r}. Leave the split out.")
    return {name: count for name, count in found.items() if count is not None}


def _modules(sources: Mapping[str, Source]) -> set[str]:
    """The package's modules that the sources are defined in; others' code is their provenance's to tell."""
    modules = {type(source).__module__ for source in sources.values()}
    return {module for module in modules if module.split(".")[0] == PACKAGE}


def _is_positive(number: object) -> bool:
    return isinstance(number, int) and not isinstance(number, bool) and number > 0


def _write(folder: Path, sources: Mapping[str, Source], recipe: Mapping[str, Any]) -> None:
    """Write a whole corpus, or what of it is not there yet.

    Images are appended chunk by chunk with ordinary writes: on a full disk they fail with an error, where a memory map
    would take the process down. The journal holds the recipe's hash and then the hash of every chunk.
    """
    from ..runtime import progress

    folder.mkdir(parents=True, exist_ok=True)
    (folder / "card.json").unlink(missing_ok=True)
    (folder / "images.npy").touch()
    journal_path = folder / "journal.txt"
    promised = journal_path.read_text().splitlines() if journal_path.is_file() else []
    chunks = list(_chunks(recipe))
    total, side = sum(count for *_, count in chunks), recipe["resolution"]
    whole = hashlib.blake2b(digest_size=16)

    with open(folder / "images.npy", "r+b") as images:
        header = _header((total, side, side, 3))
        images.write(header)
        whole.update(header)
        kept = [recipe_hash(recipe)]
        if promised[:1] == kept:
            for hashed, (*_, count) in zip(promised[1:], chunks, strict=False):
                block = images.read(count * side * side * 3)
                if content_hash(block) != hashed:
                    break
                whole.update(block)
                kept.append(hashed)
        done = chunks[: len(kept) - 1]
        finished = sum(count for *_, count in done)
        images.seek(len(header) + finished * side * side * 3)
        images.truncate()
        write_atomically(journal_path, "".join(f"{line}\n" for line in kept))

        with open(journal_path, "a") as journal, progress(total, folder.stem, "images", initial=finished) as bar:
            for name, split, start, count in chunks[len(done) :]:
                block = _block(name, sources[name].images(split, start, count), count, side)
                images.write(block)
                images.flush()
                journal.write(content_hash(block) + "\n")
                journal.flush()
                whole.update(block)
                bar.update(count)
        os.fsync(images.fileno())

    files = {"images.npy": whole.hexdigest()}
    for name, values in (("labels.npy", _labels(recipe)), ("groups.npy", _groups(sources, recipe))):
        written = io.BytesIO()
        np.save(written, values)
        write_atomically(folder / name, written.getvalue())
        files[name] = content_hash(written.getvalue())
    card = {"format": FORMAT, "recipe": recipe, "files": files}
    write_json(folder / "card.json", card | {"hash": recipe_hash(card)})


def _block(name: str, images: Pixels, count: int, side: int) -> bytes:
    """The bytes of a chunk that a source gave, checked."""
    if images.dtype != np.uint8 or images.shape != (count, side, side, 3):
        raise CorpusError(
            f"The source {name!r} gave {images.dtype} {list(images.shape)} where uint8 {[count, side, side, 3]} "
            "was asked for. Open it at the resolution of the corpus."
        )
    return images.tobytes()


def _header(shape: tuple[int, ...]) -> bytes:
    """The first bytes of a .npy file of uint8."""
    header = io.BytesIO()
    np.lib.format.write_array_header_1_0(header, {"descr": "|u1", "fortran_order": False, "shape": shape})
    return header.getvalue()


def _read_card(path: Path) -> dict[str, Any]:
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


def _mapped(path: Path, dtype: np.dtype[Any], shape: tuple[int, ...]) -> NDArray[Any]:
    """A .npy file mapped read-only, checked for type, shape and size."""
    try:
        array: NDArray[Any] = np.load(path, mmap_mode="r", allow_pickle=False)
        whole = isinstance(array, np.memmap) and path.stat().st_size == array.offset + array.nbytes
    except (OSError, ValueError, EOFError) as error:
        raise CorpusError(f"{path} cannot be read ({error}). Delete the folder and build it again.") from error
    if not whole or array.dtype != dtype or array.shape != shape:
        raise CorpusError(f"{path} does not hold {dtype} {list(shape)}. Delete the folder and build it again.")
    return array
