"""Who computes: how many cores a chapter gets, which goes first, and that no job nobody waits for is left on a cluster.

Jobs on a Slurm cluster do not end with whoever submitted them.
"""

import shutil
import subprocess
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

from ..provenance import content_hash
from .chapters import Job

PATIENCE = 60  # seconds for Slurm to answer


def threads_of(plan: Sequence[Job], cores: int) -> dict[str, int]:
    """How many cores each chapter gets.

    Half of them, and so two run side by side: small networks gain little from more threads. But all of them where most
    of the book waits for the chapter: little could run beside it.
    """
    before: dict[str, set[str]] = {}
    for name, direct in _needed(plan).items():  # in reading order: what it opens was made earlier
        before[name] = direct.union(*(before[other] for other in direct))
    waiting = Counter(name for names in before.values() for name in names)
    return {name: cores if 2 * waiting[name] > len(plan) else (cores + 1) // 2 for name in before}


def running_for(plan: Sequence[Job], wanted: Sequence[Job]) -> list[Job]:
    """The `wanted` jobs, chapters or points of a sweep, after all chapters that they need; everything if none is."""
    if not wanted:
        return list(plan)
    opened = {path for job in wanted for path in job.inputs}
    needed: list[Job] = []
    for job in reversed(plan):  # whatever needs it comes later in the book
        if opened & set(job.outputs.values()):
            needed.insert(0, job)
            opened.update(job.inputs)
    return [*needed, *wanted]


def priorities_of(plan: Sequence[Job], seconds: Mapping[str, float]) -> dict[str, int]:
    """Which of the chapters that may run goes first: the one that the end of the book is farthest behind.

    That is how many seconds it and the longest row of chapters take that wait for one another after it. So no core is
    idle at the end, while the other runs what had waited for a chapter that began late.

    Args:
        plan: of the book.
        seconds: what chapters are expected to take; those of which nobody knows are taken for alike.
    """
    needed = _needed(plan)
    found: dict[str, int] = {}
    for name in reversed(needed):  # whatever needs it comes later in the book
        after = [found[other] for other, direct in needed.items() if name in direct]
        found[name] = round(seconds.get(name, 60)) + max(after, default=0)
    return found


def _needed(plan: Sequence[Job]) -> dict[str, set[str]]:
    """The chapters that each chapter opens something of, in reading order."""
    makers = {path: job.chapter.name for job in plan for path in job.outputs.values()}
    return {job.chapter.name: {makers[path] for path in job.inputs} for job in plan}


@contextmanager
def no_job_left(builds: Path) -> Iterator[list[str]]:
    """Cancel before the block what a build that was killed has left on the cluster, and after it what this one has.

    Asked to end, Snakemake cancels its jobs itself, but it may be killed before it has come to that.

    Args:
        builds: the folder of all builds, of which one runs at a time; its jobs bear a name made of it.

    Yields:
        Snakemake's options that name the jobs so.
    """
    name = f"fingerprints-{content_hash(str(builds.resolve()).encode())[:12]}"
    _cancel(name)
    try:
        yield ["--slurm-jobname-prefix", name]
    finally:
        _cancel(name)


def _cancel(name: str) -> None:
    """Cancel our jobs whose names begin so, if there is a cluster."""
    if shutil.which("squeue"):
        jobs = [job for job, called in map(str.split, _say("squeue", "--me", "-h", "-o", "%i %j")) if name in called]
        if jobs:
            _say("scancel", *jobs)


def _say(*command: str) -> list[str]:
    """The lines that a command prints; none if it fails, for then there is nothing that we could do."""
    try:
        return subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE).stdout.splitlines()
    except subprocess.TimeoutExpired:
        return []
