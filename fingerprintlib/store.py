"""Get it or make it, once for all: of several processes that need the same thing, one makes it and the others wait.

What is built or trained lies under a name that stands for all it depends on, its recipe. So it may well be needed twice
at once: by the points of a sweep on a cluster, by a kernel beside ``make book``, by the processes that ``torchrun``
started. They agree by a lock file beside the thing. The operating system gives the lock back when its holder ends,
however it ends.

`trained` is for whatever learns, `get_all` for several of those side by side, `get_or_make` for all else. What was
found trained, and what that had cost, stands in `REUSED`.
"""

import os
import shutil
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

import filelock

from .provenance import content_hash, recipe_hash

if TYPE_CHECKING:
    from .runtime import Fabric

#: Seconds between two signs of life within a run of several processes: these give up on a message after some minutes.
PATIENCE = 20.0

#: The seconds that this process was saved, for each thing that it found trained.
REUSED: list[float] = []

Thing = TypeVar("Thing")
Key = TypeVar("Key")


class Learned(Protocol):
    """What was trained."""

    @property
    def seconds(self) -> float:
        """How long that took."""


Trained = TypeVar("Trained", bound=Learned)


def named(folder: Path | str, name: str, recipe: Any) -> Path:
    """Where the thing of this recipe lies in a folder: ``NAME-HASH``, with the beginning of the recipe's hash."""
    return Path(folder) / f"{name}-{recipe_hash(recipe)[:12]}"


def trained(
    folder: Path | str,
    name: str,
    recipe: Any,
    *,
    train: Callable[[Path], Thing],
    save: Callable[[Thing, Path], None],
    load: Callable[[Path], Trained],
    fabric: "Fabric",
) -> Trained:
    """The trained thing of this recipe: loaded if the folder has it, else trained (or trained further) and saved there.

    Args:
        folder, name, recipe: see `named`; the file ends in ``.safetensors``.
        train: trains it. It is called with the place where it is to keep what it needs to go on after a kill, a file
            or a folder.
        save: writes what was trained to the path given, all at once.
        load: opens that.
        fabric: of the run, whose processes all call this.

    Raises:
        OSError: the folder cannot be written.
    """
    stem = named(folder, name, recipe)
    path, unfinished = stem.with_name(f"{stem.name}.safetensors"), stem.with_name(f"{stem.name}.training")

    def get() -> Trained:
        found = load(path)
        REUSED.append(found.seconds)
        return found

    def make() -> Trained:
        made = train(unfinished)
        if fabric.is_global_zero:
            save(made, path)
            if unfinished.is_dir():
                shutil.rmtree(unfinished)
            else:
                unfinished.unlink()
        fabric.barrier()
        return load(path)

    return get_or_make(path, path.is_file, get, make, fabric)


def get_all(function: Callable[..., Thing], calls: Mapping[Key, Mapping[str, Any]]) -> dict[Key, Thing]:
    """What a function that calls `trained` gives for each set of arguments, by the same keys.

    What is missing is trained first, several at a time: see `runtime.in_parallel`.

    Args:
        function: ``Attributor.load_or_train``, for example.
        calls: key to keyword arguments.
    """
    from .runtime import in_parallel, side_by_side

    before, several = list(REUSED), side_by_side(len(calls))
    saved = in_parallel(partial(_saved_by, function), list(calls.values()))
    found = {key: function(**arguments) for key, arguments in calls.items()}
    # This process found all of them trained; what counts is what was there before. Side by side they had cost less.
    REUSED[:] = [*before, *(seconds / several for some in saved for seconds in some)]
    return found


def _saved_by(function: Callable[..., Any], **arguments: Any) -> list[float]:
    before = len(REUSED)
    function(**arguments)
    return REUSED[before:]


def get_or_make(
    path: Path,
    is_there: Callable[[], bool],
    get: Callable[[], Thing],
    make: Callable[[], Thing],
    fabric: "Fabric | None" = None,
) -> Thing:
    """What lies at `path`: opened if it is there, else made, by one process at a time.

    Whoever comes while another makes it says so, waits, and opens what the other made; if the other was killed or
    failed, it makes the thing itself. The lock needs a file system that has locks; NFS and Lustre do.

    Args:
        path: file or folder.
        is_there: whether it is whole.
        get: opens it.
        make: makes it, in such a way that a process which is killed leaves nothing that `is_there` takes for whole.
        fabric: of a run of several processes, which all call this: the first of them takes the lock and says for all
            whether the thing is there; all of them make it together.

    Raises:
        OSError: the lock cannot be written. What is there can be opened in a folder that is read-only.
    """
    if agreed(is_there, fabric):
        return get()
    with held(path, fabric):
        return get() if agreed(is_there, fabric) else make()


def agreed(question: Callable[[], bool], fabric: "Fabric | None") -> bool:
    """The answer of the first process, told to all."""
    if fabric is None or fabric.world_size == 1:
        return question()
    return bool(fabric.broadcast(question() if fabric.is_global_zero else None))


@contextmanager
def held(path: Path, fabric: "Fabric | None" = None) -> Iterator[None]:
    """Hold the lock of `path`, once nobody else does: it says so, and waits."""
    path.parent.mkdir(parents=True, exist_ok=True)
    lock = filelock.FileLock(_beside(path), poll_interval=0.1)

    def taken(within: float) -> bool:
        with suppress(filelock.Timeout):
            lock.acquire(timeout=within)
        return lock.is_locked

    if not agreed(lambda: taken(0), fabric):
        if fabric is None or fabric.is_global_zero:
            print(f"{path} is being made by another process: waiting for it.", file=sys.stderr, flush=True)
        while not agreed(lambda: taken(PATIENCE), fabric):
            pass
    try:
        yield
    finally:
        if lock.is_locked:
            # Removed while it is held: who has opened the file in the meantime finds it nameless, and opens the next.
            with suppress(OSError):
                _beside(path).unlink()
            lock.release()


def _beside(path: Path) -> Path:
    """The lock file of `path`: hidden, and short however long the name is."""
    return path.with_name(f".{content_hash(path.name.encode())[:12]}.lock")


def unfinished(path: Path) -> Path:
    """Where a folder is made that `put_in_place` will call `path`; if that is a link, beside what it leads to."""
    place = Path(os.path.realpath(path))
    return place.with_name(place.name + ".partial")


def put_in_place(path: Path) -> None:
    """Give the `unfinished` folder its name, in the place of the one that has it now.

    Killed between the two renames, it leaves the old one as ``NAME.old`` and the new one unfinished, both whole.
    """
    place = Path(os.path.realpath(path))
    old = place.with_name(place.name + ".old")
    shutil.rmtree(old, ignore_errors=True)
    if place.exists():
        os.replace(place, old)
    os.replace(unfinished(path), place)
    shutil.rmtree(old, ignore_errors=True)
