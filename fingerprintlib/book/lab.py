"""JupyterLab shows a chapter as the page it is, and saves no more of it than was typed.

A chapter is a text. On its way to the browser, cells that the page hides are folded, solutions too, and what only the
page can resolve (citations, numbers of figures) is put so that a notebook shows it; on its way back all that is undone.
`Contents` does this; `lab_setup` tells JupyterLab to use it.
"""

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import jupytext
from jupyter_server.services.contents.largefilemanager import AsyncLargeFileManager
from jupytext.async_contentsmanager import build_async_jupytext_contents_manager_class
from pybtex.database import Entry, parse_file

FOLDED = {"hide-input", "remove-input", "remove-cell"}
HEADER = re.compile(r"\A---\n.*?\n---\n", re.DOTALL)
ROLE = re.compile(r"\{(?P<role>cite|cite:t|doc|term)\}`(?P<told>[^`]+)`")
LINK = re.compile(r'\[[^\]]*\]\([^ )]* "(?P<role>cite|cite:t|doc|term) (?P<told>[^"]+)"\)')
FIGURE = re.compile(r"\{numref\}`fig-(?P<name>[\w-]+)`")
SHOWN_FIGURE = re.compile(r"\*Fig\. (?P<name>[\w-]+)\*")
COST, SHOWN_COST = "{{ cost }}", "*the time that is told below*"  # by the cell that opens the page
PUT_IN = re.compile(r"\{\{ (?P<what>\w+) \}\}")  # by the build
SHOWN_PUT_IN = re.compile(r"\*on the built page: (?P<what>\w+)\*")
TEXT_AND_TARGET = re.compile(r"(?P<text>.+?) ?<(?P<target>.+)>")


def dress(notebook: Any, folder: Path) -> None:
    """Make a chapter, as jupytext reads it, a notebook that looks like its page; in place.

    Args:
        notebook: an ``nbformat.NotebookNode``.
        folder: of the book: there the titles of chapters are looked up, and references in ``references.bib``.
    """
    # Without a kernel of its own, as plain pages are, JupyterLab would first of all ask for one.
    notebook.metadata.setdefault("kernelspec", {"name": "python3", "display_name": "Python 3", "language": "python"})
    references = folder / "references.bib"
    entries = parse_file(str(references)).entries if references.is_file() else {}
    for cell, is_solution in _with_solutions(notebook.cells):
        if cell.cell_type == "markdown":
            cell.source = ROLE.sub(lambda match: _link(match["role"], match["told"], folder, entries), cell.source)
            cell.source = FIGURE.sub(r"*Fig. \g<name>*", cell.source).replace(COST, SHOWN_COST)
            cell.source = PUT_IN.sub(r"*on the built page: \g<what>*", cell.source)
        elif is_solution or FOLDED & set(cell.metadata.get("tags", [])):
            cell.metadata["jupyter"] = {"source_hidden": True, **({"outputs_hidden": True} if is_solution else {})}


def undress(notebook: Any) -> None:
    """Undo `dress`, and drop what the browser noted about texts and kernel; in place."""
    notebook.metadata.pop("language_info", None)
    for cell in notebook.cells:
        for noted in ("jupyter", "user_expressions"):
            cell.metadata.pop(noted, None)
        if cell.cell_type == "markdown":
            cell.source = LINK.sub(r"{\g<role>}`\g<told>`", cell.source)
            cell.source = SHOWN_FIGURE.sub(r"{numref}`fig-\g<name>`", cell.source).replace(SHOWN_COST, COST)
            cell.source = SHOWN_PUT_IN.sub(r"{{ \g<what> }}", cell.source)


def tidied(text: str) -> str:
    """A text notebook in the form in which it is saved: what was typed by hand may break lines elsewhere."""
    return _with_header_of(jupytext.writes(jupytext.reads(text, fmt="md:myst"), fmt="md:myst"), text)


def _with_header_of(text: str, other: str) -> str:
    """The text with the front matter of the other: jupytext would write it anew, with versions."""
    mine, theirs = HEADER.match(text), HEADER.match(other)
    return theirs[0] + text[mine.end() :] if mine and theirs else text


class _Texts(AsyncLargeFileManager):
    """Files, of which a text that is there keeps its header."""

    async def save(self, model: dict[str, Any], path: str = "") -> dict[str, Any]:
        if model["type"] == "file" and path.endswith(".md") and await self.file_exists(path):
            there = await super().get(path, content=True, type="file", format="text")
            model = {**model, "content": _with_header_of(model["content"], there["content"])}
        return await super().save(model, path)


class Contents(build_async_jupytext_contents_manager_class(_Texts)):  # type: ignore[misc]
    """What JupyterLab opens and saves: text notebooks, dressed on their way out and undressed on their way back."""

    async def get(self, path: str, *args: Any, **options: Any) -> dict[str, Any]:
        """The model of a file, folder or notebook."""
        model: dict[str, Any] = await super().get(path, *args, **options)
        if model["type"] == "notebook" and model["content"] and path.endswith(".md"):
            dress(model["content"], (Path(self.root_dir) / path.strip("/")).parent)
        return model

    async def save(self, model: dict[str, Any], path: str = "") -> dict[str, Any]:
        """Save a model; returns it without content."""
        if model["type"] == "notebook" and path.endswith(".md"):
            import nbformat

            model = {**model, "content": nbformat.from_dict(model["content"])}
            undress(model["content"])
        saved: dict[str, Any] = await super().save(model, path)
        return saved


def _with_solutions(cells: list[Any]) -> Iterator[tuple[Any, bool]]:
    """The cells, each with whether it stands between the start and the end of a solution."""
    inside = False
    for cell in cells:
        if cell.cell_type == "markdown":
            ends = re.findall(r"\{solution-(start|end)\}", cell.source)
            inside = ends[-1] == "start" if ends else inside
        yield cell, inside


def _link(role: str, told: str, folder: Path, entries: Mapping[str, Entry]) -> str:
    """A link in the place of a role that only the page resolves; its title keeps what stood there."""
    if role.startswith("cite"):
        keys = told.split(",")
        if not all(key in entries for key in keys):
            return f"{{{role}}}`{told}`"
        text = "; ".join(_authors_and_year(entries[key]) for key in keys)
        text = text if role == "cite:t" else f"({text})"
        found = entries[keys[0]].fields.get("eprint")
        target = f"https://arxiv.org/abs/{found}" if found else "references.md"
    else:
        match = TEXT_AND_TARGET.fullmatch(told)
        text, name = (match["text"], match["target"]) if match else (told, told)
        target = "glossary.md" if role == "term" else f"{name}.md"
        if role == "doc" and not match and (folder / target).is_file():
            heading = re.search(r"^# (.+)$", (folder / target).read_text(encoding="utf-8"), re.MULTILINE)
            text = heading[1] if heading else told
    return f'[{text}]({target} "{role} {told}")'


def _authors_and_year(entry: Entry) -> str:
    names = [
        " ".join(map(str, [*person.rich_prelast_names, *person.rich_last_names])) for person in entry.persons["author"]
    ]
    some = {1: names[0], 2: " and ".join(names)}.get(len(names), f"{names[0]} et al.")
    return f"{some}, {entry.fields['year']}"
