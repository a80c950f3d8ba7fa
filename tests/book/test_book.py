"""The real book at the profile `smoke`: it builds, and again only what a change affects runs again."""

import json
import re
import shutil

import pytest

from fingerprintlib.book.chapters import Book
from fingerprintlib.book.claims import FAILS, HOLDS, OPEN, PART
from fingerprintlib.statistics.metrics import wilson_interval

pytestmark = pytest.mark.book


def ran(result):
    assert result.returncode == 0, result.stderr
    return re.findall(r"^\[([\w-]+)\] (?:done in|building)", result.stderr, re.MULTILINE)


def test_artifacts_are_where_they_should_be(smoke_book):
    build = smoke_book.root / "_build" / "smoke"
    assert smoke_book.output.splitlines()[0] == str(build / "html" / "index.html")
    for chapter in Book().chapters:
        record = json.loads((build / "metrics" / f"{chapter.name}.json").read_text())
        assert record["chapter"] == chapter.name
    claims = json.loads((build / "claims.json").read_text())
    verdicts = {entry["claim"]["id"]: entry["verdict"] for entry in claims}
    assert set(verdicts.values()) <= {HOLDS, FAILS, OPEN, PART}  # every claim of the paper is measured
    assert not list(build.rglob("*.partial*"))


def test_progress_names_chapter_and_step(smoke_book):
    assert re.search(r"^\[attribution\] 2/\d+ Learning to attribute  \(\d:\d\d", smoke_book.output, re.MULTILINE)
    assert "[book] building the pages" in smoke_book.output


def test_timings_page_has_every_chapter(smoke_book):
    page = (smoke_book.html / "timings.html").read_text()
    for chapter in Book().chapters:
        assert f'href="{chapter.path.stem}.html"' in page


def test_controls_behave_even_at_this_scale(smoke_book):
    metrics = json.loads((smoke_book.root / "_build/smoke/metrics/attribution.json").read_text())["metrics"]
    assert metrics["shared_images"] == 0
    count = 5 * Book().values("attribution", "smoke")["test_images"]
    for control in ("channels_equalized", "channels_grey", "colours_grey", "shuffled_grey"):
        # One network on eighty images: of 95 % intervals one in twenty would miss chance with nothing wrong.
        low, high = wilson_interval(round(metrics[control] / 100 * count), count, confidence=0.999)
        assert 100 * low <= metrics["chance"] <= 100 * high


def test_a_second_build_runs_nothing(smoke_book):
    assert ran(smoke_book.fingerprints("book", "--profile", "smoke")) == []


def test_the_same_run_gives_the_same_metrics_bit_for_bit(smoke_book):
    path = smoke_book.root / "_build/smoke/metrics/attribution.json"
    before = path.read_bytes()
    store = smoke_book.root / "_build/store/attributors"
    aside = store.rename(store.with_name("aside"))  # nothing to load: train again
    shutil.rmtree(smoke_book.root / "_build/smoke/memory/attribution")
    (smoke_book.root / "_build/smoke/executed/attribution.ipynb").unlink()
    assert ran(smoke_book.fingerprints("run", "attribution", "--profile", "smoke")) == ["attribution"]
    assert path.read_bytes() == before
    shutil.copytree(aside, store, dirs_exist_ok=True)  # what the other chapters left


def test_a_library_edit_runs_the_chapters_that_use_it_and_a_prose_edit_none(smoke_book):
    smoke_book.edit("fingerprintlib/analysis/perceptual.py", "THUMBNAIL = 16", "THUMBNAIL = 15")
    smoke_book.edit("book/03-attribution.md", "We have five sources", "Here are five sources")
    result = smoke_book.fingerprints("book", "--profile", "smoke")
    assert sorted(ran(result)) == ["artifacts", "book"]
    assert "[claims] unchanged" in result.stderr
    assert "Here are five sources" in (smoke_book.html / "03-attribution.html").read_text()
