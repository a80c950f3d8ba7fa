"""The slides of a chapter, one HTML file made from its built page; what that says around a figure is for the speaker.

A deck has the title, what is learned, the question, every figure, the short tables, the verdicts, the warnings, the
exercises and the summary. Pictures, formulas and script are inside, so it works from a folder, without a network.
"""

import copy
import html
import math
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from string import Template
from typing import Any

from ..book.chapters import Chapter
from .pages import article, block, inside, picture, words_of

MOST_ROWS = 13  # of a table in a deck, its head among them
LINE, MOST_LINES = 100, 11  # letters of a table that a slide has room for side by side, and lines below its head
TEMPLATE = Path(__file__).with_name("deck.html")
MATHJAX = Path("_static", "mathjax", "tex-svg.js")  # in the folder of the pages
AIMS = re.compile(r"<strong>(You will|You need|It\s+costs)</strong>")  # the parts of a page's first paragraph
SHOWN = "figure, table:not(.fp-widget *), .cell_output p:not(figure *, table *)"  # what of a cell a deck may show
CHAPTER = re.compile(r"(\d+)-[\w-]+\.html$")  # a link to one
LEAD = 330  # letters above the question
VERDICT = "Here:"  # how a verdict begins: see `claims.Measurement.sentence`


@dataclass
class Slide:
    """One slide; all texts are HTML.

    Attributes:
        title: its head.
        body: what everybody sees.
        kind: how it looks: ``figure``, ``question``, ...
        notes: what the speaker sees.
        label: of the figure on it, ``fig-confusion`` for example.
        number: of the figure: ``Fig. 3.8``.
        section: of the page that it belongs to.
    """

    title: str
    body: str
    kind: str
    notes: list[str] = field(default_factory=list)
    label: str = ""
    number: str = ""
    section: str = ""


def deck(title: str, slides: list[Slide], pages: Path) -> str:
    """Slides as a page of HTML.

    Args:
        title: of the chapter.
        slides: from `slides_of`.
        pages: the folder of the built pages, which has MathJax.
    """
    shown = "\n".join(_section(slide, place, len(slides)) for place, slide in enumerate(slides, 1))
    formulas = ""
    if 'class="math"' in shown:
        formulas = (pages / MATHJAX).read_text(encoding="utf-8").replace("</script", "<\\/script")
    template = Template(TEMPLATE.read_text(encoding="utf-8"))
    return template.substitute(title=html.escape(title), slides=shown, formulas=formulas)


def _section(slide: Slide, place: int, count: int) -> str:
    lines = [f'<section class="slide {slide.kind}" aria-label="Slide {place} of {count}">']
    lines += [f"<h2>{slide.title}</h2>", f'<div class="body">{slide.body}</div>']
    if slide.notes:
        lines += ['<aside class="notes" aria-label="Speaker notes">', *slide.notes, "</aside>"]
    return "\n".join([*lines, "</section>"])


def slides_of(chapter: Chapter, pages: Path, statements: Mapping[str, str]) -> list[Slide]:
    """What a deck of a chapter shows.

    Args:
        chapter: a numbered one.
        pages: the folder of the built pages.
        statements: what the paper states, by claim.
    """
    page = pages / f"{chapter.path.stem}.html"
    number = int(chapter.path.stem.partition("-")[0])
    made = _Deck(Slide(html.escape(chapter.title), f"<p>GAN Fingerprints, chapter {number}</p>", "first"))
    for kind, tag in _parts(article(page).section):
        if kind == "heading":
            made.begin(words_of(tag), new_section=tag.name == "h2")
        elif kind == "aims":
            made.add(_aims(tag))
        elif kind == "figure":
            made.add(_figure(made.heading, page, tag))
        elif kind == "table":
            if len(tag.select("tr")) <= MOST_ROWS:
                for part in _parts_of_table(tag):
                    made.add(Slide(made.heading, f'<div class="wide">{block(part)}</div>', "table"))
        elif kind == "verdict":
            made.join(Slide("Does it hold here?", _verdict(tag, statements), "verdict"))
        elif kind == "box":
            made.add(_box(tag, f"solutions/{chapter.path.stem}.ipynb"))
        elif made.section == "Summary":
            made.join(Slide("Summary", block(tag), "summary"))
        else:
            made.tell(block(tag))
            if question := tag.find("strong", string=lambda text: text and text.strip().endswith("?")):
                made.ask(inside(question), _before(question))
    made.end_section()
    return made.slides


def _parts(section: Any) -> Iterator[tuple[str, Any]]:
    """What a section of a page consists of, in order: kind and tag. Code and solutions are no part of a deck."""
    for child in section.find_all(True, recursive=False):
        classes = child.get("class", [])
        if child.name == "section":
            yield from _parts(child)
        elif child.name in ("h2", "h3"):
            yield "heading", child
        elif child.name in ("p", "ul", "ol", "dl") or "math" in classes:
            yield "aims" if AIMS.match(child.decode_contents()) else "prose", child
        elif "solution" in classes or child.name == "details":
            continue
        elif "admonition" in classes:
            yield "box", child
        elif child.name == "figure":
            yield "figure", child
        else:  # a cell, most likely
            for shown in child.select(SHOWN):
                if shown.name != "p":
                    yield shown.name, shown
                elif shown.strong and shown.strong.text.startswith(VERDICT):
                    yield "verdict", shown


class _Deck:
    """Slides in the making: whatever is told goes with the next slide of its section, or else with the last one."""

    def __init__(self, first: Slide):
        self.slides = [first]
        self.heading, self.section = first.title, ""
        self._told: list[str] = []

    def begin(self, heading: str, new_section: bool) -> None:
        if new_section:
            self.end_section()
            self.section = heading
        self.heading = heading
        self._drop_heading()
        self._told.append(f"<h4>{heading}</h4>")

    def tell(self, words: str) -> None:
        self._told.append(words)

    def add(self, slide: Slide) -> None:
        self._drop_heading()
        slide.notes, slide.section = self._told + slide.notes, self.section
        self._told = []
        self.slides.append(slide)

    def join(self, slide: Slide) -> None:
        """Add to the last slide if that is of the same kind."""
        if self.slides[-1].kind == slide.kind:
            self.slides[-1].body += slide.body
        else:
            self.add(slide)

    def ask(self, words: str, lead: str) -> None:
        """The question of the chapter is the first that it asks; what leads to it stands above."""
        if not any(slide.kind == "question" for slide in self.slides):
            above = f'<p class="lead">{lead}</p>' if lead else ""
            self.add(Slide("The question", f"{above}<p>{words[0].upper()}{words[1:]}</p>", "question"))

    def end_section(self) -> None:
        if self.slides[-1].section == self.section:
            self._drop_heading()
            self.slides[-1].notes += self._told
            self._told = []

    def _drop_heading(self) -> None:
        """One under which nothing was told."""
        if self._told and self._told[-1].startswith("<h4>"):
            self._told.pop()


def _before(question: Any) -> str:
    """What a paragraph says before its question, as HTML: the last sentences, as far as a slide has room for them."""
    paragraph = copy.copy(question.parent)
    found = paragraph.find("strong", string=question.string)
    for tag in [*found.next_siblings, found]:
        tag.extract()
    if len(paragraph.get_text()) <= LEAD:
        return inside(paragraph)
    sentences = re.split(r"(?<=[.?!])\s+", paragraph.get_text().strip())
    while len(sentences) > 1 and len(" ".join(sentences)) > LEAD:
        sentences.pop(0)
    return html.escape(" ".join(sentences)) if len(" ".join(sentences)) <= LEAD else ""


def _aims(tag: Any) -> Slide:
    """What one will do, and what one needs, for all to see; what it costs, for the speaker."""
    named = copy.copy(tag)
    for link in named.select("a[href]"):
        if number := CHAPTER.match(link["href"]):
            link.append(f" (chapter {int(number[1])})")
    _, *pieces = AIMS.split(inside(named))
    told = {" ".join(aim.split()): piece.strip() for aim, piece in zip(pieces[::2], pieces[1::2], strict=True)}
    cost = told.pop("It costs", "")
    body = "".join(f"<dt>{aim}</dt><dd>{piece}</dd>" for aim, piece in told.items())
    return Slide("What you will do", f"<dl>{body}</dl>", "aims", [f"<p>To run the chapter costs {cost}</p>"])


def _parts_of_table(table: Any) -> Iterator[Any]:
    """A table in parts that a slide has room for, each with its head; one row at least, however long it is."""
    rows = table.select("tr")[1:]  # below the head
    lines = [math.ceil(len(" ".join(row.get_text(" ").split())) / LINE) for row in rows]
    first = 0
    while first < len(rows):
        last = first + 1
        while last < len(rows) and sum(lines[first : last + 1]) <= MOST_LINES:
            last += 1
        part = copy.copy(table)  # a deep one
        for place, row in enumerate(part.select("tr")):
            if place and not first < place <= last:
                row.decompose()
        yield part
        first = last


def _figure(heading: str, page: Path, tag: Any) -> Slide:
    image, caption = tag.img, tag.figcaption
    number = caption.select_one(".caption-number").extract().get_text(strip=True)
    told = f"<p><i>What it shows, in words:</i> {html.escape(image['alt'])}</p>"
    shown = f"<figcaption><b>{number}</b> {inside(caption.p)}</figcaption>"
    return Slide(heading, f"<figure>{picture(page, image)}{shown}</figure>", "figure", [told], tag["id"], number)


def _verdict(tag: Any, statements: Mapping[str, str]) -> str:
    """The paper's statement, and what was found."""
    claim = tag.code.get_text() if tag.code else ""
    stated = f"<blockquote>{html.escape(statements[claim])}</blockquote>" if claim in statements else ""
    return stated + block(tag)


def _box(tag: Any, solutions: str) -> Slide:
    """A warning, or an exercise."""
    title = words_of(tag.select_one(".admonition-title").extract())
    notes = [f"<p>A solution stands in <code>{solutions}</code>.</p>"] if "exercise" in tag["class"] else []
    return Slide(title, inside(tag), "box", notes)
