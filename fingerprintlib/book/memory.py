"""What a build remembers of its jobs, so that only what has changed runs again: contents count, clocks do not."""

import filecmp
import json
import os
import shutil
from collections.abc import Iterable, Sequence
from pathlib import Path

from ..provenance import file_hash, recipe_hash, write_atomically, write_json
from .chapters import Book, Job

REMEMBERED = 5  # runs of a chapter that need not be repeated when a knob is turned back
PAGES = "html/index.html"
PAGES_MADE_OF = "pages.json"  # what Snakemake takes for the pages: it clears a rule's outputs before it runs the rule


def place_of(job: Job, build: Path) -> Path:
    """Where the outputs are kept that the job gives with what its inputs hold now."""
    inputs = {path: file_hash(build / path) for path in job.inputs}
    run = recipe_hash({"job": job.fingerprint, "inputs": inputs})
    return build / job.folder / "memory" / job.chapter.name / run


def is_current(job: Job, build: Path) -> bool:
    """Whether the job's outputs are what it gives with what its inputs hold now."""
    try:
        place = place_of(job, build)
        kept = [(place / name, build / path) for name, path in job.outputs.items()]
        return all(filecmp.cmp(mine, theirs, shallow=False) for mine, theirs in kept)
    except FileNotFoundError:
        return False


def recall(job: Job, place: Path, build: Path) -> None:
    """Put the outputs back that are kept in a place."""
    for name, path in job.outputs.items():
        write_atomically(build / path, (place / name).read_bytes())


def remember(job: Job, place: Path, build: Path) -> None:
    """Keep the job's outputs in a place, and forget its oldest run where there are too many."""
    older = sorted(place.parent.glob("*/"), key=lambda path: path.stat().st_mtime)
    for forgotten in older[: max(0, len(older) - REMEMBERED + 1)]:
        shutil.rmtree(forgotten)
    partial = place.with_suffix(".partial")
    shutil.rmtree(partial, ignore_errors=True)  # of a run that was killed here
    partial.mkdir(parents=True)
    for name, path in job.outputs.items():
        (partial / name).write_bytes((build / path).read_bytes())
    partial.rename(place)


def date(outputs: Iterable[str], inputs: Iterable[str], build: Path) -> None:
    """Make outputs no older than inputs: hosts have different clocks, and Snakemake calls such a job a failure."""
    latest = max(((build / path).stat().st_mtime_ns for path in inputs), default=0)
    for path in outputs:
        status = (build / path).stat()
        os.utime(build / path, ns=(status.st_atime_ns, max(status.st_mtime_ns, latest)))


def forget_stale(jobs: Sequence[Job], build: Path) -> None:
    """Remove the outputs of the jobs that would not give the very same now; Snakemake then runs those.

    It would go by what was written last, and clocks go wrong. A chapter that left something in the store which is no
    longer there is forgotten altogether, so that it runs again.
    """
    for job in jobs:
        record = build / job.outputs["metrics"]
        left = json.loads(record.read_text(encoding="utf-8"))["store"] if record.is_file() else []
        if not all((build.parent / "store" / name).exists() for name in left):
            shutil.rmtree(build / job.folder / "memory" / job.chapter.name, ignore_errors=True)
        if not is_current(job, build):
            for path in job.outputs.values():
                (build / path).unlink(missing_ok=True)


def forget_removed_chapters(book: Book, build: Path) -> None:
    """Remove the metrics of chapters that the book no longer has: the ledger reads all that lie there."""
    names = {chapter.name for chapter in book.chapters}
    for path in (build / "metrics").glob("*.json"):
        if path.stem not in names:
            path.unlink()


def contents_of(plan: Sequence[Job], build: Path) -> dict[str, str]:
    """A hash of everything that the chapters have made: what pages are built from."""
    return {path: file_hash(build / path) for job in plan for path in job.outputs.values()}


def remember_pages(contents: dict[str, str], build: Path) -> None:
    """Note what the pages that there are now were built from."""
    write_json(build / PAGES_MADE_OF, contents)
    date([PAGES_MADE_OF], contents, build)


def forget_stale_pages(plan: Sequence[Job], build: Path) -> None:
    """Have the pages built again if they are gone, or were built from other contents; those that there are stay."""
    record = build / PAGES_MADE_OF
    try:
        if (build / PAGES).is_file() and json.loads(record.read_text(encoding="utf-8")) == contents_of(plan, build):
            return
    except (FileNotFoundError, ValueError):
        pass
    record.unlink(missing_ok=True)
