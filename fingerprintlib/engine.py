"""Running the book: one chapter with papermill, all of it with Snakemake, the pages with Jupyter Book.

Everything of a profile lies in ``_build/<profile>/``: ``executed/`` notebooks, ``metrics/``, the artifacts,
``timings/``, the ``staged/`` pages and the finished ``html/``.
"""

import contextlib
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from .chapters import PROFILES, Book, Chapter, Job
from .errors import FingerprintsError
from .provenance import code_hash, file_hash, recipe_hash, write_atomically, write_json

REMEMBERED = 5  # runs of a chapter that need not be repeated when a knob is turned back


class BookError(FingerprintsError):
    """A chapter or the book did not build; the message names chapter, cell and error."""


def build_folder(book: Book, profile: str) -> Path:
    """``_build/<profile>`` of the project."""
    return book.root / "_build" / profile


# --- one chapter --------------------------------------------------------------------------------


def run_chapter(book: Book, chapter: Chapter, profile: str, values: Mapping[str, Any], build: Path) -> None:
    """Execute one chapter; leave the notebook, its metrics, artifacts and timing in `build`.

    The kernel works in ``book/`` with ``FINGERPRINTS_BUILD`` set. Progress and the cells' own progress bars go to
    standard error.

    Raises:
        BookError: a cell failed; the notebook up to there is kept, and the message says where.
    """
    import jupytext
    import nbformat
    import papermill
    from papermill.exceptions import PapermillExecutionError

    from .papermill_engine import register_engine

    register_engine()
    folder = build / "executed"
    folder.mkdir(parents=True, exist_ok=True)
    done, partial, source = (folder / f"{chapter.name}{end}.ipynb" for end in ("", ".partial", ".source"))
    expected = _expected_seconds(book, build, profile, chapter)
    start = time.perf_counter()
    with environment(FINGERPRINTS_BUILD=str(build), PYTHONHASHSEED="0"):
        try:
            nbformat.write(jupytext.reads(chapter.text, fmt="md:myst"), source)
            papermill.execute_notebook(
                source,
                partial,
                parameters=dict(values),
                engine_name="fingerprints",
                kernel_name="python3",
                cwd=book.root / "book",
                progress_bar=False,
                extra_arguments=["--log-level=40"],  # ipykernel's notice about frozen modules
                stderr_file=sys.stderr,
                # for our engine:
                chapter=chapter.name,
                expected_seconds=expected,
            )
        except PapermillExecutionError as error:
            raise BookError(
                f"Chapter {chapter.name!r}, cell {error.exec_count} ({_heading_of(chapter, error.source)}): "
                f"{error.ename}: {_one_line(error.evalue)} The notebook up to there: {partial}"
            ) from error
        finally:
            source.unlink(missing_ok=True)
    metrics = build / "metrics" / f"{chapter.name}.json"
    if not metrics.is_file():
        raise BookError(f"Chapter {chapter.name!r} ended without `page.finish()`: add it as its last cell.")
    _record_timing(build, chapter, partial, round(time.perf_counter() - start, 1))
    partial.replace(done)


def _record_timing(build: Path, chapter: Chapter, notebook: Path, seconds: float) -> None:
    """Note what this run took, and what the chapter takes from scratch.

    That is this run's time, unless something was found trained (the library says so on standard error): then the most
    that a run of the chapter took here.
    """
    import nbformat

    outputs = [output for cell in nbformat.read(notebook, 4).cells for output in cell.get("outputs", [])]
    reused = any("reused, saving" in output.get("text", "") for output in outputs if output.get("name") == "stderr")
    known = build / "memory" / chapter.name / "cost.json"
    most = json.loads(known.read_text()) if known.is_file() and reused else 0.0
    write_json(known, max(most, seconds))
    write_json(build / "timings" / f"{chapter.name}.json", {"seconds": seconds, "from_scratch": max(most, seconds)})


def run_job(book: Book, job: Job, profile: str, build: Path) -> None:
    """Run a chapter of the plan, or take over what it gave when it last ran with the very same of everything.

    Snakemake runs a chapter again when one of its inputs was written again, and clears its outputs before. Here the
    inputs' contents count: if a chapter before this one ran and came to the same artifacts, nothing has to be done.

    Raises:
        BookError: a cell failed.
    """
    inputs = {path: file_hash(build / path) for path in job.inputs}
    memory = build / "memory" / job.chapter.name / recipe_hash({"job": job.fingerprint, "inputs": inputs})
    if memory.is_dir():
        print(f"[{job.chapter.name}] unchanged", file=sys.stderr)
        for path in job.outputs.values():
            write_atomically(build / path, (memory / path.replace("/", "-")).read_bytes())
        return
    run_chapter(book, job.chapter, profile, job.values, build)
    older = sorted(memory.parent.glob("*/"), key=lambda path: path.stat().st_mtime)
    for forgotten in older[: max(0, len(older) - REMEMBERED + 1)]:
        shutil.rmtree(forgotten)
    partial = memory.with_suffix(".partial")
    partial.mkdir(parents=True)
    for path in job.outputs.values():
        (partial / path.replace("/", "-")).write_bytes((build / path).read_bytes())
    partial.rename(memory)


def _heading_of(chapter: Chapter, source: str) -> str:
    """The last heading above a cell."""
    position = chapter.text.find(source.strip()) if source.strip() else -1
    headings = re.findall(r"^#+ (.+)$", chapter.text[: max(position, 0)], re.MULTILINE)
    return headings[-1] if headings else chapter.title


def _one_line(text: str) -> str:
    line = " ".join(text.split())
    return line if line.endswith((".", "!", "?")) else line + "."


def _expected_seconds(book: Book, build: Path, profile: str, chapter: Chapter) -> float | None:
    """What the chapter took here last time, or on the machine of the published timings."""
    own = build / "timings" / f"{chapter.name}.json"
    if own.is_file():
        return float(json.loads(own.read_text())["seconds"])
    published = published_timings(book).get("profiles", {}).get(profile, {})
    return published.get(chapter.name)


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


PAGES = "html/index.html"


def build_book(
    book: Book, profile: str, overrides: Mapping[str, Mapping[str, Any]], cores: int, target: str | None = None
) -> Path:
    """Run what has changed and build the pages; returns ``html/index.html``.

    With a `target`, the path of something in the build folder, only that and what it needs is made, and returned.

    Raises:
        BookError: a chapter or the pages failed.
    """
    book.plan(
        profile, overrides
    )  # whatever is wrong with texts, parameters or profiles is refused before anything runs
    build = build_folder(book, profile)
    config = build / "config.json"
    write_json(
        config, {"root": str(book.root), "profile": profile, "overrides": {k: dict(v) for k, v in overrides.items()}}
    )
    _forget_removed_chapters(book, build)
    log, failure, words = build / "snakemake.log", build / "failure.txt", build / "progress.log"
    failure.unlink(missing_ok=True)
    words.write_bytes(b"")
    command = [sys.executable, "-m", "snakemake", "--snakefile", str(book.root / "Snakefile")]
    command += ["--configfile", str(config), "--directory", str(build), "--cores", str(cores)]
    command += ["--quiet", "all", "--rerun-incomplete", "--rerun-triggers", "mtime", "params", "input", "--nolock"]
    command += [target] if target else []
    # Snakemake's own words go to its log; the jobs, perhaps on other hosts, speak through a file that is read here.
    with open(log, "wb") as sink, _relay(words):
        process = subprocess.Popen(command, stdout=sink, stderr=sink)
        try:
            status = process.wait()
        except KeyboardInterrupt:
            process.send_signal(signal.SIGINT)
            process.wait()
            raise
    if status:
        if failure.is_file():
            raise BookError(failure.read_text(encoding="utf-8").strip())
        raise BookError(f"The build failed; its last words: {_tail(log)} All of them: {log}")
    return build / (target or PAGES)


def _forget_removed_chapters(book: Book, build: Path) -> None:
    """Remove the metrics of chapters that the book no longer has: the ledger reads all that lie there."""
    names = {chapter.name for chapter in book.chapters}
    for path in (build / "metrics").glob("*.json"):
        if path.stem not in names:
            path.unlink()


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


def _tail(path: Path) -> str:
    lines = [line.strip() for line in path.read_text(errors="replace").splitlines() if line.strip()]
    return _one_line(" ".join(lines[-3:]))


def snakemake_plan(config: Mapping[str, Any]) -> tuple[list[Job], str]:
    """What the Snakefile needs: the jobs, and a hash of all that the pages depend on besides the jobs' outputs."""
    book = Book(config["root"])
    jobs = book.plan(config["profile"], config["overrides"])
    texts = [book.root / "_config.yml", *sorted(path for path in (book.root / "book").rglob("*") if path.is_file())]
    texts = [path for path in texts if path.suffix not in (".pyc", ".ipynb")]
    pages = {str(path.relative_to(book.root)): file_hash(path) for path in texts}
    return jobs, recipe_hash({"pages": pages, "code": code_hash(["fingerprintlib.engine", "fingerprintlib.offline"])})


def build_pages(book: Book, profile: str, overrides: Mapping[str, Mapping[str, Any]], build: Path) -> None:
    """Stage the texts with their executed outputs and turn them into HTML; warnings are errors.

    Raises:
        BookError: Sphinx found something wrong; the message has its first words.
    """
    staged = build / "staged"
    _stage(book, profile, overrides, build, staged)
    command = [sys.executable, "-c", "from jupyter_book.cli.main import main; main()"]
    command += ["build", str(staged), "--path-output", str(build / "sphinx")]
    command += ["--config", str(book.root / "_config.yml"), "--toc", str(book.root / "book" / "_toc.yml")]
    command += ["-W", "-n", "--keep-going", "--quiet"]
    log = build / "sphinx.log"
    with open(log, "wb") as sink:
        status = subprocess.run(command, cwd=book.root, stdout=sink, stderr=subprocess.STDOUT).returncode
    if status:
        lines = [
            line for line in log.read_text(errors="replace").splitlines() if re.search(r"WARNING|ERROR|Error", line)
        ]
        raise BookError(f"The pages did not build: {_one_line(lines[0] if lines else _tail(log))} All of it: {log}")
    fresh = build / "html.partial"
    shutil.rmtree(fresh, ignore_errors=True)
    shutil.copytree(build / "sphinx" / "_build" / "html", fresh)
    shutil.rmtree(build / "html", ignore_errors=True)
    fresh.rename(build / "html")


def _stage(book: Book, profile: str, overrides: Mapping[str, Mapping[str, Any]], build: Path, staged: Path) -> None:
    """Write every page as Jupyter Book shall read it. Unchanged files are left alone, so Sphinx skips them."""
    import jupytext
    import nbformat

    from .staging import merge, timings_page

    wanted: set[Path] = set()
    for path in sorted((book.root / "book").rglob("*")):
        relative = path.relative_to(book.root / "book")
        if not path.is_file() or relative.parts[0] == "profiles" or "__pycache__" in relative.parts:
            continue
        if path.suffix == ".md" and Chapter(path).is_notebook:
            chapter = Chapter(path)
            values = book.values(chapter.name, profile, overrides.get(chapter.name))
            text = jupytext.reads(chapter.text, fmt="md:myst")
            executed = nbformat.read(build / "executed" / f"{chapter.name}.ipynb", 4)
            record = json.loads((build / "metrics" / f"{chapter.name}.json").read_text())
            merge(chapter, text, executed, values, profile, record, timings(book, build, profile))
            data = nbformat.writes(text).encode()
            target = staged / relative.with_suffix(".ipynb")
        elif path.suffix in (".ipynb", ".pyc"):
            continue
        else:
            data, target = path.read_bytes(), staged / relative
        _write_if_changed(target, data)
        wanted.add(target)
    target = staged / "timings.md"
    _write_if_changed(target, timings_page(book.chapters, timings(book, build, profile)).encode())
    wanted.add(target)
    for path in staged.rglob("*"):
        if path.is_file() and path not in wanted:
            path.unlink()


def _write_if_changed(path: Path, data: bytes) -> None:
    if not path.is_file() or path.read_bytes() != data:
        write_atomically(path, data)


# --- timings --------------------------------------------------------------------------------


def published_timings(book: Book) -> dict[str, Any]:
    """``data/timings.json``: machine, and seconds by profile and chapter, as `record_timings` left them."""
    path = book.root / "data" / "timings.json"
    return json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {"machines": {}, "profiles": {}}


def timings(book: Book, build: Path, profile: str) -> dict[str, Any]:
    """The published timings with this build's own in their place: seconds from scratch, by profile and chapter."""
    found = published_timings(book)
    own = {}
    for chapter in book.chapters:
        path = build / "timings" / f"{chapter.name}.json"
        if path.is_file():
            own[chapter.name] = json.loads(path.read_text())["from_scratch"]
    profiles = {name: dict(found["profiles"].get(name, {})) for name in PROFILES}
    profiles[profile] |= own
    machines = {**found["machines"], profile: machine()}
    return {"machines": machines, "profiles": profiles, "own": profile}


def record_timings(book: Book, profile: str) -> Path:
    """Publish what the build of `profile` took: write it to ``data/timings.json``."""
    build = build_folder(book, profile)
    found = timings(book, build, profile)
    path = book.root / "data" / "timings.json"
    write_json(path, {"machines": found["machines"], "profiles": found["profiles"]})
    return path


def machine() -> str:
    """This machine in a few words: cores, processor, accelerator."""
    import platform

    cpu = platform.processor() or platform.machine()
    info = Path("/proc/cpuinfo")
    if info.is_file():
        match = re.search(r"model name\s*: (.+)", info.read_text())
        cpu = match[1] if match else cpu
    return f"{os.cpu_count()} cores, {' '.join(cpu.split())}"
