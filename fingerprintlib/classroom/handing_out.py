"""The book that is handed out before a lesson: no solutions on its pages, in their sources, or in its notebooks."""

from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import unquote

SOLUTIONS = ".solution"
SOURCES = "_sources"  # the folder of the pages' texts, solutions among them; pages link to it
PICTURES = "_images"

#: From the path of a file in the built book and its bytes to those in the edition; None leaves the file out.
Change = Callable[[Path, bytes], bytes | None]


def without_solutions(notebooks: Mapping[str, str]) -> Change:
    """What to change in the built pages, file by file, pages before pictures.

    Args:
        notebooks: without solutions, by file name; they take the place of those that pages offer to download.
    """
    seen: set[str] = set()  # pictures that a page shows
    hidden: set[str] = set()  # those that solutions show

    def change(path: Path, data: bytes) -> bytes | None:
        if path.parts[0] == SOURCES:
            return None
        if path.suffix == ".html":
            from bs4 import BeautifulSoup  # here, as `fingerprints --help` need not wait for it

            page = BeautifulSoup(data, "html.parser")
            solutions = page.select(SOLUTIONS)
            hidden.update(_pictures(solutions))
            for tag in [*solutions, *page.select(f'a[href^="{SOURCES}/"]')]:
                tag.decompose()
            seen.update(_pictures([page]))
            return str(page).encode()
        if path.suffix == ".ipynb":
            return notebooks[path.name].encode() if path.name in notebooks else None
        if path.parts[0] == PICTURES and path.as_posix() in hidden - seen:
            return None
        return data

    return change


def _pictures(tags: Iterable[Any]) -> set[str]:
    return {unquote(image["src"]) for tag in tags for image in tag.select("img[src]")}
