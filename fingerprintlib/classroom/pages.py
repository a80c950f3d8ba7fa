"""The built pages as others of their parts: their articles, what is in them, and their pictures as data."""

import copy
import html
import io
import mimetypes
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

from PIL import Image

from ..book.widgets import data_url

#: What only a page in a browser has a use for: anchors, scripts, offers to download or to unfold.
ONLY_ON_PAGES = ".headerlink, script, noscript, button, .reference.download"
KEPT = ("href", "src", "alt", "colspan", "rowspan")  # of what the tags of a page say
CLASSES = ("math", "text-right")  # the first is where MathJax looks


def article(page: Path) -> Any:
    """The article of a built page, a ``bs4.Tag``, without what only a page in a browser has a use for."""
    from bs4 import BeautifulSoup  # here, as `fingerprints --help` need not wait for it

    (found,) = BeautifulSoup(page.read_text(encoding="utf-8"), "html.parser").select("article.bd-article")
    for tag in found.select(ONLY_ON_PAGES):
        tag.decompose()
    return found


def words_of(tag: Any) -> str:
    """The words of a heading, without its number, as HTML."""
    text = " ".join(piece for piece in tag.find_all(string=True) if not piece.find_parent(class_="section-number"))
    return html.escape(" ".join(text.split()))


def block(tag: Any) -> str:
    """A part of an article as HTML that can stand anywhere: see `inside`."""
    formula = ' class="math"' if "math" in tag.get("class", []) else ""
    return f"<{tag.name}{formula}>{inside(tag)}</{tag.name}>"


def inside(tag: Any) -> str:
    """What is in a part of an article, as HTML that can stand anywhere: no ids, no links into the book but titles."""
    part = copy.copy(tag)  # a deep one, which is not of the page
    for link in part.select("a"):
        if "://" in link.get("href", ""):
            continue
        if link.get("href", "").endswith(".html"):  # the title of a page
            link.name, link.attrs = "i", {}
        else:
            link.unwrap()
    for each in part.find_all(True):
        classes = [name for name in each.get("class", []) if name in CLASSES]
        each.attrs = {name: each[name] for name in KEPT if name in each.attrs}
        each.attrs |= {"class": classes} if classes else {}
    return part.decode_contents().strip()


def picture(page: Path, image: Any) -> str:
    """An ``<img>`` of a page with the picture in it; its style has the ratio of width to height, if that is known."""
    path = page.parent / unquote(urlsplit(image["src"]).path)
    kind = mimetypes.guess_type(path.name)[0] or "image/png"
    data = path.read_bytes()
    style = ""
    if kind != "image/svg+xml":
        width, height = Image.open(io.BytesIO(data)).size
        style = f' style="--ratio: {width / height:.3f}"'
    return f'<img alt="{html.escape(image["alt"])}" src="{data_url(data, kind.removeprefix("image/"))}"{style}>'
