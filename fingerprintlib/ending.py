"""Nothing outlives whoever started it: a process ends with its parent, and takes along what it started itself."""

import os
import signal
import threading
import time
from contextlib import suppress
from functools import lru_cache

import psutil

LOOK = 0.5  # seconds between two looks at the parent
#: What a Python process that we start has to run before all else.
FIRST = "from fingerprintlib.ending import end_with_parent; end_with_parent(); "
PATIENCE = 1.5  # seconds in which an interrupted process may end by itself


@lru_cache(maxsize=1)  # once a process
def end_with_parent() -> None:
    """From now on, end this process and all that it started as soon as the process that started it is gone."""
    parent = os.getppid()

    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(LOOK)
        end_descendants()
        os._exit(1)

    threading.Thread(target=watch, name="end with parent", daemon=True).start()


def end_descendants() -> None:
    """Interrupt all that this process started, directly or not, and after a while kill what is left of it."""
    started = psutil.Process().children(recursive=True)
    for process in started:
        with suppress(psutil.NoSuchProcess):
            process.send_signal(signal.SIGINT)
    _, alive = psutil.wait_procs(started, PATIENCE)
    for process in alive:
        with suppress(psutil.NoSuchProcess):
            process.kill()
