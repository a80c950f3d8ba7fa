"""The teacher's kit of the built book: its slides as a class sees them, and the book on paper."""

import pytest
from bs4 import BeautifulSoup

from fingerprintlib.book.chapters import Book
from fingerprintlib.classroom import printing
from fingerprintlib.classroom.kit import make_kit

from .conftest import CHROMIUM

pytestmark = pytest.mark.browser

LESSONS = ("50-minutes", "expert")
DECKS = [chapter.path.stem for chapter in Book().chapters if chapter.path.stem[0].isdigit()]


@pytest.fixture(scope="module")
def kit(smoke_book):
    """The kit without its PDF, which takes a minute or more."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(printing, "BROWSERS", ())
        return make_kit(Book(smoke_book.root), "smoke").parent


@pytest.fixture
def visit(browser):
    """Open a file at a width; return the page with what went wrong meanwhile."""
    pages = []

    def open_page(path, width=1300, scheme="light", fragment=""):
        page, troubles = browser.new_page(), []
        pages.append(page)
        page.set_default_timeout(120_000)
        page.set_viewport_size({"width": width, "height": 800})
        page.emulate_media(color_scheme=scheme)
        page.on("console", lambda message: troubles.append(message.text) if message.type == "error" else None)
        page.on("pageerror", lambda error: troubles.append(str(error)))
        own = (path.as_uri(), "data:")  # all is inside
        page.on("request", lambda request: None if request.url.startswith(own) else troubles.append(request.url))
        page.goto(path.as_uri() + fragment, wait_until="load")
        page.wait_for_load_state("networkidle")
        return page, troubles

    yield open_page
    for page in pages:
        page.close()


@pytest.mark.parametrize("name", DECKS)
def test_a_deck_has_every_figure_of_its_page_with_caption_and_words(kit, smoke_book, name):
    page, deck = (
        BeautifulSoup(path.read_text(), "html.parser")
        for path in (smoke_book.html / f"{name}.html", kit / "slides" / f"{name}.html")
    )

    def figures(found):
        return [(figure.img["alt"], "".join(figure.figcaption.get_text().split()).rstrip("#")) for figure in found]

    shown = figures(deck.select("figure"))
    assert shown
    told = [figure for figure in page.select("article figure") if not figure.find_parent(class_="solution")]
    assert shown == figures(told)
    verdicts = [p.get_text() for p in page.select(".cell_output p") if p.strong and p.strong.text.startswith("Here:")]
    assert [p.get_text() for p in deck.select(".verdict .body p")] == verdicts
    for kind in ("first", "aims", "question", "summary"):
        assert len(deck.select(f".slide.{kind}")) == 1, kind
    for slide in deck.select(".slide.figure"):
        assert slide.img["alt"] in slide.select_one(".notes").get_text()


MEASURE = """() => [...document.querySelectorAll(".slide")].map(slide => {
  const now = document.querySelector(".slide.now"), wide = now.querySelector(".wide, .scroll");
  const images = [...document.querySelectorAll(".slide.now figure img")].map(image => image.getBoundingClientRect());
  const found = {
    shown: [...document.querySelectorAll(".slide")].filter(slide => slide.offsetParent !== null).length,
    itself: slide.classList.contains("now"),
    beyond: document.documentElement.scrollWidth - innerWidth,
    below: document.documentElement.scrollHeight - innerHeight,
    hidden: wide ? wide.scrollWidth - wide.clientWidth : 0,
    letters: parseFloat(getComputedStyle(now.querySelector(".body")).fontSize),
    images: images.map(box => [box.width, box.height, box.right]),
  };
  document.body.dispatchEvent(new KeyboardEvent("keydown", {key: "ArrowRight", bubbles: true}));
  return found;
})"""


@pytest.mark.parametrize(("width", "scheme"), [(1300, "light"), (390, "dark")])
@pytest.mark.parametrize("name", [*DECKS, *LESSONS])
def test_a_deck_is_sound(kit, visit, name, width, scheme):
    page, troubles = visit(kit / "slides" / f"{name}.html", width, scheme)
    for place, slide in enumerate(page.evaluate(MEASURE), 1):
        assert (slide["shown"], slide["itself"]) == (1, True), f"slide {place} does not stand alone"
        assert slide["beyond"] <= 0, f"slide {place} scrolls sideways"
        if width == 1300:  # as wide as a projector; a phone scrolls
            assert max(slide["below"], slide["hidden"]) <= 0, f"not all of slide {place} is in sight"
            assert slide["letters"] >= 15, f"the letters of slide {place} are small"
        for wide, high, right in slide["images"]:
            assert wide > 0.8 * width or high > 400, f"the figure of slide {place} is small"
            assert right <= width
    assert troubles == []


@pytest.mark.parametrize("name", ["worksheet", "worksheet-expert"])
def test_a_worksheet_is_one_page(kit, tmp_path, name):
    if CHROMIUM is None:
        pytest.skip("there is no Chromium to print with (apt install chromium)")
    printing.to_pdf(CHROMIUM, kit / f"lessons/{name}.html", tmp_path / "sheet.pdf")
    assert (tmp_path / "sheet.pdf").read_bytes().count(b"/Type /Page\n") == 1


def test_the_keyboard_works_a_deck(kit, visit):
    page, troubles = visit(kit / "slides" / f"{DECKS[0]}.html", fragment="#4")

    def place():
        return int(page.locator("nav output").inner_text().split()[0])

    assert place() == 4
    assert not page.locator(".now .notes").is_visible()
    page.keyboard.press("n")
    assert page.locator(".now .notes").is_visible()
    page.keyboard.press("n")
    narrow = page.locator(".now img").bounding_box()["width"]
    page.keyboard.press("z")
    assert page.locator(".now img").bounding_box()["width"] > narrow
    page.keyboard.press("End")
    last = place()
    assert last == page.locator(".slide").count()
    page.keyboard.press("Home")
    page.keyboard.press("PageDown")
    assert place() == 2
    page.keyboard.press("?")
    assert page.locator("dialog").is_visible()
    page.keyboard.press("Escape")
    with page.expect_popup() as popup:
        page.keyboard.press("s")
    speaker = popup.value
    speaker.wait_for_selector(".now .notes")
    speaker.keyboard.press("ArrowRight")
    page.wait_for_function("document.querySelector('nav output').textContent.startsWith('3 of')")
    page.keyboard.press("ArrowRight")
    speaker.wait_for_function("document.querySelector('nav output').textContent.startsWith('4 of')")
    speaker.close()
    page.emulate_media(media="print")
    assert page.locator(".slide:visible").count() == last
    assert not page.locator("nav").is_visible()
    assert page.locator(".notes:visible").count() == 0
    assert troubles == []


def test_formulas_are_drawn(kit, visit):
    page, _ = visit(kit / "slides" / "02-zoo.html")
    page.wait_for_selector("mjx-container svg", state="attached")
    assert page.locator("mjx-container svg").count() == page.locator(".math").count()


@pytest.mark.parametrize("name", ["index", *(f"lessons/{name}" for name in (*LESSONS, "90-minutes", "week"))])
def test_what_a_teacher_reads_is_sound(kit, visit, name):
    for width in (1300, 390):
        page, troubles = visit(kit / f"{name}.html", width)
        assert page.evaluate("document.documentElement.scrollWidth - innerWidth") <= 0
        assert troubles == []
    for link in page.locator("a[href]").evaluate_all("found => found.map(a => a.getAttribute('href'))"):
        path, _, place = link.partition("#")
        target = (kit / f"{name}.html").parent / path
        assert target.is_file() or path == "book.pdf", link
        if place:
            assert (
                "figure" in BeautifulSoup(target.read_text(), "html.parser").select(".slide")[int(place) - 1]["class"]
            )


def test_two_pages_are_printed(smoke_book, tmp_path):
    if CHROMIUM is None:
        pytest.skip("there is no Chromium to print with (apt install chromium)")
    printing.print_pages("A book", "Told.", ["intro", "02-zoo"], smoke_book.html, tmp_path / "book.pdf")
    data = (tmp_path / "book.pdf").read_bytes()
    assert data.startswith(b"%PDF")
    assert data.rstrip().endswith(b"%%EOF")
    pages = data.count(b"/Type /Page\n")
    numbers = printing.page_numbers(data)
    assert (numbers["intro"], numbers["02-zoo"] < pages) == (3, True)  # after the title and the contents
    page = BeautifulSoup((smoke_book.html / "02-zoo.html").read_text(), "html.parser")
    for solution in page.select(".solution"):
        solution.decompose()
    assert data.count(b"/Subtype /Image") >= len(page.select("article figure img"))
    assert [path.name for path in tmp_path.iterdir()] == ["book.pdf"]
