"""Sweeps on the book of two small chapters: through the same engine, each point once."""

import csv
import json
import re

import pytest

from fingerprintlib.book.sweeps import load_sweeps

pytestmark = pytest.mark.book

FIGURE = """
```{code-cell}
---
mystnb:
  figure:
    name: fig-dot
    caption: A dot.
---
from IPython.display import Image, display
from PIL import Image as Pixels

assert factor != 7, "seven is too much"
Pixels.new("RGB", (8, 8), (int(factor), 0, 0)).save(page.store / "dot.png")
display(Image(filename=page.store / "dot.png"), metadata={"alt": f"A dot of {factor}"})
total = sum(page.open("numbers")) * factor
page.metric("total", total)
page.claim("existence", factor / 10, (0, 1), holds_above=1, fails_below=0)
"""


@pytest.fixture
def project(small_book):
    small_book.edit("book/02-second.md", "page.finish()\n", "```\n" + FIGURE + "page.finish()\n")
    return small_book


def _ran(result):
    assert result.returncode == 0, result.stderr
    return sorted(re.findall(r"^\[(.+?)\] (?:done in|building|unchanged)", result.stderr, re.MULTILINE))


def test_a_chapter_is_swept_and_what_is_there_is_not_run_again(project):
    sweep = ("sweep", "second", "--profile", "smoke", "--cores", "2")
    result = project.fingerprints(
        *sweep, "-p", "factor=2.5,1", "--", "--dry-run", "--set-resources", "sweep:gres=gpu:1"
    )
    assert (result.returncode, result.stdout) == (0, "")
    assert "Nothing was collected" in result.stderr

    result = project.fingerprints(*sweep, "-p", "factor=2.5,1")
    labels = ["second, point 1 of 2: factor = 2.5", "second, point 2 of 2: factor = 1.0"]
    assert _ran(result) == ["first", *labels]
    build = project.root / "_build" / "smoke"
    folder = build / "sweeps" / "second" / "factor"
    assert result.stdout.splitlines() == [str(folder / "sweep.html")]
    assert json.loads((folder / "factor-2.5" / "total.json").read_text()) == 2.5  # of 0 and 1, the first chapter's
    assert not (build / "executed" / "second.ipynb").exists()  # the chapter of the book itself is left alone
    assert not (build / "total.json").exists()
    with open(folder / "sweep.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    assert [(row["factor"], row["metric.total"], row["claim.existence"]) for row in rows] == [
        ("2.5", "2.5", "0.25"),
        ("1.0", "1.0", "0.1"),
    ]
    assert "claim existence, points" in (folder / "sweep.html").read_text()

    # One more point, in another order; then the book, which knows nothing of all this.
    result = project.fingerprints(
        *sweep, "-p", "factor=1,4,2.5", "--metric", "total", "--publish", "grown", "--figure", "fig-dot"
    )
    assert _ran(result) == ["second, point 2 of 3: factor = 4.0"]
    published = project.root / "data" / "sweeps" / "grown.json"
    assert result.stdout.splitlines() == [str(published), str(folder / "sweep.html")]
    (found,) = (sweep for sweep in load_sweeps(published.parent) if sweep.name == "grown")
    assert [(p.values["factor"], p.estimates["metric.total"].value) for p in found.points] == [
        (1.0, 1.0),
        (4.0, 4.0),
        (2.5, 2.5),
    ]
    assert [point.picture.alt for point in found.points] == [f"A dot of {f}" for f in (1.0, 4.0, 2.5)]
    assert found.provenance["profile"] == "smoke"
    assert _ran(project.fingerprints("run", "second", "--profile", "smoke")) == ["second"]


def test_a_point_that_fails_is_named_and_the_others_are_kept(project):
    sweep = ("sweep", "second", "-p", "factor=7,1", "--profile", "smoke", "--cores", "1", "--", "--keep-going")
    result = project.fingerprints(*sweep)
    assert result.returncode == 1
    assert "Chapter 'second' at point 1 of 2: factor = 7.0, cell" in result.stderr
    assert "AssertionError: seven is too much." in result.stderr
    folder = project.root / "_build" / "smoke" / "sweeps" / "second" / "factor"
    assert json.loads((folder / "factor-1.0" / "total.json").read_text()) == 1.0
    assert not (folder / "sweep.csv").exists()
    project.edit("book/02-second.md", "factor != 7", "True")
    assert _ran(project.fingerprints(*sweep)) == [
        f"second, point {n} of 2: factor = {f}" for n, f in [(1, 7.0), (2, 1.0)]
    ]
    assert (folder / "sweep.csv").exists()


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ([], "Name a knob to turn"),
        (["-p", "factor=1,11"], "must be from 0 to 10"),
        (["-p", "fcator=1"], "Did you mean 'factor'?"),
        (["-p", "factor=1", "--profile", "smok"], "Did you mean 'smoke'?"),
        (["-p", "factor=1", "--publish", "x", "--figure", "fig-dto"], "Did you mean 'fig-dot'?"),
        (["-p", "factor=1", "--figure", "fig-dot"], "add --publish NAME"),
    ],
)
def test_bad_sweeps_are_refused_before_anything_runs(project, arguments, words, monkeypatch):
    from click.testing import CliRunner

    from fingerprintlib.cli import main

    monkeypatch.chdir(project.root)
    result = CliRunner().invoke(main, ["sweep", "second", *arguments])
    assert result.exit_code == 2
    assert words in result.stderr
    assert not (project.root / "_build").exists()
