"""The plans that come with the book: what they name is there, and their minutes add up."""

import base64
import io
import re
from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
from bs4 import BeautifulSoup
from PIL import Image

from fingerprintlib.analysis.confounds import TREATMENTS
from fingerprintlib.book.chapters import Book
from fingerprintlib.book.timings import minutes, published_timings
from fingerprintlib.classroom.case import SHEETS, folder_pools
from fingerprintlib.classroom.deck_of_lesson import ROW, images_of_sources, slides_of_lesson
from fingerprintlib.classroom.lessons import FIELD, FOLDER, Facts, lesson
from fingerprintlib.classroom.slides import Slide
from fingerprintlib.data.images import coloured
from fingerprintlib.errors import UsageError

PLANS = sorted(FOLDER.glob("*.md"))
BOOK = Book()
CHAPTERS = {chapter.name: chapter for chapter in BOOK.chapters}
DECKS = sorted((FOLDER / "decks").glob("*.md"))
TEXTS = {"images": "<table></table>", "profile": "p", "machine": "an abacus", "contents": "- c", "chapters": "- d"}


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
    facts = Facts(CHAPTERS, decks, {name: Any() for name in CHAPTERS}, seconds, TEXTS)
    return replace(facts, lessons={path.stem: slides_of_lesson(path, FOLDER / path.name, facts) for path in DECKS})


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


@pytest.mark.parametrize(("name", "total"), [("50-minutes", 50), ("90-minutes", 90), ("expert", 50)])
def test_the_minutes_of_a_lesson_follow_each_other(name, total):
    text = (FOLDER / f"{name}.md").read_text()
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


# --- the deck of a lesson -----------------------------------------------------------------------


@pytest.mark.parametrize("path", DECKS, ids=lambda path: path.stem)
def test_the_deck_of_a_lesson_shows_what_its_plan_shows_in_that_order(path, facts):
    slides = facts.lessons[path.stem]
    plan = (FOLDER / path.name).read_text()
    rows = [(row["minutes"], re.findall(r"\{\{ figure ([\w-]+) \}\}", row["shows"])) for row in ROW.finditer(plan)]
    found: dict[str, list[str]] = {}
    for slide in slides[1:]:
        minutes = re.search(r"Minutes (\d+–\d+)", slide.notes[0])[1]
        found.setdefault(minutes, []).extend([slide.label] if slide.label else [])
    assert list(found.items()) == rows
    assert plan.startswith(f"# {slides[0].title}")


def test_the_speaker_is_told_what_to_do_once_for_each_row(facts):
    notes = [" ".join(slide.notes) for slide in facts.lessons["50-minutes"]]
    assert sum("Be the sceptic." in note for note in notes) == 1
    assert "In pairs, four minutes" in notes[9]
    assert "Minutes 26–38</b>, which go on." in notes[10]


def test_a_plan_leads_to_the_deck_of_its_lesson(facts):
    own = lesson(FOLDER / "50-minutes.md", replace(facts, own="50-minutes"))
    place = [slide.label for slide in facts.lessons["50-minutes"]].index("fig-twins") + 1
    assert f"../slides/50-minutes.html#{place}" in own
    assert f"{len(facts.lessons['50-minutes'])} slides</a>" in own
    assert "50-minutes.html#" not in lesson(FOLDER / "90-minutes.md", replace(facts, own="90-minutes"))


@pytest.mark.parametrize(
    ("slide", "sentence"),
    [
        ("## 5–9 · Out of time", "the slide '5–9 · Out of time' belongs to no minutes of plan.md"),
        ("## No time", "the slide 'No time' belongs to no minutes of plan.md"),
        ("## 0–5 · Gone\n\n{{ slide fig-none }}", "mine.md: the book has nothing for {{ slide fig-none }}"),
        ("## 0–5 · Gone\n\n{{ nothing }}", "mine.md: the book has nothing for {{ nothing }}"),
    ],
)
def test_a_slide_that_belongs_nowhere_is_refused(tmp_path, facts, slide, sentence):
    (tmp_path / "plan.md").write_text("# Plan\n\n| 0–5 | Look. | board |\n")
    (tmp_path / "mine.md").write_text(f"# Mine\n\nFive minutes\n\n{slide}\n")
    with pytest.raises(UsageError, match=re.escape(sentence)):
        slides_of_lesson(tmp_path / "mine.md", tmp_path / "plan.md", facts)


def test_images_of_the_known_sources_in_colour_and_the_same_in_grey(own):
    found = BeautifulSoup(images_of_sources(folder_pools(own), seed=0), "html.parser")
    names = [head.get_text() for head in found.select("th")]
    assert sorted(names) == ["alpha", "beta", "real"]
    rows = [[decode_png(image) for image in row.select("img")] for row in found.select("tr")[1:]]
    for colour, grey in ((rows[0], rows[2]), (rows[1], rows[3])):
        for one, other in zip(colour, grey, strict=True):
            assert np.ptp(one, axis=2).any()
            assert np.array_equal(other, coloured(one[None], "grey")[0])


def decode_png(image):
    return np.array(Image.open(io.BytesIO(base64.b64decode(image["src"].partition(",")[2]))))


@pytest.mark.parametrize(
    ("sheet", "plan", "numbers", "answered"),  # a guess, an eye and an opinion have no right answer
    [("worksheet", "50-minutes", "123456", "2456"), ("worksheet-expert", "expert", "12345", "1235")],
)
def test_the_worksheet_asks_nothing_that_the_plan_does_not_answer(sheet, plan, numbers, answered):
    sheet, plan = ((folder / f"{name}.md").read_text() for folder, name in ((SHEETS, sheet), (FOLDER, plan)))
    asked = re.findall(r"^## (\d)\.", sheet, re.MULTILINE)
    used = [number for row in ROW.finditer(plan) for number in re.findall(r"worksheet (\d)", row["shows"])]
    assert asked == used == list(numbers)
    answers = plan.partition("## Answers to the worksheet")[2]
    assert re.findall(r"\*\*(\d)\.\*\*", answers) == list(answered)
    assert all(f"({letter})" in answers and f"\n{letter}) " in sheet for letter in "abc")
