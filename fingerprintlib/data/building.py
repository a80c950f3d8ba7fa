"""Building a corpus: images of several sources, split by split, written to disk so that a kill loses little.

It is built in a folder beside it (``NAME.partial``) and gets its name only when it is whole and was read back. A build
that was killed goes on where it stopped.
"""

import hashlib
import io
import json
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from ..codehash import PACKAGE, code_of
from ..errors import UsageError, unknown
from ..provenance import content_hash, recipe_hash, write_atomically, write_json
from ..store import get_or_make, named, put_in_place, unfinished
from .corpus import FORMAT, Corpus, CorpusError, in_order, open_corpus, read_card
from .images import COLOURS, Pixels, coloured
from .splits import SPLITS

#: Images between two entries of the journal: what a killed build loses at most. A multiple of what a generator computes
#: together (`generators.CHUNK`), or a sixth of its images would be computed twice.
CHUNK = 250


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
class _Coloured:
    """One class of a corpus under a colour control, as a source of its own."""

    corpus: Corpus
    colour: str
    label: int

    @property
    def provenance(self) -> Mapping[str, Any]:
        name = self.corpus.class_names[self.label]
        return {self.colour: self.corpus.hash, "class": name, "origin": self.corpus.origin[name]}

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
        return (path / "card.json").is_file() and read_card(path).get("recipe") == recipe

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


def build_coloured(corpus: Corpus, colour: str) -> Corpus:
    """The corpus under a colour control, in a folder of its own: see `Corpus.coloured`."""
    sources = {name: _Coloured(corpus, colour, label) for label, name in enumerate(corpus.class_names)}
    return build_corpus(corpus.path / colour, sources, corpus.counts, corpus.resolution, colour)


def load_or_build(
    folder: Path | str, name: str, sources: Mapping[str, Source], counts: Mapping[str, int], resolution: int
) -> Corpus:
    """The corpus of this recipe in `folder`, built if it is not there; its own folder is named after the recipe's hash.

    Args and Raises: see `build_corpus`.
    """
    path = named(folder, name, _recipe(sources, counts, resolution, "as_is"))
    return build_corpus(path, sources, counts, resolution)


def _labels(recipe: Mapping[str, Any]) -> NDArray[np.int64]:
    classes = np.arange(len(recipe["classes"]), dtype=np.int64)
    return np.concatenate([np.repeat(classes, count) for count in in_order(recipe["counts"]).values()])


def _groups(sources: Mapping[str, Source], recipe: Mapping[str, Any]) -> NDArray[np.int64]:
    """A number for each image, the same for those of one group; counted up in the order in which they lie on disk."""
    numbers: dict[tuple[str, str], int] = {}
    found: list[int] = []
    for split, count in in_order(recipe["counts"]).items():
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


def _chunks(recipe: Mapping[str, Any]) -> Iterator[tuple[str, str, int, int]]:
    """Class, split, start and count of each piece of the images, in the order in which they lie on disk."""
    for split, count in in_order(recipe["counts"]).items():
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
    from ..progress import progress

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
