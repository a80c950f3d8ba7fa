"""The plans that come with the book: what they name is there, and their minutes add up."""

import re
from itertools import pairwise

import pytest

from fingerprintlib.analysis.confounds import TREATMENTS
from fingerprintlib.book.chapters import Book
from fingerprintlib.book.timings import minutes, published_timings
from fingerprintlib.classroom.lessons import FIELD, FOLDER, Facts, lesson
from fingerprintlib.classroom.slides import Slide
from fingerprintlib.errors import UsageError

PLANS = sorted(FOLDER.glob("*.md"))
BOOK = Book()
CHAPTERS = {chapter.name: chapter for chapter in BOOK.chapters}
TEXTS = {"profile": "p", "machine": "an abacus", "contents": "- c", "chapters": "- d"}


@pytest.fixture(scope="module")
def facts():
    """Of the book itself, without its pages: every figure of a chapter has a slide."""
    decks = {
        name: [Slide(label, "", "figure", label=label, number=f"Fig. {label}") for label in chapter.figures]
        for name, chapter in CHAPTERS.items()
    }

    class Any(dict):
        def __contains__(self, key):
            return True

        def __missing__(self, key):
            return 12.345

    seconds = {name: 60.0 * number for number, name in enumerate(CHAPTERS, 2)}
    return Facts(CHAPTERS, decks, {name: Any() for name in CHAPTERS}, seconds, TEXTS)


@pytest.mark.parametrize("path", PLANS, ids=lambda path: path.stem)
def test_a_plan_names_only_what_the_book_has(path, facts):
    page = lesson(path, facts)
    assert "{{" not in page
    assert page.count("../slides/") == len(re.findall(r"\{\{ (?:figure|slides) ", path.read_text()))


@pytest.mark.parametrize("path", PLANS, ids=lambda path: path.stem)
def test_a_plan_uses_metrics_that_chapters_record(path):
    for field in FIELD.finditer(path.read_text()):
        if field["what"] == "number":
            source = "\n".join(source for _, source in CHAPTERS[field["name"]].cells)
            text = CHAPTERS[field["name"]].path.read_text()
            name = field["key"].partition(":")[0]
            assert f'"{name}"' in source or f'page["{name}' in text, field[0]


@pytest.mark.parametrize("path", PLANS, ids=lambda path: path.stem)
def test_times_of_chapters_are_never_typed(path):
    """Minutes in a plan are those of the lesson; what a notebook takes is measured."""
    text = FIELD.sub("", path.read_text())
    assert not re.search(r"\d(?:\.\d)? (?:min\b|s\b|h\b|seconds)", text)
    assert not re.search(r"takes (?:about )?\d", text)


def test_times_are_the_measured_ones(facts):
    seconds = {name: cost["seconds"] for name, cost in published_timings(BOOK)["profiles"]["quick"].items()}
    measured = Facts(facts.chapters, facts.decks, facts.metrics, seconds, TEXTS)
    page = lesson(FOLDER / "week.md", measured)
    for name in ("attribution", "zoo", "confounds"):
        assert minutes(seconds[name]) in page
    assert minutes(sum(seconds.values())) in page
    unmeasured = Facts(facts.chapters, facts.decks, facts.metrics, {"zoo": 60.0}, TEXTS)
    assert "not measured yet" in lesson(FOLDER / "week.md", unmeasured)


@pytest.mark.parametrize("total", [50, 90])
def test_the_minutes_of_a_lesson_follow_each_other(total):
    text = (FOLDER / f"{total}-minutes.md").read_text()
    spans = [(int(start), int(end)) for start, end in re.findall(r"^\| (\d+)–(\d+) \|", text, re.MULTILINE)]
    assert spans[0][0] == 0
    assert spans[-1][1] == total
    assert all(one[1] == other[0] for one, other in pairwise(spans))
    assert all(start < end for start, end in spans)


def test_points_of_the_report_add_up():
    text = (FOLDER / "week.md").read_text()
    assert sum(map(int, re.findall(r"^\| (\d+) \| \*\*", text, re.MULTILINE))) == 100


@pytest.mark.parametrize("path", PLANS, ids=lambda path: path.stem)
def test_a_plan_has_all_that_a_plan_needs(path):
    if path.stem != "index":
        for part in (
            "Learning goals",
            "Questions, and what to listen for",
            "Common misconceptions",
            "The one sentence",
        ):
            assert part in path.read_text(), part


def test_the_lab_turns_knobs_that_there_are():
    confounds = CHAPTERS["confounds"]
    text = (FOLDER / "90-minutes.md").read_text()
    confounds.parameter("source").check("real", "the lab")
    pairs = re.findall(r'\("([\w-]+)", "([\w-]+)"\)', text)
    assert len(pairs) == 2
    assert {name for pair in pairs for name in pair} <= set(TREATMENTS)
    assert any(source.startswith("pairs = ") for _, source in confounds.cells)
    assert "One source,\n   two names" in text
    assert "## One source, two names" in confounds.path.read_text()


@pytest.mark.parametrize("field", ["{{ figure fig-none }}", "{{ slides none }}", "{{ nothing }}", "{{ time none }}"])
def test_a_field_without_an_answer_is_refused_with_the_name_of_the_plan(tmp_path, facts, field):
    (tmp_path / "mine.md").write_text(f"# Mine\n\n{field}\n")
    with pytest.raises(UsageError, match=re.escape(f"mine.md: the book has nothing for {field}")):
        lesson(tmp_path / "mine.md", facts)


def test_numbers_are_formatted_and_text_is_escaped(tmp_path):
    facts = Facts(CHAPTERS, {}, {"zoo": {"generators": 4.0}}, {"zoo": 150.0}, {})
    (tmp_path / "mine.md").write_text("# A < B\n\n{{ number zoo generators:.2f }}, {{ time zoo }}, {{ time all }}\n")
    page = lesson(tmp_path / "mine.md", facts)
    assert "<title>A &lt; B</title>" in page
    assert "4.00, 2.5 min, 2.5 min" in page
