"""A progress bar on everything that takes longer than a breath."""

import os
import sys
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Any, TypeVar

Item = TypeVar("Item")


def progress(total: int, description: str, unit: str, initial: int = 0, delay: float = 0) -> Any:
    """A tqdm bar with rate and time left; silent when FINGERPRINTS_QUIET is set.

    It is drawn on standard error, or as a widget in a notebook that somebody runs cell by cell: there the other would
    leave an empty red box behind. (A build runs notebooks too; its bars go to the terminal.) What ends within `delay`
    seconds draws none.
    """
    python = sys.modules.get("IPython")
    shell = python.get_ipython() if python else None
    if hasattr(shell, "kernel") and "FINGERPRINTS_BUILD" not in os.environ:
        from tqdm.notebook import tqdm
    else:
        from tqdm import tqdm
    return tqdm(
        total=total,
        initial=initial,
        delay=delay,
        desc=description,
        unit=f" {unit}",
        unit_scale=total >= 100_000,
        mininterval=0.5,
        file=sys.stderr,
        dynamic_ncols=True,
        leave=False,
        disable=bool(os.environ.get("FINGERPRINTS_QUIET")),
    )


@contextmanager
def waiting(text: str, delay: float = 2) -> Iterator[Callable[[], None]]:
    """Say on standard error what is waited for, if that takes longer than `delay` seconds; what is given ends it."""

    def tell() -> None:
        print(text, file=sys.stderr, flush=True)

    timer = threading.Timer(delay, tell)
    timer.daemon = True
    if not os.environ.get("FINGERPRINTS_QUIET"):
        timer.start()
    try:
        yield timer.cancel
    finally:
        timer.cancel()


def progress_over(items: Iterable[Item], total: int, description: str, unit: str) -> Iterator[Item]:
    """The items, with a bar beside them if they take longer than two seconds."""
    with progress(total, description, unit, delay=2) as bar:
        for item in items:
            yield item
            bar.update()
