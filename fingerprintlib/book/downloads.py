"""Each page as a notebook that runs wherever the library is installed, in any program that opens notebooks.

Nothing in it needs an extension: texts with numbers are cells that display them, what only the page can resolve is put
plainly, cells that the page hides are folded, and the first cell sees to it that the library is there.
"""

import copy
import re
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import nbformat

from .chapters import Chapter
from .lab import COST, LINK, dress
from .prose import EXPRESSION

ADMONITION = re.compile(r"^:::\{admonition\} (?P<title>.+)\n(?:^:.+\n)*(?P<body>(?:.*\n)*?)^:::$", re.MULTILINE)
EXERCISE = re.compile(r"^`{3,}\{(?P<kind>exercise|solution)-start\} (?P<title>.+)\n(?:^:.+\n)*^`{3,}$", re.MULTILINE)
SOLUTION = re.compile(r"^`{3,}\{solution-(start|end)\}.*\n(?:^:.+\n)*^`{3,}$\n?", re.MULTILINE)
END = re.compile(r"^`{3,}\{(?:exercise|solution)-end\}\n^`{3,}$\n?", re.MULTILINE)

INSTALL = """\
# This notebook needs the library of the book "GAN Fingerprints". Where `make book` has run, it is there.
# Elsewhere (on Colab or Kaggle, say) write here where the project lies: a folder, or its repository's address.
PROJECT = ""

try:
    import fingerprintlib
except ImportError:
    import subprocess, sys

    if not PROJECT:
        raise SystemExit(
            'This notebook needs the library of the book "GAN Fingerprints", which is not installed here. Open '
            "this cell, write into PROJECT where the project lies (a folder, or its repository's address; ask who gave "
            "you the notebook), and run the cell again."
        ) from None
    if "://" in PROJECT:
        subprocess.run(["git", "clone", "--depth", "1", PROJECT, "gan-fingerprints"], check=True)
        PROJECT = "gan-fingerprints"
    subprocess.run([sys.executable, "-m", "pip", "install", "--quiet", "--editable", f"{PROJECT}[book]"], check=True)
    sys.path.insert(0, PROJECT)  # this kernel began before it was installed
"""


def notebook_of(chapter: Chapter, folder: Path, solutions: bool = True, told: str = "") -> Any:
    """The notebook of a chapter, without outputs; an ``nbformat.NotebookNode``.

    Args:
        chapter: a text notebook.
        folder: of the book, see `lab.dress`.
        solutions: whether those of the exercises are in it.
        told: what the chapter costs, in words; without it the notebook says where to look.
    """
    text = copy.deepcopy(chapter.notebook)
    if told:
        for cell in text.cells:
            cell.source = cell.source.replace(COST, told) if cell.cell_type == "markdown" else cell.source
    dress(text, folder)
    if not solutions:
        text.cells = list(_without_solutions(text.cells))
    cells = [nbformat.v4.new_code_cell(INSTALL, metadata=_folded("Install"))]
    for cell in text.cells:
        if cell.cell_type == "code":
            tags = [tag for tag in cell.metadata.get("tags", []) if tag == "parameters"]
            kept = {"tags": tags} if tags else {}
            if hidden := cell.metadata.get("jupyter"):
                kept["jupyter"] = hidden
            cells.append(nbformat.v4.new_code_cell(cell.source, metadata=kept))
        elif source := _plain(cell.source):
            if EXPRESSION.search(source):
                cells.append(nbformat.v4.new_code_cell(_said(source), metadata=_folded("Text")))
            else:
                cells.append(nbformat.v4.new_markdown_cell(source))
    for number, cell in enumerate(cells):
        cell.id = f"{chapter.name}-{number}"  # else every build would give other bytes
    kernel = {"name": "python3", "display_name": "Python 3", "language": "python"}
    return nbformat.v4.new_notebook(cells=cells, metadata={"kernelspec": kernel})


def _without_solutions(cells: Iterable[Any]) -> Iterator[Any]:
    """The cells without what stands between the start and the end of a solution, text or code."""
    inside = False
    for cell in cells:
        if cell.cell_type == "markdown":
            first, *rest = SOLUTION.split(cell.source)
            kept = [] if inside else [first]
            for mark, words in zip(rest[::2], rest[1::2], strict=True):
                inside = mark == "start"
                kept += [] if inside else [words]
            cell.source = "".join(kept)
            yield cell
        elif not inside:
            yield cell


def _plain(text: str) -> str:
    """MyST as plain Markdown."""
    text = ADMONITION.sub(lambda m: "\n".join(f"> {x}".rstrip() for x in [f"**{m['title']}**", "", *_lines(m)]), text)
    text = EXERCISE.sub(_headed, text)
    text = END.sub("", text)
    return LINK.sub(_without_pages, text).strip()


def _lines(match: re.Match[str]) -> list[str]:
    return match["body"].strip().splitlines()


def _headed(match: re.Match[str]) -> str:
    return f"#### Exercise: {match['title']}" if match["kind"] == "exercise" else "#### Solution"


def _without_pages(match: re.Match[str]) -> str:
    """A link out of the book, or the words of one to another page: that is not where the notebook is."""
    text, target = re.findall(r"\[(.*)\]\((\S+) ", match[0])[0]
    return f"[{text}]({target})" if "://" in target else f"*{text}*"


def _said(text: str) -> str:
    quoted = text.replace("\\", "\\\\").replace('"""', '\\"\\"\\"')
    return f'page.say("""\n{quoted}\n""")'


def _folded(title: str) -> dict[str, Any]:
    """A cell's metadata that fold it, in JupyterLab, VS Code and Colab."""
    return {"jupyter": {"source_hidden": True}, "cellView": "form", "title": title}
