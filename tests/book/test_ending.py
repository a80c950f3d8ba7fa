"""Whatever is told to end, or killed, all that it started ends with it, within seconds; and the next run goes on."""

import os
import signal
import subprocess
import sys
import time
from contextlib import suppress

import psutil
import pytest

from ..conftest import heed_ctrl_c

PARENT, GROUP, ENGINE, KERNEL = "parent", "group", "engine", "kernel"
AT_START, IN_A_CELL, AT_THE_PAGES = "at the start", "in a cell", "at the pages"
SECONDS = 20  # two on an idle machine; up to ten where other tests keep its cores busy


def build(project):
    """`fingerprints book`, started as from a terminal."""
    command = [sys.executable, "-m", "fingerprintlib.cli", "book", "--profile", "smoke"]
    environment = {**os.environ, "PYTHONPATH": str(project.root)}
    with open(project.root / "words.log", "wb") as sink:
        return subprocess.Popen(
            command,
            cwd=project.root,
            env=environment,
            start_new_session=True,
            preexec_fn=heed_ctrl_c,
            stdout=sink,
            stderr=sink,
        )


def started_by(process):
    """By what they do: the processes below it."""
    found = {}
    for each in psutil.Process(process.pid).children(recursive=True):
        with suppress(psutil.NoSuchProcess):
            words = " ".join(each.cmdline())
            for name, sign in ((ENGINE, "snakemake.cli"), (KERNEL, "ipykernel"), ("sphinx", "jupyter_book.cli")):
                if sign in words:
                    found[name] = each
            found[each.pid] = each
    return found


def lives(process):
    """Whether it still runs. One that has ended, and that nobody has asked for its status, is listed, too."""
    try:
        return process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def wait_until(condition, seconds=90):
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "it took too long"
        time.sleep(0.1)


def at_the_moment(project, process, moment):
    """Wait for the moment; returns what runs then."""
    signs = {
        AT_START: lambda: ENGINE in started_by(process),
        IN_A_CELL: lambda: (project.root / "asleep").exists(),
        AT_THE_PAGES: lambda: "sphinx" in started_by(process),
    }
    wait_until(signs[moment])
    return started_by(process)


@pytest.mark.parametrize(
    ("who", "how", "moment"),
    [
        (PARENT, signal.SIGTERM, IN_A_CELL),
        (PARENT, signal.SIGKILL, IN_A_CELL),
        (PARENT, signal.SIGINT, AT_START),
        (PARENT, signal.SIGKILL, AT_THE_PAGES),
        (GROUP, signal.SIGTERM, AT_THE_PAGES),
        (ENGINE, signal.SIGTERM, IN_A_CELL),
        (ENGINE, signal.SIGKILL, IN_A_CELL),
        (KERNEL, signal.SIGKILL, IN_A_CELL),
    ],
)
def test_all_end_within_seconds(small_book, who, how, moment):
    asleep = small_book.root / "asleep"
    if moment == IN_A_CELL:
        # Two processes sleep: the kernel, and one that it started, as one of `in_parallel`.
        sleeper = f"""
import subprocess, sys
from fingerprintlib.ending import FIRST
sleep = "import pathlib, time; pathlib.Path({str(asleep)!r}).touch(); time.sleep(600)"
if factor == 1:
    subprocess.run([sys.executable, "-c", FIRST + sleep])
"""
        small_book.edit("book/02-second.md", 'page = Page("second")', f'{sleeper}\npage = Page("second")')
    process = build(small_book)
    try:
        running = at_the_moment(small_book, process, moment)
        everyone = {each for each in running.values() if isinstance(each, psutil.Process)}
        begin = time.monotonic()
        if who == GROUP:
            os.killpg(process.pid, how)
        else:
            os.kill(process.pid if who == PARENT else running[who].pid, how)
        process.wait(timeout=30 if who == KERNEL else SECONDS)
        _, alive = psutil.wait_procs(everyone, timeout=max(0.1, begin + SECONDS - time.monotonic()))
        assert not [each for each in alive if lives(each)]
        assert process.returncode != 0
    finally:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
    # What was finished is kept, and nothing stands in the way of the next run.
    if (who, how) == (PARENT, signal.SIGKILL):
        small_book.edit("book/02-second.md", "factor == 1", "factor == 0") if moment == IN_A_CELL else None
        result = small_book.fingerprints("book", "--profile", "smoke")
        assert result.returncode == 0, result.stderr
        assert "[first] done" not in result.stderr
