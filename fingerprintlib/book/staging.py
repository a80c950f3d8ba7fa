"""From executed notebooks and the present texts to the pages: staged for Jupyter Book, then built."""

import copy
import errno
import json
import re
import shutil
import subprocess
import sys
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

import nbformat

from .. import __version__
from ..codehash import same_meaning
from ..ending import FIRST
from ..errors import BookError, FingerprintsError, one_line
from ..provenance import write_atomically
from ..store import put_in_place, unfinished
from . import house
from .chapters import Book, Chapter
from .claims import ledger, load_claims
from .downloads import notebook_of
from .parameters import PARAMETER_LINE, lines_of
from .prose import filled, in_words, typeset
from .published import Published, verdicts
from .timings import cost, timings, timings_page


def merge(
    chapter: Chapter,
    text: Any,
    executed: Any,
    values: Mapping[str, Any],
    profile: str,
    record: Mapping[str, Any],
    costs: Mapping[str, Any],
    published: Published | None = None,
) -> None:
    """Put the executed cells' outputs into the notebook `text`, in place, and make it a page.

    The parameters cell shows the values that were used; figures get their alternative texts; numbers are put into the
    prose (see `prose`), and the measured cost for ``{{ cost }}``; what the page was built with is told at its end. What
    the published run found stands beside what was found here, unless that is the very same run.

    Raises:
        FingerprintsError: code cells differ; then the chapter has to run again.
    """
    ran = [
        c for c in executed.cells if c.cell_type == "code" and "injected-parameters" not in c.metadata.get("tags", [])
    ]
    cells = [cell for cell in text.cells if cell.cell_type == "code"]
    if len(cells) != len(ran) or not all(map(_same, cells, ran)):
        raise FingerprintsError(f"The code of {chapter.path.name} has changed since it ran: run it again.")
    for cell, done in zip(cells, ran, strict=True):
        cell.outputs, cell.execution_count = done.outputs, done.execution_count
        _describe_image(cell)
        if published:
            _tell_claims(cell, published)
        _typeset(cell)
        if "parameters" in cell.metadata.get("tags", []):
            cell.source = "\n".join(_with_value(line, values) for line in lines_of(cell.source))
    for index, cell in enumerate(text.cells):
        cell.id = f"{chapter.name}-{index}"  # random ids would make every page look new to Sphinx
        if cell.cell_type == "markdown":
            words = _substituted(cell.source, {"cost": cost(chapter.name, costs)})
            cell.source = typeset(filled(words, partial(in_words, record["metrics"])))
    text.cells[0].source += f"\n\n{_offer(chapter)}"
    told = published.beside(chapter.name, record["metrics"]) if published else ""
    stamp = f"{told}\n\n{_stamp(values, profile, record)}"
    text.cells.append(nbformat.v4.new_markdown_cell(stamp.lstrip(), id=f"{chapter.name}-stamp"))


def _offer(chapter: Chapter) -> str:
    """The page as a notebook, for whoever wants to run it elsewhere: see `downloads`."""
    return f"{{download}}`This page as a notebook <notebooks/{chapter.path.stem}.ipynb>`"


def _substituted(text: str, words: Mapping[str, str]) -> str:
    """The text with words in the place of ``{{ name }}``."""
    for name, word in words.items():
        text = text.replace(f"{{{{ {name} }}}}", word)
    return text


def _same(cell: Any, ran: Any) -> bool:
    """Whether the cell means what ran. Of parameters the values count, which both were given."""
    return "parameters" in cell.metadata.get("tags", []) or same_meaning(cell.source, ran.source)


def _describe_image(cell: Any) -> None:
    """Hand to MyST-NB, which reads it off the cell, what came with the figure: its alternative text, and its width."""
    for told in (output.get("metadata", {}) for output in cell.outputs):
        if alt := told.get("alt"):
            image = {"alt": alt} | ({"classes": "fp-narrow"} if told.get("narrow") else {})
            cell.metadata.setdefault("mystnb", {}).setdefault("image", {}).update(image)


def _tell_claims(cell: Any, published: Published) -> None:
    """Let what the published run found for a claim follow what was found here."""
    for output in cell.outputs:
        if claim := output.get("metadata", {}).get("claim"):
            output["data"]["text/markdown"] += f" {published.sentence(claim)}"


def _typeset(cell: Any) -> None:
    """Set tables, and what else is Markdown, as the prose: see `prose.typeset`."""
    for output in cell.outputs:
        if words := output.get("data", {}).get("text/markdown"):
            output["data"]["text/markdown"] = typeset(words)


def _with_value(line: str, values: Mapping[str, Any]) -> str:
    match = PARAMETER_LINE.match(line)
    if not match or match["name"] not in values:
        return line
    return f"{line[: match.start('default')]}{values[match['name']]!r}{line[match.end('default') :]}"


def _stamp(values: Mapping[str, Any], profile: str, record: Mapping[str, Any]) -> str:
    rows = [("Profile", f"`{profile}`"), ("Library", f"fingerprintlib {__version__}"), ("Device", record["device"])]
    rows += [(f"Parameter `{name}`", f"`{value!r}`") for name, value in values.items()]
    rows += [(f"Artifact `{name}`", f"`{digest[:12]}`") for name, digest in record["artifacts"].items()]
    lines = "\n".join("| {} | {} |".format(name, str(value).replace("|", "\\|")) for name, value in rows)
    return f":::{{dropdown}} What this page was built with\n\n| | |\n|-|-|\n{lines}\n\n:::"


def build_pages(book: Book, profile: str, overrides: Mapping[str, Mapping[str, Any]], build: Path) -> None:
    """Stage the texts with their executed outputs and turn them into HTML; warnings are errors.

    Raises:
        BookError: Sphinx found something wrong; the message has its first words.
    """
    staged = build / "staged"
    _stage(book, profile, overrides, build, staged)
    # First for what it sets before others are imported. No garbage is looked for: among the nodes of all pages there is
    # little, and it would take a fifth of the time.
    start = FIRST + "import fingerprintlib.book, gc; gc.disable(); "
    command = [sys.executable, "-c", start + "from jupyter_book.cli.main import main; main()"]
    command += ["build", str(staged), "--path-output", str(build / "sphinx")]
    command += ["--config", str(book.root / "_config.yml"), "--toc", str(book.root / "book" / "_toc.yml")]
    command += ["-W", "-n", "--keep-going", "--quiet"]
    log = build / "sphinx.log"
    with open(log, "wb") as sink:
        status = subprocess.run(command, cwd=book.root, stdout=sink, stderr=subprocess.STDOUT).returncode
    if status:
        said = log.read_text(errors="replace")
        if "Errno 28" in said:
            raise OSError(errno.ENOSPC, "No space left on device", str(build))
        told = [line for line in said.splitlines() if re.search(r"WARNING|ERROR|Error", line)]
        first = (told or said.splitlines()[-1:] or ["nothing was said"])[0]
        raise BookError(f"The pages did not build: {one_line(first)} All of it: {log}")
    pages = build / "html"
    shutil.rmtree(unfinished(pages), ignore_errors=True)
    shutil.copytree(build / "sphinx" / "_build" / "html", unfinished(pages))
    put_in_place(pages)


def _stage(book: Book, profile: str, overrides: Mapping[str, Mapping[str, Any]], build: Path, staged: Path) -> None:
    """Write every page as Jupyter Book shall read it. Unchanged files are left alone, so Sphinx skips them."""
    costs = timings(book, build, profile)
    published = Published.load(book.root / "data" / "results")
    words = _verdicts(book, build, published)
    if published and published.profile == profile:
        published = None  # this is that run, or its like
    chapters = {chapter.path: chapter for chapter in book.chapters}
    wanted: set[Path] = set()
    for path in book.page_files:
        relative = path.relative_to(book.root / "book")
        if chapter := chapters.get(path):
            values = book.values(chapter.name, profile, overrides.get(chapter.name))
            text = copy.deepcopy(chapter.notebook)
            executed = nbformat.read(build / "executed" / f"{chapter.name}.ipynb", 4)
            record = json.loads((build / "metrics" / f"{chapter.name}.json").read_text())
            merge(chapter, text, executed, values, profile, record, costs, published)
            data = nbformat.writes(text).encode()
            target = staged / relative.with_suffix(".ipynb")
            offered = staged / "notebooks" / f"{path.stem}.ipynb"
            _write_if_changed(offered, nbformat.writes(notebook_of(chapter, path.parent)).encode())
            wanted.add(offered)
        elif path.suffix == ".md":
            data, target = _substituted(path.read_text(encoding="utf-8"), words).encode(), staged / relative
        else:
            data, target = path.read_bytes(), staged / relative
        _write_if_changed(target, data)
        wanted.add(target)
    for path in _for_browsers(build):
        _write_if_changed(staged / "_assets" / path.name, path.read_bytes())
        wanted.add(staged / "_assets" / path.name)
    _write_if_changed(staged / "timings.md", timings_page(book.chapters, costs).encode())
    wanted.add(staged / "timings.md")
    if "house" in book.contents:
        wanted.update(_house(staged))
    for path in staged.rglob("*"):
        if path.is_file() and path not in wanted:
            path.unlink()


def _house(staged: Path) -> tuple[Path, Path]:
    """Where the page on the library's rooms is, and its figure. To draw it takes seconds, so it is kept."""
    text, figure = staged / "house.md", staged / "house.png"
    made_from = f"% {house.recipe()}\n"
    if not (figure.is_file() and text.is_file() and text.read_text(encoding="utf-8").startswith(made_from)):
        words, drawn = house.house_page()
        write_atomically(figure, drawn)
        write_atomically(text, f"{made_from}{words}".encode())  # last: what it says is there then
    return text, figure


def _for_browsers(build: Path) -> list[Path]:
    """What the chapter `try-it` left for the reader's browser: see `browser.write_scripts`."""
    made = build / "browser.json"
    folder = json.loads(made.read_text(encoding="utf-8"))["folder"] if made.is_file() else None
    return sorted((build.parent / "store" / folder).iterdir()) if folder else []


def _verdicts(book: Book, build: Path, published: Published | None) -> dict[str, str]:
    """What came out for each of the paper's findings, in words, by the finding's name."""
    claims = load_claims(book.root / "data" / "paper.yml")
    records = [json.loads(path.read_text(encoding="utf-8")) for path in sorted((build / "metrics").glob("*.json"))]
    builds = {"Here": ledger(claims, records)}
    if published:
        builds[f"At `{published.profile}`"] = published.entries(claims)
    findings = dict.fromkeys(claim.finding for claim in claims)
    return {
        finding: " ".join(f"{where} {verdicts(entries, finding)}." for where, entries in builds.items())
        for finding in findings
    }


def _write_if_changed(path: Path, data: bytes) -> None:
    if not path.is_file() or path.read_bytes() != data:
        write_atomically(path, data)
