import base64
import re

import pytest
from bs4 import BeautifulSoup

from fingerprintlib.classroom.slides import _parts_of_table, deck, slides_of

STATED = {"existence": "There is < 1."}


@pytest.fixture
def slides(book):
    return slides_of(book.chapters[0], book.root / "_build/quick/html", STATED)


@pytest.fixture
def text(book, slides):
    return deck("Some & more", slides, book.root / "_build/quick/html")


def test_a_deck_follows_the_page(slides):
    assert [(slide.kind, slide.title) for slide in slides] == [
        ("first", "Some &amp; more"),
        ("aims", "What you will do"),
        ("question", "The question"),
        ("figure", "Some &amp; more"),
        ("table", "Here"),
        ("figure", "Here"),
        ("verdict", "Does it hold here?"),
        ("box", "Luck"),
        ("box", "Exercise 1.1 (Sums)"),
        ("summary", "Summary"),
    ]
    aims, question = slides[1], slides[2]
    assert aims.body == "<dl><dt>You will</dt><dd>see <i>it</i>.</dd><dt>You need</dt><dd>eyes.</dd></dl>"
    assert aims.notes == ["<p>To run the chapter costs 3 s.</p>"]
    assert question.body == '<p class="lead">We have sources.</p><p>Which one is it?</p>'
    assert slides[-1].body == "<ul><li><p>First.</p></li></ul><p>Last.</p>"
    assert 'class="text-right">7<' in slides[4].body


def test_a_figure_has_caption_picture_and_alternative_text(slides, text):
    figures = {slide.label: slide for slide in slides if slide.kind == "figure"}
    assert {label: slide.number for label, slide in figures.items()} == {"fig-one": "Fig. 1.1", "fig-two": "Fig. 1.2"}
    shown = BeautifulSoup(text, "html.parser").select("figure")
    assert [" ".join(figure.figcaption.get_text().split()) for figure in shown] == [
        "Fig. 1.1 One square.",
        "Fig. 1.2 Two.",
    ]
    assert [figure.img["alt"] for figure in shown] == ['A square, "red" & small.', "Another square."]
    assert [figure.img["style"] for figure in shown] == ["--ratio: 0.667", "--ratio: 2.000"]
    for figure in shown:
        assert base64.b64decode(figure.img["src"].removeprefix("data:image/png;base64,")).startswith(b"\x89PNG")


def test_what_is_said_around_a_figure_is_for_the_speaker(slides):
    notes = [" ".join(re.sub("<.*?>", " ", " ".join(slide.notes)).split()) for slide in slides]
    assert notes[2].startswith("We have sources.")
    assert notes[3].endswith("small. Said after the first.")
    assert notes[4] == "Here Said before the second."
    assert notes[5] == "What it shows, in words: Another square. Deeper Said below it."
    assert notes[6] == "For the ledger A claim is judged."


def test_a_verdict_stands_below_the_statement(slides):
    (verdict,) = [slide for slide in slides if slide.kind == "verdict"]
    found = BeautifulSoup(verdict.body, "html.parser")
    assert [tag.get_text() for tag in found.find_all(recursive=False)] == [
        "There is < 1.",
        "Here: yes, by 3. (Claim existence.)",
        "Here: no, by 1. (Claim unheard.)",
    ]


def test_a_deck_has_neither_solutions_nor_code_nor_what_is_folded(text):
    for absent in ("thumbs", "hidden_code", "visible_code", "Folded", "of a widget", "Play", "This page", "Something"):
        assert absent not in text
    assert "solutions/01-some.ipynb" in text


def test_a_deck_needs_nothing_but_itself(text):
    found = BeautifulSoup(text, "html.parser")
    assert not found.select("link, script[src], iframe, [id^=fig]")
    assert all(image["src"].startswith("data:") for image in found.select("img"))
    assert not found.select("a")
    assert not re.search(r"url\(|@import", text)


def test_formulas_are_drawn_only_where_there_are_some(book, slides, text):
    assert '<span class="math">\\(x &lt; 1\\)</span>' in text
    assert "drawn = '<\\/script>'" in text
    plain = [slide for slide in slides if "math" not in "".join([slide.body, *slide.notes])]
    assert "drawn =" not in deck("Some", plain, book.root / "_build/quick/html")


@pytest.mark.parametrize(
    ("rows", "parts"),
    [
        (["short"] * 11, [11]),
        (["short"] * 12, [11, 1]),
        (["word " * 55] * 4, [3, 1]),
        (["word " * 400, "short"], [1, 1]),
    ],
)
def test_a_table_that_a_slide_has_no_room_for_is_split_and_each_part_has_its_head(rows, parts):
    table = (
        f"<table><tr><th>head</th></tr>{''.join(f'<tr><td>{row} {k}</td></tr>' for k, row in enumerate(rows))}</table>"
    )
    found = list(_parts_of_table(BeautifulSoup(table, "html.parser").table))
    assert [len(part.select("td")) for part in found] == parts
    assert all(part.th.get_text() == "head" for part in found)
    told = [int(cell.get_text().split()[-1]) for part in found for cell in part.select("td")]
    assert told == list(range(len(rows)))
