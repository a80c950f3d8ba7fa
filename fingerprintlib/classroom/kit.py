"""All that a teacher needs in one folder: notebooks, slides, lesson plans, the book for paper and for a stick."""

import json
import shutil
import sys
from collections.abc import Iterator
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import Any

import nbformat

from .. import __version__
from ..book.chapters import Book, Chapter
from ..book.claims import load_claims
from ..book.downloads import notebook_of
from ..book.memory import PAGES
from ..book.timings import build_folder, minutes, published_timings, timings
from ..errors import FingerprintsError, UsageError
from ..progress import progress_over
from ..store import held, put_in_place, unfinished
from ..tables import markdown
from .case import SHEETS, Pool, any_seed, make_cases, shipped_pools, write_case
from .deck_of_lesson import images_of_sources, slides_of_lesson
from .handing_out import without_solutions
from .lessons import FOLDER, Facts, lesson
from .printing import print_pages, reading_order, zip_pages
from .slides import Slide, deck, slides_of

OF_NOTEBOOKS = "quick"  # the profile whose values stand in the notebooks: what students run takes as long as that
EXHIBITS = 60  # of the blind case
HANDED_OUT = ("worksheet", "worksheet-expert", "case-teacher", "swap")  # the sheets that stand beside the plans
STICK = "gan-fingerprints"  # the folder that is in the zip file


def make_kit(book: Book, profile: str) -> Path:
    """Make ``_build/class`` of the built book; returns its ``index.html``. A kit that is there is replaced at the end.

    Raises:
        UsageError: the book is not built at that profile, or a chapter has changed since.
    """
    build = build_folder(book, profile)
    again = "make book" if profile == OF_NOTEBOOKS else f"make book PROFILE={profile}"
    if not (build / PAGES).is_file():
        raise UsageError(f"There are no pages of the profile {profile!r} yet: run `{again}` first.")
    folder = book.root / "_build" / "class"
    with held(folder):
        new = unfinished(folder)
        shutil.rmtree(new, ignore_errors=True)  # of one that was killed
        try:
            kit = _Kit(book, profile, build, new)
            kit.require_current(again)
            for part in (kit.notebooks, kit.slides, kit.lessons, kit.case, kit.zipped, kit.printed):
                part()
            kit.index()
            put_in_place(folder)
        finally:
            shutil.rmtree(new, ignore_errors=True)
    return folder / "index.html"


class _Kit:
    """A kit in the making. Each part writes its files, and notes in `contents` what lies where."""

    def __init__(self, book: Book, profile: str, build: Path, folder: Path):
        self.book, self.profile, self.build, self.folder = book, profile, build, folder
        self.pages = build / "html"
        self.chapters = [chapter for chapter in book.chapters if chapter.path.stem[0].isdigit()]
        self.contents: dict[str, str] = {}

    def require_current(self, again: str) -> None:
        """Refuse to put together what does not belong together: texts, and the pages of other texts."""
        for chapter in self.chapters:
            built = self.build / "staged" / "notebooks" / f"{chapter.path.stem}.ipynb"
            now = nbformat.writes(notebook_of(chapter, chapter.path.parent))
            if not built.is_file() or built.read_text(encoding="utf-8") != now:
                raise UsageError(f"{chapter.path.name} has changed since the pages were built: run `{again}`.")

    def notebooks(self) -> None:
        for chapter in self._chapters("notebooks"):
            self._write(f"students/{chapter.path.stem}.ipynb", self._notebook(chapter, solutions=False))
            self._write(f"solutions/{chapter.path.stem}.ipynb", self._notebook(chapter))
        self.contents["`students/`"] = "a notebook for each chapter, without solutions."
        self.contents["`solutions/`"] = "the same with solutions, which were run when the book was built."

    def slides(self) -> None:
        for chapter in self._chapters("slides"):
            self._write(f"slides/{chapter.path.stem}.html", deck(chapter.title, self._decks[chapter.name], self.pages))
        for name, slides in self._lessons.items():
            self._write(f"slides/{name}.html", deck(slides[0].title, slides, self.pages))
            self.contents[f"[slides/{name}.html](slides/{name}.html)"] = f"the slides of one lesson: {slides[0].title}"
        self.contents["`slides/`"] = "a deck for each chapter, with notes for the speaker. Press `?` for the keys."

    def lessons(self) -> None:
        plans = [path for path in sorted(FOLDER.glob("*.md")) if path.stem != "index"]
        for path in [*plans, *(SHEETS / f"{name}.md" for name in HANDED_OUT)]:
            self._write(f"lessons/{path.stem}.html", lesson(path, replace(self._facts, own=path.stem)))
            title = path.read_text(encoding="utf-8").partition("\n")[0].removeprefix("# ")
            self.contents[f"[lessons/{path.stem}.html](lessons/{path.stem}.html)"] = title

    def case(self) -> None:
        """A blind case that nobody has met, since its seed is kept nowhere."""
        seed, pools = self._pools
        ((key, exhibits),) = make_cases(pools, EXHIBITS, seed)
        write_case(self.folder / "case", self.folder / "case.key.json", key, exhibits)
        self.contents["`case/`"] = f"a blind case: {EXHIBITS} images, and a report to fill in. Hand it out."
        self.contents["`case.key.json`"] = "its key, for `fingerprints grade`. Keep it."

    def zipped(self) -> None:
        notebooks = {f"{c.path.stem}.ipynb": self._notebook(c, solutions=False) for c in self.book.chapters}
        zip_pages(self.pages, self.folder / "book-without-solutions.zip", STICK, without_solutions(notebooks))
        zip_pages(self.pages, self.folder / "book.zip", STICK)
        how = f"Unpack it, and open `{STICK}/index.html`."
        self.contents["`book-without-solutions.zip`"] = f"the book to hand out before the lesson, for a stick. {how}"
        self.contents["`book.zip`"] = "the same with solutions."

    def printed(self) -> None:
        first = self.book.pages[0]
        title, names = first.title, reading_order(self.pages, first.path.stem)
        told = f"They were built at the profile {self.profile}, by fingerprintlib {__version__}."
        try:
            print_pages(title, told, names, self.pages, self.folder / "book.pdf")
            self.contents["[book.pdf](book.pdf)"] = "the book for paper. It has no solutions: hand it out, too."
        except FingerprintsError as error:  # the rest is worth having
            print(error, file=sys.stderr)
            self.contents["`book.pdf`"] = str(error)

    def index(self) -> None:
        """The page that leads to all others."""
        self._write("index.html", lesson(FOLDER / "index.md", self._facts))

    @cached_property
    def _decks(self) -> dict[str, list[Slide]]:
        statements = {claim.id: claim.statement for claim in load_claims(self.book.root / "data" / "paper.yml")}
        return {c.name: slides_of(c, self.pages, statements) for c in self._chapters("pages")}

    @cached_property
    def _pools(self) -> tuple[str, list[Pool]]:
        seed = any_seed()
        return seed, shipped_pools(seed)

    @cached_property
    def _lessons(self) -> dict[str, list[Slide]]:
        """The decks of the lessons that have one."""
        facts = self._facts_without_lessons
        images = {"images": images_of_sources(self._pools[1], seed=0)}
        facts = replace(facts, texts={**facts.texts, **images})
        plans = {path.stem: path for path in sorted((FOLDER / "decks").glob("*.md"))}
        return {name: slides_of_lesson(path, FOLDER / path.name, facts) for name, path in plans.items()}

    @property
    def _facts(self) -> Facts:
        return replace(self._facts_without_lessons, lessons=self._lessons)

    @property
    def _facts_without_lessons(self) -> Facts:
        names = {chapter.name: chapter for chapter in self.chapters}
        metrics = {name: json.loads((self.build / "metrics" / f"{name}.json").read_text())["metrics"] for name in names}
        texts = {
            "profile": self.profile,
            "machine": self._timings["machines"].get(OF_NOTEBOOKS, "not measured yet"),
            "contents": "\n".join(f"- {what}: {told}" for what, told in self.contents.items()),
        }
        facts = Facts(names, self._decks, metrics, self._costs, texts)
        texts["chapters"] = markdown([_row(chapter, facts) for chapter in self.chapters])
        return facts

    @cached_property
    def _timings(self) -> dict[str, Any]:
        quick = build_folder(self.book, OF_NOTEBOOKS)
        measured = any(quick.glob("timings/*.json"))  # here
        return timings(self.book, quick, OF_NOTEBOOKS) if measured else published_timings(self.book)

    @cached_property
    def _costs(self) -> dict[str, float]:
        """Seconds that a notebook takes at its own settings, by chapter."""
        return {name: cost["seconds"] for name, cost in self._timings["profiles"].get(OF_NOTEBOOKS, {}).items()}

    def _notebook(self, chapter: Chapter, solutions: bool = True) -> str:
        cost = self._costs.get(chapter.name)
        told = f"{minutes(cost)} ({self._timings['machines'][OF_NOTEBOOKS]})" if cost else ""
        return str(nbformat.writes(notebook_of(chapter, chapter.path.parent, solutions, told)))

    def _chapters(self, what: str) -> Iterator[Chapter]:
        return progress_over(self.chapters, len(self.chapters), what, "chapters")

    def _write(self, name: str, text: str) -> None:
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")


def _row(chapter: Chapter, facts: Facts) -> dict[str, str]:
    stem = chapter.path.stem
    return {
        "": str(int(stem.partition("-")[0])),
        "Chapter": chapter.title,
        "Slides": f"[{len(facts.decks[chapter.name])} slides](slides/{stem}.html)",
        "For students": f"[notebook](students/{stem}.ipynb)",
        "With solutions": f"[notebook](solutions/{stem}.ipynb)",
        "Runs": facts.told("time", chapter.name, ""),
    }
