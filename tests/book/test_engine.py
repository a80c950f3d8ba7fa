"""The engine, on a book of two small chapters: what runs, what runs again, and what is said when it fails."""

import dataclasses
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from types import SimpleNamespace

import filelock
import nbformat
import pytest
from jupyter_client import KernelManager
from papermill.engines import NBClientEngine

from fingerprintlib.book import engine, memory
from fingerprintlib.book.chapters import Book, Chapter, Job
from fingerprintlib.book.papermill_engine import ReportingEngine, _line
from fingerprintlib.book.scheduling import priorities_of, running_for, threads_of

from ..conftest import heed_ctrl_c

pytestmark = pytest.mark.book


def test_builds_then_rebuilds_exactly_what_changed(small_book):
    result = small_book.fingerprints("book", "--profile", "smoke")
    assert result.returncode == 0, result.stderr
    index = small_book.root / "_build/smoke/html/index.html"
    assert result.stdout.splitlines()[-1] == str(index)
    assert "[first] 1/1 Counting" in result.stderr
    page = (index.parent / "01-first.html").read_text()
    assert "There are 2 numbers" in _plain(page)  # the profile's value, as it was recorded
    assert "count: int = 2  # how many numbers [1..9]" in _plain(page)
    assert "not measured yet" not in page
    assert json.loads((index.parents[1] / "metrics/first.json").read_text())["metrics"] == {"count": 2, "nine": 9}
    assert _ran(result) == ["first", "second", "book"]

    copies = small_book.root / "book" / ".ipynb_checkpoints"
    copies.mkdir()
    (copies / "01-first-checkpoint.md").write_text((small_book.root / "book/01-first.md").read_text())
    start = time.perf_counter()
    assert _ran(small_book.fingerprints("book", "--profile", "smoke")) == []
    assert time.perf_counter() - start < 10

    small_book.edit("book/01-first.md", "There are", "Here are")
    assert _ran(small_book.fingerprints("book", "--profile", "smoke")) == ["book"]  # a sentence costs no run
    assert "Here are 2 numbers" in _plain((index.parent / "01-first.html").read_text())

    small_book.edit("fingerprintlib/book/chapters.py", '"""One text notebook', '"""Indeed, one text notebook')
    small_book.edit("fingerprintlib/book/chapters.py", "PROFILES = (", "PROFILES = (  # in this order\n    ")
    assert _ran(small_book.fingerprints("book", "--profile", "smoke")) == []  # neither docstrings nor comments do

    small_book.edit("fingerprintlib/book/chapters.py", '"smoke", ', '"smoke", "smokeless", ')
    assert _ran(small_book.fingerprints("book", "--profile", "smoke")) == ["second", "book"]  # it alone names them
    small_book.edit("fingerprintlib/book/chapters.py", '"smoke", "smokeless", ', '"smoke", ')
    assert _ran(small_book.fingerprints("book", "--profile", "smoke")) == ["book"]  # what it gave is remembered

    result = small_book.fingerprints("book", "--profile", "smoke", "-s", "first.word=fancy")
    assert _ran(result) == ["first", "book"]  # it makes the same numbers as before: the second need not run
    assert "[second] unchanged" in result.stderr

    later = time.time() + 3600  # of a host whose clock is ahead
    for path in (small_book.root / "_build").rglob("*"):
        os.utime(path, (later, later))
    assert _ran(small_book.fingerprints("run", "first", "--profile", "smoke", "-p", "count=5")) == ["first"]
    result = small_book.fingerprints("book", "--profile", "smoke", "-s", "first.count=5")
    assert _ran(result) == ["second", "book"]
    assert json.loads((small_book.root / "_build/smoke/total.json").read_text()) == 10.0
    assert "Here are 5 numbers" in _plain((index.parent / "01-first.html").read_text())


def test_a_chapter_gets_all_cores_where_most_of_the_book_waits_for_it():
    plan = Book().plan("quick")
    given = threads_of(plan, 8)
    assert {name for name, threads in given.items() if threads == 8} == {"real-images", "zoo", "attribution"}
    assert {threads for name, threads in given.items() if threads != 8} == {4}
    assert set(threads_of(plan, 1).values()) == {1}


def test_of_two_chapters_the_one_goes_first_that_more_is_waiting_behind():
    plan = Book().plan("quick")
    names = [job.chapter.name for job in plan]
    alike = priorities_of(plan, dict.fromkeys(names, 100))
    assert sorted(names, key=alike.get)[-3:] == ["attribution", "zoo", "real-images"]
    assert (
        alike["uniqueness"] > alike["frequency"] == alike["patches"] == 200
    )  # which open its siblings; then the ledger
    slow = priorities_of(plan, {name: 900 if name == "frequency" else 100 for name in names})
    assert {name for name in names if slow[name] != alike[name]} == {
        *("real-images", "zoo", "attribution", "uniqueness", "frequency")
    }


def test_what_runs_for_a_chapter_is_what_it_needs_and_then_itself():
    plan = Book().plan("quick")
    jobs = {job.chapter.name: job for job in plan}
    needed = ["real-images", "zoo", "attribution", "fingerprints"]  # not baselines, though they come before it
    assert running_for(plan, [jobs["origins"]]) == [jobs[name] for name in [*needed, "origins"]]
    points = [dataclasses.replace(jobs["zoo"], folder=folder) for folder in ("one", "other")]
    assert running_for(plan, points) == [jobs["real-images"], *points]  # in the place of the chapter
    assert running_for(plan, []) == plan


def test_kernels_that_start_at_once_share_no_port(monkeypatch):
    found = []

    def execute(notebook, kernel, config):
        manager = KernelManager(config=config)
        manager.write_connection_file()
        told = manager.get_connection_info()
        found.append({f"{told['ip']}-{told[name]}" for name in told if name.endswith("_port")})
        assert told["transport"] == "ipc"
        manager.cleanup_connection_file()

    monkeypatch.setattr(NBClientEngine, "execute_managed_notebook", execute)
    for _ in range(2):
        notebook = SimpleNamespace(nb=SimpleNamespace(cells=[]), cell_start=None)
        ReportingEngine.execute_managed_notebook(notebook, "python3")
    assert [len(sockets) for sockets in found] == [5, 5]
    assert len(set.union(*found)) == 10
    assert max(map(len, set.union(*found))) < 100  # longer ones a system may refuse


def test_a_failing_cell_names_chapter_cell_and_error(small_book):
    small_book.edit("book/02-second.md", "sum(page", 'int("seven") + sum(page')
    result = small_book.fingerprints("book", "--profile", "smoke")
    assert result.returncode == 1
    (line,) = [line for line in result.stderr.splitlines() if line.startswith("Error")]
    assert "Chapter 'second'" in line
    assert "Adding" in line
    assert "ValueError: invalid literal for int() with base 10: 'seven'" in line
    assert "Traceback" not in result.stderr
    partial = small_book.root / "_build/smoke/executed/second.partial.ipynb"
    assert str(partial) in line
    assert any("seven" in cell.source for cell in nbformat.read(partial, 4).cells)
    assert not (small_book.root / "_build/smoke/html/index.html").exists()
    # It stays a failure until it is mended, and then only what is missing runs.
    assert small_book.fingerprints("book", "--profile", "smoke").returncode == 1
    small_book.edit("book/02-second.md", 'int("seven") + ', "")
    assert _ran(small_book.fingerprints("book", "--profile", "smoke")) == ["second", "book"]
    # Pages that do not build leave those that there are.
    small_book.edit("book/01-first.md", "There are", "See {doc}`nowhere`. There are")
    result = small_book.fingerprints("book", "--profile", "smoke")
    assert result.returncode == 1
    assert "The pages did not build" in result.stderr
    assert (small_book.root / "_build/smoke/html/index.html").exists()
    assert "There are 2 numbers" in _plain((small_book.root / "_build/smoke/html/01-first.html").read_text())


@pytest.fixture
def job(tmp_path):
    """A job that ran once, with what it left and remembers."""
    made = Job(Chapter(tmp_path / "01-page.md"), {}, ["in.json"], {"metrics": "m.json", "total": "t.json"}, "print")
    for name, text in {"in.json": "1", "m.json": '{"store": ["thing"]}', "t.json": "2"}.items():
        (tmp_path / name).write_text(text)
    (tmp_path.parent / "store").mkdir(exist_ok=True)
    (tmp_path.parent / "store" / "thing").touch()
    memory.remember(made, memory.place_of(made, tmp_path), tmp_path)
    return made


def spoil_nothing(build):
    for number, path in enumerate(build.iterdir()):
        os.utime(path, (number * 9999, number * 9999))  # written in another order than they were


@pytest.mark.parametrize(
    ("spoil", "left", "remembered"),
    [
        (spoil_nothing, True, True),
        (lambda build: (build / "in.json").write_text("3"), False, True),
        (lambda build: (build / "in.json").unlink(), False, True),
        (lambda build: (build / "t.json").write_text("3"), False, True),
        (lambda build: (build / "t.json").unlink(), False, True),
        (lambda build: (build.parent / "store" / "thing").unlink(), False, False),
    ],
)
def test_what_a_job_left_is_kept_by_content_whatever_the_dates(job, tmp_path, spoil, left, remembered):
    place = memory.place_of(job, tmp_path)
    spoil(tmp_path)
    memory.forget_stale([job], tmp_path)
    assert [(tmp_path / path).exists() for path in job.outputs.values()] == [left] * 2
    assert place.exists() == remembered
    if left:
        memory.forget_stale([dataclasses.replace(job, fingerprint="another")], tmp_path)
        assert not (tmp_path / "t.json").exists()


def test_what_is_made_is_never_older_than_what_it_was_made_from(job, tmp_path):
    """Snakemake takes it for a failure otherwise: as where an input comes from a host whose clock is ahead."""
    later = time.time() + 3600
    os.utime(tmp_path / "in.json", (later, later))
    engine.run_job(None, job, "smoke", tmp_path)  # taken over from memory
    for path in job.outputs.values():
        assert (tmp_path / path).stat().st_mtime_ns >= (tmp_path / "in.json").stat().st_mtime_ns


@pytest.mark.parametrize("lost", [None, "html", "page", "record", "content"])
def test_pages_are_kept_by_content(job, tmp_path, lost):
    (tmp_path / "html").mkdir()
    (tmp_path / "html" / "index.html").touch()
    record = tmp_path / "pages.json"
    memory.remember_pages(memory.contents_of([job], tmp_path), tmp_path)
    if lost == "html":
        shutil.rmtree(tmp_path / "html")
    elif lost == "page":
        (tmp_path / "t.json").unlink()
    elif lost == "record":
        record.write_text("{")
    elif lost == "content":
        (tmp_path / "t.json").write_text("3")
    memory.forget_stale_pages([job], tmp_path)
    assert record.exists() == (lost is None)
    assert (tmp_path / "html" / "index.html").exists() == (lost != "html")


def test_run_executes_one_chapter_and_what_it_needs(small_book):
    assert _ran(small_book.fingerprints("run", "second", "--profile", "smoke")) == ["first", "second"]
    assert _ran(small_book.fingerprints("run", "second", "-p", "factor=3", "--profile", "smoke")) == ["second"]
    assert json.loads((small_book.root / "_build/smoke/total.json").read_text()) == 3.0
    # Turned back, the knob costs nothing: the last runs are remembered.
    result = small_book.fingerprints("run", "second", "--profile", "smoke")
    assert _ran(result) == []
    assert "[second] unchanged" in result.stderr
    assert json.loads((small_book.root / "_build/smoke/total.json").read_text()) == 1.0
    assert _ran(small_book.fingerprints("run", "first", "-p", "count=5", "--profile", "smoke")) == ["first"]
    assert json.loads((small_book.root / "_build/smoke/numbers.json").read_text()) == [0, 1, 2, 3, 4]


def test_ctrl_c_stops_with_a_sentence_and_loses_nothing(small_book):
    small_book.edit(
        "book/02-second.md",
        'page = Page("second")',
        'import time; time.sleep(60 * (factor == 9))\npage = Page("second")',
    )
    command = [sys.executable, "-m", "fingerprintlib.cli", "book", "--profile", "smoke", "-s", "second.factor=9"]
    environment = {**os.environ, "PYTHONPATH": str(small_book.root)}
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    process = subprocess.Popen(
        command, cwd=small_book.root, env=environment, start_new_session=True, preexec_fn=heed_ctrl_c, **pipes
    )
    done = small_book.root / "_build/smoke/executed/first.ipynb"
    second = small_book.root / "_build/smoke/executed/second.partial.ipynb"
    for _ in range(600):
        if done.exists() and second.exists():
            break
        time.sleep(0.2)
    time.sleep(1)
    os.killpg(process.pid, signal.SIGINT)  # as the terminal does
    _, errors = process.communicate(timeout=60)
    assert process.returncode == 130, errors
    assert errors.strip().splitlines()[-1] == (
        "Stopped. What was finished is kept; the same command goes on from there."
    )
    assert "Traceback" not in errors
    assert not (small_book.root / "_build/smoke/html").exists()
    assert not (small_book.root / "_build/smoke/executed/second.ipynb").exists()
    assert _ran(small_book.fingerprints("book", "--profile", "smoke")) == ["second", "book"]


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["book", "--profile", "smok"], "Did you mean 'smoke'?"),
        (["book", "-s", "frist.count=1"], "Did you mean 'first'?"),
        (["book", "-s", "first.cuont=1"], "Did you mean 'count'?"),
        (["book", "-s", "first.count=10"], "must be from 1 to 9"),
        (["book", "-s", "first.count=2.5"], "not of type int"),
        (["book", "-s", "first.count=many"], "not of type int"),
        (["book", "-s", "first.word=odd"], "one of plain, fancy"),
        (["book", "-s", "count=1"], "CHAPTER.PARAMETER=VALUE"),
        (["run", "third"], "Unknown chapter 'third'"),
        (["run", "first", "-p", "count=0"], "must be from 1 to 9"),
        (["book", "--cores", "0"], "0 is not in the range"),
        (["bok"], "No such command 'bok'"),
    ],
)
def test_bad_requests_are_refused_before_anything_runs(small_book, arguments, words):
    result = small_book.fingerprints(*arguments)
    assert result.returncode == 2
    assert words in result.stderr
    assert "Traceback" not in result.stderr
    assert not (small_book.root / "_build").exists()


def test_a_profile_with_a_typo_is_refused(small_book):
    (small_book.root / "book/profiles/quick.yml").write_text("first: {cuont: 2}\n")
    result = small_book.fingerprints("book")
    assert result.returncode == 2
    assert "Did you mean 'count'?" in result.stderr


def _ran(result):
    """The chapters that a build ran to their end, and whether it built the pages."""
    assert result.returncode == 0, result.stderr
    return re.findall(r"^\[(\w+)\] (?:done in|building)", result.stderr, re.MULTILINE)


def _plain(html):
    return re.sub(r"<[^>]+>", "", html).replace("&#39;", "'")


def test_what_is_lost_from_the_store_is_made_again(small_book):
    small_book.edit(
        "book/01-first.md",
        'page.make("numbers", list(range(count)))',
        'thing = page.store / "thing"\nthing.write_text("7")\npage.make("numbers", list(range(count)), files=[thing])',
    )
    assert _ran(small_book.fingerprints("run", "second", "--profile", "smoke")) == ["first", "second"]
    assert _ran(small_book.fingerprints("run", "second", "--profile", "smoke")) == []
    (small_book.root / "_build/store/thing").unlink()
    result = small_book.fingerprints("run", "second", "--profile", "smoke")
    assert _ran(result) == ["first"]  # the second is unchanged: the same numbers
    assert (small_book.root / "_build/store/thing").exists()


def test_a_usage_error_in_a_cell_and_a_missing_artifact_and_a_dead_kernel_are_told(small_book):
    cell = 'page.make("total", sum(page.open("numbers")) * factor)'
    small_book.edit("book/02-second.md", cell, 'from fingerprintlib.errors import UsageError\nraise UsageError("No.")')
    result = small_book.fingerprints("run", "second", "--profile", "smoke")
    assert result.returncode == 2
    assert "(Adding): UsageError: No. The notebook" in result.stderr
    assert "[second] stopped after" in result.stderr

    small_book.edit("book/02-second.md", 'raise UsageError("No.")', "pass")
    result = small_book.fingerprints("run", "second", "--profile", "smoke")
    assert result.returncode == 1
    assert "add `page.make('total', ...)`" in result.stderr

    small_book.edit("book/02-second.md", "\npass\n", "\nimport os; os._exit(9)\n")
    result = small_book.fingerprints("run", "second", "--profile", "smoke")
    assert result.returncode == 1
    assert "its kernel died" in result.stderr
    assert "Traceback" not in result.stderr


def test_a_folder_is_refused_or_noticed_before_anything_runs(small_book):
    small_book.edit(
        "book/01-first.md",
        'word: str = "plain"  # how they are called [plain, fancy]',
        'word: str = "plain"  # a folder [text]',
    )
    result = small_book.fingerprints("run", "first", "--profile", "smoke", "-p", "word=folder:nowhere")
    assert result.returncode == 2
    assert f"There is no folder {small_book.root / 'nowhere'}." in result.stderr
    images = small_book.root / "images"
    images.mkdir()
    run = ("run", "first", "--profile", "smoke", "-p", "word=folder:images")  # from where the user stands
    assert _ran(small_book.fingerprints(*run)) == ["first"]
    assert _ran(small_book.fingerprints(*run)) == []
    (images / "new.png").write_bytes(b"1")
    assert _ran(small_book.fingerprints(*run)) == ["first"]


def test_two_builds_at_once_and_options_for_snakemake(small_book):
    build = small_book.root / "_build"
    build.mkdir()
    with filelock.FileLock(build / ".lock"):
        result = small_book.fingerprints("book", "--profile", "smoke")
    assert result.returncode == 1
    assert "Another build is running" in result.stderr
    result = small_book.fingerprints(
        "book", "--profile", "smoke", "--cores", "3", "--", "--dry-run", "--printshellcmds"
    )
    assert result.returncode == 0, result.stderr
    assert not (build / "smoke/executed").exists()


@pytest.mark.parametrize(
    ("elapsed", "expected", "words"),
    [
        (5, None, "(0:05)"),
        (5, 71.9, "(0:05 of about 1:11)"),
        (93, 11, "(1:33, longer than expected)"),
    ],
)
def test_a_step_is_told_with_the_time_that_it_took(elapsed, expected, words):
    assert _line("zoo", "2/5 What is a GAN?", elapsed, expected) == f"[zoo] 2/5 What is a GAN?  {words}"
