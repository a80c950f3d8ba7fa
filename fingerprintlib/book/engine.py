"""Running the book: one chapter with papermill, all of it with Snakemake, the pages with Jupyter Book.

Everything of a profile lies in ``_build/<profile>/``: ``executed/`` notebooks, ``metrics/``, the artifacts,
``timings/``, the ``staged/`` pages and the finished ``html/``. A point of a sweep has the like of it in a folder below.
"""

import contextlib
import json
import os
import re
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from importlib import metadata
from pathlib import Path
from typing import Any

import filelock

from ..codehash import code_of
from ..ending import FIRST, end_descendants
from ..errors import BookError, one_line
from ..provenance import file_hash, recipe_hash, write_json
from . import house, memory
from .chapters import Book, Chapter, Job
from .grids import Grid
from .scheduling import no_job_left, priorities_of, running_for, threads_of
from .timings import build_folder, expected, record_run

# --- one chapter --------------------------------------------------------------------------------


def run_chapter(book: Book, job: Job, profile: str, build: Path) -> None:
    """Execute one chapter; leave the notebook, its metrics, artifacts and timing in the job's folder in `build`.

    The kernel works in ``book/`` with ``FINGERPRINTS_BUILD``, ``FINGERPRINTS_POINT`` and ``FINGERPRINTS_READS`` set
    (see `notebook`). Progress and the cells' own progress bars go to standard error.

    Raises:
        BookError: a cell failed; the notebook up to there is kept, and the message says where.
    """
    import nbformat
    import papermill
    from nbclient.exceptions import CellTimeoutError, DeadKernelError
    from papermill.exceptions import PapermillExecutionError

    from .papermill_engine import register_engine

    register_engine()
    chapter, home = job.chapter, build / job.folder
    label = ", ".join(filter(None, [chapter.name, job.label]))
    told = f"Chapter {chapter.name!r}" + (f" at {job.label}" if job.label else "")
    folder = home / "executed"
    folder.mkdir(parents=True, exist_ok=True)
    done, partial, source = (folder / f"{chapter.name}{end}.ipynb" for end in ("", ".partial", ".source"))
    cost = expected(book, home, profile, chapter)
    start = time.perf_counter()
    reads = os.pathsep.join(chapter.reads)
    with environment(
        FINGERPRINTS_BUILD=str(build), FINGERPRINTS_POINT=str(home), FINGERPRINTS_READS=reads, PYTHONHASHSEED="0"
    ):
        try:
            nbformat.write(chapter.notebook, source)
            papermill.execute_notebook(
                _literal(source),
                _literal(partial),
                parameters=job.values,
                engine_name="fingerprints",
                kernel_name="python3",
                cwd=book.root / "book",
                progress_bar=False,
                extra_arguments=[
                    "--log-level=40",  # ipykernel's notice about frozen modules
                    f"--IPKernelApp.exec_lines={FIRST}",
                ],
                stderr_file=sys.stderr,
                # for our engine:
                chapter=label,
                expected_seconds=cost.seconds if cost else None,
            )
        except PapermillExecutionError as error:
            raise BookError(
                f"{told}, cell {error.exec_count} ({_heading_of(chapter, error.source)}): "
                f"{error.ename}: {one_line(error.evalue)} The notebook up to there: {partial}",
                exit_status=2 if error.ename == "UsageError" else 1,
            ) from error
        except (DeadKernelError, CellTimeoutError) as error:
            raise BookError(
                f"{told}: its kernel died, most likely for lack of memory. Close other programs, or "
                f"turn down its parameters. The notebook up to there: {partial}"
            ) from error
        finally:
            source.unlink(missing_ok=True)
    if not (home / "metrics" / f"{chapter.name}.json").is_file():
        raise BookError(f"{told} ended without `page.finish()`: add it as its last cell.")
    for artifact in chapter.makes:
        if not (home / f"{artifact}.json").is_file():
            raise BookError(f"Chapter {chapter.name!r} says it makes {artifact!r}: add `page.make({artifact!r}, ...)`.")
    record_run(home, chapter, round(time.perf_counter() - start, 1))
    partial.replace(done)


def run_job(book: Book, job: Job, profile: str, build: Path) -> None:
    """Run a chapter of the plan, or take over what it gave when it last ran with the very same of everything.

    Snakemake runs a chapter again when one of its inputs was written again, and clears its outputs before. Here the
    inputs' contents count: if a chapter before this one ran and came to the same artifacts, nothing has to be done.

    Raises:
        BookError: a cell failed.
    """
    place = memory.place_of(job, build)
    if place.is_dir():
        print(f"[{', '.join(filter(None, [job.chapter.name, job.label]))}] unchanged", file=sys.stderr)
        memory.recall(job, place, build)
    else:
        run_chapter(book, job, profile, build)
        memory.remember(job, place, build)
    memory.date(job.outputs.values(), job.inputs, build)


def run_pages(book: Book, plan: Sequence[Job], profile: str, overrides: Mapping[str, Any], build: Path) -> None:
    """Build the pages, and note from which contents.

    Raises:
        BookError: Sphinx found something wrong; the pages that there were are left.
    """
    from .staging import build_pages

    contents = memory.contents_of(plan, build)  # now: they may change meanwhile
    build_pages(book, profile, overrides, build)
    memory.remember_pages(contents, build)


def _literal(path: Path) -> str:
    """A path for papermill, which puts parameters in the place of names in braces."""
    return str(path).replace("{", "{{").replace("}", "}}")


def _heading_of(chapter: Chapter, source: str) -> str:
    """The last heading above a cell; the title if the cell is none of the chapter's, but one that papermill added."""
    heading = chapter.title
    for cell in chapter.notebook.cells:
        if cell.cell_type == "markdown":
            heading = [heading, *re.findall(r"^#+ (.+)$", cell.source, re.MULTILINE)][-1]
        elif cell.source == source:
            return heading
    return chapter.title


@contextlib.contextmanager
def environment(**variables: str) -> Iterator[None]:
    """Environment variables for a while."""
    before = {name: os.environ.get(name) for name in variables}
    os.environ.update(variables)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value


# --- the book --------------------------------------------------------------------------------


def build_book(
    book: Book,
    profile: str,
    overrides: Mapping[str, Mapping[str, Any]],
    cores: int,
    chapter: str | None = None,
    options: Sequence[str] = (),
) -> Path:
    """Run what has changed and build the pages; returns ``html/index.html``.

    Args:
        book, profile, overrides: what to build.
        cores: of this machine, or for each job on a cluster.
        chapter: run only this one and those it needs, build no pages, and return its notebook.
        options: handed on to Snakemake, ``--executor slurm --jobs 8`` for example.

    Raises:
        BookError: a chapter or the pages failed, or another build is running.
    """
    plan = book.plan(profile, overrides)  # whatever is wrong with texts or parameters is refused before anything runs
    wanted = [job for job in plan if job.chapter.name == chapter]
    build = _run(book, profile, overrides, plan, wanted, cores, options)
    return build / (f"executed/{chapter}.ipynb" if chapter else memory.PAGES)


def run_sweep(
    book: Book,
    profile: str,
    overrides: Mapping[str, Mapping[str, Any]],
    grid: Grid,
    cores: int,
    options: Sequence[str] = (),
) -> list[Job]:
    """Run a chapter at every point of a grid, and before it, once, the chapters that it needs; returns the points.

    What is unchanged does not run again, also when a sweep was stopped or its grid has grown. Arguments and errors are
    those of `build_book`.
    """
    plan = book.plan(profile, overrides)
    points = grid.jobs(plan)
    _run(book, profile, overrides, plan, points, cores, options)
    return points


def _run(
    book: Book,
    profile: str,
    overrides: Mapping[str, Mapping[str, Any]],
    plan: Sequence[Job],
    wanted: Sequence[Job],
    cores: int,
    options: Sequence[str],
) -> Path:
    """Let Snakemake run the `wanted` jobs and what they need, or everything; returns the build folder."""
    build = build_folder(book, profile)
    build.mkdir(parents=True, exist_ok=True)
    try:
        # Of all profiles: they share the store.
        with filelock.FileLock(build.parent / ".lock", timeout=0):
            jobs = running_for(plan, wanted)
            memory.forget_removed_chapters(book, build)
            memory.forget_stale(jobs, build)
            if not wanted:
                memory.forget_stale_pages(plan, build)
            points = [job for job in wanted if job.folder]
            costs = {job.chapter.name: expected(book, build, profile, job.chapter) for job in plan}
            config = {
                "root": str(book.root),
                "profile": profile,
                "threads": threads_of(plan, cores),
                "priorities": priorities_of(plan, {name: cost.seconds for name, cost in costs.items() if cost}),
                "overrides": {name: dict(values) for name, values in overrides.items()},
                # The plan is made once: every process of Snakemake's would have to make it again.
                "jobs": [job.as_dict() for job in plan],
                "points": [job.as_dict() for job in points],
                "pages": "" if wanted else _pages_hash(book),
            }
            write_json(build / "config.json", config)
            # All of them, if not everything: Snakemake would not miss an input of something that is there.
            targets = {path for job in jobs for path in job.outputs.values()} if wanted else set()
            # Targets first: an option that takes several values, as --set-resources, would take them for its own.
            arguments = [*sorted(targets), *options]
            if options:  # perhaps on a cluster
                with no_job_left(build.parent) as names:
                    _run_snakemake(book, build, [*names, *arguments], cores)
            else:
                _run_snakemake(book, build, arguments, cores)
    except filelock.Timeout as error:
        raise BookError(f"Another build is running in {build.parent}: wait for it, or stop it.") from error
    return build


def _run_snakemake(book: Book, build: Path, arguments: Sequence[str], cores: int) -> None:
    log, failure, words = build / "snakemake.log", build / "failure.json", build / "progress.log"
    failure.unlink(missing_ok=True)
    words.write_bytes(b"")
    # Asked to end, Snakemake would wait for the chapters to be done: it is given no say in that.
    start = FIRST + "import signal; signal.signal = lambda *_: None; from snakemake.cli import main; main()"
    command = [sys.executable, "-c", start]
    command += ["--snakefile", str(book.root / "Snakefile")]
    command += ["--configfile", str(build / "config.json"), "--directory", str(build), "--cores", str(cores)]
    command += ["--quiet", "host", "reason", "--rerun-incomplete", "--rerun-triggers", "params", "--nolock"]
    # Snakemake's own words go to its log; the jobs, perhaps on other hosts, speak through a file that is read here.
    with open(log, "wb") as sink, _relay(words):
        process = subprocess.Popen([*command, *arguments], stdout=sink, stderr=sink)
        try:
            status = process.wait()
        finally:
            end_descendants()  # interrupted, or the engine was killed: there may be some
    if status and failure.is_file():
        raise BookError(**json.loads(failure.read_text(encoding="utf-8")))
    if status:
        told = log.read_text(errors="replace")
        # What the cluster has to say of a job, if it is that; else the end of it all.
        last = re.findall(r"^    message: (.+)$", told, re.MULTILINE)[:1] or told.splitlines()[-3:] or ["none"]
        raise BookError(f"The build failed; its last words: {one_line(' '.join(last))} All of them: {log}")


@contextlib.contextmanager
def _relay(path: Path) -> Iterator[None]:
    """Copy to standard error what others append to a file, for as long as the block lasts."""
    ended = threading.Event()

    def copy() -> None:
        with open(path, "rb") as file:
            last = False
            while not last:
                last = ended.wait(0.2)
                sys.stderr.write(file.read().decode(errors="replace"))
                sys.stderr.flush()

    thread = threading.Thread(target=copy, daemon=True)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()


def planned(config: Mapping[str, Any]) -> tuple[list[Job], list[Job]]:
    """The chapters' jobs and those of a sweep's points, as `build_book` or `run_sweep` left them in ``config.json``."""
    jobs, points = ([Job.from_dict(job) for job in config[key]] for key in ("jobs", "points"))
    return jobs, points


def _pages_hash(book: Book) -> str:
    """A hash of what the pages depend on besides the jobs' outputs."""
    texts = [book.root / "_config.yml", *book.page_files]
    told = [book.root / "data" / name for name in ("paper.yml", "timings.json", "results/full.json")]
    texts += [path for path in told if path.is_file()]
    files = {str(path.relative_to(book.root)): file_hash(path) for path in texts}
    code = code_of("fingerprintlib.book.staging", "fingerprintlib.book.offline")
    versions = {name: metadata.version(name) for name in ("sphinx", "jupyter-book", "sphinx-book-theme")}
    return recipe_hash({"files": files, "code": code, "versions": versions, "house": house.recipe()})
