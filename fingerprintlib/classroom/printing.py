"""The whole book as one document, for paper, and as one zip file, for a stick."""

import html
import re
import shutil
import subprocess
import time
import zipfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from string import Template
from tempfile import TemporaryDirectory
from typing import Any
from urllib.parse import urldefrag

from ..errors import FingerprintsError, one_line
from ..progress import progress, progress_over
from ..provenance import files_in
from .handing_out import Change
from .pages import article, words_of

TEMPLATE = Path(__file__).with_name("print.html")
BROWSERS = (
    *("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "microsoft-edge"),
    "/Applications/Google Chrome.app/Contents/MacOS/Google Chrome",
)
#: The browser does what it is asked to do and nothing else: it reaches for no network, and asks nobody anything.
QUIET = (
    *("--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"),
    *("--disable-background-networking", "--disable-component-update", "--disable-sync"),
)
NODE = re.compile(rb"^(\d+) 0 obj\n<</Type /Pages\n/Count \d+\n/Kids \[([^\]]*)\]", re.MULTILINE)  # of a PDF's pages
REFERENCE = re.compile(rb"(\d+) 0 R")
PLACE = re.compile(rb"/([\w.-]+) \[(\d+) 0 R /XYZ ")
NEXT = re.compile(r'<link rel="next"[^>]* href="([^"#]+)\.html"')  # in the head of a built page
LAST_CELL = "page.finish()"
SMALLER = ((85, "smaller"), (110, "smallest"))  # letters side by side from which a table is of that class
PACKED = (".png", ".webp", ".gz")  # what does not become smaller
FORMULAS = 120  # seconds of the page's own time in which its formulas are drawn
LOOK = 0.5  # seconds between two looks at the browser


def reading_order(pages: Path, first: str) -> list[str]:
    """The names of built pages in the order in which each leads to the next."""
    names = [first]
    while found := NEXT.search((pages / f"{names[-1]}.html").read_text(encoding="utf-8")):
        names.append(found[1])
    return names


def zip_pages(pages: Path, path: Path, name: str, change: Change | None = None) -> None:
    """Pack the built pages; unpacked, they are a folder of that name, and ``index.html`` in it opens in any browser.

    Args:
        pages: their folder.
        path: file to write.
        name: of the folder in it.
        change: what an edition leaves out or changes; pages are shown to it before pictures.
    """
    files = sorted(files_in(pages), key=lambda file: file.suffix != ".html")
    with zipfile.ZipFile(path, "w") as archive:
        for file in progress_over(files, len(files), path.name, "files"):
            how = zipfile.ZIP_STORED if file.suffix in PACKED else zipfile.ZIP_DEFLATED
            inside = file.relative_to(pages)
            if change is None:
                archive.write(file, Path(name, inside), how)
            elif (data := change(inside, file.read_bytes())) is not None:
                archive.writestr(Path(name, inside).as_posix(), data, how)


def print_pages(title: str, told: str, names: Sequence[str], pages: Path, path: Path) -> None:
    """Print built pages as one PDF file, by a browser without a window.

    Args:
        title: of the book.
        told: a sentence below it.
        names: of the pages, in reading order.
        pages: their folder.
        path: file to write.

    Raises:
        FingerprintsError: there is no browser that can, or it failed.
    """
    browser = next(filter(None, map(shutil.which, BROWSERS)), None)
    if browser is None:
        raise FingerprintsError(
            f"{path.name} is left out, for lack of a browser: install Chromium (`apt install chromium`), "
            "then run `make class` again."
        )
    # Not in /tmp: a Chromium that came as a snap has another one.
    with TemporaryDirectory(dir=path.parent, ignore_cleanup_errors=True) as folder:
        document, printed = Path(folder, "book.html"), Path(folder, "book.pdf")
        # No browser counts the pages of a link, so the contents learn their numbers from a first print.
        document.write_text(bound(title, told, names, pages), encoding="utf-8")
        to_pdf(browser, document, printed, "counting pages")
        numbers = page_numbers(printed.read_bytes())
        if numbers:
            document.write_text(bound(title, told, names, pages, numbers), encoding="utf-8")
            to_pdf(browser, document, printed)
        printed.replace(path)


def to_pdf(browser: str, document: Path, printed: Path, what: str = "printing") -> None:
    """Print a page of HTML.

    Args:
        browser: a Chromium.
        document: the page.
        printed: the PDF file to write.
        what: is done, for the bar.

    Raises:
        FingerprintsError: the browser failed.
    """
    with TemporaryDirectory(dir=printed.parent, ignore_cleanup_errors=True) as folder:
        command = [browser, *QUIET, f"--user-data-dir={folder}/profile", "--no-pdf-header-footer"]
        command += ["--generate-pdf-document-outline", f"--virtual-time-budget={1000 * FORMULAS}"]
        command += [f"--print-to-pdf={printed}", document.as_uri()]
        log = Path(folder, "browser.log")
        with open(log, "wb") as sink, progress(1, what, "document") as bar:
            process = subprocess.Popen(command, stdout=sink, stderr=sink)
            try:
                while process.poll() is None:
                    bar.refresh()
                    time.sleep(LOOK)
            finally:
                process.kill()  # interrupted, it may be there; what it started ends with it
                process.wait()
        if process.returncode or not printed.is_file():
            last = (log.read_text(errors="replace").strip().splitlines() or ["it did not say why"])[-1]
            raise FingerprintsError(f"{printed.name} is left out, as {browser} failed: {one_line(last)}")


def page_numbers(pdf: bytes) -> dict[str, int]:
    """The number of the page, from 1, that each named place of a PDF file is on; nothing if they cannot be found.

    It reads files as Chromium writes them, in which all but the streams is plain text.
    """
    nodes = {int(number): [int(kid) for kid in REFERENCE.findall(kids)] for number, kids in NODE.findall(pdf)}

    def leaves(number: int) -> list[int]:
        return [leaf for kid in nodes[number] for leaf in leaves(kid)] if number in nodes else [number]

    roots = nodes.keys() - {kid for kids in nodes.values() for kid in kids}
    order = {page: count for count, page in enumerate((leaf for root in roots for leaf in leaves(root)), 1)}
    places = {place.decode(): int(page) for place, page in PLACE.findall(pdf)}
    return {place: order[page] for place, page in places.items() if page in order}


def bound(title: str, told: str, names: Sequence[str], pages: Path, numbers: Mapping[str, int] | None = None) -> str:
    """Built pages as one page of HTML, with a title page and contents; links between them lead to places in it.

    Pictures and style sheets stay where they are: it is to be printed, not kept. Left out is what the pages fold, which
    solutions are, too.

    Args:
        title, told, names, pages: see `print_pages`.
        numbers: of the printed pages on which they begin, by name, as far as that is known.
    """
    contents, chapters = [], []
    for name in progress_over(names, len(names), "binding the pages", "pages"):
        found = article(pages / f"{name}.html")
        for tag in [*found.select("details, .solution"), *_endings(found)]:
            tag.decompose()
        for table in found.select("table"):
            table["class"] = [*table.get("class", []), *_width(table)]
        _rebase(found, name, names, pages)
        number = found.h1.select_one(".section-number")
        heading = f"{number.get_text() if number else ''}{words_of(found.h1)}"
        on = f"<span>{numbers[name]}</span>" if numbers and name in numbers else ""
        contents.append(f'<li><a href="#{name}">{heading}</a>{on}</li>')
        chapters.append(f'<div class="chapter" id="{name}">{found}</div>')
    template = Template(TEMPLATE.read_text(encoding="utf-8"))
    return template.substitute(
        title=html.escape(title),
        told=html.escape(told),
        home=f"{pages.as_uri()}/",
        contents="\n".join(contents),
        chapters="\n".join(chapters),
    )


def _endings(found: Any) -> list[Any]:
    """Cells that only tell the build that a chapter is finished: they would have a page to themselves."""
    return [cell for cell in found.select("div.cell") if cell.get_text().strip() == LAST_CELL]


def _width(table: Any) -> list[str]:
    """How small the letters of a table have to be, by the longest words that stand side by side."""
    rows = [row.select("td, th") for row in table.select("tr")]
    columns: dict[int, int] = {}
    for cells in rows:
        for place, cell in enumerate(cells):
            words = (len(word) for word in re.split(r"[\s-]+", cell.get_text()))
            columns[place] = max(columns.get(place, 0), *words)
    letters = sum(columns.values()) + 2 * len(columns)
    return [name for least, name in SMALLER if letters >= least]


def _rebase(found: Any, name: str, names: Sequence[str], pages: Path) -> None:
    """Make all ids of a page the page's own, and have links and pictures find what they mean."""
    for tag in found.select("[id]"):
        tag["id"] = f"{name}--{tag['id']}"
    for image in found.select("img[src]"):
        if "://" not in image["src"] and not image["src"].startswith("data:"):
            image["src"] = f"{pages.as_uri()}/{image['src']}"
    for link in found.select("a[href]"):
        target, fragment = urldefrag(link["href"])
        if "://" in target:
            continue
        page = target.removesuffix(".html") or name
        if page in names:
            link["href"] = f"#{page}--{fragment}" if fragment else f"#{page}"
        else:
            link.unwrap()
