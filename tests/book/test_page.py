import json
import os
import re
from types import SimpleNamespace

import numpy as np
import pytest
import torch

import fingerprintlib.project
from fingerprintlib.attribution.prnu import correlations
from fingerprintlib.book.chapters import Book, Job
from fingerprintlib.book.engine import run_chapter
from fingerprintlib.book.memory import forget_removed_chapters
from fingerprintlib.book.page import Page
from fingerprintlib.errors import FingerprintsError, UsageError
from fingerprintlib.plots import Plot
from fingerprintlib.statistics.metrics import wilson_interval

from ..conftest import ROOT


@pytest.fixture
def build(tmp_path, monkeypatch):
    monkeypatch.setenv("FINGERPRINTS_BUILD", str(tmp_path / "_build" / "smoke"))
    return tmp_path / "_build" / "smoke"


@pytest.fixture
def lab(tmp_path, monkeypatch):
    monkeypatch.delenv("FINGERPRINTS_BUILD", raising=False)
    return tmp_path


# --- artifacts ----------------------------------------------------------------------------------


def test_what_a_chapter_makes_a_later_one_opens(build, tmp_path):
    Page("first", tmp_path).make("numbers", {"b": [1, 2.5, "née"], "a": None})
    assert (build / "numbers.json").is_file()
    assert Page("second", tmp_path).open("numbers") == {"a": None, "b": [1, 2.5, "née"]}


def test_what_is_not_made_yet_is_named_with_the_mend(build, tmp_path):
    (tmp_path / "_build" / "quick").mkdir(parents=True)
    (tmp_path / "_build" / "quick" / "numbers.json").write_text("1")
    with pytest.raises(FingerprintsError, match="'numbers' is not there yet: run the chapters before 'second'"):
        Page("second", tmp_path).open("numbers")  # a build takes nothing from another build


def test_the_lab_reads_the_quick_build_and_leaves_it_alone(lab):
    quick = lab / "_build" / "quick"
    (quick / "metrics").mkdir(parents=True)
    (quick / "numbers.json").write_text("1")
    for name in ("first", "second"):
        (quick / "metrics" / f"{name}.json").write_text(json.dumps({"chapter": name, "from": "quick"}))
    page = Page("first", lab)
    assert page.open("numbers") == 1
    assert [record["from"] for record in page.metrics_of_all()] == ["quick", "quick"]
    page.make("numbers", 2)
    page.finish()
    assert page.open("numbers") == 2
    assert (quick / "numbers.json").read_text() == "1"
    assert (lab / "_build" / "lab" / "numbers.json").is_file()
    records = page.metrics_of_all()  # its own, and the others' of the quick build
    assert [(record["chapter"], "from" in record) for record in records] == [("first", False), ("second", True)]


def test_the_metrics_of_a_chapter_that_is_gone_are_forgotten(build, tmp_path):
    book = Book(ROOT)
    for name in (book.chapters[0].name, "renamed-since"):
        Page(name, tmp_path).finish()
    forget_removed_chapters(book, build)
    assert [record["chapter"] for record in Page("claims", tmp_path).metrics_of_all()] == [book.chapters[0].name]


def test_profiles_share_the_store(build, tmp_path, monkeypatch):
    store = Page("first", tmp_path).store
    assert store.is_dir()
    monkeypatch.setenv("FINGERPRINTS_BUILD", str(tmp_path / "_build" / "quick"))
    assert Page("first", tmp_path).store == store
    monkeypatch.delenv("FINGERPRINTS_BUILD")
    assert Page("first", tmp_path).store == store


def test_the_project_is_found_above_the_notebook(lab, monkeypatch):
    monkeypatch.chdir(ROOT / "book" / "profiles")
    assert Page("first").root == ROOT
    monkeypatch.chdir(lab)
    assert Page("first").root == ROOT  # the checkout of the package
    monkeypatch.setattr(fingerprintlib.project, "PACKAGE", lab / "site-packages" / "fingerprintlib")
    with pytest.raises(FingerprintsError, match=r"There is no book in .*`make lab`"):
        Page("first")


# --- data ---------------------------------------------------------------------------------------


def test_an_undeclared_read_is_refused_by_name(build, tmp_path, monkeypatch):
    monkeypatch.setenv("FINGERPRINTS_READS", os.pathsep.join(["paper.yml", "zoo"]))
    page = Page("first", tmp_path)
    assert page.data("zoo") == tmp_path / "data" / "zoo"
    for name in ("sweeps", "", "zoo/zoo.yml"):
        words = f"Chapter 'first' reads data/{name}: add it to `reads` in its front matter."
        with pytest.raises(FingerprintsError, match=re.escape(words)):
            page.data(name)
    monkeypatch.setenv("FINGERPRINTS_READS", "")
    with pytest.raises(FingerprintsError, match="reads data/zoo"):
        page.data("zoo")


def test_the_lab_refuses_no_data(lab, monkeypatch):
    monkeypatch.delenv("FINGERPRINTS_READS", raising=False)
    assert Page("first", lab).data("zoo") == lab / "data" / "zoo"


@pytest.mark.parametrize("chapter", ["claims", "fingerprints"])
def test_the_engine_hands_down_what_a_chapter_declares(chapter, tmp_path, monkeypatch):
    book, read = Book(ROOT), []
    job = Job(book.chapter(chapter), {}, [], {}, "")
    cell = lambda *_, **__: read.append(Page(chapter, ROOT).data("paper.yml"))  # noqa: E731
    monkeypatch.setattr("papermill.execute_notebook", cell)
    declared = chapter == "claims"
    words = r"ended without `page\.finish\(\)`" if declared else "'fingerprints' reads data/paper.yml"
    with pytest.raises(FingerprintsError, match=words):
        run_chapter(book, job, "smoke", tmp_path)
    assert read == [ROOT / "data" / "paper.yml"] * declared


# --- numbers ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "value", [float("nan"), -float("inf"), np.float64("nan"), np.float32("inf"), torch.tensor(float("nan"))]
)
def test_a_metric_must_be_finite(build, tmp_path, value):
    page = Page("first", tmp_path)
    with pytest.raises(FingerprintsError, match=r"'accuracy' of chapter 'first' is (nan|-?inf)"):
        page.metric("accuracy", value)
    page.finish()
    assert json.loads((build / "metrics" / "first.json").read_text())["metrics"] == {}


@pytest.mark.parametrize("value", [None, [1.0], {"a": 1}, np.ones(2).tolist()])
def test_a_metric_is_a_number_or_a_word(build, tmp_path, value):
    with pytest.raises(FingerprintsError, match=f"'accuracy' of chapter 'first' is a {type(value).__name__}"):
        Page("first", tmp_path).metric("accuracy", value)


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (0.1 + 0.2, 0.1 + 0.2),
        (3, 3),
        ("word", "word"),
        (np.float64(0.5), 0.5),
        (np.float32(0.5), 0.5),
        (np.int64(3), 3),
        (torch.tensor(0.25), 0.25),
    ],
)
def test_a_metric_goes_to_the_file_and_to_the_prose(build, tmp_path, value, expected):
    page = Page("first", tmp_path)
    page.metric("accuracy", value)
    page.finish()
    found = json.loads((build / "metrics" / "first.json").read_text())["metrics"]["accuracy"]
    assert (found, type(found)) == (expected, type(expected))
    assert repr(page["accuracy"]) == str(expected)  # as JupyterLab shows it


def test_a_claim_is_recorded_and_shown_with_its_verdict(build, tmp_path, monkeypatch):
    shown = []
    monkeypatch.setattr("IPython.display.display", lambda some, metadata: shown.append((some.data, metadata)))
    page = Page("first", tmp_path)
    bounds = {"holds_above": 0.9, "fails_below": 0.4, "conditions": "here"}
    page.claim("existence", np.float32(0.5), (np.float64(0.25), 0.75), **bounds)
    page.finish()
    (record,) = json.loads((build / "metrics" / "first.json").read_text())["claims"]
    numbers = {"value": 0.5, "low": 0.25, "high": 0.75, "holds_above": 0.9, "fails_below": 0.4}
    words = {"claim": "existence", "conditions": "here", "unit": "points", "verdict": "not shown"}
    assert record == numbers | words | {"beyond": "", "ours": ""}
    said = "**Here: not shown**, +50.0 (+25.0 to +75.0) points; it holds from 90 points on. (Claim `existence`.)"
    assert shown == [(said, {"claim": "existence"})]
    with pytest.raises(UsageError, match="finite"):
        page.claim("existence", float("nan"), (0, 1), holds_above=0.9, fails_below=0.4)


def test_the_same_numbers_give_the_same_bytes_in_whatever_order(build, tmp_path):
    files = set()
    for names in ("abc", "cab"):
        page = Page("first", tmp_path)
        for name in names:
            page.metric(name, ord(name) / 7)
            page.make(f"artifact-{name}", {"x": name, "y": 1})
        page.claim("existence", 0.95, (0.93, 0.97), holds_above=0.9, fails_below=0.4)
        for _ in range(2):
            page.finish()
            files.add((build / "metrics" / "first.json").read_bytes())
    assert len(files) == 1
    assert set(json.loads(files.pop())["artifacts"]) == {"artifact-a", "artifact-b", "artifact-c"}


def test_an_artifacts_hash_tells_its_content(build, tmp_path):
    hashes = []
    for value in (1, 2, 1):
        page = Page("first", tmp_path)
        page.make("numbers", value)
        page.finish()
        hashes.append(json.loads((build / "metrics" / "first.json").read_text())["artifacts"]["numbers"])
    assert hashes[0] == hashes[2] != hashes[1]


def test_a_figure_is_shown_as_a_picture_with_its_alternative_text(build, tmp_path, monkeypatch):
    from IPython import display
    from matplotlib.figure import Figure

    shown = []
    monkeypatch.setattr(display, "display", lambda image, metadata: shown.append((image.data, metadata)))
    for side in (6, 5):
        Page("first", tmp_path).show(Plot(Figure(figsize=(side, side)), "An empty square."))
    ((data, metadata), (_, of_narrow)) = shown
    assert data.startswith(b"\x89PNG")
    assert metadata == {"alt": "An empty square."}
    assert of_narrow == metadata | {"narrow": True}


def test_a_figure_shown_at_a_place_again_replaces_the_one_before(build, tmp_path, monkeypatch):
    from IPython import display
    from matplotlib.figure import Figure

    shown = []
    monkeypatch.setattr(display, "display", lambda image, metadata, **where: shown.append(where))
    page = Page("first", tmp_path)
    for place in ("growth", None, "growth", "other"):
        page.show(Plot(Figure(figsize=(1, 1)), "A square."), place)
    assert shown == [
        {"display_id": "growth", "update": False},
        {},
        {"display_id": "growth", "update": True},
        {"display_id": "other", "update": False},
    ]


def test_a_function_is_shown_without_docstring_types_and_refusals(build, tmp_path, monkeypatch):
    from IPython import display

    shown = []
    monkeypatch.setattr(display, "display", lambda text: shown.append(text.data))
    Page("first", tmp_path).code(wilson_interval)
    Page("first", tmp_path).code(correlations)
    text, bare = shown
    assert bare == "```python\ndef correlations(some, patterns):\n    return _unit(some) @ _unit(patterns).T\n```"
    assert text.startswith("```python\ndef wilson_interval(correct, total, confidence):\n    from scipy")
    assert "Wilson's" not in text
    assert text.endswith("return float(interval.low), float(interval.high)\n```")


def test_files_elsewhere_are_named_from_the_project_and_not_watched(build, tmp_path):
    page = Page("first", tmp_path)
    inside, outside = page.store / "a.bin", tmp_path / "data" / "zoo" / "b.bin"
    page.make("zoo", [page.relative(inside), page.relative(outside)], files=[inside, outside])
    assert json.loads((build / "zoo.json").read_text()) == ["_build/store/a.bin", "data/zoo/b.bin"]
    page.finish()
    assert json.loads((build / "metrics" / "first.json").read_text())["store"] == ["a.bin"]


def test_a_report_is_recorded_with_its_interval_and_names_are_plain(build, tmp_path):
    page = Page("first", tmp_path)
    page.report("log-DCT, as they are", SimpleNamespace(accuracy=0.5, interval=(0.25, 0.75)))
    page.interval("seam error", 3.0, (2.0, 5.0), scale=1)
    page.finish()
    found = json.loads((build / "metrics" / "first.json").read_text())["metrics"]
    name = "log_DCT_as_they_are"
    assert found == {
        **{name: 50.0, f"{name}_low": 25.0, f"{name}_high": 75.0},
        **{"seam_error": 3.0, "seam_error_low": 2.0, "seam_error_high": 5.0},
    }
    assert page["seam_error_high:.1f"] == "5.0"
    assert page["unknown:.1f"] == "…"


def test_the_record_says_which_metrics_are_in_per_cent(build, tmp_path):
    page = Page("first", tmp_path)
    page.interval("right, in grey", 0.5, (0.25, 0.75))
    page.interval("loss", 0.5, (0.25, 0.75), scale=1)
    page.metric("count", 7)
    page.finish()
    record = json.loads((build / "metrics" / "first.json").read_text())
    assert record["shares"] == ["right_in_grey"]
    assert record["metrics"]["right_in_grey_high"] == 75.0
