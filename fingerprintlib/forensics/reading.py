"""Reading a reader's own sources: each is a folder of images, and which source an image is from its folder says."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ..data.decoding import EXTENSIONS, ImageError, name_of
from ..data.duplicates import near_duplicates
from ..data.files import PassedOver, Reason, image_files, in_words, read_all
from ..data.headers import Header, read_header
from ..data.images import Pixels
from ..errors import UsageError, unknown
from ..progress import progress
from .calibrating import REAL
from .viewing import seen

VIEWS = ("shrunk", "middle")
SIDES = (32, 64, 128, 256)  # pixels


@dataclass(frozen=True, eq=False)
class ReadImages:
    """What was read from the folders of some sources, in order.

    Attributes:
        names: the K sources.
        images: uint8 ``[N, R, R, 3]``, as the network sees them.
        labels: int64 ``[N]``.
        groups: int64 ``[N]``: near-duplicates of the images as they were share a number.
        paths: of the N images.
        headers: of these.
        unread: why each file that could not be used could not, in a sentence that names it.
        passed_over: what was not taken for an image.
    """

    names: tuple[str, ...]
    images: Pixels
    labels: NDArray[np.int64]
    groups: NDArray[np.int64]
    paths: Sequence[Path]
    headers: Sequence[Header]
    unread: Sequence[str]
    passed_over: Sequence[PassedOver]


def source_folders(folder: Path | str) -> tuple[dict[str, Path], list[PassedOver]]:
    """The sub-folders of a folder by name, photographs first, and what else is in it.

    Raises:
        UsageError: there is no such folder, or fewer than two sub-folders.
    """
    home = Path(folder)
    if not home.is_dir():
        raise UsageError(f"There is no folder {name_of(home)}. Name one that has a sub-folder for each source.")
    found, beside = {}, []
    for path in sorted(home.iterdir()):
        if path.name.startswith("."):
            beside.append(PassedOver(path, Reason.HIDDEN))
        elif path.is_dir():
            found[path.name] = path
        else:
            beside.append(PassedOver(path, Reason.BESIDE))
    if len(found) < 2:
        raise UsageError(
            f"The folder {name_of(home)} has {len(found)} sub-folders. Give it one for each source, two at least; "
            f"photographs go into one that is called {REAL!r}."
        )
    return {name: found[name] for name in sorted(found, key=lambda name: (name != REAL, name))}, beside


def read_sources(folders: Mapping[str, Path | str], side: int = 64, view: str = "shrunk") -> ReadImages:
    """Read the images of some sources, each from its folder (see `files.image_files`), as a network sees them.

    Args:
        folders: by name of the source.
        side: of what the network sees, one of `SIDES`; smaller images are not used, since enlarged ones have lost what
            is looked for.
        view: see `viewing.seen`.

    Raises:
        UsageError: an argument is out of range, a folder is missing, or there is no image in one that can be used.
    """
    if side not in SIDES:
        raise UsageError(f"side must be one of {', '.join(map(str, SIDES))} pixels, not {side}.")
    if view not in VIEWS:
        raise unknown("view", view, VIEWS)
    files: list[tuple[Path, int]] = []
    passed_over: list[PassedOver] = []
    for k, folder in enumerate(folders.values()):
        found, not_taken = image_files(folder)
        files += [(path, k) for path in found]
        passed_over += not_taken
        if not found:
            told = f" ({in_words(not_taken)})" if not_taken else ""
            raise UsageError(f"There is no image in {name_of(Path(folder))}{told}. Give some: {', '.join(EXTENSIONS)}.")
    images = np.empty((len(files), side, side, 3), np.uint8)
    used: list[tuple[Path, int]] = []
    headers: list[Header] = []
    unread: list[str] = []

    def whole() -> Iterator[Pixels]:
        """Each image as it was read, once what is to be kept of it is."""
        with progress(len(files), "reading", "files") as bar:
            for (path, pixels), of in zip(read_all(path for path, _ in files), files, strict=True):
                bar.update()
                if isinstance(pixels, ImageError):
                    unread.append(str(pixels))
                elif min(pixels.shape[:2]) < side:
                    size = f"{pixels.shape[1]} x {pixels.shape[0]}"
                    unread.append(
                        f"{name_of(path)} has {size} pixels, and {side} x {side} are looked at. Give another."
                    )
                else:
                    images[len(used)] = seen(pixels, side, view)
                    headers.append(read_header(path))
                    used.append(of)
                    yield pixels

    groups = near_duplicates(whole())
    labels = np.array([k for _, k in used], np.int64)
    for k, name in enumerate(folders):
        if k not in labels:
            raise UsageError(f"No image of the source {name!r} can be used. {' '.join(unread[:3])}")
    return ReadImages(
        tuple(folders), images[: len(used)], labels, groups, [path for path, _ in used], headers, unread, passed_over
    )
