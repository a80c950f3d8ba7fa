"""The image files that a reader brings: which files count as images, and reading many of them.

Nothing is passed over in silence: what is not an image is listed with the reason, and what cannot be read is returned
as an error, so that a caller can skip, list and count it.
"""

import errno
import os
import stat
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import TypeVar

from ..errors import UsageError
from .decoding import EXTENSIONS, ImageError, decode, name_of
from .images import Pixels

THREADS = 4  # the decoders let other threads run; each holds an image

Item = TypeVar("Item")
Result = TypeVar("Result")


class Reason(StrEnum):
    """Why something in a folder is not read as an image."""

    HIDDEN = "hidden"  # thumbnails, resource forks, copies that editors and JupyterLab keep
    SUFFIX = "of another suffix"
    DANGLING = "a link to nothing"
    CIRCLE = "a link in a circle"
    AGAIN = "a folder read already"
    SPECIAL = "not a regular file"
    CLOSED = "not readable"
    BESIDE = "in no source's folder"


@dataclass(frozen=True)
class PassedOver:
    """A file, or a folder with all that is in it, that is not read as an image."""

    path: Path
    reason: Reason


def image_files(*paths: Path | str) -> tuple[list[Path], list[PassedOver]]:
    """The image files among some files and in some folders at any depth, and what was passed over there.

    In folders, the suffix decides (`decoding.EXTENSIONS`, in small or capital letters). Hidden files and folders are
    passed over. Links are followed, also to folders elsewhere, but no folder is entered twice, nor one that holds the
    folder that was named: a link to that leads in a circle. A file that is asked for by name is taken whatever its name
    is.

    Returns:
        The image files, path by path in the order given and sorted within each, none twice; and what was passed over,
        in the same order.

    Raises:
        UsageError: one of the paths does not exist.
    """
    found: dict[Path, None] = {}
    passed_over: list[PassedOver] = []
    entered: set[tuple[int, int]] = set()
    for path in map(Path, paths):
        reason = _reason(path)
        if reason is Reason.DANGLING:
            raise UsageError(f"There is no file or folder {name_of(path)}. Check the path.")
        if reason:
            passed_over.append(PassedOver(path, reason))
        elif path.is_dir():
            here, not_here = _in_folder(path, entered)
            found |= dict.fromkeys(here)
            passed_over += not_here
        else:
            found[path] = None
    return list(found), passed_over


def _in_folder(folder: Path, entered: set[tuple[int, int]]) -> tuple[list[Path], list[PassedOver]]:
    found: list[Path] = []
    passed_over: list[PassedOver] = []

    def closed(error: OSError) -> None:
        passed_over.append(PassedOver(Path(error.filename), Reason.CLOSED))

    above = {_identity(one) for one in folder.resolve().parents}
    for parent, folders, names in os.walk(folder, followlinks=True, onerror=closed):
        this = _identity(parent)
        if this in above or this in entered:
            folders.clear()
            passed_over.append(PassedOver(Path(parent), Reason.CIRCLE if this in above else Reason.AGAIN))
            continue
        entered.add(this)
        passed_over += [PassedOver(Path(parent, name), Reason.HIDDEN) for name in folders if name.startswith(".")]
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        for path in (Path(parent, name) for name in names):
            if reason := _reason_by_name(path) or _reason(path):
                passed_over.append(PassedOver(path, reason))
            else:
                found.append(path)
    return sorted(found), sorted(passed_over, key=lambda one: one.path)


def _identity(folder: Path | str) -> tuple[int, int]:
    """The same for a folder and for all links to it."""
    status = os.stat(folder)
    return status.st_dev, status.st_ino


def _reason_by_name(path: Path) -> Reason | None:
    if path.name.startswith("."):
        return Reason.HIDDEN
    return None if path.suffix.lower() in EXTENSIONS else Reason.SUFFIX


def _reason(path: Path) -> Reason | None:
    """Why this is neither a file nor a folder that can be read."""
    try:
        mode = path.stat().st_mode
    except FileNotFoundError:
        return Reason.DANGLING
    except OSError as error:
        return Reason.CIRCLE if error.errno == errno.ELOOP else Reason.CLOSED
    return None if stat.S_ISREG(mode) or stat.S_ISDIR(mode) else Reason.SPECIAL


def in_words(passed_over: Sequence[PassedOver]) -> str:
    """How many for which reason: ``3 passed over: hidden (1), of another suffix (2: .heic, .txt)``."""
    parts = []
    for reason in Reason:
        paths = [one.path for one in passed_over if one.reason is reason]
        suffixes = sorted({path.suffix.lower() or "none" for path in paths})
        which = f": {', '.join(suffixes)}" if reason is Reason.SUFFIX else ""
        if paths:
            parts.append(f"{reason} ({len(paths)}{which})")
    return f"{len(passed_over)} passed over: {', '.join(parts)}"


def read_all(paths: Iterable[Path], threads: int = THREADS) -> Iterator[tuple[Path, Pixels | ImageError]]:
    """Every path with its pixels, uint8 ``[H, W, 3]``, or with the error that `decoding.decode` raised; in order.

    Files are read side by side and a few ahead, so that memory holds `threads` + 1 images at most.
    """
    return in_order(_read, paths, threads)


def _read(path: Path) -> tuple[Path, Pixels | ImageError]:
    try:
        return path, decode(path)
    except ImageError as error:
        return path, error


def in_order(function: Callable[[Item], Result], items: Iterable[Item], threads: int = THREADS) -> Iterator[Result]:
    """The function of each item, in order, computed side by side by a few threads.

    Items are taken as results are: never more than `threads` + 1 ahead. What the function raises is raised in its
    place, and ends it.
    """
    if threads < 1:
        raise UsageError(f"{threads} threads do nothing. Ask for 1 or more.")
    with ThreadPoolExecutor(threads) as pool:
        ahead: deque[Future[Result]] = deque()
        for item in items:
            ahead.append(pool.submit(function, item))
            if len(ahead) > threads:
                yield ahead.popleft().result()
        while ahead:
            yield ahead.popleft().result()
