"""Every page of the built book, as a reader without a network sees it: from a folder, in a real browser."""

import pytest

from fingerprintlib.book.chapters import Book
from fingerprintlib.plots.style import NARROW, WIDTH

pytestmark = pytest.mark.browser

PAGES = ["intro", *[page.path.stem for page in Book().pages[1:]], "timings", "house", "search", "genindex"]


@pytest.fixture
def visit(browser, smoke_book):
    """Open a page; return it with what went wrong meanwhile."""
    page = browser.new_page()
    page.set_default_timeout(120_000)  # the machine may be busy
    troubles = []
    page.on("console", lambda message: troubles.append(message.text) if message.type == "error" else None)
    page.on("pageerror", lambda error: troubles.append(str(error)))
    page.on("request", lambda request: troubles.append(request.url) if not _is_local(request.url) else None)
    page.on("requestfailed", lambda request: troubles.append(f"failed: {request.url}"))

    def open_page(name):
        page.goto((smoke_book.html / f"{name}.html").as_uri(), wait_until="load")
        page.wait_for_timeout(200)  # for what scripts ask for; "networkidle" takes longer, and at times never comes
        return page, troubles

    yield open_page
    page.close()


def _is_local(url):
    return url.startswith(("file:", "data:", "blob:"))


@pytest.mark.parametrize("name", PAGES)
def test_page_is_sound(visit, name):
    page, troubles = visit(name)
    assert troubles == []
    images = page.eval_on_selector_all(
        "article img, .bd-article img",
        "found => found.map(i => ({src: i.src.slice(-60), alt: i.alt, width: i.naturalWidth, shown: i.clientWidth}))",
    )
    for image in images:
        assert image["width"] > 0, image
        assert image["shown"] > 0, image
        assert len(image["alt"]) > 15, image
    text = page.evaluate(
        "() => { const b = document.body.cloneNode(true);"
        " b.querySelectorAll('pre, code, script').forEach(c => c.remove()); return b.textContent; }"
    )
    for leftover in ("{eval", "{numref}", "{cite}", "{doc}", "{term}", "{{", "Traceback", "%|", "**"):
        assert leftover not in text, leftover
    overflow = page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth")
    assert overflow <= 0, "the page scrolls sideways"


def test_chapters_keep_their_contract(visit):
    for chapter in Book().chapters:
        page, _ = visit(chapter.path.stem)
        text = page.inner_text("article")
        for part in ("You will", "You need", "It costs"):
            assert part in text, f"{chapter.path.name} lacks {part!r}"
        first_figure = page.locator("article img").first.bounding_box()
        assert first_figure is not None
        assert first_figure["y"] < 1800, f"the first figure of {chapter.path.name} comes late"
        if not chapter.path.stem[0].isdigit():
            continue  # a page of reference teaches nothing and asks nothing
        for part in ("What could fool us", "Exercises", "Summary"):
            assert part in text, f"{chapter.path.name} lacks {part!r}"
        assert page.locator("div.admonition.exercise").count() >= 2
        assert page.locator("div.solution").count() == page.locator("div.admonition.exercise").count()


def test_the_keyboard_turns_the_knobs_of_the_gallery(visit):
    page, troubles = visit("gallery")
    widget = page.locator(".fp-knobs").filter(has=page.get_by_label("colour conditions"))  # the example among others
    steps, colours = widget.get_by_label("training steps"), widget.get_by_label("colour conditions")
    assert (steps.get_attribute("type"), colours.get_attribute("type")) == ("range", "range")
    curve, picture, words = (widget.locator(f".fp-{part}") for part in ("curve", "picture", "words"))

    def state():
        return [image.get_attribute(name) for image in (curve, picture) for name in ("src", "alt")]

    first = state()
    assert steps.get_attribute("aria-valuetext") == "steps = 100"
    steps.focus()
    page.keyboard.press("ArrowRight")
    second = state()
    assert all(one != other for one, other in zip(first, second, strict=True))
    assert steps.get_attribute("aria-valuetext") == "steps = 200"
    assert words.inner_text() == "At steps = 200, colours = grey. claim existence, %: 50.00 (45.00 to 54.00)."
    assert "50.00 (45.00 to 54.00) at 200" in second[1]
    page.keyboard.press("Tab")  # to the next slider
    page.keyboard.press("End")
    assert colours.get_attribute("aria-valuetext") == "colours = all"
    assert "60.00 (55.00 to 64.00) at 200" in curve.get_attribute("alt")
    assert "A square, number 3." in picture.get_attribute("alt")
    assert widget.locator(".fp-here").inner_text().split() == ["200", "all", "60.00", "(55.00", "to", "64.00)"]
    page.keyboard.press("Home")
    assert state() == second
    assert all(image.evaluate("i => i.complete && i.naturalWidth > 0") for image in (curve, picture))
    page.emulate_media(media="print")
    assert curve.is_visible()
    assert not steps.is_visible()
    assert troubles == []


def _letters(figure, inches):
    """How many of the page's pixels 9 points have in a figure that is drawn so wide."""
    return figure.locator("img").bounding_box()["width"] / (72 * inches) * 9


def test_on_a_telephone_letters_stay_readable_and_wide_tables_say_so(visit):
    page, _ = visit("16-claims")
    page.set_viewport_size({"width": 390, "height": 800})
    figure = page.locator("article div.cell_output figure").first
    assert _letters(figure, WIDTH) > 9
    assert figure.evaluate("f => f.scrollWidth > f.clientWidth && getComputedStyle(f).overflowX === 'auto'")
    assert "swipe" in figure.evaluate("f => getComputedStyle(f, '::before').content")
    assert figure.bounding_box()["width"] == 390  # from edge to edge
    assert page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth") <= 0
    ledger = page.locator("article .pst-scrollable-table-container").first.bounding_box()["width"]
    assert page.locator("article table th").nth(1).evaluate("head => head.getBoundingClientRect().right") < ledger
    code = page.locator("article div.cell:not(.tag_parameters) div.cell_input pre").last
    assert code.evaluate("pre => getComputedStyle(pre).whiteSpace") == "pre"
    table = page.locator("article .pst-scrollable-table-container").first
    assert "gradient" in table.evaluate("t => getComputedStyle(t).backgroundImage")
    colours = table.evaluate("t => [...t.querySelectorAll('td')].map(cell => getComputedStyle(cell).backgroundColor)")
    assert {colour.startswith("rgba(") for colour in colours} == {True}, "cells hide the shadow that says there is more"


def test_a_telephone_shows_narrow_figures_whole(visit):
    page, _ = visit("03-attribution")
    page.set_viewport_size({"width": 390, "height": 800})
    figure = page.locator("article div.cell_output figure:has(img.fp-narrow)").first
    assert _letters(figure, NARROW) > 9
    assert figure.evaluate("f => f.scrollWidth <= f.clientWidth")
    assert figure.evaluate("f => getComputedStyle(f, '::before').display") == "none"  # nothing is out of sight


def test_in_the_dark_figures_keep_their_colours_and_captions_can_be_read(visit):
    page, _ = visit("16-claims")
    page.evaluate("document.documentElement.dataset.theme = 'dark'")
    filters = page.eval_on_selector_all("article img", "found => found.map(image => getComputedStyle(image).filter)")
    assert set(filters) == {"none"}
    caption = page.locator("article figcaption .caption-text").first
    assert caption.evaluate("c => getComputedStyle(c).color") == page.locator("article p").first.evaluate(
        "p => getComputedStyle(p).color"
    )
    assert caption.evaluate("c => getComputedStyle(c).opacity") == "1"


def test_formulas_are_drawn(visit):
    page, _ = visit("02-zoo")
    page.wait_for_selector("mjx-container svg")
    assert page.locator("mjx-container svg").count() >= 4


def test_the_player_is_worked_by_its_buttons(visit):
    page, _ = visit("05-fingerprints")
    player = page.locator(".fp-player")
    step, back = (player.get_by_role("button", name=name) for name in ("Next", "Previous"))

    def shown():
        named = player.locator("tr.fp-best th").inner_text()
        return player.locator(".fp-place").inner_text(), player.locator("img").get_attribute("alt"), named

    step.click()  # which stops the animation too
    first = shown()
    step.press("Enter")
    second = shown()
    assert first[:2] != second[:2]
    assert second[2].removesuffix(" (true)") in player.locator(".fp-verdict").inner_text()
    assert ("right" in player.locator(".fp-verdict").inner_text()) == second[2].endswith("(true)")
    back.press("Space")
    assert shown() == first
    assert player.locator("tbody tr").count() == 5
    player.get_by_role("button", name="Play").click()
    page.wait_for_function("p => document.querySelector('.fp-place').textContent !== p", arg=first[0])


@pytest.mark.parametrize(
    ("name", "answers"), [("try-it", 2), ("03-attribution", 1), ("05-fingerprints", 1), ("11-attacks", 1)]
)
def test_networks_answer_on_the_page(visit, name, answers):
    page, troubles = visit(name)
    page.locator(".fp-try").scroll_into_view_if_needed()
    page.wait_for_selector(".fp-try[data-state=ready]")
    assert page.locator(".fp-answers strong").count() == answers
    page.get_by_role("button", name="image 2 of the source real").click()
    page.wait_for_selector(".fp-try[data-state=ready]")
    assert page.locator(".fp-try canvas").first.get_attribute("aria-label").startswith("an image of real")
    assert troubles == []


def test_search_works_without_a_network(visit, smoke_book):
    page, troubles = visit("search")
    page.goto((smoke_book.html / "search.html").as_uri() + "?q=fingerprint")
    page.wait_for_selector("ul.search li")
    assert "Attribution" in page.inner_text("#search-results")
    assert troubles == []
