"""A blind case: unlabelled images of known, related and unknown sources, and a sealed key to what they are.

It is made like a blind proficiency test. No exhibit tells by anything but its pixels where it is from: all are PNG
files of one size, written by one encoder without compression, without metadata, with one date, and numbered at random.
How many there are of each source is drawn at random, too, so that nobody can count off. Photographs are of different
photographers, as far as there are as many.
"""

import hashlib
import io
import json
import os
import secrets
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from string import Template
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
from PIL import Image

from .. import __version__
from ..data.decoding import name_of
from ..data.images import Pixels
from ..errors import UsageError
from ..forensics.calibrating import REAL
from ..forensics.judging import UNKNOWN
from ..forensics.pictures import check_names
from ..forensics.reading import read_sources, source_folders
from ..gans import GANS
from ..progress import progress_over
from ..project import data_folder
from ..provenance import write_atomically
from ..statistics.likelihood_ratios import VERBAL_SCALE
from ..tables import markdown
from ..zoo.shipped import Zoo
from .key import CASE, EXHIBITS, GENERATOR, KINDS, PHOTOGRAPH, SIBLING, STRANGER, Exhibit, Key
from .report import write_report

#: Images of a case, uint8 ``[n, R, R, 3]``, and the group of each, if it has one (see `key.Exhibit`).
Taken = tuple[Pixels, list[str | None]]
#: How many images each of several cases wants, and a random generator each, to what each gets.
Take = Callable[[Sequence[int], Sequence[np.random.Generator]], list[Taken]]

SHEETS = Path(__file__).with_name("sheets")  # the pages in a case, and about it
SHARES = dict(zip(KINDS, (0.35, 0.35, 0.15, 0.15), strict=True))  # of the exhibits, on average
LEAST = 0.1  # share of the exhibits that each kind has at least: of fewer no score means much
DATE = 946_684_800  # of all exhibits: 1 January 2000, in seconds since 1970
SIDE = 64  # of exhibits from folders, in pixels


@dataclass(frozen=True)
class Pool:
    """Where exhibits of one source come from.

    Attributes:
        source: its name.
        kind: one of `key.KINDS`.
        take: gives images to several cases.
    """

    source: str
    kind: str
    take: Take


def shipped_pools(seed: str) -> list[Pool]:
    """The book's sources: test photographs and the four GANs are known, their relatives and the others are not.

    Args:
        seed: of the latents; who knows it can make the images again.
    """
    zoo = Zoo.of(data_folder() / "zoo")
    photographs = zoo.data.split("test")
    groups = [photographs.group_of(index) for index in range(photographs.available or 0)]
    pools = [Pool(REAL, PHOTOGRAPH, _from_images(REAL, photographs.image, groups))]
    for name in zoo.names:
        kind = GENERATOR if name in GANS else SIBLING if zoo.has_siblings(name) else STRANGER
        pools.append(Pool(name, kind, _from_generator(zoo, name, _number(seed, name) % 2**63)))
    return pools


def folder_pools(folder: Path | str) -> list[Pool]:
    """One's own sources, a sub-folder each, all known, but for one called ``unknown``, whose images others generated.

    A sub-folder called ``real`` holds photographs. Larger images are shrunk to 64 pixels (`reading.read_sources`).

    Raises:
        UsageError: there are fewer than two sub-folders, a name that is none, or an image that cannot be used.
    """
    folders, _ = source_folders(folder)
    check_names([name for name in folders if name != UNKNOWN])
    read = read_sources(folders, SIDE)
    if read.unread:
        raise UsageError(f"An exhibit cannot be made of every file in {name_of(Path(folder))}: {read.unread[0]}")
    pools = []
    for k, name in enumerate(read.names):
        rows = np.flatnonzero(read.labels == k)
        kind = {REAL: PHOTOGRAPH, UNKNOWN: STRANGER}.get(name, GENERATOR)
        groups = [str(group) for group in read.groups[rows]]
        pools.append(Pool(name, kind, _from_images(name, read.images[rows].__getitem__, groups)))
    return pools


def make_cases(pools: Sequence[Pool], count: int, seed: str, variants: int = 1) -> list[tuple[Key, list[bytes]]]:
    """Cases with their exhibits as PNG files; the same arguments make the same ones.

    A case depends on the seed, its number and the cases before it, but not on those behind it.

    Args:
        pools: of the sources.
        count: exhibits of each case, so many that each kind has one.
        seed: who knows it can write the key: give one that nobody guesses.
        variants: how many cases.

    Raises:
        UsageError: a source has fewer images than are wanted.
    """
    rngs = [np.random.default_rng(_number(seed, number)) for number in range(variants)]
    dealt = [_deal(pools, count, rng) for rng in rngs]  # of each case the pool of each exhibit
    made: list[list[Any]] = [[None] * count for _ in range(variants)]
    for k, pool in enumerate(progress_over(pools, len(pools), "exhibits", "sources")):
        places = [np.flatnonzero(each == k) for each in dealt]
        for number, (images, groups) in enumerate(pool.take([len(some) for some in places], rngs)):
            for place, image, group in zip(places[number], images, groups, strict=True):
                made[number][place] = _png(image), group
    sources = tuple(pool.source for pool in pools if pool.kind in (PHOTOGRAPH, GENERATOR))
    cases = []
    for number in range(variants):
        exhibits = tuple(
            Exhibit(pools[k].source, pools[k].kind, hashlib.sha256(png).hexdigest(), group)
            for k, (png, group) in zip(dealt[number], made[number], strict=True)
        )
        key = Key(sources, exhibits, f"{_number(seed, number, 'salt'):064x}", __version__)
        cases.append((key, [png for png, _ in made[number]]))
    return cases


def write_case(folder: Path, sealed: Path, key: Key, exhibits: Sequence[bytes]) -> None:
    """Write a case into a new folder, and its key elsewhere.

    Args:
        folder: is made; nothing in it tells the key.
        sealed: the key's file, for its owner's eyes only; not in the folder.
        key, exhibits: see `make_cases`.

    Raises:
        UsageError: the folder has something in it, the key's file is there already, or lies in the folder.
    """
    require_places(folder, sealed)
    folder.parent.mkdir(parents=True, exist_ok=True)
    with TemporaryDirectory(dir=folder.parent, prefix=".") as partial:
        whole = Path(partial) / "case"
        (whole / EXHIBITS).mkdir(parents=True)
        for name, png in zip(key.names, exhibits, strict=True):
            path = whole / EXHIBITS / f"{name}.png"
            path.write_bytes(png)
            os.utime(path, (DATE, DATE))
        (whole / CASE).write_bytes(key.published.encoded)
        write_report(whole / "report.csv", key.sources, key.names)
        for sheet, name in {"case.md": "README.md", "custody.md": "custody.md", "report.md": "report.md"}.items():
            text = Template((SHEETS / sheet).read_text(encoding="utf-8")).safe_substitute(_facts(key))
            (whole / name).write_text(text, encoding="utf-8")
        write_atomically(sealed, key.encoded)
        sealed.chmod(0o600)
        os.replace(whole, folder)


def require_places(folder: Path, sealed: Path) -> None:
    """Refuse places where something would be lost, or given away; see `write_case`."""
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise UsageError(f"There is something in {name_of(folder)} already. Name a folder that is not there yet.")
    if sealed.exists():
        raise UsageError(f"There is a key {name_of(sealed)} already, perhaps of a case that is out. Name another.")
    if sealed.absolute().is_relative_to(folder.absolute()):
        raise UsageError(f"The key {name_of(sealed)} would lie among the exhibits. Name a file outside of them.")


def _from_generator(zoo: Zoo, name: str, seed: int) -> Take:
    def take(counts: Sequence[int], rngs: Sequence[np.random.Generator]) -> list[Taken]:
        images = zoo.load(name).sample(sum(counts), seed)  # for all at once: fifty are computed even if one is wanted
        return [(some, [None] * len(some)) for some in np.split(images, np.cumsum(counts)[:-1])]

    return take


def _from_images(source: str, image: Callable[[int], Pixels], groups: Sequence[str]) -> Take:
    def take(counts: Sequence[int], rngs: Sequence[np.random.Generator]) -> list[Taken]:
        if max(counts) > len(groups):
            raise UsageError(
                f"The source {source!r} has {len(groups)} images, and {max(counts)} are wanted of it. "
                "Give more, or ask for fewer exhibits."
            )
        chosen = [_choose(groups, count, rng) for count, rng in zip(counts, rngs, strict=True)]
        return [(np.array([image(i) for i in some], np.uint8), [groups[i] for i in some]) for some in chosen]

    return take


def _choose(groups: Sequence[str], count: int, rng: np.random.Generator) -> list[int]:
    """Numbers of images, drawn at random, but none of a group again before all groups had their turn."""
    turns: Counter[str] = Counter()
    drawn = []
    for index in rng.permutation(len(groups)).tolist():
        drawn.append((turns[groups[index]], index))
        turns[groups[index]] += 1
    return [index for _, index in sorted(drawn, key=lambda one: one[0])][:count]


def _deal(pools: Sequence[Pool], count: int, rng: np.random.Generator) -> np.ndarray:
    """The pool of each exhibit, int ``[count]``: the kind by `SHARES`, of the kind any source, all at random."""
    there = [kind for kind in KINDS if any(pool.kind == kind for pool in pools)]
    shares = np.array([SHARES[kind] for kind in there])
    sure = np.repeat(np.arange(len(there)), max(1, int(LEAST * count)))
    kinds = np.concatenate([sure, rng.choice(len(there), count - len(sure), p=shares / shares.sum())])
    of_kind = [[k for k, pool in enumerate(pools) if pool.kind == kind] for kind in there]
    return np.array([rng.choice(of_kind[kind]) for kind in rng.permutation(kinds)])


def _png(image: Pixels) -> bytes:
    """Not compressed, so that all images of one size make files of one size."""
    buffer = io.BytesIO()
    Image.fromarray(image).save(buffer, format="PNG", compress_level=0)
    return buffer.getvalue()


def _number(*what: str | int) -> int:
    """A number below 2**256 that tells nothing of what it is made of."""
    return int.from_bytes(hashlib.sha256(json.dumps(what).encode()).digest())


def any_seed() -> str:
    """One that nobody guesses."""
    return secrets.token_hex(32)


def _facts(key: Key) -> dict[str, str]:
    """What the sheets of a case have in place of their dollar signs."""
    published = key.published
    scale = [{"likelihood ratio from": f"{least:,}", "support": words} for least, words in VERBAL_SCALE]
    return {
        "mark": key.mark,
        "count": str(len(key.exhibits)),
        "commitment": key.commitment,
        "version": key.version,
        "sources": ", ".join(key.sources),
        "hashes": markdown([{"exhibit": name, "SHA-256": f"`{of}`"} for name, of in published.exhibits.items()]),
        "scale": markdown(scale),
    }
